# User mappings without passwords (18): cz_propagate_role gives them SCRAM keys, and
# use_scram_passthrough passes on those with which the client has logged in.  Neither lets a role
# that is no superuser in by what the server process or another role has.
use strict;
use warnings;
use CzCluster;
use Test::More;

my ($own) = `$ENV{CZ_PREFIX_BIN}/postgres --version` =~ /(\d+)/;
plan skip_all => 'SCRAM keys are known from PostgreSQL 18 on' if $own < 18;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 4\n");
my ($status, $out, $err);

sub set_hba
{
	my ($node, $method) = @_;
	open my $hba, '>', $node->data_dir . '/pg_hba.conf' or die;
	print $hba "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 $method\n";
	close $hba;
	$node->reload;
	return;
}

# SQL by a client that logs in at the coordinator with a password
sub login
{
	my ($role, $password, $sql) = @_;
	local $ENV{PGPASSWORD} = $password;
	my ($stdout, $stderr);
	my $port = $cluster->coordinator->port;
	$cluster->coordinator->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr, on_error_stop => 1,
		connstr => "host=127.0.0.1 port=$port dbname=postgres user=$role", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return ($stdout, $stderr);
}

set_hba($_, 'scram-sha-256') foreach $cluster->coordinator, map { $cluster->worker($_) } 1 .. 2;
$cluster->sql(<<'SQL');
CREATE ROLE alice LOGIN PASSWORD 'hers';
CREATE ROLE bob LOGIN PASSWORD 'his';
CREATE ROLE carol LOGIN PASSWORD 'carols';
GRANT bob TO carol;
GRANT ALL ON SCHEMA public TO alice;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i;
GRANT SELECT, UPDATE ON t TO bob, carol;
SQL

note 'keys in the mapping';
$cluster->sql("SELECT cz_propagate_role('alice')");
$cluster->sql("SELECT cz_propagate_role('alice')");
my $options = $cluster->sql("SELECT string_agg(DISTINCT split_part(o, '=', 1), ',' ORDER BY split_part(o, '=', 1)) FROM pg_user_mappings, unnest(umoptions) o WHERE usename = 'alice'");
is($options, 'password_required,scram_client_key,scram_server_key,user', 'a role that is propagated has keys, no password');
($out, $err) = login('alice', 'hers', "CREATE TABLE a (k int, v int); SELECT create_distributed_table('a', 'k'); INSERT INTO a SELECT i, i FROM generate_series(1, 10) i; SELECT count(*), sum(v) FROM a");
like($out, qr/^10\|55$/m, 'it works with them') or diag($err);
is($cluster->worker_sql(1, "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relname ~ '^a_\\d+\$'"), 'alice', 'as itself');
my $key = $cluster->sql("SELECT split_part(o, 'key=', 2) FROM pg_user_mappings, unnest(umoptions) o WHERE usename = 'alice' AND o LIKE 'scram_client_key=%' LIMIT 1");
like($key, qr/^[A-Za-z0-9+\/]{43}=$/, 'a key');
unlike($cluster->sql('SELECT cz_export_cluster()'), qr/\Q$key\E|scram_/, 'a cluster file has none');
like($cluster->sql('SELECT cz_export_cluster()'), qr/"role": "alice".*"password_omitted": true/, 'and says so');
my $logs = join('', map { PostgreSQL::Test::Utils::slurp_file($_->logfile) } $cluster->coordinator, map { $cluster->worker($_) } 1 .. 2);
unlike($logs, qr/\Q$key\E/, 'no log has one');

note 'a worker that asks for no password, or for another kind';
foreach my $method ('trust', 'password')
{
	set_hba($cluster->worker($_), $method) foreach 1 .. 2;
	($out, $err) = login('alice', 'hers', 'SELECT count(*) FROM a');
	like($err, qr/ERROR:  08001/, "$method: not entered");
	unlike($err, qr/\Q$key\E/, "$method: the message has no key");
}
set_hba($cluster->worker($_), 'scram-sha-256') foreach 1 .. 2;
($out, $err) = login('alice', 'hers', 'SELECT count(*) FROM a');
is($out, '10', 'and again');
$cluster->worker_sql($_, "ALTER ROLE alice PASSWORD 'changed there'") foreach 1 .. 2;
($out, $err) = login('alice', 'hers', 'SELECT count(*) FROM a');
like($err, qr/ERROR:  08001/, 'keys of another password');
$cluster->sql("SELECT cz_propagate_role('alice')");
($out, $err) = login('alice', 'hers', 'SELECT count(*) FROM a');
is($out, '10', 'and new ones');

note 'the keys of the session';
my $verifier = $cluster->sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'");
my $other = $cluster->sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'carol'");
$cluster->worker_sql($_, "CREATE ROLE bob LOGIN PASSWORD '$verifier'; CREATE ROLE carol LOGIN PASSWORD '$other'") foreach 1 .. 2;
foreach my $i (1 .. 2)
{
	my $server = $cluster->server_name($i);
	$cluster->sql("ALTER SERVER $server OPTIONS (use_scram_passthrough 'true'); CREATE USER MAPPING FOR bob SERVER $server OPTIONS (user 'bob'); CREATE USER MAPPING FOR carol SERVER $server");
}
$cluster->sql("SELECT cz_propagate_privileges()");
($out, $err) = login('bob', 'his', 'UPDATE t SET v = current_user WHERE k < 3; SELECT count(*) FROM t; SELECT DISTINCT v FROM t WHERE k < 3');
is($out, "20\nbob", 'are passed on') or diag($err);
($out, $err) = login('carol', 'carols', 'SELECT count(*) FROM t');
is($out, '20', 'to the user of the role\'s name, too') or diag($err);
($out, $err) = login('carol', 'carols', 'SET ROLE bob; SELECT count(*) FROM t');
like($err, qr/ERROR:  2F003.*password is required.*logged in by SCRAM as the role itself/s, 'not those of another role');
($out, $err) = login('carol', 'carols', 'BEGIN; SELECT count(*) FROM t; SET LOCAL ROLE bob; SELECT count(*) FROM t');
like($err, qr/ERROR:  2F003/, 'nor by a connection of the transaction');
($status, $out, $err) = $cluster->try_sql("SET SESSION AUTHORIZATION bob; SELECT count(*) FROM t");
like($err, qr/ERROR:  2F003/, 'nobody has bob\'s who has not logged in as bob');
is($cluster->sql('SELECT count(*) FROM t'), '20', 'a superuser that logged in without has its mapping');
set_hba($cluster->worker($_), 'trust') foreach 1 .. 2;
($out, $err) = login('bob', 'his', 'SELECT count(*) FROM t');
like($err, qr/ERROR:  08001/, 'a worker that trusts everybody is not entered with them');
set_hba($cluster->worker($_), 'scram-sha-256') foreach 1 .. 2;
$cluster->sql('ALTER SERVER ' . $cluster->server_name($_) . " OPTIONS (SET use_scram_passthrough 'false')") foreach 1 .. 2;
($out, $err) = login('bob', 'his', 'SELECT count(*) FROM t');
like($err, qr/ERROR:  2F003/, 'nor are they passed on where the server says no');

note 'a mapping of PUBLIC that names no user';
foreach my $i (1 .. 2)
{
	my $server = $cluster->server_name($i);
	$cluster->sql("DROP USER MAPPING FOR bob SERVER $server; DROP USER MAPPING FOR carol SERVER $server; ALTER USER MAPPING FOR PUBLIC SERVER $server OPTIONS (DROP user, SET password_required 'true', ADD password 'same')");
	$cluster->worker_sql($i, "ALTER ROLE bob PASSWORD 'same'; ALTER ROLE carol PASSWORD 'same'; REVOKE ALL ON ALL TABLES IN SCHEMA cz_shards FROM bob");
}
($out, $err) = login('carol', 'carols', 'BEGIN; SELECT count(*) FROM t; SET LOCAL ROLE bob; SELECT count(*) FROM t');
like($err, qr/ERROR:  42501/, 'each role enters as itself, also in one transaction');

$cluster->stop;
done_testing();
