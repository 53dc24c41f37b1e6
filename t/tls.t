#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Every protocol over TLS; what is logged, counted and sent when TLS goes wrong.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;

Weir::TLS->needs;
my $pki = Weir::TLS->new;
my $certificate = $pki->certificate('server');
my $line = backend('line');
my $stream = backend('echo');
my ($echo, $lines, $relayed, $slow, $old, $plain) = free_ports(6);
my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[defaults server]
tls = edge
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines
[server plain]
listen = 127.0.0.1:$plain
protocol = line_proxy
upstream = lines
tls = off
[server relayed]
listen = 127.0.0.1:$relayed
protocol = stream_proxy
upstream = stream
[server slow]
listen = 127.0.0.1:$slow
protocol = echo
handshake_timeout = 300ms
[server old]
listen = 127.0.0.1:$old
protocol = echo
tls = old
[upstream lines]
server = @{[$line->address]}
[upstream stream]
server = @{[$stream->address]}
[tls edge]
certificate = $certificate
[tls old]
certificate = $certificate
protocols = TLSv1.2
ktls = on
CONF

it 'echo, in both versions' => sub {
	for my $port ($echo, $old) {
		my $c = $pki->client($port, ca => 'server', name => 'localhost');
		ok $c->ping, $port == $old ? 'TLS 1.2' : 'TLS 1.3';
		ok $c->ask(pattern(1, 0, 100_000)) eq pattern(1, 0, 100_000), 'more than a record';
		$c->close;
	}
	like $pki->shake($old), qr/Protocol\s*: TLSv1.2/;
	like $pki->shake($echo), qr/TLSv1.3/;
};

it 'weir sessions tells of it, and weir close ends it' => sub {
	my @c = map { my $c = $pki->client($_); $c->ping; $c } $echo, $old;
	my $table = $w->command('sessions')->{out};
	like $table, qr/^\d+\.\d+ .* talk +TLSv1\.3 +-$/m;
	like $table, qr/^\d+\.\d+ +old .* talk +TLSv1\.2 +-$/m;
	is $w->command('close', '--from', '127.0.0.0/8', '--rate', 0, '--wait')->{out}, "2 sessions closed\n";
	is $_->ending, 'eof' for @c;
	$_->close for @c;
};

it 'line_proxy and stream_proxy over it' => sub {
	my $c = $pki->client($lines);
	is $c->ask("a\nb\nc\n"), "a\nb\nc\n";
	$c->close;
	$c = $pki->client($relayed);
	my $moved = $c->transfer(out => 3 << 20, in => 3 << 20);
	$c->close;
	$stream->wait_report(sub ($r) { $r->{open} == 0 });
	is $stream->report->{conns}[-1]{md5}, $moved->{md5}, 'bulk, both ways';
};

it 'ends with close_notify, and tells one that comes without' => sub {
	$w->mark;
	my $c = $pki->client($echo);
	$c->ping;
	$c->shutdown;
	is $c->ending, 'eof', 'the client ends, and is answered';
	unlike $c->said, qr/unexpected eof/, 'with close_notify';
	$w->wait_log(qr/closed: client_closed, /);
	$c = $pki->client($relayed);
	$c->ask('x');
	kill('KILL', $c->{pid});
	$w->wait_log(qr/closed: client_failed: its end came without close_notify/);
	$stream->wait_report(sub ($r) { $r->{open} == 0 });
	is $stream->report->{conns}[-1]{ended}, 'reset', 'what was cut short does not look whole';
};

it 'a backend that ends, ends the client' => sub {
	my $c = $pki->client($relayed, half => 1);
	$c->ask('x');
	$stream->tell('finish_all');
	is $c->ending, 'eof';
	unlike $c->said, qr/unexpected eof/;
};

# What comes back for these bytes, and how the session ends.
sub stranger($bytes, $port = $echo)
{
	$w->mark;
	my $c = client($port);
	$c->send($bytes);
	my $got = eval { $c->rest } // "died: $@";
	$c->close;
	my ($end) = $w->wait_log(qr/closed: (\w+)/) && $w->log_since =~ /closed: (\w+(?:: [^,]+)?)/;
	return (unpack('H*', $got), $end);
}

it 'what is no TLS is refused, with a reason' => sub {
	my ($got, $end) = stranger("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	is $end, 'handshake_failed: plain HTTP on a TLS port';
	($got, $end) = stranger("\0" x 2000);
	is $end, 'handshake_failed: what it sent is not TLS';
	($got, $end) = stranger("\x16\x03\x01\x00\x04\x0e\x00\x00\x00");
	like $got, qr{^15030[13]0002020a}, 'a message that may not come: unexpected_message';
	like $end, qr/^handshake_failed: /;
	srand(1);
	for my $n (1 .. 20) {
		(undef, $end) = stranger("\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" . join('', map { chr(int(rand(256))) } 1 .. 58));
		like $end, qr/^handshake_failed: /, "random hello $n";
	}
};

it 'TLS on a port without it is told' => sub {
	my $c = client($plain);
	is $c->ask("\x16\n"), "\x16\n";
	$w->mark;
	$c = client($plain);
	is $c->ask("\x16\x03\x01\x00\x04\n"), "\x16\x03\x01\x00\x04\n", 'and it may be a request';
	$w->wait_log(qr/warn .*begins like TLS, which server plain does not speak: set tls for it/);
	unlike $w->log, qr/begins like TLS.*begins like TLS/s, 'once a minute, and not for others';
};

it 'who says nothing, or stops, has handshake_timeout' => sub {
	$w->mark;
	my $silent = client($slow);
	is $silent->ending, 'eof';
	$w->wait_log(qr/closed: handshake_timeout.*server slow/);
	$w->mark;
	my $half = client($slow);
	$half->send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
	isnt $half->ending, 'open';
	$w->wait_log(qr/closed: handshake_timeout.*server slow/);
	is $w->status->server('slow')->{end_handshake_timeout}, 2, 'they are counted';
	$w->mark;
	client($slow)->close;
	$w->wait_log(qr/closed: client_closed, 0 bytes/);
};

it 'renegotiation is refused' => sub {
	my $c = $pki->client($old);
	ok $c->ping;
	$w->mark;
	$c->send("R\n");		# a command of s_client
	isnt $c->ending, 'open';
	like $c->said, qr/no renegotiation/;
	$w->wait_log(qr/closed: client.*server old/);
};

it 'a client that does not trust us is told to the operator' => sub {
	$pki->certificate('other');
	$w->mark;
	like $pki->shake($echo, ca => 'other'), qr/self-signed|verify error/;
	$w->wait_log(qr/info .*closed: handshake_failed: it sent the alert "unknown CA"/);
	$w->wait_log(qr/warn .*handshakes fail: it sent the alert/);
	$w->mark;
	$pki->shake($echo, ca => 'other');
	$w->wait_log(qr/closed: handshake_failed/);
	unlike $w->log_since, qr/warn/, 'once a minute';
};

it 'an old version is refused by its alert' => sub {
	like $pki->shake($echo, args => ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']), qr/alert protocol version/;
	like $pki->shake($old, args => ['-tls1_3']), qr/alert protocol version/;
};

it 'the counters agree' => sub {
	my $s = $w->status->server('echo');
	is $s->{handshakes}, 0, 'none is open';
	cmp_ok $s->{handshakes_full}, '>', 2;
	cmp_ok $s->{end_handshake_failed}, '>', 20;
};

it 'what the kernel does not encrypt is told, and counted' => sub {
	like $w->console . $w->log, qr/:\d+: warning: this weir encrypts by itself, not in the kernel/;
	my $s = $w->status->server('old');
	cmp_ok $s->{ktls_fallbacks}, '>', 0;
	is $s->{ktls_fallbacks}, $s->{handshakes_full} + $s->{handshakes_resumed}, 'each session';
	is $w->status->server('echo')->{ktls_fallbacks}, 0, 'but not where nobody asked for it';
};

SKIP: {
	skip 'needs curl', 1 if !program('curl');
	it 'curl' => sub {
		my $web = backend('script', data => sub ($conn, $bytes) {
			$conn->send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") if $bytes =~ /\r\n\r\n/;
		});
		my $port = free_port;
		my $front = weir(<<"CONF");
[server web]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = web
tls = web
[upstream web]
server = @{[$web->address]}
[tls web]
certificate = $certificate
alpn = http/1.1
CONF
		my $got = Weir::Process::run(['curl', '-sS', '--cacert', $pki->path('server.pem'), '--resolve',
		    "localhost:$port:127.0.0.1", "https://localhost:$port/"]);
		is $got->{out}, 'hello' or diag $got->{text};
		$front->stop;
	};
}

done_testing;
