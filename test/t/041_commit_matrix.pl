# Each step of a commit, each kind of write, and each way to fail there: afterwards what was
# acknowledged is on all active placements, what was not is there as a whole or not at all,
# placements are equal, nothing stays prepared, and writes go on.
#
#	coordinator -- worker 1
#	            -- proxy -- worker 2 ("P"): first placement of the rows written
#	            -- worker 3 ("S"): second placement
#
# The steps are those that each kind passes when nothing fails.  A round is one failure: a
# session of each kind stops at one of its steps, then it strikes all of them.  Here each step
# and each failure occurs once for each kind; MATRIX=all ("make matrix"): all pairs.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	proxied => [2],
	conf => "cz.shard_count = 4\ncz.worker_timeout = '1500ms'\ncz.connect_timeout = '1500ms'\ncz.recovery_interval = -1\nrestart_after_crash = on\n");

# Rows of a key whose first placement is on a worker
sub key_on
{
	my ($table, $worker) = @_;
	return $cluster->sql("SELECT min(k) FROM generate_series(1, 100) k WHERE (SELECT nodeport FROM pg_dist_shard_placement "
		  . "WHERE shardid = get_shard_id_for_distribution_column('$table', k) ORDER BY placementid LIMIT 1) = " . $cluster->port($worker));
}

# Kinds of writes: table, statement ($N: a new number), state that it changes, what it adds to it
my @kinds;
foreach my $factor (1, 2)
{
	foreach my $what ('router', 'multi', 'copy', 'move')
	{
		my $t = "${what}_$factor";
		$cluster->sql("SET cz.shard_replication_factor = $factor; CREATE TABLE $t (k int PRIMARY KEY, v int, w int DEFAULT 0); "
			  . "SELECT create_distributed_table('$t', 'k', colocate_with => 'none'); INSERT INTO $t SELECT i, 0 FROM generate_series(1, 20) i");
	}
	my $k = key_on("router_$factor", 2);
	my ($from, $to) = (key_on("move_$factor", 2), key_on("move_$factor", $factor == 1 ? 3 : 1));
	$cluster->sql("DELETE FROM move_$factor; INSERT INTO move_$factor VALUES ($from, 0), ($to + 100000, 0)");
	push @kinds,
	  { name => "router write, factor $factor", table => "router_$factor", sql => "UPDATE router_$factor SET v = v + 1 WHERE k = $k",
		state => "SELECT sum(v) FROM router_$factor", adds => 1, factor => $factor },
	  { name => "multi-shard update, factor $factor", table => "multi_$factor", sql => "UPDATE multi_$factor SET v = v + 1",
		state => "SELECT sum(v) FROM multi_$factor", adds => 20, factor => $factor },
	  { name => "COPY, factor $factor", table => "copy_$factor", sql => "COPY copy_$factor (k, v) FROM STDIN;\n" . join('', map { "\$N$_\t1\n" } 10 .. 49) . '\.' . "\n",
		state => "SELECT sum(v) FROM copy_$factor", adds => 40, factor => $factor },
	  # there and back again
	  { name => "key move, factor $factor", table => "move_$factor", sql => "UPDATE move_$factor SET k = $from + $to - k, v = v + 1 WHERE k IN ($from, $to)",
		state => "SELECT sum(v) + 1000 * (count(*) - 2) FROM move_$factor", adds => 1, factor => $factor };
}
$cluster->sql('CREATE TABLE ref (k int PRIMARY KEY, v int, w int DEFAULT 0); '
	  . "SELECT create_reference_table('ref'); INSERT INTO ref SELECT i, 0 FROM generate_series(1, 3) i");
push @kinds, { name => 'reference write', table => 'ref', sql => 'UPDATE ref SET v = v + 1', state => 'SELECT sum(v) FROM ref', adds => 3, factor => 3 };
foreach my $i (0 .. $#kinds)
{
	$kinds[$i]{id} = "kind$i";
}
my $number = 100;

sub wait_for_coordinator
{
	for (1 .. 300)
	{
		my ($status, $out) = $cluster->try_sql('SELECT 1');
		return if $status == 0;
		sleep 0.1;
	}
	die 'the coordinator does not come back';
}

sub victims
{
	my ($call) = @_;
	$cluster->sql("SELECT $call(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
	return;
}

# Failures: how they begin, how they end, does the backend go on
my @events = (
	[ 'S killed', sub { $cluster->kill_worker(3) }, sub { $cluster->restart_worker(3) }, 1 ],
	[ 'coordinator crash', sub { $cluster->kill_coordinator }, sub { $cluster->coordinator->start }, 0 ],
	[ 'P killed', sub { $cluster->kill_worker(2) }, sub { $cluster->restart_worker(2) }, 1 ],
	[ 'cancel', sub { victims('pg_cancel_backend') }, sub { }, 1 ],
	[ 'P stopped', sub { $cluster->freeze_worker(2) }, sub { $cluster->thaw_worker(2) }, 1 ],
	[ 'backend terminated', sub { victims('pg_terminate_backend') }, sub { }, 0 ],
	[ 'reset', sub { $cluster->reset_worker(2); sleep 0.2 }, sub { }, 1 ],
	[ 'S stopped', sub { $cluster->freeze_worker(3) }, sub { $cluster->thaw_worker(3) }, 1 ],
	[ 'backend killed', sub { kill 'KILL', (split /\n/, $cluster->sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'"))[0] },
		\&wait_for_coordinator, 0 ]);

# A statement whose new rows are new
sub statement
{
	my ($kind) = @_;
	(my $sql = $kind->{sql}) =~ s/\$N/$number/g;
	$number++;
	return $sql;
}

# Writes before it, so that shards are known as dirty
sub warm_up
{
	my @all = map { "UPDATE $_->{table} SET w = w + 1" . ($_->{table} =~ /router/ ? ' WHERE ' . (split / WHERE /, $_->{sql})[1] : '') } @kinds;
	$cluster->sql(join '; ', @all, @all);
	return;
}

sub states
{
	return split /\n/, $cluster->sql(join '; ', map { $_->{state} } @kinds);
}

# The steps of each kind
my %is_step;
warm_up();
foreach my $kind (@kinds)
{
	my ($status, $out, $err) = $cluster->try_sql("SET cz.debug_point = '*'; " . statement($kind));
	is($status, 0, "$kind->{name}: nothing fails") or diag($err);
	my %seen;
	# what is no step of the write or of its commit
	$kind->{steps} = [ grep { !/^(run_begun|snapshots_taken)$/ && !$seen{$_}++ } $err =~ /debug point "(\w+)"/g ];
	note("$kind->{name}: @{ $kind->{steps} }");
	cmp_ok(scalar @{ $kind->{steps} }, '>', 1, "$kind->{name}: has steps");
	$is_step{$_} = 1 foreach @{ $kind->{steps} };
}
ok($is_step{$_}, "a step: $_")
  foreach qw(after_p after_s p_commit_sent p_committed s_commit_sent before_prepare after_prepare after_local_commit during_commit_prepared);

# After these all is decided
my %is_decided = map { $_ => 1 } qw(p_committed s_commit_sent after_commit after_local_commit during_commit_prepared);

# Must the transaction go on?
sub must_go_on
{
	my ($kind, $step, $event) = @_;
	return 1 if $is_decided{$step};
	return 0 if $kind->{table} ne 'router_2';
	return 1 if $step eq 'p_commit_sent';
	return $event eq 'S killed' || $event eq 'S stopped';
}

# One failure; $first: number of the step of the first kind
sub round
{
	my ($event, $first) = @_;
	my ($name, $strike, $mend, $goes_on) = @$event;
	my (%handle, %step);
	my $directory = $cluster->coordinator->data_dir;
	$cluster->await_workers or die 'a worker is not back';
	warm_up();
	my @before = states();
	foreach my $i (0 .. $#kinds)
	{
		my $kind = $kinds[$i];
		my @steps = @{ $kind->{steps} };
		$step{ $kind->{id} } = $steps[ ($first + $i) % @steps ];
	}
	# All have read what there is before the first one stops: who sees placements for the first
	# time waits for committers.  What is changed on two placements at once has no step between them.
	foreach my $kind (@kinds)
	{
		my $id = $kind->{id};
		unlink "$directory/$id.reached";
		$handle{$id} = $cluster->start_sql("SET application_name = 'victim'; SET cz.distributed_snapshot = off; SET cz.read_placement = 'any'; $kind->{state}; "
			  . "SET cz.debug_point = '" . ($step{$id} eq 'after_p' ? 'after_p|after_s' : $step{$id}) . "=wait:$id'; "
			  . "DO \$\$ BEGIN WHILE pg_stat_file('begin', true) IS NULL LOOP PERFORM pg_sleep(0.02); END LOOP; END \$\$; " . statement($kind));
	}
	$cluster->coordinator->poll_query_until('postgres',
		"SELECT count(*) = " . @kinds . " FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND query LIKE 'DO %'")
	  or die 'sessions do not begin';
	PostgreSQL::Test::Utils::append_to_file("$directory/begin", '');
	my $end = time + 120;
	foreach my $kind (@kinds)
	{
		my $handle = $handle{ $kind->{id} };
		until (-e "$directory/$kind->{id}.reached")
		{
			$handle->{run}->pump_nb if $handle->{run}->pumpable;
			die "$kind->{name}: $step{ $kind->{id} } was not reached: $handle->{err}" if time > $end || !$handle->{run}->pumpable;
			sleep 0.02;
		}
	}
	unlink "$directory/begin";
	$strike->();
	if ($goes_on || $name eq 'backend terminated')
	{
		PostgreSQL::Test::Utils::append_to_file("$directory/$_->{id}", '') foreach @kinds;
	}
	my %end;
	foreach my $kind (@kinds)
	{
		my ($status, $out, $err) = $cluster->finish_sql($handle{ $kind->{id} }, 60);
		$end{ $kind->{id} } = [ $status == 0, $err ];
	}
	$mend->();
	unlink "$directory/$_->{id}", "$directory/$_->{id}.reached" foreach @kinds;

	ok($cluster->wait_for_recovery, "$name, $first: nothing stays prepared");
	my @is = states();
	foreach my $i (0 .. $#kinds)
	{
		my $kind = $kinds[$i];
		my ($acknowledged, $err) = @{ $end{ $kind->{id} } };
		my $what = "$kind->{name}, $name at $step{ $kind->{id} }";
		my $after = $before[$i] + $kind->{adds};
		ok($acknowledged, "$what: goes on") or diag($err)
		  if $goes_on && must_go_on($kind, $step{ $kind->{id} }, $name);
		ok($acknowledged ? $is[$i] == $after : $is[$i] == $before[$i] || $is[$i] == $after, "$what: all of it or nothing is there")
		  or diag(($acknowledged ? '' : 'not ') . "acknowledged, $before[$i], $after: $is[$i]\n$err");
	}
	ok($cluster->repair, "$name, $first: placements are made whole");
	is($cluster->differing_placements, '', "$name, $first: placements are equal");
	is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), '0', "$name, $first: cz_verify_placements");
	is(join(' ', states()), join(' ', @is), "$name, $first: and nothing has changed by that");
	return;
}

my ($nsteps) = sort { $b <=> $a } map { scalar @{ $_->{steps} } } @kinds;
if (($ENV{MATRIX} // '') eq 'all')
{
	foreach my $event (@events)
	{
		round($event, $_) foreach 0 .. $nsteps - 1;
	}
}
else
{
	my $n = $nsteps > @events ? $nsteps : @events;
	round($events[ $_ % @events ], $_) foreach 0 .. $n - 1;
}

note 'a clean restart has nothing to compare';
$cluster->await_workers or die 'a worker is not back';
warm_up();
$cluster->coordinator->restart;
is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'all placements are active after it');
warm_up();
$cluster->kill_coordinator;
$cluster->coordinator->start;
is($cluster->sql('SELECT count(*) > 0 FROM pg_dist_placement WHERE shardstate <> 1'), 't', 'but a crash');
$cluster->sql("ALTER SYSTEM SET cz.recovery_interval = '1s'");
$cluster->sql('SELECT pg_reload_conf()');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_dist_placement WHERE shardstate <> 1'),
	'and the maintenance worker compares them');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.dirty_shards'),
	'shards that are not written are clean after a while');

$cluster->stop;
done_testing;
