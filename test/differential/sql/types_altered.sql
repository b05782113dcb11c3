-- Types, functions, collations and schemas that are altered, renamed and moved while
-- distributed tables use them.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN lim AS int CHECK (VALUE < 100);
CREATE TYPE span AS RANGE (SUBTYPE = int4);
CREATE TABLE q (k int PRIMARY KEY, m mood, p pair, d lim, s span, l pair[]);
SELECT create_distributed_table('q', 'k');
CREATE TABLE r (k int PRIMARY KEY, m mood, d lim);
SELECT create_reference_table('r');
INSERT INTO q SELECT i, CASE i % 2 WHEN 0 THEN 'sad' ELSE 'ok' END::mood, ROW(i, 'y' || i)::pair, i, span(i, i + 2), ARRAY[ROW(i, 'l')::pair] FROM generate_series(1, 20) i;
INSERT INTO r SELECT i, 'ok', i FROM generate_series(1, 5) i;
-- enums
ALTER TYPE mood ADD VALUE 'glad' AFTER 'ok';
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
INSERT INTO q (k, m) VALUES (21, 'glad');
SELECT m, count(*) FROM q GROUP BY 1 ORDER BY 1;
SELECT k FROM q WHERE m > 'ok' ORDER BY 1;
-- names
ALTER TYPE mood RENAME TO temper;
SELECT k FROM q WHERE m = 'low' AND k < 5 ORDER BY 1;
SELECT count(*) FROM q WHERE m = 'ok'::temper;
UPDATE q SET m = 'glad' WHERE m = 'low' AND k < 6;
UPDATE r SET m = 'glad' WHERE k = 2;
SELECT k, m FROM r ORDER BY 1;
ALTER TABLE q ADD COLUMN m2 temper;
UPDATE q SET m2 = m;
SELECT m2, count(*) FROM q GROUP BY 1 ORDER BY 1;
ALTER TYPE span RENAME TO spans;
SELECT k, s FROM q WHERE s @> 3 ORDER BY 1;
ALTER DOMAIN lim RENAME TO limited;
SELECT k, d FROM q WHERE d = 7::limited;
-- attributes
ALTER TYPE pair ADD ATTRIBUTE z numeric(6,2), ADD ATTRIBUTE w text COLLATE "C";
SELECT k, p FROM q WHERE k < 4 ORDER BY 1;
INSERT INTO q (k, p) VALUES (22, '(1,b,2.5,c)');
SELECT (p).z, (p).w, l FROM q WHERE k IN (3, 22) ORDER BY k;
ALTER TYPE pair RENAME ATTRIBUTE y TO yy;
SELECT (p).yy FROM q WHERE (p).x = 5;
ALTER TYPE pair DROP ATTRIBUTE yy;
SELECT k, p, l FROM q WHERE k IN (4, 22) ORDER BY 1;
ALTER TYPE pair DROP ATTRIBUTE w, ADD ATTRIBUTE w int;
UPDATE q SET p = ROW(8, 9.5, 10) WHERE k = 4;
SELECT k, p FROM q WHERE (p).w = 10;
-- columns use it: which of them is named is their order in pg_depend
-- error
-- other words
ALTER TYPE pair ALTER ATTRIBUTE x TYPE bigint;
ALTER TYPE pair RENAME TO couple;
SELECT k, (p).x FROM q WHERE p = ROW(8, 9.5, 10)::couple;
-- a type within a type
CREATE TYPE outer_t AS (c couple, n int);
CREATE TABLE o (k int, o outer_t, e couple[]);
SELECT create_distributed_table('o', 'k');
INSERT INTO o VALUES (1, '("(1,2,3)",4)', '{"(1,2,3)"}');
ALTER TYPE couple ADD ATTRIBUTE last date;
ALTER TYPE couple RENAME TO pair;
INSERT INTO o VALUES (2, '("(1,2,3,2020-01-01)",4)', '{"(1,2,3,2020-01-02)"}');
SELECT k, ((o).c).last, e[1] FROM o ORDER BY 1;
SELECT k FROM o WHERE ((o).c).last > '2019-01-01';
-- domains
ALTER DOMAIN limited ADD CONSTRAINT positive CHECK (VALUE > 0);
-- error
INSERT INTO q (k, d) VALUES (30, 0);
-- error
UPDATE q SET d = d - 10 WHERE k = 9;
-- rows are there
-- error
ALTER DOMAIN limited ADD CONSTRAINT low CHECK (VALUE < 10);
-- rows without
-- error
ALTER DOMAIN limited SET NOT NULL;
ALTER DOMAIN limited ADD CONSTRAINT low CHECK (VALUE < 10) NOT VALID;
-- error
UPDATE q SET d = d + 1 WHERE k = 9;
-- error
ALTER DOMAIN limited VALIDATE CONSTRAINT low;
UPDATE q SET d = 9 WHERE d > 9;
ALTER DOMAIN limited VALIDATE CONSTRAINT low;
ALTER DOMAIN limited RENAME CONSTRAINT low TO lower;
ALTER DOMAIN limited DROP CONSTRAINT lower;
ALTER DOMAIN limited DROP CONSTRAINT IF EXISTS lower;
-- error
ALTER DOMAIN limited DROP CONSTRAINT lower;
UPDATE q SET d = 50 WHERE k = 9;
SELECT k, d FROM q WHERE d > 8 ORDER BY 1;
UPDATE q SET d = 1 WHERE d IS NULL;
ALTER DOMAIN limited SET NOT NULL;
-- error
UPDATE q SET d = nullif(d, 50);
ALTER DOMAIN limited DROP NOT NULL;
UPDATE q SET d = nullif(d, 50);
ALTER DOMAIN limited SET DEFAULT 42;
INSERT INTO q (k) VALUES (40) RETURNING d;
ALTER DOMAIN limited DROP DEFAULT;
ALTER DOMAIN limited OWNER TO CURRENT_USER;
-- a new table gets it all
CREATE TABLE q2 (k int, d limited);
SELECT create_distributed_table('q2', 'k');
-- error
INSERT INTO q2 VALUES (1, 0);
INSERT INTO q2 VALUES (1, 3);
-- in a transaction, undone
BEGIN;
ALTER DOMAIN limited ADD CONSTRAINT tiny CHECK (VALUE < 5) NOT VALID;
SAVEPOINT a;
ALTER TYPE temper RENAME TO mood;
SELECT count(*) FROM q WHERE m = 'ok'::mood;
ROLLBACK TO a;
SELECT count(*) FROM q WHERE m = 'ok'::temper;
-- error
INSERT INTO q2 VALUES (2, 6);
ROLLBACK;
INSERT INTO q2 VALUES (2, 6);
SELECT count(*) FROM q WHERE m = 'ok'::temper;
-- functions
CREATE FUNCTION ff(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 < 10';
CREATE TABLE fn (k int, v int CHECK (ff(v)), g bool GENERATED ALWAYS AS (ff(v)) STORED);
CREATE INDEX fn_ff ON fn (ff(v));
SELECT create_distributed_table('fn', 'k');
INSERT INTO fn VALUES (1, 5);
-- error
INSERT INTO fn VALUES (2, 15);
ALTER FUNCTION ff(int) RENAME TO gg;
INSERT INTO fn VALUES (2, 6);
CREATE OR REPLACE FUNCTION gg(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 < 20';
INSERT INTO fn VALUES (3, 15);
SELECT * FROM fn ORDER BY 1;
CREATE FUNCTION ff(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false';
INSERT INTO fn VALUES (4, 16);
ALTER FUNCTION gg(int) STRICT;
INSERT INTO fn VALUES (5, NULL);
SELECT * FROM fn ORDER BY 1;
-- what the new body needs
CREATE TYPE bound AS (at int);
CREATE OR REPLACE FUNCTION gg(int) RETURNS bool IMMUTABLE STRICT LANGUAGE sql RETURN $1 < (ROW(30)::bound).at;
INSERT INTO fn VALUES (6, 25);
-- error
INSERT INTO fn VALUES (7, 35);
-- the type of an argument takes another name
CREATE FUNCTION is_low(temper) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1::text = 'low' $$;
CREATE TABLE fm (k int, m temper CHECK (is_low(m)));
SELECT create_distributed_table('fm', 'k');
ALTER TYPE temper RENAME TO humour;
CREATE OR REPLACE FUNCTION is_low(humour) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1::text IN ('low', 'ok') $$;
INSERT INTO fm VALUES (1, 'ok');
-- error
INSERT INTO fm VALUES (2, 'glad');
SELECT * FROM fm;
DROP TABLE fm, fn;
DROP FUNCTION is_low(humour);
DROP FUNCTION gg(int);
DROP TYPE bound;
CREATE FUNCTION gg(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 100';
CREATE TABLE fn (k int, v int CHECK (gg(v)));
SELECT create_distributed_table('fn', 'k');
-- error
INSERT INTO fn VALUES (1, 5);
INSERT INTO fn VALUES (1, 101);
SELECT * FROM fn;
-- a function whose result has another type
DROP TABLE fn;
DROP FUNCTION gg(int);
CREATE FUNCTION gg(int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text';
CREATE TABLE fn (k int, v int CHECK (gg(v) <> '5'));
SELECT create_distributed_table('fn', 'k');
-- error
INSERT INTO fn VALUES (1, 5);
INSERT INTO fn VALUES (1, 6);
-- schemas
CREATE SCHEMA sz;
CREATE TYPE sz.e AS ENUM ('p', 'q');
CREATE DOMAIN sz.d AS int CHECK (VALUE < 10);
CREATE FUNCTION sz.f(sz.e) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1::text <> 'x' $$;
CREATE COLLATION sz.c (LOCALE = 'C');
CREATE TABLE sz.t (k int, e sz.e CHECK (sz.f(e)), d sz.d, c text COLLATE sz.c);
SELECT create_distributed_table('sz.t', 'k');
INSERT INTO sz.t VALUES (1, 'p', 1, 'a'), (2, 'q', 2, 'B');
ALTER SCHEMA sz RENAME TO sw;
SELECT k FROM sw.t WHERE e = 'q';
SELECT k FROM sw.t ORDER BY c;
ALTER TABLE sw.t ADD COLUMN e2 sw.e;
UPDATE sw.t SET e2 = e WHERE e = 'q';
-- error
UPDATE sw.t SET d = 10;
CREATE OR REPLACE FUNCTION sw.f(sw.e) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1::text <> 'p' $$;
-- error
INSERT INTO sw.t VALUES (3, 'p', 1);
SELECT * FROM sw.t ORDER BY k;
CREATE SCHEMA sy;
ALTER TYPE sw.e SET SCHEMA sy;
ALTER DOMAIN sw.d SET SCHEMA sy;
ALTER FUNCTION sw.f(sy.e) SET SCHEMA sy;
ALTER COLLATION sw.c SET SCHEMA sy;
ALTER COLLATION sy.c RENAME TO cc;
SELECT k FROM sw.t WHERE e = 'q'::sy.e ORDER BY c COLLATE sy.cc;
CREATE OR REPLACE FUNCTION sy.f(sy.e) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT true $$;
INSERT INTO sw.t VALUES (3, 'p', 1);
SELECT * FROM sw.t ORDER BY k;
DROP SCHEMA sw CASCADE;
DROP SCHEMA sy CASCADE;
CREATE SCHEMA sy;
CREATE TYPE sy.e AS (a int);
CREATE COLLATION sy.cc (LOCALE = 'POSIX');
CREATE TABLE sy.t (k int, e sy.e, c text COLLATE sy.cc);
SELECT create_distributed_table('sy.t', 'k');
INSERT INTO sy.t VALUES (1, '(3)', 'x');
SELECT k, (e).a FROM sy.t WHERE c < 'y';
-- what a column needs goes away with it
ALTER TABLE o DROP COLUMN o;
DROP TYPE outer_t;
DROP DOMAIN limited CASCADE;
SELECT * FROM q2 ORDER BY 1;
SELECT k, m, l FROM q WHERE k < 3 ORDER BY 1;
CREATE DOMAIN limited AS text CHECK (VALUE <> '');
CREATE TABLE q3 (k int, d limited);
SELECT create_distributed_table('q3', 'k');
INSERT INTO q3 VALUES (1, 'a');
SELECT * FROM q3;
DROP TYPE pair CASCADE;
SELECT k FROM o ORDER BY 1;
-- two kinds of one name
CREATE TYPE nm AS ENUM ('a');
CREATE TABLE e1 (k int, v nm);
SELECT create_distributed_table('e1', 'k');
DROP TABLE e1;
DROP TYPE nm;
CREATE DOMAIN nm AS int;
CREATE TABLE e2 (k int, v nm);
SELECT create_distributed_table('e2', 'k');
INSERT INTO e2 VALUES (1, 5);
SELECT * FROM e2 WHERE v = 5;
DROP SCHEMA sy CASCADE;
-- rows of a table as values
CREATE TABLE whole (a int, b text);
CREATE TABLE parts (k int, w whole);
SELECT create_distributed_table('parts', 'k');
INSERT INTO parts VALUES (1, '(1,x)');
ALTER TABLE whole ADD COLUMN c int;
INSERT INTO parts VALUES (2, '(2,y,3)');
SELECT k, (w).c FROM parts WHERE (w).a > 0 ORDER BY 1;
ALTER TABLE whole RENAME COLUMN c TO d;
SELECT k FROM parts WHERE (w).d = 3;
ALTER TABLE whole DROP COLUMN b;
SELECT * FROM parts ORDER BY 1;
ALTER TABLE whole RENAME TO entire;
SELECT k FROM parts WHERE w = '(2,3)'::entire;
