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
import generate
from generate import Generator
from pgclient import ConnectionLost
from script import Script, Statement

loader = importlib.machinery.SourceFileLoader('differential_run', os.path.join(DIFFERENTIAL, 'run'))
spec = importlib.util.spec_from_loader('differential_run', loader)
differential = importlib.util.module_from_spec(spec)
loader.exec_module(differential)

TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"\.?|\$\w*\$|[A-Za-z_][A-Za-z_0-9.]*|\d+(?:\.\d+)?|\$\d+|::|<>|<=|>=|\|\||\S")


# settings of the cluster's session that must not change an answer, and some values of theirs
SETTINGS = {
    'cz.binary_protocol': ['off'], 'cz.enable_broadcast': ['off'], 'cz.enable_repartition': ['off'], 'cz.enable_pushdown': ['off'],
    'cz.max_array_shipment_size': ['0', '1kB'], 'cz.merge_fragments': ['off', 'on', 'auto'],
    'cz.merged_fragments_per_worker': ['1', '2'], 'cz.max_connections_per_worker': ['1', '2'], 'cz.slow_start_interval': ['0'],
    'work_mem': ['64kB'], 'plan_cache_mode': ['force_custom_plan', 'auto'], 'enable_hashjoin': ['off'], 'enable_mergejoin': ['off'],
    'enable_nestloop': ['off'], 'enable_hashagg': ['off'], 'enable_sort': ['off'], 'enable_material': ['off'], 'cursor_tuple_fraction': ['1'],
}


class Case:
    """Statements around the one that is made and shrunk, and how they may end.

    settings: statements for the cluster alone, to make and to unmake.
    """

    def __init__(self, seed, kind, sql, before=(), after=(), params=None, may_refuse=False):
        self.settings = []
        self.seed, self.kind, self.sql, self.params = seed, kind, sql, params
        self.before, self.after, self.may_refuse = list(before), list(after), may_refuse

    def steps(self, sql):
        if self.params is not None:
            types = ', '.join(kind for kind, _ in self.params)
            values = ', '.join(value for _, value in self.params)
            execute = 'EXECUTE p' + ('(%s)' % values if values else '')
            prepare = 'PREPARE p%s AS %s' % ('(%s)' % types if types else '', sql)
            return self.before + [prepare, execute, execute, 'DEALLOCATE p'] + self.after
        return self.before + [sql] + self.after


class Fuzz:
    def __init__(self, args):
        self.args = args
        self.sides = differential.Sides(args)
        self.database = 'fuzz_%d_%d' % (args.shards, args.factor)
        self.sides.prepare(self.database)
        self.database = 'diff_' + self.database
        major = self.sides.major()
        generate.prepare(major)
        problems = []
        for name in ['setup.sql'] + (['setup_18.sql'] if major >= 18 else []):
            problems += self.sides.run_script(Script(os.path.join(HERE, name), None), self.database, own_schema=False)
        if problems:
            sys.exit('\n'.join(problems))
        self.connect()
        self.counts = {}
        self.error = self.detail = ''

    def connect(self):
        """Waits while the coordinator recovers from a crash."""
        for _ in range(60):
            try:
                return self.connect_now()
            except (RuntimeError, OSError, ConnectionError, ConnectionLost):
                time.sleep(0.5)
        return self.connect_now()

    def connect_now(self):
        self.oracle = self.sides.oracle(self.database)
        self.cluster = self.sides.cluster(self.database)
        for side in (self.oracle, self.cluster):
            side.must("SET TimeZone = 'Europe/Berlin'")
            side.must("SET DateStyle = 'German'")
        if not any(setting.startswith('cz.check_fragments=') for setting in self.args.set):
            self.cluster.must('SET cz.check_fragments = on')
        self.oracle.must('SET statement_timeout = 3000')
        self.oracle.max_rows = 20000
        self.known = {}
        for (name,) in self.cluster.must('SELECT name FROM pg_settings').rows:
            if name in SETTINGS and not any(setting.startswith(name + '=') for setting in self.args.set):
                self.known[name] = SETTINGS[name]

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def case(self, seed):
        generator = Generator(seed)
        case = self.make_case(seed, generator)
        if generator.chance(0.5):
            for name in generator.random.sample(sorted(self.known), min(len(self.known), generator.random.randint(1, 4))):
                case.settings.append("SET %s = '%s'" % (name, generator.pick(self.known[name])))
        if case.kind in ('select', 'prepared', 'cursor') and generator.chance(0.25):
            # a role that a policy applies to
            case.before.insert(0, 'SET ROLE fuzz_reader')
            case.after.append('RESET ROLE')
        return case

    def make_case(self, seed, generator):
        kind = generator.random.random()
        if kind < 0.10:
            table, sql = generator.pick([generator.write, generator.write, generator.merge, generator.upsert])()
            return Case(seed, 'write', sql, ['BEGIN'], ['SELECT * FROM %s ORDER BY id' % table, 'ROLLBACK'], may_refuse=True)
        if kind < 0.25:
            generator.params = []
            sql = generator.select()
            return Case(seed, 'prepared', sql, params=generator.params)
        if kind < 0.33:
            # what this transaction wrote is read through its own connections
            writes = [generator.write() for _ in range(generator.random.randint(1, 2))]
            before = ['BEGIN']
            for _, sql in writes:
                before += ['SAVEPOINT s', sql + ' -- optional'] + \
                    (['ROLLBACK TO s'] if generator.chance(0.2) else [])
            return Case(seed, 'transaction', generator.select(), before, ['ROLLBACK'])
        if kind < 0.38:
            fetches = [generator.pick(['FETCH 3 FROM c', 'FETCH BACKWARD 2 FROM c', 'FETCH ABSOLUTE 4 FROM c', 'FETCH ALL FROM c',
                                       'FETCH RELATIVE -1 FROM c', 'FETCH LAST FROM c', 'MOVE FIRST FROM c', 'FETCH FORWARD 5 FROM c'])
                       for _ in range(5)]
            sql = generator.select()
            order = 'SELECT z::text FROM (%s) z ORDER BY 1' % sql
            return Case(seed, 'cursor', 'DECLARE c SCROLL CURSOR FOR ' + order, ['BEGIN'], fetches + ['ROLLBACK'])
        if kind < 0.41:
            sql = generator.select()
            return Case(seed, 'stored', 'CREATE TABLE stored AS SELECT z::text AS z FROM (%s) z' % sql, ['BEGIN'],
                        ['SELECT * FROM stored', 'ROLLBACK'])
        if kind < 0.44:
            sql = generator.select()
            return Case(seed, 'view', 'CREATE VIEW viewed AS ' + sql, ['BEGIN'],
                        ['SELECT * FROM viewed', 'SELECT count(*) FROM viewed', 'ROLLBACK'])
        if kind < 0.47:
            sql = generator.select()
            return Case(seed, 'insert', 'INSERT INTO cc (id, s) SELECT 1000, z::text FROM (%s) z' % sql, ['BEGIN'],
                        ['SELECT id, s FROM cc', 'SELECT count(*), min(s) FROM cc', 'ROLLBACK'], may_refuse=True)
        if kind < 0.52:
            return Case(seed, 'locking', generator.locking(), ['BEGIN'], ['ROLLBACK'])
        if kind < 0.54:
            sql = generator.select()
            return Case(seed, 'function', "DO $f$ DECLARE n bigint; BEGIN BEGIN SELECT count(*) INTO n FROM (%s) z; PERFORM 1 / 0; "
                        "EXCEPTION WHEN division_by_zero THEN PERFORM n; END; CREATE TEMP TABLE n AS SELECT n AS n; END $f$" % sql,
                        ['BEGIN'], ['SELECT * FROM n', 'ROLLBACK'])
        if kind < 0.60:
            return self.moment(seed, generator)
        return Case(seed, 'select', generator.select())

    @staticmethod
    def moment(seed, generator):
        """A statement that is under way while its transaction writes."""
        def write():
            return generator.write()[1] + ' -- optional'
        before = [generator.pick(['BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ'])]
        before += [write() for _ in range(generator.random.randint(0, 2))]
        sql = generator.select()
        rows = 'SELECT z::text AS z FROM (%s) z ORDER BY 1' % sql
        kind = generator.random.random()
        if kind < 0.2:
            # functions of each volatility
            call = 'SELECT fuzz_seen(), fuzz_wrote(1), fuzz_seen(), fuzz_seen_now() > 0, count(z) FROM (%s) z' % sql
            return Case(seed, 'moment', call, before, ['SELECT count(*) FROM cc', 'ROLLBACK'], may_refuse=True)
        if kind < 0.4:
            loop = ("DO $f$ DECLARE x record; turn int := 0; BEGIN FOR x IN %s LOOP turn := turn + 1; EXIT WHEN turn > 30; INSERT INTO cc (id, s) VALUES (1000 + turn, left(x.z, 20)); "
                    "BEGIN UPDATE ca SET x = turn WHERE id = turn; IF turn %% 3 = 0 THEN PERFORM 1 / 0; END IF; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $f$" % rows)
            return Case(seed, 'moment', loop, before, ['SELECT id, s FROM cc', 'SELECT id, x FROM ca', 'ROLLBACK'], may_refuse=True)
        after = []
        for _ in range(6):
            after.append(write() if generator.chance(0.4) else
                         generator.pick(['FETCH 2 FROM c', 'FETCH 2 FROM c', 'FETCH ALL FROM c', 'SAVEPOINT s', 'ROLLBACK TO s -- optional']))
        return Case(seed, 'moment', 'DECLARE c NO SCROLL CURSOR FOR ' + rows, before, after + ['FETCH ALL FROM c', 'ROLLBACK'], may_refuse=True)

    def judge(self, case, sql):
        """None: they agree; '-': nothing to compare; else what is wrong."""
        for setting in case.settings:
            self.cluster.must(setting)
        verdict = self.judge_steps(case, sql)
        for setting in case.settings:
            self.cluster.run('RESET ' + setting.split()[1])
        return verdict

    def judge_steps(self, case, sql):
        for step in case.steps(sql):
            optional = step.endswith(' -- optional')
            if optional:
                for side in (self.oracle, self.cluster):
                    side.must('SAVEPOINT o')
            expected = self.oracle.run(step)
            if expected.lost:
                self.connect()
                return '-'
            if expected.too_many:
                self.reset()
                self.error = 'too many rows'
                return '-'
            if expected.sqlstate:
                if optional:
                    self.oracle.must('ROLLBACK TO o')
                    continue
                self.reset()
                self.error = expected.sqlstate + ' ' + expected.message
                return '-'
            got = self.cluster.run(step)
            if got.lost:
                self.connect()
                return 'connection lost'
            if optional and got.sqlstate == '0A000':
                for side in (self.oracle, self.cluster):
                    side.must('ROLLBACK TO o')
                continue
            self.same_scale(expected)
            self.same_scale(got)
            wrong = compare(Statement(step, 0, {}), expected, got)
            if wrong:
                self.detail = '  step:    %s\n  plain:   %s\n  cluster: %s' % ((step[:100],) + tuple(
                    '%s %s' % (o.sqlstate, o.message) if o.sqlstate else
                    '%s %s' % (o.tag, repr(([row for row in o.rows if row not in other.rows] or o.rows)[:6])[:600])
                    for o, other in ((expected, got), (got, expected))))
                self.reset()
                if case.may_refuse and got.sqlstate == '0A000':
                    self.count('refused by the cluster')
                    if self.args.verbose:
                        print('%d refused by the cluster: %s: %s' % (case.seed, step[:200], got.message))
                    return None
                if got.sqlstate == '57014':
                    return 'timeout'
                return wrong
        if self.args.explain and case.kind == 'select':
            got = self.cluster.run('EXPLAIN (%s, FORMAT %s) %s' % (
                'ANALYZE, VERBOSE, BUFFERS' if case.seed % 3 == 0 else 'VERBOSE', ('TEXT', 'JSON', 'XML', 'YAML')[case.seed % 4], sql))
            if got.lost:
                self.connect()
                return 'connection lost'
            if got.sqlstate:
                self.detail = '  EXPLAIN: %s %s' % (got.sqlstate, got.message)
                return 'EXPLAIN'
        return None

    def reset(self):
        for side in (self.oracle, self.cluster):
            side.run('ROLLBACK')
            side.run('RESET ROLE')
            side.run('DEALLOCATE ALL')

    @staticmethod
    def same_scale(outcome):
        """1 and 1.0 are equal: UNION and DISTINCT may keep either."""
        numeric = [i for i, (_, kind) in enumerate(outcome.columns or []) if kind == 1700]
        if numeric:
            outcome.rows = [tuple(re.sub(r'\.?0+$', '', value) if i in numeric and value and '.' in value else value
                                  for i, value in enumerate(row)) for row in outcome.rows]
        elif outcome.columns and len(outcome.columns) == 1:
            # a row as text
            outcome.rows = [(re.sub(r'(\.\d*?)0+(?=[,)])', lambda part: part.group(1).rstrip('.'), value)
                             if value and value[0] == '(' else value,) for (value,) in outcome.rows]

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
        for setting in list(case.settings):
            case.settings.remove(setting)
            if not fails(tokens):
                case.settings.append(setting)
        return ' '.join(tokens)

    def run(self):
        failures = 0
        begin = time.time()
        for seed in range(self.args.seed, self.args.seed + self.args.count):
            if self.args.seconds and time.time() - begin > self.args.seconds:
                break
            case = self.case(seed)
            if self.args.only and case.kind != self.args.only:
                continue
            if self.args.print:
                print('\n'.join('%d: %s' % (seed, step) for step in case.steps(case.sql)))
            wrong = self.judge(case, case.sql)
            if wrong == '-':
                self.count('refused by plain')
                if self.args.verbose and not self.error.startswith('57014'):
                    print('%d refused: %s\n   %s' % (seed, self.error, case.sql[:3000]))
                continue
            self.count(case.kind)
            if wrong is None:
                continue
            failures += 1
            detail = self.detail
            print('seed %d: %s: %s %s\n  %s\n%s' % (seed, case.kind, wrong, case.params or '',
                                                 '\n  '.join(case.settings + case.steps(case.sql)), detail))
            sys.stdout.flush()
            if self.args.shrink_seconds and wrong not in ('timeout',):
                small = self.shrink(case, wrong)
                self.detail = ''
                self.judge(case, small)
                print('  shrunk: %s\n%s' % ('; '.join(case.settings + [small]), self.detail))
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
    parser.add_argument('--tables', choices=['key', 'parts'], default='key', help='see differential/run')
    parser.add_argument('--shrink-seconds', type=int, default=20)
    parser.add_argument('--only', help='statements of one kind: moment, write, select, ...')
    parser.add_argument('--max-failures', type=int, default=20)
    parser.add_argument('--explain', action='store_true', help='every SELECT is also explained')
    parser.add_argument('--print', action='store_true', help='print every statement')
    parser.add_argument('--verbose', action='store_true', help='print what plain PostgreSQL refuses')
    args = parser.parse_args()
    args.oracle_only, args.data, args.protocol, args.slow_ms, args.user_settings = False, None, 'simple', 0, 0
    print('# seed %d' % args.seed)
    try:
        return Fuzz(args).run()
    except ConnectionLost as problem:
        print('connection lost: %s' % problem)
        return 1


if __name__ == '__main__':
    sys.exit(main())
