-- Statements that one shard answers: any SQL goes.
-- setup: shapes
SELECT count(*), sum(amount), avg(score), min(at), max(day) FROM events WHERE tenant_id = 4;
SELECT kind, count(*) FROM events WHERE tenant_id = 4 GROUP BY kind ORDER BY kind NULLS FIRST;
SELECT e.event_id, a.name FROM events e JOIN accounts a USING (tenant_id) WHERE tenant_id = 6 ORDER BY 1;
SELECT e.event_id, a.name FROM events e JOIN accounts a ON a.tenant_id = e.tenant_id WHERE a.tenant_id = 6 ORDER BY 1 LIMIT 3;
SELECT * FROM events e, LATERAL (SELECT count(*) AS n FROM events f WHERE f.tenant_id = e.tenant_id AND f.event_id <= e.event_id) x
 WHERE e.tenant_id = 4 ORDER BY event_id;
WITH RECURSIVE walk AS (
  SELECT tenant_id, parent_id, 0 AS depth FROM accounts WHERE tenant_id = 9
  UNION ALL SELECT a.tenant_id, a.parent_id, depth + 1 FROM accounts a JOIN walk w ON a.tenant_id = 9 AND depth < 3)
SELECT * FROM walk ORDER BY depth;
SELECT event_id, rank() OVER (ORDER BY amount DESC NULLS LAST, event_id), lag(kind) OVER w FROM events WHERE tenant_id = 8
 WINDOW w AS (ORDER BY event_id) ORDER BY event_id;
SELECT kind, flag, count(*) FROM events WHERE tenant_id = 1 GROUP BY GROUPING SETS ((kind), (flag), ()) ORDER BY 1, 2, 3;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), mode() WITHIN GROUP (ORDER BY kind) FROM events WHERE tenant_id = 1;
SELECT DISTINCT ON (kind) kind, event_id FROM events WHERE tenant_id = 1 ORDER BY kind, event_id;
SELECT event_id FROM events WHERE tenant_id = 3 UNION SELECT tenant_id FROM accounts WHERE tenant_id = 3;
SELECT event_id FROM events WHERE tenant_id = 3 UNION ALL SELECT event_id FROM events WHERE tenant_id = 5;
SELECT (SELECT name FROM accounts WHERE tenant_id = 5), count(*) FROM events WHERE tenant_id = 5;
SELECT * FROM accounts WHERE tenant_id = 5 AND EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = accounts.tenant_id AND amount > 10);
SELECT * FROM accounts a LEFT JOIN empty_events e USING (tenant_id) WHERE a.tenant_id = 11;
SELECT a.name, r.region FROM accounts a JOIN regions r USING (region_id) WHERE a.tenant_id = 11;
SELECT a.*, r.* FROM accounts a FULL JOIN regions r ON r.region_id = a.region_id WHERE a.tenant_id = 11;
SELECT e FROM events e WHERE tenant_id = 4 ORDER BY event_id LIMIT 2;
SELECT tenant_id, array_agg(event_id ORDER BY event_id DESC) FROM events WHERE tenant_id = 4 GROUP BY 1;
SELECT string_agg(kind, ',' ORDER BY event_id) FILTER (WHERE flag) FROM events WHERE tenant_id = 4;
SELECT * FROM solo WHERE tenant_id = 5 AND seq % 10 = 0;
SELECT count(*) FROM solo WHERE tenant_id = 6;
SELECT max(event_id) FROM empty_events WHERE tenant_id = 4;
SELECT event_id, now() - now() AS zero, current_user FROM events WHERE tenant_id = 4 ORDER BY 1 LIMIT 1;
SELECT x.n FROM (SELECT count(*) AS n FROM events WHERE tenant_id = 4) x, generate_series(1, 3);
SELECT event_id FROM events WHERE tenant_id = (SELECT 4);
SELECT event_id FROM events WHERE tenant_id = (SELECT min(tenant_id) FROM accounts WHERE name > 'Account E');
VALUES ((SELECT count(*) FROM events WHERE tenant_id = 4));
TABLE solo ORDER BY seq LIMIT 3;
