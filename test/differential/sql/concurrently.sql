-- CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY: what plain PostgreSQL says, what the catalogs show, and that all
-- placements follow; what a failure leaves.
-- from: 15
CREATE TABLE t (k int NOT NULL, v text, n int, a int[]);
CREATE TABLE r (k int PRIMARY KEY, v text, n int);
CREATE TABLE s (k int, v text, n int);
-- cluster: SET cz.shard_count = 4
SELECT create_distributed_table('t', 'k');
SELECT create_reference_table('r');
SELECT create_distributed_table('s', 'k');
INSERT INTO t SELECT i, 'v' || i % 5, i, ARRAY[i, i % 3] FROM generate_series(1, 200) i;
INSERT INTO r SELECT i, 'v' || i % 5, i FROM generate_series(1, 50) i;
INSERT INTO s SELECT i, 'v' || i % 5, i FROM generate_series(1, 50) i;
CREATE FUNCTION look(tab regclass) RETURNS TABLE (name text, def text) LANGUAGE sql AS $$
	SELECT c.relname, concat_ws(' ', replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON '), indisunique, indisvalid, indislive, indisclustered, indisreplident, indnullsnotdistinct,
		(SELECT string_agg(attname || coalesce(attstattarget, -1), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid))
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = tab
$$;
-- names that core chooses, partial indexes, expressions, INCLUDE, parameters, methods
CREATE INDEX CONCURRENTLY ON t (n);
CREATE INDEX CONCURRENTLY ON t (n);
CREATE INDEX CONCURRENTLY ON t (lower(v), (n + 1), k DESC NULLS LAST);
CREATE INDEX CONCURRENTLY part ON t (v text_pattern_ops) WHERE n > 10 AND v <> 'v''1';
CREATE UNIQUE INDEX CONCURRENTLY uni ON t (k, n) INCLUDE (v) WITH (fillfactor = 70);
CREATE UNIQUE INDEX CONCURRENTLY nnd ON t (k, v) NULLS NOT DISTINCT;
CREATE INDEX CONCURRENTLY gin ON t USING gin (a);
CREATE INDEX CONCURRENTLY brin ON ONLY t USING brin (n) WITH (pages_per_range = 4);
CREATE INDEX CONCURRENTLY "Quoted ""name" ON t USING hash (v);
CREATE INDEX CONCURRENTLY a_name_that_is_as_long_as_a_name_can_be_in_postgresql_which_is_63 ON t (a);
CREATE INDEX CONCURRENTLY IF NOT EXISTS fresh ON t (v COLLATE "C");
-- notices
CREATE INDEX CONCURRENTLY IF NOT EXISTS fresh ON t (n);
-- error
CREATE INDEX CONCURRENTLY fresh ON t (n);
-- error
CREATE INDEX CONCURRENTLY ON t (nosuch);
-- error
CREATE INDEX CONCURRENTLY ON nosuch (k);
-- error
CREATE UNIQUE INDEX CONCURRENTLY ON t USING brin (k);
-- error
CREATE INDEX CONCURRENTLY ON t (random());
SELECT * FROM look('t') ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t');
SELECT count(*) FROM t WHERE n BETWEEN 10 AND 20;
SELECT count(*) FROM t WHERE lower(v) = 'v3' AND n + 1 > 100;
SELECT k FROM t WHERE a @> ARRAY[7] ORDER BY 1;
-- error
INSERT INTO t (k, n) VALUES (1, 1);
-- error
INSERT INTO t (k, v) VALUES (1, 'v1');
INSERT INTO t (k, v, n) VALUES (1, 'v1', 5) ON CONFLICT (k, v) DO UPDATE SET n = 1000 RETURNING *;
-- not in a transaction block
BEGIN;
-- error
CREATE INDEX CONCURRENTLY ON t (n);
ROLLBACK;
-- error
DO $$ BEGIN CREATE INDEX CONCURRENTLY ON t (n); END $$;
-- one that fails is left, invalid
INSERT INTO t (k, n) VALUES (7, 70), (300, 1);
-- error
CREATE UNIQUE INDEX CONCURRENTLY dup ON t (k);
SELECT * FROM look('t') WHERE name = 'dup';
-- notices
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS dup ON t (k);
-- error
CREATE UNIQUE INDEX CONCURRENTLY dup ON t (k);
-- it is no arbiter, nor a reason to think that rows are few
-- error
INSERT INTO t (k) VALUES (301) ON CONFLICT (k) DO NOTHING;
SELECT k, n FROM t WHERE k = 7 ORDER BY n;
PREPARE by_key AS SELECT n FROM t WHERE k = $1 ORDER BY n;
EXECUTE by_key (7);
-- error
ALTER TABLE t ADD UNIQUE USING INDEX dup;
ALTER INDEX dup RENAME TO dup2;
ALTER INDEX dup2 SET (fillfactor = 80);
SELECT * FROM look('t') WHERE name LIKE 'dup%';
-- what builds it again makes it valid
DELETE FROM t WHERE k = 7 AND n = 70;
ALTER TABLE t ALTER k TYPE int, ALTER n TYPE bigint USING n + 1;
SELECT name, def FROM look('t') WHERE name LIKE 'dup%';
SELECT object, expected, found FROM cz_check_shards('t') WHERE object LIKE 'index dup%';
DROP INDEX dup2;
-- error
CREATE INDEX CONCURRENTLY div ON t ((1 / (n - 8)));
SELECT * FROM look('t') WHERE name = 'div';
DROP INDEX div;
SELECT object, expected, found FROM cz_check_shards('t');
ALTER TABLE t ADD COLUMN w int DEFAULT 3;
DROP INDEX "Quoted ""name", fresh;
SELECT * FROM look('t') ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t');
-- reference tables
CREATE INDEX CONCURRENTLY ON r (n);
CREATE UNIQUE INDEX CONCURRENTLY r_u ON r (n) WHERE n > 3;
-- error
CREATE UNIQUE INDEX CONCURRENTLY r_dup ON r (v);
-- error
CREATE INDEX CONCURRENTLY r_u ON r (n);
-- notices
CREATE INDEX CONCURRENTLY IF NOT EXISTS r_u ON r (n);
-- error
INSERT INTO r VALUES (101, 'x', 7);
SELECT * FROM look('r') ORDER BY 1;
DROP INDEX r_dup;
SELECT object, expected, found FROM cz_check_shards('r');
-- without a key
CREATE INDEX CONCURRENTLY ON s (v);
CREATE UNIQUE INDEX CONCURRENTLY s_kn ON s (k, n);
-- error
CREATE UNIQUE INDEX CONCURRENTLY s_dup ON s (k, (1)) WHERE v = nosuch;
-- error
CREATE UNIQUE INDEX CONCURRENTLY s_hash ON s USING hash (k);
SELECT * FROM look('s') ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('s');
-- DROP INDEX
DROP INDEX CONCURRENTLY t_n_idx;
-- error
DROP INDEX CONCURRENTLY t_n_idx;
-- notices
DROP INDEX CONCURRENTLY IF EXISTS t_n_idx;
-- error
DROP INDEX CONCURRENTLY uni, nnd;
-- error
DROP INDEX CONCURRENTLY uni CASCADE;
-- error
DROP INDEX CONCURRENTLY t;
-- error
DROP INDEX CONCURRENTLY r_pkey;
BEGIN;
-- error
DROP INDEX CONCURRENTLY uni;
ROLLBACK;
-- error
DO $$ BEGIN DROP INDEX CONCURRENTLY uni; END $$;
DROP INDEX CONCURRENTLY uni;
INSERT INTO t (k, n) VALUES (1, 2);
DROP INDEX CONCURRENTLY r_u;
DROP INDEX CONCURRENTLY s_kn;
SELECT 't', * FROM look('t') UNION ALL SELECT 'r', * FROM look('r') UNION ALL SELECT 's', * FROM look('s') ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('t') UNION ALL SELECT object, expected, found FROM cz_check_shards('r') UNION ALL SELECT object, expected, found FROM cz_check_shards('s');
-- REINDEX
REINDEX TABLE CONCURRENTLY t;
REINDEX (CONCURRENTLY, VERBOSE off) TABLE r;
REINDEX TABLE CONCURRENTLY s;
REINDEX INDEX CONCURRENTLY part;
REINDEX INDEX CONCURRENTLY r_pkey;
REINDEX INDEX CONCURRENTLY s_v_idx;
-- error
REINDEX INDEX CONCURRENTLY nosuch;
-- error
REINDEX INDEX CONCURRENTLY t;
-- error
REINDEX (CONCURRENTLY, nosuch) TABLE t;
BEGIN;
-- error
REINDEX TABLE CONCURRENTLY t;
ROLLBACK;
BEGIN;
-- error
REINDEX INDEX CONCURRENTLY r_pkey;
ROLLBACK;
INSERT INTO t (k, v) VALUES (1, 'x'), (100, 'x');
INSERT INTO r VALUES (200, 'x'), (201, 'x');
INSERT INTO s VALUES (1, 'x'), (1, 'y');
-- error
CREATE UNIQUE INDEX CONCURRENTLY t_dup ON t (k);
-- error
CREATE UNIQUE INDEX CONCURRENTLY r_dup ON r (v) WHERE k >= 200;
-- error
CREATE UNIQUE INDEX CONCURRENTLY s_dup ON s (k);
-- notices
REINDEX TABLE CONCURRENTLY t;
-- notices
REINDEX TABLE CONCURRENTLY r;
-- error
REINDEX INDEX t_dup;
-- error
REINDEX TABLE t;
-- error
REINDEX TABLE r;
SELECT name, def FROM look('t') WHERE name LIKE '%dup' UNION ALL SELECT * FROM look('r') WHERE name LIKE '%dup' UNION ALL SELECT * FROM look('s') WHERE name LIKE '%dup' ORDER BY 1;
DELETE FROM t WHERE (k = 1 AND v IS DISTINCT FROM 'x') OR (k = 100 AND v = 'x') OR (k = 7 AND n = 71);
SELECT k, count(*) FROM t GROUP BY k HAVING count(*) > 1;
DELETE FROM r WHERE k = 201;
DELETE FROM s WHERE v = 'y' OR (k = 1 AND v = 'v1');
REINDEX INDEX CONCURRENTLY t_dup;
REINDEX INDEX CONCURRENTLY r_dup;
REINDEX INDEX s_dup;
SELECT name, def FROM look('t') WHERE name LIKE '%dup' UNION ALL SELECT * FROM look('r') WHERE name LIKE '%dup' UNION ALL SELECT * FROM look('s') WHERE name LIKE '%dup' ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t') UNION ALL SELECT object, expected, found FROM cz_check_shards('r') UNION ALL SELECT object, expected, found FROM cz_check_shards('s');
-- error
INSERT INTO t (k) VALUES (7);
-- error
INSERT INTO r VALUES (202, 'x');
-- one that is invalid and is in the way of nothing
DROP INDEX t_dup, s_dup;
INSERT INTO t (k, v) VALUES (2, 'z');
-- error
CREATE UNIQUE INDEX CONCURRENTLY t_dup ON t (k);
DROP INDEX CONCURRENTLY t_dup;
-- error
CREATE UNIQUE INDEX CONCURRENTLY t_dup ON t (k);
CREATE INDEX t_k ON t (k);
DELETE FROM t WHERE v = 'z';
CLUSTER t USING t_k;
SELECT name, def FROM look('t') WHERE name LIKE 't_%' ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t') WHERE object <> 'index t_dup';
-- error
CREATE INDEX CONCURRENTLY t_div ON t ((1 / (k - 8)));
UPDATE t SET k = 2000 WHERE k = 8;
CLUSTER t;
SELECT name, def FROM look('t') WHERE name LIKE 't_%' ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('t') WHERE object <> 'index t_dup';
INSERT INTO s VALUES (1, 'x');
-- error
CREATE UNIQUE INDEX CONCURRENTLY s_dup ON s (k);
-- error
REINDEX SCHEMA nosuch;
BEGIN;
-- error
REINDEX SCHEMA pg_temp;
ROLLBACK;
-- error
REINDEX DATABASE nosuch;
-- error
REINDEX SYSTEM nosuch;
DELETE FROM s WHERE k = 1 AND v = 'x';
CREATE SCHEMA concurrently_other;
CREATE TABLE concurrently_other.o (k int PRIMARY KEY, v text);
SELECT create_distributed_table('concurrently_other.o', 'k');
INSERT INTO concurrently_other.o SELECT i, i % 3 FROM generate_series(1, 20) i;
-- error
CREATE UNIQUE INDEX CONCURRENTLY o_dup ON concurrently_other.o (k, (k / 0));
REINDEX SCHEMA CONCURRENTLY concurrently_other;
-- error
REINDEX SCHEMA concurrently_other;
DELETE FROM concurrently_other.o;
REINDEX SCHEMA concurrently_other;
SELECT * FROM look('concurrently_other.o') ORDER BY 1;
SELECT object, expected, found FROM cz_check_shards('concurrently_other.o');
DROP SCHEMA concurrently_other CASCADE;
-- somebody else's table
CREATE ROLE concurrently_nobody;
SET ROLE concurrently_nobody;
-- error
CREATE INDEX CONCURRENTLY ON t (n);
-- error
DROP INDEX CONCURRENTLY part;
-- error
REINDEX INDEX CONCURRENTLY part;
-- error
REINDEX TABLE CONCURRENTLY r;
RESET ROLE;
DROP ROLE concurrently_nobody;
