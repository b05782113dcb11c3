-- How shards are spread over the nodes, and what moves them.

CREATE FUNCTION pg_catalog.citus_shard_cost_1(bigint) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_cost_1';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_1(bigint)
    IS 'cost of a shard for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint) RETURNS float4
    LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'citus_shard_cost_by_disk_size';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint)
    IS 'cost of a shard for rebalance strategies: bytes of it and of the shards that are colocated with it';
CREATE FUNCTION pg_catalog.citus_node_capacity_1(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_node_capacity_1';
COMMENT ON FUNCTION pg_catalog.citus_node_capacity_1(int)
    IS 'capacity of a node for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.cz_node_capacity_by_weight(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'cz_node_capacity_by_weight';
COMMENT ON FUNCTION pg_catalog.cz_node_capacity_by_weight(int)
    IS 'capacity of a node for rebalance strategies: its server''s option weight';
CREATE FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int) RETURNS boolean
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_allowed_on_node_true';
COMMENT ON FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int)
    IS 'for rebalance strategies: every shard may be on every node';

-- Functions by their text, as pg_upgrade wants it.
CREATE TABLE cz.rebalance_strategy (
    name name PRIMARY KEY,
    shard_cost_function text NOT NULL,
    node_capacity_function text NOT NULL,
    shard_allowed_on_node_function text NOT NULL,
    default_threshold float4 NOT NULL CHECK (default_threshold >= 0),
    minimum_threshold float4 NOT NULL CHECK (minimum_threshold >= 0),
    improvement_threshold float4 NOT NULL CHECK (improvement_threshold >= 0),
    CHECK (default_threshold >= minimum_threshold)
);
COMMENT ON TABLE cz.rebalance_strategy IS 'rebalance strategies that have been added';
COMMENT ON COLUMN cz.rebalance_strategy.shard_cost_function IS 'function with its arguments';

CREATE TABLE cz.default_rebalance_strategy (name name NOT NULL);
CREATE UNIQUE INDEX default_rebalance_strategy_key ON cz.default_rebalance_strategy ((true));
COMMENT ON TABLE cz.default_rebalance_strategy IS 'the strategy that is used if none is named; one row, or none: by_disk_size';

SELECT pg_extension_config_dump('cz.rebalance_strategy', '');
SELECT pg_extension_config_dump('cz.default_rebalance_strategy', '');

CREATE VIEW cz.pg_dist_rebalance_strategy AS
SELECT s.name,
       s.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size') AS default_strategy,
       s.shard_cost_function, s.node_capacity_function, s.shard_allowed_on_node_function,
       s.default_threshold, s.minimum_threshold, s.improvement_threshold
  FROM (VALUES ('by_shard_count'::name,
                'pg_catalog.citus_shard_cost_1(bigint)'::regprocedure,
                'pg_catalog.cz_node_capacity_by_weight(int)'::regprocedure,
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)'::regprocedure,
                0::float4, 0::float4, 0::float4),
               ('by_disk_size',
                'pg_catalog.citus_shard_cost_by_disk_size(bigint)',
                'pg_catalog.cz_node_capacity_by_weight(int)',
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)',
                0.1, 0.01, 0.5)) s(name, shard_cost_function, node_capacity_function,
                                   shard_allowed_on_node_function, default_threshold,
                                   minimum_threshold, improvement_threshold)
UNION ALL
SELECT r.name,
       r.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size'),
       to_regprocedure(r.shard_cost_function), to_regprocedure(r.node_capacity_function),
       to_regprocedure(r.shard_allowed_on_node_function),
       r.default_threshold, r.minimum_threshold, r.improvement_threshold
  FROM cz.rebalance_strategy r;
COMMENT ON VIEW cz.pg_dist_rebalance_strategy IS 'ways to spread shards over the nodes';
GRANT SELECT ON cz.rebalance_strategy, cz.default_rebalance_strategy, cz.pg_dist_rebalance_strategy TO PUBLIC;
ALTER VIEW cz.pg_dist_rebalance_strategy SET SCHEMA pg_catalog;

-- The text of a function that takes and returns what it must; an error if it does not.
CREATE FUNCTION cz.strategy_function(function regproc, arguments regtype[], result regtype) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.oid::regprocedure::text AS text, p.prorettype, ARRAY(SELECT t FROM unnest(p.proargtypes) WITH ORDINALITY u(t, n) ORDER BY n) AS types
      INTO found FROM pg_proc p WHERE p.oid = function::oid;
    IF found.types IS NULL OR found.types <> arguments::oid[] OR found.prorettype <> result THEN
        RAISE EXCEPTION 'function "%" does not fit a rebalance strategy', function
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It must take (%s) and return %s.', array_to_string(arguments, ', '), result);
    END IF;
    RETURN found.text;
END
$$;
COMMENT ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) IS 'a function with its arguments, if it has these';
REVOKE ALL ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_add_rebalance_strategy(name name, shard_cost_function regproc,
        node_capacity_function regproc, shard_allowed_on_node_function regproc,
        default_threshold float4, minimum_threshold float4 DEFAULT 0,
        improvement_threshold float4 DEFAULT 0) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_add_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" already exists', name USING ERRCODE = 'duplicate_object';
    END IF;
    IF default_threshold < minimum_threshold THEN
        RAISE EXCEPTION 'default_threshold must not be less than minimum_threshold' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO cz.rebalance_strategy
    VALUES (name,
            cz.strategy_function(shard_cost_function, '{bigint}', 'real'),
            cz.strategy_function(node_capacity_function, '{int}', 'real'),
            cz.strategy_function(shard_allowed_on_node_function, '{bigint,int}', 'boolean'),
            default_threshold, minimum_threshold, improvement_threshold);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4)
    IS 'adds a way to spread shards over the nodes';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_set_default_rebalance_strategy(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_set_default_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" does not exist', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE cz.default_rebalance_strategy IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM cz.default_rebalance_strategy;
    INSERT INTO cz.default_rebalance_strategy VALUES (name);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text)
    IS 'sets the strategy that is used if none is named';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.get_rebalance_table_shards_plan(relation regclass DEFAULT NULL,
        threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}', drain_only boolean DEFAULT false,
        rebalance_strategy name DEFAULT NULL, improvement_threshold float4 DEFAULT NULL,
        OUT table_name regclass, OUT shardid bigint, OUT shard_size bigint, OUT sourcename text,
        OUT sourceport int, OUT targetname text, OUT targetport int)
    RETURNS SETOF record LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'get_rebalance_table_shards_plan';
COMMENT ON FUNCTION pg_catalog.get_rebalance_table_shards_plan(regclass, float4, int, bigint[], boolean, name, float4)
    IS 'moves that rebalance_table_shards() would make';

CREATE FUNCTION pg_catalog.rebalance_table_shards(relation regclass DEFAULT NULL,
        threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}',
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        drain_only boolean DEFAULT false, rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rebalance_table_shards';
COMMENT ON FUNCTION pg_catalog.rebalance_table_shards(regclass, float4, int, bigint[], citus.shard_transfer_mode, boolean, name)
    IS 'moves shards so that all nodes are equally full';

CREATE FUNCTION pg_catalog.replicate_table_shards(relation regclass DEFAULT NULL,
        shard_replication_factor int DEFAULT NULL, max_shard_copies int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}',
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'replicate_table_shards';
COMMENT ON FUNCTION pg_catalog.replicate_table_shards(regclass, int, int, bigint[], citus.shard_transfer_mode)
    IS 'makes placements that are missing';

CREATE FUNCTION pg_catalog.citus_drain_node(nodename text, nodeport int,
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_drain_node';
COMMENT ON FUNCTION pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'moves all shards away from a node';
REVOKE ALL ON FUNCTION pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name) FROM PUBLIC;
CREATE FUNCTION pg_catalog.master_drain_node(nodename text, nodeport int,
        shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        rebalance_strategy name DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_drain_node';
COMMENT ON FUNCTION pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'old name of citus_drain_node';
REVOKE ALL ON FUNCTION pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name) FROM PUBLIC;

-- Jobs.
CREATE TYPE pg_catalog.citus_job_status AS ENUM ('scheduled', 'running', 'finished', 'cancelling',
    'cancelled', 'failing', 'failed');
COMMENT ON TYPE pg_catalog.citus_job_status IS 'state of a job';
CREATE TYPE pg_catalog.citus_task_status AS ENUM ('blocked', 'runnable', 'running', 'done',
    'cancelling', 'error', 'unscheduled', 'cancelled');
COMMENT ON TYPE pg_catalog.citus_task_status IS 'state of a task of a job';

-- State of what is on its way: not dumped.
CREATE TABLE cz.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state pg_catalog.citus_job_status NOT NULL DEFAULT 'scheduled',
    job_type name NOT NULL,
    description text NOT NULL,
    user_name name NOT NULL,
    mode text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
COMMENT ON TABLE cz.job IS 'moves and copies of shards that background workers carry out, those that are over too';
COMMENT ON COLUMN cz.job.user_name IS 'who has made it';
COMMENT ON COLUMN cz.job.mode IS 'shard_transfer_mode';
CREATE TABLE cz.task (
    task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES cz.job ON DELETE CASCADE,
    status pg_catalog.citus_task_status NOT NULL DEFAULT 'runnable',
    operation text NOT NULL CHECK (operation IN ('move', 'copy')),
    relid oid NOT NULL,
    shard_index int NOT NULL,
    shard_id bigint NOT NULL,
    source_name name,
    target_name name NOT NULL,
    move_id bigint,
    retry_count int NOT NULL DEFAULT 0,
    not_before timestamptz,
    message text
);
CREATE INDEX task_job_id_idx ON cz.task (job_id);
COMMENT ON TABLE cz.task IS 'what jobs have to do';
COMMENT ON COLUMN cz.task.relid IS 'a table of the colocation group';
COMMENT ON COLUMN cz.task.shard_index IS 'number of the shard in each of its tables';
COMMENT ON COLUMN cz.task.source_name IS 'node whose placement leaves; NULL: one more is made';
COMMENT ON COLUMN cz.task.move_id IS 'in cz.move, since it has been started';
COMMENT ON COLUMN cz.task.not_before IS 'when it is repeated after an error';
GRANT SELECT ON cz.job, cz.task TO PUBLIC;

CREATE FUNCTION pg_catalog.citus_rebalance_start(rebalance_strategy name DEFAULT NULL,
        drain_only boolean DEFAULT false, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
        parallel_transfer_reference_tables boolean DEFAULT false,
        parallel_transfer_colocated_shards boolean DEFAULT false)
    RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'citus_rebalance_start';
COMMENT ON FUNCTION pg_catalog.citus_rebalance_start(name, boolean, citus.shard_transfer_mode, boolean, boolean)
    IS 'has background workers move shards so that all nodes are equally full; returns the job''s number';

CREATE FUNCTION pg_catalog.citus_job_list(OUT job_id bigint, OUT state citus_job_status,
        OUT job_type name, OUT description text, OUT started_at timestamptz,
        OUT finished_at timestamptz)
    RETURNS SETOF record LANGUAGE sql STABLE
    SET search_path TO pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT j.job_id, j.state, j.job_type, j.description, j.started_at, j.finished_at
          FROM cz.job j ORDER BY j.job_id;
    END;
COMMENT ON FUNCTION pg_catalog.citus_job_list() IS 'jobs, those that are over too';

CREATE FUNCTION pg_catalog.citus_job_status(job_id bigint, "raw" boolean DEFAULT false,
        OUT job_id bigint, OUT state citus_job_status, OUT job_type name, OUT description text,
        OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record LANGUAGE sql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
    AS $$
        SELECT j.job_id, j.state, j.job_type, j.description, j.started_at, j.finished_at,
               jsonb_build_object(
                   'task_state_counts',
                   (SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
                      FROM (SELECT t.status, count(*) AS n FROM cz.task t WHERE t.job_id = j.job_id GROUP BY 1) c),
                   'tasks',
                   (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                               'task_id', t.task_id, 'state', t.status, 'operation', t.operation,
                               'shard_id', t.shard_id, 'source', t.source_name, 'target', t.target_name,
                               'retried', nullif(t.retry_count, 0), 'message', t.message,
                               'phase', m.phase, 'bytes_done', m.bytes_done, 'bytes_total', m.bytes_total))
                               ORDER BY t.task_id), '[]')
                      FROM cz.task t LEFT JOIN cz.move m ON m.move_id = t.move_id
                     WHERE t.job_id = j.job_id
                           AND ($2 OR t.status NOT IN ('done', 'cancelled', 'unscheduled'))))
          FROM cz.job j WHERE j.job_id = $1
    $$;
COMMENT ON FUNCTION pg_catalog.citus_job_status(bigint, boolean)
    IS 'a job with its tasks; raw: those too that are done';

CREATE FUNCTION pg_catalog.citus_rebalance_status("raw" boolean DEFAULT false,
        OUT job_id bigint, OUT state citus_job_status, OUT job_type name, OUT description text,
        OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record LANGUAGE sql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
    AS $$
        SELECT s.* FROM (SELECT max(j.job_id) AS id FROM cz.job j WHERE j.job_type = 'rebalance') l,
                        citus_job_status(l.id, $1) s
    $$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_status(boolean) IS 'the last rebalance that was started as a job';

CREATE FUNCTION pg_catalog.citus_job_cancel(jobid bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE cz.job j SET state = 'cancelling' WHERE j.job_id = jobid AND j.finished_at IS NULL;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM cz.job j WHERE j.job_id = jobid) THEN
        RAISE EXCEPTION 'job % does not exist', jobid USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_job_cancel(bigint) IS 'stops a job: moves that run are undone, unless they are as good as done';
REVOKE ALL ON FUNCTION pg_catalog.citus_job_cancel(bigint) FROM PUBLIC;

-- Wait for a job or a task: until it is over, or in a certain state.
CREATE FUNCTION cz.await_state(what text, id bigint, desired text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    found_state text;
    last_states text[] := CASE what WHEN 'job' THEN '{finished,cancelled,failed}'
                                    ELSE '{done,error,unscheduled,cancelled}' END;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'cannot wait for a % in a transaction with one snapshot', what USING ERRCODE = 'active_sql_transaction';
    END IF;
    LOOP
        IF what = 'job' THEN
            SELECT j.state INTO found_state FROM cz.job j WHERE j.job_id = id;
        ELSE
            SELECT t.status INTO found_state FROM cz.task t WHERE t.task_id = id;
        END IF;
        IF found_state IS NULL THEN
            RAISE EXCEPTION '% % does not exist', what, id USING ERRCODE = 'undefined_object';
        END IF;
        EXIT WHEN found_state = desired OR (desired IS NULL AND found_state = ANY (last_states));
        IF found_state = ANY (last_states) THEN
            RAISE EXCEPTION '% % is % and will never be %', what, id, found_state, desired
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
COMMENT ON FUNCTION cz.await_state(text, bigint, text) IS 'waits until a job or a task is over, or in a certain state';

CREATE FUNCTION pg_catalog.citus_job_wait(jobid bigint, desired_status citus_job_status DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM cz.await_state('job', jobid, desired_status::text);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_job_wait(bigint, citus_job_status) IS 'waits until a job is over, or in a certain state';

CREATE FUNCTION pg_catalog.citus_task_wait(taskid bigint, desired_status citus_task_status DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM cz.await_state('task', taskid, desired_status::text);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_task_wait(bigint, citus_task_status) IS 'waits until a task of a job is over, or in a certain state';

-- The rebalance that is under way; an error if there is none.
CREATE FUNCTION cz.running_rebalance() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    result bigint;
BEGIN
    SELECT max(j.job_id) INTO result FROM cz.job j WHERE j.job_type = 'rebalance' AND j.finished_at IS NULL;
    IF result IS NULL THEN
        RAISE EXCEPTION 'no rebalance is running' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION cz.running_rebalance() IS 'number of the rebalance job that is not over';

CREATE FUNCTION pg_catalog.citus_rebalance_stop() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM citus_job_cancel(cz.running_rebalance());
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_stop() IS 'stops the rebalance that is under way';
REVOKE ALL ON FUNCTION pg_catalog.citus_rebalance_stop() FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_rebalance_wait() RETURNS void
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
COMMENT ON FUNCTION pg_catalog.citus_rebalance_wait() IS 'waits for the end of the rebalance that is under way';

CREATE FUNCTION pg_catalog.get_rebalance_progress(OUT sessionid int, OUT table_name regclass,
        OUT shardid bigint, OUT shard_size bigint, OUT sourcename text, OUT sourceport int,
        OUT targetname text, OUT targetport int, OUT progress bigint, OUT source_shard_size bigint,
        OUT target_shard_size bigint, OUT operation_type text, OUT source_lsn pg_lsn,
        OUT target_lsn pg_lsn, OUT status text)
    RETURNS SETOF record LANGUAGE sql STABLE
    SET search_path TO pg_catalog, pg_temp
    AS $$
        WITH moves AS (
            SELECT m.pid, m.colocation_id, m.shard_ids, m.tables, m.source_name, m.target_name, m.operation, m.phase,
                   m.bytes_total, m.bytes_done, m.move_id
              FROM cz.move m
             WHERE m.operation <> 'promote' AND m.phase NOT IN ('done', 'failed', 'switched')
                   OR EXISTS (SELECT FROM cz.task t JOIN cz.job j USING (job_id)
                               WHERE t.move_id = m.move_id AND t.status = 'done' AND j.finished_at IS NULL)
            UNION ALL
            SELECT NULL, c.colocation_id, ARRAY[t.shard_id], ARRAY[t.relid], t.source_name, t.target_name, t.operation, NULL,
                   NULL, 0, NULL
              FROM cz.task t JOIN cz.job j USING (job_id) LEFT JOIN cz.tables c ON c.relid = t.relid
             WHERE j.finished_at IS NULL AND t.status IN ('blocked', 'runnable'))
        SELECT m.pid, r.relid::regclass, s.id,
               coalesce(m.bytes_total, 0) / cardinality(m.shard_ids),
               w.nodename, w.nodeport, v.nodename, v.nodeport,
               CASE WHEN m.phase IS NULL THEN 0 WHEN m.phase IN ('done', 'switched') THEN 2 ELSE 1 END,
               coalesce(m.bytes_total, 0) / cardinality(m.shard_ids),
               m.bytes_done / cardinality(m.shard_ids),
               m.operation, NULL::pg_lsn, NULL::pg_lsn,
               CASE m.phase WHEN 'preparing' THEN 'Setting Up'
                            WHEN 'copying' THEN 'Copying Data'
                            WHEN 'indexing' THEN 'Creating Indexes'
                            WHEN 'catching_up' THEN 'Catching Up'
                            WHEN 'switching' THEN 'Final Catchup'
                            WHEN 'switched' THEN 'Completed'
                            WHEN 'done' THEN 'Completed'
                            ELSE 'Not Started Yet' END
          FROM moves m
               CROSS JOIN LATERAL ROWS FROM (unnest(m.shard_ids), unnest(m.tables)) AS s(id, table_oid)
               LEFT JOIN cz.shard_list() l ON l.shard_id = s.id
               CROSS JOIN LATERAL (SELECT coalesce(l.relid::oid, s.table_oid) AS relid) r
               LEFT JOIN cz.worker_list() w ON w.server_name = m.source_name
               LEFT JOIN cz.worker_list() v ON v.server_name = m.target_name
         ORDER BY m.move_id NULLS LAST, s.id
    $$;
COMMENT ON FUNCTION pg_catalog.get_rebalance_progress() IS 'moves that run, and those of jobs that have not begun';

-- What is known of the nodes.
CREATE FUNCTION cz.node_health(OUT server_oid oid, OUT state text, OUT since timestamptz,
        OUT last_contact timestamptz, OUT failures int, OUT reason text, OUT bytes bigint)
    RETURNS SETOF record LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'cz_node_health';
COMMENT ON FUNCTION cz.node_health() IS 'what is known of each worker, and how many bytes its database takes';

CREATE VIEW cz.cz_nodes AS
WITH placements AS (
    SELECT p.server_oid, count(*) AS placements, count(*) FILTER (WHERE p.shard_state <> 1) AS inactive
      FROM cz.placement_list() p GROUP BY 1)
SELECT w.server_name AS node, w.node_id, w.nodename AS host, w.nodeport AS port, w.dbname, w.zone,
       h.state, h.since, h.last_contact, h.failures, h.reason,
       coalesce(p.placements, 0) AS placements,
       coalesce(p.inactive, 0) AS inactive_placements,
       h.bytes,
       (SELECT c.epoch FROM cz.cluster c) AS epoch
  FROM cz.worker_list() w
       LEFT JOIN cz.node_health() h USING (server_oid)
       LEFT JOIN placements p USING (server_oid)
 ORDER BY w.node_id;
COMMENT ON VIEW cz.cz_nodes IS 'workers: whether they answer, and what they have';
GRANT SELECT ON cz.cz_nodes TO PUBLIC;
ALTER VIEW cz.cz_nodes SET SCHEMA pg_catalog;
