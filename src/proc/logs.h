/* SPDX-License-Identifier: BSD-2-Clause */
/* logs: the log files of generations; the master opens them for all. */
#ifndef PROC_LOGS_H
#define PROC_LOGS_H

struct generation;
struct text;

/* Opens those of a generation; reports all that cannot be opened, and returns -1
 * then, else 0. */
int logs_open(struct generation *) __attribute__((warn_unused_result));

/* The master's own messages go from now on to where this generation's go. */
void logs_own(struct generation *);

/*
 * Log files have been renamed: opens them again, for the processes of one that runs
 * or retires, or for all. Returns how many could not be opened; each is in the log,
 * and a line for it in the answer to a control command (may be NULL).
 */
unsigned logs_reopen(struct generation *, struct text *);
unsigned logs_reopen_all(struct text *);

#endif
