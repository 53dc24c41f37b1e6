/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board_seat: whose is what on the board: seats, slots and generations.
 *
 * Masters that share a board take seats and generations from one set of bits. Each
 * also notes its own, so that it need not believe what a broken worker writes over
 * the board's: what it has itself it never takes twice.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "upstream/board_seat.h"

#define ENTERING_PAUSE   10	/* ms between two looks … */
#define ENTERING_LOOKS 3000u	/* … of which there are so many */

static struct board_seating *seating;

static uint64_t own_seats[BOARD_SEATS / SEATS_PER_WORD];
static uint64_t own_generations;

void
board_seating_begin(struct board_seating *of_board, bool made)
{
	seating = of_board;
	memset(own_seats, 0, sizeof own_seats);
	own_generations = 0;
	if (!made)
		return;
	atomic_store(&seating->end, BOARD_PAST + 1);
	atomic_store(&seating->seats[0], UINT64_C(1) << BOARD_PAST);
}

void
board_seating_move(struct board_seating *to)
{
	seating = to;
}

/* ------------------------------------------------------------------- seats */

static uint64_t
board_seats_taken(unsigned word)
{
	return atomic_load(&seating->seats[word]) | own_seats[word] |
	    (word == 0 ? UINT64_C(1) << BOARD_PAST : 0);
}

/* One more than the highest that somebody has. */
static unsigned
board_seats_end(void)
{
	unsigned word = BOARD_SEATS / SEATS_PER_WORD - 1;

	while (board_seats_taken(word) == 0)
		word--;
	return (word + 1) * SEATS_PER_WORD - (unsigned)__builtin_clzll(board_seats_taken(word));
}

/* Another master may take a higher one at the same time: it has marked that before it
 * says so here, and is seen by the last look. */
static void
board_seats_count(void)
{
	unsigned end;

	do {
		end = board_seats_end();
		atomic_store(&seating->end, end);
	} while (end < board_seats_end());
}

int
board_seat_take(void)
{
	for (unsigned seat = BOARD_PAST + 1; seat < BOARD_SEATS; seat++) {
		unsigned word = seat / SEATS_PER_WORD;
		uint64_t bit = UINT64_C(1) << seat % SEATS_PER_WORD;

		if ((board_seats_taken(word) & bit) != 0 ||
		    (atomic_fetch_or(&seating->seats[word], bit) & bit) != 0)
			continue;
		own_seats[word] |= bit;
		board_seats_count();
		return (int)seat;
	}
	errno = ENOSPC;
	return -1;
}

void
board_seat_free(unsigned seat)
{
	uint64_t bit = UINT64_C(1) << seat % SEATS_PER_WORD;

	own_seats[seat / SEATS_PER_WORD] &= ~bit;
	atomic_fetch_and(&seating->seats[seat / SEATS_PER_WORD], ~bit);
	board_seats_count();
}

bool
board_seat_is_foreign(unsigned seat)
{
	unsigned word = seat / SEATS_PER_WORD;

	return ((board_seats_taken(word) & ~own_seats[word]) >> seat % SEATS_PER_WORD & 1) != 0;
}

unsigned
board_seats(void)
{
	unsigned end = atomic_load(&seating->end);

	return end < BOARD_SEATS ? end : BOARD_SEATS;
}

/* ------------------------------------------------------------- generations */

int
board_generation_take(void)
{
	for (unsigned i = 0; i < BOARD_GENERATIONS; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if ((own_generations & bit) != 0 ||
		    (atomic_fetch_or(&seating->generations, bit) & bit) != 0)
			continue;
		own_generations |= bit;
		return (int)i;
	}
	errno = ENOSPC;
	return -1;
}

void
board_seating_free_generation(unsigned generation)
{
	own_generations &= ~(UINT64_C(1) << generation);
	atomic_fetch_and(&seating->generations, ~(UINT64_C(1) << generation));
}

bool
board_seating_has_foreign(unsigned generation)
{
	return ((atomic_load(&seating->generations) & ~own_generations) >> generation & 1) != 0;
}

/* Numbers may wrap: the later one is less than half of all ahead. */
uint32_t
board_number_take(uint32_t after)
{
	unsigned number = atomic_load(&seating->number), next;

	do
		next = ((int32_t)(number - after) > 0 ? number : after) + 1;
	while (!atomic_compare_exchange_weak(&seating->number, &number, next));
	return next;
}

void
board_number_give(uint32_t number)
{
	unsigned last = number;

	atomic_compare_exchange_strong(&seating->number, &last, number - 1);
}

/* Whoever dies with it is seen by the next one, unless somebody else has its number by
 * now: so nobody waits for ever. */
void
board_entering_begin(void)
{
	unsigned self = (unsigned)getpid();

	for (unsigned i = 0; i < ENTERING_LOOKS; i++) {
		unsigned holder = 0;

		if (atomic_compare_exchange_strong(&seating->entering, &holder, self))
			return;
		if (kill((pid_t)holder, 0) < 0 && errno == ESRCH &&
		    atomic_compare_exchange_strong(&seating->entering, &holder, self))
			return;
		poll(NULL, 0, ENTERING_PAUSE);
	}
	atomic_store(&seating->entering, self);
}

void
board_entering_end(void)
{
	unsigned self = (unsigned)getpid();

	atomic_compare_exchange_strong(&seating->entering, &self, 0);
}

/* ------------------------------------------------------------------- beats */

void
board_beat_write(unsigned seat, struct board_beat b)
{
	assert(seating != NULL && seat < BOARD_SEATS);
	atomic_store_explicit(&seating->beats[seat].oldest, b.oldest, memory_order_relaxed);
	atomic_store_explicit(&seating->beats[seat].sessions, b.sessions, memory_order_relaxed);
	atomic_store_explicit(&seating->beats[seat].room, b.room, memory_order_relaxed);
	atomic_store_explicit(&seating->beats[seat].at, b.at, memory_order_relaxed);
}

struct board_beat
board_beat_read(unsigned seat)
{
	const struct board_seat_beat *b = &seating->beats[seat];

	return (struct board_beat){ b->at, b->oldest, b->sessions, b->room };
}

/* ------------------------------------------------------------------- slots */

/* The state in the low byte, the generation above it: they change as one. */
#define SLOT_STATE_BITS 8

void
board_slot_set(unsigned slot, uint32_t generation, enum board_slot_state state)
{
	uint64_t now, wanted = (uint64_t)generation << SLOT_STATE_BITS | (uint64_t)state;

	assert(seating != NULL && slot <= BOARD_KEEPER);
	now = atomic_load(&seating->slots[slot]);
	do {
		/* Numbers may wrap: the later one is less than half of all ahead. */
		if ((int32_t)(generation - (uint32_t)(now >> SLOT_STATE_BITS)) < 0)
			return;
	} while (!atomic_compare_exchange_weak(&seating->slots[slot], &now, wanted));
}

void
board_slot_claim(unsigned slot, uint32_t generation, enum board_slot_state state)
{
	assert(seating != NULL && slot <= BOARD_KEEPER);
	atomic_store(&seating->slots[slot],
	    (uint64_t)generation << SLOT_STATE_BITS | (uint64_t)state);
}

enum board_slot_state
board_slot_get(unsigned slot, uint32_t *generation)
{
	uint64_t now;

	assert(seating != NULL && slot <= BOARD_KEEPER);
	now = atomic_load(&seating->slots[slot]);
	if (generation != NULL)
		*generation = (uint32_t)(now >> SLOT_STATE_BITS);
	return (enum board_slot_state)(now & ((1u << SLOT_STATE_BITS) - 1));
}
