-- UPDATE and DELETE that are done row by row: volatile functions, what cannot be sent, moves.
CREATE TABLE t (gone int, id int, k int, v int, n numeric, a int[], note text, j jsonb, PRIMARY KEY (k, id));
ALTER TABLE t DROP COLUMN gone;
CREATE TABLE u (id int PRIMARY KEY, k int, w int, note text);
CREATE TABLE nokey (k int, v int, note text);
CREATE TABLE loc (id int, k int, w int);
CREATE TABLE ref (id int PRIMARY KEY, w int);
SELECT create_distributed_table('t', 'k', shard_count => 8);
SELECT create_distributed_table('u', 'id', shard_count => 4);
SELECT create_distributed_table('nokey', 'k', shard_count => 4);
SELECT create_reference_table('ref');
INSERT INTO t SELECT i, i % 20, i, i / 4.0, ARRAY[i, i + 1, i + 2], 'n' || i, jsonb_build_object('a', i) FROM generate_series(1, 100) i;
INSERT INTO u SELECT i, i % 7, i * 10, 'u' || i FROM generate_series(1, 50) i;
INSERT INTO nokey SELECT i % 5, i % 3, 'x' FROM generate_series(1, 30) i;
INSERT INTO loc SELECT i, i % 10, i FROM generate_series(1, 30) i;
INSERT INTO ref SELECT i, i * 100 FROM generate_series(1, 20) i;
CREATE SEQUENCE s;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
CREATE FUNCTION is_odd(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 2 = 1; END';
-- volatile
UPDATE t SET v = twice(v) WHERE k = 3;
SELECT * FROM t WHERE k = 3 ORDER BY id;
UPDATE t SET v = twice(v), note = note || '!' WHERE id > 90 RETURNING *;
UPDATE t SET n = n + (random() * 0)::int WHERE id % 10 = 0 RETURNING id, k, n;
UPDATE t SET v = nextval('s') WHERE id BETWEEN 11 AND 14;
SELECT count(DISTINCT v), min(v), max(v) FROM t WHERE id BETWEEN 11 AND 14;
UPDATE t SET v = 1 WHERE random() < 0;
UPDATE t SET v = 1 WHERE twice(id) = 8 RETURNING id, v;
DELETE FROM t WHERE twice(id) = 10 RETURNING id, k, note;
DELETE FROM t WHERE is_odd(id) AND id < 10 RETURNING *;
SELECT count(*), sum(v), sum(n) FROM t;
-- whole rows and other columns
UPDATE t SET v = twice(v) WHERE id = 20 RETURNING t;
UPDATE t SET v = twice(v) WHERE id = 20 RETURNING t.*, t, t.v + 1 AS w, tableoid::regclass;
DELETE FROM t WHERE twice(id) = 44 RETURNING t, tableoid::regclass;
-- tables on other columns
UPDATE t SET v = u.w FROM u WHERE u.k = t.k RETURNING t.id, t.k;
UPDATE t SET v = u.w + twice(1), note = u.note FROM u WHERE u.id = t.id AND u.w < 300 RETURNING t.id, t.v, u.note, u.w;
UPDATE t SET v = u.w FROM u WHERE u.id = t.id AND u.w < twice(150) RETURNING t.id, t.v, u, u.w;
DELETE FROM t USING u WHERE u.id = t.id AND twice(u.w) > 900 RETURNING t.id, u.id;
UPDATE t SET v = loc.w FROM loc WHERE loc.id = t.id AND twice(loc.w) > 40 RETURNING t.id, t.v, loc;
UPDATE t SET v = ref.w FROM ref LEFT JOIN loc ON loc.id = ref.id WHERE ref.id = t.id AND twice(ref.w) > 40 RETURNING t.id, t.v, ref.w, loc.k;
UPDATE t SET v = (SELECT max(u.w) FROM u WHERE u.k = t.v % 7) WHERE t.k < 5 RETURNING id, v;
UPDATE t SET v = (SELECT count(*) FROM loc WHERE loc.k = t.k) WHERE t.k < 9 RETURNING id, v;
DELETE FROM t WHERE (SELECT count(*) FROM loc WHERE loc.k = t.v) > 5 RETURNING id, v;
UPDATE t SET v = v + 1 WHERE (k, id) IN (SELECT k, id FROM t ORDER BY id LIMIT 5) RETURNING id, v;
UPDATE t SET v = 7 FROM t AS o WHERE o.id = t.id + 1 AND o.k = t.k + 1 AND twice(o.id) > 150 RETURNING t.id, o.id;
-- assignments
UPDATE t SET (v, note) = (SELECT u.w, u.note FROM u WHERE u.id = t.id) WHERE t.id IN (24, 25, 48, 60) RETURNING id, v, note;
UPDATE t SET (v, note) = (SELECT 5, 'five') WHERE id = 24 RETURNING id, v, note;
UPDATE t SET (v, note) = ROW (6, 'six') WHERE id = 24 RETURNING id, v, note;
UPDATE t SET a[1] = 0 WHERE id = 25 RETURNING a;
UPDATE t SET a[1] = twice(8), a[3] = 5 WHERE id = 25 RETURNING a;
UPDATE t SET a[1:2] = ARRAY[v, v] WHERE id IN (25, 26) RETURNING id, a;
UPDATE t SET j['b'] = '{"c": 1}' WHERE id = 26 RETURNING j;
UPDATE t SET j['b']['c'] = '2', note = DEFAULT WHERE id = 26 RETURNING j, note;
-- moves
UPDATE t SET k = k + 1 WHERE id = 30 RETURNING id, k;
UPDATE t SET k = k + 100 WHERE id BETWEEN 30 AND 40 RETURNING *;
SELECT count(*), sum(k), count(DISTINCT (k, id)) FROM t;
SELECT id, k FROM t WHERE k > 100 ORDER BY id;
SELECT id, k FROM t WHERE k = 112;
UPDATE t SET k = u.w FROM u WHERE u.id = t.id AND t.id BETWEEN 40 AND 49 RETURNING t.id, t.k, u.w;
UPDATE t SET k = twice(k), id = id + 1000 WHERE id BETWEEN 50 AND 60 RETURNING id, k;
UPDATE nokey SET k = NULL WHERE k = 1 AND v = 1 RETURNING *;
SELECT * FROM nokey WHERE k IS NULL;
UPDATE nokey SET k = 2 WHERE k IS NULL RETURNING *;
SELECT k, v, count(*) FROM nokey GROUP BY 1, 2 ORDER BY 1, 2;
-- error
UPDATE t SET k = NULL WHERE id = 70;
-- error
UPDATE t SET k = 1, id = 1 WHERE id > 70;
SELECT count(*), sum(k), sum(v) FROM t;
-- tables without a key
UPDATE nokey SET v = twice(v) + 1 WHERE k = 2 RETURNING *;
DELETE FROM nokey WHERE twice(k) = 8 RETURNING *;
SELECT k, v, count(*) FROM nokey GROUP BY 1, 2 ORDER BY 1, 2;
-- in WITH
WITH d AS (DELETE FROM t WHERE id = 61 RETURNING *) SELECT * FROM d;
WITH d AS (UPDATE t SET v = -1 WHERE id = 62 RETURNING id, v) SELECT d.*, t.v AS before FROM d JOIN t USING (id);
WITH d AS (DELETE FROM t WHERE id = 63) SELECT count(*) FROM t WHERE id = 63;
SELECT count(*) FROM t WHERE id = 63;
WITH d AS (DELETE FROM t WHERE id = 64 RETURNING id, k) INSERT INTO loc SELECT id, k, -64 FROM d RETURNING *;
WITH d AS (DELETE FROM t WHERE id = 65 RETURNING *) INSERT INTO t (id, k, v, note) SELECT id, k + 1, 65, 'moved' FROM d RETURNING id, k, v, note;
WITH a AS (UPDATE t SET v = v + 1 WHERE id = 66 RETURNING id), b AS (UPDATE u SET w = 0 WHERE id = 6 RETURNING id) SELECT * FROM a, b;
WITH a AS (UPDATE t SET v = 1 WHERE id = 67 RETURNING id, v) UPDATE u SET w = a.v FROM a WHERE u.id = a.id - 60 RETURNING u.id, u.w;
WITH a AS (UPDATE t SET v = 1 WHERE id = 68 RETURNING id, v), b AS (DELETE FROM u WHERE id IN (SELECT id - 60 FROM a) RETURNING *) SELECT * FROM b;
WITH a AS (SELECT id FROM u WHERE k = 3) UPDATE t SET note = 'a' FROM a WHERE a.id = t.id RETURNING t.id, (SELECT count(*) FROM a);
WITH a AS (DELETE FROM loc WHERE id < 5 RETURNING id) UPDATE t SET note = 'l' FROM a WHERE a.id = t.id RETURNING t.id;
WITH a AS (UPDATE t SET v = twice(v) WHERE id IN (69, 70) RETURNING id, v) DELETE FROM loc USING a WHERE loc.id = a.id - 60 RETURNING loc.id, a.v;
SELECT * FROM t ORDER BY id;
SELECT * FROM u ORDER BY id;
SELECT * FROM loc ORDER BY id, w;
-- prepared, and in functions
PREPARE p (int, text) AS UPDATE t SET note = $2 || twice(v)::text WHERE id = $1 RETURNING id, note;
EXECUTE p(71, 'a');
EXECUTE p(72, 'b');
EXECUTE p(73, 'c');
EXECUTE p(74, 'd');
EXECUTE p(75, 'e');
EXECUTE p(76, 'f');
EXECUTE p(77, 'g');
CREATE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r int; n int; s int := 0; x record;
BEGIN
  UPDATE t SET v = twice(id) WHERE id = i RETURNING v INTO r;
  DELETE FROM t WHERE twice(id) = 2 * i + 2;
  GET DIAGNOSTICS n = ROW_COUNT;
  FOR x IN UPDATE t SET k = k + 1 WHERE id BETWEEN i + 2 AND i + 4 RETURNING id, k LOOP s := s + x.k; END LOOP;
  RETURN r * 1000 + n * 100 + s;
END $$;
SELECT f(80);
SELECT id, k, v FROM t WHERE id BETWEEN 80 AND 85 ORDER BY id;
BEGIN;
UPDATE t SET v = twice(v) WHERE id = 90;
SAVEPOINT a;
UPDATE t SET k = k + 1 WHERE id IN (90, 91) RETURNING id, k, v;
ROLLBACK TO a;
UPDATE t SET k = k + 2 WHERE id IN (90, 91) RETURNING id, k, v;
DELETE FROM t WHERE twice(id) = 180 RETURNING id, v;
SELECT id, k, v FROM t WHERE id IN (90, 91);
COMMIT;
SELECT id, k, v FROM t WHERE id IN (90, 91);
