/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * orphan: the channel of a post that nobody takes again: its generation retires, and
 * its worker has died.
 *
 * Sessions may lie in it, and whoever had that worker for an heir may send more. So a
 * worker of the generation that runs gets the channel as well and reads it to its end
 * (MESSAGE_ARRIVALS); when that one dies, another does. In the generation that runs
 * there are no orphans: the next worker of the slot goes on.
 */
#ifndef PROC_ORPHAN_H
#define PROC_ORPHAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "proc/wait.h"

struct post;

struct orphan {
	struct deadline look;		/* until it is over, or the post is closed */
	pid_t           guardian;	/* the worker that reads it now; 0: none yet */
	bool            over;		/* it is empty, and nobody can send any more */
};

/* The post is vacant and its generation retires; twice is once. When its channel is
 * `over`, at once or later, its generation can end. */
void orphan_begin(struct post *);

#endif
