/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answers: what workers say of sessions (session/survey): gathered, sorted, printed.
 *
 * Each of them has its own part, in no order; nothing is printed before all have told theirs.
 */
#ifndef CTL_ANSWERS_H
#define CTL_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

struct answers_request {
	int             channel;
	const char     *asked;		/* "SLOT:GENERATION …" */
	bool            closes;
	bool            waits;
	bool            json;
	bool            quiet;
	uint64_t        limit;		/* so many lines, the oldest; 0: all */
	uint64_t        timeout;	/* ms; 0: the default */
	const uint64_t *ids;		/* that were named */
	unsigned        id_count;
};

/* Returns the exit status; what went wrong is on stderr. */
int answers_print(const struct answers_request *);

#endif
