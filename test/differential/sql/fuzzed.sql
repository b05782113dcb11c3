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
