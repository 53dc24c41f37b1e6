/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pace: the schedule of an open loop.
 *
 *	─────┬─────┬─────┬─────┬─────┬─────┬──► time
 *	     taken └─ due, waiting for room ┘ now
 *
 * Times are not kept in a queue: two cursors run along the same schedule, one of what
 * has become due and one of what has been taken, and both compute the same times.
 */
#include "stress/pace.h"

#include <math.h>

#include "stress/random.h"

struct cursor {
	struct rng rng;
	double     next;	/* ns from the beginning */
};

static struct {
	uint64_t      began;
	double        interval;	/* ns; 0: nothing is ever due */
	struct cursor due;
	struct cursor taken;
	struct cursor first;	/* where `taken` goes on behind what waits from before */
	uint64_t      before;	/* how many those are … */
	uint64_t      began_before;	/* … and when their schedule began */
	uint64_t      waiting;	/* between the cursors */
	uint64_t      left;	/* requests that are still to become due */
} pace;

static void
pace_advance(struct cursor *c)
{
	double gap = pace.interval;

	if (worker.run->pacing == PACE_POISSON)
		gap *= -log(1 - stress_rng_unit(&c->rng));
	c->next += gap;
}

static uint64_t
pace_time(const struct cursor *c)
{
	return pace.began + (uint64_t)c->next;
}

/* At equal intervals the processes take turns, so that all together keep them, too. */
static void
pace_restart(uint64_t now)
{
	pace.began = now;
	pace.due.next = pace.interval * worker.number / worker.run->workers;
	if (worker.run->pacing == PACE_POISSON && pace.interval > 0) {
		pace.due.next = 0;
		pace_advance(&pace.due);
	}
	pace.first = pace.due;
}

void
stress_pace_begin(uint64_t now, double rate, uint64_t limit)
{
	pace.interval = rate > 0 ? 1e9 / rate : 0;
	pace.waiting = 0;
	pace.left = rate > 0 ? limit : 0;
	pace.before = 0;
	pace.due.rng = stress_rng_make(worker.run->seed, worker.number);
	pace_restart(now);
	pace.taken = pace.first;
}

uint64_t
stress_pace_go_on(uint64_t now, uint64_t limit)
{
	for (; pace_time(&pace.due) <= now && pace.interval > 0; pace.waiting++)
		pace_advance(&pace.due);
	pace.before = pace.waiting;
	pace.began_before = pace.began;
	pace_restart(now);
	if (pace.before == 0)
		pace.taken = pace.first;
	pace.left = pace.interval > 0 ? limit : 0;
	return limit < UINT64_MAX - pace.waiting ? limit + pace.waiting : limit;
}

void
stress_pace_end(uint64_t now)
{
	stress_pace_count(now);
	pace.left = 0;
}

uint64_t
stress_pace_next(void)
{
	return pace.left > 0 ? pace_time(&pace.due) : UINT64_MAX;
}

void
stress_pace_count(uint64_t now)
{
	uint64_t n = 0;

	for (; n < pace.left && pace_time(&pace.due) <= now; n++)
		pace_advance(&pace.due);
	if (n == 0)
		return;
	pace.left -= n;
	pace.waiting += n;
	stress_tally_add(&worker.tally->due, n);
}

bool
stress_pace_due(uint64_t now, uint64_t *due)
{
	if (pace.waiting == 0)
		stress_pace_count(now);
	if (pace.waiting == 0)
		return false;
	*due = pace.before > 0 ? pace.began_before + (uint64_t)pace.taken.next
			       : pace_time(&pace.taken);
	pace_advance(&pace.taken);
	pace.waiting--;
	if (pace.before > 0 && --pace.before == 0)
		pace.taken = pace.first;
	return true;
}

uint64_t
stress_pace_waiting(void)
{
	return pace.waiting;
}

void
stress_pace_abandon(uint64_t now)
{
	uint64_t due;

	for (stress_pace_end(now); stress_pace_due(now, &due);) {
		if (due >= worker.since)
			stress_hist_add(&worker.tally->latency, (now - due) / 1000);
	}
}
