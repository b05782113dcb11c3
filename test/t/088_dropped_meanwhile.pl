# What another session drops while a statement or a function of ours waits for its lock: no
# statement crashes, and none says XX000.  All statements of a round wait for one DROP, which
# is then committed.
use strict;
use warnings;
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.recovery_interval = '300ms'\nmax_worker_processes = 40\nlog_min_messages = warning\ndeadlock_timeout = '200ms'\n");
my $node = $cluster->coordinator;
my @ports = map { $cluster->port($_) } 1 .. 3;

# a is the oldest of its group, b lies in it; r is a reference table, p is partitioned, s has
# no distribution column
sub make
{
	$cluster->sql(q{
	SET client_min_messages = warning;
	SELECT citus_job_cancel(job_id) FROM cz.job WHERE finished_at IS NULL;
	DROP TABLE IF EXISTS a, b, r, p, s, n, z, like_it, ctas, new1, new2, new3, new4, new5 CASCADE;
	DROP PUBLICATION IF EXISTS pub, one;
	SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', true) FROM pg_dist_node;
	SET cz.shard_replication_factor = 2;
	CREATE TABLE a (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('a', 'k', shard_count => 4);
	CREATE TABLE b (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('b', 'k', colocate_with => 'a');
	CREATE TABLE p (k int, v int, PRIMARY KEY (k, v)) PARTITION BY RANGE (v);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
	SELECT create_distributed_table('p', 'k', colocate_with => 'a');
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_reference_table('r');
	CREATE TABLE s (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('s', NULL);
	CREATE TABLE n (k int PRIMARY KEY, v int);
	INSERT INTO a SELECT i, i FROM generate_series(1, 10) i;
	INSERT INTO p SELECT i, i FROM generate_series(1, 10) i;
	INSERT INTO r SELECT i, i FROM generate_series(1, 10) i;
	});
	return;
}

# Of the whole cluster
my @general = (
	'SELECT * FROM citus_tables', 'SELECT * FROM citus_shards', 'SELECT * FROM pg_dist_placement',
	'SELECT * FROM pg_dist_shard', 'SELECT * FROM pg_dist_partition', 'SELECT * FROM pg_dist_shard_placement',
	'SELECT * FROM cz_shard_ranges', 'SELECT * FROM cz_table_activity', 'SELECT * FROM cz_stat_worker', 'SELECT * FROM cz_nodes',
	'SELECT * FROM citus_stat_activity', 'SELECT * FROM citus_lock_waits', 'SELECT * FROM citus_shard_sizes()',
	'SELECT * FROM cz_check_shards()', 'SELECT * FROM cz_verify_placements()', 'SELECT * FROM cz_list_orphans()',
	'CALL citus_cleanup_orphaned_resources()', 'SELECT cz_export_cluster()', 'SELECT count(*) FROM cz_dump_script()',
	'SELECT * FROM get_rebalance_table_shards_plan()', 'SELECT rebalance_table_shards()',
	'SELECT replicate_table_shards(shard_replication_factor => 1)', 'SELECT cz_repair_placements()', 'SELECT cz_propagate_privileges()',
	'SELECT * FROM cz_finish_restore()', 'SELECT * FROM cz_prepare_upgrade()', 'SELECT recover_prepared_transactions()',
	q{SELECT citus_create_restore_point('x')}, 'ANALYZE', 'VACUUM', "SELECT citus_activate_node('127.0.0.1', $ports[0])",
	"SELECT citus_drain_node('127.0.0.1', $ports[2])", q{CREATE TABLE new1 (k int); SELECT create_distributed_table('new1', 'k')},
	q{CREATE TABLE new2 (k int); SELECT create_reference_table('new2')}, q{CREATE TABLE new3 (k int PRIMARY KEY) PARTITION BY RANGE (k); CREATE TABLE new31 PARTITION OF new3 DEFAULT; SELECT create_distributed_table('new3', 'k')},
	q{SELECT * FROM run_command_on_all_nodes('SELECT 1')}, 'REINDEX DATABASE postgres', 'CREATE PUBLICATION pub FOR ALL TABLES',
	'SELECT citus_rebalance_start()', 'SELECT * FROM cz.placement_list()', 'SELECT * FROM cz.shard_list()', 'SELECT * FROM cz.table_list()');
# Of one table; $T
my @of_table = (
	'SELECT count(*) FROM $T', 'SELECT * FROM $T WHERE k = 1', 'SELECT * FROM $T JOIN b USING (k)', 'INSERT INTO $T VALUES (100, 1)',
	'INSERT INTO $T SELECT k + 200, v FROM b', 'INSERT INTO b SELECT k + 200, v FROM $T', 'UPDATE $T SET v = v + 1', 'DELETE FROM $T WHERE k = 2', 'COPY $T TO STDOUT',
	'COPY (SELECT * FROM $T) TO STDOUT', 'COPY $T FROM PROGRAM \'echo 300,1\' (FORMAT csv)', 'TRUNCATE $T', 'TRUNCATE $T, b', 'ANALYZE $T', 'VACUUM $T', 'VACUUM FULL $T', 'REINDEX TABLE $T',
	'REINDEX TABLE CONCURRENTLY $T', 'CREATE INDEX CONCURRENTLY ON $T (v)', 'CREATE INDEX ON $T (v)', 'DROP INDEX CONCURRENTLY $T_pkey', 'CLUSTER $T USING $T_pkey', 'LOCK TABLE $T', 'ALTER TABLE $T ADD COLUMN x int',
	'ALTER TABLE b ADD FOREIGN KEY (k) REFERENCES $T', 'ALTER TABLE n ADD FOREIGN KEY (k) REFERENCES $T', 'ALTER TABLE $T ADD FOREIGN KEY (k) REFERENCES r', 'ALTER TABLE $T RENAME TO z', 'ALTER TABLE $T RENAME v TO w', 'ALTER TABLE $T OWNER TO postgres', 'ALTER TABLE $T SET SCHEMA public',
	'GRANT SELECT ON $T TO PUBLIC', 'DROP TABLE $T', 'COMMENT ON TABLE $T IS \'x\'', 'CREATE TABLE like_it (LIKE $T INCLUDING ALL)', 'CREATE STATISTICS ON k, v FROM $T', 'CREATE PUBLICATION one FOR TABLE $T', 'CREATE VIEW v AS SELECT * FROM $T',
	'CREATE RULE ru AS ON DELETE TO $T DO INSTEAD NOTHING', 'CREATE TRIGGER tr BEFORE INSERT ON $T FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	q{SELECT citus_table_size('$T')}, q{SELECT citus_relation_size('$T'), citus_total_relation_size('$T')}, q{SELECT * FROM cz_check_shards('$T')}, q{SELECT * FROM cz_verify_placements('$T')},
	q{SELECT cz_repair_placements('$T')}, q{SELECT citus_update_table_statistics('$T')}, q{SELECT replicate_table_shards('$T', shard_replication_factor => 1)}, q{SELECT rebalance_table_shards('$T')},
	q{SELECT * FROM get_rebalance_table_shards_plan('$T')}, q{SELECT undistribute_table('$T')}, q{SELECT alter_distributed_table('$T', shard_count => 8, cascade_to_colocated => true)},
	q{SELECT alter_distributed_table('$T', colocate_with => 'none')}, q{SELECT update_distributed_table_colocation('$T', 'none')}, q{SELECT update_distributed_table_colocation('b', '$T')},
	q{SELECT get_shard_id_for_distribution_column('$T', 1)}, q{SELECT * FROM run_command_on_shards('$T', 'SELECT 1 FROM %s')}, q{SELECT * FROM run_command_on_placements('$T', 'SELECT 1 FROM %s')}, q{SELECT * FROM run_command_on_colocated_placements('$T', 'b', 'SELECT 1 FROM %s, %s')},
	q{SELECT truncate_local_data_after_distributing_table('$T')}, q{SELECT isolate_tenant_to_new_shard('$T', 1, shard_transfer_mode => 'block_writes')}, q{SELECT isolate_tenant_to_new_shard('b', 1, cascade_option => 'CASCADE', shard_transfer_mode => 'block_writes')}, q{SELECT cz_propagate_privileges('$T')},
	q{SELECT alter_table_set_access_method('$T', 'heap')}, q{SELECT fix_partition_shard_index_names('$T')},
	q{SELECT citus_move_shard_placement((SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'b'::regclass LIMIT 1), '127.0.0.1', } . "$ports[0], '127.0.0.1', $ports[1])",
	q{SELECT citus_split_shard_by_split_points((SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'b'::regclass ORDER BY 1 LIMIT 1), ARRAY['-2000000000'], ARRAY(SELECT nodeid FROM pg_dist_node ORDER BY 1 LIMIT 2), 'block_writes')},
	q{CREATE TABLE new4 (k int); SELECT create_distributed_table('new4', 'k', colocate_with => '$T')}, q{CREATE TABLE new5 (k int REFERENCES $T); SELECT create_distributed_table('new5', 'k')},
	'EXPLAIN SELECT * FROM $T', 'SELECT * FROM $T FOR UPDATE', 'MERGE INTO b USING $T ON b.k = $T.k WHEN MATCHED THEN DELETE', 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM $T; FETCH 1 FROM c; COMMIT', 'CREATE TABLE ctas AS SELECT * FROM $T');
my $only = $ENV{CZ_ONLY};

sub round_of
{
	my ($name, $drop, @statements) = @_;
	make();
	@statements = grep { /$only/ } @statements if defined $only;
	while (my @some = splice @statements, 0, 32)
	{
		my $dropper = $cluster->start_sql("BEGIN; $drop; SELECT pg_sleep(3) /* holds */; COMMIT");
		$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%/* holds */%' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()})
			or die 'nothing is dropped';
		my @handles = map { $cluster->start_sql("SET statement_timeout = '60s'; SET lock_timeout = '50s'; $_") } @some;
		my ($status, undef, $err) = $cluster->finish_sql($dropper, 60);
		is($status, 0, "$name, for which they wait") or diag($err);
		foreach my $i (0 .. $#some)
		{
			(undef, undef, $err) = $cluster->finish_sql($handles[$i], 90);
			# plain PostgreSQL says that of GRANT, too
			$err =~ s/XX000: tuple concurrently deleted//;
			# core has listed a table that is distributed, and partitioned, when its turn comes
			$err =~ s/XX000: cannot reindex partitioned table// if $some[$i] =~ /REINDEX DATABASE/;
			ok($err !~ /XX\d\d\d|57P0[23]|08006|server closed|\(null\)/, "$name: $some[$i]") or diag($err);
			note $1 if $err =~ /(ERROR:.*)/;
		}
		make() if @statements;
	}
	return;
}

round_of('DROP TABLE a', 'DROP TABLE a, r CASCADE', @general);
foreach my $table ('a', 'r', 'p', 's')
{
	# of all kinds of tables the functions, of two all statements
	round_of("DROP TABLE $table", "DROP TABLE $table CASCADE",
		map { s/\$T/$table/gr } grep { $table =~ /[ap]/ || /SELECT (?:\* FROM )?\w+\('/ } @of_table);
}
unlike(slurp_file($node->logfile), qr/terminated by signal (?!9)|TRAP|PANIC|XX000: (?!tuple concurrently deleted|cannot reindex partitioned table)/, 'no process has crashed, nothing of the background said XX000');
$cluster->stop;
done_testing();
