#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# least_time: who answers late, or not at all, gets little.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Pool;
use Weir::Stress;
use Weir::Test;

it 'gives most requests to the peers that answer soon' => sub {
	my @b = (serve('line'), serve('line', '--delay', '200ms'), serve('line'));
	my $p = Weir::Pool->new(peers => [map { $_->address } @b],
	    upstream => "balance = least_time\npool = request\n");
	my $r = stress('line', '-c', 8, '-n', 1500, '--warmup', 0, $p->address);
	unharmed($r);
	my ($one, $slow, $other) = map { $p->peer($_)->{requests} } 0 .. 2;
	is $one + $slow + $other, 1500;
	cmp_ok $slow, '<', 150, "late: $slow";
	cmp_ok $_, '>=', 1, "and all were tried: $_" for $one, $slow, $other;
	$p->end;
};

it 'takes no refusal for a quick answer' => sub {
	my @b = (serve('line', '--delay', '5ms'), backend('refuse'));
	my $p = Weir::Pool->new(peers => [$b[0]->address, $b[1]->address . ' max_fails=0'],
	    upstream => "balance = least_time\n");
	my $c = $p->client;
	is $c->ask("line $_\n", "line $_\n"), "line $_\n" for 1 .. 50;
	cmp_ok $p->peer(1)->{connect_failed}, '<', 10;
	$p->end;
};

done_testing;
