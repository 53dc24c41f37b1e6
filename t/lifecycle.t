#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Processes: signals, deaths, pid file, daemon, service manager, titles.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;
use Weir::Notify;

Weir::Build::ignore_leaks();

my $ROOT = $> == 0;

# A weir with an echo server; more keys of [weir] may be given.
sub echo_weir($port, $more = '', %option)
{
	return weir(<<"CONF", %option);
[weir]
workers = 2
error_log = logs/error.log info
$more
[server echo]
listen = 127.0.0.1:$port
listen = unix:run/echo.sock mode=0666
protocol = echo
CONF
}

# Sessions until each worker has one: slot's pid => client.
sub client_of_each($w, $port)
{
	my %of;
	my %sessions = map { $_ => 0 } $w->workers;
	wait_for {
		my $c = client($port);
		$c->ping;
		for my $pid (keys %sessions) {
			my $now = grep { /^socket:/ } Weir::Process::descriptors($pid);
			$of{$pid} = $c if $sessions{$pid} && $now > $sessions{$pid};
			$sessions{$pid} = $now;
		}
		keys %of == keys %sessions;
	} or die "connections do not spread over the workers\n";
	return %of;
}

it 'processes say what they are' => sub {
	my $w = echo_weir(my $port = free_port);
	my @titles = sort map { $_->{title} } $w->processes;
	is_deeply \@titles, ['weir: master', 'weir: template (generation 1)',
	    'weir: worker 0 (generation 1)', 'weir: worker 1 (generation 1)'];
	for my $p ($w->processes) {
		is $p->{ppid}, $p->{kind} eq 'master' ? $$ : $w->pid, "$p->{title}: parent";
	}
	if ($ROOT) {
		for my $pid ($w->workers) {
			is +(stat("/proc/$pid"))[4], scalar(getpwnam('nobody')), 'runs as nobody';
		}
	}
	$w->stop;
	ok !-e $w->path('run/weir.pid'), 'the pid file is gone';
	ok !-e $w->path('run/weir.sock'), 'the control socket is gone';
	ok !-e $w->path('run/echo.sock'), 'the UNIX listener is gone';
	ok !Weir::Client->try($port), 'the port is free';
};

it 'QUIT lets sessions end by themselves' => sub {
	my $w = echo_weir(my $port = free_port);
	my @stay = map { my $c = client($port); $c->ping; $c } 1 .. 10;
	$w->signal('QUIT');
	ok wait_for { my $c = Weir::Client->try($port); !$c || !eval { $c->ping } };
	ok !Weir::Client->try($port), 'new ones are refused';
	for my $c (@stay) {
		ok $c->ping, 'old ones go on';
		is $c->shutdown->ending, 'eof';
	}
	$w->gone;
};

it 'QUIT ends sessions at worker_shutdown_timeout' => sub {
	my $w = echo_weir(my $port = free_port, 'worker_shutdown_timeout = 300ms');
	my $c = client($port);
	$c->ping;
	$w->signal('QUIT');
	isnt $c->ending, 'open';
	$w->gone;
};

for my $signal (qw(TERM INT)) {
	it "$signal ends at once" => sub {
		my $w = echo_weir(my $port = free_port);
		my @stay = map { my $c = client($port); $c->ping; $c } 1 .. 10;
		$w->signal($signal);
		isnt $_->ending, 'open' for @stay;
		$w->gone;
	};
}

it 'TERM after QUIT does not wait any longer' => sub {
	my $w = echo_weir(my $port = free_port);
	my $c = client($port);
	$c->ping;
	$w->signal('QUIT');
	ok wait_for { !Weir::Client->try($port) };
	$w->signal('TERM');
	isnt $c->ending, 'open';
	$w->gone;
};

for my $how ('quit', 'stop') {
	it "-s $how" => sub {
		my $w = echo_weir(free_port);
		my $result = $w->command('-s', $how);
		is $result->{exit}, 0 or diag $result->{text};
		$w->gone;
	};
}

it 'HUP reloads' => sub {
	my ($port, $more) = free_ports(2);
	my $w = echo_weir($port);
	my $c = client($port);
	$c->ping;
	$w->edit_conf(sub {
		$_ .= "[server more]\nlisten = 127.0.0.1:$more\nprotocol = echo\n";
	});
	$w->signal('HUP');
	ok wait_for { Weir::Client->try($more) };
	ok $c->ping, 'sessions go on';
	ok wait_for { grep { $_->{title} eq 'weir: worker 0 (generation 2)' } $w->processes };
	$w->edit_conf(sub { s/protocol = echo/protocol = nonsense/ });
	$w->mark;
	$w->signal('HUP');
	$w->wait_log(qr/nonsense/);
	ok client($more)->ping, 'a bad configuration changes nothing';
	$c->close;
	$w->stop;
};

for my $how ('USR1', '-s reopen') {
	it "$how reopens the log" => sub {
		my $w = echo_weir(my $port = free_port);
		my $log = $w->path('logs/error.log');
		rename($log, "$log.1") or die "$log: $!\n";
		if ($how eq 'USR1') {
			$w->signal('USR1');
		} else {
			is $w->command('-s', 'reopen')->{exit}, 0;
		}
		ok wait_for { -e $log }, 'there is a new file';
		my @open;
		ok wait_for {
			@open = grep { $_ eq "$log.1" }
			    map { Weir::Process::descriptors($_->{pid}) } $w->processes;
			!@open;
		}, 'nobody keeps the old one';
		$w->signal('HUP');
		$w->{mark} = 0;
		$w->wait_log(qr/./);
		$w->stop;
	};
}

it 'a worker that is killed is replaced, and the others go on' => sub {
	my $w = echo_weir(my $port = free_port);
	$w->allow(qr/./);
	my %client_of = client_of_each($w, $port);
	my ($victim, @others) = $w->workers;
	for (1 .. 3) {
		kill('KILL', $victim);
		isnt $client_of{$victim}->ending, 'open', 'its sessions are gone' if $_ == 1;
		my $new;
		ok wait_for { $new = $w->worker(0); $new && $new != $victim }, 'another takes its slot';
		$victim = $new;
		ok $client_of{$_}->ping, 'sessions of the others go on' for @others;
		# each slot's socket is served again
		ok client($port)->ping for 1 .. 10;
	}
	Weir::Client->reset_all;
	ok wait_for { $w->status->sessions == 0 };
	my $s = $w->status->server('echo');
	my $ended = 0;
	$ended += $s->{$_} for grep { /^end_/ } keys %$s;
	is $s->{accepted}, $ended, 'each session has ended for one reason';
	cmp_ok $s->{end_worker_died}, '>', 0, 'for some it is the death of their worker';
	$w->stop;
	like $w->log, qr/worker 0.*SIGKILL/, 'the log says so';
};

it 'while a worker is stopped, connections find another' => sub {
	my $w = echo_weir(my $port = free_port);
	$w->allow(qr/./);
	my $load = crowd('churn', '-c', 4, '--rate', 500, "127.0.0.1:$port");
	for (1 .. 5) {
		my $victim = $w->worker(1) // next;
		kill('KILL', $victim);
		ok wait_for { my $new = $w->worker(1); $new && $new != $victim };
		$load->moving;
	}
	my $of = $load->end->{of};
	# those that the dead one had accepted are lost, and no others
	is $of->{connect_refused}, 0, 'none was refused';
	is $of->{errors}, $of->{reset} + $of->{closed}, 'nor were there other faults';
	$w->stop;
};

it 'a template that is killed is made again' => sub {
	my $w = echo_weir(my $port = free_port);
	$w->allow(qr/template/);
	my $c = client($port);
	$c->ping;
	my $template = $w->template;
	kill('KILL', $template);
	ok wait_for { my $new = $w->template; $new && $new != $template && $w->workers == 2 } 20;
	ok $c->ping, 'sessions go on';
	my $victim = $w->worker(0);
	$w->allow(qr/worker/);
	kill('KILL', $victim);
	ok wait_for { my $new = $w->worker(0); $new && $new != $victim }, 'a worker comes of it';
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
	Weir::Client->reset_all;
	$w->stop;
};

# The template dies after its files have become something else; then a worker dies.
for my $edit (
	[ 'another text' => sub ($w) { $w->edit_conf(sub { s/workers = 2/workers = 3/ }) } ],
	[ 'half of it' => sub ($w) { $w->write_conf("[weir]\nworkers = 3\n[server ec") } ],
	[ 'an error in what is included' => sub ($w) { spurt($w->path('conf/one.conf'), "x = y\n") } ],
	[ 'another file that matches' => sub ($w) { spurt($w->path('conf/two.conf'), "x = y\n") } ],
	[ 'nothing, the files are gone' => sub ($w) { unlink glob($w->path('conf/*.conf')) } ],
) {
	my ($what, $change) = @$edit;
	it "what was checked runs on when there is $what" => sub {
		my $port = free_port;
		my $w = weir(<<"CONF", prepare => sub ($w) {
[weir]
workers = 2
error_log = logs/error.log info
[server echo]
include = *one.conf
include = tw*.conf
protocol = echo
CONF
			spurt($w->path('conf/one.conf'), "listen = 127.0.0.1:$port\n");
		});
		my $conf = $w->conf;
		$w->allow(qr/template/, qr/worker/);
		$change->($w);
		my $template;
		ok wait_for { $template = $w->template }, 'there is a template';
		kill('KILL', $template);
		my $there = wait_for { my $new = $w->template; $new && $new != $template && $w->workers == 2 } 20;
		ok $there, 'a template is made anew';
		my $victim;
		ok wait_for { $victim = $w->worker(1) }, 'and a worker';
		kill('KILL', $victim);
		$there = wait_for { my $new = $w->worker(1); $new && $new != $victim };
		ok $there, 'a worker comes of it';
		ok wait_for { $w->workers == 2 }, 'with the same number of workers';
		ok client($port)->ping, 'and the same listener';
		unlike $w->log, qr/conf:\d+/, 'no file was read';
		$w->write_conf("$conf\n[nonsense]\n");
		isnt $w->reload->{exit}, 0, 'a reload reads the files';
		unlink $w->path('conf/two.conf');
		spurt($w->path('conf/one.conf'), "listen = 127.0.0.1:$port\n");
		$w->write_conf($conf =~ s/workers = 2/workers = 1/r);
		is $w->reload->{exit}, 0, 'also one that is good';
		is scalar($w->workers), 1;
		Weir::Client->reset_all;
		$w->stop;
	};
}

it 'when the master is killed, ports are free and workers gone' => sub {
	my $w = echo_weir(my $port = free_port);
	my $c = client($port);
	$c->ping;
	kill('KILL', $w->pid);
	ok wait_for { !Weir::Client->try($port) };
	$w->gone(signal => 9);
	my $again = Weir::Daemon->new($w->conf);
	$again->spawn->wait_ready;
	ok client($port)->ping, 'it can be started again';
	$again->stop;

	# in the same prefix too: what the dead one left there does not hinder
	$w->spawn->wait_ready;
	ok client($port)->ping;
	ok client('unix:' . $w->path('run/echo.sock'))->ping;
	$w->stop;
};

it 'the pid file holds the pid, and its lock refuses a second weir' => sub {
	my ($port, $other) = free_ports(2);
	my $w = echo_weir($port);
	my ($pid) = slurp($w->path('run/weir.pid')) =~ /^(\d+)\n\z/;
	is $pid, $w->pid;
	my $conf = $w->conf;
	$w->edit_conf(sub { s/$port/$other/; s/listen = unix.*\n// });
	my $second = $w->command('-g', 'daemon = off');
	isnt $second->{exit}, 0;
	like $second->{text}, qr/weir\.pid|already|running/i;
	ok client($port)->ping, 'the first is not disturbed';
	is slurp($w->path('run/weir.pid')), "$pid\n";
	is $w->command('status')->{exit}, 0;
	$w->write_conf($conf);
	is $w->reload->{exit}, 0;
	$w->stop;
};

it 'files that cannot be made are told with their line' => sub {
	my $server = "[server echo]\nlisten = 127.0.0.1:@{[free_port]}\nprotocol = echo\n";
	my $w = Weir::Daemon->new("[weir]\n\ncontrol = run/file\n$server");
	open(my $fh, '>', $w->path('run/file')) or die "run/file: $!\n";
	close($fh);
	for my $result ($w->command('-t'), $w->command('-g', 'daemon = off')) {
		is $result->{exit}, 1;
		like $result->{text}, qr/weir\.conf:3: error: control = .*no socket/;
	}
	ok -e $w->path('run/file');
	$w->write_conf("[weir]\npid = run/link\n$server");
	symlink('elsewhere', $w->path('run/link'));
	my $result = $w->command('-g', 'daemon = off');
	is $result->{exit}, 1;
	like $result->{text}, qr/weir\.conf:2: error: pid = /;
};

it 'a port that another weir has is refused' => sub {
	my $w = echo_weir(my $port = free_port);
	my $other = Weir::Daemon->new(<<"CONF");
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	my $result = $other->command('-g', 'daemon = off');
	isnt $result->{exit}, 0;
	like $result->{text} . $other->log, qr/$port/;
	ok client($port)->ping;
	$w->stop;
};

it 'daemon = on goes to the background when all is ready' => sub {
	my $port = free_port;
	my $w = Weir::Daemon->new(<<"CONF", daemon => 1);
[weir]
workers = 2
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	$w->spawn;
	is Weir::Process::reap($w->{child}), 0, 'the first process ends with 0';
	$w->{status} = 0;
	ok client($port)->ping, 'and then weir serves';
	isnt $w->pid, $w->{child};
	my ($master) = grep { $_->{pid} == $w->pid } Weir::Process::all();
	is $master->{title}, 'weir: master';
	isnt $master->{ppid}, $$;
	$w->wait_ready;
	$w->stop;
	ok !-e $w->path('run/weir.pid');
};

it 'daemon = on keeps nothing of the caller' => sub {
	my $port = free_port;
	my $w = Weir::Daemon->new("[server echo]\nlisten = 127.0.0.1:$port\nprotocol = echo\n");
	my $command = join(' ', map { quotemeta } $w->_command('-g', 'daemon = on'));
	my $output = eval {
		local $SIG{ALRM} = sub { die "its output does not end\n" };
		alarm(patience(20));
		my $text = qx($command 2>&1 </dev/null);
		alarm(0);
		$text;
	};
	is $output, '', 'its output ends' or diag $@;
	ok client($port)->ping;
	is $w->command('-s', 'stop')->{exit}, 0;
};

it 'daemon = on tells of a failure to start' => sub {
	my $w = Weir::Daemon->new("[server echo]\nprotocol = nonsense\nlisten = 1\n");
	my $result = $w->command('-g', 'daemon = on');
	isnt $result->{exit}, 0;
	like $result->{text}, qr/weir\.conf:2/;
};

for my $signal (qw(INT TERM KILL)) {
	it "a start that is interrupted by SIG$signal ends whole" => sub {
		my $port = free_port;
		my $dir = File::Temp->newdir;
		Weir::Build::compile_module(<<'C', "$dir/slow.so");
#include <unistd.h>
#include "weir.h"

static const char *
slow_check(struct weir_scope *scope)
{
	(void)scope;
	for (;;)
		pause();
}

static enum weir_verdict
slow_data(struct weir_session *s, struct weir_span in)
{
	return weir_send(s, in);
}

static const struct weir_protocol protocol = { .data = slow_data };
static const struct weir_module slow = { .name = "slow", .protocol = &protocol, .check = slow_check };
WEIR_MODULE(slow);
C
		my $w = Weir::Daemon->new(<<"CONF");
[weir]
load_module = $dir/slow.so
[server echo]
listen = 127.0.0.1:$port
protocol = slow
CONF
		my $mine = sub { grep { $_->{ppid} == $_[0] } Weir::Process::all() };
		my $starter = Weir::Process::spawn([$w->_command('-g', 'daemon = on')],
		    output => $w->path('console'));
		my ($master, $template);
		ok wait_for {
			($master) = map { $_->{pid} } $mine->($starter);
			($template) = map { $_->{pid} } $mine->($master // -1);
			$template;
		};
		kill($signal, $starter);
		is Weir::Process::reap($starter) & 127, POSIX->can("SIG$signal")->();
		ok wait_for { !kill(0, $master) && !kill(0, $template) }, 'nobody is left';
		like slurp($w->path('console')), qr/the start was interrupted/;
	};
}

# The command of a shell that closes these descriptors first.
sub closed($w, $closed, @args)
{
	my $redirect = join(' ', map { "$_>&-" } split(//, $closed));
	return ['sh', '-c', "exec \"\$@\" $redirect", 'sh', $w->_command(@args)];
}

for my $closed (qw(0 1 2 01 02 12 012)) {
	it "it may be started with $closed closed" => sub {
		my $port = free_port;
		my $w = Weir::Daemon->new(<<"CONF", daemon => 1);
[weir]
workers = 2
error_log = stderr debug
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
		my $starter = Weir::Process::spawn(closed($w, $closed), group_leader => 1,
		    env => { $w->_env }, output => $w->path('console'));
		is Weir::Process::reap($starter, 20), 0, 'the starter returns when weir serves';
		$w->{child} = $starter;
		$w->{status} = 0;
		my @workers = $w->workers;
		ok client($port)->ping, 'it serves';
		for my $p ($w->processes) {
			my %fd = map { $_ => readlink("/proc/$p->{pid}/fd/$_") } 0 .. 2;
			is $fd{$_}, '/dev/null', "$p->{title}: $_" for split(//, $closed);
		}
		for my $command (['-t'], ['-T'], ['status'], ['-s', 'reload']) {
			my $result = Weir::Process::run(closed($w, $closed, @$command));
			is $result->{exit}, 0, "weir @$command" or diag $result->{text};
		}
		ok client($port)->ping, 'and goes on to serve';
		unlike $w->log, qr/killed|ended with/, 'no worker has ended otherwise than asked';
		$w->stop;
	};
}

it 'tells the service manager' => sub {
	my $port = free_port;
	my $notify;
	my $w = Weir::Daemon->new(<<"CONF");
[weir]
workers = 2
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	$notify = Weir::Notify->new($w->path('run/notify.sock'));
	$w->{option}{env} = { NOTIFY_SOCKET => $notify->path };
	$w->spawn;
	$notify->wait('READY=1');
	ok client($port)->ping, 'ready means that it serves';
	$w->wait_ready;
	is scalar(grep { $_ eq 'READY=1' } $notify->all), 1;
	ok scalar(grep { /^STATUS=./ } $notify->all), 'a STATUS too';

	$notify->clear;
	is $w->reload->{exit}, 0;
	$notify->wait('READY=1');
	my @all = $notify->all;
	my ($reloading) = grep { $all[$_] eq 'RELOADING=1' } 0 .. $#all;
	my ($ready) = grep { $all[$_] eq 'READY=1' } 0 .. $#all;
	ok defined($reloading) && $reloading < $ready, 'RELOADING before READY';
	ok scalar(grep { /^MONOTONIC_USEC=\d+$/ } @all);

	$notify->clear;
	$w->edit_conf(sub { s/echo$/nonsense/m });
	isnt $w->reload->{exit}, 0;
	$notify->wait('READY=1');

	$notify->clear;
	$w->signal('TERM');
	$notify->wait('STOPPING=1');
	$w->gone;
};

it 'a log on a full disk stops nothing' => sub {
	plan skip_all => 'no /dev/full' if !-c '/dev/full';
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = /dev/full debug
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	ok client($port)->ping for 1 .. 20;
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
	$w->stop;
};

it 'children that are not its own do not confuse it' => sub {
	my $port = free_port;
	# sh becomes weir after it has left a child behind
	my $w = Weir::Daemon->new(<<"CONF");
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
	my @command = ($w->_command, '-g', 'daemon = off');
	$w->{child} = $w->{pid} = Weir::Process::spawn(['sh', '-c', '(exit 3) & exec "$@"', 'sh',
	    @command], group_leader => 1, output => $w->path('console'), env => { $w->_env });
	$w->wait_ready;
	ok client($port)->ping;
	$w->stop;
};

done_testing;
