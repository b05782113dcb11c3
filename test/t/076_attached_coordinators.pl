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
done_testing();
