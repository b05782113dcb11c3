-- INSERT ... ON CONFLICT row by row, by indexes with expressions, predicates and NULLS NOT DISTINCT.
-- from: 15
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (line) VALUES (format('%s %s %s %s', TG_NAME, TG_OP, OLD, NEW));
  RETURN NEW;
END $$;
CREATE FUNCTION bump(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN $1 + 1; END $$;
-- an expression
CREATE TABLE e (gone int, k int, name text, n int, double int GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE e DROP COLUMN gone;
CREATE UNIQUE INDEX e_lower ON e (k, lower(name));
SELECT create_distributed_table('e', 'k');
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE ON e FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER t2 AFTER INSERT OR UPDATE ON e FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO e SELECT i % 7, 'Name' || i, i FROM generate_series(1, 20) i;
INSERT INTO e VALUES (1, 'NAME1', 100) ON CONFLICT (k, lower(name)) DO UPDATE SET n = e.n + EXCLUDED.n RETURNING *;
INSERT INTO e VALUES (1, 'NAME1', 100), (1, 'other', 5), (2, 'nAme2', 7) ON CONFLICT (lower(name), k) DO UPDATE SET n = bump(EXCLUDED.n), name = EXCLUDED.name RETURNING k, name, n, double;
-- error
INSERT INTO e VALUES (3, 'twice', 1), (3, 'TWICE', 2) ON CONFLICT (k, lower(name)) DO UPDATE SET n = EXCLUDED.n;
-- error
INSERT INTO e VALUES (3, 'Name3', 1), (3, 'NAME3', 2) ON CONFLICT (k, lower(name)) DO UPDATE SET n = EXCLUDED.n;
INSERT INTO e VALUES (3, 'twice', 1), (3, 'TWICE', 2) ON CONFLICT (k, lower(name)) DO NOTHING RETURNING *;
INSERT INTO e VALUES (3, 'Twice', 1), (4, 'new', 2) ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO e VALUES (3, NULL, 1), (3, NULL, 2) ON CONFLICT (k, lower(name)) DO UPDATE SET n = -1 RETURNING *;
INSERT INTO e VALUES (5, 'name5', 50), (5, 'name12', 60) ON CONFLICT (k, lower(name)) DO UPDATE SET k = e.k + 100, n = EXCLUDED.n WHERE e.n < 10 RETURNING *;
-- error
INSERT INTO e VALUES (1, 'name1', 1) ON CONFLICT (k, name) DO UPDATE SET n = 1;
-- error
INSERT INTO e VALUES (1, 'name1', 1) ON CONFLICT (k, upper(name)) DO UPDATE SET n = 1;
-- error
INSERT INTO e VALUES (1, 'name1', 1);
SELECT * FROM e ORDER BY k, name, n;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
-- a predicate, and a second index that the target does not mean
CREATE TABLE p (k int, state text, n int, v text);
CREATE UNIQUE INDEX p_open ON p (k) WHERE state = 'open';
CREATE UNIQUE INDEX p_n ON p (k, n);
SELECT create_distributed_table('p', 'k');
CREATE TRIGGER t2 AFTER INSERT OR UPDATE ON p FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO p SELECT i, CASE WHEN i < 5 THEN 'open' ELSE 'closed' END, i, 'v' || i FROM generate_series(1, 8) i;
INSERT INTO p VALUES (1, 'open', 101, 'a'), (6, 'open', 106, 'b'), (2, 'closed', 102, 'c') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET v = p.v || EXCLUDED.v, n = EXCLUDED.n RETURNING *;
INSERT INTO p VALUES (6, 'open', 107, 'x') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET state = 'closed', v = EXCLUDED.v RETURNING *;
INSERT INTO p VALUES (6, 'open', 108, 'y') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET v = 'never' RETURNING *;
-- error
INSERT INTO p VALUES (6, 'open', 109, 'y'), (6, 'open', 110, 'z') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET v = EXCLUDED.v;
-- two rows of one key are one only within the predicate
INSERT INTO p VALUES (7, 'closed', 201, 'y'), (7, 'open', 202, 'z'), (7, 'closed', 203, 'z') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET v = EXCLUDED.v RETURNING *;
-- error
INSERT INTO p VALUES (8, 'closed', 8, 'n') ON CONFLICT (k) WHERE state = 'open' DO UPDATE SET v = EXCLUDED.v;
-- error
INSERT INTO p VALUES (1, 'open', 1, 'n') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO p VALUES (1, 'open', 1, 'n'), (8, 'closed', 8, 'n'), (9, 'closed', 9, 'n') ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO p VALUES (1, 'open', 301, 'vol') ON CONFLICT (k) WHERE state = 'open' AND n IS NOT NULL DO UPDATE SET n = bump(p.n) RETURNING *;
SELECT * FROM p ORDER BY k, n;
-- several indexes: the one without predicate, and one with
CREATE UNIQUE INDEX p_two ON p (k) WHERE n > 1000;
INSERT INTO p VALUES (10, 'open', 1, 'open'), (10, 'closed', 2000, 'big') RETURNING *;
INSERT INTO p VALUES (10, 'closed', 3000, '1') ON CONFLICT (k) WHERE state = 'open' AND n > 1000 DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO p VALUES (10, 'open', 500, '2') ON CONFLICT (k) WHERE state = 'open' AND n > 1000 DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO p VALUES (10, 'closed', 500, '3') ON CONFLICT (k) WHERE state = 'open' AND n > 1000 DO UPDATE SET v = EXCLUDED.v RETURNING *;
INSERT INTO p VALUES (11, 'open', 1, '4'), (11, 'closed', 4000, '5') ON CONFLICT (k) WHERE state = 'open' AND n > 1000 DO UPDATE SET v = EXCLUDED.v RETURNING *;
SELECT * FROM p ORDER BY k, n;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
-- NULLS NOT DISTINCT, also of the key
CREATE TABLE d (k int, sub int, v text, UNIQUE NULLS NOT DISTINCT (k, sub));
SELECT create_distributed_table('d', 'k');
CREATE TRIGGER t2 AFTER INSERT OR UPDATE ON d FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO d VALUES (1, 1, 'a'), (1, NULL, 'b'), (NULL, 1, 'c'), (NULL, NULL, 'd');
INSERT INTO d VALUES (1, 1, 'a2'), (1, NULL, 'b2'), (NULL, 1, 'c2'), (NULL, NULL, 'd2'), (2, NULL, 'e') ON CONFLICT (k, sub) DO UPDATE SET v = d.v || EXCLUDED.v RETURNING *;
INSERT INTO d VALUES (1, NULL, 'b3'), (3, NULL, 'f') ON CONFLICT ON CONSTRAINT d_k_sub_key DO UPDATE SET v = EXCLUDED.v RETURNING *;
-- error
INSERT INTO d VALUES (4, NULL, 'b3'), (4, NULL, 'f') ON CONFLICT (k, sub) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO d VALUES (NULL, NULL, 'b4') ON CONFLICT (k, sub) DO UPDATE SET k = 40, v = EXCLUDED.v RETURNING *;
INSERT INTO d VALUES (1, NULL, 'n'), (5, NULL, 'n') ON CONFLICT (k, sub) DO NOTHING RETURNING *;
INSERT INTO d VALUES (1, NULL, 'n') ON CONFLICT (k, sub) DO UPDATE SET v = bump(length(d.v))::text RETURNING *;
SELECT * FROM d ORDER BY k, sub;
SELECT line FROM audit ORDER BY line;
-- a generated column, a type that has no hash function, another operator class, prepared
CREATE TABLE g (k int, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, b varbit, t text, v int, UNIQUE (k, twice));
CREATE UNIQUE INDEX g_b ON g (k, b, t text_pattern_ops);
SELECT create_distributed_table('g', 'k');
CREATE TRIGGER t1 BEFORE UPDATE ON g FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO g VALUES (1, 1, DEFAULT, '101', 'a', 1);
INSERT INTO g VALUES (1, 1, DEFAULT, '111', 'a', 1) ON CONFLICT (k, twice) DO UPDATE SET v = g.v + 1 RETURNING *;
INSERT INTO g VALUES (1, 2, DEFAULT, '101', 'a', 5), (1, 3, DEFAULT, '11', 'a', 7) ON CONFLICT (k, b, t) DO UPDATE SET v = EXCLUDED.v, n = g.n + 10 RETURNING *;
-- error
INSERT INTO g VALUES (2, 2, DEFAULT, '101', 'a', 5), (2, 3, DEFAULT, '101', 'a', 7) ON CONFLICT (k, b, t text_pattern_ops) DO UPDATE SET v = EXCLUDED.v;
PREPARE u (int, text) AS INSERT INTO e VALUES ($1, $2, 0) ON CONFLICT (k, lower(name)) DO UPDATE SET n = e.n + 1 RETURNING n;
EXECUTE u (77, 'P');
EXECUTE u (77, 'p');
EXECUTE u (77, 'P');
EXECUTE u (77, 'p');
EXECUTE u (77, 'P');
EXECUTE u (77, 'p');
EXECUTE u (77, 'P');
SELECT * FROM g ORDER BY k, n;
