#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Limits hold over all workers, and what was full goes on by itself.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

# How many of these are answered; those that are not were closed.
sub answered(@clients)
{
	return grep { eval { $_->ping } } @clients;
}

# Waits until exactly so many sessions are open.
sub sessions($w, $count)
{
	my $now;
	wait_for { ($now = $w->status->sessions) == $count };
	return $now;
}

# Whatever happened: each client that was accepted has ended, for one reason, or is there.
sub balanced($w, $name)
{
	my $s = $w->status->server($name);
	my $ended = 0;
	$ended += $s->{$_} for grep { /^end_/ } keys %$s;
	is $s->{accepted}, $ended + $s->{sessions}, 'accepted is all ends and what is open';
}

it 'max_connections counts over all workers' => sub {
	my ($port, $free) = free_ports(2);
	my $w = weir(<<"CONF");
[weir]
workers = 3
error_log = logs/error.log info
[server limited]
listen = 127.0.0.1:$port
protocol = echo
max_connections = 7
[server free]
listen = 127.0.0.1:$free
protocol = echo
CONF
	my @open = answered(map { client($port) } 1 .. 30);
	is scalar(@open), 7, 'as many as allowed';
	is $w->status->server('limited')->{sessions}, 7;
	is $w->status->server('limited')->{refused_max_connections}, 23, 'the others are counted';
	$w->wait_log(qr/warn .*server limited: max_connections = 7 are open: .*; raise it/);
	my @told = $w->log =~ /max_connections = 7 are/g;
	cmp_ok scalar(@told), '<=', 3, 'each worker that refused says so once';
	ok client($free)->ping, 'another server is not concerned';

	(shift @open)->reset for 1 .. 3;
	is sessions($w, 4), 4;
	my @more = answered(map { client($port) } 1 .. 10);
	is scalar(@more), 3, 'free places are taken again, and no others';

	my $pid = $w->worker(0);
	$w->allow(qr/worker/);
	kill('KILL', $pid);
	ok wait_for { my $new = $w->worker(0); $new && $new != $pid }, 'a worker dies';
	$_->reset for @open, @more;
	is sessions($w, 0), 0;
	balanced($w, 'limited');
	is scalar(answered(map { client($port) } 1 .. 10)), 7, 'its places are free again';
	Weir::Client->reset_all;
	$w->stop;
};

it 'worker_connections pauses accepting, and nobody is lost' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_connections = 10
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	my @inside = map { my $c = client($port); $c->ping; $c } 1 .. 10;
	my @waiting = map { client($port) } 1 .. 5;
	$_->send("are you there?\n") for @waiting;
	$_->ping for @inside;
	is $w->status->sessions, 10, 'no more than allowed are inside';
	(shift @inside)->close for 1 .. 5;
	is $_->line, "are you there?\n" for @waiting;
	is $w->status->sessions, 10;
	$_->close for splice(@inside);
	is sessions($w, 5), 5;
	is scalar(answered(map { client($port) } 1 .. 5)), 5;
	Weir::Client->reset_all;
	$w->stop;
};

it 'a paused worker leaves its clients to the others' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 2
worker_connections = 20
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	my @clients = map { my $c = client($port); $c->send("me too\n"); $c } 1 .. 40;
	is $_->line, "me too\n" for @clients;
	is $w->status->sessions, 40;
	Weir::Client->reset_all;
	$w->stop;
};

it 'more worker_connections than descriptors are clamped, with a warning' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_connections = 5000
worker_rlimit_nofile = 200
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	like $w->log . $w->console, qr/worker_connections/, 'said so';
	my @clients = map { my $c = client($port); $c->send("me too\n"); $c } 1 .. 200;
	my $inside = 0;
	while (my $c = shift @clients) {
		die "a client got nothing: $@" if !eval { $c->line eq "me too\n" };
		$inside++;
		$c->close;
	}
	is $inside, 200, 'all are served in turn';
	$w->stop;
};

it 'lives through running out of descriptors' => sub {
	my $prlimit = program('prlimit') or plan skip_all => 'no prlimit';
	my ($port, $proxy) = free_ports(2);
	my $backend = backend('echo');
	my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = echo
[upstream echo]
server = @{[$backend->address]} max_fails=0
CONF
	my $worker = $w->worker(0);
	my $old = client($port);
	$old->ping;
	my $used = Weir::Process::descriptors($worker);
	my @user = $> == 0 ? (user => 'nobody') : ();	# only its own user may do that
	my $result = Weir::Process::run([$prlimit, "--pid=$worker", '--nofile=' . ($used + 8)], @user);
	is $result->{exit}, 0 or diag $result->{text};
	my @clients = map { my $c = client($port); $c->send("me too\n"); $c } 1 .. 30;
	ok $old->ping, 'sessions go on';
	while (my $c = shift @clients) {
		is $c->line, "me too\n", 'and each gets its turn';
		$c->close;
	}
	my @pairs = map { my $c = client($proxy); $c->send("and me\n"); $c } 1 .. 12;
	my $served = grep { eval { $_->line eq "and me\n" } } @pairs;
	cmp_ok $served, '>=', 1, "$served of 12 pairs found descriptors";
	$_->reset for @pairs;
	is $w->worker(0), $worker, 'the worker lives';
	ok wait_for { my $c = client($proxy); eval { $c->ping } };
	Weir::Client->reset_all;
	$w->stop;
};

done_testing;
