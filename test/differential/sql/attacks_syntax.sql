-- Rare syntax, on tables whose columns were dropped and reordered.
CREATE TYPE xy AS (x int, y text); CREATE TYPE colour AS ENUM ('red', 'green', 'blue'); CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TYPE frange AS RANGE (subtype = float8);
CREATE TABLE a (z1 int, k int, v int, s text, arr int[], p xy, c colour, sm small, r int4range, fr frange, j jsonb, g int GENERATED ALWAYS AS (v * 2) STORED, d int DEFAULT 7);
ALTER TABLE a DROP COLUMN z1;
SELECT create_distributed_table('a', 'k');
CREATE TABLE b (k int, n int, t text); SELECT create_distributed_table('b', 'k', colocate_with => 'a');
CREATE TABLE ref (id int PRIMARY KEY, name text); SELECT create_reference_table('ref');
CREATE TABLE loc (id int, v int);
CREATE TABLE u (k int, sub int, v int, PRIMARY KEY (k, sub)); SELECT create_distributed_table('u', 'k');
INSERT INTO a (k, v, s, arr, p, c, sm, r, fr, j) SELECT CASE WHEN i = 13 THEN NULL ELSE i % 7 END, i, 's' || i % 4, ARRAY[i, i + 1, NULL], CASE WHEN i % 3 > 0 THEN row(i, 'y' || i)::xy END, (ARRAY['red', 'green', 'blue'])[i % 3 + 1]::colour, i, int4range(i, i + 3), frange(i, i + 0.5), jsonb_build_object('a', i, 'b', jsonb_build_array(i, i % 2)) FROM generate_series(1, 25) i;
INSERT INTO b SELECT i % 5, i, 't' || i % 3 FROM generate_series(1, 12) i;
INSERT INTO ref VALUES (0, 'zero'), (1, 'one'), (2, NULL); INSERT INTO loc VALUES (1, 1), (2, NULL);
INSERT INTO u SELECT i % 4, i, i * 10 FROM generate_series(1, 12) i;
TABLE a ORDER BY v; VALUES ((SELECT count(*) FROM a)), (2); SELECT FROM a; SELECT count(*) FROM (SELECT FROM a) s;
SELECT p, (p).x, (p).y FROM a ORDER BY v; SELECT * FROM a WHERE p = row(1, 'y1')::xy; SELECT p, count(*) FROM a GROUP BY p; SELECT min(c), max(arr) FROM a WHERE v < 20; SELECT (a).p.y FROM a WHERE k = 1; SELECT (x).v FROM (SELECT a AS x FROM a) q;
SELECT c, count(*), min(c), max(c) FROM a GROUP BY c ORDER BY c; SELECT * FROM a WHERE c > 'red' ORDER BY c, v LIMIT 3; SELECT enum_range(c) FROM a WHERE k = 2; SELECT c::text, sm + 1, sm::int FROM a ORDER BY 2; SELECT pg_typeof(sm), pg_typeof(c) FROM a LIMIT 1;
SELECT arr[1], arr[2:3], array_length(arr, 1), v = ANY (arr), arr || v, arr @> ARRAY[v] FROM a ORDER BY 1; SELECT unnest(arr) FROM a ORDER BY 1; SELECT v, u FROM a, unnest(arr) u WHERE u IS NOT NULL ORDER BY 1, 2; SELECT v, u, o FROM a, unnest(arr) WITH ORDINALITY x (u, o) ORDER BY 1, 3; SELECT * FROM ROWS FROM (generate_series(1, 3), unnest((SELECT arr FROM a WHERE v = 5))) AS x; SELECT k, generate_series(1, k) FROM a WHERE v < 4; SELECT DISTINCT unnest(arr) % 3 FROM a; SELECT k, unnest(arr), count(*) FROM a WHERE k < 2 GROUP BY 1, 2; SELECT unnest(arr) AS e FROM a ORDER BY e DESC NULLS LAST LIMIT 4;
SELECT r, lower(r), upper(fr), r * int4range(3, 9), r @> v FROM a ORDER BY 2; SELECT range_agg(r) FROM a; SELECT * FROM a WHERE r && int4range(5, 7); SELECT range_intersect_agg(r) FROM a WHERE v IN (3, 4);
SELECT j->'a', j->>'b', j #> '{b,0}', j @> '{"a": 3}', jsonb_path_query(j, '$.b[*]') FROM a; SELECT jsonb_object_agg(v, j) FROM a WHERE v < 5; SELECT key, value FROM a, jsonb_each(j) WHERE v = 4; SELECT x.* FROM a, jsonb_to_record(j) AS x (a int, b jsonb) WHERE k = 3 ORDER BY 1; SELECT jsonb_agg(a ORDER BY v) FROM a WHERE k = 3; SELECT j['a'] FROM a WHERE v = 1; SELECT v FROM a WHERE j ->> 'a' = '7';
SELECT k, v, row_number() OVER w, lag(v, 2, -1) OVER w, sum(v) OVER (w ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), first_value(s) OVER (w GROUPS 1 PRECEDING EXCLUDE TIES), nth_value(v, 2) OVER (w RANGE BETWEEN 2 PRECEDING AND CURRENT ROW), ntile(3) OVER w, cume_dist() OVER w FROM a WINDOW w AS (PARTITION BY k ORDER BY v); SELECT v, sum(v) FILTER (WHERE v % 2 = 0) OVER (ORDER BY v) FROM a; SELECT k, sum(sum(v)) OVER (ORDER BY k), rank() OVER (ORDER BY count(*) DESC, k) FROM a GROUP BY k; SELECT * FROM (SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v) AS n FROM a) x WHERE n = 1 ORDER BY k; SELECT sum(v) OVER (PARTITION BY k ORDER BY s RANGE UNBOUNDED PRECEDING), count(*) OVER () FROM a ORDER BY 1 LIMIT 5;
SELECT k, s, grouping(k, s), count(*) FROM a GROUP BY CUBE (k, s) ORDER BY 1, 2, 3; SELECT k, count(*) FROM a GROUP BY GROUPING SETS ((k), (), ()) ORDER BY 1, 2; SELECT k, s, sum(v) FROM a GROUP BY DISTINCT ROLLUP (k, s), ROLLUP (k) ORDER BY 1, 2, 3; SELECT count(*) FROM a GROUP BY (); SELECT 1 FROM a HAVING count(*) > 3; SELECT 1 FROM a HAVING false; SELECT k FROM a GROUP BY k HAVING max(v) = (SELECT max(n) + 10 FROM b WHERE b.k = a.k);
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v), percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY v), mode() WITHIN GROUP (ORDER BY s), rank(5) WITHIN GROUP (ORDER BY v), percent_rank(5, 's1') WITHIN GROUP (ORDER BY v, s) FROM a; SELECT k, percentile_cont(k / 10.0) WITHIN GROUP (ORDER BY v) FROM a GROUP BY k; SELECT corr(v, k), regr_slope(v, k), covar_pop(v, k), regr_count(v, k), array_agg(DISTINCT k ORDER BY k DESC), string_agg(s, ',' ORDER BY v), json_agg(v ORDER BY v DESC), xmlagg(xmlelement(name x, v) ORDER BY v)::text, bit_xor(v), every(v > 0), avg(DISTINCT k), count(DISTINCT (k, s)), stddev_samp(v), var_pop(v::float8) FROM a WHERE k IS NOT NULL; SELECT sum(v) FILTER (WHERE k = 1), count(*) FILTER (WHERE s = 's2' AND (SELECT true)) FROM a; SELECT array_agg(v ORDER BY v) FILTER (WHERE v < 4), max(v) - min(v), avg(v)::text, sum(v)::text FROM a; SELECT count(DISTINCT s) + sum(DISTINCT k), count(*) FROM a; SELECT k, array_agg(ROW(v, s) ORDER BY v) FROM a WHERE k < 2 GROUP BY k; SELECT min(v ORDER BY v DESC), any_value FROM (SELECT v, 1 AS any_value FROM a) q GROUP BY any_value;
CREATE AGGREGATE product(int) (sfunc = int4mul, stype = int, initcond = 1); SELECT product(v) FROM a WHERE v < 6; SELECT k, product(v) FROM a WHERE v < 9 GROUP BY k; CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'; SELECT sum(twice(v)) FROM a WHERE twice(k) = 4; CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = ===); SELECT a.v, b.n FROM a JOIN b ON a.k === b.k ORDER BY 1, 2; CREATE CAST (xy AS int) WITH INOUT; CREATE COLLATION mine FROM "C"; SELECT s FROM a ORDER BY s COLLATE mine, v LIMIT 3; SELECT max(s COLLATE mine) FROM a; SELECT s COLLATE mine, count(*) FROM a GROUP BY 1; SELECT s FROM a WHERE s COLLATE mine > 's1' ORDER BY v;
SELECT * FROM a LEFT JOIN LATERAL (SELECT count(*) AS n, max(t) AS t FROM b WHERE b.k = a.k AND b.n < a.v) x ON x.n > 0 ORDER BY v; SELECT v, x.* FROM a CROSS JOIN LATERAL (SELECT n FROM b WHERE b.n < a.v ORDER BY n DESC LIMIT 2) x ORDER BY 1, 2; SELECT a.v, x.n, y.name FROM a, LATERAL (SELECT n FROM b WHERE b.k = a.k ORDER BY n LIMIT 1) x LEFT JOIN ref y ON y.id = x.n % 3 ORDER BY 1; SELECT * FROM a NATURAL JOIN b ORDER BY v, n; SELECT * FROM a JOIN b USING (k) AS x ORDER BY a.v, b.n; SELECT x.k FROM a JOIN b USING (k) AS x ORDER BY 1; SELECT k, count(*) FROM a FULL JOIN b USING (k) GROUP BY k ORDER BY 1; SELECT * FROM (a LEFT JOIN b USING (k)) AS x (a1, a2, a3) ORDER BY a2, n; SELECT v FROM a WHERE (k, s) IN (SELECT k, 's' || n % 4 FROM b); SELECT v FROM a WHERE (k, v) = (SELECT k, n FROM b WHERE n = 3); SELECT ARRAY(SELECT n FROM b WHERE b.k = a.k ORDER BY n) FROM a WHERE v < 4; SELECT v FROM a WHERE ROW(k, v) < ROW(2, 5) ORDER BY 1; SELECT (SELECT b FROM b WHERE n = 4) FROM a WHERE v = 1; SELECT v FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k HAVING count(*) > 2); SELECT v FROM a WHERE v > ALL (SELECT n FROM b WHERE b.k = a.k) ORDER BY 1; SELECT v FROM a WHERE k NOT IN (SELECT k FROM b WHERE k > 2) ORDER BY 1; SELECT v FROM a WHERE k = ANY (ARRAY(SELECT k FROM b WHERE n < 3)) ORDER BY 1;
WITH RECURSIVE t (n, path) AS (SELECT k, ARRAY[k] FROM b WHERE n = 1 UNION ALL SELECT b.n, path || b.n FROM t JOIN b ON b.k = t.n WHERE array_length(path, 1) < 4) SELECT * FROM t ORDER BY path; WITH RECURSIVE t AS (SELECT k, n FROM b WHERE n = 1 UNION SELECT b.k, b.n FROM t JOIN b ON b.k = t.n) SEARCH DEPTH FIRST BY n SET o CYCLE k SET is_cycle USING p SELECT k, n, is_cycle FROM t ORDER BY 1, 2, 3; WITH x AS (SELECT k FROM a WHERE v < 9), y AS (SELECT k FROM x WHERE k > 2) SELECT count(*) FROM x, y WHERE x.k = y.k; WITH x AS MATERIALIZED (SELECT * FROM a) SELECT v FROM x WHERE k = 3 ORDER BY 1; WITH x (q) AS (VALUES (1), (2)) SELECT v, q FROM a JOIN x ON q = k ORDER BY 1; SELECT (WITH x AS (SELECT count(*) AS n FROM b WHERE b.k = a.k) SELECT n FROM x) FROM a WHERE v < 6 ORDER BY v;
BEGIN;
-- may differ: refused as yet
WITH d AS (DELETE FROM b WHERE k = 1 RETURNING *) SELECT count(*), sum(n) FROM d;
ROLLBACK;
BEGIN;
INSERT INTO u VALUES (1, 1, 5), (9, 9, 9) ON CONFLICT (k, sub) DO UPDATE SET v = u.v + excluded.v WHERE u.v > 3 RETURNING *;
ROLLBACK;
BEGIN;
INSERT INTO u VALUES (1, 1, 5) ON CONFLICT DO NOTHING RETURNING *;
ROLLBACK;
BEGIN;
INSERT INTO u AS x VALUES (1, 5, 1) ON CONFLICT ON CONSTRAINT u_pkey DO UPDATE SET v = x.v + 1;
ROLLBACK;
-- error
INSERT INTO u VALUES (1, 1, 5);
BEGIN; UPDATE a SET (s, v) = ('new', v + 1) WHERE k = 1 RETURNING v, s, g; SELECT * FROM a ORDER BY 1, 2, 3; ROLLBACK;
BEGIN;
-- may differ: refused as yet
UPDATE a SET arr[1] = 0, arr[3] = 5 WHERE k = 2 RETURNING arr;
ROLLBACK;
BEGIN;
-- may differ: refused as yet
UPDATE a SET p.x = 99, j['q'] = '1' WHERE k = 3 RETURNING p, j;
ROLLBACK;
BEGIN;
-- may differ: refused as yet
UPDATE a SET d = DEFAULT, (s, c) = (SELECT 'zz', 'blue'::colour) WHERE k = 4 RETURNING d, s, c;
ROLLBACK;
BEGIN;
-- may differ: refused as yet
UPDATE a SET (v, s) = (SELECT n, t FROM b WHERE b.k = a.k ORDER BY n LIMIT 1) WHERE k = 2 RETURNING k, v, s;
ROLLBACK;
BEGIN;
-- may differ: refused as yet
UPDATE a SET s = b.t FROM b WHERE b.k = a.k AND b.n = 5 RETURNING a.*, b.n;
ROLLBACK;
BEGIN; DELETE FROM a USING ref WHERE ref.id = a.k AND ref.name = 'one' RETURNING a.k, ref.*; SELECT * FROM a ORDER BY 1, 2, 3; ROLLBACK;
BEGIN; DELETE FROM a WHERE v IN (SELECT n FROM b WHERE b.k = a.k) RETURNING v; DELETE FROM a WHERE k = 3 AND v = (SELECT max(v) FROM a x WHERE x.k = a.k) RETURNING v; UPDATE a SET v = v WHERE false; DELETE FROM b; SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b); ROLLBACK;
CREATE VIEW av AS SELECT k, v AS renamed, s FROM a WHERE v < 10 WITH CHECK OPTION; SELECT * FROM av ORDER BY 2; CREATE VIEW av2 (x, y) AS SELECT k, count(*) FROM a GROUP BY k; SELECT av2.*, b.n FROM av2 JOIN b ON av2.x = b.k ORDER BY 1, 3; CREATE MATERIALIZED VIEW am AS SELECT k, sum(v) FROM a GROUP BY k; REFRESH MATERIALIZED VIEW am; SELECT * FROM am ORDER BY 1; CREATE TABLE made AS SELECT a.k, b.n FROM a JOIN b USING (k) WITH NO DATA; SELECT * INTO made2 FROM a WHERE k = 1; SELECT v FROM made2 ORDER BY 1;
BEGIN; SELECT v FROM a WHERE k = 1 ORDER BY v FOR UPDATE; SELECT v FROM a WHERE k = 2 ORDER BY v LIMIT 1 FOR SHARE; SELECT a.v FROM a JOIN b USING (k) WHERE k = 3 ORDER BY v FOR NO KEY UPDATE OF a; SELECT v FROM a WHERE k = 1 ORDER BY v FOR UPDATE SKIP LOCKED; ROLLBACK;
SELECT v FROM a TABLESAMPLE BERNOULLI (100) ORDER BY v; SELECT count(*) FROM a TABLESAMPLE SYSTEM (100) REPEATABLE (3) JOIN b USING (k); SELECT x.* FROM a, XMLTABLE('/r' PASSING xmlparse(content '<r><q>' || a.v || '</q></r>') COLUMNS q int) x WHERE a.v < 4 ORDER BY 1; SELECT v BETWEEN SYMMETRIC 9 AND 3, v IS DISTINCT FROM 3, NOT v = 3, s SIMILAR TO 's(1|2)', s ~* 'S1', s ^@ 's', overlay(s PLACING 'x' FROM 1), position('1' IN s), trim(BOTH 's' FROM s), extract(epoch FROM make_interval(secs => v)), substring(s FROM '.$'), s LIKE 's\_' ESCAPE '\', COALESCE(k, -1), NULLIF(k, 3), GREATEST(k, v, NULL), (k IS NULL) IS NOT UNKNOWN, s COLLATE "C", ROW(k, v) IS NULL FROM a ORDER BY v; SELECT date '2026-01-01' + v, (date '2026-01-01', interval '1 day') OVERLAPS (date '2026-01-01' + v, interval '2 day'), v::bit(8), v::text::int, to_char(v, 'FM000'), v::money::numeric, CAST(v AS float4) / 3, v ^ 2, |/ v::float8, v # 3, v << 2, @ (-v) FROM a;
