# SPDX-License-Identifier: BSD-2-Clause
# tables.awk: the measured lines (-v data=FILE) as Markdown tables, one row for each metric on stdin.
#
#	metric: key | row | what | unit | goal		as in run
#	data:   key server value rate user-ticks ticks steal util p50 p99

BEGIN {
	while ((getline line < data) > 0) {
		split(line, f, " ")
		k = f[1] SUBSEP f[2]
		i = ++count[k]
		seen[k] = 1	# count[] grows by looking
		value[k, i] = f[3]
		rate[k, i] = f[4]
		user[k] += f[5]
		ticks[k] += f[6]
		noisy[k, i] = f[7] > 0.05
		quiet[k] += !noisy[k, i]
		p50[k, i] = f[9]
		p99[k, i] = f[10]
	}
	names = split("bare weir nginx haproxy twemproxy", server, " ")
	split("bare epoll,weir,nginx,HAProxy,twemproxy", title, ",")
	print "| | goal | bare epoll | weir | weir : bare | nginx | HAProxy | twemproxy | |"
	print "|---|---|---|---|---|---|---|---|---|"
}

{
	key = $1
	base = key
	of_user = sub(/:user$/, "", base)
	if (!((base, "bare") in seen)) {
		next
	}
	for (s = 1; s <= names; s++) {
		k = base SUBSEP server[s]
		share = of_user ? (ticks[k] > 0 ? user[k] / ticks[k] : 0) : 1
		low[s] = lowest(k) * share
		cell[s] = k in seen ? figure(median(value, k) * share) : "–"
		if (k in seen && count[k] > 1) {
			cell[s] = cell[s] " (" figure(low[s]) ")"
		}
		if (!of_user && rate[k, 1] != "-" && k in seen) {
			beside[s] = sprintf("%s, %d/%d", thousands(median(rate, k)), median(p50, k), median(p99, k))
		} else {
			beside[s] = k in seen ? "" : "–"
		}
	}
	ratio = $4 != "bytes" && low[1] > 0 && low[2] > 0 ? sprintf("%.2f", low[2] / low[1]) : "–"
	printf "| %s, %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", $3, $4, goal_text($5), cell[1], cell[2],
	    ratio, cell[3], cell[4], cell[5], verdict($5)
	if (!of_user && rate[base, "bare", 1] != "-") {
		rates[++n] = "| " base " |"
		for (s = 1; s <= names; s++) {
			rates[n] = rates[n] " " beside[s] " |"
		}
	}
}

END {
	if (n == 0) {
		exit
	}
	print "\nBeside it, per second (KiB in bulk, connections in churn), and latency p50/p99 in µs under this closed loop:\n"
	print "| row | bare epoll | weir | nginx | HAProxy | twemproxy |"
	print "|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++) {
		print rates[i]
	}
}

# Whether round i of k counts.
function counts(k, i) { return quiet[k] < 2 || !noisy[k, i] }

function median(of, k,    i, j, m, v, x)
{
	m = 0
	for (i = 1; i <= count[k]; i++) {
		if (!counts(k, i)) {
			continue
		}
		x = of[k, i] + 0
		for (j = ++m; j > 1 && v[j - 1] > x; j--) {
			v[j] = v[j - 1]
		}
		v[j] = x
	}
	return m == 0 ? 0 : m % 2 ? v[(m + 1) / 2] : (v[m / 2] + v[m / 2 + 1]) / 2
}

function lowest(k,    i, low)
{
	low = 0
	for (i = 1; i <= count[k]; i++) {
		if (counts(k, i) && (low == 0 || value[k, i] < low)) {
			low = value[k, i] + 0
		}
	}
	return low
}

function figure(x) { return x >= 100 ? sprintf("%d", x + 0.5) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }

function thousands(x) { return x >= 1e6 ? sprintf("%.2fM", x / 1e6) : sprintf("%.1fk", x / 1e3) }

# A goal that is a server's name and a factor: the server's number; otherwise 0.
function beside_whom(name,    s)
{
	for (s = names; s > 0 && server[s] != name; s--) {
	}
	return s
}

function goal_text(g,    f, s)
{
	split(g, f, " ")
	s = beside_whom(f[1])
	return f[1] == "max" ? "≤ " f[2] : f[1] == "above" ? "≤ bare + " f[2] : s == 0 ? "" : \
	    f[2] == 1 ? "≤ " title[s] : "≤ " f[2] " × " f[1]
}

function verdict(g,    f, limit)
{
	split(g, f, " ")
	limit = f[1] == "max" ? f[2] : f[1] == "above" ? f[2] + low[1] : f[2] * low[beside_whom(f[1])]
	return limit == 0 || !((base, "weir") in seen) ? "" : low[2] <= limit ? "met" : "missed"
}
