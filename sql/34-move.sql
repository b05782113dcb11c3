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
    piece_ids bigint[],
    waits_for text
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
COMMENT ON COLUMN cz.move.waits_for IS 'transactions that have kept it from locking the shards';
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
           m.rows_applied, m.lag_changes, m.pause_ms, m.attempts, m.pid, m.started_at, m.updated_at, m.error,
           m.waits_for
    FROM cz.move m, LATERAL (SELECT coalesce(cz.move_bytes(m.move_id), m.bytes_done) AS bytes_done) b;
COMMENT ON VIEW cz.cz_moves IS 'moves and copies of shards: how far they are, and what became of them';
GRANT SELECT ON cz.cz_moves TO PUBLIC;
ALTER VIEW cz.cz_moves SET SCHEMA pg_catalog;
