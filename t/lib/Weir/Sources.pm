# SPDX-License-Identifier: BSD-2-Clause
# The files of the tree, for the rules of the house (t/rules).
#
#	sources('src', 'modules')	their files, or all: relative paths, sorted
#	c_sources('src')		the .c and .h files among them
#	lines($path)			the lines of a file, without their ends
#	functions($path)		the functions it defines: name, line, static, length and statements of the body
#	structs($path)			names of the structs, unions and enums it defines
#	objections($what, @found)	ok when there are none; otherwise shows them
#
# What a build in the tree leaves is not among them.
package Weir::Sources;
use v5.36;
use Exporter 'import';
use File::Find qw(find);
use Test::More;
use Weir::Build;

our @EXPORT = qw(sources c_sources lines functions structs objections);

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

# A function's name begins a line, what it returns stands on the line before; its body stands between braces in the
# first column.
sub functions($path)
{
	my @lines = lines($path);
	my (@found, $name, $function);
	for my $i (0 .. $#lines) {
		if ($lines[$i] =~ /^([a-z_]\w*)\(/i) {
			$name = { name => $1, line => $i + 1, static => $i > 0 && index($lines[$i - 1], 'static') == 0 };
		} elsif ($lines[$i] eq '{' && defined $name) {
			$function = { %$name, begin => $i, statements => 0 };
		} elsif ($lines[$i] eq '}' && defined $function) {
			$function->{length} = $i - $function->{begin} + 1;
			push @found, $function;
			($function, $name) = ();
		} elsif (defined $function) {
			$function->{statements}++ if $lines[$i] =~ m,[;\{]\s*(?:/\*.*)?$,;
		}
	}
	return @found;
}

sub structs($path)
{
	return map { /^(?:static\s+)?(?:const\s+)?(?:struct|union|enum)\s+(\w+)\s*\{/ ? ($1) : () } lines($path);
}

sub objections($what, @found)
{
	my $ok = ok(!@found, $what);
	diag("  $_") for @found;
	return $ok;
}

1;
