# Foreign keys of distributed tables and workers that die: ADD FOREIGN KEY is done everywhere
# or nowhere; placements that miss writes of a table, or of a reference table that theirs
# refers to, are made whole with their keys; and keys in a dump.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => qq{
cz.shard_count = 4
cz.shard_replication_factor = 2
cz.worker_timeout = 5s
cz.connect_timeout = 5s
cz.recovery_interval = -1
});
my $node = $cluster->coordinator;
my ($status, $out, $err);

$cluster->sql(<<'SQL');
CREATE TABLE ref (id int PRIMARY KEY, v text);
CREATE TABLE parent (k int, id int, v text, PRIMARY KEY (k, id));
CREATE TABLE child (k int, pid int, r int, n int, PRIMARY KEY (k, n));
CREATE TABLE solo (k int PRIMARY KEY, r int REFERENCES ref);
INSERT INTO ref SELECT i, 'r' || i FROM generate_series(1, 50) i;
INSERT INTO parent SELECT i % 20, i, 'v' || i FROM generate_series(1, 200) i;
INSERT INTO child SELECT i % 20, i, 1 + i % 50, i FROM generate_series(1, 200) i;
SELECT create_reference_table('ref');
SELECT create_distributed_table('parent', 'k'), create_distributed_table('child', 'k');
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('solo', 'k', colocate_with => 'none');
INSERT INTO solo SELECT i, i FROM generate_series(1, 50) i;
SQL

my $count = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'child'::regclass";

sub shard_keys
{
	return join ' ', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'child%'") } 1 .. 3;
}

sub check
{
	my ($name) = @_;
	$cluster->is_settled($name);
	is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', "$name: compared here, too");
	is($cluster->sql('SELECT * FROM cz_check_shards()'), '', "$name: shards look as their tables do");
	return;
}

my $add = q{ALTER TABLE child ADD COLUMN late int DEFAULT 7 REFERENCES ref,
	ADD FOREIGN KEY (k, pid) REFERENCES parent, ADD FOREIGN KEY (r) REFERENCES ref};

note 'ADD FOREIGN KEY: dead before';
$cluster->kill_worker(2);
($status, $out, $err) = $cluster->try_sql($add);
$cluster->restart_worker(2);
like($err, qr/ERROR:  (08|57)/, 'an error');
is($cluster->sql($count), 0, 'no key here');
is(shard_keys(), '0 0 0', 'no key there');
check('dead before');

note 'dead in the middle: it waits for a shard of the second worker';
my $shard = $cluster->worker_sql(2, q{SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname LIKE 'child%' ORDER BY 1 LIMIT 1});
for my $sql ($add, 'ALTER TABLE child ADD FOREIGN KEY (k, pid) REFERENCES parent')
{
	my $locker = $cluster->worker(2)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$locker->query_safe("BEGIN; LOCK TABLE cz_shards.\"$shard\"");
	my $altering = $cluster->start_sql($sql);
	$cluster->worker(2)->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'cz_shards.\"$shard\"'::regclass AND NOT granted")
	  or die 'nobody waits for the shard';
	$cluster->kill_worker(2);
	($status, $out, $err) = $cluster->finish_sql($altering, 60);
	$cluster->restart_worker(2);
	eval { $locker->quit };
	isnt($status, 0, 'not done');
	is($cluster->sql($count), 0, 'no key here');
	is(shard_keys(), '0 0 0', 'no key there');
	check('dead in the middle');
}

note 'dead when all is said but the commit';
my $altering = $cluster->start_halting("BEGIN; $add;", 'COMMIT;');
$cluster->kill_worker(2);
$cluster->go_on($altering);
($status, $out, $err) = $cluster->finish_sql($altering, 60);
$cluster->restart_worker(2);
isnt($status, 0, 'not done');
is($cluster->sql($count), 0, 'no key here');
is(shard_keys(), '0 0 0', 'no key there');
check('dead before the commit');

note 'a row in the way on one worker';
$cluster->sql('INSERT INTO child VALUES (1, 1000, 1, 1000)');
($status, $out, $err) = $cluster->try_sql($add);
like($err, qr/ERROR:  23503.*violates foreign key constraint "child_k_pid_fkey"/, 'it says which key');
is(shard_keys(), '0 0 0', 'no key there');
$cluster->sql('DELETE FROM child WHERE n = 1000');
$cluster->sql($add);
is($cluster->sql($count), 3, 'and when all is well, three keys here');
is((eval join '+', split / /, shard_keys()), 3 * 8, 'and three on each placement');
check('done');

note 'a worker misses writes';
$cluster->kill_worker(2);
$cluster->sql(q{INSERT INTO ref VALUES (100, 'new'); UPDATE ref SET v = v || '!' WHERE id < 10});
$cluster->restart_worker(2);
is($cluster->sql(q{SELECT count(*) FROM pg_dist_shard_placement p JOIN pg_dist_shard s USING (shardid)
	WHERE logicalrelid = 'child'::regclass AND shardstate = 1 AND nodeport = } . $cluster->port(2)), 0,
	'placements that refer to the copy of a reference table are not used where that has missed them');
is($cluster->sql(q{SELECT count(DISTINCT shardid) FROM pg_dist_shard_placement p JOIN pg_dist_shard s USING (shardid)
	WHERE logicalrelid IN ('child'::regclass, 'solo'::regclass) AND shardstate = 1}), 8, 'but one placement of each shard is');
is($cluster->sql('INSERT INTO child SELECT k, id, 100, 1000 + id FROM parent; SELECT count(*) FROM child WHERE r = 100'), 200, 'rows that refer to a new one');
check('missed by a copy');
is($cluster->sql('SELECT count(*) FROM child JOIN ref ON ref.id = r'), 400, 'rows');

$cluster->kill_worker(2);
$cluster->sql(<<'SQL');
DELETE FROM child WHERE n > 1000 OR k = 3;
DELETE FROM parent WHERE k = 3;
INSERT INTO parent VALUES (3, 333), (4, 444);
INSERT INTO ref VALUES (101, 'newer');
INSERT INTO child VALUES (3, 333, 101, 333), (4, 444, 101, 444);
SQL
($status, $out, $err) = $cluster->try_sql('DELETE FROM ref WHERE id = 100');
like($err, qr/ERROR:  08/, 'a row stays while nobody can say who refers to it');
$cluster->restart_worker(2);
$cluster->sql('DELETE FROM ref WHERE id = 100');
($status, $out, $err) = $cluster->try_sql('INSERT INTO child VALUES (3, 3, 101, 334)');
like($err, qr/ERROR:  23503/, 'a key holds before the repair');
$cluster->sql('INSERT INTO child VALUES (3, 333, 101, 335)');
check('missed by tables that keys join');
($status, $out, $err) = $cluster->try_sql("INSERT INTO child SELECT k, id, 100, 2000 + id FROM parent");
like($err, qr/ERROR:  23503/, 'keys hold afterwards');
$cluster->sql('INSERT INTO solo SELECT 100 + k, 101 FROM solo');

note 'keys that change while a placement is out of use';
$cluster->kill_worker(2);
$cluster->sql(q{UPDATE child SET late = 9; UPDATE parent SET v = v; UPDATE ref SET v = v || '?' WHERE id < 5});
$cluster->restart_worker(2);
$cluster->sql(<<'SQL');
ALTER TABLE child DROP CONSTRAINT child_k_pid_fkey, DROP CONSTRAINT child_late_fkey, ALTER CONSTRAINT child_r_fkey DEFERRABLE INITIALLY DEFERRED;
DELETE FROM parent WHERE k = 6;
UPDATE child SET late = 12345 WHERE k = 7;
SQL
check('keys have gone');
$cluster->sql(<<'SQL');
UPDATE child SET late = 1;
DELETE FROM child WHERE k = 6;
ALTER TABLE child ADD FOREIGN KEY (k, pid) REFERENCES parent, ADD FOREIGN KEY (late) REFERENCES ref, ALTER CONSTRAINT child_r_fkey NOT DEFERRABLE;
SQL
check('and come again');

note 'so much that a shard is copied';
$cluster->kill_worker(2);
$cluster->sql(q{INSERT INTO ref SELECT i, '' FROM generate_series(1000, 3000) i;
	INSERT INTO parent SELECT i % 20, i FROM generate_series(1000, 6000) i;
	INSERT INTO child SELECT i % 20, i, 1000 + i % 2000, i FROM generate_series(1000, 6000) i});
$cluster->restart_worker(2);
check('copied');

note 'a placement that is gone';
$cluster->kill_worker(3);
$cluster->sql(q{UPDATE child SET late = 8 WHERE n < 100; UPDATE parent SET v = 'x' WHERE id < 100});
$cluster->restart_worker(3);
$cluster->worker(3)->safe_psql('postgres', q{DO $$ BEGIN EXECUTE (SELECT format('DROP TABLE cz_shards.%I CASCADE', relname) FROM pg_class
	WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname LIKE 'child%' ORDER BY relname LIMIT 1); END $$}, extra_params => [ '-U', 'postgres' ]);
check('made anew');

note 'a node that is disabled and comes back';
$cluster->sql('DROP TABLE solo');
$cluster->sql("SELECT citus_disable_node('127.0.0.1', " . $cluster->port(2) . ')');
$cluster->sql(q{INSERT INTO ref VALUES (5000, 'while'); INSERT INTO parent VALUES (5, 5000); INSERT INTO child VALUES (5, 5000, 5000, 7000)});
$cluster->sql("SELECT citus_activate_node('127.0.0.1', " . $cluster->port(2) . ')');
check('activated');
is((eval join '+', split / /, shard_keys()), 3 * 8, 'keys are on each placement');

note 'dump and restore';
my $dump = $node->basedir . '/keys.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'copy' ],
	'the script runs without an error');
$node->safe_psql('copy', 'SELECT cz_finish_restore()');
is($node->safe_psql('copy', q{SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2}),
	$cluster->sql(q{SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2}), 'keys are there');
is((eval join '+', split / /, shard_keys()), 3 * 8, 'once on each placement');
is($node->safe_psql('copy', 'SELECT cz_take_over()'), '2', 'it takes over');
($status, $out, $err) = $node->psql('copy', 'INSERT INTO child VALUES (5, 5001, 5000, 7001)');
like($err, qr/violates foreign key constraint "child_k_pid_fkey"/, 'and keys hold');
is($node->safe_psql('copy', 'ALTER TABLE child DROP CONSTRAINT child_k_pid_fkey; INSERT INTO child VALUES (5, 5001, 5000, 7001) RETURNING n; SELECT count(*) FROM cz_check_shards()'), "7001\n0", 'and can be altered');

$cluster->stop;
done_testing();
