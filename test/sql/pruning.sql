-- Pruning: how many of eight shards a condition leaves, at planning and at execution.
-- Coordinator, workers 1, 2, 3; database cz_pruning on each.
\set dbname cz_pruning
\i sql/include/worker_database.inc
\i sql/include/workers.inc
SET client_min_messages = warning;
SET cz.shard_count = 8;
CREATE TABLE hashed (k int, x int);
CREATE TABLE ranged (k int, x int);
CREATE TABLE flags (k bool, x int);
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE TABLE domains (k posint, x int);
CREATE TABLE texts (k text, x int);
SELECT count(create_distributed_table(t, 'k', CASE WHEN t = 'ranged'::regclass THEN 'range' ELSE 'hash' END))
  FROM unnest('{hashed,ranged,flags,domains,texts}'::regclass[]) t;
SELECT count(cz_create_range_shard('ranged', (i * 10)::text, (i * 10 + 10)::text)) FROM generate_series(0, 7) i;
INSERT INTO hashed SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO ranged SELECT i, i FROM generate_series(0, 79) i;

-- fragments sent, or planned
CREATE FUNCTION fragments(query text, executed bool DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF, ANALYZE ' || executed || ') ' || query INTO plan;
  RETURN jsonb_path_query_array(plan, CASE WHEN executed THEN 'strict $.**."Remote Fragments"' ELSE 'strict $.**."Fragments"' END::jsonpath);
END $$;
SELECT condition, fragments('SELECT * FROM hashed WHERE ' || condition) FROM unnest(ARRAY[
  'k = 1', 'k = 1 OR k = 5', 'k IN (1, 5) AND x > 3', 'k IN (1, 5) AND k IN (5, 7)', 'k = 1 AND k = 2', '(k, x) = (1, 1)',
  '(k, x) IN ((1, 1), (5, 5))', 'k::bigint = 5', 'k = 99999999999', 'k IN (1, 99999999999)', 'k IS NULL', 'k IS NULL OR k = 5',
  'k IS NOT DISTINCT FROM 5', 'k = 1 OR x = 2', 'k = ANY (NULL::int[])', 'k = ANY (ARRAY[1, 5, NULL])', 'k > 3']) condition;
SELECT condition, fragments('SELECT * FROM ranged WHERE ' || condition) FROM unnest(ARRAY[
  'k < 15', 'k <= 20', 'k < 20', 'k >= 75', 'k BETWEEN 20 AND 30', 'k > 19 AND k < 21', 'k < 5 OR k > 75', 'k < 15::bigint', '15 > k',
  '(k, x) < (15, 3)', 'k = 5', 'k < NULL', 'k > 1000', 'k IN (5, 6, 75)', 'k > x']) condition;
SELECT condition, fragments('SELECT * FROM flags WHERE ' || condition) FROM unnest(ARRAY['k', 'NOT k', 'k IS TRUE', 'k IS UNKNOWN']) condition;
SELECT condition, fragments('SELECT * FROM domains WHERE ' || condition) FROM unnest(ARRAY['k = 5', 'k IN (5, 6)', 'k = 5::posint']) condition;
SELECT condition, fragments('SELECT * FROM texts WHERE ' || condition) FROM unnest(ARRAY['k = ''t5''', 'k::varchar = ''t5''', 'k IN (''t5'', ''t6'')']) condition;
-- of an outer join's rows nothing is known where NULL is asked for
SELECT fragments('SELECT * FROM hashed a LEFT JOIN hashed b USING (k) WHERE a.k IN (1, 5)'),
       fragments('SELECT * FROM hashed a LEFT JOIN hashed b ON a.k = b.k WHERE b.k = 5 OR b.k IS NULL');
-- an outer join that is none
SELECT fragments('SELECT * FROM hashed a LEFT JOIN hashed b ON a.k = b.k WHERE b.k IN (1, 5)'),
       fragments('SELECT * FROM hashed a FULL JOIN hashed b ON a.k = b.k WHERE b.k = 5');

-- generic plans: what they say, and what they send
SET plan_cache_mode = force_generic_plan;
PREPARE p1 (int) AS SELECT sum(x) FROM hashed WHERE k = $1;
PREPARE p2 (int[]) AS SELECT sum(x) FROM hashed WHERE k = ANY ($1);
PREPARE p3 (int, int) AS SELECT sum(x) FROM hashed WHERE k IN ($1, $2);
PREPARE p4 (int, int) AS SELECT sum(x) FROM hashed WHERE k = $1 OR k = $2;
PREPARE p5 (bigint) AS SELECT sum(x) FROM hashed WHERE k = $1;
PREPARE p6 (bigint[]) AS SELECT sum(x) FROM hashed WHERE k = ANY ($1);
PREPARE p7 (int, int) AS SELECT sum(x) FROM hashed WHERE (k, x) IN (($1, $1), ($2, $2));
PREPARE p8 (int) AS SELECT sum(x) FROM hashed WHERE k = $1 + 1;
PREPARE p9 (int[]) AS SELECT sum(x) FROM hashed WHERE k = ANY ($1) AND k IN (1, 2, 3, 4);
PREPARE p10 (int, int) AS SELECT sum(x) FROM ranged WHERE k BETWEEN $1 AND $2;
PREPARE p11 (int) AS SELECT sum(x) FROM ranged WHERE k > $1 AND k < 70;
PREPARE p12 (int[]) AS UPDATE hashed SET x = x WHERE k = ANY ($1);
SELECT statement, fragments('EXECUTE ' || statement) AS planned, fragments('EXECUTE ' || statement, true) AS sent FROM unnest(ARRAY[
  'p1 (1)', 'p2 (''{1,5}'')', 'p2 (''{}'')', 'p2 (NULL)', 'p3 (1, 5)', 'p4 (1, 5)', 'p5 (1)', 'p5 (99999999999)', 'p6 (''{1,99999999999}'')', 'p7 (1, 5)',
  'p8 (4)', 'p9 (''{1,5}'')', 'p10 (15, 25)', 'p10 (NULL, 25)', 'p11 (65)', 'p12 (''{1,5}'')']) statement;
