/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board: the memory that all processes of a weir share: counters, limits, the
 * state of peers and slots.
 *
 *	entry ──┬── schema    names and kinds of its fields
 *	        ├── shared    a few words for all processes (a peer's failures)
 *	        └── cells     one a seat: a word for each field
 *
 * The first master makes it, as a sparse memfd that is as large as it may ever
 * become; a process maps as much of it as has entries. It is never rebuilt, so
 * counts and limits hold over reloads. Entries are found by (kind, name); each
 * belongs to the generations that use it and is freed with the last of them.
 *
 * A seat is a worker's place on the board: one for each slot of each
 * generation; a respawned worker takes over the seat. A cell is written by its
 * seat's worker alone: counting is a plain store, never contended. Seat
 * BOARD_PAST belongs to the masters: it keeps what ended generations counted.
 */
#ifndef UPSTREAM_BOARD_H
#define UPSTREAM_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_FIELDS      48u	/* of one entry */
#define BOARD_SHARED      16u
#define BOARD_SEATS     1024u
#define BOARD_ENTRIES 131072u
#define BOARD_ENTRIES_EACH (BOARD_ENTRIES / 2)	/* of one generation: the next has as much room */
#define BOARD_SCHEMAS     64u
#define BOARD_SLOTS      256u	/* workers of one generation … */
#define BOARD_KEEPER BOARD_SLOTS	/* … and behind them its keeper */
#define BOARD_GENERATIONS 64u	/* alive at once */
#define BOARD_PAST         0u
#define BOARD_NAME_MAX   192u
#define BOARD_KIND_MAX    16u

enum board_type {
	BOARD_COUNTER,		/* only grows; survives its worker */
	BOARD_GAUGE,		/* what is open now; goes with its worker */
	BOARD_OPTIONAL_GAUGE,	/* the same, of what not all have, such as a pool */
	BOARD_LOST,		/* a counter: what the first field, a gauge, had open when
				 * its worker died */
	BOARD_PRIVATE,		/* goes with its worker; a sum of it means nothing */
	BOARD_ARRIVING,		/* of the gauge before it, and counted with that: what is on
				 * its way to the seat's worker (upstream/token) */
	BOARD_ANNOUNCED,	/* of the gauge two before it: what the seat's worker has said
				 * to be arriving, and may not have sent yet */
};

/* Whether users are told of fields of this type. */
static inline bool
board_type_is_shown(enum board_type type)
{
	return type != BOARD_PRIVATE && type != BOARD_ARRIVING && type != BOARD_ANNOUNCED;
}

struct board_field {
	const char     *name;	/* at most 31 bytes */
	enum board_type type;
};

/* What entries of one kind count. */
struct board_schema {
	const char               *kind;	/* "server", "peer"; at most 15 bytes */
	const struct board_field *fields;
	unsigned                  count;
};

typedef _Atomic uint64_t board_word;

/* Master: makes the board. Returns its fd, or -1 with errno. The calling process is
 * attached; it keeps the fd while it gives seats back or walks, and for the next
 * master. */
int board_create(void) __attribute__((warn_unused_result));

/* A program that was given the fd (after exec): another master goes on with the board,
 * beside the one that it has it from. Children of an attached process are attached.
 * Returns 0, or -1 with errno (EPROTO: another layout). */
int board_attach(int fd) __attribute__((warn_unused_result));

/* What stands behind an errno of board_create or board_enter, and what to do. Valid
 * until the next call. */
const char *board_explain(int error);

/*
 * Template: the entry (kind, name) for a generation (0 … BOARD_GENERATIONS-1),
 * made when it is not there. One process at a time may call this. Returns its
 * id, or -1 with errno: ENOSPC (board full), ENOMEM, ENAMETOOLONG. An entry
 * whose kind counts other things, in another version of weir or of a module, is another
 * one: when it is freed, what both count is added to this one. More of the board may
 * be mapped by this, elsewhere: addresses of cells and shared words hold until
 * the next call, and in a process that enters nothing, like a worker.
 */
int board_enter(const struct board_schema *, const char *name, unsigned generation)
    __attribute__((warn_unused_result));

/* Frees the entries that only this generation used. A template may enter entries at the
 * same time. */
void board_leave(unsigned generation);

/* Template: around all its calls of board_enter, where another master's template might
 * enter entries, too: one waits for the other. */
void board_entering_begin(void);
void board_entering_end(void);

/* Master: a number for a generation (0 … BOARD_GENERATIONS-1) that no master has, or -1
 * with errno ENOSPC. Gives it back, with its entries, when the generation has ended. */
int  board_generation_take(void);
void board_generation_give(unsigned generation);

/* Master: the next number for a generation after this one, which no other master has, if
 * they have one another's. Gives it back when it has not come to run: it is used again,
 * unless a later one was taken meanwhile. */
uint32_t board_number_take(uint32_t after);
void     board_number_give(uint32_t);

/* Master: the other master has died: gives back what it had, and counts its sessions as
 * lost. reclaim: called for each of its seats first. */
void board_inherit(void (*reclaim)(unsigned seat));

/* In a process that holds addresses of cells and shared words, while others enter entries:
 * from here on they stay where they are, however much more is mapped. */
void board_pin(void);

/* For upstream/member, whose entries come and go while generations live: 0 … n-1 have been
 * used at least once; who uses one (bits of generations; 0: it is free, and may be another's
 * at any time); and what its name has behind this, if it is in use and counts that. */
unsigned    board_entries(void);
board_word *board_users(int id);
bool        board_names(int id, const struct board_schema *, const char *prefix,
    char name[BOARD_NAME_MAX]);

/* The fields of one seat. */
board_word *board_cell(int id, unsigned seat);

/* The words that all share, zero at first. */
board_word *board_shared(int id);

/* One's own counter, or a gauge that grows (board_give lowers it): plain load
 * and store, no lock prefix. */
static inline void
board_add(board_word *w, uint64_t n)
{
	atomic_store_explicit(w, atomic_load_explicit(w, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

/* A field over all seats, the past included. */
uint64_t board_sum(int id, unsigned field);

/* Seats that may be in use are those below this, without BOARD_PAST. */
unsigned board_seats(void);

/*
 * A limit over all workers: takes one token, which is the gauge `field` of the
 * own seat. False when `limit` are taken already (limit 0: there is none).
 * Racing takers may both be refused; never are more than `limit` out.
 */
bool board_take(int id, unsigned field, unsigned seat, uint64_t limit)
    __attribute__((warn_unused_result));
void board_give(int id, unsigned field, unsigned seat);

/* Whether a generation (0 … BOARD_GENERATIONS-1) uses the entry. */
bool board_is_used(int id, unsigned generation);

/* Master: a free seat (not BOARD_PAST), or -1 with errno ENOSPC. */
int  board_seat_take(void);
/* Master: the seat's worker died: its gauges go to zero. Returns how much of BOARD_LOST. */
uint64_t board_seat_clear(unsigned seat);
/* Master: its generation has ended: counts are added to BOARD_PAST's. */
void board_seat_give(unsigned seat);

/* When the seat's worker last said that it makes passes, when its oldest session then had
 * begun (0: there was none), in ms of CLOCK_MONOTONIC, and how many it had. What stands
 * there may be a predecessor's, or anything if the worker is broken. */
struct board_beat {
	uint64_t at;
	uint64_t oldest;
	uint64_t sessions;
	uint64_t room;	/* descriptors that it may be sent (proc/handover) */
};
void              board_beat_write(unsigned seat, struct board_beat);
struct board_beat board_beat_read(unsigned seat);

enum board_slot_state {
	BOARD_SLOT_ABSENT,	/* no worker: others accept from its sockets */
	BOARD_SLOT_ACCEPTING,
	BOARD_SLOT_PAUSED,	/* at its limit: others accept */
};
/* One word a slot, and one for the keeper: who serves it and its state. The generation's
 * number here is the one that grows with every reload. What an older generation says of a slot
 * that a newer one has taken over is ignored. */
void board_slot_set(unsigned slot, uint32_t generation, enum board_slot_state);
/* The newer one has gone, and an older one serves the slot again. */
void board_slot_claim(unsigned slot, uint32_t generation, enum board_slot_state);
/* generation may be NULL. */
enum board_slot_state board_slot_get(unsigned slot, uint32_t *generation);

/* Walks the entries there are at its beginning, in order of (kind as first seen,
 * name). */
struct board_view {
	int      id;		/* start with -1 */
	char     kind[BOARD_KIND_MAX];
	char     name[BOARD_NAME_MAX];
	uint64_t generations;	/* bits: who uses it */
	bool     blank;		/* nothing has been counted in it: all its sums are 0 */
	/* for board_next: */
	struct board_view_entry *order;
	unsigned                 count, next;
};
struct board_view_entry {
	uint32_t id;
	bool     blank;
};
/* Master: the next one; false at the end, or when there is no memory for the walk. To be
 * called until it is false. */
bool board_next(struct board_view *);
/* board_sum of the entry. */
uint64_t board_view_sum(const struct board_view *, unsigned field);
/* Name (until the next call) and type (may be NULL) of a field of that entry;
 * NULL behind the last. */
const char *board_field_name(int id, unsigned field, enum board_type *);

#endif
