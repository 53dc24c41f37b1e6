#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# run/ and logs/ need not be there: weir makes them, and no other folder.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Weir::Test;

Weir::Build::ignore_leaks();

my $conf = <<'CONF';
[weir]
error_log = logs/error.log

[server s]
listen = unix:run/echo.sock
protocol = echo
CONF

sub bare_prefix($w) { rmdir($w->path($_)) or die "$_: $!" for qw(run logs) }

it 'they are made by the start, not by a test' => sub {
	my $w = Weir::Daemon->new($conf, prepare => \&bare_prefix);
	is $w->command('-t')->{exit}, 0, '-t';
	ok !-e $w->path($_), "$_ is not made by it" for qw(run logs);
	$w->spawn->wait_ready;
	ok -S $w->path('run/echo.sock') && -s $w->path('run/weir.pid') && -s $w->path('logs/error.log'), 'in use';
	my $client = client('unix:' . $w->path('run/echo.sock'));
	ok $client->ping, 'and it serves';
	$client->close;
};

it 'a reload that is the first to name one makes it' => sub {
	my $w = Weir::Daemon->start($conf =~ s{logs/error.log}{run/log}r,
	    prepare => sub ($w) { rmdir($w->path('logs')) or die });
	$w->edit_conf(sub { s{run/log}{logs/error.log} });
	is $w->reload->{exit}, 0 or diag $w->reload->{text};
	ok -e $w->path('logs/error.log');
};

it 'no other folder is made' => sub {
	my $w = Weir::Daemon->new($conf);
	for my $name ('log/error.log', 'logs/x/error.log', 'run/x/error.log', 'x/logs/error.log') {
		$w->write_conf($conf =~ s{logs/error.log}{$name}r);
		for my $args (['-t'], ['-g', 'daemon = off']) {
			my $result = $w->command(@$args);
			is $result->{exit}, 1, "@$args, $name";
			like $result->{text}, qr{there is no directory \S+: create it};
		}
	}
};

it 'configure says where what is' => sub {
	my $dir = tempdir('weir-configure-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my $configure = Weir::Build::srcdir() . '/configure';
	like `$configure --help`, qr/--$_=DIR/, "--help: $_" for qw(bindir localstatedir);
	my $result = Weir::Process::run(['sh', '-c',
	    'cd "$1" && "$0" --prefix=/p --bindir=/b --localstatedir=/v >/dev/null && make -n -o all install',
	    $configure, $dir], timeout => 120);
	is $result->{exit}, 0 or diag $result->{text};
	like $result->{out}, qr{weir-stress /b/weir-stress}, '--bindir';
	like $result->{out}, qr{install -d /v/logs /v/run }, 'make install';
	open(my $in, '<', "$dir/obj/config.h") or die;
	like join('', readline($in)), qr{LOCALSTATEDIR "/v"}, 'and weir';
};

done_testing;
