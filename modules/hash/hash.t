#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# hash: a client comes to the same peer, in each worker, over reloads, with another peer beside it and back from a
# failure.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Pool;
use Weir::Test;

my @peers = map { backend('named', name => $_) } 'a' .. 'd';
my %port = (spread => free_port, ring => free_port, table => free_port);
my %words = (spread => 'client', ring => 'client consistent', table => 'client maglev');
# So many that hardly ever, once in ten million times, a peer has none of them: a peer's place follows from its port.
my @clients = map { "127.0.7.$_" } 1 .. 60;
my $conf = "[weir]\nworkers = 2\n";
for my $name (sort keys %port) {
	$conf .= <<"CONF";
[server $name]
listen = 127.0.0.1:$port{$name}
protocol = stream_proxy
upstream = $name
[upstream $name]
balance = hash $words{$name}
CONF
	$conf .= 'server = ' . $_->address . " fail_timeout=1h\n" for @peers[0 .. 2];
}
my $w = weir($conf);

# Whose each client is: 'a b a ...'.
sub owners($name)
{
	return [map {
		my $c = client($port{$name}, source => $_);
		my $owner = $c->line =~ s/\n//r;
		$c->reset;
		$owner;
	} @clients];
}

sub differing($one, $other) { return grep { $one->[$_] ne $other->[$_] } 0 .. $#$one }

my %before = map { $_ => owners($_) } sort keys %port;

it 'gives a client to the same peer' => sub {
	for my $name (sort keys %port) {
		my %seen = map { $_ => 1 } @{$before{$name}};
		is join(' ', sort keys %seen), 'a b c', "$name: all peers have clients";
		is_deeply owners($name), $before{$name}, 'each time, from whatever port, in each worker';
	}
	is $w->reload->{exit}, 0;
	is_deeply owners($_), $before{$_}, "$_: after a reload" for sort keys %port;
};

it 'moves the clients of a peer that fails, and no others, and keeps to that over a reload' => sub {
	$peers[1]->tell('down');
	for my $name (sort keys %port) {
		my $now = owners($name);
		is scalar(grep { $_ eq 'b' } @$now), 0, "$name: none goes there";
		is scalar(grep { $before{$name}[$_] ne 'b' } differing($before{$name}, $now)), 0, 'and no other has moved';
		is $w->reload->{exit}, 0;
		is $w->status->peer($name, $peers[1]->address)->{state}, 'failed', 'it is known to have failed';
		is_deeply owners($name), $now;
	}
};

it 'gives clients to a peer that is added' => sub {
	my %then = map { $_ => owners($_) } 'ring', 'table';
	my $more = $peers[3]->address;
	my $last = $peers[2]->address;
	$w->edit_conf(sub { s/^server = \Q$last\E.*/$&\nserver = $more/mg });
	is $w->reload->{exit}, 0;
	my %now = map { $_ => owners($_) } keys %then;
	cmp_ok scalar(grep { $_ eq 'd' } @{$now{$_}}), '>', 0, "$_: it has clients" for sort keys %now;
	my @moved = grep { $now{ring}[$_] ne 'd' } differing($then{ring}, $now{ring});
	is scalar(@moved), 0, 'on a ring no others have moved';
};

it 'waits for its peer when all links there are busy, and holds up nobody else' => sub {
	for my $mode ('pool = request', 'pipeline_depth = 1') {
		my ($a, $b) = map { my $name = $_; backend('line', reply => sub { "$name\n" }) } 'a', 'b';
		my $p = Weir::Pool->new(peers => [$a, $b], upstream => "balance = hash client\n$mode\npool_size = 1\n");
		my %of;
		for my $source (@clients[0 .. 15]) {
			my $c = $p->client(source => $source);
			$of{$c->ask("?\n", "a\n")} //= $source;
		}
		my @mine = map { $p->client(source => $of{"a\n"}) } 1 .. 3;
		my $other = $p->client(source => $of{"b\n"});
		$a->tell('keep');
		$_->send("x\n") for @mine;
		$p->until(sub ($p) { $p->upstream->{waiting} == 2 }, 'two wait');
		is $other->ask("x\n", "b\n"), "b\n", "$mode: who has another peer is served";
		$a->tell('release');
		is $_->line, "a\n", 'and they are when there is room' for @mine;
		is_deeply $p->failures, {};
		$p->end;
	}
};

it 'says what may stand behind it' => sub {
	$w->edit_conf(sub { s/hash client maglev/hash client always/; s/hash client$/hash/m });
	my $text = $w->command('-t')->{text};
	like $text, qr/balance = hash: behind client or key may stand consistent, or maglev/;
	like $text, qr/balance = hash: write hash client/;
	$w->edit_conf(sub { s/hash client always/hash client maglev/; s/hash$/hash key maglev/m });
	like $w->command('-t')->{text}, qr/protocol stream_proxy of \[server spread\] has no keys/, 'and who has no keys';
};

done_testing;
