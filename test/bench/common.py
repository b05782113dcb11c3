"""What the parts of the benchmark share: three databases, tables, timing, the report."""
import math
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'differential'))
from pgclient import Client     # noqa: E402

SHARDS = int(os.environ.get('BENCH_SHARDS', 32))
ROWS = int(os.environ.get('BENCH_ROWS', 1000000))
STREAM_ROWS = int(os.environ.get('BENCH_STREAM_ROWS', 5000000))
SECONDS = int(os.environ.get('BENCH_SECONDS', 10))
FACTOR = int(os.environ.get('BENCH_FACTOR', 1))
ROUNDS = int(os.environ.get('BENCH_ROUNDS', 1))
RUNS = int(os.environ.get('BENCH_RUNS', 5))
FDW = os.environ.get('BENCH_FDW', '1') != '0'
PLANNING_SHARDS = [int(n) for n in os.environ.get('BENCH_PLANNING_SHARDS', '32,256,1024').split(',')]
TABLES = int(os.environ.get('BENCH_TABLES', 1000))
PARTITIONS = int(os.environ.get('BENCH_PARTITIONS', 500))
TPCH_COPIES = int(os.environ.get('BENCH_TPCH_COPIES', 10))
TIMEOUT_S = int(os.environ.get('BENCH_TIMEOUT', 20))

SIDES = ('plain', 'fdw', 'cz') if FDW else ('plain', 'cz')
FDW_SETTINGS = ('enable_partitionwise_join', 'enable_partitionwise_aggregate')


def drain(client, sql):
    """Run sql and throw its rows away: (seconds, seconds until the first of them, bytes), or None."""
    begin = time.time()
    client._send(b'Q', sql.encode() + b'\0')
    first, total, tail, kinds = None, 0, b'', b''
    while not tail.endswith(b'Z\0\0\0\5I'):
        piece = client.socket.recv(1 << 20)
        if not piece:
            return None
        if first is None:
            first, kinds = time.time() - begin, piece[:1]
        total += len(piece)
        tail = (tail + piece)[-64:]
    return None if kinds == b'E' else (time.time() - begin, first, total)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def median_ms(client, sql, runs=RUNS, before=None):
    """Median of several runs, their rows read but not looked at; None: it fails."""
    times = []
    for _ in range(runs):
        if before:
            client.must(before)
        result = drain(client, sql)
        if result is None:
            return None
        times.append(result[0] * 1000)
    return statistics.median(times)


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else None


def note(text):
    print(text)
    sys.stdout.flush()


def cell(value, plain):
    if value is None:
        return '%17s' % '-'
    return '%9.2f %7s' % (value, '(%.2f)' % (value / plain) if plain else '')


def row(name, values, unit='ms', bar=None, absolute=None, more_is_better=False):
    """One line of the report.  bar: ratio to plain that cz_fdw must reach; absolute: its value."""
    plain, cz = values.get('plain'), values.get('cz')
    verdict = ''
    if bar is not None or absolute is not None:
        value = cz if absolute is not None else (cz / plain if cz is not None and plain else None)
        limit = absolute if absolute is not None else bar
        good = value is not None and (value >= limit if more_is_better else value <= limit)
        verdict = '%s %s' % (('%g %s' % (limit, unit)) if absolute is not None else '%g' % limit,
                             'reached' if good else 'MISSED')
    note('%-44s %10s %s %s  %-4s %s' % (name, '%.2f' % plain if plain is not None else '-', cell(values.get('fdw'), plain),
                                        cell(cz, plain), unit, verdict))


def own_memory(pid):
    """Private memory of a process, KB."""
    try:
        with open('/proc/%s/status' % pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith('RssAnon'))
    except (OSError, StopIteration):
        return 0


class Cluster:
    """Databases "plain" on the first worker's server, "fdw" and "cz" on the coordinator, whose rows are on
    the other two workers."""

    def __init__(self, args):
        self.args = args
        self.workers = [int(port) for port in args.workers.split(',')]
        self.ports = {'plain': self.workers[0], 'fdw': args.port, 'cz': args.port}
        self.ports = {side: self.ports[side] for side in SIDES}
        self.clients = {side: self.connect(side) for side in SIDES}

    def connect(self, side):
        options = ' '.join('-c %s=on' % name for name in FDW_SETTINGS) if side == 'fdw' else ''
        client = Client('127.0.0.1', self.ports[side], side, options=options)
        client.socket.settimeout(1200)
        return client

    def connect_to(self, port, database):
        client = Client('127.0.0.1', port, database)
        client.socket.settimeout(1200)
        return client

    def each(self, sql):
        for client in self.clients.values():
            client.must(sql)

    def measure(self, sql, runs=RUNS, before=None):
        return {side: median_ms(client, sql, runs, before) for side, client in self.clients.items()}

    def prepare(self):
        cz = self.clients['cz']
        cz.must("SELECT citus_remove_node('127.0.0.1', %d)" % self.workers[0])
        if cz.must('SHOW cz.check_fragments').rows[0][0] == 'on':
            note('This is a DEV=1 build, with assertions and checks: it is slower.  "make clean" first.')
        cz.must('SET cz.shard_count = %d' % SHARDS)
        cz.must('SET cz.shard_replication_factor = %d' % FACTOR)
        if not FDW:
            return
        fdw = self.clients['fdw']
        fdw.must('DROP EXTENSION cz_fdw CASCADE')
        fdw.must('CREATE EXTENSION postgres_fdw')
        for i, port in enumerate(self.workers[1:]):
            fdw.must("CREATE SERVER w%d FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '%d', "
                     "dbname 'fdw', async_capable 'true', use_remote_estimate 'false', batch_size '1000')" % (i, port))
            fdw.must("CREATE USER MAPPING FOR PUBLIC SERVER w%d OPTIONS (user 'postgres')" % i)

    def table(self, name, columns, key, index=None, shards=SHARDS, sides=SIDES):
        """The same table on all sides; key None: on the coordinator in full, for cz_fdw a reference table."""
        if 'plain' in sides:
            self.clients['plain'].must('CREATE TABLE %s (%s)' % (name, columns))
        if 'cz' in sides:
            cz = self.clients['cz']
            cz.must('CREATE TABLE %s (%s)' % (name, columns))
            cz.must("SELECT create_reference_table('%s')" % name if key is None else
                    "SELECT create_distributed_table('%s', '%s', shard_count => %d)" % (name, key, shards))
        if 'fdw' in sides:
            if key is None:
                self.clients['fdw'].must('CREATE TABLE %s (%s)' % (name, columns))
            else:
                self.fdw_table(name, columns, key, index, shards)
        if index:
            for side in ('plain', 'cz'):
                if side in sides:
                    self.clients[side].must('CREATE INDEX ON %s (%s)' % (name, index))

    def fdw_table(self, name, columns, key, index, shards):
        """Hash partitions, each a foreign table of postgres_fdw."""
        fdw = self.clients['fdw']
        bare = columns.split('PRIMARY KEY (')[0].rstrip(', \n').replace(' PRIMARY KEY', '')
        fdw.must('CREATE TABLE %s (%s) PARTITION BY HASH (%s)' % (name, bare, key))
        remotes = [Client('127.0.0.1', port, 'fdw') for port in self.workers[1:]]
        for i in range(shards):
            remotes[i % len(remotes)].must('CREATE TABLE %s_%d (%s)' % (name, i, columns) +
                                           ('; CREATE INDEX ON %s_%d (%s)' % (name, i, index) if index else ''))
            fdw.must('CREATE FOREIGN TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d) SERVER w%d'
                     % (name, i, name, shards, i, i % len(remotes)))
        for remote in remotes:
            remote.close()

    def vacuum(self):
        """Autovacuum is off: what it would have done after loading."""
        for port in self.workers:
            for database in SIDES:
                worker = Client('127.0.0.1', port, database)
                worker.socket.settimeout(600)
                worker.must('VACUUM ANALYZE')
                worker.close()


