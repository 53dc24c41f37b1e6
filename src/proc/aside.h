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

/* "path.new"; malloc'ed; NULL: no memory. */
char *aside_new(const char *path) __attribute__((warn_unused_result));

/* "path.oldbin", the same. */
char *aside_old(const char *path) __attribute__((warn_unused_result));

/* The newer one serves: path.new becomes path, which becomes path.oldbin if it is there.
 * Returns 0, or -1 with errno. */
int aside_swap(const char *path) __attribute__((warn_unused_result));

/* The newer one has gone, and perhaps its files have not: path.oldbin becomes path again,
 * if it is there, and path.new is removed. Returns 0, or -1 with errno. */
int aside_return(const char *path) __attribute__((warn_unused_result));

/* The older one has gone: removes path.oldbin if it has not. */
void aside_forget(const char *path);

#endif
