COMMENT ON FUNCTION cz.node_health() IS 'what is known of each worker, and how many bytes its database takes';

CREATE OR REPLACE FUNCTION pg_catalog.citus_rebalance_wait() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    running bigint;
BEGIN
    SELECT max(j.job_id) INTO running FROM cz.job j WHERE j.job_type = 'rebalance' AND j.finished_at IS NULL;
    -- it may have ended before who has started it came to wait
    IF running IS NULL THEN
        RAISE WARNING 'no rebalance is running' USING ERRCODE = '01000',
            HINT = 'citus_rebalance_status() tells how the last one has ended.';
    ELSE
        PERFORM citus_job_wait(running);
    END IF;
END
$$;
