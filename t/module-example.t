# SPDX-License-Identifier: BSD-2-Clause
# Modules from outside the tree: contrib/modules/reverse and those of weir-module(7), built with nothing but what
# make install installs, loaded, replaced while weir runs.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use File::Find qw(find);
use File::Temp qw(tempdir);
use Weir::Test;

my $src = Weir::Build::srcdir();
my $build = $ENV{WEIR_BUILDDIR} // $src;
skip_all('needs make, cc and pkg-config') if grep { !program($_) } 'make', 'cc', 'pkg-config';
skip_all("nothing was built with a Makefile in $build") if !-f "$build/Makefile";

my $root = tempdir('weir-install-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $dir = tempdir('weir-module-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %env;

sub run($dir, @command)
{
	return Weir::Process::run(\@command, dir => $dir, env => \%env, timeout => 120);
}

sub run_ok($dir, @command)
{
	my $result = run($dir, @command);
	die "@command: $result->{text}" if ($result->{exit} // -1) != 0;
	return $result;
}

# What one session of reverse says to a line.
sub answer($port, $line)
{
	my $c = client($port);
	$c->line;
	return $c->ask("$line\n", "$line\n");
}

it 'installs the header and the pkg-config file' => sub {
	run_ok($build, 'make', 'install', "DESTDIR=$root");
	my %found;
	find({ no_chdir => 1, wanted => sub { $found{$1} = $File::Find::dir if m{/(weir\.(?:h|pc))$} } }, $root);
	ok $found{'weir.h'} && $found{'weir.pc'};
	%env = (PKG_CONFIG_PATH => $found{'weir.pc'}, PKG_CONFIG_SYSROOT_DIR => $root, MAKEFLAGS => '');
	like run_ok($dir, 'pkg-config', '--cflags', 'weir')->{out}, qr/\Q-I$found{'weir.h'}\E/;
};

#
# reverse
#

my $port = free_port;
my $module;
my $w;

it 'builds the example and installs it' => sub {
	copy($_, $dir) for glob("$src/contrib/modules/reverse/*");
	my $made = run_ok($dir, 'make');
	unlike $made->{text}, qr/warning/, 'without a warning';
	run_ok($dir, 'make', 'install', "DESTDIR=$dir/installed", 'MODULEDIR=/modules');
	$module = "$dir/installed/modules/reverse.so";
	ok -x $module;
	chmod(0755, $dir, "$dir/installed", "$dir/installed/modules");
};

it 'can be asked what it is' => sub {
	my $info = run_ok($dir, Weir::Build::binary(), 'modinfo', $module)->{out};
	like $info, qr/\breverse\b/;
	like $info, qr/\b\Q$_\E\b/ for 'reverse_line_max', 'reverse_greeting', '1k';
	like $info, qr/^state      form 1, moves to new workers$/m;
};

it 'comes with a configuration that is right' => sub {
	mkdir("$dir/$_") for qw(run logs);
	my $result = run($dir, Weir::Build::binary(), '-t', '-p', $dir, '-c', "$dir/reverse.conf",
	    '-g', "load_module = $module");
	is $result->{exit}, 0 or diag $result->{text};
};

it 'is loaded' => sub {
	$w = weir(<<"CONF");
[weir]
workers = 2
load_module = $module
error_log = logs/error.log info

[server reverse]
listen = 127.0.0.1:$port
protocol = reverse
reverse_greeting = say something
reverse_line_max = 20
read_timeout = 60s
CONF
	is client($port)->line, "say something\n";
};

it 'answers lines, however they come' => sub {
	my $c = client($port);
	$c->line;
	is $c->ask("stressed\n", "desserts\n"), "desserts\n";
	is $c->ask("one\ntwo\n\nfo", "eno\nowt\n\n"), "eno\nowt\n\n", 'three at once, and a part of one';
	is $c->ask("ur\n", "ruof\n"), "ruof\n", 'whose rest comes later';
	is $c->dribble("drawer\n")->line, "reward\n", 'a byte at a time';
	$c->send('unfinished')->shutdown;
	is $c->rest, "6 lines\n", 'a last word when the client has ended';
};

it 'allows lines as long as reverse_line_max, and no longer' => sub {
	my $c = client($port);
	$c->line;
	is $c->ask('a' x 19 . "\n", 'a' x 19 . "\n"), 'a' x 19 . "\n";
	$w->mark;
	is $c->send('a' x 20)->rest, "line too long\n";
	$w->wait_log(qr/line too long.*server reverse/);
};

it 'refuses what its check finds' => sub {
	my $good = $w->conf;
	$w->edit_conf(sub { s/^reverse_greeting = .*/reverse_greeting = good morning, stranger/m });
	for my $result ($w->command('-t'), $w->reload) {
		isnt $result->{exit}, 0;
		like $result->{text}, qr/greeting is longer than reverse_line_max = 20 allows/;
	}
	is answer($port, 'desserts'), "stressed\n", 'and the old configuration serves';
	$w->write_conf($good =~ s/reverse_line_max = 20/reverse_line_max = 20k/r);
	like $w->command('-t')->{text}, qr/weir\.conf:10\b.*reverse_line_max/, 'and what is out of bounds';
	$w->write_conf($good);
};

# Builds it again, changed by $change ($_ is the source), and installs that.
sub rebuild($change)
{
	local $_ = slurp("$dir/reverse.c");
	$change->();
	spurt("$dir/reverse.c", $_);
	run_ok($dir, 'make');
	run_ok($dir, 'make', 'install', "DESTDIR=$dir/installed", 'MODULEDIR=/modules');
	return;
}

sub reload_well()
{
	my $result = $w->reload;
	is $result->{exit}, 0 or diag $result->{text};
	return $result;
}

it 'is replaced at a reload, and sessions go on with the new one' => sub {
	my $c = client($port);
	$c->line;
	is $c->ask("drawer\n", "reward\n"), "reward\n";
	rebuild(sub { s/line\[length - 1 - i\]/line[i]/ });
	is answer($port, 'drawer'), "reward\n", 'not before the reload';
	$c->send('dra');
	like reload_well->{text}, qr/1 moved/;
	is answer($port, 'drawer'), "drawer\n", 'the new one';
	$c->send("wer\n");
	is $c->line, "drawer\n", 'its own session, too';
	$c->shutdown;
	is $c->rest, "2 lines\n", 'with its state';
};

it 'has another form of state: sessions keep the module they began with' => sub {
	my $c = client($port);
	$c->line;
	rebuild(sub { s/state_version = 1/state_version = 2/; s/line\[i\]/line[length - 1 - i]/ });
	like reload_well->{text}, qr/1 stays?/;
	is answer($port, 'drawer'), "reward\n", 'the new one';
	is $c->ask("drawer\n", "drawer\n"), "drawer\n", 'the old one';
	$c->shutdown;
	is $c->rest, "1 line\n";
};

it 'cannot go on with a state' => sub {
	my $c = client($port);
	$c->line;
	rebuild(sub { s/(reverse_resume\(struct weir_session \*s, struct weir_span text\)\n\{\n)/$1	if (text.len > 0)\n		return false;\n/ });
	reload_well;
	is $c->rest, '', 'its session ends';
	ok wait_for { ($w->status->server('reverse')->{end_not_resumed} // 0) == 1 };
};

it 'is refused when it is not a module any more, and nothing changes' => sub {
	spurt("$module.new", "not a module\n");
	rename("$module.new", $module);
	my $result = $w->reload;
	isnt $result->{exit}, 0;
	like $result->{text}, qr/reverse\.so/;
	is answer($port, 'drawer'), "reward\n";
};

#
# weir-module(7)
#

# What stands behind the comments `.\" file NAME` and `.\" command NAME` of the page.
my (%file, %command);
{
	my $page = slurp("$src/man/weir-module.7");
	while ($page =~ /^\.\\" (file|command) (\S+)\n\.Bd -literal.*\n((?:(?!\.Ed).*\n)+)/mg) {
		my ($kind, $name, $text) = ($1, $2, $3);
		($kind eq 'file' ? \%file : \%command)->{$name} = $text =~ s/\\e/\\/gr;
	}
}

it 'builds the modules of weir-module(7) as the page says' => sub {
	spurt("$dir/$_", $file{$_}) for keys %file;
	for my $name (sort map { /^(.*)\.c$/ ? $1 : () } keys %file) {
		my $command = $command{mirror} =~ s/mirror/$name/gr =~ s/-O2/-O2 -Wall -Wextra -Werror/r;
		run_ok($dir, 'sh', '-c', $command);
		ok -f "$dir/$name.so", $name;
	}
};

it 'and they do what it says' => sub {
	my ($mirror, $proxy) = free_ports(2);
	my $conf = $file{'mirror.conf'} =~ s/:8083/:$mirror/r
	    =~ s/^load_module = mirror\.so/load_module = $dir\/mirror.so\nload_module = $dir\/first.so/mr;
	my $other = weir($conf . <<"CONF");

[server proxy]
listen = 127.0.0.1:$proxy
protocol = stream_proxy
upstream = both
[upstream both]
balance = first
server = 127.0.0.1:$mirror
server = 127.0.0.1:1
CONF
	ok client($mirror)->ping, 'mirror';
	ok client($proxy)->ping, 'first' for 1 .. 4;
};

it 'a balancer with words, ranks and times does what it says' => sub {
	my @ports = free_ports(3);
	my $conf = <<"CONF";
[weir]
workers = 1
load_module = $dir/quickest.so
load_module = $dir/mirror.so
[server proxy]
listen = 127.0.0.1:$ports[0]
protocol = stream_proxy
upstream = both
[upstream both]
balance = quickest 2
server = 127.0.0.1:$ports[1]
server = 127.0.0.1:$ports[2]
CONF
	$conf .= "[server m$_]\nlisten = 127.0.0.1:$ports[$_]\nprotocol = mirror\n" for 1, 2;
	my $other = weir($conf);
	my $open = sub { map { $other->status->peer('both', "127.0.0.1:$ports[$_]")->{connections} } 1, 2 };
	my @clients;
	for my $n (1 .. 8) {
		push @clients, client($ports[0]);
		ok $clients[-1]->ping, "client $n";
	}
	# Two each, and again two each: whose connections were quicker decides only within them.
	is_deeply [$open->()], [4, 4], 'no more than two at once, while another has fewer';
	$other->edit_conf(sub { s/quickest 2/quickest 0/ });
	like $other->command('-t')->{text}, qr/balance = quickest: write quickest N/, 'words are checked';
	$other->edit_conf(sub { s/quickest 0/first 0/; s/mirror\.so/mirror.so\nload_module = $dir\/first.so/ });
	like $other->command('-t')->{text}, qr/balance = first: has no words behind its name/;
};

#
# frame, of weir-module(7): requests and replies with their length in front
#

sub frame($text) { return pack('N/a', $text) }

sub framed($c) { return $c->recv(unpack('N', $c->recv(4))) }

# Answers each request with itself; 'B' N with N bytes, 'W' with another op, 'K' not at all, but with a reset.
# What it has heard comes back with 'H'.
sub serve($c, $bytes)
{
	my $my = $c->{my};
	$my->{in} .= $bytes;
	while (length($my->{in}) >= 4 && length($my->{in}) >= 4 + (my $n = unpack('N', $my->{in}))) {
		my $text = substr(substr($my->{in}, 0, 4 + $n, ''), 4);
		$my->{heard} .= $text if $text =~ /^N/;
		return $c->reset if $text eq 'K';
		$c->send(frame($text =~ /^B(\d+)/ ? 'B' . 'x' x ($1 - 1) : $text eq 'W' ? 'R' :
		    $text eq 'H' ? 'H' . ($my->{heard} // '') : $text)) if $text !~ /^N/;
	}
}

my ($front, $slow) = free_ports(2);
my @peers = map { backend('script', data => \&serve) } 1 .. 2;
my $frame;

it 'runs the framed protocol over a pool' => sub {
	my $conf = $file{'frame.conf'} =~ s/:7400/:$front/r =~ s/:7401/":" . $peers[0]->port/er
	    =~ s/:7402/":" . $peers[1]->port . " max_fails=0"/er =~ s/^load_module = .*/load_module = $dir\/frame.so/mr;
	# The longest reply fits in, however slowly its client reads.
	$frame = weir($conf . <<"CONF");
pool_idle_timeout = off
reply_max = 8m
[server small]
listen = 127.0.0.1:$slow
protocol = frame
upstream = small
frame_max = 10
[upstream small]
server = @{[$peers[0]->address]}
reply_timeout = 300ms
CONF
	my $c = client($front);
	my $text = join('', map { chr } 0 .. 255);
	is $c->ask(frame("R$text")), frame("R$text");
	is $c->ask(join('', map { frame("R$_") } 1 .. 100)), join('', map { frame("R$_") } 1 .. 100), 'many at once';
	$c->dribble(frame('Rone') . frame('Rtwo'));
	is framed($c), 'Rone', 'in pieces';
	is framed($c), 'Rtwo';
	my @clients = map { client($front) } 1 .. 50;
	for my $round (1 .. 5) {
		$clients[$_]->send(frame("R$round for $_")) for 0 .. 49;
		is framed($clients[$_]), "R$round for $_" for 0 .. 49;
	}
	my $opened = 0;
	$opened += $_->report->{accepted} for @peers;
	cmp_ok $opened, '<=', 8, 'all over few connections';
};

it 'passes on replies of any length' => sub {
	my $c = client($front);
	for my $length (1, 65_536, 5_000_000) {
		$c->send(frame("B$length") . frame('Rnext'));
		is length(framed($c)), $length;
		is framed($c), 'Rnext';
	}
};

it 'sends notes, which nobody answers' => sub {
	my $c = client($slow);
	$c->send(frame('None') . frame('Ntwo') . frame('H'));
	is framed($c), 'HNoneNtwo';
};

it 'tells who may ask again from who had better not' => sub {
	my $c = client($front);
	$c->send(frame('K'));
	is framed($c), '!lost', 'a peer that went';
	is $c->ask(frame('R')), frame('R'), 'and the session goes on';
	my $other = client($slow);
	$other->send(frame('W'));
	is framed($other), '!lost', 'a reply to something else';
	is $other->ask(frame('!no')), frame('!no');
	$_->tell('reset_all') for @peers;
	$_->tell('down') for @peers;
	await { $c->send(frame('R')); framed($c) eq '!again' } 'nobody is there';
};

# Says its name to each request.
sub named($name)
{
	return sub ($c, $bytes) {
		my $my = $c->{my};
		$my->{in} .= $bytes;
		while (length($my->{in}) >= 4 && length($my->{in}) >= 4 + (my $n = unpack('N', $my->{in}))) {
			substr($my->{in}, 0, 4 + $n, '');
			$c->send(frame("R$name"));
		}
	};
}

it 'sends equal keys to the same peer, whoever asks' => sub {
	my @named = map { backend('script', data => named($_)) } 'a' .. 'c';
	my $port = free_port;
	my $keyed = weir(<<"CONF");
[weir]
workers = 2
load_module = $dir/frame.so
[server frame]
listen = 127.0.0.1:$port
protocol = frame
upstream = keys
[upstream keys]
balance = hash key consistent
@{[join '', map { 'server = ' . $_->address . "\n" } @named]}
CONF
	my $c = client($port);
	my @keys = map { "k$_" } 1 .. 40;
	my %owner = map { $c->send(frame("R$_:x")); ($_ => framed($c)) } @keys;
	is join(' ', sort keys %{{ reverse %owner }}), 'Ra Rb Rc', 'all peers have keys';
	my @clients = map { client($port) } 1 .. 4;
	$_->send(join('', map { frame("R$_:y") } @keys)) for @clients;
	for my $other (@clients) {
		is join(' ', map { framed($other) } @keys), join(' ', @owner{@keys}), 'many at once, in their order';
	}
	$_->reset for $c, @clients;
	$keyed->stop;
};

it 'ends what is not the protocol' => sub {
	for my $bytes ("\0\0\0\0R", frame('R1234567890'), "\xff" x 10) {
		my $c = client($slow);
		$c->send($bytes);
		isnt $c->ending, 'open';
	}
	ok wait_for { $frame->status->server('small')->{end_bad_request} == 3 };
};

done_testing;
