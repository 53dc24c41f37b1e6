/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watchdog: finds workers that do not answer, and ends them.
 *
 * A worker, or the keeper, writes the time to its seat's word on the board three times in each
 * worker_watchdog; the master looks as often:
 *
 *	ANSWERING ─ worker_watchdog ─► SILENT ─ a third ─► ABORTED ─ worker_watchdog ─► KILLED
 *	    ▲                             │                 SIGABRT                     SIGKILL
 *	    └─────────── it answers ──────┘
 *
 * What ends is replaced like any worker that dies.
 */
#ifndef PROC_WATCHDOG_H
#define PROC_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct generation;
struct post;

enum watchdog_state { WATCHDOG_ANSWERING, WATCHDOG_SILENT, WATCHDOG_ABORTED, WATCHDOG_KILLED };

/* What is known of one worker. */
struct watchdog {
	enum watchdog_state state;
	uint64_t            heard;	/* ms: the last time that it wrote */
	uint64_t            aborted;	/* ms: when it was sent SIGABRT */
};

/* ms between two times that a worker writes, and that the master looks; limit: what
 * worker_watchdog says, not 0. */
#define WATCHDOG_LOOKS 3u	/* in worker_watchdog */
static inline uint64_t
watchdog_interval(uint64_t limit)
{
	return limit / WATCHDOG_LOOKS;
}

/* Master: a worker has just said that it is ready, or has ended. */
static inline void
watchdog_reset(struct watchdog *w, uint64_t now)
{
	*w = (struct watchdog){ .heard = now };
}

/* Master: looks after the workers of a generation that runs, until it has ended.
 * Does nothing with worker_watchdog = off. */
void watchdog_start(struct generation *);
void watchdog_stop(struct generation *);

/* ms that the worker there has not answered for; 0: it does, or nobody looks. */
uint64_t watchdog_silence(const struct post *);

#endif
