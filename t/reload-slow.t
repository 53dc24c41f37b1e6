#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What takes long to load, or hangs: a check, a name that is looked up; with a reload, a newer one behind it, and -t.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

my $dir = File::Temp->newdir;
chmod(0755, $dir);

# Its check waits until the file DIR/go is there.
Weir::Build::compile_module(<<"C", "$dir/waiting.so");
#include <unistd.h>
#include "weir.h"

static const char *
waiting_check(struct weir_scope *scope)
{
	(void)scope;
	while (access("$dir/go", F_OK) < 0)
		usleep(10000);
	return NULL;
}

static enum weir_verdict
waiting_data(struct weir_session *s, struct weir_span in)
{
	return weir_send(s, in);
}

static const struct weir_protocol protocol = { .data = waiting_data };
static const struct weir_module waiting = { .name = "waiting", .protocol = &protocol, .check = waiting_check };
WEIR_MODULE(waiting);
C

sub waiting_weir($port, %option)
{
	unlink("$dir/go");
	return weir(<<"CONF", %option);
[weir]
workers = 1
error_log = logs/error.log info
load_module = $dir/waiting.so
[server one]
listen = 127.0.0.1:$port
protocol = echo
CONF
}

sub command_of($w, $output, @args)
{
	spurt($w->path($output), '');
	return Weir::Process::spawn([$w->_command(@args)], env => { $w->_env }, output => $w->path($output));
}

it 'a reload behind one that gets on is told so, and comes next' => sub {
	my $w = waiting_weir(my $port = free_port);
	$w->edit_conf(sub { s/protocol = echo/protocol = waiting/ });
	my $first = command_of($w, 'first', '-s', 'reload');
	$w->wait_log(qr/reloading/);
	my $second = command_of($w, 'second', '-s', 'reload');
	my $told = qr/^generation 2 is loading: this reload comes after it, or in its place if that hangs$/m;
	await { slurp($w->path('second')) =~ $told } 'the second is told';
	spurt("$dir/go", '');
	is Weir::Process::reap($first, 30), 0;
	is Weir::Process::reap($second, 30), 0;
	like slurp($w->path('first')), qr/^generation 2 runs$/m;
	like slurp($w->path('second')), qr/^generation 3 runs$/m;
	$w->stop;
};

it 'a newer reload takes the place of one that hangs' => sub {
	my $w = waiting_weir(my $port = free_port);
	$w->edit_conf(sub { s/protocol = echo/protocol = waiting/ });
	my $first = command_of($w, 'first', '-s', 'reload');
	my $doing = qr/checking \[server one\] with module waiting/;
	$w->wait_log(qr/ warn .*process \d+, which loads the configuration, has been $doing for \S+, and /, 30);
	$w->edit_conf(sub { s/protocol = waiting/protocol = echo/ });
	is $w->reload->{exit}, 0, 'the newer one runs';
	is Weir::Process::reap($first, 30) >> 8, 1;
	like slurp($w->path('first')), qr/^error: a newer reload takes its place: it was still $doing$/m;
	ok client($port)->ping;
	Weir::Client->reset_all;
	$w->stop;
};

it '-t says what it waits for, and how to end it' => sub {
	unlink("$dir/go");
	my $w = Weir::Daemon->new(<<"CONF");
[weir]
load_module = $dir/waiting.so
[server one]
listen = 127.0.0.1:@{[free_port]}
protocol = waiting
CONF
	my $pid = command_of($w, 'test', '-t');
	my $slow = qr/^weir: process \d+, which loads the configuration, has been checking \[server one\] with module waiting for \S+, and .*: an interrupt \(\^C\) ends it$/m;
	await { slurp($w->path('test')) =~ $slow } 'it is told', 30;
	spurt("$dir/go", '');
	is Weir::Process::reap($pid, 30), 0, 'it goes on when that does';
	like slurp($w->path('test')), qr/is good$/m;
};

it 'a name may take longer to look up than worker_watchdog' => sub {
	plan skip_all => 'no library comes before those of a sanitizer or valgrind'
	    if Weir::Build::sanitized() || Weir::Build::valgrind();
	Weir::Build::compile_module(<<"C", "$dir/names.so", '-fvisibility=default');
#include <netdb.h>
#include <unistd.h>

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	(void)name, (void)service, (void)hints, (void)list;
	while (access("$dir/go", F_OK) < 0)
		usleep(10000);
	return EAI_NONAME;
}
C
	my $w = waiting_weir(my $port = free_port, env => { LD_PRELOAD => "$dir/names.so" });
	$w->edit_conf(sub { s/^workers.*/$& \nworker_watchdog = 1s/m });
	is $w->reload->{exit}, 0;
	$w->edit_conf(sub { $_ .= "[upstream slow]\nserver = slow.example:80\n" });
	my $reload = command_of($w, 'reload', '-s', 'reload');
	# That is more than worker_watchdog.
	$w->wait_log(qr/has been reading "server = slow\.example:80" in \[upstream slow\] for 5\S+: do the name servers answer\?/, 30);
	spurt("$dir/go", '');
	is Weir::Process::reap($reload, 30) >> 8, 1;
	like slurp($w->path('reload')), qr/slow\.example:80.*not known/, 'it fails by the answer';
	unlike $w->log, qr/it is killed/;
	$w->stop;
};

done_testing;
