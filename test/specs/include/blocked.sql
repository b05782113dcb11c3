-- isolationtester asks this function whether a session waits for another one.  The original
-- knows the locks of this server only; a session that waits for a worker's answer for longer
-- than any idle worker needs is taken to wait for a lock there.
-- (Renamed, not replaced: the server calls a built-in function by its OID.)
ALTER FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(int, int[]) RENAME TO original_session_is_blocked;
CREATE FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(blocked_pid int, interesting_pids int[])
  RETURNS bool LANGUAGE sql AS $$
  SELECT pg_catalog.original_session_is_blocked(blocked_pid, interesting_pids)
      OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity
                  WHERE pid = blocked_pid AND state = 'active' AND wait_event_type = 'Extension'
                    AND query_start < clock_timestamp() - interval '700 ms')
$$;
