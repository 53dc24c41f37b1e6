/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expect: conditions on an outcome, such as "errors==0, p99<5ms, rate>=1000".
 */
#ifndef STRESS_EXPECT_H
#define STRESS_EXPECT_H

#include <stdbool.h>
#include <stdio.h>

#include "stress/figure.h"

#define EXPECT_MAX       32u
#define EXPECT_ERROR_MAX 1024

enum expect_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

struct run;

struct condition {
	struct figure  figure;
	enum expect_op op;
	double         bound;	/* in the figure's unit */
	char           text[64];
};

struct expect {
	unsigned         count;
	struct condition of[EXPECT_MAX];
};

/* Reads conditions with commas between them, on figures that all modes have and on the
 * own counters of the run's mode. Returns 0, or -1 with what is wrong: a name that there
 * is not, with those that there are, or a figure that this run will not have; for the text
 * behind "--expect: ". */
int stress_expect_parse(struct expect *, const struct run *, const char *text,
    char error[EXPECT_ERROR_MAX]);

/* Whether one holds for a figure of this value. */
bool stress_condition_holds(const struct condition *, double value);

/* Whether all hold. One whose figure does not exist (a percentile of nothing)
 * does not. */
bool stress_expect_holds(const struct expect *, const struct outcome *);

/* Behind an empty line, a line for each condition: whether it holds, and what the
 * figure was. With `broken` those that hold are left out. */
void stress_expect_print(FILE *, const struct expect *, const struct outcome *, bool broken);

#endif
