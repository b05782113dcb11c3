# A worker is killed while deferred triggers fire: the transaction fails as a whole, or goes on
# without a placement that is not the first.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => qq{
cz.shard_count = 6
cz.worker_timeout = 5s
cz.connect_timeout = 2s
cz.recovery_interval = -1
});
$cluster->sql(q{
CREATE TABLE one (k int PRIMARY KEY, v int);
CREATE TABLE two (k int PRIMARY KEY, v int);
CREATE TABLE journal (id int PRIMARY KEY, k int);
CREATE TABLE here (k int);
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('one', 'k', colocate_with => 'none'), create_distributed_table('journal', 'id', colocate_with => 'none');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('two', 'k', colocate_with => 'none');
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO here VALUES (NEW.k);
  INSERT INTO journal VALUES (TG_ARGV[0]::int, NEW.k);
  PERFORM pg_advisory_xact_lock(4713);
  RETURN NULL;
END $$;
});

# The journal's row is on a worker that stays; the written one's worker is killed
sub kill_while_firing
{
	my ($table, $k, $id, $killed) = @_;
	$cluster->sql("CREATE CONSTRAINT TRIGGER fire AFTER UPDATE ON $table DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire('$id')");
	my $holder = $cluster->start_halting('SELECT pg_advisory_lock(4713);', '');
	my $writer = $cluster->start_sql("BEGIN; UPDATE $table SET v = 1 WHERE k = $k; COMMIT;");
	$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND NOT granted")
	  or die 'the trigger was not reached';
	$cluster->kill_worker($killed);
	$cluster->go_on($holder);
	$cluster->finish_sql($holder, 60);
	my ($status, undef, $err) = $cluster->finish_sql($writer, 60);
	$cluster->restart_worker($killed);
	$cluster->await_workers or die 'the worker is not back';
	ok($cluster->wait_for_recovery, 'nothing is left prepared');
	$cluster->sql("DROP TRIGGER fire ON $table");
	return ($status, $err, $cluster->sql("SELECT (SELECT v FROM $table WHERE k = $k), (SELECT count(*) FROM journal WHERE id = $id), (SELECT count(*) FROM here)"));
}

$cluster->sql("INSERT INTO $_ SELECT i, 0 FROM generate_series(1, 60) i") foreach 'one', 'two';
# keys of the journal on the third worker
my ($j1, $j2, $j3) = split /\n/, $cluster->sql("SELECT id FROM generate_series(1, 100) id WHERE get_shard_id_for_distribution_column('journal', id) IN "
	. "(SELECT shard_id FROM cz.placement_list() p JOIN pg_foreign_server s ON s.oid = p.server_oid WHERE 'port=@{[$cluster->port(3)]}' = ANY (s.srvoptions)) LIMIT 3");

note 'the only placement';
{
	my ($status, $err, $rows) = kill_while_firing('one', $cluster->key_on(1, 'one'), $j1, 1);
	isnt($status, 0, 'an error');
	like($err, qr/ERROR:  08/, 'that says why');
	is($rows, '0|0|0', 'nothing is done, anywhere');
}

# a key of shards with placements on the first two workers, the first on this one
sub key_between
{
	my ($first, $second) = map { $cluster->port($_) } @_;
	return $cluster->sql(qq{
		SELECT min(k) FROM two JOIN cz.placement_list() p ON p.shard_id = get_shard_id_for_distribution_column('two', k) AND p.position = 0
			JOIN pg_foreign_server s ON s.oid = p.server_oid AND 'port=$first' = ANY (s.srvoptions)
			JOIN cz.placement_list() q ON q.shard_id = p.shard_id AND q.position = 1
			JOIN pg_foreign_server u ON u.oid = q.server_oid AND 'port=$second' = ANY (u.srvoptions)});
}

note 'the first of two placements';
{
	my ($status, $err, $rows) = kill_while_firing('two', key_between(1, 2), $j2, 1);
	isnt($status, 0, 'an error');
	like($err, qr/ERROR:  (08|40001)/, 'that says why');
	is($rows, '0|0|0', 'nothing is done, anywhere');
}

note 'the other one';
{
	my ($status, $err, $rows) = kill_while_firing('two', key_between(1, 2), $j3, 2);
	is($status, 0, 'it goes on') or diag($err);
	is($rows, '1|1|1', 'and all is done');
}
ok($cluster->repair, 'all placements are active');
is($cluster->differing_placements, '', 'and equal');
$cluster->stop;
done_testing();
