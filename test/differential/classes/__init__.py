"""Statements by class, made from templates: every run makes the same ones.

A class is a list of templates in one of this package's files.  In a template
  [A] [B] [C]      is a table (of setup/classes.sql); pairs of A and B come in turn, so that each is seen
  [H] [H2]         a table distributed on k, [I] one colocated with it
  [R] [L]          a reference table, the local table
  [pa] [pb] ...    a predicate on the columns of alias a, b; [pa2] another one
  [jab]            a join condition of a and b; [eab] one that is an equality; [nab] one that is not
  [ca] [ga] [va]   a column, a column or expression to group by, a numeric expression of alias a
  {{value|type}}   a constant; a parameter where the protocol has parameters
Statements that are not ordered are compared as multisets (compare.py).
"""
import random
import re

from script import Statement

TABLES = ['ha', 'hb', 'hc', 'hd', 'em', 'bk', 'hx', 'ta', 'tb', 'rg', 'ra', 'rb', 'la']
COLOCATED = ['ha', 'hb', 'hc', 'hd', 'em']
REFERENCE = ['ra', 'rb']
PAIRS = [(a, b) for a in TABLES for b in TABLES if {a, b} - {'ra', 'rb', 'la'}]

PREDICATES = """
[].k = {{1|int}}
[].k = {{3|bigint}}
[].k IN (1, 2, {{5|int}})
[].k = ANY ({{{1,NULL,4}|int[]}})
[].k IS NULL
[].k IS NOT NULL
[].k > {{2|int}}
[].k BETWEEN {{1|int}} AND 4
[].k <> {{1|int}}
[].k IS DISTINCT FROM {{1|int}}
[].k = {{NULL|int}}
[].k = 1 OR [].k = {{4|int}}
[].k = 1 OR [].x = {{2|int}}
NOT ([].k = 1)
[].k = [].x
coalesce([].x, 0) = [].k
([].k, [].x) = (1, {{2|int}})
([].k, [].id) < (3, 5)
[].k + [].x > {{3|int}}
[].s = {{a|text}}
[].s IN ('a', {{zz|text}}, '')
[].s LIKE 'a%'
[].s IS NULL
[].s > {{B|text}} COLLATE "C"
[].x = {{2|int}}
[].x IN (1, NULL)
[].x NOT IN (1, {{3|int}})
[].x = ANY ({{{0,2}|bigint[]}})
[].y > {{1|bigint}}
[].n > {{0.5|numeric}}
[].d >= {{2024-02-28|date}}
[].b
[].b IS NOT TRUE
[].id % 3 = {{1|int}}
[].id <= {{9|int}}
true
false
NULL::bool
"""
EQUALITIES = """
[a].k = [b].k
[a].k = [b].k
[a].k = [b].k AND [a].x = [b].x
[a].id = [b].id
[a].x = [b].x
[a].s = [b].s
[a].k = [b].x
[a].x = [b].k
[a].k = [b].id
[a].k = [b].k AND [a].s = [b].s
[a].k = [b].k AND [a].k = {{1|int}}
[a].k + 1 = [b].k
[a].y = [b].k
[a].n = [b].n
[a].d = [b].d AND [a].k = [b].k
"""
OTHER_CONDITIONS = """
[a].k < [b].k
[a].id BETWEEN [b].id AND [b].id + 2
[a].k <> [b].k AND [a].x = {{1|int}}
[a].s < [b].s COLLATE "C"
[a].k = [b].k OR [a].x = [b].x
true
false
NULL::bool
abs([a].x - [b].x) <= {{1|int}}
[a].d <= [b].d AND [a].k = [b].k
[a].k IS NOT DISTINCT FROM [b].k
[a].k >= [b].id
coalesce([a].k, -1) = coalesce([b].k, -1)
[a].k = [b].k AND [a].id <> [b].id
"""
COLUMNS = 'k id x y s n d b'.split()
GROUPS = ['[].k', '[].x', '[].s', '[].y', '[].d', '[].b', '[].x % 2', 'coalesce([].s, [].k::text)', '[].k + 1', '[].n > 1', '[].k, [].x', '[].s, [].b']
VALUES = ['[].id', '[].k', '[].x + [].id', '[].n', '[].y', '[].n * 2', 'coalesce([].x, 0)', '[].id::numeric / 4']


def lines(text):
    return [line for line in text.strip().split('\n') if line]


# Queries in other surroundings (--wrap): the same rows, read otherwise.
WRAPS = {
    'cte': 'WITH around AS MATERIALIZED (%s) SELECT * FROM around',
    'rescan': 'SELECT g, q.* FROM generate_series(1, 2) g, LATERAL (SELECT * FROM (%s) z OFFSET 0 * g) q',
    'left': 'SELECT q.* FROM (VALUES (1), (2)) v(one) LEFT JOIN (%s) q ON v.one = 1',
    'union': '(%s) UNION ALL SELECT * FROM (%s) z',
    'count': 'SELECT count(*) FROM (%s) z',
    'row': 'SELECT (SELECT json_agg(z) IS NULL FROM (%s) z), (SELECT count(*) FROM (%s) z)',
    'cursor': 'BEGIN ;; DECLARE around SCROLL CURSOR FOR %s ;; MOVE ALL FROM around ;; MOVE BACKWARD ALL FROM around ;; @unordered FETCH ALL FROM around ;; ROLLBACK',
    'table': 'BEGIN ;; CREATE TEMP TABLE around AS SELECT * FROM (%s) z ;; SELECT * FROM around ;; ROLLBACK',
}
WRITES = re.compile(r'\bFOR (UPDATE|SHARE|NO KEY|KEY SHARE)\b|\b(INSERT INTO|DELETE FROM|UPDATE [a-z{])')


def wrapped(text, wrap):
    """The statement in its surroundings; None if it is no plain query."""
    if wrap is None:
        return text
    if not re.match(r'(@\w+ )?(SELECT|WITH|VALUES|\()', text) or ';;' in text or WRITES.search(text) or '@count' in text:
        return None
    text = re.sub(r'^@\w+ ', '', text)
    return WRAPS[wrap].replace('%s', text)


class Deck:
    """Items in a shuffled order, again and again."""

    def __init__(self, items, seed):
        self.items, self.at, self.random = list(items), 0, random.Random(seed)
        self.random.shuffle(self.items)

    def draw(self):
        if self.at == len(self.items):
            self.random.shuffle(self.items)
            self.at = 0
        self.at += 1
        return self.items[self.at - 1]


class Maker:
    """Fills templates of one class."""

    def __init__(self, name):
        def deck(items, what):
            return Deck(items, name + what)
        self.tables, self.pairs = deck(TABLES, 'tables'), deck(PAIRS, 'pairs')
        self.colocated = deck([(a, b) for a in COLOCATED for b in COLOCATED if a != 'em'], 'colocated')
        self.reference = deck(REFERENCE, 'reference')
        self.predicates, self.equalities = deck(lines(PREDICATES), 'predicates'), deck(lines(EQUALITIES), 'equalities')
        self.others = deck(lines(OTHER_CONDITIONS), 'others')
        self.columns, self.groups, self.values = deck(COLUMNS, 'columns'), deck(GROUPS, 'groups'), deck(VALUES, 'values')

    def fill(self, template):
        known = {}

        def pair(first, second, deck):
            known[first], known[second] = deck.draw()

        def part(match):
            code = match.group(1)
            if code in known:
                return known[code]
            if code in 'AB':
                pair('A', 'B', self.pairs)
            elif code in ('H', 'I'):
                pair('H', 'I', self.colocated)
            elif code in ('C', 'D'):
                known[code] = self.tables.draw()
            elif code == 'H2':
                known[code] = self.colocated.draw()[0]
            elif code == 'R':
                known[code] = self.reference.draw()
            elif code == 'L':
                known[code] = 'la'
            elif code[0] in 'jen':
                left, right = (code[1], code[2])
                deck = (self.others if code[0] == 'n' or code[0] == 'j' and len(known) % 3 == 0 else self.equalities)
                known[code] = deck.draw().replace('[a]', left).replace('[b]', right)
            else:
                deck = {'p': self.predicates, 'c': self.columns, 'g': self.groups, 'v': self.values}[code[0]]
                text = deck.draw()
                known[code] = text.replace('[].', code[1] + '.') if code[0] != 'c' else '%s.%s' % (code[1], text)
                if code[0] == 'p' and ' OR ' in text:
                    known[code] = '(%s)' % known[code]
            return known[code]

        return re.sub(r'\[([A-Z]2?|[pcgv][a-z]\d?|[jen][a-z]{2}\d?)\]', part, template)


class GeneratedScript:
    """A class as a script: the same attributes as script.Script has."""

    def __init__(self, name, templates, count, sample, wrap=None):
        self.name, self.setups, self.wrap = name, ['classes'], wrap
        self.refused = self.failed_statements = 0
        self.statements = list(self._statements(templates, count, sample))

    def _statements(self, templates, count, sample):
        maker, seen, made, turn = Maker(self.name), set(), 0, 0
        rounds = -(-count // len(templates)) + 40
        for turn in range(rounds):
            for number, template in enumerate(templates):
                if made >= count:
                    return
                text = maker.fill(template)
                if text in seen or turn > 0 and text == template:
                    continue
                seen.add(text)
                made += 1
                text = wrapped(text, self.wrap)
                if (made + number) % sample == 0 and text:
                    yield from self._of_text(text, made)

    def _of_text(self, text, number):
        """Steps are separated by ;; and may start with directives."""
        steps = [step.strip() for step in text.split(';;')]
        for step in steps:
            directives = {'may fail': True}
            while True:
                match = re.match(r'@(may refuse|count|unordered)\s+', step)
                if not match:
                    break
                directives[match.group(1)] = True
                step = step[match.end():]
            if self.wrap:
                directives['unordered'] = True
            yield Statement(step, number, directives)


def classes():
    """{name: (templates, count)} in a fixed order."""
    from classes import copies, groups, joins, names, queries, rows, sessions, subqueries
    found = {}
    for module in (joins, subqueries, queries, groups, rows, sessions, names, copies):
        for name, text in module.CLASSES.items():
            found['class_' + name] = lines(text) if isinstance(text, str) else text
    return found


def generated(names, count, sample, wrap=None):
    return [GeneratedScript(name, templates, count, sample, wrap)
            for name, templates in classes().items() if not names or name in names]
