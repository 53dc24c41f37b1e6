/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * roster: the peers of an upstream that may be picked, in one worker, in the order that
 * its balancer gives them.
 *
 *	peer_assess ──► trees ──► roster_first: the lowest rank
 *	                     └──► roster_draw: by share
 *
 * A tree has a leaf for each peer; a node knows the first of those below it, and the sum
 * of their shares: finding one, and changing its rank or state, takes a step for each
 * doubling of their number. There is a tree for each stage of a search, and again for
 * those who want links and for those who want connections, because these are full at
 * different times. One that is full is in no tree until it has room.
 *
 * What lies on the board is looked at again when UPSTREAM_CHANGES says so or time has
 * passed that changes it; and of each peer before it is given to anybody.
 */
#ifndef UPSTREAM_ROSTER_H
#define UPSTREAM_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_attempt;
struct weir_peer;
struct weir_upstream;

/* Bytes of memory for an upstream with so many peers, and its beginning there: zeroed.
 * Memory that is not used is not touched. */
size_t roster_size(unsigned peers);
void   roster_start(struct weir_upstream *, void *memory);

/* Before the balancer is asked: what has changed on the board meanwhile. */
void roster_refresh(struct weir_upstream *, uint64_t now);

/* The usable peer with the lowest rank; of equal ones, that which has waited longest.
 * NULL: none is usable. */
struct weir_peer *roster_first(struct weir_upstream *, const struct weir_attempt *);

/* The one that lies at `at` (of 2^64) when all are laid out by their shares; or NULL. */
struct weir_peer *roster_draw(struct weir_upstream *, const struct weir_attempt *, uint64_t at);

void     roster_rank(struct weir_peer *, uint64_t rank);
uint32_t roster_share(const struct weir_peer *);

/* Whether all links to the peer are full: as far as is known it is not usable for who
 * wants one. */
void roster_set_full(struct weir_peer *, bool full);

/* A connection to it has ended: there may be room again. */
void roster_give(struct weir_peer *);

#endif
