-- A worker that is older than the coordinator: what it does not know is evaluated here, and
-- tables can't have it.  Its version is a lie here, which the extension keeps in an option of
-- its server; test 079 has workers of other majors.
\set dbname cz_majors
\i sql/include/worker_database.inc
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
SELECT citus_add_node('127.0.0.1', :worker1_port) > 0 AS added;
SELECT count(*) FROM pg_foreign_server WHERE 'server_version=' || current_setting('server_version_num')::int / 10000 = ANY (srvoptions);
CREATE TABLE t (k int PRIMARY KEY, v text, n numeric(8, 2));
SELECT create_distributed_table('t', 'k', shard_count => 2);
CREATE TABLE u (k int PRIMARY KEY, v text, n numeric(8, 2));
SELECT create_distributed_table('u', 'k', colocate_with => 't');
INSERT INTO t SELECT i, repeat('a', i), i FROM generate_series(1, 4) i;
INSERT INTO u SELECT i, 'u', 0 FROM generate_series(4, 5) i;
-- what is sent, or why nothing is
CREATE FUNCTION how(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line ~ 'Strategy: |Reason: |MERGE INTO' THEN
            RETURN NEXT regexp_replace(ltrim(line), '_\d+ .*', '');
        END IF;
    END LOOP;
END $$;
\set queries 'SELECT how(''SELECT k FROM t WHERE regexp_count(v, $$a$$) > 3''); SELECT how(''SELECT max(regexp_substr(v, $$a$$)) FROM t''); SELECT how(''SELECT max(n::numeric(2, -1)) FROM t''); SELECT how(''SELECT k FROM t WHERE k = regexp_count($$aaa$$, $$a$$)''); SELECT how(''SELECT k FROM t WHERE upper(v) = $$A$$''); SELECT how(''MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN UPDATE SET v = u.v WHEN NOT MATCHED THEN INSERT VALUES (u.k, u.v, u.n)'');'
:queries
SET cz.enable_shard_ddl = on;
ALTER SERVER node_1 OPTIONS (SET server_version '14');
RESET cz.enable_shard_ddl;
:queries
SELECT k FROM t WHERE regexp_count(v, 'a') > 3;
SELECT max(regexp_substr(v, 'a+')), max(n::numeric(2, -1)) FROM t;
SELECT k FROM t WHERE k = regexp_count('aaa', 'a');
MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN UPDATE SET v = u.v WHEN NOT MATCHED THEN INSERT VALUES (u.k, u.v, u.n);
SELECT * FROM t WHERE k > 3 ORDER BY k;
-- refused before a worker is told anything
\set VERBOSITY default
CREATE TABLE x (k int, n numeric(2, -1));
SELECT create_distributed_table('x', 'k');
DROP TABLE x;
CREATE TABLE x (k int, n numeric(2, 3));
SELECT create_reference_table('x');
DROP TABLE x;
CREATE TABLE x (k int, v text CHECK (regexp_like(v, 'a')));
SELECT create_distributed_table('x', 'k');
DROP TABLE x;
CREATE TABLE x (k int, v text, UNIQUE NULLS NOT DISTINCT (k, v));
SELECT create_distributed_table('x', 'k');
DROP TABLE x;
CREATE DOMAIN d AS text CHECK (regexp_like(VALUE, 'a'));
CREATE TABLE x (k int, v d);
SELECT create_distributed_table('x', 'k');
DROP TABLE x;
ALTER TABLE t ADD CONSTRAINT c CHECK (regexp_count(v, 'a') < 100);
ALTER TABLE t ADD COLUMN w numeric(2, 3);
ALTER TABLE t ADD COLUMN w int GENERATED ALWAYS AS (regexp_count(v, 'a')) STORED;
ALTER TABLE t ALTER COLUMN n TYPE numeric(2, -1);
CREATE INDEX ON t (regexp_count(v, 'a'));
CREATE UNIQUE INDEX ON t (k, v) NULLS NOT DISTINCT;
CREATE UNIQUE INDEX CONCURRENTLY t_nnd ON t (k, v) NULLS NOT DISTINCT;
ALTER TABLE u ADD UNIQUE (k, v);
UPDATE t SET v = 'u';
INSERT INTO u SELECT i, 'u' FROM generate_series(1, 3) i;
ALTER TABLE t ADD FOREIGN KEY (k, v) REFERENCES u (k, v) ON DELETE SET NULL (v);
SELECT count(*) FROM pg_class WHERE relname = 't_nnd';
SELECT * FROM cz_check_shards();
-- looked at again, it is what it is
SELECT citus_activate_node('127.0.0.1', :worker1_port) > 0 AS activated;
ALTER TABLE t ADD CONSTRAINT c CHECK (regexp_count(v, 'a') < 100);
CREATE UNIQUE INDEX ON t (k, v) NULLS NOT DISTINCT;
ALTER TABLE t ADD FOREIGN KEY (k, v) REFERENCES u (k, v) ON DELETE SET NULL (v);
SELECT how('SELECT k FROM t WHERE regexp_count(v, $$a$$) > 3');
SELECT * FROM cz_check_shards();
