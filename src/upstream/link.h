/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * link: one pooled connection to a peer.
 *
 *	CONNECTING ──► OPEN ──► DRAINING ──► PARTING ──► CLOSED
 *	     │           └──────────┼───────────▲           ▲
 *	     └───────────┴──────────┴───────────────────────┘  any break
 *
 *	CONNECTING  requests are taken already, and sent when it is open
 *	OPEN
 *	DRAINING    takes no more requests; those that it has get their replies
 *	PARTING     has none; our end is sent behind what is unsent, and the peer's
 *	            is waited for: its tokens are free only then, so that the peer
 *	            does not count more links than there may be. It has
 *	            LINK_PARTING_TIME for it; when it still works on what nobody
 *	            waits for any more, as long as for a reply
 *
 *	out    requests, one behind the other; all of a pass leave in one write
 *	FIFO   those that are in `out` or sent and not answered, in that order:
 *	       the reply that comes is that of the first
 *
 * A position counts the bytes ever put on the link: a request is unsent while
 * its first byte lies at or behind `sent`, and then can go elsewhere.
 *
 * A link carries, and says upwards what has happened (link_ops). It does so at
 * the end of its turn, when nothing of it is under way any more; only replies and
 * failures are passed on at once, and those who get them do nothing but keep them
 * (requester_ops).
 */
#ifndef UPSTREAM_LINK_H
#define UPSTREAM_LINK_H

#include "net/conn.h"
#include "net/dial.h"
#include "upstream/idle.h"
#include "upstream/request.h"

enum link_state { LINK_CONNECTING, LINK_OPEN, LINK_DRAINING, LINK_PARTING, LINK_CLOSED };

#define LINK_SHARE         4u		/* reads a turn */
#define LINK_PARTING_TIME  200u		/* ms that the peer has to end its side, too … */
#define LINK_PARTING_BUSY  10000u	/* … when it is busy, without reply_timeout */
#define LINK_OUT_MAX       262144u	/* unsent bytes: a link with more takes no request */
#define LINK_SLOTS_MAX     256u		/* workers that may ask for one */

/* The links to one peer from this worker. link keeps the list and the counts,
 * share what concerns tokens, pool the rest. */
struct pool {
	struct weir_peer *peer;
	struct node       links;
	struct node       queue;	/* who waits for a link of this peer, and no other */
	struct link      *filling;	/* goes first in pool = pipeline; NULL: none */
	unsigned          count;	/* links, in whatever state */
	unsigned          connecting;
	unsigned          leaving;	/* DRAINING or PARTING */
	/* share */
	uint64_t          hold_until;	/* ms: others go first */
	uint64_t          ask_again;	/* ms */
	uint64_t          held_since;	/* ms: of its first link */
	bool              yields;	/* gives one up for a worker that it cannot tell */
	bool              retires;	/* as its worker does: newer limits hold for it */
	uint64_t          wanted_by[LINK_SLOTS_MAX / 64];	/* bits of slots */
	/* pool */
	unsigned          kept;		/* its part of pool_min_idle */
	uint64_t          ready_after;	/* ms: no link is made ready before */
	uint64_t          ready_pause;	/* ms: doubles while links end unused */
};

struct link {
	struct conn        conn;
	struct dial        dial;
	struct pool       *pool;
	struct node        node;	/* of the pool's; then of those to be freed */
	struct node        requests;	/* the FIFO */
	struct buf        *out;
	struct requester  *borrower;	/* whose alone it is; NULL: nobody's */
	uint64_t           sent;	/* position */
	uint64_t           passing;	/* bytes of the present reply that are still to come */
	uint64_t           since;	/* ms: began to connect; is open; is idle; is parting */
	uint64_t           expires;	/* ms: pool_lifetime; UINT64_MAX: never */
	struct idle        idle;	/* whether its peer is still there */
	uint64_t           probing;	/* ms: when it was let through to a failed peer; or 0 */
	struct addr_packed asked_by;	/* whose the last request was when none was left; */
	const struct framing *asked_in;	/* its protocol's settings; NULL: there was none */
	uint32_t           asked_kind;
	uint32_t           usual;	/* bytes in `out` when it was sent last */
	uint32_t           depth;	/* requests in the FIFO */
	uint16_t           error;	/* errno of the fault, or 0 */
	uint8_t            state;	/* enum link_state */
	uint8_t            fault;	/* it breaks at the end of its turn: 0, or enum
					   weir_failure + 1 */
	bool               answered;	/* a reply has come */
	bool               busy;	/* PARTING: the peer has had requests without a reply */
	bool               starved;	/* this machine had nothing to connect with */
	bool               departed;	/* it goes on in another worker, with its tokens */
	_Alignas(16) char  memory[WEIR_PARSER_MEMORY];
};

/* What a link says to whoever has it. */
struct link_ops {
	/* At the end of its turn: it may have room, or have closed. */
	void (*settled)(struct link *);
	/* A request that was unsent when the link broke: it is in no FIFO, and SENT still.
	 * failed: the peer, if that could not be connected to. */
	void (*moved)(struct request *, struct weir_span bytes, const struct weir_peer *failed);
	/* It is CLOSED: out of the list and the counts. The memory goes after the pass. */
	void (*closed)(struct link *);
};

/* Per worker: begin (after requests_start), end. */
void links_start(const struct link_ops *);
void links_stop(void);

/* Begins to connect to the pool's peer; the tokens become the link's. NULL: it
 * cannot even begin, which has been reported (*blamed: the peer) or logged. */
struct link *link_open(struct pool *, const struct weir_attempt *, bool *blamed)
    __attribute__((warn_unused_result));

/* Puts a NEW or QUEUED request behind the others: SENT. Returns false when memory is
 * short; it is as it was then. */
bool link_put(struct link *, struct request *, struct weir_span bytes)
    __attribute__((warn_unused_result));

/* Whether it takes another request, by its state, its unsent bytes, and because nobody
 * doubts that its peer is there. */
static inline bool
link_takes(const struct link *l)
{
	return l->state <= LINK_OPEN && l->idle.asked == 0 &&
	    (l->out == NULL || buf_len(l->out) < LINK_OUT_MAX);
}

/* Takes no more requests, and parts when it has none. */
void link_drain(struct link *, unsigned counter);

/* Whose alone it was has gone, and so has what the peer knew of him: it parts,
 * without the replies to what he had asked. */
void link_release(struct link *);

/* Closes it, which says nothing about the peer. What it has belongs to nobody. */
void link_abandon(struct link *);

/* Its client moves to another worker (session/move), and the link, which is his alone,
 * with him. Whether nothing is under way on it. */
static inline bool
link_rests(const struct link *l)
{
	const struct conn *c = &l->conn;

	return l->state == LINK_OPEN && l->depth == 0 && l->out == NULL && l->fault == 0 &&
	    c->in == NULL && !c->eof && !c->broken && !c->write_shut;
}

/* It was sent there, and its tokens with it: ends here. */
void link_depart(struct link *);

/* One that has come: open, its requester's alone, its tokens are here. NULL: memory is
 * short, or the fd cannot be watched; both stay the caller's. */
struct link *link_restore(struct pool *, int fd, struct requester *)
    __attribute__((warn_unused_result));

#endif
