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
