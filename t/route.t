#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Clients go where their ClientHello leads, whatever it is cut into; what leads nowhere is sent away with words.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;

Weir::Build::ignore_leaks();

my ($port, $strict, $proxied, $slow, $small, $real) = free_ports(6);
my %backend = map { $_ => backend('named', name => $_) } qw(web app deep api acme h2 other);
my $routes = join("\n", map { "route = $_" } 'sni:*.example.com app', 'sni:www.Example.COM. web',
    'sni:*.deep.example.com deep', 'sni:api api', 'alpn:acme-tls/1 acme', 'alpn:h2c h2');
my $upstreams = join("\n", map { "[upstream $_]\nserver = " . $backend{$_}->address } sort keys %backend);

my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
[defaults server]
protocol = stream_proxy
[server any]
listen = 127.0.0.1:$port
$routes
route = default other
[server strict]
listen = 127.0.0.1:$strict
$routes
[server proxied]
listen = 127.0.0.1:$proxied
proxy_protocol = on
$routes
[server slow]
listen = 127.0.0.1:$slow
handshake_timeout = 300ms
$routes
[server small]
listen = 127.0.0.1:$small
read_buffer = 1k
write_buffer = 1k
$routes
$upstreams
CONF

# hello(name => ..., alpn => [...], records => BYTES, padding => BYTES, extensions => BYTES)
sub hello(%want)
{
	my $extensions = "\x0a\x0a\0\0";
	$extensions .= pack('n n/a*', 16, pack('n/a*', join('', map { pack('C/a*', $_) } $want{alpn}->@*)))
	    if $want{alpn};
	$extensions .= pack('n n/a*', 21, "\0" x $want{padding}) if $want{padding};
	$extensions .= pack('n n/a*', 0, pack('n/a*', pack('C n/a*', 0, $want{name}))) if defined $want{name};
	$extensions .= $want{extensions} // '';
	my $body = "\3\3" . 'r' x 32 . "\x20" . 's' x 32 . "\0\2\x13\1\1\0" . pack('n/a*', $extensions);
	my $message = pack('C C n', 1, length($body) >> 16, length($body) & 0xffff) . $body;
	my $size = $want{records} // 16384;
	return join('', map { "\x16\3\1" . pack('n/a*', $_) } unpack("(a$size)*", $message));
}

# goes_to($address, $bytes, $name, $method): the backend of that name has got them all.
sub goes_to($address, $bytes, $name, $method = 'send')
{
	my $c = client($address);
	$c->$method($bytes);
	my $said = $c->line;
	return $said eq "$name\n" && $c->recv(length($bytes)) eq $bytes && $c->ping && 1 || diag "to $said";
}

sub count($server, $reason) { return $w->status->server($server)->{"end_$reason"} }

# refused($server, $address, $reason, $bytes, $alert): the alert comes, then the end; it is counted.
sub refused($server, $address, $reason, $bytes, $alert)
{
	my $before = count($server, $reason);
	my $c = client($address);
	$c->send($bytes);
	my $wanted = defined $alert ? pack('C3 n C2', 21, 3, 3, 2, 2, $alert) : '';
	is unpack('H*', $c->rest), unpack('H*', $wanted), 'the alert';
	ok wait_for { count($server, $reason) == $before + 1 }, "counted as $reason";
}

my @ways = (
	[web => 'an exact name', name => 'www.example.com'],
	[web => 'in another case', name => 'WWW.eXample.com'],
	[web => 'with a dot at its end', name => 'www.example.com.'],
	[app => 'a wildcard', name => 'a.example.com'],
	[app => 'two parts below it', name => 'a.b.example.com'],
	[deep => 'the longer wildcard', name => 'a.deep.example.com'],
	[deep => 'below it', name => 'www.example.com.deep.example.com'],
	[app => 'not its own name', name => 'deep.example.com'],
	[other => 'nor that of the shorter', name => 'example.com'],
	[other => 'nor a name that ends alike', name => 'anexample.com'],
	[api => 'a name of one part', name => 'api'],
	[acme => 'a protocol before a name', name => 'www.example.com', alpn => ['http/1.1', 'acme-tls/1']],
	[acme => 'the first line counts', alpn => ['h2c', 'acme-tls/1']],
	[web => 'a protocol without a route', name => 'www.example.com', alpn => ['h2', 'http/1.1']],
	[other => 'neither', alpn => ['h2']],
	[other => 'no extensions but one'],
);
for my $case (@ways) {
	my ($to, $name, %want) = @$case;

	it "$name: $to" => sub {
		ok goes_to($port, hello(%want), $to);
		ok goes_to($port, hello(%want, records => 7), $to), 'in records of 7 bytes';
	};
}

it 'takes it in pieces, byte by byte' => sub {
	for my $records (16384, 100, 1) {
		ok goes_to($port, hello(name => 'www.example.com', records => $records), 'web', 'dribble'),
		    "records of $records bytes";
	}
};

it 'takes 64 KiB of it, with buffers smaller than that' => sub {
	for my $address ($port, $small) {
		ok goes_to($address, hello(name => 'www.example.com', padding => 65_000), 'web');
		ok goes_to($address, hello(name => 'www.example.com', padding => 60_000, records => 20), 'web'),
		    'in 3,000 records';
		ok goes_to($address, hello(name => 'www.example.com') . pattern(1, 0, 200_000), 'web'),
		    'and what comes behind it';
	}
};

it 'lets others go to the default, or sends them away' => sub {
	ok goes_to($port, "GET / HTTP/1.0\r\n\r\n", 'other'), 'HTTP, with a default';
	refused(strict => $strict, 'not_tls', "GET / HTTP/1.0\r\n\r\n", undef);
	$w->mark;
	refused(strict => $strict, 'no_route', hello(name => 'www.example.org'), 112);
	$w->wait_log(qr/no route: the client asks for www\.example\.org, session/);
	refused(strict => $strict, 'no_route', hello(alpn => ['h2']), 112);
	$w->wait_log(qr/no route: the client asks for no name/);
};

it 'says what breaks the rules, with a default or without' => sub {
	my $twice = pack('n n/a*', 0, pack('n/a*', pack('C n/a*', 0, 'b')));
	my @bad = (
		['lengths', hello(extensions => "\0\0\0\x01"), 50],
		['twice', hello(name => 'a', extensions => $twice), 47],
		['host name', hello(name => "a\0b"), 112],
		['16 KiB', "\x16\3\1\x40\1", 22],
		['64 KiB', "\x16\3\1\0\4\1\1\0\0", 47],
		['empty record', "\x16\3\1\0\0", 10],
		['no ClientHello', "\x16\3\1\0\4\2\0\0\0", 10],
		['another record', "\x16\3\1\0\1\1\x15\3\1\0\2\1\0", 10],
	);
	for my $case (@bad) {
		my ($says, $bytes, $alert) = @$case;
		$w->mark;
		refused(any => $port, 'bad_client_hello', $bytes, $alert);
		$w->wait_log(qr/closed: bad_client_hello: [^,]*$says/);
	}
};

it 'tells one that goes from one that breaks off' => sub {
	my $hello = hello(name => 'www.example.com');
	my ($closed, $broken) = (count('any', 'client_closed'), count('any', 'bad_client_hello'));
	client($port)->shutdown->ending;
	ok wait_for { count('any', 'client_closed') == $closed + 1 };
	client($port)->send_fin(substr($hello, 0, -1))->ending;
	ok wait_for { count('any', 'bad_client_hello') == $broken + 1 };
	my $c = client($port);
	$c->send_fin($hello);
	is $c->rest, "web\n$hello", 'one that is whole is passed on with its end';
};

it 'waits for handshake_timeout' => sub {
	isnt client($slow)->ending, 'open', 'one that says nothing';
	my $c = client($slow);
	$c->send("\x16");
	isnt $c->ending, 'open', 'and one that does not go on';
	ok wait_for { count('slow', 'handshake_timeout') == 2 };
};

it 'reads a PROXY header in front of it' => sub {
	my $header = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
	my $hello = hello(name => 'api', records => 50);
	for my $method (qw(send dribble)) {
		my $c = client($proxied);
		$w->mark;
		$c->$method("$header$hello");
		is $c->line, "api\n";
		ok $c->recv(length($hello)) eq $hello, 'the header is not passed on';
		$c->shutdown->ending;
		$w->wait_log(qr/client_closed, .*client 192\.0\.2\.1:56324, server proxied, upstream api/);
	}
	refused(proxied => $proxied, 'bad_proxy_header', $hello, undef);
};

it 'goes another way after a reload' => sub {
	my $old = client($strict);
	$old->send(hello(name => 'api'));
	is $old->line, "api\n";
	$w->edit_conf(sub { s/sni:api api/sni:api web/g });
	is $w->command('-s', 'reload')->{exit}, 0;
	ok goes_to($strict, hello(name => 'api'), 'web');
	$old->recv(length(hello(name => 'api')));
	ok $old->ping, 'who was there stays where it is';
};

# What is wrong with a configuration is said.
sub wrong($text, $says)
{
	my $d = Weir::Daemon->new("[server s]\nlisten = 127.0.0.1:$real\nprotocol = stream_proxy\n$text" .
	    "[upstream u]\nserver = 127.0.0.1:9\n");
	my $result = $d->command('-t');
	is $result->{exit}, 1, $text =~ s/\n/, /gr;
	like $result->{text}, $says;
}

it 'refuses routes that can not be' => sub {
	wrong("route = sni:a u\nupstream = u\n", qr/there is upstream = u, too/);
	wrong("route = default u\n", qr/the only route is the default: write upstream = u/);
	wrong("route = sni:a u\nroute = sni:A. u\n", qr/sni:a has a route already \(.*weir\.conf:4\)/);
	wrong("route = sni:*.a u\nroute = sni:*.A u\n", qr/sni:\*\.a has a route already/);
	wrong("route = alpn:h2 u\nroute = alpn:h2 u\n", qr/alpn:h2 has a route already/);
	wrong("route = sni:a u\nroute = default u\nroute = default u\n", qr/there is one default/);
	wrong("route = sni:a v\n", qr/there is no \[upstream v\]/);
	wrong("route = sni:a\n", qr/names no upstream/);
	wrong("route = sni:a u v\n", qr/has more than/);
	wrong("route = host:a u\n", qr/begins with neither/);
	wrong("route = sni: u\n", qr/has no name behind sni:/);
	wrong("route = sni:*. u\n", qr/has no name behind sni:/);
	wrong("route = sni:* u\n", qr/write default/);
	wrong("route = sni:a.*.b u\n", qr/not the whole first part/);
	wrong("route = sni:a..b u\n", qr/no host can have/);
	wrong("route = sni:b\xc3\xbccher.example u\n", qr/no host can have/);
	wrong("route = alpn: u\n", qr/has no name of a protocol/);
	wrong("route = sni:a u\ntls = t\n", qr/routes pass it on/);
	wrong("", qr/needs an upstream: add upstream = NAME, or routes/);
	my $d = Weir::Daemon->new("[server s]\nlisten = 127.0.0.1:$real\nprotocol = line_proxy\n" .
	    "route = sni:a u\n[upstream u]\nserver = 127.0.0.1:9\n");
	like $d->command('-t')->{text}, qr/routes are for stream_proxy/;
	$d = Weir::Daemon->new("[server s]\nlisten = 127.0.0.1:$real\nprotocol = stream_proxy\n" .
	    "route = sni:a u\nroute = sni:b v\n[upstream u]\nserver = 127.0.0.1:9\n" .
	    "[upstream v]\nserver = 127.0.0.1:$real\n");
	like $d->command('-t')->{text}, qr/leads back/, 'nor one that leads back';
};

it 'counts two descriptors for each session' => sub {
	my $d = Weir::Daemon->new("[weir]\nworkers = 1\nworker_connections = 100\nworker_rlimit_nofile = 300\n" .
	    "[server s]\nlisten = 127.0.0.1:$real\nprotocol = stream_proxy\nroute = sni:a u\n" .
	    "[upstream u]\nserver = 127.0.0.1:9\n");
	my ($lowered) = $d->command('-t')->{text} =~ /worker_connections is lowered to (\d+)/;
	ok $lowered && $lowered > 50 && $lowered < 100, 'as far as they go';
};

it 'finds one of 2,000' => sub {
	my $text = "[server many]\nlisten = 127.0.0.1:$real\nprotocol = stream_proxy\n";
	$text .= "route = sni:host$_.example.com u$_\nroute = sni:*.zone$_.example.com u$_\n" for 1 .. 1000;
	$text .= "[upstream u$_]\nserver = " . $backend{$_ == 777 ? 'app' : 'web'}->address . "\n" for 1 .. 1000;
	my $many = weir("[weir]\nworkers = 1\n$text");
	ok goes_to($real, hello(name => 'host777.example.com'), 'app');
	ok goes_to($real, hello(name => 'a.zone777.example.com'), 'app');
	ok goes_to($real, hello(name => 'host1000.example.com'), 'web');
	$many->stop;
};

# With TLS that others made: two servers, each with its own certificate, told apart by the name.
it 'openssl and curl reach who they ask for' => sub {
	my $openssl = program('openssl') // return skip_all('no openssl');
	my $dir = File::Temp->newdir;
	my %at = (www => free_port, app => free_port);
	my @servers;
	for my $name (sort keys %at) {
		my $made = Weir::Process::run([$openssl, qw(req -x509 -nodes -days 2 -newkey ec -pkeyopt
		    ec_paramgen_curve:P-256 -subj), "/CN=$name.example.com", '-addext',
		    "subjectAltName=DNS:$name.example.com", '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem"]);
		is $made->{exit}, 0, "a certificate for $name" or diag $made->{text};
		push @servers, Weir::Service->start([$openssl, 's_server', '-accept', "127.0.0.1:$at{$name}",
		    '-cert', "$dir/$name.pem", '-key', "$dir/$name.key", '-www', '-quiet'],
		    ready => sub { Weir::Client->try($at{$name}) });
	}
	my $tls = free_port;
	my $front = weir(<<"CONF");
[server tls]
listen = 127.0.0.1:$tls
protocol = stream_proxy
route = sni:www.example.com www
route = sni:*.example.com app
[upstream www]
server = 127.0.0.1:$at{www}
[upstream app]
server = 127.0.0.1:$at{app}
CONF
	my @clients = (['TLS 1.3', '-tls1_3'], ['TLS 1.2', '-tls1_2'], ['1.3, much offered', '-tls1_3', '-alpn',
	    join(',', map { "protocol-$_" } 1 .. 60)], ['1.3, in small records', '-tls1_3', '-split_send_frag', '512']);
	for my $name (sort keys %at) {
		for my $client (@clients) {
			my ($kind, @options) = @$client;
			my $got = Weir::Process::run([$openssl, 's_client', '-connect', "127.0.0.1:$tls", '-servername',
			    "$name.example.com", '-CAfile', "$dir/$name.pem", '-verify_hostname', "$name.example.com",
			    '-verify_return_error', @options]);
			like $got->{text}, qr/Verification: OK|Verify return code: 0/, "$kind to $name";
		}
		my $curl = program('curl') // next;
		my $got = Weir::Process::run([$curl, '-sS', '--max-time', 20, '--cacert', "$dir/$name.pem", '--resolve',
		    "$name.example.com:$tls:127.0.0.1", "https://$name.example.com:$tls/"]);
		is $got->{exit}, 0, "curl to $name" or diag $got->{text};
	}
	my $got = Weir::Process::run([$openssl, 's_client', '-connect', "127.0.0.1:$tls", '-servername', 'example.org']);
	like $got->{text}, qr/unrecognized name|alert number 112/, 'another name: the alert is understood';
	$_->stop for @servers;
};

done_testing;
