#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Clients that stop in mid-handshake: however many, others get in, and who is in notices nothing.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket;
use Weir::TLS;
use Weir::Test;

Weir::TLS->needs;
my $pki = Weir::TLS->new;
my $certificate = $pki->certificate('server');

# The first message of a client, as it is.
sub hello()
{
	my $port = free_port;
	socket(my $listening, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
	setsockopt($listening, SOL_SOCKET, SO_REUSEADDR, 1);
	bind($listening, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die "bind: $!\n";
	listen($listening, 1);
	my $c = $pki->client($port);
	accept(my $from, $listening) or die "accept: $!\n";
	my $bytes = '';
	sysread($from, $bytes, 4096, length($bytes)) or die "no hello\n"
	    while length($bytes) < 5 || length($bytes) < 5 + unpack('x3n', $bytes);
	close($from);
	$c->close;
	return $bytes;
}

my $hello = hello();

it 'half-open handshakes are bounded, and the oldest give way' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_handshakes = 8
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
handshake_timeout = 5m
[tls edge]
certificate = $certificate
CONF
	my $inside = $pki->client($port);
	$inside->ping;
	my @half = map { client($port)->send($hello) } 1 .. 40;
	my @silent = map { client($port) } 1 .. 40;
	wait_for { $w->status->server('echo')->{handshakes_waited} >= 32 };
	is $w->status->server('echo')->{handshakes}, 80, 'all of them are here';
	$w->wait_log(qr/warn .*worker_handshakes = 8 are open: clients wait/);
	ok $inside->ping, 'who is in notices nothing';
	my $good = $pki->client($port);
	ok $good->ping, 'who can gets in, behind those that came before';
	my $s = $w->status->server('echo');
	cmp_ok $s->{end_handshake_overload}, '>=', 32, 'for which others had to go';
	is $s->{end_handshake_timeout}, 0, 'before their time was over';
	like $w->log, qr/closed: handshake_overload, /, 'the log says so';
	$_->close for @half, @silent;
	$_->close for $inside, $good;
	$w->stop;
};

it 'a thousand of them leave little behind' => sub {
	plan skip_all => 'a sanitizer or valgrind has memory of its own'
	    if Weir::Build::sanitized() || Weir::Build::valgrind();
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log notice
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
handshake_timeout = 10m
[tls edge]
certificate = $certificate
CONF
	my $before = $w->memory;
	my @half = map { client($port)->send($hello) } 1 .. 1000;
	wait_for { $w->status->server('echo')->{handshakes} == 1000 };
	# Each has got its answer: it is as far as it comes.
	$_->recv(5) for @half;
	my $during = $w->memory - $before;
	cmp_ok $during / 1000, '<', 64 << 10, sprintf('%d bytes for each that is open', $during / 1000);
	$_->close for @half;
	wait_for { $w->status->server('echo')->{sessions} == 0 };
	my $after;
	wait_for { ($after = $w->memory - $before) < $during / 4 };
	cmp_ok $after, '<', $during / 4, sprintf('%d bytes when they have gone', $after / 1000);
	$w->stop;
};

done_testing;
