# SPDX-License-Identifier: BSD-2-Clause
# JSON as weir, weir-stress and the library itself write it. JSON::PP goes through it character by character, which takes
# longer than weir needs to make it: for tests that ask for the status often that is most of what they do.
#
#	decode($text)		dies where it is none; bytes stay bytes, true and false are 1 and 0
#	encode($value)		on one line, keys sorted; what looks like a whole number is one
package Weir::JSON;
use v5.36;

my %escaped = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");

sub decode($text)
{
	local $_ = $text;
	pos = 0;
	my $value = _value();
	/\G\s*\z/gc or _bad();
	return $value;
}

sub _bad() { die 'no JSON: ', substr($_, pos // 0, 40), "\n" }

sub _value()
{
	return _object() if /\G\s*\{/gc;
	return _array() if /\G\s*\[/gc;
	return 0 + $1 if /\G\s*(-?\d[-+.\deE]*)/gc;
	return { true => 1, false => 0, null => undef }->{$1} if /\G\s*(true|false|null)\b/gc;
	return _string();
}

sub _object()
{
	my %object;
	return \%object if /\G\s*\}/gc;
	do {
		# Nearly all that there is are counters.
		$object{$1} = 0 + $2 while /\G\s*"(\w+)"\s*:\s*(\d+)\s*,/gc;
		my $key = _string();
		/\G\s*:/gc or _bad();
		$object{$key} = _value();
	} while /\G\s*,/gc;
	/\G\s*\}/gc or _bad();
	return \%object;
}

sub _array()
{
	my @array;
	return \@array if /\G\s*\]/gc;
	do { push @array, _value() } while /\G\s*,/gc;
	/\G\s*\]/gc or _bad();
	return \@array;
}

sub _string()
{
	/\G\s*"((?:[^"\\]|\\.)*)"/gc or _bad();
	return $1 =~ s{\\(?:u([0-9a-fA-F]{4})|(.))}{ defined $1 ? chr(hex($1)) : $escaped{$2} // $2 }ger;
}

sub encode($value)
{
	return 'null' if !defined $value;
	if (ref($value) eq 'HASH') {
		return '{' . join(',', map { _quoted($_) . ':' . encode($value->{$_}) } sort keys %$value) . '}';
	}
	return '[' . join(',', map { encode($_) } @$value) . ']' if ref($value) eq 'ARRAY';
	return $value =~ /^(?:0|-?[1-9]\d{0,14})\z/ ? $value : _quoted($value);
}

sub _quoted($text)
{
	return '"' . $text =~ s/(["\\])|([\x00-\x1f])/defined $1 ? "\\$1" : sprintf('\\u%04x', ord($2))/ger . '"';
}

1;
