#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What says something against a peer and what does not, how one that failed is tried again, and
# that those who may not go to it hold up nobody.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

# Long enough that a test which shares the machine with others is not late by
# as much; seconds for the test, a value for the configuration.
my $T = patience(0.4);
my $ms = int($T * 1000) . 'ms';
my $TICK = 0.02;

# A backend of lines that keeps its replies back until it is told to release them.
sub keeper(%option) { return backend('line', keep => 1, %option) }

# One without a fault: nothing was counted against it, and it is used.
sub unblamed($p)
{
	my $peer = $p->peer;
	is $peer->{state}, 'up';
	is "$peer->{connect_failed} $peer->{connect_timed_out} $peer->{reply_timeouts}", '0 0 0';
	is_deeply $p->failures, {};
}

for my $mode (qw(pipeline request session)) {
	it "$mode: a client that leaves before its first reply says nothing against the peer" => sub {
		my $b = keeper();
		my $p = Weir::Pool->new(peers => [$b->address . ' fail_timeout=1h'],
		    upstream => "pool = $mode\n");
		for my $n (1 .. 3) {
			my $c = $p->client->send("never\n");
			$b->wait_report(sub ($r) { $r->{lines} == $n });
			$c->reset;
			$p->until(sub ($p) { $p->server->{sessions} == 0 }, 'it is gone');
		}
		$p->until(sub ($p) { $p->peer->{links} == 0 }, 'and its link') if $mode eq 'session';
		unblamed($p);
		$b->tell('release');
		ok $p->client->ping;
		$p->end;
	};

	it "$mode: nor does one that leaves while its link connects" => sub {
		my $full = backend('full');
		my $p = Weir::Pool->new(peers => [$full->address . ' fail_timeout=1h'],
		    upstream => "pool = $mode\nconnect_timeout = 1h\n");
		my $c = $p->client->send("never\n");
		$p->until(sub ($p) { $p->peer->{links} == 1 }, 'it connects');
		$c->reset;
		$p->until(sub ($p) { $p->server->{sessions} == 0 }, 'the client is gone');
		$p->until(sub ($p) { $p->peer->{links} == 0 }, 'and its link') if $mode eq 'session';
		unblamed($p);
		$p->weir->stop(idle => $mode eq 'session');	# what it asked is in flight for long
	};

	it "$mode: nor does the end of an old worker after a reload" => sub {
		my $b = keeper();
		my $p = Weir::Pool->new(peers => [$b->address . ' fail_timeout=1h'],
		    upstream => "pool = $mode\n");
		my $c = $p->client->send("never\n");
		$b->wait_report(sub ($r) { $r->{lines} == 1 });
		is $p->weir->reload->{exit}, 0;
		is scalar($p->weir->status->workers), 2, 'the old one has a session';
		$c->reset;
		$p->until(sub ($p) { $p->weir->status->workers == 1 }, 'it has ended');
		$b->wait_report(sub ($r) { $r->{open} == 0 });
		unblamed($p);
		$b->tell('release');
		ok $p->client->ping;
		$p->end;
	};
}

it 'one that was moved and then has to wait is told at pool_wait' => sub {
	# When it begins to wait nothing else of its session is due any more.
	my $b = keeper();
	my $connecting = int(patience(2));
	my $p = Weir::Pool->new(peers => [backend('full'), $b], upstream => <<"CONF");
pool = request
pool_size = 1
pool_wait = $ms
connect_timeout = ${connecting}s
CONF
	my @clients = map { $p->client } 0, 1;
	my $began = now();
	$clients[$_]->send("$_\n") for 0, 1;
	my $r = $b->wait_report(sub ($r) { $r->{lines} == 1 });
	my ($here) = $r->{conns}[0]{text} =~ /^([01])$/;
	is $clients[1 - $here]->line, $p->failure;
	cmp_ok now() - $began, '>=', $connecting + $T - $TICK, 'it has waited for one, then for the other';
	cmp_ok now() - $began, '<', $connecting + $T + patience(8), 'and no longer';
	is_deeply $p->failures, { pool_wait => 1 };
	is $p->upstream->{moved}, 1;
	$b->tell('release');
	is $clients[$here]->line, "$here\n", 'the other has its reply';
	$p->end;
};

it 'who may not go to a peer does not hold up those who may' => sub {
	my ($a, $b) = (backend('refuse'), keeper());
	my $p = Weir::Pool->new(peers => [$a->address . ' max_fails=0', $b],
	    upstream => "pool = request\npool_size = 1\npool_wait = 1h\n");
	my $first = $p->client->send("first\n");
	$b->wait_report(sub ($r) { $r->{lines} == 1 });
	my $moved = $p->upstream->{moved};
	my $waits = $p->client->send("waits\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 && $p->upstream->{moved} > $moved },
	    'one was refused and waits for the other peer');
	$a->tell('up');
	my @others = map { $p->client } 1 .. 3;
	for my $round (1 .. 3) {
		$_->ping for @others;
	}
	is $p->upstream->{waiting}, 1, 'nine were served, it waits still';
	is $b->report->{lines}, 1;
	$b->tell('release');
	is $first->line, "first\n";
	is $waits->line, "waits\n", 'then it is its turn';
	is_deeply $p->failures, {};
	$p->end;
};

it 'a silent peer costs one request for each fail_timeout' => sub {
	my $bad = backend('refuse');
	my $address = $bad->address;
	my $p = Weir::Pool->new(peers => ["$address fail_timeout=500ms", backend('line')],
	    upstream => "reply_timeout = 1h\n");
	my $c = $p->client;
	$p->until(sub ($p) { $c->ping && $p->peer(0)->{state} eq 'failed' }, 'it fails');
	$bad->stop;
	my $began = now();
	$bad = keeper(address => $address);
	my $crowd = crowd('line', '-c', 40, $p->address);
	my $r = $bad->wait_report(sub ($r) { $r->{lines} >= 4 }, 20);
	my $allowed = int((now() - $began) / 0.5) + 2;
	cmp_ok $r->{lines}, '<=', $allowed, "$r->{lines} were put on it";
	$crowd->moving for 1 .. 3;
	$allowed = int((now() - $began) / 0.5) + 2;
	my $lines = $bad->report->{lines};
	cmp_ok $lines, '<=', $allowed;
	is $p->peer(0)->{state}, 'failed', 'as long as it is silent';
	$bad->tell('release');
	$bad->wait_report(sub ($r) { $r->{lines} > $lines + 100 });
	is $p->peer(0)->{state}, 'up';
	unharmed($crowd->end);
	is_deeply $p->failures, {};
	$p->end;
};

it 'a peer that has refused a link recovers on one that it had' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b->address . ' fail_timeout=200ms'],
	    upstream => "pool = request\npool_size = 2\n");
	my ($one, $two) = map { $p->client } 1, 2;
	ok $one->ping;
	$b->tell('down');
	$b->tell('keep');
	$one->send("kept\n");
	$b->wait_report(sub ($r) { $r->{kept} == 1 });
	is $two->send("no\n")->line, $p->failure, 'another link is refused';
	is $p->peer->{state}, 'failed';
	$b->tell('release');
	is $one->line, "kept\n";
	$p->until(sub ($p) { $one->ping && $p->peer->{state} eq 'up' }, 'it has recovered');
	is $b->report->{accepted}, 1, 'and no other link was opened';
	is $p->peer->{connected}, 1;
	$p->end;
};

it 'without descriptors for links, requests wait; the peer is not blamed' => sub {
	program('prlimit') or plan skip_all => 'no prlimit';
	my $b = keeper();
	my $echo = free_port;
	my $wait = int(patience(2));
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_wait = ${wait}s\n", more => <<"CONF");
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
CONF
	my $other = client($echo);
	my @clients = map { $p->client } 1 .. 10;
	$p->until(sub ($p) { $other->ping && $p->server->{sessions} == 10 }, 'all are there');

	$p->weir->leave_descriptors(3);
	$clients[$_]->send("$_\n") for 0 .. 9;
	$b->wait_report(sub ($r) { $r->{kept} == 3 });
	$p->until(sub ($p) { $p->upstream->{waiting} == 7 }, 'three links could be opened');
	ok $other->ping, 'other sessions go on';
	$b->tell('release');
	is $clients[$_]->line, "$_\n" for 0 .. 9;
	is $b->report->{accepted}, 3, 'all were served on those';
	unblamed($p);

	$b->tell('drop_all');
	$p->until(sub ($p) { $p->peer->{links} == 0 }, 'no link is left');
	$p->weir->leave_descriptors(0);
	my $began = now();
	$_->send("x\n") for @clients;
	$p->until(sub ($p) { $p->upstream->{waiting} == 10 }, 'all wait');
	ok $other->ping;
	is $_->line, $p->failure for @clients;
	cmp_ok now() - $began, '>=', $wait - $TICK, 'not too early';
	cmp_ok now() - $began, '<', $wait + patience(8), 'in time';
	is_deeply $p->failures, { pool_wait => 10 };
	like $p->weir->log, qr/ warn .*requests fail \(pool_wait\): (?:\d+ more wait, )?this machine cannot open more links: the errors of connect, above/,
	    'and more links are not what is advised';
	is $p->peer->{state}, 'up';
	is $p->peer->{connect_failed}, 0;

	$clients[0]->send("x\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'it waits');
	$p->weir->leave_descriptors(1);
	is $clients[0]->line, "x\n", 'and goes on when there is one again';
	$_->ping for @clients, $other;
	like $p->weir->log, qr/Too many open files: not the peer's fault/;
	$p->end;
};

it 'the one of forty peers that is free is found at once' => sub {
	my $port = free_port;
	my $b = backend('line', address => "0.0.0.0:$port",
	    reply => sub ($line, $) { $line eq 'stay' ? undef : "$line\n" });
	my $p = Weir::Pool->new(peers => [map { "127.0.0.$_:$port" } 1 .. 40],
	    upstream => "pool = request\npool_size = 1\npool_wait = 1h\nreply_timeout = 1h\n");
	my $c = $p->client;
	my @clients;
	# A free one in the middle of where the balancer goes round.
	for my $n (1 .. 39) {
		ok $c->ping if $n == 20;
		push @clients, $p->client->send("stay\n");
		$b->wait_report(sub ($r) { $r->{lines} == @clients + ($n >= 20) });
	}
	ok $c->ping for 1 .. 50;
	is $p->upstream->{waited}, 0, 'nobody had to wait';
	is $p->upstream->{retried}, 0;
	is $b->report->{open}, 40;
	my $last = $p->client->send("stay\n");
	$b->wait_report(sub ($r) { $r->{lines} == 91 });
	$c->send("waits\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'all are busy: that one waits');
	$b->tell('drop_all');
	is $c->line, "waits\n";
	is $_->line, $p->failure for @clients, $last;
	is_deeply $p->failures, { peer_closed => 40 };
	$p->end;
};

done_testing;
