# Rows that libpq gives out in chunks (17 and newer; with an older one this is row by row): a worker
# that dies, an error and a cancel in the middle of one, cursors that end in one, RETURNING whose last
# chunk is full, and the memory that a chunk of wide rows has.
use strict;
use warnings;
use CzCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = CzCluster->new(workers => 2,
	conf => "cz.shard_count = 4\ncz.worker_timeout = '20s'\ncz.recovery_interval = -1\ncz.auto_analyze = off\n");

# Each shard has many chunks, and its rows lie in the order of n on every placement.
$cluster->sql(q{
CREATE FUNCTION slow(n int, stop int, seconds float) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN IF n = stop THEN PERFORM pg_sleep(seconds); END IF; RETURN n; END';
SET cz.shard_replication_factor = 1;
CREATE TABLE one (k int, n int, pad text);
SELECT create_distributed_table('one', 'k');
SET cz.shard_replication_factor = 2;
CREATE TABLE two (k int, n int, pad text);
SELECT create_distributed_table('two', 'k', colocate_with => 'none');
INSERT INTO one SELECT i % 40, i, repeat('x', 100) FROM generate_series(1, 20000) i;
INSERT INTO two SELECT i % 40, i, repeat('x', 100) FROM generate_series(1, 20000) i;
ANALYZE one, two;
});
my $all = $cluster->sql('SELECT count(*), sum(n) FROM one');
like($all, qr/^20000\|/, 'all rows are there');

# rows of a query as they come, not as the workers count them
sub counted { my ($query) = @_; return "SELECT count(*), sum(n), count(DISTINCT n) FROM (SELECT n FROM ($query) x OFFSET 0) y"; }
my $distinct = "$all|20000";

note 'every size of chunks gives the same rows';
foreach my $size (1, 2, 7, 64, 10000)
{
	is($cluster->sql("SET cz.chunk_rows = $size; " . counted('SELECT n FROM two')), $distinct, "chunks of $size");
	is($cluster->sql("SET cz.chunk_rows = $size; SELECT md5(string_agg(n::text, ',')) FROM (SELECT n FROM one ORDER BY n) x"),
		$cluster->sql("SELECT md5(string_agg(n::text, ',')) FROM generate_series(1, 20000) n"), "chunks of $size, sorted");
}

note 'a worker dies in the middle of a chunk';
{
	my $n = $cluster->sql("SELECT min(n) + 40 * 99 FROM two WHERE k = " . $cluster->key_on(1, 'two'));
	my $query = counted("SELECT slow(n, $n, 4) AS n FROM two");
	foreach my $what (['rows', $query], ['sorted', counted("SELECT slow(n, $n, 4) AS n FROM two ORDER BY 1")])
	{
		my $handle = $cluster->start_sql($what->[1]);
		sleep 2;
		$cluster->kill_worker(1);
		my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
		is($status, 0, "$what->[0]: completes") or diag($err);
		is($out =~ s/\s+\z//r, $distinct, "$what->[0]: each row is there once") or diag($err);
		$cluster->restart_worker(1);
	}

	# rows that have no other placement
	$n = $cluster->sql("SELECT min(n) + 40 * 99 FROM one WHERE k = " . $cluster->key_on(1, 'one'));
	my $handle = $cluster->start_sql("\\set VERBOSITY sqlstate\n" . counted("SELECT slow(n, $n, 4) AS n FROM one"));
	sleep 2;
	$cluster->kill_worker(1);
	my ($status, $out, $err) = $cluster->finish_sql($handle, 60);
	like($err, qr/ERROR:  (08006|08001|57P0\d)/, 'of the only placement: an error');
	is($out =~ s/\s+\z//r, '', 'and no row');
	$cluster->restart_worker(1);
	is($cluster->sql(counted('SELECT n FROM one')), $distinct, 'and all of them later');
}

note 'an error in the middle, of the same session before and after';
{
	my $sql = "\\set VERBOSITY sqlstate\n\\set ON_ERROR_STOP off\n";
	# the hundredth row of a shard; one in the first chunk; the last one
	foreach my $n (map { $cluster->sql("SELECT n FROM one WHERE k IN (SELECT k FROM one WHERE n = 1) ORDER BY n OFFSET $_ LIMIT 1") } 99, 2, 499)
	{
		$sql .= counted("SELECT n + 0 / (n - $n) AS n FROM one") . ";\n" . counted('SELECT n FROM one') . ";\n";
	}
	my ($status, $out, $err) = $cluster->try_sql($sql);
	is(scalar(() = $err =~ /ERROR:  22012/g), 3, 'three errors') or diag($err);
	is($out =~ s/\s+\z//r, join("\n", ($distinct) x 3), 'three answers');
}

note 'a cancel in the middle';
{
	my $n = $cluster->sql("SELECT min(n) + 40 * 99 FROM one WHERE k = " . $cluster->key_on(1, 'one'));
	my $begin = time;
	my ($status, $out, $err) = $cluster->try_sql("\\set VERBOSITY sqlstate\n\\set ON_ERROR_STOP off\nSET statement_timeout = '1500ms';\n"
		  . counted("SELECT slow(n, $n, 600) AS n FROM one") . ";\nRESET statement_timeout;\n" . counted('SELECT n FROM one'));
	like($err, qr/ERROR:  57014/, 'it is cancelled');
	is($out =~ s/\s+\z//r, $distinct, 'the next statement has all rows');
	cmp_ok(time - $begin, '<', 60, 'soon');
	ok($cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE state = 'active' AND query ~ 'slow' AND pid <> pg_backend_pid()"),
		'the worker has stopped');
}

note 'cursors';
foreach my $table ('one', 'two')
{
	foreach my $order ('', ' ORDER BY n')
	{
		my $out = $cluster->sql(qq{
BEGIN;
CREATE TEMP TABLE got (n int);
DECLARE c CURSOR FOR SELECT n FROM $table$order;
DO \$\$ DECLARE r record; c refcursor := 'c'; i int := 0;
BEGIN
  LOOP
    FETCH c INTO r; EXIT WHEN NOT FOUND; INSERT INTO got VALUES (r.n); i := i + 1;
    -- what comes afterwards is not seen, and rows on their way make room
    IF i IN (1, 70, 5000) THEN UPDATE $table SET n = n + 0 WHERE k = i % 40; INSERT INTO $table VALUES (i % 40, 0); END IF;
    IF i % 1000 = 0 THEN PERFORM count(*) FROM $table; END IF;
  END LOOP;
END \$\$;
SELECT count(*), sum(n), count(DISTINCT n) FROM got;
ROLLBACK;});
		is($out, $distinct, "FETCH 1 of $table$order, which is written to meanwhile");
	}
	is($cluster->sql(qq{
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM $table ORDER BY n;
FETCH 1 FROM c;
MOVE 63 IN c;
FETCH 2 FROM c;
CLOSE c;
DECLARE c CURSOR FOR SELECT n FROM $table ORDER BY n;
MOVE 19999 IN c;
FETCH ALL FROM c;
COMMIT;}), "1\n65\n66\n20000", "FETCH and MOVE over chunks of $table");
}

note 'RETURNING, with as many rows as fill chunks, and others';
foreach my $table ('one', 'two')
{
	foreach my $rows (0, 1, 7, 8, 9, 16, 64, 500)
	{
		is($cluster->sql("WITH w AS (UPDATE $table SET n = n + 0 WHERE k = 3 AND n <= 3 + 40 * ($rows - 1) RETURNING n) SELECT count(*), count(DISTINCT n) FROM w"),
			"$rows|$rows", "$rows rows of $table");
	}
	is($cluster->sql("WITH w AS (UPDATE $table SET n = n + 0 RETURNING n) SELECT count(*), sum(n), count(DISTINCT n) FROM w"), $distinct,
		"all rows of $table");
}
is($cluster->sql(counted('SELECT n FROM two')), $distinct, 'nothing has changed');

note 'the memory of chunks follows the width of rows';
{
	# 1 MB a row on the wire, some kB where it is stored; statistics are of narrow rows
	$cluster->sql(q{
CREATE TABLE wide (k int, b text);
SELECT create_distributed_table('wide', 'k', shard_count => 2, colocate_with => 'none');
INSERT INTO wide SELECT i, 'narrow' FROM generate_series(1, 10000) i;
ANALYZE wide;
DELETE FROM wide;
INSERT INTO wide SELECT i, repeat('wide', 262144) FROM generate_series(1, 300) i;
});
	my %peak;
	foreach my $size (1, 64)
	{
		my $out = $cluster->sql("SET cz.chunk_rows = $size; SET cz.max_connections_per_worker = 1;\n"
			  . "COPY (SELECT k, b FROM wide) TO '/dev/null';\n"
			  . "SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\\s+(\\d+)'))[1]");
		$peak{$size} = $out / 1024;
		note(sprintf 'chunks of %d: %d MB', $size, $peak{$size});
	}
	# two connections, the first chunks of 8 rows
	cmp_ok($peak{64} - $peak{1}, '<', 45, 'not 64 rows of each worker');
}

$cluster->stop;
done_testing();
