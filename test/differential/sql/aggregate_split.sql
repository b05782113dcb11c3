-- How grouped queries are split: forms of DISTINCT, grouping sets, constants, sub-queries, windows, set-returning functions.
-- setup: shapes
-- several DISTINCTs at once
SELECT count(DISTINCT kind), count(DISTINCT small), sum(amount), avg(DISTINCT share) FILTER (WHERE flag) FROM events;
SELECT kind, count(DISTINCT small), count(DISTINCT day), sum(amount), count(*) FROM events GROUP BY kind ORDER BY kind;
SELECT kind, count(DISTINCT kind), count(DISTINCT day), sum(amount) FROM events GROUP BY kind ORDER BY kind;
SELECT kind, count(DISTINCT kind), count(DISTINCT flag) FROM events GROUP BY kind ORDER BY kind;
SELECT count(DISTINCT kind) FILTER (WHERE flag), count(DISTINCT kind) FILTER (WHERE NOT flag), count(DISTINCT kind) FROM events;
SELECT flag, count(DISTINCT kind) FILTER (WHERE small > 0), max(amount) FILTER (WHERE small < 0) FROM events GROUP BY flag ORDER BY 1;
SELECT count(DISTINCT 100 / small) FILTER (WHERE small <> 0) FROM events;
SELECT count(DISTINCT 100 / small) FILTER (WHERE small <> 0), count(DISTINCT kind) FROM events;
SELECT array_agg(DISTINCT small ORDER BY small DESC NULLS FIRST) FILTER (WHERE small > 40 OR small IS NULL), count(DISTINCT how) FROM events;
SELECT string_agg(DISTINCT kind, ', ' ORDER BY kind DESC), string_agg(DISTINCT kind, '; ') IS NOT NULL FROM events;
SELECT string_agg(DISTINCT kind, left(kind, 1) ORDER BY kind, left(kind, 1)) FROM events;
SELECT count(DISTINCT (kind, small)), count(DISTINCT (kind, NULL::int)), count(DISTINCT ROW(kind)) FROM events;
SELECT count(DISTINCT 1), count(DISTINCT NULL::int), sum(DISTINCT 5), count(*) FROM events;
SELECT count(DISTINCT 1), count(DISTINCT kind) FROM events WHERE event_id < 0;
SELECT count(DISTINCT place), count(DISTINCT tags), count(DISTINCT data), count(DISTINCT span) FROM events;
SELECT count(DISTINCT (e.place).x), min((e.place).y) FROM events e;
SELECT corr(DISTINCT small, share), regr_count(DISTINCT small, share), count(*) FROM events;
SELECT json_agg(DISTINCT kind ORDER BY kind) FROM events;
SELECT count(DISTINCT score), count(DISTINCT score::numeric(10,2)) FILTER (WHERE score < 100 AND score > -100) FROM events;
SELECT count(DISTINCT kind) + count(DISTINCT flag) * 10, count(DISTINCT kind) / nullif(count(DISTINCT flag), 0) FROM events;
SELECT kind, count(DISTINCT small) n FROM events GROUP BY kind HAVING count(DISTINCT day) > 3 AND count(DISTINCT flag) = 2 ORDER BY n, kind;
SELECT count(DISTINCT kind), count(DISTINCT small) FROM nothing, events WHERE id = event_id;
SELECT v, count(DISTINCT id), count(DISTINCT v), sum(id) FROM nothing GROUP BY v;
SELECT count(DISTINCT i.label), count(DISTINCT i.qty), sum(i.price), count(DISTINCT i.price) FILTER (WHERE i.qty IS NULL) FROM items i;
SELECT r.region, count(DISTINCT e.kind), count(DISTINCT a.name), sum(e.amount) FROM events e JOIN accounts a USING (tenant_id) LEFT JOIN regions r USING (region_id) GROUP BY r.region ORDER BY 1;
SELECT count(DISTINCT 1) FROM events WHERE event_id < 0;
SELECT count(DISTINCT 1) FILTER (WHERE flag), sum(DISTINCT 3) FILTER (WHERE small > 1000) FROM events;
-- DISTINCT by the distribution column
SELECT count(DISTINCT tenant_id), sum(DISTINCT tenant_id), avg(DISTINCT tenant_id), min(DISTINCT tenant_id), max(DISTINCT tenant_id) FROM events;
SELECT count(DISTINCT tenant_id), count(*), sum(amount) FROM events;
SELECT count(DISTINCT tenant_id), count(DISTINCT kind), count(*) FROM events;
SELECT count(DISTINCT tenant_id) FILTER (WHERE flag), count(DISTINCT kind) FILTER (WHERE flag) FROM events;
SELECT kind, count(DISTINCT tenant_id), count(DISTINCT small) FROM events GROUP BY kind ORDER BY 1;
SELECT kind, count(DISTINCT tenant_id), grouping(kind) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 3;
SELECT stddev(DISTINCT tenant_id), array_agg(DISTINCT tenant_id ORDER BY tenant_id), variance(DISTINCT tenant_id) FROM events;
SELECT count(DISTINCT a.tenant_id), count(DISTINCT e.tenant_id) FROM accounts a JOIN events e ON e.tenant_id = a.tenant_id;
SELECT count(DISTINCT a.tenant_id), count(DISTINCT e.tenant_id) FROM accounts a LEFT JOIN events e ON e.tenant_id = a.tenant_id AND e.small > 0;
SELECT count(DISTINCT tenant_id + 1), count(DISTINCT -tenant_id) FROM events;
SELECT count(DISTINCT (tenant_id, kind)), count(DISTINCT name) FROM events LEFT JOIN accounts USING (tenant_id);
SELECT count(DISTINCT name), max(length(name)) FROM names;
-- grouping sets
SELECT kind, flag, count(*), sum(amount), avg(small), stddev(amount), grouping(kind), grouping(flag, kind) FROM events GROUP BY CUBE (kind, flag) ORDER BY 1, 2, 7, 8;
SELECT kind, flag, how, count(*), max(day) FROM events GROUP BY kind, GROUPING SETS ((flag), (how), (flag, how), ()) ORDER BY 1, 2, 3, 4;
SELECT kind, flag, count(*) FROM events GROUP BY ROLLUP (kind), ROLLUP (flag) ORDER BY 1, 2, 3;
SELECT kind, count(*) FROM events GROUP BY GROUPING SETS ((kind), (kind), ()) ORDER BY 1, 2;
SELECT kind, count(*) FROM events GROUP BY DISTINCT ROLLUP (kind, flag), ROLLUP (kind) ORDER BY 1, 2;
SELECT length(kind) l, flag, sum(amount) FROM events GROUP BY ROLLUP (length(kind), flag) ORDER BY 1, 2, 3;
SELECT length(kind) + 1 l, sum(length(kind)) FROM events GROUP BY CUBE (length(kind)) ORDER BY 1, 2;
SELECT kind, length(kind), count(*) FROM events GROUP BY ROLLUP (kind, length(kind)) ORDER BY 1, 2, 3;
SELECT coalesce(kind, '(all)'), count(*) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 2;
SELECT CASE WHEN grouping(kind) = 1 THEN 'all' ELSE kind END k, sum(small) FROM events GROUP BY ROLLUP (kind) HAVING grouping(kind) = 0 OR sum(small) IS NOT NULL ORDER BY 1, 2;
SELECT kind, sum(amount), rank() OVER (PARTITION BY grouping(kind) ORDER BY sum(amount)) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 2;
SELECT kind, flag, count(DISTINCT small), count(DISTINCT how), sum(amount) FROM events GROUP BY CUBE (kind, flag) ORDER BY 1, 2, 5;
SELECT kind, count(DISTINCT kind), count(DISTINCT small) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 2;
SELECT count(*), sum(amount) FROM events WHERE event_id < 0 GROUP BY GROUPING SETS ((), (kind), ());
SELECT count(DISTINCT kind), count(DISTINCT flag), count(*) FROM events WHERE event_id < 0 GROUP BY GROUPING SETS ((), (kind));
SELECT kind, percentile_disc(0.5) WITHIN GROUP (ORDER BY small), count(*) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 3;
SELECT flag, array_agg(event_id ORDER BY event_id) FROM events WHERE event_id < 20 GROUP BY ROLLUP (flag) ORDER BY 1, 2;
SELECT r.region, e.flag, count(*), sum(e.amount * r.factor) FROM events e JOIN accounts a USING (tenant_id) JOIN regions r USING (region_id) GROUP BY CUBE (r.region, e.flag) ORDER BY 1, 2, 3;
SELECT tenant_id, kind, count(*) FROM events WHERE tenant_id IN (1, 2, 3) GROUP BY ROLLUP (tenant_id, kind) ORDER BY 1, 2, 3;
-- groups of every kind
SELECT 'x' AS g, count(*) FROM events GROUP BY g;
SELECT 'x' AS g, count(*) FROM events WHERE event_id < 0 GROUP BY g;
SELECT 'x' AS g, kind, count(*) FROM events GROUP BY g, kind ORDER BY kind;
SELECT 1 AS a, 2 AS b FROM events GROUP BY a, b;
SELECT 1 FROM events WHERE event_id < 0 GROUP BY 'x'::text;
SELECT 'x' AS g, count(DISTINCT kind), count(DISTINCT flag) FROM events WHERE event_id < 0 GROUP BY g;
SELECT 'x'::text AS g, kind, count(*) FROM events GROUP BY ROLLUP (kind), 1 ORDER BY 2, 3;
SELECT now() - now() AS n, count(*) FROM events GROUP BY n;
SELECT ROW(kind, flag), count(*) FROM events GROUP BY ROW(kind, flag) ORDER BY 2, 1;
SELECT (kind, flag) IS NULL, kind, count(*) FROM events GROUP BY (kind, flag) ORDER BY 2, 1, 3;
SELECT kind || '!', upper(kind), count(*) FROM events GROUP BY kind ORDER BY 2;
SELECT amount > 500, NOT (amount > 500), count(*) FROM events GROUP BY amount > 500 ORDER BY 1;
SELECT unnest(tags) t, count(*) FROM events GROUP BY t ORDER BY 1;
SELECT unnest(tags) t, count(*), count(DISTINCT kind) FROM events GROUP BY t HAVING count(*) > 5 ORDER BY 1;
SELECT generate_series(1, 3) g, kind, sum(small) FROM events GROUP BY g, kind ORDER BY 1, 2;
SELECT kind, generate_series(1, count(*) / 40) FROM events GROUP BY kind ORDER BY 1, 2;
SELECT kind, unnest(array_agg(DISTINCT how ORDER BY how)) FROM events GROUP BY kind ORDER BY 1, 2;
SELECT kind, unnest(ARRAY[min(small), max(small)]), generate_series(1, 3) FROM events GROUP BY kind ORDER BY 1, 3;
SELECT r.*, count(e.event_id) FROM regions r LEFT JOIN accounts a USING (region_id) LEFT JOIN events e USING (tenant_id) GROUP BY r.region_id ORDER BY 1;
SELECT r.region_id, r.region, sum(e.amount), r.factor * sum(e.small) FROM events e JOIN accounts a USING (tenant_id) JOIN regions r USING (region_id) GROUP BY r.region_id HAVING r.factor IS NOT NULL ORDER BY 1;
SELECT r, count(*) FROM events e JOIN accounts a USING (tenant_id) JOIN regions r USING (region_id) GROUP BY r.region_id ORDER BY r.region_id;
SELECT r.region_id, r.region, count(*) FROM events e JOIN accounts a USING (tenant_id) JOIN regions r USING (region_id) GROUP BY ROLLUP (r.region_id, r.region) ORDER BY 1, 2, 3;
SELECT place, count(*), count(place) FROM events GROUP BY place ORDER BY 1, 2;
SELECT (place).x, count(*) FROM events GROUP BY (place).x ORDER BY 1;
SELECT count(e), count(DISTINCT e.kind) FROM events e;
-- sub-queries beside aggregates
SELECT kind, count(*), (SELECT count(*) FROM accounts) FROM events GROUP BY kind ORDER BY 1;
SELECT kind, count(*) FROM events GROUP BY kind HAVING count(*) > (SELECT count(*) FROM accounts) ORDER BY 1;
SELECT count(*) > (SELECT max(id) FROM items), count(*) IN (SELECT n FROM names), (SELECT max(label) FROM items WHERE id < 50) FROM events;
SELECT a.region_id, sum(a.credit), (SELECT r.region FROM regions r WHERE r.region_id = a.region_id) FROM accounts a GROUP BY a.region_id ORDER BY 1;
SELECT small, count(*), (SELECT count(*) FROM items i WHERE i.qty = e.small) FROM events e WHERE small BETWEEN 0 AND 5 GROUP BY small ORDER BY 1;
SELECT small, count(*) FROM events e GROUP BY small HAVING EXISTS (SELECT 1 FROM items i WHERE i.qty = e.small HAVING count(i.id) > count(e.event_id)) ORDER BY 1;
SELECT small, (SELECT sum(e.amount) FROM locals l WHERE l.id = 1), (SELECT max(l.id) + sum(e.event_id) FROM locals l) FROM events e WHERE small > 45 GROUP BY small ORDER BY 1;
SELECT small, (SELECT string_agg(l.remark, ',' ORDER BY l.id) FROM locals l WHERE l.tenant_id = e.small) FROM events e WHERE small BETWEEN 1 AND 4 GROUP BY small ORDER BY 1;
SELECT kind, count(*) FILTER (WHERE small IN (SELECT qty FROM items)), count(*) FROM events GROUP BY kind ORDER BY 1;
SELECT kind, sum((SELECT a.credit FROM accounts a WHERE a.tenant_id = e.tenant_id)) FROM events e GROUP BY kind ORDER BY 1;
SELECT (SELECT a.region_id FROM accounts a WHERE a.tenant_id = e.tenant_id) r, count(*) FROM events e GROUP BY r ORDER BY 1;
SELECT kind, array(SELECT n FROM names WHERE n < count(e.event_id) / 30 ORDER BY n) FROM events e GROUP BY kind ORDER BY 1;
WITH w AS (SELECT max(amount) m FROM events) SELECT kind, max(amount) = (SELECT m FROM w) FROM events GROUP BY kind ORDER BY 1;
WITH w AS (SELECT * FROM events WHERE small > 0) SELECT kind, count(*), (SELECT count(*) FROM w) FROM w GROUP BY kind ORDER BY 1;
SELECT count(*) FROM events HAVING (SELECT count(*) FROM regions) = 4;
SELECT kind, count(*) FROM events GROUP BY kind ORDER BY (SELECT max(id) FROM items) - count(*), kind;
SELECT kind, count(*) FROM events GROUP BY kind ORDER BY 1 LIMIT (SELECT count(*) / 2 FROM regions) OFFSET (SELECT 1);
SELECT (SELECT count(*) FROM (SELECT e.kind) x WHERE x.kind = 'buy'), count(*) FROM events e GROUP BY kind ORDER BY 1, 2;
-- after the aggregates
SELECT DISTINCT count(*) > 100 FROM events GROUP BY kind ORDER BY 1;
SELECT DISTINCT ON (count(*) > 100) count(*) > 100, kind FROM events GROUP BY kind ORDER BY 1, 2;
SELECT kind, sum(amount) FROM events GROUP BY kind ORDER BY sum(amount) DESC NULLS LAST LIMIT 3;
SELECT kind, sum(amount) s FROM events GROUP BY kind ORDER BY count(*) DESC, max(amount), kind FETCH FIRST 2 ROWS WITH TIES;
SELECT kind, sum(sum(amount)) OVER (ORDER BY kind ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), lag(count(*)) OVER (ORDER BY kind) FROM events GROUP BY kind ORDER BY 1;
SELECT flag, kind, sum(small) * 100.0 / sum(sum(small)) OVER (PARTITION BY flag) FROM events WHERE small > 0 GROUP BY flag, kind ORDER BY 1, 2;
SELECT ntile(2) OVER (ORDER BY count(*), kind), kind, count(*) FILTER (WHERE flag) FROM events GROUP BY kind ORDER BY 2;
SELECT k, n FROM (SELECT kind k, count(DISTINCT small) n, count(DISTINCT day) d FROM events GROUP BY kind) s WHERE n > 30 AND d > 5 ORDER BY 1;
SELECT sum(n), max(s) FROM (SELECT kind, count(*) n, sum(amount) s FROM events GROUP BY ROLLUP (kind)) x;
SELECT a.kind, a.n, b.s FROM (SELECT kind, count(*) n FROM events GROUP BY kind) a JOIN (SELECT kind, sum(small) s FROM events GROUP BY kind) b ON a.kind = b.kind ORDER BY 1;
SELECT count(*), sum(x) FROM (SELECT kind, avg(amount) x FROM events GROUP BY kind HAVING count(*) > 50) s;
SELECT array_agg(k ORDER BY n DESC, k) FROM (SELECT kind k, count(*) n FROM events GROUP BY kind) s;
SELECT string_agg(k, ',') FROM (SELECT kind k FROM events GROUP BY kind ORDER BY kind DESC) s;
SELECT array_agg(event_id) FROM (SELECT event_id FROM events WHERE event_id < 30 ORDER BY event_id DESC) s;
-- ordered aggregates
SELECT sum(small ORDER BY event_id), count(kind ORDER BY kind), max(amount ORDER BY event_id) FROM events;
SELECT stddev(small ORDER BY event_id), avg(amount ORDER BY small) FROM events;
SELECT kind, percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY amount), mode() WITHIN GROUP (ORDER BY day), count(DISTINCT small) FROM events GROUP BY kind ORDER BY 1;
SELECT tenant_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FILTER (WHERE flag), count(*) FROM events GROUP BY tenant_id ORDER BY 1;
SELECT rank(10, 'buy') WITHIN GROUP (ORDER BY small, kind), dense_rank(NULL::int) WITHIN GROUP (ORDER BY small) FROM events;
-- types without equality, and errors as they are
SELECT count(DISTINCT data::text) FROM events;
-- error
SELECT count(DISTINCT data::json) FROM events;
-- error
SELECT kind, small FROM events GROUP BY kind;
-- error
SELECT sum(1 / (small - 1)) FROM events;
-- error
SELECT count(DISTINCT 1 / (small - 1)), count(DISTINCT kind) FROM events;
-- error
SELECT kind, count(*) FROM events GROUP BY kind HAVING sum(1 / (small - 1)) > 0;
-- error
SELECT kind, (SELECT e.small) FROM events e GROUP BY kind;
-- parameters
PREPARE p1(int) AS SELECT kind, count(DISTINCT small + $1), count(DISTINCT day), sum(small) FILTER (WHERE small > $1), $1 FROM events GROUP BY kind ORDER BY 1;
EXECUTE p1(3);
EXECUTE p1(40);
EXECUTE p1(NULL);
PREPARE p2(text) AS SELECT $1 AS g, string_agg(DISTINCT kind, $1 ORDER BY kind) FROM events WHERE kind <> $1 GROUP BY g;
EXECUTE p2('buy');
EXECUTE p2('');
PREPARE p3(int) AS SELECT small / $1, count(*), sum(amount) FROM events GROUP BY ROLLUP (small / $1) ORDER BY 1, 2;
EXECUTE p3(20);
EXECUTE p3(7);
