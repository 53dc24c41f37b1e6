# SPDX-License-Identifier: BSD-2-Clause
# How long a file, a function and a line may be.
use v5.36;
use Test::More;
use Weir::Sources;

use constant { FILE => 900, FUNCTION => 80, COLUMNS => 100 };

# Tables and flat switches may be longer than a function: path:function.
my %long = map { $_ => 1 } qw(
);

# width(LINE): its columns, with tabs of 8.
sub width($line)
{
	1 while $line =~ s/\t/' ' x (8 - $-[0] % 8)/e;
	return length $line;
}

my (@files, @functions, @wide, %seen);
my $measured = 0;
for my $path (c_sources()) {
	my @lines = lines($path);
	push @files, "$path: " . @lines . ' lines' if @lines > FILE;

	# A function's body stands between braces in the first column; its name begins a line before.
	my ($name, $begin);
	for my $i (0 .. $#lines) {
		my $width = width($lines[$i]);
		push @wide, "$path:" . ($i + 1) . ": $width columns" if $width > COLUMNS;
		$name = $1 if $lines[$i] =~ /^([a-z_]\w*)\(/i;
		if ($lines[$i] eq '{') {
			$begin = $i;
		} elsif ($lines[$i] eq '}' && defined $begin) {
			my $length = $i - $begin + 1;
			$measured++;
			$seen{"$path:$name"} = $length;
			push @functions, "$path:$name: $length lines"
			    if $length > FUNCTION && !$long{"$path:$name"};
			undef $begin;
		}
	}
}

objections('files have at most ' . FILE . ' lines', @files);
objections('functions have at most ' . FUNCTION . ' lines', @functions);
objections('lines have at most ' . COLUMNS . ' columns', @wide);
objections('those excepted are there, and long', grep { ($seen{$_} // 0) <= FUNCTION } sort keys %long);
cmp_ok($measured, '>', 100, 'functions were found');

done_testing;
