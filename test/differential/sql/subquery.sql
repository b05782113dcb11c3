-- Sub-queries in FROM, WHERE and the SELECT list; correlated and lateral ones.
-- setup: shapes
SELECT avg(n) FROM (SELECT tenant_id, count(*) AS n FROM events GROUP BY tenant_id) x;
SELECT max(s) FROM (SELECT kind, sum(amount) AS s FROM events GROUP BY kind) x;
SELECT * FROM (SELECT event_id, amount FROM events WHERE amount IS NOT NULL ORDER BY amount DESC, event_id LIMIT 5) x ORDER BY event_id;
SELECT count(*) FROM (SELECT DISTINCT kind, flag FROM events) x;
SELECT * FROM (SELECT tenant_id, max(event_id) m FROM events GROUP BY 1 HAVING count(*) > 12) x WHERE m > 590 ORDER BY 1;
SELECT event_id FROM events WHERE amount = (SELECT max(amount) FROM events);
SELECT event_id FROM events WHERE amount > (SELECT avg(amount) * 1.9 FROM events) ORDER BY 1;
SELECT tenant_id FROM accounts WHERE credit > (SELECT avg(credit) FROM accounts) AND region_id = (SELECT min(region_id) FROM regions) ORDER BY 1;
SELECT a.name, (SELECT count(*) FROM events e WHERE e.tenant_id = a.tenant_id) FROM accounts a ORDER BY 1;
SELECT a.name, (SELECT count(*) FROM items i WHERE i.tenant_id = a.tenant_id) FROM accounts a ORDER BY 1;
SELECT a.name, (SELECT max(e.amount) FROM events e WHERE e.tenant_id < a.tenant_id) FROM accounts a ORDER BY 1;
SELECT i.id, (SELECT name FROM accounts a WHERE a.tenant_id = i.tenant_id) FROM items i WHERE i.id < 20 ORDER BY 1;
-- error
SELECT a.name, (SELECT event_id FROM events e WHERE e.tenant_id = a.tenant_id) FROM accounts a ORDER BY 1;
SELECT e.event_id FROM events e WHERE e.amount > (SELECT 1.8 * avg(f.amount) FROM events f WHERE f.tenant_id = e.tenant_id) ORDER BY 1;
SELECT e.event_id FROM events e WHERE e.amount > (SELECT 1.8 * avg(f.amount) FROM events f WHERE f.kind = e.kind) ORDER BY 1;
SELECT i.id FROM items i WHERE i.price > (SELECT avg(price) FROM items j WHERE j.label = i.label) ORDER BY 1;
SELECT a.tenant_id, x.event_id FROM accounts a, LATERAL (SELECT event_id FROM events e WHERE e.tenant_id = a.tenant_id ORDER BY event_id DESC LIMIT 2) x ORDER BY 1, 2;
SELECT a.tenant_id, x.id FROM accounts a, LATERAL (SELECT id FROM items i WHERE i.tenant_id = a.tenant_id ORDER BY price DESC, id LIMIT 2) x ORDER BY 1, 2;
SELECT a.tenant_id, x.n FROM accounts a LEFT JOIN LATERAL (SELECT count(*) n FROM items i WHERE i.tenant_id = a.tenant_id AND i.price > a.credit) x ON true ORDER BY 1;
SELECT a.tenant_id, x.id FROM accounts a LEFT JOIN LATERAL (SELECT id FROM items i WHERE i.qty = a.region_id ORDER BY id LIMIT 1) x ON x.id > 10 ORDER BY 1;
SELECT r.region, x.* FROM regions r, LATERAL (SELECT count(*), max(credit) FROM accounts a WHERE a.region_id = r.region_id) x ORDER BY r.region_id;
SELECT l.id, x.c FROM locals l, LATERAL (SELECT count(*) c FROM events e WHERE e.tenant_id = l.tenant_id) x ORDER BY 1;
SELECT g, (SELECT count(*) FROM events WHERE tenant_id = g) FROM generate_series(1, 5) g ORDER BY 1;
SELECT event_id, CASE WHEN EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = e.tenant_id AND a.credit > 1500) THEN 'rich' ELSE 'poor' END FROM events e WHERE event_id < 20 ORDER BY 1;
SELECT ARRAY(SELECT event_id FROM events e WHERE e.tenant_id = a.tenant_id ORDER BY 1 LIMIT 3) FROM accounts a ORDER BY tenant_id;
SELECT count(*) FROM events WHERE event_id IN (SELECT id FROM items WHERE tenant_id IN (SELECT tenant_id FROM accounts WHERE region_id IN (SELECT region_id FROM regions WHERE factor > 0)));
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM items), (SELECT count(*) FROM nothing);
SELECT count(*) FROM (SELECT 1 FROM events OFFSET 0) x;
SELECT kind, count(*) FROM events e GROUP BY kind HAVING count(*) > (SELECT count(*) FROM items WHERE label IS NULL) ORDER BY 1;
SELECT tenant_id, count(*) FROM events GROUP BY tenant_id ORDER BY (SELECT name FROM accounts a WHERE a.tenant_id = events.tenant_id) NULLS FIRST, tenant_id;
SELECT event_id FROM events ORDER BY event_id LIMIT (SELECT 3) OFFSET (SELECT count(*) FROM nothing);
SELECT x.a, y.b FROM (SELECT max(event_id) a FROM events) x, (SELECT min(id) b FROM items) y;
-- sub-queries inside functions and VALUES of FROM
SELECT count(*) FROM accounts a, unnest(ARRAY(SELECT tenant_id FROM accounts)) x;
SELECT count(*) FROM accounts d, (VALUES ((SELECT count(*) FROM events))) v(c) WHERE v.c = 600;
SELECT a.tenant_id, count(x) FROM accounts a LEFT JOIN LATERAL unnest(ARRAY(SELECT event_id FROM events e WHERE e.tenant_id = a.tenant_id)) x ON true GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM accounts a, generate_series(1, (SELECT count(*)::int FROM accounts WHERE tenant_id = 3)) g WHERE a.tenant_id = 3;
SELECT count(*) FROM regions r, unnest(ARRAY(SELECT tenant_id FROM accounts)) x;
-- sub-queries that are sorted, grouped or made distinct by
SELECT DISTINCT (SELECT max(e.kind) FROM events e WHERE e.tenant_id = a.tenant_id) x FROM accounts a WHERE a.tenant_id IN (2, 4, 6) ORDER BY 1;
SELECT DISTINCT (SELECT count(*) FILTER (WHERE a.region_id = 2) FROM accounts b WHERE b.tenant_id = 1) FROM accounts a ORDER BY 1;
SELECT (SELECT max(e.kind) FROM events e WHERE e.tenant_id = a.tenant_id) x, count(*) FROM accounts a WHERE tenant_id = 4 GROUP BY 1 ORDER BY 1;
SELECT (SELECT max(e.kind) FROM events e WHERE e.tenant_id = a.tenant_id) x, count(*) FROM accounts a GROUP BY 1 ORDER BY 1;
SELECT tenant_id, 'cz~0~1~', '"cz~0~1~' FROM accounts WHERE tenant_id = 4;
-- sub-queries on local tables that folding removes from the conditions
SELECT tenant_id FROM accounts WHERE (SELECT remark FROM locals LIMIT 1) ~>=~ NULL::text;
SELECT count(*) FROM accounts WHERE false AND EXISTS (SELECT 1 FROM locals);
SELECT count(*) FROM accounts WHERE tenant_id = 4 AND (true OR EXISTS (SELECT 1 FROM locals));
SELECT count(*) FROM accounts WHERE tenant_id IN (SELECT tenant_id FROM events) AND (true OR EXISTS (SELECT 1 FROM items));
SELECT count(*) FROM accounts a LEFT JOIN events e ON a.tenant_id = e.tenant_id AND (false AND EXISTS (SELECT 1 FROM locals));
-- values of outer rows and of initial sub-plans that leave one shard
SELECT a.tenant_id, (SELECT max(e.kind) FROM events e WHERE e.tenant_id = a.tenant_id AND pg_typeof(e.kind) IS NOT NULL) FROM accounts a ORDER BY 1;
SELECT e.event_id, (SELECT x.name FROM accounts x WHERE x.tenant_id = e.tenant_id AND pg_typeof(x.name) IS NOT NULL) FROM events e WHERE e.event_id < 80 ORDER BY 1;
SELECT (SELECT max((SELECT a.region_id FROM accounts a WHERE a.tenant_id = e.tenant_id))) FROM events e;
SELECT count(*) FROM events WHERE tenant_id = (SELECT max(tenant_id) FROM locals);
SELECT count(*) FROM events WHERE tenant_id = (SELECT min(tenant_id) FROM locals WHERE false);
SELECT l.id, EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = l.tenant_id AND a.region_id >= l.id % 3) FROM locals l ORDER BY 1;
SELECT l.id, x.n FROM locals l LEFT JOIN LATERAL (SELECT count(*) AS n FROM events e WHERE e.tenant_id = l.tenant_id AND e.event_id > l.id) x ON true ORDER BY 1;
SELECT l.id FROM locals l WHERE l.tenant_id IN (SELECT a.tenant_id FROM accounts a WHERE a.tenant_id = l.id OR a.region_id = l.id) ORDER BY 1;
BEGIN;
UPDATE locals SET remark = (SELECT name FROM accounts a WHERE a.tenant_id = locals.tenant_id);
SELECT * FROM locals ORDER BY id;
ROLLBACK;
-- aggregates that are looked up from several items of FROM, or above an outer join
SELECT a.tenant_id, r.region, (SELECT max(i.id) FROM items i WHERE i.tenant_id = a.tenant_id AND i.qty = r.region_id) FROM accounts a, regions r ORDER BY 1, 2;
SELECT a.tenant_id, e.event_id, (SELECT max(i.price) FROM items i, names n WHERE i.tenant_id = a.tenant_id AND i.qty = e.tenant_id AND n.n = 3) FROM accounts a, events e WHERE e.event_id < 30 ORDER BY 1, 2;
SELECT a.tenant_id, e.event_id, r.region FROM accounts a, regions r, events e WHERE e.event_id < 30 AND coalesce((SELECT min(i.id) FROM items i WHERE i.tenant_id = a.tenant_id AND i.qty = e.tenant_id), 0) < r.region_id * 9 ORDER BY 1, 2, 3;
SELECT a.tenant_id, x.event_id, (SELECT max(i.id) FROM items i WHERE i.tenant_id = a.tenant_id AND i.qty = x.tenant_id) FROM accounts a, LATERAL (SELECT * FROM events e WHERE e.tenant_id = a.region_id ORDER BY event_id LIMIT 2) x ORDER BY 1, 2;
SELECT e.event_id, a.tenant_id, (SELECT sum(i.qty) FROM items i WHERE i.tenant_id = a.tenant_id) FROM events e LEFT JOIN accounts a ON a.tenant_id = e.event_id AND a.credit > 100 WHERE e.event_id < 50 ORDER BY 1, 2;
SELECT e.event_id, a.tenant_id, (SELECT sum(i.qty) FROM items i WHERE i.tenant_id = a.tenant_id AND i.id > r.region_id) FROM regions r, events e FULL JOIN accounts a ON a.tenant_id = e.event_id WHERE r.region_id = 2 ORDER BY 1, 2;
SELECT e.event_id, a.c, (SELECT min(i.id) FROM (SELECT count(*) FROM nothing) z CROSS JOIN items i WHERE i.tenant_id = a.c) FROM events e LEFT JOIN (SELECT region_id AS c FROM accounts EXCEPT SELECT 3) a ON a.c IN (1, 2) WHERE e.event_id < 9 ORDER BY 1, 2;
CREATE TABLE words (s text, id int, k int);
CREATE TABLE more_words (id int, s text, k int);
SELECT create_distributed_table('words', 's');
SELECT create_distributed_table('more_words', 'k');
INSERT INTO words SELECT i % 7, i % 5, i FROM generate_series(1, 20) i;
INSERT INTO more_words SELECT i % 4, i % 3, i FROM generate_series(1, 20) i;
ANALYZE words, more_words;
SELECT a.k, b.k, (SELECT min(c.k) FROM more_words c WHERE c.s = a.s AND c.id = b.id) FROM words a, more_words b ORDER BY 1, 2;
SELECT a.k, b.k, x.id, (SELECT min(c.k) FROM more_words c WHERE c.s = a.s AND c.id = b.id) FROM words a, regions r, more_words b LEFT JOIN words x ON x.k = b.k AND x.s < '3' WHERE r.region_id = 2 ORDER BY 1, 2;
SELECT a.k, b.k FROM words a, more_words b WHERE (SELECT min(c.k) FROM more_words c WHERE c.s = a.s AND c.id = b.id) IS DISTINCT FROM a.k ORDER BY 1, 2;
SELECT a.k, b.k, (SELECT sum(c.k) FROM more_words c WHERE c.s = b.s AND c.id = b.id) FROM words a LEFT JOIN more_words b ON a.k = b.k AND b.id < 2 ORDER BY 1, 2;
-- the outer expression first, where only the groups that are asked for are computed
SELECT e.event_id, (SELECT max(f.amount) FROM events f WHERE e.kind = f.kind) FROM events e WHERE e.event_id < 20 ORDER BY 1;
SELECT e.event_id, (SELECT max(f.amount) FROM events f WHERE e.kind = lower(f.kind) AND f.flag = e.flag) FROM events e WHERE e.event_id < 20 ORDER BY 1;
SELECT i.id, (SELECT max(a.name) FROM accounts a WHERE i.qty = a.region_id + 0) FROM items i WHERE i.id < 30 ORDER BY 1;
SELECT i.id, (SELECT count(j.price) FROM items j WHERE i.qty::int8 = j.qty AND i.label = j.label || '') FROM items i WHERE i.id < 30 ORDER BY 1;
SELECT i.id, (SELECT min(j.price) FROM items j WHERE i.qty::int8 = j.qty AND j.label || '' = i.label) FROM items i WHERE i.id < 30 ORDER BY 1;
