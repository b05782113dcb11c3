# Where shards should be, and how they get there: the planner of moves on random clusters
# (developers' builds), plans of a real one, strategies.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 4, conf => "cz.recovery_interval = '300ms'\ncz.shard_replication_factor = 1\ncz.drop_delay = '200ms'\nmax_worker_processes = 24\n");
my @ports = map { $cluster->port($_) } 1 .. 4;
my ($status, $out, $err);

note 'the planner on random clusters';
SKIP:
{
	($status, $out, $err) = $cluster->try_sql(q{
		CREATE FUNCTION cz_test_plan_moves(seed int, nnodes int, nnew int, ngroups int, factor int, nzones int, ndrained int,
			by_count boolean, OUT moves int, OUT fullest float8, OUT moved float8, OUT ms float8, OUT problem text)
			LANGUAGE c STRICT AS 'cz_fdw'});
	skip 'not a developers\' build', 4 if $status != 0;
	# fullest: against what the zones allow; a seed is one cluster for ever
	is( $cluster->sql(q{
		SELECT count(*), count(*) FILTER (WHERE fullest > 1.05), max(problem) FROM generate_series(1, 600) s,
			LATERAL cz_test_plan_moves(s, 6 + s % 15, 1 + s % 4, 512, 1 + s % 3, (ARRAY[1, 2, 3, 4, 6])[1 + s % 5], s % 3, s % 7 = 0)}),
		'600|0|', 'random clusters: within 5 % of the bound, no placement twice on a node, zones kept');
	for my $how ('200, 100, 100000, 2, 3, 0, false', '200, 0, 100000, 2, 3, 20, false', '200, 100, 100000, 2, 3, 0, true')
	{
		my $row = $cluster->sql("SELECT fullest < 1.05, ms < 10000, problem, moved, ms, moves FROM cz_test_plan_moves(1, $how)");
		like($row, qr/^t\|t\|\|/, "200 nodes, 100,000 groups ($how)") or diag($row);
		note $row;
	}
}

note 'plans of a cluster';
$cluster->sql(q{
CREATE TABLE a (k int PRIMARY KEY, v text);
SELECT create_distributed_table('a', 'k', shard_count => 16);
CREATE TABLE b (k int PRIMARY KEY, v text);
SELECT create_distributed_table('b', 'k', shard_count => 16);
CREATE TABLE other (k int PRIMARY KEY);
SELECT create_distributed_table('other', 'k', shard_count => 8);
CREATE TABLE r (id int PRIMARY KEY);
SELECT create_reference_table('r');
INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 10000) i;
INSERT INTO b SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i;
});
is($cluster->sql(q{SELECT count(*) FROM get_rebalance_table_shards_plan()}), '0', 'a new table is balanced');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', false)");
is( $cluster->sql(qq{SELECT bool_and(sourceport = $ports[3]), bool_or(targetport = $ports[3]), count(*) FROM get_rebalance_table_shards_plan()}),
	't|f|10', 'what is on a node that should have none goes');
is( $cluster->sql(q{SELECT count(DISTINCT targetport), count(DISTINCT table_name) FROM get_rebalance_table_shards_plan() GROUP BY table_name IN ('a'::regclass, 'b'::regclass) ORDER BY 2}),
	"2|1\n3|2", 'the tables of a group together');
is( $cluster->sql(q{SELECT bool_and(p.shard_size = s.shard_size), count(*) FROM get_rebalance_table_shards_plan('a') p JOIN citus_shards s
	ON s.shardid = p.shardid AND s.nodeport = p.sourceport}), 't|8', 'sizes of tables that nobody has counted are true');
is($cluster->sql(q{SELECT count(*) FROM get_rebalance_table_shards_plan('b')}), '8', 'of one group');
is($cluster->sql(q{SELECT count(*) FROM get_rebalance_table_shards_plan('a', max_shard_moves => 2)}), '4', 'at most two moves');
is( $cluster->sql(qq{SELECT count(*) FROM get_rebalance_table_shards_plan('a', excluded_shard_list =>
	ARRAY(SELECT shardid FROM citus_shards WHERE nodeport = $ports[3] AND table_name = 'b'::regclass LIMIT 1))}),
	'6', 'without a shard, by the id of a colocated one');
is($cluster->sql(q{SELECT count(*) FROM get_rebalance_table_shards_plan(drain_only => true, rebalance_strategy => 'by_shard_count')}), '10', 'drain_only');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', true)");
($status, $out, $err) = $cluster->try_sql(q{SELECT * FROM get_rebalance_table_shards_plan('r')});
like($err, qr/ERROR:  42809: table "r" is a reference table/, 'a reference table has no plan');
($status, $out, $err) = $cluster->try_sql(q{SELECT * FROM get_rebalance_table_shards_plan('pg_class')});
like($err, qr/ERROR:  55000: table "pg_class" is not distributed/, 'nor has a table that is not distributed');
($status, $out, $err) = $cluster->try_sql(q{SELECT * FROM get_rebalance_table_shards_plan(threshold => 0)});
like($err, qr/ERROR:  22023: the threshold must not be less than 0.01/, 'a threshold below the least one');
($status, $out, $err) = $cluster->try_sql(q{SELECT * FROM get_rebalance_table_shards_plan(rebalance_strategy => 'none')});
like($err, qr/ERROR:  22023: rebalance strategy "none" does not exist/, 'no such strategy');

note 'weights';
my $server = $cluster->server_name(1);
$cluster->sql("ALTER SERVER $server OPTIONS (ADD weight '3')");
is( $cluster->sql(qq{SELECT bool_and(targetport = $ports[0]), count(*) FROM get_rebalance_table_shards_plan('a', rebalance_strategy => 'by_shard_count')}),
	't|8', 'a node of weight 3 gets half of the shards');
$cluster->sql("ALTER SERVER $server OPTIONS (DROP weight)");

note 'strategies';
is( $cluster->sql('SELECT name, default_strategy, default_threshold, minimum_threshold, improvement_threshold FROM pg_dist_rebalance_strategy ORDER BY 1'),
	"by_disk_size|t|0.1|0.01|0.5\nby_shard_count|f|0|0|0", 'there from the start');
($status, $out, $err) = $cluster->try_sql(q{SELECT citus_add_rebalance_strategy('mine', 'citus_shard_cost_1', 'citus_node_capacity_1', 'citus_node_capacity_1', 0)});
like($err, qr/ERROR:  22023: function "citus_node_capacity_1" does not fit a rebalance strategy/, 'a function that does not fit');
($status, $out, $err) = $cluster->try_sql(q{SELECT citus_add_rebalance_strategy('by_disk_size', 'citus_shard_cost_1', 'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 0)});
like($err, qr/ERROR:  42710: rebalance strategy "by_disk_size" already exists/, 'a name that is taken');
($status, $out, $err) = $cluster->try_sql(q{SELECT citus_add_rebalance_strategy('mine', 'citus_shard_cost_1', 'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 0, 0.5)});
like($err, qr/ERROR:  22023: default_threshold must not be less/, 'a default below the least threshold');
$cluster->sql(q{
CREATE FUNCTION only_first(shard bigint, node int) RETURNS boolean LANGUAGE sql AS
	$$SELECT nodeport <> } . $ports[2] . q{ FROM pg_dist_node WHERE nodeid = node$$;
SELECT citus_add_rebalance_strategy('mine', 'citus_shard_cost_1', 'citus_node_capacity_1', 'only_first', 0);
SELECT citus_set_default_rebalance_strategy('mine')});
is($cluster->sql('SELECT name FROM pg_dist_rebalance_strategy WHERE default_strategy'), 'mine', 'a default of our own');
is( $cluster->sql(qq{SELECT bool_and(sourceport = $ports[2]), count(DISTINCT shardid) FROM get_rebalance_table_shards_plan('other')}),
	't|2', 'where its function does not allow a shard, it goes');
my $dump = $cluster->coordinator->basedir . '/dump.sql';
PostgreSQL::Test::Utils::system_or_bail("$ENV{CZ_BINDIR}/pg_dump", '-h', '127.0.0.1', '-p', $cluster->coordinator->port, '-U', 'postgres', '-f', $dump, 'postgres');
like(PostgreSQL::Test::Utils::slurp_file($dump), qr/COPY cz\.default_rebalance_strategy .*\nmine\n/, 'strategies are dumped');
$cluster->sql('DROP FUNCTION only_first');
($status, $out, $err) = $cluster->try_sql(q{SELECT * FROM get_rebalance_table_shards_plan()});
like($err, qr/ERROR:  42883: a function of rebalance strategy "mine" does not exist/, 'a function that is gone');
$cluster->sql("SELECT citus_set_default_rebalance_strategy('by_disk_size')");
($status, $out, $err) = $cluster->try_sql("SELECT citus_set_default_rebalance_strategy('x')");
like($err, qr/ERROR:  22023/, 'a default that does not exist');

note 'rebalance_table_shards()';
sub per_node
{
	my ($table) = @_;
	return $cluster->sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT count(*) AS n FROM citus_shards WHERE table_name = '$table'::regclass GROUP BY nodeport) x");
}
my $look = q{SELECT count(*), sum(k), sum(length(v)), (SELECT count(*) FROM b), (SELECT count(*) FROM a JOIN b USING (k)) FROM a};
my $all = $cluster->sql($look);
is(per_node('a'), '4 4 4 4', 'balanced');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', false)");
($status, $out, $err) = $cluster->try_sql("BEGIN; INSERT INTO b VALUES (-1, 'x'); SELECT rebalance_table_shards()");
like($err, qr/ERROR:  25001: cannot move shards in a transaction that has written to workers/, 'not in a transaction that has written to workers');
($status, $out, $err) = $cluster->try_sql('SELECT rebalance_table_shards()');
is($status, 0, 'the words of the seed') or diag($err);
like($err, qr/NOTICE: .*moving shard \d+ from 127\.0\.0\.1:$ports[3] to 127\.0\.0\.1:\d+/, 'say what they do');
is(per_node('a'), '5 5 6', 'a node that should have no shards has none');
is(per_node('b'), '5 5 6', 'with what is colocated');
is($cluster->sql($look), $all, 'all rows are there');
is($cluster->sql('SELECT count(*) FROM get_rebalance_table_shards_plan()'), '0', 'then nothing is left to be done');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', true)");
$cluster->sql("SET client_min_messages = error; SELECT rebalance_table_shards('a', max_shard_moves => 1, rebalance_strategy => 'by_shard_count', shard_transfer_mode => 'block_writes')");
is(per_node('a'), '1 5 5 5', 'one move at most');

note 'jobs';
($status, $out, $err) = $cluster->try_sql('SELECT citus_rebalance_stop()');
like($err, qr/ERROR:  55000: no rebalance is running/, 'none to be stopped');
($status, $out, $err) = $cluster->try_sql('SELECT citus_rebalance_wait()');
is($status, 0, 'none to be awaited: it may have ended already') or diag($err);
like($err, qr/WARNING:  01000: no rebalance is running/, 'which is said');
is($cluster->sql(q{BEGIN; SET client_min_messages = error; SELECT citus_rebalance_start('by_shard_count') IS NOT NULL; ROLLBACK; SELECT count(*) FROM citus_job_list()}), "t\n0", 'one that is rolled back is none');
# a writer holds the moves up
my $writer = $cluster->hold('UPDATE a SET v = v WHERE k < 1000');
my $job = $cluster->sql("SET client_min_messages = error; SELECT citus_rebalance_start('by_shard_count')");
($status, $out, $err) = $cluster->try_sql("SELECT citus_rebalance_start('by_shard_count')");
like($err, qr/ERROR:  55006: a rebalance is already running as job $job/, 'one at a time');
$cluster->release($writer);
$cluster->sql('SELECT citus_rebalance_wait()');
is($cluster->sql("SELECT state, job_type, finished_at IS NOT NULL, details #>> '{task_state_counts,error}' IS NULL FROM citus_rebalance_status()"), 'finished|rebalance|t|t', 'a rebalance in the background');
is($cluster->sql("SELECT job_id, state FROM citus_job_list()"), "$job|finished", 'the list of jobs');
is(per_node('a'), '4 4 4 4', 'balanced');
is(per_node('other'), '2 2 2 2', 'each group by itself');
is($cluster->sql($look), $all, 'all rows are there');
is($cluster->sql("SET client_min_messages = error; SELECT citus_rebalance_start('by_shard_count') IS NULL"), 't', 'nothing to do: no job');
($status, $out, $err) = $cluster->try_sql('SELECT citus_job_cancel(99)');
like($err, qr/ERROR:  42704: job 99 does not exist/, 'no such job');
($status, $out, $err) = $cluster->try_sql("SELECT citus_job_wait($job, 'running')");
like($err, qr/ERROR:  55000: job $job is finished and will never be running/, 'a state that will not come');

note 'a job that is stopped, and one whose server crashes';
$writer = $cluster->hold('UPDATE a SET v = v WHERE k < 1000');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', false)");
$job = $cluster->sql("SET client_min_messages = error; SELECT citus_rebalance_start()");
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM cz.task WHERE job_id = $job AND status = 'running'");
cmp_ok($cluster->sql(q{SELECT count(*) FROM get_rebalance_progress() WHERE progress = 0 AND status = 'Not Started Yet'}), '>', 0, 'progress: moves that have not begun');
$cluster->sql('SELECT citus_rebalance_stop()');
$cluster->sql("SELECT citus_job_wait($job)");
is($cluster->sql("SELECT state FROM citus_job_status($job)"), 'cancelled', 'a job that is stopped ends');
is($cluster->sql("SELECT count(*) FROM cz.move WHERE phase NOT IN ('done', 'failed', 'switched')"), '0', 'and no move runs on');
$job = $cluster->sql("SET client_min_messages = error; SELECT citus_rebalance_start()");
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM cz.task WHERE job_id = $job AND status = 'running'");
$cluster->kill_coordinator;
$cluster->coordinator->start;
$cluster->sql("SELECT citus_job_wait($job)");
is($cluster->sql("SELECT state FROM citus_job_status($job)"), 'finished', 'after a crash the job goes on');
$cluster->finish_sql($writer, 10);
is(per_node('a'), '5 5 6', 'to its end');
is($cluster->sql($look), $all, 'with all rows');
$cluster->sql("SELECT citus_set_node_property('127.0.0.1', $ports[3], 'shouldhaveshards', true)");

note 'citus_drain_node(), replicate_table_shards()';
$cluster->sql("SET client_min_messages = error; SELECT citus_drain_node('127.0.0.1', $ports[0])");
is($cluster->sql("SELECT count(*) FROM citus_shards WHERE nodeport = $ports[0] AND citus_table_type = 'distributed'"), '0', 'a drained node has no shards');
is($cluster->sql($look), $all, 'all rows are there');
$cluster->sql("SELECT citus_remove_node('127.0.0.1', $ports[0])");
is($cluster->sql($look), $all, 'it can be removed');
($status, $out, $err) = $cluster->try_sql('SELECT replicate_table_shards(\'a\', 0)');
like($err, qr/ERROR:  22023: shard_replication_factor must be positive/, 'no placements at all');
$cluster->sql("SET client_min_messages = error; SELECT replicate_table_shards('a', 2)");
is($cluster->sql("SELECT count(*), count(DISTINCT nodeport) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid IN ('a'::regclass, 'b'::regclass) AND shardstate = 1"), '64|3', 'one placement more of each shard');
is($cluster->sql('SELECT max(n) FROM (SELECT count(DISTINCT nodeport) AS n FROM pg_dist_shard_placement GROUP BY shardid) x'), '3', 'each on another node');
is($cluster->differing_placements(used => 1), '', 'all are equal');
$cluster->sql('UPDATE a SET v = \'new\' WHERE k < 5000');
is($cluster->differing_placements(used => 1), '', 'and stay so');

$cluster->stop;
done_testing();
