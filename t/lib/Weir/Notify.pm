# SPDX-License-Identifier: BSD-2-Clause
# The service manager's end of sd_notify(3).
#
#	my $n = Weir::Notify->new($path);	env => { NOTIFY_SOCKET => $n->path }
#	$n->all			all variables so far, in order: ['READY=1', ...]
#	$n->wait('READY=1')	it has come: true, or dies
#	$n->clear
package Weir::Notify;
use v5.36;
use Socket qw(:all);
use IO::Handle;
use Weir::Wait;

sub new($class, $path)
{
	socket(my $fh, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
	bind($fh, pack_sockaddr_un($path)) or die "bind $path: $!\n";
	chmod(0666, $path);
	$fh->blocking(0);
	return bless { fh => $fh, path => $path, all => [] }, $class;
}

sub path($self) { return $self->{path} }

sub all($self)
{
	while (defined recv($self->{fh}, my $message, 65536, 0)) {
		push @{$self->{all}}, split(/\n/, $message);
	}
	return @{$self->{all}};
}

sub clear($self)
{
	$self->all;
	$self->{all} = [];
}

sub wait($self, $variable)
{
	return 1 if wait_for { grep { $_ eq $variable } $self->all };
	die "no $variable from weir, only: ", join(' ', $self->all), "\n";
}

1;
