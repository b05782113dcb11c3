-- The statements of the two texts that the project began with, verbatim, on an empty table
-- and again with rows in it; and what the views must say of it.
\set dbname cz_seed
\i sql/include/worker_database.inc
\i sql/include/workers.inc
CREATE TABLE events (event_id bigserial, tenant_id int, event_type text, event_data jsonb, created_at timestamptz DEFAULT now());
SELECT create_distributed_table('events', 'tenant_id');
SELECT * FROM events WHERE tenant_id = 42;
SELECT event_type, COUNT(*) FROM events GROUP BY event_type;
SELECT * FROM citus_tables;
SELECT shardid, nodename, nodeport FROM pg_dist_shard_placement WHERE shardid IN (SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'events'::regclass);
SELECT * from pg_dist_partition;
SELECT * from pg_dist_shard;
SELECT * from pg_dist_shard_placement;

-- with rows
INSERT INTO events (tenant_id, event_type, event_data)
  SELECT i % 50, (ARRAY['click', 'view', 'buy'])[i % 3 + 1], jsonb_build_object('n', i) FROM generate_series(1, 1000) i;
INSERT INTO events (tenant_id, event_type, event_data) VALUES (42, 'refund', '{"why": "broken"}');
SELECT event_id, tenant_id, event_type, event_data, created_at <= now() AS dated
  FROM events WHERE tenant_id = 42 ORDER BY event_id;
SELECT event_type, COUNT(*) FROM events GROUP BY event_type ORDER BY event_type;
SELECT count(*), count(DISTINCT event_id), min(event_id), max(event_id) FROM events;

-- 32 shards by default, two placements each on different workers, spread evenly
SELECT table_name, citus_table_type, distribution_column, shard_count FROM citus_tables;
SELECT count(*), count(DISTINCT shardid) FROM pg_dist_shard_placement;
SELECT min(n), max(n) FROM (SELECT shardid, count(DISTINCT nodeport) n FROM pg_dist_shard_placement GROUP BY 1) x;
SELECT max(n) - min(n) <= 2 AS even FROM (SELECT nodeport, count(*) n FROM pg_dist_shard_placement GROUP BY 1) x;
SELECT logicalrelid, partmethod FROM pg_dist_partition;
\c postgres
DROP DATABASE cz_seed WITH (FORCE);
