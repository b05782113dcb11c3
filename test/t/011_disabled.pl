# What is made, changed or dropped while a worker is disabled, and down, is there or gone when
# it is active again: tables, columns, constraints, indexes, functions, enum labels, other types,
# reference tables.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 4\ncz.worker_timeout = '2s'\ncz.connect_timeout = '1s'\n");
my $port = $cluster->port(2);

$cluster->sql(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION is_fine(n int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN n > 0; END';
CREATE TABLE t (id int PRIMARY KEY, m mood, n int CHECK (is_fine(n)), gone text, p pair) WITH (fillfactor = 70);
CREATE INDEX t_gone ON t (gone);
CREATE INDEX t_old ON t (n);
SELECT create_distributed_table('t', 'id');
INSERT INTO t SELECT i, 'sad', i, 'x', ROW (i, i)::pair FROM generate_series(1, 100) i;
CREATE TABLE r (d date, v int);
SELECT create_distributed_table('r', 'd', 'range');
SELECT cz_create_range_shard('r', '2020-01-01', '2020-07-01'), cz_create_range_shard('r', '2020-07-01', '2021-01-01'),
	cz_create_range_shard('r', '2021-01-01', '2022-01-01');
INSERT INTO r SELECT '2020-01-01'::date + i, i FROM generate_series(0, 700) i;
CREATE TABLE ref (id int PRIMARY KEY, m mood);
INSERT INTO ref VALUES (1, 'sad');
SELECT create_reference_table('ref');
CREATE TABLE ref_gone (id int);
SELECT create_reference_table('ref_gone');
CREATE TABLE gone (id int);
SELECT create_distributed_table('gone', 'id');
CREATE TYPE other AS (x int, y int);
CREATE TABLE with_other (id int, o other);
SELECT create_distributed_table('with_other', 'id', colocate_with => 'none');
SQL

$cluster->kill_worker(2);
$cluster->sql("SELECT citus_disable_node('127.0.0.1', $port)");
my ($status, $out, $err) = $cluster->try_sql(<<'SQL');
SET DateStyle = 'SQL, DMY';
ALTER TYPE mood ADD VALUE 'angry';
CREATE OR REPLACE FUNCTION is_fine(n int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN n > -10; END';
ALTER TABLE t ADD COLUMN extra text DEFAULT 'e', ADD COLUMN f float8 DEFAULT 0.1 CHECK (f < 5);
ALTER TABLE t DROP COLUMN gone;
DROP INDEX t_old;
CREATE INDEX t_new ON t (extra, n);
ALTER TABLE r ADD COLUMN w text DEFAULT 'w';
ALTER TABLE ref ADD COLUMN w text DEFAULT 'w';
CREATE INDEX ON ref (w);
INSERT INTO t (id, m, n) VALUES (1000, 'angry', -5), (1001, 'angry', 5), (1002, 'angry', 5), (1003, 'happy', 5);
UPDATE t SET extra = 'u' WHERE id < 50;
DELETE FROM r WHERE v % 7 = 0;
INSERT INTO ref VALUES (2, 'angry');
CREATE TABLE new (id int PRIMARY KEY, m mood);
SELECT create_distributed_table('new', 'id', colocate_with => 't');
INSERT INTO new SELECT i, 'angry' FROM generate_series(1, 50) i;
CREATE TABLE ref_new (id int, p pair);
INSERT INTO ref_new VALUES (1, '(1,2)');
SELECT create_reference_table('ref_new');
SELECT cz_create_range_shard('r', '01/01/2022', '01/01/2023');
INSERT INTO r VALUES ('01/06/2022', 1);
SQL
is($status, 0, 'changes while a worker is disabled and down') or diag($err);
($status, $out, $err) = $cluster->try_sql(<<'SQL');
DROP TABLE gone, ref_gone, with_other;
DROP TYPE other;
CREATE TYPE other AS (y int, x int);
CREATE TABLE with_other (id int, o other);
SELECT create_distributed_table('with_other', 'id', colocate_with => 't');
INSERT INTO with_other SELECT i, ROW (i, -i)::other FROM generate_series(1, 20) i;
SQL
is($status, 0, 'tables and types are dropped and made again') or diag($err);

$cluster->restart_worker(2);
$cluster->sql("SELECT citus_activate_node('127.0.0.1', $port)");

# What a worker says of each of its tables, without their rows
my $shape = q{SELECT c.relname || ' ' || coalesce(array_to_string(c.reloptions, ','), '') || ' ' ||
	(SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull, ', ' ORDER BY a.attname)
		FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) || ' ' ||
	coalesce((SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.conrelid = c.oid), '') || ' ' ||
	coalesce((SELECT string_agg(pg_get_indexdef(i.indexrelid), ', ' ORDER BY i.indexrelid::regclass::text) FROM pg_index i WHERE i.indrelid = c.oid), '')
	FROM pg_class c WHERE c.relnamespace = 'cz_shards'::regnamespace AND c.relkind = 'r' AND c.relname <> 'cz_object' ORDER BY 1};
my (%shapes, %rows, %count);
for my $i (1 .. 3)
{
	foreach my $line (split /\n/, $cluster->worker_sql($i, $shape))
	{
		my ($name) = $line =~ /^(\S+)/;
		$count{$name}++;
		$shapes{$name}{$line} = 1;
		my $columns = $cluster->worker_sql($i, "SELECT string_agg(attname, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'cz_shards.$name'::regclass AND attnum > 0 AND NOT attisdropped");
		$rows{$name}{ $cluster->worker_sql($i, "SELECT md5(string_agg(x::text, E'\\n' ORDER BY x::text)) FROM (SELECT $columns FROM cz_shards.$name) x") } = 1;
	}
}
is(join(' ', grep { keys %{ $shapes{$_} } > 1 } sort keys %shapes), '', 'all placements have the same definition')
	or diag(join "\n", map { keys %$_ } values %shapes);
is(join(' ', grep { keys %{ $rows{$_} } > 1 } sort keys %rows), '', 'and the same rows');
is(join(' ', grep { $count{$_} != (/^ref/ ? 3 : 2) } sort keys %count), '', 'each shard has two, each reference table three');
is(join(' ', grep { /gone/ } keys %count), '', 'what was dropped is gone');
is($cluster->sql('SELECT count(*) FROM cz.cleanup'), '0', 'nothing is left to be cleaned up');
is($cluster->worker_sql(2, "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum"), 'sad happy angry', 'labels');
like($cluster->worker_sql(2, "SELECT prosrc FROM pg_proc WHERE proname = 'is_fine'"), qr/-10/, 'function');

# by the worker alone
$cluster->kill_worker(1);
is($cluster->sql("SET client_min_messages = error; SELECT count(*), sum(n), max(m), min(extra) FROM t"), '104|5060|angry|e', 'rows');
is($cluster->sql("SET client_min_messages = error; SELECT sum((o).y), sum((o).x) FROM with_other"), '210|-210', 'fields of the type that was made again');
$cluster->restart_worker(1);
$cluster->await_workers or die 'the worker is not back';
($status, $out, $err) = $cluster->try_sql("INSERT INTO t (id, n) VALUES (2000, -20), (2001, -20), (2002, -20), (2003, -20)");
like($err, qr/23514/, 'the constraint holds');
$cluster->sql("INSERT INTO t (id, n, m) SELECT i, 1, 'angry' FROM generate_series(3000, 3050) i; UPDATE with_other SET o = ROW (1, 2)::other; INSERT INTO r VALUES ('2022-02-02', 2)");
($status, $out, $err) = $cluster->try_sql("DROP TABLE t, r, new, with_other, ref, ref_new; DROP TYPE mood, pair, other; DROP FUNCTION is_fine(int); SELECT recover_prepared_transactions()");
is($status, 0, 'all can be dropped') or diag($err);
is(join(' ', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_class WHERE relnamespace = 'cz_shards'::regnamespace AND relname NOT LIKE 'cz_object%'") . $cluster->worker_sql($_, 'SELECT string_agg(name, $$ $$) FROM cz_shards.cz_object') } 1 .. 3), '0 0 0', 'everywhere');

$cluster->stop;
done_testing();
