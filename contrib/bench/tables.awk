# SPDX-License-Identifier: BSD-2-Clause
# tables.awk: the measured lines (-v data=FILE) as Markdown tables, one row for each metric on stdin; with
# -v missed=1 only the rows that have missed a goal.
#
#	metric: key | row | what | unit | goal		as in rows.sh
#	data:   key server value rate user-ticks ticks steal - p50 p99

BEGIN {
	while ((getline line < data) > 0) {
		split(line, f, " ")
		k = f[1] SUBSEP f[2]
		i = ++count[k]
		seen[k] = 1	# count[] grows by looking
		measured[f[1]] = 1
		value[k, i] = f[3]
		rate[k, i] = f[4]
		user[k] += f[5]
		ticks[k] += f[6]
		noisy[k, i] = f[7] > 0.05
		quiet[k] += !noisy[k, i]
		p50[k, i] = f[9]
		p99[k, i] = f[10]
	}
	names = split("bare weir go nginx haproxy hitch twemproxy", server, " ")
	split("bare epoll,weir,Go,nginx,HAProxy,hitch,twemproxy", title, ",")
	for (s = 1; s <= names; s++) {
		number[server[s]] = s
	}
	if (!missed) {
		print "| row | | goal | bare epoll | weir | weir : bare | Go | nginx | HAProxy | hitch | twemproxy | |"
		print "|---|---|---|---|---|---|---|---|---|---|---|---|"
	}
}

{
	key = $1
	base = key
	of_user = sub(/:user$/, "", base)
	if (!(base in measured)) {
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
		timed = k in seen && !of_user && rate[k, 1] != "-"
		beside[s] = timed ? sprintf("%s, %s/%s", thousands(median(rate, k)), latency(p50, k), latency(p99, k)) : "–"
		any_timed[key] = any_timed[key] || timed
	}
	ours[key] = low[2]
	met = verdict($5)
	if (missed) {
		if (met == "missed" && !told[$2]++) {
			print $2
		}
		next
	}
	ratio = $4 != "bytes" && low[1] > 0 && low[2] > 0 ? sprintf("%.2f", low[2] / low[1]) : "–"
	printf "| %s | %s%s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", named[$2]++ ? "" : $2, $3,
	    $4 == "" ? "" : ", " $4, goal_text($5), cell[1], cell[2], ratio, cell[3], cell[4], cell[5], cell[6],
	    cell[7], met == "missed" ? "**missed**" : met
	if (any_timed[key]) {
		rates[++n] = "| " base " |"
		for (s = 1; s <= names; s++) {
			rates[n] = rates[n] " " beside[s] " |"
		}
	}
}

END {
	if (missed || n == 0) {
		exit
	}
	print "\nBeside it, per second (KiB in bulk, connections in churn and of handshakes, pings in idle), and latency p50/p99 in µs, " \
	    "in a closed loop but for idle:\n"
	print "| row | bare epoll | weir | Go | nginx | HAProxy | hitch | twemproxy |"
	print "|---|---|---|---|---|---|---|---|"
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

function lowest(k,    i, low, n)
{
	for (i = 1; i <= count[k]; i++) {
		if (counts(k, i) && (!n++ || value[k, i] < low)) {
			low = value[k, i] + 0
		}
	}
	return low + 0
}

function figure(x)
{
	return x == int(x) ? sprintf("%d", x) : x >= 100 ? sprintf("%d", x + 0.5) : \
	    x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function latency(of, k) { return of[k, 1] ~ /^[0-9]/ ? sprintf("%d", median(of, k)) : "–" }

function thousands(x) { return x >= 1e6 ? sprintf("%.2fM", x / 1e6) : sprintf("%.1fk", x / 1e3) }

function goal_text(goal,    i, n, part, f, text, one)
{
	n = split(goal, part, ", ")
	for (i = 1; i <= n; i++) {
		split(part[i], f, " ")
		one = f[1] in ours ? "≤ " f[2] " × " f[1] : f[1] == "max" ? "≤ " f[2] : f[1] == "above" ? "≤ bare + " f[2] : !(f[1] in number) ? "" : \
		    f[2] == 1 ? "≤ " title[number[f[1]]] : "≤ " f[2] " × " (f[1] == "bare" ? "bare" : title[number[f[1]]])
		text = text (i > 1 ? ", " : "") one
	}
	return text
}

# Of all goals whose servers took part.
function verdict(goal,    i, n, part, f, limit, met)
{
	if (!((base, "weir") in seen)) {
		return ""
	}
	n = split(goal, part, ", ")
	for (i = 1; i <= n; i++) {
		split(part[i], f, " ")
		if (f[1] == "max") {
			limit = f[2]
		} else if (f[1] == "above" && (base, "bare") in seen) {
			limit = f[2] + low[1]
		} else if (f[1] in ours) {
			limit = f[2] * ours[f[1]]
		} else if (f[1] in number && (base, f[1]) in seen) {
			limit = f[2] * low[number[f[1]]]
		} else {
			continue
		}
		if (low[2] > limit) {
			return "missed"
		}
		met = "met"
	}
	return met
}
