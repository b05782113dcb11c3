# ALTER TABLE and a worker that is dead before it, or dies in the middle: all or nothing.
# With lock_timeout it gives up and has changed nothing.
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

sub check
{
	my ($name) = @_;
	$cluster->is_settled($name);
	is($cluster->sql("SELECT * FROM cz_check_shards('$_')"), '', "$name: $_ looks the same everywhere") foreach @tables;
	return;
}

my %forms = (
	'in the moment' => 'ALTER TABLE %s ALTER v TYPE bigint USING v + 1, ADD COLUMN n int DEFAULT 7, DROP COLUMN w, ADD UNIQUE (k, v)',
	'by recursion' => 'ALTER TABLE %s ADD CONSTRAINT small CHECK (v < 1000)',
	'of a name' => 'ALTER TABLE %s RENAME COLUMN v TO renamed');

# ALTER that cannot reach all workers is an error, and has changed nothing
sub refused
{
	my ($name, $table, $before, $err) = @_;
	like($err, qr/ERROR:  (08|57)/, "$name: an error");
	is($cluster->table_look($table), $before, "$name: nothing has changed");
	return;
}

note 'dead before';
foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	my %errors;
	$cluster->kill_worker(2);
	foreach my $form (sort keys %forms)
	{
		my ($status, undef, $err) = $cluster->try_sql(sprintf $forms{$form}, $table);
		isnt($status, 0, "$table, $form: not done");
		$errors{$form} = $err;
	}
	$cluster->restart_worker(2);
	refused("$table, $_", $table, $before, $errors{$_}) foreach sort keys %forms;
	check("dead before, $table");
}

# A session that has locked a shard of a table on the second worker, and the shard's name
sub lock_shard
{
	my ($table) = @_;
	my $shard = $cluster->worker_sql(2, "SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname LIKE '$table%' ORDER BY 1 LIMIT 1");
	my $locker = $cluster->worker(2)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$locker->query_safe("BEGIN; LOCK TABLE cz_shards.\"$shard\"");
	return ($locker, $shard);
}

note 'dead in the middle: it waits for a shard of the second worker';
foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	my $sql = sprintf $forms{'in the moment'}, $table;
	my ($locker, $shard) = lock_shard($table);
	my $altering = $cluster->start_sql($sql);
	$cluster->worker(2)->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'cz_shards.\"$shard\"'::regclass AND NOT granted")
	  or die 'nobody waits for the shard';
	$cluster->kill_worker(2);
	my ($status, undef, $err) = $cluster->finish_sql($altering, 60);
	$cluster->restart_worker(2);
	eval { $locker->quit };
	isnt($status, 0, "$table: not done");
	refused($table, $table, $before, $err);
	check("dead in the middle, $table");
}

note 'dead when all is said but the commit';
foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	my $sql = sprintf $forms{'in the moment'}, $table;
	my $altering = $cluster->start_halting("BEGIN; $sql;", 'COMMIT;');
	$cluster->kill_worker(2);
	$cluster->go_on($altering);
	my ($status, undef, $err) = $cluster->finish_sql($altering, 60);
	$cluster->restart_worker(2);
	isnt($status, 0, "$table: not done");
	refused($table, $table, $before, $err);
	check("dead before the commit, $table");
}

note 'lock_timeout, of a reader here and of a shard there';
foreach my $table (@tables)
{
	my $before = $cluster->table_look($table);
	my $reader = $cluster->hold("SELECT count(*) FROM $table");
	my ($status, undef, $err) = $cluster->try_sql("SET lock_timeout = '200ms'; " . sprintf $forms{'in the moment'}, $table);
	like($err, qr/ERROR:  55P03/, "$table: a reader here");
	$cluster->release($reader);
	my ($locker) = lock_shard($table);
	(undef, undef, $err) = $cluster->try_sql("SET lock_timeout = '200ms'; " . sprintf $forms{'in the moment'}, $table);
	like($err, qr/ERROR:  55P03/, "$table: a shard there");
	$locker->quit;
	is($cluster->table_look($table), $before, "$table: nothing has changed");
}
check('lock_timeout');

note 'a placement that has missed writes is still one';
$cluster->kill_worker(2);
$cluster->sql('UPDATE two SET v = v');
$cluster->sql('ALTER TABLE two SET UNLOGGED');
$cluster->restart_worker(2);
is(join(',', map { $cluster->worker_sql($_, q{SELECT count(*) FROM pg_class WHERE relpersistence = 'u'}) } 1 .. $cluster->worker_count),
	join(',', (0) x $cluster->worker_count), 'SET UNLOGGED while it is away: its shards are logged');
check('SET UNLOGGED');
$cluster->sql('ALTER TABLE two SET LOGGED');

note 'and when all is well, it is done';
foreach my $table (@tables)
{
	my ($status, undef, $err) = $cluster->try_sql(sprintf $forms{'in the moment'}, $table);
	is($status, 0, "$table: done") or diag($err);
	is($cluster->sql("SELECT sum(v), sum(n), count(*) FROM $table"), '860|280|40', "$table: all rows follow");
}
check('done');

$cluster->sql("DROP TABLE $_") foreach @tables;
is($cluster->shard_tables($_), 0, "nothing is left on worker $_") foreach 1, 2;
$cluster->stop;
done_testing();
