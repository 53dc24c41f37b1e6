# SPDX-License-Identifier: BSD-2-Clause
# weir-stress: runs against something, and backends (--serve).
#
#	my $r = stress(@arguments, { %option });
#		{ exit, out, err, text, of => figures by name (times in µs), wrong, errnos };
#		`of` is empty when it did not run.  Options: nofile (limit of descriptors),
#		timeout (seconds)
#	my $p = stress_start(@arguments);	$p->wait gives the same; $p->pid
#	my $p = stress_measuring(@arguments);	and has been measuring for a moment
#	$p->so_far		the figures of a run that goes on (or, if it has ended, of its end),
#				and waiting: how many requests are in flight
#	$p->running
#	$p->moving		waits until 50 more were answered: the figures; dies when they are not
#	$p->end			SIGTERM: no more is asked, what is due is waited for: as wait
#	$p->leave		all connections are cut off, whatever is due
#
#	my $p = crowd(@arguments);	stress_start with a patient -t (if there is none); all are
#				connected
#	all_moving(@runs)	moving, of several at the same time
#	unharmed($r, %figures)	a test that a run was without error, failure or loss, that these
#				figures are so, and its exit status 0
#
#	my $b = serve('line', @options);	on a free port, or at: address => last option
#	$b->address, $b->port, $b->addresses, $b->pid
#	$b->stop		lets it end: { name => count } of its last line; dies if its
#				exit status is not 0
#
#	look_for_leaks		below a sanitizer, in all programs from here on: that takes nearly as
#				long as all else that a short run does, and is for tests whose
#				subject is weir-stress
#
# What still runs when the test ends is ended with it.
package Weir::Stress;
use v5.36;
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use POSIX ();
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes ();
use Weir::Build;
use Weir::File;
use Weir::JSON;
use Weir::Process;
use Weir::Wait;

our @EXPORT = qw(stress stress_start stress_measuring crowd all_moving
    unharmed serve look_for_leaks);

my %all;
my $leaks;

sub look_for_leaks() { $leaks = 1 }

sub _env()
{
	return {} if $leaks;
	return { ASAN_OPTIONS => join(':', $ENV{ASAN_OPTIONS} // (), 'detect_leaks=0') };
}

sub binary()
{
	my $path = dirname(Weir::Build::objdir()) . '/weir-stress';
	die "no $path: make builds it\n" if !-x $path;
	return $path;
}

sub stress(@arguments)
{
	my $option = ref($arguments[-1]) ? pop(@arguments) : {};
	return stress_start(@arguments, $option)->wait($option->{timeout} // 30);
}

sub stress_start(@arguments)
{
	my $option = ref($arguments[-1]) ? pop(@arguments) : {};
	state $dir = File::Temp->newdir;
	state $count = 0;
	my $self = bless { json => "$dir/" . ++$count, out => scratch(), err => scratch(), owner => $$ }, __PACKAGE__;
	my @command = (binary(), @arguments, '--json', $self->{json});
	unshift(@command, 'sh', '-c', "ulimit -n $option->{nofile}; exec \"\$@\"", 'sh')
	    if $option->{nofile};
	$self->{name} = "weir-stress @arguments";
	$self->{pid} = Weir::Process::spawn(\@command, output => name_of($self->{out}),
	    error => name_of($self->{err}), env => _env());
	return $self->_keep;
}

# A command that is run across the load tells that there is one.
sub stress_measuring(@arguments)
{
	my $beats = File::Temp->new;
	my $self = stress_start('--across', "echo >>$beats", '--every', '50ms', @arguments);
	wait_for { -s $beats->filename >= 3 || $self->_reap(0) } 30;
	die "$self->{name} does not begin:\n", _text($self->{err}) if !-s $beats->filename;
	$self->{beats} = $beats;
	return $self;
}

sub crowd($mode, @arguments)
{
	my $count = 50;
	for my $i (0 .. $#arguments - 1) {
		$count = $arguments[$i + 1] if $arguments[$i] eq '-c';
	}
	unshift(@arguments, '-t', int(patience(30)) . 's') if !grep { $_ eq '-t' } @arguments;
	my $self = stress_start($mode, @arguments);
	await { $self->_ended || $self->so_far->{connected} >= $count } 'the crowd is connected', 60;
	return $self;
}

sub unharmed($r, %figures)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $of = $r->{of};
	my $good = Test::More::is("exit $r->{exit}, errors $of->{errors}, lost $of->{lost}, failed $of->{failed}",
	    'exit 0, errors 0, lost 0, failed 0', 'no harm was done');
	$good &= Test::More::is($of->{$_}, $figures{$_}, $_) for sort keys %figures;
	Test::More::diag($r->{text}) if !$good;
	return $good;
}

sub serve($mode, @options)
{
	my $self = bless { out => scratch(), err => scratch(), owner => $$ }, __PACKAGE__;
	my @at = @options && $options[-1] =~ /^unix:|:\d+$/ ? () : ('127.0.0.1:0');
	$self->{name} = "weir-stress --serve $mode @options";
	$self->{pid} = Weir::Process::spawn([binary(), '--serve', $mode, @options, @at],
	    output => name_of($self->{out}), error => name_of($self->{err}), env => _env());
	$self->_keep;
	my $wanted = @at || grep { /^unix:|^[\d.\[\]*:]+:\d+$/ } @options;
	my $up = wait_for {
		$self->{addresses} = [_text($self->{out}) =~ /^listening on (\S+)\n/mg];
		@{$self->{addresses}} >= $wanted || $self->_reap(0);
	} 10;
	die "$self->{name} does not start:\n", _text($self->{err})
	    if !$up || defined $self->{status};
	return $self;
}

sub pid($self) { return $self->{pid} }
sub addresses($self) { return @{$self->{addresses}} }
sub address($self) { return $self->{addresses}[0] }
sub port($self) { return $self->address =~ /:(\d+)$/ ? $1 : undef }

sub signal($self, $name)
{
	kill($name, $self->{pid}) or die "kill $name: $!\n";
}

# An answer may be half written, or none when it had not yet begun to listen to signals.
sub so_far($self)
{
	my $path = $self->{json};
	wait_for { -e $path || $self->_ended } 20;
	my $written = sub () { (Time::HiRes::stat($path))[9] // 0 };
	my $before = $written->();
	my ($told, $asked, $deadline) = (undef, 0, now() + patience(20));
	while (!$told && now() < $deadline) {
		my $over = $self->_ended;
		kill('USR2', $self->{pid}), $asked = now() if !$over && now() > $asked + 0.5;
		select(undef, undef, undef, 0.001) if !$over;
		$told = _figures($path) if $over || $written->() != $before;
		last if $over;
	}
	die "$self->{name} does not answer\n" if !$told && !$self->_ended;
	die "$self->{name} has ended:\n", _text($self->{err}) if !$told;
	$told->{waiting} = $told->{sent} - $told->{answered} - $told->{failed} - $told->{lost} -
	    ($told->{left} // 0);
	return $told;
}

# Those of a whole file, or undef: all of it would take longer than the run does for them.
sub _figures($path)
{
	my $text = -e $path ? slurp($path) : '';
	my ($figures) = $text =~ /^  "figures": \{\n(.*?)^  \}.*^\}\n\z/ms or return undef;
	return { $figures =~ /^    "([\w.]+)": ([-+.\w]+)/mg };
}

sub moving($self) { return (all_moving($self))[0] }

sub all_moving(@all)
{
	my @before = map { $_->so_far } @all;
	return map {
		my ($run, $before) = ($_, shift @before);
		my $now;
		my $moved = wait_for { ($now = $run->so_far)->{answered} >= $before->{answered} + 50 } 20;
		die "$run->{name} gets no answers: ", Weir::JSON::encode($now), "\n" if !$moved;
		$now;
	} @all;
}

sub end($self)
{
	$self->signal('TERM') if !$self->_ended;
	return $self->wait(60);
}

sub leave($self)
{
	$self->signal('KILL') if !$self->_ended;
	$self->_reap(10);
}

sub running($self) { return !$self->_ended }

sub end_all($class)
{
	$_->leave for grep { defined } values %all;
}

# Of a run: waits for its end.
sub wait($self, $seconds = 30)
{
	if (!$self->_reap($seconds)) {
		kill('KILL', $self->{pid});
		$self->_reap(10);
		die "timed out: $self->{name}\n", _text($self->{out}), _text($self->{err});
	}
	my $json = -e $self->{json} ? slurp($self->{json}) : '';
	my $told = $json eq '' ? {} : Weir::JSON::decode($json);
	my $status = $self->{status};
	my %result = (out => _text($self->{out}), err => _text($self->{err}),
	    exit => $status & 127 ? undef : $status >> 8, signal => $status & 127,
	    of => $told->{figures} // {}, wrong => $told->{wrong}, errnos => $told->{errnos},
	    told => $told);
	$result{text} = $result{out} . $result{err};
	return \%result;
}

# Of a backend: ends it.
sub stop($self)
{
	$self->signal('TERM') if !$self->_reap(0);
	$self->_reap(10) or die "$self->{name} does not end\n";
	my $said = _text($self->{err});
	die "$self->{name}: status $self->{status}\n$said" if $self->{status} != 0 || $said ne '';
	my ($line) = _text($self->{out}) =~ /^(accepted=.*)\n\z/m or die "$self->{name}: no counts\n";
	return { $line =~ /(\w+)=(\d+)/g };
}

sub _keep($self)
{
	$all{$self} = $self;
	weaken($all{$self});
	return $self;
}

sub _ended($self) { return $self->_reap(0) }

# Whether it has ended, by then.
sub _reap($self, $seconds)
{
	local $?;
	return 1 if defined $self->{status};
	$self->{status} = $seconds > 0 ? Weir::Process::reap($self->{pid}, $seconds)
	    : waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} ? $? : undef;
	delete $all{$self} if defined $self->{status};
	return defined $self->{status};
}

sub _text($fh)
{
	local $/;
	open(my $read, '<', name_of($fh)) or return '';
	return readline($read) // '';
}

sub DESTROY($self)
{
	local ($?, $@);
	return if $self->{owner} != $$ || defined $self->{status};
	kill('CONT', $self->{pid});
	kill('TERM', $self->{pid});
	return if $self->_reap(5);
	kill('KILL', $self->{pid});
	$self->_reap(5);
}

END {
	my $status = $?;
	$_->DESTROY for grep { defined } values %all;
	$? = $status;
}

1;
