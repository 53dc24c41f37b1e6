/* SPDX-License-Identifier: BSD-2-Clause */
/* opening: what a generation needs besides its configuration. */
#include "proc/opening.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/listening.h"
#include "proc/logs.h"
#include "proc/message.h"
#include "proc/report.h"
#include "proc/state_dir.h"
#include "proc/succession.h"

static int opening_make_dir(const char *place, const char *path, const char *state);
static int opening_not_now(void);
static int opening_open_posts(struct generation *);
static int opening_offer(struct generation *);
static int opening_offer_one(struct generation *, enum fd_kind, const char *name, unsigned slot);

int
opening_make_dirs(const struct generation *g, const char *state)
{
	const struct digest *d = &g->digest;
	int                  result = 0;

	if (opening_make_dir(d->settings.pid_place, d->settings.pid, state) < 0 ||
	    opening_make_dir(d->settings.control_place, d->settings.control, state) < 0)
		result = -1;
	for (unsigned i = 0; i < d->log_count; i++)
		if (d->logs[i].kind == LOG_FILE &&
		    opening_make_dir(d->log_places[i], d->logs[i].path, state) < 0)
			result = -1;
	for (unsigned i = 0; i < d->listen_count; i++) {
		const struct addr *a = &d->listens[i].spec.addr;

		if (a->sa.sa_family == AF_UNIX && !addr_is_abstract(a) &&
		    opening_make_dir(d->listens[i].place, a->un.sun_path, state) < 0)
			result = -1;
	}
	return result;
}

static int
opening_make_dir(const char *place, const char *path, const char *state)
{
	if (state_dir_make(state, path) == 0)
		return 0;
	report_say(WEIR_ERROR, "%s: error: making the directory of %s: %s", place, path,
	    strerror(errno));
	return -1;
}

/* All that is wrong is told in one go, so each part is tried. */
int
opening_open(struct generation *g)
{
	int result = 0;

	if (listening_plan(g->digest.listens, g->digest.listen_count,
		g->digest.settings.workers) < 0)
		result = -1;
	if (logs_open(g) < 0)
		result = -1;
	if (result == 0 && (opening_open_posts(g) < 0 || opening_offer(g) < 0))
		result = -1;
	return result;
}

/* As much as the channel takes; the rest when it is writable. */
int
opening_send(struct generation *g)
{
	static char    text[MESSAGE_DATA_MAX];
	int            fds[MESSAGE_FDS_MAX];
	struct message m = { .kind = MESSAGE_DESCRIPTORS, .data = text, .fds = fds };
	unsigned       next;

	g->watch.events = POLLIN | POLLOUT;
	while (g->sent < g->offered.count) {
		next = g->sent;
		m.size = fdtable_encode(&g->offered, &next, text, sizeof text, fds, MESSAGE_FDS_MAX,
		    &m.fd_count);
		if (generation_tell(g, &m) < 0)
			return opening_not_now();
		g->sent = next;
	}
	m = (struct message){ .kind = MESSAGE_EQUIPPED, .a = g->sockets };
	if (generation_tell(g, &m) < 0)
		return opening_not_now();
	g->sent++;
	g->watch.events = POLLIN;
	return 0;
}

/* EPIPE: its end is about to be noticed. ETOOMANYREFS: what it has not taken
 * yet counts against our limit. */
static int
opening_not_now(void)
{
	return errno == EAGAIN || errno == EPIPE || errno == ETOOMANYREFS ? 0 : -1;
}

static int
opening_open_posts(struct generation *g)
{
	unsigned n = g->digest.settings.workers, all = n + (g->digest.settings.keeper ? 1 : 0);

	g->posts = calloc(all, sizeof *g->posts);
	if (g->posts == NULL) {
		report_say(WEIR_ERROR, "error: %s", strerror(errno));
		return -1;
	}
	for (unsigned i = 0; i < all; i++) {
		g->process_count++;
		g->post_count += i < n;
		if (post_open(&g->posts[i], g, i < n ? i : POST_KEEPER) < 0) {
			bool full = errno == ENOSPC;

			report_say(WEIR_ERROR, "error: a place for %s: %s", g->posts[i].name,
			    full ? "too many are alive in older generations: when their sessions "
				   "have ended there is room again; weir -s reload --force ends "
				   "those of the oldest"
				 : strerror(errno));
			if (full && g->forced)
				succession_make_room();
			return -1;
		}
	}
	return 0;
}

static int
opening_offer_one(struct generation *g, enum fd_kind kind, const char *name, unsigned slot)
{
	int fd = fdtable_find(&master_fds, kind, name, slot);

	return fd < 0 ? 0 : fdtable_add(&g->offered, kind, name, slot, fd);
}

static int
opening_offer(struct generation *g)
{
	static const enum fd_kind channels[] = { FD_MAILBOX, FD_INBOX, FD_ARRIVALS };
	int                       sockets = listening_offer(&g->offered);

	if (sockets < 0 || opening_offer_one(g, FD_MASTER, "", 0) < 0)
		goto fail;
	for (unsigned i = 0; i < g->process_count; i++)
		for (unsigned k = 0; k < sizeof channels / sizeof *channels; k++)
			if (opening_offer_one(g, channels[k], g->name, g->posts[i].slot) < 0)
				goto fail;
	for (unsigned i = 0; i < g->digest.log_count; i++)
		if (opening_offer_one(g, FD_LOG, g->name, i) < 0)
			goto fail;
	g->sockets = (unsigned)sockets;
	return 0;
fail:
	report_say(WEIR_ERROR, "error: descriptors for workers: %s", strerror(errno));
	return -1;
}
