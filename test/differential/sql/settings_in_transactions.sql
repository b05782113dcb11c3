-- A setting that is changed within a transaction is known to workers at once, and is what it
-- was before when the transaction, the savepoint or the function ends that changed it.
CREATE TABLE t (k int, v text, ts timestamptz);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'the running dogs ' || i, timestamptz '2024-03-10 01:30:00+00' + i * interval '1 hour' FROM generate_series(1, 20) i;
CREATE FUNCTION simple_words(n int) RETURNS text LANGUAGE plpgsql STABLE SET default_text_search_config = 'simple' AS $$ BEGIN RETURN (SELECT string_agg(to_tsvector(v)::text, ',' ORDER BY v) FROM t WHERE k = n); END $$;
CREATE FUNCTION hour_there(n int) RETURNS text LANGUAGE plpgsql STABLE SET timezone = 'Asia/Tokyo' AS $$ BEGIN RETURN (SELECT string_agg(ts::text, ',' ORDER BY k) || sum(extract(hour FROM ts)) FROM t WHERE k <= n); END $$;
SELECT to_tsvector(v) FROM t WHERE k = 1;
-- SET and COMMIT
BEGIN;
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
SET default_text_search_config = 'simple';
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
SELECT to_tsvector(v) FROM t WHERE k = 1;
UPDATE t SET v = v WHERE to_tsvector(v) @@ to_tsquery('running') AND k = 2;
SELECT k, to_tsvector(v) FROM t WHERE k < 4 ORDER BY k;
COMMIT;
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
SELECT to_tsvector(v) FROM t WHERE k = 1;
UPDATE t SET v = v || ' more' WHERE to_tsvector(v) @@ to_tsquery('run');
RESET default_text_search_config;
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
-- after a write, SET LOCAL, COMMIT
BEGIN;
UPDATE t SET v = v || ' cats' WHERE k < 5;
SET LOCAL default_text_search_config = 'simple';
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('cat');
UPDATE t SET v = v || ' x' WHERE to_tsvector(v) @@ to_tsquery('cat');
SET LOCAL timezone = 'America/New_York';
SELECT k, ts::text, to_tsvector(v) FROM t ORDER BY k;
COMMIT;
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('cat');
SELECT k, ts::text FROM t ORDER BY k;
-- savepoints
BEGIN;
UPDATE t SET v = v || ' y' WHERE k = 7;
SAVEPOINT s;
SET default_text_search_config = 'simple';
SET timezone = 'Europe/Berlin';
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
UPDATE t SET v = v || ' z' WHERE k = 8;
SELECT k, ts::text, to_tsvector(v) FROM t WHERE k IN (7, 8) ORDER BY k;
ROLLBACK TO s;
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('run');
SELECT k, ts::text, to_tsvector(v) FROM t WHERE k IN (7, 8) ORDER BY k;
SAVEPOINT s2;
SET LOCAL default_text_search_config = 'simple';
SELECT to_tsvector(v) FROM t WHERE k = 7;
RELEASE s2;
SELECT to_tsvector(v) FROM t WHERE k = 7;
ROLLBACK;
SELECT to_tsvector(v), ts::text FROM t WHERE k = 7;
-- a transaction that fails
BEGIN;
UPDATE t SET v = v WHERE k = 1;
SET default_text_search_config = 'simple';
SELECT to_tsvector(v) FROM t WHERE k = 1;
-- error
SELECT 1 / 0;
ROLLBACK;
SELECT to_tsvector(v) FROM t WHERE k = 1;
-- functions with SET, within and without a transaction, before and after writes
SELECT simple_words(1), to_tsvector(v), hour_there(3) FROM t WHERE k = 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT to_tsvector(v), simple_words(1), hour_there(3), ts::text FROM t WHERE k = 1;
UPDATE t SET v = v || ' running' WHERE k = 1;
SELECT to_tsvector(v), simple_words(1), hour_there(3), ts::text FROM t WHERE k = 1;
SELECT simple_words(k), to_tsvector(v) FROM t WHERE k < 4 ORDER BY k;
COMMIT;
SELECT simple_words(1), to_tsvector(v), ts::text FROM t WHERE k = 1;
-- set_config in a statement of its own, and a cursor over a change
BEGIN;
SELECT set_config('default_text_search_config', 'simple', true);
SELECT to_tsvector(v) FROM t WHERE k = 1;
SELECT set_config('default_text_search_config', 'german', true), set_config('timezone', 'UTC', true);
SELECT to_tsvector(v), ts::text FROM t WHERE k = 1;
UPDATE t SET v = 'Häuser' WHERE k = 1;
SELECT to_tsvector(v), ts::text FROM t WHERE k = 1;
RESET default_text_search_config;
SELECT to_tsvector(v), ts::text FROM t WHERE k = 1;
COMMIT;
SELECT to_tsvector(v), ts::text FROM t WHERE k = 1;
-- names that a worker may not know do not end the transaction
BEGIN;
UPDATE t SET v = v WHERE k = 1;
SET lc_time = 'C';
SET LOCAL lc_numeric = 'C';
SET lc_monetary = 'POSIX';
SELECT count(*) FROM t;
COMMIT;
SELECT count(*) FROM t;
-- a configuration that only this server has
CREATE TEXT SEARCH CONFIGURATION odd (COPY = english);
ALTER TEXT SEARCH CONFIGURATION odd ALTER MAPPING FOR asciiword WITH simple;
SET default_text_search_config = 'odd';
SELECT count(*) FROM t WHERE to_tsvector(v) @@ to_tsquery('running');
SELECT k, to_tsvector(v) FROM t WHERE k < 4 ORDER BY k;
BEGIN;
SET LOCAL default_text_search_config = 'pg_catalog.english';
SELECT k, to_tsvector(v) FROM t WHERE k < 4 ORDER BY k;
COMMIT;
SELECT k, to_tsvector(v), ts_headline(v, to_tsquery('dogs')) FROM t WHERE to_tsvector(v) @@ plainto_tsquery('the dogs') AND k < 4 ORDER BY k;
