-- Joins on the distribution column.
-- setup: shapes
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id = a.tenant_id;
SELECT count(*) FROM events e JOIN accounts a USING (tenant_id) WHERE a.credit > 1000;
SELECT count(*) FROM events NATURAL JOIN accounts;
SELECT a.name, count(*), sum(e.amount) FROM events e JOIN accounts a USING (tenant_id) GROUP BY a.name ORDER BY a.name;
SELECT a.tenant_id, a.name, count(e.event_id) FROM accounts a LEFT JOIN events e USING (tenant_id) GROUP BY a.tenant_id ORDER BY 1;
SELECT count(*) FROM events e1 JOIN events e2 ON e1.tenant_id = e2.tenant_id AND e1.event_id < e2.event_id WHERE e1.kind = 'buy';
SELECT e.event_id, x.name FROM events e JOIN (SELECT tenant_id, name FROM accounts WHERE region_id = 2) x USING (tenant_id) ORDER BY 1;
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id = a.tenant_id AND e.amount > a.credit;
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id = a.tenant_id OR e.event_id = a.tenant_id;
SELECT count(*) FROM events e, accounts a WHERE e.tenant_id = a.tenant_id AND e.flag;
SELECT count(*) FROM events e, accounts a, events f WHERE e.tenant_id = a.tenant_id AND a.tenant_id = f.tenant_id AND e.kind = f.kind AND e.event_id < 100;
SELECT count(*) FROM accounts a JOIN empty_events e USING (tenant_id);
SELECT count(*) FROM empty_events a JOIN empty_events b USING (tenant_id);
SELECT a.name, s.v FROM accounts a JOIN solo s USING (tenant_id) WHERE s.seq < 4 ORDER BY s.seq;
SELECT count(*) FROM accounts a JOIN accounts b ON a.tenant_id = b.parent_id;
SELECT t.n, a.name FROM accounts a JOIN (SELECT tenant_id, count(*) AS n FROM events GROUP BY tenant_id) t USING (tenant_id) ORDER BY 2;
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id = a.tenant_id JOIN regions r ON r.region_id = a.region_id;
SELECT count(*) FROM (SELECT DISTINCT tenant_id FROM events) x JOIN accounts a USING (tenant_id);
SELECT count(*) FROM events e JOIN accounts a ON e.tenant_id = a.tenant_id::bigint;
SELECT count(*) FROM events e JOIN accounts a ON a.tenant_id = e.tenant_id + 0;
SELECT e.*, a.name FROM events e JOIN accounts a USING (tenant_id) WHERE e.event_id IN (3, 37, 77);
