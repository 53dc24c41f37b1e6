# SPDX-License-Identifier: BSD-2-Clause
# What weir-stress makes of the faults of weir-stress --serve.
#
#	suffers($r, 'closed (reset)')	tests of a run (Weir::Stress): the first of these faults was
#				there, those in parentheses may have been, and no others; all
#				requests add up; '': a good run
#	faulty($kind, $fault, \@options, $mode => 'closed', ...)
#				a backend with that fault for each mode, all at the same time,
#				and what each mode calls it.  Below a sanitizer, where programs
#				take long to start, a third of the modes, others at each call
#	$short, $long		-t, where a reply does not come, and where it does
package Weir::Fault;
use v5.36;
use Exporter 'import';
use Test::More ();
use Weir::Build;
use Weir::Stress;
use Weir::Test ();
use Weir::Wait;

our @EXPORT = qw(suffers faulty $short $long);

our ($short, $long) = (patience(0.3) * 1000 . 'ms', '30s');

my @faults = qw(connect_refused connect_timeout connect_ports connect_failed no_descriptors reset closed closed_idle
    timeout wrong unasked no_memory);
my $calls = 0;

sub suffers($r, $kinds)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %may = map { $_ => 1 } $kinds =~ /\w+/g;
	my @got = grep { $r->{of}{$_} } @faults;
	my @missing = grep { !$r->{of}{$_} } $kinds =~ /(?<![(\w])\w+/g;
	Test::More::is $r->{exit}, $kinds eq '' ? 0 : 1, 'exit status' or Test::More::diag $r->{text};
	Test::More::is "@{[grep { !$may{$_} } @got]}", '', 'nothing else' or Test::More::diag $r->{text};
	Test::More::is "@missing", '', 'the fault' or Test::More::diag $r->{text};
	_adds_up($r);
}

sub faulty($kind, $fault, $options, %expected)
{
	my $rate = $fault =~ /=/ ? $fault : "$fault=1";
	my ($name) = $fault =~ /^(\w+)/;
	my (%backend, %run);
	my @modes = sort keys %expected;
	if (Weir::Build::sanitized()) {
		my $call = $calls++;
		my @some = grep { ($_ + $call) % 3 == 0 } 0 .. $#modes;
		@modes = @modes[@some ? @some : 0];
	}
	for my $mode (@modes) {
		my $b = $backend{$mode} = serve($kind, '--fault', $rate, @$options);
		my ($word, @more) = split(/ /, $mode);
		push(@more, '-n', 4) if $mode !~ / -n /;
		push(@more, '-t', $expected{$mode} =~ /timeout/ ? $short : $long);
		$run{$mode} = stress_start($word, '-c', 2, @more, $b->address);
	}
	for my $mode (@modes) {
		my $at = $backend{$mode}->address =~ /^unix/ ? ', UNIX' : '';
		Weir::Test::it("$kind, $fault$at: $mode" => sub {
			suffers($run{$mode}->wait(60), $expected{$mode});
			Test::More::cmp_ok $backend{$mode}->stop->{$name}, '>', 0, 'it has happened';
		});
	}
}

# All that was begun has come to one of its ends.
sub _adds_up($r)
{
	my $of = $r->{of};
	my $ends = $of->{answered} + $of->{lost} + ($of->{cut_short} // 0) + ($of->{tolerated} // 0);
	return Test::More::is($of->{sent}, $ends, 'answered, lost or given up') || Test::More::diag $r->{text};
}

1;
