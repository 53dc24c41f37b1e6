#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A real memcached behind stream_proxy, with libmemcached's programs in front.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;

my $memcached = program('memcached') // skip_all('no memcached');
my $dir = File::Temp->newdir;
chmod(0777, $dir);
my ($backend, $port, $to_unix) = free_ports(3);
my @user = $> == 0 ? ('-u', 'nobody') : ();
my $tcp = Weir::Service->start([$memcached, @user, '-l', '127.0.0.1', '-p', $backend, '-U', 0, '-I', '8m'],
    ready => sub { Weir::Client->try($backend) });
my $unix = Weir::Service->start([$memcached, @user, '-s', "$dir/memcached.sock", '-a', '0777'],
    ready => sub { -S "$dir/memcached.sock" && Weir::Client->try("unix:$dir/memcached.sock") });

my $w = weir(<<"CONF");
[weir]
workers = 2
[server memcached]
listen = 127.0.0.1:$port
listen = unix:run/memcached.sock mode=0666
protocol = stream_proxy
upstream = memcached
[server memcached_unix]
listen = 127.0.0.1:$to_unix
protocol = stream_proxy
upstream = memcached_unix
[upstream memcached]
server = 127.0.0.1:$backend
[upstream memcached_unix]
server = unix:$dir/memcached.sock
CONF

sub capable($program, $to, $kind)
{
	my $result = Weir::Process::run([$program, '-h', '127.0.0.1', '-p', $to, $kind],
	    timeout => 100);
	return $result->{text};
}

# This memcached may not pass every test of that program: weir must not change the outcome.
for my $kind ('-a', '-b') {
	it "memccapable $kind finds what it finds without weir" => sub {
		my $program = program('memccapable') // plan skip_all => 'no memccapable';
		my $direct = capable($program, $backend, $kind);
		like $direct, qr/pass/;
		is capable($program, $port, $kind), $direct;
	};
}

it 'memccp and memccat' => sub {
	my ($cp, $cat, $rm) = map { program($_) // plan skip_all => "no $_" }
	    qw(memccp memccat memcrm);
	my $text = join('', map { sprintf("%06d %s\n", $_, 'abc' x ($_ % 20)) } 1 .. 20_000);
	open(my $fh, '>', "$dir/text") or die "text: $!\n";
	print $fh $text;
	close($fh);
	for my $to ($port, $to_unix) {
		my $servers = "--servers=127.0.0.1:$to";
		is Weir::Process::run([$cp, $servers, "$dir/text"])->{exit}, 0;
		my $result = Weir::Process::run([$cat, $servers, 'text']);
		ok $result->{out} eq "$text\n" or
		    diag length($result->{out}), ' of ', length($text), ' bytes';
		is Weir::Process::run([$rm, $servers, 'text'])->{exit}, 0;
		isnt Weir::Process::run([$cat, $servers, 'text'])->{out}, $text;
	}
};

it 'values of all sizes come back unchanged' => sub {
	for my $to ($port, $to_unix, 'unix:' . $w->path('run/memcached.sock')) {
		my $c = client($to);
		for my $length (0, 1, 100, 65_536, 1_000_000) {
			my $value = pattern($length, 0, $length);
			$c->send("set k 0 0 $length\r\n$value\r\n");
			is $c->line, "STORED\r\n";
			$c->send("get k\r\n");
			is $c->line, "VALUE k 0 $length\r\n";
			ok $c->recv($length) eq $value;
			is $c->recv(7), "\r\nEND\r\n";
		}
		$c->send("quit\r\n");
		is $c->ending, 'eof', 'quit ends the session';
	}
};

it 'many clients count to one number' => sub {
	my @clients = map { client($_ % 2 ? $port : 'unix:' . $w->path('run/memcached.sock')) } 1 .. 50;
	$clients[0]->send("set n 0 0 1\r\n0\r\n");
	$clients[0]->line;
	for (1 .. 20) {
		$_->send("incr n 1\r\nincr n 1\r\n") for @clients;
		for my $c (@clients) {
			$c->line for 1 .. 2;
		}
	}
	$clients[0]->send("get n\r\n");
	$clients[0]->line;
	is $clients[0]->line, "2000\r\n";
};

done_testing;
