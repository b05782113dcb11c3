-- Groups, windows and set operations that are whole on a shard: what is sent, and what remains
-- to be done here.  Three workers, 4 shards.
\set dbname cz_groups
\i sql/include/worker_database.inc
\i sql/include/workers.inc
SET client_min_messages = warning;
SET cz.shard_count = 4;
-- the strategy, the nodes of the plan, and what is sent to a shard
CREATE FUNCTION sent(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line ~ 'Strategy: |^ *(->|[A-Z][A-Za-z]*$)' OR line ~ 'Merge Key|Remote SQL' THEN
            RETURN NEXT regexp_replace(ltrim(line), '_1\d{5}', '_n', 'g');
        END IF;
    END LOOP;
END $$;
CREATE TABLE t (k int, x int, s text, c text COLLATE "C", n int);
CREATE TABLE u (k int PRIMARY KEY, x int);
SELECT create_distributed_table('t', 'k'), create_distributed_table('u', 'k');
INSERT INTO t SELECT i % 17, i % 5, i % 3, i % 7, i FROM generate_series(1, 500) i;
INSERT INTO u SELECT i, i % 4 FROM generate_series(1, 12) i;
ANALYZE t;
ANALYZE u;

-- each shard's first groups
SELECT sent('SELECT k, sum(n) FROM t GROUP BY k ORDER BY 2 DESC, 1 LIMIT 10');
SELECT sent('SELECT k, c, count(*) FROM t GROUP BY k, c HAVING count(*) > 3 ORDER BY c, k LIMIT 3 OFFSET 2');
SELECT sent('SELECT k FROM t GROUP BY k ORDER BY count(*) DESC FETCH FIRST 2 ROWS WITH TIES');
SELECT sent('SELECT DISTINCT count(*) FROM t GROUP BY k ORDER BY 1 LIMIT 2');
SELECT sent('SELECT u.k, sum(n) FROM u JOIN t USING (k) GROUP BY u.k ORDER BY 2 DESC LIMIT 3');
SELECT sent('SELECT k, x, count(*) FROM t GROUP BY k, ROLLUP (x) ORDER BY 3 DESC LIMIT 3');
SELECT sent('SELECT k, x, rank() OVER (PARTITION BY k ORDER BY count(*)) r FROM t GROUP BY k, x ORDER BY r DESC LIMIT 3');
SELECT sent('SELECT k, n, lag(n) OVER (PARTITION BY k ORDER BY n) l FROM t ORDER BY l LIMIT 3');
SELECT sent('SELECT k, x FROM t EXCEPT SELECT k, x FROM u ORDER BY x LIMIT 3');
-- all its groups, where something after them is to be done here
SELECT sent('SELECT k, sum(n), rank() OVER (ORDER BY sum(n) DESC) FROM t GROUP BY k HAVING count(*) > 2');
SELECT sent('SELECT k, s, percentile_cont(.5) WITHIN GROUP (ORDER BY n) FROM t GROUP BY k, s ORDER BY s LIMIT 3');
SELECT sent('SELECT k, generate_series(1, count(*)) FROM t GROUP BY k ORDER BY 2 LIMIT 3');
-- groups that span shards
SELECT sent('SELECT x, sum(n) FROM t GROUP BY x ORDER BY 2 DESC LIMIT 2');
SELECT sent('SELECT k, x, count(*) FROM t GROUP BY GROUPING SETS ((k, x), (x)) ORDER BY 3 DESC LIMIT 3');

SELECT k, sum(n) FROM t GROUP BY k ORDER BY 2 DESC, 1 LIMIT 3;
SELECT k, x, count(*), rank() OVER (ORDER BY count(*) DESC, k, x) FROM t GROUP BY k, x HAVING max(n) > 490 ORDER BY 4 LIMIT 3;
SELECT k, x FROM t EXCEPT SELECT k, x FROM u ORDER BY x DESC, k DESC LIMIT 2 OFFSET 1;
-- by an expression of which nothing is known: the rows of a worker's shards are one DISTINCT
CREATE TABLE w (k int, n int);
SELECT create_distributed_table('w', 'k', shard_count => 32);
INSERT INTO w SELECT i % 999, i FROM generate_series(1, 60000) i;
ANALYZE w;
CREATE FUNCTION is_merged(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        IF line ~ 'merged by node' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
-- from 16 on the order of the rows saves a sort, too
DO $$ BEGIN PERFORM set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_presorted_aggregate'; END $$;
SELECT is_merged('SELECT count(DISTINCT n / 10) FROM w') AS expression, is_merged('SELECT count(DISTINCT n) FROM w') AS every_row,
  is_merged('SELECT n / 10, count(*) FROM w GROUP BY 1') AS grouped, is_merged('SELECT count(DISTINCT k + n) FROM w GROUP BY k') AS by_key;
SELECT count(DISTINCT n / 10), count(DISTINCT n % 7 + k) FROM w;

\c postgres
DROP DATABASE cz_groups WITH (FORCE);
