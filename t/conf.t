#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Every file of t/conf/good passes and prints what it says; -T, -g, weir explain.
#
# What -T prints stands in the files:
#	; print LINE		with the places relative to the folder
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use File::Temp ();

Weir::Test::skip_all('conf-bad reads configurations below a sanitizer') if Weir::Build::sanitized();

my $dir = Weir::Build::srcdir() . '/t/conf/good';
my $prefix = File::Temp->newdir('weir-XXXXXX', TMPDIR => 1);
mkdir("$prefix/$_") for qw(run logs);

sub command(@args)
{
	return Weir::Process::run([Weir::Build::binary(), '-p', "$prefix/", @args]);
}

# The effective configuration without places and comments.
sub effective($text)
{
	return join('', map { s/\s+;.*//r . "\n" } grep { /^[^;\s]/ } split /\n/, $text);
}

my @names = map { s{.*/}{}r } glob("$dir/*.conf");
cmp_ok(scalar @names, '>=', 6, 'there are files');

for my $name (@names) {
	it $name => sub {
		my $result = command('-t', '-c', "$dir/$name");
		is $result->{exit}, 0, '-t' or diag($result->{text});
		$result = command('-T', '-c', "$dir/$name");
		is $result->{exit}, 0, '-T';
		my $said = $result->{out} =~ s{\Q$dir\E/}{}gr;
		my $text = slurp("$dir/$name");
		while ($text =~ /^; print (.*?)\r?$/mg) {
			like $said, qr/^\Q$1\E$/m, $1;
		}
		my $again = command('-T', '-c', spurt("$prefix/again.conf", $result->{out}));
		is effective($again->{out}), effective($result->{out}), 'printed again it is the same';
	};
}

it 'the file that comes with weir passes' => sub {
	my $result = command('-t', '-c', Weir::Build::srcdir() . '/conf/weir.conf');
	is $result->{exit}, 0 or diag($result->{text});
};

it '-g sets keys of [weir] in place of the file' => sub {
	my $file = spurt("$prefix/g.conf", "[weir]\nworkers = 3\nerror_log = stderr\ndaemon = maybe\n" .
	    "[server echo]\nlisten = 127.0.0.1:65001\nprotocol = echo\n");
	my $result = command('-T', '-c', $file, '-g', 'workers = 2', '-g', 'daemon = off');
	is $result->{exit}, 0 or diag($result->{text});
	like $result->{out}, qr/^workers = 2   ; -g$/m;
	like $result->{out}, qr/^error_log = stderr   ; \Q$file\E:3$/m;
	for my $bad ('workers', 'workers = x', 'wrokers = 2', 'idle_timeout = 3s', 'include = x', '[weir]') {
		$result = command('-t', '-c', $file, '-g', $bad, '-g', 'daemon = off');
		is $result->{exit}, 1, $bad;
		like $result->{text}, qr/^-g: error: /m;
	}
};

it 'the same twice in a section is an error, in two sections it is not' => sub {
	my $file = spurt("$prefix/two.conf", <<'CONF');
[server a]
listen = 127.0.0.1:65001
protocol = echo
[server b]
listen = 127.0.0.1:65002
protocol = echo
CONF
	is command('-t', '-c', $file)->{exit}, 0;
};

it 'hundreds of servers and peers' => sub {
	my $text = join('', map { "[server s$_]\nlisten = unix:run/$_.sock\nprotocol = echo\n" } 1 .. 300);
	$text .= "[upstream u]\n" . join('', map { "server = 127.0.0.1:$_\n" } 20001 .. 21000);
	my $result = command('-t', '-c', spurt("$prefix/large.conf", $text));
	is $result->{exit}, 0 or diag($result->{text});
};

it 'explain' => sub {
	my $all = command('explain');
	is $all->{exit}, 0;
	like $all->{out}, qr/^\Q$_\E$/m for '[weir]', '[server NAME]', '[upstream NAME]';
	my %keys = map { $_ => 1 } $all->{out} =~ /^  (\S+)/mg;
	ok $keys{$_}, $_ for qw(workers load_module include listen idle_timeout server balance);
	for my $key (sort keys %keys) {
		my $one = command('explain', $key);
		is $one->{exit}, 0, $key;
		like $one->{out}, qr/^\Q$key\E\n    \S.*\n\n    section   \[.*\n    value     \S/,
		    "$key has help, a section and a value";
	}
	for my $of (['listen', 'backlog', '=N', '4096'], ['listen', 'deferred', '', 'none'],
	    ['server', 'weight', '=N', '1'], ['server', 'down', '', 'none']) {
		my ($key, $option, $value, $default) = @$of;
		like command('explain', $key)->{out}, qr/^(?:    options  |             ) \Q$option$value\E +\w/m, "$option is told with $key";
		my $one = command('explain', $option);
		is $one->{exit}, 0;
		like $one->{out}, qr/^$option\n    \w.*\n\n    option    of $key = ADDRESS.*\n    value     \Q$option$value\E\n    default   \Q$default\E\n\z/,
		    "and by itself";
	}
	my $none = command('explain', 'idle_timout');
	isnt $none->{exit}, 0;
	like $none->{text}, qr/did you mean idle_timeout\?/;
};

done_testing;
