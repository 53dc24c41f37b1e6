#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What keeps weir from starting is found by -t, too, and told with the line that has it.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $port = free_port;
my $root = $> == 0;

# Runs -t and a start, as this user; gives what they said.
sub refused($weir, $server, %option)
{
	my $w = Weir::Daemon->new(<<"CONF");
[weir]
$weir
[server echo]
$server
protocol = echo
CONF
	$option{prepare}->($w) if $option{prepare};
	my @as = $option{user} ? (user => $option{user}) : ();
	chmod(0777, $w->path($_)) for $option{user} ? qw(run logs) : ();
	my $test = Weir::Process::run([$w->_command('-t')], @as);
	my $start = Weir::Process::run([$w->_command('-g', 'daemon = off')], @as, timeout => 60);
	is $test->{exit}, 1, '-t finds it' or diag $test->{text};
	is $start->{exit}, 1, 'it does not start' or diag $start->{text};
	return ($test->{text}, $start->{text}, $w);
}

my $tcp = "listen = 127.0.0.1:$port";

for my $case (
	['the directory of a UNIX listener is missing', '', 'listen = unix:none/x.sock',
	    qr/weir\.conf:4: error: listen = \S+none\/x\.sock: there is no directory \S+none: create it/],
	['a UNIX listener where something else is', '', 'listen = unix:conf/weir.conf',
	    qr/weir\.conf:4: error: listen = \S+: that is a file of the configuration/],
	['a UNIX listener where a file is', '', 'listen = unix:run/file',
	    qr/weir\.conf:4: error: \[server echo\] listen unix:\S+: File exists: the file is no socket/,
	    prepare => sub ($w) { spurt($w->path('run/file'), '') }],
	['an address of no interface', '', 'listen = 203.0.113.7:7777',
	    qr/weir\.conf:4: error: \[server echo\] listen 203\.0\.113\.7:7777: Cannot assign requested address: no interface/],
	['an interface that is not there', '', "$tcp device=none0",
	    qr/weir\.conf:4: error: \[server echo\] listen \S+: SO_BINDTODEVICE: No such device: there is no such interface/],
	['an address that another covers', '', "$tcp reuseport=off\nlisten = $port",
	    qr/weir\.conf:4: error: 127\.0\.0\.1:$port with reuseport=off cannot be listened on beside \S+:$port of \[server echo\] \(\S+weir\.conf:5\): drop one/],
	['a pid file that is no file', 'pid = /dev/full', $tcp,
	    qr/weir\.conf:2: error: pid = \/dev\/full: is no regular file/],
	['a pid file that is a link', 'pid = run/link', $tcp,
	    qr/weir\.conf:2: error: pid = \S+run\/link: is a symbolic link/,
	    prepare => sub ($w) { symlink('elsewhere', $w->path('run/link')) or die }],
	['a log that is the pid file', "error_log = run/../run/weir.pid", $tcp,
	    qr/weir\.conf:2: error: error_log = \S+: that is the pid file/],
	['a control socket that is a log', "control = logs/x\nerror_log = logs/x", $tcp,
	    qr/weir\.conf:3: error: error_log = \S+: that is the control socket/],
	['a listener that is the control socket', '', 'listen = unix:run/weir.sock',
	    qr/weir\.conf:4: error: listen = \S+: that is the control socket/],
	['a pid file that is the configuration', 'pid = conf/weir.conf', $tcp,
	    qr/weir\.conf:2: error: pid = \S+: that is a file of the configuration/],
	['a log that nobody reads', 'error_log = logs/fifo', $tcp,
	    qr/weir\.conf:2: error: error_log = \S+fifo: No such device or address: it is a socket, or a FIFO that nobody reads/,
	    prepare => sub ($w) { POSIX::mkfifo($w->path('logs/fifo'), 0600) or die }],
) {
	my ($name, $weir, $server, $told, %option) = @$case;
	it $name => sub {
		my ($test, $start) = refused($weir, $server, %option);
		like $test, $told;
		like $start, $told, 'in the same words';
	};
}

it 'a file that would be cut off is as it was' => sub {
	my (undef, undef, $w) = refused('pid = conf/weir.conf', $tcp);
	like slurp($w->path('conf/weir.conf')), qr/protocol = echo/;
};

# What only root may do.
for my $case (
	['owner =', 'listen = unix:run/x.sock owner=root',
	    qr/weir\.conf:4: error: \[server echo\] listen unix:\S+: chown: Operation not permitted: owner= needs root/],
	['the directory of a UNIX listener', 'listen = unix:conf/x.sock',
	    qr/weir\.conf:4: error: listen = \S+: cannot write to the directory \S+conf: Permission denied/],
	['transparent', "$tcp transparent",
	    qr/weir\.conf:4: error: \[server echo\] listen \S+: IP_TRANSPARENT: Operation not permitted: transparent needs root/],
) {
	my ($name, $server, $told) = @$case;
	it "$name, started by somebody else" => sub {
		plan skip_all => 'not root' if !$root;
		my ($test, $start) = refused('', $server, user => 'nobody');
		like $test, $told;
		like $start, $told;
	};
}

it 'a low port, started by somebody else' => sub {
	plan skip_all => 'not root' if !$root;
	my $first = slurp('/proc/sys/net/ipv4/ip_unprivileged_port_start') + 0;
	plan skip_all => 'all ports are everybody\'s here' if $first < 2;
	my ($test, $start) = refused('', 'listen = 127.0.0.1:1', user => 'nobody');
	for my $text ($test, $start) {
		like $text, qr/weir\.conf:4: error: \[server echo\] listen 127\.0\.0\.1:1: Permission denied: ports below 1024 need root/;
	}
};

it 'an address that is in use is no fault of the configuration' => sub {
	my $w = weir("[server echo]\nlisten = 127.0.0.1:$port\nlisten = unix:run/echo.sock\nprotocol = echo\n");
	is $w->command('-t')->{exit}, 0;
	ok client($port)->ping;
	ok client('unix:' . $w->path('run/echo.sock'))->ping;
	$w->stop;
};

it 'addresses that only seem to be the same are none' => sub {
	my $w = weir(<<"CONF");
[server echo]
listen = 0.0.0.0:$port reuseport=off
listen = [::]:$port reuseport=off v6only
protocol = echo
[server other]
listen = unix:run/echo.sock
protocol = echo
CONF
	ok client($port)->ping;
	$w->stop;
};

it 'run/ and logs/ need not be there' => sub {
	my $w = Weir::Daemon->new("[server echo]\nlisten = unix:run/echo.sock\nprotocol = echo\n");
	rmdir($w->path($_)) or die for qw(run logs);
	is $w->command('-t')->{exit}, 0;
	ok !-e $w->path('run'), 'and -t makes nothing';
};

done_testing;
