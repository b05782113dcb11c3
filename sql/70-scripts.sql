-- What scripts and tools made for Citus call, under Citus' names.

-- ---- commands of a user's on the servers ----------------------------------

CREATE FUNCTION cz.run_on_workers(servers oid[], commands text[], is_parallel boolean,
        OUT ordinal int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'cz_run_on_workers';
COMMENT ON FUNCTION cz.run_on_workers(oid[], text[], boolean)
    IS 'runs each command on its server, outside of the transaction';
REVOKE ALL ON FUNCTION cz.run_on_workers(oid[], text[], boolean) FROM PUBLIC;

CREATE FUNCTION cz.run_here(command text, OUT success boolean, OUT result text)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_run_here';
COMMENT ON FUNCTION cz.run_here(text) IS 'runs a command in this session; an error undoes it and is a result';
REVOKE ALL ON FUNCTION cz.run_here(text) FROM PUBLIC;

CREATE FUNCTION cz.distributed_table(relation regclass) RETURNS regclass
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'cz_distributed_table';
COMMENT ON FUNCTION cz.distributed_table(regclass)
    IS 'the same, if it is a distributed or reference table; else an error';

CREATE FUNCTION cz.colocated_table(relation regclass, other regclass) RETURNS regclass
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'cz_colocated_table';
COMMENT ON FUNCTION cz.colocated_table(regclass, regclass)
    IS 'the second one, if it is colocated with the first; else an error';

CREATE FUNCTION pg_catalog.run_command_on_workers(command text, parallel boolean DEFAULT true,
        OUT nodename text, OUT nodeport int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH w AS MATERIALIZED (
            SELECT server_oid, nodename, nodeport, row_number() OVER (ORDER BY node_id) AS ordinal
              FROM cz.worker_list() WHERE is_active)
        SELECT w.nodename, w.nodeport, r.success, r.result
          FROM w JOIN cz.run_on_workers((SELECT array_agg(w2.server_oid ORDER BY w2.ordinal) FROM w w2),
                                        (SELECT array_agg(run_command_on_workers.command) FROM w w2),
                                        run_command_on_workers.parallel) r ON r.ordinal = w.ordinal
         ORDER BY w.ordinal;
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_workers(text, boolean)
    IS 'runs a command on every worker in use, each in a session and transaction of its own';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_workers(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.run_command_on_coordinator(command text,
        give_warning_for_connection_errors boolean DEFAULT false,
        OUT nodeid int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT 0, h.success, h.result FROM cz.run_here(run_command_on_coordinator.command) h;
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_coordinator(text, boolean)
    IS 'runs a command here, within the transaction; an error undoes it and is a row';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_coordinator(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text, parallel boolean DEFAULT true,
        give_warning_for_connection_errors boolean DEFAULT false,
        OUT nodeid int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH w AS MATERIALIZED (
            SELECT server_oid, node_id, row_number() OVER (ORDER BY node_id) AS ordinal
              FROM cz.worker_list() WHERE is_active)
        SELECT 0, h.success, h.result FROM cz.run_here(run_command_on_all_nodes.command) h
        UNION ALL
        (SELECT w.node_id, r.success, r.result
           FROM w JOIN cz.run_on_workers((SELECT array_agg(w2.server_oid ORDER BY w2.ordinal) FROM w w2),
                                         (SELECT array_agg(run_command_on_all_nodes.command) FROM w w2),
                                         run_command_on_all_nodes.parallel) r ON r.ordinal = w.ordinal
          ORDER BY w.ordinal);
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_all_nodes(text, boolean, boolean)
    IS 'runs a command here (node 0) and on every worker in use';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_all_nodes(text, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.run_command_on_shards(table_name regclass, command text,
        parallel boolean DEFAULT true,
        OUT shardid bigint, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH p AS MATERIALIZED (
            SELECT DISTINCT ON (shard_id) shard_id, server_oid
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_shards.table_name)))
             WHERE shard_state = 1 ORDER BY shard_id, "position"),
        s AS MATERIALIZED (
            SELECT l.shard_id, p.server_oid,
                   format(run_command_on_shards.command, l.shard_name) AS text,
                   row_number() OVER (ORDER BY l.shard_index) AS ordinal
              FROM cz.shard_list((SELECT cz.distributed_table(run_command_on_shards.table_name))) l
                   LEFT JOIN p USING (shard_id))
        SELECT s.shard_id, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_shards.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_shards(regclass, text, boolean)
    IS 'runs a command on the first active placement of each shard; %s is the shard''s name';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_shards(regclass, text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.run_command_on_placements(table_name regclass, command text,
        parallel boolean DEFAULT true,
        OUT nodename text, OUT nodeport int, OUT shardid bigint, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH s AS MATERIALIZED (
            SELECT p.shard_id, p.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_placements.command, p.shard_name) AS text,
                   row_number() OVER (ORDER BY p.shard_index, p."position") AS ordinal
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_placements.table_name))) p
                   JOIN cz.worker_list() w USING (server_oid)
             WHERE p.shard_state = 1)
        SELECT s.nodename, s.nodeport, s.shard_id, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_placements.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_placements(regclass, text, boolean)
    IS 'runs a command on each active placement; %s is the shard''s name';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_placements(regclass, text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.run_command_on_colocated_placements(table_name1 regclass,
        table_name2 regclass, command text, parallel boolean DEFAULT true,
        OUT nodename text, OUT nodeport int, OUT shardid1 bigint, OUT shardid2 bigint,
        OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        WITH s AS MATERIALIZED (
            SELECT p1.shard_id AS id1, p2.shard_id AS id2, p1.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_colocated_placements.command, p1.shard_name, p2.shard_name) AS text,
                   row_number() OVER (ORDER BY p1.shard_index, p1."position") AS ordinal
              FROM cz.placement_list((SELECT cz.distributed_table(run_command_on_colocated_placements.table_name1))) p1
                   JOIN cz.worker_list() w USING (server_oid)
                   JOIN cz.placement_list((SELECT cz.colocated_table(run_command_on_colocated_placements.table_name1,
                                                                     run_command_on_colocated_placements.table_name2))) p2
                        ON p2.shard_index = p1.shard_index AND p2.server_oid = p1.server_oid
             WHERE p1.shard_state = 1 AND p2.shard_state = 1)
        SELECT s.nodename, s.nodeport, s.id1, s.id2, r.success, r.result
          FROM s JOIN cz.run_on_workers((SELECT array_agg(s2.server_oid ORDER BY s2.ordinal) FROM s s2),
                                        (SELECT array_agg(s2.text ORDER BY s2.ordinal) FROM s s2),
                                        run_command_on_colocated_placements.parallel) r ON r.ordinal = s.ordinal
         ORDER BY s.ordinal;
    END;
COMMENT ON FUNCTION pg_catalog.run_command_on_colocated_placements(regclass, regclass, text, boolean)
    IS 'runs a command on each pair of colocated placements; the two %s are the shards'' names';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_colocated_placements(regclass, regclass, text, boolean) FROM PUBLIC;

-- ---- who does what ---------------------------------------------------------

-- A session of node N with process P is N * 10^10 + P everywhere; the coordinator is node 0.
CREATE FUNCTION pg_catalog.citus_backend_gpid() RETURNS bigint
    LANGUAGE sql STABLE BEGIN ATOMIC SELECT pg_backend_pid()::bigint; END;
COMMENT ON FUNCTION pg_catalog.citus_backend_gpid() IS 'global process id of this session';
CREATE FUNCTION pg_catalog.citus_calculate_gpid(nodeid int, pid int) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE BEGIN ATOMIC SELECT nodeid * 10000000000 + pid; END;
COMMENT ON FUNCTION pg_catalog.citus_calculate_gpid(int, int) IS 'global process id of a process of a node';
CREATE FUNCTION pg_catalog.citus_nodeid_for_gpid(global_pid bigint) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE BEGIN ATOMIC SELECT (global_pid / 10000000000)::int; END;
COMMENT ON FUNCTION pg_catalog.citus_nodeid_for_gpid(bigint) IS 'node of a global process id';
CREATE FUNCTION pg_catalog.citus_pid_for_gpid(global_pid bigint) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE BEGIN ATOMIC SELECT (global_pid % 10000000000)::int; END;
COMMENT ON FUNCTION pg_catalog.citus_pid_for_gpid(bigint) IS 'process of a global process id';
CREATE FUNCTION pg_catalog.citus_coordinator_nodeid() RETURNS int
    LANGUAGE sql IMMUTABLE PARALLEL SAFE BEGIN ATOMIC SELECT 0; END;
COMMENT ON FUNCTION pg_catalog.citus_coordinator_nodeid() IS 'the coordinator''s node id, 0';
CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC SELECT true; END;
COMMENT ON FUNCTION pg_catalog.citus_is_coordinator() IS 'true: workers do not have the extension';
CREATE FUNCTION pg_catalog.citus_nodename_for_nodeid(nodeid int) RETURNS text
    LANGUAGE sql STABLE STRICT
    BEGIN ATOMIC
        SELECT w.nodename FROM cz.worker_list() w WHERE w.node_id = citus_nodename_for_nodeid.nodeid;
    END;
COMMENT ON FUNCTION pg_catalog.citus_nodename_for_nodeid(int) IS 'host of a worker';
CREATE FUNCTION pg_catalog.citus_nodeport_for_nodeid(nodeid int) RETURNS int
    LANGUAGE sql STABLE STRICT
    BEGIN ATOMIC
        SELECT w.nodeport FROM cz.worker_list() w WHERE w.node_id = citus_nodeport_for_nodeid.nodeid;
    END;
COMMENT ON FUNCTION pg_catalog.citus_nodeport_for_nodeid(int) IS 'port of a worker';

-- No overloads of pg_cancel_backend(): with these a call with an untyped parameter is ambiguous.
CREATE FUNCTION pg_catalog.cz_cancel_backend(global_pid bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_cancel_backend';
COMMENT ON FUNCTION pg_catalog.cz_cancel_backend(bigint)
    IS 'pg_cancel_backend() of a process of any node, by its global process id';
CREATE FUNCTION pg_catalog.cz_terminate_backend(global_pid bigint, timeout bigint DEFAULT 0) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_terminate_backend';
COMMENT ON FUNCTION pg_catalog.cz_terminate_backend(bigint, bigint)
    IS 'pg_terminate_backend() of a process of any node, by its global process id';

CREATE FUNCTION cz.worker_sessions(OUT node_id int, OUT session_pid int, OUT datid oid, OUT datname name,
        OUT pid int, OUT leader_pid int, OUT usesysid oid, OUT usename name,
        OUT application_name text, OUT client_addr inet, OUT client_hostname text, OUT client_port int,
        OUT backend_start timestamptz, OUT xact_start timestamptz, OUT query_start timestamptz,
        OUT state_change timestamptz, OUT wait_event_type text, OUT wait_event text, OUT state text,
        OUT backend_xid xid, OUT backend_xmin xid, OUT query_id bigint, OUT query text,
        OUT backend_type text)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_worker_sessions';
COMMENT ON FUNCTION cz.worker_sessions()
    IS 'pg_stat_activity of the workers that answer; session_pid: the session here that a process works for';

CREATE FUNCTION cz.worker_locks(OUT node_id int, OUT session_pid int, OUT locktype text,
        OUT relation_name text, OUT page int, OUT tuple smallint, OUT virtualxid text,
        OUT transactionid xid, OUT classid oid, OUT objid oid, OUT objsubid smallint,
        OUT virtualtransaction text, OUT pid int, OUT mode text, OUT granted boolean,
        OUT fastpath boolean, OUT waitstart timestamptz)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_worker_locks';
COMMENT ON FUNCTION cz.worker_locks() IS 'pg_locks of the workers that answer';

CREATE FUNCTION cz.worker_waits(OUT node_id int, OUT session_pid int, OUT pid int, OUT blocking_pid int)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_worker_waits';
COMMENT ON FUNCTION cz.worker_waits() IS 'who waits for whom on the workers that answer';

CREATE FUNCTION cz.shard_activity(OUT node_id int, OUT session_pid int, OUT shard_name text,
        OUT n_live_tup bigint, OUT n_dead_tup bigint, OUT n_tup_ins bigint, OUT n_tup_upd bigint,
        OUT n_tup_del bigint, OUT seq_scan bigint, OUT idx_scan bigint, OUT total_bytes bigint,
        OUT last_vacuum timestamptz, OUT last_analyze timestamptz)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cz_shard_activity';
COMMENT ON FUNCTION cz.shard_activity() IS 'statistics of the tables in cz_shards on the workers that answer';

CREATE VIEW cz.citus_stat_activity AS
SELECT a.pid::bigint AS global_pid, 0 AS nodeid, false AS is_worker_query,
       a.datid, a.datname, a.pid, a.leader_pid, a.usesysid, a.usename, a.application_name,
       a.client_addr, a.client_hostname, a.client_port, a.backend_start, a.xact_start, a.query_start,
       a.state_change, a.wait_event_type, a.wait_event, a.state, a.backend_xid, a.backend_xmin,
       a.query_id, a.query, a.backend_type
  FROM pg_stat_activity a WHERE a.datname = current_database()
UNION ALL
SELECT coalesce(w.session_pid::bigint, citus_calculate_gpid(w.node_id, w.pid)), w.node_id,
       w.session_pid IS NOT NULL, w.datid, w.datname, w.pid, w.leader_pid, w.usesysid, w.usename,
       w.application_name, w.client_addr, w.client_hostname, w.client_port, w.backend_start,
       w.xact_start, w.query_start, w.state_change, w.wait_event_type, w.wait_event, w.state,
       w.backend_xid, w.backend_xmin, w.query_id, w.query, w.backend_type
  FROM cz.worker_sessions() w;
COMMENT ON VIEW cz.citus_stat_activity
    IS 'pg_stat_activity of this database here and on the workers; is_worker_query: it works for the session global_pid of this server';

CREATE VIEW cz.citus_dist_stat_activity AS
SELECT * FROM cz.citus_stat_activity WHERE NOT is_worker_query;
COMMENT ON VIEW cz.citus_dist_stat_activity
    IS 'citus_stat_activity without the workers'' processes that work for sessions of this server';

CREATE VIEW cz.citus_locks AS
SELECT l.pid::bigint AS global_pid, 0 AS nodeid, l.locktype,
       CASE WHEN l.relation IS NOT NULL THEN coalesce(c.oid::regclass::text, l.relation::text) END AS relation_name,
       l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid,
       l.virtualtransaction, l.pid, l.mode, l.granted, l.fastpath, l.waitstart
  FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
 WHERE l.database IS NULL OR l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
SELECT coalesce(w.session_pid::bigint, citus_calculate_gpid(w.node_id, w.pid)), w.node_id, w.locktype,
       w.relation_name, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid,
       w.objsubid, w.virtualtransaction, w.pid, w.mode, w.granted, w.fastpath, w.waitstart
  FROM cz.worker_locks() w;
COMMENT ON VIEW cz.citus_locks IS 'pg_locks here and on the workers, with names of relations';

CREATE VIEW cz.citus_lock_waits AS
WITH sessions AS MATERIALIZED (SELECT * FROM cz.citus_stat_activity),
waits AS MATERIALIZED (
    SELECT 0 AS nodeid, l.pid, b.pid AS blocking_pid
      FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) l,
           LATERAL unnest(pg_blocking_pids(l.pid)) AS b(pid)
    UNION ALL
    SELECT node_id, pid, blocking_pid FROM cz.worker_waits()),
edges AS (
    SELECT DISTINCT w.global_pid AS waiting_gpid, b.global_pid AS blocking_gpid
      FROM waits JOIN sessions w USING (nodeid, pid)
           JOIN sessions b ON b.nodeid = waits.nodeid AND b.pid = waits.blocking_pid
     WHERE w.global_pid <> b.global_pid)
SELECT e.waiting_gpid, e.blocking_gpid, w.query AS blocked_statement,
       b.query AS current_statement_in_blocking_process,
       citus_nodeid_for_gpid(e.waiting_gpid) AS waiting_nodeid,
       citus_nodeid_for_gpid(e.blocking_gpid) AS blocking_nodeid
  FROM edges e
       LEFT JOIN sessions w ON w.global_pid = e.waiting_gpid AND NOT w.is_worker_query
       LEFT JOIN sessions b ON b.global_pid = e.blocking_gpid AND NOT b.is_worker_query;
COMMENT ON VIEW cz.citus_lock_waits
    IS 'who waits for whom, here and on the workers, with the statements of both';

CREATE VIEW cz.cz_table_activity AS
SELECT s.relid,
       sum(a.n_live_tup) FILTER (WHERE a.is_first)::bigint AS n_live_tup,
       sum(a.n_dead_tup) FILTER (WHERE a.is_first)::bigint AS n_dead_tup,
       sum(a.n_tup_ins) FILTER (WHERE a.is_first)::bigint AS inserts,
       sum(a.n_tup_upd) FILTER (WHERE a.is_first)::bigint AS updates,
       sum(a.n_tup_del) FILTER (WHERE a.is_first)::bigint AS deletes,
       sum(a.seq_scan)::bigint AS seq_scans,
       sum(a.idx_scan)::bigint AS idx_scans,
       sum(a.total_bytes)::bigint AS bytes,
       min(a.last_vacuum) AS last_vacuum,
       min(a.last_analyze) AS last_analyze,
       count(a.shard_id) AS placements
  FROM cz.shard_list() s
       LEFT JOIN (SELECT p.shard_id, x.*,
                         row_number() OVER (PARTITION BY p.shard_id ORDER BY p."position") = 1 AS is_first
                    FROM cz.placement_list() p
                         JOIN cz.worker_list() w USING (server_oid)
                         JOIN cz.shard_list() l USING (shard_id)
                         JOIN cz.shard_activity() x
                              ON x.node_id = w.node_id AND l.shard_name = 'cz_shards.' || quote_ident(x.shard_name)
                   WHERE p.shard_state = 1) a USING (shard_id)
 GROUP BY s.relid;
COMMENT ON VIEW cz.cz_table_activity
    IS 'pg_stat_user_tables for distributed tables: rows and changes once a shard, scans and bytes of all placements, the oldest of their last_vacuum and last_analyze; placements: that were asked';

CREATE FUNCTION pg_catalog.citus_shard_sizes(OUT shard_id int, OUT size bigint)
    RETURNS SETOF record LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT s.shard_id::int, z.size_bytes
          FROM cz.shard_list() s JOIN cz.placement_list() p USING (shard_id)
               JOIN cz.shard_sizes() z ON z.shard_name = s.shard_name AND z.server_oid = p.server_oid;
    END;
COMMENT ON FUNCTION pg_catalog.citus_shard_sizes() IS 'bytes of each placement with its indexes, on the workers that answer';

CREATE FUNCTION pg_catalog.citus_stat_statements(OUT queryid bigint, OUT userid oid, OUT dbid oid,
        OUT query text, OUT executor bigint, OUT partition_key text, OUT calls bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_stat_statements';
COMMENT ON FUNCTION pg_catalog.citus_stat_statements()
    IS 'statements of this database as pg_stat_statements has them, all of them; executor and partition_key are NULL';
CREATE VIEW cz.citus_stat_statements AS SELECT * FROM pg_catalog.citus_stat_statements();
COMMENT ON VIEW cz.citus_stat_statements
    IS 'statements of this database as pg_stat_statements has them, all of them; executor and partition_key are NULL';
CREATE FUNCTION pg_catalog.citus_stat_statements_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_stat_statements_reset';
COMMENT ON FUNCTION pg_catalog.citus_stat_statements_reset()
    IS 'forgets what pg_stat_statements has of this database';
REVOKE ALL ON FUNCTION pg_catalog.citus_stat_statements_reset() FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_stat_tenants(return_all_tenants boolean DEFAULT false, OUT nodeid int,
        OUT colocation_id int, OUT tenant_attribute text, OUT read_count_in_this_period int,
        OUT read_count_in_last_period int, OUT query_count_in_this_period int,
        OUT query_count_in_last_period int, OUT cpu_usage_in_this_period float8,
        OUT cpu_usage_in_last_period float8, OUT score bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_stat_tenants';
COMMENT ON FUNCTION pg_catalog.citus_stat_tenants(boolean) IS 'no rows: statements are not counted by tenant';
CREATE FUNCTION pg_catalog.citus_stat_tenants_reset() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'citus_stat_tenants_reset';
COMMENT ON FUNCTION pg_catalog.citus_stat_tenants_reset() IS 'does nothing: statements are not counted by tenant';
CREATE VIEW cz.citus_stat_tenants AS
SELECT nodeid, colocation_id, tenant_attribute, read_count_in_this_period, read_count_in_last_period,
       query_count_in_this_period, query_count_in_last_period, cpu_usage_in_this_period,
       cpu_usage_in_last_period
  FROM pg_catalog.citus_stat_tenants();
COMMENT ON VIEW cz.citus_stat_tenants IS 'no rows: statements are not counted by tenant';

GRANT SELECT ON cz.citus_stat_tenants, cz.citus_stat_activity, cz.citus_dist_stat_activity, cz.citus_locks, cz.citus_lock_waits,
    cz.cz_table_activity, cz.citus_stat_statements TO PUBLIC;
ALTER VIEW cz.citus_stat_tenants SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_stat_activity SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_dist_stat_activity SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_locks SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_lock_waits SET SCHEMA pg_catalog;
ALTER VIEW cz.cz_table_activity SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_stat_statements SET SCHEMA pg_catalog;

-- ---- what migrations call --------------------------------------------------

CREATE FUNCTION pg_catalog.citus_version() RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'citus_version';
COMMENT ON FUNCTION pg_catalog.citus_version() IS 'version of cz_fdw, which answers to Citus'' names';

CREATE FUNCTION pg_catalog.create_distributed_table_concurrently(table_name regclass,
        distribution_column text, distribution_type text DEFAULT 'hash',
        colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'create_distributed_table_concurrently';
COMMENT ON FUNCTION pg_catalog.create_distributed_table_concurrently(regclass, text, text, text, int)
    IS 'the same as create_distributed_table, while others read and write the table; not in a transaction block';

CREATE FUNCTION pg_catalog.create_distributed_function(function_name regprocedure,
        distribution_arg_name text DEFAULT NULL, colocate_with text DEFAULT 'default',
        force_delegation boolean DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'create_distributed_function';
COMMENT ON FUNCTION pg_catalog.create_distributed_function(regprocedure, text, text, boolean)
    IS 'creates a function on the workers, if it may run there; calls stay here';

CREATE FUNCTION pg_catalog.truncate_local_data_after_distributing_table(function_name regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'truncate_local_data_after_distributing_table';
COMMENT ON FUNCTION pg_catalog.truncate_local_data_after_distributing_table(regclass)
    IS 'does nothing: no rows stay here';

CREATE FUNCTION pg_catalog.update_distributed_table_colocation(table_name regclass, colocate_with text)
    RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'update_distributed_table_colocation';
COMMENT ON FUNCTION pg_catalog.update_distributed_table_colocation(regclass, text)
    IS 'changes the colocation group of a table whose shards are where those of the other table are, or (none) gives it one of its own';

CREATE FUNCTION pg_catalog.alter_distributed_table(table_name regclass, distribution_column text DEFAULT NULL,
        shard_count int DEFAULT NULL, colocate_with text DEFAULT NULL, cascade_to_colocated boolean DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'alter_distributed_table';
COMMENT ON FUNCTION pg_catalog.alter_distributed_table(regclass, text, int, text, boolean)
    IS 'distributes a table anew: by another column, into another number of shards, or colocated otherwise';

CREATE FUNCTION pg_catalog.alter_table_set_access_method(table_name regclass, access_method text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'alter_table_set_access_method';
COMMENT ON FUNCTION pg_catalog.alter_table_set_access_method(regclass, text)
    IS 'ALTER TABLE ... SET ACCESS METHOD';

CREATE FUNCTION pg_catalog.fix_partition_shard_index_names(table_name regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'fix_partition_shard_index_names';
COMMENT ON FUNCTION pg_catalog.fix_partition_shard_index_names(regclass)
    IS 'does nothing: names of indexes of shards never meet';
CREATE FUNCTION pg_catalog.fix_all_partition_shard_index_names() RETURNS SETOF regclass
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'fix_all_partition_shard_index_names';
COMMENT ON FUNCTION pg_catalog.fix_all_partition_shard_index_names()
    IS 'does nothing: names of indexes of shards never meet';

CREATE FUNCTION pg_catalog.citus_set_coordinator_host(host text, port int DEFAULT 5432,
        node_role noderole DEFAULT 'primary', node_cluster name DEFAULT 'default') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_set_coordinator_host';
COMMENT ON FUNCTION pg_catalog.citus_set_coordinator_host(text, int, noderole, name)
    IS 'does nothing: workers do not connect to the coordinator';
CREATE FUNCTION pg_catalog.start_metadata_sync_to_all_nodes() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'start_metadata_sync_to_all_nodes';
COMMENT ON FUNCTION pg_catalog.start_metadata_sync_to_all_nodes()
    IS 'does nothing: workers have no metadata';
