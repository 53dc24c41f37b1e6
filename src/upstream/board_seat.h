/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board_seat: the part of the board that says whose is what: seats, slots, generations.
 * For board.c; what others call is in board.h.
 */
#ifndef UPSTREAM_BOARD_SEAT_H
#define UPSTREAM_BOARD_SEAT_H

#include <assert.h>

#include "upstream/board.h"

#define SEATS_PER_WORD 64u

struct board_seat_beat {
	_Alignas(64) board_word at;
	board_word oldest;	/* session: when it began */
	board_word sessions;
	board_word room;
};

struct board_seating {
	_Alignas(64) board_word seats[BOARD_SEATS / SEATS_PER_WORD];	/* a bit each: taken */
	board_word  generations;	/* the same */
	atomic_uint end;		/* one more than the highest seat that is taken */
	atomic_uint number;		/* of the last generation that was begun */
	atomic_uint entering;		/* the template that enters entries; 0: none */
	_Alignas(64) board_word slots[BOARD_KEEPER + 1];
	struct board_seat_beat beats[BOARD_SEATS];
};

static_assert(BOARD_SEATS % SEATS_PER_WORD == 0, "a bit a seat");

/* Of the board that this process made, or was given by another master. */
void board_seating_begin(struct board_seating *, bool made);

/* It stands elsewhere in this process's memory now. */
void board_seating_move(struct board_seating *);

/* Nobody has it any more. */
void board_seat_free(unsigned seat);
void board_seating_free_generation(unsigned generation);

/* Whether another master has it. */
bool board_seat_is_foreign(unsigned seat);
bool board_seating_has_foreign(unsigned generation);

#endif
