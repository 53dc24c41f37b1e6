#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Reloads that follow each other faster than sessions can move, and workers that are killed while they do: nobody
# gets another's bytes, nothing is counted twice, and what nobody has killed goes on.  WEIR_LONG=1: for a minute, and
# 500 deaths.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

my $long = $ENV{WEIR_LONG} && !Weir::Build::sanitized();
my ($echo, $lines, $proxy) = free_ports(3);
my $peer = backend('echo');
my $answers = backend('line');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log notice
[defaults server]
idle_timeout = 1h
[server echo]
listen = 127.0.0.1:$echo
protocol = echo
[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = peer
[server lines]
listen = 127.0.0.1:$lines
protocol = line_proxy
upstream = answers
[upstream peer]
server = @{[$peer->address]} max_conns=1000 max_fails=0
[upstream answers]
server = @{[$answers->address]}
pool_wait = 1h
reply_timeout = off
CONF

my @places = ($echo, $proxy, $lines);

sub one_generation()
{
	return $w->command('generations')->{out} =~ /\Ageneration \d+: running[^\n]*\n(?:  [^\n]*\n)*\z/;
}

it 'a storm of reloads loses nothing' => sub {
	my @load = map { crowd('line', '-c', 15, "127.0.0.1:$_") } @places[1, 2];
	my $before = $w->status->generation;
	my $storm = stress('line', '-c', 15, '-d', $long ? '60s' : '3s', '--every', '50ms', '--across', 'kill -HUP ' . $w->pid,
	    "127.0.0.1:$echo", { timeout => 120 });
	unharmed($storm);
	all_moving(@load);
	unharmed($_->end) for @load;
	my $sent = $storm->{of}{across_runs};
	my $made = $w->status->generation - $before;
	cmp_ok $made, '>', 1, "$made generations came of $sent signals";
	ok wait_for(\&one_generation, 30), 'one is left';
	is $w->status->sessions, 0;
};

# A client that knows what it is owed.
sub open_one($n)
{
	my $c = client($places[$n % @places], timeout => 60);
	return { c => $c, n => $n, asked => 0 };
}

# Asks, and takes the reply; false: its connection has ended.
sub goes_on($one)
{
	my $message = "$one->{n} asks for the " . ++$one->{asked} . ". time\n";
	my $answer = eval { $one->{c}->send($message); $one->{c}->line };
	return 0 if !defined $answer || $answer eq '';
	is $answer, $message, 'its own reply' if $answer ne $message;
	return 1;
}

it 'deaths cost what the dead had, and no more' => sub {
	srand(my $seed = $ENV{WEIR_SEED} // time());
	note "WEIR_SEED=$seed";
	my $deaths = $long ? 500 : Weir::Build::sanitized() || Weir::Build::valgrind() ? 5 : 20;
	my @all = map { open_one($_) } 0 .. 59;
	my ($killed, $lost) = (0, 0);
	for (my $round = 0; $killed < $deaths && $round < 3 * $deaths; $round++) {
		$_->{dead} or goes_on($_) or $_->{dead} = 1 for @all;
		my ($dead) = scalar(grep { $_->{dead} } @all);
		$lost += $dead;
		@all = map { $_->{dead} ? open_one($_->{n}) : $_ } @all;
		$w->signal('HUP');
		goes_on($_) or $_->{dead} = 1 for map { $all[rand @all] } 1 .. rand(30);	# some time
		my @workers = map { $_->{pid} } grep { $_->{kind} eq 'worker' } $w->processes;
		$killed += kill('KILL', $workers[rand @workers]) if @workers;
	}
	is $killed, $deaths, 'so many have died';
	ok wait_for(\&one_generation, 30), 'one generation is left';
	for (@all) {
		goes_on($_) or $_ = open_one($_->{n});
	}
	note "$lost sessions of 60 at a time were lost";
	my $open = sub ($name) { $w->status->server($name)->{sessions} };
	is_deeply [map { $open->($_) } qw(echo proxy lines)], [20, 20, 20], 'each counts once';
	is $w->status->peer('peer', $peer->address)->{connections}, 20, 'and so do their connections';
	$_->{c}->close for @all;
	ok wait_for(sub { !grep { $open->($_) } qw(echo proxy lines) }), 'until they end';
	ok wait_for(sub { $w->status->peer('peer', $peer->address)->{connections} == 0 });
	for my $name (qw(echo proxy lines)) {
		my $s = $w->status->server($name);
		my $ends = 0;
		$ends += $s->{$_} for grep { /^end_/ } keys %$s;
		cmp_ok $ends, '<=', $s->{accepted}, "$name: no end without a beginning";
		cmp_ok $ends, '>=', $s->{accepted} - $lost, 'and what ended without being counted was seen to be lost';
	}
	$w->allow(qr/killed by/);
};

done_testing;
