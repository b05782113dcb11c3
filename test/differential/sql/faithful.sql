-- Where distributed databases are silently wrong: snapshots of modifying CTEs, field names, order of input, empty
-- input, NULL keys, samples, ties; and what is sent along with a query.
-- setup: classes
-- one snapshot
BEGIN;
WITH i AS (INSERT INTO ha (k, id) SELECT k, id + 1000 FROM ha RETURNING id) SELECT (SELECT count(*) FROM i), (SELECT count(*) FROM ha), (SELECT count(*) FROM ha WHERE id > 1000);
SELECT count(*) FROM ha;
ROLLBACK;
BEGIN;
WITH u AS (UPDATE la SET x = x + 100 RETURNING id, x) SELECT l.id, l.x, u.x FROM la l JOIN u USING (id) WHERE l.id IN (SELECT a.id FROM ha a);
ROLLBACK;
BEGIN;
WITH d AS (DELETE FROM la RETURNING id, k) SELECT a.id, d.id FROM ha a JOIN d ON d.k = a.k JOIN la l ON l.id = d.id;
SELECT count(*) FROM la;
ROLLBACK;
BEGIN;
WITH i AS (INSERT INTO la (id, k) SELECT id + 1000, k FROM bk RETURNING id, k), j AS (SELECT count(*) AS c FROM la) SELECT j.c, count(i.id), count(a.id) FROM i CROSS JOIN j LEFT JOIN ha a ON a.k = i.k GROUP BY j.c;
ROLLBACK;
-- field names
SELECT row_to_json(z) FROM (SELECT a.id AS "Id", b.s AS "b S", a.k FROM ha a JOIN bk b ON a.id = b.id) z ORDER BY z."Id";
SELECT row_to_json(z) FROM (SELECT x AS group_x, count(*) AS c, array_agg(id ORDER BY id) AS ids FROM hb GROUP BY x) z ORDER BY z.group_x;
SELECT json_agg(z) FROM (SELECT k AS kk, sum(n) AS total FROM hc GROUP BY k ORDER BY k) z;
SELECT row_to_json(row(a.k, b.id)) FROM ha a JOIN hx b ON a.x = b.x WHERE a.id < 4 ORDER BY a.id, b.id;
SELECT to_jsonb(z) FROM (SELECT DISTINCT s AS name, b AS flag FROM hd) z ORDER BY 1;
SELECT row_to_json(z) FROM (SELECT id AS i FROM ha UNION ALL SELECT id FROM bk) z ORDER BY z.i LIMIT 3;
SELECT a.id, row_to_json(q) FROM ha a, LATERAL (SELECT b.id AS other, b.s AS t FROM bk b WHERE b.id = a.id) q ORDER BY 1;
WITH w AS (SELECT id AS wid, s AS ws FROM bk) SELECT row_to_json(w), a.id FROM w JOIN ha a ON a.id = w.wid ORDER BY a.id LIMIT 3;
SELECT row_to_json(l), row_to_json(r) FROM la l JOIN ha a ON a.id = l.id JOIN ra r ON r.id = a.x ORDER BY a.id;
SELECT row_to_json(a) FROM ha a WHERE a.id IN (SELECT b.id FROM bk b WHERE b.x = 2) ORDER BY a.id;
SELECT to_jsonb(q) FROM ha a LEFT JOIN hb q ON a.id = q.id AND q.x = 2 ORDER BY a.id;
SELECT jsonb_object_keys(to_jsonb(q)) AS key, count(*) FROM (SELECT a.*, b.id AS bid FROM hd a JOIN hx b ON a.x = b.x) q GROUP BY 1 ORDER BY 1;
SELECT (SELECT z FROM (SELECT a.k AS kk, a.s AS ss) z) FROM ha a WHERE a.id < 5 ORDER BY a.id;
SELECT array_agg(z ORDER BY z.id) FROM (SELECT a.id, b.s FROM ha a JOIN bk b USING (id)) z;
-- order of the input
SELECT array_agg(id) FROM (SELECT a.id FROM ha a JOIN bk b ON a.k = b.x ORDER BY a.id, b.id) z;
SELECT string_agg(s, '/') FROM (SELECT s FROM hb ORDER BY id DESC) z;
SELECT id, row_number() OVER () FROM (SELECT id FROM ha ORDER BY x NULLS FIRST, id DESC) z;
SELECT id, sum(id) OVER (ROWS UNBOUNDED PRECEDING) FROM (SELECT id FROM hc ORDER BY id DESC) z;
SELECT array_agg(id) FROM (SELECT * FROM (SELECT id FROM ha ORDER BY id LIMIT 8) y ORDER BY id DESC) z;
SELECT array_agg(c) FROM (SELECT k, count(*) AS c FROM ha GROUP BY k ORDER BY count(*) DESC, k) z;
SELECT jsonb_agg(z.s) FROM (SELECT DISTINCT ON (x) x, s FROM hb ORDER BY x, id DESC) z;
SELECT xmlagg(xmlelement(name i, id)) IS NOT NULL, array_agg(id) FROM (SELECT id FROM bk ORDER BY n DESC NULLS LAST, id) z;
WITH w AS (SELECT id FROM ha ORDER BY id DESC LIMIT 5) SELECT array_agg(id), (SELECT array_agg(id) FROM w) FROM w;
SELECT ARRAY(SELECT b.id FROM bk b WHERE b.x = a.x ORDER BY b.id DESC), a.id FROM ha a ORDER BY a.id;
SELECT first_value(id) OVER (ORDER BY x, id), id FROM (SELECT id, x FROM ha ORDER BY id DESC) z ORDER BY id;
-- empty input
SELECT c_product(x), c_initial(x), c_strict(x), c_concat(s), c_first(x) FROM em;
SELECT c_product(x), c_initial(x), c_strict(x), c_concat(s), c_first(x) FROM ha WHERE k = 777;
SELECT c_product(x) FILTER (WHERE false), c_initial(x) FILTER (WHERE id < 0), count(*) FROM ha;
SELECT k, c_initial(x) FROM em GROUP BY k;
SELECT count(*), sum(x), avg(x), stddev(x), array_agg(x), bool_and(b), string_agg(s, ','), json_agg(x), regr_count(x, x), corr(x, x), percentile_cont(0.5) WITHIN GROUP (ORDER BY x), mode() WITHIN GROUP (ORDER BY x), rank(1) WITHIN GROUP (ORDER BY x), range_agg(int4range(x, x + 1)) FROM em;
SELECT count(*), sum(a.x), c_initial(b.x) FROM em a JOIN bk b ON a.x = b.k;
SELECT count(*), c_initial(b.x) FROM ha a LEFT JOIN em b ON a.k = b.x;
SELECT grouping(k), k, count(*), c_initial(x) FROM em GROUP BY ROLLUP (k);
SELECT count(*) FROM em GROUP BY ();
SELECT (SELECT c_initial(e.x) FROM em e WHERE e.k = a.k), count(*) FROM ha a GROUP BY 1;
SELECT max(x), c_product(x) FROM em HAVING count(*) = 0;
SELECT count(*) OVER (), sum(x) OVER () FROM em;
-- NULL keys
SELECT count(*) FROM ha WHERE k IS NULL;
SELECT a.id, b.id FROM ha a JOIN hb b ON a.k IS NOT DISTINCT FROM b.k WHERE a.k IS NULL ORDER BY 1, 2;
SELECT a.id, b.id FROM ha a JOIN bk b ON a.k IS NOT DISTINCT FROM b.k WHERE a.k IS NULL ORDER BY 1, 2;
SELECT a.id, b.id FROM ha a LEFT JOIN hb b ON a.k = b.k WHERE a.k IS NULL ORDER BY 1, 2;
SELECT a.id, b.id FROM ha a FULL JOIN hb b ON a.k = b.k WHERE a.k IS NULL OR b.k IS NULL ORDER BY 1, 2;
SELECT a.id, b.id FROM ha a FULL JOIN bk b ON a.k = b.k WHERE a.k IS NULL OR b.k IS NULL ORDER BY 1, 2;
SELECT k, count(*) FROM (SELECT k FROM ha UNION ALL SELECT k FROM hb) z GROUP BY k ORDER BY k NULLS FIRST;
SELECT k FROM ha INTERSECT ALL SELECT k FROM hb ORDER BY 1;
SELECT k FROM ha EXCEPT ALL SELECT k FROM bk ORDER BY 1;
SELECT DISTINCT k FROM ha ORDER BY k NULLS FIRST;
SELECT id FROM ha WHERE k NOT IN (SELECT k FROM hb);
SELECT id FROM ha WHERE k NOT IN (SELECT k FROM bk);
SELECT id FROM ha WHERE (k NOT IN (SELECT k FROM em)) ORDER BY id;
SELECT s, count(*) FROM ta GROUP BY s ORDER BY s COLLATE "C" NULLS FIRST;
SELECT a.id, b.id FROM ta a JOIN tb b ON a.s IS NOT DISTINCT FROM b.s ORDER BY 1, 2;
SELECT k, lag(id) OVER (PARTITION BY k ORDER BY id) FROM ha WHERE k IS NULL;
-- samples
BEGIN;
INSERT INTO ha (k, id) SELECT i, 10000 + i FROM generate_series(1, 4000) i;
SELECT count(*) BETWEEN 1600 AND 2400 FROM ha TABLESAMPLE BERNOULLI (50);
SELECT count(*) BETWEEN 200 AND 600 FROM ha TABLESAMPLE BERNOULLI (10) WHERE id > 0;
SELECT count(*) < 4030 FROM ha TABLESAMPLE SYSTEM (30);
SELECT (SELECT array_agg(id ORDER BY id) FROM ha TABLESAMPLE BERNOULLI (20) REPEATABLE (5)) = (SELECT array_agg(id ORDER BY id) FROM ha TABLESAMPLE BERNOULLI (20) REPEATABLE (5));
SELECT count(*) BETWEEN 100 AND 900 FROM (SELECT a.id FROM ha a TABLESAMPLE BERNOULLI (50) JOIN ha b TABLESAMPLE BERNOULLI (50) USING (k) WHERE a.k > 3000) z;
SELECT count(*) BETWEEN 1200 AND 2800 FROM ha a TABLESAMPLE BERNOULLI (50) JOIN (SELECT DISTINCT id FROM ha) z USING (id);
WITH w AS (SELECT id FROM ha TABLESAMPLE BERNOULLI (50)) SELECT (SELECT count(*) FROM w) = (SELECT count(*) FROM w);
SELECT count(*) = 0 FROM ha TABLESAMPLE BERNOULLI (0);
-- error
SELECT count(*) FROM ha TABLESAMPLE BERNOULLI (101);
ROLLBACK;
-- ties
SELECT count(*), count(DISTINCT x) FROM (SELECT x FROM ha ORDER BY x FETCH FIRST 3 ROWS WITH TIES) z;
SELECT array_agg(k) FROM (SELECT k FROM ha ORDER BY k LIMIT 9) z;
SELECT array_agg(x) FROM (SELECT x FROM ha ORDER BY x DESC NULLS LAST LIMIT 11 OFFSET 3) z;
SELECT x, s FROM ha ORDER BY x, s COLLATE "C" FETCH FIRST 4 ROWS WITH TIES;
SELECT sum(x) FROM (SELECT a.x FROM ha a JOIN bk b ON a.x = b.k ORDER BY a.x FETCH FIRST 2 ROWS WITH TIES) z;
SELECT count(*) FROM (SELECT DISTINCT x FROM ha ORDER BY x FETCH FIRST 3 ROWS WITH TIES) z;
SELECT array_agg(DISTINCT r) FROM (SELECT rank() OVER (ORDER BY x) AS r FROM ha ORDER BY x LIMIT 7) z;
SELECT x, count(*) FROM ha GROUP BY x ORDER BY x FETCH FIRST 2 ROWS WITH TIES;
-- evaluated never, once, or for each row
-- may differ: sub-queries of WHERE are evaluated once, before
SELECT a.id FROM ha a WHERE a.id < 0 AND a.x = (SELECT 1 / (min(b.id) - min(b.id)) FROM bk b);
SELECT CASE WHEN a.id > 0 THEN 1 ELSE (SELECT 1 / (min(b.id) - min(b.id)) FROM bk b) END FROM ha a WHERE a.id < 3;
SELECT a.id FROM ha a WHERE CASE WHEN a.id < 100 THEN a.id < 3 ELSE a.x = (SELECT 1 / (min(b.id) - min(b.id)) FROM bk b) END ORDER BY 1;
SELECT coalesce(a.id, (SELECT 1 / (min(b.id) - min(b.id)) FROM bk b)) FROM ha a WHERE a.id < 3 ORDER BY 1;
-- error
SELECT a.id FROM ha a WHERE a.x = (SELECT b.id FROM bk b);
-- error
SELECT a.id, (SELECT b.id FROM bk b WHERE b.k = a.k) FROM ha a WHERE a.k = 1;
-- error
SELECT a.id FROM ha a JOIN bk b ON a.id = b.id WHERE 1 / (b.x - b.x) = 1;
SELECT count(DISTINCT r) FROM (SELECT a.id, b.r FROM ha a CROSS JOIN (SELECT random() AS r FROM bk LIMIT 1) b) z;
SELECT count(DISTINCT r) > 1 FROM (SELECT a.id, random() AS r FROM ha a JOIN bk b ON a.id = b.id) z;
WITH w AS MATERIALIZED (SELECT id, random() AS r FROM bk) SELECT count(*) FROM w p JOIN w q ON p.r = q.r JOIN ha a ON a.id = p.id;
CREATE SEQUENCE counted;
WITH w AS (SELECT nextval('counted') AS v, id FROM bk) SELECT count(*) FROM ha a JOIN w ON w.id = a.id;
SELECT last_value FROM counted;
-- values of all kinds are sent along
CREATE TYPE t_faithful.pair AS (p int, q text);
CREATE TYPE t_faithful.size AS ENUM ('small', 'big');
CREATE DOMAIN t_faithful.positive AS int CHECK (VALUE > 0);
CREATE TABLE many (id int, p t_faithful.pair, z t_faithful.size, d t_faithful.positive, a int[], ta text[], j jsonb, js json, u uuid, by bytea, r int4range, i interval, tz timestamptz, m money, c char(5), v varchar(3), na name, f float8, f4 real, o oid, x xml, bi bit(3), pt point, ts tsvector, ne inet, h text COLLATE "C", big numeric, mr int4multirange);
INSERT INTO many SELECT g, row(g, 'q"' || g)::t_faithful.pair, (ARRAY['small', 'big'])[g % 2 + 1]::t_faithful.size, g, ARRAY[g, NULL], ARRAY['a,b', '"', NULL, ''], jsonb_build_object('a', g), '{"b":  1}', md5(g::text)::uuid, decode(repeat('ff00', g), 'hex'), int4range(g, g + 3), make_interval(days => g), '2026-03-29 01:30+00'::timestamptz + g * interval '1 hour', g::money, 'c' || g, 'v' || g, 'n' || g, g / 3.0, g / 3.0, g, '<a>x</a>', B'101', point(g, 0.1), to_tsvector('simple', 'a b'), '10.0.0.1', 'H' || g, 1e20 + g, '{[1,3)}' FROM generate_series(1, 5) g;
INSERT INTO many (id) VALUES (6);
SELECT a.id, m.p, m.z, m.d, m.a, m.ta, m.j, m.js, m.u, m.by, m.r, m.i, m.tz, m.m, m.c, m.v, m.na, m.f, m.f4, m.o, m.x::text, m.bi, m.pt, m.ts, m.ne, m.h, m.big, m.mr FROM ha a JOIN many m ON m.id = a.id ORDER BY a.id;
SELECT a.id, m.p, (m.p).q, m.j, m.c || '|', m FROM hb a JOIN many m ON m.id = a.k ORDER BY a.id;
SELECT a.id FROM ha a WHERE (a.id, a.s) IN (SELECT m.id, m.h FROM many m) OR a.id IN (SELECT (m.p).p FROM many m WHERE m.c = 'c2') ORDER BY 1;
SELECT a.id, m.z FROM ha a LEFT JOIN many m ON m.id = a.id AND m.z = 'big' WHERE a.id < 8 ORDER BY 1;
SELECT m.z, m.c, m.h, count(*) FROM ha a JOIN many m ON m.id = a.k GROUP BY m.z, m.c, m.h ORDER BY m.c;
SELECT a.id, w.e FROM ha a JOIN (SELECT id, unnest(ta) AS e FROM many) w ON w.id = a.id ORDER BY 1, 2;
SELECT a.id FROM ha a JOIN many m ON m.v = 'v' || a.id AND m.r @> a.id AND m.f > 0.1 ORDER BY 1;
SELECT a.id, m.id FROM ta a JOIN many m ON m.h = upper(a.s) || a.id OR m.na = a.s ORDER BY 1, 2;
SELECT a.id, m.d, m.tz AT TIME ZONE 'Europe/Berlin' FROM ha a JOIN many m ON m.d = a.id ORDER BY 1;
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
SELECT a.id, m.tz, m.i, m.f, m.by, m.m FROM ha a JOIN many m ON m.id = a.id ORDER BY a.id;
SELECT a.id, (SELECT max(m.tz) FROM many m WHERE m.id = a.id), d FROM ha a WHERE a.id < 4 ORDER BY a.id;
SELECT a.id FROM ha a WHERE a.d IN (SELECT (m.tz - interval '2 years 1 month')::date FROM many m) ORDER BY 1;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;
-- much is sent along
CREATE TABLE wide AS SELECT i AS id, repeat(md5(i::text), 40) AS t, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 50 END AS k FROM generate_series(1, 6000) i;
SELECT count(*), sum(length(w.t)), max(w.id) FROM ha a JOIN wide w ON w.k = a.k;
SELECT a.id, count(w.t) FROM ha a LEFT JOIN wide w ON w.id = a.id * 100 GROUP BY a.id ORDER BY 1;
SELECT count(*) FROM bk a WHERE EXISTS (SELECT FROM wide w WHERE w.k = a.k AND w.t > 'a');
BEGIN;
UPDATE hb SET s = 'changed' WHERE k = 1;
SELECT count(*), count(DISTINCT a.s), sum(length(w.t)) FROM hb a JOIN wide w ON w.k = a.k;
SELECT a.s, count(*) FROM hb a JOIN bk b ON a.x = b.x JOIN wide w ON w.id = b.id GROUP BY a.s ORDER BY 1;
ROLLBACK;
SELECT count(*) FROM wide w WHERE w.k NOT IN (SELECT k FROM ha WHERE k IS NOT NULL);
-- DISTINCT by a sub-query, beside another one
SELECT count(DISTINCT a.k), count(DISTINCT (SELECT v.x FROM (VALUES (1, 'a'), (2, 'zz')) v(x, s) WHERE v.s = a.s)) FROM ha a JOIN ra r ON r.id = a.x;
