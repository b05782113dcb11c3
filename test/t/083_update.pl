# ALTER EXTENSION cz_fdw UPDATE, from 1.0 on: a full cluster goes on, the catalog is that of
# a new one, and a library and SQL objects of different versions refuse to work together.
#
# 1.0's script is the released one; that its objects work with the newer library is not
# promised (cz.check_version = off): only so can a cluster of 1.0 be made here.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2);
my $node = $cluster->coordinator;
my $new = $cluster->sql("SELECT default_version FROM pg_available_extensions WHERE name = 'cz_fdw'");
is($cluster->sql('SHOW cz.version'), $new, "the library is of the scripts' version");

sub in_db
{
	my ($db, $sql) = @_;
	my ($status, $out, $err) = $node->psql($db, "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', 'postgres' ]);
	return ($status, $out, $err);
}

sub works
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'postgres' ]);
}

sub refused
{
	my ($db, $sql, $message, $hint, $name) = @_;
	my (undef, undef, $err) = in_db($db, $sql);
	like($err, qr/ERROR:  55000: $message/, $name);
	like($err, qr/HINT:  $hint/, "$name: hint");
}

# ---- the catalog, updated and new -----------------------------------------

# An object of the extension a line, with all that it is
my $catalog = q{
SET search_path TO pg_catalog;
WITH members AS (
	SELECT d.classid, d.objid FROM pg_depend d
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cz_fdw')),
relations AS (SELECT c.* FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
acl AS (
	SELECT classid, objid, acl FROM (
		SELECT 'pg_proc'::regclass AS classid, oid AS objid, proacl AS acl FROM pg_proc
		UNION ALL SELECT 'pg_class'::regclass, oid, relacl FROM pg_class
		UNION ALL SELECT 'pg_namespace'::regclass, oid, nspacl FROM pg_namespace
		UNION ALL SELECT 'pg_type'::regclass, oid, typacl FROM pg_type
		UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwacl FROM pg_foreign_data_wrapper) a)
SELECT concat_ws(' ', 'object', pg_describe_object(m.classid, m.objid, 0),
		'acl', (SELECT string_agg(i::text, ',' ORDER BY i::text) FROM unnest(a.acl) i),
		'comment', obj_description(m.objid, m.classid::regclass::name),
		CASE m.classid
			WHEN 'pg_proc'::regclass THEN (
				SELECT concat_ws(' ', p.proparallel, p.provolatile, CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
						ELSE (SELECT (to_jsonb(g) - 'aggfnoid')::text FROM pg_aggregate g WHERE g.aggfnoid = p.oid) END)
				  FROM pg_proc p WHERE p.oid = m.objid)
			WHEN 'pg_class'::regclass THEN (
				SELECT concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, pg_get_viewdef(c.oid)) FROM pg_class c WHERE c.oid = m.objid)
			WHEN 'pg_type'::regclass THEN (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = m.objid)
		END)
  FROM members m LEFT JOIN acl a USING (classid, objid)
UNION ALL
SELECT concat_ws(' ', 'column', c.oid::regclass, t.attname, t.attnum, format_type(t.atttypid, t.atttypmod), t.attnotnull,
		t.attidentity, t.attgenerated, pg_get_expr(d.adbin, d.adrelid), t.attcollation::regcollation, t.attacl, col_description(c.oid, t.attnum))
  FROM relations c JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0
	   LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = t.attnum
UNION ALL
SELECT concat_ws(' ', 'constraint', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid))
  FROM relations c JOIN pg_constraint n ON n.conrelid = c.oid
UNION ALL
SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) FROM relations c JOIN pg_index i ON i.indrelid = c.oid
UNION ALL
SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled, obj_description(g.oid, 'pg_trigger'))
  FROM relations c JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal
UNION ALL
SELECT concat_ws(' ', 'rule', r.ev_class::regclass, r.rulename) FROM relations c JOIN pg_rewrite r ON r.ev_class = c.oid
UNION ALL
SELECT 'sequence ' || s.seqrelid::regclass || ' ' || (to_jsonb(s) - 'seqrelid')::text
  FROM relations c JOIN pg_sequence s ON s.seqrelid = c.oid
UNION ALL
SELECT 'dumped ' || r.oid::regclass || ' ' || r.condition
  FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS r(oid, condition) WHERE e.extname = 'cz_fdw'
UNION ALL
SELECT 'default privileges ' || a::text FROM pg_default_acl a
UNION ALL
SELECT 'rows ' || x FROM (
	SELECT 'rebalance_strategy ' || s::text AS x FROM cz.rebalance_strategy s
	UNION ALL SELECT 'default_rebalance_strategy ' || s::text FROM cz.default_rebalance_strategy s) x
UNION ALL
SELECT 'version ' || extversion || ' ' || extrelocatable || ' ' || extnamespace::regnamespace FROM pg_extension WHERE extname = 'cz_fdw'
};

sub catalog_of
{
	my ($db) = @_;
	# a definition of several lines is one object
	my $text = works($db, "SELECT string_agg(replace(x, E'\\n', ' '), E'\\n' ORDER BY x COLLATE \"C\") FROM (" .
			($catalog =~ s/SET search_path TO pg_catalog;//r) . ') AS c(x)');
	my %lines = map { $_ => 1 } split /\n/, $text;
	return \%lines;
}

works('postgres', "CREATE DATABASE fresh; CREATE DATABASE updated");
works('fresh', 'CREATE EXTENSION cz_fdw');
works('updated', "CREATE EXTENSION cz_fdw VERSION '1.0'");
refused('updated', 'SELECT * FROM pg_dist_node', 'extension "cz_fdw" has version 1\.0 in this database, its library ' . quotemeta($new),
	'Run ALTER EXTENSION cz_fdw UPDATE\.', 'objects of 1.0, empty');
is(works('updated', 'CREATE TABLE plain (a int); INSERT INTO plain VALUES (1); SELECT * FROM plain'), '1', 'tables that are not ours work');
works('updated', 'ALTER EXTENSION cz_fdw UPDATE');
my ($fresh, $updated) = (catalog_of('fresh'), catalog_of('updated'));
cmp_ok(scalar(keys %$fresh), '>', 250, 'the catalog was read');
my @missing = grep { !$updated->{$_} } sort keys %$fresh;
my @surplus = grep { !$fresh->{$_} } sort keys %$updated;
is(join("\n", map { substr($_, 0, 400) } @missing), '', 'what CREATE EXTENSION makes and the update does not (sql/1.0--' . $new . '/)');
is(join("\n", map { substr($_, 0, 400) } @surplus), '', 'what the update leaves and CREATE EXTENSION does not make');

# ---- a full cluster -------------------------------------------------------

# the workers' schemas go with the nodes of the first database, which are used for this one
$cluster->sql('SELECT citus_remove_node(nodename, nodeport) FROM pg_dist_node');
works('postgres', 'CREATE DATABASE full_one');
$cluster->worker_sql($_, 'CREATE DATABASE full_one') foreach 1, 2;
works('postgres', 'ALTER DATABASE full_one SET cz.check_version = off');
works('full_one', "CREATE EXTENSION cz_fdw VERSION '1.0'");
works('full_one', "SELECT citus_add_node('127.0.0.1', " . $cluster->port($_) . ")") foreach 1, 2;
works('full_one', q{
	CREATE TABLE places (id int PRIMARY KEY, name text);
	SELECT create_reference_table('places');
	CREATE TABLE visits (id bigserial, place int REFERENCES places, visitor int, PRIMARY KEY (visitor, id));
	SELECT create_distributed_table('visits', 'visitor', shard_count => 4);
	CREATE INDEX ON visits (place);
	INSERT INTO places VALUES (1, 'inn'), (2, 'shop');
	INSERT INTO visits (place, visitor) SELECT 1 + i % 2, i FROM generate_series(1, 100) i;
	CREATE SCHEMA tenant;
	SELECT citus_schema_distribute('tenant');
	CREATE TABLE tenant.notes (a int);
	INSERT INTO tenant.notes VALUES (1);
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE TABLE days (day date NOT NULL, m mood) PARTITION BY RANGE (day);
	CREATE TABLE days_2026 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	SELECT create_distributed_table('days', 'day', shard_count => 4);
	INSERT INTO days VALUES ('2026-11-30', 'good');
});
my $placements = works('full_one', 'SELECT * FROM pg_dist_shard_placement ORDER BY 1, 6');
works('postgres', 'ALTER DATABASE full_one RESET cz.check_version');

my $message = 'extension "cz_fdw" has version 1\.0 in this database, its library ' . quotemeta($new);
my $hint = 'Run ALTER EXTENSION cz_fdw UPDATE\.';
my @statements = (
	[ 'SELECT count(*) FROM visits', 'a query' ],
	[ 'INSERT INTO visits (place, visitor) VALUES (1, 1)', 'a row' ],
	[ "COPY visits (place, visitor) FROM STDIN;\n1\t1\n\\.", 'COPY' ],
	[ 'ALTER TABLE visits ADD COLUMN note text', 'DDL' ],
	[ 'SELECT * FROM cz_nodes', 'a view' ],
	[ "SELECT citus_disable_node('127.0.0.1', 1)", 'a function' ],
	[ 'UPDATE places SET name = name', 'a reference table' ]);
refused('full_one', $_->[0], $message, $hint, $_->[1]) foreach @statements;
works('full_one', 'ALTER EXTENSION cz_fdw UPDATE');
is(works('full_one', "SELECT extversion FROM pg_extension WHERE extname = 'cz_fdw'"), $new, 'updated');
is(works('full_one', 'SELECT * FROM pg_dist_shard_placement ORDER BY 1, 6'), $placements, 'the same placements');
is(works('full_one', 'SELECT name, count(*), sum(visitor) FROM visits JOIN places p ON p.id = place GROUP BY 1 ORDER BY 1'),
	"inn|50|2550\nshop|50|2500", 'the same rows');
is(works('full_one', 'TABLE tenant.notes; TABLE days'), "1\n2026-11-30|good", 'tenants, partitions');
works('full_one', q{
	BEGIN;
	INSERT INTO visits (place, visitor) SELECT 1, i FROM generate_series(101, 120) i;
	UPDATE places SET name = 'hotel' WHERE id = 1;
	COMMIT;
	ALTER TABLE visits ADD COLUMN note text DEFAULT 'x';
	SELECT citus_move_shard_placement(s.shardid, p.nodeid, q.nodeid, 'block_writes')
	  FROM (SELECT min(shardid) AS shardid FROM pg_dist_shard WHERE logicalrelid = 'tenant.notes'::regclass) s,
		   LATERAL (SELECT groupid AS nodeid FROM pg_dist_placement x WHERE x.shardid = s.shardid ORDER BY placementid LIMIT 1) p,
		   LATERAL (SELECT nodeid FROM pg_dist_node n WHERE n.nodeid NOT IN (SELECT groupid FROM pg_dist_placement x WHERE x.shardid = s.shardid) LIMIT 1) q;
});
is(works('full_one', "SELECT count(*), count(note) FROM visits; SELECT name FROM places WHERE id = 1; SELECT bool_and(ok) FROM cz_verify_placements('visits')"),
	"120|120\nhotel\nt", 'and it goes on: writes, DDL, moves, equal placements');

# ---- newer objects, older library -----------------------------------------

works('full_one', "UPDATE pg_extension SET extversion = '1.99' WHERE extname = 'cz_fdw'");
refused('full_one', 'SELECT count(*) FROM visits', 'extension "cz_fdw" has version 1\.99 in this database, its library ' . quotemeta($new),
	'Install version 1\.99, or a later one, on this server and restart it\.', 'objects of a later version');
works('full_one', "UPDATE pg_extension SET extversion = '$new' WHERE extname = 'cz_fdw'");
is(works('full_one', 'SELECT count(*) FROM visits'), '120', 'and back');

# a package that is newer than the library that runs: its scripts ask before they make anything
my $share = `$ENV{CZ_PREFIX_BIN}/pg_config --sharedir`;
chomp $share;
foreach my $script ("cz_fdw--$new.sql", "cz_fdw--1.0--$new.sql")
{
	my ($guard) = PostgreSQL::Test::Utils::slurp_file("$share/extension/$script") =~ /^(DO \$\$.*?^\$\$;)/ms;
	$guard =~ s/'\Q$new\E'/'1.99'/;
	refused('fresh', $guard // '', "the library of cz_fdw that this server has loaded is of version \Q$new\E", 'Restart the server\.',
		"$script of a later version");
}

$cluster->stop;
done_testing();
