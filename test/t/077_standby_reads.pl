# A synchronous hot standby of the coordinator reads while the primary writes, and takes its
# place: nothing that the primary has under way is touched by the reads, nothing that was
# acknowledged is lost by the promotion, and the old primary is fenced when it comes back.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = CzCluster->new(
	workers => 2,
	conf => "wal_level = replica\nmax_wal_senders = 10\ncz.shard_count = 4\ncz.worker_timeout = '5s'\n"
	  . "cz.recovery_interval = '200ms'\ncz.auto_take_over = on\n");
my $primary = $cluster->coordinator;

sub sql_on
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'postgres', '-v', 'VERBOSITY=verbose' ]);
	return ($status, $out, $err);
}

sub prepared
{
	return $cluster->worker_sql(1, 'SELECT count(*) FROM pg_prepared_xacts')
	  + $cluster->worker_sql(2, 'SELECT count(*) FROM pg_prepared_xacts');
}

$cluster->sql(q{
	CREATE TYPE mood AS ENUM ('sad', 'happy');
	CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL, m mood DEFAULT 'sad');
	CREATE TABLE u (k int, n int, PRIMARY KEY (k, n));
	CREATE TABLE o (id int PRIMARY KEY, k int);
	CREATE TABLE r (id int PRIMARY KEY, w text);
	CREATE TABLE l (i int PRIMARY KEY);
	CREATE TABLE log (i int PRIMARY KEY, k int);
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('u', 'k', colocate_with => 't');
	SELECT create_distributed_table('o', 'id', colocate_with => 'none');
	SELECT create_reference_table('r');
	SELECT create_distributed_table('log', 'i', colocate_with => 'none');
	INSERT INTO t SELECT i, 100 FROM generate_series(1, 40) i;
	INSERT INTO u SELECT i, j FROM generate_series(1, 40) i, generate_series(1, 3) j;
	INSERT INTO o SELECT i, i % 40 + 1 FROM generate_series(1, 80) i;
	INSERT INTO r SELECT i, 'w' || i FROM generate_series(1, 3) i;
	INSERT INTO l SELECT generate_series(1, 10);
	CREATE VIEW totals AS SELECT t.k, t.v, count(*) AS c, max(r.w) AS w FROM t JOIN u USING (k) JOIN r ON r.id = u.n GROUP BY t.k, t.v;
	CREATE SEQUENCE s;
	CREATE FUNCTION known(int) RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM u WHERE k = $1); END';
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => $primary->install_path);
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$cluster->sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
$cluster->sql("ALTER SYSTEM SET synchronous_commit = remote_apply");
$cluster->sql('SELECT pg_reload_conf()');
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 'a synchronous standby');

note 'reads, and what they show';
my %reads = (
	'SELECT count(*) FROM t' => '40',
	'SELECT k FROM t WHERE k = 7' => '7',
	'SELECT count(*), sum(n) FROM t JOIN u USING (k)' => '120|240',
	'SELECT count(*) FROM o JOIN t USING (k)' => '80',
	"SELECT count(*) FROM t JOIN u USING (k) JOIN r ON r.id = u.n WHERE w = 'w2'" => '40',
	'SELECT count(*) FROM t JOIN l ON l.i = t.k' => '10',
	'SELECT count(*), sum(c), min(w) FROM totals' => '40|120|w3',
	"SELECT m, count(*) FROM t GROUP BY m" => 'sad|40',
	'WITH x AS (SELECT k, count(*) c FROM u GROUP BY k) SELECT sum(c) FROM x WHERE k IN (SELECT k FROM o)' => '120',
	'SELECT known(3)' => '3',
	"SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 't'::regclass" => '4',
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(v) - (SELECT sum(v) FROM t) FROM t; COMMIT' => '0',
	'BEGIN; DECLARE c CURSOR FOR SELECT k FROM t ORDER BY k; FETCH 2 FROM c; MOVE 35 IN c; FETCH ALL FROM c; COMMIT' => "1\n2\n38\n39\n40",
	'PREPARE p(int) AS SELECT count(*) FROM u WHERE k = $1; EXECUTE p(1); EXECUTE p(2)' => "3\n3",
	'COPY (SELECT k FROM t WHERE k < 3 ORDER BY k) TO STDOUT' => "1\n2",
);
foreach my $sql (sort keys %reads)
{
	my (undef, $out, $err) = sql_on($standby, $sql);
	is($out, $reads{$sql}, $sql) or diag($err);
}
like((sql_on($standby, 'EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT count(*) FROM t JOIN u USING (k)'))[1], qr/node_|Fragments|Remote/i, 'EXPLAIN ANALYZE');
like((sql_on($standby, 'EXPLAIN (COSTS OFF) SELECT * FROM t WHERE k = 1'))[1], qr/t/, 'EXPLAIN');

note 'everything else is refused';
foreach my $sql ('INSERT INTO t VALUES (100, 1)', 'UPDATE t SET v = 1 WHERE k = 1', 'DELETE FROM o', 'SELECT * FROM t WHERE k = 1 FOR UPDATE',
	'TRUNCATE u', "COPY t (k, v) FROM PROGRAM 'echo 100,1' (FORMAT csv)", 'MERGE INTO t USING l ON l.i = t.k WHEN MATCHED THEN DELETE',
	"INSERT INTO r VALUES (9, 'x')", 'DROP TABLE t', 'CREATE INDEX ON t (v)', 'ALTER TABLE t ADD COLUMN x int', "SELECT nextval('s')",
	"SELECT create_distributed_table('l', 'i')", 'SELECT recover_prepared_transactions()', 'SELECT cz_take_over()', 'SELECT cz_take_over(true)',
	'SELECT cz_repair_placements()', 'CALL citus_cleanup_orphaned_resources()',
	'ALTER INDEX t_pkey RENAME TO x', 'REINDEX TABLE t', 'VACUUM t', 'ANALYZE t',
	"SELECT citus_disable_node('127.0.0.1', " . $cluster->port(1) . ')', q{SELECT citus_add_node('127.0.0.1', 1)},
	q{SELECT citus_move_shard_placement((SELECT min(shardid) FROM pg_dist_shard), 1, 2)})
{
	my (undef, undef, $err) = sql_on($standby, $sql);
	like($err, qr/ERROR:  25006/, "$sql: 25006");
}

note 'reads while the primary writes';
{
	# transfers over shards, with inserts of what was acknowledged
	my $stop = $primary->data_dir . '/stop';
	my @writers = map {
		my $from = $_ * 100000;
		$cluster->start_sql(qq{DO \$\$
			DECLARE n int := $from;
			BEGIN
				WHILE pg_stat_file('stop', true) IS NULL LOOP
					n := n + 1;
					UPDATE t SET v = v - 1 WHERE k = n % 20 + 1;
					UPDATE t SET v = v + 1 WHERE k = n % 20 + 21;
					INSERT INTO log VALUES (n, n % 40 + 1);
					COMMIT;
				END LOOP;
			END \$\$; SELECT 'ended'});
	} 1, 2;
	my $end = time + 10;
	my ($rounds, $failed) = (0, '');
	while (time < $end)
	{
		foreach my $sql (sort keys %reads)
		{
			my (undef, $out, $err) = sql_on($standby, $sql);
			$failed .= "$sql: $out $err\n" if $out ne $reads{$sql};
		}
		$rounds++;
	}
	is($failed, '', "$rounds rounds of reads are right");
	PostgreSQL::Test::Utils::append_to_file($stop, '');
	foreach my $writer (@writers)
	{
		my (undef, $out, $err) = $cluster->finish_sql($writer, 60);
		is($out, 'ended', 'a writer has not noticed') or diag($err);
		unlike($err, qr/WARNING|ERROR/, 'nothing of it was rolled back');
	}
	cmp_ok($cluster->sql('SELECT count(*) FROM log'), '>', 10, 'it has written');
	is($cluster->sql('SELECT sum(v) FROM t'), '4000', 'all of each transfer is there');
	is(prepared(), 0, 'nothing is left prepared');
	is($cluster->sql("SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1"), '0', 'all placements are active');
	is((sql_on($standby, 'SELECT count(*) FROM log'))[1], $cluster->sql('SELECT count(*) FROM log'), 'the standby shows the same');
}

note 'a snapshot that is open on the standby';
{
	my (undef, $out, $err) = sql_on($standby, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(v) FROM t; SELECT pg_sleep(1); SELECT sum(v) FROM t; COMMIT');
	is($out, "4000\n\n4000", 'two reads of one transaction') or diag($err);
}

note 'the primary dies between PREPARE and COMMIT PREPARED';
{
	my $acknowledged = $cluster->sql('SELECT count(*) FROM log');
	my $decided = $cluster->start_at('after_local_commit',
		'BEGIN; INSERT INTO l VALUES (100); INSERT INTO log SELECT i, 1 FROM generate_series(900001, 900040) i; COMMIT');
	my $undecided = $cluster->start_at('after_prepare',
		'BEGIN; INSERT INTO l VALUES (200); INSERT INTO log SELECT i, 1 FROM generate_series(910001, 910040) i; COMMIT', 'undecided');
	cmp_ok(prepared(), '>=', 2, 'both are prepared');
	$cluster->kill_coordinator;
	$cluster->finish_sql($_, 30) foreach $decided, $undecided;
	$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
	$standby->reload;
	my $start = time;
	$standby->promote;
	ok($standby->poll_query_until('postgres', 'SELECT epoch = 2 FROM cz.cluster'), 'it takes over by itself');
	my ($status, $out, $err) = sql_on($standby, 'INSERT INTO l VALUES (300); SELECT count(*) FROM l');
	is($out, '12', 'what was decided is here, what was not is not') or diag($err);
	is((sql_on($standby, 'SELECT count(*) FROM log WHERE i BETWEEN 900001 AND 900040'))[1], '40', 'it is carried out on the workers');
	is((sql_on($standby, 'SELECT count(*) FROM log WHERE i > 910000'))[1], '0', 'the other one is rolled back');
	(undef, $out, $err) = sql_on($standby, 'UPDATE t SET v = v + 1; SELECT sum(v) FROM t');
	is($out, '4040', 'writes work') or diag($err);
	note sprintf 'from the promotion to a write: %.1f s', time - $start;
	ok($standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.transaction_log'), 'the log is empty in the end');
	is(prepared(), 0, 'nothing is left prepared');
	is((sql_on($standby, "SELECT count(*) FROM log"))[1], $acknowledged + 40, 'nothing that was acknowledged is lost');
	(undef, $out, $err) = sql_on($standby, 'ALTER TABLE t ADD COLUMN x int DEFAULT 1; CREATE TABLE fresh (k int); SELECT count(*) FROM (SELECT create_distributed_table($$fresh$$, $$k$$)) c; SELECT sum(x) FROM t');
	is($out, "1\n40", 'and so does DDL') or diag($err);
}

note 'the old primary comes back';
{
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
	unlink $primary->data_dir . '/postgresql.auto.conf';
	PostgreSQL::Test::Utils::append_to_file($primary->data_dir . '/postgresql.auto.conf', '');
	$primary->start;
	foreach my $sql ('SELECT count(*) FROM t', 'INSERT INTO t VALUES (500, 1)', 'DROP TABLE o', 'SELECT recover_prepared_transactions()')
	{
		my (undef, undef, $err) = sql_on($primary, $sql);
		like($err, qr/ERROR:  55000: this database is no longer a coordinator of its cluster/, "$sql: no");
	}
	# with cz.auto_take_over, too
	sleep 1;
	is((sql_on($primary, 'SELECT epoch FROM cz.cluster'))[1], '1', 'it does not take over');
	is((sql_on($standby, 'SELECT count(*), sum(v) FROM t'))[1], '40|4040', 'all is as the new one left it');
	$primary->stop('immediate');
}

$cluster->{coordinator} = $standby;
ok($cluster->repair, 'all placements are active');
is($cluster->differing_placements, '', 'and equal');
$standby->stop('immediate');
$cluster->stop;
done_testing;
