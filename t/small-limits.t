#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Limits on address space and on the size of files: what is too small is told with what to do, nothing is killed.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

# weir @command, under a limit of the shell.
sub limited($w, $limit, @command)
{
	return Weir::Process::run(['sh', '-c', "ulimit $limit && exec \"\$@\"", 'sh', $w->_command(@command)],
	    env => { $w->_env });
}

sub echo($port)
{
	return "[weir]\nworkers = 1\nworker_connections = 64\n" .
	    "[server e]\nlisten = 127.0.0.1:$port\nprotocol = echo\n";
}

sub refuses($w, $limit, $advice)
{
	for my $command (['-t'], ['-g', 'daemon = off'], ['-g', 'daemon = on']) {
		my $result = limited($w, $limit, @$command);
		is $result->{exit}, 1, "ulimit $limit: weir @$command" or diag $result->{text};
		like $result->{text}, $advice, 'and what to do';
		unlike $result->{text}, qr/killed|SIG/, 'nothing is killed';
	}
}

it 'the size of files' => sub {
	my $w = Weir::Daemon->new(echo(free_port()));
	refuses($w, '-f 1000', qr/board: it is a file in memory of \d+ GiB.*\(ulimit -f, LimitFSIZE=\) to unlimited/);
};

it 'address space' => sub {
	plan skip_all => 'sanitizers need terabytes' if Weir::Build::sanitized();
	my $w = Weir::Daemon->new(echo(free_port()));
	refuses($w, '-v 60000', qr/board: each 256 entries of the board need \d+ MiB.*\(ulimit -v, LimitAS=\) to unlim/);
	my $good = limited($w, '-v 400000', '-t');
	is $good->{exit}, 0, 'a small configuration needs little' or diag $good->{text};
};

# A block is half a KiB or a whole one: the log is larger than 8 of either.
it 'a limit that may be raised holds for the log alone, and a log at its limit ends nobody' => sub {
	my $port = free_port();
	my $w = Weir::Daemon->new(echo($port), daemon => 1);
	spurt($w->path('logs/error.log'), 'a line that was there' . "\n" x 10000);
	my $result = limited($w, '-S -f 8', '-g', 'daemon = on');
	is $result->{exit}, 0, 'it starts' or diag $result->{text};
	@$w{qw(child status)} = ($w->pid, 0);
	is $w->reload->{exit}, 0, 'and reloads';
	Weir::Client->open($port)->ping;
	is -s $w->path('logs/error.log'), 10021, 'although nothing can be logged';
	$w->stop;
};

done_testing;
