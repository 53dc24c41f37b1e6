/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon: leaving the terminal, but not before it is known whether weir serves. */
#ifndef PROC_DAEMON_H
#define PROC_DAEMON_H

#include <stdbool.h>

/*
 * Forks. In the process that goes on as the daemon it returns -1; stderr is
 * still the caller's terminal. In the one that was started it returns the exit
 * status, once the other has said daemon_ready (0) or has ended.
 */
int daemon_start(void);

/* It serves: lets the starter end, and stdin, stdout and stderr go (stderr
 * stays if logs are written there). Does nothing in the foreground. */
void daemon_ready(bool keep_stderr);

#endif
