#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A real Redis behind a pool: ten thousand clients over sixteen connections. Each
# has a counter of its own, whose numbers nobody else can have, so that a reply
# which is lost, doubled or somebody else's shows.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;
use Weir::Stress;

my $server = program('redis-server') // skip_all('no redis-server');

my $many = Weir::Build::sanitized() || Weir::Build::valgrind() ? 1000 : 10_000;
my $each = 5;
my $links = 16;

my $dir = File::Temp->newdir;
chmod(0755, $dir);
my $port = free_port;
my $service = Weir::Service->start([$server, '--bind', '127.0.0.1', '--port', $port,
    '--unixsocket', "$dir/redis.sock", '--unixsocketperm', '777', '--save', '', '--appendonly',
    'no', '--dir', "$dir", '--daemonize', 'no'],
    ready => sub { -S "$dir/redis.sock" && Weir::Client->try($port) });

# A connection of the test's own, past weir. The end of a pool takes it along.
my $redis;

sub ask($command)
{
	$redis = client($port) if !$redis || !$redis->fh;
	return $redis->send("$command\r\n")->line =~ s/\r\n//r;
}

sub bulk($command)
{
	my ($length) = ask($command) =~ /^\$(\d+)$/ or die "$command: no text\n";
	my $text = $redis->recv($length);
	$redis->line;
	return $text;
}

# Connections that Redis has now, without ours.
sub connected()
{
	my ($count) = bulk('INFO clients') =~ /^connected_clients:(\d+)/m;
	return $count - 1;
}

# Connections that it has had, ever, ours included.
sub received()
{
	return bulk('INFO stats') =~ /^total_connections_received:(\d+)/m ? $1 : die;
}

# Connections that it refused, ever: more than maxclients.
sub rejected()
{
	return bulk('INFO stats') =~ /^rejected_connections:(\d+)/m ? $1 : die;
}

# How often it has done each command since CONFIG RESETSTAT.
sub calls()
{
	return { bulk('INFO commandstats') =~ /^cmdstat_(\w+):calls=(\d+)/mg };
}

for my $workers (1, 2, 4) {
	it "$many clients over $links connections, $workers workers" => sub {
		is ask('FLUSHALL'), '+OK';
		# One more than that, with ours, would be refused.
		is ask('CONFIG SET maxclients ' . ($links + 1)), '+OK';
		is ask('CONFIG RESETSTAT'), '+OK';
		my $before = received();
		my $p = Weir::Pool->new(peers => ["127.0.0.1:$port"], workers => $workers,
		    upstream => "pool_size = $links\npool_wait = 1m\nreply_timeout = 1m\n");
		my $crowd = crowd('redis', '--inline', '-c', $many, '--each', $each, '-p', 2, $p->address);
		my $most = 0;
		wait_for {
			my $now = connected();
			$most = $now if $now > $most;
			!$crowd->running;
		} 120;
		unharmed($crowd->wait, answered => $many * $each, connected => $many, peak => $many,
		    least => $each);
		my $calls = calls();
		is "$calls->{set} $calls->{incr}", join(' ', $many, $many * ($each - 1)), 'each was done once';
		is ask('DBSIZE'), ":$many", 'for each client';
		cmp_ok $most, '<=', $links, "Redis saw $most connections at most";
		is rejected(), 0, 'and it refused none';
		cmp_ok received() - $before, '<=', $links * 3, 'and few in all';
		is_deeply $p->failures, {};
		is $p->upstream->{requests}, $many * $each;
		is $p->server->{accepted}, $many;
		$p->end;
		is connected(), 0, 'they end with weir';
	};
}

it 'the answers of one client are those to its own questions' => sub {
	my $p = Weir::Pool->new(peers => ["unix:$dir/redis.sock"], workers => 2);
	unharmed(stress('redis', '--inline', '-c', 200, '--each', 100, '-p', 10, $p->address),
	    answered => 20_000, connected => 200, least => 100);
	is_deeply $p->failures, {};
	$p->end;
};

it 'what weir-stress asks Redis, framed and as lines through weir' => sub {
	my $p = Weir::Pool->new(peers => ["127.0.0.1:$port"], workers => 2);
	for my $to (["127.0.0.1:$port"], ["127.0.0.1:" . $p->port, "--inline"]) {
		my $r = stress('redis', '-c', 10, '-n', 4000, '-p', 3, @$to);
		is $r->{exit}, 0 or diag $r->{text};
		is $r->{of}{answered}, 4000;
		is ask('GET weir:000000000001'), '$14', 'the counters are there';
		$redis->line;
		like ask('DEL weir:000000000001'), qr/^:1/;
	}
	is_deeply $p->failures, {};
	$p->end;
};

it 'a reply that is not the next count is wrong' => sub {
	my $b = serve('line');
	my $r = stress('redis', '-c', 1, '-n', 1, '--inline', $b->address);
	is $r->{exit}, 1;
	is $r->{of}{wrong}, 1 or diag $r->{text};
	like $r->{text}, qr/\+OK/, 'what was due is told';
};

it 'Redis restarts' => sub {
	my $p = Weir::Pool->new(peers => ["127.0.0.1:$port fail_timeout=100ms"],
	    failure => '-ERR nobody there', upstream => "retries = 0\n");
	my $c = $p->client;
	is $c->send("PING\r\n")->line, "+PONG\r\n";
	$service->stop;
	$p->until(sub ($p) { $p->peer->{links} == 0 }, 'the link is gone');
	is $c->send("PING\r\n")->line, "-ERR nobody there\n";
	$service = Weir::Service->start([$server, '--bind', '127.0.0.1', '--port', $port, '--save', '',
	    '--appendonly', 'no', '--dir', "$dir", '--daemonize', 'no'],
	    ready => sub { Weir::Client->try($port) });
	ok wait_for { $c->send("PING\r\n")->line eq "+PONG\r\n" }, 'and weir finds it again';
	$p->end;
};

done_testing;
