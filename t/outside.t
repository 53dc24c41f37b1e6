#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The example module, built outside the tree against an installed weir.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $build = $ENV{WEIR_BUILDDIR};
skip_all('WEIR_BUILDDIR is not set: run it with make check') if !$build;
skip_all("no $_") for grep { !program($_) } qw(make pkg-config);

my $dir = File::Temp->newdir;
chmod(0755, $dir);
my $root = "$dir/root";

sub run_well($what, @command)
{
	my $result = Weir::Process::run(\@command, timeout => 100,
	    env => { PKG_CONFIG_SYSROOT_DIR => $root, PKG_CONFIG_PATH => pkgconfig() // '' });
	is $result->{exit}, 0, $what or diag $result->{text};
	return $result;
}

sub find($name)
{
	my ($path) = split(/\n/, Weir::Process::run(['find', $root, '-name', $name])->{out});
	return $path;
}

sub pkgconfig()
{
	my $file = -d $root ? find('weir.pc') : undef;
	return $file ? $file =~ s{/[^/]+$}{}r : undef;
}

sub make_module($word = undef)
{
	mkdir("$dir/module");
	for my $name ('Makefile', 'reverse.c') {
		local $/;
		open(my $in, '<', Weir::Build::srcdir() . "/contrib/modules/reverse/$name") or
		    die "$name: $!\n";
		my $text = readline($in);
		$text =~ s/line too long\\n/$word\\n/ if $word;
		open(my $out, '>', "$dir/module/$name") or die "$name: $!\n";
		print $out $text;
	}
	run_well('the module builds', 'make', '-B', '-C', "$dir/module");
	return "$dir/module/reverse.so";
}

it 'make install puts all in its place' => sub {
	# as it is built: tests that run at the same time use it
	run_well('make install', 'make', '-C', $build, '-o', 'all', 'install', "DESTDIR=$root");
	for my $name (qw(weir weir.h weir.pc weir.conf weir.8 weir.conf.5 weir-module.7)) {
		ok find($name), $name;
	}
};

my $module = make_module();
my $port = free_port;
my $w = Weir::Daemon->new(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info
load_module = $module

[server reverse]
listen = 127.0.0.1:$port
protocol = reverse
reverse_greeting = say something
reverse_line_max = 200
CONF

it 'its configuration is checked' => sub {
	is $w->command('-t')->{exit}, 0;
	$w->edit_conf(sub { s/= 200/= 1/ });
	my $result = $w->command('-t');
	isnt $result->{exit}, 0;
	like $result->{text}, qr/weir\.conf:10.*reverse_line_max/;
	$w->edit_conf(sub { s/line_max = 1/line_max = 200/ });
	like $w->command('-T')->{out}, qr/reverse_greeting/;
};

$w->spawn->wait_ready;

it 'it answers lines back to front' => sub {
	my $c = client($port);
	is $c->line, "say something\n";
	$c->send("stressed\n");
	is $c->line, "desserts\n";
	$c->dribble("abc\ndef\n");
	is $c->line, "cba\n";
	is $c->line, "fed\n";
	is $c->shutdown->rest, "3 lines\n";
};

it 'a line too long ends the session' => sub {
	my $c = client($port);
	$c->line;
	$c->send('x' x 300);
	is $c->rest, "line too long\n";
};

it 'a new build of it is what a reload brings' => sub {
	my $old = client($port);
	$old->line;
	make_module('too much');
	is $w->reload->{exit}, 0;
	my $new = client($port);
	$new->line;
	$_->send('x' x 300) for $old, $new;
	is $_->rest, "too much\n" for $old, $new;
};

it 'make uninstall takes it all away' => sub {
	run_well('make uninstall', 'make', '-C', $build, 'uninstall', "DESTDIR=$root");
	my $left = Weir::Process::run(['find', $root, '-type', 'f'])->{out};
	is $left, '';
};

done_testing;
