/* SPDX-License-Identifier: BSD-2-Clause */
/* check: whether the machine can carry what the settings ask of it. */
#include "conf/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct check {
	const struct check_needs *needs;
	void                    (*warn)(void *context, const char *key, const char *text);
	void                     *context;
};

static FILE    *check_open_sysctl(const char *sysctl, const char *name);
static uint64_t check_reserved_ports(const char *sysctl, unsigned first, unsigned last);
static void check_descriptors(const struct check *);
static void check_files(const struct check *);
static void check_backlog(const struct check *);
static void check_say(const struct check *, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void
check_machine(const struct check_needs *needs,
    void (*warn)(void *context, const char *key, const char *text), void *context)
{
	const struct check c = { needs, warn, context };

	check_descriptors(&c);
	check_files(&c);
	check_backlog(&c);
}

void
check_ports(const struct check_ports *p,
    void (*warn)(void *context, const char *key, const char *text), void *context)
{
	const struct check c = { NULL, warn, context };
	uint64_t           ports = p->ports, all;

	if (p->peers == 0)
		return;
	if (p->halved && ports > 1)
		ports /= 2;
	if (__builtin_mul_overflow(ports, p->pairs, &all) || p->connections <= all)
		return;
	check_say(&c, p->pooled ? "pool_size" : "server",
	    "%" PRIu64 " connections to %" PRIu64 " peer%s may be wanted, but there are ports for "
	    "%" PRIu64 " only: %" PRIu64 " for each source address and peer%s; add source = more "
	    "addresses of this machine, widen net.ipv4.ip_local_port_range, or %s",
	    p->connections, p->peers, p->peers == 1 ? "" : "s", all, ports,
	    p->halved
		? " (half of the range: before Linux 6.3 connecting is very slow when more are "
			"taken)"
		: "",
	    p->pooled ? "lower pool_size"
		      : "set max_conns of the peers or max_connections of the servers");
}

int
check_sysctl(const char *sysctl, const char *name, uint64_t *value)
{
	char  text[64];
	FILE *f = check_open_sysctl(sysctl, name);

	if (f == NULL)
		return -1;
	if (fgets(text, sizeof text, f) == NULL)
		*text = '\0';
	fclose(f);
	text[strcspn(text, "\n")] = '\0';
	if (str_number(text, value))
		return 0;
	errno = EINVAL;
	return -1;
}

static FILE *
check_open_sysctl(const char *sysctl, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", sysctl != NULL ? sysctl : "/proc/sys", name);
	return fopen(path, "re");
}

bool
check_local_ports(const char *sysctl, uint64_t *ports)
{
	unsigned first, last;
	FILE    *f = check_open_sysctl(sysctl, "net/ipv4/ip_local_port_range");
	bool     found;

	if (f == NULL)
		return false;
	found = fscanf(f, "%u %u", &first, &last) == 2 && first <= last && last <= 65535;
	fclose(f);
	if (found)
		*ports = last - first + 1 - check_reserved_ports(sysctl, first, last);
	return found;
}

/* How many of first … last are kept free. The kernel writes "8080,9000-9099",
 * in order, each port once. */
static uint64_t
check_reserved_ports(const char *sysctl, unsigned first, unsigned last)
{
	unsigned from, to, n = 0;
	FILE    *f = check_open_sysctl(sysctl, "net/ipv4/ip_local_reserved_ports");

	if (f == NULL)
		return 0;
	while (fscanf(f, "%u", &from) == 1) {
		if (fscanf(f, "-%u", &to) != 1)
			to = from;
		if (to >= first && from <= last)
			n += (to < last ? to : last) - (from > first ? from : first) + 1;
		if (getc(f) != ',')
			break;
	}
	fclose(f);
	return n;
}

static void
check_descriptors(const struct check *c)
{
	const struct check_needs *n = c->needs;
	uint64_t                  most;

	if (n->descriptors <= n->limit)
		return;
	if (check_sysctl(n->sysctl, "fs/nr_open", &most) == 0 && n->descriptors > most)
		check_say(c, "worker_connections",
		    "a worker needs %" PRIu64 " descriptors and may have %" PRIu64
		    "; raise fs.nr_open (%" PRIu64 ") and the limit on open files (LimitNOFILE, "
		    "ulimit -n), or lower worker_connections",
		    n->descriptors, n->limit, most);
	else
		check_say(c, "worker_connections",
		    "a worker needs %" PRIu64 " descriptors and may have %" PRIu64
		    "; raise the limit on open files (LimitNOFILE, ulimit -n), or lower "
		    "worker_connections",
		    n->descriptors, n->limit);
}

static void
check_files(const struct check *c)
{
	const struct check_needs *n = c->needs;
	uint64_t                  each = n->descriptors < n->limit ? n->descriptors : n->limit;
	uint64_t                  all, most;

	if (check_sysctl(n->sysctl, "fs/file-max", &most) < 0 ||
	    (!__builtin_mul_overflow(each, n->workers, &all) && all <= most))
		return;
	check_say(c, "worker_connections",
	    "%" PRIu64 " workers with %" PRIu64 " descriptors each are more than this machine's "
	    "%" PRIu64 " open files; raise fs.file-max, or lower worker_connections",
	    n->workers, each, most);
}

static void
check_backlog(const struct check *c)
{
	const struct check_needs *n = c->needs;
	uint64_t                  most;

	if (check_sysctl(n->sysctl, "net/core/somaxconn", &most) < 0 || n->backlog <= most)
		return;
	check_say(c, "listen",
	    "a backlog of %" PRIu64 " is cut to %" PRIu64
	    "; raise net.core.somaxconn, or write backlog=%" PRIu64,
	    n->backlog, most, most);
}

static void
check_say(const struct check *c, const char *key, const char *format, ...)
{
	char    text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	c->warn(c->context, key, text);
}
