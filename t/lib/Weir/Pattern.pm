# SPDX-License-Identifier: BSD-2-Clause
# Bytes that can be told apart: every 8-byte word of every stream is unique.
#
#	pattern($seed, $offset, $length)	$length bytes of stream $seed from $offset
#	difference($seed, $offset, $got)	undef, or a phrase naming the first wrong byte
#
# The word at offset 8n is the big-endian number (seed << 40) + n, so lost,
# doubled, swapped and foreign bytes all show, and where they come from.
package Weir::Pattern;
use v5.36;
use Exporter 'import';

our @EXPORT = qw(pattern difference);

sub pattern($seed, $offset, $length)
{
	return '' if $length <= 0;
	my $first = int($offset / 8);
	my $last = int(($offset + $length - 1) / 8);
	my $base = $seed << 40;
	my $words = pack('Q>*', $base + $first .. $base + $last);
	return substr($words, $offset % 8, $length);
}

sub difference($seed, $offset, $got)
{
	my $want = pattern($seed, $offset, length($got));
	return undef if $got eq $want;
	($got ^. $want) =~ /[^\0]/;
	my $at = $-[0];
	return sprintf('stream %d differs at offset %d: got %s, want %s', $seed, $offset + $at,
	    unpack('H*', substr($got, $at, 16)), unpack('H*', substr($want, $at, 16)));
}

1;
