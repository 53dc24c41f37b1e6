# SPDX-License-Identifier: BSD-2-Clause
# Addresses as tests write them, to what the socket calls take.
#
#	my ($family, $name) = resolve($address);
#
# PORT (of 127.0.0.1), IPV4:PORT, [IPV6]:PORT, unix:PATH, unix:@NAME.
package Weir::Address;
use v5.36;
use Exporter 'import';
use Socket qw(:all);

our @EXPORT = qw(resolve);

sub resolve($address)
{
	# pack_sockaddr_un pads abstract names with NUL bytes, which would belong to them.
	if (my ($name) = $address =~ /^unix:\@(.+)/) {
		return (AF_UNIX, pack('S', AF_UNIX) . "\0$name");
	}
	if (my ($path) = $address =~ /^unix:(.+)/) {
		return (AF_UNIX, pack_sockaddr_un($path));
	}
	if (my ($host, $port) = $address =~ /^\[(.+)\]:(\d+)$/) {
		return (AF_INET6, pack_sockaddr_in6($port, inet_pton(AF_INET6, $host)));
	}
	my ($host, $port) = $address =~ /^(?:(.*):)?(\d+)$/ or die "bad address: $address\n";
	return (AF_INET, pack_sockaddr_in($port, inet_aton($host // '127.0.0.1')));
}

1;
