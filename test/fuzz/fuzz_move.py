#!/usr/bin/env python3
"""Sessions write all the time while their shards move from worker to worker and back, and are
split (--splits).

Each writer has keys of its own and runs one transaction after the other on them: all kinds of
DML on tables with and without a key, with json, generated columns and a second unique index,
partitioned, with foreign keys, at factor 1 and 2; COPY, MERGE, ON CONFLICT, WITH, row locks,
cursors, savepoints, rollbacks, both isolation levels, rows that change their key, now and then a
long one; the first few have a table of their own that they TRUNCATE.  Others write past the
coordinator, on the workers' shards, with prepared transactions, as another coordinator would: what
the fence tells them is not acknowledged.  One alters a table of the group, and builds indexes.  What
was acknowledged is run again, writer by writer, on plain PostgreSQL.  Then
  - all tables have the rows that plain PostgreSQL has;
  - what readers have seen was never less than what they had seen before (a counter);
  - placements are equal, and look like their table;
  - nothing of a move is left on any worker;
  - no error was one that is not documented as to be repeated;
  - no DDL and no TRUNCATE failed, or waited longer than --patience.
--seed N makes the same transactions; how they meet the moves is chance.
"""
import argparse
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'differential')]
from pgclient import Client

# serialization, deadlock, current transaction is aborted
ALLOWED = ('40001', '40P01', '25P02')
# of a move: a move of the group is on its way, its tables are in use, no lock
MOVE_ALLOWED = ('23505', '55006', '55P03', '40001', '40P01', '55000')

# of a shard that has moved: the fence, privileges, and when it is dropped
FENCED = ('40001', '42501', '42P01')

TABLES = ('fm_t', 'fm_e', 'fm_p', 'fm_c', 'fm_2', 'fm_s', 'fm_d', 'fm_x0', 'fm_x1', 'fm_x2')
CREATE = '''
CREATE TABLE fm_t (k int, id int, u bigint, v int, payload text, g int GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (k, id), UNIQUE (k, u));
CREATE TABLE fm_e (k int, n int, data json, at timestamptz, x numeric);
CREATE TABLE fm_p (k int, d date, v int, t text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE fm_p1 PARTITION OF fm_p FOR VALUES FROM ('2026-01-01') TO ('2026-01-15');
CREATE TABLE fm_p2 PARTITION OF fm_p FOR VALUES FROM ('2026-01-15') TO ('2026-03-01');
CREATE TABLE fm_c (k int, id int, v int, FOREIGN KEY (k, id) REFERENCES fm_t ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE fm_2 (k int PRIMARY KEY, v int, t text);
CREATE TABLE fm_s (k int, v int);
CREATE TABLE fm_d (k int, v int DEFAULT 0, t text, PRIMARY KEY (k));
CREATE TABLE fm_x0 (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE fm_x1 (k int, id int, v int);
CREATE TABLE fm_x2 (k int, id int, v int) PARTITION BY LIST (id);
CREATE TABLE fm_x2a PARTITION OF fm_x2 FOR VALUES IN (1, 2, 3);
CREATE TABLE fm_x2b PARTITION OF fm_x2 DEFAULT'''
DISTRIBUTE = '''
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('fm_t', 'k', colocate_with => 'none');
SELECT create_distributed_table('fm_e', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_p', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_c', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_d', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_x0', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_x1', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_x2', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_s', NULL, colocate_with => 'none');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('fm_2', 'k', colocate_with => 'none')'''
FILL = '''
INSERT INTO fm_t (k, id, u, v, payload) SELECT k, i, i, 0, repeat(md5(i::text), 3) FROM generate_series(1, $KEYS) k, generate_series(1, $ROWS) i;
INSERT INTO fm_e SELECT k, i, json_build_object('a', i % 7), timestamptz '2026-01-01' + make_interval(secs => i), i / 3.0 FROM generate_series(1, $KEYS) k, generate_series(1, $ROWS) i;
INSERT INTO fm_p SELECT k, date '2026-01-01' + i, i, 'p' FROM generate_series(1, $KEYS) k, generate_series(0, 40) i;
INSERT INTO fm_c SELECT k, i, 0 FROM generate_series(1, $KEYS) k, generate_series(1, 20) i;
INSERT INTO fm_2 SELECT k, 0, 'two' FROM generate_series(1, $KEYS) k;
INSERT INTO fm_s SELECT k, 0 FROM generate_series(1, $KEYS) k;
INSERT INTO fm_d SELECT k, 0, 'd' FROM generate_series(1, 200) k'''

# $K: a key of the writer, $L: another one, $I: a row, $N: a new number
STATEMENTS = [
    ('UPDATE fm_t SET v = v + 1 WHERE k = $K AND id = $I', 8),
    ('UPDATE fm_t SET v = v + 1, payload = payload || $I WHERE k = $K AND id BETWEEN $I AND $I + 5', 3),
    ('UPDATE fm_t SET v = v + 1 WHERE k IN ($K, $L) AND id < $I', 1),
    ('UPDATE fm_t SET id = id + 100000, u = u + 100000 WHERE k = $K AND id = $I + 5', 2),
    ("INSERT INTO fm_t (k, id, u, v, payload) VALUES ($K, $N, $N, 0, 'new'), ($L, $N, $N, 0, 'new')", 3),
    ("INSERT INTO fm_t (k, id, u, v, payload) SELECT k, id + $N, u + $N, v, 'sel' FROM fm_t WHERE k = $K AND id < 4", 1),
    ("INSERT INTO fm_t (k, id, u, v, payload) VALUES ($K, $I, $I, 0, 'again') ON CONFLICT (k, id) DO UPDATE SET v = fm_t.v + 10", 2),
    ('DELETE FROM fm_t WHERE k = $K AND id = $I + 20', 2),
    ("WITH d AS (DELETE FROM fm_t WHERE k = $K AND id = $I + 40 RETURNING *) INSERT INTO fm_t (k, id, u, v, payload) SELECT k, $N, u, v, 'moved' FROM d", 1),
    ("MERGE INTO fm_t USING (VALUES ($K, $I), ($K, $N)) x (k, id) ON fm_t.k = x.k AND fm_t.id = x.id AND fm_t.k = $K "
     "WHEN MATCHED THEN UPDATE SET v = fm_t.v + 1 WHEN NOT MATCHED THEN INSERT (k, id, u, v, payload) VALUES (x.k, x.id, $N, 0, 'merged')", 1),
    ("INSERT INTO fm_e VALUES ($K, $I, '{\"b\": 1}', '2026-01-01', 1.0), ($K, $I, '{\"b\": 1}', '2026-01-01', 1.00)", 3),
    ("UPDATE fm_e SET data = '{\"c\": 2}', x = x + 1 WHERE k = $K AND n = $I", 3),
    ('UPDATE fm_e SET n = n + 1 WHERE k IN ($K, $L) AND n BETWEEN $I AND $I + 3', 1),
    ('DELETE FROM fm_e WHERE k = $K AND n = $I', 2),
    ('UPDATE fm_p SET v = v + 1 WHERE k = $K', 2),
    ("UPDATE fm_p SET d = d + 100 WHERE k = $K AND false OR k = $K AND d = date '2026-06-01'", 1),
    ("UPDATE fm_p1 SET v = v + 7 WHERE k = $K", 1),
    ("DELETE FROM fm_p WHERE k = $K AND d = date '2026-01-01' + $I % 40", 1),
    ("INSERT INTO fm_p VALUES ($K, date '2026-01-01' + $I % 40, 0, 'in') ON CONFLICT (k, d) DO UPDATE SET v = fm_p.v + 1, t = 'up'", 2),
    ('INSERT INTO fm_c SELECT k, id, $N FROM fm_t WHERE k = $K AND id = $I', 2),
    ('UPDATE fm_c SET v = v + 1 WHERE k = $K', 1),
    ('UPDATE fm_2 SET v = v + 1 WHERE k = $K', 3),
    ("UPDATE fm_2 SET v = v + 1, t = t || 'x' WHERE k IN ($K, $L)", 1),
    ('UPDATE fm_s SET v = v + 1 WHERE k = $K', 3),
    ('INSERT INTO fm_s VALUES ($K, $N)', 1),
    ('DELETE FROM fm_s WHERE k = $K AND v > 100', 1),
    ('UPDATE fm_t SET v = fm_t.v + fm_e.n FROM fm_e WHERE fm_t.k = fm_e.k AND fm_t.id = fm_e.n AND fm_e.k = $K AND fm_e.x < 3', 1),
    ('SELECT v FROM fm_t WHERE k = $K AND id = $I FOR UPDATE', 2),
    ('SELECT count(*) FROM fm_s WHERE k = $K', 1),
    ('SELECT count(*), sum(v) FROM fm_t', 1),
    ('COPY fm_t (k, id, u, v, payload) FROM STDIN', 1),
    ('COPY fm_e FROM STDIN', 1),
    ('DECLARE c$N CURSOR FOR SELECT id FROM fm_t WHERE k IN ($K, $L) ORDER BY id; FETCH 3 FROM c$N', 1),
    ('SAVEPOINT s; UPDATE fm_t SET v = -1 WHERE k = $K; ROLLBACK TO s', 1),
    ('SAVEPOINT s; UPDATE fm_e SET x = x + 1 WHERE k = $K AND n < $I; SAVEPOINT t; DELETE FROM fm_e WHERE k = $L; ROLLBACK TO t; '
     "INSERT INTO fm_e VALUES ($L, $I, '{}', NULL, NULL); RELEASE s", 1),
    ('UPDATE fm_t SET k = $L, id = id + $N, u = u + $N WHERE k = $K AND id = $I + 10 AND NOT EXISTS (SELECT FROM fm_c c WHERE c.k = $K AND c.id = $I + 10)', 1),
    ('UPDATE fm_e SET k = $L WHERE k = $K AND n = $I', 1),
]
CHOICES = [sql for sql, weight in STATEMENTS for _ in range(weight)]

# of the writer that fm_x$W is for
OWN_STATEMENTS = [
    ('TRUNCATE fm_x$W', 2),
    ('TRUNCATE fm_x$W; INSERT INTO fm_x$W SELECT k, $N, 7 FROM generate_series(1, 20) k', 2),
    ('INSERT INTO fm_x$W SELECT k, $I % 10 + $N * ($W - 1) * ($W - 2), i FROM generate_series(1, 30) k, generate_series(0, $W % 2) i ON CONFLICT DO NOTHING', 6),
    ('UPDATE fm_x$W SET v = v + 1 WHERE k = $I', 4),
    ('UPDATE fm_x$W SET v = v + 1 WHERE k BETWEEN $I AND $I + 9', 2),
    ('DELETE FROM fm_x$W WHERE k = $I', 3),
    ('SAVEPOINT s; TRUNCATE fm_x$W; ROLLBACK TO s; UPDATE fm_x$W SET v = v - 1 WHERE k = $I', 1),
]
PART_STATEMENTS = [('TRUNCATE fm_x2a', 2), ('INSERT INTO fm_x2a SELECT k, 1 + k % 3, $N FROM generate_series(1, 20) k', 3)]
OWN_CHOICES = [sql for sql, weight in OWN_STATEMENTS for _ in range(weight)]

# what the altering session does one after the other; rows of fm_d are its own
DDL = [
    'ALTER TABLE fm_d ADD COLUMN n int DEFAULT 5',
    'UPDATE fm_d SET n = n + k, v = v + 1 WHERE k % 3 = 0',
    'CREATE INDEX fm_d_n ON fm_d (n)',
    'INSERT INTO fm_d (k, v, t, n) SELECT k, 1, $$new$$, 2 FROM generate_series(201, 240) k',
    'ALTER TABLE fm_d ALTER n TYPE bigint',
    'UPDATE fm_d SET t = t || n WHERE k % 7 = 0',
    'ALTER TABLE fm_d DROP CONSTRAINT fm_d_pkey; UPDATE fm_d SET v = v + 1 WHERE k < 20; ALTER TABLE fm_d ADD PRIMARY KEY (k)',
    'ALTER TABLE fm_d RENAME v TO w',
    'UPDATE fm_d SET w = w + 1 WHERE k = 5',
    'ALTER TABLE fm_d RENAME w TO v',
    'TRUNCATE fm_d; ALTER TABLE fm_d DROP COLUMN n; INSERT INTO fm_d (k, v, t) SELECT k, 0, $$d$$ FROM generate_series(1, 200) k',
    'ALTER TABLE fm_d ALTER k TYPE bigint',
    'UPDATE fm_d SET v = 2 WHERE k = 6',
    'ALTER TABLE fm_d ALTER k TYPE int',
    'INSERT INTO fm_d (k, v, t) VALUES (300, 0, $$x$$)',
    'DELETE FROM fm_d WHERE k = 300',
]

# of who writes on a worker: fm_t and fm_e are shards there
PAST_STATEMENTS = [
    'UPDATE fm_t SET v = v + 1 WHERE k = $K AND id = $I',
    "INSERT INTO fm_t (k, id, u, v, payload) VALUES ($K, $N, $N, 0, 'past')",
    'DELETE FROM fm_t WHERE k = $K AND id = $I + 20',
    'UPDATE fm_t SET id = id + 100000, u = u + 100000 WHERE k = $K AND id = $I + 5',
    "INSERT INTO fm_e VALUES ($K, $I, '{\"p\": 1}', '2026-01-01', 1.0)",
    'UPDATE fm_e SET x = x + 1 WHERE k = $K AND n = $I',
    'DELETE FROM fm_e WHERE k = $K AND n = $I',
    'SELECT v FROM fm_t WHERE k = $K AND id = $I FOR UPDATE',
]


class Writer:
    """One session, and what it has had acknowledged."""

    def __init__(self, fuzz, number):
        self.fuzz, self.number = fuzz, number
        self.rng = random.Random(fuzz.args.seed * 1000 + number)
        self.keys = [k for k in range(1, fuzz.keys - fuzz.npast + 1) if k % fuzz.args.writers == number]
        self.next = 1000000 * (number + 1)
        self.done = []
        self.errors = {}
        self.longest = 0.0

    def choose(self):
        if self.number < 3 and self.rng.random() < 0.3:
            return self.rng.choice(OWN_CHOICES + [sql for sql, n in PART_STATEMENTS for _ in range(n) if self.number == 2])
        return self.rng.choice(CHOICES)

    def make(self):
        rng = self.rng
        steps = []
        for _ in range(1 if rng.random() < 0.6 else rng.randint(2, 4)):
            key, other = rng.choice(self.keys), rng.choice(self.keys)
            self.next += 10
            number = self.next
            sql = self.choose().replace('$W', str(self.number)).replace('$K', str(key)).replace('$L', str(other)).replace('$I', str(rng.randint(1, 60))).replace('$N', str(number))
            data = None
            if sql.startswith('COPY fm_t'):
                data = ''.join('%d\t%d\t%d\t1\tcopied\n' % (key, number + i, number + i) for i in range(5)).encode()
            elif sql.startswith('COPY'):
                data = ''.join('%d\t%d\t{"z": 1}\t2026-02-02\t5\n' % (key, i % 3) for i in range(5)).encode()
            if '($L, $N' not in sql and sql.count('VALUES (%d, %d,' % (key, number)) and key == other:
                sql = sql.split(', (%d, %d,' % (other, number))[0]
            steps.append((sql, data))
        return steps

    def run(self):
        connection = self.fuzz.connect()
        rng = self.rng
        while not self.fuzz.is_over():
            steps = self.make()
            is_block = len(steps) > 1 or ';' in steps[0][0]
            level = 'REPEATABLE READ' if rng.random() < 0.1 else 'READ COMMITTED'
            rolls_back = is_block and rng.random() < 0.1
            commands = [('BEGIN ISOLATION LEVEL ' + level, None)] * is_block
            for sql, data in steps:
                commands += [(part, data) for part in sql.split('; ')]
            commands += [('ROLLBACK' if rolls_back else 'COMMIT', None)] * is_block
            pause = 0.0
            if is_block and rng.random() < 0.03:
                pause = rng.random() * 1.5
            failed = False
            begin = time.time()
            for sql, data in commands:
                outcome = connection.run(sql, copy_data=data)
                if outcome.lost or outcome.sqlstate:
                    state = outcome.sqlstate or 'lost'
                    self.errors[state] = self.errors.get(state, 0) + 1
                    # a number that is in use already: of the writer's own making
                    if state not in ALLOWED + ('23505', '23503', '21000'):
                        self.fuzz.problem('%s %s\n    %s' % (state, outcome.message, sql))
                    if outcome.lost:
                        connection = self.fuzz.connect()
                    elif is_block:
                        connection.run('ROLLBACK')
                    failed = True
                    break
                if sql.startswith('TRUNCATE') and not pause:
                    self.fuzz.was_patient(sql, outcome.seconds)
                if pause and rng.random() < 0.5:
                    time.sleep(pause)
                    begin += pause
            self.longest = max(self.longest, time.time() - begin)
            if not failed and not rolls_back:
                self.done.append([command for command in commands])
        connection.close()


class PastWriter:
    """Who writes on the workers what it takes for the shards of its keys."""

    def __init__(self, fuzz, number):
        self.fuzz, self.number = fuzz, number
        self.rng = random.Random(fuzz.args.seed * 1000 + 500 + number)
        self.keys = [fuzz.keys - fuzz.npast + number + 1]
        self.next = 500000000 + 1000000 * number
        self.done = []
        self.errors = {}
        self.clients = {}
        self.nfenced = self.nprepared = 0

    def place(self, connection, key):
        """Where the coordinator says that the shards are: worker, names."""
        rows = connection.must("SELECT nodename, nodeport, s.logicalrelid || '_' || shardid FROM pg_dist_shard_placement JOIN pg_dist_shard s USING (shardid) "
                               "WHERE shardid IN (get_shard_id_for_distribution_column('fm_t', %d), get_shard_id_for_distribution_column('fm_e', %d)) ORDER BY 3" % (key, key)).rows
        host, port = rows[0][:2]
        if (host, port) not in self.clients:
            self.clients[host, port] = Client(host, int(port), self.fuzz.args.database)
        return self.clients[host, port], {name.split('_')[0] + '_' + name.split('_')[1]: 'cz_shards.' + name for _, _, name in rows}

    def run(self):
        connection = self.fuzz.connect()
        rng = self.rng
        key = self.keys[0]
        place = None
        while not self.fuzz.is_over():
            if place is None:
                place = self.place(connection, key)
            client, names = place
            # keeps to what it knows, also when the shard has moved
            plain = []
            for _ in range(rng.randint(1, 3)):
                self.next += 1
                plain.append(rng.choice(PAST_STATEMENTS).replace('$K', str(key)).replace('$I', str(rng.randint(1, 60))).replace('$N', str(self.next)))
            gid = 'past_%d_%d' % (self.number, self.next)
            is_prepared = rng.random() < 0.3
            commands = ['BEGIN'] + [sql.replace('fm_t ', names['fm_t'] + ' ', 1).replace('fm_e ', names['fm_e'] + ' ', 1) for sql in plain]
            commands += ["PREPARE TRANSACTION '%s'" % gid, "COMMIT PREPARED '%s'" % gid] if is_prepared else ['COMMIT']
            failed = False
            for sql in commands:
                outcome = client.run(sql)
                if sql.startswith('PREPARE') and not outcome.sqlstate:
                    time.sleep(rng.choice((0.003, 0.003, 0.3)))
                if outcome.sqlstate or outcome.lost:
                    failed = True
                    state = outcome.sqlstate or 'lost'
                    self.errors[state] = self.errors.get(state, 0) + 1
                    self.nfenced += state in FENCED
                    if state not in FENCED + ALLOWED + ('23505', '23503'):
                        self.fuzz.problem('past the coordinator: %s %s\n    %s' % (state, outcome.message, sql))
                    client.run('ROLLBACK')
                    if state in FENCED:
                        place = None
                    break
            if not failed:
                self.nprepared += is_prepared
                self.done.append([('BEGIN', None)] + [(sql, None) for sql in plain] + [('COMMIT', None)])
            time.sleep(rng.random() * 0.01)
        connection.close()


class Fuzz:
    def __init__(self, args):
        self.args = args
        self.npast = args.past
        self.keys = args.writers * 4 + self.npast
        self.longest_ddl = (0.0, '')
        self.nddl = 0
        self.problems = []
        self.nmoves = 0
        self.nsplits = 0
        self.has_split = not args.splits
        self.move_errors = {}
        self.end = 0
        self.main = self.connect()
        host, port = args.oracle.split(':')
        self.oracle = Client(host, int(port), args.oracle_database)

    def connect(self):
        host, port = self.args.coordinator.split(':')
        return Client(host, int(port), self.args.database)

    def problem(self, text):
        if len(self.problems) < 20:
            self.problems.append(text)

    def is_over(self):
        """Also when nobody alters any more, until a shard has been split."""
        return time.time() >= self.end and (self.has_split or time.time() >= self.end + 60)

    def was_patient(self, sql, seconds):
        self.longest_ddl = max(self.longest_ddl, (seconds, sql))
        self.nddl += 1

    def prepare(self):
        rows = str(self.args.rows)
        for side in (self.main, self.oracle):
            side.must('DROP TABLE IF EXISTS ' + ', '.join(sorted(TABLES)))
            for statement in CREATE.strip().split(';\n'):
                side.must(statement)
            if side is self.main:
                for statement in DISTRIBUTE.strip().split(';\n'):
                    side.must(statement)
            for statement in FILL.strip().split(';\n'):
                side.must(statement.replace('$KEYS', str(self.keys)).replace('$ROWS', rows))

    def move_all_the_time(self, number):
        rng = random.Random(self.args.seed * 77 + number)
        connection = self.connect()
        while not self.is_over():
            table = rng.choice(['fm_t', 'fm_t', 'fm_t', 'fm_2', 'fm_s'])
            shards = connection.must("SELECT shardid, nodename, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = '%s'::regclass" % table).rows
            nodes = connection.must('SELECT nodename, nodeport FROM pg_dist_node WHERE isactive').rows
            shard, host, port = rng.choice(shards)
            taken = [row[1:] for row in shards if row[0] == shard]
            free = [node for node in nodes if node not in taken]
            if not free:
                continue
            target = rng.choice(free)
            mode = 'block_writes' if rng.random() < 0.15 else 'auto'
            if rng.randint(1, 100) <= self.args.splits and table != 'fm_s' and len(shards) < 60:
                if rng.random() < 0.3:
                    key = rng.randint(1, self.keys)
                    sql = "SELECT isolate_tenant_to_new_shard('%s', %d, 'CASCADE', '%s')" % (table, key, mode)
                elif rng.random() < 0.5:
                    sql = "SELECT cz_split_shard(%s, 2, NULL, '%s')" % (shard, mode)
                else:
                    sql = "SELECT cz_split_shard(%s, 2, (SELECT array_agg(nodeid ORDER BY random()) FROM (SELECT nodeid FROM pg_dist_node WHERE isactive ORDER BY random() LIMIT 2) n), '%s')" % (shard, mode)
                outcome = connection.run(sql)
                if outcome.sqlstate is None and not outcome.lost:
                    self.nsplits += 1
                    self.has_split = True
                    continue
                state = outcome.sqlstate or 'lost'
                self.move_errors[state] = self.move_errors.get(state, 0) + 1
                # 42704: another session has split it
                if state not in MOVE_ALLOWED + ('42704',):
                    self.problem('split: %s %s' % (state, outcome.message))
                continue
            outcome = connection.run("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, '%s')" % (shard, host, port, target[0], target[1], mode))
            if outcome.sqlstate is None and not outcome.lost:
                self.nmoves += 1
                continue
            state = outcome.sqlstate or 'lost'
            self.move_errors[state] = self.move_errors.get(state, 0) + 1
            if state not in MOVE_ALLOWED + (('42704',) if self.args.splits else ()):
                self.problem('move: %s %s' % (state, outcome.message))
        connection.close()

    def alter_all_the_time(self):
        """Run DDL here and, one after the other, on plain PostgreSQL."""
        rng = random.Random(self.args.seed * 78)
        connection = self.connect()
        while time.time() < self.end:
            for statements in DDL:
                for side, client in (('here', connection), ('plain PostgreSQL', self.oracle)):
                    parts = statements.split('; ')
                    for sql in ['BEGIN'] * (len(parts) > 1) + parts + ['COMMIT'] * (len(parts) > 1):
                        outcome = client.run(sql)
                        if outcome.sqlstate or outcome.lost:
                            self.problem('DDL, %s: %s %s\n    %s' % (side, outcome.sqlstate, outcome.message, sql))
                            client.run('ROLLBACK')
                            break
                        if side == 'here':
                            self.was_patient(sql, outcome.seconds)
                time.sleep(rng.random() * 2 * self.args.ddl_pause)
        connection.close()

    def read_all_the_time(self):
        """A row that is only counted up is never seen lower than before."""
        connection = self.connect()
        seen = {}
        while not self.is_over():
            outcome = connection.run('SELECT k, v FROM fm_2')
            if outcome.sqlstate or outcome.lost:
                if outcome.sqlstate not in ALLOWED:
                    self.problem('reader: %s %s' % (outcome.sqlstate, outcome.message))
                continue
            if len(outcome.rows) != self.keys:
                self.problem('reader: %d rows instead of %d' % (len(outcome.rows), self.keys))
            for key, value in outcome.rows:
                if int(value) < seen.get(key, 0):
                    self.problem('reader: row %s went from %s to %s' % (key, seen[key], value))
                seen[key] = int(value)
            time.sleep(0.005)
        connection.close()

    def run(self):
        self.prepare()
        writers = [Writer(self, i) for i in range(self.args.writers)]
        past = [PastWriter(self, i) for i in range(self.npast)]
        self.end = time.time() + self.args.seconds
        threads = [threading.Thread(target=writer.run) for writer in writers + past]
        if self.args.ddl_pause > 0:
            threads.append(threading.Thread(target=self.alter_all_the_time))
        threads += [threading.Thread(target=self.move_all_the_time, args=(i,)) for i in range(self.args.movers)]
        threads.append(threading.Thread(target=self.read_all_the_time))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.replay(writers + past)
        self.compare()
        pauses = [float(row[0]) for row in self.main.must("SELECT pause_ms FROM cz_moves WHERE mode = 'logical' AND pause_ms IS NOT NULL ORDER BY 1").rows]
        errors = {}
        for writer in writers:
            for state, n in writer.errors.items():
                errors[state] = errors.get(state, 0) + n
        print('%d transactions, errors %s; %d moves, %d splits, errors %s; pauses of those that were online: %s ms; longest transaction %.0f ms' % (
            sum(len(writer.done) for writer in writers), errors, self.nmoves, self.nsplits, self.move_errors,
            'median %.0f, 95 %% %.0f, longest %.0f' % (pauses[len(pauses) // 2], pauses[len(pauses) * 95 // 100], pauses[-1]) if pauses else 'none',
            max(writer.longest for writer in writers) * 1000))
        print('past the coordinator: %d transactions, %d prepared, %d fenced; %d DDL statements and TRUNCATEs, longest %.0f ms: %s' % (
            sum(len(writer.done) for writer in past), sum(writer.nprepared for writer in past), sum(writer.nfenced for writer in past),
            self.nddl, self.longest_ddl[0] * 1000, self.longest_ddl[1]))
        if self.longest_ddl[0] > self.args.patience:
            self.problem('waited %.1f s: %s' % self.longest_ddl)
        if self.nmoves == 0:
            self.problem('no shard was moved')
        if not self.has_split:
            self.problem('no shard was split')

    def replay(self, writers):
        for writer in writers:
            for commands in writer.done:
                for sql, data in commands:
                    outcome = self.oracle.run(sql, copy_data=data)
                    if outcome.sqlstate:
                        self.problem('plain PostgreSQL: %s %s\n    %s' % (outcome.sqlstate, outcome.message, sql))
                        self.oracle.run('ROLLBACK')
                        break

    def compare(self):
        for table in TABLES:
            sql = 'SELECT t::text FROM %s t ORDER BY 1' % table
            here, there = [[row[0] for row in side.must(sql).rows] for side in (self.main, self.oracle)]
            if here != there:
                lacks, extra = list(there), []
                for row in here:
                    if row in lacks:
                        lacks.remove(row)
                    else:
                        extra.append(row)
                self.problem('%s: lacks %s, has too many %s' % (table, lacks[:3], extra[:3]))
        for sql in ('SELECT * FROM cz_verify_placements() WHERE NOT ok', 'SELECT * FROM cz_check_shards()',
                    "SELECT move_id, phase FROM cz_moves WHERE phase NOT IN ('done', 'failed')"):
            rows = self.main.must(sql).rows
            if rows:
                self.problem('%s: %s' % (sql, rows[:3]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--coordinator', required=True, help='host:port')
    parser.add_argument('--database', default='postgres')
    parser.add_argument('--oracle', required=True, help='host:port of a plain PostgreSQL')
    parser.add_argument('--oracle-database', default='postgres')
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--writers', type=int, default=16)
    parser.add_argument('--movers', type=int, default=2)
    parser.add_argument('--rows', type=int, default=60, help='rows of each key')
    parser.add_argument('--past', type=int, default=3, help='sessions that write on the workers')
    parser.add_argument('--ddl-pause', type=float, default=1.5, help='mean pause between two DDL statements, seconds; 0: none')
    parser.add_argument('--patience', type=float, default=5, help='seconds that DDL and TRUNCATE may take')
    parser.add_argument('--splits', type=int, default=0, help='how many of 100 moves are splits instead')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    args = parser.parse_args()
    fuzz = Fuzz(args)
    fuzz.run()
    for problem in fuzz.problems:
        print('    ' + problem.replace('\n', '\n    '))
    print('%s fuzz_move, seed %d' % ('not ok' if fuzz.problems else 'ok', args.seed))
    sys.exit(1 if fuzz.problems else 0)


if __name__ == '__main__':
    main()
