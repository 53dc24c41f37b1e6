/* SPDX-License-Identifier: BSD-2-Clause */
/* heirs: who goes on with the sessions of a generation that retires. */
#include "proc/heirs.h"

#include <string.h>

#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/message.h"
#include "proc/post.h"
#include "session/parcel.h"

/* Of the other master. */
static struct {
	uint32_t number;	/* 0: none */
	uint32_t index;
	uint32_t version;
	unsigned count;
	uint32_t seats[MESSAGE_FDS_MAX];
	int      fds[MESSAGE_FDS_MAX];	/* FD_HEIR */
} adopted = { .version = PARCEL_VERSION };

static bool heirs_name(const struct generation *, struct message *);

uint32_t
heirs_number(void)
{
	const struct generation *g = generation_running();

	if (g == NULL)
		return adopted.number;
	return g->digest.settings.handover ? g->number : 0;
}

bool
heirs_complete(const struct post *p, struct message *m)
{
	const struct generation *g = generation_running();

	if (g != NULL && p->generation == g)
		return g->digest.settings.rebalance && heirs_name(g, m);
	if (g != NULL)
		return g->digest.settings.handover && heirs_name(g, m);
	/* Without any this says so: those that were named before have gone. */
	*m = (struct message){ .kind = MESSAGE_HEIRS,
		.a = adopted.number,
		.b = adopted.index,
		.c = adopted.version,
		.data = adopted.seats,
		.size = adopted.count * sizeof *adopted.seats,
		.fds = adopted.fds,
		.fd_count = adopted.count };
	return true;
}

bool
heirs_offer(struct message *m)
{
	const struct generation *g = generation_running();

	return g != NULL && g->digest.settings.handover && heirs_name(g, m);
}

static bool
heirs_name(const struct generation *g, struct message *m)
{
	static int      fds[MESSAGE_FDS_MAX];
	static uint32_t seats[MESSAGE_FDS_MAX];
	unsigned        n = 0;

	for (; n < g->post_count && n < MESSAGE_FDS_MAX; n++) {
		fds[n] = fdtable_find(&master_fds, FD_HANDOVER, g->name, n);
		seats[n] = g->posts[n].seat;
	}
	*m = (struct message){ .kind = MESSAGE_HEIRS,
		.a = g->number,
		.b = g->index,
		.c = PARCEL_VERSION,
		.data = seats,
		.size = n * sizeof *seats,
		.fds = fds,
		.fd_count = n };
	return true;
}

void
heirs_adopt(struct message *m)
{
	heirs_disown();
	if (m->size != m->fd_count * sizeof *adopted.seats || m->fd_count == 0) {
		message_discard(m);
		return;
	}
	for (; adopted.count < m->fd_count; adopted.count++) {
		int fd = m->fds[adopted.count];

		if (fdtable_add(&master_fds, FD_HEIR, "", adopted.count, fd) < 0)
			break;
		adopted.fds[adopted.count] = fd;
	}
	memcpy(adopted.seats, m->data, adopted.count * sizeof *adopted.seats);
	for (unsigned i = adopted.count; i < m->fd_count; i++) {
		int fd = m->fds[i];

		fd_close(&fd);
	}
	adopted.index = m->b;
	adopted.version = m->c;
	adopted.number = adopted.count > 0 ? m->a : 0;
}

void
heirs_disown(void)
{
	fdtable_close_kind(&master_fds, FD_HEIR);
	adopted.number = adopted.index = 0;
	adopted.version = PARCEL_VERSION;
	adopted.count = 0;
}
