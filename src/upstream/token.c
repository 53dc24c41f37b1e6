/* SPDX-License-Identifier: BSD-2-Clause */
/* token: what counts against a limit over all workers goes from one to another. */
#include "upstream/token.h"

#include "upstream/board.h"
#include "upstream/upstream.h"

/* Behind the gauge. */
#define TOKEN_ARRIVING  1u
#define TOKEN_ANNOUNCED 2u

static void token_take_arriving(int board, unsigned field, unsigned seat, uint64_t most);

/* What is announced: how many in the low half, to which seat in the other. A word that says
 * both at once can never be half true. */
static uint64_t
token_pack(uint64_t count, unsigned to)
{
	return (uint64_t)to << 32 | count;
}

static board_word *
token_announced(int board, unsigned field, unsigned seat)
{
	return &board_cell(board, seat)[field + TOKEN_ANNOUNCED];
}

/* Several may change the word of what is arriving; the others are their worker's alone. */
void
token_announce(int board, unsigned field, unsigned from, unsigned to)
{
	board_word *announced = token_announced(board, field, from);

	atomic_store(announced, token_pack((uint32_t)atomic_load(announced) + 1, to));
	atomic_fetch_add(&board_cell(board, to)[field + TOKEN_ARRIVING], 1);
	board_give(board, field, from);
}

void
token_sent(int board, unsigned field, unsigned from)
{
	board_word *announced = token_announced(board, field, from);
	uint64_t    now = atomic_load(announced);

	atomic_store(announced, (uint32_t)now > 1 ? now - 1 : 0);
}

void
token_withdraw(int board, unsigned field, unsigned from, unsigned to)
{
	token_receive(board, field, from, to);
	token_sent(board, field, from);
}

void
token_receive(int board, unsigned field, unsigned seat, unsigned sent_to)
{
	board_add(&board_cell(board, seat)[field], 1);
	token_take_arriving(board, field, sent_to, 1);
}

/* As many of them as enum token_holds says. */
static const unsigned token_fields[] = { PEER_CONNS, PEER_LINKS };

void
tokens_announce(int board, enum token_holds what, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_announce(board, token_fields[i], from, to);
}

void
tokens_sent(int board, enum token_holds what, unsigned from)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_sent(board, token_fields[i], from);
}

void
tokens_withdraw(int board, enum token_holds what, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_withdraw(board, token_fields[i], from, to);
}

void
tokens_receive(int board, enum token_holds what, unsigned seat, unsigned sent_to)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_receive(board, token_fields[i], seat, sent_to);
}

void
tokens_give(int board, enum token_holds what, unsigned seat)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		board_give(board, token_fields[i], seat);
}

void
tokens_reclaim(unsigned seat)
{
	struct board_view view = { .id = -1 };
	enum board_type   type;
	uint64_t          word;

	while (board_next(&view)) {
		for (unsigned f = 0;
		     !view.blank && board_field_name(view.id, f, &type) != NULL; f++) {
			if (type != BOARD_ANNOUNCED || f < TOKEN_ANNOUNCED)
				continue;
			word = atomic_load(&board_cell(view.id, seat)[f]);
			/* A broken worker may have written anything there. */
			if ((uint32_t)word > 0 && word >> 32 < BOARD_SEATS)
				token_take_arriving(view.id, f - TOKEN_ANNOUNCED,
				    (unsigned)(word >> 32), (uint32_t)word);
		}
	}
}

/* Never below zero: when that seat's worker has died the master has cleared it, although
 * some may have been on their way. */
static void
token_take_arriving(int board, unsigned field, unsigned seat, uint64_t most)
{
	board_word *word = &board_cell(board, seat)[field + TOKEN_ARRIVING];
	uint64_t    n = atomic_load(word);

	while (n > 0 && !atomic_compare_exchange_weak(word, &n, n > most ? n - most : 0))
		;
}
