#!/usr/bin/env python3
"""Sessions write all the time while their shards move from worker to worker and back.

Each writer has keys of its own and runs one transaction after the other on them: all kinds of
DML on tables with and without a key, with json, generated columns and a second unique index,
partitioned, with foreign keys, at factor 1 and 2; COPY, MERGE, ON CONFLICT, WITH, row locks,
cursors, savepoints, rollbacks, both isolation levels, now and then a long one.  What was
acknowledged is run again, writer by writer, on plain PostgreSQL.  Then
  - all tables have the rows that plain PostgreSQL has;
  - what readers have seen was never less than what they had seen before (a counter);
  - placements are equal, and look like their table;
  - nothing of a move is left on any worker;
  - no error was one that is not documented as to be repeated.
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

TABLES = ('fm_t', 'fm_e', 'fm_p', 'fm_c', 'fm_2', 'fm_s')
CREATE = '''
CREATE TABLE fm_t (k int, id int, u bigint, v int, payload text, g int GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (k, id), UNIQUE (k, u));
CREATE TABLE fm_e (k int, n int, data json, at timestamptz, x numeric);
CREATE TABLE fm_p (k int, d date, v int, t text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE fm_p1 PARTITION OF fm_p FOR VALUES FROM ('2026-01-01') TO ('2026-01-15');
CREATE TABLE fm_p2 PARTITION OF fm_p FOR VALUES FROM ('2026-01-15') TO ('2026-03-01');
CREATE TABLE fm_c (k int, id int, v int, FOREIGN KEY (k, id) REFERENCES fm_t ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE fm_2 (k int PRIMARY KEY, v int, t text);
CREATE TABLE fm_s (k int, v int)'''
DISTRIBUTE = '''
SET cz.shard_count = 4;
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('fm_t', 'k', colocate_with => 'none');
SELECT create_distributed_table('fm_e', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_p', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_c', 'k', colocate_with => 'fm_t');
SELECT create_distributed_table('fm_s', NULL, colocate_with => 'none');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('fm_2', 'k', colocate_with => 'none')'''
FILL = '''
INSERT INTO fm_t (k, id, u, v, payload) SELECT k, i, i, 0, repeat(md5(i::text), 3) FROM generate_series(1, $KEYS) k, generate_series(1, $ROWS) i;
INSERT INTO fm_e SELECT k, i, json_build_object('a', i % 7), timestamptz '2026-01-01' + make_interval(secs => i), i / 3.0 FROM generate_series(1, $KEYS) k, generate_series(1, $ROWS) i;
INSERT INTO fm_p SELECT k, date '2026-01-01' + i, i, 'p' FROM generate_series(1, $KEYS) k, generate_series(0, 40) i;
INSERT INTO fm_c SELECT k, i, 0 FROM generate_series(1, $KEYS) k, generate_series(1, 20) i;
INSERT INTO fm_2 SELECT k, 0, 'two' FROM generate_series(1, $KEYS) k;
INSERT INTO fm_s SELECT k, 0 FROM generate_series(1, $KEYS) k'''

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
]
CHOICES = [sql for sql, weight in STATEMENTS for _ in range(weight)]


class Writer:
    """One session, and what it has had acknowledged."""

    def __init__(self, fuzz, number):
        self.fuzz, self.number = fuzz, number
        self.rng = random.Random(fuzz.args.seed * 1000 + number)
        self.keys = [k for k in range(1, fuzz.keys + 1) if k % fuzz.args.writers == number]
        self.next = 1000000 * (number + 1)
        self.done = []
        self.errors = {}
        self.longest = 0.0

    def make(self):
        rng = self.rng
        steps = []
        for _ in range(1 if rng.random() < 0.6 else rng.randint(2, 4)):
            key, other = rng.choice(self.keys), rng.choice(self.keys)
            self.next += 10
            number = self.next
            sql = rng.choice(CHOICES).replace('$K', str(key)).replace('$L', str(other)).replace('$I', str(rng.randint(1, 60))).replace('$N', str(number))
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
        while time.time() < self.fuzz.end:
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
                if pause and rng.random() < 0.5:
                    time.sleep(pause)
                    begin += pause
            self.longest = max(self.longest, time.time() - begin)
            if not failed and not rolls_back:
                self.done.append([command for command in commands])
        connection.close()


class Fuzz:
    def __init__(self, args):
        self.args = args
        self.keys = args.writers * 4
        self.problems = []
        self.nmoves = 0
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

    def prepare(self):
        rows = str(self.args.rows)
        for side in (self.main, self.oracle):
            side.must('DROP TABLE IF EXISTS fm_c, fm_t, fm_e, fm_p, fm_2, fm_s')
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
        while time.time() < self.end:
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
            outcome = connection.run("SELECT citus_move_shard_placement(%s, '%s', %s, '%s', %s, '%s')" % (shard, host, port, target[0], target[1], mode))
            if outcome.sqlstate is None and not outcome.lost:
                self.nmoves += 1
                continue
            state = outcome.sqlstate or 'lost'
            self.move_errors[state] = self.move_errors.get(state, 0) + 1
            if state not in MOVE_ALLOWED:
                self.problem('move: %s %s' % (state, outcome.message))
        connection.close()

    def read_all_the_time(self):
        """A row that is only counted up is never seen lower than before."""
        connection = self.connect()
        seen = {}
        while time.time() < self.end:
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
        self.end = time.time() + self.args.seconds
        threads = [threading.Thread(target=writer.run) for writer in writers]
        threads += [threading.Thread(target=self.move_all_the_time, args=(i,)) for i in range(self.args.movers)]
        threads.append(threading.Thread(target=self.read_all_the_time))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.replay(writers)
        self.compare()
        pauses = [float(row[0]) for row in self.main.must("SELECT pause_ms FROM cz_moves WHERE mode = 'logical' AND pause_ms IS NOT NULL ORDER BY 1").rows]
        errors = {}
        for writer in writers:
            for state, n in writer.errors.items():
                errors[state] = errors.get(state, 0) + n
        print('%d transactions, errors %s; %d moves, errors %s; pauses of online moves: %s ms; longest transaction %.0f ms' % (
            sum(len(writer.done) for writer in writers), errors, self.nmoves, self.move_errors,
            'median %.0f, 95 %% %.0f, longest %.0f' % (pauses[len(pauses) // 2], pauses[len(pauses) * 95 // 100], pauses[-1]) if pauses else 'none',
            max(writer.longest for writer in writers) * 1000))
        if self.nmoves == 0:
            self.problem('no shard was moved')

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
