-- Updatable views of distributed tables: WITH CHECK OPTION, several levels, INSTEAD OF triggers, privileges.
CREATE TABLE t (gone int, k int, v text DEFAULT 'none', n int, g int GENERATED ALWAYS AS (n * 10) STORED);
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
INSERT INTO t (k, v, n) SELECT i, 'v' || i, i FROM generate_series(1, 20) i;
CREATE VIEW plain AS SELECT * FROM t WHERE n > 5;
INSERT INTO plain (k, n) VALUES (21, 21), (22, 1) RETURNING *;
UPDATE plain SET v = 'p' WHERE k IN (3, 6) RETURNING *;
UPDATE plain SET n = 0 WHERE k = 7 RETURNING *;
DELETE FROM plain WHERE k IN (4, 8) RETURNING k, g;
SELECT * FROM t ORDER BY k;
CREATE VIEW checked AS SELECT k, v, n FROM t WHERE n BETWEEN 5 AND 100 WITH CHECK OPTION;
INSERT INTO checked VALUES (30, 'in', 30);
INSERT INTO checked VALUES (31, 'in', 31), (32, 'in', 32) RETURNING *;
-- error
INSERT INTO checked VALUES (33, 'out', 3);
-- error
INSERT INTO checked VALUES (33, 'in', 33), (34, 'out', 3), (35, 'in', 35);
-- error
INSERT INTO checked SELECT i, 'x', i FROM generate_series(90, 110) i;
-- error
UPDATE checked SET n = 0 WHERE k = 9;
-- error
UPDATE checked SET n = n + 95 WHERE k > 9;
UPDATE checked SET n = n + 1 WHERE k > 9 RETURNING k, n;
-- error
UPDATE checked SET k = k + 1000, n = -1 WHERE k = 10;
UPDATE checked SET k = k + 1000 WHERE k = 10;
SELECT k, n FROM checked WHERE k > 1000;
-- error
UPDATE checked SET n = (random() * 0)::int WHERE k = 11;
SELECT count(*), sum(n) FROM t;
-- levels
CREATE VIEW lower_v AS SELECT k, v, n FROM t WHERE n > 0;
CREATE VIEW local_v AS SELECT k, v, n FROM lower_v WHERE n < 1000 WITH LOCAL CHECK OPTION;
CREATE VIEW casc_v AS SELECT k, v, n FROM lower_v WHERE n < 1000 WITH CASCADED CHECK OPTION;
CREATE VIEW top_v AS SELECT k AS key, n, upper(v) AS up FROM local_v WHERE k <> 13;
INSERT INTO local_v VALUES (40, 'l', -1);
-- error
INSERT INTO local_v VALUES (41, 'l', 1001);
-- error
INSERT INTO casc_v VALUES (42, 'c', -1);
-- error
INSERT INTO casc_v VALUES (43, 'c', 1001);
INSERT INTO casc_v VALUES (44, 'c', 1);
INSERT INTO top_v (key, n) VALUES (45, 45), (46, 46) RETURNING *;
-- error
INSERT INTO top_v (key, n) VALUES (47, 2000);
-- error
INSERT INTO top_v VALUES (48, 1, 'computed');
UPDATE top_v SET n = n + 1 WHERE up = 'NONE' RETURNING *;
-- error
UPDATE top_v SET n = 1000 WHERE key = 45;
UPDATE top_v SET n = -1 WHERE key = 46;
-- error
UPDATE casc_v SET n = -1 WHERE k = 44;
DELETE FROM top_v WHERE key > 40 RETURNING key, up;
SELECT * FROM t ORDER BY k, n;
-- a check that reads other tables
CREATE TABLE allowed (k int, ok bool);
SELECT create_distributed_table('allowed', 'k');
INSERT INTO allowed SELECT i, i % 2 = 0 FROM generate_series(1, 60) i;
CREATE VIEW subq AS SELECT k, v, n FROM t WHERE EXISTS (SELECT 1 FROM allowed a WHERE a.k = t.k AND a.ok) WITH CHECK OPTION;
INSERT INTO subq VALUES (50, 'even', 50);
-- error
INSERT INTO subq VALUES (51, 'odd', 51);
-- error
INSERT INTO subq VALUES (52, 'even', 52), (53, 'odd', 51);
UPDATE subq SET n = 51 WHERE k = 50;
DELETE FROM subq WHERE k = 50;
SELECT k FROM t WHERE k >= 50 ORDER BY k;
-- security barrier, and a function that looks
CREATE FUNCTION snoop(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RETURN $1 IS NOT NULL; END $$;
CREATE VIEW barrier WITH (security_barrier) AS SELECT k, v, n FROM t WHERE n % 2 = 0 WITH CHECK OPTION;
UPDATE barrier SET v = 'even' WHERE snoop(v) AND k < 15 RETURNING k, v;
-- error
UPDATE barrier SET n = n + 1 WHERE snoop(v) AND k = 13;
DELETE FROM barrier WHERE snoop(v) AND k = 14 RETURNING k;
-- INSTEAD OF triggers
CREATE TABLE audit (id serial, line text);
CREATE VIEW joined AS SELECT t.k, t.v, a.ok FROM t JOIN allowed a ON a.k = t.k;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) VALUES (format('%s %s %s on %s: %s > %s', TG_NAME, TG_WHEN, TG_OP, TG_TABLE_NAME,
    CASE WHEN TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_OP <> 'DELETE' THEN NEW::text END));
  IF TG_OP = 'INSERT' THEN
    INSERT INTO t (k, v, n) VALUES (NEW.k, NEW.v, 0);
    INSERT INTO allowed VALUES (NEW.k, NEW.ok);
  ELSIF TG_OP = 'UPDATE' THEN
    UPDATE t SET v = NEW.v WHERE k = OLD.k;
    UPDATE allowed SET ok = NEW.ok WHERE k = OLD.k;
  ELSE
    DELETE FROM t WHERE k = OLD.k;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN OLD;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE OR DELETE ON joined FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO joined VALUES (100, 'hundred', true), (101, 'more', false) RETURNING *;
UPDATE joined SET v = v || '!', ok = NOT ok WHERE k >= 100 RETURNING *;
DELETE FROM joined WHERE k = 101 RETURNING *;
COPY joined FROM STDIN;
102	copied	t
\.
INSERT INTO joined SELECT k + 100, v, ok FROM joined WHERE k >= 100;
SELECT * FROM joined WHERE k >= 100 ORDER BY k;
SELECT line FROM audit ORDER BY line;
CREATE VIEW over AS SELECT k, v FROM joined WHERE k >= 100;
UPDATE over SET v = 'over' WHERE k = 102 RETURNING *;
DELETE FROM over WHERE k = 202;
SELECT * FROM joined WHERE k >= 100 ORDER BY k;
-- defaults of a view, INTO a join is refused
ALTER VIEW plain ALTER COLUMN v SET DEFAULT 'of the view';
INSERT INTO plain (k, n) VALUES (60, 60) RETURNING v;
CREATE VIEW join_only AS SELECT t.k, a.ok FROM t JOIN allowed a ON a.k = t.k;
-- error
INSERT INTO join_only VALUES (1, true);
-- error
UPDATE join_only SET ok = true;
CREATE VIEW agg AS SELECT v, count(*) FROM t GROUP BY v;
-- error
DELETE FROM agg;
SELECT is_insertable_into, table_name FROM information_schema.tables WHERE table_schema = current_schema AND table_name IN ('plain', 'checked', 'agg', 'top_v', 'join_only') ORDER BY 2;
