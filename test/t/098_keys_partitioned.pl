# Foreign keys of partitioned tables and workers that die: ADD FOREIGN KEY is done everywhere or
# nowhere, placements that miss writes are made whole with their keys, and keys in a dump.
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
CREATE TABLE ev (k int, t int, r int, PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (100) TO (1000) PARTITION BY RANGE (t);
CREATE TABLE ev21 PARTITION OF ev2 DEFAULT;
INSERT INTO ref SELECT i, 'r' || i FROM generate_series(1, 50) i;
INSERT INTO ev SELECT i % 20, i, 1 + i % 50 FROM generate_series(1, 200) i;
SELECT create_reference_table('ref');
SELECT create_distributed_table('ev', 'k');
SQL

# keys of tables on all workers: a placement of the table, and its partitions
sub shard_keys
{
	my ($what) = @_;
	return eval join '+', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'ev%' AND conparentid $what 0") } 1 .. 3;
}

sub check
{
	my ($name) = @_;
	$cluster->is_settled($name);
	is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', "$name: compared here, too");
	is($cluster->sql('SELECT * FROM cz_check_shards()'), '', "$name: shards look as their tables do");
	return;
}

my $add = 'ALTER TABLE ev ADD FOREIGN KEY (r) REFERENCES ref';

note 'ADD FOREIGN KEY: dead before';
$cluster->kill_worker(2);
($status, $out, $err) = $cluster->try_sql($add);
$cluster->restart_worker(2);
like($err, qr/ERROR:  (08|57)/, 'an error');
is(shard_keys('>='), 0, 'no key there');
check('dead before');

note 'dead when all is said but the commit';
my $altering = $cluster->start_halting("BEGIN; $add;", 'COMMIT;');
$cluster->kill_worker(2);
$cluster->go_on($altering);
($status, $out, $err) = $cluster->finish_sql($altering, 60);
$cluster->restart_worker(2);
isnt($status, 0, 'not done');
is(shard_keys('>='), 0, 'no key there');
check('dead before the commit');

note 'a row in the way on one worker';
$cluster->sql('INSERT INTO ev VALUES (1, 500, 1000)');
($status, $out, $err) = $cluster->try_sql($add);
like($err, qr/ERROR:  23503.*violates foreign key constraint "ev_r_fkey"/, 'it says which key');
is(shard_keys('>='), 0, 'no key there');
$cluster->sql('DELETE FROM ev WHERE t = 500');
$cluster->sql($add);
is(shard_keys('='), 8, 'when all is well, one on each placement');
is(shard_keys('>'), 24, 'and on its partitions');
check('done');

note 'a partition is made while a worker is dead';
$cluster->kill_worker(2);
($status, $out, $err) = $cluster->try_sql('CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (1000) TO (2000)');
$cluster->restart_worker(2);
check('a partition');
$cluster->sql('CREATE TABLE IF NOT EXISTS ev3 PARTITION OF ev FOR VALUES FROM (1000) TO (2000)');
is(shard_keys('>'), 32, 'its keys');

note 'a worker misses writes';
$cluster->kill_worker(2);
$cluster->sql(q{INSERT INTO ref VALUES (100, 'new'); UPDATE ref SET v = v || '!' WHERE id < 10});
$cluster->restart_worker(2);
is($cluster->sql('INSERT INTO ev SELECT k, 1000 + t, 100 FROM ev; SELECT count(*) FROM ev WHERE r = 100'), 200, 'rows that refer to a new one');
check('missed by a copy');

$cluster->kill_worker(2);
$cluster->sql(<<'SQL');
DELETE FROM ev WHERE k = 3;
INSERT INTO ref VALUES (101, 'newer'), (102, 'free');
INSERT INTO ev VALUES (3, 333, 101), (4, 1444, 101);
UPDATE ev SET t = t + 500 WHERE t BETWEEN 50 AND 60;
SQL
($status, $out, $err) = $cluster->try_sql('DELETE FROM ref WHERE id = 100');
like($err, qr/ERROR:  23503/, 'a row stays that others refer to');
$cluster->sql('DELETE FROM ref WHERE id = 102');
$cluster->restart_worker(2);
($status, $out, $err) = $cluster->try_sql('INSERT INTO ev VALUES (3, 3, 103)');
like($err, qr/ERROR:  23503/, 'a key holds before the repair');
check('missed by partitions');

note 'so much that a shard is copied';
$cluster->kill_worker(2);
$cluster->sql(q{INSERT INTO ref SELECT i, '' FROM generate_series(1000, 3000) i;
	UPDATE ev SET r = 1000 WHERE t < 1000;
	CREATE TABLE more (k int, t int, r int);
	INSERT INTO more SELECT i, 100 + i % 800, 1000 + i % 2000 FROM generate_series(1000, 6000) i;
	INSERT INTO ev SELECT * FROM more});
$cluster->restart_worker(2);
check('copied');

note 'a placement that is gone';
$cluster->kill_worker(3);
$cluster->sql('UPDATE ev SET r = 50 WHERE t < 100');
$cluster->restart_worker(3);
$cluster->worker(3)->safe_psql('postgres', q{DO $$ BEGIN EXECUTE (SELECT format('DROP TABLE cz_shards.%I CASCADE', relname) FROM pg_class
	WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'p' AND relname ~ '^ev_\d' ORDER BY relname LIMIT 1); END $$}, extra_params => [ '-U', 'postgres' ]);
check('made anew');

note 'a node that is disabled and comes back';
$cluster->sql("SELECT citus_disable_node('127.0.0.1', " . $cluster->port(2) . ')');
$cluster->sql(q{INSERT INTO ref VALUES (5000, 'while'); INSERT INTO ev VALUES (5, 1500, 5000)});
$cluster->sql("SELECT citus_activate_node('127.0.0.1', " . $cluster->port(2) . ')');
check('activated');
is(shard_keys('='), 8, 'a key is on each placement');
is(shard_keys('>'), 32, 'and on its partitions');

note 'keys among distributed tables';
$cluster->sql(<<'SQL');
CREATE TABLE d (k int PRIMARY KEY, v text);
CREATE TABLE c (k int, t int, t1 int, v text DEFAULT 'c');
SELECT create_distributed_table('d', 'k', colocate_with => 'ev'), create_distributed_table('c', 'k', colocate_with => 'ev');
INSERT INTO d SELECT DISTINCT k, 'd' FROM ev;
ALTER TABLE ev ADD CONSTRAINT to_d FOREIGN KEY (k) REFERENCES d ON DELETE CASCADE;
ALTER TABLE c ADD CONSTRAINT to_ev FOREIGN KEY (k, t) REFERENCES ev ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE c ADD CONSTRAINT to_ev1 FOREIGN KEY (k, t1) REFERENCES ev1;
SQL
($status, $out, $err) = $cluster->try_sql('ALTER TABLE ev3 ADD CONSTRAINT of_ev3 FOREIGN KEY (k, r) REFERENCES ev');
like($err, qr/ERROR:  23503.*violates foreign key constraint "of_ev3"/, 'a row of one partition is in the way');
$cluster->sql('ALTER TABLE ev3 ADD CONSTRAINT of_ev3 FOREIGN KEY (k, r) REFERENCES ev NOT VALID');
$cluster->sql('INSERT INTO c SELECT k, t, NULL FROM ev WHERE t % 3 = 0');
check('added');
$cluster->kill_worker(2);
$cluster->sql(q{DELETE FROM d WHERE k IN (1, 5);
	UPDATE ev SET t = t + 1000 WHERE k = 7 AND t BETWEEN 90 AND 110 AND t % 3 = 0;
	INSERT INTO d VALUES (9001, 'new'); INSERT INTO ev VALUES (9001, 7, 50), (9001, 1777, NULL); INSERT INTO c VALUES (9001, 7, 7), (9001, 1777, NULL);
	DELETE FROM c WHERE k = 9; DELETE FROM ev WHERE k = 9 AND t > 500});
$cluster->restart_worker(2);
($status, $out, $err) = $cluster->try_sql('INSERT INTO c VALUES (9001, 1777, 1777)');
like($err, qr/ERROR:  23503.*violates foreign key constraint "to_ev1"/, 'a key holds before the repair');
check('missed by both ends');
my $third = "'127.0.0.1', " . $cluster->port(3);
$cluster->sql("SELECT citus_disable_node($third)");
$cluster->sql('UPDATE d SET v = v || 1; UPDATE ev SET r = r');
$cluster->worker(3)->safe_psql('postgres', q{DO $$ BEGIN EXECUTE (SELECT format('DROP TABLE cz_shards.%I CASCADE', relname) FROM pg_class
	WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'p' AND relname ~ '^ev_\d' ORDER BY relname LIMIT 1); END $$}, extra_params => [ '-U', 'postgres' ]);
$cluster->sql("SELECT citus_activate_node($third)");
check('a placement that others refer to is gone');
$cluster->sql('INSERT INTO c VALUES (9001, NULL, 7)');
($status, $out, $err) = $cluster->try_sql('DELETE FROM ev WHERE k = 9001 AND t = 7');
like($err, qr/ERROR:  23503.*update or delete on table "ev1" violates foreign key constraint "to_ev1" on table "c"/, 'and a key of one partition is said by its name');
$cluster->kill_worker(3);
($status, $out, $err) = $cluster->try_sql('ALTER TABLE ev DETACH PARTITION ev3');
$cluster->restart_worker(3);
check('a partition was to be detached while a worker was dead');
is($cluster->sql(q{DELETE FROM c WHERE t >= 1000; DELETE FROM ev3; ALTER TABLE ev DETACH PARTITION ev3; SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid = 'ev3'::regclass}),
	'ev_r_fkey of_ev3 to_d', 'detached, it keeps its keys');
$cluster->sql('ALTER TABLE ev ATTACH PARTITION ev3 FOR VALUES FROM (1000) TO (2000)');
check('detached and attached');

note 'dump and restore';
my $dump = $node->basedir . '/keys.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'copy' ],
	'the script runs without an error');
$node->safe_psql('copy', 'SELECT cz_finish_restore()');
my $keys = q{SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0 ORDER BY conrelid::regclass::text COLLATE "C", 2};
is($node->safe_psql('copy', $keys), $cluster->sql($keys), 'keys are there');
is(shard_keys('='), 8, 'once on each placement');
is($node->safe_psql('copy', 'SELECT cz_take_over()'), '2', 'it takes over');
($status, $out, $err) = $node->psql('copy', 'INSERT INTO ev VALUES (5, 1501, 6000)');
like($err, qr/violates foreign key constraint "ev_r_fkey"/, 'and keys hold');
is($node->safe_psql('copy', 'ALTER TABLE ev DROP CONSTRAINT ev_r_fkey; ALTER TABLE ev3 DROP CONSTRAINT of_ev3; INSERT INTO ev VALUES (3, 1501, 6000) RETURNING t; SELECT count(*) FROM cz_check_shards()'), "1501\n0", 'and can be altered');

$cluster->stop;
done_testing();
