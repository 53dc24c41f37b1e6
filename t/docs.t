# SPDX-License-Identifier: BSD-2-Clause
# What the texts say is what weir does: every directive is explained, with its default, and shown in an example;
# every example is right; options, counters and references are those that there are.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use JSON::PP qw(decode_json);
use Weir::Sources ();
use Weir::Test;

skip_all('pages are compared without a sanitizer') if Weir::Build::sanitized();

my $src = Weir::Build::srcdir();
my %page = map { $_ => join("\n", Weir::Sources::lines($_)) . "\n" }
    grep { m{^(man|modules)/.*\.[1578]$} } Weir::Sources::sources('man', 'modules');
my $prefix = tempdir('weir-docs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir("$prefix/$_") for qw(conf conf/weir.d logs run);

# The certificate that examples use is made as the page says.
my ($make) = $page{'man/weir.conf.5'} =~ /^\$ (openssl req .*\\e\n(?:.*\\e\n)*.*\n)/m;
my $certified = program('openssl') &&
    Weir::Process::run(['sh', '-c', "cd $prefix && " . $make =~ s/\\e$/\\/mgr])->{exit} == 0;

sub ask(@arguments)
{
	return Weir::Process::run([Weir::Build::binary(), '-p', $prefix, @arguments]);
}

# bare(TEXT): a line of mdoc without what is markup.
sub bare($text)
{
	return $text =~ s/\b(?:Cm|Ar|No|Ns|Pa|Li)\b //gr =~ s/ ?\.?$//r =~ s/\\&//gr;
}

# { KEY => default } of `weir explain`, joined by 'or' where sections differ; undef: it has none.
sub explained()
{
	my %default;
	for my $name (ask('explain')->{out} =~ /^  (\w+) /mg) {
		next if exists $default{$name};
		my %said = map { $_ => 1 } ask('explain', $name)->{out} =~ /^ +default +(.*)$/mg;
		my $all = join(' or ', sort keys %said);
		$default{$name} = $all eq 'none' ? undef : $all;
	}
	return %default;
}

# { KEY => [[PAGE, DEFAULT], ...] } of the manual pages.
sub documented()
{
	my %found;
	for my $path (sort keys %page) {
		while ($page{$path} =~ /^\.It Ic (\w+) No = .*\nDefault:(?: (none)\.|\n\.Cm (.*))\n/mg) {
			push @{$found{$1}}, [basename($path), $2 ? undef : bare($3)];
		}
	}
	return %found;
}

# [PAGE, TEXT, whether it is a whole configuration] of each literal block.
sub examples()
{
	my @found;
	for my $path (sort keys %page) {
		while ($page{$path} =~ /((?:^\.\\" .*\n)?)^\.Bd -literal.*\n((?:(?!\.Ed).*\n)+)/mg) {
			my ($before, $text) = ($1, $2);
			my $whole = $before =~ /^\.\\" complete$/m;
			push @found, [basename($path), $text =~ s/\\e/\\/gr, $whole];
		}
	}
	return @found;
}

my %key = explained();
my %text = documented();
my @examples = examples();
my @confs = grep { /\.conf$/ } Weir::Sources::sources('conf', 'contrib');

it 'every directive is in a manual page, with its default' => sub {
	cmp_ok scalar(keys %key), '>', 30, 'directives were found';
	for my $name (sort keys %key) {
		my $found = $text{$name};
		ok $found, "$name is in a page" or next;
		my %said = map { ($_->[1] // 'none') => 1 } @$found;
		is join(' or ', sort keys %said), $key{$name} // 'none', "$name: the default";
	}
};

it 'no page names a directive that there is not' => sub {
	is_deeply [grep { !exists $key{$_} } sort keys %text], [], 'as an entry';
	my @unknown;
	for my $path (sort keys %page) {
		for my $line (split(/\n/, $page{$path})) {
			next if $line !~ /^\./;
			push @unknown, map { "$path: $_" } grep { !exists $key{$_} } $line =~ /\bIc ([a-z]\w+)/g;
		}
	}
	is_deeply \@unknown, [], 'in passing';
};

it 'every directive is in an example' => sub {
	my %shown;
	my @texts = ((map { $_->[1] } @examples), map { join("\n", Weir::Sources::lines($_)) } @confs);
	for my $text (@texts) {
		$shown{$_} = 1 for $text =~ /^\s*(\w+)\s*=/mg;
	}
	is_deeply [grep { !$shown{$_} } sort keys %key], [];
};

it 'every example is right' => sub {
	# t/recipes.t has those of weir-tls(7), whose files are made one after the other.
	my @whole = map { ["the example of $_->[0]", $_->[1]] } grep { $_->[2] && $_->[0] ne 'weir-tls.7' } @examples;
	cmp_ok scalar(@whole), '>', 5, 'there are some';
	push @whole, map { [$_, join("\n", Weir::Sources::lines($_))] } grep { m{^conf/} } @confs;
	for my $example (@whole) {
		my $text = "$example->[1]\n";
		next if !$certified && $text =~ /^\[tls /m;
		# One that shows [weir] alone is a part of a file.
		$text .= "[server s]\nlisten = 127.0.0.1:8080\nprotocol = echo\n" if $text !~ /^\[server /m;
		spurt("$prefix/conf/weir.conf", $text);
		my $result = ask('-t');
		is $result->{exit}, 0, $example->[0] or diag $result->{text};
		unlike $result->{text}, qr/has no effect/, 'and all of it has an effect';
	}
};

sub shown($path)
{
	my $shown = Weir::Process::run(['mandoc', '-T', 'utf8', '-O', 'width=78', "$src/$path"])->{out};
	utf8::decode($shown);
	return $shown =~ s/.\x08//gr;
}

# [PAGE, COMMAND] of all that stands behind a prompt, with the lines that it goes on in, as a
# page of 78 columns shows them.
sub commands()
{
	my @found;
	for my $path (sort keys %page) {
		my $shown = shown($path);
		while ($shown =~ /^( +)[\$#] (.*\n(?:\1(?![\$#] ) *\S.*\n)*)/mg) {
			my ($page, $text) = (basename($path), $2);
			# What is printed stands below its command.
			my ($command) = $text =~ /^((?:.*\\\n)*.*\n)/;
			push @found, [$page, $command, length($text) > length($command) ? substr($text, length($command)) : ''];
		}
	}
	return @found;
}

# Dq and Ql reach to the end of their line, and take what follows into their quotes.
it 'quotes end where they should' => sub {
	plan skip_all => 'no mandoc' if !program('mandoc');
	for my $path (sort keys %page) {
		is_deeply [shown($path) =~ /(\x{201c}[^\x{201d}]*\x{201c}|\x{2018}[^\x{2019}]*\x{2018})/g], [], $path;
	}
};

it 'every command of an example can be copied and run' => sub {
	plan skip_all => 'no mandoc' if !program('mandoc');
	my $stress = dirname(Weir::Build::binary()) . '/weir-stress';
	my @commands = commands();
	cmp_ok scalar(@commands), '>', 15, 'there are some';
	for my $example (@commands) {
		my ($name, $command, $behind) = @$example;
		is Weir::Process::run(['sh', '-n', '-c', $command])->{exit}, 0, "$name: $command";
		unlike $command, qr/[^\x00-\x7e]/, 'has the characters of a shell';
		# A line that a page breaks by itself goes on where no backslash is.
		unlike $behind, qr/^ *(?:-|'|\d+\.\d+\.\d+\.\d+:)/, 'is not broken';
		# t/recipes.t runs those of weir-tls(7).
		next if $command !~ /^weir-stress (?!--serve)/ || !-x $stress || $name eq 'weir-tls.7';
		my $plan = $command =~ s/^weir-stress/"\$0"/r =~ s/\$\(cat [^)]*\)/$$/r =~ s/\n\z/ --plan/r;
		my $result = Weir::Process::run(['sh', '-c', $plan, $stress]);
		isnt $result->{exit}, 2, 'is a command line' or diag $result->{text};
	}
};

it 'the options of -h and of weir(8) are the same' => sub {
	my $help = ask('-h')->{text};
	my %help = map { $_ => 1 } $help =~ /(?<![\w-])-(\w)\b/g;
	my %man = map { $_ => 1 } $page{'man/weir.8'} =~ /^\.It Fl (\w)\b/mg;
	cmp_ok scalar(keys %help), '>', 5;
	is_deeply [sort keys %man], [sort keys %help];
	like $help, qr/\b$_\b/, "-h: $_" for qw(status generations explain modinfo reload upgrade quit stop reopen);
};

it 'what weir status counts is explained' => sub {
	my ($port, $other) = free_ports(2);
	my $w = weir(<<"CONF");
[server a]
listen = 127.0.0.1:$port
protocol = stream_proxy
upstream = u
[upstream u]
server = 127.0.0.1:$other
CONF
	my $pages = $page{'man/weir.8'} . $page{'man/weir.conf.5'};
	my %named = map { $_ => 1 } map { split(/[ ,]+/) } $pages =~ /^\.It Cm (.*)$/mg;
	my @unknown;
	my @fields = fields($w->command('status', '--json')->{out});
	cmp_ok scalar(@fields), '>', 30, 'counters were found';
	for my $field (sort @fields) {
		my $word = $field =~ s/^(?:end|refused)_//r;
		push @unknown, $field if !$named{$word};
	}
	is_deeply \@unknown, [];
	$w->stop;
};

# { SECTION => [names] }: the states that weir(8) explains.
sub states_in_page()
{
	my ($text) = $page{'man/weir.8'} =~ /^\.Ss States\n(.*?)^\.Pp$/ms;
	my (%found, $of);
	for my $item (($text // '') =~ /^\.It (.*)$/mg) {
		$of = $1 if $item =~ /^of a (\w+)/;
		push @{$found{$of}}, $1 if $item =~ /^Cm (.*)$/;
	}
	return \%found;
}

sub source($path) { return slurp("$src/src/$path") }

# The text of a function or a table, from its name to the brace that ends it.
sub body($text, $name)
{
	return $& if $text =~ /^$name\(.*?^\}/ms || $text =~ /\b$name\[\] = \{.*?^\}/ms;
	die "there is no $name\n";
}

it 'the options of addresses are those that are explained' => sub {
	for my $key (qw(listen server)) {
		my ($told) = ask('explain', $key)->{out} =~ /^    options (.*)\z/ms;
		my %told = map { $_ => 1 } $told =~ /^ +(\w+)/mg;
		my ($text) = $page{'man/weir.conf.5'} =~ /^\.It Ic $key No = .*?\nOptions:\n\.Bl .*?\n(.*?)^\.El$/ms;
		my %explained = map { $_ => 1 } $text =~ /^\.It Cm (\w+)/mg;
		cmp_ok scalar(keys %told), '>', 5, "options of $key";
		is_deeply [sort keys %told], [sort keys %explained];
	}
};

it 'all states that weir names are explained' => sub {
	my $status = source('proc/status.c');
	my $in = states_in_page;
	my %word = (
		generation => [source('proc/generation.c') =~ /^\t\[GENERATION_\w+\] = \{ "([^"]+)"/mg],
		worker => [body(source('proc/post.c'), 'post_state_name') =~ /"([^"]+)"/g,
		    body($status, 'slot_states') =~ /"([^"]+)"/g, body($status, 'status_worker_state') =~ /"([^"]+)"/g],
		peer => [body(source('upstream/peer.c'), 'peer_account_state') =~ /"([^"]+)"/g],
	);
	for my $of (sort keys %word) {
		my %unique = map { $_ => 1 } @{$word{$of}};
		cmp_ok scalar(keys %unique), '>', 2, "states of a $of are found";
		is_deeply [sort @{$in->{$of}}], [sort keys %unique], "of a $of";
	}
};

it 'make run starts weir with nothing that a reload would have to repeat' => sub {
	my ($recipe) = slurp("$src/Makefile.in") =~ /^run:.*\n((?:\t.*\n)+)/m;
	is_deeply [$recipe =~ /-g '(\w+) =/g], ['daemon'];
};

it 'the functions, types and constants of HACKING are in the tree' => sub {
	my %there;
	for my $path (grep { /\.(?:[cht]|pm)$/ || m{^man/|(?:^|/)Makefile\.in$} || m{^contrib/} } Weir::Sources::sources()) {
		next if -B "$src/$path";
		$there{$_} = 1 for map { /\w+/g } Weir::Sources::lines($path);
	}
	my %named = map { $_ => 1 } grep { /^[a-zA-Z]\w*_\w/ } slurp("$src/HACKING") =~ /\w+/g;
	cmp_ok scalar(keys %named), '>', 80;
	delete $named{mode_NAME};	# how a file would be called
	is_deeply [grep { !$there{$_} } sort keys %named], [];
};

# The names of everything that is counted of servers, peers and so on.
sub fields($json)
{
	my $status = decode_json($json);
	my @kinds = grep { ref($_) eq 'HASH' } values %$status;
	my %name = map { $_ => 1 } map { keys %$_ } map { values %$_ } @kinds;
	return keys %name;
}

it 'every page that is referred to is there' => sub {
	my %there = map { basename($_) => 1 } keys %page;
	my @missing;
	for my $path (sort keys %page) {
		push @missing, map { "$path: $_" } grep { !$there{$_} }
		    map { "$1.$2" if /^(\S+) (\d)/ } $page{$path} =~ /\.Xr (weir\S* \d)/g;
	}
	is_deeply \@missing, [];
	my %twice;
	for my $link (join("\n", Weir::Sources::lines('README.md')) =~ /\]\(([^)#:]+)\)/g) {
		ok -e "$src/$link", "README.md: $link" if !$twice{$link}++;
	}
};

SKIP: {
	skip('needs mandoc', 1) if !program('mandoc');
	my $lint = Weir::Process::run([program('mandoc'), '-Tlint', '-Wwarning', map { "$src/$_" } sort keys %page]);
	is $lint->{text}, '', 'mandoc has nothing to say';
}

done_testing;
