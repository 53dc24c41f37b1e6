/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * figure: everything that can be said of an outcome as a number, by name:
 * --expect, --slo and --json have them all from here.
 */
#ifndef STRESS_FIGURE_H
#define STRESS_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

struct mode;
struct outcome;

#define FIGURE_NAME_MAX 32

enum unit {
	UNIT_COUNT,
	UNIT_RATE,		/* a second */
	UNIT_TIME,		/* µs */
	UNIT_SIZE,		/* bytes */
};

struct figure {
	char        name[FIGURE_NAME_MAX];
	enum unit   unit;
	const char *needs;	/* the option without which it does not exist, or NULL */
	double    (*value)(const struct outcome *, double);	/* NAN: it does not exist */
	double      argument;	/* of value */
};

/* By name, those of the mode (NULL: of none) as well; pN and pN.N, too, with raw.,
 * connect. or handshake. before them, for any percentile. Returns whether there is one. */
bool stress_figure_find(struct figure *, const char *name, const struct mode *);

/* By place. Returns false behind the last. */
bool stress_figure_at(struct figure *, unsigned index, const struct mode *);

double stress_figure_value(const struct figure *, const struct outcome *);

/* As people read it: "1.23ms", "12,345", "3.4 MiB"; "none". Returns out. */
#define FIGURE_TEXT_MAX 32
char *stress_figure_print(const struct figure *, double value, char out[FIGURE_TEXT_MAX]);

#endif
