#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Which certificate a client gets, which one it must show, what is agreed on; and what is said of wrong ones when the
# configuration is checked.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;

Weir::Build::ignore_leaks();

Weir::TLS->needs;
my $pki = Weir::TLS->new;
$pki->certificate('ca', ca => 1);
$pki->certificate('stranger', ca => 1);
my %pair = (
	first  => $pki->certificate('first', names => ['first.test', 'localhost'], by => 'ca'),
	exact  => $pki->certificate('exact', names => ['www.wild.test'], by => 'ca'),
	wild   => $pki->certificate('wild', names => ['*.wild.test'], by => 'ca'),
	rsa    => $pki->certificate('rsa', names => ['both.test'], by => 'ca', key => 'rsa'),
	ecdsa  => $pki->certificate('ecdsa', names => ['both.test'], by => 'ca'),
	client => $pki->certificate('client', by => 'ca'),
	other  => $pki->certificate('other', by => 'stranger'),
	past   => $pki->expired('past', by => 'ca'),
);

# The common name of the certificate that comes for a name.
sub subject($port, $name, @arguments)
{
	my $said = $pki->shake($port, args => ['-CAfile', $pki->path('ca.pem'),
	    ($name eq '' ? () : ('-servername', $name)), @arguments]);
	return $said =~ /^subject=CN ?= ?(\S+)/m ? $1 : "none: $said";
}

it 'the client asks by name' => sub {
	my $port = free_port;
	my $w = weir(<<"CONF");
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $pair{first}
certificate = $pair{wild}
certificate = $pair{exact}
certificate = $pair{rsa}
certificate = $pair{ecdsa}
alpn = h2 weir/1
CONF
	my %wanted = ('' => 'first', 'first.test' => 'first', 'unknown.test' => 'first', 'www.wild.test' => 'exact',
		'a.wild.test' => 'wild', 'A.Wild.TEST' => 'wild', 'a.b.wild.test' => 'first', 'wild.test' => 'first',
		'www.wild.test.' => 'exact', 'a.wild.test.' => 'wild');
	is subject($port, $_), $wanted{$_}, "for '$_'" for sort keys %wanted;
	is subject($port, 'both.test', '-sigalgs', 'ECDSA+SHA256:RSA-PSS+SHA256'), 'ecdsa', 'who can takes ECDSA';
	is subject($port, 'both.test', '-sigalgs', 'RSA-PSS+SHA256'), 'rsa', 'who cannot takes RSA';
	is subject($port, 'both.test', '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), 'rsa', 'in TLS 1.2, too';

	like $pki->shake($port, args => ['-alpn', 'weir/1,h2']), qr/ALPN protocol: h2/, 'our order of protocols counts';
	like $pki->shake($port, args => ['-alpn', 'weir/1', '-servername', 'a.wild.test']), qr/ALPN protocol: weir/,
	    'for every name';
	like $pki->shake($port, args => ['-alpn', 'ftp']), qr/no application protocol/, 'none in common is the end';
	like $pki->shake($port), qr/No ALPN negotiated/, 'but none at all is not';
	$w->stop;
};

# What becomes of a client with these arguments: 'in', or the alert that it got.
sub enter($port, @arguments)
{
	my $c = $pki->client($port, args => [@arguments]);
	my $in = eval { $c->ping };
	$c->close;
	return $in ? 'in' : $c->said =~ /alert ([\w ]+?):/ ? $1 : $c->said;
}

it 'clients show certificates' => sub {
	my ($must, $may, $revoking, $deep, $shallow) = free_ports(5);
	my @shown = map { ['-cert', $pki->path("$_.pem"), '-key', $pki->path("$_.key")] } qw(client other past);
	$pki->certificate('between', ca => 1, by => 'ca');
	$pki->certificate('below', by => 'between');
	my @chain = ('-cert', $pki->path('below.pem'), '-key', $pki->path('below.key'), '-cert_chain', $pki->path('between.pem'));
	my $ca = $pki->path('ca.pem');
	my $crl = $pki->revoke('ca', 'client');
	my $w = weir(<<"CONF");
[weir]
error_log = logs/error.log info
[defaults server]
protocol = echo
[defaults tls]
client_ca = $ca
[server must]
listen = 127.0.0.1:$must
tls = must
[server may]
listen = 127.0.0.1:$may
tls = may
[server deep]
listen = 127.0.0.1:$deep
tls = deep
[server shallow]
listen = 127.0.0.1:$shallow
tls = shallow
[server revoking]
listen = 127.0.0.1:$revoking
tls = revoking
[tls must]
certificate = $pair{first}
certificate = $pair{wild}
[tls may]
certificate = $pair{first}
client_verify = optional
[tls deep]
certificate = $pair{first}
verify_depth = 1
[tls shallow]
certificate = $pair{first}
verify_depth = 0
[tls revoking]
certificate = $pair{first}
crl = $crl
CONF
	for my $version ('-tls1_3', '-tls1_2') {
		is enter($must, $version, @{$shown[0]}), 'in', "$version: a good one";
		like enter($must, $version), qr/certificate required|handshake failure/, 'none';
		is enter($must, $version, @{$shown[1]}), 'unknown ca', 'a wrong one';
		like enter($must, $version, '-servername', 'a.wild.test'), qr/certificate required|handshake failure/,
		    'no name gets past it';
		is enter($may, $version), 'in', 'optional: none';
		is enter($may, $version, @{$shown[0]}), 'in', 'a good one';
		is enter($may, $version, @{$shown[1]}), 'unknown ca', 'but no wrong one';
		is enter($must, $version, @{$shown[2]}), 'certificate expired', 'one whose time is over';
		is enter($revoking, $version, @{$shown[0]}), 'certificate revoked', 'one that is revoked';
		is enter($deep, $version, @chain), 'in', 'one with another between it and the root';
		like enter($shallow, $version, @chain), qr/^unknown ca|^bad certificate/, 'not where that is too deep';
		is enter($shallow, $version, @{$shown[0]}), 'in', 'where none may be';
	}
	$w->wait_log(qr/handshake_failed: its certificate: certificate revoked/);
	$w->wait_log(qr/handshake_failed: its certificate: certificate chain too long, .*server shallow/);
	$w->wait_log(qr/handshake_failed: its certificate: unable to get local issuer certificate/);
	like $pki->shake($must), qr/Acceptable client certificate CA names\n.*CN ?= ?ca/, 'they are told whose';

	my @sent = $pki->shake($must, args => ['-showcerts']) =~ /^-----BEGIN CERTIFICATE/mg;
	is scalar(@sent), 1, 'client_ca is no chain: the file alone says what is sent';

	# One that was let in with a certificate resumes with it.
	my $file = $pki->path('known');
	my $c = $pki->client($must, args => ['-sess_out', $file, @{$shown[0]}]);
	$c->ping;
	$c->close;
	like $pki->shake($must, args => ['-sess_in', $file]), qr/^Reused, /m;
	$w->stop;
};

it 'a client certificate, and a ticket got with one, under another name' => sub {
	my ($edge, $elsewhere) = free_ports(2);
	my %shown = map { $_ => ['-cert', $pki->path("$_.pem"), '-key', $pki->path("$_.key")] } qw(client other);
	my ($ca, $stranger) = map { $pki->path("$_.pem") } qw(ca stranger);
	my $w = weir(<<"CONF");
[weir]
workers = 1
[defaults server]
protocol = echo
[server edge]
listen = 127.0.0.1:$edge
tls = edge
[server elsewhere]
listen = 127.0.0.1:$elsewhere
tls = elsewhere
[tls edge]
certificate = $pair{first}
certificate = $pair{wild}
client_ca = $ca
[tls elsewhere]
certificate = $pair{wild}
client_ca = $stranger
CONF
	for my $version ('-tls1_3', '-tls1_2') {
		my @as = map { [$version, '-servername', $_] } 'first.test', 'a.wild.test';
		is enter($edge, @$_, @{$shown{client}}), 'in', "@$_: a good one" for @as;
		is enter($edge, @$_, @{$shown{other}}), 'unknown ca', 'a wrong one' for @as;
		my $ticket = $pki->path("named$version");
		is enter($edge, @{$as[0]}, '-sess_out', $ticket, @{$shown{client}}), 'in';
		like $pki->shake($edge, args => [@$_, '-sess_in', $ticket]), qr/^Reused, /m,
		    'whom the section trusts it trusts under each name' for @as;
		like enter($elsewhere, @{$as[1]}, '-sess_in', $ticket), qr/certificate required|handshake failure/,
		    'the ticket is nothing to a section that trusts others';
		is enter($elsewhere, @{$as[1]}, '-sess_in', $ticket, @{$shown{client}}), 'unknown ca', 'nor is the certificate';
		is enter($elsewhere, @{$as[1]}, @{$shown{other}}), 'in';
	}
	is $w->status->server('elsewhere')->{handshakes_resumed}, 0;
	$w->stop;
};

it 'an OCSP response is stapled' => sub {
	my ($good, $other, $port) = ($pki->staple('ca', 'first'), $pki->staple('ca', 'wild'), free_port);
	my $chain = spurt($pki->path('chain.pem'), slurp($pki->path('first.pem')) . slurp($pki->path('ca.pem')));
	my $w = weir(<<"CONF");
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $chain @{[$pki->path('first.key')]} ocsp=$good
certificate = $pair{wild}
CONF
	like $pki->shake($port, args => ['-status']), qr/Cert Status: good/;
	like $pki->shake($port, args => ['-status', '-servername', 'a.wild.test']), qr/OCSP response: no response sent/,
	    'of the certificate that it speaks of only';
	$w->edit_conf(sub { s/\Q$good\E/$other/ });
	like $w->command('-t')->{text}, qr/error: \S+: it does not speak of this certificate/;
	my $wrong = $pki->staple('stranger', 'first');
	rename($wrong, $other);
	like $w->command('-t')->{text}, qr/error: \S+: it does not speak of this certificate/, 'but of one with its number';
	spurt($other, slurp($pki->staple('ca', 'first')) . "\n");
	like $w->command('-t')->{text}, qr/error: \S+: there is something behind the OCSP response/;
	$w->stop;
};

# What -t says of a [tls] with these lines.
sub checked($lines, $tls = 'edge')
{
	my $w = Weir::Daemon->new(<<"CONF");
[server echo]
listen = 127.0.0.1:@{[free_port]}
protocol = echo
tls = $tls
[tls edge]
$lines
CONF
	my $result = $w->command('-t');
	return "exit $result->{exit}\n$result->{text}";
}

it 'what is wrong is told, with its file' => sub {
	my ($chain, $key) = split(/ /, $pair{first});
	my (undef, $foreign) = split(/ /, $pair{wild});
	my $empty = spurt($pki->path('empty.pem'), '');
	my $locked = $pki->path('locked.key');
	$pki->openssl('pkey', '-in', $key, '-aes128', '-passout', 'pass:x', '-out', $locked);
	like checked("certificate = $chain $foreign"),
	    qr/exit 1\n.*weir\.conf:6: error: \Q$foreign\E: it is not the key of the first certificate in \Q$chain\E \(key values mismatch\)/;
	like checked("certificate = $chain none.key"), qr{exit 1\n.*error: \S+/none\.key: No such file or directory};
	like checked("certificate = $empty $key"), qr{error: \Q$empty\E: no certificate in PEM};
	like checked("certificate = $chain $empty"), qr{error: \Q$empty\E: no key in PEM};
	like checked("certificate = $chain $locked"), qr/error: \Q$locked\E: the key is encrypted/;
	like checked("certificate = $chain $key\nprotocols = SSLv3"), qr/there are TLSv1\.2 and TLSv1\.3/;
	like checked("certificate = $chain $key\nciphers = NONE"), qr/:7: error: no cipher match/;
	like checked("certificate = $chain $key\nciphersuites = NONE"), qr/:7: error: no cipher match/;
	like checked("certificate = $chain $key\ngroups = NONE"), qr/:7: error: \S/;
	my $weak = $pki->certificate('weak', key => 'rsa', bits => 512);
	like checked("certificate = $chain $key\ncertificate = $weak"), qr/:7: error: \S+weak\.pem: ee key too small/;
	like checked("certificate = $chain $key\nclient_verify = on"), qr/add client_ca = FILE/;
	like checked("certificate = $chain $key\nclient_ca = $empty"), qr/:7: error: \Q$empty\E: /;
	like checked("certificate = $chain $key\nclient_ca = $chain\ncrl = $chain"), qr/no revocation list in PEM/;
	like checked("certificate = $chain $key\nclient_ca = $chain\ncrl = " . $pki->endless('first')), qr/exit 0/,
	    'a list without an end is one';
	like checked('alpn = h2'), qr/\[tls edge\] has no certificate to show to clients/;
	like checked("certificate = $chain $key", 'egde'), qr/there is no \[tls egde\]/;
	like checked("certificate = $pair{wild}\ncertificate = $pair{wild}"),
	    qr/exit 0\n.*:7: warning: \S+wild.pem: \*\.wild\.test is a name of \S+, too/;
	chmod(0644, $key);
	like checked("certificate = $chain $key"), qr/exit 0\n.*:6: warning: \Q$key\E: others can read or change this key/;
	chmod(0600, $key);
	like checked('certificate = ' . $pki->certificate('soon', days => 13)), qr/warning: \S+: the certificate expires in 1[23] days: renew it/;
	like checked("certificate = $pair{past}"), qr/warning: \S+: the certificate has expired/;
	my $long = spurt($pki->path('long.pem'), slurp($chain) . slurp($pki->path('soon.pem')));
	like checked("certificate = $long $key"), qr/warning: \Q$long\E: certificate 2 of the chain expires in 1[23] days/;
	unlike checked('certificate = ' . $pki->certificate('later', days => 16)), qr/warning/;
};

it 'a reload brings new certificates, and a bad pair changes nothing' => sub {
	my $port = free_port;
	my ($chain, $key) = map { $pki->path("live.$_") } qw(pem key);
	my $put = sub ($name) {
		spurt($chain, slurp($pki->path("$name.pem")));
		spurt($key, slurp($pki->path("$name.key")));
		chmod(0600, $key);
	};
	$put->('first');
	my $w = weir(<<"CONF");
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $chain $key
CONF
	my $c = $pki->client($port);
	$c->ping;
	$put->('wild');
	is subject($port, ''), 'first', 'until then, what was read';
	is $w->reload->{exit}, 0;
	is subject($port, ''), 'wild';
	ok $c->ping, 'a session in progress goes on';
	spurt($key, slurp($pki->path('first.key')));
	my $refused = $w->reload;
	isnt $refused->{exit}, 0;
	like $refused->{text}, qr/\Q$key\E: it is not the key/;
	is subject($port, ''), 'wild', 'what was served is served on';
	ok $c->ping;
	$c->close;
	$w->stop;
};

it 'a template that is made anew has all files as they were read' => sub {
	my $port = free_port;
	my %file = (
		chain => $pki->path('first.pem'),
		key   => $pki->path('first.key'),
		ca    => $pki->path('ca.pem'),
		crl   => $pki->revoke('ca', 'other'),
		ocsp  => $pki->staple('ca', 'first'),
	);
	for my $name (keys %file) {
		$file{$name} = spurt($pki->path("read.$name"), slurp($file{$name}));
	}
	$file{tickets} = spurt($pki->path('read.tickets'), 'k' x 80);
	chmod(0600, @file{qw(key tickets)});
	my $w = weir(<<"CONF");
[weir]
workers = 1
tls_ticket_key = $file{tickets}
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $file{chain} $file{key} ocsp=$file{ocsp}
client_ca = $file{ca}
crl = $file{crl}
CONF
	my @shown = ('-cert', $pki->path('client.pem'), '-key', $pki->path('client.key'));
	my $session = $pki->path('before');
	my $c = $pki->client($port, args => ['-sess_out', $session, @shown]);
	$c->ping;
	$c->close;
	spurt($_, "nothing\n") for values %file;
	$w->allow(qr/template/, qr/worker/);
	my $template = $w->template;
	kill('KILL', $template);
	my $there = wait_for { my $new = $w->template; $new && $new != $template } 20;
	ok $there, 'a template is made anew';
	my $victim;
	ok wait_for { $victim = $w->worker(0) };
	kill('KILL', $victim);
	ok wait_for { my $new = $w->worker(0); $new && $new != $victim }, 'and a worker';
	is enter($port, @shown), 'in', 'which knows clients';
	is subject($port, '', @shown), 'first', 'and has the certificate';
	like $pki->shake($port, args => ['-status', @shown]), qr/Cert Status: good/, 'with what is stapled to it';
	like $pki->shake($port, args => ['-sess_in', $session]), qr/^Reused, /m, 'and the keys of tickets';
	isnt $w->reload->{exit}, 0, 'a reload reads the files';
	$w->stop;
};

done_testing;
