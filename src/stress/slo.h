/* SPDX-License-Identifier: BSD-2-Clause */
/* slo: the search for the highest rate of an open loop that meets conditions. */
#ifndef STRESS_SLO_H
#define STRESS_SLO_H

#include "stress/expect.h"

struct run;

/*
 * Doubles the rate until the conditions are not met (or halves it until they
 * are), then halves the gap, until it is within SLO_GAP of the answer or
 * SLO_TRIES are used up.
 *
 *	slo_begin(&slo, &conditions, run.rate);
 *	while ((rate = slo_rate(&slo)) > 0)
 *		… measure at this rate for run.duration …, slo_tried(&slo, &outcome);
 *	slo_print(stdout, &slo);
 */
#define SLO_GAP     0.05
#define SLO_TRIES   32u
#define SLO_REACHED 0.98

struct slo_try {
	double rate;			/* requests a second */
	double answered;		/* … in its time */
	bool   held;
	double values[EXPECT_MAX];	/* of the conditions' figures */
};

struct slo {
	struct expect  expect;
	double         rate;	/* requests a second, of the next try; 0: the search is over */
	double         good;	/* the highest that held; 0: none so far */
	double         bad;	/* the lowest that did not; 0: none so far */
	bool           tester;	/* the lowest that did not: the tester itself was busy */
	unsigned       tries;
	struct slo_try of[SLO_TRIES];
};

/* first: where the search begins; 0: at 1,000 a second. */
void slo_begin(struct slo *, const struct expect *, double first);
double slo_rate(const struct slo *);

/* Judges the try by what was measured, tells it in a line on report_output
 * unless run.quiet, and chooses the next rate. A try fails, too, when less than SLO_REACHED
 * of its rate was answered in its time. */
void slo_tried(struct slo *, const struct run *, const struct outcome *);

/* What was found. Returns whether any rate held. */
bool slo_print(FILE *, const struct slo *);

#endif
