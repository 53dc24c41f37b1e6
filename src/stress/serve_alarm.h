/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve_alarm: times to the microsecond, for replies that are to take 3 ms and not
 * about ten: a heap of them, and one timerfd for the first.
 * A process has one set of them, so the functions take none.
 */
#ifndef STRESS_SERVE_ALARM_H
#define STRESS_SERVE_ALARM_H

#include <stddef.h>
#include <stdint.h>

struct alarm {
	uint64_t at;		/* µs of CLOCK_MONOTONIC */
	size_t   index;		/* in the heap, from 1; 0: not set */
	void   (*fire)(struct alarm *);
};

/* After loop_open. Returns 0, or -1 with errno. */
int  stress_alarm_open(void) __attribute__((warn_unused_result));
void stress_alarm_close(void);

/* Makes sure that it can be set. Returns 0, or -1: no memory. */
int stress_alarm_init(struct alarm *, void (*fire)(struct alarm *))
    __attribute__((warn_unused_result));
void stress_alarm_finish(struct alarm *);

/* alarm.fire at this time, once; replaces an earlier one. */
void stress_alarm_set(struct alarm *, uint64_t at);
void stress_alarm_cancel(struct alarm *);

uint64_t stress_alarm_clock(void);	/* µs of CLOCK_MONOTONIC */

#endif
