-- FOR UPDATE and its kin, TABLESAMPLE.
-- setup: shapes
SELECT event_id FROM events WHERE tenant_id = 4 ORDER BY event_id FOR UPDATE;
SELECT event_id FROM events ORDER BY event_id LIMIT 3 FOR UPDATE;
SELECT * FROM (SELECT event_id, kind FROM events FOR UPDATE) q ORDER BY event_id LIMIT 3;
SELECT event_id, (SELECT max(e.event_id) FROM events e WHERE e.tenant_id = q.tenant_id) FROM (SELECT * FROM events WHERE event_id < 60 FOR SHARE) q ORDER BY event_id LIMIT 3;
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

SELECT event_id, amount FROM events ORDER BY amount DESC NULLS LAST, event_id LIMIT 40 OFFSET 5 FOR UPDATE;
SELECT event_id, kind, score FROM events ORDER BY kind, event_id LIMIT 30 FOR NO KEY UPDATE SKIP LOCKED;
SELECT kind, event_id FROM events ORDER BY kind COLLATE "C" DESC NULLS LAST, event_id LIMIT 5 FOR SHARE NOWAIT;
SELECT data, event_id FROM events ORDER BY data, event_id LIMIT 7 FOR UPDATE;
SELECT event_id FROM events ORDER BY event_id LIMIT NULL FOR UPDATE;
SELECT event_id FROM events ORDER BY event_id LIMIT 0 FOR UPDATE;
-- error
SELECT event_id FROM events ORDER BY event_id LIMIT -1 FOR UPDATE;
SELECT event_id FROM events ORDER BY event_id OFFSET 590 FOR UPDATE;
-- count
SELECT event_id FROM events LIMIT 550 FOR UPDATE SKIP LOCKED;
SELECT e.event_id, a.name FROM events e JOIN accounts a USING (tenant_id) ORDER BY e.event_id LIMIT 4 FOR UPDATE;
SELECT e.event_id, a.tenant_id FROM events e LEFT JOIN accounts a ON a.tenant_id = e.tenant_id AND a.tenant_id < 3 ORDER BY e.event_id LIMIT 9 FOR UPDATE OF e;
SELECT e.event_id FROM events e, accounts a WHERE a.tenant_id = e.tenant_id AND e.event_id IN (SELECT event_id FROM events WHERE event_id < 30 ORDER BY event_id LIMIT 9 FOR UPDATE) ORDER BY 1;
SELECT * FROM (SELECT event_id, tenant_id FROM events WHERE tenant_id > 1 ORDER BY tenant_id, event_id LIMIT 8 FOR UPDATE) s WHERE event_id % 2 = 0 ORDER BY 1;
WITH few AS (SELECT event_id, now() - now() AS none FROM events ORDER BY event_id DESC LIMIT 3 FOR UPDATE SKIP LOCKED) SELECT * FROM few ORDER BY 1;
PREPARE lock_some (int, int) AS SELECT event_id FROM events WHERE event_id > $1 ORDER BY event_id LIMIT $2 FOR UPDATE SKIP LOCKED;
EXECUTE lock_some(10, 5);
EXECUTE lock_some(10, 0);
EXECUTE lock_some(580, NULL);
BEGIN;
UPDATE events SET amount = -1 WHERE event_id = 7;
SELECT event_id, amount FROM events ORDER BY amount, event_id LIMIT 2 FOR UPDATE;
DECLARE locked CURSOR FOR SELECT event_id FROM events ORDER BY event_id LIMIT 6 FOR UPDATE;
FETCH 2 FROM locked;
FETCH 10 FROM locked;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT event_id FROM events ORDER BY event_id DESC LIMIT 3 FOR UPDATE;
ROLLBACK;
BEGIN READ ONLY;
-- other words
-- error
SELECT event_id FROM events ORDER BY event_id LIMIT 3 FOR UPDATE;
ROLLBACK;
-- the shards are decided at execution
PREPARE queue AS SELECT event_id FROM events WHERE tenant_id IN (4, $1) ORDER BY event_id LIMIT $2 FOR SHARE;
SET plan_cache_mode = force_generic_plan;
EXECUTE queue(6, 5);
EXECUTE queue(NULL, 2);
RESET plan_cache_mode;
DEALLOCATE queue;
SELECT g, count(*) FROM (VALUES (0), (100)) v (g), LATERAL (SELECT 1 FROM events TABLESAMPLE BERNOULLI (v.g)) e GROUP BY g ORDER BY g;
SELECT g, count(e.event_id) FROM (VALUES (0), (100)) v (g) LEFT JOIN LATERAL (SELECT * FROM events TABLESAMPLE SYSTEM (v.g) WHERE tenant_id < 4) e ON true GROUP BY g ORDER BY g;
SELECT v.g, count(*), count(e) FROM (VALUES (100), (100)) v (g), LATERAL (SELECT * FROM events TABLESAMPLE BERNOULLI (v.g) REPEATABLE (v.g)) e WHERE e.kind = 'buy' GROUP BY v.g;
SELECT a.tenant_id, (SELECT count(*) FROM events TABLESAMPLE BERNOULLI (a.tenant_id - a.tenant_id) WHERE tenant_id = a.tenant_id) FROM accounts a ORDER BY 1 LIMIT 5;
SELECT a.tenant_id, e.event_id, e.tableoid = 'events'::regclass FROM accounts a, LATERAL (SELECT *, tableoid, s FROM events s TABLESAMPLE BERNOULLI (a.tenant_id * 0 + 100)) e WHERE e.tenant_id = a.tenant_id AND e.event_id < 30 ORDER BY 2;
SELECT count(*) FROM events TABLESAMPLE BERNOULLI ((SELECT 100)) REPEATABLE ((SELECT 3));
SELECT count(*) <= 600 FROM events TABLESAMPLE BERNOULLI (100 * random());
-- error
SELECT g, count(*) FROM (VALUES (0), (101)) v (g), LATERAL (SELECT 1 FROM events TABLESAMPLE BERNOULLI (v.g)) e GROUP BY g ORDER BY g;
SELECT a.tenant_id, r.region FROM accounts a JOIN regions r USING (region_id) ORDER BY a.tenant_id DESC LIMIT 3 FOR UPDATE OF a;
SELECT a.tenant_id, r.region FROM accounts a JOIN regions r USING (region_id) ORDER BY a.tenant_id DESC LIMIT 3 FOR UPDATE OF a SKIP LOCKED;
SELECT a.tenant_id, r.region FROM accounts a JOIN regions r USING (region_id) ORDER BY a.tenant_id DESC LIMIT 3 FOR UPDATE;
SELECT a.tenant_id, r.region FROM accounts a LEFT JOIN regions r ON r.region_id = a.region_id AND r.region_id > 2 WHERE a.tenant_id = 4 FOR UPDATE OF a;
SELECT * FROM (SELECT event_id, kind, tenant_id AS t FROM events WHERE kind <> 'buy') s WHERE t > 1 ORDER BY event_id LIMIT 4 FOR UPDATE SKIP LOCKED;
SELECT t, event_id + 1 FROM (SELECT e.event_id, a.tenant_id AS t FROM events e JOIN accounts a USING (tenant_id)) s ORDER BY event_id DESC LIMIT 4 FOR UPDATE;
CREATE TEMP VIEW some_events AS SELECT event_id AS id, upper(kind) AS kind FROM events WHERE tenant_id > 2;
SELECT id, kind FROM some_events WHERE kind LIKE 'B%' ORDER BY id LIMIT 3 FOR NO KEY UPDATE;
SELECT id FROM some_events s WHERE id IN (SELECT event_id FROM events WHERE tenant_id = 4) ORDER BY id LIMIT 3 FOR UPDATE OF s;
DROP VIEW some_events;
SELECT g, e.event_id FROM generate_series(1, 4) g, LATERAL (SELECT event_id FROM events WHERE tenant_id > g AND event_id > g * 10 ORDER BY event_id LIMIT 2 FOR UPDATE SKIP LOCKED) e ORDER BY 1, 2;
SELECT g, e.event_id FROM generate_series(1, 4) g LEFT JOIN LATERAL (SELECT event_id FROM events WHERE tenant_id = g ORDER BY event_id LIMIT 2 FOR UPDATE) e ON true ORDER BY 1, 2;
SELECT a.tenant_id, (SELECT event_id FROM events e WHERE e.event_id > a.tenant_id * 7 AND e.kind IN (SELECT kind FROM events x WHERE x.tenant_id = e.tenant_id AND x.event_id < 100 + a.tenant_id) ORDER BY event_id DESC LIMIT 1 FOR UPDATE) FROM accounts a ORDER BY 1;
SELECT a.tenant_id, (SELECT e.event_id + a.tenant_id FROM events e ORDER BY (e.event_id + a.tenant_id) % 17, 1 LIMIT 1 FOR UPDATE) FROM accounts a ORDER BY 1;
SELECT event_id, kind, amount FROM events ORDER BY kind, amount DESC NULLS LAST, event_id LIMIT 500 FOR UPDATE SKIP LOCKED;
SELECT event_id FROM events ORDER BY event_id DESC LIMIT 590 OFFSET 3 FOR UPDATE NOWAIT;
SELECT event_id, name FROM (SELECT event_id, 'n' || event_id AS name FROM events) s ORDER BY name, event_id LIMIT 300 FOR SHARE SKIP LOCKED;
SELECT e.event_id, l.id FROM events e, locals l WHERE l.id = e.tenant_id ORDER BY e.event_id LIMIT 4 FOR UPDATE OF e;
SELECT e.event_id FROM events e JOIN locals l ON l.id = e.tenant_id ORDER BY e.event_id DESC LIMIT 4 FOR UPDATE OF e SKIP LOCKED;
SELECT e.event_id, v.x FROM events e, (VALUES (1, 'a'), (1, 'b'), (3, 'c')) v (t, x) WHERE e.tenant_id = v.t ORDER BY e.event_id, v.x LIMIT 5 FOR UPDATE OF e;
-- count
SELECT e.event_id, v.x FROM events e, (VALUES (1, 'a'), (1, 'b'), (3, 'c')) v (t, x) WHERE e.tenant_id = v.t ORDER BY e.event_id LIMIT 5 FOR UPDATE OF e SKIP LOCKED;
WITH few AS (SELECT tenant_id FROM accounts ORDER BY tenant_id LIMIT 2) SELECT e.event_id FROM events e, few f WHERE f.tenant_id = e.tenant_id ORDER BY e.event_id LIMIT 6 FOR UPDATE OF e;
SELECT e.event_id, s.n FROM events e, (SELECT tenant_id, count(*) AS n FROM items i JOIN accounts a USING (tenant_id) GROUP BY 1) s WHERE s.tenant_id = e.tenant_id ORDER BY e.event_id LIMIT 3 FOR UPDATE OF e;
SELECT e.event_id FROM events e, generate_series(1, 2) g WHERE e.tenant_id = g ORDER BY e.event_id LIMIT 5 OFFSET 1 FOR SHARE OF e;
SELECT e.event_id, l.id, a.tenant_id FROM events e JOIN accounts a USING (tenant_id) JOIN locals l ON l.id = e.tenant_id WHERE l.id < 5 ORDER BY e.event_id LIMIT 4 FOR UPDATE OF e, a;
SELECT e.event_id, id FROM locals l JOIN events e ON l.id = e.tenant_id LEFT JOIN items i USING (id) ORDER BY e.event_id LIMIT 4 FOR UPDATE OF e;
