/* SPDX-License-Identifier: BSD-2-Clause */
/* post: one worker's place in a generation, whoever holds it. */
#include "proc/post.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "net/tls.h"
#include "proc/child.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/heirs.h"
#include "proc/report.h"
#include "proc/tickets.h"
#include "upstream/board.h"
#include "upstream/token.h"

#define POST_START_SLOW     5000u	/* ms, until a worker that is not ready is told of … */
#define POST_START_TIMEOUT 29000u	/* … and given up; before GENERATION_STARTING ends */
#define POST_NO_TEMPLATE    5000u	/* ms, until it is tried again */
#define POST_CHANNEL_FULL     10u
#define POST_MAILBOX_FULL     50u
#define BACKOFF_FIRST        100u
#define BACKOFF_MOST        5000u

static int  post_open_channel(const struct post *, enum fd_kind here, enum fd_kind there);
static void post_fill_due(struct deadline *);
static void post_start_slow(struct deadline *);
static void post_start_overdue(struct deadline *);
static void post_retry_due(struct deadline *);
static void post_deliver(struct post *);
static bool post_complete(const struct post *, struct message *);
static bool post_set_limit(struct message *);
static bool post_deliver_one(struct post *, const struct message *);
static bool post_is_crash(int status);
static void post_note_death(struct post *, pid_t, int status, uint64_t lost);

static const struct post_ops *ops;

void
posts_start(const struct post_ops *generation_ops)
{
	ops = generation_ops;
}

int
post_open(struct post *p, struct generation *g, unsigned slot)
{
	int seat;

	*p = (struct post){ .generation = g, .slot = slot };
	if (post_is_keeper(p))
		strcpy(p->name, "keeper");
	else
		snprintf(p->name, sizeof p->name, "worker %u", slot);
	seat = board_seat_take();
	if (seat < 0)
		return -1;
	p->seat = (unsigned)seat;
	if (post_open_channel(p, FD_MAILBOX, FD_INBOX) < 0)
		return -1;
	return post_is_keeper(p) ? 0 : post_open_channel(p, FD_HANDOVER, FD_ARRIVALS);
}

static int
post_open_channel(const struct post *p, enum fd_kind here, enum fd_kind there)
{
	const char *name = p->generation->name;
	int         ends[2];

	if (message_pair(ends, false) < 0)
		return -1;
	if (fdtable_add(&master_fds, here, name, p->slot, ends[0]) < 0) {
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	if (fdtable_add(&master_fds, there, name, p->slot, ends[1]) < 0) {
		fd_close(&ends[1]);
		return -1;
	}
	return 0;
}

void
post_close(struct post *p)
{
	static const enum fd_kind channels[] = { FD_MAILBOX, FD_INBOX, FD_HANDOVER, FD_ARRIVALS };

	deadline_clear(&p->deadline);
	deadline_clear(&p->retry);
	deadline_clear(&p->orphan.look);
	for (unsigned i = 0; i < sizeof channels / sizeof *channels; i++)
		fdtable_close(&master_fds, channels[i], p->generation->name, p->slot);
	if (p->seat != 0)
		board_seat_give(p->seat);
	p->seat = 0;
}

void
post_fill(struct post *p)
{
	struct message m = { .kind = MESSAGE_CLONE, .a = p->slot, .b = p->seat };

	generations_forget_strays();
	if (generation_tell(p->generation, &m) == 0) {
		p->state = POST_ASKED;
		deadline_set(&p->deadline, POST_START_SLOW, post_start_slow);
	} else if (errno == EAGAIN) {
		deadline_set(&p->deadline, POST_CHANNEL_FULL, post_fill_due);
	} else if (p->generation->step == GENERATION_RUNNING) {
		/* Without its template, only a new generation brings a worker. */
		deadline_set(&p->deadline, POST_NO_TEMPLATE, post_fill_due);
		if (generation_building() == NULL)
			p->generation->remake = true;
	}
}

void
post_cloned(struct post *p, pid_t pid, int error)
{
	int status;

	if (p->state != POST_ASKED) {
		if (pid > 0)
			kill(pid, SIGKILL);	/* nobody has asked for it */
		return;
	}
	if (pid == 0) {
		p->state = POST_VACANT;
		deadline_clear(&p->deadline);
		if (p->generation->step == GENERATION_STARTING)
			ops->failed(p->generation, "%s cannot be started: %s", p->name,
			    strerror(error));
		else if (p->generation->step == GENERATION_RUNNING) {
			log_error("%s cannot be started: %s", p->name, strerror(error));
			deadline_set(&p->deadline, post_backoff(++p->failures), post_fill_due);
		}
		return;
	}
	p->pid = pid;
	p->state = POST_STARTING;
	p->since = wait_now();
	if (generations_take_stray(pid, &status)) {
		post_died(p, status);
		return;
	}
	/* Nobody waits for it any more. */
	if (p->generation->step > GENERATION_RUNNING) {
		post_kill(p, SIGKILL);
		return;
	}
	post_tell(p, MESSAGE_START);
	tickets_wanted(p->generation->digest.settings.ticket_lifetime);
	post_tell_tickets(p);
}

void
post_ready(struct post *p)
{
	if (p->state != POST_STARTING)
		return;
	p->state = POST_READY;
	watchdog_reset(&p->watchdog, wait_now());
	deadline_clear(&p->deadline);
	if (p->generation->step == GENERATION_RUNNING) {
		post_go(p);
		if (!post_is_keeper(p))
			post_tell(p, MESSAGE_HEIRS);
	}
	ops->changed(p->generation);
}

void
post_failed(struct post *p, const char *why)
{
	if (p->generation->step == GENERATION_STARTING)
		ops->failed(p->generation, "%s: %s", p->name, why);
	else if (p->generation->step == GENERATION_RUNNING)
		log_error("%s cannot start: %s", p->name, why);
}

void
post_go(struct post *p)
{
	p->state = POST_SERVING;
	/* A worker says so itself, when it does. */
	if (post_is_keeper(p))
		board_slot_set(BOARD_KEEPER, p->generation->number, BOARD_SLOT_ACCEPTING);
	post_tell(p, MESSAGE_GO);
}

void
post_died(struct post *p, int status)
{
	struct generation *g = p->generation;
	bool               served = p->state == POST_SERVING;
	char               how[96], text[STR_UNIT_MAX];
	uint64_t           pause, lost = 0;
	pid_t              pid = p->pid;

	deadline_clear(&p->deadline);
	p->state = POST_VACANT;
	p->pid = 0;
	p->silent = false;
	watchdog_reset(&p->watchdog, wait_now());
	p->owed = 0;		/* a reopened log its successor may need as well */
	if (p->seat != 0 && status != 0)
		tokens_reclaim(p->seat);
	if (p->seat != 0)
		lost = board_seat_clear(p->seat);
	if (lost > 0)
		ops->lost(lost);
	if (g->step == GENERATION_STARTING) {
		ops->failed(g, "%s %s while it started", p->name,
		    child_status_print(status, how, sizeof how));
		return;
	}
	if (g->step == GENERATION_RUNNING) {
		post_note_death(p, pid, status, lost);
		if (served)
			post_set_absent(p);
		p->failures = wait_now() - p->since >= POST_STABLE ? 0 : p->failures + 1;
		p->crashes = p->failures == 0 || !post_is_crash(status) ? 0 : p->crashes + 1;
		if (p->crashes == POST_CRASHES)
			ops->crashes(g);
		pause = post_backoff(p->failures);
		if (pause > 0)
			log_warn("%s has ended soon after its start %u times in a row: it "
				 "is started again in %s",
			    p->name, p->failures, str_print_time(pause, text));
		deadline_set(&p->deadline, pause, post_fill_due);
	} else if (g->step == GENERATION_RETIRING && served && status != 0) {
		post_note_death(p, pid, status, lost);
	}
	ops->changed(g);
}

void
post_tell(struct post *p, enum message_kind kind)
{
	if (kind == MESSAGE_RETIRE || kind == MESSAGE_STOP)
		p->owed &= ~(1u << MESSAGE_GO | 1u << MESSAGE_RETIRE);
	if (kind == MESSAGE_STOP)
		p->owed &= ~(1u << MESSAGE_HEIRS | 1u << MESSAGE_HASTEN);
	p->owed |= 1u << kind;
	post_deliver(p);
}

void
post_tell_tickets(struct post *p)
{
	if (!post_is_keeper(p) && p->generation->digest.settings.ticket_lifetime > 0 &&
	    tickets_keys() != NULL)
		post_tell(p, MESSAGE_TICKETS);
}

void
post_tell_log(struct post *p, unsigned log)
{
	p->owed_logs |= 1u << log;
	post_deliver(p);
}

void
post_kill(struct post *p, int signal)
{
	if (p->pid != 0)
		kill(p->pid, signal);
}

void
post_changed(struct post *p)
{
	ops->changed(p->generation);
}

void
post_set_absent(struct post *p)
{
	struct generation *g = p->generation;

	board_slot_set(p->slot, g->number, BOARD_SLOT_ABSENT);
	for (unsigned i = 0; !post_is_keeper(p) && i < g->post_count; i++)
		if (g->posts[i].state == POST_SERVING)
			post_tell(&g->posts[i], MESSAGE_REVIEW);
}

uint64_t
post_backoff(unsigned failures)
{
	uint64_t ms = BACKOFF_FIRST;

	if (failures <= 1)
		return 0;
	while (failures-- > 2 && ms < BACKOFF_MOST)
		ms *= 2;
	return ms < BACKOFF_MOST ? ms : BACKOFF_MOST;
}

const char *
post_state_name(enum post_state state)
{
	static const char *const names[] = {
		[POST_VACANT] = "vacant",
		[POST_ASKED] = "starting",
		[POST_STARTING] = "starting",
		[POST_READY] = "ready",
		[POST_SERVING] = NULL,
	};

	return names[state];
}

static void
post_fill_due(struct deadline *d)
{
	post_fill(container_of(d, struct post, deadline));
}

/* Whoever waits for it should know which process to look at. */
static void
post_start_slow(struct deadline *d)
{
	struct post             *p = container_of(d, struct post, deadline);
	const struct generation *g = p->generation;
	char                     text[STR_UNIT_MAX];

	deadline_set(&p->deadline, POST_START_TIMEOUT - POST_START_SLOW, post_start_overdue);
	str_print_time(POST_START_SLOW, text);
	if (p->pid != 0)
		report_say(WEIR_WARN,
		    "warning: %s (generation %u, process %d) is not ready after %s, and %s",
		    p->name, g->number, (int)p->pid, text, child_doing(p->pid));
	else if (g->template != 0)
		report_say(WEIR_WARN,
		    "warning: template (generation %u, process %d) has not started %s "
		    "for %s, and %s",
		    g->number, (int)g->template, p->name, text, child_doing(g->template));
}

static void
post_start_overdue(struct deadline *d)
{
	struct post       *p = container_of(d, struct post, deadline);
	struct generation *g = p->generation;
	char               why[128];

	if (p->pid != 0) {
		snprintf(why, sizeof why, "process %d is not ready in time, and %s", (int)p->pid,
		    child_doing(p->pid));
		post_failed(p, why);
		post_kill(p, SIGKILL);
		return;
	}
	/* Asked again, it might make two of it some day; its end tells the post. */
	log_error("template (generation %u) starts no %s: it is killed", g->number, p->name);
	if (g->template != 0)
		kill(g->template, SIGKILL);
	else
		post_cloned(p, 0, ETIMEDOUT);
}

static void
post_retry_due(struct deadline *d)
{
	post_deliver(container_of(d, struct post, retry));
}

/* In an order that makes sense to a worker that reads all of it at once. */
static void
post_deliver(struct post *p)
{
	static const enum message_kind orders[] = { MESSAGE_START, MESSAGE_TICKETS, MESSAGE_GO,
		MESSAGE_CLAIM, MESSAGE_RETIRE, MESSAGE_HEIRS, MESSAGE_HASTEN, MESSAGE_STOP,
		MESSAGE_REVIEW };
	const char                    *name = p->generation->name;
	struct message                 m = { .kind = MESSAGE_LOG, .fd_count = 1 };
	int                            fd;

	deadline_clear(&p->retry);
	for (m.a = 0; p->owed_logs >> m.a != 0; m.a++) {
		fd = fdtable_find(&master_fds, FD_LOG, name, m.a);
		m.fds = &fd;
		if ((p->owed_logs & 1u << m.a) == 0)
			continue;
		if (fd >= 0 && !post_deliver_one(p, &m))
			return;
		p->owed_logs &= ~(1u << m.a);
	}
	for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
		m = (struct message){ .kind = orders[i], .a = (uint32_t)p->pid };
		if ((p->owed & 1u << m.kind) == 0)
			continue;
		if (post_complete(p, &m) && !post_deliver_one(p, &m))
			return;
		p->owed &= ~(1u << m.kind);
	}
}

/* What it carries is as it is now, however long it has been owed. False: there is
 * nothing to send any more. */
static bool
post_complete(const struct post *p, struct message *m)
{
	if (m->kind == MESSAGE_HEIRS)
		return heirs_complete(p, m);
	if (m->kind == MESSAGE_HASTEN)
		return post_set_limit(m);
	if (m->kind == MESSAGE_TICKETS) {
		m->data = tickets_keys();
		m->size = sizeof(struct tls_ticket_keys);
	}
	return true;
}

static bool
post_set_limit(struct message *m)
{
	const struct generation *g = generation_running();

	m->a = g == NULL ? 0 : (uint32_t)g->digest.settings.shutdown_timeout;
	return m->a > 0;
}

/* Whether it need not be tried again. */
static bool
post_deliver_one(struct post *p, const struct message *m)
{
	int mailbox = fdtable_find(&master_fds, FD_MAILBOX, p->generation->name, p->slot);

	if (message_send(mailbox, m) == 0)
		return true;
	switch (errno) {
	case EPIPE:
	case ECONNRESET:
		return true;	/* it has just ended, which SIGCHLD will tell */
	case EAGAIN:
	case ENOMEM:
	case ENOBUFS:
	case ETOOMANYREFS:	/* descriptors that lie in mailboxes count against our limit */
		deadline_set(&p->retry, POST_MAILBOX_FULL, post_retry_due);
		return false;
	default:
		log_alert("%s (generation %u) cannot be told: %s", p->name,
		    p->generation->number, strerror(errno));
		return true;
	}
}

/* Not by somebody's hand, as far as one can tell. */
static bool
post_is_crash(int status)
{
	return WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM
				   : WEXITSTATUS(status) != 0;
}

static void
post_note_death(struct post *p, pid_t pid, int status, uint64_t lost)
{
	bool ours = WIFSIGNALED(status) && post_is_crash(status);
	char how[96], with[48] = "";

	if (lost > 0)
		snprintf(with, sizeof with, ": %" PRIu64 " sessions are lost", lost);
	log_write(ours ? WEIR_ALERT : WEIR_ERROR, "%s (generation %u, process %d) %s%s",
	    p->name, p->generation->number, (int)pid,
	    child_status_print(status, how, sizeof how), with);
}
