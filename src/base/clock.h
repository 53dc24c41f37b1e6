/* SPDX-License-Identifier: BSD-2-Clause */
/* clock: CLOCK_MONOTONIC to the nanosecond, for what the coarse time of a pass
 * (loop_now) is too coarse for. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
