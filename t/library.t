#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The test library tests itself: what it does to weir it does here to its own backends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $echo = backend('echo');

it 'carries bytes both ways and compares them' => sub {
	my $c = client($echo->port);
	my $moved = $c->transfer(out => 3 << 20, in => 3 << 20, out_seed => 3, finish => 1);
	is $c->ending, 'eof';
	my $seen = $echo->wait_report(sub ($r) { $r->{open} == 0 })->{conns}[-1];
	is $seen->{ended}, 'eof';
	is $seen->{md5}, $moved->{md5};
};

it 'sees a difference' => sub {
	is difference(1, 3, pattern(1, 3, 100)), undef;
	my $wrong = pattern(1, 3, 100);
	substr($wrong, 50, 1) = 'x';
	like difference(1, 3, $wrong), qr/offset 53/;
	ok difference(1, 0, pattern(2, 0, 8)), 'between streams';
	ok difference(1, 0, pattern(1, 8, 8)), 'between places';
	my $other = backend('source', bytes => 1000, seed => 2);
	ok !eval { client($other->port)->transfer(in => 1000, in_seed => 1) };
	like $@, qr/differs/;
};

it 'tells ends from resets' => sub {
	is client(backend('reset')->port)->ending, 'reset';
	is client(backend('close')->port)->ending, 'eof';
	my $c = client($echo->port);
	is $c->ending(0.05), 'open';
	$c->reset;
	$echo->wait_report(sub ($r) { $r->{open} == 0 && $r->{conns}[-1]{ended} eq 'reset' });
	pass;
};

it 'dies of what does not come' => sub {
	my $c = client($echo->port, timeout => 0.1);
	$c->send('abc');
	ok !eval { $c->recv(4) };
	like $@, qr/timed out after 3 bytes/;
};

it 'has backends that do not answer' => sub {
	my $full = backend('full');
	ok !Weir::Client->try($full->port, timeout => 0.2);
	$full->tell('up');
	ok client($full->port)->ping;
	my $refuse = backend('refuse');
	ok !Weir::Client->try($refuse->port);
	$refuse->tell('up');
	ok client($refuse->port)->ping;
	$refuse->tell('down');
	ok !Weir::Client->try($refuse->port);
};

it 'has backends that do not read' => sub {
	my $silent = backend('silent');
	my $c = client($silent->port);
	$c->send('hello');
	is $silent->wait_report(sub ($r) { $r->{open} == 1 })->{in}, 0;
	$silent->tell('resume');
	is $silent->wait_report(sub ($r) { $r->{in} == 5 })->{conns}[0]{text}, 'hello';
};

it 'has backends that follow a script' => sub {
	my $line = backend('line', reply => sub ($text, $) { "<$text>\n" });
	is client($line->port)->send_fin("a\nb\n")->rest, "<a>\n<b>\n";
	my $six = backend('echo', address => '[::1]');
	ok client($six->address)->ping;
};

it 'ports are one\'s own' => sub {
	my %seen = map { $_ => 1 } free_ports(100);
	is scalar(keys %seen), 100;
	my $port = (keys %seen)[0];
	my $other = Weir::Process::run([$^X, "-I$FindBin::Bin/lib", '-MWeir::Port', '-e',
	    'print Weir::Port::lock_port(shift) ? "taken" : "locked"', $port]);
	is $other->{out}, 'locked', 'for other processes too';
};

done_testing;
