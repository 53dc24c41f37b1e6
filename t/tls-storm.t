#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Clients that stop in mid-handshake: however many, others get in, and who is in notices nothing.
# WEIR_LONG=1: 10,000 of them.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket;
use Weir::TLS;
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

Weir::TLS->needs;
my $MANY = $ENV{WEIR_LONG} ? 10_000 : 2000;
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

# The one that is open goes, which wakes the first that waits; that one is reset before its turn comes.
it 'a free place goes to the next that waits, whoever leaves' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_handshakes = 1
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
handshake_timeout = 5m
[tls edge]
certificate = $certificate
CONF
	# When the third is open, those behind it have waited for so long that no event and no recheck is to come.
	my @all = map {
		my $c = client($port)->send($hello);
		my $count = $_;
		wait_for { $w->status->server('echo')->{handshakes} == $count };
		$c;
	} 1 .. 5;
	ok length($all[2]->recv(1)), 'the oldest have given way';
	my ($worker) = $w->workers;
	kill STOP => $worker;
	$all[2]->close;
	$all[3]->reset;
	kill CONT => $worker;
	ok length($all[4]->recv(1)), 'the last has its turn';
	is $w->status->server('echo')->{end_handshake_overload}, 2, 'nobody else was refused';
	$_->close for @all[0, 1, 4];
	$w->stop;
};

# Both are there when the worker looks: the client's first message, and its end.
it 'who goes while it waits costs nothing' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_handshakes = 1
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
handshake_timeout = 5m
[tls edge]
certificate = $certificate
CONF
	my $open = client($port)->send($hello);
	ok length($open->recv(1)), 'one is open';
	my ($worker) = $w->workers;
	kill STOP => $worker;
	my $gone = client($port);
	$gone->send_fin($hello);
	kill CONT => $worker;
	is $gone->rest, '', 'another one, which has gone, is not answered';
	my $s = $w->status->server('echo');
	is "$s->{handshakes_waited} $s->{end_client_closed} $s->{end_handshake_overload}", '1 1 0', 'and nobody gives way to it';
	$_->close for $open, $gone;
	$w->stop;
};

it 'handshakes with peers are bounded, too, and the oldest give way' => sub {
	my $mute = backend('sink');
	my ($far, $near, $dead) = free_ports(3);
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_handshakes = 1
error_log = logs/error.log info
[server far]
listen = 127.0.0.1:$far
protocol = echo
tls = edge
handshake_timeout = 5m
[server near]
listen = 127.0.0.1:$near
protocol = stream_proxy
upstream = far
[server dead]
listen = 127.0.0.1:$dead
protocol = stream_proxy
upstream = dead
[upstream far]
server = 127.0.0.1:$far
tls = back
handshake_timeout = 5m
[upstream dead]
server = @{[$mute->address]}
tls = back
handshake_timeout = 5m
[tls edge]
certificate = $certificate
[tls back]
verify = off
CONF
	my $first = client($dead);
	$mute->wait_report(sub ($r) { $r->{in} > 0 });
	my $c = client($near)->send('hello');
	is $c->recv(5), 'hello', 'a second one waits until the first is given up';
	my $status = $w->status;
	my $peer = $status->peer('far', "127.0.0.1:$far");
	is "$peer->{tls_full} $peer->{tls_waited} $peer->{tls_overload}", '1 1 0', 'which is counted';
	is $first->rest, '', 'that session ends';
	$first->close;
	ok wait_for { $w->status->server('dead')->{end_handshake_overload} == 1 }, 'by that reason';
	$peer = $w->status->peer('dead', $mute->address);
	is "$peer->{tls_waited} $peer->{tls_overload} $peer->{tls_failed} $peer->{state}", '0 1 0 up', 'and nothing is said against the peer';
	$c->reset;
	$w->stop;
};

it "$MANY of them are bounded, refused by age, and leave little behind" => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_handshakes = 512
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
handshake_timeout = 5m
[tls edge]
certificate = $certificate
CONF
	# A sanitizer or valgrind has memory of its own.
	my $measured = !Weir::Build::sanitized() && !Weir::Build::valgrind();
	my $server = sub { $w->status->server('echo') };
	my $before = $w->memory;
	my $storm = stress_start('slowloris', '-c', $MANY, '-t', '10m', '--tls', '--tls-stop', 'finished', "127.0.0.1:$port");
	await { $server->()->{end_handshake_overload} > 0 } 'some are refused', 60;
	my $good = $pki->client($port);
	ok $good->ping, 'who can gets in';
	await { $server->()->{end_handshake_overload} >= $MANY - 512 } 'all but the newest are refused', 120;
	my $during = $w->memory - $before;
	is $server->()->{end_handshake_timeout}, 0, 'by age, before their time was over';
	ok $good->ping, 'who is in notices nothing';
	cmp_ok $during, '<', 512 * (64 << 10) + $MANY * 4096, "$during bytes of memory" if $measured;
	$storm->leave;
	$good->close;
	await { $server->()->{sessions} == 0 } 'they have gone', 30;
	my $after;
	my $little = wait_for { ($after = $w->memory - $before) < $MANY * 1536 } 30;
	ok $little, "$after bytes are left" if $measured;
	$w->stop;
};

done_testing;
