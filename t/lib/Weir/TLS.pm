# SPDX-License-Identifier: BSD-2-Clause
# TLS for tests: certificates, and clients, both by the command openssl.
#
#	Weir::TLS->needs		ends the test, skipped, where there is no openssl
#	my $pki = Weir::TLS->new;	a folder of its own
#	$pki->certificate($name, %option)	makes $name.pem and $name.key; returns "CHAIN KEY", as
#				certificate = takes it.  Options: names => ['a.test', ...] (default
#				localhost), key => 'rsa' (default 'ec'), ca => 1 (it may sign),
#				by => NAME (signed by that one, otherwise by itself), days => N (30),
#				until => TIME (of a signed one, to the second)
#	$pki->expired($name, %option)	the same, of a certificate whose time is over; it has to be
#				signed by another
#	$pki->path('x.pem')
#	$pki->revoke($ca, $name)	a list of $ca's, with that certificate in it: its file
#	$pki->endless($ca)	one of nobody, unsigned, that says of no end: its file
#	$pki->staple($ca, $name)	an OCSP response of $ca's: the certificate is good
#	$pki->client($port, %option)	a Weir::Client whose bytes go through openssl s_client.
#				Options: ca => NAME (of whom it trusts; default: all),
#				name (server_name), args => [more of s_client's], half (its end of
#				input is not the end of the connection).
#				->said is what s_client has to say
#	$pki->through(COMMAND ...)	the same of another command, with what it writes to stderr
#	$pki->shake($port, %option)	a handshake and no more: all that s_client prints
package Weir::TLS;
use v5.36;
use File::Temp ();
use POSIX ();
use Socket;
use Weir::Client;
use Weir::File;
use Weir::Process;
use Weir::Wait;

sub needs($class)
{
	require Weir::Test;
	Weir::Test::skip_all('needs the command openssl') if !Weir::Test::program('openssl');
	return 1;
}

sub new($class)
{
	my $dir = File::Temp->newdir('weir-tls-XXXXXX', TMPDIR => 1);
	chmod(0755, $dir);
	return bless { dir => $dir }, $class;
}

sub path($self, $name) { return "$self->{dir}/$name" }

# openssl(ARGUMENTS): runs it; dies with what it said.
sub openssl($self, @arguments)
{
	my $result = Weir::Process::run(['openssl', @arguments]);
	die "openssl @arguments: $result->{text}\n" if ($result->{exit} // 1) != 0;
	return $result->{out};
}

sub certificate($self, $name, %option)
{
	my @names = @{ $option{names} // ['localhost'] };
	my ($chain, $key) = ($self->path("$name.pem"), $self->path("$name.key"));
	my $ca = $option{ca} ? 'TRUE' : 'FALSE';
	my $alternatives = join(',', map { /^[\d.]+$/ ? "IP:$_" : "DNS:$_" } @names);
	spurt($self->path('request.cnf'), <<"CNF");
[req]
distinguished_name = dn
x509_extensions = v3
[dn]
[v3]
basicConstraints = critical,CA:$ca
subjectAltName = $alternatives
CNF
	my @kind = ($option{key} // 'ec') eq 'rsa' ? ('rsa:' . ($option{bits} // 2048)) : ('ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
	my @by = $option{by}
	    ? ('-CA', $self->path("$option{by}.pem"), '-CAkey', $self->path("$option{by}.key")) : ();
	$self->openssl('req', '-x509', '-config', $self->path('request.cnf'), '-newkey', @kind, '-nodes',
	    '-days', $option{days} // 30, '-subj', "/CN=$name", @by, '-keyout', $key, '-out', $chain);
	$self->_limit($name, %option) if $option{until};
	return "$chain $key";
}

# The same once more, with an end.
sub _limit($self, $name, %option)
{
	my ($request, $chain, $by) = ($self->path("$name.csr"), $self->path("$name.pem"), $option{by});
	$self->openssl('x509', '-x509toreq', '-in', $chain, '-signkey', $self->path("$name.key"), '-out', $request);
	spurt($self->path('limit.index'), '');
	my $config = spurt($self->path('limit.cnf'), <<"CNF");
[ca]
default_ca = own
[own]
database = @{[$self->path('limit.index')]}
new_certs_dir = $self->{dir}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
CNF
	my $end = POSIX::strftime('%y%m%d%H%M%SZ', gmtime($option{until}));
	$self->openssl('ca', '-batch', '-notext', '-config', $config, '-in', $request, '-enddate', $end,
	    '-cert', $self->path("$by.pem"), '-keyfile', $self->path("$by.key"), '-out', $chain);
}

sub expired($self, $name, %option)
{
	my ($request, $pair) = ($self->path("$name.csr"), $self->certificate($name, %option));
	my $chain = $self->path("$name.pem");
	my @by = ('-CA', $self->path("$option{by}.pem"), '-CAkey', $self->path("$option{by}.key"));
	$self->openssl('x509', '-x509toreq', '-copy_extensions', 'copyall', '-in', $chain, '-signkey',
	    $self->path("$name.key"), '-out', $request);
	$self->openssl('x509', '-req', '-in', $request, '-copy_extensions', 'copyall', '-days', -1, @by, '-out', $chain);
	return $pair;
}

# What openssl knows of the certificates of one that signs; status V or R.
sub _index($self, $ca, $name, $status)
{
	my ($serial) = $self->openssl('x509', '-in', $self->path("$name.pem"), '-noout', '-serial') =~ /=(\w+)/;
	my $revoked = $status eq 'R' ? '250101000000Z' : '';
	spurt($self->path("$ca.index.attr"), "unique_subject = no\n");
	spurt($self->path("$ca.number"), "01\n");
	return spurt($self->path("$ca.index"), "$status\t491231235959Z\t$revoked\t$serial\tunknown\t/CN=$name\n");
}

sub revoke($self, $ca, $name, $seconds = 10 * 86400)
{
	my $index = $self->_index($ca, $name, 'R');
	my $config = spurt($self->path('ca.cnf'), <<"CNF");
[ca]
default_ca = own
[own]
database = $index
crlnumber = @{[$self->path("$ca.number")]}
default_md = sha256
CNF
	my $list = $self->path("$ca.crl");
	$self->openssl('ca', '-config', $config, '-gencrl', '-crlsec', $seconds, '-cert', $self->path("$ca.pem"),
	    '-keyfile', $self->path("$ca.key"), '-out', $list);
	return $list;
}

sub endless($self, $ca)
{
	my ($der, $list) = map { $self->path("endless.$_") } qw(der crl);
	my $text = spurt($self->path('endless.cnf'), <<"CNF");
asn1 = SEQUENCE:list
[list]
what = SEQUENCE:what
algorithm = SEQUENCE:algorithm
signature = FORMAT:HEX,BITSTRING:00
[what]
algorithm = SEQUENCE:algorithm
issuer = SEQUENCE:issuer
since = UTCTIME:250101000000Z
[algorithm]
oid = OID:ecdsa-with-SHA256
[issuer]
part = SET:part
[part]
name = SEQUENCE:name
[name]
oid = OID:commonName
value = UTF8:$ca
CNF
	$self->openssl('asn1parse', '-genconf', $text, '-noout', '-out', $der);
	$self->openssl('crl', '-inform', 'DER', '-in', $der, '-out', $list);
	return $list;
}

sub staple($self, $ca, $name)
{
	my ($index, $request, $response) = ($self->_index($ca, $name, 'V'), map { $self->path("$name.$_") } qw(ask ocsp));
	my ($chain, $key) = map { $self->path("$ca.$_") } qw(pem key);
	$self->openssl('ocsp', '-issuer', $chain, '-cert', $self->path("$name.pem"), '-no_nonce', '-reqout', $request);
	$self->openssl('ocsp', '-index', $index, '-CA', $chain, '-rsigner', $chain, '-rkey', $key, '-reqin', $request,
	    '-respout', $response, '-ndays', 1);
	return $response;
}

sub _command($self, $port, %option)
{
	my @trust = $option{ca} ? ('-CAfile', $self->path("$option{ca}.pem"), '-verify_return_error') : ();
	my @name = $option{name} ? ('-servername', $option{name}, '-verify_hostname', $option{name})
	    : grep({ $_ eq '-servername' } @{ $option{args} // [] }) ? () : ('-noservername');
	return ('openssl', 's_client', '-connect', "127.0.0.1:$port", @trust, @name, @{ $option{args} // [] });
}

sub shake($self, $port, %option)
{
	return Weir::Process::run([$self->_command($port, %option)])->{text};
}

sub client($self, $port, %option)
{
	return $self->through($self->_command($port, %option, args => ['-quiet', $option{half} ? () : ('-no_ign_eof'),
	    @{ $option{args} // [] }]));
}

sub through($self, @command)
{
	socketpair(my $near, my $far, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
	my $said = File::Temp->new;
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0) {
		$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP PIPE);
		open(STDIN, '<&', $far);
		open(STDOUT, '>&', $far);
		open(STDERR, '>>', $said->filename);
		close($near);
		close($far);
		{ no warnings; exec { $command[0] } @command; }
		POSIX::_exit(127);
	}
	close($far);
	return Weir::TLS::Client->wrap($near, $pid, $said);
}

package Weir::TLS::Client;
use v5.36;
use POSIX qw(WNOHANG);
our @ISA = ('Weir::Client');

sub wrap($class, $fh, $pid, $said)
{
	my $self = $class->adopt($fh);
	@$self{qw(pid said)} = ($pid, $said);
	return $self;
}

sub said($self) { return Weir::File::slurp($self->{said}->filename) }

# The process ends when its input does; it is not waited for without end.
sub close($self)
{
	$self->SUPER::close;
	my $pid = delete $self->{pid} // return;
	kill('KILL', $pid) if !defined(Weir::Process::reap($pid, 5));
}

1;
