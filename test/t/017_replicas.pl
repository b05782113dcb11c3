# Placements of a shard stay equal: whatever an UPDATE or DELETE reads, while other
# transactions are committed on one worker and not yet on another, and where rows lie in
# another order on each.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = CzCluster->new(workers => 3,
	conf => "cz.shard_count = 2\ncz.shard_replication_factor = 2\ncz.recovery_interval = '1h'\n");

# t has a key and u has none; n has values that are equal and look different
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int, n numeric, x text, d xml, a int[], i interval);
	CREATE TABLE u (k int, v int, n numeric, x text, d xml, a int[], i interval);
	CREATE TABLE o (k int, v int, n numeric, i interval, d xml);
	CREATE TABLE r (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('u', 'k', colocate_with => 't');
	SELECT create_distributed_table('o', 'k', colocate_with => 't');
	SELECT create_reference_table('r');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 4) i;
	INSERT INTO u SELECT i, 0 FROM generate_series(1, 4) i;
	INSERT INTO r SELECT i, 0 FROM generate_series(1, 4) i;
});

# Runs $sql, which stops when one of its nodes has committed and others have not; meanwhile
# $then, which comes to its end or has to wait
sub between_commits
{
	my ($sql, $then) = @_;
	my $handle = $cluster->start_at('p_committed|during_commit_prepared', $sql);
	my $other = $cluster->start_sql("SET application_name = 'then'; $then");
	for (1 .. 300)
	{
		$other->{run}->pump_nb if $other->{run}->pumpable;
		last unless $other->{run}->pumpable;
		last if $cluster->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'then' AND wait_event IS NOT NULL") ne '0';
		sleep 0.05;
	}
	$cluster->go;
	my @result = $cluster->finish_sql($other, 60);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	is($status, 0, 'the transaction that pauses is committed') or diag($err);
	return @result;
}

sub is_equal
{
	my ($what, $status, $err) = @_;
	is($status, 0, "$what: done") or diag($err);
	is($cluster->differing_placements, '', "$what: placements are equal");
	return;
}

note 'a commit that is half done';
foreach my $table ('t', 'u')
{
	my ($status, $out, $err) = between_commits("INSERT INTO $table VALUES (10, 1)", "UPDATE $table SET v = v + 1 WHERE k = 10");
	is_equal("$table: a row that is there on one worker only", $status, $err);
	($status, $out, $err) = between_commits("UPDATE $table SET v = 5 WHERE k = 2", "UPDATE $table SET v = v * 10 WHERE k = 2 AND v = 5");
	is_equal("$table: a row that matches on one worker only", $status, $err);
	($status, $out, $err) = between_commits('INSERT INTO o VALUES (1, 1)', "UPDATE $table SET v = (SELECT count(*) FROM o WHERE o.k = $table.k) WHERE k = 1");
	is_equal("$table: a sub-query", $status, $err);
	($status, $out, $err) = between_commits('UPDATE r SET v = v + 10 WHERE k = 3', "UPDATE $table SET v = r.v FROM r WHERE r.k = $table.k AND $table.k = 3");
	is_equal("$table: a reference table", $status, $err);
	($status, $out, $err) = between_commits('INSERT INTO o VALUES (4, 1)', "DELETE FROM $table WHERE k = 4 AND EXISTS (SELECT FROM o WHERE o.k = $table.k)");
	is_equal("$table: DELETE with EXISTS", $status, $err);
}
{
	my ($status, $out, $err) = between_commits('INSERT INTO r VALUES (10, 1)', 'UPDATE r SET v = v + 1 WHERE k = 10');
	is_equal('a row of a reference table that is not on every worker yet', $status, $err);
	is($cluster->sql('SELECT v FROM r WHERE k = 10'), $status == 0 ? '2' : '1', 'its value');
}

foreach my $sql ('UPDATE t SET v = v + 1', 'DELETE FROM t')
{
	# one command for many rows, of which one is not there on every worker yet
	$cluster->sql('DELETE FROM t WHERE k >= 20; INSERT INTO t SELECT i, 0 FROM generate_series(20, 59) i');
	my ($status, $out, $err) = between_commits('INSERT INTO t VALUES (60, 0)', "$sql WHERE k >= 20");
	is_equal("many rows: $sql", $status, $err);
	is($cluster->sql('SELECT count(*), sum(v) FROM t WHERE k >= 20'), $sql =~ /DELETE/ ? '0|' : '41|41', 'each of them');
}
$cluster->sql('DELETE FROM t WHERE k >= 20');

note 'values of all kinds as arrays of many rows';
my $values = q{i::int2, i * 1000000000::int8, i / 3.0::float8, i / 7.0, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'"\\\\,{}\\n' ELSE 'NULL' END,
	'v ' || i, 'c', 'c', decode(repeat('00ff', i % 5), 'hex'), i % 2 = 0, '2020-01-01'::date + i, '2020-01-01'::timestamptz + i * '1 h'::interval,
	i * '1 mon 3 s'::interval, md5(i::text)::uuid, jsonb_build_object('a', i), ARRAY[i, NULL], box(point(i, 1), point(2, i)),
	CASE i % 2 WHEN 0 THEN 'sad' ELSE 'ok' END::mood, i, ('<a>' || i || '</a>')::xml, (i % 8)::bit(3), '10.0.0.1'::inet + i, i::text, i::text::money,
	i, 'a b'::tsvector, int4range(i, i + 2), i || 'x'};
my @columns = map { "c$_" } 1 .. 28;
$cluster->sql(qq{
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE DOMAIN small AS int CHECK (VALUE < 1000);
	CREATE TABLE all_kinds (k int PRIMARY KEY, c1 int2, c2 int8, c3 float8, c4 numeric, c5 text, c6 varchar(9), c7 char(5), c8 "char", c9 bytea, c10 bool,
		c11 date, c12 timestamptz, c13 interval, c14 uuid, c15 jsonb, c16 int[], c17 box, c18 mood, c19 small, c20 xml, c21 bit(3), c22 inet, c23 name,
		c24 money, c25 oid, c26 tsvector, c27 int4range, c28 text);
	CREATE TABLE numbers (k int);
	SELECT create_distributed_table('all_kinds', 'k', colocate_with => 't'), create_distributed_table('numbers', 'k', colocate_with => 't');
	INSERT INTO numbers SELECT generate_series(1, 60)});
foreach my $binary ('on', 'off')
{
	foreach my $some ([ 1 .. 15, 17 .. 28 ], [ 16, 5 ], [ 17, 18, 28 ])
	{
		my @some = map { "c$_" } @$some;
		my ($status, $out, $err) = $cluster->try_sql(qq{
			TRUNCATE all_kinds; INSERT INTO all_kinds (k) SELECT generate_series(1, 60);
			SET cz.binary_protocol = $binary;
			UPDATE all_kinds SET (@{[ join ', ', @some ]}) = (SELECT @{[ join ', ', @some ]} FROM (SELECT $values) x (@{[ join ', ', @columns ]}))
				FROM (SELECT k AS i FROM numbers) n WHERE i = k;
			DELETE FROM all_kinds USING numbers n WHERE n.k = all_kinds.k AND n.k % 2 = 0;
			SELECT count(*), count($some[0]) FROM all_kinds});
		is("$status $out", '0 30|30', "binary $binary, columns @some") or diag($err);
		is($cluster->differing_placements, '', 'placements are equal');
	}
}

note 'rows in another order on each worker';
$cluster->sql(q{
	CREATE AGGREGATE largest_met(numeric) (SFUNC = numeric_larger, STYPE = numeric, COMBINEFUNC = numeric_larger, PARALLEL = SAFE);
	SELECT cz_distribute_aggregate('largest_met(numeric)');
	TRUNCATE o;
	INSERT INTO o VALUES (1, 1, 1.0, '1 mon', '<a/>'), (1, 2, 1.00, '30 days', '<b/>'), (1, 3, 1.000, '720:00', '<c/>');
});
foreach my $i (1 .. 3)
{
	# only one worker has them in the other order
	my $shard = $cluster->worker_sql($i, "SELECT relname FROM pg_class WHERE relname ~ '^o_[0-9]+\$' AND relkind = 'r' AND relnamespace = 'cz_shards'::regnamespace");
	foreach my $name (split /\n/, $shard)
	{
		next if $cluster->worker_sql($i, "SELECT count(*) FROM cz_shards.$name") eq '0';
		$cluster->worker_sql($i, "BEGIN; CREATE TEMP TABLE x AS SELECT * FROM cz_shards.$name; DELETE FROM cz_shards.$name;"
			  . "INSERT INTO cz_shards.$name SELECT * FROM x ORDER BY v DESC; COMMIT");
		goto reordered;
	}
}
reordered:
my %queries = (
	'max(numeric)' => ['n', '(SELECT max(o.n) FROM o WHERE o.k = T.k)'],
	'min(interval)' => ['i', '(SELECT min(o.i) FROM o WHERE o.k = T.k)'],
	'xmlagg' => ['d', '(SELECT xmlagg(o.d) FROM o WHERE o.k = T.k)'],
	'string_agg' => ['x', "(SELECT string_agg(o.v::text, ',') FROM o WHERE o.k = T.k)"],
	'an array of a sub-query' => ['a', '(ARRAY(SELECT o.v FROM o WHERE o.k = T.k))'],
	'an aggregate of a user' => ['n', '(SELECT largest_met(o.n) FROM o WHERE o.k = T.k)'],
	'DISTINCT' => ['n', '(SELECT DISTINCT o.n FROM o WHERE o.k = T.k)'],
	'GROUP BY' => ['n', '(SELECT o.n FROM o WHERE o.k = T.k GROUP BY o.n)'],
	'sum of DISTINCT' => ['n', '(SELECT sum(DISTINCT o.n) FROM o WHERE o.k = T.k)'],
	'LIMIT' => ['v', '(SELECT o.v FROM o WHERE o.k = T.k LIMIT 1)'],
	'UNION' => ['n', '(SELECT o.n FROM o WHERE o.k = T.k UNION SELECT o.n FROM o WHERE o.k = T.k)'],
);
foreach my $what (sort keys %queries)
{
	foreach my $table ('t', 'u')
	{
		my ($column, $expr) = @{ $queries{$what} };
		$expr =~ s/\bT\b/$table/g;
		my ($status, $out, $err) = $cluster->try_sql("UPDATE $table SET $column = $expr WHERE k = 1");
		# what of a user, or of several queries, cannot be sent at all
		if ($status == 0 || ($table eq 't' && $what !~ /user|UNION/))
		{
			is($status, 0, "$what, $table: done") or diag($err);
		}
		else
		{
			like($err, qr/ERROR:\s+0A000/, "$what, $table: refused");
		}
		is($cluster->differing_placements, '', "$what, $table: placements are equal");
	}
}
{
	my ($status, $out, $err) = $cluster->try_sql('UPDATE t SET v = o.v FROM o WHERE o.k = t.k');
	is_equal('one of several rows of FROM', $status, $err);
	($status, $out, $err) = $cluster->try_sql('UPDATE u SET v = (SELECT count(*) + sum(o.v) + max(o.v) FROM o WHERE o.k = u.k) WHERE k = 1');
	is_equal('aggregates of values without a key', $status, $err);
	is($cluster->sql('SELECT v FROM u WHERE k = 1'), '12', 'their value');
}

$cluster->stop;
done_testing();
