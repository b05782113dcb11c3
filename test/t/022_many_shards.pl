# A table with many shards: the memory to make it is that of one shard, and it works.
use strict;
use warnings;
use CzCluster;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $cluster = CzCluster->new(workers => 2);
my $n = 1024;

# Create the table with so many shards: the session's peak of memory, kB
sub create
{
	my ($count) = @_;
	my $out = $cluster->sql(qq{
		CREATE TABLE many (id int, v int);
		SELECT pg_backend_pid() AS pid \\gset
		\\setenv PID :pid
		SELECT create_distributed_table('many', 'id', shard_count => $count, colocate_with => 'none');
		\\! sed -n 's/^VmHWM: *\\t* *//p' /proc/\$PID/status
	});
	my ($peak) = $out =~ /(\d+) kB/;
	return $peak;
}

my $small = create(16);
$cluster->sql('DROP TABLE many');
my $peak = create($n);
note("$small kB with 16 shards, $peak kB with $n");
cmp_ok($peak - $small, '<', 100_000, 'memory is in proportion to one shard');

is($cluster->sql('SELECT shard_count FROM citus_tables'), $n, 'citus_tables');
is($cluster->sql('SELECT count(*), count(DISTINCT shardid) FROM citus_shards'), 2 * $n . "|$n", 'citus_shards');
is($cluster->sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'many'::regclass"), $n, 'pg_inherits');
is($cluster->sql('INSERT INTO many SELECT i, i FROM generate_series(1, 5000) i; SELECT count(*), sum(v) FROM many'), '5000|12502500', 'rows come and go');
is($cluster->sql('SELECT v FROM many WHERE id = 4711'), '4711', 'one is found');
$cluster->sql('CREATE INDEX ON many (v); ALTER TABLE many ADD COLUMN w int DEFAULT 1');
is($cluster->sql('SELECT sum(w) FROM many'), '5000', 'DDL reaches them');

# one that is given up leaves nothing
my ($status, $out, $err) = $cluster->try_sql("CREATE TABLE never (id int); BEGIN; SET statement_timeout = '300ms'; SELECT create_distributed_table('never', 'id', shard_count => $n, colocate_with => 'none'); SELECT pg_sleep(1)");
like($err, qr/57014/, 'it can be cancelled');
is($cluster->sql("SELECT relkind, (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid) FROM pg_class c WHERE oid = 'never'::regclass"), 'r|0', 'and is as it was');

$cluster->sql("SELECT undistribute_table('many')");
is($cluster->sql('SELECT count(*), sum(v), sum(w) FROM many'), '5000|12502500|5000', 'an ordinary table again');
$cluster->sql("DROP TABLE never; SELECT create_distributed_table('many', 'id', shard_count => $n, colocate_with => 'none'); DROP TABLE many");
is(join(' ', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace") } 1 .. 2), '0 0', 'nothing is left');

$cluster->stop;
done_testing();
