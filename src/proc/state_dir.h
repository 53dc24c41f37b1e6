/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state_dir: run/ and logs/ below the folder of what changes while weir runs.
 * The master makes them where they are missing; no other folder is made, for
 * a path with a slip in it would come true.
 */
#ifndef PROC_STATE_DIR_H
#define PROC_STATE_DIR_H

#include <stdbool.h>

/* Whether a file at `path` lies in STATE/run or STATE/logs, not further down. */
bool state_dir_holds(const char *state, const char *path);

/* Makes the folder of `path` if it is one of the two and missing. Returns 0,
 * also when it is not for us to make; -1 with errno. */
int state_dir_make(const char *state, const char *path) __attribute__((warn_unused_result));

#endif
