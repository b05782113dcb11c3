# Shards are split while others read and write, into equal pieces and for one tenant, at factor
# 1 and 2, by range: rows, structure and placements are right afterwards, and nothing is left.
# A split whose process, coordinator or source dies at any step is done or undone.
# CZ_MOVE_ALL=1 in the environment: each death at each step.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.recovery_interval = '300ms'\ncz.drop_delay = '100ms'\ncz.worker_timeout = '1s'\ncz.connect_timeout = '1s'\nmax_worker_processes = 20\nrestart_after_crash = on\n");
$cluster->sql(q{
	SET cz.shard_count = 4;
	SET cz.shard_replication_factor = 1;
	CREATE ROLE other LOGIN;
	CREATE TABLE r (id int PRIMARY KEY, t text);
	SELECT create_reference_table('r');
	INSERT INTO r SELECT i, 'r' || i FROM generate_series(1, 20) i;
	CREATE TABLE a (k int PRIMARY KEY, v int DEFAULT 0, r int REFERENCES r, u int, gone int, g int GENERATED ALWAYS AS (v * 2) STORED, UNIQUE (k, u));
	ALTER TABLE a DROP COLUMN gone;
	CREATE TABLE b (k int REFERENCES a ON DELETE CASCADE, n int, t text, j json) WITH (fillfactor = 70);
	CREATE TABLE o (k int, v text);
	ALTER TABLE o OWNER TO other;
	SELECT create_distributed_table('a', 'k');
	SELECT create_distributed_table('b', 'k');
	SELECT create_distributed_table('o', 'k');
	CREATE INDEX b_n ON b (n) WHERE n > 0;
	CREATE VIEW av AS SELECT k, v FROM a WHERE v >= 0;
	GRANT SELECT ON a TO other;
	ALTER TABLE o ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON o USING (v <> 'hidden');
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.t := coalesce(NEW.t, ''trigger''); RETURN NEW; END';
	CREATE TRIGGER tr BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f();
	INSERT INTO a SELECT i, 0, 1 + i % 20, i FROM generate_series(1, 400) i;
	INSERT INTO b SELECT 1 + i % 400, i, 'x' || i, '{"a": 1}' FROM generate_series(1, 1200) i;
	INSERT INTO o SELECT i % 100, 'o' || i FROM generate_series(1, 300) i;
	SET cz.shard_replication_factor = 2;
	CREATE TABLE f2 (k text COLLATE "C", v int);
	SELECT create_distributed_table('f2', 'k', shard_count => 2, colocate_with => 'none');
	INSERT INTO f2 SELECT 'x' || i % 100, i FROM generate_series(1, 1000) i;
	INSERT INTO f2 VALUES (NULL, 1), (NULL, 2);
	CREATE TABLE by (k bytea, v int);
	SELECT create_distributed_table('by', 'k', shard_count => 2, colocate_with => 'none');
	INSERT INTO by SELECT decode(md5(i::text), 'hex'), i FROM generate_series(1, 500) i;
	SET cz.shard_replication_factor = 1;
	CREATE TABLE rg (k date, v int);
	SELECT create_distributed_table('rg', 'k', 'range');
	SELECT cz_create_range_shard('rg', '2026-01-01', '2026-07-01');
	INSERT INTO rg SELECT date '2026-01-01' + i % 181, i FROM generate_series(1, 1000) i;
	CREATE TABLE s (k int);
	SELECT create_distributed_table('s', NULL);
	CREATE SCHEMA shop;
	CREATE TABLE shop.s (k int);
	SELECT citus_schema_distribute('shop');
	CREATE TABLE p (k int, d date, v int REFERENCES r, t text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (d);
	CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM ('2026-02-01') TO ('2026-02-11');
	CREATE TABLE p2d PARTITION OF p2 DEFAULT;
	CREATE TABLE pd (t text, gone int, d date, k int, v int, PRIMARY KEY (k, d));
	ALTER TABLE pd DROP COLUMN gone;
	ALTER TABLE p ATTACH PARTITION pd DEFAULT;
	SELECT create_distributed_table('p', 'k', shard_count => 2, colocate_with => 'none');
	CREATE INDEX ON p (v);
	CREATE INDEX p1_t ON p1 (t);
	CREATE TABLE q (k int, n int, j json) PARTITION BY LIST (n);
	CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1, 2);
	CREATE TABLE q2 PARTITION OF q DEFAULT;
	SELECT create_distributed_table('q', 'k', colocate_with => 'p');
	INSERT INTO p SELECT i, date '2026-01-01' + i % 120, 2 + i % 19, 'x' || i FROM generate_series(1, 600) i;
	INSERT INTO q SELECT i % 100, i % 4, '{}' FROM generate_series(1, 600) i;
});
my $contents = join ';', map { "SELECT '$_', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM $_ t" } qw(a b o f2 by rg p q);
my $before = $cluster->sql($contents);

sub a_shard
{
	my ($table) = @_;
	return $cluster->sql("SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = '$table'::regclass");
}

sub is_whole
{
	my ($what) = @_;
	is($cluster->sql($contents), $before, "$what: all rows");
	is($cluster->sql('SELECT * FROM cz_check_shards()'), '', "$what: shards look like their tables");
	is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), '0', "$what: placements are equal");
	is($cluster->sql("SELECT phase FROM cz_moves ORDER BY move_id DESC LIMIT 1"), 'done', "$what: cz_moves says so");
	is($cluster->sql('SELECT count(*) FROM a JOIN b USING (k) JOIN r ON r.id = a.r'), '1200', "$what: joins");
	return;
}

foreach my $mode (qw(block_writes auto))
{
	foreach my $table (qw(a f2 by p))
	{
		my $old = a_shard($table);
		my ($status, $out, $err) = $cluster->try_sql("SELECT cz_split_shard($old, 2, NULL, '$mode')");
		is($status, 0, "$mode: a shard of $table is split") or diag($err);
		is($cluster->sql("SELECT count(*) FROM pg_dist_shard WHERE shardid = $old"), '0', "$mode: it is no more");
		is_whole("$mode, $table");
	}
}
is($cluster->orphans, '', 'nothing is left of the old ones');

note 'pieces go to nodes';
my $old = a_shard('a');
my @ids = map { $cluster->sql("SELECT nodeid FROM pg_dist_node WHERE nodeport = " . $cluster->port($_)) } 1 .. 3;
$cluster->sql("SELECT cz_split_shard($old, 4, ARRAY[$ids[0], $ids[1], $ids[2], $ids[1]])");
is_whole('to nodes');
is($cluster->sql("SELECT string_agg(nodeid::text, ',' ORDER BY shardid) FROM pg_dist_shard_placement JOIN pg_dist_node USING (nodeport) WHERE shardid > (SELECT max(shardid) - 12 FROM pg_dist_shard) AND shardid IN (SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'a'::regclass)"),
	"$ids[0],$ids[1],$ids[2],$ids[1]", 'in order');
is($cluster->sql("SELECT operation FROM cz_moves ORDER BY move_id DESC LIMIT 1"), 'split', 'cz_moves has splits');
my $f2 = a_shard('f2');
my ($first, $second) = split /,/, $cluster->sql("SELECT string_agg(nodeid::text, ',' ORDER BY placementid) FROM pg_dist_shard_placement JOIN pg_dist_node USING (nodeport) WHERE shardid = $f2");
my ($third) = grep { $_ != $first && $_ != $second } @ids;
$cluster->sql("SELECT cz_split_shard($f2, 2, ARRAY[$second, $third])");
is_whole('to nodes, two placements');
is($cluster->sql("SELECT string_agg(nodes, ' ' ORDER BY shardid) FROM (SELECT shardid, string_agg(nodeid::text, ',' ORDER BY placementid) AS nodes FROM pg_dist_shard_placement JOIN pg_dist_node USING (nodeport) WHERE shardid > (SELECT max(shardid) - 2 FROM pg_dist_shard) GROUP BY 1) x"),
	"$second,$first $third,$second", 'the other placement is kept');

note 'a tenant';
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('a', 7)"))[2], qr/55000.*has colocated tables.*CASCADE/s, 'colocated tables need CASCADE');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('a', 7, 'all')"))[2], qr/22023.*invalid cascade option/s, 'no other option');
my $own = $cluster->sql("SELECT isolate_tenant_to_new_shard('a', 7, 'CASCADE')");
is_whole('tenant');
is($cluster->sql("SELECT get_shard_id_for_distribution_column('a', 7)"), $own, 'its shard is returned');
is($cluster->sql("SELECT string_agg(DISTINCT k::text, ',') FROM (SELECT k FROM a UNION ALL SELECT k FROM b UNION ALL SELECT k FROM o) x WHERE get_shard_id_for_distribution_column('a', k) = $own"), '7', 'nobody else is there, in no table of the group');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('a', 7, 'CASCADE')"))[2], qr/55000.*has a shard of its own already/s, 'not twice');
$own = $cluster->sql("SELECT isolate_tenant_to_new_shard('f2', 'x7', shard_transfer_mode => 'block_writes')");
is($cluster->sql("SELECT string_agg(DISTINCT k, ',') FROM f2 WHERE get_shard_id_for_distribution_column('f2', k) = $own"), 'x7', 'of a text, at two placements');
is_whole('tenant, two placements');

note 'a partitioned table, whose partitions are used by name, and written';
my $session = $cluster->coordinator->background_psql('postgres');
$session->query('PREPARE one(int) AS SELECT count(*) FROM p1 WHERE k = $1');
$session->query('EXECUTE one(7)') foreach 1 .. 7;
my $writer = $cluster->start_at('move_indexed', "SELECT isolate_tenant_to_new_shard('p', 7, 'CASCADE')");
$cluster->sql("UPDATE p SET t = 'y' WHERE k IN (7, 8, 31, 32); INSERT INTO p1 VALUES (1007, '2026-01-07', 3, 'new'); DELETE FROM pd WHERE k = 93; UPDATE p SET d = '2026-02-20' WHERE k = 9; INSERT INTO q VALUES (7, 1, '{}'); TRUNCATE q2");
$before = $cluster->sql($contents);
$cluster->go;
is(($cluster->finish_sql($writer, 60))[0], 0, 'the tenant has a shard of its own');
is_whole('tenant of a partitioned table');
is($session->query('EXECUTE one(7)'), '1', 'a prepared statement that names a partition alone');
$session->quit;
$own = $cluster->sql("SELECT get_shard_id_for_distribution_column('p', 7)");
is($cluster->sql("SELECT string_agg(DISTINCT k::text, ',') FROM (SELECT k FROM p UNION ALL SELECT k FROM q) x WHERE get_shard_id_for_distribution_column('p', k) = $own"), '7', 'nobody else is there');
like(($cluster->try_sql("INSERT INTO p VALUES (7, '2026-01-08', 3)"))[2], qr/23505.*"p1_pkey"/s, 'unique indexes of partitions, by their names');
like(($cluster->try_sql("UPDATE p1 SET v = 99 WHERE k = 7"))[2], qr/23503/s, 'foreign keys of partitions');
$cluster->sql(q{
	CREATE TABLE p3 PARTITION OF p FOR VALUES FROM ('2027-01-01') TO ('2027-02-01');
	INSERT INTO p VALUES (7, '2027-01-05', 3, 'new'), (8, '2027-01-05', 3, 'new');
	ALTER TABLE p DETACH PARTITION p2;
	ALTER TABLE p ADD COLUMN z int DEFAULT 5;
	CREATE TABLE pc (k int, n int) PARTITION BY RANGE (n);
	CREATE TABLE pc1 PARTITION OF pc FOR VALUES FROM (0) TO (500);
	INSERT INTO pc SELECT i, i FROM generate_series(1, 400) i;
	SELECT create_distributed_table('pc', 'k', colocate_with => 'p');
});
is($cluster->sql('SELECT count(*), sum(v) FROM p3; SELECT count(*), sum(n) FROM pc1; SELECT sum(z) FROM p WHERE k = 7'), "2|6\n400|80200\n10", 'partitions are added, detached, and a table joins the group');
is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), '0', 'all shards look like their tables');
like($cluster->sql('EXPLAIN (COSTS OFF) SELECT count(*) FROM pc1 JOIN p USING (k)'), qr/Remote SQL: SELECT count\(\*\).* JOIN /, 'which are colocated');
$before = $cluster->sql($contents);

note 'a range shard';
my $range = a_shard('rg');
like(($cluster->try_sql("SELECT citus_split_shard_by_split_points($range, ARRAY['2027-01-01'], ARRAY[$ids[0], $ids[1]])"))[2], qr/22023.*split point '2027-01-01' is not between/s, 'a point outside');
like(($cluster->try_sql("SELECT citus_split_shard_by_split_points($range, ARRAY['2026-04-01', '2026-02-01'], ARRAY[$ids[0], $ids[1], $ids[2]])"))[2], qr/22023.*is not between/s, 'points that descend');
like(($cluster->try_sql("SELECT citus_split_shard_by_split_points($range, ARRAY['2026-04-01'], ARRAY[$ids[0]])"))[2], qr/22023.*node_ids has 1 elements/s, 'too few nodes');
$cluster->sql("SET datestyle = 'German'; SELECT citus_split_shard_by_split_points($range, ARRAY['01.02.2026', '01.04.2026'], ARRAY[$ids[0], $ids[1], $ids[2]])");
is_whole('range');
is($cluster->sql("SELECT string_agg(pg_get_expr(relpartbound, oid), '; ' ORDER BY oid) FROM pg_class WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'rg'::regclass)"),
	"FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); FOR VALUES FROM ('2026-02-01') TO ('2026-04-01'); FOR VALUES FROM ('2026-04-01') TO ('2026-07-01')", 'its pieces');

note 'what is refused';
like(($cluster->try_sql("SELECT citus_split_shard_by_split_points(" . a_shard('a') . ", ARRAY['0'], ARRAY[$ids[0], $ids[1]])"))[2], qr/0A000.*cz_split_shard\(\)/s, 'split points of a hash shard');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('rg') . ")"))[2], qr/0A000.*citus_split_shard_by_split_points\(\)/s, 'equal pieces of a range shard');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('rg', '2026-01-01')"))[2], qr/0A000.*citus_split_shard_by_split_points\(\)/s, 'a tenant of a range table');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('s') . ")"))[2], qr/0A000.*no distribution column.*create_distributed_table\(\)/s, 'a table without distribution column');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('s', 1)"))[2], qr/0A000.*no distribution column.*create_distributed_table\(\)/s, 'its tenant');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('shop.s') . ")"))[2], qr/0A000.*schema "shop", which is a tenant.*citus_schema_move\(\)/s, 'the shard of a tenant');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('shop.s', 1)"))[2], qr/0A000.*schema "shop", which is a tenant.*citus_schema_move\(\)/s, 'which has one of its own');
like(($cluster->try_sql("SELECT isolate_tenant_to_new_shard('p1', 7)"))[2], qr/0A000.*partition "p1".*table "p"/s, 'a tenant of a partition');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('r') . ")"))[2], qr/0A000.*reference table/s, 'a reference table');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('a') . ", 3)"))[2], qr/22023.*power of two/s, 'three pieces');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('a') . ", 65536)"))[2], qr/54000/, 'too many');
like(($cluster->try_sql("SELECT cz_split_shard(1)"))[2], qr/42704.*shard 1 does not exist/s, 'no such shard');
like(($cluster->try_sql("SELECT cz_split_shard(" . a_shard('a') . ", 2, ARRAY[77, 78])"))[2], qr/42704.*no worker with id 77/s, 'no such worker');
like(($cluster->try_sql("SET ROLE other; SELECT cz_split_shard(" . a_shard('a') . ")"))[2], qr/42501/, 'by who does not own all tables of the group');
like(($cluster->try_sql("BEGIN; SELECT count(*) FROM a; SELECT cz_split_shard(" . a_shard('a') . ")"))[2], qr/25001.*has used/s, 'in a transaction that has used the table');
my $stopped = $cluster->start_at('move_tables_made', 'SELECT cz_split_shard(' . a_shard('a') . ')');
my $another = $cluster->sql("SELECT max(shardid) FROM pg_dist_shard WHERE logicalrelid = 'a'::regclass");
like(($cluster->try_sql("SELECT cz_split_shard($another)"))[2], qr/55006/, 'two splits of a group at a time');
like(($cluster->try_sql("SELECT citus_move_shard_placement($another, n.nodeid, t.nodeid) FROM pg_dist_shard_placement JOIN pg_dist_node n USING (nodeport), pg_dist_node t WHERE shardid = $another AND t.nodeid <> n.nodeid LIMIT 1"))[2], qr/55006/, 'a move of the group at the same time');
is($cluster->sql("SELECT operation_type FROM get_rebalance_progress() LIMIT 1"), 'split', 'get_rebalance_progress shows it');
$cluster->go;
is(($cluster->finish_sql($stopped, 60))[0], 0, 'the first one ends');
is($cluster->sql($contents), $before, 'with all rows');

note 'open transactions that have used the table go on, and the split waits for them';
my @open = map { $cluster->start_halting(@$_) }
  [ 'BEGIN; DECLARE c CURSOR FOR SELECT k FROM a ORDER BY k; FETCH 3 FROM c;', 'MOVE FORWARD ALL IN c; FETCH BACKWARD 1 FROM c; COMMIT;' ],
  [ 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a;', "SELECT 'then ' || count(*) FROM a JOIN b USING (k); COMMIT;" ],
  [ 'BEGIN; UPDATE a SET v = 0 WHERE k = 9;', "UPDATE a SET v = 0 WHERE k < 20; COMMIT; SELECT 'updated';" ];
my $waiting = $cluster->start_sql('SELECT cz_split_shard(' . a_shard('a') . ')');
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM cz_moves WHERE phase = 'switching' AND attempts > 0");
my $asked = time;
is($cluster->sql('SELECT count(*) FROM a'), '400', 'others read meanwhile');
cmp_ok(time - $asked, '<', 60, 'and do not wait for those');
$cluster->go_on($_) foreach @open;
like(($cluster->finish_sql($open[0], 60))[1], qr/^400$/m, 'a cursor');
like(($cluster->finish_sql($open[1], 60))[1], qr/then 1200/, 'one snapshot');
like(($cluster->finish_sql($open[2], 60))[1], qr/updated/, 'a writer');
is(($cluster->finish_sql($waiting, 60))[0], 0, 'then the shard is split');
is_whole('afterwards');

note 'DDL does not wait for a split';
$stopped = $cluster->start_at('move_tables_made', 'SELECT cz_split_shard(' . a_shard('a') . ')');
my $ddl = $cluster->start_sql('ALTER TABLE a ADD COLUMN z int');
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
sleep 0.6;
$cluster->go;
my ($again, undef, $notice) = $cluster->finish_sql($stopped, 60);
is($again, 0, 'the split gives way, and begins again') or diag($notice);
is(($cluster->finish_sql($ddl, 60))[0], 0, 'the table is altered');
is($cluster->orphans, '', 'what the split had made first is gone');
$before = $cluster->sql($contents);
is_whole('with the new column');
my $halted = $cluster->start_at('move_indexed', 'SELECT cz_split_shard(' . a_shard('a') . ')');
my $index = $cluster->start_sql('CREATE INDEX CONCURRENTLY a_z ON a (z)');
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
sleep 0.6;
$cluster->go;
($again, undef, $notice) = $cluster->finish_sql($halted, 60);
is($again, 0, 'nor does an index that is built concurrently') or diag($notice);
is(($cluster->finish_sql($index, 60))[0], 0, 'it is built');
is_whole('with the new index');

note 'everything works on tables whose shards have several moduli';
is($cluster->sql("INSERT INTO b (k, n) VALUES (7, -7); SELECT t FROM b WHERE k = 7 AND n = -7"), 'trigger', 'triggers');
like(($cluster->try_sql("INSERT INTO b VALUES (5000, 1)"))[2], qr/23503/, 'foreign keys');
like(($cluster->try_sql("INSERT INTO a VALUES (7)"))[2], qr/23505/, 'unique indexes');
like(($cluster->try_sql("UPDATE a SET r = 999 WHERE k = 7"))[2], qr/23503/, 'keys to reference tables');
is($cluster->sql("DELETE FROM a WHERE k = 7; SELECT count(*) FROM b WHERE k = 7"), '0', 'ON DELETE CASCADE');
is($cluster->sql("UPDATE a SET r = 2 WHERE r = 1; DELETE FROM r WHERE id = 1; SELECT count(*) FROM r"), '19', 'rows of the reference table can go');
is($cluster->sql("SELECT count(*) FROM av"), '399', 'views');
is($cluster->sql("SET ROLE other; SELECT count(*) FROM a"), '399', 'privileges');
$cluster->sql("CREATE TABLE c (k int, w int); INSERT INTO c SELECT i, i FROM generate_series(1, 500) i; SELECT create_distributed_table('c', 'k', colocate_with => 'a')");
is($cluster->sql("SELECT count(*) FROM a JOIN c USING (k)"), '399', 'a table that joins the group');
my $bounds = q{SELECT string_agg(pg_get_expr(relpartbound, oid), ', ' ORDER BY pg_get_expr(relpartbound, oid)) FROM pg_class WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = '%s'::regclass)};
is($cluster->sql(sprintf($bounds, 'c')), $cluster->sql(sprintf($bounds, 'a')), 'has its bounds');
like($cluster->sql("EXPLAIN (COSTS OFF) SELECT count(*) FROM a JOIN c USING (k)"), qr/Remote SQL: SELECT count\(\*\).* JOIN /, 'and is colocated');
$cluster->sql("SET cz.shard_replication_factor = 1; CREATE TABLE d (k int, w int); INSERT INTO d SELECT i, i FROM generate_series(1, 500) i; SELECT create_distributed_table('d', 'k', shard_count => 4)");
is($cluster->sql("SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'd'::regclass"), $cluster->sql("SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'a'::regclass"), 'a new table of the default group, too');
$cluster->sql("SELECT undistribute_table('c')");
is($cluster->sql("SELECT count(*), sum(w) FROM c"), '500|125250', 'undistribute_table');
$cluster->sql("SELECT alter_distributed_table('d', shard_count => 4, cascade_to_colocated => false)");
is($cluster->sql("SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'd'::regclass"), '4', 'alter_distributed_table makes shards of one size again');
is($cluster->sql("SELECT count(*), sum(w) FROM d JOIN a USING (k)"), '399|80193', 'joined, though not colocated any more');
$cluster->sql('DROP TABLE c, d');

note 'more shards of a group of tables, while others write';
$cluster->sql(q{
	SET cz.shard_count = 2;
	SET cz.shard_replication_factor = 2;
	CREATE TABLE m (k bigint PRIMARY KEY, v int);
	SELECT create_distributed_table('m', 'k');
	CREATE TABLE n (k bigint, d int) PARTITION BY RANGE (d);
	CREATE TABLE n1 PARTITION OF n FOR VALUES FROM (0) TO (1000);
	SELECT create_distributed_table('n', 'k');
	INSERT INTO m SELECT i, 0 FROM generate_series(1, 100) i;
	INSERT INTO n SELECT i % 100, i FROM generate_series(0, 999) i;
	CREATE TABLE stop_writing (n int);
	CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
	DECLARE n int := 0;
	BEGIN
		WHILE NOT EXISTS (SELECT FROM stop_writing) LOOP
			BEGIN
				UPDATE m SET v = v + 1 WHERE k = 1 + n % 100;
				n := n + 1;
			EXCEPTION WHEN serialization_failure THEN
			END;
			COMMIT;
		END LOOP;
		RAISE NOTICE 'written: %', n;
	END $$;
});
like(($cluster->try_sql("BEGIN; SELECT alter_distributed_table_concurrently('m', 8, true)"))[2], qr/25001/, 'not in a transaction block');
like(($cluster->try_sql("SELECT alter_distributed_table_concurrently('m', 8)"))[2], qr/22023.*cascade_to_colocated must be true/s, 'only with colocated tables');
like(($cluster->try_sql("SELECT alter_distributed_table_concurrently('m', 6, true)"))[2], qr/22023.*not a power of two/s, 'a power of two');
like(($cluster->try_sql("SELECT alter_distributed_table_concurrently('m', 2, true)"))[2], qr/22023.*has 2 shards already/s, 'another number');
like(($cluster->try_sql("SELECT alter_distributed_table_concurrently('m', 1, true)"))[2], qr/0A000.*alter_distributed_table\(\)/s, 'not fewer');
like(($cluster->try_sql("SELECT alter_distributed_table_concurrently('n1', 8, true)"))[2], qr/55000.*table "n"/s, 'not of a partition');
like(($cluster->try_sql("SET ROLE other; SELECT alter_distributed_table_concurrently('m', 8, true)"))[2], qr/42501/, 'by the owner');
my $writing = $cluster->start_sql('CALL write()');
$cluster->coordinator->poll_query_until('postgres', 'SELECT sum(v) > 20 FROM m');
# as one that has been interrupted
$cluster->sql('SELECT cz_split_shard(' . a_shard('m') . ')');
$cluster->sql("SELECT alter_distributed_table_concurrently('m', 8, true)");
$cluster->sql('INSERT INTO stop_writing VALUES (1)');
my ($written) = ($cluster->finish_sql($writing, 60))[2] =~ /written: (\d+)/;
is($cluster->sql('SELECT sum(v) FROM m; SELECT count(*), sum(d) FROM n JOIN m USING (k)'), "$written\n990|495000", 'all rows, and all changes');
is($cluster->sql("SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'm'::regclass UNION SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'n'::regclass"), '8', 'as many shards');
is($cluster->sql("SELECT * FROM cz_check_shards('m'); SELECT * FROM cz_check_shards('n')"), '', 'which look like their tables');
$cluster->sql(q{
	SET cz.shard_replication_factor = 2;
	CREATE TABLE joins (k bigint);
	SELECT create_distributed_table('joins', 'k', shard_count => 8);
	CREATE TABLE same (k bigint);
	SELECT create_distributed_table('same', 'k', shard_count => 4);
	SELECT alter_distributed_table_concurrently('same', 8);
});
is($cluster->sql("SELECT string_agg((c.colocation_id = (SELECT colocation_id FROM cz.tables WHERE relid = 'm'::regclass))::text || ' ' || c.is_default || ' ' || c.shard_count, ', ' ORDER BY t.relid::text) FROM cz.tables t JOIN cz.colocation c USING (colocation_id) WHERE t.relid IN ('joins'::regclass, 'm'::regclass, 'same'::regclass)"),
	'true true 8, true true 8, false false 8', 'tables with so many shards join the group, of two the one that had the number first');
$cluster->sql('DROP TABLE m, n, joins, same, stop_writing');

note 'writers of all kinds while shards are split and moved: fuzz_move, short';
my $oracle = $cluster->worker(3);
$oracle->safe_psql('postgres', 'CREATE DATABASE oracle', extra_params => [ '-U', 'postgres' ]);
my $fuzz = dirname(__FILE__) . '/../fuzz/fuzz_move.py';
my $report = `python3 $fuzz --coordinator 127.0.0.1:@{[$cluster->coordinator->port]} --oracle 127.0.0.1:@{[$oracle->port]} --oracle-database oracle --seconds 8 --writers 4 --movers 2 --rows 40 --past 2 --splits 60 2>&1`;
is($?, 0, 'rows are those of plain PostgreSQL, placements are equal') or diag($report);
note $report;
is($cluster->orphans, '', 'nothing is left on a worker');
$cluster->sql('DROP TABLE fm_c, fm_t, fm_e, fm_p, fm_2, fm_s');

note 'deaths';
$cluster->sql(q{
	SET cz.shard_count = 2;
	SET cz.shard_replication_factor = 1;
	CREATE TABLE t (k int PRIMARY KEY, v int, r int REFERENCES r);
	CREATE TABLE e (k int, v int, j json);
	SELECT create_distributed_table('t', 'k', colocate_with => 'none');
	SELECT create_distributed_table('e', 'k', colocate_with => 't');
	INSERT INTO t SELECT i, 0, 2 + i % 5 FROM generate_series(1, 100) i;
	INSERT INTO e SELECT i % 100, i, '{}' FROM generate_series(1, 200) i;
});
my $k = 1;
my $nwrites = 0;

sub write_rows
{
	my ($timeout) = @_;
	my ($status) = $cluster->try_sql("SET statement_timeout = '${timeout}s'; BEGIN; UPDATE t SET v = v + 1 WHERE k = $k; INSERT INTO e VALUES ($k, -1, '{\"w\": 1}'); DELETE FROM e WHERE k = $k AND v = " . (100 * ($nwrites % 3) + 1) . '; COMMIT');
	$nwrites++ if $status == 0;
	return $status == 0;
}

my @points = qw(move_begun move_tables_made move_logs_made move_captured move_copied move_rows_copied move_indexed move_round
  move_locked move_copied_all move_switching after_prepare move_switched move_done);
my @deaths = qw(kill terminate source error);
# writers would wait there
my %is_locked = map { $_ => 1 } qw(move_locked move_copied_all move_switching after_prepare);
my %was_done;
my $n = 0;
foreach my $mode (qw(auto block_writes))
{
	foreach my $point (@points)
	{
		next if $mode eq 'block_writes' && $point =~ /logs|captured|rows_copied|indexed|round/;
		foreach my $d (0 .. $#deaths)
		{
			my $death = $deaths[$d];
			next unless $ENV{CZ_MOVE_ALL} || ($mode eq 'auto' && $d == $n % @deaths) || ($mode eq 'block_writes' && $n % 3 == 0 && $d == $n % @deaths);
			my $what = "$mode, $death at $point";
			my $shard = $cluster->sql("SELECT get_shard_id_for_distribution_column('t', $k)");
			my $port = $cluster->sql("SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = $shard");
			my ($from) = grep { $cluster->port($_) eq $port } 1 .. 3;
			my $split = "SELECT cz_split_shard($shard, 2, ARRAY[" . join(',', $ids[$from - 1], $ids[$from % 3]) . "], '$mode')";
			my $begin = time;
			$cluster->die_at($point, $death eq 'source' ? $from : $death, $split,
				sub { write_rows(2) unless $is_locked{$point}; });
			ok($cluster->wait_for_server('SELECT count(*) FROM t'), "$what: the server is there") if $death eq 'kill';
			ok($cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 0 FROM cz_moves WHERE phase NOT IN ('done', 'failed')"),
				"$what: the split has ended");
			ok(write_rows(20), "$what: the shard can be written");
			is($cluster->sql("SELECT v FROM t WHERE k = $k"), $nwrites, "$what: what was acknowledged is there");
			is($cluster->sql("SELECT count(*) FROM e WHERE v = -1"), $nwrites, "$what: without a key, too");
			is($cluster->sql('SELECT count(*) FROM t'), 100, "$what: all rows");
			is($cluster->orphans, '', "$what: nothing is left");
			is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), '0', "$what: and shards as their tables are");
			my $is_done = $cluster->sql("SELECT get_shard_id_for_distribution_column('t', $k)") != $shard;
			is($cluster->sql("SELECT count(DISTINCT n) FROM (SELECT count(*) AS n FROM pg_dist_shard WHERE logicalrelid IN ('t'::regclass, 'e'::regclass) GROUP BY logicalrelid) x"), '1', "$what: both tables or none");
			$was_done{ $is_done ? 'done' : 'undone' }++;
			note sprintf('%s: %s, %.1f s', $what, $is_done ? 'done' : 'undone', time - $begin);
			# not too deep
			next unless $is_done;
			$cluster->sql("SELECT alter_distributed_table('t', shard_count => 2, cascade_to_colocated => true)");
		}
		$n++;
	}
}
ok($was_done{done} && $was_done{undone}, 'some were done, some undone');
is($cluster->wait_for_recovery, 1, 'nothing is prepared');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.cleanup'), 'the clean-up list is empty');

done_testing();
