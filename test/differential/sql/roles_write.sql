-- UPDATE and DELETE under policies and through views: rows that a user may not see are
-- neither changed nor told of, and new rows pass WITH CHECK.
DROP ROLE IF EXISTS diff_amy, diff_ben;
CREATE ROLE diff_amy;
CREATE ROLE diff_ben;
CREATE TABLE docs (id int PRIMARY KEY, tenant int, owner text, body text, price numeric);
SELECT create_distributed_table('docs', 'id');
CREATE TABLE parts (id int, no int, label text, PRIMARY KEY (id, no));
SELECT create_distributed_table('parts', 'id');
CREATE TABLE titles (tenant int PRIMARY KEY, title text, boss text);
SELECT create_reference_table('titles');
INSERT INTO docs SELECT i, i % 5, CASE i % 3 WHEN 0 THEN 'diff_amy' WHEN 1 THEN 'diff_ben' END, 'body ' || i, i FROM generate_series(1, 60) i;
INSERT INTO parts SELECT i, j, 'label ' || i || '/' || j FROM generate_series(1, 60) i, generate_series(1, 2) j;
INSERT INTO titles SELECT i, 'title ' || i, CASE WHEN i < 3 THEN 'diff_amy' ELSE 'diff_ben' END FROM generate_series(0, 4) i;
GRANT USAGE ON SCHEMA t_roles_write TO diff_amy, diff_ben;
GRANT SELECT, INSERT, UPDATE, DELETE ON docs, parts TO diff_amy, diff_ben;
GRANT SELECT ON titles TO diff_amy, diff_ben;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs USING (owner = current_user);
SET ROLE diff_amy;
UPDATE docs SET body = 'changed' WHERE id IN (3, 4) RETURNING *;
UPDATE docs SET price = price + 1 WHERE body LIKE '%1%' RETURNING id;
UPDATE docs SET price = 0;
UPDATE docs SET body = body || '!' WHERE 1 / (id - 4) = 0 RETURNING id;
-- error
UPDATE docs SET body = 'x' WHERE 1 / (id - 3) = 0;
-- error
UPDATE docs SET owner = 'diff_ben' WHERE id = 3;
-- error
UPDATE docs SET owner = 'diff_ben' WHERE id = 3 RETURNING id;
-- error
UPDATE docs SET owner = NULL;
-- error
UPDATE docs SET owner = CASE WHEN id = 30 THEN 'diff_ben' ELSE owner END RETURNING id, body;
UPDATE docs SET owner = 'diff_ben' WHERE id = 4;
UPDATE docs SET owner = 'diff_amy' WHERE id IN (3, 4) RETURNING owner, id;
SELECT count(*), sum(price) FROM docs;
UPDATE docs d SET body = p.label FROM parts p WHERE p.id = d.id AND p.no = 1 AND d.id < 10 RETURNING d.id, d.body;
UPDATE docs d SET body = p.label FROM parts p WHERE p.id = d.id AND p.no = 1 AND d.id < 10 AND 1 / (d.id - 4) = 0 RETURNING d.id, d.body;
UPDATE docs d SET body = t.title FROM titles t WHERE t.tenant = d.tenant AND t.title LIKE '%1' RETURNING d.id, d.body;
UPDATE docs SET body = 'sub' WHERE id IN (SELECT id FROM parts WHERE label LIKE 'label 1%') RETURNING id;
UPDATE docs SET body = 'sub' WHERE EXISTS (SELECT FROM parts p WHERE p.id = docs.id AND 1 / (docs.id - 4) = 0) RETURNING id;
DELETE FROM docs WHERE id IN (6, 7) RETURNING id;
DELETE FROM docs WHERE 1 / (id - 4) = 0 AND body LIKE '%s%' AND id > 50 RETURNING id;
DELETE FROM docs WHERE EXISTS (SELECT FROM parts p WHERE p.id = docs.id AND p.no = 2 AND 1 / (docs.id - 4) >= 0 AND docs.id > 45) RETURNING id;
DELETE FROM docs d USING parts p WHERE p.id = d.id AND p.no = 2 AND d.id = 9 RETURNING p.label;
DELETE FROM docs d USING parts p WHERE p.id = d.id AND p.no = 2 AND d.id < 16 AND length(p.label || d.body) > 3 AND 1 / (d.id - 4) = 0 RETURNING p.label;
BEGIN;
UPDATE docs SET price = 5 WHERE id = 3;
SAVEPOINT s;
-- error
UPDATE docs SET owner = 'nobody' WHERE id = 3;
ROLLBACK TO s;
UPDATE docs SET price = price + 1 WHERE id = 3 RETURNING price;
COMMIT;
PREPARE u (int, text) AS UPDATE docs SET owner = $2 WHERE id = $1 RETURNING id;
EXECUTE u (18, 'diff_amy');
-- error
EXECUTE u (18, 'diff_ben');
SET ROLE diff_ben;
EXECUTE u (18, 'diff_ben');
EXECUTE u (19, 'diff_ben');
-- error
EXECUTE u (19, 'diff_amy');
RESET ROLE;
SELECT * FROM docs ORDER BY id;

-- separate policies for commands
DROP POLICY own ON docs;
CREATE POLICY see ON docs FOR SELECT USING (tenant < 3);
CREATE POLICY write ON docs FOR UPDATE USING (tenant <> 1) WITH CHECK (price < 100);
CREATE POLICY gone ON docs FOR DELETE USING (1 / (id - 2) >= 0 AND owner = current_user);
CREATE POLICY also ON docs AS RESTRICTIVE FOR DELETE USING (id <> 2);
SET ROLE diff_ben;
UPDATE docs SET price = 99 WHERE id < 20 RETURNING id, tenant;
UPDATE docs SET price = 98;
-- error
UPDATE docs SET price = 100 WHERE id = 10;
-- error
UPDATE docs SET tenant = 4 WHERE id = 10;
UPDATE docs SET body = 'no rows are read';
DELETE FROM docs WHERE id < 30 RETURNING id;
DELETE FROM docs WHERE body LIKE '%';
DELETE FROM docs;
RESET ROLE;
SELECT count(*), sum(price), min(body) FROM docs;
DROP POLICY see ON docs;
DROP POLICY write ON docs;
DROP POLICY gone ON docs;
DROP POLICY also ON docs;

-- policies that look elsewhere
CREATE POLICY by_title ON docs USING (tenant IN (SELECT tenant FROM titles WHERE boss = current_user));
SET ROLE diff_amy;
UPDATE docs SET body = 'by title' WHERE id < 25 RETURNING id, tenant;
-- error
UPDATE docs SET tenant = 4 WHERE id = 5;
DELETE FROM docs WHERE id BETWEEN 20 AND 22 AND 1 / (tenant - 3) <= 0 RETURNING id;
RESET ROLE;
DROP POLICY by_title ON docs;
CREATE POLICY by_part ON docs USING (EXISTS (SELECT FROM parts p WHERE p.id = docs.id AND p.label LIKE '%/2'));
SET ROLE diff_amy;
UPDATE docs SET body = 'by part' WHERE id < 10 RETURNING id;
RESET ROLE;
DROP POLICY by_part ON docs;
-- the other table has the policy
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON parts FOR SELECT USING (no = 1);
ALTER TABLE docs DISABLE ROW LEVEL SECURITY;
SET ROLE diff_amy;
UPDATE docs d SET body = p.label FROM parts p WHERE p.id = d.id AND p.no = 1 AND d.id < 10 AND 1 / (p.no - 2) < 0 RETURNING d.id, d.body;
UPDATE docs d SET price = (SELECT count(*) FROM parts p WHERE p.id = d.id) WHERE d.id < 10 RETURNING d.id, d.price;
DELETE FROM docs d USING parts p WHERE p.id = d.id AND p.no = 1 AND d.id = 5 AND p.label LIKE '%/_' RETURNING p.label;
DELETE FROM docs d WHERE d.id IN (8, 9) AND NOT EXISTS (SELECT FROM parts p WHERE p.id = d.id AND 1 / (p.no - 2) > 0) RETURNING d.id;
RESET ROLE;
ALTER TABLE parts DISABLE ROW LEVEL SECURITY;

-- views with a check, with a barrier
CREATE VIEW cheap AS SELECT id, price, body FROM docs WHERE price < 90 WITH LOCAL CHECK OPTION;
CREATE VIEW cheap_low AS SELECT id, price FROM cheap WHERE price > 2 WITH CASCADED CHECK OPTION;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, price, body FROM docs WHERE price < 90;
GRANT SELECT, UPDATE, DELETE ON cheap, cheap_low, barrier TO diff_amy;
SET ROLE diff_amy;
UPDATE cheap SET price = 50 WHERE id < 20 RETURNING id;
-- error
UPDATE cheap SET price = 95 WHERE id < 20;
UPDATE cheap_low SET price = 3 WHERE id < 12 RETURNING id, price;
-- error
UPDATE cheap_low SET price = 1 WHERE id < 12;
-- error
UPDATE cheap_low SET price = NULL WHERE id < 12;
-- error
UPDATE cheap_low SET price = 1000 WHERE id < 12;
UPDATE barrier SET body = 'through' WHERE 1 / (price - 98) <= 0 AND id < 20 RETURNING id;
DELETE FROM barrier WHERE body LIKE 'thr%' AND 1 / (price - 98) <= 0 AND id IN (10, 11) RETURNING id;
RESET ROLE;
SELECT id, price, body FROM docs ORDER BY id;
DROP OWNED BY diff_amy, diff_ben;
DROP ROLE diff_amy, diff_ben;
