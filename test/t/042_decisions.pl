# Only first placements are prepared, and none for a reference table, whose first placement is
# the coordinator's own table: the other ones commit in one phase after the decision.  At each
# step a follower, a first placement or the coordinator dies: what was acknowledged is seen at
# once and later, by reads of any placement that counts, and placements are equal in the end.
#
#	shards a: workers 1, 2 (first, second placement); b: 2, 3; c: 3, 1; copies of r on all
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 4\ncz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = -1\nrestart_after_crash = on\n");
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k'), create_reference_table('r');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
	INSERT INTO r VALUES (1, 0), (2, 0);
});

# A key whose first placement is on this worker
my %key = map { $_ => $cluster->sql("SELECT min(k) FROM t JOIN cz.placement_list() p ON p.shard_id = get_shard_id_for_distribution_column('t', k) "
	  . 'AND p.position = 0 JOIN pg_foreign_server s ON s.oid = p.server_oid '
	  . "WHERE 'port=" . $cluster->port($_) . "' = ANY (s.srvoptions)") } 1 .. 3;

# On how many workers something is prepared
sub prepared
{
	return join ' ', map { $cluster->worker_sql($_, 'SELECT count(*) FROM pg_prepared_xacts') } 1 .. 3;
}

my %writes = (
	'two shards' => "UPDATE t SET v = v + 1 WHERE k = $key{1}; UPDATE t SET v = v + 1 WHERE k = $key{2};",
	'copies' => 'UPDATE r SET v = v + 1;',
	'copies and a shard' => "UPDATE r SET v = v + 1; UPDATE t SET v = v + 1 WHERE k = $key{1};");

# Sums as the coordinator's table and each first placement show them, copies by joins on each worker
my $state = "SELECT (SELECT sum(v) FROM t), (SELECT sum(v) FROM r), (SELECT string_agg(v::text, ' ') FROM ("
  . join(' UNION ALL ', map { "SELECT sum(r.v) AS v FROM t JOIN r ON true WHERE t.k = $key{$_}" } 1 .. 3) . ') x)';

note 'what is prepared';
my %prepared = ('two shards' => '1 1 0', 'copies' => '0 0 0', 'copies and a shard' => '1 0 0');
foreach my $what (sort keys %writes)
{
	my $handle = $cluster->start_at('after_prepare', "BEGIN; $writes{$what} COMMIT;");
	is(prepared(), $prepared{$what}, "$what: first placements are prepared");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is("$status $err", '0 ', "$what: committed");
	is($cluster->differing_placements, '', "$what: placements are equal");
}
is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'all placements are active');

note 'failures';
my %events = (
	'worker 1 killed' => [ sub { $cluster->kill_worker(1) }, sub { $cluster->restart_worker(1) } ],
	'worker 3 killed' => [ sub { $cluster->kill_worker(3) }, sub { $cluster->restart_worker(3) } ],
	'coordinator crash' => [ sub { $cluster->kill_coordinator }, sub { $cluster->coordinator->start } ]);
my @cases = (
	[ 'two shards', 'before_prepare', 'worker 3 killed' ],
	[ 'two shards', 'after_prepare', 'coordinator crash' ],
	[ 'two shards', 'after_prepare', 'worker 3 killed', 1 ],
	[ 'two shards', 'after_local_commit', 'worker 3 killed', 1 ],
	[ 'two shards', 'after_local_commit', 'worker 1 killed', 1 ],
	[ 'two shards', 'after_local_commit', 'coordinator crash' ],
	[ 'two shards', 's_commit_sent', 'worker 3 killed', 1 ],
	[ 'two shards', 's_commit_sent', 'coordinator crash' ],
	[ 'copies', 'before_prepare', 'coordinator crash' ],
	[ 'copies', 'after_local_commit', 'worker 3 killed', 1 ],
	[ 'copies', 'during_commit_prepared', 'coordinator crash' ],
	[ 'copies', 'during_commit_prepared', 'worker 3 killed', 1 ],
	[ 'copies and a shard', 'after_local_commit', 'worker 1 killed', 1 ],
	[ 'copies and a shard', 'after_local_commit', 'worker 3 killed', 1 ],
	[ 'copies and a shard', 'during_commit_prepared', 'coordinator crash' ]);
foreach my $case (@cases)
{
	my ($write, $point, $event, $must) = @$case;
	my $what = "$write, $event at $point";
	my ($strike, $mend) = @{ $events{$event} };
	$cluster->await_workers or die 'a worker is not back';
	my $before = $cluster->sql($state);
	my $after = (split /\n/, $cluster->sql("BEGIN; $writes{$write} $state; ROLLBACK"))[-1];
	my $handle = $cluster->start_at($point, "BEGIN; $writes{$write} COMMIT; SELECT 'committed'");
	$strike->();
	$cluster->go unless $event eq 'coordinator crash';
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	my $is_committed = $out =~ /committed/;
	ok($is_committed, "$what: goes on") or diag($err) if $must;

	# not waiting for the node: who is left shows all of it
	if ($is_committed && $event eq 'worker 3 killed')
	{
		my $rest = "SELECT sum(v) FROM t WHERE k IN ($key{1}, $key{2})";
		is($cluster->sql($rest), (split /\|/, $after)[0], "$what: seen at once");
	}
	$mend->();
	ok($cluster->wait_for_recovery, "$what: nothing stays prepared");
	my $is = '';
	for (1 .. 300)
	{
		# copies of a reference table are whole when they have been compared
		my ($rc, $rows, $errors) = $cluster->try_sql($state);
		$is = $rows;
		last if $rc == 0;
		$is = $errors;
		$cluster->try_sql('SELECT cz_repair_placements()');
		sleep 0.1;
	}
	ok($is_committed ? $is eq $after : $is eq $before || $is eq $after, "$what: all of it or nothing is seen")
	  or diag(($is_committed ? '' : 'not ') . "committed, $before, $after: $is\n$err");
	ok($cluster->repair, "$what: placements are made whole");
	is($cluster->differing_placements, '', "$what: placements are equal");
	is($cluster->sql($state), $is, "$what: and nothing has changed by that");
}

note 'a first placement that is given up by somebody else, and the other one dies';
{
	$cluster->await_workers or die 'a worker is not back';
	my $other = $cluster->sql("SELECT min(k) FROM t WHERE k <> $key{2} AND get_shard_id_for_distribution_column('t', k) = get_shard_id_for_distribution_column('t', $key{2})");
	my $after = (split /\n/, $cluster->sql("BEGIN; $writes{'two shards'} $state; ROLLBACK"))[-1];
	my $handle = $cluster->start_at('after_prepare', "BEGIN; $writes{'two shards'} COMMIT; SELECT 'committed'");
	$cluster->kill_worker(2);
	my $second = $cluster->start_sql("UPDATE t SET v = v + 1000000 WHERE k = $other; SELECT 'committed'");
	my $end = time + 60;
	while ($second->{run}->pumpable && time < $end)
	{
		$second->{run}->pump_nb;
		last if $cluster->coordinator->safe_psql('postgres', 'SELECT count(*) FROM pg_locks WHERE objsubid = 25466 AND NOT granted') > 0;
		sleep 0.02;
	}
	$cluster->kill_worker(3);
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	like($out, qr/committed/, 'committed') or diag($err);
	($status, $out, $err) = $cluster->finish_sql($second, 60);
	like($err, qr/ERROR:  (08006|40001)/, 'who gives up the first placement has no other one') or diag("$out$err");
	$cluster->restart_worker($_) for 2, 3;
	ok($cluster->wait_for_recovery, 'nothing stays prepared');
	ok($cluster->repair, 'placements are made whole');
	is($cluster->sql($state), $after, 'what was committed is there');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'a clean restart does not forget what has been missed';
{
	$cluster->await_workers or die 'a worker is not back';
	my $handle = $cluster->start_at('after_local_commit', "BEGIN; $writes{'copies and a shard'} COMMIT;");
	$cluster->kill_worker(3);
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	like($err, qr/WARNING:  08006: placements on node "node_3" are left out: it has not confirmed a commit/, 'a warning');
	is($cluster->sql("SELECT count(*) FROM cz.placement_list() p JOIN pg_foreign_server s ON s.oid = p.server_oid WHERE shard_state <> 1 "
		  . "AND 'port=" . $cluster->port(3) . "' = ANY (s.srvoptions)"), '1', 'the copy is inactive at once');
	$cluster->coordinator->restart;
	$cluster->restart_worker(3);
	isnt($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'and after a restart');
	ok($cluster->repair, 'it is made whole');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'who has seen it here sees it everywhere';
{
	my $now = $cluster->sql('SELECT v FROM r WHERE k = 1') + 1;
	# in the room's queue, or for who is between placements
	my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader' AND state = 'active' AND query NOT LIKE 'SELECT v FROM r %' AND wait_event IS NOT NULL";
	foreach my $read ("SELECT r.v FROM t JOIN r ON r.k = 1 WHERE t.k = KEY",
		"BEGIN; UPDATE t SET v = r.v FROM r WHERE r.k = 1 AND t.k = KEY; SELECT v FROM t WHERE k = KEY; ROLLBACK",
		"BEGIN; SELECT r.v FROM t JOIN r ON r.k = 1 WHERE t.k = KEY FOR UPDATE OF t; COMMIT")
	{
		foreach my $i (1 .. 3)
		{
			my $writer = $cluster->start_at('during_commit_prepared', "UPDATE r SET v = $now");
			my $handle = $cluster->start_sql("SET application_name = 'reader'; SELECT v FROM r WHERE k = 1; " . $read =~ s/KEY/$key{$i}/gr);
			$cluster->coordinator->poll_query_until('postgres', $waiting, '1');
			$cluster->go;
			my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
			is($out, "$now\n$now", "worker $i: $read") or diag($err);
			is(($cluster->finish_sql($writer, 60))[0], 0, "worker $i: the writer commits");
			$now++;
		}
	}

	# the same session, at once; and another one that never sees it fall
	my $reader = $cluster->start_sql("DO \$\$ DECLARE a int; b int; BEGIN FOR i IN 1 .. 300 LOOP SELECT v INTO a FROM r WHERE k = 1; "
		  . "EXECUTE format('SELECT r.v FROM t JOIN r ON r.k = 1 WHERE t.k = %s', (ARRAY[$key{1}, $key{2}, $key{3}])[1 + i % 3]) INTO b; "
		  . "IF b < a THEN RAISE 'seen % after %', b, a; END IF; END LOOP; END \$\$");
	my $out = $cluster->sql(join ' ', map { "UPDATE r SET v = $now + $_ WHERE k = 1; SELECT sum(r.v) - count(*) * ($now + $_) FROM t JOIN r ON r.k = 1 WHERE t.k = $key{1 + $_ % 3};" } 1 .. 100);
	is($out, join("\n", ('0') x 100), 'the session that wrote sees it in its next statement');
	my ($status, $rows, $err) = $cluster->finish_sql($reader, 120);
	is($status, 0, 'another one never sees an older state') or diag($err);
}

note 'a follower that takes its time';
{
	my $sum = $cluster->sql('SELECT sum(v) FROM r');
	my $writer = $cluster->start_at('during_commit_prepared', "SET cz.worker_timeout = '60s'; UPDATE r SET v = v + 1");
	$cluster->freeze_worker(3);
	$cluster->go;
	# a worker that is not waited for
	is($cluster->sql("SELECT sum(r.v) FROM r JOIN t ON true WHERE t.k = $key{1}"), $sum + 2, 'others do not wait for it');
	ok($writer->{run}->pumpable, 'while the writer does');
	$cluster->thaw_worker(3);
	my ($status, $out, $err) = $cluster->finish_sql($writer, 60);
	is("$status $err", '0 ', 'it has committed in the end');
	is($cluster->sql("SELECT sum(r.v) FROM r JOIN t ON true WHERE t.k = $key{3}"), $sum + 2, 'and is read');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'who has a row at a first placement that another one could not reach';
# They meet at the other placement.  He writes there what he has made of the row as it was, so he
# must find that his first placement is inactive as soon as the other one is committed there.
foreach my $what ('one shard', 'several shards')
{
	ok($cluster->repair, "$what: all placements are active");
	# a shard's first commit after a while goes another way
	$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key{1}") foreach 1 .. 2;
	my $before = $cluster->sql("SELECT v FROM t WHERE k = $key{1}");
	my $first = $cluster->start_at('after_p', "SET cz.worker_timeout = '60s'; UPDATE t SET v = v + 1 WHERE k = $key{1} AND v >= 0 + random() * 0", 'first');
	$cluster->freeze_worker(1);
	ok($cluster->coordinator->poll_query_until('postgres', 'SELECT bool_and(NOT result) FROM citus_check_cluster_node_health() WHERE to_nodeport = ' . $cluster->port(1)),
		"$what: the node does not answer");
	my $second = $cluster->start_at('after_commit', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $key{1}; "
		  . ($what eq 'one shard' ? '' : "UPDATE t SET v = v + 1 WHERE k = $key{2}; ") . 'COMMIT');
	$cluster->thaw_worker(1);
	$cluster->go('first');
	my ($status, $out, $err) = $cluster->finish_sql($first, 60);
	isnt($status, -1, "$what: he comes to an end");
	my $n = $status == 0 ? 2 : 1;
	like($err, qr/ERROR:  40001/, "$what: he starts again") if $status != 0;
	$cluster->go;
	($status, $out, $err) = $cluster->finish_sql($second, 60);
	is($status, 0, "$what: the other one is committed") or diag($err);
	like($err, qr/placements on node "[^"]+" are left out/, "$what: without the first placement");
	is($cluster->sql("SELECT v FROM t WHERE k = $key{1}"), $before + $n, "$what: nothing is lost");
}
$cluster->await_workers;
ok($cluster->repair, 'all placements are active');
is($cluster->differing_placements, '', 'placements are equal');

$cluster->stop;
done_testing;
