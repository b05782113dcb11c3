-- UPDATE and DELETE row by row: types, WITH, checks, policies, views, generated columns, triggers, ranges.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE ty (k bigint PRIMARY KEY, m mood, p pair, d positive, ps pair[], b bytea, ts timestamptz, iv interval, f float8, nu numeric(8, 2), vc varchar(10), ch char(5), tid tid, ia int[][], r int4range, x xml, js json, ip inet, bits varbit(8), ms mood[], ds positive[], n name, c "char", o oid, u uuid, mo money);
SELECT create_distributed_table('ty', 'k', shard_count => 4);
INSERT INTO ty SELECT i, 'ok', ROW (i, 'b' || i)::pair, i, ARRAY[ROW (i, 'x,"y"')::pair, NULL], '\x0102'::bytea, '2024-01-01 12:00+00', '1 day 2 hours', i / 3.0, i, 'v', 'c', '(1,2)', ARRAY[[1, 2], [3, NULL]], int4range(1, i + 1), '<a>1</a>', '{"a": [1, 2]}', '10.0.0.1/8', B'101', ARRAY['sad', 'happy']::mood[], ARRAY[1, 2]::positive[], 'nm', 'z', 1234, '00000000-0000-0000-0000-000000000001', '12.50' FROM generate_series(1, 10) i;
CREATE FUNCTION same(anyelement) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
UPDATE ty SET m = same(m), p = same(p), d = same(d), ps = same(ps), b = same(b), ts = same(ts), iv = same(iv), f = same(f), nu = same(nu), vc = same(vc), ch = same(ch), tid = same(tid), ia = same(ia), r = same(r), js = same(js), ip = same(ip), bits = same(bits), ms = same(ms), ds = same(ds), n = same(n), c = same(c), o = same(o), u = same(u), mo = same(mo);
SELECT ty.*, x::text FROM (SELECT k, m, p, d, ps, b, ts, iv, f, nu, vc, ch, tid, ia, r, js, ip, bits, ms, ds, n, c, o, u, mo, x FROM ty) ty ORDER BY k;
UPDATE ty SET p.b = 'new' || k, p.a = same(3) WHERE k < 4 RETURNING k, p, (p).b;
UPDATE ty SET ps[1].b = 'q', ia[1][2] = same(9) WHERE k < 4 RETURNING k, ps, ia;
UPDATE ty SET k = k + 100, nu = nu / 3, ch = 'long', vc = left('longer than ten', 10) WHERE k > 7 RETURNING k, nu, ch, vc, p, js::text, x::text;
UPDATE ty SET m = NULL, p = NULL, ps = NULL, ia = NULL WHERE same(k) = 5 RETURNING k, m, p, ps, ia;
-- error
UPDATE ty SET d = same(d) - 100 WHERE k = 2;
-- error
UPDATE ty SET vc = repeat('x', same(11)) WHERE k = 2;
UPDATE ty SET b = decode(repeat('00ff', same(100000)), 'hex') WHERE k = 2 RETURNING length(b), md5(b);
SELECT length(b), md5(b) FROM ty WHERE k = 2;
-- constraints are those of the workers
CREATE TABLE ck (k int, id int UNIQUE, v int NOT NULL CHECK (v < 100), w int GENERATED ALWAYS AS (v * 2) STORED, s text DEFAULT 'dflt');
-- error
SELECT create_distributed_table('nothing', 'k');
DROP TABLE ck;
CREATE TABLE ck (k int, id int, v int NOT NULL CHECK (v < 100), w int GENERATED ALWAYS AS (v * 2) STORED, s text DEFAULT 'dflt', UNIQUE (k, id));
SELECT create_distributed_table('ck', 'k', shard_count => 4);
INSERT INTO ck (k, id, v, s) SELECT i % 3, i, i, 's' FROM generate_series(1, 20) i;
-- error
UPDATE ck SET v = same(v) + 90;
-- error
UPDATE ck SET v = CASE WHEN same(id) = 4 THEN NULL ELSE v END;
UPDATE ck SET v = same(v) + 1 WHERE id < 5 RETURNING *;
UPDATE ck SET v = same(v) + 1, s = DEFAULT, w = DEFAULT WHERE id < 5 RETURNING id, w, s;
UPDATE ck SET k = same(k) + 1, v = v + 1 WHERE id < 5 RETURNING id, k, v, w;
-- error
UPDATE ck SET id = same(1);
UPDATE ck SET id = same(id) + 100;
SELECT * FROM ck ORDER BY id;
DELETE FROM ck WHERE same(id) > 110 RETURNING id, w, ck;
-- views
CREATE VIEW low AS SELECT k, id, v FROM ck WHERE v < 8 WITH CHECK OPTION;
UPDATE low SET v = same(v) + 1 WHERE id = 101 RETURNING *;
-- error
UPDATE low SET v = same(v) + 10 WHERE id = 101;
UPDATE low SET k = k + 5, v = same(v) WHERE id = 102 RETURNING *;
DELETE FROM low WHERE same(id) = 103 RETURNING *;
CREATE VIEW low2 AS SELECT k, id, v AS val FROM low WHERE id < 107 WITH LOCAL CHECK OPTION;
UPDATE low2 SET val = same(val) WHERE id = 104 RETURNING val;
-- error
UPDATE low2 SET id = same(200) WHERE id = 104;
WITH w AS (UPDATE low2 SET val = same(val) - 1 WHERE id < 106 RETURNING id, val) SELECT * FROM w;
-- rules
CREATE TABLE ru (k int, v int);
SELECT create_distributed_table('ru', 'k', shard_count => 4);
INSERT INTO ru SELECT i, i FROM generate_series(1, 6) i;
CREATE TABLE ru_log (k int, old int, new int);
CREATE VIEW ru_v AS SELECT * FROM ru;
CREATE RULE r1 AS ON UPDATE TO ru_v DO INSTEAD (INSERT INTO ru_log VALUES (old.k, old.v, new.v); UPDATE ru SET v = new.v WHERE k = old.k);
CREATE RULE r2 AS ON DELETE TO ru_v DO INSTEAD UPDATE ru SET v = same(-1) WHERE k = old.k;
UPDATE ru_v SET v = same(v) + 10 WHERE k < 3;
DELETE FROM ru_v WHERE k = 4;
SELECT * FROM ru ORDER BY k;
SELECT * FROM ru_log ORDER BY k;
-- more rows than memory holds
CREATE TABLE many (k int, id int PRIMARY KEY, v int, note text);
SELECT create_distributed_table('many', 'id', shard_count => 4);
INSERT INTO many SELECT i % 10, i, i, repeat('m', 100) FROM generate_series(1, 3000) i;
SET work_mem = '64kB';
UPDATE many SET v = same(v) + 1, note = note || same(id)::text;
UPDATE many SET id = same(id) + 10000 WHERE id > 1500;
WITH d AS (DELETE FROM many WHERE same(v) % 3 = 0 RETURNING *) SELECT count(*), sum(v), min(note) FROM d;
UPDATE many SET v = o.v FROM many o WHERE o.id = many.id + 10000;
RESET work_mem;
SELECT count(*), sum(id), sum(v), sum(length(note)) FROM many;
-- ranges
CREATE TABLE ra (k int, v int);
SELECT create_distributed_table('ra', 'k', 'range');
SELECT count(*) FROM (SELECT cz_create_range_shard('ra', '0', '10'), cz_create_range_shard('ra', '10', '20'), cz_create_range_shard('ra', '20', '30')) s;
INSERT INTO ra SELECT i, i FROM generate_series(0, 29) i;
UPDATE ra SET k = k - 5 WHERE v BETWEEN 8 AND 12 RETURNING *;
UPDATE ra SET k = same(29 - k) RETURNING *;
SELECT k, count(*) FROM ra GROUP BY k ORDER BY k;
-- differs: a plain table has no bounds
UPDATE ra SET k = k + 5 WHERE v < 3;
-- the same row twice
WITH a AS (UPDATE ru SET v = 1 WHERE k = 1 RETURNING *), b AS (DELETE FROM ru WHERE k = 1 AND v > 100 RETURNING *) SELECT * FROM a;
WITH a AS (UPDATE ru SET v = v + 1 WHERE k = 2 RETURNING v) UPDATE ru SET v = v + 100 WHERE k = 3 RETURNING ru.v, (SELECT v FROM a);
UPDATE ru SET v = g.i FROM generate_series(5, 5) g(i), generate_series(1, 3) h WHERE ru.k = g.i AND same(1) = 1 RETURNING ru.k, ru.v;
SELECT * FROM ru ORDER BY k;
-- WITH in every position
CREATE TABLE loc (k int, v int);
INSERT INTO loc SELECT i, i FROM generate_series(1, 5) i;
WITH d AS (DELETE FROM ru WHERE k = 6 RETURNING *), i AS (INSERT INTO loc SELECT * FROM d RETURNING *) SELECT d.k, i.v FROM d, i;
WITH d AS (DELETE FROM loc WHERE k = 6 RETURNING *), i AS (INSERT INTO ru SELECT * FROM d RETURNING *) UPDATE ru SET v = v + (SELECT count(*) FROM i) WHERE k < 3 RETURNING *;
WITH u AS (UPDATE ru SET v = 0 RETURNING k) INSERT INTO ru SELECT k + 100, 0 FROM u RETURNING k;
WITH u AS (UPDATE ru SET v = 1 WHERE k < 50) DELETE FROM ru WHERE k > 50 RETURNING k, v;
WITH u AS (UPDATE ru SET v = v + 5 RETURNING v) SELECT sum(u.v), (SELECT sum(v) FROM ru) FROM u;
SELECT sum(v) FROM ru;
WITH u AS (UPDATE ru SET v = v + 1 WHERE k = 1 RETURNING k), v AS (UPDATE loc SET v = -1 FROM u WHERE loc.k = u.k RETURNING loc.k) SELECT u.k, v.k FROM u LEFT JOIN v USING (k);
WITH RECURSIVE u AS (UPDATE ru SET v = v + 1 WHERE k < 4 RETURNING k), r(n) AS (SELECT k FROM u UNION ALL SELECT n + 10 FROM r WHERE n < 30) SELECT n FROM r ORDER BY n;
WITH u AS (UPDATE ru SET v = v + 1 RETURNING k, v) SELECT x.k FROM u x JOIN u y ON x.v = y.v AND x.k < y.k ORDER BY 1 LIMIT 3;
WITH u AS (DELETE FROM ru WHERE k = 5 RETURNING k) SELECT exists (SELECT FROM u), (SELECT count(*) FROM ru WHERE k = 5);
CREATE TABLE made AS WITH u AS (UPDATE ru SET v = v + 1 RETURNING k, v) SELECT * FROM u;
SELECT * FROM made ORDER BY k;
COPY (WITH u AS (UPDATE ru SET v = 7 WHERE k = 3 RETURNING k, v) SELECT * FROM u) TO STDOUT;
COPY (UPDATE ru SET v = same(8) WHERE k = 3 RETURNING k, v) TO STDOUT;
SELECT * FROM ru ORDER BY k;
-- an error undoes all of it
BEGIN;
SAVEPOINT a;
-- error
WITH u AS (UPDATE ru SET v = 1000 RETURNING k) SELECT 1 / (count(*) - count(*)) FROM u;
ROLLBACK TO a;
SELECT count(*) FROM ru WHERE v = 1000;
COMMIT;
DO $$
BEGIN
  BEGIN
    UPDATE ru SET v = same(2000);
    PERFORM 1 / (count(*) - count(*)) FROM ru;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  UPDATE ru SET v = same(v) + 1 WHERE k = 1;
END $$;
SELECT * FROM ru ORDER BY k;
-- a value that is too long for its column, in a write that reads as a SELECT
CREATE TABLE lens (k int, v varchar(5), c char(3), b bit(3), n numeric(4, 1));
SELECT create_distributed_table('lens', 'k', shard_count => 4);
INSERT INTO lens VALUES (1, 'a', 'b', B'101', 1), (2, 'a', 'b', B'101', 2);
-- error
UPDATE lens SET k = k + 1, v = repeat(v, 9);
-- error
UPDATE lens SET k = k + 1, c = repeat(v, 9);
UPDATE lens SET k = k + 1, c = c || '      ', v = v || '          ', n = n / 3 RETURNING *;
-- functions
CREATE FUNCTION sqlf(i int) RETURNS SETOF ru LANGUAGE sql AS 'UPDATE ru SET v = same(v) + 1 WHERE k = i RETURNING *';
SELECT * FROM sqlf(1);
SELECT sqlf(2);
CREATE FUNCTION strict_one(i int) RETURNS int LANGUAGE plpgsql AS 'DECLARE r int; BEGIN UPDATE ru SET v = same(v) WHERE k < i RETURNING v INTO STRICT r; RETURN r; END';
-- error
SELECT strict_one(0);
-- error
SELECT strict_one(4);
CREATE FUNCTION strict_sent(i int) RETURNS int LANGUAGE plpgsql AS 'DECLARE r int; BEGIN UPDATE ru SET v = v WHERE k < i RETURNING v INTO STRICT r; RETURN r; END';
-- error
SELECT strict_sent(0);
-- error
SELECT strict_sent(4);
SELECT strict_sent(2) IS NOT NULL;
SELECT strict_one(2) IS NOT NULL;
-- what a function writes meanwhile
CREATE FUNCTION writes(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO loc VALUES (i, -7); UPDATE ru SET v = 99 WHERE k = 103 AND i = 1; RETURN i; END';
UPDATE ru SET v = writes(k) WHERE k < 3;
SELECT * FROM ru ORDER BY k;
INSERT INTO ru VALUES (103, 1);
-- error
UPDATE ru SET v = writes(1) WHERE k = 103;
SELECT count(*) FROM loc WHERE v = -7;
