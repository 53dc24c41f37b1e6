/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upgrade: a newly started program goes on for this master, or gives back to it.
 *
 *	NONE ─want─► WANTED ─start─► STARTING ─it runs─► BESIDE ─one of the two ends─► NONE
 *	                                │
 *	                                └─ it ends, or is too slow: nothing has changed ─► NONE
 *
 * STARTING and BESIDE there are two masters (proc/companion), each with templates and
 * workers of its own, on one board and with the same listening sockets. The sessions of
 * whoever retires go to the workers of the other. Until the newer one runs, the older
 * one's state is as it was, so that whatever happens to the newer one changes nothing.
 */
#ifndef PROC_UPGRADE_H
#define PROC_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

struct requester;

struct upgrade_ops {
	/* The newer one runs, and all is to go there: accept no more, end with the last
	 * session. */
	void (*retire)(void);
	/* There is no other master any more, or it has no generation that runs. quits: it
	 * has said that weir ends. */
	void (*alone)(bool quits);
	void (*stop)(void);	/* it has been told to end at once */
	void (*reload)(void);	/* or to reload, which is for us to do */
};

/* Once, before the others. daemon: whether this master has left the terminal. */
void upgrade_start(const struct upgrade_ops *, bool daemon);

/*
 * First of all: whether this process was started to go on for an older master, whose
 * descriptors, tickets and numbers it has then. Returns 1, 0, or -1 after saying why not.
 * *daemon: whether that one has left the terminal.
 */
int upgrade_accept(bool *daemon) __attribute__((warn_unused_result));

/*
 * The program that is there now is wanted, as soon as nothing else is under way. all: when
 * it runs it gets all sessions, and this master ends. The requester, who may be NULL, hears
 * what comes of it.
 */
void upgrade_want(struct requester *, bool all);

/* Once in each pass of the master; and whether one is under way, so that no other
 * generation is built meanwhile. */
void upgrade_look(void);
bool upgrade_is_under_way(void);

/* weir ends: a newer one that does not run yet does, too. */
void upgrade_cancel(void);

/* A child has ended; whether it was the newer one. */
bool upgrade_reap(pid_t, int status);

/* Whether an older master has this file now, so that ours has to be made aside
 * (proc/aside); all of them take their names: our first generation runs. */
bool upgrade_shares(const char *path);
void upgrade_take_names(void);

#endif
