-- ORDER BY, LIMIT, OFFSET, FETCH FIRST, top-N.
-- setup: shapes
SELECT event_id FROM events ORDER BY event_id LIMIT 5;
SELECT event_id FROM events ORDER BY event_id DESC LIMIT 5 OFFSET 10;
SELECT event_id, amount FROM events ORDER BY amount DESC NULLS LAST, event_id LIMIT 7;
SELECT event_id, amount FROM events ORDER BY amount NULLS FIRST, event_id LIMIT 7;
SELECT event_id, score FROM events ORDER BY score DESC, event_id LIMIT 60;
SELECT event_id FROM events ORDER BY event_id OFFSET 595;
SELECT event_id FROM events ORDER BY event_id LIMIT 0;
SELECT event_id FROM events ORDER BY event_id LIMIT NULL OFFSET 598;
SELECT event_id FROM events ORDER BY event_id LIMIT ALL OFFSET 598;
SELECT event_id FROM events ORDER BY event_id OFFSET 10000;
-- count
SELECT * FROM events LIMIT 13;
-- count
SELECT event_id FROM events OFFSET 590;
SELECT tenant_id, count(*) c FROM events GROUP BY 1 ORDER BY c DESC, 1 LIMIT 3;
SELECT kind, sum(amount) s FROM events GROUP BY 1 ORDER BY s DESC NULLS LAST LIMIT 2;
SELECT tenant_id FROM events ORDER BY tenant_id FETCH FIRST 3 ROWS ONLY;
-- unordered
SELECT tenant_id FROM accounts ORDER BY region_id FETCH FIRST 2 ROWS WITH TIES;
SELECT kind, event_id FROM events ORDER BY kind COLLATE "C" DESC NULLS LAST, event_id LIMIT 5;
SELECT name, n FROM names ORDER BY name, n;
SELECT name, n FROM names ORDER BY lower(name), n LIMIT 10;
SELECT how, event_id FROM events ORDER BY how DESC NULLS LAST, event_id LIMIT 4;
SELECT event_id FROM events ORDER BY event_id % 7, event_id LIMIT 9;
SELECT event_id, kind FROM events ORDER BY 2, 1 LIMIT 9;
SELECT event_id FROM events ORDER BY day USING >, event_id LIMIT 5;
SELECT data, event_id FROM events ORDER BY data, event_id LIMIT 10;
SELECT tags, event_id FROM events ORDER BY tags, event_id LIMIT 10;
SELECT place, event_id FROM events ORDER BY place, event_id LIMIT 10;
SELECT seq FROM solo ORDER BY v NULLS FIRST, seq LIMIT 5 OFFSET 3;
SELECT * FROM nothing ORDER BY id LIMIT 3;
SELECT event_id FROM events ORDER BY event_id LIMIT 2 + 1;
-- error
SELECT event_id FROM events ORDER BY event_id LIMIT -1;
-- error
SELECT event_id FROM events ORDER BY event_id OFFSET -2;
SELECT max(event_id) FROM (SELECT event_id FROM events ORDER BY event_id LIMIT 10) x;
SELECT a.name, e.event_id FROM accounts a JOIN events e USING (tenant_id) ORDER BY e.event_id DESC LIMIT 4;
SELECT a.name, i.id FROM accounts a JOIN items i USING (tenant_id) ORDER BY i.id DESC LIMIT 4;
-- LIMIT from a sub-query, and sums of LIMIT and OFFSET that overflow
SELECT event_id FROM events ORDER BY event_id LIMIT (SELECT 3);
SELECT event_id FROM events ORDER BY event_id LIMIT (SELECT count(*) FROM regions) OFFSET (SELECT 2);
SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind LIMIT (SELECT 2);
SELECT count(*) FROM (SELECT * FROM events ORDER BY event_id LIMIT 9223372036854775807 OFFSET 1) s;
SELECT event_id FROM events ORDER BY event_id LIMIT 9223372036854775807 OFFSET 597;
-- error
SELECT event_id FROM events ORDER BY event_id LIMIT 5 OFFSET -1;
-- error
SELECT event_id FROM events ORDER BY event_id LIMIT -1 OFFSET 5;
SELECT event_id FROM events ORDER BY event_id LIMIT NULL OFFSET 597;
-- set-returning functions of the target list come after the sort
SELECT tenant_id, generate_series(1, 5) g FROM accounts ORDER BY tenant_id DESC;
SELECT tenant_id, generate_series(1, 3) g FROM accounts ORDER BY tenant_id LIMIT 7;
SELECT region_id, generate_series(1, 2) g, unnest(ARRAY['x', 'y', 'z']) FROM accounts WHERE tenant_id IN (3, 4, 5) ORDER BY tenant_id;
-- the same expression sorted twice
SELECT event_id AS a, event_id AS b FROM events WHERE event_id < 20 ORDER BY 1 NULLS FIRST, 2 DESC LIMIT 4;
