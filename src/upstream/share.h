/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * share: who may have links, over all workers.
 *
 * A link costs two tokens on the board: one of pool_size, one of max_conns. A
 * worker that finds none, and has fewer links than its share, says so to the
 * others. One that has more than its share then closes a link that is idle, or
 * lets one run empty; where there are fewer tokens than workers, the only link
 * goes round, each keeping it for a little while. Messages only make this quick:
 * workers of other generations, whom they do not reach, find the wish on the
 * board at their next tick.
 */
#ifndef UPSTREAM_SHARE_H
#define UPSTREAM_SHARE_H

#include <stdbool.h>

struct pool;
struct weir_attempt;

/* How often whoever has links looks at what others want. */
#define SHARE_TICK 50u	/* ms */

/* How a worker speaks to others of its generation about the links to a peer (its
 * board entry): SHARE_WANTED to all that can hear, SHARE_FREED to one slot. */
enum share_word { SHARE_WANTED, SHARE_FREED };

struct share_worker {
	unsigned slot;
	unsigned slots;
	void   (*tell)(enum share_word, int peer, unsigned slot);
};

/* Worker: who it is; begin and end of a pool. */
void shares_start(const struct share_worker *);
void share_start(struct pool *);
void share_stop(struct pool *);

/* The tokens for one link more. False: it has to wait; others were asked. */
bool share_take(struct pool *, struct weir_attempt *) __attribute__((warn_unused_result));

/* A link is gone: those that asked are told. */
void share_give(struct pool *);

/* This machine is short of something that a link needs: it may have it again soon. */
void share_pause(struct pool *);

/* What another worker, of this slot, has said: it wants one; it has given one up. */
void share_wanted(struct pool *, unsigned slot);
void share_freed(struct pool *);

/* From time to time: whether somebody else wants a link. */
void share_look(struct pool *);

#endif
