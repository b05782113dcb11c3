# A second coordinator, a copy of the first one (its clone, then its restored dump) that is
# attached to it: it reads and writes rows of the same shards, follows what the owner changes,
# and leaves everything else to it.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => qq{
wal_level = replica
max_wal_senders = 10
max_worker_processes = 20
cz.shard_count = 4
cz.worker_timeout = 5s
cz.connect_timeout = 2s
cz.recovery_interval = 500ms
cz.drop_delay = 0
});
my $owner = $cluster->coordinator;
$cluster->sql(q{
	CREATE TABLE one (k int PRIMARY KEY, v int NOT NULL);
	SET cz.shard_replication_factor = 1;
	SELECT create_distributed_table('one', 'k', colocate_with => 'none');
	CREATE TABLE two (k bigserial PRIMARY KEY, v int NOT NULL);
	SET cz.shard_replication_factor = 2;
	SELECT create_distributed_table('two', 'k', colocate_with => 'none');
	CREATE TABLE few (id serial, s smallserial, k int, PRIMARY KEY (id, s));
	SELECT create_distributed_table('few', 'id', colocate_with => 'none');
	CREATE TABLE ref (k int PRIMARY KEY, v text);
	SELECT create_reference_table('ref');
	INSERT INTO one SELECT i, 0 FROM generate_series(1, 40) i;
	INSERT INTO two SELECT i, 0 FROM generate_series(1, 40) i;
	INSERT INTO ref SELECT i, 'r' || i FROM generate_series(1, 40) i;
});

# The second one
$owner->backup('base');
my $other = PostgreSQL::Test::Cluster->new('other', install_path => $owner->install_path);
$other->init_from_backup($owner, 'base');
$other->start;

sub start_other
{
	my ($sql) = @_;
	my $handle = { out => '', err => '', started => time };
	$handle->{run} = IPC::Run::start(
		[ "$ENV{CZ_BINDIR}/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-h', '127.0.0.1', '-p', $other->port, '-U', 'postgres', 'postgres', '-c', $sql ],
		'<', \undef, '>', \$handle->{out}, '2>', \$handle->{err});
	return $handle;
}

sub try_other { my ($sql) = @_; return $cluster->finish_sql(start_other($sql), 60); }

# One that must work: its output
sub other
{
	my ($sql) = @_;
	my ($status, $out, $err) = try_other($sql);
	is($status, 0, "other: $sql") or diag($err);
	return $out;
}

# One that must not
sub other_fails
{
	my ($sql, $error) = @_;
	my ($status, $out, $err) = try_other($sql);
	like($err, $error, "other refuses: $sql");
	return;
}

my $owners = qr/ERROR:  55000: only the owner of the cluster can do this/;

note 'attach';
my ($port, $host) = ($owner->port, '127.0.0.1');
other_fails("SELECT cz_attach_coordinator('host=$host port=$port sslmode')", qr/22023: invalid connection string/);
{
	my ($status, $out, $err) = $cluster->try_sql("SELECT cz_attach_coordinator('host=$host port=" . $other->port . "')");
	like($err, qr/55000: this database is the coordinator of a cluster of its own/, 'the owner is not attached');
}
is(other("SELECT cz_attach_coordinator('host=$host port=$port dbname=postgres', 'b')"), 'b', 'attached');
other_fails("SELECT cz_attach_coordinator('host=$host port=$port', 'c')", qr/55000: this database is attached already/);
is($cluster->sql('SELECT role, name, number, is_here FROM cz_coordinators ORDER BY name NULLS FIRST'), "owner|||t\nattached|b|1|f", 'the owner knows it');
is(other('SELECT role, name, is_here FROM cz_coordinators'), 'attached|b|t', 'and it knows itself');

note 'reads and writes of both';
is(other('SELECT count(*), sum(v) FROM one'), '40|0', 'reads');
is(other('SELECT count(*) FROM two JOIN one USING (k)'), '40', 'a join');
is(other('SELECT v FROM two WHERE k = 7'), '0', 'one shard');
other('UPDATE one SET v = v + 1 WHERE k = 1');
other('INSERT INTO one VALUES (101, 5)');
other('DELETE FROM one WHERE k = 101');
other('UPDATE two SET v = v + 1 WHERE k = 1');
other('BEGIN; UPDATE two SET v = v + 1 WHERE k = 2; UPDATE one SET v = v + 1 WHERE k = 2; COMMIT');
other('BEGIN; UPDATE two SET v = v + 10 WHERE k = 2; SAVEPOINT a; UPDATE two SET v = 100 WHERE k = 3; ROLLBACK TO a; COMMIT');
is($cluster->sql('SELECT sum(v) FROM one'), '2', 'the owner sees it');
is($cluster->sql('SELECT sum(v) FROM two'), '12', 'the owner sees it');
other('UPDATE two SET v = v + 1');
is($cluster->sql('SELECT sum(v) FROM two'), '52', 'all shards');

note 'what only the owner does';
other_fails($_, $owners) foreach ('ALTER TABLE one ADD COLUMN w int', 'CREATE INDEX ON one (v)', 'TRUNCATE one', 'DROP TABLE one',
	"INSERT INTO ref VALUES (100, 'x')", "SELECT citus_add_node('127.0.0.1', 1)", 'SELECT cz_repair_placements()',
	"CREATE TABLE n (k int); SELECT create_distributed_table('n', 'k')", 'UPDATE one SET k = 300 WHERE k = 3');
other_fails($_, qr/0A000: cannot read reference table "ref" here/) foreach ('SELECT count(*) FROM ref', 'UPDATE ref SET v = v');
is(other("SELECT ref.v FROM ref JOIN one USING (k) WHERE k = 7"), 'r7', 'a reference table beside a shard');
is(other('INSERT INTO two (v) VALUES (0) RETURNING k > 281474976710656'), 't', 'sequences are divided');
$cluster->sql('DELETE FROM two WHERE k > 40');
other_fails($_, qr/2200H: nextval: reached maximum value of sequence "few_(id|s)_seq"/)
	foreach ('INSERT INTO few (s, k) VALUES (1, 1)', 'INSERT INTO few (id, k) VALUES (1, 1)', 'INSERT INTO few (k) VALUES (1)');
other('INSERT INTO few VALUES (1, 1, 1)');
is($cluster->sql('DELETE FROM few; INSERT INTO few (k) VALUES (1) RETURNING id, s'), '1|1', '... small ones are the owner\'s');

note 'DDL at the owner';
$cluster->sql('ALTER TABLE one ADD COLUMN w int DEFAULT 5');
other_fails($_, qr/55000: table "one" is not what it is at the owner of the cluster/) foreach ('SELECT count(*) FROM one', 'UPDATE one SET v = 0 WHERE k = 5');
is(other('SELECT count(*) FROM two'), '40', 'other tables are used');
other('SET cz.local_ddl = on; ALTER TABLE one ADD COLUMN w int DEFAULT 5');
is(other('SELECT sum(w) FROM one'), '200', 'the same here');

note 'both write while shards are moved';
my $nfiles = 0;

# Single statements of both, as many as $n for each; they go on after errors
sub start_writers
{
	my ($table, $n) = @_;
	my @handles;
	foreach my $port ($owner->port, $other->port)
	{
		my $file = PostgreSQL::Test::Utils::tempdir() . '/writes' . $nfiles++ . '.sql';
		PostgreSQL::Test::Utils::append_to_file($file,
			join '', map { "UPDATE $table SET v = v + 1 WHERE k = " . (1 + $_ % 40) . " RETURNING 'ok';\n" } 1 .. $n);
		my $handle = { out => '', err => '', started => time };
		$handle->{run} = IPC::Run::start(
			[ "$ENV{CZ_BINDIR}/psql", '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $port, '-U', 'postgres', 'postgres', '-f', $file ],
			'<', \undef, '>', \$handle->{out}, '2>', \$handle->{err});
		push @handles, $handle;
	}
	return @handles;
}

# How many of them were acknowledged, of each
sub end_writers
{
	my @counts;
	foreach my $handle (@_)
	{
		my ($status, $out, $err) = $cluster->finish_sql($handle, 180);
		is($status, 0, 'a writer ends');
		note $err if $err ne '';
		unlike($err, qr/ERROR:  (?!40001|08|55P03|57P01)/, 'with no other error than those to be repeated');
		push @counts, scalar(() = $out =~ /ok/g);
	}
	return @counts;
}
my $sum = $cluster->sql('SELECT sum(v) FROM one');
my @writers = start_writers('one', 150);
$cluster->sql(q{SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, n.nodename, n.nodeport)
	FROM (SELECT * FROM citus_shards WHERE table_name = 'one'::regclass ORDER BY shardid LIMIT 1) s
	CROSS JOIN LATERAL (SELECT * FROM pg_dist_node n WHERE n.nodeport <> s.nodeport ORDER BY n.nodeport LIMIT 1) n}) foreach 1 .. 2;
my @counts = end_writers(@writers);
cmp_ok($counts[$_], '>', 75, "writer $_ has written") foreach 0 .. 1;
is($cluster->sql('SELECT sum(v) FROM one'), $sum + $counts[0] + $counts[1], 'the owner has all that was acknowledged');
is(other('SELECT sum(v) FROM one'), $sum + $counts[0] + $counts[1], 'and so has the other one');
my $places = 'SELECT shardid, nodeport FROM pg_dist_shard_placement ORDER BY 1, 2';
is(other($places), $cluster->sql($places), 'the map is the same');

note 'a worker dies while both write';
$sum = $cluster->sql('SELECT sum(v) FROM two');
@writers = start_writers('two', 60);
sleep 1;
$cluster->kill_worker(2);
# the other one alone meets shards that the owner does not write now
other('UPDATE two SET v = v + 1');
@counts = end_writers(@writers);
$sum += 40 + $counts[0] + $counts[1];
is($cluster->sql('SELECT sum(v) FROM two'), $sum, 'the owner has all that was acknowledged');
is(other('SELECT sum(v) FROM two'), $sum, 'and so has the other one');
cmp_ok($cluster->sql('SELECT count(*) FROM cz.placement_state'), '>', 0, 'placements are inactive at the owner');
$cluster->restart_worker(2);
ok($owner->poll_query_until('postgres', "SELECT count(*) = 0 FROM cz.placement_state"), 'they are made whole');
# the other one looks for itself
$cluster->await_workers($other) or die 'the worker is not back';
other('UPDATE two SET v = v + 1');
$sum += 40;
is(other('SELECT count(*) FROM cz.placement_state'), 0, 'the other one knows that');
$cluster->kill_worker(3);
is($cluster->sql('SELECT sum(v) FROM two'), $sum, 'without worker 3');
$cluster->restart_worker(3);
$cluster->kill_worker(1);
is($cluster->sql('SELECT sum(v) FROM two'), $sum, 'without worker 1');
$cluster->restart_worker(1);

note 'the owner dies';
$cluster->await_workers($other) or die 'a worker is not back';
my $halted = start_other("BEGIN; UPDATE two SET v = v + 1 WHERE k = 1; SELECT pg_sleep(15); COMMIT");
$other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") or die 'the transaction has not begun';
$cluster->kill_coordinator;
{
	my ($status, $out, $err) = $cluster->finish_sql($halted, 60);
	like($err, qr/ERROR:  08006: connection to the owner of the cluster was lost/, 'a transaction loses its locks');
	($status, $out, $err) = try_other('SELECT sum(v) FROM two');
	is($out, $sum, 'reads go on');
	like($err, qr/WARNING:  01000: could not connect to the owner of the cluster: reads go on/, 'and say so');
}
other_fails('SET cz.read_without_owner = off; SELECT sum(v) FROM two', qr/08001: could not connect to the owner of the cluster/);
other_fails('UPDATE two SET v = v + 1 WHERE k = 1', qr/08001: could not connect to the owner of the cluster/);
$owner->start;
other('UPDATE two SET v = v + 1 WHERE k = 1');
$sum++;
is($cluster->sql('SELECT sum(v) FROM two'), $sum, 'it is back');

note 'detach';
$cluster->sql("SELECT cz_detach_coordinator('b')");
other_fails($_, qr/55000: this database is not attached to its cluster any more/) foreach ('SELECT count(*) FROM two', 'SELECT cz_detach_coordinator() FROM two');
other('SELECT cz_detach_coordinator()');
is(other('SELECT count(*) FROM two'), 40, 'a copy reads');
other_fails('UPDATE two SET v = 0', qr/55000: this database is not the coordinator of its cluster/);
is(other("SELECT cz_attach_coordinator('host=$host port=$port dbname=postgres', 'c')"), 'c', 'attached again');
$cluster->sql("SELECT cz_detach_coordinator('c', force => true)");
other_fails('SELECT count(*) FROM two', qr/55000/);
is($cluster->sql('SELECT epoch FROM cz.cluster'), 2, 'the epoch is raised');
# workers tell it the new epoch before it is attached again
try_other('SELECT recover_prepared_transactions()');
is($cluster->sql('SELECT sum(v) FROM two'), $sum, 'the owner goes on');
other('SELECT cz_detach_coordinator(force => true)');
other("SELECT cz_attach_coordinator('host=$host port=$port dbname=postgres', 'c')");

note 'a dump of it is a copy';
{
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
	system("$ENV{CZ_BINDIR}/pg_dump", '-h', '127.0.0.1', '-p', $other->port, '-U', 'postgres', '-f', $dump, 'postgres');
	other('CREATE DATABASE copy');
	$other->psql('copy', undef, extra_params => [ '-U', 'postgres', '-f', $dump ]);
	my ($status, $out, $err) = (0, '', '');
	$other->psql('copy', 'UPDATE two SET v = 0', stderr => \$err, extra_params => [ '-U', 'postgres' ]);
	like($err, qr/this database is not the coordinator of its cluster/, 'which writes nothing');
	other('DROP DATABASE copy');
}

note 'it takes over';
$cluster->kill_coordinator;
other_fails('SELECT cz_take_over()', qr/55000: rows of reference tables here are old/);
is(other('SELECT cz_take_over(force => true)'), 3, 'it is the owner');
other('UPDATE two SET v = v + 1 WHERE k = 1');
is(other('SELECT sum(v) FROM two'), $sum + 1, 'and writes');
$owner->start;
{
	my ($status, $out, $err) = $cluster->try_sql('SELECT sum(v) FROM two');
	like($err, qr/55000: this database is no longer a coordinator of its cluster/, 'the former one is fenced');
}
done_testing();
