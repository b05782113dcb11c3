# Tables are distributed while others write them (create_distributed_table_concurrently), and
# rows are appended to range tables: after a success the shards have exactly the rows, after a
# failure in the middle all is as it was.
#
# Each writer makes the same changes to a table and to a plain one in one transaction: the
# two must have equal rows afterwards.
use strict;
use warnings;
use CzCluster;
use IPC::Run;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => "cz.recovery_interval = '500ms'\n");
my $bin = $ENV{CZ_BINDIR};
my $port = $cluster->coordinator->port;

# Writers of table $t and its twin until they are stopped: changes of rows, of keys, to and
# fro, with savepoints, rolled back; returns a handle for stop_writers()
sub start_writers
{
	my ($t, $rows) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$t.pgb";
	my @both = ($t, "${t}_twin");
	my $each = sub { my ($sql) = @_; return join "\n", map { my $s = $sql; $s =~ s/TABLE/$_/g; "$s;" } @both; };
	PostgreSQL::Test::Utils::append_to_file($script, join "\n",
		"\\set id random(1, $rows)", "\\set two random(1, $rows)",
		'\set way random(1, 10)', "SELECT nextval('new_ids') AS new \\gset",
		# who waits for a row sees another state of the twin's afterwards: nobody waits
		'BEGIN;', 'SELECT pg_advisory_xact_lock_shared(1);', 'SELECT pg_advisory_xact_lock(2, least(:id, :two));',
		'SELECT pg_advisory_xact_lock(2, greatest(:id, :two));',
		&$each("UPDATE TABLE SET v = v + 1 WHERE id = :id"),
		&$each("INSERT INTO TABLE (id, v, t) VALUES (:new, 1, 'new')"),
		'\if :way = 1', &$each("DELETE FROM TABLE WHERE id = :two"), '\endif',
		'\if :way = 2', &$each("UPDATE TABLE SET id = -:new WHERE id = :two"), '\endif',
		'\if :way = 3', 'SAVEPOINT s;', &$each("UPDATE TABLE SET t = repeat('y', 3000) WHERE id = :two"),
		'ROLLBACK TO s;', &$each("UPDATE TABLE SET t = 'kept' WHERE id = :two"), '\endif',
		'\if :way = 4', &$each("DELETE FROM TABLE WHERE id = :id"),
		&$each("INSERT INTO TABLE (id, v, t) VALUES (:id, 7, 'again')"), '\endif',
		'\if :way = 5', &$each("UPDATE TABLE SET v = 100 WHERE id = :two"), 'ROLLBACK;', '\else', 'COMMIT;', '\endif', '');
	my $handle = { out => '' };
	$handle->{run} = IPC::Run::start(
		[ "$bin/pgbench", '-n', '-f', $script, '-c', '6', '-T', '300', '--max-tries=1000', '-h', '127.0.0.1', '-p', $port, '-U', 'postgres', 'postgres' ],
		'<', \undef, '>&', \$handle->{out});
	wait_for_rows($t, 20);
	return $handle;
}

# Wait until they have committed so many transactions more
sub wait_for_rows
{
	my ($t, $n) = @_;
	my $count = "SELECT count(*) FROM ${t}_twin WHERE t = 'new'";
	my $before = $cluster->sql($count);
	my $end = time + 60;
	sleep 0.1 while $cluster->sql($count) < $before + $n && time < $end;
	return time < $end;
}

# Returns what they complained of
sub stop_writers
{
	my ($handle) = @_;
	# not INT, which is ignored below a shell's background job
	$handle->{run}->signal('TERM');
	eval { $handle->{run}->finish };
	$cluster->coordinator->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND classid = 0");
	return join "\n", grep { /error|abort/i } split /\n/, $handle->{out};
}

sub is_twin
{
	my ($t, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# as texts: json has no equality
	my ($one, $two) = map { "SELECT x::text FROM $_ x" } $t, "${t}_twin";
	is($cluster->sql("SELECT count(*) FROM (($one EXCEPT ALL $two) UNION ALL ($two EXCEPT ALL $one)) x"),
		'0', "$name: its rows are those that were acknowledged");
	return;
}

sub make_table
{
	my ($t, $columns, $rows) = @_;
	$cluster->sql("CREATE TABLE $t ($columns); CREATE TABLE ${t}_twin ($columns); CREATE INDEX ON ${t}_twin (id);
		INSERT INTO $t (id, v, t) SELECT i, 0, repeat('x', i % 100) FROM generate_series(1, $rows) i;
		INSERT INTO ${t}_twin (id, v, t) SELECT i, 0, repeat('x', i % 100) FROM generate_series(1, $rows) i");
	return;
}

my %columns = (
	keyed => 'id int PRIMARY KEY, v int, t text, g int GENERATED ALWAYS AS (v * 2) STORED',
	bag => 'id int, v int, t text, j json',
	single => 'id int PRIMARY KEY, v int, t text');

$cluster->sql('CREATE SEQUENCE new_ids START 1000000');
foreach my $t (sort keys %columns)
{
	my $rows = $t eq 'bag' ? 3000 : 20000;
	make_table($t, $columns{$t}, $rows);
	$cluster->sql("CREATE INDEX ${t}_id ON $t (id)") if $t eq 'bag';
	# half of the pages are marked
	$cluster->sql("VACUUM $t") if $t eq 'keyed';
	my $writers = start_writers($t, $rows);
	my $handle = $cluster->start_at('distribute-copied',
		"SELECT create_distributed_table_concurrently('$t', " . ($t eq 'single' ? 'NULL' : "'id'") . ')');
	ok(wait_for_rows($t, 300), "$t: writers go on while it is copied");
	is($cluster->sql("SELECT count(*) FROM cz.tables WHERE relid = '$t'::regclass"), '0', "$t: it is not distributed yet");
	$cluster->go;
	my ($status, $out, $err) = $cluster->finish_sql($handle);
	is($status, 0, "$t: it is distributed") or diag($err);
	ok(wait_for_rows($t, 100), "$t: and afterwards");
	is(stop_writers($writers), '', "$t: no writer met an error");
	ok($cluster->wait_for_recovery, "$t: nothing is left prepared");
	is_twin($t, $t);
	is($cluster->differing_placements, '', "$t: placements are equal");
	is($cluster->sql("SELECT * FROM cz_check_shards('$t')"), '', "$t: shards are as the table is");
}
is($cluster->orphans, '', 'nothing else is on the workers');

note 'what stops it leaves nothing';
make_table('u', 'id int PRIMARY KEY, v int, t text', 5000);
my $look = $cluster->table_look('u');
my $tables = join ' ', map { $cluster->shard_tables($_) } 1 .. 3;
my $is_as_it_was = sub {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($cluster->wait_for_recovery, "$name: nothing is left prepared");
	is($cluster->table_look('u'), $look, "$name: the table is as it was");
	is(join(' ', map { $cluster->shard_tables($_) } 1 .. 3), $tables, "$name: nothing is left on the workers");
	is($cluster->sql("SELECT count(*) FROM cz.colocation c WHERE NOT EXISTS (SELECT FROM cz.tables t WHERE t.colocation_id = c.colocation_id)"), '0', "$name: no group without tables");
	return;
};
my $online = "SELECT create_distributed_table_concurrently('u', 'id', colocate_with => 'none')";
like(($cluster->try_sql("BEGIN; $online"))[2], qr/25001/, 'not in a transaction block');
foreach my $point (qw(distribute-created distribute-first-row distribute-copied distribute-caught-up distribute-loaded distribute-converted))
{
	like(($cluster->try_sql("SET cz.debug_point = '$point'; $online"))[2], qr/debug point "$point"/, "an error at $point");
	&$is_as_it_was("error at $point");
}
my $handle = $cluster->start_at('distribute-copied', $online);
$cluster->kill_worker(2);
$cluster->go;
isnt(($cluster->finish_sql($handle))[0], 0, 'a worker that dies is an error');
$cluster->restart_worker(2);
&$is_as_it_was('a worker died');
$handle = $cluster->start_at('distribute-copied', $online);
$cluster->kill_coordinator;
$cluster->finish_sql($handle);
unlink $cluster->coordinator->data_dir . '/go.reached';
$cluster->coordinator->start;
$cluster->coordinator->poll_query_until('postgres', 'SELECT true');
&$is_as_it_was('the coordinator died');
# the checks of the table must not meet a writer of the shards
$handle = $cluster->start_at('distribute-copied', $online);
my $alter = $cluster->start_sql('ALTER TABLE u ADD COLUMN w int');
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'u'::regclass AND NOT granted");
sleep 0.6;
$cluster->go;
like(($cluster->finish_sql($handle))[2], qr/55006.*another session waits to alter table "u"/s, 'who alters the table goes first');
is(($cluster->finish_sql($alter))[0], 0, 'and is done');
$cluster->sql('ALTER TABLE u DROP COLUMN w');
$look = $cluster->table_look('u');
&$is_as_it_was('it gave way');
my $holder = $cluster->hold('UPDATE u SET v = v WHERE id = 1');
$cluster->alter_system('SET cz.cutover_attempts = 2');
like(($cluster->try_sql($online))[2], qr/55P03.*could not lock table "u" in 2 attempts/s, 'a writer that stays');
$cluster->release($holder);
$cluster->alter_system('RESET cz.cutover_attempts');
&$is_as_it_was('a writer stayed');
# another table of the group is distributed while it lasts
$handle = $cluster->start_at('distribute-copied', "SELECT create_distributed_table_concurrently('u', 'id', colocate_with => 'keyed')");
is($cluster->sql("CREATE TABLE w (id int); SET lock_timeout = '60s'; SELECT create_distributed_table('w', 'id', colocate_with => 'keyed')"), '', 'another table joins the group meanwhile');
$cluster->go;
is(($cluster->finish_sql($handle))[0], 0, 'both do');
is($cluster->sql('SELECT count(*) FROM u JOIN keyed USING (id) JOIN u_twin USING (id)') > 0, 1, 'they are joined');

note 'append: a failure in the middle leaves nothing';
$cluster->sql(q{
	CREATE TABLE ev (k int PRIMARY KEY, t text);
	SELECT create_distributed_table('ev', 'k', 'append');
	CREATE TABLE stage (k int, t text);
	INSERT INTO stage SELECT i, 's' FROM generate_series(1, 1000) i;
	SELECT cz_append_table('ev', 'stage');
	UPDATE stage SET k = k + 500;
	DELETE FROM stage WHERE k <= 1000;
	INSERT INTO stage VALUES (-5, 'before'), (3000, 'far')});
my $append_look = join ';', 'SELECT count(*), sum(k) FROM ev', 'SELECT lower_bound, upper_bound, min_value, max_value, row_count FROM cz_shard_ranges WHERE table_name = \'ev\'::regclass';
my $before = $cluster->sql($append_look);
$tables = join ' ', map { $cluster->shard_tables($_) } 1 .. 3;
my $as_before = sub {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($cluster->wait_for_recovery, "$name: nothing is left prepared");
	is($cluster->sql($append_look), $before, "$name: rows and shards are as before");
	is(join(' ', map { $cluster->shard_tables($_) } 1 .. 3), $tables, "$name: nothing is left on the workers");
	return;
};
foreach my $point (qw(append-planned append-created append-loaded))
{
	like(($cluster->try_sql("SET cz.debug_point = '$point'; SELECT cz_append_table('ev', 'stage')"))[2], qr/debug point/, "an error at $point");
	&$as_before("error at $point");
	$handle = $cluster->start_at($point, "SELECT cz_append_table('ev', 'stage')");
	$cluster->kill_worker($_) foreach 1 .. 3;
	$cluster->go;
	isnt(($cluster->finish_sql($handle))[0], 0, "workers die at $point");
	$cluster->restart_worker($_) foreach 1 .. 3;
	&$as_before("workers died at $point");
}
$handle = $cluster->start_at('append-planned', "SELECT cz_append_table('ev', 'stage')");
my $writer = $cluster->start_sql("INSERT INTO stage VALUES (-100, 'late')");
my $reader = $cluster->start_sql("INSERT INTO ev VALUES (1700, 'later')");
sleep 0.3;
$cluster->go;
is(($cluster->finish_sql($handle))[0], 0, 'appended');
is(($cluster->finish_sql($writer))[0], 0, 'a writer of the source has waited');
like(($cluster->finish_sql($reader))[2], qr/23514|^$/, 'a writer of the table, too');
is($cluster->sql("SELECT count(*) FROM ev WHERE t <> 'later'"), '1502', 'all rows are there, and not those that came later');
is($cluster->differing_placements, '', 'placements are equal');
is($cluster->sql('SELECT * FROM cz_check_shards()'), '', 'shards are as their tables');
$cluster->stop;
done_testing();
