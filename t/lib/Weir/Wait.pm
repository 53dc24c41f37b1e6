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
	my $deadline = now() + patience($seconds);
	for (;;) {
		my $value = $condition->();
		return $value if $value;
		return $value if now() >= $deadline;
		select(undef, undef, undef, 0.01);
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
