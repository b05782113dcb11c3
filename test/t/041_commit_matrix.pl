# Each step of a commit on several placements, and each way to fail there: afterwards what was
# acknowledged is on all active placements, what was not is there as a whole or not at all,
# placements are equal, nothing stays prepared, and writes go on.
#
#	coordinator -- worker 1
#	            -- proxy -- worker 2: first placement of the rows written
#	            -- worker 3: second placement
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [2],
	conf => "cz.shard_count = 4\ncz.worker_timeout = '700ms'\ncz.connect_timeout = '700ms'\ncz.recovery_interval = -1\nrestart_after_crash = on\n");
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_reference_table('r');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 3) i;
});

# keys whose placements are on workers 2 and 3, in this order
my $keys = join ',', split /\n/, $cluster->sql("SELECT k FROM t JOIN cz.placement_list() p "
	  . "ON p.shard_id = get_shard_id_for_distribution_column('t', k) AND p.position = 0 JOIN pg_foreign_server s ON s.oid = p.server_oid "
	  . "WHERE 'port=" . $cluster->port(2) . "' = ANY (s.srvoptions) ORDER BY k");
my ($key) = split /,/, $keys;

sub wait_for_coordinator
{
	for (1 .. 300)
	{
		my ($status, $out) = $cluster->try_sql('SELECT 1');
		return if $status == 0;
		sleep 0.1;
	}
	die 'the coordinator does not come back';
}

sub kill_coordinator
{
	my $file = $cluster->coordinator->data_dir . '/postmaster.pid';
	open my $fh, '<', $file or die "$file: $!";
	chomp(my $pid = <$fh>);
	kill 'KILL', $pid, split ' ', `pgrep -P $pid`;
	$cluster->coordinator->{_pid} = undef;
	sleep 0.3;
	my $node = $cluster->coordinator;
	unlink $file, glob($node->host . '/.s.PGSQL.' . $node->port . '*');
	return;
}

my %events = (
	'backend killed' => [ sub { kill 'KILL', $cluster->sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'") }, \&wait_for_coordinator ],
	'coordinator crash' => [ \&kill_coordinator, sub { $cluster->coordinator->start } ],
	'P killed' => [ sub { $cluster->kill_worker(2) }, sub { $cluster->restart_worker(2) } ],
	'S killed' => [ sub { $cluster->kill_worker(3) }, sub { $cluster->restart_worker(3) } ],
	'P stopped' => [ sub { $cluster->freeze_worker(2) }, sub { $cluster->thaw_worker(2) } ],
	'reset' => [ sub { $cluster->reset_worker(2); sleep 0.2 }, sub { } ],
	'cancel' => [ sub { $cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'") }, sub { } ]);

# Runs $sql, which stops at $point, there the event; returns whether it was acknowledged
sub fail_at
{
	my ($what, $point, $event, $sql) = @_;
	my ($strike, $mend) = @{ $events{$event} };
	my $handle = $cluster->start_at($point, "SET application_name = 'victim'; $sql");
	$strike->();
	$cluster->go unless $event eq 'coordinator crash' || $event eq 'backend killed';
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	$mend->();
	note("$what: $status") if $ENV{TEST_VERBOSE};
	return ($status == 0, $err);
}

# All is well again; $state is a query, $before and $after its right results
sub check_after
{
	my ($what, $acknowledged, $state, $before, $after, $err) = @_;
	ok($cluster->wait_for_recovery, "$what: nothing stays prepared");
	my $is = $cluster->sql($state);
	ok($acknowledged ? $is eq $after : $is eq $before || $is eq $after, "$what: all of it or nothing is there")
	  or diag(($acknowledged ? '' : 'not ') . "acknowledged, $before, $after: $is\n$err");
	ok($cluster->repair, "$what: placements are made whole");
	is($cluster->differing_placements, '', "$what: placements are equal");
	is($cluster->sql($state), $is, "$what: and nothing has changed by that");
	return;
}

note 'the first placement decides';
# points at which these events must not fail the transaction
my %must = (
	'P killed' => 'p_commit_sent p_committed s_commit_sent',
	'P stopped' => 'p_commit_sent p_committed s_commit_sent',
	'reset' => 'p_commit_sent p_committed s_commit_sent',
	'S killed' => 'after_p after_s p_commit_sent p_committed s_commit_sent',
	'cancel' => 'p_commit_sent p_committed s_commit_sent');
my $state = "SELECT sum(v) FROM t WHERE k IN ($keys)";
$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key");
foreach my $point ('after_p', 'after_s', 'p_commit_sent', 'p_committed', 's_commit_sent')
{
	foreach my $event (sort keys %events)
	{
		my $what = "$event at $point";
		# a crash before the commit is that of any transaction
		next if $point =~ /^after/ && $event =~ /crash|backend|cancel/;
		# the shard is dirty, so the next one commits in one phase
		$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key") foreach 1 .. 2;
		my $before = $cluster->sql($state);
		my ($acknowledged, $err) = fail_at($what, $point, $event, "UPDATE t SET v = v + 1 WHERE k = $key");
		ok($acknowledged, "$what: goes on") or diag($err) if ($must{$event} // '') =~ /\b$point\b/;
		check_after($what, $acknowledged, $state, $before, $before + 1, $err);
	}
}

note 'two phases';
my %writes = (
	'multi-shard update' => [ 'UPDATE t SET v = v + 1', 'SELECT sum(v) FROM t', 0 ],
	'COPY' => [ "COPY t FROM STDIN;\n" . join('', map { "NEW$_\t1\n" } 1 .. 50) . "\\.\n", 'SELECT sum(v) FROM t', 50 ],
	'reference write' => [ 'UPDATE r SET v = v + 1', 'SELECT sum(v) FROM r', 3 ]);
my $new = 1000;
foreach my $what (sort keys %writes)
{
	foreach my $case ([ 'after_prepare', 'S killed' ], [ 'after_local_commit', 'P killed' ],
		$what eq 'COPY' ? [ 'before_prepare', 'P killed' ] : $what eq 'reference write' ? [ 'after_local_commit', 'coordinator crash' ] :
		[ 'during_commit_prepared', 'reset' ])
	{
		my ($sql, $query, $added) = @{ $writes{$what} };
		$sql =~ s/NEW(\d+)/$new + $1/ge;
		$new += 100;
		my $before = $cluster->sql($query);
		$added = $cluster->sql('SELECT count(*) FROM t') if $what eq 'multi-shard update';
		my ($acknowledged, $err) = fail_at($what, $case->[0], $case->[1], $sql);
		check_after("$what, $case->[1] at $case->[0]", $acknowledged, $query, $before, $before + $added, $err);
	}
}

note 'a clean restart has nothing to compare';
$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key") foreach 1 .. 2;
$cluster->coordinator->restart;
is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'all placements are active after it');
$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key") foreach 1 .. 2;
kill_coordinator();
$cluster->coordinator->start;
is($cluster->sql('SELECT count(*) > 0 FROM pg_dist_placement WHERE shardstate <> 1'), 't', 'but a crash');
$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '1s'");
$cluster->sql('SELECT pg_reload_conf()');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_dist_placement WHERE shardstate <> 1'),
	'and the maintenance worker compares them');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.dirty_shards'),
	'shards that are not written are clean after a while');

$cluster->stop;
done_testing;
