/* SPDX-License-Identifier: BSD-2-Clause */
/* A histogram of times: 64 steps in each power of two, so within 1.6 %. */
#ifndef BENCH_TIMES_H
#define BENCH_TIMES_H

#include <stddef.h>
#include <stdint.h>

enum { TIMES_STEP_BITS = 6, TIMES_STEPS = 1 << TIMES_STEP_BITS };
enum { TIMES_BUCKETS = (40 - TIMES_STEP_BITS) * TIMES_STEPS };

struct times {
	uint64_t bucket[TIMES_BUCKETS];
};

/* Counts a time of ns nanoseconds; what is longer than 18 minutes counts as that. */
void times_add(struct times *t, uint64_t ns);

/* Adds all that is counted in from. */
void times_merge(struct times *t, const struct times *from);

/* The time in microseconds that this share (0 to 1) of those counted did not exceed; 0: none is. */
double times_share(const struct times *t, double share);

#endif
