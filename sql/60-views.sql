-- The cluster's metadata in Citus' shapes and names.

CREATE FUNCTION cz.worker_list(OUT node_id int, OUT server_name name, OUT server_oid oid,
                               OUT nodename text, OUT nodeport int, OUT dbname text,
                               OUT zone text, OUT weight float8, OUT is_active boolean,
                               OUT should_have_shards boolean, OUT is_checked boolean,
                               OUT is_clone boolean, OUT primary_node_id int)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_worker_list';
COMMENT ON FUNCTION cz.worker_list() IS 'workers: the servers of cz_fdw';

CREATE FUNCTION cz.table_list(OUT relid regclass, OUT kind "char", OUT colocation_id int,
                              OUT shard_count int, OUT key_attno smallint, OUT key_name name,
                              OUT key_var text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_table_list';
COMMENT ON FUNCTION cz.table_list() IS 'distributed and reference tables';
CREATE FUNCTION cz.table_list(of regclass, OUT relid regclass, OUT kind "char", OUT colocation_id int,
                              OUT shard_count int, OUT key_attno smallint, OUT key_name name,
                              OUT key_var text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'cz_table_list';
COMMENT ON FUNCTION cz.table_list(regclass) IS 'one of cz.table_list(), found without the others';

CREATE FUNCTION cz.shard_list(OUT relid regclass, OUT shard_id bigint, OUT shard_index int,
                              OUT shard_relid regclass, OUT shard_name text,
                              OUT lower_bound text, OUT upper_bound text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_shard_list';
COMMENT ON FUNCTION cz.shard_list() IS 'shards, in the order of their bounds';
CREATE FUNCTION cz.shard_list(of regclass, OUT relid regclass, OUT shard_id bigint, OUT shard_index int,
                              OUT shard_relid regclass, OUT shard_name text,
                              OUT lower_bound text, OUT upper_bound text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 32 AS 'MODULE_PATHNAME', 'cz_shard_list';
COMMENT ON FUNCTION cz.shard_list(regclass) IS 'those of cz.shard_list() of one table';

CREATE FUNCTION cz.placement_list(OUT placement_id bigint, OUT shard_id bigint,
                                  OUT "position" int, OUT server_oid oid, OUT shard_state int)
    RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'cz_placement_list';
COMMENT ON FUNCTION cz.placement_list() IS 'placements of shards; state 1 active, 3 not in use: its worker is disabled, it has missed writes, or it is to be compared after a crash';
CREATE FUNCTION cz.placement_list(of regclass, OUT placement_id bigint, OUT shard_id bigint,
                                  OUT "position" int, OUT server_oid oid, OUT shard_state int,
                                  OUT shard_index int, OUT shard_name text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 64 AS 'MODULE_PATHNAME', 'cz_placement_list';
COMMENT ON FUNCTION cz.placement_list(regclass) IS 'those of cz.placement_list() of one table, with the shards'' names and places in it';

-- What is asked of one table by a view over these is asked of it alone.
CREATE VIEW cz.listed_tables AS
SELECT relid FROM cz.tables UNION ALL SELECT relid FROM cz.partitions;
COMMENT ON VIEW cz.listed_tables IS 'the relations of cz.table_list()';

CREATE FUNCTION pg_catalog.get_shard_id_for_distribution_column(
        table_name regclass, distribution_value "any" DEFAULT NULL)
    RETURNS bigint LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'get_shard_id_for_distribution_column';
COMMENT ON FUNCTION pg_catalog.get_shard_id_for_distribution_column(regclass, "any")
    IS 'id of the shard that holds a value of the distribution column';

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text)
    RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'column_to_column_name';
COMMENT ON FUNCTION pg_catalog.column_to_column_name(regclass, text)
    IS 'name of the column that pg_dist_partition.partkey means';

CREATE FUNCTION cz.shard_sizes(OUT shard_name text, OUT server_oid oid, OUT size_bytes bigint)
    RETURNS SETOF record LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cz_shard_sizes';
COMMENT ON FUNCTION cz.shard_sizes() IS 'sizes of the shards on the workers that answer';

CREATE FUNCTION cz.shard_size(of regclass, server_oid oid, shard_name text)
    RETURNS bigint LANGUAGE c STABLE STRICT COST 100 AS 'MODULE_PATHNAME', 'cz_shard_size';
COMMENT ON FUNCTION cz.shard_size(regclass, oid, text)
    IS 'size of a placement, NULL if its worker does not answer; a statement asks the workers for those of the first table, then for all';

CREATE FUNCTION pg_catalog.citus_table_size(logicalrelid regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_table_size';
COMMENT ON FUNCTION pg_catalog.citus_table_size(regclass)
    IS 'bytes of a distributed table on all workers, without indexes';

CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_relation_size';
COMMENT ON FUNCTION pg_catalog.citus_relation_size(regclass)
    IS 'bytes of the main fork of a distributed table on all workers';

CREATE FUNCTION pg_catalog.citus_total_relation_size(logicalrelid regclass,
        fail_on_error boolean DEFAULT true)
    RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'citus_total_relation_size';
COMMENT ON FUNCTION pg_catalog.citus_total_relation_size(regclass, boolean)
    IS 'bytes of a distributed table on all workers, with indexes';

-- Observed values of a column are for those only who may read the column.
CREATE FUNCTION cz.may_see_values(relid regclass, attno smallint) RETURNS boolean
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT pg_catalog.has_column_privilege(relid, attno, 'SELECT')
               AND NOT pg_catalog.row_security_active(relid);
    END;
COMMENT ON FUNCTION cz.may_see_values(regclass, smallint)
    IS 'whether the current role may see values of a column in statistics';

CREATE VIEW cz.pg_dist_node AS
SELECT node_id AS nodeid,
       node_id AS groupid,
       nodename,
       nodeport,
       coalesce(zone, 'default') AS noderack,
       false AS hasmetadata,
       is_active AS isactive,
       CASE WHEN is_clone THEN 'unavailable' ELSE 'primary' END::noderole AS noderole,
       'default'::name AS nodecluster,
       false AS metadatasynced,
       should_have_shards AS shouldhaveshards,
       is_clone AS nodeisclone,
       coalesce(primary_node_id, 0) AS nodeprimarynodeid
  FROM cz.worker_list();
COMMENT ON VIEW cz.pg_dist_node IS 'workers, and standbys of them that are to become workers (nodeisclone)';

CREATE VIEW cz.pg_dist_colocation AS
SELECT colocation_id AS colocationid,
       shard_count AS shardcount,
       replication_factor AS replicationfactor,
       key_type::oid AS distributioncolumntype,
       coalesce(to_regcollation(nullif(key_collation, ''))::oid, 0::oid) AS distributioncolumncollation
  FROM cz.colocation;
COMMENT ON VIEW cz.pg_dist_colocation IS 'colocation groups';

CREATE VIEW cz.pg_dist_partition AS
SELECT a.relid AS logicalrelid,
       CASE WHEN t.kind = 's' THEN 'n' WHEN x.is_append THEN 'a' ELSE t.kind END::"char" AS partmethod,
       t.key_var AS partkey,
       t.colocation_id AS colocationid,
       CASE WHEN t.kind = 'n' THEN 't'
            WHEN c.replication_factor > 1 THEN 'c'
            ELSE 's' END::"char" AS repmodel,
       false AS autoconverted
  FROM cz.listed_tables a
       CROSS JOIN LATERAL cz.table_list(a.relid) t
       LEFT JOIN cz.colocation c USING (colocation_id)
       LEFT JOIN cz.tables x ON x.relid = a.relid;
COMMENT ON VIEW cz.pg_dist_partition IS 'distributed (h, r, a), single-shard (n, repmodel c or s) and reference tables (n, repmodel t)';

CREATE VIEW cz.pg_dist_shard AS
SELECT a.relid AS logicalrelid,
       s.shard_id AS shardid,
       't'::"char" AS shardstorage,
       coalesce(v.min_value, s.lower_bound) AS shardminvalue,
       coalesce(v.max_value, s.upper_bound) AS shardmaxvalue
  FROM cz.listed_tables a
       CROSS JOIN LATERAL cz.table_list(a.relid) t
       CROSS JOIN LATERAL cz.shard_list(a.relid) s
       LEFT JOIN cz.shard_statistics v
            ON v.shard_id = s.shard_id AND t.kind IN ('h', 'r')
               AND cz.may_see_values(t.relid, t.key_attno)
UNION ALL
SELECT relid, shard_id, 't', NULL, NULL FROM cz.pending_shards;
COMMENT ON VIEW cz.pg_dist_shard IS
    'shards; shardminvalue and shardmaxvalue are the least and the greatest key that an append or '
    'citus_update_table_statistics saw, before that the bounds of range shards (the upper one is excluded)';

CREATE VIEW cz.cz_shard_ranges AS
SELECT a.relid AS table_name,
       s.shard_id AS shardid,
       s.lower_bound,
       s.upper_bound,
       CASE WHEN may.see THEN v.min_value END AS min_value,
       CASE WHEN may.see THEN v.max_value END AS max_value,
       v.row_count,
       v.size_bytes,
       v.updated_at,
       e.shard_id IS NOT NULL AS sealed
  FROM cz.tables a
       CROSS JOIN LATERAL cz.table_list(a.relid) t
       CROSS JOIN LATERAL cz.shard_list(a.relid) s
       LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
       LEFT JOIN cz.sealed_shards e ON e.shard_id = s.shard_id
       CROSS JOIN LATERAL (SELECT cz.may_see_values(t.relid, t.key_attno) AS see) may
 WHERE a.kind IN ('h', 'r')
 ORDER BY a.relid::text, s.shard_index;
COMMENT ON VIEW cz.cz_shard_ranges IS
    'shards with their bounds (upper_bound is excluded, NULL is open) and the least and greatest key, the rows and the bytes that an append or citus_update_table_statistics saw';

CREATE VIEW cz.pg_dist_placement AS
SELECT p.placement_id AS placementid,
       p.shard_id AS shardid,
       p.shard_state AS shardstate,
       coalesce(v.size_bytes, 0) AS shardlength,
       w.node_id AS groupid
  FROM cz.placement_list() p
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id;
COMMENT ON VIEW cz.pg_dist_placement IS
    'placements of shards; shardlength is the size that citus_update_table_statistics saw';

CREATE VIEW cz.pg_dist_shard_placement AS
SELECT p.shard_id AS shardid,
       p.shard_state AS shardstate,
       coalesce(v.size_bytes, 0) AS shardlength,
       w.nodename,
       w.nodeport,
       p.placement_id AS placementid
  FROM cz.placement_list() p
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id;
COMMENT ON VIEW cz.pg_dist_shard_placement IS
    'placements of shards with the worker''s name and port';

CREATE VIEW cz.citus_tables AS
SELECT a.relid AS table_name,
       CASE WHEN t.kind = 'n' THEN 'reference'
            WHEN EXISTS (SELECT FROM cz.tenant_schemas s WHERE s.colocation_id = t.colocation_id) THEN 'schema'
            ELSE 'distributed' END AS citus_table_type,
       coalesce(t.key_name::text, '<none>') AS distribution_column,
       t.colocation_id,
       pg_size_pretty((SELECT coalesce(sum(coalesce(cz.shard_size(a.relid, p.server_oid, p.shard_name), v.size_bytes)), 0)
                         FROM cz.placement_list(a.relid) p
                              LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id)) AS table_size,
       t.shard_count::bigint AS shard_count,
       pg_get_userbyid(c.relowner) AS table_owner,
       coalesce(m.amname, 'heap'::name) AS access_method
  FROM cz.listed_tables a
       CROSS JOIN LATERAL cz.table_list(a.relid) t
       JOIN pg_class c ON c.oid = a.relid
       LEFT JOIN pg_am m ON m.oid = c.relam
 ORDER BY a.relid::text;
COMMENT ON VIEW cz.citus_tables IS
    'distributed and reference tables; table_size is that of all placements';

CREATE VIEW cz.citus_shards AS
SELECT a.relid AS table_name,
       p.shard_id AS shardid,
       p.shard_name,
       CASE WHEN t.kind = 'n' THEN 'reference'
            WHEN EXISTS (SELECT FROM cz.tenant_schemas x WHERE x.colocation_id = t.colocation_id) THEN 'schema'
            ELSE 'distributed' END AS citus_table_type,
       t.colocation_id,
       w.nodename,
       w.nodeport,
       coalesce(cz.shard_size(a.relid, p.server_oid, p.shard_name), v.size_bytes, 0) AS shard_size
  FROM cz.listed_tables a
       CROSS JOIN LATERAL cz.table_list(a.relid) t
       CROSS JOIN LATERAL cz.placement_list(a.relid) p
       JOIN cz.worker_list() w USING (server_oid)
       LEFT JOIN cz.shard_statistics v ON v.shard_id = p.shard_id
 ORDER BY a.relid::text, p.shard_id, p.placement_id;
COMMENT ON VIEW cz.citus_shards IS
    'placements of shards by table, with their sizes';

CREATE VIEW cz.pg_dist_schema AS
SELECT n.oid AS schemaid, t.colocation_id AS colocationid
  FROM cz.tenant_schemas t JOIN pg_namespace n ON n.nspname = t.schema_name;
COMMENT ON VIEW cz.pg_dist_schema IS 'schemas that are tenants';

CREATE VIEW cz.citus_schemas AS
WITH sizes AS MATERIALIZED (
    SELECT t.colocation_id, sum(coalesce(z.size_bytes, v.size_bytes, 0)) AS bytes
      FROM cz.table_list() t
           JOIN cz.shard_list() s ON s.relid = t.relid
           JOIN cz.placement_list() p ON p.shard_id = s.shard_id
           LEFT JOIN cz.shard_sizes() z
                ON z.shard_name = s.shard_name AND z.server_oid = p.server_oid
           LEFT JOIN cz.shard_statistics v ON v.shard_id = s.shard_id
     WHERE t.kind = 's'
     GROUP BY t.colocation_id)
SELECT n.oid::regnamespace AS schema_name,
       t.colocation_id,
       CASE WHEN has_schema_privilege(n.oid, 'USAGE')
            THEN pg_size_pretty(coalesce(z.bytes, 0)) END AS schema_size,
       pg_get_userbyid(n.nspowner) AS schema_owner
  FROM cz.tenant_schemas t
       JOIN pg_namespace n ON n.nspname = t.schema_name
       LEFT JOIN sizes z ON z.colocation_id = t.colocation_id
 ORDER BY n.nspname;
COMMENT ON VIEW cz.citus_schemas IS
    'schemas that are tenants; schema_size is that of all placements of their tables';

GRANT SELECT ON cz.pg_dist_schema, cz.citus_schemas, cz.pg_dist_node, cz.pg_dist_colocation, cz.pg_dist_partition, cz.pg_dist_shard, cz.cz_shard_ranges,
    cz.pg_dist_placement, cz.pg_dist_shard_placement, cz.citus_tables, cz.citus_shards TO PUBLIC;

ALTER VIEW cz.pg_dist_schema SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_schemas SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_node SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_colocation SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_partition SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_shard SET SCHEMA pg_catalog;
ALTER VIEW cz.cz_shard_ranges SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_placement SET SCHEMA pg_catalog;
ALTER VIEW cz.pg_dist_shard_placement SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_tables SET SCHEMA pg_catalog;
ALTER VIEW cz.citus_shards SET SCHEMA pg_catalog;
