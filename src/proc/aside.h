/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aside: how the name of a file passes from an older master to a newer one, without a
 * moment when nothing has it.
 *
 *	path.new    the newer one's, until it serves
 *	path        of the one that serves
 *	path.oldbin the older one's from then on
 */
#ifndef PROC_ASIDE_H
#define PROC_ASIDE_H

#include <stdbool.h>

/* A file of this master. */
struct aside {
	const char *what;	/* "pid file": in the log */
	char       *name;	/* what it is called, but for the time of an upgrade; NULL: none */
	char       *path;	/* where it is now */
};

/* It is made now; aside: where an older master's has the name. Returns 0, or -1 with
 * errno. The end frees both. */
int  aside_begin(struct aside *, const char *name, bool aside) __attribute__((warn_unused_result));
void aside_end(struct aside *);

/* "": there is none. */
const char *aside_name(const struct aside *);

/* The newer one serves: its file takes the name, and what had it becomes name.oldbin.
 * Returns whether it has taken it from somebody: the log says why not. */
bool aside_swap(struct aside *);

/* The older one: a newer one has taken the name; has gone, wherever its file is, and the
 * name is ours again. */
void aside_moved(struct aside *);
void aside_return(struct aside *);

/* The newer one: the older one has gone: removes name.oldbin if it has not. */
void aside_forget(const char *name);

#endif
