/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * companion: the other master, while a newly started program goes on for an older one.
 *
 *	older ── WELCOME, DESCRIPTORS …, TICKETS, READY ──► newer	what it needs to begin
 *	older ◄── HELLO, LINE …, FILES ────────────────── newer	how it gets on
 *	older ◄── RUNS, QUITS, STOP, RELOAD ─────────────► newer	what each says of itself
 *
 * The two may be of different versions. So what they say is text: a word, then lines of
 * key and value; words and keys that one does not know it passes over. What either says
 * of itself is as it is when there is room to send it, however often it has changed.
 */
#ifndef PROC_COMPANION_H
#define PROC_COMPANION_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir.h"

struct fdtable;

#define COMPANION_VARIABLE "WEIR_UPGRADE"	/* of the environment: the descriptor */

/* What the older one says of itself at first, beside its descriptors. */
struct companion_welcome {
	uint32_t number;	/* of the last generation that has run */
	bool     daemon;
	char     pid_file[PATH_MAX];	/* "": it has none */
	char     control[PATH_MAX];
};

struct companion {
	pid_t    pid;		/* 0: there is no other master */
	bool     newer;		/* it was started by this one */
	bool     apart;		/* its board is another: sessions cannot go there */
	char     version[64];	/* "": not known yet */
	uint32_t runs;		/* its generation; 0: none */
	bool     ran;		/* it has had one */
	bool     quits;		/* it ends with its last session */
};

struct companion_ops {
	void (*line)(enum weir_level, const char *text);	/* for whoever asked for it */
	/* The newer one has taken these names; the older one's files have the other ones. */
	void (*files)(const char *pid_file, const char *control);
	void (*changed)(void);	/* runs, quits or version */
	void (*stop)(void);	/* all is to end now */
	void (*reload)(void);	/* somebody has asked the other one, which has left */
	void (*ended)(void);	/* nothing more comes from it */
};

/* Read by all. */
extern struct companion companion;

/* Once, before the others. */
void companion_start(const struct companion_ops *);

/*
 * The newer one, first of all: whether the environment says that an older one waits, and
 * then all that it has to say. Its descriptors are in master_fds then, under the names
 * that they have there: FD_BOARD, FD_LISTEN, FD_INHERITED. Returns 1, 0: nobody waits, or
 * -1 after saying on stderr what is wrong.
 */
int companion_accept(struct companion_welcome *) __attribute__((warn_unused_result));

/* The older one: fd leads to the process that is being started, and is the companion's
 * now. Sends the welcome, and the descriptors of the table, which it frees. Returns 0, or
 * -1 with errno, and fd still the caller's. */
int companion_begin(int fd, pid_t, const struct companion_welcome *, struct fdtable *)
    __attribute__((warn_unused_result));

/* The newer one: it has read what it got, and knows its board. */
void companion_greet(void);

/* A line for whoever has asked the older one, and what became of the files. */
void companion_tell_line(enum weir_level, const char *text);
void companion_send_line(int fd, enum weir_level, const char *text);	/* not begun yet */
void companion_tell_files(const char *pid_file, const char *control);

/* Our generation that runs is another one, or none; we end with our last session; all is
 * to end now. */
void companion_tell_runs(void);
void companion_tell_quits(void);
void companion_tell_stop(void);

/* A reload that was asked for here is for the other one. */
void companion_tell_reload(void);

/* Reads what has come. False: it has ended, and nothing more will. */
bool companion_drain(void);

/* It has ended, or is given up: forgets it, and closes the way to it. */
void companion_end(void);

#endif
