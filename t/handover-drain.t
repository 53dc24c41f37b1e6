#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sessions that cannot move are ended one after the other within worker_shutdown_timeout, each where nothing of it is
# under way.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Weir::Test;
use Weir::Deadline;

# The end is seen by the client; weir counts it when the client has ended, too.
sub one_after_the_other($T, @all)
{
	my $ended = sub { my @at = IO::Select->new(map { $_->{fh} } @all)->can_read(0); scalar @at };
	my $first;
	ok wait_for(sub { $first = $ended->() }, $T), 'one is ended';
	cmp_ok $first, '<', @all, 'and others are not';
	is_deeply [grep { $_ ne 'eof' } map { $_->ending } @all], [], 'until all have, without a reset';
}

# They go on until then, and stay whole.
sub idle_weir($T, $port, $settings = '')
{
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_shutdown_timeout = @{[ms($T)]}
$settings
error_log = logs/error.log info
[server echo]
listen = 127.0.0.1:$port
protocol = echo
idle_timeout = 1h
CONF
	my @all = map { client($port, timeout => $T + 10) } 1 .. 30;
	$_->ping for @all;
	return ($w, @all);
}

with_time 'weir quits' => [4, 16], sub ($T) {
	my ($w, @all) = idle_weir($T, free_port);
	is $w->command('-s', 'quit')->{exit}, 0;
	one_after_the_other($T, @all);
	$w->gone;
};

with_time 'nobody takes them over' => [4, 16], sub ($T) {
	my ($w, @all) = idle_weir($T, free_port, 'handover = off');
	is $w->reload->{exit}, 0;
	one_after_the_other($T, @all);
	ok wait_for { $w->command('generations')->{out} !~ /retiring/ };
	$w->stop;
};

with_time 'their server is gone' => [4, 16], sub ($T) {
	my ($stays, $gone, $lines) = free_ports(3);
	my $answers = backend('line');
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_shutdown_timeout = @{[ms($T)]}
error_log = logs/error.log info
[defaults server]
idle_timeout = 1h
[server stays]
listen = 127.0.0.1:$stays
protocol = echo
[server gone]
listen = 127.0.0.1:$gone
protocol = echo
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
[upstream answers]
server = @{[$answers->address]}
reply_timeout = off
CONF
	my $moves = client($stays);
	my $asks = client($lines, timeout => $T + 10);
	my @all = map { client($gone, timeout => $T + 10) } 1 .. 30;
	$_->ping for $moves, @all;
	$answers->tell('keep');
	$asks->send("a question\n");
	ok wait_for { $answers->report->{kept} == 1 };
	$w->edit_conf(sub { s/\[server gone\].*?\[upstream/[upstream/s });
	my $result = $w->reload;
	is $result->{exit}, 0;
	like $result->{text}, qr/1 moved.* 31 stay/;
	one_after_the_other($T, @all);
	$answers->tell('release');
	is $asks->line, "a question\n", 'who waits for a reply gets it';
	is $asks->ending, 'eof', 'and is ended then';
	ok $moves->ping, 'who could move is not';
	ok wait_for { $w->command('generations')->{out} !~ /retiring/ };
	$moves->close;
	$w->stop;
};

# What is under way when its turn to end comes.
with_time 'what has begun is brought to its end' => [4, 16], sub ($T) {
	my ($stays, $proxy, $lines) = free_ports(3);
	my ($answers, $peer) = (backend('line'), backend('echo'));
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_shutdown_timeout = @{[ms($T)]}
error_log = logs/error.log info
[defaults server]
idle_timeout = 1h
[server stays]
listen = 127.0.0.1:$stays
protocol = echo
[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = peer
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
[upstream answers]
server = @{[$answers->address]}
[upstream peer]
server = @{[$peer->address]}
CONF
	my @halves = map { client($lines, timeout => $T + 10) } 1 .. 8;
	my $idle = client($lines, timeout => $T + 10);
	my $flows = client($proxy, timeout => $T + 10);
	is $idle->ask("a line\n"), "a line\n";
	$_->send('ha') for @halves;
	$flows->ping;
	ok wait_for { $w->status->server('lines')->{bytes_in} == 7 + 2 * @halves };
	$w->edit_conf(sub { s/\[server proxy\].*?\[upstream/[upstream/s });
	is $w->reload->{exit}, 0;
	is $idle->ending, 'eof', 'who asks nothing is ended';
	ok $flows->ping, 'what carries bytes is not';
	# by then others of them have been told to end
	$_->send("lf\n") for @halves;
	is_deeply [map { $_->line } @halves], [("half\n") x @halves], 'half a line is read to its end, and answered';
	is_deeply [map { $_->ending } @halves], [('eof') x @halves], 'then they are ended, without a reset';
	ok wait_for(sub { IO::Select->new($flows->{fh})->can_read(0) }, $T), 'a stream when it is silent';
	is $flows->ending, 'eof';
	$w->stop;
};

# A request, and a stream, in the middle.
sub busy_weir($T, $answers, $peer)
{
	my ($proxy, $lines) = free_ports(2);
	my $w = weir(<<"CONF");
[weir]
workers = 1
worker_shutdown_timeout = @{[ms($T)]}
error_log = logs/error.log info
[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = peer
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
line_failure = it is lost
[upstream answers]
server = @{[$answers->address]}
reply_timeout = off
[upstream peer]
server = @{[$peer->address]}
CONF
	my $asks = client($lines, timeout => $T + 10);
	my $flows = client($proxy, timeout => $T + 10);
	is $asks->ask("one\n"), "one\n";
	$answers->tell('keep');
	$asks->send("two\nthree\nand ha");
	ok wait_for { $answers->report->{kept} == 2 };
	return ($w, $asks, $flows);
}

# What they are told when there is no more time.
sub is_told($asks)
{
	is $asks->line, "it is lost\n", 'a request that is lost is told as that' for 1, 2;
	is $asks->ending, 'eof', 'behind that the connection ends';
}

it 'a stop tells what is lost by it' => sub {
	my ($answers, $peer) = (backend('line'), backend('echo'));
	my ($w, $asks, $flows) = busy_weir(60, $answers, $peer);
	$flows->ping;
	$peer->tell('hold');
	my $more = 'x' x 65536;
	1 while $flows->send_some($more) == length($more);
	$w->signal('TERM');
	is_told($asks);
	is $flows->ending, 'reset', 'a stream that flows does not look whole';
	$w->gone;
};

with_time 'so does the end of the time' => [4, 16], sub ($T) {
	my ($answers, $peer) = (backend('line'), backend('echo'));
	my ($w, $asks, $flows) = busy_weir($T, $answers, $peer);
	is $w->command('-s', 'quit')->{exit}, 0;
	my $pings = 0;
	$pings++ while eval { $flows->ping };	# never silent
	cmp_ok $pings, '>', 0, 'a stream that flows goes on';
	like $@, qr/reset|Broken pipe/, 'until it is cut short';
	is_told($asks);
	$w->gone;
};

done_testing;
