# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# moves.sh, a part of run: what a reload does to connections that last.

# KEY: a reload with as many idle connections as descriptors allow, while others are used.
move_idle() {
	local key=$1 port=$front_port each=$((nofile - 4000)) workers idlers user reloader
	local quiet before peak=0 now begun left
	workers=$(((IDLE + each - 1) / each))
	start_weir echo "$port" 0 "$((nofile - 500))" "$workers"
	main=$started
	up "$main" "$port" weir
	start client_core "$stress" idle -c "$IDLE" -w "$workers" -i 600s -d 600s -t 60s --source "$sources" -q "$addr:$port"
	idlers=$started
	patience=90 until_true all_open || {
		miss "$key: $(tail -3 "$tmp/out")"
		stop "$idlers"
		stop "$main"
		return 0
	}
	load_with line -c 100 -d "$((SECS * 2))s" "$addr:$port" || miss "$key: $trouble"
	quiet=${got[p99]}
	before=$(private_bytes "$main")
	rm -f "$tmp/run.json"
	start client_core "$stress" line -c 100 -d 600s -q --json "$tmp/run.json" "$addr:$port"
	user=$started
	begun=${EPOCHREALTIME/./}
	"${weir_is[@]}" -s reload >"$tmp/reload" 2>&1 &
	reloader=$!
	pids+=("$reloader")
	while kill -0 "$reloader" 2>/dev/null || "${weir_is[@]}" generations | grep -q retiring; do
		now=$(private_bytes "$main")
		[ "$now" -le "$peak" ] || peak=$now
		[ $((${EPOCHREALTIME/./} - begun)) -lt 60000000 ] || break
		sleep 0.05
	done
	now=${EPOCHREALTIME/./}
	stop "$reloader"
	stop "$user"
	left=$(open_at_front)
	[ "$left" -lt "$IDLE" ] || left=$IDLE
	read_figures "$tmp/run.json"
	note "$key" weir "$(sed -n 's/^sessions: \([0-9]*\) moved.*/\1/p' "$tmp/reload" | grep . || echo 0)" - - - - - - -
	note "$key-lost" weir "$(value "${got[errors]} + ${got[lost]} + $((IDLE - left))")" - - - - - - -
	note "$key-time" weir "$(value "($now - $begun) / 1e6")" - - - - - - -
	note "$key-memory" weir "$(value "($peak - $before) / $IDLE")" - - - - - - -
	note "$key-quiet" weir "$(value "$quiet / 1e3")" - - - - - - -
	note "$key-p99" weir "$(value "${got[p99]} / 1e3")" - - - - - - -
	stop "$idlers"
	stop "$main"
}

open_at_front() { ss -Htn state established "( sport = :$front_port )" | wc -l; }

all_open() { [ "$(open_at_front)" -ge "$IDLE" ]; }

family() {	# PID: it, its children, and theirs
	local p
	echo "$1"
	for p in $(pgrep -P "$1"); do family "$p"; done
}

# PID: bytes that it and its descendants do not share with others.
private_bytes() {
	local p
	for p in $(family "$1"); do cat "/proc/$p/smaps_rollup" 2>/dev/null; done |
	    awk '/^Private_/ { sum += $2 } END { printf "%d", sum * 1024 }'
}

# KEY: a reload of each server while a thousand connections say something now and then; ten seconds after it.
outlive() {
	local key=$1 s began loader count=1000
	for s in weir ${have_nginx:+nginx} ${have_haproxy:+haproxy}; do
		rm -f "$tmp/run.json"
		start_lasting "$s"
		start client_core "$stress" idle -c $count -i 100ms -d 600s -q --json "$tmp/run.json" "$addr:$port"
		loader=$started
		sleep 2
		began=$(awk '{ print int($1 * 100) }' /proc/uptime)
		reload_lasting "$s"
		sleep 10
		note "$key" "$s" "$(held_since "$began")" - - - - - - -
		note "$key-old" "$s" "$(older_than "$began")" - - - - - - -
		note "$key-memory" "$s" "$(value "$(private_bytes "$main") / 1048576")" - - - - - - -
		stop "$loader"
		if [ -s "$tmp/run.json" ]; then
			read_figures "$tmp/run.json"
			note "$key-lost" "$s" "$(value "${got[errors]} + ${got[lost]}")" - - - - - - -
		else
			miss "$key, $s: $(tail -3 "$tmp/out")"
		fi
		stop "$main"
	done
}

start_lasting() {	# SERVER, with a master
	if [ "$1" != haproxy ]; then
		start_server "$1" stream "$echo_port"
		return
	fi
	port=$((front_port + 3))
	configure haproxy.cfg "$port" "$echo_port" "$((pairs + 50))" 1
	start server_core haproxy -W -db -f "$tmp/haproxy.cfg"
	main=$started
	until_true child_of "$main" haproxy && until_true listens "$child" "$port" || fail "haproxy does not serve port $port"
}

reload_lasting() {	# SERVER
	case $1 in
	weir) "${weir_is[@]}" -s reload >/dev/null || miss "weir does not reload" ;;
	nginx) kill -HUP "$main" ;;
	haproxy) kill -USR2 "$main" ;;
	esac
}

born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ print $20 }'; }	# PID: clock ticks since the boot

held_since() {	# TICKS: connections of processes that have begun after that
	local p n=0
	for p in $(ss -Htnp state established "( sport = :$port )" | sed -n 's/.*pid=\([0-9]*\),.*/\1/p'); do
		[ "$(born "$p")" -le "$1" ] || n=$((n + 1))
	done
	echo $n
}

older_than() {	# TICKS: processes but the first that were there before
	local p n=0
	for p in $(family "$main"); do
		[ "$p" = "$main" ] || [ "$(born "$p")" -gt "$1" ] || n=$((n + 1))
	done
	echo $n
}
