-- The privilege MAINTAIN (17) for every command that it is about, and EXCLUDE on partitioned tables.
-- from: 17
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
CREATE INDEX t_v ON t (v);
CREATE TABLE r (a int, at int, PRIMARY KEY (a, at)) PARTITION BY RANGE (at);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);
CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('r', 'a');
INSERT INTO t SELECT i, 100 - i FROM generate_series(1, 100) i;
INSERT INTO r SELECT i, i % 20 FROM generate_series(1, 100) i;
CREATE MATERIALIZED VIEW mv AS SELECT count(*), sum(v) FROM t;
INSERT INTO t VALUES (1000, 1000);
DROP ROLE IF EXISTS diff_maintainer;
CREATE ROLE diff_maintainer;
GRANT USAGE, CREATE ON SCHEMA t_maintain_17 TO diff_maintainer;
SET ROLE diff_maintainer;
-- error
CLUSTER t USING t_v;
-- error
REINDEX INDEX t_v;
-- error
REFRESH MATERIALIZED VIEW mv;
BEGIN;
-- error
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
ROLLBACK;
-- notices
ANALYZE t;
-- notices
VACUUM r;
RESET ROLE;
GRANT MAINTAIN ON t, r, r1, r2, mv TO diff_maintainer;
SET ROLE diff_maintainer;
CLUSTER t USING t_v;
CLUSTER t;
CLUSTER r USING r_pkey;
REINDEX INDEX t_v;
REINDEX TABLE t;
REINDEX TABLE r;
REFRESH MATERIALIZED VIEW mv;
BEGIN;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
LOCK TABLE r IN SHARE MODE;
LOCK TABLE ONLY t IN ROW EXCLUSIVE MODE;
COMMIT;
-- notices
ANALYZE t;
-- notices
ANALYZE r;
-- notices
VACUUM (ANALYZE) t, r;
-- error
SELECT * FROM t;
-- error
TRUNCATE t;
-- error
ALTER TABLE t ADD w int;
-- error
CREATE INDEX ON t (v);
RESET ROLE;
SELECT * FROM mv;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('t'::regclass, 'r'::regclass) ORDER BY 1;
SELECT tablename, attname FROM pg_stats WHERE schemaname = current_schema() AND tablename IN ('t', 'r') ORDER BY 1, 2;
DROP OWNED BY diff_maintainer;
DROP ROLE diff_maintainer;
CREATE TABLE e (k int, at int, p int, EXCLUDE USING btree (k WITH =, at WITH =, p WITH =)) PARTITION BY RANGE (at);
CREATE TABLE e1 PARTITION OF e FOR VALUES FROM (0) TO (10);
SELECT create_distributed_table('e', 'k');
CREATE TABLE e2 PARTITION OF e FOR VALUES FROM (10) TO (20);
INSERT INTO e VALUES (1, 1, 1), (1, 1, 2), (2, 11, 1), (1, 11, 1);
-- error
INSERT INTO e VALUES (1, 1, 2);
-- error
INSERT INTO e2 VALUES (2, 11, 1);
-- error
UPDATE e SET p = 1 WHERE p = 2;
-- error
UPDATE e SET k = 1 WHERE k = 2;
-- error
ALTER TABLE e ADD CONSTRAINT e_of_k EXCLUDE USING btree (k WITH =, at WITH =);
ALTER TABLE e ADD CONSTRAINT e_of_k EXCLUDE USING btree (k WITH =, at WITH =) WHERE (p > 1);
INSERT INTO e VALUES (3, 3, 3) ON CONFLICT DO NOTHING;
CREATE TABLE e3 (k int, at int, p int);
INSERT INTO e3 VALUES (5, 25, 1), (5, 25, 1);
-- error
ALTER TABLE e ATTACH PARTITION e3 FOR VALUES FROM (20) TO (30);
DELETE FROM e3;
ALTER TABLE e ATTACH PARTITION e3 FOR VALUES FROM (20) TO (30);
INSERT INTO e VALUES (5, 25, 2);
-- error
INSERT INTO e VALUES (5, 25, 3);
SELECT * FROM e ORDER BY 1, 2, 3;
ALTER TABLE e DROP CONSTRAINT e_of_k;
INSERT INTO e VALUES (5, 25, 3);
