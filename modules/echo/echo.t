#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The echo protocol, and with it how a worker treats one client's socket.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;
use Weir::Stress;

my ($port, $six) = free_ports(2);
my $w = weir(<<"CONF");
[weir]
workers = 2

[server echo]
listen = 127.0.0.1:$port
listen = [::1]:$six
listen = unix:run/echo.sock mode=0666
protocol = echo
CONF
my $unix = 'unix:' . $w->path('run/echo.sock');

it 'gives the bytes back' => sub {
	my $all = join('', map { chr } 0 .. 255);
	is client($port)->ask($all), $all;
};

it 'listens on IPv6 and on a UNIX socket' => sub {
	ok client("[::1]:$six")->ping;
	ok client($unix)->ping;
};

it 'answers one message after another' => sub {
	my $c = client($port);
	for my $length (1, 2, 1000, 1448, 4096, 65535, 65536, 65537, 200_000) {
		my $message = pattern($length, 0, $length);
		ok $c->ask($message) eq $message, "$length bytes";
	}
};

for my $address ($port, $unix) {
	my $kind = $address =~ /unix/ ? 'UNIX' : 'TCP';

	it "carries 32 MiB both ways at once over $kind" => sub {
		my $c = client($address);
		my $moved = $c->transfer(out => 32 << 20, in => 32 << 20, finish => 1);
		is $moved->{in}, 32 << 20;
		is $c->ending, 'eof', 'and answers the FIN';
	};
}

it 'takes one byte at a time' => sub {
	my $text = pattern(3, 0, 500);
	my $c = client($port)->dribble($text);
	is $c->recv(500), $text;
};

it 'answers a FIN that came in the same packet as the data' => sub {
	for my $length (1, 100, 1400, 30_000, 100_000) {
		my $text = pattern($length, 0, $length);
		ok client($port)->send_fin($text)->rest eq $text, "$length bytes";
	}
};

it 'gives back all before it answers a half-close' => sub {
	my $c = client($port, rcvbuf => 16384);
	my $text = pattern(4, 0, 60_000);
	$c->send($text)->shutdown;
	ok $c->rest eq $text;
};

it 'ends a session that says nothing and closes' => sub {
	is client($port)->shutdown->ending, 'eof';
};

it 'survives resets' => sub {
	my $other = client($port);
	for (1 .. 50) {
		my $c = client($port);
		$c->send('x' x ($_ * 100)) if $_ % 2;
		$c->reset;
	}
	ok $other->ping, 'others go on';
	ok client($port)->ping, 'and new ones come';
};

it 'survives a reset with a full pipe' => sub {
	for (1 .. 10) {
		my $c = client($port, rcvbuf => 8192);
		$c->send_some(pattern(1, 0, 1 << 20));
		$c->reset;
	}
	ok client($port)->ping;
};

it 'stops reading from a client that does not read' => sub {
	my $before = $w->memory;
	my @never = map { client($port, rcvbuf => 8192) } 1 .. 8;
	my $chunk = pattern(7, 0, 1 << 20);
	my ($sent, $quiet) = (0, now());
	await {
		for my $c (@never) {
			my $n = $c->send_some($chunk);
			$sent += $n;
			$quiet = now() if $n;
		}
		now() - $quiet > patience(0.3);
	} 'it is held back', 30;
	cmp_ok $w->memory - $before, '<', patience(1) * (8 << 20), "$sent bytes were taken";
	ok client($port)->ping, 'others are served meanwhile';
	$_->reset for @never;
};

it 'goes on when the client reads at last' => sub {
	my $c = client($port, rcvbuf => 65536);
	my $text = pattern(9, 0, 32 << 20);
	my $sent = 0;
	wait_for {
		my $n = $c->send_some(substr($text, $sent, 1 << 20));
		$sent += $n;
		$n == 0;
	};
	cmp_ok $sent, '<', length($text), 'it was held back';
	my $got = '';
	while (length($got) < $sent) {
		my $step = $sent - length($got);
		$got .= $c->recv($step < 65536 ? $step : 65536);
	}
	ok $got eq substr($text, 0, $sent);
	ok $c->ping;
};

it 'keeps sessions apart' => sub {
	for my $bytes (1, 100, 5000, 70_000) {
		unharmed(stress('echo', '-c', 200, '-n', 400, '-s', $bytes, "127.0.0.1:$port", { timeout => 60 }),
		    answered => 400, connected => 200, bytes_in => 400 * $bytes);
	}
};

done_testing;
