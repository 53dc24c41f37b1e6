#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The control socket and the commands that use it; what strangers do to it.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

my ($port, $proxy) = free_ports(2);
my $backend = backend('echo');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server front]
listen = 127.0.0.1:$port
protocol = echo

[server gate]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = behind

[upstream behind]
server = @{[$backend->address]}
CONF
my $socket = $w->path('run/weir.sock');

it 'status in words' => sub {
	my $c = client($proxy);
	$c->ping;
	my $result = $w->command('status');
	is $result->{exit}, 0;
	like $result->{out}, $_ for qr/\bfront\b/, qr/\bgate\b/, qr/\bbehind\b/,
	    qr/@{[$backend->port]}/;
	like $result->{out}, qr/^server front\n  sessions +0$/m, 'also what is not open now';
	unlike $result->{out}, qr/^  (?:waiting|links|in_flight|handshakes)\b/m, 'but of no pool where there is none';
	is $result->{err}, '';
};

it 'status in JSON' => sub {
	my $before = $w->status;
	my $c = client($proxy);
	$c->ask('x' x 1000);
	my $status = $w->status;
	is $status->server('gate')->{sessions}, 1;
	is $status->server('gate')->{accepted} - $before->server('gate')->{accepted}, 1;
	is $status->peer('behind', $backend->address)->{connections}, 1;
	$c->close;
	my $after;
	ok wait_for { $after = $w->status; $after->server('gate')->{sessions} == 0 };
	is $after->server('gate')->{bytes_in} - $before->server('gate')->{bytes_in}, 1000;
	is $after->server('gate')->{bytes_out} - $before->server('gate')->{bytes_out}, 1000;
	is $after->peer('behind', $backend->address)->{connections}, 0;
};

it 'generations' => sub {
	my $result = $w->command('generations');
	is $result->{exit}, 0;
	like $result->{out}, qr/\b1\b/;
	is $w->reload->{exit}, 0;
	like $w->command('generations')->{out}, qr/\b2\b/;
};

it 'the commands say when nothing runs' => sub {
	my $none = Weir::Daemon->new("[server e]\nlisten = 127.0.0.1:$port\nprotocol = echo\n");
	for my $args (['status'], ['status', '--json'], ['generations'], ['-s', 'reload'],
	    ['-s', 'quit'], ['-s', 'stop'], ['-s', 'reopen']) {
		my $result = $none->command(@$args);
		isnt $result->{exit}, 0, "weir @$args";
		isnt $result->{err}, '';
	}
};

it 'unknown words on the command line' => sub {
	for my $args (['-s', 'dance'], ['dance'], ['status', '--dance'], ['-x']) {
		my $result = $w->command(@$args);
		isnt $result->{exit}, 0, "weir @$args";
		isnt $result->{err}, '';
	}
};

it 'explain, modinfo, -v, -V, -h need no running weir' => sub {
	my $none = Weir::Daemon->new("[server e]\nlisten = 127.0.0.1:$port\nprotocol = echo\n");
	like $none->command('-v')->{text}, qr/weir.*\d/;
	like $none->command('-V')->{text}, qr/echo/;
	like $none->command('-h')->{text}, qr/reload/;
	like $none->command('explain', 'idle_timeout')->{out}, qr/idle_timeout/;
	like $none->command('explain')->{out}, qr/worker_connections/;
	isnt $none->command('explain', 'nonsense')->{exit}, 0;
	is $none->command('-t')->{exit}, 0, '-t beside a running weir binds nothing';
	like $none->command('-T')->{out}, qr/idle_timeout/;
};

sub to_full_disk(@args)
{
	return Weir::Process::run(['sh', '-c', 'exec "$@" >/dev/full', 'sh', $w->_command(@args)]);
}

it 'what cannot be written out is told' => sub {
	for my $args (['-T'], ['-v'], ['-V'], ['-h'], ['explain'], ['explain', 'workers'], ['status'],
	    ['status', '--json'], ['generations']) {
		my $result = to_full_disk(@$args);
		is $result->{exit}, 1, "weir @$args";
		like $result->{err}, qr/^weir: .*(?:No space left|could be written)/m;
		unlike $result->{err}, qr/test failed/;
	}
};

it 'what was done is done, though that cannot be written out' => sub {
	my $result = to_full_disk('-s', 'reload');
	is $result->{exit}, 0;
	like $result->{err}, qr/^weir: stdout: /m;
};

it 'the socket is for its owner alone' => sub {
	is sprintf('%04o', (stat $socket)[2] & 07777), '0600';
	plan skip_all => 'not root' if $> != 0;
	my $result = Weir::Process::run([$w->_command('status')], user => 'nobody');
	isnt $result->{exit}, 0;
};

it 'also for one who gets at it' => sub {
	plan skip_all => 'not root' if $> != 0;
	chmod(0666, $socket);
	my $result = Weir::Process::run([$w->_command('-s', 'stop')], user => 'nobody');
	isnt $result->{exit}, 0;
	ok client($port)->ping;
	chmod(0600, $socket);
};

sub healthy()
{
	ok client($port)->ping, 'it serves';
	is $w->command('status')->{exit}, 0, 'and answers';
}

it 'an unknown command is refused' => sub {
	my $c = client("unix:$socket");
	$c->send("dance\n")->shutdown;
	like $c->rest, qr/no such command/;
	healthy;
};

for my $garbage (["\0" x 100, 'NULs'], ["\n" x 1000, 'empty lines'], ['x' x 1_000_000, 'an endless line'],
    [join('', map { chr(int(rand(256))) } 1 .. 5000), 'noise'], ['', 'nothing'],
    ['relo', 'half a command'], ["status\0reload\n", 'a NUL in a command']) {
	my ($bytes, $name) = @$garbage;

	it "$name: does no harm" => sub {
		my $c = client("unix:$socket");
		eval { $c->send($bytes) };
		eval { $c->shutdown };
		isnt $c->ending, 'open', 'and is let go';
		healthy;
	};
}

it 'clients that say nothing do not hold it up' => sub {
	my @idle = map { client("unix:$socket") } 1 .. 10;
	healthy;
	is $w->reload->{exit}, 0;
	$_->close for @idle;
};

it 'a client that never reads does not hold it up' => sub {
	my @never = map { my $c = client("unix:$socket", rcvbuf => 1024); $c } 1 .. 3;
	for my $c (@never) {
		eval { $c->send_some("status\n" x 10_000) };
	}
	healthy;
	is $w->reload->{exit}, 0;
	$_->close for @never;
	healthy;
};

it 'a client that goes in the middle does no harm' => sub {
	for (1 .. 20) {
		my $c = client("unix:$socket");
		$c->send("status\n");
		$c->close;
	}
	my $c = client("unix:$socket");
	$c->send("reload\n");
	$c->close;
	healthy;
};

it 'when descriptors run out, clients wait and the log is not flooded' => sub {
	my $prlimit = program('prlimit');
	my ($limit) = slurp('/proc/' . $w->pid . '/limits') =~ /^Max open files\s+(\d+)/m;
	my ($c, $told);
	$w->mark;
	# What the commands before had open may be closed only now: then it is answered.
	for (1 .. 20) {
		my %open = map { $_ => 1 } map { m{(\d+)\z} } glob('/proc/' . $w->pid . '/fd/*');
		my $free = 0;
		$free++ while $open{$free};
		is system($prlimit, '--pid', $w->pid, "--nofile=$free:"), 0;
		$c = client("unix:$socket");
		$c->send("generations\n");
		$told = wait_for { $w->log_since =~ /Too many open files/ } 1;
		last if $told;
	}
	ok $told;
	ok client($port)->ping for 1 .. 200;
	is system($prlimit, '--pid', $w->pid, "--nofile=$limit:"), 0;
	like $c->rest, qr/generation/, 'then it is answered';
	is scalar(() = $w->log_since =~ /Too many open files/g), 1, 'told once';
};

it 'without its socket it is known to run' => sub {
	my $pid = $w->pid;
	rename($socket, "$socket.away") or die;
	for my $args (['status'], ['-s', 'stop']) {
		my $result = $w->command(@$args);
		is $result->{exit}, 1;
		like $result->{err}, qr{^weir: process $pid runs \(it holds \Q@{[$w->path('run/weir.pid')]}\E\), but nobody answers at \Q$socket\E: }, "weir @$args";
		like $result->{err}, qr/kill -TERM $pid stops it, kill -HUP $pid reloads, and makes a socket again that was removed$/;
	}
	is $w->command('status', '-g', 'control = run/weir.sock.away')->{exit}, 0, 'the way that is told';
	rename("$socket.away", $socket) or die;
	healthy;
};

it 'what was removed is made again at a reload' => sub {
	my $pid = $w->pid;
	my $file = $w->path('run/weir.pid');
	my $connected = client("unix:$socket");
	unlink($socket, $file) == 2 or die;
	$w->mark;
	$w->signal('HUP');
	$w->wait_log(qr/generation \d+ runs/);
	like $w->log_since, qr/ notice .*control socket: \Q$socket\E was removed: it has been made again/;
	like $w->log_since, qr/ notice .*pid file: \Q$file\E was removed: it has been made again/;
	is sprintf('%04o', (stat $socket)[2] & 07777), '0600';
	is slurp($file), "$pid\n";
	healthy;
	is $w->reload->{exit}, 0;
	like $w->command('-g', 'daemon = off', '-g', 'control = run/other.sock')->{text}, qr/weir is running already, pid $pid/,
	    'the new file is locked';
	$connected->send("generations\n");
	like $connected->rest, qr/^ generation/, 'who was connected is answered';
	is scalar(() = $w->log_since =~ /made again/g), 2, 'once';
};

it 'what is not its socket any more is left alone' => sub {
	unlink($socket);
	open(my $fh, '>', $socket) or die "$socket: $!\n";
	close($fh);
	$w->mark;
	$w->signal('HUP');
	$w->wait_log(qr/ warn .*control socket: something else is at \Q$socket\E now/);
	$w->wait_log(qr/ error .*: control = .*no socket/);
	$w->stop(idle => 0);
	ok -e $socket;
};

done_testing;
