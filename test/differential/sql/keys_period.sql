-- Temporal keys over scalar columns, foreign keys by PERIOD, and what ALTER CONSTRAINT makes of these
-- from: 18
CREATE EXTENSION btree_gist;
CREATE TABLE b (id int, valid daterange, s text, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
SELECT create_distributed_table('b', 'id');
INSERT INTO b VALUES (1, '[2020-01-01,2021-01-01)', 'a'), (1, '[2021-01-01,2022-01-01)', 'b'), (2, '[2020-01-01,)', 'c');
CREATE TABLE c (id int, b_id int, valid daterange, CONSTRAINT c_b FOREIGN KEY (b_id, PERIOD valid) REFERENCES b (id, PERIOD valid));
SELECT create_distributed_table('c', 'b_id', colocate_with => 'b');
INSERT INTO c VALUES (1, 1, '[2020-06-01,2021-06-01)');
-- error
INSERT INTO c VALUES (2, 1, '[2020-06-01,2022-06-01)');
-- error
DELETE FROM b WHERE id = 1 AND valid @> '2020-07-01'::date;
-- error
UPDATE b SET valid = '[2021-02-01,2022-01-01)' WHERE id = 1 AND valid @> '2021-07-01'::date;
UPDATE b SET valid = '[2020-03-01,2021-01-01)' WHERE id = 1 AND valid @> '2020-07-01'::date;
-- error
UPDATE c SET valid = '[2019-01-01,2021-01-01)';
BEGIN;
DELETE FROM c;
DELETE FROM b WHERE id = 1;
SELECT * FROM b ORDER BY 1, 2;
ROLLBACK;
-- error
INSERT INTO b VALUES (1, '[2020-05-01,2020-06-01)', 'x');
-- error
INSERT INTO b VALUES (1, 'empty', 'x');
INSERT INTO b VALUES (1, '[2020-05-01,2020-06-01)', 'x') ON CONFLICT DO NOTHING RETURNING *;
-- error
INSERT INTO b VALUES (1, '[2020-05-01,2020-06-01)', 'x') ON CONFLICT (id, valid) DO UPDATE SET s = 'y';
UPDATE b SET s = s || '!' WHERE id = 1 RETURNING old.s, new.s, valid;
MERGE INTO b USING (VALUES (2, 'z'), (3, 'n')) v (id, s) ON b.id = v.id WHEN MATCHED THEN UPDATE SET s = v.s WHEN NOT MATCHED THEN INSERT VALUES (v.id, '[2024-01-01,)', v.s) RETURNING merge_action(), b.*;
ALTER TABLE c DROP CONSTRAINT c_b;
INSERT INTO c VALUES (2, 1, '[2020-06-01,2022-06-01)');
-- error
ALTER TABLE c ADD CONSTRAINT c_b FOREIGN KEY (b_id, PERIOD valid) REFERENCES b;
ALTER TABLE c ADD CONSTRAINT c_b FOREIGN KEY (b_id, PERIOD valid) REFERENCES b NOT VALID;
ALTER TABLE c VALIDATE CONSTRAINT c_b;
DELETE FROM c WHERE id = 2;
ALTER TABLE c VALIDATE CONSTRAINT c_b;
ALTER TABLE c ALTER CONSTRAINT c_b NOT ENFORCED;
INSERT INTO c VALUES (3, 77, '[2020-06-01,2022-06-01)');
-- error
ALTER TABLE c ALTER CONSTRAINT c_b ENFORCED;
DELETE FROM c WHERE id = 3;
ALTER TABLE c ALTER CONSTRAINT c_b ENFORCED;
-- error
INSERT INTO c VALUES (3, 77, '[2020-06-01,2022-06-01)');
CREATE TABLE r (id int, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
SELECT create_reference_table('r');
INSERT INTO r VALUES (1, '[2020-01-01,2030-01-01)');
-- error
INSERT INTO r VALUES (1, '[2025-01-01,2026-01-01)');
CREATE TABLE d (k int, r_id int, v daterange, FOREIGN KEY (r_id, PERIOD v) REFERENCES r);
SELECT create_distributed_table('d', 'k');
INSERT INTO d VALUES (1, 1, '[2020-06-01,2021-06-01)');
-- error
INSERT INTO d VALUES (1, 1, '[2020-06-01,2031-06-01)');
-- error
DELETE FROM r;

CREATE TABLE p (id int, valid daterange, k int, UNIQUE (id, k, valid WITHOUT OVERLAPS)) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 2);
CREATE TABLE p2 PARTITION OF p DEFAULT;
SELECT create_distributed_table('p', 'k');
INSERT INTO p VALUES (1, '[2020-01-01,2021-01-01)', 1), (9, '[2020-01-01,2021-01-01)', 1), (NULL, '[2020-01-01,2021-01-01)', 1), (NULL, '[2020-01-01,2021-01-01)', 1);
-- error
INSERT INTO p VALUES (9, '[2020-06-01,2021-01-01)', 1);
ALTER TABLE p ALTER COLUMN valid TYPE tsrange USING tsrange(lower(valid), upper(valid));
SELECT * FROM p ORDER BY 1, 2;
ALTER TABLE b RENAME COLUMN valid TO during;
ALTER TABLE c RENAME CONSTRAINT c_b TO c_to_b;
-- error
INSERT INTO c VALUES (2, 1, '[2020-06-01,2026-06-01)');
SELECT conname, contype, conperiod, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 't_keys_period'::regnamespace AND contype IN ('p', 'u', 'f') AND conparentid = 0 ORDER BY 1;
