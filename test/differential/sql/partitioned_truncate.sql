-- Partitioned tables: TRUNCATE
CREATE TABLE ev (k int NOT NULL, t int NOT NULL, id serial, v text DEFAULT 'root', PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE TABLE ev3d PARTITION OF ev3 DEFAULT;
SELECT create_distributed_table('ev', 'k');
CREATE TABLE d (k int PRIMARY KEY, x int);
SELECT create_distributed_table('d', 'k');
CREATE TABLE r (t int PRIMARY KEY, name text);
SELECT create_reference_table('r');
CREATE TABLE loc (k int PRIMARY KEY, w text);
CREATE TABLE lo2 (k int REFERENCES loc);
CREATE TABLE logged (n serial, what text, rows bigint);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO logged (what, rows) VALUES (TG_WHEN || ' ' || TG_OP || ' ' || TG_TABLE_NAME, (SELECT count(*) FROM ev));
  RETURN NULL;
END $$;
CREATE PROCEDURE fill() LANGUAGE sql AS $$
  INSERT INTO ev (k, t) SELECT i, i FROM generate_series(0, 39) i ON CONFLICT DO NOTHING;
  INSERT INTO d SELECT i, i FROM generate_series(0, 9) i ON CONFLICT DO NOTHING;
  INSERT INTO r SELECT i, i FROM generate_series(0, 9) i ON CONFLICT DO NOTHING;
  INSERT INTO loc SELECT i, i FROM generate_series(0, 9) i ON CONFLICT DO NOTHING;
  INSERT INTO lo2 SELECT i FROM generate_series(0, 9) i;
$$;
CREATE FUNCTION counts() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', (SELECT count(*) FROM ev), (SELECT count(*) FROM ev1), (SELECT count(*) FROM ev2), (SELECT count(*) FROM ev3),
    (SELECT count(*) FROM ev3a), (SELECT count(*) FROM ev3d), (SELECT count(*) FROM d), (SELECT count(*) FROM r), (SELECT count(*) FROM loc), (SELECT count(*) FROM lo2))
$$;
CALL fill();
SELECT counts();
TRUNCATE ev;
SELECT counts();
CALL fill();
SELECT count(*), min(id) FROM ev;
TRUNCATE ev1;
SELECT counts();
TRUNCATE TABLE ONLY ev2;
SELECT counts();
-- error
TRUNCATE ONLY ev3;
-- error
TRUNCATE ONLY ev;
TRUNCATE ev3a;
SELECT counts();
CALL fill();
TRUNCATE ev3;
SELECT counts();
CALL fill();
TRUNCATE ev3d, ev1, ev1;
SELECT counts();
CALL fill();
TRUNCATE ev3a, ev3, ev2;
SELECT counts();
CALL fill();
TRUNCATE ev2, ev;
SELECT counts();
CALL fill();
TRUNCATE ev, d, r RESTART IDENTITY;
SELECT counts();
CALL fill();
SELECT min(id), max(id) FROM ev;
TRUNCATE ev2 RESTART IDENTITY;
CALL fill();
SELECT min(id), max(id) FROM ev;
-- error
TRUNCATE ev, loc;
SELECT counts();
TRUNCATE ev1, loc CASCADE;
SELECT counts();
CALL fill();
-- error
TRUNCATE ev, missing;
-- error
TRUNCATE ev, pg_class;
CREATE VIEW vw AS SELECT 1;
-- error
TRUNCATE ev, vw;
SELECT counts();
-- in transactions
BEGIN;
TRUNCATE ev1;
SELECT counts();
INSERT INTO ev (k, t) VALUES (100, 1), (101, 11);
SELECT counts();
SAVEPOINT a;
TRUNCATE ev;
SELECT counts();
ROLLBACK TO a;
SELECT counts();
UPDATE ev SET v = 'x' WHERE t = 11;
TRUNCATE ev2 CASCADE;
SELECT counts();
ROLLBACK;
SELECT counts();
BEGIN;
INSERT INTO ev (k, t) VALUES (200, 1), (201, 11);
TRUNCATE ev3;
INSERT INTO ev (k, t) VALUES (300, 31);
COMMIT;
SELECT counts();
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev ORDER BY k;
FETCH 2 FROM c;
-- error
-- other words
TRUNCATE ev;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM ev2 ORDER BY k;
FETCH 2 FROM c;
-- error
TRUNCATE ev2;
ROLLBACK;
-- triggers
CREATE TRIGGER b BEFORE TRUNCATE ON ev EXECUTE FUNCTION log();
CREATE TRIGGER a AFTER TRUNCATE ON ev EXECUTE FUNCTION log();
CREATE TRIGGER b BEFORE TRUNCATE ON ev2 EXECUTE FUNCTION log();
CREATE TRIGGER a AFTER TRUNCATE ON ev2 EXECUTE FUNCTION log();
CALL fill();
TRUNCATE ev2;
SELECT what, rows FROM logged ORDER BY n;
TRUNCATE ev;
SELECT what, rows FROM logged ORDER BY n;
CALL fill();
TRUNCATE ev1;
SELECT what, rows FROM logged ORDER BY n;
SELECT count(*) FROM cz_verify_placements('ev') WHERE NOT ok;
-- who may
CREATE ROLE regress_parts_truncate;
GRANT USAGE ON SCHEMA t_partitioned_truncate TO regress_parts_truncate;
SET ROLE regress_parts_truncate;
-- error
TRUNCATE ev1;
-- error
TRUNCATE ev;
-- error
SELECT count(*) FROM ONLY ev;
-- error
UPDATE ONLY ev SET v = '';
RESET ROLE;
DROP TRIGGER a ON ev;
DROP TRIGGER b ON ev;
DROP TRIGGER a ON ev2;
DROP TRIGGER b ON ev2;
CREATE PROCEDURE cut() LANGUAGE plpgsql AS 'BEGIN TRUNCATE ev3; END';
CALL fill();
CALL cut();
SELECT counts();
CALL fill();
DO 'BEGIN TRUNCATE ev1; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END';
SELECT counts();
DROP TABLE ev;
DROP OWNED BY regress_parts_truncate;
DROP ROLE regress_parts_truncate;
