-- Statements that a random test or a close look found wrong once.
-- setup: shapes
-- a set operation with a part that is right on one shard only
SELECT count(*) FROM events WHERE tenant_id = 5 UNION ALL SELECT event_id FROM events WHERE event_id < 20;
SELECT count(*) FROM events WHERE tenant_id = 5 UNION ALL SELECT count(*) FROM events WHERE tenant_id = 1 UNION ALL SELECT count(*) FROM accounts WHERE tenant_id = 9;
(SELECT tenant_id FROM events WHERE tenant_id = 5 LIMIT 1) UNION ALL SELECT tenant_id FROM accounts;
SELECT r.region_id FROM regions r LEFT JOIN accounts a ON a.tenant_id = r.region_id AND a.tenant_id = 2 UNION ALL SELECT tenant_id FROM accounts;
SELECT a.tenant_id, x.n FROM accounts a FULL JOIN (SELECT 5 AS c, count(*) AS n FROM events WHERE tenant_id = 5) x ON x.c = a.tenant_id;
SELECT a.tenant_id, x.n FROM accounts a LEFT JOIN (SELECT 5 AS c, count(*) AS n FROM events WHERE tenant_id = 5) x ON x.c = a.tenant_id;
-- IS NULL above an outer join is no restriction of the table
SELECT r.region_id, r.region FROM regions r LEFT JOIN accounts a ON a.tenant_id = r.region_id WHERE a.tenant_id IS NULL;
SELECT r.region_id, a.tenant_id FROM accounts a RIGHT JOIN regions r ON a.tenant_id = r.region_id + 2 WHERE a.tenant_id IS NULL;
SELECT r.region_id, a.tenant_id FROM accounts a FULL JOIN regions r ON a.tenant_id = r.region_id + 2 WHERE a.tenant_id IS NULL;
SELECT count(*) FROM accounts a LEFT JOIN events e USING (tenant_id) WHERE e.tenant_id IS NULL;
SELECT count(*) FROM accounts a FULL JOIN events e ON a.tenant_id = e.tenant_id WHERE a.tenant_id IS NULL;
-- correlated on the nullable side only
SELECT a.tenant_id, (SELECT count(*) FROM events e LEFT JOIN (SELECT * FROM accounts b WHERE b.tenant_id = a.tenant_id) x ON x.tenant_id = e.tenant_id) FROM accounts a;
SELECT a.tenant_id, (SELECT count(*) FROM (SELECT * FROM accounts b WHERE b.tenant_id = a.tenant_id) x FULL JOIN events e ON x.tenant_id = e.tenant_id) FROM accounts a;
-- char(n) ignores trailing blanks, text does not
SELECT name::bpchar AS b, count(*) FROM names GROUP BY 1;
SELECT DISTINCT name::char(6) FROM names;
SELECT count(*) FROM names WHERE name::bpchar = 'gamma'::bpchar;
SELECT count(*) FROM names a JOIN names b ON a.name::bpchar = b.name::bpchar;
SELECT name FROM names WHERE name = 'gamma'::bpchar;
-- what an aggregate is divided by must not be computed for groups that nobody asks for
SELECT tenant_id, (SELECT 100 / sum(e.event_id % 2) FROM events e WHERE e.kind = a.name) FROM accounts a;
SELECT tenant_id FROM accounts a WHERE credit < (SELECT sum(10 / (e.qty - 3)) FROM items e WHERE e.qty = a.tenant_id AND a.tenant_id <> 3);
SELECT tenant_id FROM accounts a WHERE credit < (SELECT 1000 + sum(qty) FROM items e WHERE e.tenant_id = a.tenant_id);
-- a table of this server in a CTE that nobody reads
WITH w AS (SELECT * FROM locals) SELECT count(*) FROM events;
WITH w AS (SELECT * FROM locals), v AS (SELECT * FROM w) SELECT tenant_id FROM accounts WHERE tenant_id < 4;
SELECT count(*) FROM events WHERE 1 > 2 AND tenant_id = (SELECT max(id) FROM locals);
SELECT count(*) FROM events WHERE 1 < 2 OR tenant_id = (SELECT max(id) FROM locals);
-- a join that core removes
SELECT sum(a.tenant_id) FROM accounts a LEFT JOIN (SELECT DISTINCT tenant_id FROM locals) l ON l.tenant_id = a.region_id;
-- an argument that is printed twice
SELECT string_agg(DISTINCT (SELECT min(e.kind) FROM empty_events e)::text, '|' ORDER BY (SELECT min(e.kind) FROM empty_events e)::text) FROM accounts;
-- LIMIT and OFFSET whose sum is too large
SELECT tenant_id FROM accounts ORDER BY 1 LIMIT 9223372036854775807 OFFSET 28;
SELECT tenant_id FROM accounts ORDER BY 1 LIMIT 5 OFFSET 9223372036854775807;
-- error
SELECT tenant_id FROM accounts ORDER BY 1 LIMIT -1 OFFSET 5;
-- error
SELECT tenant_id FROM accounts ORDER BY 1 LIMIT 5 OFFSET -2;
-- conditional errors
SELECT tenant_id, CASE WHEN tenant_id < 0 THEN (current_date::text || 'x')::int ELSE 0 END AS v FROM accounts;
SELECT count(*) FROM accounts WHERE tenant_id > 1000 OR coalesce(true, (now()::text)::int = 1);
-- keys out of range and of other types
SELECT count(*) FROM events WHERE tenant_id = 99999999999;
SELECT count(*) FROM events WHERE tenant_id IN (1, 99999999999);
SELECT count(*) FROM events WHERE tenant_id = ANY ('{1,NULL,99999999999}'::bigint[]);
SELECT count(*) FROM events WHERE tenant_id = 1.0;
SELECT count(*) FROM events WHERE tenant_id = 1::smallint;
SELECT count(*) FROM events WHERE tenant_id = '1'::oid::int8;
SELECT count(*) FROM events WHERE tenant_id::oid = 1;
SELECT count(*) FROM items WHERE id = 7::smallint;
SELECT count(*) FROM items WHERE id = 7.5;
SELECT count(*) FROM events a JOIN items b ON a.tenant_id = b.id;
SELECT count(*) FROM events WHERE tenant_id = NULL OR tenant_id IS NULL;
SELECT count(*) FROM events WHERE tenant_id NOT IN (1, NULL);
SELECT count(*) FROM events WHERE (tenant_id = 1) IS NOT TRUE;
SELECT count(*) FROM events WHERE (tenant_id, kind) IN ((1, 'click'), (2, 'view'));
SELECT count(*) FROM events WHERE ROW (tenant_id) = ROW (1);
-- ORDER BY of a column whose name an output column has
SELECT -tenant_id AS credit, name AS tenant_id FROM accounts ORDER BY accounts.credit NULLS FIRST, accounts.tenant_id LIMIT 3;
SELECT name AS opened, region_id AS name FROM accounts ORDER BY accounts.opened DESC LIMIT 4;
SELECT DISTINCT ON (a.region_id) tenant_id AS region_id, name FROM accounts a ORDER BY a.region_id, a.tenant_id DESC;
SELECT x.b AS c2, 'const' AS c1, x.a AS c3 FROM (SELECT tenant_id AS a, name AS b FROM accounts) x ORDER BY x.a DESC LIMIT 3;
SELECT count(*) AS kind, kind AS small FROM events e GROUP BY e.kind ORDER BY e.kind;
SELECT -event_id AS tenant_id, sum(event_id) OVER (ORDER BY e.tenant_id, e.event_id) AS kind FROM events e WHERE tenant_id = 3 ORDER BY e.event_id DESC LIMIT 4;
-- aliases that look like those of a fragment
SELECT r1.k, r2.tenant_id FROM accounts r2 JOIN generate_series(1, 3) r1 (k) ON r1.k = r2.tenant_id ORDER BY 1;
SELECT count(*) FROM accounts r2 TABLESAMPLE SYSTEM (100) JOIN generate_series(1, 3) r1 (k) ON r1.k = r2.tenant_id JOIN events r3 TABLESAMPLE BERNOULLI (100) ON r3.tenant_id = r2.tenant_id;
WITH r1 AS (SELECT tenant_id AS c2, name AS c1 FROM accounts), r2 (c1, r1) AS (SELECT c2, c1 FROM r1) SELECT r2.r1, r1.c2, r1 FROM r1 JOIN r2 ON r2.c1 = r1.c2 ORDER BY 2 LIMIT 3;
SELECT r1.c1, (SELECT max(r1.tenant_id) FROM events r1 WHERE r1.tenant_id = r2.tenant_id) FROM (SELECT region_id AS c1, tenant_id FROM accounts) r1, accounts r2 WHERE r1.tenant_id = r2.tenant_id ORDER BY r2.tenant_id LIMIT 4;
SELECT sum(r1.tenant_id) OVER r1 AS r1, r1.tenant_id AS c1 FROM accounts r1 WINDOW r1 AS (PARTITION BY r1.tenant_id ORDER BY r1.name) ORDER BY 2 LIMIT 3;
SELECT c1.tenant_id FROM accounts c1 WHERE EXISTS (SELECT 1 FROM events c1_1 WHERE c1_1.tenant_id = c1.tenant_id AND c1_1.event_id > ALL (SELECT tenant_id FROM accounts c1 WHERE c1.tenant_id = c1_1.tenant_id)) ORDER BY 1;
SELECT x AS tenant_id FROM (SELECT -tenant_id AS x, tenant_id FROM accounts ORDER BY accounts.tenant_id LIMIT 4) q ORDER BY q.tenant_id DESC;
(SELECT -tenant_id AS tenant_id FROM accounts ORDER BY accounts.tenant_id LIMIT 2) UNION ALL (SELECT -tenant_id AS tenant_id FROM accounts WHERE tenant_id = 5 ORDER BY accounts.tenant_id LIMIT 2);
SELECT -tenant_id AS tenant_id FROM accounts WHERE tenant_id IN (3, 5, 9) ORDER BY accounts.tenant_id + 0, tenant_id;
SELECT string_agg(name, ',' ORDER BY accounts.tenant_id) AS tenant_id FROM accounts WHERE tenant_id = 3 GROUP BY accounts.region_id ORDER BY accounts.region_id;
SELECT -e.event_id AS event_id FROM events e WHERE e.tenant_id = 2 ORDER BY e.event_id LIMIT 3;
SELECT (SELECT -b.tenant_id AS tenant_id FROM accounts b WHERE b.tenant_id = a.tenant_id ORDER BY b.tenant_id LIMIT 1) FROM accounts a ORDER BY 1 LIMIT 3;
-- output columns named as columns of the table
SELECT tenant_id AS count, count(*) AS tenant_id FROM events GROUP BY tenant_id ORDER BY count(*) DESC, events.tenant_id LIMIT 3;
SELECT lower(kind) AS kind, count(*) FROM events GROUP BY events.kind ORDER BY events.kind NULLS FIRST;
SELECT lower(kind) AS kind, count(*) FROM events GROUP BY kind ORDER BY kind, 2;
SELECT tenant_id % 3 AS tenant_id, count(*) FROM events GROUP BY tenant_id ORDER BY tenant_id, 2;
SELECT tenant_id % 3 AS x, count(*) FROM events GROUP BY x HAVING count(*) > 1 ORDER BY x;
-- several sub-queries to ship, one of them compared with the key
SELECT a.tenant_id FROM accounts a WHERE a.region_id IN (SELECT i.qty FROM items i WHERE i.label = a.name) OR a.tenant_id IN (SELECT i.tenant_id FROM items i);
SELECT a.tenant_id FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) v (k, s) JOIN accounts a ON true
  WHERE a.region_id IN (SELECT i.qty FROM items i WHERE i.label <> v.s) AND a.tenant_id = (SELECT count(*)::int % 30 FROM items i JOIN solo s ON s.seq < i.qty WHERE i.tenant_id = a.tenant_id);
SELECT a.tenant_id FROM accounts a WHERE EXISTS (SELECT FROM items i WHERE i.tenant_id = a.tenant_id) AND a.tenant_id = (SELECT min(i.qty) FROM items i WHERE i.id > a.region_id);
-- a sub-query that is lateral until a condition that is never true goes
SELECT q.t FROM locals l, LATERAL (SELECT i.qty, n.note AS t FROM items i JOIN names n ON (false AND EXISTS (SELECT l.id FROM numbers)) RIGHT JOIN solo s ON i.qty IS NOT NULL LIMIT 20) q;
SELECT a.tenant_id, q.s FROM accounts a, LATERAL (SELECT i.qty, i.label AS s FROM items i WHERE EXISTS (SELECT a.name FROM solo) ORDER BY i.id LIMIT 3) q;
SELECT a.tenant_id, q.* FROM accounts a, LATERAL (SELECT i.qty, n.n FROM items i LEFT JOIN names n ON (EXISTS (SELECT i.id, n.n, a.name FROM solo WHERE seq = n.n)) WHERE i.qty > 3) q;
