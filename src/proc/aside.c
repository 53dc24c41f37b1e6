/* SPDX-License-Identifier: BSD-2-Clause */
/* aside: how the name of a file passes from an older master to a newer one. */
#include "proc/aside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define ASIDE_NEW ".new"
#define ASIDE_OLD ".oldbin"

/* malloc'ed; NULL: no memory. */
static char *
aside_path(const char *name, const char *ending)
{
	char *path;

	return asprintf(&path, "%s%s", name, ending) < 0 ? NULL : path;
}

int
aside_begin(struct aside *a, const char *name, bool aside)
{
	a->name = strdup(name);
	a->path = aside_path(name, aside ? ASIDE_NEW : "");
	return a->name == NULL || a->path == NULL ? -1 : 0;
}

void
aside_end(struct aside *a)
{
	free(a->name);
	free(a->path);
	a->name = a->path = NULL;
}

const char *
aside_name(const struct aside *a)
{
	return a->name == NULL ? "" : a->name;
}

/* It is at this path now, which is freed with it. */
static void
aside_set_path(struct aside *a, char *path)
{
	if (path == NULL)
		return;
	free(a->path);
	a->path = path;
}

bool
aside_swap(struct aside *a)
{
	char *old;
	bool  done;

	if (strcmp(a->name, a->path) == 0)
		return false;
	old = aside_path(a->name, ASIDE_OLD);
	done = old != NULL && (unlink(old) == 0 || errno == ENOENT) &&
	    (link(a->name, old) == 0 || errno == ENOENT) && rename(a->path, a->name) == 0;
	if (done)
		aside_set_path(a, strdup(a->name));
	else
		log_error("%s: %s does not become %s: %s", a->what, a->path, a->name,
		    strerror(errno));
	free(old);
	return done;
}

void
aside_moved(struct aside *a)
{
	if (a->name != NULL)
		aside_set_path(a, aside_path(a->name, ASIDE_OLD));
}

void
aside_return(struct aside *a)
{
	char *made, *old;

	if (a->name == NULL)
		return;
	made = aside_path(a->name, ASIDE_NEW);
	old = aside_path(a->name, ASIDE_OLD);
	if (made != NULL && old != NULL && (unlink(made) == 0 || errno == ENOENT) &&
	    (rename(old, a->name) == 0 || errno == ENOENT))
		aside_set_path(a, strdup(a->name));
	else
		log_error("%s: %s does not become %s again: %s", a->what, a->path, a->name,
		    strerror(errno));
	free(made);
	free(old);
}

void
aside_forget(const char *name)
{
	char *old = *name == '\0' ? NULL : aside_path(name, ASIDE_OLD);

	if (old != NULL && unlink(old) < 0 && errno != ENOENT)
		log_error("removing %s: %s", old, strerror(errno));
	free(old);
}
