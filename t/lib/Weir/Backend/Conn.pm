# SPDX-License-Identifier: BSD-2-Clause
# One connection of a scripted backend; what waits for a slow peer is bounded.
package Weir::Backend::Conn;
use v5.36;
use Digest::MD5;
use Errno qw(EAGAIN ECONNRESET EINTR);
use IO::Handle;
use Socket qw(:all);
use Weir::Pattern;
use Weir::Wait;

my $CHUNK = 262144;
my $ENOUGH = 4 * $CHUNK;	# reading pauses while more waits to be sent

sub new($class, $server, $fh, $n)
{
	my $self = bless { server => $server, fh => $fh, n => $n, in => 0, out => 0, wait => '',
	    md5 => Digest::MD5->new, text => '', ended => '', began => now(), lines => 0,
	    kept => [],
	    my => { rest => '' } }, $class;
	$fh->blocking(0);
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
	$self->_want;
	return $self;
}

sub told($self)
{
	return { n => $self->{n}, in => $self->{in}, out => $self->{out},
	    md5 => $self->{md5}->clone->hexdigest, text => unpack('H*', $self->{text}),
	    ended => $self->{ended}, lasted => now() - $self->{began},
	    lines => $self->{lines}, kept => scalar(@{$self->{kept}}) };
}

# Whether the other end is known to have closed it, with nothing left to read.
sub is_over($self)
{
	return 1 if !$self->{fh};
	my $got = CORE::recv($self->{fh}, my $byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return defined($got) ? length($byte) == 0 : $! == ECONNRESET;
}

# What to watch for follows from the state, in this one place.
sub _want($self)
{
	my $fh = $self->{fh} // return;
	my $loop = $self->{server}{loop};
	my $read = !$self->{held} && !$self->{eof} && length($self->{wait}) < $ENOUGH ? 1 : 0;
	my $write = $self->{wait} ne '' || $self->{source} ||
	    ($self->{finish} && !$self->{finished}) ? 1 : 0;
	return if $read == ($self->{reading} // 0) && $write == ($self->{writing} // 0);
	($self->{reading}, $self->{writing}) = ($read, $write);
	$loop->reads($fh, $read ? sub { $self->_read } : undef);
	$loop->writes($fh, $write ? sub { $self->_write } : undef);
}

sub _read($self)
{
	my $n = sysread($self->{fh}, my $bytes, $CHUNK);
	if (!defined $n) {
		return if $! == EAGAIN || $! == EINTR;
		return $self->_end('reset');
	}
	my $script = $self->{server}{script};
	if ($n == 0) {
		$self->{eof} = 1;
		$script->{eof}->($self, '');
	} else {
		$self->{in} += $n;
		$self->{server}{in} += $n;
		$self->{md5}->add($bytes);
		$self->{text} .= substr($bytes, 0, 1024 - length($self->{text}))
		    if length($self->{text}) < 1024;
		$script->{data}->($self, $bytes);
	}
	$self->_settle;
}

sub _write($self)
{
	my $source = $self->{source};
	if ($self->{wait} eq '' && $source) {
		my $left = $source->{bytes} - $source->{sent};
		my $chunk = $left < $CHUNK ? $left : $CHUNK;
		$self->{wait} = defined($source->{seed}) ?
		    pattern($source->{seed}, $source->{sent}, $chunk) : 'x' x $chunk;
		$source->{sent} += length($self->{wait});
		delete $self->{source} if $source->{sent} == $source->{bytes};
	}
	if ($self->{wait} ne '') {
		my $n = syswrite($self->{fh}, $self->{wait});
		if (!defined $n) {
			return if $! == EAGAIN || $! == EINTR;
			return $self->_end('reset');
		}
		substr($self->{wait}, 0, $n, '');
		$self->{out} += $n;
		$self->{server}{out} += $n;
	}
	$self->_settle;
}

# A FIN goes when nothing waits; when both sides have ended the socket is closed.
sub _settle($self)
{
	return if !$self->{fh};
	if ($self->{finish} && !$self->{finished} && $self->{wait} eq '' && !$self->{source}) {
		CORE::shutdown($self->{fh}, SHUT_WR);
		$self->{finished} = 1;
	}
	return $self->_end('eof') if $self->{finished} && $self->{eof};
	$self->_want;
}

sub _end($self, $how)
{
	my $fh = delete $self->{fh} // return;
	$self->{ended} = $how;
	$self->{server}{loop}->forget($fh);
	CORE::close($fh);
	$self->{server}->ended($self);
}

sub send($self, $bytes)
{
	return if !$self->{fh};
	$self->{wait} .= $bytes;
	$self->_write if length($self->{wait}) == length($bytes) && !$self->{source};
}

sub source($self, $seed, $bytes)
{
	$self->{source} = { seed => $seed, bytes => $bytes, sent => 0 } if $bytes > 0;
	$self->_want if $self->{fh};
}

sub finish($self)
{
	$self->{finish} = 1;
	$self->_settle;
}

sub hold($self)
{
	$self->{held} = 1;
	$self->_want;
}

sub resume($self)
{
	$self->{held} = 0;
	$self->_want;
}

sub close($self)
{
	$self->_end('closed');
}

sub reset($self)
{
	return if !$self->{fh};
	setsockopt($self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	$self->_end('closed');
}

1;
