/* SPDX-License-Identifier: BSD-2-Clause */
/* options: what the command line says about where things are. */
#ifndef PROC_OPTIONS_H
#define PROC_OPTIONS_H

#include <stdbool.h>

#include "conf/conf.h"

struct text;

struct options {
	const char        *prefix;	/* absolute, without a slash at its end */
	const char        *state;	/* the same; where run/ and logs/ are */
	const char        *path;	/* of the configuration file, absolute */
	const char *const *globals;	/* -g, ends with NULL */
	bool               quiet;	/* -q */
};

/* What conf_load and conf_peek are asked with. */
struct conf_request options_request(const struct options *);

/*
 * What a reload depends on, for the line of a command: the configuration, the prefix, and
 * each -g whose key a reload takes; a tab before each, control characters and % as %XX.
 */
void options_write(const struct options *, struct text *);

/* Whether what another process has written is the same; lines of an answer say what
 * is not. Nothing written is not compared. */
bool options_match(const struct options *, const char *written, struct text *answer);

/* A file that a key of [weir] names (pid, control), as it is in the
 * configuration file or `otherwise`; absolute. malloc'ed; NULL: no memory. */
char *options_file(const struct options *, const char *key, const char *otherwise)
    __attribute__((warn_unused_result));

#endif
