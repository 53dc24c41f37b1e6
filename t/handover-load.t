#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Reloads under full load over sessions of every kind, with real servers behind some: nobody is closed, refused, or gets
# another's bytes, and nothing grows.  WEIR_LONG=1: 100 reloads with 5,000 sessions, then 1,000 of them (WEIR_SESSIONS,
# WEIR_RELOADS, WEIR_MORE_RELOADS: other numbers).
use v5.36;
use POSIX ();
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(max sum);
use Weir::Test;
use Weir::Service;
use Weir::Stress;

Weir::Build::ignore_leaks();

my $long = $ENV{WEIR_LONG} && !Weir::Build::sanitized();
my $slow = Weir::Build::valgrind() || Weir::Build::sanitized();
my $sessions = $ENV{WEIR_SESSIONS} // ($long ? 5000 : 200);
my $reloads = $ENV{WEIR_RELOADS} // ($long ? 100 : $slow ? 3 : 8);
my $more = $ENV{WEIR_MORE_RELOADS} // ($long ? 1000 : $slow ? 5 : 20);

my ($echo, $proxy, $lines, $bulk, $to_redis, $counters, $to_memcached, $memcached_port, @redis_ports) = free_ports(10);
my $peer = serve('echo');
my $answers = serve('line');
my $dir = File::Temp->newdir;
chmod(0755, $dir);
my (@redis, $memcached);
# One each for those who count in it: they use the same keys.
if (my $program = program('redis-server')) {
	@redis = map {
		my $port = $_;
		Weir::Service->start([$program, '--bind', '127.0.0.1', '--port', $port, '--save', '', '--appendonly', 'no',
		    '--dir', "$dir", '--daemonize', 'no'], ready => sub { Weir::Client->try($port) });
	} @redis_ports;
}
if (my $program = program('memcached')) {
	my @user = $> == 0 ? ('-u', 'nobody') : ();
	$memcached = Weir::Service->start([$program, @user, '-l', '127.0.0.1', '-p', $memcached_port, '-U', 0],
	    ready => sub { Weir::Client->try($memcached_port) });
}

sub relay($name, $port, $upstream, $address)
{
	return <<"CONF";
[server $name]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = $upstream
[upstream $upstream]
server = $address
connect_timeout = 1m
CONF
}

my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log notice
[defaults server]
idle_timeout = 1h
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
[upstream answers]
server = @{[$answers->address]}
pool_wait = 1h
reply_timeout = off
@{[relay('proxy', $proxy, 'peer', $peer->address)]}
@{[relay('bulk', $bulk, 'streams', $peer->address)]}
@{[@redis ? relay('redis', $to_redis, 'store', "127.0.0.1:$redis_ports[0]") : '']}
@{[@redis ? "[server counters]\nlisten = 127.0.0.1:$counters\nprotocol = line_proxy\nupstream = counts\n" .
    "[upstream counts]\nserver = 127.0.0.1:$redis_ports[1]\npool_wait = 1h\nreply_timeout = off\n" : '']}
@{[$memcached ? relay('memcached', $to_memcached, 'cache', "127.0.0.1:$memcached_port") : '']}
CONF

# Sets and gets on so many connections, one after the other, until it is told to end: whether all was right.
sub memcached_load($count)
{
	my $pid = fork // die "fork: $!\n";
	return $pid if $pid;
	my $over = 0;
	local $SIG{TERM} = sub { $over = 1 };
	my $rounds = 0;
	my $good = eval {
		my @all = map { client($to_memcached, timeout => 60) } 1 .. $count;
		for (; !$over; $rounds++) {
			for my $i (0 .. $#all) {
				my $value = "of $i, for the $rounds. time";
				my $head = "k$i 0 " . (length($value)) . "\r\n$value\r\n";
				for (["set k$i 0 0 " . length($value) . "\r\n$value\r\n", "STORED\r\n"],
				    ["get k$i\r\n", "VALUE $head" . "END\r\n"]) {
					my $got = $all[$i]->ask($_->[0], $_->[1]);
					die "connection $i: got '$got', want '$_->[1]'\n" if $got ne $_->[1];
				}
			}
		}
		1;
	};
	print STDERR "# memcached: $@" if !$good;
	POSIX::_exit($good && $rounds > 0 ? 0 : 1);
}

# One that has gone by itself is seen by the number of clients that were accepted.
my %clients;
my ($cached, @load);

sub begin_load($all)
{
	my %of = (lines => 0.3, echo => 0.3, proxy => 0.2, redis => 0.1, counters => 0.06, memcached => 0.03, bulk => 0.01);
	%clients = map { $_ => max(2, int($all * $of{$_})) } keys %of;
	delete @clients{qw(redis counters)} if !@redis;
	delete $clients{memcached} if !$memcached;
	@load = (crowd('line', '-c', $clients{lines}, '-p', 4, "127.0.0.1:$lines"),
	    crowd('echo', '-c', $clients{echo}, "127.0.0.1:$echo"),
	    crowd('line', '-c', $clients{proxy}, "127.0.0.1:$proxy"),
	    crowd('bulk', '-c', $clients{bulk}, '-s', '16m', '-d', '1h', "127.0.0.1:$bulk"));
	push @load, crowd('redis', '-c', $clients{redis}, "127.0.0.1:$to_redis"),
	    crowd('redis', '--inline', '-c', $clients{counters}, "127.0.0.1:$counters") if @redis;
	$cached = memcached_load($clients{memcached}) if $memcached;
	ok wait_for(sub { $w->status->sessions >= sum(values %clients) - $clients{bulk} }, 60), sum(values %clients) . ' sessions'
	    or diag $w->status->sessions;
}

sub all_stay($w)
{
	my $s = $w->status;
	my @stay = grep { $_ ne 'bulk' } sort keys %clients;	# that ends a stream when it is whole, and begins another
	is join(', ', map { "$_: " . join('/', $s->server($_)->@{qw(accepted sessions)}) } @stay),
	    join(', ', map { "$_: $clients{$_}/$clients{$_}" } @stay), 'nobody was closed, or came again';
}

sub alone($w)
{
	return $w->command('generations')->{out} =~ /\Ageneration \d+: running[^\n]*\n(?:  [^\n]*\n)*\z/;
}

# What master and workers have in memory (bytes), and their descriptors, without those of sessions.
sub weight($w)
{
	return { master => Weir::Process::memory($w->pid), workers => $w->memory,
	    descriptors => sum(map { scalar(Weir::Process::descriptors($_)) } $w->pid, $w->template) };
}

sub reload_often($count)
{
	my ($slowest, $longest, $moved, $bad) = (0, 0, 0, 0);
	for my $n (1 .. $count) {
		my $begin = now();
		my $result = $w->reload;
		my $took = now() - $begin;
		$slowest = max($slowest, $took);
		$moved += $1 if $result->{text} =~ /^sessions: (\d+) moved/m;
		$bad += $result->{exit} != 0;
		diag $result->{text} if $result->{exit} != 0;
		wait_for(sub { alone($w) }, 30) or $bad++;
		$longest = max($longest, now() - $begin - $took);
	}
	is $bad, 0, "$count reloads, after which the old workers are gone";
	note sprintf '%d reloads: %d sessions moved in all, the slowest took %.2f s, old workers were gone %.2f s later at most',
	    $count, $moved, $slowest, $longest;
	return $longest;
}

it 'reloads in a row under full load' => sub {
	begin_load($sessions);
	reload_often($reloads);
	all_stay($w);
	for my $run (@load) {
		my $r = $run->end;
		unharmed($r);
		note "$run->{name}: $r->{of}{answered} answered";
	}
	if ($cached) {
		kill('TERM', $cached);
		waitpid($cached, 0);
		is $?, 0, 'memcached has kept what it was told';
	}
	ok wait_for(sub { $w->status->sessions == 0 }, 30), 'all have gone';
	unlike $w->log, qr/ alert | error /, 'without a complaint';
};

it 'nothing grows over many reloads' => sub {
	my @idle = map { client($_) } ($echo, $proxy, $lines) x 20;
	$_->ping for @idle;
	reload_often(int($more / 10) + 1);
	my $before = weight($w);
	reload_often($more);
	my $after = weight($w);
	note join ', ', map { "$_ $before->{$_} -> $after->{$_}" } sort keys %$before;
	is $after->{descriptors}, $before->{descriptors}, 'descriptors of master and template';
	# A sanitizer keeps what was freed for a while.
	if (!Weir::Build::sanitized() && !Weir::Build::valgrind()) {
		cmp_ok $after->{$_}, '<=', $before->{$_} * 1.05 + (1 << 20), "memory of the $_" for qw(master workers);
	}
	ok !(grep { !$_->ping } @idle), 'and all sessions go on';
	$_->close for @idle;
};

done_testing;
