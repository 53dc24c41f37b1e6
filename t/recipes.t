#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# weir-tls(7) as it is printed: its configurations run, one after the other, with the files that its commands make,
# and what it says to try comes out as it says. What a block is for stands before it, in a comment:
#
#	.\" complete			a configuration: a weir runs with it
#	.\" file: NAME			written to that file
#	.\" run[: REGEX]		commands, which succeed, and what they print
#	.\" run, which fails: REGEX
#	.\" run in the background	until the next configuration
#	.\" haproxy			of its configuration, or of nginx's: it runs as long, and a client
#	.\" nginx			that speaks TLS goes through it
#	.\" haproxy behind, nginx behind	it runs as long, for
#	.\" run through them: REGEX	as run, if they are there, and curl
#
# Ports are other ones, runs of weir-stress are shorter.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Weir::Service;
use Weir::Sources ();
use Weir::Test;
use Weir::TLS;

Weir::Test::skip_all('what the pages show is tried without a sanitizer') if Weir::Build::sanitized();

Weir::TLS->needs;
my $stress = dirname(Weir::Build::binary()) . '/weir-stress';
skip_all('needs weir-stress') if !-x $stress;
skip_all('needs socat') if !program('socat');

my $home = tempdir('weir-recipes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod(0755, $home);
mkdir("$home/$_") for qw(bin conf);
symlink($stress, "$home/bin/weir-stress") or die "$home/bin: $!\n";

my ($w, @services, %port, $missing);

# [WHAT, PATTERN or NAME, TEXT] of each block that has a purpose.
sub blocks($page)
{
	my @found;
	my $text = join("\n", Weir::Sources::lines($page)) . "\n";
	while ($text =~ /^\.\\" (complete|file|haproxy[a-z ]*|nginx[a-z ]*|run[a-z, ]*)(?:: (.*))?\n\.Bd -literal.*\n((?:(?!\.Ed).*\n)+)/mg) {
		my ($kind, $wanted, $block) = ($1, $2, $3);
		push @found, [$kind, $wanted, $block =~ s/\\e/\\/gr];
	}
	return @found;
}

sub mapped($text)
{
	$text =~ s/(?<=[\d*t]:)(\d{4,5})\b/$port{$1} \/\/= free_port/ge;
	return $text =~ s/ -d \d+s/ -d 300ms/gr;
}

# Commands without their prompts.
sub script($text)
{
	return "set -e\n" . mapped($text) =~ s/^\$ //mgr;
}

sub run($text)
{
	return Weir::Process::run(['sh', '-c', script($text)], dir => $w ? $w->prefix : $home, timeout => 60,
	    env => { PATH => "$home/bin:$ENV{PATH}" });
}

# All of them share one folder of files.
sub serve_with($text)
{
	$_->stop for splice(@services);
	$w->stop if $w;
	$w = weir(mapped($text), prepare => sub ($w) {
		my $conf = $w->path('conf');
		rename("$conf/weir.conf", "$home/conf/weir.conf") or die "$conf: $!\n";
		rmdir($conf) && symlink("$home/conf", $conf) or die "$conf: $!\n";
	});
	my ($binary, $prefix) = (Weir::Build::binary(), $w->prefix);
	my $result = $w->command('-t');
	is $result->{exit}, 0, 'is right';
	unlike $result->{text}, qr/has no effect/, 'and all of it has an effect';
	spurt("$home/bin/weir", qq{#!/bin/sh\nexec $binary -p $prefix "\$@"\n});
	chmod(0755, "$home/bin/weir");
}

sub in_background($text)
{
	my ($command, $port) = (script($text) =~ s/^(?=\S*(?:weir-stress|openssl) )/exec /mr, script($text) =~ /:(\d+)/);
	push @services, Weir::Service->start(['sh', '-c', $command], dir => $w->prefix,
	    env => { PATH => "$home/bin:$ENV{PATH}" }, ready => sub { listens("127.0.0.1:$port") });
}

# A proxy with this configuration: where it listens.
sub proxy($kind, $text)
{
	my ($name, $behind) = split(/ /, $kind);
	my $program = program($name);
	$missing = 1 if !$program;
	skip_all("no $name") if !$program;
	my ($address) = (my $own = mapped($text)) =~ /(?:bind|listen) (\S+:\d+)/;
	my $file = "$home/$name.conf";
	my @arguments = ('-db', '-f', $file);
	if ($name eq 'nginx') {
		my @modules = grep { !$behind && -e } '/usr/lib/nginx/modules/ngx_stream_module.so';
		my $around = $behind ? 'http' : 'stream';
		$own = join('', map { "load_module $_;\n" } @modules) . "daemon off;\nerror_log stderr;\n" .
		    "pid $home/nginx.pid;\nevents { }\n$around {\n" . ($behind ? "access_log off;\n" : '') . "$own}\n";
		@arguments = ('-p', $home, '-c', $file);
	}
	spurt($file, $own);
	push @services, Weir::Service->start([$program, @arguments], ready => sub { listens($address) });
	return $address;
}

# What s_client says.
sub shake($address)
{
	return Weir::Process::run(['openssl', 's_client', '-connect', $address, '-CAfile', "$home/conf/test.pem"])->{text};
}

sub listens($address)
{
	my $c = Weir::Client->try($address) // return 0;
	$c->close;
	return 1;
}

for my $block (blocks('man/weir-tls.7')) {
	my ($what, $wanted, $text) = @$block;
	my ($first) = $text =~ /^(.*)/;
	it "$what: $first" => sub {
		return serve_with($text) if $what eq 'complete';
		return spurt("$home/$wanted", $text) if $what eq 'file';
		return in_background($text) if $what eq 'run in the background';
		return ok proxy($what, $text) if $what =~ /behind$/;
		return like shake(proxy($what, $text)), qr/Verification: OK/ if $what =~ /^(?:haproxy|nginx)$/;
		skip_all('needs HAProxy, nginx and curl') if $what eq 'run through them' && ($missing || !program('curl'));
		my $got = run($text);
		# By turns.
		$got = run($text) if $what eq 'run through them' && $got->{exit} == 0;
		my $as = $what =~ /fails/ ? $got->{exit} != 0 : $got->{exit} == 0;
		ok $as, $what or diag $got->{text};
		like $got->{text}, qr/$wanted/ms if defined($wanted);
	};
}

$_->stop for splice(@services);
done_testing;
