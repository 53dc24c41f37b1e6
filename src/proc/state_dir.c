/* SPDX-License-Identifier: BSD-2-Clause */
/* state_dir: the folders that weir makes for itself. */
#include "proc/state_dir.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const made[] = { "/run/", "/logs/" };

bool
state_dir_holds(const char *state, const char *path)
{
	size_t len = strlen(state);

	if (strncmp(path, state, len) != 0)
		return false;
	path += len;
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		len = strlen(made[i]);
		if (strncmp(path, made[i], len) == 0 && path[len] != '\0' &&
		    strchr(path + len, '/') == NULL)
			return true;
	}
	return false;
}

int
state_dir_make(const char *state, const char *path)
{
	char dir[PATH_MAX];

	if (!state_dir_holds(state, path))
		return 0;
	if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir) {
		errno = ENAMETOOLONG;
		return -1;
	}
	*strrchr(dir, '/') = '\0';
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -1 : 0;
}
