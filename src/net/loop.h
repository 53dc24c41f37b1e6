/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop: the event loop of a process, and the only door to libevent.
 *
 * One pass:
 *
 *	wait ─► events ─► run queue ─► due timers ─► end-of-pass work
 *	 ▲                                                  │
 *	 └──────────────────────────────────────────────────┘
 *
 * What must go on later without a new event goes to the run queue: it is the
 * one way to continue. What is queued while the queue is being run has its turn
 * in the next pass, which then does not wait.
 *
 * A process has one loop, so its functions take none. It is made after fork:
 * children that share an event base destroy each other's registrations.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/queue.h"
#include "net/timer.h"

extern uint64_t loop_clock;	/* 0: not read in this pass */
uint64_t loop_read_clock(void);

/* Milliseconds of CLOCK_MONOTONIC_COARSE, the same throughout a pass. */
static inline uint64_t
loop_now(void)
{
	return loop_clock != 0 ? loop_clock : loop_read_clock();
}

/* Whether to complain again of what may happen many times a second: once in
 * LOOP_SILENCE. *last (0: never) is when it was done. */
#define LOOP_SILENCE 60000u	/* ms */
bool loop_complain(uint64_t *last);

/* Returns 0, or -1 with errno. scratch: bytes of loop_scratch (at least 4096).
 * fired: called for each timer of loop_arm that is due. */
int  loop_open(size_t scratch, void (*fired)(struct timer *)) __attribute__((warn_unused_result));
void loop_close(void);

/* Passes until loop_stop, which may have come before; 0, or -1 with errno when
 * waiting itself fails. May be run again. */
int  loop_run(void) __attribute__((warn_unused_result));
void loop_stop(void);

/* Where reads go first: shared by all, valid until the next read. */
char  *loop_scratch(void);
size_t loop_scratch_size(void);

/* Descriptor events. The caller embeds the event; loop_watch registers it once.
 * what: EV_READ | EV_WRITE | EV_CLOSED | EV_ET …, EV_PERSIST is added. Returns
 * 0, or -1 with errno. */
int  loop_watch(struct event *, int fd, short what, event_callback_fn, void *argument)
    __attribute__((warn_unused_result));
void loop_unwatch(struct event *);

/* Rare timers with a function of their own (a pause, a tick), in ms. */
void loop_timer_init(struct event *, event_callback_fn, void *argument);
void loop_timer_start(struct event *, uint64_t ms);
void loop_timer_stop(struct event *);

/* Cheap timers, all handed to the one `fired` function. at: of loop_now. */
void loop_arm(struct timer *, uint64_t at);
void loop_disarm(struct timer *);

/* The run queue. A task that is queued already stays where it is. */
struct task {
	struct node link;
};
void loop_queue(struct task *);
void loop_unqueue(struct task *);
void loop_on_task(void (*run)(struct task *));

/* Called at the end of each pass, in the order of registration; at most four. */
void loop_on_pass_end(void (*work)(void));

#endif
