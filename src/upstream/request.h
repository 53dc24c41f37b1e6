/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request: one client's message on its way to its reply, and who asks.
 *
 *	asker ──► request ──► (queue of the upstream) ──► link ──► peer
 *	  ▲                                                │
 *	  └──────────── reply, or failed, in order ────────┘
 *
 * A request ends in exactly one of: its reply; failed; its asker's leave.
 */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/queue.h"
#include "net/addr.h"
#include "weir.h"

struct buf;
struct link;
struct weir_attempt;
struct weir_upstream;

/* A protocol and its settings in one server. */
struct framing {
	const struct weir_exchange *exchange;	/* NULL: a protocol without requests */
	const void                 *conf;
};

/* A message is done with: the parser's memory is as it was before any. It has
 * room for whole words. */
static inline void
parser_reset(const struct weir_exchange *x, void *memory)
{
	uint64_t *word = memory;

	for (size_t i = 0; i < x->mem_size; i += sizeof *word)
		*word++ = 0;
}

/*
 * Whoever asks: embedded in its owner, zeroed, then asker_init. Its requests are
 * all on one link, or all waiting: so its order holds.
 */
struct asker {
	struct node  requests;	/* in the order they were asked */
	struct link *link;	/* that has those in flight, or is lent to it; NULL: none */
	uint16_t     count;	/* requests */
	uint16_t     waiting;	/* of them, those that wait for a link: none or all */
};

/* How a worker's askers hear of their requests. Each may make the asker leave. */
struct asker_ops {
	/* A part of a reply, valid until it returns; last: the request is done. */
	void (*reply)(struct asker *, struct weir_span part, bool last);
	/* There will be no reply, the request is done. cut: parts were given. No
	 * memory: that may be told before the reply to an earlier one. */
	void (*failed)(struct asker *, const struct framing *, uint32_t kind,
	    enum weir_failure, bool cut);
	/* A request that was on a link has to wait: asker_waits_since. */
	void (*waits)(struct asker *);
	/* What waited is on its way: asker_may_ask may say yes again. */
	void (*placed)(struct asker *);
	/* The link that was lent to it is gone; busy: with requests in flight. */
	void (*lost)(struct asker *, bool busy);
	/* Where it comes from, for balancers. */
	const struct addr_packed *(*from)(const struct asker *);
};

struct request {
	struct node           of_link;	/* in the link's FIFO or the upstream's queue */
	struct node           of_asker;
	struct asker         *asker;	/* NULL: gone; its reply is thrown away */
	const struct framing *framing;
	struct weir_attempt  *attempt;	/* peers that failed it; NULL: none has */
	struct buf           *bytes;	/* while it waits */
	uint64_t              since;	/* ms: waits, or is on its link */
	uint64_t              end;	/* position on its link behind its last byte */
	uint32_t              length;	/* bytes */
	uint32_t              kind;
	uint8_t               replies;	/* still to come */
	uint8_t               moves;	/* links that were gone before it was sent */
	bool                  begun;	/* a part of the reply has been given */
};

#endif
