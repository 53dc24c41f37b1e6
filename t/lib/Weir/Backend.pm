# SPDX-License-Identifier: BSD-2-Clause
# Scripted backends: small servers, each a process of its own, steered by the test.
#
#	my $b = Weir::Backend->start('echo');
#	my $b = Weir::Backend->start('source', bytes => 1 << 20, seed => 7);
#	$b->address		what an [upstream]'s server key takes; $b->port
#	$b->report		{ accepted, open, peak, in, out, conns => [...] }, see below
#	$b->wait_report(sub ($r) { $r->{accepted} == 2 })	the report, once it is so; or dies
#	$b->tell('drop_all')	an order, see below: the report after it
#	$b->stop
#
# Behaviours:
#	echo		gives every byte back; answers a FIN with a FIN
#	named		says its name and a newline first, then echoes (name => 'a')
#	greeting	says its text first (text => "220 ready\r\n"), then echoes
#	line		for each line calls reply => sub ($line, $conn) and sends what it gives;
#			without reply it gives each line back
#	sink		takes everything, says nothing; ends when the client has ended
#	source		sends bytes => N of pattern seed => S, then a FIN
#	close, reset	accepts and closes (resets) at once
#	silent		accepts, reads nothing and says nothing, until told 'resume'
#	refuse		nobody listens on the port; 'up' lets an echo listen
#	full		listens with a full backlog: a connect is never answered
#	script		open, data, eof => sub ($conn, $bytes): anything else
#
# Options: address ('unix:PATH', '[::1]', default a free port of 127.0.0.1),
# name, rcvbuf, sndbuf.
#
# Orders: down (stop listening), up, drop_all (close every connection),
# reset_all, finish_all (FIN on each), hold, resume (stop and go on reading),
# send (bytes => ..., to each).  Of a 'line': keep (from now on replies are made,
# but kept back; also as an option, keep => 1), release (what is kept goes out and
# nothing is kept any more; with count => N so many replies, the oldest of each
# connection, and the rest is kept as before).
#
# The report has lines (of a 'line', that came), kept (replies) and peak: the most
# connections at the same time; up to 100, one whose end has arrived does not count.
# A connection of the report: { n, in, out, md5 (of what came), text (its first
# KiB), ended ('' while open, else eof, reset or closed), lasted (seconds), lines,
# kept }.
# The last 100 that ended and all that are open are told.
#
# In scripts a $conn has send, finish (FIN after what waits), close, reset,
# hold, resume, source($seed, $bytes) (without a seed: so many x) and a hash of your
# own: $conn->{my}.
package Weir::Backend;
use v5.36;
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(:all);
use IO::Handle;
use Weir::Backend::Server;
use Weir::JSON;
use Weir::Port;
use Weir::Process;
use Weir::Wait;

my %all;

sub start($class, $behaviour, %option)
{
	my $address = $option{address} // '127.0.0.1';
	if ($address !~ /^unix:/ && $address !~ /:\d+$/) {
		$address .= ':' . free_port();
	}
	my $self = bless { address => $address, behaviour => $behaviour, owner => $$,
	    name => $option{name} // $behaviour }, $class;
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
	$self->{pid} = fork() // die "fork: $!\n";
	if ($self->{pid} == 0) {
		Weir::Process::become_child($theirs);
		eval { Weir::Backend::Server->new($theirs, $address, $behaviour, %option)->run };
		print STDERR "# backend $self->{name}: $@" if $@;
		POSIX::_exit($@ ? 1 : 0);
	}
	close($theirs);
	$self->{fh} = $ours;
	$self->_read;
	$all{$self} = $self;
	weaken($all{$self});
	return $self;
}

sub address($self) { return $self->{address} }
sub name($self) { return $self->{name} }
sub pid($self) { return $self->{pid} }

sub port($self)
{
	return $self->{address} =~ /:(\d+)$/ ? $1 : die "$self->{address} has no port\n";
}

sub tell($self, $order, %with)
{
	$with{bytes} = unpack('H*', $with{bytes}) if exists $with{bytes};
	my $line = Weir::JSON::encode({ do => $order, %with }) . "\n";
	syswrite($self->{fh}, $line) == length($line) or die "backend $self->{name}: $!\n";
	return $self->_read;
}

sub report($self) { return $self->tell('report') }

sub wait_report($self, $condition, $seconds = 10)
{
	my $report;
	return $report if wait_for { $condition->($report = $self->report) } $seconds;
	die "backend $self->{name}: not so in time: ", Weir::JSON::encode($report), "\n";
}

sub _read($self)
{
	my $deadline = now() + patience(20);
	my $vec = '';
	vec($vec, fileno($self->{fh}), 1) = 1;
	my $text = '';
	while ($text !~ /\n\z/) {
		my $left = $deadline - now();
		die "backend $self->{name} does not answer\n" if $left <= 0;
		next if select(my $r = $vec, undef, undef, $left) <= 0;
		sysread($self->{fh}, $text, 65536, length($text)) or
		    die "backend $self->{name} is gone\n";
	}
	my $report = Weir::JSON::decode($text);
	$_->{text} = pack('H*', $_->{text}) for @{$report->{conns}};
	return $report;
}

# The end of its control socket ends the process.
sub stop($self)
{
	return if !$self->{fh};
	delete $all{$self};
	close(delete $self->{fh});
	waitpid($self->{pid}, 0);
}

sub DESTROY($self)
{
	local ($?, $@);
	$self->stop if $self->{owner} == $$;
}

sub stop_all($class)
{
	$_->stop for grep { defined } values %all;
}

1;
