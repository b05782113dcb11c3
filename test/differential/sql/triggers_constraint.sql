-- Constraint triggers, deferred and not, and row triggers with transition tables and WHEN.
CREATE TABLE audit (id serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (line) VALUES (format('%s %s %s %s %s on %s %s depth %s args %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, OLD || ' ' , TG_TABLE_NAME, NEW, pg_trigger_depth(), TG_ARGV[0]));
  RETURN NULL;
END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT sum(v) FROM t) <> 100 THEN
    RAISE EXCEPTION 'sum is %', (SELECT sum(v) FROM t) USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TABLE other (a int);
CREATE TABLE t (gone int, k int PRIMARY KEY, v int, w text);
ALTER TABLE t DROP COLUMN gone;
-- one that the table has when it is distributed
CREATE CONSTRAINT TRIGGER before_it AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.v > 50) EXECUTE FUNCTION note('old');
SELECT create_distributed_table('t', 'k', shard_count => 4);
CREATE CONSTRAINT TRIGGER now AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER may AFTER UPDATE OF v ON t FROM other DEFERRABLE FOR EACH ROW WHEN (OLD.v <> NEW.v) EXECUTE FUNCTION note('x', 'y');
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note('late');
-- error
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
-- error
CREATE CONSTRAINT TRIGGER bad AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
-- error
CREATE CONSTRAINT TRIGGER bad AFTER INSERT ON t FOR EACH ROW WHEN (OLD.v > 1) EXECUTE FUNCTION note();
SELECT tgname, tgdeferrable, tginitdeferred, tgisinternal, replace(pg_get_triggerdef(oid), 'public.', '') FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY tgname;
SELECT conname, contype, condeferrable, condeferred FROM pg_constraint WHERE conrelid = 't'::regclass ORDER BY 1;
INSERT INTO t VALUES (1, 1, 'a'), (2, 60, 'b');
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
BEGIN;
INSERT INTO t VALUES (3, 70, 'c');
UPDATE t SET v = v + 1 WHERE k = 1;
UPDATE t SET w = 'w' WHERE k = 1;
SELECT line FROM audit ORDER BY id;
DELETE FROM t WHERE k = 2;
SELECT count(*) FROM audit;
COMMIT;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
-- SET CONSTRAINTS
BEGIN;
SET CONSTRAINTS may DEFERRED;
SET CONSTRAINTS late IMMEDIATE;
UPDATE t SET v = v + 1 WHERE k = 1;
SELECT line FROM audit ORDER BY id;
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT line FROM audit ORDER BY id;
ROLLBACK TO s;
SELECT line FROM audit ORDER BY id;
UPDATE t SET v = v + 1 WHERE k = 3;
SAVEPOINT s2;
UPDATE t SET v = v + 1 WHERE k = 3;
ROLLBACK TO s2;
SAVEPOINT s3;
UPDATE t SET v = v + 1 WHERE k = 3;
RELEASE s3;
COMMIT;
SELECT line FROM audit ORDER BY id;
TRUNCATE audit;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
UPDATE t SET v = v + 1 WHERE k = 1;
SET CONSTRAINTS late, may IMMEDIATE;
SELECT line FROM audit ORDER BY id;
-- error
SET CONSTRAINTS now DEFERRED;
ROLLBACK;
BEGIN;
-- error
SET CONSTRAINTS nothing DEFERRED;
ROLLBACK;
SELECT count(*) FROM audit;
-- a trigger that refuses at commit: nothing is changed
DELETE FROM t;
INSERT INTO t VALUES (1, 40, 'a'), (2, 60, 'b');
CREATE CONSTRAINT TRIGGER total AFTER INSERT OR UPDATE OR DELETE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
TRUNCATE audit;
-- error
UPDATE t SET v = v + 1 WHERE k = 1;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 1;
UPDATE t SET v = v - 1 WHERE k = 2;
COMMIT;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 1;
-- error
COMMIT;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 1;
-- error
SET CONSTRAINTS total IMMEDIATE;
ROLLBACK;
SELECT k, v FROM t ORDER BY k;
-- ON CONFLICT, MERGE, COPY, WITH, a row that moves
BEGIN;
INSERT INTO t VALUES (1, 50, 'up') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v;
MERGE INTO t USING (VALUES (2, 10), (5, 40)) s (k, v) ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v, 'm');
WITH d AS (DELETE FROM t WHERE k = 2 RETURNING *) INSERT INTO t SELECT k + 10, v, w FROM d;
UPDATE t SET k = k + 100 WHERE k = 5;
COMMIT;
SELECT * FROM t ORDER BY k;
SELECT line FROM audit ORDER BY line;
TRUNCATE audit;
-- the function of a deferred trigger writes, and defers again
CREATE TABLE log (k int, n int);
SELECT create_distributed_table('log', 'k', shard_count => 4);
CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log VALUES (NEW.k, NEW.v);
  RETURN NULL;
END $$;
CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.n < 1000 THEN INSERT INTO log VALUES (NEW.k, NEW.n + 1000); END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER w AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write();
CREATE CONSTRAINT TRIGGER w AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_again();
UPDATE t SET w = 'again';
SELECT * FROM log ORDER BY k, n;
ALTER TRIGGER w ON log RENAME TO w2;
ALTER TABLE log DISABLE TRIGGER USER;
INSERT INTO log VALUES (0, 0);
ALTER TABLE log ENABLE TRIGGER USER;
DROP TRIGGER w2 ON log;
SELECT count(*) FROM pg_constraint WHERE conname IN ('w', 'w2');
DROP TRIGGER w ON t;
INSERT INTO log VALUES (0, 1);
SELECT * FROM log WHERE k = 0 ORDER BY n;
DO $$ BEGIN
  UPDATE t SET v = v + 1 WHERE k = 1;
  UPDATE t SET v = v - 1 WHERE k = 1;
  BEGIN
    UPDATE t SET v = 0;
    RAISE EXCEPTION 'x';
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
END $$;
SELECT line FROM audit WHERE line LIKE 'late%' ORDER BY id;
TRUNCATE audit;
DROP TABLE other CASCADE;
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
-- transition tables and WHEN
CREATE FUNCTION trans() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (line) VALUES (format('%s %s %s: %s', TG_NAME, OLD, NEW, (SELECT string_agg(k || '>' || v, ',' ORDER BY k) FROM n)));
  RETURN NULL;
END $$;
CREATE TABLE x (k int PRIMARY KEY, v int);
SELECT create_distributed_table('x', 'k', shard_count => 4);
INSERT INTO x SELECT i, i FROM generate_series(1, 6) i;
CREATE TRIGGER tr AFTER UPDATE ON x REFERENCING NEW TABLE AS n OLD TABLE AS o FOR EACH ROW WHEN (NEW.v > 103) EXECUTE FUNCTION trans();
UPDATE x SET v = v + 100;
SELECT line FROM audit ORDER BY line;
SELECT replace(pg_get_triggerdef(oid), 'public.', '') FROM pg_trigger WHERE tgrelid = 'x'::regclass;
CREATE OR REPLACE TRIGGER tr AFTER UPDATE ON x REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (NEW.v > OLD.v) EXECUTE FUNCTION trans();
UPDATE x SET v = 1 WHERE k IN (1, 2);
UPDATE x SET v = v + 1 WHERE k IN (1, 2);
SELECT line FROM audit ORDER BY line;
-- error
CREATE TRIGGER tr2 AFTER UPDATE OF v ON x REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (NEW.v > 0) EXECUTE FUNCTION trans();
-- error
CREATE TRIGGER tr AFTER UPDATE ON x REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (NEW.v > 0) EXECUTE FUNCTION trans();
-- error
CREATE TRIGGER tr3 AFTER INSERT ON x REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (OLD.v > 0) EXECUTE FUNCTION trans();
SELECT tgname FROM pg_trigger WHERE tgrelid = 'x'::regclass ORDER BY 1;
-- a table that has such triggers when it is distributed
CREATE TABLE y (k int PRIMARY KEY, v int);
CREATE TRIGGER tr AFTER UPDATE ON y REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (NEW.v > 1) EXECUTE FUNCTION trans();
INSERT INTO y VALUES (1, 1), (2, 2);
TRUNCATE audit;
SELECT create_distributed_table('y', 'k', shard_count => 4);
UPDATE y SET v = v + 10 WHERE k < 3;
SELECT line FROM audit ORDER BY line;
-- COPY
TRUNCATE audit;
ALTER TABLE t DISABLE TRIGGER total;
BEGIN;
COPY t FROM stdin;
900	900	copied
901	901	copied
\.
SELECT count(*) FROM audit;
COMMIT;
SELECT line FROM audit ORDER BY id;
-- what has pending events is not changed or dropped
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
-- error
DROP TABLE t;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
DROP TRIGGER late ON t;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
-- error
ALTER TABLE t ADD COLUMN more int;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
-- error
ALTER TABLE t DISABLE TRIGGER late;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
-- error
TRUNCATE t;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
DROP FUNCTION note() CASCADE;
ROLLBACK;
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 900;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE t ADD COLUMN more int;
DROP TRIGGER late ON t;
COMMIT;
SELECT count(*) FROM t WHERE more IS NULL;
BEGIN;
SAVEPOINT s;
UPDATE t SET v = v + 1 WHERE k = 900;
ROLLBACK TO s;
DROP TABLE t;
COMMIT;
