-- DROP COLUMN of the distribution column: the table has one shard then.  And what core says of
-- statements that are refused otherwise.
CREATE TABLE t (k int PRIMARY KEY, v text, w int DEFAULT 1);
CREATE TABLE o (k int, n int);
CREATE TABLE ref (id int PRIMARY KEY, n int);
CREATE TABLE refers (k int, id int REFERENCES ref ON DELETE CASCADE, v text);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('t', 'k'), create_distributed_table('o', 'k'), create_reference_table('ref'), create_distributed_table('refers', 'k');
INSERT INTO t SELECT i, 'v' || i % 7, i % 3 FROM generate_series(1, 60) i;
INSERT INTO o SELECT i, i FROM generate_series(1, 60) i;
INSERT INTO ref SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO refers SELECT i, i % 10 + 1, 'r' FROM generate_series(1, 40) i;
CREATE INDEX t_w ON t (w);
CREATE VIEW t_view AS SELECT k FROM t;
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE TRIGGER seen BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION seen();
COMMENT ON COLUMN t.w IS 'the other';
PREPARE p AS SELECT count(*), sum(w) FROM t;
EXECUTE p;
-- error
ALTER TABLE t DROP COLUMN k;
-- error
ALTER TABLE t DROP COLUMN k, DROP COLUMN nope;
-- error
ALTER TABLE ONLY nope DROP COLUMN k;
BEGIN;
UPDATE t SET w = w + 1 WHERE k <= 6;
ALTER TABLE t DROP COLUMN k CASCADE;
INSERT INTO t VALUES ('new', 5) RETURNING *;
SELECT w, count(*), max(v) FROM t GROUP BY w ORDER BY w;
ROLLBACK;
SELECT count(*) FROM t_view WHERE k < 10;
DROP VIEW t_view;
ALTER TABLE t DROP COLUMN k, ADD COLUMN n serial, ALTER w TYPE bigint, ADD CHECK (w < 100);
-- error
EXECUTE p;
SELECT w, count(*), max(v), count(DISTINCT n) FROM t GROUP BY w ORDER BY w;
INSERT INTO t (v, w) VALUES ('a', 9), ('a', 9);
-- error
INSERT INTO t (v, w) VALUES ('a', 100);
UPDATE t SET w = 10 WHERE v = 'a' RETURNING v, w;
ALTER TABLE t ADD UNIQUE (n);
-- error
INSERT INTO t (n) SELECT n FROM t LIMIT 1;
SELECT o.n, count(*) FROM o JOIN t USING (n) GROUP BY 1 ORDER BY 1 LIMIT 3;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1;
SELECT col_description('t'::regclass, 3);
-- with keys to a reference table
ALTER TABLE refers ALTER k TYPE bigint;
ALTER TABLE refers DROP COLUMN k;
-- error
INSERT INTO refers VALUES (99, 'r');
DELETE FROM ref WHERE id = 1;
SELECT count(*) FROM refers;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'refers'::regclass;
SELECT object, expected, found FROM cz_check_shards('refers');
-- partitioned tables, another type of the distribution column, too
CREATE TABLE parted (k int, d int, v text) PARTITION BY RANGE (d);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted2 PARTITION OF parted FOR VALUES FROM (10) TO (20) PARTITION BY LIST (v);
CREATE TABLE parted2a PARTITION OF parted2 FOR VALUES IN ('a', 'b');
CREATE TABLE parted3 PARTITION OF parted DEFAULT;
CREATE INDEX parted_v ON parted (v);
CREATE INDEX parted_kd ON parted (k, d);
SELECT create_distributed_table('parted', 'k');
INSERT INTO parted SELECT i, i % 15, CASE WHEN i % 15 >= 10 THEN 'a' ELSE 'x' || i END FROM generate_series(1, 100) i;
CREATE VIEW parted_view AS SELECT k FROM parted2;
-- error
ALTER TABLE parted ALTER k TYPE bigint;
DROP VIEW parted_view;
-- error
ALTER TABLE parted2 ALTER k TYPE bigint;
-- error
ALTER TABLE parted2 DROP COLUMN k;
ALTER TABLE parted ALTER k TYPE bigint;
INSERT INTO parted VALUES (10000000000, 1, 'large');
ALTER TABLE parted ALTER k TYPE text USING 'k' || k;
SELECT tableoid::regclass, count(*), min(k), max(k) FROM parted GROUP BY 1 ORDER BY 1;
SELECT * FROM parted WHERE k = 'k7';
ALTER TABLE parted ALTER k TYPE varchar(15);
ALTER TABLE parted ALTER k TYPE varchar(20);
ALTER TABLE parted ALTER k TYPE varchar(20);
-- error
ALTER TABLE parted ALTER k TYPE varchar(2);
SELECT * FROM parted WHERE k = 'k8';
SELECT object, expected, found FROM cz_check_shards('parted');
ALTER TABLE parted DROP COLUMN k;
INSERT INTO parted VALUES (3, 'y'), (12, 'b'), (99, 'r');
SELECT tableoid::regclass, count(*), min(v) FROM parted GROUP BY 1 ORDER BY 1;
-- error
ALTER TABLE parted DROP COLUMN v;
-- error
ALTER TABLE parted DROP COLUMN d;
SELECT object, expected, found FROM cz_check_shards('parted');
CREATE TABLE bare (k int, gone int, d int) PARTITION BY RANGE (d);
SELECT create_distributed_table('bare', 'k');
ALTER TABLE bare DROP COLUMN k, DROP COLUMN gone;
CREATE TABLE bare1 (d int);
ALTER TABLE bare ATTACH PARTITION bare1 FOR VALUES FROM (0) TO (10);
INSERT INTO bare VALUES (5) RETURNING *;
-- error
INSERT INTO bare VALUES (50);
-- core's own errors come before refusals
CREATE TABLE u (k int, v text);
CREATE TABLE base (k int, v int);
SELECT create_distributed_table('u', 'k');
-- error
ALTER TABLE u INHERIT base;
-- error
ALTER TABLE u INHERIT nope;
-- error
-- other words
ALTER TABLE u NO INHERIT base;
-- error
ALTER TABLE base INHERIT u;
-- error
ALTER TABLE u SET TABLESPACE nope;
-- error
ALTER TABLE u SET ACCESS METHOD nope;
-- error
ALTER TABLE u SET ACCESS METHOD btree;
CREATE TABLE base2 (k int, v text);
CREATE TABLE w (k int, v text);
SELECT create_distributed_table('w', 'k');
-- differs: a query over the parent would not ask the workers
ALTER TABLE u INHERIT base2;
-- differs: nor would one over this
ALTER TABLE base2 INHERIT w;
-- foreign keys: of an ordinary table to this one
CREATE TABLE pk (a int PRIMARY KEY, b text);
SELECT create_distributed_table('pk', 'a');
INSERT INTO pk SELECT i FROM generate_series(1, 20) i;
CREATE TABLE local_fk (a int REFERENCES pk ON DELETE CASCADE);
INSERT INTO local_fk SELECT i FROM generate_series(1, 20) i;
ALTER TABLE pk ALTER a TYPE bigint;
-- error
INSERT INTO local_fk VALUES (21);
INSERT INTO pk VALUES (10000000000);
DELETE FROM pk WHERE a = 3;
SELECT count(*) FROM local_fk;
-- error
ALTER TABLE pk DROP COLUMN a;
BEGIN;
ALTER TABLE pk DROP COLUMN a CASCADE;
INSERT INTO local_fk VALUES (21);
ROLLBACK;
-- error
INSERT INTO local_fk VALUES (21);
-- and between distributed tables
CREATE TABLE pk2 (a int PRIMARY KEY, b text);
CREATE TABLE fk2 (a int, FOREIGN KEY (a) REFERENCES pk2);
SELECT create_distributed_table('pk2', 'a'), create_distributed_table('fk2', 'a', colocate_with => 'pk2');
-- error
ALTER TABLE pk2 DROP COLUMN a;
-- error
ALTER TABLE pk2 ALTER a TYPE text;
-- error
ALTER TABLE fk2 ALTER a TYPE text;
ALTER TABLE pk2 ALTER a TYPE bigint;
INSERT INTO pk2 VALUES (1), (2);
INSERT INTO fk2 VALUES (1);
-- error
INSERT INTO fk2 VALUES (3);
ALTER TABLE pk2 DROP COLUMN a CASCADE;
INSERT INTO fk2 VALUES (3);
