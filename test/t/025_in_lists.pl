# Rows of a sub-query that IN compares with, sent along as an array: the worker is given "= ANY (array)",
# whose elements its planner sees, so that few of them are looked up by an index in each shard, also where
# a worker's shards are one statement; and what EXISTS alone reads is sent once.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 8\ncz.shard_replication_factor = 1\n");
$cluster->sql(q{
CREATE TABLE t (k int, x int, pad text);
CREATE TABLE u (k int, y int, z text);
SELECT create_distributed_table('t', 'k'), create_distributed_table('u', 'k');
INSERT INTO t SELECT i, CASE WHEN i % 500 = 0 THEN NULL ELSE i % 5000 END, repeat('x', 100) FROM generate_series(1, 20000) i;
CREATE INDEX t_x ON t (x);
INSERT INTO u SELECT i, i * 7, i % 3 FROM generate_series(1, 9) i;
INSERT INTO u VALUES (100, NULL, 'null');
CREATE TABLE m (k int, v int);
SELECT create_distributed_table('m', 'k');
INSERT INTO m SELECT i, CASE WHEN i % 10 > 0 THEN i * 3 END FROM generate_series(1, 3000) i;
ANALYZE t; ANALYZE u; ANALYZE m;
CREATE TABLE plain_t AS SELECT * FROM t;
CREATE TABLE plain_u AS SELECT * FROM u;
CREATE TABLE plain_m AS SELECT * FROM m;
});
foreach my $i (1, 2)
{
	$cluster->worker_sql($i, "ALTER SYSTEM SET log_statement = 'all'");
	$cluster->worker_sql($i, 'SELECT pg_reload_conf()');
	$cluster->worker($i)->poll_query_until('postgres', "SELECT current_setting('log_statement') = 'all'");
}

sub sent
{
	my ($offset) = @_;
	return substr(contents_of($cluster->worker(1)->logfile), $offset);
}

sub contents_of
{
	my ($name) = @_;
	open(my $file, '<', $name) or die "$name: $!";
	local $/ = undef;
	return scalar <$file>;
}

my $indexes = "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes WHERE schemaname = 'cz_shards' AND relname LIKE 't\\_%'";
my %queries = (
	'IN' => [ "SELECT count(*), sum(k) FROM T WHERE x IN (SELECT y FROM U WHERE z <> 'null')", 1 ],
	'IN, with NULL' => [ 'SELECT count(*), sum(k) FROM T WHERE x IN (SELECT y FROM U)', 1 ],
	'IN of nothing' => [ "SELECT count(*), sum(k) FROM T WHERE x IN (SELECT y FROM U WHERE z = 'none')", 1 ],
	'two of them' => [ 'SELECT count(*) FROM T WHERE x IN (SELECT y FROM U) AND k IN (SELECT y + 1 FROM U) OR x = 3', 0 ],
	'conjuncts' => [ 'SELECT count(*), min(k) FROM T WHERE x IN (SELECT y FROM U) AND length(pad) IN (SELECT 100 FROM U)', 1 ],
	'more than an index helps with' => [ 'SELECT count(*), sum(k) FROM T WHERE x IN (SELECT v FROM M)', 1 ],
	'another type' => [ 'SELECT count(*) FROM T WHERE x IN (SELECT y::bigint FROM U)', 1 ],
	'a text' => [ "SELECT count(*) FROM T WHERE pad IN (SELECT repeat('x', 99 + length(z)) FROM U)", 1 ],
	'a row' => [ 'SELECT count(*) FROM T WHERE (x, k) IN (SELECT y, y FROM U)', 0 ],
	'NOT IN' => [ "SELECT count(*) FROM T WHERE x NOT IN (SELECT y FROM U WHERE z <> 'null')", 0 ],
	'NOT IN, with NULL' => [ 'SELECT count(*) FROM T WHERE x NOT IN (SELECT y FROM U)', 0 ],
	'< ANY' => [ 'SELECT count(*) FROM T WHERE x < ANY (SELECT y FROM U)', 0 ],
	'in the select list' => [ 'SELECT x IN (SELECT y FROM U), count(*) FROM T GROUP BY 1 ORDER BY 1', 0 ],
	'LIKE IN (SELECT' => [ "SELECT count(*) FROM T WHERE pad || ' IN ( SELECT r2.c1 FROM ' = 'x' OR x IN (SELECT y FROM U)", 0 ]);
foreach my $merge ('auto', 'on')
{
	foreach my $name (sort keys %queries)
	{
		my ($query, $is_array) = @{ $queries{$name} };
		(my $here = $query) =~ s/\b([TUM])\b/\L$1/g;
		(my $plain = $query) =~ s/\b([TUM])\b/plain_\L$1/g;
		my $offset = -s $cluster->worker(1)->logfile;
		my $got = $cluster->sql("SET cz.merge_fragments = $merge; $here");
		is($got, $cluster->sql($plain), "$name, merge $merge");
		my $count = () = sent($offset) =~ /= ANY \(\$\d+::[a-z_.]+\[\]\)/g;
		$is_array ? cmp_ok($count, '>', 0, "$name, merge $merge: the worker gets arrays")
		  : is($count, 0, "$name, merge $merge: the worker gets rows");
	}
}

# the index of each shard is used, also in a merged fragment
my $before = $cluster->worker_sql(1, $indexes);
$cluster->sql("SET cz.merge_fragments = on; $queries{IN}[0]" =~ s/\b([TUM])\b/\L$1/gr);
ok($cluster->worker(1)->poll_query_until('postgres', "SELECT ($indexes) > $before"), 'index scans in a merged fragment');

# nor does a worker's planner look into an array of thousands
{
	my $offset = -s $cluster->worker(1)->logfile;
	$cluster->sql('SELECT count(*) FROM t WHERE x IN (SELECT v FROM m)');
	like(sent($offset), qr/= ANY \(\$1::integer\[\]\) IS NOT DISTINCT FROM true/, 'a long array');
}

# what EXISTS alone reads is sent once
$cluster->sql(q{
CREATE TABLE many (k int, x int);
SELECT create_distributed_table('many', 'k');
INSERT INTO many SELECT i, i % 40 FROM generate_series(1, 8000) i;
ANALYZE many;
});
my $query = 'SELECT count(*), sum(k) FROM t WHERE x < 60 AND NOT EXISTS (SELECT FROM many m WHERE m.x = t.x)';
like($cluster->sql("EXPLAIN (VERBOSE, COSTS OFF) $query"), qr/SELECT DISTINCT x AS c1 FROM/, 'EXISTS: each value once');
$cluster->sql('CREATE TABLE plain_many AS SELECT * FROM many');
is($cluster->sql($query), $cluster->sql($query =~ s/FROM (t|many)\b/FROM plain_$1/gr =~ s/= t\.x/= plain_t.x/r), 'NOT EXISTS: its rows');
unlike($cluster->sql('EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM t JOIN many m ON m.x = t.x WHERE t.x < 60'), qr/SELECT DISTINCT/,
	'a join counts its rows');
$cluster->stop;
done_testing();
