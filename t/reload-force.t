#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A reload that would leave nothing of what is served is a mistake, unless it is forced.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

my ($port, $other) = free_ports(2);
my $conf = <<"CONF";
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
my $w = weir($conf);

sub refused($why)
{
	my $result = $w->reload;
	is $result->{exit}, 1, 'refused';
	like $result->{err}, $why;
	ok client($port)->ping, 'and it serves on';
}

for ([''], ["\n; nothing\n", 'a comment'], ["[weir]\nworkers = 1\n", 'no server'],
    ["[defaults server]\nidle_timeout = 1m\n", 'defaults only']) {
	my ($text, $name) = @$_;

	it 'no server is left: ' . ($name // 'an empty file') => sub {
		$w->write_conf($text);
		refused(qr/weir\.conf: error: there is no \[server\]/);
		my $result = $w->command('-t');
		is $result->{exit}, 1, '-t says so, too';
		like $result->{err}, qr/there is no \[server\]/;
	};
}

it 'an error is told alone' => sub {
	$w->command('-t');
	my $result = $w->command('-t', '-c', $w->path('conf/none.conf'));
	is $result->{exit}, 1;
	unlike $result->{err}, qr/\[server\]/;
};

it 'every listener would go' => sub {
	$w->write_conf($conf =~ s/$port/$other/r);
	refused(qr/error: none of the addresses .* --force/);
	ok !Weir::Client->try("127.0.0.1:$other"), 'nobody listens on the new one';
};

it 'a signal never forces' => sub {
	$w->mark;
	$w->signal('HUP');
	ok $w->wait_log(qr/none of the addresses/);
	ok client($port)->ping;
};

it 'one that covers it is enough' => sub {
	$w->write_conf($conf =~ s/127\.0\.0\.1:$port/*:$port/r);
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
	$w->write_conf($conf);
	is $w->reload->{exit}, 0;
};

it 'forced' => sub {
	$w->write_conf($conf =~ s/$port/$other/r);
	is $w->command('-s', 'reload', '--force')->{exit}, 0;
	ok client($other)->ping;
	$w->write_conf('');
	my $result = $w->command('-s', 'reload', '--force');
	is $result->{exit}, 0;
	like $result->{out}, qr/listener closed: 127\.0\.0\.1:$other/;
	is $w->reload->{exit}, 1, 'the next one is not forced';
};

it 'a template that dies is made anew from what was forced' => sub {
	$w->allow(qr/template/);
	$w->mark;
	my ($template, $generation) = ($w->template, $w->status->generation);
	kill('KILL', $template);
	ok $w->wait_log(qr/generation @{[$generation + 1]} runs/, 20), 'without a server';
	ok $w->template != $template;
	unlike $w->log_since, qr/error: |there is no \[server\]|none of the addresses/;
	is $w->reload->{exit}, 1, 'a reload of its own is not forced by that';
};

it 'from nothing to something is no mistake' => sub {
	$w->write_conf($conf);
	is $w->reload->{exit}, 0;
	ok client($port)->ping;
};

it '--force is for reload' => sub {
	for my $args (['--force'], ['-s', 'stop', '--force'], ['status', '--force']) {
		is $w->command(@$args)->{exit}, 2, "weir @$args";
	}
	ok client($port)->ping;
};

it 'a start without a server' => sub {
	my $none = Weir::Daemon->new('');
	my $result = $none->command('-g', 'daemon = off');
	is $result->{exit}, 1;
	like $result->{err}, qr/there is no \[server\]/;
};

done_testing;
