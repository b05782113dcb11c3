-- Window functions, by the distribution column and not.
-- setup: shapes
SELECT event_id, row_number() OVER (PARTITION BY tenant_id ORDER BY event_id) FROM events ORDER BY 1;
SELECT event_id, sum(amount) OVER (PARTITION BY tenant_id ORDER BY event_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM events ORDER BY 1;
SELECT event_id, row_number() OVER (PARTITION BY kind ORDER BY event_id) FROM events ORDER BY 1;
SELECT event_id, rank() OVER (ORDER BY kind NULLS FIRST), dense_rank() OVER (ORDER BY flag, kind) FROM events WHERE event_id < 100 ORDER BY 1;
SELECT tenant_id, count(*), rank() OVER (ORDER BY count(*) DESC) FROM events GROUP BY tenant_id ORDER BY 1;
SELECT kind, sum(amount), sum(sum(amount)) OVER (ORDER BY kind) FROM events GROUP BY kind ORDER BY 1;
SELECT event_id, lag(amount, 1, 0::numeric) OVER w, lead(amount) OVER w, first_value(event_id) OVER w, last_value(event_id) OVER w, nth_value(event_id, 2) OVER w
  FROM events WHERE tenant_id IN (4, 6) WINDOW w AS (PARTITION BY tenant_id ORDER BY event_id) ORDER BY 1;
SELECT event_id, ntile(4) OVER (ORDER BY event_id), percent_rank() OVER (ORDER BY event_id), cume_dist() OVER (ORDER BY event_id) FROM events WHERE event_id <= 40 ORDER BY 1;
SELECT DISTINCT tenant_id, count(*) OVER (PARTITION BY tenant_id) FROM events ORDER BY 1;
SELECT * FROM (SELECT event_id, row_number() OVER (PARTITION BY tenant_id ORDER BY amount DESC NULLS LAST, event_id) r FROM events) x WHERE r = 1 ORDER BY 1;
SELECT event_id, count(*) FILTER (WHERE flag) OVER (PARTITION BY tenant_id) FROM events ORDER BY 1 LIMIT 30;
SELECT event_id, sum(amount) OVER (PARTITION BY tenant_id ORDER BY day NULLS LAST, event_id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM events ORDER BY 1 LIMIT 50;
SELECT event_id, count(*) OVER (ORDER BY day RANGE BETWEEN interval '2 days' PRECEDING AND CURRENT ROW) FROM events WHERE event_id < 100 ORDER BY 1;
SELECT event_id, sum(event_id) OVER (ORDER BY event_id GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM events WHERE event_id < 30 ORDER BY 1;
SELECT count(*) OVER () FROM nothing;
SELECT count(*) OVER (), seq FROM solo ORDER BY seq LIMIT 3;
SELECT e.event_id, a.name, rank() OVER (PARTITION BY a.tenant_id ORDER BY e.event_id) FROM events e JOIN accounts a USING (tenant_id) WHERE e.event_id < 50 ORDER BY 1;
SELECT e.tenant_id, avg(count(*)) OVER () FROM events e GROUP BY e.tenant_id ORDER BY 1;
SELECT event_id, array_agg(kind) OVER (PARTITION BY tenant_id ORDER BY event_id ROWS 2 PRECEDING) FROM events WHERE tenant_id = 3 ORDER BY 1;
