# Statistics come by themselves: the background worker analyzes a parent that has changed
# enough, passes over tables with shards that can't be reached, gives way to DDL, and stays
# away when told to.  A manual ANALYZE works while a worker is down, if each shard has
# another placement.
#
#   coordinator -- worker1, worker2, worker3 (killed)
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 8\ncz.connect_timeout = '1s'\ncz.auto_analyze = on\n"
	  . "cz.auto_analyze_interval = '200ms'\n");

sub reltuples { return $cluster->sql("SELECT reltuples::bigint FROM pg_class WHERE oid = '$_[0]'::regclass"); }

sub wait_for
{
	my ($sql, $what, $seconds) = @_;
	my $end = time + ($seconds // 120);
	while (time < $end)
	{
		return pass($what) if $cluster->sql($sql) eq 't';
		sleep 0.1;
	}
	return fail($what);
}

# 1. a table that is distributed with its rows has statistics at once, and so have its shards
$cluster->sql(q{
CREATE TABLE full_one (k int, v int);
INSERT INTO full_one SELECT i, i % 10 FROM generate_series(1, 10000) i;
SELECT create_distributed_table('full_one', 'k');
});
is(reltuples('full_one'), 10000, 'rows of a table that was distributed full');
is($cluster->sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 'full_one' AND attname = 'v' AND inherited}),
	10, 'statistics of a table that was distributed full');
is($cluster->worker_sql(1, q{SELECT count(DISTINCT tablename) > 0 AND min(n_distinct) = 10 AND max(n_distinct) = 10
	FROM pg_stats WHERE schemaname = 'cz_shards' AND attname = 'v'}), 't', 'statistics of its shards');

# 2. one that is filled later gets them
$cluster->sql(q{
CREATE TABLE t (k int, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 20000) i;
});
wait_for(q{SELECT reltuples BETWEEN 19000 AND 21000 FROM pg_class WHERE oid = 't'::regclass}, 'filled table is analyzed');
is($cluster->sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'v' AND inherited}),
	7, 'with statistics of its columns');
wait_for(q{SELECT count(*) = 2 FROM cz.analyzed_tables}, 'both tables are known');

# 3. little change, no ANALYZE; more of it, ANALYZE
# (what workers count of writes arrives late: it may still be worth an ANALYZE, but not each time)
my $checked_at = q{SELECT checked_at FROM cz.analyzed_tables WHERE relid = 't'::regclass};
my ($last, $now) = ('', 'unknown');
for (my $i = 0; $i < 10 && $last ne $now; $i++)
{
	$last = $cluster->sql($checked_at);
	$cluster->sql('INSERT INTO t SELECT i, i FROM generate_series(1, 100) i');
	sleep 2;
	$now = $cluster->sql($checked_at);
}
is($now, $last, 'little change is not worth it');
$cluster->sql('INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 20000) i');
wait_for(q{SELECT reltuples > 38000 FROM pg_class WHERE oid = 't'::regclass}, 'more change is');

# 4. nobody waits for it: who has a lock keeps it, who wants one gets it
my $holder = $cluster->start_sql(q{BEGIN; LOCK TABLE t; SELECT pg_sleep(600); COMMIT});
$cluster->coordinator->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted});
$cluster->sql(q{INSERT INTO full_one SELECT i, i % 20 FROM generate_series(1, 30000) i});
wait_for(q{SELECT reltuples > 38000 FROM pg_class WHERE oid = 'full_one'::regclass}, 'another table is locked: goes on');
$cluster->sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock'});
$cluster->finish_sql($holder, 30);
my $start = time;
$cluster->sql('ALTER TABLE t ADD COLUMN w int') for 1;
cmp_ok(time - $start, '<', 60, 'DDL does not wait');

# 5. a worker is down: the background worker goes on with what it can reach, ANALYZE by hand
# with what there is
$cluster->sql(q{
CREATE TABLE single (k int, v int);
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('single', 'k', colocate_with => 'none');
INSERT INTO single SELECT i, i FROM generate_series(1, 1000) i;
});
wait_for(q{SELECT reltuples = 1000 FROM pg_class WHERE oid = 'single'::regclass}, 'a table with one placement a shard');
$cluster->worker(3)->stop('immediate');
my ($status, $out, $err) = $cluster->try_sql('ANALYZE t');
is($status, 0, 'ANALYZE with a worker down') or diag($err);
like($err, qr/WARNING:.*could not reach node/, 'and a warning');
($status, $out, $err) = $cluster->try_sql('ANALYZE single');
is($status, 3, 'ANALYZE of a table with unreachable shards fails');
like($err, qr/could not reach any placement of shard/, 'and says why');
($status, $out, $err) = $cluster->try_sql('VACUUM');
is($status, 0, 'VACUUM of the database with a worker down') or diag($err);
$cluster->worker(3)->start;
$cluster->sql(q{INSERT INTO single SELECT i, i FROM generate_series(1, 5000) i});
wait_for(q{SELECT reltuples = 6000 FROM pg_class WHERE oid = 'single'::regclass}, 'the worker is back');

# 6. all of the database: the shards too
$cluster->sql('VACUUM');
$cluster->sql('ANALYZE');
is($cluster->worker_sql(3, 'SELECT count(*) > 0 AND bool_and(last_vacuum IS NOT NULL AND last_analyze IS NOT NULL)
	FROM pg_stat_user_tables'), 't', 'VACUUM and ANALYZE of the database');

# 7. a partitioned table: workers count what is written to its partitions
$cluster->sql(q{
CREATE TABLE ev (k int, t int) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i, i % 20 FROM generate_series(1, 10000) i;
});
wait_for(q{SELECT reltuples BETWEEN 9000 AND 11000 FROM pg_class WHERE oid = 'ev'::regclass}, 'a partitioned table is analyzed');
is($cluster->sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 'ev' AND attname = 't' AND inherited}), 20,
	'with statistics of its columns');
is($cluster->sql(q{SELECT reltuples BETWEEN 4000 AND 6000 FROM pg_class WHERE oid = 'ev2'::regclass}), 't',
	'and rows of its partitions');
$cluster->sql('INSERT INTO ev2 SELECT i, i % 10 + 10 FROM generate_series(1, 10000) i');
wait_for(q{SELECT reltuples BETWEEN 18000 AND 22000 FROM pg_class WHERE oid = 'ev'::regclass}, 'and again when one has changed');

# 8. off is off
$cluster->alter_system('SET cz.auto_analyze = off');
# a round that has begun before comes to its end
sleep 3;
$cluster->sql(q{CREATE TABLE off (k int); SELECT create_distributed_table('off', 'k');
INSERT INTO off SELECT generate_series(1, 5000)});
sleep 1;
cmp_ok(reltuples('off'), '<=', 0, 'off is off');
$cluster->sql('DROP TABLE off');

done_testing();
