#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The benchmark, as far as it can be tried without measuring: what it lists it can run, and what its notes and
# pictures are about exists.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Process;

my $bench = "$FindBin::Bin/../contrib/bench";

sub text($name)
{
	open(my $file, '<', "$bench/$name") or die "$name: $!\n";
	local $/;
	return <$file>;
}

sub ran(@args) { return Weir::Process::run(['bash', "$bench/run", @args]) }

my %seen;
my @rows = grep { !$seen{$_}++ } map { /^(\S+)/ } split /\n/, ran('--list')->{out};

it 'every row that is listed can be run' => sub {
	cmp_ok @rows, '>', 20;
	my %known = map { $_ => 1 } text('rows.sh') =~ /^\t([\w-]+\*?)\)/mg;
	for my $row (@rows) {
		ok((grep { /^(.*)\*$/ ? index($row, $1) == 0 : $_ eq $row } keys %known), $row);
	}
};

it 'notes are about rows that there are' => sub {
	my %row = map { $_ => 1 } @rows;
	my @named = map { split /, / } text('NOTES.md') =~ /^## (.*)$/mg;
	cmp_ok @named, '>', 10;
	ok $row{$_}, $_ for @named;
};

it 'what is no row, or no option, is refused' => sub {
	is ran('no-such-row')->{exit}, 2;
	is ran('--no-such-option')->{exit}, 2;
	my $help = ran('--help');
	is $help->{exit}, 0;
	like $help->{out}, qr/^usage: run /;
};

done_testing;
