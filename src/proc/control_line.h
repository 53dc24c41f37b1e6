/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_line: a command as it is written to the control socket.
 *
 *	COMMAND WORD WORD … \n		words as in `form` below, spaces between them;
 *					blanks, control characters and % in them as %XX
 *
 * Read by the master, and by whoever sends one, to tell what is wrong with it first. A
 * pure function over bytes.
 */
#ifndef PROC_CONTROL_LINE_H
#define PROC_CONTROL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/cidr.h"

struct text;

#define CONTROL_LINE_MAX 8192u	/* bytes of a command, with what follows it */
#define CONTROL_IDS       512u	/* sessions that a command may name */
#define CONTROL_RATE     1000u	/* sessions closed in a second, unless it is said */
#define CONTROL_RATE_MAX 1000000u
#define CONTROL_GRACE   10000u	/* ms that one has to come to a message's end */

enum control_command {
	CONTROL_RELOAD,
	CONTROL_UPGRADE,
	CONTROL_QUIT,
	CONTROL_STOP,
	CONTROL_REOPEN,
	CONTROL_STATUS,
	CONTROL_GENERATIONS,
	CONTROL_CONFIGURATION,
	CONTROL_PEERS,
	CONTROL_PEER,
	CONTROL_SESSIONS,
	CONTROL_CLOSE,
	CONTROL_COMMANDS,	/* how many; and: no such command */
};

/* What is to be done with a peer. */
enum control_verb { VERB_UP, VERB_DOWN, VERB_DRAIN, VERB_WEIGHT };

/* Texts lie in the line that was read; NULL: not said. */
struct control_line {
	enum control_command command;
	bool                 force;
	bool                 json;
	bool                 wait;
	const char          *upstream;
	const char          *address;	/* of a peer */
	enum control_verb    verb;
	unsigned             weight;
	const char          *server;
	const char          *peer;	/* of sessions: those that have this one */
	const char          *from;	/* … whose clients are in this range */
	struct cidr          range;	/* the same */
	uint64_t             rate;	/* in a second; 0: all at once */
	uint64_t             grace;	/* ms */
	unsigned             id_count;
	uint64_t             ids[CONTROL_IDS];
};

/*
 * Reads one without its end, which has a NUL behind it (line[len]); it is written over.
 * False: it is none, and *why (of `size` bytes) says what is wrong and what to do.
 */
bool control_line_parse(char *line, size_t len, struct control_line *, char *why, size_t size)
    __attribute__((warn_unused_result));

/* The other way, for who writes one: a blank, and the word; prefix ("server=") as it is. */
void control_line_add(struct text *, const char *prefix, const char *word);

const char *control_line_name(enum control_command);

/* The commands there are, with commas. */
void control_line_print_forms(struct text *);

/* "3.17", as sessions are called: generation << 32 | number. */
bool control_line_read_id(const char *text, uint64_t *id);

#endif
