# liar.pl LISTEN_PORT TARGET_PORT FILE
#	  A worker that lies: a proxy that passes messages of the PostgreSQL protocol
#	  and changes what the worker answers.
#
# FILE has one line: KIND PATTERN.  Of a connection over which a text has gone that
# matches the pattern, the answer to it is changed as the kind says, once for each
# text; "none" lets all pass.  Kinds that begin with "start" change what comes before
# the first ReadyForQuery of every connection; "late_error" holds errors back.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

my ($listen_port, $target_port, $file) = @ARGV;
$SIG{PIPE} = 'IGNORE';
my $parent = getppid;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $listen_port,
	Listen => 50, ReuseAddr => 1) or die "listen: $!";
my $select = IO::Select->new($server);
# socket -> { peer, from_worker, buffer, is_started, armed, flood }
my %end;

sub kind
{
	open my $fh, '<', $file or return ('none', '');
	my ($kind, $pattern) = split ' ', scalar(<$fh>) // 'none', 2;
	chomp($pattern //= '');
	return ($kind // 'none', $pattern);
}

sub message { my ($type, $body) = @_; return $type . pack('N', length($body) + 4) . $body; }

sub hang_up
{
	my ($socket) = @_;
	my $peer = $end{$socket} && $end{$socket}{peer};
	foreach my $one (grep { defined } $socket, $peer)
	{
		delete $end{$one};
		$select->remove($one);
		close $one;
	}
	return;
}

sub send_all
{
	my ($socket, $data) = @_;
	my $at = 0;
	while ($at < length $data)
	{
		my $sent = syswrite $socket, $data, length($data) - $at, $at;
		next if !defined $sent && $!{EINTR};
		return 0 unless defined $sent;
		$at += $sent;
	}
	return 1;
}

# One value of a DataRow changed
sub change_value
{
	my ($body, $change) = @_;
	my $n = unpack 'n', $body;
	my $at = 2;
	my $new = pack 'n', $n;
	for my $i (1 .. $n)
	{
		my $len = unpack 'l>', substr $body, $at, 4;
		my $value = $len < 0 ? undef : substr $body, $at + 4, $len;
		$at += 4 + ($len < 0 ? 0 : $len);
		$value = $change->($value, $i == $n);
		$new .= defined $value ? pack('N', length $value) . $value : pack('N', 0xffffffff);
	}
	return message('D', $new);
}

my $notice = "SNOTICE\0VNOTICE\0C00000\0Mnoise\0\0";
my %lies = (
	copy_in => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('G', "\0\0\0") : undef },
	copy_out => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('H', "\0\0\0") : undef },
	copy_both => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('W', "\0\0\0") : undef },
	double_description => sub { $_[0] eq 'T' ? message(@_) x 2 : undef },
	no_description => sub { $_[0] eq 'T' ? '' : undef },
	early_ready => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('Z', 'T') . message(@_) : undef },
	ready_instead => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('Z', 'T') : undef },
	fewer_columns => sub { $_[0] eq 'T' ? message('T', pack 'n', 0) : $_[0] eq 'D' ? message('D', pack 'n', 0) : undef },
	lost_row => sub { $_[0] eq 'D' ? '' : undef },
	short_value => sub { $_[0] eq 'D' ? change_value($_[1], sub { defined $_[0] ? substr($_[0], 0, -1) : undef }) : undef },
	huge_value => sub { $_[0] eq 'D' ? change_value($_[1], sub { '9' x 30 }) : undef },
	negative_value => sub { $_[0] eq 'D' ? change_value($_[1], sub { '-5000000' }) : undef },
	odd_bytes => sub { $_[0] eq 'D' ? change_value($_[1], sub { "\xff\xfe\x80" }) : undef },
	odd_tag => sub { $_[0] eq 'C' ? message('C', "DELETE 99999999999999999999999\0") : undef },
	no_tag => sub { $_[0] eq 'C' ? message('C', "\0") : undef },
	fewer_in_tag => sub { $_[0] eq 'C' ? message('C', $_[1] =~ s/\d+\0\z/0\0/r) : undef },
	odd_error => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('E', "SERROR\0VERROR\0C22012\0Mhal\xfflo\0Dde\xc3\0H\xe2\x82\0\0") : undef },
	odd_type => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('?', 'what') : undef },
	suspended => sub { $_[0] eq 'C' ? message('s', '') : undef },
	empty_query => sub { $_[0] eq 'T' || $_[0] eq 'C' ? message('I', '') : undef });
my %floods = (
	notifies => message('A', pack('N', 1) . "channel\0" . 'x' x 4000 . "\0"),
	notices => message('N', $notice),
	parameters => message('S', "application_name\0noise\0"),
	start_notices => message('N', $notice),
	start_parameters => message('S', "application_name\0noise\0"));

# What goes to the coordinator in place of the messages in the buffer
sub changed
{
	my ($end) = @_;
	my ($kind, $pattern) = kind();
	my $out = '';
	while (length $end->{buffer} >= 5 || !$end->{has_spoken})
	{
		# the answer to the question for TLS is one byte
		if (!$end->{has_spoken} && $end->{buffer} =~ s/^([NS])//)
		{
			$out .= $1;
			next;
		}
		last if length $end->{buffer} < 5;
		$end->{has_spoken} = 1;
		my ($type, $len) = unpack 'aN', $end->{buffer};
		last if length $end->{buffer} < $len + 1;
		my $body = substr $end->{buffer}, 5, $len - 4;
		$end->{buffer} = substr $end->{buffer}, $len + 1;
		next if $end->{flood};
		if (!$end->{is_started})
		{
			if ($kind eq 'start_password' && $type eq 'R')
			{
				# asks for a password, and goes
				$end->{hangs_up} = 1;
				return $out . message('R', pack 'N', 3);
			}
			if ($kind =~ /^start/ && $type eq 'R' && unpack('N', $body) == 0)
			{
				$end->{flood} = $floods{$kind} x 200;
				return $out . message($type, $body);
			}
			$out .= message($type, $body);
			$end->{is_started} = 1 if $type eq 'Z';
			next;
		}
		if ($end->{armed} && $type eq 'E' && $kind eq 'late_error')
		{
			# it and what follows, held back for a while
			$end->{held} = $out . message($type, $body) . $end->{buffer};
			$end->{held_until} = time + 0.5;
			$end->{buffer} = '';
			return '';
		}
		if ($end->{armed} && $type =~ /[TCDE]/)
		{
			if ($floods{$kind})
			{
				$end->{flood} = $floods{$kind} x 200;
				return $out;
			}
			if ($kind eq 'endless_rows' && $type eq 'D')
			{
				$end->{flood} = message($type, $body) x 500;
				return $out;
			}
			my $lie = $lies{$kind} ? $lies{$kind}->($type, $body) : undef;
			if (defined $lie)
			{
				$out .= $lie;
				$end->{armed} = 0 unless $type eq 'D' || $kind eq 'fewer_columns';
				next;
			}
		}
		$end->{armed} = 0 if $type eq 'Z';
		$out .= message($type, $body);
	}
	return $out;
}

while (getppid == $parent)
{
	foreach my $end (grep { $_->{held_until} && $_->{held_until} <= time } values %end)
	{
		$end->{held_until} = 0;
		$end->{armed} = 0;
		hang_up($end->{socket}) unless send_all($end->{peer}, $end->{held});
	}
	my @flooding = grep { $end{$_}{flood} } keys %end;
	foreach my $socket ($select->can_read(@flooding ? 0 : 0.1))
	{
		if ($socket == $server)
		{
			my $client = $server->accept or next;
			my $target = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target_port);
			if (!$target)
			{
				close $client;
				next;
			}
			$end{$client} = { socket => $client, peer => $target };
			$end{$target} = { socket => $target, peer => $client, from_worker => 1, buffer => '', at => 0 };
			$select->add($client, $target);
			next;
		}
		my $end = $end{$socket} or next;
		my $got = sysread $socket, my $data, 65536;
		if (!$got)
		{
			hang_up($socket);
			next;
		}
		if ($end->{from_worker})
		{
			if ($end->{held_until})
			{
				$end->{held} .= $data;
				next;
			}
			$end->{buffer} .= $data;
			$data = changed($end);
		}
		else
		{
			my ($kind, $pattern) = kind();
			my $other = $end{ $end->{peer} };
			$other->{armed} = 1 if $kind ne 'none' && $other->{is_started} && $data =~ /$pattern/;
		}
		hang_up($socket) if !send_all($end->{peer}, $data) || $end->{hangs_up};
	}
	foreach my $key (@flooding)
	{
		my $end = $end{$key} or next;
		# as much as is taken: others must be served meanwhile
		next unless IO::Select->new($end->{peer})->can_write(0.01);
		$end->{peer}->blocking(0);
		my $sent = syswrite $end->{peer}, $end->{flood}, length($end->{flood}) - $end->{at}, $end->{at};
		hang_up($end->{socket}) if !defined $sent && !$!{EAGAIN} && !$!{EINTR};
		$end->{at} = ($end->{at} + ($sent // 0)) % length $end->{flood};
	}
}
