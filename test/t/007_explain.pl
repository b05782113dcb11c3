# EXPLAIN ANALYZE while a worker fails shows what moved; auto_explain logs fragments, also those
# of statements in functions, and no secrets; without ANALYZE nobody is contacted.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => "cz.recovery_interval = -1\ncz.shard_count = 8\ncz.worker_timeout = '1s'\ncz.connect_timeout = '1s'\n");
my $coordinator = $cluster->coordinator;
$cluster->sql(q{
CREATE TABLE t (k int, v int);
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 1000) i;
CREATE FUNCTION nested(x int) RETURNS bigint LANGUAGE plpgsql AS
  $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t WHERE v = x; RETURN n; END $$;
});

# What a script logs
sub logged
{
	my ($sql) = @_;
	my $offset = -s $coordinator->logfile;
	$cluster->sql($sql);
	return PostgreSQL::Test::Utils::slurp_file($coordinator->logfile, $offset);
}

my $settings = "LOAD 'auto_explain';\nSET auto_explain.log_min_duration = 0;\n";
my $log = logged($settings . 'SELECT sum(k) FROM t WHERE v = 3;');
like($log, qr/Query Text: SELECT sum\(k\) FROM t/, 'auto_explain logs the statement');
like($log, qr/Strategy: two-phase/, 'its strategy');
like($log, qr/Remote SQL: SELECT .*FROM cz_shards\.t_\d+/, 'its fragment');
unlike($log, qr/Remote: fragments/, 'no figures without log_analyze');

$settings .= "SET auto_explain.log_analyze = on;\nSET auto_explain.log_nested_statements = on;\n";
$log = logged($settings . 'SELECT nested(3);');
like($log, qr/Query Text: SELECT count\(\*\)\s+FROM t WHERE v = x/, 'nested statement');
like($log, qr/Remote: fragments=\d+ rows=\d+ bytes=\d+/, 'its figures');
like($log, qr/Node: node_\d+: .* time=[0-9.]+ ms/, 'its nodes');

$log = logged($settings . "SET auto_explain.log_format = json;\nSET auto_explain.log_verbose = on;\n"
	  . "SET cz.explain_remote_plans = 'one';\nSELECT nested(4);\nUPDATE t SET v = v WHERE k = 3;");
like($log, qr/"Remote Rows": \d+/, 'JSON');
like($log, qr/"Remote Plans": \[/, 'remote plans');
like($log, qr/"Remote SQL": "UPDATE/, 'an UPDATE');
unlike($log, qr/password|127\.0\.0\.1/, 'no connection strings');

# a cursor that is left half read
$log = logged($settings . 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 5 FROM c; COMMIT;');
like($log, qr/Query Text: DECLARE c CURSOR|Remote: fragments/, 'a cursor that is left early');

# a worker is killed: the fragments move
my $name = $cluster->server_name(2);
$cluster->kill_worker(2);
my ($status, $out, $err) = $cluster->try_sql('EXPLAIN SELECT count(*) FROM t');
is($status, 0, 'EXPLAIN without ANALYZE while a worker is down');
is($err, '', 'and nobody notices');
($status, $out, $err) = $cluster->try_sql('EXPLAIN (ANALYZE) SELECT * FROM t');
is($status, 0, 'EXPLAIN ANALYZE goes on without the worker');
like($out, qr/Remote: fragments=\d+ rows=1000 bytes=\d+ retries=\d+/, 'it shows the retries');
like($out, qr/Node: \Q$name\E: .* failed, moved=\d+/, 'and who failed');
($status, $out, $err) = $cluster->try_sql('EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM t');
like($out, qr/"Retries": \d+/, 'in JSON as well');

$cluster->stop;
done_testing();
