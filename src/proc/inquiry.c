/* SPDX-License-Identifier: BSD-2-Clause */
/* inquiry: all workers are asked about sessions, for a client of the control socket. */
#include "proc/inquiry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "proc/control_line.h"
#include "proc/fdtable.h"
#include "proc/generation.h"
#include "proc/generations.h"
#include "proc/message.h"
#include "proc/text.h"

#define INQUIRY_AGAIN    50u	/* ms, when a mailbox is full */
#define INQUIRY_PATIENCE 5000u

static void inquiry_fill(struct survey_query *, const struct control_line *);
static int  inquiry_compare_ids(const void *, const void *);
static void inquiry_find_workers(struct inquiry *);
static void inquiry_retry(struct deadline *);
static bool inquiry_ask(const struct inquiry *, pid_t);

int
inquiry_begin(struct inquiry *q, unsigned client, const struct control_line *l,
    void (*told)(struct inquiry *, const char *failed))
{
	int ends[2];

	memset(q, 0, sizeof *q);
	q->client = client;
	q->told = told;
	q->since = wait_now();
	inquiry_fill(&q->query, l);
	inquiry_find_workers(q);
	if (message_pair(ends, false) < 0)
		return -1;
	if (fdtable_add(&master_fds, FD_SURVEY, "", 2 * client, ends[0]) < 0) {
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	if (fdtable_add(&master_fds, FD_SURVEY, "", 2 * client + 1, ends[1]) < 0) {
		fd_close(&ends[1]);
		fdtable_close(&master_fds, FD_SURVEY, "", 2 * client);
		return -1;
	}
	return ends[0];
}

static void
inquiry_fill(struct survey_query *to, const struct control_line *l)
{
	to->closes = l->command == CONTROL_CLOSE;
	to->waits = l->wait;
	to->by_range = l->from != NULL;
	to->range = l->range;
	snprintf(to->server, sizeof to->server, "%s", l->server != NULL ? l->server : "");
	snprintf(to->peer, sizeof to->peer, "%s", l->peer != NULL ? l->peer : "");
	to->before = wait_now();
	to->rate = l->rate * 1000;
	to->grace = (uint32_t)l->grace;
	to->id_count = l->id_count;
	memcpy(to->ids, l->ids, l->id_count * sizeof *l->ids);
	qsort(to->ids, to->id_count, sizeof *to->ids, inquiry_compare_ids);
}

static int
inquiry_compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All that have sessions; a rate is for all of them together. */
static void
inquiry_find_workers(struct inquiry *q)
{
	struct node *n, *following;

	list_each(n, following, &generations) {
		const struct generation *g = container_of(n, struct generation, link);

		for (unsigned i = 0; i < g->post_count; i++)
			if (g->posts[i].state == POST_SERVING && !post_is_keeper(&g->posts[i]) &&
			    q->count < BOARD_SEATS)
				q->workers[q->count++] = g->posts[i].pid;
	}
	if (q->query.rate > 0 && q->count > 0)
		q->query.rate = q->query.rate / q->count > 0 ? q->query.rate / q->count : 1;
}

void
inquiry_print(const struct inquiry *q, struct text *t)
{
	const struct post *p;

	for (unsigned i = 0; i < q->count; i++)
		if ((p = generations_post(q->workers[i])) != NULL)
			text_add(t, "%s%u:%u", i > 0 ? " " : "", p->slot, p->generation->number);
}

void
inquiry_tell(struct inquiry *q)
{
	unsigned left = 0;
	char     text[128];

	for (unsigned i = 0; i < q->count; i++)
		if (!inquiry_ask(q, q->workers[i]))
			q->workers[left++] = q->workers[i];
	q->count = left;
	if (left > 0 && wait_now() - q->since < INQUIRY_PATIENCE) {
		deadline_set(&q->retry, INQUIRY_AGAIN, inquiry_retry);
		return;
	}
	fdtable_close(&master_fds, FD_SURVEY, "", 2 * q->client + 1);
	snprintf(text, sizeof text, "%u workers cannot be asked: they are stopped, or busy", left);
	q->told(q, left > 0 ? text : NULL);
}

static void
inquiry_retry(struct deadline *d)
{
	inquiry_tell(container_of(d, struct inquiry, retry));
}

/* False: it is to be tried again. */
static bool
inquiry_ask(const struct inquiry *q, pid_t worker)
{
	int                channel = fdtable_find(&master_fds, FD_SURVEY, "", 2 * q->client + 1);
	const struct post *p = generations_post(worker);
	struct message     m = { .kind = MESSAGE_SURVEY,
		    .data = &q->query,
		    .size = sizeof q->query,
		    .fds = &channel,
		    .fd_count = 1 };

	/* One that has ended is missed by the client. */
	if (p == NULL ||
	    message_send(fdtable_find(&master_fds, FD_MAILBOX, p->generation->name, p->slot),
		&m) == 0)
		return true;
	return errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS && errno != ETOOMANYREFS;
}

void
inquiry_sent(struct inquiry *q)
{
	fdtable_close(&master_fds, FD_SURVEY, "", 2 * q->client);
}

void
inquiry_end(struct inquiry *q)
{
	deadline_clear(&q->retry);
	fdtable_close(&master_fds, FD_SURVEY, "", 2 * q->client);
	fdtable_close(&master_fds, FD_SURVEY, "", 2 * q->client + 1);
}
