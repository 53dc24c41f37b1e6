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

#include "base/list.h"
#include "net/timer.h"

extern uint64_t loop_clock;	/* 0: not read in this pass */
uint64_t loop_read_clock(void);

/* Milliseconds of CLOCK_MONOTONIC_COARSE, the same throughout a pass. */
static inline uint64_t
loop_now(void)
{
	return loop_clock != 0 ? loop_clock : loop_read_clock();
}

/* Microseconds of CLOCK_MONOTONIC, read at the first call of a pass. */
uint64_t loop_micros(void);

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

/*
 * A watch is a descriptor's registration, embedded by whoever owns the descriptor.
 * Both structs hold an event of libevent, which loop.c alone knows.
 */
#define LOOP_EVENT_SIZE 128u

struct loop_watch {
	_Alignas(8) char event[LOOP_EVENT_SIZE];
};

/* What is watched for, and what has happened. An error of the socket is told as
 * LOOP_READ | LOOP_WRITE and nothing else, whatever came with it. */
enum loop_events {
	LOOP_READ  = 0x02,
	LOOP_WRITE = 0x04,
	LOOP_EDGE  = 0x20,	/* when it changes, not for as long as it is so */
	LOOP_END   = 0x80,	/* the peer has ended its side */
};

/* what: of enum loop_events, those that have happened. */
typedef void loop_watch_function(int fd, short what, void *argument);

/* Registers until loop_watch_stop, which has to come before the descriptor is closed.
 * Returns 0, or -1 with errno. */
int  loop_watch_start(struct loop_watch *, int fd, unsigned events, loop_watch_function *happened,
    void *argument) __attribute__((warn_unused_result));
void loop_watch_stop(struct loop_watch *);

/* The descriptor that it was registered with last. */
int loop_watch_fd(const struct loop_watch *);

/* Rare timers with a function of their own (a pause, a tick), in ms. Started again
 * it is moved. It is stopped when it fires. */
struct loop_timer {
	_Alignas(8) char event[LOOP_EVENT_SIZE];
	void           (*fire)(void *argument);
	void            *argument;
};
void loop_timer_init(struct loop_timer *, void (*fire)(void *), void *argument);
void loop_timer_start(struct loop_timer *, uint64_t ms);
void loop_timer_stop(struct loop_timer *);

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

/* The version of libevent that runs. */
const char *loop_library_version(void);

/* Called at the end of each pass, in the order of registration; at most four. */
void loop_on_pass_end(void (*work)(void));

#endif
