# SPDX-License-Identifier: BSD-2-Clause
# One weir: a prefix of its own, a configuration, its processes, its end.
#
#	my $w = Weir::Daemon->start(<<"CONF", %option);
#
# writes PREFIX/conf/weir.conf, starts weir in the foreground and waits until
# `weir status` tells of a generation that runs; dies with log and configuration when that fails.
# Options: args (more arguments), env (hash), name, daemon (1: let it go to
# the background), nofile (soft limit of descriptors), prepare => sub ($w).
# new(...) does everything but start; spawn and wait_ready do the rest.
#
#	$w->prefix, $w->path('logs/x'), $w->pid (of the master)
#	$w->edit_conf(sub { s/a/b/ })	changes the file ($_); write_conf($text) replaces it
#	$w->reload		`weir -s reload`: { exit, out, err, text }
#	$w->command(@args)	any weir command on this prefix: the same
#	$w->status		Weir::Status, of `weir status --json`
#	$w->processes		[{ pid, title, kind, slot, generation }, ...]
#	$w->workers, $w->worker(SLOT), $w->template	pids of the newest generation
#	$w->leave_descriptors($count)	lets worker 0 open so many more
#	$w->memory		bytes of anonymous memory of all workers
#	$w->signal('HUP')	to the master
#	$w->log, $w->console	text of the error log; of stdout and stderr
#	$w->mark		log_since and wait_log look behind this point
#	$w->wait_log(qr/.../)	the match is in the log: true, or dies
#	$w->allow(qr/.../)	such alert lines are expected
#	$w->stop, $w->quit	end it (TERM, QUIT), then the standing checks
#	$w->gone(%expect)	it has ended or is about to: the standing checks alone
#
# The standing checks, one subtest: what is open is at zero (before the
# signal), exit status 0 (or exit => N, signal => N), no alert in the log, no
# report of a sanitizer or valgrind, no process left.  Every weir goes through
# them, at done_testing at the latest; idle => 0 leaves out the first.
package Weir::Daemon;
use v5.36;
use Fcntl qw(F_RDLCK O_NONBLOCK O_RDONLY);
use File::Temp ();
use POSIX qw(WNOHANG);
use Test::More ();
use Weir::Adapter;
use Weir::Build;
use Weir::Client;
use Weir::Process;
use Weir::Status;
use Weir::Wait;

use constant F_SETLEASE => 1024;

my @all;
my $count = 0;

sub start($class, $conf, %option)
{
	my $self = $class->new($conf, %option);
	$self->spawn;
	$self->wait_ready;
	return $self;
}

sub new($class, $conf, %option)
{
	my $dir = File::Temp->newdir('weir-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{WEIR_KEEP});
	my $self = bless { dir => $dir, prefix => "$dir", option => \%option, allowed => [],
	    name => $option{name} // 'weir' . ++$count, mark => 0, owner => $$ }, $class;
	chmod(0755, $dir);		# workers run as another user
	mkdir("$dir/$_", 0755) for qw(conf logs run);
	mkdir("$dir/reports");
	$self->{adapter} = Weir::Adapter->new($self->{prefix}) if Weir::Adapter::mode() && !$option{adapter};
	chmod(01777, "$dir/reports");
	$self->write_conf($conf);
	push @all, $self;		# a variable's end does not end a weir
	$option{prepare}->($self) if $option{prepare};
	return $self;
}

sub prefix($self) { return $self->{prefix} }
sub path($self, $name) { return "$self->{prefix}/$name" }
# Of a server that listens at unix:run/NAME.sock, for clients.
sub address($self, $name) { return 'unix:' . $self->path("run/$name.sock") }
sub name($self) { return $self->{name} }

sub pid($self)
{
	return $self->{pid} if !$self->{option}{daemon};
	my ($pid) = _slurp($self->path('run/weir.pid')) =~ /^(\d+)/;
	return $pid;
}

sub conf($self) { return _slurp($self->path('conf/weir.conf')) }

sub write_conf($self, $text)
{
	my $adapter = $self->{adapter};
	$self->{text} = $text;
	$text = $adapter->wrap($text) if $adapter;
	my $path = $self->path('conf/weir.conf');
	open(my $fh, '>:raw', "$path.new") or die "$path.new: $!\n";
	print $fh $text;
	close($fh) or die "$path.new: $!\n";
	rename("$path.new", $path) or die "$path: $!\n";
	$adapter->start if $adapter && $self->{child};
}

sub edit_conf($self, $edit)
{
	local $_ = $self->{text};
	$edit->();
	$self->write_conf($_);
}

#
# Starting
#

sub spawn($self)
{
	my $option = $self->{option};
	$self->{adapter}->start if $self->{adapter};
	my @command = $self->_command(@{$option->{args} // []});
	push @command, '-g', 'daemon = ' . ($option->{daemon} ? 'on' : 'off');
	if (Weir::Build::valgrind()) {
		unshift @command, 'valgrind', '--quiet', '--error-exitcode=99',
		    '--trace-children=yes', '--leak-check=full', '--vgdb=no',
		    '--errors-for-leak-kinds=definite',
		    '--log-file=' . $self->path('reports/valgrind.%p');
	}
	if ($option->{nofile}) {
		unshift @command, 'sh', '-c', 'ulimit -n "$0" && exec "$@"', $option->{nofile};
	}
	$self->{child} = Weir::Process::spawn(\@command, group_leader => 1,
	    env => { $self->_env, %{$option->{env} // {}} }, output => $self->path('console'));
	$self->{pid} = $self->{child};
	delete @$self{qw(ended status)};
	return $self;
}

sub _command($self, @args)
{
	return ($self->{option}{program} // Weir::Build::binary(), '-p', $self->{prefix},
	    '-c', $self->path('conf/weir.conf'), @args);
}

sub _env($self)
{
	my $reports = $self->path('reports');
	my %log = (ASAN_OPTIONS => "$reports/asan", UBSAN_OPTIONS => "$reports/ubsan");
	return map { $_ => join(':', grep { $_ } $ENV{$_}, "log_path=$log{$_}") } keys %log;
}

sub wait_ready($self)
{
	my $ready = wait_for {
		$self->_reap;
		return -1 if defined $self->{status} && !$self->{option}{daemon};
		-S $self->path('run/weir.sock') && eval { $self->status->generation };
	} 20;
	return $self if $ready && $ready > 0;
	my $why = $ready ? 'ended with status ' . _status_text($self->{status}) : 'is not ready';
	$self->tell;
	die "$self->{name} $why\n";
}

sub _reap($self)
{
	return if defined $self->{status};
	local $?;
	$self->{status} = $? if waitpid($self->{child}, WNOHANG) == $self->{child};
}

sub _status_text($status)
{
	return $status & 127 ? 'signal ' . ($status & 127) : $status >> 8;
}

#
# What one asks of a running weir
#

sub command($self, @args)
{
	return Weir::Process::run([$self->_command(@args)], timeout => 60,
	    env => { $self->_env });
}

# With what it was started with, or it would be refused.
sub reload($self)
{
	return $self->command(@{$self->{option}{args} // []}, '-s', 'reload');
}

# Asked on the control socket itself: below a sanitizer a program takes a third of
# a second only to start.
sub status($self)
{
	my $text = $self->_ask('status json');
	return Weir::Status->new($self->_unwrap($text)) if defined $text;
	my $result = $self->command('status', '--json');
	die "weir status: exit $result->{exit}: $result->{text}" if $result->{exit} != 0;
	return Weir::Status->new($self->_unwrap($result->{out}));
}

# What the master says to a line; undef when it cannot be asked that way.
sub _ask($self, $line)
{
	my $path = $self->path('run/weir.sock');
	return undef if $self->conf =~ /^\s*control\s*=/m || !-S $path;
	my ($answer, $status) = ('', undef);
	my $c = Weir::Client->try("unix:$path", timeout => 60) // return undef;
	eval {
		$c->send("$line\n");
		while (!defined $status) {
			my ($kind, $text) = $c->line =~ /^(.)(.*)\n/s or last;
			$answer .= "$text\n" if $kind ne '=';
			$status = $text if $kind eq '=';
		}
	};
	$c->close;
	return defined($status) && $status eq '0' ? $answer : undef;
}

sub signal($self, $name)
{
	kill($name, $self->pid) or die "kill $name: $!\n";
}

# All that the master started, and the master; by their titles.
sub processes($self)
{
	my $master = $self->pid // return ();
	my @found;
	for my $p (Weir::Process::with_children($master)) {
		# Its memory, the title with it, goes a moment before it is a zombie.
		next if $p->{state} eq 'Z' || $p->{title} eq '';
		my ($kind, $slot) = $p->{title} =~ /^weir: (\w+)(?: (\d+))?/;
		my ($generation) = $p->{title} =~ /\(generation (\d+)\)/;
		push @found, { %$p, kind => $kind // '', slot => $slot,
		    generation => $generation // 0 };
	}
	return @found;
}

sub _newest($self, $kind)
{
	my @all = sort { $b->{generation} <=> $a->{generation} }
	    grep { $_->{kind} eq $kind } $self->processes;
	return grep { $_->{generation} == $all[0]{generation} } @all;
}

sub workers($self)
{
	return map { $_->{pid} } sort { $a->{slot} <=> $b->{slot} } $self->_newest('worker');
}

sub worker($self, $slot)
{
	return (map { $_->{pid} } grep { $_->{slot} == $slot } $self->_newest('worker'))[0];
}

sub template($self)
{
	return (map { $_->{pid} } $self->_newest('template'))[0];
}

sub memory($self)
{
	my $sum = 0;
	$sum += Weir::Process::memory($_) for $self->workers;
	return $sum;
}

# Needs prlimit(1).
sub leave_descriptors($self, $count)
{
	my $worker = $self->worker(0);
	my %open = map { m{(\d+)\z} => 1 } glob("/proc/$worker/fd/*");
	my $limit = 0;
	while ($open{$limit} || $count-- > 0) {
		$limit++;
	}
	my @user = $> == 0 ? (user => 'nobody') : ();	# only its own user may do that
	my $result = Weir::Process::run(['prlimit', "--pid=$worker", "--nofile=$limit:"], @user);
	die $result->{text} if $result->{exit} != 0;
}

sub log($self) { return $self->_unwrap(_slurp($self->path('logs/error.log'))) }
sub console($self) { return _slurp($self->path('console')) }

sub _unwrap($self, $text) { return $self->{adapter} ? $self->{adapter}->unwrap($text) : $text }

sub mark($self)
{
	$self->{mark} = length($self->log);
}

sub log_since($self) { return substr($self->log, $self->{mark}) }

sub wait_log($self, $pattern, $seconds = 10)
{
	return 1 if wait_for { $self->log_since =~ $pattern } $seconds;
	die "not in the log of $self->{name}: $pattern\n";
}

sub allow($self, @patterns)
{
	push @{$self->{allowed}}, @patterns;
}

#
# The end
#

sub stop($self, %expect)
{
	$self->_end('TERM', %expect);
}

sub quit($self, %expect)
{
	$self->_end('QUIT', %expect);
}

sub gone($self, %expect)
{
	$self->_end(undef, %expect);
}

sub _end($self, $signal, %expect)
{
	return 1 if $self->{ended}++;
	return 1 if !$self->{child};
	my $good = Test::More::subtest("$self->{name}: standing checks", sub {
		$self->_check_idle if $signal && ($expect{idle} // 1);
		my $pid = $self->pid;
		if ($signal && $pid) {
			Test::More::ok(kill($signal, $pid), "takes a SIG$signal");
		}
		$self->_check_exit($pid, %expect);
		$self->_check_left;
		$self->_check_log;
		$self->_check_reports;
	});
	$self->tell if !$good;
	$self->{adapter}->stop if $self->{adapter};
	return $good;
}

sub _check_idle($self)
{
	my %open;
	wait_for {
		%open = eval { $self->status->open };
		$open{'weir status'} = $@ =~ s/\n.*//sr if $@;
		!%open;
	} 10;
	Test::More::is(join(', ', map { "$_: $open{$_}" } sort keys %open), '', 'nothing is open');
}

sub _check_exit($self, $pid, %expect)
{
	if ($self->{option}{daemon}) {
		my $alive = !wait_for { !$pid || !kill(0, $pid) } 15;
		Test::More::ok(!$alive, 'ends');
		return;
	}
	$self->{status} //= Weir::Process::reap($self->{child}, 15);
	my $want = ($expect{signal} // 0) | ($expect{exit} // 0) << 8;
	my $got = $self->{status};
	Test::More::is(defined $got ? _status_text($got & ~128) : 'alive', _status_text($want),
	    'exit status');
}

# Whatever is in its process group or has its error log open belongs to it.  That there is nothing is seen without a
# look at all processes of the machine and their descriptors: a file that is open to be written cannot be leased.
sub _nothing_left($self)
{
	return 0 if kill(0, -$self->{child});
	local $SIG{IO} = 'IGNORE';
	for my $path (glob($self->path('logs/*'))) {
		sysopen(my $fh, $path, O_RDONLY | O_NONBLOCK) or return 0;
		fcntl($fh, F_SETLEASE, F_RDLCK) or return 0;
	}
	return 1;
}

sub _left($self)
{
	return if $self->_nothing_left;
	my $prefix = $self->{prefix};
	my @left;
	for my $p (Weir::Process::all(\&Weir::Process::is_younger)) {
		next if $p->{pid} == $$ || $p->{ppid} == $$ || $p->{state} eq 'Z';
		push @left, $p if $p->{pgrp} == $self->{child} ||
		    grep { m{^\Q$prefix\E/logs/} } Weir::Process::descriptors($p->{pid});
	}
	return @left;
}

sub _check_left($self)
{
	my @left;
	wait_for { !(@left = $self->_left) } 10;
	Test::More::is(join(', ', map { "$_->{pid} $_->{title}" } @left), '', 'no process is left');
	kill('KILL', map { $_->{pid} } @left) if @left;
}

sub _check_log($self)
{
	my @alerts = grep { /^\S+ alert / } split(/\n/, $self->log . $self->console);
	for my $allowed (@{$self->{allowed}}) {
		@alerts = grep { $_ !~ $allowed } @alerts;
	}
	Test::More::is(join("\n", @alerts), '', 'no alert in the log');
}

sub _check_reports($self)
{
	my @said = map { "$_:\n" . _slurp($_) } grep { -s $_ } glob($self->path('reports/*'));
	Test::More::is(join("\n", @said), '', 'no report of a sanitizer or valgrind');
}

# The log and the configuration, for a test that failed.
sub tell($self)
{
	return if $self->{told}++;
	for (['configuration', $self->conf], ['console', $self->console], ['log', $self->log]) {
		my ($what, $text) = @$_;
		my @lines = split(/\n/, $text);
		my $cut = @lines > 150 ? @lines - 150 : 0;
		splice(@lines, 0, $cut);
		Test::More::diag("$self->{name}: $what", $cut ? " (last 150 lines)" : '');
		Test::More::diag("    $_") for @lines;
	}
}

sub _slurp($path)
{
	local $/;
	open(my $fh, '<:raw', $path) or return '';
	return readline($fh) // '';
}

sub all($class) { return grep { $_->{child} } @all }

# Without checks, for a test that died.
sub kill_all($class)
{
	for my $self (grep { !$_->{ended} } $class->all) {
		$self->{ended} = 1;
		my $pid = $self->pid;
		kill('TERM', $pid) if $pid;
		if (!defined $self->{status} && $self->{child}) {
			$self->{status} = Weir::Process::reap($self->{child}, 5);
		}
		wait_for { !$self->_left } 2;
		kill('KILL', map { $_->{pid} } $self->_left);
		waitpid($self->{child}, 0) if !defined $self->{status};
	}
}

1;
