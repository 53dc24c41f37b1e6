#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Deadlines, all in milliseconds: what is overdue is closed, what moves is not.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Conf;
use Weir::Deadline;
use Weir::Test;

my $echo = backend('echo');
my $full = backend('full');
my $large = backend('source', bytes => 256 << 20);
my $silent = backend('silent');
my $open_end = backend('script', data => sub (@) { }, eof => sub ($c, $) { });

# A weir all of whose deadlines are $T seconds.
our ($T, $w, %port);
my %started;	# by $T

sub start()
{
	my @proxy = ('stream_proxy');
	my %servers = (
		idle => ['echo', undef, idle_timeout => ms($T)],
		proxied => [@proxy, 'echo', idle_timeout => ms($T)],
		connect => [@proxy, 'full'],
		write => [@proxy, 'large', write_timeout => ms($T)],
		back_write => [@proxy, 'silent', write_timeout => ms($T)],
		half => [@proxy, 'open_end', half_close_timeout => ms($T)],
		life => ['echo', undef, max_lifetime => ms($T)],
		patient => ['echo', undef],
	);
	@port{sort keys %servers} = free_ports(scalar keys %servers);
	$w = weir(conf_text(
		weir => [workers => 2],
		servers => { map { $_ => ["127.0.0.1:$port{$_}", @{$servers{$_}}] } keys %servers },
		upstreams => {
			echo => [$echo->address],
			full => [$full->address, connect_timeout => ms($T)],
			large => [$large->address],
			silent => [$silent->address],
			open_end => [$open_end->address],
		}));
	# One that must never be closed: it says at the end that nothing else was hit.
	my $patient = client($port{patient});
	$patient->ping;
	return { w => $w, port => {%port}, patient => $patient };
}

# Long enough that a test which shares the machine with others is not late by as much.
sub timed($name, $code)
{
	with_time $name => [0.4, 1.6, 6.4], sub ($seconds) {
		local $T = $seconds;
		local ($w, %port);
		my $mine = $started{$seconds} //= start();
		($w, %port) = ($mine->{w}, %{$mine->{port}});
		$code->();
	};
}

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
	my $until = now() + 1.5 * $T;
	while (now() < $until) {
		$c->ping;
		until_time(now() + 0.05);
	}
	return 1;
}

timed 'idle_timeout closes who says nothing' => sub {
	my $began = now();
	ends_after(client($port{idle}), $T, $began);
};

timed 'idle_timeout begins again with each byte' => sub {
	my $c = client($port{idle});
	ok keeps_talking($c);
	my $began = now();
	$c->ping;
	ends_after($c, $T, $began);
};

timed 'idle_timeout of a proxied session minds both sides' => sub {
	my $c = client($port{proxied});
	ok keeps_talking($c);
	my $until = now() + 1.5 * $T;
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
	my $count = 0;
	$count += $_->{w}->status->server('idle')->{end_idle_timeout} for values %started;
	cmp_ok $count, '>=', 2;
};

timed 'connect_timeout gives up' => sub {
	my $began = now();
	ends_after(client($port{connect}), $T, $began);
	cmp_ok now() - $began, '<', $T + patience(8);
	is $w->status->peer('full', $full->address)->{connect_timed_out}, 1;
};

timed 'write_timeout closes a client that takes nothing' => sub {
	my $c = client($port{write}, rcvbuf => 8192);
	# it reads a little, so that it is established that bytes flow
	$c->recv(1000);
	my $report = $large->wait_report(sub ($r) { $r->{accepted} && !$r->{open} });
	isnt $report->{conns}[-1]{ended}, '', 'the backend is let go too';
	cmp_ok $report->{conns}[-1]{lasted}, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

timed 'write_timeout does not hit a slow reader' => sub {
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

timed 'write_timeout closes when the backend takes nothing' => sub {
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

timed 'half_close_timeout ends what only one side has ended' => sub {
	my $c = client($port{half});
	my $began = now();
	$c->send('the last')->shutdown;
	$open_end->wait_report(sub ($r) { $r->{accepted} && $r->{conns}[-1]{text} eq 'the last' });
	# the backend has seen the end of the client and does not look for another
	ok wait_for { $w->status->server('half')->{sessions} == 0 };
	cmp_ok now() - $began, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

timed 'half_close_timeout does not concern who has ended neither' => sub {
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

timed 'max_lifetime ends also who keeps talking' => sub {
	my $began = now();
	my $c = client($port{life});
	my $pings = 0;
	eval { $pings++ while $c->ping && now() - $began < $T + patience(8) };
	cmp_ok $pings, '>', 1;
	cmp_ok now() - $began, '>=', $T - $TICK;
	isnt $c->ending, 'open';
};

it 'leaves all others alone' => sub {
	ok $_->{patient}->ping for values %started;
};

done_testing;
