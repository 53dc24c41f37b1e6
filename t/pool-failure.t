#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Peers that refuse, vanish, answer twice, half, late or never: who is told what,
# and that no reply reaches anybody but who asked for it.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

my $T = patience(0.4);
my $ms = int($T * 1000) . 'ms';
my $TICK = 0.02;

# A time of weir-stress.
sub ms($seconds) { return int($seconds * 1000) . 'ms' }

# A crowd's requests, so many in all, are each told that they have failed, in that time.
sub all_fail($p, $seconds, $count, @options)
{
	my $of = stress('line', '-t', ms($seconds), '--failure', '-failed', @options, $p->address)->{of};
	is "errors $of->{errors}, lost $of->{lost}, answered $of->{answered}, failed $of->{failed}",
	    "errors 0, lost 0, answered 0, failed $count", 'each is told';
}

# What a peer says of itself: NAME LINE.
sub named($name, %option)
{
	return backend('line', name => $name, reply => sub ($line, $) { "$name $line\n" }, %option);
}

# Who answered each of these many requests of one client.
sub answers($c, $count)
{
	my %by;
	for my $n (1 .. $count) {
		my $line = $c->send("n$n\n")->line;
		$by{$line =~ /^(\w+) n$n$/ ? $1 : $line =~ s/\n//r}++;
	}
	return \%by;
}

it 'a refused connection: the next peer has the request' => sub {
	my $p = Weir::Pool->new(peers => [backend('refuse'), named('good')]);
	is_deeply answers($p->client, 20), { good => 20 };
	is $p->upstream->{retried}, 1;
	is $p->peer(0)->{connect_failed}, 1;
	is $p->peer(0)->{state}, 'failed', 'max_fails = 1';
	is $p->peer(0)->{links}, 0;
	is_deeply $p->failures, {};
	$p->end;
};

it 'a refused connection that many requests waited for' => sub {
	my @bad = map { backend('refuse')->address . ' max_fails=0' } 1 .. 2;
	my $p = Weir::Pool->new(peers => [@bad, named('good')], upstream => "retries = 2\n");
	my @clients = map { $p->client } 1 .. 60;
	$_->send("a\nb\n") for @clients;
	for my $c (@clients) {
		is $c->recv(14), "good a\ngood b\n";
	}
	cmp_ok $p->upstream->{retried}, '>', 0;
	is_deeply $p->failures, {};
	$p->end;
};

it 'retries = 0: it fails, by name' => sub {
	my $p = Weir::Pool->new(peers => [backend('refuse')->address . ' max_fails=0', named('good')],
	    upstream => "retries = 0\n");
	my $by = answers($p->client, 20);
	is_deeply $by, { '-failed' => 10, good => 10 }, 'every other one';
	is_deeply $p->failures, { connect => 10 };
	is $p->upstream->{retried}, 0;
	$p->end;
};

it 'retries: so many other peers and no more' => sub {
	my @bad = map { backend('refuse')->address . ' max_fails=0' } 1 .. 4;
	my $p = Weir::Pool->new(peers => [@bad], upstream => "retries = 2\n");
	is_deeply answers($p->client, 1), { '-failed' => 1 };
	my $failed = 0;
	$failed += $p->peer($_)->{connect_failed} for 0 .. 3;
	is $failed, 3;
	is $p->upstream->{retried}, 2;
	$p->end;
};

it 'all peers refuse: everybody is told at once' => sub {
	my @peers = (backend('refuse'), backend('refuse'));
	my $p = Weir::Pool->new(peers => [@peers], workers => 2);
	all_fail($p, patience(4), 2000, '-c', 100, '--each', 20, '-p', 5);
	my $failures = $p->failures;
	is(($failures->{connect} // 0) + ($failures->{no_peer} // 0), 2000, 'each has a name');
	$peers[1]->tell('up');
	$p->until(sub ($p) { $p->client->send("x\n")->line eq "x\n" }, 'and it comes back');
	$p->end;
};

it 'all peers are down' => sub {
	my $p = Weir::Pool->new(peers => [named('never')->address . ' down']);
	is $p->client->send("x\n")->line, $p->failure;
	is_deeply $p->failures, { no_peer => 1 };
	$p->end;
};

it 'a full backlog: connect_timeout, then the next peer' => sub {
	my $p = Weir::Pool->new(peers => [backend('full'), named('good')],
	    upstream => "connect_timeout = $ms\n");
	my @clients = map { $p->client } 1 .. 10;
	my $began = now();
	$_->send("x\n") for @clients;
	is $_->line, "good x\n" for @clients;
	cmp_ok now() - $began, '>=', $T - $TICK, 'not too early';
	cmp_ok now() - $began, '<', patience(5);
	cmp_ok $p->peer(0)->{connect_timed_out}, '>=', 1;
	is_deeply $p->failures, {};
	$p->end;
};

it 'nothing but full backlogs: everybody is told in time' => sub {
	my $p = Weir::Pool->new(peers => [backend('full'), backend('full')],
	    upstream => "connect_timeout = $ms\n");
	all_fail($p, patience(5), 400, '-c', 200, '--each', 2);
	is $p->peer($_)->{links}, 0 for 0, 1;
	$p->end;
};

it 'the recovery of a peer is tried by one' => sub {
	my $bad = backend('refuse', keep => 1);
	my $again = $bad->address;
	my $p = Weir::Pool->new(workers => 4, upstream => "pool_size = 8\n",
	    peers => ["$again fail_timeout=1s", backend('line')]);
	my @clients = map { $p->client } 1 .. 20;
	$p->until(sub ($p) {
		$_->send("x\n")->line for @clients;
		$p->peer(0)->{state} eq 'failed';
	}, 'it fails');
	my $failed = now();
	$bad->stop;
	$bad = backend('line', address => $again, keep => 1);
	until_time($failed + 1.1);
	my $crowd = crowd('line', '-c', 40, $p->address);
	my $r = $bad->wait_report(sub ($r) { $r->{kept} > 0 });
	$crowd->moving for 1 .. 3;
	$r = $bad->report;
	cmp_ok $r->{accepted}, '<=', 2, 'a probe for each fail_timeout';
	cmp_ok $r->{lines}, '<=', 2;
	is $p->peer(0)->{state}, 'failed', 'as long as it has not answered';
	my $before = $r->{lines};
	$bad->tell('release');
	$bad->wait_report(sub ($r) { $r->{lines} > $before + 100 });
	is $p->peer(0)->{state}, 'up';
	unharmed($crowd->end);
	is_deeply $p->failures, {};
	$p->end;
};

it 'reply_timeout: late and what was sent with it fails, and the reply reaches nobody' => sub {
	my $b = backend('line', keep => 1);
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0'],
	    upstream => "reply_timeout = $ms\npool_size = 1\n");
	my ($one, $two) = map { $p->client } 1 .. 2;
	my $began = now();
	$one->send("late\n");
	$b->wait_report(sub ($r) { $r->{lines} == 1 });
	$two->send("behind\n");
	$b->wait_report(sub ($r) { $r->{lines} == 2 });
	is $one->line, $p->failure;
	cmp_ok now() - $began, '>=', $T - $TICK, 'not too early';
	is $two->line, $p->failure;
	is_deeply $p->failures, { reply_timeout => 1, peer_closed => 1 };
	is $p->peer->{reply_timeouts}, 1;
	$b->tell('release');
	is $one->ask("next of one\n"), "next of one\n";
	is $two->ask("next of two\n"), "next of two\n";
	is $b->report->{accepted}, 2;
	$p->end;
};

it 'reply_timeout begins when a link is connected, whatever connect_timeout is' => sub {
	for my $mode (qw(pipeline request session)) {
		my $p = Weir::Pool->new(peers => [backend('line', keep => 1)],
		    upstream => "pool = $mode\nreply_timeout = $ms\nconnect_timeout = 1m\n");
		my $c = $p->client;
		my $began = now();
		$c->send("x\n");
		is $mode eq 'session' ? $c->rest : $c->line, $p->failure, $mode;
		cmp_ok now() - $began, '>=', $T - $TICK, 'not too early';
		cmp_ok now() - $began, '<', $T + patience(8), 'in time';
		$c->reset;
		$p->end;
	}
};

it 'reply_timeout does not hit one that waits for its turn' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], upstream => "reply_timeout = $ms\npool_size = 1\n");
	my $crowd = crowd('line', '-c', 20, '-p', 5, $p->address);
	my $began = now();
	until_time($began + 3 * $T);
	unharmed($crowd->end);
	is $p->peer->{reply_timeouts}, 0;
	is $p->peer->{connected}, 1;
	$p->end;
};

for my $how (qw(drop_all finish_all reset_all)) {
	it "a peer that ends an idle link ($how): nobody notices" => sub {
		my $b = backend('line');
		my $p = Weir::Pool->new(peers => [$b]);
		my $c = $p->client;
		for my $round (1 .. 5) {
			ok $c->ping;
			$b->tell($how);
			$p->until(sub ($p) { $p->peer->{links} == 0 }, 'the link is gone');
			is $p->peer->{links_closed_by_peer}, $round;
		}
		ok $c->ping;
		is_deeply $p->failures, {};
		is $p->peer->{state}, 'up';
		$p->end;
	};
}

it 'bytes that nobody asked for close an idle link' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b]);
	my $c = $p->client;
	for my $bytes ("junk\n", 'x', "many\nlines\n") {
		ok $c->ping;
		$b->tell('send', bytes => $bytes);
		$b->wait_report(sub ($r) { $r->{open} == 0 });
		ok $c->ping, 'the next request has its own reply';
	}
	is $p->peer->{unsolicited}, 3;
	is_deeply $p->failures, {};
	$p->end;
};

it 'a greeting is not taken for a reply' => sub {
	my $b = backend('greeting', text => "welcome\n");
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0']);
	my $c = $p->client;
	my $line = $c->send("x\n")->line;
	# Whoever speaks first is not of this protocol; when its words come behind the request
	# nobody can know.
	like $line, qr/^(?:-failed|welcome)$/;
	ok !$p->failures->{no_memory};
	$p->end;
};

it 'two replies to one request: nobody has the second' => sub {
	my $b = backend('line', reply => sub ($line, $) { "$line\n" x ($line =~ /^twice/ ? 2 : 1) });
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0']);
	my ($one, $two) = map { $p->client } 1 .. 2;
	for my $n (1 .. 20) {
		is $one->send("twice $n\n")->line, "twice $n\n";
		is $two->ask("two $n\n"), "two $n\n" or last;
		is $one->ask("one $n\n"), "one $n\n" or last;
	}
	cmp_ok $p->peer->{unsolicited}, '>=', 20;
	is_deeply $p->failures, {};
	$p->end;
};

it 'half a reply, and then nothing' => sub {
	my $b = backend('line', reply => sub ($line, $) { $line eq 'half' ? 'hal' : "$line\n" });
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0'],
	    upstream => "reply_timeout = $ms\n");
	my $c = $p->client;
	my $began = now();
	is $c->send("half\n")->line, $p->failure;
	cmp_ok now() - $began, '<', $T + patience(8), 'in time';
	is_deeply $p->failures, { reply_timeout => 1 };
	is $c->ask("whole\n"), "whole\n";
	$p->end;
};

it 'half a reply, and then the end' => sub {
	for my $how (qw(close finish reset)) {
		my $b = backend('line', reply => sub ($line, $conn) {
			return "$line\n" if $line ne 'half';
			$conn->send('hal');
			$conn->$how;
			return undef;
		});
		my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0']);
		my $c = $p->client;
		is $c->send("half\n")->line, $p->failure, $how;
		is_deeply $p->failures, { peer_closed => 1 };
		is $c->ask("whole\n"), "whole\n";
		$p->end;
	}
};

it 'a reply and the end right behind it' => sub {
	for my $how (qw(close finish)) {
		my $b = backend('line', reply => sub ($line, $conn) {
			$conn->send("$line\n");
			$conn->$how;
			return undef;
		});
		my $p = Weir::Pool->new(peers => [$b], upstream => "pool = request\n");
		my $c = $p->client;
		for my $n (1 .. 50) {
			is $c->send("$n\n")->line, "$n\n", $how;
			$p->until(sub ($p) { $p->peer->{links} == 0 }, 'the link is gone') if $n < 5;
			$b->wait_report(sub ($r) { $r->{open} == 0 });
		}
		is $p->peer->{state}, 'up';
		$p->end;
	}
};

it '100 MB in one line' => sub {
	my $b = backend('script', data => sub ($conn, $) { $conn->source(undef, 100 << 20) });
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0']);
	my $before = $p->weir->memory;
	is $p->client->send("x\n")->line, $p->failure, 'it is told';
	is_deeply $p->failures, { bad_reply => 1 };
	is $p->peer->{bad_replies}, 1;
	my $r = $b->wait_report(sub ($r) { $r->{open} == 0 });
	cmp_ok $r->{out}, '<', 32 << 20, "$r->{out} bytes got away";
	cmp_ok $p->weir->memory - $before, '<', 8 << 20 if !Weir::Build::sanitized();
	$p->end;
};

it 'requests that have not been sent yet move on when the link breaks' => sub {
	my $stuck = backend('silent', rcvbuf => 4096);
	my $good = backend('line', reply => sub ($line, $) { length($line) . "\n" });
	my $p = Weir::Pool->new(peers => [$stuck->address . ' max_fails=0'],
	    upstream => "pool_size = 1\npipeline_depth = 512\nsndbuf = 4k\nreply_timeout = 1m\n"
	    . 'server = ' . $good->address . " backup\n");
	my @clients = map { $p->client } 1 .. 30;
	$_->send(('x' x 8000) . "\n") for @clients;
	$p->until(sub ($p) { $p->peer->{in_flight} == 30 }, 'all are on the link');
	$stuck->tell('down');
	$stuck->tell('reset_all');
	my %got;
	$got{$_->line}++ for @clients;
	my $failed = delete $got{$p->failure} // 0;
	is_deeply [keys %got], ["8000\n"], 'all others are answered';
	cmp_ok $failed, '>=', 1;
	cmp_ok $failed, '<', 20, "$failed had been sent";
	is_deeply $p->failures, { peer_closed => $failed };
	cmp_ok $p->upstream->{moved}, '>=', 30 - $failed;
	$p->end;
};

it 'a peer dies with requests in flight: those fail, and no others' => sub {
	my $dies = named('dies', keep => 1);
	my $lives = named('lives');
	my $p = Weir::Pool->new(peers => [$dies, $lives], workers => 2);
	my @clients = map { $p->client->send("x\n") } 1 .. 40;
	my $sent;
	$p->until(sub ($p) {
		$sent = $dies->report->{lines};
		$lives->report->{lines} + $sent == 40;
	}, 'all are sent');
	cmp_ok $sent, '>=', 1;
	kill('KILL', $dies->pid);
	my %got;
	$got{$_->line}++ for @clients;
	is_deeply \%got, { "-failed\n" => $sent, "lives x\n" => 40 - $sent };
	is_deeply $p->failures, { peer_closed => $sent };
	my $by = {};
	for my $c (@clients) {
		my $more = answers($c, 5);
		$by->{$_} += $more->{$_} for keys %$more;
	}
	is_deeply $by, { lives => 200 }, 'and nobody notices it from then on';
	$dies->stop;
	$p->end;
};

it 'a peer is killed and restarted under load' => sub {
	for my $ahead (1, 8) {
		my ($a, $b) = (backend('line'), backend('line'));
		my $p = Weir::Pool->new(peers => [$a->address . ' fail_timeout=1s', $b], workers => 2);
		my $crowd = crowd('line', '-c', 50, '-p', $ahead, '--failure', '-failed', $p->address);
		for my $round (1 .. 3) {
			$crowd->moving;
			my $address = $a->address;
			kill('KILL', $a->pid);
			$a->stop;
			$crowd->moving for 1 .. 3;
			$a = backend('line', address => $address);
			$a->wait_report(sub ($r) { $r->{lines} > 100 });
			pass 'traffic returns';
		}
		my $of = $crowd->end->{of};
		is "errors $of->{errors}, lost $of->{lost}", 'errors 0, lost 0';
		my $failures = $p->failures;
		is_deeply [grep { $_ ne 'peer_closed' } keys %$failures], [], 'for no other reason';
		is $of->{failed}, $failures->{peer_closed} // 0, "$of->{failed} were told";
		# What it is sent while it dies fails once more.
		cmp_ok $of->{failed}, '<=', 2 * 3 * 50 * $ahead;
		$p->end;
	}
};

it 'pool = session: the end of a link is the end of its client, by name' => sub {
	my $b = backend('line', keep => 1);
	my $p = Weir::Pool->new(peers => [$b->address . ' max_fails=0'],
	    upstream => "pool = session\n");
	my ($idle, $asks) = map { $p->client } 1 .. 2;
	$idle->send("x\n");
	$b->wait_report(sub ($r) { $r->{kept} == 1 });
	$b->tell('release');
	is $idle->line, "x\n";
	$b->tell('keep');
	$asks->send("y\n");
	$b->wait_report(sub ($r) { $r->{kept} == 1 });
	$b->tell('reset_all');
	for my $c ($idle, $asks) {
		isnt $c->ending, 'open';
		$c->close;
	}
	is_deeply $p->failures, { peer_closed => 1 };
	$p->until(sub ($p) { $p->server->{sessions} == 0 && $p->peer->{links} == 0 }, 'all is let go');
	$p->end;
};

it 'every connection is closed at once: no spinning' => sub {
	for my $how (qw(close reset)) {
		my $p = Weir::Pool->new(peers => [backend($how), backend($how)]);
		note $how;
		all_fail($p, patience(30), 400, '-c', 20, '--each', 20);
		my $failures = $p->failures;
		my $sum = 0;
		$sum += $_ for values %$failures;
		is $sum, 400, join(', ', map { "$_ $failures->{$_}" } sort keys %$failures);
		my $connected = $p->peer(0)->{connected} + $p->peer(1)->{connected};
		cmp_ok $connected, '<=', 4 * 400;
		$p->end;
	}
};

done_testing;
