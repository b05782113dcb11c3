-- Commands that 18 has more of: ANALYZE and VACUUM ONLY, EXPLAIN's options.
-- from: 18
CREATE TABLE r (a int, at int) PARTITION BY RANGE (at);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);
CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('r', 'a');
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO r SELECT i, i % 20 FROM generate_series(1, 200) i;
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
-- its partitions are not counted
ANALYZE ONLY r;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('r'::regclass, 'r1'::regclass, 'r2'::regclass) ORDER BY 1;
SELECT tablename, attname, inherited, n_distinct FROM pg_stats WHERE schemaname = current_schema() ORDER BY 1, 2;
-- notices
VACUUM ONLY r;
-- notices
VACUUM (ANALYZE) ONLY r, ONLY t;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('r'::regclass, 'r1'::regclass, 't'::regclass) ORDER BY 1;
-- notices
VACUUM (ANALYZE) r;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('r'::regclass, 'r1'::regclass, 'r2'::regclass) ORDER BY 1;
ANALYZE ONLY t (v);
-- error
ANALYZE ONLY t (nothing);
-- error
ANALYZE ONLY no_such_table;
-- error
EXPLAIN (ANALYZE, GENERIC_PLAN) SELECT * FROM t;
-- error
EXPLAIN (SERIALIZE) SELECT * FROM t;
-- error
EXPLAIN (ANALYZE, SERIALIZE wrongly) SELECT * FROM t;
-- error
EXPLAIN (NO_SUCH_OPTION) SELECT * FROM t;
-- error
EXPLAIN (TIMING) SELECT * FROM t;
-- error
EXPLAIN (GENERIC_PLAN) SELECT * FROM t WHERE k = $1 AND no_such = $2;
