/* SPDX-License-Identifier: BSD-2-Clause */
/* generations: all that are alive, from the one that is built to those that retire. */
#include "proc/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "proc/fdtable.h"
#include "proc/master.h"
#include "proc/message.h"
#include "proc/text.h"
#include "upstream/board.h"

#define STOP_TIMEOUT 5000u	/* ms that workers have to close everything */

static struct post *generations_post(pid_t);
static int          generations_reopen_log(struct generation *, unsigned log, int fd);
static void         generations_stop_overdue(struct deadline *);

struct node generations = { &generations, &generations };

/* Children that ended before their template had said that they exist. */
static struct {
	pid_t    pid[16];
	int      status[16];
	unsigned next;
} strays;

static struct deadline stopping;

int
generations_index(void)
{
	struct node *n, *following;
	uint64_t     used = 0;

	list_each(n, following, &generations)
		used |= (uint64_t)1 << container_of(n, struct generation, link)->index;
	for (unsigned i = 0; i < BOARD_GENERATIONS; i++)
		if ((used & (uint64_t)1 << i) == 0)
			return (int)i;
	return -1;
}

void
generations_reap(pid_t pid, int status)
{
	struct node *n, *following;
	struct post *p = generations_post(pid);

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->template == pid) {
			generation_template_died(g, status);
			return;
		}
		/* Perhaps its template is about to say whose it is. */
		if (p == NULL)
			generation_drain(g);
	}
	if (p == NULL)
		p = generations_post(pid);
	if (p != NULL) {
		post_died(p, status);
		return;
	}
	strays.pid[strays.next % 16] = pid;
	strays.status[strays.next % 16] = status;
	strays.next++;
}

bool
generations_stray(pid_t pid, int *status)
{
	for (unsigned i = 0; i < 16; i++)
		if (strays.pid[i] == pid) {
			*status = strays.status[i];
			strays.pid[i] = 0;
			return true;
		}
	return false;
}

void
generations_forget_strays(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].state == POST_ASKED)
				return;
	}
	memset(&strays, 0, sizeof strays);
}

bool
generations_mail(const struct message *m)
{
	struct post *p = generations_post(m->sender);

	if (m->kind != MESSAGE_READY && m->kind != MESSAGE_FAILED)
		return false;
	if (p == NULL || p->generation->number != m->a || p->slot != m->b)
		return true;
	if (m->kind == MESSAGE_READY)
		post_ready(p);
	else {
		char why[512];

		snprintf(why, sizeof why, "%.*s", (int)m->size, (const char *)m->data);
		post_failed(p, why);
	}
	return true;
}

void
generations_nonsense(pid_t sender)
{
	static pid_t last;	/* once is enough for the log */
	struct post *p = generations_post(sender);

	if (p != NULL)
		post_kill(p, SIGKILL);
	if (sender == last)
		return;
	last = sender;
	if (p != NULL)
		log_alert("worker %u (generation %u, process %d) is killed: it sends nonsense",
		    p->slot, p->generation->number, (int)sender);
	else
		log_error("process %d, which is no worker, writes to the mailbox of the master",
		    (int)sender);
}

static struct post *
generations_post(pid_t pid)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].pid == pid && pid != 0)
				return &g->posts[i];
	}
	return NULL;
}

struct generation *
generation_building(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step < GENERATION_RUNNING || g->step == GENERATION_DROPPING)
			return g;
	}
	return NULL;
}

struct generation *
generation_running(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING)
			return g;
	}
	return NULL;
}

void
generations_retire(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING)
			generation_retire(g);
		else if (g->step < GENERATION_RUNNING)
			generation_fail(g, "weir is stopping");
	}
}

void
generations_stop(void)
{
	struct node *n, *following;

	generations_retire();
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].state == POST_SERVING)
				post_tell(&g->posts[i], MESSAGE_STOP);
	}
	if (!list_empty(&generations))
		deadline_set(&stopping, STOP_TIMEOUT, generations_stop_overdue);
}

void
generations_kill(void)
{
	struct node *n, *following;

	deadline_clear(&stopping);
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->template != 0)
			kill(g->template, SIGKILL);
		for (unsigned i = 0; i < g->post_count; i++)
			post_kill(&g->posts[i], SIGKILL);
	}
}

static void
generations_stop_overdue(struct deadline *d)
{
	(void)d;
	log_error("processes do not end: they are killed");
	generations_kill();
}

unsigned
generations_reopen(struct text *answer)
{
	struct node *n, *following;
	unsigned     failed = 0;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING || g->step == GENERATION_RETIRING)
			failed += generation_reopen(g, answer);
		else if (g->step == GENERATION_SENDING || g->step == GENERATION_STARTING)
			g->reopen = true;	/* they are open, but on their way */
	}
	return failed;
}

unsigned
generation_reopen(struct generation *g, struct text *answer)
{
	unsigned failed = 0;
	int      fd;

	for (unsigned i = 0; i < g->digest.log_count; i++) {
		if (g->digest.logs[i].kind != LOG_FILE)
			continue;
		fd = log_open(&g->digest.logs[i]);
		if (fd >= 0 && generations_reopen_log(g, i, fd) == 0)
			continue;
		log_error("opening %s again: %s", g->digest.logs[i].path, strerror(errno));
		if (answer != NULL)
			text_add(answer, "!opening %s again: %s\n", g->digest.logs[i].path,
			    strerror(errno));
		fd_close(&fd);
		failed++;
	}
	return failed;
}

/* The table keeps it, too: a full mailbox does not take it at once. Returns 0, or
 * -1 with errno and the fd still the caller's. */
static int
generations_reopen_log(struct generation *g, unsigned log, int fd)
{
	struct message m = { .kind = MESSAGE_LOG, .a = log, .fds = &fd, .fd_count = 1 };
	bool           runs = g->step == GENERATION_RUNNING;
	int            own = runs ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (runs && own < 0)
		return -1;
	fdtable_close(&master_fds, FD_LOG, g->name, log);
	if (fdtable_add(&master_fds, FD_LOG, g->name, log, fd) < 0) {
		fd_close(&own);
		return -1;
	}
	if (g->template != 0 && generation_tell(g, &m) < 0)
		log_error("template (generation %u): a reopened log: %s", g->number,
		    strerror(errno));
	/* A vacant post's next worker may find an older one in the mailbox. */
	for (unsigned i = 0; i < g->post_count; i++)
		if (runs || g->posts[i].state != POST_VACANT)
			post_tell_log(&g->posts[i], log);
	if (runs)
		log_replace(log, own);
	return 0;
}
