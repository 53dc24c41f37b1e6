# SPDX-License-Identifier: BSD-2-Clause
# plot.gp: draws one picture of run's. name: which; files: the tables, each named by its last words.

set terminal svg size 860,520 dynamic font "Helvetica,Arial,sans-serif,15" background "#ffffff" linewidth 1.6
set border 3 linecolor "#555555"
set tics nomirror out textcolor "#333333"
set grid linecolor "#dddddd" linewidth 0.6
set key left top Left reverse samplen 2.5 spacing 1.25

# The colour and title of whoever a file or column is about.
colour(s) = s eq "bare" ? "#555555" : s eq "weir" ? "#0b6e99" : s eq "go" ? "#d9730d" \
    : s eq "nginx" ? "#2e7d32" : "#ad1a72"
title(s) = s eq "bare" ? "bare epoll" : s eq "go" ? "Go, a goroutine each" : s eq "nginx" ? "nginx stream" \
    : s eq "haproxy" ? "HAProxy" : s
server(file) = system("echo " . file . " | sed 's/.*-//'")
kind(file) = system("echo " . file . " | sed 's/.*-\\([a-z]*\\)-[a-z]*$/\\1/'")
width(s) = s eq "weir" ? 2.6 : 1.6
dash(kind) = kind eq "echo" ? 1 : 2

if (name eq "cpu") {
	set title "An echo server's processor time, 64-byte lines, closed loop"
	set xlabel "connections"
	set ylabel "µs of CPU per message"
	set logscale x
	set xrange [8:13000]
	set yrange [0:*]
	set format x "%'.0f"
	set xtics (10, 100, "1,000" 1000, "10,000" 10000)
	columns = int(system("head -1 " . files . " | wc -w"))
	who(i) = system(sprintf("head -1 %s | cut -d' ' -f%d", files, i))
	plot for [i=2:columns] files using 1:i skip 1 with linespoints pointtype 7 pointsize 0.7 \
	    linewidth width(who(i)) linecolor rgb colour(who(i)) title title(who(i))
} else { if (name eq "memory") {
	set title "A server's memory while its connections are idle"
	set xlabel "connections (of the proxies: clients)"
	set ylabel "MiB more than without them"
	set logscale xy
	set xrange [800:20000]
	set yrange [0.005:2000]
	set xtics ("1,000" 1000, "2,000" 2000, "5,000" 5000, "10,000" 10000, "20,000" 20000)
	set ytics ("0.01" 0.01, "0.1" 0.1, "1" 1, "10" 10, "100" 100, "1,000" 1000)
	set key outside right center
	label(f) = title(server(f)) . (kind(f) eq "echo" ? ", echo" : ", proxy")
	plot for [f in files] f using 1:($2 > 0.005 ? $2 : 0.005) with linespoints \
	    pointtype (kind(f) eq "echo" ? 7 : 5) pointsize 0.7 dashtype dash(kind(f)) \
	    linewidth width(server(f)) linecolor rgb colour(server(f)) title label(f)
} else {
	echoes = name eq "latency-echo"
	set title (echoes ? "Echo" : "Through a proxy") . ": latency from when a request was due, open loop, " \
	    . (echoes ? rate_echo : rate_stream) . "/s on 100 connections"
	set xlabel "percentile"
	set ylabel "latency, ms"
	set logscale xy
	set xrange [1:100000]
	set xtics ("0" 1, "50" 2, "90" 10, "99" 100, "99.9" 1000, "99.99" 10000, "99.999" 100000)
	set format y "%g"
	plot for [f in files] f using (1 / (1 - $2)):($2 < 1 ? $1 : NaN) with lines \
	    linewidth width(server(f)) linecolor rgb colour(server(f)) title title(server(f))
} }
