-- Foreign keys between distributed tables that workers cannot check: of other columns, groups, kinds
-- and numbers of shards, and to ordinary tables.  The coordinator holds them.
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
CREATE TABLE p (k int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, k int DEFAULT 1 REFERENCES p, w text);
CREATE TABLE cc (id int PRIMARY KEY, k int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE cn (id int PRIMARY KEY, k int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE cd (id int PRIMARY KEY, k int DEFAULT 1 REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
CREATE TABLE cf (id int, k int, l int, CONSTRAINT cf_k FOREIGN KEY (k) REFERENCES p DEFERRABLE INITIALLY DEFERRED);
INSERT INTO p SELECT i, 'p' || i FROM generate_series(1, 30) i;
INSERT INTO c SELECT i, i FROM generate_series(1, 5) i;
SELECT create_distributed_table('c', 'id');
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('cc', 'id');
SELECT create_distributed_table('cn', 'id', colocate_with => 'none');
SELECT create_distributed_table('cd', 'id');
SELECT create_distributed_table('cf', 'l');
INSERT INTO cc SELECT i, i FROM generate_series(6, 12) i;
INSERT INTO cn SELECT i, i FROM generate_series(8, 15) i;
INSERT INTO cd SELECT i, i FROM generate_series(12, 18) i;
-- error
INSERT INTO c VALUES (100, 100);
-- error
INSERT INTO c VALUES (101, 1), (102, 2), (103, 103);
INSERT INTO c VALUES (101, NULL), (102, 2) RETURNING *;
-- error
INSERT INTO c SELECT i, i FROM generate_series(25, 35) i;
-- error
UPDATE c SET k = 99 WHERE id = 1;
UPDATE c SET k = 3 WHERE id = 1;
UPDATE c SET w = 'w';
UPDATE c SET id = id + 200 WHERE id = 5;
-- error
UPDATE c SET id = id + 200, k = k + 50 WHERE id = 4;
COPY c (id, k) FROM STDIN;
301	20
302	21
\.
-- error
COPY c (id, k) FROM STDIN;
303	20
304	210
\.
INSERT INTO c VALUES (2, 4) ON CONFLICT (id) DO UPDATE SET k = excluded.k;
-- error
INSERT INTO c VALUES (2, 444) ON CONFLICT (id) DO UPDATE SET k = excluded.k;
-- error
MERGE INTO c USING (VALUES (2, 4), (305, 777)) s (id, k) ON c.id = s.id WHEN MATCHED THEN UPDATE SET k = s.k WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.k);
SELECT * FROM c ORDER BY 1;
-- error
DELETE FROM p WHERE k = 4;
-- error
UPDATE p SET k = 400 WHERE k = 4;
DELETE FROM p WHERE k IN (7, 8, 9, 13) RETURNING k;
UPDATE p SET k = k + 100 WHERE k IN (10, 14, 15, 18);
SELECT 'cc', * FROM cc UNION ALL SELECT 'cn', * FROM cn UNION ALL SELECT 'cd', * FROM cd ORDER BY 1, 2;
WITH d AS (DELETE FROM c WHERE k = 20 RETURNING k) DELETE FROM p USING d WHERE p.k = d.k;
WITH n AS (INSERT INTO p VALUES (500, 'new') RETURNING k) INSERT INTO c SELECT 500, k FROM n;
SELECT * FROM c WHERE id = 500;
BEGIN;
DELETE FROM p WHERE k = 11;
SELECT count(*) FROM cc WHERE k = 11;
SAVEPOINT a;
INSERT INTO cc VALUES (900, 12);
-- error
INSERT INTO cc VALUES (901, 11);
ROLLBACK TO a;
ROLLBACK;
SELECT count(*) FROM cc WHERE k = 11;
-- the end of the transaction
BEGIN;
INSERT INTO cf VALUES (1, 600, 1), (2, 601, 2), (3, 25, 3);
UPDATE cf SET k = 5 WHERE id = 2;
DELETE FROM cf WHERE id = 1;
COMMIT;
BEGIN;
INSERT INTO cf VALUES (4, 602, 4);
-- error
COMMIT;
BEGIN;
INSERT INTO cf VALUES (4, 602, 4);
INSERT INTO p VALUES (602);
DELETE FROM p WHERE k = 25;
-- error
SET CONSTRAINTS cf_k IMMEDIATE;
ROLLBACK;
BEGIN;
INSERT INTO cf VALUES (4, 602, 4);
INSERT INTO p VALUES (602);
SET CONSTRAINTS cf_k IMMEDIATE;
-- error
INSERT INTO cf VALUES (5, 603, 5);
ROLLBACK;
SELECT * FROM cf ORDER BY 1;
-- workers show rows that refer by the transaction's snapshot only
BEGIN ISOLATION LEVEL REPEATABLE READ;
-- differs: others may have committed rows that refer, which are not seen
DELETE FROM p WHERE k = 29;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO c VALUES (600, 29);
-- error
INSERT INTO c VALUES (601, 2900);
ROLLBACK;
-- by ALTER TABLE
CREATE TABLE a (id int, k int, UNIQUE (id));
SELECT create_distributed_table('a', 'id');
INSERT INTO a VALUES (1, 1), (2, 888);
-- error
ALTER TABLE a ADD CONSTRAINT a_k FOREIGN KEY (k) REFERENCES p;
ALTER TABLE a ADD CONSTRAINT a_k FOREIGN KEY (k) REFERENCES p NOT VALID;
-- error
ALTER TABLE a VALIDATE CONSTRAINT a_k;
-- error
INSERT INTO a VALUES (3, 889);
UPDATE a SET k = 2 WHERE id = 2;
ALTER TABLE a VALIDATE CONSTRAINT a_k;
ALTER TABLE a RENAME CONSTRAINT a_k TO a_kk;
ALTER TABLE a ALTER CONSTRAINT a_kk DEFERRABLE INITIALLY DEFERRED;
-- error
INSERT INTO a VALUES (3, 889);
ALTER TABLE a ADD COLUMN s int REFERENCES a (id) ON DELETE CASCADE;
INSERT INTO a VALUES (4, 1, 1), (5, 1, 4), (6, 1, 6);
-- error
INSERT INTO a VALUES (7, 1, 8);
DELETE FROM a WHERE id = 1;
SELECT * FROM a ORDER BY 1;
ALTER TABLE a DROP CONSTRAINT a_kk;
INSERT INTO a VALUES (3, 889);
SELECT count(*) FROM cz_check_shards('a');
-- to an ordinary table, and a circle
CREATE TABLE o (k int PRIMARY KEY);
INSERT INTO o VALUES (1), (2), (3);
ALTER TABLE a ADD COLUMN o int REFERENCES o ON DELETE SET NULL;
-- error
UPDATE a SET o = 9 WHERE id = 3;
UPDATE a SET o = 2 WHERE id = 3;
DELETE FROM o WHERE k = 2;
SELECT id, o FROM a ORDER BY 1;
CREATE TABLE x (k int PRIMARY KEY);
CREATE TABLE y (k int PRIMARY KEY REFERENCES x DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE x ADD FOREIGN KEY (k) REFERENCES y ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
SELECT create_distributed_table('x', 'k');
BEGIN;
INSERT INTO x VALUES (1), (2);
INSERT INTO y VALUES (1), (2);
COMMIT;
-- error
INSERT INTO x VALUES (3);
SELECT create_distributed_table('y', 'k');
-- error
INSERT INTO y VALUES (3);
BEGIN;
INSERT INTO x VALUES (3);
INSERT INTO y VALUES (3);
COMMIT;
DELETE FROM y WHERE k = 1;
SELECT * FROM x ORDER BY 1;
SELECT * FROM y ORDER BY 1;
SELECT count(*) FROM cz_check_shards('x');
SELECT count(*) FROM cz_check_shards('y');
-- error
TRUNCATE p;
-- error
DROP TABLE p;
TRUNCATE p CASCADE;
SELECT (SELECT count(*) FROM c), (SELECT count(*) FROM cc), (SELECT count(*) FROM cf);
DROP TABLE p CASCADE;
INSERT INTO c VALUES (1, 12345);
SELECT count(*) FROM cz_verify_placements('c') WHERE NOT ok;
-- another type of what is referred to: the key is made again, and looked at
CREATE TABLE m (k int PRIMARY KEY, u int, UNIQUE (k, u));
CREATE TABLE mu (id int PRIMARY KEY, k int, u int, CONSTRAINT mu_m FOREIGN KEY (k, u) REFERENCES m (k, u));
CREATE TABLE mr (k int, u int, CONSTRAINT mr_m FOREIGN KEY (k, u) REFERENCES m (k, u));
SELECT create_distributed_table('m', 'k');
SELECT create_distributed_table('mu', 'id');
SELECT create_reference_table('mr');
INSERT INTO m SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO mu SELECT i, i, i FROM generate_series(1, 9) i;
-- error
ALTER TABLE m ALTER u TYPE bigint USING CASE WHEN k = 4 THEN -u ELSE u END;
-- error
ALTER TABLE mu ALTER u TYPE bigint USING CASE WHEN k = 4 THEN -u ELSE u END;
ALTER TABLE m ALTER u TYPE bigint;
ALTER TABLE mu ALTER u TYPE bigint USING u + 0;
-- error
INSERT INTO mu VALUES (10, 1, 2);
DELETE FROM mu;
INSERT INTO mr VALUES (1, 1);
-- error
ALTER TABLE m ALTER u TYPE int USING -u;
ALTER TABLE m ALTER u TYPE int USING u + k - k;
-- error
DELETE FROM m WHERE k = 1;
DELETE FROM m WHERE k = 2;
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE contype = 'f' AND confrelid = 'm'::regclass ORDER BY 1;
