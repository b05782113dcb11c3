# pg_upgrade of the coordinator to later versions of PostgreSQL, and of its workers in place, one
# after the other, while others write.
#
# CZ_UPGRADE_BINS="17=DIR 18=DIR" says where programs are that have cz_fdw beside them; make
# test-upgrade builds it for all that are there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CzCluster;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my ($own) = `$ENV{CZ_PREFIX_BIN}/postgres --version` =~ /(\d+)/;
my %bins = map { split /=/, $_, 2 } split ' ', $ENV{CZ_UPGRADE_BINS} // '';
# Some minors keep an option of columns, which pg_dump of others takes for the user's: pg_upgrade
# from these to those fails, whatever is in the cluster
my $has_option = sub { return slurp_file($_[0]) =~ /pg_attver/; };
my @newer = sort { $a <=> $b } grep { $_ > $own && ($has_option->("$bins{$_}/pg_dump") || !$has_option->("$ENV{CZ_PREFIX_BIN}/postgres")) } keys %bins;
plan skip_all => 'no PostgreSQL newer than the coordinator that has cz_fdw, and to which pg_upgrade works: CZ_UPGRADE_BINS has none (make test-upgrade)' unless @newer;

my $rich = <<'SQL';
CREATE EXTENSION btree_gist;
CREATE SCHEMA "odd ""name's";
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION de (provider = icu, locale = 'de');
CREATE FUNCTION fits(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT v < 1000000';
CREATE FUNCTION scale(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN v * 10; END';
CREATE ROLE boss; CREATE ROLE clerk LOGIN; CREATE ROLE reader;

CREATE TABLE ref (id int PRIMARY KEY, m mood, junk text, p pair);
ALTER TABLE ref DROP COLUMN junk;
SELECT create_reference_table('ref');
INSERT INTO ref SELECT i, CASE i % 2 WHEN 0 THEN 'sad' ELSE 'ok' END::mood, (i, ('p' || i)::text)::pair FROM generate_series(1, 10) i;

SET cz.shard_replication_factor = 2;
CREATE TABLE orders (junk0 int, k int, no bigint GENERATED ALWAYS AS IDENTITY, junk1 text, m mood DEFAULT 'ok', p pair, v positive CHECK (fits(v)),
	twice int GENERATED ALWAYS AS (k * 2) STORED, during int4range, name text COLLATE ci, r int REFERENCES ref ON UPDATE CASCADE ON DELETE SET NULL,
	a int[], j jsonb, n numeric(10, 2), at timestamptz DEFAULT now(), PRIMARY KEY (k, no), UNIQUE (k) WITH (fillfactor = 80),
	EXCLUDE USING gist (k WITH =, during WITH &&)) WITH (fillfactor = 70);
ALTER TABLE orders DROP COLUMN junk0;
SELECT create_distributed_table('orders', 'k', shard_count => 4);
ALTER TABLE orders DROP COLUMN junk1;
ALTER TABLE orders ADD COLUMN later text DEFAULT 'later' NOT NULL;
CREATE TABLE items (k int REFERENCES orders (k) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, i int, boss int, kind text NOT NULL DEFAULT 'x', PRIMARY KEY (k, i),
	FOREIGN KEY (k, boss) REFERENCES items (k, i) ON DELETE CASCADE);
SELECT create_distributed_table('items', 'k', colocate_with => 'orders');
ALTER TABLE items ADD CONSTRAINT late FOREIGN KEY (i) REFERENCES ref NOT VALID;
ALTER TABLE items ADD CONSTRAINT bounded CHECK (i < 100) NOT VALID;
ALTER TABLE items ADD EXCLUDE (k WITH =, i WITH =, kind WITH =) DEFERRABLE;
CREATE INDEX ON orders (scale(v)) WHERE m = 'ok';
CREATE INDEX orders_name ON orders USING btree (name) INCLUDE (v);
CREATE INDEX ON orders USING gist (during);
CREATE STATISTICS orders_stat (dependencies, mcv) ON m, r FROM orders;
COMMENT ON TABLE orders IS 'our orders'; COMMENT ON COLUMN orders.v IS 'its value'; COMMENT ON CONSTRAINT late ON items IS 'not yet';
ALTER TABLE orders ALTER COLUMN v SET STATISTICS 200;
CREATE TABLE bosses (k int PRIMARY KEY, m mood, p pair, name text COLLATE de);
SELECT create_distributed_table('bosses', 'k', colocate_with => 'orders');
ALTER TABLE bosses OWNER TO boss;
INSERT INTO bosses SELECT i, 'ok', (i, 'b')::pair, 'n' || i FROM generate_series(1, 30) i;
GRANT SELECT, INSERT ON orders TO clerk; GRANT SELECT (k, v) ON orders TO reader; GRANT ALL ON ref, items TO clerk;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_kind ON items USING (kind = 'x') WITH CHECK (kind <> 'z');
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.later := NEW.later || '' noted''; RETURN NEW; END';
CREATE TRIGGER noted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noted();
CREATE VIEW totals WITH (security_barrier) AS SELECT r, count(*) AS n, sum(v) AS v FROM orders GROUP BY r;
CREATE MATERIALIZED VIEW mv AS SELECT k, v FROM orders;
CREATE RULE no_truth AS ON DELETE TO totals DO INSTEAD NOTHING;
CREATE PUBLICATION pub FOR TABLE ref;
INSERT INTO orders (k, m, p, v, during, name, r, a, j, n) SELECT i, CASE i % 3 WHEN 0 THEN 'sad' ELSE 'ok' END::mood, (i, 'b')::pair, i, int4range(i, i + 5), 'Name' || i, 1 + i % 10,
	ARRAY[i, NULL], jsonb_build_object('i', i), i / 7.0 FROM generate_series(1, 300) i;
INSERT INTO items SELECT k, i, NULL, CASE i WHEN 3 THEN 'y' ELSE 'x' END FROM orders, generate_series(1, 3) i;

CREATE TABLE events (tenant int, day date NOT NULL, v numeric, note text, PRIMARY KEY (tenant, day, v)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_x (v numeric NOT NULL, junk int, note text, day date NOT NULL, tenant int NOT NULL);
ALTER TABLE events_x DROP COLUMN junk;
ALTER TABLE events ATTACH PARTITION events_x FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE events_more PARTITION OF events DEFAULT PARTITION BY LIST (tenant);
CREATE TABLE events_rest PARTITION OF events_more DEFAULT;
SELECT create_distributed_table('events', 'tenant', shard_count => 4);
CREATE INDEX ON events (note);
SELECT create_time_partitions('events', '1 month', '2026-07-01', '2026-03-01');
INSERT INTO events SELECT i % 20, date '2026-01-01' + i, i, 'n' || i FROM generate_series(1, 150) i;

CREATE TABLE "odd ""name's"."T:x" (k text COLLATE de, "co:l'""\" int, UNIQUE (k, "co:l'""\"));
SELECT create_distributed_table('"odd ""name''s"."T:x"', 'k', shard_count => 4);
INSERT INTO "odd ""name's"."T:x" SELECT 'K' || i, i FROM generate_series(1, 60) i;
CREATE TABLE ranged (d int, v int); SELECT create_distributed_table('ranged', 'd', 'range');
SELECT cz_create_range_shard('ranged', '0', '100'), cz_create_range_shard('ranged', '100', '200');
INSERT INTO ranged SELECT i, i FROM generate_series(0, 199) i;
CREATE TABLE appended (d int, v text); SELECT create_distributed_table('appended', 'd', 'append');
CREATE TABLE source AS SELECT i AS d, 'v' || i AS v FROM generate_series(1, 50) i;
SELECT master_append_table_to_shard(master_create_empty_shard('appended'), 'source', 'localhost', current_setting('port')::int) > 0;
SELECT master_create_empty_shard('appended') > 0;
CREATE TABLE lone (v int PRIMARY KEY, t text DEFAULT 'lone'); SELECT create_distributed_table('lone', NULL);
INSERT INTO lone SELECT generate_series(1, 20);
CREATE SCHEMA tenant1; SELECT citus_schema_distribute('tenant1');
CREATE TABLE tenant1.a (id serial PRIMARY KEY, x int UNIQUE); CREATE TABLE tenant1.b (x int REFERENCES tenant1.a (x), during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO tenant1.a (x) SELECT generate_series(1, 20); INSERT INTO tenant1.b SELECT i, int4range(i, i + 1) FROM generate_series(1, 20) i;
CREATE TABLE empty (k date PRIMARY KEY, b bool); SELECT create_distributed_table('empty', 'k', shard_count => 2);
CREATE TABLE times (k timestamptz, b bool, PRIMARY KEY (k, b)); SELECT create_distributed_table('times', 'k', shard_count => 4);
INSERT INTO times SELECT timestamptz '2026-01-01 UTC' + i * interval '1 h', i % 2 = 0 FROM generate_series(1, 50) i;
CREATE TABLE here (id serial PRIMARY KEY, v int, r int REFERENCES ref ON UPDATE CASCADE ON DELETE SET NULL);
INSERT INTO here (v, r) SELECT i, 1 + i % 10 FROM generate_series(1, 100) i;
ANALYZE;
SELECT citus_update_table_statistics('orders');
SQL

my @tables = (qw(ref orders items bosses events events_1 events_x events_rest ranged appended lone tenant1.a tenant1.b empty times here mv source totals), q{"odd ""name's"."T:x"});

# All rows, and what the catalogs say of clusters and tables, by names
sub look
{
	my ($node) = @_;
	return $node->safe_psql('postgres', join ";\n",
		(map { my $name = s/'/''/gr; "SELECT '$name', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM $_ t" } @tables),
		(map { "SELECT 'cz.$_', t FROM cz.$_ t ORDER BY t::text" }
			qw(colocation tables partitions shard_statistics analyzed_tables placement_state tenant_schemas pending_shards sealed_shards cleanup rebalance_strategy)),
		q{SELECT 'placements', s.shard_id, s.shard_name, p."position", w.srvname FROM cz.shard_list() s JOIN cz.placement_list() p USING (shard_id) JOIN pg_foreign_server w ON w.oid = p.server_oid ORDER BY 2, 4},
		# of whom: those who own tables now, too
		q{SELECT DISTINCT 'object', pg_identify_object(classid, objid, 0) FROM cz.objects ORDER BY 2},
		q{SELECT 'index', indexrelid::regclass, indisvalid, indisready, indislive FROM pg_index WHERE indrelid >= 16384 ORDER BY 2},
		q{SELECT 'constraint', conrelid::regclass, conname, contype, convalidated, condeferrable, condeferred, pg_get_constraintdef(oid) FROM pg_constraint
		   WHERE conrelid >= 16384 AND contype <> 'n' ORDER BY 2, 3},
		q{SELECT 'trigger', tgrelid::regclass, CASE WHEN tgisinternal THEN regexp_replace(tgname, '\d+', 'N', 'g') ELSE tgname END, tgtype, tgenabled FROM pg_trigger ORDER BY 2, 3, 4},
		q{SELECT 'sequence', schemaname, sequencename, last_value FROM pg_sequences ORDER BY 2, 3},
		q{SELECT 'depends', pg_describe_object(classid, objid, objsubid), pg_describe_object(refclassid, refobjid, refobjsubid), deptype FROM pg_depend
		   WHERE refclassid = 'pg_foreign_server'::regclass ORDER BY 2, 3},
	);
}

# What ANALYZE has left
sub statistics
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{
		SELECT schemaname, tablename, attname, inherited, null_frac, avg_width, n_distinct, most_common_vals, most_common_freqs, histogram_bounds, correlation FROM pg_stats
		  WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'cz') ORDER BY 1, 2, 3, 4;
		SELECT oid::regclass, reltuples, relpages FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'f') AND relnamespace <> 'cz'::regnamespace ORDER BY 1});
}

# The schema as a dump by the same pg_dump has it: its lines, whose order is that of OIDs, without
# views, whose words are their server's
sub dump_of
{
	my ($node, $bin, $file) = @_;
	$node->command_ok([ "$bin/pg_dump", '--schema-only', '-h', $node->host, '-p', $node->port, '-U', 'postgres', '-f', $file, 'postgres' ], 'pg_dump');
	return join '', sort grep { !/^(--|SET |\\|\s*$)/ } split /^/, slurp_file($file) =~ s/^CREATE (MATERIALIZED )?VIEW .*?;\n//gmsr;
}

# A server of a later version from the data of one that was stopped, at the same port
my $count = 0;
sub upgrade
{
	my ($cluster, $old, $bin, $conf) = @_;
	my ($major) = `$bin/postgres --version` =~ /(\d+)/;
	my $new = PostgreSQL::Test::Cluster->new('upgraded' . ++$count, install_path => dirname($bin), port => $old->port);
	# 18's initdb makes checksums, which must be as they were
	$new->init(extra => [ '-U', 'postgres', '--locale=C', '-E', 'UTF8', $major >= 18 ? '--no-data-checksums' : () ]);
	my ($settings) = slurp_file($old->data_dir . '/postgresql.conf') =~ /(\nlisten_addresses = '127.*)/s;
	$new->append_conf('postgresql.conf', $settings . "\n" . ($conf // ''));
	my @command = ("$bin/pg_upgrade", '--no-sync', '-U', 'postgres', '-b', $old->{_install_path} . '/bin', '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', PostgreSQL::Test::Cluster::get_free_port(), '-P', PostgreSQL::Test::Cluster::get_free_port());
	chdir $new->basedir;
	push @command, '--link' if $major == $newer[-1];
	foreach my $more ([ '--check' ], [])
	{
		my ($out, $err);
		my $ok = IPC::Run::run([ @command, @$more ], '>', \$out, '2>', \$err);
		ok($ok, "pg_upgrade to $major @$more") or do {
			diag($out, $err);
			diag(map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*.log'), glob($new->data_dir . '/pg_upgrade_output.d/*/*.txt'));
			return;
		};
	}
	$new->start;
	return $new;
}

my ($status, $out, $err);

# Who has the shards of a table
sub nodes_of
{
	my ($cluster, $table) = @_;
	return $cluster->sql("SELECT string_agg(DISTINCT nodeport::text, ' ') FROM citus_shards WHERE table_name = '$table'::regclass");
}

# As soon as the coordinator has noticed that a node is up again
sub repair
{
	my ($cluster) = @_;
	for (1 .. 120)
	{
		$cluster->try_sql('SELECT cz_repair_placements()');
		return if $cluster->sql('SELECT count(*) FROM cz.placement_state') eq '0';
		sleep 0.5;
	}
	return;
}

sub check_placements
{
	my ($cluster, $name) = @_;
	is($cluster->sql('SELECT * FROM cz_check_shards()'), '', "$name: shards look like their tables");
	is($cluster->sql('SELECT * FROM cz_verify_placements() WHERE NOT ok'), '', "$name: placements are equal");
	return;
}

# Everything goes on: what is refused, what is written, DDL, objects on the workers, moves
sub exercise
{
	my ($cluster) = @_;
	foreach (
		[ "INSERT INTO orders (k, r) VALUES (5, 1)", '23505' ],
		[ "INSERT INTO orders (k, r) VALUES (5000, 99)", '23503' ],
		[ "INSERT INTO orders (k, v) VALUES (5001, 2000000)", '23514' ],
		[ "INSERT INTO orders (k, v) VALUES (5001, -1)", '23514' ],
		[ "INSERT INTO items VALUES (7777, 1)", '23503' ],
		[ "INSERT INTO items VALUES (5, 9, 77)", '23503' ],
		[ "INSERT INTO items VALUES (5, 300)", '23514|23503' ],
		[ "DELETE FROM tenant1.a WHERE x = 1", '23503' ],
		[ "INSERT INTO tenant1.b VALUES (2, '[3,3]')", '23P01' ],
		[ "INSERT INTO lone VALUES (5)", '23505' ],
		[ "INSERT INTO \"odd \"\"name's\".\"T:x\" VALUES ('K5', 5)", '23505' ],
		[ "INSERT INTO ref VALUES (5)", '23505' ],
		[ "INSERT INTO ranged VALUES (500)", '23514' ],
		[ "SET ROLE reader; SELECT m FROM orders", '42501' ],
		[ "SET ROLE clerk; INSERT INTO items VALUES (5, 9, NULL, 'z')", '42501' ])
	{
		($status, $out, $err) = $cluster->try_sql("BEGIN; $_->[0]; COMMIT");
		like($err, qr/ERROR:  (?:$_->[1])/, "$_->[1]: $_->[0]");
	}
	is($cluster->sql('SET ROLE clerk; SELECT count(*), min(kind) FROM items'), '600|x', 'row security');
	is($cluster->sql("SELECT count(*) FROM \"odd \"\"name's\".\"T:x\" WHERE k = 'K17'"), '1', 'a collation of our own, in the key');
	is($cluster->sql("INSERT INTO orders (k, v, r) VALUES (1000, 5, 3) RETURNING k, twice, m, later, no > 300"), '1000|2000|ok|later noted|t', 'triggers, generated columns, defaults, sequences');
	is($cluster->sql("BEGIN; DELETE FROM orders WHERE k = 1; SELECT count(*) FROM items WHERE k = 1; UPDATE ref SET id = 77 WHERE id = 5;
		SELECT count(*) FROM orders WHERE r = 77; ROLLBACK"), "0\n30", 'actions of foreign keys');
	$cluster->sql("INSERT INTO events VALUES (1, '2030-01-01', 1), (2, '2026-03-05', 2); INSERT INTO tenant1.a (x) VALUES (100); INSERT INTO lone VALUES (100);
		INSERT INTO here (v, r) VALUES (1, 1); UPDATE ref SET m = 'sad' WHERE id = 1; DELETE FROM ref WHERE id = 10; INSERT INTO times VALUES ('2027-01-01', true)");
	is($cluster->sql("SELECT tableoid::regclass, count(*) FROM events WHERE tenant = 2 AND day > '2026-03-01' GROUP BY 1 ORDER BY 1"), "events_p2026_03|3\nevents_p2026_04|1\nevents_p2026_05|2",
		'partitions');
	is($cluster->sql('SELECT count(*), sum(r) FROM orders WHERE k <= 300'), '300|1350', 'SET NULL');
	# DDL
	$cluster->sql("ALTER TABLE orders ADD COLUMN more mood DEFAULT 'sad', DROP COLUMN j, ALTER COLUMN n TYPE numeric(12, 3); ALTER TABLE items VALIDATE CONSTRAINT bounded;
		ALTER TABLE items VALIDATE CONSTRAINT late; CREATE INDEX again ON orders (n); ALTER TABLE tenant1.b ADD COLUMN y int; CREATE TABLE tenant1.c (x int REFERENCES tenant1.a (x));
		ALTER TABLE events ADD COLUMN w int; ALTER TABLE events DROP COLUMN note; ALTER TABLE ref ADD COLUMN w int DEFAULT 5; CREATE UNIQUE INDEX ON ref (w, id);
		ALTER TABLE items RENAME COLUMN kind TO sort; DROP INDEX orders_name; ALTER TABLE orders ADD EXCLUDE (k WITH =, name WITH =);
		SELECT create_time_partitions('events', '1 month', '2026-09-01', '2026-07-01'); CALL drop_old_time_partitions('events', '2026-02-01')");
	is($cluster->sql('SELECT count(*) FROM events WHERE v < 40'), '11', 'a partition was dropped');
	# objects that workers have
	$cluster->sql("ALTER TYPE mood ADD VALUE 'glad'");
	$cluster->sql("UPDATE orders SET m = 'glad' WHERE k = 9; SET ROLE boss; UPDATE bosses SET m = 'glad'; ALTER TABLE bosses ADD COLUMN d positive; RESET ROLE; CREATE OR REPLACE FUNCTION fits(v int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT v < 3000000'");
	$cluster->sql("INSERT INTO orders (k, v) VALUES (5001, 2000000)");
	is($cluster->sql("SELECT count(*) FROM orders WHERE m = 'glad' AND fits(v)"), '1', 'a type that was changed');
	is($cluster->worker_sql($_, "SELECT prosrc FROM pg_proc WHERE proname = 'fits'"), 'SELECT v < 3000000', "a function that was changed, on worker $_") foreach 1 .. 3;
	$cluster->sql("ALTER FUNCTION scale(int) RENAME TO scaled; ALTER DOMAIN positive ADD CONSTRAINT small CHECK (VALUE < 5000000)");
	is($cluster->worker_sql($_, "SELECT count(*) FROM pg_proc WHERE proname = 'scaled'"), '1', "... renamed, on worker $_") foreach 1 .. 3;
	# tables of groups
	$cluster->sql("CREATE TABLE joined (k int PRIMARY KEY REFERENCES orders (k)); SELECT create_distributed_table('joined', 'k', colocate_with => 'orders'); INSERT INTO joined SELECT k FROM orders;
		CREATE TABLE alike (k text COLLATE de); SELECT create_distributed_table('alike', 'k', shard_count => 4)");
	is($cluster->sql("SELECT count(DISTINCT colocation_id) FROM cz.tables WHERE relid IN ('\"odd \"\"name''s\".\"T:x\"'::regclass, 'alike'::regclass)"), '1', 'colocated by its collation');
	$cluster->sql("SELECT undistribute_table('ranged'); DROP TABLE empty; TRUNCATE appended; ANALYZE orders; VACUUM lone");
	is($cluster->sql('SELECT count(*) FROM ranged'), '200', 'undistribute_table');
	# moves and splits
	my ($shard, $from, $to) = split /\|/, $cluster->sql("SELECT s.shardid, s.nodeport, (SELECT min(nodeport) FROM pg_dist_node n WHERE isactive AND n.nodeport NOT IN (SELECT nodeport FROM citus_shards x WHERE x.shardid = s.shardid))
		FROM citus_shards s WHERE table_name = 'orders'::regclass ORDER BY 1, 2 LIMIT 1");
	$cluster->sql("SELECT citus_move_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to)");
	$cluster->sql("SELECT cz_split_shard((SELECT min(shardid) FROM citus_shards WHERE table_name = 'events'::regclass))");
	check_placements($cluster, 'after all that');
	# a node is lost
	my $before = $cluster->sql('SELECT count(*), sum(v) FROM orders');
	$cluster->worker(2)->stop('immediate');
	is($cluster->sql('SELECT count(*), sum(v) FROM orders'), $before, 'a placement takes over for one that is lost');
	$cluster->sql('UPDATE orders SET v = v + 1');
	$cluster->worker(2)->start;
	repair($cluster);
	check_placements($cluster, 'after a loss');
	return;
}

foreach my $major (@newer)
{
	note "PostgreSQL $own to $major";
	my $bin = $bins{$major};
	my $conf = "cz.recovery_interval = -1\ncz.health_interval = '1s'\n";
	my $cluster = CzCluster->new(name => "to_${major}_", workers => 3, conf => $conf . "wal_level = replica\nmax_wal_senders = 5\n");
	$cluster->sql($rich);
	$cluster->sql("SELECT cz_propagate_role('boss', password_required => false)");
	my $here = $cluster->coordinator;
	# a second database with a cluster of its own, and one without the extension
	$here->safe_psql('postgres', "CREATE DATABASE \"other's\"");
	$here->safe_psql('postgres', 'CREATE DATABASE plain');
	foreach my $i (1 .. 3)
	{
		$cluster->worker($i)->safe_psql('postgres', "CREATE DATABASE \"other's\"", extra_params => [ '-U', 'postgres' ]);
	}
	my $other = sub { return $cluster->coordinator->safe_psql("other's", $_[0]); };
	$other->('CREATE EXTENSION cz_fdw');
	$other->("SELECT citus_add_node('127.0.0.1', " . $cluster->port($_) . ')') foreach 1 .. 3;
	$other->("CREATE TABLE t (k int PRIMARY KEY, v int); SELECT create_distributed_table('t', 'k'); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i");

	note 'states that are not of rest: an inactive placement, leftovers on a worker that is away, decisions that it has not heard';
	$cluster->sql("CREATE TABLE gone (k int); SELECT create_distributed_table('gone', 'k')");
	$cluster->worker(3)->stop('fast');
	$cluster->sql('UPDATE orders SET n = n + 1');
	$cluster->try_sql('DROP TABLE gone');
	cmp_ok($cluster->sql('SELECT count(*) FROM cz.placement_state'), '>', 0, 'placements are inactive');
	cmp_ok($cluster->sql('SELECT count(*) FROM cz.cleanup'), '>', 0, 'something is left to be dropped');
	$cluster->worker(3)->start;

	note 'an attached coordinator, which stays what it is';
	$here->backup("attached$major");
	my $attached = PostgreSQL::Test::Cluster->new("attached$major", install_path => $here->install_path);
	$attached->init_from_backup($here, "attached$major");
	$attached->append_conf('postgresql.conf', 'port = ' . $attached->port);
	$attached->start;
	my $there = sub {
		my ($sql) = @_;
		my ($rc, $out, $err) = $attached->psql('postgres', $sql);
		return $rc == 0 ? $out : $err;
	};
	is($there->("SELECT cz_attach_coordinator('host=127.0.0.1 dbname=postgres port=" . $here->port . "', 'other')"), 'other', 'attached');
	my $use_attached = sub {
		my ($when) = @_;
		my $before = $cluster->sql('SELECT count(*), sum(v) FROM bosses JOIN orders USING (k)');
		is($there->('SELECT count(*), sum(v) FROM bosses JOIN orders USING (k)'), $before, "$when the attached coordinator reads");
		is($there->('BEGIN; UPDATE orders SET n = n + 1 WHERE k IN (3, 4); UPDATE lone SET t = \'other\' WHERE v = 3; COMMIT; SELECT count(*) FROM lone WHERE t = \'other\''), '1', '... and writes');
		is($cluster->sql("UPDATE lone SET t = 'lone' WHERE t = 'other' RETURNING v"), '3', '... which the owner sees');
		return;
	};
	$use_attached->('before');

	my $upgrade_coordinator = sub {
		my $old = $cluster->coordinator;
		$cluster->sql('CALL citus_cleanup_orphaned_resources()');
		my $before = look($old);
		my $statistics = statistics($old);
		my $dump = dump_of($old, $bin, $old->basedir . '/before.sql');
		is($cluster->sql("SELECT string_agg(item, ', ') FROM cz_prepare_upgrade() WHERE NOT is_ready"), '', 'cz_prepare_upgrade: all is ready');
		is($cluster->sql('SELECT count(*) FROM cz.dirty_shards WHERE shard_id NOT IN (SELECT shard_id FROM cz.placement_state)'), '0', 'no shard counts as written when the server crashed');
		$old->stop('fast');
		my $new = upgrade($cluster, $old, $bin, "shared_preload_libraries = 'cz_fdw'\ncz.auto_analyze = off\n$conf") or return 0;
		$cluster->{coordinator} = $new;
		($status, $out, $err) = $cluster->try_sql('UPDATE orders SET v = v');
		like($err, qr/55000.*not the coordinator of its cluster/, 'the new server does not write');
		is($cluster->sql('SELECT count(*) FROM orders'), '300', '... and reads');
		is($cluster->sql('SELECT cz_take_over()'), '2', 'until it takes over');
		is($cluster->sql("SELECT * FROM cz_finish_restore()"), '', 'cz_finish_restore finds all as it was');
		is(look($new), $before, 'catalogs and rows are as they were');
		# shards that were written last count as after a crash; a worker that was down is behind
		$cluster->sql('SELECT cz_repair_placements()');
		is($other->("SELECT cz_take_over()"), '2', 'also in the other database');
		is($other->("SELECT * FROM cz_finish_restore()"), '', '... all as it was');
		is($other->('SELECT count(*), sum(v) FROM t'), '100|5050', '... its rows');
		$other->('INSERT INTO t VALUES (1000, 1); DELETE FROM t WHERE k = 1000');
		is(dump_of($new, $bin, $new->basedir . '/after.sql'), $dump, 'the dump is the same');
		# before 18 pg_upgrade leaves statistics behind, for all tables
		is(statistics($new), $statistics, 'statistics') if $major >= 18;
		is($cluster->sql('SELECT string_agg(extversion, \',\') FROM pg_extension WHERE extname = \'cz_fdw\''), $cluster->sql("SELECT default_version FROM pg_available_extensions WHERE name = 'cz_fdw'"),
			'the version of the extension is that of the library');
		$use_attached->("with an owner of $major");
		return 1;
	};
	my $upgrade_workers = sub {
		$cluster->sql('SET cz.shard_replication_factor = 2; CREATE TABLE load (k bigserial PRIMARY KEY, v text); CREATE TABLE counter (k int PRIMARY KEY, n int);
			SELECT create_distributed_table(\'load\', \'k\', shard_count => 8), create_distributed_table(\'counter\', \'k\', shard_count => 8); INSERT INTO counter VALUES (1, 0)');
		my @sessions;
		foreach my $i (1 .. 3)
		{
			my $port = $cluster->port($i);
			# the first one is only stopped: sessions that use it then get an error, and what is
			# written meanwhile makes its placements inactive; the others are emptied before
			if ($i > 1)
			{
				@sessions = ($cluster->start_sql("INSERT INTO load (v) VALUES ('v') RETURNING k \\watch 0.02\n"),
					$cluster->start_sql("UPDATE counter SET n = n + 1 WHERE k = 1 RETURNING n \\watch 0.02\n")) unless @sessions;
				$cluster->sql("SELECT citus_drain_node('127.0.0.1', $port); SELECT citus_disable_node('127.0.0.1', $port)");
			}
			my $old = $cluster->worker($i);
			is($cluster->worker_sql($i, 'SELECT count(*) FROM pg_prepared_xacts'), '0', '... nothing is prepared there');
			$old->stop('fast');
			$cluster->sql("INSERT INTO load (v) SELECT 'away' FROM generate_series(1, 20)") if $i == 1;
			my $new = upgrade($cluster, $old, $bin) or return;
			$cluster->{workers}[ $i - 1 ] = $new;
			if ($i > 1)
			{
				$cluster->sql("SELECT citus_activate_node('127.0.0.1', $port); SELECT citus_set_node_property('127.0.0.1', $port, 'shouldhaveshards', true);
					SELECT rebalance_table_shards()");
			}
			else
			{
				repair($cluster);
			}
			is($cluster->sql("SELECT count(*) FROM cz.placement_state"), '0', "worker $i is upgraded: all placements are in use");
			check_placements($cluster, "worker $i is upgraded");
		}
		my @keys;
		foreach my $session (@sessions)
		{
			$session->{run}->pump_nb if $session->{run}->pumpable;
			ok($session->{run}->pumpable && $session->{err} !~ /ERROR/, 'a session writes all the time') or diag($session->{err});
			$session->{run}->kill_kill(grace => 2);
			# whole lines
			push @keys, [ $session->{out} =~ /^(\d+)\n/mg ];
		}
		is($cluster->sql('SELECT count(*) FROM load WHERE k = ANY (ARRAY[' . join(',', @{ $keys[0] }) . ']::bigint[])'), scalar @{ $keys[0] }, 'no row is lost');
		cmp_ok($cluster->sql('SELECT n FROM counter'), '>=', $keys[1][-1], 'and no change');
		note(scalar(@{ $keys[0] }) . ' rows, ' . $keys[1][-1] . ' changes');
		is($cluster->sql("SELECT count(*) FROM pg_foreign_server WHERE 'server_version=$major' = ANY (srvoptions)"), 3, "all are of $major");
		return;
	};
	# documented is: workers first; the other order works, too
	if ($major == $newer[-1])
	{
		$upgrade_workers->();
		$upgrade_coordinator->();
	}
	else
	{
		$upgrade_coordinator->();
		$upgrade_workers->();
	}
	$use_attached->('in the end');
	$attached->stop;
	exercise($cluster);
	$cluster->stop;
}

done_testing();
