# SPDX-License-Identifier: BSD-2-Clause
# How long a file, a function and a line may be, and how large weir-stress.
use v5.36;
use Test::More;
use Weir::Sources;

use constant { FILE => 900, FUNCTION => 80, STATEMENTS => 60, COLUMNS => 100 };

# Half of the functions of src and modules are no longer than this.
use constant MEDIAN => 15;

# The load generator is a tool of weir's, and does not outgrow it: lines of src/stress, of a hundred of src.
use constant STRESS => 42;

# Tables and flat switches may be longer than a function: path:function.
my %long = map { $_ => 1 } qw(
);

# width(LINE): its columns, with tabs of 8.
sub width($line)
{
	1 while $line =~ s/\t/' ' x (8 - $-[0] % 8)/e;
	return length $line;
}

my (@files, @functions, @wide, %seen, @lengths, %total);
for my $path (c_sources()) {
	my @lines = lines($path);
	push @files, "$path: " . @lines . ' lines' if @lines > FILE;
	$total{$1} += @lines if $path =~ m{^(src/(?:stress/)?)};
	for my $i (0 .. $#lines) {
		my $width = width($lines[$i]);
		push @wide, "$path:" . ($i + 1) . ": $width columns" if $width > COLUMNS;
	}
	for my $function (functions($path)) {
		my ($length, $statements) = @$function{qw(length statements)};
		my $name = "$path:$function->{name}";
		$seen{$name} = $length;
		push @lengths, $length if $path =~ m{^(?:src|modules)/};
		push @functions, "$name: $length lines, $statements statements"
		    if ($length > FUNCTION || $statements > STATEMENTS) && !$long{$name};
	}
}

objections('files have at most ' . FILE . ' lines', @files);
objections('functions have at most ' . FUNCTION . ' lines and ' . STATEMENTS . ' statements', @functions);
objections('lines have at most ' . COLUMNS . ' columns', @wide);
objections('those excepted are there, and long', grep { ($seen{$_} // 0) <= FUNCTION } sort keys %long);
cmp_ok(scalar @lengths, '>', 500, 'functions were found');
cmp_ok((sort { $a <=> $b } @lengths)[@lengths / 2], '<=', MEDIAN, 'half of them have at most ' . MEDIAN . ' lines');
my $share = 100 * $total{'src/stress/'} / ($total{'src/'} + $total{'src/stress/'});
cmp_ok($share, '<=', STRESS, 'weir-stress is at most ' . STRESS . ' lines of a hundred in src');

done_testing;
