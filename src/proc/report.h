/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what comes of a start or a reload, told to all who asked for it, and
 * to the error log.
 *
 *	report_wanted ─► waiting ──report_begin──► asking ──report_end──► told
 *
 * Those who ask while a generation is being built wait for the next.
 */
#ifndef PROC_REPORT_H
#define PROC_REPORT_H

#include <stdbool.h>

#include "base/list.h"
#include "weir.h"

struct requester {
	struct node link;
	bool        forced;	/* what would be refused as a likely mistake is meant */
	void      (*line)(struct requester *, enum weir_level, const char *text);
	/* The last call: whether the new configuration runs. */
	void      (*done)(struct requester *, bool ok);
};

/* NULL: wanted, though nobody waits for what comes of it. */
void report_wanted(struct requester *);

/* It is gone: nothing more is told to it. */
void report_unwanted(struct requester *);

/* Whether somebody waits for the next build. */
bool report_is_wanted(void);

/* Whether one of those who asked for this build forces it; of those who wait for the
 * next. */
bool report_is_forced(void);
bool report_wants_force(void);

void report_begin(void);

/* Those who wait for the next build are answered: there is none. The log gets it, too. */
void report_turn_away(enum weir_level, const char *text, bool ok);

/* The same for a list of others. */
void requesters_answer(struct node *requesters, enum weir_level, const char *text, bool ok);

/* It hears of what is going on now, although that is no build. */
void report_join(struct requester *);

void report_end(bool ok);

/* Tells all who asked for this build. The log gets it, too, as soon as there is
 * one. ERROR, WARN, NOTICE. */
void report_say(enum weir_level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_logging(void);

/* Tells them what stands in another process's log already. */
void report_pass_on(enum weir_level, const char *text);

#endif
