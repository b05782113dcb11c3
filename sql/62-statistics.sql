-- What monitoring reads: nothing here asks a worker, or needs rights on tables.

CREATE FUNCTION cz.statistics(OUT counts bigint[], OUT verified_at timestamptz,
        OUT verified_shards bigint, OUT differing_shards bigint, OUT stats_reset timestamptz)
    RETURNS record LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'cz_statistics';
COMMENT ON FUNCTION cz.statistics() IS 'what is counted in this database since the server started, or since stats_reset';

CREATE FUNCTION cz.node_statistics(OUT server_oid oid, OUT state text, OUT since timestamptz,
        OUT last_contact timestamptz, OUT failures int, OUT connections int, OUT idle_connections int,
        OUT waiting_sessions int, OUT connection_limit int, OUT failovers bigint, OUT fragments bigint,
        OUT fragment_ms float8, OUT slowest_ms float8, OUT slowest_shard bigint, OUT slowest_at timestamptz)
    RETURNS SETOF record LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cz_node_statistics';
COMMENT ON FUNCTION cz.node_statistics() IS 'what is known of each worker, and counted since the server started';

CREATE FUNCTION pg_catalog.cz_stat_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'cz_stat_reset';
COMMENT ON FUNCTION pg_catalog.cz_stat_reset()
    IS 'sets to 0 what cz_stat_worker, cz_stat_commits and cz_stat_cluster count in this database';
REVOKE ALL ON FUNCTION pg_catalog.cz_stat_reset() FROM PUBLIC;

CREATE VIEW cz.cz_stat_commits AS
    SELECT p.protocol, s.counts[p.ordinal] AS commits
      FROM cz.statistics() s,
           unnest(ARRAY['single command', 'one worker', 'chain', 'two-phase', 'unprepared'])
               WITH ORDINALITY AS p(protocol, ordinal);
COMMENT ON VIEW cz.cz_stat_commits IS
    'transactions that have written to workers, by how they were committed, since the server started';

CREATE VIEW cz.cz_stat_cluster AS
    SELECT c.cluster_id, c.epoch, s.counts[6] AS in_doubt, s.counts[7] AS deadlocks, s.counts[8] AS recovered,
           l.unfinished, l.oldest_unfinished,
           (SELECT count(*) FROM cz.dirty_shards) AS dirty_shards,
           (SELECT count(*) FROM cz.cleanup) AS cleanup_entries,
           s.verified_at, s.verified_shards, s.differing_shards, s.stats_reset
      FROM cz.cluster c, cz.statistics() s,
           (SELECT count(*) AS unfinished, min(created_at) AS oldest_unfinished FROM cz.transaction_log) l;
COMMENT ON VIEW cz.cz_stat_cluster IS
    'one row: transactions that are not finished on all workers, what was counted since the server started, and the last cz_verify_placements()';

CREATE VIEW cz.cz_stat_worker AS
    SELECT w.server_name AS node, w.node_id, s.state, s.since, s.last_contact, s.failures,
           s.connections, s.idle_connections, s.waiting_sessions, s.connection_limit,
           coalesce(p.active, 0) AS active_placements, coalesce(p.inactive, 0) AS inactive_placements,
           s.failovers, s.fragments, s.fragment_ms, s.slowest_ms, s.slowest_shard, s.slowest_at
      FROM cz.worker_list() w
           JOIN cz.node_statistics() s USING (server_oid)
           LEFT JOIN (SELECT x.server_oid, count(*) FILTER (WHERE x.shard_state = 1) AS active,
                             count(*) FILTER (WHERE x.shard_state <> 1) AS inactive
                        FROM cz.placement_list() x GROUP BY 1) p USING (server_oid);
COMMENT ON VIEW cz.cz_stat_worker IS
    'workers: state, connections of all sessions, placements, and what was counted since the server started; no worker is asked';

GRANT SELECT ON cz.cz_stat_commits, cz.cz_stat_cluster, cz.cz_stat_worker TO PUBLIC;
ALTER VIEW cz.cz_stat_commits SET SCHEMA pg_catalog;
ALTER VIEW cz.cz_stat_cluster SET SCHEMA pg_catalog;
ALTER VIEW cz.cz_stat_worker SET SCHEMA pg_catalog;
