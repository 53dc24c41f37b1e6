/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order: a client's requests in the order they were asked, and so their replies.
 *
 *	 first                    last
 *	┌───────────┐ ┌──────┐ ┌──────┐
 *	│ ANSWERING │ │ HELD │ │ SENT │     what comes of the first goes straight to
 *	└─────┬─────┘ └──────┘ └──────┘     the client; of the others it is held, at
 *	      ▼                             most reply_max bytes
 *	    client
 *
 * With one link replies come in this order, and nothing is ever held. Requests that
 * went to several, or that failed before those in front of them, wait for their
 * turn here.
 */
#ifndef SESSION_ORDER_H
#define SESSION_ORDER_H

#include "upstream/request.h"

/* Where what has its turn goes. None of these may change the order. */
struct order_sink {
	/* A part of the first one's reply; last: it is done, and out of the order. */
	void (*send)(struct requester *, struct weir_span part, bool last);
	/* The first one has failed, and is out of the order; cut: parts were sent. */
	void (*failed)(struct requester *, const struct framing *, uint32_t kind,
	    enum weir_failure, bool cut);
	/* What was LAST is done. */
	void (*ended)(struct requester *);
};

/* Worker: once. */
void orders_start(const struct order_sink *);

/* Behind all others. */
void order_add(struct requester *, struct request *);

/* A part of a request's reply. Returns false when more than `most` bytes would have
 * to be held, or memory is short: the client can no longer be served. */
bool order_reply(struct request *, struct weir_span part, bool last, uint64_t most)
    __attribute__((warn_unused_result));

/* It has none. */
void order_fail(struct request *, enum weir_failure, bool cut);

/* None of them is waited for any more: each fails, in their order. */
void order_give_up(struct requester *, enum weir_failure);

/* The client goes: no more calls for any of them. */
void order_leave(struct requester *);

#endif
