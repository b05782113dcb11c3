# Who reads from several workers waits for a transaction that is between its commits on them, and
# sees all of it; who does not wait sees part of it, which cz.distributed_snapshot = off shows.
# A worker that does not confirm keeps readers for a second; then it is in doubt.  A cancel ends
# the wait, on either side.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(workers => 3, proxied => [ 1 .. 3 ], conf => qq{
cz.shard_count = 4
cz.worker_timeout = 3s
cz.recovery_interval = -1
});
$cluster->sql(q{
CREATE TABLE one (k int PRIMARY KEY, v int);
CREATE TABLE two (k int PRIMARY KEY, v int);
CREATE TABLE other (k int PRIMARY KEY, v int);
CREATE TABLE ref (k int PRIMARY KEY, v int);
CREATE TABLE here (k int PRIMARY KEY, v int);
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('one', 'k', colocate_with => 'none');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('two', 'k', colocate_with => 'none'), create_distributed_table('other', 'k', colocate_with => 'none');
SELECT create_reference_table('ref');
INSERT INTO one SELECT i, 0 FROM generate_series(1, 40) i;
INSERT INTO two SELECT i, 0 FROM generate_series(1, 40) i;
INSERT INTO other VALUES (1, 0);
INSERT INTO ref VALUES (1, 0);
INSERT INTO here VALUES (1, 0);
});
my $value = 0;

# The room: an advisory lock with this number as its kind
my $waiting = "SELECT count(*) FROM pg_locks WHERE objsubid = 25467 AND NOT granted";

sub wait_for_waiter
{
	return $cluster->coordinator->poll_query_until('postgres', "$waiting AND mode = '$_[0]'", '1');
}

# A writer between two commits, $sql in the meantime
sub meanwhile
{
	my ($what, $write, $sql, $expected) = @_;
	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', $write =~ s/\bNEW\b/$value/gr);
	my $reader = $cluster->start_sql($sql);
	ok(wait_for_waiter('ShareLock'), "$what: it waits");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, $expected =~ s/\bNEW\b/$value/gr, "$what: and sees all") or diag($err);
	($status) = $cluster->finish_sql($writer, 60);
	is($status, 0, "$what: the writer commits");
	return;
}

foreach my $table ('one', 'two')
{
	my $write = "UPDATE $table SET v = NEW";
	my $read = "SELECT min(v), max(v) FROM $table";

	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE $table SET v = $value");
	is($cluster->sql("SET cz.distributed_snapshot = off; SELECT min(v) < max(v) FROM $table"), 't', "$table: off: part of it");
	$cluster->go;
	is(($cluster->finish_sql($writer, 60))[0], 0, "$table: off: the writer commits");

	meanwhile("$table, SELECT", $write, "$read;", 'NEW|NEW');
	meanwhile("$table, rows", $write, "SELECT DISTINCT v FROM $table;", 'NEW');
	meanwhile("$table, join", $write, "SELECT min(a.v + b.v), max(a.v + b.v) FROM $table a, $table b WHERE a.k = b.v + 1 - b.v;", 2 * ($value + 1) . '|' . 2 * ($value + 1));
	meanwhile("$table, REPEATABLE READ", $write, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM $table WHERE k = 1; $read; COMMIT;", "NEW\nNEW|NEW");
	meanwhile("$table, after a write", $write, "BEGIN; UPDATE other SET v = v; $read; COMMIT;", 'NEW|NEW');
	meanwhile("$table, cursor", $write, "BEGIN; DECLARE c CURSOR FOR $read; FETCH ALL FROM c; COMMIT;", 'NEW|NEW');
}

my $mixed = 'BEGIN; UPDATE two SET v = NEW; UPDATE ref SET v = NEW; UPDATE here SET v = NEW; COMMIT;';
meanwhile('copies of a reference table', $mixed, 'SELECT min(two.v + ref.v), max(two.v + ref.v) FROM two, ref;', 2 * ($value + 1) . '|' . 2 * ($value + 1));
meanwhile('one worker and a copy', $mixed, 'SELECT two.v + ref.v FROM two, ref WHERE two.k = 1;', 2 * ($value + 1));
meanwhile('tables here', $mixed, 'SELECT (SELECT min(v) FROM two), (SELECT max(v) FROM two), (SELECT v FROM here), (SELECT v FROM ref);', 'NEW|NEW|NEW|NEW');

note 'router statements do not wait';
{
	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE two SET v = $value");
	like($cluster->sql('SELECT v FROM two WHERE k = 1'), qr/^\d+$/, 'one shard');
	is($cluster->sql('SELECT v FROM here'), $value - 1, 'a table here');

	# nor does who is cancelled
	my $reader = $cluster->start_sql("SET statement_timeout = '300ms'; SELECT sum(v) FROM two;");
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	like($err, qr/57014/, 'statement_timeout ends the wait');
	$reader = $cluster->start_sql("SET lock_timeout = '100ms'; SELECT min(v), max(v) FROM two;");
	ok(wait_for_waiter('ShareLock'), 'lock_timeout is for what users lock');
	$cluster->go;
	($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, "$value|$value", 'it waits on') or diag($err);
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
}

note 'a reader that has taken its snapshots when a writer comes';
foreach ([ 'run_begun', 'SELECT min(v), max(v) FROM two' ],
	[ 'run_begun', 'SELECT min(v), max(v) FROM (SELECT v FROM two OFFSET 0) x' ],
	[ 'snapshots_taken', 'SELECT (SELECT min(v) FROM two), (SELECT max(v) FROM two)' ])
{
	my ($point, $read) = @$_;
	$value++;
	sleep 0.2;					# nobody has been in the room lately
	my $reader = $cluster->start_at($point, "$read;");
	$cluster->sql("UPDATE two SET v = $value");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, "$value|$value", "$point, $read: it takes them anew") or diag($err);
}

note 'REPEATABLE READ: somebody commits here and there between the transaction\'s snapshot and those of the workers';
{
	my $all = '(SELECT min(v) FROM two), (SELECT max(v) FROM two), (SELECT v FROM here), (SELECT v FROM ref)';
	my $begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ;';
	$cluster->sql("CREATE FUNCTION here_now() RETURNS int STABLE LANGUAGE sql AS 'SELECT v FROM here'");
	my $old = qr/40001: could not take one snapshot of this server and the workers/;
	foreach ([ 'SELECT', "$begin SELECT $all; SELECT $all; COMMIT;", "NEW|NEW|NEW|NEW\nNEW|NEW|NEW|NEW" ],
		[ 'workers only', "$begin SELECT min(v), max(v) FROM two; SELECT v FROM here; COMMIT;", "NEW|NEW\nNEW" ],
		[ 'cursor', "$begin DECLARE c CURSOR FOR SELECT $all; FETCH c; SELECT v FROM here; COMMIT;", "NEW|NEW|NEW|NEW\nNEW" ],
		[ 'EXECUTE', "PREPARE p(int) AS SELECT $all WHERE \$1 = 1; $begin EXECUTE p(1); COMMIT;", 'NEW|NEW|NEW|NEW' ],
		[ 'savepoint', "$begin SAVEPOINT a; SELECT $all; ROLLBACK TO a; SELECT $all; COMMIT;", "NEW|NEW|NEW|NEW\nNEW|NEW|NEW|NEW" ],
		[ 'UPDATE', "$begin UPDATE other SET v = (SELECT v FROM here); SELECT v, $all FROM other; COMMIT;", 'NEW|NEW|NEW|NEW|NEW' ],
		[ 'INSERT', "$begin INSERT INTO other SELECT 100 + v, v FROM here RETURNING v; SELECT $all; ROLLBACK;", "NEW\nNEW|NEW|NEW|NEW" ],
		[ 'after another statement', "$begin SELECT here_now() > 0; SELECT $all; COMMIT;", $old ],
		[ 'EXECUTE with an expression', "PREPARE p(int) AS SELECT $all WHERE \$1 > 0; $begin EXECUTE p(here_now()); COMMIT;", $old ],
		[ 'SERIALIZABLE', "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT $all; COMMIT;", $old ],
		[ 'another\'s snapshot', 'SNAPSHOT', $old ])
	{
		my ($what, $sql, $expected) = @$_;
		my $exporter;
		$value++;
		sleep 0.2;				# nobody has been in the room lately
		if ($sql eq 'SNAPSHOT')
		{
			$exporter = $cluster->start_halting("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot();", '');
			$exporter->{run}->pump_nb until $exporter->{out} =~ /\n/;
			my ($id) = $exporter->{out} =~ /(\S+)/;
			$sql = "$begin SET TRANSACTION SNAPSHOT '$id'; SELECT $all; COMMIT;";
		}
		my $reader = $cluster->start_at('snapshots_taken', $sql);
		$cluster->sql($mixed =~ s/\bNEW\b/$value/gr);
		$cluster->go;
		my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
		if (ref $expected)
		{
			like($err, $expected, "$what: it cannot be taken anew");
		}
		else
		{
			is($out, $expected =~ s/\bNEW\b/$value/gr, "$what: this server's is taken anew, too") or diag($err);
		}
		next unless $exporter;
		$cluster->go_on($exporter);
		$cluster->finish_sql($exporter, 60);
	}
}

note 'a worker that does not confirm';
{
	$value++;
	my $writer = $cluster->start_at('after_local_commit', "SET cz.worker_timeout = '20s'; UPDATE one SET v = $value");
	$cluster->cut_worker(2);
	$cluster->go;
	# factor 1: the worker is in doubt after a second, and cannot be asked
	my ($status, $out, $err) = $cluster->try_sql("SET cz.worker_timeout = '2s'; SET cz.connect_timeout = '1s'; SELECT min(v), max(v) FROM one");
	isnt($status, 0, 'no part of it is shown');
	like($err, qr/ERROR:  (08001|08006|55000)/, 'but an error');
	$cluster->heal_worker(2);
	is(($cluster->finish_sql($writer, 60))[0], 0, 'the writer commits');
	is($cluster->sql('SELECT min(v), max(v) FROM one'), "$value|$value", 'it is finished by who reads next');
}

note 'a committer is killed in the room';
{
	$value++;
	my $writer = $cluster->start_at('during_commit_prepared', "UPDATE two SET v = $value");
	my $reader = $cluster->start_sql('SELECT min(v), max(v) FROM two;');
	ok(wait_for_waiter('ShareLock'), 'a reader waits for it');
	$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objsubid = 25467 AND mode = 'RowExclusiveLock'");
	my ($status, $out, $err) = $cluster->finish_sql($reader, 60);
	is($out, "$value|$value", 'and finishes what it has left') or diag($err);
	$cluster->finish_sql($writer, 60);
	ok($cluster->wait_for_recovery, 'no prepared transaction is left');
	is($cluster->differing_placements, '', 'placements are equal');
}
is($cluster->sql($waiting =~ s/ AND NOT granted//r), 0, 'the room is empty');

done_testing();
