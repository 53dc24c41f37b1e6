/* SPDX-License-Identifier: BSD-2-Clause */
/* succession: sessions of retiring generations move to the one that runs. */
#include "proc/succession.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/handover.h"
#include "proc/message.h"
#include "proc/post.h"
#include "proc/report.h"
#include "proc/wait.h"

static struct {
	bool            awaited;
	uint32_t        number;	/* of the generation that they move to */
	uint64_t        since;	/* ms */
	uint64_t        moved;
	uint64_t        busy;
	uint64_t        stay;
	struct deadline overdue;
} succession;

static unsigned succession_missing(void);
static bool     succession_awaits(const struct post *);
static void     succession_overdue(struct deadline *);
static void     succession_say(unsigned missing);

void
succession_tell(struct generation *g)
{
	const struct generation *running = generation_running();

	if (running == NULL || !running->digest.settings.handover)
		return;
	for (unsigned i = 0; i < g->post_count; i++) {
		struct post *p = &g->posts[i];

		if (p->state != POST_SERVING || p->heirs == running->number)
			continue;
		p->heirs = running->number;
		p->settled = false;
		post_tell(p, MESSAGE_HEIRS);
	}
}

void
succession_begin(const struct generation *running)
{
	struct node *n, *following;

	succession.awaited = true;
	succession.number = running->number;
	succession.since = wait_now();
	succession.moved = succession.busy = succession.stay = 0;
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RETIRING)
			succession_tell(g);
	}
	/* And to even out: one another. */
	for (unsigned i = 0; i < running->post_count; i++)
		if (running->posts[i].state == POST_SERVING)
			post_tell(&running->posts[i], MESSAGE_HEIRS);
	deadline_set(&succession.overdue, SUCCESSION_LIMIT, succession_overdue);
	succession_look();
}

void
succession_report(struct post *p, const struct message *m)
{
	struct handover_report r;

	if (m->size != sizeof r)
		return;
	memcpy(&r, m->data, sizeof r);
	if (succession.awaited && p->heirs == r.generation && succession_awaits(p)) {
		succession.moved += r.moved;
		succession.busy += r.busy;
		succession.stay += r.stay;
	} else {
		log_info("worker %u (generation %u): %u sessions have moved to generation %u, %u "
			 "stay",
		    p->slot, p->generation->number, r.moved, r.generation, r.stay);
	}
	p->settled |= p->heirs == r.generation;
	succession_look();
}

void
succession_look(void)
{
	if (succession.awaited && succession_missing() == 0)
		succession_end();
}

bool
succession_is_awaited(void)
{
	return succession.awaited;
}

void
succession_end(void)
{
	if (!succession.awaited)
		return;
	succession.awaited = false;
	deadline_clear(&succession.overdue);
	succession_say(succession_missing());
	report_end(true);
}

static unsigned
succession_missing(void)
{
	struct node *n, *following;
	unsigned     missing = 0;

	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; g->step == GENERATION_RETIRING && i < g->post_count; i++)
			missing += succession_awaits(&g->posts[i]);
	}
	return missing;
}

static bool
succession_awaits(const struct post *p)
{
	return p->state == POST_SERVING && p->heirs == succession.number && !p->settled;
}

static void
succession_overdue(struct deadline *d)
{
	(void)d;
	succession_end();
}

/* "sessions: 5000 moved in 212 ms, 3 stay in old workers …" */
static void
succession_say(unsigned missing)
{
	char busy[96] = "", stay[128] = "", still[96] = "";

	if (succession.moved + succession.busy + succession.stay + missing == 0)
		return;
	if (succession.busy > 0)
		snprintf(busy, sizeof busy, ", %" PRIu64 " follow when they are at rest",
		    succession.busy);
	if (succession.stay > 0)
		snprintf(stay, sizeof stay,
		    ", %" PRIu64 " stay in old workers until they end (the log says why)",
		    succession.stay);
	if (missing > 0)
		snprintf(still, sizeof still, ", %u old worker%s still moving", missing,
		    missing == 1 ? " is" : "s are");
	report_say(WEIR_NOTICE, "sessions: %" PRIu64 " moved in %" PRIu64 " ms%s%s%s",
	    succession.moved, wait_now() - succession.since, busy, stay, still);
}
