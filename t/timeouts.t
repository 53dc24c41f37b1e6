#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Deadlines, all in milliseconds: what is overdue is closed, what moves is not.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my %port;
my @names = qw(idle proxied connect write back_write half life patient);
@port{@names} = free_ports(scalar @names);
my $echo = backend('echo');
my $full = backend('full');
my $large = backend('source', bytes => 256 << 20);
my $silent = backend('silent');
my $open_end = backend('script', data => sub (@) { }, eof => sub ($c, $) { });

# Long enough that a test which shares the machine with others is not late by
# as much; seconds for the test, a value for the configuration.
my $T = patience(0.4);
my $ms = int($T * 1000) . 'ms';

my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server idle]
listen = 127.0.0.1:$port{idle}
protocol = echo
idle_timeout = $ms

[server proxied]
listen = 127.0.0.1:$port{proxied}
protocol = stream_proxy
upstream = echo
idle_timeout = $ms

[server connect]
listen = 127.0.0.1:$port{connect}
protocol = stream_proxy
upstream = full

[server write]
listen = 127.0.0.1:$port{write}
protocol = stream_proxy
upstream = large
write_timeout = $ms

[server back_write]
listen = 127.0.0.1:$port{back_write}
protocol = stream_proxy
upstream = silent
write_timeout = $ms

[server half]
listen = 127.0.0.1:$port{half}
protocol = stream_proxy
upstream = open_end
half_close_timeout = $ms

[server life]
listen = 127.0.0.1:$port{life}
protocol = echo
max_lifetime = $ms

[server patient]
listen = 127.0.0.1:$port{patient}
protocol = echo

[upstream echo]
server = @{[$echo->address]}
[upstream full]
server = @{[$full->address]}
connect_timeout = $ms
[upstream large]
server = @{[$large->address]}
[upstream silent]
server = @{[$silent->address]}
[upstream open_end]
server = @{[$open_end->address]}
CONF

# One that must never be closed: it says at the end that nothing else was hit.
my $patient = client($port{patient});
$patient->ping;

# A clock may be a tick coarse: this much earlier is still in time.
my $TICK = 0.02;

sub ends_after($c, $least, $began = now())
{
	my $how = $c->ending;
	isnt $how, 'open', "is closed ($how)";
	cmp_ok now() - $began, '>=', $least - $TICK, 'and not too early';
}

# Talks in steps shorter than the timeout, for longer than the timeout.
sub keeps_talking($c)
{
	my $until = now() + 2.5 * $T;
	while (now() < $until) {
		$c->ping;
		until_time(now() + 0.05);
	}
	return 1;
}

it 'idle_timeout closes who says nothing' => sub {
	my $began = now();
	ends_after(client($port{idle}), $T, $began);
};

it 'idle_timeout begins again with each byte' => sub {
	my $c = client($port{idle});
	ok keeps_talking($c);
	my $began = now();
	$c->ping;
	ends_after($c, $T, $began);
};

it 'idle_timeout of a proxied session minds both sides' => sub {
	my $c = client($port{proxied});
	ok keeps_talking($c);
	my $until = now() + 2.5 * $T;
	my $began;
	while (now() < $until) {
		$began = now();
		$echo->tell('send', bytes => '.');	# the client says nothing
		is $c->recv(1), '.';
		until_time(now() + 0.05);
	}
	ends_after($c, $T, $began);
	$echo->wait_report(sub ($r) { $r->{open} == 0 });
};

it 'idle_timeout says why in the status' => sub {
	cmp_ok $w->status->server('idle')->{end_idle_timeout}, '>=', 2;
};

it 'connect_timeout gives up' => sub {
	my $began = now();
	ends_after(client($port{connect}), $T, $began);
	cmp_ok now() - $began, '<', patience(5);
	is $w->status->peer('full', $full->address)->{connect_timed_out}, 1;
};

it 'write_timeout closes a client that takes nothing' => sub {
	my $c = client($port{write}, rcvbuf => 8192);
	# it reads a little, so that it is established that bytes flow
	$c->recv(1000);
	my $report = $large->wait_report(sub ($r) { $r->{accepted} && !$r->{open} });
	isnt $report->{conns}[-1]{ended}, '', 'the backend is let go too';
	cmp_ok $report->{conns}[-1]{lasted}, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

it 'write_timeout does not hit a slow reader' => sub {
	my $c = client($port{write}, rcvbuf => 65536);
	my $until = now() + 3 * $T;
	my $got = 0;
	while (now() < $until) {
		$got += length($c->recv(60_000));
		until_time(now() + 0.02);
	}
	cmp_ok $got, '>', 100_000;
	$c->reset;
};

it 'write_timeout closes when the backend takes nothing' => sub {
	my $c = client($port{back_write});
	my $text = pattern(1, 0, 64 << 20);
	my $sent = 1000;
	$c->send(substr($text, 0, $sent));
	$silent->wait_report(sub ($r) { $r->{open} == 1 });
	ok wait_for {
		$sent += $c->send_some(substr($text, $sent, 1 << 20));
		$w->status->server('back_write')->{sessions} == 0;
	};
	isnt $c->ending, 'open';
	$silent->tell('drop_all');
};

it 'half_close_timeout ends what only one side has ended' => sub {
	my $c = client($port{half});
	my $began = now();
	$c->send('the last')->shutdown;
	$open_end->wait_report(sub ($r) { $r->{accepted} && $r->{conns}[-1]{text} eq 'the last' });
	# the backend has seen the end of the client and does not look for another
	ok wait_for { $w->status->server('half')->{sessions} == 0 };
	cmp_ok now() - $began, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

it 'half_close_timeout does not concern who has ended neither' => sub {
	my $c = client($port{half});
	my $began = now();
	$c->send('x');
	$open_end->wait_report(sub ($r) { $r->{conns}[-1]{text} eq 'x' });
	until_time($began + 1.5 * $T);
	$c->send('y');
	$open_end->wait_report(sub ($r) { $r->{conns}[-1]{text} eq 'xy' });
	pass;
	$c->reset;
};

it 'max_lifetime ends also who keeps talking' => sub {
	my $began = now();
	my $c = client($port{life});
	my $pings = 0;
	eval { $pings++ while $c->ping && now() - $began < patience(5) };
	cmp_ok $pings, '>', 1;
	cmp_ok now() - $began, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

it 'leaves all others alone' => sub {
	ok $patient->ping;
};

done_testing;
