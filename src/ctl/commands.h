/* SPDX-License-Identifier: BSD-2-Clause */
/* commands: the words of weir's command line that do not start it. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

struct options;

/* What a command may be told by options; those with a value. */
#define COMMAND_OPTIONS_EACH(X)                                                \
	X(FORCE, "force", false)	/* a reload may close every listener */ \
	X(JSON, "json", false)                                                 \
	X(WAIT, "wait", false)                                                 \
	X(TIMEOUT, "timeout", true)                                            \
	X(SERVER, "server", true)                                              \
	X(PEER, "peer", true)                                                  \
	X(FROM, "from", true)                                                  \
	X(RUNNING, "running", false)                                           \
	X(LIMIT, "limit", true)                                                \
	X(RATE, "rate", true)                                                  \
	X(GRACE, "grace", true)

enum command_option {
#define X(constant, name, value) OPTION_##constant,
	COMMAND_OPTIONS_EACH(X)
#undef X
	    COMMAND_OPTIONS
};

struct command_line {
	int         count;	/* of words: the command and its arguments */
	char      **words;
	const char *options[COMMAND_OPTIONS];	/* NULL: not given; "" without a value */
	uint64_t    timeout;	/* --timeout, ms; 0: the default */
};

/* Whether all options that were given are of these (bits), for what is called so. Says
 * which is not. */
bool command_takes(const struct command_line *, unsigned options, const char *what);

/* weir -T --running: what runs, and what was said of it since. */
int command_print_running(const struct options *, const struct command_line *);

/* weir -s NAME. Returns the exit status; 2: there is no such. */
int command_signal(const struct options *, const char *name, const struct command_line *);

/* weir WORD …: status, peers, sessions, explain … */
int command_run(const struct options *, const struct command_line *);

#endif
