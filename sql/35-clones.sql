-- Standbys of workers that become workers.

CREATE FUNCTION pg_catalog.citus_add_clone_node(replica_hostname text, replica_port int,
        primary_hostname text, primary_port int)
    RETURNS int LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'citus_add_clone_node';
COMMENT ON FUNCTION pg_catalog.citus_add_clone_node(text, int, text, int)
    IS 'registers a streaming standby of a worker, which is not used until it is promoted; returns its id (55000: it is no such standby)';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_clone_node(text, int, text, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_add_clone_node_with_nodeid(replica_hostname text, replica_port int,
        primary_nodeid int)
    RETURNS int LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'citus_add_clone_node_with_nodeid';
COMMENT ON FUNCTION pg_catalog.citus_add_clone_node_with_nodeid(text, int, int)
    IS 'registers a streaming standby of a worker, which is not used until it is promoted; returns its id (55000: it is no such standby)';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_clone_node_with_nodeid(text, int, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_remove_clone_node(nodename text, nodeport int)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'citus_remove_clone_node';
COMMENT ON FUNCTION pg_catalog.citus_remove_clone_node(text, int)
    IS 'forgets a clone; the standby itself is not touched (55000: it is no clone)';
REVOKE ALL ON FUNCTION pg_catalog.citus_remove_clone_node(text, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_remove_clone_node_with_nodeid(clone_nodeid int)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'citus_remove_clone_node_with_nodeid';
COMMENT ON FUNCTION pg_catalog.citus_remove_clone_node_with_nodeid(int)
    IS 'forgets a clone; the standby itself is not touched (55000: it is no clone)';
REVOKE ALL ON FUNCTION pg_catalog.citus_remove_clone_node_with_nodeid(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.get_snapshot_based_node_split_plan(primary_node_name text,
        primary_node_port int, replica_node_name text, replica_node_port int,
        rebalance_strategy name DEFAULT NULL, OUT table_name regclass, OUT shardid bigint,
        OUT shard_size bigint, OUT placement_node text)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'get_snapshot_based_node_split_plan';
COMMENT ON FUNCTION pg_catalog.get_snapshot_based_node_split_plan(text, int, text, int, name)
    IS 'which shards of a worker its clone would take if it were promoted now; sizes in bytes';
REVOKE ALL ON FUNCTION pg_catalog.get_snapshot_based_node_split_plan(text, int, text, int, name) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_promote_clone_and_rebalance(clone_nodeid int,
        rebalance_strategy name DEFAULT NULL, catchup_timeout_seconds int DEFAULT 300,
        promote boolean DEFAULT true)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'citus_promote_clone_and_rebalance';
COMMENT ON FUNCTION pg_catalog.citus_promote_clone_and_rebalance(int, name, int, boolean)
    IS 'makes a clone a worker that takes over a part of its primary''s shards, without copying rows; '
       'with promote => false it says when the clone is to be promoted, and waits for it (57014: it did not catch up in time, in seconds)';
REVOKE ALL ON FUNCTION pg_catalog.citus_promote_clone_and_rebalance(int, name, int, boolean) FROM PUBLIC;
