-- INSERT ... ON CONFLICT row by row: triggers, and what can only be computed here.
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE text_of text := format('%s %s %s %s on %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME);
BEGIN
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN text_of := text_of || ' old ' || OLD::text; END IF;
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN text_of := text_of || ' new ' || NEW::text; END IF;
  INSERT INTO audit (line) VALUES (text_of);
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TABLE t (gone int, k int, sub int, v text, n int, double int GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (k, sub));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 1, 'v' || i, i FROM generate_series(1, 10) i;
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t2 AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t3 BEFORE INSERT OR UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t4 AFTER INSERT OR UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t5 AFTER UPDATE OF n ON t FOR EACH ROW WHEN (OLD.n IS DISTINCT FROM NEW.n) EXECUTE FUNCTION note();
INSERT INTO t VALUES (1, 1, 'x', 1) ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (11, 1, 'x', 1), (2, 1, 'y', 2) ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO t VALUES (12, 1, 'x', 1), (3, 1, 'y', 2) ON CONFLICT (k, sub) DO NOTHING RETURNING *;
INSERT INTO t VALUES (1, 1, 'new', 100) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v, n = t.n + EXCLUDED.n RETURNING *, tableoid::regclass;
INSERT INTO t VALUES (13, 1, 'ins', 1), (2, 1, 'upd', 2), (3, 1, 'not', 3) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v WHERE t.k <> 3 RETURNING k, v, double;
INSERT INTO t VALUES (4, 1, 'c', 4) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET (v, n) = (SELECT o.v || '+', o.n FROM t o WHERE o.k = EXCLUDED.k + 1);
-- error
INSERT INTO t VALUES (5, 1, 'a', 1), (5, 1, 'b', 2) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO t VALUES (50, 1, 'a', 1), (50, 1, 'b', 2) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO t VALUES (51, 1, 'a', 1), (51, 1, 'b', 2) ON CONFLICT (k, sub) DO NOTHING;
INSERT INTO t SELECT i, 1, 'sel' || i, i FROM generate_series(9, 16) i ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v || '/' || t.v;
INSERT INTO t SELECT k, sub, 'self', n FROM t WHERE k < 3 ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v || t.n;
WITH i AS (INSERT INTO t VALUES (6, 1, 'w', 6), (60, 1, 'w', 60) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v RETURNING k, v) SELECT * FROM i ORDER BY k;
SELECT line FROM audit WHERE id <= 40 ORDER BY line;
SELECT count(*) FROM audit;
SELECT * FROM t ORDER BY k;
SELECT v FROM t WHERE k = 60;
-- the key is assigned: the row moves
INSERT INTO t VALUES (7, 1, 'moves', 7) ON CONFLICT (k, sub) DO UPDATE SET k = 1000 + EXCLUDED.k, v = EXCLUDED.v RETURNING *;
INSERT INTO t VALUES (8, 1, 'stays', 8) ON CONFLICT (k, sub) DO UPDATE SET k = EXCLUDED.k, v = EXCLUDED.v RETURNING *;
SELECT * FROM t WHERE k IN (7, 8, 1007) ORDER BY k;
-- BEFORE triggers that change the key, and leave rows out
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' AND NEW.v = 'skip insert' THEN RETURN NULL; END IF;
  IF TG_OP = 'UPDATE' AND NEW.v = 'skip update' THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN NEW.k := NEW.k % 100; END IF;
  NEW.n := coalesce(NEW.n, 0) + 1;
  RETURN NEW;
END $$;
CREATE TRIGGER a0 BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION change();
INSERT INTO t VALUES (109, 1, 'hundreds', 9), (70, 1, 'skip insert', 0), (10, 1, 'skip update', 0) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v RETURNING *;
SELECT * FROM t WHERE k IN (9, 109, 70, 10) ORDER BY k;
DROP TRIGGER a0 ON t;
PREPARE p (int, text) AS INSERT INTO t VALUES ($1, 1, $2, 0) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v, n = t.n + 1 RETURNING v, n;
EXECUTE p (80, 'p1');
EXECUTE p (80, 'p2');
EXECUTE p (80, 'p3');
EXECUTE p (80, 'p4');
EXECUTE p (80, 'p5');
EXECUTE p (80, 'p6');
EXECUTE p (81, 'p7');
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (80, 1, 'undone', 0) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v;
ROLLBACK TO a;
INSERT INTO t VALUES (81, 1, 'done', 0) ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v;
COMMIT;
SELECT k, v FROM t WHERE k IN (80, 81) ORDER BY k;
-- transition tables
CREATE TABLE tt (k int PRIMARY KEY, v text);
SELECT create_distributed_table('tt', 'k');
CREATE FUNCTION ins_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) SELECT 'inserted ' || coalesce(string_agg(n::text, ' ' ORDER BY k), '-') FROM new_rows n; RETURN NULL; END $$;
CREATE FUNCTION upd_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) SELECT 'updated ' || coalesce((SELECT string_agg(o::text, ' ' ORDER BY k) FROM old_rows o), '-') || ' > ' || coalesce((SELECT string_agg(n::text, ' ' ORDER BY k) FROM new_rows n), '-'); RETURN NULL; END $$;
CREATE TRIGGER s1 AFTER INSERT ON tt REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ins_rows();
CREATE TRIGGER s2 AFTER UPDATE ON tt REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION upd_rows();
TRUNCATE audit;
INSERT INTO tt VALUES (1, 'a'), (2, 'b') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO tt VALUES (2, 'B'), (3, 'c') ON CONFLICT (k) DO UPDATE SET v = tt.v || EXCLUDED.v;
INSERT INTO tt VALUES (2, 'B'), (3, 'C') ON CONFLICT (k) DO UPDATE SET v = 'never' WHERE false;
INSERT INTO tt VALUES (1, 'x'), (4, 'd') ON CONFLICT DO NOTHING;
SELECT line FROM audit ORDER BY id;
SELECT * FROM tt ORDER BY k;
-- without triggers: volatile functions, sub-queries on other tables, the key
CREATE TABLE u (k int PRIMARY KEY, v text, n float);
SELECT create_distributed_table('u', 'k');
CREATE TABLE o (x int, y text);
SELECT create_distributed_table('o', 'x');
CREATE TABLE local_o (x int, y text);
INSERT INTO u SELECT i, 'u' || i, 0 FROM generate_series(1, 6) i;
INSERT INTO o SELECT i, 'o' || i FROM generate_series(1, 20) i;
INSERT INTO local_o SELECT i, 'l' || i FROM generate_series(1, 20) i;
INSERT INTO u VALUES (1, 'x', 0), (21, 'x', 0) ON CONFLICT (k) DO UPDATE SET n = random() RETURNING k, n >= 0;
INSERT INTO u VALUES (2, 'x', 0) ON CONFLICT (k) DO UPDATE SET v = (SELECT y FROM o WHERE x = u.k + 5) RETURNING *;
INSERT INTO u VALUES (3, 'x', 0) ON CONFLICT (k) DO UPDATE SET v = (SELECT y FROM local_o WHERE x = u.k) WHERE EXISTS (SELECT 1 FROM local_o l WHERE l.x = EXCLUDED.k) RETURNING *;
INSERT INTO u VALUES (4, 'x', 0), (5, 'y', 0) ON CONFLICT (k) DO UPDATE SET k = u.k + 100 RETURNING *;
WITH w AS (SELECT x, y FROM o WHERE x < 4) INSERT INTO u SELECT x, y, 1 FROM w ON CONFLICT (k) DO UPDATE SET v = (SELECT max(y) FROM w) || EXCLUDED.v;
SELECT k, v FROM u ORDER BY k;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO u VALUES (6, 'rr', 0), (7, 'rr', 0) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v || (random() > 2) RETURNING *;
ROLLBACK;
-- views, policies
CREATE VIEW checked AS SELECT k, v FROM tt WHERE k < 100 AND v <> 'no' WITH CHECK OPTION;
INSERT INTO checked VALUES (1, 'view') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *;
-- error
INSERT INTO checked VALUES (1, 'view') ON CONFLICT (k) DO UPDATE SET v = 'no';
-- error
INSERT INTO checked VALUES (101, 'view') ON CONFLICT (k) DO UPDATE SET v = 'x';
SELECT * FROM tt ORDER BY k;
-- beside other writes of the statement
WITH d AS (DELETE FROM tt WHERE k IN (1, 2) RETURNING *) INSERT INTO tt SELECT k, v || ' again' FROM d ON CONFLICT (k) DO UPDATE SET v = 'conflict';
WITH d AS (UPDATE u SET v = 'set' WHERE k = 1 RETURNING *) INSERT INTO u SELECT k + 1, v, 2 FROM d ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v, n = random() * 0 RETURNING *;
SELECT * FROM tt ORDER BY k;
SELECT k, v FROM u ORDER BY k;
-- functions and triggers that change the very row that is to be updated
CREATE TABLE cself (k int PRIMARY KEY, v int, w int DEFAULT 0);
SELECT create_distributed_table('cself', 'k');
INSERT INTO cself VALUES (1, 10), (2, 20), (3, 30), (4, 40);
CREATE FUNCTION cself_up(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE cself SET w = w + 1 WHERE k = i; RETURN 4; END $$;
CREATE FUNCTION cself_del(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM cself WHERE k = i; RETURN 4; END $$;
CREATE FUNCTION cself_lock(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM cself WHERE k = i FOR UPDATE; RETURN 4; END $$;
-- error
INSERT INTO cself VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET v = cself_up(1) RETURNING *;
-- error
INSERT INTO cself VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET v = 3 WHERE cself_up(1) = 4;
-- error
INSERT INTO cself VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET v = cself_del(1);
INSERT INTO cself VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET v = cself_up(2) RETURNING *;
INSERT INTO cself VALUES (1, 1), (5, 5) ON CONFLICT (k) DO UPDATE SET v = cself_lock(1) + excluded.v RETURNING *;
SELECT * FROM cself ORDER BY k;
CREATE FUNCTION cself_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE cself SET w = 99 WHERE k = NEW.w; RETURN NEW; END $$;
CREATE TRIGGER changes BEFORE UPDATE ON cself FOR EACH ROW WHEN (NEW.w < 99) EXECUTE FUNCTION cself_trigger();
-- error
INSERT INTO cself VALUES (3, 1) ON CONFLICT (k) DO UPDATE SET w = 3;
INSERT INTO cself VALUES (3, 1) ON CONFLICT (k) DO UPDATE SET w = 4 RETURNING *;
INSERT INTO cself VALUES (3, 1), (6, 6) ON CONFLICT (k) DO UPDATE SET w = 77 RETURNING *;
SELECT * FROM cself ORDER BY k;
