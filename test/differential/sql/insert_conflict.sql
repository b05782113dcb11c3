-- INSERT ... ON CONFLICT: every form that the shards do by themselves.
CREATE TABLE t (gone int, k int, id int, v text, n numeric DEFAULT 1.5, g int GENERATED ALWAYS AS (k * 2) STORED, a int[] DEFAULT '{1,2,3}', PRIMARY KEY (k, id), CONSTRAINT u_n UNIQUE (k, n));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
ALTER TABLE t ADD COLUMN late text DEFAULT 'late';
CREATE TABLE r (id int PRIMARY KEY, name text);
SELECT create_reference_table('r');
INSERT INTO r VALUES (1, 'one'), (2, 'two'), (3, 'three');
CREATE TABLE o (x int, y int);
SELECT create_distributed_table('o', 'y', shard_count => 4);
INSERT INTO o SELECT i % 4, i FROM generate_series(1, 20) i;
CREATE TABLE l (a int, b text);
INSERT INTO l VALUES (1, 'l1'), (2, 'l2');
-- one row
INSERT INTO t (k, id, v) VALUES (1, 1, 'a') ON CONFLICT DO NOTHING;
INSERT INTO t (k, id, v) VALUES (1, 1, 'b') ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO t (k, id, v, n) VALUES (1, 2, 'b', 2) ON CONFLICT DO NOTHING RETURNING *, t, tableoid::regclass;
INSERT INTO t (k, id, v, n) VALUES (1, 9, 'b', 2.00) ON CONFLICT (k, n) DO NOTHING RETURNING 1;
-- error
INSERT INTO t (k, id, v, n) VALUES (1, 9, 'b', 2.00) ON CONFLICT (k, id) DO NOTHING;
-- error
INSERT INTO t (k, id, v, n) VALUES (1, 9, 'b', 2.00) ON CONFLICT (k) DO NOTHING;
-- error
INSERT INTO t (k, id, v, n) VALUES (1, 9, 'b', 2.00) ON CONFLICT (v) DO UPDATE SET v = 'x';
-- error
INSERT INTO t (k, id) VALUES (NULL, 9) ON CONFLICT DO NOTHING;
-- error
INSERT INTO t (k, id) VALUES (1, 9) ON CONFLICT ON CONSTRAINT nope DO NOTHING;
INSERT INTO t (k, id, v) VALUES (1, 1, 'c') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || '/' || t.v RETURNING k, id, v, n, g;
INSERT INTO t (k, id, v) VALUES (1, 1, 'd') ON CONFLICT (id, k) DO UPDATE SET v = EXCLUDED.v, n = t.n + EXCLUDED.n, k = EXCLUDED.k, id = EXCLUDED.id WHERE t.v LIKE 'c%' RETURNING t;
INSERT INTO t (k, id, v) VALUES (1, 1, 'e') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v WHERE t.v LIKE 'c%' RETURNING *;
INSERT INTO t AS x (k, id, v) VALUES (1, 1, 'f') ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET (v, n) = (x.v || EXCLUDED.v, 7) RETURNING x.v, x.n, (SELECT count(*) FROM r WHERE r.id = x.id);
INSERT INTO t (k, id, v) VALUES (1, 1, 'g') ON CONFLICT (k, id) DO UPDATE SET v = DEFAULT, a[2] = EXCLUDED.id + 40, late = NULL RETURNING *;
INSERT INTO t (k, id, v) VALUES (1, 1, 'h') ON CONFLICT (k, id) DO UPDATE SET v = (SELECT name FROM r WHERE r.id = EXCLUDED.id), n = (SELECT count(*) FROM o) RETURNING v, n;
INSERT INTO t (k, id, v) VALUES (1, 1, 'i') ON CONFLICT (k, id) DO UPDATE SET v = (SELECT max(b) FROM l), n = (SELECT count(*) + 300 FROM t WHERE k = 1) RETURNING v, n;
INSERT INTO t (k, id, v) VALUES (1, 1, 'j') ON CONFLICT (k, id) DO UPDATE SET (v, n) = (SELECT b, a + 500 FROM l WHERE a = 2) WHERE EXISTS (SELECT FROM o WHERE x = 3) RETURNING v, n;
INSERT INTO t (k, id, v) VALUES (1, 1, 'k') ON CONFLICT (k, id) DO UPDATE SET (v, late) = (SELECT name, 'ref' FROM r WHERE r.id = t.k) RETURNING v, late;
INSERT INTO t (k, id, v, n) VALUES ((SELECT 1), (SELECT max(id) FROM t), 'sub', (SELECT 50)) ON CONFLICT (k, id) DO UPDATE SET n = EXCLUDED.n RETURNING *;
INSERT INTO t (k, id, n) VALUES (1, 77, 502) ON CONFLICT (k, n) DO UPDATE SET id = t.id + 100 RETURNING *;
INSERT INTO t (k, id, n) VALUES (1, 5, 60) ON CONFLICT (k, id) DO NOTHING RETURNING *;
INSERT INTO t (k, id, n) VALUES (1, 6, 60), (1, 78, 502) ON CONFLICT (k, n) DO UPDATE SET id = t.id + 100, v = 'moved' RETURNING *;
SELECT k, id, v, n, g, a, late FROM t ORDER BY k, id;
-- several rows
INSERT INTO t (k, id, v, n) VALUES (2, 1, 'a', 1), (3, 1, 'b', 1), (4, 1, DEFAULT, DEFAULT), (2, 1, 'again', 1) ON CONFLICT DO NOTHING RETURNING k, id, v, n;
INSERT INTO t (k, id, v, n) VALUES (2, 1, 'c', 1), (5, 1, 'new', 1), (3, 1, 'd', 1) ON CONFLICT (k, id) DO UPDATE SET v = t.v || EXCLUDED.v WHERE t.k <> 3 RETURNING k, id, v;
-- error
INSERT INTO t (k, id, v, n) VALUES (6, 1, 'c', 1), (7, 1, 'x', 1), (6, 1, 'd', 2) ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO t (k, id, v, n) SELECT 6, i % 300, 'x', i FROM generate_series(1, 301) i ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v;
SELECT count(*) FROM t WHERE k IN (6, 7);
INSERT INTO t (k, id, v, n) SELECT i % 7, i, 's' || i, i + 1000 FROM generate_series(1, 60) i ON CONFLICT (k, id) DO UPDATE SET v = 'upd' RETURNING k, id, v;
INSERT INTO t (k, id, v, n) SELECT i % 7, i, 's' || i, i + 2000 FROM generate_series(40, 80) i ON CONFLICT (k, id) DO UPDATE SET v = 'upd', n = EXCLUDED.n WHERE t.id % 2 = 0;
INSERT INTO t (k, id, n) SELECT x, y, 5000 + y FROM o ON CONFLICT (k, id) DO UPDATE SET n = t.n + EXCLUDED.n RETURNING k, id, n;
INSERT INTO t (k, id, n) SELECT k, id + 1, n + 9000 FROM t ON CONFLICT DO NOTHING;
INSERT INTO t (k, id, n) SELECT k, id, n FROM t ON CONFLICT (k, id) DO UPDATE SET v = 'self', n = EXCLUDED.n;
INSERT INTO t (k, id) SELECT a, a FROM l ON CONFLICT (k, id) DO UPDATE SET v = 'from l', a = t.a || EXCLUDED.id RETURNING k, id, v, a;
WITH w AS (SELECT x, max(y) AS y FROM o GROUP BY x) INSERT INTO t (k, id, v) SELECT x, y, 'with' FROM w ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING k, id, v;
INSERT INTO t (k, id) SELECT 1, 1 WHERE false ON CONFLICT (k, id) DO UPDATE SET v = 'none' RETURNING *;
SELECT k, id, v, n, g FROM t ORDER BY k, id;
-- index expressions and predicates, NULLs, tables without a key
CREATE TABLE e (k text, s text, active bool, q int);
SELECT create_distributed_table('e', 'k');
CREATE UNIQUE INDEX e_lower ON e (k, lower(s));
CREATE UNIQUE INDEX e_part ON e (k, q) WHERE active;
INSERT INTO e VALUES ('a', 'Bob', true, 1) ON CONFLICT (k, lower(s)) DO UPDATE SET s = EXCLUDED.s RETURNING *;
INSERT INTO e VALUES ('a', 'BOB', true, 2) ON CONFLICT (k, lower(s)) DO UPDATE SET s = EXCLUDED.s RETURNING *;
INSERT INTO e VALUES ('a', 'x', true, 1) ON CONFLICT (k, q) WHERE active DO UPDATE SET s = EXCLUDED.s || '!' RETURNING *;
INSERT INTO e VALUES ('a', 'y', false, 1) ON CONFLICT (k, q) WHERE active DO NOTHING RETURNING *;
INSERT INTO e VALUES ('a', 'z', true, 1), ('b', 'z', true, 1) ON CONFLICT DO NOTHING RETURNING *;
-- error
INSERT INTO e VALUES ('a', 'z', true, 1) ON CONFLICT (k, q) DO NOTHING;
INSERT INTO e VALUES (NULL, 'z', true, 1), (NULL, 'z', true, 1) ON CONFLICT DO NOTHING RETURNING *;
SELECT * FROM e ORDER BY k, s, q;
CREATE TABLE nokey (k int, v text);
SELECT create_distributed_table('nokey', 'k');
INSERT INTO nokey VALUES (1, 'a'), (1, 'a') ON CONFLICT DO NOTHING;
INSERT INTO nokey SELECT i, 'x' FROM generate_series(1, 5) i ON CONFLICT DO NOTHING RETURNING *;
SELECT * FROM nokey ORDER BY k, v;
-- defaults that are computed once, and consumed even in a conflict
CREATE SEQUENCE s;
CREATE TABLE d (k int, c int DEFAULT nextval('s'), u float8 DEFAULT random(), hits int NOT NULL DEFAULT 1, PRIMARY KEY (k));
SELECT create_distributed_table('d', 'k');
INSERT INTO d (k) VALUES (1) ON CONFLICT (k) DO UPDATE SET hits = d.hits + 1 RETURNING k, c, hits;
INSERT INTO d (k) VALUES (1) ON CONFLICT (k) DO UPDATE SET hits = d.hits + 1 RETURNING k, c, hits;
INSERT INTO d (k) VALUES (1), (2), (3) ON CONFLICT (k) DO UPDATE SET hits = d.hits + EXCLUDED.hits, c = EXCLUDED.c RETURNING k, c, hits;
INSERT INTO d (k) SELECT i FROM generate_series(1, 4) i ON CONFLICT (k) DO NOTHING;
SELECT last_value FROM s;
SELECT k, hits FROM d ORDER BY k;
-- prepared, in functions, in transactions
PREPARE up (int, int, text) AS INSERT INTO t (k, id, v) VALUES ($1, $2, $3) ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || t.v || $3 RETURNING k, id, v;
EXECUTE up (30, 1, 'a');
EXECUTE up (30, 1, 'b');
EXECUTE up (31, 1, 'c');
EXECUTE up (32, 1, 'd');
EXECUTE up (33, 1, 'e');
EXECUTE up (34, 1, 'f');
EXECUTE up (34, 1, 'g');
DO $$
DECLARE got t; n int;
BEGIN
  FOR i IN 1..20 LOOP
    INSERT INTO t (k, id, v) VALUES (40 + i % 3, 1, 'x') ON CONFLICT (k, id) DO UPDATE SET v = t.v || i::text RETURNING * INTO got;
    INSERT INTO t (k, id, v) VALUES (40 + i % 3, 1, 'x') ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> 0 THEN RAISE 'inserted'; END IF;
  END LOOP;
END $$;
BEGIN;
INSERT INTO t (k, id, v) VALUES (50, 1, 'a') ON CONFLICT (k, id) DO UPDATE SET v = 'u';
INSERT INTO t (k, id, v) VALUES (50, 1, 'b') ON CONFLICT (k, id) DO UPDATE SET v = 'u' RETURNING v;
SAVEPOINT a;
INSERT INTO t (k, id, v) VALUES (50, 1, 'b') ON CONFLICT (k, id) DO UPDATE SET v = 'uu' RETURNING v;
ROLLBACK TO a;
UPDATE t SET v = v || '+' WHERE k = 50;
DELETE FROM t WHERE k = 50 AND v = 'none';
COMMIT;
SELECT k, id, v FROM t WHERE k >= 30 ORDER BY k, id;
-- views
CREATE VIEW tv AS SELECT k, id, v FROM t WHERE k < 70 WITH CHECK OPTION;
INSERT INTO tv VALUES (60, 1, 'a') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO tv VALUES (60, 1, 'b') ON CONFLICT (k, id) DO UPDATE SET v = tv.v || EXCLUDED.v RETURNING *;
-- error
INSERT INTO tv VALUES (80, 1, 'b') ON CONFLICT (k, id) DO UPDATE SET v = tv.v || EXCLUDED.v RETURNING *;
INSERT INTO tv VALUES (60, 1, 'b'), (61, 1, 'c') ON CONFLICT DO NOTHING RETURNING tv;
CREATE VIEW tw AS SELECT k, id, v FROM t WHERE v <> 'hidden';
INSERT INTO t (k, id, v) VALUES (62, 1, 'hidden'), (63, 1, 'shown');
INSERT INTO tw VALUES (63, 1, 'x') ON CONFLICT (k, id) DO UPDATE SET v = tw.v || EXCLUDED.v RETURNING *;
-- may error: not before 15.20 and the minors of that day
INSERT INTO tw VALUES (62, 1, 'x') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO tw VALUES (62, 1, 'x') ON CONFLICT (k, id) DO NOTHING RETURNING *;
-- may error: not before 15.20 and the minors of that day
INSERT INTO tw VALUES (62, 1, 'x') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v WHERE tw.v = 'other' RETURNING *;
-- policies
DROP ROLE IF EXISTS diff_conny;
CREATE ROLE diff_conny;
CREATE TABLE p (k int, owner text, v text, g int GENERATED ALWAYS AS (length(v)) STORED, PRIMARY KEY (k));
SELECT create_distributed_table('p', 'k');
ALTER TABLE p ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON p FOR SELECT USING (true);
CREATE POLICY ins ON p FOR INSERT WITH CHECK (owner = current_user AND g < 10);
CREATE POLICY upd ON p FOR UPDATE USING (owner = current_user) WITH CHECK (v <> 'bad' AND g < 5 AND k NOT IN (SELECT id FROM r));
CREATE POLICY low ON p AS RESTRICTIVE FOR UPDATE USING (k < 100);
INSERT INTO p VALUES (10, 'diff_conny', 'a'), (20, 'other', 'b'), (1, 'diff_conny', 'c'), (120, 'diff_conny', 'd');
GRANT USAGE ON SCHEMA t_insert_conflict TO diff_conny;
GRANT ALL ON p, r TO diff_conny;
SET ROLE diff_conny;
INSERT INTO p VALUES (11, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO p VALUES (10, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v || p.v RETURNING *;
-- error
INSERT INTO p VALUES (12, 'other', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO p VALUES (12, 'diff_conny', 'much too long') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO p VALUES (20, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
-- may error: not before 15.20 and the minors of that day
INSERT INTO p VALUES (20, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v WHERE p.owner = 'nobody';
INSERT INTO p VALUES (20, 'diff_conny', 'x') ON CONFLICT (k) DO NOTHING;
-- error
INSERT INTO p VALUES (120, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO p VALUES (10, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = 'bad';
-- error
INSERT INTO p VALUES (10, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = 'longer';
-- error
INSERT INTO p VALUES (1, 'diff_conny', 'x') ON CONFLICT (k) DO UPDATE SET v = 'r';
INSERT INTO p VALUES (13, 'diff_conny', 'x'), (10, 'diff_conny', 'y') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *;
-- error
INSERT INTO p VALUES (14, 'diff_conny', 'x'), (15, 'other', 'y') ON CONFLICT (k) DO NOTHING;
RESET ROLE;
SELECT * FROM p ORDER BY k;
DROP OWNED BY diff_conny;
DROP ROLE diff_conny;
-- reference tables
INSERT INTO r VALUES (1, 'ONE'), (4, 'four') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || r.name WHERE r.id < 3 RETURNING *;
INSERT INTO r SELECT k, v FROM t WHERE k IN (1, 60) AND id = 1 ON CONFLICT DO NOTHING;
INSERT INTO r VALUES (2, 'x') ON CONFLICT (id) DO UPDATE SET id = 20, name = (SELECT max(v) FROM t WHERE t.k = EXCLUDED.id) RETURNING *;
-- error
INSERT INTO r VALUES (9, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;
SELECT * FROM r ORDER BY id;
SELECT t.k, r.name FROM t JOIN r ON r.id = t.k WHERE t.id = 1 ORDER BY 1, 2;
-- in WITH, and beside other writes of the statement
CREATE TABLE w (k int PRIMARY KEY, v text);
SELECT create_distributed_table('w', 'k');
INSERT INTO w VALUES (1, 'a'), (2, 'b');
WITH ins AS (INSERT INTO w VALUES (1, 'x') ON CONFLICT (k) DO NOTHING RETURNING k, v) SELECT * FROM ins UNION ALL SELECT k, v FROM w WHERE k = 1;
WITH ins AS (INSERT INTO w VALUES (3, 'x') ON CONFLICT (k) DO NOTHING RETURNING k, v) SELECT * FROM ins UNION ALL SELECT k, v FROM w WHERE k = 3;
WITH ins AS (INSERT INTO w VALUES (4, 'x') ON CONFLICT (k) DO NOTHING) SELECT 1;
WITH n AS (SELECT 5 AS k, 'five' AS v UNION ALL SELECT 1, 'one'), ins AS (INSERT INTO w SELECT * FROM n ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v || (SELECT count(*) FROM n)::text RETURNING *) SELECT n.k, n.v, ins.v FROM n LEFT JOIN ins USING (k) ORDER BY 1;
WITH d AS (DELETE FROM w WHERE k = 5 RETURNING *) INSERT INTO w SELECT k, v || ' back' FROM d ON CONFLICT (k) DO NOTHING RETURNING *;
WITH d AS (DELETE FROM w WHERE k IN (1, 5) RETURNING *) INSERT INTO w SELECT k, v || ' again' FROM d;
WITH d AS (DELETE FROM w WHERE k = 5) INSERT INTO w VALUES (5, 'kept?') ON CONFLICT DO NOTHING;
WITH u AS (UPDATE w SET v = v || '!' WHERE k < 3 RETURNING *), i AS (INSERT INTO w SELECT k + 10, v FROM u ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *) INSERT INTO w SELECT k + 10, v || '?' FROM i ON CONFLICT DO NOTHING RETURNING *;
WITH a AS (INSERT INTO w VALUES (30, 'a') ON CONFLICT DO NOTHING RETURNING k), b AS (INSERT INTO w VALUES (31, 'b') ON CONFLICT (k) DO UPDATE SET v = 'bb' RETURNING k) SELECT (SELECT k FROM a), (SELECT k FROM b), (SELECT count(*) FROM w WHERE k >= 30);
SELECT * FROM w ORDER BY k;
CREATE TABLE ruled (k int PRIMARY KEY, v text);
SELECT create_distributed_table('ruled', 'k');
INSERT INTO ruled VALUES (1, 'a');
CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO w VALUES (NEW.k + 100, 'rule') ON CONFLICT (k) DO UPDATE SET v = 'rule again';
UPDATE ruled SET v = 'upd' WHERE k = 1;
UPDATE ruled SET v = 'upd2' WHERE k = 1;
SELECT * FROM w WHERE k > 90 ORDER BY k;
-- a view's check without a condition
CREATE VIEW everything AS SELECT * FROM ruled WITH CASCADED CHECK OPTION;
INSERT INTO everything VALUES (6, 'foo') RETURNING *;
DROP RULE also ON ruled;
INSERT INTO everything VALUES (5, 'foo'), (7, 'bar') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO everything VALUES (5, 'baz') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v || random()::text WHERE random() > 2;
UPDATE everything SET v = 'all' WHERE k = 5 RETURNING *;
UPDATE everything SET k = k + 10 WHERE k = 7 RETURNING *;
SELECT * FROM ruled ORDER BY k;
-- a CTE that is read in DO UPDATE
WITH aa AS (SELECT 1 a, 2 b) INSERT INTO w VALUES (1, 'insert') ON CONFLICT (k) DO UPDATE SET v = (SELECT b || ' update' FROM aa WHERE a = 1 LIMIT 1) RETURNING *;
WITH aa AS (SELECT 1 a, 2 b) INSERT INTO w VALUES (1, 'insert') ON CONFLICT (k) DO UPDATE SET v = 'update' WHERE w.k = (SELECT a FROM aa) RETURNING *;
WITH aa AS (SELECT 1 a, 2 b) INSERT INTO w VALUES (1, (SELECT b || ' insert' FROM aa WHERE a = 1)) ON CONFLICT (k) DO UPDATE SET v = (SELECT b || ' update' FROM aa WHERE a = w.k LIMIT 1) RETURNING *;
-- exclusion constraints, with the key and of a table in one shard
CREATE TABLE booked (k int, room int, v text, CONSTRAINT booked_excl EXCLUDE (k WITH =, room WITH =));
SELECT create_distributed_table('booked', 'k');
INSERT INTO booked VALUES (1, 1, 'a'), (2, 1, 'b');
INSERT INTO booked VALUES (1, 1, 'c'), (3, 1, 'd') ON CONFLICT ON CONSTRAINT booked_excl DO NOTHING RETURNING *;
INSERT INTO booked SELECT i, 1, 'e' FROM generate_series(1, 6) i ON CONFLICT ON CONSTRAINT booked_excl DO NOTHING;
-- error
INSERT INTO booked VALUES (1, 1, 'f') ON CONFLICT ON CONSTRAINT booked_excl DO UPDATE SET v = 'f';
-- error
INSERT INTO booked VALUES (1, 1, 'f');
SELECT * FROM booked ORDER BY k;
CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;
CREATE TRIGGER louder BEFORE INSERT ON booked FOR EACH ROW EXECUTE FUNCTION louder();
INSERT INTO booked VALUES (1, 1, 'g'), (7, 1, 'h') ON CONFLICT ON CONSTRAINT booked_excl DO NOTHING RETURNING *;
ALTER TABLE booked ADD UNIQUE (k, v);
-- differs: which of several constraints, the shards cannot be told
INSERT INTO booked VALUES (1, 1, 'c') ON CONFLICT ON CONSTRAINT booked_excl DO NOTHING;
DROP TABLE booked;
CREATE TABLE circles (c1 circle, c2 text, CONSTRAINT circles_excl EXCLUDE USING gist (c1 WITH &&, (c2::circle) WITH &&));
SELECT create_distributed_table('circles', NULL);
INSERT INTO circles VALUES ('<(10,10), 10>', '<(0,0), 5>');
INSERT INTO circles VALUES ('<(20,20), 10>', '<(0,0), 4>') ON CONFLICT ON CONSTRAINT circles_excl DO NOTHING;
INSERT INTO circles VALUES ('<(20,20), 10>', '<(0,0), 4>') ON CONFLICT DO NOTHING;
-- error
INSERT INTO circles VALUES ('<(20,20), 10>', '<(0,0), 4>') ON CONFLICT ON CONSTRAINT circles_excl DO UPDATE SET c2 = EXCLUDED.c2;
SELECT * FROM circles;
DROP TABLE circles;
CREATE TABLE later (k int, CONSTRAINT later_excl EXCLUDE (k WITH =) INITIALLY DEFERRED);
SELECT create_distributed_table('later', 'k');
INSERT INTO later VALUES (1);
-- error
INSERT INTO later VALUES (1) ON CONFLICT ON CONSTRAINT later_excl DO NOTHING;
-- error
INSERT INTO later VALUES (1) ON CONFLICT DO NOTHING;
DROP TABLE later;
CREATE TABLE apart (k int, v text, EXCLUDE (v WITH =));
-- differs: a shard would check its own rows only
SELECT create_distributed_table('apart', 'k');
DROP TABLE apart;
-- which unique index there is, core asks when it plans
CREATE TABLE untold (k int, id int, v text);
SELECT create_distributed_table('untold', 'k');
-- error
EXPLAIN INSERT INTO untold VALUES (1, 1, '') ON CONFLICT (k) DO NOTHING;
-- error
EXPLAIN INSERT INTO untold SELECT k, id FROM untold ON CONFLICT (k) DO UPDATE SET v = '';
-- error
INSERT INTO untold SELECT k, id FROM untold WHERE false ON CONFLICT (k) DO UPDATE SET v = '';
-- error
WITH x AS (INSERT INTO untold SELECT k, id FROM untold ON CONFLICT (k) DO UPDATE SET v = '' RETURNING 1) SELECT * FROM x;
CREATE UNIQUE INDEX ON untold (k, id) WHERE v > 'c';
-- error
EXPLAIN INSERT INTO untold VALUES (1, 1, '') ON CONFLICT (k, id) DO NOTHING;
-- error
INSERT INTO untold SELECT * FROM untold WHERE false ON CONFLICT (k, id) WHERE v > 'b' DO NOTHING;
INSERT INTO untold VALUES (1, 1, 'e') ON CONFLICT (id, k) WHERE v > 'd' DO NOTHING;
INSERT INTO untold VALUES (1, 1, 'f') ON CONFLICT (k, id) WHERE v > 'c' AND v IS NOT NULL DO UPDATE SET v = 'x';
SELECT * FROM untold;
