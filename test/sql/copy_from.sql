-- COPY FROM into distributed tables: what an error says, which line it names, what is refused.
\i sql/include/workers.inc
CREATE SCHEMA copying;
SET search_path = copying;
SET cz.shard_count = 4;
\set SHOW_CONTEXT always
CREATE TABLE t (k int PRIMARY KEY, v text, n int CHECK (n < 100));
SELECT create_distributed_table('t', 'k');
COPY t FROM STDIN;
1	a	1
2	b	2
\.
-- conversion, a missing column, the worker's constraints: the line is the user's
COPY t FROM STDIN;
3	c	3
4	d	x
\.
COPY t FROM STDIN;
3	c	3
4	d
\.
COPY t FROM STDIN;
3	c	3
4	d	4
5	e	500
6	f	6
\.
COPY t FROM STDIN;
3	c	3
4	d	4
5	e	5
2	again	6
\.
COPY t (k, n) FROM STDIN (FORMAT csv, HEADER);
k,n
3,3
\N,4
\.
-- a trigger's error
CREATE FUNCTION check_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.v = 'bad' THEN RAISE 'bad row'; END IF;
  NEW.n := NEW.n + 1;
  RETURN NEW;
END $$;
CREATE TRIGGER check_row BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION check_row();
COPY t FROM STDIN;
3	c	3
4	bad	4
\.
COPY t FROM STDIN;
3	c	3
4	d	99
\.
-- psql's \copy is the same
\! printf '7\tx\t7\n1\ty\t8\n' > /tmp/cz_copy_from.txt
\copy t FROM '/tmp/cz_copy_from.txt'
\! printf '7,x,7\n8,y,8\n' > /tmp/cz_copy_from.txt
\copy t (k, v, n) FROM '/tmp/cz_copy_from.txt' WITH (FORMAT csv) WHERE n > 7
\! rm /tmp/cz_copy_from.txt
-- refused
COPY t FROM STDIN (FREEZE);
\.
BEGIN;
TRUNCATE t;
COPY t FROM STDIN WITH (FREEZE true);
\.
ROLLBACK;
COPY t FROM STDIN (FREEZE false);
9	z	9
\.
CREATE ROLE cz_copy_from_user;
GRANT USAGE ON SCHEMA copying TO cz_copy_from_user;
GRANT INSERT (k, n), SELECT ON t TO cz_copy_from_user;
SET ROLE cz_copy_from_user;
COPY t FROM STDIN;
\.
COPY t (k, v) FROM STDIN;
\.
COPY t FROM '/tmp/cz_copy_from.txt';
COPY t FROM PROGRAM 'true';
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE cz_copy_from_user;
COPY t (k, n) FROM STDIN;
\.
RESET ROLE;
-- a row that no shard takes
CREATE TABLE r (d date, v int);
SELECT create_distributed_table('r', 'd', 'range');
SELECT cz_create_range_shard('r', '2020-01-01', '2021-01-01') > 0;
COPY r FROM STDIN;
2020-05-05	1
2021-01-01	2
\.
SELECT * FROM t ORDER BY k;
SELECT count(*) FROM r;
SET client_min_messages TO warning;
DROP SCHEMA copying CASCADE;
DROP ROLE cz_copy_from_user;
