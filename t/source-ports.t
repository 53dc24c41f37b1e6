#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sources whose ports are used up, and that the machine has no more: in a network
# namespace of its own, with ten ports.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Namespace;
use Weir::Test;
use Weir::Stress;
use Socket qw(:all);

Weir::Build::ignore_leaks();

own_namespace;

my $PORTS = 10;
sysctl('ipv4/ip_local_port_range', '40000 ' . (40000 + $PORTS - 1));

# Tells each connection the address that it comes from, and resets those that send
# something, so that no port stays behind in TIME_WAIT.
sub mirror(%option)
{
	return backend('script', %option, data => sub ($c, @) { $c->reset }, open => sub ($c, @) {
		my ($error, $host) = getnameinfo(getpeername($c->{fh}), NI_NUMERICHOST, NIx_NOSERV);
		$c->send(($error || $host) . "\n");
	});
}

# Clients come by a UNIX socket, so that they need no port.
sub proxy($upstream)
{
	return weir(<<"CONF");
[weir]
workers = 1
worker_connections = 100
error_log = logs/error.log info
[server proxy]
listen = unix:run/proxy.sock mode=0666
protocol = stream_proxy
upstream = back
[upstream back]
retries = 0
$upstream
CONF
}

# So many clients at the same time: [client, the address it came from at the peer].
sub proxied($w, $count)
{
	my @clients = map { client($w->address('proxy')) } 1 .. $count;
	return map { [$_, eval { $_->line =~ s/\n//r } // 'none'] } @clients;
}

sub tally(@crowd)
{
	my %count;
	$count{$_->[1]}++ for @crowd;
	return \%count;
}

it 'the next source is taken when one is used up' => sub {
	my $back = mirror;
	my $w = proxy(<<"CONF");
server = @{[$back->address]}
source = 127.0.0.2 127.0.0.3
CONF
	like $w->log . $w->console, qr/100 connections to 1 peer .* for 20 only: 10 for each/,
	    'there was a warning';
	my @crowd = proxied($w, 2 * $PORTS);
	is_deeply tally(@crowd), { '127.0.0.2' => $PORTS, '127.0.0.3' => $PORTS },
	    'all ports of both';

	is_deeply tally(proxied($w, 1)), { none => 1 }, 'then there is none';
	$w->wait_log(qr/error .*Cannot assign requested address: not the peer's fault.*\(source\), or widen net\.ipv4\.ip_local_port_range$/m);
	ok wait_for { $w->status->server('proxy')->{end_connect_failed} == 1 }, 'counted';
	is $w->status->peer('back', $back->address)->{connect_failed}, 0,
	    'not as a fault of the peer';

	# Of one source alone: only that is used from now on, whosever turn it is.
	my @of_3 = grep { $_->[1] eq '127.0.0.3' } @crowd;
	for my $round (1 .. 3) {
		my $gone = shift @of_3;
		$gone->[0]->send("go");
		$gone->[0]->ending;
		# A source that was costly to search is left alone for a moment.
		my @new;
		wait_for { (@new = proxied($w, 1))[0][1] ne 'none' };
		is_deeply tally(@new), { '127.0.0.3' => 1 }, "the port that became free, $round";
		push @of_3, @new;
		push @crowd, @new;
	}
	$_->[0]->reset for @crowd;
	$w->stop;
};

it 'a source has as many ports for each peer' => sub {
	my @back = (mirror, mirror);
	my $w = proxy(join('', map { 'server = ' . $_->address . "\n" } @back) .
	    'source = 127.0.0.4');
	my @crowd = proxied($w, 2 * $PORTS);
	is_deeply tally(@crowd), { '127.0.0.4' => 2 * $PORTS };
	is $_->report->{open}, $PORTS for @back;
	$_->[0]->reset for @crowd;
	$w->stop;
};

it 'a source that the machine has no more is passed over' => sub {
	ip(qw(addr add 198.51.100.1/32 dev lo));
	my $back = mirror;
	my $w = proxy("server = @{[$back->address]}\nsource = 198.51.100.1 127.0.0.5");
	my @crowd = proxied($w, 2);
	is_deeply tally(@crowd), { '198.51.100.1' => 1, '127.0.0.5' => 1 };
	$_->[0]->reset for @crowd;
	ip(qw(addr del 198.51.100.1/32 dev lo));
	@crowd = proxied($w, 4);
	is_deeply tally(@crowd), { '127.0.0.5' => 4 };
	$_->[0]->reset for @crowd;
	isnt $w->command('-t')->{exit}, 0, 'the check notices';
	sysctl('ipv4/ip_nonlocal_bind', 1);
	is $w->command('-t')->{exit}, 0, 'unless any address may be bound';
	sysctl('ipv4/ip_nonlocal_bind', 0);
	$w->stop;
};

it 'the same with IPv6' => sub {
	skip_all 'no IPv6' if !-e '/proc/net/if_inet6';
	ip(qw(addr add 2001:db8::2/128 dev lo nodad));
	my $back = mirror(address => '[::1]');
	my $w = proxy("server = @{[$back->address]}\nsource = ::1 [2001:db8::2]");
	my @crowd = proxied($w, 2 * $PORTS);
	is_deeply tally(@crowd), { '::1' => $PORTS, '2001:db8::2' => $PORTS };
	is_deeply tally(proxied($w, 1)), { none => 1 }, 'then there is none';
	$_->[0]->reset for @crowd;
	$w->stop;
};

# In windows of ports, of which the last is smaller, by processes that know nothing of each
# other: the kernel's own order would find all of them, too, but a window that is full must
# not be the end.
it 'all ports are found where they are scarce' => sub {
	my $ports = 1000;
	sysctl('ipv4/ip_local_port_range', '40000 ' . (40000 + $ports - 1));
	for my $address ('127.0.0.1:30000', -e '/proc/net/if_inet6' ? '[::1]:30000' : ()) {
		my $b = serve('echo', $address);
		my $r = stress('echo', '-c', $ports, '-w', 2, '--each', 1, $b->address);
		is $r->{exit}, 0 or diag $r->{text};
		is "@{$r->{of}}{qw(connected peak connect_ports errors)}", "$ports $ports 0 0", $address;
		$b->stop;
	}
};

done_testing;
