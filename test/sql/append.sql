-- Range shards without bounds, and shards made by what is appended: the functions, what the
-- catalogs say of them, and their refusals.
\set dbname cz_append
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY terse
CREATE VIEW ranges AS SELECT table_name, lower_bound, upper_bound, min_value, max_value, row_count FROM cz_shard_ranges;

-- bounds may be open
CREATE TABLE r (k int, v text);
SELECT create_distributed_table('r', 'k', 'range');
SELECT cz_create_range_shard('r', '10', NULL) > 0 AS made;
SELECT cz_create_range_shard('r', NULL, '0') > 0 AS made;
SELECT cz_create_range_shard('r', NULL, '-5');
SELECT cz_create_range_shard('r', '5', '11');
SELECT cz_create_range_shard(NULL, '5', '11');
SELECT cz_create_range_shard('r', 'x', '11');
INSERT INTO r VALUES (-100, 'low'), (10, 'high');
INSERT INTO r VALUES (5, 'between');
SELECT * FROM ranges;
SELECT partmethod FROM pg_dist_partition WHERE logicalrelid = 'r'::regclass;
SELECT shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'r'::regclass;
SELECT citus_update_table_statistics('r');
SELECT shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'r'::regclass;
SELECT * FROM ranges;

-- what the second text shows: shards with the least and the greatest key that they have
CREATE TABLE lineitem (id bigint PRIMARY KEY, note text);
SELECT create_distributed_table('lineitem', 'id', 'append');
CREATE TABLE stage (id bigint, note text);
INSERT INTO stage SELECT i * 10, 'first' FROM generate_series(3, 100) i;
SELECT cz_append_table('lineitem', 'stage') > 0 AS made;
UPDATE stage SET id = id + 1001, note = 'second';
SELECT cz_append_table('lineitem', 'stage') > 0 AS made;
SELECT partmethod FROM pg_dist_partition WHERE logicalrelid = 'lineitem'::regclass;
SELECT logicalrelid, shardstorage, shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'lineitem'::regclass;
SELECT shardstate, shardlength > 0 AS filled, count(*) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'lineitem'::regclass GROUP BY 1, 2;

-- shards that are asked for first
SELECT master_create_empty_shard('lineitem') AS s1 \gset
SELECT master_create_empty_shard('public.lineitem') AS s2 \gset
SELECT :s1 < :s2 AS two, count(*) FROM cz.pending_shards;
SELECT shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE shardid IN (:s1, :s2);
TRUNCATE stage;
SELECT master_append_table_to_shard(:s1, 'stage', 'localhost', :coordinator_port) AS fill;
INSERT INTO stage VALUES (5000, 'x'), (5001, 'y');
SELECT master_append_table_to_shard(:s1, 'public.stage', '127.0.0.1', :coordinator_port) > 0 AS filled;
SELECT shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE shardid = :s1;
-- the same shard again: it grows, above and below
UPDATE stage SET id = id + 100;
SELECT master_append_table_to_shard(:s1, 'stage', 'localhost', :coordinator_port) > 0 AS filled;
UPDATE stage SET id = id - 1000;
SELECT master_append_table_to_shard(:s1, 'stage', 'localhost', :coordinator_port) > 0 AS filled;
SELECT * FROM ranges WHERE table_name = 'lineitem'::regclass;
SET citus.shard_max_size = '16kB';
UPDATE stage SET id = id + 2;
SELECT master_append_table_to_shard(:s1, 'stage', 'localhost', :coordinator_port) AS fill;
RESET citus.shard_max_size;
-- from a worker
\c cz_append postgres 127.0.0.1 :worker1_port
SET client_min_messages = warning;
CREATE TABLE there (note text, id bigint);
INSERT INTO there SELECT 'there', i FROM generate_series(8000, 8009) i;
CREATE TABLE narrow (id bigint);
\c cz_append postgres 127.0.0.1 :coordinator_port
\set VERBOSITY terse
SELECT master_append_table_to_shard(:s2, 'there', '127.0.0.1', :worker1_port) > 0 AS filled;
SELECT * FROM lineitem WHERE id >= 8000 ORDER BY id LIMIT 2;
SELECT count(*) AS pending FROM cz.pending_shards;
SELECT master_append_table_to_shard(:s2, 'there', '127.0.0.1', :worker1_port);
SELECT master_append_table_to_shard(:s2, 'narrow', '127.0.0.1', :worker1_port);
SELECT master_append_table_to_shard(:s2, 'nowhere', '127.0.0.1', :worker1_port);
SELECT master_append_table_to_shard(:s2, 'there', 'nohost', 1);
SELECT master_append_table_to_shard(1, 'there', '127.0.0.1', :worker1_port);
SELECT count(*) FROM pg_class WHERE relname LIKE 'append_source%';
SELECT count(*) FROM lineitem;

-- refusals
CREATE TABLE h (k int);
SELECT create_distributed_table('h', 'k');
SELECT cz_append_table('h', 'stage');
SELECT cz_append_table('stage', 'h');
SELECT cz_append_table('lineitem', 'lineitem');
SELECT cz_append_table('lineitem', 'h');
SELECT master_create_empty_shard('h');
SELECT create_distributed_table('stage', 'id', 'append');
SELECT create_distributed_table('stage', 'id', 'appended');
INSERT INTO stage VALUES (NULL, 'null');
SELECT cz_append_table('lineitem', 'stage');
CREATE ROLE cz_append_other;
GRANT SELECT ON lineitem TO cz_append_other;
SET ROLE cz_append_other;
SELECT cz_append_table('lineitem', 'stage');
SELECT master_create_empty_shard('lineitem');
SELECT master_append_table_to_shard(:s2, 'stage', 'localhost', :coordinator_port);
SELECT cz_create_range_shard('r', '1', '2');
SELECT DISTINCT min_value FROM cz_shard_ranges WHERE table_name = 'r'::regclass;
RESET ROLE;
-- a worker's table takes what a foreign table takes
GRANT CREATE ON SCHEMA public TO cz_append_other;
SET ROLE cz_append_other;
CREATE TABLE theirs (id bigint, note text);
SELECT create_distributed_table('theirs', 'id', 'append');
SELECT master_create_empty_shard('theirs') AS s3 \gset
SELECT master_append_table_to_shard(:s3, 'there', '127.0.0.1', :worker1_port);
RESET ROLE;
DO $$ DECLARE s name; BEGIN FOR s IN SELECT srvname FROM pg_foreign_server LOOP EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO cz_append_other', s); END LOOP; END $$;
SET ROLE cz_append_other;
SELECT master_append_table_to_shard(:s3, 'there', '127.0.0.1', :worker1_port) > 0 AS filled;
SELECT count(*) FROM theirs;
RESET ROLE;

-- a table that goes takes its reserved ids with it; so does one that becomes ordinary
SELECT master_create_empty_shard('lineitem') > 0 AS reserved;
SELECT undistribute_table('lineitem');
SELECT count(*) AS pending FROM cz.pending_shards;
SELECT count(*) FROM lineitem;
DROP OWNED BY cz_append_other;
DROP ROLE cz_append_other;

-- the cluster's file knows the type and open bounds
CREATE TABLE e (k text COLLATE "C");
SELECT create_distributed_table('e', 'k', 'append');
CREATE TABLE words (k text);
INSERT INTO words VALUES ('a'), ('b');
SELECT cz_append_table('e', 'words') > 0 AS made;
SELECT t FROM jsonb_array_elements(cz_export_cluster()::jsonb -> 'tables') t WHERE t ->> 'name' IN ('public.e', 'public.r');
DROP TABLE e;
CREATE TABLE e (k text COLLATE "C");
SELECT * FROM cz_import_cluster('{"tables": [{"name": "public.e", "type": "append", "column": "k", "ranges": [{"to": "b"}, {"from": "b"}]}]}');
SELECT * FROM ranges WHERE table_name = 'e'::regclass;
SELECT * FROM cz_import_cluster('{"tables": [{"name": "public.e", "type": "append", "column": "k", "ranges": [{"to": "b"}, {"from": "b"}]}]}');
SELECT * FROM cz_check_shards();
\c postgres
DROP DATABASE cz_append WITH (FORCE);
