# A worker fails before or in the middle of a SELECT: with two placements of every shard the
# statement completes with the right answer and a WARNING that names the worker.
#
#   coordinator -- worker1   killed
#               -- worker2   frozen (SIGSTOP)
#               -- proxy -- worker3   cut from the network
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3, proxied => [3],
	# a round of recovery would notice the failure first, and the worker be avoided without a word
	conf => "cz.shard_count = 16\ncz.worker_timeout = '2s'\ncz.connect_timeout = '2s'\ncz.recovery_interval = -1\n");
$cluster->sql(q{
CREATE TABLE t (k int, v int, pad text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i % 100, repeat('x', 200) FROM generate_series(1, 20000) i;
CREATE TABLE u (k int, w int);
SELECT create_distributed_table('u', 'k');
INSERT INTO u SELECT i, i FROM generate_series(1, 20000, 3) i;
CREATE TABLE r (id int PRIMARY KEY, name text);
SELECT create_reference_table('r');
INSERT INTO r SELECT i, 'name ' || i FROM generate_series(0, 99) i;
});

my %queries = (
	'aggregate' => 'SELECT count(*), sum(v), sum(k) FROM t',
	'group' => 'SELECT v % 3, count(*), sum(length(pad)) FROM t GROUP BY 1 ORDER BY 1',
	'join' => 'SELECT count(*), sum(t.v + u.w) FROM t JOIN u USING (k)',
	'reference join' => 'SELECT count(*), max(name) FROM t JOIN r ON r.id = t.v',
	'rows' => 'SELECT k, v FROM t WHERE v < 40 ORDER BY k',
	'top' => 'SELECT k FROM t ORDER BY v DESC, k LIMIT 5',
	'window' => 'SELECT sum(x) FROM (SELECT rank() OVER (PARTITION BY k ORDER BY v) AS x FROM t) y',
	'router' => 'SELECT v FROM t WHERE k IN (1, 2, 3, 4, 5, 6, 7, 8, 9) ORDER BY k');
my %expected = map { $_ => $cluster->sql($queries{$_}) } keys %queries;
like($expected{aggregate}, qr/^20000\|/, 'all rows are there');

# Runs all queries while worker $i is out of order; at least one must have warned of it.
sub check_all
{
	my ($what, $i, $max_seconds) = @_;
	my $name = $cluster->server_name($i);
	my $warned = 0;
	foreach my $query (sort keys %queries)
	{
		my ($status, $out, $err, $seconds) = $cluster->try_sql($queries{$query}, timeout => 60);
		is($status, 0, "$what: $query completes") or diag($err);
		ok($out eq $expected{$query}, "$what: $query has the right answer") or diag($err);
		cmp_ok($seconds, '<', $max_seconds, "$what: $query is not slow");
		$warned++ if $err =~ /WARNING.*\Q$name\E/s;
	}
	ok($warned, "$what: a WARNING names $name");
	return;
}

# Starts a query while worker $i is frozen, so that its fragments are under way, then fails it.
sub check_during
{
	my ($what, $i, $fail) = @_;
	my $name = $cluster->server_name($i);
	foreach my $query (sort keys %queries)
	{
		next if $query eq 'router';
		# a worker that failed lately is avoided for a while: wait until it is in use
		for (1 .. 100)
		{
			last if $cluster->sql("EXPLAIN (ANALYZE, COSTS OFF) $queries{$query}") =~ /Node: \Q$name\E:/;
			sleep 0.2;
		}
		$cluster->freeze_worker($i);
		my $handle = $cluster->start_sql("SET cz.worker_timeout = '20s'; $queries{$query}");
		sleep 0.5;
		$fail->();
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		is($status, 0, "$what: $query completes") or diag($err);
		ok($out eq $expected{$query}, "$what: $query has the right answer") or diag($err);
		like($err, qr/WARNING.*\Q$name\E/s, "$what: $query warns of $name");
		$cluster->restart_worker($i);
	}
	return;
}

note 'kill -9 before';
$cluster->kill_worker(1);
check_all('killed before', 1, 40);
$cluster->restart_worker(1);

note 'kill -9 in the middle';
check_during('killed during', 1, sub { $cluster->kill_worker(1) });

note 'kill -9 between two FETCHes';
{
	my $handle = $cluster->start_halting(q{
BEGIN;
DECLARE c CURSOR FOR SELECT k, pad FROM t;
FETCH 5 FROM c;
}, q{
CREATE TEMP TABLE got (k int);
DO $$ DECLARE r record; c refcursor := 'c'; BEGIN LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; INSERT INTO got VALUES (r.k); END LOOP; END $$;
SELECT 'rows ' || count(*) || ' ' || count(DISTINCT k) FROM got;
COMMIT;
});
	$cluster->kill_worker(1);
	$cluster->go_on($handle);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, 'cursor completes') or diag($err);
	like($out, qr/^rows 19995 19995$/m, 'cursor gives every row once') or diag($err);
	$cluster->restart_worker(1);
}

note 'SIGSTOP';
$cluster->freeze_worker(2);
check_all('frozen', 2, 40);
$cluster->thaw_worker(2);
is($cluster->sql($queries{join}), $expected{join}, 'thawed worker answers again');

note 'cut from the network';
$cluster->cut_worker(3);
check_all('cut', 3, 40);
$cluster->heal_worker(3);
$cluster->reset_worker(3);
is($cluster->sql($queries{group}), $expected{group}, 'healed worker answers again');

note 'a busy worker is not a dead one';
{
	my $shard = $cluster->worker_sql(1,
		"SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
		  . "WHERE nspname = 'cz_shards' AND relkind = 'r' AND relname LIKE 't\\_%' ORDER BY 1 LIMIT 1");
	my @shards = split /\n/, $cluster->worker_sql(1,
		"SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
		  . "WHERE nspname = 'cz_shards' AND relkind = 'r' AND relname LIKE 't\\_%'");
	my $lock = { in => 'BEGIN; LOCK ' . join(', ', @shards) . ' IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6);', out => '', err => '' };
	my $run = IPC::Run::start([ "$ENV{CZ_BINDIR}/psql", '-XAtq', '-h', '127.0.0.1', '-p',
		$cluster->worker(1)->port, '-U', 'postgres', 'postgres' ], '<', \$lock->{in}, '>', \$lock->{out}, '2>', \$lock->{err});
	sleep 0.5;
	my ($status, $out, $err) = $cluster->try_sql($queries{aggregate});
	is($out, $expected{aggregate}, 'a locked shard is waited for');
	unlike($err, qr/WARNING/, 'no warning of a busy worker');
	$run->finish;
}

note 'one placement only';
$cluster->sql(q{
SET cz.shard_replication_factor = 1;
CREATE TABLE single (k int, v int);
SELECT create_distributed_table('single', 'k', colocate_with => 'none');
INSERT INTO single SELECT i, i FROM generate_series(1, 1000) i;
});
is($cluster->sql('SELECT count(*) FROM single'), '1000', 'factor 1: all rows');
$cluster->kill_worker(1);
{
	my ($status, $out, $err) = $cluster->try_sql('SELECT count(*) FROM single');
	is($status, 3, 'factor 1: an error, not a wrong answer');
	like($err, qr/ERROR:\s+08/, 'factor 1: class 08');
	($status, $out, $err) = $cluster->try_sql('SELECT 1 / (k - k) FROM t');
	like($err, qr/ERROR:\s+22012/, 'an error of the query is reported once, as itself');
}
$cluster->restart_worker(1);
is($cluster->sql('SELECT count(*) FROM single'), '1000', 'factor 1: back again');

$cluster->stop;
done_testing();
