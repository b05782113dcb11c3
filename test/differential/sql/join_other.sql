-- Joins on other columns, cartesian products, non-equi joins, local tables.
-- setup: shapes
SELECT count(*) FROM items i JOIN accounts a ON i.tenant_id = a.tenant_id;
SELECT i.id, a.name FROM items i JOIN accounts a ON i.tenant_id = a.tenant_id WHERE i.price > 600 ORDER BY 1;
SELECT a.region_id, sum(i.qty) FROM items i JOIN accounts a ON i.tenant_id = a.tenant_id GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM events e JOIN items i ON e.event_id = i.id;
SELECT count(*) FROM events e JOIN items i ON e.event_id = i.id AND e.tenant_id = i.tenant_id;
SELECT count(*) FROM names n JOIN items i ON n.n = i.id;
SELECT n.name, i.label FROM names n JOIN items i ON n.n = i.id WHERE i.id < 6 ORDER BY 1, 2;
SELECT count(*) FROM items i, accounts a, events e WHERE i.tenant_id = a.tenant_id AND e.event_id = i.id;
SELECT count(*) FROM accounts CROSS JOIN solo;
SELECT count(*) FROM accounts a, items i, solo s WHERE a.tenant_id < 5 AND i.id < 4 AND s.seq < 3;
SELECT count(*) FROM accounts a, nothing;
SELECT a.tenant_id, b.tenant_id FROM accounts a JOIN accounts b ON a.credit < b.credit AND b.credit < a.credit + 250 ORDER BY 1, 2;
SELECT count(*) FROM events e JOIN items i ON e.amount BETWEEN i.price - 0.5 AND i.price + 0.5;
SELECT count(*) FROM items i JOIN accounts a ON i.tenant_id <> a.tenant_id;
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id IS NOT DISTINCT FROM a.parent_id;
SELECT l.remark, a.name FROM locals l JOIN accounts a USING (tenant_id) ORDER BY l.id;
SELECT count(*) FROM locals l JOIN events e ON e.event_id = l.id;
SELECT count(*) FROM locals l, items i WHERE l.id = i.qty;
SELECT l.id, e.event_id, r.region FROM locals l JOIN events e ON e.event_id = l.id JOIN accounts a ON a.tenant_id = e.tenant_id JOIN regions r ON r.region_id = a.region_id ORDER BY 1;
SELECT a.tenant_id FROM accounts a JOIN generate_series(1, 10, 3) g ON g = a.tenant_id ORDER BY 1;
SELECT a.tenant_id, v.label FROM accounts a JOIN (VALUES (1, 'one'), (4, 'four'), (99, 'none')) v(id, label) ON v.id = a.tenant_id ORDER BY 1;
SELECT c.relname, a.tenant_id FROM pg_class c JOIN accounts a ON c.relname = 'pg_class' AND a.tenant_id = 2;
SELECT count(*) FROM numbers n1 JOIN numbers n2 ON n1.v = n2.k;
SELECT a.tenant_id, u FROM accounts a, unnest(ARRAY[a.tenant_id, a.region_id]) u WHERE a.tenant_id < 5 ORDER BY 1, 2;
-- conditions that are never true: nothing is computed before, that might fail or take long
SELECT * FROM (SELECT count(*) FROM items a JOIN accounts b ON a.tenant_id = b.tenant_id AND a.id / (a.qty - a.qty) > 1) x JOIN events e ON NULL::int + e.tenant_id = 3;
SELECT e.kind, i.d FROM events e, (SELECT id / (qty - qty) AS d FROM items OFFSET 0) i WHERE e.event_id = i.d AND NULL::int = 3;
SELECT count(*) FROM events e JOIN (SELECT id / (qty - qty) AS d FROM items OFFSET 0) i ON i.d = e.event_id AND nullif(3, 3) > 2 LEFT JOIN accounts a ON a.tenant_id = e.tenant_id;
SELECT count(*) FROM events e, (SELECT id / (qty - qty) AS d FROM items OFFSET 0) i WHERE i.d = e.event_id AND e.tenant_id > 3 AND 1 > 2;
PREPARE never(int) AS SELECT count(*) FROM events e JOIN (SELECT id / (qty - qty) AS d FROM items OFFSET 0) i ON i.d = e.event_id WHERE NULL::int + $1 = e.tenant_id;
EXECUTE never(4);
