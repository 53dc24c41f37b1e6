# SPDX-License-Identifier: BSD-2-Clause
# Tests of deadlines: time to be right.
#
#	with_time NAME => [@seconds], sub ($T) { ... }
#				a subtest, run with a deadline of the first of them; when it
#				fails, as it may on a machine that stands still, with the
#				next: code that is wrong fails all of them
#	ms($seconds)		as a value of the configuration
package Weir::Deadline;
use v5.36;
use Exporter 'import';
use Test2::API qw(intercept);
use Weir::Test ();
use Weir::Wait;

our @EXPORT = qw(with_time ms);

sub with_time($name, $all, $code)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @tries = map { patience($_) } @$all;
	my $last = pop(@tries);
	for my $T (@tries) {
		my $events = intercept { Weir::Test::it($name, sub { $code->($T) }) };
		return if !@$events;		# it was not wanted
		return Test::More::pass("$name ($T s)") if !grep { $_->causes_fail } @$events;
		Test::More::note("$name: not with $T s");
	}
	return Weir::Test::it($name, sub { $code->($last) });
}

sub ms($seconds) { return int($seconds * 1000) . 'ms' }

1;
