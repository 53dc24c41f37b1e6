#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A dead peer at a port that the kernel may choose: what connects to it must not be
# connected to itself. In a network namespace of its own, with this one port.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
use Weir::Process;
use Weir::Stress;
use Weir::Test;

my @ip = program('ip');
my $inside = $ENV{WEIR_TEST_NAMESPACE} // '';
if ($inside ne $$) {
	skip_all('not root') if $> != 0;
	my $unshare = program('unshare');
	skip_all('no unshare and ip') if !$unshare || !$ip[0];
	my $result = Weir::Process::run([$unshare, '-n', '--', @ip, 'link', 'set', 'lo', 'up']);
	skip_all("no network namespaces: $result->{text}") if $result->{exit} != 0;
	$ENV{WEIR_TEST_NAMESPACE} = $$;
	exec($unshare, '-n', '--', $^X, "$FindBin::Bin/$FindBin::Script") or die "$unshare: $!\n";
}

my $PORT = 40000;
my $up = Weir::Process::run([@ip, qw(link set lo up)]);
die $up->{text} if $up->{exit} != 0;
open(my $fh, '>', '/proc/sys/net/ipv4/ip_local_port_range') or die "ip_local_port_range: $!\n";
print $fh "$PORT $PORT\n";
close($fh) or die "ip_local_port_range: $!\n";

# Otherwise nothing is shown.
it 'here a connection to the port is one to itself' => sub {
	socket(my $s, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
	ok connect($s, pack_sockaddr_in($PORT, INADDR_LOOPBACK));
	is getsockname($s), getpeername($s);
	setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
};

my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server proxy]
listen = unix:run/proxy.sock
protocol = stream_proxy
upstream = stream
[server lines]
listen = unix:run/lines.sock
protocol = line_proxy
upstream = requests
line_failure = "nobody there"
[upstream stream]
server = 127.0.0.1:$PORT max_fails=0
[upstream requests]
server = 127.0.0.1:$PORT max_fails=0
CONF

sub path($name) { return 'unix:' . $w->path("run/$name.sock") }

it 'a stream is refused' => sub {
	my $c = client(path('proxy'));
	isnt $c->ending, 'open', 'and does not come back to who sent it';
	ok wait_for { $w->status->server('proxy')->{sessions} == 0 };
	is $w->status->server('proxy')->{end_connect_failed}, 1;
};

it 'a request fails' => sub {
	is client(path('lines'))->ask("who is there?\n", "nobody there\n"), "nobody there\n",
	    'and is not its own reply';
};

it 'weir-stress is refused' => sub {
	my $r = stress(qw(echo -c 1 -d 100ms), "127.0.0.1:$PORT");
	is $r->{of}{answered} // 0, 0;
	like $r->{text}, qr/refused/;
};

done_testing;
