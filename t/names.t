#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# server = NAME resolve: peers come and go with what name servers say, and the keeper that asks them.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use Weir::Test;
use Weir::DNS;

# Two backends at one port, so that a name has them as two addresses.
my $port = free_port;
my @named = map { backend('named', name => "b$_", address => "127.0.0.$_:$port") } 1 .. 3;
my $dns = Weir::DNS->start;

sub addresses(@hosts)
{
	return { 'db.test' => { A => [map { "127.0.0.$_" } @hosts], ttl => 1 } };
}

sub conf($line, $listen, @more)
{
	my @weir = grep { /^(workers|worker_\w+) =/ } @more;
	my @upstream = grep { !/^(workers|worker_\w+) =/ } @more;
	return join("\n", '[weir]', 'resolver = ' . $dns->address, @weir, '[server s]', "listen = 127.0.0.1:$listen",
	    'protocol = stream_proxy', 'upstream = u', '[upstream u]', "server = $line", 'resolve_min = 20ms',
	    'resolve_max = 40ms', @upstream) . "\n";
}

# The states of members, by the last byte of their addresses: "1:up 2:gone".
sub members($w)
{
	my $peers = $w->status->peers('u');
	return join(' ', map { m{\.(\d+):} ? "$1:$peers->{$_}{state}" : () } sort keys %$peers);
}

sub has($w, $members)
{
	return ok((wait_for { members($w) eq $members }), $members) || diag members($w);
}

# Who of the backends is reached by so many clients.
sub reached($listen, $count = 6)
{
	my %reached;
	for (1 .. $count) {
		my $c = client($listen);
		$reached{$c->line =~ /b(\d)/ ? $1 : '?'}++;
		$c->close;
	}
	return join('', sort keys %reached);
}

it 'addresses come and go, and sessions elsewhere go on' => sub {
	$dns->zone(addresses(1, 2));
	my $w = weir(conf("db.test:$port resolve", my $listen = free_port, 'workers = 2'));
	is members($w), '1:up 2:up', 'there from the first moment';
	is reached($listen, 12), '12';
	my @stay = map { my $c = client($listen); [$c, $c->line] } 1 .. 4;
	$dns->zone(addresses(2, 3));
	has($w, '1:leaving 2:up 3:up');
	is $w->command('peer', 'u', "127.0.0.1:$port", 'up')->{exit}, 1, 'it cannot be ordered back';
	is reached($listen, 12), '23', 'nobody new goes to the one that has left';
	is $_->[0]->ask('x'), 'x' for @stay;
	$_->[0]->close for @stay;
	has($w, '1:gone 2:up 3:up');
	$w->wait_log(qr/upstream u: db\.test:$port: .*there are 2 now/);
	like $w->command('status')->{out}, qr/^  keeper: process \d+, working$/m;
	$w->stop;
};

it 'sessions at one that has left go on over a reload' => sub {
	$dns->zone(addresses(1));
	my $w = weir(conf("db.test:$port resolve", my $listen = free_port));
	my $c = client($listen);
	is $c->line, "b1\n";
	$dns->zone(addresses(2));
	has($w, '1:leaving 2:up');
	my ($worker, $keeper) = ($w->worker(0), ($w->status->keepers)[0]{pid});
	is $w->reload->{exit}, 0;
	ok wait_for { !grep { $_->{pid} == $worker || $_->{pid} == $keeper } $w->processes };
	is $c->ask('x'), 'x';
	is reached($listen), '2';
	is members($w), '1:leaving 2:up';
	$c->close;
	$w->stop;
};

it 'whatever goes wrong, the last good addresses are used' => sub {
	$dns->zone(addresses(1));
	my $w = weir(conf("db.test:$port resolve", my $listen = free_port));
	for my $how ([refuse => 'none of them gives'], [fail => 'none of them gives']) {
		my ($behaviour, $text) = @$how;
		$w->mark;
		$dns->behave($behaviour);
		ok wait_for { $w->log_since =~ /db\.test:$port: .*(?:$text).*: the peers that it had \(1\) are used/ }, $behaviour
		    or diag $w->log_since;
		is members($w), '1:up';
		like $w->status->upstream('u')->{names}, qr/$text/;
		$dns->behave('answer');
		ok wait_for { $w->log_since =~ /db\.test:$port can be looked up again/ };
	}
	for my $zone ({}, { 'db.test' => { A => [] } }) {
		$w->mark;
		$dns->zone($zone);
		ok wait_for { $w->log_since =~ /NXDOMAIN|no address/ }, 'nothing is there any more';
		is members($w), '1:up';
		is reached($listen, 2), '1';
		$dns->zone(addresses(1));
		ok wait_for { $w->log_since =~ /can be looked up again/ };
	}
	$dns->behave('lie');
	$dns->zone(addresses(1, 2));
	has($w, '1:up 2:up');
	$dns->behave('answer');
	$w->stop;
};

it 'a name that is not there: weir starts, and says so' => sub {
	$dns->zone({});
	my $w = Weir::Daemon->new(conf("db.test:$port resolve", my $listen = free_port));
	my $tested = $w->command('-t');
	is $tested->{exit}, 0;
	like $tested->{text}, qr/weir\.conf:\d+: warning: db\.test:$port: there is no such name \(NXDOMAIN\)/;
	$w->spawn;
	$w->wait_ready;
	is $w->status->upstream('u')->{failed_no_peer} // 0, 0;
	my $c = client($listen);
	is $c->rest, '';
	$c->close;
	$dns->zone(addresses(3));
	has($w, '3:up');
	is reached($listen, 2), '3';
	$w->stop;
};

it 'services: ports, weights, the first priority, and the others as backups' => sub {
	my %hosts = map { ("h$_.test" => { A => ["127.0.0.$_"], ttl => 1 }) } 1 .. 3;
	$dns->zone({ %hosts, '_s._tcp.test' => { SRV => [[10, 3, $port, 'h1.test'], [10, 1, $port, 'h2.test'], [20, 1, $port, 'h3.test']] } });
	my $w = weir(conf('test resolve service=_s._tcp', my $listen = free_port, 'workers = 1'));
	is members($w), '1:up 2:up 3:up';
	is reached($listen, 8), '12';
	my %sessions = map { $_ => $w->status->peer('u', "127.0.0.$_:$port")->{connected} } 1, 2;
	cmp_ok $sessions{1}, '>', 4, 'three of four, more or less'; # where round_robin begins differs
	$dns->zone({ %hosts, '_s._tcp.test' => { SRV => [[20, 0, $port, 'h3.test'], [30, 0, $port, 'h2.test']] } });
	has($w, '1:gone 2:up 3:up');
	is reached($listen, 4), '3';
	$dns->zone({ %hosts, '_s._tcp.test' => { SRV => [[0, 0, 0, '']] } });
	$w->wait_log(qr/no such service/);
	is reached($listen, 2), '3', 'no service: as before';
	$w->stop;
};

it 'requests over a pool: links to one that has left are closed, no request is lost' => sub {
	my $line_port = free_port;
	my @lines = map { backend('line', name => "l$_", address => "127.0.0.$_:$line_port") } 1, 2;
	$dns->zone(addresses(1));
	my $text = conf("db.test:$line_port resolve", my $listen = free_port, 'balance = hash client consistent', 'pool_min_idle = 1',
	    'health_check = on interval=100ms');
	my $w = weir($text =~ s/stream_proxy/line_proxy/r);
	my $c = client($listen);
	is $c->ask("a\n"), "a\n";
	ok $lines[0]->report->{open} >= 1;
	$dns->zone(addresses(2));
	has($w, '1:gone 2:up');
	ok wait_for { $lines[1]->report->{open} >= 1 }, 'one is kept ready';
	is $c->ask("$_\n"), "$_\n" for 1 .. 5;
	ok wait_for { $lines[0]->report->{open} == 0 }, 'and none with the other';
	is $lines[1]->report->{lines}, 5;
	ok wait_for { $w->status->peer('u', "127.0.0.2:$line_port")->{checks} >= 2 }, 'it is checked';
	my $checks = $w->status->peer('u', "127.0.0.1:$line_port")->{checks};
	$lines[1]->tell('down');
	ok wait_for { $w->status->peer('u', "127.0.0.2:$line_port")->{state} eq 'unhealthy' };
	is $w->status->peer('u', "127.0.0.1:$line_port")->{checks}, $checks, 'the other is not any more';
	$c->close;
	$w->stop;
};

it 'thousands of servers: as many as resolve_peers, over TCP' => sub {
	my %hosts = ('h1.test' => { A => ['127.0.0.1'], ttl => 1 });
	$dns->zone({ %hosts, '_s._tcp.test' => { SRV => [map { [1, 1, 1000 + $_, 'h1.test'] } 1 .. 2000] } });
	my $before = $dns->queries->{tcp};
	my $w = weir(conf('test resolve service=_s._tcp', my $listen = free_port, 'resolve_peers = 20'));
	is scalar(keys $w->status->peers('u')->%*), 20;
	ok $dns->queries->{tcp} > $before, 'asked again over TCP';
	$w->wait_log(qr/resolve_peers allows: 1980 are left out/);
	is $w->status->upstream('u')->{left_out}, 1980;
	$w->stop;
};

it 'the keeper comes back, and stands alone' => sub {
	$dns->zone(addresses(1));
	my $w = weir(conf("db.test:$port resolve", my $listen = free_port, 'worker_watchdog = ' . (Weir::Build::sanitized() ? '4s' : '1s')));
	my $keeper = ($w->status->keepers)[0]{pid};
	$w->allow(qr/keeper .*(was killed|not answer)/);
	kill KILL => $keeper;
	ok wait_for { my ($k) = $w->status->keepers; $k->{pid} && $k->{pid} != $keeper && $k->{state} eq 'working' };
	$keeper = ($w->status->keepers)[0]{pid};
	kill STOP => $keeper;
	ok wait_for(sub { my ($k) = $w->status->keepers; $k->{pid} && $k->{pid} != $keeper && $k->{state} eq 'working' }, 30), 'one that is stopped is replaced';
	$dns->zone(addresses(2));
	has($w, '1:gone 2:up');
	$w->edit_conf(sub { s/db\.test:\d+ resolve/127.0.0.1:$port/ });
	is $w->reload->{exit}, 0;
	ok wait_for { scalar(my @none = $w->status->keepers) == 0 }, 'without names there is none';
	is reached($listen, 2), '1';
	$w->stop;
};

it 'dnsmasq: a change is followed within its TTL' => sub {
	my $program = program('dnsmasq') // plan skip_all => 'no dnsmasq';
	my $dir = File::Temp->newdir;
	my ($at, $listen) = (free_port, free_port);
	spurt("$dir/hosts", "127.0.0.1 db.test\n127.0.0.2 db.test\n");
	my $output = "$dir/log";
	my $pid = Weir::Process::spawn([$program, '--keep-in-foreground', "--port=$at", '--listen-address=127.0.0.1',
	    '--bind-interfaces', '--no-resolv', '--no-hosts', "--addn-hosts=$dir/hosts", '--local-ttl=1', '--pid-file=',
	    '--user=' . getpwuid($<), '--log-facility=-'], output => $output);
	ok wait_for { -e $output && slurp($output) =~ /started/ };
	my $w = weir("[weir]\nresolver = 127.0.0.1:$at\n[server s]\nlisten = 127.0.0.1:$listen\nprotocol = stream_proxy\n" .
	    "upstream = u\n[upstream u]\nserver = db.test:$port resolve\n");
	is members($w), '1:up 2:up';
	my @stay = map { my $c = client($listen); $c->line; $c } 1 .. 4;
	spurt("$dir/hosts", "127.0.0.2 db.test\n127.0.0.3 db.test\n");
	kill HUP => $pid;
	has($w, '1:leaving 2:up 3:up');
	is $_->ask('x'), 'x' for @stay;
	is reached($listen), '23';
	kill TERM => $pid;
	Weir::Process::reap($pid);
	$_->close for @stay;
	$w->stop;
};

$dns->stop;
done_testing;
