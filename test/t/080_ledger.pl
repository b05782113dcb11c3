# What stands on workers besides shards: what we have made is in their ledger, and is altered
# and dropped with what it is here, also when a worker is missing; what a person has made
# there is used or refused, never touched.
use strict;
use warnings;
use CzCluster;
use Test::More;

# what is left to be dropped stays until it is asked for
my $cluster = CzCluster->new(workers => 3, conf => "cz.shard_count = 6\ncz.shard_replication_factor = 2\ncz.recovery_interval = -1\n");
my ($status, $out, $err);

# Types of a name on all workers
sub kinds
{
	my ($name) = @_;
	return join(' ', map { $cluster->worker_sql($_, "SELECT coalesce(string_agg(typtype, ''), '-') FROM pg_type WHERE typname = '$name'") } 1 .. 3);
}

sub ledgers
{
	return join(' ', map { $cluster->worker_sql($_, "SELECT coalesce(string_agg(name, ',' ORDER BY name), '-') FROM cz_shards.cz_object") } 1 .. 3);
}

$cluster->sql(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN lim AS int CHECK (VALUE < 100);
CREATE FUNCTION fine(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
CREATE TABLE t (k int, m mood, d lim CHECK (fine(d)));
SELECT create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'sad', i FROM generate_series(1, 50) i;
SQL
is(ledgers(), 'fine,lim,mood fine,lim,mood fine,lim,mood', 'the ledgers');
is($cluster->worker_sql(1, q{SELECT bool_and(fingerprint ~ '^[0-9a-f]{32}$' AND owner_object > 0) FROM cz_shards.cz_object}), 't', 'their contents');

note 'a worker is down';
$cluster->kill_worker(3);
foreach my $sql ("ALTER TYPE mood ADD VALUE 'angry'", 'ALTER TYPE mood RENAME TO temper', 'ALTER DOMAIN lim ADD CONSTRAINT low CHECK (VALUE < 50) NOT VALID',
	'ALTER DOMAIN lim DROP CONSTRAINT lim_check', "CREATE OR REPLACE FUNCTION fine(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
	'ALTER FUNCTION fine(int) RENAME TO good')
{
	($status, $out, $err) = $cluster->try_sql("SET client_min_messages = error; $sql");
	like($err, qr/ERROR:  08/, $sql);
}
$cluster->restart_worker(3);
$cluster->sql("INSERT INTO t SELECT i, 'happy', 51 FROM generate_series(51, 60) i");
is($cluster->sql(q{SELECT count(*) FROM pg_enum WHERE enumtypid = 'mood'::regtype}), '2', 'nothing has changed here');
is(join(' ', map { $cluster->worker_sql($_, q{SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'mood'::regtype}) } 1 .. 3), 'sad,happy sad,happy sad,happy', 'nor there');
($status, $out, $err) = $cluster->try_sql("INSERT INTO t VALUES (61, 'sad', 100), (62, 'sad', 100), (63, 'sad', 100)");
like($err, qr/23514/, 'the domain is as it was');

note 'a worker goes down before the commit';
my $handle = $cluster->start_halting("BEGIN; ALTER TYPE mood RENAME VALUE 'sad' TO 'low'; ALTER DOMAIN lim RENAME TO limited;", 'COMMIT;');
$cluster->kill_worker(2);
$cluster->go_on($handle);
($status, $out, $err) = $cluster->finish_sql($handle, 120);
like($err, qr/ERROR:  08/, 'the commit fails');
$cluster->restart_worker(2);
$cluster->sql('SELECT recover_prepared_transactions()');
is($cluster->sql(q{SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'mood'::regtype}), 'sad,happy', 'nothing has changed here');
is(join(' ', map { $cluster->worker_sql($_, q{SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'mood'::regtype}) } 1 .. 3), 'sad,happy sad,happy sad,happy', 'nor there');
is(ledgers(), 'fine,lim,mood fine,lim,mood fine,lim,mood', 'the ledgers are as they were');

note 'DROP while a worker is down';
$cluster->kill_worker(3);
($status, $out, $err) = $cluster->try_sql('DROP TABLE t; DROP TYPE mood; DROP DOMAIN lim; DROP FUNCTION fine(int)');
is($status, 0, 'is possible') or diag($err);
is($cluster->sql(q{SELECT string_agg(object_kind || ' ' || object_name, ', ' ORDER BY object_kind, object_name) FROM cz.cleanup WHERE object_kind <> 'table'}), 'function fine, type lim, type mood', 'what is left to be done');
$cluster->restart_worker(3);
is(ledgers(), '- - fine,lim,mood', 'where it was done');
# one of them is made again meanwhile, as another thing
$cluster->sql("CREATE DOMAIN mood AS text; CREATE TABLE t (k int, m mood)");
($status, $out, $err) = $cluster->try_sql("SELECT create_distributed_table('t', 'k')");
like($err, qr/55006.*HINT: .*citus_cleanup_orphaned_resources/s, 'the shards of the table that was dropped are in the way');
$cluster->sql('CALL citus_cleanup_orphaned_resources()');
is($cluster->sql('SELECT count(*) FROM cz.cleanup'), '0', 'the rest');
is(kinds('lim'), '- - -', 'is done');
$cluster->sql("SELECT create_distributed_table('t', 'k')");
$cluster->sql("INSERT INTO t SELECT i, 'm' || i FROM generate_series(1, 50) i");
is($cluster->sql("SELECT count(*) FROM t WHERE m = 'm7'"), '1', 'the new domain');
$cluster->sql('DROP TABLE t; DROP DOMAIN mood');
is(ledgers(), '- - -', 'nothing is left');

note 'what a person has made';
$cluster->worker_sql(2, 'CREATE TYPE pair AS (x int, y int); CREATE TYPE same AS (x int); CREATE TABLE mine (s same)');
$cluster->sql('CREATE TYPE pair AS (y int, x int); CREATE TYPE same AS (x int); CREATE TABLE p (k int, p pair); CREATE TABLE s (k int, s same)');
($status, $out, $err) = $cluster->try_sql("SELECT create_distributed_table('p', 'k')");
like($err, qr/42710.*type public\.pair exists with another definition/, 'another definition');
is($cluster->worker_sql(2, "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pair'::regclass"), 'x,y', 'and stays');
is(kinds('pair'), '- c -', 'nothing has happened elsewhere');
$cluster->sql("SELECT create_distributed_table('s', 'k'); INSERT INTO s VALUES (1, '(1)'), (2, '(2)')");
is(ledgers(), 'same - same', 'the same definition is used');
($status, $out, $err) = $cluster->try_sql('ALTER TYPE same ADD ATTRIBUTE z int');
like($err, qr/42710.*type public\.same exists with another definition/, 'nothing changes there');
is($cluster->sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'same'::regclass"), '1', 'nor here');
$cluster->worker_sql(2, 'ALTER TYPE same ADD ATTRIBUTE z int');
$cluster->sql("ALTER TYPE same ADD ATTRIBUTE z int; INSERT INTO s VALUES (3, '(3,3)')");
is($cluster->sql('SELECT sum((s).z) FROM s'), '3', 'unless the person has changed it before');
$cluster->sql('DROP TABLE s, p; DROP TYPE same, pair');
is(kinds('same'), '- c -', 'it outlives ours');
$cluster->worker_sql(2, 'DROP TABLE mine; DROP TYPE same, pair');

note 'a type that somebody uses there';
$cluster->sql("CREATE TYPE used AS (x int); CREATE TABLE u (k int, u used); SELECT create_distributed_table('u', 'k')");
$cluster->worker_sql(1, 'CREATE TABLE theirs (u used)');
$cluster->sql('DROP TABLE u; DROP TYPE used');
is(kinds('used'), 'c - -', 'stays there');
$cluster->sql('CREATE TYPE used AS (x text); CREATE TABLE u (k int, u used)');
($status, $out, $err) = $cluster->try_sql("SELECT create_distributed_table('u', 'k')");
like($err, qr/55006.*DETAIL:  column u of table (public\.)?theirs depends on type/s, 'is in the way of another one');
$cluster->worker_sql(1, 'DROP TABLE theirs');
$cluster->sql("SELECT create_distributed_table('u', 'k'); INSERT INTO u VALUES (1, '(a)')");
is($cluster->sql('SELECT u FROM u'), '(a)', 'until it is gone');

note 'two sessions';
# the type is sent by two that distribute a table, and changed by a third meanwhile
$cluster->sql("DROP TABLE u; DROP TYPE used; CREATE TYPE used AS ENUM ('a'); CREATE TABLE u (k int, u used); CREATE TABLE u2 (k int, u used)");
my $first = $cluster->start_at('distribute-created', "SELECT create_distributed_table('u', 'k')");
my @waiting = map { $cluster->start_sql($_) } "SELECT create_distributed_table('u2', 'k')", "ALTER TYPE used ADD VALUE 'b'";
ok($cluster->coordinator->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}), 'both wait');
$cluster->go;
foreach my $handle ($first, @waiting)
{
	($status, $out, $err) = $cluster->finish_sql($handle, 120);
	is($status, 0, 'one after the other') or diag($err);
}
$cluster->sql("INSERT INTO u SELECT i, 'b' FROM generate_series(1, 20) i; INSERT INTO u2 SELECT * FROM u");
is($cluster->sql("SELECT count(*) FROM u JOIN u2 USING (k, u) WHERE u = 'b'"), '20', 'the type is everywhere what it is here');

# a type that is younger than the transaction's snapshot
my $late = $cluster->start_halting('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;',
	"CREATE TABLE l (k int, v late); SELECT create_distributed_table('l', 'k'); ALTER TYPE late ADD ATTRIBUTE y int; INSERT INTO l VALUES (1, '(1,2)'); COMMIT; SELECT v FROM l;");
$cluster->sql('CREATE TYPE late AS (x int)');
$cluster->go_on($late);
($status, $out, $err) = $cluster->finish_sql($late, 120);
like($out, qr/\(1,2\)$/, 'REPEATABLE READ') or diag($err);

note 'roles with mappings of their own';
foreach my $i (0 .. 3)
{
	my $sql = 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT CREATE ON DATABASE postgres TO alice, bob; GRANT ALL ON SCHEMA public TO alice, bob';
	$i ? $cluster->worker_sql($i, $sql) : $cluster->sql($sql);
}
foreach my $i (1 .. 3)
{
	my $server = $cluster->server_name($i);
	$cluster->sql("CREATE USER MAPPING FOR $_ SERVER $server OPTIONS (user '$_', password_required 'false'); GRANT USAGE ON FOREIGN SERVER $server TO $_") foreach qw(alice bob);
}
$cluster->sql(<<'SQL');
SET ROLE alice;
CREATE TYPE shared AS ENUM ('a', 'b');
CREATE TABLE ta (k int, v shared);
SELECT create_distributed_table('ta', 'k');
SET ROLE bob;
CREATE TYPE bobs AS ENUM ('a', 'b');
CREATE TABLE tb (k int, v shared, w bobs);
SELECT create_distributed_table('tb', 'k');
RESET ROLE;
SQL
is($cluster->worker_sql(1, q{SELECT string_agg(relowner::regrole::text, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^cz_object(@[0-9]+)*$'}), 'postgres alice bob', 'each has a ledger');
is($cluster->worker_sql(1, q{SELECT bool_or(has_table_privilege('alice', oid, 'SELECT') AND relowner <> 'alice'::regrole) FROM pg_class WHERE relname ~ '^cz_object(@[0-9]+)*$'}), 'f', 'that no other role reads');
$cluster->sql("SET ROLE alice; ALTER TYPE shared ADD VALUE 'c'; ALTER TYPE shared RENAME TO common");
$cluster->sql("SET ROLE bob; ALTER TYPE bobs RENAME VALUE 'b' TO 'z'; INSERT INTO tb VALUES (1, 'c', 'z'), (2, 'b', 'a')");
is($cluster->sql("SELECT count(*) FROM tb WHERE v = 'c'::common"), '1', 'what one has made, the other uses');
$cluster->sql('DROP TABLE ta, tb; DROP TYPE common, bobs');
is(kinds('common') . kinds('bobs'), '- - -- - -', 'a superuser drops both');

note 'a ledger whose name is taken';
foreach my $i (1 .. 3)
{
	$cluster->worker_sql($i, 'CREATE ROLE carol LOGIN; GRANT CREATE ON DATABASE postgres TO carol; GRANT ALL ON SCHEMA public TO carol');
	my $oid = $cluster->worker_sql($i, "SELECT 'carol'::regrole::oid");
	$cluster->worker_sql($i, 'SET ROLE bob; ' . ($i == 1 ? qq{CREATE DOMAIN cz_shards."cz_object\@$oid" AS int} : qq{CREATE VIEW cz_shards."cz_object\@$oid" AS SELECT 1}));
}
$cluster->sql('CREATE ROLE carol LOGIN; GRANT CREATE ON DATABASE postgres TO carol; GRANT ALL ON SCHEMA public TO carol');
foreach my $i (1 .. 3)
{
	my $server = $cluster->server_name($i);
	$cluster->sql("CREATE USER MAPPING FOR carol SERVER $server OPTIONS (user 'carol', password_required 'false')");
}
($status, $out, $err) = $cluster->try_sql(q{SET ROLE carol; CREATE TYPE carols AS ENUM ('a'); CREATE TABLE tc (k int, v carols); SELECT create_distributed_table('tc', 'k'); ALTER TYPE carols ADD VALUE 'b'; INSERT INTO tc VALUES (1, 'b')});
is($status, 0, 'gets another one') or diag($err);
is(join(' ', map { $cluster->worker_sql($_, q{SELECT count(*) FROM pg_class WHERE relname ~ '^cz_object(@[0-9]+){2}$' AND relowner = 'carol'::regrole AND relkind = 'r'}) } 1 .. 3), '1 1 1', 'with digits, once');
$cluster->sql('DROP TABLE tc; DROP TYPE carols');
is(kinds('carols'), '- - -', 'that is found again');

note 'extensions';
($status, $out, $err) = $cluster->try_sql('SET ROLE alice; CREATE EXTENSION hstore; CREATE TABLE h (k int, h hstore); SELECT create_distributed_table($$h$$, $$k$$)');
is($status, 0, 'a trusted one') or diag($err);
$cluster->sql('DROP TABLE h; DROP EXTENSION hstore');
is(join(' ', map { $cluster->worker_sql($_, "SELECT count(*) FROM pg_extension WHERE extname = 'hstore'") } 1 .. 3), '0 0 0', 'goes when it goes here');
$cluster->sql('ALTER ROLE alice SUPERUSER');
($status, $out, $err) = $cluster->try_sql('SET ROLE alice; CREATE EXTENSION pageinspect');
is($status, 0, 'one that the mapping may not create there');
like($err, qr/NOTICE:.*extension "pageinspect" has not been created on node "\S+"\nDETAIL:  permission denied/, 'is created here, with a notice');

note 'after a restore';
$cluster->sql('DELETE FROM cz.objects; SELECT cz_finish_restore(); ALTER TYPE used RENAME TO still_used');
is($cluster->sql(q{SELECT count(*) FROM u WHERE u = 'b'::still_used}), '20', 'what the workers have is known again');

$cluster->stop;
done_testing();
