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
