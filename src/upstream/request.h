/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request: one client's message on its way to its reply, and who asked for it.
 *
 *	            ┌────────► QUEUED ◄───────┐ its link was gone, nothing sent
 *	            │            │            │
 *	NEW ────────┴────────► SENT ──────────┘
 *	 │                     │   └──► ANSWERING ──┐
 *	 │                     └────────────┴───────┴──► ORPHANED ──┐
 *	 └──────────────────────► HELD ──────────────────────────► DONE
 *
 *	NEW        parsed; on no link yet
 *	QUEUED     was on a link and unsent when that ended; waits for another,
 *	           with a copy of its bytes
 *	SENT       in a link's FIFO: unsent, or waiting for its reply
 *	ANSWERING  a part of the reply has come
 *	HELD       its reply, or that it failed, is known; its client's earlier
 *	           requests are not done
 *	ORPHANED   in a link's FIFO, but its client has gone: the reply is parsed
 *	           and thrown away
 *	DONE       nobody knows it any more
 *
 * A request ends in exactly one of: its reply; its failure; its client's leave.
 * request_enter is the one function that changes the state.
 */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/addr.h"
#include "net/proxy_header.h"
#include "weir.h"

struct buf;
struct link;
struct waiter;
struct weir_attempt;
struct weir_peer;
struct weir_upstream;

/* A protocol and its settings in one server. */
struct framing {
	const struct weir_exchange *exchange;	/* NULL: a protocol without requests */
	const void                 *conf;
};

/* A message is done with: the parser's memory is as it was before any. It has
 * room for whole words. */
static inline void
framing_reset_parser(const struct weir_exchange *x, void *memory)
{
	uint64_t *word = memory;

	for (size_t i = 0; i < x->mem_size; i += sizeof *word)
		*word++ = 0;
}

/* What the module has to say of a request of this kind, for the log; "": nothing. */
#define FRAMING_ADVICE_MAX 256u
const char *framing_advise(const struct framing *, uint32_t kind, char text[FRAMING_ADVICE_MAX]);

/* There were more replies than requests, of which this was the last; NULL: its requester had
 * gone. */
void framing_complain(const char *protocol, const struct framing *, uint32_t kind,
    const struct addr_packed *from);

/* A parser has said what makes no sense: the module's fault, told once a minute. */
void framing_fault(const char *protocol, const char *what);

enum request_state {
	REQUEST_NEW,
	REQUEST_QUEUED,
	REQUEST_SENT,
	REQUEST_ANSWERING,
	REQUEST_HELD,
	REQUEST_ORPHANED,
	REQUEST_DONE,
};

/*
 * What is particular about a request: for protocols with keys, whose requests may go to
 * several peers. Who makes the request sets them.
 */
enum request_flag {
	REQUEST_SAFE  = 1 << 0,	/* idempotent: sent again if its link ends first */
	REQUEST_PIN   = 1 << 1,	/* its link is its client's alone from here on … */
	REQUEST_UNPIN = 1 << 2,	/* … until this one's reply has come */
	REQUEST_LAST  = 1 << 3,	/* its client is closed behind its reply */
	REQUEST_KEYED = 1 << 4,	/* it may go to any peer; otherwise its client's link says which */
	REQUEST_BEHIND = 1 << 5, /* its link broke for the one before it, of which is told */
};

struct request {
	struct node           of_link;		/* in a link's FIFO, or a waiter's list */
	struct request       *next;		/* of its requester; behind the last the first */
	struct requester     *requester;	/* NULL: gone */
	struct weir_upstream *upstream;
	const struct framing *framing;
	struct weir_attempt  *attempt;		/* peers that failed it; NULL: none has */
	struct buf           *bytes;		/* QUEUED and SAFE: its own; else of its reply
						   what waits for its turn */
	uint64_t              since;		/* ms: on its link */
	uint64_t              started;		/* µs: the same, where a balancer wants to know */
	uint64_t              end;		/* position on its link behind its last byte */
	uint32_t              length;		/* bytes */
	uint32_t              key_at;		/* KEYED: where its key is in them, */
	uint32_t              key_length;	/* and how long */
	uint32_t              kind;
	uint8_t               state;		/* enum request_state */
	uint8_t               flags;		/* enum request_flag */
	uint8_t               replies;		/* still to come */
	uint8_t               moves;		/* links that were gone before it was sent */
	uint8_t               why;		/* HELD: 0, or enum weir_failure + 1 */
	bool                  cut;		/* HELD: the reply broke off */
};

/*
 * Whoever asks: embedded in its owner, zeroed. session/order keeps its requests in
 * the order they were asked; all that are not KEYED go to one link while there are
 * any, so that the peer sees them in that order, too.
 */
struct requester {
	struct link    *link;	/* where the next one goes, or that is its alone; NULL: any */
	struct waiter  *waiter;	/* its place in a queue; NULL: it does not wait */
	struct node    *line;	/* the queue where that is, or would be; NULL: the upstream's */
	struct request *last;	/* of its requests, a ring; NULL: none */
	uint32_t        held;	/* bytes of replies that wait for their turn */
	uint16_t        count;	/* requests that are not DONE */
	uint16_t        flight;	/* of them, without a key, on `link` */
};

/*
 * How requests speak to their requesters. None but `room` may ask, leave or close
 * anything: what follows is done in the requester's own turn of the run queue. So
 * whoever calls them finds everything as it was.
 */
struct requester_ops {
	/* A part of the reply, valid until it returns; last: there is no more. */
	void (*reply)(struct request *, struct weir_span part, bool last);
	/* There will be no reply. cut: parts were given. */
	void (*failed)(struct request *, enum weir_failure, bool cut);
	/* It has left the queue and may ask again, for what it has waiting. */
	void (*room)(struct requester *);
	/* A request of it, unsent, has been put into the queue. */
	void (*waits)(struct requester *);
	/* The link that was its alone, and used, is gone; busy: with requests in flight. */
	void (*lost)(struct requester *, bool busy);
	/* Where it comes from: for balancers, and for the log. */
	const struct addr_packed *(*from)(const struct requester *);
	/* What a peer is told of it first (send_proxy_protocol): returns its bytes. */
	size_t (*preface)(const struct requester *, enum proxy_version,
	    char out[PROXY_HEADER_OUT_MAX]);
};

extern const struct requester_ops *requester_ops;

/* Per worker: begin, end; return what is not needed now to the system. */
void requests_start(const struct requester_ops *);
void requests_stop(void);
void requests_trim(void);

/* A NEW one, in no order and on no link; NULL: memory is short. */
struct request *request_create(struct requester *, struct weir_upstream *, const struct framing *)
    __attribute__((warn_unused_result));

/* The one place that changes the state; asserts that the way there is. */
void request_enter(struct request *, enum request_state);

/* Its FIFO or order has let it go: DONE, and its memory goes. */
void request_finish(struct request *);

/* Its requester goes: ORPHANED, when it is on a link; otherwise it ends. */
void request_orphan(struct request *);

/* A part of its reply has come; last: the link is done with it. It has left the
 * FIFO then. Returns whether anybody wants it. */
bool request_reply(struct request *, struct weir_span part, bool last);

/* It has no reply; it is in no FIFO and no queue. Counts why. peer: who had it, or could
 * not be connected to; NULL: nobody. */
void request_fail(struct request *, enum weir_failure, const struct weir_peer *);

/* Counts the failure, and tells of it, once a minute for each upstream and reason: the
 * operator may have to act. */
void request_count_failure(const struct request *, enum weir_failure, const struct weir_peer *);

/* The memory of its search for a peer, begun if need be; NULL: memory is short. */
struct weir_attempt *request_attempt(struct request *) __attribute__((warn_unused_result));

#endif
