-- What grouping sets make NULL is NULL only behind the grouping: conditions, expressions and
-- sub-queries there see it, and no condition may go below it.
-- setup: shapes
SELECT kind, flag, count(*) FROM events GROUP BY ROLLUP (kind, flag) HAVING kind IS NULL ORDER BY 1, 2, 3;
SELECT kind, flag, count(*) FROM events GROUP BY ROLLUP (kind, flag) HAVING kind IS NULL OR kind < 'd' ORDER BY 1, 2, 3;
SELECT tenant_id, kind, count(*) FROM events GROUP BY CUBE (tenant_id, kind) HAVING tenant_id IS NULL OR tenant_id < 3 ORDER BY 1, 2, 3;
SELECT tenant_id, kind, count(*) FROM events GROUP BY GROUPING SETS ((tenant_id), (kind)) HAVING coalesce(tenant_id, 2) = 2 ORDER BY 1, 2;
SELECT tenant_id, kind, count(*) FROM events GROUP BY tenant_id, ROLLUP (kind) HAVING tenant_id < 3 AND kind IS NULL ORDER BY 1, 2;
SELECT tenant_id, sum(amount) FROM events WHERE tenant_id = 3 GROUP BY ROLLUP (tenant_id) HAVING tenant_id IS NULL;
SELECT tenant_id + 1 AS next, count(*) FROM events GROUP BY ROLLUP (tenant_id + 1) HAVING tenant_id + 1 IS NULL OR tenant_id + 1 < 4 ORDER BY 1, 2;
SELECT coalesce(kind, 'all') AS k, grouping(kind), count(*) FROM events GROUP BY CUBE (kind) ORDER BY 1, 2;
SELECT kind || '!' AS k, upper(kind), count(*) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 3;
SELECT length(kind) AS l, length(kind) * 2 AS twice, count(*) FROM events GROUP BY ROLLUP (length(kind)) ORDER BY 1, 3;
SELECT 1 AS one, count(*) FROM events GROUP BY ROLLUP (one) ORDER BY 1, 2;
SELECT kind, count(*) FILTER (WHERE kind IS NULL), sum(tenant_id) FROM events GROUP BY ROLLUP (kind) ORDER BY 1, 3;
SELECT kind, (SELECT count(*) FROM accounts a WHERE a.tenant_id = e.tenant_id), count(*) FROM events e GROUP BY ROLLUP (kind, tenant_id) ORDER BY 1, 2, 3;
SELECT tenant_id, count(*) FROM events e GROUP BY ROLLUP (tenant_id) HAVING EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = e.tenant_id) ORDER BY 1, 2;
SELECT tenant_id, count(*) FROM events e GROUP BY ROLLUP (tenant_id) HAVING NOT EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = e.tenant_id) ORDER BY 1, 2;
SELECT tenant_id, kind, rank() OVER (PARTITION BY kind ORDER BY tenant_id NULLS FIRST, count(*)) FROM events WHERE tenant_id < 4 GROUP BY ROLLUP (tenant_id, kind) ORDER BY 1, 2, 3;
SELECT kind, percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) FROM events GROUP BY ROLLUP (kind) HAVING kind IS NULL OR kind > 'a' ORDER BY 1, 2;
SELECT * FROM (SELECT tenant_id, kind, count(*) AS n FROM events GROUP BY ROLLUP (tenant_id, kind)) s WHERE kind IS NULL AND (tenant_id IS NULL OR tenant_id < 4) ORDER BY 1, 3;
SELECT * FROM (SELECT tenant_id, kind, count(*) AS n FROM events GROUP BY CUBE (tenant_id, kind)) s LEFT JOIN accounts a ON a.tenant_id = s.tenant_id WHERE s.kind IS NULL ORDER BY s.tenant_id, n LIMIT 5;
WITH sums AS MATERIALIZED (SELECT kind, flag, sum(amount) AS s FROM events GROUP BY CUBE (kind, flag)) SELECT kind, count(*), max(s) FROM sums WHERE flag IS NULL GROUP BY kind ORDER BY 1;
SELECT DISTINCT kind IS NULL AS none FROM events GROUP BY ROLLUP (kind) ORDER BY 1;
SELECT kind, count(*) FROM events GROUP BY DISTINCT ROLLUP (kind), ROLLUP (kind, flag) HAVING flag IS NULL ORDER BY 1, 2;
SELECT a.tenant_id, e.kind, count(*) FROM accounts a LEFT JOIN events e ON e.tenant_id = a.tenant_id AND e.event_id < 50 GROUP BY ROLLUP (a.tenant_id, e.kind) HAVING a.tenant_id IS NULL OR e.kind IS NULL ORDER BY 1, 2, 3;
BEGIN;
INSERT INTO events (tenant_id, event_id, kind) SELECT coalesce(tenant_id, 7), 900000 + row_number() OVER (ORDER BY tenant_id, count(*)), 'rollup' FROM events WHERE tenant_id < 5 GROUP BY ROLLUP (tenant_id) HAVING tenant_id IS NULL OR tenant_id > 2;
SELECT tenant_id, count(*) FROM events WHERE kind = 'rollup' GROUP BY 1 ORDER BY 1;
UPDATE events e SET amount = s.n FROM (SELECT tenant_id, count(*) AS n FROM events GROUP BY ROLLUP (tenant_id) HAVING tenant_id IS NULL OR tenant_id = 2) s WHERE e.kind = 'rollup' AND e.tenant_id = coalesce(s.tenant_id, 7);
SELECT tenant_id, amount FROM events WHERE kind = 'rollup' ORDER BY 1, 2;
ROLLBACK;
PREPARE sets (int) AS SELECT tenant_id, count(*) FROM events GROUP BY ROLLUP (tenant_id) HAVING tenant_id IS NULL OR tenant_id < $1 ORDER BY 1, 2;
EXECUTE sets (3);
EXECUTE sets (NULL);
