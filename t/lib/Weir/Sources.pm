# SPDX-License-Identifier: BSD-2-Clause
# The files of the tree, for the rules of the house (t/rules).
#
#	sources('src', 'modules')	their files, or all: relative paths, sorted
#	c_sources('src')		the .c and .h files among them
#	lines($path)			the lines of a file, without their ends
#	objections($what, @found)	ok when there are none; otherwise shows them
#
# What a build in the tree leaves is not among them.
package Weir::Sources;
use v5.36;
use Exporter 'import';
use File::Find qw(find);
use Test::More;
use Weir::Build;

our @EXPORT = qw(sources c_sources lines objections);

my @folders = qw(.ci conf contrib man modules src t);
my @files = qw(.clang-format .gitignore CHANGES HACKING LICENSE Makefile.in README.md configure);

sub sources(@wanted)
{
	my $top = Weir::Build::srcdir();
	my @found = @wanted ? () : grep { -f "$top/$_" } @files;
	my @in = grep { -d $_ } map { "$top/$_" } @wanted ? @wanted : @folders;
	find({ no_chdir => 1, wanted => sub { push @found, s{^\Q$top\E/}{}r if -f && !/~$/ } }, @in) if @in;
	return sort @found;
}

sub c_sources(@wanted)
{
	return grep { /\.[ch]$/ } sources(@wanted);
}

sub lines($path)
{
	my $file = Weir::Build::srcdir() . "/$path";
	open(my $in, '<:utf8', $file) or die "$file: $!\n";
	chomp(my @lines = <$in>);
	return @lines;
}

sub objections($what, @found)
{
	my $ok = ok(!@found, $what);
	diag("  $_") for @found;
	return $ok;
}

1;
