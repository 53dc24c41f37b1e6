#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Workers that do not answer are reported, ended and replaced; those that are busy, idle or were stopped with all others are not.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $limit = Weir::Wait::patience(1);		# s
my $dir = File::Temp->newdir;
chmod(0755, $dir);

# Gives back what comes, unless it begins with a word: c computes for ever, b does so without taking SIGABRT, s sleeps
# for ever; d is given back after a third of the limit.
my $module = Weir::Build::compile_module(<<"C" =~ s/LIMIT/$limit/r, "$dir/mule.so");
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include "weir.h"

static double
mule_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static enum weir_verdict
mule_data(struct weir_session *s, struct weir_span in)
{
	double          end = mule_now() + LIMIT / 3.0;
	volatile double now = 0;
	sigset_t        all;

	sigemptyset(&all);
	sigaddset(&all, SIGABRT);
	if (in.len > 0 && in.data[0] == 'b')
		sigprocmask(SIG_BLOCK, &all, NULL);
	while (in.len > 0 && (in.data[0] == 'b' || in.data[0] == 'c'))
		now++;
	while (in.len > 0 && in.data[0] == 's')
		pause();
	while (in.len > 0 && in.data[0] == 'd' && now < end)
		now = mule_now();
	return weir_send(s, in);
}

static const struct weir_protocol protocol = { .data = mule_data };
static const struct weir_module mule = { .name = "mule", .protocol = &protocol };
WEIR_MODULE(mule);
C

sub mule_weir($port)
{
	my $ms = int($limit * 1000);
	return weir(<<"CONF");
[weir]
workers = 2
worker_watchdog = ${ms}ms
error_log = logs/error.log info
load_module = $dir/mule.so
[server mule]
listen = 127.0.0.1:$port
protocol = mule
CONF
}

sub others_go_on($w, $port, $other)
{
	is $w->worker(1), $other, 'the other worker is the one it was';
	ok client($port)->ping, 'new sessions are served' for 1 .. 10;
}

# A client of the worker of this slot; the other slot's are closed.
sub client_of($w, $port, $slot)
{
	my $found;
	await {
		my %before = map { $_->{slot} => $_->{sessions} } $w->status->workers;
		my $c = client($port);
		$c->ping;
		my %after = map { $_->{slot} => $_->{sessions} } $w->status->workers;
		$found = $c if $after{$slot} > $before{$slot};
		$c->close if !$found;
		$found;
	} "a session in worker $slot";
	return $found;
}

sub state_of($w, $slot)
{
	return (map { $_->{state} } grep { $_->{slot} == $slot } $w->status->workers)[0];
}

it 'a worker that is stopped is reported and replaced' => sub {
	my $w = mule_weir(my $port = free_port);
	my ($victim, $other) = $w->workers;
	$w->allow(qr/worker 0 /);
	kill('STOP', $victim);
	ok wait_for { my $new = $w->worker(0); $new && $new != $victim } 20;
	my $at = "worker 0 \\(generation 1, process $victim\\)";
	like $w->log, qr/ error .*$at does not answer: for \S+ it has handled no event, and is stopped by a signal/;
	like $w->log, qr/ alert .*$at still does not answer \(worker_watchdog\): it is ended by SIGABRT/;
	like $w->log, qr/$at was killed by SIGABRT/, 'it is not waited for until it goes on';
	others_go_on($w, $port, $other);
	ok wait_for { state_of($w, 0) eq 'accepting' }, 'the new one serves';
	Weir::Client->reset_all;
	$w->stop;
};

it 'a template that is stopped is reported and made anew' => sub {
	my $w = mule_weir(my $port = free_port);
	my $victim = $w->template;
	$w->allow(qr/template /);
	kill('STOP', $victim);
	$w->wait_log(qr/generation 2 runs/, 20);
	like $w->log, qr/ error .*template \(generation 1, process $victim\) has not answered for \S+, and is stopped by a signal/;
	like $w->log, qr/ alert .*template \(generation 1, process $victim\) still does not answer \(worker_watchdog\): it is killed/;
	isnt $w->template, $victim;
	ok client($port)->ping;
	Weir::Client->reset_all;
	$w->stop;
};

it 'one that goes on in time is not' => sub {
	my $w = mule_weir(my $port = free_port);
	my @before = $w->workers;
	kill('STOP', $before[0]);
	ok wait_for { $w->log =~ /worker 0 .* does not answer/ || $w->worker(0) != $before[0] } 20;
	kill('CONT', $before[0]);
	SKIP: {
		# Beside a great load it may be too late.
		skip 'it came too late', 1 if $w->log =~ /still/;
		ok wait_for { $w->log =~ /worker 0 .* answers again/ } 20;
		is_deeply [$w->workers], \@before;
	}
	$w->allow(qr/worker 0 /);
	$w->stop;
};

for my $case (['c', 'that computes for ever', 'SIGABRT', qr/and is computing/],
	['s', 'that is stuck in a system call', 'SIGABRT', qr/and waits in a system call/],
	['b', 'that takes no SIGABRT', 'SIGKILL', qr/and is computing/]) {
	my ($word, $what, $signal, $doing) = @$case;
	it "a worker $what is replaced" => sub {
		my $w = mule_weir(my $port = free_port);
		my ($victim, $other) = $w->workers;
		my $c = client_of($w, $port, 0);
		$w->allow(qr/worker 0 /);
		$c->send($word);
		if ($signal eq 'SIGKILL') {
			ok wait_for { state_of($w, 0) eq 'not answering' } 20;
			like $w->command('status')->{out},
			    qr/worker 0: process $victim, not answering for \d+\S*, sessions 1$/m, 'weir status says so';
		}
		ok wait_for { my $new = $w->worker(0); $new && $new != $victim } 20;
		isnt $c->ending, 'open', 'its session is gone';
		like $w->log, $doing, 'the log says what it did';
		like $w->log, qr/worker 0 \(generation 1, process $victim\) was killed by $signal/;
		others_go_on($w, $port, $other);
		Weir::Client->reset_all;
		$w->stop;
	};
}

it 'a worker that retires is watched, too' => sub {
	my $w = mule_weir(my $port = free_port);
	my ($victim) = $w->workers;
	my $c = client_of($w, $port, 0);
	$w->edit_conf(sub { s/(workers = 2)/$1\nhandover = off/ });
	is $w->reload->{exit}, 0;
	my @new = $w->workers;
	$w->allow(qr/worker 0 \(generation 1/);
	$c->send('c');
	$w->wait_log(qr/generation 1 has ended/, 20);
	like $w->log, qr/worker 0 \(generation 1, process $victim\) was killed by SIGABRT/;
	is_deeply [$w->workers], \@new;
	Weir::Client->reset_all;
	$w->stop;
};

it 'neither a busy worker is ended nor an idle one' => sub {
	my $w = mule_weir(my $port = free_port);
	my @before = $w->workers;
	my $c = client_of($w, $port, 0);
	is $c->ask('d'), 'd' for 1 .. 8;
	is_deeply [$w->workers], \@before;
	$c->close;
	$w->stop;
	unlike $w->log, qr/still does not answer/;
};

it 'when all were stopped together, none is ended' => sub {
	my $w = mule_weir(my $port = free_port);
	my @before = $w->workers;
	my @all = ($w->pid, @before);
	kill('STOP', @all);
	Weir::Wait::until_time(Weir::Wait::now() + 3 * $limit);
	# The master goes on first, and has looked, which is long due, when it answers for the second time.
	my $since = Weir::Wait::now();
	kill('CONT', $w->pid);
	my @states = map { $_->{state} } map { $w->status->workers } 1 .. 2;
	kill('CONT', @before);
	my $late = Weir::Wait::now() - $since > $limit / 2;
	# It has looked at them again when it has found one that does not answer.
	$w->allow($late ? qr/worker [01] / : qr/worker 1 /);
	kill('STOP', $before[1]);
	ok wait_for { my $new = $w->worker(1); $new && $new != $before[1] } 20;
	SKIP: {
		# Beside a great load the workers may go on too late.
		skip 'it came too late', 3 if $late;
		is_deeply \@states, [('accepting') x 4];
		is $w->worker(0), $before[0];
		unlike $w->log, qr/worker 0 .*does not answer/;
	}
	$w->stop;
};

it 'a check that hangs fails the reload, and says which' => sub {
	Weir::Build::compile_module(<<'C', "$dir/stuck.so");
#include <unistd.h>
#include "weir.h"

static const char *
stuck_check(struct weir_scope *scope)
{
	(void)scope;
	for (;;)
		pause();
}

static enum weir_verdict
stuck_data(struct weir_session *s, struct weir_span in)
{
	return weir_send(s, in);
}

static const struct weir_protocol protocol = { .data = stuck_data };
static const struct weir_module stuck = { .name = "stuck", .protocol = &protocol, .check = stuck_check };
WEIR_MODULE(stuck);
C
	my $w = mule_weir(my $port = free_port);
	my $before = $w->conf;
	$w->edit_conf(sub { s/mule\.so/stuck.so/; s/protocol = mule/protocol = stuck/ });
	my $result = $w->reload;
	is $result->{exit}, 1;
	my $doing = qr/process \d+, which loads the configuration, has been checking \[server mule\] with module stuck for \S+, and waits in a system call.*: it is killed \(worker_watchdog\)/;
	like $result->{err}, $doing, 'the command is told';
	like $w->log, $doing, 'and the log';
	$w->write_conf($before);
	is $w->reload->{exit}, 0, 'the next one is not held up';
	ok client($port)->ping;
	Weir::Client->reset_all;
	$w->stop;
};

done_testing;
