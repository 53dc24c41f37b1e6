# SPDX-License-Identifier: BSD-2-Clause
# A network namespace of the test's own, in which it may set what it likes.
#
#	own_namespace()		first of all: the test begins anew in one, in which only lo
#				is up; skips it where that is not possible
#	ip(@words)		ip(8)
#	sysctl($name, $value)	below net: 'ipv4/ip_local_port_range'
package Weir::Namespace;
use v5.36;
use Exporter 'import';
use FindBin;
use Weir::Process;
use Weir::Test ();

our @EXPORT = qw(own_namespace ip sysctl);

sub own_namespace()
{
	if (($ENV{WEIR_TEST_NAMESPACE} // '') eq $$) {
		ip(qw(link set lo up));
		return;
	}
	Weir::Test::skip_all('not root') if $> != 0;
	my ($unshare, $ip) = map { Weir::Test::program($_) } qw(unshare ip);
	Weir::Test::skip_all('no unshare and ip') if !$unshare || !$ip;
	my $result = Weir::Process::run([$unshare, '-n', '--', $ip, qw(link set lo up)]);
	Weir::Test::skip_all("no network namespaces: $result->{text}") if $result->{exit} != 0;
	$ENV{WEIR_TEST_NAMESPACE} = $$;
	exec($unshare, '-n', '--', $^X, "$FindBin::Bin/$FindBin::Script") or die "$unshare: $!\n";
}

sub ip(@words)
{
	my $result = Weir::Process::run([Weir::Test::program('ip'), @words]);
	die "ip @words: $result->{text}" if $result->{exit} != 0;
}

sub sysctl($name, $value)
{
	open(my $fh, '>', "/proc/sys/net/$name") or die "$name: $!\n";
	print $fh "$value\n";
	close($fh) or die "$name: $!\n";
}

1;
