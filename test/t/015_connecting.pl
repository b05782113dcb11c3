# Connecting to workers: a session makes no connection that it does not use, and one that
# is being made is kept; a worker that is slow to answer while it answers others is waited
# for, where one that answers nobody has failed.
#
#   coordinator -- proxy -- worker1   slow for one connection
#               -- worker2
#               -- worker3
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [1],
	conf => "cz.recovery_interval = -1\ncz.connect_timeout = '2s'\n");
$cluster->sql(q{
SET cz.shard_replication_factor = 1;
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
ANALYZE t;
});
for my $i (1 .. 3)
{
	$cluster->worker_sql($i, 'ALTER SYSTEM SET log_connections = on');
	$cluster->worker_sql($i, 'SELECT pg_reload_conf()');
}

# Connections that workers have received from pgbench's sessions, each
my @offset = map { -s $cluster->worker($_)->logfile } 1 .. 3;
my $script = PostgreSQL::Test::Utils::tempdir() . '/key.sql';
PostgreSQL::Test::Utils::append_to_file($script, "\\set k random(1, 1000)\nSELECT v FROM t WHERE k = :k;\n");
my $clients = 20;
my $out = `$ENV{CZ_BINDIR}/pgbench -n -c $clients -j 2 -t 30 -f $script -h 127.0.0.1 -p @{[$cluster->coordinator->port]} -U postgres postgres 2>&1`;
like($out, qr{actually processed: 600/600}, 'many sessions that begin at once read by key') or diag($out);
for my $i (1 .. 3)
{
	my $log = PostgreSQL::Test::Utils::slurp_file($cluster->worker($i)->logfile, $offset[ $i - 1 ]);
	my $received = () = $log =~ /connection received/g;
	cmp_ok($received, '<=', $clients, "worker $i: one connection a session");
	cmp_ok($received, '>', 0, "worker $i: some");
}

# A connect that is slow while the worker answers others
my $name = $cluster->server_name(1);
my ($key) = grep { $cluster->sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT v FROM t WHERE k = $_") =~ /Node: \Q$name\E:/ } 1 .. 50;
ok($key, 'there is a key on worker 1');
kill 'WINCH', $cluster->{proxies}{1}{pid};
my $slow = $cluster->start_sql("SET cz.max_connections_per_worker = 1; SELECT v FROM t WHERE k = $key");
my $end = time + 6;
sleep 0.3;
while (time < $end && $slow->{run}->pumpable)
{
	$cluster->sql("SELECT v FROM t WHERE k = $key");
	$slow->{run}->pump_nb;
}
my ($status, $rows, $err, $seconds) = $cluster->finish_sql($slow, 30);
is("$status $err", '0 ', 'a worker that answers others is waited for');
like($rows, qr/^$key$/m, 'and gives the row');
cmp_ok($seconds, '>', 4, 'it was slow indeed');

# Nobody is answered: failed
$cluster->cut_worker(1);
($status, $rows, $err, $seconds) = $cluster->try_sql("SELECT v FROM t WHERE k = $key");
$cluster->heal_worker(1);
is($status, 3, 'a worker that answers nobody has failed');
like($err, qr/ERROR:  08001: /, 'with the SQLSTATE of a failed connect');
cmp_ok($seconds, '<', 20, 'soon');
$cluster->stop;
done_testing();
