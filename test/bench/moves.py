"""Moves of shards: MB/s against pg_dump | psql of the same shards, one and four at a time; writers meanwhile.

The bars: what writes to one shard reach while it moves is .7 of what they reach before.
"""
import os
import random
import subprocess
import threading
import time

from common import RUNS, SECONDS, Client, median, note, row

MOVE_ROWS = int(os.environ.get('BENCH_MOVE_ROWS', 300000))
SHARDS = 4
WRITERS = 4


def placements(client):
    """{shard: port}"""
    return {int(shard): int(port) for shard, port in client.must(
        "SELECT shardid, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) "
        "WHERE logicalrelid = 'mv'::regclass ORDER BY 1").rows}


def move(cluster, shard, source, target, mode='auto'):
    client = cluster.connect('cz')
    client.must("SELECT citus_move_shard_placement(%d, '127.0.0.1', %d, '127.0.0.1', %d, '%s')" % (shard, source, target, mode))
    client.close()


def dump(cluster, shard, source, target):
    """The same rows and indexes by pg_dump and psql, into another database of the target."""
    base = os.path.join(cluster.args.bindir, '')
    pipe = ("%spg_dump -h 127.0.0.1 -U postgres -p %d -t 'cz_shards.mv_%d' cz | %spsql -h 127.0.0.1 -U postgres -p %d -qXo /dev/null -v ON_ERROR_STOP=1 moves"
            % (base, source, shard, base, target))
    subprocess.run(['bash', '-c', 'set -o pipefail; ' + pipe], check=True, stdout=subprocess.DEVNULL)


def at_once(function, cluster, jobs):
    """Seconds until all are done."""
    threads = [threading.Thread(target=function, args=(cluster,) + job) for job in jobs]
    begin = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.time() - begin


def megabytes(cluster, jobs):
    total = 0
    for shard, source, _ in jobs:
        worker = Client('127.0.0.1', source, 'cz')
        total += int(worker.must("SELECT pg_total_relation_size('cz_shards.mv_%d')" % shard).rows[0][0])
        worker.close()
    return total / 1048576


def forget_dumps(cluster, shards):
    for port in cluster.workers[1:]:
        client = Client('127.0.0.1', port, 'moves')
        for shard in shards:
            client.must('DROP TABLE IF EXISTS cz_shards.mv_%d' % shard)
        client.close()


def speed(cluster, count):
    """MB/s of both ways, in turns."""
    cz = cluster.clients['cz']
    there = {'plain': [], 'cz': []}
    for _ in range(RUNS):
        where = placements(cz)
        others = {port: other for port, other in zip(cluster.workers[1:], cluster.workers[:0:-1])}
        jobs = [(shard, port, others[port]) for shard, port in list(where.items())[:count]]
        size = megabytes(cluster, jobs)
        there['plain'].append(size / at_once(dump, cluster, jobs))
        forget_dumps(cluster, where)
        there['cz'].append(size / at_once(move, cluster, jobs))
        # the old placements go before the next move comes there
        while cz.must("SELECT count(*) FROM cz.cleanup").rows[0][0] != '0':
            time.sleep(0.2)
    return {side: median(values) for side, values in there.items()}


def write(cluster, keys, until, counts, number):
    client = cluster.connect('cz')
    rng = random.Random(number)
    while time.time() < until[0]:
        outcome = client.run('UPDATE mv SET v = v + 1 WHERE k = %s' % rng.choice(keys))
        if not outcome.sqlstate:
            counts[number] += 1
    client.close()


def writes_per_s(cluster, keys, seconds, meanwhile=None):
    until, counts = [time.time() + (3600 if meanwhile else seconds)], [0] * WRITERS
    threads = [threading.Thread(target=write, args=(cluster, keys, until, counts, i)) for i in range(WRITERS)]
    begin = time.time()
    for thread in threads:
        thread.start()
    if meanwhile:
        meanwhile()
        until[0] = 0
    for thread in threads:
        thread.join()
    return sum(counts) / (time.time() - begin)


def moves(cluster):
    cz = cluster.clients['cz']
    cz.must('CREATE TABLE mv (k int, v int, t text, n numeric, at timestamptz, PRIMARY KEY (k))')
    cz.must("SELECT create_distributed_table('mv', 'k', shard_count => %d)" % SHARDS)
    cz.must("INSERT INTO mv SELECT i, 0, md5(i::text) || md5((i + 1)::text), i / 7.0, now() FROM generate_series(1, %d) i" % (MOVE_ROWS * SHARDS))
    cz.must('CREATE INDEX ON mv (t)')
    cz.must('CREATE INDEX ON mv (at)')
    cluster.vacuum()
    for port in cluster.workers[1:]:
        client = Client('127.0.0.1', port, 'cz')
        client.must('DROP DATABASE IF EXISTS moves')
        client.must('CREATE DATABASE moves')
        client.close()
        client = Client('127.0.0.1', port, 'moves')
        client.must('CREATE SCHEMA cz_shards')
        client.close()
    note('  %d rows a shard, three indexes; plain: pg_dump | psql' % MOVE_ROWS)
    row('  one shard at a time', speed(cluster, 1), 'MB/s', more_is_better=True)
    row('  four shards at a time', speed(cluster, SHARDS), 'MB/s', more_is_better=True)

    shard, source = list(placements(cz).items())[0]
    target = [port for port in cluster.workers[1:] if port != source][0]
    keys = [key for key, in cz.must("SELECT k FROM mv WHERE k < 20000 AND get_shard_id_for_distribution_column('mv', k) = %d" % shard).rows]
    before = writes_per_s(cluster, keys, SECONDS)
    meanwhile = writes_per_s(cluster, keys, 0, lambda: move(cluster, shard, source, target))
    row('  writes to a shard, before (plain) and while it moves', {'plain': before, 'cz': meanwhile}, '/s', bar=.7, more_is_better=True)
    pauses = [float(pause) for pause, in cz.must("SELECT pause_ms FROM cz_moves WHERE pause_ms IS NOT NULL ORDER BY 1").rows]
    note('  pauses of %d moves: median %.0f ms, longest %.0f ms' % (len(pauses), median(pauses), pauses[-1]))
    cz.must('DROP TABLE mv')
