-- COPY FROM into distributed tables: formats, options, WHERE, defaults, privileges, errors.
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE t (gone int, k int, v text DEFAULT 'none', n small, at timestamptz DEFAULT '2026-01-01 00:00+00', g text GENERATED ALWAYS AS (v || n) STORED, id int GENERATED ALWAYS AS IDENTITY, CHECK (n <> 13));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
COPY t (k, v, n) FROM STDIN;
1	a	1
2	\N	2
3	tab\there	\N
\N	no key	4
\.
COPY t (n, v, k) FROM STDIN (FORMAT csv, HEADER MATCH);
n,v,k
5,"quoted, ""x""",5
6,,6
7,"",7
\.
-- error
COPY t (n, v, k) FROM STDIN (FORMAT csv, HEADER MATCH);
n,w,k
5,x,5
\.
COPY t (k, v, n) FROM STDIN (DELIMITER '|', NULL 'nil');
8|nil|8
9|x\|y|nil
\.
COPY t (k, v, n) FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '\', FORCE_NOT_NULL (v), FORCE_NULL (n));
10,,10
11,'it\'s','11'
12,x,''
\.
COPY t (k, v, n) FROM STDIN WHERE n > 20 AND v LIKE 'k%';
21	keep	21
22	drop	22
23	keep	19
24	keep	\N
25	keep	25
\.
COPY t (k, v, n) FROM STDIN WHERE k % 2 = 0 AND v IS NOT NULL AND at < now() AND t.tableoid = 't'::regclass;
30	x	30
31	x	31
32	\N	32
\.
COPY t (k) FROM STDIN;
40
41
\.
COPY t (k, n) FROM STDIN (ENCODING 'latin1');
42	1
\.
COPY t (k, v) FROM STDIN (FORMAT text, HEADER);
anything
43	after a header
\.
SELECT k, v, n, at, g, id FROM t ORDER BY k, n;
SELECT k, v, g FROM t WHERE k = 25;
-- error
COPY t (k, v, n) FROM STDIN;
50	x	1
51	x	not a number
\.
-- error
COPY t (k, v, n) FROM STDIN;
50	x	1
51	x	1001
\.
-- error
COPY t (k, v, n) FROM STDIN;
50	x	1
51	x	13
\.
-- error
COPY t (k, v, n) FROM STDIN;
50	x
\.
-- error
COPY t (k, v, n) FROM STDIN;
50	x	1	more
\.
-- error
COPY t (k, g) FROM STDIN;
50	x
\.
-- error
COPY t (k, nope) FROM STDIN;
50	x
\.
-- error
COPY t (k, k) FROM STDIN;
50	50
\.
-- error
COPY t (k) FROM STDIN WHERE g = 'x';
50
\.
-- error
COPY t (k) FROM STDIN WHERE k IN (SELECT 1);
50
\.
-- error
COPY t (k) FROM STDIN WHERE k;
50
\.
-- error
COPY t (k) FROM STDIN WHERE t IS NULL;
50
\.
-- error
COPY t (k) FROM STDIN (FORMAT nope);
50
\.
-- error
COPY t (k) FROM '/nowhere/at/all';
SELECT count(*) FROM t WHERE k >= 50;
-- in a transaction, with savepoints, over many rows
BEGIN;
COPY t (k, v) FROM STDIN;
60	first
\.
SAVEPOINT a;
COPY t (k, v) FROM STDIN;
61	undone
\.
SELECT count(*) FROM t WHERE k >= 60;
ROLLBACK TO a;
COPY t (k, v) FROM STDIN;
62	kept
\.
COMMIT;
SELECT k, v FROM t WHERE k >= 60 ORDER BY k;
BEGIN READ ONLY;
-- error
COPY t (k) FROM STDIN;
70
\.
ROLLBACK;
-- a default that reads the table sees the rows before
CREATE TABLE seen (k int, n int);
SELECT create_distributed_table('seen', 'k');
CREATE FUNCTION seen_so_far() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT count(*)::int FROM seen';
ALTER TABLE seen ALTER COLUMN n SET DEFAULT seen_so_far();
COPY seen (k) FROM STDIN;
1
2
3
\.
SELECT * FROM seen ORDER BY k;
-- a unique violation among many rows, a range table without a shard for the row
CREATE TABLE u (k int, v text, PRIMARY KEY (k));
SELECT create_distributed_table('u', 'k');
COPY u FROM STDIN;
1	a
2	b
\.
-- error
COPY u FROM STDIN;
3	c
2	again
4	d
\.
SELECT * FROM u ORDER BY k;
