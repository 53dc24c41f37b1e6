/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * member: peers that come and go while weir runs: a set of them on the board, for all
 * workers.
 *
 *	keeper: a name has been looked up ─► member_publish ─► entries "peer" ─┐
 *	                                        UPSTREAM_SET, UPSTREAM_CHANGES │
 *	worker: places of its upstream ◄── member_follow ◄─────────────────────┘
 *
 * A member is a peer's board entry, "UPSTREAM/ADDRESS", like that of one which is written
 * in the configuration, and what is known of it lasts as long. Its PEER_SETTING says that
 * it is one, and whose: the key of a line (struct name). So the entries are the set, and
 * there is nothing beside them that could say something else. They are used by all
 * generations that use the upstream's.
 *
 * One that has left (SETTING_GONE) is `down`: nobody picks it, its links are withdrawn, and
 * sessions on it go on. Its entry is freed when nothing is open to it and MEMBER_REST is
 * over: each worker has looked again until then.
 *
 * Who publishes is one process: the keeper that acts, or a template before its generation
 * runs; board_entering_begin keeps them apart. Another source of members takes a key of its
 * own that no line has, and a model that name_find gives for it.
 */
#ifndef UPSTREAM_MEMBER_H
#define UPSTREAM_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "upstream/board.h"

struct member;
struct name;
struct weir_peer;
struct weir_upstream;

#define MEMBER_REST 60000u	/* ms */

/* Who publishes, of which generation: its number, and what the board knows it by. */
struct member_source {
	uint32_t number;
	unsigned index;
};

struct member_changes {
	unsigned there;		/* now */
	unsigned came;
	unsigned left;
};

/* Walks the members of an upstream: the next entry behind `after` (-1: the first), the rest
 * of its name ("192.0.2.1:80"), and its PEER_SETTING. -1: that was the last. Those that have
 * left are among them. */
int member_next(const struct weir_upstream *, int after, char name[BOARD_NAME_MAX],
    uint64_t *setting);

/* How many of a line are there. */
unsigned member_count(const struct weir_upstream *, const struct name *);

/*
 * The line has these members. all: and no others: those leave. What another line of the
 * upstream has already, or is written there, stays its. The caller is the one that enters
 * entries (board_entering_begin), and holds no address of cells or shared words. Returns 0, or
 * -1 with errno, as board_enter, when some could not be entered; then none leaves.
 */
int member_publish(const struct weir_upstream *, const struct name *, const struct member *set,
    unsigned count, bool all, struct member_source, uint64_t now, struct member_changes *)
    __attribute__((warn_unused_result));

/* Template: its generation uses the members that its lines have, from now on. Returns 0, or -1
 * with errno. */
int member_join(const struct weir_upstream *, unsigned generation)
    __attribute__((warn_unused_result));

/* Frees entries of those that have left. As member_publish. */
void member_sweep(const struct weir_upstream *, uint64_t now);

/* An empty place, in a worker or a keeper. */
void member_vacate(struct weir_peer *);

/* What has become of the members since it looked last: in a worker, or in a keeper that has set
 * u->shared and u->seat. */
void member_follow(struct weir_upstream *, uint64_t now);

#endif
