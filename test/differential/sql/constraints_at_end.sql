-- DEFERRABLE unique constraints, and foreign keys, hold when a statement ends, whatever number of commands it is on a worker.
CREATE TABLE d (k int, id int, v int, w int, PRIMARY KEY (k, id), UNIQUE (k, v) DEFERRABLE);
SELECT create_distributed_table('d', 'k');
CREATE TABLE e (a int, k int, id int, v int);
SELECT create_distributed_table('e', 'a');
INSERT INTO d SELECT 1, i, i, 0 FROM generate_series(1, 20) i;
INSERT INTO e SELECT i, 1, i, 21 - i FROM generate_series(1, 20) i;
INSERT INTO d SELECT k, id, v FROM e ON CONFLICT (k, id) DO UPDATE SET v = excluded.v;
SELECT * FROM d ORDER BY id;
INSERT INTO d SELECT k, id, v FROM d ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = 1;
INSERT INTO d SELECT k, id, v FROM d ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = random();
INSERT INTO d SELECT 1, i, i FROM generate_series(1, 20) i ON CONFLICT (k, id) DO UPDATE SET v = 21 - excluded.v, w = random();
-- error
INSERT INTO d VALUES (1, 1, 2), (1, 2, 1) ON CONFLICT (k, id) DO UPDATE SET v = 100, w = random();
-- error
INSERT INTO d VALUES (1, 1, 2), (1, 2, 1) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v, w = random();
SELECT count(DISTINCT v), min(v), max(v) FROM d;
UPDATE d SET v = 21 - v;
UPDATE d SET v = v + 1 WHERE random() < 2;
WITH a AS (UPDATE d SET v = v + 1 WHERE id % 2 = 0 RETURNING 1) UPDATE d SET v = v + 1 WHERE id % 2 = 1;
-- error
WITH a AS (UPDATE d SET v = 500 WHERE id = 2 RETURNING 1) UPDATE d SET v = 500 WHERE id = 1;
SELECT count(DISTINCT v), min(v), max(v) FROM d;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
WITH a AS (UPDATE d SET v = 500 WHERE id = 2 RETURNING 1) UPDATE d SET v = 500 WHERE id = 1;
UPDATE d SET v = 501 WHERE id = 1 AND random() < 2;
SET CONSTRAINTS ALL IMMEDIATE;
-- error
WITH a AS (UPDATE d SET v = 500 WHERE id = 3 RETURNING 1) UPDATE d SET v = v + 1 WHERE id = 1;
ROLLBACK;
SELECT count(*) FROM cz_verify_placements('d') WHERE NOT ok;
-- rows of more bytes than one command takes
CREATE TABLE wide (k int, id int, up int, pad text, PRIMARY KEY (k, id));
CREATE TABLE wide_unique (k int, id int, pad text, PRIMARY KEY (k, id) DEFERRABLE);
ALTER TABLE wide ALTER pad SET STORAGE EXTERNAL;
ALTER TABLE wide_unique ALTER pad SET STORAGE EXTERNAL;
SELECT create_distributed_table('wide', 'k');
SELECT create_distributed_table('wide_unique', 'k');
ALTER TABLE wide ADD FOREIGN KEY (k, up) REFERENCES wide;
INSERT INTO wide SELECT 1, i, 61 - i, repeat('x', 150000) FROM generate_series(1, 60) i;
INSERT INTO wide_unique SELECT k, id, pad FROM wide;
UPDATE wide SET id = id + 1000, up = up + 1000, pad = pad || 'y' WHERE random() < 2;
SELECT count(*), sum(id), sum(up), sum(length(pad)) FROM wide;
UPDATE wide_unique SET id = id + 1, pad = pad || 'y' WHERE random() < 2;
SELECT count(*), sum(id), sum(length(pad)) FROM wide_unique;
