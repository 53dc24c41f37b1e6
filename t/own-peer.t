#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A server whose peers lead back to it is an error that names all lines; one that only looks like it is none.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Socket;

Weir::Build::ignore_leaks();

my $w = Weir::Daemon->new('');

# weir -t of this text: exit status, and what it says with LINE for the file and its line.
sub tried($text)
{
	$w->write_conf($text);
	my $result = $w->command('-t');
	$result->{text} =~ s{[^\s(]*/weir\.conf:(\d+)}{LINE $1}g;
	return $result;
}

sub server($name, $listen, @more)
{
	return "[server $name]\nlisten = $listen\nprotocol = stream_proxy\nupstream = $name\n" .
	    join('', map { "$_\n" } @more);
}

sub upstream($name, @peers)
{
	return "[upstream $name]\n" . join('', map { "server = $_\n" } @peers);
}

sub good($what, $text)
{
	my $result = tried($text);
	is $result->{exit}, 0, $what or diag $result->{text};
	unlike $result->{text}, qr/leads back/, 'nothing leads back';
}

# At each of these lines, and nowhere else.
sub bad($what, $text, %lines)
{
	my $result = tried($text);
	is $result->{exit}, 1, $what;
	my %said = map { /^\(?LINE (\d+): error: server = (.* leads back: .*)/ ? ($1 => $2) : () }
	    split(/\n/, $result->{text});
	is join(' ', sort keys %said), join(' ', sort keys %lines), 'at its line' or diag $result->{text};
	like $said{$_}, $lines{$_}, 'with the others' for sort keys %lines;
}

# An address of this machine that is no loopback address; undef: it has none.
sub own_address()
{
	socket(my $s, PF_INET, SOCK_DGRAM, 0) or return;
	connect($s, sockaddr_in(9, inet_aton('192.0.2.1'))) or return;
	my $address = inet_ntoa((sockaddr_in(getsockname($s)))[1]);
	return $address =~ /^127\./ ? undef : $address;
}

my $itself = qr/\[server a\] listens there \(LINE 2\), and uses this upstream itself; .*write the address of the/;

it 'a listener that a peer reaches' => sub {
	for my $pair (
	    ['127.0.0.1:4711', '127.0.0.1:4711'], ['127.0.0.1:4711', '[::ffff:127.0.0.1]:4711'],
	    ['4711', '127.0.0.1:4711'], ['4711', '127.9.8.7:4711'], ['*:4711', '[::1]:4711'],
	    ['[::1]:4711', '[::1]:4711'], ['[::]:4711 v6only', '[::1]:4711'], ['0.0.0.0:4711', '127.0.0.1:4711'],
	    ['0.0.0.0:4711', '0.0.0.0:4711'], ['127.0.0.1:4711', '0.0.0.0:4711'], ['[::1]:4711', '[::]:4711'],
	    ['4711', 'localhost:4711'], ['4711 device=lo', '127.0.0.1:4711'], ['127.0.0.1:4711 transparent', '127.0.0.1:4711'],
	    ['192.0.2.1:4711', '192.0.2.1:4711'],
	    ['unix:run/a.sock', 'unix:run/a.sock'], ['unix:run/a.sock', 'unix:run/../run/a.sock'],
	    ['unix:run/a.sock', 'unix:' . $w->path('run/a.sock')], ['unix:@own-peer', 'unix:@own-peer'],
	    ['unix:@own/peer', 'unix:@own/peer']) {
		my ($listen, $peer) = @$pair;
		my $result = tried(server('a', $listen) . upstream('a', $peer));
		is $result->{exit}, 1, "$listen <- $peer";
		like $result->{text}, qr/^LINE 6: error: server = \S+ leads back: $itself/m;
	}
};

it 'an address of this machine, behind a wildcard' => sub {
	my $own = own_address() or plan skip_all => 'this machine has loopback addresses only';
	bad("$own <- *", server('a', '*:4711') . upstream('a', "$own:4711"), 6 => $itself);
	bad("$own <- 0.0.0.0", server('a', '0.0.0.0:4711') . upstream('a', "$own:4711"), 6 => $itself);
	good("$own is not of lo", server('a', '127.0.0.1:4711') . upstream('a', "$own:4711"));
};

# One that nothing reaches from within.
my ($elsewhere) = grep { $_ ne 'lo' } map { m{([^/]+)\z} } glob('/sys/class/net/*');

it 'one that it does not reach' => sub {
	for my $pair (
	    ['127.0.0.1:4711', '127.0.0.1:4712'], ['127.0.0.1:4711', '127.0.0.2:4711'], ['4711', '192.0.2.1:4711'],
	    ['0.0.0.0:4711', '[::1]:4711'], ['[::]:4711 v6only', '127.0.0.1:4711'], ['[::1]:4711', '127.0.0.1:4711'],
	    ($elsewhere ? ["4711 device=$elsewhere", '127.0.0.1:4711'] : ()), ['192.0.2.1:4711 transparent', '192.0.2.1:4711'],
	    ['4711', '127.0.0.1:4711 down'], ['unix:run/a.sock', 'unix:run/b.sock'],
	    ['unix:run/a.sock', 'unix:logs/a.sock'], ['unix:@run/a.sock', 'unix:run/a.sock']) {
		my ($listen, $peer) = @$pair;
		good("$listen <- $peer", server('a', $listen) . upstream('a', $peer));
	}
};

it 'the listener that says more is the one that is reached' => sub {
	my $echo = "[server e]\nlisten = 127.0.0.1:4711\nprotocol = echo\n";
	good('an address before the wildcard', server('a', '*:4711') . upstream('a', '127.0.0.1:4711') . $echo);
	bad('the other way', server('a', '127.0.0.1:4711') . upstream('a', '127.0.0.1:4711') . $echo =~ s/127.*:/*:/r,
	    6 => $itself);
};

it 'only servers that connect have peers' => sub {
	good('echo', "[server a]\nlisten = 4711\nprotocol = echo\nupstream = a\n" . upstream('a', '127.0.0.1:4711'));
	bad('line_proxy', server('a', '4711') =~ s/stream/line/r . upstream('a', '127.0.0.1:4711'), 6 => $itself);
};

it 'one peer of several' => sub {
	bad('the second and the last', server('a', '*:4711') . upstream('a', '127.0.0.1:1', '127.0.0.1:4711 backup',
	    '127.0.0.1:2', '127.0.0.2:4711'), 7 => $itself, 9 => $itself);
};

it 'through other servers' => sub {
	my $two = server('a', '127.0.0.1:4711') . server('b', 'unix:run/b.sock') . upstream('a', 'unix:run/b.sock');
	bad('two', $two . upstream('b', '127.0.0.1:4711'),
	    12 => qr/\[server a\] listens there \(LINE 2\), its peer \S+b.sock \(LINE 10\) is \[server b\] \(LINE 6\), which/);
	good('two in a row', $two . upstream('b', '127.0.0.1:4712'));
	my @ring = map { server("s$_", '127.0.0.1:' . (4711 + $_)) . upstream("s$_", '127.0.0.1:' . (4712 + $_)) } 0 .. 9;
	good('ten in a row', join('', @ring));
	$ring[9] =~ s/4721/4713/;
	bad('a ring of eight behind two', join('', @ring),
	    60 => qr/\[server s2\] listens there .*, its peer 127.0.0.1:4719 .*, and so on, which uses this upstream;/);
};

it 'two servers of one upstream' => sub {
	my $text = server('a', '127.0.0.1:4711') . server('b', '127.0.0.1:4712') =~ s/upstream = b/upstream = a/r;
	good('neither is a peer', $text . upstream('a', '127.0.0.1:4713'));
	bad('the second is', $text . upstream('a', '127.0.0.1:4712'), 10 => qr/\[server b\] listens there \(LINE 6\), and uses/);
};

it 'a reload does not take it up' => sub {
	my $port = free_port();
	my $d = Weir::Daemon->start("[server a]\nlisten = 127.0.0.1:$port\nprotocol = echo\n");
	$d->edit_conf(sub { s/echo/stream_proxy\nupstream = a\n[upstream a]\nserver = 127.0.0.1:$port/ });
	my $result = $d->reload;
	is $result->{exit}, 1;
	like $result->{text}, qr/weir\.conf:6: error: server = \S+ leads back: \[server a\] listens there/;
	Weir::Client->open($port)->ping;
	$d->stop;
};

done_testing;
