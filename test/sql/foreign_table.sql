-- A foreign table of cz_fdw by itself works as one of postgres_fdw does: read,
-- written row by row and by COPY, truncated, analyzed, imported.
--
--   regression (coordinator)            worker 1, schema ft_remote
--   foreign_table.items      ------->   items (a view, a partitioned table, ...)
\getenv worker1_port CZ_WORKER1_PORT
\getenv coordinator_port PGPORT
\set ECHO none
\set QUIET on
SELECT current_database() AS dbname \gset
\c :dbname postgres 127.0.0.1 :worker1_port
\set ECHO all
SET client_min_messages TO warning;
DROP SCHEMA IF EXISTS ft_remote CASCADE;
CREATE SCHEMA ft_remote;
SET search_path TO ft_remote;
CREATE TABLE items (
	id int PRIMARY KEY,
	"Name" text COLLATE "C" NOT NULL DEFAULT 'no name',
	price numeric(10,2) CHECK (price >= 0),
	doubled numeric(12,2) GENERATED ALWAYS AS (price * 2) STORED,
	tags text[],
	at timestamptz,
	span interval,
	ratio float8);
INSERT INTO items (id, "Name", price, tags, at, span, ratio)
SELECT i, 'item ' || i, i * 1.5, ARRAY['t' || i, NULL], '2024-01-31 12:00+00'::timestamptz + i * interval '1 day',
       i * interval '1 month -1 day 01:02:03', i / 3.0::float8
  FROM generate_series(1, 8) i;
CREATE TABLE log (id bigserial PRIMARY KEY, message text, at_worker text DEFAULT 'set here');
CREATE VIEW cheap AS SELECT * FROM items WHERE price < 5;
CREATE TABLE parts (k int, v text) PARTITION BY LIST (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts VALUES (1, 'a'), (2, 'b');
CREATE TABLE part_target (k int, v text);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.message := upper(NEW.message); RETURN NEW; END';
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON log FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TABLE "Odd ""name" ("a b" int, "select" text);
CREATE TABLE nocolumns ();
\set ECHO none
\c :dbname postgres 127.0.0.1 :coordinator_port
\set ECHO all
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS cz_fdw;
RESET client_min_messages;
CREATE SCHEMA foreign_table;
SET search_path TO foreign_table;
SET timezone TO 'UTC';
SELECT format('CREATE SERVER ft_w1 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host %L, port %L, dbname %L, should_have_shards %L)',
              '127.0.0.1', :'worker1_port', current_database(), 'false') \gexec
CREATE USER MAPPING FOR CURRENT_USER SERVER ft_w1 OPTIONS (user 'postgres');

-- a foreign table with its columns in another order and under other names
CREATE FOREIGN TABLE items (
	gone int,
	name text OPTIONS (column_name 'Name') COLLATE "C" NOT NULL DEFAULT 'nobody',
	id int,
	price numeric(10,2),
	doubled numeric(12,2) GENERATED ALWAYS AS (price * 2) STORED,
	tags text[],
	at timestamptz,
	span interval,
	ratio float8
) SERVER ft_w1 OPTIONS (schema_name 'ft_remote');
ALTER FOREIGN TABLE items DROP COLUMN gone;

-- reading
SELECT * FROM items ORDER BY id;
SELECT name FROM items WHERE id = 3;
SELECT count(*), sum(price) FROM items WHERE price > 3 AND name LIKE 'item%';
SELECT i FROM items i WHERE id < 3 ORDER BY id;
SELECT tableoid::regclass, ctid, id FROM items WHERE id = 1;
SELECT a.id FROM items a JOIN items b ON a.id = b.id + 1 WHERE b.price < 4 ORDER BY 1;
SET datestyle TO 'German';
SET intervalstyle TO 'sql_standard';
SET timezone TO 'Asia/Kolkata';
SET extra_float_digits TO 0;
SELECT at, span, ratio FROM items WHERE at = '06.02.2024 17:30:00 +05:30' OR span = interval '3 mons -3 days +3:06:09' ORDER BY id;

-- INSERT: values arrive whatever the session's settings are
INSERT INTO items (id, name, price, at, span, ratio)
VALUES (10, 'ten', 10, '01.02.2024 00:00:00', '-1 2:03:04', 0.1::float8 + 0.2::float8) RETURNING *;
RESET datestyle;
RESET intervalstyle;
SET timezone TO 'UTC';
RESET extra_float_digits;
SELECT * FROM items WHERE id = 10;
SELECT id FROM items WHERE ratio = 0.1::float8 + 0.2::float8;
INSERT INTO items (id, price) VALUES (11, 1), (12, 2), (13, NULL);
INSERT INTO items (id, price) SELECT i, i FROM generate_series(20, 24) i RETURNING id, name, doubled;
INSERT INTO items (id) VALUES (1);
\set VERBOSITY sqlstate
INSERT INTO items (id) VALUES (1);
INSERT INTO items (id, price) VALUES (30, 3), (31, -1);
INSERT INTO items (id, name) VALUES (30, NULL);
\set VERBOSITY default
SELECT count(*) FROM items WHERE id >= 30;
INSERT INTO items (id, name) VALUES (1, 'x'), (40, 'y') ON CONFLICT DO NOTHING;
INSERT INTO items (id, name) VALUES (1, 'x') ON CONFLICT (id) DO NOTHING;
\set VERBOSITY sqlstate
INSERT INTO items (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'z';
\set VERBOSITY default
DELETE FROM items WHERE id >= 20;
SELECT id, name, price FROM items WHERE id >= 10 ORDER BY id;

-- what the worker makes of a row comes back
CREATE FOREIGN TABLE log (id bigint, message text, at_worker text) SERVER ft_w1
	OPTIONS (schema_name 'ft_remote', table_name 'log');
INSERT INTO log (id, message) VALUES (1, 'quiet') RETURNING *;
UPDATE log SET message = 'louder' || random()::int * 0 WHERE id = 1 RETURNING message;

-- UPDATE and DELETE row by row: volatile functions, local tables, subqueries
CREATE TABLE local_prices (id int, price numeric);
INSERT INTO local_prices VALUES (1, 100), (2, 200), (2, 200), (99, 1);
UPDATE items SET price = price + (random() * 0)::numeric WHERE id = 3 RETURNING id, price, doubled;
UPDATE items i SET price = l.price FROM local_prices l WHERE l.id = i.id RETURNING i.id, i.price, l.price;
UPDATE items SET (price, name) = (SELECT max(price), 'max' FROM local_prices) WHERE id = 4 RETURNING id, name, price;
UPDATE items SET doubled = DEFAULT WHERE id = 4 RETURNING doubled;
UPDATE items SET id = id + 100 WHERE id + (random() * 0)::int IN (5, 6) RETURNING id;
DELETE FROM items i USING local_prices l WHERE l.id = i.id AND l.price > 150 RETURNING i.id, i;
DELETE FROM items WHERE id > 100 + (random() * 0)::int RETURNING id, tableoid::regclass;
SELECT id, name, price FROM items ORDER BY id;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE items SET price = random() WHERE id = 3;
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM items i USING local_prices l WHERE l.id = i.id RETURNING i.name;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO items (id) VALUES (1), (2);
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO items (id) VALUES (1) ON CONFLICT DO NOTHING RETURNING name;

-- savepoints and exception blocks
BEGIN;
SAVEPOINT a;
INSERT INTO items (id, name) VALUES (50, 'lost');
ROLLBACK TO a;
INSERT INTO items (id, name) VALUES (51, 'kept');
DO $$BEGIN
	INSERT INTO items (id, name) VALUES (51, 'again');
EXCEPTION WHEN unique_violation THEN RAISE NOTICE '%', SQLSTATE;
END$$;
SELECT id, name FROM items WHERE id >= 50;
COMMIT;
BEGIN;
DELETE FROM items WHERE id >= 50;
ROLLBACK;
SELECT id, name FROM items WHERE id >= 50;

-- triggers
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % %: old % new %, % rows', TG_WHEN, TG_OP, TG_LEVEL,
		CASE WHEN TG_OP <> 'INSERT' AND TG_LEVEL = 'ROW' THEN OLD.name END,
		CASE WHEN TG_OP <> 'DELETE' AND TG_LEVEL = 'ROW' THEN NEW.name END,
		(SELECT count(*) FROM foreign_table.items WHERE id >= 60);
	IF TG_LEVEL = 'ROW' AND TG_WHEN = 'BEFORE' AND TG_OP <> 'DELETE' THEN
		NEW.name := NEW.name || '!';
		RETURN NEW;
	END IF;
	RETURN COALESCE(NEW, OLD);
END$$;
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t2 AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t3 AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH STATEMENT EXECUTE FUNCTION note();
INSERT INTO items (id, name) VALUES (60, 'a'), (61, 'b');
UPDATE items SET price = 1 WHERE id = 60 RETURNING name;
DELETE FROM items WHERE id >= 60;
COPY items (id, name) FROM stdin;
60	c
61	d
\.
DROP TRIGGER t2 ON items;
COPY items (id, name) FROM stdin;
62	c
63	d
\.
DROP TRIGGER t1 ON items;
DROP TRIGGER t3 ON items;

-- COPY
COPY items (id, name, price) FROM stdin (FORMAT csv);
70,seventy,70
71,"seventy
one",71
\.
COPY items (id, name, price) FROM stdin;
72	x	1
73	x	-1
74	x	2
\.
COPY (SELECT id, name, doubled FROM items WHERE id >= 60 ORDER BY id) TO stdout;
DELETE FROM items WHERE id >= 60;

-- a volatile function sees the rows before its own
CREATE FUNCTION so_far() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM foreign_table.items WHERE id >= 60';
INSERT INTO items (id, price) SELECT i, so_far() FROM generate_series(60, 63) i;
SELECT id, price FROM items WHERE id >= 60 ORDER BY id;
DELETE FROM items WHERE id >= 60;

-- through a view on the worker
CREATE FOREIGN TABLE cheap (id int, "Name" text, price numeric) SERVER ft_w1
	OPTIONS (schema_name 'ft_remote', table_name 'cheap');
INSERT INTO cheap VALUES (80, 'cheap', 1);
COPY cheap FROM stdin;
81	cheap too	2
\.
SELECT * FROM cheap WHERE id >= 80 ORDER BY id;
DELETE FROM items WHERE id >= 80;

-- a view here with CHECK OPTION
CREATE VIEW checked AS SELECT id, name, price FROM items WHERE price < 1000 WITH CHECK OPTION;
INSERT INTO checked VALUES (90, 'dear', 2000);
INSERT INTO checked VALUES (90, 'fair', 500);
UPDATE checked SET price = 5000 WHERE id = 90;
DELETE FROM checked WHERE id = 90;
DROP VIEW checked;

-- a remote table with partitions: a ctid would not do
CREATE FOREIGN TABLE parts (k int, v text) SERVER ft_w1 OPTIONS (schema_name 'ft_remote');
UPDATE parts SET v = v || (random() * 0)::int WHERE k = 2;
DELETE FROM parts WHERE k = 2 + (random() * 0)::int;
\set VERBOSITY sqlstate
DELETE FROM parts WHERE k = 2 + (random() * 0)::int;
\set VERBOSITY default
SELECT * FROM parts ORDER BY k;

-- as a partition of a local table
CREATE TABLE mixed (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE mixed_local PARTITION OF mixed FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE mixed_remote PARTITION OF mixed FOR VALUES FROM (10) TO (20) SERVER ft_w1
	OPTIONS (schema_name 'ft_remote', table_name 'part_target');
INSERT INTO mixed VALUES (1, 'local'), (11, 'remote'), (2, 'local'), (12, 'remote') RETURNING tableoid::regclass, *;
COPY mixed FROM stdin;
3	local
13	remote
\.
SELECT tableoid::regclass, * FROM mixed ORDER BY k;
UPDATE mixed SET k = 14 WHERE k = 1;
SELECT tableoid::regclass, * FROM mixed ORDER BY k;
-- bounds of the partition hold, whichever way a row comes
UPDATE mixed SET k = 5 WHERE k = 14;
UPDATE mixed_remote SET k = 5 WHERE k = 14;
UPDATE mixed_remote SET v = 'ok' WHERE k = 14 RETURNING *;
INSERT INTO mixed_remote VALUES (16, 'ok'), (30, 'no');
INSERT INTO mixed_remote VALUES (30, 'no') RETURNING k;
COPY mixed_remote FROM stdin;
30	no
\.
SELECT tableoid::regclass, * FROM mixed WHERE k > 13 ORDER BY k;
\set VERBOSITY sqlstate
INSERT INTO mixed VALUES (15, 'x') ON CONFLICT (k) DO UPDATE SET v = 'y';
\set VERBOSITY default
-- row-level security of the parent holds for rows that go to the worker
CREATE ROLE ft_user;
GRANT USAGE ON SCHEMA foreign_table TO ft_user;
GRANT SELECT, INSERT ON mixed TO ft_user;
CREATE USER MAPPING FOR ft_user SERVER ft_w1 OPTIONS (user 'postgres', password_required 'false');
ALTER TABLE mixed ENABLE ROW LEVEL SECURITY;
CREATE POLICY no_secrets ON mixed WITH CHECK (v <> 'secret');
SET ROLE ft_user;
INSERT INTO mixed VALUES (5, 'secret');
INSERT INTO mixed VALUES (15, 'secret');
INSERT INTO mixed VALUES (15, 'public');
RESET ROLE;
DROP TABLE mixed;

-- who may connect, and what is forbidden by options
DROP USER MAPPING FOR ft_user SERVER ft_w1;
GRANT SELECT ON items TO ft_user;
SET ROLE ft_user;
SELECT count(*) FROM items;
RESET ROLE;
CREATE USER MAPPING FOR ft_user SERVER ft_w1 OPTIONS (user 'postgres');
SET ROLE ft_user;
SELECT count(*) FROM items;
RESET ROLE;
ALTER FOREIGN TABLE log OPTIONS (ADD updatable 'false', ADD truncatable 'false');
INSERT INTO log VALUES (2, 'x');
UPDATE log SET message = 'x';
DELETE FROM log;
TRUNCATE log;
\set VERBOSITY sqlstate
TRUNCATE log;
\set VERBOSITY default
ALTER FOREIGN TABLE log OPTIONS (SET updatable 'true', SET truncatable 'true');
BEGIN;
TRUNCATE log RESTART IDENTITY CASCADE;
SELECT count(*) FROM log;
ROLLBACK;
SELECT count(*) FROM log;
BEGIN READ ONLY;
INSERT INTO log VALUES (2, 'x');
ROLLBACK;

-- ANALYZE: sampled on the worker
\set ECHO none
\set QUIET on
\c :dbname postgres 127.0.0.1 :worker1_port
\set ECHO all
CREATE TABLE ft_remote.big AS SELECT i AS id, i % 10 AS ten, CASE WHEN i % 4 > 0 THEN 'x' END AS x FROM generate_series(1, 20000) i;
\set ECHO none
\c :dbname postgres 127.0.0.1 :coordinator_port
\set ECHO all
SET search_path TO foreign_table;
CREATE FOREIGN TABLE big (id int, ten int, x text) SERVER ft_w1 OPTIONS (schema_name 'ft_remote', analyze_sampling 'bernoulli');
SET default_statistics_target TO 10;
ANALYZE big;
-- never analyzed on the worker: the number of rows is an estimate
SELECT reltuples BETWEEN 15000 AND 25000 AS about_right, relpages > 10 AS has_pages FROM pg_class WHERE oid = 'big'::regclass;
ALTER FOREIGN TABLE big OPTIONS (SET analyze_sampling 'off');
ANALYZE big;
SELECT reltuples FROM pg_class WHERE oid = 'big'::regclass;
SELECT attname, n_distinct FROM pg_stats WHERE schemaname = 'foreign_table' AND tablename = 'big' AND attname <> 'x' ORDER BY 1;
SELECT null_frac BETWEEN 0.2 AND 0.3 AS a_quarter FROM pg_stats WHERE schemaname = 'foreign_table' AND tablename = 'big' AND attname = 'x';
ALTER FOREIGN TABLE big OPTIONS (SET analyze_sampling 'random');
ANALYZE big;
SELECT reltuples BETWEEN 15000 AND 25000 AS about_right FROM pg_class WHERE oid = 'big'::regclass;

-- row by row with more rows than fit in memory: those still to come are kept on disk
SET work_mem TO '64kB';
UPDATE big SET ten = ten + (random() * 0)::int, x = repeat('y', 50) WHERE id <= 4000;
DELETE FROM big WHERE id > 16000 + (random() * 0)::int;
SELECT count(*), sum(ten), count(*) FILTER (WHERE length(x) = 50) FROM big;
RESET work_mem;

-- IMPORT FOREIGN SCHEMA
CREATE SCHEMA ft_import;
IMPORT FOREIGN SCHEMA ft_remote FROM SERVER ft_w1 INTO ft_import;
\d ft_import.*
DROP SCHEMA ft_import CASCADE;
CREATE SCHEMA ft_import;
IMPORT FOREIGN SCHEMA ft_remote LIMIT TO (items, parts_1) FROM SERVER ft_w1 INTO ft_import
	OPTIONS (import_default 'true', import_collate 'false', import_generated 'false', import_not_null 'false');
\d ft_import.*
SELECT * FROM ft_import.parts_1;
DROP SCHEMA ft_import CASCADE;
CREATE SCHEMA ft_import;
IMPORT FOREIGN SCHEMA ft_remote EXCEPT (items, log, parts, big) FROM SERVER ft_w1 INTO ft_import;
SELECT relname FROM pg_class WHERE relnamespace = 'ft_import'::regnamespace ORDER BY 1;
IMPORT FOREIGN SCHEMA no_such_schema FROM SERVER ft_w1 INTO ft_import;
IMPORT FOREIGN SCHEMA ft_remote FROM SERVER ft_w1 INTO ft_import OPTIONS (import_everything 'true');
\set VERBOSITY sqlstate
IMPORT FOREIGN SCHEMA no_such_schema FROM SERVER ft_w1 INTO ft_import;
IMPORT FOREIGN SCHEMA ft_remote FROM SERVER ft_w1 INTO ft_import OPTIONS (import_everything 'true');
\set VERBOSITY default

-- inheritance children are read and written with their parent
CREATE FOREIGN TABLE parent (k int, v text) SERVER ft_w1 OPTIONS (schema_name 'ft_remote', table_name 'part_target');
CREATE TABLE child () INHERITS (parent);
TRUNCATE ONLY parent;
INSERT INTO parent VALUES (1, 'there');
INSERT INTO child VALUES (2, 'here');
SELECT tableoid::regclass, * FROM parent ORDER BY k;
SELECT count(*) FROM ONLY parent;
UPDATE parent SET v = v || '!';
SELECT * FROM parent ORDER BY k;
DELETE FROM parent WHERE k = 2;
SELECT count(*) FROM parent;

-- rows with dropped and renamed columns are written by key and locked in joins
CREATE FOREIGN TABLE renamed (gone int, n int OPTIONS (column_name 'k'), v text)
	SERVER ft_w1 OPTIONS (schema_name 'ft_remote', table_name 'part_target');
ALTER FOREIGN TABLE renamed DROP COLUMN gone;
UPDATE renamed SET v = 'new' WHERE n % 10 = 1 RETURNING *;
SELECT a.*, b.n FROM renamed a, renamed b, generate_series(1, 2) g WHERE a.n = b.n AND a.n = g FOR UPDATE OF a, b;
DELETE FROM renamed WHERE n % 10 = 1 RETURNING n;
SET restrict_nonsystem_relation_kind = 'foreign-table';
SELECT count(*) FROM renamed;
RESET restrict_nonsystem_relation_kind;

SET client_min_messages TO warning;
DROP SCHEMA ft_import, foreign_table CASCADE;
DROP SERVER ft_w1 CASCADE;
DROP ROLE ft_user;
