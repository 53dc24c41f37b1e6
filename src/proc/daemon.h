/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon: leaving the terminal, but not before it is known whether weir serves. */
#ifndef PROC_DAEMON_H
#define PROC_DAEMON_H

#include <stdbool.h>

/*
 * Forks. In the process that goes on as the daemon it returns -1; stdin and
 * stdout are gone, stderr is still the caller's terminal. In the one that was
 * started it returns the exit status, once the other has said daemon_ready (0)
 * or has ended.
 */
int daemon_start(void);

/* This process goes on for a daemon, and is one. Returns 0, or -1 with errno. */
int daemon_continue(void);

bool daemon_is_one(void);

/* Until daemon_ready: calls it when the starter has ended, by a signal then: nobody
 * waits for the start any more. Does nothing in the foreground. */
void daemon_watch(void (*abandoned)(void));

/* It serves: lets the starter end, and stderr go (it stays if logs are written
 * there). Does nothing in the foreground. */
void daemon_ready(bool keep_stderr);

/* In a process that the daemon has started: lets stderr go in the same way. Who
 * waits for the end of the daemon's output would wait for it, too. */
void daemon_quieten(bool keep_stderr);

#endif
