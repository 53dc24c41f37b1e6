#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Attempts to connect of which nothing is learnt about the peer: their client goes, or this machine cannot go on. They
# are no failure of the peer's, and the next one may try.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Socket qw(:all);
use Weir::Conf;
use Weir::Test;

my $folder = tempdir('weir-lost.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod(0755, $folder);

# Clients ask one after the other until one is on its way to the first peer: it is given.
sub probing($w, $port, $peer)
{
	for (1 .. 10) {
		my $before = $w->status->server('s')->{bytes_out};
		my $c = client($port);
		$c->send("x\n");
		my $status;
		await {
			$status = $w->status;
			$status->peer('u', $peer)->{connections} == 1 || $status->server('s')->{bytes_out} > $before;
		} 'it is answered, or not';
		return $c if $status->peer('u', $peer)->{connections} == 1;
	}
	return undef;
}

it 'a probe whose client goes is followed by another' => sub {
	my $bad = backend('refuse');
	my $good = backend('echo');
	my $peer = $bad->address;
	my $port = free_port;
	my $w = weir(conf_text(
		weir => [workers => 1],
		servers => { s => ["127.0.0.1:$port", 'stream_proxy', 'u'] },
		upstreams => { u => ["$peer fail_timeout=1s", server => $good->address, connect_timeout => '10m'] },
	));
	await { client($port)->ping; $w->status->peer('u', $peer)->{state} eq 'failed' } 'it fails';
	Weir::Client->reset_all;
	$bad->stop;
	$bad = backend('full', address => $peer);
	# Whoever tries it when that second is over has an hour for it; before anybody may try it again.
	$w->edit_conf(sub { s/fail_timeout=1s/fail_timeout=1h/ });
	is $w->reload->{exit}, 0;
	my $first;
	await { $first = probing($w, $port, $peer) } 'one tries it';
	for (1 .. 3) {
		is $w->status->peer('u', $peer)->{state}, 'failed', 'as long as it has not answered';
		ok client($port)->ping, 'others do not wait for that' for 1 .. 4;
		$first->reset;
		await { $w->status->peer('u', $peer)->{connections} == 0 } 'the client has gone';
		$first = probing($w, $port, $peer);
		ok $first, 'another one tries it at once' or last;
	}
	is $w->status->peer('u', $peer)->{connect_failed}, 1, 'nothing of this was a failure';
	Weir::Client->reset_all;
	$w->stop;
};

# A listener with room for one connection, which is taken.
sub full($path)
{
	socket(my $door, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	bind($door, pack_sockaddr_un($path)) or die "bind $path: $!\n";
	chmod(0777, $path);
	listen($door, 0);
	socket(my $first, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
	connect($first, pack_sockaddr_un($path)) or die "connect: $!\n";
	return ($door, $first);
}

for my $protocol (qw(stream_proxy line_proxy)) {
	it "$protocol: without a descriptor when a busy UNIX peer is tried again" => sub {
		program('prlimit') or plan skip_all => 'no prlimit';
		my $path = "$folder/$protocol.sock";
		my ($door, $first) = full($path);
		my $w = weir(conf_text(
			weir => [workers => 1],
			servers => { s => ['unix:run/s.sock', $protocol, 'u'], e => ['unix:run/e.sock', 'echo'] },
			upstreams => { u => ["unix:$path", connect_timeout => '10m',
			    $protocol eq 'line_proxy' ? (pool_wait => '10m') : ()] },
		));
		my $other = client($w->address('e'));
		ok $other->ping;
		my $c = client($w->address('s'));
		$c->send("x\n");
		await { $w->status->peer('u', "unix:$path")->{connections} == 1 } 'it is tried';
		$w->leave_descriptors(0);
		$w->wait_log(qr/connect to peer unix:\S+ of upstream u: Too many open files: not the peer's fault/);
		my $p = $w->status->peer('u', "unix:$path");
		is $p->{state}, 'up', 'the peer is not blamed';
		is $p->{connect_failed}, 0;
		ok $other->ping, 'others go on';
		if ($protocol eq 'stream_proxy') {
			isnt $c->ending, 'open', 'the session ends';
			await { $w->status->server('s')->{sessions} == 0 } 'it is gone';
		} else {
			await { $w->status->upstream('u')->{waiting} == 1 } 'the request waits';
		}
		is $w->status->peer('u', "unix:$path")->{connections}, 0, 'nothing is counted as connected';
		accept(my $taken, $door) or die "accept: $!\n";
		$w->leave_descriptors(3);
		$c = client($w->address('s'))->send("x\n") if $protocol eq 'stream_proxy';
		accept(my $fh, $door) or die "accept: $!\n";
		is scalar(readline($fh)), "x\n", 'it goes on when there is one';
		syswrite($fh, "y\n");
		is $c->line, "y\n";
		Weir::Client->reset_all;
		close($fh);
		$w->stop;
	};
}

done_testing;
