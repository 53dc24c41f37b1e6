#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# No reply reaches anyone but its client, each request ends in one of its ways, and nothing hangs: clients that do
# not behave, before backends that break in every way at random (weir-stress on both sides; stress-unruly.t shows
# that it would find it).
#
# WEIR_LONG=1: more than a million requests instead of 60,000 (with make check TEST_TIMEOUT=900).
# WEIR_SEED: another sequence of faults.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

my $seed = $ENV{WEIR_SEED} // 1;
my $times = $ENV{WEIR_LONG} ? 18 : Weir::Build::valgrind() ? 0.05 : Weir::Build::sanitized() ? 0.3 : 1;
my $ms = int(patience(200));

my $faults = 'delay=0.02,split=0.01,pause=0.005,close=0.001,cut=0.001,reset=0.001,half=0.0003,' .
    'stall=0.0003,crash=0.0002,door=0.02,refuse=0.01,idle=0.02';
my @stay = ('--leave', 0);
my @leave = ('--leave', 0.05);

# A weir before two peers, of which one is believed dead after each failure.
sub pool($pool)
{
	my @ports = free_ports(2);
	my $p = Weir::Pool->new(workers => 2, failure => 'failed',
	    peers => ["127.0.0.1:$ports[0] fail_timeout=100ms", "127.0.0.1:$ports[1] max_fails=0"],
	    upstream => "$pool\nreply_timeout = ${ms}ms\npool_wait = ${ms}ms\n" .
	    "pool_idle_timeout = 100ms\npool_lifetime = 500ms\n");
	$p->{ports} = \@ports;
	return $p;
}

sub backends($p, $faults)
{
	my @down = $faults =~ /refuse|crash/ ? ('--down', '60ms') : ();
	my @delay = $faults =~ /delay|pause/ ? ('--jitter', '20ms') : ();
	return serve('line', '--again', '--seed', $seed, '--fault', $faults, @down, @delay,
	    map { "127.0.0.1:$_" } @{$p->{ports}});
}

sub clients($p, $requests, @options)
{
	my $count = int($requests * $times);
	note "$count requests, seed $seed";
	return stress_start('unruly', '--seed', $seed, '--failure', 'failed', '-n', $count, '-c', 50, '-p', 16,
	    '-s', 6000, '-t', int(patience(15)) . 's', @options, $p->address);
}

# Its figures.
sub ended($clients)
{
	my $r = $clients->wait(900);
	diag $r->{text} if !is $r->{told}{over}, 1, 'it has run';
	$r->{of}{text} = $r->{text};
	return $r->{of};
}

# What must be true of each run; then nothing is open.
sub well($p, $t, $b)
{
	is "wrong $t->{wrong}, unasked $t->{unasked}, hung $t->{timeout}, unconnected $t->{connect_timeout}",
	    'wrong 0, unasked 0, hung 0, unconnected 0' or diag $t->{text};
	is $t->{answered} + $t->{failed} + $t->{left} + $t->{lost}, $t->{sent}, 'all is accounted for';
	is $b->{again}, 0, 'no request was sent twice';
	cmp_ok $b->{answered}, '>=', $t->{answered}, 'answers were the backend\'s';
	cmp_ok $t->{answered}, '>', $t->{sent} / 5, 'and many came through';
	note join(' ', map { "$_=$t->{$_}" } qw(answered failed left lost connected duration));
	$p->until(sub ($p) {
		my $status = $p->weir->status;
		!$status->open && !$status->sum('peer', 'links', 'connections');
	}, 'all is let go');
}

# Nor was any client disturbed.
sub undisturbed($t)
{
	is "errors $t->{errors}, lost $t->{lost}, torn $t->{torn}", 'errors 0, lost 0, torn 0', 'nobody was closed'
	    or diag $t->{text};
}

sub failures($p)
{
	my $sum = 0;
	$sum += $_ for values %{$p->failures};
	return $sum;
}

my @modes = (
	["pool = pipeline\npool_size = 3\npipeline_spread = 4\npipeline_depth = 24", 12_000],
	["pool = pipeline\npool_size = 1", 6000],
	["pool = request\npool_size = 5", 5000],
);
for my $mode (@modes) {
	my ($pool, $requests) = @$mode;
	my $p;
	my $name = $pool =~ tr/\n/,/r;

	it "$name: clients that stay" => sub {
		$p = pool($pool);
		my $b = backends($p, $faults);
		my $t = ended(clients($p, $requests, @stay));
		$b = $b->stop;
		well($p, $t, $b);
		undisturbed($t);
		my ($u, $s) = ($p->upstream, $p->server);
		is $u->{requests}, $t->{sent}, 'all were asked';
		is failures($p), $t->{failed}, 'all that failed have a name';
		is $u->{orphaned}, 0;
		is $s->{end_client_closed}, $t->{connected};
		cmp_ok $b->{requests}, '<=', $p->weir->status->sum('peer', 'requests');
	};

	it "$name: clients that leave" => sub {
		my $before = failures($p);
		my $b = backends($p, $faults);
		my $t = ended(clients($p, $requests, @leave));
		$b = $b->stop;
		well($p, $t, $b);
		undisturbed($t);
		my $failed = failures($p) - $before;
		cmp_ok $failed, '>=', $t->{failed};
		cmp_ok $failed, '<=', $t->{failed} + $t->{left};
		cmp_ok $p->upstream->{orphaned}, '<=', $t->{left};
		$p->end;
	};
}

it 'pool = session: who loses its link is closed, and nobody else' => sub {
	my $p = pool("pool = session\npool_size = 40");
	my $b = backends($p, $faults);
	my $t = ended(clients($p, 8000, @leave));
	$b = $b->stop;
	well($p, $t, $b);
	is $t->{torn}, 0, 'between replies';
	my $s = $p->server;
	my $closed = 0;
	$closed += $s->{$_} for grep { /^end_/ } keys %$s;
	is $closed, $t->{connected};
	cmp_ok $s->{end_peer_closed} + $s->{end_request_failed}, '>', 0;
	$p->end;
};

# meanwhile(P, DEED): requests, and five times the deed among them.
sub meanwhile($p, $deed)
{
	my $b = backends($p, 'delay=0.05,idle=0.02,door=0.02');
	my $clients = clients($p, 4000, @leave);
	for (1 .. 5) {
		my $before = $p->upstream->{requests};
		$deed->();
		wait_for { !$clients->running || $p->upstream->{requests} >= $before + 100 };
	}
	my $t = ended($clients);
	well($p, $t, $b->stop);
	return $t;
}

it 'reloads are not noticed' => sub {
	my $p = pool("pool = pipeline\npool_size = 3");
	undisturbed(meanwhile($p, sub { is $p->weir->reload->{exit}, 0 }));
	$p->end;
};

it 'a worker that dies costs its own clients' => sub {
	plan skip_all => 'workers have no names below valgrind' if Weir::Build::valgrind();
	my $p = pool("pool = pipeline\npool_size = 3");
	$p->weir->allow(qr/worker/);
	meanwhile($p, sub {
		my $pid = await { $p->weir->worker(0) } 'a worker';
		kill('KILL', $pid);
		await { ($p->weir->worker(0) // $pid) != $pid } 'another';
	});
	$p->end;
};

it 'a backend that lies would be found out' => sub {
	my $p = pool("pool = pipeline\npool_size = 3");
	for my $lie (qw(swap reorder)) {
		my $b = backends($p, "$lie=0.01");
		my $t = ended(clients($p, 2000 / $times, @stay));
		cmp_ok $t->{wrong} + $t->{unasked}, '>', 0, $lie;
		cmp_ok $b->stop->{$lie}, '>', 0;
	}
	$p->end;
};

done_testing;
