"""What planning and starting cost: router statements and a five-table join at several shard counts.

The bars are PostgreSQL's own planning time of the same statement on plain tables in this run plus
0.05 ms (router), and milliseconds (join).
"""
import statistics

from common import PLANNING_SHARDS, median_ms, note, row

# shards: planning, run, first statement of a session (ms), or None
JOIN_BARS = {32: (2, 10, 35), 256: (10, 50, None), 1024: (30, None, None)}


def planning_ms(client, sql, runs=41):
    """Median of what EXPLAIN says; None: it fails."""
    times = []
    for _ in range(runs):
        outcome = client.run('EXPLAIN (SUMMARY ON) ' + sql)
        times += [float(line[0].split()[2]) for line in outcome.rows if line[0].startswith('Planning Time')]
    return statistics.median(times[runs // 10:]) if times else None


def first_ms(cluster, side, sql, runs=9):
    """Median time of the first statement of a new session, the connecting not counted."""
    times = []
    for _ in range(runs):
        client = cluster.connect(side)
        times.append(client.must(sql).seconds * 1000)
        client.close()
    return statistics.median(times)


def plan_kb(cluster, side, sql):
    """Memory of the generic plan of a prepared statement."""
    client = cluster.connect(side)
    client.must('SET plan_cache_mode = force_generic_plan')
    client.must('PREPARE bench_plan (int) AS ' + sql)
    client.must('EXECUTE bench_plan (1)')
    used = client.must("SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name = 'CachedPlan' "
                       "AND ident LIKE 'PREPARE bench_plan%'").rows[0][0]
    client.close()
    return int(used or 0) / 1024.0


def planning(cluster):
    for shards in PLANNING_SHARDS:
        sides = [side for side in cluster.clients if side != 'fdw' or shards <= 256]
        for i in range(5):
            name = 'tiny%d_%d' % (shards, i)
            cluster.table(name, 'k int PRIMARY KEY, v int', 'k', shards=shards, sides=sides)
            for side in sides:
                cluster.clients[side].must('INSERT INTO %s SELECT i, i FROM generate_series(1, 64) i' % name)
                cluster.clients[side].must('ANALYZE ' + name)
        tables = ['tiny%d_%d' % (shards, i) for i in range(5)]
        router = 'SELECT v FROM %s WHERE k = 47' % tables[0]
        from_list = tables[0] + ' a' + ''.join(' JOIN %s USING (k)' % name for name in tables[1:])
        join = 'SELECT count(*), sum(a.v) FROM ' + from_list
        bars = JOIN_BARS.get(shards, (None, None, None))
        clients = {side: cluster.clients[side] for side in sides}

        note('%d shards' % shards)
        times = {side: planning_ms(client, router) for side, client in clients.items()}
        row('  router: planning', {side: 1000 * ms for side, ms in times.items()}, 'us', absolute=1000 * times['plain'] + 50)
        row('  router: EXPLAIN, whole', {side: median_ms(client, 'EXPLAIN ' + router, 21) for side, client in clients.items()})
        row('  router: run', {side: median_ms(client, router, 41) for side, client in clients.items()},
            absolute=.12 if shards == 32 else None)
        row('  router: first of a session', {side: first_ms(cluster, side, router) for side in sides},
            absolute=4 if shards == 32 else None)
        row('  five-table join: planning',
            {side: planning_ms(client, join, 5 if side == 'fdw' else 21) for side, client in clients.items()}, absolute=bars[0])
        apart = ('SELECT count(*), sum(a.v) FROM %s a JOIN %s b ON b.v = a.k JOIN %s c ON c.v = b.k JOIN %s d ON d.v = c.k '
                 'JOIN %s e ON e.v = d.k' % tuple(tables))
        row('  five-table join on other columns: planning',
            {side: planning_ms(client, apart, 5 if side == 'fdw' else 21) for side, client in clients.items()}, bar=1)
        row('  five-table join on other columns: run',
            {side: median_ms(client, apart, 3 if side == 'fdw' else 7) for side, client in clients.items()})
        for client in clients.values():     # the bar is for the third run and later ones
            client.run(join)
            client.run(join)
        row('  five-table join: run, from the third on',
            {side: median_ms(client, join, 5 if side == 'fdw' else 11) for side, client in clients.items()}, absolute=bars[1])
        row('  five-table join: first of a session', {side: first_ms(cluster, side, join, 5) for side in sides}, absolute=bars[2])
        row('  router: memory of the plan',
            {side: plan_kb(cluster, side, 'SELECT v FROM %s WHERE k = $1' % tables[0]) for side in sides}, 'kB')
        row('  five-table join: memory of the plan',
            {side: plan_kb(cluster, side, join + ' WHERE a.v > $1') for side in sides}, 'kB')
