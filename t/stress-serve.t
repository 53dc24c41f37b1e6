#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress --serve: a backend that answers, and each of its faults, seen by clients that are not its own.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Socket qw(IPPROTO_TCP);
use Weir::Deadline;
use Weir::Test;
use Weir::Stress;

look_for_leaks;

# What comes back for so many lines.
sub asked($port, @lines)
{
	my $c = client($port);
	$c->send(join('', @lines));
	my $got = join('', map { $c->line } @lines);
	$c->close;
	return $got;
}

it 'echo gives all bytes back, and answers a FIN with a FIN' => sub {
	my $b = serve('echo');
	my $t = client($b->port)->transfer(out => 3 << 20, in => 3 << 20, finish => 1);
	is $t->{in}, 3 << 20;
	my $counts = $b->stop;
	is "@$counts{qw(accepted bytes_in bytes_out unanswered)}", '1 ' . (3 << 20) . ' ' . (3 << 20) . ' 0';
};

it 'line gives whole lines back, however they are cut' => sub {
	my $b = serve('line');
	my $c = client($b->port);
	$c->dribble("abc\n\r\n");
	is $c->line . $c->line, "abc\n\r\n";
	$c->send("a long one " . 'x' x 300_000 . "\nno end");
	is length($c->line), 300_012;
	$c->shutdown;
	is $c->rest, '', 'what has no newline is no line';
	my $counts = $b->stop;
	is "@$counts{qw(requests answered)}", '3 3';
};

it 'sink says what came, and the end' => sub {
	my $b = serve('sink');
	my %line;
	for my $bytes ('', "\0", "\0\0", 'ab', 'ba', 'x' x 100_000) {
		my $c = client($b->port);
		$c->send($bytes);
		$c->shutdown;
		my $line = $c->rest;
		like $line, qr/^@{[length $bytes]} [0-9a-f]{16}\n\z/;
		ok !$line{$line}++, 'differs';
	}
	my $c = client($b->port);
	$c->dribble('ab');
	$c->shutdown;
	ok $line{$c->rest}, 'however it is cut';
	$b->stop;
};

it 'source sends so many bytes, the same to all, and ends' => sub {
	my $b = serve('source', '-s', '300k');
	my ($first, $second) = map { client($b->port)->rest } 1, 2;
	is length($first), 300 << 10;
	ok $first eq $second, 'the same';
	is $b->stop->{bytes_out}, 600 << 10;
};

it 'several addresses, UNIX sockets, IPv6; several processes' => sub {
	my $dir = File::Temp->newdir;
	my $b = serve('line', '127.0.0.1:0', '[::1]:0', "unix:$dir/s");
	is scalar($b->addresses), 3;
	is asked($_, "hello\n"), "hello\n", $_ for $b->addresses;
	my $counts = $b->stop;
	is $counts->{accepted}, 3;
	ok !-e "$dir/s", 'the socket is removed';

	$b = serve('line', '-w', 3, "unix:$dir/s", '127.0.0.1:0');
	for my $address (($b->addresses) x 10) {
		is asked($address, "a\n", "b\n"), "a\nb\n";
	}
	$counts = $b->stop;
	is "@$counts{qw(accepted requests answered)}", '20 40 40', 'counted over all';
};

it 'a process that dies is told, and ends all' => sub {
	my $b = serve('line', '-w', 2, '127.0.0.1:0');
	my $child = await {
		(map { $_->{pid} } grep { $_->{ppid} == $b->pid } Weir::Process::all())[0];
	} 'a process';
	kill('KILL', $child);
	eval { wait_for { $b->_reap(0) }; $b->stop };
	like $@, qr/process $child has ended by itself \(signal 9\)/;
};

it 'delay, jitter: not before, and in order' => sub {
	my $b = serve('line', '--delay', '30ms-60ms', '--jitter', '5ms');
	my $began = now();
	is asked($b->port, map { "$_\n" } 1 .. 20), join('', map { "$_\n" } 1 .. 20);
	cmp_ok now() - $began, '>=', 0.03;
	is $b->stop->{delay}, 20;
	$b = serve('line', '--delay', '200us');
	is asked($b->port, "x\n"), "x\n";
	$b->stop;
};

it 'split: a byte at a time' => sub {
	my $b = serve('line', '--split');
	my $c = client($b->port);
	$c->send("012345678\n");
	is $c->recv(10), "012345678\n";
	# tcpi_data_segs_in, whatever the reads were; as many as the first window takes.
	my $segments = unpack('x152 L', getsockopt($c->fh, IPPROTO_TCP, 11));
	is $segments, 10, 'segments';
	is $c->ask("abc\n" x 200), "abc\n" x 200;
	is $b->stop->{split}, 201;
};

# A backend with a fault, and a client that has asked for "first".
sub suffers($fault, @options)
{
	my $b = serve('line', @options, '--fault', $fault);
	my $c = client($b->port);
	$c->send("first\n") if $fault !~ /door|refuse/;
	return ($b, $c);
}

it 'close: the end in place of a reply' => sub {
	my ($b, $c) = suffers('close=1');
	is $c->rest, '';
	my $counts = $b->stop;
	is "@$counts{qw(close answered unanswered)}", '1 0 1';
};

it 'cut: the end within a reply' => sub {
	my ($b, $c) = suffers('cut=1');
	like $c->rest, qr/^f(i(r(st?)?)?)?\z/;
	is $b->stop->{cut}, 1;
};

it 'reset' => sub {
	my ($b, $c) = suffers('reset=1');
	is $c->ending, 'reset';
	is $b->stop->{reset}, 1;
};

it 'half, stall: silence for good, also after a FIN' => sub {
	for (['half', 'fir'], ['stall', '']) {
		my ($fault, $comes) = @$_;
		my ($b, $c) = suffers("$fault=1");
		is $c->recv(length $comes), $comes;
		$c->send("more\n");
		$c->shutdown;
		my $other = client($b->port);
		$other->send("xy\n");
		is $other->recv(1), 'x', 'others are served' if $fault eq 'half';
		is $c->ending(0.2), 'open', $fault;
		$b->stop;
	}
};

with_time 'crash, refuse: nobody listens for a while' => [0.3, 3], sub ($T) {
	for my $fault ('crash', 'refuse') {
		my ($b, $c) = suffers("$fault=1", '--down', ms($T));
		my $end = $c->ending;
		is $end, $fault eq 'crash' ? 'reset' : 'eof', $fault;
		ok !Weir::Client->try($b->port), 'refused';
		ok wait_for { my $again = Weir::Client->try($b->port); $again && $again->close; $again }, 'and up again';
		cmp_ok $b->stop->{$fault}, '>=', 1;
	}
};

it 'a crash takes the other connections with it, but not those of another address' => sub {
	my $b = serve('line', '--fault', 'crash=0.5', '--down', '10s', '127.0.0.1:0', '127.0.0.1:0');
	my ($first, $second) = $b->addresses;
	my ($bystander, $far) = (client($first), client($second));
	my $c = client($first);
	my $asked = wait_for { !eval { $c->ask("x\n"); 1 } };
	ok $asked, 'it crashes';
	is $bystander->ending, 'reset';
	is $far->ending(0.05), 'open';
	$b->stop;
};

it 'door: closed at once' => sub {
	my ($b, $c) = suffers('door=1');
	is $c->ending, 'eof';
	is $b->stop->{door}, 1;
};

it 'idle: closed when all has been answered' => sub {
	my ($b, $c) = suffers('idle=1');
	is $c->rest, "first\n";
	is $b->stop->{idle}, 1;
};

it 'garbage, repeat, skip, swap: lies' => sub {
	my ($b, $c) = suffers('garbage=1');
	my $line = $c->line;
	isnt $line, "first\n";
	is length($line), 6;
	$b->stop;
	($b, $c) = suffers('repeat=1');
	is $c->line . $c->line, "first\nfirst\n";
	is $b->stop->{repeat}, 1;
	($b, $c) = suffers('skip=1');
	$c->shutdown;
	is $c->rest, '';
	my $counts = $b->stop;
	is "@$counts{qw(skip requests answered unanswered)}", '1 1 0 1', 'and it is none that was answered';
	($b, $c) = suffers('swap=1');
	my $other = client($b->port);
	$other->send("second\n");
	is $c->line . $other->line, "second\nfirst\n";
	is $b->stop->{swap}, 1;
	($b, $c) = suffers('reorder=1');
	is $c->line, "first\n", 'alone it is in order';
	$c->send("second\nthird\n");
	is $c->line . $c->line, "third\nsecond\n";
	is $b->stop->{reorder}, 1;
};

it 'again: lines that come twice, on whatever connection, answered or not' => sub {
	my $b = serve('line', '--again', '--fault', 'skip=1', '127.0.0.1:0', '127.0.0.1:0');
	my ($c, $other) = map { client($_) } $b->addresses;
	$c->send("first\nsecond\nfirst\n");
	$c->send('sec');
	$c->send("ond\n");
	$other->send("second\nthird\n");
	is $_->shutdown->ending, 'eof' for $c, $other;
	is $b->stop->{again}, 3;
	$b = serve('line', '--again');
	is asked($b->port, map { "$_\n" } 1 .. 10_000), join('', map { "$_\n" } 1 .. 10_000);
	is asked($b->port, "5000\n", "10001\n"), "5000\n10001\n";
	is $b->stop->{again}, 1;
};

it 'equal seeds, equal faults' => sub {
	my @seen;
	for (1, 2) {
		my $b = serve('line', '--seed', 42, '--fault', 'garbage=0.2,repeat=0.2,skip=0.2');
		my $c = client($b->port);
		$c->send(join('', map { "$_\n" } 1 .. 100));
		$c->shutdown;
		push @seen, $c->rest;
		$b->stop;
	}
	is $seen[0], $seen[1];
	isnt $seen[0], join('', map { "$_\n" } 1 .. 100);
};

it 'a client that resets is not kept' => sub {
	my $b = serve('sink');
	for (1 .. 20) {
		my $c = client($b->port);
		$c->send('x' x 1000);
		$c->reset;
	}
	my @fds;
	ok wait_for { @fds = grep { /^socket:/ } Weir::Process::descriptors($b->pid); @fds <= 1 }, 'all are closed'
	    or diag "@fds";
	is $b->stop->{accepted}, 20;
};

it 'descriptors run out: told once, and served when there are some' => sub {
	my $out = File::Temp->new;
	my $port = free_port;
	my $pid = Weir::Process::spawn(['sh', '-c', 'ulimit -n 30; exec "$@"', 'sh', Weir::Stress::binary(),
	    '--serve', 'line', "127.0.0.1:$port"], output => $out->filename);
	ok wait_for { my $c = Weir::Client->try($port); $c && $c->close; $c }, 'listens';
	my @clients = map { client($port) } 1 .. 40;
	my $told = sub { open(my $fh, '<', $out->filename); local $/; readline($fh) };
	ok wait_for { $told->() =~ /cannot accept/ }, 'told';
	$_->close for @clients;
	is asked($port, "x\n"), "x\n", 'goes on';
	kill('TERM', $pid);
	is Weir::Process::reap($pid), 0;
	my $text = $told->();
	is scalar(() = $text =~ /cannot accept/g), 1;
	like $text, qr/ulimit -n/;
};

it 'clients that ask, and never read: what is kept for them has a limit' => sub {
	for my $options ([], ['--delay', '20ms']) {
		my $b = serve('line', @$options);
		my @deaf = map { client($b->port) } 1 .. 4;
		my $other = client($b->port);
		# Empty lines are what takes most to remember. What is done meanwhile is seen by another.
		for (1 .. (Weir::Build::sanitized() ? 10 : 40)) {
			$_->send_some("\n" x 4_000_000) for @deaf;
			is $other->ask("x\n"), "x\n" or last;
		}
		cmp_ok Weir::Process::memory($b->pid), '<', 40 << 20 if !Weir::Build::sanitized();
		$_->reset for @deaf;
		my $counts = $b->stop;
		is $counts->{requests}, $counts->{answered} + $counts->{unanswered};
	}
};

it 'a line that is too long ends its connection' => sub {
	my $b = serve('line');
	my $c = client($b->port);
	eval { $c->send('x' x (16 << 20)); $c->send('x' x 100_000) };
	isnt $c->ending, 'open';
	is $b->stop->{overlong}, 1;
};

it 'many connections, and an end while they talk' => sub {
	my $b = serve('line', '-w', 2, '127.0.0.1:0');
	my $many = Weir::Build::sanitized() || Weir::Build::valgrind() ? 1000 : 10_000;
	my $run = stress_start('idle', '-c', $many, '-i', '10s', '-t', '5s', $b->address);
	# Two listening sockets, and what a connection has: a descriptor of the one process or the other.
	my $open = sub {
		my @pids = map { $_->{pid} } grep { $_->{ppid} == $b->pid } Weir::Process::all();
		return scalar(grep { /^socket:/ } map { Weir::Process::descriptors($_) } @pids);
	};
	ok((wait_for { $open->() >= $many } 30), 'all are open') or diag $open->();
	cmp_ok $b->stop->{accepted}, '>=', $many;
	my $r = $run->wait;
	is $r->{exit}, 1, 'and all of them see it';
	cmp_ok $r->{of}{errors} - $r->{of}{connect_refused}, '>=', $many;
};

it 'what is wrong with the command line is told' => sub {
	my %wrong = (
		'--serve nothing 127.0.0.1:0' => qr/there is no "nothing", only echo, line, sink and source/,
		'--serve line' => qr/where\? Give an address/,
		'--serve line 127.0.0.1' => qr/127\.0\.0\.1: .*port/,
		'--serve line --fault rset=0.1 127.0.0.1:0' => qr/no "rset"; did you mean reset\?/,
		'--serve line --fault reset=2 127.0.0.1:0' => qr/reset= and a probability from 0 to 1/,
		'--serve line --fault delay=0.1 127.0.0.1:0' => qr/as long as --delay says; give one/,
		'--serve line --fault crash=0.1 -w 2 127.0.0.1:0' => qr/want one process/,
		'--serve line --delay 5ms-1ms 127.0.0.1:0' => qr/the shorter first/,
		'--serve line --delay later 127.0.0.1:0' => qr/write a time or two/,
		'--serve line --delay 1MS 127.0.0.1:0' => qr/write a time or two, .*small letters/,
		'--serve source -s 1M 127.0.0.1:0' => qr/-s 1M: a size like .* \(small letters\) is expected/,
		'--serve line --fault  127.0.0.1:0' => qr/--fault: NAME=\S+ is expected behind it/,
		'--serve line -s 4k 127.0.0.1:0' => qr/-s is the size of what a source sends/,
		'--serve echo --again 127.0.0.1:0' => qr/--again is about lines/,
		'--serve line --again -w 2 127.0.0.1:0' => qr/--again and -w/,
		'--serve line -w 0 127.0.0.1:0' => qr/a number from 1 to 64 is expected/,
		'--serve line --bogus 127.0.0.1:0' => qr/bogus/,
		'--serve line --down 1s 127.0.0.1:0' => qr/--down is how long crash and refuse last: give a --fault/,
		'--serve line --down 1s --fault close=1 127.0.0.1:0' => qr/--down is how long crash and refuse last/,
		'--serve line --seed 3 127.0.0.1:0' => qr/--seed: nothing is random without/,
		'--serve line --seed 3 --seed 4 --jitter 1ms 127.0.0.1:0' => qr/--seed is given twice/,
		'--serve line --jitter 0 127.0.0.1:0' => qr/--jitter 0: that is too little: at least 1us/,
	);
	for my $line (sort keys %wrong) {
		my $r = Weir::Process::run([Weir::Stress::binary(), split(/ /, $line, -1)]);
		is $r->{exit}, 2, $line;
		like $r->{err}, $wrong{$line};
		like $r->{err}, qr/--help/, 'and what helps';
	}
	my $b = serve('line');
	for my $more ([], ['-w', 2]) {
		my $r = Weir::Process::run([Weir::Stress::binary(), '--serve', 'line', @$more, $b->address]);
		is $r->{exit}, 1;
		like $r->{err}, qr/cannot listen on \Q@{[$b->address]}\E: .*in use/;
		like $r->{err}, qr/somebody else does/;
	}
	$b->stop;
	for my $kind ([], ['line']) {
		my $r = Weir::Process::run([Weir::Stress::binary(), '--serve', @$kind, '--help']);
		is $r->{exit}, 0;
		like $r->{out}, qr/^ +--fault /m;
	}
};

done_testing;
