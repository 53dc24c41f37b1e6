/* SPDX-License-Identifier: BSD-2-Clause */
/* queue: who waits for a link of an upstream, or of one peer, the longest first. */
#include "upstream/queue.h"

#include <assert.h>

#include "base/buf.h"
#include "base/slab.h"
#include "net/loop.h"
#include "upstream/upstream.h"

static struct waiter *queue_append(struct weir_upstream *, struct requester *);

static struct slab queue_waiters;

void
queues_start(void)
{
	slab_init(&queue_waiters, sizeof(struct waiter));
}

void
queues_stop(void)
{
	slab_finish(&queue_waiters);
}

void
queue_init(struct weir_upstream *u, uint64_t most)
{
	list_init(&u->queue);
	u->queued = 0;
	u->queue_most = most;
}

bool
queue_enter(struct weir_upstream *u, struct requester *q, enum weir_failure *why)
{
	if (q->waiter != NULL)
		return true;
	*why = u->queued >= u->queue_most ? WEIR_FAILED_POOL_QUEUE : WEIR_FAILED_NO_MEMORY;
	return u->queued < u->queue_most && queue_append(u, q) != NULL;
}

bool
queue_request(struct weir_upstream *u, struct request *r, struct weir_span bytes)
{
	struct requester *q = r->requester;

	if (r->bytes == NULL && buf_append(&r->bytes, bytes) < 0)
		return false;
	if (q->waiter == NULL && queue_append(u, q) == NULL) {
		buf_return(&r->bytes);
		return false;
	}
	request_enter(r, REQUEST_QUEUED);
	list_append(&q->waiter->requests, &r->of_link);
	return true;
}

void
queue_return(struct weir_upstream *u, struct requester *q, uint64_t since)
{
	struct waiter *w = queue_append(u, q);

	if (w == NULL)
		return;
	w->since = since < w->since ? since : w->since;
	queue_move(u, w);
}

void
queue_move(struct weir_upstream *u, struct waiter *w)
{
	struct node *line = queue_line(u, w->requester), *n;

	node_unlink(&w->node);
	for (n = line->prev; n != line; n = n->prev)
		if (container_of(n, struct waiter, node)->since <= w->since)
			break;
	list_prepend(n, &w->node);
}

void
queue_leave(struct weir_upstream *u, struct requester *q)
{
	struct waiter *w = q->waiter;

	if (w == NULL)
		return;
	assert(list_empty(&w->requests));
	node_unlink(&w->node);
	slab_give(&queue_waiters, w);
	q->waiter = NULL;
	u->queued--;
	board_give(u->board, UPSTREAM_WAITING, u->seat);
}

struct node *
queue_line(struct weir_upstream *u, const struct requester *q)
{
	return q->line != NULL ? q->line : &u->queue;
}

uint64_t
queue_waits_since(const struct requester *q)
{
	return q->waiter != NULL ? q->waiter->since : 0;
}

static struct waiter *
queue_append(struct weir_upstream *u, struct requester *q)
{
	struct waiter *w = slab_take(&queue_waiters);

	if (w == NULL)
		return NULL;
	list_init(&w->requests);
	w->requester = q;
	w->since = loop_now();
	q->waiter = w;
	list_append(queue_line(u, q), &w->node);
	u->queued++;
	board_add(&u->cell[UPSTREAM_WAITING], 1);
	board_add(&u->cell[UPSTREAM_WAITED], 1);
	return w;
}
