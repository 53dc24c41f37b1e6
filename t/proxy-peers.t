#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# PROXY headers exchanged with HAProxy and nginx, in front of weir and behind it, over IPv4, IPv6 and UNIX sockets.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Test;
use Weir::Service;

my $dir = File::Temp->newdir;
chmod(0755, $dir);
my $modules = '/usr/lib/nginx/modules';

# For each kind of header a weir that takes it, and one that sends it.
my ($taken4, $taken6) = free_ports(2);
my %sender = map { $_ => free_port } qw(haproxy_v1 haproxy_v2 nginx_v1 nginx_v2);
my %receiver = map { $_ => free_port } qw(haproxy nginx);
my $conf = <<"CONF";
[weir]
workers = 2
error_log = logs/error.log info
[server taken]
listen = 127.0.0.1:$taken4
listen = [::1]:$taken6
listen = unix:run/taken.sock mode=0666
protocol = echo
proxy_protocol = on
CONF
for my $name (sort keys %sender) {
	my ($who, $version) = $name =~ /(.*)_(.*)/;
	$conf .= <<"CONF";
[server $name]
listen = 127.0.0.1:$sender{$name}
listen = [::1]:$sender{$name}
listen = unix:run/$name.sock mode=0666
protocol = stream_proxy
upstream = $name
[upstream $name]
server = 127.0.0.1:$receiver{$who}
send_proxy_protocol = $version
CONF
}
my $w = weir($conf);
my $taken_unix = $w->path('run/taken.sock');

# told($address): what an HTTP server behind weir says of who asks, and whom it had connected to.
sub told($address, %option)
{
	my $c = client($address, %option);
	my $port = $address =~ /^unix/ ? undef : (Socket::sockaddr_family(getsockname($c->fh)) == Socket::AF_INET()
	    ? Socket::unpack_sockaddr_in(getsockname($c->fh)) : Socket::unpack_sockaddr_in6(getsockname($c->fh)))[0];
	$c->send("GET / HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
	my ($body) = $c->rest =~ /\r\n\r\n(.*)/s;
	return ($body, $port);
}

# through($address, $client): an echo in front of which a proxy has put a header: weir's log has the client.
sub through($address, $client, %option)
{
	my $before = $w->status->server('taken')->{accepted};
	$w->mark;
	my $c = client($address, %option);
	ok $c->ping, 'bytes go both ways';
	ok $c->ping;
	my $port = $address =~ /^unix|^\[/ ? '\d+' : $c->local_port;
	$c->shutdown->ending;
	$w->wait_log(qr/PROXY header of .*, client @{[$client =~ s{PORT}{$port}r]}, server taken/);
}

my $haproxy = program('haproxy');
my $nginx = program('nginx');

it 'HAProxy' => sub {
	skip_all('no haproxy') if !$haproxy;
	my %front = map { $_ => free_port } qw(v1 v2 v2_more v6 unix);
	my $say = '"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_unique_id]"';
	my $text = <<"CONF";
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen v1
    bind 127.0.0.1:$front{v1}
    server weir 127.0.0.1:$taken4 send-proxy
listen v2
    bind 127.0.0.1:$front{v2}
    server weir 127.0.0.1:$taken4 send-proxy-v2
listen more
    bind 127.0.0.1:$front{v2_more}
    server weir 127.0.0.1:$taken4 send-proxy-v2 proxy-v2-options crc32c,unique-id
    unique-id-format %ci:%cp
listen v6
    bind [::1]:$front{v6}
    server weir [::1]:$taken6 send-proxy-v2
listen unix
    bind 127.0.0.1:$front{unix}
    server weir unix\@$taken_unix send-proxy
listen from_unix
    bind unix\@$dir/haproxy.sock mode 666
    server weir unix\@$taken_unix send-proxy-v2
frontend taken
    mode http
    bind 127.0.0.1:$receiver{haproxy} accept-proxy
    http-request return status 200 content-type text/plain lf-string $say
CONF
	spurt("$dir/haproxy.cfg", $text);
	my $service = Weir::Service->start([$haproxy, '-db', '-f', "$dir/haproxy.cfg"],
	    ready => sub { Weir::Client->try($front{v1}) && -S "$dir/haproxy.sock" });

	through("127.0.0.1:$front{$_}", '127\.0\.0\.7:PORT', source => '127.0.0.7') for qw(v1 v2 v2_more unix);
	through("[::1]:$front{v6}", '\[::1\]:PORT');
	through("unix:$dir/haproxy.sock", 'unix:');

	for my $version ('v1', 'v2') {
		my $to = $sender{"haproxy_$version"};
		my ($said, $port) = told("127.0.0.1:$to", source => '127.0.0.7');
		like $said, qr/^127\.0\.0\.7:$port 127\.0\.0\.1:$to /, "$version, IPv4";
		like $said, $version eq 'v2' ? qr/ \d+\.\d+\@\d{13}$/ : qr/ $/, 'with its id, in version 2';
		($said, $port) = told("[::1]:$to");
		like $said, qr/^::1:$port ::1:$to /, "$version, IPv6";
		($said) = told('unix:' . $w->path("run/haproxy_$version.sock"));
		ok defined $said, "$version, UNIX: it is taken";
	}
	$service->stop;
};

it 'nginx' => sub {
	skip_all('no nginx') if !$nginx;
	my %front = map { $_ => free_port } qw(v4 v6);
	my $stream = -f "$modules/ngx_stream_module.so";
	my $text = "daemon off;\npid $dir/nginx.pid;\nerror_log stderr;\nuser root;\nworker_processes 1;\n";
	$text .= "load_module $modules/ngx_stream_module.so;\n" if $stream;
	my $say = join(' ', map { "\$proxy_protocol_${_}addr:\$proxy_protocol_${_}port" } '', 'server_');
	$text .= <<"CONF";
events { worker_connections 100; }
http {
	access_log off;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	server {
		listen 127.0.0.1:$receiver{nginx} proxy_protocol;
		return 200 "$say";
	}
}
CONF
	$text .= <<"CONF" if $stream;
stream {
	server { listen 127.0.0.1:$front{v4}; proxy_pass 127.0.0.1:$taken4; proxy_protocol on; }
	server { listen [::1]:$front{v6}; proxy_pass [::1]:$taken6; proxy_protocol on; }
	server { listen unix:$dir/nginx.sock; proxy_pass unix:$taken_unix; proxy_protocol on; }
}
CONF
	$text =~ s/user root;\n// if $> != 0;
	spurt("$dir/nginx.conf", $text);
	my $service = Weir::Service->start([$nginx, '-p', "$dir", '-c', "$dir/nginx.conf"],
	    ready => sub { Weir::Client->try($receiver{nginx}) });

	if ($stream) {
		through("127.0.0.1:$front{v4}", '127\.0\.0\.8:PORT', source => '127.0.0.8');
		through("[::1]:$front{v6}", '\[::1\]:PORT');
		# nginx says UNKNOWN of its UNIX clients: the proxy's own address stays.
		through("unix:$dir/nginx.sock", 'unix:');
	} else {
		note 'no libnginx-mod-stream: nginx is not asked to send headers';
	}
	for my $version ('v1', 'v2') {
		my $to = $sender{"nginx_$version"};
		my ($said, $port) = told("127.0.0.1:$to", source => '127.0.0.8');
		is $said, "127.0.0.8:$port 127.0.0.1:$to", "$version, IPv4";
		($said, $port) = told("[::1]:$to");
		is $said, "::1:$port ::1:$to", "$version, IPv6";
		($said) = told('unix:' . $w->path("run/nginx_$version.sock"));
		ok defined $said, "$version, UNIX: it is taken";
	}
	$service->stop;
};

done_testing;
