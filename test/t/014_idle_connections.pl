# A connection that died while it lay idle is replaced unseen: the workers are restarted,
# their backends terminated, the network's connections reset between two statements of one
# session, and the next statement, whatever it is, goes on without a word.  In the middle of
# a transaction that has written the error is of class 08 and names the node.
#
#   coordinator -- proxy -- worker1   reset
#               -- worker2, worker3   restarted, terminated (as is worker1)
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [1],
	conf => "cz.shard_count = 8\ncz.recovery_interval = -1\n");
$cluster->sql(q{
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i FROM generate_series(1, 200) i;
SET cz.shard_replication_factor = 1;
CREATE TABLE one (k int PRIMARY KEY, v int);
SELECT create_distributed_table('one', 'k', colocate_with => 'none');
INSERT INTO one SELECT i, i FROM generate_series(1, 200) i;
CREATE TABLE ref (k int PRIMARY KEY, v int);
SELECT create_reference_table('ref');
INSERT INTO ref SELECT i, i FROM generate_series(1, 20) i;
CREATE TABLE loc (k int);
});

# Shell commands that make every idle connection useless
my $tmp = PostgreSQL::Test::Utils::tempdir();
my %kill = (
	restart => join(' & ', map { "$ENV{CZ_BINDIR}/pg_ctl -D " . $cluster->worker($_)->data_dir
		  . ' -l ' . $cluster->worker($_)->logfile . ' -m fast -w -s restart' } 1 .. 3) . ' & wait',
	terminate => join(' & ', map { "$ENV{CZ_BINDIR}/psql -XAtqh 127.0.0.1 -p "
		  . $cluster->worker($_)->port . " -U postgres postgres -c \"SELECT pg_terminate_backend(pid, 10000) "
		  . "FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%' AND pid <> pg_backend_pid()\" >$tmp/out" } 1 .. 3) . ' & wait',
	reset => $cluster->proxy_command(1, 'HUP'));

# The session's connections to all workers, several each
my $warm = 'SELECT count(*) FROM t; SELECT count(*) FROM one;';

# [what it is, statements before, statement after, what it prints]
my @cases = (
	['SELECT', '', 'SELECT count(*), sum(v) FROM one', '200|20100'],
	['SELECT of one shard', '', 'SELECT v FROM one WHERE k = 7', '7'],
	['SELECT of a reference table beside shards', '', 'SELECT count(*) FROM one JOIN ref USING (k)', '20'],
	['UPDATE', '', 'UPDATE t SET v = v + 1 WHERE k = 7 RETURNING v', '8'],
	['UPDATE of one placement', '', 'UPDATE one SET v = v + 1 WHERE k = 7 RETURNING v', '8'],
	['DELETE of all shards', '', 'DELETE FROM one WHERE v = 200 RETURNING k', '200'],
	['INSERT', '', 'INSERT INTO t VALUES (1001, 1) RETURNING k', '1001'],
	['INSERT of one placement', '', 'INSERT INTO one VALUES (1001, 1)', ''],
	['INSERT of many rows', '', 'INSERT INTO one SELECT i, 1 FROM generate_series(2001, 2100) i', ''],
	['INSERT SELECT', '', 'INSERT INTO t SELECT k + 2000, v FROM t WHERE k < 100', ''],
	['COPY', '', "COPY t FROM stdin;\n1002\t1\n1003\t1\n\\.\n", ''],
	['COPY TO', '', 'COPY (SELECT k FROM one WHERE k < 4 ORDER BY k) TO stdout', "1\n2\n3"],
	['UPDATE of a reference table', '', 'UPDATE ref SET v = v + 1 WHERE k = 3 RETURNING v', '4'],
	['INSERT into a reference table', '', 'INSERT INTO ref VALUES (100, 1)', ''],
	['row locks', '', 'SELECT v FROM one WHERE k = 8 FOR UPDATE', '8'],
	['EXECUTE of a read', 'PREPARE p(int) AS SELECT v FROM one WHERE k = $1; EXECUTE p(9); EXECUTE p(9);', 'EXECUTE p(9)', '9'],
	['EXECUTE of a write', 'PREPARE w(int) AS UPDATE t SET v = v + 1 WHERE k = $1; EXECUTE w(10); EXECUTE w(10);', 'EXECUTE w(10)', ''],
	['CREATE INDEX', '', 'CREATE INDEX t_v ON t (v)', ''],
	['ALTER TABLE', '', 'ALTER TABLE one ADD COLUMN c int DEFAULT 3', ''],
	['TRUNCATE', '', 'TRUNCATE ref', ''],
	['CREATE and distribute', '', "CREATE TABLE n (k int); SELECT 1 FROM create_distributed_table('n', 'k')", '1'],
	['DROP', '', 'DROP TABLE n', ''],
	['ANALYZE', '', 'ANALYZE t', ''],
	['EXPLAIN ANALYZE', '', "SELECT 1 FROM (SELECT count(*) FROM t) s", '1'],
	['a cursor', 'BEGIN;', 'DECLARE c CURSOR FOR SELECT k FROM one ORDER BY k; FETCH 2 FROM c; COMMIT', "1\n2"],
	['a transaction that has not used them', 'BEGIN; INSERT INTO loc VALUES (1);',
		'UPDATE t SET v = 0 WHERE k = 11; UPDATE one SET v = 0 WHERE k = 11; COMMIT; SELECT v FROM t WHERE k = 11', '0'],
	['a transaction that has read', 'BEGIN; SELECT count(*) FROM one;', 'SELECT v FROM one WHERE k = 12; COMMIT', '12'],
	['REPEATABLE READ', 'BEGIN ISOLATION LEVEL REPEATABLE READ;', 'SELECT v FROM one WHERE k = 12; COMMIT', '12'],
	['a subtransaction', 'BEGIN;', 'SAVEPOINT s; UPDATE t SET v = 1 WHERE k = 13; RELEASE s; COMMIT', ''],
	['recovery', '', 'SELECT recover_prepared_transactions()', '0'],
	['sizes', '', "SELECT citus_table_size('t') > 0", 't'],
);

foreach my $how ('reset', 'terminate', 'restart')
{
	foreach my $case (@cases)
	{
		my ($what, $before, $after, $wanted) = @$case;
		# each kind of loss meets reads and writes; the restart meets everything
		next if $how ne 'restart' && $what !~ /^(SELECT|UPDATE|INSERT|COPY|EXECUTE of a write|ALTER TABLE|a cursor)$/;
		$after .= ';' unless $after =~ /\.\n$/;
		# which are run again after the restart: nothing of them may remain
		my $sql = $how ne 'restart' && $what !~ /cursor/ ? "BEGIN; $after ROLLBACK;" : $after;
		my ($status, $out, $err) = $cluster->try_sql(
			"\\set QUIET on\n$warm $before\n\\! $kill{$how}\n\\echo after\n$sql\n");
		$out =~ s/.*^after\n?//ms;
		is("$status $out$err", "0 $wanted", "$how, then $what");
	}
}
$cluster->worker($_)->_update_pid(1) foreach 1 .. 3;
$cluster->sql('INSERT INTO ref VALUES (1, 1)');

# In the middle: the transaction is lost, and the message says where it was
foreach my $table ('one', 't', 'ref')
{
	# what is written to a reference table is sent when somebody reads it
	my $write = "BEGIN; UPDATE $table SET v = v + 1; SELECT count(*) FROM one JOIN ref USING (k);";
	# of a reference table the first placement is here: copies are left out
	my ($failed, $expected, $message) = $table eq 'ref' ?
	  (0, 'a warning', qr/WARNING:  08006: placements on node "node_\d" are left out/) :
	  (3, 'an error', qr/ERROR:  08\d\d\d: connection to node "node_\d" was lost/);
	my ($status, $out, $err) = $cluster->try_sql(
		"$write\n\\! $kill{restart}\nUPDATE $table SET v = v + 1; COMMIT;");
	is($status, $failed, "restart after a write of $table: $expected");
	like($err, $message, 'that names the node');
	is(scalar(() = $err =~ /server closed|terminating connection/g) <= 1, 1, 'and has no heap of raw messages') or diag($err);
	$cluster->repair;
	($status, $out, $err) = $cluster->try_sql(
		"$write\n\\! $kill{restart}\nSELECT count(*) FROM $table; COMMIT;");
	is($status, $failed, "restart after a write of $table, then a read: $expected");
	like($err, $message, 'that names the node');
	$cluster->repair;
	($status, $out, $err) = $cluster->try_sql(
		"$write\n\\! $kill{restart}\nCOMMIT;");
	$cluster->repair;
	is($status, $failed, "restart after a write of $table, then COMMIT: $expected");
	like($err, $message, 'that names the node');
}
$cluster->worker($_)->_update_pid(1) foreach 1 .. 3;
is($cluster->sql('SELECT sum(v) FROM one WHERE k BETWEEN 20 AND 29'), '245', 'nothing of them remained');

# A network that has forgotten idle connections says nothing of it: those are asked first.
# The proxy must have forgotten them before they are: one that is lost behind the answer is
# like a worker that works hard.
my ($status, $out, $err) = $cluster->try_sql(
	"SET cz.connect_timeout = '3s';\n$warm\nSELECT pg_sleep(5.5);\n\\! kill -ALRM $cluster->{proxies}{1}{pid}; sleep 4\n"
	  . "SELECT count(*) FROM one; UPDATE t SET v = v + 1 WHERE k < 40;");
is("$status $err", '0 ', 'connections that the network has forgotten are replaced');

# The same of connections that were being made when the statement that wanted them ended:
# the next one resumes them.
my $slow = 'SELECT sum(length(repeat(k::text, 2000000))) > 0 FROM one';
($status, $out, $err) = $cluster->try_sql(
	"SET cz.connect_timeout = '3s'; SET cz.max_connections_per_worker = 4;\nSELECT count(*) FROM one;\n"
	  . "\\! kill -WINCH $cluster->{proxies}{1}{pid}; sleep 0.5\n$slow;\n"
	  . "\\! sleep 6; kill -ALRM $cluster->{proxies}{1}{pid}; sleep 2\n$slow;");
is("$status $err", '0 ', 'connections that were being made and that the network has forgotten are replaced');

# Sessions of ours are not subject to the workers' timeout of idle ones
foreach my $i (1 .. 3)
{
	$cluster->worker_sql($i, "ALTER SYSTEM SET idle_session_timeout = '100ms'");
	$cluster->worker_sql($i, 'SELECT pg_reload_conf()');
}
my $list = join ' && ', map { "$ENV{CZ_BINDIR}/psql -XAtqh 127.0.0.1 -p " . $cluster->worker($_)->port
	  . " -U postgres postgres -c \"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%' ORDER BY 1\"" } 1 .. 3;
($status, $out, $err) = $cluster->try_sql("$warm\n\\! $list\n\\echo later\nSELECT pg_sleep(0.7);\n\\! $list\n");
$out =~ s/^200\n//mg;
my ($first, $second) = map { [split] } split /^later\n+/m, $out;
ok(@$second >= 3, 'idle connections stay in spite of idle_session_timeout');
my %old = map { $_ => 1 } @$first;
is(join(' ', grep { !$old{$_} } @$second), '', 'and they are the same ones');

# An idle cluster is idle: after a round that found nothing to do no worker hears of the
# background workers, until something happens
$cluster->worker_sql($_, 'ALTER SYSTEM SET log_connections = on') foreach 1 .. 3;
$cluster->worker_sql($_, 'SELECT pg_reload_conf()') foreach 1 .. 3;
$cluster->sql("ALTER SYSTEM SET $_") foreach "cz.recovery_interval = '100ms'", 'cz.auto_analyze = on',
  "cz.auto_analyze_interval = '100ms'";
$cluster->sql('UPDATE t SET v = v WHERE k < 100');
$cluster->sql('SELECT pg_reload_conf()');
my @size = (0, 0, 0);
my $is_idle = 0;
for (1 .. 30)
{
	sleep 3;
	my @now = map { -s $cluster->worker($_)->logfile } 1 .. 3;
	my $new = join '', map { PostgreSQL::Test::Utils::slurp_file($cluster->worker($_)->logfile, $size[ $_ - 1 ]) } 1 .. 3;
	@size = @now;
	$is_idle = $new !~ /connection received/;
	last if $is_idle;
}
ok($is_idle, 'no connections of background workers while nothing happens');
$cluster->sql('UPDATE t SET v = v WHERE k < 100');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.transaction_log'),
	'a two-phase commit wakes them');
$cluster->stop;
done_testing();
