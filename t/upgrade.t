#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Another program goes on for a weir that runs: with its sessions, back again, and when one of the two fails.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();
skip_all('the program is valgrind itself then, and no other can be put in its place') if Weir::Build::valgrind();

my $fast = Weir::Build::sanitized() ? 1 : 0;

# A weir that is started from a file of its own, which install() replaces.
sub upgradable($conf, %option)
{
	my $program;
	my $prepare = sub ($w) {
		$program = $w->path('weir');
		install_version($w, '0.9.0');
		$w->{option}{program} = $program;
	};
	return weir($conf, daemon => 1, prepare => $prepare, %option);
}

sub install($w, $content)
{
	spurt($w->path('weir.new'), $content);
	chmod(0755, $w->path('weir.new')) or die;
	rename($w->path('weir.new'), $w->path('weir')) or die;
}

# A build with another version is the same one with a text of the same length in it.
sub install_version($w, $version)
{
	state $program = slurp(Weir::Build::binary());
	state $built = do { (my $v) = `${\Weir::Build::binary()} -v` =~ /(\d\.\d\.\d)/; $v };
	my $count = (my $copy = $program) =~ s{(?<=\x{0})\Q$built\E(?=\x{0})}{$version}g;
	die "no version in the program\n" unless $count;
	install($w, $copy);
}

sub script($w, $text) { install($w, "#!/bin/sh\n$text\n") }

# What keeps test and weir apart from one another's restarts is in the conf; workers are few for the machine's sake.
sub conf($port, $more = '', $server = '')
{
	return <<"CONF";
[weir]
workers = 2
error_log = logs/error.log info
$more
[server echo]
listen = 127.0.0.1:$port
protocol = echo
$server
CONF
}

sub upgrade($w) { return $w->command('-s', 'upgrade') }

sub alive($pid) { return kill(0, $pid) }

# Waits until the process has gone, whoever reaps it.
sub gone($pid) { return wait_for { !alive($pid) || Weir::Process::state($pid) eq 'Z' } 20 }

# The older master of two.
sub older_pid($w)
{
	my ($pid) = eval { slurp($w->path('run/weir.pid.oldbin')) } =~ /^(\d+)$/m or return 0;
	return $pid;
}

sub run_files($w) { return join ' ', sort map { s{.*/}{}r } glob($w->path('run/*')) }

# USR2, and both serve.
sub beside($w)
{
	my $old = $w->pid;
	$w->signal('USR2');
	ok wait_for { ($w->pid // 0) != $old && older_pid($w) == $old && eval { $w->status->generation } } 20;
	return ($old, $w->pid);
}

it 'a new version goes on with all sessions, under load' => sub {
	my $back = backend('line');
	my ($port, $line, $stream) = (free_port, free_port, free_port);
	my $w = upgradable(conf($port) . <<"CONF");
[upstream back]
server = @{[$back->address]}
[server line]
listen = 127.0.0.1:$line
protocol = line_proxy
upstream = back
[server stream]
listen = 127.0.0.1:$stream
protocol = stream_proxy
upstream = back
CONF
	my @load = (crowd('echo', '-c', 50, "127.0.0.1:$port"), crowd('line', '-c', 50, '-p', 4, "127.0.0.1:$line"),
	    crowd('line', '-c', 50, "127.0.0.1:$stream"));
	for my $n (1 .. ($fast ? 2 : 6)) {
		my $old = $w->pid;
		all_moving(@load);
		install_version($w, "1.0.$n");
		my $result = upgrade($w);
		is $result->{exit}, 0 or diag $result->{text};
		my ($moved, $follow) = $result->{text} =~ /^sessions: (\d+) moved in \d+ ms(?:, (\d+) follow when they are at rest)?$/m;
		is(($moved // 0) + ($follow // 0), 150, 'all sessions move') or diag $result->{text};
		like $result->{text}, qr/^weir 1\.0\.$n runs as process ${\$w->pid}, generation @{[$n + 1]}$/m;
		ok gone($old), 'the older master ends';
		like $w->command('status')->{out}, qr/^weir 1\.0\.$n, process/m;
	}
	unharmed($_->end, connected => 50) for @load;
	is run_files($w), 'weir.pid weir.sock', 'files have their names';
	my $status = $w->status;
	is $status->server('echo')->{accepted}, 50, 'counters go on';
	$w->stop;
};

it 'a program that fails changes nothing' => sub {
	my $w = upgradable(conf(my $port = free_port));
	my $c = client($port);
	ok $c->ping;
	my $pid = $w->pid;
	my $fails = sub ($what, $pattern) {
		my $result = upgrade($w);
		is $result->{exit}, 1, $what;
		like $result->{text}, $pattern;
		ok $c->ping;
		is $w->pid, $pid;
		is run_files($w), 'weir.pid weir.sock';
		is $w->status->generation, 1;
	};
	unlink $w->path('weir');
	my $result = Weir::Process::run([Weir::Build::binary(), '-p', $w->prefix, '-s', 'upgrade']);
	like $result->{text}, qr{/weir: No such file or directory\n.*process \d+ ended with status 127 before it served}s;
	script($w, 'exit 3');
	$result = Weir::Process::run([Weir::Build::binary(), '-p', $w->prefix, '-s', 'upgrade']);
	is $result->{exit}, 1;
	like $result->{text}, qr/ended with status 3 before it served: this weir goes on as before/;
	script($w, 'kill -SEGV $$');
	$result = Weir::Process::run([Weir::Build::binary(), '-p', $w->prefix, '-s', 'upgrade']);
	like $result->{text}, qr/was killed by SIGSEGV .* before it served/;
	install_version($w, '1.1.0');
	my $good = $w->conf;
	$w->write_conf($good . "nonsense = on\n");
	$fails->('a configuration that it cannot read', qr/nonsense.*before it served/s);
	$w->write_conf($good . "[server nowhere]\nlisten = 192.0.2.1:$port\nprotocol = echo\n");
	$fails->('an address that it cannot listen on', qr/192\.0\.2\.1:$port.*before it served/s);
	$w->write_conf($good);
	is upgrade($w)->{exit}, 0, 'and then one that does not';
	ok $c->ping;
	is $w->status->generation, 2;
	$c->close;
	$w->stop;
};

it 'SIGUSR2: both serve; SIGWINCH: sessions go; SIGQUIT ends the older one' => sub {
	my $w = upgradable(conf(my $port = free_port));
	my @clients = map { client($port) } 1 .. 20;
	$_->ping for @clients;
	install_version($w, '1.2.0');
	my ($old, $new) = beside($w);
	is run_files($w), 'weir.pid weir.pid.oldbin weir.sock weir.sock.oldbin';
	my @more = map { client($port) } 1 .. 40;
	ok $_->ping for @clients, @more;
	my $older = $w->command('-g', 'control = run/weir.sock.oldbin', 'generations');
	like $older->{out}, qr/^the newer weir: process $new, version 1\.2\.0, generation 2\ngeneration 1: running/, 'the older one is told by its own socket';
	like $w->command('status')->{out}, qr/^the older weir: process $old, version 0\.9\.0, generation 1$/m;
	kill('WINCH', $old);
	ok wait_for { my $s = $w->status; 60 == map { ($_) x $_->{sessions} } $s->workers } 20;
	ok alive($old);
	ok $_->ping for @clients, @more;
	kill('QUIT', $old);
	ok gone($old);
	ok wait_for { run_files($w) eq 'weir.pid weir.sock' };
	ok $_->ping for @clients, @more;
	$_->close for @clients, @more;
	$w->stop;
};

it 'going back: the older one serves again, with all sessions' => sub {
	my $w = upgradable(conf(my $port = free_port));
	my @clients = map { client($port) } 1 .. 20;
	$_->ping for @clients;
	my ($old, $new) = beside($w);
	kill('WINCH', $old);
	ok wait_for { 20 == map { ($_) x $_->{sessions} } $w->status->workers } 20;
	push @clients, client($port);
	kill('HUP', $old);
	ok wait_for { $w->log =~ /notice $old master: generation 3 runs/ } 20;
	kill('QUIT', $new);
	ok gone($new);
	ok wait_for { ($w->pid // 0) == $old && run_files($w) eq 'weir.pid weir.sock' } 20;
	is $w->status->generation, 3;
	ok $_->ping for @clients;
	my @more = map { client($port) } 1 .. 20;
	ok $_->ping for @more;
	my @sessions = map { $_->{sessions} } $w->status->workers;
	is eval { my $n = 0; $n += $_ for @sessions; $n }, 41, "sessions @sessions";
	# And forward again, by one command.
	is upgrade($w)->{exit}, 0;
	ok $_->ping for @clients, @more;
	$_->close for @clients, @more;
	$w->stop;
};

it 'going back without having left: the newer one ends, and gives its sessions' => sub {
	my $w = upgradable(conf(my $port = free_port));
	my ($old, $new) = beside($w);
	my @clients = map { client($port) } 1 .. 40;
	$_->ping for @clients;
	kill('QUIT', $new);
	ok gone($new);
	push @clients, client($port);
	ok $_->ping for @clients;
	is $w->status->sessions, 41;
	$_->close for @clients;
	$w->stop;
};

it 'the newer one is killed: the older one serves on' => sub {
	my ($a, $b) = map { backend('named', name => $_) } 'a', 'b';
	my ($port, $stream) = (free_port, free_port);
	my $w = upgradable(conf($port) . <<"CONF");
[upstream named]
server = @{[$a->address]}
server = @{[$b->address]}
[server stream]
listen = 127.0.0.1:$stream
protocol = stream_proxy
upstream = named
CONF
	my $named = sub ($names) {
		return wait_for {
			join('', sort map { client($stream)->line =~ s/\n//r } 1 .. 8) eq $names;
		};
	};
	my $c = client($port);
	ok $c->ping;
	$w->edit_conf(sub { s/^server = \Q@{[$b->address]}\E$/$& down/m });
	my ($old, $new) = beside($w);
	ok $named->('aaaaaaaa'), 'what the newer one says of peers holds for both';
	kill('KILL', $new);
	ok gone($new);
	ok wait_for { $w->log =~ /the newer weir, process $new, was killed by SIGKILL/ };
	ok wait_for { ($w->pid // 0) == $old && run_files($w) eq 'weir.pid weir.sock' };
	ok $c->ping;
	ok $named->('aaaabbbb'), 'until then';
	$w->edit_conf(sub { s/ down$//m });
	for (1 .. 20) {
		my $d = client($port);
		ok $d->ping;
		$d->close;
	}
	# It has no workers any more when the next one is killed.
	($old, $new) = beside($w);
	kill('WINCH', $old);
	ok wait_for { 1 == map { ($_) x $_->{sessions} } $w->status->workers } 20;
	$w->allow(qr/the other weir serves no more/);
	kill('KILL', $new);
	ok wait_for { ($w->pid // 0) == $old && eval { $w->status->generation == 4 } } 20;
	like $c->ending, qr/eof|reset/, 'a session that it had is lost';
	ok client($port)->ping;
	ok((wait_for { $w->status->sessions == 0 }), 'and not counted any more');
	$w->stop;
};

it 'the older one is killed: the newer one serves on, and counts what was lost' => sub {
	my $w = upgradable(conf(my $port = free_port, '', 'max_connections = 30'));
	my @clients = map { client($port) } 1 .. 10;
	$_->ping for @clients;
	my ($old, $new) = beside($w);
	kill('KILL', $old);
	ok gone($old);
	ok wait_for { run_files($w) eq 'weir.pid weir.sock' };
	ok wait_for { my $s = $w->status; $s->sessions == 0 && $s->server('echo')->{end_worker_died} == 10 } 20;
	my @more = map { client($port) } 1 .. 30;
	ok $_->ping for @more;
	is upgrade($w)->{exit}, 0;
	ok $_->ping for @more;
	$_->close for @more;
	$w->stop;
};

it 'both are told to quit at once: both end with their last session' => sub {
	my $w = upgradable(conf(my $port = free_port));
	my ($old, $new) = beside($w);
	my @clients = map { client($port) } 1 .. 20;
	$_->ping for @clients;
	kill('QUIT', $old, $new);
	ok $_->ping for @clients;
	$_->close for @clients;
	ok gone($_) for $old, $new;
	is run_files($w), '', 'all files are removed';
	$w->gone;
};

it 'quit after an upgrade ends both' => sub {
	my $w = upgradable(conf(my $port = free_port, 'handover = off'));
	my $c = client($port);
	ok $c->ping;
	my $old = $w->pid;
	is upgrade($w)->{exit}, 0;
	my $new = $w->pid;
	is $w->command('-s', 'quit')->{exit}, 0;
	ok gone($new);
	ok $c->ping, 'the last session goes on';
	is Weir::Client->try("127.0.0.1:$port"), undef, 'nobody else comes in';
	$c->close;
	ok gone($old);
	$w->gone;
};

it 'the older one serves again by what it had read' => sub {
	for my $signal ('KILL', 'TERM', 'QUIT') {
		my $w = upgradable(conf(my $port = free_port));
		$w->allow(qr/the other weir serves no more/);
		my ($old, $new) = beside($w);
		kill('WINCH', $old);
		ok wait_for { $w->log =~ /notice $old master: generation 1 has ended/ };
		$w->edit_conf(sub { $_ .= "only_newer_knows = on\n" });
		kill($signal, $new);
		ok gone($new), $signal;
		ok((wait_for { ($w->pid // 0) == $old && eval { $w->status->generation } } 20), 'it runs again');
		ok client($port)->ping;
		$w->stop;
	}
};

it 'going back to fewer workers, and to more' => sub {
	for my $n ([2, 4], [4, 2]) {
		my $w = upgradable(conf(my $port = free_port) =~ s/workers = 2/workers = $n->[0]/r);
		$w->edit_conf(sub { s/workers = \d/workers = $n->[1]/ });
		my ($old, $new) = beside($w);
		my @clients = map { client($port) } 1 .. 20;
		$_->ping for @clients;
		kill('QUIT', $new);
		push @clients, map { client($port) } 1 .. 40;
		ok !(grep { !$_->ping } @clients), "all are served: from $n->[1] workers to $n->[0]";
		ok gone($new);
		my @more = map { client($port) } 1 .. 60;
		$_->ping for @more;
		my @sessions = map { $_->{sessions} } $w->status->workers;
		ok !(grep { !$_ } @sessions), "each of the workers has some: @sessions";
		$_->close for @clients, @more;
		$w->stop;
	}
};

it 'one at a time, and reloads wait' => sub {
	my $w = upgradable(conf(my $port = free_port));
	script($w, "exec sleep 600");
	my $pid = $w->pid;
	$w->signal('USR2');
	ok wait_for { $w->log =~ /process (\d+) has been started/ };
	my ($sleeper) = $w->log =~ /process (\d+) has been started/;
	my $second = Weir::Process::run([Weir::Build::binary(), '-p', $w->prefix, '-s', 'upgrade']);
	is $second->{exit}, 1;
	like $second->{text}, qr/there is no upgrade: one is under way: process $sleeper is starting/;
	$w->signal('USR2');
	$w->signal('HUP');
	kill('KILL', $sleeper);
	ok((wait_for { $w->log =~ /generation 2 runs/ } 20), 'the reload comes when it has failed');
	is $w->pid, $pid;
	# While two are there, none begins.
	install_version($w, '1.3.0');
	my ($old, $new) = beside($w);
	like upgrade($w)->{text}, qr/there is no upgrade: the weir before, process $old, has not ended: kill -QUIT $old/;
	my $result = $w->command('-g', 'control = run/weir.sock.oldbin', '-s', 'upgrade');
	like $result->{text}, qr/there is no upgrade: process $new goes on for this one/;
	# A stop ends what is starting.
	kill('QUIT', $old);
	ok gone($old);
	script($w, "exec sleep 600");
	$w->mark;
	$w->signal('USR2');
	ok wait_for { $w->log_since =~ /process (\d+) has been started/ };
	($sleeper) = $w->log_since =~ /process (\d+) has been started/;
	$w->stop;
	ok gone($sleeper);
};

it 'what cannot move stays with the older one; the newer one ends both' => sub {
	my $w = upgradable(conf(my $port = free_port, 'handover = off'));
	my $c = client($port);
	ok $c->ping;
	my $old = $w->pid;
	is upgrade($w)->{exit}, 0;
	ok alive($old);
	ok $c->ping, 'it is served on';
	is $w->status->sessions, 1;
	# The newer one reloads to a configuration that wants them.
	$w->edit_conf(sub { s/handover = off/handover = on/ });
	is $w->reload->{exit}, 0;
	ok gone($old), 'it ends with its last session';
	ok $c->ping;
	$w->edit_conf(sub { s/handover = on/handover = off/ });
	$w->reload;
	$old = $w->pid;
	is upgrade($w)->{exit}, 0;
	my $d = client($port);
	ok $_->ping for $c, $d;
	$w->stop(idle => 0);
	ok gone($old), 'a stop ends both';
	is $c->rest, '';
};

it 'listeners: UNIX sockets keep their files, others come and go' => sub {
	my ($port, $other) = (free_port, free_port);
	my $unix = "[server unix]\nlisten = unix:run/u.sock\nprotocol = echo\n[server abstract]\nlisten = unix:run/v.sock\nprotocol = echo\n";
	my $w = upgradable(conf($port) . $unix);
	my $c = client($w->address('u'));
	ok $c->ping;
	is upgrade($w)->{exit}, 0;
	ok $_->ping for $c, client($w->address('u')), client($w->address('v'));
	# The new one wants another address instead of one, and more workers.
	$w->edit_conf(sub { s/unix:run\/v\.sock/127.0.0.1:$other/; s/workers = 2/workers = 4/ });
	my $old = $w->pid;
	is upgrade($w)->{exit}, 0;
	ok gone($old);
	ok((wait_for { !-e $w->path('run/v.sock') }), 'the file of one that is not listened on is removed');
	ok $_->ping for $c, client($w->address('u')), client($other), map { client($port) } 1 .. 20;
	is $w->reload->{exit}, 0, 'a reload finds all as it was opened';
	$w->edit_conf(sub { s/^listen = 127\.0\.0\.1:$port\K/ reuseport=off/m });
	like upgrade($w)->{text}, qr/options that are set before a socket is bound cannot be changed/;
	$c->close;
	$w->stop;
	is run_files($w), '', 'all files are removed';
};

# The name of the key that a ticket was made with.
sub ticket_key($pki, $port, $file)
{
	my $c = $pki->client($port, args => ['-tls1_2', '-sess_out', $pki->path($file)]);
	$c->ping;
	$c->close;
	my ($name) = $pki->openssl('sess_id', '-in', $pki->path($file), '-noout', '-text') =~
	    /TLS session ticket:\n\s+0000 - ((?:\w\w[ -]){15}\w\w)/;
	return $name // die 'no ticket';
}

it 'keys of TLS tickets go on, and are changed when it is time, however often it is upgraded' => sub {
	Weir::TLS->needs;
	my $pki = Weir::TLS->new;
	my $tls = "tls = edge\n[tls edge]\ncertificate = @{[$pki->certificate('server')]}\nticket_lifetime = 1h";
	my $w = upgradable(conf(my $port = free_port, '', $tls));
	my $first = ticket_key($pki, $port, 'ticket');
	is upgrade($w)->{exit}, 0;
	like $pki->shake($port, args => ['-tls1_2', '-sess_in', $pki->path('ticket')]), qr/^Reused, /m, 'a ticket is good for the newer one';
	is ticket_key($pki, $port, 'another'), $first, 'and it makes them with the same key';
	$w->edit_conf(sub { s/^ticket_lifetime = .*/ticket_lifetime = 2s/m });
	my $until = now() + 20;
	my $upgrades = 0;
	while (now() < $until && ticket_key($pki, $port, 'ticket') eq $first) {
		is upgrade($w)->{exit}, 0;
		$upgrades++;
	}
	isnt ticket_key($pki, $port, 'ticket'), $first, "a key has had its time, behind $upgrades more";
	$w->stop;
};

done_testing;
