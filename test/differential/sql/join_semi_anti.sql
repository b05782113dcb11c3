-- Semi- and anti-joins, NOT IN with NULLs.
-- setup: shapes
SELECT tenant_id FROM accounts a WHERE EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = a.tenant_id AND e.kind = 'buy') ORDER BY 1;
SELECT tenant_id FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = a.tenant_id) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id IN (SELECT tenant_id FROM events WHERE amount > 900) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id NOT IN (SELECT tenant_id FROM events) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id NOT IN (SELECT tenant_id FROM events WHERE tenant_id IS NOT NULL) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id NOT IN (SELECT tenant_id FROM empty_events) ORDER BY 1;
SELECT event_id FROM events WHERE tenant_id NOT IN (SELECT tenant_id FROM empty_events) ORDER BY 1 LIMIT 5;
SELECT count(*) FROM events WHERE tenant_id NOT IN (SELECT id FROM nothing);
SELECT count(*) FROM events WHERE tenant_id IN (SELECT tenant_id FROM empty_events);
SELECT id FROM items WHERE tenant_id IN (SELECT tenant_id FROM accounts WHERE region_id = 2) ORDER BY 1;
SELECT id FROM items WHERE tenant_id NOT IN (SELECT tenant_id FROM accounts) ORDER BY 1;
SELECT id FROM items i WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = i.tenant_id) ORDER BY 1;
SELECT id FROM items i WHERE EXISTS (SELECT 1 FROM events e WHERE e.event_id = i.id AND e.tenant_id = i.tenant_id) ORDER BY 1;
SELECT id FROM items WHERE (id, tenant_id) IN (SELECT event_id, tenant_id FROM events) ORDER BY 1;
SELECT id FROM items WHERE id = ANY (SELECT event_id FROM events WHERE flag) ORDER BY 1;
SELECT id FROM items WHERE price > ALL (SELECT amount FROM events WHERE tenant_id = 4 AND amount IS NOT NULL) ORDER BY 1;
SELECT id FROM items WHERE price > ALL (SELECT amount FROM events WHERE tenant_id = 4) ORDER BY 1;
SELECT id FROM items WHERE price < ANY (SELECT credit FROM accounts WHERE region_id = 3) ORDER BY 1;
SELECT id FROM locals WHERE tenant_id IN (SELECT tenant_id FROM accounts) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id IN (SELECT tenant_id FROM locals) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id NOT IN (SELECT tenant_id FROM locals) ORDER BY 1;
SELECT tenant_id, EXISTS (SELECT 1 FROM items i WHERE i.tenant_id = a.tenant_id AND qty > 12) FROM accounts a ORDER BY 1;
SELECT tenant_id, tenant_id IN (SELECT tenant_id FROM items) AS x FROM accounts ORDER BY 1;
SELECT event_id FROM events e WHERE EXISTS (SELECT 1 FROM events f WHERE f.tenant_id = e.tenant_id AND f.event_id > e.event_id AND f.kind <> e.kind AND f.amount > 990) ORDER BY 1 LIMIT 10;
