/* SPDX-License-Identifier: BSD-2-Clause */
/* succession: sessions of retiring generations move to the one that runs. */
#include "proc/succession.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/child.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/handover.h"
#include "proc/heirs.h"
#include "proc/message.h"
#include "proc/post.h"
#include "proc/report.h"
#include "proc/text.h"
#include "proc/wait.h"
#include "proc/watchdog.h"

static struct {
	bool            awaited;
	uint32_t        number;	/* of the generation that they move to */
	uint64_t        since;	/* ms */
	uint64_t        moved;
	uint64_t        busy;
	uint64_t        stay;
	uint64_t        wait;
	uint64_t        lost;
	struct deadline overdue;
} succession;

static void     succession_tell_one(struct post *, uint32_t number);
static void     succession_hasten(struct generation *, const struct generation *running);
static unsigned succession_missing(void);
static unsigned succession_silent(void);
static unsigned succession_count(bool (*counts)(const struct post *));
static bool     succession_awaits(const struct post *);
static bool     succession_is_silent(const struct post *);
static bool     succession_is_held(const struct post *);
static void     succession_overdue(struct deadline *);
static void     succession_say(unsigned missing);
static void     succession_add(struct text *, uint64_t, const char *one, const char *many);

void
succession_tell(struct generation *g)
{
	uint32_t number = heirs_number();

	if (number == 0)
		return;
	for (unsigned i = 0; i < g->post_count; i++)
		succession_tell_one(&g->posts[i], number);
}

static void
succession_tell_one(struct post *p, uint32_t number)
{
	if (p->state != POST_SERVING || p->silent || p->heirs == number)
		return;
	p->heirs = number;
	p->settled = false;
	post_tell(p, MESSAGE_HEIRS);
}

/* A shorter worker_shutdown_timeout than theirs holds for them, too: they look at that. */
static void
succession_hasten(struct generation *g, const struct generation *running)
{
	if (running == NULL || running->digest.settings.shutdown_timeout == 0)
		return;
	for (unsigned i = 0; i < g->post_count; i++)
		if (g->posts[i].state == POST_SERVING)
			post_tell(&g->posts[i], MESSAGE_HASTEN);
}

void
succession_revoke(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; g->step == GENERATION_RETIRING && i < g->post_count; i++) {
			struct post *p = &g->posts[i];

			if (p->state != POST_SERVING || p->heirs == 0)
				continue;
			p->heirs = 0;
			post_tell(p, MESSAGE_HEIRS);
		}
	}
	succession_look();
}

void
succession_tell_all(void)
{
	const struct generation *running = generation_running();
	struct node             *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step != GENERATION_RETIRING)
			continue;
		succession_tell(g);
		succession_hasten(g, running);
	}
}

void
succession_begin(void)
{
	const struct generation *running = generation_running();

	succession.awaited = true;
	succession.number = heirs_number();
	succession.since = wait_now();
	succession.moved = succession.busy = succession.stay = 0;
	succession.wait = succession.lost = 0;
	succession_tell_all();
	/* And to even out: one another. */
	for (unsigned i = 0; running != NULL && i < running->post_count; i++)
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
		succession.wait += r.wait;
	} else {
		log_info("worker %u (generation %u): %u sessions have moved to generation %u, %u "
			 "stay",
		    p->slot, p->generation->number, r.moved, r.generation, r.stay);
	}
	p->settled |= p->heirs == r.generation;
	if (p->silent) {
		p->silent = false;
		log_notice("worker %u (generation %u, process %d) answers again", p->slot,
		    p->generation->number, (int)p->pid);
		if (p->generation->step == GENERATION_RETIRING && heirs_number() != 0)
			succession_tell_one(p, heirs_number());
	}
	succession_look();
}

void
succession_make_room(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step != GENERATION_RETIRING)
			continue;
		report_say(WEIR_NOTICE, "generation %u is ended, with the sessions that it has",
		    g->number);
		for (unsigned i = 0; i < g->post_count; i++) {
			if (g->posts[i].stopping)
				post_kill(&g->posts[i], SIGKILL);
			else if (g->posts[i].state == POST_SERVING)
				post_tell(&g->posts[i], MESSAGE_STOP);
			g->posts[i].stopping = true;
		}
		return;
	}
}

void
succession_lose(uint64_t sessions)
{
	succession.lost += sessions;
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
	return succession_count(succession_awaits);
}

static unsigned
succession_silent(void)
{
	return succession_count(succession_is_silent);
}

/* Of the posts of generations that retire. */
static unsigned
succession_count(bool (*counts)(const struct post *))
{
	struct node *n, *following;
	unsigned     found = 0;

	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; g->step == GENERATION_RETIRING && i < g->post_count; i++)
			found += counts(&g->posts[i]);
	}
	return found;
}

static bool
succession_awaits(const struct post *p)
{
	return p->state == POST_SERVING && p->heirs != 0 && p->heirs == succession.number &&
	    !p->settled && !p->silent;
}

static bool
succession_is_silent(const struct post *p)
{
	return p->state == POST_SERVING && p->silent;
}

/* Something keeps it from going on; on a busy machine others are only slow. */
static bool
succession_is_held(const struct post *p)
{
	char state = child_state(p->pid);

	return state == 'T' || state == 't' || state == 'D' || watchdog_silence(p) > 0;
}

static void
succession_overdue(struct deadline *d)
{
	struct node *n, *following;
	char         limit[STR_UNIT_MAX];

	(void)d;
	str_print_time(SUCCESSION_LIMIT, limit);
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; g->step == GENERATION_RETIRING && i < g->post_count; i++) {
			struct post *p = &g->posts[i];

			if (!succession_awaits(p))
				continue;
			p->silent = succession_is_held(p);
			report_say(WEIR_WARN,
			    "warning: worker %u (generation %u, process %d) has not handed over "
			    "all its sessions within %s, and %s",
			    p->slot, g->number, (int)p->pid, limit,
			    p->silent ? child_doing(p->pid) : "goes on with that");
		}
	}
	succession_end();
}

/* ", 3 stay in old workers" */
static void
succession_add(struct text *t, uint64_t count, const char *one, const char *many)
{
	if (count > 0)
		text_add(t, ", %" PRIu64 " %s", count, count == 1 ? one : many);
}

/* "sessions: 5000 moved in 212 ms, 3 stay in old workers …" */
static void
succession_say(unsigned missing)
{
	uint64_t    silent = succession_silent(), sum = succession.moved + succession.busy;
	struct text t = { 0 };

	sum += succession.stay + succession.wait + succession.lost + missing + silent;
	if (sum == 0)
		return;
	succession_add(&t, succession.busy, "follows when it is at rest",
	    "follow when they are at rest");
	succession_add(&t, succession.stay,
	    "stays in its old worker until it ends (the log says why)",
	    "stay in old workers until they end (the log says why)");
	succession_add(&t, succession.wait,
	    "waits in its old worker: no new one has descriptors for it (worker_rlimit_nofile)",
	    "wait in old workers: no new one has descriptors for them (worker_rlimit_nofile)");
	succession_add(&t, succession.lost, "was lost with a worker that died",
	    "were lost with workers that died");
	succession_add(&t, missing, "old worker is still moving", "old workers are still moving");
	succession_add(&t, silent, "old worker does not answer", "old workers do not answer");
	report_say(WEIR_NOTICE, "sessions: %" PRIu64 " moved in %" PRIu64 " ms%s", succession.moved,
	    wait_now() - succession.since, t.data != NULL ? t.data : "");
	text_free(&t);
}
