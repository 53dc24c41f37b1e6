/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exchange: a client's requests, and the replies that come back (STEP_EXCHANGE).
 *
 *	client.fd ──read──► scratch ──parse──► pool_ask ──► link ──► peer
 *	             client.in ──┘                            │
 *	client.fd ◄──one write a pass── client.out ◄──────────┘ reply, or failure
 *
 * The client is read while its next request would be taken: it has less than
 * pipeline_per_client in flight, none that waits for a link, and room for
 * replies. What it has sent beyond that stays in client.in, and then in the
 * kernel.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "session/session.h"
#include "upstream/request.h"

/* The protocol's state, in the session's allocation. */
struct exchange {
	struct asker asker;
	bool         stalled;	/* client.in may hold whole requests */
	bool         given_up;	/* what is there has waited long enough */
	uint8_t      ends;	/* enum session_reason, once the replies have come; or 0 */
	uint8_t      why;	/* enum weir_failure of the last request that failed */
	bool         looked;	/* for an error, since it was read last */
	_Alignas(8) char memory[];	/* the parser's, for the message that is beginning */
};

/* What it needs of weir_session.state, in bytes. */
size_t exchange_size(const struct weir_exchange *);

/* STEP_EXCHANGE. */
extern const struct session_mode exchange_mode;

/* How the pools speak to the sessions. */
extern const struct asker_ops exchange_askers;

#endif
