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

/* Worker: begin, end. */
void share_start(struct pool *);
void share_stop(struct pool *);

/* The tokens for one link more. False: it has to wait; others were asked. */
bool share_take(struct pool *, struct weir_attempt *) __attribute__((warn_unused_result));

/* A link is gone: those that asked are told. */
void share_give(struct pool *);

/* What another worker has said: it wants one; it has given one up. */
void share_wanted(struct pool *, unsigned slot);
void share_freed(struct pool *);

/* From time to time: whether somebody else wants a link. */
void share_look(struct pool *);

#endif
