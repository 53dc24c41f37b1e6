/* SPDX-License-Identifier: BSD-2-Clause */
/* notify: tells the service manager what becomes of weir (sd_notify(3)). */
#ifndef PROC_NOTIFY_H
#define PROC_NOTIFY_H

#include <stdbool.h>
#include <sys/types.h>

/* Each does nothing when there is no NOTIFY_SOCKET. STATUS is one line. */
void notify_ready(const char *status, bool main);	/* main: this is the main process */
void notify_reloading(void);
void notify_stopping(void);

/* Another process is the main one from now on (MAINPID=). */
void notify_main(pid_t);

#endif
