# SPDX-License-Identifier: BSD-2-Clause
# Tests of relays and pools once more, with TLS around weir (Weir::Adapter).
#
#	Weir::Matrix::run('front')	or 'back', 'both': a subtest for each
#
# With WEIR_LONG=1 all of them and every subtest; otherwise, and below a sanitizer or
# valgrind still more so, a selection that is quick. A name below that no test has is a
# failure, so that the table stays true.
package Weir::Matrix;
use v5.36;
use JSON::PP;
use Weir::Build;
use Weir::Process;
use Weir::Test;
use Weir::TLS;
use Weir::Wait;

my $absorbs = 'the adapter takes up what the other side does not';
my $connects = 'the adapter can always be connected to';
my $many = 'as many handshakes as clients: WEIR_LONG=1';

# quick: the modes in which it runs always; never: what cannot be seen through the adapter; long: what
# takes long.
my @tests = (
	{ file => 't/ends.t', quick => 'front back both sanitized',
	    never => { 'a client that goes while its peer is being connected' => 'there is no session before the handshake' } },
	{ file => 't/connect.t', quick => 'front back',
	    never => { 'but not for longer than connect_timeout' => $connects } },
	{ file => 'modules/stream_proxy/stream_proxy.t', quick => 'front back both',
	    long => { 'carries 64 MiB both ways at once' => 'bulk: WEIR_LONG=1',
	        'holds 2000 sessions at once' => $many, 'holds 500 sessions over UNIX sockets' => $many } },
	{ file => 'modules/line_proxy/line_proxy.t', quick => 'front',
	    never => { 'one that reads nothing of little is waited for no longer than write_timeout' => $absorbs },
	    long => { '500 clients get what is their own' => $many } },
	{ file => 't/pool-pieces.t', quick => 'back both sanitized',
	    never => { 'links_stuffed: a peer that does not read has so much and no more' => $absorbs } },
	{ file => 't/memcached.t', quick => 'front back' },
	{ file => 't/limits.t', quick => 'front' },
	{ file => 't/exchange-stress.t', quick => '' },
	{ file => 't/redis.t', quick => '' },
	{ file => 'modules/echo/echo.t', quick => '' },
);

sub run($mode)
{
	Weir::TLS->needs;
	for my $t (@tests) {
		my $quick = Weir::Build::sanitized() || Weir::Build::valgrind() ? 'sanitized' : $mode;
		next if !$ENV{WEIR_LONG} && !grep { $_ eq $quick } split(' ', $t->{quick});
		it $t->{file} => sub { _run_test($mode, $t) };
	}
	done_testing;
}

sub _run_test($mode, $t)
{
	my %skip = (%{$t->{never} // {}}, $ENV{WEIR_LONG} ? () : %{$t->{long} // {}});
	my $r = Weir::Process::run([$^X, Weir::Build::srcdir() . "/$t->{file}"], timeout => 600,
	    env => { WEIR_TEST_TLS => $mode, WEIR_TEST_TLS_SKIP => encode_json(\%skip) });
	is $r->{exit}, 0, 'all of it passes' or diag $r->{text};
	for my $name (sort keys %skip) {
		like $r->{out}, qr/^ok \d+ # skip \Q$name: $skip{$name}\E/m, "there is: $name";
	}
	my $count = () = $r->{out} =~ /^ok \d+ - /mg;
	cmp_ok $count, '>', 2, "$count subtests";
}

1;
