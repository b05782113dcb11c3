-- The cluster's metadata under Citus' names: shapes, contents, who sees what.
-- Coordinator, workers 1, 2, 3; database cz_views on each.
\set dbname cz_views
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
\set SHOW_CONTEXT never
SET datestyle = 'ISO, YMD';

-- columns and types
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'v'
   AND (c.relname LIKE 'citus%' OR c.relname LIKE 'pg_dist%')
 GROUP BY 1 ORDER BY 1;
-- empty
SELECT * FROM citus_tables;
SELECT count(*) FROM pg_dist_shard;

CREATE TABLE hashed (id int, tenant text COLLATE "C", x numeric);
CREATE TABLE ranged (d date, v int);
CREATE TABLE codes (code int PRIMARY KEY);
SELECT create_distributed_table('hashed', 'tenant', shard_count => 4);
SELECT create_distributed_table('ranged', 'd', 'range');
SELECT cz_create_range_shard('ranged', '2025-01-01', '2026-01-01') > 0 AS made;
SELECT cz_create_range_shard('ranged', '2024-01-01', '2025-01-01') > 0 AS made;
INSERT INTO hashed SELECT i, 'tenant ' || i, i FROM generate_series(1, 200) i;
INSERT INTO ranged VALUES ('2024-05-05', 1), ('2025-05-05', 2);

SELECT table_name, citus_table_type, distribution_column, shard_count, table_owner, access_method,
       pg_size_bytes(table_size) > 0 AS has_size
  FROM citus_tables;
SELECT logicalrelid, partmethod, column_to_column_name(logicalrelid, partkey), repmodel, autoconverted
  FROM pg_dist_partition ORDER BY logicalrelid::text;
SELECT partkey ~ '^\{VAR :varno 1 :varattno 2 :vartype 25 ' AS is_var FROM pg_dist_partition WHERE logicalrelid = 'hashed'::regclass;
-- range shards show their bounds, in their order; hash shards nothing before statistics are taken
SELECT shardstorage, shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'ranged'::regclass ORDER BY 2;
SELECT count(*), count(shardminvalue) FROM pg_dist_shard WHERE logicalrelid = 'hashed'::regclass;
SELECT table_name, shard_name = 'cz_shards.' || table_name || '_' || shardid AS named, count(*), sum(shard_size) > 0 AS has_size
  FROM citus_shards GROUP BY 1, 2 ORDER BY 1;
SELECT count(*), count(DISTINCT placementid), min(shardstate), max(shardstate) FROM pg_dist_placement;
SELECT count(*) FROM pg_dist_placement p JOIN pg_dist_shard_placement s USING (placementid, shardid)
  JOIN pg_dist_node n ON n.groupid = p.groupid AND n.nodename = s.nodename AND n.nodeport = s.nodeport;
SELECT c.shardcount, c.replicationfactor, c.distributioncolumntype::regtype, c.distributioncolumncollation::regcollation
  FROM pg_dist_colocation c JOIN pg_dist_partition p USING (colocationid) WHERE p.logicalrelid = 'hashed'::regclass;

-- where a key is, which must be where the rows are
SELECT bool_and(satisfies_hash_partition('hashed'::regclass, 4, s.i::int, 'tenant ' || k))
  FROM generate_series(1, 100) k,
       LATERAL (SELECT row_number() OVER (ORDER BY shardid) - 1 AS i, shardid FROM pg_dist_shard
                 WHERE logicalrelid = 'hashed'::regclass) AS s(i, shardid)
 WHERE s.shardid = get_shard_id_for_distribution_column('hashed', 'tenant ' || k);
SELECT get_shard_id_for_distribution_column('ranged', '2024-06-01'::date) = get_shard_id_for_distribution_column('ranged', '2024-06-01') AS same,
       get_shard_id_for_distribution_column('ranged', '2024-06-01'::timestamp) IS NOT NULL AS converted,
       get_shard_id_for_distribution_column('ranged', '2023-06-01'::date) AS nowhere,
       get_shard_id_for_distribution_column('hashed') IS NOT NULL AS null_has_one;
SELECT get_shard_id_for_distribution_column('ranged', 'no date');
SELECT get_shard_id_for_distribution_column('codes', 1);
SELECT get_shard_id_for_distribution_column(NULL, 1);
SELECT column_to_column_name('hashed', 'rubbish');
SELECT column_to_column_name('hashed', '{VAR :varno 1 :varattno 9 }');

-- sizes
SELECT citus_total_relation_size('hashed') >= citus_table_size('hashed') AS a,
       citus_table_size('hashed') >= citus_relation_size('hashed') AS b, citus_relation_size('hashed') > 0 AS c;
SELECT citus_table_size('codes');

-- observed values, only for who may read the column
SELECT citus_update_table_statistics('hashed');
SELECT count(*), count(shardminvalue), min(shardminvalue), max(shardmaxvalue) FROM pg_dist_shard WHERE logicalrelid = 'hashed'::regclass;
SELECT min(shardlength) > 0 AS has_length FROM pg_dist_shard_placement s JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'hashed'::regclass;
CREATE ROLE cz_views_user;
SET ROLE cz_views_user;
SELECT count(*), count(shardminvalue) FROM pg_dist_shard WHERE logicalrelid = 'hashed'::regclass;
SELECT count(*) > 0 AS sees_views FROM citus_tables, pg_dist_node;
SELECT * FROM cz.shard_statistics;
RESET ROLE;
GRANT SELECT (tenant) ON hashed TO cz_views_user;
SET ROLE cz_views_user;
SELECT count(*), count(shardminvalue) FROM pg_dist_shard WHERE logicalrelid = 'hashed'::regclass;
RESET ROLE;
ALTER TABLE hashed ENABLE ROW LEVEL SECURITY;
SET ROLE cz_views_user;
SELECT count(*), count(shardminvalue) FROM pg_dist_shard WHERE logicalrelid = 'hashed'::regclass;
RESET ROLE;

-- what is asked of one table is asked of it alone: the most tables that a function looks at
CREATE FUNCTION tables_looked_at(query text) RETURNS bigint LANGUAGE plpgsql AS $$
  DECLARE line text; found text[]; result bigint := 0;
  BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
      found := regexp_match(line, 'Function Scan on (?:cz\.)?(?:table|shard|placement)_list.* rows=([0-9]+)[0-9.]* loops=([0-9]+)');
      result := greatest(result, CASE WHEN line LIKE '%table_list%' THEN found[1]::bigint ELSE 1 END * found[2]::bigint);
    END LOOP;
    RETURN result;
  END $$;
SELECT v, tables_looked_at(format('SELECT * FROM %s WHERE %I = %L::regclass', v, k, 'hashed'))
  FROM (VALUES ('citus_tables', 'table_name'), ('citus_shards', 'table_name'), ('pg_dist_partition', 'logicalrelid'),
               ('pg_dist_shard', 'logicalrelid'), ('cz_shard_ranges', 'table_name')) x(v, k);
-- the sizes of one table, and of all
SELECT table_name, sum(shard_size) = citus_total_relation_size(table_name) AS is_size FROM citus_shards WHERE table_name = 'hashed'::regclass GROUP BY 1;
SELECT table_name, sum(shard_size) = citus_total_relation_size(table_name) AS is_size FROM citus_shards GROUP BY 1 ORDER BY table_name::text;
SELECT table_name, table_size = pg_size_pretty(citus_total_relation_size(table_name)) AS is_size FROM citus_tables;

-- what is cached follows what changes
SELECT count(*) FROM pg_dist_shard;
DROP TABLE ranged;
SELECT count(*) FROM pg_dist_shard;
SELECT count(DISTINCT logicalrelid) FROM pg_dist_partition;

\c postgres
DROP DATABASE cz_views WITH (FORCE);
DROP ROLE cz_views_user;
