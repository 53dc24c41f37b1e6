/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hist: a log-linear histogram of times in microseconds, true to three digits.
 *
 *	0 … 2047 µs   a bucket for each
 *	beyond        1,024 buckets for each doubling, up to HIST_MAX
 *
 * One process writes it, any may read it meanwhile: counts are plain atomic words.
 */
#ifndef STRESS_HIST_H
#define STRESS_HIST_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#define HIST_SUB_BITS 11u			/* 2,048 in the first range */
#define HIST_RANGES   26u			/* doublings beyond it */
#define HIST_MAX      ((UINT64_C(1) << (HIST_SUB_BITS + HIST_RANGES)) - 1)	/* 38 hours */
#define HIST_BUCKETS  ((1u << HIST_SUB_BITS) + HIST_RANGES * (1u << (HIST_SUB_BITS - 1)))

struct hist {
	_Atomic uint64_t count[HIST_BUCKETS];
	_Atomic uint64_t total;
	_Atomic uint64_t sum;		/* µs */
	_Atomic uint64_t max;		/* µs, exact */
};

/* Times beyond HIST_MAX count as that. */
void stress_hist_add(struct hist *, uint64_t us);

/* Adds all of the second to the first. */
void stress_hist_merge(struct hist *, const struct hist *);

/* What has been added since an earlier copy; all, when it has been wiped since.
 * max is the upper end of the highest bucket. */
void stress_hist_since(struct hist *out, const struct hist *now, const struct hist *earlier);

/* The smallest time that `percent` of all do not exceed, as the upper end of its
 * bucket but never above max; 0 when there is none. */
uint64_t stress_hist_percentile(const struct hist *, double percent);

/* The percentile distribution as HdrHistogram's tools plot it (.hgrm), in ms. */
void stress_hist_print(const struct hist *, FILE *);

#endif
