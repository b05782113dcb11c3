# A worker that breaks the protocol or lies: each statement ends with an error of class 08 or
# with the right answer, in bounded memory, can be cancelled, and the session goes on.
#
#   coordinator -- liar -- worker1
#               -- worker2
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, liars => [1],
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 1\ncz.recovery_interval = -1\n"
	  . "cz.connect_timeout = '2s'\nrestart_after_crash = off\n");
$cluster->sql(q{
CREATE TABLE f (k int, v int, n numeric, t text);
SELECT create_distributed_table('f', 'k');
INSERT INTO f SELECT i, i % 10, i * 1.5, 'row ' || i FROM generate_series(1, 400) i;
CREATE TABLE r (id int PRIMARY KEY, name text);
SELECT create_reference_table('r');
INSERT INTO r SELECT i, 'name ' || i FROM generate_series(0, 9) i;
});
my $liar = $cluster->server_name(1);
my $key = $cluster->sql(qq{
SELECT min(k) FROM f JOIN citus_shards s ON s.shardid = get_shard_id_for_distribution_column('f', k)
WHERE s.nodeport = } . $cluster->port(1));
my $big = 'SELECT i, i, i, repeat(md5(i::text), 4) FROM generate_series(1001, 1600) i';

# what is asked, and what is read of the answer; writes are undone
my @reads = (
	[ 'router' => "SELECT k, v, n, t FROM f WHERE k = $key" ],
	[ 'rows' => 'SELECT * FROM f ORDER BY k' ],
	[ 'unsorted' => 'SELECT max(x) FROM (SELECT v + length(t) AS x FROM f OFFSET 0) y' ],
	[ 'aggregate' => 'SELECT count(*), sum(v), sum(n) FROM f' ],
	[ 'group' => 'SELECT v, count(*) FROM f GROUP BY v ORDER BY v' ],
	[ 'limit' => 'SELECT k FROM f ORDER BY k LIMIT 3' ],
	[ 'shipped' => 'SELECT count(*) FROM f JOIN (SELECT generate_series(1, 50) AS g OFFSET 0) x ON v = g' ],
	[ 'size' => "SELECT citus_table_size('f') > 0" ]);
my @writes = (
	[ 'insert' => "INSERT INTO f VALUES ($key, 1, 1, 'x')" ],
	[ 'copy' => "INSERT INTO f $big" ],
	[ 'update' => 'UPDATE f SET v = v + 1' ],
	[ 'router update' => "UPDATE f SET v = v + 1 WHERE k = $key" ],
	[ 'returning' => "UPDATE f SET v = v + 1 WHERE k = $key RETURNING k, v" ],
	[ 'delete' => "DELETE FROM f WHERE k < 100" ],
	[ 'reference update' => "UPDATE r SET name = name || '.'" ],
	[ 'locked' => "SELECT k FROM f WHERE k = $key FOR UPDATE" ],
	[ 'analyze' => 'ANALYZE f' ],
	[ 'index' => 'CREATE INDEX f_v ON f (v)' ],
	[ 'column' => 'ALTER TABLE f ADD COLUMN extra int DEFAULT 5' ],
	[ 'truncate' => 'TRUNCATE f' ]);

my $psql_head = "\\set ON_ERROR_STOP 0\n";

# Runs statements in one session; a list of [ SQLSTATE, output ], then the session's most memory in MB
sub run_session
{
	my ($settings, @statements) = @_;
	my $script = $psql_head . $settings;
	foreach my $statement (@statements)
	{
		my ($begin, $end) = $statement->[2] ? ('BEGIN;', 'ROLLBACK;') : ('', '');
		$script .= "$begin\n\\echo <<<\n$statement->[1];\n\\echo >>>:SQLSTATE\n$end\n";
	}
	$script .= "SELECT 'peak ' || substring(pg_read_file('/proc/self/status') from 'VmHWM:\\s*(\\d+)');\n";
	my ($status, $out, $err, $seconds) = $cluster->try_sql($script, timeout => 100);
	my ($peak) = $out =~ /^peak (\d+)$/m;
	my @answers;
	push @answers, [ $2, $1 ] while $out =~ /^<<<\n(.*?)^>>>(\w+)$/msg;
	return (($peak // 0) / 1024, $seconds, $err, @answers);
}

my ($usual, undef, $noise, @right) = run_session('', @reads);
is(scalar(grep { $_->[0] eq '00000' } @right), scalar @reads, 'the worker is honest at first')
  or diag($noise);
my %right = map { $reads[$_][0] => $right[$_][1] } 0 .. $#reads;
my $contents = $cluster->sql('SELECT count(*), sum(hashtext(f::text)) FROM f');

# Kinds that no statement may take for an answer; and what of an answer the reader is not told of
my @lies = qw(copy_in copy_out copy_both double_description no_description early_ready
  ready_instead fewer_columns lost_row short_value huge_value negative_value odd_bytes odd_tag
  no_tag fewer_in_tag odd_error odd_type suspended empty_query);
# a value of the right form is believed, so the answer may be another one
my %may_differ = map { $_ => 1 } qw(short_value huge_value negative_value);
# not of class 08: values that the type's own input refuses, and the worker's error
my $refused = qr/^(08...|22...|57014)$/;

sub check_kind
{
	my ($kind, $pattern, $settings, @statements) = @_;
	$cluster->lie(1, $kind, $pattern);
	my ($peak, $seconds, $err, @answers) = run_session($settings, @statements);
	$cluster->lie(1, 'none');
	is(scalar @answers, scalar @statements, "$kind: the session goes on") or diag($err);
	cmp_ok($peak, '<', $usual + 64, "$kind: memory is bounded");
	my @wrong;
	for my $i (0 .. $#answers)
	{
		my ($name) = @{ $statements[$i] };
		my ($state, $answer) = @{ $answers[$i] };
		next if $state =~ $refused;
		next if $state eq '00000' && ($statements[$i][2] || $may_differ{$kind} || $answer eq $right{$name});
		push @wrong, "$name: $state $answer";
	}
	is("@wrong", '', "$kind: an error of class 08 or the right answer") or diag($err);
	unlike($err, qr/[^\x00-\x7f]/, "$kind: no bytes of the worker's own") if $kind eq 'odd_error';
	return ($seconds, @answers);
}

foreach my $kind (@lies)
{
	check_kind($kind, 'cz_shards', "SET statement_timeout = '10s';\n", @reads,
		map { [ @$_, 'undo' ] } @writes);
	is($cluster->sql('SELECT count(*), sum(hashtext(f::text)) FROM f'), $contents,
		"$kind: nothing has changed");
}

# what ends a transaction
foreach my $kind (qw(copy_in copy_out copy_both odd_tag ready_instead odd_type))
{
	check_kind($kind, '(PREPARE TRANSACTION|ROLLBACK|COMMIT)', "SET statement_timeout = '10s';\n",
		[ 'update' => 'UPDATE f SET v = v' , 'undo' ], @reads);
	$cluster->sql('SELECT recover_prepared_transactions()');
	is($cluster->sql('SELECT count(*), sum(hashtext(f::text)) FROM f'), $contents,
		"$kind at the end: nothing has changed");
}

# settings of a session
check_kind($_, 'set_config', "SET statement_timeout = '10s';\nSET TimeZone = 'Asia/Tokyo';\n", @reads)
  foreach qw(copy_in copy_out copy_both ready_instead);

# floods: cancelled by the timeout soon, without much memory
my @few = ((grep { $_->[0] eq 'aggregate' } @reads),
	map { [ @$_, 'undo' ] } grep { $_->[0] eq 'returning' } @writes);
foreach my $kind (qw(notifies notices parameters endless_rows))
{
	my ($seconds, @answers) = check_kind($kind, 'cz_shards', "SET statement_timeout = '700ms';\n", @few);
	cmp_ok($seconds, '<', 60, "$kind: cancelled in time");
}

# floods before a connection is there: cz.connect_timeout ends them
foreach my $kind (qw(start_notices start_parameters))
{
	$cluster->lie(1, $kind);
	my ($peak, $seconds, $err, @answers) = run_session('', [ 'rows' => 'SELECT * FROM f' ]);
	$cluster->lie(1, 'none');
	is($answers[0][0] // 'none', '08001', "$kind: cannot connect") or diag($err);
	cmp_ok($seconds, '<', 15, "$kind: in time");
}

# a number of a shard that is none
foreach my $kind (qw(huge_value negative_value fewer_columns))
{
	check_kind($kind, 'pg_relation_size|TABLESAMPLE|::pg_catalog.text', '', [ 'analyze' => 'ANALYZE f', 'undo' ]);
}

# The first connection fails with an error of the data, and the next one finds the snapshot gone
# before that error has arrived: the error is the user's, and the node is healthy.
$cluster->sql(q{
CREATE TABLE g (k int, v int);
SELECT create_distributed_table('g', 'k', shard_count => 16);
INSERT INTO g SELECT i, i FROM generate_series(1, 400) i;
ANALYZE g;
});
# in the first shard that the liar has
my $bad = $cluster->sql(qq{
SELECT k FROM g JOIN citus_shards s ON s.shardid = get_shard_id_for_distribution_column('g', k)
WHERE s.nodeport = } . $cluster->port(1) . ' ORDER BY s.shardid, k LIMIT 1');
foreach my $statement ("SELECT k, 1 / (v - $bad) FROM g", "SELECT sum(1 / (v - $bad)) FROM g",
	"SELECT count(*) FROM g JOIN (SELECT generate_series(1, 50) AS n OFFSET 0) x ON 1 / (v - $bad) = n")
{
	$cluster->lie(1, 'late_error', 'pg_export_snapshot');
	my (undef, undef, $err, @answers) = run_session(
		"SET cz.merge_fragments = off;\nSET cz.slow_start_interval = '1ms';\n", [ 'late' => $statement ]);
	$cluster->lie(1, 'none');
	is($answers[0][0] // 'none', '22012', "late error: $statement") or diag($err);
	unlike($err, qr/WARNING|failed/, "late error: no node is said to have failed");
}

# health: a server that only asks for a password is none
$cluster->lie(1, 'start_password');
is($cluster->sql('SELECT count(*) FROM citus_check_cluster_node_health() WHERE NOT result'), 1,
	'a server that asks for a password and hangs up is not healthy');
$cluster->lie(1, 'none');
is($cluster->sql('SELECT count(*) FROM citus_check_cluster_node_health() WHERE NOT result'), 0,
	'all are healthy again');
ok($cluster->coordinator->safe_psql('postgres', "SELECT pg_postmaster_start_time() < now()", extra_params => ['-U', 'postgres']),
	'the coordinator lives');
$cluster->stop;
done_testing();
