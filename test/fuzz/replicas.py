#!/usr/bin/env python3
"""Random transactions of several sessions at once: placements stay equal, nothing is lost.

A round is a handful of transactions, made from its seed, that run at the same time on few rows
of one key: all kinds of writes, sub-queries on other tables, row locks, savepoints, exception
blocks, both isolation levels, pauses between the two COMMIT PREPARED.  After it
  - all placements of every shard and all copies of reference tables are equal;
  - the rows that were only ever inserted are those of the transactions that committed;
  - no statement waited for ever;
  - no error was one that plain PostgreSQL could not give.
--seed N --rounds 1 makes a round again; how its sessions meet is chance.
"""
import argparse
import importlib.machinery
import importlib.util
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENTIAL = os.path.join(HERE, '..', 'differential')
sys.path[:0] = [HERE, DIFFERENTIAL]
from pgclient import ConnectionLost

loader = importlib.machinery.SourceFileLoader('differential_run', os.path.join(DIFFERENTIAL, 'run'))
spec = importlib.util.spec_from_loader('differential_run', loader)
differential = importlib.util.module_from_spec(spec)
loader.exec_module(differential)

# deadlock, serialization, a transaction that can only be rolled back, a lock that was not waited
# for, duplicate key, several rows of a sub-query, refused, "current transaction is aborted"
ALLOWED = ('40P01', '40001', '40000', '55P03', '23505', '21000', '0A000', '25P02')

# p has a key, q and n have none and are written in some rounds only, o is read by writes, l and r
# are only inserted into
TABLES = ('p', 'q', 'n', 'o', 'l', 'r')
SETUP = '''
CREATE TABLE p (k int, id int, v int, x numeric, PRIMARY KEY (k, id));

CREATE TABLE q (k int, id int, v int);

CREATE TABLE n (k int, id int, x numeric);

CREATE TABLE o (k int, id int, v int, x numeric, PRIMARY KEY (k, id));

CREATE TABLE l (k int, id int);

CREATE TABLE r (id int PRIMARY KEY, v int);

SELECT create_distributed_table('p', 'k', colocate_with => 'none');

SELECT create_distributed_table('q', 'k', colocate_with => 'p');

SELECT create_distributed_table('n', 'k', colocate_with => 'p');

SELECT create_distributed_table('o', 'k', colocate_with => 'p');

SELECT create_distributed_table('l', 'k', colocate_with => 'p');

SELECT create_reference_table('r');

CREATE FUNCTION undone(at int, i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    BEGIN
        INSERT INTO l VALUES (at, -i);
        PERFORM count(*) FROM l WHERE k = at;
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN i;
END $$;

CREATE FUNCTION impatient(at int, i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    BEGIN
        SET LOCAL lock_timeout = '50ms';
        PERFORM count(*) FROM q WHERE k = at;
    EXCEPTION WHEN lock_not_available THEN NULL;
    END;
    RETURN i;
END $$
'''


class Program:
    """One transaction: statements, each with the rows that it adds to l and r for good."""

    def __init__(self, rng, key, number, keyless):
        self.rng, self.key, self.next_id, self.keyless = rng, key, number * 1000, keyless
        self.steps = []
        self.sleep = rng.random() < 0.4
        self.level = 'REPEATABLE READ' if rng.random() < 0.25 else 'READ COMMITTED'
        self.end = 'ROLLBACK' if rng.random() < 0.1 else 'COMMIT'
        depth = 0
        for _ in range(rng.randint(1, 5)):
            if rng.random() < 0.3:
                depth += 1
                self.add('SAVEPOINT s%d' % depth)
            self.statement()
            if depth > 0 and rng.random() < 0.4:
                self.add('%s s%d' % (rng.choice(['ROLLBACK TO', 'RELEASE']), depth))
                depth -= 1
        self.depth = depth

    def new_id(self):
        self.next_id += 1
        return self.next_id

    def add(self, sql, rows=()):
        # a pause before it, so that transactions meet in all their phases
        self.steps.append((sql.replace('$K', str(self.key)), list(rows), self.rng.choice([0, 0, 0, 0.1, 0.3])))

    def statement(self):
        rng = self.rng
        row = rng.randint(1, 4)
        if rng.random() < 0.15:
            # what others read
            return self.add(rng.choice(['INSERT INTO o VALUES ($K, %d, 1, 2)' % self.new_id(), 'UPDATE o SET v = v + 1 WHERE k = $K',
                                        'INSERT INTO p VALUES ($K, %d, 1, 2)' % self.new_id()]))
        assign = rng.choice([
            'v = v + 1', 'v = v * 2 + 1', 'v = (SELECT count(*) FROM o WHERE o.k = $T.k)',
            'v = (SELECT max(o.v) + $T.v FROM o WHERE o.k = $T.k)', 'v = (SELECT count(*) FROM $T y WHERE y.k = $T.k)',
            'v = (SELECT count(*) FROM r)', 'v = (SELECT count(*) FROM l WHERE l.k = $T.k)'])
        where = rng.choice(['id = %d' % row, 'id = %d' % row, 'id <= %d' % row, 'v %% 2 = %d' % (row % 2), 'true'])
        kind = rng.choice(['insert', 'insert', 'update', 'update', 'update', 'from', 'delete', 'lock', 'numeric', 'read', 'other',
                           'undone', 'impatient', 'block', 'log', 'log'])
        table = rng.choice('pq' if self.keyless else 'p')
        if kind == 'insert':
            self.add('INSERT INTO %s (k, id, v) VALUES ($K, %d, 0)' % (rng.choice('pqo' if self.keyless else 'po'), rng.choice([row, self.new_id()])))
        elif kind == 'update':
            self.add(('UPDATE $T SET %s WHERE k = $K AND %s' % (assign, where)).replace('$T', table))
        elif kind == 'from':
            self.add('UPDATE %s SET v = o.v FROM o WHERE o.k = %s.k AND o.id = %s.id AND %s.k = $K' % ((table,) * 4))
        elif kind == 'delete':
            self.add('DELETE FROM %s WHERE k = $K AND %s' % (rng.choice('pqo' if self.keyless else 'po'), where.replace('true', 'id > 500')))
        elif kind == 'lock':
            self.add('SELECT id FROM %s WHERE k = $K AND %s %s' % (table, where, rng.choice(['FOR UPDATE', 'FOR SHARE'])))
            self.add('UPDATE %s SET v = v + 1 WHERE k = $K AND %s' % (table, where))
        elif kind == 'numeric':
            # values that are equal and look different
            self.add(rng.choice([
                'UPDATE %s SET x = (SELECT max(o.x) FROM o WHERE o.k = %s.k) WHERE k = $K',
                'UPDATE %s SET x = (SELECT DISTINCT o.x FROM o WHERE o.k = %s.k) WHERE k = $K']).replace('%s', rng.choice('pn' if self.keyless else 'p')))
        elif kind == 'read':
            self.add('SELECT count(*) FROM %s WHERE k = $K' % rng.choice('pqol'))
        elif kind == 'other':
            self.add(rng.choice([
                'UPDATE o SET v = v + 1 WHERE k = $K', 'INSERT INTO o VALUES ($K, %d, 1, %s)' % (self.new_id(), rng.choice(['1.0', '1.00'])),
                'DELETE FROM o WHERE k = $K AND id > 10']))
        elif kind == 'log':
            ids = [self.new_id() for _ in range(rng.randint(1, 3))]
            if rng.random() < 0.5:
                self.add('INSERT INTO r VALUES %s' % ', '.join('(%d, 1)' % i for i in ids), [('r', i) for i in ids])
                if rng.random() < 0.5:
                    self.add('UPDATE r SET v = v + 1 WHERE id = %d' % ids[0])
            else:
                self.add('INSERT INTO l VALUES %s' % ', '.join('($K, %d)' % i for i in ids), [('l', i) for i in ids])
        elif kind in ('undone', 'impatient'):
            ids = [self.new_id() for _ in range(3)]
            target = rng.choice(['l', 'r'])
            columns = '$K, %s' if target == 'l' else '%s, 1'
            self.add('INSERT INTO %s SELECT %s FROM generate_series(%d, %d) i' % (
                target, columns % ('%s($K, i)' % kind), ids[0], ids[-1]), [(target, i) for i in ids])
        elif kind == 'block':
            self.add("DO $b$ BEGIN INSERT INTO l VALUES ($K, %d); UPDATE %s SET v = 1 WHERE k = $K AND id = %d; RAISE EXCEPTION 'undo'; "
                     "EXCEPTION WHEN raise_exception THEN NULL; END $b$" % (-self.new_id(), table, row))


class Replicas:
    def __init__(self, args):
        self.args = args
        self.sides = differential.Sides(args)
        setup = 'replicas_%d_%d' % (args.shards, args.factor)
        self.sides.prepare(setup)
        self.database = 'diff_' + setup
        self.main = self.sides.cluster(self.database)
        for statement in SETUP.split(';\n\n'):
            self.main.must(statement)
        for key in range(1, 6):
            self.main.must('INSERT INTO p SELECT %d, i, 0 FROM generate_series(1, 4) i' % key)
            self.main.must('INSERT INTO q SELECT %d, i, 0 FROM generate_series(1, 4) i' % key)
            self.main.must('INSERT INTO n SELECT %d, i, 0 FROM generate_series(1, 4) i' % key)
            self.main.must('INSERT INTO o VALUES (%d, 1, 1, 1.0), (%d, 2, 2, 1.00)' % (key, key))
        self.expected = {'l': set(), 'r': set()}
        self.problems = []
        self.counts = {}
        self.names = {name: shard for name, shard in self.main.must(
            "SELECT c.table_name::text || '_' || c.shardid, c.shard_name FROM citus_shards c").rows}

    def execute(self, program):
        """Runs a transaction; returns what it added if it committed."""
        connection = self.sides.cluster(self.database)
        try:
            return self.execute_on(connection, program)
        finally:
            connection.close()

    def execute_on(self, connection, program):
        # the rows that were inserted since each savepoint, the first one being BEGIN
        levels = [('', [])]
        if program.sleep:
            # between the commits of two placements, of either way to commit
            connection.must("SET cz.debug_point = '%s=sleep:500'" % ('during_commit_prepared' if program.next_id % 2 else 'p_committed'))
        steps = [('BEGIN ISOLATION LEVEL ' + program.level, [], 0)] + program.steps + [(program.end, [], 0)]
        failed = False
        for sql, rows, pause in steps:
            # in a failed transaction: only what ends that, to a savepoint that was made
            if failed and not (sql == 'ROLLBACK' or (sql.startswith('ROLLBACK TO') and sql.split()[-1] in [name for name, rows in levels])):
                continue
            time.sleep(pause)
            result = connection.run(sql)
            state = result.sqlstate or ('lost' if result.lost else 'ok')
            self.counts[state] = self.counts.get(state, 0) + 1
            if self.args.verbose:
                print('  %s %s %s' % (state, sql, result.message))
            if result.lost or (result.sqlstate and result.sqlstate not in ALLOWED):
                self.problems.append('%s %s\n    %s' % (result.sqlstate, result.message, sql))
                return []
            if result.sqlstate:
                if sql == 'COMMIT':
                    return []
                failed = True
                continue
            name = sql.split()[-1]
            if sql.startswith('SAVEPOINT'):
                levels.append((name, []))
            elif sql.startswith('RELEASE'):
                released = []
                while not released or released[-1][0] != name:
                    released.append(levels.pop())
                for level in reversed(released):
                    levels[-1][1].extend(level[1])
            elif sql.startswith('ROLLBACK TO'):
                failed = False
                while levels[-1][0] != name:
                    levels.pop()
                levels[-1][1].clear()
            else:
                levels[-1][1].extend(rows)
            if sql == 'COMMIT' and result.tag == 'COMMIT':
                return [row for name, inserted in levels for row in inserted]
        return []

    def contents(self, address):
        """What every placement on a worker holds."""
        worker = self.sides.connect(address, self.database)
        found = {}
        for (shard,) in worker.must("SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname <> 'cz_object'").rows:
            found[shard] = worker.must('SELECT s::text FROM cz_shards.%s s ORDER BY 1' % shard).rows
        worker.close()
        return found

    def compare(self):
        seen = {}
        for address in self.args.workers.split(','):
            for shard, rows in self.contents(address).items():
                if seen.setdefault(shard, rows) != rows:
                    self.problems.append('placements of %s differ: %s' % (shard, [row for row in seen[shard] if row not in rows][:3] +
                                                                         [row for row in rows if row not in seen[shard]][:3]))
        for table in ('l', 'r'):
            there = [int(row[0]) for row in self.main.must('SELECT id FROM %s' % table).rows]
            if sorted(there) != sorted(self.expected[table]):
                self.problems.append('rows of %s: missing %s, too many %s' % (
                    table, sorted(self.expected[table] - set(there))[:5], sorted(i for i in there if i not in self.expected[table])[:5]))

    def settle(self):
        """Until every prepared transaction of the round is finished."""
        for _ in range(200):
            left = 0
            for address in self.args.workers.split(','):
                worker = self.sides.connect(address, self.database)
                left += len(worker.must('SELECT FROM pg_prepared_xacts WHERE database = current_database()').rows)
                worker.close()
            if left == 0:
                return
            time.sleep(0.1)
        self.problems.append('prepared transactions are left')

    def round(self, seed):
        rng = random.Random(seed)
        key = rng.randint(1, 5)
        self.keyless = rng.random() < 0.4
        programs = [Program(rng, key, (seed - self.args.seed) * 20 + i + 1, self.keyless) for i in range(self.args.sessions)]
        added = []
        threads = [threading.Thread(target=lambda p=p: added.append(self.execute(p))) for p in programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(added) != len(programs):
            self.problems.append('a session ended early')
        for rows in added:
            for table, row in rows:
                self.expected[table].add(row)
        self.settle()
        self.compare()
        return programs

    def run(self):
        begin = time.time()
        failures = 0
        for seed in range(self.args.seed, self.args.seed + self.args.rounds):
            programs = self.round(seed)
            if not self.problems:
                continue
            failures += 1
            print('seed %d: %s' % (seed, '\n  '.join(self.problems)))
            for i, program in enumerate(programs):
                print('  session %d, %s%s\n    %s' % (i + 1, program.level, ', pauses' if program.sleep else '', '\n    '.join(
                    [sql for sql, _, _ in program.steps] + [program.end])))
            sys.stdout.flush()
            self.problems = []
            if failures >= self.args.max_failures:
                break
            # begin anew with what is there
            try:
                self.main = self.sides.cluster(self.database)
                for table in TABLES:
                    self.main.must('TRUNCATE %s' % table)
                self.expected = {'l': set(), 'r': set()}
            except (RuntimeError, ConnectionLost) as problem:
                print('cannot go on: %s' % problem)
                break
        print('# replicas: factor %d, seeds %d to %d: %s, %d failures, %.0f s' % (
            self.args.factor, self.args.seed, seed, ', '.join('%d %s' % (n, what) for what, n in sorted(self.counts.items())),
            failures, time.time() - begin))
        print('%sok replicas, factor %d' % ('not ' if failures else '', self.args.factor))
        return 1 if failures else 0


def make_parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--oracle', required=True, help='HOST:PORT of a plain PostgreSQL')
    parser.add_argument('--coordinator', required=True, help='HOST:PORT')
    parser.add_argument('--workers', required=True, help='HOST:PORT,...')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--sessions', type=int, default=5)
    parser.add_argument('--shards', type=int, default=2)
    parser.add_argument('--factor', type=int, default=2)
    parser.add_argument('--plan-cache-mode', default='auto')
    parser.add_argument('--timeout-ms', type=int, default=15000)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--max-failures', type=int, default=5)
    parser.add_argument('--verbose', action='store_true')
    return parser


def parse(parser):
    args = parser.parse_args()
    args.oracle_only, args.data, args.protocol, args.slow_ms = False, None, 'simple', 0
    print('# seed %d' % args.seed)
    return args


if __name__ == '__main__':
    sys.exit(Replicas(parse(make_parser(__doc__.split('\n')[0]))).run())
