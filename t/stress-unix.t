#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress over UNIX sockets: every mode, against a good server, a full backlog and each fault.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use IO::Socket::UNIX;
use Weir::Test;
use Weir::Fault;
use Weir::Stress;

my $dir = File::Temp->newdir;

it 'every mode, to a UNIX socket' => sub {
	my %kind = (echo => ['echo'], line => ['line'], sink => ['sink'], source => ['source', '-s', '3m']);
	my %b = map { $_ => serve(@{$kind{$_}}, "unix:$dir/$_") } keys %kind;
	my @runs = (['echo', 'echo', '-n', 500, '-p', 3], ['line', 'line', '-n', 500, '-p', 3],
	    ['line', 'churn', '-n', 200], ['line', 'halfclose', '-n', 100, '-p', 5],
	    ['line', 'idle', '-i', '100ms', '-d', '300ms'], ['line', 'slowloris', '-i', '50ms', '-t', '200ms'],
	    ['echo', 'bulk', '-n', 5, '-s', '3m'], ['sink', 'bulk', '-n', 5, '-s', '3m', '--way', 'out'],
	    ['source', 'bulk', '-n', 5, '-s', '3m', '--way', 'in']);
	for (@runs) {
		my ($kind, @run) = @$_;
		my $r = stress(@run, '-c', 4, $b{$kind}->address);
		note "@run";
		suffers($r, '');
		cmp_ok $r->{of}{answered} + ($r->{of}{tolerated} // 0), '>=', 4;
		is $r->{of}{digests}, 5 if $kind eq 'sink';
	}
};

it 'a UNIX socket whose backlog is full is asked again, up to -t' => sub {
	my $full = backend('full', address => "unix:$dir/full");
	suffers(stress('line', '-c', 2, '-n', 2, '-t', $short, $full->address), 'connect_timeout');

	# One that serves a single client at a time, and has a backlog of one.
	my $listener = IO::Socket::UNIX->new(Local => "$dir/one", Listen => 1) // die "listen: $!\n";
	my $run = stress_start('churn', '-c', 10, '-n', 30, '-t', $long, "unix:$dir/one");
	my $in = '';
	for (1 .. 30) {
		vec($in, fileno($listener), 1) = 1;
		last if !select(my $ready = $in, undef, undef, patience(20));
		my $c = $listener->accept;
		print $c scalar(readline($c));
		close($c);
	}
	my $r = $run->wait;
	suffers($r, '');
	is $r->{of}{answered}, 30;
};

# The end of a UNIX socket is a reset where something was not read, and only there.
my $path = 0;
sub local_faulty($kind, $fault, %expected)
{
	faulty($kind, $fault, [@{$expected{options} // []}, "unix:$dir/" . ++$path], $_ => $expected{$_})
	    for grep { $_ ne 'options' } sort keys %expected;
}

for my $fault (qw(close cut reset door)) {
	my $kinds = '(closed) (closed_idle) (reset)';
	local_faulty('line', $fault, map { $_ => $kinds } 'line -p 3', 'churn', 'halfclose');
	local_faulty('echo', $fault, map { $_ => $kinds } 'echo');
}
local_faulty('line', 'half', 'line' => 'timeout', 'halfclose' => 'timeout');
local_faulty('line', 'garbage', 'line -p 3' => 'wrong', 'churn' => 'wrong');
local_faulty('line', 'split', 'line -p 3' => '', 'halfclose -p 3' => '');
local_faulty('line', 'crash', 'options' => ['--down', '50ms'], 'line' => '(closed) (reset) (connect_refused)');
local_faulty('echo', 'stall', 'bulk -s 300k' => 'timeout');
local_faulty('sink', 'garbage', 'bulk --way out -s 300k' => 'wrong');
local_faulty('source', 'cut', 'options' => ['-s', '300k'], 'bulk --way in -s 300k' => 'closed');

done_testing;
