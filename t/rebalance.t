#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sessions even out over the workers while they live.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

sub loads($w)
{
	return map { $_->{sessions} } sort { $a->{slot} <=> $b->{slot} } $w->status->workers;
}

# The second of two workers dies: what it had is gone, and the other has all the rest.
sub crowded($port, $rebalance)
{
	my $w = weir(<<"CONF", nofile => 4096);
[weir]
workers = 2
rebalance = $rebalance
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
idle_timeout = 1h
CONF
	my @clients = map { client($port, timeout => 60) } 1 .. 700;
	$_->ping for @clients;
	$w->allow(qr/killed/);
	my $dead = $w->worker(1);
	kill('KILL', $dead) or die "kill: $!\n";
	ok wait_for(sub { my @l = loads($w); @l == 2 && ($w->worker(1) // $dead) != $dead && $l[1] + $l[0] < 700 }), 'a worker dies';
	my @left = grep { eval { $_->ping } } @clients;
	return ($w, @left);
}

it 'a crowded worker hands some over' => sub {
	my ($w, @left) = crowded(my $port = free_port, 'on');
	my $all = @left;
	cmp_ok $all, '>', 200, "$all sessions are left";
	ok wait_for(sub { my @l = loads($w); $l[1] > 0 && $l[0] <= $all / 2 * 1.25 + 64 }, 60), 'they even out'
	    or diag join ' ', loads($w);
	is $w->status->server('echo')->{sessions}, $all, 'none was lost,';
	ok !(grep { !$_->ping } @left), 'and all go on';
	my @before = loads($w);
	$_->ping for @left;
	is "@{[loads($w)]}", "@before", 'then they stay';
	$_->close for @left;
	$w->stop;
};

it 'rebalance = off: it keeps them' => sub {
	my ($w, @left) = crowded(my $port = free_port, 'off');
	$_->ping for @left;
	is((loads($w))[1], 0);
	$_->close for @left;
	$w->stop;
};

done_testing;
