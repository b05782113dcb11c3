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
$cluster->hold_next_connection(1);
my $slow = $cluster->start_sql("SET cz.max_connections_per_worker = 1; SELECT v FROM t WHERE k = $key");
ok($cluster->await_held(1), 'its connection is held up');
my $end = time + 6;
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
cmp_ok($seconds, '<', 40, 'soon');

# Who is who: the worker knows the cluster, the session and the user's name for it, also
# when that changes, and no command of its own is sent for it
my $names = join ' ; ', map { "$ENV{CZ_BINDIR}/psql -XAtqh 127.0.0.1 -p " . $cluster->worker($_)->port
	  . " -U postgres postgres -c \"SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%' ORDER BY 1\"" } 1;
my $long = 'n' x 60;
($status, $rows, $err) = $cluster->try_sql(qq{
SET cz.max_connections_per_worker = 1;
SET application_name = 'first';
SELECT count(*) FROM t;
\\! $names
SET application_name = 'it''s; second';
SELECT v FROM t WHERE k = $key;
\\! $names
SET application_name = 'third';
UPDATE t SET v = v WHERE k = $key;
\\! $names
BEGIN; SET application_name = 'undone'; UPDATE t SET v = v WHERE k = $key; ROLLBACK;
INSERT INTO t VALUES (5000 + $key, 1);
UPDATE t SET v = v WHERE k = $key;
\\! $names
SET application_name = '$long';
SELECT v FROM t WHERE k = $key;
\\! $names
SELECT 'pid ' || pg_backend_pid();
});
is($status, 0, 'application names') or diag($err);
my ($pid) = $rows =~ /^pid (\d+)$/m;
is(join("\n", grep { /^cz_fdw .* \Q$pid\E / } split /\n/, $rows),
	join("\n", map { substr("cz_fdw coordinator $pid $_", 0, 63) } 'first', "it's? second", 'third', 'third', $long),
	'are the session\'s, cut where they are too long');

# A pooler between coordinator and worker: fine if it keeps a session's process
SKIP:
{
	my $pgbouncer = (grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer')[0];
	skip 'no pgbouncer', 4 unless $pgbouncer;
	foreach my $mode ('transaction', 'session')
	{
		my $dir = PostgreSQL::Test::Utils::tempdir();
		my $port = PostgreSQL::Test::Cluster::get_free_port();
		PostgreSQL::Test::Utils::append_to_file("$dir/ini", join "\n", '[databases]',
			'postgres = host=127.0.0.1 port=' . $cluster->worker(2)->port . ' user=postgres', '[pgbouncer]',
			'listen_addr = 127.0.0.1', "listen_port = $port", 'auth_type = any', 'unix_socket_dir =',
			"pool_mode = $mode", 'default_pool_size = 20', "logfile = $dir/log", '');
		my $run = IPC::Run::start([ $pgbouncer, "$dir/ini" ], '<', \undef, '>', '/dev/null', '2>', '/dev/null');
		for (1 .. 600)
		{
			last if system("bash -c 'exec 3<>/dev/tcp/127.0.0.1/$port' 2>/dev/null") == 0;
			sleep 0.05;
		}
		my $node = $cluster->server_name(2);
		my ($status, $rows, $err) = $cluster->try_sql(
			"ALTER SERVER $node OPTIONS (SET port '$port'); SELECT count(*) FROM t; UPDATE t SET v = v;");
		if ($mode eq 'session')
		{
			is("$status $rows $err", '0 1001 ', 'a pooler in session mode is fine');
		}
		else
		{
			like($err, qr/ERROR:  0A000: node "$node" is behind a connection pooler in transaction mode/, 'one in transaction mode is refused');
			like($err, qr/HINT:.*session/, 'with a hint');
			$cluster->sql("ALTER SERVER $node OPTIONS (SET port '" . $cluster->worker(2)->port . "')");
			is($cluster->sql('SELECT count(*) FROM t'), '1001', 'directly it works');
		}
		$run->kill_kill(grace => 5);
	}
}
$cluster->stop;
done_testing();
