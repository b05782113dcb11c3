"""Set operations, DISTINCT, windows, VALUES, table functions, views, row-level security."""

SETOPS = [
    'SELECT [ca] FROM [A] a WHERE [pa] %s SELECT [ca] FROM (SELECT * FROM [B]) a WHERE [pa2]',
    'SELECT k, x FROM [A] a WHERE [pa] %s SELECT k, x FROM [B] b WHERE [pb]',
    'SELECT k FROM [H] a %s SELECT k FROM [I] b WHERE [pb] ORDER BY 1',
    'SELECT s, count(*) FROM [A] a GROUP BY s %s SELECT s, count(*) FROM [B] b GROUP BY s',
    'SELECT k, count(*) FROM [A] a GROUP BY k %s SELECT k, count(*) FROM [B] b GROUP BY k',
    'SELECT a.k FROM [A] a JOIN [B] b ON [eab] %s SELECT c.k FROM [C] c WHERE [pc]',
    '(SELECT id FROM [A] a WHERE [pa] ORDER BY id LIMIT 4) %s (SELECT id FROM [B] b ORDER BY id DESC LIMIT {{3|int}})',
    'SELECT id FROM [A] a %s SELECT id FROM [B] b ORDER BY id LIMIT {{5|int}}',
    'SELECT k, id FROM [A] a %s SELECT 1, 2',
    'SELECT k FROM [A] a %s VALUES (1), (2), (NULL)',
    'SELECT k, id FROM [R] r WHERE [pr] %s SELECT k, id FROM [A] a',
    'SELECT id FROM la l %s SELECT id FROM [A] a WHERE [pa]',
    'SELECT count(*), sum(k) FROM (SELECT k FROM [A] a %s SELECT k FROM [B] b) u',
    'SELECT u.k, c.id FROM (SELECT k FROM [A] a WHERE [pa] %s SELECT k FROM [B] b) u JOIN [C] c ON c.k = u.k',
    'SELECT a.id FROM [A] a WHERE a.k IN (SELECT k FROM [B] b %s SELECT k FROM [C] c)',
    'SELECT k, x FROM [A] a %s (SELECT k, x FROM [B] b UNION SELECT k, x FROM [C] c)',
    'SELECT k::smallint FROM [A] a %s SELECT y FROM [B] b',
    'SELECT NULL, k FROM [A] a %s SELECT s, k FROM [B] b',
]
SETOPS = [text % operator for text in SETOPS for operator in
          ('UNION', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL')]

DISTINCT = """
SELECT DISTINCT [ca] FROM [A] a WHERE [pa]
SELECT DISTINCT k, x FROM [A] a WHERE [pa]
SELECT DISTINCT [ga] FROM [A] a
SELECT DISTINCT a.k, b.s FROM [A] a JOIN [B] b ON [eab]
SELECT DISTINCT a.x, b.x FROM [A] a LEFT JOIN [B] b ON [eab] WHERE [pa]
SELECT DISTINCT s COLLATE "C" AS c FROM [A] a ORDER BY c NULLS FIRST LIMIT {{3|int}}
SELECT DISTINCT x FROM [A] a ORDER BY x DESC LIMIT 2 OFFSET {{1|int}}
SELECT DISTINCT ON (k) k, id FROM [A] a WHERE [pa] ORDER BY k, id DESC
SELECT DISTINCT ON (x) x, id, s FROM [A] a ORDER BY x NULLS FIRST, id
SELECT DISTINCT ON (s, b) s, b, id FROM [A] a WHERE [pa] ORDER BY s, b DESC, id
SELECT DISTINCT ON (a.k) a.k, b.id, a.id FROM [A] a JOIN [B] b ON [eab] ORDER BY a.k, b.id DESC, a.id
SELECT DISTINCT ON (x) x, id FROM [A] a ORDER BY x, id LIMIT {{3|int}}
SELECT DISTINCT count(*) FROM [A] a GROUP BY k
SELECT DISTINCT count(*), max(x) FROM [A] a GROUP BY s
SELECT DISTINCT k, count(*) OVER (PARTITION BY k) FROM [A] a
SELECT count(*) FROM (SELECT DISTINCT x, s FROM [A] a WHERE [pa]) z
SELECT DISTINCT z.k FROM (SELECT DISTINCT k, x FROM [A] a) z JOIN [B] b ON b.k = z.k
SELECT DISTINCT a.k FROM [A] a WHERE a.k IN (SELECT DISTINCT b.k FROM [B] b WHERE [pb])
SELECT DISTINCT (a.k, a.x) FROM [A] a WHERE [pa]
SELECT DISTINCT ON (coalesce(k, x)) coalesce(k, x) AS c, id FROM [A] a ORDER BY c, id
SELECT DISTINCT 1 FROM [A] a WHERE [pa]
SELECT DISTINCT n FROM [A] a ORDER BY n
"""

FRAMES = ['', 'ROWS BETWEEN 1 PRECEDING AND CURRENT ROW', 'ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING',
          'ROWS BETWEEN CURRENT ROW AND {{1|int}} FOLLOWING', 'GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW',
          'RANGE BETWEEN {{2|int}} PRECEDING AND CURRENT ROW EXCLUDE TIES']
WINDOWS = [
    'SELECT id, count(*) OVER (PARTITION BY [ga] ORDER BY id %s) FROM [A] a WHERE [pa]' % frame for frame in FRAMES] + [
    'SELECT id, sum(n) OVER (PARTITION BY k ORDER BY id %s) FROM [A] a' % frame for frame in FRAMES] + [
    'SELECT id, array_agg(x) OVER (ORDER BY id %s) FROM [A] a WHERE [pa]' % frame for frame in FRAMES] + """
SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) FROM [A] a WHERE [pa]
SELECT id, row_number() OVER (ORDER BY id) FROM [A] a WHERE [pa]
SELECT id, rank() OVER (PARTITION BY [ga] ORDER BY x), dense_rank() OVER (ORDER BY k) FROM [A] a
SELECT id, lag(id, 1, -1) OVER w, lead(s) OVER w, first_value(id) OVER w, last_value(id) OVER w FROM [A] a WHERE [pa] WINDOW w AS (PARTITION BY k ORDER BY id)
SELECT id, nth_value(id, {{2|int}}) OVER w, ntile(3) OVER w, cume_dist() OVER w FROM [A] a WINDOW w AS (PARTITION BY s ORDER BY id)
SELECT k, count(*), sum(count(*)) OVER (ORDER BY k) FROM [A] a GROUP BY k
SELECT x, sum(n), rank() OVER (ORDER BY sum(n) DESC NULLS LAST, x) FROM [A] a WHERE [pa] GROUP BY x
SELECT * FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY id DESC) AS r FROM [A] a WHERE [pa]) z WHERE r <= {{2|int}}
SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS r FROM [A] a) z WHERE r < 5
SELECT a.id, b.id, count(*) OVER (PARTITION BY a.k) FROM [A] a JOIN [B] b ON [eab]
SELECT a.id, count(b.id) OVER (PARTITION BY b.k) FROM [A] a LEFT JOIN [B] b ON [eab] WHERE [pa]
SELECT id, sum(x) FILTER (WHERE b) OVER (PARTITION BY k) FROM [A] a
SELECT id, count(*) OVER (), max(id) OVER (PARTITION BY k, x) FROM [A] a WHERE [pa]
SELECT z.k, max(z.r) FROM (SELECT k, row_number() OVER (PARTITION BY k ORDER BY id) AS r FROM [A] a) z GROUP BY z.k
SELECT z.id, b.id FROM (SELECT id, k, rank() OVER (PARTITION BY k ORDER BY id) AS r FROM [A] a) z JOIN [B] b ON b.k = z.k AND z.r = 1
SELECT id, count(*) OVER (PARTITION BY k) AS c FROM [A] a ORDER BY c DESC, id LIMIT {{6|int}}
SELECT id, avg(n) OVER (PARTITION BY k), n - avg(n) OVER (PARTITION BY x) FROM [A] a
SELECT id, percent_rank() OVER (PARTITION BY k ORDER BY n NULLS FIRST, id) FROM [A] a WHERE [pa]
""".strip().split('\n')

VALUES = """
VALUES (1, 'a'), ({{2|int}}, (SELECT max(s COLLATE "C") FROM [A] a WHERE [pa]))
SELECT a.id, v.c FROM [A] a JOIN (VALUES (1, 'one'), (2, 'two'), (NULL, 'null')) v(k, c) ON v.k = a.k
SELECT a.id, v.c FROM [A] a LEFT JOIN (VALUES (1, 'one'), ({{4|int}}, 'four')) v(k, c) ON v.k = a.x WHERE [pa]
SELECT v.k, a.id FROM (VALUES (1), (2), (99), (NULL)) v(k) LEFT JOIN [A] a ON a.k = v.k
SELECT v.k, a.id FROM (VALUES (1), ({{2|int}}), (99)) v(k) FULL JOIN [A] a ON a.k = v.k
SELECT a.id FROM [A] a WHERE (a.k, a.x) IN (VALUES (1, 2), (2, {{2|int}}), (NULL, 1))
SELECT a.id FROM [A] a WHERE a.k IN (VALUES (1), (3))
SELECT a.id FROM [A] a WHERE a.k NOT IN (VALUES (1), (3))
SELECT a.id FROM [A] a WHERE a.s IN (VALUES ('a'), ({{zz|text}}))
SELECT v.c, count(a.id), sum(a.n) FROM (VALUES ('a'), ('b'), ('zz')) v(c) LEFT JOIN [A] a ON a.s = v.c GROUP BY v.c
SELECT v.c, (SELECT count(*) FROM [A] a WHERE a.k = v.c) FROM (VALUES (1), (2), (7)) v(c)
SELECT a.id, x.m FROM [A] a, LATERAL (SELECT max(v) AS m FROM (VALUES (a.k), (a.x), (a.id)) t(v)) x WHERE [pa]
SELECT * FROM (VALUES (1, 2), (3, 4)) v(p, q) WHERE p IN (SELECT k FROM [A] a WHERE [pa])
SELECT a.id, b.id, v.n FROM [A] a JOIN [B] b ON [eab] JOIN (VALUES (1, 'x'), (5, 'y')) v(i, n) ON v.i = a.id
SELECT count(*) FROM [A] a, (VALUES (1), (2)) v(i) WHERE [pa]
SELECT k, id FROM [A] a WHERE [pa] UNION ALL VALUES (1, {{2|int}}), (NULL, 3)
WITH v(k) AS (VALUES (1), (NULL), (4)) SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM v WHERE v.k = a.k) AND [pa]
"""

FUNCTIONS = """
SELECT a.id, g FROM [A] a JOIN generate_series(1, {{4|int}}) g ON g = a.k
SELECT g, count(a.id) FROM generate_series(0, 5) g LEFT JOIN [A] a ON a.k = g GROUP BY g
SELECT g, a.id FROM generate_series(1, 3) g FULL JOIN [A] a ON a.x = g
SELECT a.id, u FROM [A] a, unnest(ARRAY[a.k, a.x]) u WHERE [pa]
SELECT a.id, u, o FROM [A] a, unnest(ARRAY['p', a.s]) WITH ORDINALITY t(u, o) WHERE [pa]
SELECT a.id FROM [A] a WHERE a.k IN (SELECT generate_series(1, {{3|int}}))
SELECT a.id FROM [A] a WHERE a.k IN (SELECT unnest({{{1,2,NULL}|int[]}}))
SELECT a.id, t.* FROM [A] a JOIN unnest({{{1,2}|int[]}}, ARRAY['x', 'y']) t(i, v) ON t.i = a.id
SELECT a.id, generate_series(1, a.x) FROM [A] a WHERE [pa]
SELECT id, unnest(ARRAY[k, x]) AS u FROM [A] a WHERE [pa]
SELECT count(*) FROM (SELECT generate_series(1, x) FROM [A] a WHERE [pa]) z
SELECT a.id, j.key, j.value FROM [A] a, jsonb_each(jsonb_build_object('k', a.k, 's', a.s)) j WHERE [pa]
SELECT a.id, t.v FROM [A] a, regexp_split_to_table(a.s || ',' || a.id, ',') t(v) WHERE [pa]
SELECT a.id, g, h FROM [A] a, ROWS FROM (generate_series(1, a.x), generate_series(1, 2)) r(g, h) WHERE [pa]
SELECT a.id, j.p FROM [A] a, jsonb_to_recordset(jsonb_build_array(jsonb_build_object('p', a.k))) AS j(p int) WHERE [pa]
SELECT max(g) FROM [A] a, generate_series(1, a.id) g WHERE [pa]
SELECT x.c FROM (SELECT a.k, count(*) c FROM [A] a, generate_series(1, 2) g GROUP BY a.k) x
SELECT g, count(a.id) FROM generate_series(date '2024-02-26', date '2024-03-01', '1 day') g LEFT JOIN [A] a ON a.d = g::date GROUP BY g
SELECT a.id, string_to_table(a.s, 'a') FROM [A] a WHERE [pa]
"""

VIEWS = """
SELECT * FROM v_plain a WHERE [pa]
SELECT a.id, v.id FROM [A] a JOIN v_plain v ON [eav]
SELECT v.kk, v.ss, a.id FROM v_names v JOIN [A] a ON a.k = v.kk WHERE [pa]
SELECT ss, count(*), max(ii) FROM v_names WHERE kk = {{1|int}} GROUP BY ss
SELECT v.* FROM v_join v WHERE v.k = {{1|int}}
SELECT v.id, v.bid, c.id FROM v_join v JOIN [C] c ON c.k = v.k WHERE v.id < 8
SELECT rs, count(*), sum(n) FROM v_left GROUP BY rs
SELECT v.id, a.id FROM v_left v LEFT JOIN [A] a ON a.k = v.k AND [pa]
SELECT * FROM v_agg v WHERE v.k = {{1|int}} OR v.c > 2
SELECT a.id, v.c FROM [A] a JOIN v_agg v ON v.k = a.k WHERE [pa]
SELECT a.id, v.c FROM [A] a LEFT JOIN v_total v ON v.s = a.s WHERE [pa]
SELECT * FROM v_total WHERE c > {{1|int}}
SELECT u.k, count(*), count(DISTINCT u.id) FROM v_union u WHERE u.k IS NOT NULL GROUP BY u.k
SELECT a.id, u.id FROM [A] a JOIN v_union u ON u.k = a.k WHERE [pa] AND u.id < 9
SELECT * FROM v_view v WHERE v.s = 'B' OR v.n > {{1|numeric}}
SELECT a.id, v.s FROM [A] a JOIN v_view v ON v.id = a.id
SELECT * FROM v_window w WHERE w.r = {{1|int}}
SELECT a.id FROM [A] a WHERE (a.k, a.id) IN (SELECT w.k, w.id FROM v_window w WHERE w.r < 3)
SELECT * FROM v_other o WHERE o.id < {{9|int}}
SELECT o.id, a.k FROM v_other o JOIN [A] a ON a.id = o.bid
SELECT l.k, l.s FROM v_local l WHERE l.k = {{1|int}}
SELECT a.id, l.s FROM [A] a LEFT JOIN v_local l ON l.id = a.id WHERE [pa]
SELECT row_to_json(v) FROM v_names v WHERE v.ii < 5
SELECT v FROM v_agg v WHERE v.k = {{2|int}}
SELECT EXISTS (SELECT FROM v_join v WHERE v.k = a.k), a.id FROM [A] a
"""

BARRIERS = """
SELECT * FROM b_plain a WHERE [pa]
SELECT a.id, v.id FROM [A] a JOIN b_plain v ON [eav]
SELECT count(*), sum(n) FROM b_plain a WHERE [pa]
SELECT v.kk, v.ss, a.id FROM b_names v JOIN [A] a ON a.k = v.kk WHERE [pa]
SELECT ss, count(*), max(ii) FROM b_names WHERE kk = {{1|int}} GROUP BY ss
SELECT v.* FROM b_join v WHERE v.k = {{1|int}}
SELECT v.id, v.bid, c.id FROM b_join v JOIN [C] c ON c.k = v.k WHERE v.id < 8
SELECT v.k, v.id FROM b_view v WHERE length(v.s) > {{0|int}} ORDER BY v.id LIMIT 4
SELECT a.id, v.s FROM [A] a LEFT JOIN b_view v ON v.k = a.k AND v.id = a.id WHERE [pa]
SELECT s, count(*) FROM b_ref GROUP BY s
SELECT a.id, v.s, v.n FROM [A] a JOIN b_ref v ON v.k = a.k WHERE [pa]
SELECT v.k, v.c FROM b_agg v WHERE v.c > {{1|int}}
SELECT a.id, v.c FROM [A] a LEFT JOIN b_agg v ON v.k = a.k WHERE [pa]
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM b_plain v WHERE [eav])
SELECT a.id FROM [A] a WHERE a.k NOT IN (SELECT v.kk FROM b_names v WHERE v.kk IS NOT NULL)
SELECT a.id, (SELECT count(*) FROM b_join v WHERE v.k = a.k) FROM [A] a WHERE [pa]
SELECT k FROM b_plain UNION SELECT kk FROM b_names
SELECT row_to_json(v) FROM b_names v WHERE v.kk = {{1|int}}
SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) FROM b_plain a WHERE [pa]
SELECT DISTINCT k FROM b_view v WHERE v.n > {{0.5|numeric}}
"""

RLS = """
SET ROLE class_reader ;; SELECT * FROM pa a WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT count(*), sum(n), max(id) FROM pb a WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, b.id FROM pa a JOIN pb b ON [eab] WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, b.id FROM pa a LEFT JOIN pb b ON [eab] AND [pb] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, b.id FROM pb a JOIN pc b ON [eab] WHERE [pb] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, r.id FROM pa a JOIN pr r ON [ear] WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, b.id FROM pa a JOIN ha b ON [eab] WHERE [pb] ;; RESET ROLE
SET ROLE class_reader ;; SELECT k, count(*) FROM pb a WHERE [pa] GROUP BY k ;; RESET ROLE
SET ROLE class_reader ;; SELECT s, count(*), avg(n) FROM pa a GROUP BY s ;; RESET ROLE
SET ROLE class_reader ;; SELECT id, k FROM pc a WHERE [pa] ORDER BY id LIMIT {{4|int}} ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id FROM pa a WHERE EXISTS (SELECT FROM pb b WHERE [eab] AND [pb]) ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id FROM pa a WHERE a.k NOT IN (SELECT b.k FROM pb b WHERE b.k IS NOT NULL AND [pb]) ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, (SELECT count(*) FROM pb b WHERE b.k = a.k) FROM pa a WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT v.id, a.id FROM pv v JOIN pa a ON a.k = v.k AND [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT v.id, a.id FROM pi v LEFT JOIN pv a ON a.k = v.k AND a.id = v.id ;; RESET ROLE
SET ROLE class_reader ;; SELECT DISTINCT k FROM pa a WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT k FROM pa a WHERE [pa] UNION ALL SELECT k FROM pb ;; RESET ROLE
SET ROLE class_reader ;; WITH w AS (SELECT * FROM pb a WHERE [pa]) SELECT p.id, q.id FROM w p JOIN w q ON p.k = q.k ;; RESET ROLE
SELECT a.id, v.id FROM pa a LEFT JOIN pv v ON v.k = a.k AND v.id = a.id WHERE [pa]
SET ROLE class_reader ;; SELECT k, id, rank() OVER (PARTITION BY k ORDER BY id) FROM pb a WHERE [pa] ;; RESET ROLE
SET ROLE class_reader ;; SELECT a.id, x.id FROM pa a, LATERAL (SELECT b.id FROM pb b WHERE [eab] ORDER BY b.id LIMIT 1) x ;; RESET ROLE
"""

CLASSES = {'setops': SETOPS, 'distinct': DISTINCT, 'windows': WINDOWS, 'values': VALUES, 'functions': FUNCTIONS,
           'views': VIEWS, 'barriers': BARRIERS, 'rls': RLS}
