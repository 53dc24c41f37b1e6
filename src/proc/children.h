/* SPDX-License-Identifier: BSD-2-Clause */
/* children: the processes of all generations: what they say, how they end. */
#ifndef PROC_CHILDREN_H
#define PROC_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

struct message;

/* A child has ended. */
void children_reap(pid_t, int status);

/* A message to the master from the worker m->sender. Returns whether it makes
 * sense, if only for one that has ended meanwhile. */
bool children_mail(const struct message *) __attribute__((warn_unused_result));

/* This process has sent one that makes none: a worker is killed. */
void children_nonsense(pid_t sender);

/* All end: gracefully, now, or without being asked. The generation being built is
 * dropped. */
void children_retire(void);
void children_stop(void);
void children_kill(void);

/* All workers get the keys of TLS tickets, which have been rotated. */
void children_give_tickets(void);

#endif
