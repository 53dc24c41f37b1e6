#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A new configuration: all or nothing, and nobody is hurt.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

my ($echo, $proxy, $extra, $quiet) = free_ports(4);
my $backend = backend('echo');
my $one = backend('named', name => 'one');
my $two = backend('named', name => 'two');
my $w = weir(<<"CONF");
[weir]
workers = 2
error_log = logs/error.log info

[server echo]
listen = 127.0.0.1:$echo
protocol = echo

[server proxy]
listen = 127.0.0.1:$proxy
listen = unix:run/proxy.sock mode=0666
protocol = stream_proxy
upstream = backend

[server quiet]
listen = 127.0.0.1:$quiet
protocol = stream_proxy
upstream = named

[upstream backend]
server = @{[$backend->address]}

[upstream named]
server = @{[$one->address]}
CONF

# Old workers leave as soon as their last session has.
sub generations_left()
{
	my %generation = map { $_->{generation} => 1 } grep { $_->{generation} } $w->processes;
	my @sorted = sort { $a <=> $b } keys %generation;
	return @sorted;
}

sub reload_well()
{
	my $result = $w->reload;
	is $result->{exit}, 0, 'the reload succeeds' or diag $result->{text};
	return $result;
}

it 'changes nothing when nothing has changed' => sub {
	my @old = $w->workers;
	reload_well;
	my @new = $w->workers;
	is scalar(@new), 2;
	isnt "@new", "@old", 'but the workers are new ones';
	ok client($echo)->ping;
	ok wait_for { (generations_left)[0] == 2 }, 'and the old ones leave';
};

it 'sessions begun before go on, new ones get the new configuration' => sub {
	my $old = client($quiet);
	is $old->line, "one\n";
	$w->edit_conf(sub { s/@{[$one->address]}/@{[$two->address]}/ });
	reload_well;
	my $new = client($quiet);
	is $new->line, "two\n";
	ok $old->ping;
	ok $new->ping;
	is $one->report->{open}, 1;
	$_->close for $old, $new;
};

it 'a timeout that was changed holds for new sessions' => sub {
	my $old = client($echo);
	$old->ping;
	$w->edit_conf(sub { s/(\[server echo\])/$1\nidle_timeout = 200ms/ });
	reload_well;
	my $new = client($echo);
	$new->ping;
	isnt $new->ending, 'open';
	$w->edit_conf(sub { s/idle_timeout = 200ms\n// });
	reload_well;
	ok client($echo)->ping;
};

it 'a listener comes and goes' => sub {
	ok !Weir::Client->try($extra);
	$w->edit_conf(sub { s/(listen = 127.0.0.1:$echo)/$1\nlisten = 127.0.0.1:$extra/ });
	reload_well;
	my $stays = client($extra);
	ok $stays->ping;
	$w->edit_conf(sub { s/listen = 127.0.0.1:$extra\n// });
	reload_well;
	ok wait_for { !Weir::Client->try($extra) }, 'its port is closed';
	ok $stays->ping, 'its sessions are not';
	ok client($echo)->ping;
};

it 'a server comes and goes' => sub {
	$w->edit_conf(sub { $_ .= "[server more]\nlisten = 127.0.0.1:$extra\nprotocol = echo\n" });
	my $result = reload_well;
	like $result->{text}, qr/more|$extra/, 'and the command tells it';
	my $c = client($extra);
	ok $c->ping;
	$w->edit_conf(sub { s/\[server more\].*//s });
	reload_well;
	ok wait_for { !Weir::Client->try($extra) };
	ok $c->ping;
	ok wait_for { $c->close; !$w->status->has_server('more') }, 'also from the status';
};

it 'more workers and fewer' => sub {
	my $stay = client($proxy);
	$stay->ping;
	for my $count (4, 1, 3, 2) {
		$w->edit_conf(sub { s/workers = \d+/workers = $count/ });
		reload_well;
		is scalar($w->workers), $count, "$count workers";
		for (1 .. 20) {
			client($echo)->ping;
			client($proxy)->ping;
		}
		ok client($w->address('proxy'))->ping;
		ok $stay->ping;
	}
};

# So many that stay and talk, and so many that come and go: not so much that it leaves weir no processor.
sub load($address, $stay, $churn)
{
	return (crowd('line', '-c', $stay, '--rate', 500, $address),
	    crowd('churn', '-c', $churn, '--rate', 200, $address));
}

it 'the number of workers changes under load' => sub {
	my @load = load("127.0.0.1:$echo", 10, 5);
	for my $count (4, 1, 3, 1, 2) {
		$w->edit_conf(sub { s/workers = \d+/workers = $count/ });
		reload_well;
		all_moving(@load);
	}
	unharmed($_->end) for @load;
};

it 'nobody is refused or reset in 20 reloads under load' => sub {
	my @load;
	push @load, load(@$_) for ["127.0.0.1:$proxy", 20, 4], ["127.0.0.1:$echo", 10, 4],
	    [$w->address('proxy'), 5, 2];
	my $failed = 0;
	for my $n (1 .. 20) {
		my $result = $w->reload;
		$failed++, diag $result->{text} if $result->{exit};
		all_moving(@load);
	}
	is $failed, 0, 'all reloads succeed';
	unharmed($_->end) for @load;
	ok wait_for { (generations_left) == 1 }, 'all old workers have left';
};

it 'counters go on' => sub {
	my $before = $w->status;
	client($echo)->ping for 1 .. 5;
	reload_well;
	client($echo)->ping for 1 .. 5;
	reload_well;
	my $accepted;
	ok wait_for {
		$accepted = $w->status->server('echo')->{accepted} -
		    $before->server('echo')->{accepted};
		$accepted == 10;
	} or diag "accepted: $accepted";
	ok $w->status->server('echo')->{bytes_in} > $before->server('echo')->{bytes_in};
	ok wait_for { $w->status->server('echo')->{sessions} == 0 }, 'open ones are at zero';
};

it 'a session that an old worker has counts as open' => sub {
	my $c = client($echo);
	$c->ping;
	reload_well;
	is $w->status->server('echo')->{sessions}, 1;
	$c->close;
	ok wait_for { $w->status->server('echo')->{sessions} == 0 };
};

for my $case (
	['an unknown key', 'protocol = echo', "protocol = echo\nnonsense = 1", qr/weir\.conf:\d+.*nonsense/],
	['an unknown protocol', 'protocol = echo', 'protocol = ecko', qr/weir\.conf:\d+.*ecko/],
	['an undefined upstream', 'upstream = named', 'upstream = names', qr/weir\.conf:\d+.*names/],
	['a value out of range', 'workers = 2', 'workers = 0', qr/weir\.conf:2/],
	['an address not ours', 'listen = 127.0.0.1:', 'listen = 192.0.2.1:', qr/192\.0\.2\.1/],
	['a module that is missing', 'workers = 2', "workers = 2\nload_module = ./missing.so", qr/missing\.so/],
) {
	my ($name, $from, $to, $phrase) = @$case;

	it "$name leaves the old configuration serving" => sub {
		my $conf = $w->conf;
		my @workers = $w->workers;
		my $c = client($echo);
		$c->ping;
		$w->edit_conf(sub { s/\Q$from\E/$to/ });
		my $result = $w->reload;
		is $result->{exit}, 1, 'the command says so';
		like $result->{text}, $phrase, 'and why';
		like $w->log, $phrase, 'so does the log';
		is_deeply [$w->workers], \@workers, 'the workers are the same';
		ok $c->ping, 'sessions go on';
		ok client($echo)->ping, 'new ones come';
		is client($quiet)->line, "two\n";
		$w->write_conf($conf);
	};
}

it 'tells all errors at once' => sub {
	my $conf = $w->conf;
	$w->edit_conf(sub { s/protocol = echo/protocol = ecko\nfirst = 1\nsecond = 2/;
	    s/upstream = named/upstream = names/ });
	my $result = $w->reload;
	is $result->{exit}, 1;
	like $result->{text}, $_ for qr/ecko/, qr/first/, qr/second/, qr/names/;
	$w->write_conf($conf);
};

it 'a port that somebody else has fails the whole reload' => sub {
	my $conf = $w->conf;
	my $stranger = backend('echo');
	$w->edit_conf(sub {
		s/(\[server echo\]\n)/$1listen = 127.0.0.1:$extra\nlisten = @{[$stranger->address]}\n/;
	});
	my $result = $w->reload;
	is $result->{exit}, 1;
	like $result->{text}, qr/@{[$stranger->port]}/;
	ok !Weir::Client->try($extra), 'nothing of it stays';
	ok client($echo)->ping;
	$w->write_conf($conf);
	reload_well;
};

it 'options that are set before a reload fails are not applied' => sub {
	my $conf = $w->conf;
	my $stranger = backend('echo');
	$w->edit_conf(sub {
		s/(listen = 127.0.0.1:$quiet)\n/$1 deferred\nlisten = @{[$stranger->address]}\n/;
	});
	is $w->reload->{exit}, 1;
	my $c = client($quiet);
	is $c->line, "two\n", 'a silent client is accepted at once';
	$c->close;
	$w->write_conf($conf);
	reload_well;
};

it 'a file that is not there' => sub {
	my $conf = $w->path('conf/weir.conf');
	rename($conf, "$conf.away");
	my $result = $w->reload;
	is $result->{exit}, 1;
	like $result->{text}, qr/weir\.conf/;
	rename("$conf.away", $conf);
	reload_well;
};

it 'reloads at once are all answered' => sub {
	my $first = reload_number();
	my @pids = map {
		Weir::Process::spawn([$w->_command('-s', 'reload')], output => $w->path('run/both'))
	} 1 .. 3;
	is Weir::Process::reap($_, 30), 0 for @pids;
	cmp_ok reload_number(), '>', $first;
	cmp_ok reload_number(), '<=', $first + 3, 'one may serve several';
	ok client($echo)->ping;
};

sub reload_number()
{
	return (generations_left)[-1];
}

it 'descriptors and processes do not pile up' => sub {
	reload_well for 1 .. 3;
	ok wait_for { (generations_left) == 1 };
	my $before = Weir::Process::descriptors($w->pid);
	my $processes = $w->processes;
	for (1 .. 10) {
		my $result = $w->reload;
		die $result->{text} if $result->{exit};
	}
	ok wait_for { (generations_left) == 1 };
	is scalar($w->processes), $processes, 'as many processes';
	my $now;
	ok wait_for { ($now = Weir::Process::descriptors($w->pid)) <= $before },
	    'those of the workers that left are closed' or diag "$now, before: $before";
};

it 'old workers are ended at worker_shutdown_timeout' => sub {
	$w->edit_conf(sub { s/workers = 2/workers = 2\nhandover = off\nworker_shutdown_timeout = 300ms/ });
	reload_well;
	my $c = client($echo);
	$c->ping;
	my $began = now();
	reload_well;
	isnt $c->ending, 'open';
	cmp_ok now() - $began, '<', patience(10);
	ok wait_for { (generations_left) == 1 };
};

done_testing;
