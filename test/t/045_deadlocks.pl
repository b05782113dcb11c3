# Deadlocks over several servers are found and broken: exactly one of the sessions in the
# circle fails, with 40P01 and both sides in its DETAIL, and the others go on.
#
# Sessions run in step: each tells by a file that it has come so far, and waits for the
# others' files before it goes into the circle.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 8\ndeadlock_timeout = 300ms\n");
my $directory = PostgreSQL::Test::Utils::tempdir();
chmod 0777, $directory;

$cluster->sql(qq{
	CREATE TABLE one (k int PRIMARY KEY, v int DEFAULT 0);
	CREATE TABLE two (k int PRIMARY KEY, v int DEFAULT 0);
	CREATE TABLE keyless (k int, v int DEFAULT 0);
	CREATE TABLE ref (k int PRIMARY KEY, v int DEFAULT 0);
	CREATE TABLE here (k int PRIMARY KEY, v int DEFAULT 0);
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k');
	SET cz.shard_replication_factor = 2;
	SELECT create_distributed_table('two', 'k');
	SELECT create_distributed_table('keyless', 'k');
	SELECT create_reference_table('ref');
	INSERT INTO one SELECT generate_series(1, 100);
	INSERT INTO two SELECT generate_series(1, 100);
	INSERT INTO keyless SELECT generate_series(1, 100);
	INSERT INTO ref SELECT generate_series(1, 10);
	INSERT INTO here SELECT generate_series(1, 10);
	CREATE FUNCTION step(round text, me int, others int) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE stem text := '$directory/' || round || '.';
	BEGIN
		EXECUTE format('COPY (SELECT 1) TO %L', stem || me);
		FOR i IN 1 .. others LOOP
			WHILE pg_stat_file(stem || i, true) IS NULL LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END LOOP;
	END \$\$;
});

# Keys whose shards' first placements are on worker 1, 2 and 3
my %keys;
foreach my $table ('one', 'two', 'keyless')
{
	foreach my $i (1 .. 3)
	{
		$keys{$table}[$i] = $cluster->sql(qq{
			SELECT k FROM generate_series(1, 100) k WHERE (
				SELECT nodeport FROM pg_dist_shard_placement
				WHERE shardid = get_shard_id_for_distribution_column('$table', k)
				ORDER BY placementid LIMIT 1) = } . $cluster->port($i) . ' ORDER BY 1 LIMIT 1');
	}
}

# Run sessions, each a list: what it does before the others have done theirs, and after.
my $round = 0;
sub circle
{
	my ($what, $max_failed, @sessions) = @_;
	my $n = @sessions;
	$round++;
	my $begin = time;
	my @handles = map {
		my ($before, $after, $prefix) = @{ $sessions[ $_ - 1 ] };
		$cluster->start_sql(($prefix // '') . "BEGIN; $before; SELECT step('$round', $_, $n); $after; COMMIT;")
	} 1 .. $n;
	my @failed;
	my $messages = '';
	foreach my $handle (@handles)
	{
		my ($status, undef, $err) = $cluster->finish_sql($handle, 60);
		push @failed, $status;
		$messages .= $err;
	}
	my $seconds = time - $begin;
	is(join(' ', sort { $a <=> $b } @failed), join(' ', (0) x ($n - 1), 3), "$what: one session fails")
	  or diag($messages);
	like($messages, qr/ERROR:  40P01: deadlock detected/, "$what: with a deadlock");
	like($messages, qr/DETAIL:  Process \d+ waits .* for process \d+\.\nProcess \d+ waits .* for process \d+\./,
		"$what: both sides are told");
	# the machine may be slow
	cmp_ok($seconds, '<', 50, "$what: soon");
	note sprintf '%s: %.1f s', $what, $seconds;
	return $messages;
}

sub update
{
	my ($table, $worker) = @_;
	return "UPDATE $table SET v = v + 1 WHERE k = $keys{$table}[$worker]";
}

foreach my $table ('one', 'two')
{
	my $messages = circle("two rows of $table", 1,
		[ update($table, 1), update($table, 2) ],
		[ update($table, 2), update($table, 1) ]);
	like($messages, qr/waits on node "[^"]+" for process/, 'the node is named');
	circle("three rows of $table", 1,
		[ update($table, 1), update($table, 2) ],
		[ update($table, 2), update($table, 3) ],
		[ update($table, 3), update($table, 1) ]);
	circle("row lock and UPDATE of $table", 1,
		[ "SELECT v FROM $table WHERE k = $keys{$table}[1] FOR UPDATE", update($table, 2) ],
		[ update($table, 2), "SELECT v FROM $table WHERE k = $keys{$table}[1] FOR UPDATE" ]);
	circle("row locks over several shards of $table", 1,
		[ update($table, 1), "SELECT v FROM $table WHERE k IN ($keys{$table}[2], $keys{$table}[3]) ORDER BY k FOR UPDATE" ],
		[ update($table, 2), update($table, 1) ]);
	circle("INSERT of each other's key into $table", 1,
		map {
			my ($first, $second) = @$_;
			[ "INSERT INTO $table SELECT k + 1000 FROM (SELECT 1) s(x), LATERAL (SELECT $first) k(k)",
			  "INSERT INTO $table SELECT k + 1000 FROM (SELECT 1) s(x), LATERAL (SELECT $second) k(k)" ]
		} ([ 1, 2 ], [ 2, 1 ]));
	circle("statements over all shards of $table", 1,
		[ update($table, 1), "UPDATE $table SET v = v + 1 WHERE k IN ($keys{$table}[2], $keys{$table}[3])" ],
		[ update($table, 2), "UPDATE $table SET v = v + 1 WHERE k IN ($keys{$table}[1], $keys{$table}[3])" ]);
	circle("after a savepoint in $table", 1,
		[ update($table, 1), 'SAVEPOINT a; ' . update($table, 2) ],
		[ 'SAVEPOINT a; ' . update($table, 2), update($table, 1) ]);
	circle("local row and $table", 1,
		[ update($table, 1), 'UPDATE here SET v = v + 1 WHERE k = 1' ],
		[ 'UPDATE here SET v = v + 1 WHERE k = 1', update($table, 1) ]);
	circle("reference table and $table", 1,
		[ update($table, 1), 'UPDATE ref SET v = v + 1 WHERE k = 1' ],
		[ 'UPDATE ref SET v = v + 1 WHERE k = 1', update($table, 1) ]);
	circle("LOCK TABLE and $table", 1,
		[ update($table, 1), 'LOCK TABLE here' ],
		[ 'LOCK TABLE here', update($table, 1) ]);
	# a lock_timeout that is far away changes nothing
	circle("lock_timeout beside $table", 1,
		[ update($table, 1), update($table, 2), "SET lock_timeout = '50s';" ],
		[ update($table, 2), update($table, 1), "SET lock_timeout = '50s';" ]);
}
circle('a shard alone and a row', 1,
	[ update('keyless', 1), update('one', 2) ],
	[ update('one', 2), update('keyless', 1) ]);

# An exception block: what it caught is undone, the rest commits
$round++;
my $one = $keys{one};
$cluster->sql(q{
	CREATE FUNCTION caught(round text, me int, mine int, others int, mark int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE begun timestamptz;
	BEGIN
		UPDATE one SET v = 100 + mark WHERE k = mine;
		PERFORM step(round, me, 2);
		begun := clock_timestamp();
		BEGIN
			UPDATE one SET v = 200 + mark WHERE k = others;
			RETURN 'fine';
		EXCEPTION WHEN deadlock_detected THEN
			RETURN 'caught ' || (1000 * extract(epoch FROM clock_timestamp() - begun))::int;
		END;
	END $$;
});
my @handles = map { $cluster->start_sql("SET deadlock_timeout = '1s'; SELECT caught('$round', $_, $one->[$_], $one->[3 - $_], $_)") } 1, 2;
my @results = map { [ $cluster->finish_sql($_, 60) ] } @handles;
is(join(' ', map { $_->[0] } @results), '0 0', 'exception block: both go on') or diag(map { $_->[2] } @results);
my ($ms) = map { $_->[1] =~ /^caught (\d+)/ ? $1 : () } @results;
ok($ms, 'exception block: one has caught it');
# it takes 1.2 s on a machine that has nothing else to do
cmp_ok($ms, '<', 30000, 'exception block: soon after the wait began');
my $victim = $results[0][1] =~ /caught/ ? 1 : 2;
my $winner = 3 - $victim;
# the winner waits for the victim's first row until its transaction ends
is($cluster->sql("SELECT v FROM one WHERE k = $one->[$victim]"), 200 + $winner, "exception block: the other's write stays");
is($cluster->sql("SELECT v FROM one WHERE k = $one->[$winner]"), 100 + $winner, 'exception block: what was caught is undone');

# lock_timeout ends a wait before that; with the same time for both either may be first
$round++;
@handles = map {
	$cluster->start_sql("SET lock_timeout = '300ms'; SET deadlock_timeout = '30s'; BEGIN; " . update('one', $_) . "; SELECT step('$round', $_, 2); " . update('one', 3 - $_) . '; COMMIT')
} 1, 2;
my $messages = join '', map { ($cluster->finish_sql($_, 60))[2] } @handles;
like($messages, qr/55P03/, 'lock_timeout ends it first');
unlike($messages, qr/40P01/, 'no deadlock then');

# Who waits for long without a circle goes on waiting
my $holder = $cluster->hold(update('one', 1));
my @waiters = map { $cluster->start_sql('BEGIN; ' . update('one', 2 + ($_ > 2)) . '; ' . update('one', 1) . '; COMMIT') } 1, 3;
$cluster->coordinator->poll_query_until('postgres',
	q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE 'UPDATE one%' AND state = 'active' AND query_start < clock_timestamp() - interval '2 s'});
is(join(' ', ($cluster->release($holder))[0], map { ($cluster->finish_sql($_, 60))[0] } @waiters),
	'0 0 0', 'a queue is no deadlock');

# Two coordinators on the same workers: another database here is one, for the workers
{
	my $shards = sub {
		my ($i) = @_;
		return $cluster->sql("SELECT 'one_' || get_shard_id_for_distribution_column('one', $keys{one}[$i])");
	};
	$cluster->sql('CREATE DATABASE other');
	my $other = 'CREATE EXTENSION cz_fdw; ';
	foreach my $i (1, 2)
	{
		$other .= "CREATE SERVER w$i FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '" . $cluster->port($i) . "', dbname 'postgres'); "
		  . "CREATE USER MAPPING FOR postgres SERVER w$i OPTIONS (user 'postgres'); "
		  . "CREATE FOREIGN TABLE rows$i (k int, v int) SERVER w$i OPTIONS (schema_name 'cz_shards', table_name '" . $shards->($i) . "'); ";
	}
	$cluster->coordinator->safe_psql('other', $other, extra_params => [ '-U', 'postgres' ]);
	$cluster->coordinator->safe_psql('other', $cluster->sql(q{SELECT pg_get_functiondef('step'::regproc)}), extra_params => [ '-U', 'postgres' ]);
	$round++;
	my $ours = $cluster->start_sql('BEGIN; ' . update('one', 1) . "; SELECT step('$round', 1, 2); " . update('one', 2) . '; COMMIT');
	my $theirs = $cluster->start_sql("\\c other\nBEGIN; UPDATE rows2 SET v = v + 1 WHERE k = $keys{one}[2]; SELECT step('$round', 2, 2); UPDATE rows1 SET v = v + 1 WHERE k = $keys{one}[1]; COMMIT");
	my @ends = map { [ $cluster->finish_sql($_, 60) ] } $ours, $theirs;
	is(join(' ', sort map { $_->[0] } @ends), '0 3', 'two coordinators: one session fails') or diag(map { $_->[2] } @ends);
	my ($message) = map { $_->[2] } grep { $_->[0] == 3 } @ends;
	like($message // '', qr/40P01: deadlock detected.*Process \d+ waits on node .* for process \d+ of node/s, 'two coordinators: the other process is told');
}

# A worker that is silent because of a lock is asked by a new connection whether it is there;
# that it answers ends no wait
foreach my $table ('one', 'two')
{
	my $random = sub { return "UPDATE $table SET v = v + 1 + (random() * 0)::int WHERE k = $keys{$table}[$_[0]]"; };
	my $prefix = "SET cz.worker_timeout = '200ms'; ";
	circle("silent workers, $table", 1,
		[ update($table, 1), $random->(2), $prefix ], [ update($table, 2), $random->(1), $prefix ]);
}

# Different rows: nobody waits, nothing fails
foreach my $table ('one', 'two')
{
	my @clients = map {
		my $client = $_;
		$cluster->start_sql(join '; ', "SET lock_timeout = '10s'",
			map { my $i = $_; 'BEGIN', (map { "UPDATE $table SET v = v + 1 WHERE k = " . ($client + 4 * $_) } $i % 2 ? (1, 9, 5) : (5, 9, 1)), 'COMMIT' } 1 .. 20)
	} 1 .. 4;
	my @ends = map { [ $cluster->finish_sql($_, 120) ] } @clients;
	is(join(' ', map { $_->[0] } @ends), '0 0 0 0', "different rows of $table") or diag(map { $_->[2] } @ends);
}
is($cluster->differing_placements, '', 'placements are equal');
unlike(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile), qr/TRAP|PANIC/, 'nothing has crashed');
$cluster->stop;
done_testing();
