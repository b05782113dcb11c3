"""Odd, but legal: names, aliases, constants, and what ORDER BY, GROUP BY and DISTINCT ON say."""
import random

ALIASES = ['r1', 'r2', 'r0', 'c1', 'sent', 'fragment', 'shipment', 'cz_shipment_1', 'cz_values_1', 'nothing', 'unnamed_join', '"order"', '"Q q"', '"a""b"',
           '"$1"', '"cz~1~"', 'k', 'ä', '"?column?"', '"%s"', "\"it's\"", '"select"']
OUTPUTS = ['k', 'id', 'x', 's', 'n', 'd', 'b', 'c1', 'o2', 'o1', 'lower', 'upper', 'int4', 'text', 'count', 'coalesce', '"case"', '"from"', '"?column?"', '"Z z"', '"a""b"']
CONSTANTS = ['- CAST(58 AS int)', '- (- CAST(1 AS int))', '- (- CAST(2 AS int))', '- (- (- CAST(2 AS smallint)))', '- (- CAST(1.5 AS numeric))', '+ (- CAST(1 AS int))',
             "CAST('2' AS text)", 'CAST(2 AS bigint)', "CAST('1.5' AS numeric(8,2))", "CAST('ab' AS char(1))", "CAST('101' AS bit(2))", 'NULL::int', 'CAST(true AS bool)',
             "interval '90' MINUTE", "CAST('x' AS \"char\")", "'a' COLLATE \"C\"", "CAST('{1,NULL}' AS int[])", "CAST('{1.5,2}' AS numeric(4,1)[])"]
EXPRESSIONS = ['[].k', '[].id', '[].x', '[].s COLLATE "C"', '[].n::text COLLATE "C"', '[].d::text COLLATE "C"', '[].b', 'lower([].s) COLLATE "C"', 'upper([].s) COLLATE "C"',
               '- [].k', '- (- [].x)', 'coalesce([].x, 0)', 'CASE WHEN [].k > 1 THEN 1 ELSE 2 END', '[].k::int4', '[].n + 1', '([].k, [].x)', 'date([].d)', '[].id % 3']
LITERALS = ["[].n IN ('1'::numeric(8,2), '2.004'::numeric(8,2))", "[].s IN ('a'::char(3), 'zz'::char(2))", "[].s = ANY (ARRAY['a', NULL, 'NULL', 'c''d', 'B ', E'x\\\\y'])",
            "[].n = ANY ('{0.5,1}'::numeric(8,1)[])", "[].k = - (- CAST(1 AS int))", "[].k > - CAST(2 AS int) - 1", "[].d = date '2024-02-28' OR [].d > 'infinity'::date",
            "[].x = '2'::\"numeric\"", "[].s > ''::varchar(3) COLLATE \"C\"", "[].n < 'NaN'::numeric", "[].y = 9223372036854775807 OR [].y = '3'::int8"]


def made():
    rand = random.Random('odd names')
    texts = []

    def alias():
        return rand.choice(ALIASES)

    def expression(name):
        return rand.choice(EXPRESSIONS).replace('[].', name + '.')

    def items(name, count, constants):
        found = [rand.choice(CONSTANTS) if rand.random() < constants else expression(name) for _ in range(count)]
        return [found[i] for i in range(count) if found[i] not in found[:i]]

    def where(name):
        return ' WHERE ' + rand.choice(LITERALS).replace('[].', name + '.') if rand.random() < 0.4 else ''
    for turn in range(60):
        a, b = rand.sample(ALIASES, 2)
        outputs = rand.sample(OUTPUTS, 2)
        # hidden sort columns beside odd names; id decides
        texts.append('SELECT %s AS %s, %s.id AS %s FROM [A] %s%s ORDER BY %s, %s.id%s' % (
            expression(a), outputs[0], a, outputs[1], a, where(a), ', '.join(items(a, rand.randint(1, 3), 0.4)), a, rand.choice(['', ' LIMIT 5', ' OFFSET 2'])))
        # without aliases: bare names
        texts.append('SELECT %s AS %s, id FROM [A]%s ORDER BY %s, id LIMIT 6' % (
            expression('[A]'), outputs[0], where('[A]'), ', '.join(items('[A]', 2, 0.3))))
        texts.append('SELECT count(*) AS %s, %s.x AS %s FROM [A] %s%s GROUP BY %s.x, %s' % (
            outputs[0], a, outputs[1], a, where(a), a, ', '.join(items(a, 1, 0.9))))
        item = items(a, 1, 0.5)[0]
        texts.append('SELECT DISTINCT ON (%s, %s.k) %s.id AS %s, %s AS %s FROM [A] %s ORDER BY %s, %s.k, %s.id' % (
            item, a, a, outputs[0], expression(a), outputs[1], a, item, a, a))
        texts.append('SELECT %s.id AS %s, %s.id AS %s FROM [A] %s JOIN [B] %s ON %s.k = %s.k ORDER BY %s, 1, 2 LIMIT 9' % (
            a, outputs[0], b, outputs[1], a, b, a, b, rand.choice(CONSTANTS)))
        texts.append('WITH %s AS MATERIALIZED (SELECT k, x AS %s FROM [C]), %s AS (SELECT id, k FROM [A]%s) SELECT %s.id, %s.k FROM %s JOIN %s ON %s.k = %s.k JOIN [B] z ON z.x = %s.k' % (
            a, outputs[0], b, '', b, a, b, a, b, a, b))
        texts.append('SELECT q.* FROM (SELECT %s AS %s, id FROM [A] %s%s ORDER BY %s, id LIMIT 4) q' % (
            expression(a), outputs[0], a, where(a), ', '.join(items(a, 1, 0.6))))
        texts.append('SELECT %s, count(*) FROM [A] %s GROUP BY GROUPING SETS ((1, %s), (%s))' % (
            expression(a), a, rand.choice(CONSTANTS), expression(a)))
    return texts


# an odd number: a sample of them takes every kind
CLASSES = {'names': made()[:299]}
