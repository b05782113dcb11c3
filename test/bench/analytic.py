"""The analytic, loading and streaming rows of the benchmark."""
import threading

from common import ROWS, STREAM_ROWS, Client, drain, median, note, own_memory, row

FIFTH = ROWS // 5
FEW = ROWS // 100
FILL = "TRUNCATE goal; INSERT INTO goal SELECT i, i, 'goal ' || i FROM generate_series(1, %d) i; ANALYZE goal" % (FEW * 3)
COPIES = 3      # of the narrow rows, whose median counts: the first one has to make files of WAL
# name, statement, the ratio to plain PostgreSQL that must be reached
QUERIES = [
    ('count(*)', 'SELECT count(*) FROM events', 1.2),
    ('count, filter on another column', 'SELECT count(*) FROM events WHERE n = 77', 1.4),
    ('group by a non-key column', 'SELECT kind, count(*), sum(n) FROM events GROUP BY kind', 1.3),
    ('aggregate of a jsonb field by kind', "SELECT kind, avg((data->>'v')::int) FROM events GROUP BY kind", 1.1),
    ('group by key, top 10', 'SELECT tenant_id, sum(n) FROM events GROUP BY tenant_id ORDER BY 2 DESC, 1 LIMIT 10', 1.0),
    ('group by key, rank of all groups', 'SELECT max(r), count(*) FROM (SELECT rank() OVER (ORDER BY sum(n)) r FROM events GROUP BY tenant_id '
     'HAVING count(*) > 1) x', 1.0),
    ('count(distinct non-key)', 'SELECT count(DISTINCT n) FROM events', 1.5),
    ('count(distinct expression)', 'SELECT count(DISTINCT id / 10) FROM events', 1.5),
    ('top 10', 'SELECT id, n FROM events ORDER BY n DESC, id LIMIT 10', 1.4),
    ('colocated join and aggregate', 'SELECT u.grp, count(*) FROM events e JOIN users u USING (tenant_id) GROUP BY 1', 1.1),
    ('join on another column', 'SELECT count(*) FROM events e JOIN labels l ON l.id = e.n', 2.0),
    ('join on another column, both large',
     'SELECT count(*) FROM events a JOIN events b ON a.id = b.n WHERE b.id <= %d' % FIFTH, 2.0),
    ('percentile', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM events', 1.6),
    ('window by key', 'SELECT max(r) FROM (SELECT rank() OVER (PARTITION BY tenant_id ORDER BY n) r FROM events) x', .40),
    ('EXISTS', 'SELECT EXISTS (SELECT * FROM events)', None),
    ('> ALL, known by the first row', 'SELECT 0 > ALL (SELECT id FROM events)', None),
    ('%d rows to the client' % FIFTH, 'SELECT id, tenant_id, kind FROM events WHERE id <= %d' % FIFTH, 1.5),
]
# name, statement, what to run before each time, ratio
WRITES = [
    ('UPDATE of %d rows' % FIFTH, 'UPDATE events SET n = n + 1 WHERE id <= %d' % FIFTH, None, .65),
    ('INSERT..SELECT, same key', 'INSERT INTO events_copy SELECT * FROM events WHERE id <= %d' % FIFTH,
     'TRUNCATE events_copy', .55),
    ('INSERT..SELECT, another key', 'INSERT INTO by_n SELECT n, tenant_id, id FROM events WHERE id <= %d' % (FIFTH // 2),
     'TRUNCATE by_n', 2.0),
    ('MERGE, %d rows there and %d new' % (FEW * 2, FEW),
     'MERGE INTO goal g USING origin o ON g.k = o.k WHEN MATCHED THEN UPDATE SET v = g.v + o.v, t = o.t '
     'WHEN NOT MATCHED THEN INSERT VALUES (o.k, o.v, o.t)', FILL, None),
    ('UPDATE of %d rows from another table' % (FEW * 2), 'UPDATE goal SET v = goal.v + o.v FROM origin o WHERE goal.k = o.k', FILL, None),
    ('DELETE of %d rows by another table' % (FEW * 2), 'DELETE FROM goal USING origin o WHERE goal.k = o.k', FILL, None),
    ('DELETE of %d rows by a condition' % (FEW * 3), 'DELETE FROM goal WHERE v > 0', FILL, None),
]


def load(cluster):
    events = 'id bigint, tenant_id int, kind text, n int, data jsonb'
    cluster.table('events', events, 'tenant_id', 'tenant_id')
    cluster.table('events_copy', events, 'tenant_id')
    cluster.table('by_n', 'n int, tenant_id int, id bigint', 'n')
    cluster.table('users', 'tenant_id int PRIMARY KEY, grp int, name text', 'tenant_id')
    cluster.table('labels', 'id int, label text', 'id')
    kinds = ['click', 'view', 'buy', 'refund']
    lines = ''.join('%d\t%d\t%s\t%d\t{"v": %d}\n' % (i, i * 7919 % 20000, kinds[i * 31 % 4], i * 104729 % 10007, i % 1000)
                    for i in range(1, ROWS + 1)).encode()
    narrow = ''.join('%d\t%d\t%d\n' % (i, i % 1000, i) for i in range(1, ROWS + 1)).encode()
    users = ''.join('%d\t%d\tuser %d\n' % (i, i % 17, i) for i in range(20000)).encode()
    labels = ''.join('%d\tlabel %d\n' % (i, i) for i in range(10007)).encode()
    narrow_s, events_s, analyze_s = {}, {}, {}
    for side, client in cluster.clients.items():
        copies = []
        for _ in range(COPIES):
            copies.append(client.must('COPY by_n FROM STDIN', copy_data=narrow).seconds)
            client.must('TRUNCATE by_n')
        narrow_s[side] = median(copies)
        events_s[side] = client.must('COPY events FROM STDIN', copy_data=lines).seconds
        client.must('COPY users FROM STDIN', copy_data=users)
        client.must('COPY labels FROM STDIN', copy_data=labels)
        analyze_s[side] = client.must('VACUUM ANALYZE events').seconds
        client.must('ANALYZE users')
        client.must('ANALYZE labels')
    cluster.vacuum()
    row('COPY of %d narrow rows' % ROWS, narrow_s, 's', .80)
    row('COPY of %d events with jsonb' % ROWS, events_s, 's', .60)
    row('VACUUM ANALYZE of them', analyze_s, 's', 1.0)


def queries(cluster):
    for name, sql, bar in QUERIES:
        row(name, cluster.measure(sql), bar=bar)
    cluster.table('few', 'a int, b int, c int', 'c')
    cluster.each('INSERT INTO few VALUES (51, 14, 96), (85, 5, 59), (91, 47, 68)')
    cluster.each('ANALYZE few')
    row('five tables of three rows, no condition', cluster.measure('SELECT * FROM few a, few b, few c, few d, few e'))
    sql = 'SELECT id, tenant_id, kind, n FROM events'
    seconds, first, memory = {}, {}, {}
    for side, client in cluster.clients.items():
        runs = [drain(client, sql) for _ in range(3)]
        seconds[side] = median([run[0] for run in runs if run])
        first[side] = median([run[1] * 1000 for run in runs if run])
        memory[side] = peak_memory(cluster, side, sql)
    row('%d rows to the client' % ROWS, seconds, 's', absolute=1.0 * ROWS / 1000000)
    row('  first row', first, absolute=20)
    row('  private memory', memory, 'MB', absolute=16)


def writes(cluster):
    for table in ('goal', 'origin'):
        cluster.table(table, 'k int PRIMARY KEY, v int, t text', 'k')
    cluster.each("INSERT INTO origin SELECT i, i, 'origin ' || i FROM generate_series(%d, %d) i" % (FEW + 1, FEW * 4))
    cluster.each('ANALYZE origin')
    for name, sql, before, bar in WRITES:
        row(name, cluster.measure(sql, 3, before), bar=bar)


def peak_memory(cluster, side, sql):
    """MB by which a backend's own memory grows, at most, while the rows of sql pass through it."""
    reader = cluster.connect(side)
    reader.must('SELECT count(*) FROM events WHERE id < 100')
    pid = reader.must('SELECT pg_backend_pid()').rows[0][0]
    start = own_memory(pid)
    peak = [start]
    done = threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], own_memory(pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    drain(reader, sql)
    done.set()
    watcher.join()
    reader.close()
    return (peak[0] - start) / 1024.0


def streaming(cluster):
    """Peak of the backend's own memory while many rows pass through it."""
    cluster.table('wide', 'id int, v text', 'id')
    cluster.each("INSERT INTO wide SELECT i, 'value number ' || i FROM generate_series(1, %d) i" % STREAM_ROWS)
    sql = 'SELECT id, v FROM wide'
    row('%d rows to the client' % STREAM_ROWS, cluster.measure(sql, 1), 'ms', 1.5)
    row('  private memory', {side: peak_memory(cluster, side, sql) for side in cluster.clients}, 'MB', absolute=16)
