/* SPDX-License-Identifier: BSD-2-Clause */
/* pace: when the requests of an open loop are due. */
#include <math.h>

#include "stress/pace.h"
#include "unit/tap.h"

#define BEGAN  UINT64_C(1000000000)
#define SECOND UINT64_C(1000000000)

static struct tally tally;
static struct run   run = { .workers = 1, .seed = 1 };

static void
begin_some(enum pacing pacing, unsigned workers, unsigned number, double rate, uint64_t limit)
{
	memset(&tally, 0, sizeof tally);
	run.pacing = pacing;
	run.workers = workers;
	worker.run = &run;
	worker.tally = &tally;
	worker.number = number;
	worker.asking = true;
	worker.quota = limit;
	stress_pace_begin(BEGAN, rate, limit);
}

static void
begin(enum pacing pacing, unsigned workers, unsigned number, double rate)
{
	begin_some(pacing, workers, number, rate, UINT64_MAX);
}

/* Takes all that is due until then; returns how many, and whether they were in order. */
static unsigned
take_all(uint64_t until, bool *good)
{
	unsigned n = 0;
	uint64_t due, last = 0;

	for (; stress_pace_take(until, &due); n++) {
		*good &= due >= last && due >= BEGAN && due <= until;
		last = due;
	}
	return n;
}

static void
fixed(void)
{
	uint64_t due;
	bool     good = true;

	begin(PACE_FIXED, 1, 0, 1000);
	is_number(stress_pace_next(), BEGAN, "the first is due at once");
	ok(stress_pace_take(BEGAN, &due) && due == BEGAN, "and can be taken");
	ok(!stress_pace_take(BEGAN, &due), "once");
	is_number(stress_pace_next(), BEGAN + 1000000, "the next one a millisecond later");
	ok(!stress_pace_take(BEGAN + 999999, &due), "not earlier");
	is_number(take_all(BEGAN + SECOND - 1, &good), 999, "1,000 within a second");
	ok(good, "in order, none before its time");
	is_number(tally.due, 1000, "all of them are counted");

	stress_pace_count(BEGAN + 2 * SECOND - 1);
	is_number(stress_pace_waiting(), 1000, "those that nobody takes wait");
	ok(stress_pace_take(BEGAN + 5 * SECOND, &due) && due == BEGAN + SECOND,
	    "and keep the times at which they were due");
}

static void
limited(void)
{
	uint64_t due;
	bool     good = true;

	begin_some(PACE_FIXED, 1, 0, 1000, 10);
	is_number(take_all(BEGAN + SECOND, &good), 10, "as many as the limit says");
	is_number(tally.due, 10, "no more become due");
	ok(stress_pace_next() == UINT64_MAX, "and none is waited for");

	begin(PACE_FIXED, 1, 0, 1000);
	stress_pace_end(BEGAN + 9500000);
	ok(stress_pace_next() == UINT64_MAX, "behind the end nothing becomes due");
	is_number(take_all(BEGAN + SECOND, &good), 10, "what was due before it can be taken");
	ok(good, "in order, none before its time");

	begin(PACE_FIXED, 1, 0, 1000);
	stress_pace_count(BEGAN + 4500000);
	tally.due = 0;
	worker.quota = stress_pace_go_on(BEGAN + 9500000, 5);
	is_number(take_all(BEGAN + SECOND, &good), 15, "what waits, and five more");
	is_number(tally.due, 5, "of which only those count");

	begin(PACE_FIXED, 1, 0, 1000);
	stress_pace_count(BEGAN + 1500000);
	(void)stress_pace_go_on(BEGAN + 1500000, 2);
	good = stress_pace_take(BEGAN + SECOND, &due) && due == BEGAN &&
	    stress_pace_take(BEGAN + SECOND, &due) && due == BEGAN + 1000000;
	ok(good, "what waits keeps its times");
	good = stress_pace_take(BEGAN + SECOND, &due) && due == BEGAN + 1500000 &&
	    stress_pace_take(BEGAN + SECOND, &due) && due == BEGAN + 2500000;
	ok(good && !stress_pace_take(BEGAN + SECOND, &due), "what comes behind it begins anew");

	begin(PACE_FIXED, 1, 0, 1000);
	ok(stress_pace_take(BEGAN, &due), "one is taken");
	stress_pace_abandon(BEGAN + 9500000);
	is_number(stress_pace_waiting(), 0, "what is given up does not wait");
	is_number(tally.latency.total, 9, "but counts");
	is_number(tally.latency.max, 8500, "with the time for which it has waited");
}

static void
together(void)
{
	uint64_t due;
	bool     good = true;

	for (unsigned number = 0; number < 4; number++) {
		begin(PACE_FIXED, 4, number, 1000);
		good &= stress_pace_take(BEGAN + SECOND, &due) && due == BEGAN + number * 250000;
	}
	ok(good, "four processes take turns");
}

static void
poisson(void)
{
	uint64_t due, last = BEGAN, now = BEGAN;
	double   gap, sum = 0, square = 0;
	unsigned n = 200000, soon = 0;
	bool     good = true;

	begin(PACE_POISSON, 1, 0, 10000);
	for (unsigned i = 0; i < n; i++) {
		while (!stress_pace_take(now, &due))
			now += 100000;
		gap = (double)(due - last);
		last = due;
		sum += gap;
		square += gap * gap;
		soon += gap < 50000;	/* half of the mean */
	}
	ok(fabs(sum / n - 100000) < 1000, "the mean gap is 100 us: %g ns", sum / n);
	ok(fabs(sqrt(square / n - sum / n * sum / n) - 100000) < 2000, "and so is its deviation");
	ok(fabs((double)soon / n - (1 - exp(-0.5))) < 0.01, "39 %% of them come within half of it");

	begin(PACE_POISSON, 1, 0, 10000);
	n = take_all(BEGAN + SECOND, &good);
	is_number(atomic_load(&tally.due), n, "both cursors see the same times");
	ok(good, "in order, none before its time");
	last = stress_pace_next();
	begin(PACE_POISSON, 1, 0, 10000);
	(void)take_all(BEGAN + SECOND, &good);
	is_number(stress_pace_next(), last, "equal seeds give equal times");
	run.seed = 2;
	begin(PACE_POISSON, 1, 0, 10000);
	(void)take_all(BEGAN + SECOND, &good);
	ok(stress_pace_next() != last, "another seed gives others");
}

int
main(void)
{
	uint64_t due;

	fixed();
	limited();
	together();
	begin(PACE_FIXED, 1, 0, 0);
	ok(!stress_pace_take(BEGAN + SECOND, &due) && stress_pace_next() == UINT64_MAX,
	    "a rate of 0 is none");
	begin(PACE_CLOSED, 1, 0, 0);
	ok(stress_pace_take(BEGAN, &due) && due == BEGAN, "a closed loop never waits");
	poisson();
	return done_testing();
}
