"""Joins: inner, outer, semi and anti, equal and not, colocated and not."""

INNER = """
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [jab] WHERE [pa] AND [pb]
SELECT a.k, b.s, a.n, b.d FROM [A] a, [B] b WHERE [eab] AND [pa]
SELECT count(*), sum(a.n), max(b.s COLLATE "C") FROM [A] a JOIN [B] b ON [jab] WHERE [pa]
SELECT * FROM [A] a JOIN [B] b USING (k) WHERE [pb] ORDER BY a.id, b.id
SELECT * FROM [H] a JOIN [I] b USING (k) WHERE [pa]
SELECT a.*, b.x FROM [A] a JOIN [B] b USING (s, x) WHERE [pa]
SELECT a.id, b.id, c.id FROM [A] a JOIN [B] b ON [eab] JOIN [C] c ON [ebc] WHERE [pa] AND [pc]
SELECT count(*), min(a.id), max(c.id) FROM [A] a, [B] b, [C] c WHERE [eab] AND a.k = c.k AND [pb]
SELECT a.k, count(*), sum(b.n) FROM [A] a JOIN [B] b ON [eab] GROUP BY a.k ORDER BY 1
SELECT a.id, r.s FROM [H] a JOIN [R] r ON [ear] WHERE [pa]
SELECT a.id, r.id, b.id FROM [H] a JOIN [R] r ON a.x = r.id JOIN [I] b ON a.k = b.k WHERE [pb]
SELECT a.id, l.s, b.id FROM [A] a JOIN la l ON l.id = a.id JOIN [B] b ON [eab] WHERE [pl]
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE [pa] ORDER BY a.id, b.id LIMIT {{5|int}}
SELECT a.id, b.id FROM [A] a NATURAL JOIN (SELECT k, x, id FROM [B]) b WHERE [pa]
SELECT a.id, b.id FROM [A] a CROSS JOIN [B] b WHERE [pa] AND [pb] AND a.id < 6 AND b.id < 6
SELECT a.id, x.id FROM [A] a JOIN (SELECT k, min(id) AS id FROM [B] b WHERE [pb] GROUP BY k) x ON a.k = x.k
SELECT a.id, x.s FROM [A] a JOIN (SELECT DISTINCT s FROM [B] b WHERE [pb]) x ON a.s = x.s
SELECT a1.id, a2.id FROM [A] a1 JOIN [A] a2 ON a1.k = a2.k AND a1.id < a2.id
SELECT count(*) FROM [A] a JOIN [A] b ON a.id = b.id JOIN [B] c ON c.k = b.k
SELECT a.k, b.k, c.k, d.k FROM [H] a JOIN [I] b ON a.k = b.k JOIN [H2] c ON c.k = b.k JOIN [D] d ON d.id = c.x WHERE a.id < 9
"""

LEFT = """
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [jab] WHERE [pa]
SELECT a.id, b.id, b.s FROM [A] a LEFT JOIN [B] b ON [jab] AND [pb]
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [eab] AND [pa] WHERE a.id < {{12|int}}
SELECT a.id FROM [A] a LEFT JOIN [B] b ON [eab] WHERE b.id IS NULL
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [eab] WHERE [pb]
SELECT a.k, count(b.id), count(*), sum(b.n) FROM [A] a LEFT JOIN [B] b ON [eab] GROUP BY a.k
SELECT count(*), count(b.k), max(b.id) FROM [A] a LEFT JOIN [B] b ON [jab] AND [pb]
SELECT * FROM [A] a LEFT JOIN [B] b USING (k) WHERE [pa]
SELECT a.id, b.id, c.id FROM [A] a LEFT JOIN [B] b ON [eab] LEFT JOIN [C] c ON [ebc] WHERE a.id < 10
SELECT a.id, b.id, c.id FROM [A] a LEFT JOIN ([B] b JOIN [C] c ON [ebc]) ON [eab] WHERE [pa]
SELECT a.id, b.id, c.id FROM [A] a JOIN [B] b ON [eab] LEFT JOIN [C] c ON a.k = c.k AND [pc] WHERE [pa]
SELECT a.id, r.id FROM [H] a LEFT JOIN [R] r ON [jar] WHERE [pa]
SELECT r.id, a.id FROM [R] r LEFT JOIN [A] a ON [era] AND [pa]
SELECT l.id, a.id FROM la l LEFT JOIN [A] a ON [ela] AND [pa]
SELECT a.id, x.c FROM [A] a LEFT JOIN (SELECT k, count(*) AS c FROM [B] b WHERE [pb] GROUP BY k) x ON x.k = a.k
SELECT a.id, x.one, x.bs FROM [A] a LEFT JOIN (SELECT b.k, 1 AS one, coalesce(b.s, 'none') AS bs FROM [B] b) x ON x.k = a.k WHERE [pa]
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [eab] ORDER BY a.id, b.id NULLS FIRST LIMIT {{7|int}}
SELECT a.id, q IS NULL FROM [A] a LEFT JOIN [B] q ON a.id = q.id AND [pq]
SELECT a.id, coalesce(b.x, -1) FROM [H] a LEFT JOIN [I] b ON a.k = b.k AND a.id = b.id WHERE coalesce(b.x, -1) < 2
"""

RIGHT = """
SELECT a.id, b.id FROM [A] a RIGHT JOIN [B] b ON [jab] WHERE [pb]
SELECT a.id, b.id FROM [A] a RIGHT JOIN [B] b ON [jab] AND [pa]
SELECT b.id FROM [A] a RIGHT JOIN [B] b ON [eab] WHERE a.id IS NULL
SELECT b.k, count(a.id), sum(a.n) FROM [A] a RIGHT JOIN [B] b ON [eab] GROUP BY b.k
SELECT count(*), count(a.k), max(a.id) FROM [A] a RIGHT JOIN [B] b ON [jab] AND [pb]
SELECT * FROM [A] a RIGHT JOIN [B] b USING (k) WHERE [pb]
SELECT a.id, b.id, c.id FROM [A] a RIGHT JOIN [B] b ON [eab] RIGHT JOIN [C] c ON [ebc] WHERE c.id < 10
SELECT a.id, b.id, c.id FROM [A] a JOIN [B] b ON [eab] RIGHT JOIN [C] c ON [eac] AND [pc]
SELECT a.id, b.id, c.id FROM [C] c LEFT JOIN [A] a ON [eca] RIGHT JOIN [B] b ON [eab] WHERE [pb]
SELECT r.id, a.id FROM [H] a RIGHT JOIN [R] r ON [ear]
SELECT a.id, r.id FROM [R] r RIGHT JOIN [A] a ON [era] WHERE [pa]
SELECT a.id, l.id FROM la l RIGHT JOIN [A] a ON [ela] AND [pl]
SELECT a.id, x.c FROM (SELECT k, count(*) AS c FROM [B] b GROUP BY k) x RIGHT JOIN [A] a ON x.k = a.k AND [pa]
SELECT a.id, b.id FROM [A] a RIGHT JOIN [B] b ON [eab] ORDER BY b.id, a.id DESC LIMIT 6 OFFSET {{2|int}}
SELECT coalesce(a.k, b.k, -1) AS z, count(*) FROM [A] a RIGHT JOIN [B] b ON [eab] GROUP BY z
"""

FULL = """
SELECT a.id, b.id FROM [A] a FULL JOIN [B] b ON [eab]
SELECT a.id, b.id FROM [A] a FULL JOIN [B] b ON [eab] WHERE [pa]
SELECT a.id, b.id FROM [A] a FULL JOIN [B] b ON [eab] WHERE a.id IS NULL OR b.id IS NULL
SELECT k, count(*), count(a.id), count(b.id) FROM [A] a FULL JOIN [B] b USING (k) GROUP BY k
SELECT * FROM [A] a FULL JOIN [B] b USING (k, x)
SELECT * FROM [H] a FULL JOIN [I] b USING (k) WHERE k = {{1|int}}
SELECT x.id, y.id FROM (SELECT * FROM [A] a WHERE [pa]) x FULL JOIN (SELECT * FROM [B] b WHERE [pb]) y ON x.k = y.k
SELECT count(*), sum(a.id), sum(b.id) FROM [A] a FULL JOIN [B] b ON [eab]
SELECT a.id, b.id, c.id FROM [A] a FULL JOIN [B] b ON a.k = b.k FULL JOIN [C] c ON c.k = b.k
SELECT a.id, b.id, c.id FROM [A] a FULL JOIN [B] b ON [eab] JOIN [C] c ON c.id = a.id
SELECT a.id, b.id, c.id FROM [C] c LEFT JOIN ([A] a FULL JOIN [B] b ON [eab]) ON c.k = a.k WHERE [pc]
SELECT r.id, a.id FROM [R] r FULL JOIN [A] a ON [era]
SELECT l.id, a.id FROM la l FULL JOIN [A] a ON [ela]
SELECT x.k, y.k, x.c, y.c FROM (SELECT k, count(*) c FROM [A] a GROUP BY k) x FULL JOIN (SELECT k, count(*) c FROM [B] b GROUP BY k) y ON x.k = y.k
SELECT coalesce(a.k, b.k) AS z, a.id, b.id FROM [A] a FULL JOIN [B] b ON a.k = b.k ORDER BY z NULLS FIRST, a.id, b.id LIMIT {{9|int}}
"""

SEMI = """
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.x IN (SELECT b.id FROM [B] b WHERE [pb]) AND [pa]
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM [B] b WHERE [jab] AND [pb])
SELECT a.id, a.s FROM [A] a WHERE EXISTS (SELECT 1 FROM [B] b WHERE [eab]) AND [pa]
SELECT count(*) FROM [A] a WHERE (a.k, a.x) IN (SELECT b.k, b.x FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.s = ANY (SELECT b.s FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b JOIN [C] c ON [ebc])
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM [B] b, [C] c WHERE [eab] AND [ebc])
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM [B] b WHERE [eab] AND EXISTS (SELECT FROM [C] c WHERE [ebc]))
SELECT a.k, count(*) FROM [A] a WHERE a.k IN (SELECT b.x FROM [B] b WHERE [pb]) GROUP BY a.k
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b WHERE b.id > a.id)
SELECT a.id FROM [A] a JOIN [B] b ON [eab] WHERE EXISTS (SELECT FROM [C] c WHERE c.k = a.k AND c.x = b.x)
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b GROUP BY b.k HAVING count(*) > 1)
SELECT a.id FROM [A] a WHERE a.id IN (SELECT b.id FROM [B] b ORDER BY b.id LIMIT {{4|int}})
SELECT a.id FROM [A] a WHERE a.k IN (SELECT r.id FROM [R] r WHERE [pr])
SELECT r.id FROM [R] r WHERE r.k IN (SELECT a.k FROM [A] a WHERE [pa])
SELECT l.id FROM la l WHERE EXISTS (SELECT FROM [A] a WHERE [ela] AND [pa])
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM la l WHERE [eal] AND [pl])
"""

ANTI = """
SELECT a.id FROM [A] a WHERE a.k NOT IN (SELECT b.k FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.k NOT IN (SELECT b.k FROM [B] b WHERE b.k IS NOT NULL AND [pb])
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b WHERE [jab] AND [pb])
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b WHERE [eab]) AND [pa]
SELECT count(*) FROM [A] a WHERE (a.k, a.x) NOT IN (SELECT b.k, b.x FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.s <> ALL (SELECT b.s FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a WHERE a.id > ALL (SELECT b.x FROM [B] b WHERE [pb])
SELECT a.id FROM [A] a LEFT JOIN [B] b ON [eab] AND [pb] WHERE b.id IS NULL AND [pa]
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b, [C] c WHERE [eab] AND [ebc])
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b WHERE [eab] AND NOT EXISTS (SELECT FROM [C] c WHERE [ebc]))
SELECT a.k, count(*) FROM [A] a WHERE a.x NOT IN (SELECT b.id FROM [B] b WHERE [pb]) GROUP BY a.k
SELECT a.id FROM [A] a WHERE NOT (a.k IN (SELECT b.k FROM [B] b WHERE b.x = a.x))
SELECT a.id FROM [A] a WHERE a.id NOT IN (SELECT b.id FROM [B] b ORDER BY b.id LIMIT {{4|int}})
SELECT a.id FROM [A] a WHERE a.k NOT IN (SELECT r.id FROM [R] r WHERE [pr])
SELECT r.id FROM [R] r WHERE r.k NOT IN (SELECT a.k FROM [A] a WHERE [pa])
SELECT l.id FROM la l WHERE NOT EXISTS (SELECT FROM [A] a WHERE [ela] AND [pa])
SELECT a.id FROM [A] a WHERE a.k IN (SELECT b.k FROM [B] b) AND NOT EXISTS (SELECT FROM [C] c WHERE [eac])
SELECT a.id, (a.k NOT IN (SELECT b.k FROM [B] b WHERE [pb])) AS f FROM [A] a
"""

NONEQUI = """
SELECT a.id, b.id FROM [A] a JOIN [B] b ON [nab] WHERE [pa] AND a.id < 12
SELECT count(*), sum(a.id + b.id) FROM [A] a, [B] b WHERE [nab] AND [pb]
SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [nab] WHERE [pa] AND a.id < 12
SELECT a.id, count(b.id) FROM [A] a LEFT JOIN [B] b ON [nab] AND [pb] GROUP BY a.id
SELECT a.id, b.id FROM [A] a RIGHT JOIN [B] b ON [nab] AND [pa] WHERE b.id < 8
SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM [B] b WHERE [nab] AND [pb])
SELECT a.id FROM [A] a WHERE NOT EXISTS (SELECT FROM [B] b WHERE [nab] AND [pb])
SELECT a.id, b.id, c.id FROM [A] a JOIN [B] b ON [eab] JOIN [C] c ON [nbc] WHERE a.id < 6 AND c.id < 8
SELECT a.id, b.id, c.id FROM [A] a JOIN [B] b ON [nab] LEFT JOIN [C] c ON [eac] AND [nbc] WHERE a.id < 6 AND b.id < 8
SELECT a.k, max(b.id) FROM [A] a JOIN [B] b ON [nab] GROUP BY a.k
SELECT r.id, a.id FROM [R] r LEFT JOIN [A] a ON [nra] WHERE [pr]
SELECT a.id, l.id FROM [A] a JOIN la l ON [nal] WHERE [pa]
SELECT l.id, a.id FROM la l LEFT JOIN [A] a ON [nla] AND [pa]
SELECT a.id, b.id FROM [A] a JOIN [B] b ON a.id < b.id AND a.id + {{3|int}} > b.id ORDER BY 1, 2 LIMIT 10
SELECT a.id, b.id FROM [A] a FULL JOIN [B] b ON a.k = b.k AND a.id < b.id
"""

CLASSES = {'join_inner': INNER, 'join_left': LEFT, 'join_right': RIGHT, 'join_full': FULL,
           'join_semi': SEMI, 'join_anti': ANTI, 'join_nonequi': NONEQUI}
