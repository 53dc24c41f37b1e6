# SPDX-License-Identifier: BSD-2-Clause
# What is tested: the binary, its source and object directories, how it was built.
#
# make check exports WEIR, WEIR_SRCDIR and WEIR_OBJDIR; without them the tree
# around the tests is taken.  WEIR_VALGRIND=1 runs weir below valgrind.
package Weir::Build;
use v5.36;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use POSIX ();

my $tree = abs_path(dirname(__FILE__) . '/../../..');

sub srcdir() { return $ENV{WEIR_SRCDIR} ? abs_path($ENV{WEIR_SRCDIR}) : $tree }
sub objdir() { return $ENV{WEIR_OBJDIR} ? abs_path($ENV{WEIR_OBJDIR}) : "$tree/obj" }

sub binary()
{
	my $path = $ENV{WEIR} // dirname(objdir()) . '/weir';
	die "no weir at $path: build it, and run the tests with make check or WEIR=PATH\n"
	    if !-x $path;
	return abs_path($path);
}

sub valgrind()
{
	return $ENV{WEIR_VALGRIND} ? 1 : 0;
}

# True for a binary built with AddressSanitizer.
sub sanitized()
{
	state $sanitized = _imports(scalar(eval { binary() }), '__asan_init');
	return $sanitized;
}

# Below a sanitizer, leaks are not looked for in programs that are started from here on: that takes as long as all
# else that a short run does.  For tests that start very many, and whose like look for them: what a configuration
# leaks is found by conf-bad, what sessions of each kind do by line_proxy, stream_proxy, redis, tls, handover-kinds.
sub ignore_leaks()
{
	$ENV{ASAN_OPTIONS} = join(':', grep { defined } $ENV{ASAN_OPTIONS}, 'detect_leaks=0');
	return;
}

# Such names stand before all code.
sub _imports($path, $name)
{
	open(my $fh, '<:raw', $path // return 0) or return 0;
	sysread($fh, my $head, 1 << 18) or return 0;
	return index($head, "\0$name\0") >= 0;
}

# The modules that were built loadable: NAME => path.
sub modules()
{
	return map { m{([^/]+)\.so$} ? ($1 => $_) : () } glob(objdir() . '/modules/*.so');
}

# Compiles C text to a shared object; dies with the compiler's words.
sub compile_module($source, $output, @flags)
{
	my $file = $output =~ s/\.so$/.c/r;
	open(my $fh, '>', $file) or die "$file: $!\n";
	print $fh $source;
	close($fh) or die "$file: $!\n";
	my @command = (split(' ', $ENV{CC} // 'cc'), '-shared', '-fPIC', '-fvisibility=hidden',
	    '-D_GNU_SOURCE', '-I' . srcdir() . '/src', @flags, '-o', $output, $file);
	my $log = "$output.log";
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		open(STDOUT, '>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	waitpid($pid, 0);
	return $output if $? == 0;
	open(my $said, '<', $log) or die "$log: $!\n";
	die "@command failed:\n", <$said>;
}

1;
