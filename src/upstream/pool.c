/* SPDX-License-Identifier: BSD-2-Clause */
/* pool: requests of many clients over few links to each peer: who waits, what is kept. */
#include "upstream/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "upstream/member.h"
#include "upstream/pick.h"
#include "upstream/roster.h"

#define RETIRING_IDLE 5000u	/* ms */

/* pool_min_idle: a link that its peer ends unused makes the next one wait twice as long,
 * unless it has lasted. */
#define READY_PAUSE_LEAST 100u		/* ms */
#define READY_PAUSE_MOST  30000u
#define READY_LASTED      1000u

static enum pool_answer pool_place(struct weir_upstream *, struct request *,
    struct weir_span bytes, enum weir_failure *why);
static enum pool_answer pool_find(struct weir_upstream *, struct request *,
    struct weir_span bytes, struct link **, enum weir_failure *why);
static bool pool_borrows(const struct weir_upstream *, const struct request *);
static void pool_moved(struct request *, struct weir_span bytes, const struct weir_peer *failed);
static void pool_settled(struct link *);
static void pool_closed(struct link *);
static void pool_serve(struct weir_upstream *, struct pool *);
static void pool_serve_line(struct weir_upstream *, struct node *line);
static bool pool_serve_requests(struct weir_upstream *, struct waiter *);
static bool pool_serve_waiter(struct weir_upstream *, struct waiter *);
static void pools_watch(void);
static void pools_tick(void *);
static bool pool_look_after(struct weir_upstream *);
static void pool_close_idle(struct pool *);
static void pool_withdraw(struct pool *);
static void pool_keep_ready(struct pool *);
static void pool_ready_later(struct pool *);
static uint64_t pool_spread(const struct pool *, uint64_t ms);

static const struct link_ops pool_link_ops = {
	.settled = pool_settled,
	.moved   = pool_moved,
	.closed  = pool_closed,
};

static struct {
	const struct conf *conf;
	struct pool       *all;
	unsigned           count;
	struct loop_timer  tick;
	bool               watching;
	bool               retiring;
	bool               holding;	/* nobody is served any more */
} pools;

int
pools_start(const struct pools_worker *worker)
{
	const struct share_worker *self = &worker->share;
	struct weir_upstream      *u;
	struct pool               *p;
	unsigned                   n = 0;

	memset(&pools, 0, sizeof pools);
	pools.conf = worker->conf;
	for (unsigned i = 0; (u = upstream_at(worker->conf, i)) != NULL; i++)
		n += u->framed_by != NULL ? u->peer_count : 0;
	if ((pools.all = calloc(n + 1, sizeof *pools.all)) == NULL)
		return -1;
	requests_start(worker->ops);
	queues_start();
	links_start(&pool_link_ops);
	shares_start(self);
	loop_timer_init(&pools.tick, pools_tick, NULL);
	for (unsigned i = 0; (u = upstream_at(worker->conf, i)) != NULL; i++) {
		queue_init(u, u->pool_queue == WEIR_AUTOMATIC ? worker->queue : u->pool_queue);
		for (unsigned k = 0; u->framed_by != NULL && k < u->peer_count; k++) {
			p = &pools.all[pools.count++];
			u->peers[k].pool = p;
			p->peer = &u->peers[k];
			list_init(&p->links);
			list_init(&p->queue);
			share_start(p);
			p->kept = (unsigned)(u->pool_min_idle / self->slots +
			    (self->slot < u->pool_min_idle % self->slots));
			if (p->kept > 0)
				pools_watch();
		}
	}
	return 0;
}

void
pools_retire(void)
{
	pools.retiring = true;
	for (unsigned i = 0; i < pools.count; i++)
		pools.all[i].retires = true;
}

void
pools_hold(void)
{
	pools.holding = true;
}

void
pools_stop(void)
{
	struct node *n;

	pools.holding = true;
	for (unsigned i = 0; i < pools.count; i++) {
		while ((n = list_first(&pools.all[i].links)) != NULL)
			link_abandon(container_of(n, struct link, node));
		share_stop(&pools.all[i]);
	}
	if (pools.all == NULL)
		return;
	loop_timer_stop(&pools.tick);
	links_stop();
	queues_stop();
	requests_stop();
	free(pools.all);
	memset(&pools, 0, sizeof pools);
}

void
pool_heard(enum share_word word, int peer, unsigned slot)
{
	for (unsigned i = 0; i < pools.count; i++) {
		if (pools.all[i].peer->board != peer)
			continue;
		if (word == SHARE_WANTED)
			share_wanted(&pools.all[i], slot);
		else {
			share_freed(&pools.all[i]);
			pool_serve(pools.all[i].peer->upstream, &pools.all[i]);
		}
	}
}

/* --------------------------------------------------------------- requesters */

void
pool_give_up(struct requester *q, struct weir_upstream *u)
{
	struct node    *n;
	struct request *r;

	while (q->waiter != NULL && (n = list_first(&q->waiter->requests)) != NULL) {
		r = container_of(n, struct request, of_link);
		node_unlink(n);
		request_fail(r, WEIR_FAILED_POOL_WAIT, NULL);
	}
	queue_leave(u, q);
}

/* Served in the next pass: it is not whole yet. */
void
pool_return(struct requester *q, struct weir_upstream *u, uint64_t since)
{
	queue_return(u, q, since);
	pools.watching = true;
	loop_timer_start(&pools.tick, 0);
}

void
pool_leave(struct requester *q, struct weir_upstream *u)
{
	struct link *l = q->link;

	queue_leave(u, q);
	q->link = NULL;
	q->flight = 0;
	if (l != NULL && l->borrower == q)
		link_release(l);
}

/* ------------------------------------------------------------------ requests */

enum pool_answer
pool_ask(struct weir_upstream *u, struct request *r, struct weir_span bytes, bool patient,
    enum weir_failure *why)
{
	struct requester *q = r->requester;
	enum pool_answer  answer = POOL_BUSY;

	/* Those that came first go first; where a request has a peer of its own, pick_link
	 * knows who did. */
	if (q->link != NULL || u->queued == 0 || u->served == q || u->balancer->balancer->waits)
		answer = pool_place(u, r, bytes, why);
	if (answer == POOL_BUSY && !patient) {
		*why = WEIR_FAILED_POOL_WAIT;
		answer = POOL_FAILED;
	}
	/* What is pinned goes on when its client has nothing under way: no link is needed. */
	if (answer == POOL_BUSY && (q->count == 0 || (r->flags & REQUEST_PIN) == 0) &&
	    !queue_enter(u, q, why))
		answer = POOL_FAILED;
	if (answer == POOL_BUSY) {
		if (u->served == q)
			q->waiter->refused = true;
		pools_watch();
		return answer;
	}
	board_add(&u->cell[UPSTREAM_REQUESTS], 1);
	if (answer == POOL_FAILED)
		request_count_failure(r, *why, NULL);
	return answer;
}

/* Onto a link, if there is one. */
static enum pool_answer
pool_place(struct weir_upstream *u, struct request *r, struct weir_span bytes,
    enum weir_failure *why)
{
	struct requester *q = r->requester;
	enum pool_answer  answer;
	struct link      *l;

	answer = pool_find(u, r, bytes, &l, why);
	if (answer != POOL_PLACED)
		return answer;
	*why = WEIR_FAILED_NO_MEMORY;
	if (!link_put(l, r, bytes))
		return POOL_FAILED;
	if (pool_borrows(u, r)) {
		l->borrower = q;
		q->link = l;
	}
	pools_watch();
	return POOL_PLACED;
}

/* POOL_PLACED: this link takes it. */
static enum pool_answer
pool_find(struct weir_upstream *u, struct request *r, struct weir_span bytes, struct link **link,
    enum weir_failure *why)
{
	struct requester   *q = r->requester;
	struct weir_attempt fresh, *a = r->attempt;
	bool                alone = pool_borrows(u, r), busy = false;

	q->line = NULL;
	if (q->link != NULL && (q->link->borrower == q || !alone) &&
	    (q->link->borrower == q || (r->flags & REQUEST_KEYED) == 0)) {
		*link = q->link;
		return link_takes(*link) && (*link)->depth < u->pipeline_depth ? POOL_PLACED
									       : POOL_BUSY;
	}
	/* What is pinned comes behind what its client has under way elsewhere. */
	if (alone && (r->state == REQUEST_NEW ? q->count : q->flight) > 0)
		return POOL_BUSY;
	if (a == NULL) {
		a = &fresh;
		attempt_begin(a, requester_ops->from(q), loop_now());
	}
	a->key = span_make(bytes.data + r->key_at, r->key_length);
	a->now = loop_now();
	a->pooled = true;
	a->alone = alone || u->mode != POOL_PIPELINE;
	a->newcomer = r->state == REQUEST_NEW && u->served != q;
	if ((*link = pick_link(u, a, &busy)) != NULL) {
		if (a->tried > 0)
			board_add(&u->cell[UPSTREAM_RETRIED], 1);
		return POOL_PLACED;
	}
	if (a->awaits != NULL)
		q->line = &a->awaits->pool->queue;
	*why = a->tried > 0 ? WEIR_FAILED_CONNECT : WEIR_FAILED_NO_PEER;
	return busy ? POOL_BUSY : POOL_FAILED;
}

/* Whether its link becomes its requester's alone. */
static bool
pool_borrows(const struct weir_upstream *u, const struct request *r)
{
	return u->mode == POOL_SESSION || (r->flags & REQUEST_PIN) != 0;
}

/* Its link is gone before it was sent (or it may be sent twice): it goes elsewhere. Those
 * of one requester stay in their order: behind one that waits, all wait. */
static void
pool_moved(struct request *r, struct weir_span bytes, const struct weir_peer *failed)
{
	struct requester     *q = r->requester;
	struct weir_upstream *u = r->upstream;
	enum weir_failure     why = WEIR_FAILED_NO_MEMORY;
	enum pool_answer      answer = POOL_BUSY;
	struct weir_attempt  *a;

	if (failed != NULL) {
		if ((a = request_attempt(r)) == NULL)
			goto fail;
		a->tried++;
		attempt_rule_out(a, failed);
	} else if (r->moves++ > u->retries) {
		why = WEIR_FAILED_PEER_CLOSED;
		goto fail;
	}
	if (q->waiter == NULL || (r->flags & REQUEST_KEYED) != 0)
		answer = pool_place(u, r, bytes, &why);
	if (answer == POOL_BUSY) {
		why = WEIR_FAILED_NO_MEMORY;
		if (!queue_request(u, r, bytes))
			goto fail;
		pools_watch();
		requester_ops->waits(q);
	} else if (answer == POOL_FAILED)
		goto fail;
	board_add(&u->cell[UPSTREAM_MOVED], 1);
	return;
fail:
	request_fail(r, why, failed);
}

/* --------------------------------------------------------------- the queue */

/* Room may have come at a peer. */
static void
pool_serve(struct weir_upstream *u, struct pool *p)
{
	pool_serve_line(u, &u->queue);
	pool_serve_line(u, &p->queue);
}

/* Those that are particular, because peers have failed them, or they need a link alone, do
 * not hold up the others. Who waits for another peer by now stands there. */
static void
pool_serve_line(struct weir_upstream *u, struct node *line)
{
	struct node    aside, *n;
	struct waiter *w;
	bool           moves;

	list_init(&aside);
	while (!pools.holding && (n = list_first(line)) != NULL) {
		w = container_of(n, struct waiter, node);
		if (pool_serve_requests(u, w) && pool_serve_waiter(u, w))
			continue;
		moves = queue_line(u, w->requester) != line;
		if (!moves && !w->particular)
			break;
		if (moves) {
			queue_move(u, w);
			continue;
		}
		node_unlink(n);
		list_append(&aside, n);
	}
	while ((n = list_last(&aside)) != NULL) {
		node_unlink(n);
		list_prepend(line, n);
	}
}

/* What was on a link before goes first. False: some of it has to wait. */
static bool
pool_serve_requests(struct weir_upstream *u, struct waiter *w)
{
	enum weir_failure why;
	struct request   *r;
	struct node      *n;

	w->particular = false;
	while ((n = list_first(&w->requests)) != NULL) {
		r = container_of(n, struct request, of_link);
		node_unlink(n);
		switch (pool_place(u, r, buf_span(r->bytes), &why)) {
		case POOL_PLACED:
			break;
		case POOL_BUSY:
			list_prepend(&w->requests, n);
			w->particular = r->attempt != NULL || (r->flags & REQUEST_PIN) != 0;
			return false;
		case POOL_FAILED:
			request_fail(r, why, NULL);
			break;
		}
	}
	return true;
}

/* Its requester asks for what it has in its own buffer. False: there is no room for any
 * of it, and it waits on. */
static bool
pool_serve_waiter(struct weir_upstream *u, struct waiter *w)
{
	struct requester *q = w->requester;
	unsigned          before = q->count;

	w->refused = false;
	u->served = q;
	requester_ops->room(q);
	u->served = NULL;
	if (!w->refused) {
		queue_leave(u, q);
		return true;
	}
	if (q->count == before)
		return false;
	/* Behind the others with what is left. */
	w->since = loop_now();
	node_unlink(&w->node);
	list_append(queue_line(u, q), &w->node);
	return true;
}

/* --------------------------------------------------------------- its links */

static void
pool_settled(struct link *l)
{
	struct weir_upstream *u = l->pool->peer->upstream;

	if (u->queued > 0)
		pool_serve(u, l->pool);
}

static void
pool_closed(struct link *l)
{
	struct pool *p = l->pool;

	if (!l->departed)
		share_give(p);
	if (l->starved)
		share_pause(p);
	if (p->kept == 0 || pools.holding)
		return;
	/* A peer that ends what nobody has used is not run down. */
	if (l->answered || loop_now() >= l->since + READY_LASTED + p->ready_pause)
		p->ready_pause = p->ready_after = 0;
	else if (l->fault != 0)
		pool_ready_later(p);
}

/* From time to time, while there is something to look after. */
static void
pools_watch(void)
{
	if (pools.watching)
		return;
	pools.watching = true;
	loop_timer_start(&pools.tick, SHARE_TICK);
}

static void
pools_tick(void *argument)
{
	struct weir_upstream *u;
	bool                  more = false;

	(void)argument;
	for (unsigned i = 0; (u = upstream_at(pools.conf, i)) != NULL; i++)
		if (u->framed_by != NULL) {
			member_follow(u, loop_now());
			more |= pool_look_after(u);
		}
	pools.watching = more;
	if (more)
		loop_timer_start(&pools.tick, SHARE_TICK);
	else
		requests_trim();
}

/* Whether there is something to look after. */
static bool
pool_look_after(struct weir_upstream *u)
{
	bool         more;
	struct pool *p;

	for (unsigned i = 0; i < u->peer_count; i++)
		roster_set_full(&u->peers[i], false);
	pool_serve_line(u, &u->queue);
	for (unsigned i = 0; i < u->peer_count; i++)
		pool_serve_line(u, &u->peers[i].pool->queue);
	more = u->queued > 0;
	for (unsigned i = 0; i < u->peer_count; i++) {
		p = u->peers[i].pool;
		if (u->peers[i].board < 0) {
			more |= p->kept > 0 && !pools.retiring;
			continue;
		}
		share_look(p);
		if (p->count > p->leaving && peer_state(p->peer, loop_now()) == PEER_OUT)
			pool_withdraw(p);
		if (pools.retiring)
			pool_close_idle(p);
		else if (p->count < p->kept && loop_now() >= p->ready_after)
			pool_keep_ready(p);
		more |= p->count > 0 || (p->kept > 0 && !pools.retiring);
	}
	return more;
}

/* A worker that goes keeps for a little while what its sessions come back to. */
static void
pool_close_idle(struct pool *p)
{
	struct node *n, *following;
	struct link *l;

	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->depth == 0 && l->borrower == NULL && loop_now() >= l->since + RETIRING_IDLE)
			link_drain(l, PEER_LINKS_CLOSED_IDLE);
	}
}

/* Its peer is not to be used: links end with the requests that they have, but for those
 * that are a client's alone, which knows what he has said there. */
static void
pool_withdraw(struct pool *p)
{
	struct node *n, *following;
	struct link *l;

	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->borrower == NULL && (l->state == LINK_OPEN || l->depth == 0))
			link_drain(l, PEER_LINKS_WITHDRAWN);
	}
}

/* One link a tick: a peer that comes back is not run down. */
static void
pool_keep_ready(struct pool *p)
{
	static const struct addr_packed nobody;
	struct weir_attempt             a;
	bool                            busy;

	attempt_begin(&a, &nobody, loop_now());
	a.stage = p->peer->backup ? ATTEMPT_BACKUP : ATTEMPT_GOOD;
	if (peer_fits(p->peer, &a) &&
	    board_sum(p->peer->board, PEER_LINKS) < p->peer->upstream->pool_size &&
	    pick_new_link(p, &a, &busy) == NULL)
		pool_ready_later(p);
}

static void
pool_ready_later(struct pool *p)
{
	if (p->ready_pause < READY_PAUSE_MOST)
		p->ready_pause = p->ready_pause > 0 ? p->ready_pause * 2 : READY_PAUSE_LEAST;
	p->ready_after = loop_now() + pool_spread(p, p->ready_pause);
}

/* Up to half of it less: workers that all have lost a peer do not come back as one. */
static uint64_t
pool_spread(const struct pool *p, uint64_t ms)
{
	uint32_t drawn = (uint32_t)(loop_micros() ^ ((uintptr_t)p->peer->cell >> 6)) * 2654435761u;

	return ms - ((ms / 2 + 1) * (drawn >> 8) >> 24);
}
