-- Functions, views and settings that scripts and tools made for Citus use.
-- Coordinator, workers 1, 2, 3; database cz_scripts on each.
\set dbname cz_scripts
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
\set SHOW_CONTEXT never
SET cz.shard_replication_factor = 2;

-- signatures
SELECT p.oid::regprocedure AS function, pg_get_function_result(p.oid) AS result,
       CASE WHEN p.proacl IS NULL THEN 'everybody' ELSE 'superusers' END AS who
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
       JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'cz_fdw'
 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^(run_command|alter_|update_|truncate_|fix_|create_distributed|citus_stat|citus_version|citus_backend)'
 ORDER BY p.proname;

-- settings: an alias comes before ours, and each is undone as it was set
SET citus.shard_count = 8;
SHOW citus.shard_count;
SHOW cz.shard_count;
BEGIN;
SET LOCAL cz.shard_count = 16;
SET LOCAL citus.shard_count = 4;
SHOW citus.shard_count;
COMMIT;
SHOW citus.shard_count;
SHOW cz.shard_count;
SET citus.shard_count = 6;
RESET citus.shard_count;
SHOW citus.shard_count;
SET citus.shard_replication_factor = 1;
SHOW citus.shard_replication_factor;
SET citus.node_connection_timeout = 5000;
SHOW citus.enable_schema_based_sharding;
SET citus.enable_schema_based_sharding TO on;
SHOW citus.enable_schema_based_sharding;
CREATE SCHEMA tenant;
SELECT count(*) FROM citus_schemas;
DROP SCHEMA tenant;
RESET citus.enable_schema_based_sharding;
SHOW citus.enable_schema_based_sharding;
SET citus.shard_count = 4;
CREATE TABLE t (k int PRIMARY KEY, v int);
CREATE TABLE u (k int PRIMARY KEY, v int);
CREATE TABLE codes (code int PRIMARY KEY);
SELECT create_distributed_table_concurrently('t', 'k');
RESET citus.shard_replication_factor;
SELECT create_distributed_table('u', 'k');
SELECT create_reference_table('codes');
SELECT shardcount, replicationfactor FROM pg_dist_colocation ORDER BY 2;
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO u SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO codes VALUES (1);

-- commands: each has a session of its own with the worker's own settings, and leaves nothing there
SELECT success, result, count(*) FROM run_command_on_workers('SHOW search_path') GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('CREATE TEMP TABLE left_over (a int); SET search_path = nowhere; BEGIN', false) GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('SELECT count(*) FROM pg_class WHERE relname = ''left_over''') GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('SELECT 1 / 0') GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('VACUUM') GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('SELECT NULL::int') GROUP BY 1, 2;
SELECT success, result, count(*) FROM run_command_on_workers('') GROUP BY 1, 2;
SELECT count(*) FROM t;
SELECT count(*), count(DISTINCT shardid), bool_and(success), sum(result::int) FROM run_command_on_shards('t', 'SELECT count(*) FROM %s');
SELECT count(*), count(DISTINCT shardid), bool_and(success), sum(result::int) FROM run_command_on_shards('u', 'SELECT count(*) FROM %s', false);
SELECT count(*), count(DISTINCT shardid), bool_and(success), sum(result::int) FROM run_command_on_placements('u', 'SELECT count(*) FROM %s');
SELECT count(*), bool_and(success), sum(result::int) FROM run_command_on_placements('codes', 'SELECT count(*) FROM %s');
SELECT count(*), bool_and(success), sum(result::int) FROM run_command_on_colocated_placements('u', 'u', 'SELECT count(*) FROM %s a JOIN %s b USING (k)');
SELECT run_command_on_colocated_placements('t', 'u', 'SELECT count(*) FROM %s a JOIN %s b USING (k)');
SELECT run_command_on_shards('pg_class', 'SELECT count(*) FROM %s');
SELECT run_command_on_colocated_placements('pg_class', 'u', 'SELECT count(*) FROM %s a JOIN %s b USING (k)');
SELECT cz_check_shards(1);
SELECT run_command_on_shards('t', 'SELECT 1 FROM %s WHERE true LIKE ''a%''');
SELECT count(*), min(nodeid), bool_and(success), min(result), max(result) FROM run_command_on_all_nodes('CREATE TABLE everywhere (a int)');
SELECT result, count(*) FROM run_command_on_all_nodes('INSERT INTO everywhere SELECT generate_series(1, 3)') GROUP BY 1;
SELECT * FROM run_command_on_coordinator('SELECT count(*) FROM everywhere');
SELECT * FROM run_command_on_coordinator('INSERT INTO everywhere VALUES (4); SELECT 1 / 0');
SELECT * FROM run_command_on_coordinator('SELECT count(*) FROM everywhere');
SELECT * FROM run_command_on_coordinator('COMMIT');
SELECT result, count(*) FROM run_command_on_all_nodes('DROP TABLE everywhere') GROUP BY 1;

-- who does what
SELECT citus_version() ~ '^cz_fdw [0-9.]+ on PostgreSQL [0-9]+' AS ours, citus_backend_gpid() = pg_backend_pid() AS mine;
SELECT citus_nodeid_for_gpid(citus_calculate_gpid(3, 77)), citus_pid_for_gpid(citus_calculate_gpid(3, 77)), citus_coordinator_nodeid(), citus_is_coordinator();
BEGIN;
UPDATE u SET v = 0 WHERE k = 1;
SELECT nodeid > 0 AS on_worker, is_worker_query, state, count(*) FROM citus_stat_activity WHERE global_pid = citus_backend_gpid() AND state <> 'idle' GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT count(*) FROM citus_dist_stat_activity WHERE global_pid = citus_backend_gpid();
SELECT nodeid > 0 AS on_worker, regexp_replace(relation_name, '\d+$', 'N') AS relation, mode, count(*) FROM citus_locks
 WHERE global_pid = citus_backend_gpid() AND relation_name ~ '(^|\.)u(_\d+)?$' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ROLLBACK;
SELECT count(*) FROM citus_lock_waits;
SELECT count(*), count(DISTINCT shard_id), bool_and(size >= 0) FROM citus_shard_sizes();
SELECT relid, bytes > 0 AS has_bytes, placements FROM cz_table_activity ORDER BY relid::text;
SELECT * FROM citus_stat_statements;
SELECT citus_stat_statements_reset();
SELECT * FROM citus_stat_tenants;
SELECT count(*) FROM citus_stat_tenants(true);
SELECT citus_stat_tenants_reset();

-- nothing to do
SELECT truncate_local_data_after_distributing_table('t');
SELECT truncate_local_data_after_distributing_table('codes');
SELECT truncate_local_data_after_distributing_table('pg_class');
SELECT count(*) FROM codes;
SELECT fix_partition_shard_index_names('t');
SELECT fix_all_partition_shard_index_names();
SELECT alter_table_set_access_method('t', 'heap');
SELECT citus_set_coordinator_host('localhost');
SELECT start_metadata_sync_to_all_nodes();

-- functions
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2';
SELECT create_distributed_function('twice(int)', 'a', colocate_with => 't');
SELECT success, result, count(*) FROM run_command_on_workers('SELECT public.twice(4)') GROUP BY 1, 2;
SELECT create_distributed_function('twice(int)', 'b');
CREATE FUNCTION few_may() RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION few_may() FROM PUBLIC;
SELECT create_distributed_function('few_may()');
SELECT count(*) FROM run_command_on_workers($$SELECT 'few_may()'::regprocedure$$) WHERE success;
SELECT cz_propagate_privileges('pg_class');
SELECT cz_propagate_privileges(1);

-- another group, where the shards are at the same places
CREATE TABLE w (k int, v int);
SELECT create_distributed_table('w', 'k', colocate_with => 'none');
SELECT update_distributed_table_colocation('w', 'u');
SELECT w.colocation_id = u.colocation_id AS colocated FROM citus_tables w, citus_tables u WHERE w.table_name = 'w'::regclass AND u.table_name = 'u'::regclass;
SELECT count(*) FROM pg_dist_colocation;
SELECT update_distributed_table_colocation('w', 't');
SELECT update_distributed_table_colocation('w', 'none');
SELECT w.colocation_id = u.colocation_id AS colocated FROM citus_tables w, citus_tables u WHERE w.table_name = 'w'::regclass AND u.table_name = 'u'::regclass;
SELECT update_distributed_table_colocation('w', 'default');
SELECT w.colocation_id = u.colocation_id AS colocated FROM citus_tables w, citus_tables u WHERE w.table_name = 'w'::regclass AND u.table_name = 'u'::regclass;
SELECT update_distributed_table_colocation('codes', 'none');
SELECT update_distributed_table_colocation('pg_class', 'none');

-- distributed otherwise
SELECT alter_distributed_table('u');
SELECT alter_distributed_table('u', 'k', 4);
SELECT alter_distributed_table('u', shard_count => 8);
SELECT alter_distributed_table('u', 'v', cascade_to_colocated => true);
SELECT alter_distributed_table('u', 'v');
SELECT alter_distributed_table('codes', shard_count => 8);
SELECT alter_distributed_table('u', shard_count => 6, cascade_to_colocated => false);
SELECT count(*) FROM u;
SELECT alter_distributed_table('u', shard_count => 8, cascade_to_colocated => true);
SELECT table_name, shard_count, distribution_column, colocation_id = max(colocation_id) OVER () AS newest FROM citus_tables ORDER BY table_name::text;
SELECT count(*), sum(u.v) FROM u LEFT JOIN w USING (k);
SELECT alter_distributed_table('w', 'v', 2, colocate_with => 'none');
SELECT alter_distributed_table('w', 'v', colocate_with => 'u');
SELECT alter_distributed_table('w', 'k', 16, colocate_with => 'u');
SELECT alter_distributed_table('w', 'k', 2);
SELECT alter_distributed_table('w', shard_count => 8, cascade_to_colocated => false);
SELECT alter_distributed_table('t', colocate_with => 'u');
SELECT table_name, shard_count, distribution_column FROM citus_tables ORDER BY table_name::text;
SELECT t.colocation_id = u.colocation_id AS colocated FROM citus_tables t, citus_tables u WHERE t.table_name = 't'::regclass AND u.table_name = 'u'::regclass;
SELECT count(*), sum(t.v + u.v) FROM u JOIN t USING (k);
SELECT ok, count(*) FROM cz_verify_placements() GROUP BY 1;
SELECT isolate_tenant_to_new_shard('w', 1);
BEGIN;
SELECT alter_distributed_table('w', 'v', 4);
INSERT INTO w VALUES (1, 1);
SELECT shard_count, distribution_column FROM citus_tables WHERE table_name = 'w'::regclass;
SAVEPOINT s;
SELECT alter_distributed_table('w', 'v', 2);
ROLLBACK TO s;
SELECT * FROM w;
ROLLBACK;
SELECT shard_count, distribution_column FROM citus_tables WHERE table_name = 'w'::regclass;
SELECT count(*) FROM w;

-- what hangs on a table stays
CREATE ROLE cz_scripts_user;
CREATE TABLE rich (k int, n int GENERATED BY DEFAULT AS IDENTITY, s serial, v text COLLATE "C" DEFAULT 'x' CHECK (v <> ''), doubled int GENERATED ALWAYS AS (k * 2) STORED,
                   PRIMARY KEY (k, n));
CREATE INDEX rich_v ON rich (lower(v)) WHERE k > 0;
CREATE STATISTICS rich_st ON k, v FROM rich;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END$$;
CREATE TRIGGER rich_touch BEFORE INSERT ON rich FOR EACH ROW EXECUTE FUNCTION touch();
CREATE POLICY rich_policy ON rich USING (k > 1);
ALTER TABLE rich ENABLE ROW LEVEL SECURITY;
GRANT SELECT (k, v) ON rich TO cz_scripts_user;
COMMENT ON TABLE rich IS 'with everything';
COMMENT ON COLUMN rich.v IS 'a text';
CREATE VIEW rich_view AS SELECT k, v FROM rich;
SELECT create_distributed_table('rich', 'k');
INSERT INTO rich (k) SELECT generate_series(1, 20);
\d rich
SELECT alter_distributed_table('rich', 'n', 2);
\d rich
SELECT obj_description('rich'::regclass), col_description('rich'::regclass, 4);
INSERT INTO rich (k) VALUES (99) RETURNING n, s, v, doubled;
SELECT count(*), min(v) FROM rich_view;
SET ROLE cz_scripts_user;
SELECT count(*), min(v) FROM rich;
RESET ROLE;
SELECT ok, count(*) FROM cz_verify_placements('rich') GROUP BY 1;

-- roles
SET ROLE cz_scripts_user;
SELECT run_command_on_workers('SELECT 1');
SELECT alter_distributed_table('t', shard_count => 2);
SELECT update_distributed_table_colocation('t', 'none');
SELECT create_distributed_function('twice(int)');
SELECT alter_table_set_access_method('t', 'heap');
SELECT cz.run_on_workers('{1}', '{SELECT 1}', true);
RESET ROLE;
GRANT CREATE ON SCHEMA public TO cz_scripts_user;
SET ROLE cz_scripts_user;
CREATE FUNCTION own() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
SELECT create_distributed_function('own()');
SELECT count(*) FILTER (WHERE query NOT LIKE '<insufficient privilege>') AS seen, count(*) > 0 AS some
  FROM citus_stat_activity WHERE nodeid > 0;
SELECT count(*) >= 0 AS sees FROM citus_locks;
SELECT count(*) FROM citus_lock_waits;
SELECT count(*) > 0 AS sees FROM cz_table_activity;
RESET ROLE;

-- a worker that cannot be reached is a row, and is left out of views
SET cz.connect_timeout = '300ms';
CREATE SERVER gone FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE USER MAPPING FOR PUBLIC SERVER gone OPTIONS (password_required 'false');
SELECT success, CASE WHEN success THEN result END AS result, result IS NOT NULL AS has_text, count(*) FROM run_command_on_workers('SELECT 1') GROUP BY 1, 2, 3 ORDER BY 1;
SELECT count(*) > 0 AS sees FROM citus_stat_activity;

\c postgres
DROP DATABASE cz_scripts WITH (FORCE);
DROP ROLE cz_scripts_user;
