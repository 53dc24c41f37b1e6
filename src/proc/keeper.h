/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keeper: the process that does what is to be done once, and not by each worker. It never
 * touches traffic.
 *
 * Each generation that has anything of that kind to do has one, cloned from the template
 * like a worker, in a post like theirs behind them. It begins with GO, when its generation
 * comes to run, and ends with RETIRE, at once.
 */
#ifndef PROC_KEEPER_H
#define PROC_KEEPER_H

#include <stdbool.h>

struct conf;
struct template;

/* Template: whether the configuration needs one. */
bool keeper_is_needed(const struct conf *);

/* Of the clone: never returns. */
_Noreturn void keeper_run(struct template *, unsigned seat);

#endif
