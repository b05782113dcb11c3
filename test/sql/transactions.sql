-- Transactions over several workers, as plain SQL shows them: what was written is read,
-- savepoints and exception blocks, isolation levels, refusals, errors that name the row,
-- the types that go over the wire, reference tables written row by row.
\i sql/include/workers.inc
CREATE SCHEMA txn;
SET search_path TO txn;
SET cz.shard_count TO 4;
CREATE TABLE t (k int PRIMARY KEY, v text, n int NOT NULL DEFAULT 1);
SELECT create_distributed_table('t', 'k');

-- written and read in one transaction, undone by savepoints
BEGIN;
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT k, v FROM t ORDER BY k;
SAVEPOINT s1;
INSERT INTO t VALUES (4, 'd');
UPDATE t SET v = 'changed' WHERE k = 1;
SAVEPOINT s2;
DELETE FROM t;
SELECT count(*) FROM t;
ROLLBACK TO s2;
RELEASE s2;
SELECT k, v FROM t ORDER BY k;
ROLLBACK TO s1;
INSERT INTO t VALUES (5, 'e');
COMMIT;
SELECT k, v FROM t ORDER BY k;

-- exception blocks, nested, in a loop
DO $$
BEGIN
	FOR i IN 10 .. 15 LOOP
		BEGIN
			INSERT INTO t VALUES (i, 'outer');
			BEGIN
				INSERT INTO t VALUES (i + 100, 'inner');
				IF i % 2 = 0 THEN RAISE EXCEPTION 'even'; END IF;
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
			IF i % 3 = 0 THEN RAISE EXCEPTION 'three'; END IF;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT k, v FROM t WHERE k >= 10 ORDER BY k;
DELETE FROM t WHERE k >= 10;

-- errors of workers name the row; nothing of the statement stays
\set VERBOSITY default
INSERT INTO t SELECT i, 'x' FROM generate_series(20, 30) i UNION ALL SELECT 2, 'twice';
INSERT INTO t VALUES (20, 'x'), (2, 'twice'), (21, 'y');
\set VERBOSITY sqlstate
COPY t (k, v) FROM STDIN;
20	x
21	y
22	z
23	u
24	w
2	twice
25	v
\.
SELECT count(*) FROM t WHERE k >= 20;

-- isolation levels and read-only transactions
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
INSERT INTO t VALUES (40, 'rr');
SELECT count(*) FROM t;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO t VALUES (41, 'ser');
SELECT v FROM t WHERE k = 41;
COMMIT;
BEGIN READ ONLY;
SELECT count(*) FROM t;
INSERT INTO t VALUES (42, 'ro');
ROLLBACK;

-- PREPARE TRANSACTION on the coordinator: not after remote writes
BEGIN;
INSERT INTO t VALUES (50, 'p');
PREPARE TRANSACTION 'mine';
SELECT count(*) FROM t WHERE k = 50;

-- the decision log: written by transactions on several workers, cleared by recovery
SELECT recover_prepared_transactions();
SELECT count(*) FROM cz.transaction_log;
\set VERBOSITY default

-- types, in binary and in text form, under settings that change texts
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE types (k int, f float8, n numeric, iv interval, ts timestamptz, d date, b bytea, j jsonb,
	a int[], m mood, rc regclass, s text, gone int, g int GENERATED ALWAYS AS (k * 2) STORED);
ALTER TABLE types DROP COLUMN gone;
SELECT create_distributed_table('types', 'k');
CREATE TABLE plain (LIKE types INCLUDING ALL);
INSERT INTO plain VALUES
	(1, 0.1, 'NaN', '1 year -3 days 04:05:06.7', '2020-01-02 03:04:05.678901+02', '0044-03-15 BC', '\xdeadbeef', '{"a": "\u00e9"}',
	 '{1,NULL,3}', 'ok', 'pg_class', E'tab\tnl\nback\\slash ''q'' \\N'),
	(2, '-Infinity', -0.01, '-1 day +1 hour', 'infinity', 'infinity', '', 'null', '{{1,2},{3,4}}', NULL, NULL, '\.'),
	(3, 1e-300, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 'sad', 'pg_type', '');
SET datestyle TO german;
SET intervalstyle TO sql_standard;
SET extra_float_digits TO 0;
SET bytea_output TO escape;
SET timezone TO 'Asia/Tokyo';
INSERT INTO types SELECT k, f, n, iv, ts, d, b, j, a, m, rc, s FROM plain;
INSERT INTO types SELECT k + i, f, n, iv, ts, d, b, j, a, m, rc, s FROM plain, generate_series(10, 30, 10) i;
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;
RESET bytea_output;
RESET timezone;
SELECT count(*) FROM types;
SELECT count(*) FROM types t JOIN plain p ON t.k % 10 = p.k
 WHERE (t.f, t.n, t.iv, t.ts, t.d, t.b, t.j, t.a, t.m, t.rc, t.s, t.g) IS NOT DISTINCT FROM (p.f, p.n, p.iv, p.ts, p.d, p.b, p.j, p.a, p.m, p.rc, p.s, t.k * 2);

-- reference tables: each row reaches every copy, in every way of writing
CREATE TABLE r (a int, b text, c timestamptz, PRIMARY KEY (a, b));
CREATE TABLE nokey (a int, b text);
SELECT create_reference_table('r');
SELECT create_reference_table('nokey');
-- what the copies hold: read through foreign tables on each worker
CREATE FUNCTION copies(tab text) RETURNS TABLE (same boolean, n bigint) LANGUAGE plpgsql AS $$
DECLARE
	server text;
	copy text := tab || '_' || (SELECT shard_id FROM cz.tables WHERE relid = tab::regclass);
	columns text := (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	                   FROM pg_attribute WHERE attrelid = tab::regclass AND attnum > 0 AND NOT attisdropped);
BEGIN
	FOR server IN SELECT srvname FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	               WHERE fdwname = 'cz_fdw' ORDER BY s.oid LOOP
		EXECUTE format('CREATE FOREIGN TABLE one_copy (%s) SERVER %I OPTIONS (schema_name ''cz_shards'', table_name %L)', columns, server, copy);
		CREATE TEMP TABLE fetched AS SELECT * FROM one_copy;
		RETURN QUERY EXECUTE format('SELECT NOT EXISTS (TABLE %1$I EXCEPT ALL TABLE fetched) AND NOT EXISTS (TABLE fetched EXCEPT ALL TABLE %1$I), (SELECT count(*) FROM fetched)', tab);
		DROP TABLE fetched;
		DROP FOREIGN TABLE one_copy;
	END LOOP;
END
$$;
INSERT INTO r SELECT i, 'b' || i, '2020-01-01' FROM generate_series(1, 200) i;
UPDATE r SET a = a + 1000 WHERE a <= 50;
UPDATE r SET b = 'x' || b WHERE a % 2 = 0;
DELETE FROM r WHERE a % 3 = 0;
INSERT INTO r VALUES (101, 'b101', now()), (-1, 'new', NULL) ON CONFLICT (a, b) DO UPDATE SET c = '2021-01-01';
WITH gone AS (DELETE FROM r WHERE a BETWEEN 100 AND 120 RETURNING *) INSERT INTO r SELECT a + 5000, b, c FROM gone;
SELECT * FROM copies('r');
BEGIN;
INSERT INTO r VALUES (9000, 'seen', NULL);
SELECT count(*) FROM t JOIN r ON r.a = t.k + 8999 WHERE t.k = 1;
SAVEPOINT s;
INSERT INTO r VALUES (9001, 'not kept', NULL);
UPDATE r SET b = 'not kept' WHERE a = 9000;
ROLLBACK TO s;
INSERT INTO r VALUES (9002, 'kept', NULL);
COMMIT;
SELECT * FROM r WHERE a >= 9000 ORDER BY a;
SELECT * FROM copies('r');
INSERT INTO nokey VALUES (1, NULL), (1, NULL), (NULL, NULL), (2, 'b');
UPDATE nokey SET b = 'one of two' WHERE ctid = (SELECT min(ctid) FROM nokey);
DELETE FROM nokey WHERE a IS NULL;
SELECT * FROM nokey ORDER BY a, b;
SELECT * FROM copies('nokey');

SET client_min_messages TO warning;
DROP SCHEMA txn CASCADE;
