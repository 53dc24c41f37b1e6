#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A real PostgreSQL behind stream_proxy, pgbench in front. initdb refuses root:
# it and the server then run as nobody.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;

Weir::Test::skip_all('stream_proxy is tested elsewhere below a sanitizer') if Weir::Build::sanitized();

my ($newest) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] } glob('/usr/lib/postgresql/*/bin');
local $ENV{PATH} = join(':', grep { $_ } $newest, $ENV{PATH});
my %bin;
for my $name (qw(initdb postgres pgbench psql)) {
	$bin{$name} = program($name) // skip_all("no $name");
}
my @user = $> == 0 ? (user => 'nobody') : ();
my $name = getpwuid($> || getpwnam('nobody'));

my $dir = File::Temp->newdir;
chmod(0777, $dir);
my ($backend, $port, $to_unix) = free_ports(3);
my $init = Weir::Process::run([$bin{initdb}, '-D', "$dir/data", '-A', 'trust', '-U', 'weir',
    '--no-sync', '-E', 'UTF8', '--locale=C'], @user, dir => "$dir", timeout => 100);
skip_all("initdb does not work as $name: " . ($init->{err} =~ s/\n.*//sr)) if $init->{exit} != 0;
my $service = Weir::Service->start([$bin{postgres}, '-D', "$dir/data", '-p', $backend,
    '-c', 'listen_addresses=127.0.0.1', '-k', "$dir", '-c', 'fsync=off',
    '-c', 'shared_buffers=16MB', '-c', 'max_connections=50'], @user, dir => "$dir",
    ready => sub { -S "$dir/.s.PGSQL.$backend" && psql($backend, 'select 1')->{exit} == 0 });

my $w = weir(<<"CONF");
[weir]
workers = 2
[server postgresql]
listen = 127.0.0.1:$port
listen = unix:run/.s.PGSQL.$port mode=0666
protocol = stream_proxy
upstream = postgresql
[server postgresql_unix]
listen = 127.0.0.1:$to_unix
protocol = stream_proxy
upstream = postgresql_unix
[upstream postgresql]
server = 127.0.0.1:$backend
[upstream postgresql_unix]
server = unix:$dir/.s.PGSQL.$backend
CONF

sub psql($to, $query, $host = '127.0.0.1')
{
	return Weir::Process::run([$bin{psql}, '-X', '-A', '-t', '-h', $host, '-p', $to, '-U', 'weir',
	    '-d', 'postgres', '-c', $query]);
}

sub pgbench($host, $to, @args)
{
	my $result = Weir::Process::run([$bin{pgbench}, '-h', $host, '-p', $to, '-U', 'weir', @args,
	    'postgres'], timeout => 100);
	is $result->{exit}, 0, "pgbench @args" or diag $result->{text};
	return $result->{text};
}

it 'psql asks and is answered' => sub {
	is psql($port, 'select 6 * 7')->{out}, "42\n";
	is psql($to_unix, 'select 6 * 7')->{out}, "42\n";
	is psql($port, 'select 6 * 7', $w->path('run'))->{out}, "42\n";
	isnt psql($port, 'select nonsense')->{exit}, 0;
};

it 'a large result comes unchanged' => sub {
	my $query = "select n, md5(n::text) from generate_series(1, 50000) n";
	my $direct = psql($backend, $query)->{out};
	cmp_ok length($direct), '>', 1_000_000;
	ok psql($port, $query)->{out} eq $direct;
	ok psql($to_unix, $query)->{out} eq $direct;
};

it 'pgbench' => sub {
	pgbench('127.0.0.1', $port, '-i', '-q');
	for my $way (['127.0.0.1', $port], ['127.0.0.1', $to_unix], [$w->path('run'), $port]) {
		for my $more ([], ['-C', '-t', 2], ['-S', '-M', 'prepared']) {
			like pgbench(@$way, '-n', '-c', 10, '-t', 50, @$more),
			    qr{processed: (\d+)/\1\b}, 'all transactions';
		}
	}
};

it 'what was counted is what is there' => sub {
	is psql($port, 'select sum(abalance) = (select sum(delta) from pgbench_history) ' .
	    'from pgbench_accounts')->{out}, "t\n";
};

done_testing;
