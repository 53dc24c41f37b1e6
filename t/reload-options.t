#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A reload reads what weir was started with: a command that names something else is refused.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

my ($port) = free_ports(1);
my $conf = <<"CONF";
[weir]
[server echo]
listen = 127.0.0.1:$port
protocol = echo
CONF
my $w = Weir::Daemon->start($conf, args => ['-g', 'workers = 2', '-g', 'worker_connections = 100']);
my $file = $w->path('conf/weir.conf');
my @given = ('-g', 'workers = 2', '-g', 'worker_connections = 100');

sub weir_with(@args)
{
	return Weir::Process::run([Weir::Build::binary(), @args]);
}

sub refused($result, $why)
{
	is $result->{exit}, 1;
	is $result->{out}, '', 'nothing runs anew';
	like $result->{err}, $why, 'what differs is named';
	like $result->{err}, qr/^nothing was done: .*-c, -p and -g/m, 'and what to do';
	like $w->command('generations')->{out}, qr/^generation 1: running/m;
}

it 'another configuration' => sub {
	my ($other, $missing) = ($w->path('conf/other.conf'), $w->path('conf/missing.conf'));
	spurt($other, 'broken');
	for ($other, $missing) {
		refused(weir_with('-p', $w->prefix, '-c', $_, @given, '-s', 'reload'),
		    qr/^error: the weir that runs, process @{[$w->pid]}, was started with -c \Q$file\E, not with -c \Q$_\E$/m);
	}
};

it 'another prefix' => sub {
	my $prefix = $w->path('logs');
	refused(weir_with('-p', $prefix, '-c', $file, @given, '-g', 'control = ' . $w->path('run/weir.sock'), '-s', 'reload'),
	    qr/was started with -p \Q@{[$w->prefix]}\E, not with -p \Q$prefix\E$/m);
};

for my $case (['none', [], 'without -g'],
	['another value', ['-g', 'workers=3', '-g', 'worker_connections=100'],
	    "with -g 'workers = 3' -g 'worker_connections = 100'"],
	['one more', [@given, '-g', 'user = nobody%'],
	    "with -g 'workers = 2' -g 'worker_connections = 100' -g 'user = nobody%25'"],
	['one less', ['-g', 'workers = 2'], "with -g 'workers = 2'"]) {
	my ($what, $args, $named) = @$case;

	it "other -g: $what" => sub {
		refused($w->command(@$args, '-s', 'reload'),
		    qr/, was started with -g 'workers = 2' -g 'worker_connections = 100'; this command comes \Q$named\E$/m);
		refused($w->command(@$args, '-s', 'reload', '--force'), qr/this command comes/) if $what eq 'none';
	};
}

it 'the same in other words is the same' => sub {
	symlink($w->prefix, $w->path('run/link')) or die;
	symlink($file, $w->path('run/link.conf')) or die;
	for my $args (['-p', $w->prefix, '-c', $file, @given],
		['-p', $w->path('run/..'), '-c', $w->path('run/../conf/weir.conf'), @given],
		['-p', $w->path('run/link'), '-c', $w->path('run/link.conf'), @given],
		['-p', $w->prefix . '/', @given[2, 3], '-g', " workers=2 "],
		['-p', $w->prefix, @given, '-g', 'daemon = off', '-g', 'pid = elsewhere', '-g', 'control = run/weir.sock']) {
		is weir_with(@$args, '-s', 'reload')->{exit}, 0, "@$args";
	}
};

it 'other commands only find weir by them' => sub {
	for my $args (['status'], ['generations'], ['-s', 'reopen']) {
		is $w->command(@$args)->{exit}, 0, "weir @$args";
	}
};

it 'who asks on the socket itself and names nothing gets what runs' => sub {
	my $c = client('unix:' . $w->path('run/weir.sock'));
	$c->send("reload\n");
	like $c->rest, qr/^=0$/m;
};

it 'a control socket of another name is for the next start, and until then the way is told' => sub {
	my $socket = $w->path('run/weir.sock');
	my @old = ('-g', "control = $socket");
	$w->edit_conf(sub { s/\[weir\]\n/[weir]\ncontrol = run\/b.sock\n/ });
	my $told = sub ($reload, $name) {
		is $reload->{exit}, 0;
		like $reload->{err}, qr{^warning: control = \Q@{[$w->path("run/$name")]}\E is used from the next start on: until then commands need -g 'control = \Q$socket\E'$}m;
	};
	$told->($w->command(@given, @old, '-s', 'reload'), 'b.sock');
	like $w->command('status')->{err}, qr/^weir: process @{[$w->pid]} runs /, 'which is told without it, too';
	is $w->command('status', @old)->{exit}, 0;
	$w->edit_conf(sub { s/b\.sock/c.sock/ });
	$told->($w->command(@given, @old, '-s', 'reload'), 'c.sock');
	$told->($w->command(@given, @old, '-s', 'reload'), 'c.sock');
	$w->edit_conf(sub { s/^control.*\n//m });
	is $w->command(@given, @old, '-s', 'reload')->{err}, '', 'as it was';
};

it 'a command line that does not fit is refused' => sub {
	my $result = $w->command('-s', 'reload', '-g', 'user = ' . 'x' x 9000);
	is $result->{exit}, 1;
	like $result->{err}, qr/Argument list too long/;
};

done_testing;
