/* SPDX-License-Identifier: BSD-2-Clause */
/* aside: how the name of a file passes from an older master to a newer one. */
#include "proc/aside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static char *
aside_name(const char *path, const char *ending)
{
	char *name;

	return asprintf(&name, "%s%s", path, ending) < 0 ? NULL : name;
}

char *
aside_new(const char *path)
{
	return aside_name(path, ".new");
}

char *
aside_old(const char *path)
{
	return aside_name(path, ".oldbin");
}

int
aside_swap(const char *path)
{
	char *made = aside_new(path), *old = aside_old(path);
	int   result = -1;

	if (made != NULL && old != NULL && (unlink(old) == 0 || errno == ENOENT) &&
	    (link(path, old) == 0 || errno == ENOENT))
		result = rename(made, path);
	free(made);
	free(old);
	return result;
}

int
aside_return(const char *path)
{
	char *made = aside_new(path), *old = aside_old(path);
	int   result = -1;

	if (made != NULL && old != NULL && (unlink(made) == 0 || errno == ENOENT) &&
	    (rename(old, path) == 0 || errno == ENOENT))
		result = 0;
	free(made);
	free(old);
	return result;
}

void
aside_forget(const char *path)
{
	char *old = *path == '\0' ? NULL : aside_old(path);

	if (old != NULL && unlink(old) < 0 && errno != ENOENT)
		log_error("removing %s: %s", old, strerror(errno));
	free(old);
}
