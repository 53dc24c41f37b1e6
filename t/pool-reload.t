#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A reload that changes how many links there may be: the limits of old and new workers hold
# together, and both are served.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

sub resized($workers, $from, $to, $b)
{
	my $p = Weir::Pool->new(peers => [$b], workers => $workers,
	    upstream => "pool = request\npool_size = $from\npool_wait = 30s\n");
	my $old = crowd('line', '-c', 30, $p->address);
	$old->moving;
	$p->weir->edit_conf(sub { s/^pool_size = $from$/pool_size = $to/m });
	is $p->weir->reload->{exit}, 0;
	my $new = crowd('line', '-c', 30, $p->address);
	$new->moving;
	return ($p, $old, $new);
}

# Both have their turns; then they ask no more.
sub served(@crowds)
{
	for my $round (1 .. 3) {
		my @least = map { $_->so_far->{least} } @crowds;
		await { !grep { $crowds[$_]->so_far->{least} <= $least[$_] } 0 .. $#crowds }
		    'each client is served', 20;
	}
}

sub ended(@crowds)
{
	for my $crowd (@crowds) {
		my $r = $crowd->end;
		unharmed($r);
		note "the slowest: $r->{of}{max} us";
	}
}

for my $workers (1, 2) {
	it "fewer links, $workers workers" => sub {
		my $b = backend('line');
		my ($p, $old, $new) = resized($workers, 8, 2, $b);
		cmp_ok $b->wait_report(sub ($r) { $r->{open} <= 2 })->{open}, '<=', 2, 'soon';
		my $most = 0;
		for my $round (1 .. 20) {
			$_->moving for $old, $new;
			my $open = $b->report->{open};
			$most = $open if $open > $most;
		}
		cmp_ok $most, '<=', 2, 'and from then on';
		served($old, $new);
		ended($old, $new);
		is_deeply $p->failures, {};
		$p->end;
	};

	it "more links, $workers workers" => sub {
		my $b = backend('line');
		my ($p, $old, $new) = resized($workers, 2, 8, $b);
		served($old, $new);
		ended($old);
		$p->until(sub ($p) { $p->weir->status->workers == $workers }, 'they have ended');
		$b->wait_report(sub ($r) { $r->{peak} == 8 });
		served($new);
		ended($new);
		is $b->report->{peak}, 8, 'then all are used, and no more';
		is_deeply $p->failures, {};
		$p->end;
	};
}

it 'who waits keeps its place, and its time' => sub {
	my $b = backend('line');
	$b->tell('keep');
	my $p = Weir::Pool->new(peers => [$b], workers => 1,
	    upstream => "pool = request\npool_size = 1\npool_wait = 1h\nreply_timeout = 1h\n");
	my $holder = $p->client;
	my ($late, $early) = map { $p->client } 1, 2;	# in the order that they are moved in
	$holder->send("holder\n");
	$b->wait_report(sub ($r) { $r->{lines} == 1 });
	$early->send("early\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 1 }, 'one waits');
	my $seen = now();
	ok wait_for { now() - $seen > 0.02 }, 'for longer, by a coarse clock';
	$late->send("late\n");
	$p->until(sub ($p) { $p->upstream->{waiting} == 2 }, 'and another');
	like $p->weir->reload->{text}, qr/2 moved/;
	is $p->upstream->{waiting}, 2, 'both still do';
	$b->tell('release');
	is $holder->line, "holder\n";
	is $_->[0]->line, $_->[1] for [$early, "early\n"], [$late, "late\n"];
	is join('', map { $_->{text} } $b->report->{conns}->@*), "holder\nearly\nlate\n", 'in that order';
	$p->end;
};

done_testing;
