#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Every file of t/conf/bad: weir -t tells each error at its line, and nothing else.
#
# What is expected stands in the file (or NAME.expect beside it):
#	; expect LINE: PHRASE		an error at this line of the file itself
#	; expect FILE:LINE: PHRASE	or of another
#	; expect : PHRASE		or about the file as a whole
# @DIR@ is replaced with the folder.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use File::Temp ();

my $source = Weir::Build::srcdir() . '/t/conf/bad';
my $prefix = File::Temp->newdir('weir-XXXXXX', TMPDIR => 1);
my $dir = "$prefix/bad";
mkdir("$prefix/$_") for qw(run logs);
chmod(0755, $prefix);

# A copy of the tree, below the prefix.
sub copy($from, $to)
{
	mkdir($to) or die "$to: $!\n";
	for my $path (glob("$from/*")) {
		my $name = $path =~ s{.*/}{}r;
		-d $path ? copy($path, "$to/$name") : spurt("$to/$name", slurp($path) =~ s/\@DIR\@/$dir/gr);
	}
}

# weir -t: exit status, and what it says without the folder's name.
sub try_file($name, %option)
{
	my $result = Weir::Process::run([Weir::Build::binary(), '-t', '-p', "$prefix/", '-c',
	    "$dir/$name"], %option);
	$result->{text} =~ s{\Q$dir\E/}{}g;
	return $result;
}

# [place, phrase], ...
sub expected($name)
{
	my $path = -e "$dir/$name.expect" ? "$dir/$name.expect" : "$dir/$name";
	my $text = slurp($path);
	my @expected;
	while ($text =~ /^; expect ([^\s:]*:)?(\d*): (.*?)\r?$/mg) {
		my $file = $1 // "$name:";
		push @expected, [$2 eq '' ? $file : "$file$2:", $3];
	}
	return @expected;
}

copy($source, $dir);
my @names = map { s{.*/}{}r } glob("$dir/*.conf"), map { s/\.expect$//r } glob("$dir/*.expect");
cmp_ok(scalar @names, '>=', 40, 'there are files');

for my $name (@names) {
	it $name => sub {
		my @expected = expected($name);
		ok scalar @expected, 'something is expected';
		my $result = try_file($name);
		is $result->{exit}, 1, 'exit status';
		my @said = grep { /: error: / } split /\n/, $result->{text};
		for my $one (@expected) {
			my ($place, $phrase) = @$one;
			my ($at) = grep {
				index($said[$_], "$place error: ") == 0 && index($said[$_], $phrase) >= 0
			} 0 .. $#said;
			ok defined $at, "$place $phrase" or diag($result->{text});
			splice(@said, $at, 1) if defined $at;
		}
		is_deeply \@said, [], 'nothing else';
	};
}

it 'errors come in the order of lines' => sub {
	my @lines = map { /^many\.conf:(\d+)/ ? $1 : () } split /\n/, try_file('many.conf')->{text};
	is_deeply \@lines, [sort { $a <=> $b } @lines];
};

it 'a file that is not there' => sub {
	my $result = try_file('none.conf');
	is $result->{exit}, 1;
	like $result->{text}, qr/^none\.conf: error: cannot be opened: No such file or directory$/m;
};

it 'a file that may not be read' => sub {
	spurt("$dir/secret.conf", "[weir]\n");
	chmod(0, "$dir/secret.conf");
	spurt("$dir/reads-secret.conf", "[weir]\ninclude = secret.conf\n");
	my %option = $> == 0 ? (user => 'nobody') : ();
	like try_file('secret.conf', %option)->{text},
	    qr/^secret\.conf: error: cannot be opened: Permission denied$/m;
	like try_file('reads-secret.conf', %option)->{text},
	    qr/^reads-secret\.conf:2: error: include secret\.conf: cannot be opened: Permission denied$/m;
};

it 'a FIFO is not waited for' => sub {
	POSIX::mkfifo("$dir/fifo.conf", 0600) or die "fifo: $!\n";
	like try_file('fifo.conf')->{text}, qr/^fifo\.conf: error: this is not a regular file$/m;
};

it 'a hundred errors are told, and how many more there are' => sub {
	my ($port) = free_ports(1);
	spurt("$dir/hundreds.conf", "[weir]\n" . join('', map { "key$_ = 1\n" } 1 .. 250) .
	    "[server one]\nlisten = 127.0.0.1:$port\nprotocol = echo\n");
	my $result = try_file('hundreds.conf');
	is scalar(() = $result->{text} =~ /unknown key/g), 100;
	like $result->{text}, qr/error: and 150 more$/m;
};

it 'a large file full of rubbish is no problem' => sub {
	my $rubbish = join('', map { chr(($_ * 7919 ^ $_ >> 3) & 255) } 1 .. 300_000);
	spurt("$dir/rubbish.conf", $rubbish);
	is try_file('rubbish.conf')->{exit}, 1;
};

done_testing;
