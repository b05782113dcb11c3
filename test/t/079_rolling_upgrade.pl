# Workers are upgraded one after the other, while others write: new ones of a later major take
# what the old ones have.
#
# CZ_WORKER_BINS="18=DIR" says where the programs are; test/bin/fetch_workers gets some.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($own) = `$ENV{CZ_PREFIX_BIN}/postgres --version` =~ /(\d+)/;
my @newer = grep { $_ > $own } CzCluster::other_majors();
plan skip_all => 'no worker newer than the coordinator: CZ_WORKER_BINS has none (test/bin/fetch_workers)' unless @newer;
my $new = $newer[-1];
my $cluster = CzCluster->new(workers => 3);
$cluster->sql(<<'SQL');
CREATE TABLE r (k bigserial PRIMARY KEY, v text);
CREATE TABLE c (k int PRIMARY KEY, n int);
CREATE TABLE ref (k int PRIMARY KEY, v text);
SET cz.shard_replication_factor = 2;
SELECT create_distributed_table('r', 'k', shard_count => 8);
SELECT create_distributed_table('c', 'k', shard_count => 8);
SELECT create_reference_table('ref');
INSERT INTO c VALUES (1, 0);
INSERT INTO ref VALUES (1, 'one');
SQL
my $inserts = $cluster->start_sql("INSERT INTO r (v) SELECT v FROM ref RETURNING k \\watch 0.02\n");
my $updates = $cluster->start_sql("UPDATE c SET n = n + 1 WHERE k = 1 RETURNING n \\watch 0.02\n");
foreach my $old (1 .. 3)
{
	my $n = $cluster->add_server(major => $new);
	my $port = $cluster->port($old);
	$cluster->sql("SELECT citus_add_node('127.0.0.1', " . $cluster->port($n) . ')');
	$cluster->sql("SELECT citus_drain_node('127.0.0.1', $port)");
	$cluster->sql("SELECT citus_remove_node('127.0.0.1', $port)");
	$cluster->worker($old)->stop('immediate');
	is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), 0, "worker $old is replaced: the shards are what they should be");
	is($cluster->sql('SELECT bool_and(ok) FROM cz_verify_placements()'), 't', '... and the placements equal');
}
my @keys;
foreach my $session ($inserts, $updates)
{
	my $err = $session->{err};
	$session->{run}->pump_nb if $session->{run}->pumpable;
	ok($session->{run}->pumpable && $session->{err} !~ /ERROR/, 'a session writes all the time') or diag($session->{err});
	$session->{run}->kill_kill(grace => 2);
	push @keys, [ $session->{out} =~ /^(\d+)\n/mg ];
}
is($cluster->sql("SELECT count(*) FROM pg_foreign_server WHERE 'server_version=$new' = ANY (srvoptions)"), 3, "all are of $new");
is($cluster->sql('SELECT count(*) FROM r WHERE k = ANY (ARRAY[' . join(',', @{ $keys[0] }) . ']::bigint[])'),
	scalar @{ $keys[0] }, 'no row is lost');
cmp_ok($cluster->sql('SELECT n FROM c'), '>=', $keys[1][-1], 'and no change');
note(scalar(@{ $keys[0] }) . ' rows, ' . $keys[1][-1] . ' changes');
is($cluster->sql('SELECT v FROM ref'), 'one', 'the reference table');

done_testing();
