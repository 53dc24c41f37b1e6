/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pace: when the requests of a worker are due. Closed loop: at once.
 *
 *	stress_pace_begin                    the schedule begins anew
 *	stress_pace_go_on                    it begins anew behind what waits
 *	stress_pace_end                      nothing more becomes due; what waits can be taken
 *	stress_pace_abandon                  what still waits will never be sent
 */
#ifndef STRESS_PACE_H
#define STRESS_PACE_H

#include "stress/worker.h"

/* Open loop: `rate` requests a second of this worker from now on (ns), `limit` in all. */
void stress_pace_begin(uint64_t now, double rate, uint64_t limit);
void stress_pace_end(uint64_t now);

/* The same rate, from now on; `limit` requests more, and those that wait are not among them.
 * Returns how many can be taken in all. */
uint64_t stress_pace_go_on(uint64_t now, uint64_t limit);

/* Counts what waits as requests that took until now, at least: leaving them out would
 * be coordinated omission. */
void stress_pace_abandon(uint64_t now);

/* Open loop: when the next request is due (ns); UINT64_MAX: none any more. */
uint64_t stress_pace_next(void);

/* Open loop: whether a request is due and not taken; takes it. */
bool stress_pace_due(uint64_t now, uint64_t *due);

/* Counts what has become due. stress_pace_waiting: how many of them have not been taken. */
void stress_pace_count(uint64_t now);
uint64_t stress_pace_waiting(void);

/* Whether a request may be sent now; it then has to be. */
static inline bool
stress_pace_take(uint64_t now, uint64_t *due)
{
	if (!worker.asking || worker.quota == 0)
		return false;
	*due = now;
	if (worker.run->pacing != PACE_CLOSED && !stress_pace_due(now, due))
		return false;
	worker.quota--;
	return true;
}

#endif
