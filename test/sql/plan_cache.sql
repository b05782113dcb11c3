-- Cached generic plans: planned again when a shard moves, a table, a policy, a privilege, a
-- worker or the statistics change; and not otherwise.
-- Coordinator, workers 1, 2, 3; database cz_plan_cache on each.
\set dbname cz_plan_cache
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY terse
SET client_min_messages = error;
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 2;
DROP ROLE IF EXISTS cz_cached;
CREATE ROLE cz_cached;
CREATE TABLE t (k int PRIMARY KEY, x int, gone int);
CREATE TABLE u (k int PRIMARY KEY, y int);
SELECT create_distributed_table('t', 'k'), create_distributed_table('u', 'k');
INSERT INTO t SELECT i, i % 10, 0 FROM generate_series(1, 100) i;
INSERT INTO u SELECT i, i % 3 FROM generate_series(1, 100) i;
GRANT SELECT ON t, u TO cz_cached;
SET plan_cache_mode = force_generic_plan;
PREPARE one (int) AS SELECT * FROM t WHERE k = $1;
PREPARE several (int[]) AS SELECT count(*), sum(x) FROM t WHERE k = ANY ($1);
PREPARE whole AS SELECT count(*), sum(x), sum(y) FROM t JOIN u USING (k);
PREPARE change (int, int) AS UPDATE t SET x = $2 WHERE k = $1 RETURNING *;
CREATE FUNCTION in_plpgsql(int) RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM t WHERE k = $1; END $$;
CREATE FUNCTION fragments(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF, TIMING OFF, SUMMARY OFF, ANALYZE, BUFFERS OFF) ' || query INTO plan;
  RETURN jsonb_path_query_array(plan, 'strict $.**."Remote Fragments"');
END $$;
CREATE FUNCTION plan_rows(query text) RETURNS float LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
  RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
EXECUTE one (1);
EXECUTE several ('{1,2,3}');
EXECUTE whole;
EXECUTE change (1, 5);
SELECT * FROM in_plpgsql(1);
SELECT fragments('EXECUTE one (1)'), fragments('EXECUTE whole'), fragments('EXECUTE change (1, 5)');

CREATE FUNCTION nodes(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF, TIMING OFF, SUMMARY OFF, ANALYZE, BUFFERS OFF) ' || query INTO plan;
  RETURN jsonb_path_query_array(plan, 'strict $.**."Node Name"');
END $$;

-- a shard's placements change: it is only on one worker, then only on another
SELECT f.ftrelid AS shard, f.ftserver AS first, s.oid AS second, sf.srvname AS first_name, s.srvname AS second_name
  FROM pg_foreign_table f JOIN pg_foreign_server sf ON sf.oid = f.ftserver, pg_foreign_server s
 WHERE f.ftrelid = ('cz_shards.t_' || get_shard_id_for_distribution_column('t', 1))::regclass
   AND 'placements=' || s.srvname = ANY (f.ftoptions) \gset
CREATE PROCEDURE place(shard oid, server oid) LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL allow_system_table_mods = on;
  UPDATE pg_foreign_table SET ftserver = server, ftoptions = (SELECT array_agg(o) FROM unnest(ftoptions) o WHERE o NOT LIKE 'placements=%')
   WHERE ftrelid = shard;
  UPDATE pg_class SET relname = relname WHERE oid = 't'::regclass;
END $$;
CALL place(:shard, :first);
SELECT nodes('EXECUTE one (1)') = jsonb_build_array(:'first_name')::text AS on_first;
EXECUTE change (1, 6);
EXECUTE one (1);
CALL place(:shard, :second);
SELECT nodes('EXECUTE one (1)') = jsonb_build_array(:'second_name')::text AS on_second;
-- where the write above was not made
EXECUTE one (1);
EXECUTE several ('{1,2,3}');
SELECT * FROM in_plpgsql(1);
EXECUTE change (1, 5);
CALL place(:shard, :first);
EXECUTE change (1, 5);
EXECUTE whole;

-- columns come and go
ALTER TABLE t ADD COLUMN z int DEFAULT 7;
EXECUTE several ('{1,2,3}');
EXECUTE whole;
EXECUTE one (1);
SELECT * FROM in_plpgsql(1);
ALTER TABLE t DROP COLUMN z;
EXECUTE one (1);
SELECT * FROM in_plpgsql(1);
EXECUTE change (1, 5);
PREPARE named (int) AS SELECT k, x FROM t WHERE k = $1;
EXECUTE named (3);
ALTER TABLE t DROP COLUMN gone;
EXECUTE named (3);
EXECUTE several ('{1,2,3}');

-- no longer distributed, and again with more shards
SELECT undistribute_table('t');
EXECUTE named (3);
EXECUTE several ('{1,2,3}');
EXECUTE whole;
SET cz.shard_count = 8;
SELECT create_distributed_table('t', 'k');
EXECUTE named (3);
EXECUTE several ('{1,2,3}');
EXECUTE whole;
SELECT fragments('EXECUTE named (3)'), fragments('EXECUTE several (''{1,2,3}'')');

-- a worker's options, a user mapping
SELECT srvname, regexp_replace(array_to_string(srvoptions, ','), '.*port=(\d+).*', '\1') AS port FROM pg_foreign_server ORDER BY srvname LIMIT 1 \gset
SELECT count(*) FROM t;
ALTER SERVER :srvname OPTIONS (SET dbname 'cz_no_such_database');
\set VERBOSITY sqlstate
CREATE FOREIGN TABLE direct (k int) SERVER :srvname OPTIONS (schema_name 'pg_catalog', table_name 'pg_nothing');
PREPARE direct AS SELECT k FROM direct WHERE k = 1;
EXECUTE direct;
ALTER SERVER :srvname OPTIONS (SET dbname 'cz_plan_cache');
EXECUTE direct;
ALTER FOREIGN TABLE direct OPTIONS (SET table_name 'pg_class');
ALTER FOREIGN TABLE direct ALTER k OPTIONS (ADD column_name 'relnatts');
PREPARE many AS SELECT count(*) > 10 AS many FROM direct WHERE k > 1;
EXECUTE many;
ALTER USER MAPPING FOR PUBLIC SERVER :srvname OPTIONS (SET "user" 'cz_no_such_role');
EXECUTE many;
ALTER USER MAPPING FOR PUBLIC SERVER :srvname OPTIONS (SET "user" 'postgres');
EXECUTE many;
ALTER FOREIGN TABLE direct OPTIONS (SET table_name 'pg_am');
ALTER FOREIGN TABLE direct ALTER k OPTIONS (SET column_name 'oid');
EXECUTE many;
\set VERBOSITY terse

-- policies, privileges, roles
CREATE POLICY few ON t USING (x = 3);
SELECT count(*) FROM t;
SET ROLE cz_cached;
EXECUTE named (3);
EXECUTE named (4);
EXECUTE whole;
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE cz_cached;
EXECUTE named (3);
EXECUTE named (4);
EXECUTE whole;
RESET ROLE;
ALTER POLICY few ON t USING (x = 4);
EXECUTE named (3);
SET ROLE cz_cached;
EXECUTE named (3);
EXECUTE named (4);
RESET ROLE;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
SET ROLE cz_cached;
EXECUTE named (3);
RESET ROLE;
REVOKE SELECT ON t FROM cz_cached;
SET ROLE cz_cached;
EXECUTE named (3);
RESET ROLE;
GRANT SELECT (k) ON t TO cz_cached;
SET ROLE cz_cached;
EXECUTE named (3);
RESET ROLE;
GRANT SELECT (x) ON t TO cz_cached;
SET ROLE cz_cached;
EXECUTE named (3);
RESET ROLE;

-- statistics
DEALLOCATE ALL;
CREATE TABLE s (k int, x int);
SELECT create_distributed_table('s', 'k');
PREPARE all_rows AS SELECT * FROM s;
SELECT plan_rows('EXECUTE all_rows') AS before \gset
INSERT INTO s SELECT i, i FROM generate_series(1, 3000) i;
ANALYZE s;
SELECT plan_rows('EXECUTE all_rows') = 3000 AS planned_again, plan_rows('EXECUTE all_rows') <> :before AS changed;
DROP TABLE t, u, s CASCADE;
DROP OWNED BY cz_cached;
DROP ROLE cz_cached;
