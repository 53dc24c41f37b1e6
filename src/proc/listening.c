/* SPDX-License-Identifier: BSD-2-Clause */
/* listening: the master's listening sockets, kept over generations. */
#include "proc/listening.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/queue.h"
#include "net/sock.h"
#include "proc/fileid.h"
#include "proc/inherit.h"
#include "proc/master.h"
#include "proc/report.h"
#include "proc/wait.h"

#define WHO_TIMEOUT 100	/* ms */

/* One address. */
struct group {
	struct node        link;
	struct listen_spec spec;
	bool               shared;	/* one socket, slot FD_SHARED */
	bool               inherited;
	unsigned           count;	/* sockets that are open */
	unsigned           active;	/* those of slots that have workers */
	uint64_t           retired;	/* when the others lost theirs */
	struct file_id     file;	/* a UNIX socket's: it may be replaced by others */

	/* the plan */
	const struct digest_listen *wanted;	/* NULL: not by this generation */
	bool               fresh;	/* opened by it */
	unsigned           before;	/* how many sockets there were */
	unsigned           keep;	/* how many the new generation gets */
};

static struct node groups = { &groups, &groups };
static unsigned    plan_workers;

static struct group *group_find(const char *name);
static int  group_keep(struct group *, const struct digest_listen *);
static int  group_create(const struct digest_listen *);
static int  group_grow(struct group *, const struct digest_listen *);
static int  group_open_socket(struct group *, const struct digest_listen *, unsigned slot);
static void group_apply(struct group *);
static int  group_limit(struct group *, unsigned n);
static bool group_is_same(const struct group *, const struct listen_spec *);
static bool group_overlaps(const struct listen_spec *);
static void group_note_file(struct group *);
static void group_set_file(struct group *);
static void group_remove_file(const struct group *);
static void group_shrink(struct group *, unsigned count);
static void listening_close_unused(void);
static void group_destroy(struct group *);
static const char *listening_who_has(const struct listen_spec *);
static void listening_complain(const struct digest_listen *, const char *step, int error);

static unsigned
group_slot(const struct group *g, unsigned i)
{
	return g->shared ? FD_SHARED : i;
}

int
listening_inherit(void)
{
	return inherit_sockets(&master_fds);
}

bool
listening_loses_all(const struct digest_listen *listens, unsigned count)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		for (unsigned i = 0; i < count; i++)
			if (strcmp(listens[i].spec.name, g->spec.name) == 0 ||
			    addr_overlap(&listens[i].spec.addr, &g->spec.addr))
				return false;
	}
	return !list_empty(&groups);
}

int
listening_plan(const struct digest_listen *listens, unsigned count, unsigned workers)
{
	struct node  *n, *following;
	struct group *g;
	int           result = 0;

	plan_workers = workers;
	list_each(n, following, &groups) {
		g = container_of(n, struct group, link);
		g->wanted = NULL;
		g->fresh = false;
		g->before = g->count;
	}
	for (unsigned i = 0; i < count; i++) {
		g = group_find(listens[i].spec.name);
		if (g != NULL && g->wanted != NULL)
			listening_complain(&listens[i], "listen",
			    EADDRINUSE); /* the check should have said it */
		if (g != NULL ? group_keep(g, &listens[i]) < 0 : group_create(&listens[i]) < 0)
			result = -1;
	}
	return result;
}

int
listening_offer(struct fdtable *offered)
{
	struct node *n, *following;
	unsigned     most = plan_workers;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (g->wanted == NULL)
			continue;
		for (unsigned i = 0; i < g->keep; i++)
			if (fdtable_add(offered, FD_LISTEN, g->spec.name, group_slot(g, i),
				fdtable_find(&master_fds, FD_LISTEN, g->spec.name,
				    group_slot(g, i))) < 0)
				return -1;
		if (g->keep > most)
			most = g->keep;
	}
	return (int)most;
}

void
listening_commit(void)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (g->wanted == NULL) {
			report_say(WEIR_NOTICE, "listener closed: %s", g->spec.name);
			group_destroy(g);
			continue;
		}
		if (g->fresh)
			report_say(WEIR_NOTICE, "listener opened: %s%s", g->spec.name,
			    g->inherited ? " (inherited)" : "");
		group_apply(g);
		g->spec = g->wanted->spec;
		g->fresh = false;
		g->wanted = NULL;
		group_set_file(g);
		if (g->shared)
			continue;
		if (g->count > g->keep)
			group_shrink(g, g->keep);
		/* Whether the limit is needed depends on sockets that only old
		 * workers hold: set once, it stays. */
		if (g->count > 1 && group_limit(g, plan_workers) < 0)
			log_error("listener %s: sharing among %u sockets: %s", g->spec.name,
			    plan_workers, strerror(errno));
		if (plan_workers < g->active)
			g->retired = wait_now();
		g->active = plan_workers;
	}
	listening_close_unused();
}

void
listening_drop(void)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (g->wanted == NULL)
			continue;
		g->wanted = NULL;
		if (g->fresh)
			group_destroy(g);
		else
			group_shrink(g, g->before);
	}
}

void
listening_close(void)
{
	struct node *n;

	while ((n = list_first(&groups)) != NULL)
		group_destroy(container_of(n, struct group, link));
	fdtable_close_kind(&master_fds, FD_INHERITED);
}

static struct group *
group_find(const char *name)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (strcmp(g->spec.name, name) == 0)
			return g;
	}
	return NULL;
}

/* Prepares a group that is open for the new generation. Its sockets are in use:
 * their options are not touched before commit. */
static int
group_keep(struct group *g, const struct digest_listen *wanted)
{
	const char *step;

	if (!group_is_same(g, &wanted->spec)) {
		report_say(WEIR_ERROR,
		    "%s: error: listen = %s: options that are set before a socket is "
		    "bound cannot be changed while weir listens there: stop and start it",
		    wanted->place, wanted->spec.name);
		return -1;
	}
	g->wanted = wanted;
	g->keep = g->count;
	if (!g->shared) {
		if (g->active < g->count && wait_now() - g->retired >= LISTENING_RETIRED)
			g->keep = g->active > plan_workers ? g->active : plan_workers;
		if (g->keep < plan_workers)
			g->keep = plan_workers;
	}
	if (sock_try(&wanted->spec, &g->spec, &step) < 0) {
		listening_complain(wanted, step, errno);
		return -1;
	}
	return g->shared ? 0 : group_grow(g, wanted);
}

static int
group_create(const struct digest_listen *wanted)
{
	struct group *g = calloc(1, sizeof *g);
	int           fd;
	const char   *step;

	if (g == NULL) {
		listening_complain(wanted, "memory", errno);
		return -1;
	}
	g->spec = wanted->spec;
	g->wanted = wanted;
	g->fresh = true;
	fd = fdtable_take(&master_fds, FD_INHERITED, g->spec.name, 0);
	g->inherited = fd >= 0;
	g->shared = g->inherited || !g->spec.reuseport;
	g->keep = g->active = g->shared ? 1 : plan_workers;
	list_append(&groups, &g->link);
	if (g->inherited) {
		if (fdtable_add(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED, fd) < 0) {
			listening_complain(wanted, "memory", errno);
			fd_close(&fd);
			goto fail;
		}
		g->count = 1;
		if (sock_try(&g->spec, NULL, &step) < 0) {
			listening_complain(wanted, step, errno);
			goto fail;
		}
		return 0;
	}
	/* What would share the port with another program in silence is found by
	 * this; but what is ours may overlap. */
	if (!group_overlaps(&g->spec) && sock_probe(&g->spec) < 0) {
		listening_complain(wanted, "bind", errno);
		goto fail;
	}
	if (group_grow(g, wanted) < 0)
		goto fail;
	group_note_file(g);
	return 0;
fail:
	group_destroy(g);
	return -1;
}

/* Opens sockets until there are as many as the plan wants. What is added to a
 * group gets nothing before commit: it may be closed again. */
static int
group_grow(struct group *g, const struct digest_listen *wanted)
{
	if (!g->fresh && g->count < g->keep && group_limit(g, g->active) < 0) {
		listening_complain(wanted, "SO_ATTACH_REUSEPORT_CBPF", errno);
		return -1;
	}
	while (g->count < g->keep)
		if (group_open_socket(g, wanted, group_slot(g, g->count)) < 0)
			return -1;
	return 0;
}

static int
group_open_socket(struct group *g, const struct digest_listen *wanted, unsigned slot)
{
	const char *step = "socket";
	int         fd = sock_listen(&wanted->spec, &step);

	if (fd < 0) {
		listening_complain(wanted, step, errno);
		return -1;
	}
	if (fdtable_add(&master_fds, FD_LISTEN, g->spec.name, slot, fd) < 0) {
		listening_complain(wanted, "memory", errno);
		fd_close(&fd);
		return -1;
	}
	g->count++;
	return 0;
}

/* The options that are wanted now. They have been tried: what fails here is told,
 * and the listener stays. */
static void
group_apply(struct group *g)
{
	const struct listen_spec *was = g->fresh ? NULL : &g->spec;
	const char               *step;

	for (unsigned i = 0; i < g->count; i++)
		if (sock_relisten(fdtable_find(&master_fds, FD_LISTEN, g->spec.name,
				      group_slot(g, i)),
			&g->wanted->spec, was, &step) < 0)
			report_say(WEIR_ERROR, "%s: error: [server %s] listen %s: %s: %s",
			    g->wanted->place, g->wanted->server, g->spec.name, step,
			    strerror(errno));
}

static int
group_limit(struct group *g, unsigned n)
{
	return sock_reuseport_limit(fdtable_find(&master_fds, FD_LISTEN, g->spec.name, 0), n);
}

/* Mode and owner of a UNIX socket's file can be changed while it listens. */
static bool
group_is_same(const struct group *g, const struct listen_spec *wanted)
{
	struct listen_spec as = *wanted;

	if (g->inherited)
		return true;
	if (as.addr.sa.sa_family == AF_UNIX) {
		as.mode = g->spec.mode;
		as.owner = g->spec.owner;
		as.group = g->spec.group;
	}
	return sock_same_listener(&g->spec, &as);
}

/* Whether a socket of ours covers the same port, under another name. */
static bool
group_overlaps(const struct listen_spec *spec)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (g->count > 0 && strcmp(g->spec.name, spec->name) != 0 &&
		    addr_overlap(&g->spec.addr, &spec->addr))
			return true;
	}
	return false;
}

static void
group_note_file(struct group *g)
{
	if (g->spec.addr.sa.sa_family == AF_UNIX)
		file_id_note(&g->file, g->spec.addr.un.sun_path);
}

static bool
group_file_is_ours(const struct group *g)
{
	return g->spec.addr.sa.sa_family == AF_UNIX &&
	    file_id_is_at(&g->file, g->spec.addr.un.sun_path);
}

static void
group_set_file(struct group *g)
{
	const char *path = g->spec.addr.un.sun_path;

	if (!group_file_is_ours(g))
		return;
	if (chmod(path, g->spec.mode) < 0 ||
	    ((g->spec.owner != (uid_t)-1 || g->spec.group != (gid_t)-1) &&
		chown(path, g->spec.owner, g->spec.group) < 0))
		log_error("listener %s: mode and owner: %s", g->spec.name, strerror(errno));
}

static void
group_remove_file(const struct group *g)
{
	if (group_file_is_ours(g) && unlink(g->spec.addr.un.sun_path) < 0)
		log_error("listener %s: removing it: %s", g->spec.name, strerror(errno));
}

/* From the end: the kernel moves the last of a group to where one is missing,
 * and their order is the slots'. */
static void
group_shrink(struct group *g, unsigned count)
{
	while (g->count > count) {
		g->count--;
		fdtable_close(&master_fds, FD_LISTEN, g->spec.name, group_slot(g, g->count));
	}
}

static void
group_destroy(struct group *g)
{
	int fd;

	if (g->inherited && g->fresh) {
		fd = fdtable_take(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED);
		if (fd >= 0 && fdtable_add(&master_fds, FD_INHERITED, g->spec.name, 0, fd) < 0)
			fd_close(&fd);
		g->count = 0;
	}
	group_remove_file(g);
	group_shrink(g, 0);
	node_unlink(&g->link);
	free(g);
}

/* Connections would wait for ever in a socket that nobody accepts from. */
static void
listening_close_unused(void)
{
	for (unsigned i = 0; i < master_fds.count; i++)
		if (master_fds.entries[i]->kind == FD_INHERITED)
			report_say(WEIR_WARN,
			    "warning: the inherited socket %s is closed: no listen has its address",
			    master_fds.entries[i]->name);
	fdtable_close_kind(&master_fds, FD_INHERITED);
}

/* Why the address is in use. A port that the kernel has chosen for somebody's
 * connection cannot be listened on either. */
static const char *
listening_who_has(const struct listen_spec *spec)
{
	static const struct sock_options none;
	struct pollfd                    p = { .fd = -1, .events = POLLOUT };
	bool                             refused;

	if (group_overlaps(spec))
		return ": it overlaps with another address of weir";
	if (spec->addr.sa.sa_family != AF_UNIX)
		p.fd = sock_connect(&spec->addr, NULL, &none);
	refused = p.fd >= 0 && poll(&p, 1, WHO_TIMEOUT) > 0 && sock_error(p.fd) == ECONNREFUSED;
	fd_close(&p.fd);
	return refused ? ": nobody listens there, but a connection of another program has the "
			 "port (net.ipv4.ip_local_reserved_ports keeps ports free)"
		       : ": another program listens there";
}

static void
listening_complain(const struct digest_listen *wanted, const char *step, int error)
{
	const char *hint = "";

	if (error == EADDRINUSE)
		hint = listening_who_has(&wanted->spec);
	else if (error == EADDRNOTAVAIL)
		hint = ": no interface of this machine has the address";
	else if (error == EACCES && wanted->spec.addr.sa.sa_family != AF_UNIX)
		hint = ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
	else if (error == EEXIST)
		hint = ": the file is no socket";
	report_say(WEIR_ERROR, "%s: error: [server %s] listen %s: %s%s%s%s", wanted->place,
	    wanted->server, wanted->spec.name, strcmp(step, "bind") == 0 ? "" : step,
	    strcmp(step, "bind") == 0 ? "" : ": ", strerror(error), hint);
}
