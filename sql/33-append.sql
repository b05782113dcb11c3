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
