#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Abstract UNIX sockets: listened on and connected to, over a reload, with no file anywhere.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $name = "weir-$$-" . free_port;
my $w = Weir::Daemon->start(<<"CONF");
[weir]
workers = 2

[server echo]
listen = unix:\@$name
protocol = echo

[server proxy]
listen = "unix:\@$name proxy"
protocol = stream_proxy
upstream = echo

[upstream echo]
server = unix:\@$name
CONF

it 'both are served' => sub {
	ok client("unix:\@$name")->ping;
	ok client("unix:\@$name proxy")->ping;
	ok !-e $w->path("\@$name"), 'no file';
	ok !-e $w->path("run/\@$name"), 'no file';
};

it 'names are what status calls them' => sub {
	is $w->status->peer('echo', "unix:\@$name")->{failed} // 0, 0;
	like slurp('/proc/net/unix'), qr/ \@\Q$name\E$/m, 'the kernel has the name, and no byte more';
};

it 'a name that is a part of it is another one' => sub {
	is(Weir::Client->try("unix:\@" . substr($name, 0, -1)), undef);
};

it 'a reload keeps the listener' => sub {
	my $c = client("unix:\@$name proxy");
	ok $c->ping;
	is $w->reload->{exit}, 0;
	ok $c->ping, 'the session goes on';
	ok client("unix:\@$name proxy")->ping, 'a new one comes';
};

it 'a name that is taken is an error' => sub {
	my $other = Weir::Daemon->new("[server a]\nlisten = unix:\@$name\nprotocol = echo\n");
	$other->spawn;
	$other->gone(exit => 1);
	like $other->console, qr/listen unix:\@\Q$name\E: .*another program listens/;
};

it 'mode and owner are refused' => sub {
	for my $option ('mode=0600', 'owner=root') {
		my $result = Weir::Daemon->new("[server a]\nlisten = unix:\@x $option\nprotocol = echo\n")
		    ->command('-t');
		is $result->{exit}, 1;
		like $result->{text}, qr/weir\.conf:2: error: .*an abstract socket has no file/;
	}
};

it 'it is gone with weir' => sub {
	$w->stop;
	is(Weir::Client->try("unix:\@$name"), undef);
};

done_testing;
