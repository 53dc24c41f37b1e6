# SPDX-License-Identifier: BSD-2-Clause
# The programs of t/tools: started, waited for, and what they counted.
#
#	my $f = Weir::Tool->start('faulty', '--seed', 3, '--port', $port);
#	$f->ports		those that it listens on
#	$f->pid
#	$f->finish		lets it end: { name => value, ... } of the line it prints then; dies
#				if its exit status is not 0
#
#	my $t = Weir::Tool->start('tagged', @arguments);
#	$t->running
#	$t->wait		waits for its end (it has a --deadline of its own): the same hash,
#				with exit (its status) and err (what it said on stderr)
#	Weir::Tool->run('tagged', @arguments)	both
#
# What still runs when the test ends is ended with it.
package Weir::Tool;
use v5.36;
use File::Temp ();
use POSIX ();
use Scalar::Util qw(weaken);
use Weir::Build;
use Weir::Wait;

my %all;

sub start($class, $name, @arguments)
{
	my $path = Weir::Build::objdir() . "/t/tools/$name";
	die "no $path: make programs builds it\n" if !-x $path;
	pipe(my $stdin, my $hold) or die "pipe: $!\n";
	pipe(my $said, my $stdout) or die "pipe: $!\n";
	my $err = File::Temp->new;
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP PIPE);
		POSIX::dup2(fileno($stdin), 0);
		POSIX::dup2(fileno($stdout), 1);
		POSIX::dup2(fileno($err), 2);
		exec { $path } $path, @arguments or POSIX::_exit(127);
	}
	my $self = bless { name => $name, pid => $pid, hold => $hold, said => $said, err => $err,
	    owner => $$ }, $class;
	$all{$self} = $self;
	weaken($all{$self});
	close($stdout);
	if ($name eq 'faulty') {
		my ($ports) = (readline($said) // '') =~ /^ports=(\S+)/;
		die "$name does not start:\n", $self->_err if !defined $ports;
		$self->{ports} = [split(/,/, $ports)];
	}
	return $self;
}

sub run($class, @arguments) { return $class->start(@arguments)->wait }

sub pid($self) { return $self->{pid} }
sub ports($self) { return @{$self->{ports}} }

sub _err($self)
{
	local $/;
	seek($self->{err}, 0, 0);
	return readline($self->{err}) // '';
}

sub running($self)
{
	local $?;
	return 0 if defined $self->{status};
	$self->{status} = $? if waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
	return !defined $self->{status};
}

sub wait($self)
{
	my $line = readline($self->{said}) // '';
	local $?;
	if (!defined $self->{status}) {
		waitpid($self->{pid}, 0);
		$self->{status} = $?;
	}
	delete $all{$self};
	my $status = $self->{status};
	die "$self->{name}: signal ", $status & 127, "\n", $self->_err if $status & 127;
	return { $line =~ /(\w+)=(\S+)/g, exit => $status >> 8, err => $self->_err };
}

sub finish($self)
{
	close(delete $self->{hold});
	my $counts = $self->wait;
	die "$self->{name}: exit $counts->{exit}\n$counts->{err}" if $counts->{exit} != 0;
	return $counts;
}

sub DESTROY($self)
{
	local ($?, $@);
	return if $self->{owner} != $$ || defined $self->{status};
	kill('TERM', $self->{pid});
	waitpid($self->{pid}, 0);
	$self->{status} = $?;
}

END {
	my $status = $?;
	$_->DESTROY for grep { defined } values %all;
	$? = $status;
}

1;
