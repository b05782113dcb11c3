-- UNION, INTERSECT, EXCEPT, VALUES.
-- setup: shapes
SELECT tenant_id FROM events UNION SELECT tenant_id FROM accounts ORDER BY 1;
SELECT tenant_id FROM events UNION ALL SELECT tenant_id FROM accounts ORDER BY 1;
SELECT tenant_id FROM events INTERSECT SELECT tenant_id FROM items ORDER BY 1;
SELECT tenant_id FROM events INTERSECT ALL SELECT tenant_id FROM items ORDER BY 1;
SELECT tenant_id FROM items EXCEPT SELECT tenant_id FROM accounts ORDER BY 1;
SELECT tenant_id FROM events EXCEPT ALL SELECT tenant_id FROM items ORDER BY 1;
SELECT tenant_id, kind FROM events UNION SELECT tenant_id, name FROM accounts ORDER BY 1, 2;
SELECT count(*) FROM (SELECT tenant_id FROM events UNION SELECT tenant_id FROM accounts) x;
SELECT tenant_id, sum(n) FROM (SELECT tenant_id, 1 n FROM events UNION ALL SELECT tenant_id, 10 FROM accounts) x GROUP BY 1 ORDER BY 1;
(SELECT event_id FROM events ORDER BY event_id LIMIT 2) UNION ALL (SELECT id FROM items ORDER BY id DESC LIMIT 2) ORDER BY 1;
SELECT id FROM locals UNION SELECT region_id FROM regions UNION SELECT tenant_id FROM accounts ORDER BY 1;
SELECT 1 UNION SELECT id FROM nothing;
SELECT id FROM nothing UNION ALL SELECT tenant_id FROM empty_events;
SELECT kind FROM events EXCEPT SELECT NULL ORDER BY 1;
SELECT tenant_id FROM accounts WHERE tenant_id < 4 UNION SELECT g FROM generate_series(3, 5) g ORDER BY 1;
VALUES (1, 'a'), (2, (SELECT max(name) FROM accounts)) ORDER BY 1;
SELECT * FROM (VALUES (1), (2)) v(x) WHERE x IN (SELECT tenant_id FROM accounts) ORDER BY 1;
SELECT event_id::text FROM events WHERE event_id < 3 UNION SELECT name FROM accounts WHERE tenant_id < 3 ORDER BY 1;
SELECT amount FROM events WHERE event_id < 5 UNION SELECT small FROM events WHERE event_id < 5 ORDER BY 1;
(SELECT tenant_id FROM events EXCEPT SELECT tenant_id FROM accounts) UNION ALL (SELECT tenant_id FROM accounts EXCEPT SELECT tenant_id FROM events) ORDER BY 1;
-- error
SELECT tenant_id FROM events UNION SELECT name FROM accounts;
