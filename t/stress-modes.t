#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress against each fault of --serve: every mode gives it its name, exits with 1, counts every request and ends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use IO::Socket::UNIX;
use Weir::Test;
use Weir::Stress;

my @faults = qw(connect_refused connect_timeout connect_ports connect_failed no_descriptors reset closed closed_idle
    timeout wrong unasked no_memory);

# All that was begun has come to one of its ends.
sub adds_up($r)
{
	my $of = $r->{of};
	my $ends = $of->{answered} + $of->{lost} + ($of->{cut_short} // 0) + ($of->{tolerated} // 0);
	return is($of->{sent}, $ends, 'answered, lost or given up') || diag $r->{text};
}

# Of these kinds, separated by blanks: the first has to be there, those in parentheses may be; '': a good run.
sub suffers($r, $kinds)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %may = map { $_ => 1 } $kinds =~ /\w+/g;
	my @got = grep { $r->{of}{$_} } @faults;
	my @missing = grep { !$r->{of}{$_} } $kinds =~ /(?<![(\w])\w+/g;
	is $r->{exit}, $kinds eq '' ? 0 : 1, 'exit status' or diag $r->{text};
	is "@{[grep { !$may{$_} } @got]}", '', 'nothing else' or diag $r->{text};
	is "@missing", '', 'the fault' or diag $r->{text};
	adds_up($r);
}

# How long a reply is waited for, where it does not come, and where it does.
my ($short, $long) = (patience(0.3) * 1000 . 'ms', '30s');

# Backends with one fault, one for each mode, all at the same time: what the modes call it.
sub faulty($kind, $fault, $options, %expected)
{
	my $rate = $fault =~ /=/ ? $fault : "$fault=1";
	my ($name) = $fault =~ /^(\w+)/;
	my (%backend, %run);
	for my $mode (keys %expected) {
		my $b = $backend{$mode} = serve($kind, '--fault', $rate, @$options);
		my ($word, @more) = split(/ /, $mode);
		push(@more, '-n', 4) if $mode !~ / -n /;
		push(@more, '-t', $expected{$mode} =~ /timeout/ ? $short : $long);
		$run{$mode} = stress_start($word, '-c', 2, @more, $b->address);
	}
	for my $mode (sort keys %expected) {
		my $at = $backend{$mode}->address =~ /^unix/ ? ', UNIX' : '';
		it "$kind, $fault$at: $mode" => sub {
			suffers($run{$mode}->wait(60), $expected{$mode});
			cmp_ok $backend{$mode}->stop->{$name}, '>', 0, 'it has happened';
		};
	}
}

# In all modes that a server of this kind is for, but for those that call it something else.
sub lines($kinds, @but)
{
	return ((map { $_ => $kinds } 'line', 'line -p 3', 'churn', 'halfclose', 'halfclose -p 3'), @but);
}

sub bytes($kinds, @but)
{
	return ((map { $_ => $kinds } 'echo', 'echo -p 3 -s 100', 'bulk -s 300k'), @but);
}

faulty('line', 'close', [], lines('closed'));
faulty('line', 'cut', [], lines('closed'));
faulty('line', 'reset', [], lines('reset'));
faulty('line', 'half', [], lines('timeout'));
faulty('line', 'stall', [], lines('timeout'));
faulty('line', 'crash', ['--down', '50ms'], lines('reset (connect_refused)'));
faulty('line', 'garbage', [], lines('wrong'));
faulty('line', 'repeat', [], lines('unasked', 'line -p 3' => 'wrong (unasked)', 'halfclose -p 3' => 'wrong'));
faulty('line', 'skip', [], lines('timeout', 'halfclose' => 'closed', 'halfclose -p 3' => 'closed'));
faulty('line', 'skip=0.5', [], 'line -p 4 -n 40' => 'wrong (timeout)');
faulty('line', 'swap', [], 'line' => 'wrong', 'line -p 3' => 'wrong');
faulty('line', 'reorder', [], 'line -p 3' => 'wrong');
faulty('line', 'delay', ['--delay', '1ms-5ms', '--jitter', '1ms'], lines(''));
faulty('line', 'split', [], lines(''));
faulty('line', 'pause', ['--delay', '5ms'], lines(''));
faulty('line', 'door', [], lines('closed (closed_idle)'));
faulty('line', 'refuse', ['--down', '50ms'], lines('closed (closed_idle) (reset) (connect_refused)'));

faulty('echo', 'close', [], bytes('closed'));
faulty('echo', 'cut', [], bytes('closed'));
faulty('echo', 'reset', [], bytes('reset'));
faulty('echo', 'half', [], bytes('timeout'));
faulty('echo', 'stall', [], bytes('timeout'));
faulty('echo', 'crash', ['--down', '50ms'], bytes('reset (connect_refused)'));
faulty('echo', 'garbage', [], bytes('wrong'));
faulty('echo', 'repeat', [], bytes('wrong', 'echo' => 'unasked', 'echo -p 3 -s 100' => '(wrong) (unasked)'));
faulty('echo', 'skip', [], bytes('timeout'));
faulty('echo', 'skip=0.3', [], 'bulk -s 1m' => 'wrong');
faulty('echo', 'delay', ['--delay', '1ms-5ms'], bytes(''));
faulty('echo', 'split', [], 'echo -p 3 -s 100' => '', 'bulk -s 3k' => '');
faulty('echo', 'pause', ['--delay', '5ms'], bytes(''));
faulty('echo', 'door', [], bytes('closed (closed_idle)'));

# A sink has one reply, and need not have one.
my %out = ('close' => '', 'cut' => 'wrong', 'reset' => 'reset', 'half' => 'timeout', 'stall' => 'timeout',
    'garbage' => 'wrong', 'repeat' => 'wrong', 'skip' => '', 'split' => '', 'door' => 'closed');
faulty('sink', $_, [], 'bulk --way out -s 300k' => $out{$_}) for sort keys %out;
my %in = ('close' => 'closed', 'cut' => 'closed', 'reset' => 'reset', 'half' => 'timeout', 'stall' => 'timeout',
    'garbage' => 'wrong', 'repeat' => 'wrong', 'skip' => 'closed', 'split=0.1' => '', 'door' => 'closed');
faulty('source', $_, ['-s', '300k'], 'bulk --way in -s 300k' => $in{$_}) for sort keys %in;

#
# Ends
#

it 'bulk out: the end of a server that has not taken all is no good one' => sub {
	# 64k are on their way when the end comes, and do not fit where they are to go.
	my $b = backend('script', rcvbuf => 4096, open => sub ($c, $bytes) {
		$c->hold;
		$c->finish;
	});
	suffers(stress('bulk', '-c', 2, '-n', 2, '-s', '64k', '--way', 'out', '-t', $long, $b->address), 'closed');
};

it 'bulk in: neither more nor less' => sub {
	my $b = serve('source', '-s', '1m');
	my @run = ('bulk', '-c', 2, '-n', 2, '--way', 'in', '-t', $long, $b->address, '-s');
	suffers(stress(@run, 1 << 20), '');
	suffers(stress(@run, (1 << 20) - 1), 'unasked');
	suffers(stress(@run, (1 << 20) + 1), 'closed');
};

it 'bulk: what is under way when the time is over is cut short, and counted' => sub {
	# A byte in a packet: much less comes back than was sent in its time.
	my $b = serve('echo', '--split');
	my $r = stress('bulk', '-c', 2, '-d', '500ms', '-t', '2s', $b->address);
	suffers($r, '');
	is $r->{of}{cut_short}, $r->{of}{sent};
};

it 'halfclose: an end that is owed is waited for when the time is over' => sub {
	my $b = backend('script', data => sub ($c, $bytes) { $c->send($bytes) }, eof => sub ($c, $bytes) {});
	my $r = stress('halfclose', '-c', 2, '-d', '300ms', '-t', '1s', $b->address);
	suffers($r, 'timeout');
	is "@{$r->{of}}{qw(timeout whole)}", "$r->{of}{answered} 0";
};

it 'slowloris: an end, or none' => sub {
	my $b = backend('script', data => sub ($c, $bytes) { $c->finish });
	my $r = stress('slowloris', '-c', 2, '-i', '50ms', $b->address);
	suffers($r, '');
	is "@{$r->{of}}{qw(ended reset_by_server answered_first tolerated)}", '2 0 0 0';
	$b = backend('script', data => sub ($c, $bytes) { $c->reset });
	$r = stress('slowloris', '-c', 2, '-i', '50ms', $b->address);
	suffers($r, '');
	is "@{$r->{of}}{qw(ended reset_by_server answered_first tolerated)}", '0 2 0 0';
	$b = backend('greeting', text => "hello\r\n");
	$r = stress('slowloris', '-c', 2, '-i', '50ms', '-t', patience(1) . 's', $b->address);
	suffers($r, '');
	is "@{$r->{of}}{qw(ended reset_by_server answered_first tolerated)}", '0 0 2 2';
};

#
# UNIX sockets
#

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
