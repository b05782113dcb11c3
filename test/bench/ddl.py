"""DDL on tables with rows: ALTER TYPE, ADD COLUMN, CREATE INDEX, partitions, by numbers of shards."""
import os
import time

from common import ROWS, median, note

DDL_ROWS = int(os.environ.get('BENCH_DDL_ROWS', ROWS))
DDL_SHARDS = [int(n) for n in os.environ.get('BENCH_DDL_SHARDS', '32,256').split(',')]
DDL_FACTOR = int(os.environ.get('BENCH_DDL_FACTOR', 2))
DDL_RUNS = int(os.environ.get('BENCH_DDL_RUNS', 3))

STATEMENTS = (
    ('ALTER TYPE int to bigint', 'ALTER TABLE ddl ALTER v TYPE bigint'),
    ('ALTER TYPE USING, volatile', 'ALTER TABLE ddl ALTER v TYPE bigint USING v + (random() * 0)::int'),
    ('ADD COLUMN DEFAULT 1', 'ALTER TABLE ddl ADD n int DEFAULT 1'),
    ('ADD COLUMN DEFAULT random()', 'ALTER TABLE ddl ADD n float8 DEFAULT random()'),
    ('ADD COLUMN bigserial', 'ALTER TABLE ddl ADD n bigserial'),
    ('SET NOT NULL', 'ALTER TABLE ddl ALTER v SET NOT NULL'),
    ('ADD CHECK', 'ALTER TABLE ddl ADD CHECK (v >= 0)'),
    ('DROP COLUMN', 'ALTER TABLE ddl DROP COLUMN w'),
    ('CREATE INDEX', 'CREATE INDEX ON ddl (v)'),
    ('CREATE of a partition', 'CREATE TABLE ddl_month_4 PARTITION OF ddl_months FOR VALUES IN (4)'),
    ('DROP of a partition', 'DROP TABLE ddl_month_1'),
    ('DETACH of a partition', 'ALTER TABLE ddl_months DETACH PARTITION ddl_month_1'),
    ('ADD COLUMN, four partitions', 'ALTER TABLE ddl_months ADD n int'),
)


def make(client, shards):
    client.must('DROP TABLE IF EXISTS ddl, ddl_months')
    client.must('CREATE TABLE ddl (k int, v int, w text, PRIMARY KEY (k))')
    client.must('CREATE TABLE ddl_months (k int, month int, w text, PRIMARY KEY (k, month)) PARTITION BY LIST (month)')
    if shards:
        client.must('SET cz.shard_replication_factor = %d' % DDL_FACTOR)
        for table in ('ddl', 'ddl_months'):
            client.must("SELECT create_distributed_table('%s', 'k', shard_count => %d)" % (table, shards))
    for month in range(4):
        client.must('CREATE TABLE ddl_month_%d PARTITION OF ddl_months FOR VALUES IN (%d)' % (month, month))
    client.must("INSERT INTO ddl SELECT i, i, 'w' || i FROM generate_series(1, %d) i" % DDL_ROWS)
    client.must("INSERT INTO ddl_months SELECT i, i %% 4, 'w' || i FROM generate_series(1, %d) i" % DDL_ROWS)


def statement_ms(client, sql):
    """Median of several runs, each rolled back."""
    times = []
    for _ in range(DDL_RUNS):
        client.must('BEGIN')
        begin = time.time()
        client.must(sql)
        times.append((time.time() - begin) * 1000)
        client.must('ROLLBACK')
    return median(times)


def ddl(cluster):
    """Not a comparison of what users feel alone: rolled back, so without the commit."""
    sides = [('plain', cluster.clients['plain'], 0)]
    sides += [('%d x %d' % (shards, DDL_FACTOR), cluster.clients['cz'], shards) for shards in DDL_SHARDS]
    found = {}
    for name, client, shards in sides:
        make(client, shards)
        for title, sql in STATEMENTS:
            found[name, title] = statement_ms(client, sql)
        client.must('DROP TABLE ddl, ddl_months')
    note('%-32s' % ('ms, %d rows' % DDL_ROWS) + ''.join('%18s' % name for name, _, _ in sides))
    for title, _ in STATEMENTS:
        plain = found['plain', title]
        note('%-32s' % title + ''.join('%10.1f %7s' % (found[name, title], '' if name == 'plain' else
                                                     '(%.2f)' % (found[name, title] / plain))
                                      for name, _, _ in sides))
