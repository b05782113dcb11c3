-- Upgrades of the coordinator.

CREATE FUNCTION cz.tidy_dirty_shards() RETURNS bigint
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'cz_tidy_dirty_shards';
COMMENT ON FUNCTION cz.tidy_dirty_shards()
    IS 'forgets that shards were written if nobody writes them now: their placements need not be compared after a crash; how many are left';
REVOKE ALL ON FUNCTION cz.tidy_dirty_shards() FROM PUBLIC;

CREATE OR REPLACE FUNCTION cz_prepare_upgrade(OUT item text, OUT state text, OUT is_ready boolean) RETURNS SETOF record
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
