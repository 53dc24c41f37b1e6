#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Clients that stop before they are in, however many: within a PROXY header, the ClientHello that a route goes by, the
# first record of TLS. What they hold in memory is bounded, the oldest give way, others get in, handshake_timeout ends
# them. WEIR_LONG=1: 10,000 of them each time.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;

Weir::Build::ignore_leaks();

my $MANY = $ENV{WEIR_LONG} ? 10_000 : 400;
my $BOUND = 2 << 20;
my $tls = Weir::TLS->new if program('openssl');
my $certificate = $tls->certificate('server') if $tls;
my $echo = backend('echo');
my ($quick, $timed) = (free_port, free_port);

# What a client sends that stops; what it would have in memory of that; how another gets in.
my $signature = "\r\n\r\n\0\r\nQUIT\n";
my $named = "\0\0\0\x06\0\x04\0\0\x01a";	# server_name: a
my $hello = "\3\3" . 'r' x 32 . "\0" . "\0\2\x13\1\1\0" . pack('n/a*', $named);
my @kinds = (
	{ name => 'a PROXY header', conf => "protocol = echo\nproxy_protocol = on\n", good => "PROXY UNKNOWN\r\n",
	    bytes => $signature . pack('C C n', 0x21, 0x11, 16_000) . 'x' x 15_000 },
	{ name => 'a ClientHello with routes', conf => "protocol = stream_proxy\nroute = sni:a u\n",
	    good => "\x16\3\1" . pack('n/a*', "\1\0" . pack('n/a*', $hello)), back => 1,
	    bytes => "\x16\3\1\x40\0\1\0\xff\xf0" . 'x' x 16_380 . ("\x16\3\1\x40\0" . 'x' x 16_384) x 2 },
	{ name => 'a first record of TLS', conf => "protocol = echo\ntls = t\n", tls => 1,
	    bytes => "\x16\3\1\x40\0\1\0\x3f\xfc" . 'x' x 16_000 },
);

# One that gets in, and what it says comes back.
sub enters($kind, $port)
{
	return $tls->client($port)->ping if $kind->{tls};
	my $c = client($port);
	$c->send($kind->{good});
	$c->recv(length($kind->{good})) if $kind->{back};
	return $c->ping;
}

sub storm($kind)
{
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_preread = $BOUND
error_log = logs/error.log info
[server quick]
listen = 127.0.0.1:$quick
handshake_timeout = 1h
$kind->{conf}
[server timed]
listen = 127.0.0.1:$timed
handshake_timeout = 500ms
$kind->{conf}
[upstream u]
server = @{[$echo->address]}
@{[$kind->{tls} ? "[tls t]\ncertificate = $certificate" : '']}
CONF
	my $of = sub ($name) { $w->status->server($name) };
	my $before = $w->memory;
	my $most = 0;
	my @stalled;
	for my $n (1 .. $MANY) {
		my $c = client($quick);
		eval { $c->send($kind->{bytes}) };	# it may be refused by then
		push @stalled, $c;
		if ($n % ($MANY / 10) == 0) {
			$most = $w->memory if $w->memory > $most;
			ok enters($kind, $quick), "another gets in beside $n";
		}
	}
	my $fit = int($BOUND / length($kind->{bytes}));
	ok wait_for { $of->('quick')->{end_handshake_overload} >= $MANY - $fit }, 'the oldest give way';
	cmp_ok $of->('quick')->{sessions}, '>=', $fit / 4, 'not the others';
	isnt $stalled[0]->ending, 'open', 'the first is closed';
	is $of->('quick')->{end_handshake_timeout}, 0, 'before its time is over';
	$w->wait_log(qr/warn .*worker_preread = $BOUND bytes are held by clients that are not in yet/);
	$w->wait_log(qr/closed: handshake_overload, /);
	# The bound, what is cached of buffers, and the sessions themselves.
	cmp_ok $most - $before, '<', $BOUND + (10 << 20), 'memory is bounded'
	    if !Weir::Build::sanitized() && !Weir::Build::valgrind();
	$_->close for @stalled;
	ok wait_for { $of->('quick')->{sessions} == 0 }, 'they have gone';
	my $refused = $of->('quick')->{end_handshake_overload};
	my @few = map { client($quick)->send($kind->{bytes}) } 1 .. $fit / 4;
	ok wait_for { $of->('quick')->{sessions} == @few };
	ok enters($kind, $quick);
	is $of->('quick')->{end_handshake_overload}, $refused, 'what they held is free again';
	$_->close for @few;

	@stalled = map { client($timed)->send(substr($kind->{bytes}, 0, 5)) } 1 .. $MANY / 10;
	my $ended = wait_for { $of->('timed')->{end_handshake_timeout} == @stalled } 30;
	ok $ended, 'handshake_timeout ends those that stop';
	$_->close for @stalled;
	$w->stop;
}

# A whole ClientHello waits in memory for as long as the peer is not reached.
it 'clients whose peer does not accept' => sub {
	my $full = backend('full');
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_preread = $BOUND
error_log = logs/error.log info
[server quick]
listen = 127.0.0.1:$quick
protocol = stream_proxy
route = sni:a u
[upstream u]
server = @{[$full->address]}
connect_timeout = 1h
CONF
	my $long = pack('n/a*', "\3\3" . 'r' x 32 . "\0" . "\0\2\x13\1\1\0" . pack('n/a*', $named . "\0\x15" . pack('n/a*', "\0" x 15_000)));
	my $bytes = "\x16\3\1" . pack('n/a*', "\1\0$long");
	my @stalled;
	for (1 .. $MANY) {
		push @stalled, client($quick);
		eval { $stalled[-1]->send($bytes) };
	}
	my $fit = int($BOUND / length($bytes));
	ok wait_for { $w->status->server('quick')->{end_handshake_overload} >= $MANY - $fit }, 'the oldest give way';
	cmp_ok $w->status->server('quick')->{sessions}, '>=', $fit / 4, 'not the others';
	$_->reset for @stalled;	# a FIN alone would leave them waiting for their peer
	$w->stop;
};

for my $kind (@kinds) {
	it "$MANY that stop within $kind->{name}" => sub {
		Weir::TLS->needs if $kind->{tls};
		storm($kind);
	};
}

done_testing;
