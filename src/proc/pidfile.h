/* SPDX-License-Identifier: BSD-2-Clause */
/* pidfile: the file that says which process is the master, locked while it lives. */
#ifndef PROC_PIDFILE_H
#define PROC_PIDFILE_H

/* Opens and locks it (FD_PID of master_fds); what it holds stays until
 * pid_file_write. Returns 0, or -1 after reporting why. */
int  pid_file_lock(const char *path) __attribute__((warn_unused_result));

/* Writes the process number. */
void pid_file_write(void);

/* Removes the file, if it is still ours, and gives up the lock. */
void pid_file_remove(void);

#endif
