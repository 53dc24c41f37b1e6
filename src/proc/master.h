/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master: the privileged process. It owns every listening socket and the
 * control socket, starts and stops the others, and takes signals; it runs no
 * module code and touches no traffic.
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

struct options;

/* Runs weir: in the foreground until its end, or until the daemon serves.
 * Returns the exit status. */
int master_run(const struct options *);

#endif
