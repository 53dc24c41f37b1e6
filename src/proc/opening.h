/* SPDX-License-Identifier: BSD-2-Clause */
/* opening: what a generation needs besides its configuration: sockets, logs, mailboxes. */
#ifndef PROC_OPENING_H
#define PROC_OPENING_H

struct generation;

/* Makes the folders that a configuration may take for granted, below `state` (see
 * state_dir_make). Returns 0, or -1 after it has reported what is wrong. */
int opening_make_dirs(const struct generation *, const char *state)
    __attribute__((warn_unused_result));

/* Opens all of it, and lists it for the template; reports everything that is
 * wrong. Returns 0, or -1: dropping the generation closes what was opened. */
int opening_open(struct generation *) __attribute__((warn_unused_result));

/* Sends the list to the template, as much as the channel takes now. Returns 0,
 * or -1 with errno. */
int  opening_send(struct generation *) __attribute__((warn_unused_result));

#endif
