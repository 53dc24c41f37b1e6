# SPDX-License-Identifier: BSD-2-Clause
# What every file begins with, what every module has, and words that have no place in the tree.
use v5.36;
use Test::More;
use Weir::Build;
use Weir::Sources;

my $id = 'SPDX-License-Identifier: BSD-2-Clause';

# A line that says what the file is for follows the licence at once; a script's first line is its interpreter.
my (@unlicensed, @silent);
for my $path (sources()) {
	next unless $path =~ /\.(c|h|t|pm|pl|sh)$/ || $path =~ /^(configure|Makefile\.in)$/ ||
	    -x Weir::Build::srcdir() . "/$path";
	my @lines = lines($path);
	shift @lines if @lines && $lines[0] =~ /^#!/;
	my $first = shift(@lines) // '';
	push @unlicensed, $path unless $first eq "/* $id */" || $first eq "# $id";
	push @silent, $path unless ($lines[0] // '') =~ m{^(/\*|#)};
}
objections('every source file names its licence first', @unlicensed);
objections('and then says what it is for', @silent);

my @incomplete;
my %modules = map { m{^modules/([^/]+)/} ? ($1 => 1) : () } sources('modules');
for my $name (sort keys %modules) {
	push @incomplete, grep { !-f Weir::Build::srcdir() . "/$_" }
	    map { "modules/$name/$_" } "$name.c", "weir-$name.5", "$name.t";
}
cmp_ok(scalar keys %modules, '>=', 3, 'there are modules');
objections('a module has its code, its manual page and its test', @incomplete);

# Written in pieces, so that this file does not object to itself.
my $unfinished = join '|', 'TO' . 'DO', 'FIX' . 'ME', 'X' . 'XX', 'HA' . 'CK', '(?i:place' . 'holders?)', '(?i:stu' . 'bs?)';
my $elsewhere = join '|', '/wo' . 'rk/', '/tm' . 'p/h-', '/ho' . 'me/\w', '\.\./sha' . 'red', '\.lib' . 'rary\b';
my (@unfinished, @elsewhere, @blanks);
for my $path (sources()) {
	next if -B Weir::Build::srcdir() . "/$path" || $path =~ m{^t/fuzz/corpus/};
	my $number = 0;
	for my $line (lines($path)) {
		$number++;
		push @unfinished, "$path:$number: $line" if $line =~ /\b(?:$unfinished)\b/;
		push @elsewhere, "$path:$number: $line" if $line =~ /(?:$elsewhere)/;
		push @blanks, "$path:$number" if $line =~ /[ \t\r]$/ && $path !~ m{^t/conf/|\.md$};
	}
}
objections('nothing says that it is unfinished', @unfinished);
objections('nothing names a path of the machine it was written on', @elsewhere);
objections('no line ends in blanks', @blanks);

done_testing;
