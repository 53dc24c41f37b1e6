# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# rows.sh, a part of run: what is measured.

# METRIC: key | row | what | unit | goal. A goal is one or more, with commas between them, of: max N;
# SERVER N (N times that server's lowest); ROW N (N times weir's own in an earlier row); above N (more than bare takes); or - for none. A key that ends
# in :user is the part in user space, one that ends in -backend is what the backend takes.
metrics() {
	cat <<END
memory-echo|memory-echo|user memory per idle echo session|bytes|max 512
memory-stream|memory-stream|user memory per idle proxied stream|bytes|max 1024
memory-stream-16k|memory-stream-16k|the same, after 16,000 bytes each way|bytes|max 1024
memory-tls|memory-tls|user memory per idle TLS session, proxied (14.5 KiB, and 1 for the stream)|bytes|max 15872
memory-tls-echo|memory-tls-echo|the same, of an echo session (14.5 KiB)|bytes|max 14848
memory-line|memory-line|user memory per idle line_proxy session|bytes|max 512
idle|idle|$IDLE idle echo sessions, a ping each 30 s: growth of weir, per session|bytes|max 512
idle-machine|idle|growth of the machine, both ends, per session|bytes|max 8000
idle-rate|idle|connections made per second|/s|-
idle-ping|idle|CPU per ping|µs|-
echo-100|echo-100|echo 64 B, 100 connections: CPU per message|µs|bare 1.10
echo-100:user|echo-100|of it in user space|µs|above 0.4
echo-10k|echo-10k|echo 64 B, 10,000 connections: CPU per message|µs|bare 1.10
echo-10k:user|echo-10k|of it in user space|µs|above 0.4
echo-deep|echo-deep|echo 64 B, 100 connections, 16 deep: CPU per message|µs|bare 1.26, go 0.10
echo-churn|echo-churn|echo: connect, 64 B, close: CPU|µs|bare 1.11
stream-100|stream-100|stream_proxy, 64 B, 100 connections: CPU per round trip|µs|bare 1.10, nginx 1.00, haproxy 1.00
stream-100:user|stream-100|of it in user space|µs|-
stream-churn|stream-churn|stream_proxy: connect, 64 B, close: CPU|µs|nginx 1.00
stream-bulk|stream-bulk|stream_proxy, bulk one way, 8 connections: CPU per KiB|ns|max 200
tls-full|tls-full|TLS 1.3 before a stream: connect, full handshake, close: CPU|µs|nginx 1.00, haproxy 1.05, hitch 1.05
tls-resumed|tls-resumed|the same, sessions resumed|µs|nginx 1.05, haproxy 1.05, hitch 1.05
tls-100|tls-100|TLS 1.3 before a stream, 64 B, 100 connections: CPU per round trip|µs|nginx 1.05, haproxy 1.05, hitch 1.05
tls-100:user|tls-100|of it in user space|µs|-
tls-bulk|tls-bulk|TLS 1.3 before a stream, bulk one way, 8 connections: CPU per KiB|ns|nginx 1.05, haproxy 1.05, hitch 1.05
pool-50|pool-50|line_proxy, 64 B, 50 clients over one link: CPU per request|µs|bare 1.15
pool-50:user|pool-50|of it in user space|µs|-
pool-50-backend|pool-50|the backend's CPU per request|µs|-
pool-1000|pool-1000|line_proxy, 64 B, 1,000 clients over one link: CPU per request|µs|bare 1.14
pool-1000:user|pool-1000|of it in user space|µs|-
pool-1000-backend|pool-1000|the backend's CPU per request|µs|-
pool-deep|pool-deep|line_proxy, 64 B, 50 clients, 16 deep, over one link: CPU per request|µs|bare 1.55
pool-deep:user|pool-deep|of it in user space|µs|-
pool-deep-backend|pool-deep|the backend's CPU per request|µs|-
pool-full|pool-full|the same, with at most 128 requests in flight on the link: CPU per request|µs|bare 1.20, nginx 1.00, pool-deep 1.20
pool-full:user|pool-full|of it in user space|µs|-
pool-full-backend|pool-full|the backend's CPU per request|µs|-
pool-redis-50|pool-redis-50|Redis INCR, 50 clients over one link: CPU per request|µs|twemproxy 1.00
pool-redis-50-backend|pool-redis-50|Redis's CPU per request|µs|bare 1.15
pool-redis-1000|pool-redis-1000|Redis INCR, 1,000 clients over one link: CPU per request|µs|twemproxy 1.00
pool-redis-1000-backend|pool-redis-1000|Redis's CPU per request|µs|bare 1.15
pool-redis-direct|pool-redis-direct|without a proxy, one connection, 50 deep: Redis's CPU per request|µs|-
picks-round_robin|picks|round_robin, 1,000 peers, 8,192 sessions under way: CPU per pick|ns|max 100
picks-least_conn|picks|least_conn|ns|max 100
picks-least_time|picks|least_time|ns|max 100
picks-random|picks|random|ns|max 100
picks-hash|picks|hash client|ns|max 100
picks-consistent|picks|hash client consistent|ns|max 100
picks-maglev|picks|hash client maglev|ns|max 100
picks-million|picks|least_conn, a million sessions under way|ns|picks-least_conn 2.00
END
	local row what
	while read -r row what; do
		cat <<END
reload-$row|reload-$row|$RELOADS reloads in a row under full load, $what: requests and connections lost||max 0
reload-$row-count|reload-$row|reloads|times|-
reload-$row-old|reload-$row|the longest that an old worker went on|s|max 5
reload-$row-slowest|reload-$row|the slowest request|ms|-
END
	done <<'END'
echo echo
churn connect, 64 B, close
stream stream_proxy
line line_proxy
END
	cat <<END
move-idle|move-idle|a reload with $IDLE idle echo sessions: so many have moved||-
move-idle-lost|move-idle|requests and connections lost||max 0
move-idle-time|move-idle|until no old worker is left|s|max 5
move-idle-memory|move-idle|growth of all processes meanwhile, at most, per session|bytes|-
move-idle-quiet|move-idle|99th percentile of 100 other connections before|ms|-
move-idle-p99|move-idle|and during the reload|ms|max 100
outlive|outlive|a reload with 1,000 streams in use, 10 s later: those that the new configuration serves||-
outlive-lost|outlive|requests and connections lost||max 0
outlive-old|outlive|processes of the old configuration||max 0
outlive-memory|outlive|memory of all processes|MiB|-
END
}

# What is drawn, and has no line in the table.
plots() { printf '%s\n' plot-cpu plot-memory plot-latency; }

all_rows() {
	metrics | cut -d'|' -f2 | uniq
	plots
}

list_rows() {
	metrics | awk -F'|' '{ printf "%-18s %s%s\n", $2, $3, $4 == "" ? "" : " (" $4 ")" }'
	cat <<'END'
plot-cpu           drawn: CPU per request against connections
plot-memory        drawn: memory against connections
plot-latency       drawn: percentiles of latency at a fixed rate
END
}

row() {
	case $1 in
	memory-echo) memory "$1" echo 0 "$CONNS" 64 ;;
	memory-line) memory "$1" line "$line_port" "$CONNS" 64 ;;
	memory-stream) memory "$1" stream "$echo_port" "$pairs" 64 ;;
	memory-stream-16k) memory "$1" stream "$echo_port" "$pairs" 16000 ;;
	memory-tls) memory "$1" tls "$echo_port" "$pairs" 64 --tls ;;
	memory-tls-echo) memory "$1" tls-echo 0 "$CONNS" 64 --tls ;;
	idle) idle "$1" ;;
	echo-100) timed "$1" echo 0 line -c 100 ;;
	echo-10k) timed "$1" echo 0 line -c 10000 --source "$sources" ;;
	echo-deep) timed "$1" echo 0 line -c 100 -p 16 ;;
	echo-churn) timed "$1" echo 0 churn -c 64 --source "$sources" ;;
	stream-100) timed "$1" stream "$echo_port" line -c 100 ;;
	stream-churn) timed "$1" stream "$echo_port" churn -c 64 --source "$sources" ;;
	stream-bulk) timed "$1" stream "$source_port" bulk --way in -c 8 -s 1g ;;
	tls-full) timed "$1" tls "$echo_port" handshake -c 16 --source "$sources" ;;
	tls-resumed) timed "$1" tls "$echo_port" handshake -c 16 --tls-resume --source "$sources" ;;
	tls-100) timed "$1" tls "$echo_port" line -c 100 --tls ;;
	tls-bulk) timed "$1" tls "$source_port" bulk --way in -c 8 -s 1g --tls ;;
	pool-50) timed "$1" line "$line_port" line -c 50 ;;
	pool-1000) timed "$1" line "$line_port" line -c 1000 ;;
	pool-deep) timed "$1" line "$line_port" line -c 50 -p 16 ;;
	pool-full) timed "$1" full "$line_port" line -c 50 -p 16 ;;
	pool-redis-*)
		[ -n "$have_redis" ] || { say "$1: no redis-server is installed"; return 0; }
		start_redis
		case $1 in
		*-direct) redis_direct "$1" ;;
		*) timed "$1" redis "$redis_port" redis -c "${1##*-}" ;;
		esac
		;;
	picks) picks "$1" ;;
	reload-echo) reload "$1" echo 0 line ;;
	reload-churn) reload "$1" echo 0 churn ;;
	reload-stream) reload "$1" stream "$echo_port" line ;;
	reload-line) reload "$1" line "$line_port" line ;;
	move-idle) move_idle "$1" ;;
	outlive) outlive "$1" ;;
	plot-cpu) plot_cpu ;;
	plot-memory) plot_memory ;;
	plot-latency) plot_latency ;;
	esac
}
