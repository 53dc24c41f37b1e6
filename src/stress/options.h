/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options: a command line, read by a table of what may stand on it. All that is wrong
 * is told on stderr, not only the first of it.
 *
 *	struct stress_options o = { .rules = rules, .count = RULES, .into = &run };
 *	stress_options_read(&o, argc, argv);
 *	… what is no option is in argv from optind on …
 */
#ifndef STRESS_OPTIONS_H
#define STRESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_MAX     48u
#define OPTION_NAME_MAX 32

enum option_kind {
	OPTION_FLAG,		/* a bool, which becomes true */
	OPTION_COUNT,		/* an unsigned */
	OPTION_NUMBER,		/* a uint64_t */
	OPTION_DECIMAL,		/* a double */
	OPTION_SIZE,		/* a uint64_t, bytes */
	OPTION_TIME,		/* a uint64_t, ms */
	OPTION_TIME_US,		/* a uint64_t, µs; "500us" can be said, too */
	OPTION_TEXT,		/* a const char *, which is not empty */
	OPTION_READ,		/* by .read */
};

struct stress_options;

struct option_rule {
	const char      *name;		/* "hold": --hold */
	char             letter;	/* 'c': -c as well; 0: it has none */
	enum option_kind kind;
	size_t           at;		/* where the value goes in options.into */
	double           least;		/* of numbers, sizes and times */
	double           most;		/* 0: no such bound */
	const char      *value;		/* what stands behind it, in words; NULL: nothing */
	const char      *help;		/* one line */
	char             part;		/* the caller's own */
	bool             again;		/* may be given more than once */
	void           (*read)(struct stress_options *, char *text);
};

struct stress_options {
	const struct option_rule *rules;
	unsigned                  count;	/* of them, at most OPTIONS_MAX */
	void                     *into;
	unsigned                  wrong;	/* how much has been told */
	bool                      answered;	/* by a .read: the rest does not matter */
	bool                      given[OPTIONS_MAX];
	bool                      bad[OPTIONS_MAX];	/* given, and its value is none */
};

void stress_options_read(struct stress_options *, int argc, char **argv);

/* By the long name, which has to be in the table. */
bool stress_options_given(const struct stress_options *, const char *name);
bool stress_options_bad(const struct stress_options *, const char *name);

/* Tells that something is wrong. */
void stress_options_wrong(struct stress_options *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "-c" or "--hold". Returns out. */
const char *stress_option_call(const struct option_rule *, char out[OPTION_NAME_MAX]);

/* A line for each. */
void stress_options_help(const struct option_rule *, unsigned count, FILE *);

/* A whole or decimal number, without exponents or signs. */
bool stress_option_decimal(const char *text, double *out);

/* As str_time, and with us; in µs. */
bool stress_option_time_us(const char *text, uint64_t *us);

#endif
