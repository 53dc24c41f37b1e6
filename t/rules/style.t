# SPDX-License-Identifier: BSD-2-Clause
# One dialect, as HACKING has it ("Style"): declarations, sizeof, tests for errors.
use v5.36;
use Test::More;
use Weir::Sources;

my $words = qr/(?:unsigned|signed|long|short|int|char)/;
my $type = qr/(?:(?:static|const|volatile|extern|_Thread_local)\s+)*
    (?:(?:struct|union|enum)\s+\w+|$words(?:\s+$words)*|[A-Za-z_]\w*)(?:\s+const)?/x;
my $statement = qr/(?:return|goto|else|case|default|typedef|break|continue|do|sizeof)\b/;

# name_column(LINE, INDENT): where the name stands that it declares; undef: it declares none at this depth.
sub name_column($line, $indent)
{
	return if $line =~ /^\t+$statement/;
	return unless $line =~ /^(\Q$indent\E$type\s+(?:\*+(?:const\s+)?)*)\w+(?:\[[^=;]*\])*\s*[=,;]/;
	return length $1;
}

# ragged(LINE ...): the numbers of lines where a block begins whose declarations have not all their names in one column.
sub ragged(@lines)
{
	my @ragged;
	for my $i (0 .. $#lines) {
		next unless $lines[$i] =~ /^(\t*)(?:.*\))?\s*(?:do |else )?\{$/;
		my $indent = "$1\t";
		my %columns;
		for my $line (@lines[$i + 1 .. $#lines]) {
			my $column = name_column($line, $indent);
			# A value or a comment may take lines of its own.
			next if !defined $column && %columns && $line =~ m{^(?:\Q$indent\E(?:[\t ]+\S|\};)|\s*(?:/\*| \*))};
			last if !defined $column;
			$columns{$column} = 1;
		}
		push @ragged, $i + 2 if keys %columns > 1;
	}
	return @ragged;
}

# What a sizeof in parentheses may be of: a type, or an expression that needs them.
my $of_type = qr/(?:struct|union|enum|const|void|float|double|bool|$words)\b|\w+_t\b|board_word\b|FILE\b|DIR\b/;
my $object = qr/\**[A-Za-z_]\w*(?:(?:->|\.)\w+|\[[^\]]*\])*/;

my (@ragged, @sizeof, @minus, @twice);
for my $path (c_sources()) {
	my @lines = lines($path);
	push @ragged, map { "$path:$_" } ragged(@lines);
	my %seen;
	push @twice, map { "$path: $_" } grep { /^#include/ && $seen{$_}++ } @lines;
	for my $i (0 .. $#lines) {
		my $at = "$path:" . ($i + 1) . ": $lines[$i]";
		next if $lines[$i] =~ /^\s*#|\\$/;
		push @sizeof, $at if $lines[$i] =~ /\bsizeof\((?!$of_type)$object\)/;
		push @sizeof, $at if $lines[$i] =~ /\bsizeof (?:struct|union|enum)\b/;
		push @minus, $at if $lines[$i] =~ /[!=]= -1\b/;
	}
}
objections('declarations at the top of a block have their names in one column', @ragged);
objections('sizeof x of objects, sizeof(type) of types', @sizeof);
objections('a call that returns -1 is tested with < 0', @minus);
objections('no header is included twice', @twice);

my @sleeps;
for my $path (grep { /\.t$/ } Weir::Sources::sources('t', 'modules')) {
	push @sleeps, map { "$path: $_" } grep { /\bselect\(undef, *undef, *undef\b|^\s*sleep\b/ } lines($path);
}
objections('no test sleeps: it waits for a condition', @sleeps);

# The rule sees what it is there for.
is_deeply([ragged('{', "\tint a;", "\tchar *b;", '', '}')], [2], 'a ragged block is found');
is_deeply([ragged('{', "\tint   a;", "\tchar *b;", '', '}')], [], 'an even one is not');

done_testing;
