/* SPDX-License-Identifier: BSD-2-Clause */
/* A histogram of times. */
#include "times.h"

void
times_add(struct times *t, uint64_t ns)
{
	unsigned shift;
	size_t b;

	if (ns < TIMES_STEPS) {
		t->bucket[ns]++;
		return;
	}
	shift = 63u - (unsigned)__builtin_clzll(ns) - TIMES_STEP_BITS;
	b = (size_t)(shift + 1) * TIMES_STEPS + (size_t)(ns >> shift) - TIMES_STEPS;
	t->bucket[b < TIMES_BUCKETS ? b : TIMES_BUCKETS - 1]++;
}

void
times_merge(struct times *t, const struct times *from)
{
	for (size_t b = 0; b < TIMES_BUCKETS; b++) {
		t->bucket[b] += from->bucket[b];
	}
}

double
times_share(const struct times *t, double share)
{
	uint64_t total = 0, seen = 0, at;

	for (size_t b = 0; b < TIMES_BUCKETS; b++) {
		total += t->bucket[b];
	}
	for (size_t b = 0; b < TIMES_BUCKETS; b++) {
		seen += t->bucket[b];
		if (seen > 0 && (double)seen >= share * (double)total) {
			at = b < TIMES_STEPS
			    ? b
			    : ((b % TIMES_STEPS) + TIMES_STEPS) << (b / TIMES_STEPS - 1);
			return (double)at / 1e3;
		}
	}
	return 0;
}
