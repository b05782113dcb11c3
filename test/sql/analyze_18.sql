-- ANALYZE of a table with one shard takes the statistics that its worker has made (18).
-- Coordinator, workers 1, 2, 3; database cz_analyze_18 on each.
\set dbname cz_analyze_18
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
CREATE TABLE analyzed (k int, kind text, tags text[], during int4range, empty int, "Odd ""name" numeric);
SELECT create_distributed_table('analyzed', NULL);
INSERT INTO analyzed SELECT i, (ARRAY['a', 'b', 'it''s', 'd\e'])[1 + i % 4], ARRAY['x' || i % 3, 'y'],
		CASE WHEN i % 10 = 0 THEN 'empty' ELSE int4range(i, i + i % 7) END, NULL, i / 3.0
	FROM generate_series(1, 2000) i;
CREATE VIEW here AS
	SELECT attname::text, inherited, null_frac::text, avg_width::text, n_distinct::text, most_common_vals::text, most_common_freqs::text,
			histogram_bounds::text, correlation::text, most_common_elems::text, most_common_elem_freqs::text, elem_count_histogram::text,
			range_length_histogram::text, range_empty_frac::text, range_bounds_histogram::text
		FROM pg_stats WHERE tablename = 'analyzed';
-- Which columns have not what their worker has
CREATE FUNCTION differing(OUT attname text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT coalesce(h.attname, w ->> 'attname')
		FROM here h FULL JOIN (
			SELECT jsonb_array_elements(result::jsonb) AS w
				FROM run_command_on_shards('analyzed',
					$cmd$SELECT jsonb_agg(to_jsonb(s)) FROM pg_stats s WHERE tablename = (parse_ident('%1$s'))[array_upper(parse_ident('%1$s'), 1)]$cmd$)) x
			ON h.attname = w ->> 'attname'
		WHERE (h.null_frac, h.avg_width, h.n_distinct, h.correlation, h.range_empty_frac) IS DISTINCT FROM
				(w ->> 'null_frac', w ->> 'avg_width', w ->> 'n_distinct', w ->> 'correlation', w ->> 'range_empty_frac')
			OR (h.most_common_freqs IS NULL) <> (w ->> 'most_common_freqs' IS NULL)
			OR (h.histogram_bounds IS NULL) <> (w ->> 'histogram_bounds' IS NULL)
			OR (h.most_common_elems IS NULL) <> (w ->> 'most_common_elems' IS NULL)
			OR (h.range_bounds_histogram IS NULL) <> (w ->> 'range_bounds_histogram' IS NULL)
		ORDER BY 1
$$;
-- no rows are drawn
ANALYZE VERBOSE analyzed;
SELECT count(*), bool_and(inherited) FROM here;
SELECT * FROM differing();
SELECT reltuples FROM pg_class WHERE relname = 'analyzed';
SELECT attname, n_distinct, most_common_vals FROM here WHERE attname IN ('kind', 'empty');
-- what a column has no more does not stay
UPDATE analyzed SET kind = k, empty = 7;
ANALYZE analyzed (kind);
SELECT attname, n_distinct, most_common_vals IS NULL AS all_differ FROM here WHERE attname IN ('kind', 'empty');
ANALYZE analyzed;
SELECT attname, n_distinct, most_common_vals FROM here WHERE attname = 'empty';
SELECT * FROM differing();
-- whoever runs it, as its owner
SET client_min_messages = error;
CREATE ROLE cz_analyze_owner;
CREATE FUNCTION who(int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'run by %', current_user;
	RETURN true;
END $$;
CREATE DOMAIN trap AS int CHECK (who(VALUE));
CREATE TABLE trapped (k trap);
SELECT create_distributed_table('trapped', NULL);
ALTER TABLE trapped OWNER TO cz_analyze_owner;
INSERT INTO trapped VALUES (1), (1), (1);
SET client_min_messages = warning;
ANALYZE trapped;
SET client_min_messages = error;
SELECT most_common_vals FROM pg_stats WHERE tablename = 'trapped';
DROP TABLE trapped;
DROP DOMAIN trap;
DROP FUNCTION who;
DROP ROLE cz_analyze_owner;
RESET client_min_messages;
-- in a transaction, with its rows, and at its target
BEGIN;
DELETE FROM analyzed WHERE k > 100;
SET LOCAL default_statistics_target = 10;
ANALYZE analyzed;
SELECT reltuples FROM pg_class WHERE relname = 'analyzed';
SELECT array_length(histogram_bounds::text::int[], 1) FROM here WHERE attname = 'k';
ROLLBACK;
-- extended statistics need rows, several shards all of them, no rows none
CREATE STATISTICS both_columns ON k, kind FROM analyzed;
SET client_min_messages = warning;
ANALYZE analyzed;
SELECT count(*) FROM pg_stats_ext WHERE statistics_name = 'both_columns';
DROP STATISTICS both_columns;
TRUNCATE analyzed;
ANALYZE analyzed;
SELECT reltuples FROM pg_class WHERE relname = 'analyzed';
RESET client_min_messages;
CREATE TABLE analyzed_all (k int);
SELECT create_distributed_table('analyzed_all', 'k', shard_count => 2, colocate_with => 'none');
INSERT INTO analyzed_all SELECT generate_series(1, 100);
ANALYZE analyzed_all;
SELECT n_distinct FROM pg_stats WHERE tablename = 'analyzed_all' AND inherited;
DROP FUNCTION differing;
DROP VIEW here;
DROP TABLE analyzed, analyzed_all;

\c postgres
