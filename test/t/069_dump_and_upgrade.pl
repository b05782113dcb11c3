# The whole database on other workers: pg_dump of the coordinator, and the rows of distributed
# tables by the script that cz_dump_script() makes, restored in a cluster whose workers are
# others.  And pg_upgrade of the coordinator to a new server.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 4\ncz.recovery_interval = -1\n");
my $node = $cluster->coordinator;
my ($status, $out, $err);

$cluster->sql(<<'SQL');
CREATE SCHEMA "odd ""name's\";
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE COLLATION de (provider = icu, locale = 'de');
CREATE TABLE ref (id int PRIMARY KEY, m mood);
INSERT INTO ref VALUES (1, 'sad'), (2, 'happy');
SELECT create_reference_table('ref');
CREATE TABLE parent (k int, id int GENERATED ALWAYS AS IDENTITY, m mood, twice int GENERATED ALWAYS AS (k * 2) STORED,
	b bytea, i interval, f float8, a text[], r int REFERENCES ref, junk int, PRIMARY KEY (k, id), UNIQUE (k));
ALTER TABLE parent DROP COLUMN junk;
CREATE TABLE child (k int PRIMARY KEY REFERENCES parent (k), boss int, note text DEFAULT 'none');
CREATE TABLE "odd ""name's\"."T:x" (k text COLLATE de, "co:l'""\" int);
CREATE TABLE parted (k int, d date, v numeric, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parted2 PARTITION OF parted DEFAULT;
CREATE TABLE lone (v int, t text);
CREATE TABLE barren (k int);
CREATE TABLE here (id serial PRIMARY KEY, v int);
SELECT create_distributed_table('parent', 'k'), create_distributed_table('child', 'k', colocate_with => 'parent'),
	create_distributed_table('"odd ""name''s\"."T:x"', 'k'), create_distributed_table('parted', 'k'),
	create_distributed_table('lone', NULL), create_distributed_table('barren', 'k');
CREATE TABLE ranged (d int, v int);
SELECT create_distributed_table('ranged', 'd', 'range');
SELECT cz_create_range_shard('ranged', '0', '100'), cz_create_range_shard('ranged', '100', '200');
CREATE INDEX parent_m ON parent (m);
INSERT INTO parent (k, m, b, i, f, a, r) SELECT i, CASE WHEN i % 2 = 0 THEN 'sad' ELSE 'happy' END::mood, decode(md5(i::text), 'hex'),
	i * interval '1 day 1 second', 1.0 / i, ARRAY['a' || i, NULL, E'tab\there\\ and ''quote'''], i % 2 + 1 FROM generate_series(1, 200) i;
INSERT INTO child SELECT i, i, CASE WHEN i % 3 = 0 THEN NULL ELSE E'line\nbreak ' || i END FROM generate_series(1, 200) i;
INSERT INTO "odd ""name's\"."T:x" SELECT 'ä' || i, i FROM generate_series(1, 100) i;
INSERT INTO parted SELECT i, date '2020-06-01' + i * 10, i / 3.0 FROM generate_series(1, 100) i;
INSERT INTO lone SELECT i, 't' || i FROM generate_series(1, 20) i;
INSERT INTO ranged SELECT i, i FROM generate_series(0, 199) i;
INSERT INTO here (v) SELECT generate_series(1, 10);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''by trigger''; RETURN NEW; END';
CREATE FUNCTION fits(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT v < 1000000';
CREATE FUNCTION former(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT v > -1';
ALTER TABLE child ADD CHECK (fits(boss)), ADD CONSTRAINT former CHECK (former(boss));
ALTER TABLE child DROP CONSTRAINT former;
CREATE TRIGGER noted BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION noted();
SQL

sub look
{
	my ($server, $database) = @_;
	return $server->safe_psql($database, q{
		SELECT 'parent', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM parent t;
		SELECT 'child', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM child t;
		SELECT 'odd', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM "odd ""name's\"."T:x" t;
		SELECT 'parted', tableoid::regclass, count(*), sum(hashtextextended(t::text, 0)::numeric) FROM parted t GROUP BY 1, 2 ORDER BY 2;
		SELECT 'lone', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM lone t;
		SELECT 'barren', count(*) FROM barren;
		SELECT 'ranged', count(*), sum(v) FROM ranged;
		SELECT 'here', count(*), sum(v) FROM here;
		SELECT 'joined', count(*), sum(p.twice) FROM parent p JOIN child USING (k) JOIN ref ON ref.id = p.r WHERE ref.m = 'sad';});
}
my $look = look($node, 'postgres');

note 'dumps';
my $schema = $node->basedir . '/schema.sql';
my $rows = $node->basedir . '/rows.sql';
my @server = ('-h', $node->host, '-p', $node->port);
$node->command_ok([ 'pg_dump', @server, '-f', $schema, 'postgres' ], 'pg_dump');
my $psql = "$ENV{CZ_BINDIR}/psql -XAtq -v ON_ERROR_STOP=1 -h " . $node->host . ' -p ' . $node->port . ' postgres';
is(system("$psql -c 'SELECT * FROM cz_dump_script()' | $psql > $rows"), 0, 'the script that cz_dump_script() makes');
unlike(slurp_file($rows), qr/^COPY public\.(ref|here)/m, 'it leaves out what pg_dump has');
like(slurp_file($rows), qr/COPY public\.parent .*COPY public\.child /s, 'tables in the order of their foreign keys');
$cluster->sql('BEGIN; ALTER TABLE ref ADD COLUMN p int; ROLLBACK');

note 'restored on other workers';
$cluster->worker($_)->safe_psql('postgres', 'CREATE DATABASE fresh', extra_params => [ '-U', 'postgres' ]) foreach 1 .. 3;
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @server, '-f', $schema, 'fresh' ], 'the schema');
foreach my $i (1 .. 3)
{
	my $name = $cluster->server_name($i);
	my $has = $node->safe_psql('fresh', "SELECT string_agg(split_part(o, '=', 1), ',') FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = '$name'");
	$node->safe_psql('fresh', "ALTER SERVER $name OPTIONS (" . ($has =~ /dbname/ ? 'SET' : 'ADD') . " dbname 'fresh')");
}
$out = $node->safe_psql('fresh', 'SELECT DISTINCT table_name, action FROM cz_finish_restore() WHERE problem = \'the shard is on no node\' ORDER BY 1');
is($out, join("\n", map { "$_|none: statements that need it fail" } sort ('"odd ""name\'s\\"."T:x"', map { "public.$_" } qw(barren child lone parent parted ranged))),
	'cz_finish_restore names the tables that have no shards');
$node->safe_psql('fresh', 'SELECT cz_take_over()');
$out = $node->safe_psql('fresh', q{SELECT DISTINCT table_name, action FROM cz_finish_restore(missing => 'create') WHERE problem = 'the shard is on no node' ORDER BY 1});
is($out, join("\n", map { "$_|made anew, empty" } sort ('"odd ""name\'s\\"."T:x"', map { "public.$_" } qw(barren child lone parent parted ranged))),
	'and makes them');
is($node->safe_psql('fresh', 'SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM parted)'), '0|0', 'empty');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @server, '-f', $rows, 'fresh' ], 'the rows');
is(look($node, 'fresh'), $look, 'all rows are there');
is($node->safe_psql('fresh', 'SELECT count(*) FROM cz_check_shards()'), '0', 'shards look like their tables')
  or diag($node->safe_psql('fresh', 'SELECT * FROM cz_check_shards()'));
is($node->safe_psql('fresh', 'SELECT count(*) FROM cz_verify_placements() WHERE NOT ok'), '0', 'placements are equal');
($status, $out, $err) = $node->psql('fresh', 'INSERT INTO child VALUES (1000, 1)');
like($err, qr/violates foreign key/, 'foreign keys hold');
$node->safe_psql('fresh', 'INSERT INTO parent (k, r) VALUES (1000, 1); INSERT INTO child VALUES (1000, 1); INSERT INTO parted VALUES (1000, \'2030-01-01\', 1)');
is($node->safe_psql('fresh', 'SELECT id > 200 FROM parent WHERE k = 1000'), 't', 'identity columns go on');
is(look($node, 'postgres'), $look, 'the original is as it was');
$node->safe_psql('postgres', 'DROP DATABASE fresh');

note 'foreign keys that form a circle';
$cluster->sql('CREATE TABLE c1 (k int PRIMARY KEY); CREATE TABLE c2 (k int PRIMARY KEY); SELECT create_distributed_table(\'c1\', \'k\'), create_distributed_table(\'c2\', \'k\', colocate_with => \'c1\');
ALTER TABLE c1 ADD FOREIGN KEY (k) REFERENCES c2; ALTER TABLE c2 ADD FOREIGN KEY (k) REFERENCES c1 DEFERRABLE');
($status, $out, $err) = $cluster->try_sql('SELECT count(*) FROM cz_dump_script()');
like($err, qr/WARNING:.*form a circle/, 'are warned of');
$cluster->sql('ALTER TABLE c1 DROP CONSTRAINT c1_k_fkey; DROP TABLE c2, c1');

note 'pg_upgrade of the coordinator';
my $new = PostgreSQL::Test::Cluster->new('upgraded', install_path => dirname($ENV{CZ_PREFIX_BIN}));
$cluster->_init_node($new, undef);
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'cz_fdw'\ncz.recovery_interval = -1\ncz.shard_count = 4\n");
$cluster->sql('SET cz.shard_replication_factor = 2; CREATE TABLE twice (k int PRIMARY KEY, v int); SELECT create_distributed_table(\'twice\', \'k\')');
$cluster->sql('INSERT INTO twice SELECT i, i FROM generate_series(1, 20) i');
$cluster->sql('UPDATE twice SET v = v + 1');
cmp_ok($cluster->sql('SELECT count(*) FROM cz.dirty_shards'), '>', 0, 'shards were written');
$out = $cluster->sql('SELECT string_agg(item || \' \' || is_ready, \', \') FROM cz_prepare_upgrade()');
is($out, 'jobs true, moves of shards true, commits on several nodes true, shards that are being written true, transactions prepared on the coordinator true', 'cz_prepare_upgrade: all is ready');
is($cluster->sql('SELECT count(*) FROM cz.dirty_shards'), '0', 'none counts as written when the server crashed');
$cluster->sql('DROP TABLE twice');
my $objects = q{SELECT (pg_identify_object(classid, objid, 0)).*, userid::regrole FROM cz.objects ORDER BY 1, 4};
my $objects_before = $cluster->sql($objects);
# a decision that a worker has not carried out is known to the new server, too
my $open = $cluster->start_at('after_local_commit', 'UPDATE parent SET f = 0');
$cluster->kill_coordinator;
$node->start;
$cluster->go;
$cluster->finish_sql($open, 30);
$node->stop('fast');
$new->command_ok([ "$ENV{CZ_PREFIX_BIN}/pg_upgrade", '-b', $ENV{CZ_PREFIX_BIN}, '-B', $ENV{CZ_PREFIX_BIN}, '-d', $node->data_dir, '-D', $new->data_dir,
	'-p', $node->port, '-P', $new->port, '-U', 'postgres', '-s', $new->host ], 'pg_upgrade');
$new->start;
is($new->safe_psql('postgres', 'SELECT count(*) FROM child'), '200', 'the upgraded server reads');
($status, $out, $err) = $new->psql('postgres', 'UPDATE parent SET f = 1');
like($err, qr/not the coordinator of its cluster/, 'and does not write');
is($new->safe_psql('postgres', 'SELECT cz_take_over()'), '2', 'until it takes over');
$new->safe_psql('postgres', 'SELECT recover_prepared_transactions()');
is($cluster->worker_sql($_, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "nothing is left prepared on worker $_") foreach 1 .. 3;
is($new->safe_psql('postgres', 'SELECT count(*) FROM parent WHERE f = 0'), '200', 'what was committed before is');
is($new->safe_psql('postgres', 'SELECT * FROM cz_finish_restore()'), '', 'cz_finish_restore finds all as it was');
# which have other OIDs there
is($new->safe_psql('postgres', $objects), $objects_before, 'what workers have of types and functions is known by its name');
$new->safe_psql('postgres', 'CREATE OR REPLACE FUNCTION fits(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS \'SELECT v < 2000000\';
	CREATE OR REPLACE FUNCTION former(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS \'SELECT v > -2\'');
is($cluster->worker_sql($_, "SELECT string_agg(prosrc, ',' ORDER BY proname) FROM pg_proc WHERE proname IN ('fits', 'former')"), 'SELECT v < 2000000,SELECT v > -2',
	"... and follows, on worker $_") foreach 1 .. 3;
is($new->safe_psql('postgres', 'SELECT count(*) FROM cz_check_shards()'), '0', 'shards look like their tables')
  or diag($new->safe_psql('postgres', 'SELECT * FROM cz_check_shards()'));
$new->safe_psql('postgres', "CREATE TABLE \"T2\" (k text COLLATE de); SELECT create_distributed_table('\"T2\"', 'k')");
is($new->safe_psql('postgres', q{SELECT count(DISTINCT colocationid) FROM pg_dist_partition WHERE logicalrelid::oid IN (SELECT oid FROM pg_class WHERE relname IN ('T2', 'T:x'))}), '1',
	'a table of the same collation joins the group');
is($new->safe_psql('postgres', 'SELECT count(*) FROM cz_list_orphans()'), '0', 'no orphans');
$new->stop('fast');

$cluster->stop;
done_testing();
