-- Aggregates in two phases: what the workers compute, with and without the right to create
-- helpers there.  Coordinator, workers 1 (mapping to a superuser), 2 (to a role that may
-- create schemas, but is no superuser) and 3 (to one that may do nothing).
\set dbname cz_aggregates
\i sql/include/worker_database.inc
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
-- roles of the workers
\c postgres postgres 127.0.0.1 :worker2_port
SET client_min_messages = error;
DROP ROLE IF EXISTS cz_some; CREATE ROLE cz_some LOGIN;
GRANT CREATE ON DATABASE cz_aggregates TO cz_some;
\c postgres postgres 127.0.0.1 :worker3_port
SET client_min_messages = error;
DROP ROLE IF EXISTS cz_none; CREATE ROLE cz_none LOGIN;
\c cz_aggregates postgres 127.0.0.1 :worker3_port
CREATE SCHEMA cz_shards; GRANT ALL ON SCHEMA cz_shards TO cz_none;
\c cz_aggregates postgres 127.0.0.1 :coordinator_port
SET client_min_messages = warning;
-- the last lines of a plan: what is sent to a shard
CREATE FUNCTION sent(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    is_sql bool := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line LIKE '%Strategy: %' THEN
            RETURN NEXT ltrim(line);
        END IF;
        is_sql := CASE WHEN line LIKE '%Remote SQL: %' THEN true WHEN line ~ ': ' THEN false ELSE is_sql END;
        IF is_sql THEN
            -- whether groups come sorted is a question of costs, which each major answers otherwise
            line := regexp_replace(line, '( GROUP BY .*) ORDER BY .*', '\1');
            RETURN NEXT regexp_replace(ltrim(regexp_replace(line, '.*Remote SQL: ', '')), '_10\d{4}', '_n', 'g');
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION make_tables() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS t;
    CREATE TABLE t (k int, g text, h int, n numeric, i int, f float8);
    PERFORM create_distributed_table('t', 'k', shard_count => 4);
    INSERT INTO t SELECT x, x % 3, x % 7, x * 1.5, x % 11, x / 4.0 FROM generate_series(1, 200) x;
END $$;
\set show_options 'SELECT o FROM pg_foreign_server, unnest(srvoptions) o WHERE o LIKE ''partial%'' ORDER BY 1'

-- 1. a superuser: states travel
SELECT citus_add_node('127.0.0.1', :worker1_port) > 0 AS added;
:show_options;
SELECT make_tables();
SELECT sent('SELECT stddev(n), variance(i) FROM t');
EXPLAIN (VERBOSE, COSTS OFF) SELECT g, stddev(n) FROM t GROUP BY g;
SELECT stddev(n), variance(i) FROM t;
SELECT sent('SELECT g, avg(n), count(*), sum(f), max(i) FROM t GROUP BY g');
SELECT sent('SELECT corr(f, i), regr_count(f, i) FROM t');
SELECT sent('SELECT g, h, sum(n), grouping(g) FROM t GROUP BY ROLLUP (g, h)');
SELECT sent('SELECT count(DISTINCT g), count(DISTINCT h), sum(n) FROM t');
SELECT sent('SELECT g, count(DISTINCT h) FILTER (WHERE n > 3) FROM t GROUP BY g');
SELECT sent('SELECT count(DISTINCT k), sum(DISTINCT k), avg(n) FROM t');
SELECT sent('SELECT count(DISTINCT k), count(DISTINCT g) FROM t');
SELECT sent('SELECT ''x'' AS c, count(*) FROM t GROUP BY c');
SELECT sent('SELECT g, count(*), (SELECT max(h) FROM t) FROM t GROUP BY g HAVING count(*) > (SELECT 5)');
SELECT sent('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM t');
SELECT sent('SELECT array_agg(n) FROM t');

-- 2. aggregates of users
CREATE AGGREGATE product(numeric) (sfunc = numeric_mul, stype = numeric, combinefunc = numeric_mul, initcond = '1', parallel = safe);
SELECT sent('SELECT product(n) FROM t');
SELECT cz_distribute_aggregate('product(numeric)');
SELECT sent('SELECT product(n) FROM t');
SELECT product(1 + n / 1000)::numeric(20, 5) FROM t;
-- what PostgreSQL itself would not do in parallel
\set VERBOSITY terse
CREATE AGGREGATE no_combine(numeric) (sfunc = numeric_mul, stype = numeric, parallel = safe);
SELECT cz_distribute_aggregate('no_combine(numeric)');
CREATE AGGREGATE unsafe(numeric) (sfunc = numeric_mul, stype = numeric, combinefunc = numeric_mul);
SELECT cz_distribute_aggregate('unsafe(numeric)');
CREATE AGGREGATE poly(anyelement) (sfunc = array_append, stype = anyarray, combinefunc = array_cat, parallel = safe);
CREATE AGGREGATE poly(anycompatible) (sfunc = array_append, stype = anycompatiblearray, combinefunc = array_cat, parallel = safe);
SELECT cz_distribute_aggregate('poly(anycompatible)');
SELECT cz_distribute_aggregate('numeric_mul(numeric, numeric)');
SELECT cz_distribute_aggregate('percentile_cont(float8, float8)');
SELECT cz_distribute_aggregate('avg(numeric)');
CREATE ROLE cz_aggregates_user;
SET ROLE cz_aggregates_user;
SELECT cz_distribute_aggregate('product(numeric)');
SELECT product(h), stddev(n) FROM generate_series(1, 3) h, generate_series(1, 4) n;
-- nobody makes states up
SELECT cz.combine('avg(numeric)', '\x00'::bytea, 1.0);
SELECT cz.combine(NULL, '\x00'::bytea, 1.0);
SELECT cz.combine_step(NULL, NULL, 1, 1);
RESET ROLE;
GRANT SELECT ON t TO cz_aggregates_user;
REVOKE EXECUTE ON FUNCTION product(numeric) FROM PUBLIC;
SET ROLE cz_aggregates_user;
SELECT variance(i) FROM t;
SELECT product(n) FROM t;
RESET ROLE;
-- an aggregate that is computed by others is forbidden all the same
REVOKE EXECUTE ON FUNCTION avg(numeric), percentile_disc(float8, anyelement) FROM PUBLIC;
SET ROLE cz_aggregates_user;
SELECT avg(n) FROM t;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM t;
SELECT avg(i) FROM t;
RESET ROLE;
GRANT EXECUTE ON FUNCTION avg(numeric), percentile_disc(float8, anyelement) TO PUBLIC;
ALTER SERVER node_1 OPTIONS (SET partial_aggregates 'plain');
-- a worker that comes later gets them too
DROP TABLE t;
SELECT citus_add_node('127.0.0.1', :worker2_port) > 0 AS added;
:show_options;
SELECT make_tables();
SELECT sent('SELECT product(n) FROM t');
SELECT product(1 + n / 1000)::numeric(20, 5) FROM t;
DROP TABLE t;
SELECT citus_remove_node('127.0.0.1', :worker2_port);
DROP AGGREGATE product(numeric);
SELECT count(*) FROM pg_proc WHERE pronamespace = 'cz_partial'::regnamespace AND proname LIKE 'product%';

-- 3. no superuser: no internal states, but others
\c cz_aggregates postgres 127.0.0.1 :worker2_port
SET client_min_messages = warning;
DROP SCHEMA cz_partial CASCADE;
DROP SCHEMA IF EXISTS cz_shards CASCADE;
\c cz_aggregates postgres 127.0.0.1 :coordinator_port
SET client_min_messages = warning;
CREATE SERVER w2 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker2_port', dbname 'cz_aggregates');
CREATE USER MAPPING FOR PUBLIC SERVER w2 OPTIONS (user 'cz_some', password_required 'false');
SELECT citus_activate_node('127.0.0.1', :worker2_port) > 0 AS added;
:show_options;
SELECT make_tables();
SELECT sent('SELECT variance(i) FROM t');
SELECT sent('SELECT stddev(n) FROM t');
SELECT stddev(n), variance(i) FROM t;
CREATE AGGREGATE slope(float8, float8) (sfunc = float8_regr_accum, stype = float8[], combinefunc = float8_regr_combine, finalfunc = float8_regr_slope, initcond = '{0,0,0,0,0,0}', parallel = safe);
SELECT cz_distribute_aggregate('slope(float8, float8)');
SELECT sent('SELECT slope(f, k) FROM t');
SELECT slope(f, k), regr_slope(f, k) FROM t;
-- later it may
\c cz_aggregates postgres 127.0.0.1 :worker2_port
ALTER ROLE cz_some SUPERUSER;
\c cz_aggregates postgres 127.0.0.1 :coordinator_port
SELECT citus_activate_node('127.0.0.1', :worker2_port) > 0 AS active;
:show_options;
SELECT sent('SELECT variance(i) FROM t');
SELECT variance(i) FROM t;
SET client_min_messages = warning;
DROP TABLE t;
-- 4. no rights at all
CREATE SERVER w3 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker3_port', dbname 'cz_aggregates');
CREATE USER MAPPING FOR PUBLIC SERVER w3 OPTIONS (user 'cz_none', password_required 'false');
SELECT citus_activate_node('127.0.0.1', :worker3_port) > 0 AS added;
:show_options;
SELECT make_tables();
SELECT sent('SELECT variance(i), slope(f, k) FROM t');
SELECT stddev(n), variance(i), slope(f, k) FROM t;
SELECT cz_distribute_aggregate('slope(float8, float8)');
-- NaN has no scale
SELECT cz.numeric_statistic(3, 'NaN', 'NaN', true, true), cz.numeric_statistic(2, 'Infinity', 'Infinity', false, true);
DROP TABLE t;
DROP OWNED BY cz_aggregates_user;
DROP ROLE cz_aggregates_user;
