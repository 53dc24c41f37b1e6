#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Which peer a session gets: round robin, weights, backups, failures, limits.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Weir::Test;

# An upstream for each case, so that none sees what another has left; one worker,
# because each worker goes round by itself.
my (%port, %peer, $conf);
$conf = <<'CONF';
[weir]
workers = 1
error_log = logs/error.log info
CONF

sub upstream($name, $keys, @servers)
{
	$port{$name} = free_port;
	$conf .= <<"CONF";
[server $name]
listen = 127.0.0.1:$port{$name}
protocol = stream_proxy
upstream = $name
[upstream $name]
CONF
	$conf .= "$_\n" for @$keys;
	for my $server (@servers) {
		my ($peer, $parameters) = split(' ', $server, 2);
		$conf .= 'server = ' . $peer{$peer}->address . ' ' . ($parameters // '') . "\n";
	}
}

$peer{$_} = backend('named', name => $_) for 'a' .. 'e';
$peer{$_} = backend('refuse', name => $_) for qw(gone lost off back once);
$peer{full} = backend('full');
upstream(even     => ['balance = round_robin'], 'a', 'b', 'c');
upstream(default  => [], 'a', 'b');
upstream(weighted => [], 'a weight=3', 'b', 'c weight=2');
upstream(down     => [], 'a', 'b down', 'c');
upstream(backup   => [], 'd', 'e backup');
upstream(next     => [], 'gone max_fails=0', 'a');
upstream(never    => ['retries = 0'], 'gone max_fails=0', 'a');
upstream(twice    => ['retries = 1'], 'gone max_fails=0', 'lost max_fails=0', 'off max_fails=0');
upstream(slow     => ['connect_timeout = 200ms'], 'full max_fails=0', 'a');
upstream(failed   => [], 'once max_fails=2 fail_timeout=1h', 'a');
upstream(returns  => [], 'back max_fails=1 fail_timeout=200ms', 'a');
upstream(limited  => [], 'a max_conns=2', 'b');
upstream(all_full => [], 'a max_conns=1', 'b max_conns=2');
upstream(nobody   => [], 'a down');
upstream(alone    => [], 'gone max_fails=0');
my $w = weir($conf);

# Which peer serves a new session; 'none' when it is closed without a word.
sub asked($name)
{
	my $c = client($port{$name});
	my $line = eval { $c->line } // return 'none';
	chomp($line);
	return wantarray ? ($line, $c) : $line;
}

sub spread($name, $count)
{
	my %count;
	$count{scalar asked($name)}++ for 1 .. $count;
	return join(' ', map { "$_=$count{$_}" } sort keys %count);
}

sub counter($upstream, $peer, $field)
{
	return $w->status->peer($upstream, $peer{$peer}->address)->{$field};
}

it 'goes round' => sub {
	is spread('even', 30), 'a=10 b=10 c=10';
	my @order = map { scalar asked('even') } 1 .. 6;
	is "@order[0 .. 2]", "@order[3 .. 5]", 'always in the same order';
};

it 'begins with the next peer after a reload' => sub {
	my %first;
	for (1 .. 3) {
		$w->reload;
		$first{scalar asked('even')}++;
	}
	is_deeply \%first, { a => 1, b => 1, c => 1 };
};

it 'counts as retried only what went on to another peer' => sub {
	is asked('alone'), 'none';
	my $u = $w->status->upstream('alone');
	is $u->{retried}, 0, 'nobody else was there';
	is $u->{no_peer}, 0, 'and somebody was tried';
};

it 'goes round without being told' => sub {
	is spread('default', 10), 'a=5 b=5';
};

it 'minds the weights' => sub {
	is spread('weighted', 24), 'a=12 b=4 c=8';
};

it 'does not use a peer that is down' => sub {
	is spread('down', 10), 'a=5 c=5';
};

it 'closes the client when no peer may be used' => sub {
	is asked('nobody'), 'none';
	cmp_ok $w->status->upstream('nobody')->{no_peer}, '>=', 1, 'and counts it';
};

it 'uses a backup only when no other is left' => sub {
	is spread('backup', 6), 'd=6';
	$peer{d}->tell('down');
	is spread('backup', 6), 'e=6';
};

it 'takes the next peer when one refuses' => sub {
	is spread('next', 10), 'a=10';
	cmp_ok counter('next', 'gone', 'connect_failed'), '>=', 3, 'the other was tried';
};

it 'takes no other with retries = 0' => sub {
	is spread('never', 10), 'a=5 none=5';
};

it 'gives up when the retries are used up' => sub {
	my $before = $w->status;
	is asked('twice'), 'none';
	my $tried = 0;
	$tried += counter('twice', $_, 'connect_failed') for qw(gone lost off);
	is $tried, 2, 'after two peers';
};

it 'takes the next peer when one does not answer' => sub {
	my $began = now();
	is spread('slow', 2), 'a=2';
	cmp_ok now() - $began, '>=', 0.18, 'after connect_timeout';
	cmp_ok counter('slow', 'full', 'connect_timed_out'), '>=', 1, 'and counts it';
};

it 'leaves a peer alone after max_fails' => sub {
	is spread('failed', 20), 'a=20';
	is counter('failed', 'once', 'connect_failed'), 2;
	$peer{once}->tell('up');
	is spread('failed', 4), 'a=4', 'until fail_timeout is over';
};

it 'tries a failed peer again after fail_timeout' => sub {
	is spread('returns', 4), 'a=4';
	$peer{back}->tell('up');
	# the one that came back is an echo without a name: it says nothing first
	ok wait_for {
		my $c = client($port{returns});
		$c->send("x\n");
		$c->line eq "x\n";
	};
};

it 'holds to max_conns' => sub {
	my @held = map { [asked('limited')] } 1 .. 8;
	my %count;
	$count{$_->[0]}++ for @held;
	is "$count{a} $count{b}", '2 6';
	my ($first) = grep { $_->[0] eq 'a' } @held;
	$first->[1]->reset;
	ok wait_for { asked('limited') eq 'a' }, 'a place that is free is taken again';
};

it 'closes the client when all are full' => sub {
	my @held = map { [asked('all_full')] } 1 .. 3;
	is join(' ', sort map { $_->[0] } @held), 'a b b';
	is asked('all_full'), 'none';
	cmp_ok counter('all_full', 'a', 'full'), '>=', 1, 'and counts it';
	$_->[1]->reset for @held;
	ok wait_for { asked('all_full') ne 'none' };
};

it 'holds to max_conns over all workers, and over a reload' => sub {
	$w->edit_conf(sub { s/workers = 1/workers = 2/ });
	is $w->reload->{exit}, 0;
	my @held = grep { $_->[0] ne 'none' } map { [asked('all_full')] } 1 .. 20;
	is scalar(@held), 3;
	is $w->reload->{exit}, 0;
	is asked('all_full'), 'none', 'also those that an older generation serves';
};

done_testing;
