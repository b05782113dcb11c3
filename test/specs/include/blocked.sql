-- isolationtester asks this function whether a session waits for another one.  The original
-- knows the locks of this server only; a session waits for a lock on a worker if one of its
-- sessions there does (they bear its process number), unless it is ending its transaction.
-- (Renamed, not replaced: the server calls a built-in function by its OID.)
CREATE SCHEMA waits;
DO $$
DECLARE
	parts text[] := '{}';
	server name;
BEGIN
	FOR server IN SELECT srvname FROM pg_foreign_server LOOP
		EXECUTE format('CREATE FOREIGN TABLE waits.%I (pid int, granted bool, waitstart timestamptz) SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_locks'')',
			'locks_' || server, server);
		EXECUTE format('CREATE FOREIGN TABLE waits.%I (pid int, application_name text) SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_stat_activity'')',
			'sessions_' || server, server);
		parts := parts || format('SELECT s.application_name, l.waitstart FROM waits.%I l JOIN waits.%I s USING (pid) WHERE NOT l.granted',
			'locks_' || server, 'sessions_' || server);
	END LOOP;
	EXECUTE 'CREATE VIEW waits.on_workers AS ' || array_to_string(parts, ' UNION ALL ');
END $$;
ALTER FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(int, int[]) RENAME TO original_session_is_blocked;
CREATE FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(blocked_pid int, interesting_pids int[])
  RETURNS bool LANGUAGE sql AS $$
  SELECT pg_catalog.original_session_is_blocked(blocked_pid, interesting_pids)
      OR (EXISTS (SELECT FROM pg_catalog.pg_stat_activity
                   WHERE pid = blocked_pid AND state = 'active' AND query !~* '^\s*(commit|rollback)')
          AND EXISTS (SELECT FROM waits.on_workers
                       WHERE application_name ~ ('^cz_fdw [^ ]+ ' || blocked_pid || '( |$)')
                         AND waitstart < clock_timestamp() - interval '100 ms'))
      -- while a move is held at a debug point: who has wanted it, and who waits for its locks
      -- (17 writes BgworkerShutdown, 15 BgWorkerShutdown)
      OR ((pg_stat_file('at_point.reached', true)).size IS NOT NULL
          AND (EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = blocked_pid AND lower(wait_event) = 'bgworkershutdown')
               OR EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = blocked_pid AND NOT granted)))
$$;

-- The number of placements of a table whose rows are not those of the shard's first one.
CREATE FUNCTION cz_differing(rel regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	columns text := (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped);
	placement record;
	seen text[] := '{}';
	contents text;
BEGIN
	FOR placement IN
		SELECT c.shardid, split_part(c.shard_name, '.', 2) AS shard, s.srvname
		  FROM citus_shards c, pg_foreign_server s
		 WHERE c.table_name = rel AND 'port=' || c.nodeport = ANY (s.srvoptions) LOOP
		EXECUTE format('CREATE FOREIGN TABLE waits.placement (%s) SERVER %I OPTIONS (schema_name ''cz_shards'', table_name %L)',
			columns, placement.srvname, placement.shard);
		EXECUTE 'SELECT string_agg(p::text, '','' ORDER BY p::text) FROM waits.placement p' INTO contents;
		seen := seen || (placement.shardid || ':' || coalesce(contents, ''));
		DROP FOREIGN TABLE waits.placement;
	END LOOP;
	RETURN (SELECT count(DISTINCT x) FROM unnest(seen) x) - (SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = rel);
END $$;
