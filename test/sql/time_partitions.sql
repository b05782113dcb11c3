-- Partitions by time: time_partitions, create_time_partitions and its kin, on a distributed
-- table and on an ordinary one.
\set dbname cz_time_partitions
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set SHOW_CONTEXT never
SET DateStyle TO 'ISO';
SET cz.shard_count = 4;
CREATE SCHEMA time_partitions;
SET search_path TO time_partitions;
SET TimeZone TO 'UTC';
CREATE TABLE ev (site int, at timestamptz, n int) PARTITION BY RANGE (at);
SELECT create_distributed_table('ev', 'site');
SELECT * FROM get_missing_time_partition_ranges('ev', '1 month', '2026-04-01', '2026-01-15');
SELECT create_time_partitions('ev', '1 month', '2026-04-01', '2026-01-15');
SELECT create_time_partitions('ev', '1 month', '2026-04-01', '2026-01-15');
SELECT create_time_partitions('ev', '1 month', '2026-05-01', '2025-12-31 23:59');
SELECT * FROM time_partitions WHERE parent_table = 'ev'::regclass ORDER BY from_value;
INSERT INTO ev SELECT i, '2026-01-01'::timestamptz + i * interval '1 day', i FROM generate_series(0, 89) i;
SELECT tableoid::regclass, count(*) FROM ev GROUP BY 1 ORDER BY 1;
SELECT create_time_partitions('ev', '7 days', '2026-05-01', '2026-01-15');
SELECT create_time_partitions('ev', '0 days', '2026-05-01', '2026-01-15');
CALL drop_old_time_partitions('ev', '2026-02-15');
SELECT tableoid::regclass, count(*) FROM ev GROUP BY 1 ORDER BY 1;
SELECT partition, from_value, to_value FROM time_partitions WHERE parent_table = 'ev'::regclass ORDER BY from_value;
SELECT * FROM run_command_on_workers($$SELECT count(*) FROM pg_class WHERE relname LIKE 'ev_p2026_01_%' AND relkind = 'r'$$) WHERE result <> '0';
CREATE TABLE ev_rest PARTITION OF ev DEFAULT;
CREATE TABLE ev_old PARTITION OF ev FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
SELECT * FROM time_partitions WHERE parent_table = 'ev'::regclass ORDER BY to_value;
SELECT * FROM time_partition_range('ev_old');
SELECT * FROM time_partition_range('ev_rest');
SELECT create_time_partitions('ev', '1 month', '2020-01-05', '2019-12-15');
SELECT create_time_partitions('ev', '1 month', '2020-02-05', '2020-01-15');
CALL drop_old_time_partitions('ev', '2020-01-01');
CALL alter_old_partitions_set_access_method('ev', '2026-05-01', 'heap');
CALL alter_old_partitions_set_access_method('ev', '2026-05-01', 'other');
SELECT * FROM time_partition_range('ev');
-- names of ranges, and where they begin
CREATE TABLE d (k int, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE ts (k int, "When" timestamp) PARTITION BY RANGE ("When");
SELECT i, m.* FROM unnest('{1 year,3 months,1 month,7 days,2 weeks,1 day,10 days}'::interval[]) WITH ORDINALITY u(i, o),
    get_missing_time_partition_ranges('d', i, '2024-12-31', '2024-12-30') m ORDER BY o;
SELECT i, m.* FROM unnest('{6 hours,15 minutes,30 seconds}'::interval[]) WITH ORDINALITY u(i, o),
    get_missing_time_partition_ranges('ts', i, '2024-12-30 10:20:40', '2024-12-30 10:20:31') m ORDER BY o;
SELECT * FROM get_missing_time_partition_ranges('d', '12 hours', '2024-12-31', '2024-12-30');
SET TimeZone TO 'Europe/Berlin';
CREATE TABLE tz (k int, at timestamptz) PARTITION BY RANGE (at);
SELECT * FROM get_missing_time_partition_ranges('tz', '1 day', '2025-03-31', '2025-03-30');
SELECT * FROM get_missing_time_partition_ranges('tz', '1 hour', '2025-03-30 04:30', '2025-03-30 01:30');
SELECT create_time_partitions('tz', '1 hour', '2025-10-26 04:30', '2025-10-26 01:30');
SELECT partition, from_value, to_value FROM time_partitions WHERE parent_table = 'tz'::regclass ORDER BY from_value;
SET TimeZone TO 'UTC';
-- others
CREATE TABLE o (k int, n int) PARTITION BY RANGE (n);
SELECT create_time_partitions('o', '1 day', '2024-01-02', '2024-01-01');
CREATE TABLE l (k int, n int) PARTITION BY LIST (n);
SELECT create_time_partitions('l', '1 day', '2024-01-02', '2024-01-01');
CREATE TABLE shards (d date);
SELECT create_distributed_table('shards', 'd', 'range');
SELECT cz_create_range_shard('shards', '2024-01-01', '2025-01-01') > 0;
SELECT create_time_partitions('shards', '1 day', '2024-01-02', '2024-01-01');
CALL drop_old_time_partitions('shards', '2030-01-01');
SELECT count(*) FROM time_partitions WHERE parent_table = 'shards'::regclass;
CREATE TABLE "A table with a name that is nearly as long as a name can be !" (k int, day date) PARTITION BY RANGE (day);
SELECT create_time_partitions('"A table with a name that is nearly as long as a name can be !"', '1 day', '2024-01-02', '2024-01-01');
-- who may not make partitions
CREATE ROLE time_reader;
GRANT USAGE ON SCHEMA time_partitions TO time_reader;
SET ROLE time_reader;
SELECT create_time_partitions('ev', '1 month', '2027-04-01', '2027-01-15');
CALL drop_old_time_partitions('ev', '2030-01-01');
RESET ROLE;
SET client_min_messages TO warning;
DROP SCHEMA time_partitions CASCADE;
DROP ROLE time_reader;
