/* SPDX-License-Identifier: BSD-2-Clause */
/* rebalance: sessions even out, and then nobody moves any. */
#include "proc/rebalance.h"

#include <stdlib.h>

#include "unit/tap.h"

#define WORKERS_MOST 253u

static struct rebalance_load loads[WORKERS_MOST];
static unsigned              workers;

static void
set(unsigned at, uint64_t sessions, bool present)
{
	loads[at] = (struct rebalance_load){ sessions, present };
}

static void
single_choices(void)
{
	unsigned n = 0;

	set(0, 1000, true);
	ok(rebalance_choose(loads, 1, 0, &n) < 0, "who is alone keeps all");
	set(1, 0, true);
	is_number(rebalance_choose(loads, 2, 0, &n), 1, "the empty one gets some");
	is_number(n, 1000 / REBALANCE_SHARE, "a part of them");
	ok(rebalance_choose(loads, 2, 1, &n) < 0, "and gives none");
	set(1, 0, false);
	ok(rebalance_choose(loads, 2, 0, &n) < 0, "who is not there gets none");
	set(0, 70, true);
	set(1, 0, true);
	ok(rebalance_choose(loads, 2, 0, &n) < 0, "a few are not worth it");
	set(0, 130, true);
	set(1, 65, true);
	ok(rebalance_choose(loads, 2, 0, &n) < 0, "nor is a small excess");
	set(0, 600, true);
	set(1, 500, true);
	set(2, 0, true);
	is_number(rebalance_choose(loads, 3, 0, &n), 2, "who is below the mean gets it");
}

/* All choose by the same loads, which are as old as a tick. Returns how many moved. */
static uint64_t
tick(void)
{
	struct rebalance_load next[WORKERS_MOST];
	uint64_t              moved = 0;
	unsigned              n;
	int                   heir;

	for (unsigned i = 0; i < workers; i++)
		next[i] = loads[i];
	for (unsigned i = 0; i < workers; i++)
		if ((heir = rebalance_choose(loads, workers, i, &n)) >= 0) {
			next[i].sessions -= n;
			next[heir].sessions += n;
			moved += n;
		}
	for (unsigned i = 0; i < workers; i++)
		loads[i] = next[i];
	return moved;
}

static void
settles(unsigned count, unsigned seed)
{
	uint64_t all = 0, excess = 0, moved = 0, least;
	unsigned ticks = 0;

	srandom(seed);
	workers = count;
	for (unsigned i = 0; i < workers; i++) {
		set(i, (uint64_t)random() % 3 == 0 ? 0 : (uint64_t)random() % 50000, true);
		if (seed == 1)
			set(i, i % 2 * 4000, true);	/* half of them have all */
		all += loads[i].sessions;
	}
	for (unsigned i = 0; i < workers; i++)
		if (loads[i].sessions > all / workers)
			excess += loads[i].sessions - all / workers;
	while ((least = tick()) > 0 && ticks++ < 1000)
		moved += least;
	ok(ticks < 60, "%u workers, seed %u: nobody moves any after %u ticks", count, seed, ticks);
	ok(moved <= excess, "%lu sessions had to move, %lu did", (unsigned long)excess,
	    (unsigned long)moved);
	for (unsigned i = 0; i < workers; i++)
		if (loads[i].sessions > all / workers * 5 / 4 + REBALANCE_LEAST)
			ticks = 1000;
	ok(ticks < 1000, "and all have about as many");
}

int
main(void)
{
	single_choices();
	for (unsigned seed = 1; seed <= 5; seed++) {
		settles(2, seed);
		settles(8, seed);
		settles(64, seed);
		settles(WORKERS_MOST, seed);
	}
	return done_testing();
}
