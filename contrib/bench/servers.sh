# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# servers.sh, a part of run: the servers that are measured and the backends behind them.
#
# KIND is what a server does: echo, stream (bytes to a backend of each client's own), line (lines of
# all clients over one connection), full (the same, with few in flight), tls (stream, and TLS towards
# the client), tls-echo (echo, and the same: weir alone), redis (before a Redis).

addr=127.0.2.1
echo_port=17001 source_port=17002 line_port=17003 redis_port=17004 stats_port=17009
depth=4096		# pipeline_depth, and
full_depth=128		# requests in flight where that is to be too few
front_port=17010	# front ports: one for each server from here up
pids=()			# what was started and has to be ended
declare -A backend_pid	# by port

start() {	# CORE-ARRAY-NAME COMMAND...: its pid is in $started
	local -n core=$1
	shift
	${core[@]+"${core[@]}"} "$@" </dev/null >>"$tmp/out" 2>&1 9<&- &
	started=$!
	pids+=("$started")
}

stop() {	# PID
	local i left=()
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	for i in "${pids[@]}"; do [ "$i" = "$1" ] || left+=("$i"); done
	pids=(${left[@]+"${left[@]}"})
}

until_true() {	# COMMAND...: waits up to ten seconds for it, or `patience`
	local end=$((SECONDS + ${patience:-10}))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || { tail -5 "$tmp/out" >&2; return 1; }
		sleep 0.05
	done
}

listens() { ss -Hltnp "sport = :$2" | grep -q "pid=$1,"; }	# PID PORT

up() {	# PID PORT NAME: waits until this process, and no stranger, listens there
	until_true listens "$1" "$2" || fail "$3 does not serve port $2"
}

child_of() {	# PID TITLE: sets $child to the child whose command line begins with it
	local p
	for p in $(pgrep -P "$1"); do
		case $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null) in
		"$2"*) child=$p; return 0 ;;
		esac
	done
	return 1
}

start_backends() {
	start client_core "$bin/limit-echo" "$addr:$echo_port"
	up "$started" "$echo_port" "the backend"
	# To line_proxy what gives all bytes back gives each line back, and nothing does it for less.
	start client_core "$bin/limit-echo" "$addr:$line_port"
	up "$started" "$line_port" "the backend of lines"
	backend_pid[$line_port]=$started
	start client_core "$stress" --serve source -s 1g -q "$addr:$source_port"
	up "$started" "$source_port" "the source"
}

start_redis() {
	[ -z "${backend_pid[$redis_port]:-}" ] || return 0
	mkdir -p "$tmp/redis"
	sed "s|@address@|$addr|; s|@port@|$redis_port|; s|@dir@|$tmp/redis|" "$here/conf/redis.conf" \
	    >"$tmp/redis.conf"
	start client_core redis-server "$tmp/redis.conf"
	up "$started" "$redis_port" Redis
	backend_pid[$redis_port]=$started
}

# FILE FRONT-PORT BACKEND-PORT CONNECTIONS WORKERS: the configuration with what is different here
# from run to run, written to where the server reads it: $tmp/FILE.
configure() {
	sed -e "s|@host@|$addr|; s|@port@|$2|; s|@backhost@|$addr|; s|@backport@|$3|
	    s|@front@|$addr:$2|; s|@back@|$addr:$3|; s|@connections@|$4|; s|@workers@|$5|
	    s|@dir@|$tmp|g; s|@module@|$nginx_module|; s|@descriptors@|$nofile|
	    s|@depth@|$depth|" "$here/conf/$1" >"$tmp/$1"
}

# Starts SERVER for KIND before a BACKEND port; sets port, main (to be ended, and to be watched with
# its children) and subject (the process that serves).
start_server() {
	local file=$2 connections=$((CONNS + 500))
	local depth=$depth tls=
	[ "$2" != tls ] || tls=-tls
	# Not those of other rows: what a server ends waits (TIME_WAIT) on its port, and there is none before TLS to
	# begin with.
	port=$((front_port + ${#mains[@]} + ${#tls} * 5))
	case $2 in stream | tls) connections=$((pairs + 50)) ;; esac
	case $1 in
	bare)
		case $2 in
		echo) start server_core "$bin/limit-echo" "$addr:$port" ;;
		stream) start server_core "$bin/limit-relay" "$addr:$port" "$addr:$3" ;;
		full) start server_core "$bin/limit-pool" "$addr:$port" "$addr:$3" "$full_depth" ;;
		*) start server_core "$bin/limit-pool" "$addr:$port" "$addr:$3" ;;
		esac
		;;
	go) start server_core env GOMAXPROCS=1 "$bin/goecho" "$addr:$port" ;;
	weir)
		[ "$2" != full ] || depth=$full_depth
		[ "$2" != redis ] && [ "$2" != full ] || file=line
		start_weir "$file" "$port" "$3" "$connections" 1
		;;
	nginx)
		file=nginx$tls.conf
		configure "$file" "$port" "$3" 0 1
		start server_core nginx -c "$tmp/$file" -e "$tmp/nginx.log"
		;;
	haproxy)
		file=haproxy$tls.cfg
		configure "$file" "$port" "$3" "$((pairs + 50))" 1
		start server_core haproxy -db -f "$tmp/$file"
		;;
	hitch)
		configure hitch.conf "$port" "$3" 0 1
		# It does not serve as root.
		[ "$(id -u)" -ne 0 ] || echo 'user = "nobody"' >>"$tmp/hitch.conf"
		start server_core hitch --config="$tmp/hitch.conf"
		;;
	twemproxy)
		configure twemproxy.yml "$port" "$3" 0 1
		start server_core nutcracker -c "$tmp/twemproxy.yml" -o "$tmp/twemproxy.log" -v 0 \
		    -p "$tmp/twemproxy.pid" -a "$addr" -s "$stats_port" -i 3600000
		;;
	esac
	main=$started
	child=$main
	[ "$1" != hitch ] || until_true child_of "$main" hitch || fail "hitch has no worker"
	up "$child" "$port" "$1"
	case $1 in
	weir) until_true child_of "$main" "weir: worker 0" || fail "weir has no worker" ;;
	nginx) until_true child_of "$main" "nginx: worker" || fail "nginx has no worker" ;;
	esac
	subject=$child
}

start_weir() {	# KIND PORT BACKEND CONNECTIONS WORKERS
	mkdir -p "$tmp/weir/logs" "$tmp/weir/run"
	configure "weir-$1.conf" "$2" "$3" "$4" "$5"
	weir_is=("$weir" -p "$tmp/weir" -c "$tmp/weir-$1.conf")
	start server_core "${weir_is[@]}" -g 'daemon = off'
}

servers_for() {	# KIND
	case $1 in tls | tls-echo) ;; *) echo bare ;; esac
	echo weir
	case $1 in
	echo) [ -z "$have_go" ] || echo go ;;
	stream | tls | line | full)
		[ -z "$have_nginx" ] || echo nginx
		[ -z "$have_haproxy" ] || echo haproxy
		[ "$1" != tls ] || [ -z "$have_hitch" ] || echo hitch
		;;
	redis) [ -z "$have_twemproxy" ] || echo twemproxy ;;
	esac
}
