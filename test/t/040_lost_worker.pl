# A worker that is down does not stop writes to shards that have another placement: the
# placements there are marked inactive with the transaction, read no more, and made whole
# when the node is back.  Nothing that was acknowledged is only on what is lost.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [3],
	conf => "cz.shard_count = 8\ncz.worker_timeout = '1s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = -1\n");
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int, t text);
	CREATE TABLE u (k int, v int);
	CREATE TABLE one (k int PRIMARY KEY, v int);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('u', 'k', colocate_with => 't');
	SELECT create_reference_table('r');
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k', colocate_with => 'none');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i;
	INSERT INTO u SELECT i, 0 FROM generate_series(1, 200) i;
	INSERT INTO one SELECT i, 0 FROM generate_series(1, 200) i;
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 20) i;
});

sub inactive { return $cluster->sql('SELECT count(*) FROM cz.placement_state'); }

sub is_whole
{
	my ($what) = @_;
	ok($cluster->repair, "$what: made whole");
	is($cluster->sql("SELECT count(*) FROM cz_verify_placements() WHERE NOT ok AND table_name <> 'one'::regclass"), '0',
		"$what: cz_verify_placements");
	is($cluster->differing_placements, '', "$what: placements are equal");
	return;
}

my %key = map { $_ => $cluster->key_on($_, 't') } 1 .. 3;

note 'down before';
# each on tables of its own: what is marked by an earlier one is not tried again
my @writes = (
	[ 'UPDATE of one row', 'UPDATE t$N SET v = v + 1 WHERE k = $K' ],
	[ 'UPDATE of all', 'UPDATE t$N SET v = v + 1' ],
	[ 'UPDATE without a key', 'UPDATE u$N SET v = v + 1' ],
	[ 'INSERT', 'INSERT INTO t$N VALUES (1001, 1)' ],
	[ 'INSERT of several', 'INSERT INTO t$N SELECT i, 1 FROM generate_series(1001, 1010) i' ],
	[ 'COPY', "COPY u\$N FROM STDIN;\n" . join('', map { "$_\t5\n" } 2000 .. 2100) . "\\.\n" ],
	[ 'DELETE', 'DELETE FROM t$N WHERE k > 5' ],
	[ 'row locks', 'BEGIN; SELECT v FROM t$N WHERE k = $K FOR UPDATE; UPDATE t$N SET v = v + 1 WHERE k = $K; COMMIT' ],
	[ 'exception block', q{DO $$ BEGIN BEGIN UPDATE t$N SET v = v + 1; RAISE EXCEPTION 'undo'; EXCEPTION WHEN raise_exception THEN NULL; END; UPDATE t$N SET v = v + 1; END $$} ],
	[ 'reference table', 'INSERT INTO r$N SELECT i, 1 FROM generate_series(100, 130) i' ],
	[ 'reference table, UPDATE', 'UPDATE r$N SET v = v + 1' ],
	[ 'all', 'BEGIN; UPDATE r$N SET v = v + 1; UPDATE t$N SET v = v + 1; INSERT INTO u$N VALUES (5, 5); COMMIT' ],
	[ 'REPEATABLE READ', 'BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE t$N SET v = v + 1 WHERE k = $K; COMMIT' ],
	[ 'TRUNCATE', 'TRUNCATE u$N' ]);
my (@before, @expected);
for my $n (0 .. $#writes)
{
	$cluster->sql("CREATE TABLE t$n (k int PRIMARY KEY, v int); CREATE TABLE u$n (k int, v int); CREATE TABLE r$n (k int PRIMARY KEY, v int); "
		  . "SELECT create_distributed_table('t$n', 'k', colocate_with => 'none', shard_count => 2); SELECT create_distributed_table('u$n', 'k', colocate_with => 't$n'); "
		  . "SELECT create_reference_table('r$n'); INSERT INTO t$n SELECT i, 0 FROM generate_series(1, 20) i; "
		  . "INSERT INTO u$n SELECT i, 0 FROM generate_series(1, 20) i; INSERT INTO r$n SELECT i, 0 FROM generate_series(1, 20) i");
	my $state = "SELECT (SELECT (count(*), sum(v)) FROM t$n), (SELECT (count(*), sum(v)) FROM u$n), (SELECT (count(*), sum(v)) FROM r$n)";
	my $k = $cluster->key_on(2, "t$n");
	$writes[$n][1] =~ s/\$N/$n/g;
	$writes[$n][1] =~ s/\$K/$k/g;
	# what it does, undone
	(my $body = $writes[$n][1]) =~ s/^BEGIN[^;]*;|COMMIT$//g;
	push @expected, (split /\n/, $cluster->sql("BEGIN; $body; $state; ROLLBACK;"))[-1];
	push @before, $state;
}
$cluster->kill_worker(2);
for my $n (0 .. $#writes)
{
	my ($what, $sql) = @{ $writes[$n] };
	my $before = inactive();
	my ($status, $out, $err) = $cluster->try_sql($sql, timeout => 60);
	is($status, 0, "$what goes on without the worker") or diag($err);
	like($err, qr/WARNING:  08006: placements on node "node_2" are left out/, "$what: a warning");
	cmp_ok(inactive(), '>', $before, "$what: placements are inactive");
	is($cluster->sql($before[$n]), $expected[$n], "$what: is there");
}
$cluster->restart_worker(2);
is($cluster->sql($before[$_]), $expected[$_], "$writes[$_][0]: stale rows are not read when the node is back") foreach 0 .. $#writes;
is_whole('down before');
is($cluster->sql($before[$_]), $expected[$_], "$writes[$_][0]: nothing is lost by the repair") foreach 0 .. $#writes;

note 'lost within a transaction';
{
	# worker 2 has this transaction's rows as the second placement of the key's shard, or not at all
	my $second = $cluster->sql("SELECT min(k) FROM t WHERE get_shard_id_for_distribution_column('t', k) IN "
		  . "(SELECT p.shardid FROM pg_dist_shard_placement p JOIN cz.placement_list() l ON l.placement_id = p.placementid "
		  . "WHERE p.nodeport = " . $cluster->port(2) . ' AND l.position = 1)');
	my $hold = $cluster->hold("UPDATE t SET v = 77 WHERE k = $second; SAVEPOINT a");
	$cluster->kill_worker(2);
	my ($status, $out, $err) = $cluster->release($hold);
	is($status, 0, 'second placement lost: the transaction commits') or diag($err);
	is($cluster->sql("SELECT v FROM t WHERE k = $second"), '77', 'second placement lost: the row is there');
	$cluster->restart_worker(2);
	is_whole('second placement lost');

	$hold = $cluster->hold("UPDATE t SET v = 99 WHERE k = $key{2}");
	$cluster->kill_worker(2);
	($status, $out, $err) = $cluster->release($hold);
	isnt($status, 0, 'first placement lost: the transaction fails');
	like($err, qr/ERROR:  08006/, 'first placement lost: by the connection');
	unlike($cluster->sql("SELECT v FROM t WHERE k = $key{2}"), qr/^99$/, 'first placement lost: nothing of it stays');
	$cluster->restart_worker(2);
	ok($cluster->wait_for_recovery, 'first placement lost: nothing prepared');
	is_whole('first placement lost');
}

note 'one placement only';
{
	my $k = $cluster->key_on(2, 'one');
	$cluster->kill_worker(2);
	my ($status, $out, $err) = $cluster->try_sql("UPDATE one SET v = 1 WHERE k = $k");
	like($err, qr/ERROR:  08/, 'a shard without another placement can not be written');
	is(inactive(), '0', 'its placement is never marked');
	$cluster->sql("UPDATE t SET v = v + 1");
	$cluster->kill_worker(3);
	$cluster->kill_worker(1);
	($status, $out, $err) = $cluster->try_sql('UPDATE t SET v = v + 1');
	like($err, qr/ERROR:  08/, 'nor the last one of several');
	$cluster->restart_worker($_) foreach 1 .. 3;
	is($cluster->sql('SELECT count(*) FROM (SELECT shard_id FROM cz.placement_list() WHERE shard_id NOT IN '
		  . "(SELECT shard_id FROM cz.shard_list() WHERE relid = 'one'::regclass) GROUP BY 1 HAVING count(*) FILTER (WHERE shard_state = 1) = 0) x"),
		'0', 'each shard has an active placement');
	is_whole('last placement');
}

note 'two sessions that see the network differently';
{
	# this one has a connection to the first placement, the other one can not reach it
	my $hold = $cluster->hold("UPDATE t SET v = v + 1000 WHERE k = $key{3}");
	my $before = $cluster->sql("SELECT v FROM t WHERE k = $key{3}");
	$cluster->sql("SELECT count(*) FROM t");
	$cluster->cut_worker(3);
	my $other = $cluster->start_sql("UPDATE t SET v = v + 1 WHERE k = $key{3}");
	sleep 3;
	$cluster->heal_worker(3);
	my ($status1, $out1, $err1) = $cluster->release($hold);
	my ($status2, $out2, $err2) = $cluster->finish_sql($other, 60);
	my $expected = $before + ($status1 == 0 ? 1000 : 0) + ($status2 == 0 ? 1 : 0);
	ok($status1 == 0 || $status2 == 0, 'one of them commits') or diag("$err1\n$err2");
	is($cluster->sql("SELECT v FROM t WHERE k = $key{3}"), $expected, 'no acknowledged change is lost') or diag("$err1\n$err2");
	# a repair looks only for a moment whether a node that was cut off is back
	$cluster->await_workers;
	is_whole('network');
}

note 'two sessions, each without what the other one has';
{
	my $k = $cluster->sql("SELECT min(k) FROM t WHERE (SELECT array_agg(nodeport ORDER BY placementid) FROM pg_dist_shard_placement "
		  . "WHERE shardid = get_shard_id_for_distribution_column('t', k)) = ARRAY[" . $cluster->port(2) . ', ' . $cluster->port(3) . ']');
	$cluster->kill_worker(2);
	my $wait = 'DO $$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END $$';
	my $hold = $cluster->hold("UPDATE t SET v = 5 WHERE k = $k; $wait; UPDATE t SET v = 6 WHERE k = $k");
	$cluster->restart_worker(2);
	# the other one knows that it is back, however slow the machine is
	$cluster->await_workers;
	$cluster->cut_worker(3);
	my ($status, $out, $err) = $cluster->try_sql("UPDATE t SET v = 7 WHERE k = $k", timeout => 60);
	is($status, 0, 'the other one goes on with the first placement') or diag($err);
	$cluster->heal_worker(3);
	($status, $out, $err) = $cluster->release($hold);
	like($err, qr/ERROR:  40001/, 'who has no placement left may try again');
	is($cluster->sql("SELECT v FROM t WHERE k = $k"), '7', 'what was acknowledged is there');
	$cluster->await_workers;
	is_whole('crosswise');
}

note 'placements that are found to differ';
{
	my @differ = $cluster->sql("SELECT relname || '|' || shardid || '|' || k FROM t, pg_dist_shard_placement p, pg_class c "
		  . "WHERE shardid = get_shard_id_for_distribution_column('t', k) AND c.oid = 't'::regclass AND nodeport = " . $cluster->port(2)
		  . ' AND placementid <> (SELECT min(placementid) FROM pg_dist_shard_placement x WHERE x.shardid = p.shardid) AND k BETWEEN 1 AND 5 ORDER BY k LIMIT 1') =~ /^(\w+)\|(\d+)\|(\d+)$/;
	my ($table, $shard, $k) = @differ;
	my $states = "SELECT string_agg(shardstate::text, ',' ORDER BY placementid) FROM pg_dist_placement WHERE shardid = $shard";
	my $lose = sub { $cluster->worker_sql(2, "DELETE FROM cz_shards.t_$shard WHERE k = $k"); };

	$lose->();
	my ($status, $out, $err) = $cluster->try_sql("UPDATE t SET v = v + 1 WHERE k = $k");
	like($err, qr/ERROR:  XX001: placements of shard $shard differ/, 'a write finds it');
	isnt($cluster->sql($states), '1,1', 'the other placement is inactive at once');
	($status, $out, $err) = $cluster->try_sql("UPDATE t SET v = v + 1 WHERE k = $k");
	is($status, 0, 'the next write does without it') or diag($err);
	is_whole('a write finds it');

	$lose->();
	is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok AND placements > 1'), '1', 'cz_verify_placements finds it');
	isnt($cluster->sql($states), '1,1', 'the other placement is inactive at once');
	is_whole('cz_verify_placements finds it');

	# a column has the name by which the rows are compared
	$cluster->worker_sql(2, "UPDATE cz_shards.t_$shard SET v = v + 100 WHERE k = $k");
	is($cluster->sql('SELECT shardid, placements, differing_buckets, misplaced FROM cz_verify_placements() WHERE NOT ok AND placements > 1'), "$shard|2|1|0",
		'a value that differs is found, and in how many buckets');
	is_whole('a value that differs');
	is($cluster->sql("SELECT sum(differing_buckets), sum(misplaced) FROM cz_verify_placements('t')"), '0|0', 'then no bucket differs');

	# rows of another shard, on all placements: they are equal
	my $stranger = $cluster->sql("SELECT min(k) FROM generate_series(100000, 100100) k WHERE get_shard_id_for_distribution_column('t', k) <> $shard");
	# builds for developers have a constraint against that
	my $check = $cluster->worker_sql(2, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'cz_shard' AND conrelid = 'cz_shards.t_$shard'::regclass");
	my @holders = grep { $cluster->worker_sql($_, "SELECT to_regclass('cz_shards.t_$shard')") ne '' } 1 .. 3;
	$cluster->worker_sql($_, "ALTER TABLE cz_shards.t_$shard DROP CONSTRAINT IF EXISTS cz_shard; INSERT INTO cz_shards.t_$shard (k, v) VALUES ($stranger, 1)") foreach @holders;
	is($cluster->sql("SELECT shardid, ok, differing_buckets, misplaced FROM cz_verify_placements('t') WHERE NOT ok OR misplaced > 0"), "$shard|f|0|1",
		'a row that belongs to another shard is found');
	$cluster->worker_sql($_, "DELETE FROM cz_shards.t_$shard WHERE k = $stranger" . ($check ? "; ALTER TABLE cz_shards.t_$shard ADD CONSTRAINT cz_shard $check" : '')) foreach @holders;
	is($cluster->sql("SELECT bool_and(ok) FROM cz_verify_placements('t')"), 't', 'without it all is well');

	my ($copy) = $cluster->worker_sql(2, "SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relname ~ '^r_[0-9]+\$'");
	$cluster->worker_sql(2, "DELETE FROM cz_shards.$copy WHERE k = 3");
	($status, $out, $err) = $cluster->try_sql('UPDATE r SET v = v + 1 WHERE k = 3');
	like($err, qr/ERROR:  XX001: copy of reference table "r" on node "node_2" differs/, 'a write of a reference table finds it');
	is(inactive() + $cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '1', 'that copy is inactive');
	($status, $out, $err) = $cluster->try_sql('UPDATE r SET v = v + 1 WHERE k = 3');
	is($status, 0, 'the next write does without it') or diag($err);
	is_whole('a reference table');
}

note 'DDL while a placement is inactive';
{
	$cluster->kill_worker(2);
	$cluster->sql('UPDATE t SET v = v + 1');
	$cluster->restart_worker(2);
	$cluster->sql('ALTER TABLE t ADD COLUMN extra int DEFAULT 7; CREATE INDEX t_v ON t (v); '
		  . "CREATE TABLE later (k int); SELECT create_distributed_table('later', 'k', colocate_with => 't'); INSERT INTO later SELECT generate_series(1, 50)");
	is($cluster->sql('SELECT count(*) FROM t JOIN later USING (k)'), '50', 'a colocated table is where its group is');
	is_whole('DDL');
	is($cluster->sql('SELECT sum(extra) FROM t'), 7 * $cluster->sql('SELECT count(*) FROM t'), 'the column is there');
	is($cluster->worker_sql(2, "SELECT count(*) > 0 FROM pg_indexes WHERE schemaname = 'cz_shards' AND indexname LIKE 't\\_v%'"), 't', 'and the index');
}

note 'repair while others write';
{
	$cluster->sql("INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(10000, 30000) i");
	$cluster->kill_worker(2);
	$cluster->sql('UPDATE t SET v = v + 1 WHERE k % 3 = 0');
	my $sql = join "\n", map { "UPDATE t SET v = v + 1 WHERE k = " . (10000 + $_ % 100) . '; INSERT INTO t VALUES (' . (50000 + $_) . ", 1); SELECT 'acked';" } 1 .. 1500;
	my $handle = $cluster->start_sql($sql);
	sleep 0.3;
	$cluster->restart_worker(2);
	$cluster->try_sql('SELECT cz_repair_placements()');
	my ($status, $out, $err) = $cluster->finish_sql($handle, 300);
	is($status, 0, 'writers go on') or diag($err);
	is(scalar(() = $out =~ /acked/g), 1500, 'all are acknowledged');
	is($cluster->sql('SELECT count(*) FROM t WHERE k > 50000'), '1500', 'and there');
	is_whole('under load');
}

note 'ANALYZE does not wait for the copying';
{
	my $file = $cluster->coordinator->data_dir . '/copied.reached';
	$cluster->kill_worker(2);
	$cluster->sql('UPDATE t SET v = v + 1 WHERE k < 100');
	$cluster->alter_system("SET cz.debug_point = 'repair_copied=wait:copied'");
	$cluster->restart_worker(2);
	my $handle = $cluster->start_sql('SELECT cz_repair_placements()');
	for (1 .. 1000)
	{
		last if -e $file;
		sleep 0.05;
	}
	ok(-e $file, 'a placement is copied');
	my ($status, $out, $err) = $cluster->try_sql("SET lock_timeout = '20s'; ANALYZE t");
	is($status, 0, 'ANALYZE goes on') or diag($err);
	$cluster->alter_system('RESET cz.debug_point');
	# it stays there for the placements that follow
	(my $go = $file) =~ s/\.reached$//;
	PostgreSQL::Test::Utils::append_to_file($go, '');
	$cluster->finish_sql($handle, 60);
	unlink $go;
	is_whole('ANALYZE');
}

note 'one worker under two names, of which one leads nowhere';
{
	my ($name1, $name3) = ($cluster->server_name(1), $cluster->server_name(3));
	my ($proxy, $direct) = ($cluster->port(3), $cluster->worker(3)->port);
	my ($id1, $id3) = map { $cluster->sql("SELECT node_id FROM cz_nodes WHERE node = '$_'") } $name1, $name3;
	my $state = 'SELECT (SELECT (count(*), sum(v)) FROM t), (SELECT (count(*), sum(v)) FROM u), (SELECT (count(*), sum(v)) FROM r)';
	my $before = $cluster->sql($state);
	my $server = "CREATE SERVER second FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '$direct', dbname 'postgres'); "
	  . "CREATE USER MAPPING FOR PUBLIC SERVER second OPTIONS (user 'postgres', password_required 'false')";
	foreach my $how ('dead', 'disabled', 'dead and disabled')
	{
		$cluster->sql("DROP TABLE one; SELECT citus_disable_node('127.0.0.1', $proxy)") if $how eq 'disabled';
		$cluster->cut_worker(3) if $how =~ /dead/;
		my ($status, $out, $err) = $cluster->try_sql("SELECT citus_add_node('127.0.0.1', $direct)");
		like($err, qr/ERROR:  42710: node "node_\d+" is (?:node "$name3" at another address|the same database as node "$name3")/, "$how: not added by another name");
		($status, $out, $err) = $cluster->try_sql("BEGIN; $server; CREATE TABLE late (k int); SELECT create_distributed_table('late', 'k', colocate_with => 'none'); COMMIT");
		like($err, qr/ERROR:  42710: node "second" is (?:node "$name3" at another address|the same database as node "$name3")/, "$how: nor is a server used");
		($status, $out, $err) = $cluster->try_sql("SELECT citus_update_node($id1, '127.0.0.1', $direct)");
		like($err, qr/ERROR:  (?:42710|55000): node "$name1" is (?:the same database as|not the worker it was)/, "$how: nor does another node get that address");
		($status, $out, $err) = $cluster->try_sql("ALTER SERVER $name1 OPTIONS (SET port '$direct')");
		like($err, qr/ERROR:  (?:42710|55000): node "$name1" is (?:the same database as|not the worker it was)/, "$how: by ALTER SERVER either");
		is($cluster->sql("SET client_min_messages = error; $state"), $before, "$how: nothing is lost, nothing is there twice");
		if ($how eq 'dead')
		{
			$cluster->sql("SELECT citus_update_node($id3, '127.0.0.1', $direct)");
			is($cluster->sql($state), $before, 'the node itself may have it');
			$cluster->heal_worker(3);
			$cluster->sql("SELECT citus_update_node($id3, '127.0.0.1', $proxy)");
		}
	}
	$cluster->heal_worker(3);
	$cluster->sql("SELECT citus_activate_node('127.0.0.1', $proxy)");
	is($cluster->sql('SELECT count(*) FROM pg_dist_node'), '3', 'there are three nodes');
	ok($cluster->repair, 'its placements are made whole');
	is($cluster->differing_placements, '', 'and are equal');
}

note 'the maintenance worker does it, too';
{
	$cluster->kill_worker(2);
	$cluster->sql('UPDATE t SET v = v + 1 WHERE k < 100; UPDATE r SET v = v + 1');
	$cluster->restart_worker(2);
	$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '1s'");
	$cluster->sql('SELECT pg_reload_conf()');
	ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.placement_state'),
		'placements are made whole when the node is back');
	is($cluster->differing_placements, '', 'and are equal');
}

$cluster->stop;
done_testing;
