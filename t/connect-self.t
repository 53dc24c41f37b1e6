#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A dead peer at a port that the kernel may choose: what connects to it must not be
# connected to itself. In a network namespace of its own, with this one port.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
use Weir::Conf;
use Weir::Namespace;
use Weir::Stress;
use Weir::Test;

own_namespace;

my $PORT = 40000;
sysctl('ipv4/ip_local_port_range', "$PORT $PORT");

# Otherwise nothing is shown.
it 'here a connection to the port is one to itself' => sub {
	socket(my $s, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
	ok connect($s, pack_sockaddr_in($PORT, INADDR_LOOPBACK));
	is getsockname($s), getpeername($s);
	setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
};

my $peer = "127.0.0.1:$PORT max_fails=0";
my $w = weir(conf_text(
	weir => [workers => 1],
	servers => {
		proxy => ['unix:run/proxy.sock', 'stream_proxy', 'stream'],
		lines => ['unix:run/lines.sock', 'line_proxy', 'requests', line_failure => '"nobody there"'],
	},
	upstreams => { stream => [$peer], requests => [$peer] }));

it 'a stream is refused' => sub {
	my $c = client($w->address('proxy'));
	isnt $c->ending, 'open', 'and does not come back to who sent it';
	ok wait_for { $w->status->server('proxy')->{sessions} == 0 };
	is $w->status->server('proxy')->{end_connect_failed}, 1;
};

it 'a request fails' => sub {
	is client($w->address('lines'))->ask("who is there?\n", "nobody there\n"), "nobody there\n",
	    'and is not its own reply';
};

it 'weir-stress is refused' => sub {
	my $r = stress(qw(echo -c 1 -d 100ms), "127.0.0.1:$PORT");
	is $r->{of}{answered} // 0, 0;
	like $r->{text}, qr/refused/;
};

done_testing;
