# Backups of all nodes that fit together: while changes of the cluster are blocked, and as of a
# restore point, under a load of transactions over several workers, of replicas, of a reference
# table and of tables here.  Restored to other data directories at other ports: no sum differs,
# placements are equal, nothing is prepared.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $streaming = "wal_level = replica\nmax_wal_senders = 5\nwal_keep_size = 200MB\n";
my $cluster = CzCluster->new(workers => 3, conf => qq{
cz.shard_count = 4
cz.shard_replication_factor = 1
cz.recovery_interval = 500ms
$streaming});
my $node = $cluster->coordinator;
foreach my $i (1 .. 3)
{
	$cluster->worker($i)->append_conf('postgresql.conf', $streaming);
	$cluster->worker($i)->restart;
}
$cluster->sql(q{
CREATE TABLE acc (k int PRIMARY KEY, v bigint NOT NULL);
SELECT create_distributed_table('acc', 'k');
INSERT INTO acc SELECT i, 1000 FROM generate_series(1, 100) i;
SET cz.shard_replication_factor = 2;
CREATE TABLE rep (k int PRIMARY KEY, n bigint NOT NULL);
SELECT create_distributed_table('rep', 'k', colocate_with => 'none');
INSERT INTO rep SELECT i, 0 FROM generate_series(1, 100) i;
CREATE TABLE ref (id int PRIMARY KEY, n bigint NOT NULL);
SELECT create_reference_table('ref');
INSERT INTO ref VALUES (1, 0);
CREATE TABLE here (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO here VALUES (1, 0);
RESET cz.shard_replication_factor;
CREATE TABLE log (k int, id bigserial, PRIMARY KEY (k, id));
SELECT create_distributed_table('log', 'k');
});
is($cluster->sql('SELECT max(n) FROM (SELECT count(*) n FROM cz.placement_list() p JOIN cz.shard_list() s USING (shard_id) WHERE relid = \'rep\'::regclass GROUP BY shard_id) x'),
	'2', 'a table with two placements a shard');

# each transfer moves money between workers, and counts here what it does in other tables
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
append_to_file($script, q{
\set a random(1, 100)
\set b random(1, 100)
\set m random(1, 9)
BEGIN;
UPDATE acc SET v = v - :m WHERE k = :a;
UPDATE acc SET v = v + :m WHERE k = :b;
COMMIT;
UPDATE rep SET n = n + 1 WHERE k = :a;
INSERT INTO log (k) VALUES (:a);
BEGIN;
UPDATE here SET n = n + 1 WHERE id = 1;
UPDATE rep SET n = n - 1 WHERE k = :b;
UPDATE ref SET n = n + 1 WHERE id = 1;
COMMIT;
});

sub start_load
{
	my ($seconds) = @_;
	my $load = { out => '' };
	$load->{run} = IPC::Run::start(
		[
			"$ENV{CZ_BINDIR}/pgbench", '-n', '-c', '4', '-T', $seconds, '-f', $script, '--max-tries', '100',
			'-h', '127.0.0.1', '-p', $node->port, '-U', 'postgres', 'postgres'
		],
		'>', \$load->{out}, '2>&1');
	return $load;
}

sub end_load
{
	my ($load) = @_;
	$load->{run}->finish;
	like($load->{out}, qr/number of failed transactions: 0 /, 'no transaction of the load failed') or diag($load->{out});
	return;
}

sub backup
{
	my ($of, $name) = @_;
	my $bin = $of == $node ? $ENV{CZ_PREFIX_BIN} : $ENV{CZ_BINDIR};
	mkdir $of->backup_dir;
	command_ok([ "$bin/pg_basebackup", '-h', '127.0.0.1', '-p', $of->port, '-U', 'postgres', '-D',
		$of->backup_dir . "/$name", '-c', 'fast', '-X', 'stream' ], 'backup of ' . $of->name);
	return;
}

my %servers = map { $_ => $cluster->server_name($_) } 1 .. 3;

# A cluster from the backups: each server at a port of its own
sub restore
{
	my ($name, $backup, $conf) = @_;
	my @restored;
	foreach my $i (0 .. 3)
	{
		my $of = $i == 0 ? $node : $cluster->worker($i);
		my $server = PostgreSQL::Test::Cluster->new("$name$i",
			install_path => dirname($i == 0 ? $ENV{CZ_PREFIX_BIN} : $ENV{CZ_BINDIR}));
		$server->init_from_backup($of, $backup);
		$server->append_conf('postgresql.conf', $conf->($of)) if $conf;
		append_to_file($server->data_dir . '/recovery.signal', '') if $conf;
		$server->start;
		push @restored, $server;
	}
	foreach my $server (@restored)
	{
		ok($server->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), $server->name . ' is up');
	}
	my $coordinator = $restored[0];
	foreach my $i (1 .. 3)
	{
		# before it may decide anything: it must not meet the old workers
		$coordinator->safe_psql('postgres', "ALTER SERVER $servers{$i} OPTIONS (SET port '" . $restored[$i]->port . "')");
	}
	$coordinator->safe_psql('postgres', 'SELECT cz_take_over()');
	$coordinator->safe_psql('postgres', 'SELECT recover_prepared_transactions()');
	return @restored;
}

sub check
{
	my ($what, @restored) = @_;
	my $coordinator = $restored[0];
	is($coordinator->safe_psql('postgres', 'SELECT sum(v) FROM acc'), '100000', "$what: no money is lost");
	is($coordinator->safe_psql('postgres', 'SELECT (SELECT n FROM ref) = (SELECT n FROM here)'), 't', "$what: here as on all workers");
	foreach my $i (1 .. 3)
	{
		# a transaction that had written nothing on the coordinator has a number that is given again
		# there: what is prepared may seem to be in progress for a moment
		ok($restored[$i]->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_prepared_xacts'), "$what: nothing is prepared on worker $i");
		is($restored[$i]->safe_psql('postgres', "SELECT n FROM cz_shards." . $coordinator->safe_psql('postgres', q{SELECT split_part(shard_name, '.', 2) FROM cz.shard_list() WHERE relid = 'ref'::regclass})),
			$coordinator->safe_psql('postgres', 'SELECT n FROM here'), "$what: the copy on worker $i is that of here");
	}
	# shards that were being written are compared first, and until then used from one placement
	ok($coordinator->poll_query_until('postgres', 'SELECT bool_and(ok) FROM cz_verify_placements()'), "$what: placements are equal");
	is($coordinator->safe_psql('postgres', 'SELECT count(*) FROM cz.placement_state'), '0', "$what: and in use");
	is($coordinator->safe_psql('postgres', 'SELECT coalesce(max(id), 0) <= (SELECT last_value FROM log_id_seq) FROM log'), 't',
		"$what: the sequence is not behind its values");
	$coordinator->safe_psql('postgres', 'UPDATE acc SET v = v + 1; UPDATE rep SET n = n + 1; UPDATE ref SET n = n + 1; INSERT INTO log (k) SELECT i FROM generate_series(1, 100) i');
	is($coordinator->safe_psql('postgres', 'SELECT sum(v) FROM acc'), '100100', "$what: it can be written");
	return;
}

note 'what is blocked';
is($cluster->sql('SELECT state, worker_pid, timeout_ms FROM citus_cluster_changes_block_status()'), 'idle||', 'status: idle');
$cluster->sql('SELECT citus_cluster_changes_block()');
is($cluster->sql('SELECT state, timeout_ms, node_count, worker_pid > 0, block_start_time <= clock_timestamp() FROM citus_cluster_changes_block_status()'),
	'active|300000|4|t|t', 'status: active, though the session that has asked is gone');
my ($status, $out, $err) = $cluster->try_sql('SELECT citus_cluster_changes_block(1000)');
like($err, qr/55006.*blocked already/s, 'once only');
is($cluster->sql('SET statement_timeout = 60000; SELECT sum(v), count(*) FROM acc; SELECT * FROM ref; SELECT sum(n) FROM rep'), "100000|100\n1|0\n0", 'reads go on');
$cluster->sql("SET statement_timeout = 60000; UPDATE acc SET v = v + 1 WHERE k = 7; UPDATE acc SET v = v - 1 WHERE k = 7; INSERT INTO log (k) VALUES (1); UPDATE here SET n = n");
pass('so do transactions on one worker, and those here');
my %waits = (
	'several workers' => 'UPDATE acc SET v = v',
	'several placements' => 'UPDATE rep SET n = n WHERE k = 1',
	'a reference table' => 'UPDATE ref SET n = n + 1',
	'a worker and here' => 'BEGIN; UPDATE acc SET v = v WHERE k = 1; UPDATE here SET n = n; COMMIT',
	'DDL' => 'ALTER TABLE acc ADD COLUMN extra int',
	'a new table' => "CREATE TABLE young (k int); SELECT create_distributed_table('young', 'k')",
	'a move' => "SET statement_timeout = 400; SELECT citus_move_shard_placement(s.shard_id, f.nodename, f.nodeport, t.nodename, t.nodeport, 'block_writes') "
	  . "FROM cz.shard_list() s JOIN pg_dist_shard_placement f ON f.shardid = s.shard_id JOIN pg_dist_node t ON t.nodeport <> f.nodeport "
	  . "WHERE s.relid = 'log'::regclass LIMIT 1");
foreach my $what (sort keys %waits)
{
	($status, $out, $err) = $cluster->try_sql("SET lock_timeout = 400; $waits{$what}");
	like($err, qr/55P03|57014/, "$what waits") or diag("$status $out $err");
}
my $ddl = $cluster->start_sql('ALTER TABLE acc ADD COLUMN extra int');
sleep 0.7;
is($cluster->sql('SET statement_timeout = 60000; SELECT count(*) FROM acc'), '100', 'who waits for the block has no locks that readers want');
is($cluster->sql('SELECT citus_cluster_changes_unblock()'), 't', 'unblocked');
($status, $out, $err) = $cluster->finish_sql($ddl, 30);
is($status, 0, 'DDL goes on then') or diag($err);
like($err, qr/NOTICE:.*changes of the cluster are blocked: waiting/, 'and has said why it waited');
is($cluster->sql('SELECT state FROM citus_cluster_changes_block_status()'), 'idle', 'status: idle');
($status, $out, $err) = $cluster->try_sql('SELECT citus_cluster_changes_unblock()');
like("$out $err", qr/f .*WARNING.*were not blocked/s, 'nothing to unblock');

note 'it ends by itself';
# the block itself must be there within that time
$cluster->sql('SELECT citus_cluster_changes_block(5000)');
my $begin = time;
$cluster->sql('UPDATE acc SET v = v');
cmp_ok(time - $begin, '<', 60, 'who waits goes on when the time is over');
is($cluster->sql('SELECT state FROM citus_cluster_changes_block_status()'), 'timed out', 'status: timed out');
($status, $out, $err) = $cluster->try_sql('SELECT citus_cluster_changes_unblock()');
like("$out $err", qr/f .*WARNING.*They were for 5000 ms.*do not fit together/s, 'who unblocks hears of it');
$cluster->sql('SELECT citus_cluster_changes_block()');
$cluster->sql('SELECT pg_terminate_backend(worker_pid) FROM citus_cluster_changes_block_status()');
ok($node->poll_query_until('postgres', "SELECT state = 'failed' FROM citus_cluster_changes_block_status()"), 'status: failed');
($status, $out, $err) = $cluster->try_sql('SELECT citus_cluster_changes_unblock()');
like("$out $err", qr/f .*WARNING.*has ended/s, 'who unblocks hears of that');
my $open = $cluster->start_at('after_prepare', 'UPDATE acc SET v = v');
($status, $out, $err) = $cluster->try_sql('SELECT citus_cluster_changes_block(500)');
like($err, qr/55P03.*could not block changes of the cluster within 500 ms/s, 'a commit that does not end') or diag("$status $out $err");
$cluster->go;
$cluster->finish_sql($open, 30);
foreach my $bad (0, -1, 86400001)
{
	($status, $out, $err) = $cluster->try_sql("SELECT citus_cluster_changes_block($bad)");
	like($err, qr/22023/, "timeout $bad is refused");
}
($status, $out, $err) = $cluster->try_sql('BEGIN; UPDATE acc SET v = v WHERE k = 1; SELECT citus_cluster_changes_block()');
like($err, qr/25001/, 'not in a transaction that has written');

note 'a backup of all nodes under load';
my $load = start_load(25);
sleep 1;
$cluster->sql('SELECT citus_cluster_changes_block()');
backup($cluster->worker($_), 'b') foreach 1 .. 3;
backup($node, 'b');
is($cluster->sql('SELECT citus_cluster_changes_unblock()'), 't', 'the block lasted');

note 'restore point';
($status, $out, $err) = $cluster->try_sql("SELECT citus_create_restore_point('" . ('x' x 64) . "')");
like($err, qr/22023/, 'a name that is too long');
like($cluster->sql("SELECT citus_create_restore_point('midway')"), qr{^[0-9A-F]+/[0-9A-F]+$}, 'a restore point under load');
my $point = $cluster->start_at('gate_closed', "SELECT citus_create_restore_point('other')");
($status, $out, $err) = $cluster->try_sql('SET lock_timeout = 400; UPDATE acc SET v = v');
like($err, qr/55P03/, 'commits wait while it is made');
$cluster->go;
is(($cluster->finish_sql($point, 30))[0], 0, 'it is made');
end_load($load);
$cluster->sql("CREATE ROLE clerk LOGIN; GRANT EXECUTE ON FUNCTION citus_create_restore_point TO clerk");
$cluster->worker_sql($_, 'CREATE ROLE clerk LOGIN') foreach 1 .. 3;
$cluster->sql('CREATE USER MAPPING FOR clerk SERVER ' . $cluster->server_name($_) . " OPTIONS (user 'clerk', password_required 'false')") foreach 1 .. 3;
($status, $out, $err) = $cluster->try_sql("SET SESSION AUTHORIZATION clerk; SELECT citus_create_restore_point('mine')");
like($err, qr/42501.*role "clerk" may not create restore points on node.*GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point\(text\) TO clerk/s,
	'a worker that does not let us: what to grant');
$cluster->worker_sql($_, 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point(text) TO clerk') foreach 1 .. 3;
$cluster->sql("SET SESSION AUTHORIZATION clerk; SELECT citus_create_restore_point('mine')");
pass('and then it does');
$cluster->worker($_)->stop('fast') foreach 1 .. 3;
($status, $out, $err) = $cluster->try_sql("SELECT citus_create_restore_point('none')");
like($err, qr/08001.*could not ask node/s, 'a worker that is down');
$node->stop('fast');

my @restored = restore('r', 'b', undef);
check('backup while blocked', @restored);
$_->stop('immediate') foreach reverse @restored;

@restored = restore('p', 'b', sub {
	my ($of) = @_;
	return "restore_command = 'cp " . $of->data_dir . "/pg_wal/%f %p'\nrecovery_target_name = 'midway'\nrecovery_target_action = promote\n";
});
check('restore point', @restored);
$_->stop('immediate') foreach reverse @restored;

$cluster->stop;
done_testing();
