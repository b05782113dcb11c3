-- Distributing tables.

-- false: made for colocate_with => 'none', so no other table joins by default
ALTER TABLE cz.colocation ADD COLUMN is_default boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN cz.colocation.is_default IS 'tables of equal key join the group by default';

CREATE TABLE cz.cleanup (
    cleanup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_name name NOT NULL,
    object_kind text NOT NULL DEFAULT 'table',
    object_name text NOT NULL,
    user_name name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cz.cleanup IS 'what is still to be dropped on workers that could not be reached';

CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default',
    shard_count int DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'create_distributed_table';
COMMENT ON FUNCTION create_distributed_table(regclass, text, text, text, int)
    IS 'spread a table over the workers by one of its columns';

CREATE FUNCTION cz_create_range_shard(table_name regclass, min text, max text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cz_create_range_shard';
COMMENT ON FUNCTION cz_create_range_shard(regclass, text, text)
    IS 'add a shard for min <= key < max to a range-distributed table';
