#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Lines of the log that cannot be written are counted, and told where they can be.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Fcntl qw(O_RDONLY O_NONBLOCK);
use POSIX ();

my ($port) = free_ports(1);
my $server = <<"CONF";
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF

sub lost($w, $name) { return $w->status->log($name)->{lines_lost} }

# Sessions whose end is logged, until both workers have had some.
sub sessions($w)
{
	my %served;
	await {
		my $c = client($port);
		$c->ping;
		$served{$_->{slot}} = 1 for grep { $_->{sessions} } $w->status->workers;
		keys %served == 2;
	} 'sessions of both workers';
	await { $w->status->sessions == 0 } 'their end';
}

it 'a full disk' => sub {
	plan(skip_all => 'no /dev/full') if !-c '/dev/full';
	my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = /dev/full info
error_log = logs/error.log
$server
CONF
	my $before = lost($w, '/dev/full');
	cmp_ok $before, '>', 0, 'what the master loses is counted';
	is lost($w, $w->path('logs/error.log')), 0, 'for each log';
	sessions($w);
	my $accepted = $w->status->server('echo')->{accepted};
	await { lost($w, '/dev/full') - $before >= $accepted } 'what workers lose';
	like $w->command('status')->{out}, qr{^log /dev/full\n  lines_lost +[1-9]}m;
	my @told = $w->log =~ /^(\S+ error \d+ .*: error_log = .*)$/mg;
	is scalar @told, 1, 'told once, by whichever process';
	like $told[0], qr{error_log = /dev/full: \d+ lines? lost: No space left on device; make room there$};

	$w->edit_conf(sub { s/workers = 2/workers = 1/ });
	my $lost = lost($w, '/dev/full');
	is $w->reload->{exit}, 0;
	cmp_ok lost($w, '/dev/full'), '>=', $lost, 'the count stays over a reload';
	is scalar(() = $w->log =~ /error_log = /g), 1, 'and no other generation tells it again';
	$w->stop;
};

it 'where no other log takes it' => sub {
	plan(skip_all => 'no /dev/full') if !-c '/dev/full';
	my $w = weir("[weir]\nerror_log = /dev/full\n$server");
	like $w->console, qr{^\S+ error \d+ master: error_log = /dev/full: \d+ lines? lost: No space}m,
	    'stderr tells';
	$w->stop;
};

it 'a reader that stops, and goes on' => sub {
	my $reader;
	my $w = weir(<<"CONF", prepare => sub ($self) {
[weir]
workers = 1
error_log = logs/fifo debug
error_log = logs/error.log
$server
CONF
		my $fifo = $self->path('logs/fifo');
		POSIX::mkfifo($fifo, 0622) or die "fifo: $!\n";
		sysopen($reader, $fifo, O_RDONLY | O_NONBLOCK) or die "fifo: $!\n";
		fcntl($reader, 1031, 4096);		# F_SETPIPE_SZ: soon full
	});
	my $fifo = $w->path('logs/fifo');
	await { client($port)->ping; lost($w, $fifo) > 20 } 'lines that find no room';
	like $w->log, qr{error_log = \Q$fifo\E: \d+ lines? lost: nobody reads them; its reader };
	my $text = '';
	await {
		1 while sysread($reader, $text, 65536, length $text);
		client($port)->ping;
		$text =~ /worker 0: \d+ lines? could not be written: nobody reads them/;
	} 'a line that tells how many';
	$w->stop;
};

it 'a syslog that is not there' => sub {
	plan(skip_all => 'there is a /dev/log') if -e '/dev/log';
	my $w = weir("[weir]\nerror_log = syslog\nerror_log = logs/error.log\n$server");
	like $w->log, qr{error_log = syslog:daemon: \d+ lines? lost: .*; start the syslog daemon};
	cmp_ok lost($w, 'syslog:daemon'), '>', 0;
	$w->stop;
};

done_testing;
