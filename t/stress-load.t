#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress: when requests are sent, from the first to the last, and that each of them is counted somewhere.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

# Every request that was due was sent or not, and every one that was sent has an answer or is lost.
sub adds_up($r)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %of = $r->{of}->%*;
	is $of{answered} + $of{failed} + $of{lost}, $of{sent}, 'all that was sent has become something'
	    or diag $r->{text};
	return $r;
}

it 'what was due at the end is sent behind it' => sub {
	# 20 requests a second can be answered, 100 are due.
	my $b = serve('line', '--delay', '50ms');
	my $r = adds_up(stress('line', '-c', 1, '-d', '500ms', '--rate', 100, '-t', '60s', $b->address));
	is $r->{exit}, 0 or diag $r->{text};
	cmp_ok abs($r->{of}{sent} - 50), '<=', 25, "$r->{of}{sent} were due";
	is $r->{of}{unsent}, 0;
	cmp_ok $r->{of}{answered} / ($r->{of}{duration} / 1e6), '>', $r->{of}{rate}, 'the rate is without them';
	cmp_ok $r->{of}{max}, '>', 1_000_000, 'their wait is in the latency';
	cmp_ok $r->{of}{'raw.p50'}, '<', $r->{of}{p50}, 'but not in that from when they were sent';
};

it 'what could not be sent counts with the time it waited' => sub {
	my $b = serve('line', '--fault', 'stall=1');
	my $r = adds_up(stress('line', '-c', 2, '-d', '500ms', '--rate', 100, '-t', '700ms',
	    '--expect', 'unsent==0', $b->address));
	is $r->{exit}, 1;
	is $r->{of}{answered}, 0;
	cmp_ok $r->{of}{unsent}, '>', 0;
	cmp_ok $r->{of}{timeout}, '>', 0;
	cmp_ok $r->{of}{p50}, '>=', 600_000, 'no percentile flatters the server';
	is $r->{of}{errors}, $r->{of}{timeout} or diag $r->{text};
};

it 'Ctrl-C does not wait for what has not been sent' => sub {
	my $b = serve('line', '--delay', '100ms');
	my $p = stress_measuring('line', '-c', 1, '-d', '600s', '--rate', 1000, '-t', '60s', $b->address);
	my $began = now();
	$p->signal('INT');
	my $r = adds_up($p->wait(30));
	cmp_ok now() - $began, '<', patience(20);
	cmp_ok $r->{of}{unsent}, '>', 0;
	cmp_ok $r->{of}{late}, '>', 0;
};

it '-n bounds an open loop: no more is due, and nothing spins' => sub {
	my $b = serve('line', '--delay', '1s');
	for my $mode ('line', 'churn') {
		my $r = adds_up(stress($mode, '-c', 20, '-n', 20, '--rate', 10000, $b->address));
		is $r->{exit}, 0 or diag $r->{text};
		is "@{$r->{of}}{qw(sent answered unsent)}", '20 20 0', $mode;
		cmp_ok $r->{of}{busiest}, '<', 0.6, 'a core is not kept busy';
	}
	my $r = adds_up(stress('line', '-c', 3, '-n', 5, '--rate', 1000, '-w', 3, $b->address));
	is "@{$r->{of}}{qw(sent answered unsent)}", '5 5 0', 'divided over processes';
};

it 'a rate of less than one a second for each process' => sub {
	my $b = serve('line');
	my $r = adds_up(stress('line', '-c', 8, '-w', 8, '-n', 3, '--rate', 4, $b->address));
	is $r->{exit}, 0 or diag $r->{text};
	is $r->{of}{answered}, 3;
	is $r->{of}{rate_asked}, 4;
};

it 'a server that is behind when the warm-up ends stays so' => sub {
	my $b = serve('line', '--delay', '50ms');
	my $r = stress('line', '-c', 1, '-d', '300ms', '--warmup', '1s', '--rate', 100, '-t', '60s', $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	cmp_ok $r->{of}{p50}, '>', 2_000_000, 'what waits from before comes first';
	is $r->{of}{unsent}, 0;
};

it 'requests that nobody answers are counted, and the run ends' => sub {
	my $b = serve('line', '--fault', 'stall=1');
	my $r = adds_up(stress('line', '-c', 5, '-d', '200ms', '-t', '500ms', $b->address));
	is $r->{exit}, 1;
	is $r->{of}{answered}, 0;
	is $r->{of}{lost}, $r->{of}{timeout};
	cmp_ok $r->{of}{lost}, '>=', 5;
	cmp_ok $r->{of}{p50}, '>=', 500_000;
	$r = adds_up(stress('churn', '-c', 5, '-d', '200ms', '-t', '500ms', '--rate', 50, $b->address));
	is $r->{exit}, 1;
	is $r->{of}{answered}, 0;
	cmp_ok $r->{of}{lost}, '>=', 5, 'churn, too';
};

it 'a server that never says a byte is not waited for -n times' => sub {
	my $b = serve('line');
	my $began = now();
	my $r = adds_up(stress('echo', '-c', 2, '-n', 5000, '-t', '300ms', $b->address));	# it waits for a newline
	is $r->{exit}, 1;
	cmp_ok now() - $began, '<', patience(15);
	like $r->{text}, qr/not a byte comes back: is it stuck, or does it speak something else/;
	is $r->{of}{answered}, 0;
};

it 'nor is one that falls silent' => sub {
	my $b = serve('line');
	my $p = stress_measuring('line', '-c', 2, '-n', 1_000_000_000, '-t', '300ms', $b->address);
	$b->signal('STOP');
	my $r = adds_up($p->wait(60));
	$b->signal('CONT');
	is $r->{exit}, 1;
	cmp_ok $r->{of}{answered}, '>', 0;
	like $r->{text}, qr/not a byte comes back/;
};

it 'a slow server in the drain' => sub {
	my $b = serve('line', '--delay', '300ms');
	for my $case (['line', '-c', 3], ['churn', '-c', 3], ['churn', '-c', 3, '--rate', 20]) {
		my $r = adds_up(stress(@$case, '-d', '200ms', $b->address));
		is $r->{exit}, 0, "@$case" or diag $r->{text};
		is $r->{of}{lost}, 0;
		cmp_ok $r->{of}{sent}, '>=', 3;
	}
};

it 'the warm-up is not measured' => sub {
	my $b = serve('line', '--delay', '10ms');
	my $r = stress('churn', '-c', 2, '-n', 10, '--warmup', '300ms', $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	is $r->{of}{answered}, 10;
	cmp_ok $r->{of}{connected}, '>', 10, 'churn: connections are made before';
	$r = stress('line', '-c', 2, '-n', 10, '--warmup', '300ms', $b->address);
	is $r->{of}{answered}, 10;
	cmp_ok $r->{of}{bytes_in}, '>', 640, 'line: bytes have gone before';
	is $r->{of}{sent}, 10;
};

it 'the connect is part of what a request of churn takes' => sub {
	my $b = serve('line', '--delay', '5ms');
	my $r = stress('churn', '-c', 2, '-n', 50, $b->address);
	cmp_ok $r->{of}{mean}, '>', $r->{of}{'raw.mean'};
	cmp_ok $r->{of}{'raw.mean'}, '>=', 5000;
	my $rest = $r->{of}{mean} - $r->{of}{'raw.mean'} - $r->{of}{'connect.mean'};
	cmp_ok $rest, '>', -0.01 * $r->{of}{mean}, 'all of it';
	cmp_ok $rest, '<', $r->{of}{'raw.mean'} / 2, 'and once';
};

it 'a server that closes at once is asked less and less' => sub {
	my $b = serve('line', '--fault', 'door=1');
	my $r = stress('line', '-c', 10, '-d', '1s', $b->address);
	is $r->{exit}, 1;
	cmp_ok $r->{of}{connected}, '<=', 10 * 8, 'pauses grow, though it accepts';
	is $r->{of}{answered}, 0;
};

it 'connections that are lost are opened again at the rate of -r' => sub {
	my $b = serve('line', '--fault', 'close=1');
	my $began = now();
	my $r = stress('line', '-c', 20, '-r', 20, '-d', '2s', $b->address);
	my $seconds = now() - $began;
	cmp_ok $r->{of}{connected}, '<=', 20 + 20 * $seconds + 2, "in $seconds s" or diag $r->{text};
	cmp_ok $r->{of}{connected}, '>', 20;
};

it 'a close with nothing owed has a name of its own' => sub {
	my $b = serve('line', '--fault', 'idle=1');
	my $r = stress('idle', '-c', 3, '-i', '50ms', '-d', '1s', $b->address);
	is $r->{exit}, 1;
	is $r->{of}{closed}, 0;
	cmp_ok $r->{of}{closed_idle}, '>=', 3 or diag $r->{text};
	is $r->{of}{lost}, 0;
};

it 'idle leaves out a ping while the last one is not answered' => sub {
	my $b = serve('line', '--delay', '220ms');
	my $r = stress('idle', '-c', 3, '-i', '50ms', '-d', '1s', $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	cmp_ok $r->{of}{skipped}, '>', $r->{of}{answered};
};

it 'a low rate of connections to nobody gives up, too' => sub {
	my $began = now();
	my $r = stress('churn', '-c', 5, '--rate', 5, '-d', '60s', '-t', '300ms', '127.0.0.1:' . free_port);
	is $r->{exit}, 1;
	cmp_ok now() - $began, '<', 50;
	like $r->{text}, qr/the run has ended/;
};

done_testing;
