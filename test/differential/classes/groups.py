"""Grouping: GROUP BY, grouping sets, FILTER, ordered-set and hypothetical aggregates, HAVING."""

GROUPED = """
SELECT [ga], count(*), sum([va]), min([va2]), max([va]) FROM [A] a WHERE [pa] GROUP BY [ga]
SELECT [ga], avg([va]), count([va]), count(DISTINCT a.x) FROM [A] a GROUP BY [ga]
SELECT count(*), count(k), count(DISTINCT k), count(DISTINCT s), sum(n), avg(n), avg(x) FROM [A] a WHERE [pa]
SELECT bool_and(b), bool_or(b), bit_and(x), bit_or(id), min(s COLLATE "C"), max(d) FROM [A] a WHERE [pa]
SELECT [ga], stddev(x), variance(id), stddev_pop(n), var_samp([va]) FROM [A] a GROUP BY [ga]
SELECT corr(id, x), covar_pop(k, x), regr_slope(id, k), regr_count(x, y) FROM [A] a WHERE [pa]
SELECT [ga], array_agg(id ORDER BY id), string_agg(s, ',' ORDER BY id DESC) FROM [A] a GROUP BY [ga]
SELECT jsonb_agg(k ORDER BY id), jsonb_object_agg(id, s ORDER BY id) FROM [A] a WHERE [pa]
SELECT [ga], count(*) FROM [A] a GROUP BY [ga] HAVING count(*) > {{2|int}}
@unordered SELECT [ga], sum(x) AS z FROM [A] a GROUP BY [ga] HAVING max(id) > {{9|int}} AND sum(x) IS NOT NULL ORDER BY z
SELECT sum(x) FROM [A] a WHERE [pa] HAVING count(*) > {{1|int}}
SELECT 1 FROM [A] a HAVING count(*) > 0
SELECT [ga], sum(a.n), count(b.id) FROM [A] a LEFT JOIN [B] b ON [eab] GROUP BY [ga]
SELECT a.k, r.s, count(*) FROM [H] a JOIN [R] r ON r.id = a.x GROUP BY a.k, r.s
SELECT z.c, count(*) FROM (SELECT k, count(*) AS c FROM [A] a WHERE [pa] GROUP BY k) z GROUP BY z.c
SELECT max(z.c), sum(z.c) FROM (SELECT s, count(*) AS c FROM [A] a GROUP BY s) z
SELECT sum(DISTINCT x), avg(DISTINCT n), count(DISTINCT (k, x)), array_agg(DISTINCT x ORDER BY x) FROM [A] a WHERE [pa]
SELECT [ga], count(DISTINCT k), sum(DISTINCT id), count(*) FROM [A] a GROUP BY [ga]
SELECT x + 1 AS z, count(*) FROM [A] a WHERE [pa] GROUP BY z ORDER BY z DESC NULLS LAST LIMIT {{3|int}}
SELECT k, x, sum(n) + count(*) * 2, max(id) - min(id) FROM [A] a GROUP BY 1, 2
SELECT id, k, s FROM [R] r GROUP BY id
SELECT [ga] FROM [A] a WHERE [pa] GROUP BY [ga] ORDER BY count(*) DESC, max(id) LIMIT 3
SELECT range_agg(int4range(id, id + 2)), any_value_of FROM [A] a, (SELECT 1 AS any_value_of) q GROUP BY any_value_of
SELECT sum(n) / nullif(count(*), 0), sum(x)::numeric / count(*) FROM [A] a WHERE [pa] GROUP BY ()
"""
SETS = ['ROLLUP (k, x)', 'CUBE (x, s)', 'GROUPING SETS ((k), (x), ())', 'GROUPING SETS ((k, x), (k))', 'GROUPING SETS ((k, s), (k, x))', 'ROLLUP (s, b)',
        'GROUPING SETS ((k), (k))', 'k, ROLLUP (x)', 'CUBE (k), x', 'GROUPING SETS (ROLLUP (x, b), CUBE (s))', 'GROUPING SETS (())', 'ROLLUP ((k, x), b)']
GROUPING = [template % {'s': sets} for sets in SETS for template in (
    'SELECT count(*), sum(n), max(id) FROM [A] a WHERE [pa] GROUP BY %(s)s',
    'SELECT count(DISTINCT id), avg(x), count(*) FILTER (WHERE b) FROM [A] a GROUP BY %(s)s',
    'SELECT count(*), count(k), min(s COLLATE "C") FROM (SELECT a.k, a.x, a.s, b.b FROM [A] a JOIN [B] b ON [eab]) z GROUP BY %(s)s',
    'SELECT count(*) AS c FROM [A] a GROUP BY %(s)s HAVING count(*) > {{2|int}} ORDER BY c',
    'SELECT count(*) AS c, sum(count(*)) OVER () FROM [A] a WHERE [pa] GROUP BY %(s)s')] + """
SELECT k, x, grouping(k), grouping(k, x), count(*) FROM [A] a WHERE [pa] GROUP BY ROLLUP (k, x)
SELECT s, b, grouping(s, b), sum(id) FROM [A] a GROUP BY CUBE (s, b)
SELECT x, s, count(*) FROM [A] a GROUP BY GROUPING SETS ((x), (s), ()) ORDER BY x NULLS FIRST, s COLLATE "C" NULLS LAST, 3
SELECT k, x, count(*) FROM [A] a WHERE [pa] GROUP BY GROUPING SETS ((k, x), (k)) HAVING grouping(x) = 1 OR x > 1
SELECT a.k, b.s, count(*) FROM [A] a LEFT JOIN [B] b ON [eab] GROUP BY ROLLUP (a.k, b.s)
SELECT x % 2 AS p, count(*), array_agg(DISTINCT k ORDER BY k) FROM [A] a GROUP BY ROLLUP (p)
SELECT k, CASE WHEN grouping(k) = 1 THEN 'all' ELSE 'one' END, count(*) FROM [A] a WHERE [pa] GROUP BY CUBE (k)
SELECT DISTINCT x, count(*) FROM [A] a GROUP BY GROUPING SETS ((x), (x, b))
SELECT z.k, z.c FROM (SELECT k, x, count(*) AS c FROM [A] a GROUP BY CUBE (k, x)) z WHERE z.x IS NULL
""".strip().split('\n')

FILTER = """
SELECT count(*) FILTER (WHERE [pa]), sum(n) FILTER (WHERE [pa2]), count(*) FROM [A] a
SELECT [ga], count(*) FILTER (WHERE [pa]), max(id) FILTER (WHERE b) FROM [A] a GROUP BY [ga]
SELECT [ga], avg(x) FILTER (WHERE [pa]), count(DISTINCT s) FILTER (WHERE [pa2]) FROM [A] a GROUP BY [ga]
SELECT array_agg(id ORDER BY id) FILTER (WHERE [pa]), string_agg(s, '' ORDER BY id) FILTER (WHERE x > 1) FROM [A] a
SELECT count(*) FILTER (WHERE a.x > b.x), sum(a.n) FILTER (WHERE [pb]) FROM [A] a JOIN [B] b ON [eab]
SELECT a.k, count(b.id) FILTER (WHERE [pb]) FROM [A] a LEFT JOIN [B] b ON [eab] GROUP BY a.k
SELECT sum(DISTINCT x) FILTER (WHERE [pa]), sum(x) FILTER (WHERE [pa]) FROM [A] a
SELECT stddev(x) FILTER (WHERE [pa]), bool_and(b) FILTER (WHERE [pa2]), every(b) FROM [A] a
SELECT count(*) FILTER (WHERE k IN (SELECT r.id FROM [R] r)) FROM [A] a WHERE [pa]
SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM [B] b WHERE b.k = a.k)) FROM [A] a
SELECT [ga] FROM [A] a GROUP BY [ga] HAVING count(*) FILTER (WHERE [pa]) > {{1|int}}
SELECT min(id) FILTER (WHERE false), count(*) FILTER (WHERE NULL), max(id) FILTER (WHERE true) FROM [A] a WHERE [pa]
"""

ORDERED_SET = """
SELECT percentile_cont({{0.5|float8}}) WITHIN GROUP (ORDER BY x) FROM [A] a WHERE [pa]
SELECT percentile_disc(0.25) WITHIN GROUP (ORDER BY n), mode() WITHIN GROUP (ORDER BY k) FROM [A] a
SELECT [ga], percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM [A] a WHERE [pa] GROUP BY [ga]
SELECT [ga], mode() WITHIN GROUP (ORDER BY id % 3), count(*) FROM [A] a GROUP BY [ga]
SELECT percentile_cont(ARRAY[0.1, 0.5, {{0.9|float8}}]) WITHIN GROUP (ORDER BY id) FROM [A] a WHERE [pa]
SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY n DESC) FILTER (WHERE [pa]) FROM [A] a GROUP BY k
SELECT rank({{2|int}}) WITHIN GROUP (ORDER BY x), dense_rank(2) WITHIN GROUP (ORDER BY x DESC) FROM [A] a WHERE [pa]
SELECT [ga], percent_rank(1) WITHIN GROUP (ORDER BY x), cume_dist({{1|int}}) WITHIN GROUP (ORDER BY x) FROM [A] a GROUP BY [ga]
SELECT rank(1, 'b') WITHIN GROUP (ORDER BY x, s COLLATE "C") FROM [A] a
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY s COLLATE "C") FROM [A] a WHERE [pa]
SELECT a.k, percentile_disc(0.5) WITHIN GROUP (ORDER BY b.id) FROM [A] a JOIN [B] b ON [eab] GROUP BY a.k
SELECT x, percentile_cont(0.5) WITHIN GROUP (ORDER BY id), sum(n) FROM [A] a GROUP BY ROLLUP (x)
SELECT mode() WITHIN GROUP (ORDER BY b) FROM [A] a WHERE [pa] HAVING count(*) > 1
SELECT z.m, count(*) FROM (SELECT k, mode() WITHIN GROUP (ORDER BY x) AS m FROM [A] a GROUP BY k) z GROUP BY z.m
"""

ORDERED_INPUT = """
SELECT array_agg(id) FROM (SELECT id FROM [A] a WHERE [pa] ORDER BY id) z
SELECT array_agg(id), string_agg(s, '-') FROM (SELECT id, s FROM [A] a WHERE [pa] ORDER BY x DESC NULLS LAST, id) z
SELECT k, array_agg(id) FROM (SELECT k, id FROM [A] a ORDER BY k, id DESC) z GROUP BY k
SELECT x, array_agg(id) FROM (SELECT x, id FROM [A] a WHERE [pa] ORDER BY x, id OFFSET 0) z GROUP BY x
WITH w AS (SELECT id, s FROM [A] a WHERE [pa] ORDER BY id DESC) SELECT array_agg(id) FROM w
WITH w AS MATERIALIZED (SELECT id, s FROM [A] a ORDER BY id DESC) SELECT string_agg(s, ',') FROM w WHERE id > {{2|int}}
SELECT json_agg(z) FROM (SELECT id, k AS kk FROM [A] a WHERE [pa] ORDER BY id DESC) z
SELECT array_agg(id) FROM (SELECT id FROM [A] a ORDER BY id LIMIT {{6|int}}) z
SELECT array_agg(id) FROM (SELECT a.id FROM [A] a JOIN [B] b ON a.id = b.id ORDER BY a.id DESC) z
SELECT array_agg(z.c) FROM (SELECT k, count(*) AS c FROM [A] a GROUP BY k ORDER BY k) z
SELECT id, row_number() OVER () FROM (SELECT id FROM [A] a WHERE [pa] ORDER BY id DESC) z
SELECT id, first_value(id) OVER (), lag(id) OVER () FROM (SELECT id FROM [A] a ORDER BY id) z
SELECT ARRAY(SELECT id FROM [A] a WHERE [pa] ORDER BY id DESC)
SELECT r.id, ARRAY(SELECT a.id FROM [A] a WHERE a.x = r.id ORDER BY a.id) FROM [R] r
SELECT string_agg(s, '' ORDER BY id), array_agg(id) FROM (SELECT s, id FROM [A] a WHERE [pa] ORDER BY id) z
SELECT array_agg(id) FROM (SELECT id FROM [A] a UNION ALL SELECT id + 100 FROM [B] b ORDER BY 1) z
"""

# groups that lie on one shard where the table is distributed by k, with all that may follow
WHOLE_GROUPS = """
SELECT k, sum(id) AS z, count(*) FROM [A] a WHERE [pa] GROUP BY k ORDER BY z DESC NULLS LAST, k LIMIT {{3|int}}
SELECT k, sum(id) AS z FROM [H] a GROUP BY k ORDER BY z DESC NULLS LAST, k LIMIT {{2|int}} OFFSET {{1|int}}
SELECT k, count(*) FROM [H] a WHERE [pa] GROUP BY k HAVING count(*) > {{1|int}} ORDER BY 2 DESC, 1 NULLS FIRST LIMIT 3
SELECT k FROM [H] a GROUP BY k ORDER BY count(*) DESC, max(id) DESC LIMIT 4
SELECT x, count(*) FROM [H] a WHERE [pa] GROUP BY k, x ORDER BY count(*), max(id) LIMIT 5
SELECT k, count(*) AS z FROM [H] a GROUP BY k ORDER BY z DESC FETCH FIRST {{2|int}} ROWS WITH TIES
SELECT DISTINCT count(*) AS z FROM [H] a GROUP BY k ORDER BY z LIMIT {{2|int}}
SELECT DISTINCT x, count(*) FROM [H] a WHERE [pa] GROUP BY k, x ORDER BY x NULLS FIRST, 2 LIMIT 4 OFFSET {{1|int}}
SELECT DISTINCT ON (x) x, k, count(*) FROM [H] a GROUP BY k, x ORDER BY x, count(*) DESC, k LIMIT 3
SELECT k, count(*), rank() OVER (ORDER BY count(*) DESC) FROM [H] a WHERE [pa] GROUP BY k
SELECT k, count(*), sum(count(*)) OVER (), count(*) * 100 / sum(count(*)) OVER () FROM [H] a GROUP BY k HAVING count(*) > {{1|int}}
SELECT k, x, sum(id), sum(sum(id)) OVER (PARTITION BY k ORDER BY x) FROM [H] a WHERE [pa] GROUP BY k, x
SELECT k, x, rank() OVER (PARTITION BY k ORDER BY count(*) DESC) AS r FROM [H] a GROUP BY k, x ORDER BY r DESC, k, x LIMIT {{4|int}}
SELECT k, x, rank() OVER (PARTITION BY x ORDER BY count(*) DESC) AS r FROM [H] a GROUP BY k, x ORDER BY r DESC, k, x LIMIT {{4|int}}
SELECT k, id, lag(id) OVER (PARTITION BY k ORDER BY id) AS z FROM [H] a WHERE [pa] ORDER BY z NULLS FIRST, id LIMIT {{3|int}}
SELECT DISTINCT x, count(*) OVER (PARTITION BY k) FROM [H] a ORDER BY x NULLS FIRST, 2 LIMIT 3
SELECT k, CASE count(*) WHEN max(x) THEN rank() OVER (ORDER BY k) ELSE 0 END, CASE WHEN max(x) > 1 THEN row_number() OVER (ORDER BY k) END FROM [H] a GROUP BY k
SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS p, array_agg(id ORDER BY id DESC) FROM [H] a GROUP BY k ORDER BY p DESC, k LIMIT {{3|int}}
SELECT k, string_agg(s, '' ORDER BY id), row_number() OVER (ORDER BY k) FROM [H] a WHERE [pa] GROUP BY k
SELECT k, s, count(*) FROM [H] a GROUP BY k, s ORDER BY s, count(*) DESC, k LIMIT {{5|int}}
SELECT k, x, count(*), grouping(x) FROM [H] a WHERE [pa] GROUP BY k, ROLLUP (x) ORDER BY 3 DESC, 1, 2, 4 LIMIT {{4|int}}
SELECT k, x, b, count(*), array_agg(id ORDER BY id) FROM [H] a GROUP BY GROUPING SETS ((k, x), (b, k)) HAVING count(*) > {{1|int}}
SELECT x, count(*) FROM [H] a WHERE k = x GROUP BY GROUPING SETS ((k, x), (k)) ORDER BY 2 DESC, 1 LIMIT 3
SELECT a.k, count(b.id) AS z FROM [H] a LEFT JOIN [I] b ON b.k = a.k AND [pb] GROUP BY a.k ORDER BY z DESC, 1 LIMIT {{3|int}}
SELECT a.k, r.s, count(*) AS z FROM [H] a JOIN [R] r ON r.id = a.x GROUP BY a.k, r.id ORDER BY z DESC, a.k, r.id LIMIT {{3|int}}
SELECT k, count(*), generate_series(1, 2) AS g FROM [H] a GROUP BY k ORDER BY 2 DESC, k, g LIMIT 5
SELECT k, generate_series(1, count(*)::int) FROM [H] a WHERE [pa] GROUP BY k
SELECT k, sum(id) + (SELECT max(r.id) FROM [R] r) AS z FROM [H] a GROUP BY k ORDER BY z DESC NULLS LAST, k LIMIT 3
SELECT k, count(*) FROM [H] a GROUP BY k HAVING EXISTS (SELECT FROM [I] b WHERE b.k = a.k AND [pb]) ORDER BY 2 DESC, 1 LIMIT 3
SELECT k, count(*), (SELECT max(l.id) FROM la l), rank() OVER (ORDER BY k) FROM [H] a GROUP BY k
SELECT k, count(*) FROM [H] a GROUP BY k ORDER BY 2 DESC, 1 LIMIT (SELECT max(l.id) % 5 FROM la l) OFFSET 1
SELECT k, count(*) FROM [H] a GROUP BY k UNION ALL SELECT k, max(id) FROM [I] b GROUP BY k ORDER BY 2 DESC, 1 LIMIT {{4|int}}
SELECT k, count(*) FROM [H] a WHERE [pa] GROUP BY k EXCEPT SELECT k, count(*) FROM [I] b GROUP BY k ORDER BY 1 LIMIT 3 OFFSET {{1|int}}
SELECT k, x FROM [H] a WHERE [pa] INTERSECT SELECT k, x FROM [I] b ORDER BY 2, 1 LIMIT {{3|int}}
SELECT k, id FROM [H] a UNION ALL SELECT k, id FROM [I] b ORDER BY id DESC, k LIMIT {{3|int}}
SELECT z.k, c.id FROM (SELECT k, count(*) AS n FROM [H] a GROUP BY k ORDER BY n DESC, k LIMIT 2) z JOIN [I] c ON c.k = z.k
SELECT count(*), max(n) FROM (SELECT k, count(*) AS n FROM [H] a GROUP BY k ORDER BY n DESC, k OFFSET {{2|int}}) z
SELECT random() < 2, k, count(*), row_number() OVER (ORDER BY k) FROM [H] a GROUP BY k
SELECT s, count(*) AS z FROM ta a WHERE [pa] GROUP BY s ORDER BY z DESC, max(id) LIMIT {{2|int}}
SELECT s COLLATE "C" AS c, count(*) FROM ta a GROUP BY s COLLATE "C" ORDER BY c DESC NULLS LAST LIMIT 3
"""

CLASSES = {'group_by': GROUPED, 'grouping_sets': GROUPING, 'filter': FILTER, 'ordered_set': ORDERED_SET,
           'ordered_input': ORDERED_INPUT, 'whole_groups': WHOLE_GROUPS}
