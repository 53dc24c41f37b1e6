/* SPDX-License-Identifier: BSD-2-Clause */
/* wait: what the master waits for: descriptors and deadlines, in one ppoll(2). */
#ifndef PROC_WAIT_H
#define PROC_WAIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WAIT_WATCHES_MAX 128u

/* A descriptor that is watched. Zeroed: not started. */
struct watch {
	struct node link;
	int         fd;
	short       events;	/* POLLIN, POLLOUT; may be changed at any time */
	unsigned    at;		/* its place in the pass */
	void      (*ready)(struct watch *, short what);
};

void watch_start(struct watch *, int fd, short events, void (*ready)(struct watch *, short what));
void watch_stop(struct watch *);	/* also from within a callback; twice is once */

/* A point in time. Zeroed: not set. */
struct deadline {
	struct node link;
	uint64_t    at;
	void      (*due)(struct deadline *);
};

/* ms of CLOCK_MONOTONIC. */
uint64_t wait_now(void);

/* In ms from now; replaces an earlier one. It is cleared before it is due. */
void deadline_set(struct deadline *, uint64_t ms, void (*due)(struct deadline *));
void deadline_clear(struct deadline *);

static inline bool
deadline_is_set(const struct deadline *d)
{
	return node_linked(&d->link);
}

/*
 * Waits once, with this signal mask, for a descriptor, a deadline or a signal,
 * and calls what has happened. Returns 0, or -1 with errno.
 */
int wait_pass(const sigset_t *mask) __attribute__((warn_unused_result));

/* Lets go of all watches and deadlines: in a child. */
void wait_forget(void);

#endif
