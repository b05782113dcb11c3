# Commands on workers, and the views of sessions and locks of all nodes: a worker that is
# dead or stands still is a row or is left out, in bounded time; a cancel ends what runs
# there; who waits for whom, on workers and here, is told by sessions of the coordinator.
#
#   coordinator -- worker1, worker2, worker3
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 4\ncz.recovery_interval = -1\ncz.connect_timeout = 1s\ncz.worker_timeout = 1s\n");
$cluster->sql(q{
SET cz.shard_replication_factor = 1;
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
CREATE TABLE loc (k int PRIMARY KEY);
INSERT INTO loc VALUES (1);
});

sub wait_for
{
	my ($sql, $what) = @_;
	my $end = time + 60;
	while (time < $end)
	{
		return 1 if $cluster->sql($sql) eq 't';
		select undef, undef, undef, 0.1;
	}
	return 0;
}

# all workers at once: what each of them does for four seconds ends at about the same time
my ($status, $out, $err, $seconds) = $cluster->try_sql(q{
SELECT count(*), bool_and(success), max(result::float8) - min(result::float8) < 4
  FROM run_command_on_workers('SELECT extract(epoch FROM clock_timestamp()) FROM pg_sleep(4)')});
is($out, '3|t|t', 'a command runs on all workers at once');

# a cancel reaches the workers
my $sleeping = "SELECT count(*) = 0 FROM citus_stat_activity WHERE query LIKE 'SELECT pg_sleep(100%' AND state = 'active'";
($status, $out, $err) = $cluster->try_sql("SET statement_timeout = '2s'; SELECT run_command_on_workers('SELECT pg_sleep(1000)')");
like($err, qr/57014/, 'statement_timeout ends it');
ok(wait_for($sleeping, 'end'), 'and what runs on the workers');
($status, $out, $err) = $cluster->try_sql(q{
BEGIN; SELECT count(*) FROM t; SAVEPOINT s;
SET LOCAL statement_timeout = '2s'; \set ON_ERROR_STOP 0
SELECT run_command_on_workers('SELECT pg_sleep(1000)');
ROLLBACK TO s; UPDATE t SET v = v + 1 WHERE k = 1 RETURNING v; COMMIT; SELECT sum(v) FROM t});
is($out, "100\n2\n5051", 'and the transaction goes on after its savepoint');

# two sessions, one waits for the other's row on a worker, the third one here for the second
my $first = $cluster->start_halting('BEGIN; UPDATE t SET v = 0 WHERE k = 5;', 'COMMIT;');
my $second = $cluster->start_sql('BEGIN; LOCK loc; UPDATE /* second */ t SET v = 1 WHERE k = 5; COMMIT;');
my $waits = "SELECT count(*) = %d FROM citus_lock_waits";
ok(wait_for(sprintf($waits, 1)), 'a wait on a worker is seen');
is($cluster->sql(q{
SELECT blocked_statement ~ 'UPDATE /\* second' AND current_statement_in_blocking_process ~ 'UPDATE t SET v = 0', waiting_nodeid, blocking_nodeid,
       waiting_gpid IN (SELECT pid FROM pg_stat_activity WHERE query ~ '^UPDATE /\* second')
  FROM citus_lock_waits}),
	't|0|0|t', 'with the statements that the sessions have sent to the coordinator');
my $third = $cluster->start_sql('INSERT INTO loc /* third */ VALUES (2);');
ok(wait_for(sprintf($waits, 2)), 'a wait here is seen');
is($cluster->sql(q{SELECT count(*) FROM citus_lock_waits a JOIN citus_lock_waits b ON a.waiting_gpid = b.blocking_gpid}),
	'1', 'as a part of the same chain');
$cluster->go_on($first);
is(($cluster->finish_sql($_))[0], 0, 'all of them end') foreach $first, $second, $third;
is($cluster->sql(sprintf($waits, 0)), 't', 'and nobody waits any more');

# any node's process by its global id
$first = $cluster->start_sql("SET application_name = 'here'; SELECT pg_sleep(100)");
ok(wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'here' AND query LIKE '%pg_sleep(100)'", 'start'), 'a session here');
is($cluster->sql("SELECT cz_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'here'"), 't', 'is cancelled');
like(($cluster->finish_sql($first))[2], qr/57014/, 'as by pg_cancel_backend()');
my $theirs = $cluster->worker(2)->background_psql('postgres');
my $gpid = $cluster->sql("SELECT citus_calculate_gpid(node_id, " . $theirs->query_safe('SELECT pg_backend_pid()') . ") FROM cz.worker_list() WHERE nodeport = " . $cluster->port(2));
is($cluster->sql("SELECT cz_terminate_backend($gpid, 5000)"), 't', 'a session of a worker is ended');
is($cluster->worker_sql(2, "SELECT count(*) FROM pg_stat_activity WHERE pid = $gpid % 10000000000"), '0', 'and gone');
eval { $theirs->quit };
$cluster->sql('CREATE ROLE plain LOGIN');
like(($cluster->try_sql("SET ROLE plain; SELECT cz_cancel_backend($gpid)"))[2], qr/42501: must be superuser/, 'not by everybody');
like(($cluster->try_sql('SELECT cz_cancel_backend(-1)'))[2], qr/22023/, 'no process id');
like(($cluster->try_sql('SELECT cz_cancel_backend(9999990000000001)'))[2], qr/42704/, 'no node');
like(($cluster->try_sql("SELECT pg_cancel_backend('1')"))[2], qr/WARNING/, "core's functions are not ambiguous");

# a worker that stands still
$cluster->freeze_worker(2);
my $answers = q{SELECT success, count(*), bool_and(result IS NOT NULL) FROM run_command_on_workers('SELECT 1') GROUP BY 1 ORDER BY 1};
($status, $out, $err, $seconds) = $cluster->finish_sql($cluster->start_sql($answers));
is($out, "f|1|t\nt|2|t", 'a frozen worker is a row');
cmp_ok($seconds, '<', 30, 'in bounded time');
like(($cluster->try_sql('SELECT placements FROM cz_table_activity'))[1], qr/^[1-3]$/, 'and is left out of views');
$cluster->thaw_worker(2);

# a dead one
$cluster->sql("SET cz.shard_count = 16; CREATE TABLE many (k int); SELECT create_distributed_table('many', 'k')");
$cluster->kill_worker(3);
($status, $out, $err) = $cluster->try_sql("SELECT count(*) FROM cz_verify_placements('many')");
is(scalar(() = $err =~ /WARNING/g), 1, 'cz_verify_placements() says once that a node could not be looked at') or diag($err);
is($cluster->sql($answers), "f|1|t\nt|2|t", 'a dead worker is a row');
is($cluster->sql(q{SELECT count(*), count(*) FILTER (WHERE success) BETWEEN 1 AND 3 FROM run_command_on_shards('t', 'SELECT 1 FROM %s LIMIT 1')}),
	'4|t', 'shards there are rows without success');
is($cluster->sql(q{SELECT count(*) FROM run_command_on_all_nodes('SELECT 1', false) WHERE success}), '3', 'one after the other, too');
like($cluster->sql(q{SELECT placements FROM cz_table_activity WHERE relid = 't'::regclass}), qr/^[1-3]$/, 'and the activity of tables says how many were asked');
$cluster->restart_worker(3);
ok(wait_for(q{SELECT bool_and(success) FROM run_command_on_workers('SELECT 1')}), 'all are back');
done_testing();
