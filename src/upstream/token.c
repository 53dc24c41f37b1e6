/* SPDX-License-Identifier: BSD-2-Clause */
/* token: what counts against a limit over all workers goes from one to another. */
#include "upstream/token.h"

#include "upstream/board.h"
#include "upstream/upstream.h"

static void token_settle(int board, unsigned field, unsigned seat, unsigned arriving);

/* Several may change the word of what is arriving; the gauge is its worker's alone. */
void
token_send(int board, unsigned field, unsigned from, unsigned to)
{
	atomic_fetch_add(&board_cell(board, to)[field + 1], 1);
	board_give(board, field, from);
}

void
token_unsend(int board, unsigned field, unsigned from, unsigned to)
{
	token_settle(board, field, from, to);
}

void
token_receive(int board, unsigned field, unsigned seat)
{
	token_settle(board, field, seat, seat);
}

/* As many of them as enum token_holds says. */
static const unsigned token_fields[] = { PEER_CONNS, PEER_LINKS };

void
tokens_send(int board, enum token_holds what, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_send(board, token_fields[i], from, to);
}

void
tokens_unsend(int board, enum token_holds what, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		token_unsend(board, token_fields[i], from, to);
}

void
tokens_receive(int board, enum token_holds what, unsigned seat)
{
	tokens_unsend(board, what, seat, seat);
}

void
tokens_give(int board, enum token_holds what, unsigned seat)
{
	for (unsigned i = 0; i < (unsigned)what; i++)
		board_give(board, token_fields[i], seat);
}

/* Never below zero: when that seat's worker has died the master has cleared it, although
 * some may have been on their way. */
static void
token_settle(int board, unsigned field, unsigned seat, unsigned arriving)
{
	board_word *word = &board_cell(board, arriving)[field + 1];
	uint64_t    n = atomic_load(word);

	board_add(&board_cell(board, seat)[field], 1);
	while (n > 0 && !atomic_compare_exchange_weak(word, &n, n - 1))
		;
}
