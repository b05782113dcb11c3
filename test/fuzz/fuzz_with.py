#!/usr/bin/env python3
"""Random statements of several writing parts: plain PostgreSQL is the oracle.

WITH has one to three INSERTs (ON CONFLICT, too), UPDATEs and DELETEs, the statement itself is one of
those, a MERGE or a SELECT; parts read tables and what other parts return.  A round's tables have keys
or none, are distributed by a column, lie in one shard or are references, have row triggers that
write a log, and foreign keys, or not.  Rows, tags, errors, contents and log must agree, and placements be equal.
--seed N --rounds 1 makes a round again.
"""
import re
import sys

import rounds

KEYS, IDS = 3, 6
KEYED = ('t', 'u')
TABLES = KEYED + ('n', 'r')


class Round(rounds.Round):
    def __init__(self, seed, sides):
        super().__init__(seed, sides)
        self.has_keys = self.has_triggers = self.has_unique = False
        self.differs = False        # contents may do so from here on

    def chance(self, probability):
        return self.random.random() < probability

    # ---- tables

    def make(self):
        for side in (self.oracle, self.cluster):
            side.run('ROLLBACK')
            side.run('SET client_min_messages = error')
            side.run('DROP TABLE IF EXISTS t, u, n, r, lg CASCADE')
            side.run('DROP FUNCTION IF EXISTS note() CASCADE')
        key = self.pick("'k'", "'k'", "'k'", 'NULL')
        partitioned = self.chance(0.25)
        generated = self.pick('', '', ', g int GENERATED ALWAYS AS (v * 2) STORED')
        statements = ['CREATE TABLE %s (k int, id int, v int, w int%s%s)%s' % (
            table, '' if table == 'n' else ', PRIMARY KEY (k, id)', '' if table == 'r' else generated,
            ' PARTITION BY RANGE (id)' if partitioned and table == 't' else '') for table in TABLES]
        if partitioned:
            statements += ['CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (MINVALUE) TO (4)', 'CREATE TABLE t2 PARTITION OF t DEFAULT']
        self.has_unique = not partitioned and self.chance(0.5)
        if self.has_unique:
            statements.append('CREATE UNIQUE INDEX ON t (k, w)')
        statements += ["SELECT create_distributed_table('%s', %s)" % (table, key) for table in TABLES[:3]]
        statements.append("SELECT create_reference_table('r')")
        statements.append('CREATE TABLE lg (what text, k int, id int, v int)')
        self.has_keys = not partitioned and self.chance(0.3)
        if self.has_keys:
            statements.append('ALTER TABLE u ADD FOREIGN KEY (k, w) REFERENCES t ON DELETE %s ON UPDATE %s' % (
                self.pick('CASCADE', 'NO ACTION', 'SET NULL (w)'), self.pick('CASCADE', 'NO ACTION')))
        self.has_triggers = not self.has_keys and self.chance(0.4)
        if self.has_triggers:
            statements.append("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'DELETE' THEN "
                              "INSERT INTO lg VALUES (TG_WHEN || TG_OP || TG_TABLE_NAME, OLD.k, OLD.id, OLD.v); RETURN OLD; END IF; "
                              "IF NEW.v % 7 = 3 THEN NEW.v := NEW.v + 1; ELSIF NEW.v % 7 = 5 AND TG_WHEN = 'BEFORE' THEN RETURN NULL; END IF; "
                              "INSERT INTO lg VALUES (TG_WHEN || TG_OP || TG_TABLE_NAME, NEW.k, NEW.id, NEW.v); RETURN NEW; END $$")
            for table in TABLES:
                if self.chance(0.6):
                    statements.append('CREATE TRIGGER x%s %s %s ON %s FOR EACH ROW EXECUTE FUNCTION note()' % (
                        table, self.pick('BEFORE', 'AFTER'), self.pick('INSERT', 'UPDATE', 'DELETE', 'INSERT OR UPDATE OR DELETE'), table))
        for sql in statements:
            expected, got = self.both(sql)
            if expected.sqlstate or got.sqlstate:
                return '%s: plain %s, cluster %s %s' % (sql, expected.sqlstate, got.sqlstate, got.message)
        return None

    def fill(self):
        grid = 'generate_series(1, %d) k, generate_series(1, %d) i' % (KEYS, IDS)
        for sql in ('DELETE FROM u', 'DELETE FROM t', 'DELETE FROM n', 'DELETE FROM r', 'TRUNCATE lg',
                    'INSERT INTO t SELECT k, i, k * 10 + i, i FROM %s WHERE i %% 3 < 2' % grid,
                    'INSERT INTO u SELECT k, i, k * 10 + i, %s FROM %s WHERE i %% 4 < 3' % ('NULL' if self.has_keys else 'i', grid),
                    'INSERT INTO n SELECT k, i, k * 10 + i, i FROM %s WHERE i %% 2 = 0' % grid,
                    'INSERT INTO r SELECT k, i, k * 10 + i, i FROM %s WHERE i %% 2 = 1' % grid,
                    'TRUNCATE lg'):
            self.both(sql)

    # ---- parts

    def int(self, most):
        return self.random.randint(1, most)

    def where(self, alias):
        alias += '.'
        return self.pick('', ' AND %sk = %d' % (alias, self.int(KEYS)), ' AND %sid = %d' % (alias, self.int(IDS)),
                         ' AND %sk = %d AND %sid = %d' % (alias, self.int(KEYS), alias, self.int(IDS)),
                         ' AND %sid %% 2 = %d' % (alias, self.int(2) - 1),
                         ' AND %sid > %d AND random() < 2' % (alias, self.int(IDS)))

    def scalar(self, parts):
        """A value that reads something else."""
        table = self.pick(*TABLES)
        options = ['(SELECT count(*) FROM %s x WHERE true%s)::int' % (table, self.where('x').replace(' AND random() < 2', ''))]
        options += ['(SELECT count(*) FROM %s)::int' % part for part in parts] * 2
        return self.pick(*options)

    def assign(self, alias, parts, excluded=False):
        options = ['v = %s.v + 1' % alias, 'v = %s.v * 2' % alias, 'v = 7', 'v = %s.v + (random() * 0)::int' % alias,
                   'v = %s.v + %s' % (alias, self.scalar(parts))]
        if excluded:
            options += ['v = excluded.v', 'v = excluded.v + %s.v' % alias, 'v = excluded.id', 'id = %s.id + 50' % alias]
        elif self.chance(0.1):
            options = ['id = %s.id + %d' % (alias, 100 * self.int(9))]
        elif self.chance(0.05):
            options = ['k = %s.k + %d' % (alias, 10 * self.int(9))]
        return self.pick(*options)

    def insert(self, parts):
        table = self.pick(*TABLES, *KEYED)
        columns = self.pick('(k, id, v)', '(k, id, v)', '(k, id, v, w)') if not self.has_keys or table != 'u' else '(k, id, v)'
        w = columns.endswith('w)')
        kind = self.random.random()
        if kind < 0.45 or not parts and kind < 0.6:
            rows = sorted({(self.int(KEYS), self.int(IDS)) for _ in range(self.pick(1, 1, 2, 3))})
            value = self.pick('%d' % self.int(99), '%d' % self.int(99), self.scalar(parts))
            source = 'VALUES %s' % ', '.join('(%d, %d, %s%s)' % (k, i, value, ', %d' % (i + 20) if w else '') for k, i in rows)
        else:
            other = self.pick(*(parts * 2 + list(KEYED) + ['n']))
            source = 'SELECT DISTINCT ON (k, id) k, id%s, v%s FROM %s x WHERE true%s ORDER BY k, id, v' % (
                self.pick('', '', ' + 10'), ', id + %d' % self.pick(0, 20) if w else '', other, self.where('x'))
        conflict = ''
        if table != 'n':
            conflict = self.pick('', ' ON CONFLICT DO NOTHING', ' ON CONFLICT (k, id) DO NOTHING',
                                 ' ON CONFLICT (k, id) DO UPDATE SET %s' % self.assign(table, parts, True),
                                 ' ON CONFLICT (k, id) DO UPDATE SET %s WHERE %s.id %% 2 = 0' % (self.assign(table, parts, True), table),
                                 ' ON CONFLICT (k, id) DO UPDATE SET %s' % self.assign(table, parts, True))
            if table == 't' and self.has_unique and w and self.chance(0.5):
                conflict = conflict.replace('(k, id)', '(k, w)')
        return table, 'INSERT INTO %s %s %s%s' % (table, columns, source, conflict)

    def write(self, parts):
        kind = self.random.random()
        if kind < 0.45:
            return self.insert(parts)
        table = self.pick(*TABLES)
        # of equal rows plain PostgreSQL may change one before the other part comes to it
        part = self.pick(*parts) if parts and table != 'n' and self.chance(0.5) else None
        join = ' AND %s.k = y.k AND %s.id = y.id' % (table, table) if part else ''
        if kind < 0.75:
            return table, 'UPDATE %s SET %s%s WHERE true%s%s' % (table, self.assign(table, parts), ' FROM %s y' % part if part else '', join, self.where(table))
        return table, 'DELETE FROM %s%s WHERE true%s%s' % (table, ' USING %s y' % part if part else '', join, self.where(table))

    def returning(self, table):
        return ' RETURNING %s.k, %s.id, %s.v' % (table, table, table)

    def statement(self):
        parts, texts, has_upsert = [], [], []
        for n in range(self.pick(1, 1, 2, 2, 3)):
            name = 'p%d' % n
            if self.chance(0.1):
                texts.append('%s AS (SELECT k, id, v FROM %s x WHERE true%s)' % (name, self.pick(*TABLES), self.where('x').replace(' AND random() < 2', '')))
                parts.append(name)
                continue
            table, text = self.write(parts)
            if self.chance(0.75):
                text += self.returning(table)
                texts.append('%s AS (%s)' % (name, text))
                parts.append(name)
            else:
                texts.append('%s AS (%s)' % (name, text))
        kind = self.random.random()
        if kind < 0.25:
            main = ' UNION ALL '.join("SELECT '%s', k, id, v FROM %s" % (part, part) for part in parts) or 'SELECT 1'
        elif kind < 0.35:
            table = self.pick(*KEYED)
            source = self.pick(*(parts or ['n']))
            main = ('MERGE INTO %s USING (SELECT DISTINCT ON (k, id) k, id, v FROM %s ORDER BY k, id, v) y ON %s.k = y.k AND %s.id = y.id '
                    'WHEN MATCHED THEN %s WHEN NOT MATCHED THEN %s' % (
                        table, source, table, table, self.pick('DELETE', 'UPDATE SET v = %s.v + y.v' % table, 'DO NOTHING'),
                        self.pick('DO NOTHING', 'INSERT (k, id, v) VALUES (y.k, y.id, y.v)')))
        else:
            table, main = self.write(parts)
            if self.chance(0.6):
                main += self.returning(table)
        return 'WITH %s %s' % (', '.join(texts), main)

    # ---- comparing

    def contents(self, side):
        found = []
        for table in TABLES + ('lg',):
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
        return '; '.join('%s: plain has %s, cluster has %s' % (x[0], sorted(set(x[1]) - set(y[1]), key=repr) or x[1], sorted(set(y[1]) - set(x[1]), key=repr) or y[1])
                         for x, y in zip(a, b) if x != y)

    def compare(self, sql, expected, got):
        """Returns a problem, or None; counts what is not compared."""
        if got.lost:
            return 'connection lost'
        self.differs = False
        # a join may leave a part that it reads for the end, and then another one comes first
        is_unsure = re.search(r'(FROM|USING|JOIN) p\d', sql) is not None
        keys = ('27000', '23503', '23001', '23505') if self.has_keys else ()
        if got.sqlstate == '0A000' or got.sqlstate in keys or (self.has_keys and expected.sqlstate):
            self.refused += 1
        elif expected.sqlstate and got.sqlstate:
            self.failed += 1
            # which of several errors comes first
            if expected.sqlstate != got.sqlstate and not {expected.sqlstate, got.sqlstate} <= {'23505', '21000', '27000'}:
                return 'plain %s %s, cluster %s %s' % (expected.sqlstate, expected.message, got.sqlstate, got.message)
        elif {expected.sqlstate, got.sqlstate} == {None, '21000'} and 'ON CONFLICT' in sql and is_unsure:
            self.refused += 1
        elif expected.sqlstate or got.sqlstate:
            return 'plain %s %s, cluster %s %s' % (expected.sqlstate, expected.message, got.sqlstate, got.message)
        elif expected.tag != got.tag:
            return 'plain %s, cluster %s' % (expected.tag, got.tag)
        elif sorted(expected.rows, key=repr) != sorted(got.rows, key=repr):
            return 'plain gives %s, cluster %s' % (expected.rows, got.rows)
        else:
            problem = self.compare_contents()
            written = re.findall(r'(?:INTO|UPDATE|DELETE FROM) (\w)\b', sql)
            self.differs = problem is not None and is_unsure and len(set(written)) < len(written)
            if not self.has_keys and not self.differs:
                return problem
            self.refused += problem is not None
        return None

    def transaction(self):
        self.both(self.pick('BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ'))
        texts = []
        ends = False
        for _ in range(self.pick(1, 1, 2, 3)):
            if self.chance(0.2):
                self.both('SAVEPOINT a')
                texts.append('SAVEPOINT a')
            sql = self.statement()
            texts.append(sql)
            expected, got = self.both(sql)
            problem = self.compare(sql, expected, got)
            if problem:
                return '%s\n      %s' % (problem, '\n      '.join(texts))
            if expected.sqlstate or got.sqlstate or self.has_keys or self.differs:
                ends = True
                if 'SAVEPOINT a' not in texts or self.has_keys:
                    break
                self.both('ROLLBACK TO a')
                problem = self.compare_contents()
                if problem:
                    return 'after ROLLBACK TO: %s\n      %s' % (problem, '\n      '.join(texts))
        end = 'ROLLBACK' if ends else self.pick('COMMIT', 'ROLLBACK')
        expected, got = self.both(end)
        if (expected.sqlstate or '')[:2] != (got.sqlstate or '')[:2]:
            return '%s: plain %s %s, cluster %s %s\n      %s' % (end, expected.sqlstate, expected.message, got.sqlstate, got.message, '\n      '.join(texts))
        return None

    def run(self, nstatements):
        problems = []
        problem = self.make()
        if problem:
            problems.append(problem)
        for n in range(nstatements if not problem else 0):
            if n % 12 == 0:
                self.fill()
            problem = self.transaction()
            if problem:
                problems.append(problem)
                self.both('ROLLBACK')
                self.fill()
        problems += self.differing_placements(TABLES)
        if problems:
            problems.append('\n      '.join(sql for sql in self.log if sql.startswith(('CREATE', 'ALTER', 'SELECT create'))))
        self.close()
        return problems


if __name__ == '__main__':
    sys.exit(rounds.main(__doc__.split('\n')[0], Round, '--statements', 60, 'not compared'))
