-- What native foreign partitions get wrong or refuse (features, section 6), and statements
-- that users of other systems complained of (section 3).
-- setup: shapes
SELECT count(*) FROM events TABLESAMPLE BERNOULLI (100);
SELECT kind, count(*) FROM events GROUP BY kind ORDER BY 1;
SELECT count(*) FROM events;
SELECT DISTINCT kind FROM events ORDER BY 1;
SELECT event_id FROM events ORDER BY amount DESC NULLS LAST, event_id LIMIT 5;
-- A1, A2: outer joins and complex joins on other columns
SELECT a.tenant_id, count(i.id) FROM accounts a LEFT JOIN items i ON i.qty = a.region_id GROUP BY 1 ORDER BY 1;
SELECT e.tenant_id, count(*) FROM events e WHERE EXISTS (SELECT 1 FROM items i WHERE i.id = e.event_id) AND NOT EXISTS (SELECT 1 FROM names n WHERE n.n = e.event_id) GROUP BY 1 ORDER BY 1;
SELECT sum(e.amount) FROM events e, accounts a WHERE e.tenant_id = a.tenant_id AND a.region_id = 2 AND e.amount > (SELECT 1.3 * avg(amount) FROM events f, accounts b WHERE b.tenant_id = f.tenant_id AND b.region_id = a.region_id);
-- A3: JSON built by correlated lateral sub-queries
SELECT coalesce(json_agg(root), '[]') FROM (SELECT row_to_json((SELECT e FROM (SELECT a.tenant_id, o.items) e)) AS root FROM accounts a
  LEFT JOIN LATERAL (SELECT coalesce(json_agg(i.label ORDER BY i.id), '[]') AS items FROM items i WHERE i.tenant_id = a.tenant_id) o ON true WHERE a.tenant_id < 4 ORDER BY a.tenant_id) x;
-- A4, A5: grouping sets, recursion
SELECT region_id, kind, count(*) FROM events JOIN accounts USING (tenant_id) GROUP BY CUBE (region_id, kind) ORDER BY 1, 2, 3;
WITH RECURSIVE t(n, p) AS (SELECT tenant_id, parent_id FROM accounts WHERE tenant_id = 30 UNION ALL SELECT a.tenant_id, a.parent_id FROM accounts a, t WHERE a.tenant_id = t.p) SELECT n FROM t ORDER BY 1;
-- A6: job queues
BEGIN;
SELECT event_id FROM events WHERE kind = 'buy' ORDER BY event_id LIMIT 3 FOR UPDATE SKIP LOCKED;
ROLLBACK;
-- A12: sub-queries in VALUES, stable functions in UPDATE
CREATE TABLE own (k int PRIMARY KEY, v text, at timestamptz);
SELECT create_distributed_table('own', 'k');
INSERT INTO own VALUES (1, (SELECT max(kind) FROM events), now()), ((SELECT 2), 'b', NULL);
UPDATE own SET at = now(), v = v || to_char(timestamptz '2026-01-01 00:00+00', 'YYYY');
SELECT k, v, at IS NULL FROM own ORDER BY k;
INSERT INTO own SELECT i, 'gen', clock_timestamp() FROM generate_series(10, 20) i;
SELECT count(*) FROM own WHERE at <= clock_timestamp();
-- stable functions agree within a statement
SELECT count(DISTINCT now()) FROM events;
SELECT count(DISTINCT x) FROM (SELECT statement_timestamp() AS x FROM events UNION ALL SELECT statement_timestamp()) y;
SELECT count(*) FROM events WHERE current_database() IS NULL OR current_schema() IS NULL;
SELECT DISTINCT current_user = session_user FROM events;
SELECT count(*) FROM events WHERE pg_backend_pid() = (SELECT pg_backend_pid());
SELECT DISTINCT current_setting('server_encoding') FROM events;
SELECT count(DISTINCT txid_current_if_assigned()) FROM events;
SELECT count(*) > 0 FROM events WHERE random() < 0.9;
SELECT count(DISTINCT r) > 1 FROM (SELECT random() r FROM events) x;
SELECT DISTINCT pg_typeof(amount), pg_typeof(data) FROM events;
SELECT DISTINCT 'events'::regclass, 'events'::regclass::text FROM events;
SELECT DISTINCT to_regclass('accounts')::text FROM events WHERE tenant_id = 4;
SELECT DISTINCT obj_description('events'::regclass) FROM events;
SELECT count(*) FROM events e JOIN pg_class c ON c.oid = e.tableoid WHERE c.relname = 'events';
-- evaluation order and conditional positions
SELECT CASE WHEN small IS NULL OR small = 0 THEN NULL ELSE 100 / small END AS q, count(*) FROM events GROUP BY 1 ORDER BY 1;
SELECT event_id FROM events WHERE small <> 0 AND CASE WHEN small <> 0 THEN 100 / small > 20 END ORDER BY 1;
SELECT coalesce(small, 1 / (event_id - event_id + 1)) FROM events WHERE event_id < 8 ORDER BY event_id;
-- names that shadow
SELECT count(*) FROM events AS accounts;
SELECT accounts.kind FROM events AS accounts WHERE accounts.event_id = 1;
SELECT e.kind AS tenant_id, count(*) FROM events e GROUP BY e.kind ORDER BY 1;
SELECT count(*) AS count FROM events HAVING count(*) > 1;
SELECT e.tenant_id FROM events e GROUP BY tenant_id ORDER BY e.tenant_id NULLS FIRST LIMIT 1;
SELECT sum(x.count) FROM (SELECT count(*) FROM events GROUP BY tenant_id) x;
WITH events AS (SELECT 1 AS event_id) SELECT * FROM events;
SELECT (SELECT count(*) FROM events e2 WHERE e2.tenant_id = e1.tenant_id AND e2.event_id < e1.event_id) FROM events e1 WHERE e1.event_id < 15 ORDER BY e1.event_id;
-- search_path and operators
CREATE SCHEMA t_traps_ops;
CREATE FUNCTION t_traps_ops.always(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR t_traps_ops.= (leftarg = int, rightarg = int, procedure = t_traps_ops.always);
SELECT count(*) FROM events WHERE tenant_id OPERATOR(t_traps_ops.=) 4;
SET search_path = t_traps_ops, pg_catalog, t_traps, public;
SELECT count(*) FROM events WHERE tenant_id = 4;
SET search_path = t_traps, public;
DROP SCHEMA t_traps_ops CASCADE;
-- generated series and set-returning functions in the target list
SELECT event_id, generate_series(1, 2) FROM events WHERE event_id < 3 ORDER BY 1, 2;
SELECT unnest(tags), event_id FROM events WHERE event_id < 8 ORDER BY 2, 1;
SELECT count(*) FROM (SELECT generate_series(1, 3) FROM events) x;
SELECT tenant_id, string_agg(kind, '' ORDER BY event_id) FROM events WHERE tenant_id BETWEEN 2 AND 4 GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM events WHERE kind IS DISTINCT FROM 'buy';
SELECT count(*) FROM events WHERE (kind = 'buy') IS NOT TRUE;
SELECT count(*) FROM events WHERE (kind, flag) IS NULL;
SELECT event_id FROM events WHERE event_id = ALL (ARRAY[5, 5]) ORDER BY 1;
SELECT 'literal', NULL, 1.0, true, kind FROM events WHERE event_id < 3 ORDER BY event_id;
SELECT NULL AS x, count(*) FROM events GROUP BY 1;
SELECT 'a' AS x, count(*) FROM events GROUP BY x ORDER BY x;
SELECT E'back\\slash ''quote''' || kind FROM events WHERE event_id = 1;
SELECT kind FROM events WHERE kind = E'\\' OR kind = '$1' OR kind = '%' OR event_id = 2;
SELECT array_agg(amount) FROM (SELECT amount FROM events ORDER BY event_id) s;
WITH c AS (SELECT event_id FROM events ORDER BY event_id DESC) SELECT array_agg(event_id) FROM c;
SELECT string_agg(name, ',') FROM (SELECT name FROM accounts ORDER BY name) s WHERE name <> '';
SELECT count(*) FROM accounts WHERE CASE WHEN tenant_id < 0 THEN ('x' || current_date)::int > 1 ELSE true END;
-- backslashes in literals mean what the session says
CREATE TABLE slashes (k int PRIMARY KEY, t text DEFAULT 'd\e', u text GENERATED ALWAYS AS ('g\h' || k) STORED, CHECK (t <> 'x\\y'));
SELECT create_distributed_table('slashes', 'k');
INSERT INTO slashes VALUES (1, 'a\b'), (2, 'q'), (3, DEFAULT);
SET escape_string_warning = off;
SET standard_conforming_strings = off;
SELECT k FROM slashes WHERE t = 'a\\b';
SELECT k, 'c\\d' || t, u FROM slashes ORDER BY 1;
UPDATE slashes SET t = 'z\\w' WHERE k = 2;
CREATE TABLE slashes2 (k int PRIMARY KEY, t text, u text GENERATED ALWAYS AS ('g\\h' || k) STORED, CHECK (t <> 'x\\y'));
CREATE INDEX ON slashes2 (t) WHERE t <> 'i\\j';
SELECT create_distributed_table('slashes2', 'k');
INSERT INTO slashes2 VALUES (1, 'x\\\\y');
-- error
INSERT INTO slashes2 VALUES (2, 'x\\y');
ALTER TABLE slashes2 ADD COLUMN v text DEFAULT 'm\\n';
SELECT * FROM slashes2;
RESET standard_conforming_strings;
RESET escape_string_warning;
SELECT * FROM slashes ORDER BY k;
