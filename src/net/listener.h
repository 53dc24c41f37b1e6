/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listener: accepting, in a worker, from a listening socket that the master
 * owns. Level-triggered, at most LISTENER_BATCH a turn; with no descriptors or
 * memory left it pauses instead of spinning.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/loop.h"

#define LISTENER_BATCH        64u	/* accepts a turn from a socket of one's own */
#define LISTENER_BATCH_SHARED 4u	/* from one that others accept from, too */
#define LISTENER_PAUSE        100u	/* ms after EMFILE, ENFILE, ENOBUFS, ENOMEM */

struct listener;

struct listener_ops {
	/* A new connection: true when the callee has taken the fd over, false
	 * when it is refused and to be closed. */
	bool (*accepted)(struct listener *, int fd, const struct addr *from);
	/* Whether another one may be accepted now; when not, the owner calls
	 * listener_resume later. */
	bool (*may_accept)(struct listener *);
	/* The machine ran out of something (errno); accepting goes on in
	 * LISTENER_PAUSE ms. */
	void (*starved)(struct listener *, int error);
};

struct listener {
	struct loop_watch          watch;
	struct loop_timer          pause;
	const struct listener_ops *ops;
	int                        fd;
	uint32_t                   batch;
	bool                       watching;	/* registered for accepting */
	bool                       wanted;	/* should be, but for a pause */
};

/* Does not accept yet. The fd stays the caller's. */
void listener_init(struct listener *, int fd, bool shared, const struct listener_ops *);

/* Begins, pauses, goes on. Twice is once. */
void listener_start(struct listener *);
void listener_stop(struct listener *);
void listener_resume(struct listener *);

/* Accepts all that is queued right now, whether it is started or not, at most
 * `most`: before a socket is given up. */
void listener_sweep(struct listener *, unsigned most);

#endif
