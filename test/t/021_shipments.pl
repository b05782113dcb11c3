# Rows that are sent along with fragments: as arrays, as temporary tables, split by shards,
# with fragments merged or not, and with workers that fail while they get them.
#
#   coordinator -- worker1, worker2, worker3: two placements of each shard
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 8\ncz.worker_timeout = '5s'\ncz.connect_timeout = '5s'\n");
$cluster->sql(q{
CREATE TABLE fact (k int, x int, pad text);
SELECT create_distributed_table('fact', 'k');
INSERT INTO fact SELECT i, i % 5000, repeat('p', 100) FROM generate_series(1, 100000) i;
CREATE TABLE other (id bigint, k int, name text);
SELECT create_distributed_table('other', 'id', colocate_with => 'none');
INSERT INTO other SELECT i, CASE WHEN i % 50 > 0 THEN i * 3 END, 'o' || i FROM generate_series(1, 20000) i;
CREATE TABLE big (id int, name text);
INSERT INTO big SELECT i, repeat('n', 100) || i FROM generate_series(1, 75000) i;
ANALYZE;
});

my %queries = (
	broadcast => 'SELECT count(*), sum(length(name)) FROM fact JOIN big ON fact.x = big.id',
	repartition => 'SELECT count(*), sum(length(name)), sum(fact.x) FROM fact JOIN big ON fact.k = big.id',
	apart => 'SELECT count(*), count(name), sum(x) FROM fact LEFT JOIN other USING (k)',
	kept => 'SELECT count(*), count(fact.k), min(name) FROM other LEFT JOIN fact ON fact.k = other.k AND x < 900',
	semi => 'SELECT count(*) FROM fact WHERE k IN (SELECT k FROM other WHERE id < 10000)',
	sorted => 'SELECT fact.k, name FROM fact JOIN other ON fact.x = other.k ORDER BY 1, 2 LIMIT 5');
my $pull = 'SET cz.enable_broadcast = off; SET cz.enable_repartition = off;';
my %expected = map { $_ => $cluster->sql("$pull $queries{$_}") } keys %queries;
my %forms = (
	arrays => "SET cz.max_array_shipment_size = '200MB';",
	tables => 'SET cz.max_array_shipment_size = 0;',
	'merged arrays' => "SET cz.max_array_shipment_size = '200MB'; SET cz.merge_fragments = on;",
	'merged tables' => 'SET cz.max_array_shipment_size = 0; SET cz.merge_fragments = on;',
	'two a worker' => 'SET cz.max_array_shipment_size = 0; SET cz.merge_fragments = on; SET cz.merged_fragments_per_worker = 2;',
	'one connection' => 'SET cz.max_array_shipment_size = 0; SET cz.max_connections_per_worker = 1;');

# Nothing stays behind on a worker: no temporary table, no open transaction.
sub check_clean
{
	my ($what) = @_;
	my $end = time + 20;
	my $left;
	do
	{
		sleep 0.1 if defined $left;
		$left = '';
		for my $i (1 .. $cluster->worker_count)
		{
			$left .= $cluster->worker_sql($i, "SELECT relname FROM pg_class WHERE relpersistence = 't'");
			$left .= $cluster->worker_sql($i, "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'");
		}
	} while ($left ne '' && time < $end);
	is($left, '', "$what: nothing is left on the workers");
	return;
}

foreach my $form (sort keys %forms)
{
	foreach my $query (sort keys %queries)
	{
		is($cluster->sql("$forms{$form} $queries{$query}"), $expected{$query}, "$form: $query");
	}
}
# a session that goes on: connections are used again
is($cluster->sql("$forms{tables} $queries{broadcast}; $queries{repartition}; $queries{apart}"),
	"$expected{broadcast}\n$expected{repartition}\n$expected{apart}", 'one after the other');
check_clean('after all');
like($cluster->sql("$forms{tables} EXPLAIN (ANALYZE) $queries{broadcast}"), qr/Shipped in All: rows=225000 /,
	'every worker gets the rows once');
like($cluster->sql("$forms{tables} EXPLAIN (ANALYZE) $queries{repartition}"), qr/Shipped in All: rows=75000 /,
	'one worker gets a row');

note 'backends of a worker end in the middle';
foreach my $query (qw(broadcast repartition apart))
{
	my $wrong = '';
	my $n = 0;
	foreach my $seconds (0.01, 0.03, 0.05, 0.08, 0.16, 0.24, 0.32, 0.4)
	{
		$n++;
		my $form = $n % 2 ? 'tables' : 'merged arrays';
		my $handle = $cluster->start_sql("$forms{$form} $queries{$query}; $queries{$query}");
		sleep $seconds;
		$cluster->worker_sql(1 + $n % 3,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		next if $status == 0 && $out eq "$expected{$query}\n$expected{$query}";
		$wrong .= "$form, worker @{[1 + $n % 3]} after $seconds s: status $status, $out $err";
	}
	is($wrong, '', "terminated: $query is right");
}
check_clean('after terminations');

note 'kill -9 while rows are sent';
foreach my $query (qw(broadcast repartition))
{
	foreach my $form ('tables', 'arrays')
	{
		for (1 .. 100)
		{
			last if $cluster->sql("EXPLAIN (ANALYZE, COSTS OFF) SELECT count(*) FROM fact") =~
			  /Node: \Q@{[$cluster->server_name(2)]}\E:/;
			sleep 0.2;
		}
		$cluster->freeze_worker(2);
		my $handle = $cluster->start_sql("SET cz.worker_timeout = '20s'; $forms{$form} $queries{$query}");
		sleep 1;
		$cluster->kill_worker(2);
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		is($status, 0, "killed: $query as $form completes") or diag($err);
		is($out, $expected{$query}, "killed: $query as $form is right");
		like($err, qr/WARNING.*node "/s, "killed: $query as $form warns");
		$cluster->restart_worker(2);
	}
}

note 'time runs out while a frozen worker does not take rows';
{
	my $handle = $cluster->start_halting("$forms{tables} SET cz.worker_timeout = '60s'; $queries{broadcast};",
		"SET statement_timeout = '1s'; $queries{broadcast};");
	$cluster->freeze_worker(1);
	my $started = time;
	$cluster->go_on($handle);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	$cluster->thaw_worker(1);
	is($status, 3, 'it ends');
	like($err, qr/57014/, 'with the error of a timeout');
	cmp_ok(time - $started, '<', 30, 'and soon');
	check_clean('after a timeout');
}

note 'limits';
{
	my ($status, $out, $err) = $cluster->try_sql("SET cz.max_shipment_size = '500kB'; $queries{broadcast}");
	like($err, qr/53400.*max_shipment_size/s, 'too many rows are an error');
	check_clean('after too many rows');

	# 7 MB three times over with 1 MB of memory
	my $peak = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::int};
	$out = $cluster->sql("SET work_mem = '1MB'; $forms{tables} SELECT sum(length(name)) FROM big; $peak; $queries{broadcast}; $queries{repartition}; $peak");
	my @lines = split /\n/, $out;
	cmp_ok($lines[-1] - $lines[1], '<', 12000, "memory is bounded");
}

note 'a worker that makes no temporary tables';
$cluster->worker_sql(2, 'CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA cz_shards TO plain; GRANT SELECT ON ALL TABLES IN SCHEMA cz_shards TO plain; REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC');
$cluster->worker_sql($_, 'CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA cz_shards TO plain; GRANT SELECT ON ALL TABLES IN SCHEMA cz_shards TO plain') foreach 1, 3;
$cluster->sql("CREATE ROLE plain LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain");
$cluster->sql("CREATE USER MAPPING FOR plain SERVER @{[$cluster->server_name($_)]} OPTIONS (user 'plain', password_required 'false')") foreach 1 .. 3;
is($cluster->sql("SET ROLE plain; $forms{tables} $queries{$_}"), $expected{$_}, "refused: $_") foreach sort keys %queries;
is($cluster->sql("SET ROLE plain; $forms{'merged tables'} $queries{$_}"), $expected{$_}, "refused, merged: $_") foreach sort keys %queries;
check_clean('after refusals');

note 'a transaction that has written: one connection, one command a worker';
{
	my $out = $cluster->sql(qq{
$forms{tables}
BEGIN;
UPDATE fact SET x = x WHERE k <= 100;
$queries{broadcast};
$queries{repartition};
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM fact;
ROLLBACK;});
	like($out, qr/^\Q$expected{broadcast}\E\n\Q$expected{repartition}\E\n/, 'it is sent arrays');
	like($out, qr/Remote: fragments=3 /, 'its fragments are merged');
	is($cluster->sql("$forms{tables} BEGIN ISOLATION LEVEL REPEATABLE READ; $queries{broadcast}; $queries{repartition}; COMMIT"),
		"$expected{broadcast}\n$expected{repartition}", 'as with one snapshot');
	check_clean('after transactions');
}

$cluster->stop;
done_testing();
