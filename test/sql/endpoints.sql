-- What a session keeps of servers, user mappings and roles is dropped when they change: in
-- the same session, in the same transaction, and when a change is rolled back.
-- Coordinator, workers 1, 2, 3; database cz_endpoints on each.
\set dbname cz_endpoints
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\set VERBOSITY sqlstate
SET client_min_messages = error;
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 1;
DROP ROLE IF EXISTS cz_endpoint;
CREATE ROLE cz_endpoint SUPERUSER LOGIN;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i;
CREATE PROCEDURE each_server(command text) LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
  FOR name IN SELECT s.srvname FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE w.fdwname = 'cz_fdw' ORDER BY 1
  LOOP
    EXECUTE format(command, name);
  END LOOP;
END $$;
CREATE FUNCTION port_of(server text) RETURNS text LANGUAGE sql AS $$
SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o WHERE s.srvname = server AND o.option_name = 'port' $$;
CALL each_server('CREATE USER MAPPING FOR cz_endpoint SERVER %I OPTIONS (user ''postgres'')');

-- the user of a mapping
SET ROLE cz_endpoint;
SELECT count(*) FROM t;
UPDATE t SET v = 'y' WHERE k = 1;
CALL each_server('ALTER USER MAPPING FOR cz_endpoint SERVER %I OPTIONS (SET user ''nobody_at_all'')');
SELECT v FROM t WHERE k = 1;
UPDATE t SET v = 'z' WHERE k = 1;
INSERT INTO t VALUES (21, 'z');
CALL each_server('ALTER USER MAPPING FOR cz_endpoint SERVER %I OPTIONS (SET user ''postgres'')');
SELECT v FROM t WHERE k = 1;
UPDATE t SET v = 'z' WHERE k = 1;

-- in a transaction, and rolled back with it
BEGIN;
SELECT v FROM t WHERE k = 1;
SAVEPOINT a;
CALL each_server('ALTER USER MAPPING FOR cz_endpoint SERVER %I OPTIONS (SET user ''nobody_at_all'')');
SELECT v FROM t WHERE k = 1;
ROLLBACK TO a;
SELECT v FROM t WHERE k = 1;
CALL each_server('ALTER USER MAPPING FOR cz_endpoint SERVER %I OPTIONS (SET user ''nobody_at_all'')');
ROLLBACK;
SELECT v FROM t WHERE k = 1;

-- the mapping goes, and the role is no superuser any more: it must bring a password
CALL each_server('DROP USER MAPPING FOR cz_endpoint SERVER %I');
RESET ROLE;
CALL each_server('ALTER USER MAPPING FOR PUBLIC SERVER %I OPTIONS (SET password_required ''true'')');
SET ROLE cz_endpoint;
SELECT v FROM t WHERE k = 1;
RESET ROLE;
GRANT SELECT ON t TO cz_endpoint;
ALTER ROLE cz_endpoint NOSUPERUSER;
SET ROLE cz_endpoint;
SELECT v FROM t WHERE k = 1;
RESET ROLE;
CALL each_server('ALTER USER MAPPING FOR PUBLIC SERVER %I OPTIONS (SET password_required ''false'')');
SET ROLE cz_endpoint;
SELECT v FROM t WHERE k = 1;
RESET ROLE;

-- a server's address
SELECT port_of(srvname) AS port, srvname AS server FROM pg_foreign_server
 WHERE oid = (SELECT ftserver FROM pg_foreign_table WHERE ftrelid = ('cz_shards.t_' || get_shard_id_for_distribution_column('t', 1))::regclass) \gset
SELECT v FROM t WHERE k = 1;
ALTER SERVER :"server" OPTIONS (SET port '1');
SELECT v FROM t WHERE k = 1;
ALTER SERVER :"server" OPTIONS (SET port :'port');
SELECT v FROM t WHERE k = 1;

-- Shards have no CHECK that workers would plan again in each write, unless our own mistakes are looked for.
SET cz.check_fragments = off;
CREATE TABLE unchecked (k int, v int CHECK (v > 0));
SELECT create_distributed_table('unchecked', 'k', colocate_with => 'none');
SET cz.check_fragments = on;
CREATE TABLE checked (k int, v int CHECK (v > 0));
SELECT create_distributed_table('checked', 'k', colocate_with => 'none');
RESET cz.check_fragments;
\set ECHO none
\c cz_endpoints postgres 127.0.0.1 :worker1_port
\set ECHO all
SELECT DISTINCT substring(c.relname FROM '^[a-z]+') AS shards_of, (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') AS checks
  FROM pg_class c WHERE c.relname ~ '^(un)?checked_[0-9]+$' ORDER BY 1;

\set ECHO none
\c postgres postgres 127.0.0.1 :coordinator_port
SET client_min_messages = error;
\o /dev/null
DROP OWNED BY cz_endpoint;
DROP DATABASE cz_endpoints WITH (FORCE);
DROP ROLE cz_endpoint;
