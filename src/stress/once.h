/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * once: for modes whose connections do one thing and end: it counts as a request in
 * flight, so that the end of a run waits for it, and -t is for what makes no progress.
 */
#ifndef STRESS_ONCE_H
#define STRESS_ONCE_H

#include "base/clock.h"
#include "stress/worker.h"

static inline struct flight *
stress_once_flight(struct stress_client *c)
{
	return &c->flights[c->answered & (worker.ring - 1)];
}

static inline void
stress_once_begin(struct stress_client *c)
{
	uint64_t now = clock_ns();

	c->flights[c->asked & (worker.ring - 1)] = (struct flight){ .due = now, .sent = now };
	c->asked++;
	worker.flying++;
	if (now >= worker.since)
		stress_tally_add(&worker.tally->sent, 1);
}

/* Something has moved. */
static inline void
stress_once_progress(struct stress_client *c)
{
	stress_once_flight(c)->sent = clock_ns();
}

/* However long it takes: the mode itself ends it. */
static inline void
stress_once_unlimited(struct stress_client *c)
{
	stress_once_flight(c)->sent = UINT64_MAX;
}

/* It has come to its good end, which is `answered` with the time that it took. */
static inline void
stress_once_end(struct stress_client *c)
{
	uint64_t due = stress_once_flight(c)->due;

	c->answered++;
	worker.flying--;
	stress_client_answered(c, due);
}

/* It is over, but no answer. */
static inline void
stress_once_drop(struct stress_client *c)
{
	c->answered++;
	worker.flying--;
}

/* All has been answered: the server's FIN is owed as a reply is, and the end of the run waits
 * for it. Without it mode.tick is called after -t. */
static inline void
stress_once_await_end(struct stress_client *c)
{
	c->finished = true;
	worker.flying++;
	stress_client_tick(c, stress_client_run()->timeout);
}

/* Something has come: if it was awaited, it is no more. */
static inline void
stress_once_awaited(struct stress_client *c)
{
	worker.flying -= c->finished;
	c->finished = false;
}

/* The run draws to its end: what can be cut short is. */
static inline bool
stress_once_hurries(void)
{
	return worker.phase >= PHASE_DRAIN;
}

#endif
