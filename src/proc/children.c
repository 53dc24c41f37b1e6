/* SPDX-License-Identifier: BSD-2-Clause */
/* children: the processes of all generations: what they say, how they end. */
#include "proc/children.h"

#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/message.h"
#include "proc/post.h"
#include "proc/succession.h"
#include "proc/wait.h"

#define STOP_TIMEOUT 5000u	/* ms that workers have to close everything */

static void children_stop_overdue(struct deadline *);

static struct deadline stopping;

void
children_reap(pid_t pid, int status)
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
	generations_note_stray(pid, status);
}

bool
children_mail(const struct message *m)
{
	struct post *p = generations_post(m->sender);

	if (m->kind != MESSAGE_READY && m->kind != MESSAGE_FAILED && m->kind != MESSAGE_MOVED)
		return false;
	if (p == NULL || p->generation->number != m->a || p->slot != m->b)
		return true;
	if (m->kind == MESSAGE_READY) {
		post_ready(p);
	} else if (m->kind == MESSAGE_MOVED) {
		succession_report(p, m);
	} else {
		char why[512];

		snprintf(why, sizeof why, "%.*s", (int)m->size, (const char *)m->data);
		post_failed(p, why);
	}
	return true;
}

void
children_nonsense(pid_t sender)
{
	static pid_t last;	/* once is enough for the log */
	struct post *p = generations_post(sender);

	if (p != NULL)
		post_kill(p, SIGKILL);
	if (sender == last)
		return;
	last = sender;
	if (p != NULL)
		log_alert("%s (generation %u, process %d) is killed: it sends nonsense",
		    p->name, p->generation->number, (int)sender);
	else
		log_error("process %d, which is no worker, writes to the mailbox of the master",
		    (int)sender);
}

void
children_retire(void)
{
	struct node *n, *following;

	succession_end();
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->step == GENERATION_RUNNING)
			generation_retire(g);
		else if (g->step < GENERATION_RUNNING)
			generation_fail(g, "weir is stopping");
	}
}

void
children_stop(void)
{
	struct node *n, *following;

	children_retire();
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->process_count; i++)
			if (g->posts[i].state == POST_SERVING)
				post_tell(&g->posts[i], MESSAGE_STOP);
	}
	if (!list_empty(&generations))
		deadline_set(&stopping, STOP_TIMEOUT, children_stop_overdue);
}

void
children_give_tickets(void)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].pid != 0)
				post_tell_tickets(&g->posts[i]);
	}
}

void
children_kill(void)
{
	struct node *n, *following;

	deadline_clear(&stopping);
	list_each(n, following, &generations) {
		struct generation *g = container_of(n, struct generation, link);

		if (g->template != 0)
			kill(g->template, SIGKILL);
		for (unsigned i = 0; i < g->process_count; i++)
			post_kill(&g->posts[i], SIGKILL);
	}
}

static void
children_stop_overdue(struct deadline *d)
{
	(void)d;
	log_error("processes do not end: they are killed");
	children_kill();
}
