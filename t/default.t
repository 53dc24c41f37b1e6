#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# conf/weir.conf as it is shipped runs as it is; only its ports are others here.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my ($echo, $proxy) = free_ports(2);
my $path = Weir::Build::srcdir() . '/conf/weir.conf';
open(my $fh, '<', $path) or die "$path: $!\n";
my $text = do { local $/; readline($fh) };
like $text, qr/127\.0\.0\.1:8080\b/;
like $text, qr/127\.0\.0\.1:8081\b/;
$text =~ s/\b8080\b/$echo/g;
$text =~ s/\b8081\b/$proxy/g;

my $w = Weir::Daemon->new($text);
my $test = $w->command('-t');
is $test->{exit}, 0, '-t is content' or diag $test->{text};
$w->spawn->wait_ready;

it 'an echo on the first port' => sub {
	ok client($echo)->ping;
	is client($echo)->send_fin('abc')->rest, 'abc';
};

it 'a proxy to it on the second' => sub {
	ok client($proxy)->ping;
	my $lines = join('', map { "line $_\n" } 1 .. 1000);
	is client($proxy)->send_fin("${lines}no line")->rest, $lines;
};

it 'whose clients share connections' => sub {
	my @clients = map { client($proxy) } 1 .. 100;
	$_->send("mine\n") for @clients;
	is $_->line, "mine\n" for @clients;
	cmp_ok $w->status->peer('backend', "127.0.0.1:$echo")->{links}, '<=', 16;
};

stop($w);

it 'without root' => sub {
	plan skip_all => 'these tests do not run as root: the above was it' if $> != 0;
	my (undef, undef, $uid, $gid) = getpwnam('nobody');
	my $other = Weir::Daemon->new($text);
	chown($uid, $gid, $other->path($_)) for qw(. conf logs run conf/weir.conf);
	my $pid = Weir::Process::spawn([$other->_command('-g', 'daemon = off')], user => 'nobody',
	    group_leader => 1, output => $other->path('logs/console'), env => { $other->_env });
	@$other{qw(child pid)} = ($pid, $pid);
	$other->wait_ready;
	ok client($_)->ping for $echo, $proxy;
	stop($other);
};

# Its pool keeps connections to its own echo server: what is idle of them are sessions there.
sub stop($weir)
{
	Weir::Client->reset_all;
	my ($links, $sessions);
	await {
		my $status = $weir->status;
		$links = $status->peer('backend', "127.0.0.1:$echo")->{links};
		$sessions = $status->sessions;
		$links == $sessions;
	} 'only links are left';
	$weir->stop(idle => 0);
}

done_testing;
