#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A real Redis behind stream_proxy, with its own programs in front.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;

my %bin;
for my $name (qw(redis-server redis-cli redis-benchmark)) {
	$bin{$name} = program($name) // skip_all("no $name");
}
my $dir = File::Temp->newdir;
chmod(0755, $dir);
my ($backend, $port, $to_unix) = free_ports(3);
my $service = Weir::Service->start([$bin{'redis-server'}, '--bind', '127.0.0.1', '--port', $backend,
    '--unixsocket', "$dir/redis.sock", '--unixsocketperm', '777', '--save', '', '--appendonly',
    'no', '--dir', "$dir", '--daemonize', 'no'],
    ready => sub { -S "$dir/redis.sock" && Weir::Client->try($backend) });

my $w = weir(<<"CONF");
[weir]
workers = 2
[server redis]
listen = 127.0.0.1:$port
listen = unix:run/redis.sock mode=0666
protocol = stream_proxy
upstream = redis
[server redis_unix]
listen = 127.0.0.1:$to_unix
protocol = stream_proxy
upstream = redis_unix
[upstream redis]
server = 127.0.0.1:$backend
[upstream redis_unix]
server = unix:$dir/redis.sock
CONF

sub cli(@args)
{
	return Weir::Process::run([$bin{'redis-cli'}, @args]);
}

my @ways = (['TCP', '-p', $port], ['a UNIX listener', '-s', $w->path('run/redis.sock')],
    ['a UNIX backend', '-p', $to_unix]);

for my $way (@ways) {
	my ($name, @to) = @$way;

	it "redis-cli over $name" => sub {
		is cli(@to, 'PING')->{out}, "PONG\n";
		is cli(@to, 'SET', 'k', 'v')->{out}, "OK\n";
		is cli(@to, 'GET', 'k')->{out}, "v\n";
		is cli(@to, 'INCRBY', 'n', 5)->{exit}, 0;
	};

	it "redis-benchmark over $name" => sub {
		my $result = Weir::Process::run([$bin{'redis-benchmark'}, @to, '-n', 20000, '-c', 50,
		    '-P', 16, '-t', 'ping,set,get,lpush,lrange_100', '-d', 100, '--csv'],
		    timeout => 100);
		is $result->{exit}, 0;
		my @rows = $result->{out} =~ /^"[^"]+","\d+/gm;
		cmp_ok scalar(@rows), '>=', 5, scalar(@rows) . ' tests ran';
		unlike $result->{text}, qr/error/i;
	};
}

# RESP by hand, to compare every byte.
sub bulk(@words)
{
	return '*' . @words . "\r\n" . join('', map { '$' . length($_) . "\r\n$_\r\n" } @words);
}

it 'large values come back unchanged' => sub {
	my $value = pattern(1, 0, 5_000_003);
	my $c = client($port);
	$c->send(bulk('SET', 'large', $value));
	is $c->recv(5), "+OK\r\n";
	for my $other ($port, $to_unix, 'unix:' . $w->path('run/redis.sock')) {
		my $reader = client($other);
		$reader->send(bulk('GET', 'large'));
		is $reader->line, "\$5000003\r\n";
		ok $reader->recv(5_000_003) eq $value;
		is $reader->recv(2), "\r\n";
	}
};

it 'a pipeline of 10,000 commands is answered in order' => sub {
	my $c = client($port, timeout => 30);
	my $commands = join('', map { bulk('ECHO', "message $_") } 1 .. 10_000);
	my $replies = join('', map { my $m = "message $_"; '$' . length($m) . "\r\n$m\r\n" } 1 .. 10_000);
	my $sent = 0;
	my $got = '';
	while (length($got) < length($replies)) {
		$sent += $c->send_some(substr($commands, $sent, 50_000));
		my $step = length($replies) - length($got);
		$got .= $c->recv($step < 20 ? $step : 20);
		last if $got ne substr($replies, 0, length($got));
	}
	ok $got eq $replies;
};

it 'a subscriber hears what another publishes' => sub {
	my $listener = client($port);
	$listener->send(bulk('SUBSCRIBE', 'news'));
	like join('', map { $listener->line } 1 .. 6), qr/subscribe.*news.*:1/s;
	my $speaker = client($to_unix);
	$speaker->send(bulk('PUBLISH', 'news', "number $_")) for 1 .. 100;
	for my $n (1 .. 100) {
		my $message = join('', map { $listener->line } 1 .. 7);
		die "message $n: $message" if $message !~ /\r\nnumber $n\r\n\z/;
	}
	pass;
};

it 'the end of Redis is the end of its sessions, and weir goes on' => sub {
	my $c = client($port);
	is $c->ask(bulk('PING'), "+PONG\r\n"), "+PONG\r\n";
	$service->stop;
	isnt $c->ending, 'open';
	isnt client($port)->ending, 'open';
	is $w->command('status')->{exit}, 0;
};

done_testing;
