# SPDX-License-Identifier: BSD-2-Clause
# Free TCP ports that no other test running at the same time can get.
#
#	my $port = free_port();
#	my ($first, $second) = free_ports(2);
#
# The ports lie below the ephemeral range, so that no outgoing connection
# takes one; a locked file for each keeps other tests away (the lock goes with
# the process); a trial bind keeps away from everybody else.
package Weir::Port;
use v5.36;
use Exporter 'import';
use Fcntl qw(:flock O_RDWR O_CREAT);
use File::Spec;
use Socket;

our @EXPORT = qw(free_port free_ports);

my ($first, $last) = (10240, 32000);
my $next = $first + (($$ * 7919 + int(rand(9973))) % ($last - $first));
my %held;

sub free_ports($count)
{
	return map { free_port() } 1 .. $count;
}

sub free_port()
{
	for (0 .. $last - $first) {
		my $port = $next;
		$next = $next < $last ? $next + 1 : $first;
		next if $held{$port};
		my $lock = lock_port($port) // next;
		next if !bindable($port);
		$held{$port} = $lock;
		return $port;
	}
	die "no free port between $first and $last\n";
}

sub lock_port($port)
{
	state $dir = do {
		my $path = File::Spec->catdir(File::Spec->tmpdir, "weir-test-ports.$>");
		mkdir($path, 0700);
		die "$path: $!\n" if !-d $path;
		$path;
	};
	sysopen(my $fh, "$dir/$port", O_RDWR | O_CREAT, 0600) or die "$dir/$port: $!\n";
	return flock($fh, LOCK_EX | LOCK_NB) ? $fh : undef;
}

sub bindable($port)
{
	for my $address (INADDR_ANY, INADDR_LOOPBACK) {
		socket(my $fh, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
		setsockopt($fh, SOL_SOCKET, SO_REUSEADDR, 1);
		return 0 if !bind($fh, pack_sockaddr_in($port, $address));
		return 0 if !listen($fh, 1);
	}
	return 1;
}

1;
