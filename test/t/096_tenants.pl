# Single-shard tables and schemas that are tenants, while workers go down, and in a dump:
# a schema is distributed as a whole or not at all; what one placement has missed is made
# good; keys that contain no common column are restored.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\ncz.recovery_interval = -1\n");
my $node = $cluster->coordinator;
my ($status, $out, $err);

$cluster->sql(<<'SQL');
CREATE TABLE h (k int PRIMARY KEY, v int);
SELECT create_distributed_table('h', 'k', shard_count => 4);
INSERT INTO h SELECT i, i FROM generate_series(1, 100) i;
CREATE SCHEMA "Tenant 1";
CREATE TABLE "Tenant 1".a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE);
CREATE TABLE "Tenant 1".b (x int, y text, during int4range, EXCLUDE USING gist (during WITH &&));
CREATE UNIQUE INDEX "b y" ON "Tenant 1".b (lower(y)) WHERE x > 0;
CREATE TABLE "Tenant 1".c AS SELECT i AS n FROM generate_series(1, 1000) i;
INSERT INTO "Tenant 1".a (v) SELECT 'v' || i FROM generate_series(1, 50) i;
INSERT INTO "Tenant 1".b SELECT i, 'Y' || i, int4range(i, i + 1) FROM generate_series(1, 50) i;
SQL

sub leftovers
{
	return join ' ', map {
		$cluster->worker_sql($_, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'cz_shards' AND relkind = 'r' AND relname ~ '^[abc]_'")
	} 1 .. 3;
}

note 'all or nothing';
for my $point ('schema-table', 'distribute-loaded', 'distribute-converted')
{
	($status, $out, $err) = $cluster->try_sql(qq{SET cz.debug_point = '$point'; SELECT citus_schema_distribute('"Tenant 1"')});
	isnt($status, 0, "$point: fails");
	is($cluster->sql(q{SELECT (SELECT count(*) FROM citus_schemas), (SELECT count(*) FROM cz.tables), (SELECT count(*) FROM cz.colocation),
		(SELECT count(*) FROM "Tenant 1".a), (SELECT string_agg(relkind::text, '' ORDER BY relname) FROM pg_class
		  WHERE relnamespace = '"Tenant 1"'::regnamespace AND relname IN ('a', 'b', 'c'))}), '0|1|1|50|rrr', "$point: nothing is distributed");
	is(leftovers(), '0 0 0', "$point: nothing is left on the workers");
}
$cluster->sql(q{SELECT citus_schema_distribute('"Tenant 1"')});
is($cluster->sql('SELECT count(*), count(DISTINCT nodeport) FROM citus_shards WHERE citus_table_type = \'schema\''), '6|2', 'three tables on two workers');
is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', 'placements are equal');

note 'with one placement';
my ($first, $second) = map { my $port = $_; (grep { $cluster->port($_) == $port } 1 .. 3)[0] }
  split /\n/, $cluster->sql(q{SELECT w.nodeport FROM pg_dist_shard_placement w WHERE shardid = get_shard_id_for_distribution_column('"Tenant 1".a') ORDER BY placementid});
my $read = q{SELECT (SELECT count(*) FROM "Tenant 1".a JOIN "Tenant 1".b ON a.id = b.x), (SELECT sum(n) FROM "Tenant 1".c)};
for my $lost ($first, $second)
{
	$cluster->kill_worker($lost);
	is($cluster->sql($read), '50|500500', "worker $lost is down: read");
	is($cluster->sql(q{
		INSERT INTO "Tenant 1".a (v) VALUES ('new') ON CONFLICT (v) DO UPDATE SET v = 'newer' RETURNING v;
		UPDATE "Tenant 1".b SET y = y || a.v FROM "Tenant 1".a WHERE a.id = b.x AND b.x < 10;
		WITH d AS (DELETE FROM "Tenant 1".c WHERE n = 1000 RETURNING n) INSERT INTO "Tenant 1".c SELECT n FROM d;
		DELETE FROM "Tenant 1".a WHERE v LIKE 'new%'; }), 'new', "worker $lost is down: write");
	is($cluster->sql($read), '50|500500', "worker $lost is down: read what was written");
	$cluster->restart_worker($lost);
	ok($cluster->repair, "worker $lost: made whole");
	is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', "worker $lost: placements are equal");
	is($cluster->differing_placements, '', "worker $lost: nothing differs");
}
# with its keys
($status, $out, $err) = $cluster->try_sql(q{INSERT INTO "Tenant 1".b VALUES (3, 'y12', NULL)});
like($err, qr/duplicate key value violates unique constraint "b y/, 'a partial unique index');
($status, $out, $err) = $cluster->try_sql(q{INSERT INTO "Tenant 1".b VALUES (3, 'other', '[5,7)')});
like($err, qr/conflicting key value violates exclusion constraint/, 'an exclusion constraint');

note 'a statement that loses a worker on its way';
$cluster->sql('CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)');
$cluster->kill_worker($second);
($status, $out, $err) = $cluster->try_sql(q{CREATE TABLE "Tenant 1".d (x int PRIMARY KEY)});
isnt($status, 0, 'a table that cannot be made on all placements is not made') or diag($out);
is($cluster->sql(q{SELECT to_regclass('"Tenant 1".d') IS NULL, (SELECT count(*) FROM citus_tables)}), 't|4', 'nothing is left of it');
$cluster->restart_worker($second);
$cluster->sql(q{CREATE TABLE "Tenant 1".d (x int PRIMARY KEY)});

note 'with hash tables in one transaction';
$cluster->sql(q{BEGIN; UPDATE h SET v = v + 1; INSERT INTO "Tenant 1".d SELECT k FROM h WHERE v > 50; COMMIT});
is($cluster->sql(q{SELECT count(*), min(x) FROM "Tenant 1".d}), '51|50', 'rows of a hash table');
is($cluster->sql(q{SELECT count(*) FROM h JOIN "Tenant 1".d ON d.x = h.k JOIN "Tenant 1".c ON c.n = d.x}), '51', 'join with one');
($status, $out, $err) = $cluster->try_sql(q{BEGIN; DELETE FROM h; INSERT INTO "Tenant 1".d VALUES (100); COMMIT});
like($err, qr/duplicate key/, 'an error in the one');
is($cluster->sql('SELECT count(*) FROM h'), '100', 'undoes the other');

note 'dump and restore';
my $dump = $node->basedir . '/tenants.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'copy' ],
	'the script runs without an error');
$node->safe_psql('copy', 'SELECT cz_finish_restore()');
is($node->safe_psql('copy', $read), '50|500500', 'the rows are served');
is($node->safe_psql('copy', q{SELECT schema_name FROM citus_schemas}), '"Tenant 1"', 'the schema is a tenant');
is($node->safe_psql('copy', q{SELECT count(*), bool_and(indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = '"Tenant 1"'::regnamespace}),
	$cluster->sql(q{SELECT count(*), bool_and(indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = '"Tenant 1"'::regnamespace}), 'keys are there');
my $again = $node->basedir . '/again.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-s', '-n', '"Tenant 1"', '-f', $again, 'copy' ], 'pg_dump of it');
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-s', '-n', '"Tenant 1"', '-f', $dump, 'postgres' ], 'pg_dump of the schema');
my @texts = map { PostgreSQL::Test::Utils::slurp_file($_) =~ s/^\\(un)?restrict .*\n//mgr } $again, $dump;
like($texts[0], qr/LIST \(\(\(0\)::cz\.single\)\)/, 'has the tables');
is($texts[0], $texts[1], 'is the same');
is($node->safe_psql('copy', 'SELECT cz_take_over()'), '2', 'it takes over');
is($node->safe_psql('copy', q{CREATE TABLE "Tenant 1".e (x int); INSERT INTO "Tenant 1".e VALUES (1);
	INSERT INTO "Tenant 1".a (v) VALUES ('copied') RETURNING v; SELECT count(*) FROM citus_tables WHERE citus_table_type = 'schema'}), "copied\n5",
	'and goes on');

$cluster->stop;
done_testing();
