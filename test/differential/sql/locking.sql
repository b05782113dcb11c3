-- FOR UPDATE and its kin, TABLESAMPLE.
-- setup: shapes
SELECT event_id FROM events WHERE tenant_id = 4 ORDER BY event_id FOR UPDATE;
SELECT event_id FROM events ORDER BY event_id LIMIT 3 FOR UPDATE;
SELECT event_id FROM events WHERE tenant_id = 4 ORDER BY event_id FOR SHARE;
SELECT event_id FROM events WHERE kind = 'buy' AND event_id < 60 ORDER BY event_id FOR NO KEY UPDATE;
SELECT e.event_id FROM events e JOIN accounts a USING (tenant_id) WHERE e.event_id < 20 ORDER BY 1 FOR UPDATE OF e;
SELECT e.event_id FROM events e JOIN accounts a USING (tenant_id) WHERE e.event_id < 20 ORDER BY 1 FOR KEY SHARE;
SELECT i.id FROM items i JOIN accounts a USING (tenant_id) WHERE i.id < 20 ORDER BY 1 FOR UPDATE OF i;
SELECT event_id FROM events WHERE tenant_id = 6 ORDER BY event_id LIMIT 2 FOR UPDATE SKIP LOCKED;
SELECT event_id FROM events WHERE tenant_id = 6 ORDER BY event_id LIMIT 2 FOR UPDATE NOWAIT;
SELECT region FROM regions ORDER BY region_id FOR UPDATE;
SELECT id FROM locals WHERE id < 3 ORDER BY id FOR UPDATE;
BEGIN;
SELECT event_id FROM events WHERE tenant_id = 4 ORDER BY event_id FOR UPDATE;
SELECT count(*) FROM events WHERE tenant_id = 4;
ROLLBACK;
-- error
SELECT count(*) FROM events FOR UPDATE;
-- error
SELECT DISTINCT kind FROM events FOR UPDATE;
SELECT count(*) FROM events TABLESAMPLE BERNOULLI (100);
SELECT count(*) FROM events TABLESAMPLE SYSTEM (100);
SELECT count(*) FROM events TABLESAMPLE BERNOULLI (0);
SELECT count(*) FROM events TABLESAMPLE BERNOULLI (100) REPEATABLE (7) WHERE tenant_id = 4;
SELECT sum(e.amount) FROM events e TABLESAMPLE SYSTEM (100) JOIN accounts a USING (tenant_id);
SELECT count(*) < 600 FROM events TABLESAMPLE BERNOULLI (20);
-- error
SELECT count(*) FROM events TABLESAMPLE BERNOULLI (101);
