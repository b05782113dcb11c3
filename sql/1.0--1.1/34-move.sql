-- Moving shards.

ALTER TABLE cz.move ADD COLUMN waits_for text;
COMMENT ON COLUMN cz.move.waits_for IS 'transactions that have kept it from locking the shards';

CREATE OR REPLACE VIEW pg_catalog.cz_moves AS
    SELECT m.move_id, m.operation, m.mode,
           (SELECT array_agg(c.oid::regclass ORDER BY c.oid) FROM pg_class c WHERE c.oid = ANY (m.tables)) AS tables,
           m.shard_ids, m.phase, m.source_name, m.target_name, b.bytes_done, m.bytes_total,
           CASE WHEN m.bytes_total > 0 THEN round(least(100.0 * b.bytes_done / m.bytes_total, 100)::numeric, 1) END AS percent,
           m.rows_applied, m.lag_changes, m.pause_ms, m.attempts, m.pid, m.started_at, m.updated_at, m.error,
           m.waits_for
    FROM cz.move m, LATERAL (SELECT coalesce(cz.move_bytes(m.move_id), m.bytes_done) AS bytes_done) b;
