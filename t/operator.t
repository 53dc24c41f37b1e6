#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What an operator is told when something is in the way.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl qw(F_SETFL O_NONBLOCK);
use POSIX ();
use Socket;
use Weir::Test;

Weir::Build::ignore_leaks();

my ($port, $taken, $extra) = free_ports(3);
my $w = weir(<<"CONF");
[weir]
error_log = logs/error.log info

[server echo]
listen = 127.0.0.1:$port
listen = unix:run/echo.sock mode=0666
protocol = echo
CONF

it 'a stopped master is not waited for, and its number is told' => sub {
	my $pid = $w->pid;
	$w->signal('STOP');
	ok wait_for { Weir::Process::state($pid) eq 'T' };
	for my $args (['status'], ['status', '--json'], ['generations'], map { ['-s', $_] } qw(reload reopen quit stop)) {
		my $result = $w->command(@$args, '--timeout', '300ms');
		is $result->{exit}, 1, "weir @$args";
		like $result->{err}, qr/no answer within 300ms: the master, process $pid, is stopped: kill -CONT $pid lets it go on, and this command is dropped then$/m;
	}
	# Until no connection fits into the queue of the socket any more.
	my ($result, $told);
	my @waiting;
	for (1 .. 40) {
		socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
		fcntl($s, F_SETFL, O_NONBLOCK) or die;
		push @waiting, $s if connect($s, pack_sockaddr_un($w->path('run/weir.sock')));
	}
	$result = $w->command('status', '--timeout', '300ms');
	is $result->{exit}, 1, 'a full queue';
	like $result->{err}, qr/nobody has taken the connection within 300ms/;
	close $_ for @waiting;
	$w->signal('CONT');
	ok wait_for { my $r = $w->command("status"); $r->{exit} == 0 }, 'and it answers again';
	$w->wait_log(qr/control socket: \Q$_\E is dropped: whoever asked for it has gone/) for qw(reload reopen quit stop);
	like $w->command('generations')->{out}, qr/^generation 1: running/m, 'and nothing was done';
	ok client($port)->ping;
};

it '--timeout is a time, for what is answered' => sub {
	for my $args (['status', '--timeout', 'soon'], ['status', '--timeout', '0'], ['--timeout', '1s'],
	    ['explain', '--timeout', '1s'], ['-t', '--timeout', '1s']) {
		is $w->command(@$args)->{exit}, 2, "weir @$args";
	}
	is $w->command('status', '--timeout', '30s')->{exit}, 0;
	is $w->command('-s', 'reload', '--timeout', '30s')->{exit}, 0;
};

# The end of the socket may be closed before the command is sent.
it 'a client that is refused reads why' => sub {
	my $path = $w->path('run/refusing.sock');
	my $chrt = program('chrt');
	my $taskset = program('taskset');
	plan skip_all => 'needs chrt and taskset' if !$chrt || !$taskset;
	my ($cpu) = `$taskset -pc $$` =~ /: (\d+)/;
	socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die;
	bind($listener, pack_sockaddr_un($path)) or die "$path: $!";
	listen($listener, 10) or die;
	my $child = fork() // die;
	if ($child == 0) {
		system("$taskset -pc $cpu $$ >/dev/null 2>&1");
		while (accept(my $c, $listener)) {
			syswrite($c, "!no: too many\n=1\n");
			close($c);
		}
		POSIX::_exit(0);
	}
	my $silent = 0;
	for (1 .. 20) {
		my $result = Weir::Process::run([$chrt, '-i', '0', $taskset, '-c', $cpu,
		    $w->_command('status', '-g', "control = $path")], timeout => 60);
		is $result->{exit}, 1;
		$silent++ if $result->{err} !~ /^no: too many$/m || $result->{err} =~ /weir:/;
	}
	kill('KILL', $child);
	waitpid($child, 0);
	is $silent, 0, 'each time';
};

it 'reopen tells which log it cannot open, and why' => sub {
	my $log = $w->path('logs/error.log');
	rename($log, "$log.1") or die;
	mkdir($log) or die;
	my $result = $w->command('-s', 'reopen');
	is $result->{exit}, 1;
	like $result->{err}, qr/^opening \Q$log\E again: Is a directory$/m;
	rmdir($log) or die;
	is $w->command('-s', 'reopen')->{exit}, 0;
};

for my $case (['127.0.0.1', 'INADDR_ANY', "127.0.0.1:$taken", "0.0.0.0:$taken"],
    ['a wildcard', 'INADDR_LOOPBACK', "*:$taken", "127.0.0.1:$taken"],
    ['a wildcard of IPv4', 'INADDR_LOOPBACK', "0.0.0.0:$taken", "127.0.0.1:$taken"]) {
	my ($name, $holder, $listen, $told) = @$case;

	it "who has the port is named: $name" => sub {
		socket(my $s, AF_INET, SOCK_STREAM, 0) or die;
		my $ip = $holder eq 'INADDR_ANY' ? INADDR_ANY : INADDR_LOOPBACK;
		bind($s, pack_sockaddr_in($taken, $ip)) or die "$taken: $!";
		listen($s, 1) or die;
		my $before = $w->conf;
		$w->edit_conf(sub { s/(listen = 127.0.0.1:$port)/$1\nlisten = $listen/ });
		my $result = $w->reload;
		is $result->{exit}, 1;
		like $result->{err}, qr/\Q$listen\E: Address already in use: another program listens on \Q$told\E$/m;
		$w->write_conf($before);
	};
}

it 'the file of a listener that was removed is made again by a reload' => sub {
	my $path = $w->path('run/echo.sock');
	my $old = client("unix:$path");
	unlink($path) or die;
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{out}, qr/listener opened again: unix:\Q$path\E/;
	ok client("unix:$path")->ping;
	is sprintf('%04o', (stat $path)[2] & 07777), '0666', 'with its mode';
	ok $old->ping, 'sessions go on';
	unlike $w->reload->{out}, qr/opened again/, 'once';
	ok client("unix:$path")->ping;
};

it 'not by a reload that fails, nor in the place of another file' => sub {
	my $path = $w->path('run/echo.sock');
	my $before = $w->conf;
	unlink($path) or die;
	socket(my $s, AF_INET, SOCK_STREAM, 0) or die;
	bind($s, pack_sockaddr_in($taken, INADDR_LOOPBACK)) or die;
	listen($s, 1) or die;
	$w->edit_conf(sub { $_ .= "[server more]\nlisten = 127.0.0.1:$taken\nprotocol = echo\n" });
	is $w->reload->{exit}, 1;
	ok !-e $path, 'dropped with the rest';
	$w->write_conf($before);
	my $not_ours = qr/weir\.conf:\d+: warning: listen = unix:\Q$path\E: another program has put its own file there/;
	spurt($path, 'mine');
	for my $result ($w->reload, $w->reload) {
		is $result->{exit}, 0;
		like $result->{err}, $not_ours, 'told each time';
	}
	is slurp($path), 'mine';
	unlink($path);
	socket(my $other, AF_UNIX, SOCK_STREAM, 0) or die;
	bind($other, pack_sockaddr_un($path)) or die "$path: $!";
	listen($other, 1) or die;
	like $w->reload->{err}, $not_ours, 'a socket, too';
	ok -S $path;
	close($other);
	unlink($path);
	unlike $w->reload->{err}, $not_ours;
	is $w->reload->{exit}, 0;
	ok client("unix:$path")->ping;
};

it 'an abstract socket has no file, and stays over reloads' => sub {
	my $name = "weir-test-$$";
	$w->edit_conf(sub { $_ .= "[server more]\nlisten = unix:\@$name\nprotocol = echo\n" });
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{out}, qr/listener opened: unix:\@\Q$name\E$/m;
	my $talk = sub {
		socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
		connect($s, pack_sockaddr_un("\0$name")) or return "$!";
		syswrite($s, "hello\n");
		return scalar readline($s);
	};
	is $talk->(), "hello\n";
	is $w->reload->{exit}, 0;
	is $talk->(), "hello\n";
	like $w->command('status')->{out}, qr/^listener unix:\@\Q$name\E$/m;
	$w->edit_conf(sub { s/\[server more\].*//s });
	$result = $w->reload;
	like $result->{out}, qr/listener closed: unix:\@\Q$name\E$/m;
	is $talk->(), 'Connection refused';
	is_deeply [glob($w->path('*@*')), glob('@*')], [], 'no file';
};

it 'an owner may be a number' => sub {
	plan skip_all => 'not root' if $> != 0;
	my $before = $w->conf;
	$w->edit_conf(sub { $_ .= "[server owned]\nlisten = unix:run/owned.sock owner=54321:12345\nprotocol = echo\n" });
	is $w->reload->{exit}, 0;
	is join(' ', (stat $w->path('run/owned.sock'))[4, 5]), '54321 12345';
	$w->write_conf($before);
	is $w->reload->{exit}, 0;
};

it 'modinfo takes the file of the present folder' => sub {
	my $dir = $w->path('here');
	mkdir($dir);
	spurt("$dir/local.so", 'no module');
	my $result = Weir::Process::run(['sh', '-c', 'cd "$0" && exec "$@"', $dir,
	    Weir::Build::binary(), 'modinfo', 'local.so']);
	is $result->{exit}, 1;
	like $result->{err}, qr{\./local\.so}, 'what is wrong with it is told of that one';
};

done_testing;
