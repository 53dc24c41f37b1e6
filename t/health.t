#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Health checks: who is taken out and brought back, by what, and that it lasts.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Stress;
use Weir::Test;

Weir::Build::ignore_leaks();

# All of a check, and the time between two.
my $SOON = 'interval=30ms timeout=1h';
my $NEVER = 'interval=1h timeout=1h';

sub start($check, $peers, %option)
{
	return Weir::Pool->new(peers => $peers, %option,
	    upstream => "health_check = on $check\nconnect_timeout = 1h\n" . ($option{upstream} // ''));
}

# A peer of lines that says its name.
sub named($name, %option) { return backend('line', reply => sub (@) { "$name\n" }, %option) }
sub who($c) { return $c->send("who\n")->line }
sub deaf($peer) { return $peer->address . ' max_fails=0' }

sub state_is($p, $n, $state, $what = "it is $state")
{
	$p->until(sub ($p) { $p->peer($n)->{state} eq $state }, $what);
	pass $what;
}
sub checked($p, $n = 0) { $p->until(sub ($p) { $p->peer($n)->{checks} > 0 }, 'it is checked') }

sub keeper($w)
{
	my ($keeper) = grep { $_->{kind} eq 'keeper' } $w->processes;
	return $keeper ? $keeper->{pid} : 0;
}

sub count_log($p, $pattern) { return scalar(() = $p->weir->log =~ /$pattern/g) }

it 'a peer that is killed is taken out, and brought back' => sub {
	my @peers = (named('a'), named('b'));
	my $p = start("$SOON rise=2 fall=3", [map { deaf($_) } @peers], upstream => "slow_start = 1h\n");
	checked($p, $_) for 0, 1;
	is $p->peer->{health_check}, 'good';
	is $p->peer->{checks_failed}, 0;
	$peers[0]->tell('down');
	$peers[0]->tell('drop_all');
	state_is($p, 0, 'unhealthy');
	$p->weir->wait_log(qr/warn .*peer \S+ of upstream u is down: health check: connect: Connection refused: not used until checks are good again \(rise = 2\)/);
	cmp_ok $p->peer->{checks_failed}, '>=', 3, 'after three checks';
	is $p->peer->{health_check}, 'connect: Connection refused';
	like $p->weir->command('status')->{out}, qr/health_check\s+connect: Connection refused, \d+s ago/;
	like $p->weir->command('peers')->{out}, qr/unhealthy .*connect: Connection refused, \d+s ago$/m;
	is who($p->client), "b\n", 'nobody is sent there' for 1 .. 4;
	is $p->peer->{connect_failed}, 0;
	$peers[0]->tell('up');
	state_is($p, 0, 'up');
	$p->weir->wait_log(qr/notice .*peer \S+ of upstream u answers again: its health checks are good/);
	my $c = $p->client;
	cmp_ok scalar(grep { who($c) eq "a\n" } 1 .. 100), '<', 20, 'it begins slowly';
	is count_log($p, qr/is down: health/), 1, 'only changes are told';
	$p->end;
};

it 'killed under load it costs what it had in flight at the most' => sub {
	my @peers = (backend('line'), backend('line'));
	my $p = start("$SOON fall=1 rise=1", [map { deaf($_) } @peers], workers => 2);
	checked($p, $_) for 0, 1;
	my $crowd = crowd('line', '-c', 20, '--failure', '-failed', $p->address);
	for (1 .. 2) {
		$crowd->moving;
		$peers[0]->tell('down');
		$peers[0]->tell('drop_all');
		state_is($p, 0, 'unhealthy');
		$crowd->moving;
		my $sent = $p->peer->{requests};
		$crowd->moving;
		is $p->peer->{requests}, $sent, 'nothing goes there any more';
		$peers[0]->tell('up');
		state_is($p, 0, 'up');
	}
	my $of = $crowd->end->{of};
	is "$of->{errors} $of->{lost}", '0 0', 'no client is closed, no reply is wrong';
	cmp_ok $of->{failed}, '<=', 2 * 20, 'one request of each client at the most';
	$p->until(sub ($p) { $p->peer->{requests} > 0 }, 'it is used');
	$p->end;
};

it 'what is asked has to be answered: frozen, closed, endless, other than expected' => sub {
	my %peers = (
		frozen => named('a', keep => 1),
		closes => backend('close'),
		floods => backend('source', bytes => 1 << 20),
		good => backend('greeting', text => '220 ready'),
	);
	my $p = start("$SOON send=\"hello\\n\" expect=\"never\"", [deaf($peers{floods})]);
	state_is($p, 0, 'unhealthy', 'one that floods is down');
	is $p->peer->{health_check}, 'a long reply, without what is expected';
	$p->end;
	$p = start('interval=30ms timeout=50ms fall=1 rise=1 send="hello\n"', [deaf($peers{frozen})]);
	state_is($p, 0, 'unhealthy', 'one that accepts and says nothing is down');
	is $p->peer->{health_check}, 'no reply that is expected, within its time';
	$peers{frozen}->tell('release');
	state_is($p, 0, 'up', 'until it answers, whatever it is');
	$p->end;
	$p = start("$SOON send=\"hello\\n\"", [deaf($peers{closes})]);
	state_is($p, 0, 'unhealthy', 'one that closes is down');
	like $p->peer->{health_check}, qr/^closed before the reply/;
	$p->end;
	$p = start("$SOON expect=\"220 re\"", [deaf($peers{good})]);
	checked($p);
	is $p->peer->{health_check}, 'good', 'one that greets as it should is up';
	$p->end;
};

it 'all are down, and all come back at once' => sub {
	my @peers = map { named('x') } 1 .. 5;
	my $p = start("$SOON rise=1 fall=1", [map { deaf($_) } @peers]);
	checked($p, $_) for 0 .. 4;
	for my $peer (@peers) {
		$peer->tell('down');
		$peer->tell('drop_all');
	}
	state_is($p, $_, 'unhealthy') for 0 .. 4;
	my $c = $p->client;
	is who($c), $p->failure, 'there is nobody';
	is_deeply $p->failures, { no_peer => 1 };
	$_->tell('up') for @peers;
	state_is($p, $_, 'up') for 0 .. 4;
	is who($c), "x\n";
	$p->end;
};

it 'what traffic finds is checked at once: two bad signs are enough' => sub {
	my @peers = (named('a'), named('b'));
	my $p = start("$NEVER fall=1000", [map { $_->address . ' fail_timeout=1h' } @peers]);
	checked($p, $_) for 0, 1;
	$peers[0]->tell('down');
	$peers[0]->tell('drop_all');
	my $c = $p->client;
	$p->until(sub ($p) { who($c); $p->peer->{connect_failed} > 0 }, 'a request finds out');
	state_is($p, 0, 'unhealthy', 'and one check');
	is $p->peer->{checks_failed}, 1;
	like $p->weir->log, qr/peer \S+ of upstream u fails .*\n(?s:.*)is down: health check/;
	$p->end;
};

it 'checks that are good end fail_timeout early' => sub {
	my $bad = backend('close');
	my $p = start("$NEVER rise=1", [$bad->address . ' fail_timeout=1h', named('b')]);
	checked($p);
	my $c = $p->client;
	$p->until(sub ($p) { who($c); $p->peer->{checks} > 1 }, 'it fails, and is checked');
	state_is($p, 0, 'up');
	$p->weir->wait_log(qr/fails \(.*\n(?s:.*)answers again: its health checks are good/);
	$p->end;
};

it 'it lasts over the death of the keeper, and over reloads' => sub {
	my @peers = (named('a'), named('b'));
	my $p = start("$SOON fall=1", [map { deaf($_) } @peers]);
	my $w = $p->weir;
	checked($p, $_) for 0, 1;
	$peers[0]->tell('down');
	$peers[0]->tell('drop_all');
	state_is($p, 0, 'unhealthy');
	my $old = keeper($w);
	ok $old, 'there is a keeper';
	$w->allow(qr/alert .*keeper.*/);
	kill KILL => $old;
	await { my $new = keeper($w); $new && $new != $old } 'there is another';
	my $checks = $p->peer->{checks};
	is $p->peer->{state}, 'unhealthy', 'the state is as it was';
	$p->until(sub ($p) { $p->peer->{checks} > $checks + 1 }, 'and checks go on');
	is $w->reload->{exit}, 0;
	is $p->peer->{state}, 'unhealthy', 'a reload changes nothing';
	$checks = $p->peer->{checks};
	$p->until(sub ($p) { $p->peer->{checks} > $checks + 1 }, 'nor that checks go on');
	is count_log($p, qr/is down: health/), 1, 'nothing is told twice';
	is who($p->client), "b\n";
	$peers[0]->tell('up');
	state_is($p, 0, 'up');
	$peers[0]->tell('down');
	$peers[0]->tell('drop_all');
	state_is($p, 0, 'unhealthy');
	$w->edit_conf(sub { s/^health_check.*\n//m });
	is $w->reload->{exit}, 0;
	state_is($p, 0, 'up', 'without checks nothing speaks against it');
	$p->end;
};

it 'no more than 256 are made at a time, and all have their turn' => sub {
	my $b = backend('silent', address => '0.0.0.0');
	my @peers = map { "127.1.@{[$_ >> 7]}.@{[1 + ($_ & 127)]}:@{[$b->port]} max_fails=0" } 0 .. 299;
	my $p = start('interval=100ms timeout=1h expect=never', \@peers);
	$b->wait_report(sub ($r) { $r->{accepted} >= 256 });
	# All were due by then.
	until_time(now() + 0.2);
	is $b->report->{accepted}, 256;
	$b->tell('drop_all');
	$b->wait_report(sub ($r) { $r->{accepted} >= 300 });
	is $b->report->{peak}, 256;
	$p->end;
};

it 'an operator has the last word' => sub {
	my @peers = (named('a'), named('b'));
	my $p = start("$NEVER fall=1", [map { deaf($_) } @peers]);
	my $w = $p->weir;
	my $address = $peers[0]->address;
	checked($p, $_) for 0, 1;
	$w->edit_conf(sub { s/interval=1h/interval=30ms/ });
	is $w->command('peer', 'u', $address, 'down')->{exit}, 0;
	$peers[0]->tell('down');
	is $w->reload->{exit}, 0;
	my $checks = $p->peer(0)->{checks};
	my $others = $p->peer(1)->{checks};
	$p->until(sub ($p) { $p->peer(1)->{checks} > $others + 3 }, 'the other is checked');
	is $p->peer(0)->{checks}, $checks, 'what is down by command is not';
	is $w->command('peer', 'u', $address, 'up')->{exit}, 0;
	state_is($p, 0, 'unhealthy', 'when it is up again it is');
	$p->end;
};

it 'another port, and values that are wrong' => sub {
	my ($b, $other) = (named('a'), backend('greeting', text => 'fine'));
	my $p = start("$SOON port=" . $other->port . ' expect=fine', [deaf($b)]);
	checked($p);
	is $p->peer->{health_check}, 'good';
	is $b->report->{accepted}, 0, 'the peer itself is left alone';
	$p->end;
	my $try = sub ($value, $peer = '127.0.0.1:2') {
		return Weir::Daemon->new(<<"CONF")->command('-t');
[server s]
listen = 127.0.0.1:1
protocol = line_proxy
upstream = u
[upstream u]
server = $peer
health_check = $value
CONF
	};
	is $try->($_)->{exit}, 0, $_ for 'off', 'on', 'on interval=10ms timeout=1s rise=1 fall=1000',
	    'on send="a \"b\"\r\n" expect="c;d"', 'on port=65535';
	for ('', 'yes', 'off rise=1', 'on interval=9ms', 'on rise=0', 'on rise=1001', 'on fall', 'on port=0',
	    'on send=""', 'on rise=1 rise=2', 'on every=1s', 'on send="a\x00b"') {
		my $r = $try->($_);
		is $r->{exit}, 1, $_;
		like $r->{text}, qr/weir\.conf:7: /, 'and says where';
	}
	like $try->('on port=1', 'unix:run/x.sock')->{text}, qr/a UNIX socket has no ports/;
};

done_testing;
