/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idle: whether the other end of a connection that nobody uses is still there.
 *
 *	heard ──(pool_idle_check)──► asked ──acknowledged──► heard
 *	                               └──── no word in time ──► gone
 *
 * What ended while nobody used it mostly says so, and the loop hears of it. But a machine
 * that lost its power, a firewall or a NAT that forgot the connection say nothing. So the
 * kernel is made to send a keepalive probe, which asks nothing of the protocol, nor of TLS,
 * and no event tells of the answer: it is looked for, at once, and then less and less often.
 */
#ifndef UPSTREAM_IDLE_H
#define UPSTREAM_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct sock_options;

#define IDLE_LEAST 1000u	/* ms: earlier the kernel sends no probe */

struct idle {
	uint64_t heard;		/* ms: something came of the other end, or it was connected to */
	uint64_t asked;		/* ms: since when it is in question; 0: it is not */
	uint64_t look;		/* ms: when the answer is looked for */
	uint32_t pause;		/* ms: between the last two looks */
};

enum idle_answer {
	IDLE_THERE,
	IDLE_ASKED,	/* it is in question */
	IDLE_GONE,	/* it has said nothing, for as long as it had */
};

/* Something has come, now. */
static inline void
idle_heard(struct idle *i, uint64_t now)
{
	i->heard = now;
	i->asked = 0;
}

/* When idle_look has something to do, if it is asked `every` ms. */
static inline uint64_t
idle_due(const struct idle *i, uint64_t every)
{
	return i->asked != 0 ? i->look : i->heard + every;
}

/* Asks, or looks whether there is an answer. patience: ms that it has for it. The options are
 * the connection's, which it is given again. */
enum idle_answer idle_look(struct idle *, const struct conn *, const struct sock_options *,
    uint64_t now, uint64_t patience);

#endif
