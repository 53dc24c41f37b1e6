/* SPDX-License-Identifier: BSD-2-Clause */
/* generation: one loaded configuration and all that was opened for it. */
#include "proc/generation.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/child.h"
#include "proc/generations.h"
#include "proc/listening.h"
#include "proc/loading.h"
#include "proc/logs.h"
#include "proc/message.h"
#include "proc/opening.h"
#include "proc/options.h"
#include "proc/report.h"
#include "proc/succession.h"
#include "proc/template.h"
#include "proc/watchdog.h"
#include "upstream/board.h"

#define TEMPLATE_END_TIMEOUT  5000u	/* ms, from QUIT to KILL */
#define TEMPLATE_AGAIN        5000u	/* ms to wait before a short-lived one is made anew */
#define GENERATION_TRIAL     60000u	/* ms: what crashes later is not new */
#define RETIRING_GRACE       30000u	/* ms beyond worker_shutdown_timeout */

static int  generation_begin_loading(struct generation *);
static int  generation_open_snapshot(struct generation *);
static int  generation_begin_opening(struct generation *);
static int  generation_begin_sending(struct generation *);
static int  generation_begin_starting(struct generation *);
static int  generation_begin_running(struct generation *);
static void generation_hasten(uint64_t ms);
static int  generation_begin_retiring(struct generation *);
static int  generation_begin_dropping(struct generation *);
static int  generation_begin_ended(struct generation *);
static bool generation_is_loaded(const struct generation *);
static bool generation_always(const struct generation *);
static bool generation_is_sent(const struct generation *);
static bool generation_is_ready(const struct generation *);
static bool generation_never(const struct generation *);
static bool generation_has_ended(const struct generation *);

/* begin is called once on entering a step, done says when it is over. limit in
 * ms, 0: none; overdue is what is reported then. */
static const struct {
	const char          *name;
	int                (*begin)(struct generation *);
	bool               (*done)(const struct generation *);
	enum generation_step next;
	unsigned             limit;
	const char          *overdue;
} steps[GENERATION_STEPS] = {
	[GENERATION_LOADING] = { "loading", generation_begin_loading, generation_is_loaded,
	    GENERATION_OPENING, 0, NULL },	/* see generation_look */
	[GENERATION_OPENING] = { "opening", generation_begin_opening, generation_always,
	    GENERATION_SENDING, 0, NULL },
	[GENERATION_SENDING] = { "sending", generation_begin_sending, generation_is_sent,
	    GENERATION_STARTING, 10000,
	    "the template took no descriptors for 10 seconds" },
	[GENERATION_STARTING] = { "starting", generation_begin_starting, generation_is_ready,
	    GENERATION_RUNNING, 30000,
	    "not all workers were ready within 30 seconds" },
	[GENERATION_RUNNING] = { "running", generation_begin_running, generation_never,
	    GENERATION_RETIRING, 0, NULL },
	[GENERATION_RETIRING] = { "retiring", generation_begin_retiring, generation_has_ended,
	    GENERATION_ENDED, 0, NULL },
	[GENERATION_DROPPING] = { "dropping", generation_begin_dropping, generation_has_ended,
	    GENERATION_ENDED, 0, NULL },
	[GENERATION_ENDED] = { "ended", generation_begin_ended, generation_never,
	    GENERATION_ENDED, 0, NULL },
};

static void generation_advance(struct generation *);
static void generation_look_for_orphans(struct generation *);
static void generation_enter(struct generation *, enum generation_step);
static void generation_step_overdue(struct deadline *);
static void generation_look(struct deadline *);
static void generation_tell_changes(const struct generation *, const struct generation *previous);
static void generation_channel_ready(struct watch *, short what);
static void generation_channel_message(struct generation *, struct message *);
static void generation_channel_close(struct generation *);
static void generation_await_template(struct generation *);
static void generation_template_again(struct deadline *);
static void generation_template_kill(struct deadline *);
static void generation_kill_posts(struct generation *);
static void generation_crashes(struct generation *);
static void generation_keep_good(const struct generation *);

static const struct post_ops generation_post_ops = {
	.changed = generation_advance,
	.lost    = succession_lose,
	.failed  = generation_fail,
	.crashes = generation_crashes,
};

static struct loading loading;	/* what the template that loads does; it is one at a time */

static struct digest_settings       settled;	/* by the first: pid and control are its */
static bool                         is_settled;
static uint32_t                     last;	/* number that has run, here or elsewhere */
static const struct options        *options;
static const struct generation_ops *ops;

/* ------------------------------------------------------------------- steps */

void
generation_start(const struct options *given, const struct generation_ops *master_ops)
{
	options = given;
	ops = master_ops;
	posts_start(&generation_post_ops);
}

void
generation_build(const char *kept)
{
	struct generation *g = calloc(1, sizeof *g);
	int                index;

	report_begin();
	index = generations_index(report_is_forced());
	if (report_is_forced() && generations_are_full())
		succession_make_room();
	if (g == NULL || index < 0) {
		report_say(WEIR_ERROR, "error: %s", g == NULL ? strerror(ENOMEM) : "too many "
		    "generations are alive, with sessions that cannot move: when some of them have "
		    "ended there is room again; weir -s reload --force ends those of the oldest");
		if (index >= 0)
			board_generation_give((unsigned)index);
		free(g);
		ops->dropped();
		report_end(false);
		return;
	}
	g->number = board_number_take(last);
	g->index = (unsigned)index;
	g->channel = -1;
	g->forced = kept != NULL || report_is_forced();
	g->restored = kept != NULL && strcmp(kept, GENERATION_GOOD) == 0;
	snprintf(g->kept, sizeof g->kept, "%s", kept == NULL ? "" : kept);
	snprintf(g->name, sizeof g->name, "%u", g->number);
	list_append(&generations, &g->link);
	generation_enter(g, GENERATION_LOADING);
	generation_advance(g);
}

uint32_t
generation_last(void)
{
	return last;
}

void
generation_follow(uint32_t number)
{
	if ((int32_t)(number - last) > 0)
		last = number;
}

void
generation_fail(struct generation *g, const char *format, ...)
{
	char    text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	assert(g->step < GENERATION_RUNNING);
	report_say(WEIR_ERROR, "error: %s", text);
	generation_enter(g, GENERATION_DROPPING);
	generation_advance(g);
}

void
generation_make_way(struct generation *g)
{
	if (g->step == GENERATION_LOADING && loading.state != LOADING_GOES_ON)
		generation_fail(g, "a newer reload takes its place: it was still %s",
		    loading.doing[0] == '\0' ? "reading the configuration" : loading.doing);
}

void
generation_retire(struct generation *g)
{
	generation_enter(g, GENERATION_RETIRING);
	generation_advance(g);
}

const char *
generation_step_name(enum generation_step step)
{
	return steps[step].name;
}

/* Something has changed: moves it on as far as it goes. It may be freed by this. */
static void
generation_advance(struct generation *g)
{
	succession_look();
	generation_look_for_orphans(g);
	while (steps[g->step].done(g)) {
		enum generation_step next = steps[g->step].next;

		generation_enter(g, next);
		if (next == GENERATION_ENDED)
			return;
	}
}

/* It gets no workers any more; what is on its way to those that it had goes on. */
static void
generation_look_for_orphans(struct generation *g)
{
	for (unsigned i = 0; g->step == GENERATION_RETIRING && i < g->post_count; i++)
		if (g->posts[i].state == POST_VACANT)
			orphan_begin(&g->posts[i]);
}

static void
generation_enter(struct generation *g, enum generation_step step)
{
	deadline_clear(&g->overdue);
	g->step = step;
	if (steps[step].limit > 0)
		deadline_set(&g->overdue, steps[step].limit, generation_step_overdue);
	if (steps[step].begin(g) < 0)
		generation_enter(g, GENERATION_DROPPING);
}

static void
generation_step_overdue(struct deadline *d)
{
	struct generation *g = container_of(d, struct generation, overdue);

	generation_fail(g, "%s", steps[g->step].overdue);
}

static int
generation_begin_loading(struct generation *g)
{
	struct template_job job = { .options = options,
		.mode = TEMPLATE_SERVE,
		.generation = g->number,
		.index = g->index,
		.master = getpid(),
		.forced = g->forced };
	int                 ends[2];

	template_progress();
	if (message_pair(ends, false) < 0) {
		report_say(WEIR_ERROR, "error: channel to a template: %s", strerror(errno));
		return -1;
	}
	if (fdtable_add(&master_fds, FD_CHANNEL, g->name, 0, ends[0]) < 0) {
		report_say(WEIR_ERROR, "error: %s", strerror(errno));
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	if (generation_open_snapshot(g) < 0) {
		report_say(WEIR_ERROR, "error: memory for the configuration: %s", strerror(errno));
		fd_close(&ends[1]);
		return -1;
	}
	g->channel = ends[0];
	watch_start(&g->watch, g->channel, POLLIN, generation_channel_ready);
	g->template = fork();
	if (g->template == 0) {
		job.channel = ends[1];
		job.snapshot = fdtable_take(&master_fds, FD_SNAPSHOT, g->name, 0);
		job.kept = fdtable_take(&master_fds, FD_SNAPSHOT, g->kept, 0);
		wait_forget();
		fdtable_close_all(&master_fds);
		template_run(&job);
	}
	fd_close(&ends[1]);
	if (g->template < 0) {
		g->template = 0;
		report_say(WEIR_ERROR, "error: starting a template: %s", strerror(errno));
		return -1;
	}
	loading_begin(&loading, g->template);
	deadline_set(&g->look, LOADING_LOOK, generation_look);
	return 0;
}

/* A module that hangs while it checks would keep every later reload waiting. */
static void
generation_look(struct deadline *d)
{
	struct generation *g = container_of(d, struct generation, look), *running;
	char               text[704];

	if (g->step != GENERATION_LOADING)
		return;
	deadline_set(&g->look, LOADING_LOOK, generation_look);
	running = generation_running();
	if (!loading_look(&loading, running == NULL ? 0 : running->digest.settings.watchdog, text,
		sizeof text))
		return;
	if (loading.state == LOADING_HANGS)
		generation_fail(g, "%s: it is killed (worker_watchdog)", text);
	else
		report_say(WEIR_WARN, "warning: %s", text);
}

/* Filled by its template, kept for another one. */
static int
generation_open_snapshot(struct generation *g)
{
	int fd = memfd_create("weir-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fdtable_add(&master_fds, FD_SNAPSHOT, g->name, 0, fd) == 0)
		return fd < 0 ? -1 : 0;
	fd_close(&fd);
	return -1;
}

static int
generation_begin_opening(struct generation *g)
{
	if (!g->digest.good)
		return -1;		/* and has said why */
	if (!g->forced && listening_loses_all(g->digest.listens, g->digest.listen_count)) {
		report_say(WEIR_ERROR,
		    "error: none of the addresses that are listened on would be kept: "
		    "if that is meant, weir -s reload --force does it");
		return -1;
	}
	if (opening_make_dirs(g, options->state) < 0)
		return -1;
	if (!is_settled) {
		if (ops->settle(&g->digest.settings) < 0)
			return -1;
		settled = g->digest.settings;
		is_settled = true;
	}
	return opening_open(g);
}

static int
generation_begin_sending(struct generation *g)
{
	if (opening_send(g) == 0)
		return 0;
	report_say(WEIR_ERROR, "error: descriptors for the template: %s", strerror(errno));
	return -1;
}

static int
generation_begin_starting(struct generation *g)
{
	fdtable_forget(&g->offered);
	for (unsigned i = 0; i < g->process_count; i++) {
		fdtable_close(&master_fds, FD_INBOX, g->name, g->posts[i].slot);
		post_fill(&g->posts[i]);
	}
	return 0;
}

/* The swap. Nothing here can fail. */
static int
generation_begin_running(struct generation *g)
{
	struct generation *previous = NULL;
	struct node       *n, *following;

	list_each(n, following, &generations) {
		struct generation *other = container_of(n, struct generation, link);

		if (other != g && other->step == GENERATION_RUNNING)
			previous = other;
	}
	g->since = wait_now();
	generation_follow(g->number);
	logs_own(g);
	report_logging();
	if (g->reopen)
		logs_reopen(g, NULL);
	/* All are ready and about to accept: nobody needs to step in for them. */
	for (unsigned i = 0; i < g->sockets; i++)
		board_slot_set(i, g->number,
		    i < g->post_count ? BOARD_SLOT_ACCEPTING : BOARD_SLOT_ABSENT);
	/* Whoever has kept so far stands back, even if nobody does now. */
	board_slot_set(BOARD_KEEPER, g->number, BOARD_SLOT_ABSENT);
	for (unsigned i = 0; i < g->process_count; i++)
		post_go(&g->posts[i]);
	watchdog_start(g);
	if (previous != NULL)
		generation_enter(previous, GENERATION_RETIRING);
	generation_hasten(g->digest.settings.shutdown_timeout);
	listening_commit();
	generation_tell_changes(g, previous);
	report_say(WEIR_NOTICE, "generation %u runs", g->number);
	ops->swapped(g);
	succession_begin();
	if (previous != NULL)
		generation_advance(previous);
	return 0;
}

/* Those that retire have so many ms from now on, unless they have less. 0: for ever. */
static void
generation_hasten(uint64_t ms)
{
	struct node *n, *following;
	uint64_t     limit = ms + RETIRING_GRACE;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (ms > 0 && g->step == GENERATION_RETIRING &&
		    (!deadline_is_set(&g->overdue) || g->overdue.at > wait_now() + limit))
			deadline_set(&g->overdue, limit, generation_template_kill);
	}
}

void
generation_claim_slots(struct generation *g)
{
	const struct post *keeper = generation_post(g, POST_KEEPER);

	for (unsigned i = 0; i < g->sockets; i++)
		board_slot_claim(i, g->number,
		    i < g->post_count && g->posts[i].state == POST_SERVING ? BOARD_SLOT_ACCEPTING
									   : BOARD_SLOT_ABSENT);
	board_slot_claim(BOARD_KEEPER, g->number,
	    keeper != NULL && keeper->state == POST_SERVING ? BOARD_SLOT_ACCEPTING
							    : BOARD_SLOT_ABSENT);
	for (unsigned i = 0; i < g->post_count; i++)
		if (g->posts[i].state == POST_SERVING)
			post_tell(&g->posts[i], MESSAGE_CLAIM);
}

static int
generation_begin_retiring(struct generation *g)
{
	struct message quit = { .kind = MESSAGE_QUIT };

	deadline_clear(&g->again);
	generation_keep_good(g);
	for (unsigned i = 0; i < g->process_count; i++) {
		struct post *p = &g->posts[i];

		/* Nobody new shall send to it: its end is in sight. */
		fdtable_close(&master_fds, FD_HANDOVER, g->name, p->slot);
		deadline_clear(&p->deadline);
		if (p->state == POST_SERVING)
			post_tell(p, MESSAGE_RETIRE);
		else
			post_kill(p, SIGKILL);	/* has no session yet */
	}
	succession_tell(g);
	if (g->digest.settings.shutdown_timeout > 0)
		deadline_set(&g->overdue, g->digest.settings.shutdown_timeout + RETIRING_GRACE,
		    generation_template_kill);
	if (g->template != 0) {
		if (generation_tell(g, &quit) < 0)
			kill(g->template, SIGKILL);
		else
			deadline_set(&g->again, TEMPLATE_END_TIMEOUT, generation_template_again);
	}
	return 0;
}

static int
generation_begin_dropping(struct generation *g)
{
	listening_drop();
	if (g->template != 0)
		kill(g->template, SIGKILL);
	generation_kill_posts(g);
	return 0;
}

static int
generation_begin_ended(struct generation *g)
{
	bool was_built = g->since == 0;

	if (was_built)
		board_number_give(g->number);
	deadline_clear(&g->overdue);
	deadline_clear(&g->again);
	watchdog_stop(g);
	generation_channel_close(g);
	for (unsigned i = 0; i < g->process_count; i++)
		post_close(&g->posts[i]);
	for (unsigned i = 0; i < g->digest.log_count; i++)
		fdtable_close(&master_fds, FD_LOG, g->name, i);
	fdtable_close(&master_fds, FD_SNAPSHOT, g->name, 0);
	fdtable_forget(&g->offered);
	board_generation_give(g->index);
	if (!was_built)
		log_notice("generation %u has ended", g->number);
	digest_free(&g->digest);
	free(g->posts);
	node_unlink(&g->link);
	free(g);
	if (was_built) {
		generation_await_template(generation_running());
		ops->dropped();
		report_end(false);
	}
	return 0;
}

static bool
generation_is_loaded(const struct generation *g)
{
	return g->digest.whole;
}

static bool
generation_always(const struct generation *g)
{
	(void)g;
	return true;
}

static bool
generation_never(const struct generation *g)
{
	(void)g;
	return false;
}

static bool
generation_is_sent(const struct generation *g)
{
	return g->sent > g->offered.count;
}

static bool
generation_is_ready(const struct generation *g)
{
	for (unsigned i = 0; i < g->process_count; i++)
		if (g->posts[i].state != POST_READY)
			return false;
	return true;
}

static bool
generation_has_ended(const struct generation *g)
{
	if (g->template != 0)
		return false;
	for (unsigned i = 0; i < g->process_count; i++)
		if (g->posts[i].state != POST_VACANT ||
		    (g->step == GENERATION_RETIRING && i < g->post_count &&
			!g->posts[i].orphan.over))
			return false;
	return true;
}

static void
generation_tell_changes(const struct generation *g, const struct generation *previous)
{
	const struct digest_settings *now = &g->digest.settings, *before;

	before = previous == NULL ? NULL : &previous->digest.settings;
	if (now->lowered && (before == NULL || before->connections != now->connections))
		report_say(WEIR_NOTICE,
		    "worker_connections is %" PRIu64
		    " here: that is what the limit on open files carries",
		    now->connections);
	if (before == NULL)
		return;
	if (now->workers != before->workers)
		report_say(WEIR_NOTICE, "workers: %u -> %u", before->workers, now->workers);
	if (strcmp(now->pid, settled.pid) != 0)
		report_say(WEIR_WARN, "warning: pid = %s is used from the next start on", now->pid);
	if (strcmp(now->control, settled.control) != 0)
		report_say(WEIR_WARN,
		    "warning: control = %s is used from the next start on: until then commands "
		    "need -g 'control = %s'",
		    now->control, settled.control);
}

/* ----------------------------------------------------------------- channel */

static void
generation_channel_ready(struct watch *w, short what)
{
	struct generation *g = container_of(w, struct generation, watch);

	if ((what & POLLOUT) != 0 && g->step == GENERATION_SENDING && opening_send(g) < 0) {
		generation_fail(g, "descriptors for the template: %s", strerror(errno));
		return;
	}
	if ((what & (POLLIN | POLLHUP | POLLERR)) != 0)
		generation_drain(g);
	generation_advance(g);
}

void
generation_drain(struct generation *g)
{
	struct message m;
	int            got;

	while (g->channel >= 0) {
		got = message_receive(g->channel, &m);
		if (got == 1) {
			generation_channel_message(g, &m);
			continue;
		}
		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0 && errno == EPROTO) {
			log_alert("template (generation %u): a message that makes no sense",
			    g->number);
			continue;
		}
		generation_channel_close(g);
	}
}

static void
generation_channel_message(struct generation *g, struct message *m)
{
	message_discard(m);		/* there should be none */
	if (m->kind == MESSAGE_REPORT)
		report_say((enum weir_level)m->a, "%.*s", (int)m->size, (const char *)m->data);
	else if (m->kind == MESSAGE_PONG)
		g->answers.heard = wait_now();
	else if (m->kind == MESSAGE_CLONED && generation_post(g, m->a) != NULL)
		post_cloned(generation_post(g, m->a), (pid_t)m->b, (int)m->c);
	else if (g->step == GENERATION_LOADING && digest_take(&g->digest, m) < 0)
		generation_fail(g, "what the template says of the configuration: %s",
		    strerror(errno));
}

static void
generation_channel_close(struct generation *g)
{
	watch_stop(&g->watch);
	fdtable_close(&master_fds, FD_CHANNEL, g->name, 0);
	g->channel = -1;
}

/* ---------------------------------------------------------------- children */

void
generation_template_died(struct generation *g, int status)
{
	char        how[96];
	const char *doing = template_progress();

	generation_drain(g);
	generation_channel_close(g);
	g->template = 0;
	child_status_print(status, how, sizeof how);
	for (unsigned i = 0; i < g->process_count; i++)
		if (g->posts[i].state == POST_ASKED)
			post_cloned(&g->posts[i], 0, ESRCH);
	if (g->step < GENERATION_RUNNING && !(g->digest.whole && !g->digest.good)) {
		if (doing != NULL && *doing != '\0')
			generation_fail(g, "the process that loads the configuration %s while %s",
			    how, doing);
		else
			generation_fail(g, "the process that loads the configuration %s", how);
		return;
	}
	if (g->step == GENERATION_RUNNING) {
		log_error("template (generation %u) %s: it is made anew from the same text, as the "
			  "next generation",
		    g->number, how);
		deadline_set(&g->again, wait_now() - g->since < TEMPLATE_AGAIN ? TEMPLATE_AGAIN : 0,
		    generation_template_again);
	} else if (g->step == GENERATION_RETIRING && status != 0) {
		log_error("template (generation %u) %s", g->number, how);
	}
	generation_advance(g);
}

/* A worker of it, or its keeper, has died again and again, each time soon after its start.
 * One that has run for long is not to blame, and there must be another one to go back to. */
static void
generation_crashes(struct generation *g)
{
	if (g->step != GENERATION_RUNNING || g->broken || g->restored ||
	    wait_now() - g->since > GENERATION_TRIAL ||
	    !generation_has_good())
		return;
	log_alert("generation %u: its processes crash: going back to the configuration of before, "
		  "whatever is in the files now; a reload reads those again",
	    g->number);
	g->broken = g->remake = true;
}

bool
generation_has_good(void)
{
	return fdtable_find(&master_fds, FD_SNAPSHOT, GENERATION_GOOD, 0) >= 0;
}

/* The text of one whose workers lived, for when those of the next do not. */
static void
generation_keep_good(const struct generation *g)
{
	int snapshot = fdtable_find(&master_fds, FD_SNAPSHOT, g->name, 0), kept;

	if (g->broken)
		return;
	for (unsigned i = 0; i < g->post_count; i++)
		if (g->posts[i].crashes > 1)
			return;
	kept = fcntl(snapshot, F_DUPFD_CLOEXEC, 0);
	fdtable_close(&master_fds, FD_SNAPSHOT, GENERATION_GOOD, 0);
	if (kept < 0 || fdtable_add(&master_fds, FD_SNAPSHOT, GENERATION_GOOD, 0, kept) < 0) {
		log_error("the configuration of generation %u is not kept: %s", g->number,
		    strerror(errno));
		fd_close(&kept);
	}
}

/* It was to get another one, and did not: a configuration that was refused, or an
 * error that may pass. */
static void
generation_await_template(struct generation *g)
{
	if (g != NULL && g->template == 0 && !deadline_is_set(&g->again))
		deadline_set(&g->again, TEMPLATE_AGAIN, generation_template_again);
}

/* RUNNING: it has died. RETIRING: it has not, though it should. */
static void
generation_template_again(struct deadline *d)
{
	struct generation *g = container_of(d, struct generation, again);

	if (g->step == GENERATION_RUNNING)
		g->remake = true;
	else if (g->template != 0)
		kill(g->template, SIGKILL);
}

/* worker_shutdown_timeout has been over for long. */
static void
generation_template_kill(struct deadline *d)
{
	struct generation *g = container_of(d, struct generation, overdue);

	log_error("generation %u: its workers do not end: they are killed", g->number);
	generation_kill_posts(g);
}

static void
generation_kill_posts(struct generation *g)
{
	for (unsigned i = 0; i < g->process_count; i++) {
		deadline_clear(&g->posts[i].deadline);
		post_kill(&g->posts[i], SIGKILL);
	}
}
