# What stands on workers and belongs to nothing is listed; what is surely ours is dropped, and
# never what somebody is making just now: tables that are being distributed, at each step of
# their commit, and moves.  Entries of the clean-up list are worked off by themselves.
use strict;
use warnings;
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3, conf => q{
cz.shard_count = 4
cz.shard_replication_factor = 1
cz.recovery_interval = -1
cz.drop_delay = 0
});
my $node = $cluster->coordinator;
my ($status, $out, $err);

sub listed
{
	my ($pattern) = @_;
	return $cluster->sql("SELECT string_agg(node || ' ' || object_kind || ' ' || object_name || ' ' || reason || ' ' || is_dropped_by_cleanup, E'\\n' ORDER BY object_name) FROM cz_list_orphans() WHERE object_name ~ '$pattern'");
}

my %names = map { $_ => $cluster->server_name($_) } 1 .. 3;
my $cluster_id = $cluster->sql("SELECT replace(cluster_id::text, '-', '') FROM cz.cluster");
$cluster->sql(q{
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
CREATE TABLE parted (k int, d int) PARTITION BY RANGE (d);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (d);
CREATE TABLE parted1a PARTITION OF parted1 DEFAULT;
SELECT create_distributed_table('parted', 'k');
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE ref (id int, m mood);
SELECT create_reference_table('ref');
CREATE TABLE gone (k int);
SELECT create_distributed_table('gone', 'k');
});
my $id = $cluster->sql("SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'gone'::regclass");
$cluster->sql('DROP TABLE gone');
is($cluster->sql('SELECT count(*) FROM cz_list_orphans()'), '0', 'a cluster without orphans');

note 'listed and dropped';
my ($shard_name, $port) = split /\|/, $cluster->sql("SELECT shard_name, nodeport FROM citus_shards WHERE table_name = 't'::regclass LIMIT 1");
$shard_name =~ s{^cz_shards[.]}{};
my ($here) = grep { $cluster->port($_) == $port } 1 .. 3;
my $elsewhere = $here % 3 + 1;
$cluster->worker_sql(1, qq{
CREATE TABLE cz_shards.gone_$id (k int);
CREATE TABLE cz_shards."Odd name_$id" (k int);
CREATE TABLE cz_shards.by_hand (k int);
CREATE TABLE cz_shards.future_999999 (k int);
CREATE TABLE cz_shards.old_$id (k int);
COMMENT ON TABLE cz_shards.old_$id IS 'cz_fdw dropped $cluster_id 77';
CREATE TABLE cz_shards.others_$id (k int);
COMMENT ON TABLE cz_shards.others_$id IS 'cz_fdw dropped 0123456789abcdef0123456789abcdef 77';
CREATE TABLE cz_shards.cz_m77_1 (k int);
CREATE FUNCTION cz_shards.cz_m77_1i() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
});
$cluster->worker_sql($elsewhere, "CREATE TABLE cz_shards.$shard_name (k int, v int)");
is(listed('.'), join("\n", sort { (split / /, $a, 4)[2] cmp (split / /, $b, 4)[2] }
		"$names{1} table cz_shards.gone_$id no table has this shard true",
		"$names{1} table cz_shards.\"Odd name_$id\" no table has this shard true",
		"$names{1} table cz_shards.by_hand not made by this cluster false",
		"$names{1} table cz_shards.future_999999 not made by this cluster false",
		"$names{1} table cz_shards.old_$id left by move 77 true",
		"$names{1} table cz_shards.others_$id marked by another cluster false",
		"$names{1} table cz_shards.cz_m77_1 left by move 77 true",
		"$names{1} function cz_shards.cz_m77_1i() left by move 77 true",
		"$names{$elsewhere} table cz_shards.$shard_name its shard is on other nodes false"), 'all of them, and why')
  or diag(listed('.'));
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->sql('SELECT count(*) FROM cz_list_orphans() WHERE is_dropped_by_cleanup'), '0', 'what is ours is dropped');
is($cluster->sql('SELECT count(*) FROM cz_list_orphans()'), '4', 'other things are not');
is($cluster->sql('SELECT count(*), sum(v) FROM t'), '100|5050', 'nor what is in use');
$cluster->sql("INSERT INTO parted SELECT i, i % 10 FROM generate_series(1, 100) i; INSERT INTO ref VALUES (1, 'sad')");
$cluster->worker_sql($elsewhere, "DROP TABLE cz_shards.$shard_name");
$cluster->worker_sql(1, "DROP TABLE cz_shards.by_hand, cz_shards.future_999999, cz_shards.others_$id");
($status, $out, $err) = $cluster->try_sql('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT * FROM cz_list_orphans()');
like($err, qr/25001/, 'not with an old snapshot');
$cluster->sql('CREATE ROLE clerk LOGIN');
($status, $out, $err) = $cluster->try_sql('SET ROLE clerk; SELECT * FROM cz_list_orphans()');
like($err, qr/42501/, 'superusers only');

note 'never what somebody is making';
my $n = 0;
foreach my $point (qw(distribute-created distribute-loaded distribute-converted before_prepare after_prepare after_local_commit during_commit_prepared after_commit))
{
	$n++;
	my $create = $cluster->start_at($point, "CREATE TABLE made$n (k int); INSERT INTO made$n SELECT generate_series(1, 50); SELECT create_distributed_table('made$n', 'k')");
	my $clean = $cluster->start_sql('CALL citus_cleanup_orphaned_resources()');
	sleep 0.3;
	$cluster->go;
	($status, $out, $err) = $cluster->finish_sql($create, 60);
	is($status, 0, "$point: the table is distributed") or diag($err);
	($status, $out, $err) = $cluster->finish_sql($clean, 60);
	like($err, qr/cleaned up 0 orphaned resources/, "$point: nothing is cleaned up");
	is($cluster->sql("SELECT count(*) FROM made$n"), '50', "$point: all rows are there");
}
my $clean = $cluster->start_at('orphans_surveyed', 'CALL citus_cleanup_orphaned_resources()', 'sweep');
my $create = $cluster->start_sql("CREATE TABLE late (k int); SELECT create_distributed_table('late', 'k'); INSERT INTO late SELECT generate_series(1, 50)");
sleep 0.5;
$cluster->go('sweep');
($status, $out, $err) = $cluster->finish_sql($clean, 60);
like($err, qr/cleaned up 0 orphaned resources/, 'a table that comes while we look');
is(($cluster->finish_sql($create, 60))[0], 0, 'is distributed');
is($cluster->sql('SELECT count(*) FROM late'), '50', 'with all its rows');

my ($shard, $from) = split /\|/, $cluster->sql("SELECT shardid, nodeport FROM citus_shards WHERE table_name = 't'::regclass ORDER BY 1 LIMIT 1");
foreach my $point (qw(move_tables_made move_captured move_rows_copied move_switching))
{
	my $to = $cluster->sql("SELECT min(nodeport) FROM pg_dist_node WHERE nodeport <> $from");
	my $move = $cluster->start_at($point, "SELECT citus_move_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to)");
	$clean = $cluster->start_sql('CALL citus_cleanup_orphaned_resources()');
	sleep 0.3;
	$cluster->go;
	($status, $out, $err) = $cluster->finish_sql($move, 60);
	is($status, 0, "$point: the shard is moved") or diag($err);
	($status, $out, $err) = $cluster->finish_sql($clean, 60);
	is($status, 0, "$point: the clean-up does no harm") or diag($err);
	is($cluster->sql('SELECT count(*), sum(v) FROM t'), '100|5050', "$point: all rows are there");
	$cluster->sql('CALL citus_cleanup_orphaned_resources()');
	is($cluster->sql('SELECT count(*) FROM cz_list_orphans()'), '0', "$point: nothing is left");
	$from = $to;
}

note 'the clean-up list is worked off by itself';
$cluster->sql("CREATE TABLE lost (k int); SELECT create_distributed_table('lost', 'k')");
my $shards = $cluster->shard_tables(3);
$cluster->kill_worker(3);
($status, $out, $err) = $cluster->try_sql('DROP TABLE lost');
is($status, 0, 'DROP TABLE while a worker is down') or diag($err);
cmp_ok($cluster->sql('SELECT count(*) FROM cz.cleanup'), '>', 0, 'the list has its shards');
$cluster->worker_sql(1, 'CREATE ROLE clerk LOGIN; CREATE TABLE cz_shards.not_ours (k int)');
$cluster->sql("CREATE USER MAPPING FOR clerk SERVER $names{1} OPTIONS (user 'clerk', password_required 'false')");
$cluster->sql("INSERT INTO cz.cleanup (server_name, object_name, user_name) VALUES ('$names{1}', 'cz_shards.not_ours', 'clerk')");
$node->append_conf('postgresql.conf', "cz.recovery_interval = 300ms");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT attempts > 0 AND last_error ~ 'must be owner' FROM cz.cleanup WHERE object_name = 'cz_shards.not_ours'"), 'an entry that fails says why');
$cluster->restart_worker(3);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM cz.cleanup"), 'and is in nobody\'s way');
cmp_ok($cluster->shard_tables(3), '<', $shards, 'the shards are gone');
$cluster->worker_sql(1, 'ALTER TABLE cz_shards.not_ours OWNER TO clerk; GRANT USAGE ON SCHEMA cz_shards TO clerk');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM cz.cleanup"), 'it is tried again');

$cluster->stop;
done_testing();
