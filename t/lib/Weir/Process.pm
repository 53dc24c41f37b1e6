# SPDX-License-Identifier: BSD-2-Clause
# Processes: forked children of a test, commands with a deadline, /proc.
#
#	Weir::Process::run([@command], %option)	{ exit, signal, out, err, text }, see below
#	Weir::Process::spawn([@command], %option)	pid; options env, output, user, group_leader
#	Weir::Process::reap($pid, $seconds)	the wait status; undef while it lives
#	Weir::Process::all($among)		({ pid, ppid, pgrp, state, begun, title }, ...);
#						$among->($process), without its title, says
#						which: titles take time
#	Weir::Process::is_younger($process)	begun since this one was
#	Weir::Process::with_children($pid)	those of all() that are this one or were started by it
#	Weir::Process::state($pid)		its letter in /proc/PID/stat: T is stopped
#	Weir::Process::memory($pid)		bytes of anonymous resident memory
#	Weir::Process::become_child($fh)	in a forked child: let go of all but 0-2 and $fh
#
# run: exit is the exit status or undef, text is out and err together.
package Weir::Process;
use v5.36;
use POSIX qw(WNOHANG);
use Weir::File;
use Weir::Wait;

# Descriptors that a child inherited would keep the test's connections open.
# They become /dev/null: perl counts its users of each number, and would not
# really close one that was closed behind its back and taken again.
sub become_child($keep)
{
	opendir(my $dir, '/proc/self/fd') or die "/proc/self/fd: $!\n";
	my @fds = grep { /^\d+$/ && $_ > 2 && $_ != fileno($keep) && $_ != fileno($dir) }
	    readdir($dir);
	closedir($dir);
	my $null = POSIX::open('/dev/null', POSIX::O_RDWR());
	POSIX::dup2($null, $_) for @fds;
	POSIX::close($null) if !grep { $_ == $null } @fds;
	POSIX::dup2(2, 1);
	$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
	$SIG{PIPE} = 'IGNORE';
}

sub spawn($command, %option)
{
	my $pid = fork() // die "fork: $!\n";
	return $pid if $pid;
	POSIX::setpgid(0, 0) if $option{group_leader};
	$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP PIPE);
	open(STDIN, '<', '/dev/null');
	open(STDOUT, '>>', $option{output} // '/dev/null');
	open(STDERR, '>>', $option{error} // $option{output} // '/dev/null');
	my ($program, $file) = $command->[0];
	if ($option{user}) {
		# The build may lie where only root goes.
		$^F = 1 << 10;
		open($file, '<', $program) if $program =~ m{/};
		my (undef, undef, $uid, $gid) = getpwnam($option{user});
		($(, $)) = ($gid, "$gid $gid");
		($<, $>) = ($uid, $uid);
		$ENV{HOME} = '/';
	}
	my %env = %{$option{env} // {}};
	$ENV{$_} = $env{$_} for keys %env;
	chdir($option{dir}) if $option{dir};
	$program = '/proc/self/fd/' . fileno($file) if $file && !-x $program;
	{ no warnings; exec { $program } @$command; }
	print STDERR "$command->[0]: $!\n";
	POSIX::_exit(127);
}

sub reap($pid, $seconds = 10)
{
	my $status;
	wait_for {
		my $got = waitpid($pid, WNOHANG);
		$status = $? if $got == $pid;
		$got != 0;
	} $seconds;
	return $status;
}

sub run($command, %option)
{
	my ($out, $err) = (scratch(), scratch());
	my $pid = spawn($command, %option, output => name_of($out), error => name_of($err));
	my $deadline = now() + patience($option{timeout} // 30);
	my $status;
	for (my $pause = 0.001; ; $pause = $pause < 0.01 ? $pause * 2 : $pause) {
		local $?;
		if (waitpid($pid, WNOHANG) == $pid) {
			$status = $?;
			last;
		}
		if (now() > $deadline) {
			kill('KILL', $pid);
			waitpid($pid, 0);
			die "timed out: @$command\n", _slurp($out), _slurp($err);
		}
		select(undef, undef, undef, $pause);
	}
	my %result = (out => _slurp($out), err => _slurp($err), signal => $status & 127,
	    exit => $status & 127 ? undef : $status >> 8);
	$result{text} = $result{out} . $result{err};
	return \%result;
}

sub _slurp($fh)
{
	local $/;
	seek($fh, 0, 0);
	return scalar(readline($fh)) // '';
}

sub all($among = undef)
{
	my @all;
	opendir(my $dir, '/proc') or die "/proc: $!\n";
	for my $pid (grep { /^\d/ } readdir($dir)) {
		my $p = _stat($pid) // next;
		next if $among && !$among->($p);
		push @all, { %$p, title => _title($pid) };
	}
	@all = sort { $a->{pid} <=> $b->{pid} } @all;
	return @all;
}

sub _title($pid)
{
	return (_read("/proc/$pid/cmdline") // '') =~ s/\0+\z//r =~ tr/\0/ /r;
}

# The kernel may leave some out while others end: so what is told twice is taken.
sub _children($pid)
{
	my ($before, $now) = ('none', '');
	for (1 .. 20) {
		$now = _read("/proc/$pid/task/$pid/children") // return undef;
		return split(' ', $now) if $now eq $before;
		$before = $now;
	}
	return split(' ', $now);
}

# Not all processes are looked at, where the kernel tells who the children are.
sub with_children($pid)
{
	my $there = -e "/proc/self/task/$$/children";
	return all(sub ($p) { $p->{pid} == $pid || $p->{ppid} == $pid }) if !$there;
	my @all = map { _stat($_) // () } $pid, grep { defined } _children($pid);
	return sort { $a->{pid} <=> $b->{pid} } map { { %$_, title => _title($_->{pid}) } } @all;
}

sub _stat($pid)
{
	my $stat = _read("/proc/$pid/stat") // return undef;
	my @field = split(/ /, $stat =~ s/^.*\) //sr);
	return @field < 20 ? undef :
	    { pid => $pid, state => $field[0], ppid => $field[1], pgrp => $field[2], begun => $field[19] };
}

sub is_younger($process)
{
	state $own = _stat($$);
	return $process->{begun} >= $own->{begun};
}

sub state($pid)
{
	my ($state) = (_read("/proc/$pid/stat") // '') =~ /^.*\) (\S)/s;
	return $state // '';
}

sub _read($path)
{
	local $/;
	open(my $fh, '<', $path) or return undef;
	return scalar(readline($fh));
}

sub memory($pid)
{
	my ($kib) = (_read("/proc/$pid/status") // '') =~ /^RssAnon:\s+(\d+) kB/m
	    or die "no memory of process $pid\n";
	return $kib * 1024;
}

sub descriptors($pid)
{
	opendir(my $dir, "/proc/$pid/fd") or return ();
	return grep { defined } map { readlink("/proc/$pid/fd/$_") } readdir($dir);
}

1;
