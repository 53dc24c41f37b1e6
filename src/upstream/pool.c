/* SPDX-License-Identifier: BSD-2-Clause */
/* pool: requests of many askers over few links: which link, and who waits. */
#include "upstream/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/str.h"
#include "upstream/lend.h"
#include "upstream/share.h"

/* In each pass many requests begin and end: their memory stays, 1 MiB at most. */
#define REQUEST_PAGES 16u

#define RETIRING_IDLE 5000u	/* ms */

/* What has come of looking for a link. */
enum found { FOUND, BUSY, NOWHERE };

static void count_failure(struct weir_upstream *, enum weir_failure);
static bool place(struct weir_upstream *, struct request *, struct weir_span bytes,
    enum weir_failure *why);
static bool enqueue(struct weir_upstream *, struct request *, struct weir_span bytes,
    enum weir_failure *why);
static enum found find(struct weir_upstream *, struct request *, struct link **,
    enum weir_failure *why);
static bool put(struct weir_upstream *, struct link *, struct request *, struct weir_span bytes,
    enum weir_failure *why);
static bool serve(struct weir_upstream *, struct request *);
static bool take_up(struct weir_upstream *, struct link *, struct asker *);
static void unqueue(struct weir_upstream *, struct request *);
static void tick(void *);
static bool look_after(struct weir_upstream *);
static void close_idle(struct pool *);
static void keep_ready(struct pool *);

struct pools_place pools;

static struct {
	struct pool      *all;
	unsigned          count;
	struct slab       requests;
	struct slab       attempts;
	struct loop_timer tick;
	bool              watching;
	bool              retiring;
	bool              stopping;
} own;

int
pools_start(const struct pools_place *place)
{
	struct weir_upstream *u;
	struct pool          *p;
	unsigned              n = 0;

	pools = *place;
	memset(&own, 0, sizeof own);
	for (unsigned i = 0; (u = upstream_at(place->conf, i)) != NULL; i++)
		n += u->framed_by != NULL ? u->peer_count : 0;
	if ((own.all = calloc(n + 1, sizeof *own.all)) == NULL)
		return -1;
	slab_init(&own.requests, sizeof(struct request));
	own.requests.spare = REQUEST_PAGES;
	slab_init(&own.attempts, sizeof(struct weir_attempt));
	links_start();
	loop_timer_init(&own.tick, tick, NULL);
	for (unsigned i = 0; (u = upstream_at(place->conf, i)) != NULL; i++) {
		list_init(&u->queue);
		u->queued = 0;
		for (unsigned k = 0; u->framed_by != NULL && k < u->peer_count; k++) {
			p = &own.all[own.count++];
			u->peers[k].pool = p;
			p->peer = &u->peers[k];
			list_init(&p->links);
			share_start(p);
			p->kept = (unsigned)(u->pool_min_idle / place->slots +
			    (place->slot < u->pool_min_idle % place->slots));
			if (p->kept > 0)
				pools_watch();
		}
	}
	return 0;
}

void
pools_retire(void)
{
	own.retiring = true;
	for (unsigned i = 0; i < own.count; i++)
		own.all[i].retires = true;
}

void
pools_hold(void)
{
	own.stopping = true;
}

void
pools_stop(void)
{
	struct node *n;

	own.stopping = true;
	for (unsigned i = 0; i < own.count; i++) {
		while ((n = list_first(&own.all[i].links)) != NULL)
			link_abandon(container_of(n, struct link, node));
		share_stop(&own.all[i]);
	}
	if (own.all == NULL)
		return;
	loop_timer_stop(&own.tick);
	links_stop();
	slab_finish(&own.requests);
	slab_finish(&own.attempts);
	free(own.all);
	memset(&own, 0, sizeof own);
}

void
pool_heard(enum pool_word word, int peer, unsigned slot)
{
	for (unsigned i = 0; i < own.count; i++) {
		if (own.all[i].peer->board != peer)
			continue;
		if (word == POOL_WANTED)
			share_wanted(&own.all[i], slot);
		else
			share_freed(&own.all[i]);
	}
}

/* ------------------------------------------------------------------- askers */

/* Whether its link is its own for its stay. */
static bool
asker_borrows(const struct asker *a)
{
	return a->link != NULL && a->link->lent == a;
}

void
asker_init(struct asker *a)
{
	list_init(&a->requests);
}

bool
asker_may_ask(const struct asker *a, const struct weir_upstream *u)
{
	const struct link *l = a->link;

	if (a->waiting > 0 || (u->mode == POOL_REQUEST && a->count > 0))
		return false;
	return l == NULL || (link_takes(l) && l->depth < u->pipeline_depth);
}

uint64_t
asker_waits_since(const struct asker *a)
{
	return a->waiting > 0 ? container_of(a->requests.next, struct request, of_asker)->since
			      : 0;
}

void
asker_give_up(struct asker *a, struct weir_upstream *u)
{
	struct node    *n, *following;
	struct request *r;

	list_each(n, following, &a->requests) {
		r = container_of(n, struct request, of_asker);
		if (r->bytes == NULL)
			continue;
		unqueue(u, r);
		request_fail(r, u, WEIR_FAILED_POOL_WAIT, false);
		if (a->waiting == 0)	/* or it has left */
			break;
	}
}

void
asker_leave(struct asker *a, struct weir_upstream *u)
{
	struct link    *lent = asker_borrows(a) ? a->link : NULL;
	struct node    *n;
	struct request *r;

	while ((n = list_first(&a->requests)) != NULL) {
		r = container_of(n, struct request, of_asker);
		if (r->bytes != NULL)
			unqueue(u, r);
		(void)request_detach(r);
		if (!node_linked(&r->of_link))
			request_free(r);
	}
	a->link = NULL;
	if (lent != NULL)
		link_abandon(lent);
}

/* ------------------------------------------------------------------ requests */

bool
pool_ask(struct weir_upstream *u, struct asker *a, const struct framing *framing,
    struct weir_span bytes, const struct weir_message *m, enum weir_failure *why)
{
	struct request *r = slab_take(&own.requests);

	*why = WEIR_FAILED_NO_MEMORY;
	board_add(&u->cell[UPSTREAM_REQUESTS], 1);
	if (r != NULL) {
		r->asker = a;
		r->framing = framing;
		r->length = (uint32_t)bytes.len;
		r->kind = m->kind;
		r->replies = m->replies;
		list_append(&a->requests, &r->of_asker);
		a->count++;
		/* Those that came first go first. */
		if (a->link == NULL && u->queued > 0 ? enqueue(u, r, bytes, why)
						     : place(u, r, bytes, why))
			return true;
		(void)request_detach(r);
		request_free(r);
	}
	count_failure(u, *why);
	return false;
}

/* At a limit of the pool the operator may have to act. */
static void
count_failure(struct weir_upstream *u, enum weir_failure why)
{
	board_add(&u->cell[UPSTREAM_FAILED + why], 1);
	if ((why != WEIR_FAILED_POOL_QUEUE && why != WEIR_FAILED_POOL_WAIT) ||
	    !loop_complain(&u->complained))
		return;
	log_warn("upstream %s: requests fail (%s), %u more wait: more links (pool_size), more "
		 "requests on each (pipeline_depth) or more peers may help",
	    u->name, upstream_failure_name(why), u->queued);
}

struct asker *
request_detach(struct request *r)
{
	struct asker *a = r->asker;

	if (a == NULL)
		return NULL;
	r->asker = NULL;
	node_unlink(&r->of_asker);
	if (--a->count == 0 && !asker_borrows(a))
		a->link = NULL;
	return a;
}

void
request_free(struct request *r)
{
	buf_return(&r->bytes);
	slab_give(&own.attempts, r->attempt);
	slab_give(&own.requests, r);
}

void
request_fail(struct request *r, struct weir_upstream *u, enum weir_failure why, bool cut)
{
	const struct framing *framing = r->framing;
	uint32_t              kind = r->kind;
	bool                  silent = r->replies == 0;
	struct asker         *a = request_detach(r);

	count_failure(u, why);
	request_free(r);
	if (a != NULL && silent && why != WEIR_FAILED_NO_MEMORY)
		pools.ops->reply(a, span(NULL, 0), true);	/* nobody waits to be told */
	else if (a != NULL)
		pools.ops->failed(a, framing, kind, why, cut);
}

void
request_move(struct request *r, struct weir_upstream *u, struct weir_span bytes,
    const struct weir_peer *failed)
{
	enum weir_failure why = WEIR_FAILED_NO_MEMORY;
	struct asker     *a = r->asker;

	if (failed != NULL) {
		if (r->attempt == NULL && (r->attempt = slab_take(&own.attempts)) == NULL)
			goto fail;
		if (r->attempt->tried == 0)
			attempt_begin(r->attempt, pools.ops->from(a), loop_now());
		r->attempt->tried++;
		attempt_rule_out(r->attempt, failed);
	} else if (r->moves++ > u->retries) {
		why = WEIR_FAILED_PEER_CLOSED;
		goto fail;
	}
	if (a->waiting > 0 ? enqueue(u, r, bytes, &why) : place(u, r, bytes, &why)) {
		board_add(&u->cell[UPSTREAM_MOVED], 1);
		if (a->waiting > 0)
			pools.ops->waits(a);
		return;
	}
fail:
	request_fail(r, u, why, false);
}

void
framing_fault(const char *protocol, const char *what)
{
	static uint64_t complained;

	if (loop_complain(&complained))
		log_alert("protocol %s: its parser of %s returned what is none of enum weir_parse, "
			  "or a length of 0",
		    protocol, what);
}

/* Onto a link, or into the queue. False: it has failed. */
static bool
place(struct weir_upstream *u, struct request *r, struct weir_span bytes,
    enum weir_failure *why)
{
	struct link *l;

	switch (find(u, r, &l, why)) {
	case FOUND:
		return put(u, l, r, bytes, why);
	case BUSY:
		return enqueue(u, r, bytes, why);
	case NOWHERE:
		break;
	}
	return false;
}

/* A link for it. */
static enum found
find(struct weir_upstream *u, struct request *r, struct link **link, enum weir_failure *why)
{
	struct weir_attempt fresh, *a = r->attempt;
	bool                busy = false;

	if ((*link = r->asker->link) != NULL)
		return FOUND;
	if (a == NULL) {
		a = &fresh;
		attempt_begin(a, pools.ops->from(r->asker), loop_now());
	}
	a->now = loop_now();
	a->pooled = true;
	*link = lend_link(u, a, &busy);
	if (*link == NULL && busy)
		return BUSY;
	if (a->tried > 0 && *link != NULL)
		board_add(&u->cell[UPSTREAM_RETRIED], 1);
	*why = a->tried > 0 ? WEIR_FAILED_CONNECT : WEIR_FAILED_NO_PEER;
	return *link != NULL ? FOUND : NOWHERE;
}

static bool
put(struct weir_upstream *u, struct link *l, struct request *r, struct weir_span bytes,
    enum weir_failure *why)
{
	*why = WEIR_FAILED_NO_MEMORY;
	if (!link_put(l, r, bytes))
		return false;
	r->asker->link = l;
	if (u->mode == POOL_SESSION)
		l->lent = r->asker;
	return true;
}

static uint64_t
queue_limit(const struct weir_upstream *u)
{
	return u->pool_queue == WEIR_AUTOMATIC ? pools.queue : u->pool_queue;
}

static bool
enqueue(struct weir_upstream *u, struct request *r, struct weir_span bytes,
    enum weir_failure *why)
{
	/* One that was moved stays behind the others of its asker. */
	*why = WEIR_FAILED_POOL_QUEUE;
	if (u->queued >= queue_limit(u) && r->asker->waiting == 0)
		return false;
	*why = WEIR_FAILED_NO_MEMORY;
	if (buf_append(&r->bytes, bytes) < 0)
		return false;
	r->since = loop_now();
	r->asker->waiting++;
	list_append(&u->queue, &r->of_link);
	u->queued++;
	board_add(&u->cell[UPSTREAM_WAITING], 1);
	board_add(&u->cell[UPSTREAM_WAITED], 1);
	pools_watch();
	return true;
}

static void
unqueue(struct weir_upstream *u, struct request *r)
{
	node_unlink(&r->of_link);
	r->asker->waiting--;
	u->queued--;
	board_give(u->board, UPSTREAM_WAITING, u->seat);
}

/* Those that are particular, because peers have failed them, do not hold up the
 * others. */
void
pool_serve(struct weir_upstream *u)
{
	struct node     aside, *n;
	struct request *r;

	list_init(&aside);
	while (!own.stopping && (n = list_first(&u->queue)) != NULL) {
		r = container_of(n, struct request, of_link);
		if (serve(u, r))
			continue;
		if (r->attempt == NULL)
			break;
		node_unlink(n);
		list_append(&aside, n);
	}
	while ((n = list_last(&aside)) != NULL) {
		node_unlink(n);
		list_prepend(&u->queue, n);
	}
}

/* One that waits goes on, or fails. False: it has to wait. */
static bool
serve(struct weir_upstream *u, struct request *r)
{
	struct asker     *a = r->asker;
	struct link      *l;
	enum weir_failure why;

	switch (find(u, r, &l, &why)) {
	case FOUND:
		if (take_up(u, l, a))
			pools.ops->placed(a);
		return true;
	case BUSY:
		return false;
	case NOWHERE:
		break;
	}
	unqueue(u, r);
	request_fail(r, u, why, false);
	return true;
}

/* All that an asker has waiting goes on together. False: memory is short, and it
 * has left. */
static bool
take_up(struct weir_upstream *u, struct link *l, struct asker *a)
{
	struct node      *n, *following;
	struct request   *r;
	struct buf       *bytes;
	enum weir_failure why;
	bool              taken;

	list_each(n, following, &a->requests) {
		r = container_of(n, struct request, of_asker);
		bytes = r->bytes;
		unqueue(u, r);
		r->bytes = NULL;
		taken = put(u, l, r, buf_span(bytes), &why);
		buf_return(&bytes);
		if (!taken)
			request_fail(r, u, why, false);
		if (a->waiting == 0)
			break;
	}
	return a->count > 0;
}

/* --------------------------------------------------------- from time to time */

void
pools_watch(void)
{
	if (own.watching)
		return;
	own.watching = true;
	loop_timer_start(&own.tick, POOL_TICK);
}

static void
tick(void *argument)
{
	struct weir_upstream *u;
	bool                  more = false;

	(void)argument;
	for (unsigned i = 0; (u = upstream_at(pools.conf, i)) != NULL; i++)
		if (u->framed_by != NULL)
			more |= look_after(u);
	own.watching = more;
	if (more)
		loop_timer_start(&own.tick, POOL_TICK);
	else
		slab_trim(&own.requests);
}

/* Whether there is something to look after. */
static bool
look_after(struct weir_upstream *u)
{
	bool         more;
	struct pool *p;

	for (unsigned i = 0; i < u->peer_count; i++)
		u->peers[i].full = false;
	pool_serve(u);
	more = u->queued > 0;
	for (unsigned i = 0; i < u->peer_count; i++) {
		p = u->peers[i].pool;
		share_look(p);
		if (own.retiring)
			close_idle(p);
		else if (p->count < p->kept)
			keep_ready(p);
		more |= p->count > 0 || (p->kept > 0 && !own.retiring);
	}
	return more;
}

/* A worker that goes keeps for a little while what its sessions come back to. */
static void
close_idle(struct pool *p)
{
	struct node *n, *following;
	struct link *l;

	list_each(n, following, &p->links) {
		l = container_of(n, struct link, node);
		if (l->depth == 0 && l->lent == NULL && loop_now() >= l->since + RETIRING_IDLE)
			link_drain(l, PEER_LINKS_CLOSED_IDLE);
	}
}

/* One link a tick: a peer that comes back is not run down. */
static void
keep_ready(struct pool *p)
{
	static const struct addr_packed nobody;
	struct weir_attempt             a;
	bool                            busy;

	attempt_begin(&a, &nobody, loop_now());
	a.stage = p->peer->backup ? ATTEMPT_BACKUP : ATTEMPT_GOOD;
	if (peer_fits(p->peer, &a) &&
	    board_sum(p->peer->board, PEER_LINKS) < p->peer->upstream->pool_size)
		(void)lend_open(p, &a, &busy);
}
