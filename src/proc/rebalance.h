/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rebalance: a worker that has many more sessions than the others hands some over.
 *
 *	mine ████████████          giver: more than the mean by REBALANCE_EXCESS
 *	     ─────┼─────── mean       and REBALANCE_LEAST
 *	theirs ███                 heir: one below the mean, another for each giver
 *
 * Only what is above the mean goes, and only what the heir lacks of it, divided by those who
 * give to it, a part each REBALANCE_TICK: so no session goes back, and none is sent on.
 */
#ifndef PROC_REBALANCE_H
#define PROC_REBALANCE_H

#include <stdbool.h>
#include <stdint.h>

#define REBALANCE_TICK   1000u	/* ms */
#define REBALANCE_EXCESS    4u	/* a quarter of the mean … */
#define REBALANCE_LEAST    64u	/* … and so many sessions */
#define REBALANCE_SHARE     8u	/* at most an eighth of what a worker has goes in a tick */

struct rebalance_load {
	uint64_t sessions;
	bool     present;	/* the worker is there, and accepts */
};

/* What this one of them should do, when all go by the same loads: the index of the heir, and
 * how many sessions it gets. -1: nothing. */
int rebalance_choose(const struct rebalance_load *, unsigned count, unsigned self,
    unsigned *sessions);

#endif
