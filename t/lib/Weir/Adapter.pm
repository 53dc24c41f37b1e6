# SPDX-License-Identifier: BSD-2-Clause
# TLS around a weir under test, which the test need not know of.
#
# With WEIR_TEST_TLS=front the clients of every weir that Weir::Daemon starts speak TLS with it,
# with =back its peers do, with =both all of them. A second weir, the adapter, stands between:
# it listens where the test's clients connect to, and connects to the test's backends. It passes
# on bytes, ends and resets, and tells of the clients by PROXY headers. In what weir says of
# itself (status, log) the adapter's addresses are replaced by those that the test knows.
#
#	Weir::Adapter::mode()		'front', 'back', 'both', or ''
#	Weir::Adapter::reason(NAME)	why the subtest of that name is not for this mode; or undef.
#					WEIR_TEST_TLS_SKIP has them: JSON, { NAME => REASON }
#	my $a = Weir::Adapter->new($prefix)	of the weir with that prefix
#	$a->wrap($text)		that weir's configuration, to be written in place of this one
#	$a->start		takes up what was wrapped last; before weir starts, or reloads
#	$a->unwrap($text)	what weir has said, as the test expects it
#	$a->stop
package Weir::Adapter;
use v5.36;
use Weir::JSON;
use Weir::Port;
use Weir::TLS;

sub mode() { return $ENV{WEIR_TEST_TLS} // '' }

sub reason($name)
{
	state $reasons = Weir::JSON::decode($ENV{WEIR_TEST_TLS_SKIP} // '{}');
	return mode() ? $reasons->{$name} : undef;
}

sub new($class, $prefix)
{
	return bless { prefix => $prefix, port => {}, address => {} }, $class;
}

# One for the whole test.
sub _certificate()
{
	state $pki = Weir::TLS->new;
	state $pair = $pki->certificate('adapter');
	return $pair;
}

# The port between the two weirs for a key; it stays the same over reloads. Of several addresses
# of one server the first is told.
sub _port($self, $key, $address)
{
	my $port = $self->{port}{$key} //= free_port;
	$self->{address}{"127.0.0.1:$port"} //= $address;
	return $port;
}

sub wrap($self, $text)
{
	my $mode = mode();
	my ($front, $back) = map { $mode eq $_ || $mode eq 'both' } qw(front back);
	my ($kind, $name, $last, @adapter, @weir) = ('', '', '');
	for my $line (split(/\n/, $text)) {
		($kind, $name) = ($1, $2) if $line =~ /^\[(\w+)(?: (\S+))?\]/;
		my ($value) = $line =~ /^\s*(?:listen|server)\s*=\s*(.*)/;
		if (!defined $value || !($kind eq 'server' && $front || $kind eq 'upstream' && $back)) {
			push @weir, $line;
			next;
		}
		$value =~ s{unix:(?![/@])}{unix:$self->{prefix}/};
		my ($address, $options) = split(' ', $value, 2);
		if ($kind eq 'server') {
			my $port = $self->_port("server $name", $address);
			if ($last ne "server $name") {
				push @weir, "listen = 127.0.0.1:$port", 'tls = adapter_in', 'proxy_protocol = on',
				    'handshake_timeout = 1m';
				push @adapter, _section("f_$name", "127.0.0.1:$port", "tls = out\nsend_proxy_protocol = v2\n");
			}
			$adapter[-1] =~ s/^upstream/listen = $value\n$&/m;
		} else {
			my $port = $self->_port("upstream $name $address", $address);
			push @weir, "server = 127.0.0.1:$port " . ($options // '');
			push @weir, 'tls = adapter_out', 'handshake_timeout = 1m' if $last ne "upstream $name";
			push @adapter, _section("b_$port", $address, '') =~
			    s/^upstream/listen = 127.0.0.1:$port\ntls = in\n$&/mr;
		}
		$last = "$kind $name";
	}
	my $pair = _certificate();
	push @weir, "[tls adapter_in]\ncertificate = $pair" if $front;
	push @weir, "[tls adapter_out]\nverify = off" if $back;
	$self->{conf} = join("\n", "[weir]\nworkers = 1\nerror_log = logs/error.log info", @adapter,
	    "[tls in]\ncertificate = $pair\n[tls out]\nverify = off\n");
	return join("\n", @weir, '');
}

sub _section($name, $peer, $more)
{
	return <<"CONF";
[server $name]
protocol = stream_proxy
upstream = $name
idle_timeout = off
half_close_timeout = off
handshake_timeout = 1m
[upstream $name]
server = $peer max_fails=0
handshake_timeout = 1m
$more
CONF
}

sub start($self)
{
	my $daemon = $self->{daemon};
	if (!$daemon) {
		$self->{daemon} = Weir::Daemon->start($self->{conf}, adapter => 1, name => 'adapter');
	} elsif ($daemon->{ended}) {
		$daemon->write_conf($self->{conf});
		$daemon->spawn->wait_ready;
	} elsif ($daemon->conf ne $self->{conf}) {
		$daemon->write_conf($self->{conf});
		my $result = $daemon->reload;
		die "adapter: $result->{text}" if $result->{exit} != 0;
	}
	return $self;
}

sub unwrap($self, $text)
{
	return $text =~ s/127\.0\.0\.1:\d+\b/$self->{address}{$&} \/\/ $&/egr;
}

sub stop($self)
{
	$self->{daemon}->stop if $self->{daemon};
}

1;
