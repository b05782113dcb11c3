-- Keys WITHOUT OVERLAPS, and foreign keys by PERIOD.
-- from: 18
CREATE TABLE rooms (id int4range, valid int4range, price int, CONSTRAINT rooms_pk PRIMARY KEY (id, valid WITHOUT OVERLAPS));
SELECT create_distributed_table('rooms', 'id');
INSERT INTO rooms SELECT int4range(i, i + 1), int4range(j * 10, j * 10 + 10), i * j FROM generate_series(1, 20) i, generate_series(1, 3) j;
-- error
INSERT INTO rooms VALUES ('[3,4)', '[15,17)', 1);
INSERT INTO rooms VALUES ('[3,4)', '[40,45)', 1), ('[21,22)', '[15,17)', 1);
-- error
UPDATE rooms SET valid = int4range(5, 45) WHERE id = '[3,4)' AND valid = '[40,45)';
UPDATE rooms SET valid = '[45,50)' WHERE id = '[3,4)' AND valid = '[40,45)';
-- error
INSERT INTO rooms VALUES ('[5,6)', 'empty', 1);
-- error
INSERT INTO rooms VALUES ('[3,4)', '[15,17)', 1) ON CONFLICT (id, valid) DO NOTHING;
INSERT INTO rooms VALUES ('[3,4)', '[15,17)', 1) ON CONFLICT DO NOTHING;
INSERT INTO rooms VALUES ('[3,4)', '[15,17)', 1) ON CONFLICT ON CONSTRAINT rooms_pk DO NOTHING;
-- error
INSERT INTO rooms VALUES ('[3,4)', '[15,17)', 1) ON CONFLICT ON CONSTRAINT rooms_pk DO UPDATE SET price = 3;
SELECT count(*), sum(price) FROM rooms;
SELECT * FROM rooms WHERE valid @> 42 OR id = '[3,4)' ORDER BY id, valid;
-- a key that does not hold across shards
CREATE TABLE by_period (id int4range, valid int4range, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
-- differs: overlapping periods would lie on several shards
SELECT create_distributed_table('by_period', 'valid');
SELECT create_distributed_table('by_period', 'id');
CREATE TABLE later (id int4range, valid daterange, n int);
SELECT create_distributed_table('later', 'valid');
-- differs: the same
ALTER TABLE later ADD UNIQUE (id, valid WITHOUT OVERLAPS);
ALTER TABLE later ADD UNIQUE (id, valid);
CREATE TABLE late (id int4range, valid daterange, n int);
SELECT create_distributed_table('late', 'id');
INSERT INTO late VALUES ('[1,2)', '[2026-01-01,2026-01-05)', 1), ('[1,2)', '[2026-01-04,2026-01-08)', 2);
-- error
ALTER TABLE late ADD CONSTRAINT late_u UNIQUE (id, valid WITHOUT OVERLAPS);
DELETE FROM late WHERE n = 2;
ALTER TABLE late ADD CONSTRAINT late_u UNIQUE (id, valid WITHOUT OVERLAPS);
-- error
INSERT INTO late VALUES ('[1,2)', '[2026-01-04,2026-01-08)', 2);
INSERT INTO late VALUES ('[1,2)', '[2026-01-05,2026-01-08)', 2), (NULL, '[2026-01-05,2026-01-08)', 2);
ALTER TABLE late DROP CONSTRAINT late_u;
INSERT INTO late VALUES ('[1,2)', '[2026-01-04,2026-01-08)', 2);
SELECT * FROM late ORDER BY n, id, valid;
SELECT count(*) FROM cz_check_shards('rooms');
