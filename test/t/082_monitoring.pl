# A monitoring role without rights of its own sees what docs/monitoring.md promises, and
# prometheus-postgres-exporter (if it is installed) reads packaging/monitoring/queries.yaml.
use strict;
use warnings;
use CzCluster;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 2, conf => "cz.slow_start_interval = 0\ncz.recovery_interval = 200\n");
my $node = $cluster->coordinator;
$cluster->sql(q{
	CREATE ROLE monitor LOGIN;
	GRANT pg_monitor TO monitor;
	CREATE TABLE one (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('one', 'k', shard_count => 4, colocate_with => 'none');
	SET cz.shard_replication_factor = 1;
	CREATE TABLE single (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('single', 'k', shard_count => 4, colocate_with => 'none');
});

sub as_monitor
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'monitor' ]);
}

sub commits { return { map { split /\|/ } split /\n/, as_monitor('SELECT * FROM cz_stat_commits') }; }

# ---- commits by protocol --------------------------------------------------

my $before = commits();
$cluster->sql('INSERT INTO single VALUES (1, 1)');
$cluster->sql('BEGIN; INSERT INTO single VALUES (2, 1); UPDATE single SET v = 2 WHERE k = 2; COMMIT');
$cluster->sql('INSERT INTO single SELECT i, i FROM generate_series(10, 40) i');
$cluster->sql('SET cz.one_phase_commit = on; INSERT INTO single SELECT i, i FROM generate_series(50, 90) i');
my $after = commits();
is($after->{$_} - $before->{$_}, 1, "commits, $_") foreach ('single command', 'one worker', 'two-phase', 'unprepared');
$node->poll_query_until('postgres', 'SELECT unfinished = 0 FROM cz_stat_cluster') or diag('unfinished');
is(as_monitor('SELECT unfinished, oldest_unfinished IS NULL, in_doubt, deadlocks, epoch FROM cz_stat_cluster'), '0|t|0|0|1', 'nothing is left');

# ---- workers --------------------------------------------------------------

$cluster->sql('SELECT count(*) FROM one');
my $held = $cluster->start_sql('SELECT count(*) FROM one; SELECT pg_sleep(120)');
ok($node->poll_query_until('postgres', 'SELECT min(connections) > 0 AND min(fragments) > 0 AND bool_and(connections <= connection_limit) FROM cz_stat_worker'),
	'connections within their limit, fragments');
is(as_monitor(q{SELECT node, state, active_placements, inactive_placements, failovers, slowest_ms > 0,
		slowest_shard IN (SELECT shardid FROM pg_dist_shard), waiting_sessions FROM cz_stat_worker ORDER BY 1}),
	"node_1|up|6|0|0|t|t|0\nnode_2|up|6|0|0|t|t|0", 'the slowest fragment, placements');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()},
	extra_params => [ '-U', 'postgres' ]);
$cluster->finish_sql($held, 30);

is(as_monitor('SELECT verified_at IS NULL FROM cz_stat_cluster'), 't', 'nobody has verified yet');
$cluster->sql("SELECT * FROM cz_verify_placements('one')");
is(as_monitor('SELECT verified_at IS NOT NULL, verified_shards, differing_shards FROM cz_stat_cluster'), 't|4|0', 'verified');
# all views of ours, whatever they are: without rights of its own
my @views = split /\n/, as_monitor(q{SELECT c.oid::regclass FROM pg_class c
		JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'cz_fdw' AND c.relkind = 'v' AND c.relnamespace = 'pg_catalog'::regnamespace ORDER BY c.relname});
cmp_ok(scalar(@views), '>=', 20, 'views of ours in pg_catalog');
foreach my $view (@views)
{
	my ($status, undef, $err) = $node->psql('postgres', "SELECT * FROM $view", extra_params => [ '-U', 'monitor' ]);
	is($status, 0, "$view for the monitoring role") or diag($err);
}
foreach my $view (qw(cz_nodes cz_moves cz_stat_worker cz_stat_commits cz_stat_cluster citus_tables citus_shards citus_stat_activity citus_lock_waits cz_table_activity))
{
	ok((grep { $_ eq $view } @views), "$view is one of them");
}

# ---- a worker fails -------------------------------------------------------

$cluster->kill_worker(2);
my (undef, undef, $warning) = $cluster->try_sql('SELECT count(*) FROM one');
like($warning, qr/WARNING:  08006: node "node_2" failed/, 'the failover has a SQLSTATE');
is(as_monitor("SELECT failovers FROM cz_stat_worker WHERE node = 'node_2'"), '1', 'it is counted');
is(as_monitor("SELECT state FROM cz_stat_worker WHERE node = 'node_2'"), 'suspect', 'and the worker is suspect');

# ---- the exporter, also with a worker down ---------------------------------

SKIP:
{
	my ($exporter) = grep { -x $_ } map { "$_/prometheus-postgres-exporter" } split(/:/, $ENV{PATH}), '/usr/bin';
	skip 'prometheus-postgres-exporter is not installed', 13 if !$exporter;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = PostgreSQL::Test::Utils::tempdir() . '/exporter.log';
	local $ENV{DATA_SOURCE_NAME} = "host=127.0.0.1 port=" . $node->port . " user=monitor dbname=postgres sslmode=disable";
	my $run = IPC::Run::start([ $exporter, "--web.listen-address=127.0.0.1:$port", '--extend.query-path=../packaging/monitoring/queries.yaml' ],
		'>', $log, '2>&1');
	my $text = '';
	my $end = time + 60;
	while (time < $end && $text !~ /^cz_cluster_epoch/m)
	{
		$text = `python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/metrics', timeout=20).read().decode())" 2>&1`;
		sleep 0.2;
	}
	$run->kill_kill;
	note(slurp_file($log)) if $text !~ /^cz_cluster_epoch/m;
	my %expected = (
		'cz_worker_up' => qr/node="node_1".*\} 1$/,
		'cz_worker_state_info' => qr/node="node_2".*state="(?:suspect|down)".*\} 1$/,
		'cz_worker_failovers' => qr/node="node_2".*\} 1$/,
		'cz_worker_connection_limit' => qr/node="node_1".*\} [1-9]/,
		'cz_worker_slowest_fragment_seconds' => qr/node="node_1".*\} [0-9.e-]+$/,
		'cz_placements_count' => qr/node="node_1".*state="active".*\} 6$/,
		'cz_commits_total' => qr/protocol="two-phase".*\} [1-9]/,
		'cz_cluster_epoch' => qr/\} 1$/,
		'cz_cluster_unfinished' => qr/\} [0-9]+$/,
		'cz_cluster_verified_shards' => qr/\} 4$/,
		'cz_cluster_differing_shards' => qr/\} 0$/,
		'cz_moves_count' => qr/phase="copying".*\} 0$/,
		'cz_moves_lag_changes' => qr/phase="catching_up".*\} 0$/);
	foreach my $metric (sort keys %expected)
	{
		my @lines = grep { /^\Q$metric\E\{/ } split /\n/, $text;
		ok(scalar(grep { $_ =~ $expected{$metric} } @lines), "metric $metric") or diag(join("\n", @lines));
	}
}

# ---- counting begins anew --------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION cz_fdw');
my ($status, undef, $denied) = $node->psql('postgres', 'SELECT cz_stat_reset()', extra_params => [ '-U', 'monitor' ]);
like($denied, qr/permission denied for function cz_stat_reset/, 'the monitoring role does not reset what others look at');
$node->safe_psql('other', 'SELECT cz_stat_reset()');
is(as_monitor("SELECT failovers, (SELECT stats_reset IS NULL FROM cz_stat_cluster) FROM cz_stat_worker WHERE node = 'node_2'"), '1|t',
	'a reset is of one database');
$cluster->sql('GRANT EXECUTE ON FUNCTION cz_stat_reset() TO monitor');
my $counts = commits();
cmp_ok($counts->{'two-phase'}, '>', 0, 'there are commits');
as_monitor('SELECT cz_stat_reset()');
is(join(' ', map { commits()->{$_} } sort keys %$counts), '0 0 0 0 0', 'none of them is counted any more');
is(as_monitor("SELECT sum(failovers), sum(fragments), sum(fragment_ms), max(slowest_ms) FROM cz_stat_worker WHERE node = 'node_2'"), '0|0|0|',
	'of workers neither');
is(as_monitor('SELECT stats_reset > now() - interval \'1 minute\', verified_shards, in_doubt, deadlocks, recovered FROM cz_stat_cluster'), 't|4|0|0|0',
	'when; what was verified stays');
$cluster->sql('SELECT count(*) FROM one');
is(as_monitor("SELECT fragments > 0, slowest_ms > 0 FROM cz_stat_worker WHERE node = 'node_1'"), 't|t', 'counting goes on, in the same sessions, too');

# each metric of the dashboard is one of the queries'
{
	my $queries = slurp_file('../packaging/monitoring/queries.yaml');
	my %metrics;
	my $name = '';
	foreach (split /\n/, $queries)
	{
		$name = $1 if /^(\w+):$/;
		$metrics{"${name}_$1"} = 1 if /^    - (\w+): \{usage: "(?:GAUGE|COUNTER)"/;
	}
	my %used = map { $_ => 1 } slurp_file('../packaging/monitoring/dashboard.json') =~ /\b(cz_(?:worker|placements|commits|cluster|moves)_\w+)/g;
	is(join(' ', grep { !$metrics{$_} } sort keys %used), '', 'the dashboard uses metrics that are there');
	cmp_ok(scalar(keys %used), '>', 15, 'and many of them');
}
$cluster->stop;
done_testing();
