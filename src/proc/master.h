/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master: the privileged process. It owns every listening socket and the
 * control socket, starts and stops the others, and takes signals; it runs no
 * module code and touches no traffic.
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/fdtable.h"

struct options;
struct text;

/* Every descriptor that it holds, but for those of its log. */
extern struct fdtable master_fds;

/* Runs weir: in the foreground until its end, or until the daemon serves.
 * Returns the exit status. */
int master_run(const struct options *);

const struct options *master_options(void);
uint64_t master_uptime(void);	/* ms */

/* What signals and the control socket ask for. */
void master_reload(void);	/* nobody waits for what comes of it */
void master_remake(void);	/* the configuration that runs, from what was kept of it */
void master_quit(void);
void master_stop(void);
/* Opens the logs again; gives how many could not be opened, and adds a line of
 * control.h for each of them (NULL: only the log tells). */
unsigned master_reopen(struct text *);
bool master_is_stopping(void);

/* Builds the next generation if somebody wants it and nothing is in the way. */
void master_build(void);

/* For generations: the first one knows its settings: takes the pid file and the
 * control socket; returns 0, or -1 after reporting why not. One has come to run
 * in the place of the other; one has been dropped. */
int  master_settle(void) __attribute__((warn_unused_result));
void master_swapped(void);
void master_dropped(void);

/* In a child: lets go of all that is the master's. */
void master_forget(void);

#endif
