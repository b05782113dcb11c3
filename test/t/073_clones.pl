# Standbys of workers become workers: registered, promoted while others write, with half of their
# primary's shards and no row copied; what dies on the way; and a standby that replaces a dead
# worker.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 2, worker_conf => "wal_level = replica\nmax_wal_senders = 10\n",
	conf => "cz.recovery_interval = '300ms'\ncz.drop_delay = '100ms'\ncz.worker_timeout = '2s'\ncz.connect_timeout = '2s'\nrestart_after_crash = on\n");
my ($status, $out, $err);
my @port = (0, map { $cluster->port($_) } 1 .. 2);

$cluster->sql(q{
	CREATE TYPE mood AS ENUM ('sad', 'happy');
	SET cz.shard_count = 8;
	SET cz.shard_replication_factor = 1;
	CREATE TABLE r (id int PRIMARY KEY, v int);
	SELECT create_reference_table('r');
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 20) i;
	CREATE TABLE t (k int PRIMARY KEY, v int, r int REFERENCES r, m mood DEFAULT 'sad');
	CREATE TABLE e (k int, v int, j json);
	SELECT create_distributed_table('t', 'k', colocate_with => 'none');
	SELECT create_distributed_table('e', 'k', colocate_with => 't');
	CREATE TABLE p (k int, d int, v int) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
	SELECT create_distributed_table('p', 'k', colocate_with => 'none');
	CREATE UNLOGGED TABLE u (k int, v int);
	SELECT create_distributed_table('u', 'k', colocate_with => 'none');
	INSERT INTO t SELECT i, 0, 1 + i % 10 FROM generate_series(1, 400) i;
	INSERT INTO e SELECT i % 100, i, '{}' FROM generate_series(1, 400) i;
	INSERT INTO p SELECT i, i % 200, 0 FROM generate_series(1, 400) i;
	INSERT INTO u SELECT i, i FROM generate_series(1, 100) i;
	SET cz.shard_replication_factor = 2;
	CREATE TABLE two (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('two', 'k', colocate_with => 'none');
	INSERT INTO two SELECT i, 0 FROM generate_series(1, 200) i;
});

# Placements of a table's shards on a port
sub placed
{
	my ($port, $table) = @_;
	return $cluster->sql("SELECT count(*) FROM citus_shards WHERE nodeport = $port" . ($table ? " AND table_name = '$table'::regclass" : ''));
}

sub clone_id
{
	my ($n) = @_;
	return $cluster->sql('SELECT nodeid FROM pg_dist_node WHERE nodeport = ' . $cluster->port($n));
}

note 'who is no clone';
my $c = $cluster->add_standby(1);
$port[$c] = $cluster->port($c);
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_clone_node('127.0.0.1', $port[$c], '127.0.0.1', $port[2])");
like($err, qr/ERROR:  55000: the server at "127.0.0.1:$port[$c]" is not a copy of node/, 'a standby of another worker');
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_clone_node('127.0.0.1', $port[$c], '127.0.0.1', 1)");
like($err, qr/ERROR:  42704: node at "127.0.0.1:1" does not exist/, 'no such worker');
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_clone_node('127.0.0.1', $port[2], '127.0.0.1', $port[1])");
like($err, qr/ERROR:  42710: there is a node at "127.0.0.1:$port[2]" already/, 'a worker');
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_clone_node('127.0.0.1', 1, '127.0.0.1', $port[1])");
like($err, qr/ERROR:  08001/, 'nobody');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), 2, 'are not added');
$cluster->worker(1)->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$cluster->worker(1)->reload;
$cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')");
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_clone_node('127.0.0.1', $port[$c], '127.0.0.1', $port[1])");
like($err, qr/ERROR:  55000: the server at "127.0.0.1:$port[$c]" is a synchronous standby/, 'nor is one that commits wait for');
$cluster->worker(1)->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$cluster->worker(1)->reload;
$cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'async'");

note 'a clone';
my $id = $cluster->sql("SELECT citus_add_clone_node('127.0.0.1', $port[$c], '127.0.0.1', $port[1])");
my $primary_id = clone_id(1);
is($cluster->sql("SELECT isactive, shouldhaveshards, noderole, nodeisclone, nodeprimarynodeid = $primary_id FROM pg_dist_node WHERE nodeid = $id"),
	'f|f|unavailable|t|t', 'is a node that is not used');
is($cluster->sql("SELECT state FROM cz_nodes WHERE port = $port[$c]"), 'clone', 'also for cz_nodes');
is($cluster->sql("SET client_min_messages = error; SELECT citus_add_clone_node_with_nodeid('127.0.0.1', $port[$c], $primary_id)"), $id, 'and is added once');
foreach my $call ("citus_activate_node('127.0.0.1', $port[$c])", "citus_remove_node('127.0.0.1', $port[$c])", "citus_remove_node('127.0.0.1', $port[1])", "citus_remove_clone_node('127.0.0.1', $port[1])", "citus_promote_clone_and_rebalance($primary_id)")
{
	($status, $out, $err) = $cluster->try_sql("SELECT $call");
	like($err, qr/ERROR:  55000: .*clone/, "$call is refused");
}
($status, $out, $err) = $cluster->try_sql("SELECT citus_promote_clone_and_rebalance($id, catchup_timeout_seconds => -1)");
like($err, qr/ERROR:  22023/, 'a negative time');
($status, $out, $err) = $cluster->try_sql("SELECT citus_promote_clone_and_rebalance($id, 'nonsense')");
like($err, qr/ERROR:  22023: rebalance strategy "nonsense" does not exist/, 'no such strategy');
($status, $out, $err) = $cluster->try_sql("BEGIN; CREATE TABLE x (); SELECT citus_promote_clone_and_rebalance($id)");
like($err, qr/ERROR:  25001/, 'in a transaction that has written');
$cluster->sql("SELECT citus_remove_clone_node('127.0.0.1', $port[$c])");
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), 2, 'it can be forgotten');
$id = $cluster->sql("SELECT citus_add_clone_node('127.0.0.1', $port[$c], '127.0.0.1', $port[1])");
$cluster->sql('CREATE TABLE fresh (k int); SELECT create_distributed_table(\'fresh\', \'k\', shard_count => 4, colocate_with => \'none\')');
is(placed($port[$c]), 0, 'it gets no shards');

note 'the plan';
my $plan = "get_snapshot_based_node_split_plan('127.0.0.1', $port[1], '127.0.0.1', $port[$c], 'by_shard_count')";
is($cluster->sql("SELECT count(*), count(DISTINCT placement_node) FROM $plan"), placed($port[1]) - 1 - placed($port[1], 'p1') - placed($port[1], 'p2') . '|2', 'has all shards of the primary, for both');
is($cluster->sql("SELECT count(*) FROM $plan WHERE table_name = 't'::regclass AND placement_node = 'Clone Node'"), 2, 'half of those of a table for the clone');
is($cluster->sql("SELECT count(*) FROM (SELECT shardid - min(shardid) OVER (PARTITION BY table_name) AS n, placement_node FROM $plan WHERE table_name IN ('t'::regclass, 'e'::regclass)) x GROUP BY n HAVING count(DISTINCT placement_node) > 1"),
	'', 'what is colocated stays together');
is($cluster->sql("SELECT count(*) FROM $plan WHERE table_name = 'u'::regclass AND placement_node = 'Clone Node'"), 0, 'unlogged tables, which a standby does not have, stay');

note 'promoted while others write';
# each writer counts what was acknowledged, in a table here
$cluster->sql(q{
CREATE TABLE written (w int, n int, failed int);
CREATE PROCEDURE write_all(w int, seconds float8) LANGUAGE plpgsql AS $p$
DECLARE
	n int := 0; failed int := 0; key int; ok boolean;
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
	WHILE clock_timestamp() < until LOOP
		key := 1 + (n * 7 + w * 13) % 400;
		ok := true;
		BEGIN
			UPDATE t SET v = v + 1 WHERE k = key;
			INSERT INTO e VALUES (key, -w, '{"w": 1}');
			UPDATE p SET v = v + 1 WHERE k = 1 + (key * 3) % 400;
			UPDATE two SET v = v + 1 WHERE k = 1 + key % 200;
			UPDATE r SET v = v + 1 WHERE id = 10 + w;
		EXCEPTION WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
			failed := failed + 1;
			ok := false;
		END;
		COMMIT;
		IF ok THEN
			n := n + 1;
		END IF;
	END LOOP;
	INSERT INTO written VALUES (w, n, failed);
	COMMIT;
END $p$;
});

sub write_during
{
	my ($seconds, $what) = @_;
	my @handles = map { $cluster->start_sql("CALL write_all($_, $seconds)") } 1 .. 4;
	$what->();
	foreach my $h (@handles)
	{
		my ($s, undef, $e) = $cluster->finish_sql($h, $seconds + 60);
		is($s, 0, 'a writer has not failed') or diag($e);
	}
	return;
}

# What writers were told is there, once
sub is_right
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($cluster->sql('SELECT (SELECT sum(v) FROM t) = n, (SELECT count(*) FROM e WHERE v < 0) = n, (SELECT sum(v) FROM p) = n, (SELECT sum(v) FROM two) = n, (SELECT sum(v) FROM r) = n FROM (SELECT sum(n) AS n FROM written) w'),
		't|t|t|t|t', "$name: what was acknowledged is there, once")
	  or diag($cluster->sql('SELECT (SELECT sum(v) FROM t), (SELECT count(*) FROM e WHERE v < 0), (SELECT sum(v) FROM p), (SELECT sum(v) FROM two), (SELECT sum(v) FROM r), sum(n) FROM written'));
	is($cluster->sql('SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM p), (SELECT count(*) FROM two)'), '400|400|200', "$name: all rows");
	ok($cluster->wait_for_recovery, "$name: nothing is prepared");
	ok($cluster->repair, "$name: all placements are active");
	is($cluster->differing_placements(used => 1), '', "$name: and equal");
	is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), '0', "$name: shards are as their tables");
	return;
}

my $before = placed($port[1]);
write_during(6, sub {
	sleep 1;
	($status, $out, $err) = $cluster->try_sql("SELECT citus_promote_clone_and_rebalance($id, 'by_shard_count', 60)");
	is($status, 0, 'the clone is promoted') or diag($err);
	like($err, qr/NOTICE:  .*node "node_\d+" has been promoted and has taken over \d+ groups of shards.*DETAIL:  Their writers waited \d+ ms/s, 'and it is said how long writers waited');
	note $err;
});
is($cluster->sql("SELECT isactive, shouldhaveshards, noderole, nodeisclone FROM pg_dist_node WHERE nodeid = $id"), 't|t|primary|f', 'it is a node');
is(placed($port[$c], 't') . placed($port[1], 't'), '22', 'with half of the shards of its primary');
is(placed($port[$c], 'r'), 1, 'and a copy of each reference table');
is_right('promoted');
is($cluster->sql('SELECT count(*) FROM u'), 100, 'unlogged tables have their rows');
is($cluster->orphans, '', 'nothing is left where it was');
is($cluster->sql("SELECT phase, pause_ms > 0, attempts > 0 FROM cz_moves WHERE operation = 'promote'"), 'done|t|t', 'cz_moves has it');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.cleanup'), 'the clean-up list is empty');
my $mark = "SELECT obj_description('cz_shards'::regnamespace, 'pg_namespace')";
isnt($cluster->worker_sql(1, $mark), $cluster->worker_sql($c, $mark), 'it has an identity of its own');
unlike($cluster->worker_sql($c, $mark), qr/\n/, 'and not that of its primary');
($status, $out, $err) = $cluster->try_sql(q{ALTER TYPE mood ADD VALUE 'angry'; ALTER TABLE t ADD COLUMN w int DEFAULT 3; CREATE INDEX ON t (w); DELETE FROM r WHERE id = 20; SELECT sum(w) FROM t; CREATE TABLE later (k int, m mood); SELECT create_distributed_table('later', 'k', colocate_with => 't'); INSERT INTO later SELECT i, 'angry' FROM generate_series(1, 50) i});
is($status, 0, 'DDL reaches it') or diag($err);
my $shard = $cluster->sql("SELECT min(shardid) FROM citus_shards WHERE table_name = 't'::regclass AND nodeport = $port[$c]");
$cluster->sql("SELECT citus_move_shard_placement($shard, '127.0.0.1', $port[$c], '127.0.0.1', $port[1])");
$cluster->sql("SELECT citus_move_shard_placement($shard, '127.0.0.1', $port[1], '127.0.0.1', $port[$c])");
is_right('moved there and back');
is($cluster->orphans, '', 'without a trace');

# Take a node that was a clone out of the cluster again, or forget one that is of no use any more
sub retire
{
	my ($n) = @_;
	my $p = $cluster->port($n);
	if ($cluster->sql("SELECT nodeisclone FROM pg_dist_node WHERE nodeport = $p") eq 't')
	{
		$cluster->sql("SELECT citus_remove_clone_node('127.0.0.1', $p)");
	}
	else
	{
		$cluster->sql("SET client_min_messages = error; SELECT citus_drain_node('127.0.0.1', $p); SELECT citus_remove_node('127.0.0.1', $p)");
	}
	$cluster->drop_standby($n);
	return;
}

# Another clone of worker 1: its number and its id
sub add_clone
{
	my $n = $cluster->add_standby(1);
	return ($n, $cluster->sql("SELECT citus_add_clone_node('127.0.0.1', " . $cluster->port($n) . ", '127.0.0.1', $port[1])"));
}

retire($c);
is(placed($port[1], 't'), 4, 'its shards can be moved away');

note 'too slow';
($c, $id) = add_clone();
$cluster->worker_sql($c, 'SELECT pg_wal_replay_pause()');
write_during(3, sub {
	($status, $out, $err) = $cluster->try_sql("SELECT citus_promote_clone_and_rebalance($id, catchup_timeout_seconds => 1)");
	like($err, qr/ERROR:  57014: .*did not catch up with node "node_\d+" within 1 seconds/, 'a clone that does not catch up is not promoted');
});
is($cluster->sql("SELECT phase, pause_ms IS NULL FROM cz_moves ORDER BY move_id DESC LIMIT 1"), 'failed|t', 'and nobody waits for it');
$cluster->worker_sql($c, 'SELECT pg_wal_replay_resume()');
is_right('too slow');
is($cluster->orphans, '', 'nothing is left of the attempt');

note 'transactions that are prepared on the primary';
$plan = "get_snapshot_based_node_split_plan('127.0.0.1', $port[1], '127.0.0.1', " . $cluster->port($c) . ", 'by_shard_count')";
my ($stays, $goes) = map {
	$cluster->sql("SELECT min(k) FROM t WHERE get_shard_id_for_distribution_column('t', k) IN (SELECT shardid FROM $plan WHERE table_name = 't'::regclass AND placement_node = '$_ Node')")
} qw(Primary Clone);
my $other = $cluster->key_on(2, 't');
my $old = $cluster->sql('SELECT sum(v) FROM t');
my $inflight = $cluster->start_at('after_prepare', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $stays; UPDATE t SET v = v + 1 WHERE k = $other; COMMIT", 'stays');
my $second = $cluster->sql("SELECT min(k) FROM t WHERE get_shard_id_for_distribution_column('t', k) IN (SELECT shardid FROM citus_shards WHERE table_name = 't'::regclass AND nodeport = $port[2]) AND get_shard_id_for_distribution_column('t', k) <> get_shard_id_for_distribution_column('t', $other)");
my $waits = $cluster->start_at('after_prepare', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $goes; UPDATE t SET v = v + 1 WHERE k = $second; COMMIT", 'goes');
my $promotion = $cluster->start_sql("SELECT citus_promote_clone_and_rebalance($id, 'by_shard_count')");
$cluster->coordinator->poll_query_until('postgres', "SELECT attempts > 1 FROM cz_moves ORDER BY move_id DESC LIMIT 1");
is($cluster->sql("SELECT nodeisclone FROM pg_dist_node WHERE nodeid = $id"), 't', 'one with a shard that the clone would take is waited for');
is(($cluster->try_sql("SET statement_timeout = '60s'; UPDATE t SET v = v WHERE k = (SELECT max(k) FROM t WHERE get_shard_id_for_distribution_column('t', k) = get_shard_id_for_distribution_column('t', $goes))"))[0], 0, 'while others are served');
$cluster->go('goes');
is(($cluster->finish_sql($waits))[0], 0, 'it commits');
($status, $out, $err) = $cluster->finish_sql($promotion);
is($status, 0, 'one with a shard that stays is not') or diag($err);
is($cluster->worker_sql($c, 'SELECT count(*) FROM pg_prepared_xacts'), 0, 'and is forgotten on the clone');
$cluster->go('stays');
is(($cluster->finish_sql($inflight))[0], 0, 'it commits, too');
is($cluster->sql('SELECT sum(v) FROM t'), $old + 4, 'both are there');
$cluster->sql("UPDATE t SET v = v - 1 WHERE k IN ($stays, $goes, $other, $second)");
is_right('prepared');
is($cluster->orphans, '', 'nothing is left');
retire($c);

note 'promoted by somebody else';
($c, $id) = add_clone();
write_during(5, sub {
	my $handle = $cluster->start_sql("SELECT citus_promote_clone_and_rebalance($id, 'by_shard_count', 30, promote => false)");
	my $end = time + 30;
	while ($handle->{err} !~ /can be promoted now/ && time < $end)
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		sleep 0.02;
	}
	like($handle->{err}, qr/NOTICE:  00000: node "node_\d+" can be promoted now/, 'when the time has come, it is said');
	$cluster->worker($c)->promote;
	($status, $out, $err) = $cluster->finish_sql($handle);
	is($status, 0, 'the clone is a node then') or diag($err);
});
is_right('promoted by hand');
is($cluster->orphans, '', 'nothing is left');
retire($c);
($c, $id) = add_clone();
$cluster->worker($c)->promote;
($status, $out, $err) = $cluster->try_sql("SELECT citus_promote_clone_and_rebalance($id, 'by_shard_count', 30, promote => false)");
like($err, qr/ERROR:  55000: .*is not in recovery.*promoted already/s, 'before it is said it is too early');
retire($c);

note 'who dies';
my @points = qw(clone_begun clone_locked clone_caught_up clone_promoted clone_switching after_prepare after_local_commit during_commit_prepared clone_switched clone_done);
my @deaths = qw(kill primary clone error terminate);
my %was_done;
($c, $id) = add_clone();
foreach my $i (0 .. $#points)
{
	foreach my $d (0 .. $#deaths)
	{
		my ($point, $death) = ($points[$i], $deaths[$d]);
		next unless $ENV{CZ_MOVE_ALL} || $d == $i % @deaths || ($d == 0 && $i % 2 == 1);
		next if $death eq 'error' && $point =~ /after_local_commit|during_commit/; # errors there are fatal
		my $what = "$death at $point";
		my $begin = time;
		my $promote = "SELECT citus_promote_clone_and_rebalance($id, 'by_shard_count', 20)";
		if ($death eq 'kill' || $death eq 'error')
		{
			$cluster->try_sql("SET cz.debug_point = '$point=$death'; $promote");
		}
		else
		{
			my $handle = $cluster->start_at($point, $promote);
			if ($death eq 'terminate')
			{
				$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'cz_fdw move'");
			}
			else
			{
				my $victim = $death eq 'primary' ? 1 : $c;
				$cluster->kill_worker($victim);
				$cluster->go;
				$cluster->finish_sql($handle, 10);
				$cluster->restart_worker($victim);
			}
			$cluster->finish_sql($handle, 40);
		}
		my $end = time + 60;
		sleep 0.2 while ($cluster->try_sql('SELECT sum(v) FROM t'))[0] != 0 && time < $end;
		ok($cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 0 FROM cz_moves WHERE phase NOT IN ('done', 'failed')"), "$what: it has ended");
		write_during(0.5, sub { });
		is_right($what);
		my $is_node = $cluster->sql("SELECT NOT nodeisclone FROM pg_dist_node WHERE nodeid = $id") eq 't';
		is(placed($cluster->port($c), 't'), $is_node ? 2 : 0, "$what: the shards are where they should be");
		$was_done{$is_node ? 'done' : 'undone'}++;
		if ($is_node || $cluster->worker_sql($c, 'SELECT pg_is_in_recovery()') eq 'f')
		{
			is($cluster->orphans, '', "$what: nothing is left") if $is_node;
			retire($c);
			($c, $id) = add_clone();
		}
		is($cluster->orphans, '', "$what: nothing is left on others");
		note sprintf('%s: %s, %.1f s', $what, $is_node ? 'done' : 'undone', time - $begin);
	}
}
ok($was_done{done} && $was_done{undone}, 'some were done, some undone');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.cleanup'), 'the clean-up list is empty');
retire($c);

note 'a standby takes the place of a dead worker';
my $s = $cluster->add_standby(2);
my $node_id = clone_id(2);
$id = $cluster->sql("SELECT citus_add_clone_node('127.0.0.1', " . $cluster->port($s) . ", '127.0.0.1', $port[2])");
my $sum = $cluster->sql('SELECT sum(v) FROM t');
my ($one, $two) = ($cluster->key_on(1, 't'), $cluster->key_on(2, 't'));
# decided, and prepared on the worker that dies
my $decided = $cluster->start_at('after_local_commit', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $one; UPDATE t SET v = v + 1 WHERE k = $two; COMMIT");
$cluster->worker(2)->poll_query_until('postgres', 'SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication');
$cluster->kill_worker(2);
$cluster->go;
$cluster->finish_sql($decided);
($status, $out, $err) = $cluster->try_sql("SELECT sum(v) FROM t");
isnt($status, 0, 'its shards cannot be read');
$cluster->worker($s)->promote;
$cluster->sql("SELECT citus_update_node($node_id, '127.0.0.1', " . $cluster->port($s) . ")");
is($cluster->sql('SELECT sum(v) FROM t'), $sum + 2, 'what was decided is there as soon as the standby is the worker');
is($cluster->sql("SELECT count(*) FROM pg_dist_node WHERE nodeid = $id"), 0, 'it is no clone any more');
$cluster->drop_standby(2);
$cluster->sql("UPDATE t SET v = v - 1 WHERE k IN ($one, $two)");
is_right('replaced');

done_testing();
