-- What is asked of one table is asked of it alone.

CREATE FUNCTION cz.table_list(of regclass, OUT relid regclass, OUT kind "char", OUT colocation_id int,
                              OUT shard_count int, OUT key_attno smallint, OUT key_name name,
                              OUT key_var text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'cz_table_list';
COMMENT ON FUNCTION cz.table_list(regclass) IS 'one of cz.table_list(), found without the others';

CREATE FUNCTION cz.shard_list(of regclass, OUT relid regclass, OUT shard_id bigint, OUT shard_index int,
                              OUT shard_relid regclass, OUT shard_name text,
                              OUT lower_bound text, OUT upper_bound text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 32 AS 'MODULE_PATHNAME', 'cz_shard_list';
COMMENT ON FUNCTION cz.shard_list(regclass) IS 'those of cz.shard_list() of one table';

CREATE FUNCTION cz.placement_list(of regclass, OUT placement_id bigint, OUT shard_id bigint,
                                  OUT "position" int, OUT server_oid oid, OUT shard_state int,
                                  OUT shard_index int, OUT shard_name text)
    RETURNS SETOF record LANGUAGE c STABLE STRICT ROWS 64 AS 'MODULE_PATHNAME', 'cz_placement_list';
COMMENT ON FUNCTION cz.placement_list(regclass) IS 'those of cz.placement_list() of one table, with the shards'' names and places in it';

CREATE VIEW cz.listed_tables AS
SELECT relid FROM cz.tables UNION ALL SELECT relid FROM cz.partitions;
COMMENT ON VIEW cz.listed_tables IS 'the relations of cz.table_list()';

CREATE FUNCTION cz.shard_size(of regclass, server_oid oid, shard_name text)
    RETURNS bigint LANGUAGE c STABLE STRICT COST 100 AS 'MODULE_PATHNAME', 'cz_shard_size';
COMMENT ON FUNCTION cz.shard_size(regclass, oid, text)
    IS 'size of a placement, NULL if its worker does not answer; a statement asks the workers for those of the first table, then for all';

CREATE OR REPLACE VIEW pg_catalog.pg_dist_partition AS
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

CREATE OR REPLACE VIEW pg_catalog.pg_dist_shard AS
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

CREATE OR REPLACE VIEW pg_catalog.cz_shard_ranges AS
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

CREATE OR REPLACE VIEW pg_catalog.citus_tables AS
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

CREATE OR REPLACE VIEW pg_catalog.citus_shards AS
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
