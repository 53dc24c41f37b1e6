/* SPDX-License-Identifier: BSD-2-Clause */
/* fileid: a file that was made, told from another one at the same path. */
#include "proc/fileid.h"

#include <sys/stat.h>

void
file_id_note(struct file_id *id, const char *path)
{
	struct stat st;

	*id = (struct file_id){ 0 };
	if (lstat(path, &st) == 0)
		*id = (struct file_id){ .known = true, .dev = st.st_dev, .ino = st.st_ino };
}

bool
file_id_is_at(const struct file_id *id, const char *path)
{
	struct file_id there;

	file_id_note(&there, path);
	return id->known && there.known && id->dev == there.dev && id->ino == there.ino;
}
