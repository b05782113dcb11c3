# Nodes that change while the cluster serves: disabled, activated, removed and lost while they
# are dead and somebody reads; other addresses, other names, an earlier life.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 4,
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 2\ncz.recovery_interval = '300ms'\ncz.connect_timeout = '2s'\n");
my @ports = (0, map { $cluster->port($_) } 1 .. 4);
my @names = ('', map { $cluster->server_name($_) } 1 .. 4);
my ($status, $out, $err);

sub seconds
{
	my ($sql) = @_;
	my $start = time;
	$cluster->sql($sql);
	return time - $start;
}

$cluster->sql(q{
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE t (k int PRIMARY KEY, m mood DEFAULT 'sad', v int);
SELECT create_distributed_table('t', 'k', shard_count => 8);
INSERT INTO t SELECT i, 'sad', i FROM generate_series(1, 800) i;
CREATE TABLE r (id int PRIMARY KEY);
SELECT create_reference_table('r');
INSERT INTO r SELECT generate_series(1, 10);
});
my $sum = $cluster->sql('SELECT count(*), sum(v) FROM t');

note 'a worker is what it is, not where it is (E4, E5)';
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_node('localhost', $ports[1])");
like($err, qr/ERROR:  42710: node "node_\d+" is the same database as node "$names[1]"/, 'a worker by another name of its host');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), '4', 'is not added');
($status, $out, $err) = $cluster->try_sql("ALTER SERVER $names[1] OPTIONS (SET port '$ports[2]')");
like($err, qr/ERROR:  42710: node "$names[1]" is the same database as node "$names[2]"/, 'nor gets a node the address of another one');
($status, $out, $err) = $cluster->try_sql("SELECT citus_update_node((SELECT nodeid FROM pg_dist_node WHERE nodeport = $ports[1]), 'localhost', $ports[2])");
like($err, qr/ERROR:  42710: node "$names[1]" is the same database as node "$names[2]"/, 'by another name either');
($status, $out, $err) = $cluster->try_sql("SELECT citus_update_node((SELECT nodeid FROM pg_dist_node WHERE nodeport = $ports[1]), '127.0.0.1', " . $cluster->coordinator->port . ')');
like($err, qr/ERROR:  22023: node "$names[1]" is the coordinator's own database/, 'nor that of the coordinator');
$cluster->worker_sql(2, 'CREATE DATABASE other');
($status, $out, $err) = $cluster->try_sql("ALTER SERVER $names[1] OPTIONS (SET port '$ports[2]', SET dbname 'other')");
like($err, qr/ERROR:  55000: node "$names[1]" is not the worker it was/, 'nor that of a database without its shards');
$cluster->sql("SELECT citus_update_node((SELECT nodeid FROM pg_dist_node WHERE nodeport = $ports[1]), 'localhost', $ports[1])");
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'another name for the same worker');
$cluster->sql("ALTER SERVER $names[1] OPTIONS (SET host '127.0.0.1')");
# who has moved is asked first what is prepared there
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'and its address again');
($status, $out, $err) = $cluster->try_sql("SELECT citus_update_node(-5, 'localhost', 1)");
like($err, qr/ERROR:  42704: node -5 does not exist/, 'no such node');
# behind the extension's back, as while nobody answers there
$cluster->kill_worker(1);
my $mark = $cluster->worker_sql(2, q{SELECT obj_description('cz_shards'::regnamespace, 'pg_namespace')});
like($mark, qr/^cz_fdw [0-9a-f]{32} [0-9a-f]{32} 1 [0-9a-f]{16}$/, 'the mark of a worker');
$cluster->worker_sql(2, "COMMENT ON SCHEMA cz_shards IS 'none'");
($status, $out, $err) = $cluster->try_sql("SELECT sum(v) FROM t");
like($err, qr/is not the one that was added as this node/, 'a connection to a database that is another one is not used');
$cluster->worker_sql(2, "COMMENT ON SCHEMA cz_shards IS '$mark'");
$cluster->restart_worker(1);
$cluster->repair;
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'all is well again');

note 'DROP SERVER ... CASCADE (E3)';
($status, $out, $err) = $cluster->try_sql("DROP SERVER $names[3] CASCADE");
like($err, qr/ERROR:  2BP01: cannot drop server "$names[3]" because shards are placed on it/, 'takes no shards along');
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'no row is lost');

note 'disabled while dead, and while somebody reads (E7)';
$cluster->kill_worker(2);
my $reader = $cluster->hold('SET LOCAL client_min_messages = error; SELECT count(*) FROM t');
my $took = seconds("SELECT citus_disable_node('127.0.0.1', $ports[2])");
# a reader stays until it is released
cmp_ok($took, '<', 60, 'citus_disable_node waits for no reader');
($status, $out, $err) = $cluster->try_sql("SELECT citus_activate_node('127.0.0.1', $ports[2])");
like($err, qr/ERROR:  08001/, 'a dead node is not activated');
($status, $out, $err) = $cluster->try_sql("BEGIN; CREATE TABLE x (); SELECT citus_activate_node('127.0.0.1', $ports[2])");
like($err, qr/ERROR:  25001: cannot activate a node in a transaction that has changed something/, 'nor within a transaction that has written');
$cluster->release($reader);
($status, $out, $err) = $cluster->try_sql(q{
ALTER TYPE mood ADD VALUE 'angry';
ALTER TABLE t ADD COLUMN w int DEFAULT 7;
CREATE INDEX t_v ON t (v);
CREATE TABLE same (k int PRIMARY KEY, m mood);
SELECT create_distributed_table('same', 'k', colocate_with => 't');
INSERT INTO t SELECT i, 'angry', i FROM generate_series(801, 900) i;
INSERT INTO r VALUES (11)});
is($status, 0, 'DDL and writes go on without it (E8)') or diag($err);
$sum = $cluster->sql('SELECT count(*), sum(v) FROM t');
$cluster->restart_worker(2);
$reader = $cluster->hold('SELECT count(*) FROM t');
$took = seconds("SELECT citus_activate_node('127.0.0.1', $ports[2])");
cmp_ok($took, '<', 60, 'citus_activate_node waits for no reader');
$cluster->release($reader);
is($cluster->sql('SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1'), '0', 'all placements are active');
is($cluster->differing_placements, '', 'and equal');
is($cluster->worker_sql(2, "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum"), 'sad happy angry', 'with the type as it is now');

note 'removed, with leftovers, and added again (E6)';
$reader = $cluster->hold('SELECT count(*) FROM t');
$took = seconds("SET client_min_messages = error; SELECT citus_remove_node('127.0.0.1', $ports[3])");
cmp_ok($took, '<', 60, 'citus_remove_node waits for no reader');
$cluster->release($reader);
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'all rows are there');
cmp_ok($cluster->shard_tables(3), '>', 0, 'its shards stay there');
$cluster->sql(q{ALTER TYPE mood ADD VALUE 'calm'});
$cluster->sql("SELECT citus_add_node('127.0.0.1', $ports[3])");
is($cluster->shard_tables(3), '1', 'when it is added again, what it had goes, but for the reference table');
$cluster->sql(q{
CREATE TABLE late (k int PRIMARY KEY, m mood);
SELECT create_distributed_table('late', 'k', colocate_with => 'none', shard_count => 8);
INSERT INTO late SELECT i, 'calm' FROM generate_series(1, 100) i});
cmp_ok($cluster->sql("SELECT count(*) FROM citus_shards WHERE table_name = 'late'::regclass AND nodeport = (SELECT nodeport FROM pg_dist_node ORDER BY nodeid DESC LIMIT 1)"), '>', 0, 'it gets new shards');

note 'refused with a list';
$cluster->sql(q{
DROP TABLE t, same;
CREATE TABLE t (k int PRIMARY KEY, m mood DEFAULT 'sad', v int);
SELECT create_distributed_table('t', 'k', shard_count => 8);
INSERT INTO t SELECT i, 'sad', i FROM generate_series(1, 800) i;
CREATE TABLE one (k int PRIMARY KEY, v int);
SET citus.shard_replication_factor = 1;
SELECT create_distributed_table('one', 'k', shard_count => 4, colocate_with => 'none');
INSERT INTO one SELECT i, i FROM generate_series(1, 100) i});
$sum = $cluster->sql('SELECT count(*), sum(v) FROM t');
my $only = $cluster->sql("SELECT string_agg(shard_name, ', ' ORDER BY shardid) FROM citus_shards WHERE table_name = 'one'::regclass AND nodeport = $ports[4]");
$only =~ s/cz_shards\.//g;
my $name = $cluster->server_name(4);
foreach my $call ("citus_remove_node('127.0.0.1', $ports[4])", "citus_disable_node('127.0.0.1', $ports[4])", "cz_lose_node('$name')")
{
	($status, $out, $err) = $cluster->try_sql("SELECT $call");
	like($err, qr/ERROR:  55000: cannot \w+ node at .*: it holds the only active placement of \d+ shard.*DETAIL:  These are \Q$only\E\./s, "$call names the shards") or diag($err);
}

note 'lost for good';
$cluster->kill_worker(4);
($status, $out, $err) = $cluster->try_sql("SELECT count(*) FROM cz_lose_node('$name')");
like($err, qr/use cz_lose_node\(\) with force => true/, 'rows that are gone are not forgotten without a word');
is( $cluster->sql("SET client_min_messages = error; SELECT string_agg(table_name || '_' || shardid, ', ' ORDER BY shardid) FROM cz_lose_node('$name', force => true)"),
	$only, 'by force: what is lost is returned');
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'tables with another placement are whole');
($status, $out, $err) = $cluster->try_sql('SELECT count(*) FROM one');
like($err, qr/ERROR:  55000: no placement of shard \d+ is active.*DETAIL:  Its placements are on "$name" \(lost: the node was lost\)/s, 'who reads what is lost gets an error');
($status, $out, $err) = $cluster->try_sql('UPDATE one SET v = 0');
like($err, qr/ERROR:  55000/, 'who writes it, too');
($status, $out, $err) = $cluster->try_sql('INSERT INTO one SELECT i, i FROM generate_series(101, 200) i');
like($err, qr/ERROR:  55000/, 'and who adds to it');
is($cluster->sql("SELECT string_agg(DISTINCT state, '') FROM cz.placement_state"), 'l', 'it is noted so');
$cluster->sql('SET client_min_messages = error; DROP TABLE one');
is($cluster->sql("SELECT count(*) FROM cz_lose_node('$name')"), '0', 'its tables are dropped: it can go');
is($cluster->sql('SELECT count(*) FROM pg_dist_node'), '3', 'and is gone');
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $sum, 'without harm to the others');
($status, $out, $err) = $cluster->try_sql("ALTER TABLE t ADD COLUMN after_loss int; INSERT INTO r VALUES (12); DELETE FROM t WHERE k = 1");
is($status, 0, 'DDL and writes go on') or diag($err);
($status, $out, $err) = $cluster->try_sql("SELECT cz_lose_node('nobody')");
like($err, qr/ERROR:  42704/, 'a node that does not exist');

note 'lost by mistake';
$cluster->sql(q{
CREATE TABLE two (k int PRIMARY KEY, v int);
SET citus.shard_replication_factor = 1;
SELECT create_distributed_table('two', 'k', shard_count => 4, colocate_with => 'none');
INSERT INTO two SELECT i, i FROM generate_series(1, 100) i});
$cluster->sql("SET client_min_messages = error; SELECT count(*) FROM cz_lose_node('$names[1]', force => true)");
($status, $out, $err) = $cluster->try_sql("SELECT citus_add_node('localhost', $ports[1])");
like($err, qr/ERROR:  42710/, 'a node that still has what is lost is not added as a new one');
$cluster->sql("SELECT citus_activate_node('127.0.0.1', $ports[1])");
is($cluster->sql('SELECT count(*), sum(v) FROM two'), '100|5050', 'but activated, with all its rows');


note 'health, and placements that are missing for long';
$cluster->sql('DROP TABLE two');
$cluster->sql("ALTER SYSTEM SET cz.health_interval = '200ms'");
$cluster->sql("ALTER SYSTEM SET cz.rereplication_delay = '500ms'");
$cluster->sql('SELECT pg_reload_conf()');
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT count(*) = 3 AND bool_and(state = 'up' AND last_contact IS NOT NULL) FROM cz_nodes}), 'cz_nodes: all are up');
is($cluster->sql('SELECT sum(placements) > 0, sum(inactive_placements), min(bytes) > 0, min(epoch) FROM cz_nodes'), 't|0|t|1', 'cz_nodes: what they have');
my $whole = q{SELECT count(*) = 8 AND min(n) = 2 FROM (SELECT s.shardid, count(*) AS n FROM pg_dist_shard s JOIN pg_dist_shard_placement p USING (shardid)
	JOIN cz_nodes c ON c.port = p.nodeport WHERE s.logicalrelid = 't'::regclass AND p.shardstate = 1 AND c.state = 'up' GROUP BY 1) x};
ok($cluster->coordinator->poll_query_until('postgres', $whole), 'what the lost node had is made elsewhere');
is($cluster->sql('SELECT count(*), sum(v) FROM t'), $cluster->sql('SELECT count(*), sum(v) FROM (SELECT * FROM t) x'), 'all rows are there');
my $before = $cluster->sql('SELECT count(*), sum(v) FROM t');
my $listener = $cluster->start_halting('LISTEN cz_health;', "SELECT pg_sleep(3); SELECT 'heard';");
$cluster->kill_worker(2);
ok($cluster->coordinator->poll_query_until('postgres', qq{SELECT state = 'down' AND failures >= 3 AND reason <> '' FROM cz_nodes WHERE port = $ports[2]}), 'a dead node is down');
$cluster->go_on($listener);
($status, $out, $err) = $cluster->finish_sql($listener, 60);
like($out, qr/notification "cz_health" with payload "suspect $names[2]"/, 'who listens is told');
like($out, qr/notification "cz_health" with payload "down $names[2]"/, 'of each change');
like(PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile), qr/LOG:  node "$names[2]" is down/, 'the log has it');
ok($cluster->coordinator->poll_query_until('postgres', $whole), 'its placements are made on the others');
is($cluster->sql("SET client_min_messages = error; SELECT count(*), sum(v) FROM t"), $before, 'with all rows');
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT state = 'finished' FROM citus_job_list() WHERE job_type = 'replicate' ORDER BY job_id DESC LIMIT 1}), 'by a job');
$cluster->restart_worker(2);
ok($cluster->coordinator->poll_query_until('postgres', qq{SELECT state = 'up' FROM cz_nodes WHERE port = $ports[2]}), 'it is back');
ok($cluster->repair, 'and its placements are whole');
is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', 'and equal');

$cluster->stop;
done_testing();
