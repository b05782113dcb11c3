# ALTER TABLE that computes all rows here, and a worker that dies in the middle, a cancel, a
# crash of the coordinator: all or nothing.  Rows that do not fit into memory go to disk.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => qq{
cz.shard_count = 4
cz.worker_timeout = 5s
cz.connect_timeout = 5s
cz.recovery_interval = -1
});
my @tables = ('one', 'two', 'ref');
$cluster->sql(q{
CREATE FUNCTION seven() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 7; END';
CREATE TABLE one (k int PRIMARY KEY, v int, w text DEFAULT 'x', CONSTRAINT positive CHECK (v > 0));
CREATE TABLE two (LIKE one INCLUDING ALL);
CREATE TABLE ref (LIKE one INCLUDING ALL);
CREATE INDEX one_v ON one (v);
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('one', 'k');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('two', 'k'), create_reference_table('ref');
});
$cluster->sql("INSERT INTO $_ SELECT i, i FROM generate_series(1, 40) i") foreach @tables;
my $form = 'ALTER TABLE %s ADD n int DEFAULT seven(), ADD s serial, ALTER v TYPE bigint USING v + seven(), ADD UNIQUE (k, v), DROP COLUMN w';

sub check
{
	my ($name) = @_;
	$cluster->is_settled($name);
	is($cluster->sql("SELECT * FROM cz_check_shards('$_')"), '', "$name: $_ looks the same everywhere") foreach @tables;
	is($cluster->sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'pg_temp_%'"), '0', "$name: no heap is left");
	return;
}

sub points
{
	my ($table) = @_;
	return $table eq 'ref' ? ('rewrite-read', 'rewrite-truncated', 'rewrite-sent') :
	  ('rewrite-reading', 'rewrite-read', 'rewrite-truncated', 'rewrite-sent');
}

foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	my $sql = sprintf $form, $table;
	foreach my $point (points($table))
	{
		note "$table, $point: a worker dies";
		my $altering = $cluster->start_at($point, $sql);
		$cluster->kill_worker(2);
		$cluster->go;
		my ($status, undef, $err) = $cluster->finish_sql($altering, 60);
		$cluster->restart_worker(2);
		$cluster->await_workers;
		isnt($status, 0, "$table, $point: not done");
		like($err, qr/ERROR:  (08|57)/, "$table, $point: an error");
		is($cluster->table_look($table), $before, "$table, $point: nothing has changed");

		note "$table, $point: a cancel";
		$altering = $cluster->start_at($point, $sql);
		$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE $table%' AND pid <> pg_backend_pid()");
		(undef, undef, $err) = $cluster->finish_sql($altering, 60);
		like($err, qr/ERROR:  57014/, "$table, $point: cancelled");
		is($cluster->table_look($table), $before, "$table, $point: nothing has changed");

		note "$table, $point: in a transaction that goes on";
		($altering, undef, $err) = $cluster->try_sql("\\set ON_ERROR_STOP off\nBEGIN; INSERT INTO $table VALUES (100, 100); SAVEPOINT a; SET LOCAL cz.debug_point = '$point=error'; $sql; ROLLBACK TO a; DELETE FROM $table WHERE k = 100; COMMIT;");
		like($err, qr/ERROR:  XX000/, "$table, $point: an error");
		is($cluster->table_look($table), $before, "$table, $point: nothing has changed");
	}
	check($table);
}

note 'the coordinator crashes';
foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	foreach my $point (points($table))
	{
		$cluster->start_at($point, sprintf $form, $table);
		$cluster->kill_coordinator;
		$cluster->coordinator->start;
		is($cluster->table_look($table), $before, "$table, $point: nothing has changed");
	}
}
check('crashed');

note 'rows that memory does not hold';
$cluster->sql("INSERT INTO two (k, v, w) SELECT i, i, repeat(md5(i::text), 4) FROM generate_series(1000, 30999) i");
my $before = $cluster->table_look('two');
my (undef, undef, $err) = $cluster->try_sql("SET work_mem = '64kB'; SET temp_file_limit = '1MB'; ALTER TABLE two ADD n int DEFAULT seven()");
like($err, qr/ERROR:  53400/, 'there is no room for them: an error');
is($cluster->table_look('two'), $before, 'nothing has changed');
is($cluster->sql("SET work_mem = '64kB'; ALTER TABLE two ADD big text DEFAULT repeat('x', seven()); SELECT count(*), count(big), sum(k) FROM two"), '30040|30040|479985820', 'there is: all rows follow');
$cluster->sql("DELETE FROM two WHERE k >= 1000; ALTER TABLE two DROP COLUMN big");
check('large');

note 'and when all is well, it is done';
foreach my $table (@tables)
{
	my ($status, undef, $error) = $cluster->try_sql(sprintf $form, $table);
	is($status, 0, "$table: done") or diag($error);
	is($cluster->sql("SELECT sum(v), sum(n), count(DISTINCT s) FROM $table"), '1100|280|40', "$table: all rows follow");
}
check('done');

$cluster->sql("DROP TABLE $_") foreach @tables;
is($cluster->shard_tables($_), 0, "nothing is left on worker $_") foreach 1, 2;
$cluster->stop;
done_testing();
