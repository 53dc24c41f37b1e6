/* SPDX-License-Identifier: BSD-2-Clause */
/* worker: a process that serves traffic, cloned from a template. */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

struct template;

/*
 * Of the clone: never returns. Waits until the master knows it (MESSAGE_START),
 * becomes the user, opens everything, says READY, and serves until it is told
 * to stop.
 */
_Noreturn void worker_run(struct template *, unsigned slot, unsigned seat);

#endif
