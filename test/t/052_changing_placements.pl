# Placements become inactive while others read: who has seen a transaction sees it from then on,
# and who reads several shards sees it on all of them or on none, whichever placements he finds.
#
#	shard "first":   worker 1, worker 2
#	shard "second":  worker 2 or 3 before the other one
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => qq{
cz.shard_count = 8
cz.worker_timeout = 5s
cz.connect_timeout = 5s
cz.recovery_interval = -1
});
$cluster->sql(q{
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
});

# Keys of one shard whose first and second placements are on these workers
sub keys_at
{
	my @ports = map { $cluster->port($_) } @_;
	return split /\n/, $cluster->sql(qq{
		SELECT k FROM t JOIN cz.placement_list() p ON p.shard_id = get_shard_id_for_distribution_column('t', k) AND p.position = 0
			JOIN pg_foreign_server s ON s.oid = p.server_oid AND 'port=$ports[0]' = ANY (s.srvoptions)
			JOIN cz.placement_list() q ON q.shard_id = p.shard_id AND q.position = 1
			JOIN pg_foreign_server u ON u.oid = q.server_oid AND 'port=$ports[1]' = ANY (u.srvoptions)
		WHERE p.shard_id = (SELECT min(get_shard_id_for_distribution_column('t', k)) FROM t, cz.placement_list() l
			JOIN pg_foreign_server s ON s.oid = l.server_oid AND 'port=$ports[0]' = ANY (s.srvoptions)
			WHERE l.shard_id = get_shard_id_for_distribution_column('t', k) AND l.position = 0)
		ORDER BY k});
}
my ($first, $neighbour) = keys_at(1, 2);
my ($second, $beside) = keys_at(2, 3);
ok($first && $neighbour && $second && $beside, 'there are such shards');

# Commits in which the first placement decides need a row that says so; it is there from now on.
# (Where nothing is inactive the repair asks no worker, and the first write might leave out one that
# was lost: the look whether it is back takes longer than a write waits for it on a busy machine.)
sub start_anew
{
	$cluster->await_workers or die 'a worker is not back';
	ok($cluster->repair, 'all placements are active');
	$cluster->sql("UPDATE t SET v = v WHERE k IN ($first, $second); UPDATE t SET v = v WHERE k = $_") foreach $first, $first;
	return $cluster->sql("SELECT v FROM t WHERE k = $first");
}

# The answer of who should wait until $release has been run; he gets a second to give a wrong one
sub answer_after
{
	my ($reader, $release) = @_;
	my $end = time + 1;
	while ($reader->{run}->pumpable && time < $end)
	{
		$reader->{run}->pump_nb;
		sleep 0.02;
	}
	$release->();
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	diag($err) if $status != 0;
	return $out;
}

my $read_first = "SELECT v FROM t WHERE k = $first";
my $read_both = "SELECT sum(v) FROM (SELECT v FROM t WHERE k IN ($first, $second) OFFSET 0) x";

note 'the first placement has committed and is lost, the other one has not committed yet';
foreach my $how ('another placement is read', 'another one has become the first')
{
	my $value = start_anew() + 1;
	my $writer = $cluster->start_at('p_committed', "UPDATE t SET v = $value WHERE k = $first");
	is($cluster->sql($read_first), $value, "$how: it is seen");
	$cluster->kill_worker(1);
	$cluster->sql("UPDATE t SET v = v WHERE k = $neighbour") if $how =~ /become/;
	is(answer_after($cluster->start_sql($read_first), sub { $cluster->go }), $value, "$how: and is seen again");
	is(($cluster->finish_sql($writer, 60))[0], 0, "$how: the writer commits");
	$cluster->restart_worker(1);
}

note 'the same: other shards are read meanwhile';
{
	my ($other) = split /\n/, $cluster->sql("SELECT k FROM t WHERE get_shard_id_for_distribution_column('t', k) <> get_shard_id_for_distribution_column('t', $first) ORDER BY k LIMIT 1");
	my $value = start_anew() + 1;
	my $reader = $cluster->start_halting("SELECT v FROM t WHERE k = $other; SELECT v FROM t WHERE k = $first;",
		"SET statement_timeout = '20s'; SELECT count(*) FROM t WHERE k = $other; SELECT count(*) FROM v;");
	$cluster->sql('CREATE TABLE v (k int PRIMARY KEY, v int); SELECT create_distributed_table(\'v\', \'k\')') if $cluster->sql("SELECT to_regclass('v') IS NULL") eq 't';
	my $writer = $cluster->start_at('p_committed', "UPDATE t SET v = $value WHERE k = $first");
	$cluster->kill_worker(1);
	$cluster->sql("UPDATE t SET v = v WHERE k = $neighbour");
	$cluster->go_on($reader);
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($status, 0, 'nobody waits') or diag($err);
	like($out, qr/1\n\d+$/, 'what is there is read');
	is(answer_after($cluster->start_sql($read_first), sub { $cluster->go }), $value, 'who reads that shard does');
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
	$cluster->restart_worker(1);
}

note 'a statement of several parts: placements become inactive between the first part and the second';
{
	my $both = "SELECT (SELECT sum(v) FROM t), stop_here(), (SELECT sum(v) FROM (SELECT v FROM t OFFSET 0) x)";
	start_anew();
	$cluster->sql("CREATE OR REPLACE FUNCTION stop_here() RETURNS text VOLATILE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(4712); RETURN NULL; END'");
	foreach my $how ('frozen', 'killed')
	{
		my $sum = $cluster->sql('SELECT sum(v) FROM t');
		my $holder = $cluster->start_halting('SELECT pg_advisory_lock(4712);', '');
		my $reader = $cluster->start_sql("$both;");
		$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted")
		  or die 'the function was not reached';
		$how eq 'frozen' ? $cluster->freeze_worker(2) : $cluster->kill_worker(2);
		$cluster->sql("SET cz.connect_timeout = '1s'; SET cz.worker_timeout = '1s'; UPDATE t SET v = v + 1 WHERE k IN ($second, $beside)");
		$cluster->thaw_worker(2) if $how eq 'frozen';
		$cluster->go_on($holder);
		$cluster->finish_sql($holder, 60);
		my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
		is($out, "$sum||$sum", "$how: it goes on as of its snapshots") or diag($err);
		$cluster->restart_worker(2) if $how eq 'killed';
		ok($cluster->repair, 'all placements are active');
	}
}

note 'a placement stood in for another one, which can be read again but is inactive';
{
	my $value = start_anew() + 1;
	$cluster->kill_worker(1);
	my $stem = PostgreSQL::Test::Utils::tempdir() . '/again';
	my $reader = $cluster->start_at('placements_awaited', "$read_first;\nSET cz.debug_point = '';\n"
		  . "\\! touch $stem.there; while [ ! -e $stem.go ]; do sleep 0.05; done\n$read_first;\n", 'reader');
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE t SET v = $value WHERE k IN ($first, $second)");
	$cluster->go('reader');
	for (1 .. 600)
	{
		last if -e "$stem.there";
		$reader->{run}->pump_nb;
		sleep 0.1;
	}
	$cluster->restart_worker(1);
	PostgreSQL::Test::Utils::append_to_file("$stem.go", '');
	is(answer_after($reader, sub { $cluster->go }), "$value\n$value", 'it is seen, and seen again');
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
}

note 'a placement becomes inactive, and can be read again, while a reader is about to begin';
foreach my $isolation ('READ COMMITTED', 'REPEATABLE READ')
{
	my $sum = 2 * start_anew();
	$cluster->sql("UPDATE t SET v = @{[$sum / 2]} WHERE k = $second");
	$cluster->kill_worker(1);
	my $writer = $cluster->start_at('after_local_commit', "UPDATE t SET v = v + 1 WHERE k IN ($first, $second)");
	$cluster->restart_worker(1);
	my $reader = $cluster->start_sql("BEGIN ISOLATION LEVEL $isolation; $read_both; COMMIT");
	is(answer_after($reader, sub { $cluster->go }), $sum + 2, "$isolation: all is seen");
	is(($cluster->finish_sql($writer, 60))[0], 0, "$isolation: the writer commits");
}

note 'the same, and the reader has a cursor';
{
	my $sum = 2 * start_anew();
	$cluster->sql("UPDATE t SET v = @{[$sum / 2]} WHERE k = $second");
	my $reader = $cluster->start_halting("BEGIN; DECLARE c CURSOR FOR $read_both;", 'FETCH ALL FROM c; COMMIT;');
	$cluster->kill_worker(1);
	$cluster->sql("UPDATE t SET v = v + 1 WHERE k IN ($first, $second)");
	$cluster->restart_worker(1);
	is(answer_after($reader, sub { $cluster->go_on($reader) }), $sum + 2, 'all is seen');
}

note 'another placement becomes the first between the lock and the change of a row, which has other ids there';
{
	$cluster->sql(q{
		CREATE TABLE u (k int PRIMARY KEY, v int);
		SELECT create_distributed_table('u', 'k', colocate_with => 't');
		INSERT INTO u SELECT k, 0 FROM t ORDER BY k;
		CREATE FUNCTION stop_there() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END';
		CREATE TRIGGER stop BEFORE UPDATE ON u FOR EACH ROW WHEN (NEW.v = 777) EXECUTE FUNCTION stop_there();
	});
	my $shard = $cluster->sql("SELECT 'cz_shards.u_' || get_shard_id_for_distribution_column('u', $second)");
	$cluster->worker_sql(3, "CREATE TEMP TABLE x AS TABLE $shard; DELETE FROM $shard; VACUUM $shard; INSERT INTO $shard TABLE x ORDER BY k DESC");
	foreach my $command ("UPDATE u SET v = 777 WHERE k = $second", "MERGE INTO u USING (VALUES ($second)) s (k) ON u.k = s.k WHEN MATCHED THEN UPDATE SET v = 777")
	{
		my $holder = $cluster->start_halting('SELECT pg_advisory_lock(4711);', '');
		my $writer = $cluster->start_sql($command);
		$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted")
		  or die 'the trigger was not reached';
		$cluster->freeze_worker(2);
		$cluster->sql("SET cz.connect_timeout = '1s'; SET cz.worker_timeout = '1s'; UPDATE u SET v = v + 1 WHERE k = $beside");
		$cluster->thaw_worker(2);
		$cluster->go_on($holder);
		$cluster->finish_sql($holder, 60);
		my ($status, undef, $err) = $cluster->finish_sql($writer, 60);
		isnt($status, 0, "$command: an error");
		like($err, qr/40001: could not serialize access due to a change of placements/, 'that says why');
		is($cluster->sql('SELECT count(*) FROM u WHERE v = 777'), 0, 'and no other row is changed');
		ok($cluster->repair, 'all placements are active');
	}
	is($cluster->sql("SELECT v FROM u WHERE k = $beside"), 2, 'the others have written');
	is($cluster->differing_placements, '', 'placements are equal');
}

note 'a ctid that a client has kept, when another placement has become the first one: there it is another row';
{
	my $shard = $cluster->sql("SELECT 'cz_shards.t_' || get_shard_id_for_distribution_column('t', $second)");
	$cluster->worker_sql(3, "CREATE TEMP TABLE x AS TABLE $shard; DELETE FROM $shard; VACUUM $shard; INSERT INTO $shard TABLE x ORDER BY k DESC");
	foreach my $table ('t', 'u')
	{
		$cluster->sql("UPDATE $table SET v = 0");
		my $read = "SELECT ctid FROM $table WHERE k = $second";
		my $id = $cluster->sql($read);
		my $reader = $cluster->start_halting("BEGIN; $read \\gset\n", "UPDATE $table SET v = 778 WHERE ctid = :'ctid'; COMMIT;");
		$cluster->freeze_worker(2);
		$cluster->sql("SET cz.connect_timeout = '1s'; SET cz.worker_timeout = '1s'; UPDATE $table SET v = v + 1 WHERE k = $beside");
		$cluster->thaw_worker(2);
		$cluster->go_on($reader);
		like(($cluster->finish_sql($reader, 60))[2], qr/40001: could not serialize access due to a change of placements/, "$table: an error in its transaction");
		foreach my $command ("UPDATE $table SET v = 778 WHERE ctid = '$id'", "DELETE FROM $table WHERE ctid = ANY ('{\"$id\"}'::tid[])",
			"DELETE FROM $table WHERE ctid IN (SELECT x FROM unnest('{\"$id\"}'::tid[]) x ORDER BY x LIMIT 1)", "SELECT * FROM $table WHERE ctid = '$id' FOR UPDATE",
			"SELECT * FROM $table WHERE ctid > '$id'")
		{
			my ($status, undef, $err) = $cluster->try_sql($command);
			isnt($status, 0, "$command: an error");
			like($err, qr/40001: could not serialize access due to a change of placements/, 'that says why');
		}
		is($cluster->sql("SELECT count(*), count(*) FILTER (WHERE v = 778) FROM $table"), '100|0', "$table: no other row is changed");
		is($cluster->sql("SELECT count(*) FROM $table WHERE ctid >= '(0,0)' AND ctid <= '(4294967295,65535)'"), 100, "$table: what is no row's is compared");
		$id = $cluster->sql($read);
		is($cluster->sql("UPDATE $table SET v = 779 WHERE ctid = '$id' RETURNING k"), $second, "$table: what is read now is good");
		ok($cluster->repair, 'all placements are active');
	}
}

ok($cluster->repair, 'all placements are active');
is($cluster->differing_placements, '', 'and equal');
$cluster->stop;
done_testing();
