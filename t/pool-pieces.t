#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Long messages that come in small pieces, from clients and from peers, and what neither side
# takes as fast as it comes.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Weir::Test;

my $large = "line_max = 1m\nread_buffer = 1m\nwrite_buffer = 1m\n";

# A line without a newline in it, in which no two places look alike.
sub text($seed, $length) { return unpack('H*', pattern($seed, 0, $length / 2)) }

# In pieces of these sizes, the last as often as needed.
sub in_pieces($bytes, @sizes)
{
	my @pieces;
	while ($bytes ne '') {
		push @pieces, substr($bytes, 0, @sizes > 1 ? shift(@sizes) : $sizes[0], '');
	}
	return @pieces;
}

my @cases = (
	['a byte at a time', 10_000, 1],
	['up to 4 KiB, then a byte at a time', 10_000, 4095, 1],
	['beyond 4 KiB, then a byte at a time', 10_000, 4097, 1],
	['in pieces of 1000 bytes', 1_000_000, 1000],
	['one byte short, then the rest with more behind it', 100_000, 99_999, 1000],
);

for my $case (@cases) {
	my ($name, $length, @sizes) = @$case;

	it "a long request, $name" => sub {
		my $b = backend('line');
		my $p = Weir::Pool->new(peers => [$b], server => $large);
		my $c = $p->client;
		my $other = $p->client;
		my $bytes = join('', map { text($_, $length) . "\n" } 1 .. 2) . "short\n";
		my $sent = 0;
		for my $piece (in_pieces($bytes, @sizes)) {
			$c->send($piece);
			# Each is read on its own, at least now and then.
			$other->ping if $sent++ % 500 == 0;
		}
		ok $c->recv(length($bytes)) eq $bytes, 'the replies are right';
		is_deeply $p->failures, {};
		$p->end;
	};

	it "a long reply, $name" => sub {
		my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
		    ReuseAddr => 1) // die "listen: $!\n";
		my $p = Weir::Pool->new(peers => ['127.0.0.1:' . $listener->sockport],
		    server => $large, upstream => "pool_size = 1\nreply_timeout = 1h\n");
		my @clients = map { $p->client->send("ask $_\n") } 1 .. 3;
		my $link = $listener->accept // die "accept: $!\n";
		$link->setsockopt(Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1);
		my $asked = '';
		while (($asked =~ tr/\n//) < 3) {
			sysread($link, $asked, 4096, length($asked)) or die "the link is gone\n";
		}
		my @order = $asked =~ /^ask (\d)$/mg;
		my $bytes = text(1, $length) . "\n" . text(2, $length) . "\nshort\n";
		my @replies = $bytes =~ /(.*\n)/g;
		my ($sent, $pieces) = (0, 0);
		for my $piece (in_pieces($bytes, @sizes)) {
			syswrite($link, $piece) == length($piece) or die "send: $!\n";
			$sent += length($piece);
			next if $pieces++ % 250 > 0;
			$p->until(sub ($p) { $p->peer->{bytes_received} == $sent }, 'it is read');
		}
		for my $n (0 .. 2) {
			ok $clients[$order[$n] - 1]->line eq $replies[$n], "reply $n";
		}
		is $p->peer->{in_flight}, 0;
		is_deeply $p->failures, {};
		close($link);
		$p->end;
	};
}

it 'links_stuffed: a peer that does not read has so much and no more' => sub {
	my $stuck = backend('silent', rcvbuf => 4096);
	my $p = Weir::Pool->new(peers => [$stuck], server => $large,
	    upstream => "pool_size = 1\nsndbuf = 4k\nreply_timeout = 1h\npool_wait = 1h\n");
	my $line = 'x' x 99_999 . "\n";
	my @clients = map { $p->client->send($line) } 1 .. 3;
	$p->until(sub ($p) { $p->peer->{in_flight} == 3 }, 'three lines are on the link');
	push @clients, map { $p->client->send($line) } 1 .. 3;
	$p->until(sub ($p) { $p->upstream->{waiting} >= 1 }, 'then they wait');
	cmp_ok $p->peer->{links_stuffed}, '>=', 1;
	cmp_ok $p->peer->{in_flight}, '<', 6;
	$stuck->tell('resume');
	$stuck->wait_report(sub ($r) { $r->{in} == 6 * length($line) }, 20);
	$p->until(sub ($p) { $p->upstream->{waiting} == 0 }, 'and go on when it reads');
	is_deeply $p->failures, {};
	$stuck->tell('drop_all');
	is $_->line, $p->failure for @clients;
	$p->end;
};

it 'pipeline_full: times that a client was too far ahead' => sub {
	my $b = backend('line', keep => 1);
	my $p = Weir::Pool->new(peers => [$b], server => "pipeline_per_client = 4\n");
	my ($one, $two) = map { $p->client } 1, 2;
	$two->send("$_\n") for 1 .. 4;
	$b->wait_report(sub ($r) { $r->{lines} == 4 });
	is $p->server->{pipeline_full}, 0, 'as many as allowed';
	$one->send(join('', map { "$_\n" } 1 .. 5));
	$b->wait_report(sub ($r) { $r->{lines} == 8 });
	is $p->server->{pipeline_full}, 1, 'one more';
	$b->tell('release');
	is $one->line, "$_\n" for 1 .. 5;
	is $two->line, "$_\n" for 1 .. 4;
	is $p->server->{pipeline_full}, 1;
	$p->end;
};

done_testing;
