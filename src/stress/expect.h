/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expect: conditions on an outcome, such as "errors==0, p99<5ms, rate>=1000", and
 * the search for the highest rate that meets them (--slo).
 */
#ifndef STRESS_EXPECT_H
#define STRESS_EXPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mode;
struct outcome;
struct run;

#define EXPECT_MAX      32u
#define EXPECT_ERROR_MAX 512

enum expect_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

struct condition {
	uint8_t        figure;	/* expect.c's table */
	enum expect_op op;
	double         bound;	/* times in µs, sizes in bytes */
	char           text[64];
};

struct expect {
	unsigned         count;
	struct condition of[EXPECT_MAX];
};

/* Reads conditions with commas between them, on figures that all modes have and on
 * the mode's own counters (NULL: none). Returns 0, or -1 with what is wrong and
 * which names there are, for the text behind "--expect: ". */
int expect_parse(struct expect *, const struct mode *, const char *text,
    char error[EXPECT_ERROR_MAX]);

/* Whether all hold. One whose figure does not exist (a percentile of nothing)
 * does not. */
bool expect_holds(const struct expect *, const struct outcome *);

/* A line for each condition: whether it holds, and what the figure was. With
 * `broken` those that hold are left out. */
void expect_print(FILE *, const struct expect *, const struct outcome *, bool broken);

/*
 * --slo: doubles the rate until the conditions are not met, then halves the gap,
 * until it is within SLO_GAP of the answer or SLO_TRIES are used up.
 *
 *	slo_begin(&slo, &conditions, run.rate);
 *	while ((rate = slo_rate(&slo)) > 0)
 *		… measure at this rate for run.duration …, slo_tried(&slo, &outcome);
 *	slo_print(stdout, &slo);
 */
#define SLO_GAP   0.02
#define SLO_TRIES 32u

struct slo {
	struct expect expect;
	double        rate;	/* of the next try; 0: the search is over */
	double        good;	/* the highest that held; 0: none so far */
	double        bad;	/* the lowest that did not; 0: none so far */
	unsigned      tries;
	bool          tester;	/* the last failed try ended at what the tester can do */
};

/* first: where the search begins; 0: at 1,000 a second. */
void slo_begin(struct slo *, const struct expect *, double first);
double slo_rate(const struct slo *);

/* Judges the try, tells it in a line on stderr unless run.quiet, and chooses the
 * next rate. A try also fails when less than 99 % of its rate was reached. */
void slo_tried(struct slo *, const struct run *, const struct outcome *);

/* What was found. Returns whether any rate held. */
bool slo_print(FILE *, const struct slo *);

#endif
