# A dump of the coordinator restores the topology: the new coordinator serves the shards
# that are on the workers.  And DROP TABLE while a worker is down: the clean-up list.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.shard_count = 4\ncz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = -1\n");
my $node = $cluster->coordinator;

$cluster->sql(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE t (id bigserial, k text, m mood DEFAULT 'happy', n int CHECK (n > 0), PRIMARY KEY (k, id));
CREATE INDEX t_n ON t (n);
CREATE VIEW by_key AS SELECT k, id, max(n) AS n FROM t GROUP BY k, id;
SELECT create_distributed_table('t', 'k');
INSERT INTO t (k, n) SELECT 'key ' || i % 10, i FROM generate_series(1, 100) i;
CREATE TABLE ref (id int PRIMARY KEY, v text);
INSERT INTO ref VALUES (1, 'one');
SELECT create_reference_table('ref');
CREATE TABLE r (d date, v int);
SELECT create_distributed_table('r', 'd', 'range');
SELECT cz_create_range_shard('r', '2020-01-01', '2021-01-01');
INSERT INTO r VALUES ('2020-06-01', 1);
CREATE TABLE ev (junk int, k int NOT NULL, t int NOT NULL, v text DEFAULT 'root', n numeric, CONSTRAINT ev_pk PRIMARY KEY (k, t)) PARTITION BY RANGE (t);
ALTER TABLE ev DROP COLUMN junk;
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
CREATE TABLE ev2 (n numeric, v text, t int NOT NULL, k int NOT NULL);
ALTER TABLE ev ATTACH PARTITION ev2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (t);
CREATE TABLE ev3a PARTITION OF ev3 DEFAULT;
CREATE INDEX ev_v ON ev (v);
SELECT create_distributed_table('ev', 'k');
ALTER TABLE ev1 SET (fillfactor = 60);
CREATE INDEX ev2_n ON ev2 (n) WHERE n > 5;
ALTER TABLE ev2 ALTER v SET DEFAULT 'two', ADD CONSTRAINT ck CHECK (k >= 0);
CREATE STATISTICS ev_s ON t, v FROM ev;
ALTER TABLE ev ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON ev USING (true);
INSERT INTO ev SELECT i, i % 40, 'v' || i, i FROM generate_series(1, 100) i;
SQL

# a role with mappings of its own, and a function that is not everybody's
$cluster->sql('CREATE ROLE clerk LOGIN; CREATE FUNCTION odd(int) RETURNS bool IMMUTABLE LANGUAGE sql AS $$SELECT $1 > -1$$; ALTER TABLE t ADD CHECK (odd(n))');
foreach my $i (1 .. 3)
{
	$cluster->worker_sql($i, 'CREATE ROLE clerk LOGIN');
	$cluster->sql('CREATE USER MAPPING FOR clerk SERVER ' . $cluster->server_name($i) . " OPTIONS (user 'clerk', password_required 'false')");
}
$cluster->sql('GRANT SELECT (k), DELETE ON t TO clerk; GRANT SELECT ON ref TO clerk; REVOKE ALL ON FUNCTION odd FROM PUBLIC; GRANT EXECUTE ON FUNCTION odd TO clerk');

note 'dump and restore';
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
unlike(PostgreSQL::Test::Utils::slurp_file($dump), qr/!cz_/, 'internal triggers are not dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'copy' ],
	'the script runs without an error');
is($node->safe_psql('copy', 'SELECT * FROM cz_finish_restore() ORDER BY 1'),
	join("\n", map { "public.$_|||placements may have missed writes since the dump|the first ones alone are used until they are compared" } qw(ev r t)),
	'cz_finish_restore: all is as in the dump');
is($node->safe_psql('copy', 'SELECT count(*), sum(n) FROM t'), '100|5050', 'the rows are served');
is($node->safe_psql('copy', 'SELECT count(*), sum(n) FROM by_key'), '100|5050', 'through the view');
is($node->safe_psql('copy', 'SELECT count(*), sum(n), count(DISTINCT tableoid) FROM ev'), '100|5050|3', 'and those of a partitioned table');
is($node->safe_psql('copy', 'SELECT count(*), sum(n) FROM ev2'), '30|1635', 'and of a partition');
is($node->safe_psql('copy', "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), '0', 'all indexes are valid');
is($node->safe_psql('copy', 'SELECT * FROM r'), '2020-06-01|1', 'range table');
is($node->safe_psql('copy', "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 't'::regclass"), 't', 'keys are valid');
is($node->safe_psql('copy', "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'ref'::regclass AND tgname LIKE '!cz_%'"),
	'2', 'the reference table has its triggers');
my $rights = "SELECT string_agg(DISTINCT coalesce(relacl::text, '-'), ' ') || (SELECT proacl::text FROM pg_proc WHERE proname = 'odd') FROM pg_class WHERE relname ~ '^t_[0-9]+\$' AND relkind = 'r'";
my $before = $cluster->worker_sql(1, $rights);
$node->safe_psql('copy', 'CREATE ROLE other; REVOKE ALL ON t, ref FROM clerk; GRANT EXECUTE ON FUNCTION odd TO PUBLIC; ALTER FUNCTION odd OWNER TO clerk; ALTER TABLE t OWNER TO clerk; REASSIGN OWNED BY clerk TO other; REASSIGN OWNED BY other TO postgres');
is($cluster->worker_sql(1, $rights), $before, 'privileges and owners of a database that is not the coordinator stay there');
my ($status, $out, $err) = $node->psql('copy', 'DROP SERVER ' . $cluster->server_name(2));
like($err, qr/other objects depend on it/, 'servers of secondary placements stay');
($status, $out, $err) = $node->psql('copy', "INSERT INTO ref VALUES (2, 'two')");
like($err, qr/not the coordinator of its cluster/, 'it only reads');
is($node->safe_psql('copy', 'SELECT cz_take_over()'), '2', 'until it takes over');
is($node->safe_psql('copy', 'SELECT cluster_id FROM cz.cluster'), $cluster->sql('SELECT cluster_id FROM cz.cluster'), 'the cluster is the same');
$cluster->worker_sql(1, "BEGIN; CREATE TABLE left_over (); PREPARE TRANSACTION 'cz_" . $cluster->sql("SELECT replace(cluster_id::text, '-', '') FROM cz.cluster") . "_1_5_0000abcd_0'");
($status, $out, $err) = $node->psql('copy', 'SELECT recover_prepared_transactions()');
like($err, qr/WARNING:  prepared transaction "cz_\w+_1_5_0000abcd_0" on node "\w+" is left alone/, 'what was decided before the dump it does not know');
($status, $out, $err) = $cluster->try_sql('SELECT recover_prepared_transactions()');
like($err, qr/55000: this database is no longer a coordinator of its cluster/, 'the original, which has the log, is fenced');
$cluster->worker_sql(1, $cluster->worker_sql(1, q{SELECT 'ROLLBACK PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts}));
$node->safe_psql('copy', "INSERT INTO t (k, n) VALUES ('key 1', 1000); INSERT INTO ref VALUES (2, 'two')");
is($node->safe_psql('copy', 'SELECT max(n) FROM t'), '1000', 'it writes');
($status, $out, $err) = $cluster->try_sql('DROP TABLE r');
like($err, qr/55000: this database is no longer a coordinator of its cluster/, 'the original can not drop what is the other one\'s now');
$node->safe_psql('copy', 'CREATE INDEX t_m ON t (m); ALTER TABLE t ADD COLUMN extra int DEFAULT 1');
is($node->safe_psql('copy', 'SELECT sum(extra) FROM t'), '101', 'DDL reaches the shards');

note 'parallel restore: tables may be there before it is known whose they are';
$node->command_ok([ 'pg_dump', '-Fc', '-h', $node->host, '-p', $node->port, '-f', "$dump.c", 'copy' ], 'pg_dump -Fc');
$node->safe_psql('postgres', 'CREATE DATABASE parallel');
$node->command_ok([ 'pg_restore', '-j', '4', '-h', $node->host, '-p', $node->port, '-d', 'parallel', "$dump.c" ], 'pg_restore -j');
is($node->safe_psql('parallel', 'SELECT count(*), sum(n), count(DISTINCT tableoid) FROM ev'), '100|5050|3', 'the rows are served');
$node->safe_psql('postgres', 'CREATE DATABASE early');
$node->safe_psql('early', 'CREATE EXTENSION cz_fdw');
is($node->safe_psql('early', 'SELECT count(*) FROM cz.cluster_owner'), '1', 'a new database is its own coordinator');
$node->safe_psql('early', "COPY cz.tables (relid, kind) FROM STDIN DELIMITER ',';\npg_class,h\n\\.\n");
is($node->safe_psql('early', 'SELECT count(*) FROM cz.cluster_owner'), '0', 'but not with tables of a dump');
is($node->safe_psql('early', 'SELECT cz_take_over()'), '2', 'until it takes over');

note 'clean-up list';
is($cluster->sql('SELECT cz_take_over(force => true)'), '3', 'the original is the coordinator again');
($status, $out, $err) = $node->psql('copy', 'SELECT count(*) FROM t', stderr => \$err);
like($err, qr/no longer a coordinator/, 'and the copy is not');
$cluster->sql("CREATE TABLE gone (k int); SELECT create_distributed_table('gone', 'k')");
my $before = $cluster->shard_tables(3);
$cluster->kill_worker(3);
($status, $out, $err) = $cluster->try_sql('DROP TABLE gone');
is($status, 0, 'DROP TABLE while a worker is down') or diag($err);
like($err, qr/WARNING:.*could not drop shards on node/, 'with a warning');
cmp_ok($cluster->sql('SELECT count(*) FROM cz.cleanup'), '>', 0, 'the list has its shards');
($status, $out, $err) = $cluster->try_sql("ALTER TABLE r ADD COLUMN w int; CREATE TABLE new (k int); SELECT create_distributed_table('new', 'k')");
isnt($status, 0, 'other changes fail');
$cluster->restart_worker(3);
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->sql('SELECT count(*) FROM cz.cleanup'), '0', 'the list is worked off');
cmp_ok($cluster->shard_tables(3), '<', $before, 'the shards are gone');

$cluster->stop;
done_testing();
