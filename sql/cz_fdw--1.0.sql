-- cz_fdw: distributed PostgreSQL with vanilla workers.  Made from the files
-- sql/NN-*.sql; run by CREATE EXTENSION.
\echo Use "CREATE EXTENSION cz_fdw" to load this file. \quit

-- Fails with 55000 unless the library is in shared_preload_libraries.
LOAD 'MODULE_PATHNAME';

SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA cz;
COMMENT ON SCHEMA cz IS 'catalog tables and internal functions of cz_fdw';
GRANT USAGE ON SCHEMA cz TO PUBLIC;

CREATE SCHEMA cz_shards;
COMMENT ON SCHEMA cz_shards IS 'shards of distributed tables: one foreign table each';
-- The foreign data wrapper.

CREATE FUNCTION cz.fdw_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_fdw_handler';
COMMENT ON FUNCTION cz.fdw_handler() IS 'foreign-data wrapper handler of cz_fdw';
REVOKE ALL ON FUNCTION cz.fdw_handler() FROM PUBLIC;

CREATE FUNCTION cz.fdw_validator(text[], oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_fdw_validator';
COMMENT ON FUNCTION cz.fdw_validator(text[], oid) IS 'validates options of objects of cz_fdw';
REVOKE ALL ON FUNCTION cz.fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER cz_fdw HANDLER cz.fdw_handler VALIDATOR cz.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER cz_fdw IS 'servers are workers, their foreign tables are shards or stand alone';
-- Catalog tables: what PostgreSQL's own catalogs cannot hold.

CREATE SEQUENCE cz.shard_id_seq AS bigint START 102008 NO CYCLE;
COMMENT ON SEQUENCE cz.shard_id_seq IS 'ids of shards, unique in the cluster';
CREATE SEQUENCE cz.colocation_id_seq AS int START 1 NO CYCLE;
COMMENT ON SEQUENCE cz.colocation_id_seq IS 'ids of colocation groups';
CREATE SEQUENCE cz.node_id_seq AS int START 1 NO CYCLE;
COMMENT ON SEQUENCE cz.node_id_seq IS 'ids of workers made by citus_add_node';

-- The partition key of a table without distribution column is 0::cz.single: an expression
-- that no planner folds, because of the CHECK.
CREATE DOMAIN cz.single AS int CHECK (VALUE = 0);
COMMENT ON DOMAIN cz.single IS 'type of the partition key of single-shard tables';

CREATE TABLE cz.colocation (
    colocation_id int PRIMARY KEY,
    shard_count int NOT NULL CHECK (shard_count >= 0),
    replication_factor int NOT NULL CHECK (replication_factor > 0),
    partition_method "char" NOT NULL CHECK (partition_method IN ('h', 'r', 's')),
    key_type regtype,
    key_collation text NOT NULL DEFAULT ''
);
COMMENT ON TABLE cz.colocation IS
    'colocation groups: distributed tables with equal partition bounds and equal placements';
COMMENT ON COLUMN cz.colocation.shard_count IS 'shards that each table of the group was made with, before any was split; 0 for range tables, which get shards one by one';
COMMENT ON COLUMN cz.colocation.partition_method IS 'h: hash, r: range, s: single-shard tables';
COMMENT ON COLUMN cz.colocation.key_type IS 'type of the distribution column of the group''s tables, NULL if they have none';
COMMENT ON COLUMN cz.colocation.key_collation IS 'collation of the distribution column, qualified and quoted: OIDs are others after a restore, and pg_upgrade takes no regcollation; empty if its type has none';

CREATE TABLE cz.tables (
    relid regclass PRIMARY KEY,
    kind "char" NOT NULL CHECK (kind IN ('h', 'r', 's', 'n')),
    colocation_id int NOT NULL DEFAULT 0,
    shard_id bigint,
    reloptions text[],
    remote_name text,
    map_relid regclass UNIQUE,
    CHECK ((kind = 'n') = (shard_id IS NOT NULL))
);
CREATE INDEX tables_colocation_id_idx ON cz.tables (colocation_id);
COMMENT ON TABLE cz.tables IS 'distributed and reference tables';
COMMENT ON COLUMN cz.tables.kind IS 'h: hash-distributed, r: range-distributed, s: single-shard table, n: reference table';
COMMENT ON COLUMN cz.tables.colocation_id IS 'group in cz.colocation; 0 for reference tables';
COMMENT ON COLUMN cz.tables.shard_id IS
    'reference tables: id of the copy, cz_shards.<table>_<shard_id> on every worker';

COMMENT ON COLUMN cz.tables.remote_name IS
    'reference tables that were renamed: name of their copies';
COMMENT ON COLUMN cz.tables.reloptions IS
    'distributed tables: storage parameters of the shards (a partitioned table cannot have them)';

COMMENT ON COLUMN cz.tables.map_relid IS
    'tables that are partitioned by their user: the table in cz_shards, partitioned by the distribution column, whose partitions are the shards';

CREATE TABLE cz.partitions (
    relid regclass PRIMARY KEY,
    root regclass NOT NULL,
    name text NOT NULL,
    is_partitioned boolean NOT NULL,
    shard_ids bigint[] NOT NULL,
    reloptions text[]
);
CREATE INDEX partitions_root_idx ON cz.partitions (root);
COMMENT ON TABLE cz.partitions IS
    'partitions of distributed partitioned tables; on the workers they are partitions of the root''s shards';
COMMENT ON COLUMN cz.partitions.root IS 'the distributed table at the top, in cz.tables';
COMMENT ON COLUMN cz.partitions.name IS 'its shards are cz_shards.<name>_<shard_ids[i]> on the workers';
COMMENT ON COLUMN cz.partitions.is_partitioned IS 'it is partitioned by its user, too';
COMMENT ON COLUMN cz.partitions.shard_ids IS 'in the order of the root''s shards';
COMMENT ON COLUMN cz.partitions.reloptions IS 'storage parameters of its shards';

CREATE TABLE cz.shard_statistics (
    shard_id bigint PRIMARY KEY,
    size_bytes bigint,
    row_count bigint,
    min_value text,
    max_value text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cz.shard_statistics IS
    'what citus_update_table_statistics saw of each shard';
COMMENT ON COLUMN cz.shard_statistics.min_value IS 'least value of the distribution column, as text';
COMMENT ON COLUMN cz.shard_statistics.max_value IS 'greatest value of the distribution column, as text';

CREATE TABLE cz.analyzed_tables (
    relid oid PRIMARY KEY,
    changes bigint NOT NULL,
    checked_at timestamptz NOT NULL
);
COMMENT ON TABLE cz.analyzed_tables IS
    'what the background worker knew of each distributed table when it was last analyzed';
COMMENT ON COLUMN cz.analyzed_tables.changes IS 'rows ever written to its shards, as the workers count';

-- A placement without a row is in use.
CREATE TABLE cz.placement_state (
    shard_id    bigint NOT NULL,
    server_name name NOT NULL,
    state       "char" NOT NULL CHECK (state IN ('i', 'l')),
    since       timestamptz NOT NULL,
    reason      text NOT NULL,
    PRIMARY KEY (shard_id, server_name)
);
COMMENT ON TABLE cz.placement_state IS 'placements, copies of reference tables among them, that are neither read nor written until cz_repair_placements() has made them whole';
COMMENT ON COLUMN cz.placement_state.server_name IS 'the foreign server';
COMMENT ON COLUMN cz.placement_state.state IS 'i: inactive, it has missed writes; l: lost, with its node';
COMMENT ON COLUMN cz.placement_state.reason IS 'what a writer met there';

-- Written before a shard is written in one phase, one placement after the other.
CREATE TABLE cz.dirty_shards (
    shard_id bigint NOT NULL,
    boot_id  bigint NOT NULL
);
CREATE INDEX dirty_shards_shard_id_idx ON cz.dirty_shards (shard_id);
COMMENT ON TABLE cz.dirty_shards IS 'shards whose placements may differ if this server crashes';
COMMENT ON COLUMN cz.dirty_shards.boot_id IS 'life of the server in which they are written; placements of those of an earlier one are compared before they are used';

-- State of this server's catalogs: not dumped.
CREATE TABLE cz.objects (
    classid oid NOT NULL,
    objid   oid NOT NULL,
    userid  oid NOT NULL,
    PRIMARY KEY (classid, objid, userid)
);
COMMENT ON TABLE cz.objects IS 'types, functions, collations, schemas and extensions that workers have been told to make';
COMMENT ON COLUMN cz.objects.classid IS 'catalog of the object';
COMMENT ON COLUMN cz.objects.userid IS 'role in whose name: workers'' ledgers, cz_shards.cz_object, are of the roles that it has there';

GRANT SELECT ON cz.colocation, cz.tables, cz.partitions, cz.placement_state, cz.dirty_shards TO PUBLIC;

-- A dump of the coordinator carries the topology; statistics can be had anew.
SELECT pg_extension_config_dump('cz.colocation', '');
SELECT pg_extension_config_dump('cz.tables', '');
SELECT pg_extension_config_dump('cz.partitions', '');
SELECT pg_extension_config_dump('cz.placement_state', '');
SELECT pg_extension_config_dump('cz.dirty_shards', '');
SELECT pg_extension_config_dump('cz.shard_id_seq', '');
SELECT pg_extension_config_dump('cz.colocation_id_seq', '');
SELECT pg_extension_config_dump('cz.node_id_seq', '');

-- Whoever changes cz.tables, a restore among them, makes backends look again.
CREATE FUNCTION cz.tables_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_tables_changed';
COMMENT ON FUNCTION cz.tables_changed() IS 'invalidates what backends have cached of a table';
REVOKE ALL ON FUNCTION cz.tables_changed() FROM PUBLIC;
CREATE TRIGGER tables_changed AFTER INSERT OR UPDATE OR DELETE ON cz.tables
    FOR EACH ROW EXECUTE FUNCTION cz.tables_changed();
COMMENT ON TRIGGER tables_changed ON cz.tables IS 'invalidates what backends have cached of a table';
CREATE TRIGGER partitions_changed AFTER INSERT OR UPDATE OR DELETE ON cz.partitions
    FOR EACH ROW EXECUTE FUNCTION cz.tables_changed();
COMMENT ON TRIGGER partitions_changed ON cz.partitions IS 'invalidates what backends have cached of a partition';

CREATE FUNCTION cz.placement_state_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_placement_state_changed';
COMMENT ON FUNCTION cz.placement_state_changed() IS 'invalidates what backends have cached of placements';
REVOKE ALL ON FUNCTION cz.placement_state_changed() FROM PUBLIC;
CREATE TRIGGER placement_state_changed AFTER INSERT OR UPDATE OR DELETE ON cz.placement_state
    FOR EACH STATEMENT EXECUTE FUNCTION cz.placement_state_changed();
COMMENT ON TRIGGER placement_state_changed ON cz.placement_state IS 'invalidates what backends have cached of placements';
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
        OUT checksum numeric, OUT ok boolean)
    RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_verify_placements';
COMMENT ON FUNCTION cz_verify_placements(regclass)
    IS 'compares the placements of each shard; ok: all of them were seen and are equal';
REVOKE ALL ON FUNCTION cz_verify_placements(regclass) FROM PUBLIC;
-- The cluster file.

CREATE FUNCTION pg_catalog.cz_import_cluster(config text, dry_run boolean DEFAULT false,
        OUT action text, OUT object text, OUT detail text)
    RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'cz_import_cluster';
COMMENT ON FUNCTION pg_catalog.cz_import_cluster(text, boolean)
    IS 'makes the cluster what a JSON text says, and returns what was done or (dry_run) would be';
REVOKE ALL ON FUNCTION pg_catalog.cz_import_cluster(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.cz_import_cluster_file(path text, dry_run boolean DEFAULT false,
        OUT action text, OUT object text, OUT detail text)
    RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'cz_import_cluster_file';
COMMENT ON FUNCTION pg_catalog.cz_import_cluster_file(text, boolean)
    IS 'makes the cluster what a file on the server says, and returns what was done or (dry_run) would be';
REVOKE ALL ON FUNCTION pg_catalog.cz_import_cluster_file(text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.cz_export_cluster() RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_export_cluster';
COMMENT ON FUNCTION pg_catalog.cz_export_cluster()
    IS 'the cluster as JSON text that cz_import_cluster reads; without passwords';
REVOKE ALL ON FUNCTION pg_catalog.cz_export_cluster() FROM PUBLIC;
-- Distributing tables.

-- false: made for colocate_with => 'none', so no other table joins by default
ALTER TABLE cz.colocation ADD COLUMN is_default boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN cz.colocation.is_default IS 'tables of equal key join the group by default';

-- By name: pg_upgrade takes no column of type regnamespace.
CREATE TABLE cz.tenant_schemas (
    schema_name name PRIMARY KEY,
    colocation_id int NOT NULL UNIQUE
);
COMMENT ON TABLE cz.tenant_schemas IS 'schemas whose tables are single-shard tables of one colocation group';
GRANT SELECT ON cz.tenant_schemas TO PUBLIC;
SELECT pg_extension_config_dump('cz.tenant_schemas', '');

CREATE TABLE cz.cleanup (
    cleanup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_name name NOT NULL,
    object_kind text NOT NULL DEFAULT 'table',
    object_schema text,
    object_name text NOT NULL,
    object_args text,
    user_name name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    move_id bigint,
    policy text NOT NULL DEFAULT 'always' CHECK (policy IN ('always', 'on_failure', 'on_success')),
    marker text,
    not_before timestamptz,
    attempts int NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX cleanup_move_id_idx ON cz.cleanup (move_id);
-- a duty that a restored coordinator has, too: numbers of shards don't come back
SELECT pg_extension_config_dump('cz.cleanup', 'WHERE move_id IS NULL AND object_kind = ''table''');
SELECT pg_extension_config_dump('cz.cleanup_cleanup_id_seq', '');
COMMENT ON TABLE cz.cleanup IS 'what is still to be dropped on workers that could not be reached, and what moves of shards have left';
COMMENT ON COLUMN cz.cleanup.object_kind IS 'table, whose name is qualified; capture, what logs changes of a table; or a kind of the ledger, cz_shards.cz_object';
COMMENT ON COLUMN cz.cleanup.move_id IS 'move that has made or left it: nothing is dropped before it has ended';
COMMENT ON COLUMN cz.cleanup.policy IS 'always, or only when the move has failed, or has succeeded';
COMMENT ON COLUMN cz.cleanup.marker IS 'comment that the table must have to be dropped; NULL: any';
COMMENT ON COLUMN cz.cleanup.not_before IS 'NULL: at once';
COMMENT ON COLUMN cz.cleanup.attempts IS 'attempts that have failed';

CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default',
    shard_count int DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'create_distributed_table';
COMMENT ON FUNCTION create_distributed_table(regclass, text, text, text, int)
    IS 'spread a table over the workers by one of its columns; NULL: put it into one shard';

CREATE FUNCTION cz.replicate_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_replicate_truncate';
COMMENT ON FUNCTION cz.replicate_truncate()
    IS 'statement trigger that carries TRUNCATE of a reference table to its copies';
REVOKE ALL ON FUNCTION cz.replicate_truncate() FROM PUBLIC;

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'create_reference_table';
COMMENT ON FUNCTION create_reference_table(regclass) IS 'keep a full copy of a table on every worker';

CREATE FUNCTION undistribute_table(table_name regclass, cascade_via_foreign_keys boolean DEFAULT false)
    RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'undistribute_table';
COMMENT ON FUNCTION undistribute_table(regclass, boolean)
    IS 'make a distributed or reference table an ordinary one again, with its rows';

CREATE FUNCTION citus_schema_distribute(schemaname regnamespace) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_schema_distribute';
COMMENT ON FUNCTION citus_schema_distribute(regnamespace)
    IS 'make a schema a tenant: all its tables, now and later, are on one worker';

CREATE FUNCTION citus_schema_undistribute(schemaname regnamespace) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_schema_undistribute';
COMMENT ON FUNCTION citus_schema_undistribute(regnamespace)
    IS 'make the tables of a schema that is a tenant ordinary ones again';

CREATE FUNCTION citus_update_table_statistics(relation regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_update_table_statistics';
COMMENT ON FUNCTION citus_update_table_statistics(regclass)
    IS 'refresh the size, the number of rows and the range of keys of every shard in cz.shard_statistics';

CREATE FUNCTION cz_check_shards(table_name regclass DEFAULT NULL, OUT logical_table regclass, OUT shard_id bigint,
    OUT node_name text, OUT object text, OUT expected text, OUT found text) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cz_check_shards';
COMMENT ON FUNCTION cz_check_shards(regclass)
    IS 'what placements of shards have otherwise than their table: columns, CHECKs, indexes, storage parameters';

-- What ALTER TABLE reads and writes when rows of a distributed table are computed here.
CREATE FUNCTION cz.rewrite_handler(internal) RETURNS table_am_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_rewrite_handler';
COMMENT ON FUNCTION cz.rewrite_handler(internal) IS 'handler of access method cz_rewrite';
REVOKE ALL ON FUNCTION cz.rewrite_handler(internal) FROM PUBLIC;
CREATE ACCESS METHOD cz_rewrite TYPE TABLE HANDLER cz.rewrite_handler;
COMMENT ON ACCESS METHOD cz_rewrite IS 'rows of distributed tables while ALTER TABLE computes them; not for tables of users';
-- Shards of range tables, and what is appended to them.

ALTER TABLE cz.tables ADD COLUMN is_append boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN cz.tables.is_append IS
    'range tables: of distribution type append, so that an open last shard is closed by the next append';

CREATE TABLE cz.pending_shards (
    shard_id bigint PRIMARY KEY,
    relid regclass NOT NULL,
    server_names name[] NOT NULL
);
CREATE INDEX pending_shards_relid_idx ON cz.pending_shards (relid);
COMMENT ON TABLE cz.pending_shards IS
    'ids of shards that master_create_empty_shard() has reserved and to which nothing has been appended yet';
COMMENT ON COLUMN cz.pending_shards.relid IS 'the range table';
COMMENT ON COLUMN cz.pending_shards.server_names IS 'workers that the shard is to be on';
GRANT SELECT ON cz.pending_shards TO PUBLIC;
SELECT pg_extension_config_dump('cz.pending_shards', '');

CREATE FUNCTION cz_create_range_shard(table_name regclass, min text, max text) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cz_create_range_shard';
COMMENT ON FUNCTION cz_create_range_shard(regclass, text, text)
    IS 'add a shard for min <= key < max to a range-distributed table; NULL: no bound';

CREATE FUNCTION cz_append_table(table_name regclass, source regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_append_table';
COMMENT ON FUNCTION cz_append_table(regclass, regclass)
    IS 'append the rows of a relation to a range-distributed table: those that no shard takes get a new one; returns its id, NULL if there is none';

CREATE FUNCTION master_create_empty_shard(relation_name text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'master_create_empty_shard';
COMMENT ON FUNCTION master_create_empty_shard(text)
    IS 'reserve the id of a shard of a range-distributed table, for master_append_table_to_shard';

CREATE FUNCTION master_append_table_to_shard(shard_id bigint, source_table_name text,
    source_node_name text, source_node_port int) RETURNS real
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'master_append_table_to_shard';
COMMENT ON FUNCTION master_append_table_to_shard(bigint, text, text, int)
    IS 'append the rows of a table of the coordinator or of a worker to a shard; returns its size as part of citus.shard_max_size, 1 GB if that is not set';

-- Sealed shards.  Not dumped: a restored coordinator must not believe what may have been
-- broken since.
CREATE TABLE cz.sealed_shards (
    shard_id bigint PRIMARY KEY,
    relid regclass NOT NULL,
    min_value text NOT NULL,
    max_value text NOT NULL
);
CREATE INDEX sealed_shards_relid_idx ON cz.sealed_shards (relid);
COMMENT ON TABLE cz.sealed_shards IS
    'shards that have a CHECK cz_seal on the workers, so that they are left out where no key can be within';
COMMENT ON COLUMN cz.sealed_shards.min_value IS 'least key, as text';
COMMENT ON COLUMN cz.sealed_shards.max_value IS 'greatest key, as text';

CREATE FUNCTION cz_seal_shard(shard_id bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_seal_shard';
COMMENT ON FUNCTION cz_seal_shard(bigint)
    IS 'have the workers keep the least and greatest key of a shard, so that queries leave it out; a row outside is 40001 once, and removes the seal';
CREATE FUNCTION cz_unseal_shard(shard_id bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_unseal_shard';
COMMENT ON FUNCTION cz_unseal_shard(bigint) IS 'a shard takes any row again';
-- Moving shards.

CREATE SCHEMA citus;
COMMENT ON SCHEMA citus IS 'types that Citus has there';
GRANT USAGE ON SCHEMA citus TO PUBLIC;
CREATE TYPE citus.shard_transfer_mode AS ENUM ('auto', 'force_logical', 'block_writes');
COMMENT ON TYPE citus.shard_transfer_mode IS
    'auto, force_logical: writers wait for the switch only; block_writes: for the copy, too';

CREATE SEQUENCE cz.move_id_seq AS bigint START 1 NO CYCLE;
COMMENT ON SEQUENCE cz.move_id_seq IS 'numbers of moves';
-- what moves have left on workers has them in its names
SELECT pg_extension_config_dump('cz.move_id_seq', '');

-- State of what is on its way: not dumped.
CREATE TABLE cz.move (
    move_id bigint PRIMARY KEY,
    operation text NOT NULL CHECK (operation IN ('move', 'copy', 'drop', 'promote', 'split')),
    mode text NOT NULL CHECK (mode IN ('logical', 'block_writes')),
    colocation_id int NOT NULL,
    shard_index int NOT NULL,
    tables oid[] NOT NULL,
    shard_ids bigint[] NOT NULL,
    phase text NOT NULL CHECK (phase IN ('preparing', 'copying', 'indexing', 'catching_up',
        'switching', 'switched', 'done', 'failed')),
    source_name name,
    target_name name,
    bytes_done bigint NOT NULL DEFAULT 0,
    bytes_total bigint,
    rows_applied bigint NOT NULL DEFAULT 0,
    lag_changes bigint,
    pause_ms float8,
    attempts int NOT NULL DEFAULT 0,
    pid int,
    task_id bigint,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    sqlstate text,
    error text,
    switched_at timestamptz,
    piece_ids bigint[]
);
CREATE UNIQUE INDEX move_running_idx ON cz.move (colocation_id, shard_index, (tables[1]))
    WHERE phase NOT IN ('done', 'failed');
COMMENT ON TABLE cz.move IS 'moves and copies of shards, and promotions of clones, those that have ended too';
COMMENT ON COLUMN cz.move.operation IS 'promote: a clone of the source becomes a node, and takes these shards over without a copy';
COMMENT ON COLUMN cz.move.shard_index IS 'number of the shard in each table of the colocation group';
COMMENT ON COLUMN cz.move.tables IS 'the tables of the colocation group';
COMMENT ON COLUMN cz.move.shard_ids IS 'their shards that are moved';
COMMENT ON COLUMN cz.move.source_name IS 'node whose placement leaves; NULL: one more is made';
COMMENT ON COLUMN cz.move.target_name IS 'node that gets a placement; NULL: of a split it may be several';
COMMENT ON COLUMN cz.move.piece_ids IS 'shards that a split makes of those';
COMMENT ON COLUMN cz.move.bytes_total IS 'size of the shards'' rows on the source before the copy';
COMMENT ON COLUMN cz.move.bytes_done IS 'bytes of rows, as text, that have been copied';
COMMENT ON COLUMN cz.move.lag_changes IS 'changes that the last look found missing on the target';
COMMENT ON COLUMN cz.move.pause_ms IS 'how long writers of the shards had to wait for the switch';
COMMENT ON COLUMN cz.move.attempts IS 'attempts to lock the shards for the switch';
COMMENT ON COLUMN cz.move.switched_at IS 'since then the new placement counts';
COMMENT ON COLUMN cz.move.task_id IS 'task of a job that it belongs to';
GRANT SELECT ON cz.move TO PUBLIC;

CREATE FUNCTION citus_move_shard_placement(shard_id bigint, source_node_name text, source_node_port int,
    target_node_name text, target_node_port int,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_move_shard_placement';
COMMENT ON FUNCTION citus_move_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode)
    IS 'move a shard, and those that are colocated with it, from one node to another';
CREATE FUNCTION citus_move_shard_placement(shard_id bigint, source_node_id int, target_node_id int,
    transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_move_shard_placement_with_nodeid';
COMMENT ON FUNCTION citus_move_shard_placement(bigint, int, int, citus.shard_transfer_mode)
    IS 'move a shard, and those that are colocated with it, from one node to another';
CREATE FUNCTION citus_copy_shard_placement(shard_id bigint, source_node_name text, source_node_port int,
    target_node_name text, target_node_port int,
    transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_copy_shard_placement';
COMMENT ON FUNCTION citus_copy_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode)
    IS 'give a shard, and those that are colocated with it, one more placement';
CREATE FUNCTION citus_copy_shard_placement(shard_id bigint, source_node_id int, target_node_id int,
    transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_copy_shard_placement_with_nodeid';
COMMENT ON FUNCTION citus_copy_shard_placement(bigint, int, int, citus.shard_transfer_mode)
    IS 'give a shard, and those that are colocated with it, one more placement';

CREATE FUNCTION citus_schema_move(schema_id regnamespace, target_node_name text, target_node_port int,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    first record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_dist_schema d WHERE d.schemaid = schema_id::oid) THEN
        RAISE EXCEPTION 'schema "%" is not distributed', (SELECT nspname FROM pg_namespace WHERE oid = schema_id::oid)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Use citus_schema_distribute().';
    END IF;
    SELECT p.shardid, p.nodename, p.nodeport INTO first
      FROM pg_dist_schema d
           JOIN pg_dist_partition t USING (colocationid)
           JOIN pg_dist_shard s USING (logicalrelid)
           JOIN pg_dist_shard_placement p USING (shardid)
     WHERE d.schemaid = schema_id::oid
     ORDER BY p.shardid, p.placementid
     LIMIT 1;
    IF first IS NULL THEN
        RAISE EXCEPTION 'schema "%" has no tables', (SELECT nspname FROM pg_namespace WHERE oid = schema_id::oid)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Its first table says where it is.';
    END IF;
    PERFORM citus_move_shard_placement(first.shardid, first.nodename, first.nodeport, target_node_name,
                                       target_node_port, shard_transfer_mode);
END
$$;
COMMENT ON FUNCTION citus_schema_move(regnamespace, text, int, citus.shard_transfer_mode)
    IS 'move the tables of a schema that is a tenant, their first placement, to another node';
CREATE FUNCTION citus_schema_move(schema_id regnamespace, target_node_id int,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    target record;
BEGIN
    SELECT n.nodename, n.nodeport INTO target FROM pg_dist_node n WHERE n.nodeid = target_node_id;
    IF target IS NULL THEN
        RAISE EXCEPTION 'there is no node %', target_node_id USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM @extschema@.citus_schema_move(schema_id, target.nodename, target.nodeport, shard_transfer_mode);
END
$$;
COMMENT ON FUNCTION citus_schema_move(regnamespace, int, citus.shard_transfer_mode)
    IS 'move the tables of a schema that is a tenant, their first placement, to another node';

CREATE FUNCTION cz.move_bytes(move_id bigint) RETURNS bigint
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_move_bytes';
COMMENT ON FUNCTION cz.move_bytes(bigint) IS 'bytes that a running move has copied so far; NULL: it does not run';

CREATE VIEW cz.cz_moves AS
    SELECT m.move_id, m.operation, m.mode,
           (SELECT array_agg(c.oid::regclass ORDER BY c.oid) FROM pg_class c WHERE c.oid = ANY (m.tables)) AS tables,
           m.shard_ids, m.phase, m.source_name, m.target_name, b.bytes_done, m.bytes_total,
           CASE WHEN m.bytes_total > 0 THEN round(least(100.0 * b.bytes_done / m.bytes_total, 100)::numeric, 1) END AS percent,
           m.rows_applied, m.lag_changes, m.pause_ms, m.attempts, m.pid, m.started_at, m.updated_at, m.error
    FROM cz.move m, LATERAL (SELECT coalesce(cz.move_bytes(m.move_id), m.bytes_done) AS bytes_done) b;
COMMENT ON VIEW cz.cz_moves IS 'moves and copies of shards: how far they are, and what became of them';
GRANT SELECT ON cz.cz_moves TO PUBLIC;
ALTER VIEW cz.cz_moves SET SCHEMA pg_catalog;
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
-- Backup and restore.

CREATE FUNCTION citus_create_restore_point(restore_name text) RETURNS pg_lsn
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_create_restore_point';
COMMENT ON FUNCTION citus_create_restore_point(text)
    IS 'create a restore point of that name on all nodes, at which no commit is unfinished; returns this server''s position';
REVOKE ALL ON FUNCTION citus_create_restore_point(text) FROM PUBLIC;

CREATE FUNCTION citus_cluster_changes_block(timeout_ms int DEFAULT 300000) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_cluster_changes_block';
COMMENT ON FUNCTION citus_cluster_changes_block(int)
    IS 'keep transactions from being committed on several nodes, until citus_cluster_changes_unblock() or for that many milliseconds';
REVOKE ALL ON FUNCTION citus_cluster_changes_block(int) FROM PUBLIC;

CREATE FUNCTION citus_cluster_changes_unblock() RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_cluster_changes_unblock';
COMMENT ON FUNCTION citus_cluster_changes_unblock()
    IS 'end citus_cluster_changes_block(); false: it had ended by itself';
REVOKE ALL ON FUNCTION citus_cluster_changes_unblock() FROM PUBLIC;

CREATE FUNCTION citus_cluster_changes_block_status(OUT state text, OUT worker_pid int, OUT requestor_pid int,
    OUT block_start_time timestamptz, OUT timeout_ms int, OUT node_count int) RETURNS record
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_cluster_changes_block_status';
COMMENT ON FUNCTION citus_cluster_changes_block_status()
    IS 'state (idle, starting, active, timed out, failed) of citus_cluster_changes_block() in this database, and its processes';

-- State of this database's catalogs: not dumped.
CREATE TABLE cz.restored_ids (
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    restored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cz.restored_ids IS 'numbers of shards that were given out after the dump from which this database was restored: who has them is listed, and not dropped';

CREATE FUNCTION cz_finish_restore(prepared text DEFAULT 'list', missing text DEFAULT 'list',
    OUT table_name text, OUT shard_id bigint, OUT node text, OUT problem text, OUT action text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_finish_restore';
COMMENT ON FUNCTION cz_finish_restore(text, text)
    IS 'complete keys, dependencies and triggers after a restore by pg_dump''s script, and compare the catalogs with the workers; a row for each difference';
REVOKE ALL ON FUNCTION cz_finish_restore(text, text) FROM PUBLIC;

CREATE FUNCTION cz_list_orphans(OUT node text, OUT object_kind text, OUT object_name text, OUT shard_id bigint,
    OUT reason text, OUT is_dropped_by_cleanup boolean) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_list_orphans';
COMMENT ON FUNCTION cz_list_orphans()
    IS 'tables, functions and prepared transactions on the workers that nothing here accounts for';
REVOKE ALL ON FUNCTION cz_list_orphans() FROM PUBLIC;

CREATE PROCEDURE citus_cleanup_orphaned_resources()
    LANGUAGE c AS 'MODULE_PATHNAME', 'citus_cleanup_orphaned_resources';
COMMENT ON PROCEDURE citus_cleanup_orphaned_resources()
    IS 'drop on the workers what could not be dropped when its table went, what moves have left, and shards that no table has';
REVOKE ALL ON PROCEDURE citus_cleanup_orphaned_resources() FROM PUBLIC;

CREATE FUNCTION cz_dump_script() RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    todo oid[] := ARRAY(SELECT t.relid::oid FROM cz.tables t WHERE t.kind IN ('h', 'r', 's') ORDER BY t.relid::text);
    next oid;
    columns text;
    copy_in text;
BEGIN
    RETURN NEXT 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;';
    RETURN NEXT 'SET LOCAL row_security = off;';
    RETURN NEXT 'SET LOCAL search_path = pg_catalog;';
    RETURN NEXT 'SET LOCAL datestyle = ISO;';
    RETURN NEXT 'SET LOCAL intervalstyle = postgres;';
    RETURN NEXT 'SET LOCAL extra_float_digits = 3;';
    RETURN NEXT 'SET LOCAL statement_timeout = 0;';
    RETURN NEXT format($q$\echo 'SET client_encoding = \'%s\';'$q$, current_setting('client_encoding'));
    RETURN NEXT $q$\echo 'BEGIN;'$q$;
    RETURN NEXT $q$\echo 'SET LOCAL datestyle = ISO;'$q$;
    RETURN NEXT $q$\echo 'SET LOCAL intervalstyle = postgres;'$q$;
    RETURN NEXT $q$\echo 'SET LOCAL session_replication_role = replica;'$q$;
    RETURN NEXT $q$\echo 'SET CONSTRAINTS ALL DEFERRED;'$q$;
    WHILE cardinality(todo) > 0 LOOP
        -- those first that foreign keys of others refer to
        next := (SELECT r FROM unnest(todo) WITH ORDINALITY AS u(r, n)
                  WHERE NOT EXISTS (SELECT FROM pg_constraint f LEFT JOIN cz.partitions p ON p.relid::oid = f.conrelid
                                     LEFT JOIN cz.partitions q ON q.relid::oid = f.confrelid
                                     WHERE f.contype = 'f' AND coalesce(p.root::oid, f.conrelid) = r
                                       AND coalesce(q.root::oid, f.confrelid) = ANY (todo)
                                       AND coalesce(q.root::oid, f.confrelid) <> r)
                  ORDER BY n LIMIT 1);
        IF next IS NULL THEN
            next := todo[1];
            RAISE WARNING 'foreign keys of table % and others form a circle', next::regclass
                USING HINT = 'If they are not DEFERRABLE, drop one of them before the rows are restored.';
        END IF;
        todo := array_remove(todo, next);
        columns := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = next AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
        copy_in := format('COPY %s%s FROM stdin;', next::regclass, ' (' || columns || ')');
        RETURN NEXT format($q$\echo '%s'$q$, replace(replace(replace(copy_in, '\', '\\'), '''', '\'''), E'\n', '\n'));
        RETURN NEXT format('COPY (SELECT %s FROM %s) TO STDOUT;', columns, next::regclass);
        RETURN NEXT $q$\echo '\\.'$q$;
    END LOOP;
    RETURN NEXT $q$\echo 'COMMIT;'$q$;
    RETURN NEXT 'COMMIT;';
END
$$;
COMMENT ON FUNCTION cz_dump_script()
    IS 'a psql script that writes the rows of all distributed tables, as of one moment, as a script of COPY commands: what pg_dump leaves out';

CREATE FUNCTION cz_prepare_upgrade(OUT item text, OUT state text, OUT is_ready boolean) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    n := (SELECT count(*) FROM cz.job j WHERE j.finished_at IS NULL);
    IF n > 0 THEN
        PERFORM citus_job_cancel(j.job_id) FROM cz.job j WHERE j.finished_at IS NULL;
    END IF;
    item := 'jobs';
    is_ready := n = 0;
    state := CASE WHEN n = 0 THEN 'none' ELSE format('%s told to stop: call this function again', n) END;
    RETURN NEXT;

    n := (SELECT count(*) FROM cz.move m WHERE m.phase NOT IN ('done', 'failed', 'switched'));
    item := 'moves of shards';
    is_ready := n = 0;
    state := CASE WHEN n = 0 THEN 'none' ELSE format('%s on their way: wait for them, or cancel them', n) END;
    RETURN NEXT;

    -- decisions are kept by the names of servers, so those that stay are known to the new server
    FOR i IN 1 .. 10 LOOP
        PERFORM recover_prepared_transactions();
        n := (SELECT count(*) FROM cz.transaction_log);
        EXIT WHEN n = 0;
        PERFORM pg_sleep(0.1);
    END LOOP;
    item := 'commits on several nodes';
    is_ready := n = 0;
    state := CASE WHEN n = 0 THEN 'all finished'
                  ELSE format('%s not confirmed by %s', n,
                              (SELECT string_agg(DISTINCT s, ', ') FROM cz.transaction_log l, unnest(l.server_names) s)) END;
    RETURN NEXT;

    n := (SELECT count(*) FROM pg_prepared_xacts);
    item := 'transactions prepared on the coordinator';
    is_ready := n = 0;
    state := CASE WHEN n = 0 THEN 'none' ELSE format('%s: pg_upgrade refuses', n) END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cz_prepare_upgrade()
    IS 'before pg_upgrade of the coordinator: stops jobs, finishes what is prepared on workers, and says what is not ready';
REVOKE ALL ON FUNCTION cz_prepare_upgrade() FROM PUBLIC;
-- Splitting shards.

CREATE FUNCTION cz_split_shard(shard_id bigint, pieces int DEFAULT 2, node_ids int[] DEFAULT NULL,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cz_split_shard';
COMMENT ON FUNCTION cz_split_shard(bigint, int, int[], citus.shard_transfer_mode)
    IS 'split a hash shard, and those that are colocated with it, into equal pieces: a power of two';

CREATE FUNCTION citus_split_shard_by_split_points(shard_id bigint, split_points text[], node_ids int[],
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'citus_split_shard_by_split_points';
COMMENT ON FUNCTION citus_split_shard_by_split_points(bigint, text[], int[], citus.shard_transfer_mode)
    IS 'split a range shard at keys with which new shards begin';

CREATE FUNCTION isolate_tenant_to_new_shard(table_name regclass, tenant_id "any",
    cascade_option text DEFAULT '', shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'isolate_tenant_to_new_shard';
COMMENT ON FUNCTION isolate_tenant_to_new_shard(regclass, "any", text, citus.shard_transfer_mode)
    IS 'split a hash shard so that a key, and as few others as can be, have one of their own; returns its id';
-- Two-phase commit: the log of decisions, recovery, and the trigger that
-- replicates reference tables.

-- Whose cluster this is: the id survives a dump, who its coordinator is does not.
CREATE TABLE cz.cluster (
    cluster_id uuid NOT NULL,
    epoch      int NOT NULL CHECK (epoch > 0)
);
COMMENT ON TABLE cz.cluster IS 'identity of the cluster: one row';
COMMENT ON COLUMN cz.cluster.cluster_id IS 'drawn by CREATE EXTENSION; names of prepared transactions on workers contain it';
COMMENT ON COLUMN cz.cluster.epoch IS 'how often a coordinator has taken over';
CREATE TABLE cz.cluster_owner (
    cluster_id        uuid NOT NULL,
    first_epoch       int NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    timeline          int NOT NULL,
    control_file      bigint NOT NULL
);
COMMENT ON TABLE cz.cluster_owner IS 'the coordinator, as it saw itself when it became that: one row; a copy of it finds itself another';
COMMENT ON COLUMN cz.cluster_owner.cluster_id IS 'cluster whose decisions are in cz.transaction_log; another than in cz.cluster after a restore of a dump';
COMMENT ON COLUMN cz.cluster_owner.first_epoch IS 'from which epoch on they are';
COMMENT ON COLUMN cz.cluster_owner.system_identifier IS 'of the server, as in pg_control_system()';
COMMENT ON COLUMN cz.cluster_owner.database_oid IS 'of this database';
COMMENT ON COLUMN cz.cluster_owner.timeline IS 'of the server';
COMMENT ON COLUMN cz.cluster_owner.control_file IS 'file number of global/pg_control';
GRANT SELECT ON cz.cluster, cz.cluster_owner TO PUBLIC;
SELECT pg_extension_config_dump('cz.cluster', '');

CREATE FUNCTION cz.cluster_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_cluster_changed';
COMMENT ON FUNCTION cz.cluster_changed() IS 'makes backends look at the identity again; one row replaces the other';
REVOKE ALL ON FUNCTION cz.cluster_changed() FROM PUBLIC;
CREATE TRIGGER cluster_replaced BEFORE INSERT ON cz.cluster
    FOR EACH ROW EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_replaced ON cz.cluster IS 'a row that is inserted replaces the one that is there';
CREATE TRIGGER cluster_changed AFTER INSERT OR UPDATE OR DELETE ON cz.cluster
    FOR EACH STATEMENT EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_changed ON cz.cluster IS 'makes backends look at the identity again';
CREATE TRIGGER cluster_changed AFTER INSERT OR UPDATE OR DELETE ON cz.cluster_owner
    FOR EACH STATEMENT EXECUTE FUNCTION cz.cluster_changed();
COMMENT ON TRIGGER cluster_changed ON cz.cluster_owner IS 'makes backends look at the identity again';

CREATE FUNCTION cz_take_over(force boolean DEFAULT false) RETURNS int
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_take_over';
COMMENT ON FUNCTION cz_take_over(boolean)
    IS 'makes this copy of the coordinator, whose original is stopped for good, the coordinator; returns the epoch';
REVOKE ALL ON FUNCTION cz_take_over(boolean) FROM PUBLIC;

-- A parallel restore may fill cz.tables before cz.cluster, and go on with DDL between them.
CREATE FUNCTION cz.tables_restored() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'cz_tables_restored';
COMMENT ON FUNCTION cz.tables_restored() IS 'a database whose tables come from a dump is not the coordinator of their shards';
REVOKE ALL ON FUNCTION cz.tables_restored() FROM PUBLIC;
CREATE TRIGGER tables_restored AFTER INSERT ON cz.tables
    FOR EACH STATEMENT EXECUTE FUNCTION cz.tables_restored();
COMMENT ON TRIGGER tables_restored ON cz.tables IS 'a database whose tables come from a dump is not the coordinator of their shards';

INSERT INTO cz.cluster VALUES (gen_random_uuid(), 1);
SELECT cz_take_over();

-- A row exists from the commit of a transaction on several nodes until all of
-- them have finished it.  State of this server: not dumped.
CREATE TABLE cz.transaction_log (
    gid_prefix   text COLLATE "C" PRIMARY KEY,
    server_names text[] NOT NULL,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE cz.transaction_log IS 'decisions of two-phase commits that workers may still have to carry out';
COMMENT ON COLUMN cz.transaction_log.gid_prefix IS 'what the names of its prepared transactions begin with';
COMMENT ON COLUMN cz.transaction_log.server_names IS 'foreign servers that took part, and may have a part to finish';
COMMENT ON COLUMN cz.transaction_log.created_at IS 'when the coordinator committed, about';
REVOKE ALL ON TABLE cz.transaction_log FROM PUBLIC;

CREATE FUNCTION recover_prepared_transactions() RETURNS int
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'recover_prepared_transactions';
COMMENT ON FUNCTION recover_prepared_transactions() IS 'commit or roll back what crashes left prepared on workers; returns how many';
REVOKE ALL ON FUNCTION recover_prepared_transactions() FROM PUBLIC;

CREATE FUNCTION cz.replicate_row() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'cz_replicate_row';
COMMENT ON FUNCTION cz.replicate_row() IS 'row trigger that carries writes on a reference table to its copies';
REVOKE ALL ON FUNCTION cz.replicate_row() FROM PUBLIC;
-- What plans over fragments use.

CREATE FUNCTION cz.fragment_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cz_fragment_support';
COMMENT ON FUNCTION cz.fragment_support(internal) IS
    'internal: tells the planner how many rows fragments return';

CREATE FUNCTION cz.fragment(int) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SUPPORT cz.fragment_support
    AS 'MODULE_PATHNAME', 'cz_fragment';
COMMENT ON FUNCTION cz.fragment(int) IS
    'internal: stands for the rows of fragments while a query is planned';

CREATE FUNCTION cz.check_new_row(kind int, relation text, policy text, before boolean,
                                 passes boolean)
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'check_new_row';
COMMENT ON FUNCTION cz.check_new_row(int, text, text, boolean, boolean) IS
    'internal: raises an error if a new row does not pass WITH CHECK';

CREATE FUNCTION cz.cursor_row(cursor refcursor, relid oid) RETURNS tid
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cursor_row';
COMMENT ON FUNCTION cz.cursor_row(refcursor, oid) IS
    'internal: the row of a distributed table that a cursor stands on';

CREATE FUNCTION cz.cursor_value(cursor refcursor, relid oid, attno int, changes_key boolean,
                                type anyelement) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cursor_value';
COMMENT ON FUNCTION cz.cursor_value(refcursor, oid, int, boolean, anyelement) IS
    'internal: a column of the row of a distributed table that a cursor stands on';

CREATE FUNCTION cz.row_partition(root oid, marker oid, attnos int[], VARIADIC "any") RETURNS oid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'row_partition';
COMMENT ON FUNCTION cz.row_partition(oid, oid, int[], "any") IS
    'internal: tableoid of a row of a distributed partitioned table, by these columns; NULL if marker is';

CREATE FUNCTION cz.defer_trigger() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'defer_trigger';
COMMENT ON FUNCTION cz.defer_trigger() IS
    'internal: stands for the function of a deferrable trigger of a distributed table';
REVOKE ALL ON FUNCTION cz.defer_trigger() FROM PUBLIC;

CREATE FUNCTION cz.numeric_statistic(n numeric, sum_x numeric, sum_x2 numeric,
                                     is_sample boolean, is_stddev boolean)
    RETURNS numeric
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'numeric_statistic';
COMMENT ON FUNCTION cz.numeric_statistic(numeric, numeric, numeric, boolean, boolean) IS
    'internal: variance or standard deviation from count, sum and sum of squares';

CREATE AGGREGATE cz.float8_avg(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_avg, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_var_pop(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_pop, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_var_samp(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_variance(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev_pop(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_pop, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev_samp(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_samp, initcond = '{0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_avg(float8[]) IS 'internal: combines transition states of avg(float8)';
COMMENT ON AGGREGATE cz.float8_var_pop(float8[]) IS 'internal: combines transition states of var_pop(float8)';
COMMENT ON AGGREGATE cz.float8_var_samp(float8[]) IS 'internal: combines transition states of var_samp(float8)';
COMMENT ON AGGREGATE cz.float8_variance(float8[]) IS 'internal: combines transition states of variance(float8)';
COMMENT ON AGGREGATE cz.float8_stddev_pop(float8[]) IS 'internal: combines transition states of stddev_pop(float8)';
COMMENT ON AGGREGATE cz.float8_stddev_samp(float8[]) IS 'internal: combines transition states of stddev_samp(float8)';
COMMENT ON AGGREGATE cz.float8_stddev(float8[]) IS 'internal: combines transition states of stddev(float8)';
CREATE AGGREGATE cz.float8_corr(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_corr, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_corr(float8[]) IS 'internal: combines transition states of corr(float8, float8)';
CREATE AGGREGATE cz.float8_covar_pop(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_covar_pop, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_covar_pop(float8[]) IS 'internal: combines transition states of covar_pop(float8, float8)';
CREATE AGGREGATE cz.float8_covar_samp(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_covar_samp, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_covar_samp(float8[]) IS 'internal: combines transition states of covar_samp(float8, float8)';
CREATE AGGREGATE cz.float8_regr_avgx(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_avgx, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_avgx(float8[]) IS 'internal: combines transition states of regr_avgx(float8, float8)';
CREATE AGGREGATE cz.float8_regr_avgy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_avgy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_avgy(float8[]) IS 'internal: combines transition states of regr_avgy(float8, float8)';
CREATE AGGREGATE cz.float8_regr_intercept(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_intercept, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_intercept(float8[]) IS 'internal: combines transition states of regr_intercept(float8, float8)';
CREATE AGGREGATE cz.float8_regr_r2(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_r2, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_r2(float8[]) IS 'internal: combines transition states of regr_r2(float8, float8)';
CREATE AGGREGATE cz.float8_regr_slope(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_slope, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_slope(float8[]) IS 'internal: combines transition states of regr_slope(float8, float8)';
CREATE AGGREGATE cz.float8_regr_sxx(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_sxx, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_sxx(float8[]) IS 'internal: combines transition states of regr_sxx(float8, float8)';
CREATE AGGREGATE cz.float8_regr_sxy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_sxy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_sxy(float8[]) IS 'internal: combines transition states of regr_sxy(float8, float8)';
CREATE AGGREGATE cz.float8_regr_syy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_syy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_syy(float8[]) IS 'internal: combines transition states of regr_syy(float8, float8)';

-- Transition states of aggregates, sent by the workers and combined here.  Schema cz_partial
-- has, here and on the workers, aggregates that return the state of another one.
CREATE SCHEMA cz_partial;
COMMENT ON SCHEMA cz_partial IS 'aggregates that return transition states of others';
GRANT USAGE ON SCHEMA cz_partial TO PUBLIC;

-- Nobody can write a value of this type, so nobody can have a state of his making combined.
CREATE TYPE cz.aggregate_name;
CREATE FUNCTION cz.aggregate_name_in(cstring) RETURNS cz.aggregate_name
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'aggregate_name_in';
COMMENT ON FUNCTION cz.aggregate_name_in(cstring) IS 'internal: refuses';
CREATE FUNCTION cz.aggregate_name_out(cz.aggregate_name) RETURNS cstring
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'aggregate_name_out';
COMMENT ON FUNCTION cz.aggregate_name_out(cz.aggregate_name) IS 'internal: the aggregate''s name';
CREATE TYPE cz.aggregate_name (
    input = cz.aggregate_name_in, output = cz.aggregate_name_out,
    internallength = 4, passedbyvalue, alignment = int4);
COMMENT ON TYPE cz.aggregate_name IS 'internal: an aggregate whose states are combined';

CREATE FUNCTION cz.combine_step(internal, cz.aggregate_name, anyelement, anycompatible)
    RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'combine_step';
COMMENT ON FUNCTION cz.combine_step(internal, cz.aggregate_name, anyelement, anycompatible) IS
    'internal: adds a transition state';
CREATE FUNCTION cz.combine_final(internal, cz.aggregate_name, anyelement, anycompatible)
    RETURNS anycompatible
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'combine_final';
COMMENT ON FUNCTION cz.combine_final(internal, cz.aggregate_name, anyelement, anycompatible) IS
    'internal: finishes combined transition states';
CREATE AGGREGATE cz.combine(aggregate cz.aggregate_name, state anyelement, result anycompatible) (
    sfunc = cz.combine_step, stype = internal,
    finalfunc = cz.combine_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE cz.combine(cz.aggregate_name, anyelement, anycompatible) IS
    'internal: combines transition states of an aggregate';

-- One for each transition function; order of rows does not matter to these.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT DISTINCT tp.proname, a.aggtransfn, a.aggserialfn,
               pg_get_function_identity_arguments(a.aggfnoid) AS args
        FROM pg_aggregate a
        JOIN pg_proc tp ON tp.oid = a.aggtransfn
        JOIN pg_proc sp ON sp.oid = a.aggserialfn
        WHERE a.aggkind = 'n' AND a.agginitval IS NULL
            AND a.aggfnoid < 16384
            AND sp.proname IN ('numeric_serialize', 'numeric_poly_serialize')
        ORDER BY 1, 2
    LOOP
        EXECUTE format('CREATE AGGREGATE cz_partial.%I(%s) (sfunc = %s, stype = internal, finalfunc = %s, parallel = safe)',
                       r.proname, r.args, r.aggtransfn, r.aggserialfn);
        EXECUTE format('COMMENT ON AGGREGATE cz_partial.%I(%s) IS %L', r.proname, r.args,
                       'internal: returns the transition state of aggregates');
    END LOOP;
END
$$;

CREATE FUNCTION pg_catalog.cz_distribute_aggregate(aggregate regprocedure)
    RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_distribute_aggregate';
COMMENT ON FUNCTION pg_catalog.cz_distribute_aggregate(regprocedure) IS
    'lets the workers compute an aggregate of yours in part, with its functions created there';

-- Ordered-set aggregates over values with counts, sorted by ORDER BY of the call.
CREATE FUNCTION cz.weighted_step(internal, float8, anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_step';
CREATE FUNCTION cz.weighted_step(internal, float8[], anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_step';
CREATE FUNCTION cz.weighted_disc(internal, float8, anyelement, int8) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_disc';
CREATE FUNCTION cz.weighted_disc(internal, float8[], anyelement, int8) RETURNS anyarray
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_disc_array';
CREATE FUNCTION cz.weighted_cont(internal, float8, float8, int8) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont';
CREATE FUNCTION cz.weighted_cont(internal, float8, interval, int8) RETURNS interval
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont';
CREATE FUNCTION cz.weighted_cont(internal, float8[], float8, int8) RETURNS float8[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont_array';
CREATE FUNCTION cz.weighted_cont(internal, float8[], interval, int8) RETURNS interval[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont_array';
CREATE FUNCTION cz.weighted_mode_step(internal, anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_mode_step';
CREATE FUNCTION cz.weighted_mode(internal, anyelement, int8) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_mode';
COMMENT ON FUNCTION cz.weighted_step(internal, float8, anyelement, int8) IS 'internal: keeps values and counts';
COMMENT ON FUNCTION cz.weighted_step(internal, float8[], anyelement, int8) IS 'internal: keeps values and counts';
COMMENT ON FUNCTION cz.weighted_disc(internal, float8, anyelement, int8) IS 'internal: finishes percentile_disc';
COMMENT ON FUNCTION cz.weighted_disc(internal, float8[], anyelement, int8) IS 'internal: finishes percentile_disc';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8, float8, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8, interval, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8[], float8, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8[], interval, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_mode_step(internal, anyelement, int8) IS 'internal: counts equal values';
COMMENT ON FUNCTION cz.weighted_mode(internal, anyelement, int8) IS 'internal: finishes mode';
CREATE AGGREGATE cz.percentile_disc(fraction float8, value anyelement, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_disc, finalfunc_extra);
CREATE AGGREGATE cz.percentile_disc(fraction float8[], value anyelement, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_disc, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8, value float8, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8, value interval, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8[], value float8, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8[], value interval, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.mode(value anyelement, count int8) (
    sfunc = cz.weighted_mode_step, stype = internal, finalfunc = cz.weighted_mode, finalfunc_extra);
COMMENT ON AGGREGATE cz.percentile_disc(float8, anyelement, int8) IS 'internal: percentile_disc of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_disc(float8[], anyelement, int8) IS 'internal: percentile_disc of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8, float8, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8, interval, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8[], float8, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8[], interval, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.mode(anyelement, int8) IS 'internal: mode of values that come count times, in order';
-- The cluster's metadata in Citus' shapes and names.

CREATE FUNCTION cz.worker_list(OUT node_id int, OUT server_name name, OUT server_oid oid,
                               OUT nodename text, OUT nodeport int, OUT dbname text,
                               OUT zone text, OUT weight float8, OUT is_active boolean,
                               OUT should_have_shards boolean, OUT is_checked boolean,
                               OUT is_clone boolean, OUT primary_node_id int)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_worker_list';
COMMENT ON FUNCTION cz.worker_list() IS 'workers: the servers of cz_fdw';

CREATE FUNCTION cz.table_list(OUT relid regclass, OUT kind "char", OUT colocation_id int,
                              OUT shard_count int, OUT key_attno smallint, OUT key_name name,
                              OUT key_var text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_table_list';
COMMENT ON FUNCTION cz.table_list() IS 'distributed and reference tables';

CREATE FUNCTION cz.shard_list(OUT relid regclass, OUT shard_id bigint, OUT shard_index int,
                              OUT shard_relid regclass, OUT shard_name text,
                              OUT lower_bound text, OUT upper_bound text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_shard_list';
COMMENT ON FUNCTION cz.shard_list() IS 'shards, in the order of their bounds';

CREATE FUNCTION cz.placement_list(OUT placement_id bigint, OUT shard_id bigint,
                                  OUT "position" int, OUT server_oid oid, OUT shard_state int)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_placement_list';
COMMENT ON FUNCTION cz.placement_list() IS 'placements of shards; state 1 active, 3 not in use: its worker is disabled, it has missed writes, or it is to be compared after a crash';

CREATE FUNCTION pg_catalog.get_shard_id_for_distribution_column(
        table_name regclass, distribution_value "any" DEFAULT NULL)
    RETURNS bigint LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'get_shard_id_for_distribution_column';
COMMENT ON FUNCTION pg_catalog.get_shard_id_for_distribution_column(regclass, "any")
    IS 'id of the shard that holds a value of the distribution column';

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text)
    RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'column_to_column_name';
COMMENT ON FUNCTION pg_catalog.column_to_column_name(regclass, text)
    IS 'name of the column that pg_dist_partition.partkey means';

CREATE FUNCTION cz.shard_sizes(OUT shard_name text, OUT server_oid oid, OUT size_bytes bigint)
    RETURNS SETOF record LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_shard_sizes';
COMMENT ON FUNCTION cz.shard_sizes() IS 'sizes of the shards on the workers that answer';

CREATE FUNCTION pg_catalog.citus_table_size(logicalrelid regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_table_size';
COMMENT ON FUNCTION pg_catalog.citus_table_size(regclass)
    IS 'bytes of a distributed table on all workers, without indexes';

CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_relation_size';
COMMENT ON FUNCTION pg_catalog.citus_relation_size(regclass)
    IS 'bytes of the main fork of a distributed table on all workers';

CREATE FUNCTION pg_catalog.citus_total_relation_size(logicalrelid regclass,
        fail_on_error boolean DEFAULT true)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_total_relation_size';
COMMENT ON FUNCTION pg_catalog.citus_total_relation_size(regclass, boolean)
    IS 'bytes of a distributed table on all workers, with indexes';

-- Observed values of a column are for those only who may read the column.
CREATE FUNCTION cz.may_see_values(relid regclass, attno smallint) RETURNS boolean
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT pg_catalog.has_column_privilege(relid, attno, 'SELECT')
               AND NOT pg_catalog.row_security_active(relid);
    END;
COMMENT ON FUNCTION cz.may_see_values(regclass, smallint)
    IS 'whether the current role may see values of a column in statistics';

CREATE VIEW cz.pg_dist_node AS
SELECT node_id AS nodeid,
       node_id AS groupid,
       nodename,
       nodeport,
       coalesce(zone, 'default') AS noderack,
       false AS hasmetadata,
       is_active AS isactive,
       CASE WHEN is_clone THEN 'unavailable' ELSE 'primary' END::noderole AS noderole,
       'default'::name AS nodecluster,
       false AS metadatasynced,
       should_have_shards AS shouldhaveshards,
       is_clone AS nodeisclone,
       coalesce(primary_node_id, 0) AS nodeprimarynodeid
  FROM cz.worker_list();
COMMENT ON VIEW cz.pg_dist_node IS 'workers, and standbys of them that are to become workers (nodeisclone)';

CREATE VIEW cz.pg_dist_colocation AS
SELECT colocation_id AS colocationid,
       shard_count AS shardcount,
       replication_factor AS replicationfactor,
       key_type::oid AS distributioncolumntype,
       coalesce(to_regcollation(nullif(key_collation, ''))::oid, 0::oid) AS distributioncolumncollation
  FROM cz.colocation;
COMMENT ON VIEW cz.pg_dist_colocation IS 'colocation groups';

CREATE VIEW cz.pg_dist_partition AS
SELECT t.relid AS logicalrelid,
       CASE WHEN t.kind = 's' THEN 'n' WHEN x.is_append THEN 'a' ELSE t.kind END::"char" AS partmethod,
       t.key_var AS partkey,
       t.colocation_id AS colocationid,
       CASE WHEN t.kind = 'n' THEN 't'
            WHEN c.replication_factor > 1 THEN 'c'
            ELSE 's' END::"char" AS repmodel,
       false AS autoconverted
  FROM cz.table_list() t LEFT JOIN cz.colocation c USING (colocation_id)
       LEFT JOIN cz.tables x ON x.relid = t.relid;
COMMENT ON VIEW cz.pg_dist_partition IS 'distributed (h, r, a), single-shard (n, repmodel c or s) and reference tables (n, repmodel t)';

CREATE VIEW cz.pg_dist_shard AS
SELECT s.relid AS logicalrelid,
       s.shard_id AS shardid,
       't'::"char" AS shardstorage,
       coalesce(v.min_value, s.lower_bound) AS shardminvalue,
       coalesce(v.max_value, s.upper_bound) AS shardmaxvalue
  FROM cz.shard_list() s
       JOIN cz.table_list() t ON t.relid = s.relid
       LEFT JOIN cz.shard_statistics v
            ON v.shard_id = s.shard_id AND t.kind IN ('h', 'r')
               AND cz.may_see_values(t.relid, t.key_attno)
UNION ALL
SELECT relid, shard_id, 't', NULL, NULL FROM cz.pending_shards;
COMMENT ON VIEW cz.pg_dist_shard IS
    'shards; shardminvalue and shardmaxvalue are the least and the greatest key that an append or '
    'citus_update_table_statistics saw, before that the bounds of range shards (the upper one is excluded)';

CREATE VIEW cz.cz_shard_ranges AS
SELECT s.relid AS table_name,
       s.shard_id AS shardid,
       s.lower_bound,
       s.upper_bound,
       CASE WHEN may.see THEN v.min_value END AS min_value,
       CASE WHEN may.see THEN v.max_value END AS max_value,
       v.row_count,
       v.size_bytes,
       v.updated_at,
       e.shard_id IS NOT NULL AS sealed
  FROM cz.shard_list() s
       JOIN cz.table_list() t ON t.relid = s.relid
       LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
       LEFT JOIN cz.sealed_shards e ON e.shard_id = s.shard_id
       CROSS JOIN LATERAL (SELECT cz.may_see_values(t.relid, t.key_attno) AS see) may
 WHERE t.kind IN ('h', 'r') AND t.relid IN (SELECT relid FROM cz.tables)
 ORDER BY s.relid::text, s.shard_index;
COMMENT ON VIEW cz.cz_shard_ranges IS
    'shards with their bounds (upper_bound is excluded, NULL is open) and the least and greatest key, the rows and the bytes that an append or citus_update_table_statistics saw';

CREATE VIEW cz.pg_dist_placement AS
SELECT p.placement_id AS placementid,
       p.shard_id AS shardid,
       p.shard_state AS shardstate,
       coalesce(v.size_bytes, 0) AS shardlength,
       w.node_id AS groupid
  FROM cz.placement_list() p
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id;
COMMENT ON VIEW cz.pg_dist_placement IS
    'placements of shards; shardlength is the size that citus_update_table_statistics saw';

CREATE VIEW cz.pg_dist_shard_placement AS
SELECT p.shard_id AS shardid,
       p.shard_state AS shardstate,
       coalesce(v.size_bytes, 0) AS shardlength,
       w.nodename,
       w.nodeport,
       p.placement_id AS placementid
  FROM cz.placement_list() p
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id;
COMMENT ON VIEW cz.pg_dist_shard_placement IS
    'placements of shards with the worker''s name and port';

CREATE VIEW cz.citus_tables AS
WITH sizes AS MATERIALIZED (
    SELECT s.relid, sum(coalesce(z.size_bytes, v.size_bytes, 0)) AS bytes
      FROM cz.shard_list() s
           JOIN cz.placement_list() p ON p.shard_id = s.shard_id
           LEFT JOIN cz.shard_sizes() z
                ON z.shard_name = s.shard_name AND z.server_oid = p.server_oid
           LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
     GROUP BY s.relid)
SELECT t.relid AS table_name,
       CASE WHEN t.kind = 'n' THEN 'reference'
            WHEN EXISTS (SELECT FROM cz.tenant_schemas s WHERE s.colocation_id = t.colocation_id) THEN 'schema'
            ELSE 'distributed' END AS citus_table_type,
       coalesce(t.key_name::text, '<none>') AS distribution_column,
       t.colocation_id,
       pg_size_pretty(coalesce(z.bytes, 0)) AS table_size,
       t.shard_count::bigint AS shard_count,
       pg_get_userbyid(c.relowner) AS table_owner,
       coalesce(a.amname, 'heap'::name) AS access_method
  FROM cz.table_list() t
       JOIN pg_class c ON c.oid = t.relid
       LEFT JOIN pg_am a ON a.oid = c.relam
       LEFT JOIN sizes z ON z.relid = t.relid
 ORDER BY t.relid::text;
COMMENT ON VIEW cz.citus_tables IS
    'distributed and reference tables; table_size is that of all placements';

CREATE VIEW cz.citus_shards AS
SELECT s.relid AS table_name,
       s.shard_id AS shardid,
       s.shard_name,
       CASE WHEN t.kind = 'n' THEN 'reference'
            WHEN EXISTS (SELECT FROM cz.tenant_schemas x WHERE x.colocation_id = t.colocation_id) THEN 'schema'
            ELSE 'distributed' END AS citus_table_type,
       t.colocation_id,
       w.nodename,
       w.nodeport,
       coalesce(z.size_bytes, v.size_bytes, 0) AS shard_size
  FROM cz.shard_list() s
       JOIN cz.table_list() t ON t.relid = s.relid
       JOIN cz.placement_list() p USING (shard_id)
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_sizes() z
            ON z.shard_name = s.shard_name AND z.server_oid = p.server_oid
       LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
 ORDER BY s.relid::text, s.shard_id, p.placement_id;
COMMENT ON VIEW cz.citus_shards IS
    'placements of shards by table, with their sizes';

CREATE VIEW cz.pg_dist_schema AS
SELECT n.oid AS schemaid, t.colocation_id AS colocationid
  FROM cz.tenant_schemas t JOIN pg_namespace n ON n.nspname = t.schema_name;
COMMENT ON VIEW cz.pg_dist_schema IS 'schemas that are tenants';

CREATE VIEW cz.citus_schemas AS
WITH sizes AS MATERIALIZED (
    SELECT t.colocation_id, sum(coalesce(z.size_bytes, v.size_bytes, 0)) AS bytes
      FROM cz.table_list() t
           JOIN cz.shard_list() s ON s.relid = t.relid
           JOIN cz.placement_list() p ON p.shard_id = s.shard_id
           LEFT JOIN cz.shard_sizes() z
                ON z.shard_name = s.shard_name AND z.server_oid = p.server_oid
           LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
     WHERE t.kind = 's'
     GROUP BY t.colocation_id)
SELECT n.oid::regnamespace AS schema_name,
       t.colocation_id,
       CASE WHEN has_schema_privilege(n.oid, 'USAGE')
            THEN pg_size_pretty(coalesce(z.bytes, 0)) END AS schema_size,
       pg_get_userbyid(n.nspowner) AS schema_owner
  FROM cz.tenant_schemas t
       JOIN pg_namespace n ON n.nspname = t.schema_name
       LEFT JOIN sizes z ON z.colocation_id = t.colocation_id
 ORDER BY n.nspname;
COMMENT ON VIEW cz.citus_schemas IS
    'schemas that are tenants; schema_size is that of all placements of their tables';

GRANT SELECT ON cz.pg_dist_schema, cz.citus_schemas, cz.pg_dist_node, cz.pg_dist_colocation, cz.pg_dist_partition, cz.pg_dist_shard, cz.cz_shard_ranges,
    cz.pg_dist_placement, cz.pg_dist_shard_placement, cz.citus_tables, cz.citus_shards TO PUBLIC;

ALTER VIEW cz.pg_dist_schema SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_schemas SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_node SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_colocation SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_partition SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_shard SET SCHEMA pg_catalog;
ALTER VIEW cz.cz_shard_ranges SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_placement SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_shard_placement SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_tables SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_shards SET SCHEMA pg_catalog;
-- Partitions by time, under Citus' names, of distributed partitioned tables and of ordinary
-- ones: tables that are partitioned by the range of one column.

CREATE FUNCTION cz.bound_value(bound text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN bound IN ('MINVALUE', 'MAXVALUE') THEN NULL
            WHEN bound LIKE '''%''' THEN replace(substr(bound, 2, length(bound) - 2), '''''', '''')
            ELSE bound END
$$;
COMMENT ON FUNCTION cz.bound_value(text) IS 'value of a bound as pg_get_expr() prints it; NULL: there is none';

CREATE FUNCTION pg_catalog.time_partition_range(table_name regclass,
        OUT lower_bound text, OUT upper_bound text)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    parts text[];
BEGIN
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.*)\) TO \((.*)\)$')
      INTO parts
      FROM pg_class c
           JOIN pg_inherits i ON i.inhrelid = c.oid
           JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
     WHERE c.oid = table_name AND c.relispartition AND p.partstrat = 'r' AND p.partnatts = 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('"%s" is not a partition of a table that is partitioned by the range of one column', table_name);
    END IF;
    lower_bound := cz.bound_value(parts[1]);
    upper_bound := cz.bound_value(parts[2]);
END
$$;
COMMENT ON FUNCTION pg_catalog.time_partition_range(regclass)
    IS 'bounds of a partition by range; NULL where it is open, and of the default partition';

CREATE VIEW cz.time_partitions AS
SELECT p.partrelid::regclass AS parent_table,
       a.attname AS partition_column,
       c.oid::regclass AS partition,
       r.lower_bound AS from_value,
       r.upper_bound AS to_value,
       coalesce(m.amname, 'heap'::name) AS access_method
  FROM pg_partitioned_table p
       JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
       JOIN pg_inherits i ON i.inhparent = p.partrelid
       JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
       LEFT JOIN pg_am m ON m.oid = c.relam
       CROSS JOIN LATERAL pg_catalog.time_partition_range(c.oid) r
 WHERE p.partstrat = 'r' AND p.partnatts = 1
   -- shards by range are no partitions of the user's
   AND NOT EXISTS (SELECT FROM cz.tables t WHERE t.relid = p.partrelid AND t.map_relid IS NULL);
COMMENT ON VIEW cz.time_partitions IS 'partitions of tables that are partitioned by the range of one column';
GRANT SELECT ON cz.time_partitions TO PUBLIC;
ALTER VIEW cz.time_partitions SET SCHEMA pg_catalog;

CREATE FUNCTION cz.time_column_type(table_name regclass) RETURNS regtype
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type regtype;
BEGIN
    SELECT a.atttypid INTO type
      FROM pg_partitioned_table p
           JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partrelid = table_name AND p.partstrat = 'r' AND p.partnatts = 1;
    IF NOT FOUND OR EXISTS (SELECT FROM cz.tables t WHERE t.relid = table_name AND t.map_relid IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('"%s" is not partitioned by the range of one column', table_name);
    END IF;
    IF type NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN
        RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
            MESSAGE = format('"%s" is partitioned by a column of type %s', table_name, type),
            DETAIL = 'Partitions are made for columns of type date, timestamp and timestamp with time zone.';
    END IF;
    RETURN type;
END
$$;
COMMENT ON FUNCTION cz.time_column_type(regclass)
    IS 'type of the column that a table is partitioned by, if it is a time; else an error';

-- What a value is on the clock of this session's time zone, by which ranges begin and end.
CREATE FUNCTION cz.local_time(value text, type regtype) RETURNS timestamp
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN type = 'timestamptz'::regtype THEN value::timestamptz::timestamp
            ELSE value::timestamp END
$$;
COMMENT ON FUNCTION cz.local_time(text, regtype) IS 'a time of that type by the clock of the session''s time zone';

-- The least time from which on ranges of an interval are counted that has a range with this
-- time in it: whole years, quarters, months, weeks, days, else multiples since midnight.
CREATE FUNCTION cz.first_range_start(partition_interval interval, value timestamp) RETURNS timestamp
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
SELECT CASE WHEN partition_interval >= '1 year' THEN date_trunc('year', value)
            WHEN partition_interval = '3 months' THEN date_trunc('quarter', value)
            WHEN partition_interval >= '1 month' THEN date_trunc('month', value)
            WHEN partition_interval = '7 days' THEN date_trunc('week', value)
            WHEN partition_interval >= '1 day' THEN date_trunc('day', value)
            ELSE date_bin(partition_interval, value, date_trunc('day', value)) END
$$;
COMMENT ON FUNCTION cz.first_range_start(interval, timestamp) IS 'where the range of a first partition begins that holds a time';

CREATE FUNCTION pg_catalog.get_missing_time_partition_ranges(table_name regclass,
        partition_interval interval, to_value timestamptz, from_value timestamptz DEFAULT now())
    RETURNS TABLE (partition_name text, range_from_value text, range_to_value text)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    type CONSTANT regtype := cz.time_column_type(table_name);
    base text;
    form text;
    names regclass[];
    lowers timestamp[];
    uppers timestamp[];
    start timestamp;
    lower timestamp;
    upper timestamp;
    n int := 0;
    other regclass;
BEGIN
    IF partition_interval <= '0' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'partition_interval must be more than zero';
    END IF;
    IF type = 'date'::regtype AND date_trunc('day', partition_interval) <> partition_interval THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('"%s" is partitioned by a date: partition_interval must be whole days', table_name);
    END IF;
    SELECT relname INTO base FROM pg_class WHERE oid = table_name;
    form := CASE WHEN partition_interval = '3 months' THEN 'YYYY"q"Q'
                 WHEN partition_interval = '7 days' THEN 'IYYY"w"IW'
                 ELSE 'YYYY' || CASE WHEN partition_interval < '1 year' THEN '_MM' ELSE '' END
                             || CASE WHEN partition_interval < '1 month' THEN '_DD' ELSE '' END
                             || CASE WHEN partition_interval < '1 day' THEN '_HH24MI' ELSE '' END
                             || CASE WHEN partition_interval < '1 minute' THEN 'SS' ELSE '' END END;
    SELECT array_agg(p.partition), array_agg(cz.local_time(p.from_value, type)),
           array_agg(cz.local_time(p.to_value, type))
      INTO names, lowers, uppers
      FROM time_partitions p
     WHERE p.parent_table = table_name AND (p.from_value IS NOT NULL OR p.to_value IS NOT NULL);

    -- ranges go on where those begin that are there
    SELECT min(p.l) INTO start FROM unnest(lowers, uppers) p(l, u) WHERE p.l IS NOT NULL AND p.u IS NOT NULL;
    IF start IS NULL THEN
        start := cz.first_range_start(partition_interval, from_value::timestamp);
    END IF;
    WHILE start + (n + 1) * partition_interval <= from_value::timestamp LOOP
        n := n + 1;
    END LOOP;
    WHILE start + n * partition_interval > from_value::timestamp LOOP
        n := n - 1;
    END LOOP;
    LOOP
        lower := start + n * partition_interval;
        upper := start + (n + 1) * partition_interval;
        n := n + 1;
        EXIT WHEN lower >= to_value::timestamp;
        CONTINUE WHEN EXISTS (SELECT FROM unnest(lowers, uppers) p(l, u) WHERE p.l = lower AND p.u = upper);
        -- an hour that the clock leaves out
        CONTINUE WHEN type = 'timestamptz'::regtype AND lower::timestamptz >= upper::timestamptz;
        SELECT p.n INTO other FROM unnest(names, lowers, uppers) p(n, l, u)
         WHERE coalesce(p.l, '-infinity') < upper AND coalesce(p.u, 'infinity') > lower LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('range from %s to %s overlaps that of partition "%s"', lower, upper, other),
                HINT = 'Use the interval of the partitions that are there.';
        END IF;
        partition_name := base || '_p' || to_char(lower, form);
        IF octet_length(partition_name) > 63 THEN
            RAISE EXCEPTION USING ERRCODE = 'name_too_long',
                MESSAGE = format('name of partition "%s" is too long', partition_name);
        END IF;
        range_from_value := CASE type WHEN 'date'::regtype THEN lower::date::text
            WHEN 'timestamp'::regtype THEN lower::text ELSE lower::timestamptz::text END;
        range_to_value := CASE type WHEN 'date'::regtype THEN upper::date::text
            WHEN 'timestamp'::regtype THEN upper::text ELSE upper::timestamptz::text END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pg_catalog.get_missing_time_partition_ranges(regclass, interval, timestamptz, timestamptz)
    IS 'names and ranges of the partitions that a table lacks between two times';

CREATE FUNCTION pg_catalog.create_time_partitions(table_name regclass,
        partition_interval interval, end_at timestamptz, start_from timestamptz DEFAULT now())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    parent record;
    missing record;
    made boolean := false;
BEGIN
    SELECT n.nspname, c.relname INTO parent
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = table_name;
    FOR missing IN
        SELECT * FROM get_missing_time_partition_ranges(table_name, partition_interval, end_at, start_from)
    LOOP
        EXECUTE format('CREATE TABLE %I.%I PARTITION OF %I.%I FOR VALUES FROM (%L) TO (%L)',
                       parent.nspname, missing.partition_name, parent.nspname, parent.relname,
                       missing.range_from_value, missing.range_to_value);
        made := true;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION pg_catalog.create_time_partitions(regclass, interval, timestamptz, timestamptz)
    IS 'makes the partitions that a table lacks between two times; true if there were any';

CREATE PROCEDURE pg_catalog.drop_old_time_partitions(table_name regclass, older_than timestamptz)
    LANGUAGE plpgsql
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type CONSTANT regtype := cz.time_column_type(table_name);
    old record;
BEGIN
    FOR old IN
        SELECT n.nspname, c.relname, p.from_value, p.to_value
          FROM time_partitions p
               JOIN pg_class c ON c.oid = p.partition
               JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.parent_table = table_name
           AND cz.local_time(p.to_value, type) <= older_than::timestamp
         ORDER BY cz.local_time(p.to_value, type)
    LOOP
        RAISE NOTICE 'dropping partition % with the range from % to %', format('%I.%I', old.nspname, old.relname),
            coalesce(old.from_value, 'MINVALUE'), old.to_value;
        EXECUTE format('DROP TABLE %I.%I', old.nspname, old.relname);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pg_catalog.drop_old_time_partitions(regclass, timestamptz)
    IS 'drops the partitions whose ranges end at a time or before';

CREATE PROCEDURE pg_catalog.alter_old_partitions_set_access_method(parent_table_name regclass,
        older_than timestamptz, new_access_method name)
    LANGUAGE plpgsql
    SET search_path TO pg_catalog, pg_temp
    AS $$
DECLARE
    type CONSTANT regtype := cz.time_column_type(parent_table_name);
    old record;
BEGIN
    FOR old IN
        SELECT n.nspname, c.relname
          FROM time_partitions p
               JOIN pg_class c ON c.oid = p.partition
               JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.parent_table = parent_table_name
           AND p.access_method <> new_access_method
           AND cz.local_time(p.to_value, type) <= older_than::timestamp
         ORDER BY cz.local_time(p.to_value, type)
    LOOP
        EXECUTE format('ALTER TABLE %I.%I SET ACCESS METHOD %I', old.nspname, old.relname, new_access_method);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pg_catalog.alter_old_partitions_set_access_method(regclass, timestamptz, name)
    IS 'gives the partitions whose ranges end at a time or before another access method; those of distributed tables have heap';
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
              FROM cz.placement_list() WHERE shard_state = 1 ORDER BY shard_id, "position"),
        s AS MATERIALIZED (
            SELECT l.shard_id, p.server_oid,
                   format(run_command_on_shards.command, l.shard_name) AS text,
                   row_number() OVER (ORDER BY l.shard_index) AS ordinal
              FROM cz.shard_list() l LEFT JOIN p USING (shard_id)
             WHERE l.relid = (SELECT cz.distributed_table(run_command_on_shards.table_name)))
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
            SELECT l.shard_id, p.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_placements.command, l.shard_name) AS text,
                   row_number() OVER (ORDER BY l.shard_index, p."position") AS ordinal
              FROM cz.shard_list() l JOIN cz.placement_list() p USING (shard_id)
                   JOIN cz.worker_list() w USING (server_oid)
             WHERE l.relid = (SELECT cz.distributed_table(run_command_on_placements.table_name))
               AND p.shard_state = 1)
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
            SELECT l1.shard_id AS id1, l2.shard_id AS id2, p1.server_oid, w.nodename, w.nodeport,
                   format(run_command_on_colocated_placements.command, l1.shard_name, l2.shard_name) AS text,
                   row_number() OVER (ORDER BY l1.shard_index, p1."position") AS ordinal
              FROM cz.shard_list() l1 JOIN cz.placement_list() p1 USING (shard_id)
                   JOIN cz.worker_list() w USING (server_oid)
                   JOIN cz.shard_list() l2 ON l2.shard_index = l1.shard_index
                   JOIN cz.placement_list() p2 ON p2.shard_id = l2.shard_id AND p2.server_oid = p1.server_oid
             WHERE l1.relid = (SELECT cz.distributed_table(run_command_on_colocated_placements.table_name1))
               AND l2.relid = (SELECT cz.colocated_table(run_command_on_colocated_placements.table_name1,
                                                         run_command_on_colocated_placements.table_name2))
               AND p1.shard_state = 1 AND p2.shard_state = 1)
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
-- How shards are spread over the nodes, and what moves them.

CREATE FUNCTION pg_catalog.citus_shard_cost_1(bigint) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_cost_1';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_1(bigint)
    IS 'cost of a shard for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint) RETURNS float4
    LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'citus_shard_cost_by_disk_size';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint)
    IS 'cost of a shard for rebalance strategies: bytes of it and of the shards that are colocated with it';
CREATE FUNCTION pg_catalog.citus_node_capacity_1(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_node_capacity_1';
COMMENT ON FUNCTION pg_catalog.citus_node_capacity_1(int)
    IS 'capacity of a node for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.cz_node_capacity_by_weight(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'cz_node_capacity_by_weight';
COMMENT ON FUNCTION pg_catalog.cz_node_capacity_by_weight(int)
    IS 'capacity of a node for rebalance strategies: its server''s option weight';
CREATE FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int) RETURNS boolean
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_allowed_on_node_true';
COMMENT ON FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int)
    IS 'for rebalance strategies: every shard may be on every node';

-- Functions by their text, as pg_upgrade wants it.
CREATE TABLE cz.rebalance_strategy (
    name name PRIMARY KEY,
    shard_cost_function text NOT NULL,
    node_capacity_function text NOT NULL,
    shard_allowed_on_node_function text NOT NULL,
    default_threshold float4 NOT NULL CHECK (default_threshold >= 0),
    minimum_threshold float4 NOT NULL CHECK (minimum_threshold >= 0),
    improvement_threshold float4 NOT NULL CHECK (improvement_threshold >= 0),
    CHECK (default_threshold >= minimum_threshold)
);
COMMENT ON TABLE cz.rebalance_strategy IS 'rebalance strategies that have been added';
COMMENT ON COLUMN cz.rebalance_strategy.shard_cost_function IS 'function with its arguments';

CREATE TABLE cz.default_rebalance_strategy (name name NOT NULL);
CREATE UNIQUE INDEX default_rebalance_strategy_key ON cz.default_rebalance_strategy ((true));
COMMENT ON TABLE cz.default_rebalance_strategy IS 'the strategy that is used if none is named; one row, or none: by_disk_size';

SELECT pg_extension_config_dump('cz.rebalance_strategy', '');
SELECT pg_extension_config_dump('cz.default_rebalance_strategy', '');

CREATE VIEW cz.pg_dist_rebalance_strategy AS
SELECT s.name,
       s.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size') AS default_strategy,
       s.shard_cost_function, s.node_capacity_function, s.shard_allowed_on_node_function,
       s.default_threshold, s.minimum_threshold, s.improvement_threshold
  FROM (VALUES ('by_shard_count'::name,
                'pg_catalog.citus_shard_cost_1(bigint)'::regprocedure,
                'pg_catalog.cz_node_capacity_by_weight(int)'::regprocedure,
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)'::regprocedure,
                0::float4, 0::float4, 0::float4),
               ('by_disk_size',
                'pg_catalog.citus_shard_cost_by_disk_size(bigint)',
                'pg_catalog.cz_node_capacity_by_weight(int)',
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)',
                0.1, 0.01, 0.5)) s(name, shard_cost_function, node_capacity_function,
                                   shard_allowed_on_node_function, default_threshold,
                                   minimum_threshold, improvement_threshold)
UNION ALL
SELECT r.name,
       r.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size'),
       to_regprocedure(r.shard_cost_function), to_regprocedure(r.node_capacity_function),
       to_regprocedure(r.shard_allowed_on_node_function),
       r.default_threshold, r.minimum_threshold, r.improvement_threshold
  FROM cz.rebalance_strategy r;
COMMENT ON VIEW cz.pg_dist_rebalance_strategy IS 'ways to spread shards over the nodes';
GRANT SELECT ON cz.rebalance_strategy, cz.default_rebalance_strategy, cz.pg_dist_rebalance_strategy TO PUBLIC;
ALTER VIEW cz.pg_dist_rebalance_strategy SET SCHEMA pg_catalog;

-- The text of a function that takes and returns what it must; an error if it does not.
CREATE FUNCTION cz.strategy_function(function regproc, arguments regtype[], result regtype) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.oid::regprocedure::text AS text, p.prorettype, ARRAY(SELECT t FROM unnest(p.proargtypes) WITH ORDINALITY u(t, n) ORDER BY n) AS types
      INTO found FROM pg_proc p WHERE p.oid = function::oid;
    IF found.types IS NULL OR found.types <> arguments::oid[] OR found.prorettype <> result THEN
        RAISE EXCEPTION 'function "%" does not fit a rebalance strategy', function
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It must take (%s) and return %s.', array_to_string(arguments, ', '), result);
    END IF;
    RETURN found.text;
END
$$;
COMMENT ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) IS 'a function with its arguments, if it has these';
REVOKE ALL ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_add_rebalance_strategy(name name, shard_cost_function regproc,
        node_capacity_function regproc, shard_allowed_on_node_function regproc,
        default_threshold float4, minimum_threshold float4 DEFAULT 0,
        improvement_threshold float4 DEFAULT 0) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_add_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" already exists', name USING ERRCODE = 'duplicate_object';
    END IF;
    IF default_threshold < minimum_threshold THEN
        RAISE EXCEPTION 'default_threshold must not be less than minimum_threshold' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO cz.rebalance_strategy
    VALUES (name,
            cz.strategy_function(shard_cost_function, '{bigint}', 'real'),
            cz.strategy_function(node_capacity_function, '{int}', 'real'),
            cz.strategy_function(shard_allowed_on_node_function, '{bigint,int}', 'boolean'),
            default_threshold, minimum_threshold, improvement_threshold);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4)
    IS 'adds a way to spread shards over the nodes';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_set_default_rebalance_strategy(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_set_default_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" does not exist', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE cz.default_rebalance_strategy IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM cz.default_rebalance_strategy;
    INSERT INTO cz.default_rebalance_strategy VALUES (name);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text)
    IS 'sets the strategy that is used if none is named';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.get_rebalance_table_shards_plan(relation regclass DEFAULT NULL,
        threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}', drain_only boolean DEFAULT false,
        rebalance_strategy name DEFAULT NULL, improvement_threshold float4 DEFAULT NULL,
        OUT table_name regclass, OUT shardid bigint, OUT shard_size bigint, OUT sourcename text,
        OUT sourceport int, OUT targetname text, OUT targetport int)
    RETURNS SETOF record LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'get_rebalance_table_shards_plan';
COMMENT ON FUNCTION pg_catalog.get_rebalance_table_shards_plan(regclass, float4, int, bigint[], boolean, name, float4)
    IS 'moves that rebalance_table_shards() would make';

CREATE FUNCTION pg_catalog.rebalance_table_shards(relation regclass DEFAULT NULL,
        threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}',
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        drain_only boolean DEFAULT false, rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rebalance_table_shards';
COMMENT ON FUNCTION pg_catalog.rebalance_table_shards(regclass, float4, int, bigint[], citus.shard_transfer_mode, boolean, name)
    IS 'moves shards so that all nodes are equally full';

CREATE FUNCTION pg_catalog.replicate_table_shards(relation regclass DEFAULT NULL,
        shard_replication_factor int DEFAULT NULL, max_shard_copies int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}',
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'replicate_table_shards';
COMMENT ON FUNCTION pg_catalog.replicate_table_shards(regclass, int, int, bigint[], citus.shard_transfer_mode)
    IS 'makes placements that are missing';

CREATE FUNCTION pg_catalog.citus_drain_node(nodename text, nodeport int,
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_drain_node';
COMMENT ON FUNCTION pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'moves all shards away from a node';
REVOKE ALL ON FUNCTION pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name) FROM PUBLIC;
CREATE FUNCTION pg_catalog.master_drain_node(nodename text, nodeport int,
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_drain_node';
COMMENT ON FUNCTION pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'old name of citus_drain_node';
REVOKE ALL ON FUNCTION pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name) FROM PUBLIC;

-- Jobs.
CREATE TYPE pg_catalog.citus_job_status AS ENUM ('scheduled', 'running', 'finished', 'cancelling',
    'cancelled', 'failing', 'failed');
COMMENT ON TYPE pg_catalog.citus_job_status IS 'state of a job';
CREATE TYPE pg_catalog.citus_task_status AS ENUM ('blocked', 'runnable', 'running', 'done',
    'cancelling', 'error', 'unscheduled', 'cancelled');
COMMENT ON TYPE pg_catalog.citus_task_status IS 'state of a task of a job';

-- State of what is on its way: not dumped.
CREATE TABLE cz.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state pg_catalog.citus_job_status NOT NULL DEFAULT 'scheduled',
    job_type name NOT NULL,
    description text NOT NULL,
    user_name name NOT NULL,
    mode text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
COMMENT ON TABLE cz.job IS 'moves and copies of shards that background workers carry out, those that are over too';
COMMENT ON COLUMN cz.job.user_name IS 'who has made it';
COMMENT ON COLUMN cz.job.mode IS 'shard_transfer_mode';
CREATE TABLE cz.task (
    task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES cz.job ON DELETE CASCADE,
    status pg_catalog.citus_task_status NOT NULL DEFAULT 'runnable',
    operation text NOT NULL CHECK (operation IN ('move', 'copy')),
    relid oid NOT NULL,
    shard_index int NOT NULL,
    shard_id bigint NOT NULL,
    source_name name,
    target_name name NOT NULL,
    move_id bigint,
    retry_count int NOT NULL DEFAULT 0,
    not_before timestamptz,
    message text
);
CREATE INDEX task_job_id_idx ON cz.task (job_id);
COMMENT ON TABLE cz.task IS 'what jobs have to do';
COMMENT ON COLUMN cz.task.relid IS 'a table of the colocation group';
COMMENT ON COLUMN cz.task.shard_index IS 'number of the shard in each of its tables';
COMMENT ON COLUMN cz.task.source_name IS 'node whose placement leaves; NULL: one more is made';
COMMENT ON COLUMN cz.task.move_id IS 'in cz.move, since it has been started';
COMMENT ON COLUMN cz.task.not_before IS 'when it is repeated after an error';
GRANT SELECT ON cz.job, cz.task TO PUBLIC;

CREATE FUNCTION pg_catalog.citus_rebalance_start(rebalance_strategy name DEFAULT NULL,
        drain_only boolean DEFAULT false, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        parallel_transfer_reference_tables boolean DEFAULT false,
        parallel_transfer_colocated_shards boolean DEFAULT false)
    RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_rebalance_start';
COMMENT ON FUNCTION pg_catalog.citus_rebalance_start(name, boolean, citus.shard_transfer_mode, boolean, boolean)
    IS 'has background workers move shards so that all nodes are equally full; returns the job''s number';

CREATE FUNCTION pg_catalog.citus_job_list(OUT job_id bigint, OUT state citus_job_status,
        OUT job_type name, OUT description text, OUT started_at timestamptz,
        OUT finished_at timestamptz)
    RETURNS SETOF record LANGUAGE sql STABLE
    SET search_path TO pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT j.job_id, j.state, j.job_type, j.description, j.started_at, j.finished_at
          FROM cz.job j ORDER BY j.job_id;
    END;
COMMENT ON FUNCTION pg_catalog.citus_job_list() IS 'jobs, those that are over too';

CREATE FUNCTION pg_catalog.citus_job_status(job_id bigint, "raw" boolean DEFAULT false,
        OUT job_id bigint, OUT state citus_job_status, OUT job_type name, OUT description text,
        OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record LANGUAGE sql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
    AS $$
        SELECT j.job_id, j.state, j.job_type, j.description, j.started_at, j.finished_at,
               jsonb_build_object(
                   'task_state_counts',
                   (SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
                      FROM (SELECT t.status, count(*) AS n FROM cz.task t WHERE t.job_id = j.job_id GROUP BY 1) c),
                   'tasks',
                   (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                               'task_id', t.task_id, 'state', t.status, 'operation', t.operation,
                               'shard_id', t.shard_id, 'source', t.source_name, 'target', t.target_name,
                               'retried', nullif(t.retry_count, 0), 'message', t.message,
                               'phase', m.phase, 'bytes_done', m.bytes_done, 'bytes_total', m.bytes_total))
                               ORDER BY t.task_id), '[]')
                      FROM cz.task t LEFT JOIN cz.move m ON m.move_id = t.move_id
                     WHERE t.job_id = j.job_id
                           AND ($2 OR t.status NOT IN ('done', 'cancelled', 'unscheduled'))))
          FROM cz.job j WHERE j.job_id = $1
    $$;
COMMENT ON FUNCTION pg_catalog.citus_job_status(bigint, boolean)
    IS 'a job with its tasks; raw: those too that are done';

CREATE FUNCTION pg_catalog.citus_rebalance_status("raw" boolean DEFAULT false,
        OUT job_id bigint, OUT state citus_job_status, OUT job_type name, OUT description text,
        OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record LANGUAGE sql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
    AS $$
        SELECT s.* FROM (SELECT max(j.job_id) AS id FROM cz.job j WHERE j.job_type = 'rebalance') l,
                        citus_job_status(l.id, $1) s
    $$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_status(boolean) IS 'the last rebalance that was started as a job';

CREATE FUNCTION pg_catalog.citus_job_cancel(jobid bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE cz.job j SET state = 'cancelling' WHERE j.job_id = jobid AND j.finished_at IS NULL;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM cz.job j WHERE j.job_id = jobid) THEN
        RAISE EXCEPTION 'job % does not exist', jobid USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_job_cancel(bigint) IS 'stops a job: moves that run are undone, unless they are as good as done';
REVOKE ALL ON FUNCTION pg_catalog.citus_job_cancel(bigint) FROM PUBLIC;

-- Wait for a job or a task: until it is over, or in a certain state.
CREATE FUNCTION cz.await_state(what text, id bigint, desired text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    found_state text;
    last_states text[] := CASE what WHEN 'job' THEN '{finished,cancelled,failed}'
                                    ELSE '{done,error,unscheduled,cancelled}' END;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot wait for a % in a transaction with one snapshot', what USING ERRCODE = 'active_sql_transaction';
    END IF;
    LOOP
        IF what = 'job' THEN
            SELECT j.state INTO found_state FROM cz.job j WHERE j.job_id = id;
        ELSE
            SELECT t.status INTO found_state FROM cz.task t WHERE t.task_id = id;
        END IF;
        IF found_state IS NULL THEN
            RAISE EXCEPTION '% % does not exist', what, id USING ERRCODE = 'undefined_object';
        END IF;
        EXIT WHEN found_state = desired OR (desired IS NULL AND found_state = ANY (last_states));
        IF found_state = ANY (last_states) THEN
            RAISE EXCEPTION '% % is % and will never be %', what, id, found_state, desired
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
COMMENT ON FUNCTION cz.await_state(text, bigint, text) IS 'waits until a job or a task is over, or in a certain state';

CREATE FUNCTION pg_catalog.citus_job_wait(jobid bigint, desired_status citus_job_status DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM cz.await_state('job', jobid, desired_status::text);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_job_wait(bigint, citus_job_status) IS 'waits until a job is over, or in a certain state';

CREATE FUNCTION pg_catalog.citus_task_wait(taskid bigint, desired_status citus_task_status DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM cz.await_state('task', taskid, desired_status::text);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_task_wait(bigint, citus_task_status) IS 'waits until a task of a job is over, or in a certain state';

-- The rebalance that is under way; an error if there is none.
CREATE FUNCTION cz.running_rebalance() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    result bigint;
BEGIN
    SELECT max(j.job_id) INTO result FROM cz.job j WHERE j.job_type = 'rebalance' AND j.finished_at IS NULL;
    IF result IS NULL THEN
        RAISE EXCEPTION 'no rebalance is running' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION cz.running_rebalance() IS 'number of the rebalance job that is not over';

CREATE FUNCTION pg_catalog.citus_rebalance_stop() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM citus_job_cancel(cz.running_rebalance());
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_stop() IS 'stops the rebalance that is under way';
REVOKE ALL ON FUNCTION pg_catalog.citus_rebalance_stop() FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_rebalance_wait() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM citus_job_wait(cz.running_rebalance());
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_wait() IS 'waits for the end of the rebalance that is under way';

CREATE FUNCTION pg_catalog.get_rebalance_progress(OUT sessionid int, OUT table_name regclass,
        OUT shardid bigint, OUT shard_size bigint, OUT sourcename text, OUT sourceport int,
        OUT targetname text, OUT targetport int, OUT progress bigint, OUT source_shard_size bigint,
        OUT target_shard_size bigint, OUT operation_type text, OUT source_lsn pg_lsn,
        OUT target_lsn pg_lsn, OUT status text)
    RETURNS SETOF record LANGUAGE sql STABLE
    SET search_path TO pg_catalog, pg_temp
    AS $$
        WITH moves AS (
            SELECT m.pid, m.colocation_id, m.shard_ids, m.tables, m.source_name, m.target_name, m.operation, m.phase,
                   m.bytes_total, m.bytes_done, m.move_id
              FROM cz.move m
             WHERE m.operation <> 'promote' AND m.phase NOT IN ('done', 'failed', 'switched')
                   OR EXISTS (SELECT FROM cz.task t JOIN cz.job j USING (job_id)
                               WHERE t.move_id = m.move_id AND t.status = 'done' AND j.finished_at IS NULL)
            UNION ALL
            SELECT NULL, c.colocation_id, ARRAY[t.shard_id], ARRAY[t.relid], t.source_name, t.target_name, t.operation, NULL,
                   NULL, 0, NULL
              FROM cz.task t JOIN cz.job j USING (job_id) LEFT JOIN cz.tables c ON c.relid = t.relid
             WHERE j.finished_at IS NULL AND t.status IN ('blocked', 'runnable'))
        SELECT m.pid, r.relid::regclass, s.id,
               coalesce(m.bytes_total, 0) / cardinality(m.shard_ids),
               w.nodename, w.nodeport, v.nodename, v.nodeport,
               CASE WHEN m.phase IS NULL THEN 0 WHEN m.phase IN ('done', 'switched') THEN 2 ELSE 1 END,
               coalesce(m.bytes_total, 0) / cardinality(m.shard_ids),
               m.bytes_done / cardinality(m.shard_ids),
               m.operation, NULL::pg_lsn, NULL::pg_lsn,
               CASE m.phase WHEN 'preparing' THEN 'Setting Up'
                            WHEN 'copying' THEN 'Copying Data'
                            WHEN 'indexing' THEN 'Creating Indexes'
                            WHEN 'catching_up' THEN 'Catching Up'
                            WHEN 'switching' THEN 'Final Catchup'
                            WHEN 'switched' THEN 'Completed'
                            WHEN 'done' THEN 'Completed'
                            ELSE 'Not Started Yet' END
          FROM moves m
               CROSS JOIN LATERAL ROWS FROM (unnest(m.shard_ids), unnest(m.tables)) AS s(id, table_oid)
               LEFT JOIN cz.shard_list() l ON l.shard_id = s.id
               CROSS JOIN LATERAL (SELECT coalesce(l.relid::oid, s.table_oid) AS relid) r
               LEFT JOIN cz.worker_list() w ON w.server_name = m.source_name
               LEFT JOIN cz.worker_list() v ON v.server_name = m.target_name
         ORDER BY m.move_id NULLS LAST, s.id
    $$;
COMMENT ON FUNCTION pg_catalog.get_rebalance_progress() IS 'moves that run, and those of jobs that have not begun';

-- What is known of the nodes.
CREATE FUNCTION cz.node_health(OUT server_oid oid, OUT state text, OUT since timestamptz,
        OUT last_contact timestamptz, OUT failures int, OUT reason text, OUT bytes bigint)
    RETURNS SETOF record LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'cz_node_health';
COMMENT ON FUNCTION cz.node_health() IS 'what is known of each worker, and how many bytes its shards take';

CREATE VIEW cz.cz_nodes AS
WITH placements AS (
    SELECT p.server_oid, count(*) AS placements, count(*) FILTER (WHERE p.shard_state <> 1) AS inactive
      FROM cz.placement_list() p GROUP BY 1)
SELECT w.server_name AS node, w.node_id, w.nodename AS host, w.nodeport AS port, w.dbname, w.zone,
       h.state, h.since, h.last_contact, h.failures, h.reason,
       coalesce(p.placements, 0) AS placements,
       coalesce(p.inactive, 0) AS inactive_placements,
       h.bytes,
       (SELECT c.epoch FROM cz.cluster c) AS epoch
  FROM cz.worker_list() w
       LEFT JOIN cz.node_health() h USING (server_oid)
       LEFT JOIN placements p USING (server_oid)
 ORDER BY w.node_id;
COMMENT ON VIEW cz.cz_nodes IS 'workers: whether they answer, and what they have';
GRANT SELECT ON cz.cz_nodes TO PUBLIC;
ALTER VIEW cz.cz_nodes SET SCHEMA pg_catalog;
