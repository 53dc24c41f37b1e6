/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exchange: a client's requests, and the replies that come back (STEP_EXCHANGE).
 *
 *	client.fd ──read──► scratch ──parse──► pool_ask ──► link ──► peer
 *	             client.in ──┘                            │
 *	client.fd ◄──one write a pass── client.out ◄── order ◄┘ reply, or failure
 *
 * The client is read while its next request would be taken: it has less than
 * pipeline_per_client in flight, does not wait for a link, and has room for
 * replies. What it has sent beyond that stays in client.in, and then in the
 * kernel; from there it is asked when there is room again.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "session/session.h"
#include "upstream/request.h"

/* How it goes on. Replies and failures only note it: it is done in the session's turn. */
enum exchange_outlook {
	EXCHANGE_GOES_ON,
	EXCHANGE_ENDS,		/* no more requests; when the replies have come, it is over */
	EXCHANGE_FINISHES,	/* over, when what waits for the client has gone */
	EXCHANGE_CLOSES,	/* at once */
};

/* The protocol's state, in the session's allocation. */
struct exchange {
	struct requester requester;
	uint8_t          outlook;	/* enum exchange_outlook */
	uint8_t          reason;	/* enum session_reason of its end */
	uint8_t          why;		/* enum weir_failure of the last request that failed */
	bool             stalled;	/* client.in may hold whole requests */
	bool             given_up;	/* what is there has waited long enough */
	bool             behind;	/* the next request waits for replies to others */
	_Alignas(8) char memory[];	/* the parser's, for the message that is beginning */
};

/* What it needs of weir_session.state, in bytes. */
size_t exchange_size(const struct weir_exchange *);

/* Worker: once. */
void exchanges_start(void);

/* STEP_EXCHANGE. */
extern const struct session_mode exchange_mode;

/* How the pools speak to the sessions. */
extern const struct requester_ops exchange_requesters;

#endif
