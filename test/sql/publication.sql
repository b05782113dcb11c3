-- Publications and distributed tables: this server's WAL has none of their rows, so that
-- one by name is refused and one among many is warned of.
-- Coordinator, workers 1, 2, 3; database cz_publication on each.
\set dbname cz_publication
\i sql/include/worker_database.inc
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
RESET client_min_messages;
\i sql/include/workers.inc
CREATE SCHEMA pub;
SET search_path TO pub;
CREATE TABLE d (k int PRIMARY KEY, v int);
SELECT create_distributed_table('d', 'k', shard_count => 2);
CREATE TABLE r (k int PRIMARY KEY);
SELECT create_reference_table('r');
CREATE TABLE l (k int PRIMARY KEY);

CREATE PUBLICATION p FOR TABLE d;
\echo :SQLSTATE
CREATE PUBLICATION p FOR TABLE l, pub.d WHERE (k > 1);
CREATE PUBLICATION p FOR TABLES IN SCHEMA pub;
DROP PUBLICATION p;
CREATE PUBLICATION p FOR TABLES IN SCHEMA CURRENT_SCHEMA;
DROP PUBLICATION p;
CREATE PUBLICATION p FOR ALL TABLES;
DROP PUBLICATION p;

-- reference tables and local ones are published as usual
CREATE PUBLICATION p FOR TABLE r, l;
ALTER PUBLICATION p ADD TABLE d;
ALTER PUBLICATION p SET TABLE l, d;
ALTER PUBLICATION p ADD TABLES IN SCHEMA pub;
ALTER PUBLICATION p DROP TABLES IN SCHEMA pub;
ALTER PUBLICATION p DROP TABLE r;
SELECT tablename FROM pg_publication_tables WHERE pubname = 'p' ORDER BY 1;
-- a table that is published and then distributed
SELECT create_distributed_table('l', 'k', shard_count => 2);
DROP PUBLICATION p;
DROP SCHEMA pub CASCADE;

\c postgres
DROP DATABASE cz_publication WITH (FORCE);
