#!/usr/bin/env python3
"""Random statements on tables with foreign keys: plain PostgreSQL is the oracle.

A round makes tables whose keys have random actions, distributed by a column, in one shard, or
references, so that workers check the keys; with --keys here (or, by default, in every other round) each
table is somewhere else: by either column, in a group of its own, in one shard, partitioned, a
reference or an ordinary one, keys may go round, and the coordinator checks most of them.  It runs transactions of random statements on both sides: several rows, WITH, MERGE,
COPY, ON CONFLICT, row by row, SET CONSTRAINTS, savepoints.  Tags, errors and, after each
transaction, all rows must agree; after the round all placements are equal.  A statement of which
the cluster may say something else (docs/limits.md) ends its transaction on both sides.
--seed N --rounds 1 makes a round again.
"""
import sys

import rounds

TABLES = ('r', 'p', 'c', 'g', 's', 'q')
COLUMNS = {'r': ('id', 'code'), 'p': ('k', 'id', 'code'), 'c': ('k', 'id', 'p_id', 'code'), 'g': ('k', 'id', 'c_id', 'p_id'),
           's': ('k', 'id', 'up'), 'q': ('k', 'id', 'r_id', 'code')}
KEYS, IDS = 4, 6


class Round(rounds.Round):
    def __init__(self, seed, sides):
        super().__init__(seed, sides)
        self.here = {'here': True, 'workers': False}.get(self.args.keys, seed % 2 == 1)

    # ---- tables

    def deferrable(self):
        return self.pick('', '', ' DEFERRABLE', ' DEFERRABLE INITIALLY DEFERRED')

    def actions(self, delete, update):
        return ' ON DELETE %s ON UPDATE %s%s' % (self.pick(*delete), self.pick(*update), self.deferrable())

    def run_all(self, statements):
        for sql in statements:
            expected, got = self.both(sql)
            if expected.sqlstate or got.sqlstate:
                return '%s: plain %s %s, cluster %s %s' % (sql, expected.sqlstate, expected.message, got.sqlstate, got.message)
        return None

    def place(self, table):
        """Statements that give a table its place; PARTITION BY of what is to be partitioned."""
        if table == 'r':
            return '', [self.pick("SELECT create_reference_table('r')", "SELECT create_reference_table('r')", "SELECT create_distributed_table('r', NULL)", 'SELECT 1')]
        where = self.pick('k', 'k', 'k', 'id', 'none', 'single', 'local', 'reference')
        parts, places = '', {'single': "create_distributed_table('%s', NULL)", 'local': "quote_literal('%s')", 'none': "create_distributed_table('%s', 'k', colocate_with => 'none')",
                             'reference': "create_reference_table('%s')"}
        statements = ['SELECT ' + places.get(where, "create_distributed_table('%%s', '%s')" % where) % table]
        if where != 'reference' and self.random.random() < 0.4:
            parts = ' PARTITION BY LIST (k)'
            made = ['CREATE TABLE %s_1 PARTITION OF %s FOR VALUES IN (1, 2)' % (table, table), 'CREATE TABLE %s_2 PARTITION OF %s DEFAULT' % (table, table)]
            statements = made[:1] + statements + made[1:] if self.random.random() < 0.3 else made + statements
        return parts, statements

    def make_here(self):
        for side in (self.oracle, self.cluster):
            side.run('ROLLBACK')
            side.run('SET client_min_messages = error')
            side.run('DROP TABLE IF EXISTS g, c, s, q, p, r CASCADE')
        tables = {'r': '(id int PRIMARY KEY, code int UNIQUE)', 'p': '(k int, id int, code int DEFAULT 2, PRIMARY KEY (k, id))',
                  'c': '(k int, id int, p_id int DEFAULT 1, code int, PRIMARY KEY (k, id))', 'g': '(k int, id int, c_id int, p_id int DEFAULT 3, PRIMARY KEY (k, id))',
                  's': '(k int, id int, up int DEFAULT 1, PRIMARY KEY (k, id))', 'q': '(k int, id int, r_id int DEFAULT 1, code int)'}
        makes, places = [], []
        for table in TABLES:
            parts, statements = self.place(table)
            if 'reference' in statements[0] and table == 'q':
                tables['q'] = '(k int, id int, r_id int DEFAULT 1, code int, PRIMARY KEY (k, id))'
            makes.append('CREATE TABLE %s %s%s' % (table, tables[table], parts))
            places.append(statements)
        keys = [('c', 'k, p_id', 'p', 'p_id'), ('g', 'k, c_id', 'c', 'c_id'), ('s', 'k, up', 's', 'up'), ('q', 'r_id', 'r', 'r_id')]
        keys += self.random.sample([('g', 'k, p_id', 'p', 'p_id'), ('q', 'code', 'r (code)', 'code'), ('p', 'code', 'r', 'code'), ('c', 'code', 'r', 'code')], self.random.randint(0, 3))
        if self.random.random() < 0.3:
            keys.append(('p', 'k, code', 'c', 'code_c'))
        adds = []
        for table, columns, to, name in keys:
            wide = ('NO ACTION', 'RESTRICT', 'CASCADE', 'CASCADE')
            own = columns.split(', ')[-1]
            delete = wide + (('SET NULL (%s)' % own, 'SET DEFAULT (%s)' % own) if 'k' in columns else ('SET NULL', 'SET DEFAULT'))
            update = wide + (() if columns.startswith('k, ') else ('SET NULL', 'SET DEFAULT'))
            actions = self.actions(delete, update)
            if name == 'code_c':
                actions = ' DEFERRABLE INITIALLY DEFERRED'
            adds.append('ALTER TABLE %s ADD CONSTRAINT %s_%s FOREIGN KEY (%s) REFERENCES %s%s' % (table, table, name, columns, to, actions))
        self.random.shuffle(places)
        places = [sql for statements in places for sql in statements]
        return self.run_all(makes + (adds + places if self.random.random() < 0.3 else places + adds))

    def make(self):
        if self.here:
            return self.make_here()
        single = self.random.random() < 0.3
        plain = ('NO ACTION', 'RESTRICT', 'CASCADE')
        null = 'SET NULL' if single else 'SET NULL (%s)'
        for side in (self.oracle, self.cluster):
            side.run('ROLLBACK')
            side.run('SET client_min_messages = error')
            side.run('DROP TABLE IF EXISTS g, c, s, q, p, r CASCADE')
        def key(table, columns, to, own):
            delete = plain + (null % own if '%' in null else null,)
            update = plain + (('SET NULL',) if single else ())
            return 'ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s%s' % (
                table, '%s_%s' % (table, own), columns, to, self.actions(delete, update))
        statements = [
            'CREATE TABLE r (id int PRIMARY KEY, code int UNIQUE)',
            'CREATE TABLE p (k int, id int, code int, PRIMARY KEY (k, id), UNIQUE (k, code))',
            'CREATE TABLE c (k int, id int, p_id int, code int, PRIMARY KEY (k, id))',
            'CREATE TABLE g (k int, id int, c_id int, p_id int, PRIMARY KEY (k, id))',
            'CREATE TABLE s (k int, id int, up int, PRIMARY KEY (k, id))',
            'CREATE TABLE q (k int, id int, r_id int DEFAULT 1, code int%s)' % self.pick('', ', PRIMARY KEY (k, id)'),
            "SELECT create_reference_table('r')"]
        statements += ["SELECT create_distributed_table('%s', %s)" % (table, 'NULL' if single else "'k'") for table in TABLES[1:]]
        statements += [key('c', 'k, p_id', 'p', 'p_id'), key('g', 'k, c_id', 'c', 'c_id'), key('s', 'k, up', 's', 'up')]
        if self.random.random() < 0.5:
            statements.append(key('c', 'k, code', 'p (k, code)', 'code'))
        if self.random.random() < 0.5:
            statements.append(key('g', 'k, p_id', 'p', 'p_id'))
        wide = plain + ('SET NULL', 'SET DEFAULT')
        statements.append('ALTER TABLE q ADD CONSTRAINT q_r_id FOREIGN KEY (r_id) REFERENCES r' + self.actions(wide, wide))
        if self.random.random() < 0.5:
            statements.append('ALTER TABLE q ADD CONSTRAINT q_code FOREIGN KEY (code) REFERENCES r (code)' + self.actions(wide, wide))
        return self.run_all(statements)

    def fill(self):
        """Rows that refer to each other, beside what is there."""
        ids, keys = 'generate_series(1, %d) i' % IDS, 'generate_series(1, %d) k' % KEYS
        for sql in ('INSERT INTO r SELECT i, i FROM %s ON CONFLICT DO NOTHING' % ids,
                    'INSERT INTO p SELECT k, i, i FROM %s, %s ON CONFLICT DO NOTHING' % (keys, ids),
                    'INSERT INTO c SELECT k, id, id, code FROM p WHERE code IS NULL OR id = code ON CONFLICT DO NOTHING',
                    'INSERT INTO g SELECT k, id, id, p_id FROM c ON CONFLICT DO NOTHING',
                    'INSERT INTO s SELECT k, i, NULLIF(i / 2, 0) FROM %s, %s ON CONFLICT DO NOTHING' % (keys, ids),
                    'INSERT INTO q SELECT 1 + id %% %d, id, id, code FROM r ON CONFLICT DO NOTHING' % KEYS):
            self.both(sql)
        return self.compare_contents()

    # ---- statements

    def value(self, column):
        if column == 'k':
            return str(self.random.randint(1, KEYS))
        if column != 'id' and self.random.random() < 0.25:
            return 'NULL'
        return str(self.random.randint(1, IDS))

    def row(self, table):
        return '(%s)' % ', '.join(self.value(column) for column in COLUMNS[table])

    def where(self, table):
        columns = COLUMNS[table]
        terms = ['%s = %s' % (column, self.value(column)) for column in self.random.sample(columns, self.random.randint(1, 2))]
        text = self.pick(' AND ', ' OR ').join(terms).replace('= NULL', 'IS NULL')
        return self.pick('', ' WHERE ' + text, ' WHERE ' + text, ' WHERE ' + text, ' WHERE (%s) AND random() < 2' % text)

    def assign(self, table):
        columns = [column for column in COLUMNS[table] if column != 'k' or self.random.random() < 0.2]
        parts = []
        for column in self.random.sample(columns, self.random.randint(1, min(2, len(columns)))):
            parts.append('%s = %s' % (column, self.pick(self.value(column), '%s + 1' % column, '%s + 10' % column, self.value(column))))
        return ', '.join(parts)

    def insert(self, table):
        conflict = self.pick('', '', ' ON CONFLICT DO NOTHING')
        if self.random.random() < 0.7:
            rows = [self.row(table) for _ in range(self.pick(1, 1, 2, 3, 12))]
            return 'INSERT INTO %s VALUES %s%s' % (table, ', '.join(rows), conflict)
        if table in ('r', 'p'):     # of several rows with one code any may come
            conflict = ''
        return 'INSERT INTO %s SELECT %s FROM %s%s%s' % (table, ', '.join(
            'k' if column == 'k' else 'id + %d' % self.random.randint(0, 9) if column == 'id' else self.value(column) + '::int'
            for column in COLUMNS[table]), self.pick(*(t for t in TABLES if t != 'r')), self.where('s').replace('up', 'id'), conflict)

    def write(self, table):
        kind = self.random.random()
        if kind < 0.4:
            return self.insert(table)
        if kind < 0.65:
            return 'DELETE FROM %s%s' % (table, self.where(table))
        if kind < 0.95:
            return 'UPDATE %s SET %s%s' % (table, self.assign(table), self.where(table))
        columns = COLUMNS[table]
        on = ' AND '.join('t.%s = v.%s' % (c, c) for c in ('k', 'id') if c in columns)
        rows = ', '.join('(%d, %d)' % (k, i) for k, i in {(self.random.randint(1, KEYS), self.random.randint(1, IDS) if 'k' in columns else n) for n in range(1, 4)})
        return 'MERGE INTO %s t USING (VALUES %s) v (k, id) ON %s WHEN MATCHED THEN %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)' % (
            table, rows, on, self.pick('DELETE', 'UPDATE SET %s = %s' % (columns[-1], self.value(columns[-1]))),
            ', '.join(c for c in columns if c in ('k', 'id')), ', '.join('v.' + c for c in columns if c in ('k', 'id')))

    def statement(self):
        kind = self.random.random()
        table = self.pick(*TABLES)
        if kind < 0.06:
            return self.pick('SET CONSTRAINTS ALL DEFERRED', 'SET CONSTRAINTS ALL IMMEDIATE'), None
        if kind < 0.10:
            rows = [self.row(table).strip('()').replace('NULL', '\\N').replace(', ', '\t') for _ in range(self.random.randint(1, 9))]
            return 'COPY %s FROM STDIN' % table, ('\n'.join(rows) + '\n').encode()
        if kind < 0.25:
            parts = [self.write(self.pick(*TABLES)) for _ in range(2)]
            if not any(part.startswith('MERGE') for part in parts):
                return 'WITH a AS (%s) %s' % tuple(parts), None
        return self.write(table), None

    # ---- comparing

    def distributed(self):
        return [row[0] for row in self.cluster.run("SELECT relid::regclass::text FROM cz.tables WHERE relid::regclass::text = ANY ('{%s}')" % ','.join(TABLES)).rows]

    def contents(self, side):
        found = []
        for table in TABLES:
            got = side.run('SELECT * FROM %s' % table)
            if got.sqlstate:
                return '%s: %s' % (table, got.sqlstate)
            found.append((table, sorted(got.rows, key=repr)))
        return found

    def compare_contents(self):
        a, b = self.contents(self.oracle), self.contents(self.cluster)
        if a == b:
            return None
        if isinstance(a, str) or isinstance(b, str):
            return 'plain %r, cluster %r' % (a if isinstance(a, str) else '', b if isinstance(b, str) else '')
        return '; '.join('%s: plain has %s, cluster has %s' % (x[0], sorted(set(x[1]) - set(y[1]), key=repr), sorted(set(y[1]) - set(x[1]), key=repr))
                         for x, y in zip(a, b) if x != y)

    def transaction(self):
        self.both('BEGIN')
        savepoint = False
        for _ in range(self.random.randint(1, 5)):
            if self.random.random() < 0.15:
                self.both('SAVEPOINT a')
                savepoint = True
            sql, data = self.statement()
            expected, got = self.both(sql, data)
            if got.lost:
                return 'connection lost'
            if expected.sqlstate and got.sqlstate:
                self.failed += 1
                if (expected.sqlstate[:2] == '23') != (got.sqlstate[:2] == '23') and got.sqlstate not in ('0A000', '27000'):
                    return 'plain %s %s, cluster %s %s' % (expected.sqlstate, expected.message, got.sqlstate, got.message)
            elif '23505' in (expected.sqlstate, got.sqlstate) or got.sqlstate in ('0A000', '27000') or (got.sqlstate in ('23503', '23001') and 'UPDATE s SET' in sql and ' k = ' in sql) or (sql.startswith('WITH') and {'23503', '23001'} & {expected.sqlstate, got.sqlstate}):
                # rows that move to another shard, and such that refer to them, are there twice for a moment;
                # keys do what they do before rows of another part are checked, or another part's rows are changed;
                # whether rows get in each other's way for a moment is a matter of their order
                self.refused += 1
                self.both('ROLLBACK')
                return None
            elif expected.sqlstate or got.sqlstate:
                return 'plain %s %s, cluster %s %s' % (expected.sqlstate, expected.message, got.sqlstate, got.message)
            elif expected.tag != got.tag:
                return 'plain %s, cluster %s' % (expected.tag, got.tag)
            # rows that come in one part, when keys have done what they do about another one
            elif sql.startswith('WITH') and ('DELETE' in sql or 'UPDATE' in sql) and self.compare_contents():
                self.refused += 1
                self.both('ROLLBACK')
                return None
            if got.status == 'E':
                if not savepoint:
                    break
                self.both('ROLLBACK TO a')
            elif self.random.random() < 0.2:
                problem = self.compare_contents()
                if problem:
                    return problem
        expected, got = self.both(self.pick('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK'))
        if (expected.sqlstate or '')[:2] != (got.sqlstate or '')[:2]:
            return 'plain %s %s, cluster %s %s' % (expected.sqlstate, expected.message, got.sqlstate, got.message)
        return self.compare_contents()

    def run(self, ntransactions):
        problem = self.make()
        for n in range(ntransactions):
            if problem:
                break
            start = len(self.log)
            problem = (self.fill() if n % 6 == 0 else None) or self.transaction()
            if problem:
                problem += '\n      ' + '\n      '.join(self.log[start:])
        problems = [problem] if problem else self.differing_placements(self.distributed())
        if problems:
            self.cluster.run("ROLLBACK")
            keys = self.cluster.run("SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
                                    "WHERE contype = 'f' AND connamespace = 'public'::regnamespace")
            problems.append('tables:\n      ' + '\n      '.join(sql for sql in self.log[:60] if sql.startswith(('CREATE', 'SELECT ', 'ALTER'))))
            problems.append('keys:\n      ' + '\n      '.join(row[0] for row in keys.rows))
        self.close()
        return problems


def options(parser):
    parser.add_argument('--keys', choices=['here', 'workers', 'both'], default='both', help='who checks most of them')


if __name__ == '__main__':
    sys.exit(rounds.main(__doc__.split('\n')[0], Round, '--transactions', 40, 'refused', options))
