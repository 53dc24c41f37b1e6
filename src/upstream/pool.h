/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool: requests of many clients over few links to each peer.
 *
 *	pool_ask ──► a link with room ──────────► its FIFO ──► peer
 *	    └─ wait: the client joins the queue ──── room ──► pool_ask
 *
 * Without a key a client's requests stay on one link while there are any, so its
 * order holds; otherwise upstream/pick finds one. When all that may be used are
 * full, the client waits, at most pool_wait, with at most pool_queue others; those
 * that came first go first, each with as many of its requests as fit. Connections
 * are limited over all workers, by tokens on the board: upstream/share.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "upstream/link.h"
#include "upstream/queue.h"
#include "upstream/request.h"
#include "upstream/share.h"
#include "upstream/upstream.h"

struct pools_worker {
	const struct conf          *conf;
	uint64_t                    queue;	/* what pool_queue = auto means */
	const struct requester_ops *ops;
	struct share_worker         share;
};

/* Worker: begin (after upstreams_start); 0, or -1 with errno. */
int  pools_start(const struct pools_worker *) __attribute__((warn_unused_result));

/* No new clients will come: links that nobody needs are closed soon. */
void pools_retire(void);

/* All clients are about to leave: nobody is served from the queue any more. */
void pools_hold(void);

/* They have left: closes what is open. */
void pools_stop(void);

/* Another worker, of this slot, has said so. */
void pool_heard(enum share_word, int peer, unsigned slot);

enum pool_answer {
	POOL_PLACED,	/* it is on a link: SENT */
	POOL_BUSY,	/* not now: the request is as it was. The requester waits in the
			   queue, or has requests whose replies make room */
	POOL_FAILED,	/* it has failed, which is counted; nobody was told */
};

/*
 * A NEW request, with its requester, and its bytes, which are copied. patient: it may
 * wait; otherwise POOL_FAILED says that it had to. pool_may_ask must have
 * said yes. *why: of POOL_FAILED.
 */
enum pool_answer pool_ask(struct weir_upstream *, struct request *, struct weir_span bytes,
    bool patient, enum weir_failure *why) __attribute__((warn_unused_result));

/* Whether its next request may be taken now: it does not wait, and its link, if it has
 * one, has room. When not, a reply or `room` comes. */
static inline bool
pool_may_ask(const struct requester *q, const struct weir_upstream *u)
{
	const struct link *l = q->link;

	if ((q->waiter != NULL && u->served != q) || (u->mode == POOL_REQUEST && q->count > 0))
		return false;
	return l == NULL || (link_takes(l) && l->depth < u->pipeline_depth);
}

/* pool_wait is over: it leaves the queue, and what it had there fails. */
void pool_give_up(struct requester *, struct weir_upstream *);

/* It has waited for a link since then (ms) in another worker, and goes on here. */
void pool_return(struct requester *, struct weir_upstream *, uint64_t since);

/* It goes: its requests must have gone before (request_orphan). A link that was its
 * alone is released. */
void pool_leave(struct requester *, struct weir_upstream *);

#endif
