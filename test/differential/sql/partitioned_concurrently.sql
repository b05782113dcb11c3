-- Partitioned tables: REINDEX CONCURRENTLY, REINDEX of schemas, DETACH PARTITION CONCURRENTLY
CREATE SCHEMA other_schema;
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (v text, t int NOT NULL, gone int, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN gone;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY LIST (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES IN (20, 21, 22);
CREATE TABLE other_schema.ev3b PARTITION OF ev3 FOR VALUES IN (23, 24, NULL);
CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (40) TO (MAXVALUE);
CREATE INDEX ev_v ON ev (v);
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i, i, 'v' || i FROM generate_series(0, 24) i;
INSERT INTO ev SELECT i, i, 'v' || i FROM generate_series(40, 60) i;
CREATE FUNCTION look(root regclass) RETURNS TABLE (tab regclass, what text, def text) LANGUAGE sql AS $$
	SELECT relid, x.* FROM (SELECT root AS relid UNION SELECT t.relid FROM pg_partition_tree(root) t JOIN pg_class c ON c.oid = t.relid WHERE c.relkind <> 'f') r, LATERAL (
	SELECT 'constraint ' || conname, concat_ws(' ', contype, pg_get_constraintdef(oid), convalidated, conislocal, coninhcount) FROM pg_constraint WHERE conrelid = relid
	UNION ALL SELECT 'index ' || c.relname, concat_ws(' ', replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON '), indisvalid, indisprimary, c.relispartition) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = relid) x
$$;
REINDEX TABLE CONCURRENTLY ev;
REINDEX TABLE CONCURRENTLY ev1;
REINDEX TABLE CONCURRENTLY ev3;
REINDEX (VERBOSE OFF, CONCURRENTLY) TABLE ev;
REINDEX INDEX CONCURRENTLY ev_v;
REINDEX INDEX CONCURRENTLY ev_pkey;
REINDEX INDEX CONCURRENTLY ev1_pkey;
REINDEX INDEX ev3_v_idx;
REINDEX INDEX CONCURRENTLY ev3_v_idx;
-- error
REINDEX INDEX CONCURRENTLY ev1;
-- error
REINDEX TABLE CONCURRENTLY ev_v;
BEGIN;
-- error
REINDEX TABLE CONCURRENTLY ev;
ROLLBACK;
BEGIN;
-- error
REINDEX INDEX CONCURRENTLY ev1_pkey;
ROLLBACK;
BEGIN;
-- error
REINDEX TABLE ev;
ROLLBACK;
BEGIN;
REINDEX TABLE ev1;
REINDEX INDEX ev2_v_idx;
ROLLBACK;
REINDEX SCHEMA other_schema;
REINDEX SCHEMA CONCURRENTLY other_schema;
SELECT * FROM look('ev') ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('ev');
SELECT count(*), min(v) FROM ev WHERE v > 'v2';
-- detached
BEGIN;
-- error
ALTER TABLE ev DETACH PARTITION ev1 CONCURRENTLY;
ROLLBACK;
-- error
ALTER TABLE ev DETACH PARTITION nosuch CONCURRENTLY;
-- error
ALTER TABLE ev DETACH PARTITION ev3a CONCURRENTLY;
-- error
ALTER TABLE ev1 DETACH PARTITION ev2 CONCURRENTLY;
-- error
ALTER TABLE ev DETACH PARTITION ev1 FINALIZE;
-- error
ALTER TABLE ev DETACH PARTITION nosuch FINALIZE;
ALTER TABLE ev DETACH PARTITION ev1 CONCURRENTLY;
SELECT tableoid::regclass, count(*), sum(k) FROM ev GROUP BY 1 ORDER BY 1;
SELECT count(*), sum(k) FROM ev1;
SELECT * FROM look('ev') ORDER BY 1, 2;
SELECT * FROM look('ev1') ORDER BY 1, 2;
-- error
INSERT INTO ev1 VALUES (1, 10, 'x');
-- error
INSERT INTO ev VALUES (1, 1, 'x');
INSERT INTO ev1 VALUES (100, 1, 'x') RETURNING *;
SELECT object, expected, found FROM cz_check_shards('ev');
SELECT object, expected, found FROM cz_check_shards('ev1');
ALTER TABLE ev3 DETACH PARTITION other_schema.ev3b CONCURRENTLY;
SELECT * FROM other_schema.ev3b ORDER BY k;
SELECT * FROM look('other_schema.ev3b') ORDER BY 1, 2;
ALTER TABLE ev DETACH PARTITION ev3 CONCURRENTLY;
SELECT tableoid::regclass, * FROM ev3 ORDER BY k;
SELECT * FROM look('ev3') ORDER BY 1, 2;
-- a CHECK that says it already; one that is not valid
ALTER TABLE ev2 ADD CONSTRAINT mine CHECK (t IS NOT NULL AND t >= 10 AND t < 20);
ALTER TABLE ev DETACH PARTITION ev2 CONCURRENTLY;
SELECT * FROM look('ev2') ORDER BY 1, 2;
ALTER TABLE ev4 ADD CONSTRAINT mine CHECK (t > 39) NOT VALID;
ALTER TABLE ev DETACH PARTITION ev4 CONCURRENTLY;
SELECT * FROM look('ev4') ORDER BY 1, 2;
SELECT object, expected, found FROM cz_check_shards('ev4');
ALTER TABLE ev ATTACH PARTITION ev1 FOR VALUES FROM (0) TO (10);
ALTER TABLE ev4 DROP CONSTRAINT mine;
ALTER TABLE ev ATTACH PARTITION ev4 FOR VALUES FROM (40) TO (MAXVALUE);
CREATE TABLE evd PARTITION OF ev DEFAULT;
-- error
ALTER TABLE ev DETACH PARTITION ev1 CONCURRENTLY;
-- error
ALTER TABLE ev DETACH PARTITION evd CONCURRENTLY;
SELECT tableoid::regclass, count(*), sum(k) FROM ev GROUP BY 1 ORDER BY 1;
-- by hash, by a list of texts, and by dates
CREATE TABLE h (k int, v text) PARTITION BY HASH (k);
CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE l (k int, d date, v text) PARTITION BY LIST (v);
CREATE TABLE la PARTITION OF l FOR VALUES IN ('a', 'it''s', NULL) PARTITION BY RANGE (d, k);
CREATE TABLE la1 PARTITION OF la FOR VALUES FROM ('2026-01-01', 5) TO ('2026-02-01', 7);
SELECT create_distributed_table('h', 'k');
SELECT create_distributed_table('l', 'k');
INSERT INTO h SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO l SELECT i, '2026-01-15', v FROM generate_series(1, 9) i, (VALUES ('a'), ('it''s'), (NULL)) AS x(v);
ALTER TABLE h DETACH PARTITION h0 CONCURRENTLY;
SELECT count(*) FROM h;
SELECT count(*) FROM h0;
SELECT * FROM look('h0') ORDER BY 1, 2;
SET DateStyle = 'SQL, DMY';
ALTER TABLE la DETACH PARTITION la1 CONCURRENTLY;
SELECT * FROM look('la1') ORDER BY 1, 2;
ALTER TABLE la ATTACH PARTITION la1 FOR VALUES FROM ('01/01/2026', 5) TO ('01/02/2026', 7);
ALTER TABLE l DETACH PARTITION la CONCURRENTLY;
RESET DateStyle;
SELECT * FROM look('la') ORDER BY 1, 2;
SELECT count(*), sum(k) FROM la1;
SELECT count(*) FROM l;
SELECT object, expected, found FROM cz_check_shards('la');
SELECT object, expected, found FROM cz_check_shards('l');
-- who may
CREATE ROLE detacher;
SET ROLE detacher;
-- error
ALTER TABLE ev DETACH PARTITION ev4 CONCURRENTLY;
-- error
REINDEX TABLE CONCURRENTLY ev;
RESET ROLE;
DROP ROLE detacher;
