-- Types, functions, operators and operator classes of extensions: as columns, keys, in conditions,
-- orders, indexes and writes.  All workers have the extensions, so they are sent there.
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION cube;
CREATE SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE EXTENSION intarray SCHEMA ext;
CREATE TABLE cx (email citext PRIMARY KEY, n int);
SELECT create_distributed_table('cx', 'email');
CREATE TABLE hx (key int, id int, data hstore[], h hstore, p ext.ltree, t text, a int[], c cube, e citext, PRIMARY KEY (key, id));
CREATE INDEX ON hx USING gin (a ext.gin__int_ops);
SELECT create_distributed_table('hx', 'key');
CREATE TABLE labels (k citext PRIMARY KEY, p ext.ltree);
SELECT create_reference_table('labels');
INSERT INTO cx VALUES ('Ann@Example.org', 1), ('bob@example.org', 2), ('Carl', 3);
INSERT INTO cx VALUES ('Carla', 3), ('dora', 4);
-- error
INSERT INTO cx VALUES ('ANN@example.ORG', 3);
SELECT n FROM cx WHERE email = 'ann@example.org';
SELECT n FROM cx WHERE email IN ('ann@example.org', 'CARL');
SELECT n FROM cx WHERE email LIKE 'BOB%' ORDER BY 1;
SELECT count(DISTINCT email), min(lower(email::text)) FROM cx;
SELECT lower(email::text) FROM cx ORDER BY email;
SELECT lower(email::text) FROM cx ORDER BY email DESC LIMIT 2;
INSERT INTO hx SELECT i % 7, i, ARRAY[hstore('a', i::text), NULL], hstore(ARRAY['k', 'n'], ARRAY[(i % 5)::text, i::text]), ('top.s' || i % 3 || '.x' || i)::ext.ltree,
  'hello world ' || i, ARRAY[i, i % 3, 5], cube(ARRAY[i % 20, i % 6]), CASE i % 2 WHEN 0 THEN 'NAME' ELSE 'name' END || i % 9 FROM generate_series(1, 200) i;
INSERT INTO labels SELECT 'NAME' || i, ('top.s' || i)::ext.ltree FROM generate_series(0, 8) i;
COPY hx (key, id, data, h) FROM STDIN;
2	1001	{"\\"x\\"=>\\"y\\"","\\"z\\"=>NULL"}	q=>1,k=>w
\.
SELECT id FROM hx WHERE h @> 'k=>3' ORDER BY 1;
SELECT id, h -> 'k', data[1] -> 'a' FROM hx WHERE p OPERATOR(ext.<@) 'top.s1' AND key = 3 ORDER BY 1;
SELECT count(*) FROM hx WHERE p OPERATOR(ext.~) 'top.*.x1*'::ext.lquery;
SELECT h -> 'k', count(*), sum(id) FROM hx GROUP BY 1 ORDER BY 1;
SELECT lower(e::text), count(*) FROM hx GROUP BY e, lower(e::text) ORDER BY 1;
SELECT count(DISTINCT e) FROM hx;
SELECT id FROM hx WHERE e = 'NAME3' AND id < 50 ORDER BY 1;
SELECT id FROM hx ORDER BY c <-> '(3,4)', id LIMIT 7;
SELECT key, id FROM hx WHERE key IN (1, 2) ORDER BY c <#> '(1,9)'::cube, id LIMIT 7;
SELECT id, c ~> 1 FROM hx WHERE c <@ '(0,0),(4,4)'::cube ORDER BY 1;
SELECT DISTINCT ON (e) lower(e::text), id FROM hx WHERE e IS NOT NULL ORDER BY e, id;
SELECT count(*) FROM hx WHERE t % 'hello wrld 1';
SELECT id FROM hx WHERE similarity(t, 'hello world 17') > 0.8 ORDER BY 1;
SELECT id FROM hx WHERE t ILIKE '%WORLD 19%' ORDER BY 1;
SELECT x.id, l.p FROM hx x JOIN labels l ON l.k = x.e WHERE x.id < 20 ORDER BY 1;
SELECT count(*) FROM hx x JOIN cx c ON c.n = x.key AND c.email = 'bob@EXAMPLE.org';
SELECT x.id, (SELECT count(*) FROM hx y WHERE y.key = x.key AND y.h @> x.h) FROM hx x WHERE x.id < 9 ORDER BY 1;
SELECT ext.sort(a), a OPERATOR(ext.&&) ARRAY[1, 2] FROM hx WHERE id < 6 ORDER BY id;
CREATE INDEX ON hx USING gin (t gin_trgm_ops);
CREATE INDEX ON hx USING gist (h);
CREATE INDEX ON hx USING gist (p ext.gist_ltree_ops);
CREATE INDEX ON hx USING gist (c);
SELECT id FROM hx ORDER BY c <-> '(3,4)', id LIMIT 7;
UPDATE hx SET h = h || hstore('u', key::text), a = ext.sort(a) WHERE key < 3;
UPDATE hx SET id = id + 2000 WHERE key = 4 AND e = 'NAME4';
UPDATE hx SET t = t || ' ' || l.p::text FROM labels l WHERE l.k = hx.e AND hx.key = 5;
DELETE FROM hx WHERE p OPERATOR(ext.<@) 'top.s2' AND h @> 'k=>1';
SELECT key, id, h, a, t FROM hx WHERE exist(h, 'u') OR id > 2000 OR key = 5 ORDER BY 1, 2;
SELECT count(*), sum(id) FROM hx;
PREPARE by_email(citext) AS SELECT n FROM cx WHERE email = $1;
EXECUTE by_email('BOB@example.org');
DROP TABLE cx, hx, labels;
DROP EXTENSION citext, hstore, pg_trgm, cube, ltree, intarray;
DROP SCHEMA ext;
