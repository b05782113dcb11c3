# A dump of the coordinator that is older than the cluster: since then shards were moved,
# tables dropped and created, placements copied.  Restored, cz_finish_restore() tells what is
# different, and repairs what can be known.  And dumps of the rows, restored on other workers.
use strict;
use warnings;
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => q{
cz.shard_count = 4
cz.shard_replication_factor = 1
cz.recovery_interval = -1
cz.drop_delay = 0
});
my $node = $cluster->coordinator;
my ($status, $out, $err);

sub finish
{
	my ($database, $args) = @_;
	return $node->safe_psql($database,
		'SELECT coalesce(table_name, \'-\'), coalesce(shard_id::text, \'-\'), coalesce(node, \'-\'), problem, action FROM cz_finish_restore(' . ($args // '') . ') ORDER BY 1, 2, 3, 4');
}

sub dump_database
{
	my ($file, @options) = @_;
	$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, @options, '-f', $file, 'postgres' ], 'pg_dump');
	return;
}

sub restore_dump
{
	my ($file, $database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $file, $database ],
		"restored as $database");
	return;
}

$cluster->sql(<<'SQL');
CREATE COLLATION de (provider = icu, locale = 'de');
CREATE TABLE kept (k int PRIMARY KEY, v int);
CREATE TABLE with_kept (k int, v text);
CREATE TABLE coll (k text COLLATE de, v int);
CREATE TABLE dropped (k int PRIMARY KEY, v int);
CREATE TABLE altered (k int PRIMARY KEY, v int);
CREATE TABLE parted (k int, d int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE ref (id int PRIMARY KEY, v text);
SELECT create_distributed_table('kept', 'k'), create_distributed_table('with_kept', 'k', colocate_with => 'kept'),
	create_distributed_table('dropped', 'k', colocate_with => 'none'), create_distributed_table('altered', 'k', colocate_with => 'none'),
	create_distributed_table('parted', 'k', colocate_with => 'none'), create_distributed_table('coll', 'k');
SELECT create_reference_table('ref');
INSERT INTO kept SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO with_kept SELECT i, 'w' || i FROM generate_series(1, 100) i;
INSERT INTO dropped SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO altered SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO parted SELECT i, i % 100 FROM generate_series(1, 100) i;
INSERT INTO coll VALUES ('a', 1), ('b', 2);
INSERT INTO ref VALUES (1, 'one');
CREATE INDEX kept_v ON kept (v);
SELECT citus_add_rebalance_strategy('mine', 'citus_shard_cost_1', 'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 0.3);
SQL
my $dump = $node->basedir . '/old.sql';
dump_database($dump);

note 'what happens after the dump';
my ($shard, $from_port) = split /\|/, $cluster->sql(q{SELECT s.shardid, p.nodeport FROM pg_dist_shard s JOIN pg_dist_shard_placement p USING (shardid) WHERE logicalrelid = 'kept'::regclass ORDER BY 1 LIMIT 1});
my $to_port = $cluster->sql("SELECT min(nodeport) FROM pg_dist_node WHERE nodeport <> $from_port");
my ($from_name, $to_name) = map { $cluster->sql("SELECT srvname FROM pg_foreign_server WHERE 'port=$_' = ANY (srvoptions)") } ($from_port, $to_port);
$cluster->sql("SELECT citus_move_shard_placement($shard, '127.0.0.1', $from_port, '127.0.0.1', $to_port)");
my $with_shard = $cluster->sql(q{SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'with_kept'::regclass});
my ($pshard, $pfrom) = split /\|/, $cluster->sql(q{SELECT s.shardid, p.nodeport FROM pg_dist_shard s JOIN pg_dist_shard_placement p USING (shardid) WHERE logicalrelid = 'parted'::regclass ORDER BY 1 LIMIT 1});
my $pto = $cluster->sql("SELECT min(nodeport) FROM pg_dist_node WHERE nodeport <> $pfrom");
$cluster->sql("SELECT citus_move_shard_placement($pshard, '127.0.0.1', $pfrom, '127.0.0.1', $pto)");
my $dropped = join '|', split /\n/, $cluster->sql(q{SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'dropped'::regclass ORDER BY 1});
$cluster->sql('DROP TABLE dropped');
$cluster->sql("ALTER TABLE altered ADD COLUMN w int; CREATE TABLE young (k int); SELECT create_distributed_table('young', 'k', colocate_with => 'none'); INSERT INTO young SELECT generate_series(1, 50)");
$cluster->sql("INSERT INTO ref VALUES (2, 'two'); UPDATE kept SET v = v + 1");
my $greatest = $cluster->sql('SELECT max(shardid) FROM pg_dist_shard');
my $cluster_id = $cluster->sql("SELECT replace(cluster_id::text, '-', '') FROM cz.cluster");
$cluster->worker_sql(1, "BEGIN; CREATE TABLE public.half (); PREPARE TRANSACTION 'cz_${cluster_id}_1_99999_0000abcd_0'");
$cluster->worker_sql(2, "BEGIN; CREATE TABLE public.half (); PREPARE TRANSACTION 'cz_${cluster_id}_1_99999_0000abcd_1'");
my $kept = $cluster->sql('SELECT sum(v) FROM kept');

note 'the old dump is restored';
restore_dump($dump, 'old');
is($node->safe_psql('old', "SELECT name FROM pg_dist_rebalance_strategy WHERE name = 'mine'"), 'mine', 'a rebalance strategy is in the dump');
is($node->safe_psql('old', "SELECT key_collation FROM cz.colocation WHERE key_collation <> ''"), 'public.de', 'a collation is, by its name');
$out = finish('old');
like($out, qr/^public.kept\|$shard\|$from_name\|the placement is not there\|taken out of the catalogs$/m, 'a shard that has moved: where it was');
like($out, qr/^public.kept\|$shard\|$to_name\|the shard is there\|put into the catalogs$/m, 'and where it is');
like($out, qr/^public.with_kept\|$with_shard\|$to_name\|the shard is there\|put into the catalogs$/m, 'that of the colocated table, too');
like($out, qr/^public.parted\|$pshard\|\w+\|the shard is there\|put into the catalogs$/m, 'and one of a partitioned table');
unlike($out, qr/^public.parted1\|/m, 'its partition goes with it');
my @gone = $out =~ /^public.dropped\|($dropped)\|-\|the shard is on no node\|none: statements that need it fail$/mg;
is(scalar @gone, 4, 'shards that were dropped since');
my @changed = $out =~ /^public.altered\|\d+\|\w+\|its columns are others than those of the table\|/mg;
is(scalar @changed, 4, 'shards that were altered since');
my @young = $out =~ /^young_\d+\|\d+\|\w+\|the catalogs do not have this table\|none$/mg;
is(scalar @young, 4, 'a table that was created since');
my @copies = $out =~ /^public.ref\|\d+\|\w+\|the copy has other rows than the table here\|/mg;
is(scalar @copies, 3, 'copies of a reference table are newer than its rows here');
like($out, qr/^-\|-\|-\|numbers of shards were given out up to $greatest\|the next ones are greater$/m, 'numbers of shards');
my @prepared = $out =~ /^-\|-\|\w+\|transaction "cz_${cluster_id}_1_99999_0000abcd_[01]" was prepared at [^|]+\|none: after cz_take_over/mg;
is(scalar @prepared, 2, 'transactions that were prepared');
is($node->safe_psql('old', 'SELECT sum(v) FROM kept'), $kept, 'all rows of a table whose shard has moved');
is($node->safe_psql('old', 'SELECT count(*) FROM kept JOIN with_kept USING (k)'), '100', 'with those of the colocated one');
is($node->safe_psql('old', 'SELECT count(*) FROM parted'), '100', 'and of a partitioned one');
is($node->safe_psql('old', "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid IN ('kept'::regclass, 'parted'::regclass)"), 't', 'indexes are valid');
($status, $out, $err) = $node->psql('old', 'SELECT count(*) FROM dropped');
like($err, qr/relation "public.dropped" does not exist/, 'what is gone is not silently empty');
$out = finish('old');
unlike($out, qr/^public.(kept|with_kept|parted)\|/m, 'once more: what was repaired is right');

note 'it only reads';
($status, $out, $err) = $node->psql('old', "SELECT * FROM cz_finish_restore('rollback')");
like($err, qr/not the coordinator of its cluster/, 'prepared transactions are ended by the coordinator only');
($status, $out, $err) = $node->psql('old', "SELECT * FROM cz_finish_restore(missing => 'create')");
like($err, qr/not the coordinator of its cluster/, 'and shards made');
($status, $out, $err) = $node->psql('old', "SELECT * FROM cz_finish_restore('perhaps')");
like($err, qr/invalid value of "prepared": "perhaps"/, 'a choice that there is not');
is($cluster->sql('SELECT count(*), sum(v) FROM kept'), "100|$kept", 'the original goes on');
$cluster->sql('INSERT INTO kept VALUES (1001, 0); DELETE FROM kept WHERE k = 1001');

note 'what only looks like an orphan';
is($node->safe_psql('old', q{SELECT string_agg(DISTINCT is_dropped_by_cleanup::text || ' ' || reason, ', ' ORDER BY is_dropped_by_cleanup::text || ' ' || reason) FROM cz_list_orphans() WHERE object_name LIKE '%young%'}),
	'false made after the dump from which this database was restored', 'tables that were made after the dump are not for the clean-up');

note 'take over';
is($node->safe_psql('old', 'SELECT cz_take_over()'), '2', 'it takes over');
$node->safe_psql('old', 'CALL citus_cleanup_orphaned_resources()');
is($cluster->worker_sql(1, "SELECT count(*) > 0 FROM pg_class WHERE relname LIKE 'young%'"), 't', 'nor does the clean-up drop them');
$out = finish('old', "'rollback'");
@prepared = $out =~ /\|transaction "cz_${cluster_id}_1_99999_0000abcd_[01]" was prepared at [^|]+\|rolled back$/mg;
is(scalar @prepared, 2, 'the former prepared transactions are rolled back');
is($cluster->worker_sql($_, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "worker $_ has none") foreach 1 .. 2;
$node->safe_psql('old', "CREATE TABLE next (k int); SELECT create_distributed_table('next', 'k', colocate_with => 'none')");
cmp_ok($node->safe_psql('old', 'SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = \'next\'::regclass'), '>', $greatest, 'new shards have numbers of their own');
$node->safe_psql('old', 'INSERT INTO kept VALUES (1000, 0); UPDATE kept SET v = v + 1; DELETE FROM kept WHERE k = 1000');
is($node->safe_psql('old', 'SELECT sum(v) FROM kept'), $kept + 100, 'it writes');
$node->safe_psql('old', "CREATE TABLE coll2 (k text COLLATE de); SELECT create_distributed_table('coll2', 'k')");
is($node->safe_psql('old', q{SELECT count(DISTINCT colocationid) FROM pg_dist_partition WHERE logicalrelid IN ('coll'::regclass, 'coll2'::regclass)}), '1',
	'a table of the same collation joins the group');
$node->safe_psql('old', "DROP TABLE dropped, next, coll2; SELECT * FROM cz_verify_placements(); SELECT cz_repair_placements()");
is($node->safe_psql('old', 'SELECT count(*) FROM ref'), '1', 'the reference table is that of the dump');
is($node->safe_psql('old', 'SELECT count(*) FROM kept JOIN ref ON ref.id = kept.k'), '1', 'on the workers, too');
is($node->safe_psql('old', 'SELECT count(*) FROM pg_dist_partition WHERE logicalrelid::text = \'dropped\''), '0', 'a table without shards can be dropped');

$cluster->stop;
done_testing();
