# CzCluster.pm
#	  A coordinator and vanilla workers for TAP tests: a thin layer on
#	  PostgreSQL::Test::Cluster, plus ways to make a worker fail.
#
# The coordinator runs from the private prefix (CZ_PREFIX_BIN), workers from the
# system's PostgreSQL, or from those of other majors (CZ_WORKER_BINS, CZ_WORKER_MAJORS: see
# test/bin/common.sh).  Everything is on TCP, so that a proxy can stand between.
package CzCluster;

use strict;
use warnings;

use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Majors of PostgreSQL that workers can be made of, beside the system's; and where a major's
# programs are ('': the system's)
sub other_majors
{
	return sort { $a <=> $b } map { (split /=/)[0] } split ' ', $ENV{CZ_WORKER_BINS} // '';
}

sub bin_of
{
	my ($major) = @_;
	my %bins = map { split /=/, $_, 2 } split ' ', $ENV{CZ_WORKER_BINS} // '';
	return $bins{$major} // $ENV{CZ_BINDIR};
}

# new(workers => 3, majors => [18], of which they are in turn, conf => 'more settings of the coordinator', worker_conf => 'of the workers', proxied => [2])
# name: of a second cluster of a test: what its servers' names begin with
# proxied: numbers of workers that the coordinator reaches through a proxy
# liars: the same, through one that changes what the worker says
sub new
{
	my ($class, %args) = @_;
	my $self = bless { workers => [], proxies => {}, handles => [] }, $class;
	my $count = $args{workers} // 3;
	my @majors = @{ $args{majors} // [split ' ', $ENV{CZ_WORKER_MAJORS} // ''] };
	@majors = ('') unless @majors;

	my $name = $args{name} // '';
	$self->{coordinator} = PostgreSQL::Test::Cluster->new("${name}coordinator",
		install_path => dirname($ENV{CZ_PREFIX_BIN}));
	$self->_init_node($self->{coordinator}, 0);
	$self->{coordinator}->append_conf('postgresql.conf',
		"shared_preload_libraries = 'cz_fdw'\ncz.auto_analyze = off\ncz.health_interval = -1\n" . ($args{conf} // ''));
	$self->{coordinator}->start;
	for my $i (1 .. $count)
	{
		my $worker = PostgreSQL::Test::Cluster->new("${name}worker$i",
			install_path => dirname(bin_of($majors[($i - 1) % @majors])));
		$self->_init_node($worker, $i);
		$worker->append_conf('postgresql.conf', $args{worker_conf} // '');
		$worker->start;
		push @{ $self->{workers} }, $worker;
	}
	$self->_start_proxy($_, 'proxy.pl', $self->_signal_file($_)) foreach @{ $args{proxied} // [] };
	foreach my $i (@{ $args{liars} // [] })
	{
		$self->lie($i, 'none');
		$self->_start_proxy($i, 'liar.pl', $self->_lies_of($i));
	}

	$self->sql('CREATE EXTENSION cz_fdw');
	for my $i (1 .. $count)
	{
		$self->sql("SELECT citus_add_node('127.0.0.1', " . $self->port($i) . ")");
	}
	return $self;
}

# Is a data directory of the major of a node's programs?
sub _is_of_major
{
	my ($dir, $node) = @_;
	my ($of_dir) = PostgreSQL::Test::Utils::slurp_file("$dir/PG_VERSION") =~ /(\d+)/;
	my ($of_node) = "$node->{_pg_version}" =~ /(\d+)/;
	return $of_dir == $of_node;
}

sub _init_node
{
	my ($self, $node, $i) = @_;
	my $template = ($ENV{CZ_TEMPLATES} // '') . '/' . ($i // 'none');
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	{
		# each has a template of its own, so that their system identifiers differ
		no warnings 'redefine';
		local *PostgreSQL::Test::Utils::system_or_bail = sub {
			return $run->(@_) if $_[0] ne 'initdb' || !-d $template || !_is_of_major($template, $node);
			return $run->('cp', '-RPp', $template, $node->data_dir);
		};
		$node->init(extra => [ '-U', 'postgres', '--locale=C', '-E', 'UTF8' ]);
	}
	$node->append_conf('postgresql.conf', q{
listen_addresses = '127.0.0.1'
max_prepared_transactions = 50
max_connections = 80
fsync = off
autovacuum = off
log_statement = none
timezone = 'UTC'
});
}

# Another server, which the coordinator is not told of; its number among the workers.
# major: of PostgreSQL; the system's without it
sub add_server
{
	my ($self, %args) = @_;
	my $n = @{ $self->{workers} } + 1;
	my $node = PostgreSQL::Test::Cluster->new('server' . ++$self->{nservers}, install_path => dirname(bin_of($args{major} // '')));
	$self->_init_node($node);
	$node->append_conf('postgresql.conf', $args{conf} // '');
	$node->start;
	push @{ $self->{workers} }, $node;
	return $n;
}

# A streaming standby of worker $i, which needs worker_conf for that; its number among the workers.
# conf: more settings
sub add_standby
{
	my ($self, $i, %args) = @_;
	my $n = @{ $self->{workers} } + 1;
	my $primary = $self->worker($i);
	my $node = PostgreSQL::Test::Cluster->new('standby' . ++$self->{nstandbys}, install_path => $primary->{_install_path});
	mkdir $node->basedir unless -d $node->basedir;
	PostgreSQL::Test::Utils::system_or_bail("$ENV{CZ_BINDIR}/pg_basebackup", '-R', '-D', $node->data_dir, '-c', 'fast',
		'-X', 'stream', '-h', '127.0.0.1', '-p', $primary->port, '-U', 'postgres');
	$node->append_conf('postgresql.conf', "port = " . $node->port . "\nunix_socket_directories = '" . $node->host . "'\n" . ($args{conf} // ''));
	$node->start;
	# it may be up for some time before it streams, and is no clone until then
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
	  or die 'the standby does not stream';
	push @{ $self->{workers} }, $node;
	return $n;
}

# A node that is no worker any more: the last one, or one that runs no more
sub drop_standby
{
	my ($self, $n) = @_;
	my $node = $self->worker($n);
	$node->stop('immediate', fail_ok => 1) if $node->{_pid};
	splice @{ $self->{workers} }, $n - 1, 1;
	PostgreSQL::Test::Utils::system_log('rm', '-rf', $node->data_dir);
	return;
}

sub coordinator { return $_[0]{coordinator}; }
sub worker { return $_[0]{workers}[ $_[1] - 1 ]; }
sub worker_count { return scalar @{ $_[0]{workers} }; }

# The port at which the coordinator reaches worker $i
sub port
{
	my ($self, $i) = @_;
	return $self->{proxies}{$i} ? $self->{proxies}{$i}{port} : $self->worker($i)->port;
}

# Name of the foreign server that is worker $i
sub server_name
{
	my ($self, $i) = @_;
	my $port = $self->port($i);
	return $self->sql(
		"SELECT srvname FROM pg_foreign_server WHERE 'port=$port' = ANY (srvoptions)");
}

# Run SQL on the coordinator; dies on an error
sub sql
{
	my ($self, $sql) = @_;
	return $self->coordinator->safe_psql('postgres', $sql, extra_params => [ '-U', 'postgres' ]);
}

# Run SQL on the coordinator: (exit status, output, messages); 3 is an SQL error
sub try_sql
{
	my ($self, $sql, %args) = @_;
	my $handle = $self->start_sql($sql);
	return $self->finish_sql($handle, $args{timeout} // 120);
}

sub worker_sql
{
	my ($self, $i, $sql) = @_;
	return $self->worker($i)->safe_psql('postgres', $sql, extra_params => [ '-U', 'postgres' ]);
}

# Start SQL in a psql of its own
sub start_sql
{
	my ($self, $sql) = @_;
	my $handle = { out => '', err => '', started => time };
	# from a file: IPC::Run would keep a pipe open until finish()
	my $file = PostgreSQL::Test::Utils::tempdir() . '/input.sql';
	PostgreSQL::Test::Utils::append_to_file($file, $sql);
	$handle->{run} = IPC::Run::start(
		[
			"$ENV{CZ_BINDIR}/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-h', '127.0.0.1', '-p', $self->coordinator->port, '-U', 'postgres', 'postgres', '-f', $file
		],
		'<', \undef, '>', \$handle->{out}, '2>', \$handle->{err});
	push @{ $self->{handles} }, $handle;
	return $handle;
}

# Start SQL that stops at a debug point, and wait until it is there; go() lets it go on
sub start_at
{
	my ($self, $point, $sql, $name) = @_;
	my $reached = $self->coordinator->data_dir . '/' . ($name // 'go') . '.reached';
	unlink $reached;
	my $handle = $self->start_sql("SET cz.debug_point = '$point=wait:" . ($name // 'go') . "'; $sql");
	my $end = time + 120;
	while (!-e $reached)
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		die "debug point $point was not reached: $handle->{out} $handle->{err}"
		  if time > $end || !$handle->{run}->pumpable;
		sleep 0.02;
	}
	return $handle;
}

# The server is back after a crash: it answers the query
sub wait_for_server
{
	my ($self, $sql) = @_;
	my $end = time + 60;
	while (time < $end)
	{
		return 1 if ($self->try_sql($sql))[0] == 0;
		sleep 0.2;
	}
	return 0;
}

# A statement that moves shards meets a death at a debug point: kill (of the process, with it the
# server starts anew), error, terminate, or the number of a worker that is killed and started
# again.  meanwhile: called while the point is held.
sub die_at
{
	my ($self, $point, $death, $sql, $meanwhile) = @_;
	if ($death eq 'kill' || $death eq 'error')
	{
		$self->try_sql("SET cz.debug_point = '$point=$death'; $sql");
		return;
	}
	my $handle = $self->start_at($point, $sql);
	$meanwhile->() if $meanwhile;
	if ($death eq 'terminate')
	{
		$self->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'cz_fdw move'");
	}
	else
	{
		$self->kill_worker($death);
		$self->go;
		$self->finish_sql($handle, 5);
		$self->restart_worker($death);
	}
	$self->finish_sql($handle, 30);
	return;
}

sub go
{
	my ($self, $name) = @_;
	my $file = $self->coordinator->data_dir . '/' . ($name // 'go');
	PostgreSQL::Test::Utils::append_to_file($file, '');
	my $end = time + 120;
	sleep 0.02 while -e "$file.reached" && time < $end;
	unlink $file;
	return;
}

# Wait for it: (exit status, output, messages, seconds); status -1: no end within $timeout
sub finish_sql
{
	my ($self, $handle, $timeout) = @_;
	my $end = time + ($timeout // 120);
	while ($handle->{run}->pumpable && time < $end)
	{
		$handle->{run}->pump_nb;
		sleep 0.02;
	}
	my $seconds = time - $handle->{started};
	my $status = -1;
	if ($handle->{run}->pumpable)
	{
		$handle->{run}->kill_kill(grace => 2);
	}
	else
	{
		$handle->{run}->finish;
		$status = $handle->{run}->result(0);
	}
	chomp $handle->{out};
	return ($status, $handle->{out}, $handle->{err}, $seconds);
}

# Start SQL in a psql that stops between $first and $rest, and wait until it is there;
# go_on() lets it go on
sub start_halting
{
	my ($self, $first, $rest) = @_;
	my $stem = PostgreSQL::Test::Utils::tempdir() . '/halt';
	my $handle = $self->start_sql("$first\n\\! touch $stem.there; while [ ! -e $stem.go ]; do sleep 0.05; done\n$rest\n");
	my $end = time + 120;
	$handle->{stem} = $stem;
	while (!-e "$stem.there")
	{
		$handle->{run}->pump_nb if $handle->{run}->pumpable;
		die "psql did not halt: $handle->{out} $handle->{err}" if time > $end || !$handle->{run}->pumpable;
		sleep 0.02;
	}
	return $handle;
}

sub go_on
{
	my ($self, $handle) = @_;
	PostgreSQL::Test::Utils::append_to_file("$handle->{stem}.go", '');
	return;
}

sub _pids
{
	my ($self, $i) = @_;
	return _node_pids($self->worker($i));
}

sub _node_pids
{
	my ($node) = @_;
	my $file = $node->data_dir . '/postmaster.pid';
	open my $fh, '<', $file or return ();
	my $pid = <$fh>;
	chomp $pid;
	return ($pid, split ' ', `pgrep -P $pid`);
}

# Stop all processes of a server.  The postmaster first: what it starts in between nobody would stop.
sub _freeze_node
{
	my ($node) = @_;
	my ($postmaster) = _node_pids($node);
	return () if !defined $postmaster;
	kill 'STOP', $postmaster;
	my (undef, @children) = _node_pids($node);
	kill 'STOP', @children;
	return ($postmaster, @children);
}

# SIGKILL to all processes of a server, as a power cut: none does anything after the death of another
# (backends are told of the postmaster's by a signal)
sub _kill_node
{
	my ($node) = @_;
	kill 'KILL', _freeze_node($node);
	# PostgreSQL::Test::Cluster must not think that it still runs
	$node->{_pid} = undef;
	sleep 0.3;
	# a process that nobody has waited for yet still counts as running for pg_ctl
	unlink $node->data_dir . '/postmaster.pid', glob($node->host . '/.s.PGSQL.' . $node->port . '*');
	return;
}

sub kill_worker { my ($self, $i) = @_; return _kill_node($self->worker($i)); }

sub kill_coordinator { my ($self) = @_; return _kill_node($self->coordinator); }

# A new network for the old data
sub restart_worker
{
	my ($self, $i) = @_;
	$self->worker($i)->start;
	return;
}

# A worker that was restarted is found to be back: the next statement uses it, however slow the machine.
# $node: another coordinator, which has to find it
sub await_workers
{
	my ($self, $node) = @_;
	return ($node // $self->coordinator)->poll_query_until('postgres',
		'SELECT bool_and(result) FROM citus_check_cluster_node_health()');
}

sub freeze_worker { my ($self, $i) = @_; _freeze_node($self->worker($i)); return; }

sub thaw_worker { my ($self, $i) = @_; kill 'CONT', $self->_pids($i); return; }

sub _start_proxy
{
	my ($self, $i, $script, @args) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		exec $^X, dirname(__FILE__) . "/$script", $port, $self->worker($i)->port, @args
		  or die "exec: $!";
	}
	$self->{proxies}{$i} = { port => $port, pid => $pid };
	for (1 .. 600)
	{
		last if system("bash -c 'exec 3<>/dev/tcp/127.0.0.1/$port' 2>/dev/null") == 0;
		sleep 0.05;
	}
	return;
}

sub _lies_of
{
	my ($self, $i) = @_;
	$self->{lies} //= PostgreSQL::Test::Utils::tempdir();
	return "$self->{lies}/$i";
}

# From now on worker $i (of liars) answers so to texts that match; see liar.pl
sub lie
{
	my ($self, $i, $kind, $pattern) = @_;
	my $file = $self->_lies_of($i);
	open my $fh, '>', "$file.new" or die "$file: $!";
	print $fh "$kind " . ($pattern // '.') . "\n";
	close $fh;
	rename "$file.new", $file or die "$file: $!";
	return;
}

# The file that a worker's proxy removes when it has done what it was told
sub _signal_file
{
	my ($self, $i) = @_;
	$self->{signals} //= PostgreSQL::Test::Utils::tempdir();
	return "$self->{signals}/$i";
}

# Tell a worker's proxy, and wait until it has done it; the same as a command of the shell
sub signal_proxy
{
	my ($self, $i, $signal) = @_;
	system($self->proxy_command($i, $signal)) == 0 or die "the proxy of worker $i does not answer";
	return;
}

sub proxy_command
{
	my ($self, $i, $signal) = @_;
	my $file = $self->_signal_file($i);
	return "touch $file; kill -$signal $self->{proxies}{$i}{pid}; for t in \$(seq 1200); do test -e $file || break; sleep 0.05; done; test ! -e $file";
}

# Packets to and from a proxied worker vanish / flow again / connections are reset / the next new
# connection is held up for five seconds; for that, await_held()
sub cut_worker { my ($self, $i) = @_; $self->signal_proxy($i, 'USR1'); return; }
sub heal_worker { my ($self, $i) = @_; $self->signal_proxy($i, 'USR2'); return; }
sub reset_worker { my ($self, $i) = @_; $self->signal_proxy($i, 'HUP'); return; }

sub hold_next_connection
{
	my ($self, $i) = @_;
	PostgreSQL::Test::Utils::append_to_file($self->_signal_file($i), '');
	kill 'WINCH', $self->{proxies}{$i}{pid};
	return;
}

sub await_held
{
	my ($self, $i) = @_;
	my $end = time + 120;
	sleep 0.02 while -e $self->_signal_file($i) && time < $end;
	return !-e $self->_signal_file($i);
}

# Settings of a server that is running, from the coordinator's configuration: "SET name = 'value'",
# "RESET name".  Sessions that begin from now on have them.
sub alter_system
{
	my ($self, @settings) = @_;
	$self->sql("ALTER SYSTEM $_") foreach @settings;
	$self->reload_node($self->coordinator);
	return;
}

# The same of what stands in a server's postgresql.conf
sub reload_node
{
	my ($self, $node) = @_;
	my $as = [ '-U', 'postgres' ];
	my $begun = $node->safe_psql('postgres', 'SELECT clock_timestamp()', extra_params => $as);
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()', extra_params => $as);
	my $end = time + 120;
	while ($node->safe_psql('postgres', "SELECT pg_conf_load_time() >= '$begun'", extra_params => $as) ne 't')
	{
		die 'the server does not read its configuration' if time > $end;
		sleep 0.02;
	}
	return;
}

# Start a transaction that runs $sql and then stays open; when it is there, a handle for
# release() comes back.
sub hold
{
	my ($self, $sql) = @_;
	my $name = 'holder' . ++$self->{nholders};
	my $handle = $self->start_sql("SET application_name = '$name'; BEGIN; $sql; "
		  . 'DO $$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END $$; COMMIT');
	$handle->{name} = $name;
	$self->coordinator->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event = 'PgSleep'");
	return $handle;
}

# Let it commit: (exit status, output, messages)
sub release
{
	my ($self, $handle) = @_;
	$self->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = '$handle->{name}'");
	return $self->finish_sql($handle, 60);
}

# The smallest key in a table whose shard has its first placement on worker $i
sub key_on
{
	my ($self, $i, $table) = @_;
	my $port = $self->port($i);
	return $self->sql("SELECT min(k) FROM $table WHERE get_shard_id_for_distribution_column('$table', k) IN "
		  . "(SELECT shard_id FROM cz.shard_list() s JOIN pg_foreign_table f ON f.ftrelid = s.shard_relid "
		  . "JOIN pg_foreign_server v ON v.oid = f.ftserver WHERE 'port=$port' = ANY (v.srvoptions) AND s.relid = '$table'::regclass)");
}

# The shards (also the copies of reference tables) whose placements differ; each worker's ledger of
# objects is its own.  used => 1: only of placements that statements use.
sub differing_placements
{
	my ($self, %args) = @_;
	my (%seen, %differs, %used);
	%used = map { $_ => 1 } split /\n/, $self->sql(q{SELECT DISTINCT nodeport || ' ' || shard_name
			FROM cz.placement_list() p JOIN cz.shard_list() USING (shard_id) JOIN cz.worker_list() USING (server_oid)
			WHERE shard_state = 1})
	  if $args{used};
	die 'no placement is used' if $args{used} && !%used;
	foreach my $i (1 .. $self->worker_count)
	{
		next if $self->worker_sql($i, 'SELECT pg_is_in_recovery()') eq 't';
		my @tables = split /\n/, $self->worker_sql($i,
			"SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'cz_shards' AND relkind = 'r' AND relname <> 'cz_object'");
		next unless @tables;
		my $query = join ' UNION ALL ',
		  map { qq{SELECT '$_', count(*), sum(hashtextextended((s.*)::text, 0)::numeric) FROM cz_shards."$_" s} } @tables;
		foreach my $line (split /\n/, $self->worker_sql($i, $query))
		{
			my ($table, $sum) = split /\|/, $line, 2;
			next if $args{used} && !$used{ $self->port($i) . ' ' . $table };
			$differs{$table} = 1 if defined $seen{$table} && $seen{$table} ne $sum;
			$seen{$table} = $sum;
		}
	}
	return join ',', sort keys %differs;
}

# Make placements whole that have missed writes; false if some are not after a while
sub repair
{
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // 60);
	my $left = '';
	while (time < $end)
	{
		$self->try_sql('SELECT cz_repair_placements()');
		$left = $self->sql(q{SELECT count(*) FROM pg_dist_placement WHERE shardstate <> 1});
		return 1 if $left eq '0';
		sleep 0.2;
	}
	diag("$left placements are inactive");
	return 0;
}

# After a failure: what was open is decided, placements are whole and equal (three tests)
sub is_settled
{
	my ($self, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($self->wait_for_recovery, "$name: nothing is left prepared");
	ok($self->repair, "$name: all placements are active");
	is($self->differing_placements, '', "$name: and equal");
	return;
}

# What a user sees of a table: columns, constraints, indexes, storage, rows
sub table_look
{
	my ($self, $table) = @_;
	return $self->sql(qq{
		SELECT attname, atttypid::regtype, attnotnull, attisdropped FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 ORDER BY attnum;
		SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '$table'::regclass ORDER BY 1;
		SELECT relname, relkind, relam, relfilenode <> 0 FROM pg_class WHERE oid = '$table'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '$table'::regclass) ORDER BY 1;
		SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM $table t});
}

# How many tables of schema cz_shards a worker has
sub shard_tables
{
	my ($self, $i) = @_;
	return $self->worker_sql($i,
		"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
		  . "WHERE nspname = 'cz_shards' AND relkind = 'r' AND relname <> 'cz_object'");
}

# What stands in schema cz_shards on workers and belongs to no placement; waits for clean-up.
# Standbys have what their primaries have.
sub orphans
{
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // 60);
	my @left;
	while (1)
	{
		# shards, and those of partitions, by the workers' ports
		my %known = map { $_ => 1 } split /\n/, $self->sql(q{
			SELECT w.nodeport || ' cz_shards.' || coalesce(pt.name || '_' || pt.shard_ids[s.shard_index + 1], replace(trim(both '"' from split_part(s.shard_name, '.', 2)), '""', '"'))
			FROM cz.placement_list() p JOIN cz.worker_list() w USING (server_oid) JOIN cz.shard_list() s USING (shard_id)
			LEFT JOIN LATERAL (SELECT name, shard_ids FROM cz.partitions x WHERE x.root = s.relid UNION ALL SELECT NULL, NULL) pt ON true});
		@left = ();
		foreach my $i (1 .. $self->worker_count)
		{
			my $port = $self->port($i);
			next if $self->worker_sql($i, 'SELECT pg_is_in_recovery()') eq 't';
			push @left, map { "node $i: $_" } grep { !$known{"$port $_"} } split /\n/, $self->worker_sql($i, q{
				SELECT 'cz_shards.' || relname FROM pg_class WHERE relnamespace = to_regnamespace('cz_shards') AND relkind IN ('r', 'p') AND relname <> 'cz_object' AND relname <> 'cz_node'
				UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace('cz_shards') AND proname LIKE 'cz\_m%'
				UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE '%cz\_%' AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('cz_shards'))
				UNION ALL SELECT 'comment of ' || objoid::regclass FROM pg_description WHERE classoid = 'pg_class'::regclass AND description LIKE 'cz_fdw %'});
		}
		last if !@left || time > $end;
		sleep 0.3;
	}
	return join ', ', sort @left;
}

# Wait until no worker has a prepared transaction
sub wait_for_recovery
{
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // 60);
	my $left = '';
	while (time < $end)
	{
		$left = join ',',
		  grep { $_ }
		  map { $self->worker_sql($_, 'SELECT gid FROM pg_prepared_xacts') } 1 .. $self->worker_count;
		return 1 if $left eq '';
		$self->try_sql('SELECT recover_prepared_transactions()');
		sleep 0.5;
	}
	diag("prepared transactions left: $left");
	return 0;
}

sub stop
{
	my ($self) = @_;
	kill 'KILL', map { $_->{pid} } values %{ $self->{proxies} };
	$self->{proxies} = {};
	foreach my $node (@{ $self->{workers} }, $self->{coordinator})
	{
		$node->stop('immediate', fail_ok => 1) if $node && $node->{_pid};
	}
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	kill 'KILL', map { $_->{pid} } values %{ $self->{proxies} };
	return;
}

1;
