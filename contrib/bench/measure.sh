# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# measure.sh, a part of run: weir-stress, what it says, and what /proc says meanwhile.
#
# Results are lines of $data: KEY SERVER VALUE RATE USER-TICKS TICKS STEAL - P50 P99; - for what
# there is not.

declare -A got		# what weir-stress said last: by figures' names

note() { echo "$*" >>"$data"; say "$1 $2: $3"; }

miss() {	# TEXT: a round that is no round; the run goes on, and ends with status 1
	say "$*"
	missed+=("$*")
}

# ARGUMENTS of weir-stress. 1: something was lost or wrong, and $trouble says what.
load_with() {
	${client_core[@]+"${client_core[@]}"} "$stress" "$@" -q --json "$tmp/run.json" </dev/null >"$tmp/run.txt" 2>&1 9<&-
	local status=$?
	trouble=$(tr '\n' ' ' <"$tmp/run.txt" | tr -s ' ' | cut -c 1-600)
	[ -s "$tmp/run.json" ] || return 1
	read_figures "$tmp/run.json"
	return $status
}

read_figures() {	# FILE
	local name value
	got=()
	while read -r name value; do
		got[$name]=$value
	done < <(sed -n '/^  "figures"/,/^  }/s/^    "\([^"]*\)": \(.*[^,]\),\{0,1\}$/\1 \2/p' "$1")
}

value() { awk "BEGIN { printf \"%.6g\", $1 }" </dev/null; }	# EXPRESSION of awk

ticks() {	# PID: user and all clock ticks
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12, $12 + $13 }'
}

spent() {	# PID: ns of processor, of its first thread
	awk '{ print $1 }' "/proc/$1/schedstat"
}

stolen() { awk '/^cpu / { print $9; exit }' /proc/stat; }	# clock ticks of all cores

# KEY KIND BACKEND-PORT MODE ARGUMENTS...: a load on all servers, in turns.
timed() {
	local key=$1 kind=$2 backend=$3 s i
	local -a servers mains=() subjects=() ports=()
	shift 3
	mapfile -t servers < <(servers_for "$kind")
	for s in "${servers[@]}"; do
		start_server "$s" "$kind" "$backend"
		mains+=("$main") subjects+=("$subject") ports+=("$port")
	done
	for ((i = 0; i < ROUNDS * ${#servers[@]}; i++)); do
		s=$((i % ${#servers[@]}))
		once "$key" "${servers[s]}" "${mains[s]}" "${subjects[s]}" \
		    "${backend_pid[$backend]:-}" "$@" "$addr:${ports[s]}"
	done
	for i in "${mains[@]}"; do stop "$i"; done
}

# KEY SERVER MAIN SUBJECT BACKEND-PID MODE ARGUMENTS...: one round.
once() {
	local key=$1 server=$2 main=$3 subject=$4 backend=$5 mode=$6
	local user0 ticks0 user1 ticks1 steal0 cpu0 back0=0 begun cost rate each=64
	shift 6
	case $mode in
	redis)
		each=17
		[ "$server" = twemproxy ] || set -- --inline "$@"
		;;
	esac
	case $mode in
	bulk | churn | handshake) ;;
	*) set -- --warmup "$(warmup "$@")ms" "$@" ;;
	esac
	read -r user0 ticks0 < <(ticks "$subject")
	steal0=$(stolen)
	cpu0=$(spent "$subject")
	[ -z "$backend" ] || back0=$(spent "$backend")
	begun=${EPOCHREALTIME/./}
	load_with "$mode" -d "${SECS}s" --watch "$main" "$@" || {
		miss "$key, $server: $trouble"
		return 0
	}
	read -r user1 ticks1 < <(ticks "$subject")
	rate=${got[rate]} cost=${got[server_cpu]}
	if [ "$mode" = bulk ]; then	# streams that have no end have no cost: ns a KiB
		rate=$(value "${got[throughput]} / 1024")
		cost=$(value "($(spent "$subject") - $cpu0) / (${got[bytes_in]} / 1024)")
	fi
	note "$key" "$server" "$(value "$cost")" "$rate" \
	    $((user1 - user0)) $((ticks1 - ticks0)) \
	    "$(value "($(stolen) - $steal0) * 1e4 / (${EPOCHREALTIME/./} - $begun)")" \
	    - "${got[p50]}" "${got[p99]}"
	[ -z "$backend" ] ||
	    note "$key-backend" "$server" "$(value "($(spent "$backend") - $back0) / 1e3 / (${got[bytes_in]} / $each)")" \
		- - - 0 - - -
}

# ARGUMENTS with -c: until each connection has had a message or two. The first ones cost a server memory
# that it has not touched before.
warmup() {
	while [ "$1" != -c ]; do shift; done
	echo $((500 + $2 / 4))
}

# KEY: what Redis takes for what it is asked through bare epoll, and through twemproxy.
redis_direct() {
	local i s redis=${backend_pid[$redis_port]}
	for ((i = 0; i < ROUNDS; i++)); do
		for s in bare ${have_twemproxy:+twemproxy}; do
			once "$1" "$s" "$redis" "$redis" '' redis -c 1 -p 50 "$addr:$redis_port"
		done
	done
}

# KEY KIND BACKEND-PORT CONNECTIONS BYTES [MORE...]: what a connection costs a server once it has said so much.
memory() {
	local s
	local -a mains=()
	for s in $(servers_for "$2"); do
		# Passing lines through takes two descriptors: memory-stream tells what that costs.
		[ "$2" != line ] || [ "$s" = bare ] || [ "$s" = weir ] || continue
		start_server "$s" "$2" "$3"
		# What a server sets up once, at its first connections, is not a connection's.
		load_with line -c 16 -n 64 "${@:6}" "$addr:$port" || miss "$1, $s: $trouble"
		until_true all_closed "$port" || fail "$1, $s: connections stay open"
		if load_with idle -c "$4" -s "$5" -i 1s --warmup 1s -d 2s -t 30s --watch "$main" "${@:6}" "$addr:$port"; then
			note "$1" "$s" "$(value "${got[server_bytes]}")" - - - - - - -
		else
			miss "$1, $s: $trouble"
		fi
		stop "$main"
	done
}

all_closed() { [ -z "$(ss -Htn state established "( sport = :$1 )" | head -1)" ]; }

# ROW: balancers from within, without a socket.
picks() {
	local key server ns i
	[ -n "$picks" ] || { say "$1: needs objects of this tree, and is left out with WEIR"; return 0; }
	for ((i = 0; i < ROUNDS; i++)); do
		"${server_core[@]}" "$picks" >"$tmp/picks" 2>&1 || { miss "$1: $(tail -1 "$tmp/picks")"; return 0; }
		while read -r key server ns; do
			note "$key" "$server" "$ns" - - - - - - -
		done <"$tmp/picks"
	done
}

# KEY: as many idle connections as descriptors allow, over many processes on both sides.
idle() {
	local key=$1 each=$((nofile - 2000)) workers processes port=$front_port begun before left opened
	workers=$(((IDLE + each - 1) / each))
	processes=$workers
	start_weir echo "$port" 0 "$((nofile - 500))" "$workers"
	main=$started
	up "$main" "$port" weir
	load_with line -c $((workers * 32)) -n $((workers * 64)) "$addr:$port" || miss "$key: $trouble"
	until_true all_closed "$port" || fail "$key: connections stay open"
	before=$(available)
	begun=${EPOCHREALTIME/./}
	look_at_machine "$begun" >"$tmp/machine" &
	local looker=$!
	pids+=("$looker")
	if load_with idle -c "$IDLE" -w "$processes" -i 30s -d $((SECS * 10))s -t 30s \
	    --source "$sources" --watch "$main" "$addr:$port"; then
		stop "$looker"
		# The middle of what was left since all were open: others take and give memory, too.
		opened=$(awk -v all=$((2 * IDLE)) '$2 >= all { print $1; exit }' "$tmp/machine")
		left=$(awk -v from="${opened:-0}" '$1 >= from { print $3 }' "$tmp/machine" | sort -n |
		    awk '{ left[NR] = $1 } END { print left[int((NR + 1) / 2)] }')
		note "$key" weir "$(value "${got[server_bytes]}")" - - - - - - -
		note "$key-machine" weir "$(value "($before - $left) * 1024 / $IDLE")" - - - - - - -
		[ -z "$opened" ] || note "$key-rate" weir "$(value "$IDLE / $opened * 1e6")" - - - - - - -
		note "$key-ping" weir "$(value "${got[server_cpu]}")" "${got[rate]}" - - - - \
		    "${got[p50]}" "${got[p99]}"
	else
		stop "$looker"
		miss "$key: $trouble"
	fi
	stop "$main"
}

available() { awk '/^MemAvailable:/ { print $2 }' /proc/meminfo; }

look_at_machine() {	# BEGUN: lines of µs since, TCP sockets, KiB available, until it is ended
	while :; do
		echo $((${EPOCHREALTIME/./} - $1)) "$(awk '/^TCP:/ { print $3 }' /proc/net/sockstat)" "$(available)"
		sleep 0.2
	done
}

# KEY KIND BACKEND-PORT MODE: reloads, one after the other, under a load that goes on.
reload() {
	local key=$1 port=$front_port loader log=$tmp/reloads end=$((SECONDS + 8))
	: >"$log"
	rm -f "$tmp/run.json"
	start_weir "$2" "$port" "$3" 2000 2
	main=$started
	up "$main" "$port" weir
	cat >"$tmp/reload" <<END
set -e
${weir_is[@]@Q} -s reload
{ date +'at %s.%N'; ${weir_is[@]@Q} generations; } >>${log@Q}
END
	start client_core "$stress" "$4" -c 100 -d 600s --across "sh $tmp/reload" --every 20ms \
	    --watch "$main" -q --json "$tmp/run.json" "$addr:$port"
	loader=$started
	# Not before an old worker has had the time to be too old.
	while kill -0 "$loader" 2>/dev/null &&
	    { [ "$SECONDS" -lt "$end" ] || [ "$(grep -c '^at ' "$log")" -lt "$RELOADS" ]; }; do
		sleep 0.1
	done
	stop "$loader"	# it reports what it has
	[ -s "$tmp/run.json" ] || { miss "$key: $(tail -3 "$tmp/out")"; stop "$main"; return 0; }
	read_figures "$tmp/run.json"
	[ "${got[across_failed]}" = 0 ] || miss "$key: of the reloads failed: ${got[across_failed]}"
	note "$key" weir "$(value "${got[errors]} + ${got[lost]}")" "${got[rate]}" - - - - "${got[p50]}" "${got[p99]}"
	note "$key-count" weir "${got[across_runs]}" - - - - - - -
	note "$key-slowest" weir "$(value "${got[across_max]} / 1e3")" - - - - - - -
	note "$key-old" weir "$(awk '
	    /^at / { now = $2 }
	    / retiring / {
		g = $2 + 0
		if (!(g in since)) since[g] = now
		if (now - since[g] > most) most = now - since[g]
	    }
	    END { printf "%.1f", most }' "$log")" - - - - - - -
	stop "$main"
}
