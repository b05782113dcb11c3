-- Triggers of UPDATE and DELETE on distributed tables: they see the user's table, in core's order.
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  text_of text := format('%s %s %s %s on %I.%I %s args %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME,
    TG_RELID::regclass = format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)::regclass, TG_ARGV);
BEGIN
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN text_of := text_of || ' old ' || OLD::text; END IF;
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN text_of := text_of || ' new ' || NEW::text; END IF;
  INSERT INTO audit (line) VALUES (replace(text_of, TG_TABLE_SCHEMA, 'S'));
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TABLE t (gone int, k int, v text, n int, double int GENERATED ALWAYS AS (n * 2) STORED, also_gone text, note text, PRIMARY KEY (k));
ALTER TABLE t DROP COLUMN gone;
SELECT create_distributed_table('t', 'k');
ALTER TABLE t DROP COLUMN also_gone;
INSERT INTO t (k, v, n) SELECT i, 'v' || i, i FROM generate_series(1, 30) i;
CREATE TRIGGER t1 BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note('b');
CREATE TRIGGER t2 AFTER UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note('a');
CREATE TRIGGER t3 BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t4 AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t5 AFTER UPDATE OF v, note ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note('of');
CREATE TRIGGER t6 BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.n > OLD.n) EXECUTE FUNCTION note('grows');
CREATE TRIGGER t7 AFTER UPDATE OF double ON t FOR EACH ROW WHEN (NEW.double > 20) EXECUTE FUNCTION note('double');
CREATE TRIGGER t8 BEFORE UPDATE OF n ON t FOR EACH STATEMENT EXECUTE FUNCTION note('of n');
UPDATE t SET v = 'new' WHERE k = 1;
UPDATE t SET v = v WHERE k = 2;
UPDATE t SET n = n + 10 WHERE k = 3 RETURNING *;
UPDATE t SET n = 0 WHERE k = 1000;
DELETE FROM t WHERE k = 4 RETURNING k, v, tableoid::regclass;
DELETE FROM t WHERE k = 1000;
UPDATE t SET k = 104 WHERE k = 5;
UPDATE t SET k = k WHERE k = 6;
UPDATE t SET (v, note) = (SELECT 'sub', o.v FROM t o WHERE o.k = t.k + 1) WHERE k = 7;
UPDATE t SET note = s.x FROM (VALUES (8, 'eight'), (9, 'nine')) s(k, x) WHERE s.k = t.k AND t.k = 8 RETURNING t, s.x;
DELETE FROM t USING t o WHERE t.k = o.k + 1 AND o.k = 8 RETURNING t.k, o.k;
WITH u AS (UPDATE t SET note = 'w' WHERE k = 10 RETURNING k, note) SELECT * FROM u;
UPDATE t SET note = 'volatile' WHERE k = 13 AND random() >= 0;
SELECT line FROM audit ORDER BY id;
SELECT * FROM t WHERE k < 14 OR k > 100 ORDER BY k;
SELECT v FROM t WHERE k = 104;
TRUNCATE audit;
-- two writes of one statement: no order between them
WITH d AS (DELETE FROM t WHERE k = 11 RETURNING *) UPDATE t SET note = d.v FROM d WHERE t.k = 12;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
-- many rows: each fires once
UPDATE t SET n = n + 1 WHERE k BETWEEN 14 AND 20;
SELECT line, count(*) FROM (SELECT regexp_replace(line, '(old|new) .*', '') AS line FROM audit) a GROUP BY 1 ORDER BY 1;
-- the statement's triggers come first and last, AFTER ROW behind all BEFORE ROW
SELECT min(id) = min(id) FILTER (WHERE line LIKE 't3 BEFORE STATEMENT%'), max(id) = max(id) FILTER (WHERE line LIKE 't4 AFTER STATEMENT%'),
  max(id) FILTER (WHERE line LIKE '% BEFORE %') < min(id) FILTER (WHERE line LIKE '% AFTER %') FROM audit;
-- BEFORE triggers that change the row, its key, or leave it out
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.v = 'v21' THEN RETURN NULL; END IF;
    RETURN OLD;
  END IF;
  IF NEW.v = 'skip' THEN RETURN NULL; END IF;
  IF NEW.v = 'fail' THEN RAISE EXCEPTION 'row % fails', OLD.k USING ERRCODE = 'P0042'; END IF;
  NEW.note := 'was ' || OLD.k;
  IF NEW.v = 'move' THEN NEW.k := OLD.k + 1000; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER a0 BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION change();
ALTER TABLE t DISABLE TRIGGER t1;
TRUNCATE audit;
DELETE FROM t WHERE k IN (21, 22) RETURNING k;
UPDATE t SET v = CASE k WHEN 23 THEN 'skip' WHEN 24 THEN 'move' ELSE 'stay' END WHERE k IN (23, 24, 25) RETURNING k, v, note;
-- error
UPDATE t SET v = CASE k WHEN 26 THEN 'fail' ELSE 'x' END WHERE k >= 26;
SELECT k, v, note FROM t WHERE k > 20 ORDER BY k;
SELECT v FROM t WHERE k = 1024;
SELECT line FROM audit ORDER BY regexp_replace(line, '.*(old|new)', ''), id;
ALTER TABLE t DISABLE TRIGGER ALL;
UPDATE t SET v = 'quiet' WHERE k = 27;
SELECT note, v FROM t WHERE k = 27;
ALTER TABLE t ENABLE TRIGGER a0;
ALTER TABLE t ENABLE REPLICA TRIGGER t1;
UPDATE t SET v = 'not quiet' WHERE k = 27;
TRUNCATE audit;
SET session_replication_role = replica;
UPDATE t SET v = 'replica' WHERE k = 28;
RESET session_replication_role;
SELECT k, note, v FROM t WHERE k IN (27, 28) ORDER BY k;
SELECT line FROM audit ORDER BY id;
-- transition tables
CREATE TABLE tt (id int, k int, v text);
SELECT create_distributed_table('tt', 'k');
INSERT INTO tt SELECT i, i, 'v' || i FROM generate_series(1, 20) i;
CREATE FUNCTION both_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s of %s: %s > %s', TG_NAME, TG_LEVEL, TG_TABLE_NAME,
    (SELECT string_agg(o::text, ' ' ORDER BY id) FROM old_rows o), (SELECT string_agg(n::text, ' ' ORDER BY id) FROM new_rows n));
  RETURN NULL;
END $$;
CREATE FUNCTION olds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s of %s: %s', TG_NAME, TG_LEVEL, TG_TABLE_NAME, (SELECT string_agg(o::text, ' ' ORDER BY id) FROM old_rows o));
  RETURN NULL;
END $$;
CREATE TRIGGER s1 AFTER UPDATE ON tt REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION both_rows();
CREATE TRIGGER s2 AFTER UPDATE ON tt REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH ROW EXECUTE FUNCTION both_rows();
CREATE TRIGGER s3 AFTER DELETE ON tt REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION olds();
CREATE TRIGGER s4 AFTER DELETE ON tt REFERENCING OLD TABLE AS old_rows FOR EACH ROW EXECUTE FUNCTION olds();
TRUNCATE audit;
UPDATE tt SET v = upper(v) WHERE id < 4;
UPDATE tt SET k = k + 100 WHERE id = 4;
UPDATE tt SET v = 'no' WHERE false;
DELETE FROM tt WHERE id IN (5, 6);
DELETE FROM tt WHERE id = 1000;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
WITH d AS (DELETE FROM tt WHERE id = 7 RETURNING *) UPDATE tt SET v = d.v FROM d WHERE tt.id = 8;
SELECT line FROM audit ORDER BY line;
SELECT * FROM tt ORDER BY id;
-- triggers that write: cascades, this table again, reference tables, savepoints inside
CREATE TABLE child (k int, parent int, n int);
SELECT create_distributed_table('child', 'k');
INSERT INTO child SELECT i, i % 5, 0 FROM generate_series(1, 20) i;
CREATE TABLE counts (name text PRIMARY KEY, n int);
SELECT create_reference_table('counts');
INSERT INTO counts VALUES ('tt', 0);
CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM child WHERE parent = OLD.id;
    UPDATE counts SET n = n - 1 WHERE name = TG_TABLE_NAME;
    RETURN OLD;
  END IF;
  BEGIN
    UPDATE child SET n = n + NEW.k WHERE parent = NEW.id;
    IF NEW.v = 'undo' THEN RAISE EXCEPTION 'undone'; END IF;
  EXCEPTION WHEN raise_exception THEN
    UPDATE counts SET n = n + 1000 WHERE name = TG_TABLE_NAME;
  END;
  UPDATE counts SET n = n + (SELECT count(*) FROM child WHERE n > 0) WHERE name = TG_TABLE_NAME;
  RETURN NEW;
END $$;
DROP TRIGGER s2 ON tt;
DROP TRIGGER s4 ON tt;
CREATE TRIGGER s5 AFTER UPDATE OR DELETE ON tt FOR EACH ROW EXECUTE FUNCTION spread();
UPDATE tt SET v = 'w' WHERE id = 1;
SELECT * FROM counts;
UPDATE tt SET v = 'undo' WHERE id = 2;
SELECT * FROM counts;
DELETE FROM tt WHERE id IN (1, 3);
SELECT * FROM counts;
SELECT * FROM child ORDER BY k;
CREATE FUNCTION recurse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 4 THEN
    UPDATE tt SET v = v || pg_trigger_depth() WHERE id = NEW.id + 1;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER s6 AFTER UPDATE ON tt FOR EACH ROW EXECUTE FUNCTION recurse();
UPDATE tt SET v = 'start' WHERE id = 10;
SELECT id, v FROM tt WHERE id BETWEEN 9 AND 16 ORDER BY id;
-- what a BEFORE trigger does to other rows of the same table is there afterwards
CREATE FUNCTION touch_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tt VALUES (OLD.id + 500, OLD.k + 500, 'made by ' || TG_OP);
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
DROP TRIGGER s6 ON tt;
CREATE TRIGGER s7 BEFORE UPDATE OR DELETE ON tt FOR EACH ROW EXECUTE FUNCTION touch_other();
UPDATE tt SET v = 'u' WHERE id IN (17, 18);
DELETE FROM tt WHERE id = 19;
SELECT id, k, v FROM tt WHERE id > 16 ORDER BY id;
BEGIN;
UPDATE tt SET v = 'rolled back' WHERE id = 20;
SAVEPOINT a;
DELETE FROM tt WHERE id = 20;
ROLLBACK TO a;
SELECT id, v FROM tt WHERE id IN (20, 520) ORDER BY 1, 2;
ROLLBACK;
SELECT id, v FROM tt WHERE id IN (20, 520) ORDER BY 1, 2;
PREPARE p (int, text) AS UPDATE tt SET v = $2 WHERE id = $1 RETURNING *;
EXECUTE p (2, 'p1');
EXECUTE p (2, 'p2');
EXECUTE p (2, 'p3');
EXECUTE p (2, 'p4');
EXECUTE p (2, 'p5');
EXECUTE p (2, 'p6');
EXECUTE p (2, 'p7');
SELECT count(*) FROM tt WHERE id = 502;
-- beside a deferrable unique constraint, whose trigger is the workers'
CREATE TABLE du (k int PRIMARY KEY DEFERRABLE, u int, v text, UNIQUE (k, u) DEFERRABLE INITIALLY DEFERRED);
SELECT create_distributed_table('du', 'k');
CREATE TABLE du_log (what text);
CREATE FUNCTION du_tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO du_log VALUES (concat_ws(' ', TG_NAME, TG_OP, OLD, NEW)); RETURN NULL; END$$;
CREATE TRIGGER du_after AFTER INSERT OR UPDATE OR DELETE ON du FOR EACH ROW EXECUTE FUNCTION du_tell();
INSERT INTO du VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
UPDATE du SET v = v || k, u = CASE WHEN k = 2 THEN 20 ELSE u END;
UPDATE du SET v = 'one' WHERE k = 1;
DELETE FROM du WHERE u = 20;
COPY du FROM STDIN;
4	4	d
5	5	e
\.
SELECT * FROM du_log ORDER BY 1;
SELECT * FROM du ORDER BY 1;
