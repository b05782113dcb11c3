# Statements of every writing class that are cancelled at a random moment, by a timeout of
# their own or by another session: each has done all or nothing, the session goes on, and
# nothing is left behind on workers.  One session for each replication factor.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{CZ_SEED} // time % 1_000_000;
my $rounds = $ENV{CZ_ROUNDS} // 5;
srand($seed);

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 4\ncz.recovery_interval = -1\n");
my $coordinator = $cluster->coordinator;

# Each class has ten rows (g) of its own, which all have the same v when nothing is half-done;
# a table of rows that come by tens; a table whose trigger writes to another one.
sub schema
{
	my ($factor) = @_;
	return qq{
	CREATE SCHEMA f$factor;
	SET search_path = f$factor;
	SET cz.shard_replication_factor = $factor;
	CREATE TABLE t (k int, g int, v int, PRIMARY KEY (k, g));
	CREATE TABLE nokey (k int, g int, v int);
	CREATE TABLE log (k int, n int);
	CREATE TABLE traced (k int PRIMARY KEY, v int);
	CREATE TABLE trace (k int, v int);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	CREATE TABLE local (k int, v int);
	SELECT create_distributed_table('t', 'k'), create_distributed_table('nokey', 'k'), create_distributed_table('log', 'k'),
		create_distributed_table('traced', 'k'), create_distributed_table('trace', 'k'), create_reference_table('r');
	INSERT INTO t SELECT i, g, 0 FROM generate_series(1, 10) i, generate_series(1, 12) g;
	INSERT INTO nokey SELECT i, 1, 0 FROM generate_series(1, 10) i;
	INSERT INTO traced SELECT i, 0 FROM generate_series(1, 10) i;
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 10) i;
	INSERT INTO local SELECT i, 0 FROM generate_series(1, 10) i;
	CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN \$1; END';
	CREATE FUNCTION traces() RETURNS trigger LANGUAGE plpgsql SET search_path = f$factor
		AS 'BEGIN INSERT INTO trace VALUES (NEW.k + 100, NEW.v); RETURN NEW; END';
	CREATE TRIGGER traces AFTER UPDATE ON traced FOR EACH ROW EXECUTE FUNCTION traces();
	CREATE PROCEDURE twice() LANGUAGE plpgsql AS 'BEGIN
		UPDATE t SET v = v + 1 WHERE g = 10; COMMIT; UPDATE t SET v = f(v) + 1 WHERE g = 10; COMMIT; END';
	CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS 'BEGIN
		BEGIN UPDATE t SET v = f(v) + 1 WHERE g = 11; UPDATE t SET v = v + 1 WHERE g = 11; EXCEPTION WHEN query_canceled THEN NULL; END;
		UPDATE t SET v = v + 1 WHERE g = 11; END';
	};
}

my @classes = (
	'UPDATE t SET v = v + 1 WHERE g = 1',
	'UPDATE t SET v = f(v) + 1 WHERE g = 2',
	'UPDATE t SET k = k + 1, v = v + 1 WHERE g = 3',
	'INSERT INTO t SELECT k, g, 0 FROM t WHERE g = 4 ON CONFLICT (k, g) DO UPDATE SET v = t.v + 1',
	'INSERT INTO t SELECT k, g, 0 FROM t WHERE g = 5 ON CONFLICT (k, g) DO UPDATE SET v = f(t.v) + 1',
	'MERGE INTO t USING (SELECT k AS i FROM t WHERE g = 6) s ON t.k = s.i AND t.g = 6 WHEN MATCHED THEN UPDATE SET v = t.v + 1',
	'MERGE INTO t USING r s ON t.k = s.k AND t.g = 7 WHEN MATCHED THEN UPDATE SET v = f(t.v) + 1',
	'WITH d AS (DELETE FROM t WHERE g = 8 RETURNING *), i AS (INSERT INTO log SELECT k, v FROM d) INSERT INTO t SELECT k, g, v + 1 FROM d',
	'BEGIN; UPDATE t SET v = v + 1 WHERE g = 9; UPDATE t SET v = f(v) + 1 WHERE g = 9; COMMIT',
	"BEGIN; UPDATE t SET v = v + 1 WHERE g = 9 AND k < 6; SAVEPOINT s; UPDATE t SET k = k + 1000 WHERE g = 9; ROLLBACK TO s; UPDATE t SET v = f(v) + 1 WHERE g = 9 AND k > 5; COMMIT",
	'CALL twice()',
	('SELECT caught()') x 5,
	'UPDATE t SET v = t.v + 1 FROM nokey n WHERE n.k = t.k AND t.g = 12',
	'UPDATE nokey SET v = v + 1',
	'UPDATE nokey SET v = f(v) + 1',
	'INSERT INTO log SELECT k, 1 FROM t WHERE g = 1',
	'INSERT INTO log SELECT f(i), 1 FROM generate_series(1, 10) i',
	'INSERT INTO log VALUES ' . join(', ', map { "($_, 2)" } 1 .. 10),
	"COPY log FROM stdin;\n" . join("\n", map { "$_\t3" } 1 .. 10) . "\n\\.",
	'UPDATE traced SET v = v + 1',
	'UPDATE r SET v = v + 1',
	'WITH u AS (UPDATE r SET v = v + 1 RETURNING *) UPDATE local SET v = u.v FROM u WHERE local.k = u.k',
	'BEGIN; DECLARE c CURSOR FOR SELECT * FROM t WHERE g = 1 FOR UPDATE; FETCH 3 FROM c; UPDATE t SET v = v + 1 WHERE g = 1; COMMIT',
);

sub script
{
	my ($factor) = @_;
	my $sql = "SET search_path = f$factor; SET application_name = 'victim';\n";
	foreach (1 .. $rounds)
	{
		foreach my $class (sort { rand() <=> 0.5 } @classes)
		{
			# mostly a timeout of its own; else the other session may come
			$sql .= 'SET statement_timeout = ' . (rand() < 0.7 ? 1 + int(rand() ** 2 * 25) : 0) . ";\n";
			$sql .= $class . ($class =~ /^COPY/ ? "\n" : ";\n");
			$sql .= "ROLLBACK;\nSET statement_timeout = 0;\n" if $class =~ /^BEGIN/;
		}
	}
	return $sql . "RESET statement_timeout; SET application_name = 'done';\n\\echo at the end\n";
}

$cluster->sql(schema($_)) foreach 1, 2;
my @victims;
foreach my $factor (1, 2)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/victim.sql';
	PostgreSQL::Test::Utils::append_to_file($file, script($factor));
	my $victim = { out => '', err => '', factor => $factor, started => time };
	$victim->{run} = IPC::Run::start(
		[
			"$ENV{CZ_BINDIR}/psql", '-Xq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $coordinator->port,
			'-U', 'postgres', 'postgres', '-f', $file
		],
		'<', \undef, '>', \$victim->{out}, '2>', \$victim->{err});
	push @victims, $victim;
}
my $canceller = $cluster->start_sql(q{
	DO $$ BEGIN
		FOR i IN 1 .. 2000 LOOP
			PERFORM pg_stat_clear_snapshot();
			PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND random() < 0.3;
			PERFORM pg_sleep(0.001 + random() * 0.02);
			EXIT WHEN i > 50 AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'victim');
		END LOOP;
	END $$;
});
my ($ncancelled, @others);
foreach my $victim (@victims)
{
	my ($status) = $cluster->finish_sql($victim, 150);
	like($victim->{out}, qr/at the end$/, "factor $victim->{factor}: the session goes on to the end (seed $seed)");
	$ncancelled += () = $victim->{err} =~ /ERROR:  57014/g;
	push @others, grep { !/:  (57014|25P01|25P02|3B001): / } $victim->{err} =~ /((?:ERROR|FATAL|WARNING):  .*)/g;
}
$cluster->finish_sql($canceller, 60);
# but for what is said of commands in a transaction that has failed
is(join("\n", @others), '', 'no other error, no warning');
cmp_ok($ncancelled, '>', $rounds, "$ncancelled statements were cancelled");

foreach my $factor (1, 2)
{
	is( $cluster->sql(qq{
		SET search_path = f$factor;
		SELECT 't', g, count(*), count(DISTINCT v) FROM t GROUP BY g HAVING count(*) <> 10 OR count(DISTINCT v) <> 1
		UNION ALL SELECT 'nokey', 1, count(*), count(DISTINCT v) FROM nokey HAVING count(*) <> 10 OR count(DISTINCT v) <> 1
		UNION ALL SELECT 'r', 1, count(*), count(DISTINCT v) FROM r HAVING count(*) <> 10 OR count(DISTINCT v) <> 1
		UNION ALL SELECT 'local', 1, count(*), count(DISTINCT v) FROM local HAVING count(*) <> 10 OR count(DISTINCT v) <> 1
		UNION ALL SELECT 'traced', 1, count(*), count(DISTINCT v) FROM traced HAVING count(*) <> 10 OR count(DISTINCT v) <> 1
		UNION ALL SELECT 'trace', 1, count(*), sum(v) FROM trace HAVING count(*) <> (SELECT sum(v) FROM traced)
		UNION ALL SELECT 'log', 1, count(*), 0 FROM log HAVING count(*) % 10 <> 0}),
		'', "factor $factor: nothing is half-done (seed $seed)");
}
is($cluster->differing_placements, '', 'placements are equal');
is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'no placement was given up');
ok($cluster->wait_for_recovery, 'no prepared transaction is left');
is( $cluster->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}),
	'0', 'no lock is left on the coordinator');
foreach my $i (1, 2)
{
	ok( $cluster->worker($i)->poll_query_until('postgres', q{
		SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')
			AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE state LIKE 'idle in%' OR (state = 'active' AND pid <> pg_backend_pid()))}),
		"worker $i has no open transaction, no lock, no statement that runs");
}
$cluster->stop;
done_testing();
