-- Statements by key that differ in their values share a plan: each of them comes several times,
-- and between them comes what changes what they mean.
DROP ROLE IF EXISTS diff_eve;
CREATE ROLE diff_eve;
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE t (k int PRIMARY KEY, v varchar(8), c char(4), n numeric(8,2) CHECK (n < 500), f float8, b bool, d date, at timestamptz, j jsonb, tags text[],
                mood colour, s small, twice int GENERATED ALWAYS AS (k * 2) STORED, note text DEFAULT 'none');
SELECT create_distributed_table('t', 'k');
INSERT INTO t (k, v, c, n, f, b, d, at, j, tags, mood, s)
 SELECT i, 'v' || i, 'c' || i % 7, i * 1.25, i / 3.0, i % 2 = 0, date '2026-01-01' + i, timestamptz '2026-01-01 00:00+00' + i * interval '1 h',
        jsonb_build_object('i', i), ARRAY['a' || i, NULL], (ARRAY['red', 'green', 'blue']::colour[])[i % 3 + 1], i % 9 FROM generate_series(1, 60) i;
-- constants of all kinds
SELECT * FROM t WHERE k = 1; SELECT * FROM t WHERE k = 2; SELECT * FROM t WHERE k = 99; SELECT * FROM t WHERE k = -2;
SELECT v FROM t WHERE 3 = k; SELECT v FROM t WHERE 4 = k;
SELECT v FROM t WHERE k = 5::bigint; SELECT v FROM t WHERE k = 6::bigint; SELECT v FROM t WHERE k = 60000000000;
SELECT v FROM t WHERE k = 7::smallint; SELECT v FROM t WHERE k = 8::smallint;
SELECT v FROM t WHERE k = 9.0; SELECT v FROM t WHERE k = 9.5; SELECT v FROM t WHERE k = 10.0;
SELECT v FROM t WHERE k = 11::float8; SELECT v FROM t WHERE k = 'NaN'::float8; SELECT v FROM t WHERE k = 12::float8;
SELECT v FROM t WHERE k = '13'; SELECT v FROM t WHERE k = '14';
-- error
SELECT v FROM t WHERE k = 'x';
SELECT v FROM t WHERE k = NULL; SELECT v FROM t WHERE k = NULL::int; SELECT v FROM t WHERE k = 15;
SELECT v FROM t WHERE k = 1 + 2; SELECT v FROM t WHERE k = 2 + 2; SELECT v FROM t WHERE k = - 5; SELECT v FROM t WHERE k = -(-5);
-- error
SELECT v FROM t WHERE k = 1 / 0;
-- error
SELECT v FROM t WHERE k = 5 AND n > 1 / 0;
-- error
SELECT v FROM t WHERE k = 6 AND n > 1 / 0;
-- error
SELECT v FROM t WHERE k = 60000000000::int;
SELECT v FROM t WHERE k = 3 AND k = 3; SELECT v FROM t WHERE k = 3 AND k = 4; SELECT count(*) FROM t WHERE k = 5 AND k = 6;
SELECT v FROM t WHERE k = 3 OR k = 4 ORDER BY k; SELECT v FROM t WHERE k = 5 OR k = 6 ORDER BY k;
SELECT v FROM t WHERE k = 3 AND false; SELECT v FROM t WHERE k = 3 AND true; SELECT v FROM t WHERE k = 3 AND NULL;
SELECT v FROM t WHERE k IN (3); SELECT v FROM t WHERE k IN (4); SELECT v FROM t WHERE k IN (4, 5) ORDER BY 1;
SELECT k FROM t WHERE k = 16 AND v = 'v16'; SELECT k FROM t WHERE k = 17 AND v = 'v16'; SELECT k FROM t WHERE k = 18 AND v = 'v18      ';
SELECT k FROM t WHERE k = 15 AND c = 'c1'; SELECT k FROM t WHERE k = 22 AND c = 'c1  '; SELECT k FROM t WHERE k = 22 AND c = 'c2';
SELECT k FROM t WHERE k = 20 AND n = 25; SELECT k FROM t WHERE k = 20 AND n = 25.00; SELECT k FROM t WHERE k = 21 AND n = 26.25;
SELECT k FROM t WHERE k = 20 AND f > 6.6666; SELECT k FROM t WHERE k = 20 AND f < 1e-3; SELECT k, f FROM t WHERE k = 21 AND f = 7;
SELECT k FROM t WHERE k = 20 AND b; SELECT k FROM t WHERE k = 21 AND b = true; SELECT k FROM t WHERE k = 22 AND b = false; SELECT k FROM t WHERE k = 22 AND b = 't';
SELECT k FROM t WHERE k = 20 AND d = '2026-01-21'; SELECT k FROM t WHERE k = 21 AND d > '2026-01-21'; SELECT k FROM t WHERE k = 21 AND d = 'infinity';
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German, DMY';
SELECT k, at, d FROM t WHERE k = 20 AND at = '01.01.2026 20:00+00'; SELECT k, at, d FROM t WHERE k = 21 AND at = '2.1.2026 06:00';
SET TimeZone = 'America/New_York'; SET DateStyle = 'ISO, MDY';
SELECT k, at, d FROM t WHERE k = 20 AND at = '1/1/2026 20:00+00'; SELECT k, at, d FROM t WHERE k = 21 AND at = '1/2/2026 06:00';
RESET TimeZone; RESET DateStyle;
SELECT k FROM t WHERE k = 20 AND j = '{"i": 20}'; SELECT k FROM t WHERE k = 21 AND j @> '{"i": 20}'; SELECT k FROM t WHERE k = 20 AND j @> '{"i": 20}';
SELECT k FROM t WHERE k = 20 AND j ->> 'i' = '20'; SELECT k FROM t WHERE k = 21 AND j ->> 'i' = '20'; SELECT j -> 'i' FROM t WHERE k = 21; SELECT j -> 'x' FROM t WHERE k = 22;
SELECT k FROM t WHERE k = 20 AND tags = '{a20,NULL}'; SELECT k FROM t WHERE k = 21 AND tags = '{a20,NULL}'; SELECT k FROM t WHERE k = 21 AND tags[1] = 'a21';
SELECT k FROM t WHERE k = 20 AND 'a20' = ANY (tags); SELECT k FROM t WHERE k = 21 AND 'a20' = ANY (tags);
SELECT k FROM t WHERE k = 20 AND mood = 'blue'; SELECT k FROM t WHERE k = 21 AND mood = 'red'; SELECT k FROM t WHERE k = 22 AND mood > 'red';
SELECT k FROM t WHERE k = 20 AND s = 2; SELECT k FROM t WHERE k = 21 AND s = 3; SELECT k FROM t WHERE k = 21 AND s = 5000;
SELECT k FROM t WHERE k = 20 AND v COLLATE "C" = 'v20'; SELECT k FROM t WHERE k = 21 AND v COLLATE "C" < 'v3'; SELECT k FROM t WHERE k = 21 AND v < 'v3' COLLATE "C";
SELECT k FROM t WHERE k = 20 AND v LIKE 'v2%'; SELECT k FROM t WHERE k = 20 AND v LIKE 'v3%'; SELECT k FROM t WHERE k = 20 AND v ~ '^v2'; SELECT k FROM t WHERE k = 31 AND v ~ '^v2';
SELECT k FROM t WHERE k = 20 AND at < now(); SELECT k FROM t WHERE k = 21 AND at > now() + interval '100 years'; SELECT k FROM t WHERE k = 21 AND extract(year FROM at) = 2026;
SELECT extract(month FROM d), date_trunc('month', at) = at FROM t WHERE k = 40; SELECT extract(day FROM d), date_trunc('day', at) = at FROM t WHERE k = 41;
SELECT extract(month FROM d), date_trunc('month', at) = at FROM t WHERE k = 42; SELECT v || '!' FROM t WHERE k = 1; SELECT v || '?' FROM t WHERE k = 2;
-- columns, aggregates, order, limits, locks
SELECT t.*, t.ctid IS NULL FROM t WHERE k = 23; SELECT t FROM t WHERE k = 24; SELECT t FROM t WHERE k = 25; SELECT k AS a, v AS b FROM t WHERE k = 23; SELECT k AS b, v AS a FROM t WHERE k = 24;
SELECT tableoid::regclass = 't'::regclass FROM t WHERE k = 23; SELECT tableoid::regclass = 't'::regclass FROM t WHERE k = 24;
SELECT count(*), max(n), sum(k) FILTER (WHERE b) FROM t WHERE k = 24; SELECT count(*), max(n), sum(k) FILTER (WHERE b) FROM t WHERE k = 25; SELECT count(*), max(n) FROM t WHERE k = 999;
SELECT k + 1, count(*) FROM t WHERE k = 24 GROUP BY k + 1; SELECT k + 2, count(*) FROM t WHERE k = 25 GROUP BY k + 2; SELECT k + 1, k + 1 + count(*) FROM t WHERE k = 25 GROUP BY k + 1;
SELECT v, 'one' FROM t WHERE k = 24 ORDER BY 2, 1; SELECT v, 'two' FROM t WHERE k = 25 ORDER BY 2, 1; SELECT v, 1 FROM t WHERE k = 25 ORDER BY 2; SELECT DISTINCT v FROM t WHERE k = 26;
SELECT v FROM t WHERE k = 24 LIMIT 0; SELECT v FROM t WHERE k = 24 LIMIT 1; SELECT v FROM t WHERE k = 25 LIMIT 1; SELECT v FROM t WHERE k = 25 LIMIT 1 OFFSET 1; SELECT v FROM t WHERE k = 25 LIMIT NULL;
SELECT v FROM t WHERE k = 24 FOR UPDATE; SELECT v FROM t WHERE k = 25 FOR UPDATE; SELECT v FROM t WHERE k = 24 FOR KEY SHARE SKIP LOCKED; SELECT v FROM ONLY t WHERE k = 24; SELECT v FROM ONLY t WHERE k = 25;
SELECT x.v FROM t x WHERE x.k = 24; SELECT y.v FROM t y WHERE y.k = 25; SELECT v FROM t x(a) WHERE a = 26; SELECT generate_series(1, 2) FROM t WHERE k = 27; SELECT v FROM t WHERE k = 28 AND random() >= 0;
SELECT v FROM t TABLESAMPLE SYSTEM (100) WHERE k = 24; SELECT v FROM t TABLESAMPLE SYSTEM (0) WHERE k = 25; SELECT NULL FROM t WHERE k = 24; SELECT NULL FROM t WHERE k = 25; SELECT FROM t WHERE k = 25;
-- writes
UPDATE t SET v = 'new' WHERE k = 30; UPDATE t SET v = 'newer' WHERE k = 31; UPDATE t SET v = 'newest' WHERE k = 930;
-- error
UPDATE t SET v = 'much too long' WHERE k = 32;
-- error
UPDATE t SET v = 'much too long' WHERE k = 932;
UPDATE t SET v = 'blanks     ' WHERE k = 32; UPDATE t SET v = 'blanks    ' WHERE k = 33; UPDATE t SET c = 'ab' WHERE k = 33; UPDATE t SET c = 'ab    ' WHERE k = 34;
UPDATE t SET n = n + 1 WHERE k = 30 RETURNING n; UPDATE t SET n = n + 2 WHERE k = 31 RETURNING n, twice; UPDATE t SET n = 1.239 WHERE k = 32 RETURNING *; UPDATE t SET n = 1.231 WHERE k = 33 RETURNING n AS m;
-- error
UPDATE t SET n = 1 / 0 WHERE k = 32;
-- error
UPDATE t SET n = 10000000 WHERE k = 33;
UPDATE t SET k = 35, v = 'same' WHERE k = 35; UPDATE t SET k = 36, v = 'same' WHERE k = 36; UPDATE t SET k = 1037 WHERE k = 37; UPDATE t SET k = 1038 WHERE k = 38; UPDATE t SET k = k WHERE k = 39;
UPDATE t SET b = true, d = '2027-01-01', at = '2027-01-01 00:00+00', j = '[1]', tags = '{x}', f = 0.1 WHERE k = 40; UPDATE t SET b = false, d = '2028-01-01', at = '2028-01-01 00:00+00', j = '[2]', tags = NULL, f = 0.3 WHERE k = 41;
UPDATE t SET note = DEFAULT WHERE k = 40; UPDATE t SET note = DEFAULT, twice = DEFAULT WHERE k = 41; UPDATE t SET note = NULL WHERE k = 42; UPDATE t SET mood = 'red' WHERE k = 42; UPDATE t SET mood = 'blue' WHERE k = 43;
-- error
UPDATE t SET s = 1000 WHERE k = 42;
UPDATE t SET s = 999 WHERE k = 42; UPDATE t SET s = s + 1 WHERE k = 43; UPDATE t SET tags[2] = 'b' WHERE k = 43; UPDATE t SET (v, n) = ('r', 5) WHERE k = 44; UPDATE t SET (v, n) = ('s', 6) WHERE k = 45;
DELETE FROM t WHERE k = 46; DELETE FROM t WHERE k = 47 RETURNING *; DELETE FROM t WHERE k = 48 RETURNING k, v; DELETE FROM t WHERE k = 946; DELETE FROM t WHERE k = 49 AND v = 'v48'; DELETE FROM t WHERE k = 50 AND v = 'v50';
INSERT INTO t (k, v) VALUES (101, 'a'); INSERT INTO t (k, v) VALUES (102, 'b'); INSERT INTO t (k, v, c, n) VALUES (103, 'c', 'd', 1.239) RETURNING *; INSERT INTO t (k, v, c, n) VALUES (104, 'cc    ', 'dd', 7) RETURNING *;
-- error
INSERT INTO t (k, v) VALUES (102, 'b');
-- error
INSERT INTO t (k, v) VALUES (NULL, 'b');
-- error
INSERT INTO t (k, v) VALUES (105, 'much too long');
-- error
INSERT INTO t (k, s) VALUES (105, 1000);
-- error
INSERT INTO t (k, v) VALUES (1 / 0, 'x');
INSERT INTO t (k, s, mood, note) VALUES (105, 1, 'red', DEFAULT); INSERT INTO t (k, s, mood, note) VALUES (106, 2, 'blue', 'x'); INSERT INTO t (k) VALUES (107); INSERT INTO t (k) VALUES (108) RETURNING note, twice;
INSERT INTO t (k, v) VALUES (109, 'x'), (110, 'y'); INSERT INTO t (k, v) VALUES (111, 'x'), (112, 'y'); INSERT INTO t (k, v) VALUES (60 + 53, 'sum'); INSERT INTO t (k, v) VALUES (60 + 54, lower('SUM')); INSERT INTO t (k, v) VALUES ('115', 7);
INSERT INTO t (k, v) VALUES (101, 'z') ON CONFLICT (k) DO UPDATE SET v = excluded.v; INSERT INTO t (k, v) VALUES (102, 'zz') ON CONFLICT (k) DO UPDATE SET v = excluded.v; INSERT INTO t (k, v) VALUES (102, 'no') ON CONFLICT DO NOTHING;
INSERT INTO t (k, n) VALUES (116, (SELECT max(n) FROM t)); INSERT INTO t (k, v) SELECT 117, 'sel'; INSERT INTO t (k, v) SELECT 118, 'sel'; SELECT * FROM t ORDER BY k;
-- the table changes in between
SELECT * FROM t WHERE k = 1;
ALTER TABLE t ADD COLUMN added int DEFAULT 4;
SELECT * FROM t WHERE k = 2; UPDATE t SET added = 5 WHERE k = 2; UPDATE t SET added = 6 WHERE k = 3; SELECT added FROM t WHERE k = 2; SELECT added FROM t WHERE k = 3;
ALTER TABLE t DROP COLUMN added;
SELECT * FROM t WHERE k = 2; SELECT * FROM t WHERE k = 3;
-- error
SELECT added FROM t WHERE k = 2;
-- error
UPDATE t SET n = 600 WHERE k = 2;
-- error
INSERT INTO t (k, n) VALUES (120, 600);
ALTER TABLE t ALTER COLUMN note SET DEFAULT 'other';
INSERT INTO t (k) VALUES (121) RETURNING note; INSERT INTO t (k) VALUES (122) RETURNING note; UPDATE t SET note = DEFAULT WHERE k = 2 RETURNING note; UPDATE t SET note = DEFAULT WHERE k = 3 RETURNING note;
BEGIN;
ALTER TABLE t ADD COLUMN added int DEFAULT 4;
SELECT * FROM t WHERE k = 2; SELECT * FROM t WHERE k = 3;
ROLLBACK;
SELECT * FROM t WHERE k = 2; SELECT * FROM t WHERE k = 3;
-- another table of that name
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.t (k int PRIMARY KEY, v varchar(8)); SELECT create_distributed_table('elsewhere.t', 'k');
INSERT INTO elsewhere.t VALUES (1, 'else1'), (2, 'else2');
SELECT v FROM t WHERE k = 1; SELECT v FROM t WHERE k = 2;
SELECT set_config('search_path', 'elsewhere,' || current_setting('search_path'), false) IS NULL;
SELECT v FROM t WHERE k = 1; SELECT v FROM t WHERE k = 2; UPDATE t SET v = 'e' WHERE k = 1; UPDATE t SET v = 'f' WHERE k = 2; SELECT v FROM t WHERE k = 1;
CREATE FUNCTION elsewhere.length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 77';
SELECT length(v) FROM t WHERE k = 1; SELECT length(v) FROM t WHERE k = 2;
CREATE OR REPLACE FUNCTION elsewhere.length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 78';
SELECT length(v) FROM t WHERE k = 1; SELECT length(v) FROM t WHERE k = 2;
RESET search_path;
DROP SCHEMA elsewhere CASCADE;
SET search_path = t_shared_plans, public;
SELECT v FROM t WHERE k = 1; SELECT length(v) FROM t WHERE k = 2;
-- who may see it
GRANT USAGE ON SCHEMA t_shared_plans TO diff_eve; GRANT SELECT (k, v), UPDATE (v) ON t TO diff_eve;
SET ROLE diff_eve;
SELECT v FROM t WHERE k = 1; SELECT v FROM t WHERE k = 2; UPDATE t SET v = 'eve' WHERE k = 1; UPDATE t SET v = 'eve' WHERE k = 2;
-- error
SELECT n FROM t WHERE k = 1;
-- error
UPDATE t SET n = 1 WHERE k = 1;
-- error
DELETE FROM t WHERE k = 1;
-- error
INSERT INTO t (k, v) VALUES (130, 'a');
RESET ROLE; SELECT n FROM t WHERE k = 1; SELECT n FROM t WHERE k = 2; SET ROLE diff_eve;
-- error
SELECT n FROM t WHERE k = 3;
RESET ROLE; REVOKE SELECT ON t FROM diff_eve; REVOKE SELECT (k, v) ON t FROM diff_eve; SET ROLE diff_eve;
-- error
SELECT v FROM t WHERE k = 3;
RESET ROLE; GRANT SELECT ON t TO diff_eve;
ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY odd ON t USING (k % 2 = 1);
SELECT v FROM t WHERE k = 1; SELECT v FROM t WHERE k = 2; SET ROLE diff_eve;
SELECT v FROM t WHERE k = 1; SELECT v FROM t WHERE k = 2; SELECT v FROM t WHERE k = 3; SELECT v FROM t WHERE k = 4; UPDATE t SET v = 'pol' WHERE k = 3; UPDATE t SET v = 'pol' WHERE k = 4;
RESET ROLE; SELECT v FROM t WHERE k = 3; SELECT v FROM t WHERE k = 4; ALTER TABLE t DISABLE ROW LEVEL SECURITY; SET ROLE diff_eve; SELECT v FROM t WHERE k = 4; SELECT v FROM t WHERE k = 5; RESET ROLE;
CREATE VIEW seen AS SELECT k, v FROM t WHERE k < 50; SELECT v FROM seen WHERE k = 3; SELECT v FROM seen WHERE k = 4; SELECT v FROM seen WHERE k = 60; UPDATE seen SET v = 'view' WHERE k = 5; UPDATE seen SET v = 'view' WHERE k = 60;
-- triggers come and go
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;
UPDATE t SET v = 'low' WHERE k = 10; UPDATE t SET v = 'low' WHERE k = 11;
CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout();
UPDATE t SET v = 'low' WHERE k = 12; UPDATE t SET v = 'low' WHERE k = 13; INSERT INTO t (k, v) VALUES (140, 'low'); INSERT INTO t (k, v) VALUES (141, 'low');
ALTER TABLE t DISABLE TRIGGER loud;
UPDATE t SET v = 'low' WHERE k = 14; UPDATE t SET v = 'low' WHERE k = 15; INSERT INTO t (k, v) VALUES (142, 'low'); INSERT INTO t (k, v) VALUES (143, 'low');
DROP TRIGGER loud ON t;
SELECT * FROM t ORDER BY k;
-- parameters, functions, cursors
SELECT v FROM t WHERE k = {{1|int}}; SELECT v FROM t WHERE k = {{2|int}}; SELECT v FROM t WHERE k = {{3|bigint}}; SELECT v FROM t WHERE k = {{4|bigint}} AND v = {{v4|text}}; SELECT v FROM t WHERE k = {{5|int}} AND n > {{1.5|numeric}};
UPDATE t SET v = {{par|text}}, d = {{2026-05-05|date}} WHERE k = {{6|int}}; UPDATE t SET v = {{pbr|text}}, d = {{2026-05-06|date}} WHERE k = {{7|int}}; INSERT INTO t (k, v) VALUES ({{150|int}}, {{ins|text}}); INSERT INTO t (k, v) VALUES ({{151|int}}, {{inz|text}});
PREPARE p(int) AS SELECT v FROM t WHERE k = $1; EXECUTE p(1); EXECUTE p(2); EXECUTE p(3); EXECUTE p(4); EXECUTE p(5); EXECUTE p(6); EXECUTE p(7); EXECUTE p(NULL);
PREPARE q(bigint, text) AS UPDATE t SET v = $2 WHERE k = $1; EXECUTE q(1, 'q1'); EXECUTE q(2, 'q2'); EXECUTE q(3, NULL); EXECUTE q(4, 'q4'); EXECUTE q(5, 'q5'); EXECUTE q(6, 'q6'); EXECUTE q(7, 'q7'); EXECUTE q(NULL, 'no');
CREATE FUNCTION look(want int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN SELECT v INTO r FROM t WHERE k = want; RETURN r; END $$;
CREATE FUNCTION look_now(want int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT v FROM t WHERE k = ' || want INTO r; RETURN r; END $$;
CREATE FUNCTION put_now(want int, what text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE format('UPDATE t SET v = %L WHERE k = %s RETURNING v', what, want) INTO r; RETURN r; END $$;
CREATE FUNCTION look_sql(int) RETURNS text LANGUAGE sql AS 'SELECT v FROM t WHERE k = $1';
SELECT look(i), look_now(i), look_sql(i) FROM generate_series(1, 9) i; SELECT put_now(i, 'put' || i) FROM generate_series(10, 14) i; SELECT look(i) FROM generate_series(10, 14) i;
BEGIN; DECLARE c CURSOR FOR SELECT v FROM t WHERE k = 1; DECLARE d SCROLL CURSOR WITH HOLD FOR SELECT v FROM t WHERE k = 2; FETCH c; UPDATE t SET v = 'cur' WHERE k = 2; COMMIT; FETCH d; CLOSE d;
CREATE TABLE made AS SELECT v FROM t WHERE k = 1; INSERT INTO made SELECT v FROM t WHERE k = 2; SELECT * FROM made ORDER BY 1;
BEGIN; UPDATE t SET v = 'tx1' WHERE k = 20; SELECT v FROM t WHERE k = 20; SAVEPOINT a; UPDATE t SET v = 'tx2' WHERE k = 20; SELECT v FROM t WHERE k = 20; ROLLBACK TO a; SELECT v FROM t WHERE k = 20; UPDATE t SET v = 'tx3' WHERE k = 21; COMMIT;
BEGIN READ ONLY; SELECT v FROM t WHERE k = 20;
-- error
UPDATE t SET v = 'ro' WHERE k = 20;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE k = 20; SELECT v FROM t WHERE k = 21; UPDATE t SET v = 'rr' WHERE k = 21; COMMIT; SELECT v FROM t WHERE k = 21;
-- keys of other types
CREATE TABLE kt (k text PRIMARY KEY, v int); SELECT create_distributed_table('kt', 'k');
INSERT INTO kt VALUES ('a', 1); INSERT INTO kt VALUES ('b', 2); INSERT INTO kt VALUES ('it''s', 3); INSERT INTO kt VALUES (E'back\\slash', 4); INSERT INTO kt VALUES ('', 5);
SELECT v FROM kt WHERE k = 'a'; SELECT v FROM kt WHERE k = 'b '; SELECT v FROM kt WHERE k = 'it''s'; SELECT v FROM kt WHERE k = E'back\\slash'; SELECT v FROM kt WHERE k = ''; SELECT v FROM kt WHERE k = 'a' COLLATE "C"; SELECT v FROM kt WHERE k = 'b'::varchar; SELECT v FROM kt WHERE k = 'a'::name; SELECT v FROM kt WHERE k = 'b'::char(3);
CREATE TABLE kc (k char(3), v int); SELECT create_distributed_table('kc', 'k'); INSERT INTO kc VALUES ('a', 1); INSERT INTO kc VALUES ('b  ', 2);
SELECT v FROM kc WHERE k = 'a'; SELECT v FROM kc WHERE k = 'b '; SELECT v FROM kc WHERE k = 'a'::text; SELECT v FROM kc WHERE k = 'b  '::text; SELECT v FROM kc WHERE k = 'b'::varchar;
CREATE TABLE kd (k small, v int); SELECT create_distributed_table('kd', 'k'); INSERT INTO kd VALUES (1, 1); INSERT INTO kd VALUES (2, 2); SELECT v FROM kd WHERE k = 1; SELECT v FROM kd WHERE k = 2; SELECT v FROM kd WHERE k = 2::small;
CREATE TABLE ki (k interval, v int); SELECT create_distributed_table('ki', 'k'); INSERT INTO ki VALUES ('1 day', 1); INSERT INTO ki VALUES ('24 h', 2); SELECT count(*) FROM ki WHERE k = '1 day'; SELECT count(*) FROM ki WHERE k = '24:00'; SELECT v FROM ki WHERE k = '1 mon';
CREATE TABLE kn (k numeric, v int); SELECT create_distributed_table('kn', 'k'); INSERT INTO kn VALUES (1, 1); INSERT INTO kn VALUES (1.0, 2); INSERT INTO kn VALUES (1e2, 3); SELECT count(*) FROM kn WHERE k = 1; SELECT count(*) FROM kn WHERE k = 1.00; SELECT v FROM kn WHERE k = 100::int; SELECT v FROM kn WHERE k = 'NaN';
CREATE TABLE kf (k float8, v int); SELECT create_distributed_table('kf', 'k'); INSERT INTO kf VALUES (0.1, 1); INSERT INTO kf VALUES (-0.0, 2); INSERT INTO kf VALUES ('NaN', 3); SELECT v FROM kf WHERE k = 0.1; SELECT v FROM kf WHERE k = 0; SELECT v FROM kf WHERE k = 'NaN'; SELECT v FROM kf WHERE k = 0.1::float4;
CREATE TABLE ku (k uuid, v int); SELECT create_distributed_table('ku', 'k'); INSERT INTO ku VALUES ('c4ca4238-a0b9-2382-0dcc-509a6f75849b', 1); SELECT v FROM ku WHERE k = 'c4ca4238-a0b9-2382-0dcc-509a6f75849b'; SELECT v FROM ku WHERE k = 'C4CA4238A0B923820DCC509A6F75849B'; SELECT v FROM ku WHERE k = '00000000-0000-0000-0000-000000000000';
