#!/usr/bin/env python3
"""Clients read and write without a pause while the cluster changes under them.

Sixteen clients run router reads and writes, reads and writes of many shards, COPY and transactions
over several workers.  Meanwhile, phase after phase: nothing happens; a worker is added and
rebalanced to; shards move at random; the replication factor goes up and down; a worker is drained
and removed; one is frozen and comes back; one is killed and comes back; one is killed for good,
given up, and its placements are made elsewhere; nothing happens.  Then
  - each client has seen in its own rows what it had had acknowledged, all the time;
  - what was transferred between accounts was never seen half;
  - a transaction that failed is not there, one that was acknowledged is, and one of which nobody knew
    is there with all of its parts or none;
  - tables have the rows that plain PostgreSQL has after the acknowledged transactions;
  - placements are equal, active, and as many as they should be; nothing is left on any worker;
  - each error was one that docs/operations.md says to be repeated, and repeating it helped.
--seed N makes the same transactions; how they meet what happens is chance.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'differential')]
from pgclient import Client, ConnectionLost

# To be repeated at any time: serialization failure, deadlock
RETRYABLE = ('40001', '40P01')
# While a worker fails, too: it can't be reached, it went away, nobody knows; no placement can be used just now
FAILING = RETRYABLE + ('08001', '08006', '08007', '55000')
UNKNOWN = ('08007',)
# Nothing but repeating is done for so long at most
PATIENCE = 60

ACCOUNTS = 200
BALANCE = 1000
SETUP = '''
CREATE TABLE ld_a (k int, id bigint, v bigint, last bigint, note text, PRIMARY KEY (k, id));
CREATE TABLE ld_e (k int, n bigint, data json);
CREATE TABLE ld_bank (id int PRIMARY KEY, balance bigint);
CREATE TABLE ld_log (c int, n bigint, PRIMARY KEY (c, n));
CREATE TABLE ld_ref (id int PRIMARY KEY, v bigint)'''
DISTRIBUTE = '''
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('ld_a', 'k', shard_count => 8, colocate_with => 'none');
SELECT create_distributed_table('ld_e', 'k', colocate_with => 'ld_a');
SELECT create_distributed_table('ld_bank', 'id', shard_count => 8, colocate_with => 'none');
SELECT create_distributed_table('ld_log', 'c', shard_count => 4, colocate_with => 'none');
SELECT create_reference_table('ld_ref')'''
FILL = '''
INSERT INTO ld_a SELECT k, i, 0, 0, repeat(md5(i::text), 4) FROM generate_series(1, $KEYS) k, generate_series(1, $ROWS) i;
INSERT INTO ld_e SELECT k, i, '{}' FROM generate_series(1, $KEYS) k, generate_series(1, 10) i;
INSERT INTO ld_bank SELECT i, $BALANCE FROM generate_series(1, $ACCOUNTS) i;
INSERT INTO ld_ref SELECT i, 0 FROM generate_series(0, 9) i'''
TABLES = ('ld_a', 'ld_e', 'ld_bank', 'ld_log', 'ld_ref')


class Work:
    """One transaction: statements, a question that says whether it was done, and what it changes."""

    def __init__(self, kind, steps, probe=None, apply=None, check=None):
        self.kind, self.steps, self.probe = kind, steps, probe
        self.apply = apply          # of the client's own rows, when it is done
        self.check = check          # of a read's rows: what is wrong with them, or None
        self.is_block = len(steps) > 1

    def commands(self):
        if not self.is_block:
            return self.steps
        return [('BEGIN', None)] + self.steps + [('COMMIT', None)]


class Load:
    """A client: its rows, its connection, and what it has had acknowledged."""

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.rng = random.Random(run.args.seed * 1000 + number)
        self.keys = [number * run.args.keys + i + 1 for i in range(run.args.keys)]
        self.rows = {(k, i + 1): 0 for k in self.keys for i in range(run.args.rows)}
        self.next = (number + 1) * 10 ** 9
        self.done = []
        self.samples = []           # (phase, kind, seconds)
        self.errors = {}            # (phase, SQLSTATE): how often
        self.connection = None
        self.most_retries = 0

    # ---- what it does

    def pick(self):
        return self.rng.choice(list(self.rows)) if len(self.rows) < 50 else next(self.some())

    def some(self):
        while True:
            row = (self.rng.choice(self.keys), self.rng.randint(1, self.run.args.rows))
            if row in self.rows:
                yield row

    def make(self):
        rng = self.rng
        self.next += 100
        n = self.next
        kind = rng.choices(['read', 'update', 'insert', 'delete', 'keys', 'copy', 'bag', 'transfer', 'lock', 'scan', 'bank', 'join', 'reference'],
                           [20, 20, 8, 4, 3, 2, 3, 12, 3, 2, 4, 2, 1])[0]
        k, i = self.pick()
        if kind == 'read':
            value = self.rows[(k, i)]
            return Work(kind, [('SELECT v FROM ld_a WHERE k = %d AND id = %d' % (k, i), None)],
                        check=lambda rows: None if rows == [(str(value),)] else 'row (%d, %d) is %s instead of %d' % (k, i, rows, value))
        if kind == 'update':
            return Work(kind, [('UPDATE ld_a SET v = v + 1, last = %d WHERE k = %d AND id = %d' % (n, k, i), None)],
                        'SELECT count(*) FROM ld_a WHERE k = %d AND id = %d AND last = %d' % (k, i, n), self.adds([(k, i)]))
        if kind == 'insert':
            return Work(kind, [("INSERT INTO ld_a VALUES (%d, %d, 1, %d, 'new')" % (k, n, n), None)],
                        'SELECT count(*) FROM ld_a WHERE k = %d AND id = %d' % (k, n), lambda: self.rows.__setitem__((k, n), 1))
        if kind == 'delete':
            return Work(kind, [('DELETE FROM ld_a WHERE k = %d AND id = %d' % (k, i), None)],
                        'SELECT 1 - count(*) FROM ld_a WHERE k = %d AND id = %d' % (k, i), lambda: self.rows.pop((k, i)))
        if kind == 'keys':
            some = sorted(set(rng.choice(self.keys) for _ in range(3)))
            touched = [row for row in self.rows if row[0] in some and row[1] <= 5]
            return Work(kind, [('UPDATE ld_a SET v = v + 1, last = %d WHERE k IN (%s) AND id <= 5' % (n, ', '.join(map(str, some))), None)],
                        'SELECT CASE count(*) WHEN 0 THEN 0 WHEN %d THEN 1 END FROM ld_a WHERE k IN (%s) AND last = %d' % (
                            len(touched), ', '.join(map(str, some)), n) if touched else None, self.adds(touched))
        if kind == 'copy':
            new = [(rng.choice(self.keys), n + j) for j in range(20)]
            return Work(kind, [('COPY ld_a FROM STDIN', ''.join('%d\t%d\t1\t%d\tcopied\n' % (row + (n,)) for row in new).encode())],
                        'SELECT CASE count(*) WHEN 0 THEN 0 WHEN 20 THEN 1 END FROM ld_a WHERE k IN (%s) AND last = %d' % (', '.join(map(str, self.keys)), n),
                        lambda: self.rows.update((row, 1) for row in new))
        if kind == 'bag':
            # first what locks more: rows without a key are deleted one transaction at a time
            data = ''.join('%d\t%d\t{"a": %d}\n' % (k, n, j % 3) for j in range(10)).encode()
            return self.logged(kind, [('DELETE FROM ld_e WHERE k = %d AND n < %d' % (k, n - 5000), None), ('COPY ld_e FROM STDIN', data)], n)
        if kind == 'transfer':
            a, b = sorted(rng.sample(range(1, ACCOUNTS + 1), 2))
            sum_ = rng.randint(-9, 9)
            return self.logged(kind, [('UPDATE ld_bank SET balance = balance - %d WHERE id = %d' % (sum_, a), None),
                                      ('UPDATE ld_bank SET balance = balance + %d WHERE id = %d' % (sum_, b), None)], n)
        if kind == 'lock':
            return self.logged(kind, [('SELECT v FROM ld_a WHERE k = %d AND id = %d FOR UPDATE' % (k, i), None),
                                      ('UPDATE ld_a SET v = v + 1 WHERE k = %d AND id = %d' % (k, i), None)], n, self.adds([(k, i)]))
        if kind == 'scan':
            expected = (str(len(self.rows)), str(sum(self.rows.values())))
            return Work(kind, [('SELECT count(*), sum(v) FROM ld_a WHERE k BETWEEN %d AND %d' % (self.keys[0], self.keys[-1]), None)],
                        check=lambda rows: None if rows == [expected] else 'own rows are %s instead of %s' % (rows, expected))
        if kind == 'bank':
            expected = (str(ACCOUNTS), str(ACCOUNTS * BALANCE))
            return Work(kind, [('SELECT count(*), sum(balance) FROM ld_bank', None)],
                        check=lambda rows: None if rows == [expected] else 'all accounts have %s instead of %s' % (rows, expected))
        if kind == 'join':
            return Work(kind, [('SELECT count(*) FROM ld_a JOIN ld_ref ON ld_ref.id = ld_a.id WHERE k = %d' % k, None)],
                        check=lambda rows: None if rows == [(str(sum(1 for row in self.rows if row[0] == k and row[1] <= 9)),)]
                        else 'join of key %d gives %s' % (k, rows))
        return self.logged(kind, [('UPDATE ld_ref SET v = v + 1 WHERE id = %d' % (self.number % 10), None)], n)

    def adds(self, touched):
        def apply():
            for row in touched:
                self.rows[row] += 1
        return apply

    def logged(self, kind, steps, n, apply=None):
        return Work(kind, [('INSERT INTO ld_log VALUES (%d, %d)' % (self.number, n), None)] + steps,
                    'SELECT count(*) FROM ld_log WHERE c = %d AND n = %d' % (self.number, n), apply)

    # ---- and how

    def note(self, phase, outcome, sql):
        state = outcome.sqlstate or 'lost'
        self.errors[(phase, state)] = self.errors.get((phase, state), 0) + 1
        self.run.note_error(phase, state, outcome.message, sql)
        if outcome.lost:
            self.connection = None

    def connected(self):
        while self.connection is None:
            try:
                self.connection = self.run.connect()
            except (OSError, ConnectionError, ConnectionLost) as problem:
                self.run.problem('cannot connect: %s' % problem)
                time.sleep(1)
        return self.connection

    def attempt(self, work, phase):
        """Run it once: 'yes', 'no', 'perhaps'."""
        connection = self.connected()
        outcome = None
        for sql, data in work.commands():
            outcome = connection.run(sql, copy_data=data)
            if outcome.seconds > self.run.args.longest:
                self.run.problem('%s: %.1f s: %s' % (phase, outcome.seconds, sql))
            if outcome.lost or outcome.sqlstate:
                self.note(phase, outcome, sql)
                is_last = sql == 'COMMIT' or not work.is_block
                if self.connection is not None and work.is_block and not is_last:
                    connection.run('ROLLBACK')
                return 'perhaps' if is_last and (outcome.lost or outcome.sqlstate in UNKNOWN) else 'no'
            if work.check and outcome.columns:
                wrong = work.check(outcome.rows)
                if wrong:
                    self.run.problem('%s: client %d: %s\n%s' % (phase, self.number, wrong, sql))
        return 'yes'

    def probe(self, work, phase):
        """Is it done?  Asked until there is an answer."""
        end = time.time() + PATIENCE
        while time.time() < end:
            outcome = self.connected().run(work.probe)
            if not outcome.lost and not outcome.sqlstate:
                if outcome.rows[0][0] is None:
                    self.run.problem('%s: a part of it is done: %s' % (phase, work.steps))
                return outcome.rows[0][0] == '1'
            self.note(phase, outcome, work.probe)
            time.sleep(0.1)
        self.run.problem('%s: no answer for %d s to %s' % (phase, PATIENCE, work.probe))
        return False

    def do(self, work):
        begin = time.time()
        retries = 0
        while True:
            phase = self.run.phase
            result = self.attempt(work, phase)
            if result != 'yes' and work.probe:
                is_done = self.probe(work, phase)
                if result == 'no' and is_done:
                    self.run.problem('%s: failed, but was done: %s' % (phase, work.steps))
                if is_done:
                    result = 'yes'
            if result == 'yes':
                break
            retries += 1
            if time.time() - begin > PATIENCE:
                self.run.problem('%s: %d times in vain: %s' % (phase, retries, work.steps[0][0]))
                return
            time.sleep(min(0.02 * 2 ** min(retries, 6), 1) * self.rng.random())
        self.most_retries = max(self.most_retries, retries)
        self.samples.append((self.run.phase, work.kind, time.time() - begin))
        if work.apply:
            work.apply()
        if work.probe:
            self.done.append(work)

    def live(self):
        try:
            while not self.run.is_over:
                self.do(self.make())
        except Exception as problem:        # a thread that dies in silence proves nothing
            self.run.problem('client %d: %r' % (self.number, problem))
        if self.connection:
            self.connection.close()


class Worker:
    def __init__(self, text):
        self.port, self.data = text.split('=', 1)
        self.is_gone = False

    def pids(self):
        with open(os.path.join(self.data, 'postmaster.pid')) as file:
            pid = file.readline().strip()
        found = subprocess.run(['pgrep', '-P', pid], stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
        return [int(pid)] + [int(one) for one in found]

    def signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


class Run:
    def __init__(self, args):
        self.args = args
        self.problems = []
        self.known_errors = {}
        self.lock = threading.Lock()
        self.phase = 'before'
        self.is_failing = False     # a worker fails just now
        self.is_over = False
        self.spans = []             # (phase, seconds)
        self.said = []
        self.workers = [Worker(text) for text in args.workers.split(',')]
        self.spare = Worker(args.spare)
        self.main = self.connect()
        self.rng = random.Random(args.seed)
        host, port = args.oracle.split(':')
        self.oracle = Client(host, int(port), args.oracle_database)

    def connect(self):
        host, port = self.args.coordinator.split(':')
        client = Client(host, int(port), self.args.database)
        client.must('SET client_min_messages = error')
        return client

    def problem(self, text):
        with self.lock:
            if len(self.problems) < 40:
                self.problems.append(time.strftime('%H:%M:%S ') + text)

    def note_error(self, phase, state, message, sql):
        with self.lock:
            self.known_errors.setdefault((state, message.split(' | ')[0]), [0, phase, sql])[0] += 1
        if state not in (FAILING if self.is_failing else RETRYABLE):
            self.problem('%s: %s %s\n%s' % (phase, state, message, sql[:200]))

    def prepare(self):
        keys = str(self.args.clients * self.args.keys)
        for side in (self.main, self.oracle):
            side.must('DROP TABLE IF EXISTS ' + ', '.join(TABLES))
            for statement in SETUP.strip().split(';\n'):
                side.must(statement)
            if side is self.main:
                for statement in DISTRIBUTE.strip().split(';\n'):
                    side.must(statement)
            for statement in FILL.strip().split(';\n'):
                for name, value in (('$KEYS', keys), ('$ROWS', str(self.args.rows)), ('$BALANCE', str(BALANCE)), ('$ACCOUNTS', str(ACCOUNTS))):
                    statement = statement.replace(name, value)
                side.must(statement)

    # ---- what happens

    def operate(self, sql, patience=PATIENCE, retryable=RETRYABLE + ('55006', '55P03')):
        """An administrator's command, repeated where that may help."""
        end = time.time() + patience
        while True:
            outcome = self.main.run(sql)
            if outcome.lost:
                self.problem('%s: %s: %s' % (self.phase, sql, outcome.message))
                self.main = self.connect()
                return []
            if not outcome.sqlstate:
                return outcome.rows
            self.said.append('%s: %s: %s %s' % (self.phase, sql, outcome.sqlstate, outcome.message))
            if outcome.sqlstate not in retryable or time.time() > end:
                self.problem('%s: %s: %s %s' % (self.phase, sql, outcome.sqlstate, outcome.message))
                return []
            time.sleep(0.5)

    def wait(self, what, sql, seconds=PATIENCE):
        end = time.time() + seconds
        while time.time() < end:
            if self.operate(sql) == [('t',)]:
                return
            time.sleep(0.2)
        self.problem('%s: %s' % (self.phase, what))

    def name_of(self, worker):
        return self.operate("SELECT node FROM cz_nodes WHERE port = %s" % worker.port)[0][0]

    def pause(self, share=1.0):
        time.sleep(self.args.seconds / 12 * share)

    def phase_before(self):
        self.pause(1.5)

    def phase_add(self):
        self.operate("SELECT citus_add_node('127.0.0.1', %s)" % self.spare.port)
        self.workers.append(self.spare)
        self.operate('SELECT rebalance_table_shards()')
        rows = self.operate("SELECT count(*) FROM pg_dist_shard_placement WHERE nodeport = %s" % self.spare.port)
        if rows == [('0',)]:
            self.problem('add: nothing was moved to the new worker')

    def phase_move(self):
        end = time.time() + self.args.seconds / 12 * 1.5
        while time.time() < end:
            table = self.rng.choice(['ld_a', 'ld_bank', 'ld_log'])
            shards = self.operate("SELECT shardid, nodename, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = '%s'::regclass" % table)
            nodes = self.operate('SELECT nodename, nodeport FROM pg_dist_node WHERE isactive AND shouldhaveshards')
            shard, host, port = self.rng.choice(shards)
            free = [node for node in nodes if node not in [row[1:] for row in shards if row[0] == shard]]
            target = self.rng.choice(free)
            self.operate("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s)" % ((shard, host, port) + tuple(target)))

    def phase_factor(self):
        for factor in (3, 2):
            self.operate("SELECT replicate_table_shards('ld_bank', %d)" % factor)
            self.wait('not %d placements' % factor, "SELECT min(n) = %d AND max(n) = %d FROM (SELECT count(*) AS n FROM pg_dist_shard_placement "
                      "JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'ld_bank'::regclass GROUP BY shardid) x" % (factor, factor), 5)

    def phase_split(self):
        if self.operate("SELECT count(*) FROM pg_proc WHERE proname = 'cz_split_shard'") == [('0',)]:
            return
        shard = self.operate("SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'ld_a'::regclass")[0][0]
        self.operate('SELECT cz_split_shard(%s, 2)' % shard)

    def phase_drain(self):
        worker = self.workers[1]
        self.operate("SELECT citus_drain_node('127.0.0.1', %s)" % worker.port)
        self.operate("SELECT citus_remove_node('127.0.0.1', %s)" % worker.port)
        worker.is_gone = True

    def phase_freeze(self):
        worker = self.workers[2]
        self.is_failing = True
        worker.signal(signal.SIGSTOP)
        self.pause(0.7)
        worker.signal(signal.SIGCONT)
        self.whole()
        self.is_failing = False

    def phase_disable(self):
        worker = self.workers[2]
        self.operate("SELECT citus_disable_node('127.0.0.1', %s)" % worker.port)
        self.pause(0.4)
        self.operate("SELECT citus_activate_node('127.0.0.1', %s)" % worker.port)
        self.whole()

    def phase_lose(self):
        worker = self.workers[0]
        name = self.name_of(worker)
        self.is_failing = True
        worker.signal(signal.SIGKILL)
        self.pause(0.5)
        self.operate("SELECT * FROM cz_lose_node('%s')" % name)
        worker.is_gone = True
        self.pause(0.2)
        self.is_failing = False
        self.operate('SELECT replicate_table_shards()')
        self.whole()

    def phase_after(self):
        self.pause(1.5)

    def whole(self):
        """All placements that should be there are, and are in use."""
        self.operate('SELECT cz_repair_placements()')
        self.wait('placements are inactive', 'SELECT count(*) = 0 FROM pg_dist_placement WHERE shardstate <> 1')
        self.wait('placements are missing', "SELECT count(*) = 0 FROM (SELECT count(*) AS n FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) "
                  "WHERE logicalrelid IN ('ld_a'::regclass, 'ld_e'::regclass, 'ld_bank'::regclass, 'ld_log'::regclass) GROUP BY shardid) x WHERE n <> 2")

    def go(self):
        self.prepare()
        clients = [Load(self, i) for i in range(self.args.clients)]
        threads = [threading.Thread(target=client.live) for client in clients]
        for thread in threads:
            thread.start()
        for phase in self.args.phases.split(','):
            begin = time.time()
            self.phase = phase
            try:
                getattr(self, 'phase_' + phase)()
            except Exception as problem:
                self.problem('%s: %r' % (phase, problem))
            self.spans.append((phase, time.time() - begin))
            if self.args.verbose:
                print('%s %s: %.1f s, %d transactions, %d problems' % (time.strftime('%H:%M:%S'), phase, time.time() - begin, sum(
                    1 for client in clients for sample in client.samples if sample[0] == phase), len(self.problems)), flush=True)
        self.is_over = True
        for thread in threads:
            thread.join()
        self.phase = 'end'
        for step in (self.settle, lambda: self.replay(clients), lambda: self.compare(clients), lambda: self.tell(clients)):
            begin = time.time()
            step()
            if self.args.verbose:
                print('%.1f s' % (time.time() - begin), flush=True)

    # ---- what is right

    def settle(self):
        self.operate('SELECT recover_prepared_transactions()')
        self.whole()
        self.wait('moves are not done with', "SELECT count(*) = 0 FROM cz_moves WHERE phase NOT IN ('done', 'failed')")
        self.compare_placements()
        for sql in ('SELECT * FROM cz_verify_placements() WHERE NOT ok', 'SELECT * FROM cz_check_shards()'):
            rows = self.operate(sql)
            if rows:
                self.problem('%s: %s' % (sql, rows[:3]))
        end = time.time() + PATIENCE
        left = ['?']
        while left and time.time() < end:
            left = self.left_over()
            time.sleep(0.5)
        if left:
            self.problem('left on workers: ' + ', '.join(left[:10]))

    def compare_placements(self):
        """Row by row: what differs says why."""
        rows = {}
        for shard, port in self.operate("SELECT shard_name, nodeport FROM cz.placement_list() p JOIN cz.shard_list() USING (shard_id) JOIN cz.worker_list() USING (server_oid)"):
            connection = Client('127.0.0.1', int(port), self.args.database)
            found = sorted(row[0] for row in connection.must('SELECT (t.*)::text FROM %s t' % shard).rows)
            connection.close()
            first = rows.setdefault(shard, (port, found))
            if first[1] != found:
                self.problem('%s: only on %s: %s, only on %s: %s' % (shard, first[0], list((Counter(first[1]) - Counter(found)).elements())[:4],
                                                                   port, list((Counter(found) - Counter(first[1])).elements())[:4]))

    def left_over(self):
        """What stands on workers and belongs to no placement."""
        left = []
        for worker in self.workers:
            if worker.is_gone:
                continue
            known = set(row[0] for row in self.operate(
                "SELECT shard_name FROM cz.placement_list() p JOIN cz.shard_list() USING (shard_id) JOIN cz.worker_list() USING (server_oid) WHERE nodeport = %s" % worker.port))
            connection = Client('127.0.0.1', int(worker.port), self.args.database)
            rows = connection.must(
                "SELECT 'cz_shards.' || relname FROM pg_class WHERE relnamespace = to_regnamespace('cz_shards') AND relkind IN ('r', 'p') AND relname NOT LIKE 'cz\\_object%' AND relname <> 'cz_node' "
                "UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace('cz_shards') AND proname LIKE 'cz\\_m%' "
                "UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE '%cz\\_%' AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('cz_shards')) "
                "UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts WHERE database = current_database()").rows
            connection.close()
            left += ['%s: %s' % (worker.port, row[0]) for row in rows if row[0] not in known]
        return left

    def replay(self, clients):
        """What was acknowledged, many statements at a time."""
        for client in clients:
            many = []
            for sql, data in [command for work in client.done for command in work.commands()] + [('SELECT', b'')]:
                if data is None and len(many) < 500:
                    many.append(sql)
                    continue
                for text, copied in (['; '.join(many), None], [sql, data]):
                    outcome = self.oracle.run(text, copy_data=copied)
                    if outcome.sqlstate:
                        self.problem('plain PostgreSQL: %s %s\n%s' % (outcome.sqlstate, outcome.message, text[:1000]))
                        self.oracle.run('ROLLBACK')
                many = []

    def compare(self, clients):
        for table in TABLES:
            sql = 'SELECT (t.*)::text FROM %s t ORDER BY 1' % table
            here, there = [[row[0] for row in side.must(sql).rows] for side in (self.main, self.oracle)]
            if here != there:
                lacks = sorted(set(there) - set(here))
                extra = sorted(set(here) - set(there))
                self.problem('%s: %d rows instead of %d; lacks %s, has too many %s' % (table, len(here), len(there), lacks[:3], extra[:3]))
        mine = {row for client in clients for row in client.rows.items()}
        rows = {((int(k), int(i)), int(v)) for k, i, v in self.main.must('SELECT k, id, v FROM ld_a').rows}
        if mine != rows:
            self.problem('ld_a is not what the clients know: %s, %s' % (sorted(mine - rows)[:3], sorted(rows - mine)[:3]))

    def tell(self, clients):
        print('# phase      seconds  transactions/s   median    99 %   longest (ms)   errors')
        for phase, seconds in self.spans:
            times = sorted(sample[2] for client in clients for sample in client.samples if sample[0] == phase)
            errors = {}
            for client in clients:
                for (where, state), n in client.errors.items():
                    if where == phase:
                        errors[state] = errors.get(state, 0) + n
            if times:
                print('# %-10s %7.1f %15.0f %8.1f %7.1f %9.0f        %s' % (
                    phase, seconds, len(times) / max(seconds, 0.001), times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000, times[-1] * 1000,
                    ', '.join('%s x %d' % item for item in sorted(errors.items())) or 'none'))
        pauses = [float(row[0]) for row in self.main.must("SELECT pause_ms FROM cz_moves WHERE pause_ms IS NOT NULL ORDER BY 1").rows]
        print('# %d transactions acknowledged, most retries of one %d; %d moves, pause median %.0f ms, longest %.0f ms' % (
            sum(len(client.done) for client in clients), max(client.most_retries for client in clients), len(pauses),
            pauses[len(pauses) // 2] if pauses else 0, pauses[-1] if pauses else 0))
        for (state, message), (n, phase, sql) in sorted(self.known_errors.items(), key=lambda item: (item[0][0], -item[1][0]))[:self.args.messages]:
            print('#   %s x %d (%s) %s' % (state, n, phase, message[:150]))
        for text in self.said:
            print('#   ' + text[:200])
        if sum(len(client.done) for client in clients) < 100:
            self.problem('next to nothing was done')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--coordinator', required=True, help='host:port')
    parser.add_argument('--database', default='postgres')
    parser.add_argument('--oracle', required=True, help='host:port of a plain PostgreSQL that nobody stops')
    parser.add_argument('--oracle-database', default='postgres')
    parser.add_argument('--workers', required=True, help='port=data directory,... of three workers on this machine')
    parser.add_argument('--spare', required=True, help='of one more that is not in the cluster')
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--keys', type=int, default=8, help='of each client')
    parser.add_argument('--rows', type=int, default=100, help='of each key')
    parser.add_argument('--longest', type=float, default=40, help='seconds that a statement may take')
    parser.add_argument('--phases', default='before,add,move,factor,split,drain,freeze,disable,lose,after')
    parser.add_argument('--messages', type=int, default=20, help='errors to print')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--verbose', action='store_true')
    args = parser.parse_args()
    run = Run(args)
    run.go()
    for problem in run.problems:
        print('    ' + problem.replace('\n', '\n    '))
    print('%s load, seed %d' % ('not ok' if run.problems else 'ok', args.seed))
    sys.exit(1 if run.problems else 0)


if __name__ == '__main__':
    main()
