# SPDX-License-Identifier: BSD-2-Clause
# A weir with one pooled upstream, for the tests of pools.
#
#	my $p = Weir::Pool->new(peers => [$backend, ...], %option);
#
# One [server s] of line_proxy before one [upstream u]. Options: workers (1), peers
# (backends or texts of server =), server, upstream, weir, more (text of those
# sections; more: whole other ones), failure ('-failed': what line_failure says).
#
#	$p->port, $p->address, $p->weir
#	$p->client(%option)	a new one
#	$p->client_of($slot)	one whose session that worker has
#	$p->failure		what a client reads in place of a reply
#	$p->upstream		counters of u
#	$p->peer($n)		counters of the n-th peer, from 0
#	$p->server		counters of s
#	$p->failures		{ REASON => number }, nothing where it is zero
#	$p->until(sub ($p) { ... }, $what)	waits; dies with the counters
#	$p->end			clients are reset, weir is stopped and checked
package Weir::Pool;
use v5.36;
use Weir::Client;
use Weir::Daemon;
use Weir::JSON;
use Weir::Port;
use Weir::Wait;

sub new($class, %option)
{
	my $self = bless { port => free_port(), failure => $option{failure} // '-failed',
	    backends => $option{peers} }, $class;	# they end with it
	my @servers = map { ref($_) ? $_->address : $_ } @{$option{peers}};
	$self->{peers} = [map { (split(' ', $_))[0] } @servers];
	my $workers = $option{workers} // 1;
	my %text = map { $_ => ($option{$_} // '') =~ s/(?<!\n)\z/\n/r } qw(weir server upstream more);
	my $servers = join('', map { "server = $_\n" } @servers);
	my $failure = $self->{failure} eq 'off' ? '' : "line_failure = $self->{failure}\n";
	$self->{weir} = Weir::Daemon->start(<<"CONF", %{$option{start} // {}});
[weir]
workers = $workers
error_log = logs/error.log info
$text{weir}
[server s]
listen = 127.0.0.1:$self->{port}
protocol = line_proxy
upstream = u
$failure$text{server}
[upstream u]
$servers$text{upstream}
$text{more}
CONF
	return $self;
}

sub port($self) { return $self->{port} }
sub address($self) { return "127.0.0.1:$self->{port}" }
sub weir($self) { return $self->{weir} }
sub failure($self) { return "$self->{failure}\n" }
sub client($self, %option) { return Weir::Client->open($self->{port}, %option) }
sub upstream($self) { return $self->{weir}->status->upstream('u') }
sub server($self) { return $self->{weir}->status->server('s') }
sub failures($self) { return $self->{weir}->status->failures('u') }
sub peer($self, $n = 0) { return $self->{weir}->status->peer('u', $self->{peers}[$n]) }

sub _sessions($self, $slot)
{
	my ($worker) = grep { $_->{slot} == $slot } $self->{weir}->status->workers;
	return $worker->{sessions};
}

# The kernel spreads clients by their ports: the right one comes soon.
sub client_of($self, $slot)
{
	for (1 .. 100) {
		my $before = $self->_sessions($slot);
		my $all = $self->server->{accepted};
		my $c = $self->client;
		await { $self->server->{accepted} > $all } 'a client is accepted';
		return $c if $self->_sessions($slot) > $before;
		my $open = $self->server->{sessions};
		$c->reset;
		await { $self->server->{sessions} < $open } 'a client is let go';
	}
	die "no client came to worker $slot\n";
}

sub until($self, $condition, $what, $seconds = 10)
{
	return 1 if wait_for { $condition->($self) } $seconds;
	my $status = $self->{weir}->status;
	die "timed out: $what\n", map { Weir::JSON::encode($_) . "\n" }
	    $status->server('s'), $status->upstream('u'),
	    map { $status->peer('u', $_) } @{$self->{peers}};
}

sub end($self)
{
	Weir::Client->reset_all;
	return $self->{weir}->stop;
}

1;
