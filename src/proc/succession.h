/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * succession: sessions of retiring generations move to the one that runs.
 *
 *	swap ─► HEIRS to each old worker ─► it says MOVED, or ends ─► report, the reload is done
 *	                                       SUCCESSION_LIMIT ────►
 *
 * The master only says where to, and listens. While it does, the next generation is not
 * built, unless somebody cannot wait; what has not been told of by then goes on. A worker that
 * something holds up then, such as a signal, is `silent`: nobody waits for it again, and it gets
 * no newer heirs before it answers: their generations could not end while it can still send to
 * them.
 */
#ifndef PROC_SUCCESSION_H
#define PROC_SUCCESSION_H

#include <stdbool.h>
#include <stdint.h>

struct generation;
struct message;
struct post;

#define SUCCESSION_LIMIT 5000u	/* ms that a reload waits for old workers */

/* The workers of this generation, which retires, are told who goes on with their
 * sessions, unless nobody does. After they have been told to retire:
 * that gives back descriptors, for which they may be short. */
void succession_tell(struct generation *);

/* The same for all that retire already: there are other heirs. */
void succession_tell_all(void);

/* Nobody goes on with their sessions any more. */
void succession_revoke(void);

/* A generation has come to run, here or under the other master: all that retire are told.
 * Ends the report of the reload or upgrade, at once when there is nothing to wait for. */
void succession_begin(void);

/* A worker has said what came of it (MESSAGE_MOVED). */
void succession_report(struct post *, const struct message *);

/* Whoever forces a reload wants it: the oldest generation that retires is ended, sessions and
 * all; when it is asked for again, and that has not come to pass, it is killed. */
void succession_make_room(void);

/* A worker has died, and so many sessions with it. */
void succession_lose(uint64_t sessions);

/* Some worker has ended, or was told. */
void succession_look(void);

/* Whether the reload is still waited for; ends that. */
bool succession_is_awaited(void);
void succession_end(void);

#endif
