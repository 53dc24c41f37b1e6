/* SPDX-License-Identifier: BSD-2-Clause */
/* pace: when the requests of an open loop are due. */
#include <math.h>

#include "stress/worker.h"
#include "unit/tap.h"

#define BEGAN  UINT64_C(1000000000)
#define SECOND UINT64_C(1000000000)

static struct tally tally;
static struct run   run = { .workers = 1, .seed = 1 };

static void
begin(enum pacing pacing, unsigned workers, unsigned number, double rate)
{
	memset(&tally, 0, sizeof tally);
	run.pacing = pacing;
	run.workers = workers;
	worker.run = &run;
	worker.tally = &tally;
	worker.number = number;
	worker.asking = true;
	worker.quota = UINT64_MAX;
	pace_begin(BEGAN, rate);
}

/* Takes all that is due until then; returns how many, and whether they were in order. */
static unsigned
take_all(uint64_t until, bool *good)
{
	unsigned n = 0;
	uint64_t due, last = 0;

	for (; pace_take(until, &due); n++) {
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
	is_number(pace_next(), BEGAN, "the first is due at once");
	ok(pace_take(BEGAN, &due) && due == BEGAN, "and can be taken");
	ok(!pace_take(BEGAN, &due), "once");
	is_number(pace_next(), BEGAN + 1000000, "the next one a millisecond later");
	ok(!pace_take(BEGAN + 999999, &due), "not earlier");
	is_number(take_all(BEGAN + SECOND - 1, &good), 999, "1,000 within a second");
	ok(good, "in order, none before its time");
	is_number(tally.due, 1000, "all of them are counted");

	pace_count(BEGAN + 2 * SECOND - 1);
	pace_tell();
	is_number(tally.unsent, 1000, "those that nobody takes wait");
	ok(pace_take(BEGAN + 5 * SECOND, &due) && due == BEGAN + SECOND,
	    "and keep the times at which they were due");

	worker.quota = 1;
	ok(pace_take(BEGAN + 5 * SECOND, &due), "the last one of -n");
	ok(!pace_take(BEGAN + 5 * SECOND, &due), "is the last");
}

static void
together(void)
{
	uint64_t due;
	bool     good = true;

	for (unsigned number = 0; number < 4; number++) {
		begin(PACE_FIXED, 4, number, 1000);
		good &= pace_take(BEGAN + SECOND, &due) && due == BEGAN + number * 250000;
	}
	ok(good, "four processes take turns");
}

static void
poisson(void)
{
	uint64_t due, last = BEGAN, now = BEGAN;
	double   gap, sum = 0, square = 0;
	unsigned n = 200000, soon = 0, differ = 0;
	bool     good = true;

	begin(PACE_POISSON, 1, 0, 10000);
	for (unsigned i = 0; i < n; i++) {
		while (!pace_take(now, &due))
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
	last = pace_next();
	begin(PACE_POISSON, 1, 0, 10000);
	(void)take_all(BEGAN + SECOND, &good);
	differ += pace_next() != last;
	is_number(differ, 0, "equal seeds give equal times");
}

int
main(void)
{
	uint64_t due;

	fixed();
	together();
	begin(PACE_FIXED, 1, 0, 0);
	ok(!pace_take(BEGAN + SECOND, &due) && pace_next() == UINT64_MAX, "a rate of 0 is none");
	begin(PACE_CLOSED, 1, 0, 0);
	ok(pace_take(BEGAN, &due) && due == BEGAN, "a closed loop never waits");
	poisson();
	return done_testing();
}
