/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admission: TLS handshakes that compete for this process.
 *
 *	admission_enter ──► WAITS ──► OPEN ──► admission_leave	it is over, or given up
 *	                      │        │
 *	                      └► GONE  └► given_up		it is old, and others wait
 *
 * A handshake takes 50 KB while it is open, and as much processor time as a hundred messages.
 * So only so many are open at a time, and ADMISSION_BATCH of them compute in a pass: sessions
 * that are there have their turn in between. Others wait, in the order they came. While some
 * do, those that have been open for ADMISSION_AGE are given up, the oldest first, as many as
 * wait: an other end that stops in mid-handshake keeps nobody out for longer. Where all are
 * with the same other end there is nobody else to make room for, and none is given up.
 *
 * The owner embeds a place. The conn's handler is called when its turn has come, and when it
 * was given up.
 */
#ifndef NET_ADMISSION_H
#define NET_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/loop.h"

#define ADMISSION_BATCH  4u	/* that compute in a pass: a few ms */
#define ADMISSION_AGE 1000u	/* ms: those that are open for so long may be given up */

struct conn;

struct admission {
	struct node       open;		/* the oldest first */
	struct node       waiting;	/* the same */
	uint64_t          count;	/* that are open */
	uint64_t          most;
	uint64_t          age;		/* ms: ADMISSION_AGE */
	uint64_t          pass;		/* of loop_micros … */
	unsigned          computed;	/* … and how many have in it */
	bool              looking;
	struct loop_timer look;		/* runs while some wait */
};

/* Zeroed, but for the first two, before it enters. */
struct admission_place {
	struct conn *conn;
	const void  *with;	/* the other end, when it may have several; or NULL */
	struct node  link;	/* of those that are open, or wait */
	uint64_t     since;	/* ms: it is open since then */
	bool         open;
	bool         waited;	/* because of others */
	bool         given_up;	/* it has to leave */
};

enum admission_answer {
	ADMISSION_OPEN,		/* it is open, and may compute now */
	ADMISSION_WAITS,
	ADMISSION_GONE,		/* the other end has gone while it waited: it has to leave */
};

/* Per process, after loop_open: nobody has a place. most: handshakes that are open. */
void admission_start(struct admission *, uint64_t most);
void admission_stop(struct admission *);

/* Whether a handshake that is not open may begin: to be asked again whenever the conn's
 * handler is called. */
enum admission_answer admission_enter(struct admission *, struct admission_place *);

/* Whether one that is open may compute in this pass; if not, it is called in the next. */
bool admission_may_compute(struct admission *, struct admission_place *);

/* It is over, or waits no more: another one may have its turn. Twice is once. */
void admission_leave(struct admission *, struct admission_place *);

/* Whether it waits for others. */
static inline bool
admission_waits(const struct admission_place *p)
{
	return !p->open && node_linked(&p->link);
}

#endif
