/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * relay: a session's bytes, both ways, between its client and one peer.
 *
 *	client.fd ──read──► scratch ──send──► peer.fd     and the same back
 *	    │                  └─ what the socket does not take: conn.out
 *	    └──splice──► pipe ──splice──► peer.fd         once it carries much
 *
 * A side is read only while one more read fits into write_buffer beside what
 * waits for the other side: so no more than write_buffer waits. The end of one
 * side is passed on behind the last byte (half-close).
 */
#ifndef SESSION_RELAY_H
#define SESSION_RELAY_H

#include "net/pipe.h"
#include "session/session.h"
#include "upstream/upstream.h"

/* One of the two ways. */
struct flow {
	struct pipe *pipe;	/* lent while it carries much; NULL: bytes are copied */
	uint8_t      bulk;	/* large reads in a row, up to RELAY_BULK */
};

#define RELAY_BULK       4u	/* so many of at least … */
#define RELAY_BULK_LEAST 16384u	/* … this make a pipe worth its while */

struct relay {
	struct conn           peer_conn;
	struct weir_session  *session;
	struct weir_upstream *upstream;
	struct weir_peer     *peer;		/* NULL: none yet */
	bool                  holds;		/* the peer's token */
	uint64_t              connect_by;	/* ms; 0: connected */
	struct flow           up;		/* client to peer */
	struct flow           down;
	uint64_t              blocked;		/* the peer takes nothing since; 0: all sent */
	uint64_t              half_closed;	/* one side has ended since; 0: none or both */
	struct weir_attempt   attempt;
};

/* Begins to connect. `first` is sent before all else. Returns false when it
 * can't even begin; *why then says it. */
bool relay_open(struct weir_session *, struct weir_upstream *, struct weir_span first,
    enum session_reason *why) __attribute__((warn_unused_result));

/* STEP_RELAY: does what can be done now. */
void relay_run(struct relay *);

/* The nearest of its own deadlines (UINT64_MAX: none) and what it means. */
uint64_t relay_deadline(const struct relay *, enum session_reason *);

/* connect_by has passed: on to the next peer, or the end of the session. */
void relay_connect_expired(struct relay *);

/* Gives everything back; the memory goes with the session's, in relay_free. */
void relay_close(struct relay *);
void relay_free(struct relay *);

/* What waits for the client beside client.out. */
static inline size_t
relay_waiting(const struct relay *r)
{
	return r->down.pipe != NULL ? r->down.pipe->held : 0;
}

void relays_start(void);
void relays_stop(void);

#endif
