CREATE FUNCTION pg_catalog.alter_distributed_table_concurrently(table_name regclass, shard_count int,
    cascade_to_colocated boolean DEFAULT NULL,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto') RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'alter_distributed_table_concurrently';
COMMENT ON FUNCTION pg_catalog.alter_distributed_table_concurrently(regclass, int, boolean, citus.shard_transfer_mode)
    IS 'splits all shards of a table, and of those that are colocated with it, into as many as are wanted, while others write';
