/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control: the socket on which the master takes commands.
 *
 * A client sends one line: a command (proc/control_line), and behind a tab what
 * options_write says of its command line, which a reload compares. The answer is lines;
 * what the first byte of each says:
 *
 *	' '  text, for stdout
 *	'!'  an error or a warning, for stderr
 *	'+'  it has begun, which may take a while: reload and stop; says no more
 *	'>'  sessions and close: with the first byte of the answer a descriptor has come, from
 *	     which is read what workers say (session/survey): of these, "SLOT:GENERATION …".
 *	     configuration: the text of the one that runs (conf/snapshot); its number
 *	'='  the last one: the exit status, 0 or 1
 */
#ifndef PROC_CONTROL_H
#define PROC_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "proc/aside.h"

struct requester;
struct text;

#define CONTROL_CLIENTS 16u

/* What the commands do that concern the whole of weir. */
struct control_ops {
	/* Whether a reload would read what the client means; lines of the answer if not. */
	bool (*match)(const char *written, struct text *);
	/* The program that is there now takes over; told what comes of it. */
	void (*upgrade)(struct requester *);
	void (*stop)(void);	/* who asks for it hears of its end by control_close */
	void (*quit)(void);
	/* Gives how many logs could not be opened, with a line of the answer for each. */
	unsigned (*reopen)(struct text *);
	void (*status)(struct text *, bool json);
	void (*generations)(struct text *);
};

/* Opens it (FD_CONTROL). A stale file is replaced, one that somebody answers on
 * is not. place: where the path is configured. aside: an older master's is there, see
 * proc/aside. Returns 0, or -1 after reporting why. */
int  control_open(const char *path, const char *place, bool aside, const struct control_ops *)
    __attribute__((warn_unused_result));

/* Its names. */
extern struct aside control_aside;

/* Makes the socket again when its file was removed; what somebody else has put there is
 * told. Those who are connected stay. */
void control_look(void);

/* The last answer to those who wait for the end, then closes everything. */
void control_close(bool ok);

#endif
