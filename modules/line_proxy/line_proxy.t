#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# line_proxy: where lines end, how long they may be, and what clients get when there is no reply.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;
use Weir::Stress;

# Gives each line back; but "long N" gets a line of N bytes, "endless N" N bytes and no end.
sub answer($line, $)
{
	return 'x' x ($1 - 1) . "\n" if $line =~ /^long (\d+)/;
	return 'x' x $1 if $line =~ /^endless (\d+)/;
	return "$line\n";
}

my %backend = (
	line => backend('line', reply => \&answer),
	keep => backend('line', reply => \&answer),
	gone => backend('refuse'),
);
my %server = (			# NAME => [BACKEND, keys of the server, keys of the upstream]
	line    => ['line', ''],
	request => ['line', '', 'pool = request'],
	session => ['line', '', 'pool = session'],
	short   => ['line', "line_max = 20\nline_failure = sorry"],
	even    => ['line', "line_max = 1k\nread_buffer = 1k"],
	refuse  => ['line', 'line_refuse = *$'],
	hasty   => ['line', "read_timeout = 300ms"],
	keep    => ['keep', ''],
	sorry   => ['gone', 'line_failure = -ERR sorry\r'],
	off     => ['gone', 'line_failure = off'],
	slow    => ['line', 'sndbuf = 16k', 'reply_max = 128k'],
	stuck   => ['line', "sndbuf = 16k\nwrite_timeout = 300ms"],
);
my %port;
@port{sort keys %server} = free_ports(scalar keys %server);
my $conf = "[weir]\nworkers = 2\nerror_log = logs/error.log info\n";
for my $name (sort keys %server) {
	my ($behind, $server, $upstream) = @{$server{$name}};
	$conf .= <<"CONF";
[server $name]
listen = 127.0.0.1:$port{$name}
protocol = line_proxy
upstream = $name
$server
[upstream $name]
server = @{[$backend{$behind}->address]} max_fails=0
@{[$upstream // '']}
CONF
}
my $w = weir($conf);

# How often a session of the server has ended so.
sub ended($server, $reason) { return $w->status->server($server)->{"end_$reason"} }

sub failed($upstream, $reason) { return $w->status->upstream($upstream)->{"failed_$reason"} }

# Runs the code: whether it makes the number grow by so much.
sub grows($number, $by, $do)
{
	my $before = $number->();
	$do->();
	my $now;
	ok wait_for { ($now = $number->() - $before) >= $by } or diag "grew by $now";
	is $now, $by, 'counted';
}

#
# Lines
#

for my $name (qw(line request session)) {
	it "gives lines back as they were ($name)" => sub {
		my $c = client($port{$name});
		my $all = join('', grep { $_ ne "\n" } map { chr } 0 .. 255);
		for my $line ("a\n", "a\r\n", "\n", "\r\n", "\0\n", "a\0b\0\0\n", "\r\r\n", "$all\n") {
			is $c->ask($line), $line, unpack('H*', substr($line, -8));
		}
	};

	it "takes many in one packet, and one in many ($name)" => sub {
		my $c = client($port{$name});
		my $lines = join('', map { "line $_\r\n" } 1 .. 200);
		is $c->ask($lines), $lines;
		$c->dribble(my $few = "one\ntwo\r\n\n\0\n");
		is $c->recv(length $few), $few;
	};

	it "answers all before it ends ($name)" => sub {
		my $lines = join('', map { "line $_\n" } 1 .. 5000);
		is client($port{$name})->send_fin($lines)->rest, $lines;
		is client($port{$name})->shutdown->rest, '', 'of nothing nothing';
		is client($port{$name})->send_fin("one\ntw")->rest, "one\n", 'what was not finished is not asked';
	};
}

it 'cuts lines at every byte' => sub {
	my $c = client($port{line});
	my $lines = "first\r\n\nthe second\n\0\n";
	for my $at (1 .. length($lines) - 1) {
		$c->send(substr($lines, 0, $at));
		my ($whole) = substr($lines, 0, $at) =~ /^(.*\n)/s;
		is $c->recv(length $whole), $whole, 'what is whole is answered' if $whole;
		$c->send(substr($lines, $at));
		my $rest = substr($lines, length($whole // ''));
		is $c->recv(length $rest), $rest, "at $at";
	}
};

#
# line_max
#

it 'a request as long as line_max is taken' => sub {
	my $c = client($port{short});
	is $c->ask('x' x 19 . "\n"), 'x' x 19 . "\n";
	is $c->dribble('y' x 19 . "\n")->line, 'y' x 19 . "\n";
	is $c->ask('z' x 18 . "\r\n"), 'z' x 18 . "\r\n";
	my $even = client($port{even});
	is $even->ask('x' x 1023 . "\n"), 'x' x 1023 . "\n", 'up to read_buffer';
};

it 'a longer one ends the session' => sub {
	for my $long ('x' x 20 . "\n", 'x' x 20, 'x' x 100_000) {
		grows(sub { ended('short', 'bad_request') }, 1, sub {
			my $c = client($port{short});
			eval { $c->send("one\ntwo\n$long") };
			is $c->recv(8), "one\ntwo\n", 'what was asked before is answered';
			isnt $c->ending, 'open', length($long) . ' bytes';
		});
	}
	grows(sub { ended('short', 'bad_request') }, 1, sub {
		my $c = client($port{short});
		$c->dribble('x' x 20);
		isnt $c->ending, 'open', 'a byte at a time';
	});
	grows(sub { ended('even', 'bad_request') }, 1, sub {
		my $c = client($port{even});
		$c->send('x' x 1024);
		isnt $c->ending, 'open', 'line_max = read_buffer';
	});
};

it 'a reply as long as line_max is passed on, of a longer one the request fails' => sub {
	my $c = client($port{short});
	is $c->ask("long 20\n", 'x' x 20), 'x' x 19 . "\n";
	grows(sub { failed('short', 'bad_reply') }, 1, sub {
		is $c->ask("long 21\n", "sorry\n"), "sorry\n";
	});
	is $c->ask("again\n"), "again\n", 'and the session goes on';
};

it 'a reply without end is not read to its end' => sub {
	my $peer = sub { $w->status->peer('short', $backend{line}->address) };
	my $before = $peer->();
	my $c = client($port{short});
	$c->send("endless 20000000\n");
	is $c->line, "sorry\n";
	is $c->ask("again\n"), "again\n";
	my $after = $peer->();
	is $after->{bad_replies} - $before->{bad_replies}, 1;
	cmp_ok $after->{bytes_received} - $before->{bytes_received}, '<', 1 << 20, 'no more of it is taken';
};

it 'a line that is never finished is waited for no longer than read_timeout' => sub {
	grows(sub { ended('hasty', 'read_timeout') }, 1, sub {
		my $c = client($port{hasty});
		is $c->ask("whole\n"), "whole\n";
		$c->send('unfinishe');
		isnt $c->ending, 'open';
	});
};

#
# No reply
#

it 'line_failure answers each request that no peer can' => sub {
	my $c = client($port{sorry});
	is $c->ask("one\n", "-ERR sorry\r\n"), "-ERR sorry\r\n";
	is $c->ask("two\nthree\n", "-ERR sorry\r\n" x 2), "-ERR sorry\r\n" x 2, 'and the session goes on';
	is client($port{sorry})->send_fin("one\ntwo\n")->rest, "-ERR sorry\r\n" x 2, 'also when the client has ended';
};

it 'with line_failure = off the session ends' => sub {
	grows(sub { ended('off', 'request_failed') }, 1, sub {
		my $c = client($port{off});
		$c->send("one\n");
		isnt $c->ending, 'open';
	});
};

it 'both are well when the peer is there again' => sub {
	$backend{gone}->tell('up');
	ok client($port{$_})->ping for qw(sorry off);
};

it 'such an end is no reset' => sub {
	my $c = client($port{off});
	is $c->ask("one\n"), "one\n";
	$backend{gone}->tell('reset_all');
	$backend{gone}->tell('down');
	grows(sub { ended('off', 'request_failed') }, 1, sub {
		$c->send("two\nthree\n");
		is $c->rest, '', 'the end, and no reset';
	});
};

#
# Clients that do not behave
#

it 'a client that leaves with 50 in flight takes nobody with it' => sub {
	my $before = $backend{keep}->tell('keep')->{lines};
	my $c = client($port{keep});
	my $other = client($port{keep});
	$c->send(join('', map { "leaver $_\n" } 1 .. 50));
	$other->send("other\n");
	$backend{keep}->wait_report(sub ($r) { $r->{lines} == $before + 51 });
	grows(sub { $w->status->upstream('keep')->{orphaned} }, 50, sub {
		$c->reset;
		ok wait_for { $w->status->server('keep')->{sessions} == 1 };
		$backend{keep}->tell('release');
		is $other->line, "other\n", 'the other has its own';
	});
	is $other->ask("more\n"), "more\n";
	is $w->status->peer('keep', $backend{keep}->address)->{in_flight}, 0;
};

it 'a client that ends its side is answered all the same, however late' => sub {
	my $before = $backend{keep}->tell('keep')->{lines};
	my $c = client($port{keep})->send_fin(join('', map { "late $_\n" } 1 .. 50));
	$backend{keep}->wait_report(sub ($r) { $r->{lines} == $before + 50 });
	$backend{keep}->tell('release');
	is $c->rest, join('', map { "late $_\n" } 1 .. 50);
};

it 'a client that never reads costs reply_max at most, and nobody else' => sub {
	my $memory = $w->memory;
	my $other = client($port{slow});
	grows(sub { ended('slow', 'slow_reader') }, 1, sub {
		my $c = client($port{slow}, rcvbuf => 8192);
		my $lines = "long 8000\n" x 1000;
		my $sent = 0;
		await {
			$sent += $c->send_some(substr($lines, $sent)) if $sent < length($lines);
			ok $other->ping, 'the other is served' or die;
			ended('slow', 'slow_reader');
		} 'it is closed', 30;
		is $c->ending, 'reset';
	});
	ok $other->ping;
	cmp_ok $w->memory - $memory, '<', patience(1) * (8 << 20), 'memory is bounded';
};

it 'one that reads nothing of little is waited for no longer than write_timeout' => sub {
	grows(sub { ended('stuck', 'write_timeout') }, 1, sub {
		my $c = client($port{stuck}, rcvbuf => 8192);
		$c->send("long 8000\n" x 50);
		ok wait_for { ended('stuck', 'write_timeout') };
		is $c->ending, 'reset';
	});
};

it '500 clients get what is their own' => sub {
	unharmed(stress('line', '-c', 500, '--each', 20, '-p', 4, "127.0.0.1:$port{line}", { timeout => 60 }),
	    answered => 10_000, connected => 500, least => 20);
};

#
# Settings
#

it 'refuses what cannot be' => sub {
	my ($port, $behind) = free_ports(2);
	for my $case (
		["upstream = u\nline_max = 65537", qr/line_max is 65537 bytes, read_buffer only 65536: .* lower line_max/],
		["upstream = u\nline_max = 4k\nread_buffer = 2k", qr/line_max is 4096 bytes, read_buffer only 2048/],
		["upstream = u\nline_max = 1", qr/line_max is 1; at least 2, at most 16m/],
		["upstream = u\nline_failure = two\\nlines", qr/line_failure is one line/],
		["upstream = u\nline_failure = \"two\\nlines\"", qr/line_failure is one line/],
		["upstream = u\nline_failure = 1234567\\r\nline_max = 8", qr/line_failure is longer than line_max allows/],
		['line_max = 4k', qr/protocol line_proxy needs an upstream/],
	) {
		my ($keys, $phrase) = @$case;
		my $result = Weir::Daemon->new(<<"CONF")->command('-t');
[server s]
listen = 127.0.0.1:$port
protocol = line_proxy
$keys
[upstream u]
server = 127.0.0.1:$behind
CONF
		is $result->{exit}, 1;
		like $result->{text}, $phrase;
	}
};

it 'refuses lines that begin with what it is told' => sub {
	for my $bad ("*1\r\n", "\$4\r\nPING\r\n") {
		my $c = client($port{refuse});
		is $c->send("good\n$bad")->rest, "good\n", 'what came before is answered, then it is closed';
	}
	is client($port{refuse})->ask("good *\$\n"), "good *\$\n", 'elsewhere they may stand';
	is ended('refuse', 'bad_request'), 2;
	$w->wait_log(qr/warn .*begins with [*\$], which line_refuse forbids: .*RESP.*, client \S+, server refuse$/m);
};

done_testing;
