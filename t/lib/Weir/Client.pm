# SPDX-License-Identifier: BSD-2-Clause
# A client for TCP and UNIX sockets; everything has a deadline.
#
#	my $c = Weir::Client->open($address, %option);
#
# The address is a port of 127.0.0.1, or HOST:PORT, [IPV6]:PORT, unix:PATH,
# unix:@NAME.
# Options: source (local IPv4 address), rcvbuf, sndbuf (bytes), timeout (seconds
# for each operation, 10).  open dies when it cannot connect; try gives undef
# and leaves the reason in $!.
#
#	$c->send($bytes)	all of it
#	$c->send_some($bytes)	as much as goes without waiting: the number of bytes
#	$c->dribble($bytes)	one byte at a time, a packet each
#	$c->send_fin($bytes)	the FIN rides in the last data packet
#	$c->recv($n)		exactly n bytes, or dies
#	$c->line		up to and with the newline
#	$c->rest		all until the end; dies on a reset
#	$c->ending		'eof', 'reset' or 'open' (nothing until the timeout); discards bytes
#	$c->ask($bytes, $want)	send, then read length($want // $bytes) bytes: what came
#	$c->ping		a fresh message comes back unchanged (an echo): true, or dies
#	$c->transfer(out => N, in => N, out_seed, in_seed, finish => 1)
#				both ways at once, patterns checked: { in, out, md5 }
#	$c->shutdown, $c->reset, $c->close
#
# Nobody asserts silence by waiting: prove it with an exchange that comes after.
package Weir::Client;
use v5.36;
use Digest::MD5;
use Errno qw(EAGAIN EINPROGRESS ECONNRESET EPIPE EINTR);
use Scalar::Util qw(weaken);
use Socket qw(:all);
use IO::Handle;
use Weir::Address;
use Weir::Wait;
use Weir::Pattern;

my %all;

sub open($class, $address, %option)
{
	my $self = $class->try($address, %option);
	die "connect to $address: $!\n" if !$self;
	return $self;
}

sub try($class, $address, %option)
{
	my ($family, $name) = resolve($address);
	socket(my $fh, $family, SOCK_STREAM, 0) or return undef;
	setsockopt($fh, SOL_SOCKET, SO_RCVBUF, $option{rcvbuf}) if $option{rcvbuf};
	setsockopt($fh, SOL_SOCKET, SO_SNDBUF, $option{sndbuf}) if $option{sndbuf};
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1) if $family != AF_UNIX;
	if ($option{source}) {
		bind($fh, pack_sockaddr_in(0, inet_aton($option{source}))) or return undef;
	}
	my $self = bless { fh => $fh, address => $address, in => '', family => $family,
	    timeout => $option{timeout} // 10, owner => $$ }, $class;
	return undef if !$self->_connect($name);
	return $self->_keep;
}

# adopt(SOCKET): a client whose socket somebody else has connected.
sub adopt($class, $fh)
{
	$fh->blocking(0);
	return (bless { fh => $fh, in => '', family => AF_UNIX, timeout => 10, owner => $$ }, $class)->_keep;
}

sub _keep($self)
{
	$all{$self} = $self;
	weaken($all{$self});
	return $self;
}

# A UNIX socket whose backlog is full says EAGAIN at once and is asked again.
sub _connect($self, $name)
{
	my $deadline = now() + patience($self->{timeout});
	$self->{fh}->blocking(0);
	while (!connect($self->{fh}, $name)) {
		if ($! == EAGAIN && now() < $deadline) {
			select(undef, undef, undef, 0.01);
			next;
		}
		return 0 if $! != EINPROGRESS;
		if (!$self->_ready(1, $deadline)) {
			$! = Errno::ETIMEDOUT;
			return 0;
		}
		my $error = unpack('i', getsockopt($self->{fh}, SOL_SOCKET, SO_ERROR));
		$self->{was_reset} = $error == ECONNRESET;	# it was connected, for a moment
		$! = $error;
		return $error == 0 || $self->{was_reset};
	}
	return 1;
}

# Waits until the socket can be read (written); false after the deadline.
sub _ready($self, $write, $deadline)
{
	my $vec = '';
	vec($vec, fileno($self->{fh}), 1) = 1;
	for (;;) {
		my $left = $deadline - now();
		return 0 if $left <= 0;
		my $count = $write ? select(undef, my $w = $vec, undef, $left)
		    : select(my $r = $vec, undef, undef, $left);
		return 1 if $count > 0;
	}
}

sub fh($self) { return $self->{fh} }

sub local_port($self)
{
	return (unpack_sockaddr_in(getsockname($self->{fh})))[0];
}

sub send($self, $bytes)
{
	my $deadline = now() + patience($self->{timeout});
	my $done = 0;
	while ($done < length($bytes)) {
		my $n = syswrite($self->{fh}, $bytes, length($bytes) - $done, $done);
		if (defined $n) {
			$done += $n;
		} elsif ($! == EAGAIN) {
			$self->_ready(1, $deadline) or
			    die "send: stalled after $done of ", length($bytes), " bytes\n";
		} elsif ($! != EINTR) {
			die "send: $! after $done of ", length($bytes), " bytes\n";
		}
	}
	return $self;
}

sub send_some($self, $bytes)
{
	my $done = 0;
	while ($done < length($bytes)) {
		my $n = syswrite($self->{fh}, $bytes, length($bytes) - $done, $done) // last;
		$done += $n;
	}
	return $done;
}

sub dribble($self, $bytes)
{
	$self->send($_) for split(//, $bytes);
	return $self;
}

sub send_fin($self, $bytes)
{
	setsockopt($self->{fh}, IPPROTO_TCP, 3, 1);	# TCP_CORK
	$self->send($bytes);
	return $self->shutdown;
}

# Reads once into the buffer: bytes read, 0 at the end, -1 on a reset; undef: nothing in time.
sub _fill($self, $deadline)
{
	return -1 if $self->{was_reset};
	for (;;) {
		my $n = sysread($self->{fh}, $self->{in}, 262144, length($self->{in}));
		return $n if defined $n;
		return -1 if $! == ECONNRESET || $! == EPIPE;
		next if $! == EINTR;
		die "recv: $!\n" if $! != EAGAIN;
		$self->_ready(0, $deadline) or return undef;
	}
}

sub _take($self, $want, $enough)
{
	my $deadline = now() + patience($self->{timeout});
	while (!$enough->()) {
		my $n = $self->_fill($deadline);
		next if ($n // 0) > 0;
		my $why = !defined($n) ? 'timed out' : $n == 0 ? 'end' : 'reset';
		die "recv: $why after ", length($self->{in}), " bytes, wanted $want\n";
	}
}

sub recv($self, $count)
{
	$self->_take("$count bytes", sub { length($self->{in}) >= $count });
	return substr($self->{in}, 0, $count, '');
}

sub line($self)
{
	$self->_take('a line', sub { index($self->{in}, "\n") >= 0 });
	return substr($self->{in}, 0, index($self->{in}, "\n") + 1, '');
}

sub rest($self)
{
	my $deadline = now() + patience($self->{timeout});
	for (;;) {
		my $n = $self->_fill($deadline) //
		    die "recv: timed out after ", length($self->{in}), " bytes, wanted the end\n";
		die "recv: reset after ", length($self->{in}), " bytes, wanted the end\n" if $n < 0;
		last if $n == 0;
	}
	my $all = $self->{in};
	$self->{in} = '';
	return $all;
}

sub ending($self, $seconds = $self->{timeout})
{
	my $deadline = now() + patience($seconds);
	for (;;) {
		$self->{in} = '';
		my $n = $self->_fill($deadline) // return 'open';
		return $n < 0 ? 'reset' : 'eof' if $n <= 0;
	}
}

sub ask($self, $bytes, $want = $bytes)
{
	$self->send($bytes);
	return $self->recv(length($want));
}

sub ping($self)
{
	state $count = 0;
	my $message = sprintf("ping %d.%d\n", $$, ++$count);
	my $got = $self->ask($message);
	die "ping: got '$got', want '$message'\n" if $got ne $message;
	return 1;
}

sub transfer($self, %t)
{
	my ($out, $in) = ($t{out} // 0, $t{in} // 0);
	my ($out_seed, $in_seed) = ($t{out_seed} // 1, $t{in_seed} // $t{out_seed} // 1);
	my ($sent, $got, $chunk, $fin) = (0, length($self->{in}), '', 0);
	my $md5 = Digest::MD5->new;
	my $deadline = now() + patience($t{timeout} // 60);
	die "transfer: bytes were left unread\n" if $got;
	my $bit = '';
	vec($bit, fileno($self->{fh}), 1) = 1;
	while ($sent < $out || $got < $in) {
		my ($r, $w) = ($got < $in ? $bit : '', $sent < $out ? $bit : '');
		my $left = $deadline - now();
		die "transfer: timed out, sent $sent of $out, got $got of $in\n" if $left <= 0;
		select($r, $w, undef, $left) > 0 or next;
		if ($w ne '' && vec($w, fileno($self->{fh}), 1)) {
			$chunk = pattern($out_seed, $sent, _least(262144, $out - $sent))
			    if $chunk eq '';
			my $n = syswrite($self->{fh}, $chunk);
			die "transfer: send: $!, sent $sent of $out\n"
			    if !defined($n) && $! != EAGAIN;
			$sent += $n // 0;
			substr($chunk, 0, $n // 0, '');
			$self->shutdown, $fin = 1 if $t{finish} && $sent == $out && !$fin;
		}
		if ($r ne '' && vec($r, fileno($self->{fh}), 1)) {
			my $n = sysread($self->{fh}, my $bytes, _least(262144, $in - $got));
			next if !defined($n) && $! == EAGAIN;
			die 'transfer: ', defined($n) ? 'end' : "$!", ", got $got of $in\n" if !$n;
			my $wrong = difference($in_seed, $got, $bytes);
			die "transfer: $wrong\n" if $wrong;
			$md5->add($bytes);
			$got += $n;
		}
	}
	return { in => $got, out => $sent, md5 => $md5->hexdigest };
}

sub _least($a, $b) { return $a < $b ? $a : $b }

sub shutdown($self)
{
	CORE::shutdown($self->{fh}, SHUT_WR) or die "shutdown: $!\n";
	return $self;
}

sub reset($self)
{
	return if !$self->{fh};
	setsockopt($self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	$self->close;
}

sub close($self)
{
	delete $all{$self};
	CORE::close(delete $self->{fh}) if $self->{fh};
}

sub DESTROY($self)
{
	$self->close if $self->{owner} == $$;
}

# What is still open at the end of a test is reset, so that no session waits for it.
sub reset_all($class)
{
	$_->reset for grep { defined } values %all;
}

1;
