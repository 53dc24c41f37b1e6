# SPDX-License-Identifier: BSD-2-Clause
# Whole files, as bytes; both die with the path when it cannot be done.
#
#	slurp($path)		what is in it
#	spurt($path, $text)	replaces that; returns the path
#	scratch()		a handle of a file that has no name and goes with it
#	name_of($handle)	by which such a file can be opened here, and in what is forked
package Weir::File;
use v5.36;
use Exporter 'import';

our @EXPORT = qw(slurp spurt scratch name_of);

sub slurp($path)
{
	local $/;
	open(my $fh, '<:raw', $path) or die "$path: $!\n";
	return readline($fh) // '';
}

sub spurt($path, $text)
{
	open(my $fh, '>:raw', $path) or die "$path: $!\n";
	print $fh $text;
	close($fh) or die "$path: $!\n";
	return $path;
}

sub scratch()
{
	open(my $fh, '+>', undef) or die "a temporary file: $!\n";
	return $fh;
}

sub name_of($fh) { return '/proc/self/fd/' . fileno($fh) }

1;
