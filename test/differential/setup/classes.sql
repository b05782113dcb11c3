-- Tables of the generated classes (classes/).  All have the columns k, id, x, y, s, n, d, b, in orders of
-- their own; id is unique; NULLs everywhere, also as keys; keys are skewed.
--   ha hb hc hd   distributed on k (int), colocated: nothing dropped; columns dropped before distribution, after it, both
--   em            the same, and empty
--   bk            distributed on k (bigint): colocated with nothing
--   hx            distributed on x (int)
--   ta tb         distributed on s, colocated
--   rg            distributed on k by range
--   ra rb         reference tables
--   la            a local table
CREATE TABLE ha (k int, id int, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE hb (gone1 text, id int, y bigint, gone2 int, x int, k int, s text, n numeric, d date, b bool);
CREATE TABLE hc (id int, gone text, s text, k int, x int, gone2 int, y bigint, n numeric, b bool);
CREATE TABLE hd (gone1 int, k int, gone2 text, b bool, n numeric, id int, s text, d date, x int);
CREATE TABLE em (gone text, id int, k int, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE bk (id int, gone int, k bigint, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE hx (s text, id int, k int, gone date, y bigint, x int, n numeric, b bool, d date);
CREATE TABLE ta (id int, s text, k int, x int, y bigint, n numeric, d date, b bool);
CREATE TABLE tb (gone int, s text, id int, x int, gone2 text, k int, n numeric, d date, b bool, y bigint);
CREATE TABLE rg (gone int, n numeric, k int, id int, x int, y bigint, s text, d date, b bool);
CREATE TABLE ra (id int PRIMARY KEY, k int, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE rb (gone text, id int PRIMARY KEY, b bool, s text, k int, gone2 int, y bigint, x int, n numeric, d date);
CREATE TABLE la (id int PRIMARY KEY, gone int, k int, x int, y bigint, s text, n numeric, d date, b bool);
ALTER TABLE hb DROP COLUMN gone1;
ALTER TABLE hb DROP COLUMN gone2;
ALTER TABLE hd DROP COLUMN gone1;
ALTER TABLE em DROP COLUMN gone;
ALTER TABLE rb DROP COLUMN gone;
ALTER TABLE rg DROP COLUMN gone;
ALTER TABLE hx DROP COLUMN gone;
ALTER TABLE tb DROP COLUMN gone;
ALTER TABLE la DROP COLUMN gone;
INSERT INTO ha (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 9 = 0 THEN NULL WHEN i % 3 = 0 THEN 1 ELSE i % 8 END, i, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 5 END,
         CASE WHEN i % 8 = 0 THEN NULL ELSE i % 6 END, CASE WHEN i % 6 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'B ', '', 'c''d', 'ä'])[i % 5 + 1] END,
         CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 13) / 4.0 END, CASE WHEN i % 10 = 0 THEN NULL ELSE date '2024-02-26' + i % 7 END,
         CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END
    FROM generate_series(1, 30) i;
SELECT create_distributed_table('ha', 'k');
SELECT create_distributed_table('hb', 'k', colocate_with => 'ha');
SELECT create_distributed_table('hc', 'k', colocate_with => 'ha');
SELECT create_distributed_table('hd', 'k', colocate_with => 'ha');
SELECT create_distributed_table('em', 'k', colocate_with => 'ha');
SELECT create_distributed_table('bk', 'k');
SELECT create_distributed_table('hx', 'x');
SELECT create_distributed_table('ta', 's');
SELECT create_distributed_table('tb', 's', colocate_with => 'ta');
SELECT create_distributed_table('rg', 'k', 'range');
SELECT cz_create_range_shard('rg', '-1', '2') IS NULL;
SELECT cz_create_range_shard('rg', '2', '4') IS NULL;
SELECT cz_create_range_shard('rg', '4', '6') IS NULL;
SELECT cz_create_range_shard('rg', '6', '100') IS NULL;
SELECT create_reference_table('ra');
SELECT create_reference_table('rb');
ALTER TABLE hc DROP COLUMN gone;
ALTER TABLE hc DROP COLUMN gone2;
ALTER TABLE hc ADD COLUMN d date;
ALTER TABLE hd DROP COLUMN gone2;
ALTER TABLE hd ADD COLUMN y bigint;
ALTER TABLE bk DROP COLUMN gone;
ALTER TABLE tb DROP COLUMN gone2;
ALTER TABLE rb DROP COLUMN gone2;
INSERT INTO hb (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 8 = 0 THEN NULL WHEN i % 4 = 0 THEN 1 ELSE i % 9 END, i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 END,
         CASE WHEN i % 9 = 0 THEN NULL ELSE i % 7 END, CASE WHEN i % 7 = 0 THEN NULL ELSE (ARRAY['a', 'B', 'B ', 'zz'])[i % 4 + 1] END,
         CASE WHEN i % 6 = 0 THEN NULL ELSE (i % 9) / 2.0 END, CASE WHEN i % 9 = 0 THEN NULL ELSE date '2024-02-27' + i % 5 END, i % 2 = 0
    FROM generate_series(1, 24) i;
INSERT INTO hc (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 7 = 0 THEN NULL ELSE i % 6 END, i, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END, i % 4, (ARRAY['a', NULL, 'zz'])[i % 3 + 1], i % 5,
         CASE WHEN i % 3 = 0 THEN NULL ELSE date '2024-02-28' + i % 3 END, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 = 0 END
    FROM generate_series(1, 20) i;
INSERT INTO hd (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 5 = 0 THEN NULL ELSE i % 4 END, i, i % 3, CASE WHEN i % 3 = 0 THEN NULL ELSE i % 5 END, (ARRAY['a', 'b', NULL, 'B '])[i % 4 + 1],
         CASE WHEN i % 4 = 0 THEN NULL ELSE i / 2.0 END, date '2024-02-26' + i % 3, i % 3 = 1
    FROM generate_series(1, 16) i;
INSERT INTO bk (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 10 = 0 THEN NULL ELSE i % 7 END, i, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 5 END, i % 8, (ARRAY['a', 'b', NULL, 'B '])[i % 4 + 1],
         CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 7) / 4.0 END, date '2024-02-27' + i % 3, CASE WHEN i % 3 = 0 THEN NULL ELSE i % 2 = 0 END
    FROM generate_series(1, 22) i;
INSERT INTO hx (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 6 = 0 THEN NULL ELSE i % 7 END, i, CASE WHEN i % 8 = 0 THEN NULL ELSE i % 6 END, i % 5,
         CASE WHEN i % 4 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'zz'])[i % 3 + 1] END, i % 4, date '2024-02-25' + i, i % 4 = 0
    FROM generate_series(1, 18) i;
INSERT INTO ta (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 9 = 0 THEN NULL ELSE i % 8 END, i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 6 END, i % 3,
         CASE WHEN i % 8 = 0 THEN NULL ELSE (ARRAY['a', 'a ', 'B', 'b', '', 'zz', 'ä'])[i % 7 + 1] END, (i % 4) * 1.50,
         date '2024-02-26' + i % 4, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 = 0 END
    FROM generate_series(1, 24) i;
INSERT INTO tb (k, id, x, y, s, n, d, b)
  SELECT i % 9, i, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 5 END, i % 6, CASE WHEN i % 6 = 0 THEN NULL ELSE (ARRAY['a', 'a ', 'zz', '', 'other'])[i % 5 + 1] END,
         CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END, CASE WHEN i % 5 = 0 THEN NULL ELSE date '2024-02-28' + i % 2 END, i % 5 < 2
    FROM generate_series(1, 17) i;
INSERT INTO rg (k, id, x, y, s, n, d, b)
  SELECT i % 8, i, CASE WHEN i % 6 = 0 THEN NULL ELSE i % 4 END, i % 5, CASE WHEN i % 5 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'zz'])[i % 3 + 1] END,
         CASE WHEN i % 7 = 0 THEN NULL ELSE i / 4.0 END, date '2024-02-26' + i % 5, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 2 = 0 END
    FROM generate_series(1, 20) i;
INSERT INTO ra (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 5 = 0 THEN NULL ELSE i % 9 END, i, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 3 END, i % 4, (ARRAY['a', NULL, 'B', 'zz'])[i % 4 + 1],
         CASE WHEN i % 3 = 0 THEN NULL ELSE i / 2.0 END, date '2024-02-27' + i % 4, i % 2 = 0
    FROM generate_series(1, 10) i;
INSERT INTO rb (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 4 = 0 THEN NULL ELSE i END, i, i % 2, i % 3, CASE WHEN i % 3 = 0 THEN NULL ELSE 'a' END, i, NULL, i % 3 = 0
    FROM generate_series(1, 7) i;
INSERT INTO la (k, id, x, y, s, n, d, b)
  SELECT CASE WHEN i % 4 = 0 THEN NULL ELSE i % 7 END, i, i % 3, i % 4, CASE WHEN i % 5 = 0 THEN NULL ELSE (ARRAY['a', 'b'])[i % 2 + 1] END, i * 0.5,
         date '2024-02-26' + i % 4, i % 2 = 0
    FROM generate_series(1, 12) i;
ANALYZE la;
-- views: plain, over a join, over an aggregate, with other names, over a view, security barriers
CREATE VIEW v_plain AS SELECT * FROM hb WHERE x > 0;
CREATE VIEW v_names (kk, ii, yy, ss) AS SELECT k, id, y, s FROM hc;
CREATE VIEW v_join AS SELECT a.k, a.id, b.id AS bid, a.s, b.n FROM ha a JOIN hb b USING (k);
CREATE VIEW v_left AS SELECT a.k, a.id, r.s AS rs, a.n FROM hd a LEFT JOIN ra r ON r.id = a.x;
CREATE VIEW v_agg AS SELECT k, count(*) AS c, sum(n) AS n, max(s) AS s FROM hb GROUP BY k;
CREATE VIEW v_total AS SELECT s, count(*) AS c, avg(n) AS n, min(d) AS d FROM hc GROUP BY s;
CREATE VIEW v_union AS SELECT k, id, s FROM ha UNION ALL SELECT k, id, s FROM hd;
CREATE VIEW v_view AS SELECT k, id, upper(s) AS s, n FROM v_plain WHERE id > 3;
CREATE VIEW v_window AS SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS r FROM hb;
CREATE VIEW v_other AS SELECT a.id, a.s, b.id AS bid FROM ha a JOIN bk b ON a.x = b.k;
CREATE VIEW v_local AS SELECT a.k, a.id, l.s FROM ha a JOIN la l ON l.id = a.id;
CREATE VIEW b_plain WITH (security_barrier) AS SELECT * FROM hb WHERE x > 0;
CREATE VIEW b_names (kk, ii, yy, ss) WITH (security_barrier) AS SELECT k, id, y, s FROM hc WHERE b IS NOT FALSE;
CREATE VIEW b_join WITH (security_barrier) AS SELECT a.k, a.id, b.id AS bid, a.s, b.n FROM ha a JOIN hd b USING (k) WHERE b.n IS NOT NULL;
CREATE VIEW b_view WITH (security_barrier) AS SELECT k, id, s, n FROM b_plain WHERE id > 2;
CREATE VIEW b_ref WITH (security_barrier) AS SELECT a.k, a.id, r.s, r.n FROM bk a JOIN ra r ON r.id = a.x;
CREATE VIEW b_agg WITH (security_barrier) AS SELECT k, count(*) AS c FROM hc GROUP BY k;
-- row-level security: what the role class_reader sees of copies of the tables
DO $$ BEGIN CREATE ROLE class_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
CREATE TABLE pa (gone int, k int, id int, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE pb (id int, k int, s text, gone int, x int, y bigint, n numeric, d date, b bool);
CREATE TABLE pc (k bigint, id int, x int, y bigint, s text, n numeric, d date, b bool);
CREATE TABLE pr (id int, k int, x int, y bigint, s text, n numeric, d date, b bool);
ALTER TABLE pa DROP COLUMN gone;
SELECT create_distributed_table('pa', 'k', colocate_with => 'ha');
SELECT create_distributed_table('pb', 'k', colocate_with => 'ha');
SELECT create_distributed_table('pc', 'k');
SELECT create_reference_table('pr');
ALTER TABLE pb DROP COLUMN gone;
INSERT INTO pa (k, id, x, y, s, n, d, b) SELECT k, id, x, y, s, n, d, b FROM ha;
INSERT INTO pb (k, id, x, y, s, n, d, b) SELECT k, id, x, y, s, n, d, b FROM hb;
INSERT INTO pc (k, id, x, y, s, n, d, b) SELECT k, id, x, y, s, n, d, b FROM bk;
INSERT INTO pr (k, id, x, y, s, n, d, b) SELECT k, id, x, y, s, n, d, b FROM ra;
ALTER TABLE pa ENABLE ROW LEVEL SECURITY;
ALTER TABLE pb ENABLE ROW LEVEL SECURITY;
ALTER TABLE pc ENABLE ROW LEVEL SECURITY;
ALTER TABLE pr ENABLE ROW LEVEL SECURITY;
CREATE POLICY positive ON pa USING (x > 0 OR s = current_user);
CREATE POLICY few ON pb FOR SELECT USING (b);
CREATE POLICY more ON pb FOR SELECT USING (k = 1);
CREATE POLICY never ON pb AS RESTRICTIVE USING (id <> 4);
CREATE POLICY sub ON pc USING (x IN (SELECT r.id FROM ra r));
CREATE POLICY odd ON pr USING (id % 2 = 1);
GRANT SELECT ON pa, pb, pc, pr, ra, ha TO class_reader;
CREATE VIEW pv AS SELECT k, id, s FROM pa WHERE id > 2;
CREATE VIEW pi WITH (security_invoker) AS SELECT k, id, s FROM pa WHERE id > 2;
GRANT SELECT ON pv, pi TO class_reader;
-- functions and aggregates of users
CREATE FUNCTION c_count(key int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM hb JOIN bk USING (k) WHERE k = key); END $$;
CREATE FUNCTION c_pairs(key int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM ha a JOIN hb b USING (k) WHERE a.k = key';
CREATE FUNCTION c_rows(key int) RETURNS TABLE (i int, t text) LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT a.id, r.s FROM hd a LEFT JOIN ra r ON r.id = a.x WHERE a.k = key; END $$;
CREATE FUNCTION c_inlined(key int) RETURNS SETOF hc LANGUAGE sql STABLE AS 'SELECT * FROM hc WHERE k = key';
CREATE FUNCTION c_loop() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE total bigint := 0; r record;
BEGIN
  FOR i IN 1..4 LOOP
    FOR r IN SELECT a.id FROM ha a JOIN hx b ON a.k = b.k WHERE a.k = i LOOP total := total + r.id; END LOOP;
    BEGIN total := total + 1 / (i - 2); EXCEPTION WHEN division_by_zero THEN SELECT total + count(*) INTO total FROM tb; END;
  END LOOP;
  RETURN total;
END $$;
CREATE FUNCTION c_dynamic(text) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE $1; END $$;
CREATE AGGREGATE c_product(int) (sfunc = int4mul, stype = int, initcond = 1);
CREATE AGGREGATE c_strict(int) (sfunc = int4larger, stype = int);
CREATE FUNCTION c_step(state text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(state, '') || '<' || coalesce(value, 'null') || '>' $$;
CREATE AGGREGATE c_concat(text) (sfunc = c_step, stype = text);
CREATE FUNCTION c_keep(state int, value int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT state';
CREATE AGGREGATE c_first(int) (sfunc = c_keep, stype = int);
CREATE FUNCTION c_add(state numeric, value int) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT state + coalesce(value, 100)';
CREATE FUNCTION c_end(state numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'sum ' || state $$;
CREATE AGGREGATE c_initial(int) (sfunc = c_add, stype = numeric, finalfunc = c_end, initcond = '1000');
