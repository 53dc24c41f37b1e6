#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A little of everything, small enough to run below valgrind: echo, proxy, lines, reload, status, quit.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my ($echo, $proxy, $lines, $later) = free_ports(4);
my $backend = backend('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server echo]
listen = 127.0.0.1:$echo
protocol = echo

[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = echo

[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = lines

[upstream echo]
server = 127.0.0.1:$echo

[upstream lines]
server = @{[$backend->address]}
CONF

my $stayed = client($proxy);

it 'echoes' => sub {
	my $c = client($echo);
	is $c->ask("hello, weir\n"), "hello, weir\n";
	is $c->shutdown->ending, 'eof';
};

it 'proxies' => sub {
	ok $stayed->ping;
	my $moved = client($proxy)->transfer(out => 200_000, in => 200_000, finish => 1);
	is $moved->{in}, 200_000;
};

it 'shares connections among those who speak in lines' => sub {
	my @clients = map { client($lines) } 1 .. 20;
	$_->send("one\r\ntwo\n") for @clients;
	is $_->recv(9), "one\r\ntwo\n" for @clients;
	cmp_ok $backend->report->{accepted}, '<', 20;
	is $clients[0]->send_fin("last\n")->rest, "last\n";
};

it 'reloads' => sub {
	$w->edit_conf(sub { $_ .= "\n[server later]\nlisten = 127.0.0.1:$later\nprotocol = echo\n" });
	my $result = $w->reload;
	is $result->{exit}, 0 or diag $result->{text};
	ok client($later)->ping;
	ok $stayed->ping, 'a session begun before goes on';
};

it 'tells its status' => sub {
	is $w->command('status')->{exit}, 0;
	ok $w->status;
};

it 'leaves when told to' => sub {
	$stayed->shutdown;
	is $stayed->ending, 'eof';
	$w->quit;
};

done_testing;
