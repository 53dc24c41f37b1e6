#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What is set for requests and replies where nobody has any is warned of, at its line, and changes nothing else.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $w = Weir::Daemon->new('');
my $words = qr/is for requests and replies: it has no effect in/;

# [LINE, KEY, SECTION], ...: what -t warns of. It finds the text good.
sub warned($text)
{
	$w->write_conf($text);
	my $result = $w->command('-t');
	is $result->{exit}, 0, 'good' or diag $result->{text};
	return join(' ', map { /^\S+:(\d+): warning: (\S+) $words \[(\S+ \S+)\]/ ? "$1:$2($3)" : () }
	    split(/\n/, $result->{text}));
}

my $server = "[server s]\nlisten = unix:run/s.sock\nprotocol = PROTOCOL\nupstream = u\npipeline_per_client = 3\n";
my $upstream = "[upstream u]\nserver = unix:run/u.sock\n";
my @pool = ('pool = session', 'pool_size = 3', 'pool_min_idle = 1', 'pool_idle_timeout = 5s', 'pool_idle_check = 2s',
    'pool_lifetime = 1m',
    'pool_queue = 9', 'pool_wait = 1s', 'pipeline_spread = 2', 'pipeline_depth = 4', 'reply_max = 2m',
    'reply_timeout = 3s');
my $pool = join("\n", @pool, '');

it 'all of them, each at its line' => sub {
	my $line = 8;
	my @keys = map { $line++ . ':' . s/ .*//r . '(upstream u)' } @pool;
	is warned($server =~ s/PROTOCOL/stream_proxy/r . $upstream . $pool),
	    join(' ', '5:pipeline_per_client(server s)', @keys), 'before stream_proxy';
	is warned($server =~ s/PROTOCOL/line_proxy/r . $upstream . $pool), '', 'none before line_proxy';
	is warned($server =~ s/PROTOCOL/echo/r . $upstream), '5:pipeline_per_client(server s)', 'of echo';
};

it 'no other directive' => sub {
	is warned($server =~ s/PROTOCOL/stream_proxy/r =~ s/pipeline.*/write_buffer = 1m\nhalf_close_timeout = 3s/r .
	    "$upstream\nconnect_timeout = 1s\nretries = 2\nbalance = round_robin\ntcp_nodelay = off\n"), '';
};

it 'defaults never' => sub {
	is warned("[defaults server]\npipeline_per_client = 3\n[defaults upstream]\n$pool" .
	    $server =~ s/PROTOCOL/stream_proxy/r =~ s/pipeline.*\n//r . $upstream), '';
};

it 'an upstream of several servers, when none of them has requests' => sub {
	my $stream = $server =~ s/PROTOCOL/stream_proxy/r =~ s/pipeline.*\n//r;
	my $other = $stream =~ s/s\.sock/t.sock/r =~ s/server s/server t/r;
	my $line = $other =~ s/stream/line/r;
	is warned($stream . $other . $upstream . "pool_size = 2\n"), '11:pool_size(upstream u)', 'two streams';
	is warned($stream . $line . $upstream . "pool_size = 2\n"), '', 'streams and lines';
	is warned($line . $stream . $upstream . "pool_size = 2\n"), '', 'lines and streams';
	is warned("[server e]\nlisten = unix:run/e\nprotocol = echo\n$upstream\npool_size = 2\n"), '', 'nobody';
};

it 'start and reload warn, too' => sub {
	my $d = Weir::Daemon->start($server =~ s/PROTOCOL/echo/r . $upstream);
	ok $d->wait_log(qr/warn\w* .*weir\.conf:5: warning: pipeline_per_client $words/), 'start';
	$d->edit_conf(sub { s/echo/stream_proxy/ });
	my $result = $d->reload;
	is $result->{exit}, 0;
	like $result->{text}, qr/weir\.conf:5: warning: pipeline_per_client $words \[server s\], whose protocol is stream_proxy/;
	$d->stop;
};

done_testing;
