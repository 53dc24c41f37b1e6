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

void
tokens_send(int board, enum token_holds what, unsigned from, unsigned to)
{
	if (what >= TOKEN_CONN)
		token_send(board, PEER_CONNS, from, to);
	if (what >= TOKEN_LINK)
		token_send(board, PEER_LINKS, from, to);
}

void
tokens_unsend(int board, enum token_holds what, unsigned from, unsigned to)
{
	if (what >= TOKEN_CONN)
		token_unsend(board, PEER_CONNS, from, to);
	if (what >= TOKEN_LINK)
		token_unsend(board, PEER_LINKS, from, to);
}

void
tokens_receive(int board, enum token_holds what, unsigned seat)
{
	tokens_unsend(board, what, seat, seat);
}

void
tokens_give(int board, enum token_holds what, unsigned seat)
{
	if (what >= TOKEN_CONN)
		board_give(board, PEER_CONNS, seat);
	if (what >= TOKEN_LINK)
		board_give(board, PEER_LINKS, seat);
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
