-- What ALTER TABLE says of inheritance, types, triggers of all kinds and logging; statements
-- on tables that are about other catalogs: COMMENT, STATISTICS, LOCK, owners, default privileges.
CREATE TABLE t (k int NOT NULL, id int NOT NULL, v int DEFAULT 1, w text DEFAULT 'x', PRIMARY KEY (k, id));
CREATE TABLE r (id int PRIMARY KEY, v int);
CREATE TABLE above (k int NOT NULL, id int NOT NULL, v int, w text);
CREATE TYPE row_type AS (k int, id int, v int, w text);
CREATE TABLE log (what text);
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_distributed_table('t', 'k');
SELECT create_reference_table('r');
INSERT INTO t SELECT i, i, i, 'w' || i FROM generate_series(1, 10) i;
INSERT INTO r SELECT i, i FROM generate_series(1, 10) i;
BEGIN;
-- differs: a query over the parent would not ask the workers
ALTER TABLE t INHERIT above;
ROLLBACK;
-- error
-- other words
ALTER TABLE t NO INHERIT above;
BEGIN;
ALTER TABLE t OF row_type;
ROLLBACK;
-- error
ALTER TABLE t NOT OF;
-- error
-- other words
ALTER TABLE r NO INHERIT above;
-- error
ALTER TABLE r NOT OF;
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_NAME || ' ' || TG_OP || ' ' || TG_LEVEL); RETURN COALESCE(NEW, OLD); END$$;
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION tf();
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION tf();
CREATE CONSTRAINT TRIGGER c AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tf();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON r FOR EACH ROW EXECUTE FUNCTION tf();
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON r FOR EACH STATEMENT EXECUTE FUNCTION tf();
UPDATE t SET v = 0 WHERE k = 1;
SELECT * FROM log ORDER BY 1;
DELETE FROM log;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET v = 1 WHERE k = 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal ORDER BY 1;
ALTER TABLE t ENABLE TRIGGER USER;
SELECT * FROM log ORDER BY 1;
UPDATE t SET v = 2 WHERE k = 1;
SELECT * FROM log ORDER BY 1;
DELETE FROM log;
ALTER TABLE t DISABLE TRIGGER ALL;
UPDATE t SET v = 3 WHERE k = 1;
INSERT INTO t VALUES (20, 20);
DELETE FROM t WHERE k = 20;
SELECT * FROM log ORDER BY 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal ORDER BY 1;
ALTER TABLE t ENABLE TRIGGER a;
ALTER TABLE t ENABLE REPLICA TRIGGER b;
ALTER TABLE t ENABLE ALWAYS TRIGGER c;
UPDATE t SET v = 4 WHERE k = 1;
SELECT * FROM log ORDER BY 1;
DELETE FROM log;
ALTER TABLE t ENABLE TRIGGER ALL;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal ORDER BY 1;
UPDATE t SET v = 5 WHERE k = 1;
SELECT * FROM log ORDER BY 1;
DELETE FROM log;
-- the copies of a reference table stay equal meanwhile
ALTER TABLE r DISABLE TRIGGER USER;
UPDATE r SET v = v + 1 WHERE id = 1;
SELECT * FROM r JOIN t USING (id) WHERE t.k = 1;
ALTER TABLE r ENABLE TRIGGER USER, DISABLE TRIGGER ALL;
UPDATE r SET v = v + 1 WHERE id = 1;
SELECT * FROM r JOIN t USING (id) WHERE t.k = 1;
SELECT * FROM log ORDER BY 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'r'::regclass AND NOT tgisinternal ORDER BY 1;
ALTER TABLE r ENABLE TRIGGER ALL;
SET session_replication_role = replica;
UPDATE r SET v = v + 1 WHERE id = 1;
RESET session_replication_role;
SELECT * FROM r JOIN t USING (id) WHERE t.k = 1;
SELECT * FROM log ORDER BY 1;
UPDATE r SET v = v + 1 WHERE id = 1;
SELECT * FROM r JOIN t USING (id) WHERE t.k = 1;
SELECT * FROM log ORDER BY 1;
CREATE TABLE child (id int, rid int REFERENCES r DEFERRABLE);
ALTER TABLE r DISABLE TRIGGER ALL;
UPDATE r SET id = 30 WHERE id = 2;
ALTER TABLE r ENABLE TRIGGER ALL;
SET session_replication_role = replica;
UPDATE r SET v = 31 WHERE id = 30;
RESET session_replication_role;
INSERT INTO t VALUES (30, 30);
SELECT * FROM r JOIN t USING (id) WHERE t.k = 30;
CREATE ROLE alter_apart;
DO $$BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO alter_apart', current_schema); END$$;
ALTER TABLE r OWNER TO alter_apart;
ALTER TABLE t OWNER TO alter_apart;
SET ROLE alter_apart;
-- error
-- other words
ALTER TABLE r DISABLE TRIGGER ALL;
RESET ROLE;
DROP TABLE child;
SET ROLE alter_apart;
ALTER TABLE r DISABLE TRIGGER ALL;
UPDATE r SET v = 32 WHERE id = 30;
SELECT r.v FROM r JOIN t USING (id) WHERE t.k = 30;
ALTER TABLE r ENABLE TRIGGER ALL;
ALTER TABLE t DISABLE TRIGGER ALL;
ALTER TABLE t ENABLE TRIGGER ALL;
RESET ROLE;
ALTER TABLE r OWNER TO CURRENT_USER;
ALTER TABLE t OWNER TO CURRENT_USER;
DROP OWNED BY alter_apart;
DROP ROLE alter_apart;
ALTER TABLE t SET UNLOGGED;
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('t'::regclass, 't_pkey'::regclass) ORDER BY 1;
UPDATE t SET v = v;
SELECT object, expected, found FROM cz_check_shards('t');
-- differs: one copy would be empty after a crash, and others not
ALTER TABLE r SET UNLOGGED;
ALTER TABLE t SET LOGGED;
ALTER TABLE r SET LOGGED;
CREATE TABLE u (k int, s serial, w text, UNIQUE (k, w), PRIMARY KEY (k, s));
INSERT INTO u (k, w) SELECT i, 'w' || i FROM generate_series(1, 10) i;
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 1
SELECT create_distributed_table('u', 'k');
BEGIN;
ALTER TABLE u SET UNLOGGED, ADD COLUMN x int DEFAULT 7;
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('u'::regclass, 'u_pkey'::regclass, 'u_s_seq'::regclass) ORDER BY 1;
INSERT INTO u (k, w) VALUES (11, 'in');
SELECT * FROM u ORDER BY k;
ROLLBACK;
SELECT relpersistence FROM pg_class WHERE oid = 'u'::regclass;
ALTER TABLE u SET UNLOGGED;
-- error
ALTER TABLE u SET LOGGED, SET UNLOGGED;
CREATE INDEX u_w ON u (w);
ALTER TABLE u ALTER w TYPE varchar(20);
INSERT INTO u (k, w) VALUES (12, repeat('w', 20));
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('u'::regclass, 'u_pkey'::regclass, 'u_w'::regclass) ORDER BY 1;
SELECT count(*), max(w) FROM u;
-- cluster: SELECT 1 FROM cz_verify_placements('u')
SELECT object FROM (SELECT 'none' AS object) x WHERE false;
-- cluster: SELECT undistribute_table('u')
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('u'::regclass, 'u_pkey'::regclass, 'u_w'::regclass) ORDER BY 1;
CHECKPOINT;
SELECT count(*), max(w) FROM u;
ALTER TABLE u SET LOGGED;
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 1
SELECT create_distributed_table('u', 'k');
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('u'::regclass, 'u_pkey'::regclass, 'u_w'::regclass) ORDER BY 1;
SELECT count(*), max(w) FROM u;
COMMENT ON TABLE t IS 'a table';
COMMENT ON COLUMN t.v IS 'a column';
COMMENT ON CONSTRAINT t_pkey ON t IS 'a key';
COMMENT ON INDEX t_pkey IS 'an index';
COMMENT ON TRIGGER a ON t IS 'a trigger';
SELECT obj_description('t'::regclass, 'pg_class'), col_description('t'::regclass, 3), obj_description('t_pkey'::regclass, 'pg_class');
CREATE STATISTICS st (ndistinct, dependencies) ON v, w FROM t;
CREATE STATISTICS ste ON (v + 1), w FROM t;
CREATE STATISTICS str ON v, id FROM r;
COMMENT ON STATISTICS st IS 'statistics';
ALTER STATISTICS st RENAME TO st2;
ALTER STATISTICS st2 SET STATISTICS 10;
ANALYZE t;
ANALYZE r;
SELECT stxname, stxkind, stxstattarget FROM pg_statistic_ext WHERE stxrelid IN ('t'::regclass, 'r'::regclass) ORDER BY 1;
DROP STATISTICS st2, ste, str;
-- error
SECURITY LABEL ON TABLE t IS 'x';
-- error
SECURITY LABEL FOR nobody ON COLUMN t.v IS 'x';
BEGIN;
LOCK TABLE t;
LOCK TABLE r IN SHARE MODE;
LOCK TABLE ONLY t IN ACCESS SHARE MODE NOWAIT;
SELECT mode FROM pg_locks WHERE relation = 't'::regclass AND pid = pg_backend_pid() ORDER BY 1;
COMMIT;
-- error
LOCK TABLE t;
CREATE ROLE apart_a;
CREATE ROLE apart_b;
DO $$BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO apart_a, apart_b', current_schema); END$$;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO apart_a;
DO $$BEGIN EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT INSERT, UPDATE ON TABLES TO apart_b', current_schema); END$$;
CREATE TABLE dp (k int, v int);
-- cluster: SET cz.shard_count = 4; SET cz.shard_replication_factor = 2
SELECT create_distributed_table('dp', 'k');
SELECT relacl FROM pg_class WHERE relname = 'dp';
SET ROLE apart_a;
SELECT * FROM dp;
-- error
INSERT INTO dp VALUES (1, 1);
SET ROLE apart_b;
INSERT INTO dp VALUES (2, 1);
-- error
SELECT * FROM dp;
RESET ROLE;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM apart_a;
DO $$BEGIN EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I REVOKE INSERT, UPDATE ON TABLES FROM apart_b', current_schema); END$$;
ALTER TABLE dp OWNER TO apart_a;
ALTER TABLE r OWNER TO apart_a;
REASSIGN OWNED BY apart_a TO apart_b;
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('dp', 'r') ORDER BY 1;
SET ROLE apart_b;
INSERT INTO dp VALUES (1, 1);
SELECT * FROM dp ORDER BY 1;
RESET ROLE;
GRANT SELECT ON t TO apart_b;
DROP OWNED BY apart_b;
SELECT relname FROM pg_class WHERE relname IN ('dp', 'r') ORDER BY 1;
SELECT relacl FROM pg_class WHERE relname = 't';
DROP OWNED BY apart_a;
DROP ROLE apart_a, apart_b;
-- unlogged before it is distributed, with one placement for each shard
CREATE UNLOGGED TABLE unlogged (k int PRIMARY KEY, w text);
CREATE INDEX unlogged_w ON unlogged (w);
INSERT INTO unlogged SELECT i, 'w' || i FROM generate_series(1, 10) i;
-- cluster: SET cz.shard_replication_factor = 2
BEGIN;
SELECT create_distributed_table('unlogged', 'k', colocate_with => 'none');
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('unlogged'::regclass, 'unlogged_pkey'::regclass, 'unlogged_w'::regclass) ORDER BY 1;
INSERT INTO unlogged VALUES (11, 'in');
ALTER TABLE unlogged SET LOGGED;
ALTER TABLE unlogged SET UNLOGGED;
SELECT count(*) FROM unlogged;
ROLLBACK;
-- differs: one copy would be empty after a crash, and others not
SELECT create_reference_table('unlogged');
-- cluster: SET cz.shard_replication_factor = 1
SELECT create_distributed_table('unlogged', 'k', colocate_with => 'none');
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('unlogged'::regclass, 'unlogged_pkey'::regclass, 'unlogged_w'::regclass) ORDER BY 1;
INSERT INTO unlogged VALUES (11, 'in');
SELECT object, expected, found FROM cz_check_shards('unlogged');
ALTER TABLE unlogged ALTER k TYPE bigint;
SELECT count(*), max(k) FROM unlogged;
CREATE TABLE ordinary (k int, w text);
-- error
ALTER TABLE unlogged ATTACH PARTITION ordinary FOR VALUES IN (1);
-- error
ALTER TABLE unlogged DETACH PARTITION ordinary;
DROP TABLE ordinary;
ALTER TABLE unlogged SET LOGGED;
SELECT relpersistence FROM pg_class WHERE oid = 'unlogged'::regclass;
SELECT object, expected, found FROM cz_check_shards('unlogged');
ALTER TABLE unlogged SET UNLOGGED;
-- cluster: SELECT undistribute_table('unlogged')
SELECT count(*), max(k) FROM unlogged;
SELECT relname, relpersistence FROM pg_class WHERE oid IN ('unlogged'::regclass, 'unlogged_pkey'::regclass, 'unlogged_w'::regclass) ORDER BY 1;
DROP TABLE unlogged;
