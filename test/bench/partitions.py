"""What many time partitions cost: BENCH_PARTITIONS months of a table with the key (k, t).

The bars: a pruned query is planned in 5 ms at the first time, a month is dropped within a second.
"""
import time

from common import PARTITIONS, SHARDS, median, note, row
from planning import first_ms, plan_kb, planning_ms

MONTH_ROWS = 100


def partition(name, month):
    return ("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES FROM (%d) TO (%d)"
            % (name, month, name, month * MONTH_ROWS, (month + 1) * MONTH_ROWS))


def once_ms(client, sql):
    return client.must(sql).seconds * 1000


def first_planning_ms(cluster, side, sql, runs=5):
    """Planning time of the first statement of a new session."""
    times = []
    for _ in range(runs):
        client = cluster.connect(side)
        times.append(planning_ms(client, sql, 1))
        client.close()
    return median(times)


def partitions(cluster):
    clients = {side: client for side, client in cluster.clients.items() if side != 'fdw'}
    note('%d partitions x %d shards' % (PARTITIONS, SHARDS))
    made = {side: [] for side in clients}
    for side, client in clients.items():
        client.must('CREATE TABLE ev (k int, t int, v text, n numeric, a int, b int, c int, d int, PRIMARY KEY (k, t)) '
                    'PARTITION BY RANGE (t)')
        if side == 'cz':
            client.must("SELECT create_distributed_table('ev', 'k', shard_count => %d)" % SHARDS)
        for month in range(PARTITIONS):
            begin = time.time()
            client.must(partition('ev', month))
            made[side].append((time.time() - begin) * 1000)
    months = PARTITIONS * MONTH_ROWS
    row('  CREATE TABLE ... PARTITION OF', {side: median(times) for side, times in made.items()})
    row('  INSERT of 20,000 rows, all partitions',
        {side: once_ms(client, 'INSERT INTO ev SELECT i, i %% %d, i, i FROM generate_series(1, 20000) i' % months)
         for side, client in clients.items()})
    pruned = 'SELECT * FROM ev WHERE k = 47 AND t = 47'
    month = 'SELECT count(*), sum(n) FROM ev WHERE t BETWEEN 300 AND 399'
    for name, sql in (('key and time', pruned), ('one month', month)):
        row('  %s: planning' % name, {side: planning_ms(client, sql) for side, client in clients.items()}, absolute=5)
        row('  %s: planning, first of a session' % name, {side: first_planning_ms(cluster, side, sql) for side in clients},
            absolute=5)
        row('  %s: run' % name, {side: cluster_median(client, sql) for side, client in clients.items()})
        row('  %s: first of a session' % name, {side: first_ms(cluster, side, sql, 5) for side in clients})
    row('  key and time: memory of the plan',
        {side: plan_kb(cluster, side, 'SELECT v FROM ev WHERE k = $1 AND t = 47') for side in clients}, 'kB')
    row('  all partitions: run', {side: cluster_median(client, 'SELECT count(*) FROM ev', 3) for side, client in clients.items()})
    for name, sql in (('UPDATE of a month', 'UPDATE ev SET n = n + 1 WHERE t BETWEEN 300 AND 399'),
                      ('UPDATE of a month, row by row', 'UPDATE ev SET n = n + 1 + random() WHERE t BETWEEN 300 AND 399'),
                      ('UPDATE to another month', 'UPDATE ev SET t = t + 1 WHERE t = 499'),
                      ('ALTER TABLE ev ADD COLUMN', 'ALTER TABLE ev ADD COLUMN e int'),
                      ('TRUNCATE of a month', 'TRUNCATE ev_5')):
        row('  ' + name, {side: once_ms(client, sql) for side, client in clients.items()})
    row('  DROP of a month', {side: once_ms(client, 'DROP TABLE ev_6') for side, client in clients.items()}, absolute=1000)
    row('  DETACH of a month', {side: once_ms(client, 'ALTER TABLE ev DETACH PARTITION ev_7') for side, client in clients.items()})


def cluster_median(client, sql, runs=11):
    return median([once_ms(client, sql) for _ in range(runs)])
