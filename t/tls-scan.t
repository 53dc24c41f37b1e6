#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What others see of TLS at its default settings: scanners, curl with OpenSSL and with GnuTLS, gnutls-cli.
# WEIR_LONG=1 runs testssl.sh, too, which takes minutes.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Weir::TLS;
use Weir::Test;

Weir::TLS->needs;
my $pki = Weir::TLS->new;
$pki->certificate('root', ca => 1);
my @pairs = map { "certificate = $_\n" } map { $pki->certificate("server-$_", by => 'root', key => $_, days => 365) }
    qw(ec rsa);
my $root = $pki->path('root.pem');
my $http = backend('script', data => sub ($c, $bytes) {
	$c->{my} .= $bytes;
	return if $c->{my} !~ /\r\n\r\n/;
	my $said = "0123456789012345678901234567890123456789\trefs/heads/main\n";
	$c->send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($said) . "\r\n\r\n$said");
	$c->{my} = '';
});
my ($echo, $web) = free_ports(2);
my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
tls = edge
[server web]
listen = 127.0.0.1:$web
protocol = stream_proxy
upstream = web
tls = edge
[upstream web]
server = @{[$http->address]}
[tls edge]
@pairs
CONF

# run(COMMAND, ARGUMENTS): what it says; skips where it is not installed.
sub run($name, @arguments)
{
	my $path = program($name) // plan skip_all => "needs $name";
	return Weir::Process::run([$path, @arguments], timeout => patience(120));
}

sub named($xml, $element, %with)
{
	my @found;
	while ($xml =~ /<$element ([^>]*?)\s*\/>/g) {
		my %has = $1 =~ /(\w+)="([^"]*)"/g;
		push @found, \%has if !grep { ($has{$_} // '') ne $with{$_} } keys %with;
	}
	return @found;
}

it 'sslscan: nothing but what Mozilla calls intermediate' => sub {
	my $xml = run('sslscan', '--no-colour', '--xml=-', "127.0.0.1:$echo")->{out};
	is_deeply [map { "$_->{type} $_->{version}" } named($xml, 'protocol', enabled => 1)], ['tls 1.2', 'tls 1.3'];
	is_deeply [named($xml, 'renegotiation', supported => 1)], [], 'no renegotiation';
	is_deeply [named($xml, 'heartbleed', vulnerable => 1)], [];
	my @ciphers = map { $_->{cipher} } named($xml, 'cipher');
	cmp_ok scalar(@ciphers), '>=', 6;
	is_deeply [grep { !/^(?:TLS|ECDHE-ECDSA|ECDHE-RSA)[-_].*(?:GCM|POLY1305)/ } @ciphers], [], 'ciphers';
	my %groups = map { $_->{name} =~ s/ .*//r => 1 } named($xml, 'group');
	is_deeply [sort keys %groups], [qw(secp256r1 secp384r1 x25519)], 'groups: none that costs much';
};

it 'testssl.sh: no finding of MEDIUM or above' => sub {
	plan skip_all => 'takes minutes: WEIR_LONG=1' if !$ENV{WEIR_LONG};
	my $path = program('testssl') // program('testssl.sh') // plan skip_all => 'needs testssl.sh';
	my $file = $pki->path('testssl.json');
	my $run = Weir::Process::run([$path, '--quiet', '--color', 0, '--warnings', 'off', '--add-ca', $root,
	    '--jsonfile', $file, "localhost:$echo"], timeout => 1800);
	my $found = decode_json(slurp($file));
	cmp_ok scalar(@$found), '>', 80, 'it has looked at much' or diag $run->{text};
	# A root of our own revokes nothing, and it is in no log.
	my %ours = map { $_ => 1 } qw(cert_revocation cert_crlDistributionPoints cert_ocspURL certificate_transparency
	    DNS_CAArecord cert_chain_of_trust);
	my @bad = map { "$_->{severity} $_->{id}: $_->{finding}" }
	    grep { $_->{severity} =~ /MEDIUM|HIGH|CRITICAL|FATAL/ && !$ours{$_->{id} =~ s/ .*//r} } @$found;
	is join("\n", @bad), '';
	my %count;
	$count{$_->{severity}}++ for @$found;
	note join(', ', map { "$_: $count{$_}" } sort keys %count), map { ", grade $_->{finding}" }
	    grep { $_->{id} eq 'overall_grade' } @$found;
};

it 'curl with OpenSSL' => sub {
	my @at = ('-sS', '--max-time', patience(20), '--cacert', $root, "https://localhost:$web/");
	for my $more (['--tlsv1.3'], ['--tls-max', '1.2'], ['--tls-max', '1.2', '--ciphers', 'aRSA']) {
		my $r = run('curl', @$more, @at);
		is $r->{exit}, 0, "@$more" or diag $r->{text};
		like $r->{out}, qr/refs/;
	}
	isnt run('curl', '--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', @at)->{exit}, 0, 'TLS 1.1 is refused';
	like run('curl', @at[0 .. 2], "https://localhost:$web/")->{err}, qr/certificate/, 'as is a root that is not trusted';
};

# Debian has no curl with GnuTLS, but its library, which git fetches with.
it 'curl with GnuTLS, within git' => sub {
	program('git') // plan skip_all => 'needs git';
	my $library = Weir::Process::run(['sh', '-c', 'ldd "$(git --exec-path)/git-remote-https"'])->{out} // '';
	plan skip_all => 'git has another curl' if $library !~ /curl-gnutls/;
	my @command = ('git', '-c', 'http.proxy=', 'ls-remote', "https://localhost:$web/repository");
	for my $version ('tlsv1.2', 'tlsv1.3') {
		my $r = Weir::Process::run(\@command, timeout => patience(20), env => { GIT_SSL_CAINFO => $root,
		    GIT_SSL_VERSION => $version, GIT_TERMINAL_PROMPT => 0, HOME => $pki->path('') });
		like $r->{out}, qr{^0123456789012345678901234567890123456789\trefs/heads/main$}m, $version or diag $r->{text};
	}
};

it 'gnutls-cli' => sub {
	my $path = program('gnutls-cli') // plan skip_all => 'needs gnutls-cli';
	my $log = $pki->path('gnutls.log');
	# Whether the echo answers; what gnutls-cli has to say is in the log.
	my $ask = sub ($version, @more) {
		my $c = $pki->through($path, "--logfile=$log", "--x509cafile=$root", '-p', $echo,
		    "--priority=NORMAL:-VERS-ALL:+VERS-TLS$version" . join('', map { ":$_" } grep { !/^--/ } @more),
		    (grep { /^--/ } @more), 'localhost');
		my $answer = eval { $c->ask("hello\n") } // '';
		$c->close;
		return $answer eq "hello\n";
	};
	for my $version ('1.2', '1.3') {
		ok $ask->($version), "TLS $version";
		like slurp($log), qr/certificate is trusted.*^- Description: \(TLS$version/ms;
		ok $ask->($version, '--resume');
		like slurp($log), qr/This is a resumed session/, 'and resumed';
	}
	ok !$ask->('1.1'), 'TLS 1.1 is refused';
	ok !$ask->('1.3', '-GROUP-ALL', '+GROUP-FFDHE8192'), 'and a group that costs much';
};

done_testing;
