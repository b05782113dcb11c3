# One row by its full key is changed on both placements at once.  Who has it on the second one
# and waits for it on the first gives it back, so that sessions that meet crosswise do not wait
# for each other for ever; where the two do not do the same, what the first one did counts.
#
#	t: two placements; keys of which worker 1 has the first, and another worker the second
use strict;
use warnings;
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 2\ncz.recovery_interval = -1\ncz.worker_timeout = '5s'\n"
	  . "deadlock_timeout = '200ms'\nlog_min_messages = log\n");
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	CREATE TABLE d (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k'), create_distributed_table('d', 'k');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 40) i;
	INSERT INTO d SELECT i, 0 FROM generate_series(1, 8) i;
	UPDATE t SET v = 0;
});
my $key = $cluster->key_on(1, 't');
my $shard = 't_' . $cluster->sql("SELECT get_shard_id_for_distribution_column('t', $key)");
my ($second) = grep { $_ != 1 && $cluster->worker_sql($_, "SELECT to_regclass('cz_shards.$shard') IS NOT NULL") eq 't' } 2, 3;
my $dbname = 'postgres';

# Somebody who has the row on a worker, and nowhere else, until release_row()
sub hold_row
{
	my ($worker) = @_;
	my $session = $cluster->worker($worker)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$session->query_safe("BEGIN; SELECT FROM cz_shards.$shard WHERE k = $key FOR UPDATE");
	return $session;
}

sub release_row
{
	my ($session) = @_;
	$session->query_safe('ROLLBACK');
	$session->quit;
	return;
}

# What the coordinator's sessions do on a worker
sub wait_for_state
{
	my ($worker, $condition) = @_;
	return $cluster->worker($worker)->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw %' AND $condition");
}

sub is_as_expected
{
	my ($expected, $what) = @_;
	is($cluster->sql("SELECT v FROM t WHERE k = $key"), $expected, $what);
	is($cluster->differing_placements, '', "$what: placements are equal");
	return;
}

$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key");
is_as_expected(1, 'nobody in the way');

note 'somebody has the row on the first placement';
{
	my $other = hold_row(1);
	my $handle = $cluster->start_sql("UPDATE t SET v = v + 1 WHERE k = $key RETURNING v");
	ok(wait_for_state(1, "wait_event_type = 'Lock'"), 'it is waited for there');
	ok(wait_for_state($second, "query = 'ROLLBACK' AND state = 'idle'"), 'and given back on the other one');
	is($cluster->worker_sql($second, "SELECT v FROM cz_shards.$shard WHERE k = $key FOR UPDATE NOWAIT"), '1', 'where others can have it');
	release_row($other);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is("$status $out", '0 2', 'the row comes once') or diag($err);
	is_as_expected(2, 'given back');
}

note 'the same, and the transaction goes on';
{
	my $other = hold_row(1);
	my $handle = $cluster->start_sql("BEGIN; UPDATE t SET v = v + 1 WHERE k = $key; SAVEPOINT a; UPDATE t SET v = v + 100 WHERE k = $key; "
		  . "ROLLBACK TO a; UPDATE t SET v = v + 1 WHERE k = $key; COMMIT");
	wait_for_state($second, "query = 'ROLLBACK' AND state = 'idle'");
	release_row($other);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, 'committed') or diag($err);
	is_as_expected(4, 'given back, and savepoints');
}

note 'the same, and the other placement is lost meanwhile';
{
	my $other = hold_row(1);
	my $handle = $cluster->start_sql("UPDATE t SET v = v + 1 WHERE k = $key");
	wait_for_state($second, "query = 'ROLLBACK' AND state = 'idle'");
	$cluster->kill_worker($second);
	release_row($other);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, 'committed') or diag($err);
	like($err, qr/WARNING:  08006: placements on node "\w+" are left out/, 'with a warning');
	$cluster->restart_worker($second);
	ok($cluster->repair, 'it is made whole');
	is_as_expected(5, 'lost');
}

note 'somebody has the row on the other placement only';
{
	my $other = hold_row($second);
	my $handle = $cluster->start_sql("UPDATE t SET v = v + 1 WHERE k = $key");
	ok(wait_for_state($second, "wait_event_type = 'Lock'"), 'it is waited for');
	release_row($other);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, 'committed') or diag($err);
	is_as_expected(6, 'waited for');
}

note 'cancelled while it waits';
{
	my $other = hold_row(1);
	my $handle = $cluster->start_sql("SET statement_timeout = '1s'; UPDATE t SET v = v + 1 WHERE k = $key");
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	like($err, qr/57014/, 'cancelled');
	release_row($other);
	is_as_expected(6, 'cancelled');
}

note 'a row that is not on the other placement yet';
{
	my $new = $cluster->sql("SELECT min(k) FROM generate_series(100, 999) k WHERE get_shard_id_for_distribution_column('t', k) = get_shard_id_for_distribution_column('t', $key)");
	my $writer = $cluster->start_at('p_committed', "INSERT INTO t VALUES ($new, 0)");
	my $handle = $cluster->start_sql("UPDATE t SET v = v + 1 WHERE k = $new RETURNING v");
	ok(wait_for_state($second, "query ~ '^(ROLLBACK|UPDATE)'"), 'it is not found there');
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is("$status $out", '0 1', 'it is changed') or diag($err);
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the other one is committed');
	is($cluster->sql("SELECT v FROM t WHERE k = $new"), '1', 'there it is');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'an error that only the other placement has';
{
	$cluster->worker_sql($second, "ALTER TABLE cz_shards.$shard ADD CONSTRAINT odd CHECK (v <> 7)");
	my ($status, $out, $err) = $cluster->try_sql("UPDATE t SET v = v + 1 WHERE k = $key");
	like($err, qr/ERROR:  23514: .*"odd"/, 'is told');
	is_as_expected(6, 'refused');
	$cluster->worker_sql($second, "ALTER TABLE cz_shards.$shard DROP CONSTRAINT odd");
	$cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key");
	is_as_expected(7, 'the next one');
}

note 'many at once';
{
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my %script = (
		one => "\\set k random(1, 12)\nUPDATE t SET v = v + 1 WHERE k = :k;\n",
		two => "\\set k random(1, 12)\n\\set l random(1, 12)\nBEGIN;\nUPDATE t SET v = v + 1 WHERE k = :k;\nUPDATE t SET v = v + 1 WHERE k = :l;\nEND;\n",
		undone => "\\set k random(1, 12)\nBEGIN;\nUPDATE t SET v = v + 1 WHERE k = :k;\nROLLBACK;\n",
		all => "\\set k random(1, 8)\nDELETE FROM d WHERE k = :k;\nINSERT INTO d VALUES (:k, 1) ON CONFLICT (k) DO UPDATE SET v = d.v + 1;\n"
		  . "UPDATE d SET v = v * 2 WHERE k = :k;\nUPDATE d SET v = (SELECT count(*) FROM d y WHERE y.k = d.k) WHERE k = :k;\n");
	my @files = map { PostgreSQL::Test::Utils::append_to_file("$dir/$_", $script{$_}); ('-f', "$dir/$_" . ($_ eq 'undone' ? '@1' : '@3')) } sort keys %script;
	$cluster->sql('UPDATE t SET v = 0');
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ "$ENV{CZ_BINDIR}/pgbench", '-h', '127.0.0.1', '-p', $cluster->coordinator->port, '-U', 'postgres', '-n', '-M', 'prepared',
		'-c', '12', '-j', '2', '-T', '8', '--max-tries=1000', @files, $dbname ], '>', \$out, '2>', \$err);
	ok($ok, 'nothing fails') or diag("$out$err");
	my ($one) = $out =~ m{/one\n.*? - (\d+) transactions}s;
	my ($two) = $out =~ m{/two\n.*? - (\d+) transactions}s;
	is($cluster->sql('SELECT sum(v) FROM t'), $one + 2 * $two, 'each update counts once') or diag($out);
	is($cluster->differing_placements, '', 'placements are equal');
	is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'and none was left out');
}

$cluster->stop;
done_testing;
