#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Deadlines of sessions of which one side has vanished: what the kernel sends again is
# no sign of life.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
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
my %port;
@port{@names} = free_ports(scalar @names);
my $echo = backend('echo');
my $large = backend('source', bytes => 256 << 20);

socket(my $listener, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
bind($listener, pack_sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, 8)
    or die "a listener: $!\n";
my ($own) = unpack_sockaddr_in(getsockname($listener));

my $T = patience(3);	# a stall of the machine of less than 0.8 of it does no harm
my $ms = int($T * 1000) . 'ms';
my $later = int($T * 1800) . 'ms';

# One worker: its timers expire in the order of their times, however late it is.
my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info

[server idle]
listen = 127.0.0.1:$port{idle}
protocol = stream_proxy
upstream = echo
idle_timeout = $ms

[server back_idle]
listen = 127.0.0.1:$port{back_idle}
protocol = stream_proxy
upstream = own
idle_timeout = $ms

[server write]
listen = 127.0.0.1:$port{write}
protocol = stream_proxy
upstream = large
write_timeout = $ms

[server back_write]
listen = 127.0.0.1:$port{back_write}
protocol = stream_proxy
upstream = own
write_timeout = $ms

[server half_dead]
listen = 127.0.0.1:$port{half_dead}
protocol = stream_proxy
upstream = large
write_timeout = $ms

[server later]
listen = 127.0.0.1:$port{later}
protocol = echo
max_lifetime = $later

[upstream echo]
server = @{[$echo->address]}
[upstream large]
server = @{[$large->address]}
[upstream own]
server = 127.0.0.1:$own
CONF

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

my ($idle, $write, $half_dead);
my ($back_idle, $idle_peer) = both('back_idle');
my ($back_write, $write_peer) = both('back_write');

it 'bytes flow' => sub {
	my $text = pattern(1, 0, 64 << 10);
	$idle = client($port{idle});
	ok $idle->ping;
	# so many that they go through pipes
	$write = client($port{write});
	is length($write->recv(1 << 20)), 1 << 20;
	$half_dead = client($port{half_dead});
	is length($half_dead->recv(1 << 20)), 1 << 20;
	for (1 .. 16) {
		$back_write->send($text);
		my $left = length($text);
		$left -= sysread($write_peer, my $got, $left) || die "the peer: $!\n" while $left > 0;
	}
	pass;
};

it 'one side vanishes' => sub {
	my $text = pattern(1, 0, 1 << 20);
	my $before = '';
	ok shorten($write->fh, 0);
	ok shorten($half_dead->fh, 1);
	ok shorten($write_peer, 0);
	ok wait_for {
		$back_write->send_some($text);
		my $now = join(' ', moved('write', 'out'), moved('half_dead', 'out'),
		    moved('back_write', 'in'));
		my $same = $now eq $before;
		$before = $now;
		return $same;
	}, 'until nothing is taken any more';
	my $out = moved('idle', 'out');
	ok shorten($idle->fh, 0);
	$echo->tell('send', bytes => 'x' x 100);
	ok wait_for { moved('idle', 'out') == $out + 100 };
	ok shorten($idle_peer, 0);
	$back_idle->send('x' x 100);
	ok wait_for { moved('back_idle', 'in') == 100 };
};

# The reasons why sessions have ended up to now, by their servers, in order.
sub endings()
{
	return map { /, server (\w+)\b.*\bclosed: (\w+)|\bclosed: (\w+).*, server (\w+)/ ?
	    [$1 // $4, $2 // $3] : () } split(/\n/, $w->log);
}

# What began later and lasts longer has not ended before.
it 'and its session ends in time' => sub {
	my $c = client($port{later});
	ok $c->ping;
	ok wait_for {
		$half_dead->send_some('x');	# acknowledges, but nothing new
		grep { $_->[0] eq 'later' } endings();
	} 20;
	my %why;
	for (endings()) {
		last if $_->[0] eq 'later';
		$why{$_->[0]} = $_->[1];
	}
	for my $name (@names[0 .. 4]) {
		is $why{$name}, $name =~ /idle/ ? 'idle_timeout' : 'write_timeout', $name;
	}
};

done_testing;
