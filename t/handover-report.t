#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What a reload says of sessions and workers: what was lost, who does not answer, and what makes room when too many
# generations are alive.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Weir::Test;

Weir::Build::ignore_leaks();

sub echo_weir($port, $settings = '')
{
	return weir(<<"CONF");
[weir]
workers = 1
worker_watchdog = off	; some are stopped, for long on a busy machine
error_log = logs/error.log info
$settings
[server echo]
listen = 127.0.0.1:$port
protocol = echo
idle_timeout = 1h
CONF
}

sub signal_to($name, $pid)
{
	kill($name, $pid) or die "kill $name $pid: $!\n";
	wait_for { Weir::Process::state($pid) eq 'T' } if $name eq 'STOP';
}

# Numbers of those that are alive.
sub generations($w)
{
	return join(' ', $w->command('generations')->{out} =~ /^generation (\d+)/mg);
}

it 'a worker that is stopped is named, and waited for once' => sub {
	my $w = echo_weir(my $port = free_port);
	my $c = client($port);
	ok $c->ping;
	my $old = $w->worker(0);
	signal_to('STOP', $old);
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{text},
	    qr/^warning: worker 0 \(generation 1, process $old\) has not handed over .* within 5s, and is stopped by a signal/m;
	for my $generation (3 .. 5) {
		$result = $w->reload;
		is $result->{exit}, 0;
		unlike $result->{text}, qr/warning: worker/, 'once';
		like $result->{text}, qr/1 old worker does not answer/, 'but it is not forgotten';
	}
	ok wait_for { generations($w) eq '1 2 5' }, 'no generation stays for it but those that it was told of'
	    or diag generations($w);
	signal_to('CONT', $old);
	ok wait_for { generations($w) eq '5' }, 'until it goes on';
	ok $c->ping, 'and so does its session';
	like $w->log, qr/worker 0 \(generation 1, process $old\) answers again/;
	$c->close;
	$w->stop;
};

it 'how many sessions were lost is told' => sub {
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 3;
	$_->ping for @clients;
	my $old = $w->worker(0);
	signal_to('STOP', $old);
	$w->signal('HUP');
	$w->wait_log(qr/generation 2 runs/);
	signal_to('KILL', $old);
	$w->wait_log(qr/sessions: 0 moved in \d+ ms, 3 were lost with workers that died/);
	$w->wait_log(qr/worker 0 \(generation 1, process $old\) was killed .*: 3 sessions are lost/);
	is $w->reload->{text} =~ /lost/ ? 'told' : 'not told', 'not told', 'by that reload alone';
	$w->stop;
};

it 'a template that starts no worker is named' => sub {
	my $w = echo_weir(my $port = free_port);
	my ($template, $worker) = ($w->template, $w->worker(0));
	signal_to('STOP', $template);
	signal_to('KILL', $worker);
	$w->wait_log(qr/warn .*template \(generation 1, process $template\) has not started worker 0 .*is stopped by a signal/, 30);
	signal_to('CONT', $template);
	ok wait_for { my $c = Weir::Client->try($port); $c && eval { $c->ping } }, 'it goes on';
	$w->stop;
};

it 'sessions that have been ended are told apart' => sub {
	my ($port, $other, $peer) = (free_ports(2), backend('line'));
	my $w = weir(<<"CONF");
[weir]
workers = 1
[server kept]
listen = 127.0.0.1:$port
protocol = echo
[server closed]
listen = 127.0.0.1:$other
protocol = line_proxy
line_refuse = *
upstream = peer
[upstream peer]
server = @{[$peer->address]}
CONF
	# Each has a few seconds before it is given up.
	my ($seen, $said) = (0, '');
	for (1 .. 10) {
		my $c = client($other);
		$c->send("*\n");
		ok wait_for { IO::Select->new($c->fh)->can_read(0) };
		my $s = $w->status;
		my ($ending) = map { $_->{ending} } $s->workers;
		next if !$ending;
		$seen++;
		$said = $w->command('generations')->{out};
		last;
	}
	is $seen, 1, 'one that waits for its client to end is counted as that';
	like $said, qr/sessions 1 \(1 ending\)/;
	$w->edit_conf(sub { s/\[server closed\].*?\[up/[up/s });
	unlike $w->reload->{text}, qr/stay/, 'and no session that stays';
	$w->stop;
};

it 'a shorter worker_shutdown_timeout holds for those that retire already' => sub {
	my $w = echo_weir(my $port = free_port, 'handover = off');
	my $c = client($port, timeout => 60);
	ok $c->ping;
	is $w->reload->{exit}, 0;
	my $d = client($port, timeout => 60);
	ok $_->ping for $c, $d;
	$w->edit_conf(sub { s/handover = off/handover = off\nworker_shutdown_timeout = 500ms/ });
	is $w->reload->{exit}, 0;
	is $_->ending, 'eof', 'they are ended' for $c, $d;
	ok wait_for { generations($w) eq '3' }, 'and their generations with them';
	$w->stop;
};

it 'when too many generations are alive the oldest can be ended' => sub {
	plan skip_all => 'takes too long here' if Weir::Build::valgrind() || Weir::Build::sanitized();
	my $w = echo_weir(my $port = free_port, 'handover = off');
	my @clients;
	my $result;
	for (1 .. 63) {
		push @clients, client($port, timeout => 30);
		$clients[-1]->ping;
		$result = $w->reload;
		last if $result->{exit} != 0;
	}
	is scalar(@clients), 63, 'so many there can be';
	isnt $result->{exit}, 0;
	like $result->{text}, qr/^error: too many generations are alive.* weir -s reload --force ends those of the oldest/m;
	$result = $w->command('-s', 'reload', '--force');
	is $result->{exit}, 0, 'that does it' or diag $result->{text};
	like $result->{text}, qr/^generation 1 is ended, with the sessions that it has$/m;
	is $clients[0]->ending, 'eof', 'the oldest has ended';
	ok !(grep { !$_->ping } @clients[1 .. 62]), 'all others go on';
	ok wait_for { generations($w) !~ /^1 / };
	$_->close for @clients;
	$w->stop;
};

done_testing;
