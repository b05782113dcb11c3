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
