/* SPDX-License-Identifier: BSD-2-Clause */
/* rebalance: a worker that has many more sessions than the others hands some over. */
#include "proc/rebalance.h"

static bool
rebalance_gives(const struct rebalance_load *l, uint64_t mean)
{
	return l->present && l->sessions >= mean + mean / REBALANCE_EXCESS + REBALANCE_LEAST;
}

static bool
rebalance_takes(const struct rebalance_load *l, uint64_t mean)
{
	return l->present && l->sessions < mean;
}

int
rebalance_choose(const struct rebalance_load *loads, unsigned count, unsigned self,
    unsigned *sessions)
{
	uint64_t all = 0, mean, most;
	unsigned present = 0, givers = 0, takers = 0, rank = 0, heir, sharers;

	for (unsigned i = 0; i < count; i++)
		if (loads[i].present) {
			all += loads[i].sessions;
			present++;
		}
	mean = present > 0 ? all / present : 0;
	for (unsigned i = 0; i < count; i++) {
		if (i == self)
			rank = givers;
		givers += rebalance_gives(&loads[i], mean);
		takers += rebalance_takes(&loads[i], mean);
	}
	if (!rebalance_gives(&loads[self], mean) || takers == 0)
		return -1;
	/* All see the same: the first gives to the first, and so on, round and round. */
	rank %= takers;
	sharers = (givers - 1 - rank) / takers + 1;
	for (heir = 0; !rebalance_takes(&loads[heir], mean) || rank-- > 0;)
		heir++;
	most = loads[self].sessions / REBALANCE_SHARE;
	if (most > loads[self].sessions - mean)
		most = loads[self].sessions - mean;
	if (most > (mean - loads[heir].sessions) / sharers)
		most = (mean - loads[heir].sessions) / sharers;
	*sessions = (unsigned)most;
	return most > 0 ? (int)heir : -1;
}
