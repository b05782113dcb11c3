-- What plans over fragments use.

CREATE FUNCTION cz.fragment_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cz_fragment_support';
COMMENT ON FUNCTION cz.fragment_support(internal) IS
    'internal: tells the planner how many rows fragments return';

CREATE FUNCTION cz.fragment(int) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SUPPORT cz.fragment_support
    AS 'MODULE_PATHNAME', 'cz_fragment';
COMMENT ON FUNCTION cz.fragment(int) IS
    'internal: stands for the rows of fragments while a query is planned';

CREATE FUNCTION cz.check_new_row(kind int, relation text, policy text, before boolean,
                                 passes boolean)
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'check_new_row';
COMMENT ON FUNCTION cz.check_new_row(int, text, text, boolean, boolean) IS
    'internal: raises an error if a new row does not pass WITH CHECK';

CREATE FUNCTION cz.cursor_row(cursor refcursor, relid oid) RETURNS tid
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cursor_row';
COMMENT ON FUNCTION cz.cursor_row(refcursor, oid) IS
    'internal: the row of a distributed table that a cursor stands on';

CREATE FUNCTION cz.cursor_value(cursor refcursor, relid oid, attno int, changes_key boolean,
                                type anyelement) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'cursor_value';
COMMENT ON FUNCTION cz.cursor_value(refcursor, oid, int, boolean, anyelement) IS
    'internal: a column of the row of a distributed table that a cursor stands on';

CREATE FUNCTION cz.row_partition(root oid, marker oid, attnos int[], VARIADIC "any") RETURNS oid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'row_partition';
COMMENT ON FUNCTION cz.row_partition(oid, oid, int[], "any") IS
    'internal: tableoid of a row of a distributed partitioned table, by these columns; NULL if marker is';

CREATE FUNCTION cz.defer_trigger() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'defer_trigger';
COMMENT ON FUNCTION cz.defer_trigger() IS
    'internal: stands for the function of a deferrable trigger of a distributed table';
REVOKE ALL ON FUNCTION cz.defer_trigger() FROM PUBLIC;

CREATE FUNCTION cz.numeric_statistic(n numeric, sum_x numeric, sum_x2 numeric,
                                     is_sample boolean, is_stddev boolean)
    RETURNS numeric
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'numeric_statistic';
COMMENT ON FUNCTION cz.numeric_statistic(numeric, numeric, numeric, boolean, boolean) IS
    'internal: variance or standard deviation from count, sum and sum of squares';

CREATE AGGREGATE cz.float8_avg(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_avg, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_var_pop(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_pop, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_var_samp(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_variance(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_var_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev_pop(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_pop, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev_samp(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_samp, initcond = '{0,0,0}', parallel = safe);
CREATE AGGREGATE cz.float8_stddev(float8[]) (
    sfunc = pg_catalog.float8_combine, stype = float8[],
    finalfunc = pg_catalog.float8_stddev_samp, initcond = '{0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_avg(float8[]) IS 'internal: combines transition states of avg(float8)';
COMMENT ON AGGREGATE cz.float8_var_pop(float8[]) IS 'internal: combines transition states of var_pop(float8)';
COMMENT ON AGGREGATE cz.float8_var_samp(float8[]) IS 'internal: combines transition states of var_samp(float8)';
COMMENT ON AGGREGATE cz.float8_variance(float8[]) IS 'internal: combines transition states of variance(float8)';
COMMENT ON AGGREGATE cz.float8_stddev_pop(float8[]) IS 'internal: combines transition states of stddev_pop(float8)';
COMMENT ON AGGREGATE cz.float8_stddev_samp(float8[]) IS 'internal: combines transition states of stddev_samp(float8)';
COMMENT ON AGGREGATE cz.float8_stddev(float8[]) IS 'internal: combines transition states of stddev(float8)';
CREATE AGGREGATE cz.float8_corr(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_corr, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_corr(float8[]) IS 'internal: combines transition states of corr(float8, float8)';
CREATE AGGREGATE cz.float8_covar_pop(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_covar_pop, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_covar_pop(float8[]) IS 'internal: combines transition states of covar_pop(float8, float8)';
CREATE AGGREGATE cz.float8_covar_samp(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_covar_samp, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_covar_samp(float8[]) IS 'internal: combines transition states of covar_samp(float8, float8)';
CREATE AGGREGATE cz.float8_regr_avgx(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_avgx, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_avgx(float8[]) IS 'internal: combines transition states of regr_avgx(float8, float8)';
CREATE AGGREGATE cz.float8_regr_avgy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_avgy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_avgy(float8[]) IS 'internal: combines transition states of regr_avgy(float8, float8)';
CREATE AGGREGATE cz.float8_regr_intercept(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_intercept, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_intercept(float8[]) IS 'internal: combines transition states of regr_intercept(float8, float8)';
CREATE AGGREGATE cz.float8_regr_r2(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_r2, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_r2(float8[]) IS 'internal: combines transition states of regr_r2(float8, float8)';
CREATE AGGREGATE cz.float8_regr_slope(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_slope, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_slope(float8[]) IS 'internal: combines transition states of regr_slope(float8, float8)';
CREATE AGGREGATE cz.float8_regr_sxx(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_sxx, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_sxx(float8[]) IS 'internal: combines transition states of regr_sxx(float8, float8)';
CREATE AGGREGATE cz.float8_regr_sxy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_sxy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_sxy(float8[]) IS 'internal: combines transition states of regr_sxy(float8, float8)';
CREATE AGGREGATE cz.float8_regr_syy(float8[]) (
    sfunc = pg_catalog.float8_regr_combine, stype = float8[],
    finalfunc = pg_catalog.float8_regr_syy, initcond = '{0,0,0,0,0,0}', parallel = safe);
COMMENT ON AGGREGATE cz.float8_regr_syy(float8[]) IS 'internal: combines transition states of regr_syy(float8, float8)';

-- Transition states of aggregates, sent by the workers and combined here.  Schema cz_partial
-- has, here and on the workers, aggregates that return the state of another one.
CREATE SCHEMA cz_partial;
COMMENT ON SCHEMA cz_partial IS 'aggregates that return transition states of others';
GRANT USAGE ON SCHEMA cz_partial TO PUBLIC;

-- Nobody can write a value of this type, so nobody can have a state of his making combined.
CREATE TYPE cz.aggregate_name;
CREATE FUNCTION cz.aggregate_name_in(cstring) RETURNS cz.aggregate_name
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'aggregate_name_in';
COMMENT ON FUNCTION cz.aggregate_name_in(cstring) IS 'internal: refuses';
CREATE FUNCTION cz.aggregate_name_out(cz.aggregate_name) RETURNS cstring
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'aggregate_name_out';
COMMENT ON FUNCTION cz.aggregate_name_out(cz.aggregate_name) IS 'internal: the aggregate''s name';
CREATE TYPE cz.aggregate_name (
    input = cz.aggregate_name_in, output = cz.aggregate_name_out,
    internallength = 4, passedbyvalue, alignment = int4);
COMMENT ON TYPE cz.aggregate_name IS 'internal: an aggregate whose states are combined';

CREATE FUNCTION cz.combine_step(internal, cz.aggregate_name, anyelement, anycompatible)
    RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'combine_step';
COMMENT ON FUNCTION cz.combine_step(internal, cz.aggregate_name, anyelement, anycompatible) IS
    'internal: adds a transition state';
CREATE FUNCTION cz.combine_final(internal, cz.aggregate_name, anyelement, anycompatible)
    RETURNS anycompatible
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'combine_final';
COMMENT ON FUNCTION cz.combine_final(internal, cz.aggregate_name, anyelement, anycompatible) IS
    'internal: finishes combined transition states';
CREATE AGGREGATE cz.combine(aggregate cz.aggregate_name, state anyelement, result anycompatible) (
    sfunc = cz.combine_step, stype = internal,
    finalfunc = cz.combine_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE cz.combine(cz.aggregate_name, anyelement, anycompatible) IS
    'internal: combines transition states of an aggregate';

-- One for each transition function; order of rows does not matter to these.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT DISTINCT tp.proname, a.aggtransfn, a.aggserialfn,
               pg_get_function_identity_arguments(a.aggfnoid) AS args
        FROM pg_aggregate a
        JOIN pg_proc tp ON tp.oid = a.aggtransfn
        JOIN pg_proc sp ON sp.oid = a.aggserialfn
        WHERE a.aggkind = 'n' AND a.agginitval IS NULL
            AND a.aggfnoid < 16384
            AND sp.proname IN ('numeric_serialize', 'numeric_poly_serialize')
        ORDER BY 1, 2
    LOOP
        EXECUTE format('CREATE AGGREGATE cz_partial.%I(%s) (sfunc = %s, stype = internal, finalfunc = %s, parallel = safe)',
                       r.proname, r.args, r.aggtransfn, r.aggserialfn);
        EXECUTE format('COMMENT ON AGGREGATE cz_partial.%I(%s) IS %L', r.proname, r.args,
                       'internal: returns the transition state of aggregates');
    END LOOP;
END
$$;

CREATE FUNCTION pg_catalog.cz_distribute_aggregate(aggregate regprocedure)
    RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_distribute_aggregate';
COMMENT ON FUNCTION pg_catalog.cz_distribute_aggregate(regprocedure) IS
    'lets the workers compute an aggregate of yours in part, with its functions created there';

-- Ordered-set aggregates over values with counts, sorted by ORDER BY of the call.
CREATE FUNCTION cz.weighted_step(internal, float8, anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_step';
CREATE FUNCTION cz.weighted_step(internal, float8[], anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_step';
CREATE FUNCTION cz.weighted_disc(internal, float8, anyelement, int8) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_disc';
CREATE FUNCTION cz.weighted_disc(internal, float8[], anyelement, int8) RETURNS anyarray
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_disc_array';
CREATE FUNCTION cz.weighted_cont(internal, float8, float8, int8) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont';
CREATE FUNCTION cz.weighted_cont(internal, float8, interval, int8) RETURNS interval
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont';
CREATE FUNCTION cz.weighted_cont(internal, float8[], float8, int8) RETURNS float8[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont_array';
CREATE FUNCTION cz.weighted_cont(internal, float8[], interval, int8) RETURNS interval[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_cont_array';
CREATE FUNCTION cz.weighted_mode_step(internal, anyelement, int8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_mode_step';
CREATE FUNCTION cz.weighted_mode(internal, anyelement, int8) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weighted_mode';
COMMENT ON FUNCTION cz.weighted_step(internal, float8, anyelement, int8) IS 'internal: keeps values and counts';
COMMENT ON FUNCTION cz.weighted_step(internal, float8[], anyelement, int8) IS 'internal: keeps values and counts';
COMMENT ON FUNCTION cz.weighted_disc(internal, float8, anyelement, int8) IS 'internal: finishes percentile_disc';
COMMENT ON FUNCTION cz.weighted_disc(internal, float8[], anyelement, int8) IS 'internal: finishes percentile_disc';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8, float8, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8, interval, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8[], float8, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_cont(internal, float8[], interval, int8) IS 'internal: finishes percentile_cont';
COMMENT ON FUNCTION cz.weighted_mode_step(internal, anyelement, int8) IS 'internal: counts equal values';
COMMENT ON FUNCTION cz.weighted_mode(internal, anyelement, int8) IS 'internal: finishes mode';
CREATE AGGREGATE cz.percentile_disc(fraction float8, value anyelement, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_disc, finalfunc_extra);
CREATE AGGREGATE cz.percentile_disc(fraction float8[], value anyelement, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_disc, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8, value float8, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8, value interval, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8[], value float8, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.percentile_cont(fraction float8[], value interval, count int8) (
    sfunc = cz.weighted_step, stype = internal, finalfunc = cz.weighted_cont, finalfunc_extra);
CREATE AGGREGATE cz.mode(value anyelement, count int8) (
    sfunc = cz.weighted_mode_step, stype = internal, finalfunc = cz.weighted_mode, finalfunc_extra);
COMMENT ON AGGREGATE cz.percentile_disc(float8, anyelement, int8) IS 'internal: percentile_disc of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_disc(float8[], anyelement, int8) IS 'internal: percentile_disc of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8, float8, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8, interval, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8[], float8, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.percentile_cont(float8[], interval, int8) IS 'internal: percentile_cont of values that come count times, in order';
COMMENT ON AGGREGATE cz.mode(anyelement, int8) IS 'internal: mode of values that come count times, in order';
