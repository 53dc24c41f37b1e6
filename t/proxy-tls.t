#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# PROXY headers and TLS: the header comes first, and tells what TLS has agreed on.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;

Weir::TLS->needs;
my $pki = Weir::TLS->new;
my $certificate = $pki->certificate('server');
$pki->certificate('ca', ca => 1);
$pki->certificate('someone', by => 'ca');
$pki->certificate('stranger');
my ($front, $inner, $told, $out, $lines, $line_tls) = free_ports(6);
my $line = backend('line');
my $echo = backend('echo');
my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server front]
listen = 127.0.0.1:$front
protocol = stream_proxy
upstream = inner
[server inner]
listen = 127.0.0.1:$inner
protocol = echo
proxy_protocol = on
tls = edge
[server told]
listen = 127.0.0.1:$told
protocol = stream_proxy
upstream = echo
tls = mutual
[server out]
listen = 127.0.0.1:$out
protocol = stream_proxy
upstream = secure
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines
[server line_tls]
listen = 127.0.0.1:$line_tls
protocol = line_proxy
upstream = plain_lines
proxy_protocol = on
tls = edge
[upstream secure]
server = 127.0.0.1:$inner
send_proxy_protocol = v2
tls = out
[upstream lines]
server = 127.0.0.1:$line_tls
pool = session
send_proxy_protocol = v2
tls = out
[upstream plain_lines]
server = @{[$line->address]}
[tls out]
verify = off
[upstream inner]
server = 127.0.0.1:$inner
send_proxy_protocol = v1
[upstream echo]
server = @{[$echo->address]}
send_proxy_protocol = v2
[tls edge]
certificate = $certificate
[tls mutual]
certificate = $certificate
alpn = h2 http/1.1
client_ca = @{[$pki->path('ca.pem')]}
client_verify = optional
CONF

# tlvs(BYTES): { type => value } of extensions.
sub tlvs($bytes)
{
	my %more;
	while ($bytes ne '') {
		my ($type, $value) = unpack('C n/a*', $bytes);
		$more{$type} = $value;
		substr($bytes, 0, 3 + length($value), '');
	}
	return \%more;
}

# header($client): the extensions of the version 2 that comes back, and those of TLS.
sub header($c)
{
	my ($family, $length) = unpack('x13 C n', $c->recv(16));
	is $family, 0x11, 'IPv4';
	my $more = tlvs(substr($c->recv($length), 12));
	my ($client, $verify, $rest) = unpack('C N a*', $more->{0x20});
	return ($more, $client, $verify, tlvs($rest));
}

it 'a header in front of TLS, in one packet with it' => sub {
	my $c = $pki->client($front, ca => 'server', name => 'localhost');
	ok $c->ping;
	$c->close;
	$w->wait_log(qr/PROXY header of 127\.0\.0\.1:\d+, session [\d.]+, client 127\.0\.0\.1:\d+, server inner/);
	is $w->status->server('inner')->{end_client_closed}, 1;
};

it 'TLS without a header, and a header without TLS, are sent away' => sub {
	unlike $pki->shake($inner), qr/Cipher is TLS/;
	is $w->status->server('inner')->{end_bad_proxy_header}, 1;
	my $c = client($inner);
	$c->send("PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nGET / HTTP/1.0\r\n\r\n");
	isnt $c->ending, 'open';
	$w->wait_log(qr/closed: handshake_failed.*client 192\.0\.2\.1:5, server inner/);
};

it 'tells of TLS in version 2' => sub {
	my $c = $pki->client($told, ca => 'server', name => 'localhost', args => [qw(-tls1_2 -alpn http/1.1)]);
	$c->send('hello');
	my ($more, $client, $verify, $tls) = header($c);
	is $c->recv(5), 'hello';
	is $client, 1, 'TLS, and no certificate';
	isnt $verify, 0, 'so none that is good';
	is $tls->{0x21}, 'TLSv1.2';
	like $tls->{0x23}, qr/^ECDHE-ECDSA-/, "with $tls->{0x23}";
	ok !exists $tls->{0x22}, 'no name';
	is $more->{1}, 'http/1.1', 'what ALPN has agreed on';
	is $more->{2}, 'localhost', 'the name that it asked for';
	like $more->{5}, qr/^\d+\.\d+\@\d+$/, 'the id';
	$c->close;
};

it 'tells who the client is' => sub {
	my $c = $pki->client($told, args => ['-tls1_3', '-cert', $pki->path('someone.pem'), '-key', $pki->path('someone.key')]);
	$c->send('hello');
	my ($more, $client, $verify, $tls) = header($c);
	is $client, 7, 'it has shown a certificate';
	is $verify, 0, 'which is good';
	is $tls->{0x22}, 'someone';
	is $tls->{0x21}, 'TLSv1.3';
	ok !exists $more->{1} && !exists $more->{2}, 'neither ALPN nor a name was asked for';
	$c->close;
};

it 'a header before the TLS that is spoken with a peer' => sub {
	$w->mark;
	my $c = client($out, source => '127.0.0.9');
	ok $c->ping;
	ok $c->ask(pattern(1, 0, 200_000)) eq pattern(1, 0, 200_000);
	$w->wait_log(qr/PROXY header of 127\.0\.0\.1:\d+, session [\d.]+, client 127\.0\.0\.9:@{[$c->local_port]}, server inner/);
};

it 'and with pool = session' => sub {
	$w->mark;
	my $c = client($lines, source => '127.0.0.10');
	is $c->ask("one\n"), "one\n";
	is $c->ask("two\n"), "two\n";
	$w->wait_log(qr/PROXY header of .*, client 127\.0\.0\.10:@{[$c->local_port]}, server line_tls/);
};

done_testing;
