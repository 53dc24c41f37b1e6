# SPDX-License-Identifier: BSD-2-Clause
# A real server behind weir: started by the test, ended with it.
#
#	my $s = Weir::Service->start([@command], ready => sub { ... }, %option);
#	$s->pid
#	$s->stop
#
# ready is asked until it is true (20 seconds); options: user, dir, env, output.
package Weir::Service;
use v5.36;
use File::Temp ();
use Weir::Process;
use Weir::Wait;

sub start($class, $command, %option)
{
	my $output = $option{output} // File::Temp->new->filename;
	my $pid = Weir::Process::spawn($command, group_leader => 1, %option, output => $output);
	my $self = bless { pid => $pid, owner => $$, output => $output }, $class;
	my $ended;
	my $ready = wait_for {
		$ended = waitpid($pid, POSIX::WNOHANG()) == $pid;
		$ended || $option{ready}->();
	} 20;
	return $self if $ready && !$ended;
	delete $self->{pid} if $ended;
	open(my $fh, '<', $output);
	die "$command->[0] does not start:\n", $fh ? readline($fh) : ();
}

sub pid($self) { return $self->{pid} }

# INT, for PostgreSQL: do not wait for clients.
sub stop($self)
{
	my $pid = delete $self->{pid} // return;
	local $?;
	kill('INT', $pid);
	return if defined Weir::Process::reap($pid, 10);
	kill('KILL', -$pid);
	waitpid($pid, 0);
}

sub DESTROY($self)
{
	local ($?, $@);
	$self->stop if $self->{owner} == $$;
}

1;
