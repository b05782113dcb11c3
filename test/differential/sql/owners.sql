-- Owners and what goes with them: REASSIGN OWNED, DROP OWNED, default privileges, labels.
DROP ROLE IF EXISTS diff_old;
DROP ROLE IF EXISTS diff_new;
CREATE ROLE diff_old;
CREATE ROLE diff_new;
GRANT ALL ON SCHEMA t_owners TO diff_old, diff_new;
ALTER DEFAULT PRIVILEGES FOR ROLE diff_old IN SCHEMA t_owners GRANT SELECT ON TABLES TO diff_new;
SET ROLE diff_old;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (k int PRIMARY KEY, m mood);
SELECT create_distributed_table('t', 'k');
CREATE TABLE r (k int PRIMARY KEY, v text);
SELECT create_reference_table('r');
INSERT INTO t SELECT i, 'ok' FROM generate_series(1, 20) i;
INSERT INTO r VALUES (1, 'a');
RESET ROLE;
SELECT relname, relacl FROM pg_class WHERE relname IN ('t', 'r') AND relnamespace = 't_owners'::regnamespace ORDER BY 1;
SET ROLE diff_new;
SELECT count(*) FROM t JOIN r USING (k);
-- error
DELETE FROM t WHERE k = 1;
RESET ROLE;
-- error
SECURITY LABEL ON TABLE t IS 'secret';
-- error
SECURITY LABEL FOR nobody ON COLUMN t.m IS 'secret';
REASSIGN OWNED BY diff_old TO diff_new;
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('t', 'r', 't_pkey') AND relnamespace = 't_owners'::regnamespace ORDER BY 1;
SELECT typowner::regrole FROM pg_type WHERE typname = 'mood' AND typnamespace = 't_owners'::regnamespace;
SET ROLE diff_old;
-- error
SELECT count(*) FROM t;
SET ROLE diff_new;
DELETE FROM t WHERE k = 1;
INSERT INTO r VALUES (2, 'b');
ALTER TYPE mood ADD VALUE 'glad';
UPDATE t SET m = 'glad' WHERE k = 2;
ALTER TABLE t ADD COLUMN n int;
SELECT m, count(*) FROM t GROUP BY 1 ORDER BY 1;
RESET ROLE;
BEGIN;
DROP OWNED BY diff_new;
SELECT count(*) FROM pg_class WHERE relnamespace = 't_owners'::regnamespace;
ROLLBACK;
SELECT m, count(*) FROM t GROUP BY 1 ORDER BY 1;
DROP OWNED BY diff_new, diff_old CASCADE;
SELECT count(*) FROM pg_class WHERE relnamespace = 't_owners'::regnamespace;
DROP ROLE diff_old, diff_new;
