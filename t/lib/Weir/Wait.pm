# SPDX-License-Identifier: BSD-2-Clause
# Waiting for conditions with a deadline; how patient this run has to be.
#
#	wait_for { $c->closed } 5	the block's value as soon as it is true; false after 5 s
#	await { ... } 'what'		the same, but dies with "timed out: what" (10 s)
#	patience($seconds)		$seconds, stretched where weir runs below a sanitizer or valgrind
#	now()				seconds of CLOCK_MONOTONIC, a float
#
# All deadlines given to the library pass through patience(), so a test names
# what is generous on an idle machine.  WEIR_PATIENCE multiplies them all.
package Weir::Wait;
use v5.36;
use Exporter 'import';
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
use Weir::Build ();

our @EXPORT = qw(wait_for await patience now until_time);

sub now()
{
	return clock_gettime(CLOCK_MONOTONIC);
}

sub patience($seconds)
{
	state $factor = ($ENV{WEIR_PATIENCE} // 1) *
	    (Weir::Build::valgrind() ? 10 : Weir::Build::sanitized() ? 3 : 1);
	return $seconds * $factor;
}

sub wait_for :prototype(&;$) ($condition, $seconds = 10)
{
	my $begun = now();
	my $deadline = $begun + patience($seconds);
	for (;;) {
		my $value = $condition->();
		return $value if $value;
		my $now = now();
		return $value if $now >= $deadline;
		# What takes long need not be known to the millisecond, and asking costs.
		my $pause = ($now - $begun) / 10;
		select(undef, undef, undef, $pause < 0.002 ? 0.002 : $pause > 0.05 ? 0.05 : $pause);
	}
}

sub await :prototype(&;$$) ($condition, $what = 'a condition', $seconds = 10)
{
	my $value = wait_for(\&$condition, $seconds);
	die "timed out: $what\n" if !$value;
	return $value;
}

# Lets a moment of the monotonic clock come: for tests whose subject is time.
sub until_time($moment)
{
	while ((my $left = $moment - now()) > 0) {
		select(undef, undef, undef, $left < 0.01 ? $left : 0.01);
	}
}

1;
