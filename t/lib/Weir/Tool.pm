# SPDX-License-Identifier: BSD-2-Clause
# The programs of t/tools: started, waited for, and what they counted.
#
#	my $f = Weir::Tool->start('faulty', '--seed', 3, '--port', $port);
#	$f->{ports}		the ports that it listens on
#	$f->pid
#	$f->finish		ends it (its standard input ends): { name => value, ... } of its last line
#	Weir::Tool->finish_all
#
#	my $counts = Weir::Tool->run('tagged', @arguments);
# waits for its end: the same hash, with exit (its status) and err (what it said on
# stderr); dies after WEIR_TEST_TIMEOUT only: its own --deadline is what ends it.
#
# What still runs when the test ends is ended with it.
package Weir::Tool;
use v5.36;
use POSIX ();
use Scalar::Util qw(weaken);
use Weir::Build;
use Weir::Process;
use Weir::Wait;

my %all;

sub _path($name)
{
	my $path = Weir::Build::objdir() . "/t/tools/$name";
	die "no $path: make programs builds it\n" if !-x $path;
	return $path;
}

sub start($class, $name, @arguments)
{
	my $path = _path($name);
	pipe(my $stdin, my $hold) or die "pipe: $!\n";
	pipe(my $said, my $stdout) or die "pipe: $!\n";
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP PIPE);
		POSIX::dup2(fileno($stdin), 0);
		POSIX::dup2(fileno($stdout), 1);
		exec { $path } $path, @arguments or POSIX::_exit(127);
	}
	my $self = bless { name => $name, pid => $pid, hold => $hold, said => $said, owner => $$ }, $class;
	$all{$self} = $self;
	weaken($all{$self});
	close($stdout);
	my $line = readline($said) // die "$name does not start\n";
	$self->{ports} = [split(/,/, $1)] if $line =~ /^ports=(\S+)/;
	return $self;
}

sub pid($self) { return $self->{pid} }

sub finish($self)
{
	close(delete $self->{hold} // return);
	my $line = readline($self->{said}) // '';
	local $?;
	kill('KILL', $self->{pid}) if !defined(my $status = Weir::Process::reap($self->{pid}, 10));
	delete $all{$self};
	die "$self->{name} did not end well\n" if !defined($status) || $status != 0;
	return _counts($line);
}

sub finish_all($class)
{
	$_->finish for grep { defined } values %all;
}

sub run($class, $name, @arguments)
{
	my $result = Weir::Process::run([_path($name), @arguments],
	    timeout => $ENV{WEIR_TEST_TIMEOUT} // 180);
	die "$name: signal $result->{signal}\n$result->{text}" if $result->{signal};
	return { %{_counts($result->{out})}, exit => $result->{exit}, err => $result->{err} };
}

sub _counts($line)
{
	return { $line =~ /(\w+)=(\S+)/g };
}

sub DESTROY($self)
{
	local ($?, $@);
	return if $self->{owner} != $$ || !delete $self->{hold};
	kill('TERM', $self->{pid});
	waitpid($self->{pid}, 0);
}

END {
	my $status = $?;
	$_->DESTROY for grep { defined } values %all;
	$? = $status;
}

1;
