-- Outer joins, colocated and not.
-- setup: shapes
SELECT count(*), count(a.tenant_id), count(e.event_id) FROM accounts a FULL JOIN events e USING (tenant_id);
SELECT count(*) FROM events e LEFT JOIN accounts a ON a.tenant_id = e.tenant_id AND a.region_id = 1;
SELECT e.event_id FROM events e LEFT JOIN accounts a USING (tenant_id) WHERE a.tenant_id IS NULL ORDER BY 1;
SELECT a.tenant_id FROM accounts a LEFT JOIN events e USING (tenant_id) WHERE e.event_id IS NULL ORDER BY 1;
SELECT count(*) FROM accounts a LEFT JOIN items i ON i.tenant_id = a.tenant_id;
SELECT a.tenant_id, i.id FROM accounts a LEFT JOIN items i ON i.id = a.tenant_id AND i.qty > 5 ORDER BY 1, 2;
SELECT a.tenant_id, i.id FROM accounts a RIGHT JOIN items i ON i.tenant_id = a.tenant_id WHERE i.id < 60 ORDER BY 2, 1;
SELECT count(*), count(a.tenant_id), count(i.id) FROM accounts a FULL JOIN items i ON i.tenant_id = a.tenant_id;
SELECT a.tenant_id, i.id, s.seq FROM accounts a LEFT JOIN items i ON i.tenant_id = a.tenant_id LEFT JOIN solo s ON s.seq = i.id WHERE a.tenant_id < 6 ORDER BY 1, 2, 3;
SELECT count(*) FROM events e LEFT JOIN items i ON i.id = e.event_id LEFT JOIN accounts a ON a.tenant_id = i.tenant_id;
SELECT a.name, e.kind FROM accounts a LEFT JOIN empty_events e USING (tenant_id) ORDER BY 1;
SELECT count(*) FROM empty_events e FULL JOIN nothing n ON e.tenant_id = n.id;
SELECT count(*) FROM empty_events e FULL JOIN items i ON e.tenant_id = i.id;
SELECT l.id, a.name FROM locals l LEFT JOIN accounts a ON a.tenant_id = l.tenant_id ORDER BY 1;
SELECT l.id, a.name FROM locals l RIGHT JOIN accounts a ON a.tenant_id = l.tenant_id ORDER BY 2, 1;
SELECT l.id, a.name FROM locals l FULL JOIN accounts a ON a.tenant_id = l.id ORDER BY 1, 2;
SELECT coalesce(a.tenant_id, i.tenant_id) AS t, count(*) FROM accounts a FULL JOIN items i USING (tenant_id) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM events e LEFT JOIN events f ON e.event_id = f.event_id + 1 AND e.kind = f.kind;
SELECT x.t, y.t FROM (SELECT DISTINCT tenant_id AS t FROM events) x FULL JOIN (SELECT DISTINCT tenant_id AS t FROM items) y ON x.t = y.t ORDER BY 1, 2;
SELECT a.tenant_id, b.tenant_id FROM accounts a LEFT JOIN accounts b ON b.tenant_id = a.parent_id ORDER BY 1;
SELECT count(*) FROM accounts a LEFT JOIN (events e JOIN items i ON i.id = e.event_id) ON e.tenant_id = a.tenant_id;
