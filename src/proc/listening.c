/* SPDX-License-Identifier: BSD-2-Clause */
/* listening: the master's listening sockets, kept over generations. */
#include "proc/listening.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/list.h"
#include "net/sock.h"
#include "proc/fileid.h"
#include "proc/inherit.h"
#include "proc/report.h"
#include "proc/wait.h"

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
	bool               lent;	/* another master has the sockets, too … */
	unsigned           taken;	/* … so many of which we have from it */
	bool               unread;	/* opened by it: how, is not known here */

	/* the plan */
	const struct digest_listen *wanted;	/* NULL: not by this generation */
	bool               fresh;	/* opened by it */
	int                unreachable;	/* the socket whose file is gone, remade by it; -1 */
	unsigned           before;	/* how many sockets there were */
	unsigned           keep;	/* how many the new generation gets */
};

static struct node groups = { &groups, &groups };
static struct node lent = { &lent, &lent };	/* not used here; their files are the other's */
static unsigned    plan_workers;

static struct group *group_find(const char *name);
static struct group *group_take_over(const struct fd_entry *);
static int  group_read(struct group *, const struct listen_spec *);
static int  group_keep(struct group *, const struct digest_listen *);
static int  group_remake(struct group *, const struct digest_listen *);
static void group_unmake(struct group *);
static int  group_create(const struct digest_listen *);
static int  group_grow(struct group *, const struct digest_listen *);
static int  group_open_socket(struct group *, const struct digest_listen *, unsigned slot);
static void group_apply(struct group *);
static int  group_limit(struct group *, unsigned n);
static bool group_is_same(const struct group *, const struct listen_spec *);
static bool group_overlaps(const struct listen_spec *);
static bool group_has_file(const struct group *);
static bool group_file_is_ours(const struct group *);
static void group_note_file(struct group *);
static void group_set_file(struct group *);
static void group_remove_file(const struct group *);
static void group_shrink(struct group *, unsigned count);
static void listening_close_unused(void);
static void group_destroy(struct group *);
static const char *listening_who_has(const struct listen_spec *);
static bool listening_find_holder(const struct listen_spec *, const char *table, struct addr *);
static bool listening_read_address(const char *ip, unsigned port, struct addr *);
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

int
listening_bequeath(struct fdtable *table)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		for (unsigned i = 0; i < g->count; i++)
			if (fdtable_add(table, g->inherited ? FD_INHERITED : FD_LISTEN,
				g->spec.name, g->inherited ? 0 : group_slot(g, i),
				fdtable_find(&master_fds, FD_LISTEN, g->spec.name,
				    group_slot(g, i))) < 0)
				return -1;
		g->lent = true;
	}
	return 0;
}

/* Entries of one name follow one another, in the order of their slots. */
int
listening_take_over(void)
{
	struct group *g = NULL;

	for (unsigned i = 0; i < master_fds.count; i++) {
		const struct fd_entry *e = master_fds.entries[i];

		if (e->kind != FD_LISTEN)
			continue;
		if (g == NULL || strcmp(g->spec.name, e->name) != 0)
			g = group_take_over(e);
		if (g == NULL)
			return -1;
		g->count++;
		g->active++;
		g->taken++;
	}
	return 0;
}

static struct group *
group_take_over(const struct fd_entry *e)
{
	struct group *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	strcpy(g->spec.name, e->name);
	g->spec.addr.len = sizeof g->spec.addr.un;
	if (getsockname(e->fd, &g->spec.addr.sa, &g->spec.addr.len) < 0) {
		free(g);
		return NULL;
	}
	g->shared = e->slot == FD_SHARED;
	g->lent = g->unread = true;
	g->unreachable = -1;
	group_note_file(g);
	list_append(&groups, &g->link);
	return g;
}

void
listening_alone(void)
{
	struct node *n, *following;

	list_each(n, following, &groups)
		container_of(n, struct group, link)->lent = false;
	while ((n = list_first(&lent)) != NULL) {
		struct group *g = container_of(n, struct group, link);

		g->lent = false;
		group_destroy(g);
	}
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
		if (g->unreachable >= 0)
			report_say(WEIR_NOTICE, "listener opened again: %s: its file was gone",
			    g->spec.name);
		fd_close(&g->unreachable);
		group_apply(g);
		g->spec = g->wanted->spec;
		g->fresh = g->unread = false;
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
		else if (g->unreachable >= 0)
			group_unmake(g);
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

void
listening_forget(void)
{
	struct node *n;

	while ((n = list_first(&lent)) != NULL) {
		node_unlink(n);
		free(container_of(n, struct group, link));
	}
}

void
listening_retreat(void)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (g->taken > 0 && g->taken < g->count && group_limit(g, g->taken) < 0)
			log_error("listener %s: sharing among %u sockets: %s", g->spec.name,
			    g->taken, strerror(errno));
	}
}

void
listening_share(void)
{
	struct node *n, *following;

	list_each(n, following, &groups) {
		struct group *g = container_of(n, struct group, link);

		if (!g->shared && g->count > 1 && group_limit(g, g->active) < 0)
			log_error("listener %s: sharing among %u sockets: %s", g->spec.name,
			    g->active, strerror(errno));
	}
}

char *
listening_explain(const struct listen_spec *spec, const char *server, const char *step, int error,
    char *out, size_t size)
{
	bool        local = spec->addr.sa.sa_family == AF_UNIX;
	const char *hint = "";

	if (error == EADDRINUSE)
		hint = listening_who_has(spec);
	else if (error == EADDRNOTAVAIL)
		hint = ": no interface of this machine has the address";
	else if (error == EACCES && !local)
		hint = ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
	else if (error == EPERM && strcmp(step, "chown") == 0)
		hint = ": owner= needs root, or names this user and a group of his";
	else if (error == EPERM && strcmp(step, "IP_TRANSPARENT") == 0)
		hint = ": transparent needs root or CAP_NET_ADMIN";
	else if (error == EPERM && strcmp(step, "SO_BINDTODEVICE") == 0)
		hint = ": device= needs root or CAP_NET_RAW";
	else if (error == ENODEV)
		hint = ": there is no such interface";
	else if (error == EEXIST)
		hint = ": the file is no socket";
	snprintf(out, size, "[server %s] listen %s: %s%s%s%s", server, spec->name,
	    strcmp(step, "bind") == 0 ? "" : step, strcmp(step, "bind") == 0 ? "" : ": ",
	    strerror(error), hint);
	return out;
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

	if (g->unread && group_read(g, &wanted->spec) < 0) {
		listening_complain(wanted, "getsockopt", errno);
		return -1;
	}
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
	if (sock_try(&wanted->spec, g->unread ? NULL : &g->spec, &step) < 0) {
		listening_complain(wanted, step, errno);
		return -1;
	}
	if (group_has_file(g) && group_remake(g, wanted) < 0)
		return -1;
	return g->shared ? 0 : group_grow(g, wanted);
}

/* How another master has opened it, as far as that cannot be changed. */
static int
group_read(struct group *g, const struct listen_spec *wanted)
{
	struct listen_spec as = *wanted;
	unsigned           slot = group_slot(g, 0);

	as.addr = g->spec.addr;
	as.reuseport = !g->shared;
	g->spec = as;
	return sock_read_listener(fdtable_find(&master_fds, FD_LISTEN, as.name, slot), &g->spec);
}

/* A socket whose file was removed takes nobody any more: another one is made, in
 * its place. A file that somebody else has put there is left to him, and told. */
static int
group_remake(struct group *g, const struct digest_listen *wanted)
{
	struct stat st;
	int         fd;

	if (lstat(g->spec.addr.un.sun_path, &st) == 0 && !group_file_is_ours(g))
		report_say(WEIR_WARN,
		    "%s: warning: listen = %s: another program has put its own file there, so "
		    "nobody who connects to it reaches weir: stop that program, remove the file, "
		    "and reload",
		    wanted->place, wanted->spec.name);
	if (lstat(g->spec.addr.un.sun_path, &st) == 0 || errno != ENOENT)
		return 0;
	fd = fdtable_take(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED);
	g->count = 0;
	if (group_open_socket(g, wanted, FD_SHARED) == 0) {
		g->unreachable = fd;
		group_note_file(g);
		return 0;
	}
	if (fdtable_add(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED, fd) < 0)
		fd_close(&fd);
	else
		g->count = 1;
	return -1;
}

/* The plan is dropped: as before, though nobody gets at it. */
static void
group_unmake(struct group *g)
{
	group_remove_file(g);
	fdtable_close(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED);
	g->count = 0;
	g->file = (struct file_id){ 0 };
	if (fdtable_add(&master_fds, FD_LISTEN, g->spec.name, FD_SHARED, g->unreachable) < 0)
		fd_close(&g->unreachable);
	else
		g->count = 1;
	g->unreachable = -1;
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
	g->unreachable = -1;
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
	if (!group_overlaps(&g->spec) && sock_probe(&g->spec, &step) < 0) {
		listening_complain(wanted, step, errno);
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
	const struct listen_spec *was = g->fresh || g->unread ? NULL : &g->spec;
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

/* An abstract one has none, and an inherited one's is not ours. */
static bool
group_has_file(const struct group *g)
{
	return g->spec.addr.sa.sa_family == AF_UNIX && !addr_is_abstract(&g->spec.addr) &&
	    !g->inherited;
}

static void
group_note_file(struct group *g)
{
	if (group_has_file(g))
		file_id_note(&g->file, g->spec.addr.un.sun_path);
}

static bool
group_file_is_ours(const struct group *g)
{
	return group_has_file(g) &&
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
	group_shrink(g, 0);
	node_unlink(&g->link);
	if (g->lent && group_has_file(g)) {
		list_append(&lent, &g->link);
		return;
	}
	group_remove_file(g);
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

/* Why the address is in use: somebody may listen on a wildcard that covers it, or
 * on an address that it covers. A port that the kernel has chosen for somebody's
 * connection cannot be listened on either. */
static const char *
listening_who_has(const struct listen_spec *spec)
{
	static char phrase[ADDR_TEXT_MAX + 48];
	struct addr holder;
	char        name[ADDR_TEXT_MAX];

	if (group_overlaps(spec))
		return ": it overlaps with another address of weir";
	if (spec->addr.sa.sa_family == AF_UNIX)
		return ": another program listens there";
	if (!listening_find_holder(spec, "/proc/net/tcp", &holder) &&
	    !listening_find_holder(spec, "/proc/net/tcp6", &holder))
		return ": nobody listens there, but a connection of another program has the "
		       "port (net.ipv4.ip_local_reserved_ports keeps ports free)";
	snprintf(phrase, sizeof phrase, ": another program listens on %s",
	    addr_print(&holder, name));
	return phrase;
}

/* Listeners come first in the tables of proc(5). */
static bool
listening_find_holder(const struct listen_spec *spec, const char *table, struct addr *holder)
{
	char     line[512], ip[33];
	unsigned port, state;
	bool     found = false;
	FILE    *file = fopen(table, "re");

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "%*d: %32[0-9A-F]:%X %*s %X", ip, &port, &state) != 3)
			continue;
		if (state != TCP_LISTEN)
			break;
		found = listening_read_address(ip, port, holder) &&
		    addr_overlap(&spec->addr, holder);
	}
	fclose(file);
	return found;
}

/* Words of 32 bits in the byte order of this machine. */
static bool
listening_read_address(const char *ip, unsigned port, struct addr *a)
{
	uint32_t words[4] = { 0 };
	unsigned n = 0;

	for (; n < 4 && sscanf(ip + n * 8, "%8" SCNx32, &words[n]) == 1; n++)
		if (ip[n * 8 + 8] == '\0')
			break;
	*a = (struct addr){ .len = sizeof a->in };
	if (strlen(ip) == 8) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)port);
		memcpy(&a->in.sin_addr, words, sizeof a->in.sin_addr);
		return true;
	}
	a->len = sizeof a->in6;
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons((uint16_t)port);
	memcpy(&a->in6.sin6_addr, words, sizeof a->in6.sin6_addr);
	return strlen(ip) == 32;
}

static void
listening_complain(const struct digest_listen *wanted, const char *step, int error)
{
	char text[512];

	report_say(WEIR_ERROR, "%s: error: %s", wanted->place,
	    listening_explain(&wanted->spec, wanted->server, step, error, text, sizeof text));
}
