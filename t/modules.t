#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Loadable modules: what is good loads, what is not is refused by name and reason.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

Weir::Build::ignore_leaks();

my $dir = File::Temp->newdir;
chmod(0755, $dir);

# A protocol that greets; %change: parts of the source that are replaced.
sub source(%change)
{
	my %part = (
		name  => 'parrot',
		word  => 'hello',
		check => 'return NULL;',
		open  => 'return weir_send(s, (struct weir_span){ WORD, sizeof(WORD) - 1 });',
		data  => 'return weir_send(s, in);',
		state => 0,
		abi   => 'WEIR_MODULE(module);',
		%change,
	);
	return <<"C";
#include <signal.h>
#include <stdlib.h>
#include "weir.h"

#define WORD "$part{word}\\n"

static const char *
check(struct weir_scope *scope)
{
	(void)scope;
	$part{check}
}

static enum weir_verdict
open_session(struct weir_session *s)
{
	$part{open}
}

static enum weir_verdict
data(struct weir_session *s, struct weir_span in)
{
	$part{data}
}

static const struct weir_protocol protocol = { .open = open_session, .data = data };
static const struct weir_module module = {
	.name = "$part{name}",
	.check = check,
	.state_size = $part{state},
	.protocol = &protocol,
};
$part{abi}
C
}

sub build($file, %change)
{
	return Weir::Build::compile_module(source(%change), "$dir/$file.so");
}

# The ABI record as WEIR_MODULE writes it, with something else in it.
sub record(%change)
{
	my %field = (
		magic => 'WEIR_ABI_MAGIC', size => 'sizeof(struct weir_abi)',
		major => 'WEIR_ABI_MAJOR', minor => 'WEIR_ABI_MINOR',
		module_size => 'sizeof(struct weir_module)', key_size => 'sizeof(struct weir_key)',
		protocol_size => 'sizeof(struct weir_protocol)',
		balancer_size => 'sizeof(struct weir_balancer)', module => '&module', %change,
	);
	return '__attribute__((visibility("default"))) const struct weir_abi weir_abi = {' .
	    join(', ', map { ".$_ = $field{$_}" } sort keys %field) . '};';
}

sub conf($port, $module, $protocol = 'parrot')
{
	return <<"CONF";
[weir]
workers = 2
error_log = logs/error.log info
load_module = $module

[server bird]
listen = 127.0.0.1:$port
protocol = $protocol
CONF
}

my $good = build('good');

it 'a module loads and serves' => sub {
	my $w = weir(conf(my $port = free_port, $good));
	my $c = client($port);
	is $c->line, "hello\n";
	ok $c->ping;
	$c->close;
	$w->stop;
};

it 'the loadable ones of the tree load' => sub {
	my %modules = Weir::Build::modules();
	ok scalar(keys %modules), 'there are some: ' . join(', ', sort keys %modules);
	my $none = Weir::Daemon->new('');
	for my $name (sort keys %modules) {
		my $result = $none->command('modinfo', $modules{$name});
		is $result->{exit}, 0, "modinfo $name";
		like $result->{out}, qr/\b$name\b/;
	}
};

it 'modinfo tells of a module' => sub {
	my $none = Weir::Daemon->new('');
	my $result = $none->command('modinfo', $good);
	is $result->{exit}, 0;
	like $result->{out}, $_ for qr/parrot/, qr/protocol/, qr/\b1\.5\b/;
};

open(my $text, '>', "$dir/text.so") or die "text.so: $!\n";
print $text "this is no module\n";
close($text);
open(my $empty, '>', "$dir/empty.so") or die "empty.so: $!\n";
close($empty);
mkdir("$dir/directory.so");
Weir::Build::compile_module("int answer(void) { return 42; }\n", "$dir/stranger.so",
    '-fvisibility=default');
open(my $whole, '<:raw', $good) or die "$good: $!\n";
sysread($whole, my $half, int((-s $good) / 2));
open(my $cut, '>:raw', "$dir/cut.so") or die "cut.so: $!\n";
print $cut $half;
close($cut);

build('major', abi => record(major => 'WEIR_ABI_MAJOR + 1'));
build('old', abi => record(major => '0'));
build('magic', abi => record(magic => '0x1122334455667788u'));
build('no_module', abi => record(module => 'NULL'));
build('symbol', open => 'int weir_from_the_future(void); weir_from_the_future(); return 0;');
build('says_no', check => 'return "the parrot is dead";');
build('crashes', check => 'abort();');
build('exits', check => 'exit(0);');
build('twice');
build('no_name', name => '');
build('huge', state => '(size_t)1 << 40');

# What each is refused with, at the start and at a reload.
my @bad = (
	['missing', 'missing.so', qr/missing\.so/],
	['missing in the module directory', undef, qr/no_such_module\.so/],
	['text', 'text.so', qr/text\.so/],
	['an empty file', 'empty.so', qr/empty\.so/],
	['a directory', 'directory.so', qr/directory\.so/],
	['a shared object that is no module', 'stranger.so', qr/stranger\.so.*not a.*module|no weir module/i],
	['cut in half', 'cut.so', qr/cut\.so/],
	['of a newer ABI', 'major.so', qr/major\.so.*(?:ABI|interface) 2\.\d+.*has 1\./],
	['of an older ABI', 'old.so', qr/old\.so.*(?:ABI|interface) 0\.\d+.*has 1\./],
	['without the magic', 'magic.so', qr/magic\.so/],
	['without a module in its record', 'no_module.so', qr/no_module\.so/],
	['without a name', 'no_name.so', qr/weir\.conf:4.*name/],
	['with a missing symbol', 'symbol.so', qr/weir_from_the_future/],
	['whose check says no', 'says_no.so', qr/the parrot is dead/],
	['whose check crashes', 'crashes.so', qr/SIGABRT.*\bbird\b.*\bparrot\b/],
	['whose check exits', 'exits.so', qr/status 0.*\bbird\b.*\bparrot\b/],
);

for my $case (@bad) {
	my ($name, $file, $phrase) = @$case;
	my $path = $file ? "$dir/$file" : 'no_such_module.so';

	it "at the start: $name" => sub {
		my $w = Weir::Daemon->new(conf(free_port, $path));
		my $result = $w->command('-g', 'daemon = off');
		isnt $result->{exit} // 'a signal', 0;
		like $result->{text}, $phrase;
	};
}

it 'with -t too' => sub {
	for my $case (@bad) {
		my ($name, $file, $phrase) = @$case;
		my $path = $file ? "$dir/$file" : 'no_such_module.so';
		my $w = Weir::Daemon->new(conf(free_port, $path));
		my $result = $w->command('-t');
		isnt $result->{exit} // 'a signal', 0, $name;
		like $result->{text}, $phrase;
	}
};

it 'at a reload the old generation serves on' => sub {
	my $w = weir(conf(my $port = free_port, $good));
	$w->allow(qr/template/);
	my $stays = client($port);
	$stays->line;
	for my $case (@bad) {
		my ($name, $file, $phrase) = @$case;
		my $path = $file ? "$dir/$file" : 'no_such_module.so';
		$w->write_conf(conf($port, $path));
		my $result = $w->reload;
		is $result->{exit}, 1, $name;
		like $result->{text}, $phrase;
		ok $stays->ping;
		is client($port)->line, "hello\n";
	}
	$w->write_conf(conf($port, $good));
	is $w->reload->{exit}, 0, 'and a good one is taken';
	$stays->close;
	$w->stop;
};

it 'two modules of one name are refused' => sub {
	my $w = Weir::Daemon->new(conf(free_port, "$good\nload_module = $dir/twice.so"));
	my $result = $w->command('-t');
	isnt $result->{exit}, 0;
	like $result->{text}, qr/parrot/;
};

it 'a module of absurd size is refused' => sub {
	my $w = Weir::Daemon->new(conf(free_port, "$dir/huge.so"));
	isnt $w->command('-g', 'daemon = off')->{exit} // 'a signal', 0;
};

it 'a module built for a smaller interface loads' => sub {
	my $small = build('small', abi => record(
	    module_size => 'offsetof(struct weir_module, balancer)',
	    protocol_size => 'offsetof(struct weir_protocol, eof)'));
	my $w = weir(conf(my $port = free_port, $small));
	my $c = client($port);
	is $c->line, "hello\n";
	is $c->shutdown->ending, 'eof';
	$w->stop;
};

it 'a module with the record of 1.0 loads' => sub {
	my $first = build('first', abi => record(minor => 0,
	    size => 'offsetof(struct weir_abi, exchange_size)'));
	my $w = weir(conf(my $port = free_port, $first));
	is client($port)->line, "hello\n";
	like $w->command('modinfo', $first)->{out}, qr/^abi        1\.0$/m;
	$w->stop;
	my $short = build('short', abi => record(
	    size => 'offsetof(struct weir_abi, exchange_size) - 1'));
	like $w->command('modinfo', $short)->{text}, qr/short\.so.*cut short/, 'with less it does not';
};

it 'a replaced file is what a reload loads' => sub {
	my $file = build('changing', word => 'one');
	my $w = weir(conf(my $port = free_port, $file));
	my $old = client($port);
	is $old->line, "one\n";
	rename(build('newer', word => 'two'), $file) or die "$file: $!\n";
	is client($port)->line, "one\n", 'not before';
	is $w->reload->{exit}, 0;
	is client($port)->line, "two\n";
	ok $old->ping, 'sessions of the old one go on';
	$old->close;
	$w->stop;
};

it 'a module that crashes costs its worker, not weir' => sub {
	my $file = build('fragile',
	    data => "if (in.data[0] == '!') abort();\n\treturn weir_send(s, in);");
	my $w = weir(conf(my $port = free_port, $file));
	$w->allow(qr/worker/);
	for (1 .. 3) {
		my @old = $w->workers;
		my $c = client($port);
		$c->line;
		$c->send('!');
		isnt $c->ending, 'open';
		ok wait_for {
			my @new = $w->workers;
			@new == 2 && "@new" ne "@old";
		}, 'the worker is replaced';
		is client($port)->line, "hello\n";
	}
	$w->stop;
};

it 'workers that crash again and again: back to the configuration of before' => sub {
	my ($steady, $brittle) = (build('steady', word => 'steady'), build('brittle', open => 'abort();'));
	my $w = weir(conf(my $port = free_port, $steady));
	$w->allow(qr/worker|its processes crash/);
	my $old = client($port);
	is $old->line, "steady\n";
	my $provoke = sub {
		wait_for {
			my $c = Weir::Client->try("127.0.0.1:$port");
			eval { $c->ending } if $c;
			$w->log_since =~ /its processes crash: going back to the configuration of before/;
		} 30;
	};
	my $good = $w->conf;
	$w->write_conf(my $bad = conf($port, $brittle));
	for my $n (1 .. 2) {
		$w->mark;
		is $w->reload->{exit}, 0, 'it loads, and begins';
		my $crashing = $w->status->generation;
		ok $provoke->(), 'its workers crash';
		$w->wait_log(qr/alert \d+ master: generation $crashing: its processes crash/);
		ok((wait_for { $w->status->generation == $crashing + 1 } 20), 'the next one runs');
		is client($port)->line, "steady\n", 'as it was before';
		is $w->conf, $bad, 'whatever is in the files';
	}
	$w->write_conf($good);
	is $w->reload->{exit}, 0;
	is client($port)->line, "steady\n";
	$w->stop;
};

it 'what a module keeps is given to it again' => sub {
	my $file = build('keeps', open => 'return WEIR_GO_ON;', data => <<'C');
	if (in.len < 10)
		return weir_keep(s, in);
	return weir_send(s, in);
C
	my $w = weir(conf(my $port = free_port, $file));
	my $c = client($port)->dribble('0123456789');
	is $c->recv(10), '0123456789';
	$c->close;
	$w->stop;
};

it 'a module may keep nothing for ever' => sub {
	my $file = build('hoards', open => 'return WEIR_GO_ON;', data => 'return weir_keep(s, in);');
	my $w = weir(conf(my $port = free_port, $file));
	$w->edit_conf(sub { $_ .= "read_buffer = 4k\nread_timeout = 200ms\n" });
	is $w->reload->{exit}, 0;
	my $c = client($port);
	eval { $c->send('x' x 1_000_000) };
	isnt $c->ending, 'open', 'more than read_buffer ends the session';
	$c = client($port);
	$c->send('x');
	isnt $c->ending, 'open', 'so does read_timeout';
	$w->stop;
};

done_testing;
