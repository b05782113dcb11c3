# Without shared_preload_libraries nothing of the extension runs: it can't be created, and
# where it was created before the setting was taken away, its functions and foreign tables
# say what to do; plain tables go on working.
use strict;
use warnings;
use CzCluster;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('alone', install_path => dirname($ENV{CZ_PREFIX_BIN}));
$node->init(extra => [ '-U', 'postgres', '--locale=C', '-E', 'UTF8' ]);
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nfsync = off\n");
$node->start;

sub fails_without_preload
{
	my ($sql, $name) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', 'postgres' ]);
	like($err, qr/ERROR:  55000: cz_fdw must be loaded via shared_preload_libraries/, $name);
	like($err, qr/HINT: .*shared_preload_libraries = 'cz_fdw' to postgresql\.conf/, "$name: hint");
}

fails_without_preload('CREATE EXTENSION cz_fdw;', 'CREATE EXTENSION');
fails_without_preload("LOAD 'cz_fdw';", 'LOAD');
fails_without_preload('CREATE SCHEMA cz_shards; CREATE EXTENSION cz_fdw;', 'before anything else');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cz_fdw'\n");
$node->restart;
$node->safe_psql('postgres', q{
	DROP SCHEMA cz_shards;
	CREATE EXTENSION cz_fdw;
	CREATE SERVER s FOREIGN DATA WRAPPER cz_fdw OPTIONS (host '127.0.0.1');
	CREATE FOREIGN TABLE t (a int) SERVER s;
	CREATE TABLE plain (a int);
}, extra_params => [ '-U', 'postgres' ]);

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
fails_without_preload('SELECT * FROM t;', 'a foreign table');
fails_without_preload('INSERT INTO t VALUES (1);', 'a write');
fails_without_preload("CREATE SERVER s2 FOREIGN DATA WRAPPER cz_fdw OPTIONS (host 'x');", 'a server');
fails_without_preload("SELECT citus_add_node('127.0.0.1', 1);", 'a function');
fails_without_preload("SELECT create_distributed_table('plain', 'a');", 'distribution');
is($node->safe_psql('postgres', 'INSERT INTO plain VALUES (1); SELECT * FROM plain;',
		extra_params => [ '-U', 'postgres' ]), '1', 'plain tables work');

$node->stop;
done_testing();
