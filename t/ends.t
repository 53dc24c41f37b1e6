#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Ends that are easily missed: resets behind data, last words, what was cut short.
# The worker is stopped while both packets arrive, so that it sees them as one.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(:all);
use Weir::Process;
use Weir::Test;

my ($port, $peer_port) = free_ports(2);

# The peer is a socket of this test's own: what it does comes between packets.
socket(my $door, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
setsockopt($door, SOL_SOCKET, SO_REUSEADDR, 1);
bind($door, pack_sockaddr_in($peer_port, INADDR_LOOPBACK)) or die "bind: $!\n";
listen($door, 16);

my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server proxy]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = peer
idle_timeout = off
[upstream peer]
server = 127.0.0.1:$peer_port max_fails=0
CONF

sub accepted()
{
	accept(my $fh, $door) or die "accept: $!\n";
	return $fh;
}

sub arrived($fh, $count)
{
	my $all = '';
	while (length($all) < $count) {
		my $n = sysread($fh, my $bytes, $count - length($all));
		return $all if !$n;
		$all .= $bytes;
	}
	return $all;
}

# 'eof', 'reset', or 'open' when the end does not come in time.
sub ending($fh)
{
	vec(my $want = '', fileno($fh), 1) = 1;
	while (1) {
		return 'open' if !select(my $ready = $want, undef, undef, 10);
		my $n = sysread($fh, my $bytes, 65536);
		return 'reset' if !defined $n;
		return 'eof' if $n == 0;
	}
}

sub hard($fh)
{
	setsockopt($fh, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	close($fh);
}

sub while_stopped($do)
{
	my $pid = $w->worker(0);
	kill('STOP', $pid);
	ok wait_for { Weir::Process::state($pid) eq 'T' };
	$do->();
	kill('CONT', $pid);
}

it 'a reset of the client behind its data' => sub {
	my $c = client($port);
	my $fh = accepted();
	$c->send('x');
	is arrived($fh, 1), 'x';
	while_stopped(sub { $c->send('last'); $c->reset });
	is arrived($fh, 4), 'last';
	is ending($fh), 'reset', 'is passed on, though nothing is sent to it';
	ok wait_for { $w->status->server('proxy')->{sessions} == 0 };
	is $w->status->server('proxy')->{end_client_failed}, 1;
};

it 'a reset of the client behind its end' => sub {
	my $c = client($port);
	my $fh = accepted();
	$c->send_fin('the question');
	is arrived($fh, 100), 'the question', 'and its end';
	$c->reset;
	ok wait_for { $w->status->server('proxy')->{sessions} == 0 }, 'ends it while the peer thinks';
	is $w->status->server('proxy')->{end_client_failed}, 2;
};

it 'a reset of the peer behind its data' => sub {
	my $c = client($port);
	my $fh = accepted();
	syswrite($fh, 'x');
	is $c->recv(1), 'x';
	while_stopped(sub { syswrite($fh, 'last'); hard($fh) });
	is $c->recv(4), 'last', 'the data arrives';
	is $c->ending, 'reset', 'and then the client is told';
	is $w->status->server('proxy')->{end_peer_failed}, 1;
};

it 'a client that goes while its peer is being connected' => sub {
	while_stopped(sub { my $c = client($port); $c->send('early'); $c->reset });
	my $fh = accepted();
	isnt ending($fh), 'open';
	ok wait_for { $w->status->server('proxy')->{sessions} == 0 };
};

it 'an answer from a peer that does not read on' => sub {
	my $c = client($port);
	my $fh = accepted();
	$c->send('x' x 100);
	is length(arrived($fh, 10)), 10;
	while_stopped(sub {
		$c->send('more' x 100);
		syswrite($fh, "ERR go away\n");
		close($fh);		# with bytes unread: a reset follows
	});
	is $c->line, "ERR go away\n", 'is delivered';
	isnt $c->ending, 'open';
};

it 'urgent data' => sub {
	my $c = client($port);
	my $fh = accepted();
	while_stopped(sub {
		$c->send('abc');
		send($c->fh, '!', MSG_OOB);
		$c->send('def');
	});
	is arrived($fh, 6), 'abcdef', 'does not hold up what is behind it';
	$c->reset;
	close($fh);
};

# Large reads in a row: then a flow goes through a pipe (RELAY_BULK).
sub make_bulk($from, $to, $count = 1 << 20)
{
	my $left = $count;
	$_->blocking(1) for $from, $to;
	while ($left > 0) {
		syswrite($from, 'x' x 65536) == 65536 or die "write: $!\n";
		$left -= length arrived($to, 65536);
	}
}

# Marks that have nothing before them, one behind the other, and the end of all right behind.
for my $way ('client', 'peer') {
	it "urgent data of a $way that carries much, and its end" => sub {
		my $c = client($port);
		my $fh = accepted();
		my ($from, $to) = $way eq 'client' ? ($c->fh, $fh) : ($fh, $c->fh);
		make_bulk($from, $to);
		my $rest = 'a' x 20000;
		while_stopped(sub {
			syswrite($from, $rest);
			send($from, '!', MSG_OOB);
			syswrite($from, 'behind');
			shutdown($from, SHUT_WR);
		});
		is arrived($to, 1 << 20), "${rest}behind", 'all arrives but the urgent byte';
		is ending($to), 'eof', 'and the end is a good one';
		close($_) for $from, $to;
	};
	it "urgent data of a $way that carries much, with no end" => sub {
		my $c = client($port);
		my $fh = accepted();
		my ($from, $to) = $way eq 'client' ? ($c->fh, $fh) : ($fh, $c->fh);
		make_bulk($from, $to);
		while_stopped(sub {
			send($from, '!', MSG_OOB);
			syswrite($from, 'between');
			send($from, '?', MSG_OOB);
			syswrite($from, 'behind');
		});
		my $got = '';
		while ($got !~ /behind/) {
			my $byte = arrived($to, 1);
			last if $byte eq '';
			$got .= $byte;
		}
		# A mark that another one has overtaken is a byte like any other.
		like $got, qr/^!?betweenbehind$/, 'does not hold up what is behind it';
		make_bulk($from, $to, 65536 * 4);
		close($_) for $from, $to;
	};
}

it 'a large answer that is cut' => sub {
	my $c = client($port, rcvbuf => 8192);
	my $fh = accepted();
	my $sent = 0;
	while (1) {
		vec(my $want = '', fileno($fh), 1) = 1;
		last if !select(undef, $want, undef, 0.5);
		$sent += syswrite($fh, 'x' x 65536) // last;
		$fh->blocking(0);
	}
	hard($fh);
	is $c->ending, 'reset', 'does not look whole';
	ok $sent > 65536;
};

done_testing;
