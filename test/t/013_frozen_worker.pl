# A worker freezes (SIGSTOP of all its processes) while a session has connections to it: whatever
# the session waits for ends within the timeouts, reads by the other placement, the rest by an
# error of class 08; and nothing is left behind once it has thawed.
#
#   coordinator -- worker1
#               -- worker2   frozen in each test
#               -- worker3
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.shard_count = 8\ncz.worker_timeout = '700ms'\ncz.connect_timeout = '700ms'\n"
	  . "cz.recovery_interval = -1\n");
$cluster->sql(q{
CREATE TABLE t (k int, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE u (k int, v int, pad text);
SELECT create_distributed_table('u', 'k');
INSERT INTO u SELECT i, i, repeat('x', 1000) FROM generate_series(1, 20000) i;
CREATE TABLE r (id int PRIMARY KEY, v int);
SELECT create_reference_table('r');
INSERT INTO r VALUES (1, 1);
});
my ($postmaster) = $cluster->worker(2)->{_pid};
my $stop = "\\! kill -STOP $postmaster \$(pgrep -P $postmaster)\n";
my $go_on = "\\! kill -CONT $postmaster \$(pgrep -P $postmaster)\n";
my $sum = 'SELECT count(*), sum(v) FROM t';
my $right = '1000|500500';

# name, before the worker freezes, after that, what is expected: 'right', 'error' or 'ends'
my @tests = (
	[ 'read', $sum, $sum, 'right' ],
	[ 'settings of a cached connection', $sum, "SET TimeZone = 'Asia/Tokyo'; $sum", 'right' ],
	[ 'cursor', "BEGIN; DECLARE c CURSOR FOR SELECT k, v FROM t; FETCH 1 FROM c", "$sum; ROLLBACK", 'right' ],
	[ 'repeatable read', $sum, "BEGIN ISOLATION LEVEL REPEATABLE READ; $sum; COMMIT", 'ends' ],
	[ 'settings in a transaction', "BEGIN; UPDATE t SET v = v", "SET TimeZone = 'Asia/Tokyo'; $sum; ROLLBACK", 'error' ],
	[ 'update', $sum, 'UPDATE t SET v = v', 'error' ],
	[ 'update in a transaction', 'BEGIN; UPDATE t SET v = v', 'UPDATE t SET v = v; COMMIT', 'error' ],
	[ 'insert', $sum, 'INSERT INTO t SELECT i, 0 FROM generate_series(1001, 1100) i', 'error' ],
	[ 'copy on its way', 'BEGIN; INSERT INTO t SELECT i, 0 FROM generate_series(1001, 3000) i',
		'INSERT INTO t SELECT i, 0 FROM generate_series(1001, 3000) i; COMMIT', 'error' ],
	[ 'reference table', $sum, 'UPDATE r SET v = 2', 'ends' ],
	[ 'index', $sum, 'CREATE INDEX i ON t (v)', 'error' ],
	[ 'column', $sum, 'ALTER TABLE t ADD COLUMN c int', 'error' ],
	[ 'prepare', 'BEGIN; UPDATE t SET v = v + 1', 'COMMIT', 'error' ],
	[ 'savepoint', 'BEGIN; SAVEPOINT a; UPDATE t SET v = v + 1', 'ROLLBACK TO a; UPDATE t SET v = v; COMMIT', 'ends' ],
	[ 'rollback', 'BEGIN; UPDATE t SET v = v + 1', "ROLLBACK; $sum", 'right' ],
	[ 'locks', $sum, 'BEGIN; SELECT k FROM t WHERE k < 10 ORDER BY k FOR UPDATE; ROLLBACK', 'ends' ],
	[ 'analyze', $sum, 'ANALYZE t', 'ends' ],
	[ 'size', $sum, "SELECT citus_table_size('t') > 0", 'ends' ],
	[ 'sizes', $sum, 'SELECT count(*) > 0 FROM citus_shards', 'ends' ],
	[ 'health', $sum, 'SELECT count(*) FROM citus_check_cluster_node_health() WHERE NOT result', 'ends' ],
	[ 'recovery', $sum, "SELECT recover_prepared_transactions(); $sum", 'right' ],
	[ 'remote plans', $sum, "SET cz.explain_remote_plans = 'all'; EXPLAIN SELECT * FROM t", 'ends' ],
	[ 'undistribute', $sum, "SELECT undistribute_table('t')", 'ends' ]);

foreach my $test (@tests)
{
	my ($name, $before, $after, $expected) = @$test;
	my ($status, $out, $err) = $cluster->try_sql(
		"\\set ON_ERROR_STOP 0\nSET statement_timeout = '60s';\n$before;\n$stop"
		  . "SELECT 'began ' || clock_timestamp();\n$after;\n"
		  . "ROLLBACK;\nSELECT 'ended ' || clock_timestamp();\n$go_on");
	$cluster->thaw_worker(2);
	my ($began) = $out =~ /^began (.*)$/m;
	my ($ended) = $out =~ /^ended (.*)$/m;
	my $seconds = $cluster->sql("SELECT extract(epoch FROM '$ended'::timestamptz - '$began')");
	note("$name took $seconds s");
	$out =~ s/.*^began [^\n]*\n//ms;
	cmp_ok($seconds, '<', 40, "$name: ends in time") or diag($err);
	unlike($err, qr/(?:ERROR|FATAL|PANIC):  (?:57014|XX)/, "$name: by itself") or diag($err);
	like($out, qr/^\Q$right\E$/m, "$name: the right answer") or diag($err) if $expected eq 'right';
	like($err, qr/ERROR:  (08|40001)/, "$name: an error of class 08") or diag($err) if $expected eq 'error';
	unlike($err, qr/ERROR:  (?!08|40001|25P02)/, "$name: no other error") or diag($err);
	last unless ok($cluster->wait_for_recovery(20), "$name: nothing prepared is left");
	# the locks of what was frozen
	$cluster->sql('SELECT recover_prepared_transactions()');
	ok($cluster->repair, "$name: what was left out is made whole");
	if ($name eq 'undistribute')
	{
		is($cluster->sql($sum), $right, "$name: no row is lost");
		next;
	}
	is($cluster->sql($sum), $right, "$name: all or nothing");
}

# An administrator ends a session of a worker in the middle of a read: the statement goes on, and
# the node is not avoided by others, who would look again only some time later.
{
	my $name = $cluster->server_name(2);
	$cluster->await_workers or die 'the worker is not back';
	my $handle = $cluster->start_sql(
		"SELECT count(md5(repeat(pad, 60))) FROM u;\n");
	my $ended = '';
	for (1 .. 500)
	{
		$ended = $cluster->worker_sql(2,
			"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%md5(repeat%' AND pid <> pg_backend_pid()");
		last if $ended;
		sleep 0.01;
	}
	my @plans = map { $cluster->sql('EXPLAIN (ANALYZE, COSTS OFF) SELECT count(*) FROM u') } 1 .. 4;
	my ($status, $out, $err) = $cluster->finish_sql($handle);
	ok($ended, 'a session is ended');
	is($status, 0, 'session ended: the statement goes on') or diag($err);
	like($out, qr/^20000$/m, 'session ended: the right answer');
	is(scalar(grep { /Node: \Q$name\E:/ } @plans), 4, 'session ended: the node is not avoided')
	  or diag("@plans");
}

# Looks at a frozen worker are further and further apart.  Who writes looks for himself before he
# leaves a placement out; who asks for a repair knows that it is back.  Neither has to wait for the
# next look.
sub freeze_for_a_while
{
	my $until = time + 8;
	$cluster->freeze_worker(2);
	while (time < $until)
	{
		$cluster->try_sql($sum);
		sleep 0.1;
	}
	return;
}

# It answers others, after all that has tried to connect meanwhile; the coordinator has not heard of it
sub thaw
{
	$cluster->thaw_worker(2);
	$cluster->worker_sql(2, 'SELECT 1');
	return;
}
{
	freeze_for_a_while();
	thaw();
	my ($status, $out, $err) = $cluster->try_sql(
		"BEGIN; SELECT k FROM t WHERE k < 50 ORDER BY k FOR UPDATE; UPDATE t SET v = v; INSERT INTO t VALUES (1, 0); ROLLBACK;\nUPDATE t SET v = v");
	is($status, 0, 'back: writes go on') or diag($err);
	is($err, '', 'back: with the worker');
	is($cluster->sql('SELECT sum(inactive_placements) FROM cz_nodes'), 0, 'back: no placement is left out');
	is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), 0, 'back: placements are the same');
}
{
	freeze_for_a_while();
	my ($status, $out, $err) = $cluster->try_sql('UPDATE t SET v = v');
	is($status, 0, 'thawed: a write goes on without the worker') or diag($err);
	isnt($cluster->sql('SELECT sum(inactive_placements) FROM cz_nodes'), 0, 'thawed: its placements are inactive');
	thaw();
	$cluster->sql('SELECT cz_repair_placements()');
	is($cluster->sql('SELECT sum(inactive_placements) FROM cz_nodes'), 0, 'thawed: they are made whole at once');
}

# A session is terminated while it connects for a subtransaction: the others do not notice.
{
	my $key = $cluster->key_on(2, 't');
	$cluster->await_workers;
	my $other = $cluster->hold($sum);
	$cluster->freeze_worker(2);
	my $session = $cluster->start_sql(
		"SET application_name = 'connects'; SET cz.connect_timeout = '60s'; BEGIN; SAVEPOINT a; UPDATE t SET v = v WHERE k = $key");
	ok($cluster->coordinator->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'connects' AND state = 'active' AND query LIKE 'UPDATE%' AND query_start < now() - interval '0.3 s'"),
		'a session connects');
	$cluster->sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'connects'");
	my ($status) = $cluster->finish_sql($session, 60);
	isnt($status, 0, 'it is terminated');
	$cluster->thaw_worker(2);
	($status) = $cluster->release($other);
	is($status, 0, 'another one goes on');
	unlike(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile), qr/was terminated by signal/, 'no process has crashed');
}
$cluster->stop;
done_testing();
