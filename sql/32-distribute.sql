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
    IS 'what placements of shards have otherwise than their table: columns, CHECKs, indexes, storage parameters; and what bounds shards have otherwise than their group';

-- What ALTER TABLE reads and writes when rows of a distributed table are computed here.
CREATE FUNCTION cz.rewrite_handler(internal) RETURNS table_am_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_rewrite_handler';
COMMENT ON FUNCTION cz.rewrite_handler(internal) IS 'handler of access method cz_rewrite';
REVOKE ALL ON FUNCTION cz.rewrite_handler(internal) FROM PUBLIC;
CREATE ACCESS METHOD cz_rewrite TYPE TABLE HANDLER cz.rewrite_handler;
COMMENT ON ACCESS METHOD cz_rewrite IS 'rows of distributed tables while ALTER TABLE computes them; not for tables of users';
