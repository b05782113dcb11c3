-- Tables of composite types: OF, NOT OF, and ALTER TYPE ... CASCADE, which changes them all.
CREATE TYPE tt AS (k int, v text, w numeric);
CREATE TABLE a OF tt;
CREATE TABLE b OF tt (PRIMARY KEY (k), v WITH OPTIONS DEFAULT 'dd' CHECK (v <> ''));
CREATE TABLE c (k int, gone int, v text, w numeric);
ALTER TABLE c DROP COLUMN gone;
CREATE TABLE r OF tt;
CREATE TABLE here OF tt;
CREATE TABLE p OF tt PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('a', 'k'), create_distributed_table('b', 'k'), create_distributed_table('c', 'k'), create_reference_table('r'), create_distributed_table('p', 'k');
-- core's own errors
CREATE TABLE d (w numeric, k int, v text);
SELECT create_distributed_table('d', 'k');
-- error
ALTER TABLE d OF tt;
-- error
ALTER TABLE d OF int4;
-- error
ALTER TABLE d NOT OF;
ALTER TABLE d ADD COLUMN more int;
CREATE TYPE dd AS (w numeric, k int, v text);
-- error
ALTER TABLE d OF dd;
-- error
ALTER TABLE p1 OF tt;
ALTER TABLE c OF tt;
INSERT INTO a SELECT i, 'x', i FROM generate_series(1, 10) i;
INSERT INTO b SELECT * FROM a;
INSERT INTO c SELECT * FROM a;
INSERT INTO r SELECT * FROM a;
INSERT INTO here SELECT * FROM a;
INSERT INTO p SELECT * FROM a;
CREATE INDEX b_w ON b (w);
CREATE INDEX p_w ON p (w);
-- error
ALTER TABLE a ADD COLUMN z int;
-- error
ALTER TABLE c RENAME COLUMN v TO vv;
-- error
ALTER TYPE tt ADD ATTRIBUTE z int;
-- error
ALTER TYPE tt ADD ATTRIBUTE z int CASCADE, ALTER ATTRIBUTE w TYPE int;
-- error
ALTER TYPE tt RENAME ATTRIBUTE v TO vv;
ALTER TYPE tt ADD ATTRIBUTE z int CASCADE;
-- error
ALTER TYPE tt ADD ATTRIBUTE z int CASCADE;
ALTER TYPE tt ALTER ATTRIBUTE w TYPE int CASCADE, ADD ATTRIBUTE y varchar(3) CASCADE;
ALTER TYPE tt RENAME ATTRIBUTE v TO vv CASCADE;
ALTER TYPE tt RENAME ATTRIBUTE k TO "Key" CASCADE;
INSERT INTO a VALUES (11, 'y', 1, 2, 'abc');
INSERT INTO b VALUES (11, 'y', 1, 2, 'abc') RETURNING *;
INSERT INTO c VALUES (11, 'y', 1, 2, 'abc');
INSERT INTO r VALUES (11, 'y', 1, 2, 'abc');
INSERT INTO p VALUES (11, 'y', 1, 2, 'abc');
-- error
INSERT INTO a VALUES (12, 'y', 1, 2, 'abcd');
-- error
INSERT INTO b VALUES (12, '', 1, 2, 'abc');
SELECT (SELECT sum(w) FROM a), (SELECT sum(w) FROM b), (SELECT sum(w) FROM c), (SELECT sum(w) FROM r), (SELECT sum(w) FROM here), (SELECT sum(z) FROM p WHERE "Key" = 11);
ALTER TYPE tt DROP ATTRIBUTE w CASCADE;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relname IN ('a', 'b', 'c', 'r', 'here', 'p', 'p1') AND c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped ORDER BY c.relname, attnum;
SELECT object, expected, found FROM cz_check_shards('b');
SELECT * FROM a WHERE "Key" = 11 UNION ALL SELECT * FROM b WHERE "Key" = 11 UNION ALL SELECT * FROM c WHERE "Key" = 11 UNION ALL SELECT * FROM r WHERE "Key" = 11 UNION ALL SELECT * FROM p WHERE "Key" = 11;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('b'::regclass, 'p'::regclass) ORDER BY 1;
BEGIN;
ALTER TYPE tt ADD ATTRIBUTE q text CASCADE;
INSERT INTO a VALUES (100, 'q', 1, 'abc', 'new');
SELECT * FROM a WHERE q IS NOT NULL;
SAVEPOINT s;
ALTER TYPE tt DROP ATTRIBUTE vv CASCADE;
SELECT * FROM a WHERE q IS NOT NULL;
ROLLBACK TO s;
SELECT * FROM a WHERE q IS NOT NULL;
ROLLBACK;
SELECT count(*), min(vv) FROM a;
ALTER TABLE c NOT OF;
ALTER TABLE c ADD COLUMN own int DEFAULT 5;
-- error
ALTER TYPE tt ALTER ATTRIBUTE "Key" TYPE bigint CASCADE;
DROP TYPE tt CASCADE;
-- error
SELECT * FROM a;
SELECT * FROM c WHERE "Key" > 9 ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('c');
CREATE TYPE t3 AS (k int, v text);
CREATE TABLE e OF t3;
SELECT create_distributed_table('e', 'k');
CREATE VIEW e_view AS SELECT k FROM e;
-- error
ALTER TYPE t3 DROP ATTRIBUTE k;
-- error
ALTER TYPE t3 ALTER ATTRIBUTE k TYPE bigint CASCADE;
DROP VIEW e_view;
-- differs: the distribution column
ALTER TYPE t3 ALTER ATTRIBUTE k TYPE bigint CASCADE;
