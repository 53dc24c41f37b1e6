#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Links whose other end goes without a word while nobody uses them: no request is put on them.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
use Weir::Test;

# From now on the socket sees no segment, as if a firewall on the way had forgotten it; or sees
# all again.
sub cut_off($fh)
{
	my $filter = pack('SCCL', 0x06, 0, 0, 0);	# BPF_RET | BPF_K
	return setsockopt($fh, SOL_SOCKET, SO_ATTACH_FILTER, pack('S x![J] P', 1, $filter));
}
sub mend($fh) { setsockopt($fh, SOL_SOCKET, SO_DETACH_FILTER, pack('i', 0)) or die "mend: $!\n" }

socket(my $probe, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
skip_all("no filter for sockets: $!") if !cut_off($probe);

socket(my $listener, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
bind($listener, pack_sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, 8)
    or die "a listener: $!\n";
my ($port) = unpack_sockaddr_in(getsockname($listener));

sub ready($fh)
{
	vec(my $set = '', fileno($fh), 1) = 1;
	return select($set, undef, undef, 0) > 0;
}

# The peer is this test.
sub taken()
{
	await { ready($listener) } 'a link';
	accept(my $fh, $listener) or die "accept: $!\n";
	return $fh;
}

# What is asked there now.
sub asked($fh)
{
	await { ready($fh) } 'a request';
	sysread($fh, my $line, 100) // die "a link: $!\n";
	return $line;
}

sub start($upstream)
{
	return Weir::Pool->new(peers => ["127.0.0.1:$port"], weir => "error_log = logs/debug.log debug",
	    upstream => "pool = request\npool_idle_check = 1s\n$upstream");
}

it 'a link that has gone without a word is closed, others stay' => sub {
	my $p = start("connect_timeout = 100ms\n");
	my @clients = map { $p->client->send("first\n") } 0, 1;
	my @links = map { taken() } 0, 1;
	is asked($_), "first\n" for @links;
	syswrite($_, "there\n") for @links;
	is $_->line, "there\n" for @clients;
	ok cut_off($links[0]);
	$p->until(sub ($p) { $p->peer->{links} == 1 }, 'one link is found dead');
	my $peer = $p->peer;
	is "$peer->{links_found_dead} $peer->{links_closed_by_peer}", '1 0';
	is $peer->{state}, 'up', 'which says nothing against the peer';
	like $p->weir->log, qr/closed: it was idle, and the peer does not answer any more/;
	$clients[0]->send("second\n");
	is asked($links[1]), "second\n", 'the other carries on';
	syswrite($links[1], "here\n");
	is $clients[0]->line, "here\n";
	is $p->peer->{connected}, 2;
	mend($links[0]);
	$p->end;
};

it 'while it is in question it takes no request' => sub {
	my $p = start("connect_timeout = 1h\npool_size = 1\npool_wait = 1h\n");
	my $c = $p->client->send("first\n");
	my $link = taken();
	is asked($link), "first\n";
	syswrite($link, "there\n");
	is $c->line, "there\n";
	ok cut_off($link);
	await { slurp($p->weir->path('logs/debug.log')) =~ /asked whether the peer is still there/ } 'it is in question';
	$c->send("second\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'a request waits');
	mend($link);
	is asked($link), "second\n", 'until it turns out to be there';
	syswrite($link, "still\n");
	is $c->line, "still\n";
	my $peer = $p->peer;
	is "$peer->{connected} $peer->{links_found_dead}", '1 0';
	is_deeply $p->failures, {};
	$p->end;
};

done_testing;
