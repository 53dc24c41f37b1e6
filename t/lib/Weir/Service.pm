# SPDX-License-Identifier: BSD-2-Clause
# A real server behind weir: started by the test, ended with it.
#
#	my $s = Weir::Service->start([@command], ready => sub { ... }, %option);
#	$s->stop
#	my ($w, $port, $to_unix) = Weir::Service->front($name, $peer, $unix, %option);
#				a weir with stream_proxy before both of its addresses: one port and
#				a UNIX listener lead to $peer, the other port to the socket $unix;
#				file: of that listener, %d in it is the port
#
# ready is asked until it is true (20 seconds); options: user, dir, env, output.
package Weir::Service;
use v5.36;
use File::Temp ();
use Weir::Daemon;
use Weir::Port;
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

sub front($class, $name, $peer, $unix, %option)
{
	my ($port, $to_unix) = free_ports(2);
	my $file = ($option{file} // "$name.sock") =~ s/%d/$port/r;
	my $w = Weir::Daemon->start(<<"CONF");
[weir]
workers = 2
[server $name]
listen = 127.0.0.1:$port
listen = unix:run/$file mode=0666
protocol = stream_proxy
upstream = $name
[server ${name}_unix]
listen = 127.0.0.1:$to_unix
protocol = stream_proxy
upstream = ${name}_unix
[upstream $name]
server = $peer
[upstream ${name}_unix]
server = unix:$unix
CONF
	return ($w, $port, $to_unix);
}

sub DESTROY($self)
{
	local ($?, $@);
	$self->stop if $self->{owner} == $$;
}

1;
