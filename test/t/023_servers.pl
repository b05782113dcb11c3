# Servers that a plain role makes are its own affair, as with postgres_fdw: foreign tables
# work, but they are no workers: nothing is placed there, nobody connects to them, and they
# are in nobody's way.  Options that make a worker are not for plain roles, but a dump with
# them is restored.
use strict;
use warnings;
use CzCluster;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 4\ncz.recovery_interval = '200ms'\n");
my $node = $cluster->coordinator;
my $port = $cluster->port(1);

# Somebody who would like to hear a password
my $listener = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
my $select = IO::Select->new($listener);
my $ear = $listener->sockport;
# the password that the server's account has for it
my $passfile = PostgreSQL::Test::Utils::tempdir() . '/passfile';
PostgreSQL::Test::Utils::append_to_file($passfile, "*:*:*:*:secret\n");
chmod 0600, $passfile;

sub as_bob
{
	my ($sql) = @_;
	return $cluster->try_sql("SET SESSION AUTHORIZATION bob;\n$sql");
}

$cluster->worker_sql(1, 'CREATE DATABASE bobdb');
$cluster->worker_sql(1, q{CREATE ROLE bob LOGIN PASSWORD 'pw'});
$cluster->worker(1)->safe_psql('bobdb', 'CREATE TABLE mine (id int, v text); GRANT ALL ON mine TO bob; INSERT INTO mine VALUES (1, \'one\')',
	extra_params => [ '-U', 'postgres' ]);
$cluster->sql(q{
CREATE ROLE bob LOGIN;
CREATE SCHEMA sb AUTHORIZATION bob;
GRANT USAGE ON FOREIGN DATA WRAPPER cz_fdw TO bob;
SET SESSION AUTHORIZATION bob;
CREATE SERVER a_bob FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '} . $port . q{', dbname 'bobdb');
CREATE USER MAPPING FOR PUBLIC SERVER a_bob OPTIONS (user 'postgres', password 'pw');
CREATE SERVER a_twin FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '} . $port . q{', dbname 'postgres');
CREATE USER MAPPING FOR PUBLIC SERVER a_twin OPTIONS (user 'postgres', password 'pw');
CREATE SERVER a_ear FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '} . $ear . qq{', dbname 'x', passfile '$passfile', connect_timeout '2');
CREATE USER MAPPING FOR PUBLIC SERVER a_ear OPTIONS (user 'postgres');
CREATE SERVER a_mute FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '$ear', dbname 'x', connect_timeout '2');
CREATE USER MAPPING FOR PUBLIC SERVER a_mute OPTIONS (user 'postgres', password 'pw');
});

note 'what is done for the cluster';
is($cluster->sql('SELECT count(*) FROM citus_get_active_worker_nodes()'), '2', 'active workers');
is($cluster->sql('SELECT count(*), bool_and(result) FROM citus_check_cluster_node_health()'), '2|t', 'health');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), '2', 'pg_dist_node');
$cluster->sql(q{
CREATE TABLE salaries (id int PRIMARY KEY, v text);
SELECT create_distributed_table('salaries', 'id', shard_count => 8, colocate_with => 'none');
CREATE TABLE ref (id int PRIMARY KEY, v text);
INSERT INTO ref SELECT i, 'secret' FROM generate_series(1, 10) i;
SELECT create_reference_table('ref');
CREATE TABLE days (d date);
SELECT create_distributed_table('days', 'd', 'range');
SELECT cz_create_range_shard('days', '2020-01-01', '2021-01-01');
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, COMBINEFUNC = int4pl, INITCOND = '0', PARALLEL = safe);
SELECT cz_distribute_aggregate('total(int)');
INSERT INTO salaries SELECT i, 'secret' FROM generate_series(1, 100) i;
});
is($cluster->sql('SELECT count(*), total(id) FROM salaries'), '100|5050', 'the tables work');
is($cluster->sql('SELECT count(DISTINCT id), count(*) FROM salaries s JOIN ref USING (id)'), '10|10', 'joins');
is($cluster->sql(q{SELECT count(*) FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid)}) > 0 ? 'placed' : '', 'placed', 'placements are on workers');
is($cluster->sql(q{SELECT count(*) FROM pg_depend d JOIN pg_foreign_server s ON d.refclassid = 'pg_foreign_server'::regclass AND d.refobjid = s.oid
	WHERE srvname LIKE 'a\_%' AND d.classid = 'pg_class'::regclass}), '0', "no shard is on a server of bob's");
is($cluster->sql('SELECT count(*) FROM citus_tables'), '3', 'citus_tables');
is($cluster->sql('SELECT count(*) > 0 FROM citus_shards'), 't', 'citus_shards');
$cluster->sql("SELECT citus_update_table_statistics('salaries'); SELECT recover_prepared_transactions(); CALL citus_cleanup_orphaned_resources(); ANALYZE");
unlike($cluster->sql('SELECT cz_export_cluster()'), qr/a_bob|a_ear/, 'the cluster file has workers only');
my ($status, $out, $err) = $cluster->try_sql("SELECT citus_disable_node('127.0.0.1', $ear)");
like($err, qr/42704.*does not exist/, 'they are no nodes');
is($cluster->sql("SELECT citus_add_node('127.0.0.1', $port)"), $cluster->sql("SELECT nodeid FROM pg_dist_node WHERE nodeport = $port"),
	'a node that is there is found, although bob has a server of the same address');

is(scalar($select->can_read(0)), undef, "nobody has connected to bob's host");
is($cluster->worker(1)->safe_psql('bobdb', q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'cz%'}, extra_params => [ '-U', 'postgres' ]), '0',
	"nothing of ours is in bob's database");

note 'as with postgres_fdw';
($status, $out, $err) = as_bob(q{
CREATE FOREIGN TABLE sb.mine (id int, v text) SERVER a_bob OPTIONS (schema_name 'public')});
is($status, 0, 'a foreign table') or diag($err);
($status, $out, $err) = as_bob('SELECT * FROM sb.mine');
like($err, qr/ERROR:  2F003/, 'the worker must ask for the password');
$cluster->sql(q{ALTER USER MAPPING FOR PUBLIC SERVER a_bob OPTIONS (ADD password_required 'false'); ALTER USER MAPPING FOR PUBLIC SERVER a_twin OPTIONS (ADD password_required 'false')});
($status, $out, $err) = as_bob(q{
INSERT INTO sb.mine VALUES (2, 'two');
UPDATE sb.mine SET v = upper(v);
SELECT string_agg(v, ' ' ORDER BY id) FROM sb.mine});
is($out, 'ONE TWO', 'foreign tables are read and written') or diag($err);
$cluster->sql('GRANT SELECT ON salaries, ref TO bob; GRANT INSERT ON salaries TO bob');
($status, $out, $err) = as_bob('SELECT m.v, s.v, r.v FROM sb.mine m JOIN salaries s USING (id) JOIN ref r USING (id) ORDER BY 1');
is($out, "ONE|secret|secret\nTWO|secret|secret", 'and joined with distributed tables') or diag($err);
($status, $out, $err) = as_bob("BEGIN; INSERT INTO sb.mine VALUES (3, 'three'); INSERT INTO salaries VALUES (1000, 'x'), (1001, 'y'), (1002, 'z'); COMMIT; SELECT count(*) FROM sb.mine");
is($out, '3', 'a transaction over both') or diag($err);
($status, $out, $err) = as_bob('CREATE FOREIGN TABLE sb.ear (id int) SERVER a_ear; SELECT * FROM sb.ear');
like($err, qr/2F003/, 'a mapping without password is refused');
$cluster->sql(q{SET SESSION AUTHORIZATION bob; CREATE SERVER a_none FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1', port '} . $ear . q{'); CREATE FOREIGN TABLE sb.none (id int) SERVER a_none});
($status, $out, $err) = $cluster->try_sql('SELECT * FROM sb.none');
like($err, qr/42704.*user mapping not found/, 'a superuser needs a mapping, too');
is(scalar($select->can_read(0)), undef, 'still nobody has connected');

note 'options that the extension sets';
for my $option ("checked 'true'", "node_id '77'", "state 'active'", "collation_differs 'true'", "partial_aggregates 'all'", "installed_extensions 'hstore 1.8'")
{
	($status, $out, $err) = as_bob("CREATE SERVER b FOREIGN DATA WRAPPER cz_fdw OPTIONS ($option)");
	like($err, qr/42501/, "CREATE SERVER with $option");
	($status, $out, $err) = as_bob("ALTER SERVER a_bob OPTIONS (ADD $option)");
	like($err, qr/42501/, "ALTER SERVER with $option");
}
($status, $out, $err) = as_bob("ALTER SERVER a_bob OPTIONS (ADD fetch_size '10')");
is($status, 0, 'other options may be changed') or diag($err);

note 'an administrator who is no superuser';
my $server = $cluster->server_name(2);
$cluster->sql(qq{CREATE ROLE ops LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER cz_fdw TO ops; ALTER SERVER $server OWNER TO ops;
GRANT EXECUTE ON FUNCTION citus_disable_node(text, int, boolean), citus_activate_node(text, int) TO ops});
is($cluster->sql('SELECT count(*) FROM citus_get_active_worker_nodes()'), '2', 'a worker stays one when it gets another owner');
is($cluster->sql('SELECT count(*) FROM salaries'), '103', 'its shards are read');
($status, $out, $err) = $cluster->try_sql("SET SESSION AUTHORIZATION ops; ALTER SERVER $server OPTIONS (ADD fetch_size '10')");
is($status, 0, 'the owner may change it') or diag($err);
$cluster->sql("ALTER SERVER $server OWNER TO postgres");

note 'dump and restore';
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-U', 'postgres', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
like(PostgreSQL::Test::Utils::slurp_file($dump), qr/checked 'true'/, 'the dump has the options');
$cluster->sql('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-U', 'postgres', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'copy' ], 'it is restored');
$node->safe_psql('copy', 'SELECT cz_finish_restore()', extra_params => [ '-U', 'postgres' ]);
is($node->safe_psql('copy', 'SELECT count(*) FROM salaries JOIN ref USING (id)', extra_params => [ '-U', 'postgres' ]), '10', 'and serves');
is($node->safe_psql('copy', 'SELECT count(*) FROM citus_get_active_worker_nodes()', extra_params => [ '-U', 'postgres' ]), '2', 'workers and others are what they were');

$cluster->stop;
done_testing();
