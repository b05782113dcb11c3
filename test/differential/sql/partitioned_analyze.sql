-- ANALYZE and VACUUM of partitioned tables: what they find is that of the table, not of the map of its shards
CREATE TABLE ev (junk int, k int NOT NULL, t int NOT NULL, v text, n numeric, a int[], PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
ALTER TABLE ev DROP COLUMN junk;
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (n numeric, a int[], v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE ev3d PARTITION OF ev3 DEFAULT;
CREATE STATISTICS ev_s (ndistinct, dependencies, mcv) ON t, v FROM ev;
CREATE STATISTICS ev_x ON (t / 10), v FROM ev;
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev (k, t, v, n, a) SELECT i, i % 40, 'v' || i % 40, NULLIF(i % 3, 0), ARRAY[i % 2, i % 5] FROM generate_series(1, 2000) i;
ANALYZE ev;
SELECT attname, null_frac, avg_width, n_distinct, most_common_vals::text = '' , cardinality(most_common_freqs), most_common_elem_freqs IS NULL FROM pg_stats WHERE tablename = 'ev' AND schemaname = current_schema ORDER BY 1;
SELECT most_common_vals, most_common_freqs FROM pg_stats WHERE tablename = 'ev' AND schemaname = current_schema AND attname = 'n';
SELECT histogram_bounds FROM pg_stats WHERE tablename = 'ev' AND schemaname = current_schema AND attname = 'k';
SELECT relname, reltuples FROM pg_class WHERE relname IN ('ev', 'ev1', 'ev2', 'ev3a', 'ev3d', 'ev3') AND relnamespace = current_schema::regnamespace ORDER BY 1;
SELECT statistics_name, n_distinct, dependencies, cardinality(most_common_freqs) FROM pg_stats_ext WHERE tablename = 'ev' AND statistics_schemaname = current_schema ORDER BY 1;
SELECT count(*) FROM pg_stats_ext_exprs WHERE statistics_name = 'ev_x' AND statistics_schemaname = current_schema;
SELECT stxrelid::regclass, stxname FROM pg_statistic_ext WHERE stxnamespace = current_schema::regnamespace ORDER BY 2;
-- a partition
ANALYZE ev2;
SELECT attname, null_frac, avg_width, n_distinct, cardinality(most_common_freqs) FROM pg_stats WHERE tablename = 'ev2' AND schemaname = current_schema ORDER BY 1;
SELECT reltuples FROM pg_class WHERE oid = 'ev2'::regclass;
ANALYZE ev1;
SELECT attname, null_frac, avg_width, n_distinct, cardinality(most_common_freqs) FROM pg_stats WHERE tablename = 'ev1' AND schemaname = current_schema ORDER BY 1;
ANALYZE ev3;
SELECT attname, null_frac, avg_width, n_distinct, cardinality(most_common_freqs) FROM pg_stats WHERE tablename = 'ev3' AND schemaname = current_schema ORDER BY 1;
SELECT reltuples FROM pg_class WHERE oid IN ('ev3'::regclass, 'ev3a'::regclass) ORDER BY 1;
-- columns, targets, options
CREATE TABLE w (k int, t int, v text) PARTITION BY LIST (t);
CREATE TABLE w1 PARTITION OF w FOR VALUES IN (1, 2);
SELECT create_distributed_table('w', 'k');
INSERT INTO w SELECT i, i % 2 + 1, 'x' || i % 300 FROM generate_series(1, 900) i;
ANALYZE w (t);
CREATE STATISTICS w1_s (ndistinct) ON t, v FROM w1;
ANALYZE w1;
SELECT statistics_name, n_distinct FROM pg_stats_ext WHERE tablename = 'w1' AND statistics_schemaname = current_schema ORDER BY 1;
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
-- error
ANALYZE w (nope);
-- error
ANALYZE w (t, t);
-- error
ANALYZE w1 (t, k, nope);
ALTER TABLE w ALTER v SET STATISTICS 5, ALTER k SET (n_distinct_inherited = 17), ALTER t SET STATISTICS 0;
ANALYZE w;
SELECT attname, n_distinct, cardinality(histogram_bounds) FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
ALTER TABLE w ALTER v SET STATISTICS -1, ALTER k RESET (n_distinct_inherited);
VACUUM (ANALYZE) w;
SELECT attname, n_distinct, cardinality(histogram_bounds) > 50 FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
ALTER TABLE w RENAME COLUMN v TO vv;
ALTER TABLE w ADD COLUMN z int DEFAULT 5;
DELETE FROM w WHERE k > 450;
ANALYZE w, w1, ev1;
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
SELECT reltuples FROM pg_class WHERE oid IN ('w'::regclass, 'w1'::regclass) ORDER BY oid;
BEGIN;
INSERT INTO w SELECT i, i % 2 + 1, 'x' || i % 300 FROM generate_series(1000, 1549) i;
ANALYZE w;
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
SELECT reltuples FROM pg_class WHERE oid = 'w'::regclass;
ROLLBACK;
SELECT reltuples FROM pg_class WHERE oid = 'w'::regclass;
ANALYZE (SKIP_LOCKED) w;
VACUUM w, ev;
VACUUM (FULL) w1;
VACUUM (FREEZE, ANALYZE) ev3;
ANALYZE;
SELECT relname, reltuples FROM pg_class WHERE relname IN ('ev', 'ev1', 'ev2', 'ev3a', 'ev3d', 'ev3', 'w', 'w1') AND relnamespace = current_schema::regnamespace ORDER BY 1;
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'w' AND schemaname = current_schema ORDER BY 1;
-- the map's columns keep their versions
CREATE TABLE versions (id int, gone int, k int, x int, gone2 int) PARTITION BY RANGE (x);
CREATE TABLE versions_1 PARTITION OF versions DEFAULT;
SELECT create_distributed_table('versions', 'k');
ALTER TABLE versions DROP COLUMN gone;
INSERT INTO versions SELECT i, i, i FROM generate_series(1, 100) i;
ALTER TABLE versions ALTER x SET (n_distinct = 50);
ANALYZE versions;
ALTER TABLE versions ADD COLUMN d date;
ALTER TABLE versions DROP COLUMN gone2;
ANALYZE versions;
SELECT stadistinct FROM pg_statistic WHERE starelid = 'versions'::regclass AND staattnum = 4 AND stainherit;
ALTER TABLE versions ALTER x RESET (n_distinct);
ANALYZE versions_1;
ANALYZE versions;
-- notices
SELECT count(*), sum(x) FROM versions;
-- notices
UPDATE versions SET x = x + 1 WHERE k < 10;
