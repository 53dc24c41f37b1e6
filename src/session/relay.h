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

#include "net/dial.h"
#include "net/pipe.h"
#include "session/preread.h"
#include "session/session.h"
#include "upstream/upstream.h"

/* One of the two ways. */
struct flow {
	struct pipe *pipe;	/* lent while it carries much; NULL: bytes are copied */
	uint8_t      bulk;	/* large reads in a row, up to RELAY_BULK */
};

/* What connecting takes, and is given back soon after: when the peer is connected its
 * socket gets the rest of its options (sock_settle) before the second time that
 * something is sent, or after RELAY_SETTLE. A session that is over by then needs none. */
struct relay_opening {
	struct dial         dial;
	struct weir_attempt attempt;
	struct node         link;	/* of those that are connected */
	struct preread      preread;	/* what its client has said meanwhile */
	uint64_t            started;	/* µs: began to connect, where a balancer asks */
	uint64_t            since;	/* ms: connected */
	bool                sent;	/* something */
};

#define RELAY_SETTLE 1000u	/* ms, to twice that */

#define RELAY_SILENCE 500u	/* ms without a byte: it may be ended */

#define RELAY_BULK       4u	/* so many of at least … */
#define RELAY_BULK_LEAST 16384u	/* … this make a pipe worth its while */

struct relay {
	struct conn           peer_conn;
	struct weir_session  *session;
	struct weir_upstream *upstream;
	struct weir_peer     *peer;		/* NULL: none yet */
	struct relay_opening *opening;		/* NULL: it is over */
	struct flow           up;		/* client to peer */
	struct flow           down;
	uint64_t              blocked;		/* the peer takes nothing since; 0: all sent */
	uint64_t              half_closed;	/* one side has ended since; 0: none or both */
	bool                  holds;		/* the peer's token */
	bool                  heard;		/* something has come from the peer */
};

/* STEP_RELAY: entering it begins to connect. */
extern const struct session_mode relay_mode;

/* Gives the session a relay, which sends `first` before all else. Returns false when
 * memory is short. */
bool relay_open(struct weir_session *, struct weir_upstream *, struct weir_span first)
    __attribute__((warn_unused_result));

/* Per worker. */
void relay_start(void);
void relay_stop(void);

#endif
