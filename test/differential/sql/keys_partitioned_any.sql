-- Foreign keys of distributed partitioned tables that workers cannot check: to ordinary tables, to tables
-- of other groups, kinds and numbers of shards, and without the distribution column.  They are held here.
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
CREATE TABLE o (id int PRIMARY KEY, v text);
CREATE TABLE s (id int PRIMARY KEY);
CREATE TABLE p (k int PRIMARY KEY, u int);
INSERT INTO o SELECT i, 'o' || i FROM generate_series(1, 30) i;
INSERT INTO s SELECT i FROM generate_series(1, 30) i;
INSERT INTO p SELECT i, i FROM generate_series(1, 30) i;
CREATE TABLE c (k int, t int, o int CONSTRAINT c_o REFERENCES o ON DELETE CASCADE ON UPDATE CASCADE, s int DEFAULT 1 CONSTRAINT c_s REFERENCES s ON DELETE SET NULL ON UPDATE SET DEFAULT, p int, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (10);
CREATE TABLE c2 (p int, junk text, s int DEFAULT 1, t int NOT NULL, o int, k int NOT NULL);
ALTER TABLE c2 DROP COLUMN junk;
ALTER TABLE c ATTACH PARTITION c2 FOR VALUES FROM (10) TO (20);
CREATE TABLE c3 PARTITION OF c FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE c3a PARTITION OF c3 FOR VALUES FROM (20) TO (30);
CREATE TABLE c3d PARTITION OF c3 DEFAULT;
INSERT INTO c SELECT k, t, k, t / 2 + 1, k FROM generate_series(1, 6) k, generate_series(0, 39, 5) t;
SELECT create_distributed_table('c', 'k');
SELECT create_distributed_table('s', NULL);
SELECT create_distributed_table('p', 'k', colocate_with => 'c');
-- error
INSERT INTO c VALUES (1, 1, 99, 1, 1);
-- error
INSERT INTO c VALUES (1, 11, 1, 99, 1);
-- error
INSERT INTO c1 VALUES (1, 2, 99);
-- error
INSERT INTO c2 (k, t, o) VALUES (1, 12, 1), (1, 13, 99);
INSERT INTO c VALUES (7, 1, 7, 7, 7), (7, 11, 8, NULL, 7), (7, 21, NULL, 9, 7) RETURNING *;
-- error
INSERT INTO c SELECT k, 7, k + 28, 1, 1 FROM generate_series(1, 5) k;
-- error
COPY c FROM STDIN;
8	1	1	1	1
8	12	1	199	1
\.
COPY c FROM STDIN;
8	1	1	1	1
8	12	1	19	1
\.
-- error
UPDATE c SET o = 99 WHERE k = 1 AND t = 5;
UPDATE c SET o = 9 WHERE k = 1 AND t = 5;
-- error
UPDATE c SET s = 99;
UPDATE c SET p = p + 0;
-- to another partition, and to another shard
UPDATE c SET t = t + 14, s = 4 WHERE k = 7 AND t = 1 AND o = 7;
-- error
UPDATE c SET t = t + 11, o = 77 WHERE k = 7;
UPDATE c SET t = t + 12 WHERE k = 7 AND t = 21;
UPDATE c SET k = 77 WHERE k = 7 AND t = 33;
-- error
UPDATE c SET k = 78, o = 78 WHERE k = 77;
SELECT *, tableoid::regclass FROM c WHERE k >= 7 ORDER BY 1, 2;
INSERT INTO c VALUES (8, 1, 3) ON CONFLICT (k, t) DO UPDATE SET o = excluded.o;
-- error
INSERT INTO c VALUES (8, 1, 333) ON CONFLICT (k, t) DO UPDATE SET o = excluded.o;
-- error
MERGE INTO c USING (VALUES (8, 1, 4), (9, 3, 999)) v (k, t, o) ON c.k = v.k AND c.t = v.t WHEN MATCHED THEN UPDATE SET o = v.o WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.t, v.o);
MERGE INTO c USING (VALUES (8, 1, 4), (9, 3, 9)) v (k, t, o) ON c.k = v.k AND c.t = v.t WHEN MATCHED THEN UPDATE SET o = v.o WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.t, v.o);
-- what the keys do
DELETE FROM o WHERE id IN (2, 3);
UPDATE o SET id = id + 100 WHERE id IN (4, 5);
DELETE FROM s WHERE id = 4;
UPDATE s SET id = id + 100 WHERE id IN (7, 19);
SELECT *, tableoid::regclass FROM c ORDER BY 1, 2;
-- to a column that is not the distribution column
UPDATE c SET p = p + 100 WHERE t > 20;
-- error
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p;
UPDATE c SET p = p - 100 WHERE p > 100;
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p ON UPDATE CASCADE DEFERRABLE;
-- error
INSERT INTO c VALUES (10, 1, 1, 1, 111);
-- error
DELETE FROM p WHERE k = 1;
UPDATE p SET k = 200 WHERE k = 1;
SELECT p, count(*) FROM c GROUP BY 1 ORDER BY 1;
BEGIN;
SET CONSTRAINTS c_p DEFERRED;
INSERT INTO c VALUES (10, 1, 1, 1, 300), (10, 11, 1, 1, 301), (10, 33, 1, 1, 302);
UPDATE c SET t = 15 WHERE k = 10 AND p = 302;
DELETE FROM c WHERE k = 10 AND p = 301;
INSERT INTO p VALUES (300, 300);
-- error
SET CONSTRAINTS c_p IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS c_p DEFERRED;
INSERT INTO c VALUES (10, 1, 1, 1, 300), (10, 11, 1, 1, 301);
UPDATE c SET p = 200 WHERE k = 10 AND p = 301;
INSERT INTO p VALUES (300, 300);
COMMIT;
ALTER TABLE c RENAME CONSTRAINT c_p TO c_to_p;
ALTER TABLE c ALTER CONSTRAINT c_to_p NOT DEFERRABLE;
-- error
INSERT INTO c VALUES (10, 12, 1, 1, 400);
SELECT object, expected, found FROM cz_check_shards('c');
-- partitions come and go
CREATE TABLE c4 PARTITION OF c FOR VALUES FROM (40) TO (50);
-- error
INSERT INTO c4 VALUES (1, 40, 999);
INSERT INTO c4 VALUES (1, 40, 1);
CREATE TABLE c5 (k int NOT NULL, t int NOT NULL, o int, s int DEFAULT 1, p int);
INSERT INTO c5 VALUES (1, 50, 999);
-- error
ALTER TABLE c ATTACH PARTITION c5 FOR VALUES FROM (50) TO (60);
SELECT create_distributed_table('c5', 'k');
-- error
ALTER TABLE c ATTACH PARTITION c5 FOR VALUES FROM (50) TO (60);
UPDATE c5 SET o = 6;
ALTER TABLE c ATTACH PARTITION c5 FOR VALUES FROM (50) TO (60);
-- error
UPDATE c SET o = 66 WHERE t = 50;
DELETE FROM o WHERE id = 6;
SELECT count(*) FROM c WHERE o = 6;
INSERT INTO c VALUES (1, 51, 9);
ALTER TABLE c DETACH PARTITION c5;
-- error
INSERT INTO c5 VALUES (2, 1, 9999);
INSERT INTO c5 VALUES (2, 1, 10);
DELETE FROM o WHERE id = 9;
SELECT * FROM c5 ORDER BY 1;
SELECT k, t FROM c WHERE o = 9;
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'c\_%' ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('c5');
DROP TABLE c5;
-- a key of one partition
-- error
ALTER TABLE c1 ADD CONSTRAINT c1_s FOREIGN KEY (t) REFERENCES s;
DELETE FROM c1 WHERE NOT t IN (SELECT id FROM s);
ALTER TABLE c1 ADD CONSTRAINT c1_s FOREIGN KEY (t) REFERENCES s;
-- error
INSERT INTO c VALUES (20, 4, 1);
INSERT INTO c VALUES (20, 5, 1);
-- error
UPDATE c SET t = 4 WHERE k = 20;
-- to itself, and to another partitioned table
ALTER TABLE c DROP CONSTRAINT c_to_p, ADD COLUMN up_k int, ADD COLUMN up_t int;
ALTER TABLE c ADD CONSTRAINT c_c FOREIGN KEY (up_k, up_t) REFERENCES c ON DELETE CASCADE;
UPDATE c SET up_k = 1, up_t = 40 WHERE k > 1;
-- error
UPDATE c SET up_t = 41 WHERE k = 8;
CREATE TABLE d (a int, b int, k int, t int, PRIMARY KEY (a, b), CONSTRAINT d_c FOREIGN KEY (k, t) REFERENCES c ON DELETE SET NULL ON UPDATE CASCADE) PARTITION BY LIST (b);
CREATE TABLE d1 PARTITION OF d FOR VALUES IN (1);
CREATE TABLE d2 PARTITION OF d DEFAULT;
INSERT INTO d SELECT k, t % 2, k, t FROM c ON CONFLICT DO NOTHING;
SELECT create_distributed_table('d', 'a', colocate_with => 'none');
-- error
INSERT INTO d VALUES (500, 1, 500, 1);
UPDATE c SET t = t + 1 WHERE k = 8 AND t = 12;
DELETE FROM c WHERE k = 1 AND t = 40;
SELECT * FROM c ORDER BY 1, 2;
SELECT * FROM d ORDER BY 1, 2;
TRUNCATE o CASCADE;
SELECT (SELECT count(*) FROM c), (SELECT count(*) FROM d);
-- ordinary tables again, and what they refer to is distributed beside them
INSERT INTO o VALUES (1), (2);
INSERT INTO c VALUES (1, 1, 1, 1), (2, 11, 2, 1);
SELECT undistribute_table('d');
INSERT INTO d VALUES (1, 1, 1, 1);
-- error
INSERT INTO d VALUES (2, 1, 1, 2);
-- error
DELETE FROM o WHERE id = 3 OR (SELECT count(*) FROM d) / 0 = 1;
SELECT undistribute_table('c');
-- error
INSERT INTO c VALUES (3, 1, 3);
DELETE FROM o WHERE id = 1;
SELECT * FROM c ORDER BY 1;
SELECT * FROM d ORDER BY 1;
ALTER TABLE c DROP CONSTRAINT c_pkey CASCADE;
SELECT create_distributed_table('c', 'o');
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
SELECT undistribute_table('s');
DROP TABLE c, d, o, s, p;
