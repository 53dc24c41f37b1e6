# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# report.sh, a part of run: RESULTS.md. What people have to say about it is in NOTES.md.

tables() {
	metrics | awk -F'|' -v data="$data" -f "$here/tables.awk" -
}

version() { "$@" 2>&1 | sed -n 1p; }

# Of each row that is missed, the section of NOTES.md: "## ROW" up to the next one.
notes() {
	local row
	for row in $(metrics | awk -F'|' -v data="$data" -v missed=1 -f "$here/tables.awk" -); do
		awk -v row="$row" '
		    /^## / { on = 0; for (i = 2; i <= NF; i++) { sub(/,$/, "", $i); on = on || $i == row } next }
		    on { text = text $0 "\n"; found = 1 }
		    END {
			if (!found) text = "Not looked into yet.\n"
			gsub(/^\n+|\n+$/, "", text)
			print "**" row "**: " text "\n"
		    }' "$here/NOTES.md"
	done
}

pictures() {
	local name
	for name in cpu memory latency-echo latency-stream; do
		[ ! -f "$plots_to/$name.svg" ] || printf '![%s](plots/%s.svg)\n\n' "$name" "$name"
	done
}

machine_table() {
	cat <<END
| | |
|---|---|
| processor | $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores |
| memory | $(awk '/^MemTotal:/ { printf "%.0f MiB", $2 / 1024 }' /proc/meminfo) |
| kernel | $(uname -sr) |
| load average before the run | $load |
| descriptors of a process | $nofile |
| congestion control | $(sysctl -n net.ipv4.tcp_congestion_control) |
| weir | $(version "$weir" -v)$(git -C "$top" describe --always --dirty 2>/dev/null | sed 's/^/, /') |
| Go | $([ -n "$have_go" ] && version go version || echo "not installed") |
| nginx | $([ -n "$have_nginx" ] && version nginx -v || echo "not installed, or without its stream module") |
| HAProxy | $([ -n "$have_haproxy" ] && version haproxy -v || echo "not installed") |
| hitch | $([ -n "$have_hitch" ] && version hitch --version || echo "not installed") |
| twemproxy | $([ -n "$have_twemproxy" ] && version nutcracker -V || echo "not installed") |
| Redis | $([ -n "$have_redis" ] && version redis-server -v || echo "not installed") |
| compiler | $(version "$CC" --version) |
END
}

configurations() {
	local f
	for f in weir-echo.conf weir-stream.conf weir-line.conf weir-tls.conf weir-tls-echo.conf nginx.conf \
	    nginx-tls.conf haproxy.cfg haproxy-tls.cfg hitch.conf twemproxy.yml redis.conf; do
		[ -f "$tmp/$f" ] || continue
		printf '%s:\n\n' "$f"
		sed -e "s|$tmp|DIR|g" -e '/^$/!s/^/    /' "$tmp/$f"
		echo
	done
}

report() {
	cat <<END
# What weir costs, beside the limit and its peers

Written by \`contrib/bench/run\`: $ROUNDS rounds of $SECS s, interleaved over the servers, with weir-stress as
the client. One worker (one process, one thread; in idle, move-idle and reload-* several) of each server on core 0, client
and backend on core 1 ($client_class).
Figures are the median and, in brackets, the lowest round; ratios and goals go by the lowest. Rounds in
which the hypervisor took more than 5 % of a core are left out while two others remain. Every byte that
came back was verified$(if [ ${#missed[@]} -eq 0 ]; then echo "; none was wrong, no connection failed."; else echo ". Rounds that failed:"; printf '\n- %s' "${missed[@]}"; fi)

$(tables)

A server's CPU time includes the kernel's work in its context: on loopback a write also carries the
packet up to the receiver's socket. User time is sampled at the kernel's tick and summed over all rounds:
±10 % of itself at best. A part of each system call's entry and exit is counted as user time too, on
virtual machines a large one; hence the goal there is what the bare program takes and 0.4 µs. Memory is the
growth of a server's processes (what they share counts once) by $CONNS connections to an echo server or a
line_proxy and $pairs through a stream proxy; a few went before, for what a process sets up once.

$(awk '/^## / { exit } /^In the rows/ { on = 1 } on { print }' "$here/NOTES.md")

## What was missed

$(notes)

## Pictures

$(pictures)

## The machine

$(machine_table)

Kernel settings during the run:

$(printf '%s' "${settings:-none was changed}" | sed 's/^./    &/')

## Configurations

$(configurations)

## To repeat

    contrib/bench/run                  # all rows; installs what is missing, as root on Debian
    contrib/bench/run --list           # their names
    SECS=1 ROUNDS=3 contrib/bench/run echo-100 stream-100

END
}
