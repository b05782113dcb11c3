-- Common table expressions, recursive ones too.
-- setup: shapes
WITH t AS (SELECT tenant_id, count(*) n FROM events GROUP BY 1) SELECT * FROM t WHERE n > 10 ORDER BY 1;
WITH t AS (SELECT * FROM events WHERE kind = 'buy') SELECT count(*), sum(amount) FROM t;
WITH t AS MATERIALIZED (SELECT * FROM events WHERE kind = 'buy') SELECT a.name, t.event_id FROM t JOIN accounts a USING (tenant_id) ORDER BY 2;
WITH t AS NOT MATERIALIZED (SELECT * FROM events) SELECT (SELECT count(*) FROM t WHERE flag), (SELECT count(*) FROM t WHERE NOT flag);
WITH t AS (SELECT tenant_id FROM events WHERE amount > 950), u AS (SELECT id FROM items WHERE tenant_id IN (SELECT tenant_id FROM t)) SELECT count(*) FROM u;
WITH a AS (SELECT 1 AS x), b AS (SELECT event_id FROM events, a WHERE event_id < 5 + x) SELECT * FROM b ORDER BY 1;
WITH t(a, b) AS (SELECT kind, max(amount) FROM events GROUP BY kind) SELECT t1.a, t2.a FROM t t1 JOIN t t2 ON t1.b < t2.b ORDER BY 1, 2;
WITH RECURSIVE up AS (
  SELECT tenant_id, parent_id, 1 AS depth FROM accounts WHERE tenant_id = 29
  UNION ALL SELECT a.tenant_id, a.parent_id, depth + 1 FROM up JOIN accounts a ON a.tenant_id = up.parent_id)
SELECT * FROM up ORDER BY depth;
WITH RECURSIVE down AS (
  SELECT tenant_id, name::text AS path FROM accounts WHERE parent_id IS NULL
  UNION ALL SELECT a.tenant_id, path || '/' || a.name FROM accounts a JOIN down d ON a.parent_id = d.tenant_id)
SELECT * FROM down ORDER BY tenant_id;
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5)
SELECT n.i, count(e.*) FROM n LEFT JOIN events e ON e.tenant_id = n.i GROUP BY 1 ORDER BY 1;
WITH RECURSIVE reach(k) AS (
  SELECT v FROM numbers WHERE k = 1 AND v < 50 UNION SELECT n.v FROM numbers n JOIN reach r ON n.k = r.k AND n.v < 60)
SELECT * FROM reach ORDER BY 1;
WITH RECURSIVE tree AS (
  SELECT tenant_id, parent_id FROM accounts WHERE parent_id IS NULL
  UNION ALL SELECT a.tenant_id, a.parent_id FROM accounts a JOIN tree t ON a.parent_id = t.tenant_id)
  SEARCH DEPTH FIRST BY tenant_id SET ord CYCLE tenant_id SET is_cycle USING path
SELECT tenant_id, is_cycle FROM tree ORDER BY ord;
WITH t AS (SELECT event_id FROM events ORDER BY event_id DESC LIMIT 3) SELECT * FROM t ORDER BY 1;
WITH t AS (SELECT count(*) c FROM nothing) SELECT c FROM t;
SELECT * FROM (WITH x AS (SELECT max(amount) m FROM events) SELECT m FROM x) y;
WITH t AS (SELECT random() < 2 AS r, event_id FROM events WHERE event_id < 4) SELECT count(*) FROM t a JOIN t b USING (event_id) WHERE a.r AND b.r;
WITH a AS (SELECT tenant_id FROM accounts WHERE tenant_id = 4) SELECT e.event_id FROM events e, a WHERE e.tenant_id = a.tenant_id ORDER BY 1;
