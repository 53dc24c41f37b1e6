# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# plot.sh, a part of run: rows that are curves. Each writes a table into $tmp/plot, which gnuplot draws.

plot_connections=(10 100 1000 10000)

plot_cpu() {
	local n s file=$tmp/plot/cpu
	mkdir -p "$tmp/plot"
	for n in "${plot_connections[@]}"; do
		timed "plot-cpu-$n" echo 0 line -c "$n" --source "$sources"
	done
	{
		echo "connections $(servers_for echo | tr '\n' ' ')"
		for n in "${plot_connections[@]}"; do
			echo "$n $(for s in $(servers_for echo); do
				awk -v key="plot-cpu-$n" -v server="$s" '
				    $1 == key && $2 == server && (!n++ || $3 < low) { low = $3 }
				    END { print n ? low : "nan" }' "$data"
			done | tr '\n' ' ')"
		done
	} >"$file"
	draw cpu "$file"
}

# A server of each kind is filled in steps; how much it has grown is asked at each.
plot_memory() {
	local kind s backend steps files=()
	local -a mains=()
	mkdir -p "$tmp/plot"
	for kind in echo stream; do
		backend=0 steps=16,1000,2000,5000,10000,$CONNS
		[ "$CONNS" -gt 10000 ] || steps=16,$((CONNS / 10)),$((CONNS / 3)),$CONNS
		[ "$kind" = echo ] || backend=$echo_port steps=16,$((pairs / 10)),$((pairs / 5)),$((pairs / 2)),$pairs
		for s in $(servers_for "$kind"); do
			[ "$kind $s" != "stream bare" ] || continue
			start_server "$s" "$kind" "$backend"
			if load_with idle -c "$steps" -i 500ms --hold 1200ms -t 30s --watch "$main" "$addr:$port"; then
				awk '/"open":/ { open = $2 + 0 }
				    /"server_grown":/ { grown = $2 + 0; if (open > 16) print open, grown / 1048576 }' \
				    "$tmp/run.json" >"$tmp/plot/memory-$kind-$s"
				files+=("$tmp/plot/memory-$kind-$s")
			else
				miss "plot-memory, $s: $trouble"
			fi
			stop "$main"
		done
	done
	draw memory "${files[@]}"
}

plot_latency() {
	latency_of echo 0 "$RATE_ECHO"
	latency_of stream "$echo_port" "$RATE_STREAM"
}

latency_of() {	# KIND BACKEND-PORT RATE
	local s files=() lasts=$((SECS * 3))
	local -a mains=()
	mkdir -p "$tmp/plot"
	for s in $(servers_for "$1"); do
		start_server "$s" "$1" "$2"
		if load_with line -c 100 --rate "$3" --warmup 500ms -d "${lasts}s" \
		    --hgrm "$tmp/plot/latency-$1-$s" "$addr:$port"; then
			files+=("$tmp/plot/latency-$1-$s")
		else
			miss "plot-latency, $s: $trouble"
		fi
		stop "$main"
	done
	draw "latency-$1" "${files[@]}"
}

draw() {	# NAME FILES...: PLOTS/NAME.svg, by plot.gp
	local name=$1
	shift
	[ -n "$have_gnuplot" ] || { say "$name is not drawn: gnuplot is not installed"; return 0; }
	[ $# -gt 0 ] || return 0
	mkdir -p "$plots_to"
	gnuplot -e "name='$name'; files='$*'; rate_echo='$RATE_ECHO'; rate_stream='$RATE_STREAM'" \
	    "$here/plot.gp" >"$tmp/$name.svg" 2>"$tmp/gnuplot.log" ||
	    { miss "$name is not drawn: $(grep -v '^$' "$tmp/gnuplot.log" | head -3)"; return 0; }
	sed 's/[[:blank:]]*$//' "$tmp/$name.svg" >"$plots_to/$name.svg"
	say "drew $plots_to/$name.svg"
}
