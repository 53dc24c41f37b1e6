#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Values in double quotes do what they say: sockets, files and texts with blanks, ; and # in them.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

sub prepare($weir)
{
	spurt($weir->path('conf/more ; than one.conf'), "workers = 1\n");
}

my $port = free_port;
my $w = Weir::Daemon->start(<<"CONF", prepare => \&prepare, args => ['-g', 'pid = "run/the ; pid"']);
[weir]
error_log = logs/error.log info
error_log = "logs/all ; of # it.log" "debug"
include = "more ; than one.conf"

[server behind]
listen = "unix:run/a b ; c # d.sock" mode="0666"
protocol = echo

[server front]
listen = "127.0.0.1:$port"
protocol = "stream_proxy"
upstream = "behind"

[server line]
listen = unix:"run/line proxy.sock"
protocol = line_proxy
upstream = nobody
line_failure = "-ERR \\"none\\" ; # \\x41"

[upstream behind]
server = "unix:run/a b ; c # d.sock" weight="2"

[upstream nobody]
server = "unix:run/no body.sock"
CONF

it 'a socket on both sides' => sub {
	ok client("unix:" . $w->path('run/a b ; c # d.sock'))->ping;
	ok client($port)->ping;
	is +(stat($w->path('run/a b ; c # d.sock')))[2] & 0777, 0666, 'and its mode';
};

it 'a text' => sub {
	is client('unix:' . $w->path('run/line proxy.sock'))->ask("?\n", "-ERR \"none\" ; # A\n"),
	    "-ERR \"none\" ; # A\n";
};

it 'files' => sub {
	like slurp($w->path('logs/all ; of # it.log')), qr/ready|generation/;
	is slurp($w->path('run/the ; pid')) =~ s/\s+//r, $w->pid;
};

it 'the control socket, as commands look for it' => sub {
	like $w->command('status', '-g', 'control = "run/no ; socket"')->{text},
	    qr{run/no ; socket\b[^"]};
};

it '-g' => sub {
	my $result = $w->command('-T', '-g', 'user = "nobody"  ; who', '-g', 'pid = "a # b"');
	is $result->{exit}, 0 or diag($result->{text});
	like $result->{out}, qr/^user = "nobody"   ; -g$/m;
	like $result->{out}, qr/^pid = "a # b"   ; -g$/m;
	for my $bad ('workers = 2 # two', 'workers = "2', 'workers = "2"2', 'workers = 2;') {
		$result = $w->command('-t', '-g', $bad);
		is $result->{exit}, 1, $bad;
		like $result->{text}, qr/^-g: error: .*(quote|" ;")/m;
	}
};

it 'a reload keeps all of it' => sub {
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
};

done_testing;
