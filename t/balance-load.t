# SPDX-License-Identifier: BSD-2-Clause
# Each balancer under load: three peers, two workers, a reload within; nothing fails, and all have their parts.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Pool;
use Weir::Stress;
use Weir::Test;

# What a peer may have at least and at most, of 6,000 requests: who answers sooner gets more, but not in a round; whose
# first answer is late may get no more than that one request. By hash the clients, who have one address, are one peer's.
my %bounds = (
	'round_robin'            => [1990, 2010],
	'least_conn'             => [100, 5800],
	'least_time'             => [1, 5998],
	'random'                 => [100, 5800],
	'hash client consistent' => undef,
);

my @b = map { serve('line') } 1 .. 3;
for my $balance (sort keys %bounds) {
	it $balance => sub {
		my $p = Weir::Pool->new(peers => [map { $_->address } @b], workers => 2,
		    upstream => "balance = $balance\nslow_start = 1s\n");
		my $run = stress_start('line', '-c', 24, '-n', 6000, '--warmup', 0, $p->address);
		$p->until(sub ($p) { ($p->upstream->{requests} // 0) >= 1000 }, 'it runs');
		is $p->weir->reload->{exit}, 0;
		unharmed($run->wait);
		my @had = map { $p->peer($_)->{requests} } 0 .. 2;
		is $had[0] + $had[1] + $had[2], 6000, "all: @had";
		if (my $bounds = $bounds{$balance}) {
			cmp_ok $_, '>=', $bounds->[0], "$_ at least" for @had;
			cmp_ok $_, '<=', $bounds->[1], "$_ at most" for @had;
		} else {
			is scalar(grep { $_ == 6000 } @had), 1, 'one has them all';
		}
		is_deeply $p->failures, {};
		$p->end;
	};
}

done_testing;
