# Partitions are attached, made, detached, dropped, and a worker is dead before it, dies in the
# middle or before the commit: all or nothing, here and on every placement.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => qq{
cz.shard_count = 4
cz.worker_timeout = 5s
cz.connect_timeout = 5s
cz.recovery_interval = -1
restart_after_crash = on
});
$cluster->sql(q{
CREATE TABLE ev (k int, t int NOT NULL, v text DEFAULT 'x', PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES FROM (20) TO (30);
CREATE INDEX ev_v ON ev (v);
CREATE TABLE filled (k int NOT NULL, t int NOT NULL, v text DEFAULT 'y');
INSERT INTO filled SELECT i, 40 + i % 10 FROM generate_series(1, 40) i;
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('ev', 'k');
INSERT INTO ev SELECT i, i % 30 FROM generate_series(1, 60) i;
});

# What the tables look like, and their rows
sub look
{
	return $cluster->sql(q{
		SELECT relid::regclass, parentrelid::regclass, isleaf, pg_get_expr(relpartbound, oid), relkind FROM pg_partition_tree('ev') JOIN pg_class ON oid = relid ORDER BY 1;
		SELECT attrelid::regclass, attname, atttypid::regtype, attnotnull FROM pg_attribute WHERE attrelid IN ('ev'::regclass, 'ev2'::regclass, 'filled'::regclass) AND attnum > 0 ORDER BY 1, attnum;
		SELECT relid, root, cardinality(shard_ids) FROM cz.partitions ORDER BY 1;
		SELECT relid, kind FROM cz.tables ORDER BY 1;
		SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('ev')) ORDER BY 1;
		SELECT relkind FROM pg_class WHERE relname = 'filled';
		SELECT count(*), sum(k) FROM filled;
		SELECT tableoid::regclass, count(*), sum(hashtextextended(t::text, 0)::numeric) FROM ev GROUP BY 1 ORDER BY 1});
}

# Tables on the workers are those of the catalogs, placements are equal
sub check
{
	my ($name) = @_;
	$cluster->is_settled($name);
	is($cluster->sql("SELECT * FROM cz_check_shards('ev')"), '', "$name: the table looks the same everywhere");
	my $names = $cluster->worker_sql(1, q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind IN ('r', 'p') AND relname ~ '^(ev|filled|made)'});
	is($cluster->worker_sql(2, q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind IN ('r', 'p') AND relname ~ '^(ev|filled|made)'}),
		$names, "$name: workers have the same shards");
	return;
}

my %forms = (
	'attach' => 'ALTER TABLE ev ATTACH PARTITION filled FOR VALUES FROM (40) TO (50)',
	'create' => 'CREATE TABLE made PARTITION OF ev FOR VALUES FROM (50) TO (60)',
	'detach' => 'ALTER TABLE ev DETACH PARTITION ev2',
	'detach sub' => 'ALTER TABLE ev DETACH PARTITION ev3',
	'drop' => 'DROP TABLE ev1',
	'alter' => 'ALTER TABLE ev ADD COLUMN n int DEFAULT 7',
	'rewrite' => 'ALTER TABLE ev ADD COLUMN m int DEFAULT 7 + (random() < 0)::int, ALTER v TYPE varchar USING v || (random() < 0)',
	'key' => 'ALTER TABLE ev ALTER k TYPE bigint');
my $before = look();

sub refused
{
	my ($name, $err) = @_;
	like($err, qr/ERROR:  (08|57)/, "$name: an error");
	is(look(), $before, "$name: nothing has changed");
	return;
}

note 'dead before';
my %errors;
$cluster->kill_worker(2);
foreach my $form (sort keys %forms)
{
	my ($status, undef, $err) = $cluster->try_sql($forms{$form});
	isnt($status, 0, "$form: not done");
	$errors{$form} = $err;
}
$cluster->restart_worker(2);
refused($_, $errors{$_}) foreach sort keys %forms;
check('dead before');

note 'dead in the middle: it waits for a shard of the second worker';
foreach my $form (sort keys %forms)
{
	my $shard = $cluster->worker_sql(2, q{SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'p' AND relname ~ '^ev_\d+$' ORDER BY 1 LIMIT 1});
	my $locker = $cluster->worker(2)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$locker->query_safe("BEGIN; LOCK TABLE cz_shards.\"$shard\"");
	my $running = $cluster->start_sql($forms{$form});
	$cluster->worker(2)->poll_query_until('postgres', 'SELECT count(*) > 0 FROM pg_locks WHERE NOT granted')
	  or die 'nobody waits for the shard';
	$cluster->kill_worker(2);
	my ($status, undef, $err) = $cluster->finish_sql($running, 60);
	$cluster->restart_worker(2);
	eval { $locker->quit };
	isnt($status, 0, "$form: not done");
	refused("$form, in the middle", $err);
}
check('dead in the middle');

note 'dead when all is said but the commit';
foreach my $form (sort keys %forms)
{
	my $running = $cluster->start_halting("BEGIN; $forms{$form};", 'COMMIT;');
	$cluster->kill_worker(2);
	$cluster->go_on($running);
	my ($status, undef, $err) = $cluster->finish_sql($running, 60);
	$cluster->restart_worker(2);
	isnt($status, 0, "$form: not done");
	refused("$form, before the commit", $err);
}
check('dead before the commit');

note 'rolled back';
$cluster->sql('BEGIN; ' . join('; ', map { $forms{$_} } 'attach', 'create', 'detach', 'detach sub', 'drop', 'rewrite', 'alter') . '; ROLLBACK');
is(look(), $before, 'nothing has changed');
check('rolled back');

note 'DETACH CONCURRENTLY, REINDEX CONCURRENTLY: a worker or the coordinator is dead or dies between two steps';
my $concurrently = 'ALTER TABLE ev DETACH PARTITION ev1 CONCURRENTLY';
$cluster->kill_worker(2);
my ($failed, undef, $why) = $cluster->try_sql($concurrently);
like($why, qr/ERROR:  08/, 'detach concurrently, dead before: an error');
(undef, undef, $why) = $cluster->try_sql('REINDEX TABLE CONCURRENTLY ev');
like($why, qr/ERROR:  08/, 'reindex concurrently, dead before: an error');
$cluster->restart_worker(2);
is(look(), $before, 'nothing has changed');
foreach my $point ('detach-check', 'detach-begun')
{
	my $halted = $cluster->start_at($point, $concurrently);
	$cluster->kill_worker(2);
	$cluster->go;
	($failed, undef, $why) = $cluster->finish_sql($halted, 60);
	$cluster->restart_worker(2);
	refused($point, $why);
	$cluster->try_sql("SET cz.debug_point = '$point=kill'; $concurrently");
	$cluster->coordinator->poll_query_until('postgres', 'SELECT true');
	is(look(), $before, "$point, the coordinator dies: nothing has changed");
}
is($cluster->sql("SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'ev1'::regclass AND contype = 'c'"), 'ev1_t_check|t',
	'one CHECK of the bounds is left');
check('detach concurrently');
$cluster->sql($concurrently);
is($cluster->sql('SELECT count(*), min(t), max(t) FROM ev1'), '20|0|9', 'detached');
is($cluster->sql('SELECT * FROM cz_check_shards(\'ev1\')'), '', 'the detached one looks the same everywhere');
check('detached concurrently');
$cluster->sql('CREATE INDEX ev2_own ON ev2 (k, v)');
foreach my $form ('REINDEX TABLE CONCURRENTLY ev', 'REINDEX TABLE ev', 'REINDEX SCHEMA public', 'REINDEX INDEX CONCURRENTLY ev2_own')
{
	$cluster->worker_sql(1, 'DO $$ BEGIN EXECUTE (SELECT format(\'DROP INDEX cz_shards.%I\', relname) FROM pg_class WHERE relname ~ \'^ev2_own\' ORDER BY 1 LIMIT 1); END $$');
	isnt($cluster->sql("SELECT * FROM cz_check_shards('ev')"), '', "$form: an index is missing");
	$cluster->sql($form);
	is($cluster->sql("SELECT * FROM cz_check_shards('ev')"), '', "$form: it is there again");
}
$cluster->sql('DROP INDEX ev2_own');
check('reindexed');
$cluster->sql('ALTER TABLE ev1 DROP CONSTRAINT ev1_t_check; ALTER TABLE ev ATTACH PARTITION ev1 FOR VALUES FROM (0) TO (10)');

note 'TRUNCATE and other writes go on beside a dead worker, which is made whole';
$cluster->kill_worker(2);
$cluster->sql('TRUNCATE ev2; UPDATE ev SET v = k::text WHERE t < 5; INSERT INTO ev SELECT i, 25 FROM generate_series(100, 110) i');
my $written = look();
$cluster->restart_worker(2);
is(look(), $written, 'the same rows when it is back');
check('written');
is(look(), $written, 'and when it is whole');
$cluster->kill_worker(1);
is(look(), $written, 'and when it is alone');
$cluster->restart_worker(1);

note 'a placement that has missed writes does not hold up DROP, and is made without the partition';
$cluster->await_workers;
$cluster->kill_worker(2);
$cluster->sql("UPDATE ev SET v = 'z'");
my ($drop_status, undef, $drop_err) = $cluster->try_sql($forms{drop});
is($drop_status, 0, 'DROP') or diag($drop_err);
$written = look();
$cluster->restart_worker(2);
check('missed');
is(look(), $written, 'no row of the partition is back');
$cluster->sql('SELECT 1; CALL citus_cleanup_orphaned_resources()');
is($cluster->worker_sql(2, "SELECT count(*) FROM pg_class WHERE relname ~ '^ev1_' AND relnamespace = 'cz_shards'::regnamespace"), '0', 'nor its shard');

note 'and when all is well, it is done';
foreach my $form ('attach', 'create', 'alter', 'rewrite', 'key', 'detach', 'detach sub')
{
	my ($status, undef, $err) = $cluster->try_sql($forms{$form});
	is($status, 0, "$form: done") or diag($err);
}
is($cluster->sql('SELECT tableoid::regclass, count(*), sum(n), sum(m), pg_typeof(min(k)) FROM ev GROUP BY 1 ORDER BY 1'), 'filled|40|280|280|bigint', 'rows of those that are left');
is($cluster->sql('SELECT count(*) FROM ev2'), '0', 'the one that was emptied and detached');
is($cluster->sql('SELECT count(*), sum(n) FROM ev3'), '31|217', 'the one that was detached with what is below it');
check('done');
is($cluster->sql("SELECT * FROM cz_check_shards('$_')"), '', "$_ looks the same everywhere") foreach 'ev2', 'ev3';

$cluster->sql('DROP TABLE ev, ev2, ev3');
is($cluster->shard_tables($_), 0, "nothing is left on worker $_") foreach 1, 2;
$cluster->stop;
done_testing();
