#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Deadlines of sessions of which one side has vanished: what the kernel sends again is
# no sign of life.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
use Weir::Conf;
use Weir::Deadline;
use Weir::Test;

# From now on a socket sees of each segment only its header and $bytes of the rest; with
# none it sees no segment at all, like a machine that has lost its power.
sub shorten($fh, $bytes)
{
	my $filter = pack('SCCL', 0x06, 0, 0, $bytes);	# BPF_RET | BPF_K
	return setsockopt($fh, SOL_SOCKET, SO_ATTACH_FILTER, pack('S x![J] P', 1, $filter));
}

socket(my $probe, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
skip_all("no filter for sockets: $!") if !shorten($probe, 0);

my @names = qw(idle back_idle write back_write half_dead later);
my $echo = backend('echo');
my $large = backend('source', bytes => 256 << 20);

socket(my $listener, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
bind($listener, pack_sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, 8)
    or die "a listener: $!\n";
my ($own) = unpack_sockaddr_in(getsockname($listener));

our ($w, %port);

# One worker: its timers expire in the order of their times, however late it is.
sub start($T)
{
	@port{@names} = free_ports(scalar @names);
	my @idle = (idle_timeout => ms($T));
	my @write = (write_timeout => ms($T));
	return weir(conf_text(
		weir => [workers => 1],
		servers => {
			idle => ["127.0.0.1:$port{idle}", 'stream_proxy', 'echo', @idle],
			back_idle => ["127.0.0.1:$port{back_idle}", 'stream_proxy', 'own', @idle],
			write => ["127.0.0.1:$port{write}", 'stream_proxy', 'large', @write],
			back_write => ["127.0.0.1:$port{back_write}", 'stream_proxy', 'own', @write],
			half_dead => ["127.0.0.1:$port{half_dead}", 'stream_proxy', 'large', @write],
			later => ["127.0.0.1:$port{later}", 'echo', undef, max_lifetime => ms(1.8 * $T)],
		},
		upstreams => {
			echo => [$echo->address],
			large => [$large->address],
			own => ["127.0.0.1:$own"],
		}));
}

# A client of that server, and the connection to its peer, which is this test.
sub both($name)
{
	my $c = client($port{$name});
	ok wait_for {
		my $ready = '';
		vec($ready, fileno($listener), 1) = 1;
		select($ready, undef, undef, 0);
	};
	accept(my $peer, $listener) or die "accept: $!\n";
	return ($c, $peer);
}

sub moved($name, $way) { return $w->status->server($name)->{"bytes_$way"} }

# The reasons why sessions have ended up to now, by their servers, in order.
sub endings()
{
	return map { /, server (\w+)\b.*\bclosed: (\w+)|\bclosed: (\w+).*, server (\w+)/ ?
	    [$1 // $4, $2 // $3] : () } split(/\n/, $w->log);
}

# All of them, with something having gone each way; through pipes, where there is so much.
sub flowing()
{
	my %of;
	@of{qw(back_idle idle_peer)} = both('back_idle');
	@of{qw(back_write write_peer)} = both('back_write');
	$of{$_} = client($port{$_}) for qw(idle write half_dead);
	ok $of{idle}->ping;
	is length($of{$_}->recv(1 << 20)), 1 << 20 for qw(write half_dead);
	my $text = pattern(1, 0, 64 << 10);
	for (1 .. 16) {
		$of{back_write}->send($text);
		my $left = length($text);
		$left -= sysread($of{write_peer}, my $got, $left) || die "the peer: $!\n" while $left > 0;
	}
	return \%of;
}

# Of each session one side, when nothing is taken any more.
sub vanish($of)
{
	my $text = pattern(1, 0, 1 << 20);
	my $before = '';
	ok shorten($of->{write}->fh, 0);
	ok shorten($of->{half_dead}->fh, 1);
	ok shorten($of->{write_peer}, 0);
	ok wait_for {
		$of->{back_write}->send_some($text);
		my $now = join(' ', moved('write', 'out'), moved('half_dead', 'out'),
		    moved('back_write', 'in'));
		my $same = $now eq $before;
		$before = $now;
		return $same;
	}, 'until nothing is taken any more';
	my $out = moved('idle', 'out');
	ok shorten($of->{idle}->fh, 0);
	$echo->tell('send', bytes => 'x' x 100);
	ok wait_for { moved('idle', 'out') == $out + 100 };
	ok shorten($of->{idle_peer}, 0);
	$of->{back_idle}->send('x' x 100);
	ok wait_for { moved('back_idle', 'in') == 100 };
}

# A stall of less than 0.8 of $T does no harm.
with_time 'what has vanished is given up in time' => [3, 6, 12], sub ($T) {
	local %port;
	local $w = start($T);
	my $of = flowing();
	vanish($of);

	# What began later and lasts longer does not end before.
	my $c = client($port{later});
	ok $c->ping;
	ok wait_for {
		$of->{half_dead}->send_some('x');	# acknowledges, but nothing new
		grep { $_->[0] eq 'later' } endings();
	} 1.8 * $T + 20;
	my %why;
	for (endings()) {
		last if $_->[0] eq 'later';
		$why{$_->[0]} = $_->[1];
	}
	for my $name (@names[0 .. 4]) {
		is $why{$name}, $name =~ /idle/ ? 'idle_timeout' : 'write_timeout', $name;
	}
	$_->reset for @$of{qw(idle back_idle write back_write half_dead)}, $c;
	$w->stop;
};

done_testing;
