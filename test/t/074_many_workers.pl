# More workers than one remembers: a worker that was found to have nothing unfinished is not asked
# again, however many others there are.
use strict;
use warnings;
use CzCluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $cluster = CzCluster->new(workers => 1, worker_conf => "log_statement = all\n", conf => "cz.recovery_interval = -1\n");
my $port = $cluster->port(1);
my ($n, $at_once) = (600, 50);

$cluster->worker_sql(1, 'CREATE TABLE one (i int); INSERT INTO one VALUES (1)');
$cluster->sql(qq{
CREATE ROLE app LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER cz_fdw TO app;
GRANT CREATE ON SCHEMA public TO app;
SET ROLE app;
DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
	EXECUTE format('CREATE SERVER s_%s FOREIGN DATA WRAPPER cz_fdw OPTIONS (host %L, port %L, dbname %L)', i, '127.0.0.1', $port, 'postgres');
	RESET ROLE;
	EXECUTE format('CREATE USER MAPPING FOR app SERVER s_%s OPTIONS (user %L, password_required %L)', i, 'postgres', 'false');
	EXECUTE format('CREATE USER MAPPING FOR postgres SERVER s_%s OPTIONS (user %L, password_required %L)', i, 'postgres', 'false');
	SET ROLE app;
	EXECUTE format('CREATE FOREIGN TABLE f_%s (i int) SERVER s_%s OPTIONS (schema_name %L, table_name %L)', i, i, 'public', 'one');
END LOOP; END \$\$});

# Ask each server once, a session a few of them; how often somebody has looked for prepared
# transactions there
sub looks
{
	my $offset = -s $cluster->worker(1)->logfile;
	for (my $i = 1; $i <= $n; $i += $at_once)
	{
		my $last = $i + $at_once - 1;
		$cluster->sql("SET SESSION AUTHORIZATION app; DO \$\$ BEGIN FOR i IN $i .. $last LOOP EXECUTE format('SELECT count(*) FROM f_%s', i); END LOOP; END \$\$");
	}
	return scalar(() = slurp_file($cluster->worker(1)->logfile, $offset) =~ /FROM pg_catalog\.pg_prepared_xacts/g);
}

my $first = looks();
cmp_ok($first, '>=', $n, "each of $n servers is looked at before its first use");
is(looks(), 0, 'and not again');

done_testing();
