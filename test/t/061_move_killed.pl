# A move whose mover, coordinator, source or target dies at any step is done or undone: no row
# is lost, the shard is at one place, can be written and moved again, and nothing is left on a
# worker.  CZ_MOVE_ALL=1 in the environment: each death at each step.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(
	workers => 3,
	conf => "cz.recovery_interval = '300ms'\ncz.drop_delay = '100ms'\ncz.worker_timeout = '1s'\ncz.connect_timeout = '1s'\nrestart_after_crash = on\n");
$cluster->sql(q{
	SET cz.shard_count = 2;
	SET cz.shard_replication_factor = 1;
	CREATE TABLE r (id int PRIMARY KEY);
	SELECT create_reference_table('r');
	INSERT INTO r SELECT i FROM generate_series(1, 5) i;
	CREATE TABLE t (k int PRIMARY KEY, v int, r int REFERENCES r);
	CREATE TABLE e (k int, v int, j json);
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('e', 'k');
	INSERT INTO t SELECT i, 0, 1 + i % 5 FROM generate_series(1, 100) i;
	INSERT INTO e SELECT i % 100, i, '{}' FROM generate_series(1, 200) i;
});
my $k = 1;
my $shard = $cluster->sql("SELECT get_shard_id_for_distribution_column('t', $k)");
my $nwrites = 0;

# 1 to 3
sub place
{
	my $port = $cluster->sql("SELECT string_agg(nodeport::text, ',') FROM pg_dist_shard_placement WHERE shardid = $shard");
	my ($i) = grep { $cluster->port($_) eq $port } 1 .. 3;
	die "the shard is on $port" unless $i;
	return $i;
}

sub write_rows
{
	my ($timeout) = @_;
	my ($status) = $cluster->try_sql("SET statement_timeout = '${timeout}s'; BEGIN; UPDATE t SET v = v + 1 WHERE k = $k; INSERT INTO e VALUES ($k, -1, '{\"w\": 1}'); DELETE FROM e WHERE k = $k AND v = " . (100 * ($nwrites % 3) + 1) . '; COMMIT');
	$nwrites++ if $status == 0;
	return $status == 0;
}

my @points = qw(move_begun move_tables_made move_logs_made move_captured move_copied move_rows_copied move_indexed move_round
  move_locked move_copied_all move_switching after_prepare move_switched move_done);
my @deaths = qw(kill terminate source target error);
# writers would wait there
my %is_locked = map { $_ => 1 } qw(move_locked move_copied_all move_switching after_prepare);
my %was_done;

my $n = 0;
foreach my $mode (qw(auto block_writes))
{
	foreach my $point (@points)
	{
		next if $mode eq 'block_writes' && $point =~ /logs|captured|rows_copied|indexed|round/;
		foreach my $d (0 .. $#deaths)
		{
			my $death = $deaths[$d];
			next unless $ENV{CZ_MOVE_ALL} || ($mode eq 'auto' && $d == $n % @deaths) || ($mode eq 'block_writes' && $n % 3 == 0 && $d == $n % @deaths);
			my $what = "$mode, $death at $point";
			my $from = place();
			my $to = $from % 3 + 1;
			my $move = "SELECT citus_move_shard_placement($shard, '127.0.0.1', " . $cluster->port($from) . ", '127.0.0.1', " . $cluster->port($to) . ", '$mode')";
			my $begin = time;
			$cluster->die_at($point, { source => $from, target => $to }->{$death} // $death, $move,
				sub { write_rows(2) unless $is_locked{$point}; });
			ok($cluster->wait_for_server('SELECT count(*) FROM t'), "$what: the server is there") if $death eq 'kill';
			ok($cluster->coordinator->poll_query_until('postgres', "SELECT count(*) = 0 FROM cz_moves WHERE phase NOT IN ('done', 'failed')"),
				"$what: the move has ended");
			ok(write_rows(20), "$what: the shard can be written");
			is($cluster->sql("SELECT v FROM t WHERE k = $k"), $nwrites, "$what: what was acknowledged is there");
			is($cluster->sql("SELECT count(*) FROM e WHERE v = -1"), $nwrites, "$what: without a key, too");
			is($cluster->sql('SELECT count(*) FROM t'), 100, "$what: all rows");
			is($cluster->orphans, '', "$what: nothing is left");
			is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), '0', "$what: and the shard as its table is");
			$was_done{ place() == $to ? 'done' : 'undone' }++;
			note sprintf('%s: %s, %.1f s', $what, place() == $to ? 'done' : 'undone', time - $begin);
		}
		$n++;
	}
}
ok($was_done{done} && $was_done{undone}, 'some were done, some undone');
is($cluster->wait_for_recovery, 1, 'nothing is prepared');
ok($cluster->coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cz.cleanup'), 'the clean-up list is empty');

done_testing();
