# Two coordinators of the same workers: with cz.distributed_snapshot = cluster who reads on one
# waits for a transaction of the other that is between its commits on several workers, and the
# reverse; a lock on one worker, the anchor, stands for that.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => qq{
wal_level = replica
max_wal_senders = 10
cz.shard_count = 6
cz.shard_replication_factor = 1
cz.worker_timeout = 5s
cz.connect_timeout = 2s
cz.recovery_interval = -1
cz.distributed_snapshot = cluster
});
$cluster->sql(q{
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 0 FROM generate_series(1, 40) i;
});

# A second coordinator that knows the same shards, and may read
$cluster->coordinator->backup('base');
my $other = PostgreSQL::Test::Cluster->new('other', install_path => $cluster->coordinator->install_path);
$other->init_from_backup($cluster->coordinator, 'base');
$other->start;

sub start_other
{
	my ($sql) = @_;
	my $handle = { out => '', err => '', started => time };
	$handle->{run} = IPC::Run::start(
		[ "$ENV{CZ_BINDIR}/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-h', '127.0.0.1', '-p', $other->port, '-U', 'postgres', 'postgres', '-c', $sql ],
		'<', \undef, '>', \$handle->{out}, '2>', \$handle->{err});
	return $handle;
}

# The anchor is the worker whose host and port come first
my ($anchor) = sort { $cluster->port($a) <=> $cluster->port($b) } 1 .. 3;
my $locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 25466 AND objid::bigint = 4294967295";

sub wait_for_lock
{
	my ($mode, $granted) = @_;
	return $cluster->worker($anchor)->poll_query_until('postgres', "$locks AND mode = '$mode' AND granted = $granted", '1');
}
my $value = 0;
my $read = 'SELECT min(v), max(v) FROM t';

note 'a commit here, a read there';
{
	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE t SET v = $value");
	my ($status, $out) = $cluster->finish_sql(start_other("SET cz.distributed_snapshot = on; SELECT min(v) < max(v) FROM t"), 60);
	is($out, 't', 'without it: part of it is seen');
	foreach my $sql ($read, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE k = 1; $read; COMMIT",
		'SELECT (SELECT min(v) FROM t), (SELECT max(v) FROM t)')
	{
		if (!$writer)
		{
			$value++;
			$writer = $cluster->start_at('during_commit_prepared', "UPDATE t SET v = $value");
		}
		my $reader = start_other($sql);
		ok(wait_for_lock('ExclusiveLock', 'false'), "$sql: it waits");
		$cluster->go;
		($status, $out, my $err) = $cluster->finish_sql($reader, 60);
		like($out, qr/^(?:$value\n)?\Q$value|$value\E$/, 'and sees all') or diag($err);
		is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
		$writer = undef;
	}
	ok($cluster->worker($anchor)->poll_query_until('postgres', $locks, '0'), 'no lock is left');
}

note 'a read there, a commit here';
{
	$value++;
	my $before = $value - 1;
	$other->append_conf('postgresql.conf', "cz.debug_point = 'anchor_taken=wait:taken'\n");
	$cluster->reload_node($other);
	my $reader = start_other($read);
	ok(wait_for_lock('ExclusiveLock', 'true'), 'it takes its snapshots');
	my $writer = $cluster->start_sql("UPDATE t SET v = $value");
	ok(wait_for_lock('ShareLock', 'false'), 'the writer waits');
	PostgreSQL::Test::Utils::append_to_file($other->data_dir . '/taken', '');
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, "$before|$before", 'it sees nothing of it') or diag($err);
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
	$other->append_conf('postgresql.conf', "cz.debug_point = ''\n");
	$cluster->reload_node($other);
	unlink $other->data_dir . '/taken';
}

note 'who is cancelled, or killed, gives the lock back';
{
	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE t SET v = $value");
	my ($status, undef, $err) = $cluster->finish_sql(start_other("SET statement_timeout = '300ms'; $read"), 60);
	like($err, qr/57014/, 'a reader is cancelled');
	$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objsubid = 25467 AND mode = 'RowExclusiveLock'");
	$cluster->finish_sql($writer, 60);
	ok($cluster->wait_for_recovery, 'what a writer that was killed has left is finished');
	ok($cluster->worker($anchor)->poll_query_until('postgres', $locks, '0'), 'no lock is left');
	is((($cluster->finish_sql(start_other($read), 60))[1]), "$value|$value", 'others read');
}

note 'the anchor cannot be reached';
{
	$cluster->sql(q{
		CREATE TABLE two (k int PRIMARY KEY, v int);
		SET cz.shard_replication_factor = 2;
		SELECT create_distributed_table('two', 'k', colocate_with => 'none');
		INSERT INTO two SELECT i, 0 FROM generate_series(1, 40) i;
	});
	my $unreachable = qr/08001: could not connect to node .*HINT:  With cz.distributed_snapshot = on/s;
	$cluster->kill_worker($anchor);
	foreach my $sql ('SELECT sum(v) FROM two', 'UPDATE two SET v = v + 1')
	{
		my ($status, undef, $err) = $cluster->try_sql($sql);
		isnt($status, 0, "$sql: no");
		like($err, $unreachable, 'and why');
	}
	is($cluster->sql('UPDATE two SET v = v + 1 WHERE k = 1 RETURNING v'), 1, 'statements on one shard go on');
	is($cluster->sql("SET cz.distributed_snapshot = on; SELECT sum(v) FROM two"), 1, 'and all do without it');
	$cluster->restart_worker($anchor);
	is($cluster->sql($read), "$value|$value", 'when it is back, it is used again');
	ok($cluster->repair, 'all placements are active');
	is($cluster->differing_placements, '', 'and equal');
}

$other->stop('immediate');
$cluster->stop;
done_testing();
