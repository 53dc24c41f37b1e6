#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-stress as a judge: what it refuses to be asked, what it says on a terminal and at the end, what it writes to files,
# and what becomes of a search or a watch whose server dies.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use JSON::PP;
use Weir::Test;
use Weir::Stress;

Weir::Build::ignore_leaks();

sub refused($line, $why)
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = Weir::Process::run([Weir::Stress::binary(), split(/ /, $line)], timeout => 20);
	is $r->{exit}, 2, $line;
	like $r->{err}, $why;
	is $r->{out}, '', 'and nothing is done';
}

# What a run says on a terminal so wide.
sub on_terminal($columns, @arguments)
{
	my $command = join(' ', 'stty', 'cols', $columns, '&&', 'exec', Weir::Stress::binary(), @arguments);
	return Weir::Process::run(['script', '-qec', $command, '/dev/null'], timeout => 60)->{out};
}

# A server that is killed when the run has said something, or has connections.
sub dies($server, $ready, @arguments)
{
	my $p = stress_start(@arguments, $server->address);
	my $ok = wait_for { $ready->($p) } 30;
	kill('KILL', $server->pid);
	ok $ok, 'it was in the middle';
	return $p->wait(60);
}

it 'conditions on what is not measured are refused' => sub {
	my $at = '127.0.0.1:9';
	refused("line --expect $_<1g $at", qr/^weir-stress: --expect: $_<1g: it needs --watch, which is missing$/m)
	    for 'server_memory', 'server_bytes';
	refused("line --expect server_cpu<1ms $at", qr/--expect: server_cpu<1ms: it needs --watch/);
	refused("line --expect errors==0,across_failed==0 $at", qr/--expect: across_failed==0: it needs --across/);
	refused("line --expect rate_asked>1 $at", qr/--expect: rate_asked>1: it needs --rate/);
	refused("line --slo server_cpu<1ms $at", qr/--slo: server_cpu<1ms: it needs --watch, which is missing/);
	refused("line --slo across_lost==0 $at", qr/--slo: across_lost==0: it needs --across, which does not go with --slo/);
};

it 'files that are one' => sub {
	my $dir = File::Temp->newdir;
	refused("line --json $dir/x --hgrm $dir/./x 127.0.0.1:9", qr/--json and --hgrm: .* are one file/);
};

it 'several -c: a line for each' => sub {
	my $b = serve('line');
	my $r = stress('line', '-c', '2,5,9', '--hold', '200ms', '--watch', $b->pid, $b->address);
	is $r->{exit}, 0 or diag $r->{text};
	my @stations = @{$r->{told}{stations}};
	is join(' ', map { $_->{open} } @stations), '2 5 9';
	is join(' ', map { $_->{errors} } @stations), '0 0 0';
	for my $s (@stations) {
		cmp_ok $s->{answered}, '>', 0;
		cmp_ok $s->{duration}, '>=', 199_000;
		cmp_ok $s->{p50}, '<=', $s->{p99};
		cmp_ok $s->{server_cpu}, '>=', 0;
	}
	is scalar(() = $r->{out} =~ /^ +[259] +[\d,.]+ .*%/mg), 3, 'in the text, too' or diag $r->{out};
	is $r->{of}{peak}, 9;
	is $r->{of}{connected}, 9;
};

it 'a plan that cannot be kept begins nothing' => sub {
	my $b = serve('line');
	for my $plan ([], ['--plan']) {
		my $r = stress('line', '-c', 1_000_000, @$plan, $b->address);
		is $r->{exit}, 1;
		like $r->{text}, qr/ports .* MISSING/;
		like $r->{text}, qr/--source 127\.0\.1\.1-127\.0\.1\.\d+/, 'and what helps';
		like $r->{text}, @$plan ? qr/^This run cannot succeed\.$/m : qr/--force runs it all the same/;
		is_deeply $r->{told}, {}, 'there is nothing to be told';
	}
	is $b->stop->{accepted}, 0;
};

it 'a search: its tries, the report and the files of the best' => sub {
	my $b = serve('line', '--delay', '1ms');
	my $hgrm = File::Temp->new;
	my $r = stress('line', '-c', 1, '-d', '300ms', '--rate', 50, '-q', '--watch', $b->pid, '--hgrm', $hgrm->filename,
	    '--slo', 'max<60s', $b->address, { timeout => 120 });
	is $r->{exit}, 0 or diag $r->{text};
	my $slo = $r->{told}{slo};
	is $slo->{end}, 'found';
	is scalar(() = $r->{out} =~ m{^ +[\d,]+/s  (?:holds|fails)  .*  tester \d+%(?: \(busy\))?$}mg), scalar(@{$slo->{tries}}),
	    'each try is told, with -q, and how busy the tester was';
	is scalar(grep { defined $_->{busiest} } @{$slo->{tries}}), scalar(@{$slo->{tries}});
	like $r->{out}, qr/^The highest rate that holds: [\d,]+ requests a second\n[\d,]+ a second do not: [\d,.]+ were answered/m;
	like $r->{out}, qr/^  latency /m, 'the best has a report';
	my ($best) = grep { $_->{rate} == $slo->{holds} } reverse @{$slo->{tries}};
	ok $best->{holds};
	cmp_ok abs($r->{of}{rate} - $best->{answered}), '<', 1, 'and its figures';
	is $r->{of}{connected}, 0, 'its own: nothing was connected in it' if $best->{rate} != $slo->{tries}[0]{rate};
	my ($count) = slurp($hgrm->filename) =~ /^#\[Max.*Total count +=\s+(\d+)\]/m;
	is $count, $r->{of}{answered}, 'and its distribution';
	ok defined $r->{of}{server_cpu}, 'and what was watched';
};

it 'a search whose server dies' => sub {
	my $b = serve('line', '--delay', '1ms');
	my $began = now();
	my $r = dies($b, sub ($p) { Weir::Stress::_text($p->{out}) =~ m{/s  holds}m },
	    'line', '-c', 1, '-d', '1s', '-t', '2s', '--rate', 20, '--slo', 'max<60s');
	cmp_ok now() - $began, '<', patience(60), 'it ends soon';
	is $r->{exit}, 1;
	like $r->{out}, qr/^The search was cut short at [\d,]+ requests a second: \S+ does not answer any more$/m;
	like $r->{out}, qr/^[\d,]+ a second have held until then; whether more would is not known$/m;
	unlike $r->{out}, qr/highest rate/;
	like $r->{out}, qr/nobody listens there: start the server/;
	is $r->{told}{slo}{end}, 'lost';
	ok !$r->{told}{met};
};

it 'a search without a server' => sub {
	my $r = stress('line', '--slo', 'p99<5ms', '-t', '1s', '-d', '1s', '127.0.0.1:' . free_port, { timeout => 60 });
	is $r->{exit}, 1;
	like $r->{out}, qr/^No rate has held until then$/m;
	like $r->{out}, qr/nobody listens there/;
};

it 'a server that dies while it is watched' => sub {
	my $b = serve('line', '--delay', '1ms');
	my $r = dies($b, sub ($p) { (grep { /^socket:/ } Weir::Process::descriptors($b->pid)) > 5 },
	    'line', '-c', 5, '-d', '60s', '-t', '500ms', '--watch', $b->pid);
	is $r->{exit}, 1;
	is $r->{of}{server_bytes}, undef, 'what a connection took is not known';
	cmp_ok $r->{of}{server_memory}, '>', 0, 'but what it had';
	cmp_ok $r->{of}{server_cpu} // 0, '>=', 0;
	like $r->{out}, qr/there is no process @{[$b->pid]} any more/;
	like $r->{out}, qr/^  NOT GOOD: \d+ errors, \d+ requests? lost\.$/m;
};

it 'the last words' => sub {
	my $b = serve('line');
	like stress('line', '-n', 10, '-c', 1, $b->address)->{out}, qr/^  Good: no errors, and no request was lost\.$/m;
	like stress('line', '-n', 10, '-c', 1, '--expect', 'answered==10', $b->address)->{out},
	    qr/^  Good: all conditions hold\.$/m;
	like stress('line', '-n', 10, '-c', 1, '--expect', 'answered==11', $b->address)->{out},
	    qr/^  BROKEN +answered==11 +10\n\n  NOT GOOD: not all conditions hold\.$/m;
	like stress('idle', '-d', '100ms', '-c', 1, '-i', '1h', $b->address)->{out}, qr/no request was answered either/;
};

it 'on a terminal' => sub {
	my $b = serve('line');
	my @run = ('line', '-c', 4, '-d', '3s', '--rate', 200, $b->address);
	my $said = on_terminal(200, @run);
	like $said, qr/\rmeasure +[\d.]+s of 3s  4 open  [\d,]+\/s of 200\/s.*  own cpu \d+%/ or diag $said;
	like $said, qr/\r\e\[Kline, /, 'and it is wiped away before the report';
	$said = on_terminal(30, @run);
	my @lines = $said =~ /\r(measure[^\r\n\e]*)\e\[K/g;
	cmp_ok scalar(@lines), '>', 0;
	is scalar(grep { length > 29 } @lines), 0, 'no longer than it is wide' or diag "@lines";
	unlike on_terminal(200, '-q', @run), qr/\rmeasure/, 'not with -q';
};

# What the manual calls figures.
sub documented($page)
{
	my ($faults) = $page =~ /^\.Sh WHAT GOES WRONG\n(.*?)^\.El$/ms;
	my ($table) = $page =~ /^\.Sh EXPECTATIONS\n(.*?)^\.El$/ms;
	my @names = $faults =~ /^\.It Cm (\w+)$/mg;
	for ($table =~ /^\.It Cm (.*)$/mg) {
		push @names, split(/ *, */, s/ No .*//r) if !/^raw/;
	}
	my @times = grep { /^(p[\d.]+|max|mean)$/ } @names;
	my ($extra) = $table =~ /^\.Cm busiest$/m ? 'busiest' : ();
	return sort(@names, map({ ("raw.$_", "connect.$_", "handshake.$_") } @times), defined $extra ? $extra : ());
}

it 'a file is replaced when all of it has been written' => sub {
	my $b = serve('line');
	my $dir = File::Temp->newdir;
	my ($file, $link, $pipe) = map { "$dir/$_" } qw(file link pipe);
	my @line = (Weir::Stress::binary(), 'line', '-c', 1, '-n', 5);
	Weir::File::spurt($file, 'what was there');
	chmod(0640, $file) && symlink('file', $link) or die "$dir: $!\n";
	open(my $before, '<', $file) or die "$file: $!\n";
	is Weir::Process::run([@line, '--json', $link, $b->address], timeout => 30)->{exit}, 0;
	is readline($before), 'what was there', 'not before that';
	ok -l $link, 'a link stays one';
	is eval { decode_json(slurp($file))->{figures}{answered} }, 5, 'to what is new';
	is sprintf('%o', (stat $file)[2] & 07777), '640', 'for the same eyes';
	is join(' ', map { s{.*/}{}r } sort glob("$dir/*")), 'file link', 'and nothing is left beside it';
	my $out = Weir::Process::run([@line, '--json', '/dev/stdout', $b->address], timeout => 30)->{out};
	like $out, qr/"answered": 5\b/, 'what is no file is written to';
};

# The limit is for files: its other output goes through a pipe.
it 'a file at the limit of sizes is an error that names it' => sub {
	my $b = serve('line');
	my $dir = File::Temp->newdir;
	my $file = "$dir/file";
	for my $option ('--json', '--hgrm') {
		Weir::File::spurt($file, 'what was there');
		my @line = (Weir::Stress::binary(), 'line', '-c', 1, '-n', 5, $option, $file, $b->address);
		open(my $out, '-|', 'sh', '-c', 'ulimit -f 0; exec "$@" 2>&1', 'sh', @line) or die "sh: $!\n";
		like join('', readline($out)), qr/^weir-stress: $option: cannot write \Q$file\E: File too large$/m;
		close($out);
		is $? & 127, 0, 'no signal';
		isnt $? >> 8, 0, $option;
		is slurp($file), 'what was there', 'it stays as it was';
		is join(' ', glob("$dir/*")), $file, 'and nothing is left beside it';
	}
};

it 'JSON has all figures of the manual, and no others' => sub {
	my $b = serve('line');
	my $file = File::Temp->new;
	my $r = Weir::Process::run([Weir::Stress::binary(), 'line', '-c', 3, '-n', 60, '--json', $file->filename, $b->address],
	    timeout => 30);
	is $r->{exit}, 0;
	my $json = JSON::PP->new->utf8->decode(slurp($file->filename));
	my $page = slurp(Weir::Build::srcdir() . '/man/weir-stress.1');
	is join("\n", sort keys %{$json->{figures}}), join("\n", documented($page));
	is "@{$json->{figures}}{qw(errors lost sent answered connected bytes_in bytes_out unsent late peak)}",
	    '0 0 60 60 3 3840 3840 0 0 3', 'counted by hand';
	is $json->{figures}{$_}, undef, "$_ does not exist" for qw(server_cpu server_bytes across_runs rate_asked);
	my $f = $json->{figures};
	cmp_ok abs($f->{rate} - 60 * 1e6 / $f->{duration}), '<', 0.01 * $f->{rate}, 'the rate follows';
	ok $json->{met} && !$json->{interrupted};
	is $json->{options}{target}, $b->address;
	my ($modes) = $page =~ /^\.Sh MODES\n(.*?)^\.Sh /ms;
	for my $mode (qw(echo line redis idle churn handshake bulk slowloris halfclose unruly)) {
		my $err = Weir::Process::run([Weir::Stress::binary(), $mode, '--expect', 'quux==0', '127.0.0.1:9'])->{err};
		my ($all) = $err =~ /; there are (.*), and any other percentile/;
		my @own = grep { !exists $f->{$_} } split(/, /, $all // '');
		cmp_ok scalar(split(/, /, $all)), '>=', keys %$f, $mode;
		is join(' ', grep { $modes !~ /^\.Cm \Q$_\E\b|^\.Pq Cm \Q$_\E\b/m } @own), '', "what $mode counts is in the manual";
	}
	my $out = Weir::Process::run([Weir::Stress::binary(), 'line', '-c', 1, '-n', 5, '--json', '-', $b->address]);
	is eval { decode_json($out->{out})->{figures}{answered} }, 5, 'a dash is standard output';
	like $out->{err}, qr/^  answered     5 in /m, 'and the text goes to the other one';
};

done_testing;
