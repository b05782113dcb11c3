# proxy.pl LISTEN_PORT TARGET_PORT FILE
#	  A TCP proxy that can fail: USR1 lets packets vanish (both ways, new
#	  connections are accepted by the kernel and stay silent), USR2 heals, HUP
#	  resets every connection, ALRM forgets them: what is sent on them vanishes,
#	  new ones work, WINCH holds the next new connection up for five seconds.
#
# When it has done what a signal says (for WINCH: when it holds a connection up) it removes FILE.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);

my ($listen_port, $target_port, $file) = @ARGV;
my ($is_cut, $must_reset, $must_forget, $must_hold, $must_tell) = (0, 0, 0, 0, 0);
$SIG{USR1} = sub { $is_cut = $must_tell = 1 };
$SIG{USR2} = sub { $is_cut = 0; $must_tell = 1 };
$SIG{HUP} = sub { $must_reset = 1 };
$SIG{ALRM} = sub { $must_forget = 1 };
$SIG{WINCH} = sub { $must_hold = 1 };
$SIG{PIPE} = 'IGNORE';

my $parent = getppid;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $listen_port,
	Listen => 50, ReuseAddr => 1) or die "listen: $!";
my $select = IO::Select->new($server);
my %peer;
my @held;						# [client, when it goes on]

sub hang_up
{
	my ($socket, $reset) = @_;
	my $other = delete $peer{$socket};
	foreach my $one (grep { defined } $socket, $other)
	{
		delete $peer{$one};
		$select->remove($one);
		setsockopt($one, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $reset;
		close $one;
	}
	return;
}

sub connect_client
{
	my ($client) = @_;
	my $target = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target_port);
	if (!$target)
	{
		close $client;
		return;
	}
	$peer{$client} = $target;
	$peer{$target} = $client;
	$select->add($client, $target);
	return;
}

while (getppid == $parent)
{
	connect_client((shift @held)->[0]) while @held && time >= $held[0][1];
	if ($must_reset)
	{
		$must_reset = 0;
		hang_up($_, 1) foreach grep { $_ != $server && $peer{$_} } $select->handles;
		unlink $file;
	}
	if ($must_forget)
	{
		$must_forget = 0;
		$select->remove($_) foreach grep { $_ != $server && $peer{$_} } $select->handles;
		unlink $file;
	}
	if ($must_tell)
	{
		$must_tell = 0;
		unlink $file;
	}
	if ($is_cut)
	{
		select undef, undef, undef, 0.1;
		next;
	}
	foreach my $socket ($select->can_read(0.2))
	{
		last if $is_cut;
		if ($socket == $server)
		{
			my $client = $server->accept or next;
			if ($must_hold)
			{
				$must_hold = 0;
				push @held, [ $client, time + 5 ];
				unlink $file;
			}
			else
			{
				connect_client($client);
			}
			next;
		}
		next unless $peer{$socket};
		my $got = sysread $socket, my $data, 65536;
		if (!$got)
		{
			hang_up($socket, 0);
			next;
		}
		my $at = 0;
		while ($at < $got)
		{
			my $sent = syswrite $peer{$socket}, $data, $got - $at, $at;
			if (!defined $sent)
			{
				next if $!{EINTR};
				hang_up($socket, 0);
				last;
			}
			$at += $sent;
		}
	}
}
