/* SPDX-License-Identifier: BSD-2-Clause */
/* caller: who is at the other end of a UNIX socket. */
#ifndef PROC_CALLER_H
#define PROC_CALLER_H

#include <sys/types.h>

struct caller {
	uid_t uid;
	pid_t pid;
	char  text[96];	/* "root (uid 0, process 4711)" */
};

/* As the kernel noted it when the socket was connected. Returns 0, or -1 with errno. */
int caller_read(struct caller *, int fd) __attribute__((warn_unused_result));

#endif
