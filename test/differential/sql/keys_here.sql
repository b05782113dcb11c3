-- Foreign keys that the coordinator enforces: of ordinary tables to distributed ones, and what
-- workers cannot do for the rows that refer (defaults, other shards, triggers).
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
CREATE TABLE p (k int PRIMARY KEY, v text);
SELECT create_distributed_table('p', 'k');
INSERT INTO p SELECT i, 'p' || i FROM generate_series(1, 40) i;
-- core's errors first
-- error
CREATE TABLE f (k int REFERENCES p (nothing));
-- error
CREATE TABLE f (k int, FOREIGN KEY (nothing) REFERENCES p);
-- error
CREATE TABLE f (k int REFERENCES p (v));
-- error
CREATE TABLE f (k inet REFERENCES p);
-- error
CREATE TABLE f (k int, FOREIGN KEY (k, k) REFERENCES p (k, k));
-- error
CREATE TABLE f (k int, l int, FOREIGN KEY (k, l) REFERENCES p);
-- error
CREATE TEMP TABLE f (k int REFERENCES p);
-- error
CREATE TABLE f (k int REFERENCES p ON DELETE SET NULL (nothing));
CREATE TABLE f (id int PRIMARY KEY, k int REFERENCES p);
CREATE TABLE fc (id int PRIMARY KEY, k int DEFAULT 40 REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE fn (id int, k int DEFAULT 40, l bigint, FOREIGN KEY (k) REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE fd (id int, k int DEFAULT 40, CONSTRAINT fd_k FOREIGN KEY (k) REFERENCES p MATCH FULL ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
CREATE TABLE fr (id int, k int REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT);
CREATE TABLE fl (id int, k int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
INSERT INTO f VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO fc SELECT i, i FROM generate_series(5, 12) i;
INSERT INTO fn SELECT i, i FROM generate_series(10, 16) i;
INSERT INTO fd SELECT i, i FROM generate_series(15, 20) i;
INSERT INTO fr VALUES (1, 30);
INSERT INTO fl VALUES (1, 31), (2, 32);
-- error
INSERT INTO f VALUES (4, 400);
-- error
UPDATE f SET k = 401 WHERE id = 1;
UPDATE f SET k = 3 WHERE id = 1;
COPY fc FROM STDIN;
100	21
101	22
\.
-- error
COPY fc FROM STDIN;
102	23
103	999
\.
-- error
DELETE FROM p WHERE k = 3;
-- error
DELETE FROM p WHERE k IN (2, 25);
-- error
UPDATE p SET k = 300 WHERE k = 3;
UPDATE p SET v = 'three' WHERE k = 3;
UPDATE p SET k = 3, v = 'still' WHERE k = 3;
-- error
DELETE FROM p WHERE k = 30;
-- error
UPDATE p SET k = 301 WHERE k = 30;
DELETE FROM p WHERE k IN (5, 10, 15, 16, 21) RETURNING k;
SELECT * FROM fc ORDER BY id;
SELECT * FROM fn ORDER BY id;
SELECT * FROM fd ORDER BY id;
UPDATE p SET k = k + 100 WHERE k IN (6, 11, 12, 17, 22) RETURNING k, v;
SELECT * FROM fc ORDER BY id;
SELECT * FROM fn ORDER BY id;
SELECT * FROM fd ORDER BY id;
-- error
DELETE FROM p WHERE k = 40;
-- by other statements
WITH d AS (DELETE FROM p WHERE k = 7 RETURNING k) SELECT (SELECT k FROM d), (SELECT count(*) FROM fc WHERE k = 7);
SELECT count(*) FROM fc WHERE k = 7;
INSERT INTO p VALUES (8, 'x') ON CONFLICT (k) DO UPDATE SET v = excluded.v;
-- error
MERGE INTO p USING (VALUES (3), (8)) AS s (k) ON p.k = s.k WHEN MATCHED THEN DELETE;
MERGE INTO p USING (VALUES (8), (900)) AS s (k) ON p.k = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, 'merged');
SELECT * FROM fc ORDER BY id;
PREPARE del (int) AS DELETE FROM p WHERE k = $1;
EXECUTE del (9);
-- error
EXECUTE del (3);
EXECUTE del (900);
DEALLOCATE del;
-- the end of the transaction
BEGIN;
INSERT INTO fl VALUES (3, 777);
DELETE FROM p WHERE k = 31;
INSERT INTO p VALUES (777, 'late'), (31, 'again');
COMMIT;
BEGIN;
DELETE FROM p WHERE k = 32;
-- error
COMMIT;
BEGIN;
DELETE FROM p WHERE k = 32;
-- error
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
DELETE FROM p WHERE k = 32;
UPDATE fl SET k = 31 WHERE k = 32;
SET CONSTRAINTS ALL IMMEDIATE;
-- error
INSERT INTO fl VALUES (4, 778);
ROLLBACK;
BEGIN;
SAVEPOINT a;
DELETE FROM p WHERE k = 107 OR k = 32;
ROLLBACK TO a;
UPDATE p SET v = 'kept' WHERE k = 32;
COMMIT;
SELECT * FROM fl ORDER BY 1;
DO $$BEGIN DELETE FROM p WHERE k = 3; EXCEPTION WHEN foreign_key_violation THEN INSERT INTO f VALUES (50, 3); END$$;
SELECT * FROM f ORDER BY 1;
-- triggers of the table that refers fire, and of the other one
CREATE TABLE log (what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (concat_ws(' ', TG_TABLE_NAME, TG_NAME, TG_WHEN, TG_OP, OLD, NEW)); RETURN coalesce(NEW, OLD); END$$;
CREATE TRIGGER fc_b BEFORE UPDATE OR DELETE ON fc FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER fc_a AFTER UPDATE OR DELETE ON fc FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER p_a AFTER UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION tell();
UPDATE p SET k = 206 WHERE k = 106;
DELETE FROM p WHERE k = 206;
SELECT * FROM log ORDER BY 1;
DROP TRIGGER p_a ON p;
-- ALTER TABLE with rows there
CREATE TABLE fa (id int, k int);
INSERT INTO fa VALUES (1, 1), (2, 888);
-- error
ALTER TABLE fa ADD CONSTRAINT fa_k FOREIGN KEY (k) REFERENCES p;
ALTER TABLE fa ADD CONSTRAINT fa_k FOREIGN KEY (k) REFERENCES p NOT VALID;
-- error
ALTER TABLE fa VALIDATE CONSTRAINT fa_k;
-- error
INSERT INTO fa VALUES (3, 889);
UPDATE fa SET k = 2 WHERE id = 2;
ALTER TABLE fa VALIDATE CONSTRAINT fa_k;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'fa'::regclass;
ALTER TABLE fa DROP CONSTRAINT fa_k, ADD COLUMN l int REFERENCES p ON DELETE CASCADE, ADD FOREIGN KEY (k) REFERENCES p;
UPDATE fa SET l = 4 WHERE id = 1;
DELETE FROM p WHERE k = 4;
SELECT * FROM fa;
ALTER TABLE fa ADD COLUMN m int DEFAULT 2 REFERENCES p;
-- error
ALTER TABLE fa ADD COLUMN n int DEFAULT 5000 REFERENCES p;
ALTER TABLE fa DROP COLUMN l, DROP COLUMN m;
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE contype = 'f' AND confrelid = 'p'::regclass ORDER BY 1;
-- error
TRUNCATE p;
-- error
DROP TABLE p;
DROP TABLE fa, fr;
DELETE FROM p WHERE k = 30;
-- partitioned ones, too
CREATE TABLE fp (a int, k int, FOREIGN KEY (k) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY RANGE (a);
CREATE TABLE fp1 PARTITION OF fp FOR VALUES FROM (0) TO (10);
CREATE TABLE fp2 (a int, k int);
INSERT INTO fp2 VALUES (11, 4444);
-- error
ALTER TABLE fp ATTACH PARTITION fp2 FOR VALUES FROM (10) TO (20);
UPDATE fp2 SET k = 33;
ALTER TABLE fp ATTACH PARTITION fp2 FOR VALUES FROM (10) TO (20);
INSERT INTO fp VALUES (1, 34), (12, 34), (13, 35);
-- error
INSERT INTO fp VALUES (1, 5555);
-- error
INSERT INTO fp2 VALUES (14, 5555);
DELETE FROM p WHERE k = 35;
UPDATE p SET k = 134 WHERE k = 34;
SELECT tableoid::regclass, * FROM fp ORDER BY 2, 3;
ALTER TABLE fp DETACH PARTITION fp2;
-- error
INSERT INTO fp2 VALUES (15, 5556);
DELETE FROM p WHERE k = 33;
SELECT * FROM fp2;
ALTER TABLE fp ATTACH PARTITION fp2 FOR VALUES FROM (10) TO (20);
UPDATE p SET k = 34 WHERE k = 134;
SELECT tableoid::regclass, * FROM fp ORDER BY 2, 3;
ALTER TABLE fp DROP CONSTRAINT fp_k_fkey;
INSERT INTO fp VALUES (1, 5555);
-- error
ALTER TABLE fp ADD FOREIGN KEY (k) REFERENCES p;
DELETE FROM fp WHERE k = 5555;
ALTER TABLE fp ADD FOREIGN KEY (k) REFERENCES p;
SELECT conrelid::regclass, conname, convalidated FROM pg_constraint WHERE contype = 'f' AND conrelid IN ('fp'::regclass, 'fp1'::regclass, 'fp2'::regclass) ORDER BY 1, 2;
DROP TABLE fp;
-- then the table is distributed, too
CREATE TABLE fh (k int PRIMARY KEY REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, w text);
INSERT INTO fh VALUES (26, 'a'), (27, 'b');
SELECT create_distributed_table('fh', 'k');
-- error
INSERT INTO fh VALUES (28, 'c'), (6000, 'd');
DELETE FROM p WHERE k = 26;
UPDATE p SET k = 127 WHERE k = 27;
SELECT * FROM fh ORDER BY 1;
SELECT count(*) FROM cz_check_shards('fh');
TRUNCATE p CASCADE;
SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM fc), (SELECT count(*) FROM fh);
DROP TABLE p CASCADE;
INSERT INTO f VALUES (1, 12345);

-- what a worker does not do between distributed tables
CREATE TABLE q (k int, id int, v text, PRIMARY KEY (k, id));
CREATE TABLE c (k int DEFAULT 0, id int DEFAULT 0, w int, CONSTRAINT c_q FOREIGN KEY (k, id) REFERENCES q ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
CREATE TABLE d (k int, id int DEFAULT 1, w int, CONSTRAINT d_q FOREIGN KEY (k, id) REFERENCES q ON DELETE SET DEFAULT (id) ON UPDATE CASCADE);
CREATE TABLE n (k int, id int, w int, CONSTRAINT n_q FOREIGN KEY (k, id) REFERENCES q ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE g (k int, id int, w int, CONSTRAINT g_q FOREIGN KEY (k, id) REFERENCES q ON DELETE CASCADE ON UPDATE CASCADE);
SELECT create_distributed_table('q', 'k');
SELECT create_distributed_table('c', 'k');
SELECT create_distributed_table('d', 'k');
SELECT create_distributed_table('n', 'k');
SELECT create_distributed_table('g', 'k');
INSERT INTO q SELECT i % 10, i, 'q' || i FROM generate_series(0, 99) i;
INSERT INTO q SELECT i, 1, 'one' FROM generate_series(0, 9) i WHERE i <> 1;
INSERT INTO c SELECT i % 10, i, i FROM generate_series(20, 39) i;
INSERT INTO d SELECT i % 10, i, i FROM generate_series(30, 49) i;
INSERT INTO n SELECT i % 10, i, i FROM generate_series(40, 59) i;
INSERT INTO g SELECT i % 10, i, i FROM generate_series(50, 69) i;
-- error
INSERT INTO c VALUES (1, 555, 1);
DELETE FROM q WHERE id IN (21, 31, 32, 41, 42, 52, 53);
SELECT 'c', * FROM c UNION ALL SELECT 'd', * FROM d UNION ALL SELECT 'n', * FROM n UNION ALL SELECT 'g', * FROM g ORDER BY 1, 4;
UPDATE q SET id = id + 1000 WHERE id IN (22, 33, 43, 44, 54, 64);
SELECT 'c', * FROM c UNION ALL SELECT 'd', * FROM d UNION ALL SELECT 'n', * FROM n UNION ALL SELECT 'g', * FROM g ORDER BY 1, 4;
UPDATE q SET k = k + 10 WHERE id IN (23, 34, 45, 46, 55, 65);
SELECT 'c', * FROM c UNION ALL SELECT 'd', * FROM d UNION ALL SELECT 'n', * FROM n UNION ALL SELECT 'g', * FROM g ORDER BY 1, 4;
-- error
DELETE FROM q WHERE (k, id) = (0, 0);
ALTER TABLE c ALTER k SET DEFAULT 1, ALTER id SET DEFAULT 777;
-- error
DELETE FROM q WHERE id = 24;
INSERT INTO q VALUES (1, 777);
DELETE FROM q WHERE id = 24;
-- defaults that are none, and such as are not constant
ALTER TABLE c ALTER k DROP DEFAULT, ALTER id DROP DEFAULT;
UPDATE q SET k = 12 WHERE id = 25;
CREATE SEQUENCE s START 2 INCREMENT 10;
ALTER TABLE d ALTER id SET DEFAULT nextval('s');
-- error
DELETE FROM q WHERE id = 35;
INSERT INTO q VALUES (5, 12), (5, 22), (6, 32);
DELETE FROM q WHERE id = 35;
SELECT 'c', * FROM c UNION ALL SELECT 'd', * FROM d UNION ALL SELECT 'n', * FROM n UNION ALL SELECT 'g', * FROM g ORDER BY 1, 4;
BEGIN;
DELETE FROM q WHERE k >= 5 AND id > 49;
SELECT (SELECT count(*) FROM q), (SELECT count(*) FROM g), (SELECT count(k) FROM n);
ROLLBACK;
SELECT (SELECT count(*) FROM q), (SELECT count(*) FROM g), (SELECT count(k) FROM n);
-- a key with triggers beside it: who acts changes when they come, and go
CREATE TABLE log2 (what text);
CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log2 VALUES (concat_ws(' ', TG_TABLE_NAME, TG_NAME, TG_WHEN, TG_OP, OLD, NEW)); RETURN coalesce(NEW, OLD); END$$;
CREATE TRIGGER g_b BEFORE UPDATE OR DELETE ON g FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER g_a AFTER UPDATE OR DELETE ON g FOR EACH ROW EXECUTE FUNCTION tell();
CREATE CONSTRAINT TRIGGER g_c AFTER DELETE ON g DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER g_s AFTER DELETE ON g FOR EACH STATEMENT EXECUTE FUNCTION tell();
SELECT count(*) FROM cz_check_shards('g');
DELETE FROM q WHERE id IN (56, 57);
UPDATE q SET id = 2058 WHERE id = 58;
UPDATE q SET k = 3 WHERE id = 59;
SELECT * FROM log2 ORDER BY 1;
DROP TRIGGER g_a ON g;
DROP FUNCTION tell CASCADE;
SELECT count(*) FROM cz_check_shards('g');
DELETE FROM q WHERE id = 60;
SELECT 'g', * FROM g ORDER BY 4;
-- an ordinary table that refers to one whose rows a key deletes: it is checked, too
ALTER TABLE g ADD PRIMARY KEY (k, id);
CREATE TABLE gl (k int, id int, FOREIGN KEY (k, id) REFERENCES g);
INSERT INTO gl SELECT k, id FROM g WHERE id IN (61, 62);
-- error
DELETE FROM q WHERE id = 61;
-- error
UPDATE q SET k = 9 WHERE id = 61;
DELETE FROM q WHERE id = 63;
SELECT count(*) FROM cz_check_shards('g');
DROP TABLE gl;
SELECT count(*) FROM cz_check_shards('g');
DELETE FROM q WHERE id = 61;
SELECT 'g', * FROM g ORDER BY 4;
SELECT count(*) FROM cz_verify_placements('g') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
SELECT count(*) FROM cz_verify_placements('n') WHERE NOT ok;

-- to itself
CREATE TABLE t (k int PRIMARY KEY, up int DEFAULT 1 REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
-- error
CREATE TABLE u (k int, id int, up int DEFAULT 1, PRIMARY KEY (k, id), FOREIGN KEY (k, up) REFERENCES u ON DELETE SET DEFAULT (nothing));
CREATE TABLE u (k int, id int, up int DEFAULT 1, PRIMARY KEY (k, id), FOREIGN KEY (k, up) REFERENCES u ON DELETE SET DEFAULT (up) ON UPDATE CASCADE);
SELECT create_distributed_table('u', 'k');
INSERT INTO u SELECT k, i, greatest(i / 2, 1) FROM generate_series(1, 3) k, generate_series(1, 7) i;
DELETE FROM u WHERE id = 2;
SELECT * FROM u ORDER BY 1, 2;
UPDATE u SET id = 33 WHERE id = 3;
SELECT * FROM u ORDER BY 1, 2;
-- error
DELETE FROM u WHERE id = 1;
DELETE FROM u WHERE k = 2;
SELECT * FROM u ORDER BY 1, 2;
