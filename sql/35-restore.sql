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

CREATE FUNCTION cz.tidy_dirty_shards() RETURNS bigint
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_tidy_dirty_shards';
COMMENT ON FUNCTION cz.tidy_dirty_shards()
    IS 'forgets that shards were written if nobody writes them now: their placements need not be compared after a crash; how many are left';
REVOKE ALL ON FUNCTION cz.tidy_dirty_shards() FROM PUBLIC;

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

    -- the new server would take those for shards that were written when it crashed
    n := cz.tidy_dirty_shards();
    item := 'shards that are being written';
    is_ready := n = 0;
    state := CASE WHEN n = 0 THEN 'none' ELSE format('%s: call this function again when nobody writes', n) END;
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
