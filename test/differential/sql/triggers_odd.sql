-- Triggers on distributed tables: C functions, other owners, DDL inside, exceptions, isolation levels, special tables.
CREATE TABLE t (k int PRIMARY KEY, v text, big text, n int, ts tsvector);
SELECT create_distributed_table('t', 'k');
CREATE INDEX ON t (n);
INSERT INTO t (k, v, n) SELECT i, 'word' || i, i FROM generate_series(1, 20) i;
UPDATE t SET big = repeat('long value ', 5000) WHERE k = 1;
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION after_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) VALUES (TG_OP || ' ' || coalesce(OLD.k, NEW.k) || ' ' || coalesce(length(NEW.big), 0)); RETURN NULL; END $$;
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION after_row();
CREATE TRIGGER z_min_update BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
UPDATE t SET v = v WHERE k < 4;
UPDATE t SET v = CASE k WHEN 2 THEN 'other' ELSE v END WHERE k < 4;
UPDATE t SET big = big WHERE k = 1;
SELECT line FROM audit ORDER BY id;
CREATE TRIGGER b_ts BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(ts, 'pg_catalog.english', v);
INSERT INTO t (k, v) VALUES (21, 'the quick brown foxes') RETURNING ts;
UPDATE t SET v = 'jumping dogs' WHERE k = 3 RETURNING ts;
UPDATE t SET k = 103, v = 'moved away' WHERE k = 4 RETURNING k, ts;
SELECT k, ts FROM t WHERE ts @@ to_tsquery('english', 'jump | fox | move') ORDER BY k;
-- WHEN with whole rows, sub-values, NULLs
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) VALUES (TG_NAME || ' ' || TG_OP || ' ' || coalesce(NEW.k, OLD.k)); RETURN coalesce(NEW, OLD); END $$;
DROP TRIGGER a ON t;
CREATE TRIGGER w1 BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION note();
CREATE TRIGGER w2 AFTER DELETE ON t FOR EACH ROW WHEN (OLD.n IN (5, 6) OR OLD.v IS NULL) EXECUTE FUNCTION note();
CREATE TRIGGER w3 AFTER INSERT ON t FOR EACH ROW WHEN (NEW.n IS NULL) EXECUTE FUNCTION note();
CREATE FUNCTION note_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) VALUES (TG_NAME || ' ' || TG_OP || ' statement'); RETURN NULL; END $$;
CREATE TRIGGER w4 AFTER UPDATE OF n ON t FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION note_statement();
TRUNCATE audit;
UPDATE t SET v = v WHERE k = 5;
UPDATE t SET v = 'x', n = n WHERE k = 5;
DELETE FROM t WHERE k IN (5, 6, 7);
INSERT INTO t (k, v, n) VALUES (30, 'a', 1), (31, 'b', NULL);
SELECT line FROM audit ORDER BY line;
-- an update that the trigger makes of its own row, and one that makes the row vanish
CREATE FUNCTION own_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = 1000 WHERE k = NEW.k AND pg_trigger_depth() < 2; RETURN NULL; END $$;
CREATE TRIGGER own AFTER UPDATE OF v ON t FOR EACH ROW EXECUTE FUNCTION own_row();
UPDATE t SET v = 'own' WHERE k = 8;
SELECT k, v, n FROM t WHERE k = 8;
DROP TRIGGER own ON t;
CREATE FUNCTION deletes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t WHERE k = NEW.n + 1; RETURN NEW; END $$;
CREATE TRIGGER other AFTER UPDATE OF v ON t FOR EACH ROW EXECUTE FUNCTION deletes();
UPDATE t SET v = 'deletes the next' WHERE k = 9;
SELECT k FROM t WHERE k IN (9, 10, 11) ORDER BY k;
DROP TRIGGER other ON t;
-- exceptions inside and outside
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  BEGIN INSERT INTO t (k, v) VALUES (NEW.k, 'duplicate'); EXCEPTION WHEN unique_violation THEN INSERT INTO audit (line) VALUES ('caught'); END;
  IF NEW.v = 'raise' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0099'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER fails AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fails();
TRUNCATE audit;
UPDATE t SET v = 'fine' WHERE k = 12;
-- error
UPDATE t SET v = 'raise' WHERE k IN (12, 13);
CREATE FUNCTION tries() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  UPDATE t SET v = 'raise' WHERE k = 13;
  RETURN 'not caught';
EXCEPTION WHEN SQLSTATE 'P0099' THEN
  UPDATE t SET v = 'after' WHERE k = 14;
  RETURN 'caught';
END $$;
SELECT tries();
SELECT k, v FROM t WHERE k IN (12, 13, 14) ORDER BY k;
SELECT line FROM audit ORDER BY id;
DROP TRIGGER fails ON t;
-- what a trigger must not do while the table is being written
CREATE FUNCTION alters() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER TABLE t ADD COLUMN added int'; RETURN NEW; END $$;
CREATE TRIGGER alters BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION alters();
-- error
INSERT INTO t (k) VALUES (40);
-- error
INSERT INTO t (k) VALUES (40), (41);
DROP TRIGGER alters ON t;
CREATE FUNCTION truncates() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE t; RETURN NEW; END $$;
CREATE TRIGGER truncates BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION truncates();
-- error
UPDATE t SET v = 'x' WHERE k = 15;
DROP TRIGGER truncates ON t;
CREATE FUNCTION wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER wrong BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION wrong();
DELETE FROM t WHERE k = 15;
SELECT k FROM t WHERE k = 15;
DROP TRIGGER wrong ON t;
-- isolation levels
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
UPDATE t SET n = n + 1 WHERE k = 16;
INSERT INTO t (k, v) VALUES (50, 'rr');
DELETE FROM t WHERE k = 17;
SELECT count(*), sum(n) FROM t;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE t SET n = n + 1 WHERE k = 16;
COMMIT;
SELECT k, n FROM t WHERE k IN (16, 17, 50) ORDER BY k;
-- cursors and functions that return rows of a write
CREATE FUNCTION writes() RETURNS SETOF t LANGUAGE sql AS $$ UPDATE t SET v = 'sql' WHERE k IN (18, 19) RETURNING * $$;
SELECT k, v FROM writes() ORDER BY k;
DO $$ DECLARE r record; n int := 0; BEGIN
  FOR r IN INSERT INTO t (k, v) SELECT i, 'loop' FROM generate_series(60, 65) i RETURNING k LOOP n := n + r.k; END LOOP;
  INSERT INTO audit (line) VALUES ('sum ' || n);
END $$;
SELECT line FROM audit WHERE line LIKE 'sum%';
-- names that need quotes, another schema, a domain, an array, a composite column
CREATE SCHEMA "odd schema";
CREATE TYPE "odd schema".pair AS (a int, b text);
CREATE TABLE "odd schema"."Odd Table" ("Key" int, "the value" text, p "odd schema".pair, arr int[]);
SELECT create_distributed_table('"odd schema"."Odd Table"', 'Key');
CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) VALUES (format('%I.%I %s %s', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_RELID::regclass, NEW)); NEW.arr := NEW.arr || 7; NEW.p.a := 8; RETURN NEW; END $$;
CREATE TRIGGER "Odd Trigger" BEFORE INSERT OR UPDATE ON "odd schema"."Odd Table" FOR EACH ROW EXECUTE FUNCTION odd('"', '\');
TRUNCATE audit;
INSERT INTO "odd schema"."Odd Table" VALUES (1, 'one', ROW(1, 'x'), '{1,2}'), (2, NULL, NULL, NULL) RETURNING *;
UPDATE "odd schema"."Odd Table" SET p.b = 'y', arr[1] = 9 WHERE "Key" = 1 RETURNING *;
SELECT line FROM audit ORDER BY id;
-- a range table: a row that a trigger gives a key
CREATE TABLE r (d date, v int);
SELECT create_distributed_table('r', 'd', 'range');
SELECT cz_create_range_shard('r', '2020-01-01', '2021-01-01') IS NULL;
CREATE FUNCTION dates() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.d := coalesce(NEW.d, '2020-03-03'); RETURN NEW; END $$;
CREATE TRIGGER dates BEFORE INSERT OR UPDATE ON r FOR EACH ROW EXECUTE FUNCTION dates();
SELECT cz_create_range_shard('r', '2021-01-01', '2022-01-01') IS NULL;
INSERT INTO r VALUES (NULL, 1), ('2021-05-05', 2) RETURNING *;
COPY r FROM STDIN;
\N	3
2021-06-06	4
\.
UPDATE r SET d = NULL WHERE v = 4 RETURNING *;
SELECT * FROM r ORDER BY v;
-- back to a local table
CREATE TABLE back (k int, v text);
SELECT create_distributed_table('back', 'k');
CREATE FUNCTION back_fn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (line) SELECT TG_TABLE_NAME || n FROM new_rows n; RETURN NULL; END $$;
CREATE TRIGGER b AFTER INSERT ON back REFERENCING NEW TABLE AS new_rows FOR EACH ROW EXECUTE FUNCTION back_fn();
CREATE TRIGGER c AFTER INSERT ON back FOR EACH ROW EXECUTE FUNCTION note();
TRUNCATE audit;
INSERT INTO back VALUES (1, 'a'), (2, 'b');
SELECT undistribute_table('back');
INSERT INTO back VALUES (3, 'c');
SELECT create_distributed_table('back', 'k');
INSERT INTO back VALUES (4, 'd');
SELECT line FROM audit ORDER BY id;
