#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Large configurations: loading is linear, the board grows, its limit is told by -t.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;

# One server for each of the first $served upstreams, all of them on $port's neighbours.
sub many($count, $peers, $letter, @ports)
{
	my $conf = "[weir]\nworkers = 1\nworker_connections = 64\n";
	for my $i (1 .. $count) {
		$conf .= "[upstream $letter$i]\npool_size = 1\n";
		$conf .= "server = 127.1.$_.1:" . (20000 + $i) . "\n" for 1 .. $peers;
	}
	for my $i (1 .. @ports) {
		$conf .= "[server $letter$i]\nlisten = 127.0.0.1:$ports[$i - 1]\n" .
		    "protocol = stream_proxy\nupstream = $letter$i\n";
	}
	return $conf;
}

# At most, in seconds: a step that looks at all others for each takes a hundred times that.
my $LOAD = 30;

it '10,000 upstreams are checked, start and reload' => sub {
	my $w = Weir::Daemon->new(many(10000, 1, 'u', free_ports(2)), daemon => 1);
	for my $command (['-t'], ['-g', 'daemon = on'], ['-s', 'reload']) {
		my $result = Weir::Process::run([$w->_command(@$command)], timeout => $LOAD,
		    env => { $w->_env });
		is $result->{exit}, 0, "weir @$command" or diag $result->{text};
	}
	@$w{qw(child status)} = ($w->pid, 0);
	my $status = $w->command('status')->{out};
	is scalar(() = $status =~ /^upstream u/mg), 10000, 'all upstreams are on the board';
	is scalar(() = $status =~ /^peer u/mg), 10000, 'and all peers';
	$w->stop(idle => 0);
};

it 'more than the board holds are refused with the limit, by -t and by a start' => sub {
	my $w = Weir::Daemon->new(many(1100, 59, 'u', free_ports(2)));
	for my $command (['-t'], ['-g', 'daemon = off']) {
		my $result = $w->command(@$command);
		is $result->{exit}, 1, "weir @$command";
		like $result->{text}, qr/6600\d servers, .*there is room for 65536 of them/;
	}
};

done_testing;
