/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ini: the syntax of configuration files, through inih.
 *
 * inih splits long lines, takes indented keys for continuations, hides empty
 * sections and returns only the first error; so it is fed by a reader of our
 * own that counts lines, refuses what inih would misread, strips indentation,
 * follows include, and notices when inih did not take a line for what it is.
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include <stddef.h>

#include "conf/place.h"

#define INI_LINE_MAX    4096u	/* bytes, with the comment */
#define INI_NAME_MAX    48u	/* of a section and of a key */
#define INI_NAME_BYTES  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define INI_DEPTH_MAX   16u	/* include in include */
#define INI_FILES_MAX   256u

struct snapshot;

struct ini_sink {
	void *context;
	/* [kind] or [kind NAME]: head is what stands between the brackets, its
	 * words one blank apart. What this returns comes back with each key of
	 * the section, also with those behind an include that had sections of
	 * its own. NULL: the section's keys are not wanted. */
	void *(*section)(void *context, struct place, const char *head);
	/* As it is written, with its quotes (conf/word.h). */
	void  (*value)(void *section, struct place, const char *key, const char *value);
	/* An include, before what it includes. NULL: not called. */
	void  (*include)(void *section, struct place, const char *value);
	void  (*error)(void *context, struct place, const char *text);
	/* What is read is added to it, or it is what is read. NULL: neither. */
	struct snapshot *snapshot;
	/* Beside an error, what is not read because of it: a line of the section, for
	 * this key by all appearances ("": it begins with none); or, with key NULL, a
	 * section head or a file. NULL: not called. */
	void  (*refused)(void *context, void *section, struct place, const char *key);
};

/*
 * Reads the file and all that it includes (`include = PATTERN`, glob(7), in any
 * section, which goes on behind it; a pattern without a match is fine, a folder
 * or a plain name that does not exist is an error). Keys that follow a bad section head are
 * skipped up to the next good one. File names given to the sink live until the
 * process ends; keys and values until the call returns.
 */
void ini_read(const char *path, const struct ini_sink *);

/* The same from memory: no include; for -g, tests and fuzzing. */
void ini_read_memory(const char *name, const char *data, size_t size, const struct ini_sink *);

#endif
