#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress over TLS, as client and as backend: all modes, what is agreed on, resumption, handshakes that fail, by reason,
# and those that never end.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Weir::Test;
use Weir::Stress;

look_for_leaks;

skip_all('needs the command openssl') if !Weir::Test::program('openssl');

my $dir = File::Temp->newdir;

# A certificate for localhost that has signed itself.
sub certificate($name)
{
	my $r = Weir::Process::run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
	    '-nodes', '-days', 30, '-subj', "/CN=$name", '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
	    '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem"]);
	die "openssl: $r->{text}\n" if $r->{exit} != 0;
	return "$dir/$name.pem";
}

my ($good, $other) = (certificate('good'), certificate('other'));
my @server = ('--tls', '--tls-cert', $good, '--tls-key', "$dir/good.key");
my @client = ('--tls', '--tls-ca', $good);

# The same for both versions.
sub each_version($test)
{
	$test->('1.2', 'TLSv1.2');
	$test->('1.3', 'TLSv1.3');
}

# Every connection has failed, for this reason.
sub fails($r, $reason, $kind = 'tls_failed')
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $of = $r->{of};
	is $r->{exit}, 1, 'exit status';
	cmp_ok $of->{$kind}, '>', 0, $kind;
	is $of->{errors}, $of->{$kind}, 'nothing else' or diag $r->{text};
	return if !defined $reason;
	my @reasons = sort keys $r->{told}{tls_reasons}->%*;
	is scalar(grep { $_ !~ $reason } @reasons), 0, 'the reason' or diag "@reasons";
	like $r->{out}, $reason, 'is told';
}

sub refused($line, $why)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = Weir::Process::run([Weir::Stress::binary(), split(/ /, $line)], timeout => 20);
	is $r->{exit}, 2, $line;
	like $r->{err}, $why;
}

it 'what is refused' => sub {
	my $at = '127.0.0.1:9';
	refused("line --tls-ca $good $at", qr/^weir-stress: --tls-\.\.\.: they say how --tls is spoken: give it, too$/m);
	refused("line --tls-resume $at", qr/--tls is spoken/);
	refused("line --tls --tls-key $good $at", qr/--tls-key: say whose it is, with --tls-cert/);
	refused("line --tls --tls-version 1.1 $at", qr/--tls-version 1\.1: 1\.2 or 1\.3 is expected/);
	refused("line --tls --tls-alpn a,,b $at", qr/--tls-alpn a,,b: names with commas/);
	refused("line --tls --tls-stop hello $at", qr/line: --tls-stop means nothing in this mode/);
	refused("slowloris --tls --tls-stop soon $at", qr/--tls-stop soon: hello or finished is expected/);
	refused("slowloris --tls --tls-stop finished -i 1s $at", qr/-i and --tls-stop finished: behind that no byte/);
	refused("slowloris --tls-stop hello $at", qr/--tls is spoken/);
	refused("line --tls --tls-ca $dir/none $at", qr/--tls-ca: \S+none: No such file or directory/);
	refused("line --tls --tls-cert $good $at", qr/--tls-cert: \Q$good\E: no key in PEM/);
	refused("line --expect $_ $at", qr/--expect: \Q$_\E: it needs --tls, which is missing/)
	    for 'handshake.p99<1s', 'handshake.p75<1s', 'resumed>1';
	refused("--serve line --tls $at", qr/--tls: a server needs a certificate: give --tls-cert/);
	refused("--serve line --tls-cert $good $at", qr/--tls is spoken/);
	refused("--serve line --tls --tls-cert $good --tls-key $dir/other.key $at", qr/--tls-cert: .* not the key of/);
};

it 'all modes' => sub {
	my %backend = map { $_ => serve($_, @server, $_ eq 'source' ? ('-s', '300k') : ()) } qw(line echo sink source);
	my %of = (
		'line -n 300 -c 5 -p 3'          => 'line',
		'line -n 300 -c 5 -s 20k'        => 'line',
		'line -n 100 --rate 2000'        => 'line',
		'idle -c 5 -i 50ms -d 300ms'     => 'line',
		'churn -n 30 -c 3'               => 'line',
		'handshake -n 30 -c 3'           => 'line',
		'halfclose -c 5 -p 4'            => 'line',
		'unruly -c 5 -p 8 -s 4k -n 2000' => 'line',
		'echo -n 300 -c 5 -s 40k'        => 'echo',
		'bulk -c 3 -s 2m'                => 'echo',
		'bulk -c 3 -s 2m --way out'      => 'sink',
		'bulk -c 3 -s 300k --way in'     => 'source',
	);
	each_version(sub ($version, $called) {
		for my $mode (sort keys %of) {
			my $r = stress(split(/ /, $mode), @client, '--tls-version', $version, $backend{$of{$mode}}->address);
			is $r->{exit}, 0, "$mode, $version" or diag $r->{text};
			is $r->{of}{handshakes}, $r->{of}{connected}, 'a handshake for each connection';
			like $r->{told}{tls}, qr/^\Q$called\E, \w/;
			like $r->{out}, qr/^  handshakes +\d+ of TLS, 0 resumed: \Q$called\E, /m, 'is told';
			like $r->{out}, qr/^  handshake +\d/m, 'and how long it took';
		}
	});
	for my $kind (sort keys %backend) {
		my $counts = $backend{$kind}->stop;
		is $counts->{handshakes}, $counts->{accepted}, "$kind: all were TLS";
		is $counts->{tls_failed}, 0;
	}
};

it 'connections that stay end with a close_notify' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[weir]
workers = 1
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $good $dir/good.key
CONF
	my $count = 0;
	each_version(sub ($version, $called) {
		for my $mode ('line -n 100 -c 5', 'line -d 100ms -c 5', 'idle -c 5 -i 50ms -d 100ms', 'echo -n 50 -c 5 -s 1k') {
			my $r = stress(split(/ /, $mode), @client, '--tls-version', $version, "127.0.0.1:$port");
			is $r->{exit}, 0, "$mode, $version" or diag $r->{text};
			ok wait_for { $w->status->sessions == 0 };
			my $s = $w->status->server('echo');
			is $s->{end_client_closed}, $count += 5, 'and not as a truncation';
			is $s->{end_client_failed}, 0;
		}
	});
	$w->stop;
};

it 'what is expected of handshakes' => sub {
	my $b = serve('line', @server);
	my $r = stress('handshake', '-n', 20, '-c', 2, '--expect', 'errors==0,handshakes==20,resumed==0,handshake.max<60s,answered==20',
	    @client, $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	my $of = $r->{of};
	cmp_ok $of->{'handshake.p50'}, '<=', $of->{'handshake.max'};
	cmp_ok $of->{'handshake.max'}, '<=', $of->{max}, 'the latency has it all';
	is $of->{bytes_out} + $of->{bytes_in}, 0, 'nothing is said';
	is $b->stop->{handshakes}, 20;
};

it 'sessions are resumed, whatever process of the server they come to' => sub {
	each_version(sub ($version, $called) {
		for my $mode ('handshake', 'churn') {
			my $b = serve('line', @server, '-w', 2);
			my $r = stress($mode, '-n', 20, '-c', 1, '--tls-resume', '--tls-version', $version, @client, $b->address);
			is $r->{exit}, 0, "$mode, $version" or diag $r->{text};
			is "$r->{of}{handshakes} $r->{of}{resumed}", '20 19';
			my $counts = $b->stop;
			is "$counts->{handshakes} $counts->{resumed}", '20 19', 'so says the server';
		}
	});
};

it 'ALPN, and the name' => sub {
	my $b = serve('line', @server, '--tls-alpn', 'b,c');
	my $r = stress('handshake', '-n', 1, '-c', 1, '--tls-alpn', 'a,c', @client, $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	like $r->{told}{tls}, qr/, c$/;
	fails(stress('handshake', '-n', 1, '-c', 1, '--tls-alpn', 'a', @client, $b->address), qr/no application protocol/);
	my $port = $b->port;
	unharmed(stress('handshake', '-n', 2, '-c', 1, @client, "localhost:$port"), answered => 2);
	unharmed(stress('handshake', '-n', 2, '-c', 1, @client, '--tls-name', 'localhost', "127.0.0.1:$port"), answered => 2);
	fails(stress('handshake', '-n', 1, '-c', 1, @client, '--tls-name', 'elsewhere.test', "127.0.0.1:$port"),
	    qr/its certificate: hostname mismatch/);
};

it 'a UNIX socket' => sub {
	my $b = serve('line', @server, "unix:$dir/socket");
	unharmed(stress('line', '-n', 20, '-c', 2, @client, "unix:$dir/socket"), answered => 20, handshakes => 2);
};

it 'whom to trust' => sub {
	my $b = serve('line', @server);
	unharmed(stress('line', '-n', 2, '-c', 1, '--tls', $b->address), answered => 2);
	fails(stress('line', '-n', 2, '-c', 1, '--tls', '--tls-ca', $other, $b->address), qr/its certificate: self.signed/);
	fails(stress('line', '-n', 2, '-c', 1, '--tls', '--tls-ca', 'system', $b->address), qr/its certificate: self.signed/);
	cmp_ok $b->stop->{tls_failed}, '>=', 1, 'it has told the server';
};

it 'certificates of clients' => sub {
	my $b = serve('line', @server, '--tls-ca', $other);
	each_version(sub ($version, $called) {
		my @at = ('-n', 4, '-c', 1, '--tls-version', $version, @client, $b->address);
		unharmed(stress($_, '--tls-cert', $other, '--tls-key', "$dir/other.key", @at), answered => 4) for 'line', 'handshake';
		fails(stress($_, '-d', '300ms', @at), qr/it sent the alert "/) for 'line', 'handshake';
	});
};

it 'no version in common' => sub {
	my $b = serve('line', @server, '--tls-version', '1.2');
	fails(stress('line', '-n', 2, '-c', 1, '--tls-version', '1.3', @client, $b->address), qr/alert "protocol version"/);
};

it 'a server without TLS' => sub {
	my $source = serve('source');
	fails(stress('line', '-n', 2, '-c', 1, @client, $source->address), qr/what it sent is not TLS/);
	my $door = serve('line', '--fault', 'door=1');
	fails(stress('line', '-n', 2, '-c', 1, @client, $door->address), qr/it has gone before it said anything|Connection reset/);
	my $sink = serve('sink');
	my $r = stress('handshake', '-n', 2, '-c', 2, '-t', patience(0.3) * 1000 . 'ms', @client, $sink->address);
	fails($r, undef, 'tls_timeout');
};

it 'a client without TLS' => sub {
	my $b = serve('line', @server);
	my $r = stress('line', '-n', 1, '-c', 1, '-t', '5s', '-d', '1s', $b->address);
	cmp_ok $r->{of}{errors}, '>', 0;
	my $counts = $b->stop;
	cmp_ok $counts->{tls_failed}, '>', 0;
	is $counts->{handshakes}, 0;
	like Weir::Stress::_text($b->{out}), qr/^process 1, the first time that TLS failed: what it sent is not TLS$/m;
};

it 'an end that is none' => sub {
	my $b = serve('line', @server);
	my $p = stress_start('idle', '-c', 3, '-i', '60s', '-d', '60s', '-t', patience(1) * 1000 . 'ms', @client, $b->address);
	await { $p->so_far->{connected} >= 3 } 'all are connected';
	kill('KILL', $b->pid);
	my $r = $p->wait(60);
	is $r->{of}{tls_failed}, 3 or diag $r->{text};
	like join(' ', keys $r->{told}{tls_reasons}->%*), qr/without close_notify/;
};

# What a server does on purpose is called what it is called without TLS.
for my $case (['close', 'closed'], ['reset', 'reset'], ['half', 'timeout'], ['garbage', 'wrong'], ['split', '']) {
	my ($fault, $kind) = @$case;
	it "faults over TLS: $fault" => sub {
		my $b = serve('line', @server, '--fault', "$fault=1");
		my $t = $kind eq 'timeout' ? patience(0.5) * 1000 . 'ms' : '30s';
		my $r = stress('line', '-n', 2, '-c', 2, '-t', $t, @client, $b->address);
		$kind eq '' ? unharmed($r) : fails($r, undef, $kind);
		cmp_ok $b->stop->{$fault}, '>', 0;
	};
}

it 'handshakes that never end' => sub {
	my $b = serve('line', @server);
	my @at = ('-c', 20, '-t', patience(0.5) * 1000 . 'ms', '--tls', $b->address);
	for my $stop ('hello', 'finished') {
		my $r = stress('slowloris', $stop eq 'hello' ? ('-i', '100ms') : (), '--tls-stop', $stop, @at);
		is $r->{exit}, 0 or diag $r->{text};
		is "$r->{of}{tolerated} $r->{of}{handshakes}", '20 0', $stop;
	}
	my $counts = $b->stop;
	is "$counts->{accepted} $counts->{handshakes}", '40 0', 'the server has seen them all, and none to its end';
};

it 'a line that never ends, over TLS' => sub {
	my $b = serve('line', @server);
	my $r = stress('slowloris', '-i', '50ms', '-c', 5, '-t', patience(0.3) * 1000 . 'ms', @client, $b->address);
	is "$r->{exit} $r->{of}{tolerated} $r->{of}{handshakes}", '0 5 5' or diag $r->{text};
};

it 'another implementation: openssl s_server' => sub {
	my $port = free_port();
	my $pid = Weir::Process::spawn(['openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', $good, '-key',
	    "$dir/good.key", '-quiet', '-rev'], group_leader => 1);
	wait_for { stress('handshake', '-n', 1, '-c', 1, '--tls', "127.0.0.1:$port")->{exit} == 0 } 20;
	each_version(sub ($version, $called) {
		my $r = stress('handshake', '-n', 5, '-c', 1, '--tls-resume', '--tls-version', $version, @client, "127.0.0.1:$port");
		is "$r->{exit} $r->{of}{resumed}", '0 4', $called or diag $r->{text};
	});
	kill('TERM', $pid);
	Weir::Process::reap($pid, 10);
};

done_testing;
