/* SPDX-License-Identifier: BSD-2-Clause */
/* serve_again: a set of 64-bit sums, open addressing, never more than half full. */
#include "stress/serve_again.h"

#include <stdint.h>
#include <stdlib.h>

#include "stress/digest.h"

#define SIZE_FIRST 4096u

static struct {
	uint64_t *sums;		/* 0: free */
	size_t    size;		/* a power of two */
	size_t    count;
} set;

static bool serve_again_grow(void);
static uint64_t *serve_again_slot(uint64_t sum);

bool
stress_again_seen(struct weir_span line)
{
	struct stress_digest d = { 0 };
	uint64_t             sum, *slot;

	if (2 * set.count >= set.size && !serve_again_grow())
		return false;
	stress_digest_add(&d, line);
	sum = stress_digest_value(&d);
	sum += sum == 0;
	slot = serve_again_slot(sum);
	if (*slot == sum)
		return true;
	*slot = sum;
	set.count++;
	return false;
}

void
stress_again_finish(void)
{
	free(set.sums);
	set.sums = NULL;
	set.size = set.count = 0;
}

static bool
serve_again_grow(void)
{
	uint64_t *old = set.sums;
	size_t    old_size = set.size, size = old_size > 0 ? 2 * old_size : SIZE_FIRST;
	uint64_t *sums = calloc(size, sizeof *sums);

	if (sums == NULL)
		return false;
	set.sums = sums;
	set.size = size;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i] != 0)
			*serve_again_slot(old[i]) = old[i];
	}
	free(old);
	return true;
}

/* Where it is, or is to be. */
static uint64_t *
serve_again_slot(uint64_t sum)
{
	size_t i = sum & (set.size - 1);

	while (set.sums[i] != 0 && set.sums[i] != sum)
		i = (i + 1) & (set.size - 1);
	return &set.sums[i];
}
