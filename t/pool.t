#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Requests of many clients over few connections: how links are shared, and each limit.
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

# The lines that each connection of the backend has had, the most first.
sub lines_each($r)
{
	my @open = grep { !$_->{ended} } @{$r->{conns}};
	return [sort { $b <=> $a } map { $_->{lines} } @open];
}

# Clients that each ask one thing, the next when the one before has arrived at the backend.
sub one_by_one($p, $b, @names)
{
	my $before = $b->report->{lines};
	return map {
		my $c = $p->client->send("$_\n");
		$before++;
		$b->wait_report(sub ($r) { $r->{lines} == $before });
		$c;
	} @names;
}

it 'pipeline: the requests of many clients share a link' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b]);
	my @clients = map { $p->client->send("request $_\n") } 1 .. 10;
	my $r = $b->wait_report(sub ($r) { $r->{lines} == 10 });
	is $r->{accepted}, 1, 'one connection';
	is $p->peer->{links}, 1;
	is $p->peer->{in_flight}, 10;
	is $p->peer->{connections}, 1;
	$b->tell('release');
	is $clients[$_ - 1]->line, "request $_\n" for 1 .. 10;
	$p->until(sub ($p) { $p->peer->{in_flight} == 0 }, 'nothing is in flight');
	is $p->upstream->{requests}, 10;
	is $p->peer->{requests}, 10;
	is $p->upstream->{waited}, 0, 'none had to wait';
	is $p->peer->{connected}, 1;
	is_deeply $p->failures, {};
	$p->end;
};

it 'each client has its replies in its order' => sub {
	my $p = Weir::Pool->new(peers => [backend('line'), backend('line')], workers => 2);
	my @lines = map { "line $_\n" } 1 .. 500;
	is $p->client->ask(join('', @lines)), join('', @lines), 'in one packet';
	my $text = join('', @lines[0 .. 39]);
	is $p->client->dribble($text)->recv(length($text)), $text, 'a byte at a time';
	unharmed(stress('line', '-c', 50, '--each', 100, '-p', 20, $p->address), answered => 5000, connected => 50);
	is_deeply $p->failures, {};
	$p->end;
};

it 'pipeline_spread: so many on a link, then another is opened' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b], upstream => "pipeline_spread = 4\npool_size = 3\n");
	my @clients = one_by_one($p, $b, 1 .. 4);
	is $b->report->{accepted}, 1;
	push @clients, one_by_one($p, $b, 5);
	is_deeply lines_each($b->report), [4, 1];
	push @clients, one_by_one($p, $b, 6 .. 12);
	is_deeply lines_each($b->report), [4, 4, 4];
	push @clients, one_by_one($p, $b, 13, 14);
	is_deeply lines_each($b->report), [5, 5, 4], 'no more links: the least deep';
	is $p->peer->{links}, 3;
	is $p->upstream->{waiting}, 0;
	$b->tell('release');
	is $clients[$_ - 1]->line, "$_\n" for 1 .. 14;
	is $b->report->{peak}, 3;
	$p->end;
};

it 'pipeline_depth: so many on a link, then they wait' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pipeline_spread = 1\npipeline_depth = 3\npool_size = 2\npool_wait = 1m\n");
	my @clients = one_by_one($p, $b, 1 .. 6);
	is_deeply lines_each($b->report), [3, 3];
	push @clients, map { $p->client->send("$_\n") } 7 .. 9;
	$p->until(sub ($p) { $p->upstream->{waiting} == 3 }, 'three wait');
	is $p->upstream->{waited}, 3;
	is $b->report->{lines}, 6;
	$b->tell('release', count => 1);
	$b->wait_report(sub ($r) { $r->{lines} == 8 });
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'two went on');
	$b->tell('release');
	is $clients[$_ - 1]->line, "$_\n" for 1 .. 9;
	is $p->upstream->{waiting}, 0;
	$p->end;
};

it 'request: a link carries one at a time' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_size = 2\npool_wait = 1m\n");
	my @clients = map { $p->client->send("$_.1\n$_.2\n$_.3\n") } 1 .. 3;
	$b->wait_report(sub ($r) { $r->{lines} == 2 });
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'the third waits');
	is_deeply lines_each($b->report), [1, 1], 'and of each client one';
	for (my $lines = 2; $lines < 9;) {
		$b->tell('release', count => 1);
		my $r = $b->wait_report(sub ($r) { $r->{lines} > $lines });
		ok !(grep { $_->{kept} > 1 } @{$r->{conns}}), 'never two on a link';
		$lines = $r->{lines};
	}
	$b->tell('release');
	for my $n (1 .. 3) {
		is $clients[$n - 1]->line, "$n.$_\n" for 1 .. 3;
	}
	is $b->report->{accepted}, 2, 'two links for all of it';
	$p->end;
};

it 'session: the peer never counts more links than there may be' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], workers => 2,
	    upstream => "pool = session\npool_size = 4\npool_wait = 1m\n");
	# Those who leave have been answered, or not; those who wait take their places.
	for (1 .. 15) {
		my @served = map { $p->client } 1 .. 4;
		is $_->ask("hello\n"), "hello\n" for @served;
		my @waiting = map { $p->client->send("next\n") } 1 .. 2;
		$_->send("again\n") for @served[0 .. 1];
		$_->reset for @served;
		is $_->line, "next\n" for @waiting;
		$_->reset for @waiting;
	}
	is $p->client->ask("here\n"), "here\n", 'and there is room at the end';
	cmp_ok $b->report->{peak}, '<=', 4;
	$p->end;
};

it 'session: a peer that is busy with what a client has left behind counts' => sub {
	my $b = backend('silent');
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = session\npool_size = 2\npool_wait = 1s\nreply_timeout = 10m\n");
	my @gone = map { $p->client->send("$_\n") } 1 .. 2;
	$b->wait_report(sub ($r) { $r->{accepted} == 2 });
	$p->until(sub ($p) { $p->peer->{in_flight} == 2 }, 'both have asked');
	$_->reset for @gone;
	is $p->client->ask("more\n", $p->failure), $p->failure, 'there is no room for a third';
	is $b->report->{accepted}, 2;
	$b->tell('resume');
	my $c = $p->client->send("now\n");
	$b->wait_report(sub ($r) { $r->{accepted} == 3 });
	pass 'when they have ended there is';
	$p->end;
};

it 'but not for longer than a reply may take' => sub {
	my $b = backend('silent');
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = session\npool_size = 1\npool_wait = 1m\nreply_timeout = 500ms\n");
	my $gone = $p->client->send("one\n");
	$p->until(sub ($p) { $p->peer->{in_flight} == 1 }, 'it has asked');
	$gone->reset;
	my $c = $p->client->send("two\n");
	$b->wait_report(sub ($r) { $r->{accepted} == 2 });
	pass;
	$p->end;
};

it 'pool_min_idle does not back off from a peer that does nothing wrong' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool_min_idle = 1\npool_lifetime = 100ms\n");
	# Backing off would take more than three minutes.
	$b->wait_report(sub ($r) { $r->{accepted} >= 12 }, 60);
	pass;
	$p->end;
};

it 'pool_min_idle backs off from a peer that ends what nobody has used' => sub {
	my $b = backend('close');
	my $began = now();
	my $p = Weir::Pool->new(peers => [$b], upstream => "pool_min_idle = 1\n");
	$b->wait_report(sub ($r) { $r->{accepted} >= 6 });
	cmp_ok now() - $began, '>=', (0.4 + 0.8 + 1.6) / 2 - $TICK, 'the pauses before the sixth, at the least';
	$p->end;
};

it 'tells who made a peer answer what nobody had asked' => sub {
	my $b = backend('line', reply => sub ($line, $) { "$line\n" x ($line eq 'twice' ? 2 : 1) });
	my $p = Weir::Pool->new(peers => [$b]);
	my $c = $p->client;
	is $c->ask("twice\n"), "twice\n";
	$p->until(sub ($p) { $p->peer->{unsolicited} == 1 }, 'it is counted');
	my $from = "127.0.0.1:" . $c->local_port;
	like $p->weir->log, qr/ warn .*last request was of client \Q$from\E: .* not for protocol = line_proxy/;
	$p->end;
};

it 'requests that fail leave a line for each reason, which says what to do' => sub {
	my $b = backend('line', reply => sub ($line, $) {
		$line eq 'bad' ? 'x' x 20000 . "\n" : $line eq 'good' ? "$line\n" : undef;
	});
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "reply_timeout = @{[int(patience(0.4) * 1000)]}ms\n");
	my $c = $p->client;
	my $from = "127.0.0.1:" . $c->local_port;
	my $peer = 'client ' . quotemeta($from) . ', upstream u, peer ' . quotemeta($b->address);
	is $c->ask("good\n"), "good\n";
	is $c->send("bad\n")->line, $p->failure;
	like $p->weir->log, qr/ warn .*requests fail \(bad_reply\): .*longer than it may be, $peer$/m;

	$c->send("*1\nlate\n");
	is $c->line, $p->failure for 1 .. 2;
	like $p->weir->log, qr/ warn .*\(reply_timeout\): .*fewer replies.*line_refuse = \*\$.*, $peer$/m,
	    'whoever speaks RESP is named';
	is_deeply $p->failures, { bad_reply => 1, reply_timeout => 1, peer_closed => 1 };
	unlike $p->weir->log, qr/requests fail \(peer_closed\)/, 'not what follows from it';
	is $p->client->send("*2\n")->line, $p->failure;
	is scalar(() = $p->weir->log =~ /requests fail/g), 2, 'once in a while';

	$b->stop;
	is $p->client->send("x\n")->line, $p->failure;
	$p->weir->wait_log(qr/ warn .*requests fail \((connect|no_peer)\): /);
	$p->weir->wait_log(qr/ warn .*peer \Q@{[$b->address]}\E of upstream u fails .*no other is left, so it is tried all the same$/m);
	$p->end;
};

it 'session: a link for the stay of a client' => sub {
	my $b = backend('line', reply => sub ($line, $conn) { "$conn->{n} $line\n" });
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = session\npool_size = 3\npool_wait = 1m\n");
	my %link;
	my @clients = map { $p->client } 1 .. 3;
	for my $round (1 .. 5) {
		for my $n (0 .. 2) {
			my $line = $clients[$n]->send("hello $n $round\n")->line;
			$link{$n}{$line =~ /^(\d+) hello $n $round$/ ? $1 : $line} = 1;
		}
	}
	is join(',', map { join('', keys %{$link{$_}}) } 0 .. 2), '1,2,3', 'each has its own';
	is $p->peer->{links}, 3;

	my $fourth = $p->client->send("hello\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'the fourth waits');
	$clients[0]->close;
	is $fourth->line, "4 hello\n", 'until one leaves, and has a fresh link';
	$b->wait_report(sub ($r) { $r->{open} == 3 && $r->{conns}[0]{ended} ne '' });

	$b->tell('drop_all');
	isnt $_->ending, 'open', 'a client ends with its link' for @clients[1, 2], $fourth;
	$p->until(sub ($p) { $p->peer->{links} == 0 }, 'no link is left');
	is $p->client->ask("x\n", "5 x\n"), "5 x\n", 'and others come';
	$p->end;
};

for my $mode (qw(pipeline request)) {
	for my $workers (1, 2, 4) {
		it "pool_size holds over $workers workers, $mode" => sub {
			my $b = backend('line');
			my $p = Weir::Pool->new(peers => [$b], workers => $workers,
			    upstream => "pool = $mode\npool_size = 5\npipeline_spread = 1\n" .
			    "pool_wait = 1m\n");
			unharmed(stress('line', '-c', 60, '--each', 50, $p->address), answered => 3000,
			    connected => 60);
			cmp_ok $b->report->{peak}, '<=', 5, 'as the backend counts them';
			is $b->report->{peak}, 5, 'all were used' if $workers < 4;
			cmp_ok $p->peer->{links}, '<=', 5;
			is_deeply $p->failures, {};
			$p->end;
		};
	}
}

it 'pool_queue: who finds it full fails at once' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_size = 1\npool_queue = 2\npool_wait = 1m\n");
	my @clients = one_by_one($p, $b, 1);
	push @clients, map { $p->client->send("$_\n") } 2, 3;
	$p->until(sub ($p) { $p->upstream->{waiting} == 2 }, 'two wait');
	my $fourth = $p->client;
	is $fourth->send("4\n")->line, $p->failure;
	is_deeply $p->failures, { pool_queue => 1 };
	is $p->upstream->{waiting}, 2, 'the others wait on';
	$b->tell('release');
	is $clients[$_ - 1]->line, "$_\n" for 1 .. 3;
	is $fourth->ask("again\n"), "again\n", 'and its session goes on';
	$p->end;
};

it 'without a failure text a client that fails is closed' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b], failure => 'off',
	    upstream => "pool = request\npool_size = 1\npool_queue = 1\npool_wait = 1m\n");
	my @clients = one_by_one($p, $b, 1);
	push @clients, $p->client->send("2\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'one waits');
	my $third = $p->client->send("3\n");
	is $third->rest, '', 'a clean end';
	$third->close;
	$p->until(sub ($p) { $p->server->{end_request_failed} == 1 }, 'with a name');
	$b->tell('release');
	is $clients[$_ - 1]->line, "$_\n" for 1, 2;
	$p->end;
};

it 'pool_wait: no longer than that, and what came meanwhile fails with it' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_size = 1\npool_wait = $ms\n");
	my ($first) = one_by_one($p, $b, 'first');
	my $c = $p->client;
	my $began = now();
	$c->send("1\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'it waits');
	$c->send("2\n3\nunfinished");
	is $c->line, $p->failure;
	cmp_ok now() - $began, '>=', $T - $TICK, 'not too early';
	cmp_ok now() - $began, '<', patience(5), 'in time';
	is $c->line, $p->failure for 1 .. 2;
	is_deeply $p->failures, { pool_wait => 3 };
	is $p->upstream->{waiting}, 0;
	$b->tell('release');
	is $first->line, "first\n", 'the one before is not concerned';
	is $c->send(" now is\n")->line, "unfinished now is\n", 'and the session goes on';
	$p->end;
};

it 'a client that leaves does not wait any more' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_size = 1\npool_wait = 1m\n");
	my ($first) = one_by_one($p, $b, 'first');
	my $c = $p->client->send("never\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'it waits');
	$c->reset;
	$p->until(sub ($p) { $p->upstream->{waiting} == 0 }, 'it is gone');
	my $second = $p->client->send("second\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'another waits');
	$b->tell('release');
	is $first->line, "first\n";
	is $second->line, "second\n";
	is $b->report->{lines}, 2, 'what it asked was not sent';
	$p->end;
};

it 'one that has ended its side and then resets does not keep a link' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = session\npool_size = 1\npool_wait = 1m\n");
	my $c = $p->client->send_fin("question\n");
	$b->wait_report(sub ($r) { $r->{lines} == 1 });
	$c->reset;
	$p->until(sub ($p) { $p->server->{sessions} == 0 }, 'it is gone');
	is $p->server->{end_client_failed}, 1;
	$p->end;
};

it 'a client that leaves with 50 requests in flight' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b], upstream => "pool_size = 1\n");
	my ($before) = one_by_one($p, $b, 'before');
	my $c = $p->client->send(join('', map { "gone $_\n" } 1 .. 50));
	$b->wait_report(sub ($r) { $r->{lines} == 51 });
	my ($behind) = one_by_one($p, $b, 'behind');
	$c->reset;
	$p->until(sub ($p) { $p->server->{sessions} == 2 }, 'it is gone');
	$b->tell('release');
	is $before->line, "before\n";
	is $behind->line, "behind\n", 'nobody has its replies';
	is $before->ask("more\n"), "more\n";
	is $p->upstream->{orphaned}, 50;
	is $p->peer->{in_flight}, 0;
	is $b->report->{accepted}, 1, 'the link was kept';
	$p->end;
};

it 'a client that ends its side has the replies to its whole requests' => sub {
	for my $mode (qw(pipeline request session)) {
		my $b = keeper();
		my $p = Weir::Pool->new(peers => [$b], upstream => "pool = $mode\n");
		my $c = $p->client->send_fin("one\ntwo\nunfin");
		$b->wait_report(sub ($r) { $r->{lines} > 0 });
		$b->tell('release');
		is $c->rest, "one\ntwo\n", $mode;
		is $b->report->{lines}, 2;
		$p->until(sub ($p) { $p->server->{end_client_closed} == 1 }, 'a good end');
		$p->end;
	}
};

it 'pipeline_per_client: it is not read any further, the others are' => sub {
	my $b = keeper();
	my $p = Weir::Pool->new(peers => [$b], server => "pipeline_per_client = 4\n");
	my $c = $p->client->send(join('', map { "$_\n" } 1 .. 10));
	$b->wait_report(sub ($r) { $r->{lines} >= 4 });
	my ($other) = one_by_one($p, $b, 'other');
	is $b->report->{lines}, 5, 'four of it, one of the other';
	$b->tell('release', count => 1);
	$b->wait_report(sub ($r) { $r->{lines} >= 6 });
	$b->tell('release');
	is $c->line, "$_\n" for 1 .. 10;
	is $other->line, "other\n";
	is $b->report->{accepted}, 1;
	cmp_ok $p->server->{pipeline_full}, '>=', 1, 'and it is counted';
	$p->end;
};

it 'pool_idle_timeout closes links that nobody needs' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], upstream => "pool_idle_timeout = $ms\n");
	my $c = $p->client;
	is $c->ask("x\n"), "x\n";
	my $r = $b->wait_report(sub ($r) { $r->{accepted} == 1 && $r->{open} == 0 });
	cmp_ok $r->{conns}[0]{lasted}, '>=', $T - $TICK, 'not too early';
	$p->until(sub ($p) { $p->peer->{links_closed_idle} == 1 }, 'it is counted');
	is $p->peer->{links}, 0;
	is $p->peer->{connections}, 0;
	my $until = now() + 2.5 * $T;
	while (now() < $until) {
		$c->ping;
		until_time(now() + 0.05);
	}
	is $b->report->{accepted}, 2, 'one that is used stays';
	$p->end;
};

it 'pool_min_idle links are there before anybody asks, and stay' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], workers => 2,
	    upstream => "pool_min_idle = 3\npool_idle_timeout = $ms\n");
	$b->wait_report(sub ($r) { $r->{open} == 3 });
	$p->until(sub ($p) { $p->peer->{links} == 3 }, 'so the board says');
	my $c = $p->client;
	until_time(now() + 3 * $T);
	my $r = $b->report;
	is $r->{open}, 3;
	is $r->{accepted}, 3, 'the same ones';
	ok $c->ping;
	is $b->report->{accepted}, 3, 'and they are used';
	$b->tell('drop_all');
	$b->wait_report(sub ($r) { $r->{open} == 3 && $r->{accepted} == 6 });
	is $p->peer->{state}, 'up', 'lost ones are replaced; that is no failure';
	ok $c->ping;
	is_deeply $p->failures, {};
	$p->end;
};

it 'pool_min_idle does not hammer at a peer that is down' => sub {
	my $b = backend('refuse');
	my $p = Weir::Pool->new(peers => [$b->address . ' fail_timeout=1h', backend('line')],
	    upstream => "pool_min_idle = 2\n");
	my $c = $p->client;
	until_time(now() + 1);
	ok $c->ping;
	is $p->peer(0)->{connect_failed}, 1;
	is_deeply $p->failures, {};
	$p->end;
	my $began = now();
	$p = Weir::Pool->new(peers => [$b->address . ' fail_timeout=1s'],
	    upstream => "pool_min_idle = 2\n");
	until_time(now() + 1.5);
	my $failed = $p->peer(0)->{connect_failed};
	cmp_ok $failed, '<=', 2 + int(now() - $began - 0.5), 'nor at the only one';
	$b->tell('up');
	$b->wait_report(sub ($r) { $r->{open} == 2 });
	$p->end;
};

it 'pool_lifetime: links grow old and are replaced, unnoticed' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool_lifetime = $ms\npool_size = 2\npipeline_spread = 1\n");
	my $crowd = crowd('line', '-c', 10, $p->address);
	$b->wait_report(sub ($r) { $r->{accepted} >= 5 });
	unharmed($crowd->end);
	my $r = $b->report;
	cmp_ok $r->{peak}, '<=', 2;
	my @lasted = map { $_->{lasted} } grep { $_->{ended} } @{$r->{conns}};
	ok !(grep { $_ < 0.75 * $T } @lasted), 'none was let go much too early';
	cmp_ok $p->peer->{links_closed_lifetime}, '>=', 3;
	is_deeply $p->failures, {};
	$p->end;
};

it 'max_conns bounds links and proxied sessions together' => sub {
	my $b = backend('line');
	my $stream = free_port;
	my $p = Weir::Pool->new(peers => [$b->address . ' max_conns=2'],
	    upstream => "pool = request\npool_wait = 1m\n", more => <<"CONF");
[server stream]
listen = 127.0.0.1:$stream
protocol = stream_proxy
upstream = u
CONF
	my $c = $p->client;
	ok $c->ping;
	my $one = client($stream);
	ok $one->ping;
	is $p->peer->{connections}, 2;
	is $p->peer->{links}, 1;
	isnt client($stream)->ending, 'open', 'there is no third';
	cmp_ok $p->peer->{full}, '>=', 1;
	$b->tell('keep');
	$c->send("kept\n");
	$b->wait_report(sub ($r) { $r->{kept} == 1 });
	my $other = $p->client->send("waits\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'a request waits');
	is $b->report->{open}, 2;
	$one->reset;
	$b->wait_report(sub ($r) { $r->{kept} == 2 });
	$b->tell('release');
	is $c->line, "kept\n";
	is $other->line, "waits\n", 'it has the place of the session that left';
	is $b->report->{peak}, 2;
	is_deeply $p->failures, {};
	$p->end;
};

it 'reply_max: a slow reader is closed, and holds up nobody' => sub {
	my $b = backend('line', reply => sub ($line, $) { ($line eq 'large' ? 'x' x 8000 : $line) . "\n" });
	my $p = Weir::Pool->new(peers => [$b], server => "sndbuf = 16k\n",
	    upstream => "pool_size = 1\nreply_max = 100k\n");
	my $slow = $p->client(rcvbuf => 4096);
	my $other = $p->client;
	ok $other->ping;
	my $rounds = 0;
	$p->until(sub ($p) {
		$slow->send_some("large\n" x 64) if $rounds++ < 20;
		$other->ping;
		$p->server->{end_slow_reader} == 1;
	}, 'it is closed');
	is $slow->ending, 'reset';
	ok $other->ping, 'others go on';
	is $p->peer->{connected}, 1, 'on the same link';
	my $fast = $p->client;
	for (1 .. 10) {
		$fast->send("large\n" x 8);
		ok $fast->recv(8 * 8001) eq ('x' x 8000 . "\n") x 8, 'who reads has all of it';
	}
	is $p->server->{end_slow_reader}, 1;
	$p->end;
};

it 'a worker that retires soon closes what is idle, and its sessions go on' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], upstream => "pool_idle_timeout = 1h\n");
	my $old = $p->client;
	ok $old->ping;
	is $b->report->{open}, 1;
	is $p->weir->reload->{exit}, 0;
	ok $p->client->ping, 'a new one';
	ok $old->ping, 'the session that was there';
	is $b->report->{accepted}, 2, 'on its link';
	$p->until(sub ($p) { $p->peer->{links} == 1 }, 'which is not kept');
	ok $old->ping, 'it has another if it comes back';
	is_deeply $p->failures, {};
	$p->end;
};

it 'a worker that retires lets the new ones have its links' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b],
	    upstream => "pool = request\npool_size = 1\npool_wait = 1m\n");
	my $crowd = crowd('line', '-c', 10, $p->address);
	$crowd->moving;
	is $p->weir->reload->{exit}, 0;
	my $new = crowd('line', '-c', 10, $p->address);
	$new->moving;
	$crowd->moving;
	unharmed($_->end) for $crowd, $new;
	is $b->report->{peak}, 1;
	$p->end;
};

it 'the tokens of a killed worker come back' => sub {
	for my $workers (1, 4) {
		my $b = keeper();
		my $p = Weir::Pool->new(peers => [$b], workers => $workers,
		    upstream => "pool = request\npool_size = 4\npool_wait = 1m\n");
		$p->weir->allow(qr/worker/);
		my @clients = map { $p->client->send("$_\n") } 1 .. 40;
		$b->wait_report(sub ($r) { $r->{kept} == 4 });
		for my $slot (0 .. $workers - 1) {
			my $pid = $p->weir->worker($slot);
			kill('KILL', $pid);
			await { my $new = $p->weir->worker($slot); $new && $new != $pid } 'a new worker';
		}
		isnt $_->ending, 'open' for @clients;
		$b->wait_report(sub ($r) { $r->{open} == 0 });
		is $p->upstream->{waiting}, 0;
		is $p->peer->{$_}, 0, "$_ of $workers workers" for qw(links connections in_flight);
		@clients = map { $p->client->send("$_\n") } 1 .. 8;
		$b->wait_report(sub ($r) { $r->{kept} == 4 });
		$b->tell('release');
		is $clients[$_ - 1]->line, "$_\n" for 1 .. 8;
		cmp_ok $b->report->{peak}, '<=', 4;
		$p->end;
	}
};

it 'a UNIX socket carries links, too' => sub {
	my $dir = File::Temp->newdir;
	chmod(0755, $dir);
	my $b = backend('line', address => "unix:$dir/backend.sock");
	my $p = Weir::Pool->new(peers => [$b]);
	unharmed(stress('line', '-c', 20, '--each', 50, '-p', 5, $p->address), answered => 1000, connected => 20);
	$b->tell('drop_all');
	$p->until(sub ($p) { $p->peer->{links} == 0 }, 'the links are gone');
	ok $p->client->ping;
	is_deeply $p->failures, {};
	$p->end;
};

it 'values that make no sense are refused' => sub {
	my $conf = sub (%line) {
		my $upstream = join('', map { "$_ = $line{$_}\n" } grep { $_ ne 'pipeline_per_client' } keys %line);
		my $server = $line{pipeline_per_client} // 64;
		return Weir::Daemon->new(<<"CONF")->command('-t');
[server s]
listen = 127.0.0.1:1
protocol = line_proxy
upstream = u
pipeline_per_client = $server
[upstream u]
server = 127.0.0.1:2
$upstream
CONF
	};
	my @good = ([pool => 'pipeline'], [pool => 'request'], [pool => 'session'], [pool_size => 1],
	    [pool_size => 1000], [pool_min_idle => 0], [pool_idle_timeout => 'off'], [pool_idle_check => '1s'], [pool_idle_check => 'off'],
	    [pool_lifetime => 'off'], [pool_queue => 'auto'], [pool_queue => 1], [pool_wait => '1ms'],
	    [pipeline_spread => 1], [pipeline_depth => 128], [reply_max => '64k'],
	    [reply_timeout => 'off'], [pipeline_per_client => 1]);
	my @bad = ([pool => 'statement'], [pool_size => 0], [pool_size => 65536],
	    [pool_size => 'off'], [pool_min_idle => -1], [pool_min_idle => 17], [pool_idle_timeout => '0'],
	    [pool_idle_check => '999ms'],
	    [pool_lifetime => 'x'], [pool_queue => 'off'], [pool_wait => 'off'], [pool_wait => '0'],
	    [pipeline_spread => 0], [pipeline_depth => 0], [reply_max => 'off'], [reply_timeout => '0'],
	    [pipeline_per_client => 0], [pipeline_per_client => 'off']);
	is $conf->(@$_)->{exit}, 0, "@$_" for @good;
	for (@bad) {
		my $r = $conf->(@$_);
		is $r->{exit}, 1, "@$_";
		like $r->{text}, qr/weir\.conf:\d+: .*$_->[0]/, 'and says where';
	}
};

done_testing;
