/* SPDX-License-Identifier: BSD-2-Clause */
/* hist: a log-linear histogram of times. */
#include "stress/hist.h"

#include <math.h>
#include <stdbool.h>

#define SUB  (1u << HIST_SUB_BITS)	/* buckets of the first range */
#define HALF (SUB / 2)			/* … of each later one */

static unsigned hist_bucket(uint64_t us);
static uint64_t hist_bucket_low(unsigned bucket);
static uint64_t hist_bucket_high(unsigned bucket);

static uint64_t
hist_get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
hist_add_word(_Atomic uint64_t *word, uint64_t n)
{
	atomic_store_explicit(word, hist_get(word) + n, memory_order_relaxed);
}

static void
hist_raise(_Atomic uint64_t *word, uint64_t n)
{
	if (n > hist_get(word))
		atomic_store_explicit(word, n, memory_order_relaxed);
}

void
stress_hist_add(struct hist *h, uint64_t us)
{
	if (us > HIST_MAX)
		us = HIST_MAX;
	hist_add_word(&h->count[hist_bucket(us)], 1);
	hist_add_word(&h->total, 1);
	hist_add_word(&h->sum, us);
	hist_raise(&h->max, us);
}

void
stress_hist_merge(struct hist *into, const struct hist *h)
{
	uint64_t n, total = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		n = hist_get(&h->count[i]);
		if (n > 0)
			hist_add_word(&into->count[i], n);
		total += n;
	}
	hist_add_word(&into->total, total);	/* of what was seen: it may go on meanwhile */
	hist_add_word(&into->sum, hist_get(&h->sum));
	hist_raise(&into->max, hist_get(&h->max));
}

void
stress_hist_since(struct hist *out, const struct hist *now, const struct hist *earlier)
{
	bool     wiped = hist_get(&now->total) < hist_get(&earlier->total);
	uint64_t n, old, total = 0, top = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		n = hist_get(&now->count[i]);
		old = wiped ? 0 : hist_get(&earlier->count[i]);
		n = n > old ? n - old : 0;
		atomic_store_explicit(&out->count[i], n, memory_order_relaxed);
		total += n;
		if (n > 0)
			top = hist_bucket_high(i);
	}
	n = hist_get(&now->sum);
	old = wiped ? 0 : hist_get(&earlier->sum);
	atomic_store_explicit(&out->total, total, memory_order_relaxed);
	atomic_store_explicit(&out->sum, n > old ? n - old : 0, memory_order_relaxed);
	atomic_store_explicit(&out->max, top < hist_get(&now->max) ? top : hist_get(&now->max),
	    memory_order_relaxed);
}

uint64_t
stress_hist_percentile(const struct hist *h, double percent)
{
	uint64_t total = 0, seen = 0, rank, max = hist_get(&h->max), high;

	/* Its writer may be between two words: the buckets themselves are the truth. */
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += hist_get(&h->count[i]);
	if (total == 0)
		return 0;
	rank = (uint64_t)ceil((double)total * percent / 100.0);
	if (rank < 1)
		rank = 1;
	if (rank > total)
		rank = total;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += hist_get(&h->count[i]);
		if (seen >= rank) {
			high = hist_bucket_high(i);
			return high < max ? high : max;
		}
	}
	return max;
}

/* Every percentile at which the distance to 100 has halved, in five steps each. */
void
stress_hist_print(const struct hist *h, FILE *out)
{
	uint64_t total = hist_get(&h->total), seen = 0, high, max = hist_get(&h->max);
	double   mean = total > 0 ? (double)hist_get(&h->sum) / (double)total : 0, square = 0, at,
	       part;
	double   next = 0;

	fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
	    "1/(1-Percentile)");
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t n = hist_get(&h->count[i]);

		if (n == 0)
			continue;
		seen += n;
		high = hist_bucket_high(i) < max ? hist_bucket_high(i) : max;
		at = (double)(hist_bucket_low(i) + hist_bucket_high(i)) / 2 - mean;
		square += at * at * (double)n;
		part = (double)seen / (double)total;
		if (part < next && seen < total)
			continue;
		if (seen < total)
			fprintf(out, "%12.3f %2.12f %10ju %14.2f\n", (double)high / 1000, part,
			    (uintmax_t)seen, 1 / (1 - part));
		else
			fprintf(out, "%12.3f %2.12f %10ju\n", (double)high / 1000, 1.0,
			    (uintmax_t)seen);
		while (next <= part && next < 1)
			next += (1 - next) / 10 > 1e-12 ? (1 - next) / 10 : 1;
	}
	fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean / 1000,
	    total > 0 ? sqrt(square / (double)total) / 1000 : 0.0);
	fprintf(out, "#[Max     = %12.3f, Total count    = %12ju]\n", (double)max / 1000,
	    (uintmax_t)total);
	fprintf(out, "#[Buckets = %12u, SubBuckets     = %12u]\n", HIST_RANGES + 1, SUB);
}

static unsigned
hist_bucket(uint64_t us)
{
	unsigned shift;

	if (us < SUB)
		return (unsigned)us;
	/* How often it has to be halved to have HIST_SUB_BITS bits: 1 … HIST_RANGES. */
	shift = 64 - HIST_SUB_BITS - (unsigned)__builtin_clzll(us);
	return SUB + (shift - 1) * HALF + ((unsigned)(us >> shift) - HALF);
}

static uint64_t
hist_bucket_low(unsigned bucket)
{
	unsigned shift;

	if (bucket < SUB)
		return bucket;
	shift = (bucket - SUB) / HALF + 1;
	return (uint64_t)((bucket - SUB) % HALF + HALF) << shift;
}

static uint64_t
hist_bucket_high(unsigned bucket)
{
	if (bucket < SUB)
		return bucket;
	return hist_bucket_low(bucket) + (UINT64_C(1) << ((bucket - SUB) / HALF + 1)) - 1;
}
