/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handover: the channels on which a worker's sessions go to others and those of others
 * come, as the worker sees them. session/move says which go and makes them go on.
 *
 *	of an older generation ── FD_HANDOVER ──► FD_ARRIVALS ── this worker
 *	this worker ── FD_HANDOVER ──► FD_ARRIVALS of its heirs
 *
 * A channel of its own beside the mailbox: a full one keeps no order of the master
 * waiting, and when its last sender has gone the kernel says so. Only then may a worker
 * that retires end.
 */
#ifndef PROC_HANDOVER_H
#define PROC_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

struct message;
struct move_ops;
struct template;

/* MESSAGE_MOVED: what has become of a worker's sessions. */
struct handover_report {
	uint32_t generation;	/* that they were to go to */
	uint32_t moved;
	uint32_t busy;		/* go when they are at rest */
	uint32_t stay;		/* cannot */
	uint32_t wait;		/* until there is room for them */
};

/* Begins, before service_start, which gets these. over: called when nobody can send to us
 * any more. */
const struct move_ops *handover_start(struct template *, unsigned slot, unsigned seat,
    void (*over)(void));

/* How many descriptors may be sent to this worker, for its beats. Others look at that, and keep
 * sessions that have no room here: what lies in a channel is served by nobody. */
uint64_t handover_room(void);
#define HANDOVER_LOW 4096u	/* below that it is told each second */

/* While no newer generation runs, the heirs are the others of our own: hands some sessions
 * over where these have far fewer (proc/rebalance). now: of the beats. */
void handover_rebalance(uint64_t now, uint64_t sessions);

/* From now on sessions may arrive. */
void handover_open(void);

/* What is sent to our slot is for another worker, who takes it over; and: nothing comes any
 * more, whoever it was for, because we end. */
void handover_yield(void);
void handover_close(void);

/* The channel of a worker that has died (MESSAGE_ARRIVALS). */
void handover_take_arrivals(struct message *);

/* Who goes on with our sessions (MESSAGE_HEIRS): all of them, as soon as we retire. */
void handover_take_heirs(struct message *);

/* We do: sessions go to our heirs, if we have any. */
void handover_retire(void);

/* Whether nobody can send to us any more. */
bool handover_is_over(void);

void handover_stop(void);

#endif
