"""Sub-queries: LATERAL, correlated ones, EXISTS and IN with NULLs, CTEs of all kinds."""

LATERAL = """
SELECT a.id, x.id FROM [A] a, LATERAL (SELECT b.id FROM [B] b WHERE [eab] AND [pb]) x WHERE [pa]
SELECT a.id, x.id FROM [A] a LEFT JOIN LATERAL (SELECT b.id FROM [B] b WHERE [jab] AND [pb]) x ON true WHERE [pa]
SELECT a.id, x.id FROM [A] a, LATERAL (SELECT b.id FROM [B] b WHERE [eab] ORDER BY b.id DESC LIMIT {{1|int}}) x
SELECT a.id, x.c, x.m FROM [A] a, LATERAL (SELECT count(*) AS c, max(b.id) AS m FROM [B] b WHERE [jab]) x WHERE [pa]
SELECT a.id, x.c FROM [A] a LEFT JOIN LATERAL (SELECT b.k, count(*) AS c FROM [B] b WHERE [eab] GROUP BY b.k) x ON x.c > 1
SELECT a.id, x.v FROM [A] a, LATERAL (SELECT a.x + b.x AS v FROM [B] b WHERE b.k = a.k) x WHERE [pa]
SELECT a.id, x.v, y.w FROM [A] a, LATERAL (SELECT b.id AS v FROM [B] b WHERE [eab] ORDER BY b.id LIMIT 1) x, LATERAL (SELECT c.id AS w FROM [C] c WHERE c.id = x.v) y
SELECT a.id, g FROM [A] a, LATERAL generate_series(1, a.x) g WHERE [pa]
SELECT a.id, v FROM [A] a, LATERAL (VALUES (a.k), (a.x)) t(v) WHERE [pa]
SELECT a.id, x.s FROM [A] a CROSS JOIN LATERAL (SELECT r.s FROM [R] r WHERE r.id = a.x) x
SELECT a.id, x.s FROM [A] a CROSS JOIN LATERAL (SELECT l.s FROM la l WHERE l.id = a.id) x WHERE [pa]
SELECT r.id, x.c FROM [R] r, LATERAL (SELECT count(*) AS c FROM [A] a WHERE [era]) x
SELECT l.id, x.id FROM la l LEFT JOIN LATERAL (SELECT a.id FROM [A] a WHERE [ela] ORDER BY a.id LIMIT 2) x ON true
SELECT a.id, x.id FROM [H] a JOIN LATERAL (SELECT b.id, b.k FROM [I] b WHERE b.k = a.k OFFSET 0) x ON x.k = a.k WHERE [pa]
SELECT a.id, x.r FROM [H] a, LATERAL (SELECT b.id, row_number() OVER (ORDER BY b.id) AS r FROM [I] b WHERE b.k = a.k) x WHERE x.id = a.id
SELECT a.id, x.id FROM [A] a, LATERAL (SELECT b.id FROM [B] b WHERE b.k = a.k UNION SELECT c.id FROM [C] c WHERE c.k = a.k) x WHERE a.id < 9
SELECT a.id, x.z FROM [A] a, LATERAL (SELECT a.k AS z) x WHERE [pa]
SELECT a.id, x.z FROM [A] a LEFT JOIN LATERAL (SELECT a.k AS z WHERE a.x > 1) x ON true WHERE [pa]
"""

CORRELATED_WHERE = """
SELECT a.id FROM [A] a WHERE a.x = (SELECT max(b.x) FROM [B] b WHERE b.k = a.k)
SELECT a.id FROM [A] a WHERE a.id > (SELECT avg(b.id) FROM [B] b WHERE [jab] AND [pb])
SELECT a.id FROM [A] a WHERE (SELECT count(*) FROM [B] b WHERE [eab] AND [pb]) > {{1|int}}
SELECT a.id FROM [A] a WHERE a.s = (SELECT b.s FROM [B] b WHERE b.k = a.k ORDER BY b.id LIMIT 1)
SELECT a.id FROM [A] a WHERE (SELECT b.b FROM [B] b WHERE b.id = a.id) IS NOT FALSE AND [pa]
SELECT count(*) FROM [A] a WHERE a.id < (SELECT sum(b.x) FROM [B] b WHERE [eab])
SELECT a.id FROM [A] a JOIN [C] c ON [eac] WHERE a.id <= (SELECT count(*) FROM [B] b WHERE b.k = a.k OR b.k = c.k) AND a.id < 9
SELECT a.id FROM [A] a WHERE a.k = (SELECT min(b.k) FROM [B] b)
SELECT a.id FROM [A] a WHERE a.k = (SELECT b.k FROM [B] b WHERE b.id = {{3|int}}) AND [pa]
SELECT a.id FROM [A] a WHERE a.n > (SELECT avg(n) FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE (a.k, a.id) = (SELECT b.k, min(b.id) FROM [B] b WHERE b.k = a.k GROUP BY b.k)
SELECT a.id FROM [A] a WHERE a.x = (SELECT r.x FROM [R] r WHERE r.id = a.k) OR [pa]
SELECT r.id FROM [R] r WHERE (SELECT count(*) FROM [A] a WHERE [era]) > 2
SELECT l.id FROM la l WHERE (SELECT max(a.id) FROM [A] a WHERE [ela]) > l.id
SELECT a.id FROM [A] a WHERE a.id = (SELECT max(l.id) FROM la l WHERE [eal])
SELECT a.id FROM [A] a WHERE a.id IN (SELECT max(b.id) FROM [B] b GROUP BY b.k HAVING count(*) > (SELECT count(*) FROM [C] c WHERE c.k = b.k))
SELECT a.id FROM [A] a WHERE (SELECT (SELECT count(*) FROM [C] c WHERE c.k = b.k AND c.x = a.x) FROM [B] b WHERE b.id = a.id) > 0
SELECT a.k, count(*) FROM [A] a GROUP BY a.k HAVING count(*) > (SELECT count(*) FROM [B] b WHERE b.k = a.k)
SELECT ARRAY(SELECT b.id FROM [B] b WHERE b.k = 1 ORDER BY b.id) FROM [A] a WHERE a.id = ANY (ARRAY(SELECT c.id FROM [C] c WHERE c.x = a.x))
"""

CORRELATED_SELECT = """
SELECT a.id, (SELECT count(*) FROM [B] b WHERE [jab]) FROM [A] a WHERE [pa]
SELECT a.id, (SELECT b.s FROM [B] b WHERE b.k = a.k ORDER BY b.id LIMIT 1) FROM [A] a
SELECT a.id, (SELECT max(b.id) FROM [B] b WHERE [eab] AND [pb]) AS m FROM [A] a ORDER BY m NULLS FIRST, a.id LIMIT 8
SELECT a.id, EXISTS (SELECT FROM [B] b WHERE [eab]) FROM [A] a WHERE [pa]
SELECT a.id, a.k IN (SELECT b.k FROM [B] b WHERE [pb]) FROM [A] a
SELECT a.id, ARRAY(SELECT b.id FROM [B] b WHERE b.k = a.k ORDER BY b.id) FROM [A] a WHERE [pa]
SELECT a.id, (SELECT sum(b.n) FROM [B] b) FROM [A] a WHERE [pa]
SELECT a.id, (SELECT min(r.s COLLATE "C") FROM [R] r WHERE [ear]) FROM [A] a
SELECT a.id, (SELECT l.s FROM la l WHERE l.id = a.id) FROM [A] a WHERE [pa]
SELECT r.id, (SELECT count(*) FROM [A] a WHERE [era]) FROM [R] r
SELECT l.id, (SELECT count(*) FROM [A] a WHERE a.k = l.k AND [pa]) FROM la l
SELECT a.k, sum((SELECT count(*) FROM [B] b WHERE b.k = a.k)) FROM [A] a GROUP BY a.k
SELECT a.k, (SELECT count(*) FROM [B] b WHERE b.k = a.k) FROM [A] a GROUP BY a.k
SELECT a.x, (SELECT max(b.id) FROM [B] b WHERE b.x = a.x), count(*) FROM [A] a GROUP BY a.x
SELECT max((SELECT max(b.id) FROM [B] b WHERE [eab])) FROM [A] a
SELECT a.id, (SELECT string_agg(b.s, ',' ORDER BY b.id) FROM [B] b WHERE b.k = a.k) FROM [A] a WHERE [pa]
SELECT a.id, (SELECT (SELECT count(*) FROM [C] c WHERE c.k = b.k) FROM [B] b WHERE b.id = a.id) FROM [A] a
SELECT CASE WHEN a.x > 1 THEN (SELECT max(b.id) FROM [B] b WHERE b.k = a.k) ELSE -1 END, a.id FROM [A] a
SELECT a.id, (SELECT row_to_json(t) FROM (SELECT b.id, b.s AS name FROM [B] b WHERE b.k = a.k ORDER BY b.id LIMIT 1) t) FROM [A] a WHERE [pa]
SELECT (SELECT a.k), (SELECT a.id WHERE a.x > 0), a.id FROM [A] a
"""

NULLS = """
SELECT a.id FROM [A] a WHERE a.k IN (SELECT NULL::int UNION ALL SELECT b.k FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.k NOT IN (SELECT b.k FROM [B] b)
SELECT a.id FROM [A] a WHERE a.x NOT IN (SELECT b.x FROM [B] b WHERE b.k = {{1|int}})
SELECT a.id FROM [A] a WHERE (a.k IN (SELECT b.k FROM [B] b WHERE [pb])) IS NULL
SELECT a.id FROM [A] a WHERE (a.x NOT IN (SELECT b.x FROM [B] b WHERE b.k = a.k)) IS NOT FALSE
SELECT a.id, a.k = ANY (SELECT b.k FROM [B] b WHERE [pb]) AS u FROM [A] a
SELECT a.id, a.x > ALL (SELECT b.x FROM [B] b WHERE b.k = a.k) AS u FROM [A] a
SELECT count(*) FROM [A] a WHERE a.k NOT IN (1, 2, {{NULL|int}})
SELECT count(*) FROM [A] a WHERE a.k IN (1, {{NULL|int}})
SELECT count(*) FROM [A] a WHERE (a.k IN (1, {{NULL|int}})) IS NULL
SELECT a.id FROM [A] a WHERE a.k IS NOT DISTINCT FROM {{NULL|int}}
SELECT a.id, b.id FROM [A] a JOIN [B] b ON a.k IS NOT DISTINCT FROM b.k WHERE [pa]
SELECT a.id FROM [A] a WHERE a.k IS NULL AND EXISTS (SELECT FROM [B] b WHERE b.k IS NULL AND b.x = a.x)
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b WHERE b.k = a.k AND b.x IS NULL)
SELECT a.id FROM [A] a WHERE (a.k, a.s) NOT IN (SELECT b.k, b.s FROM [B] b)
SELECT a.id FROM [A] a WHERE ROW(a.k, a.x) IS NULL OR ROW(a.k, a.x) IS NOT NULL
SELECT a.k, count(*), count(a.x), count(a.k) FROM [A] a WHERE a.k IS NULL GROUP BY a.k
SELECT a.id FROM [A] a WHERE a.k IN (SELECT l.k FROM la l) OR a.k NOT IN (SELECT r.k FROM [R] r)
SELECT a.id FROM [A] a WHERE EXISTS (SELECT b.k FROM [B] b WHERE [pb]) AND [pa]
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT b.k FROM [B] b WHERE [pb]) AND [pa]
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b WHERE [pb]) IS UNKNOWN
SELECT a.id, nullif(a.k, 1), coalesce(a.k, a.x, -1) FROM [A] a WHERE nullif(a.k, 1) IS NULL
"""

CTE = """
WITH w AS (SELECT * FROM [A] a WHERE [pa]) SELECT id, k, s FROM w
WITH w AS (SELECT * FROM [A] a WHERE [pa]) SELECT p.id, q.id FROM w p JOIN w q ON p.k = q.k
WITH w AS MATERIALIZED (SELECT k, id FROM [A] a WHERE [pa]) SELECT w.id, b.id FROM w JOIN [B] b ON w.k = b.k
WITH w AS NOT MATERIALIZED (SELECT k, id FROM [A] a) SELECT p.id, q.id FROM w p JOIN w q USING (k) WHERE p.k = {{1|int}}
WITH w AS (SELECT k, count(*) AS c FROM [A] a GROUP BY k) SELECT w.k, c, b.id FROM w JOIN [B] b ON b.k = w.k
WITH w AS (SELECT k, count(*) AS c FROM [A] a GROUP BY k) SELECT k FROM w WHERE c = (SELECT max(c) FROM w)
WITH w AS (SELECT x, sum(n) AS c FROM [A] a GROUP BY x) SELECT p.x, p.c, q.c FROM w p LEFT JOIN w q ON q.x = p.x + 1
WITH v AS (SELECT * FROM [A] a WHERE [pa]), w AS (SELECT v.id, b.k FROM v JOIN [B] b ON v.k = b.k) SELECT k, count(*) FROM w GROUP BY k
WITH v AS (SELECT * FROM [A] a), w AS (SELECT * FROM [B] b) SELECT v.id, w.id FROM v JOIN w ON v.id = w.id UNION ALL SELECT v.id, NULL FROM v WHERE v.k = 1
WITH w AS (SELECT * FROM [A] a ORDER BY id LIMIT {{6|int}}) SELECT w.id, b.id FROM w LEFT JOIN [B] b ON b.k = w.k
WITH w AS (SELECT * FROM [A] a) SELECT * FROM (WITH w AS (SELECT id FROM [B] b WHERE [pb]) SELECT * FROM w) z WHERE id IN (SELECT id FROM w)
WITH w (p, q) AS (SELECT id, s FROM [A] a WHERE [pa]) SELECT q, count(p) FROM w GROUP BY q
SELECT a.id FROM [A] a WHERE a.k IN (WITH w AS (SELECT b.k FROM [B] b WHERE [pb]) SELECT k FROM w)
SELECT a.id, (WITH w AS (SELECT b.id FROM [B] b WHERE b.k = a.k) SELECT max(id) FROM w) FROM [A] a
WITH w AS MATERIALIZED (SELECT s, id FROM [A] a) SELECT a.id, w.id FROM [H] a JOIN w ON w.id = a.id WHERE EXISTS (SELECT FROM w w2 WHERE w2.s = a.s)
WITH w AS (SELECT id, k FROM la) SELECT a.id, w.id FROM [A] a JOIN w ON w.k = a.k
WITH w AS (SELECT r.id, r.s FROM [R] r) SELECT a.id, w.s FROM [A] a LEFT JOIN w ON w.id = a.x
WITH w AS (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) SELECT a.id, w.column2 FROM [A] a JOIN w ON w.column1 = a.k
WITH w AS (SELECT DISTINCT k FROM [A] a) SELECT (SELECT count(*) FROM w), b.id FROM [B] b WHERE b.k IN (SELECT k FROM w)
WITH w AS (SELECT a, a.k AS kk FROM [A] a) SELECT (w.a).id, kk FROM w WHERE (w.a).x > 1
"""

MODIFYING = """
BEGIN ;; @may refuse WITH w AS (INSERT INTO [H] (k, id, s) VALUES (1, 101, 'new'), (NULL, 102, 'new') RETURNING id, k) SELECT * FROM w ;; SELECT id, k, s FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (INSERT INTO [H] (k, id) SELECT k, id + 100 FROM [B] b WHERE [pb] RETURNING id, k) SELECT count(*), count(k) FROM w ;; SELECT id, k FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (INSERT INTO [H] (k, id) VALUES (1, 103) RETURNING id) SELECT count(*) FROM [H] a WHERE [pa] ;; SELECT count(*) FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (UPDATE [H] a SET s = 'upd' WHERE [pa] RETURNING a.id) SELECT a.id, a.s FROM [H] a ;; SELECT id, s FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (UPDATE [H] a SET x = x + 1 WHERE [pa] RETURNING a.id, a.x) SELECT w.id, w.x, a.x FROM w JOIN [H] a USING (id) ;; SELECT id, x FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (DELETE FROM [H] a WHERE [pa] RETURNING a.id) SELECT count(*) FROM [H] ;; SELECT count(*) FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (DELETE FROM [H] a WHERE [pa] RETURNING a.k, a.id, a.s) INSERT INTO la (id, k, s) SELECT id + 200, k, s FROM w ;; SELECT id, k, s FROM la ;; SELECT count(*) FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (DELETE FROM la RETURNING id, k, s) INSERT INTO [H] (id, k, s) SELECT id + 200, k, s FROM w ;; SELECT id, k, s FROM [H] ;; SELECT count(*) FROM la ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (INSERT INTO [H] (k, id) VALUES (2, 104) RETURNING id, k), v AS (SELECT count(*) AS c FROM [H]) SELECT w.id, v.c FROM w, v ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (UPDATE la SET x = 77 RETURNING id, k) SELECT a.id, w.id FROM [A] a JOIN w ON w.k = a.k JOIN la l ON l.id = w.id AND l.x <> 77 WHERE [pa] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (INSERT INTO la (id, k) SELECT id + 300, k FROM [A] a WHERE [pa] RETURNING id) SELECT count(*), max(id) FROM w ;; SELECT id, k FROM la ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (SELECT k, id FROM [H] a WHERE [pa]) INSERT INTO [I] (k, id) SELECT k, id + 400 FROM w ;; SELECT id, k FROM [I] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (SELECT k FROM [H] a WHERE [pa]) DELETE FROM [I] b USING w WHERE w.k = b.k ;; SELECT id FROM [I] ;; ROLLBACK
BEGIN ;; @may refuse WITH w AS (UPDATE [R] r SET s = 'up' WHERE [pr] RETURNING r.id, r.s) SELECT a.id, r.s, w.s FROM [H] a JOIN w ON w.id = a.x JOIN [R] r ON r.id = w.id ;; SELECT id, s FROM [R] ;; ROLLBACK
BEGIN ;; @may refuse WITH v AS (INSERT INTO [H] (k, id) VALUES (1, 105) RETURNING id), w AS (DELETE FROM [I] b WHERE [pb] RETURNING b.id) SELECT (SELECT count(*) FROM v), (SELECT count(*) FROM w), (SELECT count(*) FROM [H]), (SELECT count(*) FROM [I]) ;; SELECT count(*) FROM [I] ;; ROLLBACK
"""

RECURSIVE = """
WITH RECURSIVE t(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM t WHERE i < {{4|int}}) SELECT a.id, i FROM [A] a JOIN t ON t.i = a.k
WITH RECURSIVE t(id, k) AS (SELECT id, k::int FROM [A] a WHERE id = {{1|int}} UNION SELECT b.id, b.k::int FROM [B] b JOIN t ON b.id = t.k + 1) SELECT * FROM t
WITH RECURSIVE t(id, d) AS (SELECT a.id, 0 FROM [A] a WHERE [pa] AND a.id < 5 UNION ALL SELECT b.id, t.d + 1 FROM t JOIN [B] b ON b.x = t.id WHERE t.d < 2) SELECT id, d, count(*) FROM t GROUP BY id, d
WITH RECURSIVE t(k, l) AS (SELECT k, 0 FROM [H] a WHERE k = {{1|int}} UNION SELECT t.k, l + 1 FROM t JOIN [I] b ON b.k = t.k WHERE l < 3) SELECT * FROM t
WITH RECURSIVE t(n) AS (SELECT min(id) FROM [A] a WHERE [pa] UNION ALL SELECT (SELECT min(id) FROM [A] b WHERE b.id > t.n) FROM t WHERE n IS NOT NULL) SELECT n FROM t
WITH RECURSIVE t(id, p) AS (SELECT id, ARRAY[id] FROM [R] r WHERE [pr] UNION ALL SELECT a.id, p || a.id FROM t JOIN [A] a ON a.x = t.id WHERE cardinality(p) < 3) SELECT * FROM t
WITH RECURSIVE t(id, l) AS (SELECT id, 1 FROM la WHERE id = 1 UNION ALL SELECT a.id, l + 1 FROM t JOIN [A] a ON a.id = t.id + 1 WHERE l < 5) SELECT * FROM t
WITH RECURSIVE t(id, k) AS (SELECT id, k::int FROM [A] a WHERE id < 4 UNION ALL SELECT b.id, b.k::int FROM [B] b, t WHERE b.id = t.id + 5) SEARCH BREADTH FIRST BY id SET o SELECT id, k FROM t ORDER BY o, k
WITH RECURSIVE t(id, x) AS (SELECT id, x FROM [A] a WHERE id < 4 UNION ALL SELECT b.id, b.x FROM [B] b, t WHERE b.id = t.x) CYCLE id SET c USING path SELECT id, c FROM t
WITH RECURSIVE w AS (SELECT k, id FROM [A] a WHERE [pa]), t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < (SELECT count(*) FROM w) AND n < 5) SELECT n FROM t
SELECT a.id, (WITH RECURSIVE t(n) AS (SELECT a.k UNION ALL SELECT n - 1 FROM t WHERE n > 0) SELECT count(*) FROM t) FROM [A] a WHERE [pa]
SELECT a.id FROM [A] a WHERE a.k IN (WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 2 FROM t WHERE n < {{5|int}}) SELECT n FROM t)
WITH RECURSIVE t(k, c) AS (SELECT k, count(*) FROM [A] a GROUP BY k UNION ALL SELECT t.k + 1, c FROM t WHERE t.k < 3) SELECT k, sum(c) FROM t GROUP BY k
"""

CLASSES = {'lateral': LATERAL, 'correlated_where': CORRELATED_WHERE, 'correlated_select': CORRELATED_SELECT,
           'nulls': NULLS, 'cte': CTE, 'cte_modifying': MODIFYING, 'cte_recursive': RECURSIVE}
