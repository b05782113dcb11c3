# COPY FROM whose lines go to the workers as they came: what it stores and what it says of
# wrong lines is what it does on a plain table; workers that are killed, and cancels.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 8\ncz.shard_replication_factor = 2\n");
my $input = $cluster->coordinator->data_dir . '/input';

$cluster->sql(q{
	CREATE DOMAIN word AS text;
	CREATE DOMAIN small AS int CHECK (VALUE < 1000);
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE SCHEMA plain;
	CREATE SCHEMA shards;
});
foreach my $schema (qw(plain shards))
{
	$cluster->sql(qq{
		SET search_path = $schema, public;
		CREATE TABLE t (gone int, k int, v text, n smallint DEFAULT 7, d date, at timestamptz, j jsonb, a int[],
			c varchar(5), m mood, w word, s serial, e text DEFAULT E'x\\\\,"\\ty', g int GENERATED ALWAYS AS (k * 2) STORED,
			CHECK (n <> 13));
		ALTER TABLE t DROP COLUMN gone;
		CREATE TABLE u (k int PRIMARY KEY, v text NOT NULL);
		CREATE TABLE o (k text, v float8);
		CREATE TABLE checked (k int, n small);
		CREATE TABLE r (k int, v text);
	});
}
$cluster->sql(q{
	SET search_path = shards, public;
	SELECT create_distributed_table('t', 'k');
	SELECT create_distributed_table('u', 'k');
	SELECT create_distributed_table('o', 'k');
	SELECT create_distributed_table('checked', 'k');
	SELECT create_distributed_table('r', 'k');
});

# COPY $what FROM the bytes of $data in both schemas, then a look at the table
sub same
{
	my ($name, $what, $data, %args) = @_;
	my ($table) = $what =~ /^(\w+)/;
	my $options = $args{options} ? "WITH ($args{options})" : '';
	my %result;

	open my $file, '>:raw', $input or die;
	print $file $data;
	close $file;
	foreach my $schema (qw(plain shards))
	{
		my ($status, $out, $err) = $cluster->try_sql(qq{
			\\set VERBOSITY default
			SET client_min_messages = warning;
			SET search_path = $schema, public;
			@{[ $args{set} ? "SET $args{set};" : '' ]}
			SET bytea_output = hex;
			\\set ON_ERROR_STOP off
			COPY $what FROM '$input' $options;
			\\echo :ROW_COUNT
			@{[ length $data > 1000000 ? "SELECT count(*), sum(hashtextextended(x::text, 0)) FROM $table x" : "SELECT * FROM $table x ORDER BY x::text" ]};
			TRUNCATE $table RESTART IDENTITY;
		});
		$err =~ s/^psql:.*?input\.sql:\d+: //mg;
		$err =~ s/^(CONTEXT:  )?on node "\w+"\n/$1/mg;
		$result{$schema} = "$err$out";
	}
	is($result{shards}, $result{plain}, $name);
	like($result{shards}, $args{like}, "$name: what is expected") if $args{like};
	return;
}

# Lines before the interesting ones: the first few rows take another way
my $u = join '', map { "$_\tv$_\n" } 1 .. 6;
my $uc = join '', map { "$_,v$_\n" } 1 .. 6;

same('text', 'u', $u . "7\ta\\tb\\\\c\\nd\\x41\\101\\\n8\n8\t\n9\t\\N8\n", like => qr/^8$/m);
same('end marker', 'u', $u . "7\tx\n\\.\n8\tignored\n");
same('no newline at the end', 'u', $u . "7\tx");
same('carriage returns', 'u', ($u . "7\tx\n") =~ s/\n/\r\n/gr);
same('old carriage returns', 'u', ($u . "7\tx\n") =~ s/\n/\r/gr);
same('mixed newlines', 'u', $u . "7\tx\r\n8\ty\n", like => qr/literal carriage return.*line 7/s);
same('delimiter and null', 'u (v, k)', join('', map { "v$_|$_\n" } 1 .. 6) . "nil|7\n", options => "DELIMITER '|', NULL 'nil'",
	like => qr/null value.*line 7: "nil\|7"/s);
same('null key', 'o', join('', map { "$_\t$_\n" } 1 .. 6) . "\\N\t7\n\\N\t\\N\n");
same('empty line', 'o (k)', "a\nb\nc\nd\ne\n\n\\N\n\nf\n");
same('header', 'u', "k\tv\n$u", options => 'HEADER');
same('header matches', 'u', "k\tv\n$u", options => 'HEADER MATCH');
same('header does not match', 'u', "k\tw\n$u", options => 'HEADER MATCH', like => qr/column name mismatch/);
same('header and error', 'u', "k\tv\n${u}x\ty\n", options => 'HEADER', like => qr/line 8, column k/);
same('too few', 'u', $u . "7\n8\tx\n", like => qr/missing data for column "v".*line 7: "7"/s);
same('too many', 'u', $u . "7\tx\ty\n", like => qr/extra data.*line 7/s);
same('no key', 'u (v, k)', join('', map { "v$_\t$_\n" } 1 .. 6) . "v7\n", like => qr/missing data for column "k".*line 7/s);
same('bad key', 'u', $u . "x\ty\n", like => qr/line 7, column k: "x"/);
same('the first of two errors', 't (k, n)', join('', map { "$_\t1\n" } 1 .. 50) . "51\tx\n52\ty\n53\tz\nbad\t1\n",
	like => qr/line 51, column n: "x"/);
same('an error before the bad key', 't (n, k)', join('', map { "1\t$_\n" } 1 .. 50) . "1\t51\nx\t52\n1\tbad\n",
	like => qr/line 52, column n: "x"/);
same('two errors in a line', 't (n, k)', join('', map { "1\t$_\n" } 1 .. 50) . "x\tbad\n", like => qr/line 51, column n: "x"/);
same('bad number before a check', 't (k, n)', $u =~ s/\tv/\t/gr . "7\tx\n8\t13\n", like => qr/line 7, column n/);
same('a lonely check', 't (k, n)', $u =~ s/\tv/\t/gr . "7\t13\n8\t14\n", like => qr/line 7: "7\t13"/);
same('too long', 't (k, c)', $u . "7\tlong enough\n", like => qr/line 7, column c/);
same('enum', 't (k, m)', $u =~ s/\tv\d/\tok/gr . "7\tsad\n8\tglad\n", like => qr/line 8, column m: "glad"/);
same('unique', 'u', $u . "3\tagain\n8\tx\n", like => qr/unique.*line 7$/ms);
same('many fields', 't (k, v, n, d, at, j, a, c, w)',
	join('', map { "$_\tv$_\t$_\t2026-01-0$_\t2026-01-0$_ 12:00\t{\"a\": $_}\t{1,NULL,$_}\tc\tword\n" } 1 .. 7));
same('missing columns', 't (k, v)', $u . "7\t\\N\n8\tx\n");
same('missing columns, csv', 't (v, k)', join('', map { "v$_,$_\n" } 1 .. 6) . qq{"x,\n""y",7\n,8\n"",9\n}, options => 'FORMAT csv');
same('missing columns, a null of letters', 't (k, v)', $u . "7\tx\n", options => "NULL 'x'");
same('missing columns, an empty null', 't (k, v)', $u . "7\t\n", options => "NULL ''");
same('missing columns, too few and too many', 't (k, v, n)', join('', map { "$_\tv\t1\n" } 1 .. 6) . "7\tx\n",
	like => qr/missing data for column "n".*line 7: "7\tx"/s);
same('missing columns and an error', 't (k, n)', $u =~ s/\tv/\t/gr . "7\t13\n", like => qr/t_check|t_n_check/);
same('csv', 'u', $uc . qq{7,"a ""b"", c"\n8,"multi\nline"\n9,\\.x\n10," "\n11,""\n}, options => 'FORMAT csv');
same('csv, an error after lines in quotes', 't (k, v, n)',
	join('', map { qq{$_,"a\nb\nc",1\n} } 1 .. 20) . qq{21,"x\ny",bad\n22,"x",1\n},
	options => 'FORMAT csv', like => qr/line 60, column n: "bad"/);
same('csv, a check after lines in quotes', 't (k, v, n)',
	join('', map { qq{$_,"a\nb\nc",1\n} } 1 .. 20) . qq{21,"x\ny",13\n}, options => 'FORMAT csv');
same('csv, unique after lines in quotes', 'u', join('', map { qq{$_,"a\nb\nc"\n} } 1 .. 20) . qq{20,"x\ny"\n}, options => 'FORMAT csv');
same('csv, open quote', 'u', $uc . qq{7,"x\n8,y\n}, options => 'FORMAT csv', like => qr/unterminated/);
same('csv, carriage returns', 'u', ($uc . qq{7,"x\ny"\n}) =~ s/\n/\r\n/gr, options => 'FORMAT csv');
same('csv, carriage return in a line', 'u', $uc . qq{7,a\rb\n}, options => 'FORMAT csv', like => qr/unquoted carriage return/);
same('csv, quote and escape', 'u', $uc . q{7,'it\'s, so'} . "\n", options => q{FORMAT csv, QUOTE '''', ESCAPE '\\'});
same('csv, force', 't (k, v, n)', join('', map { qq{$_,v,1\n} } 1 .. 6) . qq{7,,"3"\n8,"",""\n9,x,\n},
	options => 'FORMAT csv, FORCE_NOT_NULL (v), FORCE_NULL (n)');
same('csv, force of the key', 'o (k, v)', join('', map { qq{$_,1\n} } 1 .. 6) . qq{,2\n"",3\n}, options => 'FORMAT csv, FORCE_NOT_NULL (k)');
same('csv, force null of the key', 'o (k, v)', join('', map { qq{$_,1\n} } 1 .. 6) . qq{,2\n"",3\n}, options => 'FORMAT csv, FORCE_NULL (k)');
same('csv, end marker', 'u', $uc . "\\.\n7,x\n", options => 'FORMAT csv');
same('day first', 't (k, d)', join('', map { "$_\t0$_/02/2026\n" } 1 .. 7), set => 'DateStyle = dmy', like => qr/07-02-2026|2026-02-07/);
same('month first', 't (k, d)', join('', map { "$_\t0$_/02/2026\n" } 1 .. 7), set => 'DateStyle = mdy');
same('time zone', 't (k, at)', join('', map { "$_\t2026-07-0$_ 12:00\n" } 1 .. 7), set => "TimeZone = 'America/New_York'");
same('names of zones and months', 't (k, at, d)', join('', map { "$_\t2026-07-0$_ 12:00 America/New_York\t0$_ Oct 2026\n" } 1 .. 7) .
	"8\tepoch\tinfinity\n9\t\\N\t\\N\n");
same('moments with escapes', 't (v, k, d)', join('', map { "v\\t$_\t$_\tMay $_, 2026\n" } 1 .. 7) . "\\N\t8\tyesterdayx\n",
	like => qr/line 8, column d: "yesterdayx"/);
same('arrays without nulls', 't (k, v, a)', join('', map { "$_\t\\N\t{1,2}\n" } 1 .. 7), set => 'array_nulls = off');
same('encoding', 'u', $u . "7\t\xe4\xf6\n8\tx\n", options => "ENCODING 'latin1'");
same('encoding of the client', 'u', $u . "7\t\xe4\xf6\n8\tx\n", set => "client_encoding = 'latin1'");
same('bad encoding', 'u', $u . "7\tok\n8\t\xe4\xf6\n9\tx\n", options => "ENCODING 'utf8'", like => qr/invalid byte sequence.*line 8/s);
same('an error before bad encoding', 't (k, n)', $u =~ s/\tv/\t/gr . "7\tx\n8\t\xe4\xf6\n", options => "ENCODING 'utf8'");
same('umlauts at the end of what is shown', 'u (v, k)', join('', map { "v$_\t$_\n" } 1 .. 6) . ("\xc3\xa4" x 80) . "\n", options => "ENCODING 'utf8'");
same('domain with a check', 'checked', join('', map { "$_\t$_\n" } 1 .. 6) . "7\t1001\n", like => qr/line 7, column n/);
same('many lines', 'u', join('', map { $_ == 150000 ? "150000\n" : "$_\tvalue $_\n" } 1 .. 200000), like => qr/line 150000: "150000"/);
same('many more lines', 'u', join('', map { "$_\tvalue of a line that is rather long $_\n" } 1 .. 200000), like => qr/^200000$/m);

# A moment in words is one and the same on all placements
$cluster->sql(q{SET search_path = shards, public; COPY t (k, at, v) FROM PROGRAM 'for i in $(seq 1 50); do echo "$i,now,x"; echo "$i,tomorrow,x"; done' (FORMAT csv)});
is($cluster->sql('SELECT count(*), count(DISTINCT at) FROM shards.t'), '100|2', 'moments in words');
is($cluster->differing_placements, '', 'on all placements');

# The lines do go as they are; and in a transaction they are seen, and undone
is($cluster->sql(q{
	SET search_path = shards, public; SET client_min_messages = warning;
	BEGIN;
	COPY r FROM PROGRAM 'seq -f "%.0f	x" 1 1000';
	SELECT count(*) FROM r;
	SAVEPOINT a;
	COPY r FROM PROGRAM 'seq -f "%.0f	y" 1 1000';
	SELECT count(*) FROM r;
	ROLLBACK TO a;
	SELECT count(*), min(v), max(v) FROM r;
	COMMIT;
	SELECT count(*) FROM r}), "1000\n2000\n1000|x|x\n1000", 'transactions and savepoints');

# The first lines, a pause until somebody makes the file go, and the others
sub copy_with_pause
{
	my ($table) = @_;
	unlink "$input.go", "$input.there";
	return $cluster->start_sql(qq{
		SET search_path = shards, public;
		COPY $table FROM PROGRAM 'seq -f "%.0f	a line of the first part" 1 600000; touch $input.there; while ! test -e $input.go; do sleep 0.05; done; seq -f "%.0f	x" 600001 700000';
		SELECT 'went on';
	});
}

sub wait_for
{
	my ($handle, $file) = @_;
	my $end = time + 120;
	while (!-e $file)
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		die "$file did not come: $handle->{err}" if time > $end || !$handle->{run}->pumpable;
		select undef, undef, undef, 0.02;
	}
	return;
}

sub go_on { PostgreSQL::Test::Utils::append_to_file("$input.go", ''); return; }

my ($handle, $status, $out, $err);
$cluster->sql('TRUNCATE shards.r');
$handle = copy_with_pause('r');
wait_for($handle, "$input.there");
$cluster->sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%FROM PROGRAM%' AND pid <> pg_backend_pid()});
go_on();
($status, $out, $err) = $cluster->finish_sql($handle);
is($status, 3, 'a cancel ends it');
like($err, qr/canceling statement due to user request/, 'as it is asked to');
is($cluster->sql('SELECT count(*) FROM shards.r'), '0', 'and nothing is stored');

$handle = copy_with_pause('r');
wait_for($handle, "$input.there");
$cluster->kill_worker(2);
go_on();
($status, $out, $err) = $cluster->finish_sql($handle);
$out = $cluster->sql('SELECT count(*), count(DISTINCT k) FROM shards.r');
is($out, $status == 0 ? '700000|700000' : '0|0', "a worker is killed: all or nothing ($status)");
like($err, qr/08006|WARNING/, 'that is told');
$cluster->restart_worker(2);
ok($cluster->repair, 'the placements are made whole');
is($cluster->differing_placements, '', 'and are equal');

$cluster->sql(q{SET cz.shard_replication_factor = 1; SET search_path = shards; CREATE TABLE one (k int, v text);
	SELECT create_distributed_table('one', 'k')});
$handle = copy_with_pause('one');
wait_for($handle, "$input.there");
$cluster->kill_worker(2);
go_on();
($status, $out, $err) = $cluster->finish_sql($handle);
is($status, 3, 'a worker is killed that has the only placement');
like($err, qr/08006|connection to node/, 'that is told');
$cluster->restart_worker(2);
$cluster->wait_for_recovery;
is($cluster->sql('SELECT count(*) FROM shards.one'), '0', 'and nothing is stored');

# A worker freezes that gets copies of rows while rows wait that are to be there first
$cluster->sql(q{SET cz.shard_replication_factor = 2; SET search_path = shards; CREATE TABLE skewed (k int, v text);
	SELECT create_distributed_table('skewed', 'k'); INSERT INTO skewed SELECT generate_series(1, 1000)});
my $few = $cluster->key_on(2, 'shards.skewed');
$cluster->sql(q{DELETE FROM shards.skewed WHERE get_shard_id_for_distribution_column('shards.skewed', k) NOT IN
	(SELECT shard_id FROM cz.placement_list() JOIN cz.worker_list() USING (server_oid) WHERE nodeport = } . $cluster->port(2) . ')');
my $many = $cluster->key_on(1, 'shards.skewed') || $cluster->key_on(3, 'shards.skewed');
$cluster->sql('TRUNCATE shards.skewed');
unlink "$input.go", "$input.there";
$handle = $cluster->start_sql(qq{
	SET search_path = shards; SET cz.worker_timeout = '2s';
	COPY skewed FROM PROGRAM 'yes "$many	a line of the first part" | head -800000; touch $input.there; while ! test -e $input.go; do sleep 0.05; done; yes "$few	x" | head -100';
	SELECT 'went on';
});
wait_for($handle, "$input.there");
$cluster->freeze_worker(2);
go_on();
($status, $out, $err) = $cluster->finish_sql($handle);
$cluster->thaw_worker(2);
is("$status $out", '0 went on', 'COPY goes on without a worker that is silent');
like($err, qr/WARNING/, 'that is told');
is($cluster->sql('SELECT count(*), count(DISTINCT k) FROM shards.skewed'), '800100|2', 'and no row is lost');
$cluster->wait_for_recovery;
ok($cluster->repair, 'its placements are made whole');
is($cluster->differing_placements, '', 'and are equal');

$cluster->stop;
done_testing();
