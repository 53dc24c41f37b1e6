/* SPDX-License-Identifier: BSD-2-Clause */
/* options: what the command line says about where things are. */
#ifndef PROC_OPTIONS_H
#define PROC_OPTIONS_H

#include <stdbool.h>

#include "conf/conf.h"

struct options {
	const char        *prefix;	/* absolute, without a slash at its end */
	const char        *state;	/* the same; where run/ and logs/ are */
	const char        *path;	/* of the configuration file, absolute */
	const char *const *globals;	/* -g, ends with NULL */
	bool               quiet;	/* -q */
};

/* What conf_load and conf_peek are asked with. */
struct conf_request options_request(const struct options *);

/* A file that a key of [weir] names (pid, control), as it is in the
 * configuration file or `otherwise`; absolute. malloc'ed; NULL: no memory. */
char *options_file(const struct options *, const char *key, const char *otherwise)
    __attribute__((warn_unused_result));

#endif
