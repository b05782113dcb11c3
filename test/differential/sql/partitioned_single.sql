-- Partitioned tables without distribution column: unique keys that come later, foreign keys by any columns
-- from: 15
CREATE TABLE p (k int, t int, v text) PARTITION BY RANGE (t);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, junk int, t int, k int) PARTITION BY LIST (v);
ALTER TABLE p2 DROP COLUMN junk;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN ('a');
CREATE TABLE p2d PARTITION OF p2 DEFAULT;
INSERT INTO p SELECT i, i, CASE i % 3 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 19) i;
SELECT create_distributed_table('p', NULL);
-- error
ALTER TABLE p ADD UNIQUE (k);
-- error
ALTER TABLE p ADD UNIQUE (t, k);
-- error
CREATE UNIQUE INDEX p_k ON p (t);
INSERT INTO p VALUES (1, 1, 'twice');
-- error
ALTER TABLE p ADD CONSTRAINT p_u UNIQUE (t, v, k), ADD CONSTRAINT bad CHECK (k <> 11);
BEGIN;
ALTER TABLE p ADD CONSTRAINT p_u UNIQUE (t, v, k), ADD COLUMN w int DEFAULT 7;
-- error
INSERT INTO p VALUES (2, 2, 'b');
ROLLBACK;
-- other words
-- error
CREATE UNIQUE INDEX p_tv ON p (t, v) INCLUDE (k) WHERE v <> 'a' AND t <> 2 AND k = 1 AND t = v::int;
DELETE FROM p WHERE v = 'twice';
ALTER TABLE p ADD PRIMARY KEY (t, v);
CREATE UNIQUE INDEX p_tv ON p (t, v) INCLUDE (k) WHERE v <> 'a';
ALTER TABLE p1 ADD CONSTRAINT p1_k UNIQUE (k);
CREATE UNIQUE INDEX ON p2 (v, k);
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 't_partitioned_single'::regnamespace AND contype IN ('p', 'u') ORDER BY 1, 2;
SELECT indexrelid::regclass, indisvalid, indisunique FROM pg_index WHERE indrelid::regclass::text LIKE 'p%' AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 't_partitioned_single'::regnamespace) ORDER BY 1;
-- error
INSERT INTO p VALUES (50, 1, 'b');
-- error
INSERT INTO p VALUES (1, 9, 'new');
INSERT INTO p VALUES (1, 19, 'new') ON CONFLICT (t, v) DO UPDATE SET k = p.k + 100;
INSERT INTO p VALUES (1, 19, 'new') ON CONFLICT (t, v) DO UPDATE SET k = p.k + 100 RETURNING *;
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30);
CREATE TABLE p4 (k int, t int, v text);
INSERT INTO p4 VALUES (1, 31, 'x'), (2, 31, 'x');
-- error
ALTER TABLE p ATTACH PARTITION p4 FOR VALUES FROM (30) TO (40);
-- keys
CREATE TABLE o (id int PRIMARY KEY, at int, tag text, self int);
INSERT INTO o SELECT i, i, CASE i % 3 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 19) i;
SELECT create_distributed_table('o', NULL, colocate_with => 'p');
ALTER TABLE o ADD CONSTRAINT o_p FOREIGN KEY (at, tag) REFERENCES p (t, v) ON UPDATE CASCADE ON DELETE SET NULL;
-- other words
-- error
ALTER TABLE p ADD CONSTRAINT p_o FOREIGN KEY (k) REFERENCES o ON DELETE CASCADE NOT DEFERRABLE;
DELETE FROM p WHERE k = 101;
ALTER TABLE p1 DROP CONSTRAINT p1_k;
ALTER TABLE p ADD CONSTRAINT p_o FOREIGN KEY (k) REFERENCES o ON DELETE CASCADE;
-- error
INSERT INTO p VALUES (55, 21, 'x');
-- error
INSERT INTO o VALUES (30, 21, 'x');
INSERT INTO p VALUES (5, 21, 'x');
INSERT INTO o VALUES (30, 21, 'x');
UPDATE p SET t = 29 WHERE t = 21;
UPDATE p SET t = 9 + (random() * 0)::int, v = 'moved' WHERE t = 29;
SELECT * FROM o WHERE id = 30;
UPDATE p SET t = t + 3, v = 'far' WHERE t = 8;
SELECT *, tableoid::regclass FROM p WHERE k = 8;
SELECT id, at, tag FROM o WHERE id = 8;
DELETE FROM o WHERE id = 5;
SELECT * FROM p WHERE k = 5;
SELECT id, at, tag FROM o WHERE at IS NULL ORDER BY 1;
INSERT INTO p VALUES (6, 25, 'y');
UPDATE o SET at = 25, tag = 'y' WHERE id = 7;
-- other words
-- error
DROP TABLE p3;
-- error
ALTER TABLE p DETACH PARTITION p3;
DELETE FROM p3;
ALTER TABLE p DETACH PARTITION p3;
ALTER TABLE p DROP CONSTRAINT p_pkey CASCADE;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 't_partitioned_single'::regnamespace AND contype IN ('p', 'u', 'f') ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('p');
SELECT object, expected, found FROM cz_check_shards('p1');
SELECT object, expected, found FROM cz_check_shards('p2a');
SELECT object, expected, found FROM cz_check_shards('o');
SELECT object, expected, found FROM cz_check_shards('p3');
