# INSERT ... SELECT that the first placements do themselves: what is lost in the middle of it is
# left out or undoes it, and placements stay equal.  And reference tables whose copies are
# inactive: what reads them together with shards gets their rows from the coordinator.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 2,
	conf => "cz.shard_count = 4\ncz.worker_timeout = '5s'\ncz.connect_timeout = '5s'\ncz.recovery_interval = -1\n");
$cluster->sql(q{
	CREATE TABLE s (k int, id int, v text, PRIMARY KEY (k, id));
	CREATE TABLE d (k int, id int, v text, g int GENERATED ALWAYS AS (k + id) STORED, PRIMARY KEY (k, id));
	CREATE TABLE one (k int PRIMARY KEY, v int);
	CREATE TABLE r (id int PRIMARY KEY, name text);
	CREATE TABLE r2 (id int PRIMARY KEY, name text);
	SELECT create_distributed_table('s', 'k'), create_distributed_table('d', 'k', colocate_with => 's');
	SELECT create_reference_table('r'), create_reference_table('r2');
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k', colocate_with => 'none');
	INSERT INTO s SELECT i % 20, i, repeat('x', i % 300) FROM generate_series(1, 4000) i;
	INSERT INTO one SELECT i, i FROM generate_series(1, 40) i;
	INSERT INTO r SELECT i, 'name ' || i FROM generate_series(0, 30) i;
	INSERT INTO r2 SELECT i, 'other ' || i FROM generate_series(0, 30) i;
});

sub is_whole
{
	my ($what) = @_;
	ok($cluster->repair, "$what: made whole");
	is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), '0', "$what: cz_verify_placements");
	is($cluster->differing_placements, '', "$what: placements are equal");
	return;
}

note 'a worker is killed in the middle';
my $plan = $cluster->sql('EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO d SELECT k, id, v FROM s');
like($plan, qr/Remote SQL: INSERT INTO .* FROM cz_shards.s_/, 'the shards do it');
my $key = $cluster->key_on(1, 's');
foreach my $case (
	[ 'after_p', 2, 'second placement, before its rows' ], [ 'copying', 2, 'second placement, at its rows' ],
	[ 'after_p', 1, 'first placement, before the rows of the other' ], [ 'copying', 1, 'first placement, at the rows of the other' ])
{
	my ($point, $worker, $what) = @$case;
	$cluster->await_workers or die 'a worker is not back';
	my $handle = $cluster->start_at($point, "INSERT INTO d SELECT k, id, v FROM s WHERE k = $key");
	$cluster->kill_worker($worker);
	$cluster->go;
	my ($status, undef, $err) = $cluster->finish_sql($handle, 60);
	if ($worker == 2)
	{
		is($status, 0, "$what: the statement goes on") or diag($err);
		like($err, qr/WARNING:  08006/, "$what: a warning");
		is($cluster->sql('SELECT count(*), sum(g) FROM d'), $cluster->sql("SELECT count(*), sum(k + id) FROM s WHERE k = $key"),
			"$what: the rows are there");
	}
	else
	{
		isnt($status, 0, "$what: an error");
		like($err, qr/ERROR:  08/, "$what: of the connection");
	}
	$cluster->restart_worker($worker);
	ok($cluster->wait_for_recovery, "$what: nothing is prepared");
	is($cluster->sql('SELECT count(*) FROM d'), '0', "$what: nothing is there") if $worker == 1;
	is_whole($what);
	$cluster->sql('DELETE FROM d');
}
{
	my $handle = $cluster->start_at('copying', "INSERT INTO d SELECT k, id, v FROM s WHERE k = $key");
	$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%INSERT INTO d%' AND pid <> pg_backend_pid()");
	my ($status, undef, $err) = $cluster->finish_sql($handle, 60);
	like($err, qr/ERROR:  57014/, 'cancelled at the rows of the other placement');
	is($cluster->sql('SELECT count(*) FROM d'), '0', 'cancelled: nothing is there');
	$cluster->sql("BEGIN; SET work_mem = '64kB'; INSERT INTO d SELECT k, id, v FROM s; SAVEPOINT a; DELETE FROM d; ROLLBACK TO a; COMMIT");
	is($cluster->sql('SELECT count(*), sum(g), md5(string_agg(v, chr(32) ORDER BY id)) FROM d'),
		$cluster->sql('SELECT count(*), sum(k + id), md5(string_agg(v, chr(32) ORDER BY id)) FROM s'), 'through files: all rows');
	is_whole('through files');
}

note 'a few rows are one message a worker';
{
	my $values = join ', ', map { "($_, 100000)" } 1 .. 30;
	my $count = "SET cz.log_remote_commands = on; SET client_min_messages = log; ";
	$cluster->sql("INSERT INTO d (k, id) VALUES (1, 200000)");
	my (undef, undef, $log) = $cluster->try_sql("$count INSERT INTO d (k, id) VALUES $values");
	unlike($log, qr/COPY/, 'no COPY for each shard');
	is($cluster->sql('SELECT count(*), count(DISTINCT k) FROM d WHERE id = 100000'), '30|30', 'all rows are there');
	my (undef, undef, $again) = $cluster->try_sql("$count INSERT INTO d SELECT k, 300000 + i FROM generate_series(1, 400) i, generate_series(1, 2) k");
	like($again, qr/COPY/, 'many rows of a shard go by COPY');
	$cluster->await_workers or die 'a worker is not back';
	my $handle = $cluster->start_at('before_prepare', "INSERT INTO d (k, id) VALUES " . join ', ', map { "($_, 400000)" } 1 .. 30);
	$cluster->kill_worker(2);
	$cluster->go;
	$cluster->finish_sql($handle, 60);
	$cluster->restart_worker(2);
	ok($cluster->wait_for_recovery, 'a worker killed before the commit: nothing is prepared');
	like($cluster->sql('SELECT count(*) FROM d WHERE id = 400000'), qr/^(0|30)$/, 'a worker killed before the commit: all or nothing');
	is_whole('a worker killed before the commit');
}

note 'inactive copies of reference tables';
my @reads = (
	'SELECT count(*), min(name) FROM one JOIN r ON r.id = one.k',
	'SELECT count(*), max(name) FROM s JOIN r ON r.id = s.k WHERE s.id < 100',
	'SELECT count(*), count(name) FROM one LEFT JOIN r ON r.id = one.v',
	'SELECT count(*), count(k) FROM r LEFT JOIN one ON r.id = one.v',
	'SELECT sum(v) FROM one WHERE k IN (SELECT id FROM r WHERE name LIKE $$%5$$)',
	'SELECT sum(v) FROM one WHERE NOT EXISTS (SELECT FROM r WHERE id = one.k)',
	'SELECT k, (SELECT name FROM r WHERE id = one.k) FROM one WHERE k < 5 ORDER BY 1',
	'SELECT r.name, r2.name, count(*) FROM one JOIN r ON r.id = one.k JOIN r2 ON r2.id = r.id GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 3',
	'SELECT r.name, count(*) FROM one JOIN r ON r.id = one.k AND one.k = 7 GROUP BY 1',
	'SELECT count(*) FROM (SELECT k FROM one JOIN r ON r.id = one.k UNION SELECT id FROM r2) x',
	'SELECT one.v, name FROM one JOIN r ON r.id = one.k WHERE k < 4 ORDER BY 1 FOR UPDATE OF one',
	'SELECT name FROM s JOIN r ON r.id = s.k WHERE s.id = 7',
	'SELECT count(*) FROM r JOIN r2 USING (id)');
my @writes = (
	'UPDATE one SET v = one.v + 1 FROM r WHERE r.id = one.k AND one.k < 9',
	'UPDATE s SET v = name FROM r WHERE r.id = s.k AND s.id < 50',
	'DELETE FROM one USING r WHERE r.id = one.k AND one.k = 3',
	'INSERT INTO d SELECT s.k, s.id + 10000, r.name FROM s JOIN r ON r.id = s.k WHERE s.id < 500',
	'INSERT INTO d SELECT k, id + 20000, $$new$$ FROM s WHERE id < 20 ON CONFLICT (k, id) DO UPDATE SET v = (SELECT name FROM r WHERE r.id = excluded.k)',
	'INSERT INTO d SELECT k, id, $$new$$ FROM s WHERE id < 20 ON CONFLICT (k, id) DO UPDATE SET v = (SELECT name FROM r WHERE r.id = excluded.k)',
	'MERGE INTO d USING (SELECT s.k, s.id, r.name FROM s JOIN r ON r.id = s.k WHERE s.id < 40) q ON q.k = d.k AND q.id = d.id WHEN MATCHED THEN UPDATE SET v = q.name',
	'WITH w AS (UPDATE one SET v = 0 FROM r WHERE r.id = one.k AND one.k = 5 RETURNING r.name) SELECT name FROM w',
	'UPDATE r SET name = name || $$!$$ WHERE id = 1',
	'INSERT INTO r2 SELECT k + 100, v FROM one WHERE k < 3');
my $state = 'SELECT (SELECT md5(string_agg(one::text, $$,$$ ORDER BY k)) FROM one), (SELECT md5(string_agg(s::text, $$,$$ ORDER BY k, id)) FROM s), '
  . '(SELECT md5(string_agg(d::text, $$,$$ ORDER BY k, id)) FROM d), (SELECT md5(string_agg(r::text, $$,$$ ORDER BY id)) FROM r)';
# What each of them gives, the writes undone
sub results
{
	my %result;
	foreach my $sql (@reads, @writes)
	{
		my (undef, $out, $err) = $cluster->try_sql((grep { $_ eq $sql } @writes) ? "BEGIN; $sql; $state; ROLLBACK" : $sql);
		$result{$sql} = $out . ($err =~ /ERROR/ ? $err : '');
	}
	return \%result;
}

sub agree
{
	my ($what, $results, $expected) = @_;
	is($results->{$_}, $expected->{$_}, "$what: $_") foreach @reads, @writes;
	return;
}

my $join = 'SELECT count(*), min(name) FROM one JOIN r ON r.id = one.k';
my $session = $cluster->start_sql("SET application_name = 'session'; PREPARE p AS $join; EXECUTE p; EXECUTE p; "
	. 'DO $$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END $$; EXECUTE p; EXECUTE p');
$cluster->coordinator->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'session' AND wait_event = 'PgSleep'");
$cluster->kill_worker(1);
my ($status, undef, $err) = $cluster->try_sql("UPDATE r SET name = '0' || name WHERE id < 6");
is($status, 0, 'a write leaves out one copy') or diag($err);
$cluster->restart_worker(1);
like($cluster->sql("EXPLAIN (VERBOSE, COSTS OFF) $join"), qr/Seq Scan on public.r/, 'the table is read here');
my $one = results();

$cluster->kill_worker($_) foreach 1, 2;
($status, undef, $err) = $cluster->try_sql('INSERT INTO r VALUES (999); INSERT INTO r2 VALUES (999); DELETE FROM r WHERE id = 999; DELETE FROM r2 WHERE id = 999');
is($status, 0, 'a write leaves out all copies') or diag($err);
$cluster->restart_worker($_) foreach 1, 2;
is($cluster->sql('SELECT count(*) FROM cz.placement_state'), '4', 'all copies are inactive');
$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'session'");
my (undef, $executed, $messages) = $cluster->finish_sql($session, 60);
is($executed . $messages, "30|name 1\n30|name 1\n30|0name 1\n30|0name 1", 'a statement that was prepared before');
my $all = results();

is_whole('copies');
unlike($cluster->sql("EXPLAIN (VERBOSE, COSTS OFF) $join"), qr/Seq Scan on public.r/, 'the table is read on workers again');
my $whole = results();
unlike(join('', values %$whole), qr/ERROR/, 'no errors');
agree('one copy is inactive', $one, $whole);
agree('all copies are inactive', $all, $whole);

done_testing;
