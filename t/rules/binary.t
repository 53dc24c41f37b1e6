# SPDX-License-Identifier: BSD-2-Clause
# What the program and the modules show to the outside, and how they are hardened.
use v5.36;
use Test::More;
use Weir::Build;
use Weir::Sources;

my $weir = Weir::Build::binary();
plan skip_all => 'no readelf and nm here' if system('command -v readelf nm >/dev/null') != 0;

# exported(FILE): names that others can link to. The linker adds those that a library of ours has, too: they would take
# the place of the library's. Variables of libraries that it has copied are not ours.
sub exported($file)
{
	my %copied = map { /R_\S+_COPY\s+\S+\s+([^\s@]+)/ ? ($1 => 1) : () } `readelf -rW $file`;
	my @names = map { /\s[A-Z]\s+([^\s@]+)/ ? $1 : () } `nm -D --defined-only $file`;
	return grep { !$copied{$_} } @names;
}

# hardened(FILE): what is missing.
sub hardened($file)
{
	my $all = `readelf -hldW $file`;
	my @missing;
	push @missing, "$file: not position-independent" if $all !~ /Type:\s+DYN/ && !Weir::Build::sanitized();
	push @missing, "$file: no RELRO" if $all !~ /GNU_RELRO/;
	push @missing, "$file: not bound at start" if $all !~ /BIND_NOW|FLAGS_1.*\bNOW\b/;
	push @missing, "$file: the stack can be executed" if $all =~ /GNU_STACK.*E/ && $all !~ /GNU_STACK\s.*\sRW\s/;
	return @missing;
}

my %modules = Weir::Build::modules();
cmp_ok(scalar keys %modules, '>=', 3, 'all modules are here as loadable files');

SKIP: {
	skip 'the sanitizers export symbols of their own', 2 if Weir::Build::sanitized();
	objections('the program exports weir_* and nothing else', grep { !/^weir_/ } exported($weir));
	objections('a module exports weir_abi and nothing else',
	    map { my $name = $_; map { "$name: $_" } grep { $_ ne 'weir_abi' } exported($modules{$name}) }
	    sort keys %modules);
}

# What weir.h declares is what the program exports.
my %exports = map { $_ => 1 } exported($weir);
my %declared = map { $_ => 1 } map { /^[a-z].*?\b(weir_\w+)\(/ ? $1 : () } lines('src/weir.h');
cmp_ok(scalar keys %declared, '>', 10, 'weir.h declares functions');
objections('what weir.h declares is there', grep { !$exports{$_} } sort keys %declared);
SKIP: {
	skip 'the sanitizers export symbols of their own', 1 if Weir::Build::sanitized();
	objections('what is exported is declared in weir.h', grep { !$declared{$_} } sort keys %exports);
}

objections('the program and the modules are hardened', map { hardened($_) } $weir, sort values %modules);

done_testing;
