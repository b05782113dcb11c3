# Who decides what is prepared on the workers: the coordinator alone.  A hot standby, a
# clone, a promoted server, a restored or re-added part of the cluster do not, until
# they are told to take over.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 2,
	conf => "wal_level = replica\nmax_wal_senders = 10\ncz.shard_count = 4\ncz.worker_timeout = '5s'\n"
	  . "cz.recovery_interval = '500ms'\n");
my $primary = $cluster->coordinator;

# SQL on a server other than the coordinator: (status, output, messages)
sub sql_on
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'postgres', '-v', 'VERBOSITY=verbose' ]);
	return ($status, $out, $err);
}

sub prepared
{
	return $cluster->worker_sql(1, 'SELECT count(*) FROM pg_prepared_xacts')
	  + $cluster->worker_sql(2, 'SELECT count(*) FROM pg_prepared_xacts');
}

$cluster->sql('CREATE TABLE t (k int PRIMARY KEY, v int)');
$cluster->sql("SELECT create_distributed_table('t', 'k')");
$cluster->sql('INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => $primary->install_path);
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# it hears of commits late: the transaction neither runs there nor is it in the log
$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = '1h'\n");
$standby->start;
my $clone = PostgreSQL::Test::Cluster->new('clone', install_path => $primary->install_path);
$clone->init_from_backup($primary, 'base');
$clone->start;

note 'a transaction between its two phases';
{
	my $handle = $cluster->start_at('after_prepare',
		"INSERT INTO t SELECT i, 1 FROM generate_series(101, 120) i; SELECT 'done'");
	cmp_ok(prepared(), '>', 1, 'it is prepared on the workers');
	foreach my $node ($standby, $clone)
	{
		my $name = $node->name;
		is((sql_on($node, 'SELECT count(*) FROM t'))[1], '20', "$name: reads see what is committed");
		is((sql_on($node, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t WHERE k = 1"))[1], '1',
			"$name: with a snapshot too");
	}
	like((sql_on($standby, 'SELECT recover_prepared_transactions()'))[2], qr/25006/, 'standby: no recovery');
	like((sql_on($clone, 'SELECT recover_prepared_transactions()'))[2], qr/55000.*not the coordinator of its cluster/,
		'clone: no recovery');
	like((sql_on($clone, 'UPDATE t SET v = 9 WHERE k = 1'))[2], qr/55000.*HINT:  When the former coordinator/s, 'clone: no write');
	like((sql_on($clone, 'DROP TABLE t'))[2], qr/55000/, 'clone: no DDL on the shards');
	# rounds of the clone's maintenance worker
	my $rounds = "SELECT count(*) FROM pg_stat_database WHERE datname = 'postgres' AND xact_commit > ";
	my $commits = $clone->safe_psql('postgres', "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'");
	$clone->poll_query_until('postgres', "$rounds $commits + 3", '1');

	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($out, 'done', 'the transaction commits') or diag($err);
	is($err, '', 'without a warning');
	is(prepared(), 0, 'on all workers');
	is($cluster->sql('SELECT count(*) FROM t'), '40', 'and its rows are there');
}
$clone->stop('immediate');

note 'a part that was finished by somebody else';
{
	$cluster->sql("CREATE TABLE u (k int); SET cz.shard_replication_factor = 1; SELECT create_distributed_table('u', 'k', colocate_with => 'none')");
	my $handle = $cluster->start_at('after_prepare',
		"INSERT INTO u SELECT i FROM generate_series(201, 220) i; SELECT 'done'");
	my $gid = $cluster->worker_sql(1, 'SELECT gid FROM pg_prepared_xacts');
	$cluster->worker_sql(1, "ROLLBACK PREPARED '$gid'");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($out, 'done', 'the commit stands');
	like($err, qr/WARNING:  XX001.*does not have the prepared transaction "\Q$gid\E" any more/, 'and is no silent success');
	$cluster->sql('DROP TABLE u');
}

note 'a decision that only the log knows: the worker is dropped and added again';
{
	$cluster->sql('CREATE TABLE l (i int)');
	$cluster->sql('ALTER SYSTEM SET cz.recovery_interval = -1');
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->sql('SELECT recover_prepared_transactions()');
	is($cluster->sql('SELECT count(*) FROM cz.transaction_log'), '0', 'the log is empty');
	my $port = $cluster->port(2);
	$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $port, 'shouldhaveshards', false)");
	my $server = $cluster->server_name(2);
	$cluster->worker_sql(2, 'CREATE TABLE far (i int)');
	$cluster->sql("CREATE FOREIGN TABLE far (i int) SERVER $server");
	# committed here, its COMMIT PREPARED is lost with the connection
	my $handle = $cluster->start_at('after_local_commit',
		"BEGIN; INSERT INTO l VALUES (1); INSERT INTO far VALUES (1); COMMIT; SELECT 'done'");
	$cluster->worker_sql(2, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%'");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($out, 'done', 'the commit stands');
	is(prepared(), 1, 'its part is prepared');
	# a stopped worker is forgotten; nobody can finish there what is left
	$cluster->worker(2)->stop('fast');
	$cluster->sql('DROP FOREIGN TABLE far');
	$cluster->sql("SELECT citus_disable_node('127.0.0.1', $port)");
	($status, $out, $err) = $cluster->try_sql("SELECT citus_remove_node('127.0.0.1', $port)");
	is($status, 0, 'the worker is removed') or diag($err);
	$cluster->sql('SELECT recover_prepared_transactions()');
	is($cluster->sql('SELECT count(*) FROM cz.transaction_log'), '1', 'the decision is kept');
	$cluster->worker(2)->start;
	$cluster->sql("SELECT citus_add_node('127.0.0.1', $port)");
	$cluster->sql('SELECT recover_prepared_transactions()');
	is(prepared(), 0, 'added again, it is asked');
	is($cluster->worker_sql(2, 'SELECT count(*) FROM far'), '1', 'and carries the decision out');
}

note 'a worker is renamed';
{
	my $server = $cluster->server_name(1);
	$cluster->sql('DELETE FROM cz.transaction_log; BEGIN; INSERT INTO l VALUES (0); UPDATE t SET v = v WHERE k = 1; COMMIT');
	is($cluster->sql('SELECT server_names FROM cz.transaction_log'), "{$server}", 'the log names it');
	$cluster->sql("ALTER SERVER $server RENAME TO renamed; ALTER SERVER renamed RENAME TO $server");
	is($cluster->sql('SELECT count(*) FROM cz.transaction_log'), '0', 'nothing waits for the old name');
}

note 'names of earlier versions';
{
	my $old = $cluster->sql("SELECT format('cz_%s_%s_', (SELECT system_identifier FROM pg_control_system()), "
		  . "(SELECT oid FROM pg_database WHERE datname = 'postgres'))");
	foreach my $gid ("${old}5_0000abcd_0", "${old}6_0000abce_0", 'cz_123_456_7_0000abcf_0', 'cz_123_456_8_0000abd0_0')
	{
		my ($n) = $gid =~ /_(\d+)_0000/;
		$cluster->worker_sql(1, "BEGIN; CREATE TABLE old_$n (); PREPARE TRANSACTION '$gid'");
		(my $prefix = $gid) =~ s/_0$//;
		$cluster->sql("INSERT INTO cz.transaction_log VALUES ('$prefix', ARRAY['gone'], now())") if $n == 5 || $n == 7;
	}
	$cluster->sql('SELECT recover_prepared_transactions()');
	is($cluster->worker_sql(1, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'old__'"),
		'old_5 old_7', 'those in the log are committed');
	is($cluster->worker_sql(1, 'SELECT gid FROM pg_prepared_xacts'), 'cz_123_456_8_0000abd0_0',
		"another coordinator's transaction is left alone");
	$cluster->worker_sql(1, "ROLLBACK PREPARED 'cz_123_456_8_0000abd0_0'");
	$cluster->sql('DELETE FROM cz.transaction_log');
}
$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '500ms'");
$cluster->sql('SELECT pg_reload_conf()');

note 'a database made from the coordinator';
{
	$cluster->sql('ALTER SYSTEM SET cz.recovery_interval = -1');
	$cluster->sql('SELECT pg_reload_conf()');
	ok($primary->poll_query_until('template1', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'postgres'"), 'nobody is in it');
	$primary->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
	my ($out, $err) = ('', '');
	$primary->psql('copy', 'DROP TABLE t', stderr => \$err);
	like($err, qr/not the coordinator of its cluster/, "can't drop its shards");
	$primary->psql('copy', 'SELECT cz_take_over()', stderr => \$err);
	like($err, qr/database "postgres" is the coordinator of this cluster/, 'nor take over unforced');
	$primary->safe_psql('template1', 'DROP DATABASE copy');
}

note 'promotion';
{
	$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = 0\ncz.recovery_interval = -1\n");
	$standby->restart;
	# the primary dies after its decision
	my $handle = $cluster->start_at('after_local_commit',
		'BEGIN; INSERT INTO l VALUES (2); INSERT INTO t SELECT i, 1 FROM generate_series(301, 320) i; COMMIT');
	# and in another transaction before it
	my $undecided = $cluster->start_at('after_prepare',
		'BEGIN; INSERT INTO l VALUES (3); INSERT INTO t SELECT i, 1 FROM generate_series(401, 420) i; COMMIT', 'undecided');
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
	$cluster->kill_coordinator;
	$cluster->finish_sql($_, 30) foreach $handle, $undecided;

	$standby->promote;
	is(prepared(), 2, 'promoted: nothing is finished yet');
	is((sql_on($standby, 'SELECT count(*) FROM t WHERE k < 200'))[1], '40', 'it reads');
	is(prepared(), 2, 'and finishes nothing');
	like((sql_on($standby, 'INSERT INTO t VALUES (1000, 1)'))[2], qr/55000/, 'it does not write');
	is((sql_on($standby, 'SELECT cz_take_over()'))[1], '2', 'it takes over');
	is((sql_on($standby, 'SELECT cz_take_over()'))[1], '2', 'once');
	is((sql_on($standby, 'SELECT count(*) FROM t WHERE k > 300'))[1], '20', 'the next read finds what was decided');
	sql_on($standby, 'SELECT recover_prepared_transactions()');
	is(prepared(), 0, 'nothing stays');
	my ($status, $out, $err) = sql_on($standby, 'INSERT INTO t SELECT i, 1 FROM generate_series(501, 520) i');
	is($status, 0, 'it writes') or diag($err);
	is((sql_on($standby, 'SELECT count(*) FROM t'))[1], '80', 'all rows are there');
}

note 'another promotion, by itself';
{
	$standby->append_conf('postgresql.conf', "cz.auto_take_over = on\ncz.recovery_interval = '500ms'\n");
	$standby->backup('second');
	my $next = PostgreSQL::Test::Cluster->new('next', install_path => $primary->install_path);
	$next->init_from_backup($standby, 'second', has_streaming => 1);
	$next->start;
	$standby->wait_for_catchup($next, 'replay', $standby->lsn('flush'));
	$standby->stop('immediate');
	$next->promote;
	ok($next->poll_query_until('postgres', 'SELECT epoch = 3 FROM cz.cluster'), 'cz.auto_take_over');
	my ($status, $out, $err) = sql_on($next, 'UPDATE t SET v = 5; SELECT sum(v) FROM t');
	is($out, '400', 'it writes') or diag($err);
	$cluster->{coordinator} = $next;
}

note 'pg_upgrade';
{
	my $old = $cluster->coordinator;
	$cluster->sql('ALTER SYSTEM SET cz.recovery_interval = -1');
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->sql('SELECT recover_prepared_transactions()');
	# a decision that its worker has not heard of
	my $handle = $cluster->start_at('after_local_commit',
		"BEGIN; INSERT INTO l VALUES (4); UPDATE t SET v = 6; COMMIT; SELECT 'done'");
	$cluster->worker_sql(1, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%'");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($out, 'done', 'committed') or diag($err);
	$old->stop('fast');

	my $new = PostgreSQL::Test::Cluster->new('upgraded', install_path => $old->install_path);
	$cluster->_init_node($new);
	$new->append_conf('postgresql.conf', "shared_preload_libraries = 'cz_fdw'\ncz.auto_analyze = off\ncz.recovery_interval = -1\n");
	my $bin = $old->install_path . '/bin';
	chdir $new->basedir;
	$new->command_ok([ 'pg_upgrade', '--no-sync', '-U', 'postgres', '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
			'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
	$new->start;
	is((sql_on($new, 'SELECT epoch FROM cz.cluster'))[1], '3', 'the cluster is the same');
	is((sql_on($new, 'SELECT sum(v) FROM t'))[1], '400', 'the new server reads');
	like((sql_on($new, 'DELETE FROM t'))[2], qr/55000/, 'and does not write');
	is((sql_on($new, 'SELECT cz_take_over()'))[1], '4', 'it takes over');
	is((sql_on($new, 'SELECT sum(v) FROM t'))[1], '480', 'and finishes what was decided');
	sql_on($new, 'SELECT recover_prepared_transactions()');
	is((sql_on($new, 'SELECT count(*) FROM cz.transaction_log'))[1], '0', 'for good');
	($status, $out, $err) = sql_on($new, "INSERT INTO t SELECT i, 1 FROM generate_series(601, 620) i; SELECT count(*) FROM t");
	is($out, '100', 'it writes') or diag($err);
	$new->stop('immediate');
}

$cluster->stop;
done_testing;
