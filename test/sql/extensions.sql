-- What of an extension goes to the workers: what all of them have in the same schema and version,
-- and is immutable.  The option installed_extensions of a server remembers what was seen.
\set dbname cz_extensions
\i sql/include/worker_database.inc
\i sql/include/workers.inc
\getenv worker1_port CZ_WORKER1_PORT
\getenv worker2_port CZ_WORKER2_PORT
\getenv worker3_port CZ_WORKER3_PORT
\getenv coordinator_port PGPORT
-- what is on a worker already stays as it is
\c cz_extensions postgres 127.0.0.1 :worker1_port
CREATE EXTENSION fuzzystrmatch;
CREATE EXTENSION hstore;
\c cz_extensions postgres 127.0.0.1 :worker2_port
CREATE SCHEMA other; CREATE EXTENSION fuzzystrmatch SCHEMA other;
\c cz_extensions postgres 127.0.0.1 :coordinator_port
SET cz.shard_count TO 4;
CREATE SCHEMA ext;
CREATE EXTENSION cube SCHEMA ext;
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION fuzzystrmatch;
CREATE TABLE d (t int, id int, c ext.cube, e citext, s text, PRIMARY KEY (t, id));
CREATE INDEX d_c ON d USING gist (c);
CREATE INDEX d_s ON d USING gin (s gin_trgm_ops);
SELECT create_distributed_table('d', 't');
CREATE FUNCTION installed() RETURNS TABLE (option text, servers bigint) LANGUAGE sql AS $$
	SELECT o, count(*) FROM pg_foreign_server, unnest(srvoptions) o WHERE o LIKE 'installed%' GROUP BY o $$;
SELECT replace(regexp_replace(option, '/[0-9.]+"', '/x"', 'g'), '"', '') AS option, servers FROM installed() ORDER BY 1;
INSERT INTO d SELECT i % 5, i, ext.cube(i, i), 'User' || i, 'text ' || i FROM generate_series(1, 500) i;

-- conditions, the order of an index, grouping, writes
EXPLAIN (COSTS OFF) SELECT id FROM d ORDER BY c OPERATOR(ext.<->) '(3,4)' LIMIT 5;
SELECT id FROM d ORDER BY c OPERATOR(ext.<->) '(3,4)', id LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM d WHERE e = 'uSER7' ORDER BY e;
SELECT id, e FROM d WHERE e IN ('uSER7', 'user8') ORDER BY e;
EXPLAIN (COSTS OFF) UPDATE d SET s = s || '!' WHERE t = 1 AND e = 'user1';
UPDATE d SET s = s || '!', c = ext.cube_enlarge(c, 1, 2) WHERE t = 1 AND e = 'user1';
DELETE FROM d WHERE e = 'user2';
SELECT t, id, c, s FROM d WHERE id < 4 ORDER BY id;

-- one that no table needs is named by the servers' option
EXPLAIN (COSTS OFF) SELECT id FROM d WHERE levenshtein(s, 'text 77') = 0;
SELECT format('ALTER SERVER %I OPTIONS (ADD extensions ''fuzzystrmatch'')', srvname) FROM pg_foreign_server ORDER BY srvname \gexec
\c cz_extensions postgres 127.0.0.1 :worker2_port
ALTER EXTENSION fuzzystrmatch SET SCHEMA public;
\c cz_extensions postgres 127.0.0.1 :coordinator_port
SELECT format('ALTER SERVER %I OPTIONS (SET extensions ''fuzzystrmatch'')', srvname) FROM pg_foreign_server ORDER BY srvname \gexec
EXPLAIN (COSTS OFF) SELECT id FROM d WHERE levenshtein(s, 'text 77') = 0;
SELECT id FROM d WHERE levenshtein(s, 'text 77') = 0;

-- operators of pg_trgm read settings that the workers' sessions follow
EXPLAIN (COSTS OFF) SELECT id FROM d WHERE s % 'text 77';
SELECT count(*) FROM d WHERE s % 'text 77';
SET pg_trgm.similarity_threshold = 0.9;
SELECT count(*) FROM d WHERE s % 'text 77';
BEGIN;
SET LOCAL pg_trgm.similarity_threshold = 0.5;
SELECT count(*) = (SELECT count(*) FROM d WHERE similarity(s, 'text 77') >= 0.5) AS follows FROM d WHERE s % 'text 77';
ROLLBACK;
SELECT count(*) FROM d WHERE s % 'text 77';
RESET pg_trgm.similarity_threshold;
SELECT count(*) = (SELECT count(*) FROM d WHERE similarity(s, 'text 77') >= 0.3) AS follows FROM d WHERE s % 'text 77';

-- nothing of this is the user's to say
ALTER SERVER node_1 OPTIONS (SET installed_extensions 'cube/ext/9');
-- a function that not everybody may execute
REVOKE EXECUTE ON FUNCTION levenshtein(text, text) FROM PUBLIC;
EXPLAIN (COSTS OFF) SELECT id FROM d WHERE levenshtein(s, 'text 77') = 0;
GRANT EXECUTE ON FUNCTION levenshtein(text, text) TO PUBLIC;

-- another version is another extension, and so is another schema
CREATE EXTENSION hstore VERSION '1.4' CASCADE;
CREATE TABLE h (k int, h hstore);
SELECT create_distributed_table('h', 'k');
SELECT option LIKE '%hstore/public/1.4%' AS has_hstore, servers FROM installed() ORDER BY 1;
INSERT INTO h SELECT i, hstore('a', i::text) FROM generate_series(1, 20) i;
EXPLAIN (COSTS OFF) SELECT k FROM h WHERE h -> 'a' = '3';
SELECT k FROM h WHERE h -> 'a' = '3';
ALTER EXTENSION hstore UPDATE;
EXPLAIN (COSTS OFF) SELECT k FROM h WHERE h -> 'a' = '3';
SELECT k FROM h WHERE h -> 'a' = '3';
ALTER EXTENSION cube SET SCHEMA public;
EXPLAIN (COSTS OFF) SELECT id FROM d ORDER BY c <-> '(3,4)' LIMIT 5;
SELECT id FROM d ORDER BY c <-> '(3,4)', id LIMIT 5;

-- the ledger of a worker: what we have made there, which goes when it goes here
\c cz_extensions postgres 127.0.0.1 :worker2_port
SELECT kind, schema, name, args, fingerprint ~ '^[0-9.]+$' AS has_version FROM cz_shards.cz_object ORDER BY 1, 2, 3;
\c cz_extensions postgres 127.0.0.1 :coordinator_port
DROP TABLE d, h;
DROP EXTENSION cube;
DROP EXTENSION hstore;
DROP EXTENSION fuzzystrmatch;
\c cz_extensions postgres 127.0.0.1 :worker1_port
SELECT extname FROM pg_extension ORDER BY 1;
SELECT kind, schema, name FROM cz_shards.cz_object ORDER BY 1, 2, 3;
\c cz_extensions postgres 127.0.0.1 :worker3_port
SELECT extname FROM pg_extension ORDER BY 1;
