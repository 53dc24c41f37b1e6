#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# At a reload sessions move to new workers: what the processes do for that, and when one of them does not.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

sub echo_weir($port, $settings = '')
{
	return weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
@{[$settings =~ /watchdog/ ? '' : 'worker_watchdog = off	; some are stopped, for long on a busy machine']}
$settings
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
}

# Like a client of the control socket, but does not wait for old workers.
sub reload_to($w, $generation)
{
	$w->signal('HUP');
	my $runs = wait_for {
		my $s = $w->status;
		$s->generation == $generation && !grep { $_->{state} !~ /accepting|retiring|not answering/ } $s->workers;
	} 20;
	ok $runs, "generation $generation runs";
}

# The same, and until its worker serves: one that is stopped before that is not an heir yet.
sub reload_to_serving($w, $generation, $port)
{
	reload_to($w, $generation);
	my $c = client($port);
	$c->send_fin('');
	is $c->ending, 'eof', 'it serves';
	$c->close;
}

sub gone($w, $pid)
{
	return wait_for { !grep { $_->{pid} == $pid } $w->processes } 20;
}

sub signal_to($name, $pid)
{
	kill($name, $pid) or die "kill $name $pid: $!\n";
	wait_for { Weir::Process::state($pid) eq 'T' } if $name eq 'STOP';
}

# A weir with one session, whose worker was stopped before generation 2 came to run.
sub held_back()
{
	my $w = echo_weir(my $port = free_port);
	my $c = client($port);
	ok $c->ping;
	my $old = $w->worker(0);
	signal_to('STOP', $old);
	reload_to_serving($w, 2, $port);
	return ($w, $c, $old);
}

# And has sent the session now, to a worker that is stopped.
sub sent()
{
	my ($w, $c, $old) = held_back();
	my $heir = $w->worker(0);
	signal_to('STOP', $heir);
	signal_to('CONT', $old);
	ok gone($w, $old), 'all has been sent';
	return ($w, $c, $heir);
}

it 'sessions move, the reload says how many, and old workers end' => sub {
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 150;
	$_->ping for @clients;
	my $old = $w->worker(0);
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{text}, qr/^sessions: 150 moved in \d+ ms$/m;
	ok gone($w, $old), 'the old worker ends';
	ok $_->ping for @clients;
	is $w->status->sessions, 150;
	$_->close for @clients;
	unlike $w->reload->{text}, qr/sessions/, 'without sessions nothing is said of them';
	$w->stop;
};

it 'handover = off: they stay' => sub {
	my $w = echo_weir(my $port = free_port, 'handover = off');
	my $c = client($port);
	ok $c->ping;
	my $old = $w->worker(0);
	unlike $w->reload->{text}, qr/sessions/;
	my ($there) = grep { $_->{pid} == $old } $w->status->workers;
	is_deeply [$there->@{qw(generation state sessions)}], [1, 'retiring', 1];
	$w->edit_conf(sub { s/handover = off/handover = on/ });
	like $w->reload->{text}, qr/^sessions: 1 moved/m, 'until a configuration wants them';
	ok gone($w, $old);
	ok $c->ping;
	$c->close;
	$w->stop;
};

it 'generations, workers and the age of their sessions are shown' => sub {
	my $w = echo_weir(my $port = free_port, "handover = off\nworker_watchdog = 9s");
	my $c = client($port);
	$c->ping;
	$w->reload;
	ok wait_for { $w->command('generations')->{out} =~ /sessions 1, the oldest begun [1-9]/ };
	like $w->command('generations')->{out},
	    qr/^generation 1: retiring .*\n  worker 0: process \d+, retiring, sessions 1, the oldest begun \w+ ago\ngeneration 2: running/m;
	ok((grep { $_->{oldest_ms} >= 1000 && $_->{generation} == 1 } $w->status->workers), 'in JSON, too');
	$c->close;
	$w->stop;
};

# Nothing lives but what runs, so nothing may be left open of what has ended.
it 'descriptors are as many after many reloads' => sub {
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 20;
	my $count = sub {
		return map { scalar(Weir::Process::descriptors($_)) } $w->pid, $w->template, $w->worker(0);
	};
	# And what the master had of the one before is closed, too.
	my $settled = sub { wait_for { scalar($w->processes) == 3 && $w->command('generations')->{out} !~ /^generation.*^generation/ms } 20 };
	is $w->reload->{exit}, 0;
	ok $settled->();
	my @before = $count->();
	for (1 .. (Weir::Build::valgrind() || Weir::Build::sanitized() ? 5 : 50)) {
		my $result = $w->reload;
		$result->{exit} == 0 or fail "reload $_: $result->{text}";
	}
	ok $settled->();
	my @after;
	ok wait_for { @after = $count->(); "@after" eq "@before" }, "@before: master, template, worker"
	    or diag "@after";
	ok $_->ping for @clients;
	$_->close for @clients;
	$w->stop;
};

it 'an heir that is killed leaves what it was sent to the next worker of its slot' => sub {
	my ($w, $c, $heir) = sent();
	signal_to('KILL', $heir);
	ok $c->ping, 'and received';
	$c->close;
	$w->stop;
};

it 'one that retires, too, leaves it to a worker that runs' => sub {
	my ($w, $c, $heir) = sent();
	reload_to($w, 3);
	signal_to('KILL', $heir);
	ok $c->ping, 'and received';
	ok wait_for { $w->command('generations')->{out} !~ /^generation 2/m }, 'the generation between has ended';
	$c->close;
	$w->stop;
};

it 'whoever reads looks whether it can go on: another protocol by then' => sub {
	my ($w, $c, $heir) = sent();
	my $answers = backend('line');
	$w->edit_conf(sub { s/protocol = echo/protocol = line_proxy\nupstream = u\n[upstream u]\nserver = @{[$answers->address]}/ });
	reload_to($w, 3);
	my $running = $w->worker(0);
	signal_to('KILL', $heir);
	isnt $c->ending, 'open', 'it is closed';
	ok wait_for { ($w->status->server('echo')->{end_not_resumed} // 0) == 1 }, 'and counted';
	is $w->worker(0), $running, 'the worker that read it goes on';
	$w->stop;
};

it 'an old worker that was not told yet gets the newest heirs' => sub {
	my ($w, $c, $old) = held_back();
	reload_to($w, 3);
	signal_to('CONT', $old);
	ok wait_for { $w->command('generations')->{out} =~ /\Ageneration 3: running .*sessions 1,/ };
	ok $c->ping;
	$c->close;
	$w->stop;
};

it 'a reload that is forced, and a stop, do not wait for one that hangs' => sub {
	my ($w, $c, $old) = held_back();
	is $w->command('-s', 'reload', '--force')->{exit}, 0;
	like $w->log, qr/sessions: 0 moved in \d+ ms, 1 old worker is still moving/;
	$c->close;
	signal_to('CONT', $old);
	$w->stop;
};

it 'sessions wait for descriptors, and none is lost' => sub {
	my $prlimit = program('prlimit') or plan skip_all => 'no prlimit here';
	# whose limits we may change
	my $w = echo_weir(my $port = free_port, ($> == 0 ? "user = root\n" : '') . 'worker_rlimit_nofile = 1000');
	my @clients = map { client($port) } 1 .. 30;
	$_->ping for @clients;
	my $old = $w->worker(0);
	signal_to('STOP', $old);
	reload_to_serving($w, 2, $port);
	my $heir = $w->worker(0);
	my $limit = sub ($n) { system($prlimit, "--pid=$heir", "--nofile=$n:") == 0 or die "prlimit\n" };
	$limit->(50);
	signal_to('CONT', $old);
	$w->wait_log(qr/warn .*sessions of other workers wait/);
	$limit->(1000);
	ok $_->ping for @clients;
	ok gone($w, $old);
	$_->close for @clients;
	$w->stop;
};

it 'a worker without a descriptor left gets its new log, and hands over' => sub {
	program('prlimit') or plan skip_all => 'no prlimit here';
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 5;
	$_->ping for @clients;
	$w->leave_descriptors(0);
	my $log = $w->path('logs/error.log');
	rename($log, "$log.old") or die "$log: $!\n";
	is $w->command('-s', 'reopen')->{exit}, 0;
	(pop @clients)->close;
	$w->wait_log(qr/worker 0: closed: client_closed/);
	like $w->reload->{text}, qr/^sessions: 4 moved/m;
	ok $_->ping for @clients;
	$_->close for @clients;
	$w->stop;
};

# What is on its way to a worker that is stopped, of so many sessions; the old one has the rest.
sub half_sent($count)
{
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port, timeout => 60) } 1 .. $count;
	$_->ping for @clients;
	my $old = $w->worker(0);
	signal_to('STOP', $old);
	reload_to_serving($w, 2, $port);
	my $heir = $w->worker(0);
	signal_to('STOP', $heir);
	signal_to('CONT', $old);
	my ($left, $before) = ($count, -1);
	my $settled = wait_for {
		($before, $left) = ($left, (map { $_->{sessions} } grep { $_->{pid} == $old } $w->status->workers)[0]);
		$left < $count && $left == $before;
	} 20;
	ok $settled, ($count - $left) . ' are on their way';
	return ($w, $old, $heir, $left, @clients);
}

sub all_follow($w, $old, $heir, @clients)
{
	signal_to('CONT', $heir);
	ok gone($w, $old), 'all of them follow when the other reads';
	ok !(grep { !$_->ping } @clients), 'and none is lost';
	is $w->status->sessions, scalar(@clients);
	$_->close for @clients;
	$w->stop;
}

it 'a full channel: the rest stays where it is served, and follows' => sub {
	my ($w, $old, $heir, $left, @clients) = half_sent(2000);
	cmp_ok $left, '>', 100, "there is no room for $left sessions";
	# those that came last are the last to go
	ok !(grep { !$_->ping } @clients[-20 .. -1]), 'they are served';
	all_follow($w, $old, $heir, @clients);
};

it 'sessions for which there are no descriptors stay where they are served, and follow' => sub {
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 200;
	$_->ping for @clients;
	my $old = $w->worker(0);
	$w->edit_conf(sub { s/\[server/worker_rlimit_nofile = 160\n[server/ });
	my $result = $w->reload;
	is $result->{exit}, 0;
	my ($moved, $waiting) = $result->{text} =~
	    /^sessions: (\d+) moved in \d+ ms, (\d+) wait in old workers: no new one has descriptors/m;
	is(($moved // 0) + ($waiting // 0), 200, 'all are told of') or diag $result->{text};
	cmp_ok $_ // 0, '>', 5 for $moved, $waiting;
	ok !(grep { !$_->ping } @clients), 'and all are served';
	is $w->status->sessions, 200;
	# as they end, others go on in their place
	$_->close for splice(@clients, 0, 20), splice(@clients, -150);
	ok wait_for(sub { gone($w, $old) }, 60), 'until the old worker has none';
	ok !(grep { !$_->ping } @clients);
	$_->close for @clients;
	$w->stop;
};

it 'a request in flight while there are no descriptors: it is answered, and so are the next' => sub {
	my ($lines, $port) = free_ports(2);
	my $answers = backend('line');
	my $w = echo_weir($port, "[server lines]\nlisten = 127.0.0.1:$lines\nprotocol = line_proxy\nupstream = answers\n" .
	    "idle_timeout = 1h\n[upstream answers]\nserver = @{[$answers->address]}\nreply_timeout = off\npool_size = 4");
	my @busy = map { client($lines) } 1 .. 10;
	my @idle = map { client($port) } 1 .. 200;
	$_->ping for @idle;
	$answers->tell('keep');
	$_->send("one\n") for @busy;
	ok wait_for { ($w->status->server('lines')->{bytes_in} // 0) >= 40 };
	$w->edit_conf(sub { s/\[server/worker_rlimit_nofile = 160\n[server/ });
	like $w->reload->{text}, qr/wait in old workers: no new one has descriptors/;
	$answers->tell('release');
	is join('', map { $_->line } @busy), "one\n" x @busy, 'what was asked';
	$_->send("two\n") for @busy;
	is join('', map { $_->line } @busy), "two\n" x @busy, 'what is asked then';
	$_->close for @busy, @idle;
	$w->stop;
};

it 'more sessions than worker_connections allows: they go on, and accepting pauses' => sub {
	my $w = echo_weir(my $port = free_port);
	my @clients = map { client($port) } 1 .. 100;
	$_->ping for @clients;
	my $old = $w->worker(0);
	$w->edit_conf(sub { s/\[server/worker_connections = 10\n[server/ });
	like $w->reload->{text}, qr/^sessions: 100 moved/m;
	ok gone($w, $old);
	my $waits = client($port);
	$waits->send('who?');
	ok wait_for { ($w->status->server('echo')->{paused} // 0) == 1 };
	ok !(grep { !$_->ping } @clients), 'those that there are go on';
	is $w->status->sessions, 100, 'nobody else is accepted';
	$_->close for splice(@clients, 5);
	is $waits->recv(4), 'who?', 'until enough have ended';
	$_->close for @clients, $waits;
	$w->stop;
};

done_testing;
