#!/usr/bin/env python3
"""Sessions that write a few rows without a pause while servers and backends are killed.

A round is some seconds in which each session runs one random transaction after the other: all
kinds of writes, on one shard or several, at factor 1 and 2 and on reference tables, savepoints,
exception blocks, both isolation levels.  Meanwhile workers are killed, stopped and started again,
backends of workers and of the coordinator are killed, terminated and cancelled.  Then all is made
whole, and
  - all placements of every shard and all copies of reference tables are equal;
  - what a transaction has entered in the journals is there if its COMMIT was acknowledged, not
    there if it failed, and where nobody knows all of it is there or nothing;
  - counters are what the journal says: no update is lost, none is done twice;
  - nothing is prepared, no placement is inactive, no statement waited for ever;
  - no error was one that a database whose servers fail could not give;
  - no process of the coordinator has crashed but those that were killed.
--seed N makes the same transactions and the same failures; how they meet is chance.
"""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import replicas
from replicas import ConnectionLost

# as replicas.ALLOWED; then: cancelled, a connection that is lost or can't be made, an outcome that
# nobody knows, an administrator's command, a crash, a server that starts, no placement is active
ALLOWED = replicas.ALLOWED + ('57014', '08006', '08001', '08007', '57P01', '57P02', '57P03', '55000', '25006')
# of an error at COMMIT: the transaction may be committed
UNKNOWN = ('08007',)

KEYS = 12
SETUP = '''
CREATE TABLE s (k int PRIMARY KEY, v int);

CREATE TABLE c (k int PRIMARY KEY, v int);

CREATE TABLE c1 (k int PRIMARY KEY, v int);

CREATE TABLE j (k int, id int PRIMARY KEY, c int);

CREATE TABLE w (id int, k int, v int);

ALTER TABLE j DROP CONSTRAINT j_pkey, ADD PRIMARY KEY (k, id);

SELECT create_reference_table('s');

SELECT create_distributed_table('c', 'k', colocate_with => 'none');

SELECT create_distributed_table('j', 'k', colocate_with => 'none');

SELECT create_distributed_table('w', 'id', colocate_with => 'none');

SET cz.shard_replication_factor = 1;

SELECT create_distributed_table('c1', 'k', colocate_with => 'none');

INSERT INTO s SELECT i, 0 FROM generate_series(1, $KEYS) i;

INSERT INTO c SELECT i, 0 FROM generate_series(1, 2 * $KEYS) i;

INSERT INTO c1 SELECT i, 0 FROM generate_series(1, $KEYS) i;

INSERT INTO p SELECT k, i, 0 FROM generate_series(6, $KEYS) k, generate_series(1, 4) i;

INSERT INTO o SELECT k, i, i, i FROM generate_series(6, $KEYS) k, generate_series(1, 2) i
'''

# More kinds of writes than replicas.py has: of several keys, moves, MERGE, ON CONFLICT, WITH,
# reference tables.  $K, $L: two keys, $R: a row, $N: a new number
STATEMENTS = [
    'UPDATE p SET v = v + 1 WHERE id = $R',
    'UPDATE p SET v = v + 1 WHERE k IN ($K, $L)',
    'UPDATE p SET k = $L WHERE k = $K AND id = $R',
    'UPDATE p SET k = k % $KEYS + 1, id = id + 1000 WHERE k = $K AND id > 500',
    'UPDATE p SET v = (random() * 1000)::int WHERE k = $K',
    'UPDATE p SET v = p.v + s.v FROM s WHERE s.k = p.id AND p.k = $K',
    'DELETE FROM p WHERE k IN ($K, $L) AND id > 4',
    'DELETE FROM p USING o WHERE o.k = p.k AND o.id = p.id AND p.k = $K AND p.id > 4',
    'DELETE FROM p WHERE ctid IN (SELECT ctid FROM p WHERE k = $K AND id > 4 ORDER BY id LIMIT 2)',
    'INSERT INTO p (k, id, v) VALUES ($K, $N, 0), ($L, $N, 0) ON CONFLICT DO NOTHING',
    'INSERT INTO p AS t (k, id, v) VALUES ($K, $R, 1) ON CONFLICT (k, id) DO UPDATE SET v = t.v + excluded.v',
    'INSERT INTO p (k, id, v) SELECT k, id + $N, v FROM o WHERE k = $K',
    'INSERT INTO p (k, id, v) SELECT $L, id + $N, v FROM p WHERE k = $K AND id <= 4',
    'MERGE INTO p USING (VALUES ($K, $R), ($K, $N)) x (k, id) ON p.k = x.k AND p.id = x.id AND p.k = $K '
    'WHEN MATCHED THEN UPDATE SET v = p.v + 1 WHEN NOT MATCHED THEN INSERT (k, id, v) VALUES (x.k, x.id, 0)',
    'WITH d AS (DELETE FROM p WHERE k = $K AND id > 4 RETURNING *) INSERT INTO p SELECT $L, id + $N, v FROM d',
    'WITH u AS (UPDATE p SET v = v + 1 WHERE k = $K RETURNING v) UPDATE s SET v = v + (SELECT count(*) FROM u) WHERE k = $L',
    'UPDATE p SET v = v + 1 WHERE (k, id) IN (SELECT k, id FROM p WHERE k = $K ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)',
    'UPDATE s SET v = v + 1 WHERE k = $K',
    'UPDATE s SET v = s.v + 1 FROM o WHERE o.k = s.k AND o.id = 1 AND s.k IN ($K, $L)',
    'DELETE FROM s WHERE k > $KEYS',
    'INSERT INTO s VALUES ($N + 100, 0)',
    'INSERT INTO s AS t VALUES ($K, 1) ON CONFLICT (k) DO UPDATE SET v = t.v + 1',
    'UPDATE w SET v = v + 1 WHERE id = $R AND k = $K',
    'INSERT INTO w VALUES ($R, $K, 0)',
    'DELETE FROM w WHERE id = $R',
    "COPY p (k, id, v) FROM STDIN",
    "DO $b$ BEGIN UPDATE p SET v = v + 1 WHERE k = $K; UPDATE s SET v = -1 WHERE k = $L; UPDATE p SET v = -1 WHERE id = $R; "
    "RAISE EXCEPTION 'undo'; EXCEPTION WHEN raise_exception THEN UPDATE p SET v = v + 2 WHERE k = $L; END $b$",
]


class Program(replicas.Program):
    """A transaction whose steps may be of several keys, and that enters itself in the journals."""

    def __init__(self, rng, number, keyless):
        self.other = rng.randint(1, KEYS)
        self.journal = []           # (table, id)
        self.has_entry = False
        super().__init__(rng, rng.randint(1, KEYS), number, keyless)
        self.steps = [(sql, 0 if pause and rng.random() < 0.8 else pause / 4) for sql, rows, pause in self.steps]
        self.sleep = rng.random() < 0.05

    def statement(self):
        rng = self.rng
        if rng.random() < 0.4 and not self.has_entry:
            return self.enter()
        if rng.random() < 0.35:
            return super().statement()
        sql = rng.choice(STATEMENTS)
        self.add(sql.replace('$L', str(self.other)).replace('$R', str(rng.randint(1, 4)))
                 .replace('$N', str(self.new_id())).replace('$KEYS', str(KEYS)))

    def enter(self):
        self.has_entry = True
        row = self.new_id()
        key = self.rng.choice([self.key, self.other])
        steps = ['UPDATE c SET v = v + 1 WHERE k = %d' % self.other, 'INSERT INTO j VALUES (%d, %d, %d)' % (key, row, self.other)]
        if self.rng.random() < 0.5:
            steps.append('INSERT INTO r VALUES (%d, 1)' % row)
            self.journal.append(('r', row))
        self.rng.shuffle(steps)
        for sql in steps:
            self.add(sql)
        self.journal.append(('j', row))


class Servers:
    """The cluster's processes, and what may happen to them."""

    def __init__(self, storm, rng):
        self.storm, self.rng = storm, rng
        self.args = storm.args
        self.nworkers = len(self.args.workers.split(','))
        self.counts = {}
        self.away = None            # (worker, when it comes back, how)

    def command(self, *words):
        subprocess.run([self.args.cz_cluster, '--dir', self.args.dir] + list(words), check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def pids(self, worker):
        with open(os.path.join(self.args.dir, 'n%d' % worker, 'postmaster.pid')) as file:
            pid = file.readline().strip()
        found = subprocess.run(['pgrep', '-P', pid], stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
        return [int(pid)] + [int(one) for one in found]

    def signal_worker(self, worker, number):
        for pid in self.pids(worker):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def bring_back(self):
        worker, _, how = self.away
        self.away = None
        if how == 'stop':
            self.signal_worker(worker, signal.SIGCONT)
            return
        for _ in range(5):
            try:
                return self.command('restart', str(worker))
            except subprocess.CalledProcessError:
                time.sleep(0.5)
        self.storm.problem('worker %d does not start' % worker)

    def backends(self, address):
        """Process ids of sessions in the storm's database."""
        connection = self.storm.sides.connect(address, 'postgres')
        rows = connection.must("SELECT pid FROM pg_stat_activity WHERE datname = '%s' AND backend_type = 'client backend'"
                               % self.storm.database).rows
        connection.close()
        return [int(row[0]) for row in rows]

    def strike(self):
        rng = self.rng
        kind = rng.choice(['kill worker'] * 4 + ['stop worker'] * 2 + ['kill backend of worker'] + ['terminate backend of worker'] * 4 +
                          ['kill backend'] * (1 if self.args.crashes else 0) + ['terminate backend'] * 4 + ['cancel backend'] * 4)
        worker = rng.randint(1, self.nworkers)
        if self.away and (kind.endswith('worker') or kind == 'kill backend'):
            return
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == 'kill worker':
            self.away = (worker, time.time() + rng.choice([0, 0.5, 2, 4]), 'kill')
            return self.signal_worker(worker, signal.SIGKILL)
        if kind == 'stop worker':
            self.away = (worker, time.time() + rng.choice([0.5, 1.5, 4]), 'stop')
            return self.signal_worker(worker, signal.SIGSTOP)
        address = self.args.workers.split(',')[worker - 1] if kind.endswith('worker') else self.args.coordinator
        pids = self.backends(address)
        if not pids:
            return
        pid = rng.choice(pids)
        os.kill(pid, {'kill': signal.SIGKILL, 'terminate': signal.SIGTERM, 'cancel': signal.SIGINT}[kind.split()[0]])

    def watch(self):
        """Who waits for what, when a statement takes half of its time: to be told should it take all."""
        args = self.args
        nodes = [args.coordinator] + args.workers.split(',')
        said = []
        for number, address in enumerate(nodes):
            if self.away and self.away[0] == number:
                continue
            try:
                connection = self.storm.sides.connect(address, 'postgres')
                rows = connection.must(
                    "SELECT pid, application_name, state, coalesce(wait_event, '-'), round(extract(epoch FROM now() - query_start), 1), "
                    "pg_blocking_pids(pid)::text, left(query, 150) FROM pg_stat_activity WHERE datname = '%s' AND pid <> pg_backend_pid() "
                    "AND (state <> 'idle' OR pg_blocking_pids(pid) <> '{}') "
                    "UNION ALL SELECT 0, gid, 'prepared', '', round(extract(epoch FROM now() - prepared), 1), '', '' FROM pg_prepared_xacts "
                    "ORDER BY 1" % self.storm.database).rows
                connection.close()
            except (OSError, RuntimeError, ConnectionError, ConnectionLost) as problem:
                rows = [(str(problem),)]
            if number == 0 and not any(len(row) == 7 and row[2] == 'active' and float(row[4]) > args.timeout_ms / 2000 for row in rows):
                return
            said += ['node %d: %s' % (number, ' | '.join(row)) for row in rows]
        self.storm.watched = (time.strftime('%H:%M:%S'), said)

    def run(self, until):
        next_watch = 0
        while time.time() < until:
            time.sleep(self.rng.choice([0.05, 0.2, 0.5, 1]))
            if time.time() > next_watch:
                next_watch = time.time() + 2
                self.watch()
            if self.away and time.time() > self.away[1]:
                self.bring_back()
            try:
                self.strike()
            except (OSError, RuntimeError, ConnectionError, ConnectionLost):
                pass                # what was to be hit has gone
        if self.away:
            self.bring_back()


class Storm(replicas.Replicas):
    def __init__(self, args):
        super().__init__(args)
        for statement in SETUP.replace('$KEYS', str(KEYS)).split(';\n\n'):
            self.main.must(statement)
        for setting in ("cz.worker_timeout = '1s'", "cz.connect_timeout = '1s'", "cz.recovery_interval = '1s'", "restart_after_crash = on"):
            self.main.must('ALTER SYSTEM SET ' + setting)
        self.main.must('SELECT pg_reload_conf()')
        self.lock = threading.Lock()
        self.groups = []            # (program, its entries in the journals, whether they are committed)
        self.single = {'c': {}, 'c1': {}}   # key: [acknowledged, not known] single updates
        self.number = 0
        self.watched = None         # what was seen when a statement took long
        self.log = os.path.join(args.dir, 'n0.log')
        self.log_seen = os.path.getsize(self.log)

    def problem(self, text):
        with self.lock:
            self.problems.append(text)

    def note(self, state):
        with self.lock:
            self.counts[state] = self.counts.get(state, 0) + 1

    def execute_program(self, connection, program):
        """Returns 'yes', 'no' or 'perhaps': is it committed?"""
        names = []              # of savepoints
        failed = False
        entered_at = None       # number of savepoints when the journal was written; None: it is not
        steps = [('BEGIN ISOLATION LEVEL ' + program.level, 0)] + program.steps + [(program.end, 0)]
        for sql, pause in steps:
            if failed and not (sql == 'ROLLBACK' or sql == 'COMMIT' or (sql.startswith('ROLLBACK TO') and sql.split()[-1] in names)):
                continue
            time.sleep(pause)
            result = connection.run(sql, copy_data=('%d\t%d\t0\n%d\t%d\t0\n' % (
                program.key, program.new_id() + 500000, program.other, program.new_id() + 500000)).encode() if sql.startswith('COPY') else None)
            state = result.sqlstate or ('lost' if result.lost else 'ok')
            self.note(state)
            if self.args.verbose:
                print('  %s %s %s' % (state, sql, result.message))
            if result.sqlstate and result.sqlstate not in ALLOWED + tuple(self.args.allow) or 'statement timeout' in result.message:
                self.problem('%s %s\n    %s' % (result.sqlstate, result.message, sql))
            if result.seconds > self.args.timeout_ms / 1000 + 5:
                self.problem('%.0f s: %s' % (result.seconds, sql))
            if sql == 'COMMIT':
                if result.lost or result.sqlstate in UNKNOWN:
                    return 'perhaps' if entered_at is not None and not failed else 'no'
                return 'yes' if not result.sqlstate and result.tag == 'COMMIT' and entered_at is not None else 'no'
            if result.lost or sql == 'ROLLBACK':
                return 'no'
            name = sql.split()[-1]
            if result.sqlstate:
                failed = True
                # one that could not be released is gone
                if sql.startswith('RELEASE'):
                    del names[len(names) - 1 - names[::-1].index(name):]
                continue
            if sql.startswith('SAVEPOINT'):
                names.append(name)
            elif sql.startswith('RELEASE') or sql.startswith('ROLLBACK TO'):
                at = len(names) - 1 - names[::-1].index(name)
                if sql.startswith('ROLLBACK'):
                    failed = False
                    del names[at + 1:]
                    if entered_at is not None and entered_at > at:
                        entered_at = None
                else:
                    del names[at:]
                    if entered_at is not None:
                        entered_at = min(entered_at, at)
            elif sql.startswith('INSERT INTO j '):
                entered_at = len(names)
        return 'no'

    def execute_single(self, connection, rng):
        """One statement that commits by itself."""
        table = rng.choice(['c', 'c', 'c1'])
        key = rng.randint(1, KEYS) + (KEYS if table == 'c' else 0)
        result = connection.run('UPDATE %s SET v = v + 1 WHERE k = %d%s' % (table, key, rng.choice(['', '', ' AND v >= 0 + random() * 0'])))
        state = result.sqlstate or ('lost' if result.lost else 'ok')
        self.note(state)
        if result.sqlstate and result.sqlstate not in ALLOWED + tuple(self.args.allow) or 'statement timeout' in result.message:
            self.problem('%s %s\n    UPDATE of %s' % (result.sqlstate, result.message, table))
        with self.lock:
            count = self.single[table].setdefault(key, [0, 0])
            if state == 'ok':
                count[0] += 1
                if result.tag != 'UPDATE 1':
                    self.problems.append('%s: UPDATE of %s %d' % (result.tag, table, key))
            elif result.lost or state in UNKNOWN:
                count[1] += 1
        return not result.lost

    def session(self, seed, until):
        rng = random.Random(seed)
        connection = None
        try:
            while time.time() < until:
                if connection is None:
                    connection = self.sides.cluster(self.database)
                if rng.random() < 0.4:
                    if not self.execute_single(connection, rng):
                        connection = None
                    continue
                with self.lock:
                    self.number += 1
                    number = self.number
                program = Program(rng, number, rng.random() < 0.1)
                if program.sleep:
                    connection.run("SET cz.debug_point = '%s=sleep:300'" % rng.choice(
                        ['during_commit_prepared', 'p_committed', 's_commit_sent', 'after_prepare', 'after_local_commit']))
                outcome = self.execute_program(connection, program)
                if program.sleep:
                    connection.run('RESET cz.debug_point')
                with self.lock:
                    if program.journal:
                        self.groups.append((program, program.journal, outcome))
                if connection.run('ROLLBACK').lost:
                    connection = None
        except Exception as problem:
            self.problem('session: %r' % problem)

    def make_whole(self):
        """Until nothing is prepared and all placements are active."""
        left = '?'
        for _ in range(120):
            try:
                self.main = self.sides.cluster(self.database)
                self.main.run('SELECT recover_prepared_transactions()')
                self.main.run('SELECT cz_repair_placements()')
                left = self.main.must('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1').rows[0][0]
                prepared = 0
                for address in self.args.workers.split(','):
                    worker = self.sides.connect(address, self.database)
                    prepared += len(worker.must('SELECT FROM pg_prepared_xacts WHERE database = current_database()').rows)
                    worker.close()
                if left == '0' and prepared == 0:
                    return
                left += ' inactive, %d prepared' % prepared
            except (OSError, RuntimeError, ConnectionError, ConnectionLost) as problem:
                left = str(problem)
            time.sleep(0.25)
        self.problem('not whole: ' + left)

    def compare(self):
        self.expected = {}
        seen = {}
        for address in self.args.workers.split(','):
            for shard, rows in self.contents(address).items():
                if seen.setdefault(shard, rows) != rows:
                    self.problem('placements of %s differ: %s' % (shard, [row for row in seen[shard] if row not in rows][:3] +
                                                                  [row for row in rows if row not in seen[shard]][:3]))
        for row in self.main.must('SELECT * FROM cz_verify_placements() WHERE NOT ok').rows:
                self.problem('cz_verify_placements: %s' % (row,))
        there = {table: [int(row[0]) for row in self.main.must('SELECT id FROM %s' % table).rows] for table in ('j', 'r')}
        for table, ids in there.items():
            if len(set(ids)) != len(ids):
                self.problem('rows of %s are there twice' % table)
        there = {table: set(ids) for table, ids in there.items()}
        for program, entries, outcome in self.groups:
            found = [row in there[table] for table, row in entries]
            if any(found) != all(found) or outcome == 'yes' and not all(found) or outcome == 'no' and any(found):
                self.problem('committed: %s, but there: %s\n    %s' % (outcome, list(zip(entries, found)), '\n    '.join(
                    sql for sql, pause in program.steps)))
        known = {(table, row) for program, entries, outcome in self.groups for table, row in entries}
        for row in there['j']:
            if ('j', row) not in known:
                self.problem('row %d of j is nobody\'s' % row)
        for key, value, expected in self.main.must('SELECT k, v, (SELECT count(*) FROM j WHERE j.c = c.k) FROM c WHERE k <= %d' % KEYS).rows:
            if value != expected:
                self.problem('counter %s is %s, journal says %s' % (key, value, expected))
        for table, counts in self.single.items():
            for key, value in self.main.must('SELECT k, v FROM %s' % table).rows:
                done, unknown = counts.get(int(key), [0, 0])
                if (table == 'c1' or int(key) > KEYS) and not done <= int(value) <= done + unknown:
                    self.problem('%s: counter %s is %s, acknowledged %d, not known %d' % (table, key, value, done, unknown))

    def look_for_crashes(self):
        with open(self.log, errors='replace') as file:
            file.seek(self.log_seen)
            for line in file:
                if re.search(r'terminated by signal (?!9\b)|PANIC: |TRAP: ', line):
                    self.problem(line.strip())
            self.log_seen = file.tell()

    def storm(self, seed):
        rng = random.Random(seed)
        until = time.time() + self.args.round_seconds
        servers = Servers(self, rng)
        threads = [threading.Thread(target=self.session, args=(seed * 100 + i, until)) for i in range(self.args.sessions)]
        for thread in threads:
            thread.start()
        servers.run(until)
        for thread in threads:
            thread.join()
        self.make_whole()
        self.look_for_crashes()
        try:
            self.compare()
        except (OSError, RuntimeError, ConnectionError, ConnectionLost) as problem:
            self.problem('cannot compare: %s' % problem)
        return servers.counts

    def run(self):
        begin = time.time()
        seed = self.args.seed
        failures = 0
        strikes = {}
        while time.time() - begin < self.args.seconds:
            for kind, n in self.storm(seed).items():
                strikes[kind] = strikes.get(kind, 0) + n
            if self.problems:
                failures += 1
                print('%s seed %d: %s' % (time.strftime('%H:%M:%S'), seed, '\n  '.join(self.problems)))
                if self.watched:
                    print('seen at %s:\n  %s' % (self.watched[0], '\n  '.join(self.watched[1])))
                sys.stdout.flush()
                break           # what is wrong now stays wrong
            seed += 1
        print('# storm: factor %d, seeds %d to %d: %s; %s; %d transactions, %d failures, %.0f s' % (
            self.args.factor, self.args.seed, seed, ', '.join('%d %s' % (n, what) for what, n in sorted(self.counts.items())),
            ', '.join('%d x %s' % (n, what) for what, n in sorted(strikes.items())), self.number, failures, time.time() - begin))
        print('%sok storm, factor %d' % ('not ' if failures else '', self.args.factor))
        return 1 if failures else 0


def main():
    parser = replicas.make_parser(__doc__.split('\n')[0])
    parser.set_defaults(sessions=16, shards=4)
    parser.add_argument('--dir', required=True, help='of cz_cluster')
    parser.add_argument('--cz-cluster', default=os.path.join(HERE, '..', 'bin', 'cz_cluster'))
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--round-seconds', type=int, default=15)
    parser.add_argument('--allow', action='append', default=[], help='an SQLSTATE')
    parser.add_argument('--no-crashes', dest='crashes', action='store_false', help='the coordinator does not crash')
    return Storm(replicas.parse(parser)).run()


if __name__ == '__main__':
    sys.exit(main())
