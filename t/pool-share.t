#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Few links, several workers, many who wait: everybody has its turn in time.
# Whose turn is forgotten waits for pool_wait, or for the end of the run.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

my $many = Weir::Build::sanitized() || Weir::Build::valgrind() ? 1500 : 10_000;
my $few = 1500;

# Nobody has waited for longer than half of the run, if that was long.
sub soon_enough($r, $seconds)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($long, $half) = (patience($seconds * 1_000_000), $r->{of}{duration} / 2);
	return cmp_ok $r->{of}{max}, '<', $long > $half ? $long : $half, "the slowest: $r->{of}{max} us";
}

for my $mode (qw(pipeline request)) {
	for my $size (1, 2) {
		it "4 workers, $size links, $mode: all of many clients are served" => sub {
			my $b = backend('line');
			my $p = Weir::Pool->new(peers => [$b], workers => 4, upstream => <<"CONF");
pool = $mode
pool_size = $size
pool_wait = 1m
pipeline_spread = 1
CONF
			my $r = stress('line', '-c', 80, '--each', 25, $p->address);
			unharmed($r, answered => 2000, connected => 80, least => 25);
			soon_enough($r, 2.5);
			is $b->report->{peak}, $size, 'never more links';
			cmp_ok $p->peer->{links_given_up}, '>', 0, 'they were passed on';
			is_deeply $p->failures, {};
			$p->end;
		};
	}
}

it 'a worker that has all links, idle, gives some up' => sub {
	my $b = backend('line', keep => 1);
	my $p = Weir::Pool->new(peers => [$b], workers => 2,
	    upstream => "pool_size = 4\npipeline_spread = 1\npool_wait = 1m\n");
	my @first = map { $p->client_of(0) } 1 .. 4;
	$_->send("x\n") for @first;
	$b->wait_report(sub ($r) { $r->{kept} == 4 && $r->{open} == 4 });
	$b->tell('release');
	is $_->line, "x\n" for @first;
	my $c = $p->client_of(1);
	my $began = now();
	ok $c->ping;
	cmp_ok now() - $began, '<', patience(5), 'at once';
	cmp_ok $p->peer->{links_given_up}, '>=', 1;
	cmp_ok $b->report->{peak}, '<=', 4;
	ok $_->ping for @first, $c;
	is_deeply $p->failures, {};
	$p->end;
};

for my $mode (qw(pipeline request)) {
	it "a worker that has all links, busy, gives some up, $mode" => sub {
		my $b = backend('line');
		my $p = Weir::Pool->new(peers => [$b], workers => 2, upstream => <<"CONF");
pool = $mode
pool_size = 4
pipeline_spread = 1
pool_wait = 5s
CONF
		my @busy = map { $p->client_of(0) } 1 .. 24;
		my $c = $p->client_of(1);
		# The requests of the busy ones never end: a turn of each comes before every look.
		my $turn = sub {
			$_->send("busy\n" x 4) for @busy;
			for my $busy (@busy) {
				$busy->line for 1 .. 4;
			}
		};
		$turn->();
		is $b->report->{open}, 4, 'it has all';
		$_->send("busy\n" x 4) for @busy;
		$c->send("me too\n");
		$turn->() for 1 .. 3;
		is $c->line, "me too\n";
		ok $c->ping for 1 .. 20;
		for my $busy (@busy) {
			is $busy->line, "busy\n" for 1 .. 4;
		}
		cmp_ok $p->peer->{links_given_up}, '>=', 1;
		cmp_ok $b->report->{peak}, '<=', 4;
		is_deeply $p->failures, {};
		$p->end;
	};
}

it 'a link that grows old with a request on it does not keep others from being given up' => sub {
	my $b = backend('line', reply => sub ($line, $) { $line eq 'stay' ? undef : "$line\n" });
	my $s = int(patience(2));
	my $p = Weir::Pool->new(peers => [$b], workers => 2, upstream => <<"CONF");
pool = request
pool_size = 4
pool_wait = 1m
pool_lifetime = ${s}s
reply_timeout = 1h
CONF
	my @first = map { $p->client_of(0) } 1 .. 4;
	my $c = $p->client_of(1);
	$first[0]->send("stay\n");
	$p->until(sub ($p) { $p->peer->{links_closed_lifetime} == 1 }, 'a link is old', 2 * $s);
	$b->tell('keep');
	$_->send("x\n") for @first[1 .. 3];
	$b->wait_report(sub ($r) { $r->{open} == 4 && $r->{kept} == 3 });
	$b->tell('release');
	is $_->line, "x\n" for @first[1 .. 3];
	ok $c->ping;
	is $p->peer->{links_closed_lifetime}, 1, 'the others are young';
	cmp_ok $p->peer->{links_given_up}, '>=', 1, 'and one of them was given up';
	is $b->report->{peak}, 4;
	$b->tell('drop_all');
	is $first[0]->line, $p->failure;
	$p->end;
};

it 'shares come out even when all workers are busy' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], workers => 2,
	    upstream => "pool = request\npool_size = 8\npool_wait = 5s\n");
	my $crowd = crowd('line', '-c', 100, $p->address);
	ok wait_for { $crowd->so_far->{least} >= 30 }, 'nobody starves';
	unharmed($crowd->end);
	cmp_ok $b->report->{peak}, '<=', 8;
	$p->end;
};

it 'session: who leaves makes room for one of any worker' => sub {
	my $b = backend('line');
	my $p = Weir::Pool->new(peers => [$b], workers => 4,
	    upstream => "pool = session\npool_size = 2\npool_wait = 30s\n");
	my %waits = map { my $c = $p->client->send("hello\n"); fileno($c->fh) => $c } 1 .. 16;
	my $bits = '';
	vec($bits, $_, 1) = 1 for keys %waits;
	while (%waits) {
		select(my $ready = $bits, undef, undef, patience(10)) > 0 or
		    die scalar(keys %waits), " clients wait in vain\n";
		for my $fd (grep { vec($ready, $_, 1) } keys %waits) {
			my $c = delete $waits{$fd};
			vec($bits, $fd, 1) = 0;
			is $c->line, "hello\n";
			ok $c->ping;
			$c->close;
		}
	}
	cmp_ok $b->report->{peak}, '<=', 2;
	is $b->report->{accepted}, 16, 'each had a link of its own';
	is_deeply $p->failures, {};
	$p->end;
};

for my $case ([1, 1], [4, 1], [4, 3], [2, 8]) {
	my ($workers, $size) = @$case;

	it "a reload under load: $workers workers, $size links: old and new ones are served" => sub {
		my $b = backend('line');
		my $p = Weir::Pool->new(peers => [$b], workers => $workers,
		    upstream => "pool = request\npool_size = $size\npool_wait = 10s\n");
		my @crowds;
		for my $generation (1 .. 3) {
			push @crowds, crowd('line', '-c', 40, $p->address);
			$crowds[-1]->moving;
			is $p->weir->reload->{exit}, 0 if $generation < 3;
		}
		# A round is over when each client of all three has been served once more.
		for my $round (1 .. 3) {
			my @before = map { $_->so_far->{least} } @crowds;
			await {
				!grep { $crowds[$_]->so_far->{least} <= $before[$_] } 0 .. 2;
			} 'each client is served', 20;
		}
		for my $crowd (@crowds) {
			my $r = $crowd->end;
			unharmed($r);
			soon_enough($r, 4);
		}
		cmp_ok $b->report->{peak}, '<=', $size;
		is_deeply $p->failures, {};
		$p->end;
	};
}

for my $workers (1, 4) {
	it "$many clients wait for one link, $workers workers" => sub {
		my $b = backend('line', keep => 1);
		my $p = Weir::Pool->new(peers => [$b], workers => $workers,
		    upstream => "pool = request\npool_size = 1\npool_wait = 5m\n" .
		    "reply_timeout = off\n");
		my $crowd = crowd('line', '-c', $many, '--each', 1, '-t', int(patience(200)) . 's', $p->address);
		$p->until(sub ($p) { $p->upstream->{waiting} == $many - 1 }, 'all wait', 60);
		my $memory = $p->weir->memory;
		cmp_ok $memory, '<', 32 << 20, "$memory bytes for all"
		    if !Weir::Build::sanitized() && !Weir::Build::valgrind();
		is $b->report->{lines}, 1;
		$b->tell('release');
		my $r = $crowd->wait(120);
		unharmed($r, answered => $many, connected => $many, least => 1);
		note "the slowest: $r->{of}{max} us";
		is $b->report->{peak}, 1;
		is $p->upstream->{waiting}, 0;
		is_deeply $p->failures, {};
		$p->end;
	};

	it "$few clients wait in vain, $workers workers" => sub {
		my $b = backend('line', keep => 1);
		my $p = Weir::Pool->new(peers => [$b], workers => $workers,
		    upstream => "pool = request\npool_size = 1\npool_wait = 2s\n" .
		    "reply_timeout = off\n");
		my $crowd = crowd('line', '-c', $few, '--each', 1, '-t', int(patience(60)) . 's',
		    '--failure', '-failed', $p->address);
		my $of;
		$p->until(sub ($p) { ($of = $crowd->so_far)->{waiting} == 1 && $of->{sent} == $few }, 'but one', 60);
		cmp_ok $of->{duration}, '>=', 1_950_000, 'not too early';
		is $of->{errors}, 0;
		is $of->{failed}, $few - 1, 'all were told';
		is_deeply $p->failures, { pool_wait => $few - 1 };
		is $b->report->{lines}, 1;
		$b->tell('release');
		$of = $crowd->wait->{of};
		is "@$of{qw(answered errors lost)}", '1 0 0', 'and the one was served';
		$p->end;
	};
}

done_testing;
