-- Foreign keys between distributed tables that are partitioned: from one, to one, between them, and to itself
-- from: 15
CREATE VIEW all_keys AS SELECT conrelid::regclass::text AS f, confrelid::regclass::text AS t, conname::text, CASE WHEN conparentid = 0 THEN pg_get_constraintdef(oid) END AS def, convalidated FROM pg_constraint WHERE contype = 'f' AND connamespace = 't_keys_partitioned'::regnamespace;
CREATE TABLE d (k int PRIMARY KEY, v text, UNIQUE (k, v));
CREATE TABLE p (k int, t int, u int, v text, PRIMARY KEY (k, t), UNIQUE (k, t, u)) PARTITION BY RANGE (t);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, junk int, u int, t int NOT NULL, k int NOT NULL);
ALTER TABLE p2 DROP COLUMN junk;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (20) TO (30);
CREATE TABLE p3d PARTITION OF p3 DEFAULT;
-- a key that is there before they are distributed, and others later
CREATE TABLE c (k int, id int, t int, v text DEFAULT 'c', PRIMARY KEY (k, id), CONSTRAINT c_p FOREIGN KEY (k, t) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE f (k int, t int, pt int, dk text, id int, UNIQUE (k, t, id)) PARTITION BY LIST (t);
CREATE TABLE f0 PARTITION OF f FOR VALUES IN (0, 1, 2);
CREATE TABLE f3 (k int, id int, junk text, dk text, t int, pt int);
ALTER TABLE f3 DROP COLUMN junk;
ALTER TABLE f ATTACH PARTITION f3 FOR VALUES IN (3, 4, NULL);
CREATE TABLE fd PARTITION OF f DEFAULT;
INSERT INTO d SELECT i, 'd' || i FROM generate_series(1, 30) i;
INSERT INTO p SELECT i % 30 + 1, i % 40, i, 'p' || i FROM generate_series(0, 239) i ON CONFLICT DO NOTHING;
INSERT INTO c SELECT k, t + 100, t FROM p WHERE k % 3 = 0;
SELECT create_distributed_table('d', 'k');
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k');
SELECT create_distributed_table('f', 'k');
INSERT INTO f SELECT k, t % 7, t, 'd' || k, t FROM p WHERE k % 2 = 0;
ALTER TABLE f ADD CONSTRAINT f_p FOREIGN KEY (k, pt) REFERENCES p (k, t) ON DELETE CASCADE, ADD CONSTRAINT f_d FOREIGN KEY (k, dk) REFERENCES d (k, v) ON UPDATE CASCADE ON DELETE SET NULL (dk) DEFERRABLE;
-- other words
BEGIN;
-- may error: not of a partitioned table before 18
ALTER TABLE f ADD FOREIGN KEY (k) REFERENCES d NOT VALID;
ROLLBACK;
ALTER TABLE c ADD CONSTRAINT c_u FOREIGN KEY (k, t, id) REFERENCES p (k, t, u) NOT VALID;
SELECT * FROM all_keys ORDER BY 1, 2, 3;
SELECT object, expected, found FROM cz_check_shards('p');
SELECT object, expected, found FROM cz_check_shards('f');
SELECT object, expected, found FROM cz_check_shards('c');
-- other words
-- error
ALTER TABLE c VALIDATE CONSTRAINT c_u;
ALTER TABLE c DROP CONSTRAINT c_u;
-- checked
-- other words
-- error
INSERT INTO c VALUES (1, 1, 99);
-- other words
-- error
INSERT INTO f VALUES (2, 0, 99, 'd2', 1);
-- other words
-- error
INSERT INTO f3 (k, t, pt, dk) VALUES (2, 3, 2, 'd9');
-- other words
-- error
INSERT INTO fd (k, t, pt, dk) VALUES (2, 30, 99, 'd2');
-- other words
-- error
UPDATE f SET pt = 99 WHERE k = 2;
-- other words
-- error
UPDATE f SET pt = 98 + (random() * 0)::int WHERE t = 3;
-- other words
-- error
COPY f FROM STDIN;
2	0	31	d2	500
2	0	99	d2	501
\.
-- other words
-- error
INSERT INTO f SELECT i % 30 + 1, i % 9, i, 'd' || (i % 30 + 1), i FROM generate_series(50, 99) i;
INSERT INTO f SELECT k, t % 9, t, 'd' || k, t + 1000 FROM p WHERE k % 5 = 0;
-- actions: of the whole, of a partition, of one partition's rows, rows that change partition
SELECT count(*), count(dk) FROM f;
DELETE FROM p WHERE t IN (1, 12, 25, 35) AND k < 15;
SELECT count(*), count(dk) FROM f;
SELECT count(*) FROM c;
DELETE FROM p1 WHERE k = 10;
DELETE FROM p3 WHERE k = 12 RETURNING t;
SELECT k, t, pt FROM f WHERE k IN (10, 12) ORDER BY 1, 2, 3;
UPDATE d SET v = v || 'x' WHERE k < 10;
DELETE FROM f WHERE k = 20;
-- other words
-- error
UPDATE p SET t = t + 1 WHERE k = 4;
UPDATE p SET t = (t + 15) % 40 WHERE k = 3;
UPDATE p SET t = t - 5 WHERE k = 9 AND t > 30;
SELECT k, id, t FROM c WHERE k IN (3, 9) ORDER BY 1, 2;
SELECT t, tableoid::regclass FROM p WHERE k IN (3, 9) ORDER BY 1, 2;
UPDATE p SET t = 39 - t, v = v || (random() * 0)::int WHERE k = 27;
SELECT k, id, t FROM c WHERE k = 27 ORDER BY 2;
UPDATE p SET v = v || '!' WHERE k = 4;
DELETE FROM d WHERE k = 8;
SELECT count(*), count(dk) FROM f WHERE k = 8;
-- other words
-- error
DELETE FROM d WHERE k = 9 RETURNING (SELECT count(*) / 0 FROM f);
MERGE INTO p USING (VALUES (14, 2), (14, 3)) s (k, t) ON p.k = s.k AND p.t = s.t WHEN MATCHED THEN DELETE;
SELECT count(*) FROM f WHERE k = 14;
-- in transactions, deferred
BEGIN;
SET CONSTRAINTS f_d DEFERRED;
INSERT INTO f VALUES (40, 1, NULL, 'd40', 7), (41, 30, NULL, 'd41', 7);
UPDATE f3 SET dk = 'later' WHERE k = 6;
SAVEPOINT s;
-- other words
-- error
SET CONSTRAINTS f_d IMMEDIATE;
ROLLBACK TO s;
INSERT INTO d VALUES (40, 'd40'), (41, 'd41');
UPDATE f SET dk = NULL WHERE dk = 'later';
SET CONSTRAINTS f_d IMMEDIATE;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO f VALUES (42, 1, NULL, 'd42', 7);
-- other words
-- error
COMMIT;
WITH a AS (INSERT INTO p VALUES (50, 5), (50, 15), (50, 25) RETURNING k, t), b AS (INSERT INTO d VALUES (50, 'd50') RETURNING v) INSERT INTO f SELECT k, t % 7, t, v FROM a, b;
WITH a AS (DELETE FROM f WHERE k = 50 RETURNING k, pt) DELETE FROM p USING a WHERE p.k = a.k AND p.t = a.pt;
SELECT count(*) FROM p WHERE k = 50;
BEGIN;
DELETE FROM p WHERE k % 4 = 0;
SELECT count(*) FROM f;
SELECT count(*) FROM f0;
ROLLBACK;
-- partitions come and go, on both sides
CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (40) TO (50);
CREATE TABLE f5 PARTITION OF f FOR VALUES IN (50);
SELECT * FROM all_keys ORDER BY 1, 2, 3;
-- other words
-- error
INSERT INTO f VALUES (60, 50, 45, NULL);
INSERT INTO p VALUES (60, 45);
INSERT INTO f VALUES (60, 50, 45, NULL);
-- error
ALTER TABLE p DETACH PARTITION p4;
-- may differ: two keys are in the way; which one is named is a matter of where the catalog has them
-- error
ALTER TABLE p3 DETACH PARTITION p3a;
-- other words
-- error
DROP TABLE p4;
DELETE FROM p4;
SELECT count(*) FROM f5;
ALTER TABLE p DETACH PARTITION p4;
SELECT * FROM all_keys WHERE t = 'p4' ORDER BY 1, 2, 3;
ALTER TABLE p ATTACH PARTITION p4 FOR VALUES FROM (40) TO (60);
INSERT INTO p VALUES (61, 55);
INSERT INTO f VALUES (61, 50, 55, NULL);
SELECT * FROM all_keys WHERE t = 'p4' ORDER BY 1, 2, 3;
DELETE FROM p WHERE t > 45;
SELECT count(*) FROM f5;
ALTER TABLE f DETACH PARTITION f0;
SELECT * FROM all_keys WHERE f = 'f0' ORDER BY 1, 2, 3;
-- other words
-- error
INSERT INTO f0 VALUES (60, 1, 99, NULL);
SELECT count(*) FROM f0;
DELETE FROM p WHERE k = 16 AND t < 12;
SELECT count(*) FROM f0;
SELECT object, expected, found FROM cz_check_shards('f0');
ALTER TABLE f0 RENAME CONSTRAINT f_p TO f0_p;
ALTER TABLE f0 RENAME CONSTRAINT f_d TO f0_d;
-- error
INSERT INTO f0 VALUES (60, 1, 99, NULL);
ALTER TABLE f ATTACH PARTITION f0 FOR VALUES IN (0, 1, 2);
SELECT * FROM all_keys WHERE f = 'f0' ORDER BY 1, 2, 3;
-- error
INSERT INTO f0 VALUES (60, 1, 99, NULL);
CREATE TABLE f6 (k int, t int, pt int, dk text, id int);
INSERT INTO f6 VALUES (60, 60, 99, NULL, 1);
-- other words
-- error
ALTER TABLE f ATTACH PARTITION f6 FOR VALUES IN (60);
UPDATE f6 SET pt = NULL;
ALTER TABLE f ATTACH PARTITION f6 FOR VALUES IN (60);
DROP TABLE f5;
-- ALTER and RENAME
ALTER TABLE f RENAME CONSTRAINT f_p TO f_pp;
ALTER TABLE f RENAME COLUMN pt TO ppt;
-- error
INSERT INTO f0 VALUES (60, 1, 99, NULL);
-- error
INSERT INTO fd VALUES (60, 71, 99, NULL);
ALTER TABLE f ALTER CONSTRAINT f_d DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO f VALUES (70, 1, NULL, 'd70');
INSERT INTO d VALUES (70, 'd70');
COMMIT;
ALTER TABLE f ALTER CONSTRAINT f_d NOT DEFERRABLE;
SELECT object, expected, found FROM cz_check_shards('f');
ALTER TABLE d ALTER v TYPE varchar(40);
ALTER TABLE p ALTER v TYPE varchar(100) USING v || '';
ALTER TABLE f ALTER dk TYPE varchar(40);
SELECT * FROM all_keys ORDER BY 1, 2, 3;
SELECT object, expected, found FROM cz_check_shards('f');
SELECT object, expected, found FROM cz_check_shards('p');
-- other words
-- error
INSERT INTO f VALUES (60, 1, NULL, 'none');
-- error
ALTER TABLE f0 DROP CONSTRAINT f0_d;
-- error
ALTER TABLE f DROP CONSTRAINT nothing;
-- other words
-- error
ALTER TABLE p DROP CONSTRAINT p_pkey;
-- other words
-- error
DROP TABLE d;
-- other words
-- error
TRUNCATE p;
BEGIN;
TRUNCATE p CASCADE;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM f), (SELECT count(*) FROM d) > 0;
ROLLBACK;
BEGIN;
TRUNCATE p, f, c;
INSERT INTO p VALUES (1, 1);
INSERT INTO f VALUES (1, 1, 1, 'd1x');
ROLLBACK;
BEGIN;
TRUNCATE d CASCADE;
SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM p) > 0;
ROLLBACK;
BEGIN;
ALTER TABLE p DROP CONSTRAINT p_pkey CASCADE;
SELECT * FROM all_keys ORDER BY 1, 2, 3;
INSERT INTO f VALUES (60, 1, 99, NULL);
SELECT object, expected, found FROM cz_check_shards('f');
ROLLBACK;
BEGIN;
DROP TABLE d CASCADE;
INSERT INTO f VALUES (60, 1, NULL, 'none');
SELECT object, expected, found FROM cz_check_shards('f');
ROLLBACK;
BEGIN;
DROP TABLE p2 CASCADE;
SELECT * FROM all_keys ORDER BY 1, 2, 3;
SELECT object, expected, found FROM cz_check_shards('f');
ROLLBACK;
-- of a single partition
ALTER TABLE f3 ADD CONSTRAINT own FOREIGN KEY (k, id) REFERENCES p (k, t) NOT VALID;
ALTER TABLE c ADD CONSTRAINT one FOREIGN KEY (k, t) REFERENCES p3 ON DELETE CASCADE NOT VALID;
SELECT * FROM all_keys WHERE conname IN ('own', 'one') ORDER BY 1, 2, 3;
-- error
INSERT INTO f VALUES (60, 3, NULL, NULL, 99);
INSERT INTO f VALUES (60, 2, NULL, NULL, 99);
-- error
INSERT INTO c VALUES (2, 900, 11);
INSERT INTO p VALUES (80, 21), (80, 1);
INSERT INTO c VALUES (80, 1, 21);
INSERT INTO f VALUES (80, 3, NULL, NULL, 1);
-- other words
-- error
DELETE FROM p WHERE k = 80;
DELETE FROM p3 WHERE k = 80;
SELECT * FROM c WHERE k = 80;
-- other words
-- error
UPDATE f SET t = 3, id = 55 WHERE k = 60 AND t = 2;
SELECT object, expected, found FROM cz_check_shards('f3');
SELECT object, expected, found FROM cz_check_shards('c');
DELETE FROM f3 WHERE k = 80;
ALTER TABLE f DETACH PARTITION f3;
SELECT * FROM all_keys WHERE f = 'f3' ORDER BY 1, 2, 3;
SELECT object, expected, found FROM cz_check_shards('f3');
-- error
INSERT INTO f3 (k, id) VALUES (60, 99);
-- error
INSERT INTO f3 (k, ppt) VALUES (60, 99);
ALTER TABLE f ATTACH PARTITION f3 FOR VALUES IN (3, 4, NULL);
SELECT * FROM all_keys WHERE f = 'f3' ORDER BY 1, 2, 3;
SELECT object, expected, found FROM cz_check_shards('f3');
ALTER TABLE f3 DROP CONSTRAINT own;
ALTER TABLE c DROP CONSTRAINT one;
-- ADD COLUMN with a key
ALTER TABLE f ADD more int, ADD CONSTRAINT f_more FOREIGN KEY (k, more) REFERENCES p (k, t);
-- error
UPDATE f SET more = 99 WHERE k = 2;
ALTER TABLE f DROP COLUMN more;
-- both ends are ordinary again, and distributed again
SELECT object, expected, found FROM cz_check_shards('f');
SELECT object, expected, found FROM cz_check_shards('c');
SELECT object, expected, found FROM cz_check_shards('p');
SELECT count(*) FROM cz_verify_placements('f') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
SELECT * FROM all_keys ORDER BY 1, 2, 3;
DROP TABLE c, f, p, d;

-- a table that refers to itself
CREATE TABLE s (k int, id int, up int, v text, PRIMARY KEY (k, id), CONSTRAINT s_up FOREIGN KEY (k, up) REFERENCES s ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE) PARTITION BY RANGE (id);
CREATE TABLE s1 PARTITION OF s FOR VALUES FROM (0) TO (10);
CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('s', 'k');
INSERT INTO s VALUES (1, 11, 1), (1, 1, NULL), (2, 2, 12), (2, 12, NULL);
INSERT INTO s SELECT i, 3, 4 FROM generate_series(10, 30) i UNION ALL SELECT i, 4, NULL FROM generate_series(10, 30) i;
COPY s (k, id, up) FROM STDIN;
3	5	15
3	15	\N
4	6	16
4	16	\N
\.
-- error
INSERT INTO s VALUES (5, 1, 2);
-- error
INSERT INTO s1 VALUES (5, 1, 2), (5, 2, 12);
INSERT INTO s1 VALUES (5, 1, 2), (5, 2, NULL);
DELETE FROM s WHERE id = 4;
SELECT * FROM s ORDER BY 1, 2;
UPDATE s SET id = id + 4 WHERE up IS NULL AND id < 10;
UPDATE s SET id = id - 8 + (random() * 0)::int WHERE up IS NULL AND id > 10;
SELECT *, tableoid::regclass FROM s ORDER BY 1, 2;
-- error
DELETE FROM s2 WHERE k = 1 AND id / 0 > 1;
DELETE FROM s2 WHERE k = 3;
SELECT * FROM s WHERE k = 3;
DELETE FROM s WHERE k = 5;
INSERT INTO s VALUES (5, 1, 12), (5, 12, NULL);
-- error
ALTER TABLE s DETACH PARTITION s2;
DELETE FROM s WHERE id > 9;
SELECT * FROM s ORDER BY 1, 2;
ALTER TABLE s DETACH PARTITION s2;
SELECT * FROM all_keys ORDER BY 1, 2, 3;
INSERT INTO s VALUES (5, 6, NULL);
INSERT INTO s2 VALUES (5, 11, 6), (5, 12, NULL);
-- error
INSERT INTO s2 VALUES (5, 13, 12);
ALTER TABLE s ATTACH PARTITION s2 FOR VALUES FROM (10) TO (20);
SELECT * FROM all_keys ORDER BY 1, 2, 3;
DELETE FROM s WHERE id = 6;
SELECT * FROM s ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('s');
SELECT count(*) FROM cz_verify_placements('s') WHERE NOT ok;
DROP TABLE s;
-- RESTRICT, which 18 says in words and an SQLSTATE of its own: the names are the user's all the same
CREATE TABLE rp (k int PRIMARY KEY) PARTITION BY RANGE (k);
CREATE TABLE rp1 PARTITION OF rp FOR VALUES FROM (0) TO (10);
CREATE TABLE rc (k int PRIMARY KEY, up int, CONSTRAINT a_name_that_is_so_long_that_a_shard_has_to_have_another_one_of FOREIGN KEY (k) REFERENCES rp ON DELETE RESTRICT ON UPDATE RESTRICT);
SELECT create_distributed_table('rp', 'k');
SELECT create_distributed_table('rc', 'k');
ALTER TABLE rc ADD CONSTRAINT "to itself" FOREIGN KEY (k) REFERENCES rc ON DELETE RESTRICT;
INSERT INTO rp VALUES (1), (2); INSERT INTO rc VALUES (1), (2);
-- error
-- one major: 18 says 23001, workers that are older 23503
DELETE FROM rp WHERE k = 1;
-- error
-- one major: 18 says 23001, workers that are older 23503
DELETE FROM rp;
-- error
-- one major: 18 says 23001, workers that are older 23503
UPDATE rp SET k = k + 2 WHERE k = 2;
ALTER TABLE rc RENAME CONSTRAINT a_name_that_is_so_long_that_a_shard_has_to_have_another_one_of TO short;
-- error
-- one major: 18 says 23001, workers that are older 23503
DELETE FROM rp WHERE k = 2;
DROP TABLE rc, rp;
