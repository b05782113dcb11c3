# Who asks only whether there is such a row reads no further than the answer: EXISTS asks each shard
# for one row, rows for = ANY and > ALL are handed out before their fragment is complete, though it
# may still move to another placement; then it starts again there, as no row counts twice.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 4\ncz.worker_timeout = '3s'\n");
$cluster->sql(q{
CREATE TABLE t (k int, pad text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series(1, 40000) i;
ANALYZE t;
CREATE TABLE tiny (a int, b int);
SELECT create_distributed_table('tiny', 'a');
INSERT INTO tiny VALUES (1, 2), (2, 3), (3, 4);
ANALYZE tiny;
CREATE FUNCTION waits(k int) RETURNS int LANGUAGE plpgsql AS
  'BEGIN IF current_setting(''answers.waited'', true) IS DISTINCT FROM ''yes'' THEN PERFORM set_config(''answers.waited'', ''yes'', false);
   PERFORM pg_advisory_lock_shared(24); END IF; RETURN k; END';
});

# what EXPLAIN ANALYZE says: rows of fragments that came to their end, and the most connections of a worker
sub rows_read
{
	my ($query) = @_;
	my $plan = $cluster->sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $query");
	my $rows = 0;
	$rows += $1 while $plan =~ /Remote: fragments=\d+ rows=(\d+)/g;
	return $rows;
}

note 'no more is read than the answer needs';
my %queries = (
	'EXISTS' => 'SELECT EXISTS (SELECT * FROM t)',
	'EXISTS, two tables' => 'SELECT EXISTS (SELECT FROM t a JOIN t b USING (k))',
	'EXISTS, a set operation' => 'SELECT EXISTS (SELECT k FROM t EXCEPT SELECT k FROM t WHERE k < 20000)',
	'NOT EXISTS in WHERE' => "SELECT count(*) FROM tiny WHERE NOT EXISTS (SELECT FROM t WHERE pad <> '')",
	'> ALL' => 'SELECT 1 > ALL (SELECT k FROM t)',
	'= ANY of a join' => "SELECT 'x' <> ANY (SELECT a.pad FROM t a JOIN t b USING (k))");
foreach my $name (sort keys %queries)
{
	# libpq 17 gives out long results by up to 64 rows, of each shard
	cmp_ok(rows_read($queries{$name}), '<=', $name =~ /ANY|ALL/ ? 256 : 20, $name);
}
my ($status, $out, $err) = $cluster->try_sql('SELECT (SELECT k FROM t)');
is($status, 3, 'a value of several rows is an error');
like($err, qr/more than one row/, 'which is told as ever');

note 'small scans share one connection of each worker';
{
	# on a slow machine a scan may take so long that a second connection is worth it
	my $plan = $cluster->sql('SET cz.slow_start_interval = 2000; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM tiny a, tiny b, tiny c, tiny d, tiny e');
	my @connections = $plan =~ /Node: .* connections=(\d+)/g;
	ok(@connections >= 5, 'five scans');
	is(scalar(grep { $_ > 1 } @connections), 0, 'no scan opens a second connection') or diag($plan);
	is($cluster->sql('SELECT count(*) FROM tiny a, tiny b, tiny c, tiny d, tiny e'), 243, 'their rows');
}

note 'rows that have no columns are rows';
{
	my $name = $cluster->server_name(1);
	$cluster->sql("CREATE FUNCTION cz_test_count_rows(server_name text, query text) RETURNS int LANGUAGE c AS 'cz_fdw'");
	is($cluster->sql("SELECT cz_test_count_rows('$name', 'SELECT FROM generate_series(1, $_)')"), $_, "$_ of them") foreach 0, 1, 5;
	is($cluster->sql("SELECT cz_test_count_rows('$name', 'SELECT 1 FROM generate_series(1, 5)')"), 5, 'as those that have');
}

note 'a worker is killed when rows of its fragment were seen';
my $failed = 0;
foreach my $i (1, 2)
{
	my $held = $cluster->hold('SELECT pg_advisory_lock(24);');
	my $handle = $cluster->start_sql("SELECT -1 IN (SELECT waits(k) FROM t WHERE pad <> ''), 50000 > ALL (SELECT k FROM t);");
	for (1 .. 200)
	{
		last if $cluster->sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 24 AND NOT granted") eq '1';
		select undef, undef, undef, 0.1;
	}
	$cluster->kill_worker($i);
	$cluster->release($held);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, "worker $i killed: the statement completes") or diag($err);
	is($out, 'f|t', "worker $i killed: its answers");
	$failed++ if $err =~ /WARNING.*failed/;
	$cluster->restart_worker($i);
}
ok($failed > 0, 'a WARNING told of it');
$cluster->stop;
done_testing();
