# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# machine.sh, a part of run: packages, kernel settings, cores, what is built, who takes part.

install_missing() {	# as root on Debian: the packages of the peers and of the plots
	local wanted=() policy=/usr/sbin/policy-rc.d
	[ "$INSTALL" = yes ] || return 0
	nginx_takes_streams || wanted+=(libnginx-mod-stream)
	command -v haproxy >/dev/null || wanted+=(haproxy)
	command -v hitch >/dev/null || wanted+=(hitch)
	command -v openssl >/dev/null || wanted+=(openssl)
	command -v nutcracker >/dev/null || wanted+=(nutcracker)
	command -v redis-server >/dev/null || wanted+=(redis-server)
	command -v go >/dev/null || wanted+=(golang-go)
	command -v gnuplot >/dev/null || wanted+=(gnuplot-nox)
	[ ${#wanted[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		say "not installed, and left out: ${wanted[*]}"
		return 0
	fi
	say "installing ${wanted[*]}"
	# Debian starts what it installs; nobody wants these services here.
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=$policy
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${wanted[@]}" \
	    </dev/null >"$tmp/apt.log" 2>&1 || {
		DEBIAN_FRONTEND=noninteractive apt-get update </dev/null >"$tmp/apt.log" 2>&1
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		    "${wanted[@]}" </dev/null >>"$tmp/apt.log" 2>&1 ||
		    say "apt-get: $(grep '^E:' "$tmp/apt.log" | head -1); going on with what is there"
	}
	remove_policy
}

remove_policy() {
	[ -z "$made_policy" ] || rm -f "$made_policy"
	made_policy=
}

setting() {	# KEY VALUE: until the end of the run
	local old
	old=$(sysctl -n "$1" 2>/dev/null | tr '\t' ' ') || return 0
	if sysctl -qw "$1=$2" 2>/dev/null; then
		saved+=("$1=$old")
		settings+="$1 = $2 (was ${old:-empty})"$'\n'
	else
		say "could not set $1"
	fi
}

prepare_machine() {
	load=$(cut -d' ' -f1-2 /proc/loadavg)
	ulimit -n "$(ulimit -Hn)"
	nofile=$(ulimit -n)
	[ "$nofile" != unlimited ] || nofile=1000000
	settings=
	if [ "$(id -u)" -eq 0 ]; then
		setting net.ipv4.ip_local_reserved_ports 17000-17099
		setting net.ipv4.ip_local_port_range "1024 65535"
		setting net.core.somaxconn 65535
		setting net.ipv4.tcp_max_syn_backlog 65535
		setting net.ipv4.tcp_max_tw_buckets 400000
		setting net.ipv4.tcp_congestion_control cubic
		# What else runs on the machine then takes little from us.
		if grep -qs 'nice' /proc/self/autogroup; then
			autogroup=$(awk '{ print $3 }' /proc/self/autogroup)
			echo -19 >/proc/self/autogroup 2>/dev/null || autogroup=
		fi
	else
		say "not root: the kernel's settings stay as they are"
	fi
	choose_cores
	pairs=$(((nofile - 600) / 2))
	[ "$pairs" -le 20000 ] || pairs=20000
	[ "$nofile" -ge $((CONNS + 600)) ] || CONNS=$((nofile - 600))
}

choose_cores() {
	server_core=() client_core=() client_class="of the usual class"
	[ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null || return 0
	server_core=(taskset -c 0)
	client_core=(taskset -c 1)
	# Client and backend share a core. Each shall work until it has to wait, not until a packet
	# arrives for the other: how they alternate decides how much a pool finds to do at a time.
	if chrt -r 1 true 2>/dev/null; then
		client_core+=(chrt -r 1)
		client_class="SCHED_RR, so that neither interrupts the other"
	elif chrt -b 0 true 2>/dev/null; then
		client_core+=(chrt -b 0)
		client_class=SCHED_BATCH
	fi
}

build() {
	local dir=${BUILD:-$tmp/build} p
	local flags=(-O2 -g -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes
	    -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla -Wundef -Wwrite-strings -Werror)
	mkdir -p "$dir/bench" "$dir/weir" || exit 1
	bin=$(cd "$dir/bench" && pwd)
	for p in limit-echo limit-relay limit-pool; do
		"$CC" "${flags[@]}" -o "$bin/$p" "$here/$p.c" "$here/bench.c" ||
		    fail "$p does not build"
	done
	weir=${WEIR:-$dir/weir/weir} stress=${STRESS:-$dir/weir/weir-stress} picks=
	if [ -z "${WEIR:-}" ] || [ -z "${STRESS:-}" ]; then
		build_weir "$dir/weir" >"$tmp/build.log" 2>&1 || {
			tail -20 "$tmp/build.log" >&2
			fail "weir does not build"
		}
		picks=$dir/weir/obj/bench/picks
	fi
	[ -x "$weir" ] || fail "no program $weir"
	[ -x "$stress" ] || fail "no program $stress"
	have_go=
	if command -v go >/dev/null; then
		GOCACHE=$dir/gocache GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' \
		    go build -o "$bin/goecho" "$here/goecho/main.go" >"$tmp/go.log" 2>&1 &&
		    have_go=1 || say "Go is left out: $(tail -1 "$tmp/go.log")"
	fi
}

build_weir() {	# DIRECTORY
	cd "$1" || return 1
	"$top/configure" || { [ "$(id -u)" -eq 0 ] && "$top/configure" --install-deps; } || return 1
	make -j"$(nproc)" && make obj/bench/picks
}

nginx_takes_streams() {	# sets nginx_module to what has to be loaded for it
	local modules
	nginx_module=
	command -v nginx >/dev/null || return 1
	modules=$(nginx -V 2>&1 | grep -o -- '--modules-path=[^ ]*' | cut -d= -f2)
	! nginx -V 2>&1 | grep -q -- '--with-stream\( \|$\)' || return 0
	[ -f "$modules/ngx_stream_module.so" ] || return 1
	nginx_module="load_module $modules/ngx_stream_module.so;"
}

find_peers() {
	have_nginx='' have_haproxy='' have_hitch='' have_twemproxy='' have_redis='' have_gnuplot=''
	! nginx_takes_streams || have_nginx=1
	! command -v haproxy >/dev/null || have_haproxy=1
	! command -v hitch >/dev/null || have_hitch=1
	! command -v nutcracker >/dev/null || have_twemproxy=1
	! command -v redis-server >/dev/null || have_redis=1
	! command -v gnuplot >/dev/null || have_gnuplot=1
}

make_certificate() {	# the same for all: tls.pem, tls.key, and both in tls.both
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
	    -keyout "$tmp/tls.key" -out "$tmp/tls.pem" >"$tmp/openssl.log" 2>&1 ||
	    { say "no certificate: $(tail -1 "$tmp/openssl.log")"; return 0; }
	cat "$tmp/tls.pem" "$tmp/tls.key" >"$tmp/tls.both"
	chmod 600 "$tmp/tls.key" "$tmp/tls.both"
}
