/* SPDX-License-Identifier: BSD-2-Clause */
/* preread: the memory that clients hold who have said something and are not in yet. */
#include "session/preread.h"

#include "base/log.h"
#include "net/loop.h"
#include "session/session.h"

static void prereads_refuse_old(void);

static struct {
	struct node holders;	/* the oldest first */
	uint64_t    held;	/* bytes, by all of them */
	uint64_t    most;
	uint64_t    complained;	/* of loop_complain */
} all;

void
prereads_start(uint64_t most)
{
	list_init(&all.holders);
	all.held = 0;
	all.most = most;
}

void
preread_note(struct preread *p, struct weir_session *s, uint64_t held)
{
	if (held == 0) {
		preread_leave(p);
		return;
	}
	all.held += held - p->held;
	p->held = held;
	p->session = s;
	if (!node_linked(&p->link))
		list_append(&all.holders, &p->link);
	if (all.held > all.most)
		prereads_refuse_old();
}

void
preread_leave(struct preread *p)
{
	all.held -= p->held;
	p->held = 0;
	if (node_linked(&p->link))
		node_unlink(&p->link);
}

/* Closing one makes it leave. */
static void
prereads_refuse_old(void)
{
	struct node *n;

	if (loop_complain(&all.complained))
		log_warn("worker_preread = %llu bytes are held by clients that are not in yet: "
			 "the oldest are given up; raise it, or workers",
		    (unsigned long long)all.most);
	while (all.held > all.most && (n = list_first(&all.holders)) != NULL)
		session_close(container_of(n, struct preread, link)->session,
		    SESSION_HANDSHAKE_OVERLOAD);
}
