-- How INSERTs are sent: one row as a statement, ON CONFLICT as one command a shard,
-- INSERT ... SELECT on the shards where the key passes through.
-- Coordinator, workers 1, 2, 3; database cz_insert on each.
\set dbname cz_insert
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY terse
SET client_min_messages = warning;
SET cz.shard_replication_factor = 1;
SET cz.shard_count = 4;
CREATE SEQUENCE s;
CREATE TABLE t (k int, id int, v text, n int GENERATED ALWAYS AS (k + 1) STORED, s bigint DEFAULT nextval('s'), PRIMARY KEY (k, id));
SELECT create_distributed_table('t', 'k');
CREATE TABLE u (k int, id int, v text);
SELECT create_distributed_table('u', 'k', colocate_with => 't');
CREATE TABLE r (id int PRIMARY KEY, name text);
SELECT create_reference_table('r');
SET cz.shard_replication_factor = 2;
CREATE TABLE t2 (k int PRIMARY KEY, v text);
SELECT create_distributed_table('t2', 'k', colocate_with => 'none');
RESET cz.shard_replication_factor;

-- one row
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a') RETURNING *, t;
PREPARE p (int) AS INSERT INTO t (k, id) VALUES ($1, $1 + 1) RETURNING n;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE p (1);
EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE p (1);
RESET plan_cache_mode;
-- through core's ModifyTable: several rows
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a'), (2, 3, 'b');

-- ON CONFLICT
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a') ON CONFLICT DO NOTHING;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a') ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET v = EXCLUDED.v || t.v WHERE t.v <> 'x' RETURNING v, n;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t SELECT i, i FROM generate_series(1, 3) i ON CONFLICT (k, id) DO UPDATE SET v = (SELECT name FROM r WHERE r.id = EXCLUDED.id);
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t2 VALUES (1, 'a') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO t2 SELECT 1, 'a' UNION ALL SELECT 1, 'b' ON CONFLICT DO NOTHING;

-- INSERT ... SELECT
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO u SELECT k, id, upper(v) FROM t;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO u (k, v) SELECT k, max(v) FROM t WHERE k = 1 GROUP BY k RETURNING *;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO u SELECT id, k, v FROM t;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t2 SELECT k, v FROM t2;

-- row by row, below core's ModifyTable: what the shards can't do in a conflict
\set VERBOSITY default
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t VALUES (1, 2, 'a') ON CONFLICT (k, id) DO UPDATE SET k = 7 RETURNING *;
CREATE TRIGGER note BEFORE INSERT ON t2 FOR EACH ROW EXECUTE FUNCTION note();
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO t2 VALUES (1, 'a') ON CONFLICT (k) DO NOTHING;

-- every thirty-second nextval() writes here, which is no reason for two phases
CREATE TABLE q (k bigint PRIMARY KEY DEFAULT nextval('s'));
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('q', 'k', colocate_with => 'none');
SET cz.debug_point = 'after_prepare=error';
DO $$ BEGIN FOR i IN 1..70 LOOP INSERT INTO q DEFAULT VALUES; COMMIT; END LOOP; END $$;
-- but what else is written is
CREATE TABLE l (a bigint);
BEGIN; INSERT INTO q DEFAULT VALUES; INSERT INTO l VALUES (1); COMMIT;
BEGIN; SELECT setval('s', 1000); INSERT INTO q DEFAULT VALUES; COMMIT;
RESET cz.debug_point;
SELECT count(*) FROM q;
\c postgres
