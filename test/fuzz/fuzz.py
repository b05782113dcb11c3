#!/usr/bin/env python3
"""Random statements on plain PostgreSQL and on the cluster: both must answer the same.

Each statement has a number of its own, its seed: --seed N --count 1 makes it again.  What fails
is shrunk by leaving out pieces while plain PostgreSQL accepts it and the two still disagree.
A SELECT that plain PostgreSQL answers must be answered; a write may be refused with 0A000.
"""
import argparse
import importlib.machinery
import importlib.util
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENTIAL = os.path.join(HERE, '..', 'differential')
sys.path[:0] = [HERE, DIFFERENTIAL]
from compare import compare
from generate import Generator
from pgclient import ConnectionLost
from script import Script, Statement

loader = importlib.machinery.SourceFileLoader('differential_run', os.path.join(DIFFERENTIAL, 'run'))
spec = importlib.util.spec_from_loader('differential_run', loader)
differential = importlib.util.module_from_spec(spec)
loader.exec_module(differential)

TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][A-Za-z_0-9.]*|\d+(?:\.\d+)?|\$\d+|::|<>|<=|>=|\|\||\S")


class Case:
    """A statement, how it is run, and what must be compared afterwards."""

    def __init__(self, seed, sql, params=None, table=None):
        self.seed, self.sql, self.params, self.table = seed, sql, params, table

    def steps(self, sql):
        if self.table:
            return ['BEGIN', sql, 'SELECT * FROM %s ORDER BY id' % self.table, 'ROLLBACK']
        if self.params is not None:
            types = ', '.join(kind for kind, _ in self.params)
            values = ', '.join(value for _, value in self.params)
            execute = 'EXECUTE p' + ('(%s)' % values if values else '')
            return ['PREPARE p%s AS %s' % ('(%s)' % types if types else '', sql), execute, execute, 'DEALLOCATE p']
        return [sql]


class Fuzz:
    def __init__(self, args):
        self.args = args
        self.sides = differential.Sides(args)
        self.database = 'fuzz_%d_%d' % (args.shards, args.factor)
        self.sides.prepare(self.database)
        self.database = 'diff_' + self.database
        problems = self.sides.run_script(Script(os.path.join(HERE, 'setup.sql'), None), self.database, own_schema=False)
        if problems:
            sys.exit('\n'.join(problems))
        self.connect()
        self.counts = {}
        self.error = self.detail = ''

    def connect(self):
        self.oracle = self.sides.oracle(self.database)
        self.cluster = self.sides.cluster(self.database)
        for side in (self.oracle, self.cluster):
            side.must("SET TimeZone = 'Europe/Berlin'")
            side.must("SET DateStyle = 'German'")
        self.oracle.must('SET statement_timeout = 3000')

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def case(self, seed):
        generator = Generator(seed)
        kind = generator.random.random()
        if kind < 0.12:
            table, sql = generator.write()
            return Case(seed, sql, table=table)
        if kind < 0.30:
            generator.params = []
            sql = generator.select()
            return Case(seed, sql, params=generator.params)
        return Case(seed, generator.select())

    def judge(self, case, sql):
        """None: they agree; '-': nothing to compare; else what is wrong."""
        wrong = None
        for step in case.steps(sql):
            expected = self.oracle.run(step)
            if expected.lost:
                self.connect()
                return '-'
            if expected.sqlstate and step != 'ROLLBACK':
                self.oracle.run('ROLLBACK' if case.table else 'DEALLOCATE ALL')
                if case.table:
                    self.cluster.run('ROLLBACK')
                elif case.params is not None:
                    self.cluster.run('DEALLOCATE ALL')
                self.error = expected.sqlstate + ' ' + expected.message
                return '-'
            got = self.cluster.run(step)
            if got.lost:
                self.connect()
                return 'connection lost'
            self.same_scale(expected)
            self.same_scale(got)
            wrong = compare(Statement(step, 0, {}), expected, got)
            if wrong:
                self.detail = '  plain:   %s\n  cluster: %s' % tuple(
                        '%s %s' % (o.sqlstate, o.message) if o.sqlstate else
                        '%s %s' % (o.tag, repr(o.rows[:6])[:600]) for o in (expected, got))
                for side in (self.oracle, self.cluster):
                    side.run('ROLLBACK' if case.table else 'DEALLOCATE ALL')
                if case.table and got.sqlstate == '0A000':
                    return None
                if got.sqlstate == '57014':
                    return 'timeout'
                return wrong
        return None

    @staticmethod
    def same_scale(outcome):
        """1 and 1.0 are equal: UNION and DISTINCT may keep either."""
        numeric = [i for i, (_, kind) in enumerate(outcome.columns or []) if kind == 1700]
        if numeric:
            outcome.rows = [tuple(re.sub(r'\.?0+$', '', value) if i in numeric and value and '.' in value else value
                                  for i, value in enumerate(row)) for row in outcome.rows]

    @staticmethod
    def kind_of(wrong):
        return re.sub(r'\d+ rows', 'n rows', wrong) if not wrong.startswith('SQLSTATE') else wrong

    def shrink(self, case, wrong):
        """Leave out runs of tokens, long ones first, while it still fails."""
        tokens = TOKEN.findall(case.sql)
        kind = self.kind_of(wrong)
        if kind in ('rows', 'n rows, cluster n', 'order of rows'):
            accepted = ('rows', 'n rows, cluster n')
        else:
            accepted = (kind,)
        deadline = time.time() + self.args.shrink_seconds

        def fails(candidate):
            sql = ' '.join(candidate)
            if sql.count('(') != sql.count(')') or time.time() > deadline:
                return False
            verdict = self.judge(case, sql)
            return verdict not in (None, '-') and self.kind_of(verdict) in accepted
        size = len(tokens) // 2
        while size >= 1 and time.time() < deadline:
            at, changed = 0, False
            while at < len(tokens):
                candidate = tokens[:at] + tokens[at + size:]
                if fails(candidate):
                    tokens, changed = candidate, True
                else:
                    at += 1 if size < 12 else size // 4
            if not changed or size > 1:
                # pairs of parentheses around what is worth keeping
                if size == 1:
                    break
                size = size * 2 // 3 if size > 3 else size - 1
        return ' '.join(tokens)

    def run(self):
        failures = 0
        begin = time.time()
        for seed in range(self.args.seed, self.args.seed + self.args.count):
            if self.args.seconds and time.time() - begin > self.args.seconds:
                break
            case = self.case(seed)
            if self.args.print:
                print('%d: %s %s' % (seed, case.sql, case.params or ''))
            wrong = self.judge(case, case.sql)
            if wrong == '-':
                self.count('refused by plain')
                if self.args.verbose and not self.error.startswith('57014'):
                    print('%d refused: %s\n   %s' % (seed, self.error, case.sql[:3000]))
                continue
            self.count('write' if case.table else 'prepared' if case.params is not None else 'select')
            if wrong is None:
                continue
            failures += 1
            detail = self.detail
            print('seed %d: %s %s\n  %s\n%s' % (seed, wrong, case.params or '', case.sql, detail))
            sys.stdout.flush()
            if self.args.shrink_seconds and wrong not in ('timeout',):
                small = self.shrink(case, wrong)
                self.detail = ''
                self.judge(case, small)
                print('  shrunk: %s\n%s' % (small, self.detail))
            sys.stdout.flush()
            if failures >= self.args.max_failures:
                break
        print('# shards %d, factor %d, seeds %d to %d: %s, %d failures, %.0f s'
              % (self.args.shards, self.args.factor, self.args.seed, seed,
                 ', '.join('%d %s' % (n, what) for what, n in sorted(self.counts.items())), failures, time.time() - begin))
        print('%sok %d shards, factor %d' % ('not ' if failures else '', self.args.shards, self.args.factor))
        return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--oracle', required=True, help='HOST:PORT of a plain PostgreSQL')
    parser.add_argument('--coordinator', required=True, help='HOST:PORT')
    parser.add_argument('--workers', required=True, help='HOST:PORT,...')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--count', type=int, default=2000)
    parser.add_argument('--seconds', type=int, default=0, help='stop after so long')
    parser.add_argument('--shards', type=int, default=4)
    parser.add_argument('--factor', type=int, default=1)
    parser.add_argument('--plan-cache-mode', default='force_generic_plan')
    parser.add_argument('--timeout-ms', type=int, default=20000)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--shrink-seconds', type=int, default=20)
    parser.add_argument('--max-failures', type=int, default=20)
    parser.add_argument('--print', action='store_true', help='print every statement')
    parser.add_argument('--verbose', action='store_true', help='print what plain PostgreSQL refuses')
    args = parser.parse_args()
    args.oracle_only, args.data, args.protocol, args.slow_ms = False, None, 'simple', 0
    print('# seed %d' % args.seed)
    try:
        return Fuzz(args).run()
    except ConnectionLost as problem:
        print('connection lost: %s' % problem)
        return 1


if __name__ == '__main__':
    sys.exit(main())
