-- Tables of the fuzz test.  NULLs everywhere, keys skewed, every table small: joins of many stay cheap.
--   ca cb cc   distributed on k (int), colocated; cb had a column dropped before, cc one after distribution
--   ta tb      distributed on s (text), colocated
--   od         distributed on k (bigint), colocated with nothing
--   oi         distributed on x (int): by its type colocated with ca, but on another column than k
--   rr rd      reference tables, rd with a dropped column
--   bi         distributed on id, larger than the others; nothing else has its key
--   bj         distributed on y (bigint), large too, its text in another collation
--   pa         distributed on k (int), colocated with ca, with row-level security for the role fuzz_reader
--   sb         a security-barrier view of cb
--   lo lb      local tables, lb larger
--   up ut      distributed on k, which is their primary key; rows of ut are written one by one: it has a trigger
CREATE TABLE ca (k int, id int, x int, y bigint, s text, n numeric(8,2), d date, t timestamptz, b bool, f float8);
CREATE TABLE cb (gone1 text, id int, y bigint, gone2 int, x int, k int, s text, n numeric, d date, t timestamptz, b bool);
ALTER TABLE cb DROP COLUMN gone1;
ALTER TABLE cb DROP COLUMN gone2;
CREATE TABLE cc (id int, s text, gone int, k int, x int, y bigint, n numeric(8,2));
CREATE TABLE ta (id int, s text, k int, x int, y bigint, n numeric, d date, b bool);
CREATE TABLE tb (s text, id int, x int, k int, n numeric);
CREATE TABLE od (id int, k bigint, x int, y bigint, s text, n numeric(8,2), d date, t timestamptz);
CREATE TABLE oi (id int, k int, x int, y bigint, s varchar(20));
CREATE TABLE rr (id int PRIMARY KEY, k int, x int, s text, n numeric, d date);
CREATE TABLE rd (gone int, id int, s text, k int, y bigint);
ALTER TABLE rd DROP COLUMN gone;
CREATE TABLE bi (id int, k int, x int, y bigint, s text, n numeric(10,2), d date, f float8);
CREATE TABLE bj (y bigint, id int, k int, s text COLLATE "und-x-icu", n numeric, t timestamptz);
CREATE TABLE pa (id int, who text, k int, x int, s text, d date);
CREATE TABLE lb (id int, k int, y bigint, s text, n numeric);
CREATE TABLE lo (id int, k int, x int, s text, b bool);
CREATE TABLE up (k int PRIMARY KEY, id int, x int, s text);
CREATE TABLE ut (k int PRIMARY KEY, id int, x int, s text);
SELECT create_distributed_table('up', 'k');
SELECT create_distributed_table('ut', 'k');
SELECT create_distributed_table('ca', 'k');
SELECT create_distributed_table('cb', 'k', colocate_with => 'ca');
SELECT create_distributed_table('cc', 'k', colocate_with => 'ca');
SELECT create_distributed_table('ta', 's');
SELECT create_distributed_table('tb', 's', colocate_with => 'ta');
SELECT create_distributed_table('od', 'k');
SELECT create_distributed_table('oi', 'x');
SELECT create_distributed_table('bi', 'id', colocate_with => 'none');
SELECT create_distributed_table('bj', 'y');
SELECT create_distributed_table('pa', 'k', colocate_with => 'ca');
SELECT create_reference_table('rr');
SELECT create_reference_table('rd');
ALTER TABLE cc DROP COLUMN gone;
ALTER TABLE cc ADD COLUMN d date;
INSERT INTO ca
  SELECT CASE WHEN i % 9 = 0 THEN NULL WHEN i % 3 = 0 THEN 1 ELSE i % 11 - 1 END, i,
         CASE WHEN i % 7 = 0 THEN NULL ELSE i % 5 END, CASE WHEN i % 8 = 0 THEN NULL ELSE i % 6 END,
         CASE WHEN i % 6 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'B ', '', 'c''d', 'ä'])[i % 6 + 1] END,
         CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 13) / 4.0 END, CASE WHEN i % 10 = 0 THEN NULL ELSE date '2024-02-26' + i % 7 END,
         CASE WHEN i % 11 = 0 THEN NULL ELSE timestamptz '2026-03-28 20:00+00' + i % 9 * interval '3 hours' END,
         CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END, CASE WHEN i % 4 = 0 THEN NULL ELSE i / 8.0 END
    FROM generate_series(1, 45) i;
INSERT INTO cb (k, id, x, y, s, n, d, t, b)
  SELECT CASE WHEN i % 8 = 0 THEN NULL WHEN i % 4 = 0 THEN 1 ELSE i % 13 END, i,
         CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 END, CASE WHEN i % 9 = 0 THEN NULL ELSE i % 7 END,
         CASE WHEN i % 7 = 0 THEN NULL ELSE (ARRAY['a', 'B', 'B ', 'zz'])[i % 4 + 1] END,
         CASE WHEN i % 6 = 0 THEN NULL ELSE (i % 9) / 2.0 END, CASE WHEN i % 9 = 0 THEN NULL ELSE date '2024-02-27' + i % 5 END,
         CASE WHEN i % 7 = 0 THEN NULL ELSE timestamptz '2026-03-29 00:00+00' + i % 5 * interval '1 hour' END, i % 2 = 0
    FROM generate_series(1, 32) i;
INSERT INTO cc (id, s, k, x, y, n, d)
  SELECT i, (ARRAY['a', NULL, 'zz'])[i % 3 + 1], CASE WHEN i % 7 = 0 THEN NULL ELSE i % 6 END,
         CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END, i % 4, i % 5, CASE WHEN i % 3 = 0 THEN NULL ELSE date '2024-02-28' + i % 3 END
    FROM generate_series(1, 20) i;
INSERT INTO ta
  SELECT i, CASE WHEN i % 8 = 0 THEN NULL ELSE (ARRAY['a', 'a ', 'B', 'b', '', 'zz', 'ä'])[i % 7 + 1] END,
         CASE WHEN i % 9 = 0 THEN NULL ELSE i % 8 END, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 6 END, i % 3, (i % 4) * 1.50,
         date '2024-02-26' + i % 4, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 = 0 END
    FROM generate_series(1, 30) i;
INSERT INTO tb
  SELECT CASE WHEN i % 6 = 0 THEN NULL ELSE (ARRAY['a', 'a ', 'zz', '', 'other'])[i % 5 + 1] END, i,
         CASE WHEN i % 7 = 0 THEN NULL ELSE i % 5 END, i % 9, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END
    FROM generate_series(1, 22) i;
INSERT INTO od
  SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 12 END, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 5 END, i % 8,
         (ARRAY['a', 'b', NULL, 'B '])[i % 4 + 1], CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 7) / 4.0 END, date '2024-02-27' + i % 3,
         CASE WHEN i % 5 = 0 THEN NULL ELSE timestamptz '2026-03-28 23:30+00' + i % 4 * interval '1 hour' END
    FROM generate_series(1, 35) i;
INSERT INTO oi
  SELECT i, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 7 END, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 6 END, i % 5,
         CASE WHEN i % 4 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'zz'])[i % 3 + 1] END
    FROM generate_series(1, 25) i;
INSERT INTO rr
  SELECT i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 9 END, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END,
         (ARRAY['a', NULL, 'B', 'zz'])[i % 4 + 1], CASE WHEN i % 3 = 0 THEN NULL ELSE i / 2.0 END, date '2024-02-27' + i % 4
    FROM generate_series(1, 12) i;
INSERT INTO rd (id, s, k, y)
  SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'a' END, CASE WHEN i % 4 = 0 THEN NULL ELSE i END, i % 3 FROM generate_series(1, 8) i;
INSERT INTO lo
  SELECT i, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 7 END, i % 3, CASE WHEN i % 5 = 0 THEN NULL ELSE 'a' END, i % 2 = 0
    FROM generate_series(1, 14) i;
INSERT INTO bi
  SELECT i, CASE WHEN i % 17 = 0 THEN NULL ELSE i % 40 END, i % 7, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 900 END,
         CASE WHEN i % 9 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'B ', 'zz', repeat('long ', 20)])[i % 5 + 1] END,
         CASE WHEN i % 8 = 0 THEN NULL ELSE (i % 101) / 4.0 END, date '2024-02-20' + i % 30, i / 16.0
    FROM generate_series(1, 1500) i;
INSERT INTO bj
  SELECT CASE WHEN i % 13 = 0 THEN NULL ELSE i % 700 END, i, i % 45, CASE WHEN i % 6 = 0 THEN NULL ELSE (ARRAY['a', 'B', 'b', 'zz', 'Ä'])[i % 5 + 1] END,
         (i % 23) / 2.0, timestamptz '2026-03-28 22:00+00' + i % 11 * interval '1 hour'
    FROM generate_series(1, 1100) i;
INSERT INTO pa
  SELECT i, CASE WHEN i % 3 = 0 THEN 'fuzz_reader' ELSE 'other' END, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 9 END,
         CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 END, CASE WHEN i % 4 = 0 THEN NULL ELSE (ARRAY['a', 'B', 'zz'])[i % 3 + 1] END,
         date '2024-02-26' + i % 6
    FROM generate_series(1, 40) i;
INSERT INTO lb
  SELECT i, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 30 END, i % 50, CASE WHEN i % 7 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'zz', 'ä'])[i % 4 + 1] END,
         (i % 9) / 2.0
    FROM generate_series(1, 250) i;
DO $$ BEGIN CREATE ROLE fuzz_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
ALTER TABLE pa ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON pa FOR SELECT USING (who = current_user OR x = 1);
CREATE POLICY narrowed ON pa AS RESTRICTIVE USING (k IS NULL OR k <> 5);
CREATE VIEW sb WITH (security_barrier) AS SELECT id, x, k, s, n FROM cb WHERE x IS DISTINCT FROM 2;
GRANT SELECT ON ca, cb, cc, ta, tb, od, oi, bi, bj, pa, rr, rd, lo, lb, sb TO fuzz_reader;
ANALYZE ca, cb, cc, ta, tb, od, oi, bi, bj, pa, rr, rd, lo, lb;
-- what a statement sees of the writes that its own functions do
CREATE FUNCTION fuzz_wrote(int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO cc (id) VALUES (2000 + $1) RETURNING 1';
CREATE FUNCTION fuzz_seen() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM cc); END';
CREATE FUNCTION fuzz_seen_now() RETURNS bigint LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN (SELECT count(*) FROM cc WHERE id > 2000); END';
INSERT INTO up SELECT i, i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 END, (ARRAY['a', NULL, 'B', 'zz'])[i % 4 + 1] FROM generate_series(1, 20, 2) i;
INSERT INTO ut SELECT * FROM up;
CREATE FUNCTION fuzz_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.x = 3 THEN NEW.x := 30; END IF; RETURN CASE WHEN NEW.x = 77 THEN NULL ELSE NEW END; END $$;
CREATE TRIGGER fuzz_row BEFORE INSERT OR UPDATE ON ut FOR EACH ROW EXECUTE FUNCTION fuzz_row();
