-- Statements by key that differ in their values only share a plan: what is sent then has
-- parameters.  That their answers are right is test/differential/sql/shared_plans.sql.
-- Coordinator, workers 1, 2, 3; database cz_shared_plans on each.
\set dbname cz_shared_plans
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY terse
SET client_min_messages = error;
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 1;
CREATE TABLE t (k int PRIMARY KEY, x int, v text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i, 'v' || i FROM generate_series(1, 20) i;
-- the first ones are not looked at: a shape has to come again
SELECT v FROM t WHERE k = 1;
SELECT v FROM t WHERE k = 2;
SELECT x, count(*) FROM t WHERE k = 1 AND v = 'v1' GROUP BY x ORDER BY x LIMIT 3;
SELECT x, count(*) FROM t WHERE k = 2 AND v = 'v2' GROUP BY x ORDER BY x LIMIT 3;
UPDATE t SET x = x + 1, v = 'new' WHERE k = 1 RETURNING *;
UPDATE t SET x = x + 1, v = 'new' WHERE k = 2 RETURNING *;
DELETE FROM t WHERE k = 1;
DELETE FROM t WHERE k = 2;
SET cz.log_remote_commands = on;
SET client_min_messages = log;
SELECT v FROM t WHERE k = 3;
SELECT x, count(*) FROM t WHERE k = 4 AND v = 'v4' GROUP BY x ORDER BY x LIMIT 3;
UPDATE t SET x = x + 2, v = 'newer' WHERE k = 5 RETURNING *;
DELETE FROM t WHERE k = 6;
-- each by itself
SET cz.share_plans = off;
SELECT v FROM t WHERE k = 7;
DELETE FROM t WHERE k = 8;
RESET cz.share_plans;
SELECT v FROM t WHERE k = 9 AND (x = 9 OR random() < 0);
EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM t WHERE k = 10;
-- a table that has changed, another one of its name
SET client_min_messages = error;
ALTER TABLE t ADD COLUMN y int DEFAULT 5;
SELECT * FROM t WHERE k = 11;
SELECT * FROM t WHERE k = 12;
ALTER TABLE t DROP COLUMN x;
SELECT * FROM t WHERE k = 13;
SELECT * FROM t WHERE k = 14;
DROP TABLE t;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t VALUES (3, 'another');
SELECT v FROM t WHERE k = 3;
SELECT v FROM t WHERE k = 4;
