/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool: requests of many askers over few links.
 *
 *	pool_ask ──► a link with room ────────────► its FIFO ──► peer
 *	    └──────► the upstream's queue ── room ──────▲
 *
 * Which link: with one's own requests in flight, that one. Otherwise the
 * balancer names peers, and of the peer's pool
 *
 *	pipeline   the fullest link below pipeline_spread; or a new one; or the
 *	           least deep below pipeline_depth
 *	request    a link with nothing in flight; or a new one
 *	session    a link that nobody has; or a new one; it stays the asker's
 *
 * When all that can be used are full, the request waits, at most pool_wait,
 * with at most pool_queue others; those that came first go first. Connections
 * are limited over all workers, by tokens on the board: upstream/share.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "upstream/link.h"
#include "upstream/request.h"
#include "upstream/upstream.h"

/* The links to one peer from this worker. */
struct pool {
	struct weir_peer *peer;
	struct node       links;
	struct link      *filling;	/* goes first in pool = pipeline; NULL: none */
	unsigned          count;	/* links, those that connect and drain included */
	unsigned          connecting;
	unsigned          draining;
	unsigned          kept;		/* its part of pool_min_idle */
	/* upstream/share */
	uint64_t          hold_until;	/* ms: others go first */
	uint64_t          ask_again;	/* ms */
	uint64_t          held_since;	/* ms: of its first link */
	bool              yields;	/* gives one up for a worker that it cannot tell */
	bool              retires;	/* as its worker does: newer limits hold for it */
	uint64_t          askers[4];	/* bits of the slots that want a link */
};

/* How a worker speaks to others of its generation about the links to a peer (its
 * board entry): POOL_WANTED to all that can hear, POOL_FREED to one slot. */
enum pool_word { POOL_WANTED, POOL_FREED };

struct pools_place {
	const struct conf      *conf;
	unsigned                seat;
	unsigned                slot;
	unsigned                slots;
	uint64_t                queue;		/* what pool_queue = auto means */
	const struct asker_ops *ops;
	void                  (*tell)(enum pool_word, int peer, unsigned slot);
};

/* Worker: begin (after upstreams_start); 0, or -1 with errno. */
int  pools_start(const struct pools_place *) __attribute__((warn_unused_result));

/* No new clients will come: links that nobody needs are closed soon. */
void pools_retire(void);

/* All askers are about to leave: what waits is not put on links any more. */
void pools_hold(void);

/* They have left: closes what is open. */
void pools_stop(void);

/* Another worker, of this slot, has said so. */
void pool_heard(enum pool_word, int peer, unsigned slot);

void asker_init(struct asker *);

/* Whether its next request would be taken now: nothing of it waits, and its link,
 * if it has one, has room. When not, a reply or `placed` comes. */
bool asker_may_ask(const struct asker *, const struct weir_upstream *);

/* Since when its first waiting request waits, in ms; 0: none does. */
uint64_t asker_waits_since(const struct asker *);

/*
 * Asks: the bytes are copied. Returns false when the request has failed already
 * (no callback; *why); otherwise it is on a link, or waits. asker_may_ask must
 * have said yes.
 */
bool pool_ask(struct weir_upstream *, struct asker *, const struct framing *,
    struct weir_span bytes, const struct weir_message *, enum weir_failure *why)
    __attribute__((warn_unused_result));

/* pool_wait is over: its waiting requests fail. */
void asker_give_up(struct asker *, struct weir_upstream *);

/* It goes: its requests have no owner any more; no callback is made. A link that
 * was lent to it is closed. */
void asker_leave(struct asker *, struct weir_upstream *);

/* ------------------------------------------------- for link and share alone */

extern struct pools_place pools;

/* A request ends without a reply; the asker is told. Not on any link or queue. */
void request_fail(struct request *, struct weir_upstream *, enum weir_failure, bool cut);

/* A request ends. Takes it from its asker, who may be given more with its reply. */
struct asker *request_detach(struct request *);
void          request_free(struct request *);

/* A link is gone before it was sent: it goes elsewhere. failed: the peer that
 * could not be connected to; NULL: it could. */
void request_move(struct request *, struct weir_upstream *, struct weir_span bytes,
    const struct weir_peer *failed);

/* Room may have come: those that wait are placed. */
void pool_serve(struct weir_upstream *);

/* A parser has said what makes no sense: the module's fault, told once a minute. */
void framing_fault(const char *protocol, const char *what);

/* Something has begun that pools look after from time to time. */
void pools_watch(void);

#define POOL_TICK 50u	/* ms */

#endif
