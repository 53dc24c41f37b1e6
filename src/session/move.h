/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move: sessions go on in another worker: of the next generation, or of this one.
 *
 *	HERE ──its turn──► at rest ──► packed ──► sent ──► gone from here
 *	  │                                        └─ not now: all as before
 *	  ├─ BUSY    begins nothing more; when it is at rest it is the next
 *	  └─ STAYS   it cannot travel (`bound` says why). While it may, it goes on; with
 *	             worker_shutdown_timeout such sessions are ended one after the other,
 *	             spread over that time, each at the next boundary of its messages
 *
 * In a pass as many batches go as MOVE_SHARE has time for, and those that are served wait no
 * longer than that, or for the packing of one. The other side unpacks as many. What a session holds
 * of limits over all workers goes with it (upstream/token), and its times, which mean the
 * same everywhere; its counts stay where they were made.
 */
#ifndef SESSION_MOVE_H
#define SESSION_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir.h"

struct conf;

#define MOVE_BATCH 64u		/* sessions in a message, and in a pass */
#define MOVE_SHARE  2000000u	/* ns of a pass */
#define MOVE_ROOM   8u		/* descriptors that one session may take */

/* The worker that the next batch goes to. */
struct move_heir {
	uint32_t generation;	/* its number */
	unsigned index;		/* what the board knows that by */
	unsigned seat;
	unsigned room;		/* descriptors that it can take, at least MOVE_ROOM */
};

/* What became of all sessions. */
struct move_counts {
	unsigned moved;
	unsigned busy;	/* go when they are at rest */
	unsigned stay;	/* cannot */
	unsigned wait;	/* until some worker has room for them */
};

struct move_ops {
	/* Where the next batch shall go; false: nowhere for now. */
	bool (*heir)(struct move_heir *);
	/* Sends it there. Returns 0, or -1 with errno: not now (EAGAIN), or not at all. */
	int (*send)(struct weir_span, const int *fds, unsigned count);
	/* Every session has gone or been looked at once, or there has been no room for a while.
	 * Called again when no more are busy. */
	void (*settled)(const struct move_counts *);
};

/* Per worker: begin, end. */
void moves_start(const struct conf *, unsigned seat, const struct move_ops *);
void moves_stop(void);

/* All sessions are to go; or as many, instead of what is left of another number; or none
 * after all. With all, those that stayed are looked at again, too. */
void move_all(void);
void move_some(unsigned count);
void move_none(void);

/* Those that stay, which are all when none are to go, are ended, spread over so many ms. */
void move_drain(uint64_t ms);

/* A batch has come, which was sent to that seat. Takes the descriptors over. What cannot go
 * on is ended and counted; a parcel that makes no sense is told of. */
void move_arrived(struct weir_span, const int *fds, unsigned count, unsigned sent_to);

/* For session/service: a session that pauses has had its turn; one has ended. */
void move_note(struct weir_session *);
void move_review(void);

#endif
