#!/usr/bin/env python3
"""Benchmark: plain PostgreSQL, postgres_fdw hash partitions, cz_fdw; medians and ratios.

Three databases hold the same tables: "plain" on the first worker's server, "fdw" and "cz" on
the coordinator, their rows on two workers (the first worker is left to plain).
"""
import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'differential'))
from pgclient import Client
from script import Script

SHARDS = 32
ROWS = int(os.environ.get('BENCH_ROWS', 1000000))
STREAM_ROWS = int(os.environ.get('BENCH_STREAM_ROWS', 5000000))
SECONDS = int(os.environ.get('BENCH_SECONDS', 10))
FACTOR = int(os.environ.get('BENCH_FACTOR', 1))

QUERIES = [
    ('count(*)', 'SELECT count(*) FROM events'),
    ('count, filter on another column', 'SELECT count(*) FROM events WHERE n = 77'),
    ('group by a non-key column', 'SELECT kind, count(*), sum(n) FROM events GROUP BY kind'),
    ('aggregate of a jsonb field by kind', "SELECT kind, avg((data->>'v')::int) FROM events GROUP BY kind"),
    ('count(distinct non-key)', 'SELECT count(DISTINCT n) FROM events'),
    ('top 10', 'SELECT id, n FROM events ORDER BY n DESC, id LIMIT 10'),
    ('colocated join and aggregate', 'SELECT u.grp, count(*) FROM events e JOIN users u USING (tenant_id) GROUP BY 1'),
    ('join on another column', 'SELECT count(*) FROM events e JOIN labels l ON l.id = e.n'),
    ('percentile', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM events'),
    ('window by key', 'SELECT max(r) FROM (SELECT rank() OVER (PARTITION BY tenant_id ORDER BY n) r FROM events) x'),
    ('200,000 rows to the client', 'SELECT id, tenant_id, kind FROM events WHERE id <= %d' % (ROWS // 5)),
]


def median_ms(client, sql, runs=5):
    times = []
    for _ in range(runs):
        outcome = client.run(sql)
        if outcome.sqlstate or outcome.lost:
            return None
        times.append(outcome.seconds * 1000)
    return statistics.median(times)


def row(name, plain, fdw, cz, unit='ms', more_is_better=False):
    def cell(value):
        if value is None:
            return '%16s' % 'error'
        return '%9.2f (%4.2f)' % (value, value / plain if plain else 0)
    print('%-36s %10s %s %s  %s' % (name, '%.2f' % plain if plain else '-', cell(fdw), cell(cz), unit))
    sys.stdout.flush()


class Bench:
    def __init__(self, args):
        self.args = args
        self.workers = [int(port) for port in args.workers.split(',')]
        self.ports = {'plain': self.workers[0], 'fdw': args.port, 'cz': args.port}
        self.clients = {name: Client('127.0.0.1', port, name) for name, port in self.ports.items()}
        for client in self.clients.values():
            client.socket.settimeout(1200)

    def each(self, sql):
        for client in self.clients.values():
            client.must(sql)

    def prepare(self):
        fdw, cz = self.clients['fdw'], self.clients['cz']
        # the first worker belongs to plain PostgreSQL
        cz.must("SELECT citus_remove_node('127.0.0.1', %d)" % self.workers[0])
        cz.must('SET cz.shard_count = %d' % SHARDS)
        cz.must('SET cz.shard_replication_factor = %d' % FACTOR)
        fdw.must('DROP EXTENSION cz_fdw CASCADE')
        fdw.must('CREATE EXTENSION postgres_fdw')
        fdw.must('SET enable_partitionwise_join = on')
        fdw.must('SET enable_partitionwise_aggregate = on')
        for i, port in enumerate(self.workers[1:]):
            fdw.must("CREATE SERVER w%d FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '%d', "
                     "dbname 'fdw', async_capable 'true', use_remote_estimate 'false', batch_size '1000')" % (i, port))
            fdw.must("CREATE USER MAPPING FOR PUBLIC SERVER w%d OPTIONS (user 'postgres')" % i)

    def table(self, name, columns, key, index=None, distribution='hash'):
        """The same table on all three; key None or 'reference': small, in full on the coordinator."""
        plain, fdw, cz = self.clients['plain'], self.clients['fdw'], self.clients['cz']
        plain.must('CREATE TABLE %s (%s)' % (name, columns))
        cz.must('CREATE TABLE %s (%s)' % (name, columns))
        bare = columns.replace(' PRIMARY KEY', '')
        if distribution == 'reference':
            fdw.must('CREATE TABLE %s (%s)' % (name, columns))
            cz.must("SELECT create_reference_table('%s')" % name)
            return
        fdw.must('CREATE TABLE %s (%s) PARTITION BY HASH (%s)' % (name, bare, key))
        remotes = [Client('127.0.0.1', port, 'fdw') for port in self.workers[1:]]
        for i in range(SHARDS):
            remote = remotes[i % len(remotes)]
            remote.must('CREATE TABLE %s_%d (%s)' % (name, i, columns))
            if index:
                remote.must('CREATE INDEX ON %s_%d (%s)' % (name, i, index))
            fdw.must('CREATE FOREIGN TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d) SERVER w%d'
                     % (name, i, name, SHARDS, i, i % len(remotes)))
        cz.must("SELECT create_distributed_table('%s', '%s')" % (name, key))
        if index:
            plain.must('CREATE INDEX ON %s (%s)' % (name, index))
            cz.must('CREATE INDEX ON %s (%s)' % (name, index))
        for remote in remotes:
            remote.close()

    def load(self):
        self.table('events', 'id bigint, tenant_id int, kind text, n int, data jsonb', 'tenant_id', 'tenant_id')
        self.table('users', 'tenant_id int PRIMARY KEY, grp int, name text', 'tenant_id')
        self.table('labels', 'id int, label text', 'id')
        self.table('points', 'k int PRIMARY KEY, v text', 'k')
        kinds = ['click', 'view', 'buy', 'refund']
        lines = ''.join('%d\t%d\t%s\t%d\t{"v": %d}\n' % (i, i * 7919 % 20000, kinds[i * 31 % 4], i * 104729 % 10007, i % 1000)
                        for i in range(1, ROWS + 1)).encode()
        users = ''.join('%d\t%d\tuser %d\n' % (i, i % 17, i) for i in range(20000)).encode()
        labels = ''.join('%d\tlabel %d\n' % (i, i) for i in range(10007)).encode()
        points = ''.join('%d\tvalue %d\n' % (i, i) for i in range(100000)).encode()
        seconds = {}
        for name, client in self.clients.items():
            outcome = client.must('COPY events FROM STDIN', copy_data=lines)
            seconds[name] = outcome.seconds
            client.must('COPY users FROM STDIN', copy_data=users)
            client.must('COPY labels FROM STDIN', copy_data=labels)
            client.must('COPY points FROM STDIN', copy_data=points)
            client.must('ANALYZE events, users, labels, points')
        for port in self.workers:
            for database in ('cz', 'fdw', 'plain'):
                worker = Client('127.0.0.1', port, database)
                worker.must('VACUUM ANALYZE')
                worker.close()
        row('COPY of %d events' % ROWS, seconds['plain'], seconds['fdw'], seconds['cz'], 's')

    def queries(self):
        for name, sql in QUERIES:
            results = {side: median_ms(client, sql) for side, client in self.clients.items()}
            row(name, results['plain'], results['fdw'], results['cz'])

    def pgbench(self):
        script = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'cz_bench_%d.sql' % os.getpid())
        jobs = [('point read', '\\set k random(0, 99999)\nSELECT v FROM points WHERE k = :k;\n'),
                ('update by key', "\\set k random(0, 99999)\nUPDATE points SET v = 'x' WHERE k = :k;\n")]
        for name, text in jobs:
            with open(script, 'w') as file:
                file.write(text)
            for mode, clients in (('prepared', 8), ('simple', 8), ('prepared', 1)):
                tps = {}
                for side, port in self.ports.items():
                    run = subprocess.run([os.path.join(self.args.bindir, 'pgbench'), '-n', '-h', '127.0.0.1', '-p', str(port),
                                          '-U', 'postgres', '-M', mode, '-c', str(clients), '-j', '1', '-T', str(SECONDS),
                                          '-f', script, side], capture_output=True, text=True)
                    tps[side] = next((float(line.split()[2]) for line in run.stdout.split('\n') if line.startswith('tps')), None)
                row('%s, %s, %d clients' % (name, mode, clients), tps['plain'], tps['fdw'], tps['cz'], 'tps')
        os.unlink(script)

    def planning(self):
        for i in range(5):
            self.table('tiny%d' % i, 'k int, v int', 'k')
            self.each('INSERT INTO tiny%d SELECT i, i FROM generate_series(1, 64) i' % i)
        router = 'SELECT v FROM points WHERE k = 4711'
        join = 'SELECT count(*), sum(a.v) FROM tiny0 a' + ''.join(' JOIN tiny%d USING (k)' % i for i in range(1, 5))
        for name, sql in (('planning: router', router), ('planning: five-table join', join)):
            times = {}
            for side, client in self.clients.items():
                runs = []
                for _ in range(20):
                    outcome = client.run('EXPLAIN (SUMMARY ON) ' + sql)
                    runs += [float(line[0].split()[2]) for line in outcome.rows if line[0].startswith('Planning Time')]
                times[side] = statistics.median(runs[3:]) if runs else None
            row(name, times['plain'], times['fdw'], times['cz'])
        row('five-table join, run', *[median_ms(self.clients[side], join, 11) for side in ('plain', 'fdw', 'cz')])

    def streaming(self):
        """Peak of the backend's own memory while 5 million rows pass through it."""
        self.table('wide', 'id int, v text', 'id')
        sql = "INSERT INTO wide SELECT i, 'value number ' || i FROM generate_series(1, %d) i" % STREAM_ROWS
        peaks, seconds = {}, {}
        for side, client in self.clients.items():
            client.must(sql)
            reader = Client('127.0.0.1', self.ports[side], side)
            reader.socket.settimeout(1200)
            reader.must('SELECT count(*) FROM wide WHERE id < 100')
            pid = reader.must('SELECT pg_backend_pid()').rows[0][0]
            start = own_memory(pid)
            peak = [start]
            done = threading.Event()

            def watch():
                while not done.wait(0.02):
                    peak[0] = max(peak[0], own_memory(pid))
            watcher = threading.Thread(target=watch)
            watcher.start()
            begin = time.time()
            reader._send(b'Q', b'SELECT id, v FROM wide\0')
            tail, total = b'', 0
            while not tail.endswith(b'Z\0\0\0\5I'):
                piece = reader.socket.recv(1 << 20)
                if not piece:
                    break
                total += len(piece)
                tail = (tail + piece)[-16:]
            seconds[side] = time.time() - begin
            done.set()
            watcher.join()
            peaks[side] = (peak[0] - start) / 1024.0
            reader.close()
        row('%d rows to the client' % STREAM_ROWS, seconds['plain'], seconds['fdw'], seconds['cz'], 's')
        print('%-36s %10.1f %9.1f        %9.1f         MB beyond the start' % (
            'peak memory of the backend', peaks['plain'], peaks['fdw'], peaks['cz']))

    def tpch(self):
        setup = Script(os.path.join(HERE, '..', 'differential', 'setup', 'tpch.sql'), self.args.data)
        for statement in setup.statements:
            sql = statement.sql
            for side, client in self.clients.items():
                if side == 'cz' or 'create_' not in sql[:20]:
                    if side == 'fdw' and sql.startswith('CREATE TABLE'):
                        self.tpch_fdw(client, sql)
                    elif side != 'fdw' and sql.startswith('SELECT create') and side != 'cz':
                        pass
                    elif not (side != 'cz' and sql.startswith('SELECT create')):
                        client.must(sql, copy_data=statement.copy_data)
        total = {'plain': 0.0, 'fdw': 0.0, 'cz': 0.0}
        logs, number = [], 0
        queries = Script(os.path.join(HERE, '..', 'differential', 'sql', 'tpch.sql'), self.args.data)
        for client in self.clients.values():
            client.must("SET statement_timeout = '60s'")
        for statement in queries.statements:
            if not statement.sql.startswith('SELECT'):
                self.each(statement.sql)
                continue
            number += 1
            times = {side: median_ms(client, statement.sql, 3) for side, client in self.clients.items()}
            row('TPC-H %d' % number, times['plain'], times['fdw'], times['cz'])
            for side in total:
                total[side] += times[side] or 60000.0
        row('TPC-H, sum', total['plain'], total['fdw'], total['cz'])

    def tpch_fdw(self, client, sql):
        keys = {'part': 'p_partkey', 'partsupp': 'ps_partkey', 'customer': 'c_custkey', 'orders': 'o_orderkey',
                'lineitem': 'l_orderkey'}
        name = sql.split()[2]
        if name not in keys:
            client.must(sql)
            return
        body = sql[sql.index('(') + 1:sql.rindex(')')]
        without_key = body.replace(' PRIMARY KEY', '', 1) if 'PRIMARY KEY (' not in body else body[:body.index('PRIMARY KEY (')].rstrip(', \n')
        client.must('CREATE TABLE %s (%s) PARTITION BY HASH (%s)' % (name, without_key, keys[name]))
        remotes = [Client('127.0.0.1', port, 'fdw') for port in self.workers[1:]]
        for i in range(SHARDS):
            remotes[i % len(remotes)].must('CREATE TABLE %s_%d (%s)' % (name, i, body))
            client.must('CREATE FOREIGN TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d) SERVER w%d'
                        % (name, i, name, SHARDS, i, i % len(remotes)))
        for remote in remotes:
            remote.close()


def own_memory(pid):
    """Private memory of a process, KB."""
    try:
        with open('/proc/%s/status' % pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith('RssAnon'))
    except (OSError, StopIteration):
        return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bindir', required=True)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--workers', required=True)
    parser.add_argument('--data', required=True)
    parser.add_argument('parts', nargs='*', default=['queries', 'pgbench', 'planning', 'tpch', 'streaming'])
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print('%d rows, %d shards, factor %d, load of the machine before: %.1f' % (ROWS, SHARDS, FACTOR, load))
    print('%-36s %10s %16s %16s' % ('', 'plain', 'postgres_fdw', 'cz_fdw'))
    bench = Bench(args)
    bench.prepare()
    bench.load()
    for part in args.parts:
        getattr(bench, part)()


if __name__ == '__main__':
    main()
