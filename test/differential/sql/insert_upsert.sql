-- INSERT ... ON CONFLICT that is done row by row: triggers, volatile functions, other tables.
CREATE TABLE t (gone int, k int, id int, v text, n numeric(8,1) DEFAULT 1.5, g int GENERATED ALWAYS AS (k * 2 + coalesce(id, 0)) STORED, PRIMARY KEY (k, id), UNIQUE (k, n));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
ALTER TABLE t ADD COLUMN late text DEFAULT 'late';
CREATE TABLE o (x int, y text);
SELECT create_distributed_table('o', 'x', shard_count => 4, colocate_with => 'none');
INSERT INTO o SELECT i, 'o' || i FROM generate_series(1, 9) i;
CREATE TABLE l (a int, b text);
INSERT INTO l SELECT i, 'l' || i FROM generate_series(1, 9) i;
CREATE SEQUENCE s;
CREATE FUNCTION mine(text, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1 || $2; END';
-- volatile functions and those of users, once a row that conflicts
INSERT INTO t (k, id, v, n) VALUES (1, 1, 'a', 1), (1, 2, 'b', 2), (2, 1, 'c', 3);
INSERT INTO t (k, id) VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET v = 'next ' || nextval('s') RETURNING k, id, v, n, g, late;
INSERT INTO t (k, id, n) VALUES (3, 1, 5) ON CONFLICT (k, id) DO UPDATE SET v = 'next ' || nextval('s') RETURNING k, id, v, n, g, late;
SELECT nextval('s');
INSERT INTO t (k, id, n) SELECT i, 1, i + 10 FROM generate_series(1, 5) i ON CONFLICT (k, id) DO UPDATE SET v = mine(t.v, EXCLUDED.k), n = t.n + EXCLUDED.n RETURNING *;
INSERT INTO t (k, id, n) VALUES (1, 1, 5) ON CONFLICT (k, id) DO UPDATE SET v = t.v || CASE WHEN random() < 2 THEN '!' END WHERE clock_timestamp() > '2000-01-01' AND t.k < 9 RETURNING v, tableoid::regclass, t;
INSERT INTO t (k, id, n) VALUES (1, 1, 5) ON CONFLICT (k, id) DO UPDATE SET v = 'never' WHERE random() > 2;
INSERT INTO t (k, id) VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET v = t::text || EXCLUDED.*::text RETURNING v;
-- sub-queries over other tables
INSERT INTO t (k, id) VALUES (2, 1) ON CONFLICT (k, id) DO UPDATE SET v = (SELECT y FROM o WHERE o.x = EXCLUDED.k), late = (SELECT b FROM l WHERE l.a = t.k) RETURNING k, id, v, late;
INSERT INTO t (k, id) VALUES (2, 1) ON CONFLICT (k, id) DO UPDATE SET (v, late) = (SELECT y, 'multi' FROM o WHERE o.x = t.id) WHERE EXISTS (SELECT FROM l WHERE a = t.k) RETURNING k, id, v, late;
INSERT INTO t (k, id) VALUES (2, 1) ON CONFLICT (k, id) DO UPDATE SET v = (SELECT count(*)::text FROM t x WHERE x.id = t.id) RETURNING v;
-- the row moves
INSERT INTO t (k, id) VALUES (2, 1) ON CONFLICT (k, id) DO UPDATE SET k = 20, v = 'moved' RETURNING *;
SELECT * FROM t ORDER BY k, id;
-- errors
-- error
INSERT INTO t (k, id, n) VALUES (7, 1, 50), (7, 1, 51) ON CONFLICT (k, id) DO UPDATE SET v = mine('x', 1);
-- error
INSERT INTO t (k, id, n) VALUES (1, 1, 50), (1, 1, 51) ON CONFLICT (k, id) DO UPDATE SET v = mine('x', 1);
-- error
INSERT INTO t (k, id) VALUES (1, 1) ON CONFLICT (v) DO UPDATE SET v = mine('x', 1);
-- error
INSERT INTO t (k, id) VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET id = 2, v = mine('x', 1);
-- error
INSERT INTO t (k, id) VALUES (NULL, 1) ON CONFLICT (k, id) DO UPDATE SET v = mine('x', 1);
-- error
INSERT INTO t (k, id) VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET n = 1 / (random()::int * 0);
SELECT count(*) FROM t WHERE k = 7;
-- index expressions and predicates
CREATE TABLE e (k text, s text, active bool, q int, PRIMARY KEY (k, s));
SELECT create_distributed_table('e', 'k');
CREATE UNIQUE INDEX e_lower ON e (k, lower(s));
CREATE UNIQUE INDEX e_part ON e (k, q) WHERE active;
INSERT INTO e VALUES ('a', 'Bob', true, 1) ON CONFLICT (k, lower(s)) DO UPDATE SET q = 10 + random() * 0 RETURNING *;
INSERT INTO e VALUES ('a', 'BOB', true, 2) ON CONFLICT (k, lower(s)) DO UPDATE SET q = 10 + random() * 0 RETURNING *;
INSERT INTO e VALUES ('a', 'x', true, 10) ON CONFLICT (k, q) WHERE active DO UPDATE SET active = random() > 2 RETURNING *;
INSERT INTO e VALUES ('a', 'y', true, 10) ON CONFLICT (k, q) WHERE active DO UPDATE SET active = random() > 2 RETURNING *;
TRUNCATE e;
-- triggers
CREATE TABLE w (k int PRIMARY KEY, v text, hits int DEFAULT 1, touched text);
SELECT create_distributed_table('w', 'k');
CREATE TABLE log (no serial, t text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO log (t) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_OP, TG_LEVEL, TG_TABLE_NAME, CASE WHEN TG_LEVEL = 'ROW' THEN OLD::text || '>' || coalesce(NEW::text, 'none') END));
  RETURN NEW;
END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.v = 'skip' THEN RETURN NULL; END IF;
  NEW.touched := TG_OP || ' ' || NEW.hits;
  IF TG_OP = 'INSERT' THEN NEW.v := NEW.v || '.'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER a_touch BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO w VALUES (1, 'a') ON CONFLICT (k) DO UPDATE SET v = w.v || EXCLUDED.v, hits = w.hits + 1 RETURNING *;
INSERT INTO w VALUES (1, 'b') ON CONFLICT (k) DO UPDATE SET v = w.v || EXCLUDED.v, hits = w.hits + 1 RETURNING *;
INSERT INTO w VALUES (1, 'skip') ON CONFLICT (k) DO UPDATE SET v = 'not' RETURNING *;
INSERT INTO w VALUES (1, 'c') ON CONFLICT (k) DO UPDATE SET v = 'skip' RETURNING *;
INSERT INTO w VALUES (1, 'd'), (2, 'e'), (3, 'skip') ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO w SELECT i, 'm' || i FROM generate_series(1, 4) i ON CONFLICT (k) DO UPDATE SET hits = w.hits + EXCLUDED.hits WHERE w.k <> 2 RETURNING *;
PREPARE p (int, text) AS INSERT INTO w VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = $2 || '!', hits = w.hits + 1 RETURNING v, hits, touched;
EXECUTE p (1, 'p');
EXECUTE p (10, 'q');
EXECUTE p (10, 'r');
EXECUTE p (10, 's');
EXECUTE p (10, 't');
EXECUTE p (10, 'u');
EXECUTE p (10, 'v');
BEGIN;
SAVEPOINT a;
EXECUTE p (10, 'w');
ROLLBACK TO a;
EXECUTE p (11, 'x');
EXECUTE p (11, 'y');
COMMIT;
WITH i AS (INSERT INTO w VALUES (10, 'z'), (12, 'z') ON CONFLICT (k) DO UPDATE SET hits = w.hits + 100 RETURNING k, v, hits) SELECT i.*, w.v, w.hits FROM i LEFT JOIN w USING (k) ORDER BY 1;
SELECT * FROM w ORDER BY k;
CREATE TRIGGER b_before BEFORE INSERT OR UPDATE ON w FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER c_after AFTER INSERT OR UPDATE ON w FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER d_after AFTER UPDATE OF hits ON w FOR EACH ROW WHEN (OLD.hits IS DISTINCT FROM NEW.hits) EXECUTE FUNCTION note();
CREATE TRIGGER e_after AFTER INSERT ON w FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO w VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET hits = 0;
INSERT INTO w VALUES (20, 'x') ON CONFLICT (k) DO UPDATE SET hits = 0;
INSERT INTO w VALUES (1, 'x') ON CONFLICT (k) DO NOTHING;
INSERT INTO w VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = 'same hits';
SELECT t FROM log ORDER BY no;
SELECT * FROM w ORDER BY k;
