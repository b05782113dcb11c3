-- Foreign keys between tables with a distribution column, at run time.
-- from: 15
CREATE TABLE p (k int, id int, code text, v text, PRIMARY KEY (k, id), UNIQUE (k, code));
CREATE TABLE c (k int, id int, p_id int, code text, v text, PRIMARY KEY (k, id));
CREATE TABLE g (k int, id int, c_id int, PRIMARY KEY (k, id));
CREATE TABLE s (k int, id int, up int, v text, PRIMARY KEY (k, id));
CREATE TABLE m (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE mc (k int, m_id int);
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k', colocate_with => 'p');
SELECT create_distributed_table('g', 'k', colocate_with => 'p');
SELECT create_distributed_table('s', 'k', colocate_with => 'p');
SELECT create_distributed_table('m', 'k', colocate_with => 'p');
SELECT create_distributed_table('mc', 'k', colocate_with => 'p');
ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (k, p_id) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE c ADD CONSTRAINT c_code FOREIGN KEY (k, code) REFERENCES p (k, code) ON DELETE SET NULL (code);
ALTER TABLE g ADD CONSTRAINT g_c FOREIGN KEY (k, c_id) REFERENCES c ON DELETE CASCADE;
ALTER TABLE s ADD CONSTRAINT s_up FOREIGN KEY (k, up) REFERENCES s ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE mc ADD CONSTRAINT mc_m FOREIGN KEY (k, m_id) REFERENCES m DEFERRABLE;
INSERT INTO p SELECT k, i, 'code' || i, 'p' FROM generate_series(1, 20) k, generate_series(1, 5) i;
WITH a AS (INSERT INTO p SELECT k, 6, 'six', 'a' FROM generate_series(1, 20) k RETURNING k, id) INSERT INTO c SELECT k, id * 100, id, 'code1' FROM a;
INSERT INTO c SELECT k, i, i, 'code' || 6 - i FROM generate_series(1, 20) k, generate_series(1, 5) i;
INSERT INTO g SELECT k, id * 10, id FROM c;
-- error
INSERT INTO c SELECT k, 1000 + i, i FROM generate_series(1, 20) k, generate_series(5, 7) i;
-- error
WITH a AS (INSERT INTO p VALUES (1, 70), (2, 70)) INSERT INTO c VALUES (1, 70, 70), (2, 70, 71);
WITH a AS (INSERT INTO p VALUES (1, 70), (2, 70)) INSERT INTO c VALUES (1, 70, 70), (2, 70, 70) RETURNING *;
SELECT count(*) FROM p;
-- what workers do
DELETE FROM p WHERE id = 1;
SELECT count(*), count(code), sum(id) FROM c;
SELECT count(*) FROM g;
DELETE FROM p WHERE k = 3 AND id IN (2, 3);
UPDATE p SET id = id + 10, v = 'up' WHERE id = 2;
UPDATE p SET id = id + 10, v = 'up' WHERE id = 4 AND random() < 2;
DELETE FROM p WHERE id = 3 AND random() < 2;
SELECT k, id, p_id, code FROM c ORDER BY 1, 2;
SELECT k, id, c_id FROM g ORDER BY 1, 2;
BEGIN;
DELETE FROM p WHERE k < 10;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM g);
SAVEPOINT a;
DELETE FROM c;
SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c), (SELECT count(*) FROM g);
ROLLBACK TO a;
SELECT c.k, count(*) FROM c JOIN g ON c.k = g.k AND c.id = g.c_id GROUP BY 1 ORDER BY 1;
ROLLBACK;
UPDATE p SET code = code || 'x' WHERE id = 5;
WITH d AS (DELETE FROM c WHERE id = 500 RETURNING k, p_id) DELETE FROM p USING d WHERE p.k = d.k AND p.id = d.p_id;
WITH d AS (DELETE FROM c WHERE k = 5 RETURNING k, p_id) DELETE FROM p USING d WHERE p.k = d.k AND p.id = d.p_id;
SELECT count(*) FROM p;
-- a table that refers to itself
INSERT INTO s SELECT k, i, CASE WHEN i < 50 THEN i + 1 END FROM generate_series(1, 8) k, generate_series(1, 50) i;
COPY s (k, id, up) FROM STDIN;
9	1	2
9	2	3
9	3	1
10	1	1
11	1	2
11	2	1
\.
-- error
COPY s (k, id, up) FROM STDIN;
9	11	12
9	12	13
9	13	14
10	11	11
11	11	12
11	12	11
\.
DELETE FROM s WHERE id = 30;
SELECT k, count(*) FROM s GROUP BY 1 ORDER BY 1;
DELETE FROM s WHERE id IN (40, 44) AND random() < 2;
UPDATE s SET id = id + 100 WHERE id IN (46, 47);
UPDATE s SET id = id + 1000, up = up + 1000 WHERE k = 9;
SELECT * FROM s WHERE k IN (1, 9) ORDER BY 1, 2;
DELETE FROM s;
-- a row that goes to another shard
INSERT INTO m SELECT k, i FROM generate_series(1, 20) k, generate_series(1, 3) i;
INSERT INTO mc SELECT k, 1 FROM generate_series(1, 20) k;
UPDATE m SET k = k + 100 WHERE id = 2;
-- error
UPDATE m SET k = k + 100 WHERE k = 4 AND id = 1;
WITH a AS (UPDATE mc SET k = 104 WHERE k = 4) UPDATE m SET k = k + 100 WHERE k = 4 AND id = 1;
UPDATE mc SET m_id = 2, k = k + 100 WHERE k < 10;
-- error
UPDATE mc SET k = k + 500;
BEGIN;
SET CONSTRAINTS mc_m DEFERRED;
UPDATE m SET k = k + 100 WHERE k = 12 AND id = 1;
UPDATE mc SET k = k + 100 WHERE k = 12;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
UPDATE m SET k = k + 100 WHERE k = 13 AND id = 1;
-- error
COMMIT;
SELECT * FROM m ORDER BY 1, 2;
SELECT * FROM mc ORDER BY 1, 2;
DELETE FROM g WHERE k = 7;
UPDATE c SET code = NULL WHERE k = 7;
BEGIN;
-- may differ: rows that refer to it would have to follow
UPDATE p SET k = k + 1000 WHERE k = 7;
ROLLBACK;
INSERT INTO mc VALUES (11, 1), (11, 3);
MERGE INTO m USING (VALUES (11, 1), (11, 3), (30, 1)) v (k, id) ON m.k = v.k AND m.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.id);
-- error
MERGE INTO m USING (VALUES (11, 1), (11, 3), (30, 1)) v (k, id) ON m.k = v.k AND m.id = v.id WHEN MATCHED THEN DELETE;
SELECT count(*) FROM m;
SELECT count(*) FROM cz_verify_placements('p') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('g') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('s') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('m') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('mc') WHERE NOT ok;
-- which of two keys to the same row comes first
CREATE TABLE t1 (k int, id int, code int, PRIMARY KEY (k, id), UNIQUE (k, code));
CREATE TABLE t2 (k int, id int, a int, b int, PRIMARY KEY (k, id));
SELECT create_distributed_table('t1', 'k');
SELECT create_distributed_table('t2', 'k', colocate_with => 't1');
ALTER TABLE t2 ADD CONSTRAINT t2_a FOREIGN KEY (k, a) REFERENCES t1;
ALTER TABLE t2 ADD CONSTRAINT t2_b FOREIGN KEY (k, b) REFERENCES t1 (k, code) ON DELETE CASCADE;
INSERT INTO t1 SELECT k, i, i FROM generate_series(1, 5) k, generate_series(1, 5) i;
INSERT INTO t2 SELECT k, id, id, code FROM t1;
-- error
DELETE FROM t1 WHERE k = 1;
-- error
DELETE FROM t1 WHERE k = 1 AND random() < 2;
-- error
DELETE FROM t1;
UPDATE t2 SET a = NULL;
DELETE FROM t1 WHERE k = 1 AND random() < 2;
SELECT count(*) FROM t2;
