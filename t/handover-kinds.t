#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# At a reload sessions go on in the new workers, in whatever state they are; those that cannot
# stay where they are.
use v5.36;
use POSIX ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::TLS;

my ($echo, $proxy, $lines, $own, $hasty, $announced, $private, $gone) = free_ports(8);
my $peer = backend('echo');
my $named = backend('named', name => 'peer');
my $answers = backend('line');
my $pki = program('openssl') ? Weir::TLS->new : undef;
my $tls = $pki ? "certificate = @{[$pki->certificate('own')]}" : '';

my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
[defaults server]
idle_timeout = 1h
handshake_timeout = 1h
write_buffer = 64k
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = peer
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
[server own]
listen = 127.0.0.1:$own
protocol = line_proxy
upstream = owners
[server hasty]
listen = 127.0.0.1:$hasty
protocol = line_proxy
upstream = answers
read_timeout = 3s
[server announced]
listen = 127.0.0.1:$announced
protocol = stream_proxy
upstream = named
proxy_protocol = on
proxy_protocol_from = all
[server gone]
listen = 127.0.0.1:$gone
protocol = echo
@{[$pki ? "[server private]\nlisten = 127.0.0.1:$private\nprotocol = echo\ntls = own\n[tls own]\n$tls" : '']}
[upstream peer]
server = @{[$peer->address]}
[upstream named]
server = @{[$named->address]}
[upstream owners]
server = @{[$answers->address]}
pool = session
pool_size = 3
pool_wait = 1h
[upstream answers]
server = @{[$answers->address]}
CONF

# The old workers end: all of their sessions have gone.
sub reload_and_move()
{
	my $before = $w->status->generation;
	my $result = $w->reload;
	is $result->{exit}, 0, 'a reload' or diag $result->{text};
	ok wait_for { !grep { ($_->{generation} // 0) == $before } $w->processes }, 'the old workers end';
	return $result;
}

it 'echo: idle, and in the middle of a message' => sub {
	my @idle = map { client($echo) } 1 .. 70;	# more than one batch
	$_->ping for @idle;
	like reload_and_move->{text}, qr/\b70\b.* moved/, 'how many is told';
	ok !(grep { !$_->ping } @idle), 'all go on';
	$_->send('half') for @idle;
	reload_and_move;
	is $_->recv(4), 'half' for @idle[0, 69];
	ok !(grep { $_->recv(4) ne 'half' } @idle[1 .. 68]);
	is $w->status->server('echo')->{sessions}, 70;
	$_->close for @idle;
	ok wait_for { $w->status->server('echo')->{sessions} == 0 };
};

it 'a client that does not read: what waits for it goes along' => sub {
	my $c = client($echo, rcvbuf => 4096);
	my ($sent, $full) = ('', 0);
	for (my $n = 0; $n < 2000 && !$full; $n++) {
		my $more = sprintf('%08d', $n) x 1024;
		my $took = $c->send_some($more);
		$sent .= substr($more, 0, $took);
		$full = $took < length($more);
	}
	cmp_ok length($sent), '>', 65536, 'much is under way';
	reload_and_move;
	reload_and_move;
	ok $c->recv(length $sent) eq $sent, 'all comes, in order';
	ok $c->ping;
	$c->close;
};

it 'stream_proxy: both sides, and a side that has ended' => sub {
	my @c = map { client($proxy) } 1 .. 5;
	$_->ping for @c;
	my $accepted = $peer->report->{accepted};
	reload_and_move;
	$_->ping for @c;
	is $peer->report->{accepted}, $accepted, 'on the connections that there were';
	is $w->status->peer('peer', $peer->address)->{connections}, 5, 'which are counted';
	my $big = client($proxy);
	my $done = $big->transfer(out => 3_000_000, in => 3_000_000, finish => 1);
	is $done->{in}, 3_000_000;
	$_->shutdown for @c;
	is $_->ending, 'eof' for @c;
};

it 'a transfer at full speed survives many reloads' => sub {
	my $c = client($proxy, timeout => 60);
	my $pid = fork // die;
	if (!$pid) {
		my $r = eval { $c->transfer(out => 40_000_000, in => 40_000_000, finish => 1) };
		POSIX::_exit($r && $r->{in} == 40_000_000 ? 0 : 1);
	}
	my ($reloads, $ended) = (0, 0);
	while (!$ended && $reloads < 200) {
		$reloads += $w->reload->{exit} == 0;
		$ended = waitpid($pid, POSIX::WNOHANG()) == $pid;
	}
	waitpid($pid, 0) if !$ended;
	is $?, 0, "every byte came, over $reloads reloads";
	cmp_ok $reloads, '>', 0;
};

it 'line_proxy: half a request, a request in flight' => sub {
	my ($half, $asks) = (client($lines), client($lines));
	is $_->ask("one\n"), "one\n" for $half, $asks;
	$half->send('be');
	$answers->tell('keep');
	$asks->send("waits\n");
	ok wait_for { $answers->report->{kept} == 1 };
	is $w->reload->{exit}, 0;
	$answers->tell('release');
	is $asks->line, "waits\n", 'the reply comes to whoever asked';
	$half->send("gun\n");
	is $half->line, "begun\n", 'and the other half is sent behind the first';
	$asks->send("more\n");
	is $asks->line, "more\n";
	ok wait_for { $w->status->workers == 2 && !grep { ($_->{generation} // 0) == 1 } $w->processes };
	$_->close for $half, $asks;
};

it 'a connection to the peer that is the client\'s own' => sub {
	my @c = map { client($own) } 1 .. 3;
	is $_->ask("mine\n"), "mine\n" for @c;
	my $accepted = $answers->report->{accepted};
	reload_and_move;
	$c[0]->send('par');
	reload_and_move;
	$c[0]->send("tial\n");
	is $c[0]->line, "partial\n";
	is $_->ask("still\n"), "still\n" for @c;
	is $answers->report->{accepted}, $accepted, 'goes on, too';
	my $peer = $w->status->peer('owners', $answers->address);
	is "@{$peer}{qw(links connections)}", '3 3', 'and counts once';
	my $full = client($own);
	$full->send("waits\n");
	ok wait_for { $w->status->upstream('owners')->{waiting} == 1 }, 'against pool_size';
	reload_and_move;
	$c[1]->close;
	is $full->line, "waits\n", 'for which a client waits on, over a reload';
	$_->close for @c, $full;
};

it 'stays where its connection to the peer is, when its server has another upstream' => sub {
	my $c = client($own);
	is $c->ask("mine\n"), "mine\n";
	$w->edit_conf(sub { s/(\[server own\]\n.*\n.*\nupstream = )owners/$1answers/ });
	is $w->reload->{exit}, 0;
	$w->wait_log(qr/other links now/);
	is $c->ask("still\n"), "still\n", 'and goes on there';
	$c->close;
	ok wait_for { $w->status->peer('owners', $answers->address)->{connections} == 0 };
	$w->edit_conf(sub { s/(\[server own\]\n.*\n.*\nupstream = )answers/$1owners/ });
	is $w->reload->{exit}, 0;
};

it 'a PROXY header that has begun; the client that it told of' => sub {
	my $c = client($announced);
	$c->send('PROXY TCP4 192.0.2.7 192.0.2.8 ');
	my $other = client($announced);
	$other->send("PROXY TCP4 192.0.2.9 192.0.2.8 1 2\r\n");
	is $other->line, "peer\n";
	reload_and_move;
	$c->send("700 80\r\n");
	is $c->line, "peer\n", 'the header is read to its end';
	ok $c->ping;
	ok $other->ping;
	$w->mark;
	$_->close for $c, $other;
	$w->wait_log(qr/client 192\.0\.2\.7:700, server announced/);
	$w->wait_log(qr/client 192\.0\.2\.9:1, server announced/);
};

it 'half a request: its time goes on, however often it moves' => sub {
	my $c = client($hasty, timeout => 30);
	$c->send('half');
	my $reloads = 0;
	until (($w->status->server('hasty')->{end_read_timeout} // 0) > 0 || $reloads == 500) {
		$reloads += $w->reload->{exit} == 0;
	}
	cmp_ok $reloads, '<', 500, "read_timeout is over after $reloads reloads";
	is $c->ending, 'eof';
};

it 'TLS stays, and goes on' => sub {
	plan skip_all => 'needs openssl' if !$pki;
	my $c = $pki->client($private);
	is $c->ask("hello\n"), "hello\n";
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{text}, qr/1 .*stay/, 'that it stays is told';
	$w->wait_log(qr/1 sessions? stay.*TLS/);
	is $c->ask("again\n"), "again\n";
	$c->close;
};

it 'a server that is gone' => sub {
	my $c = client($gone);
	ok $c->ping;
	$w->edit_conf(sub { s/\[server gone\].*?protocol = echo\n//s });
	my $result = $w->reload;
	is $result->{exit}, 0;
	$w->wait_log(qr/server is gone/);
	ok $c->ping, 'its sessions go on where they are';
	$c->close;
};

it 'another protocol' => sub {
	my $c = client($echo);
	ok $c->ping;
	$w->edit_conf(sub { s/(\[server echo\]\n.*\n)protocol = echo/$1protocol = line_proxy\nupstream = answers/ });
	is $w->reload->{exit}, 0;
	$w->wait_log(qr/another protocol/);
	$c->send('no line');
	is $c->recv(7), 'no line', 'is spoken by new sessions only';
	$c->close;
};

# As /proc/net/tcp has it: 2 is a keepalive timer, 0 none.
sub timers_of(@ports)
{
	my $ports = join '|', map { sprintf '%04X', $_ } @ports;
	open(my $fh, '<', '/proc/net/tcp') or die "/proc/net/tcp: $!\n";
	return join ' ', map { /^\s*\d+: \S+:($ports) \S+ 01 \S+ 0([0-4]):/ ? $2 : () } readline($fh);
}

it 'socket options of the new configuration' => sub {
	my ($port, $far) = (free_port, backend('echo'));
	my $x = weir(<<"CONF");
[weir]
workers = 1
[server moved]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = far
tcp_keepalive = off
[upstream far]
server = @{[$far->address]}
tcp_keepalive = off
CONF
	my $c = client($port);
	ok $c->ping;
	# weir's side of the client's connection; of that to the peer it is the other address
	my $of_peer = sub {
		my $to = sprintf '%04X', $far->port;
		open(my $fh, '<', '/proc/net/tcp') or die "/proc/net/tcp: $!\n";
		return join ' ', map { /^\s*\d+: \S+ \S+:$to 01 \S+ 0([0-4]):/ ? $1 : () } readline($fh);
	};
	ok wait_for { timers_of($port) eq '0' && $of_peer->() eq '0' };
	$x->edit_conf(sub { s/tcp_keepalive = off/tcp_keepalive = 10m/g });
	is $x->reload->{exit}, 0;
	ok wait_for { timers_of($port) eq '2' && $of_peer->() eq '2' } or diag timers_of($port), ' ', $of_peer->();
	ok $c->ping;
	$x->edit_conf(sub { s/tcp_keepalive = 10m/tcp_keepalive = off/g });
	is $x->reload->{exit}, 0;
	ok wait_for { timers_of($port) eq '0' && $of_peer->() eq '0' };
	ok $c->ping;
	$c->close;
	$x->stop;
};

done_testing;
