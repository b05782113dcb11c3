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

CREATE FUNCTION pg_catalog.alter_distributed_table_concurrently(table_name regclass, shard_count int,
    cascade_to_colocated boolean DEFAULT NULL,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'alter_distributed_table_concurrently';
COMMENT ON FUNCTION pg_catalog.alter_distributed_table_concurrently(regclass, int, boolean, citus.shard_transfer_mode)
    IS 'splits all shards of a table, and of those that are colocated with it, into as many as are wanted, while others write';
