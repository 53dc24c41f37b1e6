/* SPDX-License-Identifier: BSD-2-Clause */
/* paths: the files that weir makes or writes to: what must hold of them before it starts. */
#ifndef PROC_PATHS_H
#define PROC_PATHS_H

struct settings;
struct weir_scope;

/* Whether a file there can be made or written to: NULL, or a phrase. The folders
 * that the master makes below `state` may be missing. */
const char *path_writable(const char *state, const char *path);

/* For the check of [weir]: pid, control, error_log, and the UNIX sockets of all servers: what
 * the master could not open, and what is the same file as another one. */
void paths_check(struct weir_scope *, const struct settings *);

#endif
