#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Connections to peers come from the local addresses of `source`, in turn.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Socket qw(:all);

Weir::Build::ignore_leaks();

# Tells each connection the address that it comes from.
sub mirror(%option)
{
	return backend('script', %option, open => sub ($c, @) {
		my ($error, $host) = getnameinfo(getpeername($c->{fh}), NI_NUMERICHOST, NIx_NOSERV);
		$c->send(($error || $host) . "\n");
	});
}

# A weir of one worker with an upstream of these lines, and its port.
sub proxy($upstream, $defaults = '')
{
	my $port = free_port;
	return ($port, weir(<<"CONF"));
[weir]
workers = 1
worker_connections = 1000
[defaults upstream]
$defaults
[server proxy]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = back
[upstream back]
$upstream
CONF
}

# The addresses that so many sessions one after the other come from.
sub origins($port, $count)
{
	return map { my $c = client($port); my $line = $c->line; $c->reset; $line =~ s/\n//r }
	    1 .. $count;
}

# How many ports connections may have here; none where some are reserved.
sub ports()
{
	my ($low, $high) = slurp('/proc/sys/net/ipv4/ip_local_port_range') =~ /(\d+)\s+(\d+)/;
	my $reserved = slurp('/proc/sys/net/ipv4/ip_local_reserved_ports') =~ /\d/;
	return $reserved ? 0 : $high - $low + 1;
}

# weir -t with an upstream of these lines: { exit, text }.
sub check($upstream, $weir = '', $server = '', $protocol = 'stream_proxy')
{
	my $w = Weir::Daemon->new(<<"CONF");
[weir]
$weir
[server proxy]
listen = 127.0.0.1:65001
protocol = $protocol
upstream = back
$server
[upstream back]
$upstream
CONF
	my $result = $w->command('-t');
	$result->{text} =~ s{\S*/conf/}{}g;
	return $result;
}

my $six;
my $v6 = socket($six, AF_INET6, SOCK_STREAM, 0) &&
    bind($six, pack_sockaddr_in6(0, inet_pton(AF_INET6, '::1')));

it 'sources are used in turn' => sub {
	my $back = mirror;
	my ($port, $w) = proxy(<<"CONF");
server = @{[$back->address]}
source = 127.0.0.2 127.0.0.3
source = 127.0.0.4
CONF
	is_deeply [origins($port, 7)], [map { "127.0.0.$_" } 2, 3, 4, 2, 3, 4, 2];
	$w->stop;
};

it 'without sources the kernel chooses' => sub {
	my $back = mirror;
	my ($port, $w) = proxy('server = ' . $back->address);
	is_deeply [origins($port, 2)], ['127.0.0.1', '127.0.0.1'];
	$w->stop;
};

it 'each family has its turn, and UNIX sockets have none' => sub {
	skip_all 'no IPv6' if !$v6;
	my @back = (mirror, mirror(address => '[::1]'));
	my $dir = File::Temp->newdir;
	chmod(0755, $dir);
	my $local = backend('greeting', text => "local\n", address => "unix:$dir/back.sock");
	my ($port, $w) = proxy(join('', map { "server = " . $_->address . "\n" } @back, $local) .
	    "source = 127.0.0.2 127.0.0.3 ::1\n");
	my %got;
	$got{$_}++ for origins($port, 12);
	is_deeply \%got, { '127.0.0.2' => 2, '127.0.0.3' => 2, '::1' => 4, local => 4 };
	$w->stop;
};

it 'a list of the defaults is for all, and replaced by one of the section' => sub {
	my $back = mirror;
	my ($port, $w) = proxy('server = ' . $back->address, 'source = 127.0.0.5');
	is_deeply [origins($port, 2)], ['127.0.0.5', '127.0.0.5'];
	$w->stop;
	($port, $w) = proxy("server = @{[$back->address]}\nsource = 127.0.0.6",
	    'source = 127.0.0.5');
	is_deeply [origins($port, 2)], ['127.0.0.6', '127.0.0.6'];
	is $w->command('-T')->{exit}, 0;
	like $w->command('-T')->{out}, qr/^source\s+= 127\.0\.0\.6\b/m, '-T tells';
	$w->stop;
};

it 'a reload takes other sources' => sub {
	my $back = mirror;
	my ($port, $w) = proxy("server = @{[$back->address]}\nsource = 127.0.0.2");
	is_deeply [origins($port, 1)], ['127.0.0.2'];
	$w->edit_conf(sub { s/127\.0\.0\.2/127.0.0.7/ });
	is $w->reload->{exit}, 0;
	is_deeply [origins($port, 1)], ['127.0.0.7'];
	$w->edit_conf(sub { s/127\.0\.0\.7/203.0.113.7/ });
	SKIP: {
		skip('any address may be bound here', 3)
		    if slurp('/proc/sys/net/ipv4/ip_nonlocal_bind') > 0;
		my $result = $w->reload;
		isnt $result->{exit}, 0, 'an address of another machine';
		like $result->{text},
		    qr/weir\.conf:\d+: error: source = .*203\.0\.113\.7 is not an address of this/;
		is_deeply [origins($port, 1)], ['127.0.0.7'], 'changes nothing';
	}
	$w->stop;
};

it 'weir -t warns when there are too few ports' => sub {
	my $ports = ports or skip_all 'ports are reserved here';
	my $peer = 'server = 127.0.0.1:65002';
	my $many = "workers = 100\nworker_connections = 1000";	# 100,000 sessions

	# [upstream], [weir], [server], how many connections (undef: no warning), pairs
	my @cases = (
		[$peer, $many, '', 100_000, 1],
		["$peer\nsource = 127.0.0.2", $many, '', 100_000, 1],
		["$peer\nsource = 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 " .
		    '127.0.0.8 127.0.0.9 127.0.0.10 127.0.0.11', $many, '', undef, 10],
		["$peer\nserver = 127.0.0.1:65003 down", $many, '', 100_000, 1],
		["$peer\nserver = 127.0.0.1:65003 backup", $many, '', 100_000, 1],
		["$peer backup", $many, '', 100_000, 1],
		["$peer down", $many, '', undef, 0],
		["$peer\nserver = unix:run/x.sock", $many, '', 50_000, 1],
		['server = unix:run/x.sock', $many, '', undef, 0],
		[$peer, $many, 'max_connections = ' . ($ports + 1), $ports + 1, 1],
		[$peer, $many, "max_connections = $ports", undef, 1],
		["$peer max_conns=" . ($ports + 1), $many, '', $ports + 1, 1],
		["$peer max_conns=$ports", $many, '', undef, 1],
		[$peer, "workers = 1\nworker_connections = 1000", '', undef, 1],
	);
	for my $case (@cases) {
		my ($upstream, $weir, $server, $wanted, $pairs) = @$case;
		$wanted = undef if defined $wanted && $wanted <= $ports * $pairs;
		my $result = check($upstream, $weir, $server);
		return note('somebody changes the range of ports') if ports != $ports;
		my ($said) = $result->{text} =~ /warning: (.*may be wanted.*)/;
		my $name = "$upstream $server" =~ tr/\n/ /r;
		if (defined $wanted) {
			my $all = $ports * $pairs;
			like $said // $result->{text},
			    qr/^$wanted connections to 1 peer .* for $all only: $ports for each/,
			    $name;
		} else {
			is $said, undef, $name;
		}
	}
};

it 'links of a pool come from sources, and need ports' => sub {
	my $back = backend('script', open => sub ($c, @) {
		my ($error, $host) = getnameinfo(getpeername($c->{fh}), NI_NUMERICHOST, NIx_NOSERV);
		$c->{my} = $error || $host;
	}, data => sub ($c, @) { $c->send("$c->{my}\n") });
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
[server lines]
listen = 127.0.0.1:$port
protocol = line_proxy
upstream = back
[upstream back]
server = @{[$back->address]}
source = 127.0.0.2 127.0.0.3
pool = session
CONF
	my @clients = map { client($port) } 1 .. 4;
	is_deeply [map { $_->send("where from?\n"); $_->line } @clients],
	    [map { "127.0.0.$_\n" } 2, 3, 2, 3];
	$_->reset for @clients;
	$w->stop;

	my $ports = ports;
	my $peers = "server = 127.0.0.1:65002\nserver = 127.0.0.1:65003\n";
	unlike check($peers, '', '', 'line_proxy')->{text}, qr/may be wanted/, 'few as they are';
	my $all = 2 * 65535;
	my $text = check("$peers\npool_size = 65535", '', '', 'line_proxy')->{text};
	return note('too many ports') if !$ports || $ports >= 65535 || ports != $ports;
	like $text, qr/^weir\.conf:\d+: warning: $all connections to 2 peers .* or lower pool_size$/m;
	unlike check("$peers\npool_size = 65535\nsource = " .
	    join(' ', map { "127.0.1.$_" } 1 .. 65535 / 1000), '', '', 'line_proxy')->{text},
	    qr/may be wanted/, 'with enough sources';
};

done_testing;
