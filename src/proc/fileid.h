/* SPDX-License-Identifier: BSD-2-Clause */
/* fileid: a file that was made, told from another one at the same path. */
#ifndef PROC_FILEID_H
#define PROC_FILEID_H

#include <stdbool.h>
#include <sys/types.h>

/* Zeroed: of no file. */
struct file_id {
	bool  known;
	dev_t dev;
	ino_t ino;
};

/* Notes which file is at the path now; none when there is none. */
void file_id_note(struct file_id *, const char *path);

/* Whether it is still there. */
bool file_id_is_at(const struct file_id *, const char *path);

#endif
