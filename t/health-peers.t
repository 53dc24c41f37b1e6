#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Health checks of real servers, and over all that lies between: TLS, PROXY headers.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Service;
use Weir::TLS;
use Weir::Test;

Weir::Build::ignore_leaks();
Weir::TLS->needs;

my $OFTEN = 'interval=30ms rise=1 fall=1';

# One [upstream u] of that peer, with stream_proxy before it.
sub start($peer, $upstream, $more = '', $global = '')
{
	my $port = free_port;
	return weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
$global
[server s]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = u
[upstream u]
server = $peer
$upstream
$more
CONF
}

sub is_state($w, $peer, $state, $check)
{
	my $p;
	my $is = wait_for {
		$p = $w->status->peer('u', $peer);
		$p->{checks} > 0 && $p->{state} eq $state && $p->{health_check} =~ $check;
	} 20;
	ok $is, "it is $state, $p->{health_check}";
}

# Stopped, it hangs: the kernel goes on accepting for it.
sub freezes($port, $service, $text)
{
	my $w = start("127.0.0.1:$port", "health_check = on $OFTEN timeout=300ms $text");
	is_state($w, "127.0.0.1:$port", 'up', qr/^good$/);
	my $pid = $service->pid;
	kill STOP => $pid;
	is_state($w, "127.0.0.1:$port", 'unhealthy', qr/^no reply that is expected, within its time$/);
	kill CONT => $pid;
	is_state($w, "127.0.0.1:$port", 'up', qr/^good$/);
	$w->stop;
}

it 'a Redis that hangs is found' => sub {
	my $bin = program('redis-server') // skip_all('no redis-server');
	my $dir = File::Temp->newdir;
	my $port = free_port;
	my $redis = Weir::Service->start([$bin, '--bind', '127.0.0.1', '--port', $port, '--save', '', '--dir', "$dir"],
	    ready => sub { Weir::Client->try($port) });
	freezes($port, $redis, 'send="PING\r\n" expect="+PONG"');
	$redis->stop;
};

it 'a memcached that hangs is found' => sub {
	my $bin = program('memcached') // skip_all('no memcached');
	my $port = free_port;
	my $memcached = Weir::Service->start([$bin, ($> == 0 ? ('-u', 'nobody') : ()), '-l', '127.0.0.1', '-p', $port, '-U', 0],
	    ready => sub { Weir::Client->try($port) });
	freezes($port, $memcached, 'send="version\r\n" expect="VERSION 1."');
	$memcached->stop;
};

it 'over a UNIX socket' => sub {
	my $dir = File::Temp->newdir;
	chmod(0755, $dir);
	my $b = backend('echo', address => "unix:$dir/sock");
	my $w = start($b->address, "health_check = on $OFTEN timeout=1h send=\"ha llo\" expect=\"a l\"");
	is_state($w, $b->address, 'up', qr/^good$/);
	$b->tell('down');
	is_state($w, $b->address, 'unhealthy', qr/^connect: |^closed before the reply: /);
	$w->stop;
};

# The peer is another server of the same weir.
it "TLS and a PROXY header: $_->[0]" => sub {
	my ($name, $server, $upstream, $state, $check) = @$_;
	my $pki = Weir::TLS->new;
	my $pair = $pki->certificate('server', names => ['127.0.0.1']);
	my $port = free_port;
	my $w = start("127.0.0.1:$port", "health_check = on $OFTEN timeout=1h send=ping expect=ping\n$upstream", <<"CONF");
[server far]
listen = 127.0.0.1:$port
protocol = echo
$server
[tls edge]
certificate = $pair
[tls back]
ca = @{[$pki->path('server.pem')]}
[tls strict]
CONF
	is_state($w, "127.0.0.1:$port", $state, $check);
	like $w->log, qr/is down: health check: TLS handshake: .*certificate/, 'with the reason' if $upstream =~ /strict/;
	is $w->status->server('far')->{end_bad_proxy_header}, 0 if $state eq 'up';
	$w->stop;
} for ['TLS', 'tls = edge', 'tls = back', 'up', qr/^good$/],
    ['no trust', 'tls = edge', 'tls = strict', 'unhealthy', qr/^TLS handshake$/],
    ['version 1', 'proxy_protocol = on', 'send_proxy_protocol = v1', 'up', qr/^good$/],
    ['version 2 before TLS', "proxy_protocol = on\ntls = edge", "send_proxy_protocol = v2\ntls = back", 'up', qr/^good$/],
    ['none, where one is asked for', 'proxy_protocol = on', '', 'unhealthy', qr/^closed before the reply/];

# A check of the mute one never ends; the other one says good-bye as soon as TLS is agreed on.
it 'checks over TLS wait for no other, and resume' => sub {
	my $pki = Weir::TLS->new;
	my $pair = $pki->certificate('server', names => ['127.0.0.1']);
	my $mute = backend('sink');
	my $port = free_port;
	my $w = start("127.0.0.1:$port", <<"CONF", <<"MORE", 'worker_handshakes = 1');
server = @{[$mute->address]}
tls = back
health_check = on $OFTEN timeout=1h
CONF
[server far]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $pair
[tls back]
ca = @{[$pki->path('server.pem')]}
MORE
	$mute->wait_report(sub ($r) { $r->{in} > 0 });
	my $peer = sub { $w->status->peer('u', "127.0.0.1:$port") };
	my $before = $peer->()->{checks};
	ok wait_for { $peer->()->{checks} > $before + 3 }, 'the other is checked';
	is $peer->()->{checks_failed}, 0;
	ok wait_for { $w->status->server('far')->{handshakes_resumed} > 2 }, 'and resumes';
	$w->stop;
};

# In TLS 1.3 that is said behind the handshake.
it 'a peer that wants a certificate of us is bad' => sub {
	my $pki = Weir::TLS->new;
	my $pair = $pki->certificate('server', names => ['127.0.0.1']);
	my $port = free_port;
	my $w = start("127.0.0.1:$port", "tls = back\nhealth_check = on $OFTEN timeout=1h", <<"CONF");
[server far]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $pair
client_verify = on
client_ca = @{[$pki->path('server.pem')]}
[tls back]
ca = @{[$pki->path('server.pem')]}
CONF
	is_state($w, "127.0.0.1:$port", 'unhealthy', qr/^TLS handshake$/);
	$w->stop;
};

done_testing;
