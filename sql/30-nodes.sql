-- Workers by function, under Citus' names.

CREATE TYPE pg_catalog.noderole AS ENUM ('primary', 'secondary', 'unavailable');
COMMENT ON TYPE pg_catalog.noderole IS 'role of a worker; unavailable is a clone''s until it is promoted, secondary is not supported';

CREATE FUNCTION pg_catalog.citus_add_node(nodename text, nodeport integer,
        groupid integer DEFAULT -1, noderole noderole DEFAULT 'primary',
        nodecluster name DEFAULT 'default')
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'citus_add_node';
COMMENT ON FUNCTION pg_catalog.citus_add_node(text, integer, integer, noderole, name)
    IS 'adds a worker and returns its id';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_node(text, integer, integer, noderole, name) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_remove_node(nodename text, nodeport integer)
    RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'citus_remove_node';
COMMENT ON FUNCTION pg_catalog.citus_remove_node(text, integer)
    IS 'forgets a worker that holds no shard''s only placement';
REVOKE ALL ON FUNCTION pg_catalog.citus_remove_node(text, integer) FROM PUBLIC;

CREATE FUNCTION cz_lose_node(name name, force boolean DEFAULT false,
        OUT table_name regclass, OUT shardid bigint)
    RETURNS SETOF record LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_lose_node';
COMMENT ON FUNCTION cz_lose_node(name, boolean)
    IS 'forgets a worker that is gone for good, without asking it; with force also if shards are lost with it, which it returns';
REVOKE ALL ON FUNCTION cz_lose_node(name, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_update_node(node_id int, new_node_name text, new_node_port int,
        force boolean DEFAULT false, lock_cooldown int DEFAULT 10000)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'citus_update_node';
COMMENT ON FUNCTION pg_catalog.citus_update_node(int, text, int, boolean, int)
    IS 'gives a worker another address';
REVOKE ALL ON FUNCTION pg_catalog.citus_update_node(int, text, int, boolean, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_disable_node(nodename text, nodeport integer,
        synchronous boolean DEFAULT true)
    RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'citus_disable_node';
COMMENT ON FUNCTION pg_catalog.citus_disable_node(text, integer, boolean)
    IS 'takes a worker out of use';
REVOKE ALL ON FUNCTION pg_catalog.citus_disable_node(text, integer, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_activate_node(nodename text, nodeport integer)
    RETURNS integer LANGUAGE c AS 'MODULE_PATHNAME', 'citus_activate_node';
COMMENT ON FUNCTION pg_catalog.citus_activate_node(text, integer)
    IS 'copies its placements to a disabled worker again and takes it into use; returns its id';
REVOKE ALL ON FUNCTION pg_catalog.citus_activate_node(text, integer) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_set_node_property(nodename text, nodeport integer,
        property text, value boolean)
    RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'citus_set_node_property';
COMMENT ON FUNCTION pg_catalog.citus_set_node_property(text, integer, text, boolean)
    IS 'sets whether a worker gets new shards (shouldhaveshards)';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_node_property(text, integer, text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
    RETURNS SETOF record LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'citus_get_active_worker_nodes';
COMMENT ON FUNCTION pg_catalog.citus_get_active_worker_nodes() IS 'workers that are not disabled';

CREATE FUNCTION pg_catalog.master_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
    RETURNS SETOF record LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'citus_get_active_worker_nodes';
COMMENT ON FUNCTION pg_catalog.master_get_active_worker_nodes()
    IS 'old name of citus_get_active_worker_nodes';

CREATE FUNCTION pg_catalog.citus_check_cluster_node_health(
        OUT from_nodename text, OUT from_nodeport int,
        OUT to_nodename text, OUT to_nodeport int, OUT result boolean)
    RETURNS SETOF record LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'citus_check_cluster_node_health';
COMMENT ON FUNCTION pg_catalog.citus_check_cluster_node_health()
    IS 'whether this server can connect to each worker';
REVOKE ALL ON FUNCTION pg_catalog.citus_check_cluster_node_health() FROM PUBLIC;

CREATE FUNCTION cz_propagate_role(role_name name, password text DEFAULT NULL,
        password_required boolean DEFAULT true)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_propagate_role';
COMMENT ON FUNCTION cz_propagate_role(name, text, boolean)
    IS 'makes a role on all workers, with a user mapping of its own';
REVOKE ALL ON FUNCTION cz_propagate_role(name, text, boolean) FROM PUBLIC;

CREATE FUNCTION cz_propagate_privileges(table_name regclass DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_propagate_privileges';
COMMENT ON FUNCTION cz_propagate_privileges(regclass)
    IS 'grants on the shards of a table, or of all, what roles with user mappings of their own may do to it';
REVOKE ALL ON FUNCTION cz_propagate_privileges(regclass) FROM PUBLIC;

CREATE FUNCTION cz_repair_placements(relation regclass DEFAULT NULL) RETURNS int
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_repair_placements';
COMMENT ON FUNCTION cz_repair_placements(regclass)
    IS 'makes placements whole that have missed writes, of a table or of all; returns how many';
REVOKE ALL ON FUNCTION cz_repair_placements(regclass) FROM PUBLIC;

CREATE FUNCTION cz_verify_placements(relation regclass DEFAULT NULL,
        OUT table_name regclass, OUT shardid bigint, OUT placements int, OUT rows bigint,
        OUT checksum numeric, OUT ok boolean, OUT differing_buckets int, OUT misplaced bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_verify_placements';
COMMENT ON FUNCTION cz_verify_placements(regclass)
    IS 'compares the placements of each shard; ok: all of them were seen and are equal';
REVOKE ALL ON FUNCTION cz_verify_placements(regclass) FROM PUBLIC;
