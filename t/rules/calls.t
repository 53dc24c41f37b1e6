# SPDX-License-Identifier: BSD-2-Clause
# Who calls whom, as the objects that the compiler made have it: the symbols that one needs and another defines. What
# goes through a pointer (listener_ops, link_ops, a table of hooks) is not seen, and may go up.
use v5.36;
use Test::More;
use Weir::Build;
use Weir::Sources;

plan skip_all => 'no nm here' if system('command -v nm >/dev/null') != 0;

# A file uses those of its own layer and of the layers before it; weir-stress uses base, net and itself.
my @layers = qw(base net conf upstream session proc ctl main);
my %rank = map { $layers[$_] => $_ } 0 .. $#layers;
my %stress_uses = map { $_ => 1 } qw(base net stress);

# What each object defines (functions apart) and what it needs. Only those count whose source is there: a build that
# has seen a file go may still have its object.
my (%file_of, %defines, %is_function, %needs);
for my $path (c_sources('src', 'modules')) {
	my $file = $path =~ m{^src/(.*)\.c$} ? $1 : $path =~ m{^modules/[^/]+/(.*)\.c$} ? "modules/$1" : next;
	my $object = Weir::Build::objdir() . "/$file.o";
	$file_of{$object} = $file if -f $object;
}
open(my $nm, '-|', 'nm', '-A', sort keys %file_of) or die "nm: $!\n";
while (<$nm>) {
	my ($object, $kind, $symbol) = /^(.*?):\s*[0-9a-f]*\s+(\S)\s+(\S+)$/ or next;
	my $file = $file_of{$object};
	$needs{$file}{$symbol} = 1 if $kind eq 'U';
	$defines{$symbol}{$file} = 1 if $kind =~ /^[TDBRVWC]$/;
	$is_function{$symbol} = 1 if $kind =~ /^[TW]$/;
}
close($nm);
cmp_ok(scalar keys %needs, '>', 50, 'the objects are there');

sub layer($file)
{
	return $file =~ m{^([a-z]+)} ? $1 : '';
}

# definer(FILE, SYMBOL): the file whose symbol it is in FILE's program; undef: a library's.
sub definer($file, $symbol)
{
	my $stress = layer($file) eq 'stress';
	my ($found) = grep { $stress ? $stress_uses{layer($_)} : layer($_) ne 'stress' } sort keys $defines{$symbol}->%*;
	return $found;
}

# $calls{FILE}{OTHER}: one function of OTHER that FILE calls.
my (%calls, @up, @modules);
for my $file (sort keys %needs) {
	for my $symbol (sort keys $needs{$file}->%*) {
		my @anywhere = sort keys $defines{$symbol}->%*;
		my $other = definer($file, $symbol) // $anywhere[0] // next;
		next if $other eq $file;
		my ($mine, $theirs) = (layer($file), layer($other));
		if ($mine eq 'modules') {
			push @modules, "$file: $symbol" if $symbol !~ /^weir_/;
		} elsif ($mine eq 'stress') {
			push @up, "$file uses $symbol of $other" unless $stress_uses{$theirs};
		} else {
			push @up, "$file uses $symbol of $other" if ($rank{$theirs} // 99) > $rank{$mine};
		}
		$calls{$file}{$other} //= $symbol if $is_function{$symbol};
	}
}
objections('no layer uses one above it (' . join(' < ', @layers) . ')', @up);
objections('modules use what weir.h declares, and nothing else of the tree', @modules);

# circle(FILE): the shortest way of calls from it back to itself, as text; undef: there is none.
sub circle($from)
{
	my %way = ($from => $from);
	my @next = ($from);
	while (defined(my $file = shift @next)) {
		for my $other (sort keys(($calls{$file} // {})->%*)) {
			my $way = "$way{$file} -$calls{$file}{$other}-> $other";
			return $way if $other eq $from;
			next if $way{$other};
			$way{$other} = $way;
			push @next, $other;
		}
	}
	return;
}

# A circle is told once, from the first of its files.
my (%told, @circles);
for my $file (sort keys %calls) {
	my $circle = circle($file) // next;
	push @circles, $circle unless $told{ join ' ', sort { $a cmp $b } keys %{ { map { $_ => 1 } $circle =~ m{\w+/\w+}g } } }++;
}
objections('calls between files make no circle', @circles);

done_testing;
