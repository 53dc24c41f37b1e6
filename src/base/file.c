/* SPDX-License-Identifier: BSD-2-Clause */
/* file: a whole file, read at once, of which nothing stays behind. */
#include "base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_ROOM 4096u		/* bytes to begin with, when its size is not known */

static const char *file_take(struct file *, FILE *);
static bool        file_grow(struct file *, size_t *room);

const char *
file_read(struct file *file, const char *path)
{
	FILE       *f;
	struct stat st;
	const char *wrong;

	*file = (struct file){ 0 };
	/* Before it is opened: to open a FIFO is to wait for its other end. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return "this is not a regular file";
	if ((f = fopen(path, "re")) == NULL)
		return strerror(errno);
	wrong = fstat(fileno(f), &st) < 0 ? strerror(errno) : NULL;
	if (wrong == NULL) {
		file->device = st.st_dev;
		file->inode = st.st_ino;
		wrong = file_take(file, f);
	}
	fclose(f);
	if (wrong != NULL)
		file_free(file);
	return wrong;
}

const char *
file_copy(struct file *file, const void *bytes, size_t size)
{
	*file = (struct file){ .bytes = malloc(size + 1), .size = size };
	if (file->bytes == NULL)
		return strerror(ENOMEM);
	if (size > 0)
		memcpy(file->bytes, bytes, size);
	return NULL;
}

void
file_free(struct file *file)
{
	if (file->bytes != NULL)
		explicit_bzero(file->bytes, file->size);
	free(file->bytes);
	*file = (struct file){ 0 };
}

/* It may have another size by now. */
static const char *
file_take(struct file *file, FILE *f)
{
	size_t room = 0, n;

	/* What stdio has a copy of, it does not wipe. */
	setvbuf(f, NULL, _IONBF, 0);
	do {
		if (file->size == room && !file_grow(file, &room))
			return strerror(ENOMEM);
		n = fread(file->bytes + file->size, 1, room - file->size, f);
		file->size += n;
	} while (n > 0 && file->size <= FILE_MOST);
	if (ferror(f))
		return strerror(errno);
	return file->size <= FILE_MOST ? NULL : "it has more than 64 MiB";
}

static bool
file_grow(struct file *file, size_t *room)
{
	size_t size = *room == 0 ? FILE_ROOM : *room * 2;
	char  *grown = malloc(size);

	if (grown == NULL)
		return false;
	if (file->bytes != NULL) {
		memcpy(grown, file->bytes, file->size);
		explicit_bzero(file->bytes, file->size);
		free(file->bytes);
	}
	file->bytes = grown;
	*room = size;
	return true;
}
