-- UPDATE and DELETE row by row under policies and with the privileges of columns.
DROP ROLE IF EXISTS diff_amy, diff_ben;
CREATE ROLE diff_amy;
CREATE ROLE diff_ben;
CREATE TABLE docs (id int PRIMARY KEY, tenant int, owner text, body text, price numeric);
SELECT create_distributed_table('docs', 'id', shard_count => 4);
CREATE TABLE keys (k int, id int, secret text, PRIMARY KEY (k, id));
SELECT create_distributed_table('keys', 'k', shard_count => 4);
CREATE TABLE bosses (tenant int, boss text);
CREATE TABLE teams (name text PRIMARY KEY, tenant int);
SELECT create_distributed_table('teams', 'name', shard_count => 4);
INSERT INTO docs SELECT i, i % 5, CASE i % 3 WHEN 0 THEN 'diff_amy' WHEN 1 THEN 'diff_ben' END, 'body ' || i, i FROM generate_series(1, 30) i;
INSERT INTO keys SELECT i % 4, i, 'secret ' || i FROM generate_series(1, 20) i;
INSERT INTO bosses SELECT i, CASE WHEN i < 3 THEN 'diff_amy' ELSE 'diff_ben' END FROM generate_series(0, 4) i;
INSERT INTO teams VALUES ('diff_amy', 1), ('diff_ben', 2);
CREATE FUNCTION same(anyelement) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS 'BEGIN RAISE NOTICE ''seen %'', $1; RETURN true; END';
GRANT USAGE ON SCHEMA t_write_rows_roles TO diff_amy, diff_ben;
GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO diff_amy, diff_ben;
GRANT SELECT ON bosses, teams TO diff_amy, diff_ben;
GRANT SELECT (k, id), UPDATE (secret) ON keys TO diff_amy;
GRANT DELETE ON keys TO diff_ben;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs USING (owner = current_user);
SET ROLE diff_amy;
UPDATE docs SET body = same(body) || '!' WHERE id < 10 RETURNING *;
-- notices
UPDATE docs SET body = same(body) || '?' WHERE leak(body) AND id < 20 RETURNING id;
-- error
UPDATE docs SET owner = same('diff_ben'::text) WHERE id = 3;
UPDATE docs SET owner = same('diff_ben'::text) WHERE id = 4;
-- error
UPDATE docs SET id = id + 100, owner = NULL WHERE id = 3;
UPDATE docs SET id = id + 100 WHERE id IN (3, 4) RETURNING *;
-- notices
DELETE FROM docs WHERE leak(body) AND same(id) = 103 RETURNING *;
DELETE FROM docs WHERE same(id) = 4;
WITH d AS (DELETE FROM docs WHERE id < 10 RETURNING *), u AS (UPDATE docs SET price = same(price) + 1 WHERE id > 20 RETURNING id, price) SELECT (SELECT count(*) FROM d), (SELECT sum(price) FROM u), count(*) FROM docs;
UPDATE docs SET tenant = b.tenant FROM bosses b WHERE b.boss = docs.owner AND b.tenant = docs.tenant RETURNING docs.id, b.tenant;
RESET ROLE;
SELECT * FROM docs ORDER BY id;
-- policies with sub-queries, and others for each command
DROP POLICY own ON docs;
CREATE POLICY sel ON docs FOR SELECT USING (true);
CREATE POLICY upd ON docs FOR UPDATE USING (tenant IN (SELECT tenant FROM bosses WHERE boss = current_user)) WITH CHECK (EXISTS (SELECT FROM bosses WHERE boss = current_user AND bosses.tenant = docs.tenant));
CREATE POLICY del ON docs FOR DELETE USING (tenant = (SELECT tenant FROM teams WHERE name = current_user));
CREATE POLICY hard ON docs AS RESTRICTIVE FOR UPDATE WITH CHECK (price < 1000);
SET ROLE diff_ben;
UPDATE docs SET body = 'boss' || same(id)::text WHERE id > 10 RETURNING id, tenant, body;
-- error
UPDATE docs SET tenant = same(1) WHERE tenant = 3;
-- error
UPDATE docs SET price = same(1000) WHERE tenant = 3;
UPDATE docs SET tenant = same(4) WHERE tenant = 3 RETURNING id;
UPDATE docs SET id = id + 200 WHERE tenant = 4 RETURNING id, tenant;
DELETE FROM docs WHERE same(1) = 1 RETURNING id, tenant;
RESET ROLE;
SELECT * FROM docs ORDER BY id;
-- columns
SET ROLE diff_amy;
UPDATE keys SET secret = same('mine'::text);
UPDATE keys SET secret = same('mine'::text) || id WHERE k = 1 RETURNING k, id;
-- error
UPDATE keys SET secret = same(secret);
-- error
UPDATE keys SET secret = same('mine'::text) RETURNING secret;
-- error
UPDATE keys SET k = same(k);
-- error
UPDATE keys SET secret = same('x'::text) RETURNING *;
-- error
DELETE FROM keys WHERE same(k) = 1;
-- error
WITH d AS (DELETE FROM keys RETURNING k) SELECT * FROM d;
-- error
WITH d AS (UPDATE keys SET id = 1) SELECT 1;
SET ROLE diff_ben;
-- error
DELETE FROM keys WHERE same(k) = 1;
DELETE FROM keys WHERE same(1) = 0;
WITH d AS (DELETE FROM keys) SELECT 1;
RESET ROLE;
SELECT count(*) FROM keys;
-- a view's owner's privileges
INSERT INTO keys SELECT i % 4, i, 'secret ' || i FROM generate_series(1, 20) i;
CREATE VIEW some_keys AS SELECT * FROM keys WHERE k < 3;
GRANT SELECT, UPDATE, DELETE ON some_keys TO diff_ben;
SET ROLE diff_ben;
UPDATE some_keys SET secret = same(secret) || '!', k = k + 1 WHERE id < 10 RETURNING *;
DELETE FROM some_keys WHERE same(id) = 1 RETURNING *;
RESET ROLE;
SELECT * FROM keys ORDER BY id;
-- a SECURITY DEFINER function
CREATE FUNCTION definer(i int) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'UPDATE t_write_rows_roles.keys SET secret = t_write_rows_roles.same(secret) || ''d'' WHERE id = i RETURNING secret';
SET ROLE diff_amy;
SELECT definer(2);
RESET ROLE;
