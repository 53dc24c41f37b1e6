#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# While a peer is being connected to: a UNIX socket whose backlog is full is busy and not
# dead, and a client that goes is seen at once.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Socket qw(:all);
use Weir::Conf;
use Weir::Stress;
use Weir::Test;

my $folder = tempdir('weir-connect.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod(0755, $folder);
my ($busy, $late) = map { "$folder/$_.sock" } qw(busy late);
my $unanswering = backend('full');
my $port = free_port;

my @once = ("unix:$busy max_fails=1", connect_timeout => '60s');
my $w = weir(conf_text(
	weir => [workers => 1],
	servers => {
		proxy => ['unix:run/proxy.sock', 'stream_proxy', 'busy'],
		lines => ['unix:run/lines.sock', 'line_proxy', 'requests'],
		late => ['unix:run/late.sock', 'stream_proxy', 'late'],
		unanswered => ["127.0.0.1:$port", 'stream_proxy', 'unanswering'],
	},
	upstreams => {
		busy => [@once],
		requests => [@once, pool_wait => '60s'],
		late => ["unix:$late max_fails=0", connect_timeout => '50ms', retries => 0],
		unanswering => [$unanswering->address, connect_timeout => '10m'],
	}) . "[defaults server]\nidle_timeout = off\n");

# A listener with room for one connection, which the test has taken.
sub full($path)
{
	socket(my $door, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	bind($door, pack_sockaddr_un($path)) or die "bind $path: $!\n";
	chmod(0777, $path);
	listen($door, 0);
	socket(my $first, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	connect($first, pack_sockaddr_un($path)) or die "connect: $!\n";
	return ($door, $first);
}

sub taken($door)
{
	vec(my $want = '', fileno($door), 1) = 1;
	select($want, undef, undef, 10) or die "nobody connects\n";
	accept(my $fh, $door) or die "accept: $!\n";
	return $fh;
}

sub sessions($server) { return $w->status->server($server)->{sessions} }

my ($door, $first) = full($busy);

it 'a peer with a full backlog gets a stream when it has room' => sub {
	my $c = client($w->address('proxy'));
	$c->send("hello\n");
	ok wait_for { sessions('proxy') == 1 };
	is $w->status->peer('busy', "unix:$busy")->{failed} // 0, 0, 'it has not failed';
	my @fh = map { taken($door) } 1 .. 2;
	is scalar(readline($fh[1])), "hello\n";
	syswrite($fh[1], "world\n");
	is $c->line, "world\n";
	$c->close;
	close($fh[1]);
	ok wait_for { sessions('proxy') == 0 };
	is $w->status->server('proxy')->{end_connect_failed}, 0;
};

it 'and requests of a pool' => sub {
	socket(my $again, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	connect($again, pack_sockaddr_un($busy)) or die "connect: $!\n";
	my $c = client($w->address('lines'));
	$c->send("hello\n");
	ok wait_for { $w->status->peer('requests', "unix:$busy")->{requests} == 1 }, 'it waits on a link';
	my @fh = map { taken($door) } 1 .. 2;
	is scalar(readline($fh[1])), "hello\n";
	syswrite($fh[1], "world\n");
	is $c->line, "world\n";
};

it 'weir-stress waits for it, too' => sub {
	socket(my $again, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	connect($again, pack_sockaddr_un($busy)) or die "connect: $!\n";
	my $p = stress_start(qw(idle -c 1 -d 100ms -t 60s), "unix:$busy");
	my @fh = map { taken($door) } 1 .. 2;
	unharmed($p->wait, connected => 1);
};

it 'but not for longer than connect_timeout' => sub {
	my @late = full($late);
	my $c = client($w->address('late'));
	isnt $c->ending, 'open';
	ok wait_for { sessions('late') == 0 };
	is $w->status->server('late')->{end_connect_failed}, 1;
	is $w->status->peer('late', "unix:$late")->{connect_timed_out}, 1;
};

# How often the worker has gone to sleep.
sub sleeps()
{
	my ($n) = slurp('/proc/' . $w->worker(0) . '/status') =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $n;
}

it 'a client that resets behind what it has sent is seen while its peer does not answer' => sub {
	my $c = client($port);
	ok wait_for { sessions('unanswered') == 1 };
	my $before = sleeps();
	$c->send('early');
	ok wait_for { sleeps() > $before }, 'the bytes have been noticed';
	$c->reset;
	ok wait_for { sessions('unanswered') == 0 };
	is $w->status->server('unanswered')->{end_client_failed}, 1;
};

done_testing;
