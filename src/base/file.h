/* SPDX-License-Identifier: BSD-2-Clause */
/* file: a whole file, read at once, of which nothing stays behind. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#define FILE_MOST (64u << 20)	/* bytes */

struct file {
	char    *bytes;
	size_t   size;
	uint64_t device;
	uint64_t inode;
};

/* Reads a regular file, of at most FILE_MOST bytes. Returns NULL, or what is wrong, valid
 * until the next call; there is nothing to be freed then. */
const char *file_read(struct file *, const char *path);

/* A copy, as if it had been read. NULL: the same. */
const char *file_copy(struct file *, const void *bytes, size_t size);

/* Wipes the bytes, which may be a key, and frees them. */
void file_free(struct file *);

#endif
