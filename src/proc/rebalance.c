/* SPDX-License-Identifier: BSD-2-Clause */
/* rebalance: a worker that has many more sessions than the others hands some over. */
#include "proc/rebalance.h"

int
rebalance_choose(const struct rebalance_load *loads, unsigned count, unsigned self,
    unsigned *sessions)
{
	uint64_t all = 0, present = 0, mean, mine = loads[self].sessions, most;
	int      heir = -1;

	for (unsigned i = 0; i < count; i++) {
		if (!loads[i].present)
			continue;
		all += loads[i].sessions;
		present++;
		if (i != self && (heir < 0 || loads[i].sessions < loads[heir].sessions))
			heir = (int)i;
	}
	if (heir < 0 || !loads[self].present)
		return -1;
	mean = all / present;
	if (mine < mean + mean / REBALANCE_EXCESS + REBALANCE_LEAST ||
	    loads[heir].sessions >= mean)
		return -1;
	most = mine / REBALANCE_SHARE;
	if (most > mine - mean)
		most = mine - mean;
	if (most > mean - loads[heir].sessions)
		most = mean - loads[heir].sessions;
	*sessions = (unsigned)most;
	return most > 0 ? heir : -1;
}
