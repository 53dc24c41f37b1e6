/* SPDX-License-Identifier: BSD-2-Clause */
/* hist: histograms of times, against an exact sort of the same times. */
#include "stress/hist.h"

#include <math.h>

#include "stress/random.h"
#include "unit/tap.h"

#define TIMES 200000u

static struct hist whole, half[2];
static uint64_t    times[TIMES];

static const double percents[] = { 0, 1, 10, 50, 90, 99, 99.9, 99.99, 100 };

#define PERCENTS (sizeof percents / sizeof percents[0])

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The smallest that `percent` of all do not exceed. */
static uint64_t
exactly(double percent)
{
	size_t rank = (size_t)ceil(TIMES * percent / 100);

	return times[rank < 1 ? 0 : rank - 1];
}

/* Never less than the truth, and no more than a bucket above it. */
static bool
true_to_three_digits(uint64_t got, uint64_t truth)
{
	return got >= truth && (double)got <= (double)truth * 1.001;
}

static void
check(const char *what, uint64_t (*draw)(struct rng *))
{
	struct rng rng = stress_rng_make(7, TIMES);
	uint64_t   sum = 0;

	memset(&whole, 0, sizeof whole);
	memset(half, 0, sizeof half);
	for (unsigned i = 0; i < TIMES; i++) {
		times[i] = draw(&rng);
		sum += times[i];
		stress_hist_add(&whole, times[i]);
		stress_hist_add(&half[i % 2], times[i]);
	}
	qsort(times, TIMES, sizeof times[0], compare);
	for (unsigned i = 0; i < PERCENTS; i++) {
		uint64_t got = stress_hist_percentile(&whole, percents[i]);

		ok(true_to_three_digits(got, exactly(percents[i])),
		    "%s: p%g is %ju, exactly %ju", what, percents[i], (uintmax_t)got,
		    (uintmax_t)exactly(percents[i]));
	}
	is_number(whole.max, times[TIMES - 1], "%s: the maximum is exact", what);
	is_number(whole.sum, sum, "%s: the sum is exact", what);
	stress_hist_merge(&half[0], &half[1]);
	ok(memcmp(&half[0], &whole, sizeof whole) == 0, "%s: two halves merged are the whole",
	    what);
}

static uint64_t
small(struct rng *rng)
{
	return stress_rng_below(rng, 3000);
}

/* As latencies are: most near 100 µs, a long tail. */
static uint64_t
tailed(struct rng *rng)
{
	return (uint64_t)(100 * pow(1 - stress_rng_unit(rng), -1.2));
}

/* All magnitudes alike. */
static uint64_t
any(struct rng *rng)
{
	return (uint64_t)pow(2, stress_rng_unit(rng) * 36.9);
}

static void
edges(void)
{
	static const uint64_t at[] = { 0, 1, 1023, 1024, 2047, 2048, 2049, 4095, 4096, 1 << 20,
		HIST_MAX - 1, HIST_MAX };

	for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
		memset(&whole, 0, sizeof whole);
		stress_hist_add(&whole, at[i]);
		is_number(stress_hist_percentile(&whole, 50), at[i], "one time of %ju",
		    (uintmax_t)at[i]);
	}
	memset(&whole, 0, sizeof whole);
	is_number(stress_hist_percentile(&whole, 50), 0, "no time at all");
	stress_hist_add(&whole, UINT64_MAX);
	is_number(stress_hist_percentile(&whole, 100), HIST_MAX,
	    "beyond the end counts as the end");
}

/* The distribution is a table: values and counts grow, and the last line is all. */
static void
printed(void)
{
	char     *text = NULL, *line, *rest;
	size_t    size, lines = 0;
	FILE     *out = open_memstream(&text, &size);
	double    value = 0, percent, last = -1;
	uintmax_t count = 0, before = 0;
	bool      grows = true;

	memset(&whole, 0, sizeof whole);
	for (unsigned i = 1; i <= 1000; i++)
		stress_hist_add(&whole, i);
	stress_hist_print(&whole, out);
	fclose(out);
	rest = strstr(text, "#[Mean");
	ok(rest != NULL && sscanf(rest, "#[Mean = %lf", &value) == 1 && value > 0.499 &&
		value < 0.502,
	    "the mean is told");
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (sscanf(line, "%lf %lf %ju", &value, &percent, &count) != 3)
			continue;
		lines++;
		grows &= value > last && count > before && percent <= 1;
		last = value;
		before = count;
	}
	ok(grows, "a printed distribution grows");
	ok(lines > 10 && lines < 200, "it has %zu lines", lines);
	is_number(count, 1000, "its last line is all");
	ok(last > 0.9995 && last < 1.0005, "and the maximum, in ms");
	free(text);
}

int
main(void)
{
	edges();
	check("up to 3 ms", small);
	check("a long tail", tailed);
	check("all magnitudes", any);
	printed();
	return done_testing();
}
