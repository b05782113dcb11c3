"""What many distributed tables cost: BENCH_TABLES tables of BENCH_SHARDS shards, two placements each.

Plain PostgreSQL has as many local hash partitions, postgres_fdw as many foreign ones.  What is
asked of all tables must not cost more a shard than PostgreSQL's own catalogs do; what is asked of one
table must not depend on how many others there are.
"""
import time

from common import SHARDS, TABLES, median, note, own_memory, row

TOUCHED = 50    # tables that a session uses for its memory


def make(cluster, side, i):
    client = cluster.clients[side]
    client.must('CREATE TABLE m%d (k int PRIMARY KEY, v int)%s' % (i, '' if side == 'cz' else ' PARTITION BY HASH (k)'))
    if side == 'cz':
        client.must("SELECT create_distributed_table('m%d', 'k', shard_count => %d, colocate_with => '%s')"
                    % (i, SHARDS, 'none' if i == 0 else 'm0'))
        return
    if side == 'plain':
        client.must("DO $$ BEGIN FOR s IN 0 .. %d LOOP EXECUTE format('CREATE TABLE m%d_%%s PARTITION OF m%d "
                    "FOR VALUES WITH (MODULUS %d, REMAINDER %%s)', s, s); END LOOP; END $$" % (SHARDS - 1, i, i, SHARDS))
        return
    # an index of the parent would have to be on foreign tables
    client.must('ALTER TABLE m%d DROP CONSTRAINT m%d_pkey' % (i, i))
    for number, worker in enumerate(cluster.fdw_workers):
        worker.must("DO $$ BEGIN FOR s IN 0 .. %d LOOP IF s %% %d = %d THEN EXECUTE format('CREATE TABLE m%d_%%s "
                    "(k int PRIMARY KEY, v int)', s); END IF; END LOOP; END $$"
                    % (SHARDS - 1, len(cluster.fdw_workers), number, i))
    client.must("DO $$ BEGIN FOR s IN 0 .. %d LOOP EXECUTE format('CREATE FOREIGN TABLE m%d_%%s PARTITION OF m%d "
                "FOR VALUES WITH (MODULUS %d, REMAINDER %%s) SERVER w%%s OPTIONS (table_name %%L)', s, s, s %% %d, "
                "'m%d_' || s); END LOOP; END $$" % (SHARDS - 1, i, i, SHARDS, len(cluster.fdw_workers), i))


def once_ms(client, sql):
    return client.must(sql).seconds * 1000


def router(i):
    return 'SELECT v FROM m%d WHERE k = 1' % i


def session(cluster, side):
    """First and next router statement of a new session, ms; its memory after one table, and what each more takes, kB."""
    client = cluster.connect(side)
    pid = client.must('SELECT pg_backend_pid()').rows[0][0]
    first = once_ms(client, router(0))
    following = median([once_ms(client, router(0)) for _ in range(5)])
    other = median([once_ms(client, router(i)) for i in range(1, 6)])
    before = own_memory(pid)
    for i in range(6, min(6 + TOUCHED, TABLES)):
        client.must(router(i))
    each = (own_memory(pid) - before) / max(min(TOUCHED, TABLES - 6), 1)
    client.close()
    return first, following, other, each


def metadata(cluster):
    clients = cluster.clients
    note('%d tables x %d shards x 2 placements' % (TABLES, SHARDS))
    clients['cz'].must('SET cz.shard_replication_factor = 2')
    for client in clients.values():
        client.must('SET client_min_messages = error')
    if 'fdw' in clients:
        cluster.fdw_workers = [cluster.connect_to(port, 'fdw') for port in cluster.workers[1:]]
    made = {side: [] for side in clients}
    for i in range(TABLES):
        for side in clients:
            begin = time.time()
            make(cluster, side, i)
            made[side].append((time.time() - begin) * 1000)
    row('  creation of a table', {side: median(times) for side, times in made.items()})
    row('  of the last tenth of them', {side: median(times[-max(TABLES // 10, 1):]) for side, times in made.items()})
    plain = ("SELECT count(*), sum(s) FROM (SELECT c.oid, (SELECT sum(pg_total_relation_size(p.relid)) FROM "
             "pg_partition_tree(c.oid) p) AS s FROM pg_class c WHERE relkind = 'p' AND relname ~ '^m[0-9]+$') x")
    row('  all tables with their sizes (citus_tables)',
        {'plain': once_ms(clients['plain'], plain),
         'cz': once_ms(clients['cz'], 'SELECT count(*), count(table_size) FROM citus_tables')})
    plain = "SELECT count(*), sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname ~ '^m[0-9]+_'"
    row('  all shards with their sizes (citus_shards)',
        {'plain': once_ms(clients['plain'], plain),
         'cz': once_ms(clients['cz'], 'SELECT count(*), sum(shard_size) FROM citus_shards')})
    row('  all placements (pg_dist_placement)',
        {'plain': once_ms(clients['plain'], plain.replace(', sum(pg_total_relation_size(oid))', '')),
         'cz': once_ms(clients['cz'], 'SELECT count(*) FROM pg_dist_placement')})
    row('  shards of one table with their sizes',
        {'plain': once_ms(clients['plain'], "SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree('m1') p"),
         'cz': once_ms(clients['cz'], "SELECT count(*), sum(shard_size) FROM citus_shards WHERE table_name = 'm1'::regclass")})
    row('  cz_nodes', {'cz': once_ms(clients['cz'], 'SELECT * FROM cz_nodes')})
    row('  plan of a rebalance', {'cz': once_ms(clients['cz'], 'SELECT count(*) FROM get_rebalance_table_shards_plan()')})
    figures = {side: [session(cluster, side) for _ in range(3)] for side in clients}
    for number, name in enumerate(('first router statement of a session', 'the same again', 'the first of another table')):
        row('  ' + name, {side: median([f[number] for f in figures[side]]) for side in clients},
            absolute=(4, .12, None)[number])
    row('  memory of a session for each table', {side: median([f[3] for f in figures[side]]) for side in clients}, 'kB')
