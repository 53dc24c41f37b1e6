/* SPDX-License-Identifier: BSD-2-Clause */
/* watchdog: finds workers that do not answer, and ends them. */
#include "proc/watchdog.h"

#include <signal.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/child.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/message.h"
#include "upstream/board.h"

static void watchdog_look(struct deadline *);
static void watchdog_look_at_template(struct generation *, uint64_t limit, bool late);
static void watchdog_look_at(struct post *, uint64_t now, uint64_t limit);
static void watchdog_report(struct post *, uint64_t silence);
static void watchdog_abort(struct post *, uint64_t now);
static void watchdog_kill(struct post *);

void
watchdog_start(struct generation *g)
{
	if (g->digest.settings.watchdog == 0)
		return;
	g->looked = wait_now();
	watchdog_reset(&g->answers, g->looked);
	for (unsigned i = 0; i < g->process_count; i++)
		watchdog_reset(&g->posts[i].watchdog, g->looked);
	deadline_set(&g->look, watchdog_interval(g->digest.settings.watchdog), watchdog_look);
}

void
watchdog_stop(struct generation *g)
{
	deadline_clear(&g->look);
}

uint64_t
watchdog_silence(const struct post *p)
{
	if (p->pid == 0 || p->watchdog.state == WATCHDOG_ANSWERING)
		return 0;
	return wait_now() - p->watchdog.heard;
}

/*
 * When the master comes late, all may have been stopped together, with the group of
 * processes or the machine: then the workers get their time again.
 */
static void
watchdog_look(struct deadline *d)
{
	struct generation *g = container_of(d, struct generation, look);
	uint64_t           limit = g->digest.settings.watchdog, now = wait_now();
	uint64_t           interval = watchdog_interval(limit);
	bool               late = now - g->looked > 2 * interval;

	g->looked = now;
	deadline_set(&g->look, interval, watchdog_look);
	for (unsigned i = 0; i < g->process_count; i++) {
		struct post *p = &g->posts[i];

		if (p->state != POST_READY && p->state != POST_SERVING)
			continue;
		if (late && p->watchdog.state < WATCHDOG_ABORTED)
			p->watchdog.heard = now;
		watchdog_look_at(p, now, limit);
	}
	watchdog_look_at_template(g, limit, late);
}

/* It only waits, so it answers at once; who asks for a worker would wait for ever. One
 * that is killed is made anew. */
static void
watchdog_look_at_template(struct generation *g, uint64_t limit, bool late)
{
	struct message   ping = { .kind = MESSAGE_PING };
	struct watchdog *w = &g->answers;
	uint64_t         silence;
	char             time[STR_UNIT_MAX];

	if (g->template == 0 || g->step != GENERATION_RUNNING || w->state == WATCHDOG_KILLED)
		return;
	if (late)
		w->heard = g->looked;
	silence = g->looked - w->heard;
	if (silence >= limit && w->state == WATCHDOG_ANSWERING) {
		w->state = WATCHDOG_SILENT;
		log_error("template (generation %u, process %d) has not answered for %s, and %s",
		    g->number, (int)g->template, str_print_time(silence / 1000 * 1000, time),
		    child_doing(g->template));
	} else if (silence >= limit + watchdog_interval(limit)) {
		w->state = WATCHDOG_KILLED;
		log_alert("template (generation %u, process %d) still does not answer "
			  "(worker_watchdog): it is killed",
		    g->number, (int)g->template);
		kill(g->template, SIGKILL);
		return;
	} else if (silence < limit && w->state == WATCHDOG_SILENT) {
		w->state = WATCHDOG_ANSWERING;
		log_notice("template (generation %u, process %d) answers again", g->number,
		    (int)g->template);
	}
	/* When its queue is full it has enough to answer. */
	if (generation_tell(g, &ping) < 0)
		log_debug("template (generation %u) is not asked", g->number);
}

/* Its word is as old as an interval while it answers: only what lies beyond that is
 * known to be silence, and nothing is killed for less. */
static void
watchdog_look_at(struct post *p, uint64_t now, uint64_t limit)
{
	struct watchdog *w = &p->watchdog;
	uint64_t         said = board_beat_read(p->seat).at, silence;

	/* A broken worker may have written anything there. */
	if (said > w->heard && said <= now)
		w->heard = said;
	silence = now - w->heard;
	switch (w->state) {
	case WATCHDOG_ANSWERING:
		if (silence >= limit)
			watchdog_report(p, silence);
		break;
	case WATCHDOG_SILENT:
		if (silence >= limit + watchdog_interval(limit)) {
			watchdog_abort(p, now);
		} else if (silence < limit) {
			w->state = WATCHDOG_ANSWERING;
			log_notice("%s (generation %u, process %d) answers again", p->name,
			    p->generation->number, (int)p->pid);
		}
		break;
	case WATCHDOG_ABORTED:
		if (now - w->aborted >= limit)
			watchdog_kill(p);
		break;
	case WATCHDOG_KILLED:
		break;
	}
}

static void
watchdog_report(struct post *p, uint64_t silence)
{
	char time[STR_UNIT_MAX];

	p->watchdog.state = WATCHDOG_SILENT;
	log_error("%s (generation %u, process %d) does not answer: for %s it has handled "
		  "no event, and %s",
	    p->name, p->generation->number, (int)p->pid,
	    str_print_time(silence / 1000 * 1000, time), child_doing(p->pid));
}

/* One that is stopped takes SIGABRT only when it goes on. */
static void
watchdog_abort(struct post *p, uint64_t now)
{
	p->watchdog.state = WATCHDOG_ABORTED;
	p->watchdog.aborted = now;
	log_alert("%s (generation %u, process %d) still does not answer (worker_watchdog): "
		  "it is ended by SIGABRT, so that a core file can tell why, and replaced",
	    p->name, p->generation->number, (int)p->pid);
	post_kill(p, SIGABRT);
	post_kill(p, SIGCONT);
	post_set_absent(p);
}

static void
watchdog_kill(struct post *p)
{
	p->watchdog.state = WATCHDOG_KILLED;
	log_alert("%s (generation %u, process %d) does not end by SIGABRT: it is killed",
	    p->name, p->generation->number, (int)p->pid);
	post_kill(p, SIGKILL);
}
