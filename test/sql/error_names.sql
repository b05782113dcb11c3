-- Errors of workers carry the user's names, in the message, in the fields that drivers read
-- and in CONTEXT, with the line of COPY's input; never a name in cz_shards nor SQL of ours.
\i sql/include/workers.inc
CREATE SCHEMA error_names;
SET search_path TO error_names;
SET cz.shard_count TO 4;
CREATE TABLE u (t int, id int, email text NOT NULL, n int CONSTRAINT u_n CHECK (n > 0), PRIMARY KEY (t, id),
	CONSTRAINT u_email_key UNIQUE (t, email));
SELECT create_distributed_table('u', 't');
INSERT INTO u VALUES (1, 1, 'a', 1), (2, 1, 'b', 1);

-- every field, as PL/pgSQL reads them
CREATE FUNCTION fields(statement text) RETURNS TABLE (field text, value text) LANGUAGE plpgsql AS $$
DECLARE
	code text; message text; detail text; schema text; tab text; col text; con text; typ text; context text;
BEGIN
	EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, schema = SCHEMA_NAME,
		tab = TABLE_NAME, col = COLUMN_NAME, con = CONSTRAINT_NAME, typ = PG_DATATYPE_NAME, context = PG_EXCEPTION_CONTEXT;
	RETURN QUERY SELECT x.field, x.value FROM (VALUES (1, 'sqlstate', code), (2, 'message', message), (3, 'detail', detail),
		(4, 'schema', schema), (5, 'table', tab), (6, 'column', col), (7, 'constraint', con), (8, 'type', typ),
		(9, 'context', context)) x (o, field, value) WHERE x.value <> '' ORDER BY o;
END $$;
SELECT * FROM fields($$INSERT INTO u VALUES (1, 1, 'c', 1)$$);
SELECT * FROM fields($$INSERT INTO u VALUES (3, 1, 'c', 1), (1, 2, 'a', 1)$$);
SELECT * FROM fields($$UPDATE u SET email = NULL WHERE t = 1$$);
SELECT * FROM fields($$UPDATE u SET n = 0 WHERE t = 1$$);
SELECT * FROM fields($$CREATE UNIQUE INDEX u_n_key ON u (t, (n - n)); INSERT INTO u VALUES (1, 3, 'd', 1)$$);
-- what the user wrote stays, also where it looks like a name of ours
SELECT relname AS shard FROM pg_class WHERE relname ~ '^u_\d+$' AND relnamespace = 'cz_shards'::regnamespace ORDER BY 1 LIMIT 1 \gset
INSERT INTO u VALUES (5, 1, :'shard', 1);
SELECT value = format('Key (t, email)=(5, %s) already exists.', :'shard') AS detail_is_kept
  FROM fields(format('INSERT INTO u VALUES (5, 2, %L, 1)', :'shard')) WHERE field = 'detail';
SELECT value = format('invalid input syntax for type integer: "%s"', :'shard') AS message_is_kept
  FROM fields('SELECT email::int FROM u WHERE t = 5') WHERE field = 'message';
-- a CHECK constraint has its name on shards too, whatever it is
SELECT 'ck' || substring(:'shard' FROM '_\d+$') AS ck \gset
ALTER TABLE u ADD COLUMN x int CONSTRAINT :"ck" CHECK (x > 0);
SELECT value = :'ck' AS check_is_kept FROM fields('UPDATE u SET x = 0') WHERE field = 'constraint';

-- lines of COPY's input, whatever became of the other rows
COPY u (t, id, email, n) FROM STDIN (FORMAT csv, HEADER);
t,id,email,n
10,1,x,1
11,1,"two
lines",1
12,1,y,0
13,1,z,1
\.
COPY u (t, id, email, n) FROM STDIN WHERE t <> 10;
10	1	x	1
1	1	x	1
\.
COPY u (t, id, email, n) FROM STDIN;
10	1	x	1
11	1	x	1
12	1	x	1
13	1	x	1
14	1	x	1
1	1	x	1
15	1	x	1
16	1	x	1
\.
COPY u (t, id, email, n) FROM STDIN;
10	1	x	a
\.

-- an index that no field of the error names; what depends on a type
CREATE TABLE g (k int, a text[]);
CREATE INDEX g_words ON g USING gin (a);
SELECT create_distributed_table('g', 'k');
SELECT regexp_replace(value, '\d+', 'N', 'g') AS value
  FROM fields($$INSERT INTO g SELECT 1, ARRAY[string_agg(md5(i::text), '')] FROM generate_series(1, 220) i$$) WHERE field IN ('sqlstate', 'message');
CREATE TYPE ours AS (a int);
CREATE TABLE o (k int, o ours);
SELECT create_distributed_table('o', 'k', shard_count => 1);
CREATE TABLE o2 (k int, o ours);
SELECT create_distributed_table('o2', 'k', shard_count => 1);
\getenv worker1_port CZ_WORKER1_PORT
\getenv worker2_port CZ_WORKER2_PORT
\getenv worker3_port CZ_WORKER3_PORT
\getenv port PGPORT
\set other '\\! for p in $CZ_WORKER1_PORT $CZ_WORKER2_PORT $CZ_WORKER3_PORT; do psql -XAtq -h 127.0.0.1 -U postgres -p $p -d regression -c "ALTER TYPE error_names.ours ADD ATTRIBUTE b int" 2>/dev/null; done'
:other
CREATE TABLE o3 (k int, o ours);
SELECT * FROM fields($$SELECT create_distributed_table('o3', 'k', shard_count => 1)$$) WHERE field IN ('sqlstate', 'message', 'detail');
DROP TABLE o, o2, o3;

-- DDL, and a row that is locked
CREATE UNIQUE INDEX u_t_n ON u (t, (n * 0));
INSERT INTO u VALUES (1, 4, 'e', 1);
BEGIN;
SELECT id FROM u WHERE t = 1 AND id = 1 FOR UPDATE;
\getenv port PGPORT
\set again '\\! psql -XAtq -h 127.0.0.1 -U postgres -p ' :port ' -d regression -c "SELECT id FROM error_names.u WHERE t = 1 AND id = 1 FOR UPDATE NOWAIT"'
:again
ROLLBACK;

-- the rows of a table that the user may not read are not shown
SET client_min_messages = warning;
DROP ROLE IF EXISTS cz_error_names;
CREATE ROLE cz_error_names;
RESET client_min_messages;
GRANT USAGE ON SCHEMA error_names TO cz_error_names;
GRANT INSERT ON u TO cz_error_names;
SET ROLE cz_error_names;
SELECT * FROM fields($$INSERT INTO u VALUES (1, 1, 'c', 1)$$) WHERE field IN ('message', 'detail', 'constraint');
RESET ROLE;

-- the remote statement is for those who look for it
SET cz.share_plans = off;
SET client_min_messages = debug1;
UPDATE u SET n = 1 / (n - 1) WHERE t = 1 AND id = 1;
RESET client_min_messages;

SET client_min_messages = warning;
DROP SCHEMA error_names CASCADE;
DROP ROLE cz_error_names;
