/* SPDX-License-Identifier: BSD-2-Clause */
/* random: streams of random numbers; equal (seed, number) give equal streams. */
#ifndef STRESS_RANDOM_H
#define STRESS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* SplitMix64: a counter, well mixed. */
static inline uint64_t
stress_rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline struct rng
stress_rng_make(uint64_t seed, uint64_t number)
{
	struct rng r = { seed };

	r.state = stress_rng_next(&r) ^ (number * UINT64_C(0xd1342543de82ef95));
	(void)stress_rng_next(&r);
	return r;
}

/* 0 … bound - 1; 0 of 0. */
static inline uint64_t
stress_rng_below(struct rng *r, uint64_t bound)
{
	return bound == 0 ? 0 : stress_rng_next(r) % bound;
}

/* In [0, 1). */
static inline double
stress_rng_unit(struct rng *r)
{
	return (double)(stress_rng_next(r) >> 11) * 0x1p-53;
}

static inline bool
stress_rng_chance(struct rng *r, double probability)
{
	return probability > 0 && stress_rng_unit(r) < probability;
}

#endif
