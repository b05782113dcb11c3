# What a shard has besides rows: constraints that are NOT VALID, which not all rows fulfil, CLUSTER
# ON, REPLICA IDENTITY, storage parameters, statistics targets and options of columns.  After
# create_distributed_table, moves, splits, repairs and other distributions the shards look like
# their table, and all rows are there.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.shard_count = 2\ncz.shard_replication_factor = 1\ncz.recovery_interval = -1\ncz.health_interval = '1s'\ncz.drop_delay = '100ms'\nmax_worker_processes = 20\n");
my $version = $cluster->sql('SHOW server_version_num');

# d.x is distributed, o.x the same and ordinary
my $tables = q{
	CREATE TABLE S.ref (id int PRIMARY KEY, v int, note text);
	CREATE TABLE S.main (k int PRIMARY KEY, v int, note text, u int NOT NULL, big text, UNIQUE (k, u) WITH (fillfactor = 60), FOREIGN KEY (v) REFERENCES S.ref);
	CREATE TABLE S.item (k int, i int, v int, w int);
	CREATE TABLE S.part (k int, d int, v int, w int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
	CREATE TABLE S.part_1 PARTITION OF S.part FOR VALUES FROM (0) TO (10);
	CREATE TABLE S.part_2 PARTITION OF S.part DEFAULT PARTITION BY LIST (d);
	CREATE TABLE S.part_3 PARTITION OF S.part_2 DEFAULT;
	CREATE TABLE S.lone (v int);
	INSERT INTO S.ref SELECT i, i FROM generate_series(1, 20) i;
	INSERT INTO S.main SELECT i, 1 + i % 20, CASE WHEN i % 7 > 0 THEN 'n' || i END, i, 'b' FROM generate_series(1, 60) i;
	INSERT INTO S.item SELECT i, i, i, i FROM generate_series(1, 90) i;
	INSERT INTO S.part SELECT i, i % 20, i, CASE WHEN i NOT IN (7, 14) THEN i END FROM generate_series(1, 60) i;
	INSERT INTO S.lone SELECT generate_series(1, 20);
	ALTER TABLE S.ref ADD CONSTRAINT small CHECK (v < 15) NOT VALID;
	ALTER TABLE S.main ADD CONSTRAINT "sm""all" CHECK (u < 50) NOT VALID, ADD CONSTRAINT fine CHECK (u > 0) NOT VALID, ADD CHECK (u < 1000);
	ALTER TABLE S.item ADD CONSTRAINT small CHECK (i < 50) NOT VALID, ADD CONSTRAINT of_main FOREIGN KEY (k) REFERENCES S.main NOT VALID,
		ADD CONSTRAINT of_ref FOREIGN KEY (v) REFERENCES S.ref NOT VALID;
	ALTER TABLE S.part ADD CONSTRAINT small CHECK (v < 50) NOT VALID;
	ALTER TABLE S.part_3 ADD CONSTRAINT tiny CHECK (v < 40) NOT VALID;
	ALTER TABLE S.part_1 ADD CONSTRAINT mini CHECK (v < 30) NOT VALID;
	ALTER TABLE S.lone ADD CONSTRAINT small CHECK (v < 15) NOT VALID};
$tables .= q{;
	ALTER TABLE S.main ADD CONSTRAINT noted NOT NULL note NOT VALID;
	ALTER TABLE S.part ADD CONSTRAINT with_w NOT NULL w NOT VALID; ALTER TABLE S.lone ADD CONSTRAINT not_enforced CHECK (v < 0) NOT ENFORCED} if $version >= 180000;
my $marks = q{
	CREATE INDEX main_u ON S.main (u, (k + 1)) WITH (fillfactor = 50);
	CREATE UNIQUE INDEX item_key ON S.item (k, i);
	ALTER TABLE S.item ALTER k SET NOT NULL, ALTER i SET NOT NULL, REPLICA IDENTITY USING INDEX item_key, CLUSTER ON item_key;
	ALTER TABLE S.main CLUSTER ON main_u, REPLICA IDENTITY FULL, SET (fillfactor = 80, toast.autovacuum_enabled = false),
		ALTER u SET STATISTICS 300, ALTER v SET (n_distinct = 20, n_distinct_inherited = 21), ALTER big SET STORAGE EXTERNAL, ALTER note SET COMPRESSION pglz;
	ALTER INDEX S.main_u ALTER COLUMN 2 SET STATISTICS 500;
	ALTER TABLE S.part_1 CLUSTER ON part_1_pkey, SET (fillfactor = 70), ALTER v SET STATISTICS 200, ALTER w SET (n_distinct = 3);
	ALTER TABLE S.part_3 REPLICA IDENTITY USING INDEX part_3_pkey;
	ALTER TABLE S.lone REPLICA IDENTITY NOTHING;
	ALTER TABLE S.ref CLUSTER ON ref_pkey, REPLICA IDENTITY FULL, ALTER v SET STATISTICS 400, ALTER note SET (n_distinct = 5)};
my @distributed = qw(main item part lone);
my @tables = ('ref', @distributed);

sub both
{
	my ($sql) = @_;
	foreach my $schema (qw(d o))
	{
		(my $mine = $sql) =~ s/\bS\./$schema./g;
		$cluster->sql($mine);
	}
	return;
}

sub contents
{
	my ($schema) = @_;
	return $cluster->sql(join '; ', map { "SELECT '$_', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM $schema.$_ t" } @tables);
}

# What must be true after everything
sub is_right
{
	my ($what) = @_;
	is($cluster->sql('SELECT table_name, object, node, expected, found FROM (SELECT * FROM cz_check_shards()) AS c (table_name, shardid, node, object, expected, found)'), '', "$what: shards look like their tables");
	is(contents('d'), contents('o'), "$what: all rows");
	is($cluster->differing_placements, '', "$what: placements are equal");
	# what is new is checked, on the workers too
	foreach (
		[ "INSERT INTO d.main VALUES (1000, 1, 'n', 60)", '23514' ],
		[ "UPDATE d.main SET big = 'c' WHERE k = 55", '23514' ],
		[ 'INSERT INTO d.item VALUES (1, 55, 1)', '23514' ],
		[ 'INSERT INTO d.item VALUES (77, 2, 1)', '23503' ],
		[ 'INSERT INTO d.item VALUES (1, 2, 88)', '23503' ],
		[ 'UPDATE d.part SET w = 1 WHERE k = 55', '23514' ],
		[ 'INSERT INTO d.part VALUES (2, 2, 35, 1)', '23514' ],
		[ 'INSERT INTO d.ref VALUES (30, 20)', '23514' ],
		[ 'UPDATE d.lone SET v = v + 1', '23514' ],
		$version >= 180000 ? ([ "UPDATE d.main SET big = 'c' WHERE k = 14", '23502' ], [ "UPDATE d.part SET d = d WHERE k = 14", '23502' ]) : ())
	{
		my ($status, $out, $err) = $cluster->try_sql($_->[0]);
		like($err, qr/ERROR:  $_->[1]/, "$what: $_->[1]: $_->[0]") if $_->[0] !~ /d\.lone/ || $cluster->sql("SELECT count(*) FROM cz.tables WHERE relid = 'd.lone'::regclass") eq '1';
	}
	return;
}

sub shards_of
{
	my ($table) = @_;
	return split /\n/, $cluster->sql("SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'd.$table'::regclass ORDER BY 1");
}

sub move
{
	my ($shard, $mode) = @_;
	my ($from, $to) = split /\|/, $cluster->sql("SELECT min(nodeport), (SELECT min(nodeport) FROM pg_dist_node n WHERE noderole = 'primary' AND n.nodeport NOT IN (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = $shard))
		FROM pg_dist_shard_placement WHERE shardid = $shard");
	return $cluster->try_sql("SET statement_timeout = '60s'; SELECT citus_move_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to, '$mode')");
}

$cluster->sql('CREATE SCHEMA d; CREATE SCHEMA o');
both($tables);
$cluster->sql(q{SELECT create_reference_table('d.ref'); SELECT create_distributed_table('d.main', 'k'), create_distributed_table('d.item', 'k', colocate_with => 'd.main'),
	create_distributed_table('d.part', 'k', colocate_with => 'd.main'), create_distributed_table('d.lone', NULL)});
both($marks);
is_right('distributed');

foreach my $mode (qw(auto block_writes))
{
	foreach my $table (qw(main lone))
	{
		foreach my $shard (shards_of($table))
		{
			my ($status, $out, $err) = move($shard, $mode);
			is($status, 0, "a shard of $table moves, $mode") or diag($err);
			unlike($err, qr/begins again/, '... at once');
		}
	}
	is_right("moved, $mode");
}

note 'splits';
foreach my $mode (qw(auto block_writes))
{
	my ($shard) = shards_of('main');
	my ($status, $out, $err) = $cluster->try_sql("SELECT cz_split_shard($shard, shard_transfer_mode => '$mode')");
	is($status, 0, "a shard is split, $mode") or diag($err);
	is_right("split, $mode");
}

note 'other distributions';
# tables with another replica identity than the default one are not distributed again
both('ALTER TABLE S.main REPLICA IDENTITY DEFAULT; ALTER TABLE S.item REPLICA IDENTITY DEFAULT; ALTER TABLE S.part_3 REPLICA IDENTITY DEFAULT');
$cluster->sql("SELECT alter_distributed_table('d.main', shard_count => 2, cascade_to_colocated => true)");
is_right('alter_distributed_table');
both('ALTER TABLE S.main REPLICA IDENTITY FULL; ALTER TABLE S.item REPLICA IDENTITY USING INDEX item_key; ALTER TABLE S.part_3 REPLICA IDENTITY USING INDEX part_3_pkey');
$cluster->sql("SELECT undistribute_table('d.lone')");
is($cluster->sql("SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'd.lone'::regclass AND conname = 'small'"), 'small|f', 'undistribute_table');
is(contents('d'), contents('o'), '... all rows');
$cluster->sql("SELECT create_distributed_table_concurrently('d.lone', 'v')");
is_right('create_distributed_table_concurrently');
my ($w, $not_null) = $version >= 180000 ? ('NULL', 'ALTER TABLE d.part_4 ADD CONSTRAINT with_w NOT NULL w NOT VALID; ALTER TABLE o.part DROP CONSTRAINT with_w;') : (2, '');
$cluster->sql(qq{CREATE TABLE d.part_4 (v int, d int NOT NULL, k int NOT NULL, w int, x int); INSERT INTO d.part_4 VALUES (30, 500, 1, 1), (60, 500, 2, $w); ALTER TABLE d.part_4 DROP x; $not_null
	ALTER TABLE d.part_4 ADD CONSTRAINT small CHECK (v < 50) NOT VALID, ADD CONSTRAINT own CHECK (v < 50) NOT VALID;
	ALTER TABLE d.part ATTACH PARTITION d.part_4 FOR VALUES FROM (500) TO (501)});
$cluster->sql('INSERT INTO o.part VALUES (1, 500, 30, 1); ALTER TABLE o.part DROP CONSTRAINT small; ALTER TABLE o.part_3 DROP CONSTRAINT tiny; INSERT INTO o.part VALUES (2, 500, 60, ' . "$w)");
is_right('a partition is attached');

note 'repairs';
foreach my $shard (shards_of('main'))
{
	my ($from, $to) = split /\|/, $cluster->sql("SELECT min(nodeport), (SELECT min(nodeport) FROM pg_dist_node n WHERE n.nodeport NOT IN (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = $shard))
		FROM pg_dist_shard_placement WHERE shardid = $shard");
	$cluster->sql("SELECT citus_copy_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to)");
}
is_right('more placements');
foreach my $ddl ('', 'ALTER TABLE S.main ALTER v SET STATISTICS 77, ALTER u SET (n_distinct = 9); ALTER TABLE S.item SET WITHOUT CLUSTER; ALTER TABLE S.item REPLICA IDENTITY NOTHING',
	'ALTER TABLE S.main ADD CONSTRAINT later CHECK (k < 55) NOT VALID')
{
	$cluster->worker(2)->stop('fast');
	both("UPDATE S.main SET big = big || 'x' WHERE u < 40 AND note IS NOT NULL; UPDATE S.item SET w = w + 1 WHERE k < 20; DELETE FROM S.part WHERE k = 3; UPDATE S.ref SET note = 'x' WHERE v < 10");
	both($ddl) if $ddl;
	cmp_ok($cluster->sql('SELECT count(*) FROM cz.placement_state'), '>', 0, 'placements are inactive');
	$cluster->worker(2)->start;
	# as soon as the node is known to be up
	for (1 .. 120)
	{
		my ($status, $out, $err) = $cluster->try_sql("SET statement_timeout = '60s'; SELECT cz_repair_placements()");
		last if $err eq '';
		sleep 0.5;
	}
	is($cluster->sql('SELECT count(*) FROM cz.placement_state'), '0', 'all placements are active');
	is_right($ddl ? 'repaired, with DDL' : 'repaired');
}

note 'VALIDATE CONSTRAINT, on shards of all these ways';
my ($status, $out, $err) = $cluster->try_sql('ALTER TABLE d.main VALIDATE CONSTRAINT "sm""all"');
like($err, qr/23514/, 'rows are looked at');
$cluster->sql('ALTER TABLE d.main VALIDATE CONSTRAINT fine');
is($cluster->sql('SELECT * FROM cz_check_shards()'), '', 'it is valid on all shards');
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->orphans(5), '', 'nothing is left');

done_testing();
