/* SPDX-License-Identifier: BSD-2-Clause */
/* plan: what a run needs of this machine, and whether it has it. */
#include "stress/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "net/ports.h"
#include "net/sock.h"
#include "stress/client.h"
#include "stress/mode.h"
#include "stress/procfs.h"
#include "stress/run.h"
#include "stress/tally.h"
#include "stress/text.h"

/* What a process has open besides its connections: loop, timers, memory, log. */
#define OWN_DESCRIPTORS 20u

/* Memory of the kernel for an idle TCP socket, with its inode, file, dentry, epoll
 * entry and bind bucket (slab objects of Linux 6.x), and for a UNIX one. */
#define KERNEL_TCP  3900u
#define KERNEL_UNIX 2300u

/* What a stream that nobody holds up has on its way, at most. */
#define KERNEL_STREAM (512u * 1024)

/* Of each process: what is read into, and what is gathered before it is sent. */
#define BUFFER 65536u

/* An SSL of OpenSSL 3 with its keys. */
#define TLS_SESSION 20480u

/* How long a port cannot be used again for the same target when we have closed first;
 * with net.ipv4.tcp_tw_reuse (2: on the loopback interface) a second. */
#define TIME_WAIT_S  60u
#define TIME_REUSE_S 1u

#define ITEMS_MAX 8u

/* A line of the plan. */
struct item {
	const char *name;
	char        needed[32];
	char        here[32];
	bool        missing;		/* the run cannot succeed */
	char        what[192];		/* what the numbers are of */
	char        remedy[320];	/* what to do; "": nothing */
};

struct plan {
	const struct run *run;
	bool              local;	/* the target is on this machine: it needs as much again */
	unsigned          count;
	struct item       of[ITEMS_MAX];
};

static void plan_descriptors(struct plan *);
static void plan_files(struct plan *);
static void plan_local_ports(struct plan *);
static void plan_sources(struct plan *);
static void plan_memory(struct plan *);
static void plan_backlog(struct plan *);
static bool plan_target_is_local(const struct addr *);
static struct item *item_add(struct plan *, const char *name, double needed, double here);
static void plan_append(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void plan_print(FILE *, const struct plan *, bool missing_only);

int
stress_plan_check(const struct run *run)
{
	struct plan p = { .run = run, .local = plan_target_is_local(&run->target) };
	bool        missing = false;

	plan_descriptors(&p);
	plan_files(&p);
	if (run->target.sa.sa_family != AF_UNIX) {
		plan_sources(&p);
		plan_local_ports(&p);
	}
	plan_memory(&p);
	plan_backlog(&p);
	for (unsigned i = 0; i < p.count; i++)
		missing = missing || p.of[i].missing;
	if (run->plan_only) {
		printf("%s connections to %s (%s), %u process%s\n\n",
		    stress_text_count(run->connections).s, run->target_name,
		    p.local ? "on this machine" : "on another machine", run->workers,
		    run->workers == 1 ? "" : "es");
		plan_print(stdout, &p, false);
		puts(missing ? "\nThis run cannot succeed." : "\nThis run can succeed.");
		return missing ? 1 : 0;
	}
	if (!missing)
		return 0;
	fprintf(stderr, "weir-stress: this run cannot succeed%s\n\n",
	    run->force ? ", but --force is given:" : " (--force runs it all the same):");
	plan_print(stderr, &p, true);
	fputc('\n', stderr);
	return run->force ? 0 : 1;
}

uint32_t
stress_plan_ports(const char *range, const char *reserved)
{
	unsigned    low, high, from, to;
	uint32_t    n;
	const char *at = reserved;
	int         used;

	if (sscanf(range, "%u %u", &low, &high) != 2 || low > high || high > 65535)
		return 0;
	n = high - low + 1;
	while (sscanf(at, " %u%n", &from, &used) == 1) {
		at += used;
		to = from;
		if (*at == '-' && sscanf(at + 1, "%u%n", &to, &used) == 1)
			at += 1 + used;
		from = from > low ? from : low;
		to = to < high ? to : high;
		if (from <= to)
			n -= to - from + 1;
		if (*at != ',')
			break;
		at++;
	}
	return n;
}

static uint64_t
plan_share(uint64_t n, uint64_t by)
{
	return by > 0 ? (n + by - 1) / by : 0;
}

/* The soft limit is raised as far as it goes; the hard one, too, where that is
 * allowed (CAP_SYS_RESOURCE). */
static void
plan_descriptors(struct plan *p)
{
	uint64_t      needed = plan_share(p->run->connections, p->run->workers) + OWN_DESCRIPTORS;
	uint64_t      nr_open = stress_procfs_number("/proc/sys/fs/nr_open"), processes;
	struct rlimit limit, higher;
	struct item  *item;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < needed) {
		higher = limit;
		higher.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
		if (needed > limit.rlim_max)
			higher.rlim_cur = higher.rlim_max = needed;
		if (setrlimit(RLIMIT_NOFILE, &higher) != 0) {
			higher = limit;
			higher.rlim_cur = limit.rlim_max;
			(void)setrlimit(RLIMIT_NOFILE, &higher);
		}
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	item = item_add(p, "descriptors", (double)needed, (double)limit.rlim_cur);
	plan_append(item->what, sizeof item->what, "of each process");
	if (!item->missing)
		return;
	processes = limit.rlim_cur > OWN_DESCRIPTORS
	    ? plan_share(p->run->connections, limit.rlim_cur - OWN_DESCRIPTORS)
	    : 0;
	if (processes > 0 && processes <= RUN_WORKERS_MAX)
		plan_append(item->remedy, sizeof item->remedy, "-w %" PRIu64 ", or ", processes);
	if (nr_open != 0 && needed > nr_open)
		plan_append(item->remedy, sizeof item->remedy,
		    "sysctl -w fs.nr_open=%" PRIu64 " && ", needed);
	plan_append(item->remedy, sizeof item->remedy, "as root: ulimit -n %" PRIu64, needed);
}

/* Of the whole machine. */
static void
plan_files(struct plan *p)
{
	uint64_t     needed = p->run->connections, used, max;
	char         text[128];
	struct item *item;

	if (stress_procfs_read(text, sizeof text, "/proc/sys/fs/file-nr") != 0 ||
	    sscanf(text, "%" SCNu64 " %*u %" SCNu64, &used, &max) != 2)
		return;
	needed *= p->local ? 2 : 1;
	item = item_add(p, "open files", (double)needed,
	    max > used ? (double)(max - used) : 0);
	plan_append(item->what, sizeof item->what, "of the whole machine%s",
	    p->local ? ", both ends of each" : "");
	if (item->missing)
		plan_append(item->remedy, sizeof item->remedy, "sysctl -w fs.file-max=%" PRIu64,
		    used + needed + needed / 10);
}

/* "--source 127.0.1.1-127.0.1.64": addresses of the loopback interface are there
 * without being set up. */
static void
plan_advise_sources(struct plan *p, struct item *item, uint64_t n)
{
	uint32_t       last = (127u << 24) + (1u << 8) + (uint32_t)n;
	struct in_addr in = { htonl(last) };
	char           text[INET_ADDRSTRLEN];

	if (p->run->target.sa.sa_family == AF_INET &&
	    ntohl(p->run->target.in.sin_addr.s_addr) >> 24 == 127 && n <= RUN_SOURCES_MAX)
		plan_append(item->remedy, sizeof item->remedy, "--source 127.0.1.1-%s",
		    inet_ntop(AF_INET, &in, text, sizeof text));
	else
		plan_append(item->remedy, sizeof item->remedy,
		    "--source with %" PRIu64
		    " addresses of this machine (ip addr add ADDRESS dev DEVICE)",
		    n);
}

/* Who closes first keeps the port; the server may, so this is never missing. */
static void
plan_churn_ports(struct plan *p, struct item *item, uint64_t here)
{
	const struct addr *to = &p->run->target;
	uint64_t           reuse = stress_procfs_number("/proc/sys/net/ipv4/tcp_tw_reuse");
	bool               loopback = to->sa.sa_family == AF_INET
	    ? ntohl(to->in.sin_addr.s_addr) >> 24 == 127
	    : IN6_IS_ADDR_LOOPBACK(&to->in6.sin6_addr);
	double             rate;

	rate = (double)(here /
	    (reuse == 1 || (reuse == 2 && loopback) ? TIME_REUSE_S : TIME_WAIT_S));
	if (p->run->mode->fresh && p->run->rate > rate)
		plan_append(item->remedy, sizeof item->remedy,
		    "ports in TIME_WAIT allow about %s "
		    "connections a second: more of --source for more",
		    stress_text_count(rate).s);
}

static void
plan_local_ports(struct plan *p)
{
	char         range[64], reserved[4096] = "";
	unsigned     sources_used = p->run->source_count > 0 ? p->run->source_count : 1;
	uint32_t     each, widest;
	uint64_t     needed = p->run->connections, here;
	bool         windows = ports_have_windows();
	struct item *item;

	if (stress_procfs_read(range, sizeof range, "/proc/sys/net/ipv4/ip_local_port_range") != 0)
		return;
	(void)stress_procfs_read(reserved, sizeof reserved,
	    "/proc/sys/net/ipv4/ip_local_reserved_ports");
	each = stress_plan_ports(range, reserved);
	widest = stress_plan_ports("1024 65535", reserved);
	if (!windows && each > 1) {
		each /= 2;
		widest /= 2;
	}
	here = (uint64_t)each * sources_used;
	item = item_add(p, "ports", (double)needed, (double)here);
	range[strcspn(range, "\n")] = '\0';
	range[strcspn(range, "\t")] = '-';
	plan_append(item->what, sizeof item->what, "%u source%s with %s each (%s)", sources_used,
	    sources_used == 1 ? "" : "s", stress_text_count(each).s, range);
	if (!windows)
		plan_append(item->what, sizeof item->what,
		    ", half of the range: before Linux 6.3 connecting is very slow beyond it");
	if (!item->missing) {
		plan_churn_ports(p, item, here);
		return;
	}
	if (each > 0)
		plan_advise_sources(p, item, plan_share(needed, each));
	if ((uint64_t)widest * sources_used >= needed)
		plan_append(item->remedy, sizeof item->remedy,
		    "%ssysctl -w net.ipv4.ip_local_port_range='1024 65535'",
		    each > 0 ? ", or " : "");
}

/* Only those that this machine does not have are told. */
static void
plan_sources(struct plan *p)
{
	char         name[ADDR_TEXT_MAX] = "";
	unsigned     absent = 0;
	struct item *item;

	for (unsigned i = 0; i < p->run->source_count; i++) {
		if (sock_try_source(&p->run->sources[i]) == 0 || errno != EADDRNOTAVAIL)
			continue;
		if (absent++ == 0)
			addr_print(&p->run->sources[i], name);
	}
	if (absent == 0)
		return;
	item = item_add(p, "sources", p->run->source_count,
	    p->run->source_count - absent);
	/* Without the port, which is 0. */
	if (strrchr(name, ':') != NULL)
		*strrchr(name, ':') = '\0';
	plan_append(item->what, sizeof item->what, "%s is no address of this machine", name);
	plan_append(item->remedy, sizeof item->remedy,
	    "ip addr add %s dev DEVICE, or another --source", name);
}

/* Clients with their rings of requests, which are powers of two, and what a socket does
 * not take at once; in each process its counters and its buffers. */
static double
plan_own_memory(const struct run *run)
{
	double   whole = (double)run->size * run->depth, waiting = 0, process;
	unsigned ring = 1;

	while (ring < run->depth)
		ring *= 2;
	if (run->mode->paced && whole > KERNEL_STREAM)
		waiting = whole - KERNEL_STREAM;
	else if (run->mode == &mode_bulk && run->way != WAY_IN)
		waiting = run->size < BUFFER ? (double)run->size : BUFFER;
	if (run->tls.on)
		waiting += TLS_SESSION;
	process = sizeof(struct tally) + BUFFER;
	process += run->mode->paced && run->size > BUFFER ? (double)run->size : BUFFER;
	return (double)run->connections *
	    ((double)(sizeof(struct stress_client) + ring * sizeof(struct flight)) + waiting) +
	    run->workers * process;
}

static void
plan_memory(struct plan *p)
{
	const struct run *run = p->run;
	bool              is_unix = run->target.sa.sa_family == AF_UNIX;
	double            own, kernel, flying, available = 0;
	FILE             *in = fopen("/proc/meminfo", "re");
	char              line[128];
	uint64_t          k;
	struct item      *item;

	while (in != NULL && fgets(line, sizeof line, in) != NULL) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &k) == 1)
			available = (double)k * 1024;
	}
	if (in != NULL)
		fclose(in);
	if (available == 0)
		return;
	own = plan_own_memory(run);
	/* An idle connection has nothing on its way; of others, what is asked at once. */
	flying = run->mode == &mode_idle ? 0
					 : (double)run->size * (run->mode->paced ? run->depth : 1);
	if (flying > KERNEL_STREAM)
		flying = KERNEL_STREAM;
	kernel = (double)run->connections * ((is_unix ? KERNEL_UNIX : KERNEL_TCP) + flying) *
	    (p->local ? 2 : 1);
	item = item_add(p, "memory", own + kernel, available);
	memcpy(item->needed, stress_text_size(own + kernel).s, sizeof item->needed);
	memcpy(item->here, stress_text_size(available).s, sizeof item->here);
	plan_append(item->what, sizeof item->what, "about %s of ours, %s of the kernel%s",
	    stress_text_size(own).s, stress_text_size(kernel).s,
	    p->local ? " for both ends; the server's own comes on top" : "");
	if (item->missing)
		plan_append(item->remedy, sizeof item->remedy,
		    "fewer connections (-c), a smaller size (-s) "
		    "or depth (-p)");
}

/* Connects beyond the server's queue are dropped, and tried again after a second. */
static void
plan_backlog(struct plan *p)
{
	uint64_t     somaxconn = stress_procfs_number("/proc/sys/net/core/somaxconn");
	struct item *item;

	if (!p->local || p->run->ramp > 0 || somaxconn == 0 || p->run->connections <= somaxconn)
		return;
	item = item_add(p, "backlog", p->run->connections, (double)somaxconn);
	item->missing = false;
	plan_append(item->what, sizeof item->what, "what waits to be accepted, at most");
	plan_append(item->remedy, sizeof item->remedy,
	    "all at once may take seconds: ramp (-r %" PRIu64
	    "), or sysctl -w net.core.somaxconn=%u",
	    somaxconn, p->run->connections);
}

/* A TCP address that can be bound here is this machine's. */
static bool
plan_target_is_local(const struct addr *target)
{
	struct addr here = *target;

	if (target->sa.sa_family == AF_UNIX)
		return true;
	if (target->sa.sa_family == AF_INET6)
		here.in6.sin6_port = 0;
	else
		here.in.sin_port = 0;
	return sock_try_source(&here) == 0;
}

static struct item *
item_add(struct plan *p, const char *name, double needed, double here)
{
	struct item *item = &p->of[p->count < ITEMS_MAX ? p->count++ : ITEMS_MAX - 1];

	memset(item, 0, sizeof *item);
	item->name = name;
	item->missing = needed > here;
	memcpy(item->needed, stress_text_count(needed).s, sizeof item->needed);
	memcpy(item->here, stress_text_count(here).s, sizeof item->here);
	return item;
}

/* Appends. */
static void
plan_append(char *out, size_t size, const char *format, ...)
{
	size_t  n = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + n, size - n, format, args);
	va_end(args);
}

static void
plan_print(FILE *out, const struct plan *p, bool missing_only)
{
	fprintf(out, "  %-12s %12s %14s\n", "", "needed", "there is");
	for (unsigned i = 0; i < p->count; i++) {
		const struct item *item = &p->of[i];

		if (missing_only && !item->missing)
			continue;
		fprintf(out, "  %-12s %12s %14s  %-7s  %s\n", item->name, item->needed, item->here,
		    item->missing ? "MISSING" : "ok", item->what);
		if (item->remedy[0] != '\0')
			fprintf(out, "  %-12s %s\n", "", item->remedy);
	}
}
