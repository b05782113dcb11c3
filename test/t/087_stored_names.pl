# Names of collations, functions, servers and roles that the extension's tables hold are those
# that the objects have, after RENAME and SET SCHEMA of them and of their schemas.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 1\ncz.recovery_interval = -1\ncz.health_interval = '1s'\nmax_worker_processes = 20\n");

note 'a collation by which tables are colocated';
$cluster->sql(q{CREATE SCHEMA s; CREATE COLLATION s.de (provider = icu, locale = 'de');
	CREATE TABLE t0 (k text COLLATE s.de); SELECT create_distributed_table('t0', 'k')});
my $n = 0;
foreach my $sql (
	'ALTER COLLATION s.de RENAME TO "D""e"',
	'ALTER COLLATION s."D""e" SET SCHEMA public',
	'ALTER COLLATION public."D""e" SET SCHEMA s',
	'ALTER SCHEMA s RENAME TO "S 2"',
	'BEGIN; ALTER COLLATION "S 2"."D""e" RENAME TO gone; ROLLBACK',
	'ALTER SCHEMA "S 2" RENAME TO s; ALTER COLLATION s."D""e" RENAME TO de')
{
	$cluster->sql($sql);
	$n++;
	my $name = $cluster->sql("SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = 't0'::regclass AND attname = 'k'");
	$cluster->sql("CREATE TABLE t$n (k text COLLATE $name); SELECT create_distributed_table('t$n', 'k')");
	is($cluster->sql("SELECT count(DISTINCT colocation_id) FROM cz.tables WHERE relid IN ('t0'::regclass, 't$n'::regclass)"), '1', "$sql: tables are colocated as before");
	is($cluster->sql("SELECT count(*) FROM pg_dist_colocation WHERE distributioncolumncollation = (SELECT attcollation FROM pg_attribute WHERE attrelid = 't0'::regclass AND attname = 'k')"), '1', '... pg_dist_colocation shows it');
}

note 'functions of a rebalance strategy';
$cluster->sql(q{CREATE FUNCTION s.cost(bigint) RETURNS real LANGUAGE sql AS 'SELECT 1::real'; CREATE FUNCTION s.room(int) RETURNS real LANGUAGE sql AS 'SELECT 1::real';
	CREATE FUNCTION s.may(bigint, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
	SELECT citus_add_rebalance_strategy('own', 's.cost', 's.room', 's.may', 0.1)});
foreach my $sql ('ALTER FUNCTION s.cost(bigint) RENAME TO "Co st"', 'ALTER ROUTINE s.room(int) RENAME TO rooms', 'ALTER FUNCTION s.may SET SCHEMA public', 'ALTER SCHEMA s RENAME TO s3')
{
	$cluster->sql($sql);
	my ($status, $out, $err) = $cluster->try_sql("SELECT count(*) FROM get_rebalance_table_shards_plan('t0', rebalance_strategy => 'own')");
	is($status, 0, "$sql: the strategy is used") or diag($err);
}
is($cluster->sql("SELECT shard_cost_function, node_capacity_function, shard_allowed_on_node_function FROM pg_dist_rebalance_strategy WHERE name = 'own'"), 's3."Co st"(bigint)|s3.rooms(integer)|may(bigint,integer)', 'its functions');

note 'servers, and a role';
$cluster->sql(q{CREATE ROLE clerk LOGIN; GRANT ALL ON SCHEMA public TO clerk; SELECT cz_propagate_role('clerk', password_required => false);
	SET ROLE clerk; CREATE TABLE mine (k int); SELECT create_distributed_table('mine', 'k'); RESET ROLE;
	CREATE TABLE appended (d int, v text); SELECT create_distributed_table('appended', 'd', 'append')});
my $pending = $cluster->sql("SELECT master_create_empty_shard('appended')");
my $name = $cluster->server_name(2);
$cluster->worker(2)->stop('fast');
$cluster->try_sql('SET ROLE clerk; DROP TABLE mine');
cmp_ok($cluster->sql("SELECT count(*) FROM cz.cleanup WHERE server_name = '$name' AND user_name = 'clerk'"), '>', 0, 'something is left to be dropped');
$cluster->sql("ALTER SERVER $_ RENAME TO \"$_ New\"") foreach map { $cluster->server_name($_) } 1 .. 3;
$cluster->sql('ALTER ROLE clerk RENAME TO "Clerk"');
is($cluster->sql('SELECT DISTINCT server_name, user_name FROM cz.cleanup'), "$name New|Clerk", 'by their new names');
is($cluster->sql("SELECT count(*) FROM cz.pending_shards p, unnest(server_names) s WHERE s NOT IN (SELECT srvname FROM pg_foreign_server)"), '0', 'pending shards, too');
$cluster->worker(2)->start;
$cluster->sql("CREATE TABLE source AS SELECT i AS d, 'v' AS v FROM generate_series(1, 5) i; SELECT master_append_table_to_shard($pending, 'source', 'localhost', current_setting('port')::int)");
is($cluster->sql('SELECT count(*) FROM appended'), '5', '... are filled');
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->sql('SELECT count(*) FROM cz.cleanup'), '0', 'all is dropped');
is($cluster->orphans(5), '', 'nothing is left');

done_testing();
