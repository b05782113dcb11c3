# Money is moved over workers by some sessions and summed up by others, while workers and the
# coordinator are killed: no read sees another sum, no counter falls, no money is lost, and the
# journal has the row of every acknowledged transfer.
#
# SOAK_SECONDS=300: as long (make soak); SOAK_SEED: another order of kills; SOAK_CONF: more
# settings of the coordinator.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use IPC::Run ();
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{SOAK_SECONDS} || 20;
my $seed = $ENV{SOAK_SEED} || 1;
my $accounts = 200;
my $directory = PostgreSQL::Test::Utils::tempdir();
srand $seed;
note "seed $seed, $seconds s";

my $cluster = CzCluster->new(workers => 3, conf => qq{
cz.shard_count = 8
cz.worker_timeout = 2s
cz.connect_timeout = 2s
cz.recovery_interval = 500ms
restart_after_crash = on
} . ($ENV{SOAK_CONF} // ''));
foreach my $i (1 .. 3)
{
	$cluster->worker_sql($i, 'ALTER SYSTEM SET restart_after_crash = on');
	$cluster->worker_sql($i, 'SELECT pg_reload_conf()');
}
$cluster->sql(qq{
CREATE TABLE account (id int PRIMARY KEY, bal int NOT NULL);
CREATE TABLE account_only (id int PRIMARY KEY, bal int NOT NULL, other int);
CREATE TABLE journal (id int PRIMARY KEY, source text, source_row int, target text, target_row int, amount int);
CREATE TABLE counter (k int PRIMARY KEY, v int NOT NULL);
CREATE TABLE scratch (k int, v int);
CREATE TABLE vault (k int PRIMARY KEY, bal int NOT NULL);
CREATE TABLE till (k int PRIMARY KEY, bal int NOT NULL);
SELECT create_distributed_table('account', 'id'), create_distributed_table('journal', 'id', colocate_with => 'none'),
	create_distributed_table('account_only', 'id', colocate_with => 'none'),
	create_distributed_table('counter', 'k'), create_distributed_table('scratch', 'k');
SELECT create_reference_table('vault');
INSERT INTO account SELECT i, 100 FROM generate_series(1, $accounts) i;
INSERT INTO account_only SELECT i, 100, i % $accounts + 1 FROM generate_series(1, $accounts) i;
INSERT INTO counter VALUES (1, 0), (2, 0);
INSERT INTO vault SELECT i, 100 FROM generate_series(1, 3) i;
INSERT INTO till VALUES (1, 100);
ANALYZE;
});

my $stop = "$directory/stop";
my ($out, $err) = ('', '');
my $run = IPC::Run::start(
	[
		'python3', dirname(__FILE__) . '/../bank/bank.py', '--port', $cluster->coordinator->port,
		'--accounts', $accounts, '--seed', $seed, '--stop', $stop, '--journal', "$directory/journal", '--mixed'
	],
	'<', \undef, '>', \$out, '2>', \$err);

# Pauses between a worker's end and its return, and between two such events
sub pause
{
	my ($shortest, $longest) = @_;
	my $end = time + $shortest + rand($longest - $shortest);
	while (time < $end)
	{
		$run->pump_nb;
		sleep 0.05;
	}
	return;
}

sub acknowledged
{
	return split /\n/, -e "$directory/journal" ? PostgreSQL::Test::Utils::slurp_file("$directory/journal") : '';
}

# Sessions commit them for two seconds
sub transfers_per_second
{
	my $started = time;
	my $before = acknowledged();
	pause(2, 2);
	return (acknowledged() - $before) / (time - $started);
}

# Until the maintenance worker has made all placements whole
sub wait_for_placements
{
	my $limit = time + 60;
	while (time < $limit)
	{
		my ($status, $out) = $cluster->try_sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1');
		return if $status == 0 && $out eq '0';
		pause(0.1, 0.1);
	}
	diag('placements stay inactive');
	return;
}

my $end = time + $seconds;
my %events;
my $event = 0;
my ($without, $with) = (0, 0);
pause(2, 3);

# A worker as by a power cut; how many transfers there are with all of them is seen before and
# afterwards, so that other load on this machine is in both
sub lose_worker
{
	my ($i) = @_;
	$events{'worker killed'}++;
	# of a shard that has one placement left, that one may be on this worker
	wait_for_placements();
	my $before = transfers_per_second();
	$cluster->kill_worker($i);
	pause(0.5, 1.5);
	my $meanwhile = transfers_per_second();
	$cluster->restart_worker($i);
	wait_for_placements();
	my $after = transfers_per_second();
	$without += $meanwhile;
	$with += ($before + $after) / 2;
	note sprintf 'transfers per second: %.0f, without worker %d %.0f, with it again %.0f', $before, $i, $meanwhile, $after;
	return;
}
while (time < $end)
{
	my $kind = (0, 3, 1, 4, 2)[$event++ % 5];
	my $i = 1 + int rand 3;
	if ($kind == 0)
	{
		lose_worker($i);
	}
	elsif ($kind == 1)
	{
		# a backend of a worker, which takes all of the worker's sessions with it
		$events{'backend of a worker killed'}++;
		my $pid = $cluster->worker_sql($i,
			"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'cz_fdw%' ORDER BY random() LIMIT 1");
		kill 'KILL', $pid if $pid;
	}
	elsif ($kind == 2)
	{
		# a session of the coordinator ends in the middle of something
		$events{'session ended'}++;
		$cluster->try_sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
			  . "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2");
	}
	elsif ($kind == 4)
	{
		# cancels at any moment
		$events{'cancels'} += 30;
		foreach (1 .. 15)
		{
			$cluster->try_sql('SELECT pg_cancel_backend(pid) FROM pg_stat_activity '
				  . "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2");
			pause(0.02, 0.05);
		}
	}
	else
	{
		$events{'coordinator killed'}++;
		$cluster->kill_coordinator;
		$cluster->coordinator->start;
	}
	pause(0.5, 1.5);
}
# What other load took meanwhile is less in more of them: all of them count
for (my $more = 0; $without < $with / 2 && $more < 4; $more++)
{
	lose_worker(1 + int rand 3);
}
note join ', ', map { "$_: $events{$_}" } sort keys %events;

PostgreSQL::Test::Utils::append_to_file($stop, '');
my $limit = time + 120;
while ($run->pumpable && time < $limit)
{
	$run->pump_nb;
	sleep 0.05;
}
$run->kill_kill if $run->pumpable;
$run->finish;
note $out;
is($err, '', 'the clients have no error of their own');
my ($wrong) = $out =~ /^done: (\d+) wrong, /m;
is($wrong, 0, 'no read saw another sum or a counter that fell, and errors are those of lost servers')
  or diag("seed $seed, ", join(', ', map { "$_: $events{$_}" } sort keys %events), "\n", join("\n", grep { /^wrong/ } split /\n/, $out), "\n$out");
my ($transfers, $sums, $looks) = $out =~ /, (\d+) transfers, (\d+) sums, (\d+) looks/;
cmp_ok($_->[1] // 0, '>', 10, "there were $_->[0]") foreach (['transfers', $transfers], ['sums', $sums], ['looks', $looks]);

cmp_ok($without, '>=', $with / 2, 'with a worker down transfers went on at half the rate at least');

# all is decided, and then all is there (a worker may not have recovered yet)
$cluster->worker($_)->poll_query_until('postgres', 'SELECT true') foreach 1 .. 3;
ok($cluster->wait_for_recovery(60), 'no prepared transaction is left');
is($cluster->sql('SELECT (SELECT sum(bal) FROM account) + (SELECT sum(bal) FROM vault) + (SELECT sum(bal) FROM till)'),
	$accounts * 100 + 400, 'no money is lost');
is($cluster->sql('SELECT sum(bal) FROM account_only'), $accounts * 100, 'nor in the other table');
is($cluster->sql(q{
	WITH moves AS (SELECT source AS place, source_row AS row, -amount AS amount FROM journal
		UNION ALL SELECT target, target_row, amount FROM journal),
	balances AS (SELECT 'account' AS place, id AS row, bal FROM account
		UNION ALL SELECT 'vault', k, bal FROM vault UNION ALL SELECT 'till', k, bal FROM till)
	SELECT count(*) FROM balances b
	WHERE bal <> 100 + coalesce((SELECT sum(amount) FROM moves m WHERE m.place = b.place AND m.row = b.row), 0)}),
	0, 'each balance is what the journal says');
my %journal = map { $_ => 1 } split /\n/, $cluster->sql('SELECT id FROM journal');
my @acknowledged = acknowledged();
my @missing = grep { !$journal{$_} } @acknowledged;
is(scalar @missing, 0, 'the journal has every acknowledged transfer') or diag("@missing[0 .. ($#missing > 9 ? 9 : $#missing)]");
# those that are used at once; the others, which have missed something or are to be compared, soon
is($cluster->differing_placements(used => 1), '', 'placements that are used are equal');
ok($cluster->repair, 'all placements are used in the end');
is($cluster->differing_placements, '', 'placements are equal');

done_testing();
