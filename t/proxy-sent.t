#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What peers are told of clients by PROXY headers: by stream_proxy, by pool = session, of clients that a header stated.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(unpack_sockaddr_in);
use Weir::Test;

my ($v1, $v2, $again, $lines, $first, $dead, $unused) = free_ports(7);
my $echo = backend('echo');
my $greeter = backend('greeting', text => "220 ready\r\n");
my $line = backend('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
[defaults server]
protocol = stream_proxy
[server v1]
listen = 127.0.0.1:$v1
listen = [::1]:$v1
listen = unix:run/v1.sock mode=0666
upstream = v1
[server v2]
listen = 127.0.0.1:$v2
listen = [::1]:$v2
listen = unix:run/v2.sock mode=0666
upstream = v2
[server again]
listen = 127.0.0.1:$again
proxy_protocol = on
upstream = v2
[server first]
listen = 127.0.0.1:$first
upstream = first
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines
[upstream v1]
server = 127.0.0.1:$unused
server = @{[$echo->address]}
send_proxy_protocol = v1
[upstream v2]
server = @{[$echo->address]}
send_proxy_protocol = v2
[upstream first]
server = @{[$greeter->address]}
send_proxy_protocol = v1
[upstream lines]
server = @{[$line->address]}
pool = session
send_proxy_protocol = v1
CONF

my $signature = "\r\n\r\n\0\r\nQUIT\n";

# read_v2($client): (family, addresses, { type => value }) of the header that an echo gave back.
sub read_v2($c)
{
	my ($start, $command, $family, $length) = unpack('a12 C C n', $c->recv(16));
	die "no header\n" if $start ne $signature || $command != ($family == 0 ? 0x20 : 0x21);
	my $size = { 0 => 0, 0x11 => 12, 0x21 => 36 }->{$family};
	my $rest = $c->recv($length);
	my $addresses = substr($rest, 0, $size, '');
	my %more;
	while ($rest ne '') {
		my ($type, $value) = unpack('C n/a*', $rest);
		$more{$type} = $value;
		substr($rest, 0, 3 + length($value), '');
	}
	return ($family, $addresses, \%more);
}

it 'version 1, IPv4: addresses and ports of the client\'s connection' => sub {
	my $c = client("127.0.0.1:$v1", source => '127.0.0.3');
	my $port = $c->local_port;
	$c->send('hello');
	is $c->line, "PROXY TCP4 127.0.0.3 127.0.0.1 $port $v1\r\n", 'the header comes first, once, to the peer that answers';
	is $c->recv(5), 'hello';
	ok $c->ping;
};

it 'version 1, IPv6 and UNIX' => sub {
	my $c = client("[::1]:$v1");
	$c->send("x");
	like $c->line, qr/^PROXY TCP6 ::1 ::1 \d+ $v1\r\n$/;
	$c = client('unix:' . $w->path('run/v1.sock'));
	$c->send("x");
	is $c->line, "PROXY UNKNOWN\r\n";
};

it 'version 2, IPv4, IPv6 and UNIX, with an id of each session' => sub {
	my $c = client("127.0.0.1:$v2");
	$c->send('hello');
	my ($family, $addresses, $more) = read_v2($c);
	is $family, 0x11;
	is_deeply [unpack('C8 n n', $addresses)], [127, 0, 0, 1, 127, 0, 0, 1, $c->local_port, $v2];
	my ($session) = $more->{5} =~ /^(\d+\.\d+)\@\d{13}$/;
	ok $session, "its id is $more->{5}";
	is join(' ', keys %$more), '5', 'and nothing else is told';
	is $c->recv(5), 'hello';
	$c->shutdown->ending;
	$w->wait_log(qr/client_closed, .* session \Q$session\E, client/);

	$c = client("[::1]:$v2");
	$c->send('x');
	($family, $addresses, my $other) = read_v2($c);
	is $family, 0x21;
	is_deeply [unpack('x15 C x15 C x2 n', $addresses)], [1, 1, $v2];
	isnt $other->{5}, $more->{5}, 'another session, another id';

	$c = client('unix:' . $w->path('run/v2.sock'));
	$c->send('x');
	($family, $addresses) = read_v2($c);
	is $family, 0, 'UNIX: LOCAL, as HAProxy says';
};

it 'passes on what a header has stated' => sub {
	my $c = client($again);
	$c->send("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nhello");
	my ($family, $addresses) = read_v2($c);
	is_deeply [unpack('C8 n n', $addresses)], [192, 0, 2, 1, 198, 51, 100, 2, 56324, 443];
	is $c->recv(5), 'hello';
	$c = client($again);
	$c->send("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\nhello");
	($family, $addresses) = read_v2($c);
	is $family, 0x21, 'of two families: as IPv6';
	is unpack('H*', $addresses), '0' x 20 . 'ffffc0000201' . '20010db8' . '0' x 23 . '2' . '00010002';
	$c = client($again);
	$c->send($signature . "\x20\0\0\0x");
	($family, $addresses) = read_v2($c);
	is_deeply [unpack('C8 n n', $addresses)], [127, 0, 0, 1, 127, 0, 0, 1, $c->local_port, $again],
	    'a proxy that speaks for itself';
};

it 'sends it although the client says nothing' => sub {
	my $c = client($first);
	is $c->line, "220 ready\r\n";
	like $c->line, qr/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ $first\r\n$/;
	ok $c->ping;
};

it 'carries much behind it' => sub {
	my $c = client($v1, timeout => 30);
	$c->send('x');
	$c->line;
	$c->recv(1);
	is $c->transfer(out => 3_000_000, in => 3_000_000, finish => 1)->{in}, 3_000_000;
};

it 'pool = session: once, in front of the first request' => sub {
	for my $source ('127.0.0.4', '127.0.0.5') {
		my $c = client($lines, source => $source);
		$c->send("one\ntwo\n");
		like $c->line, qr/^PROXY TCP4 \Q$source\E 127\.0\.0\.1 \d+ $lines\r\n$/;
		is $c->line, "one\n" if $source eq '127.0.0.4';
		$c->close;
	}
};

sub wrong($server, $upstream, $says)
{
	my $d = Weir::Daemon->new("[server s]\nlisten = 127.0.0.1:$dead\n$server\nupstream = u\n" .
	    "[upstream u]\nserver = 127.0.0.1:9\n$upstream\n");
	my $result = $d->command('-t');
	is $result->{exit}, 1, "$server, $upstream";
	like $result->{text}, $says;
}

it 'refuses it where a connection is not one client\'s' => sub {
	wrong('protocol = line_proxy', 'send_proxy_protocol = v2', qr/it needs pool = session/);
	wrong('protocol = line_proxy', "pool = request\nsend_proxy_protocol = v1", qr/it needs pool = session/);
	wrong('protocol = line_proxy', "pool = session\nsend_proxy_protocol = v1\npool_min_idle = 1", qr/leave pool_min_idle out/);
	wrong('protocol = stream_proxy', 'send_proxy_protocol = on', qr/write off, v1 or v2/);
};

done_testing;
