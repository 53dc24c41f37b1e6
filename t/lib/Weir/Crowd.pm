# SPDX-License-Identifier: BSD-2-Clause
# Many clients that ask in lines, every answer checked, in a process of its own.
#
#	my $crowd = Weir::Crowd->start($address, clients => 1000, %option);
#
# Options:
#	each		requests of each client, then it stays and is silent; 0 (the default): no end
#	ahead		how many it has in flight at most, 1
#	ask		sub ($c, $n) the $n-th request of client $c (both from 1), without its
#			newline; by default "$c.$n" and a name of this crowd
#	check		sub ($c, $n, $line, $mine) nothing, or what is wrong with the answer; by
#			default the answer is the request. $mine is a hash of the client's own
#	failure		a line that stands for an answer that could not be had, counted as failed
#	go		0: connected only, until $crowd->go
#	again		1: a client that is closed connects again; otherwise that is an error
#
#	$crowd->report	{ connected, asked, answered, failed, closed, waiting (for an answer now),
#			slowest (seconds, of an answer or a failure), least (answers that the
#			client with the fewest has), wrong => N, errors => [first 20] }
#	$crowd->go	begins to ask
#	$crowd->moving	waits until more was answered: the report
#	$crowd->done	waits until each has all its answers (or failures): the report; dies when
#			something is wrong or it takes too long (seconds)
#	$crowd->end	stops asking, waits for what is due; the last report
#	$crowd->leave	all are reset, whatever is due
package Weir::Crowd;
use v5.36;
use Errno qw(EAGAIN EINPROGRESS EINTR);
use IO::Handle;
use JSON::PP;
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(:all);
use Weir::Address;
use Weir::Loop;
use Weir::Process;
use Weir::Wait;

my $HURRY = 256;	# connects under way at the same time

my %all;
my $count = 0;

sub start($class, $address, %option)
{
	$count++;
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		Weir::Process::become_child($theirs);
		eval { _new($address, $theirs, %option)->_work; 1 } or print STDERR "# crowd: $@";
		POSIX::_exit(0);
	}
	close($theirs);
	my $self = bless { pid => $pid, fh => $ours, owner => $$,
	    clients => $option{clients} // 1 }, $class;
	$all{$self} = $self;
	weaken($all{$self});
	my $report;
	await { ($report = $self->report)->{connected} + $report->{wrong} >= $self->{clients} }
	    'the crowd is connected', 60;
	return $self;
}

sub _ask($self, $order)
{
	syswrite($self->{fh}, $order) or die "crowd: $!\n";
	my $vec = '';
	vec($vec, fileno($self->{fh}), 1) = 1;
	my $deadline = now() + patience(60);
	my $text = '';
	while ($text !~ /\n\z/) {
		my $left = $deadline - now();
		die "the crowd does not answer\n" if $left <= 0;
		next if select(my $r = $vec, undef, undef, $left) <= 0;
		sysread($self->{fh}, $text, 65536, length($text)) or die "the crowd is gone\n";
	}
	return decode_json($text);
}

sub report($self) { return $self->_ask('r') }
sub go($self) { return $self->_ask('g') }

sub moving($self)
{
	my $before = $self->report;
	my $now;
	my $moved = wait_for {
		$now = $self->report;
		$now->{wrong} || $now->{answered} >= $before->{answered} + 50;
	} 20;
	die "the crowd gets no answers: ", encode_json($now), "\n" if !$moved;
	return $now;
}

sub done($self, $seconds = 60)
{
	my $now;
	my $done = wait_for {
		$now = $self->report;
		$now->{wrong} || !$now->{waiting};
	} $seconds;
	die "the crowd: ", join("\n", @{$now->{errors}}), "\n" if $now->{wrong};
	die "the crowd waits still: ", encode_json($now), "\n" if !$done;
	return $now;
}

sub end($self)
{
	my $last = $self->_ask('e');
	$last = $self->done;
	$self->_gone;
	return $last;
}

sub leave($self) { return $self->_gone }

sub _gone($self)
{
	my $fh = delete $self->{fh} // return;
	delete $all{$self};
	close($fh);
	local $?;
	waitpid($self->{pid}, 0);
}

sub DESTROY($self)
{
	local ($?, $@);
	$self->_gone if $self->{owner} && $self->{owner} == $$;
}

sub end_all($class)
{
	$_->_gone for grep { defined } values %all;
}

#
# In the process of the crowd
#

sub _new($address, $control, %option)
{
	my $name = "$$.$count";
	my $self = bless { address => [resolve($address)], control => $control, loop => Weir::Loop->new,
	    each => 0, ahead => 1, clients => 1, ask => sub ($c, $n) { "$name:$c.$n" },
	    %option, asks => $option{go} // 1, unopened => [], connecting => 0, errors => [],
	    map { $_ => 0 } qw(connected asked answered failed closed slowest) }, __PACKAGE__;
	$self->{check} //= sub ($c, $n, $line, $) {
		my $want = $self->{ask}->($c, $n);
		return $line eq $want ? undef : "got '$line' for '$want'";
	};
	return $self;
}

sub _work($self)
{
	$self->{loop}->reads($self->{control}, sub { $self->_order });
	$self->{all} = [map { { c => $_, n => 0, answered => 0, due => [], in => '', wait => '',
	    mine => {} } } 1 .. $self->{clients}];
	$self->{unopened} = [@{$self->{all}}];
	for (;;) {
		$self->_connect(shift @{$self->{unopened}})
		    while @{$self->{unopened}} && $self->{connecting} < $HURRY;
		$self->{loop}->turn(1);
	}
}

sub _order($self)
{
	sysread($self->{control}, my $order, 1) or return $self->_scatter;
	if ($order eq 'g') {
		$self->{asks} = 1;
		$self->_say($_) for @{$self->{all}};
	} elsif ($order eq 'e') {
		$self->{asks} = 0;
	}
	$self->_tell;
}

# No session is to linger over what nobody reads any more.
sub _scatter($self)
{
	for my $s (grep { $_->{fh} } @{$self->{all}}) {
		setsockopt($s->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
		close($s->{fh});
	}
	POSIX::_exit(0);
}

sub _tell($self)
{
	my @errors = @{$self->{errors}};
	splice(@errors, 20) if @errors > 20;
	my ($least, $waiting) = (undef, 0);
	for my $s (@{$self->{all}}) {
		my $more = $self->{asks} && $self->{each} && $s->{n} < $self->{each};
		$waiting++ if !$s->{lost} && (@{$s->{due}} || $more);
		$least = $s->{answered} if !defined($least) || $s->{answered} < $least;
	}
	$self->{control}->blocking(1);
	syswrite($self->{control}, encode_json({ waiting => $waiting, least => $least // 0,
	    errors => \@errors, wrong => scalar(@{$self->{errors}}),
	    map { $_ => $self->{$_} } qw(connected asked answered failed closed slowest) }) . "\n");
}

sub _connect($self, $s)
{
	my ($family, $name) = @{$self->{address}};
	socket(my $fh, $family, SOCK_STREAM, 0) or die "socket: $!\n";
	$fh->blocking(0);
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1) if $family != AF_UNIX;
	$s->{fh} = $fh;
	return $self->_wrong($s, "connect: $!") if !connect($fh, $name) && $! != EINPROGRESS;
	$self->{connecting}++;
	$self->{loop}->writes($fh, sub { $self->_connected($s) });
}

sub _connected($self, $s)
{
	$self->{connecting}--;
	$self->{loop}->writes($s->{fh}, undef);
	my $error = unpack('i', getsockopt($s->{fh}, SOL_SOCKET, SO_ERROR));
	if ($error) {
		$! = $error;
		return $self->_wrong($s, "connect: $!");
	}
	$self->{connected}++;
	$self->{loop}->reads($s->{fh}, sub { $self->_read($s) });
	$self->_say($s);
}

sub _wrong($self, $s, $what)
{
	push @{$self->{errors}}, "client $s->{c}: $what";
	$s->{lost} = 1;
	$self->_forget($s);
}

sub _forget($self, $s)
{
	my $fh = delete $s->{fh} // return;
	$self->{loop}->forget($fh);
	close($fh);
}

# As much as may be ahead, in one write.
sub _say($self, $s)
{
	return if !$self->{asks} || !$s->{fh};
	my $now = now();
	while (@{$s->{due}} < $self->{ahead} && (!$self->{each} || $s->{n} < $self->{each})) {
		my $n = ++$s->{n};
		$s->{wait} .= $self->{ask}->($s->{c}, $n) . "\n";
		push @{$s->{due}}, [$n, $now];
		$self->{asked}++;
	}
	$self->_write($s) if $s->{wait} ne '';
}

sub _write($self, $s)
{
	my $n = syswrite($s->{fh}, $s->{wait});
	if (defined $n) {
		substr($s->{wait}, 0, $n, '');
	} elsif ($! != EAGAIN && $! != EINTR) {
		return $self->_closed($s, "send: $!");
	}
	$self->{loop}->writes($s->{fh}, $s->{wait} ne '' ? sub { $self->_write($s) } : undef);
}

sub _closed($self, $s, $how)
{
	return $self->_wrong($s, $how) if !$self->{again};
	$self->{closed}++;
	$self->_forget($s);
	@{$s->{due}} = ();
	$s->{in} = $s->{wait} = '';
	push @{$self->{unopened}}, $s;
}

sub _read($self, $s)
{
	my $got = sysread($s->{fh}, $s->{in}, 65536, length($s->{in}));
	if (!defined $got) {
		return if $! == EAGAIN || $! == EINTR;
		return $self->_closed($s, "recv: $!");
	}
	return $self->_closed($s, 'end') if $got == 0;
	my @lines = split(/\n/, $s->{in}, -1);
	$s->{in} = pop(@lines);
	my $now = now();
	for my $line (@lines) {
		my $due = shift(@{$s->{due}}) //
		    return $self->_wrong($s, "an answer to nothing: '$line'");
		my ($n, $since) = @$due;
		$self->{slowest} = $now - $since if $now - $since > $self->{slowest};
		if (defined($self->{failure}) && $line eq $self->{failure}) {
			$self->{failed}++;
			next;
		}
		$self->{answered}++;
		$s->{answered}++;
		my $wrong = $self->{check}->($s->{c}, $n, $line, $s->{mine});
		return $self->_wrong($s, $wrong) if $wrong;
	}
	$self->_say($s);
}

1;
