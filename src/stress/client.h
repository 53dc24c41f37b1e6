/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client: the connections of one worker of weir-stress: opening them at the rate
 * of the ramp, sending when it is time, timing and verifying what comes back.
 *
 *	the ramp ──► WAITING ──► CONNECTING ──► SHAKING ──► OPEN ──┐
 *	                ▲ ▲                      (TLS)             │ it has done what it was to do
 *	                │ └────────────────────────────────────────┤
 *	                └──────────────── PAUSED ◄─────────────────┘ it has failed
 */
#ifndef STRESS_CLIENT_H
#define STRESS_CLIENT_H

#include "net/conn.h"
#include "net/dial.h"
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
	CLIENT_SHAKING,		/* TLS */
	CLIENT_OPEN,
};

struct stress_client {
	struct conn     conn;
	struct dial     dial;
	struct node     link;		/* of those that wait to be opened, or for a request */
	uint64_t        id;		/* no other connection of this run has or had it */
	uint64_t        began;		/* ns: connecting, the handshake, then the mode's */
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
 * mode, which then looks at stress_client_is_open before it goes on. */
void stress_client_fault(struct stress_client *, enum fault, int error); /* it ends, counted */
void stress_client_finish(struct stress_client *); /* it ends well, and may come again */
void stress_client_send(struct stress_client *, struct weir_span);
void stress_client_tick(struct stress_client *, uint64_t ms); /* mode.tick in so many ms */
void stress_client_nap(struct stress_client *, uint64_t ms);  /* … and not read until then */
bool stress_client_ask(struct stress_client *);		      /* one request, now; false: no room */
void stress_client_answered(struct stress_client *, uint64_t since_ns); /* by what is no reply */
void stress_client_failed(struct stress_client *);	/* the answer is --failure's */
void stress_client_count(unsigned counter, uint64_t n); /* adds to tally.own */
const struct run *stress_client_run(void);

/* What came and what was due instead, from the first byte that is wrong (NULL data:
 * nothing can be shown): remembered in words, if it is the first of all. */
void stress_client_wrong(struct stress_client *, struct weir_span came, struct weir_span due);

static inline bool
stress_client_is_open(const struct stress_client *c)
{
	return c->state == CLIENT_OPEN;
}

#endif
