-- Types that are dropped and made again, or changed while no distributed table uses them,
-- are on the workers what they are here; then tables that became ordinary ones again, and
-- partitioned tables beside distributed ones.
CREATE TYPE xy AS (x int, y int);
CREATE TABLE q1 (k int, p xy);
SELECT create_distributed_table('q1', 'k');
DROP TABLE q1;
DROP TYPE xy;
CREATE TYPE xy AS (y int, x int);
CREATE TABLE q2 (k int, p xy);
SELECT create_distributed_table('q2', 'k');
INSERT INTO q2 VALUES (1, ROW (1, 2)), (2, ROW (5, 0));
SELECT k, (p).x, (p).y FROM q2 ORDER BY k;
SELECT k FROM q2 WHERE (p).x = 2;
SELECT sum((p).x) FROM q2;
DROP TABLE q2;
-- contained in others, and in functions' arguments
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE inner_t AS (a small, b text COLLATE "C");
CREATE TYPE outer_t AS (i inner_t, l inner_t[]);
CREATE DOMAIN outer_d AS outer_t CHECK ((VALUE).i IS NOT NULL);
CREATE FUNCTION first_a(outer_t) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT (($1).i).a::int';
CREATE TABLE n1 (k int, o outer_d, CHECK (first_a(o) > 0));
SELECT create_distributed_table('n1', 'k');
INSERT INTO n1 VALUES (1, ROW (ROW (5, 'x'), '{}'));
-- error
INSERT INTO n1 VALUES (1, ROW (ROW (-5, 'x'), '{}'));
SELECT k, ((o).i).a FROM n1;
DROP TABLE n1;
DROP FUNCTION first_a(outer_t);
DROP DOMAIN outer_d;
DROP TYPE outer_t;
DROP TYPE inner_t;
DROP DOMAIN small;
CREATE DOMAIN small AS bigint CHECK (VALUE < 10) NOT NULL;
CREATE TYPE inner_t AS (b text, a small);
CREATE TABLE n2 (k int, i inner_t[], s small);
SELECT create_distributed_table('n2', 'k');
INSERT INTO n2 VALUES (1, '{"(y,7)"}', 9), (2, NULL, 1);
-- error
INSERT INTO n2 VALUES (3, NULL, 10);
-- error
INSERT INTO n2 VALUES (3, NULL, NULL);
-- error
UPDATE n2 SET s = s + 5;
SELECT k, (i[1]).a, (i[1]).b, s FROM n2 ORDER BY k;
-- NULLs that are no column's
SELECT a.k, b.s FROM n2 a LEFT JOIN n2 b ON a.k = b.k AND b.k = 1 ORDER BY 1;
SELECT a.k, b.s FROM n2 a LEFT JOIN n2 b ON a.k = b.s ORDER BY 1;
SELECT a.k, (SELECT s FROM n2 b WHERE b.k = a.k AND b.s > 5) FROM n2 a ORDER BY 1;
DROP TABLE n2;
-- a type of one kind becomes one of another
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE TABLE k1 (k int, v kind);
SELECT create_distributed_table('k1', 'k');
DROP TABLE k1;
DROP TYPE kind;
CREATE DOMAIN kind AS text CHECK (VALUE <> 'a');
CREATE TABLE k2 (k int, v kind);
SELECT create_distributed_table('k2', 'k');
-- error
INSERT INTO k2 VALUES (1, 'a');
INSERT INTO k2 VALUES (1, 'c');
SELECT * FROM k2;
DROP TABLE k2;
DROP DOMAIN kind;
CREATE TYPE kind AS RANGE (SUBTYPE = text, COLLATION = "C");
CREATE TABLE k3 (k int, v kind);
SELECT create_distributed_table('k3', 'k');
-- error
INSERT INTO k3 VALUES (1, '[a,Z)');
INSERT INTO k3 VALUES (2, '[A,a)');
SELECT k, v, lower(v) FROM k3 ORDER BY 1, 2;
DROP TABLE k3;
-- with the schema
CREATE SCHEMA again;
CREATE TYPE again.r AS RANGE (subtype = int4);
CREATE TABLE again.a (k int, r again.r);
SELECT create_distributed_table('again.a', 'k');
DROP SCHEMA again CASCADE;
CREATE SCHEMA again;
CREATE TYPE again.r AS RANGE (subtype = float8);
CREATE TABLE again.a (k int, r again.r);
SELECT create_distributed_table('again.a', 'k');
INSERT INTO again.a VALUES (1, '[1.5,2.5)');
SELECT * FROM again.a;
DROP SCHEMA again CASCADE;
-- changed meanwhile
CREATE TYPE tc AS (x int, y int);
CREATE TABLE ca (k int, p tc);
SELECT create_distributed_table('ca', 'k');
INSERT INTO ca VALUES (1, '(1,2)');
SELECT undistribute_table('ca');
ALTER TYPE tc ADD ATTRIBUTE z int CASCADE;
SELECT create_distributed_table('ca', 'k');
INSERT INTO ca VALUES (2, '(1,2,3)');
SELECT * FROM ca ORDER BY k;
CREATE DOMAIN dm AS int;
CREATE TABLE da (k int, v dm);
SELECT create_distributed_table('da', 'k');
SELECT undistribute_table('da');
ALTER DOMAIN dm ADD CONSTRAINT positive CHECK (VALUE > 0);
SELECT create_distributed_table('da', 'k');
-- error
INSERT INTO da VALUES (1, -1);
INSERT INTO da VALUES (1, 1);
SELECT * FROM da;
DROP TABLE ca, da;
-- a type that takes the name of another's array type
CREATE TYPE c1 AS (f1 int, f2 text);
CREATE TABLE b1 (k int, c c1[]);
SELECT create_distributed_table('b1', 'k');
CREATE TYPE _c1 AS ENUM ('fooey');
CREATE TABLE b2 (k int, e _c1, c c1[]);
SELECT create_distributed_table('b2', 'k');
INSERT INTO b2 VALUES (1, 'fooey', '{"(4,x)"}');
SELECT * FROM b2;
INSERT INTO b1 VALUES (1, '{"(4,x)"}');
SELECT * FROM b1;
SELECT b1.c, b2.e FROM b1 JOIN b2 ON b1.k = b2.k AND b1.c = b2.c WHERE b2.e = ANY (ARRAY['fooey'::_c1]);
DROP TABLE b1, b2;
DROP TYPE _c1, c1;
-- tables that were reference tables
CREATE TABLE w (id int PRIMARY KEY);
SELECT create_reference_table('w');
INSERT INTO w VALUES (1);
SELECT undistribute_table('w');
INSERT INTO w VALUES (2);
DROP TABLE w;
CREATE SCHEMA ws;
CREATE TABLE ws.r (id int);
SELECT create_reference_table('ws.r');
SELECT undistribute_table('ws.r');
DROP SCHEMA ws CASCADE;
SELECT count(*) FROM pg_depend d WHERE classid = 'pg_trigger'::regclass AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.oid = d.objid);
-- partitioned tables that are local
CREATE TABLE ev (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE pl (id int, v int);
SELECT create_distributed_table('pl', 'id');
INSERT INTO ev SELECT i, date '2020-01-01' + i FROM generate_series(0, 20) i;
INSERT INTO pl SELECT i, i FROM generate_series(0, 20) i;
SELECT count(*) FROM ev e JOIN pl p USING (id);
SELECT count(*) FROM pl WHERE id IN (SELECT id FROM ev WHERE at > '2020-01-15');
BEGIN;
SELECT count(*) FROM ev e JOIN pl p USING (id);
DROP TABLE ev;
ROLLBACK;
SELECT count(*) FROM ev;
DROP TABLE ev, pl;
