# Only one coordinator of a cluster uses its workers: who has taken over raises the epoch in
# the mark of each worker, ends the sessions of those before it, and these get 55000 at their
# next connection, whatever they want.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 3,
	conf => "wal_level = replica\nmax_wal_senders = 10\ncz.shard_count = 6\ncz.worker_timeout = '5s'\n"
	  . "cz.connect_timeout = '2s'\ncz.recovery_interval = -1\n");
my $primary = $cluster->coordinator;
my $replaced = qr/ERROR:  55000: this database is no longer a coordinator of its cluster/;

sub sql_on
{
	my ($node, $sql, $db) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($db // 'postgres', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'postgres', '-v', 'VERBOSITY=verbose' ]);
	return ($status, $out, $err);
}

# What a worker's mark says: epoch and owner
sub mark
{
	my ($i) = @_;
	return split / /, $cluster->worker_sql($i,
		"SELECT split_part(d, ' ', 4) || ' ' || split_part(d, ' ', 5) FROM obj_description('cz_shards'::regnamespace, 'pg_namespace') d");
}

sub sessions
{
	my ($i, $epoch) = @_;
	return $cluster->worker_sql($i, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND objid::int8 = $epoch AND mode = 'ShareLock'");
}

sub prepared
{
	return join ' ', grep { $_ ne '' } map { $cluster->worker_sql($_, 'SELECT gid FROM pg_prepared_xacts') } 1 .. 3;
}

my @refused = (
	'SELECT count(*) FROM t', 'SELECT v FROM t WHERE k = 1', 'INSERT INTO t VALUES (1000, 1)', 'UPDATE t SET v = 9 WHERE k = 1',
	'DELETE FROM t', 'TRUNCATE t', 'DROP TABLE t', 'ALTER TABLE t ADD COLUMN w int', 'CREATE INDEX ON t (v)', 'ANALYZE t',
	'COPY t FROM PROGRAM $$echo 2000,1$$ (FORMAT csv)', 'INSERT INTO r VALUES (9, 9)', "SELECT recover_prepared_transactions()",
	"SELECT create_distributed_table('plain', 'k')", 'CALL citus_cleanup_orphaned_resources()', 'SELECT cz_repair_placements()',
	q{SELECT citus_move_shard_placement((SELECT min(shardid) FROM pg_dist_shard), 1, 2)},
	q{SELECT count(*) FROM run_command_on_workers('SELECT 1')}, q{SELECT citus_add_node('127.0.0.1', 1)},
	q{DO $$BEGIN DELETE FROM t; EXCEPTION WHEN division_by_zero THEN NULL; END$$});

$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 60) i;
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_reference_table('r');
	INSERT INTO r VALUES (1, 1);
	CREATE TABLE plain (k int);
	CREATE TABLE l (i int);
});
my $rows = '60|0';
is((mark($_))[0], 1, "worker $_ has the epoch in its mark") foreach 1 .. 3;

note 'a standby is promoted while the primary lives';
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => $primary->install_path);
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
# sessions of the old primary: one idle, one in a transaction that has written, one with a cursor
my $idle = $cluster->start_halting("SELECT count(*) FROM t;", "SELECT 'read', count(*) FROM t;");
my $writer = $cluster->start_halting("BEGIN; UPDATE t SET v = 7 WHERE k = 1;", 'COMMIT;');
my $cursor = $cluster->start_halting("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c; INSERT INTO l VALUES (7);",
	"FETCH ALL FROM c; COMMIT;");
# and one between its two phases, not decided
my $prepared = $cluster->start_at('after_prepare', 'BEGIN; INSERT INTO l VALUES (3); INSERT INTO t SELECT i, 8 FROM generate_series(101, 160) i; COMMIT');
isnt(prepared(), '', 'something is prepared');
cmp_ok(sessions(1, 1), '>', 2, 'sessions of the first epoch');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$standby->promote;
is((sql_on($standby, 'SELECT count(*), sum(v) FROM t'))[1], $rows, 'promoted, it reads');
my ($status, $out, $err) = sql_on($standby, 'SELECT cz_take_over()');
is($out, '2', 'and takes over') or diag($err);
is($err, '', 'without a warning');
is((mark($_))[0], 2, "worker $_ has the new epoch") foreach 1 .. 3;
is(sessions($_, 1), 0, "and no session of the old one") foreach 1 .. 3;
(undef, $out, $err) = sql_on($standby, 'UPDATE t SET v = v + 1; SELECT sum(v) FROM t');
is($out, '60', 'it writes at once, what was not decided is rolled back') or diag($err);
sql_on($standby, 'SELECT recover_prepared_transactions()');
is(prepared(), '', 'nothing is left prepared');

note 'what the old primary had under way';
$cluster->go_on($idle);
(undef, $out, $err) = $cluster->finish_sql($idle, 30);
like($err, $replaced, 'a session with idle connections is refused') or diag($out);
like($err, qr/DETAIL:  Another one has taken over: its epoch is 2, that of this database 1\./, 'and why');
foreach my $handle ($writer, $cursor)
{
	$cluster->go_on($handle);
	($status, $out, $err) = $cluster->finish_sql($handle, 30);
	isnt($status, 0, 'an open transaction fails') or diag($out);
	like($err, qr/ERROR:  (?:08006|57P01|55000)/, 'its connections are gone');
}
$cluster->go;
($status, $out, $err) = $cluster->finish_sql($prepared, 30);
is((sql_on($standby, 'SELECT sum(v) FROM t'))[1], '60', 'none of it is there');

note 'what it begins';
foreach my $sql (@refused)
{
	(undef, $out, $err) = $cluster->try_sql($sql);
	like($err, $replaced, "$sql: no") or diag($out);
}
is($cluster->sql("SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1"), '0', 'no placement is taken for inactive');
is($cluster->sql('SELECT count(*) FROM cz.cleanup'), '0', 'nothing is listed for clean-up');
is($cluster->sql('SELECT count(*) FROM plain'), '0', 'local tables are there');
foreach my $sql ('SELECT cz_take_over()')
{
	(undef, $out, $err) = $cluster->try_sql($sql);
	like($err, qr/ERROR:  55000: another database has taken over as coordinator.*HINT:  If it is stopped for good/s, "$sql: no");
}
$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '100ms'; ALTER SYSTEM SET cz.health_interval = '100ms'");
$primary->restart;
foreach my $sql (@refused[0, 2, 6, 12])
{
	(undef, $out, $err) = $cluster->try_sql($sql);
	like($err, $replaced, "restarted, $sql: no") or diag($out);
}
ok($primary->poll_query_until('postgres', "SELECT xact_commit + xact_rollback > 30 FROM pg_stat_database WHERE datname = 'postgres'"), 'rounds of its background workers');
is((sql_on($standby, 'SELECT count(*), sum(v) FROM t'))[1], '60|60', 'all is as the new one left it');
my $log = PostgreSQL::Test::Utils::slurp_file($primary->logfile);
my $times = () = $log =~ /LOG:  another database has taken over as coordinator/g;
cmp_ok($times, '<=', 3, 'the log says so once a start');
cmp_ok($times, '>=', 1, 'at least');
$cluster->{coordinator} = $standby;

note 'a worker that was away is fenced when it is met';
$standby->append_conf('postgresql.conf', "cz.recovery_interval = -1\n");
$standby->reload;
$standby->backup('second');
my $next = PostgreSQL::Test::Cluster->new('next', install_path => $primary->install_path);
$next->init_from_backup($standby, 'second', has_streaming => 1);
$next->start;
my $old_key = $cluster->key_on(3, 't');
my $open = $cluster->start_halting("BEGIN; UPDATE t SET v = 99 WHERE k = $old_key;", 'COMMIT;');
$standby->wait_for_catchup($next, 'replay', $standby->lsn('flush'));
$next->promote;
$cluster->freeze_worker(3);
($status, $out, $err) = sql_on($next, "SELECT cz_take_over()");
is($out, '3', 'taken over without one worker') or diag($err);
like($err, qr/WARNING:  01000: former coordinators are not fenced on node "\w+" yet/, 'with a warning');
$cluster->thaw_worker(3);
is((mark(3))[0], 2, 'the worker has not heard of it');
is((mark(2))[0], 3, 'the others have');
(undef, $out, $err) = sql_on($next, "SET statement_timeout = '60s'; UPDATE t SET v = 5 WHERE k = $old_key; SELECT v FROM t WHERE k = $old_key");
is($out, '5', 'it is used, and the open transaction there does not hold it up') or diag($err);
# that one may have been left out, being looked at only now and then: what the old one
# would commit there alone is nothing that the new one knows
$cluster->go_on($open);
($status, $out, $err) = $cluster->finish_sql($open, 30);
isnt($status, 0, 'the old one can not commit');
is((sql_on($next, "SELECT v FROM t WHERE k = $old_key"))[1], '5', 'nor has it');
sql_on($next, 'SELECT recover_prepared_transactions()');
is((mark(3))[0], 3, 'and has the epoch from then on');

note 'roles of their own, who may not write the mark';
{
	sql_on($next, 'CREATE ROLE clerk LOGIN');
	$cluster->worker_sql($_, 'CREATE ROLE clerk LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA cz_shards TO clerk') foreach 1 .. 3;
	foreach my $i (1 .. 3)
	{
		my $port = $cluster->port($i);
		my $server = (sql_on($next, "SELECT srvname FROM pg_foreign_server WHERE 'port=$port' = ANY (srvoptions)"))[1];
		sql_on($next, "CREATE USER MAPPING FOR clerk SERVER $server OPTIONS (user 'clerk', password_required 'false')");
	}
	sql_on($next, 'GRANT ALL ON t TO clerk');
	# as if the take-over had been lost on the way
	$cluster->worker_sql(1, q{DO $$BEGIN EXECUTE format('COMMENT ON SCHEMA cz_shards IS %L', (SELECT regexp_replace(d, '^(cz_fdw \S+ \S+) .*', '\1 1') FROM obj_description('cz_shards'::regnamespace, 'pg_namespace') d)); END$$});
	$next->restart;
	(undef, $out, $err) = sql_on($next, 'SET ROLE clerk; SELECT count(*) FROM t');
	is($out, '60', 'a session of such a role reads') or diag($err);
	is((mark(1))[0], 3, 'another mapping has raised the epoch');
}

note 'two that take over from the same one';
{
	my $place = 'SELECT control_file FROM cz.cluster_owner';
	sql_on($next, 'SELECT count(*) FROM t');
	$next->backup('third');
	my $twin = PostgreSQL::Test::Cluster->new('twin', install_path => $primary->install_path);
	$twin->init_from_backup($next, 'third');
	$twin->start;
	my $other = PostgreSQL::Test::Cluster->new('other', install_path => $primary->install_path);
	$other->init_from_backup($next, 'third');
	$other->start;
	is((sql_on($twin, 'SELECT cz_take_over()'))[1], '4', 'the first one');
	(undef, $out, $err) = sql_on($other, 'SELECT count(*) FROM t');
	like($err, $replaced, 'the second one is fenced');
	like((sql_on($other, 'SELECT cz_take_over()'))[2], qr/55000: another database has taken over/, 'and does not take over');
	# it would get the same epoch; no worker has told it of the other
	sql_on($other, 'SET session_replication_role = replica; UPDATE cz.cluster SET epoch = 4; UPDATE cz.cluster_owner SET control_file = '
		  . '(SELECT inode FROM (VALUES (' . (stat($other->data_dir . '/global/pg_control'))[1] . '::int8)) v(inode))');
	(undef, $out, $err) = sql_on($other, 'SELECT count(*) FROM t');
	like($err, qr/$replaced.*DETAIL:  Another one has taken over node "\w+" in the same epoch, 4\./s, 'one epoch has one owner');
	is((sql_on($other, 'SELECT cz_take_over(force => true)'))[1], '5', 'forced, it is the one');
	like((sql_on($twin, 'SELECT count(*) FROM t'))[2], $replaced, 'and the first one is not');
	is((sql_on($other, 'SELECT count(*) FROM t'))[1], '60', 'it reads');
	($status, $out, $err) = sql_on($other, 'UPDATE t SET v = 1; SELECT sum(v) FROM t');
	is($out, '60', 'and writes') or diag($err);
	$_->stop('immediate') foreach $twin, $other;
}

$_->stop('immediate') foreach $standby, $next, $primary;
$cluster->stop;
done_testing;
