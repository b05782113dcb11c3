-- A write that is done row by row finds each row once, whatever its joins give, and what it
-- keeps for that is bounded by work_mem.
\i sql/include/workers.inc
CREATE SCHEMA write_memory;
SET search_path TO write_memory;
SET client_min_messages TO warning;
CREATE TABLE t (k int PRIMARY KEY, v int, w bigint);
SELECT create_distributed_table('t', 'k', shard_count => 4);
INSERT INTO t SELECT i, i, 0 FROM generate_series(1, 10000) i;
CREATE TABLE twice (v int, n int);
INSERT INTO twice SELECT i, n FROM generate_series(1, 10000) i, generate_series(1, 2) n;
-- what is known of the rows that have been read, now and then
CREATE FUNCTION memory(int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	IF $1 % 1000 <> 0 THEN RETURN 0; END IF;
	-- 18 has the parents' numbers instead of their names
	IF current_setting('server_version_num')::int >= 180000 THEN
		RETURN (WITH contexts AS MATERIALIZED (SELECT to_jsonb(c) AS c FROM pg_backend_memory_contexts c)
			SELECT sum((c ->> 'total_bytes')::int8) FROM contexts WHERE EXISTS (SELECT FROM contexts s
				WHERE 'cz_fdw rows seen' IN (s.c ->> 'name', s.c ->> 'ident') AND s.c -> 'path' -> -1 IN (contexts.c -> 'path' -> -1, contexts.c -> 'path' -> -2)));
	END IF;
	RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE 'cz_fdw rows seen' IN (name, ident, parent));
END $$;

SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
\set QUIET off
UPDATE t SET w = memory(x.v) FROM twice x WHERE x.v = t.v;
\set QUIET on
SELECT count(*) FILTER (WHERE w > 0) AS told, max(w) < 300000 AS is_little FROM t;
-- the same where all is known, and in parts
\set QUIET off
UPDATE t SET w = k + x.n * memory(1) FROM twice x WHERE x.v = t.v AND x.v <= 100;
UPDATE t SET w = -1 FROM twice x WHERE x.v = t.v AND t.v > memory(1) AND x.n <= 2;
\set QUIET on
SELECT count(*), sum(w) FROM t;
\set QUIET off
DELETE FROM t USING twice x WHERE x.v = t.v AND memory(x.n) = 0;
\set QUIET on
SELECT count(*) FROM t;
RESET work_mem;
RESET hash_mem_multiplier;
DROP SCHEMA write_memory CASCADE;
