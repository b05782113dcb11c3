# Workers that are not as they should be, and workers that are gone: what citus_add_node
# refuses or warns of needs servers that are started otherwise; removing, disabling and the
# views must work while a worker is dead; a dump of the coordinator brings the topology back.
#
#   coordinator -- worker1, worker2, worker3
#               -- odd: no prepared transactions, other locale, then a standby
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 4\ncz.connect_timeout = '1s'\n");

# a worker without prepared transactions is warned of
my $odd = PostgreSQL::Test::Cluster->new('odd', install_path => dirname($ENV{CZ_BINDIR}));
$odd->init(allows_streaming => 1, extra => [ '-U', 'postgres', '--locale=C', '-E', 'UTF8' ]);
$odd->append_conf('postgresql.conf',
	"listen_addresses = '127.0.0.1'\nmax_prepared_transactions = 0\nfsync = off\n");
$odd->append_conf('pg_hba.conf', "host replication all 127.0.0.1/32 trust\n");
$odd->start;
my ($status, $out, $err) =
  $cluster->try_sql("BEGIN; SELECT citus_add_node('127.0.0.1', " . $odd->port . "); ROLLBACK;");
is($status, 0, 'a worker without prepared transactions is added');
like($err, qr/WARNING: .*cannot prepare transactions/, 'with a warning');

# a standby is refused
$odd->backup('base', backup_options => [ '-U', 'postgres' ]);
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => dirname($ENV{CZ_BINDIR}));
$standby->init_from_backup($odd, 'base', has_streaming => 1);
$standby->start;
($status, $out, $err) =
  $cluster->try_sql("SELECT citus_add_node('127.0.0.1', " . $standby->port . ');');
is($status, 3, 'a standby is not added');
like($err, qr/ERROR:  55000: node "node_\d+" is a standby/, 'with the reason');
$standby->stop('immediate');
$odd->stop('immediate');

# nobody there
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_node('127.0.0.1', " . $odd->port . ');');
like($err, qr/ERROR:  08001/, 'a worker that does not answer is not added');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), 3, 'nothing is left of it');

# two sessions that add the same node make one
my $port = $cluster->port(1);
$cluster->sql("SELECT citus_remove_node('127.0.0.1', $port)");
my @adding = map { $cluster->start_sql("SELECT citus_add_node('127.0.0.1', $port);") } 1 .. 4;
my @ids = map { ($cluster->finish_sql($_))[1] } @adding;
is(scalar(keys %{ { map { $_ => 1 } @ids } }), 1, 'all got one id');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), 3, 'there is one node more');

$cluster->sql(q{
CREATE TABLE t (k int PRIMARY KEY, v int);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
SELECT create_distributed_table('t', 'k');
CREATE TABLE r (id int PRIMARY KEY);
SELECT create_reference_table('r');
INSERT INTO r SELECT generate_series(1, 10);
});

# the dump has it all
my $dump = $cluster->coordinator->basedir . '/dump.sql';
command_ok(
	[
		"$ENV{CZ_BINDIR}/pg_dump", '-h', '127.0.0.1', '-p', $cluster->coordinator->port,
		'-U', 'postgres', '-f', $dump, 'postgres'
	],
	'dump');
$cluster->sql('CREATE DATABASE restored TEMPLATE template0');
command_ok(
	[
		"$ENV{CZ_BINDIR}/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p',
		$cluster->coordinator->port, '-U', 'postgres', '-f', $dump, 'restored'
	],
	'restore');
my $what = q{SELECT count(*), sum(k) FROM t JOIN r ON t.k = r.id;
SELECT logicalrelid, partmethod, colocationid FROM pg_dist_partition ORDER BY 1;
SELECT logicalrelid, shardid FROM pg_dist_shard ORDER BY 2;
SELECT shardid, shardstate, nodeport FROM pg_dist_shard_placement ORDER BY 1, 3;
SELECT nextval('cz.shard_id_seq')};
is( $cluster->coordinator->safe_psql('restored', $what, extra_params => [ '-U', 'postgres' ]),
	$cluster->sql($what), 'the restored database knows the same');

# a dead worker
my $dead = $cluster->port(2);
$cluster->kill_worker(2);
is( $cluster->sql('SELECT count(*) FROM citus_check_cluster_node_health() WHERE result'),
	2, 'health: two of three answer');
is( $cluster->sql("SELECT result FROM citus_check_cluster_node_health() WHERE to_nodeport = $dead"),
	'f', 'health: the dead one does not');
is($cluster->sql('SELECT count(*) FROM citus_tables'), 2, 'citus_tables works without it');
is($cluster->sql('SELECT count(*) FROM citus_shards WHERE shard_size > 0'), 5 + 2, 'citus_shards too')
  or diag($cluster->sql('SELECT * FROM citus_shards'));
($status, $out, $err) = $cluster->try_sql("SELECT citus_total_relation_size('t');");
is($status, 3, 'citus_total_relation_size fails');
is($cluster->sql("SELECT citus_total_relation_size('t', false) IS NULL"), 't', 'or is NULL if asked');
$cluster->sql("SELECT citus_disable_node('127.0.0.1', $dead)");
$cluster->sql('INSERT INTO t SELECT i, i FROM generate_series(1001, 1100) i; DELETE FROM t WHERE k <= 100;');
$cluster->sql('INSERT INTO r VALUES (11)');
($status, $out, $err) = $cluster->try_sql("SELECT citus_activate_node('127.0.0.1', $dead);");
is($status, 3, 'it cannot be activated while it is dead');
is($cluster->sql("SELECT isactive FROM pg_dist_node WHERE nodeport = $dead"), 'f', 'and is not');
$cluster->restart_worker(2);
$cluster->sql("SELECT citus_activate_node('127.0.0.1', $dead)");
# every placement has the same rows
my $rows = 0;
foreach my $i (1 .. 3)
{
	my $list = $cluster->worker_sql($i,
		q{SELECT coalesce(string_agg(format('SELECT k FROM cz_shards.%I', relname), ' UNION ALL '), 'SELECT 1 AS k WHERE false')
		  FROM pg_class WHERE relname LIKE 't\_%' AND relkind = 'r' AND relnamespace = 'cz_shards'::regnamespace});
	$rows += $cluster->worker_sql($i, "SELECT count(*) FROM ($list) x");
	is( $cluster->worker_sql($i,
			'SELECT count(*) FROM cz_shards.'
			  . $cluster->sql(q{SELECT 'r_' || shardid FROM pg_dist_shard WHERE logicalrelid = 'r'::regclass})),
		11, "worker $i has the reference table");
}
is($rows, 2000, 'every row twice');

# it comes and goes while rows are written: the placements stay equal
my $script = $cluster->coordinator->basedir . '/write.sql';
append_to_file($script, q{\set k random(1, 1000)
\set n random(100000, 2000000000)
UPDATE t SET v = v + 1 WHERE k = :k;
INSERT INTO t VALUES (:n, 0);
DELETE FROM t WHERE k = :k + 5;
});
my ($bench_out, $bench_err) = ('', '');
my $bench = IPC::Run::start(
	[
		"$ENV{CZ_BINDIR}/pgbench", '-n', '-T', '5', '-c', '3', '-f', $script, '-h', '127.0.0.1',
		'-p', $cluster->coordinator->port, '-U', 'postgres', 'postgres'
	],
	'<', \undef, '>', \$bench_out, '2>', \$bench_err);
for (1 .. 4)
{
	$cluster->sql("SELECT citus_disable_node('127.0.0.1', $dead)");
	sleep 0.2;
	$cluster->sql("SELECT citus_activate_node('127.0.0.1', $dead)");
	sleep 0.2;
}
$bench->finish;
like($bench_out, qr/number of failed transactions: 0 /, 'writers do not notice') or diag($bench_err);
my %digests;
foreach my $row (split /\n/,
	$cluster->sql(q{SELECT shardid, nodeport FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid)
		WHERE logicalrelid = 't'::regclass}))
{
	my ($shard, $nodeport) = split /\|/, $row;
	my ($i) = grep { $cluster->port($_) == $nodeport } 1 .. 3;
	$digests{$shard}{ $cluster->worker_sql($i, "SELECT md5(string_agg(x::text, ',' ORDER BY k, v)) FROM cz_shards.t_$shard x") } = 1;
}
is(join(' ', map { scalar keys %{ $digests{$_} } } sort keys %digests), '1 1 1 1', 'both placements of every shard are equal');
my $all = $cluster->sql('SELECT count(*), sum(v) FROM t');

# gone for good: it can be removed, which needs no connection to it
$cluster->kill_worker(2);
$cluster->sql("SELECT citus_remove_node('127.0.0.1', $dead)");
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $all, 'all rows are there');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), 2, 'and the worker is forgotten');

$cluster->stop;
done_testing();
