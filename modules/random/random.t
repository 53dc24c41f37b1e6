#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# random: everybody gets some, the one with least under way more; a peer that is away gets none.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;

my ($port, @peers) = (free_port, map { backend('named', name => $_) } 'a' .. 'c');
my $servers = join('', map { 'server = ' . $_->address . "\n" } @peers);
my $w = weir(<<"CONF");
[weir]
workers = 2
[server s]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = u
[upstream u]
balance = random
$servers
CONF

my @open;

sub session()
{
	push @open, client($port);
	return $open[-1]->line =~ s/\n//r;
}

it 'keeps them even' => sub {
	my %count;
	$count{session()}++ for 1 .. 60;
	is join(' ', sort keys %count), 'a b c';
	cmp_ok $count{$_}, '<=', 30, "$_: $count{$_}" for sort keys %count;
};

it 'leaves out who is away' => sub {
	$peers[1]->tell('down');
	my %count;
	$count{session()}++ for 1 .. 20;
	is $count{b} // 0, 0;
	$_->reset for @open;
};

done_testing;
