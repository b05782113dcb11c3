"""pgbench: reads, writes and transactions by key."""
import os
import random
import statistics
import subprocess
import time

from common import FACTOR, ROUNDS, RUNS, SECONDS, median, row

KEYS = 100000
K = '\\set k random(0, %d)\n' % (KEYS - 1)
TWO = K + '\\set j random(0, %d)\n' % (KEYS - 1)
# name, tables of a factor, script, [(protocol, clients, ratio to plain that must be reached)]
JOBS = [
    ('point read', 1, K + 'SELECT v FROM %s WHERE k = :k;\n', [('prepared', 1, .50), ('prepared', 8, .35), ('prepared', 32, None),
                                                              ('simple', 8, .30)]),
    ('update by key', 1, K + "UPDATE %s SET v = 'x' WHERE k = :k;\n", [('prepared', 1, None), ('prepared', 8, .54),
                                                                     ('prepared', 32, None), ('simple', 8, None)]),
    ('insert', 1, K + "INSERT INTO %s_log VALUES (:k, 'x');\n", [('prepared', 1, None), ('prepared', 8, .54), ('prepared', 32, None)]),
    ('two statements, one shard', 1, K + "BEGIN;\nUPDATE %s SET v = 'y' WHERE k = :k;\nSELECT v FROM %s WHERE k = :k;\n"
     'END;\n', [('prepared', 1, None), ('prepared', 8, .45), ('prepared', 32, None)]),
    ('transfer', 1, TWO + "BEGIN;\nUPDATE %s SET v = 'a' WHERE k = least(:k, :j);\n"
     "UPDATE %s SET v = 'b' WHERE k = greatest(:k, :j);\nEND;\n", [('simple', 1, None), ('simple', 8, .25), ('simple', 32, None)]),
    ('point read, factor 2', 2, K + 'SELECT v FROM %s WHERE k = :k;\n', [('prepared', 8, .35)]),
    ('update by key, factor 2', 2, K + "UPDATE %s SET v = 'x' WHERE k = :k;\n", [('prepared', 1, None), ('prepared', 8, .27),
                                                                               ('prepared', 32, None)]),
    ('insert, factor 2', 2, K + "INSERT INTO %s_log VALUES (:k, 'x');\n", [('prepared', 1, None), ('prepared', 8, None),
                                                                          ('prepared', 32, None)]),
]
# Tables of pgbench with their keys: its transaction writes up to four shards.
TPCB = [('pgbench_branches', 'bid'), ('pgbench_tellers', 'tid'), ('pgbench_accounts', 'aid'), ('pgbench_history', 'tid')]
TPCB_SCALE = int(os.environ.get('BENCH_TPCB_SCALE', 10))


def pgbench(cluster, side, options):
    """Run pgbench, with -T: transactions a second after the first one, in which sessions begin; None if it fails."""
    run = subprocess.run([os.path.join(cluster.args.bindir, 'pgbench'), '-h', '127.0.0.1', '-p', str(cluster.ports[side]),
                          '-U', 'postgres'] + options + [side], capture_output=True, text=True)
    if run.returncode != 0:
        return None
    rates = [float(line.split()[3]) for line in run.stderr.split('\n') if line.startswith('progress:')]
    return statistics.mean(rates[1:]) if len(rates) > 1 else None


def measure(cluster, name, options, bar=None):
    """A row of the report: all sides in turn, ROUNDS times."""
    rates = {side: [] for side in cluster.ports}
    for _ in range(ROUNDS):
        for side in cluster.ports:
            rates[side].append(pgbench(cluster, side, ['-n', '-j', '1', '-P', '1'] + options))
    row(name, {side: median(rates[side]) for side in rates}, 'tps', bar, more_is_better=True)


def make_points(cluster, factor):
    name = 'points' if factor == 1 else 'points%d' % factor
    if 'cz' in cluster.clients:
        cluster.clients['cz'].must('SET cz.shard_replication_factor = %d' % factor)
    cluster.table(name, 'k int PRIMARY KEY, v text', 'k')
    cluster.table(name + '_log', 'k int, v text', 'k')
    points = ''.join('%d\tvalue %d\n' % (i, i) for i in range(KEYS)).encode()
    for client in cluster.clients.values():
        client.must('COPY %s FROM STDIN' % name, copy_data=points)
        client.must('ANALYZE ' + name)
    return name


def oltp(cluster):
    tables = {factor: make_points(cluster, factor) for factor in (1, 2)}
    cluster.clients['cz'].must('SET cz.shard_replication_factor = %d' % FACTOR)
    cluster.vacuum()
    path = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'cz_bench_%d.sql' % os.getpid())
    only = os.environ.get('BENCH_JOBS', '')
    for name, factor, text, runs in JOBS:
        if not any(word in name for word in only.split(',')):
            continue
        with open(path, 'w') as file:
            file.write(text.replace('%s', tables[factor]))
        for mode, clients, bar in runs:
            measure(cluster, '%s, %s, %d clients' % (name, mode, clients),
                    ['-M', mode, '-c', str(clients), '-T', str(SECONDS), '-f', path], bar)
    if os.path.exists(path):
        os.unlink(path)
    if any(word in 'TPC-B' for word in only.split(',')):
        tpcb(cluster)


def tpcb(cluster):
    """pgbench's own tables, distributed, and its own transaction, at both factors."""
    for factor in (1, 2):
        for side in cluster.ports:
            client = cluster.clients[side]
            pgbench(cluster, side, ['-i', '-q', '-I', 'dtp', '-s', str(TPCB_SCALE)])
            if side == 'cz':
                client.must('SET cz.shard_replication_factor = %d' % factor)
                for table, key in TPCB:
                    client.must("SELECT create_distributed_table('%s', '%s', colocate_with => 'none')" % (table, key))
                client.must('SET cz.shard_replication_factor = %d' % FACTOR)
            pgbench(cluster, side, ['-i', '-q', '-I', 'G', '-s', str(TPCB_SCALE)])
            client.must('ANALYZE pgbench_accounts')
        cluster.vacuum()
        for clients in (1, 8, 32):
            measure(cluster, 'TPC-B of pgbench, factor %d, prepared, %d clients' % (factor, clients),
                    ['-M', 'prepared', '-c', str(clients), '-T', str(SECONDS)])


def sessions(cluster):
    """A client that connects, runs ten statements by key and goes; and what of it is what."""
    cluster.table('visits', 'k int PRIMARY KEY, v text', 'k')
    points = ''.join('%d\tvalue %d\n' % (i, i) for i in range(KEYS)).encode()
    for client in cluster.clients.values():
        client.must('COPY visits FROM STDIN', copy_data=points)
        client.must('ANALYZE visits')
    cluster.vacuum()
    whole, first, rest = {}, {}, {}
    for side in cluster.ports:
        times = []
        for i in range(RUNS * 10):
            random.seed(i)
            begin = time.time()
            client = cluster.connect(side)
            connected = time.time()
            client.must('SELECT v FROM visits WHERE k = %d' % random.randrange(KEYS))
            one = time.time()
            for _ in range(9):
                client.must('SELECT v FROM visits WHERE k = %d' % random.randrange(KEYS))
            end = time.time()
            client.close()
            times.append((end - begin, one - connected, end - one))
        whole[side], first[side], rest[side] = (median([t[i] * 1000 for t in times]) for i in range(3))
    row('connect, ten reads by key, go', whole, 'ms', 3)
    row('  its first read', first)
    row('  the nine others', rest)
