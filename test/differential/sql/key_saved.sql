-- UPDATE that assigns the distribution column the value that it has, without saying so in WHERE: applications save all columns.
CREATE TABLE t (tenant int, id int, name text, n int);
CREATE TABLE o (org text NOT NULL, id int, name text, PRIMARY KEY (org, id));
CREATE TABLE nokey (k bigint, v text);
SELECT create_distributed_table('t', 'tenant');
SELECT create_distributed_table('o', 'org');
SELECT create_distributed_table('nokey', 'k');
INSERT INTO t SELECT i % 5, i, 'n' || i, i FROM generate_series(1, 30) i;
INSERT INTO t VALUES (NULL, 100, 'null', 1);
INSERT INTO o SELECT 'org' || i % 3, i, 'n' || i FROM generate_series(1, 12) i;
INSERT INTO nokey SELECT i % 4, 'v' || i FROM generate_series(1, 12) i;
UPDATE t SET tenant = 2, name = 'saved', n = 70 WHERE id = 7;
UPDATE t SET tenant = 3, id = 8, name = 'saved', n = 80 WHERE id = 8 RETURNING tenant, id, name, n;
UPDATE t SET tenant = 4 WHERE id IN (4, 9, 14) RETURNING id;
UPDATE t SET tenant = NULL, name = 'still null' WHERE id = 100;
UPDATE t SET tenant = 1, name = 'nobody' WHERE id = 1000;
BEGIN;
-- may differ: without a key placements could differ
UPDATE t SET tenant = u.x, name = 'from' FROM (VALUES (1, 1), (2, 2)) u (x, y) WHERE t.id = u.y RETURNING t.*;
ROLLBACK;
UPDATE o SET org = 'org1', name = 'saved' WHERE id = 4;
UPDATE nokey SET k = 3, v = 'saved' WHERE v = 'v3';
PREPARE save (int, text, int) AS UPDATE t SET tenant = $1, name = $2, id = $3 WHERE id = $3;
EXECUTE save (0, 'prepared', 5);
EXECUTE save (1, 'prepared', 6);
EXECUTE save (2, 'prepared', 12);
EXECUTE save (3, 'prepared', 13);
EXECUTE save (4, 'prepared', 24);
EXECUTE save (0, 'prepared', 10);
EXECUTE save (1, 'prepared', 11);
-- a row would move: nothing changes
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE t SET tenant = 4, name = 'moved' WHERE id = 7;
ROLLBACK;
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE t SET tenant = 0, name = 'moved' WHERE id IN (5, 7, 10);
ROLLBACK;
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE t SET tenant = NULL WHERE id = 7;
ROLLBACK;
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE t SET tenant = 3 WHERE id = 100;
ROLLBACK;
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE nokey SET k = 1, v = 'moved' WHERE v IN ('v1', 'v2');
ROLLBACK;
BEGIN;
UPDATE t SET n = -1 WHERE id = 30;
-- differs: rows do not move
UPDATE t SET tenant = n, n = tenant WHERE id = 2;
ROLLBACK;
SELECT * FROM t ORDER BY id;
SELECT * FROM o ORDER BY org, id;
SELECT * FROM nokey ORDER BY k, v;
