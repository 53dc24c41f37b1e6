/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client: the connections of one worker of weir-stress: opening them at the rate
 * of the ramp, sending when it is time, timing and verifying what comes back.
 *
 *	the ramp ──► WAITING ──► CONNECTING ──► OPEN ──┐
 *	                ▲ ▲                            │ it has done what it was to do
 *	                │ └────────────────────────────┤
 *	                └────────── PAUSED ◄───────────┘ it has failed
 */
#ifndef STRESS_CLIENT_H
#define STRESS_CLIENT_H

#include "net/conn.h"
#include "stress/run.h"
#include "stress/tally.h"

/* A request in flight: when it was to be sent, and when it was (ns). */
struct flight {
	uint64_t due;
	uint64_t sent;
};

enum client_state {
	CLIENT_WAITING,		/* to be opened */
	CLIENT_PAUSED,		/* … when its timer says so: it has failed just now */
	CLIENT_CONNECTING,
	CLIENT_OPEN,
};

struct client {
	struct conn     conn;
	struct node     link;		/* of those that wait to be opened, or for a request */
	uint64_t        id;		/* no other connection of this run has or had it */
	uint64_t        began;		/* ns: connecting, or the mode's */
	uint64_t        asked;		/* requests sent */
	uint64_t        answered;
	uint64_t        position;	/* bytes of the present reply that were right; the mode's */
	uint64_t        posted;		/* bytes sent; the mode's */
	struct flight  *flights;	/* a ring of worker.ring: request n is at n % ring */
	uint64_t        nap;		/* ms (of loop_now): not read before */
	uint64_t        tick;		/* ms (of loop_now): when mode.tick is called; 0: never */
	uint32_t        served;		/* requests that got an answer while measuring */
	uint8_t         state;		/* enum client_state */
	uint8_t         failures;	/* in a row, without a byte from the server */
	bool            tried;		/* its first connecting has ended, well or not */
	bool            failing;	/* line: the reply is the failure text so far */
	bool            finished;	/* the mode: its end is what was expected */
};

/* For modes. Whatever may end the connection may be called from any callback of the
 * mode, which then looks at client_is_open before it goes on. */
void client_fault(struct client *, enum fault, int error);	/* counted; the connection ends */
void client_finish(struct client *);	/* all is well: it ends, and is opened again if wanted */
void client_send(struct client *, struct weir_span);
void client_tick(struct client *, uint64_t ms);		/* mode.tick in so many ms */
void client_nap(struct client *, uint64_t ms);		/* not read until then: mode.tick */
bool client_ask(struct client *);	/* one request, now; false: no room */
void client_answered(struct client *, uint64_t since_ns);	/* an answer that is no reply */
void client_failed(struct client *);	/* the answer is --failure's */
void client_count(unsigned counter, uint64_t n);	/* adds to tally.own */
const struct run *client_run(void);

/* What came and what was due instead, from the first byte that is wrong (NULL data:
 * nothing can be shown): remembered in words, if it is the first of all. */
void client_wrong(struct client *, struct weir_span came, struct weir_span due);

static inline bool
client_is_open(const struct client *c)
{
	return c->state == CLIENT_OPEN;
}

#endif
