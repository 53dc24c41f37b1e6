#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# PROXY headers in front of what clients send: who the client is then, and what becomes of bad ones.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my ($echo, $small, $none, $lines, $relay, $slow) = free_ports(6);
my $backend = backend('echo');
my $service = backend('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
[defaults server]
proxy_protocol = on
[server echo]
listen = 127.0.0.1:$echo
listen = unix:run/echo.sock mode=0666
protocol = echo
proxy_protocol_from = 127.0.0.1 unix:
[server small]
listen = 127.0.0.1:$small
protocol = echo
read_buffer = 1k
[server none]
listen = 127.0.0.1:$none
protocol = echo
proxy_protocol_from = 192.0.2.0/24
proxy_protocol_from = 2001:db8::/32 127.0.0.2
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines
[server relay]
listen = 127.0.0.1:$relay
protocol = stream_proxy
upstream = relay
[server slow]
listen = 127.0.0.1:$slow
protocol = echo
handshake_timeout = 1s
[upstream lines]
server = @{[$service->address]}
[upstream relay]
server = @{[$backend->address]}
CONF

my $signature = "\r\n\r\n\0\r\nQUIT\n";
my $inet = pack('C4 C4 n n', 192, 0, 2, 1, 198, 51, 100, 2, 56324, 443);
my $v1 = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
my $v2 = $signature . pack('C C n/a*', 0x21, 0x11, $inet);

sub count($server, $reason) { return $w->status->server($server)->{"end_$reason"} }

# ended($server, $reason, $code): what it does ends one session more for that reason.
sub ended($server, $reason, $code)
{
	my $before = count($server, $reason);
	$code->();
	ok wait_for { count($server, $reason) == $before + 1 }, "counted as $reason";
}

my @good = (
	['version 1', $v1, '192\.0\.2\.1:56324'],
	['version 1, IPv6', "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", '\[2001:db8::1\]:1'],
	['UNKNOWN', "PROXY UNKNOWN and more\r\n", undef],
	['version 2', $v2, '192\.0\.2\.1:56324'],
	['version 2, IPv6', $signature . pack('C C n/a*', 0x21, 0x21, pack('x15 C x15 C n n', 1, 2, 7, 8)),
	    '\[::1\]:7'],
	['version 2, UNIX', $signature . pack('C C n/a*', 0x21, 0x31, pack('a108 a108', '/from', '/to')), 'unix:'],
	['LOCAL', $signature . pack('C C n/a*', 0x20, 0, 'what nobody reads'), undef],
	['version 2 with extensions', $signature . pack('C C n/a*', 0x21, 0x11,
	    $inet . pack('C n/a*', 4, 'x' x 10_000)), '192\.0\.2\.1:56324'],
);
for my $case (@good) {
	my ($name, $header, $from) = @$case;

	for my $way (['at once', 'send'], ['byte by byte', 'dribble']) {
		my ($how, $method) = @$way;
		next if $method eq 'dribble' && length($header) > 1000;
		for my $server (['echo', $echo], ['small', $small], ['relay', $relay],
		    ['lines', $lines], ['echo', 'unix:' . $w->path('run/echo.sock')]) {
			my ($server_name, $address) = @$server;

			it "$name, $how, to $server_name" => sub {
				$w->mark;
				my $c = client($address);
				$c->$method("${header}hello\n");
				is $c->recv(6), "hello\n", 'what is behind it goes on';
				ok $c->ping, 'and what follows';
				is $c->shutdown->ending, 'eof';
				my $proxy = $address =~ /^unix/ ? qr/unix:/ : qr/127\.0\.0\.1:\d+/;
				my $client = $from // $proxy;
				my $rest = defined $from ? '' : ', which tells of no client';
				$w->wait_log(qr/PROXY header of $proxy$rest, session \S+, client $client, server $server_name\b/);
				$w->wait_log(qr/closed: client_closed, .*, client $client, server $server_name/);
			};
		}
	}
}

it 'counts the header as what the client has sent' => sub {
	my $before = $w->status->server('echo')->{bytes_in};
	my $c = client($echo);
	is $c->ask("${v1}hello", 'hello'), 'hello';
	is $w->status->server('echo')->{bytes_in} - $before, length($v1) + 5;
};

it 'begins the session when the header is whole, not before' => sub {
	my $before = $backend->report->{accepted};
	my $c = client($relay);
	$c->send(substr($v1, 0, -1));
	client($echo)->ask("${v1}hello", 'hello');	# time for weir to have seen it
	is $backend->report->{accepted}, $before, 'no peer is connected to';
	is $c->ask("\nhello", 'hello'), 'hello';
	is $backend->report->{accepted}, $before + 1;
};

it 'carries much that comes with the header' => sub {
	my $bytes = pattern(3, 0, 3_000_000);
	for my $address ($echo, $small, $relay) {
		my $c = client($address, timeout => 30);
		$c->send($v2 . substr($bytes, 0, 50_000));
		ok $c->recv(50_000) eq substr($bytes, 0, 50_000), 'what came with it';
		my $moved = $c->transfer(out => 3_000_000, in => 3_000_000, finish => 1);
		is $moved->{in}, 3_000_000, 'and all behind it';
	}
};

my @bad = (
	['HTTP', "GET / HTTP/1.1\r\n\r\n", 'no PROXY header'],
	['TLS', "\x16\x03\x01\x02\x00\x01\x00", 'no PROXY header'],
	['a bad address', "PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\nhello", 'an address that is none'],
	['a line without an end', 'PROXY UNKNOWN ' . 'x' x 200, 'longer than 107 bytes'],
	['a bare LF', "PROXY TCP4 192.0.2.1 192.0.2.1 1 2\nhello", 'CR LF'],
	['version 3', $signature . pack('C C n/a*', 0x31, 0x11, $inet), 'another version'],
	['a short address', $signature . pack('C C n/a*', 0x21, 0x11, 'short'), 'too short'],
	['a wrong checksum', $signature . pack('C C n/a*', 0x21, 0x11, $inet . pack('C n N', 3, 4, 1)),
	    'a wrong checksum'],
	['16 KiB and a byte', $signature . pack('C C n', 0x21, 0x11, 16384 - 15), 'longer than 16 KiB'],
);
for my $case (@bad) {
	my ($name, $header, $says) = @$case;

	it "sends $name away" => sub {
		$w->mark;
		ended(echo => 'bad_proxy_header', sub {
			my $c = client($echo);
			$c->send($header);
			isnt $c->ending, 'open';
		});
		$w->wait_log(qr/closed: bad_proxy_header: .*$says.*, client 127\.0\.0\.1:\d+, server echo/);
	};
}

it 'says once what may be wrong' => sub {
	like $w->log, qr/ warn .*has what is in front of weir been told to send PROXY headers/;
};

it 'tells one that goes from one that breaks off' => sub {
	ended(echo => 'client_closed', sub { client($echo)->shutdown->ending });
	ended(echo => 'bad_proxy_header', sub {
		my $c = client($echo);
		$c->send_fin(substr($v2, 0, 20));
		isnt $c->ending, 'open';
	});
	ended(echo => 'client_failed', sub {
		my $c = client($echo);
		$c->send('PROXY TCP4');
		ok wait_for { $w->status->server('echo')->{sessions} > 0 };
		$c->reset;
	});
};

it 'takes headers only from those who may send them' => sub {
	ended(none => 'proxy_refused', sub {
		isnt client($none)->ending, 'open', 'the connection is closed';
	});
	$w->wait_log(qr/ warn .*not in proxy_protocol_from.*client 127\.0\.0\.1:\d+, server none/);
	is client($none, source => '127.0.0.2')->ask("${v1}hello", 'hello'), 'hello', 'others go on';
};

it 'waits for handshake_timeout, however slowly bytes come' => sub {
	ended(slow => 'handshake_timeout', sub { isnt client($slow)->ending, 'open' });
	ended(slow => 'handshake_timeout', sub {
		my $c = client($slow);
		my $sent = 0;
		my $over = wait_for {
			$sent += $c->send_some(substr($signature . "\x21\x31\x02\xd8" . 'x' x 10_000, $sent, 1)) if $sent < 9000;
			my $vec = '';
			vec($vec, fileno($c->fh), 1) = 1;
			select($vec, undef, undef, 0) > 0;
		};
		ok $over, 'it is closed';
	});
	my $c = client($slow);
	$c->ask("${v1}hello", 'hello');
	# One that comes later has run out of its time by then.
	isnt client($slow)->ending, 'open';
	ok $c->ping, 'and not for what comes later';
};

it 'keeps nothing for it afterwards' => sub {
	skip_all('a sanitizer or valgrind has memory of its own')
	    if Weir::Build::sanitized() || Weir::Build::valgrind();
	my @clients = map { client($echo)->send(substr($v2, 0, -1)) } 1 .. 2000;
	ok wait_for { $w->status->server('echo')->{sessions} >= 2000 }, '2,000 clients';
	my $waiting = $w->memory;
	$_->send(substr($v2, -1) . 'hello') for @clients;
	$_->recv(5) for @clients;
	# The kernel's count of pages is off by 32 for each processor at times.
	cmp_ok $w->memory, '<=', $waiting + (1 << 19), 'nothing more than while they waited';
	my @more = map { client($echo)->send("${v2}hello") } 1 .. 2000;
	$_->recv(5) for @more;
	cmp_ok $w->memory - $waiting, '<', 2000 * 600, 'and less for those behind them';
};

# checked($listen, @from): what -t says of a server that is listened on there.
sub checked($listen, @from)
{
	my $d = Weir::Daemon->new(join("\n", '[server s]', "listen = $listen", 'protocol = echo', 'proxy_protocol = on',
	    (map { "proxy_protocol_from = $_" } @from), ''));
	my $result = $d->command('-t');
	is $result->{exit}, 0, "$listen, from " . (join(', ', @from) || 'whom it does not say');
	return $result->{text};
}

it 'warns where everybody is trusted' => sub {
	my $everybody = 'warning: proxy_protocol_from trusts everybody';
	for my $from ('all', '0.0.0.0/0', '::/0', '192.0.2.1 ::/0') {
		like checked("127.0.0.1:$echo", $from), qr/:5: $everybody/;
	}
	like checked("*:$echo"), qr/:4: $everybody/, 'at proxy_protocol, where it is not set';
	unlike checked("127.0.0.1:$echo"), qr/$everybody/, 'not set, and reached from here alone';
	unlike checked("*:$echo", '192.0.2.0/24 unix:', '2001:db8::/32'), qr/$everybody/;
};

done_testing;
