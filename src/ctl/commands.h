/* SPDX-License-Identifier: BSD-2-Clause */
/* commands: the words of weir's command line that do not start it. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

struct options;

struct command_line {
	int    count;		/* of words: the command and its arguments */
	char **words;
	bool   json;		/* --json */
	bool   force;		/* --force: a reload may close every listener */
	uint64_t timeout;	/* --timeout, ms; 0: the default */
};

/* weir -s NAME. Returns the exit status; 2: there is no such. */
int command_signal(const struct options *, const char *name, const struct command_line *);

/* weir WORD …: status, generations, explain, modinfo. */
int command_run(const struct options *, const struct command_line *);

#endif
