-- Partitioned tables: foreign keys to reference tables
CREATE TABLE ref (id int PRIMARY KEY, name text);
CREATE TABLE ref2 (a int, b int, UNIQUE (a, b));
SELECT create_reference_table('ref');
SELECT create_reference_table('ref2');
INSERT INTO ref SELECT i, 'r' || i FROM generate_series(0, 9) i;
INSERT INTO ref2 SELECT i, i FROM generate_series(0, 9) i;
-- there before the table is distributed
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, r int REFERENCES ref, v text, UNIQUE (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (r int, junk int, v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN junk;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE ev3d PARTITION OF ev3 DEFAULT;
INSERT INTO ev SELECT i, i, i % 10, 'before' FROM generate_series(0, 39) i;
SELECT create_distributed_table('ev', 'k');
-- and added later
CREATE TABLE li (k int, c text, a int, b int) PARTITION BY LIST (c);
CREATE TABLE li_a PARTITION OF li FOR VALUES IN ('a');
CREATE TABLE li_d PARTITION OF li DEFAULT;
SELECT create_distributed_table('li', 'k');
INSERT INTO li SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i % 10, i % 10 FROM generate_series(0, 19) i;
ALTER TABLE li ADD CONSTRAINT li_key FOREIGN KEY (a, b) REFERENCES ref2 (a, b) MATCH FULL DEFERRABLE;
SELECT conrelid::regclass, confrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 't_partitioned_references'::regnamespace ORDER BY 1, 2;
-- checked
INSERT INTO ev VALUES (100, 1, 1, 'ok'), (101, 11, 2, 'ok'), (102, 25, NULL, 'ok');
-- other words
-- error
INSERT INTO ev VALUES (103, 1, 77, 'no');
-- other words
-- error
INSERT INTO ev2 (k, t, r) VALUES (103, 12, 77);
-- other words
-- error
INSERT INTO ev3d (k, t, r) VALUES (103, 35, 77);
-- other words
-- error
UPDATE ev SET r = 77 WHERE k = 5;
-- other words
-- error
UPDATE ev SET r = 77 + (random() * 0)::int WHERE k = 15;
-- other words
-- error
COPY ev FROM STDIN;
200	1	1	x
201	11	88	x
\.
-- other words
-- error
INSERT INTO ev SELECT i, i % 40, i, 'many' FROM generate_series(1000, 1099) i;
-- other words
-- error
INSERT INTO li VALUES (1, 'a', 1, NULL);
-- other words
-- error
DELETE FROM ref WHERE id = 5;
-- other words
-- error
UPDATE ref SET id = 55 WHERE id = 5;
-- other words
-- error
DELETE FROM ref2;
INSERT INTO ref VALUES (10, 'ten'), (11, 'eleven');
INSERT INTO ev VALUES (110, 1, 10, 'ten');
DELETE FROM ref WHERE id = 11;
-- other words
-- error
DELETE FROM ref WHERE id = 10;
UPDATE ev SET t = 15 WHERE k = 110;
-- other words
-- error
DELETE FROM ref WHERE id = 10;
DELETE FROM ev WHERE k = 110;
DELETE FROM ref WHERE id = 10;
-- in one transaction
BEGIN;
INSERT INTO ref VALUES (20, 'twenty');
INSERT INTO ev VALUES (120, 1, 20, 'x'), (121, 12, 20, 'x');
INSERT INTO ev2 (k, t, r) VALUES (122, 12, 20);
SELECT count(*) FROM ev JOIN ref ON ref.id = ev.r WHERE r = 20;
SAVEPOINT s;
-- other words
-- error
DELETE FROM ref WHERE id = 20;
ROLLBACK TO s;
DELETE FROM ev WHERE r = 20;
DELETE FROM ref WHERE id = 20;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO li VALUES (50, 'a', 30, 30), (51, 'b', 30, 30);
INSERT INTO ref2 VALUES (30, 30);
COMMIT;
BEGIN;
SET CONSTRAINTS li_key DEFERRED;
INSERT INTO li_a VALUES (52, 'a', 31, 31);
-- other words
-- error
SET CONSTRAINTS li_key IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO li VALUES (53, 'b', 32, 32);
-- other words
-- error
COMMIT;
WITH n AS (INSERT INTO ref VALUES (40, 'forty') RETURNING id) INSERT INTO ev SELECT 140, 4, id, 'with' FROM n;
SELECT * FROM ev WHERE r = 40;
-- partitions come and go
CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (40) TO (50);
-- other words
-- error
INSERT INTO ev VALUES (150, 45, 77, 'no');
INSERT INTO ev VALUES (150, 45, 7, 'yes');
CREATE TABLE ev5 (k int NOT NULL, t int NOT NULL, r int, v text);
INSERT INTO ev5 VALUES (160, 55, 78, 'no');
-- other words
-- error
ALTER TABLE ev ATTACH PARTITION ev5 FOR VALUES FROM (50) TO (60);
UPDATE ev5 SET r = 8;
ALTER TABLE ev ATTACH PARTITION ev5 FOR VALUES FROM (50) TO (60);
-- other words
-- error
UPDATE ev5 SET r = 78;
CREATE TABLE ev6 (LIKE ev);
ALTER TABLE ev6 ADD CONSTRAINT six FOREIGN KEY (r) REFERENCES ref;
ALTER TABLE ev ATTACH PARTITION ev6 FOR VALUES FROM (60) TO (70);
-- other words
-- error
INSERT INTO ev6 VALUES (151, 65, 77, 'no');
ALTER TABLE ev4 RENAME CONSTRAINT ev_r_fkey TO four;
ALTER TABLE ev RENAME CONSTRAINT ev_r_fkey TO once;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 't_partitioned_references'::regnamespace ORDER BY 1, 2;
-- other words
-- error
INSERT INTO ev4 VALUES (151, 45, 77, 'no');
ALTER TABLE ev DETACH PARTITION ev6;
-- other words
-- error
INSERT INTO ev6 VALUES (151, 65, 77, 'no');
ALTER TABLE ev6 DROP CONSTRAINT six;
INSERT INTO ev6 VALUES (151, 65, 77, 'yes');
DROP TABLE ev6;
ALTER TABLE ev RENAME CONSTRAINT once TO ev_r_fkey;
ALTER TABLE ev DETACH PARTITION ev4;
ALTER TABLE ev4 RENAME CONSTRAINT four TO ev_r_fkey;
ALTER TABLE ev DETACH PARTITION ev3;
ALTER TABLE ev3 DETACH PARTITION ev3a;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 't_partitioned_references'::regnamespace ORDER BY 1, 2;
-- other words
-- error
INSERT INTO ev4 VALUES (151, 45, 77, 'no');
-- other words
-- error
INSERT INTO ev3 VALUES (151, 35, 77, 'no');
-- other words
-- error
INSERT INTO ev3a VALUES (151, 25, 77, 'no');
-- other words
-- error
DELETE FROM ref WHERE id = 7;
BEGIN;
INSERT INTO ref VALUES (60, 'sixty');
INSERT INTO ev4 VALUES (152, 45, 60, 'x');
INSERT INTO ev3a VALUES (152, 25, 60, 'x');
ROLLBACK;
ALTER TABLE ev4 DROP CONSTRAINT ev_r_fkey;
INSERT INTO ev4 VALUES (153, 45, 77, 'now');
ALTER TABLE ev3a DROP CONSTRAINT ev_r_fkey;
INSERT INTO ev3a VALUES (153, 25, 77, 'now');
-- other words
-- error
INSERT INTO ev3 VALUES (151, 35, 77, 'no');
ALTER TABLE ev ATTACH PARTITION ev3 FOR VALUES FROM (20) TO (40);
-- other words
-- error
INSERT INTO ev VALUES (151, 35, 77, 'no');
DROP TABLE ev2;
-- other words
-- error
DROP TABLE ref;
-- error
ALTER TABLE ev1 DROP CONSTRAINT ev_r_fkey;
SELECT undistribute_table('ev');
-- other words
-- error
INSERT INTO ev VALUES (170, 5, 77, 'local');
-- other words
-- error
INSERT INTO ev5 VALUES (170, 55, 77, 'local');
-- other words
-- error
DELETE FROM ref WHERE id = 8;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 't_partitioned_references'::regnamespace ORDER BY 1, 2;
SELECT create_distributed_table('ev', 'k');
-- other words
-- error
INSERT INTO ev5 VALUES (170, 55, 77, 'again');
SELECT object, expected, found FROM cz_check_shards('ev');
ALTER TABLE ref ALTER id TYPE bigint;
ALTER TABLE ev ALTER r TYPE bigint;
SELECT object, expected, found FROM cz_check_shards('ev5');
ALTER TABLE ref ALTER id TYPE int;
ALTER TABLE ev ALTER r TYPE int;
ALTER TABLE ev RENAME CONSTRAINT ev_r_fkey TO renamed;
ALTER TABLE ev DROP CONSTRAINT renamed;
INSERT INTO ev5 VALUES (170, 55, 77, 'free');
DELETE FROM ref WHERE id = 8;
SELECT object, expected, found FROM cz_check_shards('ev');
SELECT object, expected, found FROM cz_check_shards('ev5');
SELECT object, expected, found FROM cz_check_shards('li');
SELECT count(*) FROM cz_verify_placements('ev') WHERE NOT ok;
TRUNCATE ev, li;
ALTER TABLE li DROP CONSTRAINT li_key;
DROP TABLE ref, ref2;
