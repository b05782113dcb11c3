"""Random SQL over the tables of setup.sql.

Every statement has one right answer: LIMIT comes with an ORDER BY of all columns, windows are
of kinds that ties do not disturb, scalar sub-queries give one row, nothing divides by zero.
"""
import random

I, S, N, D, T, B, F = 'int', 'text', 'numeric', 'date', 'timestamptz', 'boolean', 'float8'

TABLES = {
    'ca': [('k', I), ('id', I), ('x', I), ('y', I), ('s', S), ('n', N), ('d', D), ('t', T), ('b', B), ('f', F)],
    'cb': [('id', I), ('y', I), ('x', I), ('k', I), ('s', S), ('n', N), ('d', D), ('t', T), ('b', B)],
    'cc': [('id', I), ('s', S), ('k', I), ('x', I), ('y', I), ('n', N), ('d', D)],
    'ta': [('id', I), ('s', S), ('k', I), ('x', I), ('y', I), ('n', N), ('d', D), ('b', B)],
    'tb': [('s', S), ('id', I), ('x', I), ('k', I), ('n', N)],
    'od': [('id', I), ('k', I), ('x', I), ('y', I), ('s', S), ('n', N), ('d', D), ('t', T)],
    'oi': [('id', I), ('k', I), ('x', I), ('y', I), ('s', S)],
    'rr': [('id', I), ('k', I), ('x', I), ('s', S), ('n', N), ('d', D)],
    'rd': [('id', I), ('s', S), ('k', I), ('y', I)],
    'lo': [('id', I), ('k', I), ('x', I), ('s', S), ('b', B)],
    'lb': [('id', I), ('k', I), ('y', I), ('s', S), ('n', N)],
    'bi': [('id', I), ('k', I), ('x', I), ('y', I), ('s', S), ('n', N), ('d', D)],
    'bj': [('y', I), ('id', I), ('k', I), ('s', S), ('n', N), ('t', T)],
    'pa': [('id', I), ('k', I), ('x', I), ('s', S), ('d', D)],
    'sb': [('id', I), ('x', I), ('k', I), ('s', S), ('n', N)],
}
KEYS = {'ca': 'k', 'cb': 'k', 'cc': 'k', 'ta': 's', 'tb': 's', 'od': 'k', 'oi': 'x', 'bi': 'id', 'bj': 'y', 'pa': 'k', 'sb': 'k'}
# what a statement is about: tables that mostly lie together, apart, here, behind a policy
PROFILES = [
    (8, {'ca': 6, 'cb': 6, 'cc': 4, 'ta': 3, 'tb': 3, 'od': 2, 'oi': 2, 'rr': 3, 'rd': 2, 'lo': 1}),
    (6, {'ca': 3, 'ta': 3, 'od': 3, 'oi': 3, 'bi': 1, 'cb': 1, 'rr': 1}),
    (2, {'bi': 4, 'bj': 4, 'ca': 2, 'oi': 1, 'lb': 1}),
    (3, {'ca': 3, 'ta': 1, 'oi': 1, 'bi': 1, 'lo': 3, 'lb': 2}),
    (3, {'pa': 4, 'sb': 3, 'ca': 2, 'ta': 1, 'oi': 1, 'rr': 1, 'lo': 1}),
]
WRITABLE = ['ca', 'cb', 'cc', 'ta', 'od', 'rr', 'lo']
# names that are legal and odd: those that we give ourselves, columns', keywords
ODD_NAMES = ['r%d', 'c%d', 'o%d', 'k%d', 'cz_shipment_%d', 'cz_values_%d', 'sent%d', '"order%d"', '"Q q%d"', '"a.b%d"', '"$%d"', '"x""y%d"', 'ä%d']
ODD_OUTPUTS = ['d', 'k', 's', 'n', 'x', 'id', 'lower', 'count', '"case"', '"from"', '"Z z"', '"?column?"', 'c1', 'o2', 'int4', 'upper', 'coalesce']
# what the parser may take for a position or for something else
ODD_CONSTANTS = ['- (- CAST(2 AS int))', '- CAST(1 AS int)', '- (- (- CAST(1 AS smallint)))', '- (- CAST(1.5 AS numeric))', '+ (- CAST(3 AS int))',
                 "CAST('x' AS text)", 'CAST(2 AS bigint)', 'NULL::int', "CAST('1.5' AS numeric(8,2))", "CAST('abc' AS char(2))", "CAST('101' AS bit(3))"]
STRINGS = ["'a'", "'a '", "'B'", "'b'", "''", "'zz'", "'c''d'", "'ä'", "'nobody'"]


# what the oldest server knows: prepare()
MAJOR = 14
# setup_18.sql: virtual generated columns
VIRTUAL = {'ca': [('vx', I), ('vs', S)], 'cb': [('vx', I)], 'od': [('vx', I), ('vs', S)], 'rr': [('vx', I)], 'lo': [('vx', I)],
           'up': [('vx', I)], 'ut': [('vx', I)]}
UPSERTED = {'up': [('k', I), ('id', I), ('x', I), ('s', S)], 'ut': [('k', I), ('id', I), ('x', I), ('s', S)]}


def prepare(major):
    """Make use of what servers of this major have."""
    global MAJOR
    MAJOR = major
    if major >= 18:
        for name, columns in VIRTUAL.items():
            (TABLES if name in TABLES else UPSERTED)[name].extend(columns)


class Source:
    """A range-table entry: alias and columns, the column that is the key if it has one."""

    def __init__(self, alias, columns, key=None):
        self.alias, self.columns, self.key = alias, columns, key


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0
        self.params = None          # list of (type, literal) while a prepared statement is made
        self.ctes = []
        self.budget = 0
        self.apart = 0.0            # how often a join leaves the keys alone
        self.choose_profile()

    def choose_profile(self):
        weights = [weight for weight, _ in PROFILES]
        self.weights = self.random.choices(PROFILES, weights)[0][1]
        self.apart = self.random.choice([0.0, 0.0, 0.5, 0.8])
        self.distinct_often = self.chance(0.1)
        self.odd = self.chance(0.25)

    # ---- small things
    def chance(self, p):
        return self.random.random() < p

    def pick(self, items):
        return self.random.choice(items)

    def name(self, prefix='q'):
        self.names += 1
        if self.odd and self.chance(0.4):
            return self.pick(ODD_NAMES) % self.names
        return '%s%d' % (prefix, self.names)

    def literal(self, kind):
        r = self.random
        if kind == I:
            text = str(r.choice([0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 10, -1, 77]))
            if self.odd and self.chance(0.3):
                text = r.choice(['(- (- CAST(2 AS int)))', '(- CAST(1 AS int))', "CAST('3' AS int)"])
        elif kind == S:
            text = r.choice(STRINGS)
        elif kind == N:
            text = r.choice(['0', '1', '1.0', '1.50', '2.25', '0.75', '-1'])
            if self.odd and self.chance(0.3):
                text = "CAST('%s' AS numeric(8,2))" % text
        elif kind == D:
            text = "date '2024-0%s'" % r.choice(['2-26', '2-28', '2-29', '3-01', '3-02'])
        elif kind == T:
            text = "timestamptz '2026-03-%s+00'" % r.choice(['28 23:00', '29 00:00', '29 01:30', '29 03:00'])
        elif kind == B:
            text = r.choice(['true', 'false'])
        else:
            text = r.choice(['0.5', '1.25', '3'])
        if self.chance(0.03):
            text = 'NULL'
        if self.params is not None and self.chance(0.5) and len(self.params) < 8:
            self.params.append((kind, text))
            return '$%d' % len(self.params)
        return text if text != 'NULL' else 'NULL::%s' % kind

    def array_literal(self, kind):
        if kind == I:
            return self.pick(["'{1,2}'::int[]", "'{1,NULL}'::bigint[]", "'{}'::int[]", "'{5,99999999999}'::bigint[]", 'NULL::int[]'])
        return self.pick(["'{a,B}'::text[]", "'{\"a \",NULL}'::text[]", "'{}'::text[]", "'{a,zz}'::varchar[]"])

    # ---- expressions
    def columns(self, scopes, kind):
        """(reference, is outer) of every column of that type; inner ones first."""
        found = []
        for depth, scope in enumerate(scopes):
            for source in scope:
                for name, column_kind in source.columns:
                    if column_kind == kind:
                        found.append(('%s.%s' % (source.alias, name), depth))
        return found

    def column(self, scopes, kind):
        found = self.columns(scopes[:1], kind)
        outer = self.columns(scopes[1:], kind)
        if outer and (not found or self.chance(0.25)):
            found = outer
        return self.pick(found)[0] if found else None

    def expression(self, kind, scopes, depth=2):
        r = self.random
        if depth <= 0 or self.chance(0.55):
            column = self.column(scopes, kind)
            if column and not self.chance(0.15):
                return column
            return self.literal(kind)

        def sub(k):
            return self.expression(k, scopes, depth - 1)
        if self.chance(0.08):
            return 'CASE WHEN %s THEN %s ELSE %s END' % (self.condition(scopes, depth - 1), sub(kind), sub(kind))
        if self.chance(0.08):
            return 'coalesce(%s, %s)' % (sub(kind), sub(kind))
        if self.chance(0.04):
            return 'nullif(%s, %s)' % (sub(kind), sub(kind))
        if self.chance(0.10) and self.budget > 0:
            return self.scalar_subquery(kind, scopes)
        if MAJOR >= 17 and kind in (I, S, N) and self.chance(0.04):
            return "JSON_VALUE(jsonb_build_array(%s, %s), '$[%d]' RETURNING %s %s)" % (
                sub(kind), sub(I), r.randint(0, 1), kind,
                r.choice(['NULL ON ERROR', 'NULL ON EMPTY NULL ON ERROR', 'DEFAULT NULL ON ERROR']))
        if kind == I:
            return r.choice([
                lambda: '(%s + %s)' % (sub(I), sub(I)), lambda: '(%s - %s)' % (sub(I), sub(I)),
                lambda: '(%s %% 4)' % sub(I), lambda: 'length(%s)' % sub(S), lambda: 'abs(%s)' % sub(I),
                lambda: 'extract(day FROM %s)::int' % sub(D), lambda: 'extract(hour FROM %s)::int' % sub(T),
                lambda: 'greatest(%s, %s)' % (sub(I), sub(I)), lambda: '(%s - %s)' % (sub(D), sub(D)),
                lambda: '(%s)::int' % sub(B), lambda: '(%s)::bigint' % sub(I)])()
        if kind == S:
            return r.choice([
                lambda: 'upper(%s)' % sub(S), lambda: "(%s || '-' || %s)" % (sub(S), sub(S)), lambda: '(%s)::text' % sub(I),
                lambda: '(%s)::text' % sub(D), lambda: "to_char(%s, 'YYYY Mon DD HH24:MI')" % sub(T),
                lambda: '(%s)::text' % sub(T), lambda: 'substr(%s, 1, 2)' % sub(S), lambda: 'trim_scale(%s)::text' % sub(N),
                lambda: '(%s)::text' % sub(B), lambda: 'rtrim(%s)' % sub(S), lambda: '(%s)::char(3)::text' % sub(S),
                lambda: "concat(%s, '/', %s)" % (sub(I), sub(S))])()
        if kind == N:
            return r.choice([
                lambda: '(%s * %s)' % (sub(N), self.literal(N)), lambda: '(%s + %s)' % (sub(N), sub(I)),
                lambda: 'round(%s, 1)' % sub(N), lambda: '(%s / 4)' % sub(N), lambda: '(%s)::numeric' % sub(I)])()
        if kind == D:
            return r.choice([
                lambda: '(%s + (%s %% 5)::int)' % (sub(D), sub(I)), lambda: '(%s)::date' % sub(T),
                lambda: "date_trunc('month', %s)::date" % sub(D), lambda: 'least(%s, %s)' % (sub(D), sub(D))])()
        if kind == T:
            return r.choice([
                lambda: "(%s + interval '1 day')" % sub(T), lambda: "date_trunc('day', %s)" % sub(T),
                lambda: '(%s)::timestamptz' % sub(D), lambda: "(%s AT TIME ZONE 'UTC')::timestamptz" % sub(T)])()
        if kind == B:
            return '(%s)' % self.condition(scopes, depth - 1)
        return r.choice([lambda: '(%s + 0.5)' % sub(F), lambda: '(%s)::float8' % sub(I), lambda: 'sqrt(abs(%s))' % sub(F)])()

    def condition(self, scopes, depth=2):
        r = self.random

        def sub(k):
            return self.expression(k, scopes, depth - 1)
        roll = r.random()
        if depth > 0 and roll < 0.10:
            return '(%s %s %s)' % (self.condition(scopes, depth - 1), r.choice(['AND', 'OR']), self.condition(scopes, depth - 1))
        if depth > 0 and roll < 0.13:
            return 'NOT (%s)' % self.condition(scopes, depth - 1)
        if depth > 0 and roll < 0.26 and self.budget > 0:
            return self.subquery_condition(scopes)
        kind = r.choice([I, I, I, S, S, N, D, T, B])
        if roll < 0.45:
            return '%s = %s' % (sub(kind), sub(kind))
        if roll < 0.55:
            key = self.key_column(scopes[0])
            if key:
                reference, kind = key
                return r.choice([
                    lambda: '%s = %s' % (reference, self.literal(kind)), lambda: '%s = %s' % (reference, self.literal(kind)),
                    lambda: '%s IN (%s, %s)' % (reference, self.literal(kind), self.literal(kind)),
                    lambda: '%s IS NULL' % reference, lambda: '%s IS NOT NULL' % reference,
                    lambda: '%s = ANY (ARRAY[%s, %s]::%s[])' % (reference, self.literal(kind), self.literal(kind), kind),
                    lambda: '%s IS NOT DISTINCT FROM %s' % (reference, self.literal(kind)),
                    lambda: '(%s = %s OR %s = %s)' % (reference, self.literal(kind), reference, self.literal(kind)),
                    lambda: '%s = %s AND %s' % (reference, self.literal(kind), self.condition(scopes, 1)),
                    lambda: '(%s = %s OR %s)' % (reference, self.literal(kind), self.condition(scopes, 1)),
                    lambda: '%s = ANY (%s)' % (reference, self.array_literal(kind)),
                    lambda: '%s = %s::%s' % (reference, self.literal(kind), 'char(4)' if kind == S else 'bigint'),
                    lambda: 'coalesce(%s, %s) = %s' % (reference, self.literal(kind), self.literal(kind)),
                    lambda: '%s = %s' % (reference, self.scalar_subquery(kind, scopes) if self.budget > 0
                                         else self.literal(kind))])()
        if roll < 0.72:
            return '%s %s %s' % (sub(kind), r.choice(['<', '<=', '>', '>=', '<>']), sub(kind))
        if roll < 0.80:
            return '%s IS %sNULL' % (sub(kind), r.choice(['', 'NOT ']))
        if roll < 0.86:
            return '%s %sIN (%s, %s)' % (sub(kind), r.choice(['', 'NOT ']), self.literal(kind), self.literal(kind))
        if roll < 0.90:
            return '%s IS %sDISTINCT FROM %s' % (sub(kind), r.choice(['', 'NOT ']), sub(kind))
        if roll < 0.94:
            return "%s LIKE '%s'" % (sub(S), r.choice(['a%', '%b', '_', '%']))
        if roll < 0.97:
            return '%s BETWEEN %s AND %s' % (sub(kind), self.literal(kind), self.literal(kind))
        return '(%s, %s) = (%s, %s)' % (sub(I), sub(S), sub(I), sub(S))

    def key_column(self, scope):
        with_key = [source for source in scope if source.key]
        if not with_key:
            return None
        source = self.pick(with_key)
        return '%s.%s' % (source.alias, source.key), dict(source.columns)[source.key]

    # ---- sub-queries in expressions
    def scalar_subquery(self, kind, scopes):
        self.budget -= 1
        if self.chance(0.6):
            from_, scope, where = self.from_where(scopes, tables=self.pick([1, 1, 2]))
            inner = [scope] + scopes
            argument = self.expression(kind, [scope], 1)
            if kind == I:
                value = self.pick(['count(*)::int', 'count(%s)::int' % argument, 'sum(%s)::int' % argument,
                                   'max(%s)' % argument, 'count(DISTINCT %s)::int' % argument])
            elif kind == N:
                value = self.pick(['sum(%s)', 'round(avg(%s), 4)', 'max(%s)', '0.5 * max(%s)']) % argument
            elif kind == B:
                value = self.pick(['bool_and(%s)', 'bool_or(%s)', 'count(%s) > 2']) % argument
            elif kind == S:
                value = self.pick(['min(%s)', "string_agg(%s, ',' ORDER BY 1)", 'max(%s)'])
                value = value.replace('ORDER BY 1', 'ORDER BY %s') % ((argument, argument) if 'ORDER' in value else argument)
            else:
                value = self.pick(['min(%s)', 'max(%s)']) % argument
            del inner
            return '(SELECT %s%s%s)' % (value, from_, where)
        from_, scope, where = self.from_where(scopes, tables=1)
        return '(SELECT %s%s%s ORDER BY 1 %sLIMIT 1)' % (self.expression(kind, [scope] + scopes, 1), from_, where,
                                                        self.pick(['', 'DESC ', 'NULLS FIRST ']))

    def subquery_condition(self, scopes):
        self.budget -= 1
        kind = self.pick([I, I, I, S, N, D])
        roll = self.random.random()
        if roll < 0.35:
            from_, scope, where = self.from_where(scopes, tables=self.pick([1, 1, 2]))
            return '%sEXISTS (SELECT 1%s%s)' % (self.pick(['', 'NOT ']), from_, where)
        key = self.key_column(scopes[0])
        if key and self.chance(0.5):
            left, kind = key
        else:
            left = self.expression(kind, scopes, 1)
        if roll < 0.5:
            body = self.query(scopes, 1, [kind])[0]
        else:
            from_, scope, where = self.from_where(scopes, tables=self.pick([1, 1, 2]))
            inner_key = self.key_column(scope)
            value = inner_key[0] if inner_key and inner_key[1] == kind and self.chance(0.6) else \
                self.expression(kind, [scope] + scopes, 1)
            body = 'SELECT %s%s%s' % (value, from_, where)
        if roll < 0.75:
            return '%s %sIN (%s)' % (left, self.pick(['', '', 'NOT ']), body)
        return '%s %s %s (%s)' % (left, self.pick(['=', '<', '>=', '<>']), self.pick(['ANY', 'ALL']), body)

    # ---- FROM
    def table(self):
        table = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        if table in ('bi', 'bj'):
            # each once a statement: more of them can make a join slow
            self.weights = {other: weight for other, weight in self.weights.items() if other != table}
        return table

    def source(self, scopes, lateral_scope, depth):
        """Text and Source of one item of FROM."""
        roll = self.random.random()
        alias = self.name('t')
        if self.ctes and roll < 0.25:
            cte = self.pick(self.ctes)
            return '%s %s' % (cte.alias, alias), Source(alias, cte.columns, cte.key)
        if depth > 0 and self.budget > 0 and roll < 0.45:
            self.budget -= 1
            lateral = bool(lateral_scope) and self.chance(0.4)
            inner_scopes = ([lateral_scope] + scopes) if lateral else scopes
            text, columns, key = self.query(inner_scopes, depth - 1)
            return '%s(%s) %s' % ('LATERAL ' if lateral else '', text, alias), Source(alias, columns, key)
        if depth > 0 and roll < 0.48:
            return self.summary(alias)
        if roll < 0.50:
            return ("(VALUES (1, 'a'), (2, 'zz'), (NULL, NULL), (5, 'B ')) %s (k, s)" % alias,
                    Source(alias, [('k', I), ('s', S)]))
        if roll < 0.52:
            return 'generate_series(0, 4) %s (k)' % alias, Source(alias, [('k', I)])
        if roll < 0.56 and MAJOR >= 17:
            return self.json_table(alias, lateral_scope)
        table = self.table()
        return '%s %s' % (table, alias), Source(alias, TABLES[table], KEYS.get(table))

    def json_table(self, alias, lateral_scope):
        """Rows of a value, which may be made of columns of the FROM items before."""
        inner = [lateral_scope or []]
        passing = self.chance(0.4)
        text = "JSON_TABLE(jsonb_build_array(%s, 1, %s, jsonb_build_array(2, 3)), '$[*]%s'%s COLUMNS (k int PATH '$' %s, s text PATH '$' %s, o FOR ORDINALITY%s)) %s" % (
            self.expression(I, inner, 1), self.expression(S, inner, 1),
            ' ? (@ != $m)' if passing else '', ' PASSING %s AS m' % self.expression(I, inner, 1) if passing else '',
            self.pick(['NULL ON ERROR', 'DEFAULT 7 ON EMPTY DEFAULT 3 ON ERROR']), self.pick(['NULL ON ERROR', "DEFAULT 'none' ON ERROR"]),
            self.pick(['', ", NESTED PATH '$[*]' AS p COLUMNS (x int PATH '$')"]), alias)
        # core gives what is in there no collation: upper() always fails, if a plan comes to it
        text = text.replace('upper(', 'concat(')
        return text, Source(alias, [('k', I), ('s', S), ('o', I)] + ([('x', I)] if 'NESTED' in text else []))

    def summary(self, alias):
        """A table by one of its columns, often the key, or what one key has."""
        table = self.pick(list(KEYS))
        key, columns = KEYS[table], dict(TABLES[table])
        other = self.pick([c for c, k in TABLES[table] if k == I])
        roll = self.random.random()
        if roll < 0.5:
            column = key if self.chance(0.7) else other
            text = 'SELECT z.%s, count(*)::int AS n1, sum(z.%s)::int AS n2 FROM %s z GROUP BY z.%s' % (column, other, table, column)
            return '(%s) %s' % (text, alias), Source(alias, [(column, columns[column]), ('n1', I), ('n2', I)], column if column == key else None)
        value = self.literal(columns[key])
        if roll < 0.75:
            text = 'SELECT %s AS k1, count(*)::int AS n1 FROM %s z WHERE z.%s = %s' % (value, table, key, value)
            return '(%s) %s' % (text, alias), Source(alias, [('k1', columns[key]), ('n1', I)], 'k1')
        text = 'SELECT DISTINCT z.%s AS k1, z.%s AS n1 FROM %s z WHERE z.%s IS NOT NULL' % (key, other, table, other)
        return '(%s) %s' % (text, alias), Source(alias, [('k1', columns[key]), ('n1', I)], 'k1')

    def join_condition(self, left, right, scopes):
        """A condition between what is joined already and one more source."""
        parts = []
        roll = self.random.random()
        if right.key and roll < 0.55 and not self.chance(self.apart):
            kind = dict(right.columns)[right.key]
            keyed = [s for s in left if s.key and dict(s.columns)[s.key] == kind]
            if keyed:
                other = self.pick(keyed)
                parts.append('%s.%s = %s.%s' % (other.alias, other.key, right.alias, right.key))
        if not parts:
            kind = self.pick([I, I, S])
            mine = [c for c, k in right.columns if k == kind]
            theirs = self.columns([left], kind)
            if mine and theirs:
                theirs, mine = self.pick(theirs)[0], '%s.%s' % (right.alias, self.pick(mine))
                operator = self.random.choice(['=', '=', '=', '=', '=', '=', '<', '>=', 'IS NOT DISTINCT FROM', 'BETWEEN'])
                if operator == 'BETWEEN' and kind == I:
                    parts.append('%s BETWEEN %s - 1 AND %s' % (theirs, mine, mine))
                else:
                    parts.append('%s %s %s' % (theirs, operator.replace('BETWEEN', '='), mine))
        if not parts or self.chance(0.25):
            parts.append(self.condition([left + [right]] + scopes, 1))
        return ' AND '.join(parts)

    def from_where(self, scopes, tables=None, depth=1):
        count = tables or self.pick([1, 1, 2, 2, 2, 3])
        text, first = self.source(scopes, [], depth)
        scope = [first]
        full_ok = True
        for _ in range(count - 1):
            roll = self.random.random()
            item, source = self.source(scopes, scope, depth)
            lateral = item.startswith('LATERAL')
            if roll < 0.12:
                text += ' CROSS JOIN ' + item if self.chance(0.5) else ', ' + item
                full_ok = False
            else:
                kind = self.pick(['JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'])
                if lateral and kind in ('RIGHT JOIN', 'FULL JOIN'):
                    kind = 'LEFT JOIN'
                if ', ' in text and kind != 'JOIN':
                    kind = 'JOIN' if not lateral else 'LEFT JOIN'
                if kind == 'FULL JOIN':
                    common = [c for c, k in source.columns if (c, k) in first.columns and k in (I, S)]
                    if not common:
                        kind = 'LEFT JOIN'
                    else:
                        column = source.key if source.key in common and self.chance(0.6) else self.pick(common)
                        condition = '%s.%s = %s.%s' % (first.alias, column, source.alias, column)
                        if len(scope) > 1:
                            text = '(%s)' % text
                if ',' in text and '(' not in text:
                    text += ', ' + item
                elif kind == 'FULL JOIN':
                    text = '%s FULL JOIN %s ON %s' % (text, item, condition)
                else:
                    visible = scope
                    if ', ' in text:
                        visible = []
                    text = '%s %s %s ON %s' % (text, kind, item,
                                               self.join_condition(visible, source, scopes) if visible
                                               else 'true')
            scope = scope + [source]
        del full_ok
        where = []
        if scopes and self.chance(0.75):
            # correlate, often by the keys
            key = self.key_column(scope)
            outer = self.key_column(scopes[0])
            if key and outer and key[1] == outer[1] and self.chance(0.6):
                where.append('%s = %s' % (key[0], outer[0]))
            else:
                kind = self.pick([I, I, S])
                mine, theirs = self.columns([scope], kind), self.columns(scopes, kind)
                if mine and theirs:
                    where.append('%s = %s' % (self.pick(mine)[0], self.pick(theirs)[0]))
        while self.chance(0.45):
            where.append(self.condition([scope] + scopes))
        return ' FROM ' + text, scope, ' WHERE ' + ' AND '.join(where) if where else ''

    # ---- whole queries
    def query(self, scopes, depth, kinds=None, top=False):
        """Text, columns and key column of a SELECT; kinds: the types it must return."""
        r = self.random
        roll = r.random()
        if depth > 0 and roll < 0.15:
            return self.set_operation(scopes, depth, kinds)
        wanted = kinds or [r.choice([I, I, S, N, D, T, B]) for _ in range(r.randint(1, 4))]
        from_, scope, where = self.from_where(scopes, depth=min(depth, 1 if not top else 2))
        inner = [scope] + scopes
        if roll < 0.45:
            return self.grouped(from_, scope, where, scopes, wanted, kinds is not None, top)
        exprs, columns, key = [], [], None
        for i, kind in enumerate(wanted):
            name = 'c%d' % (i + 1)
            source_key = self.key_column(scope)
            if source_key and source_key[1] == kind and self.chance(0.5):
                expr = source_key[0]
                key = name
            elif self.chance(0.12) and kind in (I, N):
                expr = self.window(scope, kind)
            else:
                expr = self.expression(kind, inner)
            exprs.append('%s AS %s' % (expr, name))
            columns.append((name, kind))
        if top and self.chance(0.05):
            plain = [s.alias for s in scope]
            exprs.append('%s AS whole' % self.pick(plain))
        distinct = ''
        tail = ''
        numbers = ', '.join(str(i + 1) for i in range(len(exprs)))
        if self.chance(0.12):
            distinct = 'DISTINCT '
        elif self.chance(0.06) and 'whole' not in exprs[-1]:
            distinct = 'DISTINCT ON (c1) ' if False else 'DISTINCT ON (%s) ' % exprs[0].rsplit(' AS ', 1)[0]
            if '$' in distinct or distinct.startswith('DISTINCT ON (NULL') or distinct[13:14].isdigit() or distinct[13:14] == '-':
                distinct = ''
            else:
                tail = ' ORDER BY ' + numbers
        if not tail and self.chance(0.3):
            tail = ' ORDER BY ' + self.order(len(exprs), odd=not distinct)
        if top:
            exprs = self.odd_outputs(exprs)
        if tail and self.chance(0.6):
            tail += ' LIMIT %d' % r.randint(0, 12)
            if self.chance(0.3):
                tail += ' OFFSET %d' % r.randint(0, 5)
        elif tail and self.chance(0.15):
            tail += ' FETCH FIRST %d ROWS WITH TIES' % r.randint(1, 5)
        elif tail and self.chance(0.1):
            tail += ' OFFSET %d' % r.randint(0, 5)
        return 'SELECT %s%s%s%s%s' % (distinct, ', '.join(exprs), from_, where, tail), columns, key

    def odd_outputs(self, exprs):
        """Other names for the columns of a statement: nobody reads them."""
        if not self.odd or self.chance(0.3):
            return exprs
        return [expr.rsplit(' AS ', 1)[0] + ' AS ' + self.pick(ODD_OUTPUTS) if ' AS c' in expr and self.chance(0.6) else expr
                for expr in exprs]

    def order(self, count, odd=False):
        """All columns, so that ties are equal rows; constants between them change nothing."""
        numbers = list(range(1, count + 1))
        if self.chance(0.5):
            self.random.shuffle(numbers)
        if odd and self.odd and self.chance(0.5):
            numbers.insert(self.random.randint(0, count), self.pick(ODD_CONSTANTS))
        return ', '.join('%s%s' % (number, self.pick(['', '', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST'])) for number in numbers)

    def window(self, scope, kind):
        partition = []
        key = self.key_column(scope)
        if key and self.chance(0.6):
            partition.append(key[0])
        if self.chance(0.4):
            partition.append(self.expression(self.pick([I, S]), [scope], 1))
        order = ''
        function = self.pick(['count(*)', 'sum(%s)' % self.expression(I, [scope], 1), 'max(%s)' % self.expression(I, [scope], 1)])
        if self.chance(0.5):
            order = ' ORDER BY %s' % self.expression(self.pick([I, N, D]), [scope], 1)
            function = self.pick([function, 'rank()', 'dense_rank()'])
        text = '%s OVER (%s%s)' % (function, 'PARTITION BY ' + ', '.join(partition) if partition else '', order)
        return '(%s)::%s' % (text, kind)

    def aggregate(self, kind, scopes, scope):
        r = self.random
        inner = [scope]
        if self.chance(0.12):
            inner = [scope] + scopes
        distinct = 'DISTINCT ' if self.chance(0.7 if self.distinct_often else 0.15) else ''
        filter_ = ''
        if self.chance(0.15):
            filter_ = ' FILTER (WHERE %s)' % self.condition([scope], 1)

        def arg(k):
            return self.expression(k, inner, 1)
        if kind == I:
            text = r.choice([lambda: 'count(*)%s' % filter_, lambda: 'count(%s%s)%s' % (distinct, arg(r.choice([I, S, D])), filter_),
                             lambda: 'sum(%s%s)%s' % (distinct, arg(I), filter_), lambda: 'min(%s)%s' % (arg(I), filter_),
                             lambda: 'max(%s)%s' % (arg(I), filter_), lambda: 'bit_or(%s)%s' % (arg(I), filter_)])()
            return '(%s)::int' % text
        if kind == N:
            return r.choice([lambda: 'sum(%s%s)%s' % (distinct, arg(N), filter_), lambda: 'avg(%s%s)%s' % (distinct, arg(N), filter_),
                             lambda: 'avg(%s)%s' % (arg(I), filter_), lambda: 'stddev(%s)%s' % (arg(I), filter_),
                             lambda: 'var_pop(%s)%s' % (arg(N), filter_), lambda: 'variance(%s%s)%s' % (distinct, arg(N), filter_),
                             lambda: 'percentile_disc(0.5) WITHIN GROUP (ORDER BY %s)%s' % (arg(N), filter_)])()
        if kind == S:
            a = arg(S)
            return r.choice([lambda: 'min(%s)%s' % (a, filter_), lambda: 'max(%s)%s' % (a, filter_),
                             lambda: "string_agg(%s, '|' ORDER BY %s)%s" % (a, a, filter_),
                             lambda: "string_agg(DISTINCT %s, '|' ORDER BY %s)%s" % (a + '::text', a + '::text', filter_),
                             lambda: '(array_agg(%s ORDER BY %s)%s)::text' % (a, a, filter_)])()
        if kind == B:
            return r.choice(['bool_and', 'bool_or', 'every']) + '(%s)%s' % (arg(B), filter_)
        if kind == F:
            return r.choice(['sum', 'avg', 'stddev', 'var_pop']) + '(%s)%s' % (arg(F), filter_)
        return r.choice(['min', 'max']) + '(%s)%s' % (arg(kind), filter_)

    def grouped(self, from_, scope, where, scopes, wanted, fixed, top):
        r = self.random
        groups, columns, exprs, key = [], [], [], None
        if not fixed and self.chance(0.2):
            wanted = wanted + [F]
        any_group = self.chance(0.75)
        for i, kind in enumerate(wanted):
            name = 'c%d' % (i + 1)
            source_key = self.key_column(scope)
            if any_group and (i == 0 or self.chance(0.25)) and kind != F:
                if source_key and source_key[1] == kind and self.chance(0.6):
                    expr = source_key[0]
                    key = name
                else:
                    expr = self.column([scope], kind) or self.column([scope], I)
                    if kind in (I, S) and expr and self.chance(0.2):
                        expr = self.expression(kind, [scope], 1)
                if expr is None or '$' in expr or 'SELECT' in expr or not any(ch == '.' for ch in expr) or \
                        self.columns([scope], kind) == []:
                    expr = self.aggregate(kind, scopes, scope)
                else:
                    groups.append(expr)
            else:
                expr = self.aggregate(kind, scopes, scope)
            exprs.append('%s AS %s' % (expr, name))
            columns.append((name, kind))
        tail = ''
        if groups:
            if len(groups) > 1 and self.chance(0.3):
                listed = ', '.join(groups)
                tail = ' GROUP BY ' + r.choice([
                    'ROLLUP (%s)' % listed, 'CUBE (%s)' % listed, 'GROUPING SETS ((%s), ())' % listed,
                    'GROUPING SETS (%s)' % ', '.join('(%s)' % group for group in groups),
                    'GROUPING SETS ((%s), (%s))' % (listed, groups[-1]), '%s, ROLLUP (%s)' % (groups[0], ', '.join(groups[1:])),
                    'GROUPING SETS ((%s), (%s), ())' % (listed, listed), 'DISTINCT ROLLUP (%s), CUBE (%s)' % (groups[0], groups[-1])])
                if not fixed and self.chance(0.6):
                    name = 'c%d' % (len(columns) + 1)
                    exprs.append('grouping(%s)::int AS %s' % (listed, name))
                    columns.append((name, I))
            elif self.chance(0.06):
                tail = ' GROUP BY GROUPING SETS ((%s), ())' % groups[0] if len(groups) == 1 else ' GROUP BY ' + ', '.join(groups)
            else:
                tail = ' GROUP BY ' + ', '.join(groups)
                if self.odd and self.chance(0.4):
                    tail += ', ' + self.pick(ODD_CONSTANTS)
        if self.chance(0.2):
            tail += ' HAVING %s' % r.choice([
                'count(*) > %s' % self.literal(I), '%s > %s' % (self.aggregate(I, [], scope), self.literal(I)),
                '%s IS NOT NULL' % self.aggregate(S, [], scope)])
        elif groups and self.chance(0.3):
            # a column of grouping sets is NULL above them, not below
            group, kind = self.pick([(expr, kind) for expr, (_, kind) in zip([e.rsplit(' AS ', 1)[0] for e in exprs], columns) if expr in groups])
            tail += ' HAVING ' + r.choice([
                lambda: '%s IS NULL' % group, lambda: '(%s IS NULL OR %s > %s)' % (group, group, self.literal(kind)),
                lambda: '%s IS DISTINCT FROM %s' % (group, self.literal(kind)), lambda: '%s = %s' % (group, self.literal(kind)),
                lambda: 'grouping(%s) = %d' % (group, r.randint(0, 1)),
                lambda: 'coalesce(%s, %s) = %s' % (group, self.literal(kind), self.literal(kind))])()
        if self.chance(0.3):
            tail += ' ORDER BY ' + self.order(len(exprs), odd=True)
            if self.chance(0.5):
                tail += ' LIMIT %d' % r.randint(0, 8)
                if self.chance(0.3):
                    tail += ' OFFSET %d' % r.randint(0, 4)
        if F in wanted and 'LIMIT' in tail:
            tail = tail[:tail.index(' LIMIT')] if ' LIMIT' in tail else tail
        return 'SELECT %s%s%s%s' % (', '.join(exprs), from_, where, tail), columns, key

    def set_operation(self, scopes, depth, kinds):
        wanted = kinds or [self.pick([I, I, S, N]) for _ in range(self.random.randint(1, 3))]
        left, columns, key = self.query(scopes, 0, wanted)
        right, _, other_key = self.query(scopes, 0, wanted)
        operator = self.pick(['UNION', 'UNION ALL', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL', 'INTERSECT ALL'])
        text = '(%s) %s (%s)' % (left, operator, right)
        if self.chance(0.2):
            third, _, _ = self.query(scopes, 0, wanted)
            text = '(%s) %s (%s)' % (text, self.pick(['UNION ALL', 'UNION', 'EXCEPT']), third)
        if self.chance(0.3):
            text += ' ORDER BY ' + self.order(len(wanted))
            if self.chance(0.5):
                text += ' LIMIT %d' % self.random.randint(0, 9)
        return text, columns, key if key and key == other_key else None

    def select(self):
        self.names = 0
        self.ctes = []
        self.budget = self.random.randint(0, 5)
        prefix = ''
        recursive = self.chance(0.05)
        with_list = []
        if recursive:
            name = self.name('w')
            table = self.table()
            with_list.append('%s (k, s, depth) AS (SELECT k::bigint, s::text, 0 FROM %s WHERE id < 5 UNION ALL '
                             'SELECT z.k::bigint, z.s::text, w.depth + 1 FROM %s w JOIN %s z ON z.k = w.k + 1 WHERE w.depth < 2)'
                             % (name, table, name, self.table()))
            self.ctes.append(Source(name, [('k', I), ('s', S), ('depth', I)]))
        while self.chance(0.25):
            text, columns, key = self.query([], 1)
            name = self.name('w')
            with_list.append('%s AS %s(%s)' % (name, self.pick(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED ']), text))
            self.ctes.append(Source(name, columns, key))
        if with_list:
            prefix = 'WITH %s%s ' % ('RECURSIVE ' if recursive else '', ', '.join(with_list))
        return prefix + self.query([], 2, top=True)[0]

    def locking(self):
        """Table and a SELECT FOR UPDATE or the like of some of its rows."""
        self.names, self.ctes, self.budget = 0, [], self.random.randint(0, 1)
        table = self.pick(WRITABLE)
        target = Source('z', TABLES[table], KEYS.get(table))
        scope, from_ = [target], ' FROM %s z' % table
        if self.chance(0.3):
            item, source = self.source([], [], 0)
            from_ += ' JOIN %s ON %s' % (item, self.join_condition(scope, source, []))
            scope = scope + [source]
        where = [self.condition([scope], 1) for _ in range(self.random.randint(0, 2))]
        exprs = ['z.id'] + [self.expression(self.pick([I, S, N, D]), [scope], 1) for _ in range(self.random.randint(0, 2))]
        tail = ' WHERE ' + ' AND '.join(where) if where else ''
        if self.chance(0.7):
            tail += ' ORDER BY ' + self.order(len(exprs))
            if self.chance(0.7):
                tail += ' LIMIT %d' % self.random.randint(0, 8)
                if self.chance(0.3):
                    tail += ' OFFSET %d' % self.random.randint(0, 4)
        return 'SELECT %s%s%s FOR %s OF z%s' % (
            ', '.join(exprs), from_, tail, self.pick(['UPDATE', 'UPDATE', 'SHARE', 'NO KEY UPDATE', 'KEY SHARE']),
            self.pick(['', '', ' SKIP LOCKED', ' NOWAIT']))

    def write(self):
        """UPDATE or DELETE."""
        self.names, self.ctes, self.budget = 0, [], self.random.randint(0, 3)
        table = self.pick(WRITABLE)
        target = Source('z', TABLES[table], KEYS.get(table))
        scope, extra, where, prefix = [target], '', [], ''
        if self.chance(0.15):
            text, columns, key = self.query([], 1)
            prefix = 'WITH w AS %s(%s) ' % (self.pick(['', 'MATERIALIZED ']), text)
            self.ctes.append(Source('w', columns, key))
        if self.chance(0.3):
            item, source = self.source([], [], 1)
            extra = item
            scope = [target, source]
            key = self.key_column([source])
            mine = self.key_column([target])
            if key and mine and key[1] == mine[1] and self.chance(0.7):
                where.append('%s = %s' % (mine[0], key[0]))
            else:
                where.append('z.id = %s' % (self.column([[source]], I) or '1'))
        while self.chance(0.7):
            where.append(self.condition([scope], 1))
        tail = ' WHERE ' + ' AND '.join(where) if where else ''
        returning = ' RETURNING z.id, z.%s' % self.pick([c for c, _ in target.columns]) if self.chance(0.4) else ''
        if MAJOR >= 18 and self.chance(0.5):
            returning = self.returning(target)
        if self.chance(0.3):
            return table, prefix + 'DELETE FROM %s z%s%s%s' % (table, ' USING ' + extra if extra else '', tail, returning)
        sets = []
        columns = [c for c in target.columns if c[0] not in ('id', 'f', 'vx', 'vs') and c[0] != target.key]
        for name, kind in self.random.sample(columns, self.random.randint(1, 2)):
            # several matches in FROM would choose one: take nothing from there
            expr = self.expression(kind, [[target]], 1)
            if kind == N:
                expr = 'round(%s, 2)' % expr
            sets.append('%s = %s' % (name, expr))
        if extra and self.chance(0.5):
            returning = ''
        return table, prefix + 'UPDATE %s z SET %s%s%s%s' % (table, ', '.join(sets), ' FROM ' + extra if extra else '', tail, returning)

    def returning(self, target, more=()):
        """RETURNING of old and new rows, as 18 has it."""
        columns = [name for name, _ in target.columns]
        items = ['%s.id AS n%d' % (self.pick([target.alias, 'new', 'old']), 0)] + list(more)
        for number in range(1, self.random.randint(1, 4)):
            column = self.pick(columns)
            items.append('%s AS n%d' % (self.pick([
                'old.%s' % column, 'new.%s' % column, '%s.%s' % (target.alias, column), 'old IS NULL', 'new IS NULL', 'old', 'new',
                'old.%s IS DISTINCT FROM new.%s' % (column, column), 'coalesce(old.id, new.id)', 'old.id + new.id',
                '(SELECT count(*) FROM rr y WHERE y.k = old.id % 5)', '(SELECT max(y.s) FROM rr y WHERE y.k = new.x)',
                '(SELECT old.%s)' % column, 'old.tableoid::regclass::text', 'new.tableoid IS NULL', 'random() < new.id']), number))
        return ' RETURNING ' + ', '.join(items)

    def assignments(self, target, scopes):
        names = [c for c in target.columns if c[0] not in ('id', 'f', 'vx', 'vs') and c[0] != target.key]
        sets = []
        for name, kind in self.random.sample(names, self.random.randint(1, 2)):
            expr = self.expression(kind, scopes, 1)
            sets.append('%s = %s' % (name, 'round(%s, 2)' % expr if kind == N else expr))
        return ', '.join(sets)

    def merge(self):
        """Table and a MERGE whose source has one row for each of the target's."""
        self.names, self.ctes, self.budget = 0, [], self.random.randint(0, 1)
        table = self.pick(WRITABLE)
        target = Source('z', TABLES[table], KEYS.get(table))
        other = self.pick(['ca', 'cb', 'ta', 'od', 'oi', 'rr', 'lo'])
        source = Source('q', TABLES[other])
        from_ = other + ' q'
        if self.chance(0.4):
            from_ = '(SELECT y.id, max(y.k) AS k, min(y.s) AS s, count(*)::int AS x FROM %s y GROUP BY %s) q' % (
                other, self.pick(['y.id', 'ROLLUP (y.id) HAVING y.id < 20', 'y.id HAVING min(y.k) > 1']))
            source = Source('q', [('id', I), ('k', I), ('s', S), ('x', I)])
        on = 'z.id = q.id'
        if self.chance(0.3):
            on += ' AND %s' % self.pick(['z.k = q.k', 'z.s = q.s', self.condition([[target, source]], 1)])
        clauses = []
        both, mine = [[target, source]], [[target]]

        def when(what, scope):
            return 'WHEN %s%s THEN ' % (what, ' AND ' + self.condition(scope, 1) if self.chance(0.4) else '')
        for _ in range(self.random.randint(0, 2)):
            clauses.append(when('MATCHED', both) + self.pick([
                'UPDATE SET ' + self.assignments(target, both), 'UPDATE SET ' + self.assignments(target, both), 'DELETE', 'DO NOTHING']))
        if self.chance(0.5) or not clauses:
            values = [self.expression(I, [[source]], 1), self.expression(S, [[source]], 1)]
            if table == 'ta':
                values = values[:1] + [self.literal(S)]
            clauses.append(when('NOT MATCHED', [[source]]) + 'INSERT (id, k, s) VALUES (q.id + 1000, %s, %s)' % tuple(values))
        if MAJOR >= 17 and self.chance(0.4):
            clauses.append(when('NOT MATCHED BY SOURCE', mine) + self.pick([
                'UPDATE SET ' + self.assignments(target, mine), 'DELETE', 'DO NOTHING']))
        self.random.shuffle(clauses)
        clauses.sort(key=lambda clause: ' AND ' not in clause.split(' THEN ')[0])
        returning = ''
        if MAJOR >= 17 and self.chance(0.6):
            returning = ' RETURNING merge_action(), z.id AS i, z.%s, q.id' % self.pick(target.columns)[0]
            if MAJOR >= 18 and self.chance(0.6):
                returning = self.returning(target, ['merge_action() AS action', 'q.id AS qid'])
        return table, 'MERGE INTO %s z USING %s ON %s %s%s' % (table, from_, on, ' '.join(clauses), returning)

    def upsert(self):
        """Table and an INSERT ... ON CONFLICT; ut has a trigger and a view with a condition."""
        self.names, self.ctes, self.budget = 0, [], 0
        table = self.pick(list(UPSERTED))
        target = Source(table, UPSERTED[table], 'k')
        other = self.pick(['ca', 'cb', 'ta', 'od', 'rr', 'lo'])
        y = Source('y', TABLES[other])
        rows = self.pick([
            'VALUES (%s, 50, 1, %s), (11, 51, 2, NULL), (111, 52, NULL, %s)' % (self.random.randint(0, 9), self.literal(S), self.literal(S)),
            'VALUES (%s, 50, %s, %s)' % (self.random.randint(0, 20), self.literal(I), self.literal(S)),
            "SELECT y.id, max(y.id) + 100, max(%s)::int, min(%s) FROM %s y GROUP BY y.id" % (
                self.expression(I, [[y]], 1), self.expression(S, [[y]], 1), other),
            'SELECT y.k + 3, min(y.id) + 200, count(*)::int, max(y.s) FROM %s y WHERE y.k IS NOT NULL GROUP BY y.k' % other])
        excluded = Source('excluded', UPSERTED[table])
        action = 'DO UPDATE SET %s' % self.pick([
            'x = coalesce(excluded.x, 0) + coalesce(%s.x, 1)' % table, 's = excluded.s, id = %s.id' % table,
            self.assignments(target, [[target, excluded]]), 'x = DEFAULT'])
        if self.chance(0.4):
            action += ' WHERE ' + self.condition([[target, excluded]], 1)
        if self.chance(0.15):
            action = 'DO NOTHING'
        returning = self.pick(['', ' RETURNING id, k, x', ' RETURNING %s' % table])
        if MAJOR >= 18 and self.chance(0.7):
            returning = self.returning(target)
        return table, 'INSERT INTO %s (k, id, x, s) %s ON CONFLICT (k) %s%s' % (table, rows, action, returning)
