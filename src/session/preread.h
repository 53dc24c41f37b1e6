/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preread: the memory that clients hold who have said something and are not in yet: a PROXY
 * header or a ClientHello that is not whole, or one that waits for worker_handshakes.
 *
 *	holders: │ oldest │ … │ newest │	together at most worker_preread
 *	             └─► refused, when others need more
 *
 * What comes at once, as nearly everything does, is held by nobody.
 */
#ifndef SESSION_PREREAD_H
#define SESSION_PREREAD_H

#include <stdint.h>

#include "base/list.h"

struct weir_session;

#define PREREAD_MIN (1u << 20)	/* bytes: the longest that a client may say fits in any case */

/* Part of what a session is in GATE or HANDSHAKE; zeroed when it begins. */
struct preread {
	struct weir_session *session;
	struct node          link;	/* of those that hold something */
	uint64_t             held;	/* bytes of memory */
};

/* Per worker: at most so many bytes are held. */
void prereads_start(uint64_t most);

/* The session holds so much now; 0: nothing. The oldest holders are closed when it is too
 * much in all, and this one may be among them. */
void preread_note(struct preread *, struct weir_session *, uint64_t held);

/* It holds nothing any more: it is in, has gone, or is about to. */
void preread_leave(struct preread *);

#endif
