# SPDX-License-Identifier: BSD-2-Clause
# Tests of relays and pools once more, with TLS around weir (Weir::Adapter).
#
#	Weir::Matrix::run('front')	or 'back', 'both': a subtest for each
#	Weir::Matrix::run('back', qr/pool/)	for those whose path is like that
#
# With WEIR_LONG=1 all of them and every subtest; otherwise, and below a sanitizer or
# valgrind still more so, a selection that is quick. A name below that no test has is a
# failure, so that the table stays true.
package Weir::Matrix;
use v5.36;
use Weir::Build;
use Weir::JSON;
use Weir::Process;
use Weir::Test;
use Weir::TLS;
use Weir::Wait;

my $absorbs = 'the adapter takes up what the other side does not';
my $connects = 'the adapter can always be connected to';
my $crowds = 'a crowd for each: WEIR_LONG=1';
my $keeps = 'the adapter ends nothing that its backend does not end';
my $later = 'the adapter connects later than weir';
my $many = 'as many handshakes as clients: WEIR_LONG=1';

# quick: the modes in which it runs always; only: those in which it makes sense at all; never: what cannot be seen
# through the adapter, back: through one in front of the backends; long: what takes long.
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
	{ file => 't/pool.t', quick => 'back',
	    long => { map { ("pool_size holds over $_" => $crowds) } '1 workers, pipeline', '4 workers, pipeline',
	        map { "$_ workers, request" } 1, 2, 4 },
	    back => { 'session: a peer that is busy with what a client has left behind counts' => $keeps,
	        'but not for longer than a reply may take' => $keeps,
	        'requests that fail leave a line for each reason, which says what to do' => $connects,
	        'pool_min_idle does not hammer at a peer that is down' => $connects,
	        'pool_lifetime: links grow old and are replaced, unnoticed' => $later } },
	{ file => 't/pool-failure.t', quick => '',
	    back => { 'a refused connection: the next peer has the request' => $connects,
	        'a refused connection that many requests waited for' => $connects,
	        'retries = 0: it fails, by name' => $connects,
	        'retries: so many other peers and no more' => $connects,
	        'all peers refuse: everybody is told at once' => $connects,
	        'a full backlog: connect_timeout, then the next peer' => $connects,
	        'the recovery of a peer is tried by one' => $connects,
	        'requests that have not been sent yet move on when the link breaks' => $absorbs } },
	{ file => 't/pool-recovery.t', quick => '',
	    back => { 'one that was moved and then has to wait is told at pool_wait' => $connects,
	        'who may not go to a peer does not hold up those who may' => $connects,
	        'a silent peer costs one request for each fail_timeout' => $connects,
	        'a peer that has refused a link recovers on one that it had' => $connects } },
	{ file => 't/pool-reload.t', quick => 'both',
	    never => { 'who waits keeps its place, and its time' => 'sessions with TLS stay' } },
	{ file => 't/pool-share.t', quick => '' },
	{ file => 't/redis-pool.t', quick => 'back',
	    long => { map { ("10000 clients over 16 connections, $_ workers" => 'many clients: WEIR_LONG=1') } 1, 2, 4 } },
	{ file => 't/timeouts.t', quick => 'front', back => { 'connect_timeout gives up' => $connects } },
	{ file => 't/timeouts-vanished.t', quick => '' },
	{ file => 't/peer-options.t', quick => '', only => 'front' },
	{ file => 't/exchange-stress.t', quick => '' },
	{ file => 't/redis.t', quick => '' },
	{ file => 'modules/echo/echo.t', quick => '' },
);

sub run($mode, $like = qr/./)
{
	Weir::TLS->needs;
	for my $t (grep { $_->{file} =~ $like } @tests) {
		my $quick = Weir::Build::sanitized() || Weir::Build::valgrind() ? 'sanitized' : $mode;
		next if !$ENV{WEIR_LONG} && !grep { $_ eq $quick } split(' ', $t->{quick});
		next if $t->{only} && !grep { $_ eq $mode } split(' ', $t->{only});
		it $t->{file} => sub { _run_test($mode, $t) };
	}
	done_testing;
}

sub _run_test($mode, $t)
{
	my %skip = (%{$t->{never} // {}}, $mode eq 'front' ? () : %{$t->{back} // {}},
	    $ENV{WEIR_LONG} ? () : %{$t->{long} // {}});
	my $r = Weir::Process::run([$^X, Weir::Build::srcdir() . "/$t->{file}"], timeout => 600,
	    env => { WEIR_TEST_TLS => $mode, WEIR_TEST_TLS_SKIP => Weir::JSON::encode(\%skip) });
	is $r->{exit}, 0, 'all of it passes' or diag $r->{text};
	return note "skipped: $1" if $r->{out} =~ /^1\.\.0 # SKIP (.*)/m;
	for my $name (sort keys %skip) {
		like $r->{out}, qr/^ok \d+ # skip \Q$name: $skip{$name}\E/m, "there is: $name";
	}
	my $count = () = $r->{out} =~ /^ok \d+ - /mg;
	cmp_ok $count, '>', 2, "$count subtests";
}

1;
