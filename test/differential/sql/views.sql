-- Views, security barriers, row-level security, roles.
-- setup: shapes
CREATE VIEW buys AS SELECT event_id, tenant_id, amount FROM events WHERE kind = 'buy';
SELECT count(*), sum(amount) FROM buys;
SELECT * FROM buys WHERE tenant_id = 1 ORDER BY event_id LIMIT 5;
SELECT a.name, count(b.*) FROM accounts a LEFT JOIN buys b USING (tenant_id) GROUP BY a.tenant_id ORDER BY a.tenant_id;
CREATE VIEW per_tenant (tenant, n, total) AS SELECT tenant_id, count(*), sum(amount) FROM events GROUP BY tenant_id;
SELECT * FROM per_tenant ORDER BY tenant;
SELECT * FROM per_tenant WHERE tenant = 4;
SELECT max(n) FROM per_tenant WHERE total > 1000;
CREATE VIEW of_views AS SELECT p.tenant, p.n, a.name FROM per_tenant p JOIN accounts a ON a.tenant_id = p.tenant;
SELECT * FROM of_views WHERE n > 10 ORDER BY 1;
CREATE VIEW fenced WITH (security_barrier) AS SELECT * FROM accounts WHERE region_id = 2;
SELECT tenant_id FROM fenced WHERE credit > 500 ORDER BY 1;
SELECT tenant_id FROM fenced WHERE tenant_id = 9;
SELECT f.name, count(*) FROM fenced f JOIN events e USING (tenant_id) GROUP BY f.name ORDER BY 1;
CREATE MATERIALIZED VIEW mat AS SELECT kind, count(*) c FROM events GROUP BY kind;
SELECT * FROM mat ORDER BY 1;
REFRESH MATERIALIZED VIEW mat;
SELECT m.kind, m.c, count(i.*) FROM mat m LEFT JOIN items i ON i.qty = m.c GROUP BY 1, 2 ORDER BY 1;
CREATE TABLE copied AS SELECT tenant_id, count(*) FROM events GROUP BY 1;
SELECT * FROM copied ORDER BY 1;
SELECT event_id, kind INTO copied2 FROM events WHERE event_id < 4;
SELECT * FROM copied2 ORDER BY 1;
CREATE TEMP VIEW temporary AS SELECT * FROM events WHERE flag;
SELECT count(*) FROM temporary;
CREATE TABLE notes (tenant_id int, owner text, body text);
SELECT create_distributed_table('notes', 'tenant_id');
INSERT INTO notes SELECT i % 7, CASE i % 3 WHEN 0 THEN 'diff_ann' WHEN 1 THEN 'diff_bob' ELSE NULL END, 'note ' || i FROM generate_series(1, 40) i;
-- cluster: DROP ROLE IF EXISTS diff_ann
DROP ROLE IF EXISTS diff_ann;
CREATE ROLE diff_ann;
GRANT USAGE ON SCHEMA t_views TO diff_ann;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO diff_ann;
CREATE POLICY own ON notes USING (owner = current_user);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
SELECT count(*) FROM notes;
SET ROLE diff_ann;
SELECT count(*) FROM notes;
SELECT * FROM notes WHERE tenant_id = 3 ORDER BY body;
SELECT tenant_id, count(*) FROM notes GROUP BY 1 ORDER BY 1;
SELECT n.body, m.body FROM notes n JOIN notes m USING (tenant_id) WHERE n.body < m.body ORDER BY 1, 2 LIMIT 5;
SELECT count(*) FROM notes WHERE tenant_id = 3 AND body LIKE '%1%';
-- error
SELECT count(*) FROM accounts;
-- error
SELECT * FROM fenced;
RESET ROLE;
CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SET ROLE diff_ann;
SELECT count(*) FROM notes WHERE t_views.leak(body);
RESET ROLE;
ALTER TABLE notes DISABLE ROW LEVEL SECURITY;
SELECT count(*) FROM notes;
GRANT SELECT (tenant_id) ON accounts TO diff_ann;
GRANT USAGE ON SCHEMA public TO diff_ann;
SET ROLE diff_ann;
SELECT max(tenant_id) FROM accounts;
-- error
SELECT max(name) FROM accounts;
-- error
SELECT * FROM accounts WHERE tenant_id = 3;
RESET ROLE;
REVOKE ALL ON accounts FROM diff_ann;
REVOKE ALL ON notes FROM diff_ann;
REVOKE ALL ON SCHEMA t_views, public FROM diff_ann;
DROP ROLE diff_ann;
-- views that are written through
CREATE TABLE behind (a int PRIMARY KEY, b int DEFAULT 7, c text);
SELECT create_distributed_table('behind', 'a');
INSERT INTO behind SELECT i, i * 10, 'c' || i FROM generate_series(1, 10) i;
CREATE VIEW front AS SELECT c AS cc, a AS aa, b AS bb FROM behind WHERE b > 20;
CREATE VIEW front_of_front AS SELECT * FROM front WHERE bb < 80;
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM behind WHERE b < 60;
CREATE VIEW computed AS SELECT a, b, c, b * 2 AS twice FROM behind;
UPDATE front SET bb = bb + 1 WHERE aa = 5 RETURNING *;
UPDATE front SET bb = bb + 1;
UPDATE front SET bb = 0 WHERE aa = 1;
DELETE FROM front WHERE aa = 2;
DELETE FROM front WHERE aa = 3 RETURNING *;
DELETE FROM front WHERE bb > 95;
UPDATE front_of_front SET cc = 'upd' WHERE aa > 4;
INSERT INTO front (aa, cc) VALUES (20, 'x');
INSERT INTO front VALUES ('y', 21, 100) RETURNING *;
UPDATE barrier SET c = 'sb' WHERE a = 5 RETURNING *;
DELETE FROM barrier WHERE a = 5;
UPDATE computed SET b = 3 WHERE a = 6 RETURNING *;
-- error
UPDATE computed SET twice = 3 WHERE a = 6;
SELECT * FROM behind ORDER BY a;
CREATE VIEW joined AS SELECT a, b FROM behind;
SELECT x.a, y.b FROM behind x JOIN joined y USING (a) ORDER BY 1;
SELECT x.a, y.b FROM behind x JOIN joined y USING (a) WHERE a = 4;
PREPARE sampled(float8) AS SELECT count(*) FROM behind TABLESAMPLE BERNOULLI ($1);
EXECUTE sampled(100);
EXECUTE sampled(0);
DEALLOCATE sampled;
SELECT count(*) FROM behind i WHERE i IN (VALUES (i.*::behind)) AND a = 4;
SELECT count(*) FROM behind, LATERAL (VALUES (behind.*), (behind.*)) v(x) WHERE a = 4;
