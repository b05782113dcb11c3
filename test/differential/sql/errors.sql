-- Errors that workers raise arrive with their SQLSTATE, and nothing of the statement stays.
CREATE TABLE t (k int PRIMARY KEY, v text NOT NULL, n int CHECK (n <> 13), s text UNIQUE);
-- differs: a unique constraint without the distribution column
SELECT create_distributed_table('t', 'k');
ALTER TABLE t DROP CONSTRAINT t_s_key;
-- cluster: SELECT create_distributed_table('t', 'k')
INSERT INTO t SELECT i, 'v' || i, CASE WHEN i = 13 THEN 0 ELSE i END FROM generate_series(0, 20) i;
-- error
SELECT 1 / n FROM t;
-- error
SELECT 1 / n FROM t WHERE k = 0;
-- error
SELECT sum(1 / n) FROM t;
-- error
SELECT count(*) FROM t WHERE 1 / n > 0;
-- error
SELECT v::int FROM t;
-- error
SELECT v::int FROM t WHERE k = 3;
-- error
SELECT max(v::date) FROM t;
-- error
SELECT (n + 2147483640)::int4 * 10 FROM t WHERE k > 5;
-- error
SELECT sqrt(-n) FROM t WHERE k = 3;
-- error
SELECT log(0.0 * n) FROM t;
-- error
SELECT substring(v FROM 1 FOR -1) FROM t;
-- error
SELECT ('{' || v)::jsonb FROM t;
-- error
SELECT v ~ '(' FROM t;
-- error
SELECT to_date(v, 'YYYY') FROM t;
-- error
INSERT INTO t VALUES (1, 'dup', 1);
-- error
INSERT INTO t VALUES (100, 'ok', 1), (1, 'dup', 1);
-- error
INSERT INTO t VALUES (101, NULL, 1);
-- error
INSERT INTO t VALUES (102, 'check', 13);
-- error
INSERT INTO t (k) VALUES (103);
-- error
INSERT INTO t VALUES (NULL, 'no key', 1);
-- error
INSERT INTO t SELECT i, 'many', i FROM generate_series(1000, 1012) i UNION ALL SELECT 5, 'dup', 5;
SELECT count(*) FROM t;
-- error
UPDATE t SET v = NULL WHERE k = 3;
-- error
UPDATE t SET v = NULL;
-- error
UPDATE t SET n = 13 WHERE k = 5;
-- error
UPDATE t SET n = n / (n - 7);
-- error
DELETE FROM t WHERE 1 / n = 0;
SELECT count(*), count(v), sum(n) FROM t;
-- error
SELECT nosuch FROM t;
-- error
SELECT * FROM no_such_table;
-- error
SELECT nofunc(k) FROM t;
-- error
SELECT k FROM t WHERE v = 3;
-- error
SELECT k, count(*) FROM t;
-- error
SELECT k FROM t ORDER BY 5;
-- error
SELECT * FROM t WHERE k = (SELECT k FROM t);
-- error
SELECT t.k FROM t x;
-- error
SELECT k FROM t, t y;
-- error
SELECT 1 FROM t HAVING k > 1;
-- error
SELECT sum(count(*)) FROM t;
-- error
SELECT k FROM t GROUP BY v;
SELECT k, v FROM t GROUP BY k ORDER BY k LIMIT 2;
-- error
SELECT create_distributed_table('no_such', 'k');
SELECT CASE WHEN n = 0 THEN NULL ELSE 10 / n END FROM t WHERE k < 3 ORDER BY k;
SELECT count(*) FROM t WHERE n <> 0 AND k <> 0;
BEGIN;
INSERT INTO t VALUES (200, 'in transaction', 1);
-- error
INSERT INTO t VALUES (200, 'dup', 1);
-- error
SELECT 1;
ROLLBACK;
SELECT count(*) FROM t;
DO $$ BEGIN INSERT INTO t VALUES (300, 'a', 1); BEGIN INSERT INTO t VALUES (300, 'dup', 1); EXCEPTION WHEN unique_violation THEN INSERT INTO t VALUES (301, 'caught', 1); END; END $$;
SELECT k, v FROM t WHERE k >= 300 ORDER BY k;
DO $$ DECLARE s text; BEGIN BEGIN PERFORM 1 / n FROM t; EXCEPTION WHEN division_by_zero THEN GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE; INSERT INTO t VALUES (302, s, 1); END; END $$;
SELECT v FROM t WHERE k = 302;
SET statement_timeout = '100ms';
-- error
SELECT pg_sleep(2), k FROM t;
-- error
SELECT count(*) FROM t WHERE pg_sleep(1) IS NOT NULL;
RESET statement_timeout;
SELECT count(*) FROM t;
CREATE TABLE own_oid (a int, c bool, CHECK (NOT (c AND tableoid::regclass::text = 'own_oid')));
-- differs: a shard has another tableoid
SELECT create_distributed_table('own_oid', 'a');
INSERT INTO own_oid VALUES (1, false);
CREATE TABLE own_row (a int, CHECK (own_row IS NOT NULL));
-- differs: a shard has another row type
SELECT create_distributed_table('own_row', 'a');
CREATE TABLE own_value (a int, g oid GENERATED ALWAYS AS (tableoid) STORED);
-- differs: a shard has another tableoid
SELECT create_distributed_table('own_value', 'a');
-- What is violated is told with the user's names, in the message and in the fields that drivers read.
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE named (k int, id int, "Name" text NOT NULL, n int CONSTRAINT "n is positive" CHECK (n > 0), p positive,
                    CONSTRAINT "named pkey" PRIMARY KEY (k, id),
                    CONSTRAINT named_has_a_constraint_whose_name_must_be_cut_on_the_shards_xyz UNIQUE (k, "Name"));
SELECT create_distributed_table('named', 'k');
INSERT INTO named VALUES (1, 1, 'a', 1, 1), (1, 2, 'b', 1, 1), (2, 1, 'a', 1, 1);
-- error
INSERT INTO named VALUES (1, 1, 'c', 1, 1);
-- error
INSERT INTO named VALUES (1, 3, 'a', 1, 1);
-- error
INSERT INTO named VALUES (1, 3, NULL, 1, 1);
-- error
INSERT INTO named VALUES (1, 3, 'c', 0, 1);
-- error
INSERT INTO named VALUES (1, 3, 'c', 1, 0);
-- error
INSERT INTO named SELECT 3, i, 'x' || i, 1, 1 FROM generate_series(1, 100) i UNION ALL SELECT 1, 1, 'x', 1, 1;
-- error
UPDATE named SET "Name" = NULL WHERE k = 1;
-- error
UPDATE named SET "Name" = 'z' WHERE k = 1;
-- error
UPDATE named SET n = -n;
-- error
UPDATE named SET p = p - 1 WHERE k = 1 AND id = 1;
-- error
UPDATE named SET id = 7;
-- error
CREATE UNIQUE INDEX "named u" ON named (k, n);
ALTER TABLE named ADD COLUMN e int CONSTRAINT e_check CHECK (e < 5);
-- error
INSERT INTO named VALUES (5, 3, 'c', 1, 1, 5);
CREATE UNIQUE INDEX named_e ON named (k, e);
INSERT INTO named VALUES (5, 4, 'named_e', 1, 1, 4);
-- error
INSERT INTO named VALUES (5, 5, 'd', 1, 1, 4);
DROP TABLE named;
DROP DOMAIN positive;
