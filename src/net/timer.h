/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer: a hierarchical timing wheel.
 *
 * Arming and disarming cost a few pointer writes whatever the duration and
 * however many timers there are. Activity does not touch a timer at all: it
 * stamps the owner, and the owner, when the timer fires, looks at the stamp and
 * arms again for what is left.
 *
 * A timer never fires early; it fires at most TIMER_TICK late (and as late as
 * the pass that it falls into is long).
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_TICK   8u		/* ms */
#define TIMER_LEVELS 5u		/* of 64 slots each: 99 days; what is later waits there on */

struct timer {
	struct node link;
	uint64_t    at;		/* ms, of the clock that timer_wheel_run is given */
};

struct timer_wheel {
	uint64_t    tick;	/* all up to this one have fired */
	uint64_t    count;
	uint64_t    occupied[TIMER_LEVELS];	/* a bit a slot */
	struct node slot[TIMER_LEVELS][64];
};

void timer_wheel_init(struct timer_wheel *, uint64_t now);

/* A timer that is armed already moves. */
void timer_arm(struct timer_wheel *, struct timer *, uint64_t at);
void timer_disarm(struct timer_wheel *, struct timer *);

static inline bool
timer_armed(const struct timer *t)
{
	return node_linked(&t->link);
}

/* Fires all that are due: each is disarmed first and may be armed again,
 * disarmed or freed by fire, like any other timer. */
void timer_wheel_run(struct timer_wheel *, uint64_t now, void (*fire)(struct timer *));

/* How many ms until timer_wheel_run has something to do (0: at once); INT64_MAX
 * when no timer is armed. It may be earlier than the next timer. */
int64_t timer_wheel_wait(const struct timer_wheel *, uint64_t now);

#endif
