#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Keys of a loaded module: read, inherited, printed, explained, and refused where they do not belong.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use File::Temp ();

Weir::Build::ignore_leaks();

my $dir = File::Temp->newdir('weir-XXXXXX', TMPDIR => 1);
mkdir("$dir/$_") for qw(run logs);

# A protocol with keys. %change: other parts, other fields of the ABI record.
sub build($file, %change)
{
	my %part = (name => 'gauge', key => 'gauge_depth', keys => '', block => 'sizeof(struct block)',
	    check => 'return NULL;', parse => 'return NULL;', role => '.protocol = &protocol,',
	    exchange => '.request = request, .reply = reply,', %change);
	my %abi = (magic => 'WEIR_ABI_MAGIC', size => 'sizeof(struct weir_abi)',
	    major => 'WEIR_ABI_MAJOR', minor => 'WEIR_ABI_MINOR',
	    module_size => 'sizeof(struct weir_module)', key_size => 'sizeof(struct weir_key)',
	    protocol_size => 'sizeof(struct weir_protocol)',
	    balancer_size => 'sizeof(struct weir_balancer)',
	    exchange_size => 'sizeof(struct weir_exchange)', module => '&module', %{$change{abi} // {}});
	my $abi = join(', ', map { ".$_ = $abi{$_}" } sort keys %abi);
	return Weir::Build::compile_module(<<"C", "$dir/$file.so");
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "weir.h"

struct block {
	uint64_t    depth;
	const char *unit;
	char        marks[64];
};

static const char *
parse_mark(struct weir_scope *scope, const char *text, void *value)
{
	(void)scope;
	strncat(value, text, 30);
	$part{parse}
}

/* The table with the stride that the ABI record says. */
static const struct weir_key all[] = {
	{ .name = "$part{key}", .where = WEIR_IN_SERVER, .type = WEIR_SIZE, .initial = "2k", .min = 1,
	    .max = 1 << 20, .offset = offsetof(struct block, depth), .help = "how deep" },
	{ .name = "gauge_unit", .where = WEIR_IN_SERVER, .type = WEIR_STRING, .initial = "cm",
	    .offset = offsetof(struct block, unit), .help = "what it is told in" },
	{ .name = "gauge_mark", .where = WEIR_IN_SERVER, .type = WEIR_OWN, .flags = WEIR_REPEATED,
	    .offset = offsetof(struct block, marks), .parse = parse_mark, .syntax = "TEXT",
	    .help = "marks" },
	$part{keys}
	{ .name = NULL },
};
#define STRIDE ($abi{key_size})
#define COUNT (sizeof(all) / sizeof(all[0]))
static char keys[COUNT * STRIDE] __attribute__((aligned(16)));

__attribute__((constructor)) static void
pack(void)
{
	for (size_t i = 0; i < COUNT; i++)
		memcpy(keys + i * STRIDE, &all[i], STRIDE < sizeof(all[0]) ? STRIDE : sizeof(all[0]));
}

static enum weir_verdict
data(struct weir_session *s, struct weir_span in)
{
	return weir_send(s, in);
}

static const struct weir_protocol protocol = { .data = data };

static enum weir_parse
request(const void *conf, void *memory, struct weir_span in, struct weir_message *message)
{
	(void)conf, (void)memory;
	message->length = in.len;
	return WEIR_WHOLE;
}

static enum weir_parse
reply(const void *conf, void *memory, uint32_t kind, struct weir_span in,
    struct weir_message *message)
{
	(void)kind;
	return request(conf, memory, in, message);
}

static const struct weir_exchange exchange = { $part{exchange} };
static const void *const roles[] __attribute__((used)) = { &protocol, &exchange };
static const char *check(struct weir_scope *);
static const struct weir_module module = {
	.name = "$part{name}",
	.keys = (const void *)keys,
	.conf_size = $part{block},
	.check = check,
	$part{role}
};

static const char *
check(struct weir_scope *scope)
{
	const struct block *b = weir_scope_conf(scope, &module);
	static char text[256];

	snprintf(text, sizeof(text), "depth %llu, unit %s, marks %s", (unsigned long long)b->depth,
	    b->unit, b->marks);
	$part{check}
}

__attribute__((visibility("default"))) extern const struct weir_abi weir_abi;
const struct weir_abi weir_abi = { $abi };
C
}

sub command($text, @args)
{
	open(my $fh, '>', "$dir/weir.conf") or die "weir.conf: $!\n";
	print $fh $text;
	close($fh) or die "weir.conf: $!\n";
	my $result = Weir::Process::run([Weir::Build::binary(), '-p', "$dir/", '-c', "$dir/weir.conf",
	    @args]);
	$result->{text} =~ s{\Q$dir\E/}{}g;
	return $result;
}

my $server = "[server a]\nlisten = 127.0.0.1:65001\n";
my $gauge = build('gauge');
my $load = "[weir]\nload_module = $gauge\n";

it 'its keys are read, inherited and printed' => sub {
	my $result = command(<<"CONF", '-T');
$load
[defaults server]
gauge_depth = 3k
gauge_mark = low
$server
protocol = gauge
gauge_mark = one
gauge_mark = two
[server b]
listen = 127.0.0.1:65002
protocol = echo
CONF
	is $result->{exit}, 0 or diag($result->{text});
	like $result->{text}, qr/^gauge_depth = 3k   ; weir\.conf:5 \[defaults server\]$/m;
	like $result->{text}, qr/^gauge_unit = cm   ; default$/m;
	like $result->{text}, qr/^gauge_mark = one .*\ngauge_mark = two /m;
	is scalar(() = $result->{text} =~ /^gauge_depth/mg), 1, 'in the section that uses it only';
	like $result->{text}, qr/^load_module = gauge\.so   ; weir\.conf:2$/m;
};

my $says = build('says', check => 'return text;');

it 'what it finds in its block is what the file says' => sub {
	my $with = "[weir]\nload_module = $says\n$server\nprotocol = gauge\n";
	like command($with, '-t')->{text}, qr/\[server a\]: depth 2048, unit cm, marks $/m;
	like command("$with\ngauge_depth = 5\ngauge_unit = mm\ngauge_mark = x\ngauge_mark = y\n", '-t')->{text},
	    qr/: error: \[server a\]: depth 5, unit mm, marks xy$/m;
};

it 'a module with shorter structs is understood' => sub {
	my $old = build('old', check => 'return text;', abi => { key_size => 'offsetof(struct weir_key, syntax)',
	    module_size => 'offsetof(struct weir_module, balancer)' });
	my $conf = "[weir]\nload_module = $old\n$server\nprotocol = gauge\n";
	like command("$conf\ngauge_depth = 7\ngauge_mark = z\n", '-t')->{text},
	    qr/: error: \[server a\]: depth 7, unit cm, marks z$/m;
};

it 'mistakes in its keys are told as any other' => sub {
	my $result = command("$load$server\nprotocol = gauge\ngauge_depth = 2g\ngauge_dept = 3\n", '-t');
	is $result->{exit}, 1;
	like $result->{text}, qr/^weir\.conf:7: error: gauge_depth is 2g; at least 1, at most 1m$/m;
	like $result->{text},
	    qr/^weir\.conf:8: error: unknown key gauge_dept in \[server a\]; did you mean gauge_depth\?$/m;
	$result = command("$load$server\nprotocol = echo\ngauge_depth = 2k\n", '-t');
	like $result->{text},
	    qr/^weir\.conf:7: error: gauge_depth is a key of module gauge, not used by \[server a\]$/m;
	$result = command("$server\nprotocol = gauge\ngauge_depth = 2k\n", '-t');
	like $result->{text}, qr/there is no protocol gauge/, 'without load_module';
	like $result->{text}, qr/unknown key gauge_depth/;
};

# [what, phrase, change of the source]
for my $case (
	['a newer interface', qr/newer\.so: built for a newer weir; .* \(ABI 1\.7; this weir has 1\.\d+\)/,
	    'newer', abi => { minor => 7, key_size => 'sizeof(struct weir_key) + 8' }],
	['a longer record', qr/longer\.so: built for a newer weir/, 'longer',
	    abi => { size => 'sizeof(struct weir_abi) + 8' }],
	['a record that is cut short', qr/short\.so: not a weir module: its weir_abi is cut short/, 'short',
	    abi => { size => '16' }],
	['a key that the core has', qr/the key idle_timeout of module gauge is one of server already/,
	    'collides', key => 'idle_timeout'],
	['the name of a built-in module', qr/a module echo is built in/, 'namesake', name => 'echo'],
	['a name that is none', qr/badname\.so: module: no good name/, 'badname', name => 'a b'],
	['a block that is too small', qr/small\.so: module gauge, key gauge_unit: its offset is beyond/,
	    'small', block => 8],
	['a key without parse', qr/key own: it needs parse/, 'parse',
	    keys => '{ .name = "own", .where = WEIR_IN_SERVER, .type = WEIR_OWN },'],
	['a section that there is not', qr/key own: it stands in no section/, 'where',
	    keys => '{ .name = "own", .where = 1 << 20, .type = WEIR_SIZE },'],
	['a type that there is not', qr/key own: its type is none/, 'type',
	    keys => '{ .name = "own", .where = WEIR_IN_SERVER, .type = 99 },'],
	['hooks and an exchange', qr/module gauge: it has a protocol and an exchange; keep one/, 'both',
	    role => '.protocol = &protocol, .exchange = &exchange,'],
	['an exchange without replies', qr/module gauge: an exchange needs request and reply/, 'no_reply',
	    role => '.exchange = &exchange,', exchange => '.request = request,'],
	['a parser that wants too much', qr/module gauge: its mem_size is more than/, 'memory',
	    role => '.exchange = &exchange,',
	    exchange => '.request = request, .reply = reply, .mem_size = WEIR_PARSER_MEMORY + 1,'],
	['an exchange of a newer weir', qr/newer\.so: built for a newer weir/, 'newer',
	    abi => { exchange_size => 'sizeof(struct weir_exchange) + 8' }],
	['a default that is none', qr/the default of module gauge: own = many: write a number/, 'initial',
	    keys => '{ .name = "own", .where = WEIR_IN_SERVER, .type = WEIR_NUMBER, .initial = "many" },'],
) {
	my ($what, $phrase, $file, @change) = @$case;
	it "refused: $what" => sub {
		my $module = build($file, @change);
		my $result = command("[weir]\nload_module = $module\n$server\nprotocol = gauge\n", '-t');
		is $result->{exit}, 1;
		like $result->{text}, $phrase;
	};
}

it 'the same module twice, two modules of one name, two with one key' => sub {
	my $result = command("$load\nload_module = $gauge\n", '-t');
	like $result->{text}, qr/^weir\.conf:4: error: .* a module gauge is loaded already, from gauge\.so/m;
	$result = command("$load\nload_module = $says\n", '-t');
	like $result->{text}, qr/^weir\.conf:4: error: .* a module gauge is loaded already, from gauge\.so/m;
	my $other = build('other', name => 'other');
	$result = command("$load\nload_module = $other\n", '-t');
	like $result->{text}, qr/^weir\.conf:4: error: .* the key gauge_depth of module other is one of gauge already/m;
};

it 'an exchange is a protocol' => sub {
	my $module = build('exchange', role => '.exchange = &exchange,', check => 'return text;');
	my $conf = "[weir]\nload_module = $module\n[upstream u]\nserver = 127.0.0.1:65003\n$server";
	like command("$conf\nprotocol = gauge\nupstream = u\ngauge_depth = 7\n", '-t')->{text},
	    qr/: error: \[server a\]: depth 7, unit cm, marks $/m;
	like command("$conf\nprotocol = gauge\n", '-t')->{text},
	    qr/protocol gauge needs an upstream: add upstream = NAME/;
	like command("$conf\nprotocol = echo\ngauge_depth = 7\n", '-t')->{text},
	    qr/gauge_depth is a key of module gauge, not used by \[server a\]$/m;
	my $info = command('', 'modinfo', $module)->{out};
	like $info, $_ for qr/^roles      protocol \(exchange\)$/m, qr/^upstream   needed$/m,
	    qr/^           0 bytes for each parser$/m;
};

it 'a crash is told with what was being done' => sub {
	my $module = build('crashes', parse => 'abort();');
	my $result = command("[weir]\nload_module = $module\n$server\nprotocol = gauge\ngauge_mark = x\n", '-t');
	like $result->{text}, qr/SIGABRT.* reading "gauge_mark = x" in \[server a\] with module gauge/;
};

it 'modinfo and explain' => sub {
	my $result = command('', 'modinfo', $gauge);
	is $result->{exit}, 0;
	like $result->{out}, $_ for qr/^module     gauge$/m, qr/^abi        1\.5$/m, qr/^roles      protocol$/m,
	    qr/^  gauge_depth = 2k$/m, qr/\[server\]: a size .*, at least 1, at most 1m$/m, qr/^      how deep$/m,
	    qr/^  gauge_mark = .*\(\+\)$/m;
	like command($load, 'explain', 'gauge_depth')->{out}, qr/^    module    gauge, from /m;
};

done_testing;
