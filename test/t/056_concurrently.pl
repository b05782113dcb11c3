# CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY that are cut in the middle, while a worker waits
# for a transaction: by a cancel, by the end of the session, by a worker or the coordinator that
# dies.  What is left is an invalid index (of REINDEX: the old one), writers go on all the time, and
# REINDEX or DROP INDEX mends it.  Each way meets each form on table two, on the others one form;
# MATRIX=all ("make test-all"): all of them.
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
my @tables = ('one', 'two', 'solo', 'ref');
$cluster->sql(qq{
CREATE TABLE $_ (k int PRIMARY KEY, v int, w text);
INSERT INTO $_ SELECT i, i, 'w' || i FROM generate_series(1, 200) i;
}) foreach @tables;
$cluster->sql(q{
SET cz.shard_replication_factor = 1;
SELECT create_distributed_table('one', 'k');
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('two', 'k'), create_distributed_table('solo', NULL), create_reference_table('ref');
});

my %forms = (
	create => 'CREATE UNIQUE INDEX CONCURRENTLY %s_i ON %1$s (k, v)',
	drop => 'DROP INDEX CONCURRENTLY %s_i',
	reindex => 'REINDEX INDEX CONCURRENTLY %s_i');

# A worker's transaction that has written to a shard, and the worker's number
sub hold_shard
{
	my ($table) = @_;
	foreach my $i (2, 1)
	{
		my $shard = $cluster->worker_sql($i, "SELECT relname FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relkind = 'r' AND relname LIKE '${table}_%' ORDER BY 1 LIMIT 1");
		next if $shard eq '';
		my $holder = $cluster->worker($i)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
		$holder->query_safe("BEGIN; LOCK TABLE cz_shards.\"$shard\" IN ROW EXCLUSIVE MODE");
		return ($holder, $i);
	}
	die "no shard of $table";
}

my $running = "query ~* '^(create|drop|reindex).*concurrently' AND state = 'active' AND pid <> pg_backend_pid()";

# Wait until a worker's command waits for the transaction
sub wait_for_waiter
{
	my ($i) = @_;
	$cluster->worker($i)->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE $running AND wait_event_type = 'Lock'")
	  or die 'nobody waits';
	return;
}

my $rows = 200;

# Writers and readers go on meanwhile
sub write_meanwhile
{
	my ($name, $table) = @_;
	$rows++;
	my ($status, undef, $err) = $cluster->try_sql("SET statement_timeout = '60s'; INSERT INTO $table VALUES (1000 + $rows, $rows, 'x'); UPDATE $table SET w = 'y' WHERE k = 1000 + $rows; DELETE FROM $table WHERE k = 1000 + $rows");
	is($status, 0, "$name: a writer goes on") or diag($err);
	return;
}

sub is_whole
{
	my ($name, $table, $is_there) = @_;
	is($cluster->sql("SELECT count(*) FROM pg_index WHERE indrelid = '$table'::regclass AND indexrelid = to_regclass('${table}_i') AND indisvalid AND indislive"), $is_there, "$name: " . ($is_there ? 'the index is valid' : 'there is none'));
	is($cluster->sql("SELECT node_name, shard_id, object, expected, found FROM cz_check_shards('$table')"), '', "$name: on all shards");
	is($cluster->sql("SELECT count(*), sum(v) FROM $table"), '200|20100', "$name: all rows");
	return;
}

# What ends it: must return the session's status and messages
my %ways = (
	cancel => sub {
		my ($handle) = @_;
		$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $running");
		return $cluster->finish_sql($handle, 60);
	},
	terminate => sub {
		my ($handle) = @_;
		$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $running");
		return $cluster->finish_sql($handle, 60);
	},
	worker => sub {
		my ($handle, $i) = @_;
		$cluster->kill_worker($i);
		my @result = $cluster->finish_sql($handle, 60);
		$cluster->restart_worker($i);
		return @result;
	},
	coordinator => sub {
		my ($handle) = @_;
		$cluster->kill_coordinator;
		my @result = $cluster->finish_sql($handle, 60);
		$cluster->coordinator->start;
		return @result;
	});

my %turn = (one => 0, solo => 1, ref => 2);
foreach my $table (@tables)
{
	foreach my $way ('cancel', 'terminate', 'worker', 'coordinator')
	{
		my @forms = ('create', 'reindex', 'drop');
		@forms = ($forms[$turn{$table}++ % 3]) if defined $turn{$table} && ($ENV{MATRIX} // '') ne 'all';
		foreach my $form (@forms)
		{
			my $name = "$table, $form, $way";
			note $name;
			$cluster->sql(sprintf $forms{create}, $table) if $form ne 'create' && $cluster->sql("SELECT to_regclass('${table}_i') IS NULL") eq 't';
			my ($holder, $i) = hold_shard($table);
			my $handle = $cluster->start_sql(sprintf $forms{$form}, $table);
			wait_for_waiter($i);
			write_meanwhile($name, $table);
			my ($status, undef, $err) = $ways{$way}->($handle, $i);
			isnt($status, 0, "$name: not done");
			my $invalid = $cluster->sql("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('${table}_i')");
			is($invalid, $form eq 'reindex' ? 't' : 'f', "$name: the index is left as on plain PostgreSQL");
			# the holder is there still: what has not been cancelled would wait for it for ever
			ok($cluster->worker($_)->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $running"), "$name: nothing goes on on worker $_")
			  foreach $way eq 'coordinator' ? () : (1, 2);
			write_meanwhile("$name, afterwards", $table);
			eval { $holder->quit };
			# a worker does not notice that the coordinator has died
			$cluster->worker($_)->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $running") foreach 1, 2;
			ok($cluster->wait_for_recovery, "$name: nothing is left prepared");
			ok($cluster->repair, "$name: all placements are active");
			if ($form eq 'drop')
			{
				$cluster->sql(sprintf($way eq 'cancel' ? 'DROP INDEX %s_i' : $forms{drop}, $table));
				is_whole($name, $table, 0);
			}
			else
			{
				my $concurrently = $way eq 'worker' ? '' : 'CONCURRENTLY';
				$cluster->sql("REINDEX INDEX $concurrently ${table}_i");
				is_whole($name, $table, 1);
			}
		}
	}
}

note 'a node that cannot be reached: nothing is begun';
$cluster->kill_worker(2);
foreach my $table ('two', 'ref')
{
	my (undef, undef, $err) = $cluster->try_sql(sprintf $forms{create}, $table);
	like($err, qr/ERROR:  08001: node "[^"]*" could not be asked/, "$table: an error");
	is($cluster->sql("SELECT to_regclass('${table}_i') IS NULL"), 't', "$table: no index is left");
}
$cluster->restart_worker(2);

note 'the coordinator dies between two steps';
foreach my $point ('index_created', 'index_built')
{
	$cluster->try_sql("SET cz.debug_point = '$point=kill'; " . sprintf $forms{create}, 'two');
	$cluster->coordinator->poll_query_until('postgres', 'SELECT true');
	is($cluster->sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'two_i'::regclass"), 'f', "$point: an invalid index");
	$cluster->sql('REINDEX TABLE two');
	is_whole($point, 'two', 1);
	$cluster->sql('DROP INDEX two_i');
}
$cluster->sql(sprintf $forms{create}, 'two');
foreach my $point ('index_invalid', 'index_dropped')
{
	$cluster->try_sql("SET cz.debug_point = '$point=kill'; " . sprintf $forms{drop}, 'two');
	$cluster->coordinator->poll_query_until('postgres', 'SELECT true');
	is($cluster->sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'two_i'::regclass"), 'f', "$point: an invalid index");
	$cluster->sql('REINDEX INDEX CONCURRENTLY two_i');
	is_whole($point, 'two', 1);
}

note 'who waits for each other, here and on a worker';
$cluster->sql('DROP INDEX two_i');
my $reader = $cluster->start_halting('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM two;', 'ALTER TABLE two ADD COLUMN x int; COMMIT;');
my $building = $cluster->start_sql(sprintf $forms{create}, 'two');
wait_for_waiter(2);
$cluster->go_on($reader);
my @ends = ([ $cluster->finish_sql($building, 60) ], [ $cluster->finish_sql($reader, 60) ]);
is(scalar(grep { $_->[0] != 0 && $_->[2] =~ /ERROR:  40P01/ } @ends), 1, 'one of them is a victim of the deadlock')
  or diag(map { $_->[2] } @ends);
$cluster->sql('REINDEX INDEX two_i');
is_whole('deadlock', 'two', 1);

note 'while a unique index is built or dropped, no placement asks for it before the first one does';
$cluster->sql(q{
SET cz.shard_count = 1;
SET cz.shard_replication_factor = 2;
CREATE TABLE pair (k int, v int);
SELECT create_distributed_table('pair', 'k');
INSERT INTO pair VALUES (1, 1);
});
my $pair = $cluster->worker_sql(1, "SELECT relname FROM pg_class WHERE relname LIKE 'pair_%'");
my $first = $cluster->key_on(1, 'pair') ne '' ? 1 : 2;
my %writes = (
	create => 'INSERT INTO pair VALUES (1, 1)',
	drop => 'INSERT INTO pair VALUES (1, 1) ON CONFLICT DO NOTHING');
foreach my $form ('create', 'drop')
{
	my $held = $form eq 'create' ? $first : 3 - $first;
	my $holder = $cluster->worker($held)->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$holder->query_safe("BEGIN; LOCK TABLE cz_shards.$pair IN ROW EXCLUSIVE MODE");
	my $handle = $cluster->start_sql(sprintf $forms{$form}, 'pair');
	wait_for_waiter($held);
	# time for the other placement, were it its turn
	sleep 1;
	my ($status, undef, $err) = $cluster->try_sql("BEGIN; $writes{$form}; $writes{$form}; ROLLBACK");
	is($status, 0, "$form: rows that the first placement takes") or diag($err);
	$holder->quit;
	is(($cluster->finish_sql($handle, 60))[0], 0, "$form: is done");
}

note 'placements are made whole though some have the index that is invalid, and some have not';
$cluster->sql('DROP INDEX two_i');
$cluster->try_sql("SET cz.debug_point = 'index_built'; " . sprintf $forms{create}, 'two');
foreach my $shard (split /\n/, $cluster->worker_sql(2, "SELECT relname FROM pg_class WHERE relname LIKE 'two_i_%'"))
{
	$cluster->worker_sql(2, "DROP INDEX cz_shards.$shard");
}
$cluster->kill_worker(2);
$cluster->sql("UPDATE two SET w = 'z' WHERE k = $_") foreach 1 .. 20;
$cluster->restart_worker(2);
ok($cluster->repair, 'all placements are active');
$cluster->sql('REINDEX INDEX two_i');
is_whole('made whole', 'two', 1);

is($cluster->differing_placements, '', 'placements are equal');
$cluster->stop;
done_testing();
