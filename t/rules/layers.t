# SPDX-License-Identifier: BSD-2-Clause
# Who may include what, and who may close a descriptor.
use v5.36;
use Test::More;
use Weir::Sources;

# A file includes headers of its own layer and of those before it. ctl may use what main may.
my @layers = qw(base net conf upstream session proc ctl main);
my %rank = map { $layers[$_] => $_ } 0 .. $#layers;

# Every library is spoken to in one place.
my %library = (
	'event2/'  => qr{^src/net/loop\.c$},
	'event.h'  => qr{^$},
	'openssl/' => qr{^src/net/tls(?:_[a-z]+)?\.[ch]$},
	'ini.h'    => qr{^src/conf/ini\.c$},
	'ares.h'   => qr{^src/upstream/resolver\.c$},
	'bsd/'     => qr{^src/(main|proc/[a-z]+)\.c$},
	'dlfcn.h'  => qr{^src/conf/module\.c$},
	'syslog.h' => qr{^src/base/log\.[ch]$},
);

# The owner closes: those who own descriptors.
my %closes = map { $_ => 1 } qw(
	src/base/log.c src/base/stdfd.c
	src/net/conn.c
	src/net/dial.c
	src/net/listener.c
	src/net/pipe.c
	src/net/ports.c
	src/net/sock.c
	src/session/parcel.c
	src/session/survey.c
	src/proc/fdtable.c
	src/stress/across.c
	src/stress/serve.c
	src/stress/serve_alarm.c
	src/stress/serve_door.c
	src/stress/procfs.c
	src/upstream/board.c
);

# libevent's names, too, stay where it is included.
my $libevent = qr/\b(?:struct event\b|event_\w+\s*\(|evtimer_|evutil_|EV_[A-Z]+\b|EVLOOP_)/;

my (@up, @strangers, @modules, @close, @libevent);
my %seen;
for my $path (c_sources('src', 'modules')) {
	my ($layer) = $path =~ m{^src/([a-z]+)(?:/|\.c$)};
	my $number = 0;
	for my $line (lines($path)) {
		$number++;
		my $at = "$path:$number";
		if ($line =~ /^\s*#\s*include\s+"([^"]+)"/) {
			my ($theirs) = $1 =~ m{^([a-z]+)/};
			push @modules, "$at: $1" if $path =~ m{^modules/};
			push @up, "$at: $1" if defined $theirs && defined $layer && $layer ne 'stress' &&
			    ($rank{$theirs} // 99) > $rank{$layer};
			push @up, "$at: $1" if defined $theirs && ($layer // '') eq 'stress' &&
			    $theirs !~ /^(base|net|stress)$/;
		} elsif ($line =~ /^\s*#\s*include\s+<([^>]+)>/) {
			for my $library (grep { index($1, $_) == 0 } keys %library) {
				push @strangers, "$at: $1" unless $path =~ $library{$library};
				$seen{$library}++;
			}
		} elsif ($line =~ $libevent && $line !~ m{^\s*/?\*}) {
			push @libevent, "$at: $line" unless $path eq 'src/net/loop.c';
			$seen{libevent}++;
		} elsif ($line =~ /(?<![\w.>])close\(/ && $line !~ m{^\s*/?\*}) {
			push @close, "$at: $line" unless $closes{$path};
			$seen{$path}++;
		}
	}
}

objections('no layer includes one above it (' . join(' < ', @layers) . ')', @up);
objections('modules include weir.h and the system, nothing of the tree', @modules);
objections('every library is included in its one place', @strangers);
objections('the names of libevent are used by net/loop only', @libevent);
objections('close() is called by owners of descriptors only', @close);
objections('and the list of those has no one who never does', grep { !$seen{$_} } sort keys %closes);
ok($seen{'event2/'} && $seen{libevent} && $seen{'ini.h'}, 'the libraries were seen at all');

done_testing;
