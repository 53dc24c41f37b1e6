#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress: every mode against a good server, weir among them, and against each kind of bad one: it is counted by its
# kind, told in a sentence, and the exit status is not 0.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use JSON::PP;
use Weir::Test;
use Weir::Stress;

look_for_leaks;

my ($echo_port, $line_port) = free_ports(2);
my $behind = serve('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
[server echo]
listen = 127.0.0.1:$echo_port
protocol = echo
[server lines]
listen = 127.0.0.1:$line_port
protocol = line_proxy
upstream = behind
[upstream behind]
server = @{[$behind->address]}
CONF
my ($echo, $line) = ("127.0.0.1:$echo_port", "127.0.0.1:$line_port");

# A good run: all was answered, nothing is wrong, and what is to be so is.
sub well($r, %figures)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is $r->{exit}, 0 or diag $r->{text};
	is $r->{of}{errors}, 0;
	is $r->{of}{lost}, 0;
	is $r->{of}{$_}, $figures{$_}, $_ for sort keys %figures;
	return $r;
}

# A bad one: these faults, and no others; the sentence.
sub badly($r, $sentence, @faults)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is $r->{exit}, 1 or diag $r->{text};
	my %kinds = map { $_ => 1 } qw(connect_refused connect_timeout connect_ports connect_failed
	    no_descriptors reset closed timeout wrong unasked no_memory);
	my @got = sort grep { $r->{of}{$_} } keys %kinds;
	is "@got", "@{[sort @faults]}", 'of this kind' or diag $r->{text};
	like $r->{text}, $sentence, 'told';
	return $r;
}

#
# Modes
#

it 'echo' => sub {
	well(stress('echo', '-c', 10, '-n', 5000, '-p', 4, $echo), sent => 5000, answered => 5000,
	    connected => 10, bytes_in => 5000 * 64, bytes_out => 5000 * 64);
	well(stress('echo', '-c', 2, '-n', 20, '-s', '1m', $echo), answered => 20);
	well(stress('echo', '-c', 3, '-n', 10, '-s', 1, '-p', 3, $echo), bytes_in => 10);
};

it 'line, through weir to a backend' => sub {
	my $r = well(stress('line', '-c', 20, '-n', 5000, '-p', 3, '-w', 2, $line), answered => 5000, connected => 20);
	cmp_ok $r->{of}{p50}, '>', 0;
	cmp_ok $r->{of}{$_->[0]}, '<=', $r->{of}{$_->[1]}, "@$_"
	    for ['p50', 'p90'], ['p90', 'p99'], ['p99', 'p99.9'], ['p99.9', 'max'];
	like $r->{out}, qr/^\s+answered\s+5,000 in /m;
};

it 'idle' => sub {
	my $r = well(stress('idle', '-c', 100, '-r', 1000, '-i', '100ms', '-d', '300ms', $line), connected => 100);
	cmp_ok $r->{of}{answered}, '>=', 100;
	cmp_ok $r->{of}{answered}, '<=', 100 * (2 + $r->{of}{duration} / 1e5), 'one in 100 ms each';
};

it 'churn' => sub {
	well(stress('churn', '-c', 5, '-n', 300, $line), answered => 300, connected => 300);
};

it 'bulk, both ways, out and in' => sub {
	well(stress('bulk', '-c', 3, '-s', '2m', $echo), answered => 3, bytes_out => 6 << 20, bytes_in => 6 << 20);
	my $sink = serve('sink');
	well(stress('bulk', '-c', 3, '-n', 5, '-s', '2m', '--way', 'out', $sink->address), answered => 5,
	    bytes_out => 10 << 20, digests => 5);
	is $sink->stop->{bytes_in}, 10 << 20;
	my $source = serve('source', '-s', '2m');
	well(stress('bulk', '-c', 3, '-s', '2m', '--way', 'in', $source->address), answered => 3);
};

it 'bulk at a rate, and ended by time' => sub {
	my $r = well(stress('bulk', '-c', 2, '-d', '1s', '--rate', '2m', $echo), answered => 0, cut_short => 2);
	cmp_ok $r->{of}{bytes_out}, '>', 0;
	cmp_ok $r->{of}{bytes_out}, '<', (2 << 20) * $r->{of}{duration} / 1e6 + (512 << 10);
	is $r->{of}{bytes_in}, $r->{of}{bytes_out}, 'what is under way is waited for';
	cmp_ok $r->{of}{busiest}, '<', 0.7, 'and not by a busy core';
};

it 'halfclose' => sub {
	well(stress('halfclose', '-c', 10, '-n', 100, '-p', 5, $line), answered => 500, whole => 100, connected => 100);
};

it 'slowloris' => sub {
	my $r = well(stress('slowloris', '-c', 5, '-i', '50ms', '-t', '200ms', $line), tolerated => 5, ended => 0,
	    answered => 0);
	my $b = serve('line', '--fault', 'door=1');
	$r = stress('slowloris', '-c', 5, '--expect', 'tolerated==0,max<5s,ended>=0', $b->address);
	well($r, tolerated => 0, answered => 5);
	is $r->{of}{ended} + $r->{of}{reset_by_server}, 5;
	$r = stress('slowloris', '-c', 2, '-i', '50ms', '-t', '100ms', '--expect', 'tolerated==0', $line);
	is $r->{exit}, 1, 'and an expectation fails';
};

it 'UNIX sockets' => sub {
	my $dir = File::Temp->newdir;
	my $b = serve('line', "unix:$dir/s");
	well(stress('line', '-c', 10, '-n', 1000, "unix:$dir/s"), answered => 1000);
	well(stress('churn', '-c', 10, '-n', 100, "unix:$dir/s"), answered => 100);
};

it 'sources' => sub {
	my $port = free_port;
	my $echo = weir(<<"CONF");
[weir]
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	well(stress('line', '-c', 8, '-n', 80, '--source', '127.0.3.1-127.0.3.3', "127.0.0.1:$port"),
	    answered => 80);
	$echo->stop;
	my %from;
	$from{$_}++ for $echo->log =~ /, client (127\.0\.\d\.\d):/g;
	is_deeply [sort keys %from], [map { "127.0.3.$_" } 1 .. 3], 'all of them are used';
};

it 'the failure text is an answer, and not an error' => sub {
	my $dead = free_port;
	my $port = free_port;
	my $front = weir(<<"CONF");
[server lines]
listen = 127.0.0.1:$port
protocol = line_proxy
upstream = dead
line_failure = SORRY
[upstream dead]
server = 127.0.0.1:$dead
CONF
	my @run = ('line', '-c', 4, '-n', 40, '--failure');
	my $r = stress(@run, 'SORRY', "127.0.0.1:$port");
	is "@{$r->{of}}{qw(failed answered errors)}", '40 0 0' or diag $r->{text};
	badly(stress(@run, 'SORR', "127.0.0.1:$port"), qr/mixes replies up or alters them/, 'wrong');
	$front->stop;
};

#
# Bad servers
#

it 'nobody listens' => sub {
	my $port = free_port;
	for my $mode (qw(line churn idle bulk halfclose slowloris)) {
		my $r = stress($mode, '-c', 3, '-d', '1s', "127.0.0.1:$port");
		badly($r, qr/nobody listens there: start the server/, 'connect_refused');
		like $r->{text}, qr/ECONNREFUSED/;
	}
	badly(stress('line', '-n', 1, "unix:/nonexistent/s"), qr/nobody listens there/, 'connect_refused');
};

it 'nobody answers a connect' => sub {
	my $full = backend('full');
	my $r = stress('line', '-c', 2, '-n', 2, '-t', '300ms', $full->address);
	badly($r, qr/connect: timed out/, 'connect_timeout');
};

it 'a silent server' => sub {
	my $silent = backend('silent');
	my @at = ('-t', '300ms', $silent->address);
	badly(stress('line', '-c', 2, '-n', 2, @at), qr/stuck or overloaded; raise -t/, 'timeout');
	badly(stress('churn', '-c', 2, '-n', 2, @at), qr/no reply in time/, 'timeout');
	badly(stress('bulk', '-c', 2, '-s', '32m', @at), qr/no reply in time/, 'timeout');
	badly(stress('halfclose', '-c', 2, @at), qr/no reply in time/, 'timeout');
	badly(stress('idle', '-c', 2, '-i', '50ms', '-d', '600ms', @at), qr/no reply in time/, 'timeout');
};

it 'one that answers half, and is silent then' => sub {
	my $b = serve('line', '--fault', 'half=1');
	badly(stress('line', '-c', 2, '-n', 2, '-t', '300ms', $b->address), qr/no reply in time/, 'timeout');
};

it 'one that never ends its side' => sub {
	my $b = backend('script', data => sub ($c, $bytes) { $c->send($bytes) }, eof => sub ($c, $bytes) {});
	badly(stress('halfclose', '-c', 2, '-t', '300ms', $b->address), qr/no reply in time/, 'timeout');
};

it 'one that takes a FIN for a goodbye' => sub {
	my $b = backend('script', data => sub ($c, $bytes) {}, eof => sub ($c, $bytes) { $c->close });
	badly(stress('halfclose', '-c', 3, '-p', 2, $b->address), qr/closed by the server before all was answered/,
	    'closed');
};

it 'one that closes, and one that resets' => sub {
	my $b = serve('line', '--fault', 'close=0.05');
	my $r = badly(stress('line', '-c', 5, '-n', 500, '-t', '2s', $b->address), qr/look for its limits/, 'closed');
	is $r->{of}{lost}, $r->{of}{closed}, 'a request each';
	is $r->{of}{answered} + $r->{of}{lost}, 500;
	is $b->stop->{close}, $r->{of}{closed}, 'as the server says';
	$b = serve('line', '--fault', 'reset=0.05');
	$r = badly(stress('line', '-c', 5, '-n', 500, '-t', '2s', $b->address), qr/its log should say why/, 'reset');
	is $b->stop->{reset}, $r->{of}{reset};
	$b = serve('echo', '--fault', 'reset=0.2');
	badly(stress('bulk', '-c', 3, '-s', '8m', $b->address), qr/reset by the server/, 'reset');
	$b = serve('source', '-s', '1m');
	badly(stress('bulk', '-c', 3, '-s', '2m', '--way', 'in', $b->address), qr/before all was answered/, 'closed');
};

it 'a reset behind a part of a reply is seen at once' => sub {
	my $b = serve('line', '--split', '--down', '50ms', '--fault', 'crash=0.02');
	my $r = stress('line', '-c', 10, '-n', 400, '-p', 4, '-t', '8s', $b->address);
	is $r->{exit}, 1;
	cmp_ok $r->{of}{reset}, '>', 0;
	is $r->{of}{timeout}, 0, 'none waits for -t' or diag $r->{text};
};

it 'one that lies' => sub {
	for my $lie (qw(garbage skip swap)) {
		my $b = serve('line', '--fault', "$lie=0.02");
		my $r = stress('line', '-c', 10, '-n', 2000, '-p', 4, '-t', '2s', $b->address);
		is $r->{exit}, 1;
		cmp_ok $r->{of}{wrong}, '>', 0, $lie;
		like $r->{wrong}, qr/^connection \d+, reply \d+, byte \d+: came ".+" where ".+" was due/;
		like $r->{text}, qr/mixes replies up or alters them/;
	}
	my $b = serve('line', '--fault', 'repeat=1');
	badly(stress('line', '-c', 2, '-n', 2, $b->address), qr/more than it was asked for/, 'unasked');
	$b = serve('echo', '--fault', 'garbage=1');
	badly(stress('bulk', '-c', 1, '-s', '1m', $b->address), qr/byte \d+: came/, 'wrong');
	badly(stress('echo', '-c', 1, '-n', 1, $b->address), qr/byte \d+: came/, 'wrong');
	$b = serve('sink', '--fault', 'garbage=1');
	badly(stress('bulk', '-c', 1, '-s', '1m', '--way', 'out', $b->address), qr/The first wrong reply/, 'wrong');
	$b = serve('source', '--fault', 'skip=0.2');
	badly(stress('bulk', '-c', 1, '-s', '4m', '--way', 'in', $b->address), qr/The first wrong reply/, 'wrong');
	$b = backend('greeting', text => "220 ready\r\n");
	my $r = stress('line', '-c', 1, '-n', 1, $b->address);
	is $r->{exit}, 1, 'a greeting';
	cmp_ok $r->{of}{wrong} + $r->{of}{unasked}, '>', 0;
	like $r->{wrong}, qr/came "220 ready/;
};

it 'a server that dies in the middle' => sub {
	my $b = serve('line', '--delay', '2ms');
	my $p = stress_start('line', '-c', 5, '-d', '60s', '-t', '500ms', $b->address);
	# It is in the middle when the server has answered something; nothing tells better than its sockets.
	ok wait_for { (grep { /^socket:/ } Weir::Process::descriptors($b->pid)) > 5 }, 'has begun';
	kill('KILL', $b->pid);
	my $began = now();
	my $r = $p->wait(20);
	cmp_ok now() - $began, '<', patience(15), 'it does not go on for the whole time';
	is $r->{exit}, 1;
	cmp_ok $r->{of}{reset} + $r->{of}{closed} + $r->{of}{closed_idle}, '>=', 5;
	cmp_ok $r->{of}{connect_refused}, '>=', 1;
	like $r->{text}, qr/nobody listens there/;
};

it 'no descriptors' => sub {
	my $r = stress('line', '-c', 200, '-n', 200, $echo, { nofile => 50 });
	is $r->{exit}, 1;
	like $r->{text}, qr/descriptors.*MISSING/, 'the plan refuses';
	like $r->{text}, qr/ulimit -n/, 'and says what helps';
	$r = stress('line', '-c', 200, '-n', 200, '--force', $line, { nofile => 50 });
	is $r->{exit}, 1;
	cmp_ok $r->{of}{no_descriptors}, '>', 0, 'or it is counted';
};

it 'no address to come from' => sub {
	my $r = stress('line', '-c', 2, '-n', 2, '--source', '203.0.113.7', $line);
	is $r->{exit}, 1;
	like $r->{text}, qr/203\.0\.113\.7 is no address of this machine/;
};

#
# Latency
#

# Runs while the server stands still for two seconds.
sub stalled($b, @options)
{
	my $p = stress_measuring('line', '-c', 4, @options, $b->address);
	$b->signal('STOP');
	until_time(now() + 2);
	$b->signal('CONT');
	my $r = $p->wait(60);
	is $r->{exit}, 0 or diag $r->{text};
	cmp_ok $r->{of}{max}, '>', 1_900_000, 'the maximum shows the stall';
	return $r;
}

it 'an open loop shows a stall, a closed loop hides it' => sub {
	# So many that the four which were under way are fewer than one of a hundred, and not
	# done before the stall.
	my $closed = stalled(serve('line', '--delay', '2ms'), '-n', 4000);
	cmp_ok $closed->{of}{p99}, '<', $closed->{of}{max} / 2, "closed loop: p99 is $closed->{of}{p99} us";
	my @open = (serve('line'), '-d', patience(4) . 's', '--rate', 1000);
	my $open = stalled(@open);
	cmp_ok $open->{of}{p99}, '>', 1_000_000, "open loop: p99 is $open->{of}{p99} us";
	cmp_ok $open->{of}{'raw.p99'}, '<', $open->{of}{p99} / 2, 'but not from when it was sent';
	my $poisson = stalled(@open, '--poisson');
	cmp_ok $poisson->{of}{p99}, '>', 1_000_000, "Poisson: p99 is $poisson->{of}{p99} us";
};

it 'an open loop keeps its rate' => sub {
	well(stress('line', '-c', 10, '-d', '1s', '--rate', 500, '-w', 2, $line), sent => 500);
};

# As many as fall into the time, whoever of them is told of its begin and end when.
it 'an open loop sends exactly rate times duration' => sub {
	for my $case (
		[700, 'line', '-c', 7, '-w', 3, '-d', '700ms', '--rate', 1000],
		[100, 'line', '-c', 7, '-w', 7, '-d', '300ms', '--rate', '333.333'],
		[1, 'echo', '-c', 4, '-w', 4, '-d', '200ms', '--rate', 1],
		[60, 'churn', '-c', 5, '-w', 2, '-d', '300ms', '--rate', 200],
		[200, 'line', '-c', 3, '-w', 3, '-d', '500ms', '--rate', 400, '--warmup', '333ms'],
		[7, 'line', '-c', 3, '-w', 3, '-d', '500ms', '-n', 7, '--rate', 400],
		[20, 'line', '-c', 3, '-w', 3, '-d', '500ms', '-n', 20, '--rate', 40])
	{
		my ($sent, $mode, @run) = @$case;
		my $at = $mode eq 'echo' ? $echo : $line;
		well(stress($mode, @run, $at), sent => $sent, unsent => 0);
	}
};

it 'a delay is measured for what it is' => sub {
	my $b = serve('line', '--delay', '500ms');
	my $r = well(stress('line', '-c', 10, '-n', 30, $b->address), answered => 30);
	cmp_ok $r->{of}{p50}, '>=', 500_000;
	cmp_ok $r->{of}{p50}, '<', 1_000_000, 'once';
	cmp_ok $r->{of}{'connect.p50'}, '<', 500_000, 'the connect is counted apart';
};

#
# The run
#

it 'it may be started without stdin, stdout or stderr' => sub {
	my $json = File::Temp->new;
	for my $closed ('<&-', '>&-', '2>&-', '<&- >&-', '<&- 2>&-', '>&- 2>&-', '<&- >&- 2>&-') {
		truncate $json, 0;
		my $said = `"@{[Weir::Stress::binary()]}" echo -c 2 -n 10 -w 2 --json "$json" $echo 2>&1 $closed`;
		is $?, 0, $closed or diag $said;
		is eval { decode_json(Weir::File::slurp("$json"))->{figures}{answered} }, 10, 'and does its work';
	}
};

it 'Ctrl-C prints what was measured so far' => sub {
	for my $signal ('INT', 'TERM') {
		my $p = stress_measuring('line', '-c', 5, '--expect', 'errors==0', $line);
		$p->signal($signal);
		my $r = $p->wait(20);
		is $r->{exit}, 0, $signal or diag $r->{text};
		cmp_ok $r->{of}{answered}, '>', 0;
		like $r->{out}, qr/^\s+latency\s/m;
		ok $r->{told}{interrupted}, 'it says so';
	}
};

it 'a worker that dies is told' => sub {
	my $p = stress_start('line', '-c', 4, '-w', 2, '-d', '60s', $line);
	my $child = await {
		my @all = grep { $_->{ppid} == $p->pid } Weir::Process::all();
		@all == 2 ? $all[0]{pid} : undef;
	} 'two processes';
	kill('KILL', $child);
	my $r = $p->wait(20);
	is $r->{exit}, 1;
	like $r->{err}, qr/signal 9/, 'in words';
};

it 'expectations set the exit status' => sub {
	my @run = ('line', '-c', 2, '-n', 100);
	is stress(@run, '--expect', 'errors==0,p99<60s,answered==100,lost==0', $line)->{exit}, 0;
	my $r = stress(@run, '--expect', 'errors==0,p50<1us', $line);
	is $r->{exit}, 1;
	like $r->{text}, qr/p50<1us/;
	my $b = serve('line', '--fault', 'close=0.1');
	is stress(@run, '--expect', 'closed<=100', $b->address)->{exit}, 0, 'errors that were expected are none';
};

# A run that ends when the command has been begun three times.
sub across($command, @run)
{
	my $beats = File::Temp->new;
	my $p = stress_start('line', @run, '-d', '600s', '--every', '100ms', '--across', "echo >>$beats; $command", $line);
	await { -s $beats->filename >= 3 || !$p->running } 'the third', 60;
	return $p->end;
}

it 'across: a reload loses nothing' => sub {
	my $reload = join(' ', Weir::Build::binary(), '-p', $w->prefix, '-c', $w->path('conf/weir.conf'), '-s', 'reload');
	my $r = across($reload, '-c', 10);
	well($r);
	cmp_ok $r->{of}{across_runs}, '>=', 2;
	is "@{$r->{of}}{qw(across_failed across_lost)}", '0 0';
	$r = across('exit 3', '-c', 1);
	is $r->{exit}, 1, 'a command that fails';
	cmp_ok $r->{of}{across_failed}, '>', 0;
};

it 'watch: the memory and CPU of the server' => sub {
	my $r = well(stress('line', '-c', 100, '-n', 20000, '--watch', $w->pid, $line));
	cmp_ok $r->{of}{server_memory}, '>', 1 << 20;
	ok defined $r->{of}{server_cpu}, 'CPU';
};

it 'slo: the highest rate is found' => sub {
	my $b = serve('line', '--delay', '1ms');
	my $r = stress('line', '-c', 1, '-d', '200ms', '--rate', 50, '--slo', 'p50<100ms,errors==0', $b->address,
	    { timeout => 120 });
	is $r->{exit}, 0 or diag $r->{text};
	my $rate = $r->{told}{slo}{holds};
	cmp_ok $rate, '<', 1000, 'one connection and 1 ms: fewer than 1,000';
	cmp_ok $rate, '>', 0;
};

it 'the plan is told, and nothing is done' => sub {
	my $r = stress('idle', '-c', 1000000, '--plan', $line);
	is $r->{exit}, 1;
	like $r->{out}, qr/descriptors/;
	like $r->{out}, qr/ports/;
	like $r->{out}, qr/--source/;
	is stress('line', '-c', 10, '--plan', $line)->{exit}, 0;
};

it 'JSON and HdrHistogram files' => sub {
	my $hgrm = File::Temp->new;
	my $r = well(stress('line', '-c', 2, '-n', 200, '--hgrm', $hgrm->filename, $line));
	is $r->{told}{options}{mode}, 'line';
	my $text = slurp($hgrm->filename);
	like $text, qr/^\s*Value\s+Percentile\s+TotalCount/;
	like $text, qr/^#\[Max/m;
	$r = stress('line', '-n', 1, '--hgrm', '/nonexistent/x', $line);
	isnt $r->{exit}, 0, 'one that cannot be written';
	like $r->{err}, qr{/nonexistent/x};
};

it 'what is wrong with the command line, or contradicts itself' => sub {
	my %wrong = (
		'' => qr/a mode and a target are expected/,
		'lime 127.0.0.1:9' => qr/there is no mode lime/,
		'line' => qr/a target is expected/,
		'line 127.0.0.1' => qr/a port is missing/,
		'line -c 0 127.0.0.1:9' => qr/-c 0: numbers/,
		'line -n many 127.0.0.1:9' => qr/-n many: a number/,
		'echo -s 1K 127.0.0.1:9' => qr/-s 1K: a size like 64, 4k or 1m \(small letters\) is expected/,
		'echo -d 1M 127.0.0.1:9' => qr/-d 1M: a time like 500ms, 30s or 5m \(small letters\) is expected/,
		'bulk --rate 10M 127.0.0.1:9' => qr/--rate 10M: a size .*\(small letters\)/,
		(map { ("echo $_  127.0.0.1:9" => qr/^weir-stress: $_: \S+ is expected behind it$/m) } qw(-p -c -s -d -r -w --rate --expect --source)),
		'echo ' => qr/the target is empty/,
		'echo -p 65537 127.0.0.1:9' => qr/-p 65537: a number from 1 to 65536 is expected/,
		'echo -p 99999999999999999999 127.0.0.1:9' => qr/-p 9+: a number from 1 to 65536 is expected/,
		'echo -w 65 127.0.0.1:9' => qr/-w 65: a number from 1 to 64 is expected/,
		'echo -s 2000g 127.0.0.1:9' => qr/-s 2000g: that is too much: at most 1024g$/m,
		'echo -s 99999999999999999999k 127.0.0.1:9' => qr/-s 9+k: that is too much: at most 1024g$/m,
		'echo -d 400d 127.0.0.1:9' => qr/-d 400d: that is too much: at most 100d$/m,
		'echo -d 99999999999999999999s 127.0.0.1:9' => qr/-d 9+s: that is too much: at most 100d$/m,
		'echo -d 0 127.0.0.1:9' => qr/-d 0: that is too little: at least 1ms$/m,
		'echo -n 99999999999999999999 127.0.0.1:9' => qr/-n 9+: that is too much: at most 1000000000000000$/m,
		'echo -r 99999999 127.0.0.1:9' => qr/-r 9+: that is too much: at most 10000000$/m,
		'line -n 1 127.0.0.1:9 127.0.0.1:10' => qr/only a mode and one target/,
		'bulk -p 3 127.0.0.1:9' => qr/-p means nothing in this mode/,
		'echo --failure x 127.0.0.1:9' => qr/--failure means nothing/,
		'bulk --way in --rate 1m 127.0.0.1:9' => qr/the server that sends/,
		'echo --poisson 127.0.0.1:9' => qr/open loop: give its --rate/,
		'line --slo p99<5ms -n 4 127.0.0.1:9' => qr/--slo and -n/,
		'line -s 8 127.0.0.1:9' => qr/at least 32 bytes/,
		'line --expect foo==1 127.0.0.1:9' => qr/foo: no such name; there are errors/,
		'line --expect tolerated==0 127.0.0.1:9' =>
		    qr/tolerated: mode line has no such figure, but mode slowloris has/,
		'line --expect errors 127.0.0.1:9' => qr/--expect: /,
		'--serve line --fault cut=0.1,skip=0,cut=0.2 127.0.0.1:9' => qr/--fault: cut is there twice/,
		'slowloris -i 3m 127.0.0.1:9' => qr/-i is not shorter/,
		'line --hold 3s -n 3 127.0.0.1:9' => qr/--hold is for several/,
		'line --bogus 127.0.0.1:9' => qr/bogus/,
	);
	for my $words (sort keys %wrong) {
		my $r = Weir::Process::run([Weir::Stress::binary(), split(/ /, $words, -1)], timeout => 10);
		is $r->{exit}, 2, "'$words'";
		like $r->{err}, $wrong{$words};
		is $r->{out}, '', 'and nothing is done';
	}
	my $r = stress('line', '-n', 1, '--watch', 1 << 22, $line);
	is $r->{exit}, 1;
	like $r->{err}, qr/there is no such process/;
};

it 'every option is in the manual page, and in --help' => sub {
	my $page = slurp(Weir::Build::srcdir() . '/man/weir-stress.1');
	my ($load, $serve) = split(/^\.Sh A BACKEND$/m, $page);
	for ([[], $load], [['--serve', 'echo'], $serve]) {
		my ($args, $text) = @$_;
		my $help = Weir::Process::run([Weir::Stress::binary(), @$args, '--help']);
		is $help->{exit}, 0;
		my %help = map { $_ => 1 } grep { !/^(help|version|serve)$/ } $help->{out} =~ /--([a-z]+(?:-[a-z]+)*)/g;
		my %man = map { $_ => 1 } grep { !/^(help|version|serve)$/ } map { /(?<!\w)-([a-z]+(?:-[a-z]+)*)/g } $text =~ /^\.It Fl (.*)/mg;
		is join(' ', sort keys %man), join(' ', sort keys %help);
	}
};

$w->stop;
done_testing;
