# SPDX-License-Identifier: BSD-2-Clause
# Many sessions at once against something that echoes, every byte verified.
#
#	my $load = Weir::Load->new($address, sessions => 2000);
#	$load->open		all connected at once, each greeted with a first exchange
#	$load->round($bytes)	each sends so many bytes of its own stream and gets them back
#	$load->close
# They die with the first thing that is wrong.
#
#	my $work = Weir::Load->background($address, stay => 20, churn => 5);
# goes on in a process of its own: `stay` sessions that never close and talk
# all the time, `churn` that connect, talk once, close and begin again.
#	$work->report		{ connects, messages, errors => [first 20], failed => N }
#	$work->moving		waits until each kind has done something more: the report
#	$work->end		the last report, after every answer that was due has come
package Weir::Load;
use v5.36;
use Errno qw(EAGAIN EINPROGRESS EINTR);
use IO::Handle;
use JSON::PP;
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(:all);
use Weir::Address;
use Weir::Loop;
use Weir::Pattern;
use Weir::Process;
use Weir::Wait;

my %all;

sub new($class, $address, %option)
{
	return bless { address => $address, count => $option{sessions}, sessions => [],
	    loop => Weir::Loop->new, timeout => $option{timeout} // 60, errors => [],
	    pending => 0, connects => 0, messages => 0 }, $class;
}

# A session: its stream's number is its own, so that crossed bytes show.
sub _begin($self, $n, %hook)
{
	my ($family, $name) = resolve($self->{address});
	socket(my $fh, $family, SOCK_STREAM, 0) or die "socket: $!\n";
	$fh->blocking(0);
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1) if $family != AF_UNIX;
	my $s = { n => $n, fh => $fh, sent => 0, got => 0, due => 0, wait => '', %hook };
	while (!connect($fh, $name)) {
		last if $! == EINPROGRESS;
		if ($! == EAGAIN) {		# a UNIX socket's backlog is full
			select(undef, undef, undef, 0.001);
			next;
		}
		$self->_wrong($s, "connect: $!");
		return undef;
	}
	$self->{loop}->reads($fh, sub { $self->_read($s) });
	return $s;
}

sub _wrong($self, $s, $what)
{
	push @{$self->{errors}}, "session $s->{n}: $what (sent $s->{sent}, got $s->{got})";
	$self->{pending}-- if $s->{due} > $s->{got};
	$self->_finish($s);
	$s->{wrong}->($s) if $s->{wrong};
}

sub _finish($self, $s)
{
	my $fh = delete $s->{fh} // return;
	$self->{loop}->forget($fh);
	close($fh);
}

# Sends the next bytes of the session's stream; they are due back.
sub _say($self, $s, $bytes)
{
	$self->{pending}++ if $s->{due} == $s->{got};
	$s->{wait} .= pattern($s->{n}, $s->{due}, $bytes);
	$s->{due} += $bytes;
	$self->_write($s);
}

sub _write($self, $s)
{
	return if !$s->{fh};
	my $n = syswrite($s->{fh}, $s->{wait});
	if (defined $n) {
		$s->{sent} += $n;
		substr($s->{wait}, 0, $n, '');
	} elsif ($! != EAGAIN && $! != EINTR && $! != POSIX::ENOTCONN()) {
		return $self->_wrong($s, "send: $!");
	}
	$self->{loop}->writes($s->{fh}, $s->{wait} ne '' ? sub { $self->_write($s) } : undef);
}

sub _read($self, $s)
{
	my $n = sysread($s->{fh}, my $bytes, 262144);
	if (!defined $n) {
		return if $! == EAGAIN || $! == EINTR;
		return $self->_wrong($s, "recv: $!");
	}
	return $self->_wrong($s, 'end') if $n == 0;
	my $wrong = difference($s->{n}, $s->{got}, $bytes);
	return $self->_wrong($s, $wrong) if $wrong;
	return $self->_wrong($s, 'more than was sent') if $s->{got} + $n > $s->{due};
	$s->{got} += $n;
	return if $s->{got} < $s->{due};
	$self->{messages}++;
	$self->{pending}--;
	$s->{answered}->($s) if $s->{answered};
}

sub _settle($self, $what)
{
	my $deadline = now() + patience($self->{timeout});
	while ($self->{pending} && !@{$self->{errors}}) {
		my $left = $deadline - now();
		die "$what: timed out, $self->{pending} sessions wait\n" if $left <= 0;
		$self->{loop}->turn($left);
	}
	die map { "$what: $_\n" } @{$self->{errors}} if @{$self->{errors}};
}

sub open($self)
{
	for my $n (1 .. $self->{count}) {
		my $s = $self->_begin($n) // last;
		push @{$self->{sessions}}, $s;
		$self->_say($s, 8);
		$self->{loop}->turn(0) if $n % 100 == 0;
	}
	$self->_settle('open');
	return $self;
}

sub round($self, $bytes)
{
	$self->_say($_, $bytes) for @{$self->{sessions}};
	$self->_settle("round of $bytes bytes");
	return $self;
}

sub close($self)
{
	$self->_finish($_) for @{$self->{sessions}};
	$self->{sessions} = [];
}

#
# In the background
#

sub background($class, $address, %option)
{
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		Weir::Process::become_child($theirs);
		eval { $class->new($address, %option)->_work($theirs, %option); 1 } or
		    print STDERR "# load: $@";
		POSIX::_exit(0);
	}
	CORE::close($theirs);
	my $self = bless { pid => $pid, fh => $ours, owner => $$ }, $class;
	$all{$self} = $self;
	weaken($all{$self});
	$self->moving;
	return $self;
}

sub _work($self, $control, %option)
{
	my $bytes = $option{bytes} // 64;
	my $ending = 0;
	my $n = 0;
	my ($stay, $churn);
	$self->{count_of} = { stay => 0, churn => 0 };
	$stay = sub ($s) {
		$self->{count_of}{stay}++;
		$self->_say($s, $bytes) if !$ending;
	};
	my $again;
	my $due = 0;
	$churn = sub ($s) {
		$self->{count_of}{churn}++;
		$self->{connects}++;
		$self->_finish($s);
		$due++;
	};
	$again = sub {
		my $s = $self->_begin(++$n, answered => $churn, wrong => sub ($s) { $due++ });
		$self->_say($s, $bytes) if $s;
	};
	for (1 .. $option{stay} // 0) {
		my $s = $self->_begin(++$n, answered => $stay) // next;
		$self->{connects}++;
		$self->_say($s, $bytes);
	}
	$again->() for 1 .. $option{churn} // 0;
	$self->{loop}->reads($control, sub {
		my $got = sysread($control, my $order, 1);
		POSIX::_exit(0) if !$got;
		if ($order eq 'e') {
			$ending = 1;
		} else {
			$self->_tell($control);
		}
	});
	while (!$ending || $self->{pending}) {
		$self->{loop}->turn(1);
		my $new = $due;
		$due = 0;
		last if @{$self->{errors}} > 1000;
		next if $ending;
		$again->() for 1 .. $new;
	}
	$self->_tell($control);
	sysread($control, my $end, 1);
}

sub _tell($self, $control)
{
	my @errors = @{$self->{errors}};
	splice(@errors, 20) if @errors > 20;
	syswrite($control, encode_json({ connects => $self->{connects},
	    messages => $self->{messages}, errors => \@errors,
	    failed => scalar(@{$self->{errors}}), %{$self->{count_of}} }) . "\n");
}

sub _ask($self, $order)
{
	syswrite($self->{fh}, $order) or die "load: $!\n";
	my $vec = '';
	vec($vec, fileno($self->{fh}), 1) = 1;
	my $deadline = now() + patience(30);
	my $text = '';
	while ($text !~ /\n\z/) {
		my $left = $deadline - now();
		die "the load does not answer\n" if $left <= 0;
		next if select(my $r = $vec, undef, undef, $left) <= 0;
		sysread($self->{fh}, $text, 65536, length($text)) or die "the load is gone\n";
	}
	return decode_json($text);
}

sub report($self) { return $self->_ask('r') }

# The sessions that stay have each said more, and as many others have come and gone.
sub moving($self)
{
	my $before = $self->report;
	my $now;
	my $stirred = wait_for {
		$now = $self->report;
		$now->{failed} || $now->{messages} >= $before->{messages} + 50;
	} 20;
	die "the load stands still\n" if !$stirred;
	return $now;
}

sub end($self)
{
	my $last = $self->_ask('e');
	$self->_gone;
	return $last;
}

sub _gone($self)
{
	my $fh = delete $self->{fh} // return;
	delete $all{$self};
	CORE::close($fh);
	local $?;
	waitpid($self->{pid}, 0);
}

sub DESTROY($self)
{
	local ($?, $@);
	$self->_gone if $self->{pid} && $self->{owner} == $$;
}

sub end_all($class)
{
	$_->_gone for grep { defined } values %all;
}

1;
