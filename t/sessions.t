#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sessions at run time: which there are, and how they are closed.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Weir::JSON;
use Weir::Stress;
use Weir::Test;

Weir::Build::ignore_leaks();

my ($echo, $gate, $lines, $proxied) = free_ports(4);
my $backend = backend('echo');
my $line = serve('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server echo]
listen = 127.0.0.1:$echo
protocol = echo

[server proxied]
listen = 127.0.0.1:$proxied
protocol = echo
proxy_protocol = on
proxy_protocol_from = 127.0.0.0/8

[server gate]
listen = 127.0.0.1:$gate
protocol = stream_proxy
upstream = behind

[upstream behind]
server = @{[$backend->address]}

[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = pool

[upstream pool]
server = @{[$line->address]}
CONF

sub sessions(@args) { return @{Weir::JSON::decode($w->command('sessions', '--json', @args)->{out})} }
sub ended($server) { return $w->status->server($server)->{end_closed_by_operator} // 0 }

# So many clients that have each had an answer.
sub crowd_of($port, $count) { return map { my $c = client($port); $c->ping; $c } 1 .. $count }

it 'none' => sub {
	my $result = $w->command('sessions');
	is $result->{exit}, 0;
	like $result->{out}, qr/\ASESSION +SERVER +CLIENT +PROXY +AGE +IDLE +IN +OUT +STEP +TLS +PEER\n\z/;
	is_deeply [sessions()], [];
};

it 'who, where, since when, how much' => sub {
	my @c = crowd_of($echo, 5);
	my $g = client($gate);
	$g->ask('x' x 100);
	my $p = client($proxied);
	$p->send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
	$p->ping;
	my @all = sessions();
	is scalar(@all), 7;
	my @ids = map { my ($g, $n) = split /\./, $_->{session}; $g * 2**32 + $n } @all;
	is_deeply [sort { $a <=> $b } @ids], \@ids, 'sorted';
	my ($relay) = sessions('gate');
	is $relay->{client}, '127.0.0.1:' . $g->local_port;
	is $relay->{peer}, 'behind/' . $backend->address;
	is $relay->{step}, 'relay';
	is $relay->{bytes_in}, 100;
	is $relay->{bytes_out}, 100;
	is $relay->{proxy}, '';
	cmp_ok $relay->{age_ms}, '<', 60000;
	my ($behind) = sessions('proxied');
	is $behind->{client}, '192.0.2.7:4711';
	is $behind->{proxy}, '127.0.0.1:' . $p->local_port;
	is scalar(sessions('--from', '192.0.2.0/24')), 1;
	is scalar(sessions('--peer', $backend->address)), 1;
	is scalar(sessions('--limit', 3)), 3;
	is((sessions('--limit', 1))[0]{session}, $all[0]{session}, 'the oldest first');
	like $w->command('sessions', 'gate')->{out}, qr/^\Q$relay->{session}\E +gate +\S+ +- +\S+ +\S+ +100 +100 +relay +- +behind\/\S+$/m;
	$_->close for @c, $g, $p;
	ok wait_for { !sessions() };
};

it 'what is not there, or makes no sense, is told' => sub {
	for my $case ([['sessions', 'nobody'], 1, qr/no server nobody/],
	    [['sessions', '--peer', '127.0.0.1:1'], 1, qr/no peer 127.0.0.1:1/],
	    [['sessions', '--from', 'there'], 2, qr/range of addresses/],
	    [['sessions', '--limit', '0'], 2, qr/number of lines/],
	    [['close'], 2, qr/which sessions/],
	    [['close', '1'], 2, qr/like 3\.17/],
	    [['close', '--server', 'echo', '--rate', 'fast'], 2, qr/sessions in a second/],
	    [['close', '--server', 'echo', '--grace', 'long'], 2, qr/write a time/],
	    [['close', '--server', 'nobody'], 1, qr/no server nobody/],
	    [['close', '9.9'], 1, qr/no session 9\.9/]) {
		my ($args, $exit, $says) = @$case;
		my $result = $w->command(@$args);
		is $result->{exit}, $exit, "weir @$args";
		like $result->{err}, $says;
	}
};

it 'sessions are closed by their names, and others are not' => sub {
	my @c = crowd_of($echo, 4);
	my %of = map { $_->{client} => $_->{session} } sessions('echo');
	my @named = map { $of{'127.0.0.1:' . $_->local_port} } @c[0, 2];
	$w->mark;
	my $result = $w->command('close', @named, '--rate', 0, '--wait');
	is $result->{exit}, 0 or diag $result->{err};
	is $result->{out}, "2 sessions closed\n";
	is $c[$_]->ending, 'eof' for 0, 2;
	ok $c[$_]->ping for 1, 3;
	$_->close for @c;
	ok wait_for { ended('echo') == 2 };
	like $w->log_since, qr/notice \d+ master: command: close id=\Q$named[0]\E .*: by .*uid \d+, process \d+/;
	ok $w->wait_log(qr/closed: closed_by_operator,/);
};

it 'those with a peer, at a rate' => sub {
	my @c = crowd_of($gate, 30);
	my $other = client($echo);
	$other->ping;
	my $before = Time::HiRes::time();
	my $result = $w->command('close', '--peer', $backend->address, '--rate', '100/s', '--wait');
	cmp_ok Time::HiRes::time() - $before, '>', 0.12, 'not all at once';
	is $result->{out}, "30 sessions closed\n";
	is $_->ending, 'eof' for @c;
	ok $other->ping;
	$_->close for @c, $other;
	ok wait_for { ended('gate') == 30 };
};

it 'one that does not come to rest is cut off after its time' => sub {
	my $c = client($lines);
	$c->ask("half a line\nand a half", "half a line\n");
	my $result = $w->command('close', '--from', '127.0.0.0/8', '--grace', '50ms', '--wait');
	is $result->{exit}, 0 or diag $result->{err};
	is $result->{out}, "1 session closed\n";
	isnt $c->ending, '';
};

it 'what has been asked is answered first' => sub {
	my $c = client($lines);
	$c->ping;
	$line->signal('STOP');
	$c->send("asked\n");
	ok wait_for { ($w->status->upstream('pool')->{requests} // 0) > 2 };
	is $w->command('close', '--server', 'lines', '--grace', '1h')->{out}, "1 session to be closed\n";
	is scalar(sessions('lines')), 1, 'it waits';
	$line->signal('CONT');
	is $c->rest, "asked\n", 'the reply, and then the end';
	is_deeply $w->status->failures('pool'), {};
};

it 'a reload meanwhile: those that were to be closed are' => sub {
	my @c = crowd_of($echo, 10);
	my $result = $w->command('close', '--server', 'echo', '--rate', '20/s');
	is $result->{out}, "10 sessions to be closed\n";
	is $w->reload->{exit}, 0;
	is $_->ending, 'eof' for @c;
	$_->close for @c;
	ok wait_for { !sessions('echo') };
};

it 'who takes no answer holds up nobody' => sub {
	my @c = crowd_of($echo, 3);
	my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $w->path('run/weir.sock')) or die "$!\n";
	$s->print("sessions\n");
	$s->flush;
	sysread($s, my $answer, 4096);
	like $answer, qr/^>/;
	is scalar(sessions('echo')), 3;
	ok $_->ping for @c;
	$_->close for @c;
};

done_testing;
