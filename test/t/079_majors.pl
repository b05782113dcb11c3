# Workers of other majors than the coordinator's in one cluster: what an older one does not know
# is evaluated here or refused with a reason.
#
# CZ_WORKER_BINS="14=DIR 18=DIR" says where the programs are; test/bin/fetch_workers gets some.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CzCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @majors = CzCluster::other_majors();
my ($own) = `$ENV{CZ_PREFIX_BIN}/postgres --version` =~ /(\d+)/;
my @older = grep { $_ < $own } @majors;
my @newer = grep { $_ > $own } @majors;
plan skip_all => 'no worker older than the coordinator: CZ_WORKER_BINS has none (test/bin/fetch_workers)' unless @older;

# Reads and writes of a role under a policy
sub policy
{
	my ($condition) = @_;
	return "CREATE ROLE majors_r; GRANT SELECT, INSERT, UPDATE, DELETE ON t, u TO majors_r; ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
		. " CREATE POLICY p ON t USING ($condition) WITH CHECK (n < 100 AND $condition); SET LOCAL ROLE majors_r; SELECT count(*), min(v) FROM t;"
		. " SELECT t.k FROM t JOIN u USING (k) ORDER BY 1; UPDATE t SET n = n + 1; DELETE FROM t WHERE k > 17; SELECT k, n FROM t ORDER BY k;"
		. " INSERT INTO t VALUES (31, 'a31', 1) ON CONFLICT (k) DO UPDATE SET n = 2; SELECT k FROM t WHERE k > 30; RESET ROLE; SELECT sum(n), count(*) FROM t";
}

# Statements by the first major that knows what is in them; each gives rows
my @queries = (
	[ 15, "SELECT k FROM t WHERE regexp_count(v, 'a') > 1 ORDER BY k" ],
	[ 15, "SELECT max(n::numeric(3, -1)), count(*) FILTER (WHERE regexp_like(v, '^a1')) FROM t" ],
	[ 15, "SELECT k % 3, range_agg(int4multirange(int4range(k, k + 1))) FROM t GROUP BY 1 ORDER BY 1" ],
	[ 15, "SELECT t.k, u.k FROM t JOIN u ON t.k = u.k AND regexp_instr(t.v, u.v) > 0 ORDER BY 1" ],
	[ 15, "SELECT k FROM t WHERE k = regexp_count('aaa', 'a')" ],
	[ 15, "WITH x AS (UPDATE t SET v = regexp_replace(v, 'a', 'b', 1, 1) WHERE k < 4 RETURNING *) SELECT * FROM x ORDER BY k" ],
	[ 15, "DELETE FROM t WHERE regexp_substr(v, '[0-9]+') = '17' RETURNING k" ],
	[ 15, "INSERT INTO u SELECT k + 100, regexp_replace(v, 'a', 'b', 1, 1), n FROM t WHERE k < 3; SELECT * FROM u WHERE k > 100 ORDER BY k" ],
	[ 15, "ALTER TABLE t ALTER v SET DEFAULT regexp_substr('abc', 'b'); INSERT INTO t (k) VALUES (200) RETURNING v" ],
	[ 15, "INSERT INTO t VALUES (1, 'x', 1) ON CONFLICT (k) DO UPDATE SET v = regexp_substr(t.v, 'a.') || excluded.v RETURNING *" ],
	[ 15, "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN new.n := 99; RETURN new; END\$\$;"
		. " CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (regexp_count(new.v, 'a') > 1) EXECUTE FUNCTION tf();"
		. " WITH x AS (UPDATE t SET n = 5 WHERE k < 3 RETURNING k, n) SELECT * FROM x ORDER BY k" ],
	[ 15, policy("regexp_count(v, '1') > 0") ],
	[ 15, "CREATE VIEW b WITH (security_barrier) AS SELECT * FROM t WHERE regexp_count(v, '1') > 0; SELECT k, n FROM b WHERE n > 3 ORDER BY k" ],
	[ 15, "CREATE FUNCTION many(text) RETURNS bool LANGUAGE sql STABLE RETURN regexp_count(\$1, '1') > 0; SELECT k FROM t WHERE many(v) ORDER BY k" ],
	[ 17, policy("to_bin(k) LIKE '1%1'") ],
	[ 18, policy("casefold(upper(v)) > 'a15'") ],
	[ 17, "SELECT k FROM t ORDER BY v COLLATE pg_c_utf8 DESC LIMIT 3" ],
	[ 17, "SELECT count(*), max(v COLLATE pg_c_utf8) FROM t WHERE upper(v COLLATE pg_c_utf8) < 'A2'" ],
	[ 17, "WITH x AS (UPDATE t SET v = upper('\xc3\xa4' COLLATE pg_c_utf8) || v WHERE k < 3 RETURNING *) SELECT * FROM x ORDER BY k" ],
	[ 18, "SELECT k, upper(v || '\xc3\x9f' COLLATE pg_unicode_fast) FROM t ORDER BY v COLLATE pg_unicode_fast" ],
	[ 18, "WITH x AS (UPDATE t SET v = casefold(v) WHERE k < 3 RETURNING *) SELECT * FROM x ORDER BY k" ],
	[ 16, "SELECT any_value(v) FROM t WHERE k = 5" ],
	[ 16, "SELECT k FROM t WHERE ('[' || k || ']') IS JSON ARRAY AND k < 4 ORDER BY k" ],
	[ 16, "SELECT JSON_OBJECT('k': k, 'v': v) FROM t WHERE k = 6" ],
	[ 16, "SELECT JSON_ARRAYAGG(k ORDER BY k) FROM t" ],
	[ 16, "SELECT random_normal(k, 0) FROM t WHERE k = 6" ],
	[ 17, "SELECT k, JSON_VALUE(jsonb_build_object('a', n), '\$.a' RETURNING numeric) FROM t ORDER BY k" ],
	[ 17, "SELECT t.k, j.x FROM t, JSON_TABLE(jsonb_build_array(t.k, t.n), '\$[*]' COLUMNS (x int PATH '\$')) j ORDER BY 1, 2" ],
	[ 17, "SELECT to_bin(k) FROM t ORDER BY k" ],
	[ 17, "SELECT count(*) FROM t WHERE make_interval(days => k) < interval 'infinity'" ],
	[ 17, "SELECT k FROM t WHERE jsonb_path_query_first(to_jsonb(n), '\$.integer()') = '7'" ],
	[ 18, "SELECT casefold(v) FROM t ORDER BY k" ],
	[ 18, "WITH x AS (UPDATE t SET n = n + 1 WHERE k < 4 RETURNING old.n AS a, new.n AS b) SELECT * FROM x ORDER BY 1" ],
	[ 18, "SELECT array_reverse(ARRAY[k, 0]) FROM t ORDER BY k" ]);

my @refused = (
	[ 15, "CREATE TABLE x (k int, n numeric(2, -1)); SELECT create_distributed_table('x', 'k')" ],
	[ 15, "CREATE TABLE x (k int, v text CHECK (regexp_like(v, 'a'))); SELECT create_reference_table('x')" ],
	[ 15, "CREATE UNIQUE INDEX ON t (k, v) NULLS NOT DISTINCT" ],
	[ 15, "ALTER TABLE t ADD COLUMN w int GENERATED ALWAYS AS (regexp_count(v, 'a')) STORED" ],
	[ 15, "CREATE INDEX ON t (regexp_count(v, 'a'))" ],
	[ 17, "ALTER TABLE t ADD CHECK (to_bin(k) <> 'x')" ],
	[ 17, "CREATE TABLE x (k int, v text COLLATE pg_c_utf8); SELECT create_distributed_table('x', 'k')" ],
	[ 17, "ALTER TABLE t ADD COLUMN w text COLLATE pg_c_utf8" ],
	[ 17, "CREATE INDEX ON t (v COLLATE pg_c_utf8)" ],
	[ 18, "CREATE TABLE x (k int, v int GENERATED ALWAYS AS (k + 1) VIRTUAL); SELECT create_distributed_table('x', 'k')" ],
	[ 18, "CREATE TABLE x (k int4range, p daterange, PRIMARY KEY (k, p WITHOUT OVERLAPS)); SELECT create_reference_table('x')" ],
	[ 18, "ALTER TABLE t SET (vacuum_max_eager_freeze_failure_rate = 0.1)" ]);

my $rows = "INSERT INTO %s SELECT i, 'a' || i || 'a', i FROM generate_series(1, 20) i";

sub make_tables
{
	my ($cluster, $distribute) = @_;
	foreach my $table ('t', 'u')
	{
		$cluster->sql("CREATE TABLE $table (k int PRIMARY KEY, v text, n numeric(8, 2))");
		$cluster->sql("SELECT create_distributed_table('$table', 'k', shard_count => 8)") if $distribute;
		$cluster->sql(sprintf($rows, $table));
	}
	return;
}

# What all statements give, each tried by itself and undone
sub results
{
	my ($cluster, $major) = @_;
	return map { [ $_->[1], join("\n", ($cluster->try_sql("SET jit = off; BEGIN; $_->[1]; ROLLBACK"))[ 0, 1 ]) ] }
	  grep { $_->[0] <= $major } @queries;
}

my $cluster = CzCluster->new(workers => 3, majors => [ $older[0], '', $newer[-1] // '' ]);
my $node = $cluster->server_name(1);
is($cluster->sql("SELECT count(*) FROM pg_foreign_server WHERE 'server_version=$older[0]' = ANY (srvoptions)"),
	1, 'the version of the older worker is known');
my (undef, undef, $warning) = $cluster->try_sql("SELECT citus_remove_node('127.0.0.1', " . $cluster->port(1) .
	"); SELECT citus_add_node('127.0.0.1', " . $cluster->port(1) . ")");
like($warning, qr/WARNING: .*node "\S+" runs PostgreSQL $older[0], the coordinator $own.*DETAIL: .*HINT: .*Upgrade the node/s,
	'a warning says what is lost, and what to do');
make_tables($cluster, 0);
my @expected = results($cluster, $own);
$cluster->sql('DROP TABLE t, u');
make_tables($cluster, 1);
my @found = results($cluster, $own);
is($found[$_][1], $expected[$_][1], "as on one server: $found[$_][0]") foreach 0 .. $#expected;

foreach (grep { $_->[0] <= $own && $_->[0] > $older[0] } @refused)
{
	my ($status, $out, $err) = $cluster->try_sql($_->[1]);
	like($err, qr/0A000: cannot create .* on the workers.*runs $older[0]/s, "refused with the reason: $_->[1]");
	$cluster->sql('DROP TABLE IF EXISTS x');
}
# pushed or not
$cluster->sql("MERGE INTO t USING u ON t.k = u.k WHEN MATCHED AND t.k > 15 THEN DELETE WHEN MATCHED THEN UPDATE SET v = u.v || t.k");
is($cluster->sql("SELECT count(*), min(v), max(k) FROM t"), '15|a10a10|15', 'MERGE');
$cluster->sql('VACUUM (ANALYZE' . ($own >= 16 ? ", BUFFER_USAGE_LIMIT '256 kB', SKIP_DATABASE_STATS" : '') . ') t');
SKIP:
{
	skip 'RESTRICT is said in the same way here and there', 1 if $own >= 18 || $majors[-1] < 18;
	$cluster->sql('CREATE TABLE p (k int PRIMARY KEY, s text); CREATE TABLE c (k int, CONSTRAINT of_p FOREIGN KEY (k) REFERENCES p ON DELETE RESTRICT)');
	$cluster->sql("SELECT create_distributed_table('p', 'k'), create_distributed_table('c', 'k'); INSERT INTO p SELECT generate_series(1, 60); INSERT INTO c SELECT k FROM p");
	my %said;
	$said{ ($cluster->try_sql("DELETE FROM p WHERE k = $_"))[2] =~ s/\($_\)/(N)/r =~ s/CONTEXT.*//sr =~ s/^psql:\S+ //r } = 1 foreach 1 .. 60;
	is(join("\n", keys %said), qq{ERROR:  23503: update or delete on table "p" violates foreign key constraint "of_p" on table "c"\n}
		. qq{DETAIL:  Key (k)=(N) is still referenced from table "c".\n}, 'RESTRICT on a worker of 18');
	$cluster->sql('DROP TABLE p, c');
}
is($cluster->sql('SELECT count(*) FROM cz_check_shards()'), 0, 'the shards are what they should be');

note 'what of the built-in functions of this major the older one lacks is never sent';
my %known = map { $_ => 1 } split /\n/, $cluster->worker_sql(1,
	"SELECT format('%s(%s)%s%s', proname, proargtypes, prorettype, prokind) FROM pg_proc WHERE oid < 10000");
my @lacking = grep { my ($what) = split /\t/; !$known{$what} } split /\n/, $cluster->sql(q{
	SELECT format(E'%s(%s)%s%s\t%s\t%s(%s)', proname, proargtypes, prorettype, prokind, proname, proname,
		(SELECT string_agg(CASE format_type(t, NULL) WHEN '"any"' THEN 'k' WHEN 'anyelement' THEN 'k' WHEN 'anyarray' THEN 'ARRAY[k]'
			WHEN 'internal' THEN '?' WHEN 'cstring' THEN '?' WHEN 'trigger' THEN '?'
			ELSE format('CASE WHEN k > 0 THEN NULL::%s END', format_type(t, NULL)) END, ', ' ORDER BY i)
		 FROM unnest(proargtypes) WITH ORDINALITY a (t, i)))
	FROM pg_proc WHERE oid < 10000 AND prokind IN ('f', 'a') AND NOT proretset AND pronargs > 0 AND pronamespace = 'pg_catalog'::regnamespace});
my ($ntried, @sent) = (0);
foreach (grep { !/\?/ } @lacking)
{
	my (undef, $name, $call) = split /\t/;
	my ($status, $plan) = $cluster->try_sql("EXPLAIN (VERBOSE, COSTS OFF) SELECT $call FROM t GROUP BY k");
	($status, $plan) = $cluster->try_sql("EXPLAIN (VERBOSE, COSTS OFF) SELECT $call FROM t") if $status != 0;
	next if $status != 0;
	$ntried++;
	push @sent, $call if grep { /Remote|Fragment/ && /\b\Q$name\E\(/ } split /\n/, $plan;
}
note scalar(@lacking) . " functions, $ntried tried";
cmp_ok($ntried, '>=', 6, 'functions that the older worker lacks are called');
is(join("\n", @sent), '', 'none is sent');

# A shard of each worker goes to the next one, of another major
sub move_some
{
	my ($table) = @_;
	foreach my $n (1 .. 3)
	{
		my $to = $n % 3 + 1;
		my $shard = $cluster->sql("SELECT min(shardid) FROM citus_shards WHERE table_name = '$table'::regclass AND nodeport = " . $cluster->port($n) .
			" AND shardid NOT IN (SELECT shardid FROM citus_shards WHERE nodeport = " . $cluster->port($to) . ')');
		next if $shard eq '';
		$cluster->sql("SELECT citus_move_shard_placement($shard, '127.0.0.1', " . $cluster->port($n) . ", '127.0.0.1', " . $cluster->port($to) . ')');
	}
	return;
}

# each kind of key, whose hashes workers of all majors must compute alike
foreach my $type ('date', 'timestamptz', 'bool', 'uuid', 'numeric', 'text', 'bytea', 'xid')
{
	my $value = $type eq 'bool' ? '(i % 2 = 0)' : $type eq 'uuid' ? "md5(i::text)::uuid" :
	  $type eq 'date' ? "date '2020-01-01' + i" : $type eq 'timestamptz' ? "timestamptz '2020-01-01 UTC' + i * interval '1 h'" : "i::text::$type";
	$cluster->sql("CREATE TABLE h (k $type, n int); SELECT create_distributed_table('h', 'k', shard_count => 8);" .
		" INSERT INTO h SELECT $value, i FROM generate_series(1, 40) i");
	is($cluster->sql("SELECT count(*) FROM h a, generate_series(1, 40) i WHERE a.k = $value AND a.n = i"), 40, "a key of type $type");
	move_some('h');
	is($cluster->sql("SELECT count(*) FROM h a, generate_series(1, 40) i WHERE a.k = $value AND a.n = i"), 40, 'and moved');
	$cluster->sql("INSERT INTO h SELECT $value, i FROM generate_series(41, 60) i");
	is($cluster->sql("SELECT count(*) FROM h WHERE k = (SELECT $value FROM generate_series(50, 50) i) AND n = 50"), 1, 'a row that is new at the other place');
	$cluster->sql('DROP TABLE h');
}
my $log = PostgreSQL::Test::Utils::slurp_file($cluster->coordinator->logfile);
like($log, qr/LOG:  move \d+ of shard \d+ from node "\S+" to node "\S+": switched/, 'the log names what has been moved');

done_testing();
