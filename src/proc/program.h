/* SPDX-License-Identifier: BSD-2-Clause */
/* program: the command that this process was started with, to give it again. */
#ifndef PROC_PROGRAM_H
#define PROC_PROGRAM_H

#include <sys/types.h>

/*
 * main, before titles are written over the arguments: keeps them, the working directory,
 * and the path of the program: as it was typed or found in PATH, so that a link which
 * leads elsewhere by then is followed again.
 */
void program_note(int argc, char **argv);

/* "/usr/local/weir/sbin/weir"; NULL: it cannot be told. */
const char *program_path(void);

/*
 * In a child of the master: becomes the program that is there now, with the same
 * arguments, in the same directory, and `variable` set in its environment. The
 * descriptor fd stays open. Returns, with errno, only when it cannot.
 */
void program_become(const char *variable, const char *value, int fd);

#endif
