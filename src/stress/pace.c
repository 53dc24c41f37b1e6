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
void
stress_pace_begin(uint64_t now, double rate, uint64_t limit)
{
	const struct run *run = worker.run;

	pace.began = now;
	pace.interval = rate > 0 ? 1e9 / rate : 0;
	pace.waiting = 0;
	pace.left = rate > 0 ? limit : 0;
	pace.due.rng = stress_rng_make(run->seed, worker.number);
	pace.due.next = pace.interval * worker.number / run->workers;
	if (run->pacing == PACE_POISSON && rate > 0) {
		pace.due.next = 0;
		pace_advance(&pace.due);
	}
	pace.taken = pace.due;
}

uint64_t
stress_pace_go_on(uint64_t now, uint64_t limit)
{
	for (; pace_time(&pace.due) <= now && pace.interval > 0; pace.waiting++)
		pace_advance(&pace.due);
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
	*due = pace_time(&pace.taken);
	pace_advance(&pace.taken);
	pace.waiting--;
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
