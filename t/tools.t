#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The tools that prove what exchange-stress.t proves are proven here, without weir between them: faults of
# a backend are no violations, and each lie is one.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Tool;

# tried(FAULTS, OPTIONS...): what tagged says of a backend with these faults, and what that says of itself.
sub tried($faults, @options)
{
	my $f = Weir::Tool->start('faulty', '--seed', 7, '--faults', $faults, '--down', 50);
	my $t = Weir::Tool->run('tagged', '--to', ($f->ports)[0], '--seed', 7, '--deadline', patience(15),
	    '--connections', 20, '--requests', 4000, @options);
	return ($t, $f->finish);
}

sub well($t)
{
	is "$t->{violations} violations, $t->{hung} hung", '0 violations, 0 hung';
	is $t->{exit}, 0 or diag $t->{err};
	is $t->{answered} + $t->{failed} + $t->{left} + $t->{lost}, $t->{sent}, 'all is accounted for';
}

it 'a good backend answers all' => sub {
	my ($t, $f) = tried('');
	well($t);
	is "@$t{qw(sent answered lost left connects)}", '4000 4000 0 0 20';
	is "@$f{qw(requests answered accepted)}", '4000 4000 20';
};

it 'clients come and go, dribble and sleep' => sub {
	my ($t, $f) = tried('', '--habits', 'crumbs=0.05,leave=0.05,sleep=0.02');
	well($t);
	cmp_ok $t->{connects}, '>', 50, 'came again';
	cmp_ok $t->{left}, '>', 0, 'left with requests in flight';
	is $t->{lost}, 0;
	is $f->{again}, 0, 'no tag was used twice';
	cmp_ok $f->{answered}, '>=', $t->{answered};
};

it 'faults lose requests, and that is all' => sub {
	my ($t, $f) = tried('delay=0.1,split=0.02,pause=0.02,close=0.003,cut=0.003,reset=0.003,' .
	    'crash=0.0005,door=0.05,down=0.02,idle=0.05');
	well($t);
	cmp_ok $t->{lost}, '>', 0;
	cmp_ok $t->{cut}, '>', 0;
	cmp_ok $f->{$_}, '>', 0, "$_ happened" for qw(delay split pause close cut reset door idle);
};

it 'what never comes is hung' => sub {
	for my $fault (qw(stall half)) {
		my ($t, $f) = tried("$fault=0.003", '--deadline', 1);
		cmp_ok $t->{hung}, '>', 0, $fault;
		is $t->{violations}, 0;
		is $t->{exit}, 1;
		like $t->{err}, qr/hung while talking/;
	}
};

my %found = (
	swap => qr/another client's reply/,
	reorder => qr/a reply before its turn/,
	repeat => qr/a reply to what was answered before/,
	skip => qr/a reply before its turn/,
	wrong => qr/a reply with wrong bytes|no reply|another client's|its turn|answered before/,
);
for my $lie (sort keys %found) {
	it "finds a $lie" => sub {
		my ($t, $f) = tried("$lie=0.003", '--deadline', 1);
		cmp_ok $f->{$lie}, '>', 0, 'it happened';
		cmp_ok $t->{violations}, '>', 0;
		is $t->{exit}, 1;
		like $t->{err}, $found{$lie};
	};
}

it 'a failure line is no reply unless it is expected' => sub {
	my $b = backend('line', reply => sub ($line, $conn) { "failed\n" });
	my @options = ('--to', $b->port, '--requests', 100, '--deadline', patience(15));
	my $t = Weir::Tool->run('tagged', @options);
	cmp_ok $t->{violations}, '>', 0;
	like $t->{err}, qr/no reply/;
	$t = Weir::Tool->run('tagged', @options, '--failure', 'failed');
	well($t);
	is $t->{failed}, 100;
	$t = Weir::Tool->run('tagged', @options, '--failure', 'faile');
	cmp_ok $t->{violations}, '>', 0;
};

it 'finds a request that comes twice' => sub {
	my $f = Weir::Tool->start('faulty', '--port', 0, '--port', 0);
	for my $port ($f->ports) {
		my $c = client($port);
		$c->send("c1.1 0 abc\n");
		like $c->line, qr/^c1\.1 [0-9a-f]{16} \n\z/;
	}
	my $counts = $f->finish;
	is "@$counts{qw(requests again)}", '2 1';
};

done_testing;
