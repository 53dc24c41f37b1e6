/* SPDX-License-Identifier: BSD-2-Clause */
/* inherit: listening sockets from whoever started weir (sd_listen_fds(3)). */
#ifndef PROC_INHERIT_H
#define PROC_INHERIT_H

struct fdtable;

/*
 * Puts the descriptors that LISTEN_PID and LISTEN_FDS announce into the table,
 * FD_INHERITED by address, and clears the variables. Returns 0 (also when there
 * are none), or -1 when one is no listening stream socket, which is logged.
 */
int inherit_sockets(struct fdtable *) __attribute__((warn_unused_result));

#endif
