-- Row triggers of partitioned tables: those of a row's partition fire, under its name
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  text_of text := format('%s %s %s %s on %s %s args %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME, TG_RELID::regclass, TG_ARGV);
BEGIN
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN text_of := text_of || ' old ' || OLD::text; END IF;
  IF TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN text_of := text_of || ' new ' || NEW::text; END IF;
  INSERT INTO audit (line) VALUES (text_of);
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TABLE ev (gone int, k int NOT NULL, t int NOT NULL, v text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
ALTER TABLE ev DROP COLUMN gone;
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (n int, junk int, v text, t int NOT NULL, twice int GENERATED ALWAYS AS (n * 2) STORED, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN junk;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OR DELETE ON ev FOR EACH ROW EXECUTE FUNCTION note('b');
SELECT create_distributed_table('ev', 'k');
CREATE TRIGGER t2 AFTER INSERT OR UPDATE OR DELETE ON ev FOR EACH ROW EXECUTE FUNCTION note('a');
CREATE TRIGGER t3 BEFORE INSERT OR UPDATE OR DELETE ON ev FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t4 AFTER INSERT OR UPDATE OR DELETE ON ev FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER t5 AFTER UPDATE OF v ON ev FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note('of v');
CREATE TRIGGER t6 BEFORE UPDATE ON ev FOR EACH ROW WHEN (NEW.n > OLD.n) EXECUTE FUNCTION note('grows');
CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (40) TO (50);
CREATE TABLE ev5 (k int NOT NULL, t int NOT NULL, v text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO ev5 VALUES (500, 55, 'old', 5);
ALTER TABLE ev ATTACH PARTITION ev5 FOR VALUES FROM (50) TO (60);
SELECT tgrelid::regclass, tgname, tgparentid <> 0 FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('ev')) ORDER BY 1, 2;
-- insert
INSERT INTO ev (k, t, v, n) VALUES (1, 1, 'a', 1);
INSERT INTO ev (k, t, v, n) VALUES (2, 12, 'b', 2), (3, 23, 'c', 3), (4, 44, 'd', 4) RETURNING *, tableoid::regclass;
INSERT INTO ev2 (k, t, v, n) VALUES (5, 15, 'e', 5) RETURNING *;
INSERT INTO ev3 (k, t, v, n) VALUES (6, 26, 'f', 6);
INSERT INTO ev SELECT k + 10, t, v, n FROM ev WHERE k IN (1, 2) ORDER BY k;
COPY ev (k, t, v, n) FROM STDIN;
21	1	c1	1
22	12	c2	2
\.
COPY ev2 (k, t, v, n) FROM STDIN;
23	13	c3	3
\.
-- error
INSERT INTO ev (k, t) VALUES (99, 99);
-- error
INSERT INTO ev (k, t) VALUES (1, 1);
INSERT INTO ev (k, t) VALUES (1, 1), (31, 1) ON CONFLICT DO NOTHING;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
-- update, delete
UPDATE ev SET v = 'new' WHERE k = 1;
UPDATE ev SET n = n + 10 WHERE k = 2 RETURNING *, tableoid::regclass;
UPDATE ev SET v = v WHERE k = 3;
UPDATE ev2 SET v = 'two' WHERE k = 5;
UPDATE ev3 SET n = 0 WHERE k = 6;
DELETE FROM ev WHERE k = 4 RETURNING *, tableoid::regclass;
DELETE FROM ev2 WHERE k = 22;
DELETE FROM ev WHERE k = 1000;
UPDATE ev SET v = 'volatile' WHERE k = 11 AND random() >= 0;
WITH d AS (DELETE FROM ev WHERE k = 12 RETURNING *) SELECT k, v FROM d;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
-- rows that change their partition
UPDATE ev SET t = t + 10 WHERE k = 1;
UPDATE ev SET t = 45, v = 'moved' WHERE k = 5 RETURNING *, tableoid::regclass;
UPDATE ev SET k = k + 1000 WHERE k = 3;
UPDATE ev SET k = k + 1000, t = 5 WHERE k = 6;
-- error
UPDATE ev2 SET t = 1 WHERE k = 2;
-- error
UPDATE ev SET t = 99 WHERE k = 2;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
MERGE INTO ev USING (VALUES (2, 1), (1, 2), (777, 3)) s (k, x) ON s.k = ev.k WHEN MATCHED AND x = 1 THEN UPDATE SET v = 'merged' WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (k, t, v) VALUES (s.k, 7, 'm');
SELECT line FROM audit ORDER BY line;
SELECT *, tableoid::regclass FROM ev ORDER BY k, t;
TRUNCATE audit;
-- triggers that change rows, and leave them out
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.v = 'keep' THEN RETURN NULL; END IF;
    RETURN OLD;
  END IF;
  IF NEW.v = 'skip' THEN RETURN NULL; END IF;
  IF NEW.v = 'away' THEN NEW.t := NEW.t + 10; END IF;
  NEW.n := NEW.n + 100;
  NEW.v := NEW.v || '!';
  RETURN NEW;
END $$;
DROP TRIGGER t1 ON ev;
DROP TRIGGER t6 ON ev;
CREATE TRIGGER c BEFORE INSERT OR UPDATE OR DELETE ON ev FOR EACH ROW EXECUTE FUNCTION change();
INSERT INTO ev (k, t, v, n) VALUES (40, 1, 'a', 1), (41, 11, 'b', 2), (42, 12, 'skip', 3), (43, 21, 'd', 4) RETURNING *;
-- error
INSERT INTO ev (k, t, v, n) VALUES (44, 1, 'away', 1);
UPDATE ev SET v = 'x' WHERE k IN (40, 41) RETURNING *;
UPDATE ev SET v = 'skip' WHERE k = 40 RETURNING *;
UPDATE ev SET v = 'away' WHERE k = 41;
COPY ev (k, t, v, n) FROM STDIN;
50	1	c1	1
51	12	skip	2
52	12	c3	3
\.
INSERT INTO ev (k, t, v) VALUES (60, 1, 'k');
UPDATE ev2 SET v = 'kee' WHERE k = 52;
ALTER TABLE ev DISABLE TRIGGER c;
UPDATE ev SET v = 'keep' WHERE k = 60;
ALTER TABLE ev ENABLE TRIGGER c;
DELETE FROM ev WHERE k IN (50, 60) RETURNING k;
SELECT *, tableoid::regclass FROM ev WHERE k >= 40 AND k < 70 ORDER BY k, t;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
-- transition tables beside them
CREATE FUNCTION note_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s on %s %s', TG_NAME, TG_OP, TG_TABLE_NAME, string_agg(o::text || ' -> ' || nn::text, ' ' ORDER BY o)) FROM old_rows o JOIN new_rows nn USING (k);
  RETURN NULL;
END $$;
CREATE FUNCTION note_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s on %s new %s', TG_NAME, TG_OP, TG_TABLE_NAME, string_agg((k, t, v, n)::text, ' ' ORDER BY k)) FROM new_rows nn;
  RETURN NULL;
END $$;
DROP TRIGGER c ON ev;
CREATE TRIGGER both_rows AFTER UPDATE ON ev REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_both();
CREATE TRIGGER new_rows AFTER INSERT ON ev REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_new();
INSERT INTO ev (k, t, v, n) VALUES (70, 1, 'a', 1), (71, 11, 'b', 2);
UPDATE ev SET v = 'both' WHERE k = 71;
UPDATE ev SET t = t + 10 WHERE k = 71;
COPY ev (k, t, v, n) FROM STDIN;
72	1	c1	1
73	12	c2	2
\.
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
-- deferred ones
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON ev DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note('late');
BEGIN;
INSERT INTO ev (k, t, v, n) VALUES (80, 1, 'a', 1);
UPDATE ev SET t = 11 WHERE k = 80;
SELECT line FROM audit WHERE line LIKE '%late%' ORDER BY id;
COMMIT;
SELECT line FROM audit WHERE line LIKE '%late%' ORDER BY id;
TRUNCATE audit;
-- one of them alone, and detached
ALTER TABLE ev1 DISABLE TRIGGER t2;
UPDATE ev SET v = 'q' WHERE k IN (70, 80);
SELECT line FROM audit WHERE line LIKE 't2%' ORDER BY line;
TRUNCATE audit;
ALTER TABLE ev DETACH PARTITION ev2;
UPDATE ev2 SET v = 'r' WHERE k = 80;
SELECT count(*) FROM audit;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'ev2'::regclass;
ALTER TRIGGER t2 ON ev RENAME TO t2_renamed;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE 't2%' ORDER BY 1, 2;
DROP TRIGGER t2_renamed ON ev;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE 't2%' ORDER BY 1, 2;
INSERT INTO ev (k, t, v) VALUES (70, 1, 'again') ON CONFLICT DO NOTHING;
INSERT INTO ev (k, t, v) VALUES (70, 1, 'again'), (170, 44, 'more') ON CONFLICT (k, t) DO UPDATE SET v = 'up' RETURNING *, tableoid::regclass;
-- error
INSERT INTO ev (k, t, v) VALUES (70, 1, 'again') ON CONFLICT (k, t) DO UPDATE SET t = 44;
INSERT INTO ev1 (k, t, v) VALUES (70, 1, 'again') ON CONFLICT (k, t) DO UPDATE SET v = 'up again' RETURNING k, t, v;
SELECT line FROM audit ORDER BY id;
-- a trigger that writes to the table
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.k < 1000 THEN INSERT INTO ev (k, t, v) VALUES (NEW.k + 1000, NEW.t, TG_TABLE_NAME); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER again AFTER INSERT ON ev FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO ev (k, t) VALUES (90, 1), (91, 44);
SELECT k, t, v, tableoid::regclass FROM ev WHERE k IN (90, 91, 1090, 1091) ORDER BY k;
SELECT count(*) FROM cz_check_shards('ev');
-- a partition's own ones
CREATE TABLE w (k int, t int, v text) PARTITION BY RANGE (t);
CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);
CREATE TABLE w2 (v text, t int, k int);
CREATE TRIGGER own BEFORE INSERT OR UPDATE OR DELETE ON w2 FOR EACH ROW EXECUTE FUNCTION note('own');
ALTER TABLE w ATTACH PARTITION w2 FOR VALUES FROM (10) TO (20);
CREATE TABLE w3 PARTITION OF w FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE w3a PARTITION OF w3 FOR VALUES FROM (20) TO (30);
SELECT create_distributed_table('w', 'k');
TRUNCATE audit;
INSERT INTO w VALUES (1, 1, 'a'), (2, 12, 'b'), (3, 23, 'c');
UPDATE w SET v = 'u';
UPDATE w SET t = t + 10 WHERE k = 1;
DELETE FROM w WHERE k = 2;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
PREPARE ins (int, int) AS INSERT INTO w VALUES ($1, $2, 'p') RETURNING *;
PREPARE upd (int) AS UPDATE w SET v = v || '+' WHERE k = $1;
EXECUTE ins (10, 25);
EXECUTE upd (10);
CREATE TRIGGER deep AFTER INSERT OR UPDATE OR DELETE ON w3a FOR EACH ROW EXECUTE FUNCTION note('deep');
CREATE TRIGGER middle AFTER DELETE ON w3 FOR EACH ROW EXECUTE FUNCTION note('middle');
EXECUTE ins (11, 25);
EXECUTE upd (10);
EXECUTE upd (11);
INSERT INTO w SELECT k + 20, t, v FROM w;
COPY w FROM STDIN;
40	11	c
41	21	c
\.
DELETE FROM w WHERE k IN (10, 41);
DELETE FROM w3 WHERE k = 11;
UPDATE w1 SET v = 'none';
MERGE INTO w USING (VALUES (40, 'm'), (77, 'n')) s (k, v) ON s.k = w.k WHEN MATCHED THEN UPDATE SET v = s.v, t = 22 WHEN NOT MATCHED THEN INSERT VALUES (s.k, 15, s.v);
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
CREATE TABLE w4 (k int, t int, v text);
CREATE TRIGGER own AFTER INSERT ON w4 FOR EACH ROW EXECUTE FUNCTION note('four');
ALTER TABLE w ATTACH PARTITION w4 FOR VALUES FROM (40) TO (50);
EXECUTE ins (50, 44);
DROP TRIGGER own ON w4;
EXECUTE ins (51, 44);
ALTER TABLE w3a DISABLE TRIGGER deep;
EXECUTE ins (52, 24);
ALTER TABLE w3a ENABLE TRIGGER deep;
EXECUTE ins (53, 24);
SELECT line FROM audit ORDER BY id;
SELECT *, tableoid::regclass FROM w ORDER BY k, t;
