# SPDX-License-Identifier: BSD-2-Clause
# Whole files, as bytes; both die with the path when it cannot be done.
#
#	slurp($path)		what is in it
#	spurt($path, $text)	replaces that; returns the path
package Weir::File;
use v5.36;
use Exporter 'import';

our @EXPORT = qw(slurp spurt);

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

1;
