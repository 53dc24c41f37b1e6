/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clone: what workers and keepers, which a template has cloned, have in common: how they
 * begin, and how they speak with the master.
 *
 *	clone_begin ─► clone_become_user ─► clone_listen ─► READY
 */
#ifndef PROC_CLONE_H
#define PROC_CLONE_H

#include "net/loop.h"
#include "proc/message.h"

struct template;

/* The process's own: it is one of them at most. */
struct clone {
	struct template *template;
	unsigned         slot;		/* or POST_KEEPER */
	unsigned         seat;
	int              inbox;
};
extern struct clone clone_self;

/* Closes what is another's, takes its name, and waits until the master knows it
 * (MESSAGE_START). Ends the process when that does not come. */
void clone_begin(struct template *, unsigned slot, unsigned seat, const char *role);

/* Not privileged from here on, and tied to the master again. */
void clone_become_user(void);

/* The loop is open: calls these for messages in its mailbox, with NULL when that was all of
 * them, and for SIGTERM and SIGQUIT; other signals are ignored. */
void clone_listen(void (*took)(struct message *), void (*signalled)(int signal));

/* Messages that both kinds get; any other is thrown away. */
void clone_take_log(struct message *);

/* READY, FAILED; whatever says of itself. */
void clone_tell_master(enum message_kind, const char *text);

/* To the mailbox of the slot's process; a full one does not take it. Not to itself. */
void clone_tell_slot(unsigned slot, const struct message *);
void clone_tell_workers(const struct message *);

/* It cannot start: says so to the master, and ends. */
_Noreturn void clone_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
