# What a plain role can choose does not run on a worker as a more powerful role.  All roles
# reach the workers as a superuser, through the mapping for PUBLIC that citus_add_node
# makes; alice tries every way to have code of hers run there.  What she would do shows as
# a role "evil...", or as a file.
use strict;
use warnings;
use CzCluster;
use Test::More;

my $cluster = CzCluster->new(workers => 2, conf => "cz.shard_count = 2\n");
my $file = PostgreSQL::Test::Utils::tempdir() . '/evil';
chmod 0777, PostgreSQL::Test::Utils::tempdir();

# Run SQL as a role: (exit status, output, messages)
sub as
{
	my ($role, $sql) = @_;
	return $cluster->try_sql("SET SESSION AUTHORIZATION $role;\n$sql");
}

# The roles and the file that an attack would have made, on any node
sub evil
{
	my $roles = q{SELECT coalesce(string_agg(rolname, ','), '') FROM pg_roles WHERE rolname LIKE 'evil%'};
	return join('', $cluster->sql($roles), (map { $cluster->worker_sql($_, $roles) } 1 .. 2), (-e $file ? 'file' : ''));
}

# An attack fails with the given SQLSTATE, and nothing has happened anywhere
sub attack
{
	my ($name, $state, $sql) = @_;
	my ($status, $out, $err) = as('alice', $sql);
	is(evil(), '', "$name: nothing has happened");
	like($err, qr/ERROR:  $state/, "$name: $state");
}

$cluster->sql(<<'SQL');
CREATE ROLE alice LOGIN;
CREATE SCHEMA sa AUTHORIZATION alice;
CREATE EXTENSION dblink;
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE FUNCTION run_sql(q text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN EXECUTE q; RETURN true; END';
-- declared wrongly, as many are
CREATE FUNCTION run_imm(q text) RETURNS bool IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN PERFORM public.run_sql(q); RETURN true; END';
CREATE FUNCTION run_step(s bool, q text) RETURNS bool IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN PERFORM public.run_sql(q); RETURN true; END';
SQL

note 'constraints, generated columns, indexes';
my $evil = q{CREATE ROLE evil SUPERUSER};
# where a worker's superuser gets in
my $somewhere = 'host=127.0.0.1 dbname=postgres user=postgres port=' . $cluster->worker(1)->port;
is($cluster->worker_sql(2, "SELECT dblink_exec('$somewhere', 'LISTEN x')"), 'LISTEN', 'a superuser can do all by dblink');
attack('CHECK', '0A000', qq{
	CREATE TABLE sa.t1 (id int, c text, CHECK (run_sql(c)));
	SELECT create_distributed_table('sa.t1', 'id');
	INSERT INTO sa.t1 VALUES (1, '$evil'), (2, '$evil'), (3, '$evil')});
attack('CHECK of a reference table', '0A000', qq{
	CREATE TABLE sa.t2 (id int, c text, CHECK (run_sql(c)));
	SELECT create_reference_table('sa.t2')});
attack('CHECK of a range table', '0A000', qq{
	CREATE TABLE sa.t3 (id int, c text, CHECK (run_sql(c)));
	SELECT create_distributed_table('sa.t3', 'id', 'range');
	SELECT cz_create_range_shard('sa.t3', '0', '10');
	INSERT INTO sa.t3 VALUES (1, '$evil')});
attack('function of an extension', '0A000', qq{
	CREATE TABLE sa.t4 (id int, c text, CHECK (dblink_exec(c, '$evil') <> ''));
	SELECT create_distributed_table('sa.t4', 'id');
	INSERT INTO sa.t4 SELECT i, '$somewhere' FROM generate_series(1, 4) i});
attack('built-in function', '0A000', q{
	CREATE TABLE sa.t5 (id int, CHECK (query_to_xml('CREATE ROLE evil', true, true, '') IS NOT NULL));
	SELECT create_distributed_table('sa.t5', 'id')});
attack('built-in function that reads tables', '0A000', q{
	CREATE TABLE sa.t6 (id int, c text, CHECK (table_to_xml('pg_authid', true, true, '')::text <> c));
	SELECT create_distributed_table('sa.t6', 'id')});
attack('own function', '0A000', qq{
	CREATE FUNCTION sa.f(x int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM run_sql(''$evil''); RETURN true; END';
	CREATE TABLE sa.t7 (id int CHECK (sa.f(id)));
	SELECT create_distributed_table('sa.t7', 'id')});
attack('generated column', '0A000', q{
	CREATE TABLE sa.t8 (id int, c text, g bool GENERATED ALWAYS AS (run_imm(c)) STORED);
	SELECT create_distributed_table('sa.t8', 'id')});
attack('index expression', '0A000', q{
	CREATE TABLE sa.t9 (id int, c text);
	CREATE INDEX ON sa.t9 (run_imm(c));
	SELECT create_distributed_table('sa.t9', 'id')});
attack('index predicate', '0A000', q{
	CREATE TABLE sa.t10 (id int, c text);
	CREATE INDEX ON sa.t10 (id) WHERE run_imm(c);
	SELECT create_distributed_table('sa.t10', 'id')});

note 'partition keys';
# a superuser's table has brought the function to the workers
$cluster->sql(q{CREATE TABLE trusted (k int, c text, CHECK (run_imm(c)), CHECK (run_sql(c)));
	SELECT create_distributed_table('trusted', 'k')});
attack('partition key', '0A000', qq{
	CREATE TABLE sa.p (k int, c text) PARTITION BY LIST (run_imm(c));
	CREATE TABLE sa.p1 PARTITION OF sa.p FOR VALUES IN (true);
	SELECT create_distributed_table('sa.p', 'k');
	INSERT INTO sa.p VALUES (1, '$evil')});
attack('partition key of a partition', '0A000', qq{
	CREATE TABLE sa.q (k int, c text) PARTITION BY LIST (k);
	CREATE TABLE sa.q1 PARTITION OF sa.q FOR VALUES IN (1) PARTITION BY LIST (run_imm(c));
	CREATE TABLE sa.q11 PARTITION OF sa.q1 FOR VALUES IN (true);
	SELECT create_distributed_table('sa.q', 'k');
	INSERT INTO sa.q VALUES (1, '$evil')});
as('alice', "CREATE TABLE sa.w (k int, c text) PARTITION BY LIST (k); SELECT create_distributed_table('sa.w', 'k')");
attack('partition key of a new partition', '0A000', qq{
	CREATE TABLE sa.w1 PARTITION OF sa.w FOR VALUES IN (1) PARTITION BY LIST (run_imm(c));
	CREATE TABLE sa.w11 PARTITION OF sa.w1 FOR VALUES IN (true);
	INSERT INTO sa.w VALUES (1, '$evil')});
attack('partition key of an attached table', '0A000', qq{
	CREATE TABLE sa.w2 (k int, c text) PARTITION BY LIST (run_imm(c));
	CREATE TABLE sa.w21 PARTITION OF sa.w2 FOR VALUES IN (true);
	ALTER TABLE sa.w ATTACH PARTITION sa.w2 FOR VALUES IN (2);
	INSERT INTO sa.w VALUES (2, '$evil')});
is($cluster->sql(q{
	CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
	CREATE TABLE halves (k int, v int) PARTITION BY LIST (half(v));
	CREATE TABLE halves1 PARTITION OF halves FOR VALUES IN (1);
	SELECT create_distributed_table('halves', 'k');
	INSERT INTO halves VALUES (1, 2), (2, 3);
	SELECT count(*) FROM halves}), "\n2", "a superuser's function in one is sent");

note 'types, operators, casts';
attack('domain', '0A000', qq{
	CREATE DOMAIN sa.d AS text CHECK (run_sql(VALUE));
	CREATE TABLE sa.u1 (id int, c sa.d);
	SELECT create_distributed_table('sa.u1', 'id');
	INSERT INTO sa.u1 VALUES (1, '$evil')});
attack('domain in an array in a composite type', '0A000', q{
	CREATE TYPE sa.comp AS (x int, d sa.d[]);
	CREATE TABLE sa.u2 (id int, c sa.comp[]);
	SELECT create_distributed_table('sa.u2', 'id')});
attack('domain over a domain', '0A000', q{
	CREATE DOMAIN sa.dd AS sa.d;
	CREATE TABLE sa.u3 (id int, c sa.dd);
	SELECT create_reference_table('sa.u3')});
attack('operator', '0A000', q{
	CREATE FUNCTION sa.op(text, text) RETURNS bool LANGUAGE sql AS 'SELECT run_sql($1)';
	CREATE OPERATOR sa.@@@ (FUNCTION = sa.op, LEFTARG = text, RIGHTARG = text);
	CREATE TABLE sa.u4 (id int, c text, CHECK (c OPERATOR(sa.@@@) 'x'));
	SELECT create_distributed_table('sa.u4', 'id')});
attack("operator of a superuser's function", '0A000', q{
	CREATE OPERATOR sa.!!! (FUNCTION = run_imm, RIGHTARG = text);
	CREATE TABLE sa.u5 (id int, c text, CHECK (OPERATOR(sa.!!!) c));
	SELECT create_distributed_table('sa.u5', 'id')});
attack('cast', '0A000', q{
	CREATE TYPE sa.t AS (q text);
	CREATE FUNCTION sa.cast(sa.t) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM run_sql($1.q); RETURN true; END';
	CREATE CAST (sa.t AS bool) WITH FUNCTION sa.cast(sa.t) AS IMPLICIT;
	CREATE TABLE sa.u6 (id int, c sa.t, CHECK (c::bool));
	SELECT create_distributed_table('sa.u6', 'id')});
attack('range type', '0A000', q{
	CREATE FUNCTION sa.diff(numeric, numeric) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM run_sql(''CREATE ROLE evil''); RETURN 1; END';
	CREATE TYPE sa.r AS RANGE (SUBTYPE = numeric, SUBTYPE_DIFF = sa.diff);
	CREATE TABLE sa.u7 (id int, c sa.r, CHECK (run_imm(lower(c)::text)));
	SELECT create_distributed_table('sa.u7', 'id')});

note 'changes of tables that are distributed';
my ($status, $out, $err) = as('alice', q{
	CREATE TABLE sa.a (id int, c text, n int CHECK (abs(n) < 100 AND c ~ '^C'), at timestamptz CHECK (at > '2000-01-01'::date),
		low text GENERATED ALWAYS AS (lower(c)) STORED);
	CREATE INDEX ON sa.a (upper(c)) WHERE length(c) > 0;
	SELECT create_distributed_table('sa.a', 'id');
	CREATE TABLE sa.ext (id int, c citext CHECK (c <> 'bad'));
	CREATE INDEX ON sa.ext (upper(c::text)) WHERE c <> 'x';
	SELECT create_distributed_table('sa.ext', 'id');
	INSERT INTO sa.a (id, c, n) SELECT i, 'CREATE ROLE evil' || i || ' SUPERUSER', i FROM generate_series(1, 5) i;
	INSERT INTO sa.ext VALUES (1, 'good');
	INSERT INTO sa.ext VALUES (2, 'Bad')});
like($err, qr/ERROR:  23514/, 'what is built in or of an extension may be used, and works');
is($cluster->sql("SELECT count(*), max(low) FROM sa.a"), '5|create role evil5 superuser', 'the rows are there');

attack('ADD COLUMN with a CHECK', '0A000',
	q{ALTER TABLE sa.a ADD COLUMN x1 int DEFAULT 1 CHECK (run_sql('CREATE ROLE evil'))});
attack('ADD COLUMN generated', '0A000', q{ALTER TABLE sa.a ADD COLUMN x2 bool GENERATED ALWAYS AS (run_imm(c)) STORED});
attack('ADD COLUMN of a domain', '0A000', q{ALTER TABLE sa.a ADD COLUMN x3 sa.d DEFAULT 'SELECT 1'});
attack('ADD COLUMN with a default', '42501', q{ALTER TABLE sa.a ADD COLUMN x4 bool DEFAULT run_imm('CREATE ROLE evil')});
attack('CREATE INDEX', '0A000', q{CREATE INDEX ON sa.a (run_imm(c))});
attack('CREATE INDEX with a predicate', '0A000', q{CREATE INDEX ON sa.a (id) WHERE run_imm(c)});
attack('ADD CONSTRAINT', '0A000', q{ALTER TABLE sa.a ADD CHECK (run_sql(c))});
attack('foreign table of a shard', '42501', q{
	DO $$BEGIN EXECUTE (SELECT format('ALTER FOREIGN TABLE cz_shards.%I OPTIONS (ADD table_name ''pg_authid'', ADD schema_name ''pg_catalog'')', relname)
		FROM pg_class WHERE relispartition AND relowner = 'alice'::regrole LIMIT 1); END$$});

note 'functions that are replaced';
$cluster->sql(<<'SQL');
CREATE FUNCTION sa.g(x int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE FUNCTION sa.h(x int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE TABLE pt (id int, CHECK (sa.g(id)));
CREATE DOMAIN pd AS int CHECK (sa.h(VALUE));
CREATE TABLE pt2 (id int, v pd);
GRANT INSERT ON pt, pt2 TO alice;
SELECT create_distributed_table('pt', 'id');
SELECT create_reference_table('pt2');
ALTER FUNCTION sa.g OWNER TO alice;
ALTER FUNCTION sa.h OWNER TO alice;
SQL
attack("CREATE OR REPLACE of a CHECK's function", '0A000', qq{
	CREATE OR REPLACE FUNCTION sa.g(x int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN EXECUTE ''$evil''; RETURN true; END';
	INSERT INTO pt VALUES (1)});
attack("CREATE OR REPLACE of a domain's function", '0A000', qq{
	CREATE OR REPLACE FUNCTION sa.h(x int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN EXECUTE ''$evil''; RETURN true; END';
	INSERT INTO pt2 VALUES (1, 1)});
attack('ALTER FUNCTION', '0A000', q{ALTER FUNCTION sa.g VOLATILE});
$cluster->sql(q{CREATE FUNCTION sa.own(x int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
	ALTER FUNCTION sa.own OWNER TO alice; CREATE TABLE pt3 (id int CHECK (sa.own(id)))});
($status, $out, $err) = $cluster->try_sql("SELECT create_distributed_table('pt3', 'id')");
like($err, qr/ERROR:  0A000.*sa\.own/, "a superuser's table does not take a plain role's function along");

note 'statements';
attack('SELECT', '42501', q{SELECT run_imm(c) FROM sa.a});
attack('WHERE', '42501', q{SELECT count(*) FROM sa.a WHERE run_imm(c)});
attack('GROUP BY, ORDER BY', '42501', q{SELECT run_imm(c) FROM sa.a GROUP BY 1 ORDER BY run_imm(min(c))});
attack('UPDATE', '(0A000|42501)', q{UPDATE sa.a SET n = n + run_imm(c)::int});
attack('DELETE', '(0A000|42501)', q{DELETE FROM sa.a WHERE run_imm(c)});
attack('INSERT', '42501', q{INSERT INTO sa.a (id, n) VALUES (1, run_sql('CREATE ROLE evil')::int)});
attack('RETURNING', '42501', q{INSERT INTO sa.a (id, c) VALUES (1, 'CREATE ROLE evil') RETURNING run_imm(c)});
attack('operator in a statement', '42501', q{SELECT * FROM sa.a WHERE OPERATOR(sa.!!!) c});
attack('cast in a statement', '42501', q{SELECT * FROM sa.a WHERE ROW(c)::sa.t::bool});
attack('domain in a statement', '42501', q{SELECT c::sa.d FROM sa.a});
attack('policy', '42501', q{
	ALTER TABLE sa.a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON sa.a USING (run_imm(c));
	SELECT * FROM sa.a});
as('alice', 'DROP POLICY IF EXISTS p ON sa.a; ALTER TABLE sa.a DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY');
attack('aggregate', '42501', q{
	CREATE AGGREGATE sa.agg(text) (SFUNC = run_step, STYPE = bool, COMBINEFUNC = booland_statefunc, PARALLEL = safe);
	SELECT sa.agg(c) FROM sa.a});
attack('aggregate that is distributed', '0A000', q{SELECT cz_distribute_aggregate('sa.agg(text)'); SELECT sa.agg(c) FROM sa.a});

# not undone with the transaction
attack('initial state of a distributed aggregate', '0A000', qq{
	CREATE FUNCTION sa.sly(q text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN
		IF current_user = ''postgres'' THEN EXECUTE q; END IF; RETURN true; END';
	CREATE DOMAIN sa.sly_d AS text CHECK (sa.sly(VALUE));
	CREATE TYPE sa.sly_t AS (d sa.sly_d);
	CREATE FUNCTION sa.sly_step(sa.sly_t, sa.sly_t) RETURNS sa.sly_t IMMUTABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT \$1';
	CREATE AGGREGATE sa.sly_agg(sa.sly_t) (SFUNC = sa.sly_step, STYPE = sa.sly_t, COMBINEFUNC = sa.sly_step, PARALLEL = safe,
		INITCOND = '("COPY (SELECT 1) TO ''$file''")');
	SELECT cz_distribute_aggregate('sa.sly_agg(sa.sly_t)')});

note 'who may execute what';
$cluster->sql('REVOKE EXECUTE ON FUNCTION md5(text) FROM PUBLIC; REVOKE EXECUTE ON FUNCTION numeric_add(numeric, numeric) FROM PUBLIC');
attack('function that not everybody may execute', '42501', q{SELECT md5(c) FROM sa.a});
attack('the same in a CHECK', '0A000', q{
	CREATE TABLE sa.m (id int, c text CHECK (md5(c) <> 'x'));
	SELECT create_distributed_table('sa.m', 'id')});
attack('the same in an index', '0A000', q{CREATE INDEX ON sa.a (md5(c))});
attack('the same in an aggregate', '0A000', q{
	CREATE AGGREGATE sa.total(numeric) (SFUNC = numeric_mul, STYPE = numeric, COMBINEFUNC = numeric_mul, INITCOND = '1', PARALLEL = safe);
	CREATE TABLE sa.n (id int, g numeric GENERATED ALWAYS AS (id::numeric + 1) STORED);
	SELECT create_distributed_table('sa.n', 'id')});
$cluster->sql('GRANT EXECUTE ON FUNCTION md5(text) TO PUBLIC; GRANT EXECUTE ON FUNCTION numeric_add(numeric, numeric) TO PUBLIC');

note 'an extension of her own';
$cluster->sql('GRANT CREATE ON DATABASE postgres TO alice');
attack('a function that she adds to it', '0A000', qq{
	CREATE EXTENSION pgcrypto SCHEMA sa;
	CREATE FUNCTION sa.mine(q text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM public.run_sql(q); RETURN true; END';
	ALTER EXTENSION pgcrypto ADD FUNCTION sa.mine(text);
	CREATE TABLE sa.e (id int, c text CHECK (sa.mine(c)));
	SELECT create_distributed_table('sa.e', 'id')});

note 'roles with mappings of their own';
for my $i (1 .. 2)
{
	my $server = $cluster->server_name($i);
	$cluster->worker_sql($i, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT CREATE ON DATABASE postgres TO alice, bob; CREATE SCHEMA sb; GRANT ALL ON SCHEMA sb TO PUBLIC; GRANT ALL ON SCHEMA sa TO PUBLIC');
	$cluster->sql("CREATE USER MAPPING FOR alice SERVER $server OPTIONS (user 'alice', password_required 'false')");
}
attack('own mapping beside the one for PUBLIC', '0A000', qq{
	CREATE TABLE sa.o1 (id int, c text, CHECK (run_sql(c)));
	SELECT create_distributed_table('sa.o1', 'id')});
$cluster->sql('CREATE ROLE bob LOGIN; CREATE SCHEMA sb AUTHORIZATION bob; GRANT USAGE ON SCHEMA sb TO alice; GRANT USAGE ON SCHEMA sa TO bob');
for my $i (1 .. 2)
{
	my $server = $cluster->server_name($i);
	$cluster->sql("DROP USER MAPPING FOR PUBLIC SERVER $server;
		CREATE USER MAPPING FOR postgres SERVER $server OPTIONS (user 'postgres');
		CREATE USER MAPPING FOR bob SERVER $server OPTIONS (user 'bob', password_required 'false')");
}
attack('own function, run as herself', '42501', qq{
	CREATE FUNCTION sa.run_own(q text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN EXECUTE q; RETURN true; END';
	CREATE TABLE sa.o2 (id int, c text, CHECK (sa.run_own(c)));
	SELECT create_distributed_table('sa.o2', 'id');
	INSERT INTO sa.o2 VALUES (1, 'SELECT 1');
	INSERT INTO sa.o2 VALUES (1, '$evil')});
is($cluster->sql('SELECT c FROM sa.o2'), 'SELECT 1', 'with a mapping of her own she may use functions of her own');
($status, $out, $err) = as('alice', qq{
	CREATE TABLE sa.o3 (id int, t sa.sly_t);
	SELECT create_distributed_table('sa.o3', 'id');
	SET cz.check_fragments = on;
	SELECT count(*) FROM sa.o3 WHERE t = '("COPY (SELECT 1) TO ''$file''")'::sa.sly_t});
is($out, "\n0", 'a literal in a fragment') or diag($err);
is(evil(), '', 'is not read as a superuser when texts are checked');
($status, $out, $err) = as('bob', q{
	CREATE TABLE sb.t (id int, c text, CHECK (sa.run_own(c)));
	GRANT INSERT ON sb.t TO alice;
	SELECT create_distributed_table('sb.t', 'id')});
is($status, 0, "bob's table uses a function of hers") or diag($err);
attack('SECURITY DEFINER would make it his', '0A000', 'ALTER FUNCTION sa.run_own SECURITY DEFINER');

$cluster->stop;
done_testing();
