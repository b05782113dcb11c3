# Nodes that are there and cannot be used: a worker that has become a standby, and one that is
# frozen while it is disabled, drained, removed, lost or given another address.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 4, worker_conf => "wal_level = replica\n",
	conf => "cz.shard_count = 8\ncz.shard_replication_factor = 2\ncz.worker_timeout = '1s'\ncz.connect_timeout = '1s'\n"
	  . "cz.recovery_interval = -1\ncz.health_interval = '100ms'\ncz.drop_delay = '100ms'\n");
my @ports = (0, map { $cluster->port($_) } 1 .. 4);
my @names = ('', map { $cluster->server_name($_) } 1 .. 4);
my ($status, $out, $err);

$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	CREATE TABLE one (k int PRIMARY KEY, v int);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	SELECT create_reference_table('r');
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k', colocate_with => 'none');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i;
	INSERT INTO one SELECT i, 0 FROM generate_series(1, 200) i;
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 20) i;
});
my $sums = 'SELECT (SELECT sum(v) FROM t), (SELECT sum(v) FROM r)';

sub node_is
{
	my ($i, $condition, $what) = @_;
	ok($cluster->coordinator->poll_query_until('postgres', "SELECT $condition FROM cz_nodes WHERE port = $ports[$i]"), $what);
	return;
}

note 'a worker that has become a standby';
{
	my $on_standby = $cluster->key_on(2, 'one');
	node_is(2, "state = 'up'", 'it is up');
	$cluster->worker_sql(2, 'CREATE TABLE plain AS SELECT 5 AS k');
	$cluster->worker(2)->stop;
	PostgreSQL::Test::Utils::append_to_file($cluster->worker(2)->data_dir . '/standby.signal', '');
	$cluster->worker(2)->start;
	is($cluster->worker_sql(2, 'SELECT pg_is_in_recovery()'), 't', 'it is one');

	($status, $out, $err) = $cluster->try_sql('UPDATE t SET v = v + 1; UPDATE r SET v = v + 1');
	is($status, 0, 'writes go on without it') or diag($err);
	cmp_ok($cluster->sql('SELECT count(*) FROM cz.placement_state'), '>', 0, 'its placements are inactive');
	is($cluster->sql($sums), '200|20', 'reads show what was written');
	($status, $out, $err) = $cluster->try_sql("UPDATE one SET v = 1 WHERE k = $on_standby");
	like($err, qr/ERROR:  08001.*recovery/s, 'what is only there cannot be written, and the reason is told');
	($status, $out, $err) = $cluster->try_sql("SELECT v FROM one WHERE k = $on_standby");
	like($err, qr/ERROR:  08001.*recovery/s, 'nor read: it may have missed writes');
	node_is(2, "state = 'down' AND reason ~ 'standby'", 'cz_nodes: it is down, and why');
	# which is told after that
	my $told = qr/LOG:  node "$names[2]" is (?:suspect|down)\n.*DETAIL:  It is a standby: the server is in recovery/;
	for (1 .. 100)
	{
		last if PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile) =~ $told;
		sleep 0.05;
	}
	like(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile), $told, 'so says the log');
	is($cluster->sql("SELECT result FROM citus_check_cluster_node_health() WHERE to_nodeport = $ports[2]"), 'f', 'it is not healthy');

	# a user's own server, which is no worker, may be a standby
	$cluster->sql("CREATE SERVER own FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '$ports[2]', dbname 'postgres'); "
		  . "CREATE USER MAPPING FOR PUBLIC SERVER own OPTIONS (user 'postgres'); "
		  . "CREATE FOREIGN TABLE plain (k int) SERVER own OPTIONS (schema_name 'public')");
	is($cluster->sql('SELECT k FROM plain'), '5', 'a foreign table on a standby is read');
	is($cluster->sql("SELECT state FROM cz_nodes WHERE node = 'own'"), 'up', 'its server is up');
	$cluster->sql('DROP SERVER own CASCADE');

	$cluster->worker(2)->promote;
	node_is(2, "state = 'up'", 'promoted: it is up again');
	($status, $out, $err) = $cluster->try_sql("UPDATE one SET v = 1 WHERE k = $on_standby");
	is($status, 0, 'and written') or diag($err);
	ok($cluster->repair, 'its placements are made whole');
	is($cluster->sql('SELECT count(*) FROM cz.placement_state'), '0', 'all of them');
	is($cluster->sql($sums), '200|20', 'no row is lost');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'a frozen worker';
{
	# nobody has found out yet; the reader has connections to all, and the writer has written there
	$cluster->sql('DROP TABLE one');
	my $key = $cluster->key_on(4, 't');
	my $whole = '200|' . $cluster->sql('SELECT sum(v) FROM t');
	my $node_id = $cluster->sql("SELECT node_id FROM cz_nodes WHERE port = $ports[4]");
	my $in_time = sub {
		my ($what, $sql, $limit) = @_;
		my $start = time;
		($status, $out, $err) = $cluster->try_sql($sql, timeout => 60);
		is($status, 0, "frozen: $what") or diag($err);
		my $took = time - $start;
		note("$what took $took s");
		cmp_ok($took, '<', $limit, "frozen: $what: in time");
	};
	my $whole_again = sub {
		my ($what) = @_;
		$cluster->thaw_worker(4);
		ok($cluster->repair, "$what: made whole");
		is($cluster->sql('SELECT count(*), sum(v) FROM t'), $whole, "$what: no row is lost");
		is($cluster->differing_placements(used => 1), '', "$what: placements are equal");
	};

	$cluster->freeze_worker($_) foreach 2 .. 4;
	# one after the other: three times as long
	$in_time->('citus_check_cluster_node_health asks all at once', "SET cz.connect_timeout = '8s'; SELECT count(*) FILTER (WHERE result) FROM citus_check_cluster_node_health()", 23);
	is($out, '1', 'one is well');
	$cluster->thaw_worker($_) foreach 2 .. 4;
	node_is($_, "state = 'up'", "worker $_ is up again") foreach 2 .. 4;
	ok($cluster->repair, 'no placement is left out');

	my $reader = $cluster->hold('SELECT count(*) FROM t');
	my $writer = $cluster->hold("UPDATE t SET v = v WHERE k = $key");
	$cluster->freeze_worker(4);
	$in_time->('citus_update_node', "SELECT citus_update_node($node_id, 'localhost', $ports[4]); SELECT citus_update_node($node_id, '127.0.0.1', $ports[4])", 30);
	like($err, qr/WARNING:  08001: node "$names[4]" cannot be reached at its new address/, 'with a warning');
	$in_time->('citus_disable_node', "SELECT citus_disable_node('127.0.0.1', $ports[4])", 30);
	($status, $out, $err) = $cluster->release($writer);
	$cluster->release($reader);
	$in_time->('DDL without it', q{ALTER TABLE t ADD COLUMN w int; CREATE INDEX ON t (v);
		CREATE TABLE late (k int PRIMARY KEY); SELECT create_distributed_table('late', 'k', colocate_with => 't'); INSERT INTO late VALUES (1), (2);
		ALTER TABLE r ADD COLUMN w int; UPDATE t SET v = v}, 40);
	$cluster->thaw_worker(4);
	$cluster->sql("SELECT citus_activate_node('127.0.0.1', $ports[4])");
	$whole_again->('disabled');

	$reader = $cluster->hold('SELECT count(*) FROM t');
	$cluster->freeze_worker(4);
	$in_time->('citus_drain_node', "SELECT citus_drain_node('127.0.0.1', $ports[4])", 50);
	is($cluster->sql("SELECT count(*) FROM citus_shards WHERE nodeport = $ports[4] AND citus_table_type = 'distributed'"), '0', 'nothing stays there');
	$in_time->('citus_remove_node', "SELECT citus_remove_node('127.0.0.1', $ports[4])", 30);
	$in_time->('DDL then', 'CREATE INDEX ON t (v); ALTER TABLE late ADD COLUMN v int; ALTER TABLE r ADD COLUMN x int', 30);
	$cluster->release($reader);
	$whole_again->('drained and removed');

	$cluster->sql("SELECT citus_add_node('127.0.0.1', $ports[4]); SELECT rebalance_table_shards()");
	cmp_ok($cluster->sql("SELECT count(*) FROM citus_shards WHERE nodeport = $ports[4]"), '>', 1, 'it is added again');
	my $name = $cluster->server_name(4);
	$reader = $cluster->hold('SELECT count(*) FROM t');
	$cluster->freeze_worker(4);
	$in_time->('cz_lose_node', "SELECT * FROM cz_lose_node('$name')", 30);
	# who has read before the shards were moved here keeps those that they come back to
	$cluster->release($reader);
	$in_time->('replicate_table_shards', 'SELECT replicate_table_shards()', 50);
	$whole_again->('lost');
	is($cluster->sql(q{SELECT count(*) FROM (SELECT shardid FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 't'::regclass AND shardstate = 1 GROUP BY 1 HAVING count(*) = 2) x}), '8', 'each shard has two placements');
}

note 'a group whose shards have other bounds, as by hand';
{
	$cluster->sql("CREATE TABLE g1 (k int); CREATE TABLE g2 (k int); SELECT create_distributed_table('g1', 'k', shard_count => 2, colocate_with => 'none'); "
		  . "SELECT create_distributed_table('g2', 'k', shard_count => 4, colocate_with => 'none')");
	is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), '0', 'nothing is wrong');
	$cluster->sql("UPDATE cz.tables SET colocation_id = (SELECT colocation_id FROM cz.tables WHERE relid = 'g1'::regclass) WHERE relid = 'g2'::regclass");
	is($cluster->sql("SELECT object, expected, found FROM cz_check_shards('g2') ORDER BY found LIMIT 1"), 'bounds|modulus 2, remainder 0|modulus 4, remainder 0', 'cz_check_shards finds it');
}

$cluster->stop;
done_testing;
