# Wide rows of sorted fragments are merged in little memory: the row that a fragment shows
# is still there after the store that it came from has gone to disk.  Two connections serve
# the four shards of one worker; the largest fragment is read into its store while the other
# three go through the other connection, and goes on growing while its head is shown.
#
#   coordinator -- worker1
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(
	workers => 1,
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 1\ncz.merge_fragments = off\n"
	  . "cz.max_connections_per_worker = 2\ncz.slow_start_interval = 0\n");
$cluster->sql(q{
CREATE TABLE t (k int, v int, pad text);
ALTER TABLE t ALTER pad SET STORAGE EXTERNAL;
SELECT create_distributed_table('t', 'k');
CREATE TABLE keys AS
	SELECT r AS shard, (SELECT min(k) FROM generate_series(1, 100) k
		WHERE satisfies_hash_partition('t'::regclass, 4, r, k)) AS k
	FROM generate_series(0, 3) r;
INSERT INTO t SELECT k, g.i * 7919 % 1000, repeat(chr(97 + g.i % 26), 160000)
	FROM keys, generate_series(1, 300) g(i)
	WHERE g.i <= CASE shard WHEN 0 THEN 300 ELSE 40 END;
});
my $plan = $cluster->sql('EXPLAIN (COSTS OFF) SELECT k, v, pad FROM t ORDER BY v, k');
unlike($plan, qr/Sort/, 'the rows are merged, not sorted');
foreach my $mb (1, 20, 40, 50, 55, 60, 65, 70, 75, 80, 85, 100)
{
	my ($status, $out, $err) = $cluster->try_sql(qq{
SET work_mem = '${mb}MB';
SELECT count(*), count(DISTINCT (k, v)),
	bool_and(length(pad) = 160000 AND pad = repeat(left(pad, 1), 160000)),
	bool_and(is_sorted)
FROM (SELECT k, v, pad, coalesce((v, k) > lag((v, k)) OVER (), true) AS is_sorted
	FROM (SELECT k, v, pad FROM t ORDER BY v, k OFFSET 0) s) s;
});
	is($out, '420|420|t|t', "work_mem ${mb}MB: every row once, whole and in order")
	  or diag($err);
}
$cluster->stop;
done_testing();
