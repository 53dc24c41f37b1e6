#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# stream_proxy: bytes both ways, ends of every kind, backends of every kind.
# WEIR_LONG=1 carries 1 GiB instead of 64 MiB.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;
use Weir::Stress;

my $LARGE = $ENV{WEIR_LONG} ? 1 << 30 : 64 << 20;

# One server (and upstream) for each backend; all behind one weir.
my @names = qw(echo unix sink source first script close reset refuse silent large);
my %port;
@port{@names} = free_ports(scalar @names);
my $dir = File::Temp->newdir;
chmod(0755, $dir);

# On a FIN this one sends what it still has to say: half-close the other way round.
my $late = "and one more thing\n" x 1000;
my %backend = (
	echo   => backend('echo'),
	unix   => backend('echo', address => "unix:$dir/backend.sock"),
	sink   => backend('sink'),
	source => backend('source', bytes => 3_000_000, seed => 5),
	first  => backend('greeting', text => "220 ready\r\n"),
	script => backend('script', data => sub (@) { },
	    eof => sub ($c, $) { $c->send($late); $c->finish }),
	close  => backend('close'),
	reset  => backend('reset'),
	refuse => backend('refuse'),
	silent => backend('silent'),
	large  => backend('source', bytes => 256 << 20, seed => 6),
);
my $conf = <<'CONF';
[weir]
workers = 2
error_log = logs/error.log info
CONF
for my $name (@names) {
	$conf .= <<"CONF";
[server $name]
listen = 127.0.0.1:$port{$name}
listen = unix:run/$name.sock mode=0666
protocol = stream_proxy
upstream = $name
half_close_timeout = 1s
[upstream $name]
server = @{[$backend{$name}->address]} max_fails=0
CONF
}
my $w = weir($conf);

sub socket_of($name) { return 'unix:' . $w->path("run/$name.sock") }

sub one_more($name, $do)
{
	my $before = $backend{$name}->report->{accepted};
	$do->();
	my $report = $backend{$name}->wait_report(sub ($r) {
		$r->{accepted} > $before && $r->{open} == 0;
	});
	return $report->{conns}[-1];
}

for my $case (['TCP to TCP', $port{echo}], ['TCP to UNIX', $port{unix}],
    ['UNIX to TCP', socket_of('echo')], ['UNIX to UNIX', socket_of('unix')]) {
	my ($kind, $address) = @$case;

	it "carries $kind" => sub {
		my $c = client($address);
		ok $c->ping;
		for my $length (1, 1000, 65536, 65537, 300_000) {
			my $text = pattern($length, 0, $length);
			ok $c->ask($text) eq $text, "$length bytes";
		}
		is $c->shutdown->ending, 'eof';
	};
}

it 'carries ' . ($LARGE >> 20) . ' MiB both ways at once' => sub {
	my $c = client($port{echo});
	my $moved = $c->transfer(out => $LARGE, in => $LARGE, out_seed => 11, finish => 1,
	    timeout => 600);
	is $c->ending, 'eof';
	my $seen = $backend{echo}->wait_report(sub ($r) { $r->{open} == 0 })->{conns}[-1];
	is $seen->{in}, $LARGE, 'the backend saw as many';
	is $seen->{md5}, $moved->{md5}, 'and the same';
};

it 'carries 8 MiB over UNIX sockets' => sub {
	my $c = client(socket_of('unix'));
	is $c->transfer(out => 8 << 20, in => 8 << 20, finish => 1)->{in}, 8 << 20;
	is $c->ending, 'eof';
};

it 'carries bytes one at a time' => sub {
	my $text = pattern(3, 0, 300);
	is client($port{echo})->dribble($text)->recv(300), $text;
};

it 'lets the server speak first' => sub {
	my $c = client($port{first});
	is $c->line, "220 ready\r\n";
	ok $c->ping;
};

it 'brings the FIN of the client to the backend, after its data' => sub {
	my $seen = one_more(sink => sub {
		my $c = client($port{sink});
		$c->send_fin('the last words');
		is $c->ending, 'eof';
	});
	is $seen->{text}, 'the last words';
	is $seen->{ended}, 'eof';
};

it 'brings the FIN of the backend to the client, after its data' => sub {
	my $c = client($port{source});
	my $moved = $c->transfer(in => 3_000_000, in_seed => 5);
	is $moved->{in}, 3_000_000;
	is $c->rest, '', 'then the end';
};

it 'carries on towards a client that has ended' => sub {
	my $c = client($port{script});
	$c->send_fin('a question');
	ok $c->rest eq $late;
};

it 'carries on towards a backend that has ended' => sub {
	my $c = client($port{source});
	$c->transfer(in => 3_000_000, in_seed => 5);
	is $c->ending, 'eof';
	$c->send(pattern(1, 0, 100_000))->shutdown;
	$backend{source}->wait_report(sub ($r) {
		grep { $_->{in} == 100_000 && $_->{ended} eq 'eof' } @{$r->{conns}};
	});
	pass;
};

it 'ends both when both have ended' => sub {
	my $c = client($port{echo});
	$c->ping;
	$c->shutdown;
	is $c->rest, '';
	$backend{echo}->wait_report(sub ($r) { $r->{open} == 0 });
	pass;
};

it 'brings a reset of the client to the backend' => sub {
	my $seen = one_more(echo => sub {
		my $c = client($port{echo});
		$c->ping;
		$c->reset;
	});
	is $seen->{ended}, 'reset';
};

it 'also when it is found out by sending to the client' => sub {
	my $seen = one_more(echo => sub {
		my $c = client($port{echo});
		$c->ping;
		# What the backend says comes first, and then the reset.
		my @workers = $w->workers;
		kill('STOP', @workers);
		$backend{echo}->tell('send', bytes => 'too late');
		$c->reset;
		kill('CONT', @workers);
	});
	is $seen->{ended}, 'reset';
};

it 'brings a reset of the backend to the client' => sub {
	my $c = client($port{echo});
	$c->ping;
	$backend{echo}->tell('reset_all');
	isnt $c->ending, 'open';
};

it 'delivers what came before the end of the backend' => sub {
	my $c = client($port{echo});
	$c->ping;
	$backend{echo}->tell('send', bytes => 'goodbye');
	$backend{echo}->tell('finish_all');
	is $c->rest, 'goodbye';
};

it 'closes the client when the backend closes at once' => sub {
	isnt client($port{close})->ending, 'open';
};

it 'closes the client when the backend resets at once' => sub {
	isnt client($port{reset})->ending, 'open';
};

it 'ends a session in vain also when the client does not close' => sub {
	my @workers = $w->workers;
	my $c = client($port{refuse});
	isnt $c->ending, 'open';
	ok wait_for { $w->status->server('refuse')->{sessions} == 0 };
	is_deeply [$w->workers], \@workers;
};

it 'closes the client when the backend refuses' => sub {
	isnt client($port{refuse})->ending, 'open';
	isnt client(socket_of('refuse'))->ending, 'open', 'also over UNIX';
	$backend{refuse}->tell('up');
	ok client($port{refuse})->ping, 'and goes on when it is back';
};

it 'keeps what a silent backend does not take in bounds' => sub {
	my $before = $w->memory;
	my $c = client($port{silent});
	# The kernel alone keeps 10 MiB of each connection, and with Weir::Adapter there is one more.
	my $text = pattern(13, 0, 64 << 20);
	my $sent = stalled($c, $text);
	cmp_ok $sent, '<', length($text), "held back after $sent bytes";
	cmp_ok $w->memory - $before, '<', patience(1) * (4 << 20), 'memory is bounded';
	$backend{silent}->tell('resume');
	$c->send(substr($text, $sent));
	$c->shutdown;
	my $seen = $backend{silent}->wait_report(sub ($r) { $r->{in} >= length($text) }, 30);
	is $seen->{in}, length($text), 'all of it arrives when it is taken';
	is $c->ending, 'eof';
	is $backend{silent}->report->{conns}[-1]{md5}, Digest::MD5::md5_hex($text), 'unchanged';
};

# Sends until nothing has gone for a while: how many bytes.
sub stalled($c, $text)
{
	my ($sent, $quiet) = (0, now());
	wait_for {
		my $n = $c->send_some(substr($text, $sent, 1 << 20));
		$sent += $n;
		$quiet = now() if $n;
		now() - $quiet > patience(0.3) || $sent == length($text);
	} 30;
	return $sent;
}

it 'keeps what a stalled client does not take in bounds' => sub {
	my $before = $w->memory;
	my $c = client($port{large}, rcvbuf => 16384);
	my ($out, $since) = (0, now());
	await {
		my $now = $backend{large}->report->{out};
		($out, $since) = ($now, now()) if $now != $out;
		$out && now() - $since > patience(0.3);
	} 'the backend is held back', 30;
	cmp_ok $out, '<', 128 << 20, "held back after $out bytes";
	cmp_ok $w->memory - $before, '<', patience(1) * (4 << 20), 'memory is bounded';
	ok client($port{echo})->ping, 'others are served meanwhile';
	$c->transfer(in => 4 << 20, in_seed => 6);
	pass 'it goes on when the client reads';
	$c->reset;
};

it 'holds 2000 sessions at once' => sub {
	my $limit = `sh -c 'ulimit -n'`;
	plan skip_all => "needs 5000 descriptors, has $limit" if $limit =~ /^\d+$/ && $limit < 5000;
	my $echo = "127.0.0.1:$port{echo}";
	my $crowd = crowd('line', '-c', 2000, '-n', 6000, '--rate', 100, $echo);
	ok wait_for { $w->status->server('echo')->{sessions} == 2000 }, 'status counts them';
	$backend{echo}->wait_report(sub ($r) { $r->{open} >= 2000 });
	unharmed($crowd->end, connected => 2000, peak => 2000);
	for my $bytes (1, 1000, 10_000) {
		unharmed(stress('echo', '-c', 2000, '-n', 4000, '-s', $bytes, $echo, { timeout => 60 }),
		    answered => 4000, connected => 2000, bytes_in => 4000 * $bytes);
	}
	ok wait_for { $w->status->server('echo')->{sessions} == 0 };
	$backend{echo}->wait_report(sub ($r) { $r->{open} == 0 });
};

it 'holds 500 sessions over UNIX sockets' => sub {
	for my $bytes (1, 5000) {
		unharmed(stress('echo', '-c', 500, '-n', 1000, '-s', $bytes, socket_of('unix'), { timeout => 60 }),
		    answered => 1000, connected => 500, bytes_in => 1000 * $bytes);
	}
};

done_testing;
