/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * link: one pooled connection to a peer.
 *
 *	CONNECTING ──► OPEN ──► DRAINING ──► CLOSED
 *	     └───────────┴──────────┴───────────▲   (any break)
 *
 *	out    requests, one behind the other; all of a pass leave in one write
 *	FIFO   those that are in `out` or sent and not answered, in that order:
 *	       the reply that comes is that of the first
 *
 * A position counts the bytes ever put on the link: a request is unsent while
 * its first byte lies at or behind `sent`, and then can go elsewhere.
 */
#ifndef UPSTREAM_LINK_H
#define UPSTREAM_LINK_H

#include "net/conn.h"
#include "net/dial.h"
#include "upstream/request.h"

struct pool;

enum link_state { LINK_CONNECTING, LINK_OPEN, LINK_DRAINING, LINK_CLOSED };

#define LINK_SHARE   4u		/* reads a turn */
#define LINK_LOOK    1000u	/* ms of silence, after which an unsure conn is read again */
#define LINK_PARTING 200u	/* ms that the peer has to end its side, too */
#define LINK_OUT_MAX 262144u	/* unsent bytes: a link with more takes no request */

struct link {
	struct conn     conn;
	struct dial     dial;
	struct pool    *pool;
	struct node     node;		/* of the pool's; then of those to be freed */
	struct node     requests;	/* the FIFO */
	struct buf     *out;
	uint32_t        usual;		/* bytes in `out` when it was sent last */
	struct asker   *lent;		/* pool = session: whose it is */
	uint64_t        sent;		/* position */
	uint64_t        passing;	/* bytes of the present reply that are still to come */
	uint64_t        since;		/* ms: began to connect; is open; is idle */
	uint64_t        heard;		/* ms: of the last read */
	uint64_t        expires;	/* ms: pool_lifetime; UINT64_MAX: never */
	uint64_t        probing;	/* ms: when it was let through to a failed peer; or 0 */
	uint32_t        depth;		/* requests in the FIFO */
	uint8_t         state;		/* enum link_state */
	bool            answered;	/* a reply has come */
	bool            parting;	/* our end is sent, the peer's is waited for */
	_Alignas(16) char memory[WEIR_PARSER_MEMORY];
};

/* Begins to connect to the pool's peer; the tokens become the link's. NULL: it
 * cannot even begin, which has been reported (*blamed: the peer) or logged. */
struct link *link_open(struct pool *, const struct weir_attempt *, bool *blamed)
    __attribute__((warn_unused_result));

/* Puts a request behind the others. Returns false when memory is short; it is
 * the caller's then. */
bool link_put(struct link *, struct request *, struct weir_span bytes)
    __attribute__((warn_unused_result));

/* Whether it takes another request, by its state and its unsent bytes. */
static inline bool
link_takes(const struct link *l)
{
	return l->state <= LINK_OPEN && (l->out == NULL || buf_len(l->out) < LINK_OUT_MAX);
}

/* Takes no more requests and closes when it has none. */
void link_drain(struct link *, unsigned counter);

/* The peer is done with it: what was sent fails (the first request with `why`),
 * what was not goes elsewhere. error: errno, or 0. */
void link_break(struct link *, enum weir_failure why, int error);

/* We are done with it, which says nothing about the peer. Its requests have no
 * askers any more. */
void link_abandon(struct link *);

void links_start(void);
void links_stop(void);

#endif
