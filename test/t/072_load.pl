# The cluster changes while clients read and write (test/fuzz/load.py, short): a worker is added,
# shards move, factors change, workers are drained, frozen, disabled, lost.  Before that, step by
# step, what such a run has found, or would find by chance only.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 4,
	conf => "cz.recovery_interval = '500ms'\ncz.drop_delay = '300ms'\ncz.connect_timeout = '2s'\ncz.worker_timeout = '2s'\nmax_worker_processes = 24\nmax_connections = 150\n");
my @ports = (0, map { $cluster->port($_) } 1 .. 4);
my @names = ('', map { $cluster->server_name($_) } 1 .. 4);
my ($status, $out, $err);

note 'cz_nodes without a background worker that looks (cz.health_interval = -1)';
is($cluster->sql("SELECT string_agg(state, ' '), bool_and(last_contact IS NOT NULL AND bytes >= 0) FROM cz_nodes"), 'up up up up|t', 'what is asked answers');
$cluster->kill_worker(4);
is($cluster->sql("SELECT string_agg(state, ' ' ORDER BY node_id), max(reason) FROM cz_nodes"), 'up up up suspect|It did not answer a statement.', 'one that is dead does not');
$cluster->restart_worker(4);
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT bool_and(state = 'up') FROM cz_nodes}), 'when it is back it does');
$cluster->sql('CREATE ROLE nobody');
is($cluster->sql('SET ROLE nobody; SELECT count(*) FROM cz_nodes'), '4', 'whoever looks');

note 'a node whose connections are all in use is looked at all the same';
$cluster->sql("ALTER SERVER $names[1] OPTIONS (ADD pool_size '1')");
$cluster->sql("ALTER SYSTEM SET cz.health_interval = '200ms'");
$cluster->sql('SELECT pg_reload_conf()');
$cluster->sql(q{CREATE TABLE busy (k int); SET cz.shard_replication_factor = 1; SELECT create_distributed_table('busy', 'k', shard_count => 4, colocate_with => 'none')});
my $busy = $cluster->hold('INSERT INTO busy SELECT generate_series(1, 100)');
my $contact = $cluster->sql("SET statement_timeout = '60s'; SELECT last_contact FROM cz_nodes WHERE node = '$names[1]'");
ok($cluster->coordinator->poll_query_until('postgres', "SELECT last_contact > '$contact'::timestamptz + interval '1s' FROM cz_nodes WHERE node = '$names[1]'"), 'by the view and the background worker');
$cluster->release($busy);
$cluster->sql("DROP TABLE busy; ALTER SERVER $names[1] OPTIONS (DROP pool_size)");
$cluster->sql('ALTER SYSTEM RESET cz.health_interval');
$cluster->sql('SELECT pg_reload_conf()');

note 'a statement that has looked up the only placement and writes it when there is a second one';
$cluster->sql(q{
	SET cz.shard_replication_factor = 1;
	CREATE TABLE one (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('one', 'k', shard_count => 2, colocate_with => 'none');
	INSERT INTO one SELECT i, 0 FROM generate_series(1, 100) i});
foreach my $mode ('auto', 'block_writes')
{
	my $shard = $cluster->sql("SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'one'::regclass");
	my $from = $cluster->sql("SELECT min(nodeport) FROM pg_dist_shard_placement WHERE shardid = $shard");
	my ($to) = grep { $_ != $from } @ports[1 .. 3];
	my $key = $cluster->sql("SELECT min(k) FROM one WHERE get_shard_id_for_distribution_column('one', k) = $shard");
	my $writer = $cluster->start_at('shard_entered', "UPDATE one SET v = v + 1 WHERE k = $key");
	my $copy = $cluster->start_sql("SELECT citus_copy_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to, '$mode')");
	sleep 1.5;
	is($cluster->sql("SELECT count(*) FROM pg_dist_shard_placement WHERE shardid = $shard"), '1', "$mode: the copy waits for it");
	is($cluster->sql("SET statement_timeout = '60s'; UPDATE one SET v = v + 1 WHERE k = $key RETURNING v"), '1', "$mode: nobody else waits");
	$cluster->go;
	($status, $out, $err) = $cluster->finish_sql($writer, 30);
	is($status, 0, "$mode: it is done") or diag($err);
	($status, $out, $err) = $cluster->finish_sql($copy, 60);
	is($status, 0, "$mode: and so is the copy") or diag($err);
	is($cluster->orphans, '', "$mode: nothing is left");
	is($cluster->differing_placements(used => 1), '', "$mode: both placements have what it wrote");
	is($cluster->sql("SELECT v FROM one WHERE k = $key"), '2', "$mode: once");
	# the other way with the next one
	$cluster->sql("SELECT replicate_table_shards('one', 1); UPDATE one SET v = 0");
}

note 'the replication factor of a group, up and down';
$cluster->sql(q{
	SET cz.shard_replication_factor = 2;
	CREATE TABLE f (k int PRIMARY KEY, v int);
	CREATE TABLE g (k int, t text);
	SELECT create_distributed_table('f', 'k', shard_count => 8, colocate_with => 'none');
	SELECT create_distributed_table('g', 'k', colocate_with => 'f');
	INSERT INTO f SELECT i, i FROM generate_series(1, 300) i;
	INSERT INTO g SELECT i, 'g' || i FROM generate_series(1, 300) i});
my $sums = 'SELECT (SELECT sum(v) FROM f), (SELECT count(*) FROM g)';
my $all = $cluster->sql($sums);
sub copies
{
	return $cluster->sql(q{SELECT logicalrelid, min(n), max(n) FROM (SELECT logicalrelid, shardid, count(DISTINCT nodeport) AS n FROM pg_dist_shard_placement
		JOIN pg_dist_shard USING (shardid) WHERE logicalrelid IN ('f'::regclass, 'g'::regclass) GROUP BY 1, 2) x GROUP BY 1 ORDER BY 1});
}
my $factor = q{SELECT replicationfactor FROM pg_dist_colocation WHERE colocationid = (SELECT colocationid FROM pg_dist_partition WHERE logicalrelid = 'f'::regclass)};
$cluster->sql("SET client_min_messages = warning; SELECT replicate_table_shards('f', 3)");
is(copies(), "f|3|3\ng|3|3", 'up: three of each, of the whole group');
is($cluster->sql($factor), '3', 'the group has it');
is($cluster->orphans, '', 'nothing is left of the copies');
is($cluster->differing_placements(used => 1), '', 'and they are equal');
# the reader keeps what it has looked up; a writer is waited for
my $reader = $cluster->hold('SELECT count(*) FROM f');
my $writer = $cluster->start_sql("BEGIN; UPDATE f SET v = v + 0 WHERE k = 1; SELECT pg_sleep(1.5); COMMIT");
sleep 0.3;
$cluster->sql("SELECT replicate_table_shards('g', 1)");
($status, $out, $err) = $cluster->finish_sql($writer, 30);
is($status, 0, 'down: who has written goes on') or diag($err);
is(copies(), "f|1|1\ng|1|1", 'down: one of each');
is($cluster->sql($factor), '1', 'the group has it');
is($cluster->sql($sums), $all, 'all rows are there');
is($cluster->sql(q{SELECT max(n) - min(n) <= 2 FROM (SELECT nodeport, count(*) AS n FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'f'::regclass GROUP BY 1) x}),
	't', 'on all nodes about the same number');
cmp_ok($cluster->sql("SELECT count(*) FROM cz.cleanup WHERE policy = 'on_success'"), '>', 0, 'what a reader may know is there still');
$cluster->release($reader);
is($cluster->orphans, '', 'and is dropped when he has ended');
$cluster->sql("SET client_min_messages = warning; SELECT replicate_table_shards('f', 2)");
is(copies(), "f|2|2\ng|2|2", 'up again');
($status, $out, $err) = $cluster->try_sql("SELECT replicate_table_shards('f', 5)");
like($err, qr/WARNING:  01000: there is no other node for 8 placements/, 'more than there are nodes');
is($cluster->sql($factor), '2', 'is not noted');

note 'a worker that is back when its placements have been made elsewhere';
foreach my $setting ("cz.health_interval = '200ms'", "cz.rereplication_delay = '500ms'")
{
	$cluster->sql("ALTER SYSTEM SET $setting");
}
$cluster->sql('SELECT pg_reload_conf()');
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT bool_and(state = 'up') FROM cz_nodes}), 'all are up');
$cluster->sql("SET client_min_messages = warning; SELECT replicate_table_shards('f', 2)");
$cluster->kill_worker(2);
my $whole = q{SELECT min(n) >= 2 FROM (SELECT shardid, count(*) AS n FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) JOIN cz_nodes c ON c.port = nodeport
	WHERE logicalrelid IN ('f'::regclass, 'g'::regclass) AND shardstate = 1 AND state = 'up' GROUP BY 1) x};
ok($cluster->coordinator->poll_query_until('postgres', $whole), 'a dead one: made elsewhere');
$cluster->sql('UPDATE f SET v = v + 1');
$cluster->restart_worker(2);
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT max(n) = 2 FROM (SELECT count(*) AS n FROM pg_dist_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'f'::regclass GROUP BY shardid) x}),
	'it is back: what is too many goes');
ok($cluster->repair, 'what it has is whole');
is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', 'and equal');
$cluster->sql("ALTER SYSTEM RESET cz.rereplication_delay");
$cluster->sql("ALTER SYSTEM RESET cz.health_interval");
$cluster->sql('SELECT pg_reload_conf()');
is($cluster->orphans, '', 'nothing is left');

note 'what asks all nodes, and administration, while one is frozen or dead';
sub within
{
	my ($seconds, $sql, $name) = @_;
	my $start = time;
	($status, $out, $err) = $cluster->try_sql("SET client_min_messages = error; $sql", timeout => 60);
	cmp_ok(time - $start, '<', $seconds, "$name: " . (split ';', $sql)[0]);
	return $out;
}
foreach my $how ('frozen', 'dead')
{
	$how eq 'frozen' ? $cluster->freeze_worker(3) : $cluster->kill_worker(3);
	foreach my $sql ('SELECT count(*) FROM citus_shards', 'SELECT count(*) FROM citus_tables', 'SELECT count(*) FROM get_rebalance_table_shards_plan()',
		'SELECT count(*) FROM cz_nodes', "SELECT citus_total_relation_size('f', false)", 'SELECT count(*) FROM citus_check_cluster_node_health()',
		'SELECT cz_repair_placements()', 'SELECT count(*) FROM cz_verify_placements()', 'SELECT recover_prepared_transactions()')
	{
		within(20, $sql, $how);
	}
	within(40, 'SELECT rebalance_table_shards()', $how);
	is($status, 0, "$how: nothing is moved to it") or diag($err);
	within(30, "SELECT citus_disable_node('127.0.0.1', $ports[3])", $how);
	is($status, 0, "$how: it can be disabled") or diag($err);
	within(40, "SELECT citus_activate_node('127.0.0.1', $ports[3])", $how);
	like($err, qr/ERROR:  08/, "$how: it cannot be activated");
	$how eq 'frozen' ? $cluster->thaw_worker(3) : $cluster->restart_worker(3);
	$cluster->sql("SELECT citus_activate_node('127.0.0.1', $ports[3])");
	ok($cluster->repair, "$how: when it is back it can, and is whole");
	is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', "$how: and equal");
}

note 'a node is drained while somebody takes it out of use';
my $slow = $cluster->hold('UPDATE f SET v = v + 1 WHERE k = 1');
my $port = $cluster->sql("SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = get_shard_id_for_distribution_column('f', 1) LIMIT 1");
my $drain = $cluster->start_sql("SET client_min_messages = error; SELECT citus_drain_node('127.0.0.1', $port)");
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT count(*) = 1 FROM cz_moves WHERE phase NOT IN ('done', 'failed') AND started_at < clock_timestamp() - interval '1 second'}), 'a move waits for a writer');
within(40, "SELECT citus_disable_node('127.0.0.1', $port)", 'meanwhile');
is($status, 0, 'meanwhile: done') or diag($err);
$cluster->release($slow);
($status, $out, $err) = $cluster->finish_sql($drain, 60);
isnt($status, -1, 'the drain comes to an end') or diag($err);
$cluster->sql("SELECT citus_activate_node('127.0.0.1', $port)");
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $port, 'shouldhaveshards', true)");
ok($cluster->repair, 'all is whole');

$cluster->sql('DROP TABLE one, f, g');
is($cluster->orphans, '', 'nothing is left of all that');

note 'a worker is given up while transactions have left it out';
$cluster->sql(q{SET cz.shard_replication_factor = 2; CREATE TABLE gone (k int PRIMARY KEY); CREATE TABLE gone_single (k int PRIMARY KEY);
	SELECT create_distributed_table('gone', 'k', shard_count => 8, colocate_with => 'none');
	SELECT create_distributed_table('gone_single', 'k', shard_count => 8, colocate_with => 'none')});
$cluster->kill_worker(4);
my $block = $cluster->hold('INSERT INTO gone SELECT generate_series(1, 100)');
my $single = $cluster->start_at('before_mark', 'INSERT INTO gone_single SELECT generate_series(1, 100)');
$cluster->sql("SELECT * FROM cz_lose_node('$names[4]')");
$cluster->go;
foreach my $is_single (0, 1)
{
	($status, $out, $err) = $is_single ? $cluster->finish_sql($single, 60) : $cluster->release($block);
	is($status, 0, $is_single ? 'a statement is committed' : 'a block is committed') or diag($err);
	like($err, qr/WARNING:  08006: placements on node "$names[4]" are left out/, 'it had left it out');
}
is($cluster->sql('SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM gone_single)'), '100|100', 'all of it is there');
is($cluster->sql('SELECT count(*) FROM cz.placement_state'), '0', 'of the worker nothing is noted');
$cluster->sql('DROP TABLE gone, gone_single');
$cluster->restart_worker(4);
$cluster->worker_sql(4, q{SELECT format('DROP TABLE %s', oid::regclass) FROM pg_class WHERE relname LIKE 'gone%' AND relkind = 'r' \gexec});

note 'under load';
$cluster->worker_sql(4, 'CREATE DATABASE oracle');
my $load = dirname(__FILE__) . '/../fuzz/load.py';
my $seconds = $ENV{LOAD_SECONDS} // 24;
my $options = join ' ', '--coordinator', '127.0.0.1:' . $cluster->coordinator->port, '--oracle', "127.0.0.1:$ports[4]", '--oracle-database oracle',
	'--workers', join(',', map { "$ports[$_]=" . $cluster->worker($_)->data_dir } 1 .. 3), '--spare', "$ports[4]=" . $cluster->worker(4)->data_dir,
	'--seconds', $seconds, ($ENV{LOAD_SEED} ? "--seed $ENV{LOAD_SEED}" : ()), ($seconds < 120 ? '--keys 4 --rows 40' : '');
my $said = `python3 $load $options 2>&1`;
note $said;
like($said, qr/^ok load/m, 'load.py') or diag($said);

$cluster->stop;
done_testing();
