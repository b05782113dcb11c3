"""pgbench: reads, writes and transactions by key."""
import os
import random
import subprocess
import time

from common import RUNS, SECONDS, median, row

KEYS = 100000
K = '\\set k random(0, %d)\n' % (KEYS - 1)
TWO = K + '\\set j random(0, %d)\n' % (KEYS - 1)
# name, script, [(protocol, clients, ratio to plain that must be reached)]
JOBS = [
    ('point read', K + 'SELECT v FROM points WHERE k = :k;\n', [('prepared', 8, .35), ('simple', 8, .30), ('prepared', 1, .50)]),
    ('update by key', K + "UPDATE points SET v = 'x' WHERE k = :k;\n", [('prepared', 8, .60), ('simple', 8, None),
                                                                     ('prepared', 1, None)]),
    ('insert', K + "INSERT INTO log VALUES (:k, 'x');\n", [('prepared', 8, .60)]),
    ('two statements, one shard', K + "BEGIN;\nUPDATE points SET v = 'y' WHERE k = :k;\nSELECT v FROM points WHERE k = :k;\n"
     'END;\n', [('prepared', 8, .45)]),
    ('transfer', TWO + "BEGIN;\nUPDATE points SET v = 'a' WHERE k = least(:k, :j);\n"
     "UPDATE points SET v = 'b' WHERE k = greatest(:k, :j);\nEND;\n", [('simple', 8, .25)]),
]


def oltp(cluster):
    cluster.table('points', 'k int PRIMARY KEY, v text', 'k')
    cluster.table('log', 'k int, v text', 'k')
    points = ''.join('%d\tvalue %d\n' % (i, i) for i in range(KEYS)).encode()
    for client in cluster.clients.values():
        client.must('COPY points FROM STDIN', copy_data=points)
        client.must('ANALYZE points')
    cluster.vacuum()
    path = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'cz_bench_%d.sql' % os.getpid())
    for name, text, runs in JOBS:
        with open(path, 'w') as file:
            file.write(text)
        for mode, clients, bar in runs:
            tps = {}
            for side, port in cluster.ports.items():
                run = subprocess.run([os.path.join(cluster.args.bindir, 'pgbench'), '-n', '-h', '127.0.0.1', '-p', str(port),
                                      '-U', 'postgres', '-M', mode, '-c', str(clients), '-j', '1', '-T', str(SECONDS),
                                      '-f', path, side], capture_output=True, text=True)
                tps[side] = next((float(line.split()[2]) for line in run.stdout.split('\n') if line.startswith('tps')), None)
            row('%s, %s, %d clients' % (name, mode, clients), tps, 'tps', bar, more_is_better=True)
    os.unlink(path)


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
