# SPDX-License-Identifier: BSD-2-Clause
# A name server, a process of its own, over UDP and TCP, steered by the test.
#
#	my $dns = Weir::DNS->start({ 'db.test' => { A => ['127.0.0.1'], ttl => 1 } });
#	$dns->address			127.0.0.1:PORT, for resolver =
#	$dns->zone({ ... })		other records from now on
#	$dns->behave('silent')		see below
#	$dns->queries			{ udp => how many have come, tcp => ... }
#	$dns->stop
#
# Records of a name: A, AAAA (lists of addresses), SRV (a list of [priority, weight, port, target]), CNAME,
# and ttl (seconds, 1 without). What is longer than 512 bytes is truncated over UDP.
#
# Behaviours: answer (at first), silent, refuse (REFUSED), fail (SERVFAIL), garbage (bytes that are no message), lie
# (answers to other questions, from another number, before the right one), cut (the first half of a message).
package Weir::DNS;
use v5.36;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(:all);
use Weir::JSON;
use Weir::Process;

my %types = (A => 1, CNAME => 5, AAAA => 28, SRV => 33);
my %all;

sub start($class, $zone = {})
{
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
	my $self = bless { fh => $ours, owner => $$ }, $class;
	$self->{pid} = fork() // die "fork: $!\n";
	if ($self->{pid} == 0) {
		Weir::Process::become_child($theirs);
		eval { _serve($theirs, _sockets()) };
		print STDERR "# name server: $@" if $@;
		POSIX::_exit($@ ? 1 : 0);
	}
	close($theirs);
	$ours->autoflush(1);
	$self->{port} = $self->zone($zone)->{port};
	return $self;
}

sub address($self) { return "127.0.0.1:$self->{port}" }
sub zone($self, $zone) { return $self->_tell(zone => $zone) }
sub behave($self, $how) { return $self->_tell(behave => $how) }
sub queries($self) { return $self->_tell('report') }

sub stop($self)
{
	return if $self->{owner} != $$ || !$self->{pid};
	close($self->{fh});
	Weir::Process::reap(delete $self->{pid});
	return;
}

sub DESTROY($self)
{
	local ($?, $@, $!);
	$self->stop;
}

sub _tell($self, $order, $with = undef)
{
	my $fh = $self->{fh};
	print $fh Weir::JSON::encode({ order => $order, with => $with }), "\n";
	my $line = <$fh> // die "the name server has ended\n";
	return Weir::JSON::decode($line);
}

# ------------------------------------------------------------------ in the child

# One number for both.
sub _sockets()
{
	for (1 .. 50) {
		my $tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 16, ReuseAddr => 1) // next;
		my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $tcp->sockport, Proto => 'udp');
		return ($udp, $tcp) if $udp;
	}
	die "a port for a name server: $!\n";
}

sub _serve($control, $udp, $tcp)
{
	my %state = (zone => {}, behave => 'answer', udp => 0, tcp => 0);
	my $select = IO::Select->new($control, $udp, $tcp);
	$control->autoflush(1);
	for (;;) {
		for my $fh ($select->can_read) {
			if ($fh == $control) {
				my $line = <$control> // return;
				_obey(\%state, Weir::JSON::decode($line));
				print $control Weir::JSON::encode({ port => $tcp->sockport,
				    udp => $state{udp}, tcp => $state{tcp} }), "\n";
			} elsif ($fh == $udp) {
				my $from = $udp->recv(my $query, 4096) // next;
				$state{udp}++;
				$udp->send($_, 0, $from) for _answers(\%state, $query, 512);
			} elsif ($fh == $tcp) {
				my $conn = $tcp->accept // next;
				$select->add($conn);
			} else {
				# One question is one small segment here.
				my $got = sysread($fh, my $bytes, 4096);
				if ($got && length($bytes) > 2) {
					$state{tcp}++;
					syswrite($fh, pack('n/a*', $_)) for _answers(\%state, substr($bytes, 2), 65535);
					next;
				}
				$select->remove($fh);
				close($fh);
			}
		}
	}
}

sub _obey($state, $order)
{
	$state->{zone} = $order->{with} if $order->{order} eq 'zone';
	$state->{behave} = $order->{with} if $order->{order} eq 'behave';
	return;
}

sub _answers($state, $query, $room)
{
	my $how = $state->{behave};
	my ($id) = unpack('n', $query);
	my ($name, $question) = _question($query);
	return if $how eq 'silent' || !defined $name;
	return "\xff" x 40 if $how eq 'garbage';
	return pack('n6', $id, 0x8180 | 5, 1, 0, 0, 0) . $question if $how eq 'refuse';
	return pack('n6', $id, 0x8180 | 2, 1, 0, 0, 0) . $question if $how eq 'fail';
	my $answer = _answer($state->{zone}, $id, $name, $question, $room);
	return substr($answer, 0, length($answer) / 2) if $how eq 'cut';
	return $answer if $how ne 'lie';
	my $other = _answer({ lc($name) => { A => ['127.0.0.66'], AAAA => ['::66'], ttl => 60 } }, $id ^ 1, $name, $question, $room);
	return ($other, $answer);
}

# The first question's name, and its bytes.
sub _question($query)
{
	my ($at, @labels) = (12);
	while ($at < length($query)) {
		my $length = unpack('C', substr($query, $at, 1));
		$at += 1;
		last if $length == 0;
		push @labels, substr($query, $at, $length);
		$at += $length;
	}
	return if $at + 4 > length($query);
	return (join('.', @labels), substr($query, 12, $at + 4 - 12));
}

sub _name($name)
{
	return join('', map { pack('C/a*', $_) } split(/\./, $name)) . "\0";
}

sub _answer($zone, $id, $name, $question, $room)
{
	my $type = unpack('n', substr($question, -4, 2));
	my $owner = "\xc0\x0c";
	my ($records, $count) = ('', 0);
	my $entry = $zone->{lc $name};
	my $known = defined $entry;
	my $add = sub ($kind, $data) {
		$records .= $owner . pack('nnNn/a*', $types{$kind}, 1, $entry->{ttl} // 1, $data);
		$count++;
	};
	if ($entry && $entry->{CNAME}) {
		$add->(CNAME => _name($entry->{CNAME}));
		$owner = _name($entry->{CNAME});
		$entry = $zone->{lc $entry->{CNAME}};
	}
	if ($entry) {
		$type == $types{A} and $add->(A => inet_aton($_)) for $entry->{A} ? @{$entry->{A}} : ();
		$type == $types{AAAA} and $add->(AAAA => inet_pton(AF_INET6, $_)) for $entry->{AAAA} ? @{$entry->{AAAA}} : ();
		$type == $types{SRV} and $add->(SRV => pack('nnn', @$_[0 .. 2]) . _name($_->[3])) for $entry->{SRV} ? @{$entry->{SRV}} : ();
	}
	my $flags = 0x8180 | ($known ? 0 : 3);
	return pack('n6', $id, $flags | 0x0200, 1, 0, 0, 0) . $question
	    if 12 + length($question) + length($records) > $room;
	return pack('n6', $id, $flags, 1, $count, 0, 0) . $question . $records;
}

1;
