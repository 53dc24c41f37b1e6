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

struct options;
struct text;

/* Runs weir: in the foreground until its end, or until the daemon serves.
 * Returns the exit status. */
int master_run(const struct options *);

const struct options *master_options(void);

/* Wanted: the configuration that runs, from what was kept of it. */
void master_remake(void);

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
