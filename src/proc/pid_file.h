/* SPDX-License-Identifier: BSD-2-Clause */
/* pid_file: the file that says which process is the master, locked while it lives. */
#ifndef PROC_PID_FILE_H
#define PROC_PID_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "proc/aside.h"

/* Opens and locks it (FD_PID of master_fds), and writes the process number. place:
 * where the path is configured. aside: an older master's file is there, see proc/aside.
 * Returns 0, or -1 after reporting why. */
int  pid_file_open(const char *path, const char *place, bool aside)
    __attribute__((warn_unused_result));

/* Its names. */
extern struct aside pid_file_aside;

/* Makes the file again when it was removed; what somebody else has put there is told. */
void pid_file_look(void);

/* In a command: the master that holds the file there, 0: none does, -1: one that has not
 * written its number yet. */
pid_t pid_file_holder(const char *path);

/* Removes the file, if it is still ours, and gives up the lock. */
void pid_file_remove(void);

#endif
