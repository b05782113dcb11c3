# Two-phase commit: at each step of a commit a worker dies, the coordinator dies, the
# connections are reset, or the user cancels.  Afterwards all nodes agree: the
# transaction's rows are on every placement and on the coordinator, or nowhere, no
# prepared transaction and no row of the decision log stays.
#
#	coordinator (table local)  -- worker 1, 2 (through a proxy), 3 (shards of t twice)
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [2],
	conf => "cz.shard_count = 8\ncz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = '1s'\n");

$cluster->sql('CREATE TABLE t (k int PRIMARY KEY, v text)');
$cluster->sql("SELECT create_distributed_table('t', 'k')");
$cluster->sql('CREATE TABLE local (k int)');

# Rows of the transaction on all placements together
sub copies
{
	my ($from, $to) = @_;
	my $n = 0;
	foreach my $i (1 .. 3)
	{
		my $union = $cluster->worker_sql($i,
			"SELECT string_agg(format('SELECT k FROM cz_shards.%I', relname), ' UNION ALL ') FROM pg_class "
			  . "WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r'");
		$n += $cluster->worker_sql($i, "SELECT count(*) FROM ($union) x WHERE k BETWEEN $from AND $to");
	}
	return $n;
}

# Is the transaction committed in the end?  'any': both outcomes are right.
my %outcome = (
	'before_prepare' => { worker => 0, coordinator => 0, reset => 0, cancel => 0 },
	'after_prepare' => { worker => 1, coordinator => 0, reset => 1, cancel => 0 },
	'after_local_commit' => { worker => 1, coordinator => 1, reset => 1, cancel => 1 },
	'during_commit_prepared' => { worker => 1, coordinator => 1, reset => 1, cancel => 1 });
my $from = 0;

foreach my $point ('before_prepare', 'after_prepare', 'after_local_commit', 'during_commit_prepared')
{
	foreach my $event ('worker', 'coordinator', 'reset', 'cancel')
	{
		my $what = "$point, $event";
		# one that was restarted, or reset, must not be left out
		$cluster->await_workers or die 'a worker is not back';
		my $to = $from + 99;
		my $handle = $cluster->start_at($point, "BEGIN; "
			  . "INSERT INTO local SELECT generate_series($from, $to); "
			  . "INSERT INTO t SELECT i, 'v' FROM generate_series($from, $to) i; COMMIT; SELECT 'done'");
		if ($event eq 'worker') { $cluster->kill_worker(2); }
		elsif ($event eq 'coordinator') { $cluster->kill_coordinator; }
		elsif ($event eq 'reset') { $cluster->reset_worker(2); }
		else
		{
			$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COMMIT%' "
				  . "AND pid <> pg_backend_pid()");
		}
		$cluster->go if $event ne 'coordinator';
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		$cluster->restart_worker(2) if $event eq 'worker';
		$cluster->coordinator->start if $event eq 'coordinator';

		my $committed = $outcome{$point}{$event};
		if ($event ne 'coordinator')
		{
			is($status == 0 ? 1 : 0, $committed, "$what: what the user is told") or diag("$out\n$err");
		}
		ok($cluster->wait_for_recovery, "$what: no prepared transaction stays");
		is($cluster->sql("SELECT count(*) FROM local WHERE k BETWEEN $from AND $to"),
			$committed * 100, "$what: rows on the coordinator");
		is(copies($from, $to), $committed * 200, "$what: rows on the placements");
		$from = $to + 1;
	}
}
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.transaction_log'),
	'the maintenance worker clears the decision log');

note 'recovery without being asked';
{
	my $handle = $cluster->start_at('after_local_commit',
		"INSERT INTO t SELECT i, 'v' FROM generate_series(10000, 10099) i");
	$cluster->kill_coordinator;
	$cluster->finish_sql($handle, 60);
	$cluster->coordinator->start;
	ok($cluster->worker(1)->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_prepared_xacts'),
		'the maintenance worker commits what a crash left');
	is(copies(10000, 10099), 200, 'and the rows are there');
}

note 'readers finish what is in doubt';
$cluster->sql('CREATE TABLE single (k int PRIMARY KEY)');
$cluster->sql("SET cz.shard_replication_factor = 1; SELECT create_distributed_table('single', 'k', colocate_with => 'none')");
$cluster->sql('ALTER SYSTEM SET cz.recovery_interval = -1');
$cluster->sql('SELECT pg_reload_conf()');
foreach my $who ('worker', 'coordinator')
{
	my $before = $cluster->sql('SELECT count(*) FROM single');
	my $handle = $cluster->start_at('after_local_commit',
		"INSERT INTO single SELECT i + $before FROM generate_series(1, 100) i");
	if ($who eq 'worker') { $cluster->kill_worker(2); $cluster->go; }
	else { $cluster->kill_coordinator; }
	$cluster->finish_sql($handle, 60);
	if ($who eq 'worker') { $cluster->restart_worker(2); }
	else { $cluster->coordinator->start; }
	is($cluster->sql('SELECT count(*) FROM single'), $before + 100,
		"after the death of the $who the next read sees all rows");
}
$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '1s'");
$cluster->sql('SELECT pg_reload_conf()');

note 'one connection: plain commit';
{
	$cluster->sql('CREATE TABLE one (k int, v text)');
	$cluster->sql("SET cz.shard_replication_factor = 1; SELECT create_distributed_table('one', 'k', colocate_with => 'none')");
	$cluster->sql('SELECT recover_prepared_transactions()');
	is($cluster->sql("BEGIN; INSERT INTO one VALUES (1, 'a'); INSERT INTO one VALUES (1, 'b'); COMMIT; SELECT count(*) FROM cz.transaction_log"),
		'0', 'is not in the decision log');
}

note 'savepoints';
{
	$cluster->sql(q{BEGIN;
		INSERT INTO t VALUES (20000, 'a');
		SAVEPOINT s1;
		INSERT INTO t VALUES (20001, 'b');
		SAVEPOINT s2;
		INSERT INTO t VALUES (20002, 'c');
		ROLLBACK TO s2;
		INSERT INTO t VALUES (20003, 'd');
		RELEASE s1;
		SAVEPOINT s3;
		INSERT INTO t VALUES (20004, 'e');
		ROLLBACK TO s3;
		COMMIT});
	is($cluster->sql('SELECT string_agg(v, NULL ORDER BY k) FROM t WHERE k BETWEEN 20000 AND 20010'),
		'abd', 'workers follow savepoints');
	$cluster->sql(q{DO $$
	BEGIN
		FOR i IN 20020 .. 20029 LOOP
			BEGIN
				INSERT INTO t VALUES (i, 'x');
				IF i % 2 = 0 THEN
					INSERT INTO t VALUES (i, 'twice');
				END IF;
			EXCEPTION WHEN unique_violation THEN NULL;
			END;
		END LOOP;
	END $$});
	is($cluster->sql('SELECT count(*), sum(k) FROM t WHERE k BETWEEN 20020 AND 20029'),
		'5|100125', 'and exception blocks');
	is(copies(20000, 20029), 16, 'on every placement');
}

note 'what is refused';
{
	my ($status, $out, $err) = $cluster->try_sql("BEGIN; INSERT INTO t VALUES (30000, 'a'); PREPARE TRANSACTION 'x'");
	like($err, qr/0A000/, 'PREPARE TRANSACTION after a remote write');

	$cluster->sql('CREATE TABLE here (a int); CREATE TABLE copied (k int PRIMARY KEY, b int); '
		  . "SELECT create_reference_table('copied')");
	$cluster->worker(3)->append_conf('postgresql.conf', 'max_prepared_transactions = 0');
	$cluster->worker(3)->restart;
	# somebody may have come in between: it must not be suspect any more
	$cluster->await_workers or die 'the worker is not back';
	($status, $out, $err) = $cluster->try_sql("INSERT INTO t SELECT i, 'v' FROM generate_series(30000, 30099) i");
	like($err, qr/55000: cannot write on several nodes: prepared transactions are disabled on node.*HINT:\s+Set max_prepared_transactions/s,
		'a worker without prepared transactions');

	# a key whose placements are on workers 1 and 2, and one whose first is on 3
	my ($here, $there) = map {
		$cluster->sql("SELECT min(k) FROM generate_series(40000, 40999) k WHERE (SELECT array_agg(nodeport ORDER BY placementid)::text "
			  . "FROM pg_dist_shard_placement WHERE shardid = get_shard_id_for_distribution_column('t', k)) LIKE '$_'")
	} '{' . $cluster->port(1) . ',' . $cluster->port(2) . '}', '{' . $cluster->port(3) . ',%';
	($status, $out, $err) = $cluster->try_sql("BEGIN; INSERT INTO t VALUES ($here, 'a'); SELECT 'first'; INSERT INTO t VALUES ($there, 'a'); SELECT 'second'; COMMIT");
	is($out, 'first', 'refused is the first write that needs a second worker');
	like($err, qr/55000: cannot write on several nodes/, 'and it says so');
	$cluster->sql(qq{DO \$\$ BEGIN
		INSERT INTO t VALUES ($here, 'a');
		BEGIN INSERT INTO t VALUES ($there, 'a'); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END;
	END \$\$});
	is(copies($here, $here) . copies($there, $there), '20', 'an exception block goes on without it');

	# who only follows a decision need not prepare it: copies, and other placements
	is(($cluster->try_sql('BEGIN; INSERT INTO copied VALUES (1, 1); UPDATE copied SET b = 2; INSERT INTO here VALUES (1); COMMIT'))[2],
		'', 'reference tables are written');
	foreach my $local ('INSERT INTO here VALUES (2)', 'INSERT INTO copied VALUES (2, 1)', 'UPDATE copied SET b = 3')
	{
		my $remote = "INSERT INTO t VALUES ($there, 'a')";
		($status, $out, $err) = $cluster->try_sql("BEGIN; $local; SELECT 'first'; $remote; SELECT 'second'; COMMIT");
		is($out, 'first', "$local: refused is a write on the worker after it");
		like($err, qr/55000: cannot write on several nodes/, 'and it says so');
		($status, $out, $err) = $cluster->try_sql("BEGIN; $remote; SELECT 'first'; $local; SELECT 'second'; COMMIT");
		is($out, 'first', "$local: or that, if it comes after it");
		like($err, qr/55000: cannot write on several nodes/, 'and it says so');
	}
	is($cluster->sql('SELECT (SELECT sum(a) FROM here), (SELECT sum(b) FROM copied)'), '1|2', 'and is not done');
	is(copies($there, $there), 0, 'neither is the other');
	ok($cluster->wait_for_recovery, 'nothing stays prepared');
	is(copies(30000, 30099), 0, 'and nothing is written');
	$cluster->sql("SET cz.one_phase_commit = on; INSERT INTO t SELECT i, 'v' FROM generate_series(30000, 30099) i");
	is(copies(30000, 30099), 200, 'but in one phase, if that is asked for');
}

$cluster->stop;
done_testing;
