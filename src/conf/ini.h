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

#define INI_LINE_MAX    4096u
#define INI_NAME_MAX    48u	/* of a section and of a key */
#define INI_DEPTH_MAX   16u	/* include in include */
#define INI_FILES_MAX   256u

struct ini_sink {
	void *context;
	/* [kind] or [kind NAME]: head is what stands between the brackets. */
	void (*section)(void *context, const char *file, unsigned line, const char *head);
	void (*value)(void *context, const char *file, unsigned line, const char *key,
		const char *value);
	void (*error)(void *context, const char *file, unsigned line, const char *text);
};

/*
 * Reads the file and all that it includes (`include = PATTERN`, glob(7), in any
 * section, which goes on behind it; a pattern without a match is fine, a plain
 * name without a file is an error). Keys that follow a bad section head are
 * skipped up to the next good one. File names given to the sink live until the
 * process ends.
 */
void ini_read(const char *path, const struct ini_sink *);

/* The same from memory: no include; for tests and fuzzing. */
void ini_read_memory(const char *name, const char *data, size_t size, const struct ini_sink *);

#endif
