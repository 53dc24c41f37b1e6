/* SPDX-License-Identifier: BSD-2-Clause */
/* orphan: the channel of a post that nobody takes again. */
#include "proc/orphan.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/message.h"
#include "proc/post.h"

#define ORPHAN_LOOK 100u	/* ms between two looks */

static void               orphan_look_due(struct deadline *);
static void               orphan_look(struct post *, int arrivals);
static bool               orphan_is_guarded(const struct post *);
static struct generation *orphan_family(const struct post *);
static void               orphan_entrust(struct post *, struct generation *, int arrivals);
static int                orphan_bytes(int arrivals);
static bool               orphan_can_grow(int arrivals);

void
orphan_begin(struct post *p)
{
	if (!p->orphan.over && !deadline_is_set(&p->orphan.look))
		orphan_look(p,
		    fdtable_find(&master_fds, FD_ARRIVALS, p->generation->name, p->slot));
}

static void
orphan_look_due(struct deadline *d)
{
	struct post *p = container_of(d, struct post, orphan.look);

	orphan_begin(p);
	if (p->orphan.over)
		post_changed(p);
}

/* Its end makes no event that one could wait for: what has not been read yet keeps the
 * descriptor readable, for us as well as for its guardian. */
static void
orphan_look(struct post *p, int arrivals)
{
	struct generation *family = orphan_family(p);

	if (orphan_bytes(arrivals) == 0 && !orphan_can_grow(arrivals)) {
		p->orphan.over = true;
		return;
	}
	if (family == NULL) {
		if (orphan_bytes(arrivals) > 0)
			log_error("worker %u (generation %u) has died, and no other is left: what "
				  "was on its way to it is lost",
			    p->slot, p->generation->number);
		p->orphan.over = true;
		return;
	}
	if (!orphan_is_guarded(p))
		orphan_entrust(p, family, arrivals);
	deadline_set(&p->orphan.look, ORPHAN_LOOK, orphan_look_due);
}

static bool
orphan_is_guarded(const struct post *p)
{
	const struct post *guardian = generations_post(p->orphan.guardian);

	return guardian != NULL && guardian->state == POST_SERVING;
}

/*
 * Of which generation the guardian is: of the one that runs, or, when weir ends, of the
 * last that did. Never of an older one: its workers may be the ones that send here, and
 * would wait for an end that only they can make. NULL: nobody is left there.
 */
static struct generation *
orphan_family(const struct post *p)
{
	struct generation *g = generation_running();

	if (g != NULL)
		return g;
	g = container_of(generations.prev, struct generation, link);
	if (g->step != GENERATION_RETIRING)
		g = p->generation;
	for (unsigned i = 0; i < g->post_count; i++)
		if (g->posts[i].state == POST_SERVING)
			return g;
	return NULL;
}

/* A mailbox that is full, or a generation without workers right now: at the next look. */
static void
orphan_entrust(struct post *p, struct generation *family, int arrivals)
{
	const struct message m = { .kind = MESSAGE_ARRIVALS, .fds = &arrivals, .fd_count = 1 };

	for (unsigned i = 0; i < family->post_count; i++) {
		struct post *guardian = &family->posts[(p->slot + i) % family->post_count];
		int          mailbox;

		if (guardian->state != POST_SERVING)
			continue;
		mailbox = fdtable_find(&master_fds, FD_MAILBOX, family->name, guardian->slot);
		if (message_send(mailbox, &m) == 0) {
			p->orphan.guardian = guardian->pid;
			return;
		}
		log_debug("worker %u takes no channel of another: %s", guardian->slot,
		    strerror(errno));
	}
}

static int
orphan_bytes(int arrivals)
{
	int bytes = 0;

	return ioctl(arrivals, FIONREAD, &bytes) < 0 ? 0 : bytes;
}

static bool
orphan_can_grow(int arrivals)
{
	struct pollfd p = { .fd = arrivals };

	return poll(&p, 1, 0) == 0 || (p.revents & POLLHUP) == 0;
}
