#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Peers at run time: what weir peers has of them, and what a command does with one.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::JSON;
use Weir::Stress;
use Weir::Test;

Weir::Build::ignore_leaks();

my ($port, $lines) = free_ports(2);
my @echo = map { backend('echo') } 1 .. 2;
my @line = map { serve('line') } 1 .. 2;
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server gate]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = behind

[upstream behind]
server = @{[$echo[0]->address]}
server = @{[$echo[1]->address]} max_conns=100

[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = pool

[upstream pool]
server = @{[$line[0]->address]}
server = @{[$line[1]->address]}
CONF
my ($one, $two) = map { $_->address } @echo;

sub peers(@args) { return @{Weir::JSON::decode($w->command('peers', '--json', @args)->{out})} }

sub peer($upstream, $address)
{
	my ($found) = grep { $_->{address} eq $address } peers($upstream);
	return $found;
}

sub order(@words)
{
	my $result = $w->command('peer', @words);
	is $result->{exit}, 0, "peer @words" or diag $result->{err};
}

# Which of the two a new session is given.
sub chosen()
{
	my $before = $w->status->peer('behind', $one)->{connected};
	my $c = client($port);
	$c->ping;
	my $after = $w->status->peer('behind', $one)->{connected};
	$c->close;
	return $after > $before ? 0 : 1;
}

it 'peers are listed' => sub {
	my $result = $w->command('peers');
	is $result->{exit}, 0;
	like $result->{out}, qr/^UPSTREAM +ADDRESS +STATE +WEIGHT/;
	like $result->{out}, qr/^behind +\Q$two\E +up +1 +0 +0 +0 +100 +\d+\w+ +-$/m;
	is scalar(split /\n/, $result->{out}), 5;
	is scalar(peers('pool')), 2;
	is peer('behind', $two)->{max_conns}, 100;
};

it 'what is not there is told, with what is' => sub {
	for my $case ([['peers', 'nobody'], 1, qr/no upstream nobody; there are behind, pool/],
	    [['peer', 'behind', '127.0.0.1:1', 'down'], 1, qr/no peer 127.0.0.1:1; it has \Q$one\E/],
	    [['peer', 'nobody', $one, 'down'], 1, qr/no upstream nobody/],
	    [['peer', 'behind', $one, 'sideways'], 2, qr/nothing of that name.*up\|down\|drain\|weight N/],
	    [['peer', 'behind', $one, 'weight', '0'], 2, qr/from 1 to 65535/],
	    [['peer', 'behind', $one], 2, qr/usage: weir peer/],
	    [['peer', 'behind', $one, 'up', '--json'], 2, qr/--json: peer does not take it/]) {
		my ($args, $exit, $says) = @$case;
		my $result = $w->command(@$args);
		is $result->{exit}, $exit, "weir @$args";
		like $result->{err}, $says;
	}
	is peer('behind', $one)->{state}, 'up';
};

it 'down: nobody new goes there, in any worker, and who is there stays' => sub {
	my @held = map { my $c = client($port); $c->ping; $c } 1 .. 4;
	$w->mark;
	order('behind', $one, 'down');
	like $w->log_since, qr/notice \d+ master: command: peer behind \Q$one\E down: by \S.*\(?uid \d+, process \d+/;
	is chosen, 1 for 1 .. 8;
	ok $_->ping for @held;
	my $row = peer('behind', $one);
	is $row->{state}, 'down';
	is $row->{command}, 'down';
	cmp_ok $row->{sessions}, '>', 0;
	like $w->command('peers', 'behind')->{out}, qr/\Q$one\E +down by command/;
	is $w->status->peer('behind', $one)->{state}, 'down';
};

it 'a reload keeps it while its line is the same, and up ends it' => sub {
	is $w->reload->{exit}, 0;
	is chosen, 1 for 1 .. 4;
	is peer('behind', $one)->{state}, 'down';
	order('behind', $one, 'up');
	is peer('behind', $one)->{command}, '';
	my %had = map { chosen() => 1 } 1 .. 8;
	is scalar(keys %had), 2;
};

it 'a weight is in force at once, and as long as the line says what it said' => sub {
	order('behind', $one, 'weight', 7);
	is peer('behind', $one)->{weight}, 7;
	is peer('behind', $one)->{weight_configured}, 1;
	my $to_one = grep { chosen() == 0 } 1 .. 16;
	cmp_ok $to_one, '>=', 12, "7 of 8: $to_one of 16";
	$w->edit_conf(sub { s/(server = \Q$one\E)$/$1 weight=2/m });
	$w->mark;
	is $w->reload->{exit}, 0;
	is peer('behind', $one)->{weight}, 2;
	ok $w->wait_log(qr/peer \Q$one\E of upstream behind: its line .* is another: the weight that was set by command/);
};

it 'what was said is told with the configuration that runs, whatever is in the file' => sub {
	order('behind', $two, 'down');
	order('behind', $two, 'weight', 9);
	$w->edit_conf(sub { s/max_conns=100/max_conns=101/ });
	my $result = $w->command('-T', '--running');
	is $result->{exit}, 0 or diag $result->{err};
	like $result->{out}, qr/\A# weir peer behind \Q$two\E down\n# weir peer behind \Q$two\E weight 9\n/;
	like $result->{out}, qr/^server = \Q$two\E max_conns=100\b/m;
	is $w->reload->{exit}, 0;
	like $w->command('-T', '--running')->{out}, qr/^server = \Q$two\E max_conns=101\b/m;
	order('behind', $two, 'weight', 1);
	order('behind', $two, 'up');
	unlike $w->command('-T', '--running')->{out}, qr/weir peer/;
	my $other = $w->command('-p', '/', '-T', '--running');
	is $other->{exit}, 1;
	is $w->command('status', '--running')->{exit}, 2;
};

it 'drain is waited for' => sub {
	order('behind', $two, 'down');
	my $c = client($port);
	$c->ping;
	order('behind', $two, 'up');
	my $result = $w->command('peer', 'behind', $one, 'drain', '--wait', '--timeout', '100ms');
	is $result->{exit}, 1;
	like $result->{err}, qr/not done within 100ms/;
	is peer('behind', $one)->{state}, 'draining';
	ok $c->ping, 'who is there stays';
	is chosen, 1;
	$c->close;
	is $w->command('peer', 'behind', $one, 'drain', '--wait')->{exit}, 0;
	is peer('behind', $one)->{state}, 'drained';
	order('behind', $one, 'up');
};

it 'drained under load: nothing fails, and its links end' => sub {
	my ($first, $other) = map { $_->address } @line;
	my $run = stress_start('line', '-c', 24, '-n', 8000, '--warmup', 0, "127.0.0.1:$lines");
	ok wait_for { $w->status->peer('pool', $first)->{requests} > 500 };
	my $result = $w->command('peer', 'pool', $first, 'drain', '--wait');
	is $result->{exit}, 0;
	my $had = $w->status->peer('pool', $first);
	is $had->{connections}, 0;
	unharmed($run->wait);
	is $w->status->peer('pool', $first)->{requests}, $had->{requests}, 'it has had no more';
	is $w->status->peer('pool', $first)->{requests} + $w->status->peer('pool', $other)->{requests}, 8000;
	cmp_ok $w->status->peer('pool', $first)->{links_withdrawn}, '>', 0;
	is_deeply $w->status->failures('pool'), {};
};

done_testing;
