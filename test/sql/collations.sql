-- A collation of the same name sorts otherwise on the worker: nothing there decides an order,
-- a minimum, a comparison, or what a loose collation takes for equal.
-- Coordinator, worker 1; database cz_collations.
\set dbname cz_collations
\i sql/include/worker_database.inc
\c cz_collations postgres 127.0.0.1 :worker1_port
CREATE COLLATION other (provider = icu, locale = 'en-u-kf-upper');
CREATE COLLATION loose (provider = icu, locale = 'und');
\c cz_collations postgres 127.0.0.1 :coordinator_port
SET client_min_messages = warning;
CREATE EXTENSION cz_fdw;
CREATE COLLATION other (provider = icu, locale = 'en-u-kf-lower');
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT citus_add_node('127.0.0.1', :worker1_port) > 0 AS added;
CREATE TABLE t (k int, o text COLLATE other, l text COLLATE loose);
SELECT create_distributed_table('t', 'k', shard_count => 2);
INSERT INTO t VALUES (1, 'a', 'a'), (1, 'A', 'A'), (1, 'b', 'b'), (2, 'B', 'B'), (2, 'b', 'b'), (2, 'c', 'C'), (3, 'A', 'a');
-- on the worker A comes before a, here after it
SELECT o FROM t ORDER BY o, k;
SELECT o FROM t ORDER BY o LIMIT 2;
SELECT o FROM t WHERE k = 1 ORDER BY o;
SELECT o FROM t WHERE k = 1 ORDER BY o LIMIT 1;
SELECT min(o), max(o) FROM t WHERE k = 1;
SELECT min(o), max(o) FROM t;
SELECT k, min(o) FROM t GROUP BY k ORDER BY k;
SELECT o FROM t WHERE o < 'A' ORDER BY k;
SELECT o FROM t WHERE k = 1 AND o < 'A';
SELECT o FROM t WHERE k = 1 AND o = ANY (ARRAY['A', 'x']);
SELECT greatest(o, 'A') FROM t WHERE k = 1 ORDER BY 1;
SELECT o, rank() OVER (ORDER BY o) FROM t WHERE k = 1 ORDER BY 2;
SELECT string_agg(o, '' ORDER BY o) FROM t WHERE k = 1;
SELECT DISTINCT ON (lower(o)) o FROM t WHERE k = 1 ORDER BY lower(o), o;
SELECT array_agg(o) FROM (SELECT o FROM t WHERE k = 1 ORDER BY o) s;
-- there a and A are not equal
SELECT count(*) FROM t WHERE l = 'A';
SELECT count(*) FROM t WHERE k = 1 AND l = 'A';
SELECT count(*), count(DISTINCT l) FROM t WHERE k = 1;
SELECT k, count(DISTINCT l) FROM t GROUP BY k ORDER BY k;
SELECT count(*) FROM (SELECT DISTINCT l FROM t WHERE k = 1) s;
SELECT count(*) FROM (SELECT l FROM t WHERE k = 1 GROUP BY l) s;
SELECT count(*) FROM (SELECT l FROM t WHERE k = 1 UNION SELECT l FROM t WHERE k = 1) s;
SELECT count(*) FROM t a JOIN t b ON a.k = b.k AND a.l = b.l;
-- equality of the other one is that of bytes, and runs there
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM t WHERE o = 'a';
EXPLAIN (VERBOSE, COSTS OFF) SELECT o, count(*) FROM t GROUP BY o;
EXPLAIN (VERBOSE, COSTS OFF) SELECT k, o FROM t WHERE k = 1 ORDER BY o;
DROP TABLE t;
