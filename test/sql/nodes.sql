-- Workers come and go: by function, by CREATE SERVER, checked when they come, refused
-- where a shard would be lost, and brought up to date when they come back.
-- Coordinator, workers 1, 2, 3; database cz_nodes on each.
\set dbname cz_nodes
\i sql/include/worker_database.inc
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;

-- add
SELECT citus_add_node('127.0.0.1', :worker1_port) AS id \gset
SELECT :id = nodeid AS same, nodename, nodeport = :worker1_port AS is_w1, isactive, noderole, nodecluster, shouldhaveshards FROM pg_dist_node;
SELECT srvoptions FROM pg_foreign_server;
SELECT usename, umoptions FROM pg_user_mappings;
-- once more is no error, as in Citus
SELECT citus_add_node('127.0.0.1', :worker1_port) = :id AS same;
-- refused
\set VERBOSITY sqlstate
SELECT citus_add_node(NULL, 1);
SELECT citus_add_node('', 1);
SELECT citus_add_node('127.0.0.1', 0);
SELECT citus_add_node('127.0.0.1', 65536);
SELECT citus_add_node('127.0.0.1', :worker2_port, 0);
SELECT citus_add_node('127.0.0.1', :worker2_port, noderole => 'secondary');
SELECT citus_add_node('127.0.0.1', :worker2_port, nodecluster => 'other');
SELECT citus_add_node('127.0.0.1', 1);
\set VERBOSITY terse
SELECT citus_add_node('127.0.0.1', :coordinator_port);
SELECT citus_add_node('localhost', 0);
SELECT citus_add_node('127.0.0.1', :worker2_port, 0);
SELECT count(*) FROM pg_dist_node;
CREATE ROLE cz_nodes_user;
GRANT EXECUTE ON FUNCTION citus_add_node, citus_remove_node, citus_disable_node,
  citus_activate_node, citus_set_node_property TO cz_nodes_user;
SET ROLE cz_nodes_user;
SELECT citus_add_node('127.0.0.1', :worker2_port);
SELECT citus_remove_node('127.0.0.1', :worker1_port);
SELECT citus_disable_node('127.0.0.1', :worker1_port);
SELECT citus_activate_node('127.0.0.1', :worker1_port);
SELECT citus_set_node_property('127.0.0.1', :worker1_port, 'shouldhaveshards', false);
SELECT * FROM citus_check_cluster_node_health();
SELECT node_name, node_port = :worker1_port AS is_w1, node_port = :worker2_port AS is_w2 FROM citus_get_active_worker_nodes();
RESET ROLE;

-- a database that would give other answers is refused, when it is used
\c postgres postgres 127.0.0.1 :worker2_port
SET client_min_messages = warning;
DROP DATABASE IF EXISTS cz_nodes_latin;
DROP DATABASE IF EXISTS cz_nodes_order;
CREATE DATABASE cz_nodes_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
SELECT datcollate = 'C' AS is_c FROM pg_database WHERE datname = current_database() \gset
\if :is_c
CREATE DATABASE cz_nodes_order TEMPLATE template0 LC_COLLATE 'C.UTF-8';
\else
CREATE DATABASE cz_nodes_order TEMPLATE template0 LC_COLLATE 'C';
\endif
\c cz_nodes postgres 127.0.0.1 :coordinator_port
\set VERBOSITY terse
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 100) i;
CREATE SERVER latin FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker2_port', dbname 'cz_nodes_latin');
SELECT create_distributed_table('t', 'a', shard_count => 4);
DROP SERVER latin;
CREATE SERVER "order" FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker2_port', dbname 'cz_nodes_order');
\set VERBOSITY sqlstate
SELECT create_distributed_table('t', 'a', shard_count => 4);
\set VERBOSITY terse
DROP SERVER "order";
CREATE SERVER twice FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker1_port', dbname 'cz_nodes');
SELECT create_distributed_table('t', 'a', shard_count => 4);
DROP SERVER twice;
CREATE SERVER own FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'coordinator_port', dbname 'cz_nodes');
SELECT create_distributed_table('t', 'a', shard_count => 4);
DROP SERVER own;
\c postgres postgres 127.0.0.1 :worker2_port
DROP DATABASE cz_nodes_latin;
DROP DATABASE cz_nodes_order;
\c cz_nodes postgres 127.0.0.1 :coordinator_port
\set VERBOSITY terse

-- by hand: the server is a worker as soon as it is there
CREATE SERVER w2 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker2_port', dbname 'cz_nodes');
CREATE USER MAPPING FOR PUBLIC SERVER w2 OPTIONS (user 'postgres', password_required 'false');
SELECT node_name, node_port = :worker1_port AS is_w1, node_port = :worker2_port AS is_w2 FROM citus_get_active_worker_nodes();
SELECT node_name, node_port = :worker1_port AS is_w1, node_port = :worker2_port AS is_w2 FROM master_get_active_worker_nodes();
SELECT from_nodename, from_nodeport = :coordinator_port AS is_c, to_nodename, to_nodeport = :worker1_port AS is_w1,
       to_nodeport = :worker2_port AS is_w2, result FROM citus_check_cluster_node_health();
SELECT create_distributed_table('t', 'a', shard_count => 4);
SELECT shardstate, count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement GROUP BY 1;
-- a server with a placement stays, with the second one too
DROP SERVER w2;

-- properties
SELECT citus_set_node_property('127.0.0.1', :worker1_port, 'shouldhaveshards', false);
SELECT shouldhaveshards FROM pg_dist_node ORDER BY 1;
SELECT citus_set_node_property('127.0.0.1', :worker1_port, 'shouldhaveshards', true);
SELECT shouldhaveshards FROM pg_dist_node ORDER BY 1;
SELECT citus_set_node_property('127.0.0.1', :worker1_port, 'colour', true);
SELECT citus_set_node_property('127.0.0.1', :worker1_port, NULL, true);
SELECT citus_set_node_property('127.0.0.1', 1, 'shouldhaveshards', true);

-- disabled: not read, not written; the other may not go too
SELECT citus_disable_node('127.0.0.1', :worker1_port);
SELECT citus_disable_node('127.0.0.1', :worker1_port);
SELECT isactive, count(*) FROM pg_dist_node GROUP BY 1 ORDER BY 1;
SELECT shardstate, count(*) FROM pg_dist_shard_placement GROUP BY 1 ORDER BY 1;
SELECT citus_disable_node('127.0.0.1', :worker2_port);
INSERT INTO t VALUES (1001, 'while it was away');
DELETE FROM t WHERE a = 7;
SELECT count(*) FROM t;
-- back, with what it has missed: it alone answers
SELECT citus_activate_node('127.0.0.1', :worker1_port) = :id AS same;
SELECT citus_activate_node('127.0.0.1', :worker1_port) = :id AS same;
SELECT citus_disable_node('127.0.0.1', :worker2_port);
SELECT count(*), count(*) FILTER (WHERE a IN (7, 1001)) FROM t;
SELECT citus_activate_node('127.0.0.1', :worker2_port) IS NOT NULL AS activated;
SELECT citus_disable_node('127.0.0.1', 1);
SELECT citus_activate_node('127.0.0.1', 1);
-- two databases of one server are two workers, which host and port do not tell apart
CREATE SERVER other FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker1_port', dbname 'postgres');
SELECT citus_disable_node('127.0.0.1', :worker1_port);
SELECT citus_add_node('127.0.0.1', :worker1_port) = :id AS same;
DROP SERVER other;

-- by hand it would come back with what it has missed; renaming is harmless
ALTER SERVER w2 OPTIONS (ADD state 'disabled');
ALTER SERVER w2 OPTIONS (DROP checked);
ALTER SERVER w2 RENAME TO "W, 2";
SELECT count(*) FROM t;
SELECT shardstate, count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement GROUP BY 1;
DROP SERVER "W, 2";

-- remove: placements that are elsewhere too are forgotten, the last one is not
SELECT citus_remove_node('127.0.0.1', :worker2_port);
SELECT shardstate, count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement GROUP BY 1;
SELECT count(*) FROM t;
SELECT citus_remove_node('127.0.0.1', :worker1_port);
SELECT citus_remove_node('127.0.0.1', 1);

-- what fails leaves nothing
BEGIN;
SELECT citus_add_node('127.0.0.1', :worker3_port) IS NOT NULL AS added;
ROLLBACK;
SELECT count(*) FROM pg_dist_node;
DROP TABLE t;

-- reference tables: a new worker gets a copy, one that was away gets it anew
CREATE TABLE ref (a int PRIMARY KEY, b text);
INSERT INTO ref VALUES (1, 'one'), (2, 'two');
SELECT create_reference_table('ref');
SELECT citus_add_node('127.0.0.1', :worker3_port) IS NOT NULL AS added;
INSERT INTO ref VALUES (3, 'three');
SELECT count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement;
SELECT citus_disable_node('127.0.0.1', :worker3_port);
UPDATE ref SET b = upper(b) WHERE a = 1;
SELECT citus_activate_node('127.0.0.1', :worker3_port) IS NOT NULL AS activated;
DELETE FROM ref WHERE a = 2;
SELECT 'cz_shards.ref_' || shardid AS copy FROM pg_dist_shard WHERE logicalrelid = 'ref'::regclass \gset
CREATE FOREIGN TABLE copy1 (a int, b text) SERVER node_1 OPTIONS (schema_name 'cz_shards', table_name 'ref_102008');
SELECT srvname AS w3 FROM pg_foreign_server ORDER BY oid DESC LIMIT 1 \gset
SELECT substring(:'copy' from 'ref_.*') AS copy_name \gset
CREATE FOREIGN TABLE copy3 (a int, b text) SERVER :"w3" OPTIONS (schema_name 'cz_shards', table_name :'copy_name');
ALTER FOREIGN TABLE copy1 OPTIONS (SET table_name :'copy_name');
SELECT * FROM copy1 ORDER BY a;
SELECT * FROM copy3 ORDER BY a;
-- one made by hand gets it when it is activated
CREATE SERVER w2 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port :'worker2_port', dbname 'cz_nodes');
SELECT count(*) FROM pg_dist_shard_placement;
SELECT citus_activate_node('127.0.0.1', :worker2_port) IS NOT NULL AS activated;
SELECT count(*) FROM pg_dist_shard_placement;
DROP SERVER w2;
-- a foreign table keeps its server
SELECT citus_remove_node('127.0.0.1', :worker3_port);
DROP FOREIGN TABLE copy1, copy3;
SELECT citus_remove_node('127.0.0.1', :worker3_port);
INSERT INTO ref VALUES (4, 'four');
SELECT count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement;
DROP TABLE ref;
SELECT citus_remove_node('127.0.0.1', :worker1_port);
SELECT count(*) FROM pg_dist_node;

\c postgres
DROP DATABASE cz_nodes WITH (FORCE);
DROP ROLE cz_nodes_user;
