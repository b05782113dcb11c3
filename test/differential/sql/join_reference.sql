-- Joins with reference tables, on both sides of outer joins.
-- setup: shapes
SELECT r.region, count(*) FROM accounts a JOIN regions r USING (region_id) GROUP BY r.region ORDER BY 1;
SELECT a.tenant_id, r.region FROM accounts a LEFT JOIN regions r USING (region_id) ORDER BY 1;
SELECT r.region_id, a.tenant_id FROM regions r LEFT JOIN accounts a USING (region_id) ORDER BY 1, 2;
SELECT r.region_id, count(a.tenant_id) FROM regions r LEFT JOIN accounts a ON a.region_id = r.region_id AND a.credit > 2000 GROUP BY 1 ORDER BY 1;
SELECT r.region_id, a.tenant_id FROM accounts a RIGHT JOIN regions r USING (region_id) ORDER BY 1, 2;
SELECT r.region_id, a.tenant_id FROM accounts a FULL JOIN regions r ON a.region_id = r.region_id AND r.region_id > 2 ORDER BY 1, 2;
SELECT r.region_id, e.event_id FROM regions r LEFT JOIN empty_events e ON e.tenant_id = r.region_id ORDER BY 1;
SELECT region_id FROM regions r WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.region_id = r.region_id) ORDER BY 1;
SELECT region_id FROM regions r WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.region_id = r.region_id AND credit > 2500) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE region_id IN (SELECT region_id FROM regions WHERE factor > 0) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE region_id NOT IN (SELECT region_id FROM regions WHERE factor > 0) ORDER BY 1;
SELECT sum(a.credit * r.factor) FROM accounts a JOIN regions r USING (region_id);
SELECT count(*) FROM events e CROSS JOIN regions r;
SELECT count(*) FROM regions r1 CROSS JOIN regions r2;
SELECT * FROM regions ORDER BY region_id;
SELECT r.region, (SELECT count(*) FROM accounts a WHERE a.region_id = r.region_id) FROM regions r ORDER BY r.region_id;
SELECT count(*) FROM events e JOIN accounts a USING (tenant_id) LEFT JOIN regions r ON r.region_id = a.region_id AND e.amount > 100;
SELECT l.id, r.region FROM locals l JOIN regions r ON r.region_id = l.id ORDER BY 1;
SELECT a.tenant_id, r.region_id FROM accounts a JOIN regions r ON a.tenant_id < r.region_id ORDER BY 1, 2;
SELECT r.region_id, x.n FROM regions r LEFT JOIN (SELECT region_id, count(*) n FROM accounts GROUP BY 1) x USING (region_id) ORDER BY 1;
SELECT count(*) FROM nothing n RIGHT JOIN regions r ON n.id = r.region_id;
