# Rows that wait in a buffer belong to the subtransaction that wrote them: they are neither
# undone with an inner one nor forgotten when sending them failed there.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 4\ncz.shard_replication_factor = 2\n");

$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	CREATE TABLE t2 (k int PRIMARY KEY, v int);
	CREATE TABLE u (k int, v int, note text);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	CREATE TABLE plain (k int, v int);
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('t2', 'k');
	SELECT create_distributed_table('u', 'k');
	SELECT create_reference_table('r');
	-- writes and reads in a subtransaction that is rolled back
	CREATE FUNCTION undone(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		BEGIN
			INSERT INTO t2 VALUES (i, 1);
			PERFORM count(*) FROM t2;
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		RETURN i;
	END $$;
	CREATE FUNCTION undone_reference(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		BEGIN
			INSERT INTO r VALUES (1000 + i, 1);
			UPDATE r SET v = 2 WHERE k = 1000 + i;
			INSERT INTO t2 VALUES (i, 1);
			PERFORM count(*) FROM t2;
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		RETURN i;
	END $$;
	-- reads in a subtransaction that fails after a moment if somebody has locked shards
	CREATE FUNCTION impatient(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		BEGIN
			SET LOCAL lock_timeout = '100ms';
			PERFORM count(*) FROM t2;
		EXCEPTION WHEN lock_not_available THEN NULL;
		END;
		RETURN i;
	END $$;
	CREATE FUNCTION undone_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		NEW.v := undone(NEW.k);
		RETURN NEW;
	END $$;
});
$cluster->worker_sql(1, 'CREATE TABLE alone (k int, v int)');
$cluster->sql('CREATE FOREIGN TABLE alone (k int, v int) SERVER ' . $cluster->server_name(1)
	  . " OPTIONS (schema_name 'public', table_name 'alone')");

# What a table holds according to its rows on the coordinator, and all placements
sub is_there
{
	my ($table, $expected, $what) = @_;
	is($cluster->sql("SELECT count(*), sum(k) FROM $table"), $expected, "$what: the rows are there");
	is($cluster->differing_placements, '', "$what: placements are equal");
	$cluster->sql("DELETE FROM $table");
	return;
}

# The copies of the reference table have the rows of the coordinator's
sub copies_are
{
	my ($expected, $what) = @_;
	my $copy = $cluster->worker_sql(1, "SELECT relname FROM pg_class WHERE relname ~ '^r_[0-9]+\$' AND relkind = 'r'");
	is($cluster->sql('SELECT count(*), sum(k) FROM r'), $expected, "$what: the reference table");
	foreach my $i (1 .. 3)
	{
		is($cluster->worker_sql($i, "SELECT count(*), sum(k) FROM cz_shards.$copy"), $expected, "$what: its copy on worker $i");
	}
	$cluster->sql('DELETE FROM r');
	return;
}

note 'rows of an outer level, an inner one that is rolled back';
$cluster->sql('BEGIN; INSERT INTO r VALUES (1, 1); SAVEPOINT a; INSERT INTO t VALUES (1001, 1); SELECT count(*) FROM t;
	ROLLBACK TO a; COMMIT');
copies_are('1|1', 'savepoint');
$cluster->sql('BEGIN; INSERT INTO r VALUES (1, 1); SAVEPOINT a; INSERT INTO r VALUES (2, 1); SAVEPOINT b; INSERT INTO t VALUES (1001, 1);
	SELECT count(*) FROM t; ROLLBACK TO b; RELEASE a; COMMIT');
copies_are('2|3', 'two savepoints');
$cluster->sql('BEGIN; INSERT INTO r VALUES (1, 1); SAVEPOINT a; SAVEPOINT b; INSERT INTO r VALUES (2, 1); INSERT INTO t VALUES (1001, 1);
	ROLLBACK TO a; INSERT INTO t VALUES (1002, 1); COMMIT');
copies_are('1|1', 'two savepoints at once');
is_there('t', '1|1002', 'two savepoints at once');
$cluster->sql('INSERT INTO t SELECT i, undone(i) FROM generate_series(1, 5) i');
is_there('t', '5|15', 'INSERT ... SELECT');
is($cluster->sql('SELECT count(*) FROM t2'), '0', 'what was rolled back is not');
$cluster->sql('INSERT INTO t SELECT i, undone_reference(i) FROM generate_series(1, 5) i');
is_there('t', '5|15', 'with a reference table');
copies_are('0|', 'with a reference table');
$cluster->sql('INSERT INTO r SELECT i, undone(i) FROM generate_series(1, 5) i');
copies_are('5|15', 'INSERT ... SELECT into a reference table');
$cluster->sql('INSERT INTO alone SELECT i, undone(i) FROM generate_series(1, 5) i');
is($cluster->worker_sql(1, 'SELECT count(*), sum(k) FROM alone'), '5|15', 'a foreign table by itself');
$cluster->sql('CREATE TRIGGER undone BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION undone_trigger()');
$cluster->sql("COPY u (k) FROM STDIN;\n1\n2\n3\n4\n5\n\\.\n");
$cluster->sql('DROP TRIGGER undone ON u');
is_there('u', '5|15', 'COPY with a trigger');
# more rows than are held here
$cluster->sql("INSERT INTO u SELECT i, CASE WHEN i % 50 = 0 THEN undone(i) END, repeat('x', 100000) FROM generate_series(1, 300) i");
is_there('u', '300|45150', 'many rows');

note 'rows that could not be sent';
# a lock on every shard of u is what the writer waits for
$cluster->sql('INSERT INTO u SELECT i, 0 FROM generate_series(100, 120) i');
foreach my $sql (
	'INSERT INTO u SELECT i, impatient(i) FROM generate_series(1, 5) i',
	'DO $$ BEGIN INSERT INTO u SELECT i, impatient(i) FROM generate_series(1, 5) i; EXCEPTION WHEN lock_not_available THEN NULL; END $$')
{
	my $holder = $cluster->hold('UPDATE u SET v = v');
	my ($status, $out, $err) = $cluster->try_sql($sql);
	is($status, 3, 'an INSERT whose rows cannot be sent fails');
	like($err, qr/ERROR:\s+40000/, 'with the right error');
	$cluster->release($holder);
	is($cluster->sql('SELECT count(*) FROM u WHERE k < 100'), '0', 'nothing of it is there');
}
{
	# the inner level goes on when the outer one has been given up
	my $holder = $cluster->hold('UPDATE u SET v = v');
	my ($status, $out, $err) = $cluster->try_sql(q{BEGIN; INSERT INTO t2 VALUES (1, 1); SAVEPOINT a;
		DO $$ BEGIN INSERT INTO u SELECT i, impatient(i) FROM generate_series(1, 5) i; END $$; });
	like($err, qr/ERROR:\s+40000/, 'an error of a savepoint');
	$cluster->release($holder);
}
$cluster->sql('DELETE FROM u; DELETE FROM t2');
is($cluster->differing_placements, '', 'placements are equal');

$cluster->stop;
done_testing();
