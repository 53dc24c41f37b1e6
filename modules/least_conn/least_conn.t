#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# least_conn: what is open counts, also what has come from another worker; weights.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;

my $stream = free_port;
my @peers = map { backend('named', name => $_) } 'a' .. 'c';
my $conf = <<"CONF";
[weir]
workers = 1
[server stream]
listen = 127.0.0.1:$stream
protocol = stream_proxy
upstream = peers
[upstream peers]
balance = least_conn
CONF
$conf .= 'server = ' . $_->address . "\n" for @peers;
my $w = weir($conf);

sub open_at($of) { return join(' ', map { $w->status->peer('peers', $_->address)->{connections} } @$of) }

sub session()
{
	my $c = client($stream);
	my $name = $c->line;
	chomp($name);
	return [$name, $c];
}

my @open;

it 'gives each as much' => sub {
	push @open, session for 1 .. 9;
	is open_at(\@peers), '3 3 3';
};

it 'fills up where sessions have ended' => sub {
	my @ended = grep { $_->[0] eq 'b' } @open;
	@open = grep { $_->[0] ne 'b' } @open;
	$_->[1]->reset for @ended;
	ok wait_for { open_at(\@peers) eq '3 0 3' };
	push @open, session for 1 .. 3;
	is open_at(\@peers), '3 3 3';
};

it 'goes on where it was after a reload' => sub {
	$w->edit_conf(sub { s/(server = \Q${\ $peers[0]->address}\E)/$1 weight=4/ });
	is $w->reload->{exit}, 0;
	push @open, session for 1 .. 9;
	is open_at(\@peers), '12 3 3', 'what has moved counts';
	$_->[1]->reset for @open;
};

done_testing;
