-- The planner's estimates of distributed tables are about those of plain ones: rows within
-- a factor of 2 of what a query returns, on skewed data; widths and indexes' uniqueness.
-- The picture: three workers, 8 shards, statistics by ANALYZE.
CREATE SCHEMA estimates;
SET search_path TO estimates;
SET cz.shard_count = 8;

-- rows that EXPLAIN expects, and whether they are within a factor of 2 (of at least 5 rows)
CREATE FUNCTION expected_rows(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Plan Rows')::float8;
END $$;
CREATE FUNCTION is_good(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    real_rows float8;
    expected float8 := expected_rows(query);
BEGIN
    EXECUTE 'SELECT count(*) FROM (' || query || ') x' INTO real_rows;
    IF greatest(expected, 5) > 2 * greatest(real_rows, 5) OR greatest(real_rows, 5) > 2 * greatest(expected, 5) THEN
        RAISE NOTICE 'expected %, got %', expected, real_rows;
        RETURN false;
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION expected_width(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Plan Width')::int;
END $$;

-- half of the rows have the value 0, a quarter 1, ...; the key is unique, one column has NULLs
CREATE TABLE skewed (k int PRIMARY KEY, v int, grp int, note text);
INSERT INTO skewed SELECT i, (SELECT count(*) FROM generate_series(1, 12) b WHERE i % (2 ^ b)::int = 0),
    i % 50, CASE WHEN i % 4 = 0 THEN repeat('x', 40) END FROM generate_series(1, 16384) i;
CREATE TABLE dim (id int PRIMARY KEY, name text);
INSERT INTO dim SELECT i, 'name ' || i FROM generate_series(0, 49) i;
CREATE TABLE other (k int, w int);
INSERT INTO other SELECT i, i % 100 FROM generate_series(1, 2000) i;

-- distributed without statistics, they are the local table's
ANALYZE skewed;
SELECT create_distributed_table('skewed', 'k');
SELECT count(*), bool_and(inherited) FROM pg_stats WHERE schemaname = 'estimates' AND tablename = 'skewed';
SELECT is_good('SELECT * FROM skewed WHERE v = 0');
SELECT create_distributed_table('other', 'k');
SELECT create_reference_table('dim');
ANALYZE skewed, other, dim;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('skewed'::regclass, 'other'::regclass) ORDER BY 1;
-- each worker's planner knows its shards
SELECT count(*) FROM pg_stats WHERE schemaname = 'estimates' AND inherited;

-- one table
SELECT v, is_good('SELECT * FROM skewed WHERE v = ' || v) FROM generate_series(0, 6) v;
SELECT is_good('SELECT * FROM skewed WHERE k < 1000');
SELECT is_good('SELECT * FROM skewed WHERE note IS NULL');
SELECT is_good('SELECT * FROM skewed WHERE v = 0 AND grp = 1');
SELECT is_good('SELECT * FROM skewed WHERE k = 77');
SELECT is_good('SELECT * FROM skewed WHERE grp IN (1, 2, 3)');
SELECT is_good('SELECT * FROM skewed LIMIT 10');
SELECT is_good('SELECT * FROM skewed ORDER BY v DESC, k LIMIT 10 OFFSET 5');
-- groups
SELECT is_good('SELECT v, count(*) FROM skewed GROUP BY v');
SELECT is_good('SELECT k, count(*) FROM skewed GROUP BY k');
SELECT is_good('SELECT v, grp, count(*) FROM skewed GROUP BY v, grp');
SELECT is_good('SELECT DISTINCT grp FROM skewed');
SELECT is_good('SELECT count(*) FROM skewed');
SELECT is_good('SELECT grp, count(*) FROM skewed WHERE v > 3 GROUP BY grp');
-- joins: with its own key, with a reference table, on another column, with a local table
SELECT is_good('SELECT * FROM skewed JOIN other USING (k)');
SELECT is_good('SELECT * FROM skewed JOIN other USING (k) WHERE v = 1');
SELECT is_good('SELECT * FROM skewed JOIN dim ON dim.id = grp WHERE v = 2');
SELECT is_good('SELECT * FROM other JOIN skewed ON other.w = skewed.k');
SELECT is_good('SELECT * FROM skewed s JOIN skewed t ON s.k = t.grp WHERE t.v = 3');
SELECT is_good('SELECT grp, count(*) FROM skewed JOIN other USING (k) GROUP BY grp');
CREATE TABLE here AS SELECT i AS a, i % 3 AS b FROM generate_series(1, 300) i;
ANALYZE here;
SELECT is_good('SELECT * FROM here JOIN skewed ON here.a = skewed.k');
SELECT is_good('SELECT * FROM here WHERE a IN (SELECT w FROM other)');
-- sub-queries and CTEs
SELECT is_good('SELECT * FROM (SELECT v, grp FROM skewed WHERE k < 8000) x WHERE v = 0');
SELECT is_good('WITH x AS MATERIALIZED (SELECT v, count(*) c FROM skewed GROUP BY v) SELECT * FROM x JOIN other ON other.w = x.v');
SELECT is_good('SELECT * FROM skewed TABLESAMPLE bernoulli (25)');

-- widths are those of the columns, as of a plain table
SELECT expected_width('SELECT k, v FROM skewed'), expected_width('SELECT note FROM skewed WHERE v = 0') BETWEEN 35 AND 45;

-- an estimate shows nothing to who may not see a column, and works for him
CREATE ROLE cz_estimates_reader;
GRANT USAGE ON SCHEMA estimates TO cz_estimates_reader;
GRANT SELECT (k) ON skewed TO cz_estimates_reader;
CREATE FUNCTION leak(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1 = $2; END $$;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = leak, RESTRICT = eqsel);
SET ROLE cz_estimates_reader;
EXPLAIN (COSTS OFF, SUMMARY OFF) SELECT k FROM skewed WHERE v OPERATOR(estimates.===) 3;
RESET ROLE;

-- no statistics at all is no obstacle
CREATE TABLE unknown (k int, v int);
SELECT create_distributed_table('unknown', 'k');
SELECT expected_rows('SELECT * FROM unknown') > 0, expected_rows('SELECT v, count(*) FROM unknown GROUP BY v') > 0;
-- but a table that was analyzed when it was empty is empty
ANALYZE unknown;
SELECT expected_rows('SELECT * FROM unknown'), expected_rows('SELECT a.v + b.v FROM unknown a, unknown b');

SELECT undistribute_table('other');
SELECT count(*), bool_or(inherited) FROM pg_stats WHERE schemaname = 'estimates' AND tablename = 'other';

DROP SCHEMA estimates CASCADE;
DROP ROLE cz_estimates_reader;
