-- How shards are spread over the nodes, and what moves them.

CREATE FUNCTION pg_catalog.citus_shard_cost_1(bigint) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_cost_1';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_1(bigint)
    IS 'cost of a shard for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint) RETURNS float4
    LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'citus_shard_cost_by_disk_size';
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint)
    IS 'cost of a shard for rebalance strategies: bytes of it and of the shards that are colocated with it';
CREATE FUNCTION pg_catalog.citus_node_capacity_1(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_node_capacity_1';
COMMENT ON FUNCTION pg_catalog.citus_node_capacity_1(int)
    IS 'capacity of a node for rebalance strategies: all are equal';
CREATE FUNCTION pg_catalog.cz_node_capacity_by_weight(int) RETURNS float4
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'cz_node_capacity_by_weight';
COMMENT ON FUNCTION pg_catalog.cz_node_capacity_by_weight(int)
    IS 'capacity of a node for rebalance strategies: its server''s option weight';
CREATE FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int) RETURNS boolean
    LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'citus_shard_allowed_on_node_true';
COMMENT ON FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int)
    IS 'for rebalance strategies: every shard may be on every node';

-- Functions by their text, as pg_upgrade wants it.
CREATE TABLE cz.rebalance_strategy (
    name name PRIMARY KEY,
    shard_cost_function text NOT NULL,
    node_capacity_function text NOT NULL,
    shard_allowed_on_node_function text NOT NULL,
    default_threshold float4 NOT NULL CHECK (default_threshold >= 0),
    minimum_threshold float4 NOT NULL CHECK (minimum_threshold >= 0),
    improvement_threshold float4 NOT NULL CHECK (improvement_threshold >= 0),
    CHECK (default_threshold >= minimum_threshold)
);
COMMENT ON TABLE cz.rebalance_strategy IS 'rebalance strategies that have been added';
COMMENT ON COLUMN cz.rebalance_strategy.shard_cost_function IS 'function with its arguments';

CREATE TABLE cz.default_rebalance_strategy (name name NOT NULL);
CREATE UNIQUE INDEX default_rebalance_strategy_key ON cz.default_rebalance_strategy ((true));
COMMENT ON TABLE cz.default_rebalance_strategy IS 'the strategy that is used if none is named; one row, or none: by_disk_size';

SELECT pg_extension_config_dump('cz.rebalance_strategy', '');
SELECT pg_extension_config_dump('cz.default_rebalance_strategy', '');

CREATE VIEW cz.pg_dist_rebalance_strategy AS
SELECT s.name,
       s.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size') AS default_strategy,
       s.shard_cost_function, s.node_capacity_function, s.shard_allowed_on_node_function,
       s.default_threshold, s.minimum_threshold, s.improvement_threshold
  FROM (VALUES ('by_shard_count'::name,
                'pg_catalog.citus_shard_cost_1(bigint)'::regprocedure,
                'pg_catalog.cz_node_capacity_by_weight(int)'::regprocedure,
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)'::regprocedure,
                0::float4, 0::float4, 0::float4),
               ('by_disk_size',
                'pg_catalog.citus_shard_cost_by_disk_size(bigint)',
                'pg_catalog.cz_node_capacity_by_weight(int)',
                'pg_catalog.citus_shard_allowed_on_node_true(bigint, int)',
                0.1, 0.01, 0.5)) s(name, shard_cost_function, node_capacity_function,
                                   shard_allowed_on_node_function, default_threshold,
                                   minimum_threshold, improvement_threshold)
UNION ALL
SELECT r.name,
       r.name = coalesce((SELECT d.name FROM cz.default_rebalance_strategy d), 'by_disk_size'),
       to_regprocedure(r.shard_cost_function), to_regprocedure(r.node_capacity_function),
       to_regprocedure(r.shard_allowed_on_node_function),
       r.default_threshold, r.minimum_threshold, r.improvement_threshold
  FROM cz.rebalance_strategy r;
COMMENT ON VIEW cz.pg_dist_rebalance_strategy IS 'ways to spread shards over the nodes';
GRANT SELECT ON cz.rebalance_strategy, cz.default_rebalance_strategy, cz.pg_dist_rebalance_strategy TO PUBLIC;
ALTER VIEW cz.pg_dist_rebalance_strategy SET SCHEMA pg_catalog;

-- The text of a function that takes and returns what it must; an error if it does not.
CREATE FUNCTION cz.strategy_function(function regproc, arguments regtype[], result regtype) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.oid::regprocedure::text AS text, p.prorettype, ARRAY(SELECT t FROM unnest(p.proargtypes) WITH ORDINALITY u(t, n) ORDER BY n) AS types
      INTO found FROM pg_proc p WHERE p.oid = function::oid;
    IF found.types IS NULL OR found.types <> arguments::oid[] OR found.prorettype <> result THEN
        RAISE EXCEPTION 'function "%" does not fit a rebalance strategy', function
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It must take (%s) and return %s.', array_to_string(arguments, ', '), result);
    END IF;
    RETURN found.text;
END
$$;
COMMENT ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) IS 'a function with its arguments, if it has these';
REVOKE ALL ON FUNCTION cz.strategy_function(regproc, regtype[], regtype) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_add_rebalance_strategy(name name, shard_cost_function regproc,
        node_capacity_function regproc, shard_allowed_on_node_function regproc,
        default_threshold float4, minimum_threshold float4 DEFAULT 0,
        improvement_threshold float4 DEFAULT 0) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_add_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" already exists', name USING ERRCODE = 'duplicate_object';
    END IF;
    IF default_threshold < minimum_threshold THEN
        RAISE EXCEPTION 'default_threshold must not be less than minimum_threshold' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO cz.rebalance_strategy
    VALUES (name,
            cz.strategy_function(shard_cost_function, '{bigint}', 'real'),
            cz.strategy_function(node_capacity_function, '{int}', 'real'),
            cz.strategy_function(shard_allowed_on_node_function, '{bigint,int}', 'boolean'),
            default_threshold, minimum_threshold, improvement_threshold);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4)
    IS 'adds a way to spread shards over the nodes';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4) FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_set_default_rebalance_strategy(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_dist_rebalance_strategy s WHERE s.name = citus_set_default_rebalance_strategy.name) THEN
        RAISE EXCEPTION 'rebalance strategy "%" does not exist', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE cz.default_rebalance_strategy IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM cz.default_rebalance_strategy;
    INSERT INTO cz.default_rebalance_strategy VALUES (name);
END
$$;
COMMENT ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text)
    IS 'sets the strategy that is used if none is named';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.get_rebalance_table_shards_plan(relation regclass DEFAULT NULL,
        threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
        excluded_shard_list bigint[] DEFAULT '{}', drain_only boolean DEFAULT false,
        rebalance_strategy name DEFAULT NULL, improvement_threshold float4 DEFAULT NULL,
        OUT table_name regclass, OUT shardid bigint, OUT shard_size bigint, OUT sourcename text,
        OUT sourceport int, OUT targetname text, OUT targetport int)
    RETURNS SETOF record LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'get_rebalance_table_shards_plan';
COMMENT ON FUNCTION pg_catalog.get_rebalance_table_shards_plan(regclass, float4, int, bigint[], boolean, name, float4)
    IS 'moves that rebalance_table_shards() would make';
