# DDL of every kind, cancelled at some moment of it: all placements look like their table
# afterwards, and have all rows.  Run by make soak.
use strict;
use warnings;
use CzCluster;
use Test::More;

plan skip_all => 'run by make soak' unless $ENV{SOAK_SECONDS};

my $cluster = CzCluster->new(workers => 2, conf => qq{
cz.shard_count = 4
cz.recovery_interval = -1
});
my @timeouts = (1, 3, 7, 15, 30, 60);

# A statement, and what makes it undone
my @forms = (
	[ 'ALTER TABLE %s ADD COLUMN n int DEFAULT 5, ADD COLUMN m text', 'ALTER TABLE %s DROP COLUMN n, DROP COLUMN m' ],
	[ 'ALTER TABLE %s ALTER v TYPE bigint USING v + 0', 'ALTER TABLE %s ALTER v TYPE int' ],
	[ 'ALTER TABLE %s ADD CONSTRAINT c CHECK (v > 0)', 'ALTER TABLE %s DROP CONSTRAINT c' ],
	[ 'ALTER TABLE %s ADD CONSTRAINT u UNIQUE (k, v)', 'ALTER TABLE %s DROP CONSTRAINT u' ],
	[ 'ALTER TABLE %s RENAME COLUMN v TO x', 'ALTER TABLE %s RENAME COLUMN x TO v' ],
	[ 'ALTER INDEX %s_w RENAME TO renamed', 'ALTER INDEX renamed RENAME TO %s_w' ],
	[ 'ALTER TABLE %s SET (fillfactor = 60), ALTER w SET STORAGE external', 'ALTER TABLE %s RESET (fillfactor), ALTER w SET STORAGE extended' ],
	[ 'CREATE INDEX i ON %s (v, lower(w))', 'DROP INDEX i' ],
	[ 'DROP INDEX %s_w', 'CREATE INDEX %1$s_w ON %1$s (w)' ],
	[ 'REINDEX TABLE %s' ],
	[ 'CLUSTER %s USING %1$s_w', 'ALTER TABLE %s SET WITHOUT CLUSTER' ],
	[ 'REINDEX TABLE CONCURRENTLY %s' ],
	[ 'CREATE INDEX CONCURRENTLY i ON %s (v, lower(w))', 'DROP INDEX i' ],
	[ 'DROP INDEX CONCURRENTLY %s_w', 'CREATE INDEX %1$s_w ON %1$s (w)' ],
	[ 'CREATE TYPE e AS ENUM (\'a\'); ALTER TABLE %s ADD COLUMN e e', 'ALTER TABLE %s DROP COLUMN e; DROP TYPE e' ],
	[ 'SELECT undistribute_table(\'%s\')', sub { $_[0] eq 'ref' ? "SELECT create_reference_table('ref')" : $_[0] eq 'solo' ? "SELECT create_distributed_table('solo', NULL)" : "SELECT create_distributed_table('$_[0]', 'k')" } ],
	[ 'BEGIN; TRUNCATE %s; ROLLBACK' ],
	[ 'BEGIN; DROP TABLE %s; ROLLBACK' ],
	[ 'BEGIN; ALTER TABLE %s ADD COLUMN n int; SAVEPOINT a; ALTER TABLE %1$s DROP COLUMN w; ROLLBACK TO a; COMMIT', 'ALTER TABLE %s DROP COLUMN n' ]);

my @tables = ('two', 'solo', 'ref');
$cluster->sql(qq{
CREATE TABLE $_ (k int PRIMARY KEY, v int, w text);
INSERT INTO $_ SELECT i, i, 'w' || i FROM generate_series(1, 100) i;
CREATE INDEX ${_}_w ON $_ (w);
}) foreach @tables;
$cluster->sql(q{SELECT create_distributed_table('two', 'k'), create_distributed_table('solo', NULL), create_reference_table('ref')});

foreach my $table (@tables)
{
	foreach my $form (@forms)
	{
		my $sql = sprintf $form->[0], $table;
		my $undo = ref $form->[1] ? $form->[1]->($table) : defined $form->[1] ? sprintf($form->[1], $table) : '';
		my $concurrently = $sql =~ /CONCURRENTLY/;
		my ($ndone, @wrong) = (0);
		foreach my $timeout (@timeouts)
		{
			my ($status, undef, $err) = $cluster->try_sql("SET statement_timeout = '${timeout}ms'; $sql");
			push @wrong, "$timeout ms: $err" if $status != 0 && $err !~ /ERROR:  57014/;
			# what plain PostgreSQL leaves, too, is repaired as there
			if ($status != 0 && $concurrently)
			{
				$cluster->sql($sql =~ /^CREATE/ ? 'DROP INDEX IF EXISTS i' : $sql =~ /^DROP/ ? "REINDEX INDEX ${table}_w" : "REINDEX TABLE $table")
				  if $sql !~ /^DROP/ || $cluster->sql("SELECT to_regclass('${table}_w') IS NOT NULL") eq 't';
				$cluster->sql("CREATE INDEX IF NOT EXISTS ${table}_w ON $table (w)");
				# of a reference table's own indexes
				$cluster->sql(q{SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text ~ '_cc(new|old)[0-9]*$' \\gexec});
			}
			my $look = $cluster->sql("SELECT node_name, shard_id, object, expected, found FROM cz_check_shards(); SELECT count(*), sum(k) FROM $table");
			push @wrong, "$timeout ms: $look" if $look ne '100|5050';
			$ndone++ if $status == 0;
			$cluster->sql($undo) if $status == 0 && $undo ne '';
			# several statements: the first ones may have been done
			$cluster->try_sql('DROP TYPE e') if $status != 0 && $sql =~ /CREATE TYPE/;
		}
		is(join('; ', @wrong), '', "$table: $sql ($ndone of " . scalar(@timeouts) . ' done)');
	}
}
ok($cluster->wait_for_recovery, 'nothing is left prepared');
ok($cluster->repair, 'all placements are active');
is($cluster->differing_placements, '', 'and equal');
$cluster->sql("DROP TABLE $_") foreach @tables;
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->shard_tables($_), 0, "nothing is left on worker $_") foreach 1, 2;
$cluster->stop;
done_testing();
