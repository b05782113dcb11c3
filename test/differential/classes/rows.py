"""Rows as such: samples, locks, system columns, whole rows, LIMIT in all forms, parameters."""

SAMPLE = """
SELECT * FROM [A] a TABLESAMPLE SYSTEM (100) WHERE [pa]
SELECT * FROM [A] a TABLESAMPLE BERNOULLI ({{100|real}}) REPEATABLE (1) WHERE [pa]
SELECT count(*) FROM [A] a TABLESAMPLE BERNOULLI (0)
SELECT count(*) FROM [A] a TABLESAMPLE SYSTEM (0) REPEATABLE ({{3|float8}})
SELECT a.id, b.id FROM [A] a TABLESAMPLE SYSTEM (100) JOIN [B] b ON [eab] WHERE [pa]
SELECT a.id, b.id FROM [A] a TABLESAMPLE SYSTEM (100) LEFT JOIN [B] b TABLESAMPLE BERNOULLI (100) ON [eab] AND [pb]
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b TABLESAMPLE BERNOULLI (0) ON [eab] WHERE [pa]
SELECT k, count(*) FROM [A] a TABLESAMPLE SYSTEM (100) REPEATABLE (7) GROUP BY k
SELECT count(*) BETWEEN 0 AND (SELECT count(*) FROM [A]) FROM [A] a TABLESAMPLE BERNOULLI (50)
SELECT x, sum(n) FROM (SELECT * FROM [A] a TABLESAMPLE SYSTEM (100)) z GROUP BY x
WITH w AS (SELECT * FROM [A] a TABLESAMPLE BERNOULLI (100)) SELECT p.id FROM w p JOIN w q USING (id)
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b TABLESAMPLE SYSTEM (100) WHERE [pb])
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b TABLESAMPLE BERNOULLI (0) WHERE b.k = a.k) AND [pa]
SELECT id FROM [A] a TABLESAMPLE SYSTEM (100) ORDER BY id LIMIT {{3|int}}
SELECT a.id, r.id FROM [H] a JOIN [R] r TABLESAMPLE BERNOULLI (100) ON r.id = a.x
"""

STRENGTHS = ['FOR UPDATE', 'FOR NO KEY UPDATE', 'FOR SHARE', 'FOR KEY SHARE', 'FOR UPDATE SKIP LOCKED', 'FOR UPDATE NOWAIT', 'FOR SHARE SKIP LOCKED']
LOCKING = ['BEGIN ;; ' + text % lock + ' ;; ROLLBACK' for lock in STRENGTHS for text in (
    'SELECT id, k, s FROM [A] a WHERE [pa] %s',
    'SELECT id FROM [A] a WHERE [pa] ORDER BY id LIMIT {{3|int}} %s',
    'SELECT a.id, b.id FROM [H] a JOIN [I] b ON a.k = b.k WHERE [pa] %s',
    'SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE [pa] %s',
    'SELECT a.id, r.id FROM [H] a JOIN [R] r ON r.id = a.x WHERE [pa] %s')] + """
BEGIN ;; SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE [pa] FOR UPDATE OF a ;; ROLLBACK
BEGIN ;; SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [eab] WHERE [pa] FOR SHARE OF a ;; ROLLBACK
BEGIN ;; SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b WHERE [pb]) FOR UPDATE ;; ROLLBACK
BEGIN ;; SELECT * FROM (SELECT id, k FROM [A] a WHERE [pa] FOR UPDATE) z WHERE id < {{9|int}} ;; ROLLBACK
BEGIN ;; WITH w AS (SELECT id, k FROM [A] a WHERE [pa] FOR UPDATE) SELECT count(*) FROM w ;; ROLLBACK
BEGIN ;; SELECT id FROM [A] a WHERE [pa] FOR UPDATE ;; SELECT id FROM [A] a WHERE [pa] FOR SHARE SKIP LOCKED ;; ROLLBACK
BEGIN ;; SELECT id FROM [A] a WHERE k = 1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED ;; SELECT count(*) FROM [A] ;; ROLLBACK
BEGIN ;; SELECT a FROM [A] a WHERE [pa] FOR UPDATE ;; ROLLBACK
""".strip().split('\n')

SYSTEM = """
SELECT a.tableoid::regclass::text, count(*) FROM [A] a WHERE [pa] GROUP BY a.tableoid
SELECT a.tableoid = '[A]'::regclass, a.id FROM [A] a WHERE [pa]
SELECT tableoid::regclass, id FROM [A] a WHERE [pa]
SELECT a.id, c.relname FROM [A] a JOIN pg_class c ON c.oid = a.tableoid WHERE [pa]
SELECT a.tableoid = b.tableoid, a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE [pa]
SELECT a.ctid IS NULL, a.xmin IS NULL, a.id FROM [A] a WHERE [pa]
SELECT ctid, xmin, cmin, xmax, cmax, id FROM [A] a WHERE [pa]
SELECT count(DISTINCT tableoid) FROM [A] a WHERE [pa]
SELECT a.id, b.tableoid::regclass, b.ctid IS NULL FROM [A] a LEFT JOIN [B] b ON [eab] WHERE [pa]
SELECT z.t::regclass, count(*) FROM (SELECT tableoid AS t FROM [A] UNION ALL SELECT tableoid FROM [B]) z GROUP BY 1
SELECT a.id FROM [A] a WHERE a.tableoid = '[B]'::regclass OR [pa]
SELECT a.id, (SELECT max(b.tableoid::regclass::text) FROM [B] b WHERE b.k = a.k) FROM [A] a WHERE [pa]
SELECT max(tableoid::regclass::text), k FROM [A] a GROUP BY k
SELECT id FROM [A] a WHERE ctid IS NOT NULL AND [pa] ORDER BY id LIMIT {{4|int}}
"""

WHOLE = """
SELECT a FROM [A] a WHERE [pa]
SELECT a, a.id FROM [A] a WHERE [pa] ORDER BY a.id LIMIT {{5|int}}
SELECT row_to_json(a) FROM [A] a WHERE [pa]
SELECT to_jsonb(a) - 'n' FROM [A] a WHERE [pa]
SELECT a.id, row_to_json(q) FROM [A] a LEFT JOIN [B] q ON a.id = q.id AND [pq]
SELECT a, q FROM [A] a JOIN [B] q ON a.id = q.id WHERE [pa]
SELECT row_to_json(z) FROM (SELECT k, s AS "Name", n + 1 AS total FROM [A] a WHERE [pa]) z
SELECT json_agg(z ORDER BY id) FROM (SELECT id, x AS xx, d FROM [A] a WHERE [pa]) z
SELECT z.k, json_agg(z ORDER BY z.id) FROM (SELECT k, id, s AS t FROM [A] a) z GROUP BY z.k
SELECT row_to_json(z) FROM (SELECT a.id, b.s AS bs FROM [A] a JOIN [B] b ON [eab] WHERE [pa]) z
SELECT (a).id, (a).s FROM (SELECT a FROM [A] a WHERE [pa]) z
SELECT a IS NULL, a IS NOT NULL, a.id FROM [A] a
SELECT q IS NULL, q IS NOT NULL, a.id FROM [A] a LEFT JOIN [B] q ON a.id = q.id AND [pq]
SELECT count(a), count(DISTINCT a) FROM [A] a WHERE [pa]
SELECT count(*) FROM [A] a WHERE a = a
SELECT row(a.k, a.s), row_to_json(row(a.k, a.x)) FROM [A] a WHERE [pa]
SELECT array_agg(a ORDER BY a.id) FROM [A] a WHERE [pa]
SELECT max(a.id), (array_agg(a ORDER BY a.id))[1] FROM [A] a WHERE [pa] GROUP BY a.k
SELECT a::text, pg_typeof(a.k) FROM [A] a WHERE [pa]
SELECT j.id, j.s FROM [A] a, jsonb_populate_record(NULL::[A], to_jsonb(a)) j WHERE [pa]
SELECT a.id, (SELECT row_to_json(q) FROM [B] q WHERE q.id = a.id) FROM [A] a WHERE [pa]
SELECT row_to_json(g) FROM (SELECT k, count(*) AS c, max(s COLLATE "C") AS "Max S" FROM [A] a GROUP BY k) g
SELECT row_to_json(w) FROM (WITH w AS (SELECT k AS kk, id FROM [A] a WHERE [pa]) SELECT * FROM w) w
SELECT row_to_json(j) FROM ([A] a JOIN (SELECT id, k AS bk FROM [B]) b USING (id)) AS j WHERE j.id < {{6|int}}
"""

TIES = """
SELECT k FROM [A] a WHERE [pa] ORDER BY k FETCH FIRST ({{3|int}}) ROWS WITH TIES
SELECT id, x FROM [A] a ORDER BY x NULLS FIRST FETCH FIRST 2 ROWS WITH TIES
SELECT id, s FROM [A] a WHERE [pa] ORDER BY s COLLATE "C" DESC FETCH FIRST ROW WITH TIES
SELECT k FROM [A] a ORDER BY k DESC NULLS LAST OFFSET {{2|int}} FETCH NEXT 2 ROWS WITH TIES
SELECT x, count(*) FROM [A] a GROUP BY x ORDER BY count(*) DESC FETCH FIRST 1 ROW WITH TIES
SELECT k, count(*) FROM [A] a WHERE [pa] GROUP BY k ORDER BY 2 FETCH FIRST 2 ROWS WITH TIES
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] ORDER BY a.k, a.x FETCH FIRST 3 ROWS WITH TIES
SELECT DISTINCT x, b FROM [A] a ORDER BY x FETCH FIRST 2 ROWS WITH TIES
SELECT * FROM (SELECT id, x FROM [A] a ORDER BY x FETCH FIRST 3 ROWS WITH TIES) z WHERE id > {{3|int}}
SELECT r.id, z.id FROM [R] r, LATERAL (SELECT a.id FROM [A] a WHERE [era] ORDER BY a.x FETCH FIRST 1 ROW WITH TIES) z
SELECT id FROM [A] a WHERE x IN (SELECT b.x FROM [B] b ORDER BY b.x FETCH FIRST 4 ROWS WITH TIES)
SELECT k FROM [A] a UNION ALL SELECT k FROM [B] b ORDER BY 1 FETCH FIRST ({{2|int}}) ROWS WITH TIES
SELECT id, x FROM [A] a ORDER BY x FETCH FIRST 0 ROWS WITH TIES
"""

LIMITS = """
SELECT id FROM [A] a WHERE [pa] ORDER BY id LIMIT {{4|int}}
SELECT id FROM [A] a WHERE [pa] ORDER BY id DESC LIMIT 3 OFFSET {{2|bigint}}
SELECT id FROM [A] a ORDER BY id LIMIT (SELECT count(*) / 4 FROM [B] b WHERE [pb])
SELECT id FROM [A] a ORDER BY id OFFSET (SELECT max(x) FROM [B] b) LIMIT 3
SELECT id FROM [A] a ORDER BY id LIMIT (SELECT min(id) + 1 FROM la)
SELECT id FROM [A] a ORDER BY id LIMIT ALL
SELECT id FROM [A] a WHERE [pa] ORDER BY id LIMIT {{NULL|int}}
SELECT id FROM [A] a ORDER BY id LIMIT 0
@count SELECT id FROM [A] a LIMIT {{3|int}}
@count SELECT id FROM [A] a WHERE [pa] LIMIT 2 OFFSET 1
@count SELECT a.id FROM [A] a JOIN [B] b ON [eab] LIMIT {{5|int}}
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] ORDER BY a.id, b.id LIMIT 4 OFFSET {{1|int}}
SELECT k, count(*) FROM [A] a GROUP BY k ORDER BY k LIMIT {{3|int}}
SELECT x, sum(n) FROM [A] a GROUP BY x ORDER BY 2 NULLS FIRST, 1 LIMIT 2
SELECT * FROM (SELECT id, k FROM [A] a ORDER BY id LIMIT {{6|int}}) z WHERE z.k = 1
SELECT a.id, z.id FROM [A] a JOIN (SELECT id, k FROM [B] b WHERE [pb] ORDER BY id LIMIT 5) z ON z.k = a.k
SELECT a.id, (SELECT b.id FROM [B] b WHERE b.k = a.k ORDER BY b.id OFFSET {{1|int}} LIMIT 1) FROM [A] a WHERE [pa]
SELECT s, id FROM [A] a ORDER BY s COLLATE "C" NULLS FIRST, id LIMIT {{5|int}}
SELECT n, id FROM [A] a ORDER BY n DESC NULLS LAST, id LIMIT 5
SELECT id FROM [A] a ORDER BY coalesce(x, k), id LIMIT {{5|int}}
SELECT id, id % 3 AS m FROM [A] a ORDER BY m DESC, id LIMIT 5
SELECT id FROM (SELECT id FROM [A] a ORDER BY id DESC LIMIT 5) z ORDER BY id LIMIT {{2|int}}
SELECT max(id) FROM (SELECT id FROM [A] a WHERE [pa] ORDER BY id LIMIT {{3|int}}) z
SELECT id, d, s FROM [A] a ORDER BY d DESC, s COLLATE "C", id OFFSET 3
SELECT b, k, id FROM [A] a WHERE [pa] ORDER BY b NULLS FIRST, k DESC NULLS LAST, id LIMIT 6
SELECT id FROM [A] a ORDER BY k USING >, id LIMIT 4
"""

PARAMETERS = """
SELECT id FROM [A] a WHERE k = {{1|int}}
SELECT id FROM [A] a WHERE k = {{1|smallint}} AND x = {{2|int}}
SELECT id FROM [A] a WHERE k = {{2|int}} + {{1|int}}
SELECT id FROM [A] a WHERE k IN ({{1|int}}, {{2|int}}, {{NULL|int}})
SELECT id FROM [A] a WHERE k = ANY ({{{1,3}|int[]}})
SELECT id FROM [A] a WHERE k = ANY ({{{}|int[]}})
SELECT id FROM [A] a WHERE k = ANY ({{NULL|int[]}})
SELECT id FROM [A] a WHERE s = {{a|text}} AND k = {{1|int}}
SELECT id FROM [A] a WHERE s = {{a|varchar}} OR s = {{B |char(2)}}
SELECT id FROM [A] a WHERE k > {{1|int}} AND k < {{5|int}}
SELECT id FROM [A] a WHERE k BETWEEN {{2|int}} AND {{1|int}}
SELECT id FROM [A] a WHERE k IS NOT DISTINCT FROM {{NULL|int}}
SELECT a.id, b.id FROM [A] a JOIN [B] b ON a.k = b.k WHERE a.k = {{1|int}}
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE b.k = {{1|int}} AND a.x = {{1|int}}
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON a.k = b.k AND b.k = {{1|int}} WHERE [pa]
SELECT a.id FROM [A] a WHERE a.k = {{1|int}} AND EXISTS (SELECT FROM [B] b WHERE b.k = {{1|int}} AND b.x = a.x)
SELECT k, sum(n) + {{1|int}} FROM [A] a WHERE [pa] GROUP BY k HAVING count(*) > {{1|int}}
SELECT {{1|int}}, {{x|text}}, id FROM [A] a WHERE [pa]
SELECT {{1|int}} + k AS z, count(*) FROM [A] a GROUP BY z
SELECT id, k * {{2.5|numeric}}, d + {{3|int}} FROM [A] a WHERE d > {{2024-02-27|date}}
SELECT id FROM [A] a WHERE (k, x) = ({{1|int}}, {{1|int}})
SELECT id FROM [A] a WHERE k = (SELECT {{2|int}})
SELECT id FROM [A] a WHERE k = (SELECT max(k) FROM [B] b WHERE b.x = {{1|int}})
SELECT id FROM [A] a WHERE id = {{4|int}} OR (k = {{1|int}} AND x < {{2|int}})
SELECT count(*), {{now|text}} FROM [A] a WHERE d <= {{2024-02-29 10:00|timestamp}}
SELECT id FROM [A] a WHERE CASE WHEN {{true|bool}} THEN k = 1 ELSE k = 2 END
SELECT id FROM [A] a WHERE {{false|bool}} OR k = {{1|int}}
SELECT id FROM [A] a WHERE k = coalesce({{NULL|int}}, {{2|int}})
WITH w AS (SELECT id, k FROM [A] a WHERE x = {{1|int}}) SELECT w.id, b.id FROM w JOIN [B] b ON b.k = w.k AND b.k > {{0|int}}
SELECT id FROM [A] a WHERE k = {{1|int}} UNION SELECT id FROM [B] b WHERE k = {{2|int}}
"""

CLASSES = {'tablesample': SAMPLE, 'locking': LOCKING, 'system_columns': SYSTEM, 'whole_rows': WHOLE, 'with_ties': ['@unordered ' + text for text in TIES.strip().split('\n')],
           'limits': LIMITS, 'parameters': PARAMETERS}
