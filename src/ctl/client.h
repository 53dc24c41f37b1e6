/* SPDX-License-Identifier: BSD-2-Clause */
/* client: talks to the control socket of a running weir. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

struct options;

struct client_request {
	const struct options *options;
	const char           *path;	/* of the control socket */
	const char           *line;	/* proc/control_line */
	uint64_t              timeout;	/* ms until all of the answer has come; 0: as long as
					 * the command may take */
};

/* What may come with an answer: a descriptor, and what is said of it ('>'), malloc'ed. */
struct client_channel {
	int   fd;	/* -1: none has come */
	char *asked;	/* NULL: the same */
};

/*
 * Sends the command and prints the answer, errors to stderr, the rest to
 * stdout (unless -q). Returns the exit status: the answer's, or 1 when there is
 * none, which is explained. The channel's parts are the caller's then.
 */
int client_run(const struct client_request *, struct client_channel *);

#endif
