/* SPDX-License-Identifier: BSD-2-Clause */
/* generations: all that are alive, and what is found in them. */
#ifndef PROC_GENERATIONS_H
#define PROC_GENERATIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"

struct generation;
struct message;
struct post;

/* All there are, the newest last. */
extern struct node generations;

/* The one being built or dropped, and the one that runs. NULL: there is none. */
struct generation *generation_building(void);
struct generation *generation_running(void);

/* A number for the board that none has, or -1. The last is kept for who forces it. */
int generations_index(bool forced);

/* Whether no more may be built, unless somebody forces it. */
bool generations_are_full(void);
/* The newest one that retires; NULL: none does. */
struct generation *generation_retiring(void);

/* Whose process it is; NULL: neither a worker's nor a keeper's. */
struct post *generations_post(pid_t);

/* That of a slot, or POST_KEEPER; NULL: there is none. */
struct post *generation_post(const struct generation *, unsigned slot);

/* Sends to its template. Returns 0, or -1 with errno. */
int generation_tell(struct generation *, const struct message *)
    __attribute__((warn_unused_result));

/* A child has ended that nobody knows, perhaps not yet; whether this one did, and
 * then how. */
void generations_note_stray(pid_t, int status);
bool generations_take_stray(pid_t, int *status);

/* Before a worker is asked for: strays of earlier ones say nothing any more, and
 * their numbers may be used again. Does nothing while others are asked for. */
void generations_forget_strays(void);

#endif
