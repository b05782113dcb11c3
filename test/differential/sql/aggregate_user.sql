-- Aggregates of users: with and without a combine function, strict and not, with and without an initial value and a final
-- function, over nothing, over NULLs, replaced, dropped.
CREATE TABLE t (k int, g int, x int, f float8, n numeric, s text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i % 5, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 100 END, CASE WHEN i % 6 = 0 THEN NULL ELSE i / 8.0 END,
  CASE WHEN i % 11 = 0 THEN NULL ELSE i * 1.01 END, CASE WHEN i % 4 = 0 THEN NULL ELSE 's' || i % 9 END FROM generate_series(1, 300) i;
INSERT INTO t SELECT 1000 + i, 9, NULL, NULL, NULL, NULL FROM generate_series(1, 20) i;
-- built-in functions only
CREATE AGGREGATE my_sum(int) (sfunc = int4pl, stype = int, combinefunc = int4pl, parallel = safe);
CREATE AGGREGATE my_sum0(int) (sfunc = int4pl, stype = int, combinefunc = int4pl, initcond = '0', parallel = safe);
CREATE AGGREGATE my_product(numeric) (sfunc = numeric_mul, stype = numeric, combinefunc = numeric_mul, initcond = '1', parallel = safe);
CREATE AGGREGATE my_avg(float8) (sfunc = float8_accum, stype = float8[], combinefunc = float8_combine, finalfunc = float8_avg, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE my_slope(float8, float8) (sfunc = float8_regr_accum, stype = float8[], combinefunc = float8_regr_combine, finalfunc = float8_regr_slope, initcond = '{0,0,0,0,0,0}', parallel = safe);
CREATE AGGREGATE my_stddev(numeric) (sfunc = numeric_accum, stype = internal, serialfunc = numeric_serialize, deserialfunc = numeric_deserialize, combinefunc = numeric_combine, finalfunc = numeric_stddev_samp, parallel = safe);
CREATE AGGREGATE my_count(*) (sfunc = int8inc, stype = int8, combinefunc = int8pl, initcond = '0', parallel = safe);
CREATE AGGREGATE my_alone(int) (sfunc = int4larger, stype = int);
SELECT cz_distribute_aggregate('my_sum(int)');
SELECT cz_distribute_aggregate('my_sum0(int)');
SELECT cz_distribute_aggregate('my_product(numeric)');
SELECT cz_distribute_aggregate('my_avg(float8)');
SELECT cz_distribute_aggregate('my_slope(float8, float8)');
SELECT cz_distribute_aggregate('my_stddev(numeric)');
SELECT cz_distribute_aggregate('my_count()'::regprocedure);
-- functions of ours
CREATE FUNCTION cat_step(s text, v text) RETURNS text IMMUTABLE PARALLEL SAFE LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT greatest(coalesce(s, ''), coalesce(v, '!')) $$;
CREATE FUNCTION cat_join(a text, b text) RETURNS text IMMUTABLE PARALLEL SAFE LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT greatest(a, b) $$;
CREATE FUNCTION cat_done(s text) RETURNS text IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN RETURN coalesce('<' || s || '>', 'nothing'); END $$;
CREATE AGGREGATE cat(text) (sfunc = cat_step, stype = text, combinefunc = cat_join, finalfunc = cat_done, parallel = safe);
SELECT cz_distribute_aggregate('cat(text)');
CREATE TYPE span AS (lo int, hi int);
CREATE FUNCTION span_step(s span, v int) RETURNS span IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$ SELECT ROW(least((s).lo, v), greatest((s).hi, v)) $$;
CREATE FUNCTION span_join(a span, b span) RETURNS span IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$ SELECT ROW(least((a).lo, (b).lo), greatest((a).hi, (b).hi)) $$;
CREATE FUNCTION span_width(s span) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$ SELECT (s).hi - (s).lo $$;
CREATE AGGREGATE width(int) (sfunc = span_step, stype = span, combinefunc = span_join, finalfunc = span_width, parallel = safe);
SELECT cz_distribute_aggregate('width(int)');
CREATE AGGREGATE width_extra(int) (sfunc = span_step, stype = span, combinefunc = span_join, parallel = safe);
SELECT cz_distribute_aggregate('width_extra(int)');
SELECT my_sum(x), my_sum0(x), my_product(1 + n / 1000000), my_avg(f), my_slope(f, x), my_stddev(n), my_count(*), my_alone(x), cat(s), width(x), width_extra(x) FROM t;
SELECT my_sum(x), my_sum0(x), my_count(*), my_slope(f, x), cat(s), width(x) FROM t;
SELECT g, my_sum(x), my_sum0(x), my_avg(f), my_slope(f, x), my_stddev(n), my_count(*), cat(s), width(x) FROM t GROUP BY g ORDER BY g;
SELECT g, my_sum(x) FILTER (WHERE x > 50), my_stddev(n) FILTER (WHERE n > 100), cat(s) FILTER (WHERE false), my_count(*) FILTER (WHERE x IS NULL) FROM t GROUP BY g ORDER BY g;
SELECT my_sum(x), my_sum0(x), my_product(n), my_avg(f), my_slope(f, x), my_stddev(n), my_count(*), cat(s), width(x) FROM t WHERE k < 0;
SELECT g, my_sum(x), cat(s) FROM t WHERE k < 0 GROUP BY g;
SELECT g, my_sum(x), my_stddev(n), cat(s) FROM t WHERE k < 0 GROUP BY GROUPING SETS ((g), ());
SELECT my_sum(x), my_stddev(n), cat(s) FROM t WHERE g = 9;
SELECT g, x % 2, my_sum(x), my_stddev(n), count(*), cat(s), grouping(g) FROM t GROUP BY CUBE (g, x % 2) ORDER BY 1, 2, 5, 7;
SELECT my_sum(DISTINCT x), my_avg(DISTINCT f), my_stddev(DISTINCT n), cat(DISTINCT s), my_sum(x) FROM t;
SELECT my_sum(DISTINCT k), my_stddev(DISTINCT k), count(DISTINCT k) FROM t WHERE k < 100;
SELECT g, my_sum(x), sum(my_sum(x)) OVER (ORDER BY g), rank() OVER (ORDER BY my_avg(f) DESC) FROM t GROUP BY g HAVING my_sum(x) > 10 ORDER BY g;
SELECT k, my_sum(x), cat(s) FROM t WHERE k < 10 GROUP BY k ORDER BY k;
SELECT g, (width_extra(x)).lo, (width_extra(x)).hi FROM t GROUP BY g ORDER BY g;
SELECT my_sum(x ORDER BY k), cat(s ORDER BY k) FROM t;
SELECT my_sum(x) OVER (PARTITION BY g ORDER BY k) FROM t WHERE k < 20 ORDER BY k;
SELECT stddev(n), variance(n), var_pop(n * n), stddev(x::numeric), stddev_pop(x), var_samp(x::smallint), variance(x::bigint) FROM t;
SELECT g, stddev(n), stddev(x), variance(n) FROM t GROUP BY g ORDER BY g;
SELECT stddev(v), variance(v) FROM (SELECT CASE WHEN k = 5 THEN 'NaN' ELSE n END v FROM t) u;
SELECT stddev(v), variance(v) FROM (SELECT CASE WHEN k = 5 THEN 'Infinity' ELSE n END v FROM t) u;
SELECT stddev(n) FROM t WHERE k = 3;
SELECT stddev(n), var_pop(n) FROM t WHERE k IN (3, 4, 5);
PREPARE p(int) AS SELECT g, my_sum(x + $1), my_stddev(n + $1), cat(s) FILTER (WHERE x > $1) FROM t GROUP BY g ORDER BY g;
EXECUTE p(1);
EXECUTE p(30);
-- errors come through
CREATE FUNCTION bad_step(s int, v int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$ SELECT s + 1 / (v - 50) $$;
CREATE AGGREGATE bad(int) (sfunc = bad_step, stype = int, combinefunc = int4pl, initcond = '0', parallel = safe);
SELECT cz_distribute_aggregate('bad(int)');
-- error
SELECT bad(x) FROM t;
SELECT bad(x) FROM t WHERE x > 60;
-- replaced functions and aggregates
CREATE OR REPLACE FUNCTION bad_step(s int, v int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$ SELECT s + 2 * v $$;
SELECT bad(x) FROM t WHERE x IS NOT NULL;
CREATE OR REPLACE AGGREGATE my_sum0(int) (sfunc = int4pl, stype = int, combinefunc = int4pl, initcond = '0');
SELECT my_sum0(x) FROM t;
CREATE OR REPLACE AGGREGATE my_sum(int) (sfunc = int4larger, stype = int, combinefunc = int4larger, parallel = safe);
SELECT my_sum(x), g FROM t GROUP BY g ORDER BY g;
SELECT cz_distribute_aggregate('my_sum(int)');
SELECT my_sum(x), g FROM t GROUP BY g ORDER BY g;
EXECUTE p(2);
ALTER AGGREGATE my_avg(float8) RENAME TO my_mean;
SELECT my_mean(f) FROM t;
DROP AGGREGATE width(int);
DROP AGGREGATE width_extra(int);
DROP FUNCTION span_step(span, int);
-- error
SELECT width(x) FROM t;
DROP AGGREGATE cat(text);
DROP FUNCTION cat_step(text, text);
-- what cannot be distributed is computed all the same
CREATE AGGREGATE my_list(anycompatible) (sfunc = array_append, stype = anycompatiblearray, initcond = '{}');
SELECT my_list(x ORDER BY k) FROM t WHERE k < 10;
