# Roles that are themselves on the workers: cz_propagate_role makes them there, with a
# password that nobody sees; what is granted here holds there; owners change.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 4\nlog_statement = all\n");
my ($status, $out, $err);

# The workers ask everybody but the superuser for a password, and log what they are told
foreach my $i (1 .. 2)
{
	my $worker = $cluster->worker($i);
	open my $hba, '>', $worker->data_dir . '/pg_hba.conf' or die;
	print $hba "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
	close $hba;
	$worker->append_conf('postgresql.conf', "log_statement = all\n");
	$worker->reload;
}

sub as
{
	my ($role, $sql) = @_;
	return $cluster->try_sql("SET SESSION AUTHORIZATION $role;\n$sql");
}

# Who owns the shards of a table, and what a role may do to them, on each worker
sub owners
{
	my ($table) = @_;
	return join(' ', map { $cluster->worker_sql($_, "SELECT string_agg(DISTINCT relowner::regrole::text, ',') FROM pg_class WHERE relname ~ '^${table}_[0-9]+\$' AND relkind = 'r'") } 1 .. 2);
}

sub rights
{
	my ($table, $role) = @_;
	return join(' ', map { $cluster->worker_sql($_, "SELECT coalesce(string_agg(DISTINCT privilege_type, ',' ORDER BY privilege_type), '-') FROM pg_class c, aclexplode(relacl) a WHERE relname ~ '^${table}_[0-9]+\$' AND relkind = 'r' AND grantee = '$role'::regrole") } 1 .. 2);
}

$cluster->sql(<<'SQL');
CREATE ROLE alice LOGIN PASSWORD 'her own';
CREATE ROLE bob LOGIN;
CREATE ROLE clerks;
GRANT clerks TO bob;
GRANT ALL ON SCHEMA public TO alice, bob;
CREATE TYPE before AS ENUM ('a', 'b');
ALTER TYPE before OWNER TO alice;
CREATE TABLE early (k int, v before);
ALTER TABLE early OWNER TO alice;
SELECT create_distributed_table('early', 'k');
INSERT INTO early SELECT i, 'a' FROM generate_series(1, 10) i;
SQL

note 'making a role';
($status, $out, $err) = as('alice', "SELECT cz_propagate_role('alice')");
like($err, qr/42501/, 'nobody but a superuser may');
($status, $out, $err) = $cluster->try_sql("SELECT cz_propagate_role('nobody_there')");
like($err, qr/42704/, 'a role that is not there');
($status, $out, $err) = $cluster->try_sql("SELECT cz_propagate_role('postgres')");
like($err, qr/22023/, 'the one that makes them');
($status, $out, $err) = $cluster->try_sql("SELECT cz_propagate_role('alice', '')");
like($err, qr/22023.*password must not be empty/, 'a password that nobody could enter with');
$cluster->worker_sql(2, "CREATE ROLE bob LOGIN PASSWORD 'theirs'");
($status, $out, $err) = $cluster->try_sql("SELECT cz_propagate_role('bob')");
like($err, qr/42710.*role bob exists/, 'one that a person has made on a worker');
is($cluster->worker_sql(1, "SELECT count(*) FROM pg_roles WHERE rolname = 'bob'"), '0', 'nothing has happened on the others');
$cluster->sql("SELECT cz_propagate_role('bob', 'theirs')");
$cluster->sql("SELECT cz_propagate_role('alice')");
$cluster->sql("SELECT cz_propagate_role('alice')");
is($cluster->worker_sql(1, "SELECT rolcanlogin AND NOT rolsuper AND NOT rolcreaterole FROM pg_roles WHERE rolname = 'alice'"), 't', 'a plain role');

note 'secrets';
my $secret = $cluster->sql("SELECT split_part(o, '=', 2) FROM pg_user_mappings, unnest(umoptions) o WHERE usename = 'alice' AND o LIKE 'password=%' LIMIT 1");
like($secret, qr/^[0-9a-f]{48}$/, 'a password is drawn');
my $logs = join('', map { PostgreSQL::Test::Utils::slurp_file($_->logfile) } $cluster->coordinator, map { $cluster->worker($_) } 1 .. 2);
unlike($logs, qr/\Q$secret\E/, 'no log has it');
unlike($logs, qr/her own'.*her own/s, 'nor the one that she has here, but where it was set');
is($cluster->sql("SET ROLE bob; SELECT count(umoptions) FROM pg_user_mappings WHERE usename = 'alice'"), '0', 'nobody else reads it');

note 'what it owned before';
is(owners('early'), 'alice alice', 'its shards');
($status, $out, $err) = as('alice', "SELECT count(*) FROM early; INSERT INTO early VALUES (11, 'b'); ALTER TYPE before ADD VALUE 'c'; UPDATE early SET v = 'c' WHERE k = 1; ALTER TABLE early ADD COLUMN w int");
is($status, 0, 'can be used and changed') or diag($err);

note 'privileges';
($status, $out, $err) = as('alice', <<'SQL');
CREATE TABLE t (k int, id int, v text, PRIMARY KEY (k, id));
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i, 'v' || i FROM generate_series(1, 20) i;
CREATE TABLE r (k int PRIMARY KEY, v text);
GRANT SELECT ON r TO bob;
SELECT create_reference_table('r');
INSERT INTO r VALUES (1, 'one');
SQL
is($status, 0, 'tables of a role') or diag($err);
is(owners('t'), 'alice alice', 'are its own there');
is(rights('t', 'bob'), '- -', 'nobody else may anything');
is(rights('r', 'bob'), 'SELECT SELECT', 'but what was granted before');
($status, $out, $err) = as('bob', 'SELECT count(*) FROM t');
like($err, qr/42501: permission denied for table t\b/, 'nor here');
$cluster->sql('GRANT SELECT, INSERT ON t TO bob');
is(rights('t', 'bob'), 'INSERT,SELECT INSERT,SELECT', 'GRANT');
($status, $out, $err) = as('bob', "SELECT count(*) FROM t JOIN r ON r.k = t.id; INSERT INTO t VALUES (100, 1, 'bob'); SELECT v FROM t WHERE k = 100");
like($out, qr/1\nbob/, 'holds') or diag($err);
($status, $out, $err) = as('bob', 'DELETE FROM t WHERE k = 100');
like($err, qr/42501: permission denied for table t\b/, 'and not more');
$cluster->sql('REVOKE ALL ON t FROM bob; GRANT UPDATE (v) ON t TO clerks; GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerks');
is(rights('t', 'bob'), 'SELECT,UPDATE SELECT,UPDATE', 'by a role that it is a member of, on a column');
($status, $out, $err) = as('bob', "UPDATE t SET v = 'new' WHERE k = 7; UPDATE t SET v = v || clock_timestamp() WHERE k = 8; SELECT v FROM t WHERE k = 7");
like($out, qr/new/, 'holds') or diag($err);
($status, $out, $err) = as('bob', 'UPDATE t SET id = 1 WHERE k = 7');
like($err, qr/42501/, 'on that column');
$cluster->sql('REVOKE clerks FROM bob');
is(rights('t', 'bob'), '- -', 'REVOKE of the role');
$cluster->sql('ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT SELECT ON TABLES TO bob');
($status, $out, $err) = as('alice', "CREATE TABLE d (k int); SELECT create_distributed_table('d', 'k'); INSERT INTO d VALUES (1)");
is(rights('d', 'bob'), 'SELECT SELECT', 'default privileges');
($status, $out, $err) = as('bob', 'SELECT k FROM d');
is($out, '1', 'hold');

note 'a worker comes back';
my $port = $cluster->port(2);
$cluster->sql("SELECT citus_disable_node('127.0.0.1', $port); SELECT citus_activate_node('127.0.0.1', $port)");
is(rights('d', 'bob') . ', ' . rights('r', 'bob'), 'SELECT SELECT, SELECT SELECT', 'shards that were made anew are granted, too');

note 'owners';
$cluster->sql('DROP OWNED BY bob');
is(rights('d', 'bob') . $cluster->sql("SELECT coalesce(array_to_string(relacl, ','), '') FROM pg_class WHERE oid = 'd'::regclass") =~ s/.*bob.*/bob/r, '- -alice=arwdDxt/alice', 'DROP OWNED takes privileges');
# and its user mappings
$cluster->sql("SELECT cz_propagate_role('bob', 'theirs'); REASSIGN OWNED BY alice TO bob");
is(owners('t') . ' ' . owners('r') . ' ' . owners('early'), 'bob bob bob bob bob bob', 'REASSIGN OWNED');
($status, $out, $err) = as('bob', "SELECT count(*) FROM t; UPDATE t SET v = '' WHERE k = 9; INSERT INTO r VALUES (2, 'two'); ALTER TYPE before ADD VALUE 'd'; DROP TABLE t");
is($status, 0, 'the new owner') or diag($err);
$cluster->sql('DROP OWNED BY bob');
is(join(' ', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_class WHERE relname ~ '_[0-9]+\$' AND relnamespace = 'cz_shards'::regnamespace AND relkind = 'r'") } 1 .. 2), '0 0', 'DROP OWNED drops shards');
is($cluster->sql("SELECT count(*) FROM cz.objects WHERE classid = 'pg_type'::regclass"), '0', 'and types');

$cluster->stop;
done_testing();
