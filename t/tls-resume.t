#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sessions are resumed: by another worker, behind a reload, a death, a rotation of the keys; and not by whom they
# should not.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::TLS;
use Weir::Test;

Weir::Build::ignore_leaks();

Weir::TLS->needs;
my $pki = Weir::TLS->new;
my $certificate = $pki->certificate('server');

sub conf($port, %option)
{
	my $key = $option{key} ? "tls_ticket_key = $option{key}" : '';
	return <<"CONF";
[weir]
workers = 2
error_log = logs/error.log info
$key
[server echo]
listen = 127.0.0.1:$port
protocol = echo
tls = edge
[tls edge]
certificate = $certificate
ticket_lifetime = @{[$option{lifetime} // '1h']}
@{[$option{more} // '']}
CONF
}

# A session with its ticket, in a file.
sub session($port, $name, @arguments)
{
	my $file = $pki->path($name);
	my $c = $pki->client($port, args => ['-sess_out', $file, @arguments]);
	$c->ping;		# what comes first are the tickets
	$c->close;
	return $file;
}

# Whether it is resumed.
sub resumes($port, $file, @arguments)
{
	my $said = $pki->shake($port, args => ['-sess_in', $file, @arguments]);
	return $said =~ /^Reused, /m ? 1 : $said =~ /^New, TLS/m ? 0 : die "no handshake: $said";
}

it 'by any worker, behind a reload and a death' => sub {
	my $w = weir(conf(my $port = free_port));
	for my $version ('-tls1_3', '-tls1_2') {
		my $ticket = session($port, 'one', $version);
		is_deeply [map { resumes($port, $ticket, $version) } 1 .. 8], [(1) x 8], $version;
		is $w->reload->{exit}, 0;
		is_deeply [map { resumes($port, $ticket, $version) } 1 .. 3], [(1) x 3], 'behind a reload';
		for my $slot (0, 1) {
			my $pid = $w->worker($slot);
			kill('KILL', $pid);
			wait_for { my $now = eval { $w->worker($slot) }; $now && $now != $pid };
		}
		is_deeply [map { resumes($port, $ticket, $version) } 1 .. 3], [(1) x 3], 'by those in place of killed ones';
	}
	my $s = $w->status->server('echo');
	is $s->{handshakes_resumed}, 28, 'all are counted';
	my $ticket = session($port, 'once', '-tls1_3');
	my $another = session($port, 'again', '-tls1_3', '-sess_in', $ticket);
	ok -s $another, 'who resumes gets another ticket, for in TLS 1.3 one serves once';
	$w->stop;
};

it 'though its workers have random numbers of their own' => sub {
	my $w = weir(conf(my $port = free_port));
	$w->allow(qr/worker/);
	my %seen;
	for (1 .. 4) {
		my ($random) = $pki->shake($port, args => ['-msg', '-tls1_3']) =~
		    /^<<< [^\n]*, ServerHello\n +02 00 \w\w \w\w 03 03 ((?:\w\w\s+){32})/m or die 'no ServerHello';
		$seen{$random =~ s/\s+//gr}++;
		my @dead = $w->workers;
		kill('KILL', @dead);
		my %dead = map { $_ => 1 } @dead;
		wait_for { my @now = eval { $w->workers }; @now == 2 && !grep { $dead{$_} } @now };
	}
	is scalar(keys %seen), 4, 'all of them, though they are copies of one process';
	$w->stop;
};

it 'behind one rotation of the keys, not behind many' => sub {
	# Of 1.3 the ticket is good for as long as it says: its client does not offer an old one.
	my $w = weir(conf(my $port = free_port, lifetime => '3s'));
	my $first = session($port, 'first');
	my $since = now();
	my $resumed = 0;
	while (now() < $since + 2.5) {
		$resumed += resumes($port, $first);
		last if $resumed > 2;
	}
	cmp_ok $resumed, '>', 0, 'while it is good';
	# A key is current for 3 s, so within these a rotation has been.
	my ($tries, $good) = (0, 0);
	my $until = now() + 4;
	while (now() < $until) {
		my $ticket = session($port, 'next');
		$tries++;
		$good += resumes($port, $ticket);
	}
	is $good, $tries, 'every fresh one, whenever the keys were changed';
	is resumes($port, $first), 0, 'but no old one';
	$w->stop;
};

it 'no longer than ticket_lifetime, however often' => sub {
	my $w = weir(conf(my $port = free_port, lifetime => '2s'));
	for my $version ('-tls1_3', '-tls1_2') {
		my $ticket = session($port, 'chain', $version);
		my $full = $w->status->server('echo')->{handshakes_full};
		my $over = wait_for {
			$ticket = session($port, 'chain', $version, '-sess_in', $ticket);
			$w->status->server('echo')->{handshakes_full} > $full;
		} 20;
		ok $over, "$version: the whole handshake once more";
	}
	$w->stop;
};

it 'no longer than the certificate of the client is good' => sub {
	$pki->certificate('issuer', ca => 1);
	my $w = weir(conf(my $port = free_port, more => "client_ca = @{[$pki->path('issuer.pem')]}"));
	for my $version ('-tls1_3', '-tls1_2') {
		my $end = time + 4;
		$pki->certificate('brief', by => 'issuer', until => $end);
		my @shown = ('-cert', $pki->path('brief.pem'), '-key', $pki->path('brief.key'), $version);
		my $ticket = eval { session($port, 'brief', @shown) };
		skip_all('the machine is too slow') if time >= $end;
		wait_for { time > $end };
		$w->mark;
		unlike $pki->shake($port, args => ['-sess_in', $ticket, @shown]), qr/^Reused, /m, $version;
		$w->wait_log(qr/handshake_failed: its certificate: certificate has expired/);
	}
	$w->stop;
};

it 'on another machine, with the key in a file' => sub {
	my $key = spurt($pki->path('key'), join('', map { chr } 1 .. 80));
	chmod(0600, $key);
	my @ports = free_ports(2);
	my @weirs = map { weir(conf($_, key => $key)) } @ports;
	my $ticket = session($ports[0], 'there');
	is resumes($ports[1], $ticket), 1;
	spurt($key, join('', map { chr } 101 .. 180));
	is $weirs[1]->reload->{exit}, 0;
	is resumes($ports[1], $ticket), 0, 'another key is another one';
	is resumes($ports[0], $ticket), 1, 'the one that was read is used until a reload';
	spurt($key, join('', map { chr } 101 .. 180, 1 .. 80));
	is $weirs[1]->reload->{exit}, 0;
	is resumes($ports[1], $ticket), 1, 'an older key stands behind';
	spurt($key, 'short');
	my $refused = $weirs[1]->reload;
	isnt $refused->{exit}, 0;
	like $refused->{text}, qr/tls_ticket_key = \S+: it has to hold one, two or three keys of 80 bytes/;
	spurt($key, 'x' x 80);
	chmod(0644, $key);
	like $weirs[1]->command('-t')->{text}, qr/warning: tls_ticket_key = .*others can read/;
	$_->stop for @weirs;
};

it 'not when tickets are off' => sub {
	my $w = weir(conf(my $port = free_port));
	my %ticket = map { $_ => session($port, "on$_", $_) } '-tls1_3', '-tls1_2';
	is resumes($port, $ticket{$_}, $_), 1, "$_: on" for sort keys %ticket;
	$w->edit_conf(sub { s/^ticket_lifetime = .*/session_tickets = off/m });
	is $w->reload->{exit}, 0;
	is resumes($port, $ticket{$_}, $_), 0, "$_: off" for sort keys %ticket;
	unlike $pki->shake($port, args => [$_]), qr/New Session Ticket|TLS session ticket:/, "$_: and none is given"
	    for sort keys %ticket;
	$w->stop;
};

it 'not by a section that trusts other clients' => sub {
	$pki->certificate('ca', ca => 1);
	my @ports = free_ports(2);
	my ($ca, $open, $closed) = ($pki->path('ca.pem'), @ports);
	my $w = weir(<<"CONF");
[weir]
workers = 1
error_log = logs/error.log info
[defaults server]
protocol = echo
[server open]
listen = 127.0.0.1:$open
tls = open
[server closed]
listen = 127.0.0.1:$closed
tls = closed
[tls open]
certificate = $certificate
[tls closed]
certificate = $certificate
client_ca = $ca
CONF
	for my $version ('-tls1_3', '-tls1_2') {
		my $ticket = session($open, 'open', $version);
		is resumes($open, $ticket, $version), 1;
		$pki->shake($closed, args => ['-sess_in', $ticket, $version]);
		$w->wait_log(qr/closed: handshake_failed: .*certificate/);
		is $w->status->server('closed')->{handshakes_resumed}, 0, "$version: a ticket is no certificate";
	}
	$w->stop;
};

it 'not when other certificates are revoked since then' => sub {
	$pki->certificate('issuer', ca => 1);
	$pki->certificate($_, by => 'issuer') for qw(good bad);
	my $crl = spurt($pki->path('now.crl'), slurp($pki->revoke('issuer', 'good')));
	my $w = weir(conf(my $port = free_port, more => "client_ca = @{[$pki->path('issuer.pem')]}\ncrl = $crl"));
	for my $version ('-tls1_3', '-tls1_2') {
		my @shown = ('-cert', $pki->path('bad.pem'), '-key', $pki->path('bad.key'), $version);
		my $ticket = session($port, 'revoked', @shown);
		is resumes($port, $ticket, @shown), 1, "$version: it may come back";
		spurt($crl, slurp($pki->revoke('issuer', 'bad')));
		is $w->reload->{exit}, 0;
		unlike $pki->shake($port, args => ['-sess_in', $ticket, @shown]), qr/^Reused, /m, 'until it is revoked';
		spurt($crl, slurp($pki->revoke('issuer', 'good')));
		is $w->reload->{exit}, 0;
	}
	$w->stop;
};

it 'not once the list of those revoked is out of date' => sub {
	$pki->certificate('keeper', ca => 1);
	$pki->certificate($_, by => 'keeper') for qw(fine fallen);
	my $crl = $pki->revoke('keeper', 'fallen', 3600);
	my $w = weir(conf(my $port = free_port, more => "client_ca = @{[$pki->path('keeper.pem')]}\ncrl = $crl"));
	my @shown = ('-cert', $pki->path('fine.pem'), '-key', $pki->path('fine.key'));
	my ($until, %ticket);
	# A machine that is too slow for a short list gets a longer one.
	for my $seconds (map { $_ * patience(3) } 1, 4, 16) {
		$pki->revoke('keeper', 'fallen', $seconds);
		$until = time() + $seconds;
		is $w->reload->{exit}, 0;
		%ticket = map { $_ => session($port, "listed$_", @shown, $_) } '-tls1_3', '-tls1_2';
		my $back = grep { resumes($port, $ticket{$_}, @shown, $_) } keys %ticket;
		next if $back < 2 && time() >= $until;
		is $back, 2, 'it may come back';
		last;
	}
	ok wait_for { time() > $until } patience(60);
	unlike $pki->shake($port, args => ['-sess_in', $ticket{$_}, @shown, $_]), qr/^Reused, /m, "$_: until then"
	    for keys %ticket;
	$w->wait_log(qr/handshake_failed: its certificate: CRL has expired/);
	$w->stop;
};

done_testing;
