/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker: a process of weir-stress: its loop, its share of the connections, and when
 * they are opened and send.
 *
 *	parent ── phase, step, rate ──► worker ──► client ◄──► mode
 *	       ◄────── tally ─────────    └── pace ──┘
 */
#ifndef STRESS_WORKER_H
#define STRESS_WORKER_H

#include "stress/client.h"
#include "stress/mode.h"

struct stress_worker {
	const struct run     *run;
	const struct mode    *mode;
	struct shared        *shared;
	struct tally         *tally;
	unsigned              number;
	struct stress_client *clients;
	unsigned              count;	/* of clients, at the last step */
	unsigned              wanted;	/* of them, at this step */
	unsigned              begun;	/* of them, opened for the first time */
	unsigned              tried;	/* of them, those whose first opening has ended */
	unsigned              opening;	/* connecting now */
	unsigned              open;
	unsigned              active;	/* not WAITING */
	uint64_t              ids;		/* connections so far */
	struct node           waiting;	/* clients to be opened as soon as may be */
	struct node           roomy;	/* open loop: open and with room; else: to be looked at */
	unsigned              ring;	/* flights of a client, a power of two */
	uint32_t              least;	/* the fewest that a client has been served … */
	uint32_t              behind;	/* … and how many have been served only so often */
	uint64_t              flying;	/* requests in flight */
	uint64_t              since;	/* ns: what was due earlier is not counted */
	uint64_t              quota;	/* requests (or, not paced: connections) still to begin */
	uint64_t              each;	/* requests on one connection; UINT64_MAX: no end */
	uint64_t              quota_whole;	/* … in all, while measuring; UINT64_MAX: no end */
	bool                  asking;	/* paced: requests may be sent, in a drain those
					 * that were due before it */
	bool               opens;	/* connections may be opened */
	uint32_t           phase;
	uint32_t           step;
	uint64_t           epoch;
	uint64_t           failing;	/* ms: no connection since then; 0: not so */
	uint64_t           draining;	/* ms: when the drain began */
	uint64_t           reopen_at;	/* ns: with a ramp, no connection again before this */
	uint64_t           step_began;	/* ns: the ramp to this step … */
	unsigned           step_from;	/* … and how many had been begun then */
};

extern struct stress_worker worker;

/* Worker `number` of run.workers: its share of the connections, requests and rate.
 * parent: is told with SIGUSR1 that something is done. Does not return. */
_Noreturn void stress_worker_run(const struct run *, struct shared *, unsigned number,
    pid_t parent);

/* The share of a worker of something that is counted. */
static inline uint64_t
stress_worker_share(uint64_t all, unsigned workers, unsigned number)
{
	return all * (number + 1) / workers - all * number / workers;
}

/* Of client.c: begins connecting (due: of its request, where mode.fresh); sends what is
 * due on a client with room; what the worker's pass does for those that wait. */
void stress_client_setup(void);
void stress_client_open(struct stress_client *, uint64_t due);
void stress_client_fill(struct stress_client *, uint64_t now);
bool stress_client_take_turns(uint64_t now);	/* true: there may be more to do at once */
void stress_client_restart_all(void);
void stress_client_measure_all(void);	/* the measuring begins: none has been served */

/* What is owed on any connection is not waited for any longer. */
void stress_client_settle_all(void);

/* The process ends: with TLS each server is told so, as far as its socket takes it. */
void stress_client_leave_all(void);

#endif
