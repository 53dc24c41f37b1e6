# SPDX-License-Identifier: BSD-2-Clause
# What a test of weir begins with.
#
#	use FindBin;
#	use lib "$FindBin::Bin/lib";
#	use Weir::Test;
#
#	my $port = free_port;
#	my $w = Weir::Daemon->start(<<"CONF");
#	[server echo]
#	listen = 127.0.0.1:$port
#	protocol = echo
#	CONF
#
#	it 'gives bytes back' => sub {
#		is client($port)->ask("hello"), "hello";
#	};
#
#	done_testing;
#
# It brings Test::More, all of the library, and:
#	it NAME => sub { ... }	a subtest; what dies in it fails it, and the next goes on
#				(WEIR_ONLY=REGEX: only those whose names match, for whoever
#				looks for a fault)
#	client($address, ...)	Weir::Client->open
#	backend($behaviour, ...)	Weir::Backend->start
#	weir($conf, ...)	Weir::Daemon->start
#	program($name)		its path or undef
#	done_testing		lets clients and backends go, runs the standing checks of
#				every weir that still runs, and only then is done
package Weir::Test;
use v5.36;
use Exporter 'import';

my @more;
BEGIN {
	@more = qw(ok is isnt like unlike is_deeply cmp_ok pass fail diag note plan skip explain);
}
use Test::More import => \@more;
use Weir::Adapter;
use Weir::Backend;
use Weir::Build;
use Weir::Client;
use Weir::Daemon;
use Weir::File;
use Weir::Pattern;
use Weir::Pool;
use Weir::Port;
use Weir::Process;
use Weir::Stress ();
use Weir::Wait;

our @EXPORT = (@more, @Weir::Wait::EXPORT, @Weir::Port::EXPORT, @Weir::Pattern::EXPORT,
    @Weir::File::EXPORT,
    qw(it client backend weir program done_testing skip_all));

my $owner = $$;
my $done;
my $skipped;

STDOUT->autoflush(1);
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit(1) } for qw(INT TERM HUP);

sub it($name, $code)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return if defined($ENV{WEIR_ONLY}) && $name !~ /$ENV{WEIR_ONLY}/;
	my $reason = Weir::Adapter::reason($name);
	return Test::More::subtest($name => sub {
		Test::More::plan(skip_all => "$name: $reason") if $reason;
		eval { $code->(); 1 } or do {
			my $why = $@;
			die $why if ref($why);		# skip_all leaves a subtest by an exception
			Test::More::fail('goes to its end');
			Test::More::diag($why);
		};
		Test::More::pass('nothing died') if !Test::More->builder->current_test;
	});
}

sub client(@args) { return Weir::Client->open(@args) }
sub backend(@args) { return Weir::Backend->start(@args) }
sub weir(@args) { return Weir::Daemon->start(@args) }

sub skip_all($why)
{
	$skipped = 1;
	Test::More::plan(skip_all => $why);
}

sub program($name)
{
	for my $dir (split(/:/, $ENV{PATH}), '/usr/sbin', '/sbin') {
		return "$dir/$name" if -x "$dir/$name" && -f _;
	}
	return undef;
}

sub done_testing()
{
	$done = 1;
	Weir::Stress->end_all;
	Weir::Client->reset_all;
	Weir::Backend->stop_all;
	$_->stop for Weir::Daemon->all;
	Test::More::done_testing();
}

# However the test ends, nothing stays behind, and a failure shows log and configuration.
END {
	if ($$ == ($owner // 0)) {
		my $status = $?;
		Weir::Stress->end_all;
		Weir::Client->reset_all;
		Weir::Backend->stop_all;
		Weir::Daemon->kill_all;
		my $builder = $skipped ? undef : Test::More->builder;
		if ($builder && (!$builder->is_passing || (!$done && !$builder->has_plan) || $status)) {
			$_->tell for Weir::Daemon->all;
		}
		$? = $status;
	}
}

1;
