#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# TLS towards peers: whom weir believes, what it says when it does not, sessions that are
# resumed. The peers are another weir that terminates, openssl s_server, and scripts.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Service;
use Weir::TLS;
use Weir::Test;

Weir::Build::ignore_leaks();

Weir::TLS->needs;
my $pki = Weir::TLS->new;
$pki->certificate('ca', ca => 1);
$pki->certificate('other', ca => 1);
my %shown = (
	good => $pki->certificate('good', by => 'ca', names => ['db.test', '127.0.0.1']),
	wrong => $pki->certificate('wrong', by => 'ca', names => ['elsewhere.test']),
	partial => $pki->certificate('partial', by => 'ca', names => ['d*.cluster.test']),
	selfsigned => $pki->certificate('selfsigned', names => ['127.0.0.1']),
	foreign => $pki->certificate('foreign', by => 'other', names => ['127.0.0.1']),
	revoked => $pki->certificate('revoked', by => 'ca', names => ['127.0.0.1']),
	expired => $pki->expired('expired', by => 'ca', names => ['127.0.0.1']),
);
my $client_pair = $pki->certificate('client', by => 'ca', names => ['weir.test']);
$pki->certificate('between', ca => 1, by => 'ca');
my $lone_pair = $pki->certificate('lone', by => 'between', names => ['weir.test']);
my $ca = $pki->path('ca.pem');
my $all_cas = spurt($pki->path('all.pem'), join('', map { slurp($pki->path("$_.pem")) } 'ca', 'between'));
my $crl = $pki->revoke('ca', 'revoked');

# The far side: each kind of certificate, in front of an echo; one that wants ours; lines.
my $line = backend('line');
my @kinds = (sort(keys %shown), 'mutual', 'lines', 'old');
my %far;
@far{@kinds} = free_ports(scalar(@kinds));
my $far = weir("[weir]\nworkers = 1\n" . join('', map {
	my $pair = $shown{$_} // $shown{good};
	my $more = $_ eq 'mutual' ? "client_ca = $ca\n" : $_ eq 'old' ? "protocols = TLSv1.2\n" : '';
	my $serves = $_ eq 'lines' ? "protocol = line_proxy\nupstream = lines\n" : "protocol = echo\n";
	"[server $_]\nlisten = 127.0.0.1:$far{$_}\n${serves}tls = $_\n[tls $_]\ncertificate = $pair\n$more";
} @kinds) . "[upstream lines]\nserver = @{[$line->address]}\n");
$far->allow(qr/warn .*the certificate has expired/, qr/warn .*handshakes fail/);

# The near side: name => [far, lines of the [tls]].
my %near = (
	good => ['good', "ca = $ca"],
	named => ['good', "ca = $ca\nserver_name = db.test"],
	old => ['old', "ca = $ca"],
	unchecked => ['selfsigned', 'verify = off'],
	mutual => ['mutual', "ca = $ca\ncertificate = $client_pair"],
	wrong => ['wrong', "ca = $ca"],
	partial => ['partial', "ca = $ca\nserver_name = db.cluster.test"],
	misnamed => ['good', "ca = $ca\nserver_name = nobody.test"],
	selfsigned => ['selfsigned', "ca = $ca"],
	foreign => ['foreign', "ca = $ca"],
	expired => ['expired', "ca = $ca"],
	system => ['good', ''],
	anonymous => ['mutual', "ca = $ca"],
	chainless => ['mutual', "ca = $all_cas\ncertificate = $lone_pair"],
	listed => ['good', "ca = $ca\ncrl = $crl"],
	revoked => ['revoked', "ca = $ca\ncrl = $crl"],
);
my @names = sort keys %near;
my %port;
@port{@names} = free_ports(scalar(@names));
my $lines = free_port;
my $sections = join('', map {
	my ($to, $tls) = @{ $near{$_} };
	"[server $_]\nlisten = 127.0.0.1:$port{$_}\nprotocol = stream_proxy\nupstream = $_\n" .
	    "[upstream $_]\nserver = 127.0.0.1:$far{$to}\ntls = $_\n[tls $_]\n$tls\n";
} @names);
my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines
[upstream lines]
server = 127.0.0.1:$far{lines}
pool = request
tls = good
$sections
CONF
$w->allow(qr/warn .*TLS with peer/, qr/warn .*fails \(TLS handshake/, qr/warn .*verify is off/);

sub peer($name, $to = $near{$name}[0]) { return $w->status->peer($name, "127.0.0.1:$far{$to}") }

it 'a peer with a good certificate, for its address or its name' => sub {
	for my $name (qw(good named old unchecked mutual listed)) {
		my $c = client($port{$name});
		is $c->ask(pattern(1, 0, 100_000)), pattern(1, 0, 100_000), $name;
		$c->shutdown;
		is $c->ending, 'eof', 'its end goes there and back';
		$c->close;
		is peer($name)->{tls_full}, 1, 'a full handshake is counted';
		is peer($name)->{tls_failed}, 0;
	}
	like $w->console . $w->log, qr/verify is off: whoever gets between/, 'who does not check is warned';
};

it 'bulk, and ends that are passed on' => sub {
	my $c = client($port{good});
	my $moved = $c->transfer(out => 4 << 20, in => 4 << 20);
	ok $moved, 'both ways at once';
	$c->close;
};

# How a client of this server ends, and what the log says about it.
sub refused($name)
{
	$w->mark;
	my $c = client($port{$name});
	eval { $c->send("hello\n") };
	isnt $c->ending, 'open', "$name: the client is let go";
	$c->close;
	my ($why) = $w->wait_log(qr/warn .*TLS with peer/) && $w->log_since =~ /warn .*TLS with peer (.*)/;
	return $why;
}

it 'a peer that is not believed' => sub {
	my %why = (
		wrong => qr/for 127\.0\.0\.1\) fails: its certificate: IP address mismatch: set server_name/,
		partial => qr/for db\.cluster\.test\) fails: its certificate: hostname mismatch: set server_name/,
		misnamed => qr/for nobody\.test\) fails: its certificate: hostname mismatch: set server_name/,
		selfsigned => qr/fails: its certificate: self-signed certificate: set ca /,
		foreign => qr/fails: its certificate: unable to get local issuer certificate: set ca /,
		expired => qr/fails: its certificate: certificate has expired: renew it/,
		revoked => qr/fails: its certificate: certificate revoked, session/,
		system => qr/fails: its certificate: unable to get local issuer certificate: set ca /,
	);
	for my $name (sort keys %why) {
		like refused($name), $why{$name}, 'and why, and what may be done';
		is peer($name)->{tls_failed}, 1, 'it is counted';
		is peer($name)->{connected}, 0, 'it was not connected';
		like $w->log_since, qr/warn .*peer 127\.0\.0\.1:\d+ of upstream $name fails \(TLS handshake; max_fails = 1\)/;
	}
};

it 'a peer that wants a certificate of ours' => sub {
	like refused('anonymous'), qr/it sent the alert "certificate required": it wants one of us: set certificate/;
	is peer('anonymous')->{tls_failed}, 1;
	$w->mark;
	my $c = client($port{anonymous});
	$c->ending;
	$w->wait_log(qr/closed: (?:peer_failed|connect_failed)/);
	unlike $w->log_since, qr/warn .*TLS with/, 'it is told once a minute';
	like refused('chainless'), qr/it sent the alert "unknown CA"/, 'ca is no chain: the file alone says what is sent';
};

it 'sessions are resumed, in both versions' => sub {
	for my $name (qw(good old)) {
		my $before = peer($name);
		for (1 .. 3) {
			my $c = client($port{$name});
			ok $c->ping;
			$c->close;
		}
		my $after = peer($name);
		is $after->{tls_full}, $before->{tls_full}, "$name: no full handshake any more";
		is $after->{tls_resumed}, $before->{tls_resumed} + 3;
	}
	is $far->status->server('good')->{handshakes_resumed}, peer('good')->{tls_resumed}, 'as the other side has it';
};

it 'sessions are resumed no longer than ticket_lifetime' => sub {
	for my $version (qw(good old)) {
		my $port = free_port;
		my $n = weir(<<"CONF");
[weir]
workers = 1
[server s]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = u
[upstream u]
server = 127.0.0.1:$far{$version}
tls = t
[tls t]
ca = $ca
ticket_lifetime = 2s
CONF
		my $peer = sub { $n->status->peer('u', "127.0.0.1:$far{$version}") };
		my $over = wait_for {
			my $c = client($port);
			$c->ping;
			$c->close;
			$peer->()->{tls_full} > 1;
		} 20;
		ok $over, "$version: the certificate is looked at again";
		cmp_ok $peer->()->{tls_resumed}, '>', 0, 'but not each time';
		$n->stop;
	}
};

# A weir with peers whose certificates are on a list that is good for so many seconds, once sessions have been resumed,
# and until when; nothing: that took longer.
sub listed($pair, $seconds)
{
	my %far = (new => free_port, old => free_port);
	my $list = $pki->revoke('keeper', 'fallen', $seconds);
	my $until = time() + $seconds;
	my $n = weir("[weir]\nworkers = 1\n" . join('', map { <<"CONF" } sort keys %far));
[server far_$_]
listen = 127.0.0.1:$far{$_}
protocol = echo
tls = far_$_
[tls far_$_]
certificate = $pair
protocols = @{[$_ eq 'new' ? 'TLSv1.3' : 'TLSv1.2']}
[server $_]
listen = unix:run/$_.sock
protocol = stream_proxy
upstream = $_
[upstream $_]
server = 127.0.0.1:$far{$_}
tls = $_
[tls $_]
ca = @{[$pki->path('keeper.pem')]}
crl = $list
CONF
	$n->allow(qr/warn .*TLS with peer/, qr/warn .*fails \(TLS handshake/, qr/warn .*out of date/);
	for my $name (map { ($_) x 2 } sort keys %far) {
		my $c = client($n->address($name));
		eval { $c->ping };
		$c->close;
	}
	return ($n, $until, %far) if time() < $until - 1;
	$n->stop;
	return;
}

it 'no session is resumed once the list of those revoked is out of date' => sub {
	$pki->certificate('keeper', ca => 1);
	my $pair = $pki->certificate('kept', by => 'keeper', names => ['127.0.0.1']);
	$pki->certificate('fallen', by => 'keeper');
	my ($n, $until, %far);
	for my $seconds (3, 12, 48) {
		last if ($n, $until, %far) = listed($pair, $seconds);
	}
	skip_all('the machine is too slow') if !$n;
	my $resumed = sub ($name) { $n->status->peer($name, "127.0.0.1:$far{$name}")->{tls_resumed} };
	is $resumed->($_), 1, "$_: until then it may be" for sort keys %far;
	ok wait_for { time() > $until } $until - time() + 5;
	for my $name (sort keys %far) {
		isnt client($n->address($name))->ending, 'open', "$name: the peer is not believed any more";
		is $resumed->($name), 1;
	}
	$n->wait_log(qr/TLS with peer .*its certificate: CRL has expired/);
	$n->stop;
};

it 'a pool over it' => sub {
	my @clients = map { client($lines) } 1 .. 4;
	$_->send("a\nb\n") for @clients;
	is $_->recv(4), "a\nb\n" for @clients;
	$_->close for @clients;
	my $p = $w->status->peer('lines', "127.0.0.1:$far{lines}");
	cmp_ok $p->{links}, '>=', 1, 'links stay';
	is $p->{tls_full} + $p->{tls_resumed}, $p->{connected}, 'each has had its handshake';
};

# A weir with one upstream of these peers, that fail in some way.
sub other($protocol, $more, @peers)
{
	my $listen = free_port;
	my $servers = join("\n", map { "server = $_" } @peers);
	my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server s]
listen = 127.0.0.1:$listen
protocol = $protocol
upstream = u
[tls t]
ca = $ca
[upstream u]
tls = t
$servers
$more
CONF
	$w->allow(qr/warn .*TLS with peer/, qr/warn .*fails \(TLS handshake/);
	return ($w, $listen);
}

it 'faults of all kinds in the handshake; the next peer takes over' => sub {
	my $plain = backend('greeting', text => "-ERR this is no TLS\r\n");
	my $stalls = backend('silent');
	my $resets = backend('script', data => sub ($c, $bytes) { $c->reset });
	my $ends = backend('script', data => sub ($c, $bytes) { $c->finish });
	my %why = (
		$plain->address => qr/what it sent is not TLS: is TLS what it speaks on this port\?/,
		$stalls->address => qr/the handshake is not over within its time/,
		$resets->address => qr/Connection reset by peer/,
		$ends->address => qr/it has gone without a word: is TLS what it speaks on this port\?/,
		"127.0.0.1:$far{selfsigned}" => qr/its certificate: self-signed certificate/,
	);
	for my $protocol (qw(stream_proxy line_proxy)) {
		for my $bad (sort keys %why) {
			my $good = $protocol eq 'line_proxy' ? $far{lines} : $far{good};
			my ($o, $listen) = other($protocol, 'handshake_timeout = 2s', $bad, "127.0.0.1:$good");
			for (1 .. 2) {		# whichever peer is the first
				my $c = client($listen);
				is $c->ask("x\n"), "x\n", "$protocol: the other peer answers";
				$c->close;
			}
			$o->wait_log(qr/info .*TLS: $why{$bad}/);
			$o->wait_log(qr/warn .*TLS with peer \Q$bad\E of upstream u \(tls = t, for 127\.0\.0\.1\) fails: $why{$bad}/);
			is $o->status->peer('u', $bad)->{tls_failed}, 1, 'it is counted';
			is $o->status->upstream('u')->{retried}, 1, 'and so is the retry' if $protocol eq 'stream_proxy';
			$o->stop;
		}
	}
};

it 'openssl s_server, which is no weir' => sub {
	my $port = free_port;
	my $s = Weir::Service->start(['openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', $pki->path('good.pem'),
	    '-key', $pki->path('good.key'), '-CAfile', $ca, '-Verify', 1, '-verify_return_error', '-rev', '-quiet'],
	    ready => sub { Weir::Client->try($port) });
	my ($o, $listen) = other('stream_proxy', '', "127.0.0.1:$port");
	my $c = client($listen);
	$c->ending;
	$o->wait_log(qr/warn .*TLS with peer .*it wants one of us: set certificate/);
	$o->stop;
	$listen = free_port;
	$o = weir(<<"CONF");
[server s]
listen = 127.0.0.1:$listen
protocol = stream_proxy
upstream = u
[upstream u]
server = 127.0.0.1:$port
tls = t
[tls t]
ca = $ca
certificate = $client_pair
server_name = db.test
CONF
	for (1 .. 2) {
		$c = client($listen);
		is $c->ask("abc\n"), "cba\n", 'it speaks';
		$c->close;
	}
	$o->stop;
	$s->stop;
};

it 'a reload changes whom it believes' => sub {
	my ($o, $listen) = other('stream_proxy', '', "127.0.0.1:$far{foreign} max_fails=0");
	my $foreign = $pki->path('other.pem');
	isnt client($listen)->ending, 'open', 'not the one that signed this';
	$o->wait_log(qr/TLS with peer/);
	$o->edit_conf(sub { s/^ca = .*/ca = $foreign/m });
	is $o->reload->{exit}, 0;
	my $c = client($listen);
	ok $c->ping, 'now it does';
	$o->edit_conf(sub { s/^ca = .*/ca = $ca/m });
	is $o->reload->{exit}, 0;
	ok $c->ping, 'a session goes on with what it began with';
	isnt client($listen)->ending, 'open', 'no session of the old one is resumed with the new';
	$c->close;
	$o->stop;
};

# What weir -t says about this [tls] and upstream.
sub checked($upstream, $tls)
{
	my $listen = free_port;
	my $o = Weir::Daemon->new(<<"CONF");
[server s]
listen = 127.0.0.1:$listen
protocol = stream_proxy
upstream = u
[upstream u]
$upstream
[tls t]
$tls
CONF
	return $o->command('-t');
}

it 'what is wrong is told with its line' => sub {
	my $c = checked("server = unix:run/x.sock\ntls = t", "ca = $ca");
	isnt $c->{exit}, 0;
	like $c->{text}, qr/:6: .*the certificate of a UNIX socket is for a name that is not known: set server_name in \[tls t\]/;
	is checked("server = unix:run/x.sock\ntls = t", "ca = $ca\nserver_name = db.test")->{exit}, 0, 'with a name it is fine';
	$c = checked("server = unix:run/x.sock\ntls = t", 'verify = off');
	is $c->{exit}, 0, 'and without a check';
	like $c->{text}, qr/:9: .*verify is off/, 'which is warned of';
	$c = checked("server = 127.0.0.1:1\ntls = nobody", '');
	like $c->{text}, qr/:7: .*there is no \[tls nobody\]/;
	$c = checked("server = 127.0.0.1:1\ntls = t", 'ca = conf/missing.pem');
	like $c->{text}, qr/:9: .*missing\.pem: No such file or directory/;
	$c = checked("server = 127.0.0.1:1\ntls = t", 'server_name = a b');
	like $c->{text}, qr/:9: .*is not the name of a host/;
	$c = checked("server = 127.0.0.1:1\ntls = t", 'crl = conf/x.pem');
	like $c->{text}, qr/:9: .*crl is for certificates of client_ca or ca/;
};

$w->stop;		# it has links to the other
$far->stop;
done_testing;
