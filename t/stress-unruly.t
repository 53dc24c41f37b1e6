#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress unruly: clients that do not behave lose nothing before a good backend; faults of a backend are told
# for what they are, and each lie is found. exchange-stress.t rests on that.
use v5.36;
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

my $much = int(4000 * (Weir::Build::sanitized() ? 0.5 : 1));

# tried(FAULTS, OPTIONS...): what weir-stress says of a backend with these faults, and what that says of itself.
sub tried($faults, @options)
{
	my @of = $faults eq '' ? () : ('--seed', 7, '--fault', $faults);
	push @of, '--jitter', '20ms' if $faults =~ /delay|pause/;
	push @of, '--down', '50ms' if $faults =~ /crash|refuse/;
	my $b = serve('line', '--again', @of);
	unshift(@options, '-t', int(patience(15)) . 's') if !grep { $_ eq '-t' } @options;
	my $r = stress('unruly', '-c', 20, '-n', $much, '-p', 16, '-s', 6000, '--seed', 7, @options, $b->address,
	    { timeout => 60 });
	my $of = $r->{of};
	is $of->{answered} + $of->{failed} + $of->{left} + $of->{lost}, $of->{sent}, 'all is accounted for';
	is $of->{sent}, $much, 'all was asked' if !$of->{timeout};
	return ($r, $b->stop);
}

# No reply was wrong, and nothing hung.
sub right($of)
{
	is "@$of{qw(wrong unasked timeout connect_timeout)}", '0 0 0 0', 'all replies were right, none is missing';
}

it 'a good backend answers all' => sub {
	my ($r, $b) = tried('', '--leave', 0);
	unharmed($r, answered => $much, left => 0, torn => 0);
	is "@$b{qw(requests answered again)}", "$much $much 0";
	is $b->{accepted}, $r->{of}{connected};
};

it 'clients come and go' => sub {
	my ($r, $b) = tried('', '--leave', 0.1);
	unharmed($r);
	cmp_ok $r->{of}{connected}, '>', 50, 'came again';
	cmp_ok $r->{of}{left}, '>', 0, 'left with requests in flight';
	is $b->{again}, 0, 'no line was used twice';
	cmp_ok $b->{answered}, '>=', $r->{of}{answered};
};

it 'it ends by time, too' => sub {
	my $b = serve('line');
	unharmed(stress('unruly', '-c', 10, '-d', '300ms', '-p', 4, $b->address), torn => 0);
};

it 'faults lose requests, and that is all' => sub {
	my ($r, $b) = tried('delay=0.1,split=0.02,pause=0.02,close=0.005,cut=0.005,reset=0.005,' .
	    'crash=0.001,door=0.05,refuse=0.02,idle=0.05');
	right($r->{of});
	is $r->{exit}, 1;
	cmp_ok $r->{of}{lost}, '>', 0;
	cmp_ok $r->{of}{torn}, '>', 0;
	# Whether a client asks nothing for so long that idle happens is up to chance.
	cmp_ok $b->{$_}, '>', 0, "$_ happened" for qw(delay split pause close cut reset door);
};

it 'what never comes is missed' => sub {
	for my $fault (qw(stall half)) {
		my ($r, $b) = tried("$fault=0.003", '-t', '1s');
		cmp_ok $r->{of}{timeout}, '>', 0, $fault;
		is "@{$r->{of}}{qw(wrong unasked)}", '0 0';
		is $r->{exit}, 1;
	}
};

it 'a server that does not end its side when the client has' => sub {
	my $b = backend('script', data => sub ($c, $bytes) { $c->send($bytes) }, eof => sub ($c, $bytes) { });
	my $r = stress('unruly', '-c', 3, '-n', 30, '--leave', 0, '-t', '300ms', $b->address);
	cmp_ok $r->{of}{timeout}, '>', 0;
};

for my $lie (qw(swap reorder repeat skip garbage)) {
	it "finds a lie: $lie" => sub {
		my ($r, $b) = tried("$lie=0.005", '-t', '1s');
		cmp_ok $b->{$lie}, '>', 0, 'it happened';
		cmp_ok $r->{of}{wrong} + $r->{of}{unasked}, '>', 0;
		is $r->{exit}, 1;
		like $r->{wrong}, qr/^connection \d+, /;
	};
}

it 'a failure line is no reply unless it is expected' => sub {
	my $b = backend('line', reply => sub ($line, $conn) { "failed\n" });
	my @run = ('unruly', '-c', 10, '-n', 100, '-p', 16, '--leave', 0, $b->address);
	cmp_ok stress(@run)->{of}{wrong}, '>', 0;
	my $r = stress(@run, '--failure', 'failed');
	is "exit $r->{exit}, @{$r->{of}}{qw(failed answered errors lost)}", 'exit 0, 100 0 0 0';
	cmp_ok stress(@run, '--failure', 'faile')->{of}{wrong}, '>', 0;
};

it 'each connection has as much as --each says' => sub {
	my $b = serve('line');
	unharmed(stress('line', '-c', 20, '-w', 3, '--each', 30, '-p', 4, $b->address), answered => 600, least => 30,
	    connected => 20);
	my $r = stress('line', '-c', 3, '--each', 2, '-n', 10, $b->address);
	is $r->{exit}, 2;
	like $r->{err}, qr/--each says when the run ends/;
};

it 'least is what the client has that is served worst' => sub {
	my $b = backend('script', data => sub ($c, $bytes) { $c->send($bytes) if $c->{n} != 1 });
	my $r = stress('line', '-c', 5, '-n', 200, '-t', '500ms', $b->address);
	is $r->{of}{least}, 0;
	$b = serve('line');
	is stress('line', '-c', 1, '-n', 77, $b->address)->{of}{least}, 77;
};

it 'a signal has it write how it goes' => sub {
	my $b = serve('line', '--delay', '1ms');
	my $p = crowd('line', '-c', 5, '-w', 2, '-p', 3, $b->address);
	my $of = $p->moving;
	ok !decode_json(slurp($p->{json}))->{over}, 'it is not over';
	is $of->{connected}, 5;
	cmp_ok $of->{waiting}, '<=', 5 * 3;
	cmp_ok $of->{duration}, '>', 0;
	cmp_ok $p->moving->{answered}, '>=', $of->{answered} + 50, 'and goes on';
	my $r = $p->end;
	unharmed($r, connected => 5);
	ok $r->{told}{over};
	cmp_ok $r->{of}{duration}, '>', $of->{duration};
};

done_testing;
