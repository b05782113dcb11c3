-- Triggers of partitioned tables: those of statements fire as on plain PostgreSQL, those of rows of one partition alone are refused
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) VALUES (format('%s %s %s %s on %s args %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME, TG_ARGV));
  RETURN NULL;
END $$;
CREATE FUNCTION note_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s on %s new %s', TG_NAME, TG_OP, TG_TABLE_NAME, string_agg(n::text, ' ' ORDER BY n)) FROM new_rows n;
  RETURN NULL;
END $$;
CREATE FUNCTION note_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s on %s old %s', TG_NAME, TG_OP, TG_TABLE_NAME, string_agg(o::text, ' ' ORDER BY o)) FROM old_rows o;
  RETURN NULL;
END $$;
CREATE FUNCTION note_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (line) SELECT format('%s %s on %s %s', TG_NAME, TG_OP, TG_TABLE_NAME, string_agg(o::text || ' -> ' || n::text, ' ' ORDER BY o)) FROM old_rows o JOIN new_rows n USING (k);
  RETURN NULL;
END $$;
CREATE FUNCTION row_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, v text, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (junk int, v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev2 DROP COLUMN junk;
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TRIGGER early BEFORE INSERT ON ev FOR EACH STATEMENT EXECUTE FUNCTION note('early');
SELECT create_distributed_table('ev', 'k');
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON ev FOR EACH STATEMENT EXECUTE FUNCTION note('root');
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON ev FOR EACH STATEMENT EXECUTE FUNCTION note('root');
CREATE TRIGGER u AFTER UPDATE OF v ON ev FOR EACH STATEMENT EXECUTE FUNCTION note('of v');
CREATE TRIGGER p AFTER INSERT OR UPDATE OR DELETE ON ev2 FOR EACH STATEMENT EXECUTE FUNCTION note('partition');
CREATE TRIGGER p3 BEFORE INSERT OR UPDATE OR DELETE ON ev3 FOR EACH STATEMENT EXECUTE FUNCTION note('sub');
INSERT INTO ev VALUES (1, 1, 'a'), (2, 11, 'b'), (3, 21, 'c');
INSERT INTO ev VALUES (4, 4, 'd');
INSERT INTO ev2 (k, t, v) VALUES (5, 15, 'e');
INSERT INTO ev2 (k, t, v) SELECT i, 16, 'x' FROM generate_series(6, 9) i;
INSERT INTO ev3 VALUES (5, 25, 'e');
INSERT INTO ev3a VALUES (6, 26, 'e');
UPDATE ev SET v = v || '!' WHERE k = 1;
UPDATE ev SET v = v || '!';
UPDATE ev2 SET v = 'two' WHERE t = 15;
UPDATE ev3 SET v = 'three' WHERE k = 5;
UPDATE ev SET v = v WHERE k = 1000;
DELETE FROM ev WHERE k = 4;
DELETE FROM ev2 WHERE k > 8;
DELETE FROM ev3 WHERE k = 1000;
INSERT INTO ev VALUES (1, 1, 'again') ON CONFLICT (k, t) DO UPDATE SET v = 'up';
INSERT INTO ev VALUES (1, 1, 'again') ON CONFLICT DO NOTHING;
WITH x AS (DELETE FROM ev3a WHERE k = 6 RETURNING *) INSERT INTO ev2 (k, t, v) SELECT k, 17, v FROM x;
COPY ev FROM STDIN;
20	1	x
21	11	x
\.
COPY ev2 (k, t) FROM STDIN;
22	12
\.
SELECT line FROM audit ORDER BY id;
SELECT * FROM ev ORDER BY k, t;
TRUNCATE audit;
-- transition tables: rows of all partitions, as rows of the table that the statement names
CREATE TRIGGER new_rows AFTER INSERT ON ev REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_new();
CREATE TRIGGER old_rows AFTER DELETE ON ev REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION note_old();
CREATE TRIGGER both_rows AFTER UPDATE ON ev REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_both();
CREATE TRIGGER new_rows2 AFTER INSERT ON ev2 REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_new();
CREATE TRIGGER both_rows2 AFTER UPDATE ON ev2 REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_both();
INSERT INTO ev VALUES (30, 1, 'a'), (31, 11, 'b'), (32, 21, 'c');
INSERT INTO ev VALUES (33, 1, 'a');
INSERT INTO ev2 (k, t, v) VALUES (34, 12, 'a'), (35, 13, 'q');
INSERT INTO ev SELECT k + 10, t, v FROM ev WHERE k BETWEEN 30 AND 35;
COPY ev FROM STDIN;
50	1	x
51	11	x
\.
COPY ev2 (k, t) FROM STDIN;
52	12
\.
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
-- rows of one partition
CREATE TRIGGER r BEFORE INSERT ON ev FOR EACH ROW EXECUTE FUNCTION row_note();
DROP TRIGGER IF EXISTS r ON ev;
-- differs: row triggers of partitioned tables are refused
CREATE TRIGGER r AFTER UPDATE ON ev2 FOR EACH ROW EXECUTE FUNCTION row_note();
DROP TRIGGER IF EXISTS r ON ev2;
-- differs: row triggers of partitioned tables are refused
CREATE CONSTRAINT TRIGGER r AFTER UPDATE ON ev3a DEFERRABLE FOR EACH ROW EXECUTE FUNCTION row_note();
DROP TRIGGER IF EXISTS r ON ev3a;
CREATE TABLE ev5 (k int NOT NULL, t int NOT NULL, v text);
CREATE TRIGGER r BEFORE INSERT ON ev5 FOR EACH ROW EXECUTE FUNCTION row_note();
-- differs: row triggers of partitions are refused
ALTER TABLE ev ATTACH PARTITION ev5 FOR VALUES FROM (50) TO (60);
DROP TABLE ev5;
CREATE TABLE w (k int, t int) PARTITION BY RANGE (t);
CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);
CREATE TRIGGER r BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION row_note();
DROP TRIGGER r ON w;
CREATE TRIGGER r AFTER INSERT ON w1 FOR EACH ROW EXECUTE FUNCTION row_note();
-- differs: row triggers of partitions are refused
SELECT create_distributed_table('w', 'k');
DROP TRIGGER r ON w1;
SELECT create_distributed_table('w', 'k');
-- a partition that was detached is a table like others
ALTER TABLE ev DETACH PARTITION ev2;
CREATE TRIGGER r AFTER UPDATE ON ev2 FOR EACH ROW EXECUTE FUNCTION note('row');
UPDATE ev2 SET v = 'row' WHERE k = 5;
SELECT line FROM audit ORDER BY id;
