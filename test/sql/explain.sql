-- What EXPLAIN shows, in each format; numbers of shards are masked.
-- Coordinator, workers 1, 2, 3; database cz_explain on each.
\set dbname cz_explain
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
\set SHOW_CONTEXT never
SET cz.shard_replication_factor = 1;

CREATE TABLE a (k int PRIMARY KEY, j int, v text);
SELECT create_distributed_table('a', 'k', shard_count => 4);
CREATE TABLE b (k int, x int);
SELECT create_distributed_table('b', 'k', shard_count => 4);
CREATE TABLE r (k int PRIMARY KEY, name text);
SELECT create_reference_table('r');
INSERT INTO a SELECT i, i % 10, 'value ' || i FROM generate_series(1, 100) i;
INSERT INTO b SELECT i, i % 7 FROM generate_series(1, 100) i;
INSERT INTO r SELECT i, 'name ' || i FROM generate_series(1, 10) i;
ANALYZE a, b, r;

CREATE FUNCTION explain(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
    line := regexp_replace(line, '\m10[2-9]\d{3}\M|(?<=_)10[2-9]\d{3}\M', 'N', 'g');
    line := regexp_replace(line, 'connections=\d+', 'connections=C');
    RETURN NEXT regexp_replace(line, 'time=[0-9.]+', 'time=T', 'g');
  END LOOP;
END $$;

-- strategies
SELECT explain('COSTS OFF', 'SELECT * FROM a WHERE k = 5');
SELECT explain('COSTS OFF', 'SELECT v, x FROM a JOIN b USING (k) JOIN r ON r.k = a.j');
SELECT explain('COSTS OFF', 'SELECT j, count(*) FROM a GROUP BY j');
SELECT explain('COSTS OFF', 'SELECT random() FROM a');
SELECT explain('COSTS OFF', 'SELECT * FROM r, generate_series(1, 2)');
SELECT explain('COSTS OFF', 'UPDATE a SET v = ''new'' WHERE j = 3');
SET cz.enable_pushdown = off;
SELECT explain('COSTS OFF', 'SELECT count(*) FROM a WHERE j = 3');
RESET cz.enable_pushdown;

-- pruning: when planned, when executed
SELECT explain('COSTS OFF', 'SELECT v FROM a WHERE k IN (1, 2, 5)');
SELECT explain('COSTS OFF', 'SELECT v FROM a WHERE k IS NULL AND k = 1');
PREPARE by_key (int) AS SELECT v FROM a WHERE k = $1;
SET plan_cache_mode = force_generic_plan;
SELECT explain('COSTS OFF', 'EXECUTE by_key (5)');
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF', 'EXECUTE by_key (5)');
RESET plan_cache_mode;

-- one line, but what is quoted stays as it is
SELECT explain('COSTS OFF', $$SELECT v AS "a  b
c" FROM a WHERE v <> 'it''s  "so' AND v <> E'x\n  y\\'$$);

-- runs: per node, with VERBOSE per fragment
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF, VERBOSE', 'SELECT v FROM a WHERE k IN (1, 2, 5)');
SELECT count(*) > 0 AS has_times FROM explain('ANALYZE, BUFFERS OFF, SUMMARY OFF', 'SELECT v FROM a WHERE k = 1') e WHERE e ~ 'Node: .* time=T ms';
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF',
  'SELECT x.i, y.v FROM generate_series(1, 3) x (i), LATERAL (SELECT max(v) AS v FROM a WHERE k = x.i) y');
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF', 'SELECT v FROM a WHERE false');
BEGIN;
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF, VERBOSE', 'UPDATE a SET v = ''new'' WHERE k = 3 RETURNING v');
ROLLBACK;
SELECT v FROM a WHERE k = 3;

-- every option at once
SELECT count(*) > 5 AS works FROM explain('ANALYZE, VERBOSE, BUFFERS, COSTS, SETTINGS, WAL, TIMING, SUMMARY', 'SELECT j, count(*) FROM a GROUP BY j');

-- the other formats
CREATE FUNCTION explain_json(options text, query text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE result json;
BEGIN
  EXECUTE format('EXPLAIN (%s, FORMAT JSON) %s', options, query) INTO result;
  RETURN result -> 0 -> 'Plan';
END $$;
SELECT key, CASE WHEN key ~ 'Bytes' OR value::text ~ '10[2-9]\d{3}' THEN 'masked' ELSE value::text END AS value
  FROM json_each(explain_json('COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF, VERBOSE', 'SELECT v FROM a WHERE k IN (1, 2, 5)'))
 WHERE key NOT IN ('Nodes', 'Fragment Runs', 'Async Capable', 'Actual Rows', 'Actual Loops', 'Disabled');
SELECT n ->> 'Node Name' AS node, n -> 'Fragments' AS fragments, n -> 'Rows' AS rows, (n ->> 'Bytes')::int > 0 AS bytes,
       (n ->> 'Connections')::int > 0 AS connections, n -> 'Failed' AS failed, n -> 'Moved Fragments' AS moved
  FROM json_array_elements(explain_json('ANALYZE', 'SELECT v FROM a WHERE k IN (1, 2, 5)') -> 'Nodes') n ORDER BY 1;
SELECT f ->> 'Node Name' AS node, f -> 'Rows' AS rows, f -> 'Completed' AS completed, (f ->> 'Time')::float > 0 AS timed
  FROM json_array_elements(explain_json('ANALYZE, VERBOSE', 'SELECT v FROM a WHERE k IN (1, 2, 5)') -> 'Fragment Runs') f;
SELECT count(*) > 0 AS yaml FROM explain('FORMAT YAML, ANALYZE, BUFFERS OFF, VERBOSE', 'SELECT v FROM a') WHERE explain ~ 'Strategy: "pushdown"';
SELECT count(*) > 0 AS xml FROM explain('FORMAT XML, ANALYZE, BUFFERS OFF, VERBOSE', 'SELECT v FROM a')
 WHERE explain ~ '<Strategy>pushdown</Strategy>.*<Remote-Rows>100</Remote-Rows>.*<Fragment-Runs>.*</Fragment-Runs>';

-- LIMIT stops a merge: what has come by then is counted, also of fragments that did not end
CREATE TABLE wide (k int, v text);
SELECT create_distributed_table('wide', 'k', shard_count => 4);
INSERT INTO wide SELECT i, repeat('x', 500) FROM generate_series(1, 8000) i;
SELECT (j ->> 'Remote Rows')::int = (SELECT sum((f ->> 'Rows')::int) FROM json_array_elements(j -> 'Fragment Runs') f) AS all_counted,
       (j ->> 'Remote Rows')::int BETWEEN 4 AND 7999 AS is_stopped
  FROM (SELECT explain_json('ANALYZE, VERBOSE', 'SELECT k, v FROM wide WHERE random() < 2 ORDER BY k LIMIT 3') -> 'Plans' -> 0 AS j) x;

-- what is sent along, and the order in which rows are merged
CREATE TABLE local (x int, y int);
INSERT INTO local SELECT i, i FROM generate_series(1, 5) i;
SELECT explain('COSTS OFF', 'SELECT v, y FROM a JOIN local ON x = j');
SELECT explain('COSTS OFF', 'SELECT a.v FROM a WHERE j IN (SELECT x FROM b) ORDER BY v DESC LIMIT 2');
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF', 'SELECT v, y FROM a JOIN local ON x = j WHERE k = 1');
SET cz.enable_broadcast = off;
SELECT explain('COSTS OFF', 'SELECT count(*) FROM a JOIN b ON a.k = b.x');
SELECT key, value FROM json_each(explain_json('COSTS OFF', 'SELECT v FROM a JOIN b ON a.k = b.x')) WHERE key IN ('Strategy', 'Shipments');
SET cz.enable_repartition = off;
SELECT explain('COSTS OFF', 'SELECT count(*) FROM a JOIN b ON a.k = b.x');
RESET cz.enable_broadcast;
RESET cz.enable_repartition;
SELECT explain('COSTS OFF', 'SELECT v FROM a ORDER BY v DESC NULLS LAST, k');

-- what the workers plan
SET cz.explain_remote_plans = 'one';
SELECT explain('COSTS OFF', 'SELECT v FROM a WHERE j = 3');
SELECT explain('COSTS OFF', 'SELECT v, y FROM a JOIN local ON x = j');
SET plan_cache_mode = force_generic_plan;
SELECT explain('COSTS OFF', 'EXECUTE by_key (5)');
BEGIN;
INSERT INTO a VALUES (1000, 1, 'new');
SELECT explain('COSTS OFF', 'EXECUTE by_key (5)');
SELECT explain('COSTS OFF, ANALYZE, BUFFERS OFF, TIMING OFF, SUMMARY OFF', 'DELETE FROM a WHERE k = 1000');
ROLLBACK;
RESET plan_cache_mode;
SET cz.explain_remote_plans = 'all';
SELECT explain('COSTS OFF', 'SELECT count(*) FROM a WHERE j = 3');
SELECT json_array_length(explain_json('COSTS OFF', 'SELECT v FROM a WHERE j = 3') -> 'Remote Plans') AS plans;
RESET cz.explain_remote_plans;

-- no secrets
CREATE ROLE explain_user LOGIN;
SELECT format('CREATE USER MAPPING FOR explain_user SERVER %I OPTIONS (user ''postgres'', password ''top-secret'')', srvname)
  FROM pg_foreign_server \gexec
GRANT SELECT ON a TO explain_user;
ALTER ROLE explain_user SUPERUSER;
SET ROLE explain_user;
SET cz.explain_remote_plans = 'all';
SELECT count(*) AS leaks FROM explain('ANALYZE, BUFFERS OFF, VERBOSE, FORMAT JSON', 'SELECT * FROM a')
 WHERE explain ~ 'secret|127\.0\.0\.1|password';
RESET ROLE;
SELECT format('DROP USER MAPPING FOR explain_user SERVER %I', srvname) FROM pg_foreign_server \gexec
DROP OWNED BY explain_user;
DROP ROLE explain_user;
\c postgres
