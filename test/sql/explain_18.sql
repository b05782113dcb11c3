-- EXPLAIN's options of 16 to 18 on distributed queries, and the extension's own: REMOTE.
-- Coordinator, workers 1, 2, 3; database cz_explain_18 on each.
\set dbname cz_explain_18
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
SET cz.shard_replication_factor = 1;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT create_distributed_table('t', 'k', shard_count => 2);
CREATE FUNCTION explain(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
    line := regexp_replace(line, '\m10[2-9]\d{3}\M|(?<=_)10[2-9]\d{3}\M', 'N', 'g');
    line := regexp_replace(line, 'connections=\d+', 'connections=C');
    RETURN NEXT regexp_replace(line, 'time=[0-9.]+', 'time=T', 'g');
  END LOOP;
END $$;

INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 100) i;

-- parameters without values: which shard is decided later
SELECT explain('GENERIC_PLAN, COSTS OFF', $$SELECT * FROM t WHERE k = $1$$);
SELECT explain('GENERIC_PLAN, COSTS OFF', $$SELECT count(*) FROM t WHERE v = $1$$);
SELECT explain('GENERIC_PLAN, COSTS OFF', $$DELETE FROM t WHERE k = $1$$);
EXPLAIN (GENERIC_PLAN, ANALYZE) SELECT * FROM t WHERE k = $1;

-- what sending the rows to the client takes
SELECT explain('ANALYZE, SERIALIZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF', $$SELECT * FROM t WHERE k = 2$$);
SELECT explain('ANALYZE, SERIALIZE binary, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF', $$SELECT k FROM t WHERE k = 2$$);

-- memory of planning
CREATE FUNCTION has_memory() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (MEMORY) SELECT * FROM t' LOOP
		IF line ~ 'Memory: used=\d+kB  allocated=\d+kB' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT has_memory();

-- what the workers plan
SET cz.explain_remote_plans = 'none';
SELECT explain('REMOTE, COSTS OFF', $$SELECT * FROM t WHERE k = 2$$);
SELECT explain('REMOTE ''all'', COSTS OFF', $$SELECT count(*) FROM t$$);
SELECT explain('REMOTE one, COSTS OFF, GENERIC_PLAN', $$SELECT * FROM t WHERE k = $1$$);
SELECT explain('COSTS OFF', $$SELECT * FROM t WHERE k = 2$$);
-- the option wins
SET cz.explain_remote_plans = 'all';
SELECT explain('REMOTE off, COSTS OFF', $$SELECT * FROM t WHERE k = 2$$);
SELECT explain('REMOTE none, COSTS OFF', $$SELECT count(*) FROM t$$);
RESET cz.explain_remote_plans;
SELECT explain('REMOTE, COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF', $$UPDATE t SET v = 'y' WHERE k = 3$$);
EXPLAIN (REMOTE maybe) SELECT * FROM t;
SELECT explain('REMOTE', $$SELECT 1$$);

\c postgres
