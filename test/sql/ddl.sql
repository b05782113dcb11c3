-- DDL on distributed tables reaches all placements, concerns the coordinator alone,
-- or is refused with its reason; never is it applied silently only here.
\set dbname cz_ddl
\i sql/include/worker_database.inc
\i sql/include/workers.inc
-- with the CHECKs of hash shards, however this was built
ALTER DATABASE :dbname SET cz.check_fragments = on;
\c :dbname postgres 127.0.0.1 :coordinator_port
SET cz.shard_count = 4;
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP ROLE IF EXISTS cz_ddl_owner;
CREATE ROLE cz_ddl_owner;
GRANT ALL ON SCHEMA public TO cz_ddl_owner;
RESET client_min_messages;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE t (id int, k int, v text DEFAULT 'x', n int CHECK (n >= 0), PRIMARY KEY (k, id));
CREATE INDEX t_v ON t (v);
SELECT create_distributed_table('t', 'k');
INSERT INTO t (id, k, n) SELECT i, i % 10, i FROM generate_series(1, 100) i;

-- ADD COLUMN: constant, stable, none, generated, domain of a new type, NOT NULL, CHECK
ALTER TABLE t ADD COLUMN a int DEFAULT 5, ADD COLUMN b timestamptz NOT NULL DEFAULT now(), ADD COLUMN c mood DEFAULT 'happy';
ALTER TABLE t ADD COLUMN IF NOT EXISTS a int;
ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (n * 2) STORED, ADD d int CONSTRAINT d_positive CHECK (d > 0);
SELECT a, c, count(*), count(DISTINCT b), sum(g) FROM t GROUP BY a, c;
INSERT INTO t (id, k, n, d) VALUES (1000, 1, 1, 1) RETURNING id, k, v, n, a, c, g, d;
INSERT INTO t (id, k, n, d, b) VALUES (1001, 1, 1, -1, '2024-01-01');
ALTER TABLE t ADD COLUMN r double precision DEFAULT random(), ADD COLUMN s serial, ADD COLUMN u int GENERATED ALWAYS AS IDENTITY;
SELECT count(DISTINCT r) = count(*) AS r, count(DISTINCT s) = count(*) AS s, count(DISTINCT u) = count(*) AS u, count(*) > 0 AS rows FROM t;
ALTER TABLE t DROP COLUMN r, DROP COLUMN s, DROP COLUMN u;
CREATE TABLE mine (a int) USING cz_rewrite;
CREATE TABLE mine (a int); ALTER TABLE mine SET ACCESS METHOD cz_rewrite; DROP TABLE mine;
ALTER TABLE t ADD COLUMN r int NOT NULL;
ALTER TABLE t ADD COLUMN u int UNIQUE;
ALTER TABLE t ADD COLUMN u int REFERENCES t;
CREATE TABLE target (id int PRIMARY KEY); BEGIN; ALTER TABLE t ADD COLUMN u int REFERENCES target; ROLLBACK; DROP TABLE target;
CREATE TABLE empty (k int); SELECT create_distributed_table('empty', 'k');
ALTER TABLE empty ADD COLUMN r double precision DEFAULT random(), ADD COLUMN s serial, ADD COLUMN z int NOT NULL;
INSERT INTO empty (k, z) VALUES (1, 1), (2, 2);
SELECT k, s, z, r IS NOT NULL AS r FROM empty ORDER BY k;

-- defaults and identity are the coordinator's
ALTER TABLE t ALTER COLUMN v SET DEFAULT 'y', ALTER COLUMN a DROP DEFAULT;
INSERT INTO t (id, k) VALUES (1002, 1) RETURNING v, a;

-- DROP COLUMN
ALTER TABLE t DROP COLUMN g, DROP COLUMN IF EXISTS nothing;
BEGIN; ALTER TABLE t DROP COLUMN k; ROLLBACK;
CREATE VIEW uses_d AS SELECT d FROM t;
ALTER TABLE t DROP COLUMN d;
ALTER TABLE t DROP COLUMN d CASCADE;
DROP TYPE mood CASCADE;
SELECT id, k, v, n, a FROM t WHERE id >= 1000 ORDER BY id;
\d t

-- indexes
CREATE INDEX t_n ON t (n DESC) WHERE n > 10;
CREATE INDEX IF NOT EXISTS t_n ON t (n);
CREATE INDEX ON t (lower(v), (n + 1));
CREATE UNIQUE INDEX t_u ON t (n, k, id);
CREATE UNIQUE INDEX t_bad ON t (n);
CREATE UNIQUE INDEX t_dup ON t (k, v) WHERE k = 7;
CREATE INDEX CONCURRENTLY t_c ON t (n);
INSERT INTO t (id, k, n) VALUES (2000, 1, 1);
DROP INDEX CONCURRENTLY t_n;
DROP INDEX t_u, t_c;
DROP INDEX t_pkey;
INSERT INTO t (id, k, n) VALUES (2000, 1, 1);
\d t

-- the same on all placements
\c cz_ddl postgres 127.0.0.1 :worker1_port
CREATE VIEW what AS
  SELECT 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || CASE WHEN a.atthasdef THEN ' default' ELSE '' END AS def
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relname ~ '^t_\d+$' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT 'constraint ' || regexp_replace(pg_get_constraintdef(o.oid), ' = \d+\)\)$', ' = N))') FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relname ~ '^t_\d+$' AND o.contype <> 'n'
  UNION ALL SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '_\d{6}', '_N', 'g') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname ~ '^t_\d+$';
SELECT def, count(*) = (SELECT count(*) FROM pg_class WHERE relname ~ '^t_\d+$' AND relkind = 'r') AS on_all FROM what GROUP BY def ORDER BY def;
DROP VIEW what;
\c cz_ddl postgres 127.0.0.1 :coordinator_port
\set SHOW_CONTEXT never
SET cz.shard_count = 4;

-- the coordinator's business
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON t USING (n < 5);
GRANT SELECT, INSERT ON t TO cz_ddl_owner;
SET ROLE cz_ddl_owner;
SELECT count(*) FROM t;
RESET ROLE;
COMMENT ON COLUMN t.n IS 'number';
CREATE TRIGGER keep BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE t DISABLE TRIGGER keep;
ALTER TABLE t ENABLE TRIGGER USER;
DROP TRIGGER keep ON t;
CREATE STATISTICS t_st ON n, v FROM t;
CREATE TABLE t_like (LIKE t INCLUDING ALL);
CREATE TABLE t_copy AS SELECT * FROM t;
SELECT count(*) FROM t_copy;
BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; ROLLBACK;

-- COPY TO, VACUUM, ANALYZE
BEGIN; DELETE FROM t WHERE k <> 7 OR n IS NULL;
COPY t (v, n, a) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (v));
ROLLBACK;
ANALYZE t;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
VACUUM t;
VACUUM (ANALYZE) t, t_copy;
BEGIN; VACUUM t; ROLLBACK;
-- options reach the workers as what they are
VACUUM (FULL false, INDEX_CLEANUP auto, PARALLEL 1, VERBOSE off, ANALYZE) t;
ANALYZE (SKIP_LOCKED 'on) pg_class; CREATE TABLE public.smuggled (a int); --') t;
ANALYZE ("skip_locked) pg_class; CREATE TABLE public.smuggled (); --") t;
SET ROLE cz_ddl_owner;
CREATE INDEX ON t (n);
RESET ROLE;

-- TRUNCATE
BEGIN; TRUNCATE t; SELECT count(*) FROM t; ROLLBACK;
SELECT count(*) FROM t;
TRUNCATE t;
SELECT count(*) FROM t;

-- refusals
CREATE TABLE plain (k int);
SELECT relname AS shard FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relname LIKE 't\_%' ORDER BY relname LIMIT 1 \gset
BEGIN; ALTER TABLE t SET UNLOGGED; ROLLBACK;
\set VERBOSITY sqlstate
ALTER TABLE t OF pg_class;
\set VERBOSITY default
ALTER TABLE t SET TABLESPACE pg_global;
ALTER TABLE t INHERIT plain;
CREATE TABLE ranged (k int); SELECT create_distributed_table('ranged', 'k', 'range');
ALTER TABLE ranged ALTER COLUMN k TYPE bigint;
ALTER TABLE ranged DROP COLUMN k;
DROP TABLE ranged;
ALTER TABLE t ADD UNIQUE (n);
ALTER TABLE t ADD EXCLUDE USING btree (n WITH =);
ALTER TABLE t ADD CHECK (tableoid > 0::oid);
ALTER TABLE t ATTACH PARTITION plain FOR VALUES WITH (MODULUS 4, REMAINDER 0);
ALTER TABLE t DETACH PARTITION cz_shards.:shard;
CREATE TABLE part PARTITION OF t FOR VALUES WITH (MODULUS 4, REMAINDER 0);
ALTER TABLE plain ADD FOREIGN KEY (k) REFERENCES t;
CREATE TABLE refers (k int REFERENCES t);
ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES t;
REINDEX TABLE CONCURRENTLY t;
REINDEX (TABLESPACE pg_global) TABLE t;
REINDEX TABLE t;
REINDEX INDEX t_v;
CLUSTER t USING t_v;
CLUSTER;
ALTER TABLE t SET WITHOUT CLUSTER;
SELECT * FROM cz_check_shards('t');
CREATE TABLE parted (k int, d int) PARTITION BY RANGE (d);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (2);
CREATE INDEX parted_d ON parted (d);
SELECT create_distributed_table('parted', 'k');
CREATE TABLE parted_2 (k int, d int);
-- what stands in the plan in place of tableoid believes nothing
SELECT cz.row_partition('parted'::regclass, 1, '{2}', 1) = 'parted_1'::regclass, cz.row_partition('parted'::regclass, NULL, '{2}', 1);
SELECT cz.row_partition('parted'::regclass, 1, '{2}', 1::bigint);
SELECT cz.row_partition('parted'::regclass, 1, '{1}', 1);
SELECT cz.row_partition('parted'::regclass, 1, '{2}', 7);
SELECT cz.row_partition('parted_2'::regclass, 1, '{2}', 1);
SELECT cz.row_partition('parted'::regclass, 1, '{2,3}', 1, 1);
SELECT cz.row_partition(NULL, 1, '{2}', 1);
SELECT cz.row_partition('parted'::regclass, 1, '{2}', VARIADIC ARRAY[1]);
DROP TABLE parted, parted_2;
CREATE TYPE state AS ENUM ('on', 'off'); CREATE DOMAIN small AS int;
CREATE TABLE typed (k int, s state, sm small); SELECT create_distributed_table('typed', 'k');
ALTER TYPE state ADD VALUE 'unknown' AFTER 'on';
ALTER TYPE state RENAME VALUE 'off' TO 'out';
INSERT INTO typed (k, s) VALUES (1, 'unknown'), (2, 'out'), (3, 'on');
SELECT s FROM typed ORDER BY s;
ALTER TYPE state RENAME TO states;
CREATE TYPE pair AS (a int, s states);
CREATE TABLE pairs (k int, p pair[]); SELECT create_distributed_table('pairs', 'k');
ALTER TYPE states ADD VALUE 'more';
ALTER TYPE pair ADD ATTRIBUTE b int;
ALTER TYPE pair RENAME ATTRIBUTE a TO c;
DROP TABLE pairs;
CREATE FUNCTION good(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 10';
CREATE TABLE checked (k int CHECK (good(k))); SELECT create_distributed_table('checked', 'k');
INSERT INTO checked VALUES (50);
CREATE OR REPLACE FUNCTION good(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100';
INSERT INTO checked VALUES (50);
DROP TABLE checked;
-- what was left on the workers follows the changes made since
CREATE TYPE later AS ENUM ('one'); CREATE FUNCTION f(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 10';
CREATE TABLE checked (k int CHECK (f(k)), l later); SELECT create_distributed_table('checked', 'k');
DROP TABLE checked;
ALTER TYPE later ADD VALUE 'two'; CREATE OR REPLACE FUNCTION f(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100';
CREATE TABLE checked (k int CHECK (f(k)), l later); INSERT INTO checked VALUES (50, 'two');
SELECT create_distributed_table('checked', 'k');
SELECT * FROM checked;
DROP TABLE checked;
ALTER DOMAIN small ADD CHECK (VALUE < 10);
-- shards by name
DROP FOREIGN TABLE cz_shards.:shard;
ALTER FOREIGN TABLE cz_shards.:shard ADD COLUMN x int;
ALTER TABLE cz_shards.:shard RENAME TO y;
CREATE TRIGGER x BEFORE INSERT ON cz_shards.:shard FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
GRANT SELECT ON cz_shards.:shard TO cz_ddl_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA cz_shards TO cz_ddl_owner;
INSERT INTO cz_shards.:shard (id, k) VALUES (1, 1);
-- those who do not own it
SET ROLE cz_ddl_owner;
ALTER TABLE t ADD COLUMN mine int;
CREATE INDEX ON t (n);
DROP TABLE t;
TRUNCATE t;
ANALYZE t;
RESET ROLE;

-- what the owner of a table writes must not run on the workers as a role that is not his
SET ROLE cz_ddl_owner;
CREATE FUNCTION mine(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE TABLE trap1 (k int CHECK (mine(k)));
CREATE TABLE trap2 (k int, CHECK (query_to_xml('SELECT 1', false, false, '') IS NOT NULL));
CREATE TABLE trap4 (k int, who name CHECK (who = CURRENT_USER));
CREATE TABLE trap3 (k int, g boolean GENERATED ALWAYS AS (mine(k)) STORED);
CREATE TABLE fine (k int, d date, at timestamptz CHECK (at <= now() AND at > d));
SELECT create_distributed_table('trap1', 'k');
SELECT create_distributed_table('trap2', 'k');
SELECT create_reference_table('trap3');
SELECT create_distributed_table('trap4', 'k');
SELECT create_distributed_table('fine', 'k');
CREATE INDEX ON fine (mine(k));
ALTER TABLE fine ADD COLUMN x int CHECK (pg_sleep(x) IS NOT NULL);
DROP TABLE fine, trap1, trap2, trap3, trap4;
-- nor what his temporary relations say of other objects, were they called as catalogs are
CREATE DOMAIN harmless AS int;
CREATE DOMAIN harmful AS int CHECK (query_to_xml('SELECT 1', false, false, '') IS NULL);
CREATE TABLE trap5 (k int, v harmless);
CREATE TEMP VIEW pg_constraint AS SELECT k.oid, k.conname, 'harmless'::regtype::oid AS contypid, k.contype, k.convalidated FROM pg_catalog.pg_constraint k WHERE k.contypid = 'harmful'::regtype;
SELECT create_distributed_table('trap5', 'k');
INSERT INTO trap5 VALUES (1, 1);
DROP VIEW pg_temp.pg_constraint;
DROP TABLE trap5;
DROP DOMAIN harmless, harmful;
RESET ROLE;

-- a server's new name is in the shards' options
SELECT s.srvname AS old_name FROM pg_foreign_server s ORDER BY 1 LIMIT 1 \gset
ALTER SERVER :old_name RENAME TO "Worker, first";
SELECT count(*) > 0 AS named FROM pg_foreign_table WHERE ftoptions::text LIKE '%Worker, first%';
INSERT INTO t (id, k) SELECT i, i FROM generate_series(1, 20) i;
SELECT count(*) FROM t;
ALTER SERVER "Worker, first" RENAME TO :old_name;

-- drops of every kind reach the workers
BEGIN; DROP TABLE t; ROLLBACK;
SELECT count(*) FROM t;
DO $$ BEGIN DROP TABLE t; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT count(*) FROM t;
SET client_min_messages = warning;
CREATE SCHEMA gone; CREATE TABLE gone.a (k int); SELECT create_distributed_table('gone.a', 'k');
-- what an event trigger undoes is its own
CREATE FUNCTION nosy() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN BEGIN DROP TABLE t; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END $$;
CREATE EVENT TRIGGER nosy ON sql_drop WHEN TAG IN ('DROP SCHEMA') EXECUTE FUNCTION nosy();
DROP SCHEMA gone CASCADE;
DROP EVENT TRIGGER nosy;
SELECT count(*) FROM t;
-- a name that is taken is taken in the table, not in a shard
CREATE TABLE named (k int, v int, CONSTRAINT a CHECK (v > 0), CONSTRAINT b CHECK (v < 9)); SELECT create_distributed_table('named', 'k');
ALTER TABLE named RENAME v TO k;
ALTER TABLE named RENAME CONSTRAINT a TO b;
DROP TABLE named;
-- functions of an index are its table's owner's to run, not those of who happens to make it
CREATE FUNCTION who(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'cz_ddl_owner' THEN RAISE EXCEPTION 'run by another role'; END IF; RETURN $1; END $$;
CREATE TABLE theirs (k int PRIMARY KEY, v int); ALTER TABLE theirs OWNER TO cz_ddl_owner; SELECT create_distributed_table('theirs', 'k');
CREATE INDEX ON theirs ((who(v) + who(0)));
CREATE INDEX ON theirs (v) WHERE who(1) = 1;
DROP TABLE theirs; DROP FUNCTION who;
SET ROLE cz_ddl_owner; CREATE TABLE owned (k int PRIMARY KEY); SELECT create_distributed_table('owned', 'k'); INSERT INTO owned VALUES (1); RESET ROLE;
DROP OWNED BY cz_ddl_owner;
DROP TABLE t, t_like, empty, typed;
SELECT count(*) FROM cz.tables;
SELECT count(*) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace;
CREATE TABLE last (k int PRIMARY KEY); SELECT create_distributed_table('last', 'k');
DROP EXTENSION cz_fdw CASCADE;
DROP ROLE cz_ddl_owner;
\c cz_ddl postgres 127.0.0.1 :worker1_port
SELECT count(*) AS left_on_worker FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname <> 'cz_object';
