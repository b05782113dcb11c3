# A client's only write of one placement is one message, and the worker commits it by itself:
# only where it is all of the transaction, and whatever ends it, the client is told what
# has become of it.  In pairs: what is sent so, and what must not be; then errors, cancels,
# timeouts and lost workers while the worker has the command.
#
#   coordinator -- proxy -- worker1
#               -- worker2
use strict;
use warnings;
use CzCluster;
use IO::Socket::INET;
use Test::More;

my $cluster = CzCluster->new(
	workers => 2,
	proxied => [1],
	conf => "cz.shard_count = 4\ncz.shard_replication_factor = 1\ncz.recovery_interval = -1\n"
	  . "cz.log_remote_commands = on\ncz.worker_timeout = 2s\ncz.connect_timeout = 2s\n");
my $coordinator = $cluster->coordinator;
$cluster->sql(q{
	CREATE TABLE t (k int PRIMARY KEY, v int);
	SELECT create_distributed_table('t', 'k');
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE here (x int);
	CREATE FUNCTION writes_here(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO here VALUES ($1); RETURN $1; END $$;
	CREATE FUNCTION notifies(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_notify('c', 'x'); RETURN $1; END $$;
	CREATE FUNCTION updates(int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = v + 1 WHERE k = $1; END $$;
	CREATE FUNCTION updates_sql(int) RETURNS void LANGUAGE sql VOLATILE AS $$ UPDATE t SET v = v + 1 WHERE k = $1 $$;
	CREATE FUNCTION updates_by_cursor(int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE r record; n int := 0; BEGIN FOR r IN EXECUTE 'UPDATE t SET v = v + 1 WHERE k = ' || $1 || ' RETURNING v' LOOP n := n + r.v; END LOOP; RETURN n; END $$;
	CREATE FUNCTION computed_here(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1; END $$;
	CREATE PROCEDURE updates_twice(int) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = v + 1 WHERE k = $1; UPDATE t SET v = v + 1 WHERE k = $1; END $$;
});

# A key on worker 1, whose shard is this
my ($key, $shard) = split /\|/, $cluster->sql(q{
	SELECT k, 't_' || get_shard_id_for_distribution_column('t', k) FROM generate_series(1, 100) k
	WHERE (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = get_shard_id_for_distribution_column('t', k)) = }
	  . $cluster->port(1) . ' ORDER BY 1 LIMIT 1');

sub value { return $cluster->sql("SELECT v FROM t WHERE k = " . ($_[0] // $key)); }

# First words of the commands that workers get while something happens, but for reads
sub commands_of
{
	my ($action) = @_;
	my $offset = -s $coordinator->logfile;
	$action->();
	my $log = PostgreSQL::Test::Utils::slurp_file($coordinator->logfile, $offset);
	return join ' ', grep { $_ ne 'SELECT' && $_ ne 'SET' } $log =~ /remote command on node "[^"]+": (\w+)/g;
}

# 1. Simple protocol: what is a transaction of its own, and what is not
foreach my $case (
	['UPDATE', "UPDATE t SET v = v + 1 WHERE k = $key", 'UPDATE'],
	['UPDATE of no row', "UPDATE t SET v = v + 1 WHERE k = $key AND v < 0", 'UPDATE'],
	['DELETE', 'DELETE FROM t WHERE k = 100', 'DELETE'],
	['INSERT', 'INSERT INTO t VALUES (100, 0)', 'INSERT'],
	['UPDATE RETURNING', "UPDATE t SET v = v + 1 WHERE k = $key RETURNING v, k", 'UPDATE'],
	['RETURNING of no row', "UPDATE t SET v = v + 1 WHERE k = $key AND v < 0 RETURNING *", 'UPDATE'],
	['RETURNING of what the worker computes', "UPDATE t SET v = v + 1 WHERE k = $key RETURNING v * 2 + 1, now() IS NULL", 'UPDATE'],
	['DELETE RETURNING', 'DELETE FROM t WHERE k = 100 RETURNING k', 'DELETE'],
	['INSERT RETURNING', 'INSERT INTO t VALUES (100, 0) RETURNING *', 'INSERT'],
	['upsert RETURNING', 'INSERT INTO t VALUES (100, 0) ON CONFLICT (k) DO UPDATE SET v = t.v + 1 RETURNING v', 'INSERT'],
	['DO NOTHING RETURNING', 'INSERT INTO t VALUES (100, 0) ON CONFLICT DO NOTHING RETURNING v', 'INSERT'],
	['RETURNING of what is computed here', 'UPDATE t SET v = v WHERE k = ' . $key . ' RETURNING computed_here(v)', 'UPDATE BEGIN COMMIT'],
	['RETURNING in another encoding', "SET client_encoding = 'LATIN1'; UPDATE t SET v = v WHERE k = $key RETURNING v", 'UPDATE BEGIN COMMIT'],
	['RETURNING in a cursor', "DO \$\$ DECLARE c refcursor; n int; BEGIN OPEN c FOR EXECUTE 'UPDATE t SET v = v WHERE k = $key RETURNING v'; FETCH c INTO n; END \$\$", undef],
	['EXECUTE', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1; EXECUTE p ($key); EXECUTE p ($key)", 'UPDATE UPDATE'],
	['EXECUTE with RETURNING', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1 RETURNING v; EXECUTE p ($key)", 'UPDATE'],
	['EXECUTE in a block', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1; BEGIN; EXECUTE p ($key); COMMIT", 'UPDATE BEGIN COMMIT'],
	['two EXECUTE in one message', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1; EXECUTE p ($key)\\; EXECUTE p ($key)", 'UPDATE BEGIN UPDATE COMMIT'],
	['EXECUTE of a function', "PREPARE p (int) AS SELECT updates(\$1); EXECUTE p ($key)", 'UPDATE BEGIN COMMIT'],
	['EXECUTE with a function that writes', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1; EXECUTE p (updates_by_cursor($key) * 0 + $key)", undef],
	['EXECUTE in EXPLAIN', "PREPARE p (int) AS UPDATE t SET v = v + 1 WHERE k = \$1; EXPLAIN (ANALYZE, COSTS OFF) EXECUTE p ($key)", 'UPDATE BEGIN COMMIT'],
	['after SET', "SET work_mem = '8MB'; SET timezone = 'Asia/Tokyo'; UPDATE t SET v = v + 1 WHERE k = $key", 'UPDATE'],
	['in a block', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $key; COMMIT", 'UPDATE BEGIN COMMIT'],
	['two in one message', "UPDATE t SET v = v + 1 WHERE k = $key\\; UPDATE t SET v = v + 1 WHERE k = $key", 'UPDATE BEGIN UPDATE COMMIT'],
	['with a read in one message', "SELECT 1\\; UPDATE t SET v = v + 1 WHERE k = $key", 'UPDATE BEGIN COMMIT'],
	['in PL/pgSQL', "SELECT updates($key)", 'UPDATE BEGIN COMMIT'],
	['in SQL', "SELECT updates_sql($key)", 'UPDATE BEGIN COMMIT'],
	['in a procedure', "CALL updates_twice($key)", 'UPDATE BEGIN UPDATE COMMIT'],
	['in a cursor', "DO \$\$ BEGIN PERFORM updates_by_cursor($key); END \$\$", 'UPDATE BEGIN COMMIT'],
	['in EXPLAIN', "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE t SET v = v + 1 WHERE k = $key", 'UPDATE BEGIN COMMIT'],
	['REPEATABLE READ', "SET default_transaction_isolation = 'repeatable read'; UPDATE t SET v = v + 1 WHERE k = $key", undef],
	['of several shards', 'UPDATE t SET v = v + 1 WHERE k < 20', undef],
	['a notification', "UPDATE t SET v = v + notifies(1) WHERE k = $key", undef]
  )
{
	my ($name, $sql, $expected) = @$case;
	my @result;
	my $commands = commands_of(sub { @result = $cluster->try_sql($sql); });
	is($result[0], 0, "$name: works") or diag $result[2];
	is(join(' ', sort split / /, $commands), join(' ', sort split / /, $expected), "$name: $expected") if defined $expected;
	like($commands, qr/BEGIN/, "$name: a transaction") if !defined $expected;
}

# Rows and errors of RETURNING, also by EXECUTE
$cluster->sql("UPDATE t SET v = 7 WHERE k = $key");
is($cluster->sql("UPDATE t SET v = v + 1 WHERE k = $key RETURNING k, v, v * 2, NULL::text, 'x'"), "$key|8|16||x", 'rows of UPDATE');
is($cluster->sql("PREPARE p (int, int) AS UPDATE t SET v = v + \$2 WHERE k = \$1 RETURNING t; EXECUTE p ($key, 1)"), "($key,9)", 'rows of EXECUTE');
like(($cluster->try_sql("UPDATE t SET v = v + 1 WHERE k = $key RETURNING 1 / (v - 10)"))[2], qr/22012/, 'RETURNING fails');
is(value(), 9, 'and nothing is changed');
is($cluster->sql('INSERT INTO t (k) VALUES (101) RETURNING v IS NULL, k; DELETE FROM t WHERE k = 101 RETURNING k, v'), "t|101\n101|", 'rows of INSERT and DELETE');

# What is written here belongs to it
my $before = value();
my @failed = $cluster->try_sql("INSERT INTO t VALUES (writes_here(200), 1)");
is($failed[0], 0, 'a key that a function computes that writes here');
is($cluster->sql('SELECT count(*) FROM here') . value(200), '11', 'both are there');
@failed = $cluster->try_sql("INSERT INTO t VALUES (writes_here(200), 1)");
like($failed[2], qr/23505/, 'the same again fails');
is($cluster->sql('SELECT count(*) FROM here'), '1', 'and what was written here is undone');

# 2. Extended protocol: one Sync may end several statements
sub connect_raw
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $coordinator->port) or die "connect: $!";
	my $body = pack('N', 196608) . join("\0", 'user', 'postgres', 'database', 'postgres', '', '');
	$socket->syswrite(pack('N', 4 + length $body) . $body);
	my $self = { socket => $socket, buffer => '' };
	read_until($self, 'Z');
	return $self;
}

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body; }

sub statement
{
	my ($sql) = @_;
	return message('P', "\0$sql\0" . pack('n', 0)) . message('B', "\0\0" . pack('nnn', 0, 0, 0)) . message('E', "\0" . pack('N', 0));
}

# Messages up to one of these types: [type, text of an error]
sub read_until
{
	my ($self, $types) = @_;
	my @got;
	while (1)
	{
		while (length $self->{buffer} >= 5 && length $self->{buffer} >= 1 + unpack('N', substr $self->{buffer}, 1, 4))
		{
			my $size = 1 + unpack('N', substr $self->{buffer}, 1, 4);
			my $whole = substr $self->{buffer}, 0, $size, '';
			my $type = substr $whole, 0, 1;
			push @got, $type eq 'E' ? 'E' . ($whole =~ /\0C(\w{5})/)[0] : $type eq 'C' ? substr($whole, 5, -1) : ();
			return join ',', @got if index($types, $type) >= 0;
		}
		my $n = $self->{socket}->sysread(my $piece, 65536);
		die 'connection lost' unless $n;
		$self->{buffer} .= $piece;
	}
}

my $raw = connect_raw();
my $update = "UPDATE t SET v = v + 1 WHERE k = $key";
my $sync = message('S', '');
my $answer;
$before = value();
is(commands_of(sub { $raw->{socket}->syswrite(statement($update) . $sync); $answer = read_until($raw, 'Z'); }), 'UPDATE', 'one statement and Sync: one message');
is($answer . '|' . value(), 'UPDATE 1|' . ($before + 1), 'it is done');

$before = value();
like(commands_of(sub { $raw->{socket}->syswrite(statement($update) . statement($update) . $sync); $answer = read_until($raw, 'Z'); }), qr/BEGIN/, 'two statements and Sync: a transaction');
is($answer . '|' . value(), 'UPDATE 1,UPDATE 1|' . ($before + 2), 'both are done');

is(commands_of(sub { $raw->{socket}->syswrite(statement("$update RETURNING v") . $sync); $answer = read_until($raw, 'Z'); }), 'UPDATE', 'RETURNING and Sync: one message');
is($answer, 'UPDATE 1', 'it is done');
like(commands_of(sub { $raw->{socket}->syswrite(statement("$update RETURNING v") . statement('SELECT 1') . $sync); $answer = read_until($raw, 'Z'); }), qr/BEGIN/, 'RETURNING, a read and Sync: a transaction');
$raw->{socket}->syswrite(statement("PREPARE p AS $update RETURNING v") . $sync);
read_until($raw, 'Z');
is(commands_of(sub { $raw->{socket}->syswrite(statement('EXECUTE p') . $sync); $answer = read_until($raw, 'Z'); }), 'UPDATE', 'EXECUTE and Sync: one message');
like(commands_of(sub { $raw->{socket}->syswrite(statement('EXECUTE p') . statement('EXECUTE p') . $sync); $answer = read_until($raw, 'Z'); }), qr/BEGIN/, 'two EXECUTE and Sync: a transaction');

$before = value();
$raw->{socket}->syswrite(statement($update) . statement('SELECT 1/0') . $sync);
is(read_until($raw, 'Z') . '|' . value(), "UPDATE 1,E22012|$before", 'a later statement fails: the first is undone');

$before = value();
$raw->{socket}->syswrite(statement($update) . message('H', ''));
$answer = read_until($raw, 'C');
$raw->{socket}->syswrite(statement('SELECT 1/0') . $sync);
is($answer . ',' . read_until($raw, 'Z') . '|' . value(), "UPDATE 1,E22012|$before", 'a later statement comes after a while and fails: the first is undone');

$before = value();
like(commands_of(sub { $raw->{socket}->syswrite(statement('INSERT INTO here VALUES (7)') . statement($update) . $sync); $answer = read_until($raw, 'Z'); }), qr/BEGIN/, 'after a local write: a transaction');
is($answer . '|' . value(), 'INSERT 0 1,UPDATE 1|' . ($before + 1), 'both are done');
$raw->{socket}->syswrite(statement('INSERT INTO here VALUES (8)') . statement('UPDATE t SET v = v / 0 WHERE k = ' . $key) . $sync);
is(read_until($raw, 'Z') . '|' . $cluster->sql('SELECT count(*) FROM here WHERE x = 8'), 'INSERT 0 1,E22012|0', 'a failed last statement undoes what was written here');

$before = value();
is(commands_of(sub { $raw->{socket}->syswrite(statement($update) . $sync . statement($update) . $sync); read_until($raw, 'Z'); read_until($raw, 'Z'); }), 'UPDATE UPDATE', 'two transactions in one packet: two messages');
is(value(), $before + 2, 'both are done');

# 3. Errors of the worker, also those of its commit; the connection goes on
$cluster->worker_sql(1, qq{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'not this' USING ERRCODE = '23505'; END \$\$;
	CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON cz_shards.$shard DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.v = -1) EXECUTE FUNCTION refuse();
});
foreach my $case (
	['a statement', 'UPDATE t SET v = v / 0 WHERE k = ' . $key, '22012'],
	['its commit', "UPDATE t SET v = -1 WHERE k = $key", '23505'],
	['a key', "INSERT INTO t VALUES ($key, 1)", '23505'])
{
	my ($name, $sql, $state) = @$case;
	$before = value();
	my @result = $cluster->try_sql($sql);
	like($result[2], qr/$state/, "error of $name");
	$raw->{socket}->syswrite(statement($sql) . $sync . statement($update) . $sync);
	is(read_until($raw, 'Z') . ',' . read_until($raw, 'Z'), "E$state,UPDATE 1", "error of $name, extended; the next one works");
	is(value(), $before + 1, "error of $name: nothing else is changed");
}

# 4. The worker keeps the command waiting: the row is locked there
sub lock_row
{
	my $name = 'locker' . ++$cluster->{lockers};
	my $handle = { out => '', err => '' };
	my $file = PostgreSQL::Test::Utils::tempdir() . '/lock.sql';
	PostgreSQL::Test::Utils::append_to_file($file, "SET application_name = '$name'; BEGIN; UPDATE cz_shards.$shard SET v = v WHERE k = $key; "
		  . 'DO $$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END $$; ROLLBACK;');
	$handle->{run} = IPC::Run::start(["$ENV{CZ_BINDIR}/psql", '-XAtq', '-h', '127.0.0.1', '-p', $cluster->worker(1)->port, '-U', 'postgres', 'postgres', '-f', $file],
		'<', \undef, '>', \$handle->{out}, '2>', \$handle->{err});
	push @{ $cluster->{handles} }, $handle;
	$cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event = 'PgSleep'");
	$handle->{name} = $name;
	return $handle;
}

sub unlock_row
{
	my ($handle) = @_;
	$cluster->worker_sql(1, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = '$handle->{name}'");
	$handle->{run}->finish;
	return;
}

# Wait until the worker has our command and waits with it; who it is
sub wait_for_waiter
{
	$cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE 'cz\\_fdw%' AND wait_event_type = 'Lock'")
	  or die 'nobody waits';
	return;
}

my $waiters = "FROM pg_stat_activity WHERE query LIKE 'UPDATE t SET v%' AND pid <> pg_backend_pid() AND state = 'active'";
$before = value();
my $lock = lock_row();
my @result = $cluster->try_sql("SET statement_timeout = '500ms'; $update");
like($result[2], qr/57014.*statement timeout/, 'statement_timeout');
@result = $cluster->try_sql("SET lock_timeout = '300ms'; $update");
like($result[2], qr/55P03/, 'lock_timeout');

my $handle = $cluster->start_sql($update);
wait_for_waiter();
$cluster->sql("SELECT pg_cancel_backend(pid) $waiters");
@result = $cluster->finish_sql($handle, 60);
like($result[2], qr/57014.*user request/, 'a cancel');

$handle = $cluster->start_sql($update);
wait_for_waiter();
$cluster->sql("SELECT pg_terminate_backend(pid) $waiters");
@result = $cluster->finish_sql($handle, 60);
like($result[2], qr/terminating connection/, 'the end of the session');
ok($cluster->worker(1)->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'cz\\_fdw%' AND wait_event_type = 'Lock'"),
	'and the worker does not wait on');

$handle = $cluster->start_sql($update);
wait_for_waiter();
$cluster->worker_sql(1, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cz\\_fdw%' AND wait_event_type = 'Lock'");
@result = $cluster->finish_sql($handle, 60);
like($result[2], qr/ERROR:  (57P01|08006)/, "the end of the worker's session: it has not committed");
unlock_row($lock);
is(value(), $before, 'nothing of all that is changed');

# 5. No answer: the outcome is not known, and the client is told so
sub lost
{
	my ($name, $break, $mend) = @_;
	my $was = value();
	my $locked = lock_row();
	my $waiting = $cluster->start_sql($update);
	wait_for_waiter();
	$break->();
	my @end = $cluster->finish_sql($waiting, 60);
	like($end[2], qr/ERROR:  08007/, "$name: not known");
	cmp_ok($end[3], '<', 50, "$name: told in time");
	$mend->();
	unlock_row($locked);
	ok($coordinator->poll_query_until('postgres', "SELECT v IN ($was, $was + 1) FROM t WHERE k = $key"), "$name: done or not");
	is(($cluster->try_sql("UPDATE t SET v = v + 1 WHERE k = $key"))[0], 0, "$name: writes go on");
	return;
}

lost('connection reset', sub { $cluster->reset_worker(1) }, sub { });
lost('packets vanish', sub { $cluster->cut_worker(1) }, sub { $cluster->heal_worker(1) });

# A backend that does not react: a cancel gives up after a while
$before = value();
$lock = lock_row();
$handle = $cluster->start_sql($update);
wait_for_waiter();
my $pid = $cluster->worker_sql(1, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'cz\\_fdw%' AND wait_event_type = 'Lock'");
kill 'STOP', $pid;
$cluster->sql("SELECT pg_cancel_backend(pid) $waiters");
@result = $cluster->finish_sql($handle, 60);
like($result[2], qr/ERROR:  08007.*canceling statement/, 'a cancel that the worker does not answer: not known');
kill 'CONT', $pid;
unlock_row($lock);
is(value(), $before, 'here the cancel has reached it');

# A timeout at any moment: what the client is told is what has happened
$before = value();
my ($done, $cancelled) = (0, 0);
for my $i (1 .. 24)
{
	@result = $cluster->try_sql("SET statement_timeout = '" . ($i % 6 + 1) . "ms'; $update");
	$done++ if $result[0] == 0;
	$cancelled++ if $result[2] =~ /57014/;
}
is($done + $cancelled, 24, 'timeouts at any moment: done or cancelled');
is(value(), $before + $done, 'as the clients were told');

done_testing();
