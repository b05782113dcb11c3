-- DDL on distributed tables that is in this version.
CREATE TABLE t (k int, v text, n int);
COMMENT ON TABLE t IS 'a comment';
COMMENT ON COLUMN t.v IS 'of a column';
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'v' || i % 5, i FROM generate_series(1, 50) i;
SELECT obj_description('t'::regclass), col_description('t'::regclass, 2);
CREATE INDEX t_v ON t (v);
SELECT count(*) FROM t WHERE v = 'v3';
CREATE INDEX ON t (n DESC NULLS LAST) WHERE n > 10;
CREATE INDEX t_expr ON t (lower(v));
DROP INDEX t_v;
-- error
DROP INDEX t_v;
CREATE UNIQUE INDEX t_kn ON t (k, n);
-- error
INSERT INTO t VALUES (1, 'dup', 1);
-- error
CREATE UNIQUE INDEX t_bad ON t (k, nosuch);
ALTER TABLE t ADD COLUMN a int;
ALTER TABLE t ADD COLUMN b text DEFAULT 'b';
ALTER TABLE t ADD COLUMN c date DEFAULT '2026-01-01' NOT NULL;
SELECT * FROM t WHERE k < 4 ORDER BY k;
INSERT INTO t (k, n) VALUES (60, 60);
SELECT * FROM t WHERE k = 60;
ALTER TABLE t DROP COLUMN b;
ALTER TABLE t DROP COLUMN IF EXISTS nosuch;
SELECT * FROM t WHERE k IN (3, 60) ORDER BY k;
-- error
ALTER TABLE t ADD COLUMN a int;
ALTER TABLE t ADD COLUMN IF NOT EXISTS a int;
TRUNCATE t;
SELECT count(*) FROM t;
INSERT INTO t (k, n) SELECT i, i FROM generate_series(1, 10) i;
SELECT count(*) FROM t;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
CREATE VIEW on_t AS SELECT k, n FROM t;
-- error
DROP TABLE t;
-- other words
-- error
ALTER TABLE t DROP COLUMN n;
SELECT undistribute_table('t');
SELECT count(*), sum(n) FROM t;
SELECT sum(n) FROM on_t;
INSERT INTO t (k, n) VALUES (70, 70);
SELECT create_distributed_table('t', 'k');
SELECT count(*), sum(n) FROM on_t;
DROP TABLE t CASCADE;
-- error
SELECT * FROM on_t;
CREATE TABLE pk (a int, b int, PRIMARY KEY (a, b));
CREATE VIEW on_pk AS SELECT a, sum(b) FROM pk GROUP BY a;
CREATE FUNCTION f_pk() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM pk';
GRANT SELECT ON pk TO PUBLIC;
SELECT create_distributed_table('pk', 'a');
INSERT INTO pk SELECT i % 4, i FROM generate_series(1, 12) i;
SELECT * FROM on_pk ORDER BY 1;
SELECT f_pk();
SELECT a, b, count(*) FROM pk GROUP BY a, b ORDER BY 1, 2 LIMIT 3;
SELECT contype, conname FROM pg_constraint WHERE conrelid = 'pk'::regclass ORDER BY 2;
SELECT has_table_privilege('public', 'pk', 'SELECT');
SELECT relacl IS NOT NULL FROM pg_class WHERE oid = 'pk'::regclass;
CREATE TABLE ref (id int PRIMARY KEY, v text);
INSERT INTO ref VALUES (1, 'x');
SELECT create_reference_table('ref');
ALTER TABLE ref ADD COLUMN w int DEFAULT 9;
SELECT * FROM ref;
SELECT r.w, count(*) FROM ref r, pk GROUP BY 1;
CREATE INDEX ref_w ON ref (w);
TRUNCATE ref;
SELECT count(*) FROM pk, ref;
DROP TABLE ref;
CREATE SCHEMA t_ddl_inner;
CREATE TABLE t_ddl_inner.x (k int, v int);
SELECT create_distributed_table('t_ddl_inner.x', 'k');
INSERT INTO t_ddl_inner.x VALUES (1, 2);
SELECT * FROM t_ddl_inner.x;
DROP SCHEMA t_ddl_inner CASCADE;
CREATE TABLE i1 (k int, t text);
SELECT create_distributed_table('i1', 'k', shard_count => 1);
INSERT INTO i1 SELECT i, 't' FROM generate_series(1, 30) i;
SELECT count(*), count(DISTINCT k) FROM i1;
SELECT t, count(*) FROM i1 GROUP BY t HAVING count(*) > 3;
CREATE TABLE row_type (k int, t text);
SELECT create_distributed_table('row_type', 'k');
CREATE TABLE row_user (k int, r row_type);
SELECT create_distributed_table('row_user', 'k');
INSERT INTO row_user VALUES (1, '(1,a)');
-- error
ALTER TABLE row_type ADD COLUMN u int DEFAULT 1;
ALTER TABLE row_type ADD COLUMN u int;
SELECT k, (r).t FROM row_user;
CREATE TABLE rng (d int, v int);
-- differs: plain PostgreSQL does nothing here
SELECT create_distributed_table('rng', 'nosuch_column');
CREATE TABLE again (k int PRIMARY KEY, v text, n int);
CREATE INDEX again_v ON again (v);
CREATE INDEX again_part ON again (v) WHERE n > 3;
CREATE INDEX again_hash ON again USING hash (v);
SELECT create_distributed_table('again', 'k');
INSERT INTO again SELECT i, 'v' || i % 7, i % 5 FROM generate_series(1, 60) i;
REINDEX TABLE again;
REINDEX INDEX again_v;
REINDEX INDEX again_pkey;
-- error
REINDEX INDEX again;
-- error
REINDEX TABLE again_v;
-- error
REINDEX (nosuch) TABLE again;
-- error
REINDEX TABLE nosuch;
-- error
CLUSTER again;
CLUSTER again USING again_v;
CLUSTER again;
CLUSTER again USING again_pkey;
-- error
CLUSTER again USING again_part;
-- error
CLUSTER again USING again_hash;
-- error
CLUSTER again USING nosuch;
SELECT indexrelid::regclass, indisclustered, indisvalid FROM pg_index WHERE indrelid = 'again'::regclass ORDER BY 1;
BEGIN;
INSERT INTO again VALUES (100, 'v100', 4);
REINDEX TABLE again;
CLUSTER again USING again_v;
SELECT count(*) FROM again WHERE v > 'v0';
ROLLBACK;
SELECT indexrelid::regclass, indisclustered FROM pg_index WHERE indrelid = 'again'::regclass ORDER BY 1;
SELECT count(*), sum(k) FROM again WHERE v LIKE 'v%';
CREATE TABLE again_ref (k int PRIMARY KEY, v text);
CREATE INDEX again_ref_v ON again_ref (v);
SELECT create_reference_table('again_ref');
INSERT INTO again_ref SELECT i, 'v' || i % 7 FROM generate_series(1, 20) i;
REINDEX TABLE again_ref;
REINDEX INDEX again_ref_v;
CLUSTER again_ref USING again_ref_v;
SELECT count(*) FROM again JOIN again_ref USING (v);
DROP TABLE again, again_ref;
