/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue: who waits for a link of an upstream, the longest first.
 *
 *	requester ──► waiter ──► … ──► waiter        of one upstream
 *	                 └──► requests that were on a link, and QUEUED
 *
 * It is clients that wait. What one has asked stays where it lies, in the buffer
 * of its connection, and is asked when there is room: as many of its requests
 * together as fit. Only what was on a link already waits here itself.
 */
#ifndef UPSTREAM_QUEUE_H
#define UPSTREAM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "upstream/request.h"

struct weir_upstream;

struct waiter {
	struct node       node;		/* of the upstream's queue, or of a pool's */
	struct node       requests;	/* QUEUED, in the order they were asked */
	struct requester *requester;
	uint64_t          since;	/* ms */
	bool              particular;	/* what it needs may be full while others are not */
	bool              refused;	/* was served, and there was no room */
};

/* Per worker: begin, end. */
void queues_start(void);
void queues_stop(void);

/* most: how many may wait. */
void queue_init(struct weir_upstream *, uint64_t most);

/*
 * The requester waits, behind all others. Returns false when pool_queue others wait
 * already, or memory is short: *why. One that waits already stays where it is.
 */
bool queue_enter(struct weir_upstream *, struct requester *, enum weir_failure *why)
    __attribute__((warn_unused_result));

/* A request that was on a link waits, with its bytes, behind those of its requester;
 * that then waits, too, however many others do. False: memory is short. */
bool queue_request(struct weir_upstream *, struct request *, struct weir_span bytes)
    __attribute__((warn_unused_result));

/* It has waited since then (ms) in another worker: it comes before those that have waited
 * less, however many there are. When memory is short it begins anew. */
void queue_return(struct weir_upstream *, struct requester *, uint64_t since);

/* Where it stands, or would: as requester.line says. */
struct node *queue_line(struct weir_upstream *, const struct requester *);

/* There, before those that have waited less. */
void queue_move(struct weir_upstream *, struct waiter *);

/* It waits no more. Its QUEUED requests must have been taken off before. */
void queue_leave(struct weir_upstream *, struct requester *);

/* Since when the requester has waited, in ms; 0: it does not. */
uint64_t queue_waits_since(const struct requester *);

#endif
