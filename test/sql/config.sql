-- The cluster file: what it makes, that it makes it once, that the export says it again,
-- and that every mistake in it is refused with its place.
-- Coordinator, workers 1, 2, 3; database cz_config on each.
\set dbname cz_config
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\set SHOW_CONTEXT never
CREATE TABLE orders (tenant int, id int, note text, PRIMARY KEY (tenant, id));
INSERT INTO orders SELECT i % 10, i, 'order ' || i FROM generate_series(1, 50) i;
CREATE TABLE lines (tenant int, "order id" int);
CREATE TABLE countries (code text PRIMARY KEY);
INSERT INTO countries VALUES ('de'), ('fr');
CREATE SCHEMA "Odd Name";
CREATE TABLE "Odd Name"."by Day" ("day" date, n int);

SELECT format($json${
  "defaults": {"shard_count": 4, "replication_factor": 2},
  "workers": [
    {"name": "w1", "host": "127.0.0.1", "port": %s, "dbname": "cz_config", "zone": "a", "weight": 1.5,
     "options": {"connect_timeout": 7, "sslmode": "prefer"},
     "user_mappings": [{"role": "PUBLIC", "user": "postgres", "password_required": false}]},
    {"name": "W \"2\" é", "host": "127.0.0.1", "port": %s, "dbname": "cz_config"}
  ],
  "user_mappings": [
    {"worker": "W \"2\" é", "role": "public", "user": "postgres", "password_env": "PATH"}
  ],
  "tables": [
    {"name": "lines", "column": "tenant", "colocate_with": "orders"},
    {"name": "public.orders", "type": "hash", "column": "tenant", "colocate_with": "none", "shard_count": 8},
    {"name": "countries", "type": "reference"},
    {"name": "\"Odd Name\".\"by Day\"", "type": "range", "column": "day", "colocate_with": "none",
     "ranges": [{"from": "2024-1-1", "to": "2024-02-01"}, {"from": "2024-02-01", "to": "2025-01-01"}]}
  ]
}$json$, :'worker1_port', :'worker2_port') AS config \gset

-- the plan changes nothing
SELECT * FROM cz_import_cluster(:'config', dry_run => true);
SELECT count(*) FROM pg_foreign_server;
-- the same is done
SELECT * FROM cz_import_cluster(:'config');
SELECT srvname, regexp_replace(srvoptions::text, 'port=\d+', 'port=x') FROM pg_foreign_server ORDER BY srvname COLLATE "C";
SELECT table_name, citus_table_type, distribution_column, shard_count FROM citus_tables ORDER BY table_name::text COLLATE "C";
SELECT count(*) FROM orders;
SELECT colocationid AS c FROM pg_dist_partition WHERE logicalrelid = 'orders'::regclass \gset
SELECT colocationid = :c AS colocated FROM pg_dist_partition WHERE logicalrelid = 'lines'::regclass;
SELECT logicalrelid, shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE shardminvalue IS NOT NULL ORDER BY 2;
-- a second time there is nothing to do, nor with what the export says
SELECT * FROM cz_import_cluster(:'config');
SELECT * FROM cz_import_cluster(cz_export_cluster());
SELECT regexp_replace(cz_export_cluster(), '"port": \d+', '"port": x', 'g');
SELECT json_typeof(cz_export_cluster()::json);
-- nor is anything lost when all is taken apart and made again of it
SELECT cz_export_cluster() AS export \gset
SELECT undistribute_table('lines'), undistribute_table('orders'), undistribute_table('countries'), undistribute_table('"Odd Name"."by Day"');
SELECT citus_remove_node(nodename, nodeport) FROM pg_dist_node;
SELECT count(*) FROM pg_foreign_server;
SELECT count(*) FROM cz_import_cluster(:'export');
SELECT cz_export_cluster() = replace(:'export', ', "password_omitted": true', '') AS same;
SELECT count(*) FROM orders;
SELECT * FROM cz_import_cluster(:'export');
-- differences are made good
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w1", "weight": 2, "options": {"sslmode": "disable", "keepalives": 1}}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w1", "user_mappings": [{"role": "PUBLIC", "user": "postgres", "options": {"sslcert": "/nowhere"}}]}]}', true);
SELECT * FROM cz_import_cluster('{"tables": [{"name": "\"Odd Name\".\"by Day\"", "type": "range", "column": "day", "ranges": [{"from": "2025-01-01", "to": "2026-01-01"}]}]}');
-- but a table is not distributed again
\set VERBOSITY default
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "id"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "type": "reference"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "tenant", "shard_count": 16}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "tenant", "replication_factor": 1}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "tenant", "colocate_with": "countries"}]}');

-- not JSON: line, column, key path
SELECT * FROM cz_import_cluster('');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3",
  "host" "x"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "host": "x",
  "host": "y"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "tr\u0000ick"}]}');
SELECT * FROM cz_import_cluster('{"workers": []} trailing');
SELECT * FROM cz_import_cluster('{"workers": [');
SELECT * FROM cz_import_cluster('{"workers": [{"port": 99999999999999999999}]}');
-- bombs
SELECT * FROM cz_import_cluster(repeat('[', 100000));
SELECT * FROM cz_import_cluster('{"workers": ' || repeat('[', 20) || repeat(']', 20) || '}');
SELECT * FROM cz_import_cluster('{"workers": "' || repeat('x', 16 * 1024 * 1024) || '"}');
-- JSON, but not a cluster file
SELECT * FROM cz_import_cluster(NULL);
SELECT * FROM cz_import_cluster('[]');
SELECT * FROM cz_import_cluster('{"wokers": []}');
SELECT * FROM cz_import_cluster('{"workers": {}}');
SELECT * FROM cz_import_cluster('{"workers": [1]}');
SELECT * FROM cz_import_cluster('{"workers": [{"host": "x"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": ""}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": null}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "port": "5432"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "port": 65536}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "port": 54.5}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "weight": 0}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3"}, {"name": "w4"}, {"name": "w3"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "' || repeat('n', 64) || '"}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "options": {"hots": "x"}}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "host": "x", "options": {"host": "x"}}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "options": {"checked": true}}]}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3", "options": {"zone": []}}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password": "secret"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "options": {"password": "secret"}}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password_env": "A", "password_file": "b"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password_env": "CZ_NOT_SET"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password_file": "/nonexistent"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC"}, {"worker": "w1", "role": "public"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "no_such_role"}]}');
\set SHOW_CONTEXT errors
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w9", "role": "PUBLIC"}]}');
\set SHOW_CONTEXT never
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w1", "user_mappings": [{"worker": "w1", "role": "PUBLIC"}]}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "postgres", "password_omitted": true}]}', true);
SELECT * FROM cz_import_cluster('{"defaults": {"shard_count": 3}}');
SELECT * FROM cz_import_cluster('{"defaults": {"replication_factor": 0}}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "type": "list", "column": "tenant"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "countries", "type": "reference", "column": "code"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "no_such_table", "column": "a"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "tenant"}, {"name": "public.orders", "column": "tenant"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "orders", "column": "tenant", "ranges": []}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "\"Odd Name\".\"by Day\"", "type": "range", "column": "day", "shard_count": 4}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "\"Odd Name\".\"by Day\"", "type": "range", "column": "day", "ranges": [{"from": "x", "to": "y"}]}]}');
CREATE TABLE a (k int);
CREATE TABLE b (k int);
SELECT * FROM cz_import_cluster('{"tables": [{"name": "a", "column": "k", "colocate_with": "a"}]}');
SELECT * FROM cz_import_cluster('{"tables": [{"name": "a", "column": "k", "colocate_with": "b"}, {"name": "b", "column": "k", "colocate_with": "a"}]}', true);
-- all or nothing: the second table fails, the first is as before
SELECT * FROM cz_import_cluster('{"tables": [{"name": "a", "column": "k", "colocate_with": "none"}, {"name": "b", "column": "no_such_column"}]}');
SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = 'a'::regclass;

-- the membership file of old
SELECT * FROM cz_import_cluster('# a comment alone makes no worker');
SELECT * FROM cz_import_cluster(E'# host port\n\n127.0.0.1 ' || :'worker1_port' || E'  # known\n127.0.0.1\t' || :'worker3_port', true);
SELECT * FROM cz_import_cluster(E'127.0.0.1 1\n127.0.0.1 x');
SELECT * FROM cz_import_cluster(E'127.0.0.1 1 2');
SELECT * FROM cz_import_cluster(E'127.0.0.1 1\nlocalhost 1\n127.0.0.1 1');
SELECT * FROM cz_import_cluster('127.0.0.1 65536');

-- files
SELECT * FROM cz_import_cluster_file('/nonexistent/cluster.json');
SELECT * FROM cz_import_cluster_file('/dev/zero');
SELECT * FROM cz_import_cluster_file(NULL);
COPY (SELECT '{"workers": [{"name": "w1", "weight": 3}]}') TO PROGRAM 'cat > cz_config_test.json';
SELECT * FROM cz_import_cluster_file('cz_config_test.json', true);
COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; printf ''{"workers": [{"name": "\377"}]}'' > cz_config_test.json';
SELECT * FROM cz_import_cluster_file('cz_config_test.json', true);
COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; printf ''host\377 1'' > cz_config_test.json';
SELECT * FROM cz_import_cluster_file('cz_config_test.json', true);
COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; printf ''a password\n'' > cz_config_test.json';
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "postgres", "password_file": "cz_config_test.json"}]}', true);
COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; rm cz_config_test.json';

-- who may
CREATE ROLE cz_config_user;
SET ROLE cz_config_user;
SELECT * FROM cz_import_cluster('{}');
SELECT * FROM cz_import_cluster_file('x');
SELECT cz_export_cluster();
RESET ROLE;
GRANT EXECUTE ON FUNCTION cz_import_cluster, cz_import_cluster_file, cz_export_cluster TO cz_config_user;
SET ROLE cz_config_user;
SELECT * FROM cz_import_cluster('{}');
SELECT * FROM cz_import_cluster('{"workers": [{"name": "w3"}]}');
SELECT * FROM cz_import_cluster('127.0.0.1 1');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "user": "postgres"}]}', true);
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password_env": "PATH"}]}');
SELECT * FROM cz_import_cluster('{"user_mappings": [{"worker": "w1", "role": "PUBLIC", "password_file": "PG_VERSION"}]}');
SELECT * FROM cz_import_cluster_file('PG_VERSION');
SELECT cz_export_cluster();
RESET ROLE;

\c postgres
DROP DATABASE cz_config WITH (FORCE);
DROP ROLE cz_config_user;
