/* SPDX-License-Identifier: BSD-2-Clause */
/* child: what all processes that the master starts have in common. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* "was killed by SIGSEGV (Segmentation fault)", "ended with status 1". Returns out. */
char *child_status_print(int status, char *out, size_t size);

/*
 * Sees to it that this process ends when the master does. To be called again
 * after setuid(2), which clears it. Ends the process if the master has gone
 * already.
 */
void child_tie(pid_t master);

/* Signals as a program finds them, none blocked; SIGPIPE is ignored. */
void child_signals(void);

/* Ignores what a terminal or an operator sends to all: a template lives as
 * long as its channel. */
void child_ignore_signals(void);

/* Back to what a program finds: an ignored signal cannot be waited for. */
void child_default(int signal);

/* What the kernel says that a process does: a letter of proc_pid_stat(5); 0: it
 * cannot be found out. */
char child_state(pid_t);

/* What a process that does not answer seems to do: "is computing …". */
const char *child_doing(pid_t);

/* main, first of all: the memory that titles are written to. */
void child_title_init(int argc, char **argv, char **envp);

/* "weir: worker 0 (generation 3)", as ps shows it. What follows "weir: ". */
void child_title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
