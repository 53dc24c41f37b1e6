# SPDX-License-Identifier: BSD-2-Clause
# What functions are called: object_verb, so that a name tells where it is defined, and each name but once, so that
# whoever searches for it, a debugger or a profiler, finds one thing. The rule is in HACKING, "Style".
use v5.36;
use Test::More;
use Weir::Build;
use Weir::Sources;

# objects(PATH): what a file is about: its stem or the last word of it, and the structs and enums that it or its own
# header defines.
sub objects($path)
{
	state %known;
	my ($stem) = $path =~ m{([^/]+)\.[ch]$};
	$known{$path} //= [$stem, $stem =~ /_([^_]+)$/, map { s/^(?:weir|stress)_//r } map { structs($_) }
	    grep { -f Weir::Build::srcdir() . "/$_" } $path, $path =~ s/\.c$/.h/r];
	return $known{$path}->@*;
}

# An object may be in the plural or the singular: links_start is for all links, message_print in messages.c for one.
sub begins_with_object($name, @objects)
{
	for my $object (@objects) {
		my $singular = $object =~ s/ies$/y/r =~ s/(?<!s)s$//r;
		my $plural = $object =~ s/(?<![aeiou])y$/ie/r . 's';
		return 1 if $name =~ /^(?:\Q$object\E|\Q$singular\E|\Q$plural\E)_./;
	}
	return 0;
}

# What has another name than its file's, and why.
my %given = (
	main => 'the entry of a program',
);
my %also = (
	'src/proc/fdtable.c' => 'fd',		# what the table is of
	'src/conf/scope.c'   => 'place',	# struct place, of a header without functions
);

my @headers = grep { /\.h$/ } c_sources('src');
my %declared_in;
for my $header (@headers) {
	for (lines($header)) {
		push $declared_in{$1}->@*, $header if /^(?!static)[a-z_].*?\b(\w+)\(/i || /^(\w+)\(/;
	}
}
my %interface = map { $_ => 1 } grep { grep { $_ eq 'src/weir.h' } $declared_in{$_}->@* } keys %declared_in;

# objection(PATH, FUNCTION): undef, or what is wrong with its name. An external function may also be named after an
# object of the header that declares it, or after a struct of weir.h.
sub objection($path, $function)
{
	my $name = $function->{name};
	return if $given{$name} || $interface{$name};
	my $external = !$function->{static} || $path =~ /\.h$/;
	if ($path =~ m{^src/stress/}) {
		my $prefixed = $name =~ s/^stress_//;
		return 'is for other files, and does not begin with stress_' if $external && !$prefixed;
	}
	my %objects = map { $_ => 1 } objects($path), $also{$path} // ();
	my @more = $external ? map { objects($_) } 'src/weir.h', ($declared_in{$function->{name}} // [])->@* : ();
	return if begins_with_object($name, keys %objects, @more);
	return 'begins with no object of its file (' . join(' ', sort keys %objects) . ')';
}

my (%objections, %defined, %given_seen);
for my $path (c_sources('src', 'modules', 'contrib/modules')) {
	my ($folder) = $path =~ m{^(src/\w+(?=/)|[^/]+)};
	$objections{$folder} //= [];
	for my $function (functions($path)) {
		my $name = $function->{name};
		$given_seen{$name}++ if $given{$name};
		# One that a file has twice it has for two kinds of build; the compiler sees to it.
		$defined{$name}{$path} = $function->{line};
		my $why = objection($path, $function);
		push $objections{$folder}->@*, "$path:$function->{line}: $name: $why" if defined $why;
	}
}
objections("$_: a function's name begins with an object of its file", $objections{$_}->@*) for sort keys %objections;

my @twice = grep { !$given{$_} && keys $defined{$_}->%* > 1 } sort keys %defined;
objections('a function\'s name is defined once in the tree', map {
	my $name = $_;
	"$name: " . join ' ', map { "$_:$defined{$name}{$_}" } sort keys $defined{$name}->%*
} @twice);
objections('those excepted are there', grep { !$given_seen{$_} } sort keys %given);
cmp_ok(scalar keys %defined, '>', 500, 'functions were found');

# weir_ and WEIR_ belong to what modules see.
my $text = join "\n", lines('src/weir.h');
$text =~ s{/\*.*?\*/}{}gs;
my %public = map { $_ => 1 } $text =~ /\b(weir_\w+|WEIR_\w+)/g;
my @tags = $text =~ /\b(?:struct|union|enum)\s+(\w+)/g;
my @macros = $text =~ /^#\s*define\s+(\w+)/gm;
my @constants = map { /^\s*(\w+)/ ? $1 : () } map { split /,/ } $text =~ /^enum\b[^{;]*\{(.*?)\}/gms;
my @functions = grep { $interface{$_} } keys %declared_in;
my %foreign = map { $_ => 1 } grep { !/^(?:weir|WEIR)_/ } @tags, @macros, @constants, @functions;
objections('what weir.h declares begins with weir_ or WEIR_', sort keys %foreign);
cmp_ok(@constants, '>', 10, 'weir.h has constants');

my @private;
for my $path (grep { $_ ne 'src/weir.h' } c_sources('src', 'modules', 'contrib/modules')) {
	my @names = map { $_->{name} } functions($path);
	push @names, structs($path);
	push @names, map { /^#\s*define\s+(\w+)/ || /^\t([A-Z]\w+)\s*(?:=[^,]*)?,/ ? ($1) : () } lines($path);
	push @private, map { "$path: $_" } grep { /^(?:weir|WEIR)_/ && !$public{$_} } @names;
}
objections('and nothing else does', @private);

done_testing;
