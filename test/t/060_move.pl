# Shards move from one worker to another, and get more placements, while others read and
# write: tables with and without keys, foreign keys, partitions, single-shard tables.  Rows,
# structure and placements are right afterwards, and nothing is left on any worker.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.recovery_interval = '500ms'\ncz.drop_delay = '200ms'\nmax_worker_processes = 20\n");
$cluster->sql(q{
	SET cz.shard_count = 4;
	SET cz.shard_replication_factor = 1;
	CREATE TABLE r (id int PRIMARY KEY, t text);
	SELECT create_reference_table('r');
	INSERT INTO r SELECT i, 'r' || i FROM generate_series(1, 20) i;
	CREATE TABLE a (k int PRIMARY KEY, v int DEFAULT 0, r int REFERENCES r, u int, g int GENERATED ALWAYS AS (v * 2) STORED, UNIQUE (k, u));
	CREATE TABLE b (k int REFERENCES a ON DELETE CASCADE, n int, t text, j json);
	CREATE TABLE p (k int, d date, v int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	SELECT create_distributed_table('a', 'k');
	SELECT create_distributed_table('b', 'k');
	SELECT create_distributed_table('p', 'k', colocate_with => 'a');
	CREATE INDEX b_n ON b (n) WHERE n > 0;
	INSERT INTO a SELECT i, 0, 1 + i % 20, i FROM generate_series(1, 400) i;
	INSERT INTO b SELECT 1 + i % 400, i, 'x' || i, '{"a": 1}' FROM generate_series(1, 1200) i;
	INSERT INTO p SELECT 1 + i % 400, date '2026-01-01' + i % 59, i FROM generate_series(1, 1180) i;
	CREATE TABLE s (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('s', NULL);
	INSERT INTO s SELECT i, i FROM generate_series(1, 50) i;
	SET cz.shard_replication_factor = 2;
	CREATE TABLE f2 (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('f2', 'k', colocate_with => 'none');
	INSERT INTO f2 SELECT i, 0 FROM generate_series(1, 200) i;
});

my $contents = join ';', map { "SELECT '$_', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM $_ t" } qw(a b p s f2);
my $structure = sub {
	return $cluster->sql("SELECT * FROM cz_check_shards()");
};

# A shard of a table that is on worker $i, and its id there
sub shard_on
{
	my ($i, $table) = @_;
	my $port = $cluster->port($i);
	return $cluster->sql("SELECT min(shardid) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE nodeport = $port AND logicalrelid = '$table'::regclass");
}

sub ports_of
{
	my ($shard) = @_;
	return $cluster->sql("SELECT string_agg(nodeport::text, ',' ORDER BY nodeport) FROM pg_dist_shard_placement WHERE shardid = $shard");
}

sub move
{
	my ($shard, $from, $to, $mode, $function) = @_;
	$function //= 'citus_move_shard_placement';
	return $cluster->try_sql("SELECT $function($shard, '127.0.0.1', " . $cluster->port($from)
		  . ", '127.0.0.1', " . $cluster->port($to) . ($mode ? ", '$mode'" : '') . ')');
}

my @modes = ('block_writes', 'auto');

foreach my $mode (@modes)
{
	my $before = $cluster->sql($contents);
	foreach my $table (qw(a s f2))
	{
		my ($from) = grep { shard_on($_, $table) ne '' } 1 .. 3;
		my $shard = shard_on($from, $table);
		my ($to) = grep { my $port = $cluster->port($_); ports_of($shard) !~ /\b$port\b/ } 1 .. 3;
		my ($status, $out, $err) = move($shard, $from, $to, $mode);
		is($status, 0, "$mode: a shard of $table is moved") or diag($err);
		my ($old, $new) = map { $cluster->port($_) } $from, $to;
		like(ports_of($shard), qr/\b$new\b/, "$mode: it is on the target");
		unlike(ports_of($shard), qr/\b$old\b/, "$mode: and no more on the source");
		is($cluster->sql($contents), $before, "$mode: with all rows");
		is(&$structure, '', "$mode: and as its table is");
		is($cluster->sql("SELECT phase FROM cz_moves ORDER BY move_id DESC LIMIT 1"), 'done', "$mode: cz_moves says so");
		is($cluster->sql("SELECT bytes_done > 0 AND bytes_total > 0 FROM cz_moves ORDER BY move_id DESC LIMIT 1"), 't', "$mode: and how much was copied");
		cmp_ok($cluster->sql("SELECT pause_ms FROM cz_moves ORDER BY move_id DESC LIMIT 1"), '>', 0, "$mode: and how long writers waited");
		($status, $out, $err) = move($shard, $to, $from, $mode);
		is($status, 0, "$mode: and back") or diag($err);
		is($cluster->sql($contents), $before, "$mode: with all rows");
	}
	is($cluster->orphans, '', "$mode: nothing is left on a worker");
}

note 'foreign keys hold at the new place';
my $shard = shard_on(1, 'a');
is((move($shard, 1, 2, 'block_writes'))[0], 0, 'moved');
my $k = $cluster->sql("SELECT min(k) FROM a WHERE get_shard_id_for_distribution_column('a', k) = $shard");
like(($cluster->try_sql("INSERT INTO b VALUES (-" . "1, 1)"))[2], qr/23503/, 'a row without its parent');
like(($cluster->try_sql("UPDATE a SET r = 999 WHERE k = $k"))[2], qr/23503/, 'a row without a reference');
$cluster->sql("DELETE FROM a WHERE k = $k");
is($cluster->sql("SELECT count(*) FROM b WHERE k = $k"), '0', 'ON DELETE CASCADE');
$cluster->sql("UPDATE a SET r = 2 WHERE r = 1; DELETE FROM r WHERE id = 1");
is($cluster->sql("SELECT count(*) FROM r"), '19', 'rows of the reference table can go');
is($cluster->sql('SELECT count(*) FROM pg_constraint WHERE NOT convalidated'), '0', 'all keys are checked here');
is($cluster->worker_sql(2, 'SELECT count(*) FROM pg_constraint WHERE NOT convalidated'), '0', 'and there');

note 'a schema that is a tenant moves as one';
$cluster->sql(q{
	SET cz.shard_replication_factor = 1;
	CREATE SCHEMA "Ten ant";
	CREATE TABLE "Ten ant".x (id int PRIMARY KEY);
	CREATE TABLE "Ten ant".y (id int REFERENCES "Ten ant".x);
	INSERT INTO "Ten ant".x SELECT generate_series(1, 100);
	INSERT INTO "Ten ant".y SELECT generate_series(1, 100);
	CREATE SCHEMA nothing;});
like(($cluster->try_sql(q{SELECT citus_schema_move('"Ten ant"', 1)}))[2], qr/55000.*schema "Ten ant" is not distributed/s, 'one that is none');
$cluster->sql(q{SET cz.shard_replication_factor = 1; SELECT citus_schema_distribute('"Ten ant"'); SELECT citus_schema_distribute('nothing')});
my $where = q{SELECT string_agg(DISTINCT nodeport::text, ' ') FROM citus_shards WHERE citus_table_type = 'schema'};
my ($other) = grep { $cluster->sql($where) ne $cluster->port($_) } 1 .. 3;
$cluster->sql(q{SELECT citus_schema_move('"Ten ant"', '127.0.0.1', } . $cluster->port($other) . ')');
is($cluster->sql($where), $cluster->port($other), 'all its tables are on the target');
is($cluster->sql('SELECT count(*) FROM "Ten ant".x JOIN "Ten ant".y USING (id)'), '100', 'with their rows');
my ($node_id, $port) = split /\|/, $cluster->sql(qq{SELECT nodeid, nodeport FROM pg_dist_node WHERE nodeport <> ${\$cluster->port($other)} LIMIT 1});
$cluster->sql(qq{SELECT citus_schema_move('"Ten ant"', $node_id)});
is($cluster->sql($where), $port, 'by the number of a node, too');
like(($cluster->try_sql(qq{SELECT citus_schema_move('nothing', $node_id)}))[2], qr/55000.*schema "nothing" has no tables/s, 'one without tables is nowhere');
like(($cluster->try_sql(q{SELECT citus_schema_move('"Ten ant"', 12345)}))[2], qr/42704.*there is no node 12345/s, 'no node');
is($cluster->orphans, '', 'nothing is left where it was');
$cluster->sql('SET client_min_messages = warning; DROP SCHEMA "Ten ant", nothing CASCADE');

note 'one placement more';
my $before = $cluster->sql($contents);
is((move($shard, 2, 3, 'block_writes', 'citus_copy_shard_placement'))[0], 0, 'copied');
is(ports_of($shard), join(',', sort { $a <=> $b } $cluster->port(2), $cluster->port(3)), 'it has two placements');
$cluster->sql("UPDATE a SET v = v + 1; INSERT INTO b SELECT k, 0, 'new' FROM a; DELETE FROM p WHERE v % 5 = 0");
is($cluster->differing_placements, '', 'both are written');
is($cluster->sql('SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), '0', 'cz_verify_placements');
is(&$structure, '', 'and as the table is');

note 'what is refused';
$cluster->sql(q{SET cz.shard_count = 2; SET cz.shard_replication_factor = 1; CREATE UNLOGGED TABLE un (k int PRIMARY KEY); SELECT create_distributed_table('un', 'k', colocate_with => 'none')});
my $un = shard_on(1, 'un');
like((move($un, 1, 2, 'auto', 'citus_copy_shard_placement'))[2], qr/0A000.*unlogged/, 'more placements of an unlogged table');
is((move($un, 1, 3, 'auto'))[0], 0, 'which can move');
my $paused = $cluster->start_at('move_tables_made', "SELECT citus_move_shard_placement($un, 3, 1)");
like((move($un, 3, 2, 'auto'))[2], qr/55006.*is being moved already/, 'two moves of a shard at a time');
$cluster->go;
is(($cluster->finish_sql($paused, 60))[0], 0, 'the first one ends');
my $f2 = shard_on(1, 'f2');
my ($there) = grep { my $port = $cluster->port($_); $_ != 1 && ports_of($f2) =~ /\b$port\b/ } 2, 3;
like((move($f2, 1, $there, 'block_writes'))[2], qr/55000.*already has a placement/, 'a node that has it');
my ($without) = grep { my $port = $cluster->port($_); ports_of($f2) !~ /\b$port\b/ } 1 .. 3;
like((move($f2, $without, $there, 'block_writes'))[2], qr/55000.*has no placement/, 'from a node that has not');
like((move($f2, $without, $there, 'block_writes', 'citus_copy_shard_placement'))[2], qr/55000.*has no placement/, 'copied from a node that has not');
like((move(1, 1, 2, 'block_writes'))[2], qr/42704.*shard 1 does not exist/, 'no such shard');
like(($cluster->try_sql("SELECT citus_move_shard_placement($f2, 1, 77)"))[2], qr/42704.*no worker with id 77/, 'no such worker');
like(($cluster->try_sql("SELECT citus_move_shard_placement($f2, 'nowhere', 1, 'nowhere', 2)"))[2], qr/42704.*no worker at/, 'no such address');
like((move($cluster->sql("SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'r'::regclass"), 1, 2, 'block_writes'))[2],
	qr/0A000.*reference table/, 'a reference table');
like(($cluster->try_sql("BEGIN; UPDATE f2 SET v = v; SELECT citus_move_shard_placement($f2, 1, $without, 'block_writes')"))[2],
	qr/25001/, 'in a transaction that has written');
$cluster->sql('CREATE ROLE nobody LOGIN');
like(($cluster->try_sql("SET ROLE nobody; SELECT citus_move_shard_placement($f2, 1, $without, 'block_writes')"))[2], qr/42501/, 'by who does not own the table');
is($cluster->sql("SELECT count(*) FROM cz_moves WHERE phase NOT IN ('done', 'failed')"), '0', 'no move is left');

note 'a writer that is there already is waited for, readers are not';
$shard = shard_on(2, 'a');
$k = $cluster->sql("SELECT min(k) FROM a WHERE get_shard_id_for_distribution_column('a', k) = (SELECT min(shardid) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'a'::regclass AND nodeport <> "
	  . $cluster->port(3) . " AND shardid NOT IN (SELECT shardid FROM pg_dist_shard_placement WHERE nodeport = " . $cluster->port(3) . '))');
$shard = $cluster->sql("SELECT get_shard_id_for_distribution_column('a', $k)");
my ($from) = grep { my $port = $cluster->port($_); ports_of($shard) =~ /\b$port\b/ } 1, 2;
my $writer = $cluster->hold("UPDATE a SET v = 1000 WHERE k = $k");
my $reader = $cluster->hold("DECLARE c CURSOR FOR SELECT count(*) FROM a WHERE k = $k; SELECT v FROM a WHERE k = $k");
my $mover = $cluster->start_sql("SELECT citus_move_shard_placement($shard, $from, 3, 'block_writes')");
$cluster->coordinator->poll_query_until('postgres', "SELECT attempts > 0 FROM cz_moves WHERE phase = 'switching'");
ok($cluster->coordinator->poll_query_until('postgres', qq{SELECT waits_for ~ '^node "node_$from": pid [0-9]+ .*for [0-9.]+ s' FROM cz_moves WHERE phase = 'switching'}), 'cz_moves says whom it waits for');
my $start = time;
$cluster->sql("UPDATE a SET v = 7 WHERE k = (SELECT min(k) FROM a WHERE get_shard_id_for_distribution_column('a', k) = $shard AND k <> $k)");
# the other one stays until it is released
cmp_ok(time - $start, '<', 60, 'another writer gets through meanwhile');
is(($cluster->release($writer))[0], 0, 'the writer commits');
my ($status, $out, $err) = $cluster->finish_sql($mover, 60);
is($status, 0, 'the move ends, though a reader is there') or diag($err);
is($cluster->sql("SELECT v FROM a WHERE k = $k"), '1000', 'what was written is there');
my $old_tables = $cluster->worker_sql($from, "SELECT count(*) FROM pg_class WHERE relname = 'a_$shard'");
is($old_tables, '1', 'the old placement stays as long as the reader');
like(($cluster->worker($from)->psql('postgres', "INSERT INTO cz_shards.a_$shard (k) VALUES (0)", extra_params => [ '-U', 'postgres' ]))[2],
	qr/could not serialize access because the shard was moved/, 'a fence stands there');
is(($cluster->release($reader))[0], 0, 'the reader ends');
is($cluster->orphans, '', 'and then the old placement goes');

note 'transactions with one snapshot';
$from = 3;
my ($held, $held2) = map { $cluster->start_halting("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM a WHERE k = $k;", "$_; COMMIT;") }
  "SELECT v FROM a WHERE k = $k", "UPDATE a SET v = 5 WHERE k = $k";
is((move($shard, 3, 1, 'block_writes'))[0], 0, 'moved');
$cluster->sql("UPDATE a SET v = 1001 WHERE k = $k");
$cluster->go_on($_) foreach $held, $held2;
like(($cluster->finish_sql($held, 60))[2], qr/40001.*was moved/, 'who has read it before cannot read it any more');
like(($cluster->finish_sql($held2, 60))[2], qr/40001.*was moved/, 'nor write it');
is($cluster->sql("SELECT v FROM a WHERE k = $k"), '1001', 'nothing was lost');

note 'a ctid is that of a placement';
my $ctid = $cluster->sql("SELECT ctid FROM a WHERE k = $k");
is((move($shard, 1, 3, 'block_writes'))[0], 0, 'moved');
like(($cluster->try_sql("UPDATE a SET v = 3 WHERE ctid = '$ctid'"))[2], qr/40001/, 'and says so after a move');

note 'DDL does not wait for a move';
my $stopped = $cluster->start_at('move_tables_made', "SELECT citus_move_shard_placement($shard, 3, 1, 'block_writes')");
my $ddl = $cluster->start_sql('ALTER TABLE a ADD COLUMN z int');
$cluster->coordinator->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
sleep 0.6;
$cluster->go;
is(($cluster->finish_sql($ddl, 60))[0], 0, 'the table is altered');
($status, $out, $err) = $cluster->finish_sql($stopped, 60);
is($status, 0, 'the move is made again by itself');
like($err, qr/the move begins again: another session (needs|alters) a table/, 'and says so');
like(ports_of($shard), qr/\b${\$cluster->port(1)}\b/, 'the shard has moved');
is($cluster->sql("SELECT string_agg(phase || ' ' || coalesce(sqlstate, ''), ',' ORDER BY move_id DESC) FROM (SELECT * FROM cz.move ORDER BY move_id DESC LIMIT 2) m"),
	'done ,failed 40001', 'in another move');
is($cluster->orphans, '', 'what the first one had made is gone');
is(&$structure, '', 'and the shard has the new column');

note 'who has a shard, and waits for its table, which the move has, while the move waits for the shard';
my $copying = $cluster->start_at('move_copied', "SELECT citus_move_shard_placement($shard, 1, 3)");
my $truncating = $cluster->start_sql('BEGIN; TRUNCATE p2; TRUNCATE p; ROLLBACK');
$cluster->coordinator->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'p'::regclass AND NOT granted});
$cluster->go;
($status, $out, $err) = $cluster->finish_sql($truncating, 60);
is($status, 0, 'he gets it') or diag($err);
($status, $out, $err) = $cluster->finish_sql($copying, 60);
is($status, 0, 'and the move ends') or diag($err);

note 'transactions of more than a second, one after the other';
sub set_to
{
	my ($name, $value) = @_;
	$cluster->alter_system($value ? "SET $name = '$value'" : "RESET $name");
	return;
}
$cluster->sql(q{
	SET cz.shard_replication_factor = 1;
	CREATE TABLE lg (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('lg', 'k', shard_count => 1, colocate_with => 'none');
	INSERT INTO lg SELECT i, 0 FROM generate_series(1, 3000) i;
	CREATE TABLE stop_writing (i int)});
my $lg = $cluster->sql("SELECT shardid FROM pg_dist_shard WHERE logicalrelid = 'lg'::regclass");
my ($lg_from) = grep { my $port = $cluster->port($_); ports_of($lg) =~ /\b$port\b/ } 1 .. 3;
my $lg_to = $lg_from % 3 + 1;
my $slow = $cluster->start_sql('DO $$BEGIN LOOP UPDATE lg SET v = v + 1 WHERE k = 1; PERFORM pg_sleep(1.3); COMMIT; EXIT WHEN EXISTS (SELECT FROM stop_writing); END LOOP; END$$');
$cluster->coordinator->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
$cluster->sql("SET statement_timeout = '150s'; SELECT citus_move_shard_placement($lg, $lg_from, $lg_to)");
is(ports_of($lg), $cluster->port($lg_to), 'the shard is moved between them');
is($cluster->sql('SELECT waits_for IS NULL, attempts > 0 FROM cz_moves ORDER BY move_id DESC LIMIT 1'), 't|t', 'nobody is in the way any more');
$cluster->sql('INSERT INTO stop_writing VALUES (1)');
is(($cluster->finish_sql($slow, 60))[0], 0, 'the writer ends');
$cluster->sql('TRUNCATE stop_writing; UPDATE lg SET v = 0');
($lg_from, $lg_to) = ($lg_to, $lg_from);

note 'one that does not end';
set_to('cz.cutover_timeout', '1s');
my $holding = $cluster->hold('UPDATE lg SET v = v + 1 WHERE k = 1');
like(($cluster->try_sql("SELECT citus_move_shard_placement($lg, $lg_from, $lg_to)"))[2],
	qr/55P03.*could not lock the shards against writers within cz\.cutover_timeout because of node "node_$lg_from": pid \d+/, 'the move is given up, and says why');
is(($cluster->release($holding))[0], 0, 'the writer commits');
set_to('cz.cutover_timeout', '');
is($cluster->orphans, '', 'nothing is left');
$cluster->sql('UPDATE lg SET v = 0');

note 'what is logged of changes has a limit';
set_to('cz.move_log_limit', '256kB');
my $lg_move = "SELECT citus_move_shard_placement($lg, $lg_from, $lg_to)";
my $limited = $cluster->start_at('move_rows_copied', $lg_move);
$cluster->sql('UPDATE lg SET v = v + 1') foreach 1 .. 5;
$cluster->go;
($status, $out, $err) = $cluster->finish_sql($limited, 60);
like($err, qr/53400.*changes that move \d+ has logged on node "node_$lg_from" take \d+ kB, more than cz\.move_log_limit/, 'the move is given up');
is($cluster->sql('SELECT phase, sqlstate FROM cz.move ORDER BY move_id DESC LIMIT 1'), 'failed|53400', 'cz.move says so');
is($cluster->orphans, '', 'nothing is left of it');
is($cluster->sql('UPDATE lg SET v = v + 1; SELECT count(*), sum(v) FROM lg'), '3000|18000', 'writers go on');

note 'what the target has got is removed from it';
# so much that a mover that is slow does not reach it while the writer goes on
set_to('cz.move_log_limit', '16MB');
my $locking = $cluster->hold('SELECT v FROM lg WHERE k = 1 FOR UPDATE');
my $writing = $cluster->start_sql('DO $$BEGIN LOOP UPDATE lg SET v = v + 1 WHERE k > 1; COMMIT; EXIT WHEN EXISTS (SELECT FROM stop_writing); END LOOP; END$$');
my $emptied = $cluster->start_at('move_log_emptied', $lg_move);
my $move_id = $cluster->sql("SELECT max(move_id) FROM cz.move");
my $sizes = $cluster->worker_sql($lg_from, "SELECT pg_relation_size('cz_shards.cz_m${move_id}_1') <= 8192, pg_relation_size('cz_shards.cz_m${move_id}_1b') > 8192");
is($sizes, 't|t', 'one table of two is empty, the other one is written');
$cluster->sql('INSERT INTO stop_writing VALUES (1)');
is(($cluster->finish_sql($writing, 60))[0], 0, 'the writer ends');
$cluster->release($locking);
$cluster->go;
# each time it is emptied
my $end = time + 60;
while ($emptied->{run}->pumpable && time < $end)
{
	$emptied->{run}->pump_nb;
	$cluster->go if -e $cluster->coordinator->data_dir . '/go.reached';
	sleep 0.02;
}
($status, $out, $err) = $cluster->finish_sql($emptied, 60);
is($status, 0, 'the move ends') or diag($err);
is($cluster->sql('SELECT count(*), count(DISTINCT v), min(v), max(v) > 6 FROM lg'), '3000|2|6|t', 'with all changes');
is($cluster->orphans, '', 'nothing is left');
$cluster->sql('DROP TABLE lg, stop_writing');
set_to('cz.move_log_limit', '');

note 'writers of all kinds while shards move: fuzz_move, short';
my $oracle = $cluster->worker(3);
$oracle->safe_psql('postgres', 'CREATE DATABASE oracle', extra_params => [ '-U', 'postgres' ]);
my $fuzz = dirname(__FILE__) . '/../fuzz/fuzz_move.py';
my $report = `python3 $fuzz --coordinator 127.0.0.1:@{[$cluster->coordinator->port]} --oracle 127.0.0.1:@{[$oracle->port]} --oracle-database oracle --seconds 6 --writers 4 --movers 2 --rows 60 2>&1`;
is($?, 0, 'rows are those of plain PostgreSQL, placements are equal') or diag($report);
note $report;
is($cluster->orphans, '', 'nothing is left on a worker');
# half of them at least: others may have met a machine that does something else
my ($median) = $report =~ /pauses of those that were online: median (\d+),/;
cmp_ok($median // 'none', '<', 1000, 'writers waited for the switch only');

note 'a node is disabled while it has an old placement, and activated again';
$cluster->sql('DROP TABLE b, a, p, s, un, fm_c, fm_t, fm_e, fm_p, fm_2, fm_s, fm_d, fm_x0, fm_x1, fm_x2');
$f2 = shard_on(1, 'f2');
($without) = grep { my $port = $cluster->port($_); ports_of($f2) !~ /\b$port\b/ } 1 .. 3;
my $reading = $cluster->hold('DECLARE c CURSOR FOR SELECT v FROM f2');
# the reader may have read another placement: time to look at the list
set_to('cz.drop_delay', '5s');
is((move($f2, 1, $without, 'auto'))[0], 0, 'moved');
cmp_ok($cluster->sql("SELECT count(*) FROM cz.cleanup WHERE object_kind = 'capture'"), '>', 0, 'what was logged with is on the list, too');
is(($cluster->release($reading))[0], 0, 'the reader ends');
$cluster->sql("BEGIN; SELECT citus_disable_node('127.0.0.1', " . $cluster->port(1) . "); COMMIT");
$cluster->sql("SELECT citus_activate_node('127.0.0.1', " . $cluster->port(1) . ')');
is($cluster->orphans, '', 'nothing is left');
is($cluster->sql('SELECT count(*), sum(v) FROM f2'), '200|0', 'all rows');
is($cluster->differing_placements, '', 'placements are equal');

done_testing();
