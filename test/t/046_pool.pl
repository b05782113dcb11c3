# The connections that all sessions together have to a worker stay within the limit; who
# needs one waits in a queue, in order; connections that nobody uses make room; and nobody
# waits for ever, also not for himself.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 32\n");
my $directory = PostgreSQL::Test::Utils::tempdir();

$cluster->sql(q{
	CREATE TABLE one (k int PRIMARY KEY, v int DEFAULT 0);
	CREATE TABLE two (k int PRIMARY KEY, v int DEFAULT 0);
	CREATE TABLE finished (id serial, who text);
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k');
	SET cz.shard_replication_factor = 2;
	SELECT create_distributed_table('two', 'k');
	INSERT INTO one SELECT generate_series(1, 1000);
	INSERT INTO two SELECT generate_series(1, 1000);
});
my @keys = map {
	[ split /\n/, $cluster->sql(q{
		SELECT k FROM generate_series(1, 1000) k JOIN pg_dist_shard_placement
		ON shardid = get_shard_id_for_distribution_column('one', k) WHERE nodeport = } . $cluster->port($_) . ' ORDER BY 1 LIMIT 20') ]
} 1 .. 3;

sub limit
{
	my ($limit, @workers) = @_;
	foreach my $i (@workers ? @workers : 1 .. 3)
	{
		my $name = $cluster->server_name($i);
		my $has = $cluster->sql("SELECT count(*) FROM pg_foreign_server WHERE srvname = '$name' AND srvoptions::text LIKE '%pool_size%'");
		$cluster->sql("ALTER SERVER $name OPTIONS (" . ($limit ? ($has ? 'SET' : 'ADD') . " pool_size '$limit'" : 'DROP pool_size') . ')');
	}
	return;
}

# The coordinator's connections to a worker.  The worker's process of one that was closed is seen until
# it has ended: where there seem to be more than the limit, those count that are there a little later, too.
sub connections
{
	my ($i, $limit) = @_;
	my $look = sub {
		split /\n/, $cluster->worker_sql($i, q{SELECT pid || ' ' || backend_start FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw %'})
	};
	my @there = $look->();
	for (my $again = 0; @there > $limit && $again < 50; $again++)
	{
		sleep 0.1;
		my %still = map { $_ => 1 } $look->();
		@there = grep { $still{$_} } @there;
	}
	return scalar @there;
}

# Wait for sessions; the most connections that a worker had meanwhile
sub most_connections
{
	my ($limit, @handles) = @_;
	my $most = 0;
	my $end = time + 200;
	while (time < $end && grep { $_->{run}->pumpable } @handles)
	{
		foreach my $i (1 .. 3)
		{
			my $now = connections($i, $limit);
			$most = $now if $now > $most;
		}
		$_->{run}->pump_nb foreach grep { $_->{run}->pumpable } @handles;
	}
	return $most;
}

sub finish
{
	my ($what, @handles) = @_;
	my @ends = map { [ $cluster->finish_sql($_, 120) ] } @handles;
	is(join(' ', map { $_->[0] } @ends), join(' ', (0) x @handles), "$what: all is done") or diag(map { $_->[2] } @ends);
	return map { $_->[1] } @ends;
}

# A session that has run something and sits there until told to end
my $idlers = 0;
sub idle_session
{
	my ($sql, $after) = @_;
	my $stem = "$directory/idle" . ++$idlers;
	my $handle = $cluster->start_sql("$sql;\n\\! touch $stem.there; while [ ! -e $stem.go ]; do sleep 0.05; done\n" . ($after // 'SELECT 1') . ";\n");
	$handle->{stem} = $stem;
	my $end = time + 60;
	sleep 0.05 while !-e "$stem.there" && time < $end;
	return $handle;
}

sub wake
{
	my @handles = @_;
	PostgreSQL::Test::Utils::append_to_file("$_->{stem}.go", '') foreach @handles;
	return @handles;
}

# Sessions of the coordinator that wait for a place
sub await_queue
{
	my ($count) = @_;
	$cluster->coordinator->poll_query_until('postgres',
		"SELECT count(*) = $count FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE one%' AND wait_event = 'Extension'");
	sleep 0.2;
	return;
}

# Many sessions, short transactions of all kinds
limit(4);
my @clients = map {
	my $client = $_;
	$cluster->start_sql(join '; ',
		map { ("SELECT count(*) FROM one", "UPDATE one SET v = v + 1 WHERE k = $client", "UPDATE two SET v = v + 1 WHERE k = $client",
			"INSERT INTO two VALUES (" . (1000 + $client * 10 + $_) . ')', "SELECT sum(v) FROM two WHERE k <= 100",
			"BEGIN", "UPDATE one SET v = v + 1 WHERE k = $client + 100", 'COMMIT') } 1 .. 3)
} 1 .. 16;
my $most = most_connections(4, @clients);
finish('many sessions', @clients);
cmp_ok($most, '<=', 4, 'many sessions: within the limit');
cmp_ok($most, '>=', 2, 'many sessions: more than one connection is used');
is($cluster->sql('SELECT sum(v) FROM one'), 16 * 6, 'many sessions: all was written');
is($cluster->sql('SELECT sum(v) FROM two'), 16 * 3, 'many sessions: with two placements, too');

# Many more sessions than places, each with statements for all workers: a turn is much more
# than a connection for each statement.  psql and the superuser's own sessions are counted, too.
limit(2);
sub sessions_made
{
	my $sum = 0;
	$sum += $cluster->worker_sql($_, 'SELECT sum(sessions) FROM pg_stat_database') foreach 1 .. 3;
	return $sum;
}
my $made = sessions_made();
@clients = map {
	my $client = $_;
	$cluster->start_sql(join '; ', map { 'UPDATE one SET v = v WHERE k = ' . ($client * 83 + $_ * 7) % 1000 } 1 .. 120)
} 1 .. 12;
finish('turns', @clients);
$made = sessions_made() - $made;
cmp_ok($made, '<', 1200, 'turns: more statements than connections');
note "$made connections for 1440 statements";

# Connections that nobody uses make room for who needs them
limit(3);
my @idlers = map { idle_session('SELECT count(*) FROM one; UPDATE one SET v = v WHERE k = 5') } 1 .. 3;
my $begin = time;
my $busy = $cluster->start_sql('SELECT count(*) FROM one; SELECT pg_sleep(1)');
$most = most_connections(3, $busy);
is((finish('idle sessions make room', $busy))[0], "1000\n", 'idle sessions make room: the rows are there');
cmp_ok(time - $begin, '<', 60, 'idle sessions make room: soon');
cmp_ok($most, '<=', 3, 'idle sessions make room: within the limit');
finish('sessions that were idle', wake(@idlers));

# In a transaction, too: what a statement has read with is given back where connections are scarce
@idlers = map { idle_session('BEGIN; SELECT count(*) FROM one', 'SELECT count(*) FROM one; COMMIT') } 1 .. 3;
is($cluster->sql('SELECT count(*) FROM one'), 1000, 'sessions idle in transaction make room');
finish('sessions that were idle in transaction', wake(@idlers));

# The queue is in order, and goes on after a cancelled or killed one
limit(1, 1);
my ($a, $b, $c, $d, $e) = @{ $keys[0] };
my $holder = $cluster->hold("UPDATE one SET v = 0 WHERE k = $a");
my @queue;
my $n = 0;
foreach my $sql (map { "UPDATE one SET v = 0 WHERE k = $_" } $b, $c, $d)
{
	my $who = chr(ord('b') + $n);
	push @queue, $cluster->start_sql(($who eq 'c' ? "SET application_name = 'killed'; " : '') . "BEGIN; $sql; INSERT INTO finished (who) VALUES ('$who'); COMMIT");
	await_queue(++$n);
}
my ($status, undef, $err) = $cluster->try_sql("SET statement_timeout = '300ms'; UPDATE one SET v = 0 WHERE k = $e");
is($status, 3, 'a wait can be cancelled');
like($err, qr/57014/, 'with the error of a cancel');
$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'killed'");
is(($cluster->finish_sql($queue[1], 60))[0], 2, 'one that waits is killed');
is(connections(1, 1), 1, 'meanwhile there is one connection');
is(($cluster->release($holder))[0], 0, 'the first one ends');
finish('the queue', @queue[0, 2]);
is($cluster->sql("SELECT string_agg(who, ' ' ORDER BY id) FROM finished"), 'b d', 'in order');

# Nobody waits for himself: statements that need several connections, and a full queue behind
limit(1);
$begin = time;
my @several = map { $cluster->start_sql($_) } (
	q{SELECT count(*) FROM one a JOIN two b ON a.k = b.v + 1; SELECT count(*) FROM one WHERE v NOT IN (SELECT v + 1000 FROM two)},
	q{BEGIN; DECLARE c CURSOR FOR SELECT k FROM one; FETCH 1 FROM c; DECLARE d CURSOR FOR SELECT k FROM two; FETCH 1 FROM d; UPDATE one SET v = v WHERE k = 1; FETCH 1 FROM c; FETCH 1 FROM d; COMMIT},
	q{BEGIN; UPDATE one SET v = v + 1; SELECT count(*) FROM two; INSERT INTO two SELECT k + 20000, v FROM one; ROLLBACK},
	q{BEGIN; SELECT count(*) FROM two; INSERT INTO two SELECT k + 40000, v FROM one WHERE k <= 100; SELECT count(*) FROM two; COMMIT});
finish('statements with one connection a worker', @several);
finish('one snapshot with one connection a worker',
	$cluster->start_sql('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM one; SELECT count(*) FROM two; COMMIT'));
note sprintf 'took %.1f s', time - $begin;

# Two transactions that have what the other one needs
my @crossing = map {
	my ($first, $second) = @$_;
	idle_session("BEGIN; UPDATE one SET v = v WHERE k = $keys[$first][5]", "UPDATE one SET v = v WHERE k = $keys[$second][6]; COMMIT")
} ([ 0, 1 ], [ 1, 0 ]);
$begin = time;
finish('crosswise', wake(@crossing));
cmp_ok(time - $begin, '<', 60, 'crosswise: soon');

# Who has written here and waits for a place does not keep those who have one
$cluster->sql('CREATE TABLE here (k int PRIMARY KEY, v int); INSERT INTO here VALUES (1, 0)');
my $first = idle_session("BEGIN; UPDATE one SET v = v WHERE k = $keys[0][7]", 'UPDATE here SET v = v + 1; COMMIT');
my $second = $cluster->start_sql("BEGIN; UPDATE here SET v = v + 1; UPDATE one SET v = v WHERE k = $keys[0][8]; COMMIT");
$cluster->coordinator->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE one%'});
finish('a row here and a place there', wake($first), $second);

# By the setting, and beyond all limits by default there is what the worker has
limit(0);
$cluster->alter_system('SET cz.max_shared_connections = 5');
@clients = map { $cluster->start_sql('SELECT count(*) FROM one; SELECT pg_sleep(0.1); ' x 5) } 1 .. 20;
$most = most_connections(5, @clients);
finish('with the setting', @clients);
cmp_ok($most, '<=', 5, 'with the setting: within the limit');
$cluster->alter_system('SET cz.max_shared_connections = 0');

# A storm: each of 60 sessions could take four connections of a worker that has 77
@clients = map { $cluster->start_sql("SET cz.slow_start_interval = 0; " . 'SELECT count(*), sum(v) FROM one; ' x 3) } 1 .. 60;
$most = most_connections(70, @clients);
finish('a storm', @clients);
cmp_ok($most, '<=', 70, 'a storm: the workers keep connections for others');
note "at most $most connections";

# Nothing is counted that is not there
is($cluster->sql('SELECT count(*) FROM one'), 1000, 'and all goes on');
unlike(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile), qr/TRAP|PANIC|WARNING:  .*leak/, 'nothing has crashed');
$cluster->stop;
done_testing();
