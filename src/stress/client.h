/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client: the connections of one worker of weir-stress: opening them at the rate
 * of the ramp, sending when it is time, timing and verifying what comes back.
 *
 *	WAITING ──► CONNECTING ──► OPEN ──► GONE ──► WAITING (opened again: churn, and
 *	   ▲                                                   what the server closed)
 *	   └── the ramp
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

struct client {
	struct conn     conn;
	struct node     link;		/* of those that wait to be opened, or for a request */
	uint64_t        id;		/* no other connection of this run has or had it */
	uint64_t        began;		/* ns: connecting, or the mode's */
	uint64_t        asked;		/* requests sent */
	uint64_t        answered;
	uint64_t        position;	/* bytes of the present reply that were right; the mode's */
	uint64_t        posted;		/* bytes sent; the mode's */
	struct flight  *flights;	/* a ring of run.depth; oldest: answered % depth */
	uint8_t         state;
	bool            finished;	/* the mode: its end is what was expected */
};

/* A worker's process: connections first … first + count - 1 of all. Does not
 * return. */
_Noreturn void client_worker(const struct run *, struct shared *, unsigned worker);

/* For modes. */
void client_fault(struct client *, enum fault, int error);	/* counted; the connection ends */
void client_finish(struct client *);	/* all is well: it ends, and is opened again if wanted */
void client_send(struct client *, struct weir_span);
void client_tick(struct client *, uint64_t ms);
void client_answered(struct client *, uint64_t since_ns);	/* an answer that is no reply */
uint64_t client_clock(void);		/* ns, CLOCK_MONOTONIC */
const struct run *client_run(void);

/* The byte at a position of a connection's own stream, and many of them. */
void pattern_fill(uint64_t id, uint64_t position, char *out, size_t n);
bool pattern_is(uint64_t id, uint64_t position, struct weir_span);

#endif
