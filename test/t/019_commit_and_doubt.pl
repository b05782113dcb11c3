# What a user is told of a commit, and what is read while a commit is not finished.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 8\ncz.worker_timeout = '3s'\ncz.connect_timeout = '2s'\ncz.recovery_interval = -1\n");

$cluster->sql(<<'SQL');
SET cz.shard_replication_factor = 1;
CREATE TABLE one (k int PRIMARY KEY, v int);
SELECT create_distributed_table('one', 'k');
INSERT INTO one SELECT i, 0 FROM generate_series(1, 100) i;
SET cz.shard_replication_factor = 3;
CREATE TABLE three (k int PRIMARY KEY, v int);
SELECT create_distributed_table('three', 'k', colocate_with => 'none');
INSERT INTO three SELECT i, 0 FROM generate_series(1, 100) i;
CREATE TABLE marks (m text);
SQL

# A key of table one that worker $i has
sub key_on
{
	my ($i) = @_;
	my $port = $cluster->port($i);
	return $cluster->sql("SELECT min(k) FROM one, pg_dist_shard s JOIN pg_dist_placement p USING (shardid) "
		  . "JOIN pg_dist_node n USING (groupid) WHERE s.logicalrelid = 'one'::regclass AND n.nodeport = $port "
		  . "AND get_shard_id_for_distribution_column('one', k) = s.shardid");
}

# Wait for a condition on the coordinator
sub wait_until
{
	my ($condition, $what) = @_;
	$cluster->coordinator->poll_query_until('postgres', "SELECT $condition") or die "$what: not reached";
	return;
}

sub wait_for_age
{
	my ($query, $seconds) = @_;
	wait_until("count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '$query%' AND pid <> pg_backend_pid() "
		  . "AND query_start < clock_timestamp() - interval '$seconds s'", $query);
	return;
}

# Commit on all workers, but the answer of worker $i to COMMIT PREPARED is lost: its
# part stays prepared.  What is returned is psql's.
sub commit_in_doubt
{
	my ($i, $sql) = @_;
	my $handle = $cluster->start_at('after_local_commit', "BEGIN; $sql; COMMIT; SELECT 'done'");
	$cluster->worker_sql($i, q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE application_name LIKE 'cz_fdw%' AND query LIKE 'PREPARE%'});
	$cluster->go;
	return $cluster->finish_sql($handle, 60);
}

my @key = map { key_on($_) } 1 .. 3;

note 'COMMIT that a frozen worker does not answer';
{
	# no cancel, a cancel before the worker is probed, and one during that
	foreach my $cancel_at (undef, 0.5, 4)
	{
		my $what = defined $cancel_at ? "cancel after $cancel_at s" : 'no cancel';
		my $handle = $cluster->start_at('before_commit', "BEGIN; UPDATE one SET v = v + 1 WHERE k = $key[1]; COMMIT");
		$cluster->freeze_worker(2);
		$cluster->go;
		if (defined $cancel_at)
		{
			$cluster->sql("DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP "
				  . "PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COMMIT%' AND query_start < clock_timestamp() - interval '$cancel_at s'; "
				  . "EXIT WHEN FOUND; PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); END LOOP; END \$\$");
		}
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		$cluster->thaw_worker(2);
		like($err, qr/ERROR:  08007:.*It is not known whether/s, "$what: the outcome is open");
	}
	ok($cluster->worker(2)->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%' AND state IN ('active', 'idle in transaction')"),
		'the worker goes on');
	is($cluster->sql("SELECT v FROM one WHERE k = $key[1]"), '3', 'and has committed each');
}

note 'what fails after the only COMMIT';
{
	my ($status, $out, $err) = $cluster->try_sql("\\set ON_ERROR_STOP off\nSET cz.debug_point = 'after_commit'; "
		  . "UPDATE one SET v = 10 WHERE k = $key[1]; RESET cz.debug_point; SET statement_timeout = '100ms'; SELECT pg_sleep(60); "
		  . "SET statement_timeout = 0; SELECT v FROM one WHERE k = $key[1]");
	like($err, qr/WARNING:  08007: the transaction that failed is committed on node/, 'is told with a warning');
	like($err, qr/57014/, 'and the session can be cancelled as before');
	is($out, '10', 'the rows are there');
}

note 'NOTIFY fails after the writes';
{
	# the lock of the queue of notifications is held by who commits
	my $holder = $cluster->start_at('after_local_commit',
		"BEGIN; NOTIFY a; UPDATE one SET v = 3 WHERE k IN ($key[0], $key[1], $key[2]); COMMIT");
	foreach my $notify ('NOTIFY b', "SELECT pg_notify('b', '')")
	{
		my ($status, $out, $err) = $cluster->try_sql("SET lock_timeout = '200ms'; BEGIN; $notify; UPDATE one SET v = 4 WHERE k = $key[1]; COMMIT");
		like($err, qr/55P03/, "$notify: the commit fails");
		is($cluster->sql("SELECT v FROM one WHERE k = $key[1] AND v = 4"), '', 'and nothing is committed');
	}
	$cluster->go;
	$cluster->finish_sql($holder, 60);
	my ($status, $out, $err) = $cluster->try_sql("LISTEN c; BEGIN; NOTIFY c; UPDATE one SET v = 4 WHERE k = $key[1]; COMMIT; SELECT v FROM one WHERE k = $key[1]");
	like($out, qr/^4$/m, 'otherwise it commits');
	like($out, qr/Asynchronous notification "c"/, 'and notifies');
	# ON COMMIT actions on temporary tables can fail, too
	is($cluster->sql("SELECT count(*) AS before FROM cz.transaction_log \\gset\n"
			  . "CREATE TEMP TABLE tmp (i int) ON COMMIT DELETE ROWS; "
			  . "BEGIN; SELECT count(*) FROM tmp; UPDATE one SET v = 5 WHERE k = $key[1]; COMMIT; "
			  . 'SELECT count(*) - :before FROM cz.transaction_log'),
		"0\n1", 'who has looked at a temporary table commits in two phases');
}

note 'a worker in doubt that can be reached';
{
	my ($status, $out, $err) = commit_in_doubt(2, 'UPDATE one SET v = 100');
	is($out, 'done', 'committed');
	like($err, qr/WARNING:.*has not confirmed the commit/, 'with a warning');
	is($cluster->sql('SELECT count(*) FROM one WHERE v = 100'), '100', 'the next read finishes it');

	# a transaction that has its connection there already
	my $reader = $cluster->start_sql("BEGIN; UPDATE one SET v = 101 WHERE k = $key[1]; "
		  . "DO \$\$ BEGIN INSERT INTO three VALUES (0, 0); DELETE FROM three WHERE k = 0; "
		  . "WHILE NOT EXISTS (SELECT FROM marks) LOOP PERFORM pg_sleep(0.05); END LOOP; END \$\$; "
		  . "SELECT count(*) FROM one; COMMIT");
	wait_for_age('DO ', 0);
	commit_in_doubt(2, 'INSERT INTO one SELECT i, 0 FROM generate_series(1001, 1100) i');
	$cluster->sql("INSERT INTO marks VALUES ('go')");
	($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, '200', 'a transaction that has a connection there sees all') or diag($err);
	$cluster->sql('DELETE FROM one WHERE k > 1000');
}

note 'a worker where nobody may finish it';
{
	my $server = $cluster->server_name(2);
	$cluster->worker_sql(2, 'CREATE ROLE weak LOGIN; GRANT USAGE ON SCHEMA cz_shards TO weak; '
		  . 'GRANT ALL ON ALL TABLES IN SCHEMA cz_shards TO weak');
	commit_in_doubt(2, 'UPDATE one SET v = 200; UPDATE three SET v = 200');
	$cluster->sql("ALTER USER MAPPING FOR PUBLIC SERVER $server OPTIONS (SET user 'weak')");
	my ($status, $out, $err) = $cluster->try_sql('SELECT count(*) FROM one WHERE v = 200');
	like($err, qr/ERROR:  55000:.*a committed transaction is not finished on node "$server"/, 'it is not read') or diag($out);
	($status, $out, $err) = $cluster->try_sql("UPDATE one SET v = 0 WHERE k = $key[1]");
	like($err, qr/ERROR:  55000/, 'nor written');
	is($cluster->sql("SELECT v FROM one WHERE k = $key[0]"), '200', 'other workers are');
	foreach my $isolation ('READ COMMITTED', 'REPEATABLE READ')
	{
		is($cluster->sql("BEGIN ISOLATION LEVEL $isolation; SELECT count(*) FROM three WHERE v = 200; COMMIT"),
			'100', "$isolation: other placements are read");
	}
	($status, $out, $err) = $cluster->try_sql('SELECT recover_prepared_transactions()');
	is($out, '0', 'recovery does not help');
	# it has tried all user mappings, and keeps no connection of theirs
	$cluster->worker_sql(2, "CREATE ROLE extra$_ LOGIN") foreach 1 .. 3;
	$cluster->worker_sql(2, "CREATE VIEW public.extras AS SELECT usename FROM pg_stat_activity WHERE usename LIKE 'extra%'; "
		  . 'GRANT SELECT ON extras TO weak');
	$cluster->sql("CREATE ROLE extra$_; CREATE USER MAPPING FOR extra$_ SERVER $server OPTIONS (user 'extra$_', password_required 'false')")
	  foreach 1 .. 3;
	$cluster->sql("CREATE FOREIGN TABLE extras (usename name) SERVER $server OPTIONS (schema_name 'public')");
	is($cluster->sql("SELECT recover_prepared_transactions(); "
			  . "SET cz.worker_timeout = '500ms'; "
			  . "DO \$\$ BEGIN PERFORM count(*) FROM one; RAISE 'read'; EXCEPTION WHEN object_not_in_prerequisite_state THEN END \$\$; "
			  . "ALTER USER MAPPING FOR PUBLIC SERVER $server OPTIONS (SET user 'postgres');\n"
			  # the worker's processes of connections that were closed take a moment to end
			  . "\\! for t in \$(seq 600); do test \$($ENV{CZ_BINDIR}/psql -XAtqh 127.0.0.1 -p @{[$cluster->worker(2)->port]} -U postgres postgres -c 'SELECT count(*) FROM extras') = 0 && break; sleep 0.1; done\n"
			  . 'SELECT count(*) FROM extras'),
		"0\n0", "recovery keeps no other role's connections");
	$cluster->sql("ALTER USER MAPPING FOR PUBLIC SERVER $server OPTIONS (SET user 'postgres')");
	is($cluster->sql('SELECT count(*) FROM one WHERE v = 200'), '100', 'until somebody may');
}

note 'lock_timeout';
{
	my $shard = $cluster->sql("SELECT 'cz_shards.one_' || get_shard_id_for_distribution_column('one', $key[1])");
	# a prepared transaction holds the lock: no session to take care of
	$cluster->worker_sql(2, "BEGIN; LOCK TABLE $shard; PREPARE TRANSACTION 'blocker'");
	my $set = "SET lock_timeout = '200ms'; SET statement_timeout = '20s';";
	my %waits = (
		'SELECT' => "SELECT * FROM one WHERE k = $key[1]",
		'SELECT of all' => 'SELECT count(*) FROM one',
		'SELECT FOR UPDATE' => "SELECT * FROM one WHERE k = $key[1] FOR UPDATE",
		'UPDATE' => "UPDATE one SET v = 1 WHERE k = $key[1]",
		'DELETE of all' => 'DELETE FROM one',
		'INSERT' => "INSERT INTO one VALUES ($key[1], 1)",
		'EXECUTE' => "PREPARE p (int) AS SELECT * FROM one WHERE k = \$1; EXECUTE p ($key[1])",
		'COPY' => "COPY one FROM PROGRAM 'echo $key[1],1' (FORMAT csv)",
		'ALTER TABLE' => 'ALTER TABLE one ADD COLUMN w int',
		'in a block' => "BEGIN; UPDATE one SET v = 1 WHERE k = $key[0]; SELECT * FROM one WHERE k = $key[1]");
	foreach my $what (sort keys %waits)
	{
		my ($status, $out, $err) = $cluster->try_sql("$set $waits{$what}");
		like($err, qr/ERROR:  55P03: canceling statement due to lock timeout/, $what);
	}
	is($cluster->sql(qq{SET statement_timeout = '30s';
		BEGIN;
		SET LOCAL lock_timeout = '200ms';
		SAVEPOINT a;
		DO \$\$ BEGIN UPDATE one SET v = 1 WHERE k = $key[1]; EXCEPTION WHEN lock_not_available THEN END \$\$;
		ROLLBACK TO a;
		UPDATE one SET v = 400 WHERE k = $key[0];
		DO \$\$ BEGIN UPDATE one SET v = 1 WHERE k = $key[1]; EXCEPTION WHEN lock_not_available THEN END \$\$;
		COMMIT;
		SELECT v FROM one WHERE k = $key[0]}), '400', 'after savepoints');
	# without it, or with a longer one, who waits waits to the end
	my @patient = map { $cluster->start_sql("SET lock_timeout = '200ms'; SELECT v FROM one WHERE k = $key[0]; UPDATE one SET v = v WHERE k = $key[0]; $_") }
	  "SET lock_timeout = 0; SELECT v FROM one WHERE k = $key[1]",
	  "SET lock_timeout = '1min'; UPDATE one SET v = v WHERE k = $key[1] RETURNING v";
	wait_until("count(*) = 2 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%one%' AND pid <> pg_backend_pid() "
		  . "AND query_start < clock_timestamp() - interval '0.6 s'", 'waiting');
	$cluster->worker_sql(2, "ROLLBACK PREPARED 'blocker'");
	foreach my $handle (@patient)
	{
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		is($out, "400\n200", 'who may wait gets the lock') or diag($err);
	}
}

note 'what the session of a worker is told';
{
	$cluster->worker_sql(2, q{CREATE TABLE public.see (name text);
		INSERT INTO see SELECT unnest('{tcp_keepalives_idle,tcp_keepalives_count,client_connection_check_interval,idle_session_timeout}'::text[]);
		CREATE VIEW seen AS SELECT name, current_setting(name) AS value FROM see});
	my $server = $cluster->server_name(2);
	$cluster->sql("CREATE FOREIGN TABLE seen (name text, value text) SERVER $server OPTIONS (schema_name 'public')");
	is($cluster->sql(q{SELECT string_agg(name || '=' || value, ' ' ORDER BY name) FROM seen}),
		'client_connection_check_interval=10s idle_session_timeout=0 tcp_keepalives_count=6 tcp_keepalives_idle=60',
		'it notices that its coordinator has vanished');
}

note 'readers of a worker in doubt that does not answer';
{
	my $handle = $cluster->start_at('after_local_commit', "BEGIN; UPDATE one SET v = 300; UPDATE three SET v = 300; COMMIT; SELECT 'done'");
	$cluster->freeze_worker(2);
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($out, 'done', 'the commit stands') or diag($err);
	my @readers = map { $cluster->start_sql("SELECT count(*) FROM three WHERE v = 300") } 1 .. 12;
	my $longest = 0;
	foreach my $reader (@readers)
	{
		my ($s, $o, $e, $seconds) = $cluster->finish_sql($reader, 60);
		is($o, '100', 'other placements are read') or diag($e);
		$longest = $seconds if $seconds > $longest;
	}
	# one after the other: twelve times cz.connect_timeout
	cmp_ok($longest, '<', 20, 'without waiting for each other');
	@readers = map { $cluster->start_sql("SELECT v FROM one WHERE k = $key[1]") } 1 .. 16;
	$longest = 0;
	foreach my $reader (@readers)
	{
		my ($s, $o, $e, $seconds) = $cluster->finish_sql($reader, 60);
		like($e, qr/ERROR:  08/, 'who needs it fails');
		$longest = $seconds if $seconds > $longest;
	}
	cmp_ok($longest, '<', 30, 'in the time of one attempt');
	$cluster->thaw_worker(2);
	is($cluster->sql('SELECT count(*) FROM one WHERE v = 300'), '100', 'it is back');
}

note 'no worker answers COMMIT PREPARED';
{
	my $handle = $cluster->start_at('after_local_commit', "SET cz.worker_timeout = '20s'; BEGIN; UPDATE one SET v = 500; COMMIT; SELECT 'done'");
	$cluster->freeze_worker($_) foreach 1 .. 3;
	my $start = time;
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	my $seconds = time - $start;
	is($out, 'done', 'the commit stands') or diag($err);
	# with a debug point one is asked first, then the others
	cmp_ok($seconds, '<', 38, 'locks are held for the time of one attempt, not of two');
	$cluster->thaw_worker($_) foreach 1 .. 3;
	is($cluster->sql('SELECT count(*) FROM one WHERE v = 500'), '100', 'all is finished later');
}

$cluster->stop;
done_testing;
