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

# And to single columns of them
sub columns
{
	my ($table, $role) = @_;
	return join(' ', map { $cluster->worker_sql($_, "SELECT coalesce(string_agg(DISTINCT privilege_type || '(' || attname || ')', ',' ORDER BY privilege_type || '(' || attname || ')'), '-') FROM pg_class c JOIN pg_attribute t ON attrelid = c.oid, aclexplode(attacl) a WHERE relname ~ '^${table}_[0-9]+\$' AND relkind = 'r' AND grantee = '$role'::regrole AND attnum > 0") } 1 .. 2);
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
# (from libpq 18 and PostgreSQL 18 on its SCRAM keys are in its place)
my $secret = $cluster->sql("SELECT regexp_replace(o, '^[^=]*=', '') FROM pg_user_mappings, unnest(umoptions) o WHERE usename = 'alice' AND o ~ '^(password|scram_client_key)=' LIMIT 1");
like($secret, qr/^([0-9a-f]{48}|[A-Za-z0-9+\/]{43}=)$/, 'a password is drawn');
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
is(rights('t', 'bob'), 'SELECT SELECT', 'by a role that it is a member of');
is(columns('t', 'bob'), 'UPDATE(v) UPDATE(v)', 'on a column');
($status, $out, $err) = as('bob', "UPDATE t SET v = 'new' WHERE k = 7; UPDATE t SET v = v || clock_timestamp() WHERE k = 8; SELECT v FROM t WHERE k = 7");
like($out, qr/new/, 'holds') or diag($err);
($status, $out, $err) = as('bob', 'UPDATE t SET id = 1 WHERE k = 7');
like($err, qr/42501/, 'on that column');
$cluster->sql('REVOKE clerks FROM bob');
is(rights('t', 'bob') . columns('t', 'bob'), '- -- -', 'REVOKE of the role');

note 'privileges on columns';
$cluster->sql('GRANT SELECT (k, v), INSERT (k, id) ON t TO bob');
is(columns('t', 'bob'), 'INSERT(id),INSERT(k),SELECT(k),SELECT(v) INSERT(id),INSERT(k),SELECT(k),SELECT(v)', 'are such on the shards');
is($cluster->worker_sql(1, "SELECT bool_or(has_column_privilege('bob', c.oid, 'id', 'SELECT')) FROM pg_class c WHERE relname ~ '^t_[0-9]+\$' AND relkind = 'r'"), 'f', 'another column is not read there');
($status, $out, $err) = as('bob', "SELECT v FROM t WHERE k = 7; SELECT count(*) FROM t; SELECT max(t.v) FROM t JOIN r USING (k); SELECT k, count(v) FROM t GROUP BY k ORDER BY k LIMIT 1; INSERT INTO t (k, id) VALUES (50, 1) RETURNING k; COPY t (k, v) TO STDOUT");
is($status, 0, 'reads and writes with them') or diag($err);
like($out, qr/^new\n21\nv1\n1\|1\n50\n/m, 'hold');
foreach my $sql ('SELECT * FROM t', 'SELECT id FROM t WHERE k = 1', 'SELECT t FROM t', "INSERT INTO t VALUES (51, 1, '')", 'UPDATE t SET v = k::text', 'DELETE FROM t WHERE k = 1')
{
	($status, $out, $err) = as('bob', $sql);
	like($err, qr/42501: permission denied for table t\b/, "and not more: $sql");
}
$cluster->sql('REVOKE ALL ON t FROM bob; GRANT SELECT (k), UPDATE (v) ON t TO bob; ALTER TABLE t RENAME v TO w');
is(columns('t', 'bob'), join(' ', ('SELECT(id),SELECT(k),SELECT(w),UPDATE(w)') x 2), 'who changes rows names them by their keys');
($status, $out, $err) = as('bob', "UPDATE t SET w = 'w' WHERE k = 9; UPDATE t SET w = clock_timestamp() WHERE k = 10; UPDATE t SET w = 'v' || k WHERE k IN (9, 10); UPDATE t SET w = 'x' || r.v FROM r WHERE r.k = t.k");
is($status, 0, 'UPDATE of a column') or diag($err);
$cluster->sql('ALTER TABLE t RENAME w TO v; REVOKE ALL ON t FROM bob; GRANT DELETE, SELECT (k) ON t TO bob');
($status, $out, $err) = as('bob', 'DELETE FROM t WHERE k = 50; DELETE FROM t USING r WHERE r.k = t.k AND random() > 2; DELETE FROM t WHERE k > 1000 + random()');
is($status, 0, 'DELETE') or diag($err);
is(columns('t', 'bob'), join(' ', ('SELECT(id),SELECT(k),UPDATE(k)') x 2), 'locks rows, which takes UPDATE of a column');
$cluster->sql('REVOKE ALL ON t FROM bob');
($status, $out, $err) = as('alice', "CREATE TABLE n (k int NOT NULL, v text NOT NULL, w text, x text); SELECT create_distributed_table('n', 'k'); INSERT INTO n SELECT i, 'v' || i, 'w', 'x' FROM generate_series(1, 20) i; GRANT UPDATE (w), DELETE ON n TO bob; CREATE UNIQUE INDEX ON n (k, v)");
is($status, 0, 'a table without a key gets one') or diag($err);
is(columns('n', 'bob'), join(' ', ('SELECT(k),SELECT(v),SELECT(w),UPDATE(k),UPDATE(w)') x 2), 'whose columns are read');
($status, $out, $err) = as('bob', "UPDATE n SET w = 'new'; UPDATE n SET w = clock_timestamp(); DELETE FROM n");
is($status, 0, 'without any privilege to read here') or diag($err);

note 'two roles that are one there';
$cluster->sql('CREATE ROLE carol LOGIN; GRANT USAGE ON SCHEMA public TO carol');
$cluster->sql("CREATE USER MAPPING FOR carol SERVER $_ OPTIONS (user 'bob', password 'theirs')") foreach map { $cluster->server_name($_) } 1 .. 2;
$cluster->sql('GRANT SELECT ON t TO bob; GRANT INSERT ON t TO carol');
is(rights('t', 'bob'), 'INSERT,SELECT INSERT,SELECT', 'may what either may');
$cluster->sql('REVOKE ALL ON t FROM bob, carol; DROP OWNED BY carol; DROP ROLE carol');
is(rights('t', 'bob'), '- -', 'nothing is left');

note 'who may execute functions';
# Who may execute a function, on each worker
sub executors
{
	my ($name) = @_;
	return join(' ', map { $cluster->worker_sql($_, "SELECT coalesce(string_agg(coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'), ',' ORDER BY grantee = 0, grantee::regrole::text), '-') FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE proname = '$name' AND grantee <> 'postgres'::regrole") } 1 .. 2);
}
# while everybody is one role there
$cluster->sql('CREATE FUNCTION shut(int) RETURNS bool LANGUAGE sql IMMUTABLE SECURITY DEFINER AS $$SELECT $1 > 0$$; CREATE TABLE s (k int CHECK (shut(k)))');
$cluster->sql("SELECT create_distributed_table('s', 'k')");
($status, $out, $err) = $cluster->try_sql('REVOKE EXECUTE ON FUNCTION shut FROM PUBLIC');
like($err, qr/0A000: function shut\(integer\) cannot be run on the workers.*not everybody may execute it here, as everybody could there/s, 'with a mapping for PUBLIC a SECURITY DEFINER function is everybody\'s');
$cluster->sql('ALTER FUNCTION shut SECURITY INVOKER; REVOKE EXECUTE ON FUNCTION shut FROM PUBLIC');
is(executors('shut'), '- -', 'one that is none of the kind is shut for others, too');
$cluster->sql('DROP TABLE s; DROP FUNCTION shut');
foreach my $server (map { $cluster->server_name($_) } 1 .. 2)
{
	$cluster->sql("CREATE USER MAPPING FOR postgres SERVER $server OPTIONS (user 'postgres'); DROP USER MAPPING FOR PUBLIC SERVER $server");
}
$cluster->worker_sql($_, 'GRANT ALL ON SCHEMA public TO alice, bob') foreach 1 .. 2;
($status, $out, $err) = as('alice', <<'SQL');
CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT $1 > 0';
CREATE FUNCTION kept(int) RETURNS bool LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT $1 > 0';
REVOKE EXECUTE ON FUNCTION kept(int) FROM PUBLIC;
CREATE TABLE f (k int, v int CHECK (fine(v)), w int CHECK (kept(w)));
GRANT SELECT, INSERT ON f TO bob;
SELECT create_distributed_table('f', 'k');
SQL
is($status, 0, 'SECURITY DEFINER functions of the owner') or diag($err);
is(executors('fine'), 'alice,PUBLIC alice,PUBLIC', 'everybody');
is(executors('kept'), 'alice alice', 'nobody else, from the first moment');
($status, $out, $err) = as('bob', 'INSERT INTO f VALUES (1, 1, 1)');
like($err, qr/42501: permission denied for function kept/, 'as here');
$cluster->sql('GRANT EXECUTE ON FUNCTION kept(int) TO clerks; GRANT clerks TO bob');
is(executors('kept'), 'alice,bob alice,bob', 'GRANT to a role and of it');
($status, $out, $err) = as('bob', 'INSERT INTO f VALUES (1, 1, 1)');
is($status, 0, 'holds') or diag($err);
$cluster->sql('REVOKE EXECUTE ON FUNCTION fine FROM PUBLIC; REVOKE clerks FROM bob');
is(executors('fine') . executors('kept'), 'alice alicealice alice', 'REVOKE');
($status, $out, $err) = as('bob', 'INSERT INTO f VALUES (2, 1)');
like($err, qr/42501: permission denied for function (fine|kept)/, 'holds');
$cluster->sql('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO bob');
is(executors('fine'), 'alice,bob alice,bob', 'ALL FUNCTIONS IN SCHEMA');
$cluster->sql('BEGIN; REVOKE ALL ON ROUTINE fine FROM bob; ROLLBACK');
is(executors('fine'), 'alice,bob alice,bob', 'ROLLBACK');
($status, $out, $err) = $cluster->try_sql('ALTER FUNCTION fine OWNER TO bob');
like($err, qr/0A000: function fine\(integer\) cannot be run on the workers.*SECURITY DEFINER, and it would run there as another role/s, 'another owner');
is($cluster->sql("SELECT proowner::regrole FROM pg_proc WHERE proname = 'fine'"), 'alice', 'nothing has happened here');
($status, $out, $err) = $cluster->try_sql('REASSIGN OWNED BY alice TO bob');
like($err, qr/0A000: function .* cannot be run on the workers/, 'REASSIGN OWNED');
$cluster->sql('ALTER FUNCTION fine SECURITY INVOKER; ALTER FUNCTION fine OWNER TO bob');
is(executors('fine'), 'bob bob', 'of one that is no SECURITY DEFINER');
$cluster->sql('DROP TABLE f; DROP FUNCTION fine, kept');
$cluster->sql('ALTER DEFAULT PRIVILEGES FOR ROLE alice GRANT SELECT ON TABLES TO bob');
($status, $out, $err) = as('alice', "CREATE TABLE d (k int); SELECT create_distributed_table('d', 'k'); INSERT INTO d VALUES (1)");
is(rights('d', 'bob'), 'SELECT SELECT', 'default privileges');
($status, $out, $err) = as('bob', 'SELECT k FROM d');
is($out, '1', 'hold');

note 'foreign keys between tables of two owners';
($status, $out, $err) = as('alice', <<'SQL');
CREATE TABLE hers (id int PRIMARY KEY);
CREATE TABLE her_k (k int PRIMARY KEY);
SELECT create_reference_table('hers'), create_distributed_table('her_k', 'k');
INSERT INTO hers VALUES (1);
INSERT INTO her_k VALUES (1), (2);
GRANT REFERENCES ON hers TO bob;
GRANT REFERENCES (k) ON her_k TO bob;
SQL
is($status, 0, 'tables') or diag($err);
($status, $out, $err) = as('bob', q{CREATE TABLE his (k int, h int REFERENCES hers); SELECT create_distributed_table('his', 'k', colocate_with => 'her_k');
	ALTER TABLE his ADD FOREIGN KEY (k) REFERENCES her_k; INSERT INTO his VALUES (1, 1)});
is($status, 0, 'keys to those of another') or diag($err);
($status, $out, $err) = as('bob', 'INSERT INTO his VALUES (1, 2)');
like($err, qr/ERROR:  23503.*"his_h_fkey"/, 'to a reference table');
($status, $out, $err) = as('bob', 'INSERT INTO his VALUES (3, 1)');
like($err, qr/ERROR:  23503.*"his_k_fkey"/, 'to a distributed one');
($status, $out, $err) = $cluster->try_sql("SET statement_timeout = '20s'; DROP TABLE hers CASCADE; DROP TABLE her_k CASCADE; INSERT INTO his VALUES (3, 2); SELECT count(*) FROM cz_check_shards('his'); DROP TABLE his");
is($out, '0', 'they go with those') or diag($err);

note 'a worker comes back';
my $port = $cluster->port(2);
$cluster->sql("SELECT citus_disable_node('127.0.0.1', $port); SELECT citus_activate_node('127.0.0.1', $port)");
is(rights('d', 'bob') . ', ' . rights('r', 'bob'), 'SELECT SELECT, SELECT SELECT', 'shards that were made anew are granted, too');

note 'owners';
$cluster->sql('CREATE FUNCTION public.odd(int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$SELECT $1 % 2 = 1$$; ALTER FUNCTION odd OWNER TO alice; REVOKE ALL ON FUNCTION odd FROM PUBLIC; GRANT EXECUTE ON FUNCTION odd TO bob; ALTER TABLE d ADD CHECK (odd(k))');
is(executors('odd'), 'alice,bob alice,bob', 'a function that is no SECURITY DEFINER');
$cluster->sql("SELECT citus_disable_node('127.0.0.1', $port); SELECT citus_activate_node('127.0.0.1', $port)");
is(executors('odd'), 'alice,bob alice,bob', 'after activation');
$cluster->sql('DROP OWNED BY bob');
is(executors('odd'), 'alice alice', 'DROP OWNED takes EXECUTE');
my $acl = $cluster->sql("SELECT coalesce(array_to_string(relacl, ','), '') FROM pg_class WHERE oid = 'd'::regclass");
# 17 has MAINTAIN (m)
is(rights('d', 'bob') . $acl =~ s/.*bob.*/bob/r =~ s/=arwdDxtm/=arwdDxt/r, '- -alice=arwdDxt/alice', 'DROP OWNED takes privileges');
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
