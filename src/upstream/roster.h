/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * roster: the peers of an upstream that may be picked, in one worker, in the order that
 * its balancer gives them.
 *
 *	peer_assess ──► trees ──► weir_upstream_first: the lowest rank
 *	                     └──► weir_upstream_draw: by share
 *
 * A tree has a leaf for each peer; a node knows the first of those below it, and the sum
 * of their shares: finding one, and changing its rank or state, takes a step for each
 * doubling of their number. There is a tree for each stage of a search, and again for
 * those who want links and for those who want connections, because these are full at
 * different times. One that is full is in no tree until it has room.
 *
 * What lies on the board is looked at again when UPSTREAM_CHANGES says so or time has
 * passed that changes it; and of each peer before it is given to anybody.
 *
 * Here are weir_upstream_first, weir_upstream_draw, weir_peer_rank and weir_peer_share.
 */
#ifndef UPSTREAM_ROSTER_H
#define UPSTREAM_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_peer;
struct weir_upstream;

/* Anything may begin behind so many bytes. */
static inline size_t
roster_aligned(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

/* Bytes of memory for an upstream with so many peers, and its beginning there: zeroed.
 * Memory that is not used is not touched. */
size_t roster_size(unsigned peers);
void   roster_start(struct weir_upstream *, void *memory);

/* Before the balancer is asked: what has changed on the board meanwhile. */
void roster_refresh(struct weir_upstream *, uint64_t now);

/* The same at once: peers are others than they were. */
void roster_renew(struct weir_upstream *, uint64_t now);

/* Whether all links to the peer are full: as far as is known it is not usable for who
 * wants one. */
void roster_set_full(struct weir_peer *, bool full);

/* A connection to it has ended: there may be room again. */
void roster_give(struct weir_peer *);

#endif
