#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What processes say to each other, when one of them does not keep to it.
use v5.36;
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(MSG_DONTWAIT MSG_NOSIGNAL SOCK_SEQPACKET SOL_SOCKET SO_TYPE);
use Weir::Test;

use constant { PIDFD_OPEN => 434, PIDFD_GETFD => 438 };	# on every processor
# What workers send one another, as message.h numbers it.
sub review()
{
	my @kinds = slurp(Weir::Build::srcdir() . '/src/proc/message.h') =~ /^\t(MESSAGE_\w+),/mg;
	my ($number) = grep { $kinds[$_] eq 'MESSAGE_REVIEW' } 0 .. $#kinds;
	return pack('L4', $number, 0, 0, 0);
}
use constant REVIEW => review();

# The channels that a process holds, as descriptors of ours.
sub channels($pid)
{
	my $process = syscall(PIDFD_OPEN, $pid, 0);
	my @channels;
	return () if $process < 0;
	for my $path (glob("/proc/$pid/fd/*")) {
		my ($number) = $path =~ /(\d+)$/;
		my $fd = syscall(PIDFD_GETFD, $process, $number + 0, 0);
		next if $fd < 0;
		open(my $fh, '+<&=', $fd) or die "descriptor $fd: $!\n";
		my $type = getsockopt($fh, SOL_SOCKET, SO_TYPE) // next;
		push @channels, $fh if unpack('i', $type) == SOCK_SEQPACKET;
	}
	POSIX::close($process);
	return @channels;
}

# Sends until it is full, or at most that many; how many it took.
sub fill($channel, $message, $most = 1000)
{
	for my $sent (0 .. $most - 1) {
		return $sent if !defined send($channel, $message, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return $most;
}

sub echo_weir($port)
{
	return weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
}

it 'a full mailbox neither holds up the master nor loses an order' => sub {
	my $w = echo_weir(my $port = free_port);
	my $worker = $w->worker(1);
	my @channels = channels($worker)
	    or plan skip_all => 'descriptors of others cannot be had';
	kill('STOP', $worker);
	# what all share can be changed by each
	for my $channel (@channels) {
		fcntl($channel, F_SETFL, fcntl($channel, F_GETFL, 0) & ~O_NONBLOCK);
	}
	ok scalar(grep { fill($_, REVIEW) < 1000 } @channels), 'its mailbox is full';
	close($_) for @channels;	# whoever has one could send sessions: it would not end
	$w->allow(qr/channel for sessions: Protocol error/);	# it was filled, too
	is $w->reload->{exit}, 0, 'a reload takes no notice of it';
	my $log = $w->path('logs/error.log');
	rename($log, "$log.1") or die "$log: $!\n";
	is $w->command('-s', 'reopen')->{exit}, 0;
	ok client($port)->ping for 1 .. 10;
	kill('CONT', $worker);
	ok wait_for { !grep { $_->{pid} == $worker } $w->processes }, 'then it is told to retire';
	close($_) for @channels;
	$w->stop;
};

it 'a worker that is killed leaves a full mailbox to the next' => sub {
	my $w = echo_weir(my $port = free_port);
	$w->allow(qr/./);
	my $worker = $w->worker(1);
	my @channels = channels($worker)
	    or plan skip_all => 'descriptors of others cannot be had';
	kill('STOP', $worker);
	fill($_, REVIEW) for @channels;
	my $log = $w->path('logs/error.log');
	for my $n (1 .. 2) {
		rename($log, "$log.$n") or die "$log: $!\n";
		is $w->command('-s', 'reopen')->{exit}, 0;
	}
	kill('KILL', $worker);
	my $next;
	ok wait_for {
		$next = $w->worker(1);
		$next && $next != $worker && $w->status->generation;
	};
	ok client($port)->ping for 1 .. 10;
	ok wait_for {
		my @open = Weir::Process::descriptors($next);
		!(grep { /^\Q$log\E\.\d/ } @open) && grep { $_ eq $log } @open;
	}, 'it writes to the newest log';
	close($_) for @channels;
	$w->stop;
};

it 'noise in the mailbox of the master is told once, and it goes on' => sub {
	my $w = echo_weir(my $port = free_port);
	my @channels = channels($w->worker(1))
	    or plan skip_all => 'descriptors of others cannot be had';
	for my $noise ("noise", "", REVIEW, pack('L4', 1000, 0, 0, 0)) {
		fill($_, $noise, 2000) for @channels;
		is $w->command('status')->{exit}, 0;
	}
	my @said;
	ok wait_for { @said = $w->log =~ /error .* master: process $$, which is no worker/g };
	is scalar(@said), 1, 'one line';
	ok client($port)->ping for 1 .. 10;
	$w->allow(qr/(mailbox|channel for sessions): Protocol error/);
	close($_) for @channels;
	$w->stop;
};

it 'a template that cannot trust its channel is made again' => sub {
	my $w = echo_weir(my $port = free_port);
	my $template = $w->template;
	my $c = client($port);
	$c->ping;
	my @channels = channels($w->pid)
	    or plan skip_all => 'descriptors of others cannot be had';
	fill($_, "noise", 1) for @channels;
	close($_) for @channels;
	my $new;
	ok wait_for { $new = $w->template; $new && $new != $template && $w->workers == 2 } 20;
	like $w->log, qr/template \(generation 1\): a message from the master: Protocol error/;
	ok $c->ping, 'sessions go on';
	$c->close;
	$w->allow(qr/(mailbox|channel for sessions): Protocol error/);
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
	$w->stop;
};

done_testing;
