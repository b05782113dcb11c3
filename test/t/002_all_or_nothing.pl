# A worker or the coordinator dies half-way through create_distributed_table, COPY and
# INSERT: afterwards everything of the statement is there, or nothing.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 8\ncz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = '1s'\n");

# Runs $sql with worker 2 frozen, kills that worker after a moment, brings it back.
# Returns what psql said.
sub die_half_way
{
	my ($sql, $delay) = @_;
	$cluster->freeze_worker(2);
	my $handle = $cluster->start_sql("SET cz.worker_timeout = '20s'; $sql");
	sleep $delay;
	$cluster->kill_worker(2);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	$cluster->restart_worker(2);
	return ($status, $out, $err);
}

note 'create_distributed_table';
$cluster->sql('CREATE TABLE filled AS SELECT i AS k, repeat(\'x\', 300) AS v FROM generate_series(1, 20000) i');
{
	my ($status, $out, $err) = die_half_way("SELECT create_distributed_table('filled', 'k')", 1);
	is($status, 3, 'create_distributed_table fails') or diag($out);
	like($err, qr/ERROR:\s+(08|57P0)/, 'with an error of the connection');
	is($cluster->sql("SELECT relkind, (SELECT count(*) FROM filled) FROM pg_class WHERE oid = 'filled'::regclass"),
		'r|20000', 'the table is as it was');
	is($cluster->sql('SELECT count(*) FROM citus_tables'), '0', 'no metadata stays');
	ok($cluster->wait_for_recovery, 'no prepared transaction stays');
	is(join(',', map { $cluster->shard_tables($_) } 1 .. 3), '0,0,0', 'no shard stays on a worker');
	$cluster->sql("SELECT create_distributed_table('filled', 'k')");
	is($cluster->sql('SELECT count(*), count(DISTINCT k) FROM filled'), '20000|20000', 'it works the second time');
}

note 'COPY and INSERT';
# the worker is left out, or (where it has the first placement of something) all fails
my $state = 'SELECT count(*), sum(k), sum(length(v)) FROM filled';
my $rows = join '', map { "$_\tcopied\n" } 100001 .. 130000;
my %writes = (
	'COPY' => "COPY filled FROM STDIN;\n$rows\\.\n",
	'INSERT ... SELECT' => "INSERT INTO filled SELECT i, repeat('y', 500) FROM generate_series(100001, 130000) i;",
	'multi-row INSERT' => 'INSERT INTO filled VALUES ' . join(',', map { "($_, 'z')" } 100001 .. 100200) . ';',
	'UPDATE' => "UPDATE filled SET v = 'changed';",
	'DELETE' => 'DELETE FROM filled;',
	'transaction' => "INSERT INTO filled SELECT i, 'a' FROM generate_series(100001, 100100) i; DELETE FROM filled WHERE k < 100;");
foreach my $what (sort keys %writes)
{
	my $before = $cluster->sql($state);
	my $after = $cluster->sql("BEGIN; $writes{$what} $state; ROLLBACK;");
	my ($status, $out, $err) = die_half_way("BEGIN; $writes{$what} COMMIT;", 0.7);
	unlike(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile),
		qr/was terminated by signal|TRAP:/, "$what: the coordinator lives");
	ok($cluster->wait_for_recovery, "$what: no prepared transaction stays");
	is($cluster->sql($state), $status == 0 ? $after : $before, "$what: all of it is there, or nothing") or diag($err);
	ok($cluster->repair, "$what: the placements are made whole");
	is($cluster->differing_placements, '', "$what: both placements of every shard are equal");
	$cluster->sql("INSERT INTO filled SELECT i, 'again' FROM generate_series(1, 20000) i") if $what eq 'DELETE' && $status == 0;
}

note 'the coordinator dies';
{
	my $before = $cluster->sql('SELECT count(*), sum(k) FROM filled');
	my $handle = $cluster->start_sql("BEGIN; COPY filled FROM STDIN;\n$rows\\.\nSELECT pg_sleep(10); COMMIT;");
	sleep 1.5;
	$cluster->coordinator->stop('immediate');
	$cluster->finish_sql($handle, 20);
	$cluster->coordinator->start;
	ok($cluster->wait_for_recovery, 'no prepared transaction stays');
	is($cluster->sql('SELECT count(*), sum(k) FROM filled'), $before, 'an uncommitted COPY is gone');
}

note 'many small transactions while a worker dies: acknowledged ones stay';
$cluster->sql("CREATE TABLE acked (k int PRIMARY KEY, v int); SELECT create_distributed_table('acked', 'k')");
{
	my $sql = join "\n", map { "INSERT INTO acked SELECT $_ * 10 + g, $_ FROM generate_series(0, 4) g; SELECT 'acked $_';" } 1 .. 6000;
	my $handle = $cluster->start_sql("\\set ON_ERROR_STOP 0\n$sql");
	$handle->{run}->pump_nb if $handle->{run}->pumpable;
	for (1 .. 60)
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		sleep 0.02;
	}
	$cluster->kill_worker(3);
	for (1 .. 50)
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		sleep 0.02;
	}
	$cluster->restart_worker(3);
	$cluster->finish_sql($handle, 120);
	my %acked = map { $_ => 1 } $handle->{out} =~ /^acked (\d+)$/mg;
	# "acked N" also appears after a failed INSERT: subtract the batches that raised an error
	ok($cluster->wait_for_recovery, 'no prepared transaction stays');
	my %found = map { $_ => 1 } split /\n/, $cluster->sql('SELECT v FROM acked GROUP BY v HAVING count(*) = 5');
	my $partial = $cluster->sql('SELECT count(*) FROM (SELECT v FROM acked GROUP BY v HAVING count(*) <> 5) x');
	is($partial, '0', 'every INSERT is there as a whole or not at all');
	my $errors = () = $handle->{err} =~ /^(?:psql:.*: )?ERROR:/mg;
	cmp_ok(scalar(keys %found), '>=', scalar(keys %acked) - $errors, 'what was acknowledged is there');
	ok($cluster->repair, 'the placements are made whole');
	is($cluster->differing_placements, '', 'after a worker died under load: both placements of every shard are equal');
}

$cluster->stop;
done_testing();
