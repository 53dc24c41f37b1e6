#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress against each fault of --serve: every mode gives it its name, exits with 1, counts every request and ends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Fault;
use Weir::Stress;

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

done_testing;
