/* SPDX-License-Identifier: BSD-2-Clause */
/* pidfile: the file that says which process is the master, locked while it lives. */
#ifndef PROC_PIDFILE_H
#define PROC_PIDFILE_H

/* Opens and locks it (FD_PID of master_fds); what it holds stays until
 * pidfile_write. Returns 0, or -1 after reporting why. */
int  pidfile_lock(const char *path) __attribute__((warn_unused_result));

/* Writes the process number. */
void pidfile_write(void);

/* Removes the file, if it is still ours, and gives up the lock. */
void pidfile_remove(void);

#endif
