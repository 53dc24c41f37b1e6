#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Socket options of connections to peers: a link has them when it is connected; a stream's
# when it sends for the second time, or lives on; a shorter one never.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $peer = backend('echo');
my ($streams, $plain, $lines) = map { free_port } 1 .. 3;

my $w = weir(<<"CONF");
[weir]
workers = 1
[server streams]
listen = 127.0.0.1:$streams
protocol = stream_proxy
upstream = kept
[server plain]
listen = 127.0.0.1:$plain
protocol = stream_proxy
upstream = plain
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = kept
[upstream kept]
server = @{[$peer->address]}
tcp_keepalive = 10m
[upstream plain]
server = @{[$peer->address]}
tcp_keepalive = off
CONF

# Which timers run for weir's connections to the peer: 2 is keepalive, 0 none (tcp(5) has it
# not; net/ipv4/tcp_ipv4.c).
sub timers()
{
	my $port = sprintf '%04X', $peer->port;
	return sort map { /^\s*\d+: \S+ \S+:$port 01 \S+ 0([0-4]):/ ? $1 : () }
	    split /\n/, slurp('/proc/net/tcp');
}

sub timers_are(@want) { return wait_for { "@{[timers()]}" eq "@want" } }

it 'a stream that sends again is kept alive' => sub {
	my $c = client($streams);
	$c->ask("once\n");
	$c->ask("twice\n");
	ok timers_are(2);
	$c->close;
	ok timers_are();
};

it 'so is one that has sent once and lives on' => sub {
	my $c = client($streams);
	$c->ask("once\n");
	ok timers_are(2);
	$c->close;
	ok timers_are();
};

it 'and one that has sent nothing' => sub {
	my $c = client($streams);
	ok timers_are(2);
	$c->close;
	ok timers_are();
};

it 'but not where the configuration says off' => sub {
	my $plain = client($plain);
	$plain->ask("once\n");
	$plain->ask("twice\n");
	ok timers_are(0);
	my $c = client($streams);
	ok timers_are(0, 2), 'though others are, that came later';
	$_->close for $plain, $c;
	ok timers_are();
};

it 'a link is kept alive from the start' => sub {
	my $c = client($lines);
	$c->ask("once\n");
	ok timers_are(2);
};

done_testing;
