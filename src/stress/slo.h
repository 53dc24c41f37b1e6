/* SPDX-License-Identifier: BSD-2-Clause */
/* slo: the search for the highest rate of an open loop that meets conditions. */
#ifndef STRESS_SLO_H
#define STRESS_SLO_H

#include "stress/expect.h"
#include "stress/outcome.h"

struct run;

/*
 * Doubles the rate until the conditions are not met (or halves it until they
 * are), then halves the gap, until it is within SLO_GAP of the answer or
 * SLO_TRIES are used up.
 *
 *	stress_slo_begin(&slo, &conditions, run.rate);
 *	while (slo.end == SLO_GOES_ON)
 *		… measure at stress_slo_rate(&slo) for run.duration …,
 *		stress_slo_tried(&slo, stdout, &run, &outcome);
 *	stress_slo_print(stdout, &slo, &run, &outcome);
 *	stress_slo_clear(&slo);
 */
#define SLO_GAP   0.05
#define SLO_TRIES 32u

enum slo_end {
	SLO_GOES_ON,
	SLO_FOUND,
	SLO_NOTHING,		/* no rate holds */
	SLO_INTERRUPTED,	/* by a signal; it has not come to its end */
	SLO_LOST,		/* nor here: nobody answers any more */
	SLO_BROKEN,		/* nor here: the tester itself cannot go on */
};

struct slo_try {
	double rate;			/* requests a second */
	double answered;		/* … in its time */
	bool   reached;			/* that is (nearly) the rate */
	double busiest;			/* how busy the tester itself was: see outcome.busiest */
	bool   held;
	double values[EXPECT_MAX];	/* of the conditions' figures */
};

struct slo {
	struct expect  expect;
	enum slo_end   end;
	double         rate;	/* requests a second, of the next try */
	double         good;	/* the highest that held; 0: none so far */
	double         bad;	/* the lowest that did not; 0: none so far */
	bool           tester;	/* the lowest that did not: the tester itself was busy */
	unsigned       tries;
	struct slo_try of[SLO_TRIES];
	struct outcome best;	/* of the highest that held; sum NULL: none */
};

/* first: where the search begins; 0: at 1,000 a second. */
void stress_slo_begin(struct slo *, const struct expect *, double first);
double stress_slo_rate(const struct slo *);

/* Judges the try by what was measured, tells it in a line, and chooses the next rate. A
 * try fails, too, when less than its rate was answered in its time (stress_outcome_reached). What
 * the best outcome owns is taken away from it. */
void stress_slo_tried(struct slo *, FILE *, const struct run *, struct outcome *);

/* The search ends without a result: the last try does not count. */
void stress_slo_give_up(struct slo *, enum slo_end);

/* What was found: the rate with the report of its try; or why there is none, with what
 * went wrong in the last one. */
void stress_slo_print(FILE *, const struct slo *, const struct run *, const struct outcome *last);

/* Frees what it owns. */
void stress_slo_clear(struct slo *);

#endif
