-- What a user sees: policies, barriers, privileges, roles.  A role that is no superuser sees
-- on a distributed table what it sees on a plain one; so do the functions that it makes.
DROP ROLE IF EXISTS diff_ann, diff_bob, diff_boss;
CREATE ROLE diff_ann;
CREATE ROLE diff_bob;
CREATE ROLE diff_boss BYPASSRLS;
CREATE TABLE docs (id int PRIMARY KEY, tenant int, owner text, body text, price numeric, made date);
SELECT create_distributed_table('docs', 'id');
CREATE TABLE parts (id int, no int, tenant int, label text, PRIMARY KEY (id, no));
SELECT create_distributed_table('parts', 'id');
CREATE TABLE tenants (tenant int PRIMARY KEY, title text, boss text);
SELECT create_reference_table('tenants');
CREATE TABLE plain_local (tenant int, remark text);
INSERT INTO docs SELECT i, i % 5, CASE i % 3 WHEN 0 THEN 'diff_ann' WHEN 1 THEN 'diff_bob' END, 'body ' || i, i * 1.25, '2024-01-01'::date + i
  FROM generate_series(1, 60) i;
INSERT INTO parts SELECT i, j, i % 5, 'label ' || i || '/' || j FROM generate_series(1, 60) i, generate_series(1, 3) j;
INSERT INTO tenants SELECT i, 'title ' || i, CASE WHEN i < 3 THEN 'diff_ann' ELSE 'diff_bob' END FROM generate_series(0, 4) i;
INSERT INTO plain_local SELECT i, 'remark ' || i FROM generate_series(0, 4) i;
GRANT USAGE ON SCHEMA t_roles TO diff_ann, diff_bob, diff_boss;
GRANT SELECT, INSERT, UPDATE, DELETE ON docs, parts TO diff_ann, diff_bob, diff_boss;
GRANT SELECT ON tenants, plain_local TO diff_ann, diff_bob, diff_boss;
CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
CREATE FUNCTION leak(int) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;

-- one policy
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
SELECT count(*) FROM docs;
CREATE POLICY own ON docs USING (owner = current_user);
SELECT count(*) FROM docs;
SET ROLE diff_ann;
SELECT count(*) FROM docs;
SELECT * FROM docs ORDER BY id;
SELECT * FROM docs WHERE id = 3;
SELECT * FROM docs WHERE id = 4;
SELECT * FROM docs WHERE id IN (3, 4, 6, 7) ORDER BY id;
SELECT tenant, count(*), sum(price), min(body), max(made) FROM docs GROUP BY tenant ORDER BY tenant;
SELECT count(DISTINCT tenant), avg(price) FROM docs WHERE body LIKE '%1%';
SELECT id FROM docs WHERE 1 / (id - 4) = 0 ORDER BY id;
SELECT id FROM docs WHERE id = 4 AND 1 / (id - 4) = 0;
-- error
SELECT id FROM docs WHERE 1 / (id - 3) = 0;
SELECT id FROM (SELECT * FROM docs WHERE tenant > 0) d WHERE 1 / (id - 4) = 0 ORDER BY id;
SELECT tenant FROM docs GROUP BY tenant, id HAVING 1 / (id - 4) = 0 ORDER BY tenant;
SELECT id FROM (SELECT * FROM docs WHERE tenant > 0 ORDER BY id LIMIT 5) d WHERE 1 / (id - 4) = 0 ORDER BY id;
SELECT id FROM (SELECT id FROM docs UNION ALL SELECT id FROM parts) d WHERE 1 / (id - 100) = 0 ORDER BY id LIMIT 5;
WITH d AS (SELECT * FROM docs) SELECT id FROM d WHERE 1 / (id - 4) = 0 ORDER BY id;
WITH d AS MATERIALIZED (SELECT * FROM docs) SELECT id FROM d WHERE 1 / (id - 4) = 0 ORDER BY id;
SELECT d.id, p.no FROM docs d JOIN parts p USING (id) WHERE 1 / (d.id - 4) = 0 ORDER BY 1, 2 LIMIT 7;
SELECT d.id, p.no FROM docs d JOIN parts p ON d.id = p.id AND 1 / (d.id - 4) = 0 ORDER BY 1, 2 LIMIT 7;
SELECT p.id, d.body FROM parts p LEFT JOIN docs d ON d.id = p.id AND 1 / (d.id - 4) = 0 WHERE p.no = 1 ORDER BY 1;
SELECT p.id FROM parts p WHERE EXISTS (SELECT FROM docs d WHERE d.id = p.id AND 1 / (d.id - 4) = 0) ORDER BY 1;
SELECT p.id FROM parts p WHERE p.id NOT IN (SELECT d.id FROM docs d WHERE 1 / (d.id - 4) = 0) ORDER BY 1;
SELECT p.id, (SELECT d.body FROM docs d WHERE d.id = p.id AND 1 / (d.id - 4) = 0) FROM parts p WHERE p.no = 2 ORDER BY 1;
SELECT p.id, d.x FROM parts p, LATERAL (SELECT 1 / (d.id - 4) AS x FROM docs d WHERE d.id = p.id) d ORDER BY 1, 2;
SELECT d.id, f FROM docs d, LATERAL generate_series(1, 60 / (d.id - 4)) f ORDER BY 1, 2;
SELECT d.id, t.title FROM docs d JOIN tenants t USING (tenant) ORDER BY 1;
SELECT d.id, l.remark FROM docs d JOIN plain_local l USING (tenant) WHERE 1 / (d.id - 4) = 0 ORDER BY 1;
SELECT a.id, b.id FROM docs a JOIN docs b ON a.tenant = b.tenant AND a.id < b.id ORDER BY 1, 2;
SELECT d, row_to_json(d), d.tableoid::regclass FROM docs d WHERE d.id < 10 ORDER BY d.id;
SELECT row_to_json(d) FROM docs d WHERE body LIKE '% 1%' ORDER BY d.id;
SELECT ctid IS NOT NULL, xmin IS NOT NULL, id FROM docs WHERE body LIKE '% 1%' ORDER BY id;
SELECT count(d) FROM docs d WHERE d IS NOT NULL;
SELECT id FROM docs TABLESAMPLE BERNOULLI (100) WHERE body LIKE '% 1%' ORDER BY id;
SELECT id, rank() OVER (PARTITION BY tenant ORDER BY price) FROM docs WHERE body LIKE '%' ORDER BY 1;
SELECT id FROM docs WHERE body LIKE '% 2%' ORDER BY price DESC LIMIT 3;
SELECT id FROM docs WHERE id > 10 ORDER BY price LIMIT 3 FOR UPDATE;
SELECT id FROM docs WHERE body LIKE '% 2%' ORDER BY id FOR SHARE;
SELECT id FROM docs WHERE id = 4 FOR UPDATE;
SELECT id FROM docs WHERE id = 3 FOR NO KEY UPDATE SKIP LOCKED;
-- notices
SELECT count(*) FROM docs WHERE t_roles.leak(body);
-- notices
SELECT id FROM docs WHERE t_roles.leak(id) AND price >= 0 ORDER BY id;
-- notices
SELECT count(*) FROM docs d JOIN parts p ON p.id = d.id AND p.no = 1 WHERE t_roles.leak(d.body);
-- notices
SELECT count(*) FROM (SELECT * FROM docs OFFSET 0) d WHERE t_roles.leak(d.body);
-- notices
SELECT max(id) FROM docs GROUP BY body HAVING t_roles.leak(body) ORDER BY 1;

TABLE docs ORDER BY id;
SELECT count(*) FROM ONLY docs WHERE body LIKE '%1%';
COPY docs TO STDOUT;
COPY docs (id, owner) TO STDOUT;
COPY (SELECT id FROM docs WHERE body LIKE '%1%' ORDER BY id) TO STDOUT;
CREATE TEMP TABLE mine AS SELECT * FROM docs WHERE body LIKE '%1%';
SELECT count(*), min(id) FROM mine;
INSERT INTO mine SELECT * FROM docs WHERE tenant = 1;
SELECT count(*), min(id) FROM mine;
SELECT count(*) FROM mine m JOIN docs d USING (id) WHERE d.body LIKE '%1%';
DROP TABLE mine;
INSERT INTO parts SELECT id, 100, tenant, body FROM docs WHERE body LIKE '%1%';
SELECT count(*) FROM parts WHERE no = 100;
DELETE FROM parts WHERE no = 100;
DO $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t_roles.docs; IF n <> 20 THEN RAISE EXCEPTION 'sees %', n; END IF; END $$;
-- error
TRUNCATE docs;
-- error
ALTER TABLE docs DISABLE ROW LEVEL SECURITY;
-- error
DROP POLICY own ON docs;

-- another user, a prepared plan
RESET ROLE;
PREPARE all_docs AS SELECT count(*), min(id) FROM docs;
PREPARE one_doc (int) AS SELECT id, owner FROM docs WHERE id = $1;
PREPARE like_doc (text) AS SELECT id, owner FROM docs WHERE body LIKE $1 ORDER BY id;
PREPARE in_from AS SELECT count(*), min(d.body) FROM (SELECT id, body FROM docs WHERE id > 3) d JOIN parts p USING (id);
PREPARE in_cte AS WITH d AS MATERIALIZED (SELECT id, body FROM docs) SELECT count(*), min(body) FROM d WHERE body LIKE 'b%';
PREPARE in_link AS SELECT count(*) FROM parts WHERE id IN (SELECT id FROM docs);
PREPARE in_list AS SELECT tenant, (SELECT count(*) FROM docs d WHERE d.tenant = t.tenant) FROM tenants t ORDER BY 1;
PREPARE in_union AS SELECT id FROM docs WHERE id < 9 UNION ALL SELECT tenant FROM tenants ORDER BY 1;
PREPARE writes (int) AS UPDATE docs SET body = body WHERE id < $1;
EXECUTE all_docs;
EXECUTE one_doc (4);
EXECUTE like_doc ('% 1%');
EXECUTE in_from;
EXECUTE in_cte;
EXECUTE in_link;
EXECUTE in_list;
EXECUTE in_union;
EXECUTE writes (10);
SET ROLE diff_ann;
EXECUTE in_from;
EXECUTE in_cte;
EXECUTE in_link;
EXECUTE in_list;
EXECUTE in_union;
EXECUTE writes (10);
EXECUTE all_docs;
EXECUTE one_doc (4);
EXECUTE one_doc (3);
EXECUTE like_doc ('% 1%');
SET ROLE diff_bob;
EXECUTE all_docs;
EXECUTE one_doc (4);
EXECUTE one_doc (3);
EXECUTE like_doc ('% 1%');
EXECUTE in_from;
EXECUTE in_cte;
EXECUTE in_link;
EXECUTE in_list;
EXECUTE in_union;
EXECUTE writes (10);
SET ROLE diff_boss;
EXECUTE all_docs;
EXECUTE in_from;
EXECUTE in_cte;
EXECUTE in_link;
EXECUTE in_list;
EXECUTE in_union;
EXECUTE writes (10);
EXECUTE like_doc ('% 1%');
RESET ROLE;
SET SESSION AUTHORIZATION diff_bob;
EXECUTE all_docs;
EXECUTE one_doc (4);
SELECT current_user, session_user, count(*) FROM docs;
RESET SESSION AUTHORIZATION;
EXECUTE all_docs;
SET ROLE diff_ann;
SET row_security = off;
-- error
SELECT count(*) FROM docs;
-- error
EXECUTE all_docs;
SET ROLE diff_boss;
SELECT count(*) FROM docs;
RESET row_security;
RESET ROLE;
DEALLOCATE all_docs;

-- cursors read on for the user who began to read (sorted: plain PostgreSQL asks for
-- current_user again where it filters row by row)
BEGIN;
SET LOCAL ROLE diff_ann;
DECLARE c CURSOR FOR SELECT id, owner FROM docs ORDER BY price + 0;
DECLARE h CURSOR WITH HOLD FOR SELECT id, owner FROM docs WHERE body LIKE '%' ORDER BY price + 0;
DECLARE s SCROLL CURSOR FOR SELECT id, owner FROM docs WHERE body LIKE '%' ORDER BY price + 0;
FETCH 2 FROM c;
FETCH 2 FROM h;
FETCH LAST FROM s;
SET LOCAL ROLE diff_bob;
FETCH 2 FROM c;
FETCH 2 FROM h;
FETCH PRIOR FROM s;
RESET ROLE;
FETCH 2 FROM c;
COMMIT;
FETCH ALL FROM h;
CLOSE h;

-- forced, restrictive, several
GRANT CREATE ON SCHEMA t_roles TO diff_bob;
SET ROLE diff_bob;
CREATE TABLE mine (id int, secret text);
SELECT create_distributed_table('mine', 'id');
INSERT INTO mine SELECT i, 'secret ' || i FROM generate_series(1, 20) i;
CREATE POLICY few ON mine USING (id < 5);
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
SELECT count(*) FROM mine;
ALTER TABLE mine FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM mine;
SELECT secret FROM mine WHERE 1 / (id - 7) >= 0 ORDER BY 1;
ALTER TABLE mine NO FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM mine;
RESET ROLE;
CREATE POLICY cheap ON docs AS RESTRICTIVE USING (price < 50);
CREATE POLICY shared ON docs FOR SELECT USING (1 / (50 - price) >= 0 AND tenant = 2);
GRANT SELECT ON docs TO diff_bob;
SET ROLE diff_bob;
SELECT count(*), max(price) FROM docs;
SELECT id FROM docs WHERE body LIKE '%1%' ORDER BY id;
-- notices
SELECT count(*) FROM docs WHERE t_roles.leak(body);
SELECT id FROM docs WHERE id = 40;
RESET ROLE;
DROP POLICY cheap ON docs;
DROP POLICY shared ON docs;

-- a tenant in a setting, its table by the tenant
CREATE TABLE bills (tenant int, no int, total numeric, note text, PRIMARY KEY (tenant, no));
SELECT create_distributed_table('bills', 'tenant');
INSERT INTO bills SELECT i % 7, i, i * 2, 'note ' || i FROM generate_series(1, 70) i;
GRANT ALL ON bills TO diff_ann;
ALTER TABLE bills ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON bills USING (tenant = current_setting('app.tenant')::int);
SET app.tenant = 3;
SET ROLE diff_ann;
SELECT count(*), sum(total) FROM bills;
SELECT * FROM bills WHERE tenant = 3 ORDER BY no;
SELECT * FROM bills WHERE tenant = 4 ORDER BY no;
SELECT * FROM bills WHERE note LIKE 'note 1%' ORDER BY no;
SELECT a.no, b.no FROM bills a JOIN bills b USING (tenant) WHERE a.no < b.no AND a.note LIKE '%1%' ORDER BY 1, 2;
PREPARE bill AS SELECT no FROM bills ORDER BY no;
EXECUTE bill;
SET app.tenant = 5;
EXECUTE bill;
SELECT sum(total) FROM bills;
SET app.tenant = '';
-- error
SELECT sum(total) FROM bills;
SET app.tenant = 6;
UPDATE bills SET total = 0 WHERE no = 13 RETURNING *;
UPDATE bills SET total = 1 WHERE note LIKE 'note 1%' RETURNING no;
-- error
UPDATE bills SET total = 1 / (no - 13);
DELETE FROM bills WHERE no = 20 RETURNING *;
DELETE FROM bills WHERE 1 / (no - 14) = 0 AND note LIKE '%2%' RETURNING *;
DELETE FROM bills WHERE tenant = 3;
INSERT INTO bills VALUES (6, 100, 1, 'new');
-- error
INSERT INTO bills VALUES (5, 101, 1, 'new');
RESET ROLE;
SELECT count(*), sum(total) FROM bills;

-- policies with sub-queries and functions
CREATE POLICY by_title ON parts USING (tenant IN (SELECT tenant FROM tenants WHERE boss = current_user));
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
SET ROLE diff_ann;
SELECT count(*) FROM parts;
SELECT count(*) FROM parts WHERE 1 / (tenant - 3) = 0;
SELECT label FROM parts WHERE id = 5 ORDER BY 1;
SELECT label FROM parts WHERE id = 8 ORDER BY 1;
SELECT count(*) FROM parts p JOIN docs d USING (id);
SELECT p.label, d.body FROM parts p RIGHT JOIN docs d ON p.id = d.id AND p.label LIKE '%/1' ORDER BY 2;
-- notices
SELECT count(*) FROM parts WHERE no = 1 AND t_roles.leak(label);
RESET ROLE;
DROP POLICY by_title ON parts;
CREATE POLICY by_doc ON parts USING (EXISTS (SELECT FROM docs WHERE docs.id = parts.id));
SET ROLE diff_bob;
SELECT count(*), min(label) FROM parts;
SELECT label FROM parts WHERE id = 4 ORDER BY 1;
SELECT label FROM parts WHERE id = 3 ORDER BY 1;
SELECT count(*) FROM parts WHERE 1 / (id - 3) = 0;
RESET ROLE;
DROP POLICY by_doc ON parts;
CREATE FUNCTION is_mine(text) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1 LIKE '%/2'; END $$;
CREATE POLICY by_function ON parts USING (is_mine(label));
SET ROLE diff_bob;
SELECT count(*), min(label) FROM parts;
-- notices
SELECT count(*) FROM parts WHERE id < 5 AND t_roles.leak(label);
RESET ROLE;
DROP POLICY by_function ON parts;
CREATE POLICY whole_row ON parts USING (parts::text LIKE '%/3%');
SET ROLE diff_bob;
SELECT count(*), min(label) FROM parts;
SELECT row_to_json(p), tableoid::regclass FROM parts p WHERE id = 6;
RESET ROLE;
ALTER TABLE parts DISABLE ROW LEVEL SECURITY;

-- a reference table with a policy
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_boss ON tenants USING (boss = current_user);
SET ROLE diff_ann;
SELECT * FROM tenants ORDER BY 1;
SELECT p.id, t.title FROM parts p JOIN tenants t USING (tenant) WHERE p.no = 1 ORDER BY 1;
SELECT p.id, t.title FROM parts p LEFT JOIN tenants t USING (tenant) WHERE p.no = 1 AND p.id < 12 ORDER BY 1;
SELECT count(*) FROM parts p JOIN tenants t USING (tenant) WHERE 1 / (t.tenant - 3) = 0;
RESET ROLE;
ALTER TABLE tenants DISABLE ROW LEVEL SECURITY;

-- a local table with a policy
ALTER TABLE plain_local ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON plain_local USING (tenant > 2);
SET ROLE diff_ann;
SELECT p.id, l.remark FROM parts p JOIN plain_local l USING (tenant) WHERE p.no = 1 ORDER BY 1 LIMIT 5;
SELECT count(*) FROM parts p JOIN plain_local l USING (tenant) WHERE 1 / (l.tenant - 1) = 0;
-- notices
SELECT count(*) FROM plain_local l WHERE tenant IN (SELECT tenant FROM parts) AND t_roles.leak(remark);
RESET ROLE;
ALTER TABLE plain_local DISABLE ROW LEVEL SECURITY;

-- views: of the owner, of the invoker, with a barrier
CREATE VIEW of_owner AS SELECT id, tenant, body FROM docs WHERE tenant IN (1, 2);
CREATE VIEW of_invoker WITH (security_invoker) AS SELECT id, tenant, body FROM docs WHERE tenant IN (1, 2);
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, tenant, body, price * 2 AS twice FROM docs WHERE tenant IN (1, 2);
CREATE VIEW barrier_of_barrier WITH (security_barrier) AS SELECT id, body FROM barrier WHERE twice < 60;
CREATE VIEW grouped WITH (security_barrier) AS SELECT id, count(*) AS n, sum(tenant) AS s FROM parts WHERE no < 3 GROUP BY id;
CREATE VIEW both_kinds WITH (security_barrier, security_invoker) AS SELECT * FROM docs WHERE tenant <> 1;
CREATE VIEW united WITH (security_barrier) AS SELECT id, body FROM docs WHERE tenant = 1 UNION ALL SELECT id, label FROM parts WHERE no = 1;
GRANT SELECT ON of_owner, of_invoker, barrier, barrier_of_barrier, grouped, both_kinds, united TO diff_ann;
SET ROLE diff_ann;
SELECT count(*) FROM of_owner;
SELECT count(*) FROM of_invoker;
SELECT count(*) FROM barrier;
SELECT * FROM barrier_of_barrier ORDER BY 1;
SELECT * FROM barrier_of_barrier WHERE id = 2;
SELECT * FROM barrier_of_barrier WHERE 1 / (id - 3) = 0 AND id = 7;
SELECT id FROM barrier WHERE 1 / (tenant - 3) = 0 ORDER BY 1;
SELECT id FROM both_kinds WHERE 1 / (tenant - 1) >= 0 ORDER BY 1;
SELECT * FROM grouped WHERE id = 7;
SELECT * FROM grouped WHERE 1 / (n - 2 + id) >= 0 ORDER BY id LIMIT 5;
SELECT count(*) FROM united WHERE 1 / (length(body)) = 0;
SELECT body FROM united WHERE id = 6 ORDER BY 1;
SELECT b.id, p.label FROM barrier b JOIN parts p USING (id) WHERE p.no = 1 AND b.body LIKE '%1' ORDER BY 1;
SELECT a.id FROM of_owner a JOIN of_invoker b USING (id) ORDER BY 1;
SELECT a.id, b.id FROM of_owner a FULL JOIN both_kinds b USING (id) ORDER BY 1, 2;
-- notices
SELECT count(*) FROM barrier WHERE t_roles.leak(body);
-- notices
SELECT count(*) FROM barrier_of_barrier WHERE t_roles.leak(body);
-- notices
SELECT count(*) FROM both_kinds WHERE t_roles.leak(body);
SELECT count(*) FROM united WHERE t_roles.leak(body);
PREPARE through_view (int) AS SELECT count(*), max(body) FROM barrier WHERE id = $1;
EXECUTE through_view (2);
EXECUTE through_view (3);
-- error
SELECT id FROM barrier WHERE id = 2 FOR UPDATE;
RESET ROLE;
GRANT UPDATE ON barrier TO diff_ann;
SET ROLE diff_ann;
SELECT id FROM barrier WHERE id = 2 AND body LIKE 'b%' FOR UPDATE;
RESET ROLE;

-- functions of other users
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(*) FROM t_roles.docs';
CREATE FUNCTION counted_as_caller() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t_roles.docs';
CREATE FUNCTION loop_count() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t_roles.docs; RETURN n; END $$;
CREATE FUNCTION loop_count_definer() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t_roles.docs; RETURN n; END $$;
CREATE FUNCTION doc_of(int) RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT body FROM t_roles.docs WHERE id = $1';
SELECT counted(), counted_as_caller(), loop_count(), loop_count_definer();
SET ROLE diff_ann;
SELECT t_roles.counted(), t_roles.counted_as_caller(), t_roles.loop_count(), t_roles.loop_count_definer();
SELECT * FROM t_roles.doc_of(3);
SELECT * FROM t_roles.doc_of(4);
SET ROLE diff_bob;
SELECT t_roles.counted(), t_roles.counted_as_caller(), t_roles.loop_count(), t_roles.loop_count_definer();
SELECT * FROM t_roles.doc_of(4);
SELECT id, t_roles.counted() FROM docs WHERE id < 10 ORDER BY 1;
RESET ROLE;
SELECT counted(), counted_as_caller(), loop_count(), loop_count_definer();

-- EXECUTE revoked; who asks counts, not whose view it is
REVOKE EXECUTE ON FUNCTION pg_catalog.md5(text), pg_catalog.int4pl(int, int) FROM PUBLIC;
CREATE VIEW hashed AS SELECT id, md5(label) AS h FROM parts;
GRANT SELECT ON hashed TO diff_ann;
SET ROLE diff_ann;
-- error
SELECT md5(label) FROM parts WHERE id = 1;
-- error
SELECT count(*) FROM parts WHERE md5(label) = 'x';
-- error
SELECT id + 1 FROM parts WHERE no = 1;
-- error
SELECT count(md5(label)) FROM parts;
-- error
SELECT h FROM hashed WHERE id = 1;
SELECT count(*) FROM hashed WHERE id = 1;
-- error
SELECT id FROM parts ORDER BY md5(label) LIMIT 1;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.md5(text), pg_catalog.int4pl(int, int) TO PUBLIC;
SET ROLE diff_ann;
SELECT count(*) FROM parts WHERE md5(label) = 'x';
RESET ROLE;

-- columns
REVOKE ALL ON parts, docs FROM diff_ann;
GRANT SELECT (id, no) ON parts TO diff_ann;
GRANT SELECT (id, owner, body) ON docs TO diff_ann;
SET ROLE diff_ann;
SELECT id FROM parts WHERE no = 1 AND id < 4 ORDER BY 1;
SELECT count(*) FROM parts;
SELECT count(no) FROM parts WHERE id = 3;
-- error
SELECT label FROM parts WHERE id = 3;
-- error
SELECT id FROM parts WHERE label = 'x';
-- error
SELECT id FROM parts ORDER BY label;
-- error
SELECT * FROM parts WHERE id = 3;
-- error
SELECT p FROM parts p WHERE id = 3;
-- error
SELECT count(p) FROM parts p WHERE id = 3;
-- error
SELECT row_to_json(p) FROM parts p WHERE id = 3;
-- error
SELECT ctid FROM parts WHERE id = 3;
-- error
SELECT tableoid::regclass FROM parts WHERE id = 3;
SELECT d.id, p.no FROM docs d JOIN parts p USING (id) WHERE id < 7 ORDER BY 1, 2;
-- error
SELECT * FROM docs d JOIN parts p USING (id) WHERE id < 7 ORDER BY 1, 2;
-- error
SELECT d.id FROM docs d JOIN parts p USING (id, tenant);
-- error
SELECT d.id FROM docs d NATURAL JOIN parts p;
SELECT d.id FROM docs d NATURAL JOIN (SELECT id, no FROM parts) p WHERE no = 1 ORDER BY 1;
-- error
SELECT max(id) FROM parts GROUP BY tenant;
-- other words
-- error
SELECT id FROM parts WHERE EXISTS (SELECT FROM docs WHERE docs.tenant = parts.tenant);
-- error
UPDATE parts SET no = no WHERE id = 3;
-- error
DELETE FROM parts WHERE id = 3;
-- error
SELECT id FROM parts WHERE id = 3 FOR UPDATE;
RESET ROLE;
GRANT SELECT (tenant) ON parts TO diff_ann;
SET ROLE diff_ann;
SELECT max(id) FROM parts GROUP BY tenant ORDER BY 1;
RESET ROLE;
REVOKE SELECT (no) ON parts FROM diff_ann;
SET ROLE diff_ann;
-- error
SELECT count(no) FROM parts WHERE id = 3;
RESET ROLE;
REVOKE USAGE ON SCHEMA t_roles FROM diff_ann;
SET ROLE diff_ann;
-- error
SELECT id FROM t_roles.parts;
RESET ROLE;

GRANT USAGE ON SCHEMA t_roles TO diff_ann;

-- who may not write a row does not learn whether its key is there: policies come before keys
CREATE TABLE papers (k int, did int, author name, slot int, PRIMARY KEY (k, did), EXCLUDE (k WITH =, slot WITH =));
CREATE UNIQUE INDEX ON papers (k, abs(did)) WHERE slot > 0;
SELECT create_distributed_table('papers', 'k');
INSERT INTO papers VALUES (1, 1, 'diff_ann', 1), (1, 2, 'diff_bob', 2), (2, 1, 'diff_ann', 1);
CREATE POLICY own ON papers USING (author = current_user);
ALTER TABLE papers ENABLE ROW LEVEL SECURITY;
GRANT ALL ON papers TO diff_ann;
SET ROLE diff_ann;
-- error
UPDATE papers SET did = 2, author = 'diff_bob' WHERE did = 1 AND k = 1;
-- error
UPDATE papers SET slot = 2, author = 'diff_bob' WHERE did = 1 AND k = 1;
-- error
UPDATE papers SET did = 2 WHERE did = 1 AND k = 1;
-- error
UPDATE papers SET (did, author) = (SELECT 2, 'diff_bob'::name) WHERE k = 1;
-- error
INSERT INTO papers VALUES (1, 2, 'diff_bob', 5);
-- error
INSERT INTO papers VALUES (1, 2, 'diff_ann', 5);
UPDATE papers SET did = did + 10 RETURNING *;
UPDATE papers SET slot = slot + 5 WHERE k = 2 RETURNING k, (SELECT count(*) FROM papers);
WITH u AS (UPDATE papers SET did = 20 WHERE k = 1 RETURNING *) SELECT count(*) FROM u;
RESET ROLE;
SELECT * FROM papers ORDER BY k, did;

ALTER FUNCTION leak(text) LEAKPROOF;
DROP OWNED BY diff_ann, diff_bob, diff_boss;
DROP ROLE diff_ann, diff_bob, diff_boss;
